"""Losses on scores, with their gradients: what is timed, beside which packages, and what is required."""

from collections.abc import Callable
from typing import Any

import fastpair
import numpy as np
from adapters_losses import ALLRANK, CHUNKED, TEMPERATURE, TORCH, derivatives
from answers import GRADIENTS
from benchmarks.data import Array
from benchmarks.lists import Lists, Pairs, make_lists, make_pairs, make_scores
from cases import Case, Job, MemoryCase, Suite, Target, faster, within

TREECODE, FLOOR = "numba treecode", "np.sort of the scores (a floor)"
BRUTE = "numba brute force, 2 threads"

LENGTH = 100


def pairs_case(
    name: str, task: str, rows: int, per_positive: int, peers: dict[str, Target | None], threads: int
) -> Case:
    """One loss over all pairs; of negatives there are `rows`, and so many for each positive."""
    positives = "as many positives" if per_positive == 1 else f"one positive for each {per_positive} of them"
    return Case(
        name,
        f"{task.replace('_', ' ')}, all pairs of {{n:,}} negatives and {positives}, float64, {in_words(threads)}",
        task,
        lambda rows: make_pairs(max(1, rows // per_positive), rows),
        rows,
        ("fastpair", *peers),
        {name: target for name, target in peers.items() if target},
        threads,
        GRADIENTS,
    )


def in_words(threads: int) -> str:
    return "1 thread" if threads == 1 else f"{threads} threads"


def lists_case(task: str, title: str, targets: dict[str, Target], distinct: bool = False) -> Case:
    """One loss on 10,000 lists of 100, on two threads."""
    return Case(
        f"{task.replace('_', '-')}-10kx100",
        f"{title}, {{n:,}} lists of {LENGTH}, float32, 2 threads",
        task,
        lambda rows: make_lists(rows, LENGTH, distinct=distinct),
        10_000,
        ("fastpair", *targets),
        targets,
        2,
        GRADIENTS,
        quick=100,
    )


CASES: tuple[Case, ...] = (
    pairs_case("logistic-1e4x1e5", "logistic", 100_000, 10, {CHUNKED: faster(1400), TREECODE: None}, threads=2),
    pairs_case("logistic-1e4x1e6", "logistic", 1_000_000, 100, {FLOOR: within(4), TREECODE: None}, threads=1),
    pairs_case("logistic-1e6x1e6", "logistic", 1_000_000, 1, {TREECODE: faster(2), FLOOR: None}, threads=1),
    pairs_case("squared-hinge-1e4x1e6", "squared_hinge", 1_000_000, 100, {BRUTE: faster(60)}, threads=2),
    Case(
        "soft-rank-20k",
        f"soft ranks of {{n:,}} scores and the gradient, temperature {TEMPERATURE}, float64, 2 threads",
        "soft_rank",
        make_scores,
        20_000,
        ("fastpair", CHUNKED),
        {CHUNKED: faster(1000)},
        2,
        GRADIENTS,
    ),
    lists_case("ranknet", "RankNet, five grades", {ALLRANK: faster(20), TORCH: faster(5)}),
    lists_case("lambda_rank", "LambdaRank (nDCG), five grades", {ALLRANK: faster(20), TORCH: faster(5)}),
    lists_case("list_mle", "ListMLE, all grades distinct", {ALLRANK: faster(1), TORCH: faster(1)}, distinct=True),
    Case(
        "bpr-1m",
        "BPR, {n:,} pairs, float32, 2 threads",
        "bpr",
        lambda rows: make_pairs(rows, rows, "float32"),
        1_000_000,
        ("fastpair", TORCH),
        {TORCH: faster(1)},
        2,
        GRADIENTS,
    ),
)

# Of extra memory, beyond the gradients: per score, and in all.
BYTES_PER_SCORE, ROOM = 64, 16 << 20


def memory_case(
    name: str, title: str, rows: int, make: Callable[[int], Any], call: Callable[[Any], Any], scores: int, quick: int
) -> MemoryCase:
    """One call on two threads; so many scores belong to a row."""

    def prepare(rows: int) -> Job:
        data = make(rows)
        counted = sum(np.asarray(part).nbytes for part in call(data))
        return Job(lambda: call(data), counted, counted + BYTES_PER_SCORE * scores * rows + ROOM)

    return MemoryCase(f"memory-{name}", title, prepare, rows, quick)


def memory_pairs(name: str, surrogate: str, rows: int) -> MemoryCase:
    """All pairs of as many positives as negatives."""

    def call(data: Pairs) -> Any:
        value, gradients = fastpair.losses.mann_whitney(
            pos=data.pos, neg=data.neg, surrogate=surrogate, return_grad=True, num_threads=2
        )
        return value, *gradients

    title = f"mann_whitney, {surrogate}, {{n:,}} positives and as many negatives"
    return memory_case(name, title, rows, lambda rows: make_pairs(rows, rows), call, 2, quick=4_000)


def memory_lists(name: str, call: Callable[[Lists], Any]) -> MemoryCase:
    """10,000 lists of 100."""

    def flat(data: Lists) -> Any:
        value, gradients = call(data)
        return value, *gradients

    title = f"{name}, {{n:,}} lists of {LENGTH}"
    return memory_case(
        name.replace("_", "-"), title, 10_000, lambda rows: make_lists(rows, LENGTH), flat, LENGTH, quick=100
    )


def call_soft_rank(scores: Array) -> Any:
    options: dict[str, Any] = {"temperature": TEMPERATURE, "num_threads": 2}
    ranks = fastpair.losses.soft_rank(scores, **options)
    return ranks, fastpair.losses.soft_rank_vjp(scores, derivatives(scores), **options)


def call_ranknet(data: Lists) -> Any:
    return fastpair.losses.ranknet(data.scores, data.relevance, offsets=data.offsets, return_grad=True, num_threads=2)


def call_lambda_rank(data: Lists) -> Any:
    return fastpair.losses.lambda_rank(
        data.scores, data.relevance, offsets=data.offsets, return_grad=True, num_threads=2
    )


MEMORY_CASES: tuple[MemoryCase, ...] = (
    memory_pairs("logistic-1e5", "logistic", 100_000),
    memory_pairs("logistic-1e6", "logistic", 1_000_000),
    memory_pairs("squared-hinge-1e6", "squared_hinge", 1_000_000),
    memory_case(
        "soft-rank-1e6", "soft_rank and its gradient, {n:,} scores", 1_000_000, make_scores, call_soft_rank, 1, 4_000
    ),
    memory_lists("ranknet", call_ranknet),
    memory_lists("lambda_rank", call_lambda_rank),
)

NOTES = """\
- Every call computes the value and the gradient; both are compared with those of fastpair, each relative to its
  largest entry: `same` means within 1e-9, or 1e-5 for recipes in float32.
- Positives are N(1, 1), negatives N(0, 1). Scores in lists are of a logistic distribution and differ from each other,
  as packages rank equal ones differently; their grades are 0 to 4, equally frequent, or all distinct for ListMLE.
- `torch in chunks` takes so many positives at a time that 2 MiB of pairs exist, which is faster than more, and lets
  autograd add up the gradients. `torch` writes the formula over the matrices of 500 lists at a time, ListMLE over all
  lists, BPR over all pairs.
- `allRank, padded` are the formulas of allRank 1.4.3, operation by operation, on batches of 500 lists, typed anew
  since its package needs an old release of torch. Padding costs it nothing here, as all lists have one length. Only
  the mean over the pairs of a batch is a sum instead, so that batches can be added up.
- `numba treecode` is the algorithm of fastpair's prototype: boxes, 18 Chebyshev nodes, and a series of exponentials
  between boxes that are far apart; `benches/numba_pairs.py`. It has one thread, also in cases with two.
- `numba brute force` computes every pair in vector instructions, half of the positives on each of two threads.
- `np.sort of the scores` is no loss. It shows what a sort alone costs, on one thread.
"""

MEMORY_NOTES = f"""\
One call on two threads, value and gradient: `counted` are the bytes of the result. Beyond them, {BYTES_PER_SCORE} bytes
for each score and {ROOM >> 20} MiB are allowed. That is linear: the matrix of all pairs of a million scores would have
a trillion entries.
"""

SUITE = Suite("Losses", CASES, MEMORY_CASES, NOTES, MEMORY_NOTES)
