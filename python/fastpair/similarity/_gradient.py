"""Gradients of `pairwise`: what a gradient of the matrix of scores means for the embeddings.

Every metric that has one is a sum over pairs with weights ``w_ij = dLoss/ds_ij * ds_ij/dv_ij``, where v is a product of
rows or a squared difference. So a gradient is a product of the weights with the rows of the other side, taken tile by
tile in float64: no second matrix of n x m exists.
"""

from collections.abc import Iterator
from math import sqrt
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import ArrayLike, array_of, library_of
from fastpair._validate import Resources
from fastpair.similarity._composed import Options, computable, mean_row

__all__ = ["PairwiseGradient", "check_gradient", "pairwise_gradient"]

_Array: TypeAlias = npt.NDArray[Any]
_Floats: TypeAlias = npt.NDArray[np.float64]

PRODUCTS = ("dot", "cosine", "angular", "half_cosine")
DIFFERENCES = ("sqeuclidean", "euclidean", "rbf", "mahalanobis")
MOST_SIDE = 1024
"""Rows of both sides of a tile: 8 MiB of weights."""
BYTES_OF_A_CELL, BYTES_OF_AN_ELEMENT = 32, 48
"""What a pair of a tile, and an element of its rows, take with all temporaries."""


class PairwiseGradient(NamedTuple):
    """The gradients with respect to x and y, in their dtypes; without y, all of it is that of x."""

    x: _Array
    y: _Array | None


def check_gradient(metric: str, return_grad: bool, grad_output: ArrayLike | None) -> _Array | None:
    """Return the gradient of the scores if one of the embeddings is asked for."""
    if not return_grad:
        if grad_output is not None:
            raise ValueError("grad_output was given, but return_grad is False; pass return_grad=True, or drop it")
        return None
    if metric not in (*PRODUCTS, *DIFFERENCES):
        choices = ", ".join(map(repr, (*PRODUCTS, *DIFFERENCES)))
        raise ValueError(f"metric={metric!r} has no gradient here; with return_grad=True pass one of {choices}")
    if grad_output is None:
        raise TypeError("grad_output is None, but return_grad=True needs it: the gradient of each score, shape (n, m)")
    array = array_of(grad_output, "grad_output")
    if array.dtype.name != "bfloat16" and array.dtype.kind not in "fiu":
        raise TypeError(f"grad_output has dtype {array.dtype}; pass real numbers")
    return array


def pairwise_gradient(
    x: _Array,
    y: _Array | None,
    metric: str,
    options: Options,
    scores: _Array,
    grad_output: _Array,
    resources: Resources,
) -> PairwiseGradient:
    """Return the gradients of ``sum(grad_output * scores)``; the rows are finite."""
    side = Side(x, metric, options)
    other = side if y is None else Side(y, metric, options)
    if metric in DIFFERENCES:  # which do not change when all rows are moved, but keep more digits near 0
        side.centre = other.centre = other.mean()
    for rows, columns in _tiles(len(x), other.count, x.shape[1], resources):
        left, right = side.read(rows), other.read(columns)
        weights = grad_output[rows, columns].astype(np.float64)
        if metric in PRODUCTS:
            _weigh_products(weights, metric, left, right)
            side.total[rows] += weights @ right
            other.total[columns] += weights.T @ left
        else:
            _weigh_differences(weights, metric, scores[rows, columns], options.bandwidth)
            side.total[rows] += weights.sum(axis=1)[:, np.newaxis] * left - weights @ right
            other.total[columns] += weights.sum(axis=0)[:, np.newaxis] * right - weights.T @ left
    return PairwiseGradient(side.finish(resources), None if y is None else other.finish(resources))


