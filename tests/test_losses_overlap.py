"""Losses of soft counts: golden numbers, plain formulas, hard negatives, and denominators of 0."""

import re

import numpy as np
import pytest
from composed_losses import Loss, check_errors, check_input, check_missing, check_values
from fastpair import losses
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

P4, Y4 = np.array([0.9, 0.4, 0.6, 0.2]), np.array([1, 1, 0, 0])
inf = np.inf


def sigma(z):
    return 1 / (1 + np.exp(-z))


def probabilities(s, from_logits):
    return sigma(s) if from_logits else s


def soft_confusion(s, y, metric="f_beta", beta=1.0, sharpness=73.0, from_logits=True, zero_division=0.0):
    if len(y) == 0:
        return None
    hat = sigma(sharpness * (probabilities(s, from_logits) - 0.5))
    tp, fn, fp, tn = (hat * y).sum(), ((1 - hat) * y).sum(), (hat * (1 - y)).sum(), ((1 - hat) * (1 - y)).sum()
    if metric == "f_beta":
        return 1 - (1 + beta**2) * tp / ((1 + beta**2) * tp + beta**2 * fn + fp)
    if metric == "accuracy":
        return 1 - (tp + tn) / len(y)
    if y.all() or not y.any():
        return 1 - zero_division
    rates = tp / (tp + fn), tn / (tn + fp)
    return 1 - (np.mean(rates) if metric == "balanced_accuracy" else np.sqrt(rates[0] * rates[1]))


def dice(s, y, alpha=0.0, smooth=1e-4, squared=False, hard_ratio=None, from_logits=True):
    if len(y) == 0:
        return None
    p, kept = probabilities(s, from_logits), np.ones(len(y), bool)
    if hard_ratio is not None:
        negatives = sorted(np.flatnonzero(y == 0), key=lambda i: (-s[i], i))
        kept[negatives[int(hard_ratio * y.sum()) :]] = False
    p, y = (p * (1 - p) ** alpha)[kept], y[kept]
    power = 2 if squared else 1
    return 1 - (2 * (p * y).sum() + smooth) / ((p**power).sum() + y.sum() + smooth)


def tversky(s, y, alpha=0.5, beta=0.5, smooth=1e-4, from_logits=True):
    if len(y) == 0:
        return None
    p = probabilities(s, from_logits)
    tp, fp, fn = (p * y).sum(), (p * (1 - y)).sum(), ((1 - p) * y).sum()
    return 1 - (tp + smooth) / (tp + alpha * fp + beta * fn + smooth)


MILD = {"sharpness": 3.0}
LOSSES = {
    "f1": Loss("soft_confusion", soft_confusion, options=MILD),
    "f2": Loss("soft_confusion", soft_confusion, options={"beta": 2.0, **MILD}),
    "balanced accuracy": Loss("soft_confusion", soft_confusion, options={"metric": "balanced_accuracy", **MILD}),
    "gmean": Loss("soft_confusion", soft_confusion, options={"metric": "gmean", "zero_division": 0.3, **MILD}),
    "accuracy": Loss("soft_confusion", soft_confusion, options={"metric": "accuracy", **MILD}),
    "accuracy of probabilities": Loss(
        "soft_confusion", soft_confusion, options={"metric": "accuracy", "from_logits": False}, scores="probabilities"
    ),
    "dice": Loss("dice", dice),
    "dice, alpha 1": Loss("dice", dice, options={"alpha": 1.0}),
    "dice, alpha 0.5, squared": Loss("dice", dice, options={"alpha": 0.5, "squared": True, "smooth": 1.0}),
    "dice of probabilities": Loss(
        "dice", dice, options={"alpha": 0.7, "from_logits": False, "smooth": 0.0}, scores="probabilities"
    ),
    "dice, hard negatives": Loss("dice", dice, options={"hard_ratio": 0.8}),
    "tversky": Loss("tversky", tversky, options={"alpha": 0.3, "beta": 0.7}),
    "tversky of probabilities": Loss(
        "tversky", tversky, options={"alpha": 1.0, "beta": 2.0, "from_logits": False}, scores="probabilities"
    ),
}


@pytest.fixture(params=LOSSES)
def loss(request):
    return LOSSES[request.param]


