"""Data patterns: one table of score shapes that have broken AUC code, for every score dtype.

``make(name, dtype, n)`` returns ``(scores, positive)``, always the same for the same arguments; both
classes are present from two rows on. `names` lists the patterns that exist for a dtype.
"""

from functools import cache
from zlib import crc32

import numpy as np
import oracle
import pytest

DTYPES = (
    "bool",
    *("int8", "int16", "int32", "int64"),
    *("uint8", "uint16", "uint32", "uint64"),
    *("float16", "bfloat16", "float32", "float64"),
)
SMALL_SIZES = (0, 1, 2, 3, 15, 16, 17, 31, 33, 255, 256, 257, 1000)


def as_dtype(name):
    """The numpy dtype of that name; bfloat16 comes from ml_dtypes."""
    if name == "bfloat16":
        return np.dtype(pytest.importorskip("ml_dtypes").bfloat16)
    return np.dtype(name)


def generator(name, *numbers):
    """Random numbers that depend on a name (and on numbers) alone."""
    return np.random.default_rng([crc32(name.encode()), *numbers])


def pick(rng, n, *values):
    """Draw among a few Python ints."""
    return np.array(values, dtype=object)[rng.integers(0, len(values), n)]


def between(rng, n, low, high):
    """Draw Python ints from low to high, both included."""
    wide = np.uint64 if high >= 2**63 else np.int64
    return rng.integers(low, high, n, endpoint=True, dtype=wide).astype(object)


def coin(rng, n, share=0.5):
    """Random classes, at least one row of each where there is room."""
    positive = rng.random(n) < share
    if n > 1:
        up, down = rng.choice(n, 2, replace=False)
        positive[up], positive[down] = True, False
    return positive


def lone(rng, n, value):
    """One row (any) that differs from all the others."""
    rows = np.full(n, not value)
    if n:
        rows[rng.integers(n)] = value
    return rows


def separated(rng, n, sign):
    positive = coin(rng, n)
    return np.where(positive, sign, -sign) * (1 + rng.random(n)), positive


def replaced(values, rng, share, new):
    """Values of which a share is overwritten, at least one."""
    values = values.copy()
    hit = rng.random(len(values)) < share
    hit[: len(values) and 1] = True
    values[hit] = rng.choice(new, hit.sum())
    return values


GENERAL = {  # float64 values that mean something in every dtype
    "normal": lambda rng, n: ((y := coin(rng, n)) + rng.normal(size=n), y),
    "two_values": lambda rng, n: (rng.integers(0, 2, n), coin(rng, n)),
    "three_values": lambda rng, n: (rng.integers(-1, 2, n), coin(rng, n)),
    "ten_values": lambda rng, n: (rng.integers(0, 10, n) / 10, coin(rng, n)),
    "square_root_values": lambda rng, n: (rng.integers(0, int(n**0.5) + 1, n) / 8, coin(rng, n)),
    "mostly_one_value": lambda rng, n: (replaced(np.ones(n), rng, 0.1, rng.normal(size=99)), coin(rng, n)),
    "constant": lambda rng, n: (np.full(n, 0.25), coin(rng, n)),
    "zeros": lambda rng, n: (np.zeros(n), coin(rng, n)),
    "ascending": lambda rng, n: (np.sort(rng.normal(size=n)), coin(rng, n)),
    "descending": lambda rng, n: (np.sort(rng.normal(size=n))[::-1], coin(rng, n)),
    "organ_pipe": lambda rng, n: (np.minimum(np.arange(n), np.arange(n)[::-1]) / 4, coin(rng, n)),
    "sawtooth": lambda rng, n: (np.arange(n) % 7 - 3, coin(rng, n)),
    "alternating_classes": lambda rng, n: (np.sort(rng.normal(size=n)), np.arange(n) % 2 == 1),
    "classes_in_blocks": lambda rng, n: (rng.normal(size=n), np.arange(n) * 2 >= n),
    "saturated": lambda rng, n: (1 / (1 + np.exp(-99 * rng.normal(size=n))), coin(rng, n)),
    "heavy_tail": lambda rng, n: (np.clip(rng.standard_cauchy(n) ** 3, -1e12, 1e12), coin(rng, n)),
    "wide": lambda rng, n: (rng.normal(size=n) * 10.0 ** rng.uniform(-30, 30, n), coin(rng, n)),
    "near_one": lambda rng, n: (replaced(1 - 1e-6 * rng.random(n), rng, 0.001, [-1e6, 1e6]), coin(rng, n)),
    "one_negative_score": lambda rng, n: (np.where(lone(rng, n, True), -1, rng.random(n)), coin(rng, n)),
    "all_negative_scores": lambda rng, n: (-np.abs(rng.normal(size=n)), coin(rng, n)),
    "one_positive_row": lambda rng, n: (rng.normal(size=n), lone(rng, n, True)),
    "one_negative_row": lambda rng, n: (rng.normal(size=n), lone(rng, n, False)),
    "rare_positives": lambda rng, n: ((y := coin(rng, n, 1e-3)) + rng.normal(size=n), y),
    "very_rare_positives": lambda rng, n: ((y := coin(rng, n, 1e-5)) + rng.normal(size=n), y),
    "rare_negatives": lambda rng, n: ((y := coin(rng, n, 0.999)) + rng.normal(size=n), y),
    "positives_tied": lambda rng, n: (np.where(y := coin(rng, n), 0.5, rng.normal(size=n)), y),
    "positives_above": lambda rng, n: separated(rng, n, 1),
    "positives_below": lambda rng, n: separated(rng, n, -1),
}

