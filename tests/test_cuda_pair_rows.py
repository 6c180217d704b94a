"""The kernel under the losses over embeddings on the GPU: against the oracle, and against the kernel for processors."""

from importlib import import_module

import cases
import cupy_on_host
import embeddings
import libraries
import numpy as np
import pytest
import test_pair_rows as host
from cupy_on_host import module
from embedding_losses import FLOATS, METRICS, assert_near, pair
from fastpair import _core, _cuda
from fastpair._cuda import plan

N, M, D, H = host.N, host.M, host.D, host.H
TOLERANCE = {"float64": 1e-11, "float32": 5e-6, "float16": 5e-6, "bfloat16": 5e-6}


def on_device(cupy, arrays, metric, loss, options, row_factors=None, gradient=True, num_threads=None, max_memory=None):
    given = libraries.on_device(cupy, [*(arrays[name] for name in host.GRADIENTS), options, row_factors])
    found = _cuda.pair_rows(*given[:4], metric, loss, given[4], given[5], gradient, num_threads, max_memory)
    return {name: libraries.on_host(value) for name, value in found.items()}


@pytest.fixture
def run(cupy):
    return lambda *args, **named: on_device(cupy, *args, **named)


@pytest.fixture
def small_panels(monkeypatch):
    """Three rows for each panel."""
    monkeypatch.setattr(import_module("fastpair._cuda.pair_rows"), "LEAST_ROWS", 3)
    monkeypatch.setattr(plan, "CACHED", 1)


def compare(run, arrays, metric, loss, options, factors=None, about="", rtol=None, **how):
    """Everything that the kernel for processors returns."""
    dtypes = {str(array.dtype) for array in arrays.values() if array is not None}
    rtol = max(TOLERANCE.get(dtype, 1e-11) for dtype in dtypes) if rtol is None else rtol
    given = [arrays[name] for name in host.GRADIENTS]
    wanted = _core.pair_rows(*given, metric, loss, options, factors, True, None, None)
    found = run(arrays, metric, loss, options, factors, **how)
    np.testing.assert_array_equal(found["valid"], wanted["valid"], err_msg=str(about))
    names = ("scale", "bias") if loss == "sigmoid" else ("temperature",)
    for name in ("values", *host.GRADIENTS, *names):
        if wanted[name] is None:
            assert found[name] is None, (about, name)
            continue
        assert found[name].dtype == wanted[name].dtype, (about, name)
        size = np.abs(wanted[name], where=np.isfinite(wanted[name]), out=np.zeros(wanted[name].shape)).max(initial=1)
        assert_near(found[name], wanted[name], rtol, f"{about} {name}", size)
    return found


@pytest.mark.parametrize(("loss", "name"), host.CELLS)
def test_every_option_against_the_oracle(run, monkeypatch, loss, name):
    monkeypatch.setattr(host, "run", run)
    options = host.options_of(loss, name)
    host.check(host.embedded(), "cosine", loss, options, about=name)
    matrix = cases.generator("matrix").normal(size=(N, M)) * 0.4
    split = host.problem(similarities=np.ascontiguousarray(matrix[:, : M - H]), appended=matrix[:, M - H :].copy())
    host.check(split, "cosine", loss, options, about=f"{name} with appended columns")


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dtype", FLOATS)
def test_metrics_and_dtypes(run, metric, dtype):
    factors = np.linspace(-1, 2, N)
    for loss, (defaults, _) in host.TABLES.items():
        compare(run, host.embedded(dtype), metric, loss, defaults, factors, (loss, dtype))
        x = host.embedded(dtype, n=M)["x"]
        options = {**host.options_of(loss, "columns", M, M), "self_columns": np.arange(M)}
        compare(run, host.problem(x), metric, loss, options, about=(loss, dtype, "x with itself"))


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16", "int32", "bool"])
def test_dtypes_of_matrices(run, dtype):
    rng = cases.generator("matrices")
    numbers = rng.integers(0, 2, (N, M)) if dtype in ("int32", "bool") else rng.normal(size=(N, M)) * 0.4
    matrix = embeddings.cast(numbers, dtype) if dtype in FLOATS else numbers.astype(dtype)
    matrix = matrix.view(np.uint8) if dtype == "bool" else matrix
    appended = matrix[:, :H].copy()
    for gradient in (True, False):
        arrays = host.problem(similarities=np.asfortranarray(matrix), appended=appended)
        found = run(arrays, "cosine", "softmax", host.SOFTMAX, None, gradient)
        wanted = host.run(arrays, "cosine", "softmax", host.SOFTMAX, None, gradient)
        assert_near(found["values"], wanted["values"], TOLERANCE.get(dtype, 1e-12), dtype)
        for name in ("similarities", "appended"):
            assert (found[name] is None) == (wanted[name] is None) == (not gradient)
            if gradient:
                assert found[name].dtype == wanted[name].dtype
                assert_near(found[name], wanted[name], TOLERANCE.get(dtype, 1e-12), name)


