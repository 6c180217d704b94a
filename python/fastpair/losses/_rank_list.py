"""Pairs of items that are some places apart in the right order of each list: `rank_list`."""

from typing import Any, Literal, SupportsIndex, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import ArrayLike, library_of, on_gpu_too
from fastpair._embeddings import check_flag
from fastpair._validate import check_num_threads
from fastpair.losses._aligned import difference, sigmoid, softplus
from fastpair.losses._items import parse_items
from fastpair.losses._lists import (
    Lists,
    OnEmpty,
    ReductionName,
    lists_of,
    parse_companion,
    parse_reduction,
    parse_scores,
)

__all__ = ["rank_list"]

_Floats: TypeAlias = npt.NDArray[np.float64]
_Ints: TypeAlias = npt.NDArray[np.int64]


@on_gpu_too
def rank_list(
    scores: ArrayLike,
    relevance: ArrayLike,
    *,
    groups: ArrayLike | None = None,
    offsets: ArrayLike | None = None,
    skips: ArrayLike = (1, 2),
    tail: bool = False,
    weights: ArrayLike | None = None,
    normalizer: Literal["sum", "groups", "pairs"] = "sum",
    on_empty: OnEmpty = "skip",
    reduction: ReductionName = "mean",
    return_grad: bool = False,
    grad_output: ArrayLike | None = None,
    num_threads: SupportsIndex | None = None,
) -> Any:
    r"""Compute RankNet terms between items that are some places apart in the right order (RankList).

    Parameters
    ----------
    scores : array_like, shape (n,)
        Real scores, the higher the better.
    relevance : array_like, shape (n,)
        Real grades of the items: the right order is from the highest on. NaN leaves the item out.
    groups : array_like, shape (n,), optional
        Ids of lists (integers or strings, in any order). Without these and `offsets` all scores are one list.
    offsets : array_like of int, shape (g + 1,), optional
        The same for lists that are contiguous: list ``i`` is ``scores[offsets[i]:offsets[i + 1]]``.
    skips : array_like of int, shape (d,)
        How many places apart, at least 1. More of them, step by step, make a curriculum.
    tail : bool
        For skips above 1, compare with all items from there on, by their log-sum-exp, instead of one.
    weights : array_like, shape (g,), optional
        A weight for each list, finite and not negative.
    normalizer : {"sum", "groups", "pairs"}
        What the mean is taken over: lists, each with the sum over its terms; lists, each with the mean over its terms;
        all terms of all lists.
    on_empty : {"skip", "zero", "error"}
        What a list without a term does: it is left out, counts with loss 0, or is refused.
    reduction : {"mean", "sum", "none"}
        Return the mean, the sum over lists, or one value for each list.
    return_grad : bool
        Return the gradient as well.
    grad_output : array_like, shape (g,), optional
        For ``reduction="none"`` with `return_grad`, which needs it: the gradient with respect to each value.
    num_threads : int, optional
        Checked, but not used: this loss is computed by one thread.

    Returns
    -------
    value : numpy.float64 or ndarray
        The loss; for ``reduction="none"`` float64, shape (g,), in order of first appearance of the ids or in the order
        of offsets. 0.0 where there is no term.
    grads : ScoreGrads
        With `return_grad`: the named tuple ``(scores,)``, in the order and dtype of the scores (float64 for integers).

    Raises
    ------
    TypeError
        If a dtype cannot be used.
    ValueError
        If shapes do not match, a skip is below 1, a weight is negative or not finite, or an option is unknown.

    See Also
    --------
    fastpair.losses.ranknet : All pairs.
    fastpair.losses.plackett_luce : Each item against all that follow it.

    Notes
    -----
    With the scores in the right order, a list has the loss

    .. math:: S = \sum_d \sum_i \log\left(1 + e^{s_{i+d} - s_i}\right),

    and with the tail, for :math:`d > 1`, the term :math:`\log(1 + \sum_{j \ge i + d} e^{s_j - s_i})`. Only items of
    lower relevance than item i count; items of equal relevance follow each other by index. The weights of the skips are
    not published; here they are equal.

    A NaN score makes its list NaN. Cost: a sort, and O(n) for each skip. Memory: O(n).

    References
    ----------
    .. [1] A. R. Naini, F. Diaz and C. Busso (2025). RankList: a listwise preference learning framework for predicting
       subjective preferences.

    Examples
    --------
    >>> import fastpair
    >>> fastpair.losses.rank_list([2.0, 1.0, 0.5], [2, 1, 0]).round(6)
    np.float64(0.988752)
    """
    values = parse_scores(scores)
    grades = parse_companion(relevance, values, "relevance")
    steps = np.asarray(skips)
    if steps.ndim != 1 or steps.dtype.kind not in "iu" or not len(steps) or (steps < 1).any():
        raise ValueError(f"skips must be integers of at least 1, not {skips!r}")
    with_tail = check_flag(tail, "tail")
    check_num_threads(num_threads)
    items = parse_items(values, grades, groups, offsets)
    how = parse_reduction(
        items.outer.count,
        reduction=reduction,
        on_empty=on_empty,
        normalizer=normalizer,
        normalizers=("sum", "groups", "pairs"),
        weights=weights,
        return_grad=return_grad,
        grad_output=grad_output,
    )
    ordered = items.take(grades)
    order = items.lists.descending(ordered)
    sums, terms, slopes = _terms_apart(
        items.lists, items.take(values)[order], ordered[order], steps.tolist(), with_tail
    )
    gradient = np.empty_like(slopes)
    gradient[order] = slopes
    return items.finish(how, values, sums, terms, gradient)


