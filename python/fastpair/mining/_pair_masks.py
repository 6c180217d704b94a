"""Which pairs of a batch are positive, negative and left out: `pair_masks`."""

from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import ArrayLike, array_of, kernels_of, on_gpu_too
from fastpair._pair_sets import packed_pairs
from fastpair._roles import parse_roles
from fastpair._validate import parse_resources
from fastpair.mining._formats import Format, PairSet, check_format, pair_sets, triplets_of

__all__ = ["PairMasks", "pair_masks"]

_Array: TypeAlias = npt.NDArray[Any]
_Bytes: TypeAlias = npt.NDArray[np.uint8]


class PairMasks(NamedTuple):
    """Which pairs are positive, negative, and neither, in one of the formats of pairs."""

    positives: PairSet
    negatives: PairSet
    ignored: PairSet


@on_gpu_too
def pair_masks(
    labels: Any = None,
    y_labels: ArrayLike | None = None,
    *,
    positives: Any = None,
    ids: Any = None,
    ignore: Any = None,
    format: Format = "mask",
) -> PairMasks | _Array:
    r"""Tell which pairs of a batch are positive, negative and left out, from labels or ids.

    Parameters
    ----------
    labels : array_like, shape (n,), optional
        Labels of the rows, integers or strings: pairs of the same label are positive.
    y_labels : array_like, shape (m,), optional
        Labels of the columns. By default rows and columns are the same batch, and a row with itself is left out.
    positives : array_like, optional
        In place of labels: which pairs are positive, bool of shape (n, m); or, with as many columns as rows, the column
        of the positive of each row, shape (n,), -1 for none.
    ids : array_like, shape (n,), or tuple of two, optional
        Identities of the rows, or of rows and columns: pairs of the same identity that are not positive are left out,
        as duplicates of one's positive should be.
    ignore : array_like or tuple, optional
        Further pairs to leave out, in any of the formats below.
    format : {"mask", "bits", "csr", "coo", "triplets"}
        How pairs are returned: bool of shape (n, m); bits as of ``numpy.packbits(mask, axis=1)``; `CompressedRows`;
        `Coordinates`; or all triplets of a row, a positive and a negative.

    Returns
    -------
    PairMasks or ndarray
        The named tuple ``(positives, negatives, ignored)``, each in the format; these are disjoint and cover all pairs.
        With "triplets" the indices of rows, positives and negatives, shape (t, 3), in ascending order.

    Raises
    ------
    TypeError
        If labels cannot be compared, or arrays are not in one memory (of the host, or of one GPU).
    ValueError
        If shapes do not match, both labels and positives or neither are given, or the format is unknown.

    See Also
    --------
    hard_mask : The negatives that are hard.
    multi_similarity_mask : Positives and negatives that are hard beside each other.

    Notes
    -----
    A pair of row i and column j is positive if :math:`l_i = l_j` and it is not left out, and negative if it is neither.
    Compressed rows have 4 bytes for each pair, bits an eighth of a byte.

    Cost: O(n m / 32), and the output. Extra memory: packed bits of all pairs for "csr", "coo" and "triplets", as far as
    half of 64 MiB, else of a block of rows.

    References
    ----------
    .. [1] K. Musgrave, S. Belongie and S.-N. Lim (2020). A metric learning reality check. ECCV.

    Examples
    --------
    >>> import fastpair
    >>> masks = fastpair.mining.pair_masks([0, 0, 1])
    >>> masks.positives.astype(int)
    array([[0, 1, 0],
           [1, 0, 0],
           [0, 0, 0]])
    >>> fastpair.mining.pair_masks([0, 0, 1], format="triplets")
    array([[0, 1, 2],
           [1, 0, 2]], dtype=int32)
    """
    form, resources = check_format(format), parse_resources(None, None)
    shape, given = _shape(labels, y_labels, positives)
    within = labels is not None and y_labels is None
    roles = parse_roles(shape, within, positives, labels=given, ids=ids)
    left_out = None if ignore is None else packed_pairs(ignore, "ignore", shape)
    options = roles.options()
    spare = (-shape[1]) % 8

    def write(begin: int, end: int, bits: tuple[_Bytes, ...]) -> None:
        kept, pushed = bits[0], bits[1]
        kernels_of(kept).pack_roles(shape, options, (begin, end), kept, pushed)
        if left_out is not None:
            kept &= ~left_out[begin:end]
            pushed &= ~left_out[begin:end]
        for ignored in bits[2:]:
            np.invert(kept | pushed, out=ignored)
            if spare and len(ignored):
                ignored[:, -1] &= np.uint8(256 - (1 << spare))

    if form == "triplets":
        chosen = pair_sets(shape, 2, write, "csr", resources)
        return triplets_of(chosen[0], chosen[1], shape[1])
    return PairMasks(*pair_sets(shape, 3, write, form, resources))


def _shape(labels: Any, y_labels: Any, positives: Any) -> tuple[tuple[int, int], Any]:
    """Return how many rows and columns there are, and labels of both."""
    if labels is None:
        if y_labels is not None:
            raise ValueError("y_labels was given without labels; pass labels of the rows as well")
        if positives is None:
            raise ValueError("labels and positives are both None; pass labels, or which pairs are positive")
        if isinstance(positives, tuple):
            raise ValueError("positives is a tuple, which does not tell how many columns there are; pass a mask")
        array = array_of(positives, "positives")
        if array.ndim == 2 and array.dtype == np.bool_:
            return (array.shape[0], array.shape[1]), None
        return (len(array), len(array)) if array.ndim else (0, 0), None
    if positives is not None:
        raise ValueError("labels and positives were both given; pass labels, or which pairs are positive")
    rows = array_of(labels, "labels")
    if rows.ndim != 1:
        raise ValueError(f"labels has shape {rows.shape}; pass one dimension, a label for each row")
    if y_labels is None:
        return (len(rows), len(rows)), rows
    columns = array_of(y_labels, "y_labels")
    if columns.ndim != 1:
        raise ValueError(f"y_labels has shape {columns.shape}; pass one dimension, a label for each column")
    return (len(rows), len(columns)), (rows, columns)
