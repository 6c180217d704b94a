"""How much memory searches take beside their input and output, and that `max_memory` holds and changes no result."""

import re
import sys

import fastpair
import helpers
import numpy as np
import pytest
from scipy import sparse
from searches import solved

KIB, MIB = 2**10, 2**20
SLACK = 3 * MIB  # the allocator, stacks of the pool's threads, lazily loaded pages

X, Y, _ = solved("gaussian", "float32", "cosine", n=300, m=2000, d=70)
MASK = np.random.default_rng(0).random((300, 2000)) < 0.5
CALLS = {
    "topk": lambda **limits: fastpair.topk(X, Y, 9, **limits),
    "topk of few": lambda **limits: fastpair.topk(X[:3], Y, 9, **limits),
    "topk of bytes": lambda **limits: fastpair.topk((X * 9).astype("int8"), (Y * 9).astype("int8"), 9, **limits),
    "topk of bits": lambda **limits: fastpair.topk(X > 0, Y > 0, 9, metric="hamming", **limits),
    "topk with a mask": lambda **limits: fastpair.topk(X, Y, 9, mask=MASK, **limits),
    "radius of sparse": lambda **limits: fastpair.radius(sparse.csr_array(X), Y, 0.2, **limits),
    "topk of sparse": lambda **limits: fastpair.topk(sparse.csr_array(X * (X > 0)), Y, 9, **limits),
    "radius": lambda **limits: fastpair.radius(X, Y, 0.2, **limits),
    "radius with a mask": lambda **limits: fastpair.radius(X, Y, 0.2, mask=MASK, **limits),
    "max": lambda **limits: fastpair.similarity.reduce(X, Y, **limits),
    "count": lambda **limits: fastpair.similarity.reduce(X, Y, op="count", threshold=0.1, **limits),
    "mean": lambda **limits: fastpair.similarity.reduce(X, Y, op="mean", metric="euclidean", **limits),
    "mean of bits": lambda **limits: fastpair.similarity.reduce(X > 0, Y > 0, op="mean", metric="hamming", **limits),
    "mean with a mask": lambda **limits: fastpair.similarity.reduce(X, Y, op="mean", mask=MASK, **limits),
    "logsumexp": lambda **limits: fastpair.similarity.reduce(X, Y.astype(float), op="logsumexp", **limits),
    "histogram": lambda **limits: fastpair.similarity.reduce(X, Y, op="histogram", bins=99, **limits),
    "pairwise": lambda **limits: fastpair.pairwise(X, Y, "euclidean", **limits),
    "pairwise of bits": lambda **limits: fastpair.pairwise(X > 0, Y > 0, "jaccard", **limits),
    "pairwise of bytes": lambda **limits: fastpair.pairwise((X * 9).astype("int8"), (Y * 9).astype("int8"), **limits),
    "exact pairwise": lambda **limits: fastpair.pairwise(X, Y, "cosine", exact=True, **limits),
    "divergences": lambda **limits: fastpair.pairwise(abs(X), abs(Y), "kl", **limits),
    "pairwise of sparse": lambda **limits: fastpair.pairwise(sparse.csr_array(X), Y, "cosine", **limits),
    "corpus": lambda **limits: fastpair.Corpus([Y[:700], Y[700:]]).topk(X, 9, mask=MASK, **limits),
    "topk of bf16": lambda **limits: fastpair.topk(X, Y, 9, filter="bf16", **limits),
    "topk of int16": lambda **limits: fastpair.topk(X, Y, 9, filter="int16", metric="euclidean", **limits),
    "radius of int8": lambda **limits: fastpair.radius(X, Y, 0.2, filter="int8", **limits),
    "topk without a filter": lambda **limits: fastpair.topk(X, Y, 9, filter="off", **limits),
    "packed corpus": lambda **limits: fastpair.Corpus(Y, filter="int8").topk(X, 9, **limits),
    "radius of a corpus": lambda **limits: fastpair.Corpus(Y).radius(X, 0.2, **limits),
    "count of a corpus": lambda **limits: fastpair.Corpus(Y).count(X, 0.2, **limits),
}


def arrays(found):
    return found if isinstance(found, tuple) else (found,)


def outcome(call, most):
    """What a call returns, or says when it refuses."""
    try:
        return arrays(call(max_memory=most, num_threads=3)), None
    except ValueError as error:
        return None, str(error)