def test_values_and_gradients(loss):
    check_values(loss)


def test_every_dtype_and_layout(loss, dtype):
    check_input(loss, dtype)


def test_what_is_missing(loss):
    check_missing(loss)


def test_errors(loss):
    check_errors(loss)


def test_golden_numbers():
    assert losses.soft_confusion(P4, Y4, from_logits=False) == pytest.approx(0.499662458673323, abs=1e-14)
    assert losses.dice(P4, Y4, from_logits=False) == pytest.approx(0.365844735494256, abs=1e-14)


@pytest.mark.parametrize("name", LOSSES)
def test_forms_of_labels(name):
    call, scores = LOSSES[name].call, P4
    value, grads = call(scores, Y4, return_grad=True)
    for labels in (Y4 > 0, 2 * Y4 - 1, Y4.astype(float), Y4.tolist(), Y4.astype(np.uint8)):
        again, others = call(scores, labels, return_grad=True)
        assert again == value
        np.testing.assert_array_equal(others.scores, grads.scores)
    assert call(scores, ["yes", "yes", "no", "no"], pos_label="yes") == value
    assert call(scores, [7, 7, 3, 3], pos_label=7) == value
    assert call(scores, np.array([7, 7, 3, np.nan]), pos_label=7) == call(scores[:3], Y4[:3])


