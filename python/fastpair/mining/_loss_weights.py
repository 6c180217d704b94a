"""Weights and samples of examples by their losses: `loss_weights` and `resample_by_loss`."""

from collections.abc import Callable
from typing import Any, NamedTuple, SupportsIndex, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import ArrayLike
from fastpair._embeddings import check_count
from fastpair._random import Seed, generator
from fastpair._validate import check_choice, check_not_negative, check_number
from fastpair.mining._pools import parse_pools
from fastpair.mining._values import finite, finite_per_row

__all__ = ["ResampledPositives", "loss_weights", "resample_by_loss"]

_Floats: TypeAlias = npt.NDArray[np.float64]
_Ints: TypeAlias = npt.NDArray[np.int64]

KINDS = ("linupper", "quadratic", "upper", "extremes")


class ResampledPositives(NamedTuple):
    """The candidate that was drawn from each pool, -1 from an empty one, and the probability of each candidate."""

    indices: _Ints
    probabilities: _Floats


def loss_weights(
    losses: ArrayLike,
    kind: str | Callable[[_Floats], ArrayLike] = "linupper",
    *,
    delta: float = 1.0,
    low: float | None = 0.75,
    high: float | None = 1.8,
    r: float = 1.0,
    step: SupportsIndex | None = None,
    warmup: SupportsIndex = 1000,
) -> _Floats:
    r"""Compute weights of examples from their losses, which add up to 1.

    Parameters
    ----------
    losses : array_like, shape (n,)
        The loss of each example of the batch; with several machines, of the global batch.
    kind : {"linupper", "quadratic", "upper", "extremes"} or callable
        Which losses count more, see the notes. A function gets the losses (float64) and returns a weight that is not
        negative for each, which is divided by their sum.
    delta : float
        The scale of centred losses, positive.
    low : float, optional
        The loss that becomes :math:`-\delta`. None takes the least of the batch.
    high : float, optional
        The loss that becomes :math:`\delta`, larger than `low`. None takes the largest of the batch.
    r : float
        The temperature of the softmax, positive: large ones give equal weights.
    step : int, optional
        The step of training, from 0.
    warmup : int
        Before this step weights are equal, where `step` is given.

    Returns
    -------
    ndarray of float64, shape (n,)
        The weights; their sum is 1.

    Raises
    ------
    TypeError
        If a dtype cannot be used, or an option is not a number.
    ValueError
        If a loss is NaN or infinite, an option is out of range, or a function returns what is no weight.

    See Also
    --------
    fastpair.mining.resample_by_loss : Draw candidates instead.

    Notes
    -----
    Losses are centred as :math:`h = \delta (2 l - l_{high} - l_{low}) / (l_{high} - l_{low})`, and weights are the
    softmax of :math:`f(h) / r`, with f one of

    * "linupper": :math:`\min(h + \delta, \delta)`: the lower half counts less;
    * "quadratic": :math:`1 - h^2 / \delta^2`: both ends count less;
    * "upper": :math:`(h + \delta) / 2`: the larger the more;
    * "extremes": :math:`|h|`: both ends count more.

    Losses beyond `low` and `high` are not clipped. If both are equal, which happens where they come from the batch, all
    losses are in the middle. Functions stand for weights of a query by its loss (progressive learning [2]_) or by the
    gap between teacher and student (dynamic distillation [3]_), whose formulas differ between papers.

    Cost: O(n). Extra memory: O(n).

    References
    ----------
    .. [1] D. Sow et al. (2025). Dynamic loss-based sample reweighting for improved large language model pretraining.
       ICLR.
    .. [2] T. Wu et al. (2023). Towards robust text retrieval with progressive learning.
    .. [3] J. Rao et al. (2022). Dynamic contrastive distillation for image-text retrieval. IEEE TMM.

    Examples
    --------
    >>> import fastpair
    >>> fastpair.mining.loss_weights([0.5, 1.0, 1.275, 2.0]).round(4)
    array([0.081 , 0.21  , 0.3545, 0.3545])
    >>> fastpair.mining.loss_weights([0.5, 1.0, 1.5], lambda losses: losses > 0.7)
    array([0. , 0.5, 0.5])
    """
    floats = finite(losses, "losses", 1)
    if not callable(kind):
        check_choice(kind, "kind", KINDS)
    scale, heat = check_number(delta, "delta", above=0), check_number(r, "r", above=0)
    bottom = None if low is None else check_number(low, "low")
    top = None if high is None else check_number(high, "high")
    if bottom is not None and top is not None and bottom >= top:
        raise ValueError(f"low is {bottom:g} and high {top:g}; pass a low that is smaller than high")
    now, first = None if step is None else check_count(step, "step", 0), check_count(warmup, "warmup", 0)
    count = len(floats)
    if not count:
        return np.zeros(0)
    if now is not None and now < first:
        return np.full(count, 1 / count)
    if callable(kind):
        weights = finite_per_row(kind(floats.copy()), count, "the result of kind")
        check_not_negative(weights, "the result of kind")
        total = weights.sum()
        return np.asarray(weights / total) if total > 0 else np.full(count, 1 / count)
    bottom = float(floats.min()) if bottom is None else bottom
    top = float(floats.max()) if top is None else top
    if bottom > top:
        raise ValueError(f"low is {bottom:g} and high {top:g}, of which one is from the batch; pass both, or neither")
    centred = scale * (2 * floats - top - bottom) / (top - bottom) if bottom < top else np.zeros(count)
    return _softmax(_shaped(centred, kind, scale) / heat)


