"""Time functions side by side: in one process, in rounds, each in its turn."""

import gc
import math
import random
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import fastpair
from adapters import PEERS, AbsentError, Answer, Peer
from cases import Case
from fastpair import _core
from threadpoolctl import threadpool_limits

# A turn in a round is one call, or so many that it takes this long: a clock is too coarse for microseconds.
TURN_SECONDS = 500e-6
# Threads of one library may spin for a while when it is done, at the expense of the threads of the next one.
PAUSE_SECONDS = 0.05
# So many calls even of slow peers, if they take no more than this many times the seconds of the case.
FEWEST_CALLS, PATIENCE = 3, 8


@dataclass
class Timing:
    """What became of one peer in one case."""

    peer: Peer
    seconds: list[float] = field(default_factory=list)
    """One figure for each turn: seconds per call."""
    difference: float | None = None
    """How far the answer is from the right one; None if there is nothing to compare."""
    problem: str = ""
    """Why there are no figures."""

    @property
    def median(self) -> float:
        """Seconds per call."""
        return statistics.median(self.seconds)


def measure(case: Case, rows: int, rounds: int, max_seconds: float) -> list[Timing]:
    """Time all peers of a case; the first one is fastpair, and without a known truth its answer is the reference."""
    timings = [Timing(PEERS[case.task][name]) for name in case.peers]
    try:
        data, small = case.make(rows), case.make(min(rows, 1000))
    except (AbsentError, ImportError) as error:
        # Data may need a package, too.
        for timing in timings:
            timing.problem = f"absent: {first_line(error)}"
        return timings
    calls: dict[str, Callable[[], Answer]] = {}
    costs: dict[str, float] = {}
    reference = case.truth(data) if case.truth else None
    for timing in timings:
        peer = timing.peer
        try:
            with at_level(peer.level), quiet():
                # The first calls may compile or start threads; the second one shows the answer and the cost.
                first, call = peer.build(small), peer.build(data)
                with on_threads(case.threads):
                    first()
                    start = time.perf_counter()
                    answer = call()
                    costs[peer.name] = time.perf_counter() - start
        except (AbsentError, ImportError) as error:
            timing.problem = f"absent: {error}"
        except Exception as error:
            # A peer that cannot do it is a row of the table, not the end of the run.
            timing.problem = f"failed: {type(error).__name__}: {first_line(error)}"
        else:
            calls[peer.name] = call
            if timing is timings[0] and case.truth is None:
                reference = answer
            elif reference is not None and answer is not None:
                timing.difference = case.check.difference(answer, reference)
    with on_threads(case.threads):
        ready = [timing for timing in timings if timing.peer.name in calls]
        pause = PAUSE_SECONDS if (case.threads or 1) > 1 else 0.0
        run_rounds(ready, calls, costs, rounds, max_seconds, pause)
    return timings


def first_line(error: Exception) -> str:
    """Keep a message to what fits a cell."""
    return (str(error).splitlines() or [""])[0]


def run_rounds(
    timings: list[Timing],
    calls: dict[str, Callable[[], Answer]],
    costs: dict[str, float],
    rounds: int,
    max_seconds: float,
    pause: float,
) -> None:
    """Call everybody in turn, in a new order each round; slow peers sit out some of the rounds."""
    turns = plan(costs, rounds, max_seconds)
    repeats = {name: max(1, math.ceil(TURN_SECONDS / cost)) for name, cost in costs.items()}
    shuffled = random.Random(0)
    gc.collect()
    gc.disable()
    try:
        for index in range(rounds):
            for timing in shuffled.sample(timings, len(timings)):
                name = timing.peer.name
                if index * turns[name] // rounds < (index + 1) * turns[name] // rounds:
                    time.sleep(pause)
                    timing.seconds.append(one_turn(timing.peer, calls[name], repeats[name]))
    finally:
        gc.enable()


def one_turn(peer: Peer, call: Callable[[], Answer], repeats: int) -> float:
    """Return the seconds per call of so many calls in a row."""
    with at_level(peer.level), quiet():
        start = time.perf_counter()
        for _ in range(repeats):
            call()
        return (time.perf_counter() - start) / repeats


def plan(costs: dict[str, float], rounds: int, max_seconds: float) -> dict[str, int]:
    """Share the seconds out: everybody gets all rounds, or those that fit into the same share for each slow one.

    The first, which is fastpair, and all that are as quick take part in every round: a ratio of two of them then comes
    from the same rounds, with the same neighbours.
    """
    costs = {name: max(cost, TURN_SECONDS) for name, cost in costs.items()}
    subject = next(iter(costs.values()), 0.0)
    left, share = max_seconds, 0.0
    for waiting, cost in zip(range(len(costs), 0, -1), sorted(costs.values()), strict=True):
        share = left / waiting
        left -= min(cost * rounds, share)
    turns = {}
    for name, cost in costs.items():
        affordable = FEWEST_CALLS if cost * FEWEST_CALLS <= PATIENCE * max_seconds else 1
        turns[name] = rounds if cost <= subject else min(rounds, max(int(share / cost), affordable))
    return turns


@contextmanager
def at_level(level: str | None) -> Iterator[None]:
    """Set fastpair to an instruction set for a while; the switch itself is not timed."""
    if level is None:
        yield
        return
    if level not in _core.available_isas():
        raise AbsentError(f"this processor has no {level}")
    before = _core.isa()
    _core.set_isa(level)
    try:
        yield
    finally:
        _core.set_isa(before)


@contextmanager
def on_threads(count: int | None) -> Iterator[None]:
    """Give so many threads to fastpair and to every library that is loaded; the switch itself is not timed."""
    if count is None:
        yield
        return
    before = fastpair.get_num_threads()
    fastpair.set_num_threads(count)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(count)
    try:
        with threadpool_limits(count):
            if "faiss" in sys.modules:
                sys.modules["faiss"].omp_set_num_threads(count)
            yield
    finally:
        fastpair.set_num_threads(before)


@contextmanager
def quiet() -> Iterator[None]:
    """Drop warnings, such as those on groups of one class."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
