"""What may be mined: the closest scores that each row admits, by limits, by margins to its positives, by a teacher.

Closeness is the score of a similarity and minus the score of a distance, so that larger is always closer.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, SupportsIndex, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import ArrayLike, library_of
from fastpair._embeddings import check_count, numbers
from fastpair._validate import check_choice, check_number
from fastpair.mining._streams import Streams
from fastpair.similarity._admission import per_row

__all__ = ["Margins", "Plan", "Range", "Teacher", "TeacherLike", "parse_margins", "parse_plan", "parse_teacher"]

_Array: TypeAlias = npt.NDArray[Any]
_Floats: TypeAlias = npt.NDArray[np.float64]
_Ints: TypeAlias = npt.NDArray[np.int64]
Range: TypeAlias = tuple[SupportsIndex, SupportsIndex | None]
TeacherLike: TypeAlias = ArrayLike | Callable[[_Ints, _Ints], ArrayLike]
LIMIT, ABSOLUTE, RELATIVE = range(3)
"""The rules that can set the closest admissible score of a row."""


@dataclass(frozen=True)
class Margins:
    """How close a negative may be: in closeness, for all rows or one of each, None for no limit."""

    near: _Floats | None = None
    far: _Floats | None = None
    absolute: float | None = None
    relative: float | None = None

    @property
    def any(self) -> bool:
        """Whether there is a rule."""
        return any(rule is not None for rule in (self.near, self.far, self.absolute, self.relative))

    def ceilings(self, closeness: _Floats, queries: slice | _Ints) -> tuple[_Floats, _Ints] | None:
        """Return the closest admissible of each row, given the closeness of its positive, and the rule that set it."""
        rules = []
        if self.near is not None:
            rules.append((self.near[queries], LIMIT))
        with np.errstate(invalid="ignore"):
            if self.absolute is not None:
                rules.append((closeness - self.absolute, ABSOLUTE))
            if self.relative is not None:
                rules.append((closeness - np.abs(closeness) * self.relative, RELATIVE))
        if not rules:
            return None
        nearest = np.full_like(closeness, np.inf)
        rule = np.zeros_like(closeness, np.int64)
        for limit, which in rules:
            stricter = limit < nearest  # never of a row without a positive, whose margins are NaN
            nearest, rule = np.where(stricter, limit, nearest), np.where(stricter, which, rule)
        return nearest, rule


def parse_margins(
    rows: int,
    largest: bool,
    metric: str | None,
    min_score: ArrayLike | None,
    max_score: ArrayLike | None,
    abs_margin: float | None,
    rel_margin: float | None,
) -> Margins:
    """Check the limits of scores and the margins; `metric` is None where scores may be anything."""
    low = None if min_score is None else per_row(min_score, rows, "min_score")
    high = None if max_score is None else per_row(max_score, rows, "max_score")
    if rows and low is not None and high is not None and (low > high).all():
        raise ValueError(
            f"min_score={float(low.min()):g} is above max_score={float(high.max()):g} for each row; no score is "
            f"between them"
        )
    least, most = (-1.0, 1.0) if metric == "cosine" else (-np.inf, np.inf)
    if metric is not None and not largest:
        least = 0.0
    if rows and low is not None and low.min() > most:
        raise ValueError(
            f"min_score={float(low.min()):g} is above all scores: those of {metric!r} are at most {most:g}"
        )
    if rows and high is not None and high.max() < least:
        raise ValueError(
            f"max_score={float(high.max()):g} is below all scores: those of {metric!r} are at least {least:g}"
        )
    near, far = (high, low) if largest else (low, high)
    return Margins(
        near=near if largest or near is None else -near,
        far=far if largest or far is None else -far,
        absolute=_parse_margin(abs_margin, "abs_margin"),
        relative=_parse_margin(rel_margin, "rel_margin"),
    )


def _parse_margin(margin: float | None, argument: str) -> float | None:
    """Return a margin; -inf is none, as it admits everything."""
    if margin is None or (not isinstance(margin, str) and np.ndim(margin) == 0 and margin == -np.inf):
        return None
    return check_number(margin, argument)


@dataclass(frozen=True)
class Plan:
    """Which of the admissible candidates of a row are taken: k of the ranks from `low` to `high`."""

    k: int
    low: int
    high: int
    sample: str
    temperature: float
    relax: bool
    positive: str
    streams: Streams | None
    candidates: int | None
    """How many of the closest a teacher scores; None without one."""

    @property
    def pool(self) -> int:
        """How many of the closest are looked at."""
        if self.candidates is not None:
            return self.candidates
        return self.high if self.streams is not None else self.low + self.k

    @property
    def direct(self) -> bool:
        """Whether the closest are the result."""
        return self.low == 0 and self.streams is None and self.candidates is None


def parse_plan(
    k: SupportsIndex,
    ranks: Range,
    columns: int,
    *,
    sample: Literal["top", "random", "softmax"],
    temperature: float,
    fallback: str,
    positive: str,
    seed: Any,
    with_teacher: bool,
    argument: str = "range",
) -> Plan:
    """Check how candidates become negatives."""
    count = check_count(k, "k", 1)
    if not isinstance(ranks, (tuple, list)) or len(ranks) != 2:
        raise TypeError(f"{argument} must be a tuple (lo, hi) of ranks, hi may be None; not {ranks!r}")
    low = check_count(ranks[0], f"{argument}[0]", 0)
    if low >= columns:
        raise ValueError(f"{argument}[0]={low} skips all of the {columns} rows that there are; begin earlier")
    check_choice(sample, "sample", ("top", "random", "softmax"))
    check_choice(fallback, "fallback", ("short", "relax"))
    check_choice(positive, "positive", ("min", "mean", "max", "own"))
    if ranks[1] is None:
        high = low + max(10 * count, 100)
    else:
        high = check_count(ranks[1], f"{argument}[1]", 0)
        if high <= low:
            raise ValueError(
                f"{argument}=({low}, {high}) has no rank: ranks begin at the first and end before the last"
            )
        if count > high - low:
            raise ValueError(
                f"k={count} negatives do not fit into the {high - low} ranks of {argument}=({low}, {high})"
            )
    high = max(min(high, columns), low)
    return Plan(
        count,
        low,
        high,
        sample,
        check_number(temperature, "temperature", above=0),
        fallback == "relax",
        positive,
        None if sample == "top" else Streams(seed),
        max(high, 1) if with_teacher else None,
    )


class Teacher:
    """Scores of pairs that a better model gives, larger is closer."""

    def __init__(self, teacher: TeacherLike, shape: tuple[int, int]) -> None:
        self._call: Callable[[_Ints, _Ints], ArrayLike] | None = None
        self._matrix: _Array | None = None
        if callable(teacher) and not hasattr(teacher, "__array__"):
            self._call = teacher
            return
        self._matrix = numbers(teacher, "teacher", "dot")
        if self._matrix.shape != shape:
            raise ValueError(
                f"teacher has shape {self._matrix.shape}; pass shape {shape}, a score for each pair, or a function of "
                f"the indices of queries and of rows of the corpus"
            )

    def scores(self, rows: _Ints, columns: _Ints) -> _Floats:
        """Return the scores of pairs."""
        if not len(rows):
            return library_of(rows).zeros(0)  # type: ignore[no-any-return]
        if self._call is not None:
            values = numbers(self._call(rows, columns), "the result of teacher", "dot")
            if values.shape != rows.shape:
                raise ValueError(
                    f"teacher returned shape {values.shape} for {len(rows)} pairs; return one score for each pair"
                )
        else:
            assert self._matrix is not None
            values = self._matrix[rows, columns]
        scores = values.astype(np.float64, copy=False)
        if np.isnan(scores).any():
            place = int(np.isnan(scores).argmax())
            raise ValueError(
                f"teacher is nan for query {rows[place]} and row {columns[place]} of the corpus; return numbers"
            )
        return scores


def parse_teacher(teacher: TeacherLike | None, shape: tuple[int, int]) -> Teacher | None:
    """Check a teacher, if there is one."""
    return None if teacher is None else Teacher(teacher, shape)