def test_mixed_dtypes_and_strides(run):
    x, y = pair(cases.generator("mixed"), 6, 9, 4)
    for first, second in (("float16", "float32"), ("float16", "bfloat16"), ("bfloat16", "float64"), ("float32",) * 2):
        rows = np.asfortranarray(np.repeat(embeddings.cast(x, first), 2, axis=0))[::2]
        columns = embeddings.cast(y, second)[::-1]
        before = rows.copy(), columns.copy()
        compare(run, host.problem(rows, columns), "cosine", "softmax", host.SOFTMAX, about=(first, second))
        np.testing.assert_array_equal(rows, before[0])
        np.testing.assert_array_equal(columns, before[1])


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dtype", FLOATS)
def test_symmetric(run, small_panels, metric, dtype):
    options = {**host.SOFTMAX, "symmetric": True}
    for n in (1, 2, 7, 40):
        x, y = pair(cases.generator("symmetric", n), n, n, 5, dtype)
        factors = np.linspace(0.5, 1, n)
        compare(run, host.problem(x, y), metric, "softmax", options, factors, n, max(TOLERANCE[dtype], 1e-11))
        compare(run, host.problem(x, y), metric, "softmax", options, factors, f"{n}, panels", max_memory=3 * 16 * n)


SIZES = [*host.SIZES, (0, 3, 2), (3, 0, 2), (3, 4, 0), (0, 0, 0)]


@pytest.mark.parametrize(("n", "m", "d"), SIZES)
def test_any_size(run, n, m, d):
    arrays = host.problem(*pair(cases.generator("sizes", n, m, d), n, m, d))
    for loss, (defaults, _) in host.TABLES.items():
        options = {**defaults, "positives": np.where(np.arange(n) < m, np.arange(n), -1)}
        compare(run, arrays, "dot", loss, options, about=loss)
    hard = {**host.SOFTMAX, "positives": np.where(np.arange(n) < m, np.arange(n), -1), "hard_k": 3}
    compare(run, arrays, "dot", "softmax", hard, about="hard")


@pytest.mark.parametrize(
    ("loss", "name"),
    [("softmax", "labels without oneself"), ("softmax", "both"), ("softmax", "mask, separate"), ("sigmoid", "mask")],
)
@pytest.mark.parametrize("dtype", ["float64", "bfloat16"])
def test_panels(run, monkeypatch, loss, name, dtype):
    """They change results by the rounding of products, and the order of threads by nothing."""
    n, m = 17, 21
    arrays = host.problem(*pair(cases.generator("panels"), n, m, 5, dtype), None, None)
    options, factors = host.options_of(loss, name, n, m), np.linspace(-1, 2, n)
    whole = compare(run, arrays, "sqeuclidean", loss, options, factors, name)
    monkeypatch.setattr(module.RawKernel, "backwards", True)
    backwards = run(arrays, "sqeuclidean", loss, options, factors)
    for key, value in whole.items():
        np.testing.assert_array_equal(backwards[key], value, err_msg=key)
    monkeypatch.setattr(import_module("fastpair._cuda.pair_rows"), "LEAST_ROWS", 3)
    monkeypatch.setattr(plan, "CACHED", 1)
    for memory in (None, 1 << 10, 21 * 9):
        parts = run(arrays, "sqeuclidean", loss, options, factors, max_memory=memory)
        for key in ("values", "x", "y"):
            assert_near(parts[key], whole[key], TOLERANCE[dtype], key)
    alone = run(arrays, "sqeuclidean", loss, options, factors, False)
    np.testing.assert_array_equal(alone["values"], whole["values"])
    assert all(alone[key] is None for key in ("temperature", *host.GRADIENTS))
    with pytest.raises(ValueError, match=r"max_memory is 20 bytes, but this call needs \d+; pass at least that"):
        run(arrays, "sqeuclidean", loss, options, max_memory=20)


