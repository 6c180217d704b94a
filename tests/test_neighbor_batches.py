"""`mining.neighbor_batches`: every item once at most, near items together, and always an end."""

import numpy as np
import pytest
import samplers
from fastpair import mining
from hypothesis import given
from hypothesis import strategies as st


def line(count):
    """Points on a line, and the neighbours of each, nearest first, the lower one first among equals."""
    points = np.arange(float(count))
    lists = [sorted((j for j in range(count) if j != i), key=lambda j, i=i: (abs(j - i), j)) for i in range(count)]
    return points[:, np.newaxis], np.array(lists, np.int64).reshape(count, max(0, count - 1))


@given(st.integers(0, 40), st.integers(1, 9), st.integers(0, 8), st.integers(0, 12), st.integers(0, 2**31))
def test_a_partition_but_for_the_last_batch(count, size, wanted, pool, seed):
    points, lists = line(count)
    options = {"batch_size": size, "n_neighbors": wanted, "pool": pool, "max_tries": None, "seed": seed}
    batches = mining.neighbor_batches(points, metric="euclidean", **options)
    assert batches.dtype == np.int64
    assert batches.shape == (count // size, size)
    assert len(set(batches.ravel().tolist())) == batches.size
    samplers.assert_same((batches,), (mining.neighbor_batches(neighbors=lists, **options),))


def test_seed_then_nearest_then_random_of_the_pool():
    _, lists = line(101)
    chosen = set()
    for seed in range(60):
        first = mining.neighbor_batches(neighbors=lists, batch_size=9, n_neighbors=8, pool=20, seed=seed)[0]
        start = first[0]
        assert first[1:5].tolist() == lists[start, :4].tolist()
        rest = {lists[start].tolist().index(item) for item in first[5:]}
        assert rest <= set(range(4, 20))
        assert len(rest) == 4
        chosen |= rest
    assert chosen == set(range(4, 20))


def test_item_0_joins_as_a_neighbour():
    """Taken for a missing one, it could only be a seed."""
    lists = np.array([[1], [0]])
    for seed in range(20):
        assert sorted(mining.neighbor_batches(neighbors=lists, batch_size=2, n_neighbors=2, seed=seed)[0]) == [0, 1]
    followed = [mining.neighbor_batches(neighbors=lists, batch_size=2, n_neighbors=2, seed=s)[0, 1] for s in range(20)]
    assert 0 in followed


def test_two_sets_leave_out_the_own_row(rng):
    x = rng.normal(size=(30, 4))
    batches = mining.neighbor_batches(x, x + 1e-6, batch_size=3, n_neighbors=4, pool=2, seed=0)
    same = mining.neighbor_batches(x, batch_size=3, n_neighbors=4, pool=2, seed=0)
    np.testing.assert_array_equal(batches, same)


def test_used_seeds_end_the_epoch():
    """With one seed that brings all others into a batch, each other seed is a try in vain."""
    lists = np.tile(np.arange(50), (50, 1))
    options = {"neighbors": lists, "batch_size": 10, "n_neighbors": 18, "pool": 50}
    everything = mining.neighbor_batches(**options, max_tries=None, seed=1)
    assert len(everything) == 5
    shorter = [len(mining.neighbor_batches(**options, max_tries=1, seed=seed)) for seed in range(20)]
    assert min(shorter) < 5
    np.testing.assert_array_equal(mining.neighbor_batches(**options, seed=1), everything)


def test_neighbours_that_are_missing_twice_or_the_item_itself():
    lists = np.array([[0, -1, 1, 1], [-1, -1, -1, -1], [3, 3, 2, 0], [2, 0, 0, 2]])
    batches = mining.neighbor_batches(neighbors=lists, batch_size=2, n_neighbors=4, pool=4, seed=0)
    assert sorted(batches.ravel().tolist()) == [0, 1, 2, 3]


def test_same_for_threads_and_memory(rng):
    x = rng.normal(size=(80, 6)).astype(np.float32)
    options = {"batch_size": 8, "n_neighbors": 6, "pool": 12, "seed": 5}
    expected = mining.neighbor_batches(x, **options)
    for threads, memory in ((1, None), (2, 1 << 20), (5, 600_000)):
        again = mining.neighbor_batches(x, num_threads=threads, max_memory=memory, **options)
        np.testing.assert_array_equal(again, expected)
    assert (mining.neighbor_batches(x, **{**options, "seed": 6}) != expected).any()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({}, ValueError, "neither is given"),
        ({"x": np.eye(2), "neighbors": [[1], [0]]}, ValueError, "both are given"),
        ({"y": np.eye(2), "neighbors": [[1], [0]]}, ValueError, "y was given with neighbors"),
        ({"neighbors": [[2], [0]]}, ValueError, "neighbors is 2 at row 0, column 0, but there are 2 items"),
        ({"neighbors": [[-2], [0]]}, ValueError, "neighbors is -2 at row 0"),
        ({"neighbors": [1, 0]}, ValueError, "neighbors has shape"),
        ({"neighbors": [[0.5], [0.5]]}, ValueError, "dtype float64"),
        ({"x": np.eye(2), "y": np.eye(3, 2)}, ValueError, "x has 2 rows but y has 3"),
        ({"x": np.eye(2), "batch_size": 0}, ValueError, "batch_size must be at least 1"),
        ({"x": np.eye(2), "n_neighbors": -1}, ValueError, "n_neighbors must be at least 0"),
        ({"x": np.eye(2), "pool": 1.5}, TypeError, "pool must be an integer"),
        ({"x": np.eye(2), "max_tries": 0}, ValueError, "max_tries must be at least 1"),
        ({"x": np.eye(2), "metric": "x"}, ValueError, "metric must be one of"),
        ({"x": [1.0, 2.0]}, ValueError, "x has shape"),
        ({"x": np.eye(2), "seed": []}, TypeError, "seed must be"),
        ({"x": [[np.nan], [1.0]]}, ValueError, "(?i)nan"),
    ],
)
def test_errors(options, error, message):
    with pytest.raises(error, match=message):
        mining.neighbor_batches(**options)
