"""loss_weights and resample_by_loss: golden values, probabilities, streams of random numbers."""

import re

import numpy as np
import pytest
from fastpair import losses
from fastpair.mining._loss_weights import loss_weights, resample_by_loss

SPEC = [0.5, 1.0, 1.275, 2.0]
SHAPES = {
    "linupper": lambda h, d: min(h + d, d),
    "quadratic": lambda h, d: 1 - h**2 / d**2,
    "upper": lambda h, d: h / 2 + d / 2,
    "extremes": lambda h, d: abs(h),
}


def naive(values, kind, delta, low, high, r):
    """The definition."""
    width = high - low
    shaped = [SHAPES[kind](2 * delta * v / width - delta * (high + low) / width, delta) for v in values]
    powers = np.exp(np.array(shaped) / r)
    return powers / powers.sum()


def test_golden_values():
    np.testing.assert_allclose(loss_weights(SPEC), [0.081009, 0.209964, 0.354514, 0.354514], atol=5e-7)


@pytest.mark.parametrize("kind", SHAPES)
def test_the_definition(kind, rng):
    values = rng.gamma(2.0, size=30)
    found = loss_weights(values, kind, delta=0.8, low=0.5, high=2.5, r=0.3)
    np.testing.assert_allclose(found, naive(values, kind, 0.8, 0.5, 2.5, 0.3))
    assert found.sum() == pytest.approx(1)
    batch = loss_weights(values, kind, low=None, high=None)
    np.testing.assert_allclose(batch, naive(values, kind, 1.0, values.min(), values.max(), 1.0))


def test_equal_weights():
    assert loss_weights(SPEC, step=999).tolist() == [0.25] * 4
    np.testing.assert_array_equal(loss_weights(SPEC, step=1000), loss_weights(SPEC))
    assert loss_weights([3.0, 3.0], low=None, high=None).tolist() == [0.5, 0.5]
    assert loss_weights([], low=None).shape == (0,)
    np.testing.assert_allclose(loss_weights(SPEC, r=1e12), 0.25)
    assert loss_weights([0.0, 1e6], "upper").tolist() == [0, 1]


def test_functions_are_normalised_and_leave_the_losses_alone():
    values = np.array(SPEC)

    def double(given):
        given *= 2
        return given

    np.testing.assert_allclose(loss_weights(values, double), values / values.sum())
    assert values.tolist() == SPEC
    assert loss_weights(SPEC, np.zeros_like).tolist() == [0.25] * 4


@pytest.mark.parametrize(
    ("arguments", "options", "kind", "message"),
    [
        ([[[1.0]]], {}, ValueError, "losses has shape (1, 1)"),
        ([[np.nan]], {}, ValueError, "losses is nan at index 0"),
        ([SPEC, "lower"], {}, ValueError, "kind must be one of 'linupper'"),
        ([SPEC], {"delta": 0}, ValueError, "delta must be larger than 0"),
        ([SPEC], {"r": 0}, ValueError, "r must be larger than 0"),
        ([SPEC], {"low": 2}, ValueError, "low is 2 and high 1.8"),
        ([SPEC], {"low": None, "high": 0.1}, ValueError, "low is 0.5 and high 0.1, of which one is from the batch"),
        ([SPEC], {"step": -1}, ValueError, "step must be at least 0"),
        ([SPEC], {"warmup": 0.5}, TypeError, "warmup must be an integer"),
        ([SPEC, lambda v: v[:1]], {}, ValueError, "the result of kind has shape (1,)"),
        ([SPEC, lambda v: -v], {}, ValueError, "the result of kind is -0.5 at index 0"),
    ],
)
def test_errors(arguments, options, kind, message):
    with pytest.raises(kind, match=re.escape(message)):
        loss_weights(*arguments, **options)


def test_golden_probabilities():
    found = resample_by_loss([0.2, 0.3, 0.6], seed=0)
    np.testing.assert_allclose(found.probabilities, [0.721399, 0.265388, 0.013213], atol=5e-7)
    assert found.indices.shape == (1,)
    np.testing.assert_allclose(resample_by_loss([1.0, 5.0], temperature=np.inf, seed=0).probabilities, 0.5)


def test_draws_follow_the_probabilities():
    count = 20000
    found = resample_by_loss(np.tile([0.2, 0.3, 0.6], count), offsets=np.arange(0, 3 * count + 1, 3), seed=3)
    shares = np.bincount(found.indices % 3, minlength=3) / count
    np.testing.assert_allclose(shares, found.probabilities[:3], atol=0.015)
    assert (found.indices // 3 == np.arange(count)).all()


def test_groups_in_any_order_and_empty_pools(rng):
    values, ids = rng.random(200), rng.integers(0, 30, 200)
    found = resample_by_loss(values, groups=ids, seed=7)
    firsts = list(dict.fromkeys(ids.tolist()))
    assert ids[found.indices].tolist() == firsts
    order = np.argsort(ids, kind="stable")
    for group in firsts:
        assert found.probabilities[ids == group].sum() == pytest.approx(1)
    sizes = np.bincount(ids, minlength=30)
    borders = np.concatenate([[0], np.cumsum(sizes)])
    np.testing.assert_allclose(
        resample_by_loss(values[order], offsets=borders, seed=1).probabilities, found.probabilities[order]
    )
    empty = resample_by_loss([0.5, 0.1], offsets=[0, 0, 2, 2], seed=1)
    assert empty.indices[[0, 2]].tolist() == [-1, -1]
    assert empty.indices[1] in (0, 1)
    none = resample_by_loss([], seed=1)
    assert none.indices.tolist() == [-1]
    assert none.probabilities.shape == (0,)


def test_seeds():
    values, ids = np.linspace(0, 0.3, 60), np.arange(60) % 6
    first = resample_by_loss(values, groups=ids, seed=5)
    np.testing.assert_array_equal(resample_by_loss(values, groups=ids, seed=5).indices, first.indices)
    rng = np.random.default_rng(5)
    np.testing.assert_array_equal(resample_by_loss(values, groups=ids, seed=rng).indices, first.indices)
    assert (resample_by_loss(values, groups=ids, seed=rng).indices != first.indices).any()
    # The noise of a candidate does not depend on its pool.
    alone = resample_by_loss(values, groups=np.where(ids == 2, 0, 1), seed=5)
    assert alone.indices[1] == first.indices[2]


def test_losses_of_candidates():
    found = resample_by_loss(losses.bpr([2.0, 0.0], [0.0, 2.0], reduction="none"), temperature=0.01, seed=2)
    assert found.indices.tolist() == [0]


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"losses": [[1.0]]}, ValueError, "losses has shape (1, 1)"),
        ({"losses": [-np.inf]}, ValueError, "losses is -inf at index 0"),
        ({"temperature": 0}, ValueError, "temperature must be larger than 0"),
        ({"temperature": "a"}, TypeError, "temperature must be a number"),
        ({"groups": [1]}, ValueError, "groups has shape (1,)"),
        ({"offsets": [0, 1]}, ValueError, "offsets"),
        ({"groups": [1, 1], "offsets": [0, 2]}, ValueError, "groups and offsets were both given"),
        ({"seed": 1.5}, TypeError, "seed must be an integer"),
    ],
)
def test_errors_of_resampling(options, kind, message):
    with pytest.raises(kind, match=re.escape(message)):
        resample_by_loss(**{"losses": [0.1, 0.2], **options})
