"""Losses against graded targets: golden numbers, plain formulas over all pairs, ties, and scores of any size."""

from itertools import pairwise

import cases
import numpy as np
import pytest
from composed_losses import G4, X4, Loss, central, check_errors, check_input, check_missing, check_values
from fastpair import losses
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays


def cosent(x, g, scale=20.0):
    lower = g[:, None] < g[None, :]
    return np.logaddexp.reduce(np.append(scale * (x[:, None] - x[None, :])[lower], 0.0)) if lower.any() else None


def pearson(x, g):
    if len(g) == 0 or (g == g[0]).all():
        return None
    return 1.0 if (x == x[0]).all() else 1 - np.corrcoef(x, g)[0, 1]


def log_softmax(x):
    return x - np.logaddexp.reduce(x)


def rank_kl(x, g, temperature=0.05, normalizer="sum"):
    n = len(g)
    if n < 2:
        return None
    ranks = np.array([(g > own).sum() + ((g == own).sum() - 1) / 2 for own in g])
    wanted, found = log_softmax((n - 1 - ranks) / (n - 1) / temperature), log_softmax(x / temperature)
    return (np.exp(wanted) * (wanted - found)).sum() / (n if normalizer == "n" else 1)


def pro_rank(x, g, temperature=0.05, normalizer="groups"):
    order = np.argsort(-g, kind="stable")
    x, g, steps = x[order] / temperature, g[order], []
    for k in range(len(g)):
        gaps = np.array([g[k] - g[j] for j in range(k + 1, len(g)) if g[k] - g[j] > 1e-8])
        rivals = np.array([x[j] for j in range(k + 1, len(g)) if g[k] - g[j] > 1e-8])
        if len(gaps):
            logits = np.append(gaps * rivals, gaps.max() * x[k])
            steps.append(np.logaddexp.reduce(logits) - logits[-1])
    if not steps:
        return None
    return sum(steps) if normalizer == "sum" else sum(steps) / len(steps)


