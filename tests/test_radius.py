"""All pairs that reach a threshold: exactly those, with the bits of the exact scores."""

import re

import embeddings
import fastpair
import helpers
import numpy as np
import oracle_similarity as oracle
import pytest
from searches import FLOAT_METRICS, RULES, rules, solved

N, M, D = 37, 173, 35


def assert_hits(found, expected, about=""):
    assert isinstance(found, fastpair.similarity.RadiusHits)
    for name, seen, meant in zip(found._fields, found, expected, strict=True):
        np.testing.assert_array_equal(seen, meant, strict=True, err_msg=f"{name} {about}")


@pytest.mark.parametrize("metric", [metric for metric in FLOAT_METRICS if metric != "poincare"])
@pytest.mark.parametrize("pattern", ["gaussian", "duplicated", "tight", "anisotropic", "integers", "with_zero_rows"])
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
def test_hits_are_those_of_a_comparison(metric, pattern, dtype):
    x, y, scores = solved(pattern, dtype, metric)
    largest = oracle.is_similarity(metric)
    for share in (0.0, 0.1, 0.9):
        threshold = np.quantile(scores, 1 - share if largest else share, axis=1, method="nearest")
        expected = oracle.radius(scores, threshold, largest)
        for level, threads in helpers.engines():
            found = fastpair.radius(x, y, threshold, metric=metric, num_threads=threads)
            assert_hits(found, expected, f"{share} {level} {threads}")
        best = fastpair.radius(x, y, threshold, metric=metric, sort=True)
        assert_hits(best, oracle.radius(scores, threshold, largest, best_first=True), "sorted")


def test_poincare_hits():
    x, y, scores = solved("gaussian", "float64", "poincare")
    threshold = np.quantile(scores, 0.3) + 1e-9
    found = fastpair.radius(x, y, threshold, metric="poincare")
    expected = oracle.radius(scores, threshold, False)
    np.testing.assert_array_equal(found.indices, expected[1])
    np.testing.assert_allclose(found.scores, expected[2], rtol=1e-15)


@pytest.mark.parametrize("metric", oracle.BITS)
def test_bits(metric, isa, rng):
    x, y = rng.random((N, 70)) < 0.3, rng.random((M, 70)) < 0.3
    scores = oracle.pairwise(x, y, metric)
    threshold = np.quantile(scores, 0.2, method="nearest")
    expected = oracle.radius(scores, threshold, False)
    assert_hits(fastpair.radius(x, y, threshold, metric=metric), expected)
    packed = np.packbits(x, axis=-1), np.packbits(y, axis=-1)
    assert_hits(fastpair.radius(*packed, threshold, metric=metric), expected)


def test_a_pair_at_the_threshold_is_a_hit(isa):
    x, y, scores = solved("gaussian", "float32", "euclidean")
    limit = scores[3, 5]
    assert 5 in fastpair.radius(x[3], y, limit, metric="euclidean").indices
    assert 5 not in fastpair.radius(x[3], y, np.nextafter(limit, 0), metric="euclidean").indices


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_rules_act_inside_the_search(name, metric, isa, rng):
    x, y, scores = solved("gaussian", "float32", metric)
    given, meant = rules(name, rng, N, M, scores)
    allowed = oracle.admitted(scores, **meant)
    for largest in (True, False):
        threshold = np.quantile(scores, 0.5)
        found = fastpair.radius(x, y, threshold, metric=metric, largest=largest, **given)
        assert_hits(found, oracle.radius(scores, threshold, largest, allowed), name)


def test_a_large_mask_is_packed_in_parts(monkeypatch, rng):
    from fastpair.similarity import _search

    x, y, scores = solved("gaussian", "float32", "cosine")
    mask = rng.random((N, M)) < 0.5
    allowed = oracle.admitted(scores, mask=mask)
    monkeypatch.setattr(_search, "MOST_MASK_BYTES", 300)
    for sort in (False, True):
        found = fastpair.radius(x, y, 0.05, mask=mask, sort=sort)
        assert_hits(found, oracle.radius(scores, 0.05, True, allowed, best_first=sort))
    hits = len(found.indices)
    assert len(fastpair.radius(x, y, 0.05, mask=mask, max_hits=hits).indices) == hits
    with pytest.raises(ValueError, match=rf"max_hits={hits - 1}\b"):
        fastpair.radius(x, y, 0.05, mask=mask, max_hits=hits - 1)


@pytest.mark.parametrize("threshold", [-np.inf, np.inf, 0, 2])
@pytest.mark.parametrize("metric", FLOAT_METRICS)
def test_all_or_nothing(threshold, metric, isa):
    x, y, scores = solved("gaussian", "float32", metric)
    found = fastpair.radius(x, y, threshold, metric=metric)
    expected = oracle.radius(scores, threshold, oracle.is_similarity(metric))
    np.testing.assert_array_equal(found.indptr, expected[0])
    np.testing.assert_array_equal(found.indices, expected[1])


