"""`reduce` where the arrays are: counts, histograms and the best are exact in every library."""

import cupy_on_host
import embeddings
import numpy as np
import oracle_similarity as oracle
import pytest
from cupy_on_host import module
from fastpair._cuda import plan
from fastpair.similarity import Histogram, reduce
from libraries import on_device, on_host
from searches import FLOAT_METRICS, solved
from test_reduce import best, in_bins, log_sums, means

N, M, D = 7, 45, 19
HYPERBOLIC = ("poincare", "lorentz")


@pytest.fixture
def small_tiles(monkeypatch):
    """Several tiles in both directions."""
    monkeypatch.setattr(plan, "MOST_ROWS", 4)
    monkeypatch.setattr(plan, "MOST_COLUMNS", 32)


def close_enough(scores, dtype, metric, x):
    """How far sums of scores from products may be off."""
    wide = dtype in ("float64", "int32") or metric in HYPERBOLIC
    norms = np.abs(scores).max() + (np.asarray(x).astype(float) ** 2).sum(axis=1).max()
    slack = 1e-9 if wide else 2e-6
    return slack * np.sqrt(norms) * 500 if metric == "euclidean" else slack * norms


def check_all(xp, x, y, scores, metric, dtype):
    rows = xp.asarray(x), xp.asarray(y)
    largest = oracle.is_similarity(metric)
    last_bit = {"rtol": 4e-16} if metric in HYPERBOLIC else {"rtol": 0}
    for order in (None, True, False):
        found = reduce(*rows, metric=metric, largest=order)
        assert isinstance(found, xp.ndarray)
        expected = best(scores, largest if order is None else order)
        np.testing.assert_allclose(on_host(found), expected, **last_bit, strict=True)
    slack = close_enough(scores, dtype, metric, x)
    found = on_host(reduce(*rows, op="mean", metric=metric))
    np.testing.assert_allclose(found, scores.mean(axis=1), rtol=slack, atol=slack)
    scale = (1 if largest else -1) * 3.5 / max(1.0, np.abs(scores).max())
    found = on_host(reduce(*rows, op="logsumexp", scale=scale, metric=metric))
    np.testing.assert_allclose(found, log_sums(scores, scale), rtol=slack, atol=slack * abs(scale) + 1e-6)
    threshold = np.quantile(scores, 0.7, axis=1, method="nearest") + (1e-9 if metric in HYPERBOLIC else 0)
    found = reduce(*rows, op="count", threshold=xp.asarray(threshold), metric=metric)
    reached = scores >= threshold[:, np.newaxis] if largest else scores <= threshold[:, np.newaxis]
    np.testing.assert_array_equal(on_host(found), reached.sum(axis=1), strict=True)
    low, high = np.quantile(scores, [0.1, 0.9]) + (1e-9 if metric in HYPERBOLIC else 0)
    found = reduce(*rows, op="histogram", bins=11, range=(low, high), metric=metric)
    assert isinstance(found, Histogram)
    np.testing.assert_array_equal(on_host(found.counts), in_bins(scores, low, high, 11), strict=True)
    np.testing.assert_array_equal(on_host(found.edges), np.linspace(low, high, 12), strict=True)


@pytest.mark.parametrize("metric", FLOAT_METRICS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_all_reductions_are_those_of_the_matrix(metric, dtype, cupy, small_tiles):
    for pattern in ("gaussian", "duplicated", "tight", "with_zero_rows"):
        x, y, scores = solved(pattern, dtype, metric, N, M, D)
        check_all(cupy, x, y, scores, metric, dtype)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "int8", "uint8", "bool", "int32"])
def test_every_dtype(dtype, cupy):
    for metric in ("dot", "euclidean"):
        x, y, scores = solved("gaussian", dtype, metric, N, M, D)
        check_all(cupy, x, y, scores, metric, dtype)


