"""Where scores come from when a corpus is mined: embeddings, by exact search, or a matrix, in blocks of rows."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import ArrayLike, kernels_of, library_of
from fastpair._embeddings import are_largest_best, numbers
from fastpair._progress import Progress
from fastpair._validate import Resources
from fastpair.mining._formats import owners_of
from fastpair.mining._positives import renamed
from fastpair.similarity import _sparse
from fastpair.similarity._admission import Admission
from fastpair.similarity._search import improve
from fastpair.similarity._sparse import Rows, RowsOrArray, read_rows, same_kind

__all__ = ["Embeddings", "Matrix", "Places", "Source", "part_of"]

_Array: TypeAlias = npt.NDArray[Any]
_Floats: TypeAlias = npt.NDArray[np.float64]
_Ints: TypeAlias = npt.NDArray[np.int64]
Places: TypeAlias = slice | _Ints
"""Rows of the queries: a range where they follow each other, so that nothing is copied."""

MOST_GATHERED, MOST_ON_DEVICE = 4 << 20, 256 << 20
"""Bytes of rows that are gathered to score given pairs, in host memory and on a device."""
BLOCK_ON_DEVICE = 64 << 20
"""Bytes of scores of a matrix that a device sorts together."""


class Embeddings:
    """Scores of the rows of x and y, found by the search of `fastpair.topk`."""

    def __init__(
        self,
        x: ArrayLike,
        y: ArrayLike,
        metric: str,
        names: dict[str, str],
        resources: Resources,
        filter: str = "auto",
    ) -> None:
        with renamed(names):
            rows, columns = read_rows(x, names["x"], metric), read_rows(y, names["y"], metric)
            self.x, self.y = same_kind(rows, columns, metric)
        self.metric, self.names, self.resources, self.filter = metric, names, resources, filter
        self.largest = are_largest_best(metric, None)
        self.shape = (int(self.x.shape[0]), int(self.y.shape[0]))

    def row_bytes(self) -> int:
        """Bytes that a copied row of x takes."""
        if isinstance(self.x, Rows):
            own = self.x.matrix
            return 16 * (1 + own.nnz // max(1, len(self.x))) if self.x.sparse else _bytes_of_row(own)
        return _bytes_of_row(self.x)

    def search(
        self,
        places: Places,
        admission: Admission,
        scores: _Floats,
        indices: _Ints,
        above: _Ints | None,
        watcher: Progress,
        held: int,
    ) -> None:
        """Enter the best admissible rows of y into the places of these rows of x, while so many bytes are in use."""
        rows = _taken(self.x, places, "x")
        rules, resources = admission, self.resources
        if held and isinstance(self.x, Rows):
            resources = Resources(resources.num_threads, max(1, resources.scratch - held))
        elif held:
            rules = _HeldAdmission(**vars(admission), in_use=held)
        with self._named(places):
            improve(
                *(scores, indices, rows, self.y, self.metric, self.largest, rules, watcher, resources),
                above=above,
                filter=self.filter,
            )

    def pair_scores(self, rows: _Ints, columns: _Ints) -> _Floats:
        """Return the scores of pairs, the same bits as those that a search finds."""
        scores: _Floats = library_of(rows).empty(len(rows))
        size = self.row_bytes() + (_bytes_of_row(self.y) if not isinstance(self.y, Rows) else self.row_bytes())
        most = MOST_GATHERED if isinstance(rows, np.ndarray) else MOST_ON_DEVICE
        step = self.resources.pieces(max(1, most // size), size)
        for begin in range(0, len(rows), step):
            left, right = rows[begin : begin + step], columns[begin : begin + step]
            x, y = _taken(self.x, left, "x"), _taken(self.y, right, "y")
            with self._named(left, right):
                scores[begin : begin + step] = (
                    _sparse.aligned(x, y, self.metric)
                    if isinstance(x, Rows)
                    else kernels_of(x).rowwise(x, y, self.metric, self.resources.num_threads)
                )
        return scores

    @contextmanager
    def _named(self, rows: Places, columns: _Ints | None = None) -> Iterator[None]:
        """Let errors about rows of parts name those of the caller's arrays."""
        try:
            yield
        except ValueError as error:
            found = re.search(
                r"^(?P<name>[xy]) is .*? at row (?P<row>\d+)|^row (?P<of>\d+) of (?P<owner>[xy])", str(error)
            )
            if not found:
                raise
            name, row = found["name"] or found["owner"], int(found["row"] or found["of"])
            places = rows if name == "x" else columns
            if isinstance(places, slice):
                row += places.start
            elif places is not None:
                row = int(places[row])
            text = re.sub(r"\brow \d+", f"row {row}", re.sub(rf"\b{name}\b", self.names[name], str(error), count=1))
            raise ValueError(text) from None


