"""Losses of scores against graded targets: `pearson`, `rank_kl`, and what `cosent` and `pro_rank` share with them."""

from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import ArrayLike, on_gpu_too
from fastpair._validate import check_choice, check_number
from fastpair.losses._items import Items, parse_items
from fastpair.losses._lists import (
    Lists,
    OnEmpty,
    Reduction,
    ReductionName,
    parse_companion,
    parse_reduction,
    parse_scores,
)

__all__ = ["BEYOND", "parse_graded", "pearson", "rank_kl", "ties", "unsorted"]

_Array: TypeAlias = npt.NDArray[Any]
_Floats: TypeAlias = npt.NDArray[np.float64]
_Ints: TypeAlias = npt.NDArray[np.int64]

BEYOND = 1e150
"""Finite logits and weights end here, so that sums and products of two of them stay finite."""


@on_gpu_too
def pearson(
    scores: ArrayLike,
    targets: ArrayLike,
    *,
    groups: ArrayLike | None = None,
    offsets: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    on_empty: OnEmpty = "skip",
    reduction: ReductionName = "mean",
    return_grad: bool = False,
    grad_output: ArrayLike | None = None,
) -> Any:
    r"""Compute one minus the Pearson correlation of scores and targets.

    Parameters
    ----------
    scores : array_like, shape (n,)
        Predictions.
    targets : array_like, shape (n,)
        Gold values, finite. NaN leaves the item out.
    groups : array_like, shape (n,), optional
        Ids of lists (integers or strings, in any order). Without these and `offsets` all scores are one list.
    offsets : array_like of int, shape (g + 1,), optional
        The same for lists that are contiguous: list ``i`` is ``scores[offsets[i]:offsets[i + 1]]``.
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
        If a dtype cannot be used.
    ValueError
        If shapes do not match, a target is infinite, a weight is negative or not finite, or an option is unknown.

    See Also
    --------
    fastpair.losses.cosent : Goes by the order of the targets only.

    Notes
    -----
    With the scores and targets of a list standardised to :math:`\hat s` and :math:`\hat g` by their means and
    population standard deviations, and :math:`\sigma` that of the scores,

    .. math:: S = 1 - r = \frac{1}{2 n} \sum_i (\hat s_i - \hat g_i)^2, \quad r = \frac1n \sum_i \hat s_i \hat g_i,
       \quad \frac{\partial S}{\partial s_i} = -\frac{\hat g_i - r \hat s_i}{n \sigma} .

    The sum of squares is evaluated, which keeps its digits where the correlation is nearly 1. Constant scores have the
    value 1 and the gradient 0. Numbers are scaled by powers of 2 first, so that squares neither overflow nor vanish.

    Infinite and NaN scores make their list NaN. Cost: O(n). Memory: O(n).

    References
    ----------
    .. [1] K. Pearson (1895). Notes on regression and inheritance in the case of two parents. Proceedings of the Royal
       Society of London 58.
    .. [2] B. Zhang et al. (2025). CoDiEmb: a collaborative yet distinct framework for unified representation learning
       in information retrieval and semantic textual similarity.

    Examples
    --------
    >>> import fastpair
    >>> fastpair.losses.pearson([0.9, 0.2, 0.5, 0.4], [5, 1, 3, 3]).round(9)
    np.float64(0.029274657)
    """
    how: dict[str, Any] = {"weights": weights, "on_empty": on_empty, "reduction": reduction}
    how |= {"return_grad": return_grad, "grad_output": grad_output}
    values, gold, items, lists_to_value = parse_graded(scores, targets, groups, offsets, finite=True, **how)
    lists = items.lists
    x, length = _unit(lists, items.take(values))
    y, spread_of_gold = _unit(lists, gold)
    gap = y - x
    sums = np.where(length == 0, 1.0, lists.sum(gap * gap) / 2)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        slopes = np.where(lists.spread(length == 0), 0.0, -(gap + lists.spread(sums) * x) / lists.spread(length))
    return items.finish(lists_to_value, values, sums, spread_of_gold > 0, slopes)


