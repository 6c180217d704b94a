"""Groups of rows on the device: codes in order of first appearance, codes from borders, lists of each group's rows.

The host waits once for each call: for how many groups there are, or whether offsets or codes are in order.
"""

from typing import Any

import numpy as np

from fastpair._cuda._source import launch
from fastpair._cuda.columns import THREADS, blocks_of, place_of, raw

__all__ = ["codes_from_offsets", "group_codes", "group_lists"]

MOST_GROUPS = 2**32 - 2
TOO_MANY = "groups holds more than 4294967294 distinct ids; split the data by groups"


def group_codes(groups: Any) -> tuple[Any, Any]:
    """Return the code of each integer id, in order of first appearance, and the first row of each.

    A hash table of 8 to 16 bytes a row, and 17 bytes a row beside.
    """
    import cupy

    ids = raw(groups, "groups")
    count = ids.size
    codes = cupy.empty(count, np.uint32)
    if not count:
        return codes, cupy.empty(0, np.int64)
    words = ids.view(f"u{ids.itemsize}")
    row, row_type = (np.uint32, "u32") if count < 2**32 - 1 else (np.uint64, "u64")
    places = 1 << (2 * count - 1).bit_length()
    cells = cupy.full(places, np.iinfo(row).max, row)
    first_rows, is_first = cupy.empty(count, row), cupy.empty(count, np.uint8)
    types = f"<u{8 * ids.itemsize}, {row_type}>"
    grid = blocks_of(count), THREADS
    launch("groups.cu", f"insert_ids{types}", *grid, words, count, cells, np.uint64(places))
    launch("groups.cu", f"find_first_rows{types}", *grid, words, count, cells, np.uint64(places), first_rows, is_first)
    numbers = is_first.cumsum(dtype=np.int64)
    found = int(numbers[-1].get())
    if found > MOST_GROUPS:
        raise ValueError(TOO_MANY)
    rows_of_codes = cupy.empty(found, np.int64)
    launch("groups.cu", f"write_codes<{row_type}>", *grid, first_rows, numbers, count, codes, rows_of_codes)
    return codes, rows_of_codes


def codes_from_offsets(offsets: Any, rows: int) -> Any:
    """Return the code of each of `rows` rows, where group i is the rows ``offsets[i]`` to ``offsets[i + 1]``."""
    import cupy

    offsets = cupy.ascontiguousarray(offsets, np.int64)
    count = offsets.size
    if not count:
        raise ValueError("offsets is empty; g groups need g + 1 offsets, from 0 to the number of scores")
    words = cupy.zeros(4, np.uint64)
    launch("groups.cu", "check_offsets", blocks_of(count), THREADS, offsets, count, words)
    negative, falling, first, last = words.get().tolist()
    if negative:
        index = place_of(negative)
        raise ValueError(f"offsets is {int(offsets[index].get())} at index {index}; offsets count rows")
    index = 0 if first else count - 1 if last != rows else place_of(falling)
    if index is not None:
        raise ValueError(
            f"offsets is {int(offsets[index].get())} at index {index}; offsets must begin with 0, never decrease and "
            f"end with {rows}, the number of scores"
        )
    if count > MOST_GROUPS + 1:
        raise ValueError(TOO_MANY)
    codes = cupy.empty(rows, np.uint32)
    launch("groups.cu", "codes_of_offsets", blocks_of(rows), THREADS, offsets, count - 1, rows, codes)
    return codes


def group_lists(codes: Any, groups: int) -> tuple[Any, Any | None]:
    """Return where each group begins in order of groups, and the rows in that order; None if they are in it already."""
    import cupy

    count = codes.size
    disorder = cupy.zeros(1, np.uint64)
    launch("groups.cu", "check_codes", blocks_of(count), THREADS, codes, count, disorder)
    rows = codes.argsort(kind="stable") if disorder.get()[0] else None
    sorted_codes = codes if rows is None else codes[rows]
    bounds = cupy.empty(groups + 1, np.int64)
    launch("groups.cu", "list_bounds", blocks_of(groups + 1), THREADS, sorted_codes, count, groups, bounds)
    return bounds, rows