@pytest.mark.parametrize("name", CALLS)
def test_no_result_depends_on_it(name):
    """From far too little, which is refused with what is needed, to plenty."""
    call, expected, refused = CALLS[name], arrays(CALLS[name]()), 0
    for most in (1, 200 * KIB, 400 * KIB, 800 * KIB, 2 * MIB, 4 * MIB, 16 * MIB, 2**70):
        found, said = outcome(call, most)
        if found is None:
            text = re.fullmatch(
                rf"max_memory is {most} bytes, but this call needs (\d+) on one thread; pass at least that", said
            )
            assert text, said
            assert most < int(text[1]) < 4 * MIB
            refused += 1
            continue
        for seen, meant in zip(found, expected, strict=True):
            np.testing.assert_array_equal(seen, meant, strict=True, err_msg=f"{name} {most}")
    assert 0 < refused < 6  # 4 MiB are enough for all of these


@pytest.mark.parametrize("name", ["topk", "radius", "mean", "pairwise", "exact pairwise", "divergences"])
def test_what_the_error_asks_for_is_enough(name):
    with pytest.raises(ValueError, match="max_memory is 1 bytes") as caught:
        CALLS[name](max_memory=1)
    needed = int(re.search(r"needs (\d+)", str(caught.value))[1])
    CALLS[name](max_memory=needed)
    with pytest.raises(ValueError, match=f"needs {needed} on one thread"):
        CALLS[name](max_memory=needed - 1)


CHILD = """
import ctypes
import sys
import numpy as np
import fastpair

def status(field):
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))

def touch_libraries():
    # Brings all pages of libraries into memory. A busy system takes them away, and they are no scratch of the call.
    with open("/proc/self/maps") as lines:
        for line in lines:
            span, access, *_, path = line.split(maxsplit=5)
            if access.startswith("r") and ".so" in path:
                begin, end = (int(place, 16) for place in span.split("-"))
                for place in range(begin, end, 4096):
                    ctypes.string_at(place, 1)

name, most, threads = sys.argv[1], int(sys.argv[2]) or None, int(sys.argv[3])
limits = {"max_memory": most, "num_threads": threads}
rng = np.random.default_rng(0)

def rows(n, d, dtype="float32"):
    made = np.empty((n, d), dtype)
    for row in made:
        row[:] = rng.normal(size=d)
    return made

def pairs(n, m):
    made = np.empty((n, m), bool)
    for row in made:
        row[:] = rng.random(m) < 0.5
    return made

kinds = {
    "topk": (lambda n: (rows(n, 768), rows(8000, 768)), 4000, lambda x, y: fastpair.topk(x, y, 100, **limits)),
    "bf16": (
        lambda n: (rows(n, 768), rows(8000, 768)),
        4000,
        lambda x, y: fastpair.topk(x, y, 100, filter="bf16", **limits),
    ),
    "int8": (
        lambda n: (rows(n, 768), rows(8000, 768)),
        4000,
        lambda x, y: fastpair.topk(x, y, 100, filter="int8", **limits),
    ),
    "topk of many": (lambda n: (rows(n, 32), rows(20_000, 32)), 600, lambda x, y: fastpair.topk(x, y, 3000, **limits)),
    "few rows": (lambda n: (rows(n, 32), rows(60_000, 32)), 64, lambda x, y: fastpair.topk(x, y, 2000, **limits)),
    "long rows": (lambda n: (rows(n, 20_000), rows(300, 20_000)), 600, lambda x, y: fastpair.topk(x, y, 5, **limits)),
    "mask": (
        lambda n: (rows(n, 32), rows(20_000, 32), pairs(n, 20_000)),
        8000,
        lambda x, y, mask: fastpair.topk(x, y, 5, mask=mask, **limits),
    ),
    "radius": (lambda n: (rows(n, 256), rows(9000, 256)), 4000, lambda x, y: fastpair.radius(x, y, 0.5, **limits)),
    "mean": (
        lambda n: (rows(n, 1024, "float64"), rows(3000, 1024, "float64")),
        4000,
        lambda x, y: fastpair.similarity.reduce(x, y, op="mean", **limits),
    ),
    "histogram": (
        lambda n: (rows(n, 64), rows(3000, 64)),
        3000,
        lambda x, y: fastpair.similarity.reduce(x, y, op="histogram", bins=100_000, range=(-1, 1), **limits),
    ),
    "pairwise": (
        lambda n: (rows(n, 2000), rows(3000, 2000), np.ones((n, 3000), "float32")),
        2000,
        lambda x, y, out: fastpair.pairwise(x, y, out=out, **limits),
    ),
    "exact": (
        lambda n: (rows(n, 64), rows(3000, 64), np.ones((n, 3000), "float32")),
        3000,
        lambda x, y, out: fastpair.pairwise(x, y, exact=True, out=out, **limits),
    ),
}
make, n, call = kinds[name]
small = make(40)
call(*(part[:40] if i != 1 else part for i, part in enumerate(small)))
del small
data = make(n)
touch_libraries()
before = status("VmRSS")
with open("/proc/self/clear_refs", "w") as reset:
    reset.write("5")
found = call(*data)
print(status("VmHWM") - before)
"""