def _terms_apart(
    lists: Lists, scores: _Floats, grades: _Floats, skips: list[int], tail: bool
) -> tuple[_Floats, _Floats, _Floats]:
    """Return sums and numbers of the terms of lists in the right order, and the gradient."""
    places = library_of(scores).arange(len(scores))
    ends = lists.spread(lists.offsets[1:])
    # The first item of lower relevance: where the next stretch of equal ones begins.
    begins = lists.begins()
    begins[1:] |= grades[1:] != grades[:-1]
    starts = np.append(np.flatnonzero(begins), len(scores))
    lower = starts[np.cumsum(begins)]
    losses, terms, slopes = np.zeros_like(scores), np.zeros_like(scores), np.zeros_like(scores)
    suffix = lists.suffix_logsumexp(scores) if tail else scores
    for skip in skips:
        rivals = places + skip
        if tail and skip > 1:
            rivals = np.maximum(rivals, lower)
        counted = np.flatnonzero((rivals < ends) & (rivals >= lower))
        rivals = rivals[counted]
        others = suffix if skip > 1 else scores
        behind = difference(others[rivals], scores[counted])
        losses[counted] += softplus(behind)
        terms[counted] += 1
        pull = sigmoid(behind)
        slopes[counted] -= pull
        if tail and skip > 1:
            # Items share what pulls at the stretches they are in: e^s_j times the sum of pull / e^suffix over those
            # that begin before them, in the logarithmic domain.
            weight = np.full_like(scores, -np.inf)
            with np.errstate(divide="ignore", invalid="ignore"):
                _add_logs(weight, rivals, np.log(pull) - others[rivals])
                slopes += np.exp(scores + lists.prefix_logsumexp(weight))
        else:
            slopes[rivals] += pull  # each item is the rival of one other
    return lists.sum(losses), lists.sum(terms), slopes


def _add_logs(to: _Floats, places: _Ints, logs: _Floats) -> None:
    """Write to each place the log-sum-exp of what belongs there; places never fall."""
    if isinstance(to, np.ndarray):
        np.logaddexp.at(to, places, logs)
        return
    begins = np.ones_like(places, np.bool_)
    begins[1:] = places[1:] != places[:-1]
    starts = np.flatnonzero(begins)
    to[places[starts]] = lists_of(np.append(starts, len(places))).logsumexp(logs)
