"""Losses of candidate sequences: golden numbers, plain formulas by list, margins, lengths, and the penalty."""

import re

import numpy as np
import pytest
from composed_losses import Loss, central, check_errors, check_input, check_missing, check_values
from fastpair import losses
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

S4, Y4 = np.array([1.0, 0.5, 0.2, -0.3]), np.array([1, 1, 0, 0])
inf = np.inf


def lag_margin_ranking(f, r, margin=0.001):
    f, total = f[np.argsort(-r, kind="stable")], 0.0
    for lag in range(1, len(f)):
        total += np.mean([max(f[i + lag] - f[i] + lag * margin, 0) for i in range(len(f) - lag)])
    return total if len(f) > 1 else None


def disco(s, y, temperature=10.0, positive_weights=None):
    weights = np.ones(len(s)) if positive_weights is None else positive_weights
    if not (y == 1).any() or not (y == 0).any():
        return None
    level = temperature * (np.logaddexp.reduce(s[y == 0] / temperature) - np.log((y == 0).sum()))
    return level - np.average(s[y == 1], weights=weights[y == 1])


def drpo(s, y, lengths, temperature=10.0, length_temperature=0.1, max_length=None):
    return disco(s, y, temperature, np.exp((1 - lengths / max_length) / length_temperature))


LOSSES = {
    "lag_margin_ranking": Loss("lag_margin_ranking", lag_margin_ranking, "grades"),
    "lag_margin_ranking, 0.3": Loss("lag_margin_ranking", lag_margin_ranking, "grades", {"margin": 0.3}),
    "disco": Loss("disco", disco),
    "disco, 0.1": Loss("disco", disco, options={"temperature": 0.1}),
    "disco, weighted": Loss("disco", disco, companions=("positive_weights",)),
    "drpo": Loss("drpo", drpo, options={"max_length": 50.0}, companions=("lengths",)),
    "drpo, 1": Loss("drpo", drpo, options={"max_length": 64, "length_temperature": 1.0}, companions=("lengths",)),
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
    assert losses.lag_margin_ranking([0.5, 0.6, 0.2], margin=0.1) == pytest.approx(0.1, rel=1e-14)
    assert losses.disco(S4, Y4, temperature=1) == pytest.approx(-0.769070196380, abs=1e-12)
    assert losses.disco(S4, Y4) == pytest.approx(-0.796875325467, abs=1e-12)


finite = arrays.arrays(np.float64, 7, elements=st.floats(-1e307, 1e307, width=64))


@given(scores=finite, seed=st.integers(0, 99))
def test_finite_scores_never_give_nan(scores, seed):
    rng = np.random.default_rng(seed)
    labels, groups = rng.integers(0, 2, 7), rng.integers(0, 2, 7)
    for case in LOSSES.values():
        companions = {name: rng.random(7) for name in case.companions}
        value, grads = case.call(scores, labels, groups=groups, return_grad=True, **companions)
        assert not np.isnan(value), case.name
        assert np.isfinite(grads.scores).all(), case.name


class TestLagMargin:
    def test_the_order_given_is_that_of_relevance(self, rng):
        scores = rng.normal(size=12)
        expected = losses.lag_margin_ranking(scores, offsets=[0, 5, 12], return_grad=True)
        found = losses.lag_margin_ranking(scores, -np.arange(12), offsets=[0, 5, 12], return_grad=True)
        assert found[0] == expected[0]
        np.testing.assert_array_equal(found[1].scores, expected[1].scores)
        assert found[1].gold is None

    def test_in_order_and_far_enough_apart_costs_nothing(self):
        value, grads = losses.lag_margin_ranking([0.75, 0.5, 0.25, 0.0], margin=0.25, return_grad=True)
        assert value == 0  # at the kinks
        assert (grads.scores == 0).all()

    def test_gradients_count_violations(self):
        grads = losses.lag_margin_ranking([0.0, 1.0, 2.0], margin=0, return_grad=True)[1]
        np.testing.assert_allclose(grads.scores, [-0.5 - 1, 0.5 - 0.5, 0.5 + 1])

    @pytest.mark.parametrize("weight", [0.0, 1.0, 2.5])
    def test_the_reference_is_to_beat_all(self, weight, rng):
        scores, gold, own = rng.normal(size=9), rng.normal(size=4), rng.random(4)
        offsets = [0, 4, 5, 5, 9]

        def total(scores, gold):
            values = []
            for start, stop, best in zip(offsets[:-1], offsets[1:], gold, strict=True):
                f = scores[start:stop]
                lags = lag_margin_ranking(f, -np.arange(len(f)), 0.1) or 0.0
                if len(f):
                    values.append(lags + weight * np.maximum(f - best + 0.2, 0).mean())
                else:
                    values.append(0.0)
            return np.array(values) @ own / 3

        options = {"offsets": offsets, "margin": 0.1, "gold_margin": 0.2, "gold_weight": weight, "weights": own}
        value, grads = losses.lag_margin_ranking(scores, gold=gold, return_grad=True, **options)
        assert value == pytest.approx(total(scores, gold), rel=1e-13)
        np.testing.assert_allclose(grads.scores, central(lambda s: total(s, gold), scores), atol=1e-8)
        np.testing.assert_allclose(grads.gold, central(lambda g: total(scores, g), gold), atol=1e-8)
        assert losses.lag_margin_ranking(scores, gold=gold, **options) == value
        grads = losses.lag_margin_ranking(scores, gold=gold.astype(np.float32), return_grad=True, **options)[1]
        assert grads.gold.dtype == np.float32

    def test_a_reference_that_is_nan(self):
        how = {"offsets": [0, 2, 4], "gold": [np.nan, 0.0]}
        ones = {"reduction": "none", "return_grad": True, "grad_output": [1, 1]}
        value, grads = losses.lag_margin_ranking(S4, **how, **ones)
        assert np.isnan(value).tolist() == np.isnan(grads.gold).tolist() == [True, False]
        assert np.isnan(grads.scores).tolist() == [True, True, False, False]

    def test_infinite_scores(self):
        assert losses.lag_margin_ranking([inf, 0.0, -inf]) == 0
        assert losses.lag_margin_ranking([-inf, 0.0]) == inf
        assert losses.lag_margin_ranking([inf, inf], margin=0.5) == 0.5

    def test_lists_of_very_different_lengths(self, rng):
        sizes = [1, 40, 2, 0, 3, 7]
        offsets, scores = np.concatenate([[0], np.cumsum(sizes)]), rng.normal(size=sum(sizes))
        found = losses.lag_margin_ranking(scores, offsets=offsets, margin=0.02, reduction="none")
        for value, start, stop in zip(found, offsets[:-1], offsets[1:], strict=True):
            expected = lag_margin_ranking(scores[start:stop], -np.arange(stop - start), 0.02)
            assert value == pytest.approx(expected or 0.0, rel=1e-13)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"margin": -0.1}, "margin must be at least 0"),
            ({"gold_margin": -0.1}, "gold_margin must be at least 0"),
            ({"gold_weight": -1}, "gold_weight must be at least 0"),
            ({"gold": [1.0, 2.0]}, "gold has shape (2,); pass shape (1,), one number for each list"),
        ],
    )
    def test_options(self, options, message):
        with pytest.raises(ValueError, match=re.escape(message)):
            losses.lag_margin_ranking(S4, **options)