@pytest.mark.parametrize(("n", "m", "d"), [(0, 5, 3), (5, 0, 3), (0, 0, 0), (3, 5, 0), (1, 1, 1), (70, 900, 3)])
def test_any_size(n, m, d, isa):
    x, y, scores = solved("gaussian", "float32", "sqeuclidean", n, m, d)
    found = fastpair.radius(x, y, 1.5, metric="sqeuclidean")
    assert_hits(found, oracle.radius(scores, 1.5, False))


@pytest.mark.parametrize("pattern", ["gaussian", "all_equal", "ascending"])
def test_many_rows(pattern, threads):
    x, y, scores = solved(pattern, "float32", "cosine", 70, 3000, 24)
    threshold = np.quantile(scores, 0.8, method="nearest")
    found = fastpair.radius(x, y, threshold, num_threads=threads)
    assert_hits(found, oracle.radius(scores, threshold, True))


def test_rows_of_x_find_themselves_unless_told_otherwise(isa):
    x, _, _ = solved("gaussian", "float32", "cosine")
    scores = oracle.pairwise(x, x, "cosine")
    assert_hits(fastpair.radius(x, threshold=0.1), oracle.radius(scores, 0.1, True))
    allowed = oracle.admitted(scores, exclude_self=True)
    found = fastpair.radius(x, threshold=0.1, exclude_self=True)
    assert_hits(found, oracle.radius(scores, 0.1, True, allowed))


def test_a_single_query_is_one_row():
    x, y, scores = solved("gaussian", "float32", "cosine")
    assert_hits(fastpair.radius(x[0], y, 0.1), oracle.radius(scores[:1], 0.1, True))


def test_hits_make_a_sparse_matrix():
    scipy_sparse = pytest.importorskip("scipy.sparse")
    x, y, scores = solved("gaussian", "float32", "cosine")
    found = fastpair.radius(x, y, 0.1)
    matrix = scipy_sparse.csr_array((found.scores, found.indices, found.indptr), shape=(N, M))
    np.testing.assert_array_equal(matrix.toarray(), np.where(scores >= 0.1, scores, 0))


def test_hits_are_capped_before_room_is_made():
    x, y, scores = solved("gaussian", "float32", "cosine")
    hits = int((scores >= 0).sum())
    assert len(fastpair.radius(x, y, 0.0, max_hits=hits).indices) == hits
    with pytest.raises(ValueError, match=rf"max_hits={hits - 1}\b"):
        fastpair.radius(x, y, 0.0, max_hits=hits - 1)
    assert fastpair.radius(x, y, 2.0, max_hits=0).indices.size == 0


def test_progress_reaches_the_end():
    x, y, _ = solved("gaussian", "float32", "cosine")
    seen = []
    fastpair.radius(x, y, 0.5, progress=lambda *pair: seen.append(pair))
    assert seen[-1] == (N * M, N * M)


REFUSED = [
    ({}, TypeError, "threshold"),
    ({"threshold": np.nan}, ValueError, "threshold is nan"),
    ({"threshold": np.ones(4)}, ValueError, r"threshold has shape \(4,\)"),
    ({"threshold": "a"}, TypeError, "threshold"),
    ({"threshold": 1, "max_hits": -1}, ValueError, "max_hits"),
    ({"threshold": 1, "max_hits": 1.5}, TypeError, "max_hits"),
    ({"threshold": 1, "sort": "yes"}, TypeError, "sort"),
    ({"threshold": 1, "metric": "kl"}, ValueError, "metric"),
    ({"threshold": 1, "mask": np.ones(9, bool)}, ValueError, "mask"),
    ({"threshold": 1, "y": np.ones((5, 3))}, ValueError, "4 columns"),
    ({"threshold": 1, "y": np.full((5, 4), np.nan)}, ValueError, r"y is (?i:nan) at row 0, column 0"),
]


@pytest.mark.parametrize(("arguments", "error", "words"), REFUSED)
def test_what_cannot_be_is_refused(arguments, error, words):
    with pytest.raises(error) as caught:
        fastpair.radius(**{"x": np.eye(3, 4), "y": np.ones((5, 4)), **arguments})
    assert re.search(words, str(caught.value))


@pytest.mark.parametrize("dtype", embeddings.DTYPES)
def test_every_dtype(dtype, isa):
    x, y, scores = solved("gaussian", dtype, "dot")
    threshold = np.quantile(scores, 0.9, method="nearest")
    assert_hits(fastpair.radius(x, y, threshold, metric="dot"), oracle.radius(scores, threshold, True))
