"""barlow_twins and variance_hinge: plain formulas, gradients, constant dimensions."""

import re

import numpy as np
import pytest
from differences import check_gradients
from fastpair.losses._barlow_twins import barlow_twins, variance_hinge


def plain(z1, z2, redundancy=5e-3, scale=0.025, eps=0.0):
    a, b = ((z - z.mean(axis=0)) / np.sqrt(z.var(axis=0) + eps) for z in (z1, z2))
    c = a.T @ b / len(a)
    on = np.eye(len(c), dtype=bool)
    return scale * (((c[on] - 1) ** 2).sum() + redundancy * (c[~on] ** 2).sum())


@pytest.mark.parametrize("options", [{}, {"redundancy": 0.3, "scale": 2.0}, {"eps": 0.5, "scale": 1.0}])
def test_values_and_gradients(options, rng):
    z1, z2 = rng.normal(size=(7, 4)) + 5, rng.normal(size=(7, 4))
    value, _ = check_gradients(lambda z1, z2, **o: barlow_twins(z1, z2, **options, **o), z1=z1, z2=z2)
    assert value == pytest.approx(plain(z1, z2, **options), rel=1e-12)


def test_views_that_agree_and_do_not_repeat_themselves_lose_nothing():
    z = np.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
    value, grads = barlow_twins(z, 3 * z + 1, return_grad=True)
    assert value == pytest.approx(0, abs=1e-30)
    np.testing.assert_allclose(grads.z1, 0, atol=1e-15)


def test_dimensions_without_variance(rng):
    z = rng.normal(size=(5, 3))
    z[:, 1] = 0.1
    value, grads = barlow_twins(z, z, scale=1.0, redundancy=0.0, return_grad=True)
    assert value == pytest.approx(1.0, rel=1e-12)
    assert (grads.z1[:, 1] == 0).all()
    for shape, expected in (((1, 2), 2.0), ((0, 2), 0.0), ((3, 0), 0.0)):
        value, grads = barlow_twins(np.ones(shape), np.ones(shape), scale=1.0, return_grad=True)
        assert value == expected
        assert grads.z2.shape == shape
        assert (grads.z2 == 0).all()
        assert barlow_twins(np.ones(shape), np.ones(shape), scale=1.0) == expected


def test_variance_hinge(rng):
    x = rng.normal(size=(6, 4)) * [0.1, 0.5, 2.0, 1.0]
    value, _ = check_gradients(variance_hinge, x=x)
    assert value == pytest.approx(np.maximum(0, 1 - np.sqrt(x.var(axis=0, ddof=1) + 1e-4)).mean(), rel=1e-12)
    check_gradients(lambda x, **o: variance_hinge(x, gamma=0.3, scale=10.0, **o), x=x)
    value, grads = variance_hinge(np.full((5, 2), 0.1), return_grad=True)
    assert value == pytest.approx(0.99, rel=1e-12)
    np.testing.assert_allclose(grads.x, 0, atol=1e-14)
    assert variance_hinge([[0.0], [10.0]]) == 0
    with pytest.raises(ValueError, match="x has 1 rows, which have no variance"):
        variance_hinge([[1.0]])


def test_narrow_arrays_keep_their_dtypes(rng):
    z = rng.normal(size=(5, 3)).astype(np.float16)
    assert barlow_twins(z, z.astype(np.float32), return_grad=True)[1].z1.dtype == np.float16
    assert variance_hinge(z, return_grad=True)[1].x.dtype == np.float16


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: barlow_twins(np.ones((2, 3)), np.ones((2, 2))), "z1 has shape (2, 3) but z2 has (2, 2)"),
        (lambda: barlow_twins([1.0], [1.0]), "z1 has shape (1,)"),
        (lambda: barlow_twins(np.ones((2, 3)), np.ones((2, 3)), eps=-1), "eps must be at least 0"),
        (lambda: variance_hinge(np.ones((2, 3)), eps=0), "eps must be larger than 0"),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        call()
