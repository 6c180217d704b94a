"""bad_positives: golden values, the history, what is flagged when."""

import re
from statistics import NormalDist

import numpy as np
import pytest
from fastpair.mining._bad_positives import bad_positives

SPEC = [1, 1.1, 0.9, 1, 3, 1, 0.1, 1]


def naive(history, current, b_np, b_fp):
    """The definition, pair by pair."""
    epochs = history.shape[1]
    scores = [sum((t + 1) / epochs * row[t] for t in range(epochs)) / epochs for row in history]
    mean, deviation = np.mean(scores), np.std(scores)
    weights = []
    for score, loss in zip(scores, current, strict=True):
        flagged = score <= mean - b_np * deviation or score >= mean + b_fp * deviation
        weights.append(NormalDist(mean, deviation).pdf(loss) if flagged else 1.0)
    return scores, weights


def test_golden_values():
    found = bad_positives(SPEC, b_np=1, b_fp=1, warm=1)
    assert np.flatnonzero(found.noisy).tolist() == [6]
    assert np.flatnonzero(found.faulty).tolist() == [4]
    assert found.weights[[6, 4]] == pytest.approx([0.207840486, 0.026879201], abs=5e-10)
    assert (np.delete(found.weights, [4, 6]) == 1).all()
    np.testing.assert_array_equal(found.scores, SPEC)


def test_the_definition(rng):
    history = rng.gamma(2.0, size=(40, 7))
    scores, weights = naive(history, history[:, -1], 1.2, 1.5)
    found = bad_positives(history, b_np=1.2, b_fp=1.5, warm=7)
    np.testing.assert_allclose(found.scores, scores)
    np.testing.assert_allclose(found.weights, weights)
    assert found.noisy.any()
    assert found.faulty.any()
    current = rng.gamma(2.0, size=40)
    moved = bad_positives(history, current=current, b_np=1.2, b_fp=1.5, warm=7)
    np.testing.assert_allclose(moved.weights, naive(history, current, 1.2, 1.5)[1])


def test_peaks_are_at_most_one(rng):
    history = 1 + 0.01 * rng.normal(size=50)
    options = {"b_np": 0.1, "b_fp": 0.1, "warm": 0}
    peak, density = bad_positives(history, **options, normalize="peak"), bad_positives(history, **options)
    assert peak.weights.max() <= 1
    assert density.weights.max() > 1
    deviation = density.scores.std()
    flagged = peak.noisy | peak.faulty
    np.testing.assert_allclose(density.weights[flagged] * deviation * np.sqrt(2 * np.pi), peak.weights[flagged])


@pytest.mark.parametrize(
    ("history", "options"),
    [(SPEC, {}), (np.ones((5, 60)), {}), (np.full(7, 0.1), {"warm": 1, "b_np": 0, "b_fp": 0}), ([2.0], {"warm": 0})],
)
def test_nothing_is_flagged_too_early_or_without_spread(history, options):
    found = bad_positives(history, **options)
    assert (found.weights == 1).all()
    assert not (found.noisy | found.faulty).any()


def test_shapes_and_dtypes():
    assert bad_positives(np.zeros((0, 60))).weights.shape == (0,)
    np.testing.assert_allclose(bad_positives(np.float32(SPEC), warm=1).scores, SPEC, rtol=1e-6)


@pytest.mark.parametrize(
    ("losses", "options", "kind", "message"),
    [
        ([[[1.0]]], {}, ValueError, "losses has shape (1, 1, 1)"),
        (np.zeros((3, 0)), {}, ValueError, "losses has shape (3, 0); pass at least one epoch"),
        ([[1.0, np.nan]], {}, ValueError, "losses is nan at row 0, column 1"),
        ([1.0], {"current": [1.0, 2.0]}, ValueError, "current has shape (2,)"),
        ([1.0], {"b_np": -1}, ValueError, "b_np must be at least 0"),
        ([1.0], {"b_fp": "a"}, TypeError, "b_fp must be a number"),
        ([1.0], {"warm": -1}, ValueError, "warm must be at least 0"),
        ([1.0], {"normalize": "sum"}, ValueError, "normalize must be one of 'density', 'peak'"),
    ],
)
def test_errors(losses, options, kind, message):
    with pytest.raises(kind, match=re.escape(message)):
        bad_positives(losses, **options)
