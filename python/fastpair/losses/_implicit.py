"""Losses of implicit feedback, where what was not chosen may be liked all the same: `bpo` and `nbpo`."""

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import ArrayLike, on_gpu_too
from fastpair._embeddings import numbers
from fastpair._labels import Label
from fastpair._validate import in_dtype_of
from fastpair.losses._items import parse_positives
from fastpair.losses._lists import OnEmpty, ReductionName, ScoreGrads, may_hold, parse_reduction

__all__ = ["bpo", "nbpo"]

_Array: TypeAlias = npt.NDArray[Any]
_Floats: TypeAlias = npt.NDArray[np.float64]


@on_gpu_too
def bpo(
    scores: ArrayLike,
    labels: ArrayLike,
    *,
    pos_label: Label | None = None,
    weights: ArrayLike | None = None,
    on_empty: OnEmpty = "skip",
    reduction: ReductionName = "mean",
    return_grad: bool = False,
    grad_output: ArrayLike | None = None,
) -> Any:
    r"""Compute the logistic loss of observed and unobserved items (Bayesian point-wise optimisation).

    Parameters
    ----------
    scores : array_like, any shape
        Logits of the preference of users for items.
    labels : array_like, shape of scores
        Whether the item was observed (voted for, bought): bool, 0/1, -1/1, or any two with `pos_label`. NaN leaves the
        pair out.
    pos_label : scalar, optional
        The label of observed items. Needed unless labels are bool, 0/1 or -1/1.
    weights : array_like, shape of scores, optional
        A weight for each pair, finite and not negative.
    on_empty : {"skip", "zero", "error"}
        What a pair without a label does: it is left out, counts with loss 0, or is refused.
    reduction : {"mean", "sum", "none"}
        Return the mean over pairs, their sum (the paper's form), or one value for each.
    return_grad : bool
        Return the gradient as well.
    grad_output : array_like, shape of scores, optional
        For ``reduction="none"`` with `return_grad`, which needs it: the gradient with respect to each value.

    Returns
    -------
    value : numpy.float64 or ndarray
        The loss; for ``reduction="none"`` float64 of the shape of the scores. 0.0 for pairs without a label.
    grads : ScoreGrads
        With `return_grad`: the named tuple ``(scores,)``, in the shape and dtype of the scores (float64 for integers).

    Raises
    ------
    TypeError
        If a dtype cannot be used.
    ValueError
        If shapes do not match, labels hold more than two classes, a weight is negative or not finite, or an option is
        unknown.

    See Also
    --------
    fastpair.losses.nbpo : Allows for items that were not observed but are liked.

    Notes
    -----
    With the logistic function :math:`\sigma` the loss is

    .. math:: -\sum_{\mathrm{observed}} \log \sigma(s_i) - \sum_{\mathrm{unobserved}} \log \sigma(-s_i),

    here by default divided by the number of pairs, and its gradient :math:`\sigma(s_i) - [i \text{ observed}]`. No
    logarithm is clipped: a score of -800 of an observed item costs 800. A NaN score makes the loss of its pair NaN.

    Cost: O(n). Extra memory: O(n).

    References
    ----------
    .. [1] W. Yu and Z. Qin (2020). Sampler design for implicit feedback data by noisy-label robust learning. SIGIR.

    Examples
    --------
    >>> import fastpair
    >>> fastpair.losses.bpo([1.5, -0.5, 0.0], [1, 1, 0], reduction="none").round(6)
    array([0.201413, 0.974077, 0.693147])
    """
    return _noisy(scores, labels, 0.0, pos_label, weights, on_empty, reduction, return_grad, grad_output)


@on_gpu_too
def nbpo(
    scores: ArrayLike,
    labels: ArrayLike,
    *,
    flip_rate: ArrayLike,
    pos_label: Label | None = None,
    weights: ArrayLike | None = None,
    on_empty: OnEmpty = "skip",
    reduction: ReductionName = "mean",
    return_grad: bool = False,
    grad_output: ArrayLike | None = None,
) -> Any:
    r"""Compute `bpo` corrected for the rate at which liked items go unobserved (noisy-label robust BPO).

    Parameters
    ----------
    scores : array_like, any shape
        Logits of the preference of users for items.
    labels : array_like, shape of scores
        Whether the item was observed (voted for, bought): bool, 0/1, -1/1, or any two with `pos_label`. NaN leaves the
        pair out.
    flip_rate : float or array_like that broadcasts to scores
        The probability that an item which is liked was not observed, at least 0 and less than 1: one for all, or one
        for each pair. It has no gradient.
    pos_label : scalar, optional
        The label of observed items. Needed unless labels are bool, 0/1 or -1/1.
    weights : array_like, shape of scores, optional
        A weight for each pair, finite and not negative.
    on_empty : {"skip", "zero", "error"}
        What a pair without a label does: it is left out, counts with loss 0, or is refused.
    reduction : {"mean", "sum", "none"}
        Return the mean over pairs, their sum (the paper's form), or one value for each.
    return_grad : bool
        Return the gradient as well.
    grad_output : array_like, shape of scores, optional
        For ``reduction="none"`` with `return_grad`, which needs it: the gradient with respect to each value.

    Returns
    -------
    value : numpy.float64 or ndarray
        The loss; for ``reduction="none"`` float64 of the shape of the scores. 0.0 for pairs without a label.
    grads : ScoreGrads
        With `return_grad`: the named tuple ``(scores,)``, in the shape and dtype of the scores (float64 for integers).

    Raises
    ------
    TypeError
        If a dtype cannot be used.
    ValueError
        If shapes do not match, labels hold more than two classes, a flip rate is negative or not less than 1, a weight
        is negative or not finite, or an option is unknown.

    See Also
    --------
    fastpair.losses.bpo : Without flips.

    Notes
    -----
    With the logistic function :math:`\sigma` and the flip rate :math:`\gamma` an item is observed with probability
    :math:`(1 - \gamma) \sigma(s)`, and the loss is

    .. math:: -\sum_{\mathrm{observed}} \log\left((1 - \gamma_i) \sigma(s_i)\right)
       - \sum_{\mathrm{unobserved}} \log\left(1 - (1 - \gamma_i) \sigma(s_i)\right),

    here by default divided by the number of pairs. An unobserved item costs
    :math:`\operatorname{log1p}((1 - \gamma) / (e^{-s} + \gamma))`, at most :math:`-\log \gamma`, and its gradient
    :math:`\sigma(s) (1 - \gamma) / (1 + \gamma e^s)` vanishes for high scores. The paper trains with a surrogate of
    this gradient and learns the rates as well; here the gradient is that of the value, and rates are given.

    A NaN score makes the loss of its pair NaN.

    Cost: O(n). Extra memory: O(n).

    References
    ----------
    .. [1] W. Yu and Z. Qin (2020). Sampler design for implicit feedback data by noisy-label robust learning. SIGIR.

    Examples
    --------
    >>> import fastpair
    >>> fastpair.losses.nbpo([1.5, -0.5, 0.0, 800.0], [1, 1, 0, 0], flip_rate=0.2, reduction="none").round(6)
    array([0.424557, 1.197221, 0.510826, 1.609438])
    """
    return _noisy(scores, labels, flip_rate, pos_label, weights, on_empty, reduction, return_grad, grad_output)


