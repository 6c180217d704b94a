"""Candidates in order, with margins that grow along it: `lag_margin_ranking`."""

from collections.abc import Iterator
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import ArrayLike
from fastpair._validate import check_number, in_dtype_of
from fastpair.losses._aligned import difference
from fastpair.losses._items import parse_items
from fastpair.losses._lists import (
    Lists,
    OnEmpty,
    ReductionName,
    parse_companion,
    parse_per_list,
    parse_reduction,
    parse_scores,
)

__all__ = ["LagMarginGrads", "lag_margin_ranking"]

_Array: TypeAlias = npt.NDArray[Any]
_Floats: TypeAlias = npt.NDArray[np.float64]


class LagMarginGrads(NamedTuple):
    """The gradients of `lag_margin_ranking` with respect to the scores and to the gold scores (None without them)."""

    scores: _Array
    gold: _Array | None


def lag_margin_ranking(
    scores: ArrayLike,
    relevance: ArrayLike | None = None,
    *,
    groups: ArrayLike | None = None,
    offsets: ArrayLike | None = None,
    margin: float = 0.001,
    gold: ArrayLike | None = None,
    gold_margin: float = 0.0,
    gold_weight: float = 1.0,
    weights: ArrayLike | None = None,
    on_empty: OnEmpty = "skip",
    reduction: ReductionName = "mean",
    return_grad: bool = False,
    grad_output: ArrayLike | None = None,
) -> Any:
    r"""Compute the margin ranking loss whose margin grows with the distance in rank (BRIO).

    Parameters
    ----------
    scores : array_like, shape (n,)
        Scores of candidates, such as length-normalised log-probabilities; those of a list best first, or in any order
        with `relevance`.
    relevance : array_like, shape (n,), optional
        Real grades of the candidates: the right order is from the highest on, equal ones by index. NaN leaves the
        candidate out.
    groups : array_like, shape (n,), optional
        Ids of lists (integers or strings, in any order). Without these and `offsets` all scores are one list.
    offsets : array_like of int, shape (g + 1,), optional
        The same for lists that are contiguous: list ``i`` is ``scores[offsets[i]:offsets[i + 1]]``.
    margin : float
        By how much each place in the order is to be worth, not negative.
    gold : array_like, shape (g,), optional
        The score of the reference of each list, which is to beat all candidates. It has a gradient as well.
    gold_margin : float
        By how much the reference is to beat them, not negative.
    gold_weight : float
        What multiplies the terms of the reference, not negative.
    weights : array_like, shape (g,), optional
        A weight for each list, finite and not negative.
    on_empty : {"skip", "zero", "error"}
        What a list of less than two candidates (of none, with `gold`) does: it is left out, counts with loss 0, or is
        refused.
    reduction : {"mean", "sum", "none"}
        Return the mean or the sum over lists, or one value for each.
    return_grad : bool
        Return the gradients as well.
    grad_output : array_like, shape (g,), optional
        For ``reduction="none"`` with `return_grad`, which needs it: the gradient with respect to each value.

    Returns
    -------
    value : numpy.float64 or ndarray
        The loss; for ``reduction="none"`` float64, shape (g,), in order of first appearance of the ids or in the order
        of offsets. 0.0 for lists that are too short.
    grads : LagMarginGrads
        With `return_grad`: the named tuple ``(scores, gold)``, in the order and dtypes of the input (float64 for
        integers); ``gold`` is None without gold scores.

    Raises
    ------
    TypeError
        If a dtype cannot be used, or an option is not a number.
    ValueError
        If shapes do not match, a weight is negative or not finite, or an option is unknown or out of range.

    See Also
    --------
    fastpair.losses.pairwise_hinge : One margin for all pairs of different relevance.
    fastpair.losses.rank_list : Logistic terms at some distances.

    Notes
    -----
    With the scores f of C candidates in the right order, the margin m, and the gold score :math:`f^*` with its margin
    :math:`m^*` and weight :math:`\omega`, a list has the loss

    .. math:: S = \sum_{d=1}^{C-1} \frac{1}{C - d} \sum_{i=1}^{C-d} [f_{i+d} - f_i + d m]_+
       + \frac{\omega}{C} \sum_i [f_i - f^* + m^*]_+ ,

    the first part of which is 0 if neighbours are in order and at least the margin apart. At a kink the gradient is 0.
    Candidates of equal relevance are pairs as well, as in the code of BRIO. There a score is the sum of the
    log-probabilities of the tokens over a power of their number; the second paper multiplies it by 0.01.

    Equal infinite scores differ by 0; a NaN score makes its list NaN.

    Cost: O(C^2) for each list, in as many passes as the longest list has candidates. Memory: O(n).

    References
    ----------
    .. [1] Y. Liu, P. Liu, D. Radev and G. Neubig (2022). BRIO: bringing order to abstractive summarization. ACL.
    .. [2] G. Adams et al. (2023). What are the desired characteristics of calibration sets? Identifying correlates on
       long form scientific summarization. ACL.

    Examples
    --------
    >>> import fastpair
    >>> value, grads = fastpair.losses.lag_margin_ranking([0.5, 0.6, 0.2], margin=0.1, return_grad=True)
    >>> value.round(6)
    np.float64(0.1)
    >>> grads.scores
    array([-0.5,  0.5,  0. ])
    """
    values = parse_scores(scores)
    grades = np.zeros(len(values)) if relevance is None else parse_companion(relevance, values, "relevance")
    step, lead = check_number(margin, "margin", least=0), check_number(gold_margin, "gold_margin", least=0)
    factor = check_number(gold_weight, "gold_weight", least=0)
    items = parse_items(values, grades, groups, offsets)
    how = parse_reduction(
        items.outer.count,
        reduction=reduction,
        on_empty=on_empty,
        weights=weights,
        return_grad=return_grad,
        grad_output=grad_output,
    )
    best = None if gold is None else parse_per_list(gold, items.outer.count, "gold", signed=True)
    lists = items.lists
    order = slice(None) if relevance is None else lists.descending(items.take(grades))
    ordered = items.take(values)[order]
    losses, slopes = _lag_terms(lists, ordered, step)
    gold_slopes = np.zeros(lists.count)
    if best is not None:
        share = factor / lists.spread(lists.sizes)
        gaps = difference(ordered, lists.spread(best)) + lead
        losses += np.maximum(gaps, 0.0) * share
        pull = np.where(gaps > 0, share, np.where(gaps == gaps, 0.0, np.nan))
        slopes += pull
        gold_slopes = -lists.sum(pull)
    sums, enough = lists.sum(losses), lists.sizes > (1 if best is None else 0)
    unsorted = np.empty(len(slopes))
    unsorted[order] = slopes
    result = items.finish(how, values, sums, enough, unsorted)
    if not how.return_grad:
        return result
    value, grads = result
    if best is None:
        return value, LagMarginGrads(grads.scores, None)
    scale = how(sums, enough)[1]
    gold_slopes = np.where(scale == 0, 0.0, gold_slopes * scale)
    return value, LagMarginGrads(grads.scores, in_dtype_of(gold_slopes, parse_scores(gold, "gold")))  # type: ignore[arg-type]


