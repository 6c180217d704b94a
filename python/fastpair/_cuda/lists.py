"""Ragged lists on the GPU: the list of each item, reductions, orders and scans within lists, scales of gradients.

List ``g`` holds the items ``offsets[g]`` to ``offsets[g + 1]``. Nothing here asks the device how long lists are: grids
depend on the numbers of items and lists alone, so no call waits.
"""

from typing import Any

import numpy as np

from fastpair._cuda._source import launch

__all__ = [
    "column",
    "list_of_items",
    "logsumexp_from",
    "order_lists",
    "reduce_lists",
    "scale_lists",
    "scan_lists",
    "threads",
    "units",
    "weigh_lists",
]

DTYPES = (
    *("float64", "float32", "float16", "bfloat16", "bool", "int8", "uint8", "int16", "uint16"),
    *("int32", "uint32", "int64", "uint64"),
)
"""How kernels know dtypes: `Kind` of ``lists.cuh``."""

BLOCK = 128
UNIT = 2048
SCAN_THREADS, SCAN_TILE = 256, 1024
"""The constants of the kernels."""
DIVISORS = ("nothing", "sizes", "valid", "all")
RUN = 512
"""Items that are ordered by comparing each with all; longer lists are merged from such runs."""


def column(array: Any) -> tuple[Any, np.int32]:
    """Return an array as kernels read it whatever its dtype: contiguous, with the number of the dtype."""
    import cupy

    return cupy.ascontiguousarray(array), np.int32(DTYPES.index(array.dtype.name))


def threads(count: int, each: int = 1) -> tuple[int, int]:
    """Return blocks and threads of a block for `count` things of so many threads."""
    return -(-count * each // BLOCK), BLOCK


def units(offsets: Any, items: int) -> int:
    """Return how many units of work the lists have."""
    return items // UNIT + len(offsets) - 1


def list_of_items(offsets: Any, items: int) -> Any:
    """Return the list of each item, in list order."""
    import cupy

    lists = cupy.empty(items, np.int64)
    launch("segments.cu", "list_of_items", *threads(items), offsets, len(offsets) - 1, items, lists)
    return lists


def reduce_lists(values: Any, offsets: Any, operation: str = "Sum") -> Any:
    """Return the float64 "Sum", "Most" or "Least" of each list, of one row of values or of each of several."""
    import cupy

    count, items = len(offsets) - 1, values.shape[-1]
    rows = values.shape[0] if values.ndim == 2 else 1
    work = units(offsets, items)
    partial, results = cupy.empty((rows, work)), cupy.empty((*values.shape[:-1], count))
    if not (count and rows):
        return results
    array, kind = column(values)
    blocks, block = threads(work, 32)
    launch(
        *("segments.cu", f"reduce_units<{operation}>", (blocks, rows), block),
        *(array, kind, items, offsets, count, work, partial),
    )
    blocks, block = threads(count, 32)
    launch(
        *("segments.cu", f"combine_units<{operation}>", (blocks, rows), block),
        *(partial, offsets, count, work, results),
    )
    return results


def order_lists(values: Any, lists: Any, offsets: Any, *, descending: bool = False) -> Any:
    """Return the order that sorts the float64 values of each list, stable and with NaN last."""
    import cupy

    items = len(values)
    if len(offsets) == 2 and items > RUN:
        return cupy.argsort(-values if descending else values, kind="stable")
    shape, falling = threads(items), np.int32(descending)
    order, other = cupy.empty(items, np.int64), cupy.empty(items if items > RUN else 0, np.int64)
    launch("segments.cu", "order_runs", *shape, values, lists, offsets, items, RUN, falling, order)
    run = RUN
    while run < items:  # as long as one list of all items would need
        launch("segments.cu", "merge_runs", *shape, values, lists, offsets, items, run, falling, order, other)
        order, other, run = other, order, 2 * run
    return order


def scan_lists(tops: Any, masses: Any, heads: Any, *, backwards: bool, states: bool = False) -> Any:
    """Return for each item the log of the sum of mass * e^top up to it, from where `heads` last said so.

    With `states` the sum itself: its largest top, and the mass relative to that. Masses of None are 1.
    """
    import cupy

    items = len(tops)
    out, out_masses = cupy.empty(items), cupy.empty(items) if states else None
    tiles, back = -(-items // SCAN_TILE), np.int32(backwards)
    between = cupy.empty(tiles), cupy.empty(tiles), cupy.empty(tiles, np.bool_)
    elements = tops, masses, heads, items, back
    launch("segments.cu", "scan_tiles", tiles, SCAN_THREADS, *elements, *between)
    launch("segments.cu", "scan_carries", min(tiles, 1), SCAN_THREADS, tiles, *between)
    launch("segments.cu", "scan_items", tiles, SCAN_THREADS, *elements, *between[:2], out, out_masses)
    return (out, out_masses) if states else out


def logsumexp_from(values: Any, lists: Any, *, backwards: bool) -> Any:
    """Return the log-sum-exp of each item and what follows it in its list, or what stands before it."""
    import cupy

    heads = cupy.ones(len(values), np.bool_)
    inner = heads[:-1] if backwards else heads[1:]
    cupy.not_equal(lists[1:], lists[:-1], inner)
    return scan_lists(cupy.ascontiguousarray(values), None, heads, backwards=backwards)


def scale_lists(gradient: Any, scale: Any, offsets: Any, rows: Any | None) -> None:
    """Multiply what belongs to each item by the scale of its list, in place; by 0 to exactly 0."""
    items = len(gradient)
    launch(
        *("segments.cu", "scale_items", *threads(items)),
        *(gradient, scale, offsets, len(offsets) - 1, rows, items),
    )


def weigh_lists(
    sums: Any, sizes: Any, weights: Any | None, upstream: Any | None, each: bool, divisor: str
) -> tuple[Any, Any, Any]:
    """Return the term of each list, their sum over the divisor, and what the gradient of each sum is multiplied by.

    A list counts if its size is not 0; with `each` its term is divided by that. The divisor is the sum of "sizes", the
    number of "valid" lists that count, of "all", or "nothing".
    """
    import cupy

    count = len(sums)
    columns, scale, value = cupy.empty((3, count)), cupy.empty(count), cupy.empty(())
    launch(
        *("reduction.cu", "weigh_lists", *threads(count)),
        *(sums, *column(sizes), weights, count, np.int32(each), scale, columns),
    )
    totals = columns.sum(axis=1)
    launch(
        *("reduction.cu", "divide_lists", *threads(max(count, 1))),
        *(totals, upstream, count, np.int32(DIVISORS.index(divisor)), scale, value),
    )
    return columns[0], value, scale
