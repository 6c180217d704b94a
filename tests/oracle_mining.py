"""What the miners of a batch select, written down naively: one anchor and one positive at a time; obviously right.

Miners compare the exact scores in float64 that searches rank by (those of `fastpair.pairwise` with ``exact=True`` for
rows of float64), so the oracle takes that matrix, and which pairs are positive and negative. The closeness of a pair is
its similarity, or minus its distance.
"""

import numpy as np

SIMILARITIES = ("dot", "cosine")
METRICS = ("dot", "cosine", "euclidean", "sqeuclidean", "manhattan")
KINDS = ("margin", "hard", "semihard", "easy")
FORMATS = ("mask", "bits", "csr", "coo", "triplets")
TIES = "ties"  # negatives exactly as close as the reference, which are neither hard nor semi-hard


def closeness(scores, metric):
    """Larger is closer, whatever the metric."""
    return np.asarray(scores, float) * (1.0 if metric in SIMILARITIES else -1.0)


def roles(shape, within, *, labels=None, positives=None, ids=None, ignore=None):
    """Which pairs are positive, negative, and neither.

    Labels and ids are one sequence for both sides, or a tuple of two; positives a column for each row (-1: none), a
    mask of pairs, or None for the diagonal.
    """
    n, m = shape
    positive, ignored = np.zeros(shape, bool), np.zeros(shape, bool)
    for i in range(n):
        for j in range(m):
            positive[i, j] = is_positive(i, j, labels, positives)
            own = within and i == j
            twin = ids is not None and not positive[i, j] and equal(ids, i, j)
            ignored[i, j] = own or twin or (ignore is not None and ignore[i][j])
    positive &= ~ignored
    return positive, ~positive & ~ignored, ignored


def is_positive(i, j, labels, positives):
    if labels is not None:
        return equal(labels, i, j)
    if positives is None:
        return i == j
    positives = np.asarray(positives)
    return bool(positives[i, j]) if positives.ndim == 2 else positives[i] == j


def equal(values, i, j):
    left, right = values if isinstance(values, tuple) else (values, values)
    return left[i] == right[j]


def index_dtype(count):
    return np.int32 if count <= np.iinfo(np.int32).max else np.int64


def formatted(mask, form, positive=None):
    """A mask in any of the formats; for triplets the positives of each anchor come in."""
    n, m = mask.shape
    if form == "mask":
        return mask
    if form == "bits":
        return np.packbits(mask, axis=1)
    if form == "csr":
        rows = [np.flatnonzero(mask[i]) for i in range(n)]
        indptr = np.array([0, *np.cumsum([len(row) for row in rows])], np.int64)
        return indptr, np.array([j for row in rows for j in row], index_dtype(m))
    if form == "coo":
        pairs = [(i, j) for i in range(n) for j in range(m) if mask[i, j]]
        columns = np.array(pairs, index_dtype(max(n, m))).reshape(-1, 2)
        return columns[:, 0], columns[:, 1]
    assert form == "triplets", form
    found = [
        (i, p, j) for i in range(n) for p in np.flatnonzero(positive[i]) for j in np.flatnonzero(mask[i])
    ]  # every positive with every pair that is kept
    return np.array(found, index_dtype(max(n, m))).reshape(-1, 3)


def in_band(close, reference, kind, margin):
    """Which values lie in the band of a reference. All inequalities are strict, but for the easy rest."""
    if kind == "margin":
        return close > reference - margin
    if kind == "hard":
        return close > reference
    if kind == "semihard":
        near = True if margin == np.inf else close > reference - margin  # also of infinite scores
        return near & (close < reference)
    if kind == "easy":
        return close <= reference - margin
    assert kind == TIES, kind
    return close == reference


def sum_in_order(values):
    total = 0.0
    for value in values.tolist():
        total += value
    return total


def reference_of(values, which):
    """The closeness of an anchor's positives that its negatives are measured by."""
    if which == "mean":
        return sum_in_order(values) / len(values)
    return values.min() if which == "min" else values.max()


def hard_mask(close, positive, negative, kind="semihard", margin=0.2, which="min"):
    """Negatives in the band of each row's reference; nothing in a row without a positive."""
    mask = np.zeros(close.shape, bool)
    for i in range(len(close)):
        if positive[i].any():
            reference = reference_of(close[i, positive[i]], which)
            mask[i] = negative[i] & in_band(close[i], reference, kind, margin)
    return mask


def closest(close, among):
    """The index of the largest value, the lowest of several; -1 if there is none."""
    return farthest(-close, among)


def farthest(close, among):
    places = np.flatnonzero(among)
    if not len(places):
        return -1
    return int(places[np.argmin(close[places])])


def choose(close, band, negative, fallback):
    """The closest negative of a band; where it is empty what `fallback` says."""
    if band.any():
        return closest(close, band)
    return {"none": lambda *_: -1, "hardest": closest, "farthest": farthest}[fallback](close, negative)


def batch_hard(scores, metric, positive, negative, chosen="hardest", rival="hardest", margin=np.inf, fallback="none"):
    """A positive and a negative for each anchor: two indices and two scores, -1 and NaN where there is none."""
    close = closeness(scores, metric)
    n = len(close)
    places, values = np.full((2, n), -1, np.int64), np.full((2, n), np.nan)
    for i in range(n):
        p = (farthest if chosen == "hardest" else closest)(close[i], positive[i])
        if rival == "semihard" and p < 0:
            q = -1
        elif rival == "semihard":
            band = negative[i] & in_band(close[i], close[i, p], "semihard", margin)
            q = choose(close[i], band, negative[i], fallback)
        else:
            q = (closest if rival == "hardest" else farthest)(close[i], negative[i])
        for side, place in enumerate((p, q)):
            if place >= 0:
                places[side, i], values[side, i] = place, scores[i, place]
    return places[0], places[1], values[0], values[1]


def triplets(close, positive, negative, kind="margin", margin=0.2, select="all", fallback="none"):
    """Rows (anchor, positive, negative) in ascending order, and how many each anchor has.

    Of every anchor and positive: all negatives of its band, or the closest of them.
    """
    found = []
    for i in range(len(close)):
        for p in np.flatnonzero(positive[i]):
            band = negative[i] if kind == "all" else negative[i] & in_band(close[i], close[i, p], kind, margin)
            if select == "hardest":
                only = choose(close[i], band, negative[i], fallback)
                found += [(i, p, only)] * (only >= 0)
            else:
                found += [(i, p, j) for j in np.flatnonzero(band)]
    indices = np.array(found, index_dtype(max(close.shape))).reshape(-1, 3)
    return indices, np.array([np.count_nonzero(indices[:, 0] == i) for i in range(len(close))], np.int64)


def multi_similarity_mask(close, positive, negative, epsilon=0.1):
    """Positives near the closest negative, negatives near the farthest positive; both or nothing."""
    kept = np.zeros((2, *close.shape), bool)
    for i in range(len(close)):
        if not (positive[i].any() and negative[i].any()):
            continue
        far, near = close[i, positive[i]].min(), close[i, negative[i]].max()
        own, other = positive[i] & (close[i] < near + epsilon), negative[i] & (close[i] > far - epsilon)
        if own.any() and other.any():
            kept[0, i], kept[1, i] = own, other
    return kept[0], kept[1]


def without_duplicates(scores, metric, positive, duplicate_eps=1e-5):
    """Positives but for copies of the anchor, which only a cosine tells."""
    if duplicate_eps is None or metric != "cosine":
        return positive
    return positive & ~(scores >= 1 - duplicate_eps)
