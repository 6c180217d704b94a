"""Sparse rows of scipy: dot products and cosines, ranked as dense ones are."""

import itertools
import re

import fastpair
import numpy as np
import oracle_similarity as oracle
import pytest
from fastpair.similarity import _sparse
from scipy import sparse
from searches import RULES, assert_found, rules
from test_radius import assert_hits

N, M, D, K = 23, 91, 60, 7
FORMS = ("csr_array", "csr_matrix", "csc_array", "coo_array", "coo_matrix", "lil_array")


def cells(rng, n, d, dtype="float64", density=0.2):
    """Small integers, whose sums are exact in any order: scores have the bits of the oracle."""
    values = rng.integers(-4, 5, (n, d)) * (rng.random((n, d)) < density)
    values[::7] = 0
    return values.astype(dtype)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("sides", ["both", "x", "y"])
@pytest.mark.parametrize("metric", ["dot", "cosine"])
def test_the_ranking_is_that_of_a_sort(form, sides, metric, rng):
    x, y = cells(rng, N, D), cells(rng, M, D)
    scores = oracle.pairwise(x, y, metric)
    a = getattr(sparse, form)(x) if sides != "y" else x
    b = getattr(sparse, form)(y) if sides != "x" else y
    for largest in (True, False):
        found = fastpair.topk(a, b, K, metric=metric, largest=largest)
        if metric == "dot":
            assert_found(found, scores, K, largest)
        else:
            np.testing.assert_allclose(found.scores, oracle.topk(scores, K, largest)[0], atol=1e-15)
            own = np.take_along_axis(scores, found.indices, axis=1)
            np.testing.assert_allclose(found.scores, own, atol=1e-15)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int8", "int64", "bool", "uint8"])
def test_every_dtype(dtype, rng):
    x, y = np.abs(cells(rng, N, D)).astype(dtype), np.abs(cells(rng, M, D)).astype(dtype)
    scores = oracle.pairwise(x, y, "dot")
    assert_found(fastpair.topk(sparse.csr_array(x), sparse.csr_array(y), K, metric="dot"), scores, K, True)
    found = fastpair.pairwise(sparse.csr_array(x), y, "dot")
    assert found.dtype == (np.float64 if dtype in ("float64", "int64") else np.float32)
    np.testing.assert_array_equal(found, scores)


@pytest.mark.parametrize("name", RULES)
def test_rules_act_inside_the_search(name, rng):
    x, y = cells(rng, N, D), cells(rng, M, D)
    scores = oracle.pairwise(x, y, "dot")
    given, meant = rules(name, rng, N, M, scores)
    allowed = oracle.admitted(scores, **meant)
    for largest in (True, False):
        found = fastpair.topk(sparse.csr_array(x), sparse.csr_array(y), K, metric="dot", largest=largest, **given)
        assert_found(found, scores, K, largest, allowed, name)


@pytest.mark.parametrize("cells_at_once", [1, 64, 640, 6400])
@pytest.mark.parametrize("sides", ["both", "x", "y"])
def test_work_is_cut_into_blocks(cells_at_once, sides, monkeypatch, rng):
    x, y = cells(rng, N, D), cells(rng, M, D)
    a, b = (x if sides == "y" else sparse.csr_array(x)), (y if sides == "x" else sparse.csr_array(y))
    scores = oracle.pairwise(x, y, "dot")
    given, meant = rules("all at once", rng, N, M, scores)
    allowed = oracle.admitted(scores, **meant)
    monkeypatch.setattr(_sparse, "MOST_CELLS", cells_at_once)
    seen = []
    found = fastpair.topk(a, b, K, metric="dot", progress=lambda *pair: seen.append(pair), **given)
    assert_found(found, scores, K, True, allowed)
    assert seen[-1] == (N * M, N * M)
    np.testing.assert_array_equal(fastpair.pairwise(a, b), scores)
    np.testing.assert_allclose(fastpair.pairwise(a, b, "cosine"), oracle.pairwise(x, y, "cosine"), atol=1e-15)


