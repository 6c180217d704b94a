"""Weights of negatives from a softmax of similarities of another source: `soft_info_nce_weights`."""

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import ArrayLike
from fastpair._validate import check_number
from fastpair.mining._pair_roles import parse_pair_roles
from fastpair.mining._values import blocks, finite

__all__ = ["soft_info_nce_weights"]

_Floats: TypeAlias = npt.NDArray[np.float64]
_Bools: TypeAlias = npt.NDArray[np.bool_]


def soft_info_nce_weights(
    similarities: ArrayLike,
    positives: Any = None,
    *,
    ignore: Any = None,
    temperature: float = 1.0,
    alpha: float = 1.0,
    beta: float = 1.0,
    floor: float = 0.1,
) -> _Floats:
    r"""Compute weights that are the smaller the more similar another source finds a negative.

    Parameters
    ----------
    similarities : array_like, shape (n, m)
        Similarities of another source: BM25, another model, or the same model at another time.
    positives : array_like, shape (n,) or (n, m), or pairs, optional
        The column of the positive of each row, -1 for none, or a mask in any format of `fastpair.mining.pair_masks`. By
        default the diagonal.
    ignore : array_like of bool, shape (n, m), or pairs, optional
        Pairs that are neither positive nor negative, in the same formats; their weight is 0.
    temperature : float
        What similarities are divided by, positive.
    alpha : float
        How strongly they count, not negative; 0 gives weights of 1.
    beta : float
        The weight of no similarity, before the mean is made 1; positive.
    floor : float
        The least weight of a negative, not negative.

    Returns
    -------
    ndarray of float64, shape (n, m)
        The weights of negatives; 1 for positives, 0 for ignored pairs.

    Raises
    ------
    TypeError
        If a dtype cannot be used, or an option is not a number.
    ValueError
        If a similarity is NaN or infinite, shapes do not match, an option is out of range, or a row has so few
        negatives that :math:`\alpha / K \ge \beta`.

    See Also
    --------
    fastpair.losses.info_nce : The loss, which takes them as ``neg_weights=``.
    fastpair.losses.soft_target_nce : Similar pairs as targets instead.

    Notes
    -----
    With the softmax :math:`q` over the K negatives of a row,

    .. math:: q_{ij} = \frac{e^{r_{ij} / t}}{\sum_k e^{r_{ik} / t}}, \qquad
        w_{ij} = \max\Bigl(\frac{\beta - \alpha q_{ij}}{\beta - \alpha / K},\ f\Bigr).

    Before the floor takes effect, the mean of the weights of a row is 1; equal similarities give weights of exactly 1.
    If :math:`\alpha / K` reaches :math:`\beta`, the mean cannot be 1, and beyond it weights would grow with similarity.
    The published loss uses dot products and the temperature 1.

    Cost: O(n m). Extra memory: some MiB beside the result.

    References
    ----------
    .. [1] H. Li, X. Zhou, L. A. Tuan and C. Miao (2023). Rethinking negative pairs in code search. EMNLP.

    Examples
    --------
    >>> import fastpair
    >>> fastpair.mining.soft_info_nce_weights([[0.9, 0.2, 0.4]], alpha=0.5).round(4)
    array([[1.    , 1.0332, 0.9668]])
    """
    scores = finite(similarities, "similarities", 2)
    heat = check_number(temperature, "temperature", above=0)
    slope = check_number(alpha, "alpha", least=0)
    most = check_number(beta, "beta", above=0)
    least = check_number(floor, "floor", least=0)
    rows, columns = scores.shape
    roles = parse_pair_roles((rows, columns), positives, ignore)
    weights = np.empty((rows, columns))
    for part in blocks(rows, columns):
        negative, positive = roles.split(part)
        counts = np.count_nonzero(negative, axis=1)
        _check_counts(counts, part.start, slope, most)
        weights[part] = _block(scores[part] / heat, negative, positive, counts, slope, most, least)
    return weights


def _block(
    logits: _Floats, negative: _Bools, positive: _Bools, counts: Any, slope: float, most: float, least: float
) -> _Floats:
    """Return the weights of some rows."""
    largest = logits.max(axis=1, where=negative, initial=-np.inf)
    shares = np.where(negative, logits, -np.inf)
    shares -= np.where(counts > 0, largest, 0.0)[:, np.newaxis]
    np.exp(shares, out=shares)
    shares /= np.maximum(shares.sum(axis=1), 1)[:, np.newaxis]  # the largest adds 1; rows without negatives stay 0
    weights = (
        (most - slope * shares) / (most - slope / np.maximum(counts, 1)[:, np.newaxis]) if counts.any() else shares
    )
    np.maximum(weights, least, out=weights)
    weights[~negative] = 0.0
    weights[positive] = 1.0
    result: _Floats = weights
    return result


def _check_counts(counts: Any, start: int, slope: float, most: float) -> None:
    few = (counts > 0) & (slope >= most * counts)
    if few.any():
        row = int(few.argmax())
        raise ValueError(
            f"row {start + row} has {counts[row]} negatives, but alpha={slope:g} and beta={most:g} need more than "
            f"{slope / most:g}; pass a smaller alpha or a larger batch"
        )
