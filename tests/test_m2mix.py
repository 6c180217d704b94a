"""m2mix: a plain formula, gradients through mixtures, what it reduces to."""

import re

import numpy as np
import pytest
from differences import central, check_gradients
from fastpair.losses._info_nce import info_nce
from fastpair.losses._m2mix import m2mix


def unit(rows):
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def geodesic(a, b, share):
    angle = np.arccos(np.clip((a * b).sum(axis=1, keepdims=True), -1, 1))
    return (np.sin(share * angle) * a + np.sin((1 - share) * angle) * b) / np.sin(angle)


@pytest.mark.parametrize("mix", [0.0, 0.3, 1.0, "each"])
def test_m2mix(mix, rng):
    x, y = rng.normal(size=(5, 3)), rng.normal(size=(5, 3))
    mix = rng.uniform(size=5) if isinstance(mix, str) else mix
    value, _ = check_gradients(
        lambda x, y, temperature, **o: m2mix(x, y, mix, temperature, **o), x=x, y=y, temperature=0.5
    )
    a, b = unit(x), unit(y)
    mixed = geodesic(a, b, np.reshape(mix, (-1, 1)))
    expected = 0.0
    for rows in (a, b):
        logits = rows @ mixed.T
        logits[np.diag_indices(5)] = (a * b).sum(axis=1)
        expected += (np.log(np.exp(logits / 0.5).sum(axis=1)) - np.diag(logits) / 0.5).mean()
    assert value == pytest.approx(expected, rel=1e-10)
    if np.ndim(mix) == 0 and mix == 0:
        logits = b @ b.T
        logits[np.diag_indices(5)] = (a * b).sum(axis=1)
        rest = (np.log(np.exp(logits / 0.5).sum(axis=1)) - np.diag(logits) / 0.5).mean()
        assert value == pytest.approx(info_nce(x, y, temperature=0.5) + rest, rel=1e-10)


def test_m2mix_of_close_and_opposite_pairs(rng):
    x = rng.normal(size=(4, 3))
    close = x + 1e-5 * rng.normal(size=x.shape)
    value, grads = m2mix(x, close, 0.3, 0.5, return_grad=True)
    np.testing.assert_allclose(grads.x, central(lambda a: m2mix(a, close, 0.3, 0.5), x, 1e-4), atol=1e-5)
    for y in (x, -x, np.zeros_like(x)):
        value, grads = m2mix(x, y, 0.5, return_grad=True)
        assert np.isfinite(value)
        assert np.isfinite(grads.x).all()
        assert np.isfinite(grads.y).all()
    assert m2mix(x[:1], x[:1]) == 0
    assert m2mix(x.astype(np.float32), x, return_grad=True)[1].x.dtype == np.float32


F = np.ones((2, 1, 3))


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: m2mix(F[0], F[:, 0]), ValueError, "x has 1 rows but y has 2"),
        (lambda: m2mix(F[0], F[0], 2.0), ValueError, "mix must be at most 1"),
        (lambda: m2mix(F[0], F[0], [0.5, 0.5]), ValueError, "mix has shape (2,)"),
    ],
)
def test_errors(call, kind, message):
    with pytest.raises(kind, match=re.escape(message)):
        call()
