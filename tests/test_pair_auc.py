"""Metrics of all pairs of labelled embeddings: against the whole list of pairs, exact and in bins."""

import re

import embeddings
import fastpair
import helpers
import numpy as np
import oracle_similarity as oracle
import pytest
from fastpair.metrics import PairAuc, PairEer, _labelled_pairs, pair_auc, pair_eer
from searches import FLOAT_METRICS

N, D = 60, 19


def problem(metric, dtype="float32", n=N, pattern="clustered"):
    """Rows of a few labels, the scores of all pairs and which of them are positive."""
    rng = np.random.default_rng([n, D])
    x = embeddings.make(pattern, n, 1, D)[0]
    labels = rng.integers(0, 4, n)
    x = embeddings.for_metric(x + 1.5 * np.eye(4, D)[labels], metric)
    x = x > 0.5 if metric in oracle.BITS else embeddings.cast(x, dtype)
    upper = np.triu_indices(n, 1)
    scores = oracle.pairwise(x, x, metric)[upper]
    return x, labels, scores, (labels[:, np.newaxis] == labels)[upper]


def area(scores, positive):
    p, q = scores[positive][:, np.newaxis], scores[~positive]
    return ((p > q).sum() * 2 + (p == q).sum()) / (2 * p.size * q.size)


def equal_rate(scores, positive, largest):
    """The crossing of both rates, threshold by threshold."""
    levels = np.unique(scores)
    before = (0.0, 1.0, None)
    for level in levels[::-1] if largest else levels:
        accepted = scores >= level if largest else scores <= level
        far, frr = accepted[~positive].mean(), (~accepted[positive]).mean()
        if far >= frr:
            weight = (before[1] - before[0]) / (far - before[0] + before[1] - frr)
            start = level if before[2] is None else before[2]
            return before[0] + weight * (far - before[0]), start + weight * (level - start)
        before = (far, frr, level)
    raise AssertionError


def assert_close(metric):
    """Poincare scores may differ in a last bit, and so may the order of ties."""
    return {"abs": 1e-4 if metric == "poincare" else 1e-15}