def pairs_of(x, y, sides):
    """The same rows with one side or both sparse."""
    return (x if sides == "y" else sparse.csr_array(x)), (y if sides == "x" else sparse.csc_array(y))


@pytest.mark.parametrize("cells_at_once", [1, 640, 1 << 20])
@pytest.mark.parametrize("sides", ["both", "x", "y"])
@pytest.mark.parametrize("largest", [True, False])
def test_hits_are_those_of_a_comparison(cells_at_once, sides, largest, monkeypatch, rng):
    x, y = cells(rng, N, D), cells(rng, M, D)
    a, b = pairs_of(x, y, sides)
    scores = oracle.pairwise(x, y, "dot")
    threshold = np.quantile(scores, 0.8 if largest else 0.2, axis=1, method="nearest")
    given, meant = rules("all at once", rng, N, M, scores)
    monkeypatch.setattr(_sparse, "MOST_CELLS", cells_at_once)
    for options, allowed in (({}, None), (given, oracle.admitted(scores, **meant))):
        for sort in (False, True):
            expected = oracle.radius(scores, threshold, largest, allowed, best_first=sort)
            found = fastpair.radius(a, b, threshold, metric="dot", largest=largest, sort=sort, **options)
            assert_hits(found, expected)
            hits = fastpair.Corpus(b, "dot").radius(a, threshold, largest=largest, sort=sort, **options)
            assert_hits(hits, expected)
        counts = fastpair.Corpus(b, "dot").count(a, threshold, largest=largest, **options)
        np.testing.assert_array_equal(counts, np.diff(expected[0]), strict=True)
    assert len(fastpair.radius(a, b, threshold, metric="dot", max_hits=N * M).indices) > 0


@pytest.mark.parametrize("sides", ["both", "x", "y"])
def test_cosine_hits_are_those_of_pairwise(sides, rng):
    a, b = pairs_of(cells(rng, N, D), cells(rng, M, D), sides)
    scores = fastpair.pairwise(a, b, "cosine", out=np.empty((N, M)))
    assert_hits(fastpair.radius(a, b, 0.3), oracle.radius(scores, 0.3, True))


@pytest.mark.parametrize("sides", ["both", "x", "y"])
@pytest.mark.parametrize("cut", [(), (1,), (7, 50, 51), tuple(range(0, M, 17))])
@pytest.mark.parametrize("name", ["all at once", "labels of strings", "packed mask of pairs", "both limits"])
def test_a_corpus_does_not_depend_on_the_cut(sides, cut, name, rng):
    x, y = cells(rng, N, D), cells(rng, M, D)
    a, _ = pairs_of(x, y, sides)
    scores = oracle.pairwise(x, y, "dot")
    given, meant = rules(name, rng, N, M, scores)
    allowed = oracle.admitted(scores, **meant)
    parts = [y[begin:end] for begin, end in itertools.pairwise([0, *cut, M])]
    # Chunks may be of both kinds.
    chunks = [part if sides == "x" and i % 2 else sparse.coo_array(part) for i, part in enumerate(parts)]
    for corpus in (fastpair.Corpus(chunks, "dot"), fastpair.Corpus(lambda: iter(chunks), "dot")):
        assert_found(corpus.topk(a, K, **given), scores, K, True, allowed)
        hits = oracle.radius(scores, 3.0, True, allowed)
        assert_hits(corpus.radius(a, 3.0, **given), hits)
        np.testing.assert_array_equal(corpus.count(a, 3.0, **given), np.diff(hits[0]))
    assert corpus.shape == (M, D)


