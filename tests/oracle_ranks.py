"""Soft ranks, their Jacobian, and the losses made of them, in long double and O(n^2): slow, obviously right.

A `Loss` for each list, as in `oracle_losses`; the gradients come from the full Jacobian of the ranks, or of the heights
of a histogram. Also the losses of aligned pairs.
"""

import numpy as np
from oracle_losses import (
    LONG,
    SURROGATES,
    Loss,
    descending_ranks,
    differences,
    gains_of,
    ideal_dcg,
    long,
    nothing,
    sigma,
    softplus,
    undefined,
)


def soft_rank(scores, temperature=1):
    """1/2 + sum_j sigma((s_j - s_i)/t), j over all items with i itself (which adds 1/2): rank 1 is the highest."""
    s = long(scores)
    ranks = LONG(0.5) + sigma(differences(s, s).T / LONG(temperature)).sum(axis=1)
    return np.full_like(ranks, np.nan) if np.isnan(s).any() else ranks


def jacobian(scores, temperature=1, among=None):
    """d rank_i / d s_k; `among`: the ranks count these items only (a boolean array), besides the item itself."""
    s = long(scores)
    z = differences(s, s).T / LONG(temperature)
    rise = sigma(z) * sigma(-z) / LONG(temperature)
    if among is not None:
        rise = rise * among[None, :]
    np.fill_diagonal(rise, 0)
    return rise - np.diag(rise.sum(axis=1))


def soft_rank_vjp(scores, upstream, temperature=1):
    """The upstream vector times the Jacobian, and the size of its terms."""
    upstream, jacob = long(upstream), jacobian(scores, temperature)
    if np.isnan(long(scores)).any():
        return np.full(len(upstream), LONG(np.nan)), np.ones(len(upstream), LONG)
    return upstream @ jacob, np.abs(upstream) @ np.abs(jacob)


def smooth_ap(scores, labels, *, temperature=0.01):
    """1 - mean over positives of (soft rank among positives) / (soft rank among all)."""
    scores, positive = long(scores), long(labels) > 0
    if not positive.any():
        return nothing(len(scores))
    if np.isnan(scores).any():
        return undefined(np.ones(len(scores), bool))
    above = sigma(differences(scores, scores).T / LONG(temperature))
    np.fill_diagonal(above, 1)
    own, every = above[:, positive].sum(axis=1), above.sum(axis=1)
    own[~positive] = 1
    share = positive / LONG(positive.sum())
    by_own, by_every = share / every, share * own / every**2
    inside, whole = jacobian(scores, temperature, positive), jacobian(scores, temperature)
    grad = -(by_own @ inside - by_every @ whole)
    size = by_own @ np.abs(inside) + by_every @ np.abs(whole)
    return Loss(1 - (share * own / every).sum(), LONG(1), LONG(0), grad, size)


def approx_ndcg(scores, relevance, *, temperature=0.1, cut=None, gain="exponential"):
    """1 - sum_i G_i / log2(1 + soft rank_i) / IDCG; with a cut only over items whose rank is not beyond it."""
    scores, gains = long(scores), gains_of(relevance, gain)
    kept, result = np.flatnonzero(~np.isnan(gains)), nothing(len(scores))
    s, g = scores[kept], gains[kept]
    if len(kept) == 0 or ideal_dcg(g) == 0:
        return result
    if np.isnan(s).any():
        return undefined(~np.isnan(gains))
    g = g / ideal_dcg(g, cut) * (descending_ranks(s) <= (cut or np.inf))
    ranks, jacob = soft_rank(s, temperature), jacobian(s, temperature)
    fall = g / (np.log(LONG(2)) * (1 + ranks) * np.log2(1 + ranks) ** 2)
    result.grad[kept], result.size[kept] = fall @ jacob, np.abs(fall) @ np.abs(jacob)
    return result._replace(total=1 - (g / np.log2(1 + ranks)).sum(), norm=LONG(1))


def approx_mrr(scores, labels, *, temperature=0.1, relevant="first"):
    """1 - 1 / soft rank of the positive of the highest score, or of all positives, the mean."""
    scores, positive = long(scores), long(labels) > 0
    if not positive.any():
        return nothing(len(scores))
    if np.isnan(scores).any():
        return undefined(np.ones(len(scores), bool))
    if relevant == "first":
        positive = np.arange(len(scores)) == np.flatnonzero(positive)[np.argmax(scores[positive])]
    share = positive / LONG(positive.sum())
    ranks, jacob = soft_rank(scores, temperature), jacobian(scores, temperature)
    fall = share / ranks**2
    return Loss(1 - (share / ranks).sum(), LONG(1), LONG(0), fall @ jacob, np.abs(fall) @ np.abs(jacob))


