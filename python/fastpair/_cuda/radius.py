"""Radius search: the twin of `fastpair._core.radius`. See ``radius.cu`` for how, and `rows.Tiles` for the filter.

The number of hits is not known before: they go to a list with room for many, and if it was too short, the search is
done once more with the room that it takes. The order of their arrival is not defined, so they are sorted at the end.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from fastpair._cuda import plan
from fastpair._cuda._source import launch
from fastpair._cuda.rows import Tiles
from fastpair._cuda.rules import device_rules
from fastpair._cuda.topk import THREADS, pair_arguments, parts_of

__all__ = ["radius"]

LEAST_ROOM = 1 << 16
"""Hits that there is always room for at first; otherwise for a quarter of the scratch."""


def radius(
    x: Any,
    y: Any,
    metric: str,
    largest: bool,
    rules: dict[str, Any],
    threshold: Any,
    max_hits: int | None,
    sort: bool,
    progress: Callable[[int, int], object] | None,
    num_threads: int | None,
    max_memory: int | None = None,
    filter: str = "auto",
    packed: Any = None,
) -> tuple[Any, Any, Any]:
    """Return all pairs whose score reaches the threshold of their row, as compressed rows.

    `filter` and `packed` are for processors.
    """
    import cupy

    rows, columns = len(x), len(y)
    if not (rows and columns):
        return cupy.zeros(rows + 1, np.int64), cupy.empty(0, np.int64), cupy.empty(0)
    admitted = device_rules(rules, rows, columns)
    limits = cupy.ascontiguousarray(threshold)
    tiles = Tiles(x, y, metric, notes=1, max_memory=max_memory)
    parts = parts_of(rows, tiles.tiling.columns)
    memory = plan.USUAL_SCRATCH if max_memory is None else max_memory
    room = min(rows * columns, max(LEAST_ROOM, memory // 4 // 16), rows * columns if max_hits is None else max_hits)
    while True:
        places, scores = cupy.empty(room, np.int64), cupy.empty(room)
        for tile in tiles.sweep(progress):
            launch(
                *("radius.cu", f"find_hits<{tiles.kind}>", (len(tile.sums), parts), THREADS),
                *(tile.sums, tile.sums.shape[1], *pair_arguments(tiles, tile, largest, admitted.words)),
                *(limits, columns, tiles.notes, room, places, scores),
            )
        (hits,) = tiles.check()
        if max_hits is not None and hits > max_hits:
            raise ValueError(f"there are more than max_hits={max_hits} hits; narrow the threshold or raise max_hits")
        if hits <= room:
            break
        room, progress = hits, None
        tiles.notes[...] = 0
    order = np.argsort(places[:hits])
    places, scores = places[:hits][order], scores[:hits][order]
    owners = places // columns
    indices = places - owners * columns + int(rules["offset"])
    indptr = np.searchsorted(places, cupy.arange(rows + 1) * columns)
    if sort:
        order = np.argsort(-scores if largest else scores, kind="stable")
        order = order[np.argsort(owners[order], kind="stable")]
        indices, scores = indices[order], scores[order]
    return indptr, indices, scores
