"""plackett_luce (list_mle): what is its own. `test_list_losses.py` compares it with the oracle."""

from math import factorial, log

import cases
import helpers
import numpy as np
import oracle_losses as oracle
import pytest
from fastpair import losses
from score_losses import assert_close, sample

TIES = ("average", "index", "exclude")
INF = np.inf


def test_numbers_of_the_specification(isa):
    assert losses.plackett_luce([2, 1, 0.5], order=[0, 1, 2]) == pytest.approx(0.938445768288, abs=1e-12)
    assert losses.plackett_luce([2, 1, 0.5], order=[2, 1, 0]) == pytest.approx(3.277630471626, abs=1e-12)
    assert losses.plackett_luce([2, 1, 0.5], [3, 2, 1]) == pytest.approx(0.938445768288, abs=1e-12)
    assert losses.plackett_luce([2, 1, 0.5], [1, 2, 3]) == pytest.approx(3.277630471626, abs=1e-12)


def test_its_other_name():
    assert losses.list_mle is losses.plackett_luce


@pytest.mark.parametrize("n", [2, 3, 7, 20])
def test_equal_scores_give_the_number_of_orders(n, isa):
    for ties in TIES:
        value = losses.plackett_luce(np.full(n, 0.3), np.arange(n), ties=ties)
        assert value == pytest.approx(log(factorial(n)), rel=1e-13)
    for ties, expected in (("average", log(factorial(n))), ("index", log(factorial(n))), ("exclude", 0)):
        value = losses.plackett_luce(np.full(n, 0.3), np.ones(n), ties=ties)
        assert value == pytest.approx(expected, rel=1e-13, abs=1e-14)


def test_two_items_are_ranknet():
    for scores in ([0.3, -1.2], [5.0, 5.0], [-40.0, 3.0]):
        value, grads = losses.plackett_luce(scores, [1, 0], return_grad=True)
        same, same_grads = losses.ranknet(scores, [1, 0], return_grad=True)
        assert value == pytest.approx(same, rel=1e-12)
        np.testing.assert_allclose(grads.scores, same_grads.scores, rtol=1e-12, atol=1e-16)


def test_distinct_grades_have_no_ties_to_settle():
    rng = cases.generator("distinct")
    scores, grades = rng.normal(size=30), rng.permutation(30)
    values = {ties: losses.plackett_luce(scores, grades, ties=ties) for ties in TIES}
    order = losses.plackett_luce(scores, order=np.argsort(-grades))
    for value in values.values():
        assert value == pytest.approx(order, rel=1e-13)


@pytest.mark.parametrize("ties", TIES)
@pytest.mark.parametrize("levels", [1, 2, 5])
def test_ties(ties, levels):
    rng = cases.generator(ties, levels)
    for n in (2, 5, 17, 90):
        scores, grades = rng.normal(0, 2, n), rng.integers(0, levels, n)
        wanted = oracle.plackett_luce(scores, grades, ties=ties)
        for level, threads in helpers.engines():
            value, grads = losses.plackett_luce(scores, grades, ties=ties, return_grad=True, num_threads=threads)
            assert_close(value, wanted.total, abs(wanted.total) or 1, about=f"{n} {level}")
            assert_close(grads.scores, wanted.grad, wanted.size, about=f"{n} {level}")


@pytest.mark.parametrize("top_k", [1, 2, 5, 30, 31])
def test_the_first_steps_only(top_k, isa):
    rng = cases.generator("top_k", top_k)
    scores, grades = rng.normal(size=30), rng.permutation(30)
    wanted = oracle.plackett_luce(scores, grades, top_k=top_k)
    for ties in TIES:
        value, grads = losses.plackett_luce(scores, grades, top_k=top_k, ties=ties, return_grad=True)
        assert_close(value, wanted.total, wanted.total)
        assert_close(grads.scores, wanted.grad, wanted.size)
    value = losses.plackett_luce(scores, order=np.argsort(-grades), top_k=top_k)
    assert_close(value, wanted.total, wanted.total)