def _noisy(
    scores: ArrayLike,
    labels: ArrayLike,
    flip_rate: ArrayLike,
    pos_label: Label | None,
    weights: ArrayLike | None,
    on_empty: OnEmpty,
    reduction: ReductionName,
    return_grad: bool,
    grad_output: ArrayLike | None,
) -> Any:
    values = numbers(scores, "scores", "dot")
    observed = parse_positives(labels, values, pos_label)
    reduce_pairs = parse_reduction(
        values.size,
        reduction=reduction,
        on_empty=on_empty,
        weights=_flat(weights, values, "weights"),
        return_grad=return_grad,
        grad_output=_flat(grad_output, values, "grad_output"),
    )
    losses, gradient = _losses(values.astype(np.float64), observed == 1, _parse_rate(flip_rate, values))
    value, scale = reduce_pairs(losses.ravel(), (observed == observed).ravel())
    if reduction == "none":
        value = value.reshape(values.shape)
    if not reduce_pairs.return_grad:
        return value
    scale = scale.reshape(values.shape)
    gradient = np.where(scale == 0, 0.0, gradient * scale)
    return value, ScoreGrads(in_dtype_of(gradient, values))


def _losses(scores: _Floats, observed: npt.NDArray[np.bool_], rate: _Floats) -> tuple[_Floats, _Floats]:
    """Return the loss of each pair and its gradient."""
    low = scores <= 0
    with np.errstate(divide="ignore", over="ignore", under="ignore", invalid="ignore"):
        small = np.exp(-np.abs(scores))
        tail = np.log1p(small)
        liked = np.where(low, small, 1.0) / (1.0 + small)
        disliked = np.where(low, 1.0, small) / (1.0 + small)
        if not rate.any():
            losses = np.maximum(np.where(observed, -scores, scores), 0.0) + tail
            return losses, np.where(observed, -disliked, liked)
        # An unobserved item costs log(1 + kept e^s / (1 + rate e^s)), written with whichever of e^s and e^-s is small.
        kept = 1.0 - rate
        odds = kept * np.where(low, small / (1.0 + rate * small), 1.0 / (small + rate))
        pull = kept * np.where(low, 1.0 / (1.0 + rate * small), small / (small + rate))
        unobserved = np.log1p(odds)
        # Where the rate is tiny that form fails if e^-s vanishes; the 1 does not count there.
        steep = ~low & (small + rate < 1e-290)
        if may_hold(steep):
            unobserved = np.where(steep, -np.logaddexp(-scores, np.log(rate)), unobserved)
            pull[steep & (small + rate == 0)] = 1.0
        losses = np.where(observed, np.maximum(-scores, 0.0) + tail - np.log1p(-rate), unobserved)
    return losses, np.where(observed, -disliked, liked * pull)


def _parse_rate(flip_rate: ArrayLike, scores: _Array) -> _Floats:
    # One number is no array: it belongs to scores of any library.
    rate: Any = np.float64(flip_rate) if isinstance(flip_rate, (int, float)) else None
    if rate is None:
        rate = numbers(flip_rate, "flip_rate", "dot").astype(np.float64)
    outside = ~((rate >= 0) & (rate < 1))
    if outside.any():
        seen = rate.ravel()[outside.argmax()]
        raise ValueError(f"flip_rate holds {seen}; pass probabilities of at least 0 and less than 1")
    try:
        np.broadcast_to(rate, scores.shape)
    except ValueError:
        raise ValueError(
            f"flip_rate has shape {rate.shape}, which does not broadcast to that of scores, {scores.shape}"
        ) from None
    return rate  # type: ignore[no-any-return]


def _flat(values: ArrayLike | None, scores: _Array, argument: str) -> _Array | None:
    """View one number for each score in one dimension."""
    if values is None:
        return None
    array = numbers(values, argument, "dot")
    if array.shape != scores.shape:
        raise ValueError(f"{argument} has shape {array.shape}; pass that of scores, {scores.shape}")
    return array.ravel()
