"""Ranking metrics on soft ranks: `smooth_ap`, `approx_ndcg` and `approx_mrr`, each one minus the metric of a list."""

from typing import Any, Literal, SupportsIndex

import numpy as np

from fastpair._array import ArrayLike, on_gpu_too
from fastpair._embeddings import check_count
from fastpair._labels import Label
from fastpair._validate import check_choice
from fastpair.losses._items import parse_items, parse_positives
from fastpair.losses._lambda_rank import Gain, gains_of, ideal_dcg, ranks_of
from fastpair.losses._lists import OnEmpty, ReductionName, parse_reduction, parse_scores
from fastpair.losses._soft_rank import Ranker

__all__ = ["approx_mrr", "approx_ndcg", "smooth_ap"]


@on_gpu_too
def smooth_ap(
    scores: ArrayLike,
    labels: ArrayLike,
    *,
    groups: ArrayLike | None = None,
    offsets: ArrayLike | None = None,
    temperature: float = 0.01,
    weights: ArrayLike | None = None,
    on_empty: OnEmpty = "skip",
    reduction: ReductionName = "mean",
    rtol: float = 1e-12,
    return_grad: bool = False,
    grad_output: ArrayLike | None = None,
    pos_label: Label | None = None,
    num_threads: SupportsIndex | None = None,
) -> Any:
    r"""Compute one minus average precision on soft ranks (Smooth-AP).

    Parameters
    ----------
    scores : array_like, shape (n,)
        Real scores, the higher the better.
    labels : array_like, shape (n,)
        Two classes, as for `fastpair.auc`. NaN leaves the item out.
    groups : array_like, shape (n,), optional
        Ids of lists (integers or strings, in any order). Without these and `offsets` all scores are one list.
    offsets : array_like of int, shape (g + 1,), optional
        The same for lists that are contiguous: list ``i`` is ``scores[offsets[i]:offsets[i + 1]]``.
    temperature : float
        What divides the differences of scores, positive.
    weights : array_like, shape (g,), optional
        A weight for each list, finite and not negative.
    on_empty : {"skip", "zero", "error"}
        What a list without a positive does: it is left out, counts with loss 0, or is refused.
    reduction : {"mean", "sum", "none"}
        Return the mean or the sum over lists, or one value for each.
    rtol : float
        The relative error that soft ranks may have, from 1e-13 to 1e-2. Larger is faster.
    return_grad : bool
        Return the gradient as well.
    grad_output : array_like, shape (g,), optional
        For ``reduction="none"`` with `return_grad`, which needs it: the gradient with respect to each value.
    pos_label : scalar, optional
        The label of the positive class. Needed unless labels are bool, 0/1 or -1/1.
    num_threads : int, optional
        The most threads to use; by default `fastpair.get_num_threads`.

    Returns
    -------
    value : numpy.float64 or ndarray
        The loss; for ``reduction="none"`` float64, shape (g,), in order of first appearance of the ids or in the order
        of offsets. 0.0 where there is no positive.
    grads : ScoreGrads
        With `return_grad`: the named tuple ``(scores,)``, in the order and dtype of the scores (float64 for integers).

    Raises
    ------
    TypeError
        If a dtype cannot be used.
    ValueError
        If shapes do not match, labels are not two classes of which one is known to be positive, a weight is negative or
        not finite, or an option is unknown or out of range.

    See Also
    --------
    fastpair.losses.soft_rank : The ranks.
    fastpair.losses.fast_ap : Average precision by bins.

    Notes
    -----
    With the P positives of a list, the soft rank :math:`r_i` of positive i among all items and :math:`r^+_i` among
    positives,

    .. math:: S = 1 - \frac{1}{P} \sum_i \frac{r^+_i}{r_i} .

    As the temperature tends to 0, this is one minus average precision, tied items at their mean rank. A NaN score makes
    its list NaN. Cost and memory: O(n).

    References
    ----------
    .. [1] A. Brown, W. Xie, V. Kalogeiton and A. Zisserman (2020). Smooth-AP: smoothing the path towards large-scale
       image retrieval. ECCV.

    Examples
    --------
    >>> import fastpair
    >>> fastpair.losses.smooth_ap([0.9, 0.7, 0.5, 0.3], [1, 0, 1, 0]).round(6)
    np.float64(0.166667)
    """
    ranker = Ranker.parse(temperature, rtol, num_threads)
    values = parse_scores(scores)
    positive = parse_positives(labels, values, pos_label)
    items = parse_items(values, positive, groups, offsets)
    how = parse_reduction(
        items.outer.count,
        reduction=reduction,
        on_empty=on_empty,
        weights=weights,
        return_grad=return_grad,
        grad_output=grad_output,
    )
    ordered, chosen = items.take(values), items.take(positive) > 0
    which = chosen if isinstance(chosen, np.ndarray) else np.flatnonzero(chosen)  # to ask how many there are once
    best = ordered[which]
    own = items.lists.select(chosen, len(best))
    among_all, among_own, count = ranker.ranks(ordered, items.lists)[which], ranker.ranks(best, own), own.sizes
    precision = among_own / among_all
    sums = (count > 0) - own.sum(precision) / np.maximum(count, 1)
    if not how.return_grad:
        return how.finish(items.outer, values, sums, count, None)
    share = -1 / (own.spread(count) * among_all)
    upstream = np.zeros_like(ordered)
    upstream[which] = -share * precision
    gradient = ranker.pull(ordered, items.lists, upstream)
    gradient[which] += ranker.pull(best, own, share)
    return items.finish(how, values, sums, count, gradient)


