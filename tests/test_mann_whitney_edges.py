"""mann_whitney at its limits: infinite scores and losses, labels of NaN, enormous and tiny differences, long input."""

from math import log

import cases
import helpers
import numpy as np
import oracle_losses as oracle
import pytest
from fastpair import losses
from score_losses import assert_close, assert_engines_agree, assert_loss

INF = np.inf
SURROGATES = tuple(oracle.SURROGATES)


@pytest.mark.parametrize(
    ("pos", "neg", "value", "slope"),
    [
        (INF, 0.0, 0, 0),
        (0.0, INF, INF, 1),
        (-INF, 0.0, INF, 1),
        (0.0, -INF, 0, 0),
        (INF, INF, log(2), 0.5),
        (-INF, -INF, log(2), 0.5),
        (INF, -INF, 0, 0),
        (-INF, INF, INF, 1),
    ],
)
def test_one_pair_of_infinite_scores(pos, neg, value, slope, isa):
    found, grads = losses.mann_whitney([pos, neg], [1, 0], return_grad=True)
    assert found == pytest.approx(value, rel=1e-12)
    np.testing.assert_allclose(grads.scores, [-slope, slope], rtol=1e-12)


@pytest.mark.parametrize("surrogate", SURROGATES)
@pytest.mark.parametrize("share", [0.02, 0.5])
def test_infinite_scores_among_many(surrogate, share):
    rng = cases.generator("infinite", int(100 * share))
    for kinds in ([INF], [-INF], [INF, -INF]):
        for which in ("positives", "negatives", "both"):
            scores, positive = rng.normal(size=300), cases.coin(rng, 300)
            hit = rng.random(300) < share
            hit &= {"positives": positive, "negatives": ~positive, "both": True}[which]
            scores[hit] = rng.choice(kinds, hit.sum())
            with np.errstate(invalid="ignore"):
                loss = oracle.pair_loss(scores, positive, surrogate=surrogate)
            wanted = oracle.reduce([loss], [np.arange(300)], 300)
            for level, threads in helpers.engines():
                about = f"{kinds} {which} {level} {threads}"
                options = {"surrogate": surrogate, "num_threads": threads, "return_grad": True}
                found = losses.mann_whitney(scores, positive, **options)
                assert not np.isnan(found[0]), about
                if not np.isnan(loss.grad).any():
                    assert_loss(found, wanted, scores, about=about)


@pytest.mark.parametrize("surrogate", SURROGATES)
def test_finite_scores_never_give_nan(surrogate):
    for scores in (
        [1e308, -1e308, 1e308, -1e308],
        [-1e308, 1e308, 0, 0],
        [1e300, 5e-324, -5e-324, 0],
        [1e9, -1e9, 2.0**53, 2.0**62],
        [700, -700, 710, 0],
        [0, 0, 750, -750],
    ):
        for order in ([0, 1, 2, 3], [3, 1, 2, 0], [1, 0, 3, 2]):
            for dtype in ("float64", "float32"):
                with np.errstate(over="ignore"):
                    given = np.array(scores, float)[order].astype(dtype)
                given[~np.isfinite(given)] = np.finfo(dtype).max
                value, grads = losses.mann_whitney(given, [1, 0, 1, 0], surrogate=surrogate, return_grad=True)
                assert not np.isnan(value), given
                assert not np.isnan(grads.scores).any(), (given, grads)


@pytest.mark.parametrize("surrogate", ["logistic", "sigmoid", "hinge"])
def test_enormous_differences(surrogate):
    """Where exp overflows nothing else does."""
    rng = cases.generator("enormous")
    scores, positive = rng.normal(size=400) * 10.0 ** rng.uniform(-5, 300, 400), cases.coin(rng, 400)
    loss = oracle.pair_loss(scores, positive, surrogate=surrogate)
    wanted = oracle.reduce([loss], [np.arange(400)], 400)
    for level, threads in helpers.engines():
        options = {"surrogate": surrogate, "num_threads": threads, "return_grad": True}
        assert_loss(losses.mann_whitney(scores, positive, **options), wanted, scores, about=f"{level} {threads}")


