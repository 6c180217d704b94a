"""The calls into the kernels of a search, and how a search is cut where its rules or its hits would take too much room.

A search is exact whichever way it is cut: top-k states take columns in any parts, and radius hits of parts are joined.
"""

from collections.abc import Iterator
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair import _core
from fastpair.similarity._admission import Admission
from fastpair.similarity._progress import Progress

__all__ = ["Hits", "all_scores", "count_hits", "empty_topk", "find_hits", "improve", "join_columns", "sort_hits"]

_Array: TypeAlias = npt.NDArray[Any]
_Floats: TypeAlias = npt.NDArray[np.float64]
_Ints: TypeAlias = npt.NDArray[np.int64]
Hits: TypeAlias = tuple[_Ints, _Ints, _Floats]

MOST_MASK_BYTES = 32 << 20
"""Packed bits of a mask of pairs that may exist at a time."""
MOST_PAIRS = 1 << 21
"""Pairs whose scores may be held at a time: 16 MiB of scores, 16 MiB of indices."""


def empty_topk(rows: int, k: int, largest: bool) -> tuple[_Floats, _Ints]:
    """Return the state of a search that has seen nothing."""
    return np.full((rows, k), -np.inf if largest else np.inf), np.full((rows, k), -1, np.int64)


def improve(
    scores: _Floats,
    indices: _Ints,
    x: _Array,
    y: _Array,
    metric: str,
    largest: bool,
    admission: Admission,
    progress: Progress,
    num_threads: int | None,
    *,
    begin: int = 0,
    offset: int | None = None,
) -> None:
    """Enter the rows of y into a top-k state, in place.

    They are columns `begin` and up of the rules, and have the indices `offset` (or `begin`) and up.
    """
    for first, last in _column_blocks(len(y), admission):
        report = progress.part(len(x) * (last - first))
        start = None if offset is None else offset + first
        rules = admission.rules(begin + first, begin + last, start)
        block = y if last - first == len(y) else y[first:last]
        _core.topk(x, block, metric, largest, rules, scores, indices, report, num_threads)
        progress.end_part()


def find_hits(
    x: _Array,
    y: _Array,
    metric: str,
    largest: bool,
    admission: Admission,
    threshold: _Floats,
    max_hits: int | None,
    sort: bool,
    progress: Progress,
    num_threads: int | None,
    *,
    begin: int = 0,
) -> Hits:
    """Return all pairs whose score reaches the threshold of their row, as compressed rows."""
    parts, blocks = [], list(_column_blocks(len(y), admission))
    for first, last in blocks:
        report = progress.part(len(x) * (last - first))
        rules = admission.rules(begin + first, begin + last)
        room = None if max_hits is None else max_hits - sum(len(part[1]) for part in parts)
        in_order = sort and len(blocks) == 1
        block = y if last - first == len(y) else y[first:last]
        try:
            part = _core.radius(
                x, block, metric, largest, rules, threshold, room, in_order, report, num_threads
            )
        except ValueError as error:
            if room != max_hits and "max_hits" in str(error):
                text = f"there are more than max_hits={max_hits} hits; narrow the threshold or raise max_hits"
                raise ValueError(text) from None
            raise
        parts.append(part)
        progress.end_part()
    if len(parts) == 1:
        return parts[0]
    hits = join_columns(parts, len(x))
    return sort_hits(hits, largest) if sort else hits


def count_hits(
    x: _Array,
    y: _Array,
    metric: str,
    largest: bool,
    admission: Admission,
    threshold: _Floats,
    progress: Progress,
    num_threads: int | None,
    *,
    begin: int = 0,
) -> _Ints:
    """Count the hits of each row, in tiles whose hits fit the room even if every pair is one."""
    counts = np.zeros(len(x), np.int64)
    height = max(1, min(len(x), 512))
    width = max(8, MOST_PAIRS // height // 8 * 8)
    for top in range(0, len(x), height):
        rows = slice(top, min(top + height, len(x)))
        own = admission.rows(rows.start, rows.stop)
        for first in range(0, len(y), width):
            last = min(first + width, len(y))
            report = progress.part((rows.stop - rows.start) * (last - first))
            rules = own.rules(begin + first, begin + last)
            indptr, _, _ = _core.radius(
                x[rows], y[first:last], metric, largest, rules, threshold[rows], None, False, report, num_threads
            )
            counts[rows] += np.diff(indptr)
            progress.end_part()
    return counts


def all_scores(x: _Array, y: _Array, metric: str, out: _Array, num_threads: int | None) -> None:
    """Write the exact score of every pair into `out`, the one that a search would return."""
    everything = Admission().rules(0, len(y))
    height = max(1, MOST_PAIRS // max(len(y), 1))
    for top in range(0, len(x), height):
        rows = x[top : top + height]
        threshold = np.full(len(rows), np.inf)
        indptr, indices, scores = _core.radius(
            rows, y, metric, False, everything, threshold, None, False, None, num_threads
        )
        block = np.full((len(rows), len(y)), np.nan)  # sums that overflow to inf - inf are no hits
        block[np.repeat(np.arange(len(rows)), np.diff(indptr)), indices] = scores
        with np.errstate(over="ignore"):
            out[top : top + height] = block


def join_columns(parts: list[Hits], rows: int) -> Hits:
    """Join the hits of consecutive ranges of columns, row by row."""
    starts = np.zeros(rows + 1, np.int64)
    for indptr, _, _ in parts:
        starts += indptr
    indices, scores = np.empty(starts[-1], np.int64), np.empty(starts[-1])
    free = starts[:-1].copy()
    for indptr, part_indices, part_scores in parts:
        lengths = np.diff(indptr)
        places = np.repeat(free - indptr[:-1], lengths) + np.arange(len(part_indices))
        indices[places], scores[places] = part_indices, part_scores
        free += lengths
    return starts, indices, scores


def sort_hits(hits: Hits, largest: bool) -> Hits:
    """Sort the hits of each row best first, equal ones by index."""
    indptr, indices, scores = hits
    owners = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
    order = np.lexsort((indices, -scores if largest else scores, owners))
    return indptr, indices[order], scores[order]


def _column_blocks(columns: int, admission: Admission) -> Iterator[tuple[int, int]]:
    """Ranges of columns for which a mask of bool pairs takes little room when packed."""
    bits = admission.pairs_bytes(columns)
    if bits <= MOST_MASK_BYTES:
        yield 0, columns
        return
    width = max(64, columns * MOST_MASK_BYTES // bits // 8 * 8)
    for begin in range(0, columns, width):
        yield begin, min(begin + width, columns)
