"""The formulas of the score losses over pairs and lists, in long double and O(n^2): slow, obviously right.

Every loss of one list is a `Loss`: the sum of its terms, the number (or weight) of terms that a mean divides by, the
gradient of the sum, and for each component of the gradient the sum of the sizes of its terms, which is what a relative
error is relative to (for the pairs of two classes it is the size of the gradient itself, no term cancels another).
`reduce` makes one number of many lists. `test_oracle_losses.py` checks all of it against the specification and against
central differences.
"""

from typing import Any, NamedTuple

import numpy as np
import oracle

LONG = np.longdouble


class Loss(NamedTuple):
    """One list: sum of terms, what a mean divides by, positives' weight, gradient, size of the gradient's terms."""

    total: Any
    norm: Any
    uppers: Any
    grad: np.ndarray
    size: np.ndarray


def nothing(n):
    """The loss of a list that lacks what the formula needs."""
    return Loss(LONG(0), LONG(0), LONG(0), np.zeros(n, LONG), np.zeros(n, LONG))


def undefined(kept):
    """The loss of a list with a NaN score, whatever else it lacks; items that are ignored have gradient 0."""
    grad = np.where(kept, LONG(np.nan), LONG(0))
    return Loss(LONG(np.nan), LONG(1), LONG(1), grad, grad)


def long(values):
    """Values of any real dtype (bfloat16 too) in long double."""
    values = np.asarray(values)
    return values.astype(np.float64 if values.dtype.kind == "V" else values.dtype).astype(LONG)


def differences(a, b):
    """All a_i - b_j; equal infinities differ by 0."""
    with np.errstate(invalid="ignore"):
        return np.where(a[:, None] == b[None, :], LONG(0), a[:, None] - b[None, :])


def times(weight, value):
    """The product, 0 where the weight is 0 whatever the value."""
    with np.errstate(invalid="ignore"):
        return np.where(weight == 0, LONG(0), weight * value)


def sigma(z):
    with np.errstate(over="ignore", under="ignore"):
        e = np.exp(-np.abs(z))
    return np.where(z >= 0, LONG(1), e) / (1 + e)


def softplus(z):
    with np.errstate(under="ignore"):
        return np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z)))


def logistic(z):
    """Softplus(-z) and its slope, of one exponential."""
    with np.errstate(under="ignore"):
        e = np.exp(-np.abs(z))
    return np.maximum(-z, 0) + np.log1p(e), -np.where(z >= 0, e, LONG(1)) / (1 + e)


def sigmoid(z):
    """Sigma(-z) and its slope, of one exponential."""
    with np.errstate(under="ignore"):
        e = np.exp(-np.abs(z))
    return np.where(z >= 0, e, LONG(1)) / (1 + e), -e / (1 + e) ** 2


def exponential(z):
    with np.errstate(over="ignore", under="ignore"):
        return np.exp(-z)


def barrier(z, m, s):
    """max(-s(m + z) + m, s(z - m), m - z); at a kink between a falling and the rising piece the slope is 0.

    Infinite z have the slopes of the outermost pieces.
    """
    pieces = np.stack([-s * (m + z) + m, s * (z - m), m - z])
    slopes = np.stack([np.full_like(z, -s), np.full_like(z, s), np.full_like(z, -1)])
    best = pieces.max(axis=0)
    low = np.where(pieces == best, slopes, np.inf).min(axis=0)
    high = np.where(pieces == best, slopes, -np.inf).max(axis=0)
    inner = np.where(low * high < 0, LONG(0), high)
    return best, np.where(np.isinf(z), np.sign(z) * s, inner)


SURROGATES = {  # z, margin, slope -> phi(z), phi'(z)
    "logistic": lambda z, m, s: logistic(z),
    "hinge": lambda z, m, s: (np.maximum(m - z, 0), -(z < m).astype(LONG)),
    "squared_hinge": lambda z, m, s: (np.maximum(m - z, 0) ** 2, -2 * np.maximum(m - z, 0)),
    "square": lambda z, m, s: ((m - z) ** 2, -2 * (m - z)),
    "exponential": lambda z, m, s: (exponential(z), -exponential(z)),
    "sigmoid": lambda z, m, s: sigmoid(z),
    "barrier": barrier,
}


