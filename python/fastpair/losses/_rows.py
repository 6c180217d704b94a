"""Losses of the rows of a matrix, each with one target among its columns: what they share, and `z_loss`.

Rows are handled in blocks, so that working memory does not grow with the matrix. An entry that is left out is a logit
of -inf: it takes no part in any sum.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import ArrayLike, array_of
from fastpair._embeddings import numbers
from fastpair._validate import check_number, in_dtype_of
from fastpair.losses._aligned import sigmoid
from fastpair.losses._lists import OnEmpty, ReductionName, parse_reduction
from fastpair.losses._mann_whitney import SimilarityGrads

__all__ = ["Rows", "parse_rows", "scaled", "z_loss"]

_Array: TypeAlias = npt.NDArray[Any]
_Floats: TypeAlias = npt.NDArray[np.float64]
_Ints: TypeAlias = npt.NDArray[np.int64]
_Bools: TypeAlias = npt.NDArray[np.bool_]

MOST_CELLS = 1 << 18
"""Entries that are handled at a time."""


def z_loss(
    similarities: ArrayLike,
    positives: ArrayLike | None = None,
    *,
    a: float = 1.0,
    b: float = 1.0,
    ignore: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    on_empty: OnEmpty = "skip",
    reduction: ReductionName = "mean",
    return_grad: bool = False,
    grad_output: ArrayLike | None = None,
) -> Any:
    r"""Compute the Z-loss: softplus of the standardised score of the target in its row.

    It does not change if all scores of a row are multiplied by a positive number or moved by a constant. It is not the
    regulariser of the same name, which squares the logarithm of the partition function.

    Parameters
    ----------
    similarities : array_like, shape (n, m)
        Scores: a row for each example, a column for each class or candidate.
    positives : array_like, shape (n,) or (n, m), optional
        The target of each row: its column as an integer (-1: the row has none), or a bool mask that is True at most
        once in a row. By default the diagonal.
    a : float
        The steepness of the softplus, positive.
    b : float
        The standard score beyond which a target is rewarded little.
    ignore : array_like of bool, shape (n, m), optional
        Entries that are left out, also of mean and standard deviation. They are not targets.
    weights : array_like, shape (n,), optional
        A weight for each row, finite and not negative.
    on_empty : {"skip", "zero", "error"}
        What a row without a target or without another entry does: it is left out, counts with loss 0, or is refused.
    reduction : {"mean", "sum", "none"}
        Return the mean or the sum over rows, or one value for each.
    return_grad : bool
        Return the gradient as well.
    grad_output : array_like, shape (n,), optional
        For ``reduction="none"`` with `return_grad`, which needs it: the gradient with respect to each value.

    Returns
    -------
    value : numpy.float64 or ndarray
        The loss; for ``reduction="none"`` float64, shape (n,). 0.0 for rows without a target or without another entry.
    grads : SimilarityGrads
        With `return_grad`: the named tuple ``(similarities,)``, in the shape and dtype of the input (float64 for
        integers).

    Raises
    ------
    TypeError
        If a dtype cannot be used, or an option is not a number.
    ValueError
        If shapes do not match, a row has several targets or one outside of the matrix, or an option is out of range.

    See Also
    --------
    fastpair.losses.comp_sum : Cross-entropy and its relatives.

    Notes
    -----
    With the mean :math:`\mu` and the population standard deviation :math:`\sigma` of the D entries of a row and
    :math:`z_j = (s_j - \mu) / \sigma` the loss of the row with the target t is

    .. math:: \frac1a \log\left(1 + e^{a (b - z_t)}\right)

    and its gradient
    :math:`-\operatorname{sigmoid}(a (b - z_t)) (\delta_{jt} - 1/D - z_j z_t / D) / \sigma`. A row of equal scores has
    z = 0 and gradient 0. Scores are scaled by powers of 2 first, so that squares neither overflow nor vanish.

    Infinite and NaN scores have no standard score: value and gradient of their row are NaN.

    Cost: O(n m). Extra memory: a few MiB, and the gradient once in float64.

    References
    ----------
    .. [1] A. de Brébisson and P. Vincent (2016). The Z-loss: a shift and scale invariant classification loss belonging
       to the spherical family. arXiv:1604.08859.

    Examples
    --------
    >>> import fastpair
    >>> fastpair.losses.z_loss([[2, 1, 0, -1], [13, 10, 7, 4]], [0, 0], reduction="none").round(6)
    array([0.536846, 0.536846])
    """
    rows = parse_rows(similarities, positives, ignore)
    steepness, bias = check_number(a, "a", above=0), check_number(b, "b")
    reduce_rows = parse_reduction(
        len(rows.scores),
        reduction=reduction,
        on_empty=on_empty,
        weights=weights,
        return_grad=return_grad,
        grad_output=grad_output,
    )
    values = np.zeros(len(rows.scores))
    gradient = np.zeros(rows.scores.shape) if reduce_rows.return_grad else None
    for part in rows.parts(1):
        values[part], slope = _z_loss(*rows.block(part), steepness, bias)
        if gradient is not None:
            gradient[part] = slope
    value, scale = reduce_rows(values, rows.valid)
    if gradient is None:
        return value
    return value, SimilarityGrads(in_dtype_of(scaled(gradient, scale), rows.scores))


class Rows(NamedTuple):
    """A matrix, the column of the target of each row (0 where there is none), and which rows count."""

    scores: _Array
    targets: _Ints
    valid: _Bools
    ignored: _Bools | None

    def parts(self, width: int) -> Iterator[slice]:
        """Step through blocks of rows, of which each entry needs room for `width` numbers."""
        rows, columns = self.scores.shape
        step = max(1, MOST_CELLS // max(columns * width, 1))
        for begin in range(0, rows if columns else 0, step):
            yield slice(begin, min(begin + step, rows))

    def block(self, part: slice) -> tuple[_Floats, _Bools, _Ints]:
        """Return the scores of some rows in float64, which entries are left out, and the targets as a column."""
        scores = self.scores[part].astype(np.float64)
        own = self.targets[part, np.newaxis]
        out = np.zeros(scores.shape, np.bool_) if self.ignored is None else self.ignored[part].copy()
        out[~self.valid[part]] = True
        np.put_along_axis(out, own, False, axis=1)
        scores[out] = 0.0  # what is ignored may be anything
        return scores, out, own


def parse_rows(similarities: ArrayLike, positives: ArrayLike | None, ignore: ArrayLike | None) -> Rows:
    """View a matrix, and find the target of each row and whether it counts."""
    scores = numbers(similarities, "similarities", "dot")
    if scores.ndim != 2:
        hint = "; a single row is similarities[None]" if scores.ndim == 1 else ""
        raise ValueError(f"similarities has shape {scores.shape}; pass two dimensions, a row for each example{hint}")
    rows, columns = scores.shape
    targets = _parse_targets(positives, rows, columns)
    ignored = None
    if ignore is not None:
        ignored = array_of(ignore, "ignore")
        if ignored.dtype != np.bool_ or ignored.shape != scores.shape:
            raise ValueError(
                f"ignore has shape {ignored.shape} and dtype {ignored.dtype}; pass a bool for each of the "
                f"{scores.shape} entries"
            )
        clash = (targets >= 0) & ignored[np.arange(rows), np.maximum(targets, 0)] if columns else targets >= 0
        if clash.any():
            row = int(clash.argmax())
            raise ValueError(f"ignore is True at row {row}, column {targets[row]}, which is the target of that row")
    left = columns - (0 if ignored is None else np.count_nonzero(ignored, axis=1))
    return Rows(scores, np.maximum(targets, 0), (targets >= 0) & (left > 1), ignored)


def _parse_targets(positives: ArrayLike | None, rows: int, columns: int) -> _Ints:
    """Return the column of the target of each row, -1 for none."""
    if positives is None:
        if rows > columns:
            raise ValueError(
                f"similarities has shape ({rows}, {columns}), too few columns for a target on the diagonal of each "
                f"row; pass positives="
            )
        return np.arange(rows)
    array = array_of(positives, "positives")
    if array.dtype == np.bool_ and array.shape == (rows, columns):
        counts = np.count_nonzero(array, axis=1)
        if (counts > 1).any():
            row = int((counts > 1).argmax())
            raise ValueError(
                f"positives is True {counts[row]} times in row {row}; pass at most one target for each row"
            )
        return np.where(counts == 1, array.argmax(axis=1) if columns else 0, -1)
    if array.size == 0 and array.shape == (rows,):
        return np.zeros(0, np.int64)
    if array.dtype.kind not in "iu" or array.shape != (rows,):
        raise ValueError(
            f"positives has shape {array.shape} and dtype {array.dtype}; pass {rows} integers, the column of the "
            f"target of each row, or a bool mask of shape ({rows}, {columns})"
        )
    strange = (array < -1) | (array >= columns)
    if strange.any():
        row = int(strange.argmax())
        raise ValueError(f"positives is {array[row]} at index {row}, but similarities has {columns} columns")
    return array.astype(np.int64)


def scaled(gradient: _Floats, scale: _Floats) -> _Floats:
    """Multiply the gradient of each row in place; a scale of 0 leaves nothing, be it infinite or NaN."""
    with np.errstate(over="ignore", invalid="ignore"):
        gradient *= scale.reshape(-1, *[1] * (gradient.ndim - 1))
    gradient[scale == 0] = 0.0
    return gradient


def _z_loss(scores: _Floats, out: _Bools, own: _Ints, a: float, b: float) -> tuple[_Floats, _Floats]:
    """Return the loss of each row and its gradient."""
    counts = np.count_nonzero(~out, axis=1, keepdims=True)
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        first = np.frexp(np.abs(scores).max(axis=1, keepdims=True, initial=0.0))[1]
        scores = np.ldexp(scores, -first)
        # Differences from the target are exactly 0 in a row of equal scores, those from a rounded mean may not be.
        scores = np.where(out, 0.0, scores - np.take_along_axis(scores, own, axis=1))
        scores = np.where(out, 0.0, scores - scores.sum(axis=1, keepdims=True) / counts)
        second = np.frexp(np.abs(scores).max(axis=1, keepdims=True, initial=0.0))[1]
        scores = np.ldexp(scores, -second)
        deviation = np.sqrt((scores * scores).sum(axis=1, keepdims=True) / counts)
        flat = deviation == 0
        scores /= np.where(flat, 1.0, deviation)
        standard = np.take_along_axis(scores, own, axis=1)
        values = np.logaddexp(0.0, a * (b - standard)) / a
        sigma = np.ldexp(deviation, first + second)
        sigma[(sigma == 0) & ~flat] = np.finfo(np.float64).smallest_subnormal
        sigma[flat] = np.inf
        pull = np.where(out, 0.0, scores * standard + 1.0) / counts
        np.put_along_axis(pull, own, np.take_along_axis(pull, own, axis=1) - 1.0, axis=1)
        gradient = sigmoid(a * (b - standard)) * pull / sigma
    return values[:, 0], np.where(out, 0.0, gradient)
