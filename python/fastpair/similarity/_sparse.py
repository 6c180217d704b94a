"""Dot products and cosines of sparse rows: scipy multiplies blocks in float64, numpy selects.

Each product is summed in the order of the stored columns, so a score does not depend on how the work is cut. scipy is
taken from the modules that the caller has loaded.
"""

import sys
from collections.abc import Iterator
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._embeddings import embeddings, is_narrow, is_sparse, queries
from fastpair._progress import Progress
from fastpair._validate import Resources
from fastpair.similarity._admission import Admission

__all__ = ["Rows", "improve", "two_sets", "write_pairwise"]

_Array: TypeAlias = npt.NDArray[Any]
_Floats: TypeAlias = npt.NDArray[np.float64]
_Ints: TypeAlias = npt.NDArray[np.int64]

MOST_CELLS = 1 << 20
"""Scores in a block: 8 MiB of float64."""
BYTES_OF_A_CELL = 64
"""What a score takes with all temporaries: products in compressed rows, norms, quotients, what is admitted."""


class Rows:
    """The rows of a sparse or dense matrix, read as float64 in blocks."""

    def __init__(self, matrix: Any, argument: str) -> None:
        self.argument = argument
        self.sparse = is_sparse(matrix)
        self.narrow = is_narrow(matrix)
        self.matrix = _compressed(matrix, argument) if self.sparse else matrix
        self.shape: tuple[int, int] = (int(matrix.shape[0]), int(matrix.shape[1]))

    def blocks(self, most: int, cells: int) -> Iterator[tuple[int, int]]:
        """Ranges of at most `most` rows that have at most so many cells when they are read, where one row has."""
        step = most if self.sparse else max(1, min(most, cells // max(self.shape[1], 1)))
        for begin in range(0, self.shape[0], step):
            yield begin, min(begin + step, self.shape[0])

    def read(self, begin: int, end: int, cosine: bool) -> tuple[Any, _Floats]:
        """Return rows begin to end, and their norms.

        For cosines they are multiplied by powers of two that bring the largest element of each near 1.
        """
        part = self.matrix[begin:end]
        if not self.sparse:
            part = part.astype(np.float64)
            _check_finite(part, self.argument, begin)
        if not cosine:
            return part, np.ones(end - begin)
        if not self.sparse:
            part *= _powers(np.abs(part).max(axis=1, initial=0.0))[:, np.newaxis]
            return part, np.sqrt(np.einsum("ij,ij->i", part, part))
        owners = np.repeat(np.arange(end - begin), np.diff(part.indptr))
        largest = np.zeros(end - begin)
        np.maximum.at(largest, owners, np.abs(part.data))
        part.data = part.data * _powers(largest)[owners]
        return part, np.sqrt(np.bincount(owners, part.data * part.data, end - begin))


def two_sets(x: Any, y: Any, metric: str) -> tuple[Rows, Rows, bool]:
    """Return the rows of x and y, at least one of them sparse, and whether x was a single query."""
    if metric not in ("dot", "cosine"):
        argument = "x" if is_sparse(x) else "y"
        raise ValueError(f"metric={metric!r} does not take a sparse {argument}; pass 'dot', 'cosine' or .toarray()")
    single = False
    if not is_sparse(x):
        x, single = queries(x, metric)
    rows = Rows(x, "x")
    columns = rows if y is None else Rows(y if is_sparse(y) else embeddings(y, "y", metric), "y")
    if rows.shape[1] != columns.shape[1]:
        raise ValueError(f"x has {rows.shape[1]} columns but y has {columns.shape[1]}; pass rows of the same length")
    return rows, columns, single


def improve(
    scores: _Floats,
    indices: _Ints,
    x: Rows,
    y: Rows,
    metric: str,
    largest: bool,
    admission: Admission,
    progress: Progress,
    resources: Resources,
) -> None:
    """Enter all rows of y into an empty top-k state, in place."""
    sign = 1.0 if largest else -1.0
    for top, bottom, left, right, tile in _tiles(x, y, metric, resources):
        own = admission.rows(top, bottom)
        admitted = own.allowed(bottom - top, y.shape[0], slice(left, right)) & ~np.isnan(tile)
        if own.min_score is not None:
            admitted &= tile >= own.min_score[:, np.newaxis]
        if own.max_score is not None:
            admitted &= tile <= own.max_score[:, np.newaxis]
        for row in range(top, bottom):
            columns = np.flatnonzero(admitted[row - top])
            held = indices[row] >= 0
            keys = sign * np.concatenate([scores[row][held], tile[row - top, columns]])
            found = np.concatenate([indices[row][held], columns + left])
            best = _best(keys, scores.shape[1])
            scores[row, : len(best)], indices[row, : len(best)] = sign * keys[best], found[best]
        progress.part((bottom - top) * (right - left))
        progress.end_part()


def write_pairwise(x: Rows, y: Rows, metric: str, out: _Array, resources: Resources) -> None:
    """Write all scores into `out`."""
    for top, bottom, left, right, tile in _tiles(x, y, metric, resources):
        out[top:bottom, left:right] = tile


def _best(keys: _Floats, k: int) -> npt.NDArray[np.intp]:
    """Places of the k largest keys, largest first, the first of equal ones; places ascend by index."""
    if len(keys) > k:
        least = np.partition(keys, len(keys) - k)[len(keys) - k]
        above = np.flatnonzero(keys > least)
        places = np.concatenate([above, np.flatnonzero(keys == least)[: k - len(above)]])
    else:
        places = np.arange(len(keys))
    return places[np.lexsort((places, -keys[places]))]


def _tiles(x: Rows, y: Rows, metric: str, resources: Resources) -> Iterator[tuple[int, int, int, int, _Floats]]:
    """Blocks of scores: first and last row, first and last column, and the scores."""
    cosine = metric == "cosine"
    # A row is read as a whole.
    width = 1 if x.sparse and y.sparse else max(x.shape[1], 1)
    cells = resources.pieces(max(1, MOST_CELLS // width), width * BYTES_OF_A_CELL) * width
    for left, right in y.blocks(max(1, cells // 64), cells):
        columns, column_norms = y.read(left, right, cosine)
        for top, bottom in x.blocks(max(1, cells // max(right - left, 1)), cells):
            rows, row_norms = x.read(top, bottom, cosine)
            with np.errstate(over="ignore", invalid="ignore"):
                tile = _products(rows, columns, x.sparse, y.sparse)
            if cosine:
                norms = np.outer(row_norms, column_norms)
                tile = np.divide(tile, norms, out=np.zeros_like(tile), where=norms > 0)
                np.clip(tile, -1.0, 1.0, out=tile)
            yield top, bottom, left, right, tile


def _products(rows: Any, columns: Any, sparse_rows: bool, sparse_columns: bool) -> _Floats:
    if sparse_rows and sparse_columns:
        return np.asarray((rows @ columns.T).toarray(), np.float64)
    return np.asarray(rows @ columns.T if sparse_rows else (columns @ rows.T).T, np.float64)


def _compressed(matrix: Any, argument: str) -> Any:
    """Return a float64 copy in compressed rows, columns ascending."""
    if matrix.ndim != 2:
        raise ValueError(f"{argument} has shape {matrix.shape}; pass two dimensions, a row for each embedding")
    if matrix.dtype.kind not in "fiub" or matrix.dtype.itemsize > 8:
        raise TypeError(
            f"{argument} has dtype {matrix.dtype}; pass real numbers: floats of at most 64 bits or integers"
        )
    compressed = sys.modules["scipy.sparse"].csr_array(matrix).astype(np.float64)
    compressed.sum_duplicates()
    bad = ~np.isfinite(compressed.data)
    if bad.any():
        place = int(bad.argmax())
        row = int(np.searchsorted(compressed.indptr, place, "right")) - 1
        raise _not_finite(argument, compressed.data[place], row, int(compressed.indices[place]))
    return compressed


def _check_finite(part: _Floats, argument: str, begin: int) -> None:
    bad = ~np.isfinite(part)
    if bad.any():
        row, column = (int(place) for place in np.unravel_index(bad.argmax(), part.shape))
        raise _not_finite(argument, part[row, column], begin + row, column)


def _not_finite(argument: str, value: float, row: int, column: int) -> ValueError:
    return ValueError(
        f"{argument} is {value} at row {row}, column {column}; embeddings must be finite: drop or repair such rows"
    )


def _powers(largest: _Floats) -> _Floats:
    """Powers of two that bring these near 1."""
    return np.asarray(np.ldexp(1.0, np.clip(-np.frexp(largest)[1], -1000, 1000)))
