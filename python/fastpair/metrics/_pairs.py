"""How well the scores of pairs of embeddings tell pairs of one label from others: `pair_auc` and `pair_eer`.

All pairs of rows are scored, but never stored together: a few pairs are scored one by one, many are counted in bins of
their scores, from which both metrics follow up to an interval that is known.
"""

import warnings
from dataclasses import dataclass
from typing import Any, NamedTuple, SupportsIndex, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair import _core
from fastpair._array import ArrayLike, array_of
from fastpair._embeddings import Metric, are_largest_best, check_count, check_flag, check_metric, two_sets
from fastpair._progress import Progress, Report
from fastpair._validate import check_num_threads
from fastpair.errors import UndefinedMetricWarning
from fastpair.metrics._auc import auc

__all__ = ["PairAuc", "PairEer", "pair_auc", "pair_eer"]

_Array: TypeAlias = npt.NDArray[Any]
_Floats: TypeAlias = npt.NDArray[np.float64]
_Ints: TypeAlias = npt.NDArray[np.int64]

MOST_PAIRS = 1 << 20
"""Pairs that are scored one by one unless `exact` says otherwise: 1448 rows, at most 60 MiB."""

MOST_CELLS = 1 << 19
"""Scores of a block of rows: 4 MiB."""

NO_RULES = {"offset": 0, "mask": None, "exclude": None, "labels": None, "min_score": None, "max_score": None, "held": 0}


class PairAuc(NamedTuple):
    """The area, and the ends of an interval that holds the exact one; all equal where it is exact."""

    auc: np.float64
    low: np.float64
    high: np.float64


class PairEer(NamedTuple):
    """The equal error rate, its threshold, and the ends of an interval that holds the exact rate."""

    eer: np.float64
    threshold: np.float64
    low: np.float64
    high: np.float64


def pair_auc(
    x: ArrayLike,
    labels: ArrayLike,
    *,
    metric: Metric = "cosine",
    exact: bool | None = None,
    bins: SupportsIndex = 1 << 18,
    num_threads: SupportsIndex | None = None,
    progress: bool | Report = False,
) -> PairAuc:
    r"""Compute the area under the ROC curve of all pairs of rows, those of one label against the others.

    It is the chance that two embeddings of one label are closer to each other than two of different labels. The matrix
    of scores is never built, and where the result is not exact, it comes with an interval that holds the exact one.

    Parameters
    ----------
    x : array_like, shape (n, d)
        Embeddings: float64, float32, float16, bfloat16 (of ml_dtypes), integers or bool.
    labels : array_like, shape (n,)
        A label for each row, integers or strings. A pair of rows is positive if theirs are equal.
    metric : {"cosine", "dot", "euclidean", "sqeuclidean", "manhattan", "hamming", "jaccard", "poincare", "lorentz"}
        What a score is, as for `fastpair.topk`. Of distances the smaller are the more positive.
    exact : bool, optional
        Score pairs one by one and sort them, which takes 17 bytes for each; else count them in bins. By default up to
        a million pairs are sorted.
    bins : int
        How many bins of equal width to count in, at least 1. Twice as many halve the interval.
    num_threads : int, optional
        The most threads to use; by default `fastpair.get_num_threads`.
    progress : bool or callable
        True shows a bar; a function is called as ``progress(done, total)``, in pairs.

    Returns
    -------
    PairAuc
        The named tuple ``(auc, low, high)`` of numpy.float64. The exact area is from low to high; all are equal if
        the area is exact.

    Raises
    ------
    TypeError
        If a dtype cannot be used, or an array is not in host memory.
    ValueError
        If shapes do not match, an embedding or a label is NaN, an embedding is infinite, or scores overflow.
    MemoryError
        If there is no room for the scores or the bins.

    Warns
    -----
    UndefinedMetricWarning
        If all pairs are positive, or none: the result is NaN.

    See Also
    --------
    pair_eer : The equal error rate of the same pairs.
    fastpair.auc : The area of scores that are there already.
    fastpair.similarity.reduce : Histograms of scores.

    Notes
    -----
    With the scores :math:`p` of the P positive pairs and :math:`q` of the N others, each two rows counted once,

    .. math:: \mathrm{AUC} = \frac{1}{P N} \sum_{p, q} [p > q] + \tfrac12 [p = q] .

    In bins with :math:`P_b` and :math:`N_b` pairs only comparisons inside a bin are not known. They are taken as ties,
    and so the exact area is no further away than [2]_

    .. math:: \frac{1}{2 P N} \sum_b P_b N_b .

    Pairs are put into bins by their scores in float64, as `fastpair.topk` defines them. Bins reach from -1 to 1 for
    cosines, from 0 to 1 for "jaccard", and else from the smallest to the largest score. There is one for each distance
    of "hamming", which makes it exact. The result has the same bits for every number of threads and every instruction
    set.

    Cost: O(n^2 d); two passes more for metrics whose scores have no known range. Extra memory: 17 bytes for each pair
    if exact, else 16 bytes for each bin and thread.

    References
    ----------
    .. [1] J. A. Hanley and B. J. McNeil (1982). The meaning and use of the area under a receiver operating
       characteristic (ROC) curve. Radiology 143.
    .. [2] D. Bamber (1975). The area above the ordinal dominance graph and the area below the receiver operating
       characteristic graph. Journal of Mathematical Psychology 12.

    Examples
    --------
    >>> import fastpair
    >>> x = [[1.0, 0.0], [0.9, 0.1], [0.1, 0.9], [0.0, 1.0], [0.8, 0.3]]
    >>> fastpair.metrics.pair_auc(x, ["a", "a", "b", "b", "b"]).auc.round(3)
    np.float64(0.833)
    """
    pairs = Pairs.parse(x, labels, metric, exact, bins, num_threads)
    if pairs.is_undefined("AUC"):
        nan = np.float64(np.nan)
        return PairAuc(nan, nan, nan)
    with Progress(progress, pairs.work) as watcher:
        if pairs.exact:
            scores, positive = pairs.scores(watcher)
            area = auc(scores if pairs.largest else -scores, positive, num_threads=pairs.num_threads)
            return PairAuc(area, area, area)
        negatives, positives, _ = pairs.counts(watcher)
    return _area(negatives, positives, lossless=pairs.metric == "hamming")