@on_gpu_too
def approx_ndcg(
    scores: ArrayLike,
    relevance: ArrayLike,
    *,
    groups: ArrayLike | None = None,
    offsets: ArrayLike | None = None,
    temperature: float = 0.1,
    cut: SupportsIndex | None = None,
    gain: Gain = "exponential",
    compat: Literal["allrank"] | None = None,
    weights: ArrayLike | None = None,
    on_empty: OnEmpty = "skip",
    reduction: ReductionName = "mean",
    rtol: float = 1e-12,
    return_grad: bool = False,
    grad_output: ArrayLike | None = None,
    num_threads: SupportsIndex | None = None,
) -> Any:
    r"""Compute one minus NDCG on soft ranks (ApproxNDCG).

    Parameters
    ----------
    scores : array_like, shape (n,)
        Real scores, the higher the better.
    relevance : array_like, shape (n,)
        Grades of the items, not negative. NaN leaves the item out.
    groups : array_like, shape (n,), optional
        Ids of lists (integers or strings, in any order). Without these and `offsets` all scores are one list.
    offsets : array_like of int, shape (g + 1,), optional
        The same for lists that are contiguous: list ``i`` is ``scores[offsets[i]:offsets[i + 1]]``.
    temperature : float
        What divides the differences of scores, positive.
    cut : int, optional
        Only items that have the highest `cut` scores count (ties by index), and the ideal DCG ends there. At least 1.
    gain : {"exponential", "linear"}
        The gain of an item: ``2**relevance - 1``, or its relevance.
    compat : {"allrank"}, optional
        Give the numbers of ``approxNDCGLoss`` of allRank: the negative NDCG at temperature 1, and the mean over all
        lists, those without relevance with 0.
    weights : array_like, shape (g,), optional
        A weight for each list, finite and not negative.
    on_empty : {"skip", "zero", "error"}
        What a list without relevance does: it is left out, counts with loss 0, or is refused.
    reduction : {"mean", "sum", "none"}
        Return the mean or the sum over lists, or one value for each.
    rtol : float
        The relative error that soft ranks may have, from 1e-13 to 1e-2. Larger is faster.
    return_grad : bool
        Return the gradient as well.
    grad_output : array_like, shape (g,), optional
        For ``reduction="none"`` with `return_grad`, which needs it: the gradient with respect to each value.
    num_threads : int, optional
        The most threads to use; by default `fastpair.get_num_threads`.

    Returns
    -------
    value : numpy.float64 or ndarray
        The loss; for ``reduction="none"`` float64, shape (g,), in order of first appearance of the ids or in the order
        of offsets. 0.0 where there is no relevance.
    grads : ScoreGrads
        With `return_grad`: the named tuple ``(scores,)``, in the order and dtype of the scores (float64 for integers).

    Raises
    ------
    TypeError
        If a dtype cannot be used.
    ValueError
        If shapes do not match, a relevance or a weight is negative or not finite, or an option is unknown or out of
        range.

    See Also
    --------
    fastpair.losses.soft_rank : The ranks.
    fastpair.losses.lambda_rank : Pairs weighted by the change of NDCG.

    Notes
    -----
    With the gains G and the soft ranks r of a list,

    .. math:: S = 1 - \frac{1}{\mathrm{IDCG}} \sum_i \frac{G_i}{\log_2(1 + r_i)} .

    As the temperature tends to 0, this is one minus NDCG, tied items at their mean rank. Which items the cut leaves
    carries no gradient. A NaN score makes its list NaN.

    Cost: O(n), and a sort of each list by relevance. Memory: O(n).

    References
    ----------
    .. [1] T. Qin, T.-Y. Liu and H. Li (2010). A general approximation framework for direct optimization of information
       retrieval measures. Information Retrieval 13.
    .. [2] S. Bruch, M. Zoghi, M. Bendersky and M. Najork (2019). Revisiting approximate metric optimization in the age
       of deep neural networks. SIGIR.

    Examples
    --------
    >>> import fastpair
    >>> fastpair.losses.approx_ndcg([3.0, 1.0, 2.0], [2, 0, 1]).round(3)
    np.float64(0.0)
    >>> fastpair.losses.approx_ndcg([3.0, 1.0, 2.0], [0, 2, 1]).round(3)
    np.float64(0.413)
    """
    last = 0 if cut is None else check_count(cut, "cut", 1)
    if compat is not None:
        check_choice(compat, "compat", ("allrank",))
        temperature, on_empty = 1.0, "zero"
    ranker = Ranker.parse(temperature, rtol, num_threads)
    values = parse_scores(scores)
    all_gains = gains_of(relevance, values, gain)
    items = parse_items(values, all_gains, groups, offsets)
    how = parse_reduction(
        items.outer.count,
        reduction=reduction,
        on_empty=on_empty,
        weights=weights,
        return_grad=return_grad,
        grad_output=grad_output,
    )
    ordered, gains, lists = items.take(values), items.take(all_gains), items.lists
    ideal = ideal_dcg(lists, gains, last)
    if last:
        gains = np.where(ranks_of(lists, ordered) <= last, gains, 0.0)
    share = gains / lists.spread(np.where(ideal > 0, ideal, 1.0))
    ranks = ranker.ranks(ordered, lists)
    logs = np.log2(1 + ranks)
    sums = -lists.sum(share / logs)
    if compat is None:
        sums += ideal > 0
    if not how.return_grad:
        return how.finish(items.outer, values, sums, ideal, None)
    upstream = share / (np.log(2.0) * (1 + ranks) * logs * logs)
    return items.finish(how, values, sums, ideal, ranker.pull(ordered, lists, upstream))


