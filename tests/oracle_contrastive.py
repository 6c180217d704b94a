"""The formulas of the contrastive losses in float64, row by row: slow, obviously right.

A function of this module takes similarities (a larger one is closer), or embeddings where the formula is about two
views, and returns `Rows`: one value for each row, 0 where the row lacks what the formula needs. `reduce` makes one
number of them, `differences` the gradient of any of it. `test_oracle_contrastive.py` checks this against the numbers
and limits of the specification.
"""

from typing import NamedTuple

import numpy as np
import oracle_similarity


class Rows(NamedTuple):
    """The value of each row, and which rows have one."""

    values: np.ndarray
    valid: np.ndarray


def double(values):
    """Values of any real dtype (bfloat16 too) in float64."""
    return np.asarray(values).astype(np.float64)


def lse(logits):
    """Log of the sum of exponentials: -inf for none, inf if one is."""
    logits = np.asarray(logits, np.float64)
    top = logits.max(initial=-np.inf)
    if not np.isfinite(top):  # also NaN
        return top
    return top + np.log(np.exp(logits - top).sum())


def softplus(z):
    return np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z)))


def similarities(x, y=None, metric="cosine"):
    """All similarities of rows; those of distances are minus the distances. Zero rows have cosine 0."""
    x, y = double(x), double(x if y is None else y)
    if metric == "dot":
        return x @ y.T
    if metric == "cosine":
        return unit(x) @ unit(y).T
    squares = np.array([((a - y) ** 2).sum(axis=1) for a in x]).reshape(len(x), len(y))
    return -squares if metric == "sqeuclidean" else -np.sqrt(squares)


def unit(rows):
    """Rows divided by their norms; zero rows stay."""
    rows = double(rows)
    rows = rows * oracle_similarity.powers_near_one(rows)[..., np.newaxis]
    norms = np.sqrt((rows * rows).sum(axis=-1, keepdims=True))
    return np.divide(rows, norms, out=np.zeros_like(rows), where=norms > 0)


def mask_of(positives, n, m):
    """Positives as a mask: by default the diagonal; a column of each row (-1: none); a mask as it is."""
    mask = np.zeros((n, m), bool)
    if positives is None:
        positives = np.arange(n)
    positives = np.asarray(positives)
    if positives.ndim == 2:
        return positives.astype(bool)
    for i, j in enumerate(positives):
        if j >= 0:
            mask[i, j] = True
    return mask


def equal(a, b):
    """Which pairs have the same label."""
    return np.asarray(a)[:, np.newaxis] == np.asarray(b)[np.newaxis, :]


def hardest(s, negative, k, threshold):
    """The negatives that stay: those of at least `threshold`, of these the k most similar, the first of equal ones."""
    kept = negative & (s >= threshold) if threshold is not None else negative.copy()
    if k is not None:
        order = np.argsort(np.where(kept, -s, np.inf), kind="stable")
        kept &= np.isin(np.arange(len(s)), order[:k])
    return kept


def nearer(s, margin, arc_margin):
    """The similarity of a positive with its margin; beyond pi - m the cosine goes on as a line."""
    if arc_margin:
        angle = np.arccos(np.clip(s, -1, 1))
        s = np.where(angle <= np.pi - arc_margin, np.cos(angle + arc_margin), s - arc_margin * np.sin(arc_margin))
    return s - margin


