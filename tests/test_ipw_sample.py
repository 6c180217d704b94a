"""`mining.ipw_sample`: weighted samples without replacement."""

import numpy as np
import pytest
import samplers
from fastpair import mining
from hypothesis import given
from hypothesis import strategies as st


def test_first_draws_follow_score_over_propensity():
    scores, propensities = np.array([0.9, 0.5, 0.0, 0.2, 0.4]), np.array([0.9, 0.25, 0.5, 0.001, 0.2])
    weights = scores / np.maximum(propensities, 0.05)
    result = mining.ipw_sample(np.tile(scores, (20000, 1)), propensities, min_propensity=0.05, seed=0)
    samplers.assert_follows(result.indices[:, 0], weights / weights.sum())


def test_second_draws_are_from_what_is_left():
    scores = np.array([0.6, 0.3, 0.1])
    result = mining.ipw_sample(np.tile(scores, (20000, 1)), k=2, seed=0)
    pairs = scores[:, None] * scores / (1 - scores[:, None])
    np.fill_diagonal(pairs, 0)
    samplers.assert_follows(result.indices @ np.array([3, 1]), pairs.ravel())


def test_equal_weights_are_uniform():
    result = mining.ipw_sample(np.full((20000, 6), 1e-300), np.full((20000, 6), 0.3), 3, seed=1)
    for place in range(3):
        samplers.assert_follows(result.indices[:, place], np.full(6, 1 / 6))


@given(st.integers(0, 5), st.integers(0, 6), st.integers(0, 8), st.integers(0, 2**31))
def test_counts(rows, columns, k, seed):
    scores = np.random.default_rng(seed).integers(0, 3, (rows, columns)).astype(float)
    result = mining.ipw_sample(scores, k=k, seed=seed)
    samplers.assert_well_formed(result, rows, k, columns)
    samplers.assert_distinct(result)
    assert (result.counts == np.minimum(k, (scores > 0).sum(axis=1))).all()
    for row, count in enumerate(result.counts):
        assert (scores[row, result.indices[row, :count]] > 0).all()


def test_same_for_memory_dtype_strides_and_seed(rng):
    scores = rng.random((50, 40)).astype(np.float32)
    expected = mining.ipw_sample(scores, scores[0], 4, seed=0)
    samplers.assert_same(mining.ipw_sample(scores, scores[0], 4, seed=0, max_memory=5000), expected)
    wide = np.zeros((100, 80), np.float32)
    wide[::2, ::2] = scores
    samplers.assert_same(mining.ipw_sample(wide[::2, ::2], scores[0], 4, seed=0), expected)
    samplers.assert_same(mining.ipw_sample(scores.astype(float), scores[0], 4, seed=np.random.default_rng(0)), expected)
    assert (mining.ipw_sample(scores, scores[0], 4, seed=1).indices != expected.indices).any()
    first = mining.ipw_sample(scores[:7], scores[0], 4, seed=0)
    np.testing.assert_array_equal(first.indices, expected.indices[:7])


@pytest.mark.parametrize(
    ("scores", "options", "error", "message"),
    [
        ([1.0], {}, ValueError, "scores has shape"),
        ([[-1.0]], {}, ValueError, "scores is -1.0 at index"),
        ([[np.nan]], {}, ValueError, "scores is nan at index"),
        ([["a"]], {}, TypeError, "scores has dtype"),
        ([[1.0]], {"propensities": [1.0, 2.0]}, ValueError, "propensities has shape"),
        ([[1.0]], {"propensities": [np.inf]}, ValueError, "propensities is inf at index 0"),
        ([[1.0]], {"min_propensity": 0}, ValueError, "min_propensity must be larger than 0"),
        ([[1.0]], {"k": -1}, ValueError, "k must be at least 0"),
        ([[1.0]], {"seed": "x"}, TypeError, "seed must be"),
        ([[1.0]], {"max_memory": 3}, ValueError, "max_memory is 3 bytes"),
    ],
)
def test_errors(scores, options, error, message):
    with pytest.raises(error, match=message):
        mining.ipw_sample(scores, **options)