LOSSES = {
    "cosent": Loss("cosent", cosent, "grades"),
    "cosent, scale 1": Loss("cosent", cosent, "grades", {"scale": 1.0}),
    "pearson": Loss("pearson", pearson, "grades"),
    "rank_kl": Loss("rank_kl", rank_kl, "grades", {"temperature": 0.7}),
    "rank_kl over n": Loss("rank_kl", rank_kl, "grades", {"temperature": 0.7, "normalizer": "n"}),
    "pro_rank": Loss("pro_rank", pro_rank, "grades", {"temperature": 1.0}),
    "pro_rank, sums": Loss("pro_rank", pro_rank, "grades", {"temperature": 1.0, "normalizer": "sum"}),
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


@pytest.mark.parametrize(
    ("name", "options", "expected", "digits"),
    [
        ("pearson", {}, 0.029274656606, 12),
        ("rank_kl", {}, 2.0002e-4, 8),
        ("rank_kl", {"normalizer": "n"}, 5.0005e-5, 9),
        ("pro_rank", {"temperature": 1}, 0.376465659254, 12),
        ("cosent", {}, 0.020954987732, 12),
    ],
)
def test_golden_numbers(name, options, expected, digits):
    assert round(getattr(losses, name)(X4, G4, **options), digits) == expected


@pytest.mark.parametrize("name", LOSSES)
def test_targets_of_any_real_type(name):
    call = LOSSES[name].call
    expected = call(X4, G4)
    for dtype in (np.uint8, np.int64, np.float16, np.float32, cases.as_dtype("bfloat16")):
        assert call(X4, G4.astype(dtype)) == expected
    assert call(X4.tolist(), G4.tolist()) == expected
    assert call(X4[::-1], G4[::-1]) == pytest.approx(expected, rel=1e-13)


@pytest.mark.parametrize("name", ["cosent", "pearson", "pro_rank"])
def test_equal_targets_make_no_pair(name):
    call = getattr(losses, name)
    value, grads = call(X4, [2, 2, 2, 2], return_grad=True)
    assert value == 0
    assert (grads.scores == 0).all()
    with pytest.raises(ValueError, match="list 0 lacks what the loss needs"):
        call(X4, [2, 2, 2, 2], on_empty="error")


finite = arrays.arrays(np.float64, st.integers(2, 9), elements=st.floats(-1e308, 1e308, width=64))


@given(scores=finite, seed=st.integers(0, 1000))
def test_finite_scores_never_give_nan(scores, seed):
    rng = np.random.default_rng(seed)
    targets, groups = rng.integers(0, 3, len(scores)), rng.integers(0, 2, len(scores))
    for case in LOSSES.values():
        value, grads = case.call(scores, targets, groups=groups, return_grad=True)
        assert not np.isnan(value), case.name
        assert not np.isnan(grads.scores).any(), case.name


class TestCosent:
    def test_a_pair_is_a_softplus(self):
        value, grads = losses.cosent([0.3, 0.1], [1, 0], return_grad=True)
        assert value == pytest.approx(np.log1p(np.exp(-4.0)), rel=1e-13)
        np.testing.assert_allclose(grads.scores, [-20 / (1 + np.exp(4.0)), 20 / (1 + np.exp(4.0))])

    def test_adding_a_constant_changes_nothing(self, rng):
        scores, targets = rng.integers(-99, 99, 50) / 64, rng.integers(0, 9, 50)
        expected = losses.cosent(scores, targets, return_grad=True)
        found = losses.cosent(scores + 2.0**30, targets, return_grad=True)
        assert found[0] == expected[0]
        np.testing.assert_array_equal(found[1].scores, expected[1].scores)

    def test_small_terms_survive_beside_large_ones(self):
        # The pair of the lowest scores counts e^0, far below the largest score of its list.
        value, grads = losses.cosent([1000.0, -1000.0, -1000.0], [2, 1, 0], return_grad=True)
        assert value == pytest.approx(np.log(2), rel=1e-14)
        np.testing.assert_allclose(grads.scores, [0, -10, 10])
        assert losses.cosent([-1.0, 1.0], [1, 0], scale=1e6) == 2e6
        assert 0 < losses.cosent([1.0, 0.0], [1, 0], scale=700) < 1e-300

    def test_many_items(self, rng):
        n = 700
        scores, targets = rng.normal(size=n), rng.integers(0, 40, n)
        for sizes in ([n], [300, 0, 400], [7] * 100, [5, 257, 0, 1, 256, 90, 91]):
            offsets = np.concatenate([[0], np.cumsum(sizes)])
            expected = [cosent(scores[a:b], targets[a:b]) for a, b in pairwise(offsets)]
            found = losses.cosent(scores, targets, offsets=offsets, reduction="none")
            np.testing.assert_allclose(found, [0 if v is None else v for v in expected], rtol=1e-12)

    def test_infinite_scores(self):
        inf = np.inf
        for scores, expected in [
            ([inf, 0.0, 1.0], np.log1p(np.exp(20))),
            ([0.5, 0.0, -inf], np.log1p(np.exp(-10))),
            ([inf, inf, 0.0], np.log(2)),
            ([-inf, -inf, -inf], np.log(4)),
            ([inf, inf, inf], np.log(4)),
            ([inf, -inf, -inf], np.log(2)),
        ]:
            value, grads = losses.cosent(scores, [2, 1, 0], return_grad=True)
            assert value == pytest.approx(expected, rel=1e-13), scores
            assert np.isfinite(grads.scores).all(), scores
        for scores in ([0.0, inf, 1.0], [-inf, 0.0, 1.0], [-inf, inf, 0.0], [0.0, 0.0, inf]):
            value, grads = losses.cosent(scores, [2, 1, 0], return_grad=True)
            assert value == inf
            assert np.isnan(grads.scores).all()

    def test_infinite_targets_are_the_best_and_the_worst(self):
        assert losses.cosent(X4, [np.inf, -np.inf, 0, 0]) == losses.cosent(X4, [3, 1, 2, 2])

    @pytest.mark.parametrize("scale", [0, -1, np.inf, np.nan])
    def test_a_scale_is_positive(self, scale):
        with pytest.raises(ValueError, match="scale must be"):
            losses.cosent(X4, G4, scale=scale)


class TestPearson:
    def test_perfect_and_opposite(self):
        assert losses.pearson([1, 2, 4], [10, 20, 40]) == pytest.approx(0, abs=1e-15)
        assert losses.pearson([1, 2, 4], [-1, -2, -4]) == pytest.approx(2, rel=1e-15)

    def test_digits_near_1_are_kept(self):
        gap, n = 1e-9, 1001
        x = np.linspace(-1, 1, n)
        wobble = gap * (x**2 - (x**2).mean())  # at right angles to x
        expected = (wobble @ wobble) / (x @ x) / 2
        assert losses.pearson(x + wobble, x) == pytest.approx(expected, rel=1e-6)

    @pytest.mark.parametrize("constant", [0.0, 0.1, -1e300, 5e-324, 1 / 3])
    def test_constant_scores(self, constant):
        value, grads = losses.pearson([constant] * 7, np.arange(7), return_grad=True)
        assert value == 1
        assert (grads.scores == 0).all()
        # And constant targets: nothing to learn.
        assert losses.pearson(np.arange(7), [constant] * 7) == 0

    @pytest.mark.parametrize("power", [-1050, -600, 0, 600, 1000])
    def test_scores_of_any_size(self, power):
        scores = np.ldexp(X4, power) if power > -1000 else np.ldexp(np.array([9.0, 2, 5, 4]), power)
        expected = losses.pearson(X4, G4, return_grad=True)
        value, grads = losses.pearson(scores, G4, return_grad=True)
        assert value == pytest.approx(expected[0], rel=1e-13)
        if -1000 < power < 1000:
            np.testing.assert_allclose(grads.scores, np.ldexp(expected[1].scores, -power), atol=1e-15 * 2.0**-power)

    def test_infinite_scores_and_targets(self):
        value, grads = losses.pearson([np.inf, 0, 1, 2], G4, return_grad=True)
        assert np.isnan(value)
        assert np.isnan(grads.scores).all()
        with pytest.raises(ValueError, match="targets is inf at index 2; pass finite targets"):
            losses.pearson(X4, [1, 2, np.inf, 3])


class TestRankKl:
    def test_ideal_scores_cost_nothing(self):
        value, grads = losses.rank_kl([1.0, 0.0, 0.5], [30, 10, 20], return_grad=True)
        assert value == pytest.approx(0, abs=1e-15)
        np.testing.assert_allclose(grads.scores, 0, atol=1e-15)
        assert losses.rank_kl([7.0, 7.0, 7.0], [2, 2, 2]) == pytest.approx(0, abs=1e-15)

    def test_adding_a_constant_changes_nothing(self):
        assert losses.rank_kl(X4 + 1024, G4) == pytest.approx(losses.rank_kl(X4, G4), rel=1e-8)

    def test_infinite_scores(self):
        value, grads = losses.rank_kl([0.5, -np.inf], [1, 0], return_grad=True)
        assert value == np.inf
        assert np.isfinite(grads.scores).all()
        assert np.isnan(losses.rank_kl([np.inf, 0.5], [1, 0]))

    def test_options(self):
        with pytest.raises(ValueError, match="normalizer must be one of 'sum', 'n', not 'groups'"):
            losses.rank_kl(X4, G4, normalizer="groups")
        with pytest.raises(ValueError, match="temperature must be larger than 0"):
            losses.rank_kl(X4, G4, temperature=0)


class TestProRank:
    def test_steps_of_all_lists_are_pooled(self):
        scores, targets = np.array([0.1, 0.3, 0.2, 0.5, 0.4]), np.array([1, 0, 3, 1, 2])
        sums = [pro_rank(scores[r], targets[r], 1.0, "sum") for r in (slice(2), slice(2, 5))]
        value = losses.pro_rank(scores, targets, offsets=[0, 2, 5], temperature=1, normalizer="steps")
        assert value == pytest.approx(sum(sums) / 3, rel=1e-14)

    def test_gaps_of_rounding_make_no_pair(self):
        assert losses.pro_rank([0.1, 0.9], [1e-8, 0]) == 0
        assert losses.pro_rank([0.1, 0.9], [1.1e-8, 0]) > 0
        nearly = [3.0, 3.0 + 5e-9, 3.0 - 5e-9, 1.0]
        assert losses.pro_rank(X4, nearly, temperature=1) == pytest.approx(
            pro_rank(X4, np.array(nearly), 1.0), rel=1e-12
        )

    def test_blocks_of_pairs_do_not_show(self, rng, monkeypatch):
        scores, targets, groups = rng.normal(size=300), rng.normal(size=300), rng.integers(0, 5, 300)
        options = {"groups": groups, "temperature": 1.0, "return_grad": True}
        expected = losses.pro_rank(scores, targets, **options)
        import fastpair.losses._pro_rank as module

        for most in (1, 7, 1000):
            monkeypatch.setattr(module, "MOST_PAIRS", most)
            value, grads = losses.pro_rank(scores, targets, **options)
            assert value == pytest.approx(expected[0], rel=1e-14)
            np.testing.assert_allclose(grads.scores, expected[1].scores, rtol=1e-11, atol=1e-15)

    def test_infinite_scores_and_targets(self):
        assert np.isnan(losses.pro_rank([np.inf, 0, 1, 2], G4))
        with pytest.raises(ValueError, match="targets is -inf at index 0"):
            losses.pro_rank(X4, [-np.inf, 2, 1, 3])

    def test_gradient_at_the_usual_temperature(self, rng):
        scores, targets = rng.uniform(-1, 1, 12), rng.normal(size=12)
        grads = losses.pro_rank(scores, targets, return_grad=True)[1]
        expected = central(lambda at: pro_rank(at, targets), scores, 1e-7)
        np.testing.assert_allclose(grads.scores, expected, atol=1e-5)
