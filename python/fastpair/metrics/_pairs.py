"""How well the scores of pairs of embeddings tell pairs of one label from others: `pair_auc` and `pair_eer`.

All pairs of rows are scored, but never stored together: a few pairs are scored one by one, many are counted in bins of
their scores, from which both metrics follow up to an interval that is known.
"""

from typing import Any, NamedTuple, SupportsIndex, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import ArrayLike, library_of, on_gpu_too
from fastpair._embeddings import Metric
from fastpair._progress import Progress, Report
from fastpair.metrics._auc import auc
from fastpair.metrics._labelled_pairs import Pairs

__all__ = ["PairAuc", "PairEer", "pair_auc", "pair_eer"]

_Floats: TypeAlias = npt.NDArray[np.float64]
_Ints: TypeAlias = npt.NDArray[np.int64]


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


@on_gpu_too
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
        If a dtype cannot be used, or arrays are not in one memory (of the host, or of one GPU).
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
        return PairAuc(*pairs.numbers(np.nan, np.nan, np.nan))
    with Progress(progress, pairs.work) as watcher:
        if pairs.exact:
            scores, positive = pairs.scores(watcher)
            area = auc(scores if pairs.largest else -scores, positive, num_threads=pairs.num_threads)
            return PairAuc(area, area, area)
        negatives, positives, _ = pairs.counts(watcher)
    return PairAuc(*pairs.numbers(*_area(negatives, positives, lossless=pairs.metric == "hamming")))


@on_gpu_too
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
        return PairEer(*pairs.numbers(np.nan, np.nan, np.nan, np.nan))
    with Progress(progress, pairs.work) as watcher:
        if pairs.exact:
            negatives, positives, thresholds = _distinct(*pairs.scores(watcher), pairs.largest)
        else:
            negatives, positives, thresholds = pairs.counts(watcher)
    lossless = pairs.exact or pairs.metric == "hamming"
    return PairEer(*pairs.numbers(*_equal_rate(negatives, positives, thresholds, lossless)))


def _area(negatives: _Ints, positives: _Ints, lossless: bool) -> tuple[float, float, float]:
    """Return the area of bins and its interval; products of counts are beyond 64 bits."""
    worse = negatives.sum() - np.cumsum(negatives)
    sure = sum(p * n for p, n in zip(positives.tolist(), worse.tolist(), strict=True))
    mixed = sum(p * n for p, n in zip(positives.tolist(), negatives.tolist(), strict=True))
    total = int(positives.sum()) * int(negatives.sum())
    value = (2 * sure + mixed) / (2 * total)
    return (value, value, value) if lossless else (value, sure / total, (sure + mixed) / total)


def _equal_rate(negatives: _Ints, positives: _Ints, thresholds: _Floats, lossless: bool) -> tuple[Any, Any, Any, Any]:
    """Return where the rates cross, and its interval; groups of pairs are accepted one after the other."""
    library = library_of(negatives)
    accepted = np.concatenate([library.zeros(1), np.cumsum(negatives) / negatives.sum()])
    rejected = np.concatenate([library.ones(1), 1 - np.cumsum(positives) / positives.sum()])
    difference = accepted - rejected
    at = int((difference >= 0).argmax())
    weight = -difference[at - 1] / (difference[at] - difference[at - 1])
    eer = accepted[at - 1] + weight * (accepted[at] - accepted[at - 1])
    threshold = thresholds[at - 1]
    if at > 1:  # before the first group the threshold is infinite
        threshold = thresholds[at - 2] + weight * (thresholds[at - 1] - thresholds[at - 2])
    if lossless:
        return eer, threshold, eer, eer
    low, high = max(accepted[at - 1], rejected[at]), min(accepted[at], rejected[at - 1])
    return eer, threshold, min(low, eer), max(high, eer)


def _distinct(scores: _Floats, positive: npt.NDArray[np.bool_], largest: bool) -> tuple[_Ints, _Ints, _Floats]:
    """Count negatives and positives with each distinct score, from the most positive on."""
    order = np.argsort(scores)
    scores, positive = scores[order], positive[order]
    library = library_of(scores)
    starts = np.flatnonzero(np.concatenate([library.ones(1, np.bool_), scores[1:] != scores[:-1]]))
    upto = np.concatenate([np.cumsum(positive, dtype=np.int64)[starts[1:] - 1], positive.sum(keepdims=True)])
    positives = np.diff(upto, prepend=library.zeros(1, np.int64))
    negatives = np.diff(starts, append=library.full(1, len(scores))) - positives
    groups = (negatives, positives, scores[starts])
    return tuple(group[::-1] for group in groups) if largest else groups  # type: ignore[return-value]
