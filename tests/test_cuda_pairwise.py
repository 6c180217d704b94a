"""`pairwise` and `rowwise` where the arrays are: exact scores have the bits of the oracle in every library."""

import cupy_on_host
import embeddings
import fastpair
import numpy as np
import oracle_similarity as oracle
import pytest
from cupy_on_host import module
from fastpair.similarity import rowwise
from libraries import on_device, on_host
from searches import FLOAT_METRICS, solved

N, M, D = 9, 21, 19
HYPERBOLIC = ("poincare", "lorentz")


def near(found, expected, metric):
    """Bits, but for the last ones of the logarithms of hyperbolic metrics."""
    if metric in HYPERBOLIC:
        np.testing.assert_allclose(found, expected, rtol=4e-16 if found.dtype == np.float64 else 1e-7, strict=True)
    else:
        np.testing.assert_array_equal(found, expected, strict=True)


def close(found, expected, x, y, metric):
    """Scores from products: as good as their norms allow."""
    x, y = x.astype(np.float64), y.astype(np.float64)
    norms = np.sqrt((x * x).sum(axis=1))[:, np.newaxis], np.sqrt((y * y).sum(axis=1))
    size = {"dot": norms[0] * norms[1], "cosine": 1.0}.get(metric, norms[0] ** 2 + norms[1] ** 2)
    if metric == "euclidean":
        found, expected = found.astype(np.float64) ** 2, expected**2
    unit = 64 * np.finfo(found.dtype).eps if metric != "euclidean" else 64 * np.finfo(np.float32).eps
    assert (np.abs(found - expected) <= unit * (size + np.abs(expected))).all()


@pytest.mark.parametrize("metric", FLOAT_METRICS)
@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
def test_exact_scores_have_the_bits_of_their_definition(metric, dtype, xp):
    for pattern in ("gaussian", "tight", "with_zero_rows"):
        x, y, scores = solved(pattern, dtype, metric, N, M, D)
        found = fastpair.pairwise(xp.asarray(x), xp.asarray(y), metric, exact=True)
        assert isinstance(found, xp.ndarray)
        near(on_host(found), scores.astype(found.dtype), metric)
        found = rowwise(xp.asarray(x), xp.asarray(y[:N]), metric)
        near(on_host(found), np.diagonal(scores), metric)


@pytest.mark.parametrize("dtype", ["float16", "int8", "uint8", "bool", "int16", "uint16", "int32", "int64", "uint64"])
def test_every_dtype(dtype, cupy):
    for metric in ("dot", "cosine", "sqeuclidean", "manhattan"):
        x, y, scores = solved("gaussian", dtype, metric, N, M, D)
        for exact in (True, False):
            host = fastpair.pairwise(x, y, metric, exact=exact)
            found = fastpair.pairwise(cupy.asarray(x), cupy.asarray(y), metric, exact=exact).get()
            if exact:
                np.testing.assert_array_equal(found, host, strict=True)
            else:
                assert found.dtype == host.dtype
                close(found, scores, x, y, metric)


@pytest.mark.parametrize("kinds", [("float32", "float64"), ("float16", "bfloat16"), ("uint8", "bfloat16")])
def test_two_dtypes(kinds, cupy):
    x, y = solved("gaussian", kinds[0], "dot", N, M, D)[0], solved("gaussian", kinds[1], "dot", N, M, D)[1]
    for exact in (True, False):
        host = fastpair.pairwise(x, y, "cosine", exact=exact)
        found = fastpair.pairwise(cupy.asarray(x), cupy.asarray(y), "cosine", exact=exact).get()
        np.testing.assert_allclose(found, host, rtol=0, atol=0 if exact else 1e-6, strict=True)


@pytest.mark.parametrize("metric", FLOAT_METRICS)
@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])
def test_scores_from_products(metric, dtype, xp):
    patterns = ["gaussian", "duplicated", "tight", "anisotropic", "lognormal", "with_zero_rows"]
    for pattern in patterns if dtype in ("float64", "float32") else patterns[:1]:
        x, y, scores = solved(pattern, dtype, metric, N, M, D)
        found = fastpair.pairwise(xp.asarray(x), xp.asarray(y), metric)
        assert found.dtype == (np.float64 if dtype == "float64" else np.float32)
        if metric in ("dot", "cosine", "sqeuclidean", "euclidean"):
            close(on_host(found), scores, x, y, metric)
        else:
            slack = 1e-3 if found.dtype == np.float32 else 1e-6
            np.testing.assert_allclose(on_host(found), scores, rtol=slack, atol=slack)


