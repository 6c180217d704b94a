"""Embeddings on their way to a matrix of similarities, and back to their gradients: `Embedded`.

The kernels of losses know products of rows. 16-bit rows go through tensor cores as they are, since their products are
exact and the sums float32; other rows are multiplied in float32, or in float64 where they are that or products leave
the range of float32. Norms of a cosine are factors of similarities and derivatives, so rows are not divided by them.
Derivatives that meet 16-bit rows are split into two numbers of 11 bits, whose products are exact too.

Memory: the gradients; copies of rows that are not contiguous or of another dtype; for gradients of 16-bit rows also
copies in float32.
"""

from typing import Any

import numpy as np

from fastpair._cuda._source import launch, type_name
from fastpair._cuda.gemm import gemm

__all__ = ["Embedded", "is_single"]

THREADS = 256
ROWS_OF_A_BLOCK = THREADS // 32
RANGES = {4: (1e-12, 1e12), 8: (1e-200, 1e200)}
"""Between which squares of norms a row needs no power of two to stay in range, by the bytes of an element."""
LARGEST_PRODUCT = 1e37


def is_single(array: Any) -> bool:
    """Whether float32 is the precision for this array: floats of at most 32 bits."""
    return array.dtype.name in ("float16", "bfloat16", "float32")


class Side:
    """Rows of x or of y, with their norms: contiguous, in one of the element types of the kernels."""

    def __init__(self, rows: Any, elements: np.dtype[Any], argument: str, known: Any) -> None:
        import cupy

        self.given, self.argument, self.known = rows, argument, known
        self.values: Any = cupy.ascontiguousarray(rows, elements)
        self.count, self.width = int(rows.shape[0]), int(rows.shape[1])
        self.powers: Any = None
        self.measure()

    def measure(self) -> None:
        """Find the norms, and in `known` what the host has to know."""
        import cupy

        self.squares, self.scales = cupy.empty(self.count), cupy.empty(self.count)
        args = (self.values, self.count, self.width, self.squares, self.scales, self.known)
        launch("pair_sides.cu", f"row_norms<{type_name(self.values.dtype)}>", self._blocks, THREADS, *args)

    def rescale(self, dtype: np.dtype[Any]) -> None:
        """Multiply each row by a power of two that brings its norm into range."""
        import cupy

        wide = self.values.astype(dtype, copy=False)
        exponents = np.frexp(np.abs(wide).max(axis=1))[1]
        limit = 120 if dtype.itemsize == 4 else 1000
        self.powers = np.ldexp(cupy.ones(self.count), np.clip(-exponents, -limit, limit))
        self.values = wide * self.powers.astype(dtype)[:, np.newaxis]
        self.measure()

    def demand_finite(self, bad: int) -> None:
        """Raise if there is a row that is not finite; `bad` is 0, or the number of rows from the first one on."""
        if not bad:
            return
        row = self.count - bad
        own = self.given[row].get().astype(np.float64)
        column = int(np.isfinite(own).argmin())
        seen = {np.inf: "inf", -np.inf: "-inf"}.get(float(own[column]), "NaN")
        raise ValueError(
            f"{self.argument} is {seen} at row {row}, column {column}; embeddings must be finite: drop or repair such "
            f"rows"
        )

    def lead_back(self, gradient: Any, scales: Any, row_sums: Any, column_sums: Any) -> None:
        """Lead the gradient by the rows in products back to the rows, in place."""
        kinds = f"{type_name(gradient.dtype)},{type_name(self.values.dtype)}"
        args = (gradient, self.values, self.count, self.width, scales, self.powers, row_sums, column_sums)
        launch("pair_sides.cu", f"lead_back<{kinds}>", self._blocks, THREADS, *args)

    @property
    def _blocks(self) -> int:
        return -(-self.count // ROWS_OF_A_BLOCK)


class Embedded:
    """The matrix of similarities of embeddings, panel by panel, and the gradients of what is made of it."""

    def __init__(self, x: Any, y: Any, metric: str, single: bool, gradient: bool) -> None:
        import cupy

        self.metric, self.within = metric, y is None
        arrays = [x] if y is None else [x, y]
        elements = np.dtype(np.float32 if single else np.float64)
        if x.dtype.itemsize == 2 and single and all(array.dtype == x.dtype for array in arrays):
            elements = x.dtype
        known = cupy.zeros((2, 3), np.uint64)
        sides = [Side(*given) for given in zip(arrays, [elements] * 2, ("x", "y"), known, strict=False)]
        self.x, self.y = sides[0], sides[-1]
        self.dtype = np.dtype(np.float32 if single else np.float64)
        self._bring_into_range(known)
        self.split = gradient and self.x.values.dtype.itemsize == 2
        self.is_distance = metric in ("sqeuclidean", "euclidean")
        self.of_x: Any = cupy.zeros(x.shape, self.dtype) if gradient else None
        self.of_y: Any = cupy.zeros(y.shape, self.dtype) if gradient and not self.within else None
        self.row_sums: Any = cupy.zeros(self.x.count) if gradient and self.is_distance else None
        self.column_sums: Any = cupy.zeros((self.y.count, 1), self.dtype) if gradient and self.is_distance else None
        self.left: Any = None
        self.right: Any = None
        if gradient:
            self.left = self.x.values.astype(self.dtype, copy=False)
            self.right = self.left if self.within else self.y.values.astype(self.dtype, copy=False)

    def _bring_into_range(self, known: Any) -> None:
        """Wait for what the host has to know, and choose the precision."""
        found = known.get()
        sides = (self.x,) if self.within else (self.x, self.y)
        for side, (bad, _, _) in zip(sides, found.tolist(), strict=False):
            side.demand_finite(bad)
        largest = found[: len(sides), 1].view(np.float64)
        smallest = (~found[: len(sides), 2]).view(np.float64)  # NaN where all rows are 0
        if self.metric == "cosine":
            low, high = RANGES[self.dtype.itemsize]
            if (largest > high).any() or (smallest < low).any():
                for side in sides:
                    side.rescale(self.dtype)
        elif self.dtype.itemsize == 4 and np.sqrt(largest[0]) * np.sqrt(largest[-1]) >= LARGEST_PRODUCT:
            self.dtype = np.dtype(np.float64)
            for side in sides:
                side.values = side.values.astype(np.float64)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the matrix."""
        return self.x.count, self.y.count

    @property
    def scales(self) -> tuple[Any, Any]:
        """What products are multiplied by for their rows and for their columns."""
        return (self.x.scales, self.y.scales) if self.metric == "cosine" else (None, None)

    def fill(self, rows: slice, out: Any) -> None:
        """Write the products of some rows of x with all of y, or minus the distances."""
        left, right = self.x.values[rows], self.y.values
        gemm(left, right, out, transpose_b=True)
        if self.is_distance:
            kinds = f"{type_name(self.dtype)},{type_name(right.dtype)}"
            blocks = (-(-out.shape[1] // THREADS), len(out))
            places = (out, out.shape[1], rows.start, self.x.values, right, self.x.width)
            flags = np.bool_(self.metric == "euclidean"), np.bool_(self.within)
            args = (*places, self.x.squares, self.y.squares, *flags)
            launch("pair_sides.cu", f"distances<{kinds}>", blocks, THREADS, *args)

    def add(self, rows: slice, weights: Any, low: Any) -> None:
        """Add the products of derivatives of some rows with both sides; `low` are digits that the derivatives lack."""
        of_y = self.of_x if self.within else self.of_y
        for part in (weights,) if low is None else (weights, low):
            how = {"accumulate": True, "tf32": self.split}
            gemm(part, self.right, self.of_x[rows], **how)
            gemm(part, self.left[rows], of_y, transpose_a=True, **how)
            if self.column_sums is not None:
                ones = np.ones_like(self.left, shape=(len(part), 1))
                gemm(part, ones, self.column_sums, transpose_a=True, accumulate=True)

    def finish(self) -> None:
        """Lead the gradients back to the rows."""
        if self.metric == "dot":
            return
        self.x.lead_back(self.of_x, self.scales[0], self.row_sums, self.column_sums if self.within else None)
        if not self.within:
            self.y.lead_back(self.of_y, self.scales[1], None, self.column_sums)
