"""Low-precision filters of exact searches: whichever rules pairs out, the result has the same bytes."""

import pickle
import re
import tracemalloc

import embeddings
import fastpair
import filters
import numpy as np
import pytest
from fastpair import Corpus, TopkState, _core, mining
from filters import FILTERS, LOW, METRICS, OTHER_METRICS, PATTERNS, assert_same, engines
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from searches import RULES, rules
from test_scratch import KIB, MIB, outcome

K = 7
CELLS = [(metric, dtype, pattern) for metric in METRICS for dtype in PATTERNS for pattern in PATTERNS[dtype]]


@pytest.mark.parametrize(("metric", "dtype", "pattern"), CELLS)
def test_every_filter_finds_the_same(metric, dtype, pattern):
    x, y = filters.rows(pattern, dtype, metric)
    ways = (None, metric not in ("cosine", "dot"))  # the closest and the farthest
    expected = [fastpair.topk(x, y, K, metric=metric, largest=largest, filter="off") for largest in ways]
    threshold = np.ascontiguousarray(expected[0].scores[:, -1])
    hits = fastpair.radius(x, y, threshold, metric=metric, filter="off")
    assert len(hits.indices) >= K * len(x)
    for name, options, about in engines():
        for largest, meant in zip(ways, expected, strict=True):
            found = fastpair.topk(x, y, K, metric=metric, largest=largest, filter=name, **options)
            assert_same(found, meant, about)
        assert_same(fastpair.radius(x, y, threshold, metric=metric, filter=name, **options), hits, about)


@pytest.mark.parametrize("m", [0, 1, 15, 16, 17, 33, 500])
@pytest.mark.parametrize("d", [0, 1, 2, 3, 63, 64, 65, 130])
def test_any_size(m, d):
    for metric in ("cosine", "euclidean"):
        x, y = filters.rows("gaussian", "float32", metric, 5, m, d)
        expected = fastpair.topk(x, y, 3, metric=metric, filter="off")
        for name, options, about in engines():
            assert_same(fastpair.topk(x, y, 3, metric=metric, filter=name, **options), expected, about)
            assert_same(Corpus(y, metric, filter=name).topk(x, 3, **options), expected, about)


@pytest.mark.parametrize("n", [1, 2, 16, 17, 150])
@pytest.mark.parametrize("pattern", ["gaussian", "tight"])
def test_many_rows(n, pattern):
    x, y = filters.rows(pattern, "float32", "cosine", n, 4000, 40)
    for k in (1, 50):
        expected = fastpair.topk(x, y, k, filter="off")
        for name, options, about in engines():
            assert_same(fastpair.topk(x, y, k, filter=name, **options), expected, about)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("rule", RULES)
def test_rules_go_with_every_filter(rule, metric, rng):
    n, m = 19, 173
    x, y = filters.rows("duplicated", "float32", metric, n, m)
    scores = fastpair.pairwise(x.astype(float), y.astype(float), metric, exact=True)
    admitted, _ = rules(rule, rng, n, m, scores)
    threshold = float(np.median(scores))
    for largest in (False, True):
        options = {"largest": largest, **admitted}
        expected = fastpair.topk(x, y, K, metric=metric, filter="off", **options)
        hits = fastpair.radius(x, y, threshold, metric=metric, filter="off", sort=True, **options)
        for name, threads, about in engines():
            corpus = Corpus(y, metric, filter=name)
            assert_same(fastpair.topk(x, y, K, metric=metric, filter=name, **options, **threads), expected, about)
            assert_same(corpus.topk(x, K, **options, **threads), expected, about)
            assert_same(corpus.radius(x, threshold, sort=True, **options, **threads), hits, about)


@pytest.mark.parametrize("metric", METRICS)
def test_rows_among_themselves(metric):
    x = filters.rows("duplicated", "float32", metric)[1]
    expected = fastpair.topk(x, k=K, metric=metric, exclude_self=True, filter="off")
    for name, options, about in engines():
        assert_same(fastpair.topk(x, k=K, metric=metric, exclude_self=True, filter=name, **options), expected, about)


DTYPES = ("float32", "float64", "float16", "int8")


