"""Losses over the pairs of different relevance in each list: `ranknet` and `pairwise_hinge`."""

from typing import Any, Literal, SupportsIndex, TypeAlias

import numpy.typing as npt

from fastpair._array import ArrayLike, kernels_of, on_gpu_too
from fastpair._embeddings import check_flag
from fastpair._validate import check_num_threads, check_number
from fastpair.losses._aligned import aligned_loss, weighted_pairs
from fastpair.losses._lists import OnEmpty, ReductionName, parse_companion, parse_lists, parse_reduction, parse_scores
from fastpair.losses._mann_whitney import check_surrogate

__all__ = ["Normalizer", "pair_loss", "pairwise_hinge", "ranknet"]

_Array: TypeAlias = npt.NDArray[Any]
Normalizer: TypeAlias = Literal["pairs", "groups", "sum"]


@on_gpu_too
def ranknet(
    scores: ArrayLike | None = None,
    relevance: ArrayLike | None = None,
    *,
    pos: ArrayLike | None = None,
    neg: ArrayLike | None = None,
    groups: ArrayLike | None = None,
    offsets: ArrayLike | None = None,
    sigma: float = 1.0,
    pair_weights: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    normalizer: Normalizer = "pairs",
    on_empty: OnEmpty = "skip",
    reduction: ReductionName = "mean",
    rtol: float = 1e-12,
    return_grad: bool = False,
    grad_output: ArrayLike | None = None,
    num_threads: SupportsIndex | None = None,
) -> Any:
    r"""Compute the pairwise logistic loss over all pairs of different relevance in each list.

    Pass either scores with relevance, or the scores of aligned pairs as `pos` and `neg`.

    Parameters
    ----------
    scores : array_like, shape (n,), optional
        Real scores, the higher the better.
    relevance : array_like, shape (n,), optional
        Real grades of the items. NaN leaves the item out.
    pos : array_like, shape (n,), optional
        Scores of the better items of aligned pairs, together with `neg`. Each is a list of its own.
    neg : array_like, shape (n,) or (n, k), optional
        Scores of the worse items of each.
    groups : array_like, shape (n,), optional
        Ids of lists (integers or strings, in any order). Without these and `offsets` all scores are one list.
    offsets : array_like of int, shape (g + 1,), optional
        The same for lists that are contiguous: list ``i`` is ``scores[offsets[i]:offsets[i + 1]]``.
    sigma : float
        What multiplies the differences, positive: the reciprocal of a temperature.
    pair_weights : array_like, shape of `neg`, optional
        A weight for each aligned pair, finite and not negative. The mean still divides by the number of pairs.
    weights : array_like, shape (g,), optional
        A weight for each list, finite and not negative.
    normalizer : {"pairs", "groups", "sum"}
        What the mean is taken over: all pairs of all lists; lists, each with the mean over its pairs; lists, each with
        the sum over its pairs.
    on_empty : {"skip", "zero", "error"}
        What a list without a pair does: it is left out, counts with loss 0, or is refused.
    reduction : {"mean", "sum", "none"}
        Return the mean, the sum over lists, or one value for each list.
    rtol : float
        The relative error that the value and each component of the gradient may have in long lists, from 1e-13 to 1e-2.
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
    grads : ScoreGrads or PairGrads
        With `return_grad`: the named tuple ``(scores,)`` or ``(pos, neg)``, in the shape, order and dtype of the input
        (float64 for integers).

    Raises
    ------
    TypeError
        If a dtype cannot be used, or arguments of both forms are mixed.
    ValueError
        If shapes do not match, a weight is negative or not finite, or an option is unknown or out of range.

    See Also
    --------
    fastpair.losses.mann_whitney : Other surrogates, and weights of items.
    fastpair.losses.lambda_rank : Pairs weighted by what their exchange changes in a metric.

    Notes
    -----
    With the pairs :math:`P_g = \{(i, j): r_i > r_j\}` of list g and their number :math:`Z_g`,

    .. math::
       S_g = \sum_{(i,j) \in P_g} \log\left(1 + e^{-\sigma (s_i - s_j)}\right), \quad
       L = \frac{\sum_g w_g S_g}{\sum_g Z_g} .

    Items of equal relevance make no pair. Equal infinite scores differ by 0; a NaN score makes its list NaN. With
    sigma tending to infinity, :math:`L / \sigma` tends to the hinge at 0.

    Cost: O(n) for each of the grades but one in long lists, as `mann_whitney`; in short lists the number of pairs.
    Memory: O(n).

    References
    ----------
    .. [1] C. Burges, T. Shaked, E. Renshaw, A. Lazier, M. Deeds, N. Hamilton and G. Hullender (2005). Learning to rank
       using gradient descent. ICML.

    Examples
    --------
    >>> import fastpair
    >>> fastpair.losses.ranknet([2.0, 1.0, 0.5], [2, 1, 0]).round(6)
    np.float64(0.329584)

    Two queries, the second without a pair:

    >>> value, grads = fastpair.losses.ranknet([0.0, 0.0, 3.0], [1, 0, 1], groups=["a", "a", "b"], return_grad=True)
    >>> value.round(6)
    np.float64(0.693147)
    >>> grads.scores
    array([-0.5,  0.5,  0. ])
    """
    temperature = 1 / check_number(sigma, "sigma", above=0)
    how = {
        **{"normalizer": normalizer, "on_empty": on_empty, "weights": weights, "reduction": reduction},
        **{"return_grad": return_grad, "grad_output": grad_output},
    }
    if pos is None and neg is None:
        if pair_weights is not None:
            raise TypeError(
                "pair_weights was given, but belongs to pos= with neg= only; weights= has one for each list"
            )
        surrogate = check_surrogate("logistic", temperature, rtol=rtol)
        return pair_loss(scores, relevance, None, groups, offsets, surrogate, num_threads, how)
    for argument, value in {"scores": scores, "relevance": relevance, "groups": groups, "offsets": offsets}.items():
        if value is not None:
            raise TypeError(
                f"{argument} was given together with pos= or neg=; pass scores with relevance, or pos and neg"
            )
    if pair_weights is None:
        return aligned_loss(pos, neg, "logistic", temperature, 1.0, num_threads, **how)  # type: ignore[arg-type]
    check_num_threads(num_threads)
    return weighted_pairs(pos, neg, pair_weights, temperature, **how)  # type: ignore[arg-type]


