"""The scores that losses are measured on: positives and negatives, and lists; the same in every run."""

from typing import NamedTuple

import numpy as np

from .data import SEED, Array

GRADES = 5


class Pairs(NamedTuple):
    """Scores of positives and of negatives."""

    pos: Array
    neg: Array


class Lists(NamedTuple):
    """Scores in lists, one after the other, all of one length."""

    scores: Array
    relevance: Array
    offsets: Array

    @property
    def length(self) -> int:
        """Of each list."""
        return int(self.offsets[1])


def make_pairs(positives: int, negatives: int, dtype: str = "float64") -> Pairs:
    """N(1, 1) for positives, N(0, 1) for negatives."""
    rng = np.random.default_rng([SEED, 4])
    return Pairs((1 + rng.standard_normal(positives)).astype(dtype), rng.standard_normal(negatives).astype(dtype))


def make_scores(rows: int, dtype: str = "float64") -> Array:
    """N(0, 1)."""
    return np.random.default_rng([SEED, 5]).standard_normal(rows).astype(dtype)


def make_lists(lists: int, length: int, dtype: str = "float32", distinct: bool = False) -> Lists:
    """Scores of a logistic distribution, none equal within a list; five grades, or as many as there are scores.

    Equal scores would have ranks that packages choose differently, and equal grades an order likewise.
    """
    rng = np.random.default_rng([SEED, 6])
    strata = rng.permuted(np.tile(np.arange(length), (lists, 1)), axis=1)
    shares = (strata + rng.uniform(0.1, 0.9, strata.shape)) / length
    if distinct:
        relevance = rng.permuted(np.tile(np.arange(length), (lists, 1)), axis=1)
    else:
        relevance = rng.integers(0, GRADES, strata.shape)
    scores = np.log(shares / (1 - shares))
    offsets = np.arange(0, lists * length + 1, length)
    return Lists(scores.astype(dtype).ravel(), relevance.astype(dtype).ravel(), offsets)