@st.composite
def problems(draw):
    """Rows of few values, some of them extreme, so that scores tie, cancel, vanish and overflow."""
    dtype = np.dtype(draw(st.sampled_from(DTYPES)))
    finite = {"allow_nan": False, "allow_infinity": False} if dtype.kind == "f" else {}
    values = draw(hnp.arrays(dtype, st.integers(1, 6), elements=hnp.from_dtype(dtype, **finite)))
    usual = np.array([0, 1, -1, 2, 3, 100], dtype)
    pool = np.concatenate([values, usual]) if draw(st.booleans()) else values
    n, m, d = draw(st.integers(1, 5)), draw(st.integers(0, 40)), draw(st.integers(1, 70))
    places = np.random.default_rng(draw(st.integers(0, 2**32)))
    x, y = (pool[places.integers(0, len(pool), (size, d))] for size in (n, m))
    return x, y


@given(problems(), st.sampled_from(METRICS), st.booleans(), st.integers(1, 9), st.integers(1, 3))
def test_any_values(problem, metric, largest, k, threads):
    x, y = problem
    options = {"metric": metric, "largest": largest, "num_threads": threads}
    expected = fastpair.topk(x, y, k, filter="off", **options)
    limit = expected.scores[:, -1]
    hits = fastpair.radius(x, y, limit, filter="off", **options)
    for name, _, about in engines():
        assert_same(fastpair.topk(x, y, k, filter=name, **options), expected, about)
        assert_same(fastpair.radius(x, y, limit, filter=name, **options), hits, about)
        found = Corpus(y, metric, filter=name).topk(x, k, largest=largest, num_threads=threads)
        assert_same(found, expected, about)


@pytest.mark.parametrize("metric", OTHER_METRICS)
def test_metrics_with_one_kernel_take_any_filter(metric):
    x, y = filters.rows("gaussian", "float32", metric)
    expected = fastpair.topk(x, y, K, metric=metric, filter="off")
    for name in FILTERS:
        corpus = Corpus(y, metric, filter=name)
        assert corpus.packed_nbytes == 0
        for found in (corpus.topk(x, K), fastpair.topk(x, y, K, metric=metric, filter=name)):
            assert_same(found, expected, name)


@pytest.mark.parametrize("metric", ["hamming", "jaccard"])
def test_bits_take_any_filter(metric, rng):
    x, y = rng.random((9, 70)) < 0.4, rng.random((200, 70)) < 0.4
    expected = fastpair.topk(x, y, K, metric=metric, filter="off")
    for name in FILTERS:
        corpus = Corpus(y, metric, filter=name)
        assert corpus.packed_nbytes == 0
        for found in (corpus.topk(x, K), fastpair.topk(x, y, K, metric=metric, filter=name)):
            assert_same(found, expected, name)


def test_sparse_rows_take_any_filter(rng):
    sparse = pytest.importorskip("scipy.sparse")
    x, y = filters.rows("gaussian", "float32")
    rows = sparse.csr_array(x * (rng.random(x.shape) < 0.3))
    expected = fastpair.topk(rows, y, K)
    for name in FILTERS:
        assert_same(fastpair.topk(rows, y, K, filter=name), expected, name)
        assert_same(Corpus(y, filter=name).topk(rows, K), expected, name)
        assert Corpus(rows, filter=name).packed_nbytes == 0


def test_arrays_on_a_gpu_take_any_filter(cupy):
    x, y = (cupy.asarray(np.array(side[:12])) for side in filters.rows("gaussian", "float32"))
    expected = cupy.asnumpy(fastpair.topk(x, y, 3).indices)
    for name in FILTERS:
        corpus = Corpus(y, filter=name)
        assert corpus.packed_nbytes == 0
        for found in (corpus.topk(x, 3), fastpair.topk(x, y, 3, filter=name)):
            np.testing.assert_array_equal(cupy.asnumpy(found.indices), expected)
        fastpair.radius(x, y, 0.5, filter=name)


BYTES = {"bf16": 2, "int16": 2, "int8": 1}


@pytest.mark.parametrize("name", FILTERS)
def test_a_corpus_tells_what_it_has_packed(name):
    y = filters.rows("gaussian", "float32", "cosine", 1, 2000, 256)[1]
    corpus = Corpus(y, filter=name)
    assert corpus.filter == name
    assert repr(corpus) == f"Corpus(shape=(2000, 256), metric='cosine'{'' if name == 'auto' else f', filter={name!r}'})"
    if name in LOW:
        assert y.size * BYTES[name] <= corpus.packed_nbytes <= y.size * BYTES[name] * 1.1 + 2000 * 64 + 64 * KIB
    elif name != "auto":
        assert corpus.packed_nbytes == 0


