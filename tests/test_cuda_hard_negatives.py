"""`hard_negatives` and `topk_negatives` on the device find what they find in host memory, bit by bit."""

import cupy_on_host
import libraries
import numpy as np
import pytest
from fastpair import mining
from fastpair._validate import Resources
from mining_batches import same
from searches import solved

N, M, D, K = 13, 41, 7, 4


def problem(metric="cosine", dtype="float32", pattern="clustered"):
    """Queries, a corpus, and up to three positives of each query, -1 for none."""
    x, y, _, _ = (*solved(pattern, dtype, metric, n=N, m=M, d=D), None)
    rng = np.random.default_rng(5)
    positives = np.array([rng.permutation(M)[:3] for _ in range(N)])
    positives[rng.random((N, 3)) < 0.4] = -1
    return x, y, positives


def check(cupy, function, *args, **options):
    """Demand the same from arrays of both libraries; returns it."""
    wanted = function(*args, **options)
    given = [libraries.on_device(cupy, value) for value in args]
    found = function(*given, **{name: libraries.on_device(cupy, value) for name, value in options.items()})
    for name, own, other in zip(wanted._fields, found, wanted, strict=True):
        if name == "report":
            assert own == other
            assert all(type(count) is int for count in own)
        else:
            assert type(own) is cupy.ndarray
            same(own.get(), other, f"{name} {options}")
    return wanted


POSITIVES = ("one", "several", "mask", "compressed", "coordinates")


def in_form(positives, form):
    mask = np.zeros((N, M + 1), bool)
    np.put_along_axis(mask, positives, True, axis=1)
    mask = mask[:, :M]
    if form == "compressed":
        return np.concatenate([[0], np.cumsum(mask.sum(axis=1))]), np.nonzero(mask)[1]
    return {"one": positives[:, 0], "several": positives, "mask": mask}[form]


@pytest.mark.parametrize("form", ["one", "several", "mask", "compressed"])
@pytest.mark.parametrize("positive", ["min", "mean", "max", "own"])
def test_positives_and_margins(cupy, form, positive):
    x, y, positives = problem()
    given = in_form(positives, form)
    for margins in ({}, {"abs_margin": 0.05}, {"rel_margin": 0.1, "abs_margin": 0.02}):
        found = check(cupy, mining.hard_negatives, x, y, given, k=K, positive=positive, **margins)
        assert found.counts.any()


@pytest.mark.parametrize("metric", ["cosine", "dot", "euclidean", "manhattan", "hamming"])
@pytest.mark.parametrize("fallback", ["short", "relax"])
def test_metrics_and_limits(cupy, metric, fallback):
    dtype = "bool" if metric == "hamming" else "float64" if metric == "dot" else "float32"
    x, y, positives = problem(metric, dtype)
    low, high = np.quantile(solved("clustered", dtype, metric, n=N, m=M, d=D)[2], [0.1, 0.6]).tolist()
    rows = np.linspace(low, high, N)
    for options in (
        {"min_score": low, "max_score": high},
        {"max_score": rows, "rel_margin": 0.2} if metric in ("cosine", "dot") else {"min_score": rows},
        {"min_score": rows, "max_score": rows[::-1].copy()},
    ):
        check(cupy, mining.hard_negatives, x, y, positives, k=K, metric=metric, fallback=fallback, **options)


@pytest.mark.parametrize("sample", ["top", "random", "softmax"])
@pytest.mark.parametrize("ranks", [(0, None), (3, None), (2, 12), (37, None)])
def test_ranks_and_draws(cupy, sample, ranks):
    x, y, positives = problem()
    for options in ({}, {"rel_margin": 0.1, "fallback": "relax"}, {"positive": "own", "abs_margin": 0.01}):
        found = check(cupy, mining.hard_negatives, x, y, positives, k=K, range=ranks, sample=sample, seed=3, **options)
        assert (found.counts <= K).all()


def test_lists_labels_and_duplicates(cupy):
    x, y, positives = problem()
    y = np.concatenate([y[:30], y[:11]])
    rng = np.random.default_rng(2)
    labels = {"query_labels": rng.integers(0, 4, N), "corpus_labels": rng.integers(0, 4, M)}
    exclude = rng.integers(-1, M, (N, 5))
    for options in ({}, labels, {"exclude": exclude}, {"exclude": exclude, **labels}):
        for duplicates in ("keep", "drop"):
            for positive in ("min", "own"):
                check(
                    *(cupy, mining.hard_negatives, x, y, positives),
                    **{"k": K, "duplicates": duplicates, "positive": positive, "rel_margin": 0.02, **options},
                )


@pytest.mark.parametrize("kind", ["matrix", "function"])
@pytest.mark.parametrize("fallback", ["short", "relax"])
def test_teacher(cupy, kind, fallback):
    x, y, positives = problem()
    scores = np.round(np.random.default_rng(1).normal(size=(N, M)), 1)
    options = {"k": K, "range": (1, 20), "abs_margin": 0.3, "max_score": 1.5, "fallback": fallback}
    if kind == "matrix":
        check(cupy, mining.hard_negatives, x, y, positives, teacher=scores, **options)
        return
    wanted = mining.hard_negatives(x, y, positives, teacher=scores, **options)
    judge = cupy.asarray(scores)
    given = (cupy.asarray(rows) for rows in (x, y, positives))
    found = mining.hard_negatives(*given, teacher=lambda rows, columns: judge[rows, columns], **options)
    np.testing.assert_array_equal(found.indices.get(), wanted.indices)
    np.testing.assert_array_equal(found.scores.get(), wanted.scores)


