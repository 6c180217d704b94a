"""`mining.gradient_perturb`: a step along a gradient, row by row."""

import fastpair
import numpy as np
import pytest
from fastpair import mining


def test_formula(rng):
    x, gradient = rng.normal(size=(8, 5)), rng.normal(size=(8, 5)) * 10.0 ** rng.integers(-14, 3, (8, 1))
    expected = [row + 0.7 * g / (np.linalg.norm(g) + 1e-12) for row, g in zip(x, gradient, strict=True)]
    np.testing.assert_allclose(mining.gradient_perturb(x, gradient, 0.7), expected, rtol=1e-12)
    down = mining.gradient_perturb(x, gradient, -0.7)
    np.testing.assert_allclose(down + expected, 2 * x, rtol=1e-9, atol=1e-12)


def test_zero_huge_and_tiny_gradients():
    x = np.ones((4, 2))
    gradient = [[0.0, 0.0], [1e308, 1e308], [5e-324, 0.0], [1e-12, 0.0]]
    moved = mining.gradient_perturb(x, gradient, 1.0)
    np.testing.assert_array_equal(moved[0], [1, 1])
    np.testing.assert_allclose(moved[1], 1 + np.sqrt(0.5), rtol=1e-14)
    np.testing.assert_array_equal(moved[2], [1, 1])
    np.testing.assert_allclose(moved[3], [1.5, 1.0], rtol=1e-12)


def test_a_step_up_raises_the_loss(rng):
    x, y = rng.normal(size=(6, 4)), rng.normal(size=(6, 4))
    before, grads = fastpair.losses.info_nce(x, y, return_grad=True)
    assert fastpair.losses.info_nce(mining.gradient_perturb(x, grads.x, 0.05), y) > before


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int16"])
def test_dtypes_strides_and_nothing(dtype, rng):
    wide = (4 * rng.normal(size=(6, 8))).astype(dtype)
    before = wide.copy()
    moved = mining.gradient_perturb(wide[::2, ::2], rng.normal(size=(3, 4)))
    assert moved.dtype == (np.float64 if dtype == "int16" else dtype)
    np.testing.assert_array_equal(wide, before)
    assert mining.gradient_perturb(wide[:0], wide[:0]).shape == (0, 8)


@pytest.mark.parametrize(
    ("x", "gradient", "eps", "error", "message"),
    [
        (np.eye(2), np.eye(3), 1, ValueError, "x has shape"),
        (np.eye(2), [[np.nan, 0], [0, 0]], 1, ValueError, "gradient is nan or infinite in row 0"),
        ([[np.inf]], [[1.0]], 1, ValueError, "x is nan or infinite in row 0"),
        (np.eye(2), np.eye(2), np.inf, ValueError, "eps must be finite"),
        (np.eye(2), np.eye(2), "a", TypeError, "eps must be a number"),
        ([1.0], [1.0], 1, ValueError, "x has shape"),
        ([["a"]], [[1.0]], 1, TypeError, "x has dtype"),
    ],
)
def test_errors(x, gradient, eps, error, message):
    with pytest.raises(error, match=message):
        mining.gradient_perturb(x, gradient, eps)