def softmax_row(
    s,
    positive,
    allowed,
    *,
    temperature=1.0,
    weights=None,
    include_positive=True,
    needs_negatives=True,
    multi_positive="mean",
    positive_factor=1.0,
    label_smoothing=0.0,
    margin=0.0,
    arc_margin=0.0,
    hard_k=None,
    hard_threshold=None,
    focal_gamma=0.0,
):
    """The loss of one row, or None. `weights` (m,) multiply the exponentials of all columns, 0 takes a column out."""
    weights = np.ones(len(s)) if weights is None else weights
    allowed = allowed & (weights > 0)
    positive = positive & allowed
    negative = hardest(s, allowed & ~positive, hard_k, hard_threshold)
    if not positive.any() or (needs_negatives and not negative.any()):
        return None
    logits = np.where(positive, nearer(s, margin, arc_margin), s) / temperature
    with np.errstate(divide="ignore"):
        logits = logits + np.log(weights)
    own, other = logits[positive], logits[negative]
    log_z = lse(logits[positive | negative]) if include_positive else lse(other)
    if multi_positive == "separate":
        value = np.mean(softplus(lse(other) - own))
    else:
        term = {"mean": np.mean(own), "log_sum": lse(own), "log_mean": lse(own) - np.log(len(own))}[multi_positive]
        if label_smoothing:
            kept = logits[positive | negative]
            term = (1 - label_smoothing) * term + label_smoothing * kept.mean()
        value = log_z - positive_factor * term
    return (1 - np.exp(-value)) ** focal_gamma * value if focal_gamma else value


def rows_of(one, n):
    """`Rows` of ``one(i)``, which is a value or None."""
    found = [one(i) for i in range(n)]
    return Rows(np.array([0.0 if v is None else v for v in found]), np.array([v is not None for v in found], bool))


def info_nce(s, positives=None, *, ignore=None, weights=None, temperature=1.0, positive_factors=None, **options):
    """Softmax cross-entropy of the positives of each row; temperature a number or (n,), weights (m,) or (n, m)."""
    s = double(s)
    n, m = s.shape
    positive = mask_of(positives, n, m)
    allowed = np.ones((n, m), bool) if ignore is None else ~np.asarray(ignore, bool)
    temperatures = np.broadcast_to(double(temperature), n)
    weights = None if weights is None else np.broadcast_to(double(weights), (n, m))
    factors = np.ones(n) if positive_factors is None else positive_factors
    return rows_of(
        lambda i: softmax_row(
            s[i],
            positive[i],
            allowed[i],
            temperature=temperatures[i],
            weights=None if weights is None else weights[i],
            positive_factor=factors[i],
            **options,
        ),
        n,
    )


def negative_weights(positive, weights):
    """Weights (m,) or (n, m) of negatives alone, as weights of all columns: those of positives are 1."""
    return np.where(positive, 1.0, np.broadcast_to(double(weights), positive.shape))


def clip(s, **options):
    """Rows and columns, averaged."""
    rows, columns = info_nce(s, **options), info_nce(double(s).T, **options)
    return Rows((rows.values + columns.values) / 2, rows.valid & columns.valid)


def soft_targets(s, targets, temperature=1.0, *, normalize=True, ignore=None):
    """Cross-entropy of the softmax of each row against targets; rows of targets that sum to 0 have no value."""
    s, targets = double(s), double(targets)
    temperatures = np.broadcast_to(double(temperature), len(s))

    def one(i):
        total = targets[i].sum()
        if total == 0:
            return None
        logits = s[i] / temperatures[i]
        if ignore is not None:
            logits = np.where(ignore[i], -np.inf, logits)
        some = targets[i] > 0
        value = -(targets[i, some] * (logits[some] - lse(logits))).sum()
        return value / total if normalize else value

    return rows_of(one, len(s))


def supcon(s, mask, temperature=0.07, base_temperature=None):
    """Over all columns but the row itself (column i of row i): minus the mean of log p, weighted by the mask."""
    s, mask = double(s), double(mask)
    factor = 1.0 if base_temperature is None else temperature / base_temperature

    def one(i):
        others = np.arange(s.shape[1]) != i
        share, logits = mask[i, others], s[i, others] / temperature
        if share.sum() == 0:
            return None
        return -factor * (share * (logits - lse(logits))).sum() / share.sum()

    return rows_of(one, len(s))


def two_views(one_way, z1, z2, metric="cosine"):
    """The mean of ``one_way(S12, S11)`` and ``one_way(S21, S22)``: a value for each sample."""
    s12 = similarities(z1, z2, metric)
    first = one_way(s12, similarities(z1, None, metric))
    second = one_way(s12.T, similarities(z2, None, metric))
    return Rows((first.values + second.values) / 2, first.valid & second.valid)


