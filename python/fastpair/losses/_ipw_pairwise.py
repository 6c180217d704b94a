"""Pairs weighted by inverse propensities: `ipw_pairwise`."""

from typing import Any, SupportsIndex

import numpy as np

from fastpair._array import ArrayLike, on_gpu_too
from fastpair._validate import check_not_negative, check_number
from fastpair.losses._lists import OnEmpty, ReductionName, parse_companion, parse_scores
from fastpair.losses._mann_whitney import Surrogate, check_surrogate
from fastpair.losses._pairwise import Normalizer, pair_loss

__all__ = ["ipw_pairwise"]


@on_gpu_too
def ipw_pairwise(
    scores: ArrayLike,
    relevance: ArrayLike,
    propensities: ArrayLike,
    *,
    groups: ArrayLike | None = None,
    offsets: ArrayLike | None = None,
    surrogate: Surrogate = "logistic",
    temperature: float = 1.0,
    margin: float = 1.0,
    slope: float = 2.0,
    min_propensity: float = 0.01,
    weights: ArrayLike | None = None,
    normalizer: Normalizer = "pairs",
    on_empty: OnEmpty = "skip",
    reduction: ReductionName = "mean",
    rtol: float = 1e-12,
    return_grad: bool = False,
    grad_output: ArrayLike | None = None,
    num_threads: SupportsIndex | None = None,
) -> Any:
    r"""Compute a pairwise loss in which both items of a pair weigh by their inverse propensities.

    Parameters
    ----------
    scores : array_like, shape (n,)
        Real scores, the higher the better.
    relevance : array_like, shape (n,)
        What was observed of the items, such as clicks: real numbers. NaN leaves the item out.
    propensities : array_like, shape (n,)
        How likely each item was to be observed as it was, not negative.
    groups : array_like, shape (n,), optional
        Ids of lists (integers or strings, in any order). Without these and `offsets` all scores are one list.
    offsets : array_like of int, shape (g + 1,), optional
        The same for lists that are contiguous: list ``i`` is ``scores[offsets[i]:offsets[i + 1]]``.
    surrogate : {"logistic", "hinge", "squared_hinge", "square", "exponential", "sigmoid", "barrier"}
        The function of the difference of scores, as for `mann_whitney`.
    temperature : float
        What divides the differences, positive.
    margin : float
        The margin of the hinges, the square and the barrier.
    slope : float
        How steep the barrier is outside of its margin, at least 1.
    min_propensity : float
        Smaller propensities are raised to this, positive: it bounds the variance.
    weights : array_like, shape (g,), optional
        A weight for each list, finite and not negative.
    normalizer : {"pairs", "groups", "sum"}
        What the mean is taken over: all pairs of all lists, by their weights; lists, each with the weighted mean over
        its pairs; lists, each with the weighted sum over its pairs, which is not normalised.
    on_empty : {"skip", "zero", "error"}
        What a list without a pair does: it is left out, counts with loss 0, or is refused.
    reduction : {"mean", "sum", "none"}
        Return the mean, the sum over lists, or one value for each list.
    rtol : float
        The relative error that sums over long lists may have, from 1e-13 to 1e-2.
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
        Propensities carry no gradient.

    Raises
    ------
    TypeError
        If a dtype cannot be used.
    ValueError
        If shapes do not match, a propensity or weight is negative or not finite, or an option is unknown or out of
        range.

    See Also
    --------
    fastpair.losses.ranknet : All pairs weigh the same.

    Notes
    -----
    With propensities :math:`\theta`, the bound c and the pairs :math:`P_g = \{(i, j): r_i > r_j\}` of list g,

    .. math::
       S_g = \sum_{(i,j) \in P_g} v_i v_j \, \varphi\left(\tfrac{s_i - s_j}{t}\right), \quad
       Z_g = \sum_{(i,j) \in P_g} v_i v_j, \quad v_i = \frac{1}{\max(\theta_i, c)}, \quad
       L = \frac{\sum_g w_g S_g}{\sum_g Z_g} .

    The mean normalises itself: equal propensities give `ranknet`. The sums over pairs alone are unbiased if no
    propensity is raised, and come with ``normalizer="sum"``.

    Cost and memory as `mann_whitney`.

    References
    ----------
    .. [1] T. Joachims, A. Swaminathan and T. Schnabel (2017). Unbiased learning-to-rank with biased feedback. WSDM.
    .. [2] A. Swaminathan and T. Joachims (2015). The self-normalized estimator for counterfactual learning. NeurIPS.

    Examples
    --------
    >>> import fastpair
    >>> fastpair.losses.ipw_pairwise([2.0, 1.0, 0.5], [1, 0, 0], [0.5, 0.5, 0.5]).round(6)
    np.float64(0.257337)
    >>> fastpair.losses.ipw_pairwise([2.0, 1.0, 0.5], [1, 0, 0], [0.5, 0.5, 0.25]).round(6)
    np.float64(0.238696)
    """
    options = check_surrogate(surrogate, temperature, margin, slope, rtol)
    least = check_number(min_propensity, "min_propensity", above=0)
    how = {
        **{"normalizer": normalizer, "on_empty": on_empty, "weights": weights, "reduction": reduction},
        **{"return_grad": return_grad, "grad_output": grad_output},
    }
    observed = parse_companion(propensities, parse_scores(scores), "propensities")
    check_not_negative(observed, "propensities")
    inverse = 1 / np.maximum(observed.astype(np.float64), least)
    return pair_loss(scores, relevance, inverse, groups, offsets, options, num_threads, how)