class Side:
    """The rows of x or y, and what has been added up of their gradient."""

    def __init__(self, rows: _Array, metric: str, options: Options) -> None:
        self.rows, self.count = rows, len(rows)
        self.unit = metric in PRODUCTS and metric != "dot"
        self.whitening = options.whitening
        self.centre: _Floats | None = None
        self.total: _Floats = library_of(rows).zeros(rows.shape)

    def mean(self) -> _Floats:
        """Return the mean row."""
        return mean_row(computable(self.rows))

    def read(self, part: slice) -> _Floats:
        """Return some rows as products and differences are taken of them."""
        rows: _Floats = self.rows[part].astype(np.float64)
        if self.unit:
            return _unit(rows)[0]
        if self.centre is not None:
            rows -= self.centre
        if self.whitening is not None:
            rows = rows @ self.whitening
        return rows

    def finish(self, resources: Resources) -> _Array:
        """Return the gradient in the dtype of the rows, in float64 where they are no floats."""
        dtype = self.rows.dtype
        native = dtype.newbyteorder("=") if dtype.kind == "f" or dtype.name == "bfloat16" else np.dtype(np.float64)
        step = _side(self.rows.shape[1], resources)
        for begin in range(0, self.count, step):
            part = slice(begin, begin + step)
            if self.unit:
                units, norms = _unit(self.rows[part].astype(np.float64))
                along = np.einsum("ij,ij->i", self.total[part], units)
                tangent = self.total[part] - along[:, np.newaxis] * units
                nothing = norms == 0
                tangent /= np.where(nothing, 1.0, norms)
                tangent[nothing[:, 0]] = 0.0
                self.total[part] = tangent
            elif self.whitening is not None:
                self.total[part] = self.total[part] @ self.whitening.T
        with np.errstate(over="ignore"):
            return self.total.astype(native, copy=False)


def _tiles(rows: int, columns: int, width: int, resources: Resources) -> Iterator[tuple[slice, slice]]:
    step = _side(width, resources)
    for left in range(0, columns, step):
        for top in range(0, rows, step):
            yield slice(top, top + step), slice(left, left + step)


def _side(width: int, resources: Resources) -> int:
    """Rows of both sides of a tile for which there is room."""
    resources.pieces(1, BYTES_OF_A_CELL + BYTES_OF_AN_ELEMENT * width)
    half = BYTES_OF_AN_ELEMENT * width / (2 * BYTES_OF_A_CELL)
    return max(1, min(MOST_SIDE, int(sqrt(half * half + resources.scratch / BYTES_OF_A_CELL) - half)))


def _weigh_products(weights: _Floats, metric: str, left: _Floats, right: _Floats) -> None:
    """Multiply by the derivatives of the scores with respect to products of unit rows, in place."""
    if metric == "half_cosine":
        weights /= -2
    elif metric == "angular":
        cosines = left @ right.T
        cosines *= cosines
        np.subtract(1, cosines, out=cosines)
        # The angle has a kink where rows point the same way or opposite ways: the gradient there is 0.
        kinks = ~(cosines > 0)
        cosines[kinks] = 1.0
        np.sqrt(cosines, out=cosines)
        cosines *= -np.pi
        weights /= cosines
        weights[kinks] = 0.0


def _weigh_differences(weights: _Floats, metric: str, scores: _Array, bandwidth: float) -> None:
    """Multiply by the derivatives of the scores with respect to squared differences, twice, in place."""
    if metric == "sqeuclidean":
        weights *= 2
    elif metric == "rbf":
        weights *= scores
        weights *= -2 / bandwidth
    else:  # coincident points have the gradient 0
        apart = scores > 0
        weights /= np.where(apart, scores, 1.0)
        weights[~apart] = 0.0


def _unit(rows: _Floats) -> tuple[_Floats, _Floats]:
    """Return rows of norm 1 and their norms, as a column; zero rows stay. Overwrites the rows."""
    if not rows.shape[1]:
        return rows, library_of(rows).zeros((len(rows), 1))
    largest = np.abs(rows).max(axis=1, keepdims=True)
    rows /= np.where(largest > 0, largest, 1.0)  # so that no square leaves the range
    norms = np.sqrt(np.einsum("ij,ij->i", rows, rows))[:, np.newaxis]
    rows /= np.where(norms > 0, norms, 1.0)
    return rows, norms * largest
