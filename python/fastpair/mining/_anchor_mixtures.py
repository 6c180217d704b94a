"""Mixtures of embeddings for regression: `anchor_mixtures`."""

from typing import Any, NamedTuple, SupportsIndex, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import ArrayLike
from fastpair._embeddings import check_count, check_flag
from fastpair._random import Seed, generator
from fastpair._validate import check_number, in_dtype_of
from fastpair.mining._samples import chunks
from fastpair.mining._shares import embeddings_of_floats, normalized
from fastpair.mining._values import finite_per_row

__all__ = ["AnchorMixtures", "anchor_mixtures"]

_Array: TypeAlias = npt.NDArray[Any]
_Floats: TypeAlias = npt.NDArray[np.float64]
_Ints: TypeAlias = npt.NDArray[np.int64]

MOST_CELLS = 1 << 20
"""Numbers of mixtures that are made at a time."""


class AnchorMixtures(NamedTuple):
    """Mixtures of each of n anchors, q for each, positives first, as `fastpair.losses.supremix` takes them.

    `mixtures` has shape (n, q, d); `mask` is 1 for positives, 0 for negatives and -1 for none, `labels` are those of
    the mixtures, both (n, q). `parents` (n, q, 2) are rows, -1 for none; `shares` (n, q) are those of the first parent.
    """

    mixtures: _Array
    mask: _Ints
    labels: _Floats
    parents: _Ints
    shares: _Floats


def anchor_mixtures(
    z: ArrayLike,
    labels: ArrayLike,
    n_positive: SupportsIndex = 1,
    n_negative: SupportsIndex = 1,
    *,
    window: float | None = None,
    alpha: float = 2.0,
    normalize: bool = False,
    seed: Seed = None,
) -> AnchorMixtures:
    r"""Make hard positives and hard negatives of each anchor by mixing embeddings with known labels.

    Parameters
    ----------
    z : array_like, shape (n, d)
        Embeddings: floats of 16 to 64 bits, or integers. Views of the same examples are passed one below the other.
    labels : array_like, shape (n,)
        What is to be predicted, finite numbers.
    n_positive : int
        How many hard positives to make for each anchor.
    n_negative : int
        How many hard negatives to make for each anchor.
    window : float, optional
        How far the labels of the parents of a positive may be from that of the anchor, positive; by default any.
    alpha : float
        Both parameters of the beta distribution of the anchor's share in negatives, positive.
    normalize : bool
        Divide the mixtures by their norms.
    seed : int, numpy.random.Generator or None
        Where the draws begin; None takes fresh ones.

    Returns
    -------
    AnchorMixtures
        The named tuple ``(mixtures, mask, labels, parents, shares)``: mixtures in the dtype of z (float64 for
        integers). Where there are no parents, the mixture is 0, the mask -1, and the label that of the anchor.

    Raises
    ------
    TypeError
        If a dtype cannot be used, or an option has the wrong type.
    ValueError
        If shapes do not match, a number is NaN or infinite, or an option is out of range.

    See Also
    --------
    fastpair.losses.supremix : The loss that takes them as ``mixtures``, ``mixture_mask`` and ``mixture_labels``.

    Notes
    -----
    A hard negative of the anchor i contains it: :math:`\lambda z_i + (1 - \lambda) z_n` with the label
    :math:`\lambda y_i + (1 - \lambda) y_n`, a random row n of another label, and :math:`\lambda` from
    Beta(alpha, alpha). A hard positive does not: for random rows j and k with :math:`y_j < y_i < y_k` within the
    window, :math:`\lambda z_j + (1 - \lambda) z_k` with :math:`\lambda = (y_k - y_i) / (y_k - y_j)` has the label
    :math:`y_i`. The first parent is the anchor, or j.

    Cost: O(n log n + n q d). Peak extra memory: the mixtures in float64, and O(n q).

    References
    ----------
    .. [1] Y. Wu, Z. Dong et al. (2023). Mixup your own pairs. arXiv.

    Examples
    --------
    >>> from fastpair import mining
    >>> mixed = mining.anchor_mixtures([[0.0], [1.0], [4.0]], [1.0, 2.0, 4.0], seed=0)
    >>> mixed.mask
    array([[-1,  0],
           [ 1,  0],
           [-1,  0]])
    >>> mixed.mixtures[1].round(4), mixed.labels[1].round(4)
    (array([[1.3333],
           [2.165 ]]), array([2.    , 2.7767]))
    """
    given, rows = embeddings_of_floats(z, "z")
    targets = finite_per_row(labels, len(rows), "labels")
    positives, negatives = check_count(n_positive, "n_positive", 0), check_count(n_negative, "n_negative", 0)
    reach = np.inf if window is None else check_number(window, "window", above=0)
    both, unit = check_number(alpha, "alpha", above=0), check_flag(normalize, "normalize")
    rng = generator(seed)
    count = len(rows)
    order = np.argsort(targets, kind="stable")
    parents = np.concatenate(
        [
            _around(targets, order, reach, rng.random((count, positives, 2))),
            _of_other_labels(targets, order, rng.random((count, negatives))),
        ],
        axis=1,
    )
    there = parents[:, :, 0] >= 0
    shares = np.concatenate([np.zeros((count, positives)), rng.beta(both, both, (count, negatives))], axis=1)
    mixed_labels = np.repeat(targets[:, np.newaxis], positives + negatives, axis=1)
    if count:
        first, second = targets[np.maximum(parents, 0)].transpose(2, 0, 1)
        upper, gap = (second / 2 - mixed_labels / 2)[:, :positives], (second / 2 - first / 2)[:, :positives]
        # Halves, whose differences stay in range.
        np.divide(upper, gap, out=shares[:, :positives], where=there[:, :positives] & (gap != 0))
        of_negatives = (shares * first + (1 - shares) * second)[:, positives:]
        mixed_labels[:, positives:] = np.where(there[:, positives:], of_negatives, mixed_labels[:, positives:])
    shares[~there] = 0
    mask = np.where(there, (np.arange(positives + negatives) < positives).astype(np.int64), -1)
    return AnchorMixtures(
        in_dtype_of(_mixed(rows, parents, shares, there, unit), given), mask, mixed_labels, parents, shares
    )