@pytest.mark.parametrize("pattern", ["huge", "tiny", "mixed_magnitudes", "mixed_extremes"])
def test_rows_that_leave_the_range_of_tiles(pattern, cupy):
    dtype = "float64" if pattern in embeddings.FLOAT64 else "float32"
    for metric in ("cosine", "euclidean"):
        x, y, scores = solved(pattern, dtype, metric, N, M, D)
        rows = cupy.asarray(x), cupy.asarray(y)
        threshold = scores[:, 3]
        reached = scores >= threshold[:, np.newaxis] if metric == "cosine" else scores <= threshold[:, np.newaxis]
        found = reduce(*rows, op="count", metric=metric, threshold=cupy.asarray(threshold))
        np.testing.assert_array_equal(found.get(), reached.sum(axis=1))
        low, high = np.quantile(scores[np.isfinite(scores)], [0.1, 0.9], method="nearest")
        found = reduce(*rows, op="histogram", bins=5, range=(low, high), metric=metric)
        np.testing.assert_array_equal(found.counts.get(), in_bins(scores, low, high, 5))
        with np.errstate(over="ignore"):
            expected = scores.mean(axis=1)
        np.testing.assert_allclose(reduce(*rows, op="mean", metric=metric).get(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("metric", oracle.BITS)
def test_bits(metric, xp, rng, small_tiles):
    x, y = rng.random((N, 70)) < 0.3, rng.random((M, 70)) < 0.3
    scores = oracle.pairwise(x, y, metric)
    rows = on_device(xp, (x, y))
    np.testing.assert_array_equal(on_host(reduce(*rows, metric=metric)), scores.min(axis=1))
    np.testing.assert_allclose(on_host(reduce(*rows, op="mean", metric=metric)), scores.mean(axis=1), rtol=1e-6)
    found = reduce(*rows, op="logsumexp", metric=metric, scale=-0.1)
    np.testing.assert_allclose(on_host(found), log_sums(scores, -0.1), rtol=1e-5)
    found = reduce(*rows, op="count", metric=metric, threshold=float(scores[0, 0]))
    np.testing.assert_array_equal(on_host(found), (scores <= scores[0, 0]).sum(axis=1))
    found = reduce(*rows, op="histogram", metric=metric, bins=64, range=(0, 64))
    np.testing.assert_array_equal(on_host(found.counts), in_bins(scores, 0, 64, 64))


def rules(rng):
    mask, columns = rng.random((N, M)) < 0.6, rng.random(M) < 0.6
    excluded = [np.sort(rng.permutation(M)[: rng.integers(0, M)]) for _ in range(N)]
    starts = np.concatenate([[0], np.cumsum([len(own) for own in excluded])])
    labels = rng.integers(0, 3, N), rng.integers(0, 3, M)
    both = {"x_labels": labels[0], "y_labels": labels[1]}
    return {
        "mask of pairs": ({"mask": mask}, {"mask": mask}),
        "mask of columns": ({"mask": columns}, {"mask": columns}),
        "packed mask": ({"mask": np.packbits(mask, axis=-1)}, {"mask": mask}),
        "empty mask": ({"mask": np.zeros(M, bool)}, {"mask": np.zeros(M, bool)}),
        "excluded": ({"exclude": (starts, np.concatenate(excluded))}, {"exclude": excluded}),
        "labels": ({**both, "same_label": False}, {**both, "same_label": False}),
        "self": ({"exclude_self": True}, {"exclude_self": True}),
        "all": (
            {**both, "same_label": True, "mask": mask, "exclude_self": True},
            {**both, "same_label": True, "mask": mask, "exclude_self": True},
        ),
    }


@pytest.mark.parametrize("name", rules(np.random.default_rng(0)))
def test_rules_act_inside(name, xp, rng, small_tiles):
    for metric in ("cosine", "euclidean"):
        x, y, scores = solved("gaussian", "float32", metric, N, M, D)
        given, meant = rules(rng)[name]
        allowed = oracle.admitted(scores, **meant)
        options = {"metric": metric, **on_device(xp, given)}
        rows = xp.asarray(x), xp.asarray(y)
        for largest in (True, False):
            found = reduce(*rows, largest=largest, **options)
            np.testing.assert_array_equal(on_host(found), best(scores, largest, allowed))
            found = reduce(*rows, op="count", threshold=0.1, largest=largest, **options)
            reached = allowed & (scores >= 0.1 if largest else scores <= 0.1)
            np.testing.assert_array_equal(on_host(found), reached.sum(axis=1))
        found = on_host(reduce(*rows, op="mean", **options))
        np.testing.assert_allclose(found, means(scores, allowed), rtol=1e-5, atol=1e-6)
        found = on_host(reduce(*rows, op="logsumexp", scale=2, **options))
        np.testing.assert_allclose(found, log_sums(scores, 2, allowed), rtol=1e-5, atol=1e-6)
        found = reduce(*rows, op="histogram", bins=9, range=(-1, 8), **options)
        np.testing.assert_array_equal(on_host(found.counts), in_bins(scores[allowed], -1, 8, 9))


def test_histograms_of_any_kind(xp):
    x, y, scores = solved("gaussian", "float32", "cosine", N, M, D)
    rows = xp.asarray(x), xp.asarray(y)
    for bins in (1, 64, 5000, 20000):  # copies for each lane, one for a block, none
        found = reduce(*rows, op="histogram", bins=bins)
        np.testing.assert_array_equal(on_host(found.counts), in_bins(scores, scores.min(), scores.max(), bins))
    edges = [-0.1, 0.0, 0.0, 0.3]
    for given in (edges, xp.asarray(edges)):
        found = reduce(*rows, op="histogram", bins=given)
        assert isinstance(found.edges, xp.ndarray)
        np.testing.assert_array_equal(on_host(found.counts), np.histogram(scores, edges)[0], strict=True)
        np.testing.assert_array_equal(on_host(found.edges), edges)


@pytest.mark.parametrize("upper", [False, True])
def test_histograms_by_label(upper, cupy, rng, small_tiles):
    from fastpair import _core, _cuda
    from fastpair.similarity._admission import Admission

    x, y, _ = solved("gaussian", "float32", "cosine", N, M, D)
    x = y if upper else x
    labels = rng.integers(0, 3, len(x)), rng.integers(0, 3, M)
    free = Admission().rules(0, M)
    expected = _core.histogram(x, y, "cosine", free, -0.5, 0.4, 7, labels, upper, None, None)
    rows, classes = on_device(cupy, (x, y)), on_device(cupy, labels)
    found = _cuda.histogram(*rows, "cosine", free, -0.5, 0.4, 7, classes, upper, None, None)
    np.testing.assert_array_equal(found.get(), expected, strict=True)


@pytest.mark.parametrize("op", ["mean", "logsumexp"])
def test_sums_do_not_depend_on_tiles(op, cupy, monkeypatch):
    x, y, _ = solved("gaussian", "float32", "manhattan", N, 700, 5)
    rows, seen = (cupy.asarray(x), cupy.asarray(y)), set()
    for height, width in ((4096, 1 << 18), (4096, 96), (2, 320)):
        monkeypatch.setattr(plan, "MOST_ROWS", height)
        monkeypatch.setattr(plan, "MOST_COLUMNS", width)
        seen.add(reduce(*rows, op=op, metric="manhattan").get().tobytes())
    assert len(seen) == 1


@pytest.mark.parametrize("op", ["max", "mean", "logsumexp", "count", "histogram"])
def test_threads_may_take_turns_in_any_order(op, cupy, monkeypatch):
    if cupy is not cupy_on_host.library:
        pytest.skip("a GPU takes the order that it likes")
    x, y, _ = solved("duplicated", "float32", "cosine", N, M, D)
    rows, options = (cupy.asarray(x), cupy.asarray(y)), {"threshold": 0.1} if op == "count" else {}

    def run():
        found = on_host(reduce(*rows, op=op, **options))
        return found.counts if op == "histogram" else found

    expected = run()
    monkeypatch.setattr(module.RawKernel, "backwards", True)
    np.testing.assert_array_equal(run(), expected)


def test_where_no_pair_counts(xp):
    x, nothing = xp.ones((2, 3)), {"mask": xp.zeros(2, bool)}
    for options, expected in (
        ({}, -np.inf),
        ({"metric": "euclidean"}, np.inf),
        ({"op": "mean"}, np.nan),
        ({"op": "logsumexp"}, -np.inf),
        ({"op": "count", "threshold": 0}, 0),
    ):
        np.testing.assert_array_equal(on_host(reduce(x, **options, **nothing)), [expected] * 2)
    found = reduce(x, op="histogram", bins=2, **nothing)
    np.testing.assert_array_equal(on_host(found.counts), [0, 0])
    np.testing.assert_array_equal(on_host(found.edges), [0, 0.5, 1])


@pytest.mark.parametrize(("n", "m", "d"), [(0, 5, 3), (5, 0, 3), (0, 0, 0), (3, 5, 0), (1, 1, 1), (3, 300, 2)])
def test_any_size(n, m, d, xp):
    x, y, scores = solved("gaussian", "float64", "sqeuclidean", n, m, d)
    rows, metric = (xp.asarray(x), xp.asarray(y)), "sqeuclidean"
    found = on_host(reduce(*rows, metric=metric))
    np.testing.assert_array_equal(found, scores.min(axis=1, initial=np.inf), strict=True)
    found = on_host(reduce(*rows, op="mean", metric=metric))
    np.testing.assert_allclose(found, means(scores, np.full(scores.shape, True)), rtol=1e-9, strict=True)
    found = on_host(reduce(*rows, op="logsumexp", scale=-1, metric=metric))
    np.testing.assert_allclose(found, log_sums(scores, -1), rtol=1e-9, atol=1e-12)
    found = on_host(reduce(*rows, op="count", threshold=1.5, metric=metric))
    np.testing.assert_array_equal(found, (scores <= 1.5).sum(axis=1), strict=True)
    assert on_host(reduce(*rows, op="histogram", metric=metric).counts).sum() == n * m


@pytest.mark.parametrize("op", ["max", "mean", "logsumexp", "count"])
def test_a_single_query_gives_an_array_of_no_dimension(op, cupy):
    x, y, _ = solved("gaussian", "float32", "cosine", N, M, D)
    options = {"op": op, **({"threshold": 0.1} if op == "count" else {})}
    found = reduce(cupy.asarray(x[0]), cupy.asarray(y), **options)
    assert isinstance(found, cupy.ndarray)
    assert found.shape == ()
    assert found.dtype == (np.int64 if op == "count" else np.float64)
    np.testing.assert_allclose(found.get(), reduce(x[0], y, **options), rtol=1e-5)


@pytest.mark.parametrize("scale", [500.0, -500.0, 0.0, 1e-300])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_log_sums_do_not_overflow(scale, dtype, cupy):
    x, y, scores = solved("gaussian", dtype, "dot", N, M, D)
    found = reduce(cupy.asarray(x), cupy.asarray(y), op="logsumexp", metric="dot", scale=scale)
    np.testing.assert_allclose(found.get(), log_sums(scores, scale), rtol=2e-6 if dtype == "float32" else 1e-12)


def test_progress_reaches_the_end(xp, small_tiles):
    x, y, _ = solved("gaussian", "float32", "cosine", N, M, D)
    for options, passes in (
        ({}, 1),
        ({"op": "mean"}, 1),
        ({"op": "count", "threshold": 0}, 1),
        ({"op": "histogram"}, 3),
    ):
        seen = []
        reduce(xp.asarray(x), xp.asarray(y), **options, progress=lambda *pair, seen=seen: seen.append(pair))
        assert seen[-1] == (N * M * passes, N * M * passes)


def raised(call):
    with pytest.raises((TypeError, ValueError)) as caught:
        call()
    return type(caught.value), str(caught.value)


def test_what_cannot_be_is_refused_alike(cupy):
    x, bad = np.eye(3, 4), np.full((5, 4), 1e200)
    bad[2, 1] = np.nan
    calls = [
        {"op": "min"},
        {"op": "count"},
        {"op": "count", "threshold": np.nan},
        {"op": "mean", "threshold": 1},
        {"op": "histogram", "bins": 0},
        {"op": "histogram", "bins": 1.5},
        {"op": "histogram", "bins": [2, 1]},
        {"op": "histogram", "bins": [0, 1], "range": (0, 1)},
        {"op": "histogram", "metric": "dot", "x": np.full((1, 4), 1e200), "y": np.full((1, 4), 1e200)},
        {"y": np.ones((5, 3))},
        *({"op": op, "y": bad, **({"threshold": 1} if op == "count" else {})} for op in ("max", "mean", "count")),
        {"op": "histogram", "range": (0, 1), "y": bad},
    ]
    for given in calls:
        options = {"x": x, "y": np.ones((5, 4)), **given}
        expected = raised(lambda options=options: reduce(**options))
        there = on_device(cupy, options)
        assert raised(lambda options=there: reduce(**options)) == expected
    with pytest.raises(TypeError, match="mask is a numpy"):
        reduce(cupy.asarray(x), mask=np.ones(3, bool))
    with pytest.raises(ValueError, match="max_memory"):
        reduce(cupy.asarray(x), op="mean", max_memory=100)


@pytest.mark.parametrize(("op", "reads"), [("mean", 1), ("count", 1)])
def test_the_host_reads_once(op, reads, cupy):
    if cupy is not cupy_on_host.library:
        pytest.skip("only the stand-in counts")
    x = cupy.asarray(embeddings.make("gaussian", N, M, D)[0])
    options = {"threshold": 0.3} if op == "count" else {}
    before = cupy_on_host.transfers.count
    reduce(x, op=op, **options)
    assert cupy_on_host.transfers.count - before == reads
