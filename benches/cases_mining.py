"""Mining: what is timed, beside which packages, and what is required."""

from collections.abc import Callable
from typing import Any

import adapters_mining as tasks
from adapters import Answer
from adapters_mining import PML, PRODUCT, REDUCE, ST_FAISS, ST_TORCH, TOPK, TORCH, pairs_that_differ
from answers import LISTS, Check, true_indices
from benchmarks.contrastive import CLASSES, Batch, make_classes
from benchmarks.embeddings import Embeddings
from benchmarks.mining import Corpus, make_corpus, make_mapped
from cases import Case, Job, MemoryCase, Suite, Target, exact, faster, within

THREADS = 2
PAIRS = Check(pairs_that_differ, "pairs that differ: {:.0f}")

# One row of tiles of a search of a million rows among a million.
SAMPLED, MILLION = 512, 1_000_000


def batch_case(
    task: str,
    title: str,
    shape: tuple[int, int],
    peers: dict[str, Target | None],
    truth: Callable[[Batch], Answer] | None,
    check: Check = PAIRS,
) -> Case:
    """One miner of a batch."""
    rows, width = shape
    return Case(
        f"{task.replace('_', '-')}-{rows}x{width}",
        f"{title}, {{n:,}} rows of {CLASSES} classes, d = {width}, float32, {THREADS} threads",
        task,
        lambda rows: make_classes(rows, width),
        rows,
        ("fastpair", *peers),
        {name: target for name, target in peers.items() if target},
        THREADS,
        check,
        truth,
        quick=512,
    )


def corpus_of(rows: int) -> Corpus:
    return make_corpus(rows, 384)


def sampled(rows: int) -> Embeddings:
    """Less than a row of tiles in a smoke test."""
    return make_mapped(min(SAMPLED, rows), rows, 128)


CASES: tuple[Case, ...] = (
    Case(
        "hard-negatives-20000x100k",
        f"a fifth as many queries, {{n:,}} rows of a corpus, d = 384, k = 5, margins, float32, {THREADS} threads",
        "hard_negatives",
        corpus_of,
        100_000,
        ("fastpair", TOPK, ST_TORCH, ST_FAISS),
        {TOPK: within(1.2), ST_TORCH: faster(4.4), ST_FAISS: faster(1.5)},
        THREADS,
        LISTS,
        quick=1_000,
    ),
    *(
        batch_case(
            "multi_similarity",
            "multi-similarity pairs as compressed rows",
            (8_192, width),
            {PML: faster(9)},
            tasks.true_multi_similarity,
        )
        for width in (128, 512)
    ),
    *(
        batch_case(
            "semihard_mask",
            "packed bits of semi-hard negatives",
            (8_192, width),
            {REDUCE: within(1.3), PRODUCT: None, TORCH: None},
            tasks.true_semihard,
        )
        for width in (128, 512)
    ),
    batch_case("batch_hard", "the hardest positive and negative", (8_192, 128), {PML: None}, None, LISTS),
    batch_case("triplets", "semi-hard triplets", (512, 128), {PML: None}, None),
    Case(
        "topk-1m-mapped",
        f"dot, float32, ({SAMPLED} of {{n:,}}, {{n:,}}) of a memory map, d = 128, k = 10, {THREADS} threads",
        "topk",
        sampled,
        MILLION,
        ("fastpair", "faiss IndexFlatIP"),
        {"fastpair": exact()},
        THREADS,
        LISTS,
        true_indices,
        whole=MILLION / SAMPLED,
    ),
)

ROOM = 64 << 20


def memory_case(name: str, title: str, rows: int, make: Callable[[int], Any], call: Callable[[Any], Any]) -> MemoryCase:
    """One call on two threads, which may take 64 MiB beyond its input and its result."""

    def prepare(rows: int) -> Job:
        data = make(rows)
        counted = size_of(call(data))
        return Job(lambda: call(data), counted, counted + ROOM)

    return MemoryCase(f"memory-{name}", title, prepare, rows, quick=512)


def size_of(result: Any) -> int:
    """Bytes of the arrays of a result, however they are nested."""
    if isinstance(result, tuple):
        return sum(map(size_of, result))
    return getattr(result, "nbytes", 0)


MEMORY_CASES: tuple[MemoryCase, ...] = (
    memory_case(
        "hard-negatives-20000x100k",
        "hard_negatives, a fifth as many queries, {n:,} rows, d = 384, k = 5",
        100_000,
        corpus_of,
        lambda data: tasks.mine(data, num_threads=THREADS),
    ),
    memory_case(
        "multi-similarity-8192x128",
        "multi_similarity_mask as compressed rows, {n:,} rows, d = 128",
        8_192,
        lambda rows: make_classes(rows, 128),
        lambda data: tasks.mine_pairs(data, num_threads=THREADS),
    ),
    memory_case(
        "semihard-mask-8192x128",
        "hard_mask as packed bits, {n:,} rows, d = 128",
        8_192,
        lambda rows: make_classes(rows, 128),
        lambda data: tasks.mine_bits(data, num_threads=THREADS),
    ),
    memory_case(
        "topk-1m-mapped",
        f"topk, {SAMPLED} queries, {{n:,}} rows of a memory map, d = 128, k = 10",
        MILLION,
        sampled,
        lambda data: tasks.fastpair.topk(data.x, data.y, data.k, metric="dot", num_threads=THREADS),
    ),
)

NOTES = f"""\
- Passages of a corpus lie around the centres of topics, with cosines of about 0.9 between those of one topic; queries
  have cosines of about 0.6 with their passage. A negative must be below the positive's score by
  {tasks.ABS_MARGIN:g} and by {tasks.REL_MARGIN:.0%} of it.
- `sentence-transformers` is its `mine_hard_negatives` with a model that returns the stored embeddings, so that no text
  is embedded; it finds 52 candidates and filters them. Rows with fewer than five negatives are not in its answer. Its
  scores are float32. `{TOPK}` finds the five closest of all.
- Rows of a batch lie around the centres of {CLASSES} classes, with cosines of about 0.3 within one. The miners of
  `pytorch-metric-learning` answer with coordinates in int64. Answers are compared with those of numpy in float64, or
  with fastpair where nothing is said; the packages compute in float32, so some pairs at the limits differ.
- `{PRODUCT}` writes the matrix of products and does nothing with it; `{REDUCE}` computes
  the same tiles as a miner and keeps one number for each row.
- Of the search of a million rows among a million one row of tiles is timed; the time of the whole is that times
  {MILLION / SAMPLED:,.0f}.
- There is a pause of 50 ms before each turn, in which the threads of the one before fall asleep.
"""

MEMORY_NOTES = f"""\
One call on two threads: `counted` are the bytes of the result, and {ROOM >> 20} MiB beyond them are allowed, at any
size. Packed bits take a byte for eight pairs; compressed rows take 4 bytes for each pair that is kept, and 8 for each
row. Pages of a memory map that are read were so before.
"""

SUITE = Suite("Mining", CASES, MEMORY_CASES, NOTES, MEMORY_NOTES)
