"""Pairs weighted by what their exchange changes in a metric: `lambda_rank` and the schemes of LambdaLoss."""

from typing import Any, Literal, SupportsIndex, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import ArrayLike, kernels_of, on_gpu_too
from fastpair._embeddings import check_count
from fastpair._validate import check_choice, check_not_negative, check_num_threads, check_number
from fastpair.losses._lists import (
    Lists,
    OnEmpty,
    ReductionName,
    parse_companion,
    parse_lists,
    parse_reduction,
    parse_scores,
)

__all__ = ["Gain", "discounts", "gains_of", "ideal_dcg", "lambda_rank", "ranks_of"]

_Array: TypeAlias = npt.NDArray[Any]
_Floats: TypeAlias = npt.NDArray[np.float64]
Gain: TypeAlias = Literal["exponential", "linear"]

SCHEMES = ("ndcg", "mrr", "none", "ndcg2", "ndcg2++")


@on_gpu_too
def lambda_rank(
    scores: ArrayLike,
    relevance: ArrayLike,
    *,
    groups: ArrayLike | None = None,
    offsets: ArrayLike | None = None,
    delta: Literal["ndcg", "mrr", "none", "ndcg2", "ndcg2++"] = "ndcg",
    cut: SupportsIndex | None = None,
    sigma: float = 1.0,
    mu: float = 10.0,
    gain: Gain = "exponential",
    ranks: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    normalizer: Literal["groups", "pairs", "sum"] = "groups",
    compat: Literal["allrank"] | None = None,
    on_empty: OnEmpty = "skip",
    reduction: ReductionName = "mean",
    return_grad: bool = False,
    grad_output: ArrayLike | None = None,
    num_threads: SupportsIndex | None = None,
) -> Any:
    r"""Compute RankNet with pairs weighted by what their exchange changes in a metric.

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
    delta : {"ndcg", "mrr", "none", "ndcg2", "ndcg2++"}
        What weighs a pair: the change of NDCG (LambdaRank) or of the reciprocal rank, nothing (RankNet), or the schemes
        NDCG-Loss2 and NDCG-Loss2++ of LambdaLoss.
    cut : int, optional
        The last rank that the metric sees, at least 1.
    sigma : float
        What multiplies the differences, positive.
    mu : float
        What multiplies "ndcg2" in "ndcg2++", not negative.
    gain : {"exponential", "linear"}
        The gain of an item for NDCG: ``2**relevance - 1``, or its relevance.
    ranks : array_like, shape (n,), optional
        The ranks of the items, from 1. By default those of the scores, the highest first and ties by index.
    weights : array_like, shape (g,), optional
        A weight for each list, finite and not negative.
    normalizer : {"groups", "pairs", "sum"}
        What the mean is taken over: lists, each with the mean over its pairs; all pairs of all lists; lists, each with
        the sum over its pairs.
    compat : {"allrank"}, optional
        Give the numbers of ``lambdaLoss`` of allRank: logarithms are to base 2; the mean is over all pairs, the sum is
        over them as well, whatever the normalizer; with a cut, only pairs of two items within it count.
    on_empty : {"skip", "zero", "error"}
        What a list without a pair does: it is left out, counts with loss 0, or is refused.
    reduction : {"mean", "sum", "none"}
        Return the mean, the sum over lists, or one value for each list.
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
        of offsets. 0.0 where there is no pair.
    grads : ScoreGrads
        With `return_grad`: the named tuple ``(scores,)``, in the order and dtype of the scores (float64 for integers).

    Raises
    ------
    TypeError
        If a dtype cannot be used.
    ValueError
        If shapes do not match, a relevance, a rank or a weight is out of range, or an option is unknown.

    See Also
    --------
    fastpair.losses.ranknet : All pairs weigh the same, for long lists as well.
    fastpair.losses.approx_ndcg : The metric itself made smooth.

    Notes
    -----
    With the pairs :math:`P_g = \{(i, j): r_i > r_j\}` of list g, their number :math:`Z_g` and m lists that have any,

    .. math::
       L = \frac{1}{m} \sum_g \frac{w_g}{Z_g} \sum_{(i,j) \in P_g} \Delta_{ij}
       \log\left(1 + e^{-\sigma (s_i - s_j)}\right) .

    The weights carry no gradient. With ranks :math:`\rho`, gains G, discounts :math:`D(\rho) = 1 / \log_2(1 + \rho)`
    and the ideal DCG,

    * ndcg: :math:`|G_i - G_j| \, |D(\rho_i) - D(\rho_j)| / \mathrm{IDCG}`;
    * mrr: :math:`|1 / \rho_i - 1 / \rho_j|`; none: 1;
    * ndcg2: :math:`|G_i - G_j| \, |D(d) - D(d + 1)| / \mathrm{IDCG}` with :math:`d = |\rho_i - \rho_j|`;
    * ndcg2++: :math:`\mu` times ndcg2, plus ndcg.

    Beyond the cut :math:`1 / \rho` and D are 0 (but for the D of differences), and the ideal DCG ends there. A NaN
    score makes its list NaN. Clamps of allRank at 1e-10 are not reproduced.

    Cost: the number of pairs, and a sort of each list. Memory: O(n).

    References
    ----------
    .. [1] C. Burges, R. Ragno and Q. V. Le (2006). Learning to rank with nonsmooth cost functions. NeurIPS.
    .. [2] X. Wang, C. Li, N. Golbandi, M. Bendersky and M. Najork (2018). The LambdaLoss framework for ranking metric
       optimization. CIKM.
    .. [3] J. Zhan, J. Mao, Y. Liu, J. Guo, M. Zhang and S. Ma (2021). Optimizing dense retrieval model training with
       hard negatives. SIGIR.

    Examples
    --------
    >>> import fastpair
    >>> fastpair.losses.lambda_rank([2.0, 1.5, 1.0], [0, 1, 0], delta="mrr").round(6)
    np.float64(0.283026)
    >>> value, grads = fastpair.losses.lambda_rank([2.0, 1.5, 1.0], [0, 1, 0], delta="none", return_grad=True)
    >>> grads.scores.round(6)
    array([ 0.31123, -0.5    ,  0.18877])
    """
    check_choice(delta, "delta", SCHEMES)
    steepness, mix = check_number(sigma, "sigma", above=0), check_number(mu, "mu", least=0)
    last = 0 if cut is None else check_count(cut, "cut", 1)
    if compat is not None:
        check_choice(compat, "compat", ("allrank",))
        check_choice(normalizer, "normalizer", ("groups", "pairs", "sum"))
        normalizer = "pairs" if reduction == "mean" else "sum"
    threads = check_num_threads(num_threads)
    values = parse_scores(scores)
    gains = gains_of(relevance, values, gain)
    given = None if ranks is None else _given_ranks(ranks, values)
    lists = parse_lists(groups, offsets, len(values))
    how = parse_reduction(
        lists.count,
        reduction=reduction,
        on_empty=on_empty,
        normalizer=normalizer,
        normalizers=("groups", "pairs", "sum"),
        weights=weights,
        return_grad=return_grad,
        grad_output=grad_output,
    )
    factor: Any = 1.0
    if compat is not None:
        factor = 1 / np.log(2.0)
        if last:
            gains, given, rescale = _within(lists, values, gains, given, last, delta)
            factor *= rescale
    sums, pairs, gradient = kernels_of(values).lambda_loss(
        *(values, gains, given, lists.offsets, lists.rows, delta, steepness, last, mix, how.return_grad, threads),
    )
    if compat is not None:
        sums *= factor
        if gradient is not None:
            gradient *= lists.scatter(lists.spread(factor)) if np.ndim(factor) else factor
    return how.finish(lists, values, sums, pairs, gradient)