class TestDisco:
    def test_temperatures_at_the_ends(self):
        difference, largest = -(0.75 - (0.2 - 0.3) / 2), -(0.75 - 0.2)
        assert losses.disco(S4, Y4, temperature=1e12) == pytest.approx(difference, abs=1e-12)
        assert losses.disco(S4, Y4, temperature=1e-12) == pytest.approx(largest, abs=1e-11)

    def test_adding_a_constant_changes_nothing(self):
        scores, labels = np.array([64, 32, 16, -16]) / 64, Y4
        expected = losses.disco(scores, labels, return_grad=True)
        value, grads = losses.disco(scores - 2.0**40, labels, return_grad=True)
        assert value == expected[0]
        np.testing.assert_array_equal(grads.scores, expected[1].scores)

    def test_counting_all_lists_is_what_the_authors_do(self):
        scores, labels = np.append(S4, [1.0, 2.0]), np.append(Y4, [1, 1])
        value = losses.disco(scores, labels, offsets=[0, 4, 6], on_empty="zero")
        assert value == pytest.approx(losses.disco(S4, Y4) / 2, rel=1e-15)

    def test_positives_without_weight(self):
        value, grads = losses.disco(S4, Y4, positive_weights=[0, 3, 9, 9], return_grad=True)
        assert value == pytest.approx(losses.disco(S4[1:], Y4[1:]), rel=1e-15)
        assert grads.scores[0] == 0
        assert losses.disco(S4, Y4, positive_weights=[0, 0, 1, 1]) == 0
        assert losses.disco(S4, Y4, positive_weights=[1e308, 1e308, 0, 0]) == pytest.approx(losses.disco(S4, Y4))
        assert np.isnan(losses.disco([np.nan, 1, 0], [1, 1, 0], positive_weights=[0, 1, 1]))

    def test_infinite_scores(self):
        for scores, expected in [
            ([inf, 0.0], -inf),
            ([0.0, -inf], -inf),
            ([-inf, 0.0], inf),
            ([0.0, inf], inf),
            ([inf, inf], 0.0),
            ([-inf, -inf], 0.0),
        ]:
            value, grads = losses.disco(scores, [1, 0], return_grad=True)
            assert value == expected
            np.testing.assert_array_equal(grads.scores, [-1, 1])
        value, grads = losses.disco([0.0, 1.0, -inf], [1, 0, 0], temperature=1, return_grad=True)
        assert value == pytest.approx(1 - np.log(2))
        np.testing.assert_array_equal(grads.scores, [-1, 1, 0])

    @pytest.mark.parametrize("reduction", ["mean", "sum"])
    def test_the_penalty(self, reduction):
        plain = losses.disco(S4, Y4, reduction=reduction)
        for kl, rate in ((0.0, 0.0), (1e-4, 0.0), (3e-4, 0.2), (-1.0, 0.0)):
            value, grads = losses.disco(S4, Y4, kl=kl, reduction=reduction, return_grad=True)
            assert value == pytest.approx(plain + rate * kl, rel=1e-14)
            assert grads.kl == pytest.approx(rate, abs=1e-15)
            assert type(grads.kl) is type(value) is np.float64
        value, grads = losses.disco([1.0], [1], kl=0.5, beta=2, delta=0.1, return_grad=True)
        assert value == pytest.approx(0.4)  # nothing but the penalty
        assert losses.disco(S4, Y4, return_grad=True)[1].kl is None

    def test_lengths(self):
        lengths = [900, 300, 500, 1000]
        value = losses.drpo(S4, Y4, lengths)
        assert value == pytest.approx(drpo(S4, Y4, np.array(lengths), max_length=1000), rel=1e-14)
        assert losses.drpo(S4, Y4, lengths, length_temperature=1e12) == pytest.approx(losses.disco(S4, Y4), rel=1e-10)
        # The shorter of two positives alone: no weight overflows, no list is lost.
        only = losses.disco(S4[1:], Y4[1:])
        assert losses.drpo(S4, Y4, lengths, length_temperature=1e-6) == pytest.approx(only, rel=1e-14)
        assert losses.drpo(S4, Y4, [5, 5, 1, 1]) == pytest.approx(losses.disco(S4, Y4), rel=1e-15)
        assert losses.drpo(S4, Y4, [0, 0, 0, 0]) == pytest.approx(losses.disco(S4, Y4), rel=1e-15)

    @pytest.mark.parametrize(
        ("name", "options", "message"),
        [
            ("disco", {"temperature": 0}, "temperature must be larger than 0"),
            ("disco", {"positive_weights": [1, 1]}, "positive_weights has shape (2,) but scores has (4,)"),
            ("disco", {"positive_weights": [1, -1, 0, 0]}, "positive_weights is -1 at index 1"),
            ("disco", {"kl": inf}, "kl must be finite"),
            ("disco", {"beta": -1}, "beta must be at least 0"),
            ("disco", {"kl": 0.1, "reduction": "none"}, "kl was given with reduction='none'"),
            ("disco", {"labels": [0, 1, 2, 1]}, "labels is 2 at index 2"),
            ("drpo", {"length_temperature": 0}, "length_temperature must be larger than 0"),
            ("drpo", {"max_length": 0}, "max_length must be larger than 0"),
            ("drpo", {"lengths": [1, 2, 3]}, "lengths has shape (3,)"),
            ("drpo", {"lengths": [1, 2, 3, -4]}, "lengths is -4 at index 3"),
        ],
    )
    def test_options(self, name, options, message):
        options = {"labels": Y4, **({"lengths": [1, 2, 3, 4]} if name == "drpo" else {}), **options}
        with pytest.raises(ValueError, match=re.escape(message)):
            getattr(losses, name)(S4, **options)
