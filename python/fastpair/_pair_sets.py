"""Sets of pairs of a row and a column: compressed rows, coordinates, packed bits, or a mask of bools.

Miners return them and losses take them. Pairs are in the order of their rows, and ascending within one. `packed_pairs`
turns all of them into packed bits, which the kernels read: an eighth of a byte for each pair.
"""

from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import array_of, kernels_of, library_of
from fastpair._embeddings import is_sparse

__all__ = [
    "CompressedRows",
    "Coordinates",
    "bools_or_bits",
    "index_dtype",
    "is_listed",
    "packed",
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


def packed(bools: _Bools) -> _Bytes:
    """Return rows of bools as packed bits."""
    return np.packbits(bools, axis=1) if isinstance(bools, np.ndarray) else kernels_of(bools).pack_bools(bools)


def unpacked(bits: _Bytes, columns: int) -> _Bools:
    """Return packed rows as bools."""
    if isinstance(bits, np.ndarray):
        return np.unpackbits(bits, axis=-1, count=columns).view(np.bool_)
    return kernels_of(bits).unpack_bools(bits, columns)


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
        array = array_of(pairs, argument)
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
    array = array_of(pairs, argument)
    if array.dtype == np.bool_ and array.shape == shape:
        return packed(array)
    if array.dtype == np.uint8 and array.shape == (shape[0], stride_of(shape[1])):
        return library_of(array).ascontiguousarray(array)  # type: ignore[no-any-return]
    raise ValueError(f"{argument} has shape {array.shape} and dtype {array.dtype}; {_HINT.format(shape=shape)}")


def _indices(pairs: tuple[Any, Any], argument: str) -> tuple[_Array, _Array]:
    left, right = array_of(pairs[0], f"{argument}[0]"), array_of(pairs[1], f"{argument}[1]")
    for place, array in enumerate((left, right)):
        if array.ndim != 1 or not (array.dtype.kind in "iu" or array.size == 0):
            raise ValueError(
                f"{argument}[{place}] has shape {array.shape} and dtype {array.dtype}; pass one dimension of integers"
            )
    return left, right


def _from_compressed(indptr: _Array, indices: _Array, argument: str, shape: tuple[int, int]) -> _Bytes:
    starts = indptr.astype(np.int64)

    def demand(ascending: Any) -> None:
        if not ascending:
            raise ValueError(
                f"{argument}[0] has {len(starts)} entries; pass compressed rows: {shape[0] + 1} that ascend from 0 to "
                f"{len(indices)}, the number of pairs"
            )

    demand(len(starts) == shape[0] + 1)
    if not isinstance(starts, np.ndarray):
        found, _, strange, wrong = kernels_of(starts).set_bits(shape, None, indices, starts)
        demand(not wrong)
        _demand_place(indices, strange, argument, "column", shape[1])
        return found
    demand(starts[0] == 0 and starts[-1] == len(indices) and (np.diff(starts) >= 0).all())
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
    if not isinstance(rows, np.ndarray):
        found, row, column, _ = kernels_of(rows).set_bits(shape, rows, columns)
        _demand_place(rows, row, argument, "row", shape[0])
        _demand_place(columns, column, argument, "column", shape[1])
        return found
    bits = np.zeros((shape[0], stride_of(shape[1])), np.uint8)
    _set(bits, rows, columns, argument, shape)
    return bits


def _set(bits: _Bytes, rows: _Array, columns: _Array, argument: str, shape: tuple[int, int]) -> None:
    for values, count, what in ((rows, shape[0], "row"), (columns, shape[1], "column")):
        strange = (values < 0) | (values >= count)
        _demand_place(values, int(strange.argmax()) if strange.any() else -1, argument, what, count)
    masks = np.right_shift(np.uint8(128), (columns % 8).astype(np.uint8))
    np.bitwise_or.at(bits, (rows, columns // 8), masks)


def _demand_place(values: _Array, strange: int, argument: str, what: str, count: int) -> None:
    """Raise if the entry at place `strange` does not exist, or -1."""
    if strange >= 0:
        raise ValueError(f"{argument} names {what} {int(values[strange])}, but there are {count}")
