"""How the score losses run: memory in proportion to the scores, Ctrl-C, concurrent calls, forked children."""

import os
import sys
from concurrent.futures import ThreadPoolExecutor

import cases
import helpers
import numpy as np
import pytest
from fastpair import losses

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/self/status")
signals = pytest.mark.skipif(sys.platform == "win32", reason="signals are sent with os.kill")

MIB = 2**20
N = 2_000_000
SLACK = 24 * MIB  # the allocator, tables of boxes, stacks of threads, lazily loaded pages

# Scores of one list, or lists of a hundred; the call is made once with few of them, then with all.
SETUP = """
import sys
import numpy as np
from fastpair import losses

kind, n, threads = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
rng = np.random.default_rng(0)
scores, labels = rng.standard_normal(n), (rng.random(n) < 0.3).astype(np.int8)
if kind.startswith("cauchy"):
    scores = rng.standard_cauchy(n) * 1e5
if kind.endswith("grades"):
    labels[:] = rng.integers(0, 4, n)
CALLS = {
    "logistic": lambda s, y: losses.mann_whitney(s, y, return_grad=True, num_threads=threads),
    "cauchy": lambda s, y: losses.mann_whitney(s, y, return_grad=True, num_threads=threads),
    "hinge": lambda s, y: losses.mann_whitney(s, y, surrogate="squared_hinge", return_grad=True, num_threads=threads),
    "square": lambda s, y: losses.mann_whitney(s, y, surrogate="square", return_grad=True, num_threads=threads),
    "grades": lambda s, y: losses.mann_whitney(s, y, return_grad=True, num_threads=threads),
    "soft ranks": lambda s, y: losses.soft_rank(s, num_threads=threads),
    "product": lambda s, y: losses.soft_rank_vjp(s, s, num_threads=threads),
    **{
        name: lambda s, y, name=name: getattr(losses, name)(
            s, y, offsets=np.arange(0, len(s) + 1, 100), return_grad=True, num_threads=threads
        )
        for name in ("ranknet", "lambda_rank", "plackett_luce", "listnet", "pairwise_hinge")
    },
}
call = CALLS[kind]
"""
MEMORY = """
def status(field):
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))

call(scores[:100_000], labels[:100_000])
peak = status("VmHWM")
before = status("VmRSS")
result = call(scores, labels)
print(max(status("VmHWM") - max(before, peak), 0), status("VmRSS") - before)
"""


@linux
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(
    ("kind", "words"),  # 8-byte words for each score, with the gradient
    [
        *(("logistic", 8), ("cauchy", 24), ("hinge", 8), ("square", 4), ("grades", 16), ("soft ranks", 8)),
        *(("product", 10), ("ranknet", 6), ("lambda_rank", 8), ("plackett_luce", 6), ("listnet", 6)),
        ("pairwise_hinge", 6),
    ],
)
def test_memory_is_that_of_a_few_copies_of_the_scores(kind, words, threads):
    """All pairs would take a million times as much."""
    if threads == 2 and kind not in ("logistic", "hinge", "lambda_rank"):
        pytest.skip("as with one thread")
    n = 500_000 if kind == "grades" else N
    peak, _ = map(int, helpers.output_of(SETUP + MEMORY, kind, n, threads).split())
    assert peak <= 8 * words * n + SLACK, f"{(peak - SLACK) / n / 8:.1f} words a score"


@linux
def test_repeated_calls_do_not_leak():
    grown = helpers.output_of(
        """
        import numpy as np
        from fastpair import losses
        def size():
            with open("/proc/self/status") as lines:
                return next(int(l.split()[1]) * 1024 for l in lines if l.startswith("VmRSS"))
        rng = np.random.default_rng(0)
        scores, labels, codes = rng.random(50_000), rng.integers(0, 2, 50_000), rng.integers(0, 500, 50_000)
        def once():
            for surrogate in ("logistic", "squared_hinge", "square"):
                losses.mann_whitney(scores, labels, surrogate=surrogate, return_grad=True, num_threads=2)
            for name in ("ranknet", "lambda_rank", "plackett_luce", "listnet", "smooth_ap"):
                getattr(losses, name)(scores, labels, groups=codes, return_grad=True, num_threads=2)
            losses.bpr(scores, scores[::-1], return_grad=True, num_threads=2)
            try:
                losses.mann_whitney(scores, labels[:-1])
            except ValueError:
                return
            raise SystemExit("a bad input was accepted")
        for _ in range(6): once()
        before = size()
        for _ in range(20): once()
        print(size() - before)
        """
    )
    assert int(grown) < 6 * MIB  # one lost gradient per call would be 8


