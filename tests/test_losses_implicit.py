"""Losses of implicit feedback: plain formulas, one pair at a time, and scores so large that naive forms fail."""

import re

import cases
import numpy as np
import pytest
from composed_losses import central
from fastpair import losses
from hypothesis import given
from hypothesis import strategies as st
from layouts import LAYOUTS

RATES = [0.0, 1e-9, 0.2, 0.5, 1 - 1e-9]
inf = np.inf


def nbpo(x, y, rate):
    """By the definition, in long double."""
    x, rate = np.asarray(x, np.longdouble), np.asarray(rate, np.longdouble)
    p = (1 - rate) / (1 + np.exp(-x))
    return np.where(y, -np.log(p), -np.log1p(-p))


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("shape", [(9,), (4, 5), (2, 3, 2)])
def test_values_and_gradients(rate, shape, rng):
    scores, labels = rng.normal(size=shape) * 3, rng.integers(0, 2, shape)
    weights, upstream = rng.random(shape), rng.normal(size=shape)
    missing = labels.astype(float)
    missing.flat[::4] = np.nan
    for known in (labels, missing):
        counts = known == known
        for own in (None, weights):
            for reduction in ("mean", "sum", "none"):

                def total(at, known=known, own=own, reduction=reduction):
                    terms = np.where(known == known, nbpo(at, known == 1, rate) * (1 if own is None else own), 0)
                    if reduction == "none":
                        return float((terms * upstream).sum())
                    return float(terms.sum() / ((known == known).sum() if reduction == "mean" else 1))

                needs = {"grad_output": upstream} if reduction == "none" else {}
                how = {"weights": own, "reduction": reduction, "flip_rate": rate}
                value, grads = losses.nbpo(scores, known, return_grad=True, **how, **needs)
                assert np.shape(value) == (shape if reduction == "none" else ())
                found = (value * upstream).sum() if reduction == "none" else value
                assert found == pytest.approx(total(scores), rel=1e-12, abs=1e-14)
                np.testing.assert_allclose(grads.scores, central(total, scores), atol=2e-8)
                assert (grads.scores[~counts] == 0).all()
                np.testing.assert_array_equal(losses.nbpo(scores, known, **how), value, strict=True)


def test_without_flips_it_is_bpo(rng):
    scores, labels = rng.normal(size=50), rng.integers(0, 2, 50)
    expected = losses.bpo(scores, labels, return_grad=True)
    value, grads = losses.nbpo(scores, labels, flip_rate=0, return_grad=True)
    assert value == expected[0]
    np.testing.assert_array_equal(grads.scores, expected[1].scores)
    logistic = np.where(labels == 1, np.log1p(np.exp(-scores)), np.log1p(np.exp(scores)))
    assert value == pytest.approx(logistic.mean(), rel=1e-14)
    assert losses.bpo(scores, labels, reduction="sum") == pytest.approx(logistic.sum(), rel=1e-14)


def test_rates_for_each_pair(rng):
    scores, labels, rates = rng.normal(size=(6, 4)), rng.integers(0, 2, (6, 4)), rng.random((6, 4))
    for shape in ((6, 4), (4,), (6, 1), ()):
        own = rates[tuple(slice(None) if n > 1 else 0 for n in (6, 4))] if shape == (6, 4) else rates.flat[0]
        own = {(4,): rates[0], (6, 1): rates[:, :1]}.get(shape, own)
        found = losses.nbpo(scores, labels, flip_rate=own, reduction="none")
        np.testing.assert_allclose(found, nbpo(scores, labels, own).astype(float), rtol=1e-12)


@pytest.mark.parametrize("rate", RATES)
def test_digits_are_kept_at_every_size(rate):
    scores = np.array([-700.0, -300, -50, -1e-9, 0, 1e-9, 40, 300, 700])
    for label in (0, 1):
        found = losses.nbpo(scores, np.full(9, label), flip_rate=rate, reduction="none")
        np.testing.assert_allclose(found, exact(scores, label, rate), rtol=1e-14)


def exact(scores, label, rate):
    """In a form without cancellation, in long double: its range holds e^700."""
    x, rate = scores.astype(np.longdouble), np.longdouble(rate)
    if label:
        return (np.log1p(np.exp(-x)) - np.log1p(-rate)).astype(float)
    return np.log1p((1 - rate) * np.exp(x) / (1 + rate * np.exp(x))).astype(float)


@given(st.floats(-1e308, 1e308, width=64), st.floats(0, 1, exclude_max=True), st.integers(0, 1))
def test_finite_scores_never_give_nan(score, rate, label):
    value, grads = losses.nbpo([score], [label], flip_rate=rate, return_grad=True)
    assert value >= 0
    assert np.isfinite(value)
    assert abs(grads.scores[0]) <= 1


