"""`mining.hard_negatives` against the oracle: every rule, every metric, every way of naming positives."""

import fastpair
import helpers
import numpy as np
import oracle_hard_negatives as oracle
import oracle_similarity
import pytest
from fastpair import mining
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse
from searches import solved

N, M, K = 23, 97, 5
METRICS = oracle_similarity.METRICS


def problem(metric="cosine", dtype="float32", pattern="gaussian"):
    """Queries, a corpus, their scores, one to three positives of each query but the last."""
    x, y, scores = solved(pattern, dtype, metric, n=N, m=M, d=19)
    rng = np.random.default_rng(5)
    positives = [rng.permutation(M)[: 1 + i % 3].tolist() for i in range(N - 1)] + [[]]
    return x, y, scores, positives


def both(metric, options, *, k=K, positives=None, dtype="float32", pattern="gaussian", **oracles):
    """What is mined, and what the oracle mines; the oracle has some options by other names."""
    x, y, scores, given = problem(metric, dtype, pattern)
    given = given if positives is None else positives
    largest = metric in oracle_similarity.SIMILARITIES
    found = mining.hard_negatives(x, y, given, k=k, metric=metric, **options)
    shared = {name: value for name, value in options.items() if name in SHARED}
    return found, oracle.mine(scores, given, k, largest=largest, **shared, **oracles)


SHARED = ("min_score", "max_score", "abs_margin", "rel_margin", "positive", "exclude")
MARGINS = {
    "nothing": {},
    "absolute": {"abs_margin": 0.05},
    "relative": {"rel_margin": 0.1},
    "both": {"abs_margin": 0.05, "rel_margin": 0.1},
    "closer than the positive": {"abs_margin": -0.1},
    "nothing closer than the positive": {"abs_margin": 0},
}


@pytest.mark.parametrize("positive", ["min", "mean", "max", "own"])
@pytest.mark.parametrize("margins", MARGINS)
@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_margins(metric, margins, positive):
    oracle.assert_mined(*both(metric, {**MARGINS[margins], "positive": positive}))


@pytest.mark.parametrize("relax", [False, True], ids=["short", "relax"])
@pytest.mark.parametrize("metric", METRICS)
def test_every_metric(metric, relax):
    """Also limits: of a similarity the upper one, of a distance the lower one keeps the closest out."""
    x, _, scores, _ = problem(metric, "bool" if metric in oracle_similarity.BITS else "float64")
    low, high = np.quantile(scores, [0.02, 0.9]).tolist()
    options = {"rel_margin": 0.01, "min_score": low, "max_score": high, "fallback": "relax" if relax else "short"}
    found, expected = both(metric, options, dtype=str(x.dtype), relax=relax)
    if metric == "poincare":  # the last bit is the C library's
        np.testing.assert_array_equal(found.counts, expected["counts"])
        np.testing.assert_allclose(found.scores, expected["scores"], rtol=1e-14)
        np.testing.assert_allclose(found.positive_scores, expected["positive_scores"], rtol=1e-14)
        return
    oracle.assert_mined(found, expected)


@pytest.mark.parametrize("low", [0, 1, 7, M - 1])
@pytest.mark.parametrize("relax", [False, True], ids=["short", "relax"])
def test_skipped_ranks(low, relax):
    options = {"range": (low, None), "rel_margin": 0.3, "fallback": "relax" if relax else "short"}
    oracle.assert_mined(*both("cosine", options, low=low, relax=relax))
    oracle.assert_mined(*both("cosine", {**options, "range": (low, low + K)}, low=low, relax=relax))


def test_limits_of_each_query(rng):
    """The strictest of a row decides, and is what the report names."""
    _, _, scores, _ = problem()
    high = np.where(rng.random(N) < 0.5, np.inf, np.quantile(scores, 0.7, axis=1))
    low = np.quantile(scores, 0.4, axis=1)
    for relax in (False, True):
        fallback = "relax" if relax else "short"
        options = {"min_score": low, "max_score": high, "abs_margin": 0.1, "fallback": fallback}
        found, expected = both("cosine", options, relax=relax)
        oracle.assert_mined(found, expected)
        assert min(found.report.max_score, found.report.abs_margin) > 0
        assert (found.report.relaxed > 0) == relax


