"""Reductions of the scores of all pairs: against the whole matrix in float64, with every rule of admission."""

import re

import embeddings
import fastpair
import helpers
import numpy as np
import oracle_similarity as oracle
import pytest
from fastpair.similarity import Histogram, reduce
from searches import FLOAT_METRICS, RULES, rules, solved

N, M = 37, 173
UNLIMITED = tuple(name for name in RULES if not re.search("limit|score|room|all at once", name))


def best(scores, largest, allowed=None):
    return oracle.topk(scores, 1, largest, allowed)[0][:, 0]


def log_sums(scores, scale, allowed=True):
    """By the definition, with the largest exponent taken out."""
    exponents = np.where(allowed, scores * scale, -np.inf)
    largest = exponents.max(axis=1, initial=-np.inf)
    with np.errstate(divide="ignore", invalid="ignore"):
        sums = np.exp(exponents - largest[:, np.newaxis]).sum(axis=1)
        return np.where(np.isneginf(largest), -np.inf, largest + np.log(sums))


def means(scores, allowed):
    with np.errstate(invalid="ignore"):
        return np.where(allowed, scores, 0).sum(axis=1) / np.broadcast_to(allowed, scores.shape).sum(axis=1)


def in_bins(scores, low, high, bins):
    """The documented bin of each score, counted."""
    inside = scores[(scores >= low) & (scores <= high)]
    places = np.minimum(((inside - low) / (high - low) * bins).astype(int), bins - 1)
    return np.bincount(places, minlength=bins)


@pytest.mark.parametrize("metric", FLOAT_METRICS)
@pytest.mark.parametrize("pattern", ["gaussian", "duplicated", "tight", "anisotropic", "with_zero_rows"])
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
def test_all_reductions_are_those_of_the_matrix(metric, pattern, dtype, isa, threads):
    x, y, scores = solved(pattern, dtype, metric)
    largest = oracle.is_similarity(metric)
    options = {"metric": metric, "num_threads": threads}
    close = {"rtol": 1e-15} if metric == "poincare" else {"rtol": 0}  # the C library's last bit
    for order in (None, True, False):
        found = reduce(x, y, largest=order, **options)
        np.testing.assert_allclose(found, best(scores, largest if order is None else order), **close, strict=True)
    # The two halves of a tight cluster lose the same digits.
    wide = dtype == "float64" or metric in ("poincare", "lorentz")
    norms = np.abs(scores).max() + (np.asarray(x).astype(float) ** 2).sum(axis=1).max()
    slack = 1e-9 if wide else 2e-6
    slack *= np.sqrt(norms) * 500 if metric == "euclidean" else norms
    np.testing.assert_allclose(reduce(x, y, op="mean", **options), scores.mean(axis=1), rtol=slack, atol=slack)
    scale = (1 if largest else -1) * 3.5 / max(1.0, np.abs(scores).max())
    found = reduce(x, y, op="logsumexp", scale=scale, **options)
    np.testing.assert_allclose(found, log_sums(scores, scale), rtol=slack, atol=slack * abs(scale) + 1e-6)
    threshold = np.quantile(scores, 0.7, axis=1, method="nearest") + (1e-9 if metric == "poincare" else 0)
    found = reduce(x, y, op="count", threshold=threshold, **options)
    reached = scores >= threshold[:, np.newaxis] if largest else scores <= threshold[:, np.newaxis]
    np.testing.assert_array_equal(found, reached.sum(axis=1), strict=True)


@pytest.mark.parametrize("metric", ["cosine", "dot", "euclidean", "manhattan"])
@pytest.mark.parametrize("bins", [1, 7, 64, 1000])
def test_histograms(metric, bins, isa, threads):
    x, y, scores = solved("gaussian", "float32", metric)
    low, high = np.quantile(scores, [0.05, 0.9])
    found = reduce(x, y, op="histogram", metric=metric, bins=bins, range=(low, high), num_threads=threads)
    assert isinstance(found, Histogram)
    np.testing.assert_array_equal(found.counts, in_bins(scores, low, high, bins), strict=True)
    np.testing.assert_array_equal(found.edges, np.histogram([], bins, (low, high))[1], strict=True)
    found = reduce(x, y, op="histogram", metric=metric, bins=bins, num_threads=threads)
    np.testing.assert_array_equal(found.counts, in_bins(scores, scores.min(), scores.max(), bins))
    np.testing.assert_array_equal(found.edges, np.histogram(scores, bins)[1])
    assert found.counts.sum() == scores.size


