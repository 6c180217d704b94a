"""What scores, searches and plans are, written down naively: obviously right, and slow.

Scores of the searches are float64 sums over 16 lanes (element k goes to lane k % 16, terms are added one after the
other, then lanes 8 and 8, 4 and 4, 2 and 2, 1 and 1), so the oracle has them to the bit. `NUMPY` has the same scores
with numpy's own sums, to test the oracle itself.
"""

from math import asinh, log, sqrt

import numpy as np

LANES = 16
SIMILARITIES = ("dot", "cosine")
METRICS = ("dot", "cosine", "euclidean", "sqeuclidean", "manhattan", "hamming", "jaccard", "poincare", "lorentz")
BITS = ("hamming", "jaccard")


def lane_sum(terms):
    """The sum along the last axis in the documented order."""
    width = terms.shape[-1]
    padded = np.zeros((*terms.shape[:-1], -(-width // LANES) * LANES))
    padded[..., :width] = terms
    lanes = np.zeros((*terms.shape[:-1], LANES))
    for begin in range(0, padded.shape[-1], LANES):
        lanes = lanes + padded[..., begin : begin + LANES]
    for half in (8, 4, 2, 1):
        lanes = lanes[..., :half] + lanes[..., half : 2 * half]
    return lanes[..., 0]


def powers_near_one(rows):
    """For each row the power of two that brings its largest element near 1."""
    largest = np.abs(rows).max(axis=-1, initial=0.0)
    exponents = np.where(largest < np.finfo(float).tiny, -1023, np.frexp(largest)[1] - 1)
    return np.where(largest == 0, 1.0, np.ldexp(1.0, np.clip(-exponents, -1022, 1000)))


def cosine(x, y, total):
    """Rows are scaled by powers of two where that keeps squares in range, which changes no bit elsewhere."""
    scaled = x * powers_near_one(x)[..., np.newaxis]
    squares = total(y * y)
    extreme = ~((squares >= 1e-200) & (squares < 1e200))
    other = np.where(extreme[..., np.newaxis], y * powers_near_one(y)[..., np.newaxis], y)
    norms = np.sqrt(total(scaled * scaled)) * np.sqrt(total(other * other))
    products = total(scaled * other)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(norms > 0, np.clip(products / norms, -1, 1), 0.0)


def unpacked(rows):
    return np.asarray(rows) if np.asarray(rows).dtype == np.bool_ else np.unpackbits(rows, axis=-1) > 0


def jaccard(x, y):
    x, y = unpacked(x), unpacked(y)
    either = (x | y).sum(axis=-1)
    return np.where(either > 0, (x != y).sum(axis=-1) / np.maximum(either, 1), 0.0)


def each(function, values):
    """A function of numbers, for each of an array."""
    return np.array([function(value) for value in values.ravel().tolist()]).reshape(values.shape)


def arcosh(value):
    """With the C library's logarithm, whose last bit is not numpy's."""
    return log(value + sqrt(value - 1) * sqrt(value + 1))


def poincare(x, y, total):
    room = (1 - total(x * x)) * (1 - total(y * y))
    return 2 * each(asinh, np.sqrt(total((x - y) * (x - y)) / room))


def lorentz(x, y, total):
    signs = np.ones(x.shape[-1])
    signs[:1] = -1
    return each(arcosh, np.maximum(1.0, -total(x * signs * y)))


def score(x, y, metric, total=lane_sum):
    """Scores of aligned rows, which may be broadcast."""
    if metric == "hamming":
        return (unpacked(x) != unpacked(y)).sum(axis=-1).astype(float)
    if metric == "jaccard":
        return jaccard(x, y)
    x, y = np.asarray(x).astype(np.float64), np.asarray(y).astype(np.float64)
    x, y = np.broadcast_arrays(x, y)
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        return {
            "dot": lambda: total(x * y),
            "cosine": lambda: cosine(x, y, total),
            "sqeuclidean": lambda: total((x - y) * (x - y)),
            "euclidean": lambda: np.sqrt(total((x - y) * (x - y))),
            "manhattan": lambda: total(np.abs(x - y)),
            "poincare": lambda: poincare(x, y, total),
            "lorentz": lambda: lorentz(x, y, total),
        }[metric]()


def pairwise(x, y, metric, total=lane_sum):
    """All scores, a row of x at a time."""
    y = np.asarray(y)
    rows = [score(row[np.newaxis], y, metric, total) for row in np.asarray(x)]
    return np.array(rows).reshape(len(x), len(y))


def numpy_sum(terms):
    return terms.sum(axis=-1)


def kl(p, q):
    """KL(p, q) of two distributions, entry by entry."""
    p, q = p / p.sum(), q / q.sum()
    value = 0.0
    for a, b in zip(p.tolist(), q.tolist(), strict=True):
        if a > 0:
            value += np.inf if b == 0 else a * np.log(a / b)
    return value


def jensen_shannon(p, q):
    p, q = p / p.sum(), q / q.sum()
    return np.sqrt(max(kl(p, (p + q) / 2) + kl(q, (p + q) / 2), 0.0) / 2)


def is_similarity(metric):
    return metric in SIMILARITIES


def admitted(
    scores,
    *,
    exclude_self=False,
    mask=None,
    exclude=None,
    x_labels=None,
    y_labels=None,
    same_label=None,
    min_score=None,
    max_score=None,
):
    """Which pairs count: `mask` is bool, `exclude` a list of lists, labels are lists."""
    n, m = scores.shape
    allowed = ~np.isnan(scores)
    for i in range(n):
        for j in range(m):
            if exclude_self and i == j:
                allowed[i, j] = False
            if exclude is not None and j in exclude[i]:
                allowed[i, j] = False
            if x_labels is not None and (x_labels[i] == y_labels[j]) != same_label:
                allowed[i, j] = False
    if mask is not None:
        allowed &= np.asarray(mask)
    if min_score is not None:
        allowed &= scores >= np.broadcast_to(min_score, n)[:, np.newaxis]
    if max_score is not None:
        allowed &= scores <= np.broadcast_to(max_score, n)[:, np.newaxis]
    return allowed


def topk(scores, k, largest, allowed=None):
    """The k best of each row by a stable sort: equal scores by index."""
    n = len(scores)
    allowed = ~np.isnan(scores) if allowed is None else allowed
    best_scores = np.full((n, k), -np.inf if largest else np.inf)
    best_indices = np.full((n, k), -1, np.int64)
    for i in range(n):
        keys = -scores[i] if largest else scores[i]
        order = np.argsort(keys, kind="stable")
        order = order[allowed[i][order]][:k]
        best_scores[i, : len(order)], best_indices[i, : len(order)] = scores[i, order], order
    return best_scores, best_indices


def radius(scores, threshold, largest, allowed=None, *, best_first=False):
    """Hits as compressed rows."""
    n = len(scores)
    limit = np.broadcast_to(threshold, n)[:, np.newaxis]
    hits = (scores >= limit if largest else scores <= limit) & (~np.isnan(scores) if allowed is None else allowed)
    indptr, indices, values = [0], [], []
    for i in range(n):
        own = np.flatnonzero(hits[i])
        if best_first:
            own = own[np.argsort(-scores[i, own] if largest else scores[i, own], kind="stable")]
        indices.extend(own.tolist())
        values.extend(scores[i, own].tolist())
        indptr.append(len(indices))
    return np.array(indptr), np.array(indices, np.int64), np.array(values, np.float64)


def sinkhorn(scores, eps, rounds, mu, nu):
    """Scale columns, then rows, of the exponentials themselves."""
    plan = np.exp(np.asarray(scores, float) / eps)
    for _ in range(rounds):
        plan = plan * (nu / plan.sum(axis=0))
        plan = plan * (mu / plan.sum(axis=1))[:, np.newaxis]
    return plan
