"""Packed bits of pairs on the device: made of roles, of bools or of lists of pairs, counted, and unpacked.

Bits are those of ``numpy.packbits(mask, axis=1)``. Each function is one or two kernels that read their input once. Only
`set_bits` waits for the device: what the caller lists is checked before anything is returned.
"""

from typing import Any

import numpy as np

from fastpair._cuda import _source

__all__ = [
    "count_bits",
    "nth_bits",
    "pack_bools",
    "pack_roles",
    "packed_rows",
    "role_arguments",
    "set_bits",
    "unpack_bools",
    "unpack_rows",
]

THREADS = 128
PIECE = 1024
"""Bytes of a row that a warp counts, as in the kernels."""
NOWHERE, DIAGONAL, BY_COLUMN, BY_LABEL, BY_BOOLS, BY_BITS = range(6)


def role_arguments(roles: dict[str, Any], shape: tuple[int, int]) -> tuple[Any, ...]:
    """Return the options of roles as the arguments of a kernel that takes ROLE_PARAMETERS."""
    rows = shape[0]
    told, positives_x, positives_y = NOWHERE, None, None
    positives = roles.get("positives")
    labels = _codes(roles, "labels", shape)
    if labels[0] is not None:
        told, (positives_x, positives_y) = BY_LABEL, labels
    elif isinstance(positives, str):
        if positives != "diagonal":
            raise ValueError(f"positives is unknown: {positives!r}")
        told = DIAGONAL
    elif positives is not None and positives.ndim == 1:
        told, positives_x = BY_COLUMN, _entries(positives, rows, "positives")
    elif positives is not None:
        told, positives_x = _mask(positives, shape, "positives")
    own, ignore = roles.get("self_columns"), roles.get("ignore")
    ignored = (NOWHERE, None) if ignore is None else _mask(ignore, shape, "ignore")
    return (
        *(np.int32(told), positives_x, positives_y),
        None if own is None else _entries(own, rows, "self_columns"),
        *(np.int32(ignored[0]), ignored[1]),
        *(*_codes(roles, "groups", shape), *_codes(roles, "ids", shape)),
    )


def _codes(roles: dict[str, Any], what: str, shape: tuple[int, int]) -> tuple[Any, Any]:
    """Return codes of rows and of columns, or twice None."""
    x, y = roles.get(f"x_{what}"), roles.get(f"y_{what}")
    if x is None and y is None:
        return None, None
    if x is None or y is None:
        raise ValueError(f"{what} must be given for rows and columns")
    return _entries(x, shape[0], what), _entries(y, shape[1], what)


def _entries(values: Any, count: int, what: str) -> Any:
    import cupy

    if len(values) != count:
        raise ValueError(f"{what} has {len(values)} entries; it must have {count}")
    return cupy.ascontiguousarray(values, np.int64)