def test_a_histogram_of_integers_is_that_of_numpy(isa):
    x, y, scores = solved("integers", "int8", "dot")
    for bins, limits in ((16, (-8, 8)), (12, (-30, 30)), (10, None)):
        counts, edges = np.histogram(scores, bins, limits)
        found = reduce(x, y, op="histogram", metric="dot", bins=bins, range=limits)
        assert found.counts.sum() == counts.sum()
        np.testing.assert_array_equal(found.edges, edges)
    np.testing.assert_array_equal(
        reduce(x, y, op="histogram", metric="dot", bins=16, range=(-8, 8)).counts, np.histogram(scores, 16, (-8, 8))[0]
    )


@pytest.mark.parametrize("edges", [[-0.1, 0.0, 0.3], [0.0, 0.0, 0.0], np.linspace(-1, 1, 9), [-5, -4]])
def test_histograms_between_edges(edges, isa):
    x, y, scores = solved("duplicated", "float32", "cosine")
    edges = np.append(edges, np.max(edges)) if len(edges) == 3 else edges
    found = reduce(x, y, op="histogram", bins=edges)
    counts, expected = np.histogram(scores, edges)
    np.testing.assert_array_equal(found.counts, counts, strict=True)
    np.testing.assert_array_equal(found.edges, expected)


def test_a_score_at_an_edge_is_in_the_bin_above_or_in_the_last():
    x, y, scores = solved("gaussian", "float64", "euclidean")
    edges = np.sort(scores.ravel())[::500]
    found = reduce(x, y, op="histogram", metric="euclidean", bins=edges)
    np.testing.assert_array_equal(found.counts, np.histogram(scores, edges)[0])


@pytest.mark.parametrize("metric", oracle.BITS)
def test_bits(metric, isa, rng):
    x, y = rng.random((N, 70)) < 0.3, rng.random((M, 70)) < 0.3
    scores = oracle.pairwise(x, y, metric)
    np.testing.assert_array_equal(reduce(x, y, metric=metric), scores.min(axis=1))
    np.testing.assert_allclose(reduce(x, y, op="mean", metric=metric), scores.mean(axis=1), rtol=1e-6)
    found = reduce(x, y, op="logsumexp", metric=metric, scale=-0.1)
    np.testing.assert_allclose(found, log_sums(scores, -0.1), rtol=1e-5)
    found = reduce(x, y, op="count", metric=metric, threshold=scores[0, 0])
    np.testing.assert_array_equal(found, (scores <= scores[0, 0]).sum(axis=1))
    found = reduce(x, y, op="histogram", metric=metric, bins=64, range=(0, 64))
    np.testing.assert_array_equal(found.counts, in_bins(scores, 0, 64, 64))


@pytest.mark.parametrize("name", UNLIMITED)
@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_rules_act_inside(name, metric, isa, rng, monkeypatch):
    from fastpair.similarity import _search

    x, y, scores = solved("gaussian", "float32", metric)
    given, meant = rules(name, rng, N, M, scores)
    for own in ({}, {"exclude_self": True}):
        allowed = oracle.admitted(scores, **meant, **own)
        for room in (_search.MOST_MASK_BYTES, 300):  # bits of a mask of pairs are then made in parts
            with monkeypatch.context() as patch:
                patch.setattr(_search, "MOST_MASK_BYTES", room)
                options = {"metric": metric, **given, **own}
                for largest in (True, False):
                    np.testing.assert_array_equal(
                        reduce(x, y, largest=largest, **options), best(scores, largest, allowed)
                    )
                    reached = allowed & (scores >= 0.1 if largest else scores <= 0.1)
                    found = reduce(x, y, op="count", threshold=0.1, largest=largest, **options)
                    np.testing.assert_array_equal(found, reached.sum(axis=1))
                np.testing.assert_allclose(
                    reduce(x, y, op="mean", **options), means(scores, allowed), rtol=1e-5, atol=1e-6
                )
                found = reduce(x, y, op="logsumexp", scale=2, **options)
                np.testing.assert_allclose(found, log_sums(scores, 2, allowed), rtol=1e-5, atol=1e-6)
                found = reduce(x, y, op="histogram", bins=9, range=(-1, 8), **options)
                np.testing.assert_array_equal(found.counts, in_bins(scores[allowed], -1, 8, 9))


