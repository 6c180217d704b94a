"""The embeddings of the benchmarks, the same in every run, drawn block by block as those of `benchmarks.data`."""

from typing import NamedTuple

import numpy as np

from .data import SEED, Array

BLOCK = 1 << 14


class Embeddings(NamedTuple):
    """What a search or a matrix of scores is called with."""

    x: Array
    y: Array | None = None
    """None for a search of x among itself, in which no row finds itself."""
    metric: str = "dot"
    k: int = 10
    mask: Array | None = None
    """The pairs that count, as packed bits; a multiple of eight columns."""
    exclude: Array | None = None
    """Columns that do not count, as many for each row."""

    @property
    def corpus(self) -> Array:
        """The rows that are searched."""
        return self.x if self.y is None else self.y


def make_rows(rows: int, width: int, dtype: str = "float32", part: int = 0) -> Array:
    """Gaussian rows of length one; of integers, six standard deviations fill the range; `part` draws others."""
    rng = np.random.default_rng([SEED, part])
    result = np.empty((rows, width), dtype)
    for begin in range(0, rows, BLOCK):
        block = rng.standard_normal((min(BLOCK, rows - begin), width), np.float32)
        if result.dtype.kind == "f":
            block /= np.linalg.norm(block, axis=1, keepdims=True)
        else:
            limit = np.iinfo(dtype).max
            block = np.clip(np.rint(block * (limit / 6)), -limit, limit)
        result[begin : begin + len(block)] = block
    return result


def make_bits(rows: int, bits: int, part: int = 0) -> Array:
    """Random bits, packed."""
    return np.random.default_rng([SEED, part]).integers(0, 256, (rows, bits // 8), np.uint8)


def make_mask(queries: int, rows: int) -> Array:
    """Half of all pairs, as packed bits; they fill whole bytes."""
    return np.random.default_rng([SEED, 2]).integers(0, 256, (queries, rows // 8), np.uint8)


def make_exclude(queries: int, rows: int, count: int) -> Array:
    """Different columns for each row, in ascending order."""
    rng = np.random.default_rng([SEED, 3])
    firsts = rng.integers(0, rows // count, (queries, count))
    return firsts + np.arange(count) * (rows // count)


def make_search(queries: int, rows: int, width: int, k: int = 10, dtype: str = "float32") -> Embeddings:
    """Some queries and the rows to search."""
    return Embeddings(make_rows(queries, width, dtype, part=1), make_rows(rows, width, dtype), k=k)
