"""listnet and softmax: what is their own. `test_list_losses.py` compares both with the oracle."""

from math import log

import cases
import helpers
import numpy as np
import oracle_losses as oracle
import pytest
from fastpair import losses
from score_losses import assert_close, sample

INF = np.inf


def softmax(x):
    e = np.exp(x - np.max(x))
    return e / e.sum()


def test_the_number_of_the_specification(isa):
    value, grads = losses.listnet([2, 1, 0.5], [3, 1, 2], return_grad=True)
    assert value == pytest.approx(0.921492063861, abs=1e-12)
    expected = softmax(np.array([2, 1, 0.5])) - softmax(np.array([3.0, 1, 2]))
    np.testing.assert_allclose(grads.scores, expected, rtol=1e-12, atol=1e-15)


def test_raw_labels_are_not_normalised():
    value, grads = losses.softmax([2.0, 1.0, 3.0], [1, 0, 0], return_grad=True)
    assert value == pytest.approx(1.40760596444438, rel=1e-13)
    double, double_grads = losses.softmax([2.0, 1.0, 3.0], [2, 0, 0], return_grad=True)
    assert double == pytest.approx(2 * value, rel=1e-13)
    np.testing.assert_allclose(double_grads.scores, 2 * grads.scores, rtol=1e-12)


@pytest.mark.parametrize("loss", ["listnet", "softmax"])
def test_equal_scores_give_the_logarithm_of_their_number(loss, isa):
    for n in (2, 5, 100):
        targets = np.arange(n) / (n * (n - 1) / 2)
        value = getattr(losses, loss)(np.full(n, 3.0), targets)
        assert value == pytest.approx(log(n), rel=1e-13)


@pytest.mark.parametrize("temperature", [0.1, 1.0, 3.0])
def test_the_temperature_of_listnet(temperature):
    """It divides the scores; what it does to relevance is said in the documentation."""
    scores, grades, offsets = sample("grades")
    _, grads = losses.listnet(scores, grades, offsets=offsets, temperature=temperature, return_grad=True)
    numeric = oracle.central(lambda s: losses.listnet(s, grades, offsets=offsets, temperature=temperature), scores)
    np.testing.assert_allclose(grads.scores, numeric, atol=1e-7)
    one = losses.listnet([1.0, 0.0], [0.5, 0.5], temperature=temperature)
    assert one == pytest.approx(float(np.log1p(np.exp(1 / temperature))) - 0.5 / temperature, rel=1e-12)


@pytest.mark.parametrize("loss", ["listnet", "softmax"])
def test_a_shift_changes_nothing(loss):
    scores, grades, offsets = sample("grades")
    scores = np.rint(scores * 64) / 64
    value, grads = getattr(losses, loss)(scores, grades, offsets=offsets, return_grad=True)
    for shift in (-700.0, 1000.0, 2.0**40):
        found, shifted = getattr(losses, loss)(scores + shift, grades, offsets=offsets, return_grad=True)
        assert found == pytest.approx(value, rel=1e-12)
        np.testing.assert_allclose(shifted.scores, grads.scores, atol=1e-14)


def test_the_smallest_listnet_is_the_entropy_of_its_targets():
    scores, grades, offsets = sample("grades")
    value, grads = losses.listnet(grades.astype(float), grades, offsets=offsets, return_grad=True)
    np.testing.assert_allclose(grads.scores, 0, atol=1e-15)
    assert losses.listnet(scores, grades, offsets=offsets) > value > 0


def test_a_list_without_mass_is_skipped():
    scores = np.array([0.5, 1.0, 0.2, 2.0])
    value = losses.softmax(scores[2:], [1, 0])
    found, grads = losses.softmax(scores, [0, 0, 1, 0], offsets=[0, 2, 4], return_grad=True)
    assert found == pytest.approx(value, rel=1e-14)
    np.testing.assert_array_equal(grads.scores[:2], 0)


def test_scores_of_minus_infinity():
    """What has no share of the softmax costs nothing unless something is wanted of it."""
    value = losses.softmax([0.3, 0.1], [1.0, 0.5])
    assert losses.softmax([-INF, 0.3, 0.1], [0.0, 1.0, 0.5]) == pytest.approx(value, rel=1e-13)
    for call in (losses.softmax, losses.listnet):
        found, grads = call([-INF, 0.3, 0.1], [1.0, 1.0, 0.5], return_grad=True)
        assert found == INF
        assert not np.isnan(grads.scores).any()


@pytest.mark.parametrize("loss", ["listnet", "softmax"])
def test_large_scores(loss, isa):
    for scores in ([700.0, -700.0, 0.0], [1e5, 1e5, -1e5], [-1000.0, -1001.0, -1002.0]):
        wanted = oracle.cross_entropy(scores, [1, 0, 2], target="softmax" if loss == "listnet" else "raw")
        value, grads = getattr(losses, loss)(scores, [1, 0, 2], return_grad=True)
        assert_close(value, wanted.total, wanted.total)
        assert_close(grads.scores, wanted.grad, wanted.size)


@pytest.mark.parametrize("loss", ["listnet", "softmax"])
def test_a_long_list(loss, isa):
    rng = cases.generator("long")
    scores, targets = rng.normal(0, 3, 1500), rng.random(1500)
    wanted = oracle.cross_entropy(scores, targets, target="softmax" if loss == "listnet" else "raw")
    for threads in helpers.THREADS:
        value, grads = getattr(losses, loss)(scores, targets, return_grad=True, num_threads=threads)
        assert_close(value, wanted.total, wanted.total)
        assert_close(grads.scores, wanted.grad, wanted.size)
