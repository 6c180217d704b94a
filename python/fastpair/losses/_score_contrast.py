"""Contrast of two sets of scores: `dual_contrastive` and `adversarial_contrast`."""

from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import ArrayLike, on_gpu_too, scalar
from fastpair._embeddings import check_flag, numbers
from fastpair._validate import check_number, in_dtype_of
from fastpair.losses._aligned import sigmoid, softplus
from fastpair.losses._lists import parse_scores

__all__ = ["AdversarialContrastGrads", "DualContrastiveGrads", "adversarial_contrast", "dual_contrastive"]

_Array: TypeAlias = npt.NDArray[Any]
_Floats: TypeAlias = npt.NDArray[np.float64]


class DualContrastiveGrads(NamedTuple):
    """The gradients of `dual_contrastive` with respect to both sets of scores."""

    real: _Array
    fake: _Array


class AdversarialContrastGrads(NamedTuple):
    """The gradients of `adversarial_contrast` with respect to both sets of similarities and the temperature."""

    matched: _Array
    farthest: _Array
    temperature: np.float64


@on_gpu_too
def dual_contrastive(real: ArrayLike, fake: ArrayLike, *, return_grad: bool = False) -> Any:
    r"""Compute the contrast of real scores with fake ones, and of fake ones with real ones.

    Parameters
    ----------
    real : array_like, shape (n,)
        Scores of real examples, which are to be large.
    fake : array_like, shape (m,)
        Scores of fake examples, which are to be small.
    return_grad : bool
        Return the gradients as well.

    Returns
    -------
    value : numpy.float64
        The loss. 0.0 if one of the sets is empty.
    grads : DualContrastiveGrads
        With `return_grad`: the named tuple ``(real, fake)``, in the shapes and dtypes of the inputs (float64 for
        integers).

    Raises
    ------
    TypeError
        If a dtype cannot be used.
    ValueError
        If an array has not one dimension.

    See Also
    --------
    fastpair.losses.mann_whitney : The mean over pairs.

    Notes
    -----
    .. math::
       \frac1n \sum_i \log\Big(1 + \sum_j e^{f_j - r_i}\Big) + \frac1m \sum_j \log\Big(1 + \sum_i e^{f_j - r_i}\Big)

    Equal scores of n and n have the value :math:`2 \log(1 + n)`.

    Cost and memory: O(n + m).

    References
    ----------
    .. [1] N. Yu, G. Liu, A. Dundar, A. Tao, B. Catanzaro, L. S. Davis and M. Fritz (2021). Dual contrastive loss and
       attention for GANs. ICCV.

    Examples
    --------
    >>> import fastpair
    >>> fastpair.losses.dual_contrastive([1.0, 1.0], [0.0, 0.0]).round(6)
    np.float64(1.102889)
    """
    above, below = parse_scores(real, "real"), parse_scores(fake, "fake")
    wanted = check_flag(return_grad, "return_grad")
    r, f = above.astype(np.float64), below.astype(np.float64)
    if not len(r) or not len(f):
        value, by_real, by_fake = np.zeros_like(r, shape=()), np.zeros_like(r), np.zeros_like(f)
    else:
        shares_fake, total_fake = _softmax(f)
        shares_real, total_real = _softmax(-r)
        with np.errstate(over="ignore"):
            first, second = total_fake - r, f + total_real
        value = softplus(first).mean() + softplus(second).mean()
        pull, push = sigmoid(first) / len(r), sigmoid(second) / len(f)
        by_real = -pull - shares_real * push.sum()
        by_fake = shares_fake * pull.sum() + push
    if not wanted:
        return scalar(value)
    return scalar(value), DualContrastiveGrads(in_dtype_of(by_real, above), in_dtype_of(by_fake, below))


