"""How much memory a call takes beyond its inputs, and what happens when there is none."""

import sys

import helpers
import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/self/status")

MIB = 2**20
SLACK = 4 * MIB  # the allocator, stacks of the pool's threads, lazily loaded pages

# Data are made in place, piece by piece: the peak before the call is then the size before the call.
CHILD = """
import sys
import numpy as np
import fastpair

def status(field):
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))

def pieces(n, step=1 << 16):
    return (slice(i, min(i + step, n)) for i in range(0, n, step))

kind, dtype, n, threads = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
rng = np.random.default_rng(0)
step = 2 if kind == "strided" else 1
room, labels, options = np.zeros(n * step, dtype), np.zeros(n, sys.argv[5]), {"num_threads": threads}
scores = room[::step]
for piece in pieces(n):
    count = piece.stop - piece.start
    values = {
        "random": lambda: rng.random(count),
        "strided": lambda: rng.random(count),
        "swapped": lambda: rng.random(count),
        "constant": lambda: 0.5,
        "ascending": lambda: np.arange(piece.start, piece.stop) / n,
        "descending": lambda: 1 - np.arange(piece.start, piece.stop) / n,
        "skewed": lambda: 1 - 1e-6 * rng.random(count),
        "outliers": lambda: np.where(rng.random(count) < 1e-4, -1e30, rng.random(count)),
        "few": lambda: rng.integers(0, 3, count),
        "presorted": lambda: np.arange(piece.start, piece.stop) / n,
    }[kind]()
    scores[piece] = values * (100 if scores.dtype.kind in "iu" else 1)
    labels[piece] = rng.random(count) < 0.5
if kind == "presorted":
    options["presorted"] = "ascending"
fastpair.auc(scores[:100_000], labels[:100_000], **options)
before = status("VmRSS")
value = fastpair.auc(scores, labels, **options)
assert 0 <= value <= 1
print(status("VmHWM") - before)
"""

N = 20_000_000
KINDS = ("random", "constant", "ascending", "descending", "skewed", "outliers", "few", "strided")


def extra(kind, dtype, n=N, threads=2, labels="bool"):
    return int(helpers.output_of(CHILD, kind, dtype, n, threads, labels))


@pytest.mark.parametrize("kind", KINDS)
def test_float32_takes_no_more_than_its_scores_again(kind):
    assert extra(kind, "float32") <= 4 * N + 2 * MIB + SLACK


@pytest.mark.parametrize(
    ("kind", "dtype", "threads", "labels"),
    [
        ("random", "float32", 1, "bool"),
        ("random", "float32", 2, "int64"),
        ("random", "float32", 2, "float32"),
        ("swapped", ">f4", 2, "bool"),
        ("random", "float64", 2, "bool"),
        ("outliers", "float64", 1, "bool"),
        ("few", "int64", 2, "bool"),
        ("few", "uint32", 2, "bool"),
    ],
)
def test_other_dtypes_take_no_more_than_their_scores_again(kind, dtype, threads, labels):
    width = int(dtype[-2:]) // 8 if dtype[-2:].isdigit() else int(dtype[-1])
    n = N if width == 4 else N // 2
    assert extra(kind, dtype, n, threads, labels) <= width * n + 2 * MIB + SLACK


@pytest.mark.parametrize("dtype", ["float16", "int16", "uint8"])
@pytest.mark.parametrize("kind", ["random", "constant"])
def test_narrow_scores_are_counted_in_place(kind, dtype):
    assert extra(kind, dtype) <= MIB + SLACK


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_sorted_data_are_read_in_place(dtype):
    assert extra("presorted", dtype) <= MIB + SLACK


def test_repeated_calls_do_not_leak():
    grown = helpers.output_of(
        """
        import warnings
        import numpy as np, fastpair
        warnings.simplefilter("ignore")
        def size():
            with open("/proc/self/status") as lines:
                return next(int(l.split()[1]) * 1024 for l in lines if l.startswith("VmRSS"))
        scores, labels = np.random.default_rng(0).random(200_000), np.arange(200_000) % 2
        groups, broken = np.arange(200_000) % 1000, np.full(200_000, np.nan)
        def once():
            fastpair.auc(scores, labels, num_threads=2)
            fastpair.auc(scores, labels, groups=groups, weights=labels + 1.0, num_threads=2)
            fastpair.auc(scores[:100], labels[:100] * 0)
            for bad in (broken, scores[:9], scores.astype(complex)):
                try:
                    fastpair.auc(bad, labels)
                except (TypeError, ValueError):
                    continue
                raise SystemExit("a bad input was accepted")
        for _ in range(30): once()
        before = size()
        for _ in range(60): once()
        print(size() - before)
        """
    )
    assert int(grown) < 8 * MIB  # one lost buffer per call would be 100


@pytest.mark.parametrize("option", ["plain", "weights", "groups"])
def test_want_of_memory_is_an_error_not_an_abort(option):
    said = helpers.output_of(
        """
        import resource, sys
        import numpy as np, fastpair
        n = 20_000_000
        scores, labels = np.random.default_rng(0).random(n, dtype=np.float32), np.arange(n) % 2 == 0
        extra = {}
        if sys.argv[1] == "weights":
            extra["weights"] = scores
        if sys.argv[1] == "groups":
            extra["groups"] = np.arange(n) // 10
        short = {name: a[:100_000] for name, a in extra.items()}
        expected = fastpair.auc(scores[:100_000], labels[:100_000], num_threads=2, **short)
        with open("/proc/self/status") as lines:
            size = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmSize"))
        resource.setrlimit(resource.RLIMIT_AS, (size + (16 << 20), resource.RLIM_INFINITY))
        try:
            fastpair.auc(scores, labels, num_threads=2, **extra)
            print("no error")
        except MemoryError:
            again = fastpair.auc(scores[:100_000], labels[:100_000], num_threads=2, **short)
            print("MemoryError", np.array_equal(again, expected))
        """,
        option,
    )
    assert said == "MemoryError True"