INTERRUPT = """
import os, signal, threading, time
start = time.perf_counter()
call(scores, labels)
whole = time.perf_counter() - start
sent = []
def interrupt():
    sent.append(time.perf_counter())
    os.kill(os.getpid(), signal.SIGINT)
timer = threading.Timer(min(0.05, whole / 4), interrupt)
try:
    timer.start()
    call(scores, labels)
    timer.join()
    print("over", whole)
except KeyboardInterrupt:
    latency = time.perf_counter() - sent[0]
    value, _ = losses.mann_whitney([0.0, 0.0], [0, 1], return_grad=True, num_threads=threads)
    print("stopped", latency, whole, round(float(value), 6))
"""


@signals
@pytest.mark.parametrize(("kind", "n", "threads"), [
    ("logistic", 6_000_000, 1), ("logistic", 8_000_000, 2), ("hinge", 3_000_000, 2), ("grades", 4_000_000, 1),
    ("soft ranks", 8_000_000, 2), ("ranknet", 6_000_000, 2), ("lambda_rank", 6_000_000, 1),
    ("plackett_luce", 10_000_000, 2),
])  # fmt: skip
def test_ctrl_c_stops_the_call_and_the_next_one_works(kind, n, threads):
    said = helpers.output_of(SETUP + INTERRUPT, kind, n, threads).split()
    if said[0] == "over" and float(said[1]) < 0.3:
        pytest.skip(f"a call of {said[1]} s is over before a signal can stop it")
    assert said[0] == "stopped", " ".join(said)
    latency, whole, value = map(float, said[1:])
    assert latency < min(1.0, max(whole / 2, 0.3)), " ".join(said)
    assert value == round(float(np.log(2)), 6)


def job(number):
    rng = cases.generator("job", number)
    scores, labels, codes = rng.normal(size=20_000), rng.integers(0, 2, 20_000), rng.integers(0, 99, 20_000)
    name = ("mann_whitney", "ranknet", "lambda_rank", "plackett_luce", "listnet", "smooth_ap")[number % 6]
    options = {"num_threads": (None, 1, 2, 5)[number // 2 % 4], "return_grad": True}
    if number % 6:
        options["groups"] = codes
    return lambda: getattr(losses, name)(scores, labels, **options)


def bits(result):
    value, grads = result
    return helpers.bits(value), grads.scores.tobytes()


def test_concurrent_calls_give_the_answers_of_calls_in_turn():
    jobs = [job(number) for number in range(18)]
    expected = [bits(run()) for run in jobs]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(3):
            assert [bits(result) for result in pool.map(lambda run: run(), jobs)] == expected


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform does not fork")
def test_a_forked_child_computes():
    said = helpers.output_of(
        """
        import os, signal, warnings
        import numpy as np
        from fastpair import losses
        warnings.simplefilter("ignore", DeprecationWarning)
        rng = np.random.default_rng(0)
        scores, labels, codes = rng.random(200_000), rng.integers(0, 2, 200_000), rng.integers(0, 999, 200_000)
        def compute():
            value, grads = losses.mann_whitney(scores, labels, return_grad=True, num_threads=2)
            other = losses.lambda_rank(scores, labels, groups=codes, num_threads=2)
            return float(value), float(other), grads.scores.tobytes()
        expected = compute()
        child = os.fork()
        if not child:
            signal.alarm(20)
            os._exit(0 if compute() == expected else 3)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        print("done" if status == 0 and compute() == expected else status)
        """
    )
    assert said == "done"


def test_the_default_number_of_threads_changes_nothing():
    scores, labels = cases.make("normal", "float64", 200_000)
    found = {bits(losses.mann_whitney(scores, labels, return_grad=True, num_threads=t)) for t in (None, 1, 2, 3, 7)}
    assert len(found) == 1
