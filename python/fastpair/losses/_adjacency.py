"""Weighted graphs of n nodes, dense or sparse, as lists of edges."""

from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import ArrayLike, array_of
from fastpair._embeddings import is_sparse, numbers

__all__ = ["Edges", "parse_adjacency"]

_Array: TypeAlias = npt.NDArray[Any]
_Floats: TypeAlias = npt.NDArray[np.float64]
_Ints: TypeAlias = npt.NDArray[np.int64]


class Edges(NamedTuple):
    """The entries of an adjacency matrix that are not 0, by row: borders of the rows, columns and values."""

    indptr: _Ints
    columns: _Ints
    values: _Floats

    @property
    def rows(self) -> _Ints:
        """The row of each entry."""
        return np.repeat(np.arange(len(self.indptr) - 1), np.diff(self.indptr))


def parse_adjacency(adjacency: Any, nodes: int) -> Edges:
    """Return the edges of a dense matrix, a sparse one of scipy, or a tuple ``(indptr, indices[, data])``."""
    if is_sparse(adjacency):
        sparse = adjacency.tocsr()
        _check_square(sparse.shape, nodes)
        return _checked(sparse.indptr, sparse.indices, sparse.data, nodes)
    if isinstance(adjacency, tuple):
        if len(adjacency) not in (2, 3):
            raise TypeError(f"adjacency is a tuple of {len(adjacency)}; pass (indptr, indices) or with data")
        indptr, indices = (array_of(part, "adjacency") for part in adjacency[:2])
        data = np.ones(len(indices)) if len(adjacency) == 2 else numbers(adjacency[2], "adjacency[2]", "dot")
        return _checked(indptr, indices, data, nodes)
    matrix = _dense(adjacency)
    _check_square(matrix.shape, nodes)
    rows, columns = np.nonzero(matrix)
    indptr = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=nodes))])
    return Edges(indptr.astype(np.int64), columns, matrix[rows, columns].astype(np.float64))


def _dense(adjacency: ArrayLike) -> _Array:
    return numbers(adjacency, "adjacency", "dot")


def _check_square(shape: tuple[int, ...], nodes: int) -> None:
    if shape != (nodes, nodes):
        raise ValueError(f"adjacency has shape {shape}; pass ({nodes}, {nodes}), a row and a column for each node")


def _checked(indptr: _Array, indices: _Array, data: _Array, nodes: int) -> Edges:
    if indptr.shape != (nodes + 1,) or indptr.dtype.kind not in "iu" or (np.diff(indptr.astype(np.int64)) < 0).any():
        raise ValueError(f"the indptr of adjacency has shape {indptr.shape}; pass {nodes + 1} borders that ascend")
    if indices.ndim != 1 or (indices.dtype.kind not in "iu" and len(indices)) or data.shape != indices.shape:
        raise ValueError(
            f"the indices of adjacency have shape {indices.shape} and dtype {indices.dtype}, its data {data.shape}; "
            f"pass one integer and one number for each edge"
        )
    if indptr[0] != 0 or indptr[-1] != len(indices):
        raise ValueError(f"the indptr of adjacency goes from {indptr[0]} to {indptr[-1]}; it must go to {len(indices)}")
    places = indices.astype(np.int64)
    if len(places) and (places.min() < 0 or places.max() >= nodes):
        raise ValueError(f"adjacency names nodes from {places.min()} to {places.max()}, but there are {nodes}")
    return Edges(indptr.astype(np.int64), places, data.astype(np.float64))
