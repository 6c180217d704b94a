"""`mining.geodesic_mix`: mixtures on the sphere and their gradients, for equal and opposite vectors too."""

import math

import numpy as np
import pytest
import samplers
from fastpair import mining
from hypothesis import given
from hypothesis import strategies as st


def mixture(a, b, share):
    """The formula for one pair."""
    a, b = a / np.linalg.norm(a), b / np.linalg.norm(b)
    angle = math.acos(max(-1.0, min(1.0, float(a @ b))))
    return (math.sin(share * angle) * a + math.sin((1 - share) * angle) * b) / math.sin(angle)


def test_golden():
    mix = mining.geodesic_mix([[1.0, 0.0]], [[0.0, 1.0]], 0.3)
    np.testing.assert_allclose(mix.vectors, [[0.4539905, 0.8910065]], rtol=0, atol=5e-8)
    assert mix.shares.tolist() == [0.3]


@pytest.mark.parametrize("dimensions", [2, 3, 17])
def test_formula(dimensions, rng):
    a, b, shares = rng.normal(size=(20, dimensions)), rng.normal(size=(20, dimensions)), rng.random(20)
    mix = mining.geodesic_mix(a, b, shares)
    expected = [mixture(*row) for row in zip(a, b, shares, strict=True)]
    np.testing.assert_allclose(mix.vectors, expected, rtol=0, atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(mix.vectors, axis=1), 1, rtol=1e-14)


@given(st.floats(0, math.pi), st.floats(0, 1), st.integers(0, 99))
def test_angles_are_shared_whatever_the_angle(angle, share, seed):
    basis = np.linalg.qr(np.random.default_rng(seed).normal(size=(4, 2)))[0].T
    a, b = basis[0], math.cos(angle) * basis[0] + math.sin(angle) * basis[1]
    vector = mining.geodesic_mix([a], [b], share).vectors[0]
    assert abs(np.linalg.norm(vector) - 1) < 1e-8
    if angle < math.pi - 1e-3:
        expected = math.cos((1 - share) * angle) * basis[0] + math.sin((1 - share) * angle) * basis[1]
        np.testing.assert_allclose(vector, expected, rtol=0, atol=1e-11)
    np.testing.assert_allclose(float(vector @ a), math.cos((1 - share) * angle), rtol=0, atol=1e-6)


def test_endpoints(rng):
    a, b = rng.normal(size=(6, 3)), rng.normal(size=(6, 3))
    b[0], b[1], b[2] = a[0], -a[1], a[2] * (1 + 1e-12)
    unit = [v / np.linalg.norm(v, axis=1, keepdims=True) for v in (a, b)]
    np.testing.assert_allclose(mining.geodesic_mix(a, b, 1.0).vectors, unit[0], rtol=0, atol=1e-12)
    np.testing.assert_allclose(mining.geodesic_mix(a, b, 0.0).vectors, unit[1], rtol=0, atol=1e-12)


def test_equal_and_opposite_vectors_give_numbers():
    """The plain formula is 0 / 0 for both."""
    a = np.array([[0.6, 0.8, 0.0]] * 2)
    mix = mining.geodesic_mix(a, a * [[1.0], [-1.0]], 0.25)
    np.testing.assert_allclose(mix.vectors[0], a[0], rtol=0, atol=1e-15)
    expected = math.cos(0.75 * math.pi) * a[1] + math.sin(0.75 * math.pi) * np.array([0, 0, 1])
    np.testing.assert_allclose(mix.vectors[1], expected, rtol=0, atol=1e-15)
    with pytest.raises(ValueError, match="opposite in row 1"):
        mining.geodesic_mix(a, a * [[1.0], [-1.0]], 0.25, on_antipodal="error")
    with pytest.raises(ValueError, match="one dimension has no perpendicular"):
        mining.geodesic_mix([[1.0]], [[-2.0]])
    assert mining.geodesic_mix([[1.0]], [[2.0]]).vectors.tolist() == [[1.0]]


def test_zero_rows():
    options = {"return_grad": True, "grad_output": [[1.0, 2.0], [1.0, 2.0], [1.0, 2.0]]}
    mix, grads = mining.geodesic_mix(
        [[0.0, 0.0], [3.0, 0.0], [0.0, 0.0]], [[0.0, 2.0], [0.0, 0.0], [0.0, 0.0]], 0.3, **options
    )
    expected = [[0, math.sin(0.7 * math.pi / 2)], [math.sin(0.3 * math.pi / 2), 0], [0, 0]]
    np.testing.assert_allclose(mix.vectors, expected, atol=1e-15)
    np.testing.assert_allclose(grads.a, [[0, 0], [0, 2 / 3 * math.sin(0.3 * math.pi / 2)], [0, 0]], atol=1e-15)
    np.testing.assert_allclose(grads.b, [[math.sin(0.7 * math.pi / 2) / 2, 0], [0, 0], [0, 0]], atol=1e-15)


