"""Gradients of `pairwise`: central differences, zero and coincident rows, dtypes, memory."""

import re

import fastpair
import helpers
import numpy as np
import pytest
from fastpair.similarity import PairwiseGradient
from scipy import sparse

N, M, D = 7, 9, 5
METRICS = ("dot", "cosine", "angular", "half_cosine", "sqeuclidean", "euclidean", "rbf", "mahalanobis")


def problem(metric, rng, n=N, m=M, d=D):
    """Rows, the gradient of the scores, and what the metric needs."""
    options = {}
    if metric == "rbf":
        options["bandwidth"] = 3.0
    if metric == "mahalanobis":
        factor = rng.normal(size=(d, d))
        options["covariance"] = factor @ factor.T + np.eye(d)
    return rng.normal(size=(n, d)), rng.normal(size=(m, d)), rng.normal(size=(n, m)), options


def gradient(x, y, metric, upstream, **options):
    return fastpair.pairwise(x, y, metric, return_grad=True, grad_output=upstream, **options)


def differences(function, rows, step=1e-5):
    """Central differences of a function of rows."""
    found = np.zeros(rows.shape)
    for place in np.ndindex(rows.shape):
        ends = []
        for sign in (1, -1):
            moved = rows.copy()
            moved[place] += sign * step
            ends.append(function(moved))
        found[place] = (ends[0] - ends[1]) / (2 * step)
    return found


@pytest.mark.parametrize("metric", METRICS)
def test_it_is_that_of_central_differences(metric, rng):
    x, y, upstream, options = problem(metric, rng)
    value, grads = gradient(x, y, metric, upstream, **options)
    assert isinstance(grads, PairwiseGradient)
    np.testing.assert_array_equal(value, fastpair.pairwise(x, y, metric, **options))

    def loss(rows, columns):
        return float((fastpair.pairwise(rows, columns, metric, exact=True, **options) * upstream).sum())

    np.testing.assert_allclose(grads.x, differences(lambda rows: loss(rows, y), x), atol=1e-7)
    np.testing.assert_allclose(grads.y, differences(lambda rows: loss(x, rows), y), atol=1e-7)


@pytest.mark.parametrize("metric", METRICS)
def test_without_y_both_are_added(metric, rng):
    x, _, _, options = problem(metric, rng)
    upstream = rng.normal(size=(N, N))
    _, alone = gradient(x, None, metric, upstream, **options)
    _, both = gradient(x, x.copy(), metric, upstream, **options)
    assert alone.y is None
    np.testing.assert_allclose(alone.x, both.x + both.y, atol=1e-12)
    if metric in ("dot", "sqeuclidean", "rbf"):  # the others have a kink on the diagonal

        def loss(rows):
            return float((fastpair.pairwise(rows, None, metric, exact=True, **options) * upstream).sum())

        np.testing.assert_allclose(alone.x, differences(loss, x), atol=1e-7)


@pytest.mark.parametrize("metric", ["cosine", "angular", "half_cosine"])
def test_zero_rows_have_the_gradient_0(metric, rng):
    x, y, upstream, _ = problem(metric, rng)
    x[2], y[3] = 0, 0
    _, grads = gradient(x, y, metric, upstream)
    assert (grads.x[2] == 0).all()
    assert (grads.y[3] == 0).all()
    assert np.isfinite(grads.x).all()
    # A zero row adds nothing to the others.
    kept = np.arange(M) != 3
    np.testing.assert_allclose(grads.x, gradient(x, y[kept], metric, upstream[:, kept])[1].x, atol=1e-14)