def pair_loss(scores, relevance, weights=None, *, surrogate="logistic", temperature=1, margin=1, slope=2):
    """Sum of w_i w_j phi((s_i - s_j)/temperature) over the pairs with relevance_i > relevance_j; NaN relevance: none.

    A block of pairs for each level of relevance: the items of that level against all lower ones.
    """
    scores, relevance = long(scores), long(relevance)
    weights = np.ones(len(scores), LONG) if weights is None else long(weights)
    kept = ~np.isnan(relevance)
    if np.isnan(scores[kept]).any():
        return undefined(kept)
    total, norm, uppers, grad, size = nothing(len(scores))
    for level in np.unique(relevance[kept]):
        up, low = np.flatnonzero(relevance == level), np.flatnonzero(relevance < level)
        weight = weights[up][:, None] * weights[low][None, :]
        norm += weight.sum()
        uppers += weights[up].sum() if weights[low].sum() > 0 else 0
        z = differences(scores[up], scores[low]) / LONG(temperature)
        value, rise = SURROGATES[surrogate](z, LONG(margin), LONG(slope))
        value, rise = times(weight, value), times(weight, rise) / LONG(temperature)
        total += value.sum()
        grad[up] += rise.sum(axis=1)
        grad[low] -= rise.sum(axis=0)
        size[up] += np.abs(rise).sum(axis=1)
        size[low] += np.abs(rise).sum(axis=0)
    return Loss(total, norm, uppers, grad, size)


def descending_ranks(scores):
    """Ranks from 1, the highest score first, ties by index."""
    ranks = np.empty(len(scores), LONG)
    ranks[np.argsort(-long(scores), kind="stable")] = np.arange(1, len(scores) + 1)
    return ranks


def gains_of(relevance, gain):
    """Gains of graded relevance: 2^r - 1 or r."""
    return 2 ** long(relevance) - 1 if gain == "exponential" else long(relevance)


def ideal_dcg(gains, cut=None):
    """DCG of the gains in descending order, of the first `cut` only."""
    best = np.sort(gains)[::-1][: cut or None]
    return (best / np.log2(np.arange(2, len(best) + 2).astype(LONG))).sum()


def swap_weights(gains, ranks, scheme, cut=None, mu=10):
    """What exchanging two items changes in the metric: one weight for each pair."""
    inside = ranks <= (cut or np.inf)
    with np.errstate(divide="ignore"):
        far = np.abs(ranks[:, None] - ranks[None, :])
        steps = np.abs(1 / np.log2(1 + far) - 1 / np.log2(2 + far))
    change = np.abs(gains[:, None] - gains[None, :]) / (ideal_dcg(gains, cut) or LONG(1))
    discount, inverse = inside / np.log2(1 + ranks), inside / ranks
    by_position = np.abs(discount[:, None] - discount[None, :])
    return {
        "none": lambda: np.ones_like(change),
        "mrr": lambda: np.abs(inverse[:, None] - inverse[None, :]),
        "ndcg": lambda: change * by_position,
        "ndcg2": lambda: times(change, steps),
        "ndcg2++": lambda: mu * times(change, steps) + change * by_position,
    }[scheme]()


def lambda_loss(scores, relevance, *, scheme="ndcg", ranks=None, sigma_=1, cut=None, mu=10, gain="exponential"):
    """Sum of w_ij softplus(-sigma (s_i - s_j)) over pairs with gain_i > gain_j; the weights carry no gradient."""
    scores, gains = long(scores), gains_of(relevance, gain)
    result = nothing(len(scores))
    kept = np.flatnonzero(~np.isnan(gains))
    s, g = scores[kept], gains[kept]
    pairs = g[:, None] > g[None, :]
    if np.isnan(s).any():
        return undefined(~np.isnan(gains))
    if not pairs.any():
        return result
    r = descending_ranks(s) if ranks is None else long(ranks)[kept]
    weight = np.where(pairs, swap_weights(g, r, scheme, cut, mu), 0)
    z = LONG(sigma_) * differences(s, s)
    rise = -LONG(sigma_) * times(weight, sigma(-z))
    result.grad[kept] = rise.sum(axis=1) - rise.sum(axis=0)
    result.size[kept] = np.abs(rise).sum(axis=1) + np.abs(rise).sum(axis=0)
    return result._replace(total=times(weight, softplus(-z)).sum(), norm=LONG(pairs.sum()))


