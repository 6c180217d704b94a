"""`mining.distance_weighted`: probabilities of the formula, in logarithms, for opposite vectors too."""

import math

import helpers
import numpy as np
import pytest
import samplers
from fastpair import mining
from hypothesis import given
from hypothesis import strategies as st


def probabilities(x, y, negatives, cutoff=0.5, beyond=None):
    """The formula for one anchor, by loops over Python floats."""
    x, y = x / np.linalg.norm(x), y / np.linalg.norm(y, axis=1, keepdims=True)
    dimensions, logs = len(x), []
    for other, negative in zip(y, negatives, strict=True):
        distance = math.dist(x, other)
        if not negative or (beyond is not None and distance >= beyond):
            logs.append(-math.inf)
            continue
        distance = max(distance, cutoff)
        logs.append(
            -(dimensions - 2) * math.log(distance) - (dimensions - 3) / 2 * math.log(1 - distance * distance / 4)
        )
    largest = max(logs)
    weights = [math.exp(value - largest) for value in logs]
    return np.array(weights) / sum(weights)


def test_oracle_by_hand():
    """d = 4, distances sqrt(2) and 0.5 (cut off): q = 2 sqrt(1/2) and 0.25 sqrt(15/16)."""
    found = probabilities(np.array([1.0, 0, 0, 0]), np.array([[0, 1.0, 0, 0], [1, 0.01, 0, 0]]), [True, True])
    weights = [1 / (2 * math.sqrt(0.5)), 1 / (0.25 * math.sqrt(15 / 16))]
    np.testing.assert_allclose(found, np.array(weights) / sum(weights), rtol=1e-12)


@pytest.mark.parametrize("dimensions", [2, 3, 4, 12])
@pytest.mark.parametrize("beyond", [None, 1.4])
def test_probabilities(dimensions, beyond, rng):
    anchor, others = rng.normal(size=dimensions), rng.normal(size=(9, dimensions))
    others[0] = anchor * 1.001
    others[1] = anchor + 0.3 * others[1]
    labels = (np.zeros(20000, int), np.array([1, 1, 0, 1, 1, 0, 1, 1, 1]))
    expected = probabilities(anchor, others, labels[1] == 1, beyond=beyond)
    result = mining.distance_weighted(
        np.tile(anchor, (20000, 1)), others, labels=labels, nonzero_cutoff=beyond, cutoff=0.5, seed=0
    )
    samplers.assert_follows(result.indices[:, 0], expected)


def test_second_draws_are_from_what_is_left(rng):
    anchor, others = rng.normal(size=3), rng.normal(size=(4, 3))
    share = probabilities(anchor, others, [True] * 4)
    result = mining.distance_weighted(
        np.tile(anchor, (20000, 1)), others, positives=np.full(20000, -1), k=2, cutoff=0.5, seed=1
    )
    samplers.assert_distinct(result)
    pairs = share[:, np.newaxis] * share / (1 - share[:, np.newaxis])
    np.fill_diagonal(pairs, 0)
    samplers.assert_follows(result.indices @ np.array([4, 1]), pairs.ravel())


@pytest.mark.parametrize("dimensions", [2, 3, 4, 64, 1024])
def test_opposite_and_equal_vectors(dimensions):
    x = np.zeros((6, dimensions))
    x[:, 0] = [1, 1, 1, -1, -1, -1]
    result = mining.distance_weighted(x, labels=[0, 1, 2, 3, 4, 5], k=5, seed=0)
    assert result.counts.tolist() == [5] * 6
    first = mining.distance_weighted(np.tile(x, (500, 1)), x, labels=(np.zeros(3000), [0, 1, 2, 3, 4, 5]), seed=0)
    chosen = first.indices[np.arange(3000) % 6 < 3, 0]
    if dimensions > 4:  # opposite vectors weigh more than all others, and each as much as the others
        samplers.assert_follows(chosen, [0, 0, 0, 1 / 3, 1 / 3, 1 / 3])
    if dimensions == 2:  # there they weigh nothing
        assert chosen.max() < 3


