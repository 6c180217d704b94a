"""Hypothesis strategies for scores with many ties, classes and weights."""

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

FLOATS = ("float16", "float32", "float64")
INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")


@st.composite
def rows(draw, dtypes=FLOATS + INTEGERS, most=120, infinite=True, both_classes=True):
    """Scores drawn from a small pool (so that they tie) and a boolean class per row."""
    dtype = np.dtype(draw(st.sampled_from(dtypes)))
    limits = {"allow_nan": False, "allow_infinity": infinite} if dtype.kind == "f" else {}
    pool = draw(hnp.arrays(dtype, st.integers(1, 12), elements=hnp.from_dtype(dtype, **limits)))
    n = draw(st.integers(2 if both_classes else 0, most))
    scores = pool[draw(hnp.arrays(np.intp, n, elements=st.integers(0, len(pool) - 1)))]
    positive = draw(hnp.arrays(np.bool_, n))
    if both_classes:
        positive[0], positive[-1] = True, False
    return scores, positive


def weights(n):
    """Weights of ordinary size, some of them zero, the first and the last not."""
    one = st.one_of(st.just(0.0), st.integers(1, 9).map(float), st.floats(1e-6, 1e6))
    return st.lists(one, min_size=n, max_size=n).map(lambda w: np.array([1.0, *w[1:-1], 2.0]))
