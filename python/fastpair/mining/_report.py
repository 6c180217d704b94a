"""How much of a corpus was mined, and which rule dropped how much of the rest: `MiningReport`."""

from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import library_of
from fastpair.mining._formats import owners_of
from fastpair.mining._positives import Lists, Positives
from fastpair.mining._search import Mined
from fastpair.similarity._admission import Admission

__all__ = ["MiningReport", "count_dropped", "report_of"]

_Array: TypeAlias = npt.NDArray[Any]
_Ints: TypeAlias = npt.NDArray[np.int64]


class MiningReport(NamedTuple):
    """Counts of what `hard_negatives` found and dropped.

    A pair that several rules drop counts for the first of them, in the order of the fields; of the three that limit how
    close a negative may be, for the strictest of its row.
    """

    queries: int
    """Rows of queries."""
    rows: int
    """Rows of the result: as many, or the number of positives with ``positive="own"``."""
    k: int
    """Negatives asked for in each row."""
    mined: int
    """Negatives found in all rows, with relaxed ones."""
    short: int
    """Rows that have fewer than k in the end."""
    relaxed: int
    """Negatives that break a limit or a margin, taken by ``fallback="relax"``."""
    positives: int
    """Pairs dropped because they are positive."""
    exclude: int
    """Pairs dropped by `exclude`."""
    labels: int
    """Pairs dropped because their labels are equal."""
    duplicates: int
    """Pairs dropped by ``duplicates="drop"``."""
    max_score: int
    """Pairs dropped by `max_score`; for a distance, by `min_score`."""
    abs_margin: int
    """Pairs dropped by `abs_margin`."""
    rel_margin: int
    """Pairs dropped by `rel_margin`."""

    def __str__(self) -> str:
        """Say it in words."""
        rows = "" if self.rows == self.queries else f" ({_some(self.rows, 'row', 'rows')})"
        text = f"{_some(self.mined, 'negative', 'negatives')} for {_some(self.queries, 'query', 'queries')}{rows}"
        text += f", {self.k} each; {_some(self.short, 'row is', 'rows are') if self.short else 'no row is'} short"
        if self.relaxed:
            text += f"; {_some(self.relaxed, 'breaks', 'break')} a rule"
        dropped = [
            f"{count:,} {words}"
            for count, words in (
                (self.positives, "positive"),
                (self.exclude, "excluded"),
                (self.labels, "of the same label"),
                (self.duplicates, "duplicate"),
                (self.max_score, "beyond the limit of the score"),
                (self.abs_margin, "within abs_margin"),
                (self.rel_margin, "within rel_margin"),
            )
            if count
        ]
        return text + "\ndropped pairs: " + (", ".join(dropped) if dropped else "none")


def _some(count: int, one: str, many: str) -> str:
    return f"{count:,} {one if count == 1 else many}"


def count_dropped(
    positives: Positives,
    excluded: Lists,
    admission: Admission,
    first: _Ints | None,
    times: _Ints | None,
) -> dict[str, int]:
    """Count the pairs that lists, labels and duplicates drop.

    `excluded` are the positives and what the caller excludes, `admission.exclude` these and what is equal to positives;
    `first` has the first equal row of each. Row i counts `times[i]` times, or once.
    """
    starts, listed = excluded
    weights: _Ints = np.ones_like(starts[1:]) if times is None else times
    lengths, longer = np.diff(positives.lists[0]), np.diff(excluded[0])
    counts = {"positives": int((weights * lengths).sum()), "exclude": int((weights * (longer - lengths)).sum())}
    x_labels, y_labels = admission.x_labels, admission.y_labels
    copies = None if first is None else first != library_of(first).arange(len(first))
    counts["labels"] = counts["duplicates"] = 0
    owners = owners_of(starts, len(listed))
    if x_labels is not None and y_labels is not None:
        alike = _of_label(x_labels, y_labels) - _count(starts, x_labels[owners] == y_labels[listed])
        counts["labels"] = int((weights * alike).sum())
    if copies is None or admission.exclude is None:
        return counts
    # Copies that no list names and no label drops.
    dropped = np.count_nonzero(copies) - _count(starts, copies[listed])
    all_starts, columns = admission.exclude
    others, own = np.ones_like(columns, np.bool_), np.ones_like(listed, np.bool_)
    if x_labels is not None and y_labels is not None:
        dropped -= _of_label(x_labels, y_labels[copies])
        own = x_labels[owners] != y_labels[listed]
        dropped += _count(starts, copies[listed] & ~own)
        others = x_labels[owners_of(all_starts, len(columns))] != y_labels[columns]
    # And the first rows that are equal to positives.
    dropped += _count(all_starts, others & ~copies[columns]) - _count(starts, own & ~copies[listed])
    counts["duplicates"] = int((weights * dropped).sum())
    return counts


def report_of(mined: Mined, queries: int, dropped: dict[str, int]) -> MiningReport:
    """Put the counts together."""
    rows, k = mined.indices.shape
    limit, absolute, relative = (int(count) for count in mined.beyond)
    return MiningReport(
        queries=queries,
        rows=rows,
        k=k,
        mined=int(mined.counts.sum()),
        short=int(np.count_nonzero(mined.counts < k)),
        relaxed=mined.relaxed,
        **dropped,
        max_score=limit,
        abs_margin=absolute,
        rel_margin=relative,
    )


def _of_label(x_labels: _Ints, y_labels: _Ints) -> _Ints:
    """Return how many of y have the label of each of x."""
    ascending = np.sort(y_labels)
    return np.searchsorted(ascending, x_labels, "right") - np.searchsorted(ascending, x_labels, "left")


def _count(starts: _Ints, which: npt.NDArray[np.bool_]) -> _Ints:
    """Return how many of the elements of each row are chosen."""
    before: _Ints = np.zeros_like(starts, shape=len(which) + 1)
    before[1:] = np.cumsum(which)
    return np.diff(before[starts])
