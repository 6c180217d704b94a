"""Convex mixtures of pairs of embeddings: `mix_pairs`."""

from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import ArrayLike, array_of
from fastpair._embeddings import check_flag
from fastpair._random import Seed, generator
from fastpair._validate import check_number, in_dtype_of
from fastpair.mining._shares import embeddings_of_floats, normalized, parse_shares

__all__ = ["MixedPairs", "mix_pairs"]

_Array: TypeAlias = npt.NDArray[Any]
_Floats: TypeAlias = npt.NDArray[np.float64]
_Ints: TypeAlias = npt.NDArray[np.int64]


class MixedPairs(NamedTuple):
    """Mixtures (p, d), the share of the first parent in each (p,), and the rows of both parents (p, 2)."""

    vectors: _Array
    shares: _Floats
    parents: _Ints


def mix_pairs(
    first: ArrayLike,
    second: ArrayLike | None = None,
    pairs: ArrayLike | None = None,
    *,
    shares: ArrayLike | None = None,
    alpha: float = 2.0,
    normalize: bool = False,
    seed: Seed = None,
) -> MixedPairs:
    r"""Mix pairs of embeddings, such as a positive and a negative of an anchor, in random shares.

    Parameters
    ----------
    first : array_like, shape (n, d)
        The first parents: positives, or anchors. Floats of 16 to 64 bits, or integers.
    second : array_like, shape (m, d), optional
        The second parents: negatives. By default `first`, with `pairs`.
    pairs : array_like of int, shape (p, 2), optional
        The rows of the first and the second parent of each mixture; by default those of equal index.
    shares : float or array_like, shape (p,), optional
        The share of the first parent, between 0 and 1; by default draws from Beta(alpha, alpha).
    alpha : float
        Both parameters of that distribution, positive.
    normalize : bool
        Divide the mixtures by their norms.
    seed : int, numpy.random.Generator or None
        Where the draws begin; None takes fresh ones.

    Returns
    -------
    MixedPairs
        The named tuple ``(vectors, shares, parents)``: vectors in the dtype of `first` (float64 for integers), float64
        and int64.

    Raises
    ------
    TypeError
        If a dtype cannot be used, or an option has the wrong type.
    ValueError
        If shapes do not match, a number is NaN or infinite, a pair names a row that does not exist, or a share is not
        between 0 and 1.

    See Also
    --------
    fastpair.mining.geodesic_mix : Mixtures on the sphere, with gradients.
    fastpair.mining.triplets : Which positives and negatives belong to an anchor.

    Notes
    -----
    The mixture :math:`v = \lambda x^+ + (1 - \lambda) x^-` is, to the degree :math:`\lambda`, a positive of the anchor
    of both parents: a loss weights its positive part by the share and its negative part by the rest. To mix positives
    with negatives pass the last two columns of triplets as `pairs`, to mix anchors with negatives the first and the
    last. The mixtures are detached; a gradient with respect to them is one of :math:`\lambda` and
    :math:`1 - \lambda` times itself with respect to the parents.

    Cost: O(p d). Peak extra memory: some copies of the result in float64.

    References
    ----------
    .. [1] S. Venkataramanan et al. (2022). It takes two to tango: mixup for deep metric learning. ICLR.

    Examples
    --------
    >>> from fastpair import mining
    >>> x = [[1.0, 0.0], [0.0, 1.0], [0.0, -1.0]]
    >>> mining.mix_pairs(x, pairs=[[0, 1], [0, 2]], shares=[0.75, 0.5])
    MixedPairs(vectors=array([[ 0.75,  0.25],
           [ 0.5 , -0.5 ]]), shares=array([0.75, 0.5 ]), parents=array([[0, 1],
           [0, 2]]))
    """
    given, left = embeddings_of_floats(first, "first")
    if second is None and pairs is None:
        raise ValueError("second and pairs are None, which would mix each row with itself; pass one of them")
    right = left if second is None else embeddings_of_floats(second, "second")[1]
    if left.shape[1] != right.shape[1]:
        raise ValueError(f"first has {left.shape[1]} columns but second has {right.shape[1]}; pass equally long rows")
    both, unit = check_number(alpha, "alpha", above=0), check_flag(normalize, "normalize")
    parents = _parse_pairs(pairs, len(left), len(right))
    share = parse_shares(shares, "shares", (len(parents), left.shape[1]), False, both, generator(seed))
    if share.shape[1] != 1:
        raise ValueError(f"shares has shape {share.shape}; pass a number, or one for each of the {len(parents)} pairs")
    mixed = share * left[parents[:, 0]] + (1 - share) * right[parents[:, 1]]
    return MixedPairs(in_dtype_of(normalized(mixed, unit), given), share[:, 0], parents)


def _parse_pairs(pairs: ArrayLike | None, rows: int, others: int) -> _Ints:
    if pairs is None:
        if rows != others:
            raise ValueError(f"first has {rows} rows but second has {others}; pass pairs=, or as many of both")
        return np.repeat(np.arange(rows)[:, np.newaxis], 2, axis=1)
    array = array_of(pairs, "pairs")
    if array.size == 0 and array.ndim == 1:
        array = np.zeros((0, 2), np.int64)
    if array.ndim != 2 or array.shape[1] != 2 or array.dtype.kind not in "iu":
        raise ValueError(
            f"pairs has shape {array.shape} and dtype {array.dtype}; pass integers of shape (p, 2), the rows of both "
            f"parents of each mixture"
        )
    for column, (limit, name) in enumerate(((rows, "first"), (others, "second"))):
        strange = (array[:, column] < 0) | (array[:, column] >= limit)
        if strange.any():
            place = int(strange.argmax())
            raise ValueError(
                f"pairs is {array[place, column]} at row {place}, column {column}, but {name} has {limit} rows"
            )
    return array.astype(np.int64)