@pytest.mark.parametrize("pattern", ["huge", "tiny", "subnormal", "mixed_magnitudes", "mixed_extremes", "tiny64"])
@pytest.mark.parametrize("metric", ["cosine", "euclidean", "dot"])
def test_rows_that_leave_the_range_of_products(pattern, metric, cupy):
    for dtype in ("float64",) if pattern in embeddings.FLOAT64 else ("float64", "float32"):
        x, y, scores = solved(pattern, dtype, metric, N, M, D)
        found = fastpair.pairwise(cupy.asarray(x), cupy.asarray(y), metric).get().astype(np.float64)
        exact = fastpair.pairwise(cupy.asarray(x), cupy.asarray(y), metric, exact=True).get()
        with np.errstate(over="ignore", invalid="ignore"):
            near(exact, scores.astype(dtype), metric)
            # Terms that cancel lose digits, and numbers below the range of the dtype are lost.
            largest = [np.abs(rows.astype(np.float64)).max(axis=1) for rows in (x, y)]
            slack = 2e-6 * {"dot": D * largest[0][:, np.newaxis] * largest[1], "cosine": 1.0}.get(metric, 0.0) + 1e-37
            inside = np.isfinite(exact) & (np.abs(exact) < np.finfo(dtype).max / 1e3)
            assert (np.abs(found - scores) <= slack + 2e-6 * np.abs(scores))[inside].all()


@pytest.mark.parametrize("metric", oracle.BITS)
@pytest.mark.parametrize("width", [1, 8, 40, 65])
def test_bits(metric, width, xp, rng):
    x, y = rng.random((N, width)) < 0.3, rng.random((M, width)) < 0.3
    x[0], y[0] = False, False
    scores = oracle.pairwise(x, y, metric).astype(np.float32)
    for rows in ((x, y), (np.packbits(x, axis=-1), np.packbits(y, axis=-1))):
        left, right = on_device(xp, rows)
        np.testing.assert_allclose(on_host(fastpair.pairwise(left, right, metric)), scores, rtol=3e-7)
        np.testing.assert_array_equal(on_host(fastpair.pairwise(left, right, metric, exact=True)), scores, strict=True)
    np.testing.assert_array_equal(on_host(rowwise(left, right[:N], metric)), oracle.score(x, y[:N], metric))


@pytest.mark.parametrize(
    ("n", "m", "d"), [(0, 5, 3), (5, 0, 3), (0, 0, 0), (3, 5, 0), (1, 1, 1), (3, 33, 2), (17, 5, 64)]
)
def test_any_size(n, m, d, xp):
    for metric in ("dot", "cosine", "euclidean", "manhattan", "jensenshannon", "kl"):
        x, y, _ = solved("gaussian", "float64", "dot", n, m, d)
        if metric in ("kl", "jensenshannon"):
            if not d:
                continue
            x, y = np.abs(x), np.abs(y)
        expected = fastpair.pairwise(x, y, metric)
        found = fastpair.pairwise(xp.asarray(x), xp.asarray(y), metric)
        np.testing.assert_allclose(on_host(found), expected, rtol=1e-9, atol=1e-12, strict=True)


def layouts(xp, values):
    """Views of the values that are not contiguous."""
    n, d = values.shape
    room = xp.zeros((2 * n, 3 * d + 1), values.dtype)
    room[::2, 1::3] = values
    backwards = xp.ascontiguousarray(values[::-1, ::-1])
    return {"columns first": xp.asfortranarray(values), "spread": room[::2, 1::3], "backwards": backwards[::-1, ::-1]}


def test_any_layout(xp):
    x, y, _ = solved("gaussian", "float32", "cosine", N, M, D)
    x, y = xp.asarray(x), xp.asarray(y)
    for metric in ("cosine", "manhattan"):
        expected = on_host(fastpair.pairwise(x, y, metric))
        for name, view in layouts(xp, y).items():
            np.testing.assert_array_equal(on_host(fastpair.pairwise(x, view, metric)), expected, err_msg=name)
    bits = xp.asarray(np.arange(60, dtype=np.uint8).reshape(5, 12))
    expected = on_host(fastpair.pairwise(bits, metric="hamming"))
    shifted = xp.zeros(61, np.uint8)[1:].reshape(5, 12)
    shifted[...] = bits
    np.testing.assert_array_equal(on_host(fastpair.pairwise(shifted, bits, "hamming")), expected)


@pytest.mark.parametrize("metric", ["cosine", "manhattan", "sqeuclidean"])
def test_threads_may_take_turns_in_any_order(metric, monkeypatch, cupy):
    if cupy is not cupy_on_host.library:
        pytest.skip("a GPU takes the order that it likes")
    x, y, _ = solved("duplicated", "float32", metric, N, M, D)
    x, y = cupy.asarray(x), cupy.asarray(y)
    for exact in (True, False):
        expected = fastpair.pairwise(x, y, metric, exact=exact).get()
        monkeypatch.setattr(module.RawKernel, "backwards", True)
        np.testing.assert_array_equal(fastpair.pairwise(x, y, metric, exact=exact).get(), expected)
        monkeypatch.setattr(module.RawKernel, "backwards", False)


