"""Sets of pairs in the format that the caller wants: compressed rows, coordinates, packed bits, a mask, or triplets.

A miner writes packed bits of some rows (`Writer`), which takes an eighth of a byte for each pair. Compressed rows are
counted first and then filled, so that no buffer ever doubles: where the bits of all rows fit the scratch, from the same
bits, else the rows are mined a second time. Pairs are in the order of their rows and ascending within one; indices are
int32 where that suffices.
"""

from collections.abc import Callable, Iterator
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import kernels_of, library_of, library_of_call
from fastpair._pair_sets import CompressedRows, Coordinates, index_dtype, stride_of, unpacked
from fastpair._validate import Resources, check_choice

__all__ = [
    "FORMATS",
    "TRIPLETS_AT_A_TIME",
    "CompressedRows",
    "Coordinates",
    "Format",
    "PairSet",
    "Writer",
    "check_format",
    "index_dtype",
    "on_host",
    "owners_of",
    "pair_sets",
    "row_blocks",
    "stride_of",
    "sweeps",
    "triplets_of",
]

_Array: TypeAlias = npt.NDArray[Any]
_Ints: TypeAlias = npt.NDArray[np.int64]
_Bytes: TypeAlias = npt.NDArray[np.uint8]

Format: TypeAlias = Literal["mask", "bits", "csr", "coo", "triplets"]
FORMATS = ("mask", "bits", "csr", "coo", "triplets")
PairSet: TypeAlias = _Array | CompressedRows | Coordinates
Writer: TypeAlias = Callable[[int, int, tuple[_Bytes, ...]], None]
"""Fills the packed bits of rows `begin` to `end`, an array of them for each set."""

STRIP = 32
"""The kernels take so many rows together."""

TRIPLETS_AT_A_TIME, TRIPLETS_OF_A_DEVICE = 1 << 16, 1 << 22
UNPACKED_AT_A_TIME = 1 << 18


def check_format(value: object, choices: tuple[str, ...] = FORMATS) -> str:
    """Demand one of the formats."""
    check_choice(value, "format", choices)
    return str(value)