@pytest.mark.parametrize("largest", [True, False])
def test_parts_of_a_state_come_in_any_order(largest, rng):
    x, y = cells(rng, N, D), cells(rng, M, D)
    scores = oracle.pairwise(x, y, "dot")
    lists = [rng.permutation(M)[:9].tolist() for _ in range(N)]
    allowed = oracle.admitted(scores, exclude=lists, exclude_self=True)
    state = fastpair.TopkState(N, K, "dot", largest)
    for begin in (60, 0, 30):
        end = M if begin == 60 else begin + 30
        state.update(sparse.csr_array(x), y[begin:end], begin, exclude=lists, exclude_self=True)
    assert_found(state.result(), scores, K, largest, allowed)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("sides", ["both", "x", "y"])
def test_aligned_rows(form, sides, monkeypatch, rng):
    x, y = cells(rng, M, D), cells(rng, M, D)
    a = getattr(sparse, form)(x) if sides != "y" else x
    b = getattr(sparse, form)(y) if sides != "x" else y
    for most in (1 << 14, 10):
        monkeypatch.setattr(_sparse, "MOST_ALIGNED", most)
        found = fastpair.similarity.rowwise(a, b, "dot")
        np.testing.assert_array_equal(found, fastpair.similarity.rowwise(x, y, "dot"), strict=True)
        cosines = fastpair.similarity.rowwise(a, b, "cosine")
        np.testing.assert_allclose(cosines, fastpair.similarity.rowwise(x, y, "cosine"), atol=1e-15)
        for scale in (1e200, 1e-310):
            extreme = fastpair.similarity.rowwise(a * scale, b, "cosine")
            np.testing.assert_allclose(extreme, cosines, atol=1e-9)
    assert fastpair.similarity.rowwise(a[:0] if sides == "y" else sparse.csr_array((0, D)), y[:0]).shape == (0,)


def test_without_y_it_is_x(rng):
    x = cells(rng, N, D)
    scores = oracle.pairwise(x, x, "dot")
    allowed = oracle.admitted(scores, exclude_self=True)
    found = fastpair.topk(sparse.csr_array(x), k=K, metric="dot", exclude_self=True)
    assert_found(found, scores, K, True, allowed)
    np.testing.assert_array_equal(fastpair.pairwise(sparse.csr_array(x)), scores)


def test_sizes(rng):
    for n, m, d in ((0, 5, 3), (5, 0, 3), (3, 5, 0), (1, 1, 1)):
        x, y = cells(rng, n, d), cells(rng, m, d)
        scores = oracle.pairwise(x, y, "dot")
        found = fastpair.topk(sparse.csr_array(x), sparse.csr_array(y), 4, metric="dot")
        assert_found(found, scores, 4, True)
        assert fastpair.pairwise(sparse.csr_array(x), sparse.csr_array(y)).shape == (n, m)
    one = fastpair.topk(cells(rng, 2, 5)[1], sparse.csr_array(cells(rng, 9, 5)), 3, metric="dot")
    assert one.indices.shape == (3,)


def test_duplicates_and_any_order_of_stored_entries():
    indptr, indices, data = [0, 3, 4], [2, 0, 2, 1], [1.0, 5.0, 2.0, 7.0]
    x = sparse.csr_array((data, indices, indptr), shape=(2, 3))
    np.testing.assert_array_equal(fastpair.pairwise(x, np.eye(3)), [[5, 0, 3], [0, 7, 0]])
    assert x.indices.tolist() == indices  # the caller's matrix stays as it was


@pytest.mark.parametrize("scale", [1e200, 1e-200, 1e-310])
def test_cosines_of_extreme_rows(scale, rng):
    x, y = cells(rng, N, D), cells(rng, M, D)
    expected = oracle.pairwise(x, y, "cosine")
    for a in (sparse.csr_array(x * scale), x * scale):
        np.testing.assert_allclose(fastpair.pairwise(a, sparse.csr_array(y), "cosine"), expected, atol=1e-9)
        np.testing.assert_allclose(fastpair.pairwise(sparse.csr_array(y), a, "cosine"), expected.T, atol=1e-9)


