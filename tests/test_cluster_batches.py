"""`mining.cluster_batches`: balanced clusters, and batches that are unions of them."""

import helpers
import numpy as np
import pytest
import samplers
from fastpair import mining
from hypothesis import given
from hypothesis import strategies as st


def parts(batches):
    return np.split(batches.indices, batches.indptr[1:-1]) if len(batches.indptr) > 1 else []


@given(st.integers(0, 60), st.integers(1, 9), st.integers(0, 20), st.integers(0, 2**31))
def test_partition_balance_and_unions(count, cluster_size, more, seed):
    x = np.random.default_rng(seed).normal(size=(count, 3))
    size = cluster_size + more
    batches = mining.cluster_batches(x, size, cluster_size, seed=seed)
    assert [array.dtype for array in batches] == [np.int64] * 3
    assert sorted(batches.indices.tolist()) == list(range(count))
    assert batches.clusters.shape == (count,)
    sizes = np.bincount(batches.clusters)
    assert len(sizes) == -(-count // cluster_size)
    if count:
        assert sizes.max() - sizes.min() <= 1
        assert sizes.max() <= cluster_size
    of_batch = [set(batches.clusters[part].tolist()) for part in parts(batches)] if count else []
    assert sum(map(len, of_batch)) == len(sizes)  # no cluster is in two batches
    if of_batch:
        assert max(map(len, of_batch)) - min(map(len, of_batch)) <= 1
        assert max(len(part) for part in parts(batches)) <= size
        for part in parts(batches):
            keys = batches.clusters[part]
            assert (np.diff(part)[np.diff(keys) == 0] > 0).all()
    assert batches.indptr[0] == 0
    assert batches.indptr[-1] == count


def test_blobs_are_found(rng):
    centres = np.eye(8)[:4]
    truth = rng.permutation(np.repeat(np.arange(4), 16))
    x = centres[truth] * rng.uniform(0.5, 100, (64, 1)) + 0.01 * rng.normal(size=(64, 8))
    batches = mining.cluster_batches(x, 32, 16, seed=0, max_iter=50)
    agree = [len(set(truth[batches.clusters == cluster])) for cluster in range(4)]
    assert np.mean(np.array(agree) == 1) >= 0.5  # 2-means may end with a blob that is cut
    scores = x / np.linalg.norm(x, axis=1, keepdims=True)
    scores = scores @ scores.T
    same = batches.clusters[:, np.newaxis] == batches.clusters
    assert scores[same].mean() > scores[~same].mean() + 0.3


def test_two_blobs_are_always_found(rng):
    for seed in range(20):
        truth = rng.permutation(np.repeat([0, 1], 10))
        x = np.eye(4)[truth] + 0.05 * rng.normal(size=(20, 4))
        clusters = mining.cluster_batches(x, 10, 10, seed=seed).clusters
        if len(set(truth[clusters == 0])) > 1:
            pytest.fail("two groups of equal size were mixed")


def test_clusters_of_an_earlier_call(rng):
    x = rng.normal(size=(40, 5))
    first = mining.cluster_batches(x, 12, 4, seed=0)
    other = mining.cluster_batches(batch_size=12, clusters=first.clusters, seed=1)
    np.testing.assert_array_equal(other.clusters, first.clusters)
    assert (other.indices != first.indices).any()
    assert sorted(other.indices.tolist()) == list(range(40))
    named = mining.cluster_batches(batch_size=2, clusters=["b", "a", "b"], seed=0)
    assert named.clusters.tolist() == [1, 0, 1]
    assert sorted(part.tolist() for part in parts(named)) == [[0, 2], [1]]


def test_equal_and_zero_items_are_split_by_index():
    for x in (np.ones((9, 3)), np.zeros((9, 3))):
        clusters = mining.cluster_batches(x, 3, 3, seed=0).clusters
        assert np.bincount(clusters).tolist() == [3, 3, 3]
        assert (np.diff(clusters) >= 0).all()


def test_same_for_threads_dtypes_and_strides(rng):
    x = rng.normal(size=(100, 6)).astype(np.float32)
    expected = mining.cluster_batches(x, 20, 6, seed=3)
    for _, threads in helpers.engines():
        again = mining.cluster_batches(x, 20, 6, seed=3, num_threads=threads, max_memory=1 << 20)
        samplers.assert_same(again, expected)
    wide = np.zeros((200, 12), np.float32)
    wide[::2, ::2] = x
    before = wide.copy()
    samplers.assert_same(mining.cluster_batches(wide[::2, ::2], 20, 6, seed=3), expected)
    np.testing.assert_array_equal(wide, before)
    for dtype in (np.float16, np.float64, np.int64):
        assert len(mining.cluster_batches((10 * x).astype(dtype), 20, 6, seed=3).indices) == 100
    assert (mining.cluster_batches(x, 20, 6, seed=4).indices != expected.indices).any()


def test_progress_reports():
    seen = []
    mining.cluster_batches(np.eye(8), 2, 2, seed=0, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (16, 16)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({}, ValueError, "neither is given"),
        ({"x": np.eye(2), "clusters": [0, 1]}, ValueError, "both are given"),
        ({"x": np.eye(2), "batch_size": 3, "cluster_size": 4}, ValueError, "cluster_size is 4, larger than batch_size"),
        ({"clusters": [0, 0, 1], "batch_size": 1}, ValueError, "cluster 0 has 2 items, more than batch_size=1"),
        ({"clusters": [[0]]}, ValueError, "clusters has shape"),
        ({"clusters": [np.nan]}, ValueError, "clusters is NaN"),
        ({"x": np.eye(2), "batch_size": 0}, ValueError, "batch_size must be at least 1"),
        ({"x": np.eye(2), "max_iter": 0}, ValueError, "max_iter must be at least 1"),
        ({"x": np.eye(2), "cluster_size": "a"}, TypeError, "cluster_size must be an integer"),
        ({"x": [[1.0], [np.nan]]}, ValueError, "x is nan or infinite in row 1"),
        ({"x": [[1.0], [np.inf]]}, ValueError, "x is nan or infinite in row 1"),
        ({"x": [1.0]}, ValueError, "x has shape"),
        ({"x": [["a"]]}, TypeError, "x has dtype"),
        ({"x": np.eye(2), "seed": 0.5}, TypeError, "seed must be"),
        ({"x": np.eye(2), "num_threads": 0}, ValueError, "num_threads must be at least 1"),
    ],
)
def test_errors(options, error, message):
    with pytest.raises(error, match=message):
        mining.cluster_batches(**options)