@on_gpu_too
def approx_mrr(
    scores: ArrayLike,
    labels: ArrayLike,
    *,
    groups: ArrayLike | None = None,
    offsets: ArrayLike | None = None,
    temperature: float = 0.1,
    relevant: Literal["first", "mean"] = "first",
    weights: ArrayLike | None = None,
    on_empty: OnEmpty = "skip",
    reduction: ReductionName = "mean",
    rtol: float = 1e-12,
    return_grad: bool = False,
    grad_output: ArrayLike | None = None,
    pos_label: Label | None = None,
    num_threads: SupportsIndex | None = None,
) -> Any:
    r"""Compute one minus the reciprocal rank on soft ranks (ApproxMRR).

    Parameters
    ----------
    scores : array_like, shape (n,)
        Real scores, the higher the better.
    labels : array_like, shape (n,)
        Two classes, as for `fastpair.auc`. NaN leaves the item out.
    groups : array_like, shape (n,), optional
        Ids of lists (integers or strings, in any order). Without these and `offsets` all scores are one list.
    offsets : array_like of int, shape (g + 1,), optional
        The same for lists that are contiguous: list ``i`` is ``scores[offsets[i]:offsets[i + 1]]``.
    temperature : float
        What divides the differences of scores, positive.
    relevant : {"first", "mean"}
        Of several positives in a list: only the one that scores highest counts (ties by index), or the mean of their
        reciprocal ranks.
    weights : array_like, shape (g,), optional
        A weight for each list, finite and not negative.
    on_empty : {"skip", "zero", "error"}
        What a list without a positive does: it is left out, counts with loss 0, or is refused.
    reduction : {"mean", "sum", "none"}
        Return the mean or the sum over lists, or one value for each.
    rtol : float
        The relative error that soft ranks may have, from 1e-13 to 1e-2. Larger is faster.
    return_grad : bool
        Return the gradient as well.
    grad_output : array_like, shape (g,), optional
        For ``reduction="none"`` with `return_grad`, which needs it: the gradient with respect to each value.
    pos_label : scalar, optional
        The label of the positive class. Needed unless labels are bool, 0/1 or -1/1.
    num_threads : int, optional
        The most threads to use; by default `fastpair.get_num_threads`.

    Returns
    -------
    value : numpy.float64 or ndarray
        The loss; for ``reduction="none"`` float64, shape (g,), in order of first appearance of the ids or in the order
        of offsets. 0.0 where there is no positive.
    grads : ScoreGrads
        With `return_grad`: the named tuple ``(scores,)``, in the order and dtype of the scores (float64 for integers).

    Raises
    ------
    TypeError
        If a dtype cannot be used.
    ValueError
        If shapes do not match, labels are not two classes of which one is known to be positive, a weight is negative or
        not finite, or an option is unknown or out of range.

    See Also
    --------
    fastpair.losses.soft_rank : The ranks.

    Notes
    -----
    With the soft rank :math:`r_f` of the first positive f of a list,

    .. math:: S = 1 - \frac{1}{r_f} .

    As the temperature tends to 0, the mean is one minus the mean reciprocal rank. With "mean" it is that of TF-Ranking.
    A NaN score makes its list NaN. Cost and memory: O(n).

    References
    ----------
    .. [1] T. Qin, T.-Y. Liu and H. Li (2010). A general approximation framework for direct optimization of information
       retrieval measures. Information Retrieval 13.
    .. [2] R. K. Pasumarthi et al. (2019). TF-Ranking: scalable TensorFlow library for learning-to-rank. KDD.

    Examples
    --------
    >>> import fastpair
    >>> fastpair.losses.approx_mrr([3.0, 1.0, 2.0], [0, 1, 1]).round(3)
    np.float64(0.5)
    """
    check_choice(relevant, "relevant", ("first", "mean"))
    ranker = Ranker.parse(temperature, rtol, num_threads)
    values = parse_scores(scores)
    positive = parse_positives(labels, values, pos_label)
    items = parse_items(values, positive, groups, offsets)
    how = parse_reduction(
        items.outer.count,
        reduction=reduction,
        on_empty=on_empty,
        weights=weights,
        return_grad=return_grad,
        grad_output=grad_output,
    )
    ordered = items.take(values)
    chosen = np.flatnonzero(items.take(positive) > 0)
    own = items.lists.select(items.take(positive) > 0, len(chosen))
    if relevant == "first":
        chosen = chosen[own.descending(ordered[chosen])[own.offsets[:-1][own.sizes > 0]]]
        own = own.of_sizes(own.sizes > 0)
    inverse, count = 1 / ranker.ranks(ordered, items.lists)[chosen], own.sizes
    sums = (count > 0) - own.sum(inverse) / np.maximum(count, 1)
    if not how.return_grad:
        return how.finish(items.outer, values, sums, count, None)
    upstream = np.zeros_like(ordered)
    upstream[chosen] = inverse * inverse / own.spread(count)
    return items.finish(how, values, sums, count, ranker.pull(ordered, items.lists, upstream))
