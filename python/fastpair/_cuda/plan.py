"""How an n x m computation is cut into tiles: pure arithmetic, which needs no GPU.

A tile of scores is written by one kernel and read by the next, so it should stay in the second-level cache: 60 MB on an
H100 or H200, 40 MB on an A100. Many rows make products efficient, many columns make launches rare.
"""

from collections.abc import Iterator
from typing import NamedTuple

__all__ = ["Tiling", "tiling"]

CACHED = 32 << 20
"""Bytes of a tile that stay in the second-level cache."""
USUAL_SCRATCH = 512 << 20
"""Bytes of device memory beside input and output where nobody says how many."""
MOST_ROWS, MOST_COLUMNS = 4096, 1 << 18
LEAST_COLUMNS = 32


class Tiling(NamedTuple):
    """How many rows and columns a tile has, and how many there are in all."""

    rows: int
    columns: int
    all_rows: int
    all_columns: int

    def row_blocks(self) -> Iterator[slice]:
        """Step through the rows, first to last."""
        return _blocks(self.all_rows, self.rows)

    def column_blocks(self) -> Iterator[slice]:
        """Step through the columns, first to last."""
        return _blocks(self.all_columns, self.columns)


def tiling(
    rows: int, columns: int, *, cell: int, row: int = 0, column: int = 0, max_memory: int | None = None
) -> Tiling:
    """Cut an n x m computation that takes `cell` bytes a pair, `row` bytes a row and `column` bytes a column of a tile.

    Tiles stay in the cache, and all scratch within `max_memory` bytes (512 MiB where nobody says).
    """
    memory = USUAL_SCRATCH if max_memory is None else max_memory
    height = max(1, min(rows, MOST_ROWS))
    width = max(1, min(columns, MOST_COLUMNS, _aligned(CACHED // (cell * height))))
    while height * row + width * column + height * width * cell > memory:
        if height == 1 and width <= LEAST_COLUMNS:
            if max_memory is None:
                break  # very long rows: there is no smaller piece of work
            least = row + width * (column + cell)
            raise ValueError(f"max_memory is {max_memory} bytes, but this call needs {least}; pass at least that")
        if width > LEAST_COLUMNS and (width >= height or height == 1):
            width = max(min(columns, LEAST_COLUMNS), _aligned(width // 2))
        else:
            height = max(1, height // 2)
    return Tiling(height, width, rows, columns)


def _aligned(columns: int) -> int:
    """Round down to a multiple of 32, so that rows of a tile begin at whole sectors of memory."""
    return max(LEAST_COLUMNS, columns // 32 * 32)


def _blocks(count: int, step: int) -> Iterator[slice]:
    for begin in range(0, count, step):
        yield slice(begin, min(count, begin + step))