def _lag_terms(lists: Lists, scores: _Floats, margin: float) -> tuple[_Floats, _Floats]:
    """Return what each item adds to the loss of its list by pairs with those behind it, and the gradient."""
    table, pairs = scores, _lags(lists)
    width = int(lists.sizes[0]) if lists.count else 0
    if width and (lists.sizes == width).all():
        # With places as rows, the pairs of a distance are two stretches of memory.
        table = np.ascontiguousarray(scores.reshape(-1, width).T)
        pairs = ((lag, np.s_[:-lag], np.s_[lag:], 1 / (width - lag)) for lag in range(1, width))
    minus = np.subtract if np.isfinite(scores).all() else difference
    terms, pulls = np.zeros(table.shape), np.zeros(table.shape)
    for lag, front, back, share in pairs:
        gaps = minus(table[back], table[front])
        gaps += lag * margin
        terms[front] += np.maximum(gaps, 0.0) * share
        pull = (gaps > 0) * share
        pulls[front] -= pull
        pulls[back] += pull
    return terms.T.ravel(), pulls.T.ravel()


def _lags(lists: Lists) -> Iterator[tuple[int, Any, Any, Any]]:
    """Step through the distances of items in their lists.

    Yields the distance, the items that have another so far behind, these others, and one over the number of such pairs
    in the list, for each.
    """
    sizes, left = lists.spread(lists.sizes), lists.spread(lists.offsets[1:]) - np.arange(lists.offsets[-1])
    lag, front = 1, np.flatnonzero(left > 1)
    while len(front):
        yield lag, front, front + lag, 1 / (sizes[front] - lag)
        lag += 1
        front = front[left[front] > lag]
