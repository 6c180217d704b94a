"""The matrix of scores, and scores of aligned rows."""

import re

import embeddings
import fastpair
import numpy as np
import oracle_similarity as oracle
import pytest
from fastpair.similarity import rowwise
from scipy.spatial.distance import cdist, jensenshannon
from scipy.special import rel_entr
from searches import FLOAT_METRICS, matrix_layouts, solved

N, M, D = 37, 173, 35


def magnitude(x, y, metric):
    """What rounding errors of a pair are relative to."""
    x, y = x.astype(np.float64), y.astype(np.float64)
    squares = (x * x).sum(axis=1)[:, np.newaxis], (y * y).sum(axis=1)
    if metric in ("dot", "lorentz"):
        return np.sqrt(squares[0] * squares[1])
    if metric in ("sqeuclidean", "euclidean"):
        return squares[0] + squares[1]
    if metric == "manhattan":
        return np.abs(x).sum(axis=1)[:, np.newaxis] + np.abs(y).sum(axis=1)
    if metric == "poincare":
        return (squares[0] + squares[1]) / (1 - squares[0]) / (1 - squares[1])
    return np.ones((len(x), len(y)))


def as_sum(scores, metric):
    """What a score is computed from, in which errors are bounded."""
    if metric == "euclidean":
        return scores * scores
    if metric == "poincare":
        return np.sinh(scores / 2) ** 2
    return np.cosh(scores) if metric == "lorentz" else scores


@pytest.mark.parametrize("metric", FLOAT_METRICS)
@pytest.mark.parametrize("pattern", ["gaussian", "duplicated", "tight", "anisotropic", "lognormal", "with_zero_rows"])
@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])
def test_scores_are_near_those_of_the_formula(metric, pattern, dtype, isa):
    x, y, scores = solved(pattern, dtype, metric)
    found = fastpair.pairwise(x, y, metric)
    assert found.dtype == (np.float64 if dtype == "float64" else np.float32)
    assert found.shape == (N, M)
    unit = 64 * np.finfo(found.dtype).eps
    error = np.abs(as_sum(found.astype(np.float64), metric) - as_sum(scores, metric))
    assert (error <= unit * (magnitude(x, y, metric) + as_sum(scores, metric) + 1e-30)).all()


@pytest.mark.parametrize("metric", FLOAT_METRICS)
@pytest.mark.parametrize("pattern", ["gaussian", "tight", "anisotropic"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_exact_scores_are_those_of_the_search(metric, pattern, dtype, isa):
    x, y, scores = solved(pattern, dtype, metric)
    found = fastpair.pairwise(x, y, metric, exact=True)
    if metric == "poincare":
        np.testing.assert_allclose(found, scores, rtol=1e-15 if dtype == "float64" else 1e-7)
    else:
        np.testing.assert_array_equal(found, scores.astype(dtype), strict=True)


def test_near_duplicates_keep_their_digits_if_exact():
    x = np.array([[1e4, 1.0], [0.0, 0.0]])
    y = x + 1e-7
    found = fastpair.pairwise(x, y, "euclidean", exact=True)
    np.testing.assert_array_equal(found, oracle.pairwise(x, y, "euclidean"))
    assert found[0, 0] == pytest.approx(np.sqrt(2) * 1e-7, rel=1e-4)


@pytest.mark.parametrize("metric", oracle.BITS)
@pytest.mark.parametrize("width", [1, 8, 65, 1000])
def test_bits(metric, width, isa, rng):
    x, y = rng.random((N, width)) < 0.3, rng.random((M, width)) < 0.3
    x[0], y[0] = False, False
    scores = oracle.pairwise(x, y, metric).astype(np.float32)
    for rows in ((x, y), (np.packbits(x, axis=-1), np.packbits(y, axis=-1))):
        np.testing.assert_allclose(fastpair.pairwise(*rows, metric), scores, rtol=3e-7)
        np.testing.assert_array_equal(fastpair.pairwise(*rows, metric, exact=True), scores, strict=True)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "bool", "int32"])
def test_integers(dtype, isa):
    for metric in ("dot", "sqeuclidean", "manhattan"):
        x, y, scores = solved("gaussian", dtype, metric)
        found = fastpair.pairwise(x, y, metric)
        assert found.dtype == (np.float64 if dtype == "int32" else np.float32)
        np.testing.assert_allclose(found, scores, rtol=1e-4, atol=1e-5 * np.abs(scores).max())
        np.testing.assert_array_equal(fastpair.pairwise(x, y, metric, exact=True), scores.astype(found.dtype))


