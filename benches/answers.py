"""How answers are compared, and the truth of a search."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from adapters import Answer
from benchmarks.embeddings import Array, Embeddings

# Scores in float64 that exist at a time.
CELLS = 1 << 24


@dataclass(frozen=True)
class Check:
    """A measure of how far an answer is from the right one, and the words for it."""

    difference: Callable[[Answer, Answer], float]
    words: str

    def describe(self, difference: float, tolerance: float) -> str:
        """Say it in a cell of a table."""
        return "same" if difference <= tolerance else f"**{self.words.format(difference)}**"


def largest_difference(answer: Answer, reference: Answer) -> float:
    """Return the largest difference of two areas, arrays of areas, or areas of groups."""
    if isinstance(reference, tuple):
        ids, areas = reference
        if not isinstance(answer, tuple):
            # The mean over groups, in which a group of one class counts 0.
            return abs(float(answer) - float(np.nan_to_num(areas).mean()))
        order, own_order = np.argsort(ids), np.argsort(answer[0])
        if not np.array_equal(ids[order], answer[0][own_order]):
            return math.inf
        return largest_difference(answer[1][own_order], areas[order])
    answer, reference = np.asarray(answer), np.asarray(reference)
    if answer.dtype.kind == "u" or answer.shape != reference.shape:
        return 0.0 if np.array_equal(answer, reference) else math.inf
    gaps = np.atleast_1d(np.abs(answer - reference))
    gaps[np.isnan(answer) & np.isnan(reference)] = 0
    return float(np.nan_to_num(gaps, nan=math.inf).max(initial=0))


def relative_difference(answer: Answer, reference: Answer) -> float:
    """Return the largest difference of two matrices, as a share of the largest entry."""
    answer, reference = np.asarray(answer, np.float64), np.asarray(reference, np.float64)
    return largest_difference(answer, reference) / (float(np.abs(reference).max(initial=0)) or 1.0)


def largest_of_parts(answer: Answer, reference: Answer) -> float:
    """Compare a value and its gradients, each relative to its own largest entry."""
    if len(answer) != len(reference):
        return math.inf
    return max(relative_difference(part, right) for part, right in zip(answer, reference, strict=True))


def wrong_rows(answer: Answer, reference: Answer) -> float:
    """Count the rows whose lists of indices differ."""
    if answer.shape != reference.shape:
        return math.inf
    return float(np.count_nonzero((answer != reference).any(axis=1)))


AREAS = Check(largest_difference, "differs by {:.1g}")
MATRIX = Check(relative_difference, "differs by {:.1g} of the largest")
GRADIENTS = Check(largest_of_parts, "differs by {:.1g} of the largest")
LISTS = Check(wrong_rows, "rows that differ: {:.0f}")


def true_indices(data: Embeddings) -> Array:
    """Rank all scores in float64, equal ones by the lowest index."""
    rows, columns, _ = contenders(data)
    starts = np.searchsorted(rows, np.arange(len(data.x)))
    return columns[starts[:, np.newaxis] + np.arange(data.k)]


def contenders(data: Embeddings, slack: float = 0.0) -> tuple[Array, Array, Array]:
    """Find the pairs whose score in float64 is among the best of a row of x, or at most so much less.

    Returns the rows of x, those of the corpus and the scores, ordered by row, then score, then the lowest index.
    """
    queries = _as_float64(data.x, data)
    corpus = data.corpus
    floor = np.full(len(queries), -np.inf)
    found = []
    step = max(data.k, CELLS // len(queries))
    for begin in range(0, len(corpus), step):
        scores = queries @ _as_float64(corpus[begin : begin + step], data).T
        _forbid(scores, data, begin)
        if scores.shape[1] >= data.k:
            np.maximum(floor, np.partition(scores, -data.k, axis=1)[:, -data.k], out=floor)
        rows, columns = np.nonzero((scores >= floor[:, np.newaxis] - slack) & (scores > -np.inf))
        found.append((rows, columns + begin, scores[rows, columns]))
    rows, columns, scores = (np.concatenate(parts) for parts in zip(*found, strict=True))
    order = np.lexsort((columns, -scores, rows))
    rows, columns, scores = rows[order], columns[order], scores[order]
    starts = np.searchsorted(rows, np.arange(len(queries)))
    worst = scores[starts + data.k - 1]
    kept = scores >= worst[rows] - slack
    return rows[kept], columns[kept], scores[kept]


def _as_float64(rows: Array, data: Embeddings) -> Array:
    """Rows whose products rank as the metric does: bits become signs."""
    if data.metric == "hamming":
        return 2.0 * np.unpackbits(rows, axis=1) - 1
    return rows.astype(np.float64)


def _forbid(scores: Array, data: Embeddings, begin: int) -> None:
    """Take out the pairs that do not count, in columns `begin` and up."""
    end = begin + scores.shape[1]
    if data.mask is not None:
        scores[~np.unpackbits(data.mask, axis=1).view(np.bool_)[:, begin:end]] = -np.inf
    forbidden = np.arange(len(scores))[:, np.newaxis] if data.y is None else data.exclude
    if forbidden is not None:
        rows, places = np.nonzero((forbidden >= begin) & (forbidden < end))
        scores[rows, forbidden[rows, places] - begin] = -np.inf