def _mask(mask: Any, shape: tuple[int, int], what: str) -> tuple[int, Any]:
    """Return how a mask tells pairs, and the mask."""
    import cupy

    bools = mask.dtype == np.bool_
    expected = (shape[0], shape[1] if bools else -(-shape[1] // 8))
    if mask.shape != expected:
        raise ValueError(f"{what} has shape {list(mask.shape)}; it must have {expected[0]} rows of {expected[1]}")
    return BY_BOOLS if bools else BY_BITS, cupy.ascontiguousarray(mask)


def packed_rows(out: Any, rows: int, columns: int) -> Any:
    """Demand packed bits of so many rows, to be written."""
    expected = (rows, -(-columns // 8))
    if out.shape != expected:
        raise ValueError(f"bits must have shape {list(expected)}, not {list(out.shape)}")
    if not out.flags.c_contiguous:
        raise ValueError("bits must be C-contiguous")
    return out


def pack_roles(
    shape: tuple[int, int], roles: dict[str, Any], rows: tuple[int, int], positives: Any, negatives: Any
) -> None:
    """Write the packed bits of the positives and of the negatives of some rows."""
    begin, end = rows
    if not 0 <= begin <= end <= shape[0]:
        raise ValueError(f"rows must be a range of {shape[0]} rows")
    for bits in (positives, negatives):
        packed_rows(bits, end - begin, shape[1])
    warps = -(-(end - begin) // 4) * -(-shape[1] // 1024)
    numbers = (shape[1], begin, end)
    blocks = _blocks(32 * warps)
    _source.launch(
        "bits.cu", "pack_roles", blocks, THREADS, *role_arguments(roles, shape), *numbers, positives, negatives
    )


def pack_bools(bools: Any) -> Any:
    """Return rows of bools as packed bits."""
    import cupy

    rows, columns = bools.shape
    bits = cupy.empty((rows, -(-columns // 8)), np.uint8)
    _source.launch(
        "bits.cu", "pack_bools", _blocks(bits.size), THREADS, cupy.ascontiguousarray(bools), rows, columns, bits
    )
    return bits


def unpack_bools(bits: Any, columns: int, out: Any = None) -> Any:
    """Return packed rows as bools, in `out` where it is given; a single row may have one dimension."""
    import cupy

    rows = bits.shape[0] if bits.ndim == 2 else 1
    if out is None:
        out = cupy.empty((*bits.shape[:-1], columns), np.bool_)
    sixteens = -(-out.size // 16) + 1 if out.size else 0
    _source.launch(
        "bits.cu", "unpack_bools", _blocks(sixteens), THREADS, cupy.ascontiguousarray(bits), rows, columns, out
    )
    return out


def count_bits(bits: Any) -> Any:
    """Return how many bits of each packed row are set."""
    pieces = -(-bits.shape[1] // PIECE)
    return _counts(bits).reshape(len(bits), pieces).sum(axis=1)


def unpack_rows(bits: Any, indices: Any) -> None:
    """Write the columns of the bits of all packed rows, of which there are as many as `indices` has places."""
    import cupy

    ends = cupy.cumsum(_counts(bits))
    expression = f"unpack_rows<{_source.type_name(indices.dtype)}>"
    bits = cupy.ascontiguousarray(bits)
    blocks = _blocks(32 * len(ends))
    _source.launch("bits.cu", expression, blocks, THREADS, bits, *bits.shape, ends, indices)


def nth_bits(bits: Any, rows: Any, nth: Any) -> Any:
    """Return the column of bit number `nth` of each of some packed rows; they have so many."""
    import cupy

    columns = cupy.empty(len(rows), np.int64)
    queries = (cupy.ascontiguousarray(rows), cupy.ascontiguousarray(nth), len(rows))
    bits = cupy.ascontiguousarray(bits)
    _source.launch("bits.cu", "nth_bits", _blocks(32 * len(rows)), THREADS, bits, bits.shape[1], *queries, columns)
    return columns


def _counts(bits: Any) -> Any:
    """Count the bits of each piece of each row."""
    import cupy

    rows, stride = bits.shape
    counts = cupy.empty(rows * -(-stride // PIECE), np.int64)
    blocks = _blocks(32 * counts.size)
    _source.launch("bits.cu", "count_bits", blocks, THREADS, cupy.ascontiguousarray(bits), rows, stride, counts)
    return counts


def set_bits(shape: tuple[int, int], rows: Any, columns: Any, starts: Any = None) -> tuple[Any, int, int, bool]:
    """Return the packed bits of listed pairs, and what is wrong with them, once the host knows it.

    Pairs are coordinates, or, with `starts` in place of rows, compressed rows. Wrong are the first places whose row and
    whose column do not exist (-1 for none), and starts that do not ascend from 0 to the number of pairs.
    """
    import cupy

    count, stride = len(columns), -(-shape[1] // 8)
    room = cupy.zeros(-(-shape[0] * stride // 4), np.uint32)
    strange = cupy.full(3, count, np.int64)
    narrow = columns.dtype == np.int32 and (rows is None or rows.dtype == np.int32)
    dtype = np.dtype(np.int32 if narrow else np.int64)
    if starts is None:
        rows = cupy.ascontiguousarray(rows, dtype)
    else:
        strange[2] = (np.diff(starts) < 0).any() | (starts[0] != 0) | (starts[-1] != count)
    listed = (rows, starts, cupy.ascontiguousarray(columns, dtype))
    expression = f"set_bits<{_source.type_name(dtype)}>"
    _source.launch("bits.cu", expression, _blocks(count), THREADS, *listed, count, *shape, room, strange)
    row, column, wrong = (int(place) for place in strange.get())
    bits = room.view(np.uint8)[: shape[0] * stride].reshape(shape[0], stride)
    return bits, row if row < count else -1, column if column < count else -1, starts is not None and wrong != 0


def _blocks(threads: int) -> int:
    return -(-threads // THREADS)
