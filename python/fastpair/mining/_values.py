"""Checks that filters, weights and selections share: finite numbers in the shape that they need, blocks of rows."""

from collections.abc import Iterator
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import ArrayLike
from fastpair._embeddings import numbers

__all__ = ["MOST_CELLS", "blocks", "finite", "finite_per_row", "first_place"]

_Array: TypeAlias = npt.NDArray[Any]
_Floats: TypeAlias = npt.NDArray[np.float64]
_Bools: TypeAlias = npt.NDArray[np.bool_]

MOST_CELLS = 1 << 17
"""Pairs that are handled at a time; 1 MiB in float64 stays in the cache of one core."""

SHAPES = ("a single number", "one dimension", "two dimensions, a row for each example")


def blocks(rows: int, columns: int) -> Iterator[slice]:
    """Cut rows into blocks of at most `MOST_CELLS` pairs; a block has one row at least."""
    step = max(1, MOST_CELLS // max(columns, 1))
    for begin in range(0, rows, step):
        yield slice(begin, min(begin + step, rows))


def finite(values: ArrayLike, argument: str, dimensions: int) -> _Floats:
    """View finite numbers as float64, a copy only where they are of another dtype."""
    array = numbers(values, argument, "dot")
    if array.ndim != dimensions:
        raise ValueError(f"{argument} has shape {array.shape}; pass {SHAPES[dimensions]}")
    floats = np.asarray(array, np.float64)
    good = np.isfinite(floats)
    if not good.all():
        raise ValueError(f"{argument} is {floats[~good][0]} at {first_place(~good)}; pass finite numbers")
    return floats


def finite_per_row(values: ArrayLike, rows: int, argument: str) -> _Floats:
    """View one finite number for each of the rows as float64."""
    floats = finite(values, argument, 1)
    if len(floats) != rows:
        raise ValueError(f"{argument} has shape {floats.shape}; pass shape ({rows},), one number for each row")
    return floats


def first_place(bad: _Bools) -> str:
    """Say for an error where the first True is."""
    place = tuple(int(index) for index in np.unravel_index(bad.argmax(), bad.shape))
    if len(place) == 2:
        return f"row {place[0]}, column {place[1]}"
    return f"index {place[0] if len(place) == 1 else place}"