def test_rows_of_x_meet_themselves_unless_told_otherwise():
    x, _, _ = solved("gaussian", "float64", "cosine")
    scores = oracle.pairwise(x, x, "cosine")
    np.testing.assert_array_equal(reduce(x), scores.max(axis=1))
    np.testing.assert_array_equal(
        reduce(x, exclude_self=True), best(scores, True, oracle.admitted(scores, exclude_self=True))
    )
    labels = np.arange(N) % 3
    found = reduce(x, op="count", threshold=0, x_labels=labels, same_label=True)
    np.testing.assert_array_equal(found, ((scores >= 0) & (labels[:, np.newaxis] == labels)).sum(axis=1))


def test_where_no_pair_counts():
    x, nothing = np.ones((2, 3)), {"mask": np.zeros(2, bool)}
    np.testing.assert_array_equal(reduce(x, **nothing), [-np.inf, -np.inf])
    np.testing.assert_array_equal(reduce(x, metric="euclidean", **nothing), [np.inf, np.inf])
    np.testing.assert_array_equal(reduce(x, op="mean", **nothing), [np.nan, np.nan])
    np.testing.assert_array_equal(reduce(x, op="logsumexp", **nothing), [-np.inf, -np.inf])
    np.testing.assert_array_equal(reduce(x, op="count", threshold=0, **nothing), [0, 0], strict=True)
    found = reduce(x, op="histogram", bins=2, **nothing)
    np.testing.assert_array_equal(found.counts, [0, 0])
    np.testing.assert_array_equal(found.edges, np.histogram([], 2)[1])


@pytest.mark.parametrize(("n", "m", "d"), [(0, 5, 3), (5, 0, 3), (0, 0, 0), (3, 5, 0), (1, 1, 1), (70, 900, 3)])
def test_any_size(n, m, d, isa):
    x, y, scores = solved("gaussian", "float64", "sqeuclidean", n, m, d)
    options = {"metric": "sqeuclidean"}
    np.testing.assert_array_equal(reduce(x, y, **options), scores.min(axis=1, initial=np.inf), strict=True)
    everything = np.full(scores.shape, True)
    np.testing.assert_allclose(reduce(x, y, op="mean", **options), means(scores, everything), rtol=1e-9, strict=True)
    found = reduce(x, y, op="logsumexp", scale=-1, **options)
    np.testing.assert_allclose(found, log_sums(scores, -1), rtol=1e-9, atol=1e-12)
    found = reduce(x, y, op="count", threshold=1.5, **options)
    np.testing.assert_array_equal(found, (scores <= 1.5).sum(axis=1), strict=True)
    assert reduce(x, y, op="histogram", **options).counts.sum() == n * m


@pytest.mark.parametrize("op", ["max", "mean", "logsumexp", "count"])
def test_a_single_query_gives_a_scalar(op):
    x, y, _ = solved("gaussian", "float32", "cosine")
    options = {"op": op, **({"threshold": 0.1} if op == "count" else {})}
    found = reduce(x[0], y, **options)
    assert type(found) is (np.int64 if op == "count" else np.float64)
    assert found == pytest.approx(reduce(x[:1], y, **options)[0], rel=1e-6)


@pytest.mark.parametrize("scale", [500.0, -500.0, 0.0, 1e-300])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_log_sums_do_not_overflow(scale, dtype, isa):
    x, y, scores = solved("gaussian", dtype, "dot")
    found = reduce(x, y, op="logsumexp", metric="dot", scale=scale)
    np.testing.assert_allclose(found, log_sums(scores, scale), rtol=2e-6 if dtype == "float32" else 1e-12)


def test_one_score_takes_one_bin():
    found = reduce([[1.0, 0.0]], [[2.0, 0.0]] * 3, op="histogram", bins=4)
    counts, edges = np.histogram([1.0] * 3, 4)
    np.testing.assert_array_equal(found.counts, counts)
    np.testing.assert_array_equal(found.edges, edges)


