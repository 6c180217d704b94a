"""Losses of session-based recommenders, each positive with its own negatives: `top1` and `bpr_max`."""

from typing import Any, SupportsIndex, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import ArrayLike, on_gpu_too
from fastpair._validate import check_num_threads, check_number
from fastpair.losses._aligned import difference, finish_rows, parse_rows, sigmoid, softplus
from fastpair.losses._lists import ReductionName, parse_reduction

__all__ = ["bpr_max", "top1"]

_Floats: TypeAlias = npt.NDArray[np.float64]


@on_gpu_too
def top1(
    pos: ArrayLike,
    neg: ArrayLike,
    *,
    weights: ArrayLike | None = None,
    reduction: ReductionName = "mean",
    return_grad: bool = False,
    grad_output: ArrayLike | None = None,
    num_threads: SupportsIndex | None = None,
) -> Any:
    r"""Compute the TOP1 loss: how often negatives outscore their positive, and how far they are from zero.

    Parameters
    ----------
    pos : array_like, shape (n,)
        Scores of the positives.
    neg : array_like, shape (n,) or (n, k)
        Scores of the negatives of each positive.
    weights : array_like, shape (n,), optional
        A weight for each positive, finite and not negative.
    reduction : {"mean", "sum", "none"}
        Return the mean over all pairs, or the sum or one value for each positive of the means over its negatives.
    return_grad : bool
        Return the gradients as well.
    grad_output : array_like, shape (n,), optional
        For ``reduction="none"`` with `return_grad`, which needs it: the gradient with respect to each value.
    num_threads : int, optional
        Checked, but not used: this loss is computed by one thread.

    Returns
    -------
    value : numpy.float64 or ndarray
        The loss; for ``reduction="none"`` float64, shape (n,). 0.0 without a pair.
    grads : PairGrads
        With `return_grad`: the named tuple ``(pos, neg)``, in the shapes and dtypes of the inputs (float64 for
        integers).

    Raises
    ------
    TypeError
        If a dtype cannot be used.
    ValueError
        If shapes do not match, or a weight is negative or not finite.

    See Also
    --------
    fastpair.losses.bpr : The logistic loss of the same pairs.

    Notes
    -----
    With the negatives :math:`q_{ik}` of the positive :math:`p_i` and the logistic function :math:`\sigma`,

    .. math:: L = \frac{1}{n k} \sum_{i,k} w_i \left(\sigma(q_{ik} - p_i) + \sigma(q_{ik}^2)\right) .

    The second term draws the scores of negatives to 0; it is at least 1/2. A NaN makes the value NaN, and the gradients
    of its row.

    Cost and memory: O(n k).

    References
    ----------
    .. [1] B. Hidasi, A. Karatzoglou, L. Baltrunas and D. Tikk (2016). Session-based recommendations with recurrent
       neural networks. ICLR.

    Examples
    --------
    >>> import fastpair
    >>> fastpair.losses.top1([1.0, 0.0], [0.0, 0.0]).round(6)
    np.float64(0.884471)
    """
    check_num_threads(num_threads)
    above, below, matrix = parse_rows(pos, neg)
    how = parse_reduction(
        len(above),
        reduction=reduction,
        normalizer="pairs",
        weights=weights,
        return_grad=return_grad,
        grad_output=grad_output,
    )
    p, q = above.astype(np.float64)[:, np.newaxis], matrix.astype(np.float64)
    wins, size = sigmoid(difference(q, p)), sigmoid(q * q)
    sums = wins.sum(axis=1) + size.sum(axis=1)
    slopes = None
    if how.return_grad:
        wins *= sigmoid(difference(p, q))
        flat = sigmoid(-q * q)  # 0 from where on the square is infinite
        size *= flat
        size *= 2
        with np.errstate(invalid="ignore"):
            size *= q
        size[flat == 0] = 0
        slopes = (-wins.sum(axis=1), wins + size)
    return finish_rows(how, above, below, sums, matrix.shape[1], slopes)