def plackett_luce(scores, relevance, *, ties="average", top_k=None):
    """Sum over the steps of -log of the share of the chosen item in what competes with it.

    Relevance falls from step to step. Of m items tied in relevance, the r-th (from 0) competes with 1 - r/m of the
    mass of all m ("average", Efron's correction), with none of the others ("exclude"), or with those of higher index
    ("index").
    """
    scores, relevance = long(scores), long(relevance)
    result = nothing(len(scores))
    kept = np.flatnonzero(~np.isnan(relevance))
    order = kept[np.argsort(-relevance[kept], kind="stable")]
    if np.isnan(scores[order]).any():
        return undefined(~np.isnan(relevance))
    if len(order) < 2:
        return result
    steps = order[: top_k or None]
    total = LONG(0)
    for step, chosen in enumerate(steps):
        lower, tied = relevance < relevance[chosen], relevance == relevance[chosen]
        passed = np.isin(np.arange(len(scores)), order[:step]) & tied
        if ties == "index":
            share = lower | (tied & ~passed)
        elif ties == "exclude":
            share = lower | (np.arange(len(scores)) == chosen)
        else:
            share = lower + tied * (1 - LONG(passed.sum()) / tied.sum())
        share = share.astype(LONG)
        top = scores[share > 0].max()
        mass = times(share, np.exp(differences(scores, np.array([top]))[:, 0]))
        competing = mass / mass.sum()
        total += np.log(mass.sum()) - differences(scores[[chosen]], np.array([top]))[0, 0]
        result.grad[:] += competing
        result.grad[chosen] -= 1
        result.size[:] += competing
        result.size[chosen] += 1
    return result._replace(total=total, norm=LONG(len(steps)))


def softmax(values):
    e = np.exp(differences(values, np.array([values.max()]))[:, 0])
    return e / e.sum()


def log_softmax(values):
    shifted = differences(values, np.array([values.max()]))[:, 0]
    return shifted - np.log(np.exp(shifted).sum())


def cross_entropy(scores, targets, *, target="softmax", temperature=1):
    """-sum p_i log softmax(scores)_i, p the softmax of the targets or the targets themselves; NaN target: ignored."""
    scores, targets = long(scores) / LONG(temperature), long(targets)
    result = nothing(len(scores))
    kept = np.flatnonzero(~np.isnan(targets))
    s, t = scores[kept], targets[kept]
    if np.isnan(s).any():
        return undefined(~np.isnan(targets))
    if len(kept) == 0 or (target == "raw" and t.sum() == 0):
        return result
    p = softmax(t / LONG(temperature)) if target == "softmax" else t
    result.grad[kept] = (p.sum() * softmax(s) - p) / LONG(temperature)
    result.size[kept] = (p.sum() * softmax(s) + p) / LONG(temperature)
    return result._replace(total=times(p, -log_softmax(s)).sum(), norm=LONG(1))


def coefficients(losses, normalizer, reduction="mean", weights=None, upstream=None, on_empty="skip"):
    """What each list's sum of terms is multiplied by in the reduced value; lists that are skipped have 0."""
    norm = np.array([loss.norm for loss in losses], LONG)
    valid = norm > 0
    weights = np.ones(len(losses), LONG) if weights is None else long(weights)
    if normalizer == "positives":
        norm = np.array([loss.uppers for loss in losses], LONG)
    if normalizer == "sum":
        norm = np.ones(len(losses), LONG)
    own = valid / np.where(valid, norm, 1)
    if reduction == "none":
        return weights * own * (1 if upstream is None else long(upstream))
    if reduction == "sum":
        return weights * own
    pooled = normalizer in ("pairs", "positives", "steps")
    count = norm[valid].sum() if pooled else len(losses) if on_empty == "zero" else valid.sum()
    return weights * (valid if pooled else own) / (count or 1)


def reduce(losses, rows, n, normalizer="pairs", reduction="mean", weights=None, upstream=None, on_empty="skip"):
    """Value (one for each list if reduction is "none"), gradient and size of the gradient's terms, over all items."""
    factors = coefficients(losses, normalizer, reduction, weights, upstream, on_empty)
    plain = coefficients(losses, normalizer, reduction, weights, None, on_empty)
    values = np.array([times(c, loss.total) for c, loss in zip(plain, losses, strict=True)], LONG)
    grad, size = np.zeros(n, LONG), np.zeros(n, LONG)
    for factor, own, loss in zip(factors, rows, losses, strict=True):
        grad[own], size[own] = times(factor, loss.grad), np.abs(times(factor, loss.size))
    return (values if reduction == "none" else values.sum()), grad, size


def rows_of(n, groups=None, offsets=None):
    """Row numbers of each list, in order of first appearance of ids or in order of the offsets."""
    if groups is not None:
        return oracle.members(groups)
    return oracle.segments(offsets) if offsets is not None else [np.arange(n)]


def central(function, at, step=1e-6):
    """Central differences of a function of one array."""
    at = np.asarray(at)
    out = np.empty(at.shape, np.result_type(at.dtype, np.float64))
    for index in np.ndindex(at.shape):
        up, down = at.copy(), at.copy()
        up[index] += step
        down[index] -= step
        out[index] = (function(up) - function(down)) / (up[index] - down[index])
    return out