def fast_ap(scores, labels, *, bins=10, low=-1.0, high=1.0):
    """1 - sum_b h+_b H+_b / H_b / P with soft histograms of triangles, cumulated from the highest score down.

    An item counts max(0, 1 - |s - c|/width) in the bin of centre c; scores beyond the range count as its ends.
    """
    scores, positive = long(scores), long(labels) > 0
    if not positive.any():
        return nothing(len(scores))
    if np.isnan(scores).any():
        return undefined(np.ones(len(scores), bool))
    width = (LONG(high) - LONG(low)) / bins
    away = np.clip(scores, LONG(low), LONG(high))[:, None] - (LONG(high) - width * np.arange(bins + 1))[None, :]
    height = np.maximum(1 - np.abs(away) / width, 0)
    rise = np.where((height > 0) & ((scores >= low) & (scores <= high))[:, None], -np.sign(away) / width, 0)
    own, own_above, above = (
        height[positive].sum(axis=0),
        height[positive].sum(axis=0).cumsum(),
        height.sum(axis=0).cumsum(),
    )
    own, own_above, above = own[above > 0], own_above[above > 0], above[above > 0]
    rise = rise[:, -len(above) :]  # empty bins come first
    by_own = own_above / above + (own / above)[::-1].cumsum()[::-1]
    by_all = (own * own_above / above**2)[::-1].cumsum()[::-1]
    grad = rise @ by_all - positive * (rise @ by_own)
    size = np.abs(rise) @ by_all + positive * (np.abs(rise) @ by_own)
    share = LONG(1) / positive.sum()
    return Loss(1 - share * (own * own_above / above).sum(), LONG(1), LONG(0), share * grad, share * size)


def aligned(pos, neg, surrogate="logistic", temperature=1, margin=1):
    """Phi((pos_i - neg_ik)/t), elementwise, and its derivatives by pos_i and neg_ik, all of the shape of `neg`."""
    pos, neg = long(pos), long(neg)
    pos = pos if neg.ndim == 1 else pos[:, None]
    with np.errstate(invalid="ignore"):
        z = np.where(pos == neg, LONG(0), pos - neg) / LONG(temperature)
    value, rise = SURROGATES[surrogate](z, LONG(margin), LONG(2))
    return value, rise / LONG(temperature), -rise / LONG(temperature)


def top1(pos, neg):
    """Sigma(n - p) + sigma(n^2), and its derivatives by p and n."""
    pos, neg = long(pos), long(neg)
    pos = pos if neg.ndim == 1 else pos[:, None]
    slope = sigma(neg - pos) * sigma(pos - neg)
    return sigma(neg - pos) + sigma(neg**2), -slope, slope + 2 * neg * sigma(neg**2) * sigma(-(neg**2))


def bpr_max(pos, neg, regularization=1):
    """-log sum_k w_k sigma(p - n_k) + regularization sum_k w_k n_k^2 with w = softmax(n), for each row; gradients.

    With a_k = sigma(p - n_k), A = sum w a, R = sum w n^2: dA/dn_k = w_k (a_k - A - a_k (1 - a_k)),
    dR/dn_k = w_k (n_k^2 - R + 2 n_k).
    """
    pos, neg = long(pos), long(neg)
    shifted = np.exp(neg - neg.max(axis=1, keepdims=True))
    w = shifted / shifted.sum(axis=1, keepdims=True)
    z = pos[:, None] - neg
    # -log A, and everything divided by A, relative to the largest log(w sigma(z)): A itself may underflow
    logs = np.log(w) - softplus(-z)
    top = logs.max(axis=1, keepdims=True)
    part = np.exp(logs - top)
    part_sum = part.sum(axis=1, keepdims=True)
    value = -(top + np.log(part_sum))[:, 0] + LONG(regularization) * (w * neg**2).sum(axis=1)
    share = part / part_sum  # w a / A
    by_pos = -(share * sigma(-z)).sum(axis=1)
    by_neg = -(share - w - share * sigma(-z))
    penalty = (w * neg**2).sum(axis=1, keepdims=True)
    return value, by_pos, by_neg + LONG(regularization) * w * (neg**2 - penalty + 2 * neg)