def test_a_file_is_packed_for_those_who_ask(tmp_path):
    x, y = filters.rows("gaussian", "float32", "cosine", 19, 2000, 65)
    y.tofile(tmp_path / "rows")
    mapped = np.memmap(tmp_path / "rows", np.float32, "r", shape=y.shape)
    expected = fastpair.topk(x, y, K, filter="off")
    for rows in (mapped, np.asarray(mapped), np.asarray(mapped)[::1], mapped.view()):
        assert Corpus(rows).packed_nbytes == 0
        assert_same(Corpus(rows).topk(x, K), expected)
    for name in LOW:
        corpus = Corpus(mapped, filter=name)
        assert corpus.packed_nbytes > 0
        assert_same(corpus.topk(x, K), expected, name)


def test_chunks_are_not_packed():
    x, y = filters.rows("tight", "float32")
    expected = fastpair.topk(x, y, K, filter="off")
    for name in FILTERS:
        for corpus in (Corpus([y[:60], y[60:]], filter=name), Corpus(lambda: iter([y[:1], y[1:]]), filter=name)):
            assert corpus.packed_nbytes == 0
            assert_same(corpus.topk(x, K), expected, name)


def test_rows_that_are_cut_are_not_those_that_were_packed(monkeypatch, rng):
    """A large mask cuts the columns of a search, and the parts have no packed form."""
    from fastpair.similarity import _search

    x, y = filters.rows("gaussian", "float32", "cosine", 60, 900, 20)
    mask = rng.random((60, 900)) < 0.6
    expected = fastpair.topk(x, y, K, mask=mask, filter="off")
    hits = fastpair.radius(x, y, 0.1, mask=mask, filter="off")
    seen = []
    for name in ("topk", "radius"):
        kernel = getattr(_core, name)

        def recorded(*arguments, kernel=kernel):
            seen.append((len(arguments[1]), arguments[-1] is not None))
            return kernel(*arguments)

        monkeypatch.setattr(_core, name, recorded)
    for filter_ in LOW:
        corpus = Corpus(y, filter=filter_)
        for most, cut in ((1 << 20, False), (1000, True)):
            monkeypatch.setattr(_search, "MOST_MASK_BYTES", most)
            seen.clear()
            assert_same(corpus.topk(x, K, mask=mask), expected, filter_)
            assert_same(corpus.radius(x, 0.1, mask=mask), hits, filter_)
            assert all((size == 900, not cut) == (not cut, whole) for size, whole in seen), seen
            assert (len(seen) > 2) == cut


@pytest.mark.parametrize("name", FILTERS)
def test_a_corpus_can_be_pickled(name):
    x, y = filters.rows("gaussian", "float32")
    corpus = Corpus(y, "euclidean", filter=name)
    copy = pickle.loads(pickle.dumps(corpus))
    assert (copy.filter, copy.packed_nbytes) == (name, corpus.packed_nbytes)
    assert_same(copy.topk(x, K), corpus.topk(x, K))


def test_states_of_different_filters_merge():
    x, y = filters.rows("duplicated", "float32")
    expected = fastpair.topk(x, y, K, filter="off")
    whole = TopkState(len(x), K)
    for begin, name in zip(range(0, len(y), 30), FILTERS, strict=True):
        state = TopkState(len(x), K, filter=name)
        state.update(x, y[begin : begin + 30], begin)
        whole.merge(state)
    assert_same(whole.result(), expected)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
def test_negatives_are_the_same(metric, dtype, rng):
    x, y = filters.rows("gaussian", dtype, metric)
    positives = rng.integers(0, len(y), len(x))
    cases = (
        {},
        {"rel_margin": 0.05, "fallback": "relax"},
        {"range": (3, 30), "sample": "random", "seed": 3},
        {"query_labels": np.arange(len(x)) % 3, "corpus_labels": np.arange(len(y)) % 3, "duplicates": "drop"},
    )
    for given_ in cases:
        options = {"k": 5, "metric": metric, **given_}
        expected = mining.hard_negatives(x, y, positives, filter="off", **options)
        for name, threads, about in engines():
            assert_same(mining.hard_negatives(x, y, positives, filter=name, **options, **threads), expected, about)
    options = {"k": 5, "metric": metric, "positives": positives, "filter": {"abs_margin": 0.01}}
    expected = mining.topk_negatives(x, y, search_filter="off", **options)
    for name, threads, about in engines():
        assert_same(mining.topk_negatives(x, y, search_filter=name, **options, **threads), expected, about)


