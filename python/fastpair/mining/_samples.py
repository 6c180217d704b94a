"""What samplers share: the form of their results, the items that a row may get, and the known positives it may not.

Items stand in an order in which those that a row may get are one stretch or a few. A rank counts the items of these
stretches that are no known positives of the row; samplers draw ranks, and `Candidates.items` says which items they are.
Nothing here is as large as rows times items.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import ArrayLike, array_of
from fastpair._embeddings import is_sparse
from fastpair._roles import same_codes
from fastpair._validate import Resources
from fastpair.mining._formats import Coordinates
from fastpair.mining._positives import Lists, parse_lists, union
from fastpair.mining._streams import Streams, distinct_ranks

__all__ = [
    "Candidates",
    "SampledNegatives",
    "chunks",
    "drawn",
    "one_stretch",
    "other_labels",
    "parse_candidates",
    "parse_known",
    "parse_sides",
]

_Array: TypeAlias = npt.NDArray[Any]
_Ints: TypeAlias = npt.NDArray[np.int64]


NAMES = {"x": "the rows", "y": "the items"}


class SampledNegatives(NamedTuple):
    """Negatives of each row: their indices, int64 and padded with -1 at the end of the row, and how many there are."""

    indices: _Ints
    counts: _Ints


def chunks(count: int, most: int) -> list[slice]:
    """Cut `count` rows into parts of at most `most`."""
    return [slice(begin, min(begin + most, count)) for begin in range(0, count, max(1, most))]


def parse_sides(values: Any, argument: str, rows: int | None, items: int | None) -> tuple[_Ints, _Ints, bool]:
    """Return codes of rows and of items, equal where the labels are, and whether both are the same set.

    A tuple of two arrays is for rows and for items, one array for both.
    """
    if isinstance(values, tuple) and len(values) == 2:
        left, right = array_of(values[0], f"{argument}[0]"), array_of(values[1], f"{argument}[1]")
        names = (f"{argument}[0]", f"{argument}[1]")
    else:
        left = right = array_of(values, argument)
        names = (argument, argument)
    for array, name, length, what in ((left, names[0], rows, "rows"), (right, names[1], items, "items")):
        if array.ndim != 1:
            raise ValueError(f"{name} has shape {array.shape}; pass one dimension, one entry for each of the {what}")
        if length is not None and len(array) != length:
            hint = f"; a tuple ({argument} of rows, {argument} of items) is for two sets" if left is right else ""
            raise ValueError(f"{name} has {len(array)} entries for {length} {what}; pass one for each{hint}")
    return *same_codes(left, right, argument), left is right


def parse_known(
    positives: Any,
    rows: int | None,
    items: int,
    argument: str = "positives",
    names: dict[str, str] = NAMES,
) -> Lists:
    """Return the known positives of each row as sorted compressed rows without duplicates."""
    if positives is None:
        return np.zeros((rows or 0) + 1, np.int64), np.zeros(0, np.int64)
    rows = _rows_of(positives) if rows is None else rows
    if isinstance(positives, np.ndarray) and positives.ndim == 2 and positives.dtype.kind in "iu":
        known = _padded_rows(positives, rows, items, argument)
    else:
        known = parse_lists(positives, argument, rows, items, names)
    return union(known, None, items)


def _rows_of(positives: Any) -> int:
    if is_sparse(positives):
        return int(positives.shape[0])
    if isinstance(positives, tuple) and len(positives) == 2:
        if isinstance(positives, Coordinates):
            raise ValueError("positives are coordinates, which do not say how many rows there are; pass n_rows")
        return max(0, len(array_of(positives[0], "positives[0]")) - 1)
    try:
        return len(positives)
    except TypeError:
        raise TypeError(
            f"positives must be a list of lists, a tuple (indptr, indices), a sparse matrix or an integer array, not "
            f"{positives!r}"
        ) from None


def _padded_rows(positives: _Array, rows: int, items: int, argument: str) -> Lists:
    """Compress rows that are padded with -1."""
    if len(positives) != rows:
        raise ValueError(f"{argument} has {len(positives)} rows, but there are {rows}; pass one for each")
    strange = (positives < -1) | (positives >= items) if positives.dtype.kind == "i" else positives >= items
    if strange.any():
        row, column = (int(place) for place in np.unravel_index(strange.argmax(), strange.shape))
        raise ValueError(
            f"{argument} is {positives[row, column]} at row {row}, column {column}, but there are {items} items; pass "
            f"indices below that, or -1 for none"
        )
    given = positives != -1 if positives.dtype.kind == "i" else np.ones(positives.shape, np.bool_)
    starts = np.zeros(rows + 1, np.int64)
    np.cumsum(np.count_nonzero(given, axis=1), out=starts[1:])
    return starts, positives[given].astype(np.int64)


def _without_repeats(owners: _Ints, columns: _Ints, rows: int) -> Lists:
    """Compress sorted pairs of a row and a column, each once."""
    kept = np.ones(len(columns), np.bool_)
    kept[1:] = (columns[1:] != columns[:-1]) | (owners[1:] != owners[:-1])
    starts = np.zeros(rows + 1, np.int64)
    np.cumsum(np.bincount(owners[kept], minlength=rows), out=starts[1:])
    return starts, columns[kept]


@dataclass(frozen=True)
class Candidates:
    """The items that each row may get.

    `order` lists the items (None: by index). Row i may get those of its stretches, ``begins[i]`` to ``ends[i]`` of the
    order, each of which may be empty; `known`, compressed rows of ranks among these, are the ones it may not.
    """

    order: _Ints | None
    begins: _Ints
    ends: _Ints
    known: Lists

    @classmethod
    def build(cls, order: _Ints | None, begins: _Ints, ends: _Ints, known: Lists) -> "Candidates":
        """Bring known positives, given by item, into ranks."""
        starts, items = known
        if not len(items):
            return cls(order, begins, ends, known)
        places = items
        if order is not None:
            back = np.empty(len(order), np.int64)
            back[order] = np.arange(len(order))
            places = back[items]
        rows = len(starts) - 1
        owners = np.repeat(np.arange(rows), np.diff(starts))
        before = np.zeros(len(begins), np.int64)
        ranks = np.full(len(items), -1, np.int64)
        for stretch in range(begins.shape[1]):
            begin, end = begins[:, stretch], ends[:, stretch]
            inside = (places >= begin[owners]) & (places < end[owners])
            ranks[inside] = (places - begin[owners] + before[owners])[inside]
            before += end - begin
        inside = ranks >= 0
        owners, ranks = owners[inside], ranks[inside]
        sort = np.lexsort((ranks, owners))
        return cls(order, begins, ends, _without_repeats(owners[sort], ranks[sort], rows))

    @property
    def sizes(self) -> _Ints:
        """How many items each row may get."""
        return np.asarray((self.ends - self.begins).sum(axis=1) - np.diff(self.known[0]))

    def items(self, part: slice, ranks: _Ints) -> _Ints:
        """Return the items at these ranks of rows `part`; those at -1 are -1."""
        begins, ends = self.begins[part], self.ends[part]
        places = self._past_known(part, ranks)
        found = places.copy()
        # From the last stretch to the first, so that the earliest that holds a rank has the last word.
        lengths = ends - begins
        upto = np.cumsum(lengths, axis=1)
        for stretch in range(begins.shape[1] - 1, -1, -1):
            here = places < upto[:, stretch, np.newaxis]
            shift = begins[:, stretch] - (upto[:, stretch] - lengths[:, stretch])
            found = np.where(here, places + shift[:, np.newaxis], found)
        missing = ranks < 0
        found[missing] = 0
        if self.order is not None and len(self.order):
            found = self.order[found]
        found[missing] = -1
        return found

    def _past_known(self, part: slice, ranks: _Ints) -> _Ints:
        """Return ranks among all items of the stretches, with known positives counted."""
        starts, known = self.known
        first, last = starts[part.start], starts[part.stop]
        if first == last:
            return ranks
        # The known rank r with t known before it is passed by everything from rank r - t on.
        rows = part.stop - part.start
        owners = np.repeat(np.arange(rows), np.diff(starts[part.start : part.stop + 1]))
        places = np.arange(first, last) - starts[part][owners]
        widest = int((self.ends - self.begins).sum(axis=1).max()) + 1
        passed = known[first:last] - places + owners * widest
        queries = np.maximum(ranks, 0) + np.arange(rows)[:, np.newaxis] * widest
        count = np.searchsorted(passed, queries.ravel(), "right").reshape(ranks.shape)
        return np.asarray(ranks + (count - (starts[part] - first)[:, np.newaxis]))


def drawn(streams: Streams, candidates: Candidates, k: int, replace: bool, resources: Resources) -> SampledNegatives:
    """Draw k items of each row uniformly, as many rows at a time as the memory is for."""
    sizes = candidates.sizes
    count = len(sizes)
    indices = np.full((count, k), -1, np.int64)
    for part in chunks(count, resources.pieces(max(1, count), 8 * (14 * k + 16))):
        rows = np.arange(part.start, part.stop)
        if replace:
            ranks = streams.below(rows[:, np.newaxis], np.arange(k), sizes[part][:, np.newaxis])
            ranks[sizes[part] == 0] = -1
        else:
            ranks = distinct_ranks(streams, rows, sizes[part], k)
        indices[part] = candidates.items(part, ranks)
    return SampledNegatives(indices, np.where(sizes > 0, k, 0) if replace else np.minimum(sizes, k))


def one_stretch(rows: int, items: int) -> tuple[_Ints, _Ints]:
    """Return the stretch of all items, for each row."""
    return np.zeros((rows, 1), np.int64), np.full((rows, 1), items, np.int64)


def other_labels(rows: _Ints, items: _Ints) -> tuple[_Ints, _Ints, _Ints]:
    """Return an order of items by label, and for each row the two stretches beside that of its own label."""
    order = np.argsort(items, kind="stable").astype(np.int64)
    in_order = items[order]
    first, last = np.searchsorted(in_order, rows, "left"), np.searchsorted(in_order, rows, "right")
    ends = np.full(len(rows), len(items), np.int64)
    begins = np.zeros(len(rows), np.int64)
    return order, np.stack([begins, last], axis=1), np.stack([first, ends], axis=1)


def parse_candidates(
    items: int, positives: ArrayLike | Any, labels: Any, rows: int | None, argument: str = "rows"
) -> Candidates:
    """Return what each row may get: every item that is no known positive and has another label."""
    codes = None if labels is None else parse_sides(labels, "labels", rows, items)
    if codes is not None:
        rows = len(codes[0])
    known = parse_known(positives, rows, items)
    if positives is not None:
        rows = len(known[0]) - 1
    if rows is None:
        raise ValueError(f"{argument} is None, and neither positives nor labels says how many rows there are; pass it")
    if codes is None:
        return Candidates.build(None, *one_stretch(rows, items), known)
    order, begins, ends = other_labels(codes[0], codes[1])
    return Candidates.build(order, begins, ends, known)