def nt_xent(z1, z2, temperature=0.5, *, metric="cosine", inter=1.0, intra=1.0, blocks="both", mask_intra=None):
    """Each sample against all of the other view and the rest of its own view; `mask_intra` leaves pairs out."""

    def one_way(across, within):
        def one(i):
            logits = list(inter * across[i] / temperature)
            for j in range(len(within)):
                if blocks == "both" and j != i and not (mask_intra is not None and mask_intra[i, j]):
                    logits.append(intra * within[i, j] / temperature)
            return lse(logits) - inter * across[i, i] / temperature if len(logits) > 1 else None

        return rows_of(one, len(across))

    return two_views(one_way, z1, z2, metric)


def von_mises_weights(diagonal, sigma):
    """2 - n softmax of the positives' similarities."""
    diagonal = double(diagonal) / sigma
    return 2 - len(diagonal) * np.exp(diagonal - lse(diagonal))


def dcl_one_way(across, within=None, temperature=0.1, *, sigma=None, factors=None):
    """Minus the weighted positive plus the log-sum-exp of all negatives, the positive not among them."""
    across = double(across)
    if sigma is not None:
        factors = von_mises_weights(np.diag(across), sigma)
    factors = np.ones(len(across)) if factors is None else factors

    def one(i):
        others = np.arange(len(across)) != i
        negatives = list(across[i, others]) + ([] if within is None else list(within[i, others]))
        if not negatives:
            return None
        return lse(np.array(negatives) / temperature) - factors[i] * across[i, i] / temperature

    return rows_of(one, len(across))


def dcl(z1, z2, temperature=0.1, *, metric="cosine", sigma=None, factors=None, intra=True):
    """The mean of both directions; `sigma` for the weights of dclw, `factors` for weights that are given."""

    def one_way(across, within):
        return dcl_one_way(across, within if intra else None, temperature, sigma=sigma, factors=factors)

    return two_views(one_way, z1, z2, metric)


def hcl(s, positives=None, temperature=0.5, beta=1.0, tau_plus=0.1, ignore=None, fixed=None):
    """Importance-weighted, debiased negatives, in the direct form of the paper.

    `fixed`, logits of the same shape, gives the weights e^(beta L) / mean e^(beta L) from elsewhere: detached.
    """
    s = double(s)
    n, m = s.shape
    positive = mask_of(positives, n, m)
    allowed = np.ones((n, m), bool) if ignore is None else ~ignore
    guides = s / temperature if fixed is None else double(fixed)

    def one(i):
        negative = allowed[i] & ~positive[i]
        count = int(negative.sum())
        if not positive[i].any() or not count:
            return None
        (own,) = s[i, positive[i]] / temperature
        other, guide = s[i, negative] / temperature, guides[i, negative]
        shift = max(own, other.max())
        weights = np.exp(beta * guide - lse(beta * guide)) * count
        mass = (weights * np.exp(other - shift)).sum()
        least = count * np.exp(-1 / temperature - shift)
        mass = max((mass - tau_plus * count * np.exp(own - shift)) / (1 - tau_plus), least)
        return np.log1p(mass / np.exp(own - shift))

    return rows_of(one, n)


def sigmoid_rows(
    s, positive, *, ignore=None, scale=1.0, bias=0.0, positive_factor=1.0, negative_factor=1.0, weights=None
):
    """The sum over the pairs of each row of softplus(-z) for positives and softplus(z) for negatives."""
    s = double(s)
    allowed = np.ones(s.shape, bool) if ignore is None else ~np.asarray(ignore, bool)
    weights = np.ones(s.shape) if weights is None else double(weights)

    def one(i):
        z = scale * s[i] + bias
        terms = np.where(positive[i], positive_factor * softplus(-z), negative_factor * softplus(z))
        return (weights[i] * terms)[allowed[i]].sum() if allowed[i].any() else None

    return rows_of(one, len(s))


