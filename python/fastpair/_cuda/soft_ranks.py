"""Soft ranks of lists, and the product of upstream gradients with their Jacobian.

Short lists pair by pair, all at once; long ones one after the other through `treecode`, O(n log n) time and O(n)
memory. Only where there are items enough for a long list does the host look for it.
"""

from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from fastpair._cuda._source import launch
from fastpair._cuda.direct import SUM_THREADS, Part, Rows, blocks_of, floats
from fastpair._cuda.treecode import Boxes, Side, sorted_rows

__all__ = ["soft_rank", "soft_rank_vjp"]

TILE = 128
LONG_LIST = 8192
"""Lists of more items go through boxes."""


def soft_rank(scores: Any, offsets: Any, rows: Any, temperature: float, rtol: float, num_threads: int | None) -> Any:
    """Return the soft rank of each item in its list."""
    return _by_list(_Ranks(temperature, rtol), (floats(scores),), offsets, rows)


def soft_rank_vjp(
    scores: Any, upstream: Any, offsets: Any, rows: Any, temperature: float, rtol: float, num_threads: int | None
) -> Any:
    """Return what `upstream`, one number for each soft rank, is in terms of scores."""
    return _by_list(_PullBack(temperature, rtol), (floats(scores), floats(upstream)), offsets, rows)


def _by_list(operation: "_Operation", columns: tuple[Any, ...], offsets: Any, rows: Any) -> Any:
    """Return what each item gets, in the caller's order."""
    import cupy

    offsets = cupy.asarray(offsets)
    count, lists = len(columns[0]), len(offsets) - 1
    out = cupy.empty(count)
    long = []
    if count > LONG_LIST:
        if lists == 1:
            long = [(0, count)]
        else:
            which = cupy.flatnonzero(offsets[1:] - offsets[:-1] > LONG_LIST)
            long = cupy.stack([offsets[which], offsets[which + 1]], axis=1).tolist()
    if sum(end - begin for begin, end in long) < count:
        operation.one_by_one(columns, offsets, rows, LONG_LIST, out)
    for begin, end in long:
        items = slice(begin, end) if rows is None else rows[begin:end]
        out[items] = _of_list(operation, tuple(column[items] for column in columns))
    return out


def _of_list(operation: "_Operation", columns: tuple[Any, ...]) -> Any:
    """Return what the items of one long list get."""
    import cupy

    scores = columns[0]
    low, high = cupy.stack([scores.min(), scores.max()]).tolist()
    if low != low:
        return cupy.full(len(scores), np.nan)
    if not np.isinf([low, high]).any():
        return operation.of_finite(columns, low, high)
    finite = np.isfinite(scores)
    inner = tuple(column[finite] for column in columns)
    out = operation.of_infinite(columns, finite)
    if len(inner[0]):
        out[finite] += _of_list(operation, inner)
    return out


class _Operation(ABC):
    """Ranks, or their pull-back."""

    kernel: str
    """Goes through lists pair by pair."""

    def __init__(self, temperature: float, rtol: float) -> None:
        self.part = Part("logistic", 0.0, temperature, rtol=rtol)
        self.factor = 1.0 / temperature

    def one_by_one(self, columns: tuple[Any, ...], offsets: Any, rows: Any, longest: int, out: Any) -> None:
        """Write what items of lists of at most `longest` items get, pair by pair."""
        lists = len(offsets) - 1
        blocks = len(columns[0]) // TILE + lists
        launch("soft_ranks.cu", self.kernel, blocks, TILE, *columns, offsets, lists, rows, longest, self.factor, out)

    def of_finite(self, columns: tuple[Any, ...], low: float, high: float) -> Any:
        """Return what the items of a list get whose scores lie between `low` and `high`."""
        import cupy

        ordered = sorted_rows(Rows(*columns))
        boxes = Boxes.of(self.part, [ordered.scores], low, high)
        if boxes is not None:
            return self.of_boxes(columns, ordered, boxes)
        count = len(columns[0])
        out = cupy.empty(count)
        self.one_by_one(columns, cupy.asarray([0, count]), None, count, out)
        return out

    @abstractmethod
    def of_boxes(self, columns: tuple[Any, ...], ordered: Rows, boxes: Boxes) -> Any:
        """Return what the items get, by way of boxes."""

    @abstractmethod
    def of_infinite(self, columns: tuple[Any, ...], finite: Any) -> Any:
        """Return what infinite scores get, and what finite ones get from them."""


class _Ranks(_Operation):
    """Soft ranks of a column of scores."""

    kernel = "ranks_of_lists"

    def of_boxes(self, columns: tuple[Any, ...], ordered: Rows, boxes: Boxes) -> Any:
        side = Side.of(boxes, ordered)
        # The derivative of the logistic is the sigmoid.
        return 0.5 + boxes.spread(boxes.field(1, 1, side, side, boxes.passed(side)), columns[0])

    def of_infinite(self, columns: tuple[Any, ...], finite: Any) -> Any:
        (scores,) = columns
        best, worst = scores == np.inf, scores == -np.inf
        above, inner, below = (kind.sum().astype(np.float64) for kind in (best, finite, worst))
        at_ends = np.where(best, 0.5 + above / 2, 0.5 + above + inner + below / 2)
        return np.where(finite, above, at_ends)


class _PullBack(_Operation):
    """The product of a column of upstream gradients with the Jacobian of the ranks of a column of scores."""

    kernel = "pull_back_lists"

    def of_boxes(self, columns: tuple[Any, ...], ordered: Rows, boxes: Boxes) -> Any:
        import cupy

        scores, upstream = columns
        plain = Side.of(boxes, Rows(ordered.scores))
        weighted = Side(plain.begins, Side.weigh(boxes, ordered, plain.begins))
        series = [boxes.field(2, 1, plain, side, boxes.passed(side), but_own=True) for side in (weighted, plain)]
        count = len(scores)
        out = cupy.empty(count)
        launch(
            *("boxes.cu", "pull_back", blocks_of(count), SUM_THREADS),
            *(scores, upstream, count, boxes.per_unit, boxes.numbers, boxes.count, *series, np.int32(boxes.order)),
            *(ordered.scores, ordered.weights, plain.begins, self.factor, out),
        )
        return out * self.factor

    def of_infinite(self, columns: tuple[Any, ...], finite: Any) -> Any:
        scores, upstream = columns
        result = np.where(finite, 0.0, 0.0)
        for end in (np.inf, -np.inf):
            own = scores == end
            # Ties, of which each pair has a slope of 1/4.
            pulled = np.where(own, upstream, 0.0).sum() - upstream * own.sum()
            result = np.where(own, pulled * (0.25 * self.factor), result)
        return result
