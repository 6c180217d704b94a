"""Tiles of approximate values of all pairs, for everything that filters them: `Tiles`.

A tile holds sums over the elements of some rows of x and of y: products by the tensor cores, or negated distances. Rows
are prepared for that, a panel of y and a block of x at a time: rounded to what the tensor cores multiply, with what
each brings to the values, to the bounds on their errors (``bound.cuh``) and to exact scores (``score.cuh``). For a few
rows of x a tile holds values of exact scores, since reading y takes longest. What is not finite is noticed on the way;
`Tiles.check`, which waits for the device, raises the error.

Cost O(n m d) on tensor cores, of float32 for Manhattan distances, of float64 for a few rows. Memory: a
tile that stays in the cache, a block of rows of x, and a panel of rows of y, within `max_memory`.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from fastpair._cuda import plan, score
from fastpair._cuda._source import launch, type_name
from fastpair._cuda.gemm import gemm

__all__ = ["Prepared", "Tile", "Tiles"]

PRODUCTS = ("dot", "cosine", "sqeuclidean", "euclidean", "poincare", "lorentz")
DIFFERENCES = ("sqeuclidean", "euclidean")
"""Metrics that only differences of rows matter to, so that both may be moved."""
FEW = 4
"""Rows of x that ``few.cu`` takes at most."""
SAMPLE = 256
"""Rows of y that the point is the mean of by which both are moved."""

FILTERS: dict[str, np.dtype[Any]] = {
    "int8": np.dtype(np.float16),
    "float32": np.dtype(np.float32),
    "float64": np.dtype(np.float32),
}
"""What rows are multiplied as; those of 16 bits as they are."""
THREADS = 128
ROWS_OF_A_BLOCK = THREADS // 16
SIDE_OF_DIFFERENCES = 64
FACTS_AND_TRAITS = 16 + 16


class Prepared(NamedTuple):
    """Rows for exact scores, their facts, their traits, and what is multiplied; the latter are None for bits."""

    values: Any
    facts: Any
    traits: Any
    filtered: Any

    def part(self, begin: int, end: int) -> "Prepared":
        """Return rows begin to end, without a copy."""
        return Prepared(*(None if own is None else own[begin:end] for own in self))


class Tile(NamedTuple):
    """Sums of some rows of x with some rows of y, which both are prepared."""

    rows: slice
    columns: slice
    sums: Any
    x: Prepared
    y: Prepared


class Tiles:
    """All tiles of the rows of x and of y, equally wide.

    A consumer takes `row` bytes for each row of a tile beside the tile itself, and may have its kernels write to so
    many `notes`, integers that begin with 0; `check` returns them.
    """

    def __init__(
        self, x: Any, y: Any, metric: str, *, row: int = 0, notes: int = 0, max_memory: int | None = None
    ) -> None:
        import cupy

        self.metric, self.code = metric, score.METRICS[metric]
        self._bits = metric in score.BITS
        self._given = {"x": x, "y": y}
        if self._bits:
            x = score.words(x)
            y = x if self._given["x"] is self._given["y"] else score.words(y)
        self._x, self._y = x, y
        self.dtype = x.dtype if self._bits else score.common_dtype(*map(score.exact_dtype, (x.dtype, y.dtype)))
        self.kind = type_name(self.dtype)
        self.width = int(x.shape[1])
        self._are_few = len(x) <= FEW and not self._bits
        self.factor = np.float32(-1.0 if self._are_few else _factor(metric, self.width))
        multiplies = metric in PRODUCTS and not self._are_few
        self._filter: np.dtype[Any] | None = FILTERS.get(self.dtype.name, self.dtype) if multiplies else None
        self._padded = -(-self.width // 8) * 8 if self._copies(second=True) else self.width
        flags = cupy.asarray(np.array([-1, -1] + [0] * notes))
        self._flags, self._bad, self.notes = flags, flags[:2], flags[2:]
        sizes = [self._bytes_of_row(second=False) + row, self._bytes_of_row(second=True)]
        self.tiling = plan.tiling(len(x), len(y), cell=4, row=sizes[0], column=sizes[1], max_memory=max_memory)
        height, width = self.tiling.rows, self.tiling.columns
        memory = plan.USUAL_SCRATCH if max_memory is None else max_memory
        left = max(0, memory - height * (sizes[0] + 4 * width) - width * sizes[1])
        self._panel = width + left // max(sizes[1], 1) // width * width

    def _copies(self, second: bool) -> bool:
        """Whether rows are multiplied as something else than they are."""
        if self._filter is None:
            return False
        return self._filter != self.dtype or self.dtype == np.float32 or (self.metric == "lorentz" and not second)

    def _converts(self, second: bool) -> bool:
        """Whether rows are scored as something else than they are."""
        given = self._given["y" if second else "x"]
        return not self._bits and (given.dtype != self.dtype or not given.flags.c_contiguous)

    def _bytes_of_row(self, second: bool) -> int:
        if self._bits:
            return 0
        converted = self.dtype.itemsize * self.width if self._converts(second) else 0
        filtered = self._filter.itemsize * self._padded if self._filter is not None and self._copies(second) else 0
        return FACTS_AND_TRAITS + converted + filtered

    def sweep(self, progress: Callable[[int, int], object] | None = None) -> Iterator[Tile]:
        """Step through the tiles: all rows of x for some rows of y, before the next rows of y.

        Tiles share their memory, so each must be done with before the next one is made.
        """
        import cupy

        rows, columns = self.tiling.all_rows, self.tiling.all_columns
        if not (rows and columns):
            return
        centre = self._centre()
        sums = cupy.empty(self.tiling.rows * self.tiling.columns, np.float32)
        x_room, y_room = self._room(self.tiling.rows, False), self._room(min(self._panel, columns), True)
        done = 0
        for begin in range(0, columns, self._panel):
            panel = slice(begin, min(begin + self._panel, columns))
            y = self._prepare(y_room, self._y[panel], True, begin, centre)
            for block in self.tiling.row_blocks():
                x = self._prepare(x_room, self._x[block], False, block.start, centre)
                for first in range(panel.start, panel.stop, self.tiling.columns):
                    own = slice(first, min(first + self.tiling.columns, panel.stop))
                    part = y.part(own.start - begin, own.stop - begin)
                    height, width = block.stop - block.start, own.stop - own.start
                    tile = Tile(block, own, sums[: height * width].reshape(height, width), x, part)
                    self._fill(tile)
                    yield tile
                    done += height * width
                    if progress is not None:
                        progress(done, rows * columns)

    def check(self) -> list[int]:
        """Raise the error of the first row that has no scores, or return the notes; waits for the device, once."""
        if not len(self.notes) and (self._bits or (self.dtype == np.int8 and self.metric != "poincare")):
            return []
        flags: list[int] = self._flags.get().tolist()
        for argument, row in zip(("x", "y"), flags, strict=False):
            if row >= 0:
                given = self._given[argument]
                room = self._room(1, argument == "y")
                facts = self._prepare(room, given[row : row + 1], False, row, None).facts
                raise score.row_error(given, argument, row, facts[0])
        return flags[2:]

    def _centre(self) -> Any:
        """Return the point that rows are moved by, or None."""
        import cupy

        if self.metric not in DIFFERENCES or self._filter is None or self.dtype.name not in ("float32", "float64"):
            return None
        sample = self._y[:: -(-len(self._y) // SAMPLE)].astype(np.float64)
        centre = sample.sum(axis=0) / len(sample)
        return cupy.where(cupy.isfinite(centre), centre, 0.0)

    def _room(self, count: int, second: bool) -> Prepared:
        """Return memory for so many prepared rows of one side."""
        import cupy

        if self._bits:
            return Prepared(None, None, None, None)
        return Prepared(
            cupy.empty((count, self.width), self.dtype) if self._converts(second) else None,
            cupy.empty((count, 2)),
            None if self._are_few else cupy.empty((count, 4), np.float32),
            cupy.empty((count, self._padded), self._filter) if self._copies(second) else None,
        )

    def _prepare(self, room: Prepared, rows: Any, second: bool, first: int, centre: Any) -> Prepared:
        """Prepare rows of one side, of which the first has the index `first`."""
        count = len(rows)
        own = room.part(0, count)
        if own.values is not None:
            own.values[...] = rows
            rows = own.values
        if self._bits or (self._are_few and second):
            return own._replace(values=rows)
        launch(
            *("rows.cu", f"prepare_rows<{self.kind}>", -(-count // ROWS_OF_A_BLOCK), THREADS),
            *(rows, count, self.width, self._padded, self.code, np.bool_(second), first),
            *(centre, own.filtered, own.traits, own.facts, self._bad[int(second) :]),
        )
        return own._replace(values=rows, filtered=rows if own.filtered is None else own.filtered)

    def _fill(self, tile: Tile) -> None:
        """Compute the sums of a tile, or where rows are few its values."""
        x, y, sums = tile.x, tile.y, tile.sums
        rows, columns = sums.shape
        if self._are_few:
            launch(
                *("few.cu", f"exact_values<{self.kind}>", -(-columns // ROWS_OF_A_BLOCK), THREADS),
                *(x.values, x.facts, np.int32(rows), y.values, columns, self.width, self.code),
                *(tile.columns.start, y.facts, sums, self._bad[1:]),
            )
        elif self._filter is not None:
            gemm(x.filtered, y.filtered, sums, transpose_b=True, tf32=True)
        else:
            grid = -(-columns // SIDE_OF_DIFFERENCES), -(-rows // SIDE_OF_DIFFERENCES)
            args = (x.values, y.values, rows, columns, self.width, self.code, sums)
            launch("differences.cu", f"differences<{self.kind}>", grid, 256, *args)


def _factor(metric: str, width: int) -> float:
    """Return what ``bound.cuh`` calls `factor`: the relative error of sums of so many terms, and of values."""
    steps = (width + 64) * (2.0**-22 if metric in PRODUCTS else 2.0**-24)
    return steps / (1 - steps) * 1.0001 + 2.0**-20 if steps < 0.5 else np.inf
