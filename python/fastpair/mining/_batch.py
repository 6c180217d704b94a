"""What the miners of a batch share: two sets of embeddings, the roles of their pairs, and the kernel on blocks of rows.

The kernels keep some whole rows of the matrix of scores at a time, and answer for these in bits or in indices. All
comparisons are those of float64 scores, so nothing here depends on threads, blocks or instruction sets.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, SupportsIndex, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import ArrayLike, kernels_of
from fastpair._embeddings import check_metric, two_sets
from fastpair._progress import Progress
from fastpair._roles import Roles, parse_roles
from fastpair._validate import Resources, parse_resources

__all__ = ["Band", "Batch", "beside", "parse_batch"]

_Array: TypeAlias = npt.NDArray[Any]
_Floats: TypeAlias = npt.NDArray[np.float64]
_Ints: TypeAlias = npt.NDArray[np.int64]
_Bytes: TypeAlias = npt.NDArray[np.uint8]
Found: TypeAlias = tuple[tuple[_Ints, _Floats], tuple[_Ints, _Floats]]


@dataclass(frozen=True)
class Band:
    """Limits of closeness, measured from a positive of the row ("hardest", "mean", "easiest", "each") or from 0."""

    reference: str | None = None
    lower: float = -np.inf
    upper: float = np.inf
    closed: tuple[bool, bool] = (False, False)


@dataclass(frozen=True)
class Batch:
    """The rows of x and of y, and what each column is to each row."""

    x: _Array
    y: _Array
    metric: str
    roles: Roles
    resources: Resources

    @property
    def shape(self) -> tuple[int, int]:
        """How many rows x and y have."""
        return len(self.x), len(self.y)

    def pack_roles(self, begin: int, end: int, bits: tuple[_Bytes, ...]) -> None:
        """Write the packed bits of the positives and of the negatives of some rows."""
        kernels_of(self.x).pack_roles(self.shape, self.roles.options(), (begin, end), *bits)

    def keep(
        self,
        band: Band,
        rows: tuple[int, int],
        kept: _Bytes,
        watcher: Progress,
        *,
        held: int = 0,
        offsets: _Ints | None = None,
    ) -> None:
        """Write the packed bits of the negatives in the band, for some rows, or for each positive of these.

        The caller holds `held` bytes of the scratch.
        """
        self._call(band, rows, None, offsets, kept, watcher, held)

    def best(self, band: Band, which: str, watcher: Progress, offsets: _Ints | None = None) -> Found:
        """Return the references, and the "nearest" or "farthest" negative in the band of each, with their scores."""
        return self._call(band, (0, len(self.x)), which, offsets, None, watcher, 0)

    def _call(
        self,
        band: Band,
        rows: tuple[int, int],
        best: str | None,
        offsets: _Ints | None,
        kept: _Bytes | None,
        watcher: Progress,
        held: int,
    ) -> Found:
        report = watcher.part((rows[1] - rows[0]) * len(self.y))
        with beside(held):
            found = kernels_of(self.x).mine_band(
                *(self.x, self.y, self.metric, self.roles.options(), rows, band.reference),
                limits=(band.lower, band.upper),
                closed=band.closed,
                best=best,
                offsets=offsets,
                kept=kept,
                progress=report,
                num_threads=self.resources.num_threads,
                max_memory=self.resources.max_memory,
                held=held,
            )
        watcher.end_part()
        return found  # type: ignore[no-any-return]


@contextmanager
def beside(held: int) -> Iterator[None]:
    """Let the kernel's word on too little memory count the packed bits beside it, which grow with the memory."""
    try:
        yield
    except ValueError as error:
        needed = re.search(r"needs (\d+) on one thread", str(error))
        if needed is None:
            raise
        own = int(needed[1]) - held
        text = str(error).replace(needed[1], str(max(2 * own, own + held)))
        raise ValueError(text) from None


def parse_batch(
    x: ArrayLike,
    y: ArrayLike | None,
    labels: Any,
    positives: ArrayLike | None,
    metric: str,
    num_threads: SupportsIndex | None,
    max_memory: SupportsIndex | None,
) -> Batch:
    """Check two sets of embeddings and the roles of their pairs."""
    name, resources = check_metric(metric), parse_resources(num_threads, max_memory)
    rows, columns, single = two_sets(x, y, name)
    if single:
        raise ValueError(f"x has shape ({rows.shape[1]},); pass two dimensions, a row for each embedding")
    roles = parse_roles((len(rows), len(columns)), y is None, positives, labels=labels)
    return Batch(rows, columns, name, roles, resources)
