"""How near the all-pairs losses are to the sums in long double: value and every component of the gradient, relative.

Logistic and sigmoid pairs are interpolated in boxes, to the accuracy `rtol`. The other surrogates are exact up to
rounding. A component of a gradient is a sum of terms of one sign (not so for "square" and "barrier"), so that its
relative error is bounded like that of the value.
"""

import helpers
import numpy as np
import oracle_losses as oracle
import pytest
from fastpair import losses
from pair_scores import DISTRIBUTIONS, SHAPES, draw, solved
from score_losses import assert_close

EXACT = 2e-13  # for sums without interpolation


def each_engine():
    """Every instruction-set level, with one thread or two in turns."""
    for number, level in enumerate(helpers.ISAS):
        with helpers.using_isa(level):
            yield level, 1 + number % 2


def assert_all_pairs(loss, scores, positive, bound, about="", **options):
    found, grads = losses.mann_whitney(scores, positive, normalizer="sum", return_grad=True, **options)
    assert_close(found, loss.total, loss.total, bound, f"{about} value")
    assert_close(grads.scores, loss.grad, loss.size, bound, f"{about} gradient")


CASES = [("logistic", shape) for shape in SHAPES] + [("sigmoid", shape) for shape in ((300, 1000), *SHAPES[1:])]


@pytest.mark.parametrize(("surrogate", "shape"), CASES, ids=str)
@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_interpolated_pairs(name, surrogate, shape):
    scores, positive, _, loss = solved(name, *shape, surrogate)
    for level, threads in each_engine():
        options = {"surrogate": surrogate, "num_threads": threads}
        assert_all_pairs(loss, scores, positive, 1e-12, f"{level} {threads}", **options)
    for rtol in (1e-2, 1e-3, 1e-6, 1e-9, 1e-13):
        options = {"surrogate": surrogate, "rtol": rtol}
        assert_all_pairs(loss, scores, positive, rtol, f"rtol {rtol}", **options)


@pytest.mark.parametrize("shape", [(60, 4000), (300, 700), (3, 5), (1, 1)], ids=str)
@pytest.mark.parametrize("surrogate", ["hinge", "squared_hinge", "square", "exponential", "barrier"])
@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_exact_pairs(name, surrogate, shape):
    scores, positive, _, loss = solved(name, *shape, surrogate)
    if name == "box borders" and surrogate in ("hinge", "barrier"):
        # The slope of a difference within a rounding of a kink may be that of either side.
        near = [oracle.pair_loss(scores, positive, surrogate=surrogate, margin=m) for m in (1 - 1e-14, 1 + 1e-14)]
        loss = loss._replace(size=loss.size + sum(np.abs(other.grad - loss.grad) for other in near) / EXACT)
    for level, threads in each_engine():
        options = {"surrogate": surrogate, "num_threads": threads}
        assert_all_pairs(loss, scores, positive, EXACT, f"{level} {threads}", **options)


@pytest.mark.parametrize("surrogate", ["logistic", "sigmoid", "squared_hinge", "square", "exponential"])
@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_weighted_pairs(name, surrogate):
    scores, positive, weights, loss = solved(name, 60, 1500, surrogate, weighted=True)
    if surrogate == "exponential" and name == "uniform to 1e4":
        # Sums of some rows overflow, of which the mean would just not: those may be infinite.
        scores = scores * 0.9
        loss = oracle.pair_loss(scores, positive, surrogate=surrogate, weights=weights)
    for level, threads in each_engine():
        options = {"surrogate": surrogate, "weights": weights, "num_threads": threads}
        assert_all_pairs(loss, scores, positive, 1e-12, f"{level} {threads}", **options)


@pytest.mark.parametrize("temperature", [0.01, 0.37, 3.0])
@pytest.mark.parametrize("surrogate", ["logistic", "sigmoid", "squared_hinge"])
@pytest.mark.parametrize("name", ["normal", "normal x50", "normal + 1e6", "ties", "cauchy", "sigmoid", "box borders"])
def test_temperatures(name, surrogate, temperature):
    scores, positive, _, loss = solved(name, 200, 700, surrogate, temperature)
    options = {"surrogate": surrogate, "temperature": temperature}
    assert_all_pairs(loss, scores, positive, 1e-12, str(temperature), **options)


@pytest.mark.parametrize("surrogate", ["logistic", "squared_hinge"])
@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_accuracy_does_not_depend_on_the_order(name, surrogate):
    scores, positive, _, loss = solved(name, 60, 1500, surrogate)
    for order in (np.argsort(scores), np.argsort(-scores), np.argsort(positive, kind="stable")):
        sorted_loss = loss._replace(grad=loss.grad[order], size=loss.size[order])
        assert_all_pairs(sorted_loss, scores[order], positive[order], 1e-12, surrogate=surrogate)


@pytest.mark.parametrize("name", ["normal", "cauchy", "ties", "normal + 1e6", "uniform to 1e4"])
def test_a_million_pairs_of_other_counts(name):
    """Many positives and few negatives, as accurate as the reverse."""
    scores, positive, _, loss = solved(name, 5000, 40)
    assert_all_pairs(loss, scores, positive, 1e-12)


def test_the_distributions_are_what_they_say():
    for name in DISTRIBUTIONS:
        for shape in SHAPES:
            scores, positive = draw(name, *shape)
            assert np.isfinite(scores).all()
            assert (positive.sum(), len(scores)) == (shape[0], sum(shape))
