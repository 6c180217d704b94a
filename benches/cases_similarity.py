"""Searches and matrices of scores: what is timed, beside which packages, and what is required."""

from collections.abc import Callable
from typing import Any

import fastpair
from answers import LISTS, MATRIX, true_indices
from benchmarks.embeddings import Embeddings, make_bits, make_exclude, make_mask, make_rows, make_search
from cases import Case, Job, MemoryCase, Suite, Target, exact, faster, within

Make = Callable[[int], Embeddings]

FAISS, FORCED = "faiss IndexFlatIP", "faiss IndexFlatIP, BLAS forced"
TORCH, NUMPY, SKLEARN = "torch mm and topk", "numpy mm and argpartition", "scikit-learn brute"
DENSE = ("fastpair", FAISS, FORCED, TORCH, NUMPY, SKLEARN)
SELECTOR, WITHOUT, ON_FLOAT32 = "faiss IDSelector", "fastpair without the rule", "fastpair on float32"
BINARY, NUMKONG = "faiss IndexBinaryFlat", "numkong packed and argpartition"
CDIST, FAISS_L1, FAISS_KNN = "torch.cdist", "faiss pairwise_distances", "faiss knn (the 10 nearest only)"
SCIPY, PACKED, PRODUCT = "scipy cdist", "numkong packed", "numpy mm of float32"


def topk_case(
    name: str,
    title: str,
    make: Make,
    rows: int,
    peers: tuple[str, ...],
    targets: dict[str, Target],
    threads: int = 1,
) -> Case:
    """One search, whose answer must be the truth."""
    if threads > 1:
        name, title = f"{name}-{threads}-threads", f"{title}, {threads} threads"
    targets = {"fastpair": exact(), **targets}
    return Case(f"topk-{name}", title, "topk", make, rows, peers, targets, threads, LISTS, true_indices)


def dense_case(
    name: str,
    shape: tuple[int, int, int],
    targets: dict[str, Target],
    k: int = 10,
    threads: int = 1,
    peers: tuple[str, ...] = DENSE,
) -> Case:
    """Some queries of float32 and the rows to search."""
    queries, rows, width = shape
    title = f"dot, float32, ({queries:,}, {{n:,}}), d = {width}, k = {k}"
    return topk_case(
        name, title, lambda rows: make_search(queries, rows, width, k), rows, peers, targets, threads=threads
    )


def self_case(name: str, rows: int, width: int, k: int, targets: dict[str, Target], threads: int = 1) -> Case:
    """All rows against all others."""
    title = f"dot, float32, {{n:,}} rows among themselves but for the own row, d = {width}, k = {k}"
    return topk_case(name, title, lambda rows: Embeddings(make_rows(rows, width), k=k), rows, DENSE, targets, threads)


def rule_case(name: str, title: str, rule: Callable[[Embeddings], Embeddings], peers: tuple[str, ...] = ()) -> Case:
    """A search in which not all pairs count, beside the same one in which they do."""
    return topk_case(
        name,
        f"dot, float32, (200, {{n:,}}), d = 768, k = 10, {title}",
        lambda rows: rule(make_search(200, rows, 768)),
        100_000,
        ("fastpair", WITHOUT, SELECTOR, *peers),
        {WITHOUT: within(1.2), SELECTOR: faster(20)},
    )


def masked(data: Embeddings) -> Embeddings:
    """Let half of the pairs count."""
    return data._replace(mask=make_mask(len(data.x), len(data.corpus)))


def excluding(count: int) -> Callable[[Embeddings], Embeddings]:
    """Search for rows of the corpus itself, of which each excludes itself and others."""

    def rule(data: Embeddings) -> Embeddings:
        exclude = make_exclude(len(data.x), len(data.corpus), count)
        return data._replace(x=data.corpus[exclude[:, 0]], exclude=exclude)

    return rule


def pairwise_case(
    name: str, title: str, make: Make, rows: int, peers: tuple[str, ...], targets: dict[str, Target]
) -> Case:
    """One matrix."""
    return Case(f"pairwise-{name}", title, "pairwise", make, rows, ("fastpair", *peers), targets, 1, MATRIX, quick=500)


def int8_pairs(rows: int) -> Embeddings:
    return make_search(rows, rows, 256, dtype="int8")


def bit_pairs(rows: int) -> Embeddings:
    return Embeddings(make_bits(rows, 1024, part=1), make_bits(rows, 1024), "jaccard")


