"""A child made by `os.fork` computes, although the threads of its parent's pool are not there."""

import os

import helpers
import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform does not fork")

# Python 3.12 and later warn that the process has threads: that is the point here. A child that hangs is
# ended by its own alarm, whatever it hangs in, and then shows as a wrong exit status.
PRELUDE = """
import os, signal, sys, threading, warnings
import numpy as np
import fastpair
warnings.simplefilter("ignore", DeprecationWarning)
rng = np.random.default_rng(0)
scores, labels = rng.random(200_000, dtype=np.float32), rng.random(200_000) < 0.5
groups = np.arange(200_000) % 100

def compute():
    plain = fastpair.auc(scores, labels, num_threads=2)
    grouped = fastpair.auc(scores, labels, groups=groups, num_threads=2)
    return float(plain).hex() + float(grouped.sum()).hex()

def in_child(work):
    child = os.fork()
    if not child:
        signal.alarm(20)
        try:
            os._exit(0 if work() else 3)
        except BaseException as error:
            print(repr(error), file=sys.stderr, flush=True)
            os._exit(4)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status == 0, {3: "another answer", 4: "an error", -14: "hung"}.get(status, status)
"""


def runs(script):
    assert helpers.output_of(PRELUDE + script + "\nprint('done')", timeout=120).endswith("done")


def test_a_child_computes_after_the_parent_has_used_the_pool():
    runs("""
expected = compute()
in_child(lambda: compute() == expected)
assert compute() == expected
""")


def test_a_child_computes_before_the_parent_has():
    runs("""
in_child(compute)
compute()
""")


def test_a_grandchild_computes_after_both_have():
    runs("""
expected = compute()
def child():
    here = compute()
    in_child(lambda: compute() == expected)
    return here == expected
in_child(child)
""")


def test_children_compute_one_after_another():
    runs("""
expected = compute()
for _ in range(10):
    in_child(lambda: compute() == expected)
    assert compute() == expected
""")


def test_a_child_computes_when_forked_in_the_middle_of_a_call():
    """The fork may fall anywhere inside a call of another thread, locks held."""
    runs("""
expected, done = compute(), threading.Event()
def keep_calling():
    while not done.is_set():
        compute()
callers = [threading.Thread(target=keep_calling) for _ in range(2)]
for caller in callers: caller.start()
try:
    for _ in range(20):
        in_child(lambda: compute() == expected)
finally:
    done.set()
    for caller in callers: caller.join()
""")


def test_a_child_may_choose_another_number_of_threads():
    runs("""
expected = compute()
def child():
    fastpair.set_num_threads(3)
    return fastpair.auc(scores, labels) == fastpair.auc(scores, labels, num_threads=1)
in_child(child)
""")


def test_a_multiprocessing_pool_of_forked_workers_computes():
    runs("""
import multiprocessing
expected = compute()
with multiprocessing.get_context("fork").Pool(3) as pool:
    found = pool.starmap_async(compute, [()] * 9).get(timeout=60)
assert set(found) == {expected}
""")


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_other_start_methods_compute(method, tmp_path):
    script = tmp_path / "workers.py"
    script.write_text(
        PRELUDE
        + f"""
if __name__ == "__main__":
    import multiprocessing
    expected = compute()
    with multiprocessing.get_context({method!r}).Pool(2) as pool:
        found = pool.starmap_async(compute, [()] * 4).get(timeout=90)
    assert set(found) == {{expected}}
    print("done")
"""
    )
    assert helpers.output_of(f"import runpy; runpy.run_path({str(script)!r}, run_name='__main__')") == "done"
