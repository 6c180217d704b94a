"""The calls into the kernels of a search (or to `_sparse`), and how it is cut where rules or hits would take much room.

A search is exact whichever way it is cut: top-k states take columns in any parts, and radius hits of parts are joined.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import kernels_of, library_of
from fastpair._progress import Progress
from fastpair._validate import Resources
from fastpair.similarity import _sparse
from fastpair.similarity._admission import Admission
from fastpair.similarity._sparse import Rows, RowsOrArray

__all__ = [
    "Hits",
    "bin_counts",
    "count_hits",
    "empty_topk",
    "find_hits",
    "improve",
    "join_columns",
    "library_for",
    "reduced",
    "sort_hits",
]

_Array: TypeAlias = npt.NDArray[Any]
_Floats: TypeAlias = npt.NDArray[np.float64]
_Ints: TypeAlias = npt.NDArray[np.int64]
_Bytes: TypeAlias = npt.NDArray[np.uint8]
Hits: TypeAlias = tuple[_Ints, _Ints, _Floats]

MOST_MASK_BYTES = 32 << 20
"""Packed bits of a mask of pairs that may exist at a time."""


def empty_topk(rows: int, k: int, largest: bool, library: Any = np) -> tuple[_Floats, _Ints]:
    """Return the state of a search that has seen nothing, in arrays of numpy or cupy."""
    return library.full((rows, k), -np.inf if largest else np.inf), library.full((rows, k), -1, np.int64)


def library_for(x: RowsOrArray) -> Any:
    """Return numpy or cupy, which makes the arrays of results for these rows."""
    return np if isinstance(x, Rows) else library_of(x)


def improve(
    scores: _Floats,
    indices: _Ints,
    x: RowsOrArray,
    y: RowsOrArray,
    metric: str,
    largest: bool,
    admission: Admission,
    progress: Progress,
    resources: Resources,
    *,
    begin: int = 0,
    offset: int | None = None,
    above: _Ints | None = None,
    filter: str = "auto",
    packed: _Bytes | None = None,
) -> None:
    """Enter the rows of y into a top-k state, in place.

    They are columns `begin` and up of the rules, and have the indices `offset` (or `begin`) and up. To `above` is added
    how many pairs of each row count but for a score that is better than the limits allow. `packed` is what the kernels
    made of all rows of y for the filter; sparse rows have none.
    """
    if isinstance(x, Rows):
        _sparse.improve(
            *(scores, indices, x, y, metric, largest, admission, progress, resources),
            begin=begin,
            offset=offset,
            above=above,
        )
        return
    for first, last in _column_blocks(len(y), admission, resources):
        report = progress.part(len(x) * (last - first))
        start = None if offset is None else offset + first
        rules = admission.rules(begin + first, begin + last, start)
        block, own = (y, packed) if last - first == len(y) else (y[first:last], None)
        kernels_of(x).topk(*(x, block, metric, largest, rules, scores, indices, report, *resources, above, filter, own))
        progress.end_part()
        del rules  # its bits, before those of the next block are made


def find_hits(
    x: RowsOrArray,
    y: RowsOrArray,
    metric: str,
    largest: bool,
    admission: Admission,
    threshold: _Floats,
    max_hits: int | None,
    sort: bool,
    progress: Progress,
    resources: Resources,
    *,
    begin: int = 0,
    filter: str = "auto",
    packed: _Bytes | None = None,
) -> Hits:
    """Return all pairs whose score reaches the threshold of their row, as compressed rows."""
    if isinstance(x, Rows):
        hits = _sparse.find_hits(
            *(x, y, metric, largest, admission, threshold, max_hits, progress, resources), begin=begin
        )
        return sort_hits(hits, largest) if sort else hits
    parts: list[Hits] = []
    blocks = list(_column_blocks(len(y), admission, resources))
    for first, last in blocks:
        report = progress.part(len(x) * (last - first))
        rules = admission.rules(begin + first, begin + last)
        room = None if max_hits is None else max_hits - sum(len(part[1]) for part in parts)
        in_order = sort and len(blocks) == 1
        block, own = (y, packed) if last - first == len(y) else (y[first:last], None)
        try:
            part = kernels_of(x).radius(
                *(x, block, metric, largest, rules, threshold, room, in_order, report, *resources, filter, own)
            )
        except ValueError as error:
            if room != max_hits and "max_hits" in str(error):
                text = f"there are more than max_hits={max_hits} hits; narrow the threshold or raise max_hits"
                raise ValueError(text) from None
            raise
        parts.append(part)
        progress.end_part()
        del rules
    if len(parts) == 1:
        return parts[0]
    hits = join_columns(parts, len(x), library_of(x))
    return sort_hits(hits, largest) if sort else hits


def count_hits(
    x: RowsOrArray,
    y: RowsOrArray,
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
    if isinstance(x, Rows):
        return _sparse.count_hits(x, y, metric, largest, admission, threshold, progress, resources, begin=begin)
    # Counts know one limit: those beyond the other are counted as well, and taken away.
    nearest = admission.max_score if largest else admission.min_score
    farthest = admission.min_score if largest else admission.max_score
    better, away = (np.maximum, np.inf) if largest else (np.minimum, -np.inf)
    limits = [threshold if farthest is None else better(threshold, farthest)]
    if nearest is not None:
        limits.append(better(np.nextafter(nearest, away), limits[0]))
    free = replace(admission, min_score=None, max_score=None)
    counts = library_of(x).zeros((2, len(x)), np.int64)
    for first, last in _column_blocks(len(y), admission, resources):
        rules = free.rules(begin + first, begin + last)
        block = y if last - first == len(y) else y[first:last]
        pairs = len(x) * (last - first)
        for which, limit in enumerate(limits):
            share = pairs // len(limits)
            report = progress.part(share if which else pairs - share * (len(limits) - 1))
            found = kernels_of(x).reduce(
                *(x, block, metric, largest, rules, "count", limit, 1.0, False, report, *resources)
            )
            counts[which] += found.astype(np.int64)
            progress.end_part()
        del rules
    if nearest is not None:
        counts[1][np.isinf(nearest) & (nearest == away)] = 0
    return counts[0] - counts[1]  # type: ignore[no-any-return]


def reduced(
    x: _Array,
    y: _Array,
    metric: str,
    op: str,
    scale: float,
    wide: bool,
    admission: Admission,
    progress: Progress,
    resources: Resources,
) -> _Floats:
    """Return the mean or the log-sum-exp of the scores of each row."""
    result: _Floats = library_of(x).empty(len(x))
    for first, last in _row_blocks(len(x), len(y), admission, resources):
        report = progress.part((last - first) * len(y))
        rules = admission.rows(first, last).rules(0, len(y))
        result[first:last] = kernels_of(x).reduce(
            x[first:last], y, metric, True, rules, op, None, scale, wide, report, *resources
        )
        progress.end_part()
        del rules
    return result


def bin_counts(
    x: _Array,
    y: _Array,
    metric: str,
    low: float,
    high: float,
    bins: int,
    admission: Admission,
    progress: Progress,
    resources: Resources,
) -> _Ints:
    """Count the scores of all pairs in equal bins."""
    counts: _Ints = library_of(x).zeros(bins, np.int64)
    for first, last in _row_blocks(len(x), len(y), admission, resources):
        report = progress.part((last - first) * len(y))
        rules = admission.rows(first, last).rules(0, len(y))
        found = kernels_of(x).histogram(
            *(x[first:last], y, metric, rules, low, high, bins, None, False, report, *resources)
        )
        counts += found[0].astype(np.int64)
        progress.end_part()
        del rules
    return counts


def join_columns(parts: list[Hits], rows: int, library: Any = np) -> Hits:
    """Join the hits of consecutive ranges of columns, row by row, in arrays of numpy or cupy."""
    starts = library.zeros(rows + 1, np.int64)
    for indptr, _, _ in parts:
        starts += indptr
    hits = sum(len(part[1]) for part in parts)
    indices, scores = library.empty(hits, np.int64), library.empty(hits)
    free = starts[:-1].copy()
    for indptr, part_indices, part_scores in parts:
        places = _for_each_hit(free - indptr[:-1], indptr, len(part_indices)) + library.arange(len(part_indices))
        indices[places], scores[places] = part_indices, part_scores
        free += np.diff(indptr)
    return starts, indices, scores


def _for_each_hit(values: _Ints, indptr: _Ints, hits: int) -> _Ints:
    """Repeat what each row has for its hits."""
    if isinstance(indptr, np.ndarray):
        return np.repeat(values, np.diff(indptr))
    # CuPy repeats all as often.
    return values[np.searchsorted(indptr, library_of(indptr).arange(hits), side="right") - 1]


def sort_hits(hits: Hits, largest: bool) -> Hits:
    """Sort the hits of each row best first, equal ones by index."""
    indptr, indices, scores = hits
    owners = _for_each_hit(library_of(indptr).arange(len(indptr) - 1), indptr, len(indices))
    keys = -scores if largest else scores
    if isinstance(indices, np.ndarray):
        order = np.lexsort((indices, keys, owners))
    else:  # they come by row and index, and CuPy sorts by one key at a time
        order = np.argsort(keys, kind="stable")
        order = order[np.argsort(owners[order], kind="stable")]
    return indptr, indices[order], scores[order]


def _column_blocks(columns: int, admission: Admission, resources: Resources) -> Iterator[tuple[int, int]]:
    """Ranges of columns for which a mask of bool pairs takes little room when packed."""
    bits = admission.pairs_bytes(columns)
    most = _mask_bytes(resources)
    if bits <= most:
        yield 0, columns
        return
    width = max(64, columns * most // bits // 8 * 8)
    for begin in range(0, columns, width):
        yield begin, min(begin + width, columns)


def _row_blocks(rows: int, columns: int, admission: Admission, resources: Resources) -> Iterator[tuple[int, int]]:
    """Ranges of rows for which a mask of bool pairs takes little room when packed."""
    bits = admission.pairs_bytes(columns)
    most = _mask_bytes(resources)
    height = max(rows, 1) if bits <= most else max(1, rows * most // bits)
    for begin in range(0, rows, height):
        yield begin, min(begin + height, rows)


def _mask_bytes(resources: Resources) -> int:
    """Bytes for the packed bits of a mask: half of the scratch with those before; threads have the rest."""
    return min(MOST_MASK_BYTES, resources.scratch // 4)