FLOAT_BITS = {  # bit patterns of special floats, as Python ints, from the bits of (1.0, inf, sign)
    "signed_zeros": lambda rng, n, one, inf, sign: pick(rng, n, 0, sign, 1, sign + 1),
    "infinities": lambda rng, n, one, inf, sign: pick(rng, n, inf, sign + inf, one, sign + one, 0),
    "subnormals": lambda rng, n, one, inf, sign: pick(rng, n, *range(9)) + pick(rng, n, 0, sign),
    "ulps_around_one": lambda rng, n, one, inf, sign: pick(rng, n, *range(one - 2, one + 3)),
    "extremes": lambda rng, n, one, inf, sign: pick(
        rng, n, 0, 1, 2, one, inf - 1, inf, sign, sign + 1, sign + one, sign + inf - 1, sign + inf
    ),
    "any_bits": lambda rng, n, one, inf, sign: between(rng, n, 0, inf) + pick(rng, n, 0, sign),
}

INTEGERS = {  # Python ints over the whole range of the dtype
    "extremes": lambda rng, n, low, high: pick(rng, n, low, low + 1, (low + high) // 2, 0, 1, high - 1, high),
    "any_bits": lambda rng, n, low, high: between(rng, n, low, high),
    "neighbours": lambda rng, n, low, high: high - pick(rng, n, *range(4)),
}


def names(dtype):
    """The patterns that exist for a dtype, by name."""
    if dtype == "bool":
        return [*GENERAL]
    return [*GENERAL, *(INTEGERS if "int" in dtype else FLOAT_BITS)]


def cast(values, dtype):
    """Float64 values in another dtype, keeping as much of their order as fits."""
    values = np.asarray(values, dtype=np.float64)
    if dtype.kind == "b":
        return values > (np.median(values) if len(values) else 0)
    if dtype.kind not in "iu":
        with np.errstate(over="ignore", under="ignore"):
            return values.astype(dtype)
    low, high = max(np.iinfo(dtype).min, -(2**53)), min(np.iinfo(dtype).max, 2**53)
    scale = {1: 32, 2: 1000}.get(dtype.itemsize, 10**6)
    return np.clip(np.rint(values * scale) + (low + high + 1) // 2, low, high).astype(dtype)


def plain(scores):
    """Scores that numpy can sort: bfloat16 as float32."""
    return scores.astype(np.float32) if scores.dtype.kind == "V" else scores


def make(name, dtype, n):
    """Scores of that pattern, dtype and length, and which rows are positive."""
    rng = generator(name, n)
    full = as_dtype(dtype)
    if name in GENERAL:
        values, positive = GENERAL[name](rng, n)
        return cast(values, full), positive
    positive = coin(rng, n)
    if full.kind in "iu":
        low, high = int(np.iinfo(full).min), int(np.iinfo(full).max)
        return INTEGERS[name](rng, n, low, high).astype(full), positive
    bits = np.dtype(f"u{full.itemsize}")
    one, inf = (int(np.array(x, full).view(bits)) for x in (1.0, np.inf))
    sign = 1 << (8 * full.itemsize - 1)
    return FLOAT_BITS[name](rng, n, one, inf, sign).astype(bits).view(full), positive


@cache
def solved(name, dtype, n):
    """A small case with its answer, worked out once: ``(scores, positive, auc)``."""
    scores, positive = make(name, dtype, n)
    scores.flags.writeable = positive.flags.writeable = False
    return scores, positive, oracle.auc(scores, positive)