@pytest.mark.parametrize("limit", [700, 5000])
def test_blocks_change_nothing(cupy, monkeypatch, limit):
    x, y, positives = problem()
    for options in ({"positive": "mean"}, {"positive": "own", "sample": "random", "seed": 1, "range": (1, 20)}):
        wanted = mining.hard_negatives(x, y, positives, k=K, rel_margin=0.05, **options)
        with monkeypatch.context() as patch:
            patch.setattr(Resources, "scratch", property(lambda self: limit))
            given = (cupy.asarray(rows) for rows in (x, y, positives))
            found = mining.hard_negatives(*given, k=K, rel_margin=0.05, **options)
        same(libraries.on_host(found[:4]), wanted[:4])
        assert found.report == wanted.report


def test_few_transfers(cupy):
    if cupy is not cupy_on_host.library:
        pytest.skip("only the stand-in counts")
    x, y, positives = (cupy.asarray(rows) for rows in problem())
    before = cupy_on_host.transfers.count
    mining.hard_negatives(x, y, positives, k=K, rel_margin=0.05)
    assert cupy_on_host.transfers.count - before <= 30  # checks of lists, and the counts of the report


@pytest.mark.parametrize("pattern", ["ties", "gaussian"])
@pytest.mark.parametrize("source", ["embeddings", "similarities", "one set"])
def test_topk_negatives(cupy, pattern, source):
    x, y, scores = solved("clustered", "float32", "cosine", n=N, m=M, d=D)
    if pattern == "ties":
        scores = np.round(scores, 1)
        scores[0, :5], scores[1, :3] = -np.inf, np.inf
    rng = np.random.default_rng(4)
    positives = rng.integers(0, N if source == "one set" else M, (N, 2))
    base = {
        "embeddings": {"x": x, "y": y},
        "similarities": {"similarities": scores},
        "one set": {"x": x},
    }[source]
    columns = N if source == "one set" else M
    mask = rng.random((N, columns)) < 0.7
    for options in (
        {},
        {"append_relevant": True},
        {"skip_top": 2},
        {"rank_range": (1, 9), "seed": 5},
        {"filter": mask},
        {"filter": {"abs_margin": 0.05, "positive": "max"}},
        {"filter": {"max_score": 0.8}, "append_relevant": True},
        {"ids": rng.integers(0, 9, columns)},
        {"teacher": np.round(rng.normal(size=(N, columns)), 1)},
    ):
        check(cupy, mining.topk_negatives, **base, k=3, positives=positives, **options)


def test_topk_negatives_without_positives(cupy):
    x, y, _ = problem()
    ids = np.random.default_rng(1).integers(0, 5, M)
    for options in ({}, {"ids": ids}, {"ids": (ids[:N], ids)}):
        check(cupy, mining.topk_negatives, x, y, k=3, **options)
    check(cupy, mining.topk_negatives, x, k=3, ids=ids[:N])


def spoilt(values, place, value):
    values = values.astype(np.float64)
    values[place] = value
    return values


X, Y, POSITIVES_OF_X = problem()
REFUSED = {
    "nan": {"queries": spoilt(X, (3, 2), np.nan)},
    "inf": {"corpus": spoilt(Y, (30, 1), np.inf)},
    "range": {"positives": POSITIVES_OF_X + M},
    "below": {"positives": POSITIVES_OF_X - 2},
    "rows": {"positives": POSITIVES_OF_X[:5]},
    "limits": {"min_score": 2.0},
    "crossed": {"min_score": 0.5, "max_score": 0.1},
    "nan limit": {"max_score": np.full(N, np.nan)},
    "teacher": {"teacher": np.full((N, M), np.nan)},
    "labels": {"query_labels": np.zeros(N, int)},
}


@pytest.mark.parametrize("name", REFUSED)
def test_errors_are_those_of_processors(cupy, name):
    options = {"queries": X, "corpus": Y, "positives": POSITIVES_OF_X, "k": K, **REFUSED[name]}
    with pytest.raises((ValueError, TypeError)) as host:
        mining.hard_negatives(**options)
    with pytest.raises(host.type) as own:
        mining.hard_negatives(**libraries.on_device(cupy, options))
    if name != "rows":  # which lists of the host may be, and arrays of the device not
        assert str(own.value) == str(host.value)


@pytest.mark.parametrize("positives", [[[0], [1, 2]], [0, 1], None])
def test_lists_of_the_host_are_refused(cupy, positives):
    x, y = np.eye(2, 3), np.eye(4, 3)
    with pytest.raises(TypeError, match=r"positives"):
        mining.hard_negatives(cupy.asarray(x), cupy.asarray(y), positives, k=1)
