"""The data of the benchmarks, the same in every run.

Everything is drawn from a seeded generator, and block by block: making the data takes hardly any memory
beyond the data, so that a peak that is measured later is that of the measured call.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

BLOCK = 1 << 16
SEED = 20260101


def _normal(rng: np.random.Generator, labels: Array) -> Array:
    """Draw N(0, 1) for negatives and N(1, 1) for positives."""
    return rng.standard_normal(len(labels)) + labels


def _sigmoid(logits: Array) -> Array:
    return 1 / (1 + np.exp(-logits))


def _clusters(rng: np.random.Generator, labels: Array) -> Array:
    near = 0.5 + 1e-4 * _normal(rng, labels)
    return np.where(rng.random(len(labels)) < 0.01, 1e6 * rng.standard_normal(len(labels)), near)


# The scores of one block of labels. Sorted and reversed scores are random ones, put in order afterwards.
DISTRIBUTIONS: dict[str, Callable[[np.random.Generator, Array], Array]] = {
    "random": _normal,
    "skewed": lambda rng, labels: np.exp(4 * _normal(rng, labels)),
    "saturated": lambda rng, labels: _sigmoid(16 + 8 * _normal(rng, labels)),
    "ties": lambda rng, labels: np.floor(1000 * _sigmoid(_normal(rng, labels))) / 1000,
    "sorted": _normal,
    "reversed": _normal,
    "constant": lambda rng, labels: np.full(len(labels), 0.5),
    "clusters": _clusters,
}


class Data(NamedTuple):
    """What the functions under test are called with; a sort takes only `scores`."""

    scores: Array
    labels: Array
    weights: Array | None = None
    groups: Array | None = None


def dtype_named(name: str) -> np.dtype[Any]:
    """Look up a dtype; numpy does not know bfloat16, ml_dtypes does."""
    if name == "bfloat16":
        import ml_dtypes

        return np.dtype(ml_dtypes.bfloat16)
    return np.dtype(name)


def make_data(
    rows: int, dtype: str = "float32", distribution: str = "random", positives: float = 0.1, seed: int = SEED
) -> Data:
    """Scores of one distribution and bool labels, of which about the share `positives` is True."""
    rng = np.random.default_rng(seed)
    scores = np.empty(rows, dtype_named(dtype))
    labels = np.empty(rows, np.bool_)
    for block in _blocks(rows):
        labels[block] = rng.random(len(labels[block])) < positives
        labels[:1], labels[-1:] = True, False
        scores[block] = _as_dtype(DISTRIBUTIONS[distribution](rng, labels[block]), scores.dtype)
    if distribution in ("sorted", "reversed"):
        # Reversing by negation needs no copy.
        direction = -1 if distribution == "reversed" else 1
        scores *= direction
        scores.sort()
        scores *= direction
        # Each sorted score draws its label anew, with the probability that Bayes gives for the two normals.
        prior = np.log(positives / (1 - positives))
        for block in _blocks(rows):
            posterior = _sigmoid(scores[block].astype(np.float64) - 0.5 + prior)
            labels[block] = rng.random(len(posterior)) < posterior
    return Data(scores, labels)


def make_weights(rows: int, dtype: str = "float32") -> Array:
    """Uniform weights in [0, 1)."""
    return np.random.default_rng(SEED + 1).random(rows).astype(dtype)


def make_groups(rows: int, groups: int, sparse: bool = False) -> Array:
    """Unsorted int64 ids: 0, 1, ... or, if `sparse`, numbers spread over forty bits."""
    rng = np.random.default_rng(SEED + 2)
    codes = rng.integers(0, groups, rows)
    return rng.integers(0, 1 << 40, groups)[codes] if sparse else codes


def make_batch(series: int, rows: int, dtype: str = "float32") -> Data:
    """One row of scores for each series, one vector of labels for all."""
    rng = np.random.default_rng(SEED + 3)
    labels = rng.random(rows) < 0.1
    labels[0], labels[-1] = True, False
    return Data((rng.standard_normal((series, rows)) + labels).astype(dtype), labels)


def make_keys(rows: int, dtype: str) -> Array:
    """Uniform unsigned keys for the sort."""
    return np.random.default_rng(SEED + 4).integers(0, np.iinfo(dtype).max, rows, dtype, endpoint=True)


def _blocks(rows: int) -> list[slice]:
    return [slice(start, min(start + BLOCK, rows)) for start in range(0, rows, BLOCK)]


def _as_dtype(values: Array, dtype: np.dtype[Any]) -> Array:
    """Spread six standard deviations over the range of an integer dtype; leave floats as they are."""
    if dtype.kind not in "iu":
        return values
    limits = np.iinfo(dtype)
    middle = 0 if dtype.kind == "i" else limits.max // 2
    return np.clip(np.rint(values * (limits.max / 12) + middle), limits.min, limits.max)