@pytest.mark.parametrize("metric", ["euclidean", "mahalanobis", "sqeuclidean", "rbf", "angular"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_coincident_rows_add_nothing(metric, dtype, rng):
    x, y, upstream, options = problem(metric, rng)
    x, y = x.astype(dtype), y.astype(dtype)
    y[4] = x[1]
    _, grads = gradient(x, y, metric, upstream, **options)
    upstream[1, 4] = 0
    _, others = gradient(x, y, metric, upstream, **options)
    for seen, meant in zip(grads, others, strict=True):
        np.testing.assert_allclose(seen, meant, atol=1e-6)
        assert np.isfinite(seen).all()


def test_cosine_gradients_are_tangent_and_scale_with_the_norm(rng):
    x, y, upstream, _ = problem("cosine", rng)
    _, grads = gradient(x, y, "cosine", upstream)
    np.testing.assert_allclose((grads.x * x).sum(axis=1), 0, atol=1e-13)
    for scale in (1e-200, 1e200):
        _, scaled = gradient(x * scale, y, "cosine", upstream)
        np.testing.assert_allclose(scaled.x * scale, grads.x, rtol=1e-9)
        np.testing.assert_allclose(scaled.y, grads.y, rtol=1e-9)


def test_rows_far_from_the_origin_keep_their_digits(rng):
    x, y, upstream, _ = problem("euclidean", rng)
    for metric in ("euclidean", "sqeuclidean"):
        _, near = gradient(x, y, metric, upstream)
        _, far = gradient(x + 2.0**20, y + 2.0**20, metric, upstream)
        np.testing.assert_allclose(far.x, near.x, atol=1e-8)
        np.testing.assert_allclose(far.y, near.y, atol=1e-8)


@pytest.mark.parametrize(("x_type", "y_type"), [("float32", "float64"), ("float16", "float32"), ("int8", ">f4")])
@pytest.mark.parametrize("metric", ["dot", "cosine", "euclidean"])
def test_gradients_have_the_dtype_of_their_rows(x_type, y_type, metric, rng):
    x, y, upstream, _ = problem(metric, rng)
    x, y = (4 * x).astype(x_type), y.astype(y_type)
    _, grads = gradient(x, y, metric, upstream.astype("float32"))
    assert grads.x.dtype == (np.float64 if x_type == "int8" else x_type)
    assert grads.y.dtype == np.dtype(y_type).newbyteorder("=")
    _, wide = gradient(x.astype(float), y.astype(float), metric, upstream.astype("float32"))
    np.testing.assert_allclose(grads.x, wide.x, rtol=2e-3, atol=2e-3)
    np.testing.assert_allclose(grads.y, wide.y, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("metric", METRICS)
def test_it_does_not_depend_on_the_tiles(metric, rng):
    x, y, upstream, options = problem(metric, rng)
    _, whole = gradient(x, y, metric, upstream, **options)
    for most in (400, 2_000, 20_000):
        from fastpair.similarity import _gradient

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(_gradient, "MOST_SIDE", max(1, most // 400))
            _, parts = gradient(x, y, metric, upstream, **options)
        for seen, meant in zip(parts, whole, strict=True):
            np.testing.assert_allclose(seen, meant, atol=1e-13)


def test_sizes(rng):
    for n, m, d in ((0, 5, 3), (5, 0, 3), (3, 5, 0)):
        for metric in ("dot", "cosine", "euclidean"):
            value, grads = gradient(np.ones((n, d)), np.ones((m, d)), metric, np.ones((n, m)))
            assert (value.shape, grads.x.shape, grads.y.shape) == ((n, m), (n, d), (m, d))
            assert not grads.x.any() or metric == "dot"


def test_no_other_matrix_of_pairs_exists():
    taken = helpers.output_of(
        """
        import numpy as np, fastpair
        def status(field):
            with open("/proc/self/status") as lines:
                return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))
        def run(n, metric):
            x = np.random.default_rng(0).normal(size=(n, 16)).astype("float32")
            upstream, out = np.ones((n, n), "float32"), np.ones((n, n), "float32")
            before = status("VmRSS")
            fastpair.pairwise(x, x[::-1], metric, out=out, return_grad=True, grad_output=upstream, max_memory=8 << 20)
            return status("VmHWM") - before
        run(50, "euclidean"), run(50, "angular")
        print(max(run(4000, "euclidean"), run(4000, "angular")))
        """,
    )
    assert int(taken) < 24 << 20  # a matrix of pairs is 61 MiB in float32


X = np.eye(3)
REFUSED = [
    (lambda: fastpair.pairwise(X, return_grad=True), TypeError, "grad_output is None"),
    (lambda: fastpair.pairwise(X, grad_output=X), ValueError, "grad_output was given.*return_grad"),
    (lambda: gradient(X, X, "manhattan", X), ValueError, "'manhattan' has no gradient.*'euclidean'"),
    (lambda: gradient(X, X, "kl", X), ValueError, "'kl' has no gradient"),
    (lambda: gradient(X, X, "dot", X[:2]), ValueError, r"grad_output has shape \(2, 3\); pass shape \(3, 3\)"),
    (lambda: gradient(X, X, "dot", X > 0), TypeError, "grad_output has dtype bool"),
    (lambda: gradient(sparse.csr_array(X), X, "dot", X), TypeError, "sparse.*toarray"),
    (lambda: fastpair.pairwise(X, return_grad=1, grad_output=X), TypeError, "return_grad must be True or False"),
    (lambda: gradient(X, X, "dot", X, max_memory=1), ValueError, "max_memory is 1 bytes"),
]


@pytest.mark.parametrize(("call", "error", "words"), REFUSED)
def test_what_cannot_be_is_refused(call, error, words):
    with pytest.raises(error) as caught:
        call()
    assert re.search(words, str(caught.value)), str(caught.value)