def siglip(s, positives=None, scale=10.0, bias=-10.0, ignore=None):
    s = double(s)
    return sigmoid_rows(s, mask_of(positives, *s.shape), ignore=ignore, scale=scale, bias=bias)


def pairwise_bce(s, positive, balance="pairs", ignore=None, weights=None):
    """The mean over all pairs, or the mean over positives plus the mean over negatives; a side of no pairs adds 0."""
    s, positive = double(s), np.asarray(positive, bool)
    allowed = np.ones(s.shape, bool) if ignore is None else ~np.asarray(ignore, bool)
    weights = np.ones(s.shape) if weights is None else weights
    positives, negatives = allowed & positive, allowed & ~positive
    first, second = (weights * softplus(-s))[positives].sum(), (weights * softplus(s))[negatives].sum()
    if balance == "pairs":
        return (first + second) / max(allowed.sum(), 1)
    return first / max(positives.sum(), 1) + second / max(negatives.sum(), 1)


def binary_opposite(yes, no):
    """Minus the mean of log p of matching pairs and of log (1 - p) of the others, p = sigma(yes - no)."""
    return pairwise_bce(double(yes) - double(no), np.eye(len(yes), dtype=bool), "sides")


def cwcl(x, y, u, temperature, metric="cosine"):
    """One direction against (1 + cos u)/2, the other against the diagonal."""
    s = similarities(x, y, metric)
    first = soft_targets(s, (1 + similarities(u)) / 2, temperature)
    return first, info_nce(s.T, temperature=temperature)


def prototype_nce(x, prototypes, assignments, temperature=0.1, *, metric="dot", concentration=None, targets=None):
    """Softmax over prototypes, whose own temperatures may differ; assignment -1 leaves a row out."""
    s = similarities(x, prototypes, metric)
    s = s / (temperature if concentration is None else double(concentration))
    if targets is not None:
        return soft_targets(s, targets)
    return info_nce(s, assignments, needs_negatives=False)


def teacher_targets(prototypes, labels, temperature):
    """Softmax over all prototypes of the similarities of each row's own prototype."""
    logits = similarities(double(prototypes)[labels], prototypes, "dot") / temperature
    return np.exp(logits - np.array([lse(row) for row in logits])[:, np.newaxis])


def swapped_prediction(scores, plans, temperature=0.1):
    """Scores of each view against plans of every other, averaged over the ordered pairs of views."""
    pairs = [(a, b) for a in range(len(scores)) for b in range(len(scores)) if a != b]
    return np.mean([reduce(soft_targets(scores[b], plans[a], temperature, normalize=False)) for a, b in pairs])


def reduce(rows, reduction="mean", *, weights=None, weight_norm="count", on_empty="skip"):
    """One number of the valid rows (all rows with on_empty="zero"), or one for each row."""
    weights = np.ones(len(rows.values)) if weights is None else double(weights)
    terms = np.where(rows.valid, weights * rows.values, 0.0)
    if reduction == "none":
        return terms
    if reduction == "sum":
        return terms.sum()
    counted = rows.valid if on_empty == "skip" else np.ones(len(terms), bool)
    divisor = counted.sum() if weight_norm == "count" else weights[counted].sum()
    return terms.sum() / divisor if divisor else 0.0


def stencil(function, step):
    """The derivative at 0 of numbers (an array of them) that depend on one, by central differences of fourth order."""
    near, far = function(step) - function(-step), function(2 * step) - function(-2 * step)
    return (8 * near - far) / (12 * step)


def differences(function, values, step=1e-3):
    """The gradient of a number with respect to an array."""
    values = double(values)
    found = np.zeros(values.shape)
    for place in np.ndindex(values.shape):
        unit_vector = np.zeros(values.shape)
        unit_vector[place] = 1
        found[place] = stencil(lambda t: function(values + t * unit_vector), step)  # noqa: B023
    return found