@pytest.mark.parametrize(
    ("n", "m", "d"), [(0, 5, 3), (5, 0, 3), (0, 0, 0), (3, 5, 0), (1, 1, 1), (33, 65, 2), (65, 33, 300), (1, 1000, 7)]
)
@pytest.mark.parametrize("metric", FLOAT_METRICS)
def test_any_size(n, m, d, metric, threads):
    x, y, scores = solved("gaussian", "float64", metric, n, m, d)
    found = fastpair.pairwise(x, y, metric, num_threads=threads)
    np.testing.assert_allclose(found, scores, rtol=1e-9, atol=1e-6)


def test_without_y_it_is_x(isa):
    x, _, _ = solved("gaussian", "float64", "cosine")
    found = fastpair.pairwise(x, metric="cosine")
    np.testing.assert_allclose(found, oracle.pairwise(x, x, "cosine"), atol=1e-14)
    np.testing.assert_allclose(np.diagonal(found), 1, atol=1e-14)
    exact = fastpair.pairwise(x, metric="cosine", exact=True)
    np.testing.assert_array_equal(exact, exact.T)
    np.testing.assert_allclose(np.diagonal(exact), 1, rtol=3e-16)


def test_identities_of_unit_rows():
    x, y, _ = solved("gaussian", "float64", "dot")
    x, y = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (x, y))
    cosines, squares = fastpair.pairwise(x, y, "cosine"), fastpair.pairwise(x, y, "sqeuclidean")
    np.testing.assert_allclose(squares, 2 - 2 * cosines, atol=1e-14)
    np.testing.assert_allclose(cosines, fastpair.pairwise(x, y, "dot"), atol=1e-14)
    np.testing.assert_allclose(fastpair.pairwise(x, y, "half_cosine"), squares / 4, atol=1e-14)
    np.testing.assert_allclose(fastpair.pairwise(x, y, "angular"), np.arccos(cosines) / np.pi, atol=1e-14)
    np.testing.assert_allclose(fastpair.pairwise(x, y, "rbf", bandwidth=0.5), np.exp(-squares / 0.5), atol=1e-14)


@pytest.mark.parametrize("metric", ["angular", "half_cosine"])
def test_zero_rows_have_a_cosine_of_0(metric):
    found = fastpair.pairwise([[0.0, 0.0], [1.0, 0.0]], [[1.0, 0.0], [-1.0, 0.0], [0.0, 0.0]], metric)
    np.testing.assert_allclose(found, [[0.5, 0.5, 0.5], [0.0, 1.0, 0.5]], atol=1e-12)


def covariances(rng, d):
    factor = rng.normal(size=(d, d))
    return factor @ factor.T + 0.1 * np.eye(d)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("exact", [False, True])
def test_mahalanobis_is_that_of_scipy(dtype, exact, rng):
    x, y = (embeddings.cast(rows + 100, dtype) for rows in embeddings.make("gaussian", N, M, 12))
    covariance = covariances(rng, 12)
    expected = cdist(x.astype(float), y.astype(float), "mahalanobis", VI=np.linalg.inv(covariance))
    tolerance = {"rtol": 1e-9, "atol": 1e-9} if dtype == "float64" else {"rtol": 1e-4, "atol": 1e-3}
    for options in ({"covariance": covariance}, {"inverse_covariance": np.linalg.inv(covariance)}):
        found = fastpair.pairwise(x, y, "mahalanobis", exact=exact, **options)
        assert found.dtype == dtype
        np.testing.assert_allclose(found, expected, **tolerance)
        own = rowwise(x, y[:N], "mahalanobis", **options)
        np.testing.assert_allclose(own, np.diagonal(expected), rtol=1e-9)
    identity = fastpair.pairwise(x, y, "mahalanobis", covariance=np.eye(12), exact=True)
    np.testing.assert_allclose(identity, fastpair.pairwise(x, y, "euclidean", exact=True), rtol=1e-6)


def distributions(rng, n, d, zeros=0.0):
    values = rng.random((n, d)) * rng.lognormal(0, 2, (n, d))
    values[rng.random((n, d)) < zeros] = 0
    values[np.arange(n), rng.integers(0, d, n)] = 1.0
    return values


@pytest.mark.parametrize("zeros", [0.0, 0.4])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_divergences_are_those_of_scipy(zeros, dtype, rng):
    x, y = distributions(rng, 21, 13, zeros).astype(dtype), distributions(rng, 34, 13, zeros).astype(dtype)
    p, q = (rows.astype(float) / rows.astype(float).sum(axis=1, keepdims=True) for rows in (x, y))
    kl = rel_entr(p[:, np.newaxis], q).sum(axis=-1)
    js = cdist(x.astype(float), y.astype(float), "jensenshannon")
    unit = 1e-13 if dtype == "float64" else 1e-6
    for metric, expected in (("kl", kl), ("jensenshannon", js)):
        found = fastpair.pairwise(x, y, metric)
        assert found.dtype == dtype
        np.testing.assert_allclose(found, expected, rtol=unit, atol=unit)
        np.testing.assert_allclose(rowwise(x, y[:21], metric), np.diagonal(expected), rtol=1e-12, atol=1e-13)
        for i, j in ((0, 0), (3, 7)):
            naive = oracle.kl if metric == "kl" else oracle.jensen_shannon
            assert found[i, j] == pytest.approx(naive(x[i].astype(float), y[j].astype(float)), rel=10 * unit)
    assert fastpair.pairwise(x, y, "jensenshannon")[2, 3] == pytest.approx(jensenshannon(x[2], y[3]), rel=1e-6)


