"""Margins of the own view and of positives: `compactness` and `contrastive_margin_regularizer`."""

from typing import Any, NamedTuple, SupportsIndex, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import ArrayLike, array_of
from fastpair._embeddings import embeddings, same_width
from fastpair._validate import check_number, in_dtype_of
from fastpair.losses._aligned import sigmoid, softplus
from fastpair.losses._embedding import (
    EmbeddingGrads,
    SimilarityMetric,
    WeightNorm,
    parse_pairs,
    parse_rows_reduction,
)
from fastpair.losses._lists import OnEmpty, ReductionName
from fastpair.losses._tiles import factors_of, reduce_tiles

__all__ = ["CompactnessGrads", "compactness", "contrastive_margin_regularizer"]

_Array: TypeAlias = npt.NDArray[Any]
_Floats: TypeAlias = npt.NDArray[np.float64]
_Ints: TypeAlias = npt.NDArray[np.int64]


class CompactnessGrads(NamedTuple):
    """The gradients of `compactness` with respect to both views."""

    x: _Array
    y: _Array


def compactness(
    x: ArrayLike,
    y: ArrayLike,
    *,
    weights: ArrayLike | None = None,
    weight_norm: WeightNorm = "count",
    on_empty: OnEmpty = "skip",
    reduction: ReductionName = "mean",
    return_grad: bool = False,
    grad_output: ArrayLike | None = None,
) -> Any:
    r"""Compute the logistic loss of how much nearer the own view is than the mean of the others.

    Parameters
    ----------
    x : array_like, shape (n, d)
        Embeddings, commonly of norm 1.
    y : array_like, shape (n, d)
        The same examples in another view.
    weights : array_like, shape (n,), optional
        A weight for each row, finite and not negative.
    weight_norm : {"count", "weights"}
        Whether the mean divides by the number of valid rows or by the sum of their weights.
    on_empty : {"skip", "zero", "error"}
        What a single row, which has no others, does: it is left out, counts with loss 0, or is refused.
    reduction : {"mean", "sum", "none"}
        Return the mean or the sum over rows, or one value for each.
    return_grad : bool
        Return the gradients as well.
    grad_output : array_like, shape (n,), optional
        For ``reduction="none"`` with `return_grad`, which needs it: the gradient with respect to each value.

    Returns
    -------
    value : numpy.float64 or ndarray
        The loss; for ``reduction="none"`` float64, shape (n,). 0.0 for fewer than two rows.
    grads : CompactnessGrads
        With `return_grad`: the named tuple ``(x, y)``, in the shapes and dtypes of the inputs (float64 for integers).

    Raises
    ------
    TypeError
        If a dtype cannot be used.
    ValueError
        If shapes do not match, or an option is out of range.

    See Also
    --------
    fastpair.losses.grace : The contrast it is mixed with.

    Notes
    -----
    :math:`\log(1 + e^{-c_i})` with the score :math:`c_i = x_i \cdot (y_i - \bar y_{-i})`, where :math:`\bar y_{-i}` is
    the mean of all other rows of y. Lower bounds of the scores that certify perturbed graphs come from the caller.

    Cost: O(n d). Extra memory: copies in float64.

    References
    ----------
    .. [1] Y. Yu, X. Wang, M. Zhang, N. Liu and C. Shi (2023). Provable training for graph contrastive learning.
       NeurIPS.

    Examples
    --------
    >>> import fastpair
    >>> fastpair.losses.compactness([[1.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [0.0, 1.0]]).round(6)
    np.float64(0.313262)
    """
    left, right = same_width(embeddings(x, "x", "dot"), embeddings(y, "y", "dot"), "dot")
    count = len(left)
    if len(right) != count:
        raise ValueError(f"x has {count} rows but y has {len(right)}; pass a row of y for each row of x")
    valid = np.full(count, count > 1)
    how = parse_rows_reduction(
        count,
        reduction=reduction,
        on_empty=on_empty,
        weights=weights,
        weight_norm=weight_norm,
        return_grad=return_grad,
        grad_output=grad_output,
    )
    own, others = left.astype(np.float64), right.astype(np.float64)
    spread = count / max(count - 1, 1)
    with np.errstate(over="ignore", invalid="ignore"):
        moved = (others - others.mean(axis=0)) * spread if count else others
        scores = np.einsum("ij,ij->i", own, moved)
    value = how(np.where(valid, softplus(-scores), 0.0), valid)[0]
    if not how.return_grad:
        return value
    pull = (-sigmoid(-scores) * factors_of(how, valid))[:, np.newaxis]
    through = pull * own * spread
    by_y = through - through.mean(axis=0) if count else through
    return value, CompactnessGrads(in_dtype_of(pull * moved, left), in_dtype_of(by_y, right))


