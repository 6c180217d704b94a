"""`mining.smote`: points on segments to nearest neighbours."""

import numpy as np
import pytest
import samplers
from fastpair import mining
from hypothesis import given
from hypothesis import strategies as st


@given(st.integers(2, 15), st.integers(1, 20), st.floats(0, 350), st.integers(0, 2**31))
def test_points_lie_on_segments_to_neighbours(count, k, amount, seed):
    x = np.random.default_rng(seed).normal(size=(count, 3))
    made = mining.smote(x, amount, k=k, seed=seed)
    per_row = np.bincount(made.parents[:, 0], minlength=count)
    assert set(per_row.tolist()) <= {int(amount // 100), int(amount // 100) + 1}
    assert abs(len(made.samples) - amount / 100 * count) <= 0.5 + 1e-9
    assert (np.diff(made.parents[:, 0]) >= 0).all()
    base, other = x[made.parents[:, 0]], x[made.parents[:, 1]]
    np.testing.assert_allclose(made.samples, base + made.shares[:, None] * (other - base), atol=1e-14)
    distances = np.linalg.norm(x[:, None] - x, axis=2)
    np.fill_diagonal(distances, np.inf)
    nearest = np.argsort(distances, axis=1)[:, : min(k, count - 1)]
    for row, neighbor in made.parents:
        assert neighbor in nearest[row]


def test_neighbours_and_shares_are_uniform():
    x = np.arange(7.0)[:, None] ** 2
    made = mining.smote(x, 1e6, k=3, seed=0)
    of_first = made.parents[made.parents[:, 0] == 0, 1]
    samplers.assert_follows(of_first, [0, 1 / 3, 1 / 3, 1 / 3, 0, 0, 0])
    samplers.assert_follows((made.shares * 10).astype(int), np.full(10, 0.1))


def test_amounts():
    x = np.eye(8)
    assert len(mining.smote(x, 50, seed=0).samples) == 4
    assert np.bincount(mining.smote(x, 50, seed=0).parents[:, 0], minlength=8).max() == 1
    assert len(mining.smote(x, seed=0).samples) == 8
    assert np.bincount(mining.smote(x, 250, seed=0).parents[:, 0]).tolist().count(3) == 4
    assert mining.smote(x, 0, seed=0).samples.shape == (0, 8)


def test_equal_points():
    made = mining.smote(np.ones((4, 2)), 300, seed=0)
    np.testing.assert_array_equal(made.samples, 1)
    assert (made.parents[:, 0] != made.parents[:, 1]).all()


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int16"])
def test_dtypes_strides_and_threads(dtype, rng):
    x = (4 * rng.normal(size=(20, 8))).astype(dtype)[::2, ::2]
    made = mining.smote(x, 200, seed=0)
    assert made.samples.dtype == (np.float64 if dtype == "int16" else dtype)
    samplers.assert_same(mining.smote(x.copy(), 200, seed=0, num_threads=1, max_memory=1 << 20), made)
    samplers.assert_same(mining.smote(x, 200, seed=np.random.default_rng(0), metric="sqeuclidean"), made)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"x": [[1.0]]}, ValueError, "x has 1 rows"),
        ({"x": np.zeros((0, 2))}, ValueError, "x has 0 rows"),
        ({"x": [[np.nan], [1.0]]}, ValueError, "x is nan or infinite in row 0"),
        ({"amount": -1}, ValueError, "amount must be at least 0"),
        ({"amount": "a"}, TypeError, "amount must be a number"),
        ({"k": 0}, ValueError, "k must be at least 1"),
        ({"metric": "hamming"}, ValueError, "metric must be one of"),
        ({"seed": "x"}, TypeError, "seed must be"),
        ({"num_threads": 0}, ValueError, "num_threads must be at least 1"),
        ({"x": [1.0]}, ValueError, "x has shape"),
    ],
)
def test_errors(options, error, message):
    with pytest.raises(error, match=message):
        mining.smote(**{"x": np.eye(3), **options})
