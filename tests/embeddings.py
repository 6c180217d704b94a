"""Data patterns of embeddings: one table of shapes of data that break filters, for every dtype.

``make(name, n, m, d)`` returns float64 ``(x, y)``, always the same for the same arguments; `cast` brings them to a
dtype.
"""

from zlib import crc32

import numpy as np
from cases import as_dtype

DTYPES = ("float64", "float32", "float16", "bfloat16", "int8", "uint8", "int32", "bool")
FLOATS = ("float64", "float32", "float16", "bfloat16")


def gaussian(rng, n, m, d):
    return rng.normal(size=(n, d)), rng.normal(size=(m, d))


def clustered(rng, n, m, d):
    centres = rng.normal(size=(5, d)) * 3
    return centres[rng.integers(0, 5, n)] + rng.normal(size=(n, d)), centres[rng.integers(0, 5, m)] + rng.normal(
        size=(m, d)
    )


def duplicated(rng, n, m, d):
    x, y = gaussian(rng, n, m, d)
    few = y[: max(1, m // 7)]
    y = few[rng.integers(0, len(few), m)] if m else y
    return x, y


def all_equal(rng, n, m, d):
    row = rng.normal(size=d)
    return np.tile(row, (n, 1)), np.tile(row, (m, 1))


def tight(rng, n, m, d):
    centre = rng.normal(size=d)
    return centre + 1e-2 * rng.normal(size=(n, d)), centre + 1e-2 * rng.normal(size=(m, d))


def ascending(rng, n, m, d):
    """Every later row of y is better than the one before."""
    direction = rng.normal(size=d)
    return direction + 0.01 * rng.normal(size=(n, d)), direction * np.linspace(0.1, 1, m)[:, np.newaxis]


def descending(rng, n, m, d):
    x, y = ascending(rng, n, m, d)
    return x, y[::-1].copy()


def anisotropic(rng, n, m, d):
    """A common offset and a few dimensions much larger than the others."""
    scale = np.where(np.arange(d) % 16 == 3, 30.0, 1.0)
    offset = rng.normal(size=d) * 5
    return (rng.normal(size=(n, d)) + offset) * scale, (rng.normal(size=(m, d)) + offset) * scale


def lognormal(rng, n, m, d):
    x, y = gaussian(rng, n, m, d)
    return x * rng.lognormal(0, 2, (n, 1)), y * rng.lognormal(0, 2, (m, 1))


def cancelling(rng, n, m, d):
    """Sums far smaller than their terms."""
    x, y = gaussian(rng, n, m, d)
    signs = np.where(np.arange(d) % 2, -1.0, 1.0)
    big = np.repeat(rng.normal(size=(1, -(-d // 2))) * 100, 2, axis=1)[:, :d]
    return x + big, y + big * signs


def integers(rng, n, m, d):
    return rng.integers(-3, 4, (n, d)).astype(float), rng.integers(-3, 4, (m, d)).astype(float)


def with_zero_rows(rng, n, m, d):
    x, y = gaussian(rng, n, m, d)
    x[::3], y[::2] = 0, 0
    return x, y


def scaled(power):
    def make_scaled(rng, n, m, d):
        x, y = gaussian(rng, n, m, d)
        return x * power, y * power

    return make_scaled


def mixed_magnitudes(rng, n, m, d):
    x, y = gaussian(rng, n, m, d)
    return x * 10.0 ** rng.integers(-30, 31, (n, 1)), y * 10.0 ** rng.integers(-30, 31, (m, 1))


def mixed_extremes(rng, n, m, d):
    x, y = gaussian(rng, n, m, d)
    return x * 10.0 ** rng.integers(-300, 301, (n, 1)), y * 10.0 ** rng.integers(-300, 301, (m, 1))


GENERAL = {
    "gaussian": gaussian,
    "clustered": clustered,
    "duplicated": duplicated,
    "all_equal": all_equal,
    "tight": tight,
    "ascending": ascending,
    "descending": descending,
    "anisotropic": anisotropic,
    "lognormal": lognormal,
    "cancelling": cancelling,
    "integers": integers,
    "with_zero_rows": with_zero_rows,
}
FLOAT32 = {
    "huge": scaled(1e30),
    "tiny": scaled(1e-30),
    "subnormal": scaled(1e-41),
    "mixed_magnitudes": mixed_magnitudes,
}
FLOAT64 = {
    "huge64": scaled(1e200),
    "tiny64": scaled(1e-200),
    "subnormal64": scaled(1e-310),
    "mixed_extremes": mixed_extremes,
}
TABLE = {**GENERAL, **FLOAT32, **FLOAT64}


def patterns(dtype):
    """The names of the patterns that mean something in a dtype."""
    wide = {"float64": {**FLOAT32, **FLOAT64}, "float32": FLOAT32, "bfloat16": FLOAT32}.get(dtype, {})
    return (*GENERAL, *wide)


def make(name, n, m, d):
    rng = np.random.default_rng([crc32(name.encode()), n, m, d])
    return TABLE[name](rng, n, m, d)


def cast(values, dtype):
    """Bring float64 values to a dtype, integers after scaling to their range."""
    target = as_dtype(dtype)
    if target.kind in "iu":
        room = np.iinfo(target)
        span = np.abs(values).max(initial=0.0) or 1.0
        top = min(room.max, 1 << 20)
        values = np.rint(values / span * top) if room.min < 0 else np.rint((values / span + 1) / 2 * top)
        return values.astype(target)
    if target == np.bool_:
        return values > 0
    with np.errstate(over="ignore"):
        return values.astype(target)


def for_metric(values, metric):
    """Bring float64 rows into the space of a metric."""
    if metric == "poincare":
        norms = np.sqrt((values * values).sum(axis=-1, keepdims=True))
        return values / np.where(norms > 0, norms, 1) * (0.9 * norms / (1 + norms))
    if metric == "lorentz" and values.shape[-1]:
        values = values.copy()
        values[:, 0] = np.sqrt(1 + (values[:, 1:] * values[:, 1:]).sum(axis=-1))
    return values
