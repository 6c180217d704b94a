"""Exact top-k: the twin of `fastpair._core.topk`. See ``topk.cu`` for how, and `rows.Tiles` for the filter."""

from collections.abc import Callable
from typing import Any

import numpy as np

from fastpair._cuda import plan
from fastpair._cuda._source import launch
from fastpair._cuda.rows import Tiles
from fastpair._cuda.rules import device_rules

__all__ = ["merge_topk", "pack", "pair_arguments", "parts_of", "topk"]

THREADS = 128
"""Of a block; the kernels are made for so many at most."""
BLOCKS = 512
"""Blocks that keep a device busy: few rows are cut into parts of their columns."""
LEAST_COLUMNS = 1024
"""Columns of a part that make it worth a block."""


def topk(
    x: Any,
    y: Any,
    metric: str,
    largest: bool,
    rules: dict[str, Any],
    scores: Any,
    indices: Any,
    progress: Callable[[int, int], object] | None,
    num_threads: int | None,
    max_memory: int | None = None,
    above: Any = None,
    filter: str = "auto",
    packed: Any = None,
) -> None:
    """Improve the best scores and indices of each row of `x`, in place, by what `y` has.

    `above` gains how many pairs of each row count but for a score that is better than the limits allow. `filter` and
    `packed` are for processors: tiles of tensor cores are the only filter here.
    """
    import cupy

    rows, columns, k = len(x), len(y), scores.shape[1]
    if not (rows and columns and k):
        return
    admitted = device_rules(rules, rows, columns)
    tiles = Tiles(x, y, metric, max_memory=max_memory)
    memory = plan.USUAL_SCRATCH if max_memory is None else max_memory
    most = min(columns // (4 * k), memory // 8 // (16 * rows * k))
    parts = max(1, min(parts_of(rows, tiles.tiling.columns), most))
    own = scores, indices
    if parts > 1:
        worst = -np.inf if largest else np.inf
        own = cupy.full((parts, rows, k), worst), cupy.full((parts, rows, k), -1, np.int64)
    thresholds = cupy.empty(parts * rows, np.float32)
    flag = np.bool_(largest)
    beginning = (rows, parts, tiles.code, flag, admitted.words, k, scores, indices, thresholds)
    launch("topk.cu", "begin_topk", -(-rows * parts // THREADS), THREADS, *beginning)
    for tile in tiles.sweep(progress):
        launch(
            *("topk.cu", f"improve_topk<{tiles.kind}>", (len(tile.sums), parts), THREADS),
            *(tile.sums, tile.sums.shape[1], *pair_arguments(tiles, tile, largest, admitted.words)),
            *(rows, k, *own, thresholds, above),
        )
    if parts > 1:
        launch("topk.cu", "join_topk", rows, THREADS, rows, parts, flag, k, *own, scores, indices)
    tiles.check()


def pack(y: Any, metric: str, filter: str, num_threads: int | None, max_memory: int | None = None) -> None:
    """Return None: there are no rows that are packed for a filter on a device."""


def merge_topk(scores: Any, indices: Any, other_scores: Any, other_indices: Any, largest: bool) -> None:
    """Enter what another search has found into the best scores and indices of each row, in place."""
    rows, k = scores.shape
    states = other_scores, other_indices, scores, indices
    launch("topk.cu", "join_topk", rows, THREADS, rows, 1, np.bool_(largest), k, *states)


def parts_of(rows: int, columns: int) -> int:
    """Return into how many parts the columns of a tile are cut, a block for each row and part."""
    return max(1, min(BLOCKS // rows, columns // LEAST_COLUMNS))


def pair_arguments(tiles: Tiles, tile: Any, largest: bool, rules: Any) -> tuple[Any, ...]:
    """Return the ``PAIR_PARAMETERS`` of ``collect.cuh`` for a tile."""
    x, y = tile.x, tile.y
    return (
        *(x.values, y.values, x.facts, y.facts, x.traits, y.traits, tiles.width, tiles.code, np.bool_(largest)),
        *(tiles.factor, rules, tile.rows.start, tile.columns.start),
    )
