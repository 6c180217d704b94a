"""Skip-gram with negative sampling: `sgns`."""

from typing import Any, NamedTuple, SupportsIndex, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import ArrayLike, array_of
from fastpair._embeddings import embeddings, same_width
from fastpair._validate import in_dtype_of, parse_resources
from fastpair.losses._aligned import sigmoid, softplus
from fastpair.losses._embedding import WeightNorm, parse_rows_reduction
from fastpair.losses._lists import OnEmpty, ReductionName
from fastpair.losses._tiles import add_rows, factors_of

__all__ = ["SgnsGrads", "sgns"]

_Array: TypeAlias = npt.NDArray[Any]
_Floats: TypeAlias = npt.NDArray[np.float64]
_Ints: TypeAlias = npt.NDArray[np.int64]


class SgnsGrads(NamedTuple):
    """The gradients of `sgns` with respect to the rows that ask and to all rows of the table."""

    x: _Array
    y: _Array


def sgns(
    x: ArrayLike,
    y: ArrayLike,
    positives: ArrayLike | None = None,
    negatives: ArrayLike | None = None,
    *,
    weights: ArrayLike | None = None,
    weight_norm: WeightNorm = "count",
    on_empty: OnEmpty = "skip",
    reduction: ReductionName = "mean",
    return_grad: bool = False,
    grad_output: ArrayLike | None = None,
    num_threads: SupportsIndex | None = None,
    max_memory: SupportsIndex | None = None,
) -> Any:
    r"""Compute the skip-gram loss with negative sampling of in-vectors and a table of out-vectors.

    Parameters
    ----------
    x : array_like, shape (n, d)
        The in-vector of each example.
    y : array_like, shape (m, d)
        The table of out-vectors.
    positives : array_like of int, shape (n,), optional
        The row of y that belongs to each example (-1: none); by default the row of the same index.
    negatives : array_like of int, shape (n, k), optional
        Sampled rows of y that do not, such as draws by a power of their counts (-1: no further one). A row drawn twice
        counts twice.
    weights : array_like, shape (n,), optional
        A weight for each example, finite and not negative.
    weight_norm : {"count", "weights"}
        Whether the mean divides by the number of valid examples or by the sum of their weights.
    on_empty : {"skip", "zero", "error"}
        What an example without a positive or a negative does: it is left out, counts with loss 0, or is refused.
    reduction : {"mean", "sum", "none"}
        Return the mean or the sum over examples, or one value for each.
    return_grad : bool
        Return the gradients as well.
    grad_output : array_like, shape (n,), optional
        For ``reduction="none"`` with `return_grad`, which needs it: the gradient with respect to each value.
    num_threads : int, optional
        Checked, but not used: products are those of numpy.
    max_memory : int, optional
        The most bytes of scratch beside input and output; by default 64 MiB.

    Returns
    -------
    value : numpy.float64 or ndarray
        The loss; for ``reduction="none"`` float64, shape (n,). 0.0 for examples without a positive or a negative.
    grads : SgnsGrads
        With `return_grad`: the named tuple ``(x, y)``, in the shapes and dtypes of the inputs (float64 for integers).

    Raises
    ------
    TypeError
        If a dtype cannot be used, or there are no negatives.
    ValueError
        If shapes do not match, or an index is outside of the table.

    See Also
    --------
    fastpair.losses.siglip : Independent sigmoid losses of all pairs.

    Notes
    -----
    With the in-vector u, the out-vector :math:`v_+` and the sampled ones :math:`v_k`

    .. math:: -\log \sigma(u \cdot v_+) - \sum_k \log \sigma(-u \cdot v_k) .

    Zero vectors have the loss :math:`(1 + k) \log 2`. Similarities are not scaled.

    Cost: O(n k d). Extra memory: tiles of at most `max_memory`, and the gradients in float64.

    References
    ----------
    .. [1] T. Mikolov, I. Sutskever, K. Chen, G. Corrado and J. Dean (2013). Distributed representations of words and
       phrases and their compositionality. NeurIPS.

    Examples
    --------
    >>> import fastpair
    >>> table = [[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]]
    >>> value, grads = fastpair.losses.sgns([[1.0, 0.0]], table, [0], [[1, 2]], return_grad=True)
    >>> value.round(6)
    np.float64(1.319671)
    >>> grads.x.round(6)
    array([[-0.537883,  0.5     ]])
    """
    resources = parse_resources(num_threads, max_memory)
    if negatives is None:
        raise TypeError("negatives is None; pass the sampled rows of y of each example, integers of shape (n, k)")
    rows, table = same_width(embeddings(x, "x", "dot"), embeddings(y, "y", "dot"), "dot")
    count, size = len(rows), len(table)
    own = np.arange(count) if positives is None else _parse_places(positives, "positives", (count,), size)
    if positives is None and count > size:
        raise ValueError(f"x has {count} rows but y has {size}; pass positives=, the row of y of each example")
    drawn = _parse_places(negatives, "negatives", (count, -1), size)
    valid = (own >= 0) & (drawn >= 0).any(axis=1)
    how = parse_rows_reduction(
        count,
        reduction=reduction,
        on_empty=on_empty,
        weights=weights,
        weight_norm=weight_norm,
        return_grad=return_grad,
        grad_output=grad_output,
    )
    factors = factors_of(how, valid)
    values = np.zeros(count)
    by_x, by_y = (np.zeros(rows.shape), np.zeros(table.shape)) if how.return_grad else (None, None)
    places = np.concatenate([own[:, np.newaxis], drawn], axis=1)
    step = resources.pieces(max(count, 1), 8 * max(places.shape[1], 1) * (4 * rows.shape[1] + 8))
    for begin in range(0, count, step):
        part = slice(begin, begin + step)
        at, left = places[part], rows[part].astype(np.float64)
        vectors = table[np.maximum(at, 0)].astype(np.float64) if size else np.zeros((*at.shape, rows.shape[1]))
        with np.errstate(over="ignore", invalid="ignore"):
            scores = np.einsum("nd,nkd->nk", left, vectors)
        scores[:, 1:] *= -1
        missing = (at < 0) | ~valid[part, np.newaxis]
        values[part] = np.where(missing, 0.0, softplus(-scores)).sum(axis=1)
        if by_x is None or by_y is None:
            continue
        slopes = np.where(missing, 0.0, -sigmoid(-scores) * factors[part, np.newaxis])
        slopes[:, 1:] *= -1
        by_x[part] = np.einsum("nk,nkd->nd", slopes, vectors)
        vectors[...] = left[:, np.newaxis]
        vectors *= slopes[..., np.newaxis]
        add_rows(by_y, at.ravel(), vectors.reshape(-1, rows.shape[1]))
    value = how(values, valid)[0]
    if by_x is None or by_y is None:
        return value
    return value, SgnsGrads(in_dtype_of(by_x, rows), in_dtype_of(by_y, table))


def _parse_places(values: ArrayLike, argument: str, shape: tuple[int, ...], size: int) -> _Ints:
    """Return rows of the table, -1 for none."""
    array = array_of(values, argument)
    if not array.size and array.dtype == np.float64:
        array = array.astype(np.int64)
    wanted = shape[:1] if len(shape) == 1 else f"({shape[0]}, k)"
    if array.dtype.kind not in "iu" or array.ndim != len(shape) or len(array) != shape[0]:
        raise ValueError(
            f"{argument} has shape {array.shape} and dtype {array.dtype}; pass integers of shape {wanted}, rows of y"
        )
    strange = (array < -1) | (array >= size)
    if strange.any():
        place = tuple(int(index) for index in np.unravel_index(strange.argmax(), strange.shape))
        where = place[0] if len(place) == 1 else place
        raise ValueError(f"{argument} is {array[place]} at index {where}, but y has {size} rows")
    return array.astype(np.int64)
