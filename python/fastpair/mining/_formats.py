"""Sets of pairs, in the formats that miners return: compressed rows, coordinates, packed bits, a mask, triplets.

Pairs are in the order of their anchors, and ascending within one. Indices are int32 where that suffices.
"""

from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = ["FORMATS", "CompressedRows", "Coordinates", "Format", "index_dtype"]

_Array: TypeAlias = npt.NDArray[Any]
_Ints: TypeAlias = npt.NDArray[np.int64]

Format: TypeAlias = Literal["mask", "bits", "csr", "coo", "triplets"]
FORMATS = ("mask", "bits", "csr", "coo")


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
