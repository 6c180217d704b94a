"""Many Python threads may call at once, whatever each of them asks for."""

import threading
from concurrent.futures import ThreadPoolExecutor

import cases
import fastpair
import helpers
import numpy as np
import pytest

N = 60_000
CALLERS = 8


def job(number):
    """A call that differs from caller to caller, as a function of no arguments."""
    pattern = ("normal", "square_root_values", "near_one", "descending")[number % 4]
    dtype = ("float32", "float64", "float16", "int64", "uint8")[number % 5]
    scores, positive = cases.make(pattern, dtype, N)
    groups, weights = np.arange(N) % 50, cases.generator("weights").random(N)
    options = ({}, {"weights": weights}, {"groups": groups}, {"groups": groups, "weights": weights})[number % 4]
    count = (None, 1, 2, 5)[number // 2 % 4]
    return lambda: fastpair.auc(scores, positive, num_threads=count, **options)


def test_concurrent_calls_give_the_answers_of_calls_in_turn():
    jobs = [job(number) for number in range(20)]
    expected = [helpers.bits(run()) for run in jobs]
    with ThreadPoolExecutor(CALLERS) as pool:
        for _ in range(5):
            found = [helpers.bits(value) for value in pool.map(lambda run: run(), jobs)]
            assert found == expected


def test_callers_may_share_their_arrays():
    scores, positive = cases.make("normal", "float32", 300_000)
    expected = fastpair.auc(scores, positive)
    with ThreadPoolExecutor(CALLERS) as pool:
        values = set(pool.map(lambda _: fastpair.auc(scores, positive), range(40)))
    assert values == {expected}


def test_the_first_calls_may_come_all_at_once():
    """In a fresh interpreter nothing is set up yet when eight threads start together."""
    values = helpers.output_of(
        """
        import threading, numpy as np, fastpair
        scores = np.arange(100_000, dtype=np.float32) % 1000
        labels = np.arange(100_000) % 3 == 0
        gate, values = threading.Barrier(8), []
        def call():
            gate.wait()
            values.append(float(fastpair.auc(scores, labels, num_threads=2)))
        callers = [threading.Thread(target=call) for _ in range(8)]
        for caller in callers: caller.start()
        for caller in callers: caller.join()
        print(len(values), len(set(values)))
        """
    )
    assert values == "8 1"


def test_the_default_count_may_change_during_calls():
    scores, positive = cases.make("normal", "float32", 100_000)
    expected, before = fastpair.auc(scores, positive), fastpair.get_num_threads()
    done = threading.Event()

    def change():
        count = 0
        while not done.is_set():
            count = count % 4 + 1
            fastpair.set_num_threads(count)

    changer = threading.Thread(target=change)
    changer.start()
    try:
        assert {fastpair.auc(scores, positive) for _ in range(50)} == {expected}
    finally:
        done.set()
        changer.join()
        fastpair.set_num_threads(before)


def test_an_error_in_one_thread_leaves_the_others_alone():
    scores, positive = cases.make("normal", "float32", 100_000)
    broken = scores.copy()
    broken[99_999] = np.nan
    expected = fastpair.auc(scores, positive)

    def call(number):
        if number % 2:
            return fastpair.auc(scores, positive, num_threads=2)
        with pytest.raises(ValueError, match=r"scores(?s:.)*\b99999\b"):
            fastpair.auc(broken, positive, num_threads=2)
        return expected

    with ThreadPoolExecutor(CALLERS) as pool:
        assert set(pool.map(call, range(40))) == {expected}


def test_a_thread_may_end_and_another_begin():
    """Nothing is kept per Python thread that dies with it."""
    scores, positive = cases.make("normal", "float32", 50_000)
    expected, values = fastpair.auc(scores, positive), []
    for _ in range(30):
        caller = threading.Thread(target=lambda: values.append(fastpair.auc(scores, positive, num_threads=2)))
        caller.start()
        caller.join()
    assert values == [expected] * 30