@on_gpu_too
def rank_kl(
    scores: ArrayLike,
    targets: ArrayLike,
    *,
    groups: ArrayLike | None = None,
    offsets: ArrayLike | None = None,
    temperature: float = 0.05,
    weights: ArrayLike | None = None,
    normalizer: Literal["sum", "n"] = "sum",
    on_empty: OnEmpty = "skip",
    reduction: ReductionName = "mean",
    return_grad: bool = False,
    grad_output: ArrayLike | None = None,
) -> Any:
    r"""Compute the Kullback-Leibler divergence of the softmax of scores from that of ideal scores by rank.

    Parameters
    ----------
    scores : array_like, shape (n,)
        Predicted similarities.
    targets : array_like, shape (n,)
        Gold similarities, of which only the order counts. NaN leaves the item out.
    groups : array_like, shape (n,), optional
        Ids of lists (integers or strings, in any order). Without these and `offsets` all scores are one list.
    offsets : array_like of int, shape (g + 1,), optional
        The same for lists that are contiguous: list ``i`` is ``scores[offsets[i]:offsets[i + 1]]``.
    temperature : float
        What divides scores and ideal scores, positive.
    weights : array_like, shape (g,), optional
        A weight for each list, finite and not negative.
    normalizer : {"sum", "n"}
        Take the divergence of each list as it is, or divide it by the number of its items, as the code of the paper
        does (the "batchmean" of one dimension).
    on_empty : {"skip", "zero", "error"}
        What a list of less than two items does: it is left out, counts with loss 0, or is refused.
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
        of offsets. 0.0 for lists of less than two items.
    grads : ScoreGrads
        With `return_grad`: the named tuple ``(scores,)``, in the order and dtype of the scores (float64 for integers).

    Raises
    ------
    TypeError
        If a dtype cannot be used, or the temperature is not a number.
    ValueError
        If shapes do not match, a weight is negative or not finite, or an option is unknown or out of range.

    See Also
    --------
    fastpair.losses.listnet : The softmax of the targets themselves.

    Notes
    -----
    The item of rank :math:`\rho_i` (0 for the largest target, the mean of their ranks for equal ones) among n should
    score :math:`(n - 1 - \rho_i) / (n - 1)`. With the temperature t, p the softmax of that over t and q the softmax of
    :math:`s / t`,

    .. math:: S = \sum_i p_i \log \frac{p_i}{q_i}, \quad \frac{\partial S}{\partial s_i} = \frac{q_i - p_i}{t} .

    All targets equal ask for equal scores. A score of -inf has the value inf; inf and NaN make their list NaN.

    Cost: O(n log n). Memory: O(n).

    References
    ----------
    .. [1] B. Zhang et al. (2025). CoDiEmb: a collaborative yet distinct framework for unified representation learning
       in information retrieval and semantic textual similarity.

    Examples
    --------
    >>> import fastpair
    >>> fastpair.losses.rank_kl([0.9, 0.2, 0.5, 0.4], [5, 1, 3, 3]).round(8)
    np.float64(0.00020002)
    >>> fastpair.losses.rank_kl([0.9, 0.2, 0.5, 0.4], [5, 1, 3, 3], normalizer="n").round(9)
    np.float64(5.0005e-05)
    """
    heat = check_number(temperature, "temperature", above=0)
    check_choice(normalizer, "normalizer", ("sum", "n"))
    how: dict[str, Any] = {"weights": weights, "on_empty": on_empty, "reduction": reduction}
    how |= {"return_grad": return_grad, "grad_output": grad_output}
    values, gold, items, lists_to_value = parse_graded(
        scores,
        targets,
        groups,
        offsets,
        **how,
        normalizer="groups" if normalizer == "n" else "sum",
    )
    lists, order = items.lists, items.lists.descending(gold)
    begins, ends = ties(lists, gold[order])
    last = lists.spread(np.maximum(lists.sizes - 1, 1))
    ranks = (begins + ends - 1) / 2 - lists.spread(lists.offsets[:-1])
    # Both softmaxes are of differences from the best, where numbers are smallest.
    wanted = _log_softmax(lists, unsorted(-ranks / last, order) / heat)
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        raw = items.take(values)
        found = _log_softmax(lists, (raw - lists.spread(lists.max(raw))) / heat)
        target = np.exp(wanted)
        sums = np.maximum(lists.sum(target * (wanted - found)), 0.0)  # rounding may leave less than nothing
        slopes = (np.exp(found) - target) / heat
    sizes = np.where(lists.sizes > 1, lists.sizes if normalizer == "n" else 1, 0)
    return items.finish(lists_to_value, values, sums, sizes, slopes)


def parse_graded(
    scores: ArrayLike,
    targets: ArrayLike,
    groups: ArrayLike | None,
    offsets: ArrayLike | None,
    *,
    finite: bool = False,
    **how: Any,
) -> tuple[_Array, _Floats, Items, Reduction]:
    """Return the scores as they are, the targets of the items that count in list order, these items, the reduction."""
    values = parse_scores(scores)
    gold = parse_companion(targets, values, "targets")
    if finite and np.isinf(gold).any():
        place = int(np.isinf(gold).argmax())
        raise ValueError(f"targets is {gold[place]} at index {place}; pass finite targets, or NaN to leave an item out")
    items = parse_items(values, gold, groups, offsets)
    return values, items.take(gold), items, parse_reduction(items.outer.count, **how)


def unsorted(values: _Floats, order: _Ints) -> _Floats:
    """Undo ``values[order]``."""
    result = np.empty_like(values)
    result[order] = values
    return result


def ties(lists: Lists, values: _Floats) -> tuple[_Ints, _Ints]:
    """Return for each element of sorted lists where the stretch of values equal to its own begins and ends."""
    new = lists.begins()
    new[1:] |= values[1:] != values[:-1]
    borders = np.append(np.flatnonzero(new), len(values))
    stretch = np.cumsum(new)
    return borders[stretch - 1], borders[stretch]


def _unit(lists: Lists, values: _Floats) -> tuple[_Floats, _Floats]:
    """Return the values of each list, centred and divided by their norm, and that norm; 0 for lists of equal values."""
    with np.errstate(over="ignore", under="ignore", invalid="ignore", divide="ignore"):
        first = np.frexp(lists.max(np.abs(values)))[1]
        values = np.ldexp(values, -lists.spread(first))
        # Differences from the smallest are exactly 0 if all are equal, those from a rounded mean may not be.
        values = values - lists.spread(lists.min(values))
        values -= lists.spread(lists.sum(values) / lists.sizes)
        second = np.frexp(lists.max(np.abs(values)))[1]
        values = np.ldexp(values, -lists.spread(second))
        norms = np.sqrt(lists.sum(values * values))
        unit = values / lists.spread(np.where(norms == 0, 1.0, norms))
        lengths = np.ldexp(norms, first + second)
    # Subnormal values may be closer than any number can say, but they are not equal.
    lengths[(lengths == 0) & (norms > 0)] = np.finfo(np.float64).smallest_subnormal
    return unit, lengths


def _log_softmax(lists: Lists, logits: _Floats) -> _Floats:
    return logits - lists.spread(lists.logsumexp(logits))
