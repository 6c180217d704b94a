"""Dot products and cosines of sparse rows: scipy multiplies blocks in float64, numpy selects and counts.

Each product is summed in the order of the stored columns, so a score does not depend on how the work is cut. scipy is
taken from the modules that the caller has loaded.
"""

import sys
from collections.abc import Iterator
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._embeddings import embeddings, is_narrow, is_sparse, queries, same_width, two_sets
from fastpair._progress import Progress
from fastpair._validate import Resources
from fastpair.similarity._admission import Admission

__all__ = [
    "Rows",
    "RowsOrArray",
    "aligned",
    "count_hits",
    "find_hits",
    "improve",
    "read_queries",
    "read_rows",
    "read_two_sets",
    "same_kind",
    "write_pairwise",
]

_Array: TypeAlias = npt.NDArray[Any]
_Floats: TypeAlias = npt.NDArray[np.float64]
_Ints: TypeAlias = npt.NDArray[np.int64]
RowsOrArray: TypeAlias = Any  # `Rows` for what is done here, an array for the kernels; x and y are of one kind

MOST_CELLS = 1 << 20
"""Scores in a block: 8 MiB of float64."""
MOST_ALIGNED = 1 << 14
"""Aligned rows that are scored at a time."""
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

    def __len__(self) -> int:
        return self.shape[0]

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
        owners = _owners(part)
        largest = np.zeros(end - begin)
        np.maximum.at(largest, owners, np.abs(part.data))
        part.data = part.data * _powers(largest)[owners]
        return part, np.sqrt(np.bincount(owners, part.data * part.data, end - begin))


def read_rows(matrix: Any, argument: str, metric: str) -> RowsOrArray:
    """Return a matrix as a search takes it, also if it is so already."""
    if isinstance(matrix, Rows):
        return matrix
    if not is_sparse(matrix):
        return embeddings(matrix, argument, metric)
    _check_metric(argument, metric)
    return Rows(matrix, argument)


def read_queries(x: Any, metric: str) -> tuple[RowsOrArray, bool]:
    """Return x as a search takes it, and whether it is a single query."""
    return (read_rows(x, "x", metric), False) if is_sparse(x) else queries(x, metric)


def read_two_sets(x: Any, y: Any, metric: str) -> tuple[RowsOrArray, RowsOrArray, bool]:
    """Return x and y as a search takes them, and whether x was a single query; without y, y is x."""
    if not (is_sparse(x) or is_sparse(y)):
        return two_sets(x, y, metric)
    _check_metric("x" if is_sparse(x) else "y", metric)
    rows, single = read_queries(x, metric)
    if y is None:
        return rows, rows, single
    return *same_kind(rows, read_rows(y, "y", metric), metric), single


def same_kind(x: RowsOrArray, y: RowsOrArray, metric: str) -> tuple[RowsOrArray, RowsOrArray]:
    """Return x and y, both for the kernels or both for here, after a check that their rows are equally long."""
    if not (isinstance(x, Rows) or isinstance(y, Rows)):
        return same_width(x, y, metric)
    if x.shape[1] != y.shape[1]:
        raise ValueError(f"x has {x.shape[1]} columns but y has {y.shape[1]}; pass rows of the same length")
    return x if isinstance(x, Rows) else Rows(x, "x"), y if isinstance(y, Rows) else Rows(y, "y")


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
    *,
    begin: int = 0,
    offset: int | None = None,
    above: _Ints | None = None,
) -> None:
    """Enter the rows of y into a top-k state, in place, as that of the kernels does.

    To `above` is added how many pairs of each row the limit of the best scores drops.
    """
    sign, first = 1.0 if largest else -1.0, begin if offset is None else offset
    beyond = None if above is None else (above, largest)
    for top, left, tile, admitted in _admitted(x, y, metric, admission, progress, resources, begin, offset, beyond):
        for row, (own_scores, own_admitted) in enumerate(zip(tile, admitted, strict=True), top):
            columns = np.flatnonzero(own_admitted)
            held = indices[row] >= 0
            keys = sign * np.concatenate([scores[row][held], own_scores[columns]])
            found = np.concatenate([indices[row][held], columns + (first + left)])
            best = _best(keys, found, scores.shape[1])
            scores[row, : len(best)], indices[row, : len(best)] = sign * keys[best], found[best]


def find_hits(
    x: Rows,
    y: Rows,
    metric: str,
    largest: bool,
    admission: Admission,
    threshold: _Floats,
    max_hits: int | None,
    progress: Progress,
    resources: Resources,
    *,
    begin: int = 0,
) -> tuple[_Ints, _Ints, _Floats]:
    """Return all pairs whose score reaches the threshold of their row, as compressed rows."""
    owners, indices, scores, total = [np.empty(0, np.int64)], [np.empty(0, np.int64)], [np.empty(0)], 0
    for top, left, tile, admitted in _admitted(x, y, metric, admission, progress, resources, begin):
        admitted &= _reaches(tile, threshold[top : top + len(tile)], largest)
        rows, columns = np.nonzero(admitted)
        total += len(rows)
        if max_hits is not None and total > max_hits:
            raise ValueError(f"there are more than max_hits={max_hits} hits; narrow the threshold or raise max_hits")
        owners.append(rows + top)
        indices.append(columns + (begin + left))
        scores.append(tile[rows, columns])
    flat = np.concatenate(owners)
    order = np.argsort(flat, kind="stable")  # those of a row ascend already
    starts = np.zeros(len(x) + 1, np.int64)
    np.cumsum(np.bincount(flat, minlength=len(x)), out=starts[1:])
    return starts, np.concatenate(indices)[order], np.concatenate(scores)[order]