def test_the_first_step_is_the_cross_entropy_of_the_best_item():
    scores, best = np.array([0.3, 1.1, -0.4]), np.array([0, 0, 1])
    value, grads = losses.plackett_luce(scores, best, top_k=1, return_grad=True)
    same, same_grads = losses.softmax(scores, best, return_grad=True)
    assert value == pytest.approx(same, rel=1e-13)
    np.testing.assert_allclose(grads.scores, same_grads.scores, rtol=1e-12)


def test_random_ties_depend_on_the_seed_alone():
    scores, grades, offsets = sample("grades")
    options = {"offsets": offsets, "ties": "random", "return_grad": True}
    value, grads = losses.plackett_luce(scores, grades, seed=3, **options)
    for threads in helpers.THREADS:
        again, same = losses.plackett_luce(scores, grades, seed=3, num_threads=threads, **options)
        assert helpers.bits(again) == helpers.bits(value)
        np.testing.assert_array_equal(same.scores, grads.scores)
    others = {losses.plackett_luce(scores, grades, seed=seed, offsets=offsets, ties="random") for seed in range(20)}
    assert len(others) > 10


def test_random_ties_break_ties_and_nothing_else():
    scores, grades = np.array([0.5, 2.0, -1.0]), np.array([1, 1, 0])
    first = losses.plackett_luce(scores, order=[0, 1, 2])
    second = losses.plackett_luce(scores, order=[1, 0, 2])
    found = [losses.plackett_luce(scores, grades, ties="random", seed=seed) for seed in range(200)]
    near = [abs(value - first) < 1e-12 for value in found]
    assert all(
        abs(value - (first if is_first else second)) < 1e-12 for value, is_first in zip(found, near, strict=True)
    )
    assert 60 < sum(near) < 140


def test_large_and_small_scores(isa):
    """Nothing overflows, and small steps keep their digits after large scores."""
    for scores in ([700.0, -700.0, 0.0], [-1000.0, 1000.0, 3.0], [0.0, 1e4, 1e4], [800.0, 0.0, 1.0, 0.5]):
        grades = np.arange(len(scores))[::-1]
        wanted = oracle.plackett_luce(scores, grades)
        value, grads = losses.plackett_luce(scores, grades, return_grad=True)
        assert_close(value, wanted.total, wanted.total)
        assert_close(grads.scores, wanted.grad, wanted.size)


@pytest.mark.parametrize("ties", TIES)
def test_infinite_scores(ties, isa):
    """An item of score -inf at the end of the order adds nothing; before others it costs everything."""
    value = losses.plackett_luce([1.0, 0.5], [3, 2], ties=ties)
    assert losses.plackett_luce([1.0, 0.5, -INF], [3, 2, 1], ties=ties) == pytest.approx(value, rel=1e-13)
    assert losses.plackett_luce([1.0, -INF, 0.5], [3, 2, 1], ties=ties) == INF
    assert losses.plackett_luce([INF, 1.0, 0.5], [4, 3, 2], ties=ties) == pytest.approx(value, rel=1e-13)


def test_a_nan_score_makes_its_list_nan():
    value, grads = losses.plackett_luce([1.0, np.nan, 0.5], [2, 1, 0], return_grad=True)
    assert np.isnan(value)
    assert np.isnan(grads.scores).all()


@pytest.mark.parametrize("ties", TIES)
def test_a_long_list(ties, threads, isa):
    scores, grades, wanted = solved(ties)
    options = {"ties": ties, "return_grad": True, "num_threads": threads}
    value, grads = losses.plackett_luce(scores, grades, **options)
    assert_close(value, wanted.total, wanted.total)
    assert_close(grads.scores, wanted.grad, wanted.size)


SOLVED = {}


def solved(ties):
    if ties not in SOLVED:
        rng = cases.generator("long")
        scores, grades = rng.normal(0, 4, 600), rng.integers(0, 40, 600)
        SOLVED[ties] = scores, grades, oracle.plackett_luce(scores, grades, ties=ties)
    return SOLVED[ties]
