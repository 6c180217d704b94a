"""The rows of a corpus: one array, perhaps packed for a filter, or chunks that are read anew for each search."""

from collections.abc import Callable, Iterable, Iterator
from mmap import mmap
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import ArrayLike, kernels_of
from fastpair.similarity._search import library_for
from fastpair.similarity._sparse import Rows, RowsOrArray, read_rows, same_kind

__all__ = ["Chunk", "Chunks", "CorpusRows", "aligned"]

_Array: TypeAlias = npt.NDArray[Any]
_Bytes: TypeAlias = npt.NDArray[np.uint8]
Chunks: TypeAlias = Iterable[ArrayLike] | Callable[[], Iterable[ArrayLike]]

ALIGNMENT = 64
"""What the addresses of packed rows are multiples of."""


class Chunk(NamedTuple):
    """Rows that follow each other, and the queries as they need them."""

    begin: int
    """The index of the first row."""
    rows: RowsOrArray
    queries: RowsOrArray
    packed: _Bytes | None
    """What the kernels made of these rows for the filter."""


class CorpusRows:
    """The rows of a corpus, and how many they are, as far as that is known."""

    def __init__(self, y: ArrayLike | Chunks, metric: str, filter: str) -> None:
        self.metric, self.filter = metric, filter
        self.array: RowsOrArray | None = None
        self.packed: _Bytes | None = None
        self.are_bits = False
        self.count: int | None = None
        self.width: int | None = None
        self._again: Callable[[], Iterable[Any]] | None = None
        self._once: Iterator[Any] | None = None
        if callable(y) and not hasattr(y, "__array__"):
            self._again = y
        elif isinstance(y, Iterator):
            self._once = y
        elif isinstance(y, (list, tuple)) and y and all(getattr(chunk, "ndim", 0) == 2 for chunk in y):
            parts = [self._matrix(chunk) for chunk in y]
            self.count = sum(map(len, parts))
            self._again = lambda: parts
        else:
            array = self._matrix(y)
            # Bits are packed once; rows of other metrics stay as they are.
            self.array, _ = same_kind(array, array, metric)
            self.are_bits = self.array is not array
            self.count = len(array)
            if not isinstance(self.array, Rows) and _is_worth_packing(self.array, filter):
                self.packed = kernels_of(self.array).pack(self.array, metric, filter, None)

    @classmethod
    def of_files(
        cls, array: _Array, packed: _Bytes | None, width: int, metric: str, filter: str, are_bits: bool
    ) -> "CorpusRows":
        """Return what was saved, without a look at the rows."""
        rows = cls(array, metric, "off")
        rows.filter, rows.width, rows.are_bits, rows.packed = filter, width, are_bits, packed
        return rows

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if self.packed is not None:
            self.packed = aligned(self.packed)

    def chunks(self, x: RowsOrArray) -> Iterator[Chunk]:
        """Yield all rows, and x as the metric needs it beside them."""
        if self.array is not None:
            if self.are_bits and x.dtype == np.bool_ and x.shape[1] != self.width:
                raise ValueError(f"x has {x.shape[1]} columns but y has {self.width}; pass rows of the same length")
            _check_place(x, self.array)
            queries, array = same_kind(x, self.array, self.metric)
            # Sparse queries make the rows sparse as well, and these have no packed form.
            yield Chunk(0, array, queries, self.packed)
            return
        if self._again is not None:
            chunks = iter(self._again())
        elif self._once is not None:
            chunks, self._once = self._once, None
        else:
            raise ValueError(
                "y was an iterator, which the first search used up; pass a list of arrays, or a function that returns "
                "a new iterator for each search"
            )
        begin = 0
        for chunk in chunks:
            rows = self._matrix(chunk)
            _check_place(x, rows)
            queries, array = same_kind(x, rows, self.metric)
            yield Chunk(begin, array, queries, None)
            begin += len(array)
        self.count = begin

    def _matrix(self, chunk: Any) -> RowsOrArray:
        array = read_rows(chunk, "y", self.metric)
        if self.width is None:
            self.width = array.shape[1]
        elif array.shape[1] != self.width:
            raise ValueError(f"y has a chunk with {array.shape[1]} columns after one with {self.width}; pass one width")
        return array


def aligned(packed: _Bytes) -> _Bytes:
    """Return packed rows at an address that vectors can be loaded from, as they are where possible."""
    if packed.ctypes.data % ALIGNMENT == 0:
        return packed
    room = np.empty(len(packed) + ALIGNMENT, np.uint8)
    begin = -room.ctypes.data % ALIGNMENT
    copy = room[begin : begin + len(packed)]
    copy[:] = packed
    return copy


def _is_worth_packing(array: _Array, filter: str) -> bool:
    """Whether these rows are packed once for all searches: not those of a file, unless somebody asked for it."""
    return filter in ("bf16", "int16", "int8") or (filter == "auto" and not _is_mapped(array))


def _is_mapped(array: _Array) -> bool:
    """Whether an array lies in a file that is mapped to memory, also if it is a view of such an array."""
    owner: Any = array
    while owner is not None:
        if isinstance(owner, (np.memmap, mmap)):
            return True
        owner = owner.obj if isinstance(owner, memoryview) else getattr(owner, "base", None)
    return False


def _check_place(x: RowsOrArray, y: RowsOrArray) -> None:
    """Demand that queries and rows are both in host memory, or both on a GPU."""
    if library_for(x) is not library_for(y):
        places = ("host", "GPU") if library_for(x) is np else ("GPU", "host")
        raise TypeError(
            f"x is in {places[0]} memory, but the rows of the corpus are in {places[1]} memory; move one of both, for "
            f"example with cupy.asarray: nothing is copied between devices unasked"
        )
