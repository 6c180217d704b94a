"""Sums over all pairs of a smooth function of the difference of scores, in linear time after a sort.

The functions are ``log(1 + e^x)`` and its derivatives: smooth, positive, and like ``e^-abs(x)`` (or ``x``) far out.

* Scores fall into boxes of at most one temperature. In each the rows of a side become P Chebyshev nodes.
* Boxes less than 6 temperatures apart: their nodes meet one by one.
* Boxes farther apart: ``f(x) = sum_k c_k e^(k x)`` to ``e^-36`` of its value with six terms, and products of
  exponentials are sums over each side, which running sums carry past all boxes.
* What each row gets is the polynomial through the values at the nodes of its box.

The bound on the error is that of the kernels for processors, with its proof in ``order/all_pairs/treecode.rs``; here
boxes of few rows have nodes too.

O(n log n) time for the sort, then O(n P + b P^2) for b boxes with rows; memory: 8 bytes a row (24 with weights), and
about 48 P + 256 bytes for each box.
"""

from dataclasses import dataclass
from functools import cache
from math import ceil, cos, exp, floor, isfinite, log, log2, pi
from typing import Any

import numpy as np

from fastpair._cuda._source import launch
from fastpair._cuda.direct import SCAN_CHUNK, SCAN_THREADS, SUM_THREADS, Part, Rows, Sums, Want, blocks_of

__all__ = ["Boxes", "Side", "interpolated_sums", "sorted_rows"]

ORDERS = (6, 8, 12, 16, 18)
FAR = 6.0
"""Boxes this far apart, in temperatures, are far."""
PIECE = 2048
KEPT, SIZE_OF_STATE = 8, 10
"""Numbers of a state of boxes that are kept for each, and that are carried along."""
ALL_BOXES, ROWS_OF_A_BOX = 1024, 64
"""Empty boxes are kept among so many boxes, or with so many rows for each box."""
LEVELS = {"logistic": 0, "sigmoid": 1}
"""How often the logarithm is differentiated."""


@cache
def order_for(tolerance: float) -> int:
    """Return the fewest nodes whose error is at most `tolerance`."""
    return next((order for order in ORDERS if truncation(order) <= tolerance), ORDERS[-1])


def truncation(order: int) -> float:
    """Return the bound on the relative error of `order` nodes on both sides."""
    half, lebesgue = 0.5, 1 + 2 / pi * log(order)

    def bound(r: float) -> float:
        real, imaginary = half * (r + 1 / r) / 2, half * (r - 1 / r) / 2
        growth = exp(half + real) / cos(imaginary / 2) ** 2
        return 4 * r ** (1 - order) / (r - 1) * growth

    # From 2 to 12: at 12.6 the ellipse would meet the poles.
    return min(bound(tenths / 10) for tenths in range(20, 121)) * (1 + lebesgue * exp(2 * half))


def interpolated_sums(part: Part, uppers: Rows, lowers: Rows, want: Want, low: float, high: float) -> Sums | None:
    """Return the sums where all scores lie between `low` and `high`; None if that is too far apart for boxes."""
    sides = sorted_rows(uppers), sorted_rows(lowers)
    boxes = Boxes.of(part, [rows.scores for rows in sides], low, high)
    if boxes is None:
        return None
    level = LEVELS[part.kind]
    upper, lower = (Side.of(boxes, rows) for rows in sides)
    total = upper_slopes = lower_slopes = None
    if want.value or want.uppers:
        passed = boxes.passed(lower)
        if want.value:
            values = boxes.field(level, 1, upper, lower, passed, series=False)
            total = (upper.weights * values).sum()
        if want.uppers:
            upper_slopes = boxes.spread(boxes.field(level + 1, 1, upper, lower, passed), uppers.scores)
    if want.lowers:
        lower_slopes = boxes.spread(boxes.field(level + 1, -1, lower, upper, boxes.passed(upper)), lowers.scores)
    return Sums(total, upper_slopes, lower_slopes)


def sorted_rows(rows: Rows) -> Rows:
    """Return the rows by ascending score."""
    import cupy

    if rows.weights is None:
        return Rows(cupy.sort(rows.scores))
    order = cupy.argsort(rows.scores, kind="stable")
    return Rows(rows.scores[order], rows.weights[order])


