"""The embeddings that contrastive losses are measured on: two sets of aligned rows, or one with labels."""

from typing import NamedTuple

import numpy as np

from .data import SEED, Array
from .embeddings import make_rows

# How far a row is from what it belongs to, in lengths: the cosine of both is about 0.55, of others about 0.
NOISE = 1.5
CLASSES = 64


class Batch(NamedTuple):
    """Rows of length one; row i of `y` belongs to row i of `x`, or rows of the same label belong together."""

    x: Array
    y: Array | None = None
    labels: Array | None = None


def make_batch(rows: int, width: int) -> Batch:
    """Queries and their passages, images and their texts, two views of the same."""
    x = make_rows(rows, width)
    return Batch(x, _near(x, make_rows(rows, width, part=1)))


def make_classes(rows: int, width: int) -> Batch:
    """Rows around the centres of 64 classes, as many of each, in random order."""
    labels = np.random.default_rng([SEED, 7]).permutation(np.arange(rows) % CLASSES)
    centres = make_rows(CLASSES, width)
    return Batch(_near(centres[labels], make_rows(rows, width, part=1)), labels=labels)


def _near(rows: Array, noise: Array) -> Array:
    """Move rows by noise of their own length, in place of the noise."""
    noise *= NOISE
    noise += rows
    noise /= np.linalg.norm(noise, axis=1, keepdims=True)
    return noise