def test_large_scores_cost_what_they_are():
    value, grads = losses.bpo([-800.0, 1e5, 800.0, -1e5], [1, 0, 1, 0], reduction="sum", return_grad=True)
    assert value == 100_800
    assert grads.scores.tolist() == [-1, 1, 0, 0]
    value, grads = losses.nbpo([1e5, inf], [0, 0], flip_rate=0.25, reduction="sum", return_grad=True)
    assert value == pytest.approx(2 * np.log(4), rel=1e-15)
    assert grads.scores.tolist() == [0, 0]


def test_infinite_and_missing_scores():
    value = losses.bpo([inf, -inf, inf, -inf, np.nan], [1, 0, 0, 1, 1], reduction="none")
    np.testing.assert_array_equal(value, [0, 0, inf, inf, np.nan])
    options = {"reduction": "none", "return_grad": True, "grad_output": np.ones(3)}
    value, grads = losses.nbpo([np.nan, 1.0, np.nan], [0, 0, np.nan], flip_rate=0.1, **options)
    assert np.isnan(value).tolist() == np.isnan(grads.scores).tolist() == [True, False, False]
    assert grads.scores[2] == 0


@pytest.mark.parametrize("call", [losses.bpo, lambda *a, **k: losses.nbpo(*a, flip_rate=0.3, **k)])
def test_every_dtype_and_layout(call, dtype, rng):
    full = cases.as_dtype(dtype)
    scores, labels = rng.normal(size=30), rng.integers(0, 2, 30)
    if full.kind in "iub":
        scores = scores > 0 if full.kind == "b" else np.rint(2 * scores) + (8 if full.kind == "u" else 0)
    scores = scores.astype(full)
    kind = np.dtype(np.float64) if full.kind in "iub" else full
    value, exact_grads = call(scores.astype(np.float64), labels, return_grad=True)
    for name, layout in LAYOUTS.items():
        found, grads = call(layout(scores), layout(labels), return_grad=True)
        assert found == value, name
        assert grads.scores.dtype == kind, name
        np.testing.assert_array_equal(grads.scores, exact_grads.scores.astype(kind), err_msg=name)
    table = call(np.asfortranarray(scores.reshape(5, 6)), labels.reshape(5, 6), return_grad=True)
    assert table[0] == value
    np.testing.assert_array_equal(table[1].scores, exact_grads.scores.astype(kind).reshape(5, 6))


def test_forms_of_labels():
    scores, labels = [0.3, -1.0, 2.0], np.array([1, 0, 0])
    expected = losses.bpo(scores, labels)
    for same in (labels > 0, 2 * labels - 1, labels.astype(float)):
        assert losses.bpo(scores, same) == expected
    assert losses.bpo(scores, ["bought", "not", "not"], pos_label="bought") == expected
    assert losses.bpo(scores, [2, 5, 5], pos_label=2) == expected


def test_nothing_at_all():
    for scores, labels in (([], []), (np.zeros((0, 3)), np.zeros((0, 3))), ([1.0], [np.nan])):
        value, grads = losses.bpo(scores, labels, return_grad=True)
        assert value == 0
        assert type(value) is np.float64
        assert grads.scores.shape == np.shape(scores)
        assert (grads.scores == 0).all()
    assert losses.bpo([1.0, 2.0], [np.nan, 1], on_empty="zero") == pytest.approx(losses.bpo([2.0], [1]) / 2)
    with pytest.raises(ValueError, match="on_empty='error'"):
        losses.bpo([1.0], [np.nan], on_empty="error")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"flip_rate": 1}, "flip_rate holds 1.0; pass probabilities of at least 0 and less than 1"),
        ({"flip_rate": [0.1, -0.1]}, "flip_rate holds -0.1"),
        ({"flip_rate": np.nan}, "flip_rate holds nan"),
        ({"flip_rate": [0.1, 0.2, 0.3]}, "flip_rate has shape (3,), which does not broadcast to that of scores, (2,)"),
        ({"flip_rate": 0, "weights": [1]}, "weights has shape (1,); pass that of scores, (2,)"),
        ({"flip_rate": 0, "weights": [1, -1]}, "weights is -1 at index 1"),
        ({"flip_rate": 0, "reduction": "none", "return_grad": True}, "needs grad_output="),
        ({"flip_rate": 0, "reduction": "all"}, "reduction must be one of"),
    ],
)
def test_errors(options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        losses.nbpo([0.0, 1.0], [0, 1], **options)


def test_errors_of_the_arrays():
    with pytest.raises(ValueError, match=re.escape("labels has shape (3,) but scores has (2,)")):
        losses.bpo([0.0, 1.0], [0, 1, 1])
    with pytest.raises(ValueError, match=re.escape("labels is 2 at index (1, 0)")):
        losses.bpo(np.zeros((2, 2)), [[0, 1], [2, 1]])
    with pytest.raises(TypeError, match="scores has dtype complex128"):
        losses.bpo([1j], [1])
    with pytest.raises(TypeError, match="flip_rate"):
        losses.nbpo([1.0], [1])
