"""All pairs of labelled rows and their scores, one by one or in bins, for the metrics in `_pairs`."""

import warnings
from dataclasses import dataclass
from typing import Any, SupportsIndex, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import ArrayLike, array_of, gpu_call, kernels_of, library_of
from fastpair._embeddings import are_largest_best, check_count, check_flag, check_metric, two_sets
from fastpair._progress import Progress
from fastpair._validate import check_num_threads
from fastpair.errors import UndefinedMetricWarning

__all__ = ["Pairs"]

_Array: TypeAlias = npt.NDArray[Any]
_Floats: TypeAlias = npt.NDArray[np.float64]
_Ints: TypeAlias = npt.NDArray[np.int64]

MOST_PAIRS = 1 << 20
"""Pairs that are scored one by one unless `exact` says otherwise: 1448 rows, at most 60 MiB."""

MOST_CELLS = 1 << 19
"""Scores of a block of rows: 4 MiB."""

NO_RULES = {"offset": 0, "mask": None, "exclude": None, "labels": None, "min_score": None, "max_score": None, "held": 0}


@dataclass(frozen=True)
class Pairs:
    """All pairs of two different rows, and how to score them."""

    x: _Array
    codes: _Ints
    metric: str
    exact: bool
    bins: int
    num_threads: int | None

    @classmethod
    def parse(
        cls,
        x: ArrayLike,
        labels: ArrayLike,
        metric: str,
        exact: bool | None,
        bins: SupportsIndex,
        num_threads: SupportsIndex | None,
    ) -> "Pairs":
        """Check the arguments."""
        name, threads = check_metric(metric), check_num_threads(num_threads)
        number = check_count(bins, "bins", 1)
        if exact is not None:
            check_flag(exact, "exact", "True, False or None, which goes by the number of pairs")
        rows, _, _ = two_sets(x, None, name)
        few = len(rows) * (len(rows) - 1) // 2 <= MOST_PAIRS
        return cls(rows, _codes(labels, len(rows)), name, few if exact is None else bool(exact), number, threads)

    def numbers(self, *values: Any) -> tuple[Any, ...]:
        """Return numbers as the caller gets them: of numpy, or as arrays without dimensions on the device."""
        library = library_of(self.x)
        return tuple(np.float64(value) if library is np else library.asarray(value, np.float64) for value in values)

    @property
    def largest(self) -> bool:
        """Whether the larger scores are the more positive."""
        return are_largest_best(self.metric, None)

    @property
    def total(self) -> int:
        """How many pairs there are."""
        return len(self.x) * (len(self.x) - 1) // 2

    @property
    def work(self) -> int:
        """How many scores it takes."""
        if self.exact:
            return self.total
        return len(self.x) ** 2 * (1 if self.known_range() else 3)

    def is_undefined(self, what: str) -> bool:
        """Whether there are no pairs of a class, which is said in a warning."""
        sizes = np.bincount(self.codes)
        positives = int((sizes * (sizes - 1) // 2).sum())
        if 0 < positives < self.total:
            return False
        reason = "there are no pairs"
        if self.total:
            reason = "all labels are equal" if positives else "no two labels are equal"
        way_in = 1 if gpu_call.get() is None else 2  # `on_gpu_too`, and the door to the GPU
        message = f"{what} is undefined: {reason}; the result is NaN"
        warnings.warn(message, UndefinedMetricWarning, stacklevel=3 + way_in)
        return True

    def scores(self, progress: Progress) -> tuple[_Floats, npt.NDArray[np.bool_]]:
        """Return the score of each pair, and whether it is positive."""
        rows, filled, library = len(self.x), 0, library_of(self.x)
        scores, positive = library.empty(self.total), library.empty(self.total, np.bool_)
        step = max(1, MOST_CELLS // max(rows, 1))
        for top in range(0, rows, step):
            part = self.x[top : top + step]
            block = library.empty((len(part), rows - top))
            kernels_of(part).pairwise(part, self.x[top:], self.metric, block, True, self.num_threads)
            later = library.triu(library.ones(block.shape, np.bool_), 1)
            end = filled + len(part) * (rows - top) - len(part) * (len(part) + 1) // 2
            scores[filled:end] = block[later]
            positive[filled:end] = (self.codes[top : top + step, np.newaxis] == self.codes[top:])[later]
            progress.part(end - filled)
            progress.end_part()
            filled = end
        if np.isnan(scores).any():
            raise _overflow()
        return scores, positive

    def known_range(self) -> tuple[float, float] | None:
        """Return what scores can be, where that is known."""
        # A bin for each number of different bits.
        bits = 8 * self.x.shape[1]
        return {"cosine": (-1.0, 1.0), "jaccard": (0.0, 1.0), "hamming": (-0.5, bits + 0.5)}.get(self.metric)

    def counts(self, progress: Progress) -> tuple[_Ints, _Ints, _Floats]:
        """Return for each bin that has pairs, from the most positive on, its negatives, positives and threshold."""
        bins = 8 * self.x.shape[1] + 1 if self.metric == "hamming" else self.bins
        low, high = self.known_range() or self.observed_range(progress)
        if low == high:
            low, high = np.nextafter(low, -np.inf), np.nextafter(high, np.inf)
        if not np.isfinite(high - low):
            raise _overflow()
        found = kernels_of(self.x).histogram(
            *(self.x, self.x, self.metric, {**NO_RULES, "exclude_self": False}, low, high, bins),
            *((self.codes, self.codes), True, progress.part(len(self.x) ** 2), self.num_threads),
        )
        # A number for each bin, whose products are beyond 64 bits: Python's integers take it from here.
        counts = (found if library_of(found) is np else found.get()).astype(np.int64)
        progress.end_part()
        if counts.sum() != self.total:
            raise _overflow()
        edges = np.linspace(low, high, bins + 1)
        if self.metric == "hamming":
            edges = np.arange(bins + 1.0) - 1  # the upper edge of a bin is its distance
        held = np.flatnonzero(counts.any(axis=0))
        held = held[::-1] if self.largest else held
        return counts[0, held], counts[1, held], edges[held if self.largest else held + 1]

    def observed_range(self, progress: Progress) -> tuple[float, float]:
        """Return the smallest and the largest score of two different rows."""
        ends = []
        for largest in (False, True):
            start = -np.inf if largest else np.inf
            full = library_of(self.x).full
            scores, indices = full((len(self.x), 1), start), full((len(self.x), 1), -1, np.int64)
            rules, report = {**NO_RULES, "exclude_self": True}, progress.part(len(self.x) ** 2)
            args = (self.x, self.x, self.metric, largest, rules, scores, indices, report, self.num_threads)
            kernels_of(self.x).topk(*args)
            progress.end_part()
            ends.append(float(scores.max() if largest else scores.min()))
        if not np.isfinite(ends).all():
            raise _overflow()
        return ends[0], ends[1]


def _codes(labels: ArrayLike, rows: int) -> _Ints:
    """Return codes of the labels, equal where the labels are."""
    array = array_of(labels, "labels")
    if array.shape != (rows,):
        raise ValueError(f"labels has shape {array.shape}; pass one label for each of the {rows} rows of x")
    if not rows:
        return np.empty(0, np.int64)
    kind = array.dtype.kind
    if kind == "O" or array.dtype.kind == "T":
        values, seen = array.tolist(), dict[Any, int]()
        try:
            codes = np.array([seen.setdefault(value, len(seen)) for value in values], np.int64)
        except TypeError as error:
            raise TypeError(f"labels holds what cannot be compared ({error}); pass integers or strings") from error
        missing = np.array([value is None or bool(value != value) for value in values])
    elif kind in "biufSUmM":
        codes = np.unique(array, return_inverse=True)[1].astype(np.int64, copy=False).reshape(rows)
        missing = array != array
    else:
        raise TypeError(f"labels has dtype {array.dtype}; pass integers or strings, one for each row of x")
    if missing.any():
        place = int(missing.argmax())
        raise ValueError(f"labels is {array[place]} at index {place}; drop the rows without a label")
    return codes


def _overflow() -> ValueError:
    return ValueError("x has scores that are infinite or not a number; divide x by its largest magnitude")