X, Y = np.ones((2, 3)), np.ones((4, 3))
ENTRIES = {
    "topk": lambda name: fastpair.topk(X, Y, 1, filter=name),
    "radius": lambda name: fastpair.radius(X, Y, 0.5, filter=name),
    "Corpus": lambda name: Corpus(Y, filter=name),
    "TopkState": lambda name: TopkState(2, 1, filter=name),
    "hard_negatives": lambda name: mining.hard_negatives(X, Y, [0, 1], k=1, filter=name),
    "topk_negatives": lambda name: mining.topk_negatives(X, Y, k=1, search_filter=name),
}


@pytest.mark.parametrize("entry", ENTRIES)
@pytest.mark.parametrize("name", ["fp8", "", "AUTO", None, 8, b"int8"])
def test_unknown_filters_are_refused(entry, name):
    with pytest.raises(ValueError, match=r"filter must be one of 'auto', 'f32'") as caught:
        ENTRIES[entry](name)
    assert re.search(rf"not {re.escape(repr(name))}; .*same result", str(caught.value))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", FILTERS)
def test_rows_that_are_not_finite_are_refused(name, value):
    for argument, words in (("x", "row 3, column 64"), ("y", "row 100, column 64")):
        rows = {side: np.array(values) for side, values in zip("xy", filters.rows("gaussian", "float32"), strict=True)}
        rows[argument][3 if argument == "x" else 100, 64] = value
        for search in (fastpair.topk, lambda x, y, k, filter: Corpus(y, filter=filter).topk(x, k)):
            with pytest.raises(ValueError, match=rf"{argument} is (?i:nan|-?inf) at {words}"):
                search(rows["x"], rows["y"], 2, filter=name)


@pytest.mark.parametrize("pattern", ["tight", "duplicated"])
@pytest.mark.parametrize("dtype", embeddings.FLOATS)
def test_other_queries_of_the_same_corpus(pattern, dtype):
    """What is packed fits queries of any dtype and of any number."""
    _, y = filters.rows(pattern, dtype)
    corpora = {name: Corpus(y, filter=name) for name in FILTERS}
    for other in ("float64", "float32", "int8"):
        x, _ = filters.rows("gaussian", other)
        for queries in (x, x[:1], x[0], x[:0]):
            expected = fastpair.topk(queries, y, K, filter="off")
            for name, corpus in corpora.items():
                assert_same(corpus.topk(queries, K), expected, name)


@pytest.mark.parametrize("name", FILTERS)
def test_scratch_is_bounded(name):
    """Too little is refused with what is needed; else the result is the same."""
    x, y = filters.rows("gaussian", "float32", "cosine", 60, 2000, 70)
    expected = fastpair.topk(x, y, 9, filter="off")
    corpus = Corpus(y, filter=name)
    for most in (1, 200 * KIB, 400 * KIB, 800 * KIB, 4 * MIB, 2**70):
        for call in (
            lambda **limits: fastpair.topk(x, y, 9, filter=name, **limits),
            lambda **o: corpus.topk(x, 9, **o),
        ):
            found, said = outcome(call, most)
            if found is None:
                assert re.fullmatch(
                    rf"max_memory is {most} bytes, but this call needs (\d+) on one thread; pass at least that", said
                ), said
                assert most < MIB
            else:
                assert_same(found, expected, f"{name} {most}")


def test_a_search_of_a_packed_corpus_copies_no_rows():
    """Python's part of it: numpy makes nothing of the size of the rows."""
    x, y = filters.rows("gaussian", "float32", "cosine", 2, 20_000, 64)
    corpus = Corpus(y, filter="int8")
    corpus.topk(x, 3)
    tracemalloc.start()
    try:
        corpus.topk(x, 3)
        assert tracemalloc.get_traced_memory()[1] < y.nbytes // 8
    finally:
        tracemalloc.stop()