CASES: tuple[Case, ...] = (
    *(
        dense_case("1000x100k", (1_000, 100_000, 768), {FORCED: faster(1)}, threads=threads, peers=peers)
        for threads, peers in ((1, (*DENSE, NUMKONG)), (2, DENSE))
    ),
    *(
        dense_case(f"{queries}x100k", (queries, 100_000, 768), {FAISS: faster(20), FORCED: faster(1)})
        for queries in (16, 64, 160)
    ),
    dense_case("1x1m", (1, 1_000_000, 128), {FAISS: faster(1)}),
    dense_case("1x1m", (1, 1_000_000, 128), {FAISS: faster(1.5)}, threads=2),
    dense_case("100x1m-k100", (100, 1_000_000, 384), {FAISS: faster(10), FORCED: faster(1)}, k=100),
    self_case("self-20k", 20_000, 256, 50, {FAISS: faster(1.3), FORCED: faster(1.3)}),
    rule_case("mask-200x100k", "half of the pairs masked", masked, (TORCH, NUMPY)),
    rule_case("exclude-1-200x100k", "1 row excluded for each query", excluding(1), (FORCED,)),
    rule_case("exclude-50-200x100k", "50 rows excluded for each query", excluding(50), (FORCED,)),
    topk_case(
        "hamming-1000x100k",
        "hamming, (1,000, {n:,}), 1024 random bits, k = 10",
        lambda rows: Embeddings(make_bits(1_000, 1024, part=1), make_bits(rows, 1024), "hamming"),
        100_000,
        ("fastpair", BINARY, NUMKONG),
        {BINARY: faster(2)},
    ),
    topk_case(
        "int8-1000x100k",
        "dot, int8, (1,000, {n:,}), d = 768, k = 10",
        lambda rows: make_search(1_000, rows, 768, dtype="int8"),
        100_000,
        ("fastpair", ON_FLOAT32, NUMKONG),
        {ON_FLOAT32: faster(2)},
    ),
    pairwise_case(
        "manhattan-4000",
        "manhattan, float32, ({n:,}, {n:,}), d = 256",
        lambda rows: make_search(rows, rows, 256)._replace(metric="manhattan"),
        4_000,
        (CDIST, FAISS_L1, FAISS_KNN, SCIPY),
        {peer: faster(4) for peer in (CDIST, FAISS_L1, FAISS_KNN, SCIPY)},
    ),
    pairwise_case(
        "int8-4000",
        "dot, int8, ({n:,}, {n:,}), d = 256",
        int8_pairs,
        4_000,
        (ON_FLOAT32, PRODUCT, PACKED),
        {ON_FLOAT32: faster(2)},
    ),
    pairwise_case(
        "jaccard-1000",
        "jaccard, ({n:,}, {n:,}), 1024 random bits",
        bit_pairs,
        1_000,
        (SCIPY, PACKED),
        {SCIPY: faster(100)},
    ),
)

ROOM = 64 << 20


def memory_case(name: str, title: str, rows: int, make: Make, call: Callable[[Embeddings], Any]) -> MemoryCase:
    """One call on two threads, which may take 64 MiB beyond its input and its result."""

    def prepare(rows: int) -> Job:
        data = make(rows)
        result = call(data)
        counted = sum(array.nbytes for array in (result if isinstance(result, tuple) else (result,)))
        return Job(lambda: call(data), counted, counted + ROOM)

    return MemoryCase(f"memory-{name}", title, prepare, rows, quick=4_000)


def call_topk(data: Embeddings) -> Any:
    return fastpair.topk(data.x, data.y, data.k, metric="dot", exclude_self=data.y is None, num_threads=2)


def call_radius(data: Embeddings) -> Any:
    return fastpair.radius(data.x, data.y, 0.2, metric="dot", num_threads=2)


def call_count(data: Embeddings) -> Any:
    return fastpair.Corpus(data.corpus, metric="dot").count(data.x, 0.2, num_threads=2)


def call_reduce(data: Embeddings) -> Any:
    return fastpair.similarity.reduce(data.x, data.y, op="logsumexp", metric="dot", num_threads=2)


def memory_topk(name: str, shape: tuple[int, int, int], k: int) -> MemoryCase:
    """The peak of one search."""
    queries, rows, width = shape
    title = f"topk, ({queries:,}, {{n:,}}), d = {width}, k = {k}"
    return memory_case(name, title, rows, lambda rows: make_search(queries, rows, width, k), call_topk)


def memory_self(name: str, words: str, call: Callable[[Embeddings], Any]) -> MemoryCase:
    """The peak of a call on 20,000 rows among themselves."""
    return memory_case(
        name,
        f"{words}, {{n:,}} rows among themselves, d = 256",
        20_000,
        lambda rows: Embeddings(make_rows(rows, 256), k=50),
        call,
    )


MEMORY_CASES: tuple[MemoryCase, ...] = (
    memory_topk("topk-1000x100k", (1_000, 100_000, 768), 10),
    memory_topk("topk-1000x100k-k1000", (1_000, 100_000, 768), 1_000),
    memory_topk("topk-100x1m-k100", (100, 1_000_000, 384), 100),
    memory_self("topk-self-20k", "topk, k = 50", call_topk),
    memory_self("radius-self-20k", "radius, threshold 0.2", call_radius),
    memory_self("count-self-20k", "count, threshold 0.2", call_count),
    memory_self("reduce-self-20k", "reduce, logsumexp", call_reduce),
)

NOTES = """\
- Rows are gaussian and of length one, so that euclidean distances rank them as products do. Those of int8 are spread
  over the range of the dtype, bits are random.
- Everybody has one thread unless the case says otherwise. The libraries are told so by their own settings
  (`faiss.omp_set_num_threads`, `torch.set_num_threads`, threadpoolctl for BLAS and OpenMP). numkong has only one.
  With more than one there is a pause of 50 ms before each turn, in which the threads of the one before fall asleep.
- An index of faiss, the packed rows of numkong and the fitted estimator of scikit-learn are made before, which is not
  timed. fastpair, numpy and torch are called with arrays.
- While queries times dimensions are below 128,000, faiss by default scans row by row; `BLAS forced` has
  `faiss.cvar.distance_compute_blas_threshold = 1`, with which it always multiplies matrices.
- A selector of faiss is for all queries of a call, so `faiss IDSelector` calls once for each query. Where the index
  has no means to exclude rows, it finds more and drops them, which is timed.
- The recipes in torch and numpy hold 64 MiB of scores at a time.
- The answer to a search is compared with a ranking of all scores in float64, equal ones by the lowest index: `same` if
  all lists of indices are equal, else the number of rows whose lists differ. Integers and bits have many equal scores,
  which packages other than fastpair order as they like.
- Matrices are compared with that of fastpair: `same` means within 1e-5 of the largest entry for sums of float32, 1e-6
  for products.
"""

MEMORY_NOTES = """\
One call on two threads: `counted` are the bytes of the result, and 64 MiB beyond them are allowed, at any size.
"""

SUITE = Suite("Similarity", CASES, MEMORY_CASES, NOTES, MEMORY_NOTES)