@on_gpu_too
def bpr_max(
    pos: ArrayLike,
    neg: ArrayLike,
    *,
    regularization: float = 1.0,
    weights: ArrayLike | None = None,
    reduction: ReductionName = "mean",
    return_grad: bool = False,
    grad_output: ArrayLike | None = None,
    num_threads: SupportsIndex | None = None,
) -> Any:
    r"""Compute the BPR-max loss: a positive against a soft maximum of its negatives.

    Parameters
    ----------
    pos : array_like, shape (n,)
        Scores of the positives.
    neg : array_like, shape (n,) or (n, k)
        Scores of the negatives of each positive.
    regularization : float
        The factor of the term that draws scores of negatives to 0, not negative.
    weights : array_like, shape (n,), optional
        A weight for each positive, finite and not negative.
    reduction : {"mean", "sum", "none"}
        Return the mean or the sum over the positives, or one value for each.
    return_grad : bool
        Return the gradients as well.
    grad_output : array_like, shape (n,), optional
        For ``reduction="none"`` with `return_grad`, which needs it: the gradient with respect to each value.
    num_threads : int, optional
        Checked, but not used: this loss is computed by one thread.

    Returns
    -------
    value : numpy.float64 or ndarray
        The loss; for ``reduction="none"`` float64, shape (n,). 0.0 without a pair.
    grads : PairGrads
        With `return_grad`: the named tuple ``(pos, neg)``, in the shapes and dtypes of the inputs (float64 for
        integers).

    Raises
    ------
    TypeError
        If a dtype cannot be used.
    ValueError
        If shapes do not match, a weight is negative or not finite, or an option is out of range.

    See Also
    --------
    fastpair.losses.bpr : All negatives weigh the same.

    Notes
    -----
    With the negatives :math:`q_{ik}` of the positive :math:`p_i`, their softmax :math:`s_{ik}` over k, the logistic
    function :math:`\sigma` and the regularization c,

    .. math::
       L_i = -\log \sum_k s_{ik} \, \sigma(p_i - q_{ik}) + c \sum_k s_{ik} \, q_{ik}^2 .

    The softmax is differentiated as well, as in the reference. The sum is evaluated in the logarithmic domain and does
    not saturate where every negative outscores the positive. A NaN makes the value NaN, and the gradients of its row.

    Cost and memory: O(n k).

    References
    ----------
    .. [1] B. Hidasi and A. Karatzoglou (2018). Recurrent neural networks with top-k gains for session-based
       recommendations. CIKM.

    Examples
    --------
    >>> import fastpair
    >>> fastpair.losses.bpr_max([1.0], [[0.0, 0.0]]).round(6)
    np.float64(0.313262)
    """
    check_num_threads(num_threads)
    above, below, matrix = parse_rows(pos, neg)
    factor = check_number(regularization, "regularization", least=0)
    how = parse_reduction(
        len(above), reduction=reduction, weights=weights, return_grad=return_grad, grad_output=grad_output
    )
    p, q = above.astype(np.float64)[:, np.newaxis], matrix.astype(np.float64)
    if not matrix.shape[1]:
        nothing = np.zeros_like(p[:, 0])
        return finish_rows(how, above, below, nothing, 0, (nothing, np.zeros_like(q)))
    log_share = q - _logsumexp(q)
    ahead = difference(p, q)
    terms = log_share - softplus(-ahead)
    total = _logsumexp(terms)
    share = np.exp(log_share)
    penalty = (share * q * q).sum(axis=1, keepdims=True) if factor else 0.0
    sums = (factor * penalty - total)[:, 0]
    slopes = None
    if how.return_grad:
        mixed = np.exp(terms - total)  # what each negative contributes to the sum in the logarithm
        pull = mixed * sigmoid(-ahead)
        on_neg = pull + share - mixed
        if factor:
            on_neg += factor * share * (2 * q + q * q - penalty)
        slopes = (-pull.sum(axis=1), on_neg)
    return finish_rows(how, above, below, sums, matrix.shape[1], slopes)


def _logsumexp(values: _Floats) -> _Floats:
    largest = values.max(axis=1, keepdims=True)
    result: _Floats = np.log(np.exp(values - largest).sum(axis=1, keepdims=True)) + largest
    return result
