"""Sets of pairs of a row and a column: compressed rows, coordinates, packed bits, or a mask of bools.

Miners return them and losses take them. Pairs are in the order of their rows, and ascending within one. `packed_pairs`
turns all of them into packed bits, which the kernels read: an eighth of a byte for each pair.
"""

from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import host_array
from fastpair._embeddings import is_sparse

__all__ = [
    "CompressedRows",
    "Coordinates",
    "bools_or_bits",
    "index_dtype",
    "is_listed",
    "packed_pairs",
    "stride_of",
    "unpacked",
]

_Array: TypeAlias = npt.NDArray[Any]
_Ints: TypeAlias = npt.NDArray[np.int64]
_Bools: TypeAlias = npt.NDArray[np.bool_]
_Bytes: TypeAlias = npt.NDArray[np.uint8]

_HINT = "pass bools of shape {shape}, bits made with numpy.packbits(mask, axis=1), compressed rows or coordinates"


class CompressedRows(NamedTuple):
    """Pairs in compressed rows: the columns of row i are ``indices[indptr[i]:indptr[i + 1]]``, ascending."""

    indptr: _Ints
    indices: _Array


class Coordinates(NamedTuple):
    """Pairs by their rows and columns, row by row, ascending."""

    rows: _Array
    columns: _Array


def index_dtype(count: int) -> np.dtype[Any]:
    """Return the dtype of indices below `count`."""
    return np.dtype(np.int32 if count <= np.iinfo(np.int32).max else np.int64)


def stride_of(columns: int) -> int:
    """Return the bytes of a packed row."""
    return -(-columns // 8)


def unpacked(bits: _Bytes, columns: int) -> _Bools:
    """Return packed rows as bools."""
    return np.unpackbits(bits, axis=-1, count=columns).view(np.bool_)


def is_listed(pairs: Any) -> bool:
    """Say whether pairs are in compressed rows, coordinates or a sparse matrix.

    A tuple of numbers, or of rows of bools, is an array.
    """
    if not isinstance(pairs, tuple):
        return is_sparse(pairs)
    return bool(pairs) and all(np.ndim(part) == 1 and not _is_bool(part) for part in pairs)


def _is_bool(values: Any) -> bool:
    dtype = getattr(values, "dtype", None)
    return len(values) > 0 and str(np.asarray(values).dtype if dtype is None else dtype).endswith("bool")


def bools_or_bits(pairs: Any, argument: str, shape: tuple[int, int]) -> _Array:
    """Return pairs in any format as packed bits, or as bools if that is what they are."""
    if not is_listed(pairs):
        array = host_array(pairs, argument)
        if array.dtype == np.bool_ and array.shape == shape:
            return array
    return packed_pairs(pairs, argument, shape)


def packed_pairs(pairs: Any, argument: str, shape: tuple[int, int]) -> _Bytes:
    """Return packed bits of pairs in any format, shape (n, ceil(m / 8))."""
    if isinstance(pairs, Coordinates):
        return _from_coordinates(*_indices(pairs, argument), argument, shape)
    if isinstance(pairs, tuple) and is_listed(pairs):
        if len(pairs) != 2:
            raise ValueError(f"{argument} is a tuple of {len(pairs)}; {_HINT.format(shape=shape)}")
        return _from_compressed(*_indices(pairs, argument), argument, shape)
    if is_sparse(pairs):
        if pairs.shape != shape:
            raise ValueError(f"{argument} is a sparse matrix of shape {pairs.shape}; pass shape {shape}")
        compressed = pairs.tocsr()
        return _from_compressed(compressed.indptr, compressed.indices, argument, shape)
    array = host_array(pairs, argument)
    if array.dtype == np.bool_ and array.shape == shape:
        return np.packbits(array, axis=1)
    if array.dtype == np.uint8 and array.shape == (shape[0], stride_of(shape[1])):
        return np.ascontiguousarray(array)
    raise ValueError(f"{argument} has shape {array.shape} and dtype {array.dtype}; {_HINT.format(shape=shape)}")


def _indices(pairs: tuple[Any, Any], argument: str) -> tuple[_Array, _Array]:
    left, right = host_array(pairs[0], f"{argument}[0]"), host_array(pairs[1], f"{argument}[1]")
    for place, array in enumerate((left, right)):
        if array.ndim != 1 or not (array.dtype.kind in "iu" or array.size == 0):
            raise ValueError(
                f"{argument}[{place}] has shape {array.shape} and dtype {array.dtype}; pass one dimension of integers"
            )
    return left, right


def _from_compressed(indptr: _Array, indices: _Array, argument: str, shape: tuple[int, int]) -> _Bytes:
    starts = indptr.astype(np.int64)
    if len(starts) != shape[0] + 1 or starts[0] != 0 or starts[-1] != len(indices) or (np.diff(starts) < 0).any():
        raise ValueError(
            f"{argument}[0] has {len(starts)} entries; pass compressed rows: {shape[0] + 1} that ascend from 0 to "
            f"{len(indices)}, the number of pairs"
        )
    bits = np.zeros((shape[0], stride_of(shape[1])), np.uint8)
    step = 1 << 20
    for begin in range(0, len(indices), step):  # rows of a part at a time, not of all pairs
        end = min(begin + step, len(indices))
        owners = np.searchsorted(starts, np.arange(begin, end), side="right") - 1
        _set(bits, owners, indices[begin:end], argument, shape)
    return bits


def _from_coordinates(rows: _Array, columns: _Array, argument: str, shape: tuple[int, int]) -> _Bytes:
    if len(rows) != len(columns):
        raise ValueError(f"{argument} has {len(rows)} rows and {len(columns)} columns; pass one of both for each pair")
    bits = np.zeros((shape[0], stride_of(shape[1])), np.uint8)
    _set(bits, rows, columns, argument, shape)
    return bits


def _set(bits: _Bytes, rows: _Array, columns: _Array, argument: str, shape: tuple[int, int]) -> None:
    for values, count, what in ((rows, shape[0], "row"), (columns, shape[1], "column")):
        strange = (values < 0) | (values >= count)
        if strange.any():
            raise ValueError(f"{argument} names {what} {values[strange.argmax()]}, but there are {count}")
    masks = np.right_shift(np.uint8(128), (columns % 8).astype(np.uint8))
    np.bitwise_or.at(bits, (rows, columns // 8), masks)