class Matrix:
    """Scores that the caller has, shape (n, m), larger is closer."""

    largest = True

    def __init__(self, scores: ArrayLike, argument: str, resources: Resources) -> None:
        self.scores = numbers(scores, argument, "dot")
        if self.scores.ndim != 2:
            raise ValueError(f"{argument} has shape {self.scores.shape}; pass shape (n, m), a score for each pair")
        self.argument, self.resources = argument, resources
        self.shape = (int(self.scores.shape[0]), int(self.scores.shape[1]))

    def row_bytes(self) -> int:
        """Nothing is copied beside blocks."""
        return 0

    def search(
        self,
        places: Places,
        admission: Admission,
        scores: _Floats,
        indices: _Ints,
        above: _Ints | None,
        watcher: Progress,
        held: int,
    ) -> None:
        """Enter the best admissible columns of these rows of the matrix into their places."""
        count, columns = len(scores), self.shape[1]
        library = library_of(scores)
        numbers_of_rows = library.arange(self.shape[0])[places]
        most = 4 << 20 if library is np else BLOCK_ON_DEVICE
        step = self.resources.pieces(max(1, most // (40 * max(columns, 1))), 40 * max(columns, 1))
        for begin in range(0, count, step):
            end = min(begin + step, count)
            block = self._block(numbers_of_rows[begin:end])
            own = part_of(admission, slice(begin, end))
            allowed = own.allowed(end - begin, 0, columns)
            if own.max_score is not None:
                beyond = block > own.max_score[:, np.newaxis]
                if above is not None:
                    above[begin:end] += np.count_nonzero(beyond & allowed, axis=1)
                allowed &= ~beyond
            if own.min_score is not None:
                allowed &= block >= own.min_score[:, np.newaxis]
            if library is np:
                for row in range(end - begin):
                    found = np.flatnonzero(allowed[row])
                    best = found[_best(block[row][found], scores.shape[1])]
                    indices[begin + row, : len(best)], scores[begin + row, : len(best)] = best, block[row][best]
            else:
                _sort(block, allowed, scores[begin:end], indices[begin:end])
            watcher.part((end - begin) * columns)
            watcher.end_part()

    def pair_scores(self, rows: _Ints, columns: _Ints) -> _Floats:
        """Return the scores of pairs."""
        scores: _Floats = self.scores[rows, columns].astype(np.float64, copy=False)
        if np.isnan(scores).any():
            place = int(np.isnan(scores).argmax())
            raise self._nan(int(rows[place]), int(columns[place]))
        return scores

    def _block(self, rows: _Ints) -> _Floats:
        block: _Floats = self.scores[rows].astype(np.float64, copy=False)
        if np.isnan(block).any():
            row, column = (int(place) for place in np.unravel_index(np.isnan(block).argmax(), block.shape))
            raise self._nan(int(rows[row]), column)
        return block

    def _nan(self, row: int, column: int) -> ValueError:
        return ValueError(f"{self.argument} is nan at row {row}, column {column}; pass numbers or infinities")


Source: TypeAlias = Embeddings | Matrix


def part_of(admission: Admission, places: Places) -> Admission:
    """Return the rules for these rows alone, in this order."""
    if isinstance(places, slice):
        return admission.rows(places.start, places.stop)
    exclude = admission.exclude
    if exclude is not None:
        starts, columns = exclude
        lengths = np.diff(starts)[places]
        own: _Ints = np.zeros_like(starts, shape=len(places) + 1)
        own[1:] = np.cumsum(lengths)
        if isinstance(own, np.ndarray):
            exclude = own, columns[np.repeat(starts[places] - own[:-1], lengths) + np.arange(own[-1])]
        else:
            entries = library_of(own).arange(int(own[-1]))
            exclude = own, columns[(starts[places] - own[:-1])[owners_of(own, len(entries))] + entries]
    return replace(
        admission,
        exclude=exclude,
        mask=admission.mask if admission.mask is None or admission.mask.ndim == 1 else admission.mask[places],
        x_labels=None if admission.x_labels is None else admission.x_labels[places],
        min_score=None if admission.min_score is None else admission.min_score[places],
        max_score=None if admission.max_score is None else admission.max_score[places],
    )


@dataclass(frozen=True)
class _HeldAdmission(Admission):
    """Rules that tell the kernel how many bytes of the scratch are in use."""

    in_use: int = 0

    def rules(self, begin: int, end: int, offset: int | None = None) -> dict[str, Any]:
        rules = super().rules(begin, end, offset)
        rules["held"] += self.in_use
        return rules


def _bytes_of_row(array: _Array) -> int:
    return max(1, int(array.shape[1])) * int(array.dtype.itemsize)


def _taken(rows: RowsOrArray, places: Places, argument: str) -> RowsOrArray:
    """Return some rows, without a copy where they follow each other."""
    if isinstance(rows, Rows):
        whole = isinstance(places, slice) and places.indices(len(rows)) == (0, len(rows), 1)
        return rows if whole else Rows(rows.matrix[places], argument)
    return rows[places]


def _sort(block: _Floats, allowed: npt.NDArray[np.bool_], scores: _Floats, indices: _Ints) -> None:
    """Enter the largest allowed scores of each row, equal ones by index; what is not a number is sorted last."""
    width = min(block.shape[1], scores.shape[1])
    order = np.argsort(np.where(allowed, -block, np.nan), axis=1, kind="stable")[:, :width]
    found = np.take_along_axis(allowed, order, 1)
    indices[:, :width] = np.where(found, order, -1)
    scores[:, :width] = np.where(found, np.take_along_axis(block, order, 1), -np.inf)


def _best(keys: _Floats, k: int) -> npt.NDArray[np.intp]:
    """Places of the k largest keys, largest first, equal ones by place."""
    places = np.arange(len(keys))
    if len(keys) > k:
        places = np.flatnonzero(keys >= np.partition(keys, len(keys) - k)[len(keys) - k])
    return places[np.argsort(-keys[places], kind="stable")][:k]
