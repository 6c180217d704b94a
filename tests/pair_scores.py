"""Scores of positives and negatives, distributed in every way that has broken an all-pairs loss; solved by the oracle.

The solution of a distribution is worked out once and kept: loss and gradient of all pairs in long double.
"""

from functools import cache

import cases
import numpy as np
import oracle_losses as oracle

LOG_UNIFORM = np.log([1e-8, 1e8])

DISTRIBUTIONS = {  # rng, n positives, m negatives -> their scores
    "normal": lambda rng, n, m: (rng.normal(1, 1, n), rng.normal(0, 1, m)),
    "normal x0.01": lambda rng, n, m: (rng.normal(1, 1, n) / 100, rng.normal(0, 1, m) / 100),
    "normal x50": lambda rng, n, m: (rng.normal(1, 1, n) * 50, rng.normal(0, 1, m) * 50),
    "normal + 1e6": lambda rng, n, m: (rng.normal(1, 1, n) + 1e6, rng.normal(0, 1, m) + 1e6),
    "normal - 1e6": lambda rng, n, m: (rng.normal(1, 1, n) - 1e6, rng.normal(0, 1, m) - 1e6),
    "cauchy": lambda rng, n, m: (rng.standard_cauchy(n), rng.standard_cauchy(m)),
    "cauchy x1e6": lambda rng, n, m: (rng.standard_cauchy(n) * 1e6, rng.standard_cauchy(m) * 1e6),
    "ties": lambda rng, n, m: (rng.integers(-3, 4, n) * 1.0, rng.integers(-3, 4, m) * 1.0),
    "all equal": lambda rng, n, m: (np.full(n, 0.1), np.full(m, 0.1)),
    "separated by 40": lambda rng, n, m: (rng.normal(40, 1, n), rng.normal(0, 1, m)),
    "separated by -40": lambda rng, n, m: (rng.normal(-40, 1, n), rng.normal(0, 1, m)),
    "separated by 300": lambda rng, n, m: (rng.normal(300, 1, n), rng.normal(0, 1, m)),
    "separated by -300": lambda rng, n, m: (rng.normal(-300, 1, n), rng.normal(0, 1, m)),
    "log-uniform": lambda rng, n, m: tuple(
        np.exp(rng.uniform(*LOG_UNIFORM, k)) * rng.choice([-1, 1], k) for k in (n, m)
    ),
    "uniform to 1e4": lambda rng, n, m: (rng.uniform(0, 1e4, n), rng.uniform(0, 1e4, m)),
    "uniform to 200": lambda rng, n, m: (rng.uniform(0, 200, n), rng.uniform(0, 200, m)),
    "sigmoid": lambda rng, n, m: (1 / (1 + np.exp(-rng.normal(1, 3, n))), 1 / (1 + np.exp(-rng.normal(0, 3, m)))),
    "box borders": lambda rng, n, m: (borders(rng, n), borders(rng, m)),
    "two clusters": lambda rng, n, m: (rng.choice([0, 7], n) + rng.random(n), rng.choice([0, 7], m) + rng.random(m)),
    "one outlier": lambda rng, n, m: (np.append(rng.normal(size=n - 1), 1e8), rng.normal(size=m)),
}
SHAPES = ((700, 3000), (60, 4000), (3, 5), (1, 1))


def borders(rng, n):
    """Whole numbers and their neighbours among the floats: where the boxes of a grid begin and end."""
    values = rng.integers(-8, 9, n) * 1.0
    return np.nextafter(values, values + rng.integers(-1, 2, n))


@cache
def draw(name, n, m):
    """Scores of all items, positives among negatives, and which are positive; the same for every call."""
    rng = cases.generator(name, n, m)
    pos, neg = DISTRIBUTIONS[name](rng, n, m)
    order = rng.permutation(n + m)
    scores, positive = np.concatenate([pos, neg])[order], (np.arange(n + m) < n)[order]
    scores.flags.writeable = positive.flags.writeable = False
    return scores, positive


@cache
def solved(name, n, m, surrogate="logistic", temperature=1.0, weighted=False):
    """Scores, classes, weights and the loss of all pairs by the oracle."""
    scores, positive = draw(name, n, m)
    weights = weights_of(n + m) if weighted else None
    loss = oracle.pair_loss(scores, positive, weights, surrogate=surrogate, temperature=temperature)
    return scores, positive, weights, loss


def weights_of(n):
    """Weights of very different size, every fifth zero."""
    weights = 10.0 ** cases.generator("weights", n).uniform(-3, 3, n)
    if n > 5:
        weights[::5] = 0
    return weights
