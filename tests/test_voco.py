"""voco and base_decorrelation: plain formulas, gradients, sums that are empty."""

import re

import numpy as np
import pytest
from differences import check_gradients
from fastpair.losses._voco import base_decorrelation, voco


def cosines(x, y):
    return (x / np.linalg.norm(x, axis=-1, keepdims=True)) @ (y / np.linalg.norm(y, axis=-1, keepdims=True)).T


def test_values_and_gradients(rng):
    x, y = rng.normal(size=(5, 3)), rng.normal(size=(4, 3))
    overlaps = rng.uniform(size=(5, 4)) * (rng.random((5, 4)) < 0.5)
    value, _ = check_gradients(lambda x, y, **o: voco(x, y, overlaps, **o), x=x, y=y)
    g = np.maximum(cosines(x, y), 0)
    first = -(overlaps * np.log(1 - np.abs(overlaps - g) + 1e-6)).sum() / overlaps.sum()
    second = -np.log(1 - g + 1e-6)[overlaps == 0].mean()
    assert value == pytest.approx(first + second, rel=1e-10)


def test_limits(rng):
    x, y = np.abs(rng.normal(size=(5, 3))), np.abs(rng.normal(size=(4, 3)))
    assert voco(x, y, np.clip(cosines(x, y), 0, 1)) == pytest.approx(-1e-6, abs=1e-8)
    for overlaps in (np.zeros((5, 4)), np.ones((5, 4))):
        value, grads = voco(x, y, overlaps, return_grad=True)
        assert np.isfinite(value)
        assert np.isfinite(grads.x).all()
    value, grads = voco(x, x, np.zeros((5, 5)), return_grad=True)  # g = 1 where there is no overlap
    assert np.isfinite(value)
    assert np.isfinite(grads.y).all()
    assert voco(x[:0], y, np.zeros((0, 4))) == 0
    assert voco(x.astype(np.float32), y, np.ones((5, 4)), return_grad=True)[1].x.dtype == np.float32


def test_base_decorrelation(rng):
    x = rng.normal(size=(5, 3))
    value, _ = check_gradients(base_decorrelation, x=x)
    s = np.maximum(cosines(x, x), 0) ** 2
    assert value == pytest.approx(s[np.triu_indices(5, 1)].mean(), rel=1e-12)
    both = np.stack([x, rng.normal(size=(5, 3))])
    total, _ = check_gradients(base_decorrelation, x=both)
    assert total == pytest.approx((value + base_decorrelation(both[1])) / 2, rel=1e-12)
    for few in (x[:1], x[:0], 0 * x):
        value, grads = base_decorrelation(few, return_grad=True)
        assert value == 0
        assert (grads.x == 0).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: voco(np.ones((2, 3)), np.ones((4, 3)), np.ones((2, 3))), "overlaps has shape (2, 3); pass (2, 4)"),
        (lambda: voco(np.ones((1, 3)), np.ones((1, 3)), [[2.0]]), "overlaps has entries up to 2.0"),
        (lambda: voco(np.ones((1, 3)), np.ones((1, 3)), [[-1.0]]), "overlaps is -1.0 at index (0, 0)"),
        (lambda: base_decorrelation([1.0]), "x has shape (1,)"),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        call()
