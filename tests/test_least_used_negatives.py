"""`mining.least_used_negatives`: uses go in and come out."""

import numpy as np
import pytest
import samplers
from fastpair import mining
from hypothesis import given
from hypothesis import strategies as st


@given(st.integers(1, 12), st.integers(1, 12), st.integers(1, 9))
def test_deterministic_rounds_differ_by_one_at_most(items, k, rounds):
    uses = np.zeros(items, np.int64)
    for step in range(rounds):
        result = mining.least_used_negatives(uses, k, mode="deterministic")
        assert result.counts == min(k, items)
        assert len(set(result.indices[: result.counts].tolist())) == result.counts
        assert (result.indices[result.counts :] == -1).all()
        assert result.uses.max() - result.uses.min() <= 1
        assert result.uses.sum() == min(k, items) * (step + 1)
        np.testing.assert_array_equal(result.uses - uses, np.bincount(result.indices[: result.counts], minlength=items))
        uses = result.uses


def test_equal_uses_go_by_index():
    assert mining.least_used_negatives([1, 0, 0, 0], 2, mode="deterministic").indices.tolist() == [1, 2]


def test_random_is_in_inverse_proportion():
    uses = np.array([0, 1, 3, 9])
    rng = np.random.default_rng(0)
    draws = np.array([mining.least_used_negatives(uses, 1, seed=rng).indices[0] for _ in range(4000)])
    weights = 1 / (1 + uses)
    samplers.assert_follows(draws, weights / weights.sum())
    draws = np.array([mining.least_used_negatives(uses, 1, power=0, seed=rng).indices[0] for _ in range(4000)])
    samplers.assert_follows(draws, np.full(4, 0.25))


def test_state_is_not_changed():
    uses = np.array([3, 1, 2], np.int32)
    result = mining.least_used_negatives(uses, 5, seed=0)
    assert uses.tolist() == [3, 1, 2]
    assert result.uses.tolist() == [4, 2, 3]
    assert sorted(result.indices.tolist()) == [-1, -1, 0, 1, 2]
    assert result.indices.dtype == result.uses.dtype == np.int64
    samplers.assert_same(mining.least_used_negatives(uses[::1], 5, seed=np.random.default_rng(0)), result)
    assert mining.least_used_negatives([], 2, seed=0).indices.tolist() == [-1, -1]
    assert mining.least_used_negatives([1], 0, seed=0).indices.shape == (0,)


@pytest.mark.parametrize(
    ("uses", "options", "error", "message"),
    [
        ([[1]], {}, ValueError, "uses has shape"),
        ([0.5], {}, TypeError, "uses has dtype float64"),
        ([1, -2], {}, ValueError, "uses is -2 at index 1"),
        ([1], {"k": -1}, ValueError, "k must be at least 0"),
        ([1], {"mode": "x"}, ValueError, "mode must be one of"),
        ([1], {"power": -1}, ValueError, "power must be at least 0"),
        ([1], {"seed": "x"}, TypeError, "seed must be"),
    ],
)
def test_errors(uses, options, error, message):
    with pytest.raises(error, match=message):
        mining.least_used_negatives(uses, **{"k": 1, **options})
