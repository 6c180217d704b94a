"""What tests of the in-batch miners share: batches with exact scores and roles of pairs, comparisons, and errors."""

import re
from functools import cache
from typing import NamedTuple

import embeddings
import helpers
import numpy as np
import oracle_mining as oracle
import oracle_similarity
import pytest
from cases import generator
from fastpair import mining
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

METRICS = oracle.METRICS
DTYPES = ("float64", "float32", "float16", "int8")
SIZES = (0, 1, 31, 32, 33, 257)
SOURCES = ("integers", "strings", "tuple", "columns", "mask", "diagonal")
WITHIN = ("integers", "strings", "columns", "mask")  # those that a set alone can have
NAMES = np.array(["ab", "", "c", "abc", "é", "b", "a b", "zz"])
D = 19


class Batch(NamedTuple):
    """Rows, how a call names their roles, and what the oracle takes."""

    x: np.ndarray
    y: np.ndarray | None
    given: dict
    metric: str
    scores: np.ndarray
    positive: np.ndarray
    negative: np.ndarray

    @property
    def close(self):
        return oracle.closeness(self.scores, self.metric)

    def spread(self, share):
        """A share of the range of the scores of negatives, so that no band is empty."""
        scores = self.scores[self.negative]
        low, high = scores.min(initial=0.0), scores.max(initial=0.0)
        return float(high - low) * share if np.isfinite([low, high]).all() else share

    def call(self, function, **options):
        """Call a miner on the rows; it must leave them as they are."""
        before = [None if rows is None else rows.copy() for rows in (self.x, self.y)]
        found = function(self.x, self.y, metric=self.metric, **self.given, **options)
        for rows, copy in zip((self.x, self.y), before, strict=True):
            assert rows is None or rows.tobytes() == copy.tobytes()
        return found


