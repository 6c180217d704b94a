"""negative_cosine and byol: values, which side gets a gradient, masks, zero vectors."""

import re

import numpy as np
import pytest
from differences import central, check_gradients
from fastpair.losses._negative_cosine import byol, negative_cosine


def cosines(p, z):
    return (p * z).sum(axis=-1) / np.linalg.norm(p, axis=-1) / np.linalg.norm(z, axis=-1)


@pytest.mark.parametrize("scale", [2.0, 0.5])
def test_values_and_gradients(scale, rng):
    p, z = rng.normal(size=(5, 3)), rng.normal(size=(5, 3))
    value, grads = negative_cosine(p, z, scale=scale, return_grad=True)
    assert value == pytest.approx(scale * (1 - cosines(p, z)).mean(), rel=1e-12)
    assert grads.z is None
    np.testing.assert_allclose(grads.p, central(lambda a: negative_cosine(a, z, scale=scale), p), atol=1e-8)


def test_both_directions_with_weights(rng):
    p, z = rng.normal(size=(5, 3)), rng.normal(size=(5, 3))
    value, grads = negative_cosine(p, z, symmetric=True, weights=(1, 0.1), return_grad=True)
    assert value == pytest.approx(2.2 * (1 - cosines(p, z)).mean(), rel=1e-12)
    np.testing.assert_allclose(grads.p, central(lambda a: negative_cosine(a, z), p), atol=1e-8)
    np.testing.assert_allclose(grads.z, 0.1 * central(lambda a: negative_cosine(p, a), z), atol=1e-8)


def test_masks_and_more_dimensions(rng):
    p, z = rng.normal(size=(2, 4, 3)), rng.normal(size=(2, 4, 3))
    mask = rng.random((2, 4)) < 0.5
    p[~mask] = np.nan
    value, grads = negative_cosine(p, z, mask=mask, return_grad=True)
    assert value == pytest.approx(2 * (1 - cosines(p[mask], z[mask])).mean(), rel=1e-12)
    assert grads.p.shape == p.shape
    assert (grads.p[~mask] == 0).all()
    each = negative_cosine(p, z, mask=mask, reduction="none")
    np.testing.assert_allclose(each, np.where(mask, 2 * (1 - cosines(p, z)), 0).ravel())
    upstream = rng.normal(size=8)
    grads = negative_cosine(p, z, mask=mask, reduction="none", return_grad=True, grad_output=upstream)[1]
    assert np.isfinite(grads.p).all()
    with pytest.raises(ValueError, match="on_empty='error'"):
        negative_cosine(p, z, mask=mask, on_empty="error")


def test_limits():
    p = np.array([[3.0, 4.0], [1.0, 0.0]])
    assert negative_cosine(p, p) == 0
    assert negative_cosine(p, -p) == pytest.approx(4, rel=1e-15)
    for zero in (np.zeros((2, 2)), p):
        value, grads = negative_cosine(zero, np.zeros((2, 2)), symmetric=True, return_grad=True)
        assert value == 4
        assert (grads.p == 0).all()
        assert (grads.z == 0).all()
    for size in (1e-300, 1e300):
        assert negative_cosine(size * p, p / size) == pytest.approx(0, abs=1e-15)
    close = negative_cosine([[1.0, 1e-9]], [[1.0, 0.0]])
    assert close == pytest.approx(1e-18, rel=1e-6)  # the cosine alone would give 0
    assert negative_cosine(np.zeros((0, 3)), np.zeros((0, 3))) == 0


def test_byol_is_the_sum_of_both_directions(rng):
    arrays = {name: rng.normal(size=(4, 3)) for name in ("p1", "p2", "z1", "z2")}
    value, _ = check_gradients(byol, constants=("z1", "z2"), **arrays)
    first = negative_cosine(arrays["p1"], arrays["z2"])
    assert value == pytest.approx(first + negative_cosine(arrays["p2"], arrays["z1"]), rel=1e-15)
    assert byol(**dict.fromkeys(arrays, np.zeros((1, 2)))) == 4


def test_narrow_arrays_keep_their_dtypes(rng):
    p, z = rng.normal(size=(4, 3)).astype(np.float16), rng.normal(size=(4, 3)).astype(np.float32)
    grads = negative_cosine(p, z, symmetric=True, return_grad=True)[1]
    assert (grads.p.dtype, grads.z.dtype) == (np.float16, np.float32)


P = np.ones((2, 3))


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: negative_cosine(P, P[:1]), ValueError, "p has shape (2, 3) but z has (1, 3)"),
        (lambda: negative_cosine(P[0], P[0]), ValueError, "p has shape (3,)"),
        (lambda: negative_cosine(P, P, mask=[True]), ValueError, "mask has shape (1,)"),
        (lambda: negative_cosine(P, P, weights=1.0), TypeError, "weights must be a tuple of two numbers"),
        (lambda: negative_cosine(P, P, scale=-1), ValueError, "scale must be at least 0"),
        (lambda: byol(P, P[:1], P, P), ValueError, "p1 has shape (2, 3) but p2 has (1, 3)"),
        (lambda: byol(P, P, P, P[:1]), ValueError, "p1 has shape (2, 3) but z2 has (1, 3)"),
    ],
)
def test_errors(call, kind, message):
    with pytest.raises(kind, match=re.escape(message)):
        call()
