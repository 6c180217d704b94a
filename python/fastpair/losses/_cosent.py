"""A log-sum-exp over all pairs of different targets, in O(n log n): `cosent`."""

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import ArrayLike, on_gpu_too
from fastpair._validate import check_number
from fastpair.losses._graded import BEYOND, parse_graded, ties, unsorted
from fastpair.losses._lists import Lists, OnEmpty, ReductionName

__all__ = ["cosent"]

_Floats: TypeAlias = npt.NDArray[np.float64]
_Ints: TypeAlias = npt.NDArray[np.int64]


@on_gpu_too
def cosent(
    scores: ArrayLike,
    targets: ArrayLike,
    *,
    groups: ArrayLike | None = None,
    offsets: ArrayLike | None = None,
    scale: float = 20.0,
    weights: ArrayLike | None = None,
    on_empty: OnEmpty = "skip",
    reduction: ReductionName = "mean",
    return_grad: bool = False,
    grad_output: ArrayLike | None = None,
) -> Any:
    r"""Compute the CoSENT loss: a log-sum-exp over all pairs, which wrongly ordered ones dominate.

    Parameters
    ----------
    scores : array_like, shape (n,)
        Predicted similarities, customarily cosines.
    targets : array_like, shape (n,)
        Gold similarities, of which only the order counts. NaN leaves the item out.
    groups : array_like, shape (n,), optional
        Ids of lists (integers or strings, in any order). Without these and `offsets` all scores are one list.
    offsets : array_like of int, shape (g + 1,), optional
        The same for lists that are contiguous: list ``i`` is ``scores[offsets[i]:offsets[i + 1]]``.
    scale : float
        What multiplies the differences, positive: the reciprocal of a temperature.
    weights : array_like, shape (g,), optional
        A weight for each list, finite and not negative.
    on_empty : {"skip", "zero", "error"}
        What a list without two different targets does: it is left out, counts with loss 0, or is refused.
    reduction : {"mean", "sum", "none"}
        Return the mean or the sum over lists, or one value for each.
    return_grad : bool
        Return the gradient as well.
    grad_output : array_like, shape (g,), optional
        For ``reduction="none"`` with `return_grad`, which needs it: the gradient with respect to each value.

    Returns
    -------
    value : numpy.float64 or ndarray
        The loss; for ``reduction="none"`` float64, shape (g,), in order of first appearance of the ids or in the order
        of offsets. 0.0 where targets do not differ.
    grads : ScoreGrads
        With `return_grad`: the named tuple ``(scores,)``, in the order and dtype of the scores (float64 for integers).

    Raises
    ------
    TypeError
        If a dtype cannot be used, or the scale is not a number.
    ValueError
        If shapes do not match, a weight is negative or not finite, or an option is unknown or out of range.

    See Also
    --------
    fastpair.losses.pearson : Compares the sizes of gaps, not only the order.
    fastpair.losses.ranknet : Adds up one term for each pair instead.

    Notes
    -----
    With the targets g and the scale c, a list has the loss

    .. math:: S = \log\Big(1 + \sum_{g_i < g_j} e^{c (s_i - s_j)}\Big) .

    The gradient moves the two scores of each pair apart by c times its share of that sum. Items of equal targets make
    no pair; a pair of equal scores counts 1. Sums run along the sorted targets in the log domain: nothing overflows,
    and small terms are not lost beside large ones.

    Equal infinite scores differ by 0. Where infinite scores are ordered wrongly the value is inf and the gradients of
    the list are NaN; a NaN score makes its list NaN.

    Cost: O(n log n). Memory: O(n).

    References
    ----------
    .. [1] J. Su (2022). CoSENT: a more effective scheme of sentence vectors than Sentence-BERT.
       https://kexue.fm/archives/8847.
    .. [2] B. Zhang et al. (2025). CoDiEmb: a collaborative yet distinct framework for unified representation learning
       in information retrieval and semantic textual similarity.

    Examples
    --------
    >>> import fastpair
    >>> value, grads = fastpair.losses.cosent([0.9, 0.2, 0.5, 0.4], [5, 1, 3, 3], return_grad=True)
    >>> value.round(9)
    np.float64(0.020954988)
    >>> grads.scores.round(6)
    array([-0.007476,  0.40728 , -0.041977, -0.357827])
    """
    factor = check_number(scale, "scale", above=0)
    how: dict[str, Any] = {"weights": weights, "on_empty": on_empty, "reduction": reduction}
    how |= {"return_grad": return_grad, "grad_output": grad_output}
    values, gold, items, lists_to_value = parse_graded(scores, targets, groups, offsets, **how)
    lists, order = items.lists, items.lists.descending(gold)
    raw, gold = items.take(values)[order], gold[order]
    begins, ends = ties(lists, gold)
    infinite = np.isinf(raw)
    sides = np.where(infinite, np.sign(raw), 0.0)
    # In the logarithm: of each item, the sum over those with lower targets, and over those with higher of the inverses.
    below, above = np.full_like(raw, -np.inf), np.full_like(raw, -np.inf)
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        base = lists.spread(lists.max(np.where(infinite, -np.inf, raw)))
        logits = np.where(infinite, 0.0, np.maximum(factor * (raw - base), -BEYOND))
        for side in (-1, 0, 1) if infinite.any() else (0,):
            own = sides == side
            lower = _behind(lists, np.where(own, logits, -np.inf), ends)
            below = np.where(own, lower, below)
            above = np.where(own, _before(lists, np.where(own, -logits, -np.inf), begins), above)
            below[(sides < side) & (lower > -np.inf)] = np.inf
        terms = below - logits
        sums = np.logaddexp(0.0, lists.logsumexp(terms))
        total = lists.spread(sums)
        slopes = factor * (np.exp(logits + above - total) - np.exp(terms - total))
    slopes[np.isinf(total)] = np.nan
    return items.finish(lists_to_value, values, sums, lists.max(gold) > lists.min(gold), unsorted(slopes, order))


def _behind(lists: Lists, values: _Floats, ends: _Ints) -> _Floats:
    """Return for each element the log-sum-exp of its list from `ends` on."""
    there = ends < lists.spread(lists.offsets[1:])
    return np.where(there, lists.suffix_logsumexp(values)[np.where(there, ends, 0)], -np.inf)


def _before(lists: Lists, values: _Floats, begins: _Ints) -> _Floats:
    """Return for each element the log-sum-exp of its list before `begins`."""
    there = begins > lists.spread(lists.offsets[:-1])
    return np.where(there, lists.prefix_logsumexp(values)[np.where(there, begins - 1, 0)], -np.inf)
