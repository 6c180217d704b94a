"""Pools of candidates, a group each: their sums and maxima, and the first best candidate of each."""

from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import ArrayLike
from fastpair._groups import parse_groups

__all__ = ["Pools", "parse_pools"]

_Array: TypeAlias = npt.NDArray[Any]
_Floats: TypeAlias = npt.NDArray[np.float64]
_Ints: TypeAlias = npt.NDArray[np.int64]


class Pools(NamedTuple):
    """The candidates of pool g are ``rows[starts[g]:starts[g + 1]]``, ascending; rows in the caller's order."""

    starts: _Ints
    rows: _Ints

    @property
    def sizes(self) -> _Ints:
        """How many candidates each pool has."""
        return np.diff(self.starts)

    def spread(self, values: _Floats) -> _Floats:
        """Repeat a value of each pool for each of its candidates, in the caller's order."""
        result = np.empty(len(self.rows))
        result[self.rows] = np.repeat(values, self.sizes)
        return result

    def sum(self, values: _Floats) -> _Floats:
        """Add up the values of each pool."""
        return self._reduced(np.add, values, 0.0)

    def max(self, values: _Floats) -> _Floats:
        """Return the largest value of each pool, -inf for an empty one."""
        return self._reduced(np.maximum, values, -np.inf)

    def first_best(self, values: _Floats) -> _Ints:
        """Return the first candidate of each pool with the largest value, -1 for an empty pool."""
        best = np.flatnonzero(values[self.rows] == np.repeat(self.max(values), self.sizes))
        pools, firsts = np.unique(np.searchsorted(self.starts, best, "right") - 1, return_index=True)
        found = np.full(len(self.sizes), -1)
        found[pools] = self.rows[best[firsts]]
        return found

    def _reduced(self, operation: np.ufunc, values: _Floats, empty: float) -> _Floats:
        result = np.full(len(self.sizes), empty)
        filled = self.sizes > 0
        if filled.any():
            result[filled] = operation.reduceat(values[self.rows], self.starts[:-1][filled])
        return result


def parse_pools(groups: ArrayLike | None, offsets: ArrayLike | None, count: int) -> Pools:
    """Return the pools of `count` candidates: from ids in order of first appearance, from borders, or one of all."""
    parsed = parse_groups(groups, offsets, count)
    if parsed is None:
        return Pools(np.array([0, count]), np.arange(count))
    starts = np.zeros(len(parsed.ids) + 1, np.int64)
    np.cumsum(np.bincount(parsed.codes, minlength=len(parsed.ids)), out=starts[1:])
    return Pools(starts, np.argsort(parsed.codes, kind="stable").astype(np.int64))
