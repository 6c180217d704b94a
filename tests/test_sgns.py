"""sgns: values and gradients against a plain formula, examples without negatives, numbers of the specification."""

import re

import numpy as np
import pytest
from differences import central
from fastpair.losses._sgns import sgns


def plain(x, y, positives, negatives):
    values = []
    for u, p, ks in zip(x, positives, negatives, strict=True):
        ks = [k for k in ks if k >= 0]
        value = None
        if p >= 0 and ks:
            value = np.log1p(np.exp(-u @ y[p])) + sum(np.log1p(np.exp(u @ y[k])) for k in ks)
        values.append(value)
    return values


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("max_memory", [None, 2000])
def test_values_and_gradients(reduction, max_memory, rng):
    x, y = rng.normal(size=(7, 3)), rng.normal(size=(5, 3))
    positives = np.array([0, 4, 2, -1, 1, 1, 3])
    negatives = rng.integers(-1, 5, (7, 4))
    negatives[5] = -1
    negatives[0] = 2  # the same row several times
    weights, upstream = rng.uniform(size=7), rng.normal(size=7)

    def total(x, y):
        values = plain(x, y, positives, negatives)
        terms = np.array([0.0 if v is None else v for v in values]) * weights
        valid = sum(v is not None for v in values)
        return terms @ upstream if reduction == "none" else terms.sum() / (valid if reduction == "mean" else 1)

    needs = {"grad_output": upstream} if reduction == "none" else {}
    options = {"weights": weights, "reduction": reduction, "max_memory": max_memory}
    value, grads = sgns(x, y, positives, negatives, return_grad=True, **options, **needs)
    assert (value @ upstream if reduction == "none" else value) == pytest.approx(total(x, y), rel=1e-12)
    np.testing.assert_allclose(grads.x, central(lambda a: total(a, y), x), atol=1e-8)
    np.testing.assert_allclose(grads.y, central(lambda a: total(x, a), y), atol=1e-8)
    np.testing.assert_array_equal(sgns(x, y, positives, negatives, **options), value)


def test_zero_vectors():
    for k in (1, 3):
        value, grads = sgns(np.zeros((2, 3)), np.zeros((4, 3)), None, np.ones((2, k), int), return_grad=True)
        assert value == pytest.approx((1 + k) * np.log(2), rel=1e-15)
        assert (grads.x == 0).all()


def test_examples_that_do_not_count():
    y = np.ones((2, 3))
    for x, positives, negatives in (
        (np.zeros((0, 3)), [], np.zeros((0, 2), int)),
        (y, [0, 1], np.zeros((2, 0), int)),
        (y, [-1, -1], [[0], [1]]),
        (y, [0, 1], [[-1], [-1]]),
    ):
        value, grads = sgns(x, y, positives, negatives, return_grad=True)
        assert value == 0
        assert (grads.x == 0).all()
        assert (grads.y == 0).all()
    with pytest.raises(ValueError, match="on_empty='error'"):
        sgns(y, y, [0, -1], [[1], [1]], on_empty="error")


def test_large_vectors_and_narrow_ones(rng):
    value, grads = sgns([[1e200]], [[1e200], [-1e200]], [1], [[0]], return_grad=True)
    assert not np.isnan(value)
    assert not np.isnan(grads.y).any()
    x = rng.normal(size=(3, 4)).astype(np.float16)
    grads = sgns(x, x.astype(np.float32), None, [[1], [2], [0]], return_grad=True)[1]
    assert (grads.x.dtype, grads.y.dtype) == (np.float16, np.float32)


EYE = np.eye(3)


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ((EYE, EYE), TypeError, "negatives is None"),
        ((EYE, EYE, [0, 1], [[1]] * 3), ValueError, "positives has shape (2,)"),
        ((EYE, EYE, [0, 1, 3], [[1]] * 3), ValueError, "positives is 3 at index 2, but y has 3 rows"),
        ((EYE, EYE, None, [[1.5]] * 3), ValueError, "negatives has shape (3, 1) and dtype float64"),
        ((EYE, EYE, None, [[1], [1], [-2]]), ValueError, "negatives is -2 at index (2, 0)"),
        ((EYE, EYE[:2], None, [[1]] * 3), ValueError, "x has 3 rows but y has 2"),
        ((EYE, EYE[:, 1:], None, [[1]] * 3), ValueError, "x has 3 columns but y has 2"),
    ],
)
def test_errors(arguments, kind, message):
    with pytest.raises(kind, match=re.escape(message)):
        sgns(*arguments)
