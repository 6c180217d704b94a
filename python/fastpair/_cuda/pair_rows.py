"""Losses over all pairs of embeddings, or of a matrix of similarities, and their gradients: `pair_rows`.

Rows are taken in panels. For each panel cuBLAS multiplies its rows of x with all rows of y, one kernel turns each row
of similarities into its value and, in place, into derivatives G (``kernels/pair_*.cu``), and cuBLAS multiplies these
back: dx = G y, dy += G^T x. A panel has whole rows: so no product is taken twice, and a loss may select among the pairs
of a row. It has as many as stay in the second-level cache, but 256 at least, which make products efficient. Only the
loss of both directions takes products twice, for what it needs of columns, unless all rows fit into one panel.

Cost: 6 n m d operations. Memory: the panel, 32 MiB or 256 rows of the matrix, and O((n + m) d).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastpair._cuda import plan
from fastpair._cuda._source import launch, type_name
from fastpair._cuda.bits import role_arguments
from fastpair._cuda.pair_options import Loss, parse_loss
from fastpair._cuda.pair_sides import Embedded, is_single
from fastpair._cuda.score import METRICS

__all__ = ["pair_rows"]

LEAST_ROWS = 256
"""Rows of a panel that make products efficient, even if it leaves the cache."""
MOST_THREADS, COLUMNS_OF_A_THREAD = 512, 8
MOST_BLOCKS = 65535
"""Of the second dimension of a grid."""
STATE_OF_A_COLUMN = 4
"""Numbers that the loss of both directions keeps of a column."""


def pair_rows(
    x: Any,
    y: Any,
    similarities: Any,
    appended: Any,
    metric: str,
    loss: str,
    options: dict[str, Any],
    row_factors: Any,
    gradient: bool,
    num_threads: int | None,
    max_memory: int | None,
) -> dict[str, Any]:
    """Return values of a loss for each row of similarities, and the gradient of their weighted sum."""
    if metric not in ("dot", "cosine", "sqeuclidean", "euclidean"):
        raise ValueError(f"metric must be dot, cosine, sqeuclidean or euclidean, not {metric!r}")
    shape = _shape(x, y, similarities, appended)
    parsed = parse_loss(loss, options, shape)
    if parsed.symmetric and (x is None or appended is not None):
        raise ValueError("symmetric needs embeddings, and nothing appended")
    if row_factors is not None and len(row_factors) != shape[0]:
        raise ValueError(f"row_factors has {len(row_factors)} entries; it must have {shape[0]}")
    roles = role_arguments(options, shape)
    single = all(is_single(array) for array in (x, y, similarities, appended) if array is not None)
    source: Embedded | Numbers
    if x is None:
        source = Numbers(similarities, np.dtype(np.float32 if single else np.float64), gradient)
    else:
        source = Embedded(x, y, metric, single, gradient)
    further = None if appended is None else Numbers(appended, source.dtype, gradient)
    panels = Panels(source, further, shape, roles, row_factors, gradient, max_memory, parsed)
    panels.run()
    return panels.result()


def _shape(x: Any, y: Any, similarities: Any, appended: Any) -> tuple[int, int]:
    """Return the rows and columns of the matrix of similarities."""
    if similarities is not None and x is None and y is None:
        rows, columns = similarities.shape
    elif x is not None and similarities is None:
        rows, columns = len(x), len(x if y is None else y)
        if y is not None and y.shape[1] != x.shape[1]:
            raise ValueError(
                f"x has {x.shape[1]} columns but y has {y.shape[1]}; pass rows of the same length ({rows} rows)"
            )
    else:
        raise ValueError("pass x, x and y, or similarities")
    if appended is None:
        return rows, columns
    if len(appended) != rows:
        raise ValueError(f"appended has {len(appended)} rows but there are {rows}")
    return rows, columns + appended.shape[1]


class Numbers:
    """A matrix of numbers that the caller has, panel by panel, and its gradient."""

    def __init__(self, matrix: Any, dtype: np.dtype[Any], gradient: bool) -> None:
        import cupy

        self.matrix, self.dtype, self.shape = matrix, dtype, matrix.shape
        self.gradient = cupy.empty(matrix.shape, dtype) if gradient else None

    @property
    def copied(self) -> bool:
        """Whether a panel takes memory of its own."""
        return self.gradient is None and not (self.matrix.dtype == self.dtype and self.matrix.flags.c_contiguous)

    def panel(self, rows: slice) -> Any:
        """Return some rows, which kernels turn into derivatives if these are wanted."""
        import cupy

        if self.gradient is None:
            return cupy.ascontiguousarray(self.matrix[rows], self.dtype)
        panel = self.gradient[rows]
        panel[...] = self.matrix[rows]
        return panel


@dataclass
class Panels:
    """Everything about a call: goes through all panels of rows, and gathers the result."""

    source: Embedded | Numbers
    further: Numbers | None
    shape: tuple[int, int]
    roles: tuple[Any, ...]
    factors: Any
    gradient: bool
    max_memory: int | None
    loss: Loss

    def run(self) -> None:
        """Call the kernels of the loss for every panel."""
        import cupy

        rows, columns = self.shape
        self.values, self.valid = cupy.zeros(rows), cupy.zeros(rows, np.bool_)
        self.slopes = cupy.zeros((rows, 2)) if self.gradient else None
        step = self._step()
        self.low = self.kinds = self.room = None
        if isinstance(self.source, Embedded):
            self.room = cupy.empty((step, columns - self._further), self.source.dtype)
            self.low = cupy.empty(self.room.shape, np.float32) if self.source.split else None
        if self.loss.selection is not None:
            self.kinds = cupy.empty((step, columns), np.uint8)
        states: tuple[Any, ...] = ()
        if self.loss.symmetric:
            states = (self._states(step),)
        whole = self.loss.symmetric and step >= rows
        for part in _blocks(rows, step):
            panel = self._panel(part, filled=whole)
            if self.loss.selection is not None:
                self._launch("pair_select.cu", "select_pairs", part, panel, None, (self.kinds, *self.loss.selection))
            self._launch(self.loss.file, self.loss.kernel, part, panel, self.kinds, (*self.loss.arguments, *states))
            if self.gradient and isinstance(self.source, Embedded):
                self.source.add(part, panel[0], None if self.low is None else self.low[: len(panel[0])])
        if self.gradient and isinstance(self.source, Embedded):
            self.source.finish()

    def result(self) -> dict[str, Any]:
        """Return values, derivatives by parameters, and gradients; None for what was not given or not asked for."""
        found: dict[str, Any] = {"values": self.values, "valid": self.valid}
        found |= dict.fromkeys(("temperature", "scale", "bias", "x", "y", "similarities"))
        if self.slopes is not None:
            names = ("scale", "bias") if self.loss.kernel == "sigmoid" else ("temperature",)
            found |= dict(zip(names, (self.slopes[:, 0], self.slopes[:, 1]), strict=False))
        found["appended"] = None if self.further is None else self.further.gradient
        if isinstance(self.source, Embedded):
            return found | {"x": self.source.of_x, "y": self.source.of_y}
        return found | {"similarities": self.source.gradient}

    @property
    def _further(self) -> int:
        return 0 if self.further is None else int(self.further.shape[1])

    def _step(self) -> int:
        """Return how many rows a panel has."""
        rows, columns = self.shape
        size, embedded = self.source.dtype.itemsize, isinstance(self.source, Embedded)
        of_row = columns if self.loss.selection is not None else 0
        if isinstance(self.source, Embedded):
            of_row += (columns - self._further) * (size + (4 if self.source.split else 0))
        elif self.source.copied:
            of_row += (columns - self._further) * size
        if self.further is not None and self.further.copied:
            of_row += self._further * size
        memory = plan.USUAL_SCRATCH if self.max_memory is None else self.max_memory
        if self.max_memory is not None and memory < of_row:
            raise ValueError(f"max_memory is {memory} bytes, but this call needs {of_row}; pass at least that")
        fitting = max(1, memory // max(of_row, 1))
        if self.loss.symmetric and rows <= min(fitting, MOST_BLOCKS):
            return max(rows, 1)
        usual = max(LEAST_ROWS, plan.CACHED // max(columns * size, 1)) if embedded or of_row else rows
        return max(1, min(rows, usual, fitting, plan.MOST_ROWS if embedded else rows))

    def _panel(self, part: slice, filled: bool = False) -> tuple[Any, Any]:
        """Return the similarities of some rows, and what is appended to them."""
        further = None if self.further is None else self.further.panel(part)
        if isinstance(self.source, Numbers):
            return self.source.panel(part), further
        assert self.room is not None
        panel = self.room[: part.stop - part.start]
        if not filled:
            self.source.fill(part, panel)
        return panel, further

    def _states(self, step: int) -> Any:
        """Return what each column sums up to over all rows."""
        import cupy

        rows, columns = self.shape
        states = cupy.zeros((columns, STATE_OF_A_COLUMN))
        states[:, 0] = -np.inf
        assert isinstance(self.source, Embedded)
        for part in _blocks(rows, step):
            panel = self._panel(part)[0]
            numbers = (panel, len(panel), columns, part.start, *self.source.scales, self.loss.temperature, states)
            name = f"column_sums<{type_name(self.source.dtype)}>"
            launch("pair_symmetric.cu", name, -(-columns // 32), 256, *numbers)
        return states

    def _launch(
        self, file: str, kernel: str, part: slice, panel: tuple[Any, Any], kinds: Any, more: tuple[Any, ...]
    ) -> None:
        """Call a kernel that takes a block for each row of a panel."""
        rows, columns = part.stop - part.start, self.shape[1]
        threads = 32
        while threads < MOST_THREADS and threads * COLUMNS_OF_A_THREAD < columns:
            threads *= 2
        metric, scales, sums = "dot", (None, None), None
        if isinstance(self.source, Embedded):
            metric, scales, sums = self.source.metric, self.source.scales, self.source.row_sums
        low = None if self.low is None else self.low[:rows]
        own = (*panel, columns - self._further, self._further, part.start, kinds, METRICS[metric], *scales)
        out = (self.factors, low, sums, self.values, self.valid, self.slopes)
        name = f"{kernel}<{type_name(self.source.dtype)}>"
        launch(file, name, rows, threads, *own, *out, *self.roles, *more)


def _blocks(count: int, step: int) -> Iterator[slice]:
    for begin in range(0, count, step):
        yield slice(begin, min(count, begin + step))