@dataclass(frozen=True)
class Boxes:
    """Boxes of a width that is a power of two, on a grid anchored at 0, and what nodes in them are to each other."""

    order: int
    per_unit: float
    """Boxes in a unit of scores."""
    width: float
    """The width of a box in temperatures: above 1/2, at most 1."""
    near: int
    """Boxes whose numbers differ by more are far from each other."""
    numbers: Any
    """Ascending."""
    nodes: Any
    coefficients: Any

    @classmethod
    def of(cls, part: Part, sides: list[Any], low: float, high: float) -> "Boxes | None":
        """Return the boxes of sorted scores; None if their numbers would overflow."""
        import cupy

        unit = 2.0 ** floor(log2(part.temperature))
        per_unit = 1 / unit
        ends = low * per_unit, high * per_unit
        if not isfinite(ends[1] - ends[0]):
            return None
        first, count = float(floor(ends[0])), floor(ends[1]) - floor(ends[0]) + 1
        countable = max(map(abs, ends)) < 2.0**53
        if countable and count <= max(ALL_BOXES, sum(map(len, sides)) // ROWS_OF_A_BOX):
            numbers = first + cupy.arange(count, dtype=np.float64)
        else:
            numbers = cupy.unique(cupy.concatenate([_distinct(np.floor(scores * per_unit)) for scores in sides]))
        order = order_for(part.rtol)
        nodes, coefficients = cupy.empty(order), cupy.empty(order * order)
        launch("boxes.cu", "basis", blocks_of(order * order), SUM_THREADS, np.int32(order), nodes, coefficients)
        near = ceil(FAR * part.temperature / unit)
        return cls(order, per_unit, unit / part.temperature, near, numbers, nodes, coefficients)

    @property
    def count(self) -> int:
        """How many boxes there are."""
        return len(self.numbers)

    @property
    def each(self) -> int:
        """How many boxes a block has, with a thread for each node."""
        return SUM_THREADS // self.order

    def passed(self, side: "Side") -> Any:
        """Return what the nodes of a side add up to, for each box those up to it, going up and going down."""
        import cupy

        chunks = blocks_of(self.count, SCAN_CHUNK)
        states, carried = cupy.empty(2 * self.count * KEPT), cupy.empty(2 * chunks * SIZE_OF_STATE)
        launch(
            *("boxes.cu", "own_passed", (blocks_of(self.count), 2), SUM_THREADS),
            *(np.int32(self.order), self.width / 2, self.nodes, side.weights, self.count, states),
        )
        along = states, self.numbers, self.count, self.width, carried
        launch("boxes.cu", "passed_totals", (chunks, 2), SCAN_THREADS, *along)
        launch("boxes.cu", "passed_carry", (1, 2), SCAN_THREADS, carried, chunks)
        launch("boxes.cu", "run_passed", (chunks, 2), SCAN_THREADS, *along)
        return states

    def field(
        self, level: int, sign: int, at: "Side", of: "Side", passed: Any, *, series: bool = True, but_own: bool = False
    ) -> Any:
        """Return what the nodes of a side get from those of another, as series or as values.

        `sign` is 1 at upper nodes and -1 at lower ones. With `but_own`, boxes of few rows get nothing from themselves.
        """
        import cupy

        size = (2 * self.near + 1) * self.order**2
        table, out = cupy.empty(size), cupy.empty(self.count * self.order)
        order, near = np.int32(self.order), np.int32(self.near)
        launch(
            *("boxes.cu", "table", blocks_of(size), SUM_THREADS),
            *(np.int32(level), order, near, self.width / 2, self.nodes, table),
        )
        launch(
            *("boxes.cu", "field", blocks_of(self.count, self.each), SUM_THREADS),
            *(
                np.int32(level),
                order,
                near,
                np.int32(self.each),
                self.width,
                float(sign),
                self.numbers,
                self.count,
                self.nodes,
            ),
            *(table, of.weights, passed, at.begins, but_own, self.coefficients if series else None, out),
            shared=8 * SUM_THREADS,
        )
        return out

    def spread(self, series: Any, scores: Any) -> Any:
        """Return what each row gets from the series of its box."""
        import cupy

        count = len(scores)
        out = cupy.empty(count)
        launch(
            *("boxes.cu", "evaluate", blocks_of(count), SUM_THREADS),
            *(scores, count, self.per_unit, self.numbers, self.count, series, np.int32(self.order), out),
        )
        return out


@dataclass(frozen=True)
class Side:
    """Rows by box, and the nodes that stand for them."""

    begins: Any
    """Where the sorted rows of each box begin, and the end."""
    weights: Any
    """Of the nodes of each box."""

    @classmethod
    def of(cls, boxes: Boxes, rows: Rows) -> "Side":
        """Place sorted rows."""
        import cupy

        count = len(rows.scores)
        begins = cupy.empty(boxes.count + 1, np.int64)
        launch(
            *("boxes.cu", "find_begins", blocks_of(boxes.count + 1), SUM_THREADS),
            *(rows.scores, count, boxes.per_unit, boxes.numbers, boxes.count, begins),
        )
        return cls(begins, cls.weigh(boxes, rows, begins))

    @staticmethod
    def weigh(boxes: Boxes, rows: Rows, begins: Any) -> Any:
        """Return the weights of the nodes."""
        import cupy

        pieces = boxes.count + len(rows.scores) // PIECE
        moments, weights = cupy.empty(pieces * boxes.order), cupy.empty(boxes.count * boxes.order)
        launch(
            *("boxes.cu", f"piece_moments<{boxes.order}>", blocks_of(pieces, SUM_THREADS // 32), SUM_THREADS),
            *(rows.scores, rows.weights, boxes.per_unit, begins, boxes.count, pieces, moments),
        )
        launch(
            *("boxes.cu", "weigh_nodes", blocks_of(boxes.count, boxes.each), SUM_THREADS),
            *(np.int32(boxes.order), np.int32(boxes.each), begins, boxes.count, moments, boxes.coefficients, weights),
            shared=8 * SUM_THREADS,
        )
        return weights


def _distinct(values: Any) -> Any:
    """Return each of sorted values once."""
    import cupy

    kept = cupy.ones(len(values), np.bool_)
    kept[1:] = values[1:] != values[:-1]
    return values[kept]
