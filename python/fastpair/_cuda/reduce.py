"""Reductions of the scores of all pairs: the twins of `fastpair._core.reduce` and `histogram`. See ``reduce.cu``."""

from collections.abc import Callable
from typing import Any

import numpy as np

from fastpair._cuda import plan
from fastpair._cuda._source import launch, type_name
from fastpair._cuda.dense import write_scores
from fastpair._cuda.rows import Tiles
from fastpair._cuda.rules import device_rules
from fastpair._cuda.score import prepare
from fastpair._cuda.topk import pair_arguments, parts_of

__all__ = ["histogram", "reduce"]

THREADS = 128
LANES_OF_ROW = 256
BYTES_OF_A_STATE = 16 * LANES_OF_ROW
BLOCKS_OF_HISTOGRAMS = 1024
SHARED = 32 << 10
"""Bytes of the histograms of a block."""


def reduce(
    x: Any,
    y: Any,
    metric: str,
    largest: bool,
    rules: dict[str, Any],
    op: str,
    threshold: Any,
    scale: float,
    wide: bool,
    progress: Callable[[int, int], object] | None,
    num_threads: int | None,
    max_memory: int | None = None,
) -> Any:
    """Return for each row of `x` how many scores reach `threshold`, their mean, or the log-sum-exp of them."""
    if op == "count":
        return _counts(x, y, metric, largest, rules, threshold, progress, max_memory)
    return _sums(x, y, metric, rules, op == "logsumexp", scale, wide, progress, max_memory)


def _counts(
    x: Any,
    y: Any,
    metric: str,
    largest: bool,
    rules: dict[str, Any],
    threshold: Any,
    progress: Callable[[int, int], object] | None,
    max_memory: int | None,
) -> Any:
    import cupy

    admitted = device_rules(rules, len(x), len(y))
    limits = cupy.ascontiguousarray(threshold, np.float64)
    counts = cupy.zeros(len(x), np.uint64)
    tiles = Tiles(x, y, metric, max_memory=max_memory)
    for tile in tiles.sweep(progress):
        rows, columns = tile.sums.shape
        arguments = pair_arguments(tiles, tile, largest, admitted.words)
        grid = rows, parts_of(rows, columns)
        launch(
            "reduce.cu", f"count_scores<{tiles.kind}>", grid, THREADS, tile.sums, columns, *arguments, limits, counts
        )
    tiles.check()
    return counts.astype(np.float64)


def _sums(
    x: Any,
    y: Any,
    metric: str,
    rules: dict[str, Any],
    exponentials: bool,
    scale: float,
    wide: bool,
    progress: Callable[[int, int], object] | None,
    max_memory: int | None,
) -> Any:
    import cupy

    rows, columns = len(x), len(y)
    admitted = device_rules(rules, rows, columns)
    out = cupy.empty(rows)
    kind = np.dtype(np.float64 if wide else np.float32)
    tiling = plan.tiling(rows, columns, cell=kind.itemsize, row=BYTES_OF_A_STATE, max_memory=max_memory)
    left, right = prepare(x, y, metric)
    room = cupy.empty(tiling.rows * tiling.columns, kind)
    done = 0
    for block in tiling.row_blocks():
        height = block.stop - block.start
        states = cupy.zeros((height, LANES_OF_ROW, 2))
        if exponentials:
            states[:, :, 1] = -np.inf
        own = left.part(block.start, block.stop)
        for part in tiling.column_blocks():
            width = part.stop - part.start
            scores = room[: height * width].reshape(height, width)
            write_scores(own, right.part(part.start, part.stop), metric, scores, False)
            where = admitted.words, block.start, part.start
            args = (scores, width, *where, np.bool_(exponentials), float(scale), states)
            launch("reduce.cu", f"add_scores<{type_name(kind)}>", height, LANES_OF_ROW, *args)
            done += height * width
            if progress is not None:
                progress(done, rows * columns)
        launch("reduce.cu", "finish_sums", height, LANES_OF_ROW, states, np.bool_(exponentials), out[block])
    return out


def histogram(
    x: Any,
    y: Any,
    metric: str,
    rules: dict[str, Any],
    low: float,
    high: float,
    bins: int,
    classes: tuple[Any, Any] | None,
    upper: bool,
    progress: Callable[[int, int], object] | None,
    num_threads: int | None,
    max_memory: int | None = None,
) -> Any:
    """Count the scores of all admissible pairs in equal bins from `low` to `high`.

    With `classes`, labels of the rows of both, first those of pairs with different labels and then those with the same.
    With `upper`, x is y and each pair of two rows counts once.
    """
    import cupy

    admitted = device_rules(rules, len(x), len(y))
    kinds = 1 if classes is None else 2
    labels = (None, None) if classes is None else [cupy.ascontiguousarray(own, np.int64) for own in classes]
    counts = cupy.zeros((kinds, bins), np.uint64)
    copies = 1 << max(0, min(32, SHARED // (4 * kinds * bins)).bit_length() - 1) if 4 * kinds * bins <= SHARED else 0
    tiles = Tiles(x, y, metric, max_memory=max_memory)
    for tile in tiles.sweep(progress):
        rows, columns = tile.sums.shape
        arguments = pair_arguments(tiles, tile, metric in ("dot", "cosine"), admitted.words)
        grid = min(rows, BLOCKS_OF_HISTOGRAMS), parts_of(rows, columns)
        launch(
            *("reduce.cu", f"bin_scores<{tiles.kind}>", grid, THREADS, tile.sums, rows, columns, *arguments),
            *(float(low), float(high), bins, *labels, np.bool_(upper), np.int32(copies), counts),
            shared=4 * kinds * bins * copies,
        )
    tiles.check()
    return counts