def test_labels_of_nan_are_left_out():
    rng = cases.generator("nan labels")
    scores = rng.normal(size=99)
    for labels in (rng.integers(0, 2, 99) * 1.0, rng.integers(0, 4, 99) * 1.0):
        labels[::7] = np.nan
        scores[7] = np.nan  # nobody looks at it
        kept = ~np.isnan(labels)
        value, grads = losses.mann_whitney(scores[kept], labels[kept], return_grad=True)
        found, found_grads = losses.mann_whitney(scores, labels, return_grad=True)
        assert found == pytest.approx(value, rel=1e-13)
        np.testing.assert_allclose(found_grads.scores[kept], grads.scores, rtol=1e-12)
        assert (found_grads.scores[~kept] == 0).all()


@pytest.mark.parametrize("weight", [1e-200, 1e-100, 1e100, 1e150])
def test_the_unit_of_weight_does_not_matter(weight, isa):
    rng = cases.generator("unit")
    scores, positive, weights = rng.normal(size=200), cases.coin(rng, 200), rng.random(200)
    for surrogate in SURROGATES:
        options = {"surrogate": surrogate, "return_grad": True}
        value, grads = losses.mann_whitney(scores, positive, weights=weights, **options)
        if weight > 1e-150:  # else products of weights are 0
            found, found_grads = losses.mann_whitney(scores, positive, weights=weights * weight, **options)
            assert found == pytest.approx(value, rel=1e-12)
            np.testing.assert_allclose(found_grads.scores, grads.scores, rtol=1e-10, atol=1e-18)
        lopsided = weights * np.where(positive, weight, 1)
        found, found_grads = losses.mann_whitney(scores, positive, weights=lopsided, **options)
        assert found == pytest.approx(value, rel=1e-12)


def by_values(pos, neg, surrogate):
    """Loss and gradients of scores that take few values, by their counts."""
    above, many = np.unique(pos, return_counts=True)
    below, more = np.unique(neg, return_counts=True)
    scores, weights = np.concatenate([above, below]), np.concatenate([many, more])
    loss = oracle.pair_loss(scores, np.repeat([1, 0], [len(above), len(below)]), weights, surrogate=surrogate)
    return loss, loss.grad[: len(above)] / many, loss.grad[len(above) :] / more


@pytest.mark.parametrize("surrogate", SURROGATES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_long_input_of_few_values(surrogate, dtype):
    """A thousand million pairs of 60 x 60 different differences: as accurate, on every engine."""
    rng = cases.generator("long")
    pos = (rng.integers(0, 60, 20_000) / 4 - 5).astype(dtype)
    neg = (rng.integers(0, 60, 50_000) / 4 - 7).astype(dtype)
    loss, by_pos, by_neg = by_values(pos, neg, surrogate)
    engines = {}
    for engine in helpers.engines():
        options = {"surrogate": surrogate, "normalizer": "sum", "return_grad": True, "num_threads": engine[1]}
        value, grads = losses.mann_whitney(pos=pos, neg=neg, **options)
        engines[engine] = value, grads.pos, grads.neg
    assert_engines_agree(engines)
    assert_close(value, loss.total, loss.total)
    rtol = 1e-12 if dtype == "float64" else 2e-7
    for found, wanted, values in ((grads.pos, by_pos, pos), (grads.neg, by_neg, neg)):
        wanted = wanted[np.unique(values, return_inverse=True)[1]]
        assert_close(found, wanted, np.maximum(np.abs(wanted), 1e-3 if surrogate == "square" else 0), rtol)


@pytest.mark.parametrize("surrogate", SURROGATES)
@pytest.mark.parametrize("pattern", ["normal", "heavy_tail", "near_one", "constant", "wide", "descending"])
def test_long_input_is_the_same_for_every_engine(surrogate, pattern):
    scores, positive = cases.make(pattern, "float64", 60_000)
    engines = {}
    for engine in helpers.engines():
        options = {"surrogate": surrogate, "return_grad": True, "num_threads": engine[1]}
        value, grads = losses.mann_whitney(scores, positive, **options)
        engines[engine] = value, grads.scores
        if np.isfinite(grads.scores).all():
            terms = np.abs(grads.scores).sum() + (surrogate == "square") * np.abs(scores).max()
            assert abs(grads.scores.sum()) <= 1e-11 * terms
    assert_engines_agree(engines)