def test_exclude_and_labels(rng):
    exclude = [rng.permutation(M)[: i % 9].tolist() for i in range(N)]
    labels = rng.integers(0, 4, N), rng.integers(0, 4, M)
    for relax in (False, True):
        options = {"exclude": exclude, "rel_margin": 0.2, "fallback": "relax" if relax else "short"}
        oracle.assert_mined(*both("cosine", options, relax=relax))
        words = np.array(["a", "b", "c", "d"])
        options |= {"query_labels": words[labels[0]], "corpus_labels": words[labels[1]]}
        for positive in ("min", "own"):
            options["positive"] = positive
            oracle.assert_mined(*both("cosine", options, labels=labels, relax=relax))


def test_a_score_equal_to_its_bound_is_admissible():
    """As in sentence-transformers, which drops what is larger."""
    queries, corpus = [[1.0]], [[8.0], [6.0], [4.0], [2.0]]
    options = {"k": 3, "metric": "dot"}
    assert mining.hard_negatives(queries, corpus, [0], abs_margin=2.0, **options).indices.tolist() == [[1, 2, 3]]
    assert mining.hard_negatives(queries, corpus, [0], rel_margin=0.25, **options).indices.tolist() == [[1, 2, 3]]
    assert mining.hard_negatives(queries, corpus, [0], max_score=6.0, **options).indices.tolist() == [[1, 2, 3]]
    assert mining.hard_negatives(queries, corpus, [0], min_score=4.0, **options).indices.tolist() == [[1, 2, -1]]
    beyond = 2.0 + 1e-14
    assert mining.hard_negatives(queries, corpus, [0], abs_margin=beyond, **options).indices.tolist() == [[2, 3, -1]]


def test_margins_of_negative_scores():
    """A relative margin makes the bound lower also where the positive's score is negative."""
    queries, corpus = [[1.0]], [[-4.0], [-3.0], [-5.0], [-6.0]]
    found = mining.hard_negatives(queries, corpus, [0], k=3, metric="dot", rel_margin=0.25)
    assert found.indices.tolist() == [[2, 3, -1]]
    assert found.report.rel_margin == 1


def test_margins_of_distances():
    """A negative is farther than the positive by the margin, or exactly so far."""
    queries, corpus = [[0.0]], [[4.0], [3.0], [5.0], [6.0], [4.5]]
    options = {"k": 4, "metric": "euclidean"}
    assert mining.hard_negatives(queries, corpus, [0], abs_margin=1.0, **options).indices.tolist() == [[2, 3, -1, -1]]
    assert mining.hard_negatives(queries, corpus, [0], rel_margin=0.25, **options).indices.tolist() == [[2, 3, -1, -1]]
    found = mining.hard_negatives(queries, corpus, [[0, 3]], abs_margin=0.0, positive="max", **options)
    assert found.indices.tolist() == [[4, 2, -1, -1]]
    found = mining.hard_negatives(queries, corpus, [[0, 1]], abs_margin=0.5, fallback="relax", **options)
    assert found.indices.tolist() == [[4, 2, 3, -1]]
    found = mining.hard_negatives(queries, corpus, [0], min_score=4.2, max_score=5.5, fallback="relax", **options)
    assert found.indices.tolist() == [[4, 2, 1, 3]]
    assert found.report.relaxed == 2


def test_a_query_without_a_positive_has_no_margin():
    queries, corpus = [[1.0], [1.0]], [[3.0], [2.0], [1.0]]
    found = mining.hard_negatives(queries, corpus, [1, -1], k=2, metric="dot", abs_margin=0.5)
    assert found.indices.tolist() == [[2, -1], [0, 1]]
    np.testing.assert_array_equal(found.positive_scores, [2.0, np.nan])
    assert found.report.positives == 1


