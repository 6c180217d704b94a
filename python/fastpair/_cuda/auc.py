"""The AUC of series, batches and groups on the device; exact, with the bits of the kernels for processors.

Which way is taken depends on dtypes and shapes only:

* scores of at most 16 bits: a histogram of all keys, O(n) (``auc_histogram.cu``);
* long series: keys of both classes are sorted and merged, one series after the other; where one class is far smaller,
  it alone is sorted and the other looked up in it (``auc.cu``);
* short series and groups: one sort of keys that hold class, segment and score (``auc_segments.cu``);
* with weights: sums in float64 over rows in order, added up in one fixed order (``auc_weights.cu``).

The host waits once for each call: for the first problem, the number of undefined results and, before the sort of a long
series, how many of its rows are positive.

Memory beside the sort's own: a byte a row for labels that are not bool, and 4 bytes a row for long series (8 for scores
of 64 bits), 8 (24) for short ones and groups, 40 (64) with weights; 1 MiB for each of up to 64 series of 16 bits.
"""

from typing import Any

import numpy as np

from fastpair._cuda._source import launch
from fastpair._cuda.columns import COUNTS, RANK, THREADS, UNDEFINED, Columns, blocks_of, kind_of, read_columns, word_of

__all__ = ["auc", "auc_by_group"]

ROWS_OF_TILE = 2048
QUERIES_OF_BLOCK = 1024
LONG = 1 << 20
"""From so many rows on it pays to sort each series of a batch by itself."""
MUCH_SMALLER = 50
"""A class so many times smaller than the other is sorted alone."""
SEARCH_BLOCKS = 1056
"""Eight blocks for each multiprocessor of an H100: all that it holds at once."""
WORTH_COUNTING = {1: 1 << 10, 2: 1 << 14}
"""From so many rows on, a table of all keys is worth clearing and reading."""
SERIES_AT_A_TIME = 64
"""How many tables of 16-bit keys, 1 MiB each, there are at a time."""


def auc(
    scores: Any,
    labels: Any,
    weights: Any,
    pos_label: float | None,
    nan_policy: str,
    presorted: str | None,
    num_threads: int | None,
) -> tuple[Any, int]:
    """Return the AUC of each series, and how many are undefined."""
    import cupy

    columns = read_columns(scores, labels, weights, pos_label, nan_policy)
    if not columns.scores.size:
        return cupy.full(columns.series, np.nan), columns.series
    columns.check_order(presorted)
    if columns.weights is not None:
        areas, _, _ = _weighted(columns, None, 1, presorted)
    elif columns.length >= WORTH_COUNTING.get(columns.scores.itemsize, columns.length + 1):
        areas = _by_histograms(columns)
    elif columns.series == 1 or columns.length >= LONG:
        return _by_sorts(columns, presorted)
    else:
        areas, _, _ = _by_segments(columns, None, 1)
    return areas, columns.read_state(presorted)[UNDEFINED]


def auc_by_group(
    scores: Any,
    labels: Any,
    codes: Any,
    groups: int,
    weights: Any,
    pos_label: float | None,
    nan_policy: str,
    num_threads: int | None,
) -> tuple[Any, Any, Any, int]:
    """Return area, positives and negatives of each group (of each series), and how many areas are undefined."""
    import cupy

    columns = read_columns(scores, labels, weights, pos_label, nan_policy)
    segments = columns.series * groups
    if not columns.scores.size:
        return cupy.full(segments, np.nan), cupy.zeros(segments), cupy.zeros(segments), segments
    by_group = _by_segments if weights is None else _weighted
    results = by_group(columns, codes, groups)
    return *results, columns.read_state(batch=False)[UNDEFINED]


def _by_histograms(columns: Columns) -> Any:
    import cupy

    wide = columns.scores.itemsize == 2
    keys, threads, shared = (1 << 16, 1024, 128 << 10) if wide else (1 << 8, THREADS, 16 << 10)
    parts, most_chunks = (4, 32) if wide else (1, 1024)
    chunk = max(1 << 16 if wide else 1 << 13, blocks_of(columns.length, most_chunks))
    chunks = blocks_of(columns.length, chunk)
    ranks = cupy.zeros((columns.series, 2), np.uint64)
    counts = columns.counts.reshape(-1, 2)
    own = columns.own_classes
    for begin in range(0, columns.series, SERIES_AT_A_TIME):
        scores = columns.scores[begin : begin + SERIES_AT_A_TIME]
        classes = columns.classes.reshape(-1, columns.length)[begin:] if own else columns.classes
        tables = cupy.zeros((len(scores), 2, keys), np.uint64)
        launch(
            *("auc_histogram.cu", f"histogram<{word_of(scores)}>", len(scores) * chunks * parts, threads),
            *(
                scores,
                kind_of(scores.dtype),
                classes,
                columns.length,
                chunks,
                chunk,
                begin * columns.length,
                own,
                tables,
                columns.first_nan,
            ),
            shared=shared,
        )
        launch("auc_histogram.cu", "join_counts", len(scores), threads, tables, keys, ranks[begin:], counts[begin:])
    return _areas(columns, ranks, of_smaller=False)


