"""How the losses over embeddings run: no matrix of all pairs, Ctrl-C, concurrent calls, forked children."""

import os
import sys
from concurrent.futures import ThreadPoolExecutor

import cases
import helpers
import pytest
from embedding_losses import arrays_of, pair
from fastpair import losses

MIB = 2**20

SETUP = """
import sys
import numpy as np
from fastpair import losses

kind, n = sys.argv[1], int(sys.argv[2])
x = np.random.default_rng(0).standard_normal((2, n, 64)).astype(np.float32)

def call(n):
    a, b, codes = *x[:, :n], np.arange(n) // 4
    views = x[0].reshape(-1, 2, 64)[: n // 2]
    loss, inputs, options = {
        "itself": (losses.info_nce, [a], {"labels": codes}),
        "hard_k": (losses.info_nce, [a, b], {"hard_k": 100, "ids": codes}),
        "nt_xent": (losses.nt_xent, [views[:, 0], views[:, 1]], {}),
        "dclw": (losses.dclw, [views[:, 0], views[:, 1]], {}),
        "supcon": (losses.supcon, [views, codes[: n // 2]], {}),
    }.get(kind, (getattr(losses, kind, None), [a, b], {}))
    return loss(*inputs, **options, return_grad=True, num_threads=2)
"""
MEMORY = """
def status(field):
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))

call(64)
before = status("VmRSS")
result = call(n)
print(status("VmHWM") - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/self/status")
@pytest.mark.parametrize(("kind", "n"), [
    ("info_nce", 8192), ("clip", 8192), ("itself", 6144), ("hard_k", 6144), ("nt_xent", 6144), ("dclw", 6144),
    ("supcon", 6144), ("siglip", 6144), ("hcl", 6144),
])  # fmt: skip
def test_no_matrix_of_all_pairs(kind, n):
    """All similarities would take 144 MiB or more in float32; two views of n / 2 make n rows."""
    grown = int(helpers.output_of(SETUP + MEMORY, kind, n))
    assert grown <= 64 * MIB, f"{grown / MIB:.0f} MiB"


INTERRUPT = """
import os, signal, threading, time
start = time.perf_counter()
call(n)
whole = time.perf_counter() - start
sent = []
def interrupt():
    sent.append(time.perf_counter())
    os.kill(os.getpid(), signal.SIGINT)
timer = threading.Timer(min(0.05, whole / 4), interrupt)
try:
    timer.start()
    call(n)
    timer.join()
    print("over", whole)
except KeyboardInterrupt:
    latency = time.perf_counter() - sent[0]
    value = losses.info_nce(similarities=np.zeros((2, 2)))
    print("stopped", latency, whole, round(float(value), 6))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals are sent with os.kill")
@pytest.mark.parametrize("kind", ["info_nce", "clip"])
def test_ctrl_c_stops_the_call_and_the_next_one_works(kind):
    said = helpers.output_of(SETUP + INTERRUPT, kind, 16_384).split()
    if said[0] == "over" and float(said[1]) < 0.3:
        pytest.skip(f"a call of {said[1]} s is over before a signal can stop it")
    assert said[0] == "stopped", " ".join(said)
    latency, whole, value = map(float, said[1:])
    assert latency < min(1.0, max(whole / 2, 0.3)), " ".join(said)
    assert value == 0.693147


def test_repeated_calls_do_not_leak():
    grown = helpers.output_of(
        """
        import numpy as np
        from fastpair import losses
        def size():
            with open("/proc/self/status") as lines:
                return next(int(l.split()[1]) * 1024 for l in lines if l.startswith("VmRSS"))
        x = np.random.default_rng(0).standard_normal((2, 500, 200))
        labels, mask = np.arange(500) // 5, np.eye(500, dtype=bool)
        def once():
            losses.clip(*x, return_grad=True, num_threads=2)
            losses.info_nce(*x, mask, hard_k=10, return_grad=True, num_threads=2)
            losses.supcon(x[0], labels, return_grad=True, num_threads=2)
            losses.siglip(*x, return_grad=True, num_threads=2)
            losses.hcl(*x, return_grad=True, num_threads=2)
            try:
                losses.info_nce(x[0], x[1] * np.nan)
            except ValueError:
                return
            raise SystemExit("a bad input was accepted")
        for _ in range(5): once()
        before = size()
        for _ in range(10): once()
        print(size() - before)
        """
    )
    assert int(grown) < 5 * MIB  # one lost gradient per call would be 8


def job(number):
    name = ("info_nce", "clip", "nt_xent", "siglip", "hcl")[number % 5]
    x, y = pair(cases.generator("job", number), 300, 300, 20, ("float32", "float64", "float16")[number % 3])
    options = {"num_threads": (None, 1, 2, 5)[number // 2 % 4], "return_grad": True}
    return lambda: getattr(losses, name)(x, y, **options)


def test_concurrent_calls_give_the_answers_of_calls_in_turn():
    jobs = [job(number) for number in range(15)]
    expected = [[a.tobytes() for a in arrays_of(run())] for run in jobs]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(2):
            results = list(pool.map(lambda run: run(), jobs))
            assert [[a.tobytes() for a in arrays_of(result)] for result in results] == expected


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform does not fork")
def test_a_forked_child_computes():
    said = helpers.output_of(
        """
        import os, signal, warnings
        import numpy as np
        from fastpair import losses
        warnings.simplefilter("ignore", DeprecationWarning)
        x = np.random.default_rng(0).standard_normal((2, 2000, 64)).astype(np.float32)
        def compute():
            value, grads = losses.info_nce(*x, return_grad=True, num_threads=2)
            return float(value), grads.x.tobytes()
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