@pytest.mark.parametrize("metric", oracle.METRICS)
@pytest.mark.parametrize("pattern", ["clustered", "integers", "duplicated"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_exact_values(metric, pattern, dtype, isa, threads):
    x, labels, scores, positive = problem(metric, dtype, pattern=pattern)
    largest = oracle.is_similarity(metric)
    found = pair_auc(x, labels, metric=metric, num_threads=threads)
    assert isinstance(found, PairAuc)
    assert all(type(value) is np.float64 for value in found)
    assert found.auc == found.low == found.high
    assert found.auc == pytest.approx(area(scores if largest else -scores, positive), **assert_close(metric))
    eer, threshold = equal_rate(scores, positive, largest)
    found = pair_eer(x, labels, metric=metric, num_threads=threads)
    assert isinstance(found, PairEer)
    assert all(type(value) is np.float64 for value in found)
    assert found.eer == found.low == found.high
    assert found.eer == pytest.approx(eer, abs=1e-12 if metric != "poincare" else 1e-4)
    assert found.threshold == pytest.approx(threshold, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("metric", oracle.METRICS)
@pytest.mark.parametrize("pattern", ["clustered", "integers", "duplicated", "tight"])
@pytest.mark.parametrize("bins", [1, 2, 7, 100, 5000])
def test_bins_hold_the_exact_values_between_them(metric, pattern, bins, threads):
    x, labels, scores, positive = problem(metric, pattern=pattern)
    largest = oracle.is_similarity(metric)
    options = {"metric": metric, "exact": False, "bins": bins, "num_threads": threads}
    truth = area(scores if largest else -scores, positive)
    found = pair_auc(x, labels, **options)
    assert found.low <= found.auc <= found.high
    assert found.low <= truth <= found.high
    eer, threshold = equal_rate(scores, positive, largest)
    rate = pair_eer(x, labels, **options)
    assert rate.low <= rate.eer <= rate.high
    assert rate.low - 1e-12 <= eer <= rate.high + 1e-12
    if metric == "hamming":  # a bin for each distance
        assert found.low == found.auc == found.high == truth
        assert rate[:2] == pytest.approx((eer, threshold), abs=1e-12)
    elif bins == 5000 and pattern == "clustered" and metric != "jaccard":
        assert found.high - found.low < 0.02
        assert rate.high - rate.low < 0.02
        assert rate.threshold == pytest.approx(threshold, abs=0.02 * (scores.max() - scores.min()))


def test_the_interval_is_the_mass_of_mixed_bins():
    x, labels, scores, positive = problem("cosine")
    found = pair_auc(x, labels, exact=False, bins=64)
    places = np.minimum(((scores + 1) / 2 * 64).astype(int), 63)
    p, q = (np.bincount(places[which], minlength=64) for which in (positive, ~positive))
    mass = (p * q).sum() / (p.sum() * q.sum())
    assert found.high - found.low == pytest.approx(mass, rel=1e-12)
    assert found.auc == pytest.approx(((q.cumsum() - q / 2) * p).sum() / (p.sum() * q.sum()), rel=1e-12)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_many_pairs_are_counted(metric, threads):
    n = 2100
    x, labels, scores, positive = problem(metric, n=n)
    assert n * (n - 1) // 2 > _labelled_pairs.MOST_PAIRS
    sign = 1 if metric == "cosine" else -1
    truth = fastpair.auc(sign * scores, positive)
    found = pair_auc(x, labels, metric=metric, num_threads=threads)
    assert found.low <= truth <= found.high
    assert 0 < found.high - found.low < 1e-4
    assert found.auc == pytest.approx(truth, abs=1e-6)
    exact = pair_auc(x, labels, metric=metric, exact=True, num_threads=threads)
    assert exact == (truth, truth, truth)
    rate, sure = (pair_eer(x, labels, metric=metric, exact=e, num_threads=threads) for e in (None, True))
    assert rate.low - 1e-12 <= sure.eer <= rate.high + 1e-12
    assert rate.high - rate.low < 1e-3


def test_work_is_cut_into_parts(monkeypatch):
    x, labels, scores, positive = problem("dot")
    truth = area(scores, positive)
    for cells in (1, 100, 1000):
        monkeypatch.setattr(_labelled_pairs, "MOST_CELLS", cells)
        assert pair_auc(x, labels, metric="dot").auc == truth


@pytest.mark.parametrize("exact", [True, False])
def test_the_same_bits_everywhere(exact):
    x, labels, _, _ = problem("euclidean")
    seen = set()
    for _, threads in helpers.engines():
        options = {"metric": "euclidean", "exact": exact, "bins": 500, "num_threads": threads}
        seen.add((helpers.bits(pair_auc(x, labels, **options)), helpers.bits(pair_eer(x, labels, **options))))
    assert len(seen) == 1


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize("metric", FLOAT_METRICS)
def test_perfect_and_useless_embeddings(exact, metric):
    labels = np.array([0, 0, 0, 1, 1])
    corners = embeddings.for_metric(np.array([[1.0, 0.5, 0.0], [1.0, 0.0, 0.5]]), metric)
    if metric == "dot":
        corners = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    x = corners[labels]
    if metric != "lorentz":
        assert pair_auc(x, labels, metric=metric, exact=exact).auc == 1
        assert pair_eer(x, labels, metric=metric, exact=exact).eer == 0
    same = np.tile(corners[:1], (5, 1))
    assert pair_auc(same, labels, metric=metric, exact=exact).auc == 0.5
    assert pair_eer(same, labels, metric=metric, exact=exact).eer == 0.5


LABELS = {
    "strings": ["x", "yy", "", "z"],
    "objects": np.array(["x", 2, "3", None.__class__], object),
    "floats": [0.5, 1.0, -2.0, 3.0],
    "bytes": [b"a", b"b", b"c", b"d"],
    "negative": [-5, 7, 0, -1],
    "uint64": np.array([2**63, 2**63 + 1, 0, 1], np.uint64),
}


@pytest.mark.parametrize("kind", LABELS)
def test_labels_of_every_kind(kind):
    x, labels, _, _ = problem("cosine")
    assert pair_auc(x, np.asarray(LABELS[kind])[labels]) == pair_auc(x, labels)


@pytest.mark.parametrize("dtype", embeddings.DTYPES)
def test_every_dtype(dtype, isa):
    x, labels, _, _ = problem("dot", "float64")
    x = embeddings.cast(x, dtype)
    upper = np.triu_indices(N, 1)
    scores = oracle.pairwise(x, x, "dot")[upper]
    positive = (labels[:, np.newaxis] == labels)[upper]
    assert pair_auc(x, labels, metric="dot").auc == area(scores, positive)
    found = pair_auc(x, labels, metric="dot", exact=False, bins=300)
    assert found.low <= area(scores, positive) <= found.high


@pytest.mark.parametrize(
    ("n", "labels", "words"),
    [
        (0, [], "there are no pairs"),
        (1, [0], "there are no pairs"),
        (3, [1, 1, 1], "all labels are equal"),
        (3, [1, 2, 3], "no two labels are equal"),
    ],
)
@pytest.mark.parametrize("exact", [True, False])
def test_one_class_is_undefined(n, labels, words, exact):
    x = np.ones((n, 3))
    with pytest.warns(fastpair.UndefinedMetricWarning, match=words) as record:
        found = pair_auc(x, labels, exact=exact)
    assert record[0].filename == __file__
    assert np.isnan(found).all()
    with pytest.warns(fastpair.UndefinedMetricWarning, match=words) as record:
        found = pair_eer(x, labels, exact=exact)
    assert record[0].filename == __file__
    assert np.isnan(found).all()
    assert len(found) == 4


@pytest.mark.parametrize(("metric", "exact"), [("cosine", True), ("cosine", False), ("euclidean", False)])
@pytest.mark.parametrize("function", [pair_auc, pair_eer])
def test_progress_reaches_the_end(function, metric, exact):
    x, labels, _, _ = problem(metric)
    seen = []
    function(x, labels, metric=metric, exact=exact, progress=lambda *pair: seen.append(pair))
    assert seen[-1][0] == seen[-1][1] == (N * (N - 1) // 2 if exact else N * N * (1 if metric == "cosine" else 3))


REFUSED = [
    ({"metric": "rbf"}, ValueError, "metric must be one of"),
    ({"exact": 1}, TypeError, "exact must be True, False or None"),
    ({"bins": 0}, ValueError, "bins must be at least 1"),
    ({"bins": 1.5}, TypeError, "bins must be an integer"),
    ({"num_threads": 0}, ValueError, "num_threads"),
    ({"labels": [0, 1]}, ValueError, r"labels has shape \(2,\); pass one label for each of the 4 rows"),
    ({"labels": [0, 1, np.nan, 1]}, ValueError, "labels is nan at index 2"),
    ({"labels": np.array([0, 1, None, 1], object)}, ValueError, "labels is None at index 2"),
    ({"labels": np.array([[0], 1, 2, 3], object)}, TypeError, "labels holds what cannot be compared"),
    ({"labels": [1j, 0, 0, 1]}, TypeError, "labels has dtype complex128"),
    ({"x": np.ones(4)}, ValueError, r"x has shape \(4,\)"),
    ({"x": np.full((4, 2), np.nan)}, ValueError, r"x is (?i:nan) at row 0"),
    ({"x": np.full((4, 2), np.inf), "exact": False}, ValueError, r"x is (?i:inf) at row 0"),
    ({"x": np.full((4, 2), 1e200), "metric": "dot", "exact": False}, ValueError, "infinite or not a number"),
    ({"x": np.outer([1, 1, -1, 1], [1e200, -1e200]), "metric": "dot", "exact": False}, ValueError, "not a number"),
    ({"x": np.array([[1e200, 1e200], [1e200, -1e200]] * 2), "metric": "dot"}, ValueError, "not a number"),
    ({"x": np.full((4, 2), 3.0), "metric": "poincare"}, ValueError, "norm"),
]


@pytest.mark.parametrize(("arguments", "error", "words"), REFUSED)
@pytest.mark.parametrize("function", [pair_auc, pair_eer])
def test_what_cannot_be_is_refused(function, arguments, error, words):
    with pytest.raises(error) as caught:
        function(**{"x": np.eye(4, 2), "labels": [0, 0, 1, 1], **arguments})
    assert re.search(words, str(caught.value)), str(caught.value)


@pytest.mark.parametrize("metric", FLOAT_METRICS)
@pytest.mark.parametrize("exact", [True, False])
def test_on_a_gpu(cupy, metric, exact):
    x, labels, _, _ = problem(metric, n=30)
    for function in (pair_auc, pair_eer):
        options = {"metric": metric, "exact": exact, "bins": 200}
        found = function(cupy.asarray(x), cupy.asarray(labels), **options)
        assert all(isinstance(value, cupy.ndarray) and value.ndim == 0 for value in found)
        wanted = function(x, labels, **options)
        np.testing.assert_allclose([float(value) for value in found], wanted, rtol=0, **closeness(metric))


def closeness(metric):
    """Poincare and Lorentz scores may differ in a last bit, and so may their place in a bin."""
    return {"atol": 1e-2 if metric in ("poincare", "lorentz") else 0}


@pytest.mark.parametrize("labels", [np.zeros(4, int), np.arange(4)])
def test_undefined_on_a_gpu(cupy, labels):
    for function in (pair_auc, pair_eer):
        with pytest.warns(fastpair.UndefinedMetricWarning, match="labels are equal") as record:
            found = function(cupy.eye(4), cupy.asarray(labels))
        assert record[0].filename == __file__
        assert all(np.isnan(float(value)) for value in found)