def test_results_go_where_told(xp):
    x, y, scores = solved("gaussian", "float32", "sqeuclidean", N, M, D)
    x, y = xp.asarray(x), xp.asarray(y)
    rooms = {
        "float32": xp.empty((N, M), np.float32),
        "float64": xp.empty((N, M)),
        "columns first": xp.empty((M, N)).T,
        "every second": xp.empty((N, 2 * M), np.float32)[:, ::2],
    }
    for name, out in rooms.items():
        for options in ({}, {"exact": True}):
            assert fastpair.pairwise(x, y, "sqeuclidean", out=out, **options) is out
            np.testing.assert_allclose(on_host(out), scores, rtol=1e-4, err_msg=name)
    np.testing.assert_allclose(on_host(rooms["float64"]), scores, rtol=1e-12)
    wide = fastpair.pairwise(x.astype(np.float64) * 1e-30, y, out=xp.empty((N, M), np.float32))
    np.testing.assert_allclose(on_host(wide), 1e-30 * on_host(fastpair.pairwise(x, y)), rtol=1e-3, atol=1e-36)


COMPOSED = {
    "rbf": {"bandwidth": 3.0},
    "angular": {},
    "half_cosine": {},
    "mahalanobis": {"covariance": np.diag(np.arange(1.0, 7.0)) + 0.1},
    "kl": {},
    "jensenshannon": {},
}


@pytest.mark.parametrize("metric", COMPOSED)
@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16", "int16"])
def test_composed_metrics(metric, dtype, cupy):
    options = on_device(cupy, COMPOSED[metric])
    x, y = (embeddings.cast(np.abs(rows), dtype) for rows in embeddings.make("gaussian", N, M, 6))
    x[0, 1:], y[1, :5] = 0, 0
    expected = fastpair.pairwise(x, y, metric, **COMPOSED[metric])
    x, y = cupy.asarray(x), cupy.asarray(y)
    unit = 1e-9 if expected.dtype == np.float64 else 2e-5
    found = fastpair.pairwise(x, y, metric, **options)
    np.testing.assert_allclose(found.get(), expected, rtol=unit, atol=unit, strict=True)
    found = fastpair.pairwise(x, y, metric, exact=True, **options)
    np.testing.assert_allclose(found.get(), expected, rtol=unit, atol=unit, strict=True)
    found = rowwise(x, y[:N], metric, **options)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found.get(), np.diagonal(expected), rtol=unit, atol=unit)


def test_an_inverse_covariance(cupy):
    x, y, _ = solved("gaussian", "float64", "dot", N, M, 6)
    covariance = COMPOSED["mahalanobis"]["covariance"]
    found = fastpair.pairwise(
        cupy.asarray(x), cupy.asarray(y), "mahalanobis", inverse_covariance=cupy.asarray(np.linalg.inv(covariance))
    )
    expected = fastpair.pairwise(x, y, "mahalanobis", covariance=covariance)
    np.testing.assert_allclose(found.get(), expected, rtol=1e-9)


@pytest.mark.parametrize(
    "metric", ["dot", "cosine", "angular", "half_cosine", "sqeuclidean", "euclidean", "rbf", "mahalanobis"]
)
@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16", "int32"])
def test_gradients(metric, dtype, cupy, rng, monkeypatch):
    from fastpair.similarity import _gradient

    monkeypatch.setattr(_gradient, "MOST_SIDE", 7)  # several tiles
    options = COMPOSED.get(metric, {})
    x, y, _ = solved("with_zero_rows", dtype, "dot", N, M, 6)
    y[2], y[3] = x[1], -x[1]  # together, parallel and opposite
    upstream = rng.normal(size=(N, M)).astype("float32")
    expected = fastpair.pairwise(x, y, metric, return_grad=True, grad_output=upstream, **options)
    rows = cupy.asarray(x), cupy.asarray(y)
    upstream_there = cupy.asarray(upstream)
    found = fastpair.pairwise(*rows, metric, return_grad=True, grad_output=upstream_there, **on_device(cupy, options))
    for seen, meant in zip(found[1], expected[1], strict=True):
        assert seen.dtype == meant.dtype
        scale = np.abs(meant.astype(np.float64)).max()
        tolerance = {"float64": 1e-9, "int32": 1e-9, "float32": 1e-4, "bfloat16": 1e-2}[dtype]
        np.testing.assert_allclose(seen.get().astype(float), meant.astype(float), rtol=0, atol=tolerance * scale)
    alone = fastpair.pairwise(
        rows[0], metric=metric, return_grad=True, grad_output=upstream_there[:, :N], **on_device(cupy, options)
    )
    assert alone[1].y is None
    assert alone[1].x.shape == x.shape
    np.testing.assert_array_equal(rows[0].get(), x)
    np.testing.assert_array_equal(upstream_there.get(), upstream)


