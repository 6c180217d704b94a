"""Weights of positives by their similarity, on a schedule: `asp_weights`."""

from math import exp, pi, sqrt
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import ArrayLike
from fastpair._validate import check_choice, check_number
from fastpair.mining._values import finite

__all__ = ["asp_weights"]

_Floats: TypeAlias = npt.NDArray[np.float64]


def asp_weights(
    similarities: ArrayLike,
    progress: float,
    *,
    schedule: Literal["lambda", "linear", "sigmoid"] = "lambda",
    curve: Literal["linear", "top", "bell", "uniform"] = "linear",
    decay_start: float = 0.5,
) -> _Floats:
    r"""Compute weights of positive pairs that come to depend on their similarity as training goes on.

    Parameters
    ----------
    similarities : array_like, shape (n,)
        The cosine similarity of each positive pair.
    progress : float
        The share of training that is done, from 0 to 1.
    schedule : {"lambda", "linear", "sigmoid"}
        How the share p of equal weights falls: not before `decay_start` and then linearly, linearly, or as a sigmoid
        around the middle.
    curve : {"linear", "top", "bell", "uniform"}
        The weight as a function of similarity: proportional; rising fast and then flat; largest at 0.5; constant.
    decay_start : float
        Where the decay of "lambda" begins, from 0 to below 1.

    Returns
    -------
    ndarray of float64, shape (n,)
        The weights; their mean is 1.

    Raises
    ------
    TypeError
        If a dtype cannot be used, or an option is not a number.
    ValueError
        If a similarity is NaN or infinite, or an option is out of range.

    See Also
    --------
    fastpair.losses.patch_nce : The loss, which takes them as ``weights=``.

    Notes
    -----
    :math:`w = p + (1 - p)\, g(s)`, divided by its mean. With progress t, p is :math:`1 - t`, or
    :math:`1 / (1 + e^{10 (t - 0.5)})`, or for "lambda" 1 up to the start :math:`t_0` of the decay and then
    :math:`(1 - t) / (1 - t_0)`. The curves g are :math:`s`, :math:`\sqrt{1 - (s - 1)^2}`, both 0 for negative
    similarities, :math:`e^{-8 (s - 1/2)^2} / \sqrt{2 \pi}`, and 1. Where all weights would be 0 they are 1. Pairs of
    low similarity, which may be inconsistent, so count less as the model becomes able to tell them.

    Cost: O(n). Extra memory: O(n).

    References
    ----------
    .. [1] F. Li, Z. Hu, W. Chen and A. Kak (2023). Adaptive supervised PatchNCE loss for learning H&E-to-IHC stain
       translation with inconsistent groundtruth image pairs. MICCAI.

    Examples
    --------
    >>> import fastpair
    >>> fastpair.mining.asp_weights([0.9, 0.3], 0.75)
    array([1.1875, 0.8125])
    >>> fastpair.mining.asp_weights([0.9, 0.3], 0.25)
    array([1., 1.])
    """
    scores = finite(similarities, "similarities", 1)
    done = check_number(progress, "progress", least=0, most=1)
    check_choice(schedule, "schedule", ("lambda", "linear", "sigmoid"))
    check_choice(curve, "curve", ("linear", "top", "bell", "uniform"))
    start = check_number(decay_start, "decay_start", least=0, most=1)
    if start == 1:
        raise ValueError("decay_start is 1, so that weights would never change; pass a number below 1")
    equal = _equal_share(done, schedule, start)
    weights: _Floats = equal + (1 - equal) * _curve(scores, curve)
    mean = weights.mean() if len(weights) else 0.0
    return weights / mean if mean > 0 else np.ones(len(scores))


def _equal_share(done: float, schedule: str, start: float) -> float:
    if schedule == "sigmoid":
        return 1 / (1 + exp(10 * (done - 0.5)))
    if schedule == "linear":
        return 1 - done
    return 1.0 if done < start else (1 - done) / (1 - start)


def _curve(scores: _Floats, name: str) -> _Floats:
    if name == "uniform":
        return np.ones(len(scores))
    if name == "bell":
        return np.asarray(np.exp(-8 * (scores - 0.5) ** 2) / sqrt(2 * pi))
    positive = np.maximum(scores, 0)
    if name == "linear":
        return positive
    # A similarity that rounding has moved past its range, beyond 2, has weight 0 too.
    return np.asarray(np.sqrt(np.maximum(1 - (positive - 1) ** 2, 0)))
