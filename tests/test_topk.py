"""Exact nearest neighbours: the ranking and the bits of a stable sort of float64 scores, whatever the data."""

import pickle
import re
import sys
import types

import cases
import embeddings
import fastpair
import helpers
import numpy as np
import oracle_similarity as oracle
import pytest
from fakes import Arraylike, OnDevice, Tensor
from searches import FLOAT_METRICS, D, K, M, N, assert_found, matrix_layouts, solved


def cells():
    for metric in FLOAT_METRICS:
        for dtype in ("float64", "float32"):
            names = embeddings.patterns(dtype if metric not in ("poincare", "lorentz") else "float32")
            yield from ((metric, dtype, pattern) for pattern in names)
        for dtype in ("float16", "bfloat16", "int8", "uint8", "int32", "bool"):
            if metric == "poincare" and np.dtype(cases.as_dtype(dtype)).kind in "iub":
                continue
            yield from ((metric, dtype, pattern) for pattern in ("gaussian", "duplicated", "cancelling"))


@pytest.mark.parametrize(("metric", "dtype", "pattern"), list(cells()))
def test_the_ranking_is_that_of_a_sort(metric, dtype, pattern):
    x, y, scores = solved(pattern, dtype, metric)
    for level, threads in helpers.engines():
        found = fastpair.topk(x, y, K, metric=metric, num_threads=threads)
        assert_found(found, scores, K, oracle.is_similarity(metric), about=f"{level} {threads}", metric=metric)
    found = fastpair.topk(x, y, K, metric=metric, largest=not oracle.is_similarity(metric))
    assert_found(found, scores, K, not oracle.is_similarity(metric), about="farthest", metric=metric)


@pytest.mark.parametrize("metric", oracle.BITS)
@pytest.mark.parametrize("width", [1, 7, 8, 9, 63, 64, 65, 200])
def test_bits(metric, width, isa, rng):
    x, y = rng.random((N, width)) < 0.3, rng.random((M, width)) < 0.4
    x[:3] = False
    y[::5] = False
    scores = oracle.pairwise(x, y, metric)
    assert_found(fastpair.topk(x, y, K, metric=metric), scores, K, False)
    packed = np.packbits(x, axis=-1), np.packbits(y, axis=-1)
    assert_found(fastpair.topk(*packed, K, metric=metric), scores, K, False)
    assert_found(fastpair.topk(*packed, K, metric=metric, largest=True), scores, K, True)


SIZES = [(0, 5, 3), (5, 0, 3), (0, 0, 0), (3, 5, 0), (1, 1, 1), (40, 300, 1), (33, 65, 2), (1, 700, 16), (600, 3, 17)]


@pytest.mark.parametrize("metric", FLOAT_METRICS)
@pytest.mark.parametrize(("n", "m", "d"), SIZES)
def test_any_size(metric, n, m, d, isa):
    x, y, scores = solved("gaussian", "float32", metric, n, m, d)
    for k in {1, 2, max(m, 1), m + 3}:
        found = fastpair.topk(x, y, k, metric=metric)
        assert_found(found, scores, k, oracle.is_similarity(metric), about=str(k), metric=metric)


@pytest.mark.parametrize("d", [1, 15, 16, 17, 31, 32, 33, 255, 256, 257, 1000])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int8"])
def test_any_width(d, dtype, isa):
    for metric in ("dot", "cosine", "sqeuclidean"):
        x, y, scores = solved("gaussian", dtype, metric, 9, 50, d)
        assert_found(fastpair.topk(x, y, 5, metric=metric), scores, 5, oracle.is_similarity(metric))


@pytest.mark.parametrize("pattern", ["gaussian", "duplicated", "all_equal", "ascending", "tight"])
@pytest.mark.parametrize("k", [1, 10, 300])
def test_many_rows(pattern, k, threads):
    x, y, scores = solved(pattern, "float32", "cosine", 70, 3000, 24)
    assert_found(fastpair.topk(x, y, k, num_threads=threads), scores, k, True)


@pytest.mark.parametrize("metric", ["cosine", "sqeuclidean"])
def test_one_query_in_parts_of_y(metric, threads):
    x, y, scores = solved("duplicated", "float32", metric, 1, 20_000, 8)
    assert_found(fastpair.topk(x, y, 25, metric=metric, num_threads=threads), scores, 25, oracle.is_similarity(metric))


def test_a_single_query_has_one_dimension():
    x, y, _ = solved("gaussian", "float32", "cosine")
    whole, one = fastpair.topk(x, y, K), fastpair.topk(x[2], y, K)
    assert one.scores.shape == one.indices.shape == (K,)
    np.testing.assert_array_equal(one.indices, whole.indices[2])
    np.testing.assert_array_equal(one.scores, whole.scores[2])


