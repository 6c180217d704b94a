"""Similarities of rows with candidates of their own, and what gradients of similarities mean for embeddings.

The kernel takes what is shared by all rows as embeddings and what belongs to one row as numbers. The numbers are
computed here, blocks of rows at a time, and so are matrices where the caller passes one of the same size.
"""

from collections.abc import Iterator
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import kernels_of, library_of
from fastpair._embeddings import is_narrow
from fastpair._units import away_from_units, unit_rows
from fastpair.losses._embedding import Pairs
from fastpair.similarity._composed import Options
from fastpair.similarity._gradient import pairwise_gradient

__all__ = ["dense_gradient", "dense_similarities", "own_gradient", "own_similarities"]

_Array: TypeAlias = npt.NDArray[Any]
_Floats: TypeAlias = npt.NDArray[np.float64]

MOST_NUMBERS, MOST_NUMBERS_ON_GPU = 1 << 20, 1 << 24
"""Numbers of candidates that are handled at a time."""


def own_similarities(x: _Array, others: _Array, metric: str) -> _Array:
    """Return the similarities (n, k) of each row of x with its own k others, shape (n, k, d)."""
    dtype = np.float32 if is_narrow(x) and is_narrow(others) else np.float64
    result: _Array = library_of(x).empty(others.shape[:2], dtype)
    for part in _parts(others):
        left, right = x[part].astype(np.float64, order="C")[:, np.newaxis], others[part].astype(np.float64, order="C")
        if metric == "cosine":
            left, right = unit_rows(left)[0], unit_rows(right)[0]
        if metric in ("dot", "cosine"):
            result[part] = np.matmul(right, left.swapaxes(1, 2))[..., 0]
            continue
        apart = left - right
        squares = np.einsum("ijk,ijk->ij", apart, apart)
        result[part] = -squares if metric == "sqeuclidean" else -np.sqrt(squares)
    return result


def own_gradient(x: _Array, others: _Array, metric: str, weights: _Array) -> tuple[_Array, _Array]:
    """Return the gradients of ``sum(weights * own_similarities(x, others))``, in the precision of the weights."""
    left_gradient: _Array = library_of(x).empty(x.shape, weights.dtype)
    right_gradient: _Array = library_of(x).empty(others.shape, weights.dtype)
    for part in _parts(others):
        slope = weights[part].astype(np.float64)[..., np.newaxis]
        left, right = x[part].astype(np.float64, order="C")[:, np.newaxis], others[part].astype(np.float64, order="C")
        if metric == "cosine":
            (left, left_norms), (right, right_norms) = unit_rows(left), unit_rows(right)
            of_left = np.matmul(slope.swapaxes(1, 2), right)
            left_gradient[part] = away_from_units(of_left, left, left_norms)[:, 0]
            right_gradient[part] = away_from_units(slope * left, right, right_norms)
        elif metric == "dot":
            left_gradient[part] = np.matmul(slope.swapaxes(1, 2), right)[:, 0]
            right_gradient[part] = slope * left
        else:
            apart = left - right
            if metric == "sqeuclidean":
                slope = 2 * slope
            else:
                lengths = np.sqrt(np.einsum("ijk,ijk->ij", apart, apart))[..., np.newaxis]
                slope /= np.where(lengths > 0, lengths, np.inf)
            apart *= slope
            left_gradient[part], right_gradient[part] = -apart.sum(axis=1), apart
    return left_gradient, right_gradient


def dense_similarities(pairs: Pairs) -> _Array:
    """Return the matrix of similarities in float32 where that holds the inputs, else in float64."""
    dtype = np.dtype(np.float32 if pairs.narrow else np.float64)
    if pairs.similarities is not None:
        return pairs.similarities.astype(dtype, copy=False)
    assert pairs.x is not None
    columns = pairs.x if pairs.y is None else pairs.y
    result: _Array = library_of(pairs.x).empty(pairs.shape, dtype)
    kernels_of(pairs.x).pairwise(pairs.x, columns, pairs.metric, result, False, *pairs.resources)
    if pairs.metric not in ("dot", "cosine"):
        np.negative(result, out=result)
    return result


def dense_gradient(pairs: Pairs, scores: _Array, weights: _Array) -> tuple[_Array, _Array | None]:
    """Return the gradients of ``sum(weights * scores)`` with respect to x and y, in their dtypes."""
    assert pairs.x is not None
    if pairs.metric not in ("dot", "cosine"):
        scores, weights = -scores, -weights
    return pairwise_gradient(pairs.x, pairs.y, pairs.metric, Options(), scores, weights, pairs.resources)


def _parts(others: _Array) -> Iterator[slice]:
    """Step through blocks of rows."""
    most = MOST_NUMBERS if isinstance(others, np.ndarray) else MOST_NUMBERS_ON_GPU
    step = max(1, most // max(others.shape[1] * others.shape[2], 1))
    for begin in range(0, len(others), step):
        yield slice(begin, begin + step)