@pytest.mark.parametrize("dtype", embeddings.DTYPES)
def test_every_dtype(dtype, isa):
    x, y, scores = solved("gaussian", dtype, "dot")
    np.testing.assert_array_equal(reduce(x, y, metric="dot"), scores.max(axis=1))
    np.testing.assert_allclose(
        reduce(x, y, op="mean", metric="dot"), scores.mean(axis=1), rtol=1e-5, atol=1e-6 * np.abs(scores).max()
    )


def test_exact_reductions_have_the_same_bits_everywhere():
    x, y, _ = solved("gaussian", "float32", "euclidean", 70, 900, 24)
    seen = set()
    for _, threads in helpers.engines():
        options = {"metric": "euclidean", "num_threads": threads}
        counts, edges = reduce(x, y, op="histogram", bins=300, **options)
        seen.add((helpers.bits(reduce(x, y, **options)), helpers.bits(counts), helpers.bits(edges)))
    assert len(seen) == 1


@pytest.mark.parametrize(
    ("options", "passes"),
    [
        ({}, 1),
        ({"op": "mean"}, 1),
        ({"op": "count", "threshold": 0}, 1),
        ({"op": "histogram"}, 3),
        ({"op": "histogram", "range": (-1, 1)}, 1),
        ({"op": "histogram", "bins": [-1, 0, 1, 2]}, 4),
    ],
)
def test_progress_reaches_the_end(options, passes):
    x, y, _ = solved("gaussian", "float32", "cosine")
    seen = []
    reduce(x, y, **options, progress=lambda *pair: seen.append(pair))
    assert seen[-1] == (N * M * passes, N * M * passes)


REFUSED = [
    ({"op": "min"}, ValueError, "op must be one of 'max'"),
    ({"op": None}, ValueError, "op must be"),
    ({"metric": "kl"}, ValueError, "metric"),
    ({"op": "count"}, TypeError, "threshold is None"),
    ({"op": "count", "threshold": np.nan}, ValueError, "threshold is nan"),
    ({"op": "mean", "threshold": 1}, ValueError, "threshold was given, but op='mean' has none"),
    ({"scale": 2}, ValueError, "scale was given, but op='max'"),
    ({"op": "logsumexp", "scale": np.inf}, ValueError, "scale must be finite"),
    ({"op": "logsumexp", "scale": "a"}, TypeError, "scale must be a number"),
    ({"op": "mean", "largest": True}, ValueError, "largest was given"),
    ({"op": "max", "range": (0, 1)}, ValueError, "range was given"),
    ({"op": "histogram", "bins": 0}, ValueError, "bins must be at least 1"),
    ({"op": "histogram", "bins": 1.5}, TypeError, "bins must be an integer"),
    ({"op": "histogram", "bins": [2, 1]}, ValueError, "do not decrease"),
    ({"op": "histogram", "bins": [1]}, ValueError, "at least two edges"),
    ({"op": "histogram", "bins": [0, 1], "range": (0, 1)}, ValueError, "range was given with the edges"),
    ({"op": "histogram", "range": (2, 1)}, ValueError, "is empty"),
    ({"op": "histogram", "range": 3}, TypeError, "range must be a tuple"),
    ({"op": "histogram", "range": (0, np.nan)}, ValueError, r"range\[1\] must be finite"),
    ({"op": "histogram", "metric": "dot", "x": np.full((1, 4), 1e200)}, ValueError, "pass a range="),
    ({"mask": np.ones(9, bool)}, ValueError, "mask"),
    ({"y": np.ones((5, 3))}, ValueError, "4 columns"),
    ({"y": np.full((5, 4), np.nan)}, ValueError, r"y is (?i:nan) at row 0, column 0"),
    ({"num_threads": 0}, ValueError, "num_threads"),
]


@pytest.mark.parametrize(("arguments", "error", "words"), REFUSED)
def test_what_cannot_be_is_refused(arguments, error, words):
    with pytest.raises(error) as caught:
        fastpair.similarity.reduce(**{"x": np.eye(3, 4), "y": np.full((5, 4), 1e200), **arguments})
    assert re.search(words, str(caught.value)), str(caught.value)


def test_limits_of_the_score_are_not_for_reductions():
    with pytest.raises(TypeError, match="min_score"):
        reduce(np.eye(3), min_score=0.5)