def _by_sorts(columns: Columns, presorted: str | None) -> tuple[Any, int]:
    import cupy

    series, length = columns.series, columns.length
    key = np.uint64 if columns.scores.itemsize == 8 else np.uint32
    keys = cupy.empty((series, length), key)
    _split(columns, keys, presorted)
    words = columns.read_state(presorted)
    counts = [words[COUNTS + 2 * i : COUNTS + 2 * i + 2] for i in range(series)]
    ranks = cupy.zeros((series, 2), np.uint64)
    for own_keys, own_ranks, (positives, negatives) in zip(keys, ranks, counts, strict=True):
        sides = own_keys[:positives], own_keys[length - negatives :]
        smaller, larger = sides if positives <= negatives else sides[::-1]
        if not len(smaller):
            continue
        if presorted is None:
            smaller.sort()
        if presorted is None and len(larger) >= MUCH_SMALLER * len(smaller):
            blocks = min(SEARCH_BLOCKS, blocks_of(len(larger)))
            kernel, sides = "search_ranks", (larger, smaller)
        else:
            if presorted is None:
                larger.sort()
            blocks = blocks_of(len(smaller), QUERIES_OF_BLOCK)
            kernel, sides = "count_ranks", (smaller, larger)
        queries, others = sides
        kernel += "<u64>" if key is np.uint64 else "<u32>"
        launch("auc.cu", kernel, blocks, THREADS, queries, len(queries), others, len(others), own_ranks)
    exchanged = presorted == "descending"  # the keys were turned round, and all pairs with them
    areas = _areas(columns, ranks, of_smaller=True, exchanged=exchanged)
    propagated = [columns.nan_policy == "propagate" and sum(both) < length for both in counts]
    return areas, sum(min(both) == 0 and not nan for both, nan in zip(counts, propagated, strict=True))


def _split(columns: Columns, keys: Any, presorted: str | None) -> None:
    """Write the keys of positives and negatives to the front and the back; in the order of the rows if that is one."""
    import cupy

    series, length = columns.series, columns.length
    tiles = blocks_of(length, ROWS_OF_TILE)
    flip = keys.dtype.type(np.iinfo(keys.dtype).max if presorted == "descending" else 0)

    def run(begins: Any, out: Any) -> None:
        launch(
            *("auc.cu", f"split<{word_of(columns.scores)}>", series * tiles, THREADS, columns.scores),
            *(kind_of(columns.scores.dtype), columns.classes, length, tiles, columns.own_classes, flip, begins, out),
            *(columns.counts, columns.first_nan),
        )

    if presorted is None:
        return run(None, keys)
    begins = cupy.empty((series, 2, tiles), np.int64)
    run(begins, None)
    ends = begins.cumsum(axis=2)
    begins = ends - begins
    begins[:, 1] += length - ends[:, 1, -1:]
    return run(begins, keys)


def _areas(columns: Columns, ranks: Any, *, of_smaller: bool, exchanged: bool = False) -> Any:
    """Divide the ranks of one class by the number of pairs."""
    import cupy

    out = cupy.empty(columns.series)
    launch(
        *("auc.cu", "areas", blocks_of(columns.series), THREADS, ranks, columns.counts, columns.series, columns.length),
        *(np.int32(of_smaller), np.int32(exchanged), np.int32(columns.nan_policy == "propagate"), out),
        columns.undefined,
    )
    return out