def test_divergences_of_equals_and_near_equals(rng):
    x = distributions(rng, 9, 40)
    np.testing.assert_array_equal(np.diagonal(fastpair.pairwise(x, metric="jensenshannon")), 0)
    np.testing.assert_allclose(np.diagonal(fastpair.pairwise(x, metric="kl")), 0, atol=1e-14)
    y = x * (1 + 1e-9 * rng.normal(size=x.shape))
    # For small differences the squared distance is a quarter of half the chi-square distance.
    p, q = x / x.sum(axis=1, keepdims=True), y / y.sum(axis=1, keepdims=True)
    expected = np.sqrt(((p - q) ** 2 / (p + q)).sum(axis=1) / 4)
    np.testing.assert_allclose(rowwise(x, y, "jensenshannon"), expected, rtol=1e-6)


def test_divergences_of_disjoint_supports():
    x, y = [[1.0, 0.0, 0.0]], [[0.0, 2.0, 0.0], [1.0, 1.0, 0.0]]
    np.testing.assert_array_equal(fastpair.pairwise(x, y, "kl"), [[np.inf, np.log(2)]])
    assert fastpair.pairwise(x, y, "jensenshannon")[0, 0] == pytest.approx(np.sqrt(np.log(2)), rel=1e-15)


def test_divergences_are_cut_into_blocks(monkeypatch, rng):
    from fastpair.similarity import _composed

    x, y = distributions(rng, 21, 13, 0.3), distributions(rng, 34, 13, 0.3)
    expected = {metric: fastpair.pairwise(x, y, metric) for metric in ("kl", "jensenshannon")}
    aligned = {metric: rowwise(x, y[:21], metric) for metric in ("kl", "jensenshannon")}
    for cells in (1, 13, 100, 200):
        monkeypatch.setattr(_composed, "MOST_CELLS", cells)
        for metric in ("kl", "jensenshannon"):
            np.testing.assert_allclose(fastpair.pairwise(x, y, metric), expected[metric], rtol=1e-12, atol=1e-14)
            np.testing.assert_allclose(rowwise(x, y[:21], metric), aligned[metric], rtol=1e-12)


@pytest.mark.parametrize("metric", FLOAT_METRICS)
@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
def test_aligned_rows_have_exact_scores(metric, dtype, threads):
    x, y, scores = solved("tight", dtype, metric)
    found = rowwise(x, y[:N], metric, num_threads=threads)
    assert found.dtype == np.float64
    if metric == "poincare":
        np.testing.assert_allclose(found, np.diagonal(scores), rtol=1e-15)
    else:
        np.testing.assert_array_equal(found, np.diagonal(scores))


def test_aligned_rows_of_other_metrics(rng):
    x, y, _ = solved("gaussian", "float64", "dot")
    for metric, options in (("rbf", {"bandwidth": 70.0}), ("angular", {}), ("half_cosine", {})):
        expected = np.diagonal(fastpair.pairwise(x, y[:N], metric, **options))
        np.testing.assert_allclose(rowwise(x, y[:N], metric, **options), expected, rtol=1e-12)
    bits = rng.random((2, N, 77)) < 0.4
    for metric in oracle.BITS:
        np.testing.assert_array_equal(rowwise(*bits, metric), oracle.score(*bits, metric))
    assert rowwise(x[:0], y[:0]).shape == (0,)


@pytest.mark.parametrize("layout", matrix_layouts())
@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16", "int8"])
def test_rows_in_any_layout(layout, dtype, isa):
    view = matrix_layouts()[layout]
    x, y, _ = solved("gaussian", dtype, "sqeuclidean")
    for metric in ("dot", "sqeuclidean", "manhattan"):
        expected = fastpair.pairwise(x, y, metric)
        np.testing.assert_array_equal(fastpair.pairwise(view(x), view(y), metric), expected)
        own = rowwise(view(x), view(y[:N]), metric)
        np.testing.assert_array_equal(own, rowwise(x, y[:N], metric))