@pytest.mark.parametrize("gap", [None, 1e-3, 1e-5, 0.0])
def test_gradients_are_those_of_differences(gap, rng):
    a, b = 2 * rng.normal(size=(5, 4)), rng.normal(size=(5, 4))
    if gap is not None:  # nearly equal vectors
        b = a * 1.5 + gap * b
    shares, upstream = rng.random(5), rng.normal(size=(5, 4))
    _, grads = mining.geodesic_mix(a, b, shares, return_grad=True, grad_output=upstream)

    def value(first, second):
        return (mining.geodesic_mix(first, second, shares).vectors * upstream).sum()

    for side, found in enumerate(grads):
        for place in np.ndindex(5, 4):
            step = np.zeros((5, 4))
            step[place] = 1e-5
            up = value(a + step, b) if side == 0 else value(a, b + step)
            down = value(a - step, b) if side == 0 else value(a, b - step)
            assert abs((up - down) / 2e-5 - found[place]) < 2e-8


def test_gradient_of_opposite_vectors_is_zero():
    a = np.array([[1.0, 0.0], [1.0, 0.0]])
    _, grads = mining.geodesic_mix(a, [[-1.0, 0.0], [0.0, 1.0]], 0.5, return_grad=True, grad_output=a)
    assert (grads.a[0] == 0).all()
    assert (grads.b[0] == 0).all()
    assert (grads.a[1] != 0).any()


def test_draws_are_beta():
    a = np.tile([[1.0, 0.0]], (20000, 1))
    shares = mining.geodesic_mix(a, a[:, ::-1], seed=0).shares
    edges = np.linspace(0, 1, 11)
    samplers.assert_follows((shares * 10).astype(int), np.diff(3 * edges**2 - 2 * edges**3))
    samplers.assert_same(mining.geodesic_mix(a, a[:, ::-1], seed=0), mining.geodesic_mix(a, a[:, ::-1], seed=0))


@pytest.mark.parametrize(
    ("of_a", "of_b", "result"),
    [
        ("float32", "float32", "float32"),
        ("float16", "float16", "float16"),
        ("float16", "float32", "float32"),
        ("float64", "float32", "float64"),
        ("int64", "float32", "float64"),
        ("int8", "int8", "float64"),
    ],
)
def test_dtypes_and_strides(of_a, of_b, result, rng):
    a, b = (5 * rng.normal(size=(4, 6))).astype(of_a), (5 * rng.normal(size=(4, 6))).astype(of_b)
    a[0], b[0] = 1, 1
    upstream = rng.normal(size=(4, 3))
    mix, grads = mining.geodesic_mix(a[:, ::2], b[:, ::2], 0.5, return_grad=True, grad_output=upstream)
    assert mix.vectors.dtype == result
    assert grads.a.dtype == (of_a if of_a.startswith("f") else "float64")
    assert grads.b.dtype == (of_b if of_b.startswith("f") else "float64")
    wide = mining.geodesic_mix(a[:, ::2].astype(float), b[:, ::2].astype(float), 0.5)
    np.testing.assert_allclose(mix.vectors.astype(float), wide.vectors, atol=1e-3)


def test_extremes_and_nothing():
    mix = mining.geodesic_mix([[1e300, 1e300]], [[1e-300, 0.0]], 0.5)
    np.testing.assert_allclose(np.linalg.norm(mix.vectors), 1)
    assert mining.geodesic_mix(np.zeros((0, 3)), np.zeros((0, 3))).vectors.shape == (0, 3)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"b": np.eye(3)}, ValueError, "a has shape"),
        ({"shares": 1.5}, ValueError, "shares is 1.5 in row 0; pass finite numbers between 0 and 1"),
        ({"shares": [0.5, np.nan]}, ValueError, "shares is nan in row 1"),
        ({"shares": [0.5]}, ValueError, "shares has shape"),
        ({"shares": np.full((2, 2), 0.5)}, ValueError, "shares has shape"),
        ({"alpha": 0}, ValueError, "alpha must be larger than 0"),
        ({"on_antipodal": "x"}, ValueError, "on_antipodal must be one of"),
        ({"return_grad": True}, ValueError, "return_grad=True needs grad_output="),
        ({"grad_output": np.eye(2)}, ValueError, "grad_output was given without"),
        ({"return_grad": True, "grad_output": [1.0, 2.0]}, ValueError, "grad_output has shape"),
        ({"return_grad": 1}, TypeError, "return_grad must be"),
        ({"a": [[np.nan, 1.0], [1.0, 1.0]]}, ValueError, "a is nan or infinite in row 0"),
        ({"b": [[1.0, 1.0], [np.inf, 1.0]]}, ValueError, "b is nan or infinite in row 1"),
        ({"seed": "x"}, TypeError, "seed must be"),
    ],
)
def test_errors(options, error, message):
    with pytest.raises(error, match=message):
        mining.geodesic_mix(**{"a": np.eye(2), "b": np.eye(2), **options})