def forms(lists, m):
    """The same positives in every form."""
    widest = max(map(len, lists))
    padded = np.full((len(lists), widest), -1)
    mask = np.zeros((len(lists), m), bool)
    for row, own in enumerate(lists):
        padded[row, : len(own)] = own
        mask[row, own] = True
    starts = np.cumsum([0, *map(len, lists)])
    flat = np.array([column for own in lists for column in own])
    owners = np.repeat(np.arange(len(lists)), np.diff(starts))
    return {
        "lists": lists,
        "arrays": [np.array(own, np.int32) for own in lists],
        "padded": padded.astype(np.int16),
        "csr": (starts, flat),
        "coordinates": mining.Coordinates(owners, flat),
        "scipy": sparse.coo_array((np.ones(len(flat)), (owners, flat)), shape=(len(lists), m)),
        "mask": mask,
    }


@pytest.mark.parametrize("form", forms([[0]], 1))
def test_forms_of_positives_and_exclude(form):
    x, y, _, positives = problem()
    positives = [sorted(own) for own in positives]  # as a mask has them
    given = forms(positives, M)[form]
    for options in ({"rel_margin": 0.1}, {"positive": "own", "abs_margin": 0.1}):
        found = mining.hard_negatives(x, y, given, k=K, **options)
        expected = mining.hard_negatives(x, y, positives, k=K, **options)
        for left, right in zip(found, expected, strict=True):
            np.testing.assert_array_equal(left, right)
    found = mining.hard_negatives(x, y, np.arange(N), k=K, exclude=given)
    expected = mining.hard_negatives(x, y, np.arange(N), k=K, exclude=positives)
    np.testing.assert_array_equal(found.indices, expected.indices)


def test_one_positive_each():
    x, y, _, _ = problem()
    expected = mining.hard_negatives(x, y, [[i] for i in range(N)], k=K, abs_margin=0.0)
    for columns in (np.arange(N), list(range(N)), np.arange(N, dtype=np.uint8)[:, np.newaxis]):
        found = mining.hard_negatives(x, y, columns, k=K, abs_margin=0.0)
        np.testing.assert_array_equal(found.indices, expected.indices)


def test_own_keeps_the_order_given():
    """Rows go with the caller's pairs, also where a positive is named twice; elsewhere it counts once."""
    x, y, scores, _ = problem()
    given = [[9, 2, 9]] + [[i] for i in range(1, N)]
    found = mining.hard_negatives(x, y, given, k=K, positive="own", abs_margin=0.1)
    np.testing.assert_array_equal(found.positive_scores[:4], [*scores[0, [9, 2, 9]], scores[1, 1]])
    np.testing.assert_array_equal(found.indices[0], found.indices[2])
    mean = mining.hard_negatives(x, y, given, k=K, positive="mean", abs_margin=0.1)
    assert mean.positive_scores[0] == scores[0, [2, 9]].mean()
    assert mean.report.positives == 2 + N - 1


@pytest.mark.parametrize("kind", ["dense", "queries", "corpus", "both"])
@pytest.mark.parametrize("metric", ["dot", "cosine"])
def test_sparse_rows(kind, metric):
    """Scores have the bits of a sparse search, so those of a positive equal those that a search would find."""
    x, y, _, positives = problem(metric, "float64", "gaussian")
    x, y = x * (x > 0), y * (y > 0)
    rows = sparse.csr_array(x) if kind in ("queries", "both") else x
    columns = sparse.csr_array(y) if kind in ("corpus", "both") else y
    scores = fastpair.pairwise(rows, columns, metric, exact=True)
    for options in ({"rel_margin": 0.2}, {"abs_margin": 0.1, "positive": "own", "duplicates": "drop"}):
        for relax in (False, True):
            fallback = "relax" if relax else "short"
            found = mining.hard_negatives(rows, columns, positives, k=K, metric=metric, fallback=fallback, **options)
            rules = dict(options)
            expected = oracle.mine(
                *(scores, positives, K), corpus=y if rules.pop("duplicates", None) else None, relax=relax, **rules
            )
            oracle.assert_mined(found, expected)