def contrastive_margin_regularizer(
    x: ArrayLike | None = None,
    y: ArrayLike | None = None,
    positives: ArrayLike | None = None,
    temperature: float = 1.0,
    *,
    similarities: ArrayLike | None = None,
    metric: SimilarityMetric = "dot",
    weights: ArrayLike | None = None,
    weight_norm: WeightNorm = "count",
    on_empty: OnEmpty = "skip",
    reduction: ReductionName = "mean",
    return_grad: bool = False,
    grad_output: ArrayLike | None = None,
    num_threads: SupportsIndex | None = None,
    max_memory: SupportsIndex | None = None,
) -> Any:
    r"""Compute the hinges between the positive, the hardest negative and all negatives of each row.

    Parameters
    ----------
    x : array_like, shape (n, d), optional
        Embeddings. Either x or `similarities` is needed.
    y : array_like, shape (m, d), optional
        What they are compared with; by default x itself, without the row.
    positives : array_like of int, shape (n,), optional
        The column of the positive of each row (-1: none); by default the diagonal.
    temperature : float
        What divides the similarities, positive.
    similarities : array_like, shape (n, m), optional
        A matrix of similarities in place of embeddings.
    metric : {"cosine", "dot", "sqeuclidean", "euclidean"}
        The similarity of embeddings; that of a distance is minus the distance.
    weights : array_like, shape (n,), optional
        A weight for each row, finite and not negative.
    weight_norm : {"count", "weights"}
        Whether the mean divides by the number of valid rows or by the sum of their weights.
    on_empty : {"skip", "zero", "error"}
        What a row without a positive or a negative does: it is left out, counts with loss 0, or is refused.
    reduction : {"mean", "sum", "none"}
        Return the mean or the sum over rows, or one value for each.
    return_grad : bool
        Return the gradients as well.
    grad_output : array_like, shape (n,), optional
        For ``reduction="none"`` with `return_grad`, which needs it: the gradient with respect to each value.
    num_threads : int, optional
        The most threads for similarities; by default `fastpair.get_num_threads`.
    max_memory : int, optional
        The most bytes of scratch beside input and output; by default 64 MiB.

    Returns
    -------
    value : numpy.float64 or ndarray
        The loss; for ``reduction="none"`` float64, shape (n,).
    grads : EmbeddingGrads
        With `return_grad`: the named tuple ``(x, y, temperature, similarities)``, in the shapes and dtypes of the
        inputs (float64 for integers), None for what was not given.

    Raises
    ------
    TypeError
        If a dtype cannot be used, or an option is not a number.
    ValueError
        If shapes do not match, or an option is out of range.

    See Also
    --------
    fastpair.losses.info_nce : The contrast it regularises.

    Notes
    -----
    With the logits p of the positive, n of the negatives and M of the hardest one,

    .. math:: \max(0, p - \min(p, M)) + \frac1N \sum_n \max(0, \max(p, M) - n) .

    It keeps augmented views from collapsing: all logits equal have the value 0. The hardest negative is the first of
    equal ones; where it ties with the positive, the positive gets the gradient.

    Cost: O(n m d). Extra memory: tiles of at most `max_memory`.

    References
    ----------
    .. [1] X. Qin et al. (2023). Meta-optimized contrastive learning for sequential recommendation. SIGIR.

    Examples
    --------
    >>> import fastpair
    >>> fastpair.losses.contrastive_margin_regularizer(similarities=[[3.0, 1.0, 2.0]])
    np.float64(2.5)
    """
    pairs = parse_pairs(x, y, similarities, metric, num_threads, max_memory)
    divisor = check_number(temperature, "temperature", above=0)
    rows, columns = pairs.shape
    targets = _parse_targets(positives, rows, columns)
    own_column = 1 if pairs.within else 0
    if pairs.within and (targets == np.arange(rows)).any():
        raise ValueError("the positive of a row of x is the row itself; pass y=, or other positives=")
    negatives = columns - 1 - own_column
    valid = (targets >= 0) & (negatives > 0)
    how = parse_rows_reduction(
        rows,
        reduction=reduction,
        on_empty=on_empty,
        weights=weights,
        weight_norm=weight_norm,
        return_grad=return_grad,
        grad_output=grad_output,
    )

    def tile(scores: _Array, places: _Ints) -> tuple[Any, ...]:
        wide, each = scores.astype(np.float64), np.arange(len(places))
        target = np.maximum(targets[places], 0)
        out = np.zeros(wide.shape, np.bool_)
        out[each, target] = True
        if pairs.within:
            out[each, places] = True
        positive = wide[each, target]
        hardest = np.where(out, -np.inf, wide).argmax(axis=1)
        ahead = positive - wide[each, hardest]
        top = np.maximum(positive, wide[each, hardest])
        below = np.where(out, 0.0, np.maximum(top[:, np.newaxis] - wide, 0.0))
        count = max(negatives, 1)
        values = (np.maximum(ahead, 0.0) + below.sum(axis=1) / count) / divisor
        slopes = np.where(below > 0, -1.0 / count, 0.0)
        pull = -slopes.sum(axis=1)
        first = np.where(ahead > 0, 1.0, 0.0)
        slopes[each, target] += first + np.where(ahead >= 0, pull, 0.0)
        slopes[each, hardest] += np.where(ahead < 0, pull, 0.0) - first
        slopes /= divisor
        return values, slopes, (-values / divisor,)

    value, sums = reduce_tiles(pairs, tile, how, valid, arrays=7)
    if not how.return_grad:
        return value
    by_temperature = np.float64(sum((part.sum() for part in sums.parameters), 0.0))
    return value, EmbeddingGrads(sums.x, sums.y, by_temperature, sums.similarities)


def _parse_targets(positives: ArrayLike | None, rows: int, columns: int) -> _Ints:
    """Return the column of the positive of each row, -1 for none."""
    if positives is None:
        if rows > columns:
            raise ValueError(f"there are {rows} rows but {columns} columns; pass positives=, a column for each row")
        return np.arange(rows)
    array = array_of(positives, "positives")
    if array.shape != (rows,) or (array.dtype.kind not in "iu" and rows):
        raise ValueError(
            f"positives has shape {array.shape} and dtype {array.dtype}; pass {rows} integers, a column for each row"
        )
    strange = (array < -1) | (array >= columns)
    if strange.any():
        row = int(strange.argmax())
        raise ValueError(f"positives is {array[row]} at index {row}, but there are {columns} columns")
    return array.astype(np.int64)
