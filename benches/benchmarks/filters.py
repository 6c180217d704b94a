"""The rows that filters of few bits are measured on: easy ones, and those that are hard for a filter.

All have length one, unless it is the norms that are the matter.
"""

import numpy as np

from .data import SEED, Array
from .embeddings import BLOCK, Embeddings, make_rows
from .mining import around

QUERIES, WIDTH = 1_000, 768

# Rows of a tight cluster, and how far they are from its centre: any two have a cosine of about 0.999.
PER_CLUSTER, TIGHT = 1_000, 0.0316

# How far queries are from the direction along which the rows are sorted.
NEAR = 0.05

# Standard deviations fall with this power; the cosine of two rows is about this; so many columns have this share of the
# squared length of the mean, and so many times the standard deviation.
POWER, COMMON, OUTLIERS, SHARE, WIDER = 0.4, 0.6, 4, 0.6, 3.0

# Standard deviation of the logarithms of norms.
SPREAD = 0.5

SAMPLED = 4_096


def make_tight(rows: int) -> Embeddings:
    """Clusters of a thousand rows, in any order, and queries from within them."""
    rng = np.random.default_rng([SEED, 31])
    centres = make_rows(max(1, rows // PER_CLUSTER), WIDTH, part=2)
    corpus = around(centres, rng.permutation(rows) % len(centres), TIGHT, make_rows(rows, WIDTH))
    chosen = rng.integers(0, len(centres), QUERIES)
    return Embeddings(around(centres, chosen, TIGHT, make_rows(QUERIES, WIDTH, part=1)), corpus)


def make_sorted(rows: int) -> Embeddings:
    """Gaussian rows in an order in which the scores of all queries rise: the best come last."""
    direction = make_rows(1, WIDTH, part=2)
    corpus = make_rows(rows, WIDTH)
    corpus = corpus[np.argsort(corpus @ direction[0], kind="stable")]
    return Embeddings(
        around(direction, np.zeros(QUERIES, np.int64), NEAR, make_rows(QUERIES, WIDTH, part=1)),
        corpus,
    )


def make_anisotropic(rows: int) -> Embeddings:
    """Rows with a common mean, a spectrum that falls with a power, and a few columns of large values."""
    rng = np.random.default_rng([SEED, 32])
    deviations = rng.permutation(np.arange(1, WIDTH + 1, dtype=np.float64) ** -POWER)
    outliers = rng.choice(WIDTH, OUTLIERS, replace=False)
    deviations[outliers] *= WIDER
    mean = rng.standard_normal(WIDTH)
    mean[outliers] = 0
    mean *= np.sqrt((1 - SHARE) / (mean @ mean))
    mean[outliers] = np.sqrt(SHARE / OUTLIERS)
    # Of the squared length of a row, the mean has the share that two rows have in common.
    mean *= np.sqrt(COMMON / (1 - COMMON) * (deviations @ deviations))

    def draw(count: int, part: int) -> Array:
        own = np.random.default_rng([SEED, 33, part])
        result = np.empty((count, WIDTH), np.float32)
        for begin in range(0, count, BLOCK):
            block = own.standard_normal((min(BLOCK, count - begin), WIDTH)) * deviations + mean
            result[begin : begin + len(block)] = block / np.linalg.norm(block, axis=1, keepdims=True)
        return result

    return Embeddings(draw(QUERIES, 1), draw(rows, 0))


def make_lognormal(rows: int) -> Embeddings:
    """Gaussian directions with norms of many sizes: the largest products are those of long rows."""
    corpus = make_rows(rows, WIDTH)
    corpus *= np.random.default_rng([SEED, 34]).lognormal(sigma=SPREAD, size=(rows, 1)).astype(np.float32)
    return Embeddings(make_rows(QUERIES, WIDTH, part=1), corpus)


def make_duplicates(rows: int) -> Embeddings:
    """Every row twice, far apart: all scores are tied."""
    half = make_rows(-(-rows // 2), WIDTH)
    return Embeddings(make_rows(QUERIES, WIDTH, part=1), np.concatenate([half, half])[:rows])


def make_own(rows: int, width: int = 384) -> Embeddings:
    """Some of the rows as queries, of which none may find itself."""
    corpus = make_rows(rows, width)
    queries = corpus[:SAMPLED]
    return Embeddings(queries, corpus, exclude=np.arange(len(queries))[:, np.newaxis])