def make_roles(source, n, m, within):
    """What a call is given, and which pairs are positive and negative."""
    rng = generator(source, n, m)
    classes = max(2, min(n // 5, 8))
    left = rng.integers(0, classes, n)
    right = left if within else rng.integers(0, classes, m)
    if source == "integers" and not within and n != m:
        source = "tuple"
    if source == "integers":
        given, right = {"labels": left * 3 - 2}, left
        meant = {"labels": left.tolist()}
    elif source in ("strings", "tuple"):
        pair = (NAMES[left], NAMES[right]) if source == "strings" else (left - 1, right - 1)
        given = {"labels": pair[0] if within else pair}
        meant = {"labels": (left.tolist(), right.tolist())}
    elif source == "columns":
        columns = rng.integers(-1, m, n) if m else np.full(n, -1)
        given = meant = {"positives": columns}
    elif source == "mask":
        given = meant = {"positives": rng.random((n, m)) < 0.2}
    else:
        given, meant = {}, {}
    positive, negative, _ = oracle.roles((n, m), within, **meant)
    return given, positive, negative


@cache
def make(pattern="gaussian", dtype="float32", metric="cosine", source="integers", n=33, m=None, d=D):
    """A batch; without m the pairs are those of one set. Pairs whose score is no number have no role."""
    within = m is None
    x, y = (embeddings.cast(rows, dtype) for rows in embeddings.make(pattern, n, n if within else m, d))
    return with_roles(x, None if within else y, metric, *make_roles(source, n, n if within else m, within))


OTHER_METRICS = ("hamming", "jaccard", "poincare", "lorentz")


def other_problems(metric):
    """Batches of bits, as bools and packed, or of rows in a curved space."""
    for n, m, source in ((33, None, "integers"), (20, 33, "tuple")):
        parts = make_roles(source, n, n if m is None else m, m is None)
        rng = generator(metric, n)
        x, y = rng.normal(size=(n, D)), None if m is None else rng.normal(size=(m, D))
        if metric in oracle_similarity.BITS:
            bits = [None if rows is None else rows > 0.5 for rows in (x, y)]
            yield with_roles(*bits, metric, *parts)
            yield with_roles(*(None if rows is None else np.packbits(rows, axis=1) for rows in bits), metric, *parts)
        else:
            yield with_roles(*(None if r is None else embeddings.for_metric(r, metric) for r in (x, y)), metric, *parts)


def with_roles(x, y, metric, given, positive, negative):
    scores = oracle_similarity.pairwise(x, x if y is None else y, metric)
    counted = ~np.isnan(scores)
    return Batch(x, y, given, metric, scores, positive & counted, negative & counted)


def from_scores(scores, positive):
    """A batch without ties whose dot products are a given symmetric matrix: rows of its Cholesky factor."""
    positive = np.asarray(positive, bool)
    x = np.linalg.cholesky(np.asarray(scores, float))
    negative = ~positive & ~np.eye(len(x), dtype=bool)
    return with_roles(x, None, "dot", {"positives": positive}, positive, negative)


def problems(sources=SOURCES, metrics=METRICS, dtypes=DTYPES):
    """Batches of all roles, metrics and dtypes: one set and two sets of different sizes."""
    for source in sources:
        for metric in metrics:
            for dtype in dtypes:
                yield make("clustered", dtype, metric, source, 33, 40)
                if source in WITHIN:
                    yield make("clustered", dtype, metric, source, 33)


def assert_pairs(found, mask, form, positive=None, about=""):
    """Demand a set of pairs in a format: its type, dtypes, order and every entry."""
    wanted = oracle.formatted(mask, form, positive)
    if form in ("mask", "bits", "triplets"):
        assert type(found) is np.ndarray, about
        assert found.dtype == (wanted.dtype if form != "triplets" else found.dtype), about
        assert found.dtype.kind == wanted.dtype.kind, about
        np.testing.assert_array_equal(found, wanted, err_msg=about)
        return
    kind = {"csr": mining.CompressedRows, "coo": mining.Coordinates}[form]
    assert type(found) is kind, about
    for own, other in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(own, other, strict=True, err_msg=about)


def as_mask(found, form, shape):
    """A set of pairs as a mask again."""
    n, m = shape
    if form == "bits":
        return np.unpackbits(found, axis=1, count=m).astype(bool)
    mask = np.zeros(shape, bool)
    if form == "csr":
        found = np.repeat(np.arange(n), np.diff(found.indptr)), found.indices
    if form == "mask":
        return found
    mask[found[0], found[1]] = True
    return mask


def same(found, first, about=""):
    """Demand the same bits of two results, however they are nested."""
    if isinstance(first, tuple):
        assert type(found) is type(first), about
        for own, other in zip(found, first, strict=True):
            same(own, other, about)
        return
    assert found.dtype == first.dtype, about
    assert found.shape == first.shape, about
    assert found.tobytes() == first.tobytes(), about


def on_engines(call):
    """Demand the same bits on every instruction set and for every number of threads; returns the result."""
    first = None
    for level, threads in helpers.engines():
        found = call(num_threads=threads)
        first = found if first is None else first
        same(found, first, f"{level} {threads}")
    return first


@st.composite
def batches(draw, metrics=METRICS, most=12):
    """Batches of few different values, so that many scores are equal."""
    n, d = draw(st.integers(0, most)), draw(st.integers(1, 4))
    m = draw(st.one_of(st.none(), st.integers(0, most)))
    dtype = np.dtype(draw(st.sampled_from(DTYPES)))
    source = draw(st.sampled_from(WITHIN if m is None else SOURCES[:-1]))
    columns = n if m is None else m
    rows = hnp.arrays(np.int8, (n, d), elements=st.integers(-2, 2))
    x = draw(rows).astype(dtype)
    y = None if m is None else draw(hnp.arrays(np.int8, (m, d), elements=st.integers(-2, 2))).astype(dtype)
    return with_roles(x, y, draw(st.sampled_from(metrics)), *make_roles(source, n, columns, m is None))


# How calls are refused that all miners of embeddings share: arguments beside x, the error, its words.
X = np.random.default_rng(0).normal(size=(6, 4))
LABELS = np.array([0, 0, 1, 1, 2, 2])


def spoilt(value):
    rows = X.copy()
    rows[2, 1] = value
    return rows


REFUSED = {
    "one row": ({"x": X[0]}, ValueError, r"x has shape \(4,\)"),
    "nothing": ({"x": None}, TypeError, "x is None"),
    "words": ({"x": np.array([["a"]])}, TypeError, r"x has dtype <U1; pass real numbers"),
    "complex": ({"x": X * 1j}, TypeError, "x has dtype complex128"),
    "nan": ({"x": spoilt(np.nan)}, ValueError, "x is NaN at row 2"),
    "inf": ({"x": spoilt(np.inf)}, ValueError, "x is inf at row 2"),
    "nan in y": ({"y": spoilt(np.nan)}, ValueError, "y is NaN at row 2"),
    "widths": ({"y": X[:, :3]}, ValueError, "x has 4 columns but y has 3"),
    "metric": ({"metric": "angle"}, ValueError, "metric must be one of .*not 'angle'"),
    "no positives": ({"labels": None}, ValueError, "positives is None, which is the diagonal, but without y"),
    "too few columns": ({"labels": None, "y": X[:3]}, ValueError, "6 rows but 3 columns"),
    "short labels": ({"labels": LABELS[:5]}, ValueError, r"labels has shapes? \(5,\)"),
    "one array for two sets": ({"y": X[:5]}, ValueError, "labels has shape .*pass a tuple of two arrays"),
    "nan labels": ({"labels": np.where(LABELS == 1, np.nan, LABELS)}, ValueError, "labels is NaN at index 2"),
    "both": ({"positives": [1, 0, 3, 2, 5, 4]}, ValueError, "positives and labels were both given"),
    "column out of range": (
        {"labels": None, "positives": [1, 0, 3, 2, 5, 6]},
        ValueError,
        "positives is 6 at index 5, but there are 6 columns",
    ),
    "column below": ({"labels": None, "positives": [1, 0, 3, 2, -2, 4]}, ValueError, "positives is -2 at index 4"),
    "no columns": ({"labels": None, "positives": [0.5] * 6}, ValueError, "positives has shape .* and dtype float64"),
    "threads": ({"num_threads": 0}, ValueError, "num_threads must be at least 1, not 0"),
    "half a thread": ({"num_threads": 0.5}, TypeError, "num_threads must be an integer or None, not 0.5"),
    "no memory": ({"max_memory": 0}, ValueError, "max_memory must be at least 1 byte, not 0"),
    "memory of words": ({"max_memory": "64M"}, TypeError, "max_memory must be an integer of bytes or None"),
    "progress": ({"progress": 3}, TypeError, "progress must be True, False or a function"),
}


def assert_refused(function, given, error, words):
    """Demand an error; the rows and labels are good ones where nothing else is given."""
    with pytest.raises(error, match=words):
        function(**{"x": X, "labels": LABELS, **given})


KIB, MIB = 2**10, 2**20


def outcome(call, most):
    """What a call returns, or says when it refuses."""
    try:
        return call(max_memory=most, num_threads=3), None
    except ValueError as error:
        return None, str(error)


def assert_memory_changes_nothing(call):
    """From far too little, which is refused with what is needed, to plenty."""
    first, refused = call(), 0
    for most in (1, 100 * KIB, 400 * KIB, 2 * MIB, 16 * MIB, 2**70):
        found, said = outcome(call, most)
        if said is None:
            same(found, first, str(most))
            continue
        text = re.match(rf"max_memory is {most} bytes, but this call needs (\d+) on one thread", said)
        assert text, said
        assert most < int(text[1]) < 4 * MIB
        refused += 1
    assert 0 < refused < 5


CHILD = """
import sys
import numpy as np
import fastpair
from fastpair import mining

def status(field):
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))

n, d, limits = int(sys.argv[1]), int(sys.argv[2]), {"max_memory": int(sys.argv[3]) or None, "num_threads": 4}
rng = np.random.default_rng(0)
labels = np.arange(n) % (n // 8)
centres = rng.normal(size=(n // 8, d)).astype(np.float32)

def rows(count):
    made = centres[labels[:count]]
    for row in made:
        row += rng.normal(size=d) * 1.5
    return made

def call(x, labels):
    return CALL

call(rows(40), labels[:40])
x = rows(n)
before = status("VmRSS")
with open("/proc/self/clear_refs", "w") as reset:
    reset.write("5")
found = call(x, labels)
size = sum(array.nbytes for array in FLAT)
print(status("VmHWM") - before, size)
"""
FLAT = {
    "array": "[found]",
    "tuple": "found",
    "tuple of tuples": "[array for part in found for array in part]",
}
SLACK = 3 * MIB  # the allocator, stacks of the pool's threads, lazily loaded pages


def peak_beyond_output(call, n, d, most=0, flat="array"):
    """How many bytes a call takes beside input and output; `call` is code with x, labels and limits."""
    printed = helpers.output_of(CHILD.replace("CALL", call).replace("FLAT", FLAT[flat]), n, d, most)
    taken, output = map(int, printed.split())
    return taken - output
