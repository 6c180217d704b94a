"""Rows of a matrix that are equal: found by a hash of each row, then compared value by value."""

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import library_of
from fastpair._validate import Resources
from fastpair.similarity._sparse import Rows, RowsOrArray

__all__ = ["first_equal_rows"]

_Array: TypeAlias = npt.NDArray[Any]
_Ints: TypeAlias = npt.NDArray[np.int64]
_Words: TypeAlias = npt.NDArray[np.uint64]

MOST_BYTES = 4 << 20
"""Bytes of rows that are looked at together; mixing takes a few times as much."""
MOST_ON_DEVICE = 64 << 20
"""The same in the memory of a device."""
COPIES = 6
"""How many times as much."""


def first_equal_rows(y: RowsOrArray, resources: Resources) -> _Ints:
    """Return for each row of y the first row that is equal to it; 0.0 and -0.0 are equal.

    Takes 24 bytes a row beside the rows that are looked at together. No row is copied for good, and none is sorted.
    """
    matrix = y.matrix if isinstance(y, Rows) else y
    count = int(matrix.shape[0])
    library = np if isinstance(y, Rows) else library_of(y)
    hashes, step = library.empty(count, np.uint64), _step(matrix, resources)
    for begin in range(0, count, step):
        hashes[begin : begin + step] = _hashes(matrix[begin : begin + step])
    first: _Ints = library.arange(count)
    order = np.argsort(hashes, kind="stable")  # of equal hashes, the first row comes first
    hashes = hashes[order]
    fresh = library.ones(count, np.bool_)
    fresh[1:] = hashes[1:] != hashes[:-1]
    del hashes
    # Where the run of equal hashes begins; only rows behind that are compared.
    heads = _run_begins(fresh)[~fresh]
    others = order[~fresh]
    leaders = order[heads]
    while len(others):
        same = library.empty(len(others), np.bool_)
        for begin in range(0, len(others), max(1, step // 2)):
            part = slice(begin, begin + max(1, step // 2))
            same[part] = _equal(matrix, leaders[part], others[part])
        first[others[same]] = leaders[same]
        # Rows of one hash that differ, which chance brings about: the first of the rest leads the next round.
        others, leaders = others[~same], leaders[~same]
        if len(others):
            changes = library.ones(len(others), np.bool_)
            changes[1:] = leaders[1:] != leaders[:-1]
            places = _run_begins(changes)
            leaders, others = others[places][~changes], others[~changes]
    return first


def _run_begins(begins: npt.NDArray[np.bool_]) -> _Ints:
    """Return for each place where its run begins, given which places begin one."""
    if isinstance(begins, np.ndarray):
        return np.maximum.accumulate(np.where(begins, np.arange(len(begins)), 0))
    return np.flatnonzero(begins)[np.cumsum(begins) - 1]


def _step(matrix: Any, resources: Resources) -> int:
    """Rows that are looked at together."""
    if hasattr(matrix, "indptr"):
        widest = int(np.diff(matrix.indptr).max(initial=1))
        return resources.pieces(max(1, MOST_BYTES // (16 * widest)), 16 * widest * COPIES)
    size = max(1, matrix.shape[1]) * max(matrix.dtype.itemsize, 4)
    most = MOST_BYTES if isinstance(matrix, np.ndarray) else MOST_ON_DEVICE
    return resources.pieces(max(1, most // size), size * COPIES)


def _hashes(rows: Any) -> _Words:
    """Return the sum over the elements of a row of a mix of each with its place, modulo 2**64."""
    if hasattr(rows, "indptr"):
        cells = _mixed(_words(rows.data[:, np.newaxis])[:, 0], rows.indices.astype(np.uint64))
        cells[rows.data == 0] = 0
        sums = np.zeros(len(cells) + 1, np.uint64)
        np.cumsum(cells, out=sums[1:])
        return np.asarray(sums[rows.indptr[1:]] - sums[rows.indptr[:-1]])
    words = _words(rows)
    places = library_of(words).arange(words.shape[1], dtype=np.uint64)
    return _mixed(words, places).sum(axis=1, dtype=np.uint64)  # type: ignore[no-any-return]


def _words(rows: _Array) -> _Words:
    """Return the bits of rows as words of 64 bits, equal where the values are."""
    values = rows
    if values.dtype.kind not in "iub":
        # Minus zero plus zero is zero. Bits of 16-bit floats are those of float32.
        values = values.astype(np.float64 if values.dtype.itemsize == 8 else np.float32)
        values += 0.0
    library = library_of(values)
    values = library.ascontiguousarray(values, values.dtype.newbyteorder("="))
    width = values.shape[1] * values.dtype.itemsize
    if width % 8:
        padded = library.zeros((len(values), -(-width // 8) * 8), np.uint8)
        padded[:, :width] = values.view(np.uint8)
        values = padded
    return values.view(np.uint64)  # type: ignore[no-any-return]


def _mixed(words: _Words, places: _Words) -> _Words:
    """Return words in which each bit depends on all bits of a word and of its place (the finaliser of splitmix64)."""
    mixed = words ^ ((places + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15))
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed ^= mixed >> np.uint64(shift)
        mixed *= np.uint64(factor)
    mixed ^= mixed >> np.uint64(31)
    return mixed


def _equal(matrix: Any, left: _Ints, right: _Ints) -> npt.NDArray[np.bool_]:
    """Compare rows, value by value."""
    if hasattr(matrix, "indptr"):
        return np.asarray((matrix[left] != matrix[right]).sum(axis=1) == 0).ravel()
    return (matrix[left] == matrix[right]).all(axis=1)  # type: ignore[no-any-return]