@on_gpu_too
def adversarial_contrast(
    matched: ArrayLike,
    farthest: ArrayLike,
    temperature: float = 0.1,
    *,
    distortion: float = 0.0,
    alpha: float = 0.0,
    return_grad: bool = False,
) -> Any:
    r"""Compute the logarithm of the share that matched targets have among matched and farthest ones.

    Parameters
    ----------
    matched : array_like, shape (n,) or (n, h)
        Similarities of each adversarial row with the targets that belong to it.
    farthest : array_like, shape (n,) or (n, h)
        Similarities with the targets that it is to approach instead, those that are least similar on average.
    temperature : float
        What divides the similarities, positive.
    distortion : float
        The mean squared change of the rows, computed by the caller, not negative.
    alpha : float
        The weight of it.
    return_grad : bool
        Return the gradients as well.

    Returns
    -------
    value : numpy.float64
        The loss, negative. 0.0 without rows.
    grads : AdversarialContrastGrads
        With `return_grad`: the named tuple ``(matched, farthest, temperature)``, those of the arrays in their shapes
        and dtypes (float64 for integers). The derivative by `distortion` is ``-alpha``.

    Raises
    ------
    TypeError
        If a dtype cannot be used, or an option is not a number.
    ValueError
        If shapes do not match, or an option is out of range.

    See Also
    --------
    fastpair.losses.info_nce : The logarithm of each row by itself.

    Notes
    -----
    :math:`\log(u / (u + v)) - \alpha \, \mathrm{MSE}`, where u and v are the means over rows of the sums of
    :math:`e^{s / \tau}` of both sets. Exponentials are averaged before the logarithm: it is one ratio of the batch,
    evaluated from log-sum-exponentials. Equal sets have the value :math:`-\log 2`.

    Cost and memory: O(n h).

    References
    ----------
    .. [1] H. Fang et al. (2024). One perturbation is enough: on generating universal adversarial perturbations against
       vision-language pre-training models. arXiv.

    Examples
    --------
    >>> import fastpair
    >>> fastpair.losses.adversarial_contrast([0.5, 0.1], [0.1, 0.5]).round(6)
    np.float64(-0.693147)
    """
    near, far = numbers(matched, "matched", "dot"), numbers(farthest, "farthest", "dot")
    divisor = check_number(temperature, "temperature", above=0)
    cost, weight = check_number(distortion, "distortion", least=0), check_number(alpha, "alpha")
    wanted = check_flag(return_grad, "return_grad")
    if near.ndim not in (1, 2) or far.ndim not in (1, 2) or len(near) != len(far):
        raise ValueError(
            f"matched has shape {near.shape} and farthest {far.shape}; pass (n,) or (n, h), the same rows in both"
        )
    u, v = near.astype(np.float64).ravel(), far.astype(np.float64).ravel()
    if not near.size or not far.size:
        value = by_temperature = np.zeros_like(u, shape=())
        by_near, by_far = np.zeros_like(u).reshape(near.shape), np.zeros_like(v).reshape(far.shape)
    else:
        top = np.maximum(u.max(), v.max())
        with np.errstate(over="ignore"):
            logits_u, logits_v = (u - top) / divisor, (v - top) / divisor
        shares_u, total_u = _softmax(logits_u)
        shares_v, total_v = _softmax(logits_v)
        ahead = total_v - total_u
        value = -softplus(ahead)
        slope = sigmoid(ahead) / divisor
        by_near, by_far = slope * shares_u.reshape(near.shape), -slope * shares_v.reshape(far.shape)
        # Their sum is 0: logits relative to the largest one will do; those of no share may be infinite.
        terms = [
            np.where(s > 0, s * np.maximum(z, -1e300), 0.0).sum()
            for s, z in ((shares_u, logits_u), (shares_v, logits_v))
        ]
        by_temperature = -slope * (terms[0] - terms[1])
    value = value - weight * cost
    if not wanted:
        return scalar(value)
    return scalar(value), AdversarialContrastGrads(
        in_dtype_of(by_near, near), in_dtype_of(by_far, far), scalar(by_temperature)
    )


def _softmax(logits: _Floats) -> tuple[_Floats, Any]:
    """Return the shares of some logits, and the logarithm of the sum of their exponentials."""
    largest = logits.max()
    with np.errstate(over="ignore"):
        shares = np.exp(logits - largest)
    total = shares.sum()
    return shares / total, largest + np.log(total)