def test_rows_of_x_find_themselves_unless_told_otherwise():
    x, _, _ = solved("gaussian", "float32", "euclidean")
    scores = oracle.pairwise(x, x, "euclidean")
    assert_found(fastpair.topk(x, k=3, metric="euclidean"), scores, 3, False)
    allowed = oracle.admitted(scores, exclude_self=True)
    assert_found(fastpair.topk(x, k=3, metric="euclidean", exclude_self=True), scores, 3, False, allowed)
    found = fastpair.topk(x, k=N + 2, metric="euclidean", exclude_self=True)
    assert not (found.indices == np.arange(N)[:, np.newaxis]).any()
    assert (found.indices[:, -3:] == -1).all()
    assert np.isposinf(found.scores[:, -3:]).all()


@pytest.mark.parametrize("layout", matrix_layouts())
@pytest.mark.parametrize("dtype", embeddings.DTYPES)
def test_rows_in_any_layout(layout, dtype, isa):
    view = matrix_layouts()[layout]
    for metric in ("cosine", "sqeuclidean"):
        x, y, scores = solved("gaussian", dtype, metric)
        before = x.copy(), y.copy()
        a, b = view(x), view(y)
        assert_found(fastpair.topk(a, b, K, metric=metric), scores, K, oracle.is_similarity(metric))
        np.testing.assert_array_equal(a, before[0])
        np.testing.assert_array_equal(b, before[1])


def test_one_row_broadcast_to_many():
    x, _, _ = solved("gaussian", "float32", "cosine")
    y = np.broadcast_to(x[3], (500, D))
    found = fastpair.topk(x, y, 4)
    np.testing.assert_array_equal(found.indices, np.tile(np.arange(4), (N, 1)))


@pytest.mark.parametrize(
    "pair", [("float32", "float64"), ("float16", "float32"), ("int8", "float32"), ("uint8", "int8")]
)
def test_dtypes_may_differ(pair, isa):
    x, y = embeddings.make("gaussian", N, M, D)
    x, y = embeddings.cast(x, pair[0]), embeddings.cast(y, pair[1])
    for metric in ("dot", "euclidean"):
        scores = oracle.pairwise(x, y, metric)
        assert_found(fastpair.topk(x, y, K, metric=metric), scores, K, oracle.is_similarity(metric))


CONTAINERS = {
    "lists": lambda values: values.tolist(),
    "tuple of arrays": lambda values: tuple(values),
    "__array__": Arraylike,
    "torch": Tensor,
    "torch with gradient": lambda values: Tensor(values, requires_grad=True),
    "pandas": lambda values: pytest.importorskip("pandas").DataFrame(values),
}


@pytest.mark.parametrize("container", CONTAINERS)
def test_rows_in_any_container(container):
    x, y, scores = solved("gaussian", "float64", "dot", 5, 9, 4)
    make = CONTAINERS[container]
    assert_found(fastpair.topk(make(x), make(y), 3, metric="dot"), scores, 3, True)


def test_results_go_where_told():
    x, y, scores = solved("gaussian", "float32", "cosine")
    rooms = [
        (np.empty((N, K)), np.empty((N, K), np.int64)),
        (np.empty((K, N)).T, np.empty((N, 2 * K), np.int64)[:, ::2]),
    ]
    for out in rooms:
        for room in out:
            room.fill(77)
        found = fastpair.topk(x, y, K, out=out)
        assert found.scores is out[0]
        assert found.indices is out[1]
        assert_found(found, scores, K, True)
    one = np.empty(K), np.empty(K, np.int64)
    found = fastpair.topk(x[0], y, K, out=one)
    assert found.scores is one[0]
    np.testing.assert_array_equal(one[1], oracle.topk(scores, K, True)[1][0])