def row_blocks(rows: int, row_bytes: int, room: int) -> Iterator[tuple[int, int]]:
    """Ranges of rows, whole strips, that take at most `room` bytes each; at least a strip."""
    height = max(STRIP, room // max(row_bytes, 1) // STRIP * STRIP)
    for begin in range(0, rows, height):
        yield begin, min(begin + height, rows)


def sweeps(shape: tuple[int, int], sets: int, form: str, resources: Resources) -> int:
    """Return how often `pair_sets` has the rows mined."""
    if form in ("bits", "mask"):
        return 1
    return 1 if len(list(_blocks(shape, sets, resources))) <= 1 else 2


def pair_sets(shape: tuple[int, int], sets: int, write: Writer, form: str, resources: Resources) -> tuple[Any, ...]:
    """Return sets of pairs in a format: those that `write` fills bits of; for "triplets" as compressed rows."""
    rows, stride = shape[0], stride_of(shape[1])
    if form == "bits":
        bits = _room(rows, stride, sets)
        write(0, rows, bits)
        return bits
    blocks = list(_blocks(shape, sets, resources))
    if form == "mask":
        masks = tuple(library_of_call().empty(shape, np.bool_) for _ in range(sets))
        room = _room(_longest(blocks), stride, sets)
        for begin, end in blocks:
            bits = tuple(own[: end - begin] for own in room)
            write(begin, end, bits)
            for mask, own in zip(masks, bits, strict=True):
                _unpack(own, mask[begin:end])
        return masks
    compressed = _compressed(shape, sets, write, blocks)
    return tuple(_coordinates(rows, found) for found in compressed) if form == "coo" else compressed


def _unpack(bits: _Bytes, mask: npt.NDArray[np.bool_]) -> None:
    """Write packed rows to a mask."""
    if not isinstance(bits, np.ndarray):
        kernels_of(bits).unpack_bools(bits, mask.shape[1], mask)
        return
    for first, last in row_blocks(len(bits), mask.shape[1], UNPACKED_AT_A_TIME):
        mask[first:last] = unpacked(bits[first:last], mask.shape[1])


def triplets_of(positives: CompressedRows, negatives: CompressedRows, columns: int) -> _Array:
    """Return each row with each of its positives and each of its negatives, shape (t, 3), in ascending order."""
    library, rows = library_of(positives.indptr), len(positives.indptr) - 1
    each = np.diff(positives.indptr), np.diff(negatives.indptr)
    starts = np.zeros_like(positives.indptr)
    starts[1:] = np.cumsum(each[0] * each[1])
    triplets = library.empty((int(starts[-1]), 3), index_dtype(max(rows, columns)))
    step = TRIPLETS_AT_A_TIME if library is np else TRIPLETS_OF_A_DEVICE
    for first in range(0, len(triplets), step):
        places = library.arange(first, min(first + step, len(triplets)))
        owners = np.searchsorted(starts, places, side="right") - 1
        nth, which = np.divmod(places - starts[owners], each[1][owners])
        own = triplets[first : first + len(places)]
        own[:, 0] = owners
        own[:, 1] = positives.indices[positives.indptr[owners] + nth]
        own[:, 2] = negatives.indices[negatives.indptr[owners] + which]
    return triplets  # type: ignore[no-any-return]


def _blocks(shape: tuple[int, int], sets: int, resources: Resources) -> Iterator[tuple[int, int]]:
    """Ranges of rows whose bits take at most half of the scratch."""
    return row_blocks(shape[0], sets * stride_of(shape[1]), resources.scratch // 2)


def _longest(blocks: list[tuple[int, int]]) -> int:
    return max((end - begin for begin, end in blocks), default=0)


def _room(rows: int, stride: int, sets: int) -> tuple[_Bytes, ...]:
    return tuple(library_of_call().empty((rows, stride), np.uint8) for _ in range(sets))


def _compressed(
    shape: tuple[int, int], sets: int, write: Writer, blocks: list[tuple[int, int]]
) -> tuple[CompressedRows, ...]:
    """Count the bits of all rows, then fill lists of as many columns."""
    rows, stride, library = shape[0], stride_of(shape[1]), library_of_call()
    counts = [library.zeros(rows + 1, np.int64) for _ in range(sets)]
    room = _room(_longest(blocks), stride, sets)
    for begin, end in blocks:
        bits = tuple(own[: end - begin] for own in room)
        write(begin, end, bits)
        for own, packed in zip(counts, bits, strict=True):
            own[begin + 1 : end + 1] = kernels_of(packed).count_bits(packed)
    starts = [np.cumsum(own) for own in counts]
    height = max(_longest(blocks), 1)
    edges = on_host(np.stack([np.concatenate([own[:-1:height], own[-1:]]) for own in starts]))
    columns = [library.empty(int(own[-1]), index_dtype(shape[1])) for own in edges]
    for block, (begin, end) in enumerate(blocks):
        bits = tuple(own[: end - begin] for own in room)
        if len(blocks) > 1:
            write(begin, end, bits)
        for own, packed, indices in zip(edges, bits, columns, strict=True):
            kernels_of(packed).unpack_rows(packed, indices[own[block] : own[block + 1]])
    return tuple(CompressedRows(*found) for found in zip(starts, columns, strict=True))


def on_host(array: Any) -> _Array:
    """Return an array of indices or flags in host memory, for which the host waits."""
    return array if isinstance(array, np.ndarray) else array.get()


def owners_of(indptr: _Ints, count: int) -> _Ints:
    """Return the row of each of `count` pairs in compressed rows."""
    if isinstance(indptr, np.ndarray):
        return np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
    return np.searchsorted(indptr, library_of(indptr).arange(count), side="right") - 1


def _coordinates(rows: int, pairs: CompressedRows) -> Coordinates:
    if isinstance(pairs.indptr, np.ndarray):
        owners = np.repeat(np.arange(rows, dtype=index_dtype(rows)), np.diff(pairs.indptr))
    else:
        owners = owners_of(pairs.indptr, len(pairs.indices)).astype(index_dtype(rows))
    return Coordinates(owners, pairs.indices)
