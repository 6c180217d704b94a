"""The slow, obviously right answers that every test compares with.

An AUC is the share of (positive, negative) pairs that the scores put in the right order, a tie counting
one half. `ratio` looks at every pair with ``>`` and ``==`` on the original values (64-bit integers become
Python ints, so nothing is rounded) and returns the exact fraction; `auc` rounds it once to float64. With
weights each pair counts the product of its two weights, in exact rational arithmetic as well.

`counted` is the same number for inputs too large for all pairs: positives and negatives are counted per
distinct score with 64-bit integers. `test_oracle.py` checks it against `ratio`.

``positive`` is a boolean array throughout: reading labels is the library's business, not the oracle's.
"""

from fractions import Fraction
from itertools import pairwise
from math import lcm, nan

import numpy as np


def comparable(scores):
    """Scores as an array whose ``>`` and ``==`` are exact."""
    scores = np.asarray(scores)
    return scores.astype(object) if scores.dtype.kind in "iu" and scores.dtype.itemsize == 8 else scores


def integers(weights):
    """Python ints proportional to the weights, exactly: every float is a fraction."""
    fractions = [Fraction(float(w)) if w.dtype.kind not in "iu" else Fraction(int(w)) for w in weights]
    scale = lcm(*(f.denominator for f in fractions))
    return np.array([int(f * scale) for f in fractions], dtype=object)


def ratio(scores, positive, weights=None):
    """Exact AUC as a `Fraction`, or None when a class is missing or weighs nothing."""
    scores, positive = comparable(scores), np.asarray(positive, dtype=bool)
    above = scores[positive][:, None] > scores[~positive][None, :]
    tied = scores[positive][:, None] == scores[~positive][None, :]
    if weights is None:
        twice_won = 2 * np.count_nonzero(above) + np.count_nonzero(tied)
        pairs = above.size
    else:
        weights = integers(np.asarray(weights))
        heavy, light = weights[positive], weights[~positive]
        pairs = sum(heavy) * sum(light)
        points = 2 * above.astype(bool).astype(object) + tied.astype(bool).astype(object)
        twice_won = heavy @ points @ light if pairs else 0
    return Fraction(int(twice_won), 2 * int(pairs)) if pairs else None


def auc(scores, positive, weights=None):
    """The float64 nearest to the exact AUC, nan when it is undefined."""
    value = ratio(scores, positive, weights)
    return nan if value is None else float(value)


def first_appearance(groups):
    """The distinct ids in the order in which they first appear."""
    return list(dict.fromkeys(np.asarray(groups).tolist()))


def members(groups):
    """One array of row numbers per group, groups in order of first appearance."""
    rows = {}
    for row, group in enumerate(np.asarray(groups).tolist()):
        rows.setdefault(group, []).append(row)
    return [np.array(numbers) for numbers in rows.values()]


def segments(offsets):
    """One array of row numbers per CSR segment."""
    return [np.arange(start, stop) for start, stop in pairwise(offsets)]


def grouped(scores, positive, rows, weights=None, one=auc):
    """AUC of each list of row numbers, as a float64 array."""
    scores, positive = np.asarray(scores), np.asarray(positive, dtype=bool)
    options = [{} if weights is None else {"weights": np.asarray(weights)[r]} for r in rows]
    return np.array([one(scores[r], positive[r], **o) for r, o in zip(rows, options, strict=True)], dtype=np.float64)


def gauc(scores, positive, rows, *, weighting="uniform", undefined="skip", weights=None):
    """Mean of the AUC of each list of row numbers, weighted as asked; nan if no group is left."""
    positive = np.asarray(positive, dtype=bool)
    weights = np.ones(len(positive)) if weights is None else np.asarray(weights)
    total, weighed = Fraction(0), Fraction(0)
    for r in rows:
        value = ratio(np.asarray(scores)[r], positive[r], weights[r])
        if value is None and undefined == "nan":
            return nan
        if value is None and undefined == "skip":
            continue
        value = Fraction(1, 2) if value is None else value
        heavy = sum(map(Fraction, map(float, weights[r][positive[r]])), Fraction(0))
        light = sum(map(Fraction, map(float, weights[r][~positive[r]])), Fraction(0))
        share = {"uniform": 1, "size": heavy + light, "positives": heavy, "pairs": heavy * light}[weighting]
        total, weighed = total + share * value, weighed + share
    return float(total / weighed) if weighed else nan


def counted(scores, positive):
    """`auc` by counts per distinct score; exact while twice the number of pairs stays below 2**63."""
    positive = np.asarray(positive, dtype=bool)
    values, level = np.unique(np.asarray(scores), return_inverse=True)
    ups = np.bincount(level[positive], minlength=len(values))
    downs = np.bincount(level[~positive], minlength=len(values))
    below = np.cumsum(downs) - downs
    pairs = int(ups.sum()) * int(downs.sum())
    return float(Fraction(int(np.sum(ups * (2 * below + downs))), 2 * pairs)) if pairs else nan