def test_progress_reaches_the_end():
    x, y, _ = solved("gaussian", "float32", "cosine")
    seen = []
    fastpair.topk(x, y, K, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (N * M, N * M)
    assert seen == sorted(seen)


def test_an_error_of_the_callers_progress_ends_the_search():
    def stop(done, total):
        raise KeyError("enough")

    x, y, _ = solved("gaussian", "float32", "cosine")
    with pytest.raises(KeyError, match="enough"):
        fastpair.topk(x, y, K, progress=stop)


def test_progress_is_a_line_without_tqdm(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    x, y, _ = solved("gaussian", "float32", "cosine")
    fastpair.topk(x, y, K, progress=True)
    shown = capsys.readouterr()
    assert "100 %" in shown.err
    assert shown.out == ""
    fastpair.topk(x, y, K, progress=False)
    assert capsys.readouterr().err == ""


def test_progress_is_a_bar_of_tqdm(monkeypatch):
    bars = []

    class Bar:
        def __init__(self, **options):
            self.n, self.options, self.closed = 0, options, False
            bars.append(self)

        def update(self, step):
            self.n += step

        def close(self):
            self.closed = True

    module = types.ModuleType("tqdm.auto")
    module.tqdm = Bar
    monkeypatch.setitem(sys.modules, "tqdm.auto", module)
    x, y, _ = solved("gaussian", "float32", "cosine")
    fastpair.topk(x, y, K, progress=True)
    assert [(bar.n, bar.closed, bar.options["total"]) for bar in bars] == [(N * M, True, N * M)]


def test_the_result_is_a_named_tuple_that_can_be_pickled():
    found = fastpair.topk(np.eye(3), k=2)
    assert found._fields == ("scores", "indices")
    copy = pickle.loads(pickle.dumps(found))
    np.testing.assert_array_equal(copy.indices, found.indices)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("argument", ["x", "y"])
@pytest.mark.parametrize("dtype", embeddings.FLOATS)
def test_rows_that_are_not_finite_are_refused(value, argument, dtype, isa):
    for metric in FLOAT_METRICS:
        x, y, _ = solved("gaussian", dtype, metric)
        rows = {"x": x.copy(), "y": y.copy()}
        rows[argument][29, 31] = value
        with pytest.raises(ValueError, match=rf"{argument} is (?i:nan|-?inf) at row 29, column 31"):
            fastpair.topk(**rows, k=2, metric=metric)


def test_points_outside_the_ball_are_refused():
    with pytest.raises(ValueError, match=r"row 1 of y.*norm 1"):
        fastpair.topk([[0.1, 0.2]], [[0.1, 0.2], [1.0, 0.0]], 1, metric="poincare")
    with pytest.raises(ValueError, match=r"row 0 of x.*norm"):
        fastpair.topk([[2.0, 0.2]], [[0.1, 0.2]], 1, metric="poincare")


X, Y = np.eye(3, 4), np.ones((5, 4))
LABELS_OF_BOTH = {"x_labels": [1, 2, 3], "y_labels": [1] * 5}


def bad(name, error, words, **arguments):
    return pytest.param(error, words, {"x": X, "y": Y, **arguments}, id=name)


REFUSED = [
    bad("0-d x", ValueError, ["x", "two dimensions"], x=3.0),
    bad("3-d x", ValueError, ["x", r"\(1, 3, 4\)"], x=X[np.newaxis]),
    bad("1-d y", ValueError, ["y", r"\(5,\)", "two dimensions"], y=Y[:, 0]),
    bad("a query without y", ValueError, ["x", "single query", "pass y"], x=X[0], y=None),
    bad("widths", ValueError, ["4 columns", "3"], y=Y[:, :3]),
    bad("query of another width", ValueError, ["3 columns", "4"], x=X[0, :3]),
    bad("complex", TypeError, ["x", "complex128"], x=X.astype(complex)),
    bad("strings", TypeError, ["y", "<U"], y=Y.astype(str)),
    bad("objects", TypeError, ["y", "object"], y=Y.astype(object)),
    bad("ragged", (TypeError, ValueError), ["y"], y=[[1.0, 2.0], [3.0]]),
    bad("dates", TypeError, ["x", "datetime64"], x=X.astype("M8[s]")),
    bad("no x", TypeError, ["x is None"], x=None),
    bad("GPU", TypeError, ["y", "host"], y=OnDevice()),
    bad("GPU tensor", TypeError, ["x", "cpu"], x=Tensor(X, "cuda")),
    bad("floats as bits", TypeError, ["x", "hamming", "packbits"], metric="hamming"),
    bad("bits of two lengths", ValueError, ["4 columns", "5"], x=X > 0, y=np.ones((5, 5), bool), metric="jaccard"),
    bad("unknown metric", ValueError, ["metric", "cosin", "'cosine'"], metric="cosin"),
    bad("metric of another type", ValueError, ["metric", "3"], metric=3),
    bad("k of 0", ValueError, ["k", "at least 1", "0"], k=0),
    bad("k of -1", ValueError, ["k", "-1"], k=-1),
    bad("k of 2.5", TypeError, ["k", "2.5"], k=2.5),
    bad("largest", TypeError, ["largest", "'yes'"], largest="yes"),
    bad("num_threads", ValueError, ["num_threads", "0"], num_threads=0),
    bad("exclude_self", TypeError, ["exclude_self", "1"], exclude_self=1),
    bad("exclude_self of a query", ValueError, ["exclude_self", "query"], x=X[0], exclude_self=True),
    bad("mask of integers", TypeError, ["mask", "int64", "packbits"], mask=np.ones(5, np.int64)),
    bad("mask of rows", ValueError, ["mask", r"\(3,\)", r"\(5,\)"], mask=np.ones(3, bool)),
    bad("mask of other pairs", ValueError, ["mask", r"\(5, 3\)"], mask=np.ones((5, 3), bool)),
    bad("bytes that are no bits", ValueError, ["mask", r"\(5,\)", "packbits"], mask=np.ones(5, np.uint8)),
    bad("lists for other rows", ValueError, ["exclude", "2 lists", "3 rows"], exclude=[[1], [2]]),
    bad("exclude of one number", ValueError, ["exclude", "int"], exclude=3),
    bad("excluded column beyond", ValueError, ["exclude", r"\b5\b", "row 1"], exclude=[[], [5], []]),
    bad("excluded column below", ValueError, ["exclude", "-1", "row 2"], exclude=[[], [], [-1]]),
    bad("excluded floats", TypeError, ["exclude", "float64"], exclude=[[1.5], [], []]),
    bad("short indptr", ValueError, ["exclude", "indptr"], exclude=([0, 1], [1])),
    bad("indptr that decreases", ValueError, ["exclude", "decrease"], exclude=([0, 2, 1, 2], [1, 2])),
    bad("half of the labels", ValueError, ["x_labels", "y_labels"], x_labels=[1, 2, 3], same_label=True),
    bad("labels of x alone", ValueError, ["x_labels", "y_labels"], y_labels=[1] * 5, same_label=True),
    bad("labels without a rule", ValueError, ["same_label"], **LABELS_OF_BOTH),
    bad("a rule without labels", ValueError, ["same_label", "labels"], same_label=True),
    bad("a rule of 1", TypeError, ["same_label"], **LABELS_OF_BOTH, same_label=1),
    bad("few labels", ValueError, ["x_labels", r"\(2,\)"], **{**LABELS_OF_BOTH, "x_labels": [1, 2]}, same_label=True),
    bad(
        "few labels of y",
        ValueError,
        ["y_labels", "4", "5"],
        **{**LABELS_OF_BOTH, "y_labels": [1] * 4},
        same_label=True,
    ),
    bad(
        "labels of two kinds",
        TypeError,
        ["x_labels", "y_labels"],
        x_labels=["a"] * 3,
        y_labels=[1] * 5,
        same_label=True,
    ),
    bad(
        "nan label", ValueError, ["x_labels", "nan", "1"], x_labels=[1, np.nan, 2], y_labels=[1.0] * 5, same_label=True
    ),
    bad("nan limit", ValueError, ["min_score", "nan"], min_score=np.nan),
    bad("limits for other rows", ValueError, ["max_score", r"\(5,\)"], max_score=np.ones(5)),
    bad("a limit of text", TypeError, ["min_score", "<U"], min_score="a"),
    bad("progress", TypeError, ["progress", "'yes'"], progress="yes"),
    bad("one out", TypeError, ["out", "tuple"], out=np.empty((3, 2))),
    bad("out of another dtype", TypeError, ["out", "float32"], out=(np.empty((3, 2), "f4"), np.empty((3, 2), "i8"))),
    bad("out of another shape", ValueError, ["out", r"\(3, 3\)"], out=(np.empty((3, 2)), np.empty((3, 3), "i8"))),
]


@pytest.mark.parametrize(("error", "words", "arguments"), REFUSED)
def test_what_cannot_be_is_refused(error, words, arguments):
    arguments = {"k": 2, **arguments}
    with pytest.raises(error) as caught:
        fastpair.topk(**arguments)
    for word in words:
        assert re.search(word, str(caught.value)), f"no {word!r} in: {caught.value}"


def test_memory_does_not_grow_with_the_matrix():
    grown = helpers.output_of(
        """
        import numpy as np, fastpair
        def size(field):
            with open("/proc/self/status") as lines:
                return next(int(l.split()[1]) * 1024 for l in lines if l.startswith(field))
        rng = np.random.default_rng(0)
        x, y = rng.random((2000, 16), np.float32), rng.random((100_000, 16), np.float32)
        fastpair.topk(x[:100], y[:1000], 10, num_threads=2)
        before = size("VmRSS")
        fastpair.topk(x, y, 10, num_threads=2)
        print(size("VmHWM") - before)
        """
    )
    assert int(grown) < 40 * 2**20