def _around(targets: _Floats, order: _Ints, reach: float, draws: _Floats) -> _Ints:
    """Draw rows with a smaller and with a larger label within reach; -1 if one of both is missing."""
    in_order = targets[order]
    with np.errstate(over="ignore"):
        low, high = targets - reach, targets + reach
    begins = [np.searchsorted(in_order, low, "left"), np.searchsorted(in_order, targets, "right")]
    ends = [np.searchsorted(in_order, targets, "left"), np.searchsorted(in_order, high, "right")]
    parents = np.full(draws.shape, -1, np.int64)
    there = (ends[0] > begins[0]) & (ends[1] > begins[1])
    for side in range(2):
        sizes = (ends[side] - begins[side])[there, np.newaxis]
        places = np.minimum((draws[there, :, side] * sizes).astype(np.int64), sizes - 1)
        parents[there, :, side] = order[begins[side][there, np.newaxis] + places]
    return parents


def _of_other_labels(targets: _Floats, order: _Ints, draws: _Floats) -> _Ints:
    """Return each row itself and a draw among rows of another label; -1 if there is none."""
    in_order = targets[order]
    begins, ends = np.searchsorted(in_order, targets, "left"), np.searchsorted(in_order, targets, "right")
    parents = np.full((*draws.shape, 2), -1, np.int64)
    sizes = len(targets) - (ends - begins)
    there = sizes > 0
    limit = sizes[there, np.newaxis]
    places = np.minimum((draws[there] * limit).astype(np.int64), limit - 1)
    places += np.where(places >= begins[there, np.newaxis], (ends - begins)[there, np.newaxis], 0)
    parents[there, :, 0] = np.flatnonzero(there)[:, np.newaxis]
    parents[there, :, 1] = order[places]
    return parents


def _mixed(rows: _Floats, parents: _Ints, shares: _Floats, there: npt.NDArray[np.bool_], unit: bool) -> _Floats:
    result = np.zeros((*parents.shape[:2], rows.shape[1]))
    for part in chunks(len(rows), MOST_CELLS // max(1, parents.shape[1] * rows.shape[1])):
        share, kept = shares[part][there[part]][:, np.newaxis], parents[part][there[part]]
        result[part][there[part]] = normalized(share * rows[kept[:, 0]] + (1 - share) * rows[kept[:, 1]], unit)
    return result