def pair_eer(
    x: ArrayLike,
    labels: ArrayLike,
    *,
    metric: Metric = "cosine",
    exact: bool | None = None,
    bins: SupportsIndex = 1 << 18,
    num_threads: SupportsIndex | None = None,
    progress: bool | Report = False,
) -> PairEer:
    r"""Compute the equal error rate of all pairs of rows, those of one label against the others.

    Two embeddings are taken for a pair of one label if their score reaches a threshold. The equal error rate is the
    share of pairs that are judged wrongly where this share is the same on both sides. The matrix of scores is never
    built, and where the result is not exact, it comes with an interval that holds the exact one.

    Parameters
    ----------
    x : array_like, shape (n, d)
        Embeddings, as for `pair_auc`.
    labels : array_like, shape (n,)
        A label for each row, integers or strings. A pair of rows is positive if theirs are equal.
    metric : {"cosine", "dot", "euclidean", "sqeuclidean", "manhattan", "hamming", "jaccard", "poincare", "lorentz"}
        What a score is, as for `fastpair.topk`. Of distances the smaller are the more positive.
    exact : bool, optional
        Score pairs one by one and sort them, which takes up to 60 bytes for each; else count them in bins. By default
        up to a million pairs are sorted.
    bins : int
        How many bins of equal width to count in, at least 1.
    num_threads : int, optional
        The most threads to use; by default `fastpair.get_num_threads`.
    progress : bool or callable
        True shows a bar; a function is called as ``progress(done, total)``, in pairs.

    Returns
    -------
    PairEer
        The named tuple ``(eer, threshold, low, high)`` of numpy.float64. Pairs with scores of at least the threshold
        (at most, for distances) are accepted. The exact rate is from low to high; both are equal to it if it is exact.

    Raises
    ------
    TypeError
        As `pair_auc`.
    ValueError
        As `pair_auc`.
    MemoryError
        As `pair_auc`.

    Warns
    -----
    UndefinedMetricWarning
        If all pairs are positive, or none: the result is NaN.

    See Also
    --------
    pair_auc : The area under the same curve.

    Notes
    -----
    With the scores of `pair_auc`, thresholds t have the false acceptance and false rejection rates

    .. math:: \mathrm{FAR}(t) = \frac{|\{q \ge t\}|}{N}, \qquad \mathrm{FRR}(t) = \frac{|\{p < t\}|}{P} .

    Between the two neighbouring thresholds where FAR - FRR changes its sign both are interpolated linearly, and so is
    the threshold. In bins these two are edges of one bin; inside it FAR can only rise and FRR only fall, so the exact
    rate lies between the larger of the smaller rates and the smaller of the larger ones.

    Cost and memory as for `pair_auc`, but up to 60 bytes for each pair if exact.

    References
    ----------
    .. [1] A. Martin, G. Doddington, T. Kamm, M. Ordowski and M. Przybocki (1997). The DET curve in assessment of
       detection task performance. Eurospeech.

    Examples
    --------
    >>> import fastpair
    >>> x = [[1.0, 0.0], [0.9, 0.1], [0.1, 0.9], [0.0, 1.0], [0.8, 0.3]]
    >>> fastpair.metrics.pair_eer(x, ["a", "a", "b", "b", "b"]).eer.round(3)
    np.float64(0.333)
    """
    pairs = Pairs.parse(x, labels, metric, exact, bins, num_threads)
    if pairs.is_undefined("the equal error rate"):
        nan = np.float64(np.nan)
        return PairEer(nan, nan, nan, nan)
    with Progress(progress, pairs.work) as watcher:
        if pairs.exact:
            negatives, positives, thresholds = _distinct(*pairs.scores(watcher), pairs.largest)
        else:
            negatives, positives, thresholds = pairs.counts(watcher)
    return _equal_rate(negatives, positives, thresholds, lossless=pairs.exact or pairs.metric == "hamming")


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
        warnings.warn(f"{what} is undefined: {reason}; the result is NaN", UndefinedMetricWarning, stacklevel=3)
        return True

    def scores(self, progress: Progress) -> tuple[_Floats, npt.NDArray[np.bool_]]:
        """Return the score of each pair, and whether it is positive."""
        rows, filled = len(self.x), 0
        scores, positive = np.empty(self.total), np.empty(self.total, np.bool_)
        step = max(1, MOST_CELLS // max(rows, 1))
        for top in range(0, rows, step):
            part = self.x[top : top + step]
            block = np.empty((len(part), rows - top))
            _core.pairwise(part, self.x[top:], self.metric, block, True, self.num_threads)
            later = np.triu(np.ones(block.shape, np.bool_), 1)
            end = filled + int(later.sum())
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
        counts = _core.histogram(
            *(self.x, self.x, self.metric, {**NO_RULES, "exclude_self": False}, low, high, bins),
            *((self.codes, self.codes), True, progress.part(len(self.x) ** 2), self.num_threads),
        ).astype(np.int64)
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
            scores, indices = np.full((len(self.x), 1), start), np.full((len(self.x), 1), -1, np.int64)
            rules, report = {**NO_RULES, "exclude_self": True}, progress.part(len(self.x) ** 2)
            _core.topk(self.x, self.x, self.metric, largest, rules, scores, indices, report, self.num_threads)
            progress.end_part()
            ends.append(float(scores.max() if largest else scores.min()))
        if not np.isfinite(ends).all():
            raise _overflow()
        return ends[0], ends[1]


def _area(negatives: _Ints, positives: _Ints, lossless: bool) -> PairAuc:
    """Return the area of bins; products of counts are beyond 64 bits."""
    worse = negatives.sum() - np.cumsum(negatives)
    sure = sum(p * n for p, n in zip(positives.tolist(), worse.tolist(), strict=True))
    mixed = sum(p * n for p, n in zip(positives.tolist(), negatives.tolist(), strict=True))
    total = int(positives.sum()) * int(negatives.sum())
    value = np.float64((2 * sure + mixed) / (2 * total))
    if lossless:
        return PairAuc(value, value, value)
    return PairAuc(value, np.float64(sure / total), np.float64((sure + mixed) / total))


def _equal_rate(negatives: _Ints, positives: _Ints, thresholds: _Floats, lossless: bool) -> PairEer:
    """Return where the rates cross; groups of pairs are accepted one after the other."""
    accepted = np.concatenate([[0.0], np.cumsum(negatives) / negatives.sum()])
    rejected = np.concatenate([[1.0], 1 - np.cumsum(positives) / positives.sum()])
    difference = accepted - rejected
    at = int((difference >= 0).argmax())
    weight = -difference[at - 1] / (difference[at] - difference[at - 1])
    eer = accepted[at - 1] + weight * (accepted[at] - accepted[at - 1])
    threshold = thresholds[at - 1]
    if at > 1:  # before the first group the threshold is infinite
        threshold = thresholds[at - 2] + weight * (thresholds[at - 1] - thresholds[at - 2])
    if lossless:
        return PairEer(eer, threshold, eer, eer)
    low, high = max(accepted[at - 1], rejected[at]), min(accepted[at], rejected[at - 1])
    return PairEer(eer, threshold, min(low, eer), max(high, eer))


def _distinct(scores: _Floats, positive: npt.NDArray[np.bool_], largest: bool) -> tuple[_Ints, _Ints, _Floats]:
    """Count negatives and positives with each distinct score, from the most positive on."""
    order = np.argsort(scores)
    scores, positive = scores[order], positive[order]
    starts = np.flatnonzero(np.concatenate([[True], scores[1:] != scores[:-1]]))
    positives = np.add.reduceat(positive, starts, dtype=np.int64)
    negatives = np.diff(starts, append=len(scores)) - positives
    groups = (negatives, positives, scores[starts])
    return tuple(group[::-1] for group in groups) if largest else groups  # type: ignore[return-value]


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
        codes = np.unique(array, return_inverse=True)[1].astype(np.int64).reshape(rows)
        missing = array != array
    else:
        raise TypeError(f"labels has dtype {array.dtype}; pass integers or strings, one for each row of x")
    if missing.any():
        place = int(missing.argmax())
        raise ValueError(f"labels is {array[place]} at index {place}; drop the rows without a label")
    return codes


def _overflow() -> ValueError:
    return ValueError("x has scores that are infinite or not a number; divide x by its largest magnitude")
