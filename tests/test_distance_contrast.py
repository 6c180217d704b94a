"""ratio_contrast, pair_mse and semantic_opposite: plain formulas, gradients, limits."""

import re

import numpy as np
import pytest
from differences import central, check_gradients
from fastpair.losses._distance_contrast import pair_mse, ratio_contrast, semantic_opposite


@pytest.mark.parametrize("shape", [(4, 3), (2, 3, 2)])
def test_ratio_contrast(shape, rng):
    a, p, n = rng.normal(size=shape), rng.normal(size=shape), rng.normal(size=(shape[0], 5, *shape[1:]))
    value, _ = check_gradients(ratio_contrast, anchors=a, positives=p, negatives=n)
    assert value == pytest.approx(np.abs(a - p).mean() / (np.abs(a[:, None] - n).mean() + 3e-7), rel=1e-12)


def test_ratio_contrast_of_equal_arrays():
    a = np.ones((2, 3))
    value, grads = ratio_contrast(a, a, a[:, None], return_grad=True)
    assert value == 0
    assert all((g == 0).all() for g in grads)
    assert ratio_contrast(a[:0], a[:0], a[:0, None]) == 0


def test_pair_mse(rng):
    x, teacher = rng.normal(size=(4, 3)), rng.normal(size=(4, 3))
    value, _ = check_gradients(pair_mse, constants=("teacher",), x=x, teacher=teacher)
    assert value == pytest.approx(((x - teacher) ** 2).sum(), rel=1e-12)
    assert pair_mse(x, teacher, reduction="mean") == pytest.approx(value / 4, rel=1e-12)
    assert pair_mse(x, x) == 0
    upstream = rng.normal(size=4)
    grads = pair_mse(x, teacher, reduction="none", return_grad=True, grad_output=upstream)[1]
    np.testing.assert_allclose(grads.x, 2 * upstream[:, None] * (x - teacher), rtol=1e-12)
    assert pair_mse(x[:0], teacher[:0], reduction="mean") == 0


@pytest.mark.parametrize("form", ["distance", "cosine"])
def test_semantic_opposite(form, rng):
    x, y = rng.normal(size=(4, 3)), rng.normal(size=(4, 3))
    value, _ = check_gradients(lambda x, y, **o: semantic_opposite(x, y, form=form, **o), x=x, y=y)
    cosines = (x * y).sum(axis=1) / np.linalg.norm(x, axis=1) / np.linalg.norm(y, axis=1)
    terms = 2 - np.sqrt(2 - 2 * cosines + 1e-4) if form == "distance" else 1 + cosines
    assert value == pytest.approx(terms.mean(), rel=1e-12)
    assert semantic_opposite(x, -2 * x, form=form) == pytest.approx(0, abs=3e-5)
    value, grads = semantic_opposite(0 * x, y, form=form, return_grad=True)
    assert np.isfinite(value)
    assert (grads.x == 0).all()
    grads = semantic_opposite(x, x, form=form, return_grad=True)[1]
    np.testing.assert_allclose(grads.x, 0, atol=1e-12)
    weights = rng.uniform(size=4)
    grads = semantic_opposite(x, y, form=form, weights=weights, return_grad=True)[1]
    by_y = central(lambda a: semantic_opposite(x, a, form=form, weights=weights), y)
    np.testing.assert_allclose(grads.y, by_y, atol=1e-8)


A = np.ones((2, 3))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ratio_contrast(A, A[:1], A[:, None]), "anchors has shape (2, 3) but positives has (1, 3)"),
        (lambda: ratio_contrast(A, A, A), "negatives has shape (2, 3)"),
        (lambda: ratio_contrast(A, A, A[:, None], eps=0), "eps must be larger than 0"),
        (lambda: pair_mse(A, A[:1]), "x has 2 rows but teacher has 1"),
        (lambda: semantic_opposite(A, A[:1]), "x has 2 rows but y has 1"),
        (lambda: semantic_opposite(A, A, form="dot"), "form must be one of"),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        call()
