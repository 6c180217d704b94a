"""beta_mixture_weights: expectation maximisation against a naive one, recovery, degenerate input."""

import re

import numpy as np
import pytest
from fastpair.mining import _values
from fastpair.mining._beta_mixture_weights import beta_mixture_weights
from scipy import stats


def naive(x, steps, share=0.05):
    """Expectation maximisation with densities of scipy: the mixture, and a function for the probability."""
    alphas, betas, shares = np.array([1.0, 2.0]), np.array([2.0, 1.0]), np.array([1 - share, share])

    def true(values):
        low, high = (shares[k] * stats.beta.pdf(values, alphas[k], betas[k]) for k in (0, 1))
        return low / (low + high)

    for _ in range(steps):
        first = true(x)
        for k, parts in enumerate((first, 1 - first)):
            mean = np.average(x, weights=parts)
            variance = np.average((x - mean) ** 2, weights=parts)
            alphas[k] = mean * (mean * (1 - mean) / variance - 1)
            betas[k] = alphas[k] * (1 - mean) / mean
        shares = np.array([first.mean(), 1 - first.mean()])
    return alphas, betas, shares, true


def batch(rng, rows, columns):
    """Scores of which one in twenty is that of a false negative."""
    false = rng.random((rows, columns)) < 0.05
    return np.where(false, rng.normal(0.8, 0.05, false.shape), rng.normal(0.1, 0.15, false.shape)).clip(-0.99, 0.99)


@pytest.mark.parametrize("cells", [100, 1 << 17])
@pytest.mark.parametrize("steps", [1, 6])
def test_the_definition(steps, cells, rng, monkeypatch):
    monkeypatch.setattr(_values, "MOST_CELLS", cells)
    scores, positive = batch(rng, 40, 50), rng.random((40, 50)) < 0.1
    ignore = (rng.random((40, 50)) < 0.1) & ~positive
    negative = ~(positive | ignore)
    found = beta_mixture_weights(scores, positive, ignore=ignore, n_iter=steps)
    x = (scores + 1) / 2
    alphas, betas, shares, true = naive(x[negative], steps)
    np.testing.assert_allclose(found.alphas, alphas, rtol=1e-8)
    np.testing.assert_allclose(found.betas, betas, rtol=1e-8)
    np.testing.assert_allclose(found.shares, shares, rtol=1e-8)
    weights = np.where(negative, true(x) * x, 0)
    weights *= (negative.sum(axis=1) / weights.sum(axis=1))[:, None]
    np.testing.assert_allclose(found.weights, weights + positive, rtol=1e-7, atol=1e-12)


def test_false_negatives_weigh_little_and_hard_ones_much(rng):
    scores = batch(rng, 60, 80)
    found = beta_mixture_weights(scores)
    negative = ~np.eye(60, 80, dtype=bool)
    assert found.shares[1] == pytest.approx(0.05, abs=0.04)
    assert found.weights[negative & (scores > 0.75)].max() < 0.4
    hard = negative & (scores > 0.2) & (scores < 0.3)
    easy = negative & (scores < 0)
    assert found.weights[hard].mean() > found.weights[easy].mean()
    np.testing.assert_allclose((found.weights * negative).sum(axis=1), negative.sum(axis=1))


@pytest.mark.parametrize(
    "scores", [np.full((3, 4), 0.2), np.zeros((0, 3)), [[1.0, 0.3]], [[1.0]], np.sign(np.eye(3) - 0.5)]
)
def test_no_spread_is_uniform(scores):
    found = beta_mixture_weights(scores)
    assert (found.weights == 1).all()
    assert np.isnan([found.alphas, found.betas, found.shares]).all()


def test_a_single_false_negative_ends_the_steps():
    scores = np.array([[1.0, -0.1, 0.0, 0.2, 0.98], [0.1, 1.0, -0.2, 0.05, 0.15]])
    found = beta_mixture_weights(scores, n_iter=100)
    assert np.isfinite(found.alphas).all()
    assert found.weights[0, 4] < 0.01


def test_ignored_pairs_and_dtypes(rng):
    scores = batch(rng, 5, 30).astype(np.float32)
    ignore = np.zeros(scores.shape, bool)
    ignore[:, 29] = True
    found = beta_mixture_weights(scores, ignore=ignore)
    assert (found.weights[:, 29] == 0).all()
    assert found.weights.dtype == np.float64
    ones = beta_mixture_weights(np.full((2, 3), 0.5), ignore=np.array([[0, 0, 1], [0, 0, 1]], bool))
    assert ones.weights.tolist() == [[1, 1, 0], [1, 1, 0]]


@pytest.mark.parametrize(
    ("arguments", "options", "kind", "message"),
    [
        ([[1.0]], {}, ValueError, "similarities has shape (1,)"),
        ([[[1.0, 2.0]]], {}, ValueError, "similarities is 2.0 at row 0, column 1; pass cosines"),
        ([[[np.nan]]], {}, ValueError, "similarities is nan at row 0, column 0"),
        ([[["a"]]], {}, TypeError, "similarities has dtype"),
        ([[[1.0]]], {"n_iter": 0}, ValueError, "n_iter must be at least 1"),
        ([[[1.0]]], {"false_share": 0}, ValueError, "false_share must be larger than 0"),
        ([[[1.0]]], {"false_share": 1}, ValueError, "false_share must be below 1"),
        ([[[1.0]]], {"ignore": [[True]]}, ValueError, "ignore is True at row 0, column 0"),
    ],
)
def test_errors(arguments, options, kind, message):
    with pytest.raises(kind, match=re.escape(message)):
        beta_mixture_weights(*arguments, **options)