@pytest.mark.parametrize(
    ("labels", "pos_label", "message"),
    [
        ([0, 1, 2, 1], None, "labels is 2 at index 2, which is neither class; pass bool, 0/1, -1/1, or any two"),
        ([0, 1, -1, 1], None, "labels is 0 at index 0, which is neither class"),
        ([0.5, 1, 0, 1], None, "labels is 0.5 at index 0"),
        ([1, 2, 3, 3], 3, "labels is 2 at index 1"),
        ([1, 2, 1, 1], 3, "labels is 2 at index 1"),
        (["a", "b", "a", "a"], None, "say which is positive with pos_label="),
    ],
)
def test_labels_that_are_not_two_classes(loss, labels, pos_label, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        loss.call(P4, labels, pos_label=pos_label)


def test_swapped_arguments_are_recognised(loss):
    with pytest.raises(TypeError, match="look swapped"):
        loss.call(Y4 > 0, P4)
    with pytest.raises(TypeError, match="pos_label='yes' is a string"):
        loss.call(P4, Y4, pos_label="yes")


@pytest.mark.parametrize("name", ["soft_confusion", "dice", "tversky"])
def test_probabilities_are_between_0_and_1(name):
    call = getattr(losses, name)
    with pytest.raises(ValueError, match=re.escape("scores is 1.5 at index 1, which is no probability")):
        call([0.5, 1.5], [1, 0], from_logits=False)
    with pytest.raises(TypeError, match="from_logits must be True or False"):
        call(P4, Y4, from_logits="yes")
    logits = np.log(P4 / (1 - P4))
    assert call(logits, Y4) == pytest.approx(call(P4, Y4, from_logits=False), rel=1e-12)


@given(scores=arrays.arrays(np.float64, 6, elements=st.floats(-1e308, 1e308, width=64)), seed=st.integers(0, 99))
def test_finite_scores_never_give_nan(scores, seed):
    labels = np.random.default_rng(seed).integers(0, 2, 6)
    for case in LOSSES.values():
        if case.options.get("from_logits", True):
            value, grads = case.call(scores, labels, return_grad=True)
            assert 0 <= value <= 1
            assert np.isfinite(grads.scores).all()


@pytest.mark.parametrize("name", LOSSES)
def test_infinite_logits_are_certain(name):
    loss = LOSSES[name]
    high, low = (1.0, 0.0) if loss.scores == "probabilities" else (inf, -inf)
    scores = np.array([high, low, high, low])
    value, grads = loss.call(scores, Y4, return_grad=True)
    assert 0 < value <= 1
    assert np.isfinite(grads.scores).all()


@pytest.mark.parametrize(
    ("metric", "labels", "scores"),
    [
        ("f_beta", [0, 0], [-inf, -inf]),  # nothing found where nothing is
        ("balanced_accuracy", [1, 1], [2.0, -1.0]),
        ("gmean", [0, 0], [2.0, -1.0]),
    ],
)
def test_metrics_that_divide_0_by_0(metric, labels, scores):
    for zero_division, expected in ((0.0, 1.0), (1.0, 0.0), (0.25, 0.75)):
        options = {"metric": metric, "zero_division": zero_division, "sharpness": 1e4, "return_grad": True}
        value, grads = losses.soft_confusion(scores, labels, **options)
        assert value == expected
        assert (grads.scores == 0).all()
    assert np.isnan(losses.soft_confusion([np.nan, 1.0], labels, metric=metric))


def test_small_losses_keep_their_digits():
    scores, labels = [300.0, -300.0], [1, 0]
    for metric in ("f_beta", "balanced_accuracy", "gmean", "accuracy"):
        value = losses.soft_confusion(scores, labels, metric=metric)
        assert value == pytest.approx(np.exp(-36.5), rel=1e-12)
    assert losses.dice(scores, labels, smooth=0) == pytest.approx(np.exp(-300), rel=1e-13)
    assert losses.tversky(scores, labels, smooth=0) == pytest.approx(np.exp(-300), rel=1e-13)


def test_a_root_of_0_has_no_gradient():
    value, grads = losses.soft_confusion([-5.0, 5.0], [1, 0], metric="gmean", sharpness=1e6, return_grad=True)
    assert value == 1
    assert (grads.scores == 0).all()


def test_dice_and_tversky_of_nothing():
    for call in (losses.dice, losses.tversky):
        value, grads = call([-inf, -inf], [0, 0], smooth=0, return_grad=True)
        assert value == 0
        assert (grads.scores == 0).all()
    assert losses.dice([1.0, 2.0], [0, 0], hard_ratio=3) == 0  # no positives, no negatives to keep


def test_tversky_with_halves_is_dice_with_twice_the_smoothing(rng):
    scores, labels = rng.normal(size=20), rng.integers(0, 2, 20)
    expected = losses.dice(scores, labels, smooth=0.6)
    assert losses.tversky(scores, labels, smooth=0.3) == pytest.approx(expected, rel=1e-13)


@pytest.mark.parametrize("ratio", [0, 0.5, 1, 1.5, 3, 100])
def test_hard_negatives_are_the_highest_and_the_first_of_equal_ones(ratio):
    scores = np.array([0.5, 2.0, 1.0, 1.0, -3.0, 1.0, 2.0, 0.1])
    labels = np.array([1, 0, 0, 0, 1, 0, 0, 0])
    value, grads = losses.dice(scores, labels, hard_ratio=ratio, return_grad=True)
    assert value == pytest.approx(dice(scores, labels, hard_ratio=ratio), rel=1e-13)
    hardest = np.array([1, 6, 2, 3, 5, 7])[: int(2 * ratio)]
    assert np.flatnonzero(grads.scores[labels == 0]).tolist() == sorted(np.searchsorted([1, 2, 3, 5, 6, 7], hardest))


def test_the_pole_at_certainty_has_no_gradient():
    for alpha, expected in ((0.0, True), (0.5, False), (1.0, True), (2.0, False)):
        grads = losses.dice([1.0, 0.5], [1, 0], alpha=alpha, from_logits=False, return_grad=True)[1]
        assert np.isfinite(grads.scores).all()
        assert (grads.scores[0] != 0) == expected


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        (
            "soft_confusion",
            {"metric": "f1"},
            "metric must be one of 'f_beta', 'balanced_accuracy', 'gmean', 'accuracy'",
        ),
        ("soft_confusion", {"beta": 0}, "beta must be larger than 0"),
        ("soft_confusion", {"sharpness": -1}, "sharpness must be larger than 0"),
        ("soft_confusion", {"zero_division": np.nan}, "zero_division must be finite"),
        ("dice", {"alpha": -1}, "alpha must be at least 0"),
        ("dice", {"smooth": -1}, "smooth must be at least 0"),
        ("dice", {"hard_ratio": -1}, "hard_ratio must be at least 0"),
        ("tversky", {"alpha": -1}, "alpha must be at least 0"),
        ("tversky", {"beta": inf}, "beta must be finite"),
    ],
)
def test_options(name, options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        getattr(losses, name)(P4, Y4, **options)
