"""Sparse rows of scipy: dot products and cosines, ranked as dense ones are."""

import re

import fastpair
import numpy as np
import oracle_similarity as oracle
import pytest
from scipy import sparse
from searches import RULES, assert_found, rules

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
    from fastpair.similarity import _sparse

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
    (lambda: fastpair.radius(X, threshold=0.5), TypeError, "sparse.*toarray"),
    (lambda: fastpair.Corpus(X), TypeError, "sparse.*toarray"),
    (lambda: fastpair.similarity.rowwise(X, X), TypeError, "sparse.*toarray"),
]


@pytest.mark.parametrize(("call", "error", "words"), REFUSED)
def test_what_cannot_be_is_refused(call, error, words):
    with pytest.raises(error) as caught:
        call()
    assert re.search(words, str(caught.value)), str(caught.value)