@pytest.mark.parametrize("pattern", ["gaussian", "integers", "duplicated"])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "int8", "float64"])
def test_dtypes_and_ties(dtype, pattern):
    pytest.importorskip("ml_dtypes")
    for options in ({}, {"abs_margin": 0.0}, {"rel_margin": 0.25, "positive": "max"}):
        found, expected = both("dot", options, dtype=dtype, pattern=pattern)
        oracle.assert_mined(found, expected)


def test_layouts_do_not_matter():
    x, y, _, positives = problem()
    expected = mining.hard_negatives(x, y, positives, k=K, rel_margin=0.1, positive="own", duplicates="drop")
    wide = np.zeros((M, 2 * y.shape[1]), y.dtype)
    wide[:, ::2] = y
    swapped = x.astype(x.dtype.newbyteorder())
    for left, right in ((np.asfortranarray(x), wide[:, ::2]), (x[::-1][::-1], y.tolist()), (swapped, y)):
        before = np.array(right)
        found = mining.hard_negatives(left, right, positives, k=K, rel_margin=0.1, positive="own", duplicates="drop")
        np.testing.assert_array_equal(found.indices, expected.indices)
        np.testing.assert_array_equal(right, before)


def test_engines():
    """Every instruction set and thread count gives the same bits."""
    x, y, _, positives = problem()
    cases = [
        {"rel_margin": 0.1, "fallback": "relax"},
        {"positive": "own", "abs_margin": 0.1},
        {"sample": "softmax", "seed": 3, "range": (1, 40)},
        {"teacher": lambda rows, columns: np.cos(rows + 2.0 * columns), "abs_margin": 0.2},
    ]
    expected = [mining.hard_negatives(x, y, positives, k=K, **case) for case in cases]
    for level, threads in helpers.engines():
        for case, meant in zip(cases, expected, strict=True):
            found = mining.hard_negatives(x, y, positives, k=K, num_threads=threads, **case)
            for seen, array in zip(found, meant, strict=True):
                np.testing.assert_array_equal(seen, array, err_msg=f"{level} {threads} {case}")


@given(st.data())
def test_any_rules_together(data):
    """Few values make ties between positives, bounds and negatives."""
    n, m = data.draw(st.integers(1, 5)), data.draw(st.integers(1, 9))
    numbers = st.integers(-2, 2)
    x = np.array(data.draw(st.lists(st.tuples(numbers, numbers), min_size=n, max_size=n)), float)
    y = np.array(data.draw(st.lists(st.tuples(numbers, numbers), min_size=m, max_size=m)), float)
    metric = data.draw(st.sampled_from(["dot", "sqeuclidean", "manhattan"]))
    columns = st.lists(st.integers(0, m - 1), max_size=3, unique=True)
    positives = data.draw(st.lists(columns, min_size=n, max_size=n))
    k, low = data.draw(st.integers(1, 4)), data.draw(st.integers(0, m - 1))
    number = st.one_of(st.none(), st.integers(-2, 3))
    options = {name: data.draw(number) for name in ("abs_margin", "rel_margin", "min_score")}
    if metric != "dot" and options["min_score"] is not None:
        options["min_score"] = abs(options["min_score"])
    options["positive"] = data.draw(st.sampled_from(["min", "mean", "max", "own"]))
    options["exclude"] = data.draw(st.one_of(st.none(), st.lists(columns, min_size=n, max_size=n)))
    relax, drop = data.draw(st.booleans()), data.draw(st.booleans())
    labels = data.draw(st.one_of(st.none(), st.just((np.arange(n) % 2, np.arange(m) % 3))))
    found = mining.hard_negatives(
        *(x, y, positives),
        k=k,
        metric=metric,
        range=(low, None),
        fallback="relax" if relax else "short",
        duplicates="drop" if drop else "keep",
        query_labels=None if labels is None else labels[0],
        corpus_labels=None if labels is None else labels[1],
        **options,
    )
    scores = oracle_similarity.pairwise(x, y, metric)
    expected = oracle.mine(
        *(scores, positives, k),
        largest=metric == "dot",
        low=low,
        labels=labels,
        corpus=y if drop else None,
        relax=relax,
        **options,
    )
    oracle.assert_mined(found, expected)