def test_results_go_where_told(rng):
    x, y = sparse.csr_array(cells(rng, N, D)), sparse.csr_array(cells(rng, M, D))
    out = np.empty((N, K)), np.empty((N, K), np.int64)
    assert fastpair.topk(x, y, K, out=out).scores is out[0]
    np.testing.assert_array_equal(out[1], fastpair.topk(x, y, K).indices)
    room = np.empty((M, N), np.float32).T
    assert fastpair.pairwise(x, y, out=room) is room
    np.testing.assert_array_equal(room, (x @ y.T).toarray())


X = sparse.csr_array(np.eye(3))
BAD = sparse.csr_array(np.array([[0, 1.0, 0], [0, 0, np.nan]]))
REFUSED = [
    (lambda: fastpair.topk(X, metric="euclidean"), ValueError, "'euclidean'.*sparse x"),
    (lambda: fastpair.topk(np.eye(3), X, metric="hamming"), ValueError, "'hamming'.*sparse y"),
    (lambda: fastpair.pairwise(X, metric="kl"), ValueError, "'kl'.*sparse x"),
    (lambda: fastpair.topk(X, np.eye(4)), ValueError, "x has 3 columns but y has 4"),
    (lambda: fastpair.pairwise(np.ones(3), X), ValueError, r"x has shape \(3,\)"),
    (lambda: fastpair.topk(BAD), ValueError, "x is nan at row 1, column 2"),
    (lambda: fastpair.topk(X, BAD), ValueError, "y is nan at row 1, column 2"),
    (lambda: fastpair.topk(X, np.full((2, 3), np.inf)), ValueError, "y is inf at row 0, column 0"),
    (lambda: fastpair.topk(X.astype(complex)), TypeError, "x has dtype complex128"),
    (lambda: fastpair.radius(X, threshold=0.5, metric="euclidean"), ValueError, "'euclidean'.*sparse x"),
    (lambda: fastpair.radius(X, BAD, 0.5), ValueError, "y is nan at row 1, column 2"),
    (lambda: fastpair.radius(X, threshold=0, max_hits=8), ValueError, "more than max_hits=8 hits"),
    (lambda: fastpair.Corpus(X, "lorentz"), ValueError, "'lorentz'.*sparse y"),
    (lambda: fastpair.Corpus(np.eye(3), "lorentz").topk(X), ValueError, "'lorentz'.*sparse x"),
    (lambda: fastpair.Corpus(X).topk(np.eye(4)), ValueError, "x has 4 columns but y has 3"),
    (lambda: fastpair.Corpus([X, np.eye(4)]), ValueError, "a chunk with 4 columns after one with 3"),
    (lambda: fastpair.Corpus(X).radius(X, 0, max_hits=8), ValueError, "more than max_hits=8 hits"),
    (lambda: fastpair.Corpus(BAD), ValueError, "y is nan at row 1, column 2"),
    (lambda: fastpair.similarity.rowwise(X, X, "rbf", bandwidth=1), ValueError, "'rbf'.*sparse x"),
    (lambda: fastpair.similarity.rowwise(X, X[:2]), ValueError, "x has 3 rows but y has 2"),
    (lambda: fastpair.similarity.rowwise(np.ones(3), X), ValueError, r"x has shape \(3,\)"),
    (lambda: fastpair.similarity.rowwise(X[:2], BAD), ValueError, "y is nan at row 1, column 2"),
    (lambda: fastpair.similarity.reduce(X), TypeError, "sparse.*toarray"),
    (lambda: fastpair.metrics.pair_auc(X, [0, 0, 1]), TypeError, "sparse.*toarray"),
]


@pytest.mark.parametrize(("call", "error", "words"), REFUSED)
def test_what_cannot_be_is_refused(call, error, words):
    with pytest.raises(error) as caught:
        call()
    assert re.search(words, str(caught.value)), str(caught.value)
