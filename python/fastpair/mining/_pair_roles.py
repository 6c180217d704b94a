"""Which pairs are positive, negative and left out, some rows at a time, from every format that sets of pairs have."""

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import array_of
from fastpair._pair_sets import bools_or_bits, is_listed, unpacked
from fastpair._roles import parse_roles

__all__ = ["PairRoles", "parse_pair_roles"]

_Array: TypeAlias = npt.NDArray[Any]
_Bools: TypeAlias = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class PairRoles:
    """The roles of n x m pairs.

    Positives are "diagonal", the column of each row (-1: none), pairs, or None for none. Pairs are a mask of bools as
    the caller has it, or packed bits.
    """

    shape: tuple[int, int]
    positives: str | _Array | None = None
    ignore: _Array | None = None

    def positive(self, rows: slice) -> _Bools:
        """Return which pairs of some rows are positive."""
        if isinstance(self.positives, np.ndarray) and self.positives.ndim == 2:
            return self._pairs(self.positives, rows)
        mask = np.zeros((rows.stop - rows.start, self.shape[1]), np.bool_)
        if self.positives is not None:
            columns = np.arange(rows.start, rows.stop) if isinstance(self.positives, str) else self.positives[rows]
            owners = np.flatnonzero(columns >= 0)
            mask[owners, columns[owners]] = True
        return mask

    def split(self, rows: slice) -> tuple[_Bools, _Bools]:
        """Return which pairs of some rows are negative, and which positive, after a check that none is also ignored."""
        positive = self.positive(rows)
        if self.ignore is None:
            return ~positive, positive
        ignored = self._pairs(self.ignore, rows)
        clash = positive & ignored
        if clash.any():
            row, column = divmod(int(clash.argmax()), self.shape[1])
            raise ValueError(
                f"ignore is True at row {rows.start + row}, column {column}, which is positive; pass disjoint masks"
            )
        return ~(positive | ignored), positive

    def _pairs(self, pairs: _Array, rows: slice) -> _Bools:
        return pairs[rows] if pairs.dtype == np.bool_ else unpacked(pairs[rows], self.shape[1])


def parse_pair_roles(
    shape: tuple[int, int], positives: Any = None, ignore: Any = None, *, diagonal: bool = True
) -> PairRoles:
    """Check roles of pairs; without positives they are the `diagonal`, or none."""
    given: str | _Array | None = None
    if positives is not None and (is_listed(positives) or _is_matrix(positives)):
        given = bools_or_bits(positives, "positives", shape)
    elif positives is not None or diagonal:
        given = parse_roles(shape, False, positives).positives
    return PairRoles(shape, given, None if ignore is None else bools_or_bits(ignore, "ignore", shape))


def _is_matrix(values: Any) -> bool:
    return array_of(values, "positives").ndim == 2