@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
def test_huge_tiny_and_zero_rows(run, dtype):
    x, y = pair(cases.generator("extremes"), 6, 9, 4)
    x[2], y[5] = 0, 0
    powers = (1e18, 1e-20, 1e-38, 1e30) if dtype != "float64" else (1e18, 1e150, 1e-200)
    for power in powers:
        rows, columns = x.copy(), y.copy()
        rows[1] *= power
        columns[3] *= power
        arrays = host.problem(embeddings.cast(rows, dtype), embeddings.cast(columns, dtype))
        found = compare(run, arrays, "cosine", "softmax", host.SOFTMAX, about=power, rtol=max(TOLERANCE[dtype], 1e-10))
        reference = host.run(arrays, "cosine", "softmax", host.SOFTMAX)
        for name, row in (("x", 1), ("y", 3)):  # which the largest gradient would hide
            assert_near(found[name][row], reference[name][row], 1e-5, f"{power} {name}")
        assert not found["x"][2].any()
        assert not found["y"][5].any()


def test_products_beyond_float32_are_taken_in_float64(run):
    x, y = pair(cases.generator("beyond"), 4, 5, 3, "float32")
    arrays = host.problem(x * np.float32(1e20), y * np.float32(1e20))
    for metric in ("dot", "sqeuclidean", "euclidean"):
        found = run(arrays, metric, "softmax", {**host.SOFTMAX, "temperature": 1e38})
        wanted = host.run(arrays, metric, "softmax", {**host.SOFTMAX, "temperature": 1e38})
        assert found["x"].dtype == wanted["x"].dtype == np.float64
        assert_near(found["values"], wanted["values"], 1e-11)
        assert_near(found["x"], wanted["x"], 1e-11)


@pytest.mark.parametrize("metric", ["sqeuclidean", "euclidean"])
def test_small_distances_of_far_points(run, metric):
    x, y = pair(cases.generator("far"), 5, 70, 33)
    x, y = x + 30, y + 30
    y[2] = x[1]
    compare(run, host.problem(x, y), metric, "softmax", host.SOFTMAX, rtol=1e-9)
    compare(run, host.problem(x), metric, "softmax", {"temperature": 0.2, "positives": np.zeros(5, int)}, rtol=1e-9)
    single = host.problem(x.astype("f4"), y.astype("f4"))
    compare(run, single, metric, "softmax", host.SOFTMAX, rtol=1e-4)


@pytest.mark.parametrize("value", [-np.inf, np.inf, np.nan])
def test_similarities_that_are_not_finite(run, value):
    matrix = cases.generator("strange").normal(size=(6, 7)) * 0.4
    matrix[1, 3], matrix[4, :3] = value, value
    for name in ("plain", "columns", "mask", "labels, some ignored", "ids", "mask, log_sum", "positives left out"):
        for dtype in (np.float64, np.float32):
            arrays = host.problem(similarities=matrix.astype(dtype))
            compare(run, arrays, "dot", "softmax", host.options_of("softmax", name, 6, 7), about=name)
    for name in ("plain", "mask"):
        compare(run, host.problem(similarities=matrix), "dot", "sigmoid", host.options_of("sigmoid", name, 6, 7))