def _by_segments(columns: Columns, codes: Any, groups: int) -> tuple[Any, Any, Any]:
    import cupy

    segments, count = columns.series * groups, columns.scores.size
    scores, kind = _narrow_scores(columns)
    with_nan = cupy.zeros(segments, np.uint8) if columns.nan_policy == "propagate" else None
    keys = cupy.empty(count, np.uint64)
    launch(
        *("auc_segments.cu", f"segment_keys<{word_of(scores)}>", blocks_of(count), THREADS, scores, kind),
        *(
            columns.classes,
            codes,
            count,
            columns.length,
            groups,
            columns.own_classes,
            keys,
            with_nan,
            columns.first_nan,
        ),
    )
    keys.sort()
    bounds, ranks = cupy.empty(2 * segments + 1, np.int64), cupy.zeros((segments, 2), np.uint64)
    launch("auc_segments.cu", "segment_bounds", blocks_of(2 * segments + 1), THREADS, keys, count, segments, bounds)
    blocks = blocks_of(count, QUERIES_OF_BLOCK)
    launch("auc.cu", "count_segment_ranks", blocks, THREADS, keys, bounds, segments, ranks)
    results = cupy.empty(segments), cupy.empty(segments), cupy.empty(segments)
    launch(
        *("auc.cu", "segment_areas", blocks_of(segments), THREADS, ranks, bounds, segments, with_nan, *results),
        columns.undefined,
    )
    return results


def _narrow_scores(columns: Columns) -> tuple[Any, np.int32]:
    """Return scores whose keys have 32 bits at most, and their kind: those of 64 bits become ranks."""
    import cupy

    scores, kind = columns.scores, kind_of(columns.scores.dtype)
    if scores.itemsize < 8:
        return scores, kind
    count = scores.size
    if count >= 2**32 - 1:
        raise MemoryError(f"{count} scores of 64 bits in groups are more than 4294967294; pass float32, or parts")
    keys, ranks = cupy.empty(count, np.uint64), cupy.empty(count, np.uint32)
    grid = ("auc_segments.cu", blocks_of(count), THREADS)
    launch(grid[0], "score_keys", *grid[1:], scores, kind, count, keys)
    order = keys.argsort()
    launch(grid[0], "mark_runs", *grid[1:], keys, order, count, ranks)
    sums = ranks.cumsum(dtype=np.uint32)
    launch(grid[0], "place_ranks", *grid[1:], keys, order, sums, count, kind, ranks)
    return ranks, np.int32(RANK)


def _weighted(columns: Columns, codes: Any, groups: int, presorted: str | None = None) -> tuple[Any, Any, Any]:
    import cupy

    segments, count = columns.series * groups, columns.scores.size
    several, exchanged = np.int32(segments > 1), np.int32(presorted == "descending")
    scores, kind = _narrow_scores(columns) if several else (columns.scores, kind_of(columns.scores.dtype))
    with_nan = cupy.zeros(segments, np.uint8) if columns.nan_policy == "propagate" else None
    keys, amounts, largest = cupy.empty(count, np.uint64), cupy.empty(count), cupy.zeros(2 * segments, np.uint32)
    launch(
        *("auc_weights.cu", f"weigh<{word_of(scores)}>", blocks_of(count), THREADS, scores, kind, columns.classes),
        *(codes, columns.weights, count, columns.length, groups, columns.own_classes, columns.own_weights),
        *(np.int32(presorted is not None), exchanged, several, keys, amounts, largest, with_nan, columns.first_nan),
    )
    order = None
    if presorted is None:
        # Half as many bits take half as many passes of the sort.
        order = (keys if several or scores.itemsize == 8 else keys.astype(np.uint32)).argsort()
    sorted_keys, sorted_amounts = cupy.empty(count, np.uint64), cupy.empty(count)
    launch(
        *("auc_weights.cu", "put_in_order", blocks_of(count), THREADS, keys, amounts, order, count, several, largest),
        *(sorted_keys, sorted_amounts),
    )
    rows = (sorted_keys, sorted_amounts, count, several)
    tiles = blocks_of(count, ROWS_OF_TILE)
    runs, heads, tails = (cupy.empty((tiles, 4)) for _ in range(3))
    sums = cupy.zeros((segments, 4))
    launch("auc_weights.cu", "scan_tiles", tiles, THREADS, *rows, runs)
    launch("auc_weights.cu", "carry_runs", 1, THREADS, runs, tiles)
    launch("auc_weights.cu", "sum_tiles", tiles, THREADS, *rows, runs, heads, tails, sums)
    launch("auc_weights.cu", "carry_sums", 1, THREADS, sorted_keys, tiles, several, heads, tails, sums)
    results = cupy.empty(segments), cupy.empty(segments), cupy.empty(segments)
    launch(
        *("auc_weights.cu", "weighted_areas", blocks_of(segments), THREADS, sums, largest, segments, with_nan),
        *(exchanged, *results, columns.undefined),
    )
    return results
