"""Differentiable sorting of rows by an odd-even network of soft exchanges, and its reverse pass."""

from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = ["SoftSort", "soft_sort", "soft_sort_vjp"]

_Floats: TypeAlias = npt.NDArray[np.float64]
_Array: TypeAlias = npt.NDArray[Any]


MOST = 1e300
"""Larger differences are cut off, so that their products stay finite."""


class SoftSort(NamedTuple):
    """Sorted rows, how much of each item is at each rank, and for each layer what it started from.

    That is the differences of its pairs, the shares that stay where they are, and the permutation.
    """

    values: _Floats
    permutation: _Floats
    layers: list[tuple[_Floats, _Floats, _Floats]]


def soft_sort(scores: _Floats, steepness: float) -> SoftSort:
    """Sort rows of shape (n, k) in ascending order through k layers, the exchanges softened by a Cauchy distribution.

    ``scores @ permutation`` are the sorted rows: ``permutation[row, item, rank]``.
    """
    rows, size = scores.shape
    values = scores.copy()
    permutation = np.broadcast_to(np.eye(size), (rows, size, size)).copy()
    layers: list[tuple[_Floats, _Floats, _Floats]] = []
    for layer in range(size):
        first, second = _pairs(layer, size)
        with np.errstate(over="ignore"):
            away = np.clip(values[:, second] - values[:, first], -MOST, MOST)
            keep = 0.5 + np.arctan(steepness * away) / np.pi
        layers.append((away, keep, permutation.copy()))
        low, high = values[:, first], values[:, second]
        values[:, first], values[:, second] = keep * low + (1 - keep) * high, (1 - keep) * low + keep * high
        keep = keep[:, np.newaxis]
        low, high = permutation[:, :, first], permutation[:, :, second]
        permutation[:, :, first] = keep * low + (1 - keep) * high
        permutation[:, :, second] = (1 - keep) * low + keep * high
    return SoftSort(values, permutation, layers)


def soft_sort_vjp(sorted_rows: SoftSort, upstream: _Floats, steepness: float) -> _Floats:
    """Return the gradient of the scores from that of the permutation; overwrites the latter."""
    rows, size, _ = upstream.shape
    by_values = np.zeros((rows, size))
    for layer in reversed(range(size)):
        first, second = _pairs(layer, size)
        away, keep, before = sorted_rows.layers[layer]
        low, high = upstream[:, :, first], upstream[:, :, second]
        apart = before[:, :, first] - before[:, :, second]
        by_keep = np.einsum("nip,nip->np", low - high, apart)
        # Values: new low = keep low + (1 - keep) high, new high the other way round.
        low_value, high_value = by_values[:, first], by_values[:, second]
        by_keep -= (low_value - high_value) * away
        by_values[:, first] = keep * low_value + (1 - keep) * high_value
        by_values[:, second] = (1 - keep) * low_value + keep * high_value
        with np.errstate(over="ignore"):
            pull = by_keep * steepness / (np.pi * (1 + np.square(steepness * away)))
        by_values[:, second] += pull
        by_values[:, first] -= pull
        keep = keep[:, np.newaxis]
        upstream[:, :, first], upstream[:, :, second] = keep * low + (1 - keep) * high, (1 - keep) * low + keep * high
    return by_values


def _pairs(layer: int, size: int) -> tuple[_Array, _Array]:
    """Return the places that a layer compares with the next ones."""
    first = np.arange(layer % 2, size - 1, 2)
    return first, first + 1