def gains_of(relevance: ArrayLike, scores: _Array, gain: str) -> _Floats:
    """Return the gain of each item, in the caller's order; NaN where the relevance is."""
    check_choice(gain, "gain", ("exponential", "linear"))
    grades = parse_companion(relevance, scores, "relevance")
    check_not_negative(grades, "relevance", nan=True)
    result: _Floats = grades.astype(np.float64)
    if gain == "linear":
        return result
    if (result >= 1024).any():
        raise ValueError(
            f"relevance reaches {np.nanmax(grades)}, whose gain 2**relevance overflows; pass gain='linear'"
        )
    np.exp2(result, out=result)
    result -= 1
    return result


def discounts(ranks: _Array) -> _Floats:
    """Return what a gain at a rank counts in DCG."""
    result: _Floats = 1 / np.log2(1 + ranks)
    return result


def ideal_dcg(lists: Lists, gains: _Floats, cut: int) -> _Floats:
    """Return the DCG of each list in the order of its gains, which are in list order, of the first `cut` (0: all)."""
    best, place = gains[lists.descending(gains)], lists.positions() + 1
    terms = best * discounts(place)
    return lists.sum(np.where(place <= cut, terms, 0.0) if cut else terms)


def ranks_of(lists: Lists, scores: _Floats) -> _Floats:
    """Return the rank of each score in its list, both in list order: 1 for the highest, ties by index."""
    result = np.empty_like(scores)
    result[lists.descending(scores)] = lists.positions() + 1.0
    return result


def _given_ranks(ranks: ArrayLike, scores: _Array) -> _Floats:
    result = parse_companion(ranks, scores, "ranks").astype(np.float64)
    bad = ~((result >= 1) & (result < np.inf))
    if bad.any():
        place = int(bad.argmax())
        raise ValueError(f"ranks is {result[place]} at index {place}; ranks are finite, and begin with 1")
    return result


def _within(
    lists: Lists, scores: _Array, gains: _Floats, ranks: _Floats | None, cut: int, delta: str
) -> tuple[_Floats, _Floats, Any]:
    """Leave out items beyond the cut: gains and ranks in the caller's order, and by what each list is multiplied.

    The ideal DCG is to be that of all items, but the kernel takes it over those it is given.
    """
    own = lists.gather(gains)
    known = own == own
    inner = lists.select(known)
    place = np.full_like(own, np.inf)
    if ranks is not None:
        place[known] = lists.gather(ranks)[known]
    else:
        place[known] = ranks_of(inner, lists.gather(scores)[known].astype(np.float64))
    inside = place <= cut
    near = lists.scatter(np.where(inside, own, np.nan))
    rescale: Any = 1.0
    if delta in ("ndcg", "ndcg2", "ndcg2++"):
        full, seen = ideal_dcg(inner, own[known], cut), ideal_dcg(lists.select(inside), own[inside], cut)
        rescale = np.where(full > 0, seen, 1.0) / np.where(full > 0, full, 1.0)
    return near, lists.scatter(np.where(inside, place, 1.0)), rescale
