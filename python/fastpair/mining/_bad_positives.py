"""Positive pairs that are noisy or wrong, from the history of their losses: `bad_positives`."""

from math import pi, sqrt
from typing import Literal, NamedTuple, SupportsIndex, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import ArrayLike
from fastpair._embeddings import check_count, numbers
from fastpair._validate import check_choice, check_number
from fastpair.mining._values import finite, finite_per_row

__all__ = ["BadPositives", "bad_positives"]

_Floats: TypeAlias = npt.NDArray[np.float64]
_Bools: TypeAlias = npt.NDArray[np.bool_]


class BadPositives(NamedTuple):
    """The weight of each positive pair, whether it is noisy or faulty, and the score that says so."""

    weights: _Floats
    noisy: _Bools
    faulty: _Bools
    scores: _Floats


def bad_positives(
    losses: ArrayLike,
    *,
    current: ArrayLike | None = None,
    b_np: float = 2.0,
    b_fp: float = 3.0,
    warm: SupportsIndex = 50,
    normalize: Literal["density", "peak"] = "density",
) -> BadPositives:
    r"""Flag positive pairs whose losses were too low or too high over training, and weigh them down.

    Parameters
    ----------
    losses : array_like, shape (n, e) or (n,)
        The history: the loss of each positive pair in each epoch, oldest first. One dimension is a single epoch.
    current : array_like, shape (n,), optional
        The losses at which flagged pairs are weighted. By default those of the last epoch.
    b_np : float
        How many standard deviations below the mean a score is that of a noisy pair, not negative.
    b_fp : float
        How many above the mean it is that of a faulty pair, not negative.
    warm : int
        With a history of fewer epochs nothing is flagged yet.
    normalize : {"density", "peak"}
        Whether the weight of a flagged pair is the density of a normal distribution, as published, or that divided by
        its density at the mean, which is at most 1.

    Returns
    -------
    BadPositives
        The named tuple ``(weights, noisy, faulty, scores)``, each of shape (n,): float64, two of bool, float64.

    Raises
    ------
    TypeError
        If a dtype cannot be used, or an option is not a number.
    ValueError
        If a loss is NaN or infinite, shapes do not match, there is no epoch, or an option is out of range.

    See Also
    --------
    fastpair.losses.nt_xent : A loss that gives one value for each pair with ``reduction="none"``.

    Notes
    -----
    The score of pair i weighs its losses by their age, :math:`m_i = \frac1T \sum_{t=1}^T \frac tT\, l_{it}`. With mean
    :math:`\mu` and (population) standard deviation :math:`\sigma` of the scores, a pair is noisy if :math:`m_i \le \mu
    - b_{np} \sigma`: its views share so little but noise that they agree too easily. It is faulty if :math:`m_i \ge
    \mu + b_{fp} \sigma`: augmentation has destroyed what views had in common. Flagged pairs get the weight
    :math:`\mathcal N(l_i; \mu, \sigma^2)` at their current loss, others 1. A density is not bounded: it exceeds 1 where
    :math:`\sigma < 0.4`. The ages make scores about half as large as losses, so that it is often close to 0. If all
    scores are equal nothing is flagged.

    Keep the history and pass it on; nothing is stored here.

    Cost: O(n e). Extra memory: copies of the history in float64.

    References
    ----------
    .. [1] X. Lan, H. Yan, S. Hong and M. Feng (2024). Towards enhancing time series contrastive learning: a dynamic bad
       pair mining approach. ICLR.

    Examples
    --------
    >>> import fastpair
    >>> found = fastpair.mining.bad_positives([1, 1.1, 0.9, 1, 3, 1, 0.1, 1], b_np=1, b_fp=1, warm=1)
    >>> found.noisy.nonzero()[0], found.faulty.nonzero()[0]
    (array([6]), array([4]))
    >>> found.weights.round(3)
    array([1.   , 1.   , 1.   , 1.   , 0.027, 1.   , 0.208, 1.   ])
    """
    history = numbers(losses, "losses", "dot")
    floats = finite(history[:, np.newaxis] if history.ndim == 1 else history, "losses", 2)
    count, epochs = floats.shape
    if not epochs:
        raise ValueError(f"losses has shape {floats.shape}; pass at least one epoch")
    below, above = check_number(b_np, "b_np", least=0), check_number(b_fp, "b_fp", least=0)
    first = check_count(warm, "warm", 0)
    check_choice(normalize, "normalize", ("density", "peak"))
    latest = floats[:, -1] if current is None else finite_per_row(current, count, "current")
    scores: _Floats = (floats * (np.arange(1, epochs + 1) / epochs)).mean(axis=1)
    weights, noisy, faulty = np.ones(count), np.zeros(count, np.bool_), np.zeros(count, np.bool_)
    # Equal scores have a deviation that is rounding alone, so they are compared, not their deviation.
    if count and epochs >= first and scores.min() < scores.max():
        mean, deviation = scores.mean(), scores.std()
        noisy, faulty = scores <= mean - below * deviation, scores >= mean + above * deviation
        flagged = noisy | faulty
        weights[flagged] = np.exp(-0.5 * ((latest[flagged] - mean) / deviation) ** 2)
        if normalize == "density":
            weights[flagged] /= deviation * sqrt(2 * pi)
    return BadPositives(weights, noisy, faulty, scores)
