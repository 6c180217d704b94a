"""The rules of `false_negative_filter`, applied to blocks of rows."""

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair.mining._iqr_filter import index_quantile, whiskers
from fastpair.mining._pair_roles import PairRoles

__all__ = ["Codes", "Rules"]

_Array: TypeAlias = npt.NDArray[Any]
_Floats: TypeAlias = npt.NDArray[np.float64]
_Ints: TypeAlias = npt.NDArray[np.int64]
_Bools: TypeAlias = npt.NDArray[np.bool_]
Codes: TypeAlias = tuple[_Ints, _Ints]


@dataclass(frozen=True)
class Rules:
    """The rules of a call, checked; limits are one number for each row."""

    roles: PairRoles
    reference: _Floats | None
    positive: str
    max_score: _Floats | None
    abs_margin: float
    rel_margin: float
    judge: _Array | None
    low: _Floats | None
    high: _Floats | None
    floor: float | None
    facts: tuple[Codes, ...]
    clusters: Codes | None
    quantile: float | None
    iqr: float | None
    least: int

    def apply(self, rows: slice, scores: _Floats, keep: _Bools) -> None:
        """Fill in which pairs of a block of rows are kept."""
        bad = ~(scores < np.inf)
        if bad.any():
            row, column = divmod(int(bad.argmax()), scores.shape[1])
            raise ValueError(
                f"similarities is {scores[row, column]} at row {rows.start + row}, column {column}; pass finite "
                f"numbers, or -inf for a place without a candidate"
            )
        negative, positive = self.roles.split(rows)
        candidates = negative & (scores > -np.inf)
        possible = candidates.copy() if self.facts else candidates
        for left, right in self.facts:
            possible &= left[rows, np.newaxis] != right
        np.copyto(keep, possible)
        ceiling = self._ceiling(rows, scores, positive)
        if ceiling is not None:
            keep &= scores <= ceiling[:, np.newaxis]
        if self.floor is not None:
            keep &= scores < self.floor
        if self.clusters is not None:
            keep &= self.clusters[0][rows, np.newaxis] != self.clusters[1]
        if self.judge is not None:
            self._judge(rows, candidates, keep)
        if self.quantile is not None or self.iqr is not None:
            self._drop_outliers(scores, candidates, keep)
        if self.least:
            _give_back(scores, possible, keep, self.least)
        keep |= positive

    def _ceiling(self, rows: slice, scores: _Floats, positive: _Bools) -> _Floats | None:
        """Return the highest score that a negative of each row may have."""
        if self.max_score is None and self.abs_margin == self.rel_margin == -np.inf:
            return None
        ceiling = np.full(len(scores), np.inf) if self.max_score is None else self.max_score[rows].copy()
        if self.abs_margin == self.rel_margin == -np.inf:
            return ceiling
        reference = self._reference(rows, scores, positive)
        known = reference < np.inf
        for limit in (reference[known] - self.abs_margin, reference[known] - self._relative(reference[known])):
            ceiling[known] = np.minimum(ceiling[known], limit)
        return ceiling

    def _relative(self, reference: _Floats) -> _Floats:
        if self.rel_margin == -np.inf:  # no margin, also where the reference is 0
            return np.full(len(reference), -np.inf)
        return np.abs(reference) * self.rel_margin

    def _reference(self, rows: slice, scores: _Floats, positive: _Bools) -> _Floats:
        """Return the score of the positive of each row, inf where there is none."""
        if self.reference is not None:
            return self.reference[rows]
        missing = positive & (scores == -np.inf)
        if missing.any():
            row, column = divmod(int(missing.argmax()), scores.shape[1])
            raise ValueError(
                f"similarities is -inf at row {rows.start + row}, column {column}, which is positive; pass its score, "
                f"or positive_scores="
            )
        if self.positive == "max":
            highest = scores.max(axis=1, where=positive, initial=-np.inf)
            return np.where(positive.any(axis=1), highest, np.inf)
        if self.positive == "min":
            lowest: _Floats = scores.min(axis=1, where=positive, initial=np.inf)
            return lowest
        count = np.count_nonzero(positive, axis=1)
        sums = np.where(positive, scores, 0.0).sum(axis=1)
        means: _Floats = np.divide(sums, count, out=np.full(len(scores), np.inf), where=count > 0)
        return means

    def _judge(self, rows: slice, candidates: _Bools, keep: _Bools) -> None:
        assert self.judge is not None
        judged = np.asarray(self.judge[rows], np.float64)
        bad = np.isnan(judged) & candidates
        if bad.any():
            row, column = divmod(int(bad.argmax()), judged.shape[1])
            raise ValueError(f"judge_scores is nan at row {rows.start + row}, column {column}; pass numbers")
        if self.low is not None:
            keep &= judged >= self.low[rows, np.newaxis]
        if self.high is not None:
            keep &= judged <= self.high[rows, np.newaxis]

    def _drop_outliers(self, scores: _Floats, candidates: _Bools, keep: _Bools) -> None:
        ordered = np.sort(np.where(candidates, scores, np.inf), axis=1)
        lengths = np.count_nonzero(candidates, axis=1)
        with np.errstate(invalid="ignore"):  # rows without a candidate have no quantile, and nothing to keep
            if self.quantile is not None:
                keep &= scores <= index_quantile(ordered, lengths, self.quantile)[:, np.newaxis]
            if self.iqr is not None:
                low, high = whiskers(ordered, lengths, self.iqr)
                keep &= (scores >= low[:, np.newaxis]) & (scores <= high[:, np.newaxis])


def _give_back(scores: _Floats, possible: _Bools, keep: _Bools, least: int) -> None:
    """Keep the easiest of the possible pairs in rows that have fewer than `least`."""
    lacking = least - np.count_nonzero(keep, axis=1)
    rows = np.flatnonzero(lacking > 0)
    if not len(rows):
        return
    ranked = np.where(possible[rows] & ~keep[rows], scores[rows], np.inf)
    order = np.argsort(ranked, axis=1, kind="stable")[:, :least]
    chosen = np.arange(order.shape[1]) < lacking[rows, np.newaxis]
    chosen &= np.take_along_axis(ranked, order, axis=1) < np.inf
    places, ranks = np.nonzero(chosen)
    keep[rows[places], order[places, ranks]] = True