@on_gpu_too
def pairwise_hinge(
    scores: ArrayLike,
    relevance: ArrayLike,
    *,
    groups: ArrayLike | None = None,
    offsets: ArrayLike | None = None,
    margin: float = 1.0,
    squared: bool = False,
    weights: ArrayLike | None = None,
    normalizer: Normalizer = "pairs",
    on_empty: OnEmpty = "skip",
    reduction: ReductionName = "mean",
    return_grad: bool = False,
    grad_output: ArrayLike | None = None,
    num_threads: SupportsIndex | None = None,
) -> Any:
    r"""Compute the pairwise hinge loss over all pairs of different relevance in each list.

    Parameters
    ----------
    scores : array_like, shape (n,)
        Real scores, the higher the better.
    relevance : array_like, shape (n,)
        Real grades of the items. NaN leaves the item out.
    groups : array_like, shape (n,), optional
        Ids of lists (integers or strings, in any order). Without these and `offsets` all scores are one list.
    offsets : array_like of int, shape (g + 1,), optional
        The same for lists that are contiguous: list ``i`` is ``scores[offsets[i]:offsets[i + 1]]``.
    margin : float
        By how much the better item is to be ahead.
    squared : bool
        Square the hinge, which makes it smooth.
    weights : array_like, shape (g,), optional
        A weight for each list, finite and not negative.
    normalizer : {"pairs", "groups", "sum"}
        What the mean is taken over: all pairs of all lists; lists, each with the mean over its pairs; lists, each with
        the sum over its pairs.
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
        If shapes do not match, a weight is negative or not finite, or an option is unknown or out of range.

    See Also
    --------
    fastpair.losses.margin_ranking : The hinge of aligned pairs.

    Notes
    -----
    With the pairs :math:`P_g = \{(i, j): r_i > r_j\}` of list g, their number :math:`Z_g` and the margin m,

    .. math:: S_g = \sum_{(i,j) \in P_g} [m - (s_i - s_j)]_+, \quad L = \frac{\sum_g w_g S_g}{\sum_g Z_g},

    or with :math:`[\cdot]_+^2`. At the kink the gradient is 0. Equal infinite scores differ by 0; a NaN score makes its
    list NaN.

    Cost: O(n log n) for each of the grades but one in long lists; in short lists the number of pairs. Memory: O(n).

    References
    ----------
    .. [1] R. Herbrich, T. Graepel and K. Obermayer (2000). Large margin rank boundaries for ordinal regression.
       Advances in Large Margin Classifiers.
    .. [2] K. R. Rust and T. D. Hocking (2023). A log-linear gradient descent algorithm for unbalanced binary
       classification using the all pairs squared hinge loss. arXiv:2302.11062.

    Examples
    --------
    >>> import fastpair
    >>> fastpair.losses.pairwise_hinge([2.0, 1.0, 0.5], [0, 1, 2])
    np.float64(2.0)
    >>> fastpair.losses.pairwise_hinge([2.0, 1.0, 0.5], [2, 1, 0], return_grad=True)[1].scores.round(6)
    array([ 0.      , -0.333333,  0.333333])
    """
    surrogate = check_surrogate("squared_hinge" if check_flag(squared, "squared") else "hinge", margin=margin)
    how = {
        **{"normalizer": normalizer, "on_empty": on_empty, "weights": weights, "reduction": reduction},
        **{"return_grad": return_grad, "grad_output": grad_output},
    }
    return pair_loss(scores, relevance, None, groups, offsets, surrogate, num_threads, how)


def pair_loss(
    scores: Any,
    relevance: Any,
    item_weights: _Array | None,
    groups: ArrayLike | None,
    offsets: ArrayLike | None,
    surrogate: tuple[str, float, float, float, float],
    num_threads: SupportsIndex | None,
    how: dict[str, Any],
) -> Any:
    """Return the loss of a surrogate (and its options) over the pairs of lists."""
    values = parse_scores(scores)
    grades = parse_companion(relevance, values, "relevance")
    lists = parse_lists(groups, offsets, len(values))
    reduction = parse_reduction(lists.count, **how)
    sums, pairs, _, gradient = kernels_of(values).pair_loss(
        values,
        grades,
        item_weights,
        lists.offsets,
        lists.rows,
        *surrogate,
        reduction.return_grad,
        check_num_threads(num_threads),
    )
    return reduction.finish(lists, values, sums, pairs, gradient)