def _shaped(centred: _Floats, kind: str, scale: float) -> _Floats:
    if kind == "linupper":
        return np.minimum(centred + scale, scale)
    if kind == "quadratic":
        return np.asarray(1 - (centred / scale) ** 2)
    return (centred + scale) / 2 if kind == "upper" else np.abs(centred)


def _softmax(logits: _Floats) -> _Floats:
    weights: _Floats = np.exp(logits - logits.max())
    weights /= weights.sum()
    return weights


def resample_by_loss(
    losses: ArrayLike,
    *,
    groups: ArrayLike | None = None,
    offsets: ArrayLike | None = None,
    temperature: float = 0.1,
    seed: Seed = None,
) -> ResampledPositives:
    r"""Draw one candidate from each pool, the likelier the smaller its loss.

    Parameters
    ----------
    losses : array_like, shape (l,)
        The loss of each candidate positive.
    groups : array_like, shape (l,), optional
        The pool of each candidate, such as its user: integers or strings, in any order.
    offsets : array_like, shape (g + 1,), optional
        Where each pool begins, and the end, for candidates in the order of pools. Without either all are one pool.
    temperature : float
        What losses are divided by, positive; inf draws with equal probability.
    seed : int or numpy.random.Generator, optional
        Where random numbers come from. By default each call draws anew.

    Returns
    -------
    ResampledPositives
        The named tuple ``(indices, probabilities)``: int64, shape (g,), which candidate was drawn from each pool, in
        the order in which groups first appear, -1 for an empty pool; float64, shape (l,).

    Raises
    ------
    TypeError
        If a dtype cannot be used, or an option is not a number.
    ValueError
        If a loss is NaN or infinite, shapes do not match, or the temperature is not positive.

    See Also
    --------
    fastpair.losses.bpr : A loss that gives one value for each candidate with ``reduction="none"``.

    Notes
    -----
    A candidate of pool U has the probability :math:`e^{-l_i / T} / \sum_{k \in U} e^{-l_k / T}`. Drawn is the largest
    :math:`-l_i / T + G_i` with Gumbel noise G, one random number for each candidate in the caller's order: a candidate
    has the same noise however the others are grouped. The published loss is the softplus of the difference of scores,
    and drawing starts in the fifth epoch, after noisy positives can be told by their losses.

    Cost: O(l log l), for the order of groups. Extra memory: O(l).

    References
    ----------
    .. [1] K. Zhang et al. (2025). Personalized denoising implicit feedback for robust recommender system. WWW.

    Examples
    --------
    >>> import fastpair
    >>> found = fastpair.mining.resample_by_loss([0.2, 0.3, 0.6, 0.1], groups=["a", "a", "a", "b"], seed=1)
    >>> found.probabilities.round(4)
    array([0.7214, 0.2654, 0.0132, 1.    ])
    >>> found.indices[1]
    np.int64(3)
    """
    floats = finite(losses, "losses", 1)
    pools = parse_pools(groups, offsets, len(floats))
    rng = generator(seed)
    logits: Any = -floats / _heat(temperature)
    with np.errstate(divide="ignore"):  # a random number of 0 is the smallest noise, -inf
        noise = -np.log(-np.log(rng.random(len(floats))))
    largest = pools.max(logits)
    terms = np.exp(logits - pools.spread(largest))
    return ResampledPositives(pools.first_best(logits + noise), terms / pools.spread(pools.sum(terms)))


def _heat(temperature: Any) -> float:
    if np.ndim(temperature) == 0 and not isinstance(temperature, str) and temperature == np.inf:
        return np.inf
    return check_number(temperature, "temperature", above=0)