def raised(call):
    with pytest.raises((TypeError, ValueError)) as caught:
        call()
    return type(caught.value), str(caught.value)


def spoiled(value, dtype="float32"):
    rows = np.ones((N, D), dtype) * 0.1
    rows[4, 3] = value
    return rows


@pytest.mark.parametrize("metric", ["dot", "cosine", "euclidean", "manhattan", "poincare"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_rows_that_are_not_finite_are_named(metric, value, cupy):
    good, bad = np.full((N, D), 0.1, np.float32), spoiled(value)
    for rows in ((bad, good), (good, bad)):
        for function in (fastpair.pairwise, rowwise):
            expected = raised(lambda function=function, rows=rows: function(*rows, metric))
            assert raised(lambda function=function, rows=rows: function(*on_device(cupy, rows), metric)) == expected


def test_what_cannot_be_is_refused_alike(cupy):
    x = np.abs(embeddings.make("gaussian", N, M, D)[0])
    calls = [
        (fastpair.pairwise, (spoiled(1.0), spoiled(0.1)), {"metric": "poincare"}),
        (fastpair.pairwise, (spoiled(0.1, "float64"), spoiled(5.0, "float64")), {"metric": "poincare"}),
        (fastpair.pairwise, (x, x[:, :5]), {}),
        (fastpair.pairwise, (x[0], x), {}),
        (fastpair.pairwise, (x, x), {"out": np.empty((2, 2))}),
        (fastpair.pairwise, (x, x), {"out": np.empty((N, N), np.float16)}),
        (fastpair.pairwise, (x, x), {"metric": "hamming"}),
        (fastpair.pairwise, (x, spoiled(-0.5)), {"metric": "kl"}),
        (fastpair.pairwise, (spoiled(np.nan), x), {"metric": "kl"}),
        (fastpair.pairwise, (spoiled(np.inf), x), {"metric": "mahalanobis", "covariance": np.eye(D)}),
        (fastpair.pairwise, (x, np.zeros_like(x)), {"metric": "jensenshannon"}),
        (fastpair.pairwise, (x, x), {"metric": "mahalanobis", "covariance": np.ones((D, D))}),
        (fastpair.pairwise, (x, x), {"metric": "mahalanobis", "covariance": np.ones((D, 2))}),
        (fastpair.pairwise, (x, x), {"metric": "mahalanobis", "covariance": np.triu(np.ones((D, D)))}),
        (fastpair.pairwise, (x, x), {"return_grad": True, "grad_output": x}),
        (rowwise, (x, x[:3]), {}),
    ]
    for function, args, options in calls:
        expected = raised(lambda call=function, args=args, options=options: call(*args, **options))
        there, given = on_device(cupy, list(args)), on_device(cupy, options)
        kind, text = raised(lambda call=function, args=there, given=given: call(*args, **given))
        assert (kind, text.replace("cupy array", "numpy array")) == expected


def test_libraries_are_not_mixed(cupy):
    x = np.ones((3, 2))
    for args, options in (
        ((cupy.asarray(x), x), {}),
        ((x, cupy.asarray(x)), {}),
        ((cupy.asarray(x),), {"out": np.empty((3, 3))}),
        ((x,), {"out": cupy.empty((3, 3))}),
        ((cupy.asarray(x),), {"metric": "mahalanobis", "covariance": np.eye(2)}),
        ((cupy.asarray(x),), {"return_grad": True, "grad_output": np.ones((3, 3))}),
    ):
        with pytest.raises(TypeError, match=r"GPU|host"):
            fastpair.pairwise(*args, **options)


@pytest.mark.parametrize(
    ("dtype", "metric", "reads"), [("float32", "cosine", 1), ("int8", "dot", 0), ("uint8", "hamming", 0)]
)
def test_the_host_reads_at_most_once(dtype, metric, reads, cupy):
    if cupy is not cupy_on_host.library:
        pytest.skip("only the stand-in counts")
    x = cupy.asarray(embeddings.cast(embeddings.make("gaussian", N, M, D)[0], dtype))
    for call in (lambda: fastpair.pairwise(x, metric=metric), lambda: rowwise(x, x, metric)):
        before = cupy_on_host.transfers.count
        call()
        assert cupy_on_host.transfers.count - before == reads
