"""What is mined in the benchmarks: a corpus with a passage for each query, and rows of a memory map."""

import tempfile
from typing import NamedTuple

import numpy as np

from .data import SEED, Array
from .embeddings import BLOCK, Embeddings, make_rows

# Passages of a topic have a cosine of about 0.9, queries and their passages of about 0.6: so that the closest rows are
# of the same topic, and some of them too close to the positive.
PER_TOPIC, OF_TOPIC, OF_QUERY = 50, 0.35, 1.3
QUERIES = 5
"""Rows of the corpus for each query."""


class Corpus(NamedTuple):
    """Rows of length one, and the row of the corpus that belongs to each query."""

    queries: Array
    corpus: Array
    positives: Array
    k: int


def make_corpus(rows: int, width: int, k: int = 5) -> Corpus:
    """Passages around the centres of topics, and queries around some of the passages."""
    rng = np.random.default_rng([SEED, 11])
    topics = make_rows(-(-rows // PER_TOPIC), width, part=2)
    corpus = around(topics, rng.integers(0, len(topics), rows), OF_TOPIC, make_rows(rows, width))
    positives = rng.permutation(rows)[: rows // QUERIES]
    return Corpus(around(corpus, positives, OF_QUERY, make_rows(len(positives), width, part=1)), corpus, positives, k)


def make_mapped(queries: int, rows: int, width: int, k: int = 10) -> Embeddings:
    """Rows in a file without a name, and as many of them as queries as one row of tiles may have."""
    with tempfile.TemporaryFile() as file:  # the map outlives it
        mapped = np.memmap(file, np.float32, "w+", shape=(rows, width))
    rng = np.random.default_rng([SEED, 12])
    for begin in range(0, rows, BLOCK):
        block = rng.standard_normal((min(BLOCK, rows - begin), width), np.float32)
        mapped[begin : begin + len(block)] = block / np.linalg.norm(block, axis=1, keepdims=True)
    mapped.flush()
    return Embeddings(make_rows(queries, width, part=1), mapped, k=k)


def around(centres: Array, chosen: Array, noise: float, moved: Array) -> Array:
    """Move rows by noise of so many lengths, in place of the noise; block by block."""
    for begin in range(0, len(moved), BLOCK):
        block = moved[begin : begin + BLOCK]
        block *= noise
        block += centres[chosen[begin : begin + BLOCK]]
        block /= np.linalg.norm(block, axis=1, keepdims=True)
    return moved
