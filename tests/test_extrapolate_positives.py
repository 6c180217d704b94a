"""`mining.extrapolate_positives` and `mining.interpolate_negatives`."""

import numpy as np
import pytest
import samplers
from fastpair import mining
from hypothesis import given
from hypothesis import strategies as st


@given(st.floats(1, 5), st.integers(0, 2**31))
def test_scores_of_unit_vectors_fall_by_the_formula(factor, seed):
    rng = np.random.default_rng(seed)
    q, k = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in rng.normal(size=(2, 4, 3)))
    apart = mining.extrapolate_positives(q, k, factor)
    s = (q * k).sum(axis=1)
    expected = 2 * factor * (1 - factor) + (1 - 2 * factor * (1 - factor)) * s
    np.testing.assert_allclose((apart.query * apart.key).sum(axis=1), expected, rtol=0, atol=1e-12)
    assert (expected <= s + 1e-12).all()
    np.testing.assert_allclose(apart.query + apart.key, q + k, rtol=0, atol=1e-12)


def test_factors_per_pair_and_per_dimension(rng):
    q, k = rng.normal(size=(5, 3)), rng.normal(size=(5, 3))
    one = mining.extrapolate_positives(q, k, seed=0)
    assert one.factors.shape == (5,)
    np.testing.assert_allclose(one.query, one.factors[:, None] * q + (1 - one.factors[:, None]) * k, atol=1e-14)
    np.testing.assert_allclose(one.key, one.factors[:, None] * k + (1 - one.factors[:, None]) * q, atol=1e-14)
    each = mining.extrapolate_positives(q, k, per_dimension=True, seed=0)
    assert each.factors.shape == (5, 3)
    np.testing.assert_allclose(each.query, each.factors * q + (1 - each.factors) * k, atol=1e-14)
    again = mining.extrapolate_positives(q, k, each.factors)
    np.testing.assert_array_equal(again.query, each.query)
    unit = mining.extrapolate_positives(q, k, seed=0, normalize=True)
    np.testing.assert_allclose(np.linalg.norm(unit.query, axis=1), 1)
    np.testing.assert_allclose(np.linalg.norm(unit.key, axis=1), 1)


def test_draws():
    zeros = np.zeros((20000, 1))
    edges = np.linspace(0, 1, 11)
    factors = mining.extrapolate_positives(zeros, zeros, seed=1).factors
    samplers.assert_follows(((factors - 1) * 10).astype(int), np.diff(3 * edges**2 - 2 * edges**3))
    shares = mining.interpolate_negatives(zeros, alpha=1, seed=1).shares
    samplers.assert_follows((shares * 10).astype(int), np.full(10, 0.1))
    samplers.assert_same(
        mining.interpolate_negatives(zeros, seed=1), mining.interpolate_negatives(zeros, seed=np.random.default_rng(1))
    )


def test_interpolation_by_hand(rng):
    queue = rng.normal(size=(7, 3))
    mixed = mining.interpolate_negatives(queue, seed=2)
    assert sorted(mixed.permutation.tolist()) == list(range(7))
    assert mixed.permutation.dtype == np.int64
    share = mixed.shares[:, None]
    np.testing.assert_allclose(mixed.negatives, share * queue + (1 - share) * queue[mixed.permutation], atol=1e-15)
    each = mining.interpolate_negatives(queue, per_dimension=True, seed=2)
    np.testing.assert_allclose(
        each.negatives, each.shares * queue + (1 - each.shares) * queue[each.permutation], atol=1e-15
    )
    np.testing.assert_array_equal(mining.interpolate_negatives(queue, 1.0, seed=0).negatives, queue)
    turned = mining.interpolate_negatives(queue, 0.0, permutation=np.arange(7)[::-1], normalize=True)
    np.testing.assert_allclose(turned.negatives, (queue / np.linalg.norm(queue, axis=1, keepdims=True))[::-1])


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int16", "bfloat16"])
def test_dtypes_strides_and_nothing(dtype, rng):
    if dtype == "bfloat16":
        dtype = pytest.importorskip("ml_dtypes").bfloat16
    wide = (4 * rng.normal(size=(6, 8))).astype(dtype)
    before = wide.copy()
    rows = wide[::2, ::2]
    expected = np.float64 if rows.dtype.kind == "i" else rows.dtype
    apart = mining.extrapolate_positives(rows, rows[::-1], seed=0)
    assert apart.query.dtype == apart.key.dtype == expected
    assert mining.interpolate_negatives(rows, seed=0).negatives.dtype == expected
    np.testing.assert_array_equal(wide, before)
    assert mining.extrapolate_positives(rows[:0], rows[:0]).query.shape == (0, 4)
    assert mining.interpolate_negatives(rows[:0]).negatives.shape == (0, 4)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"key": np.eye(3)}, ValueError, "query has shape"),
        ({"factors": 0.5}, ValueError, "factors is 0.5 in row 0; pass finite numbers of at least 1"),
        ({"factors": np.inf}, ValueError, "factors is inf in row 0"),
        ({"factors": [1.0, np.nan]}, ValueError, "factors is nan in row 1"),
        ({"factors": [1.0]}, ValueError, "factors has shape"),
        ({"alpha": -1}, ValueError, "alpha must be larger than 0"),
        ({"per_dimension": 1}, TypeError, "per_dimension must be"),
        ({"normalize": None}, TypeError, "normalize must be"),
        ({"query": [[np.nan, 1.0], [1.0, 1.0]]}, ValueError, "query is nan or infinite in row 0"),
        ({"key": [[1.0, 1.0], [np.inf, 1.0]]}, ValueError, "key is nan or infinite in row 1"),
        ({"key": [["a", "b"], ["c", "d"]]}, TypeError, "key has dtype"),
        ({"seed": "x"}, TypeError, "seed must be"),
    ],
)
def test_errors_of_extrapolation(options, error, message):
    with pytest.raises(error, match=message):
        mining.extrapolate_positives(**{"query": np.eye(2), "key": np.eye(2), **options})


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"shares": 2}, ValueError, "shares is 2.0 in row 0; pass finite numbers between 0 and 1"),
        ({"permutation": [0, 0]}, ValueError, "permutation does not have each of 0 to 1 once"),
        ({"permutation": [0]}, ValueError, "permutation has shape"),
        ({"permutation": [0.0, 1.0]}, ValueError, "dtype float64"),
        ({"queue": [1.0]}, ValueError, "queue has shape"),
        ({"seed": -1}, ValueError, "seed must not be negative"),
    ],
)
def test_errors_of_interpolation(options, error, message):
    with pytest.raises(error, match=message):
        mining.interpolate_negatives(**{"queue": np.eye(2), **options})