OUTPUT = {
    "topk": 4000 * 100 * 16,
    "bf16": 4000 * 100 * 16,
    "int8": 4000 * 100 * 16,
    "topk of many": 600 * 3000 * 16,
    "few rows": 64 * 2000 * 16,
    "mask": 8000 * 5 * 16,
    "histogram": 3 * 800_000,
}
BOUNDS = {
    "topk": (4, 8),
    "bf16": (8, 16),
    "int8": (8, 16),
    "topk of many": (8, 16),
    "few rows": (8, 16),
    "long rows": (8, 24),
    "mask": (4, 12),
    "radius": (4, 12),
    "mean": (4, 8),
    "histogram": (4, 8),
    "pairwise": (4, 8),
    "exact": (4, 8),
}


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/self/status")
@pytest.mark.parametrize(("name", "most"), [(name, most) for name in BOUNDS for most in BOUNDS[name]])
def test_the_bound_holds(name, most):
    taken = int(helpers.output_of(CHILD, name, most * MIB, 8))
    assert taken <= most * MIB + OUTPUT.get(name, 0) + SLACK


def test_by_default_it_is_64_mib():
    taken = int(helpers.output_of(CHILD, "topk of many", 0, 16))
    assert taken <= 64 * MIB + OUTPUT["topk of many"] + SLACK


REFUSED = [
    (0, ValueError, "max_memory must be at least 1 byte, not 0"),
    (-5, ValueError, "max_memory must be at least 1 byte, not -5"),
    (1e6, TypeError, r"max_memory must be an integer of bytes or None, not 1000000\.0 \(float\)"),
    ("64M", TypeError, r"max_memory must be an integer of bytes or None, not '64M' \(str\)"),
]


@pytest.mark.parametrize(("most", "error", "words"), REFUSED)
@pytest.mark.parametrize("name", ["topk", "radius", "count", "pairwise", "corpus"])
def test_what_cannot_be_is_refused(name, most, error, words):
    with pytest.raises(error, match=words):
        CALLS[name](max_memory=most)


@pytest.mark.parametrize("kind", ["float32", "float64", "int8", "bits"])
def test_rows_of_any_length(kind, rng):
    """Panels of long rows have fewer of them."""
    x = rng.integers(-9, 9, (150, 40_000)).astype("int8" if kind == "bits" else kind)
    metric = "hamming" if kind == "bits" else "dot"
    x = x > 0 if kind == "bits" else x
    expected = fastpair.pairwise(x, metric=metric, exact=True)
    np.testing.assert_array_equal(fastpair.pairwise(x, metric=metric), expected)
    np.testing.assert_array_equal(fastpair.topk(x, k=1, metric=metric, largest=True).scores[:, 0], expected.max(axis=1))
    assert len(fastpair.radius(x, None, expected.max(), metric=metric, largest=True).indices)
    np.testing.assert_allclose(
        fastpair.similarity.reduce(x, op="mean", metric=metric), expected.mean(axis=1), rtol=1e-5
    )
    assert fastpair.similarity.reduce(x, op="histogram", metric=metric).counts.sum() == 150 * 150


def test_a_large_k_works_without_a_bound():
    """Where nobody sets a bound, one thread takes what it needs."""
    found = fastpair.topk(X[:33], Y, 2000)
    assert (np.sort(found.indices, axis=1) == np.arange(2000)).all()
