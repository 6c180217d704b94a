"""What tests of low-precision filters share: data that break filters, and searches compared byte by byte."""

from functools import cache
from itertools import cycle
from zlib import crc32

import embeddings
import helpers
import numpy as np

FILTERS = ("auto", "f32", "bf16", "int16", "int8", "off")
LOW = ("bf16", "int16", "int8")
METRICS = ("cosine", "dot", "euclidean", "sqeuclidean")
OTHER_METRICS = ("manhattan", "poincare", "lorentz")


def offset(rng, n, m, d):
    """A mean of a hundred times the spread."""
    centre = rng.normal(size=d) * 100
    return centre + rng.normal(size=(n, d)), centre + rng.normal(size=(m, d))


def one_large_dimension(rng, n, m, d):
    x, y = rng.normal(size=(n, d)), rng.normal(size=(m, d))
    x[:, d // 2 : d // 2 + 1] *= 1000
    y[:, d // 2 : d // 2 + 1] *= 1000
    return x, y


def one_large_element(rng, n, m, d):
    """A scale that is good for a set is bad for nearly all of its rows."""
    x, y = rng.normal(size=(n, d)), rng.normal(size=(m, d))
    if y.size:
        y[m // 2, d // 3] = 1e4
    return x, y


def any_norm(rng, n, m, d):
    x, y = rng.normal(size=(n, d)), rng.normal(size=(m, d))
    return x * 10.0 ** rng.uniform(-20, 20, (n, 1)), y * 10.0 ** rng.uniform(-20, 20, (m, 1))


def last_bits(rng, n, m, d):
    """Rows of float32 that differ in their last bit only."""
    row = rng.normal(size=d).astype(np.float32)
    near = np.nextafter(row, np.float32(np.inf))
    return tuple(np.where(rng.random((rows, d)) < 0.1, near, row).astype(np.float64) for rows in (n, m))


def half_steps(rng, n, m, d):
    """Values halfway between two that few bits have."""
    return tuple(rng.integers(-254, 255, (rows, d)) / 2 / 127 for rows in (n, m))


OWN = {
    "offset": offset,
    "one_large_dimension": one_large_dimension,
    "one_large_element": one_large_element,
    "any_norm": any_norm,
    "last_bits": last_bits,
    "half_steps": half_steps,
}
SHARED = (
    *("gaussian", "tight", "duplicated", "all_equal", "ascending", "cancelling", "lognormal", "with_zero_rows"),
    *("subnormal", "tiny", "huge", "mixed_magnitudes"),
)
NARROW = ("gaussian", "tight", "duplicated", "half_steps")
PATTERNS = {
    "float32": (*OWN, *SHARED),
    "float64": (*OWN, *SHARED, "mixed_extremes", "subnormal64"),
    "float16": (*NARROW, "offset"),
    "bfloat16": (*NARROW, "any_norm"),
    "int8": NARROW,
    "uint8": NARROW,
}


@cache
def rows(pattern, dtype, metric="cosine", n=19, m=173, d=65):
    """Rows of both sides, the same for the same arguments."""
    if pattern in OWN:
        x, y = OWN[pattern](np.random.default_rng([crc32(pattern.encode()), n, m, d]), n, m, d)
    else:
        x, y = embeddings.make(pattern, n, m, d)
    x, y = (embeddings.cast(embeddings.for_metric(side, metric), dtype) for side in (x, y))
    for side in (x, y):
        side.setflags(write=False)
    return x, y


def engines(filters=FILTERS):
    """Step through every filter on every instruction-set level, with changing threads."""
    threads = cycle((1, 3, 2))
    for level in helpers.ISAS:
        with helpers.using_isa(level):
            for name in filters:
                yield name, {"num_threads": next(threads)}, f"filter={name} on {level}"


def assert_same(found, expected, about=""):
    """Demand the same bytes in all arrays of two results."""
    assert type(found) is type(expected)
    for seen, meant in zip(found, expected, strict=True):
        if isinstance(seen, np.ndarray):
            np.testing.assert_array_equal(seen, meant, strict=True, err_msg=about)
            assert seen.tobytes() == meant.tobytes(), about
        else:
            assert seen == meant, about