def count_hits(
    x: Rows,
    y: Rows,
    metric: str,
    largest: bool,
    admission: Admission,
    threshold: _Floats,
    progress: Progress,
    resources: Resources,
    *,
    begin: int = 0,
) -> _Ints:
    """Count the hits of each row, none of which is kept."""
    counts = np.zeros(len(x), np.int64)
    for top, _, tile, admitted in _admitted(x, y, metric, admission, progress, resources, begin):
        admitted &= _reaches(tile, threshold[top : top + len(tile)], largest)
        counts[top : top + len(tile)] += np.count_nonzero(admitted, axis=1)
    return counts


def aligned(x: Rows, y: Rows, metric: str) -> _Floats:
    """Return the scores of row i of x and row i of y, at least one of them sparse."""
    cosine, scores = metric == "cosine", np.empty(len(x))
    sparse, other = (x, y) if x.sparse else (y, x)
    for begin, end in other.blocks(MOST_ALIGNED, MOST_CELLS):
        part, norms = sparse.read(begin, end, cosine)
        rows, other_norms = other.read(begin, end, cosine)
        with np.errstate(over="ignore", invalid="ignore"):
            if other.sparse:
                products = part.multiply(rows).tocsr()
                owners, values = _owners(products), products.data
            else:
                owners = _owners(part)
                values = part.data * rows[owners, part.indices]
            # One after the other, as scipy's product does; of nothing, the sums are integers.
            sums = np.bincount(owners, values, end - begin).astype(np.float64)
        if cosine:
            both = norms * other_norms
            sums = np.clip(np.divide(sums, both, out=np.zeros_like(sums), where=both > 0), -1.0, 1.0)
        scores[begin:end] = sums
    return scores


def write_pairwise(x: Rows, y: Rows, metric: str, out: _Array, resources: Resources) -> None:
    """Write all scores into `out`."""
    for top, bottom, left, right, tile in _tiles(x, y, metric, resources):
        out[top:bottom, left:right] = tile


def _admitted(
    x: Rows,
    y: Rows,
    metric: str,
    admission: Admission,
    progress: Progress,
    resources: Resources,
    begin: int,
    offset: int | None = None,
    beyond: tuple[_Ints, bool] | None = None,
) -> Iterator[tuple[int, int, _Floats, npt.NDArray[np.bool_]]]:
    """Blocks of scores: first row, first column, the scores, and which of them count.

    `beyond` has counts to raise by what the limit of the best scores drops, and whether the largest are the best.
    """
    for top, bottom, left, right, tile in _tiles(x, y, metric, resources):
        own = admission.rows(top, bottom)
        first = None if offset is None else offset + left
        admitted = own.allowed(bottom - top, begin + left, begin + right, first) & ~np.isnan(tile)
        if beyond is not None:
            counts, largest = beyond
            nearest = own.max_score if largest else own.min_score
            if nearest is not None:
                counts[top:bottom] += np.count_nonzero(admitted & ~_reaches(tile, nearest, not largest), axis=1)
        if own.min_score is not None:
            admitted &= tile >= own.min_score[:, np.newaxis]
        if own.max_score is not None:
            admitted &= tile <= own.max_score[:, np.newaxis]
        yield top, left, tile, admitted
        progress.part((bottom - top) * (right - left))
        progress.end_part()


def _reaches(tile: _Floats, threshold: _Floats, largest: bool) -> npt.NDArray[np.bool_]:
    limit = threshold[:, np.newaxis]
    return np.asarray(tile >= limit if largest else tile <= limit)


def _best(keys: _Floats, indices: _Ints, k: int) -> npt.NDArray[np.intp]:
    """Places of the k largest keys, largest first, equal ones by index."""
    places = np.arange(len(keys))
    if len(keys) > k:
        least = np.partition(keys, len(keys) - k)[len(keys) - k]
        places = np.flatnonzero(keys >= least)
    return places[np.lexsort((indices[places], -keys[places]))][:k]


def _owners(compressed: Any) -> _Ints:
    """Return the row of each stored element."""
    return np.repeat(np.arange(compressed.shape[0]), np.diff(compressed.indptr))


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


def _check_metric(argument: str, metric: str) -> None:
    if metric not in ("dot", "cosine"):
        raise ValueError(
            f"metric={metric!r} does not take a sparse {argument}; pass 'dot', 'cosine' or {argument}.toarray()"
        )


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
