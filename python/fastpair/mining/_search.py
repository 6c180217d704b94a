"""Mining in blocks of rows: search with the rules inside, choose among what was found, fill what is short.

A block holds the candidates of its rows only. Each row is mined by itself, so the result does not depend on the blocks.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import kernels_of, library_of
from fastpair._progress import Progress
from fastpair._validate import Resources
from fastpair.mining._formats import owners_of
from fastpair.mining._positives import Positives
from fastpair.mining._rules import Margins, Plan, Teacher
from fastpair.mining._sources import Places, Source, part_of
from fastpair.mining._streams import distinct_ranks, heaviest
from fastpair.similarity._admission import Admission
from fastpair.similarity._search import empty_topk

__all__ = ["CorpusMiner", "Mined", "order_by"]

_Array: TypeAlias = npt.NDArray[Any]
_Floats: TypeAlias = npt.NDArray[np.float64]
_Ints: TypeAlias = npt.NDArray[np.int64]
_Bools: TypeAlias = npt.NDArray[np.bool_]

ROW_BYTES = 128
"""Bytes of limits, positive scores and counts of a row."""
OTHER = {"min": "max", "max": "min"}
PLACE_BYTES, CHOICE_BYTES = 16, 64
"""Bytes of a candidate, and of all that is made of it where candidates are sampled or scored again."""


@dataclass
class Mined:
    """What was mined for each row, and how much of it was dropped by which rule or filled without rules."""

    indices: _Ints
    scores: _Floats
    positive_scores: _Floats
    counts: _Ints
    beyond: list[Any] = field(default_factory=lambda: [0, 0, 0])
    relaxed: int = 0


@dataclass(frozen=True)
class CorpusMiner:
    """All that rows need to be mined."""

    source: Source
    positives: Positives
    admission: Admission
    plan: Plan
    margins: Margins
    teacher: Teacher | None
    resources: Resources

    @property
    def rows(self) -> int:
        """How many rows the result has."""
        return len(self.positives.columns) if self.plan.positive == "own" else self.source.shape[0]

    @property
    def library(self) -> Any:
        """What makes the arrays of results: numpy or cupy."""
        return library_of(self.positives.starts)

    @property
    def largest(self) -> bool:
        """Whether the largest scores are the closest."""
        return self.source.largest or self.teacher is not None

    def run(self, watcher: Progress) -> Mined:
        """Mine all rows."""
        library = self.library
        scores, indices = empty_topk(self.rows, self.plan.k, self.largest, library)
        mined = Mined(indices, scores, library.empty(self.rows), library.zeros(self.rows, np.int64))
        places = 0 if self.plan.direct else self.plan.pool
        size = ROW_BYTES + places * PLACE_BYTES
        if self.plan.positive == "own":
            size += self.source.row_bytes()
        if not self.plan.direct:
            size += places * CHOICE_BYTES if self.plan.streams or self.teacher else self.plan.k * CHOICE_BYTES
        for begin, end in self._blocks(self.rows, size):
            self._mine(begin, end, mined, watcher, (end - begin) * size)
        return mined

    def _blocks(self, rows: int, size: int) -> Iterator[tuple[int, int]]:
        """Ranges of rows that together take up to half of the scratch."""
        step = min(self.resources.pieces(max(rows, 1), size), max(1, self.resources.scratch // 2 // size))
        for begin in range(0, rows, step):
            yield begin, min(begin + step, rows)

    def _mine(self, begin: int, end: int, mined: Mined, watcher: Progress, held: int) -> None:
        """Mine the rows from begin to end."""
        part = slice(begin, end)
        queries = self.positives.owners[part] if self.plan.positive == "own" else part
        references = mined.positive_scores[part] = self._references(begin, end)
        ceilings = self.margins.ceilings(references if self.largest else -references, queries)
        near = None if ceilings is None else ceilings[0]
        far = None if self.margins.far is None else self.margins.far[queries]
        if self.plan.direct:
            scores, indices = mined.scores[part], mined.indices[part]
        else:
            scores, indices = empty_topk(end - begin, self.plan.pool, self.source.largest, self.library)
        if self.teacher is None:
            above = self._find(queries, near, far, scores, indices, watcher, held)
            valid = np.count_nonzero(indices >= 0, axis=1)
        else:
            self.source.search(queries, part_of(self.admission, queries), scores, indices, None, watcher, held)
            scores, indices, valid, above = self._scored_again(queries, scores, indices, near, far)
        if ceilings is not None:
            mined.beyond = [own + (above * (ceilings[1] == rule)).sum() for rule, own in enumerate(mined.beyond)]
        if self.plan.direct:
            mined.counts[part] = valid
        else:
            self._choose(begin, end, scores, indices, valid, mined)
        if not self.plan.relax or not self.margins.any:
            return
        room = (mined.scores[part], mined.indices[part], mined.counts[part])
        if self.teacher is None:
            mined.relaxed += self._relax(room, queries, valid, near, far, held)
            return
        # Candidates that break a rule follow those that do not.
        short = np.flatnonzero(room[2] < self.plan.k)
        breaking = (self.library.arange(indices.shape[1]) >= valid[short][:, np.newaxis]) & (indices[short] >= 0)
        mined.relaxed += _fill(room, short, scores[short], indices[short], breaking)

    def _find(
        self,
        queries: Places,
        near: _Floats | None,
        far: _Floats | None,
        scores: _Floats,
        indices: _Ints,
        watcher: Progress,
        held: int,
    ) -> _Ints:
        """Search with the limits inside; return how many pairs of each row the nearer limit drops."""
        sign, above = 1.0 if self.largest else -1.0, self.library.zeros(len(scores), np.int64)
        # Rows whose limits leave no room are searched for the sake of the counts, without the farther limit.
        vain = near < far if near is not None and far is not None else self.library.zeros(len(scores), np.bool_)
        lowest = None if far is None else sign * np.where(vain, -np.inf, far)
        highest = None if near is None else sign * near
        rules = replace(
            part_of(self.admission, queries),
            min_score=lowest if self.largest else highest,
            max_score=highest if self.largest else lowest,
        )
        self.source.search(queries, rules, scores, indices, None if near is None else above, watcher, held)
        indices[vain], scores[vain] = -1, -sign * np.inf
        return above  # type: ignore[no-any-return]

    def _relax(
        self,
        room: tuple[_Floats, _Ints, _Ints],
        queries: Places,
        valid: _Ints,
        near: _Floats | None,
        far: _Floats | None,
        held: int,
    ) -> int:
        """Fill rows that are short with the closest that break a limit; return how many."""
        counts, sign, filled = room[2], 1.0 if self.largest else -1.0, 0
        short = np.flatnonzero(counts < self.plan.k)
        size = 2 * self.source.row_bytes() + (self.plan.low + 2 * self.plan.k) * 4 * PLACE_BYTES
        for begin, end in self._blocks(len(short), size):
            part = short[begin:end]
            rows = queries.start + part if isinstance(queries, slice) else queries[part]
            # All that are admissible may be among the closest, and are passed over.
            most = int((valid[part] + self.plan.k - counts[part]).max())
            scores, indices = empty_topk(len(part), most, self.largest, self.library)
            rules = part_of(self.admission, rows)
            self.source.search(rows, rules, scores, indices, None, Progress(None, 0), held + (end - begin) * size)
            breaking = self.library.zeros(scores.shape, np.bool_)
            if near is not None:
                breaking |= sign * scores > near[part][:, np.newaxis]
            if far is not None:
                breaking |= sign * scores < far[part][:, np.newaxis]
            filled += _fill(room, part, scores, indices, breaking & (indices >= 0))
        return filled

    def _references(self, begin: int, end: int) -> _Floats:
        """Return the score of the positive that stands for all of a row."""
        score = self.source.pair_scores if self.teacher is None else self.teacher.scores
        if self.plan.positive == "own":
            return score(self.positives.owners[begin:end], self.positives.columns[begin:end])
        starts, columns = self.positives.lists
        starts = starts[begin : end + 1]
        columns = columns[int(starts[0]) : int(starts[-1])]
        starts = starts - starts[0]
        owners = owners_of(starts, len(columns))
        scores = score(owners + begin, columns)
        if not isinstance(scores, np.ndarray):
            # The least close one has the largest of distances.
            which = self.plan.positive if self.largest or self.plan.positive == "mean" else OTHER[self.plan.positive]
            return kernels_of(scores).score_of_lists(starts, scores, which)
        lengths = np.diff(starts)
        result = np.full(end - begin, np.nan)
        some = lengths > 0
        if self.plan.positive == "mean":
            # One after the other, ascending.
            result[some] = np.bincount(owners, scores, end - begin)[some] / lengths[some]
        elif some.any():
            # The least close one has the largest of distances.
            least = np.fmin if (self.plan.positive == "min") == self.largest else np.fmax
            result[some] = least.reduceat(scores, starts[:-1][some])
        return result

    def _scored_again(
        self, queries: Places, scores: _Floats, indices: _Ints, near: _Floats | None, far: _Floats | None
    ) -> tuple[_Floats, _Ints, _Ints, _Ints]:
        """Return the candidates by the scores of the teacher, admissible ones first, and how many those are.

        Last comes how many are closer than a row admits.
        """
        assert self.teacher is not None
        library = self.library
        numbers_of_rows = library.arange(queries.start, queries.stop) if isinstance(queries, slice) else queries
        found = indices >= 0
        owners = numbers_of_rows[np.nonzero(found)[0]]
        scores[:] = -np.inf
        scores[found] = self.teacher.scores(owners, indices[found])
        beyond = found & (scores > near[:, np.newaxis]) if near is not None else np.zeros_like(found)
        dropped = beyond | (scores < far[:, np.newaxis]) if far is not None else beyond
        order = order_by(indices, -scores, np.where(found, dropped, 2))
        scores, indices = np.take_along_axis(scores, order, 1), np.take_along_axis(indices, order, 1)
        return scores, indices, np.count_nonzero(found & ~dropped, axis=1), np.count_nonzero(beyond, axis=1)

    def _choose(self, begin: int, end: int, scores: _Floats, indices: _Ints, valid: _Ints, mined: Mined) -> None:
        """Take k of the ranks of each row, best first."""
        low, high, k = self.plan.low, self.plan.high, self.plan.k
        sizes = np.clip(valid - low, 0, high - low if self.plan.streams else None)
        if self.plan.streams is None:
            ranks = np.broadcast_to(self.library.arange(k), (end - begin, k))
            ranks = np.where(ranks < sizes[:, np.newaxis], ranks, -1)
        else:
            rows = self.library.arange(begin, end)
            if self.plan.sample == "random":
                ranks = distinct_ranks(self.plan.streams, rows, sizes, k)
            else:
                weights = self._log_weights(scores[:, low:high], sizes)
                ranks = heaviest(self.plan.streams, rows, weights, k)[0]
            # Best first; what is missing comes last.
            ranks = np.sort(np.where(ranks < 0, np.iinfo(np.int64).max, ranks), axis=1)
            ranks[ranks == np.iinfo(np.int64).max] = -1
        rows, places = np.nonzero(ranks >= 0)
        taken = low + ranks[rows, places]
        mined.scores[begin + rows, places] = scores[rows, taken]
        mined.indices[begin + rows, places] = indices[rows, taken]
        mined.counts[begin:end] = np.count_nonzero(ranks >= 0, axis=1)

    def _log_weights(self, scores: _Floats, sizes: _Ints) -> _Floats:
        """Return the logarithms of what candidates are drawn in proportion to, 0 for the closest one of a row."""
        closeness = scores if self.largest else -scores
        with np.errstate(invalid="ignore"):
            weights = (closeness - closeness[:, :1]) / self.plan.temperature
        weights[np.isnan(weights)] = 0.0  # infinite like the closest
        weights[self.library.arange(scores.shape[1]) >= sizes[:, np.newaxis]] = -np.inf
        return weights


def _fill(
    room: tuple[_Floats, _Ints, _Ints], rows: _Ints, more_scores: _Floats, more_indices: _Ints, breaking: _Bools
) -> int:
    """Append the first of those that break a rule to rows that are short; return how many."""
    scores, indices, counts = room
    places = np.cumsum(breaking, axis=1) - 1 + counts[rows][:, np.newaxis]
    entered = breaking & (places < scores.shape[1])
    own, taken = np.nonzero(entered)
    places = places[own, taken]
    scores[rows[own], places], indices[rows[own], places] = more_scores[own, taken], more_indices[own, taken]
    counts[rows] += np.count_nonzero(entered, axis=1)
    return len(own)


def order_by(*keys: _Array) -> _Ints:
    """Return the order of each row by the last of the keys, equal ones by those before."""
    if isinstance(keys[0], np.ndarray):
        return np.lexsort(keys, axis=-1)
    order = np.argsort(keys[0], axis=-1, kind="stable")
    for key in keys[1:]:
        order = np.take_along_axis(order, np.argsort(np.take_along_axis(key, order, -1), axis=-1, kind="stable"), -1)
    return order
