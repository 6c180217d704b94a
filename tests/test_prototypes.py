"""prototype_compensated and prototype_diversity: plain formulas, gradients, sets that are empty."""

import re

import numpy as np
import pytest
from differences import central, check_gradients
from fastpair.losses._prototypes import prototype_compensated, prototype_diversity


def unit(rows):
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.divide(rows, norms, out=np.zeros_like(rows), where=norms > 0)


def plain(x, mu, labels, fn, fp, alpha, t, shares=None):
    """The value of each row; shares of the own class may be given."""
    values = []
    cosines = unit(x) @ unit(mu).T
    for i, y in enumerate(labels):
        if y < 0:
            values.append(0.0)
            continue
        p = np.exp(cosines[i] / t) / np.exp(cosines[i] / t).sum()
        weight = 1 - (p[y] if shares is None else shares[i])
        value = 0.0
        for sign, side in [*((1, s) for s in fn), *((-1, s) for s in fp)] or [(0, mu)]:
            logits = cosines[i].copy()
            if sign and side[y].any():
                logits[y] += alpha * weight * (sign * unit(x)[i] @ unit(side)[y] - 1)
            value += np.log(np.exp(logits / t).sum()) - logits[y] / t
        values.append(value)
    return np.array(values)


@pytest.mark.parametrize("sets", [(0, 0), (3, 1), (1, 0), (0, 2)])
def test_values_and_gradients(sets, rng):
    x, mu, labels = rng.normal(size=(6, 4)), rng.normal(size=(3, 4)), np.array([0, 2, 1, -1, 2, 0])
    fn, fp = ([rng.normal(size=(3, 4)) for _ in range(count)] for count in sets)
    for side in (*fn, *fp):
        side[1] = 0.0
    options = {"alpha": 0.6, "false_negatives": fn, "false_positives": fp}

    def call(x, prototypes, temperature, **o):
        return prototype_compensated(x, prototypes, labels, temperature, detach_weights=False, **options, **o)

    value, _ = check_gradients(call, x=x, prototypes=mu, temperature=0.5)
    assert value == pytest.approx(plain(x, mu, labels, fn, fp, 0.6, 0.5).sum() / 5, rel=1e-12)
    cosines = unit(x) @ unit(mu).T
    shares = (np.exp(cosines / 0.5) / np.exp(cosines / 0.5).sum(axis=1, keepdims=True))[np.arange(6), labels]
    found, grads = prototype_compensated(x, mu, labels, 0.5, return_grad=True, **options)
    assert found == value

    def fixed(at):
        return plain(at, mu, labels, fn, fp, 0.6, 0.5, shares).sum() / 5

    np.testing.assert_allclose(grads.x, central(fixed, x), atol=1e-8)


def test_rows_that_do_not_count(rng):
    x, mu = rng.normal(size=(2, 3)), rng.normal(size=(2, 3))
    for rows, centres, labels in ((x, mu, [-1, -1]), (x, mu[:1], [0, 0]), (x[:0], mu, []), (x, mu[:0], [-1, -1])):
        value, grads = prototype_compensated(rows, centres, labels, return_grad=True)
        assert value == 0
        assert (grads.x == 0).all()
        assert (grads.prototypes == 0).all()
    value, grads = prototype_compensated(0 * x, mu, [0, 1], 0.01, return_grad=True)
    assert value == pytest.approx(np.log(2))
    assert (grads.x == 0).all()
    assert prototype_compensated(x.astype(np.float16), mu, [0, 1], return_grad=True)[1].x.dtype == np.float16


def test_diversity(rng):
    for shape in ((3, 5), (5, 3)):
        rows = rng.normal(size=shape)
        value, _ = check_gradients(prototype_diversity, prototypes=rows)
        assert value == pytest.approx(np.linalg.norm(unit(rows) @ unit(rows).T), rel=1e-12)
    assert prototype_diversity(3 * np.eye(4)) == pytest.approx(2)
    assert prototype_diversity(np.ones((4, 2))) == pytest.approx(4)
    for zero in (np.zeros((2, 3)), np.zeros((0, 3))):
        value, grads = prototype_diversity(zero, return_grad=True)
        assert value == 0
        assert (grads.prototypes == 0).all()


X = np.ones((2, 3))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"labels": [0]}, "labels has shape (1,)"),
        ({"labels": [0, 2]}, "labels is 2 at index 1, but there are 2 prototypes"),
        ({"prototypes": X[:, 1:]}, "x has 3 columns but y has 2"),
        ({"false_negatives": [X[:1]]}, "false_negatives holds an array of shape (1, 3)"),
        ({"alpha": -1}, "alpha must be at least 0"),
    ],
)
def test_errors(options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        prototype_compensated(**{"x": X, "prototypes": X, "labels": [0, 1], **options})