def test_what_is_not_a_number_is_never_hidden(run):
    matrix = cases.generator("nan").normal(size=(4, 6)) * 0.4
    matrix[1, 1], matrix[2, 4] = np.nan, np.nan
    found = run(host.problem(similarities=matrix), "dot", "hard_negatives", host.HARD)
    np.testing.assert_array_equal(np.isnan(found["values"]), [False, True, True, False])
    found = run(host.problem(similarities=matrix), "dot", "softmax", {**host.SOFTMAX, "hard_k": 2})
    np.testing.assert_array_equal(np.isnan(found["values"]), [False, True, True, False])
    np.testing.assert_array_equal(np.isnan(found["similarities"]).all(axis=1), [False, True, True, False])


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
def test_ties_among_the_hardest_negatives(run, dtype):
    matrix = np.round(cases.generator("ties").normal(size=(6, 150)) * 3) / 8
    matrix[0], matrix[1, ::2] = 0, -0.0
    for k in (1, 17, 149, 150):
        compare(run, host.problem(similarities=matrix.astype(dtype)), "dot", "softmax", {**host.SOFTMAX, "hard_k": k})


BANDS = [
    (reference, lower, upper, above, not above)
    for reference in ("hardest", "mean", "easiest", "each")
    for lower, upper in ((-0.25, 0.25), (-np.inf, 0.0), (0.0, np.inf))
    for above in (True, False)
]


@pytest.mark.parametrize("miner", [(0.125, np.inf), (0.125, 0.25), (-0.5, 0.5), *BANDS])
def test_miners(run, miner):
    matrix = np.round(cases.generator("miners").normal(size=(7, 40)) * 3) / 8
    labels = {"x_labels": np.arange(7) % 4, "y_labels": np.arange(40) % 4, "temperature": 0.3}
    for dtype in ("float64", "float32"):
        arrays = host.problem(similarities=matrix.astype(dtype))
        compare(run, arrays, "dot", "softmax", {**labels, "miner": miner}, about=miner)
    compare(run, arrays, "dot", "softmax", {**labels, "miner": miner, "hard_k": 3}, about=miner)
    compare(run, arrays, "dot", "sigmoid", {"positives": "diagonal", "miner": miner}, about=miner)


def test_rows_that_are_not_finite(run):
    for dtype, value, text in (("float64", np.nan, "NaN"), ("float32", np.inf, "inf"), ("float16", -np.inf, "-inf")):
        x, y = pair(cases.generator("bad"), 5, 7, 3, dtype)
        y[4, 2] = y[5, 0] = value
        with pytest.raises(ValueError) as caught:
            run(host.problem(x, y), "cosine", "softmax", host.SOFTMAX)
        with pytest.raises(ValueError, match=rf"^y is {text} at row 4, column 2; embeddings must be finite") as wanted:
            host.run(host.problem(x, y), "cosine", "softmax", host.SOFTMAX)
        assert str(caught.value) == str(wanted.value)


def test_the_host_reads_once(cupy):
    if cupy is not cupy_on_host.library:
        pytest.skip("a GPU does not count")
    for metric in METRICS:
        arrays = host.embedded("float32")
        given = libraries.on_device(cupy, [arrays[name] for name in host.GRADIENTS])
        before = cupy_on_host.transfers.count
        _cuda.pair_rows(*given, metric, "softmax", host.SOFTMAX, None, True, None, None)
        assert cupy_on_host.transfers.count == before + 1


def test_what_does_not_fit_together(run):
    arrays, options = host.embedded(), host.SOFTMAX
    for changed, more, message in (
        ({}, {"loss": "other"}, "loss is unknown: 'other'"),
        ({"y": np.ones((M, D + 1))}, {}, "x has 3 columns but y has 4"),
        ({"appended": np.ones((2, 2))}, {}, "appended has 2 rows but there are 5"),
        ({"x": None}, {}, "pass x, x and y, or similarities"),
        ({}, {"metric": "angular"}, "metric must be dot, cosine"),
        ({}, {"row_factors": np.ones(2)}, "row_factors has 2 entries"),
        ({}, {"options": {**options, "column_weights": np.ones(2)}}, "column_weights has 2 entries"),
        ({}, {"options": {**options, "multi_positive": "other"}}, "multi_positive is unknown"),
        ({}, {"options": {**options, "symmetric": True}}, "symmetric needs as many columns as rows"),
    ):
        named = {"metric": "cosine", "loss": "softmax", "options": options, **more}
        with pytest.raises(ValueError, match=message):
            run({**arrays, **changed}, **named)