def test_roles(rng):
    x, y = rng.normal(size=(5, 3)), rng.normal(size=(5, 3))
    every = {"k": 5, "seed": 0}
    labels = [0, 0, 1, 1, 2]
    within = mining.distance_weighted(x, labels=labels, **every)
    for row, count in enumerate(within.counts):
        assert sorted(within.indices[row, :count].tolist()) == [j for j in range(5) if labels[j] != labels[row]]
    diagonal = mining.distance_weighted(x, y, **every)
    for row in range(5):
        assert sorted(diagonal.indices[row, :4].tolist()) == [j for j in range(5) if j != row]
    columns = mining.distance_weighted(x, y, positives=[4, -1, 0, 0, 0], **every)
    assert columns.counts.tolist() == [4, 5, 4, 4, 4]
    mask = rng.random((5, 5)) < 0.5
    masked = mining.distance_weighted(x, y, positives=mask, **every)
    for row, count in enumerate(masked.counts):
        assert sorted(masked.indices[row, :count].tolist()) == np.flatnonzero(~mask[row]).tolist()
    own = mining.distance_weighted(x, positives=mask, **every)
    for row, count in enumerate(own.counts):
        assert set(own.indices[row, :count].tolist()) == set(np.flatnonzero(~mask[row])) - {row}


def test_rows_beyond_the_cutoff_are_empty():
    result = mining.distance_weighted(np.eye(3), labels=[0, 1, 2], k=2, nonzero_cutoff=1.4, seed=0)
    assert result.counts.tolist() == [0, 0, 0]
    assert (result.indices == -1).all()


@given(st.integers(0, 6), st.integers(0, 7), st.integers(0, 2**31))
def test_small_sets(count, wanted, seed):
    x = np.arange(1, 3 * count + 1, dtype=np.float32).reshape(count, 3)
    labels = np.arange(count) % 2
    result = mining.distance_weighted(x, labels=labels, k=wanted, seed=seed)
    samplers.assert_well_formed(result, count, wanted, count)
    samplers.assert_distinct(result)
    for row, found in enumerate(result.counts):
        assert (labels[result.indices[row, :found]] != labels[row]).all()
        assert found == min(wanted, (labels != labels[row]).sum())


def test_zero_rows_have_a_distance_too():
    result = mining.distance_weighted(np.zeros((3, 4)), labels=[0, 1, 2], k=2, seed=0)
    assert result.counts.tolist() == [2, 2, 2]


def test_same_for_threads_and_memory(rng):
    x, labels = rng.normal(size=(60, 8)).astype(np.float32), rng.integers(0, 5, 60)
    expected = mining.distance_weighted(x, labels=labels, k=3, seed=2)
    for _, threads in helpers.engines():
        samplers.assert_same(mining.distance_weighted(x, labels=labels, k=3, seed=2, num_threads=threads), expected)
    for threads, memory in ((1, 200_000), (2, 2 << 20), (5, None)):
        again = mining.distance_weighted(x, labels=labels, k=3, seed=2, num_threads=threads, max_memory=memory)
        samplers.assert_same(again, expected)
    wide = np.zeros((120, 16), np.float32)
    wide[::2, ::2] = x
    samplers.assert_same(mining.distance_weighted(wide[::2, ::2], labels=labels, k=3, seed=2), expected)
    assert (mining.distance_weighted(x, labels=labels, k=3, seed=3).indices != expected.indices).any()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({}, ValueError, "positives is None"),
        ({"labels": [0, 1]}, ValueError, "labels has shape"),
        ({"labels": [0, 1, 2], "k": -1}, ValueError, "k must be at least 0"),
        ({"labels": [0, 1, 2], "cutoff": 0}, ValueError, "cutoff must be larger than 0"),
        ({"labels": [0, 1, 2], "cutoff": 2.1}, ValueError, "cutoff must be at most 2"),
        ({"labels": [0, 1, 2], "nonzero_cutoff": "x"}, TypeError, "nonzero_cutoff must be a number"),
        ({"labels": [0, 1, 2], "positives": [0, 1, 2]}, ValueError, "both given"),
        ({"labels": [0, 1, 2], "seed": -3}, ValueError, "seed must not be negative"),
        ({"labels": [0, 1, 2], "max_memory": 10}, ValueError, "max_memory is 10 bytes"),
    ],
)
def test_errors(options, error, message):
    with pytest.raises(error, match=message):
        mining.distance_weighted(np.eye(3), **options)


def test_errors_of_embeddings():
    with pytest.raises(ValueError, match="two dimensions at least"):
        mining.distance_weighted([[1.0], [2.0]], labels=[0, 1])
    with pytest.raises(ValueError, match=r"nan|NaN"):
        mining.distance_weighted([[1.0, np.nan], [2.0, 1.0]], labels=[0, 1])
    with pytest.raises(TypeError, match="dtype"):
        mining.distance_weighted([["a", "b"]], labels=[0])
