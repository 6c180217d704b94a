"""`mining.mix_pairs`: convex mixtures of two parents."""

import numpy as np
import pytest
import samplers
from fastpair import mining


def test_formula_and_parents(rng):
    first, second = rng.normal(size=(6, 4)), rng.normal(size=(9, 4))
    pairs = np.array([[0, 8], [5, 0], [5, 0], [2, 3]])
    mixed = mining.mix_pairs(first, second, pairs, seed=0)
    np.testing.assert_array_equal(mixed.parents, pairs)
    share = mixed.shares[:, None]
    np.testing.assert_allclose(mixed.vectors, share * first[pairs[:, 0]] + (1 - share) * second[pairs[:, 1]])
    aligned = mining.mix_pairs(first, second[:6], seed=0)
    np.testing.assert_array_equal(aligned.parents, np.stack([np.arange(6)] * 2, axis=1))
    unit = mining.mix_pairs(first, second, pairs, seed=0, normalize=True)
    np.testing.assert_allclose(np.linalg.norm(unit.vectors, axis=1), 1)


def test_share_1_is_the_first_parent(rng):
    first, second = rng.normal(size=(6, 4)), rng.normal(size=(6, 4))
    np.testing.assert_array_equal(mining.mix_pairs(first, second, shares=1.0).vectors, first)
    np.testing.assert_array_equal(mining.mix_pairs(first, second, shares=0.0).vectors, second)


def test_draws():
    shares = mining.mix_pairs(np.zeros((20000, 1)), np.zeros((20000, 1)), seed=0).shares
    edges = np.linspace(0, 1, 11)
    samplers.assert_follows((shares * 10).astype(int), np.diff(3 * edges**2 - 2 * edges**3))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int16"])
def test_dtypes_strides_and_nothing(dtype, rng):
    rows = (4 * rng.normal(size=(6, 8))).astype(dtype)[::2, ::2]
    mixed = mining.mix_pairs(rows, pairs=[[0, 1]], seed=0)
    assert mixed.vectors.dtype == (np.float64 if dtype == "int16" else dtype)
    samplers.assert_same(mining.mix_pairs(rows.copy(), pairs=[[0, 1]], seed=0), mixed)
    assert mining.mix_pairs(rows, pairs=[]).vectors.shape == (0, 4)
    assert mining.mix_pairs(rows[:0], rows[:0]).parents.shape == (0, 2)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({}, ValueError, "second and pairs are None"),
        ({"second": np.eye(3)}, ValueError, "first has 2 columns but second has 3"),
        ({"second": np.ones((3, 2))}, ValueError, "first has 2 rows but second has 3"),
        ({"pairs": [[0, 2]]}, ValueError, "pairs is 2 at row 0, column 1, but second has 2 rows"),
        ({"pairs": [[-1, 0]]}, ValueError, "pairs is -1 at row 0, column 0, but first has 2 rows"),
        ({"pairs": [0, 1]}, ValueError, "pairs has shape"),
        ({"pairs": [[0.0, 1.0]]}, ValueError, "dtype float64"),
        ({"pairs": [[0, 1]], "shares": -1}, ValueError, "shares is -1.0 in row 0"),
        ({"pairs": [[0, 1]], "shares": [[0.5, 0.5]]}, ValueError, "shares has shape"),
        ({"pairs": [[0, 1]], "alpha": 0}, ValueError, "alpha must be larger than 0"),
        ({"pairs": [[0, 1]], "normalize": 1}, TypeError, "normalize must be"),
        ({"second": [[np.nan, 0.0], [0.0, 0.0]]}, ValueError, "second is nan or infinite in row 0"),
        ({"pairs": [[0, 1]], "seed": 1.0}, TypeError, "seed must be"),
    ],
)
def test_errors(options, error, message):
    with pytest.raises(error, match=message):
        mining.mix_pairs(np.eye(2), **options)