def test_results_go_where_told():
    x, y, scores = solved("gaussian", "float32", "sqeuclidean")
    rooms = {
        "float32": np.empty((N, M), np.float32),
        "float64": np.empty((N, M)),
        "columns first": np.empty((M, N)).T,
        "every second": np.empty((N, 2 * M), np.float32)[:, ::2],
    }
    for name, out in rooms.items():
        for options in ({}, {"exact": True}):
            out.fill(np.nan)
            assert fastpair.pairwise(x, y, "sqeuclidean", out=out, **options) is out
            np.testing.assert_allclose(out, scores, rtol=1e-4, err_msg=name)
    np.testing.assert_allclose(fastpair.pairwise(x, y, "sqeuclidean", out=rooms["float64"]), scores, rtol=1e-12)
    for metric in ("kl", "jensenshannon"):
        p, q = np.abs(x), np.abs(y)
        out = rooms["columns first"]
        np.testing.assert_allclose(fastpair.pairwise(p, q, metric, out=out), fastpair.pairwise(p, q, metric), rtol=1e-5)


def test_mixed_dtypes_take_the_wider_result():
    x, y, scores = solved("gaussian", "float32", "dot")
    assert fastpair.pairwise(x, y.astype(np.float64)).dtype == np.float64
    np.testing.assert_allclose(fastpair.pairwise(x, y.astype(np.float64)), scores, rtol=1e-9, atol=1e-12)


P = [[0.5, 0.5], [0.2, 0.8]]
REFUSED = [
    ({"metric": "rbf"}, TypeError, "bandwidth"),
    ({"metric": "rbf", "bandwidth": 0}, ValueError, "bandwidth.*positive"),
    ({"metric": "rbf", "bandwidth": "wide"}, TypeError, "bandwidth"),
    ({"bandwidth": 1.0}, ValueError, "bandwidth.*'dot'"),
    ({"metric": "mahalanobis"}, TypeError, "covariance.*neither"),
    ({"metric": "mahalanobis", "covariance": np.eye(2), "inverse_covariance": np.eye(2)}, TypeError, "both"),
    ({"metric": "mahalanobis", "covariance": np.eye(3)}, ValueError, r"\(3, 3\).*2 columns"),
    ({"metric": "mahalanobis", "covariance": np.ones((2, 3))}, ValueError, r"square"),
    ({"metric": "mahalanobis", "covariance": np.ones((2, 2))}, ValueError, "positive definite"),
    ({"metric": "mahalanobis", "covariance": [[1, 2], [0, 1]]}, ValueError, "symmetric"),
    ({"metric": "mahalanobis", "covariance": np.eye(2), "x": [[np.nan, 1.0]]}, ValueError, "x is nan at row 0"),
    ({"metric": "kl", "x": [[0.5, -0.5]]}, ValueError, "x is -0.5 at row 0, column 1"),
    ({"metric": "kl", "y": [[0.0, 0.0]]}, ValueError, "row 0 of y sums to 0"),
    ({"metric": "jensenshannon", "y": [[0.5, np.inf]]}, ValueError, "y is inf at row 0, column 1"),
    ({"metric": "correlation"}, ValueError, "metric.*'cosine'.*'kl'.*'correlation'"),
    ({"exact": 1}, TypeError, "exact"),
    ({"y": np.ones((3, 5))}, ValueError, "2 columns.*5"),
    ({"x": np.ones(2)}, ValueError, r"x has shape \(2,\)"),
    ({"x": [[1.0, np.nan]]}, ValueError, "x is (?i:nan) at row 0, column 1"),
    ({"x": [["a", "b"]]}, TypeError, "x has dtype <U1"),
    ({"out": np.ones((2, 3))}, ValueError, r"out has shape \(2, 3\)"),
    ({"out": np.ones((2, 2), np.float16)}, TypeError, "out has dtype float16"),
    ({"out": [[1.0]]}, TypeError, "out has type list"),
]


@pytest.mark.parametrize(("arguments", "error", "words"), REFUSED)
def test_what_cannot_be_is_refused(arguments, error, words):
    with pytest.raises(error) as caught:
        fastpair.pairwise(**{"x": P, "y": P, **arguments})
    assert re.search(words, str(caught.value)), str(caught.value)


def test_unequal_numbers_of_aligned_rows_are_refused():
    with pytest.raises(ValueError, match=r"x has 2 rows but y has 1"):
        rowwise(P, P[:1])


@pytest.mark.parametrize(("dtype", "size"), [("float64", 1e100), ("float64", 1e150), ("float32", 1e18)])
def test_distances_of_numbers_whose_squares_leave_the_range_of_tiles(dtype, size):
    """Products of such rows are infinite or lost, but their distances are not."""
    x, y = np.full((2, 3), size, dtype), np.full((3, 3), size, dtype)
    y[1] *= 2
    expected = np.array([0, np.sqrt(3) * size, 0])
    np.testing.assert_allclose(fastpair.pairwise(x, y, metric="euclidean"), [expected, expected], rtol=1e-6)
    np.testing.assert_allclose(fastpair.pairwise(x, y, metric="sqeuclidean"), [expected**2, expected**2], rtol=1e-6)
