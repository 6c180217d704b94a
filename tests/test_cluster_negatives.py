"""`mining.same_cluster_mask` and `mining.cluster_negatives`."""

import numpy as np
import pytest
import samplers
from fastpair import mining
from hypothesis import given
from hypothesis import strategies as st


def allowed_pairs(clusters):
    """All pairs, by loops."""
    stages, count = len(clusters), len(clusters[0]) if len(clusters) else 0
    mask = np.zeros((count, count), bool)
    for i in range(count):
        for j in range(count):
            mask[i, j] = i != j and all(clusters[t][i] == clusters[t][j] for t in range(stages))
    return mask


@given(st.integers(1, 4), st.integers(0, 12), st.integers(0, 2**31))
def test_formats_are_the_same_pairs(stages, count, seed):
    clusters = np.random.default_rng(seed).integers(-1, 2, (stages, count))
    expected = allowed_pairs(clusters) if count else np.zeros((0, 0), bool)
    mask = mining.same_cluster_mask(clusters)
    np.testing.assert_array_equal(mask, expected, strict=True)
    np.testing.assert_array_equal(
        mining.same_cluster_mask(clusters, format="bits"), np.packbits(expected, axis=1), strict=True
    )
    rows, columns = np.nonzero(expected)
    compressed = mining.same_cluster_mask(clusters, format="csr")
    assert isinstance(compressed, mining.CompressedRows)
    np.testing.assert_array_equal(compressed.indices, columns.astype(np.int32), strict=True)
    np.testing.assert_array_equal(compressed.indptr, np.searchsorted(rows, np.arange(count + 1)))
    assert compressed.indptr.dtype == np.int64
    coordinates = mining.same_cluster_mask(clusters, format="coo")
    np.testing.assert_array_equal(coordinates.rows, rows.astype(np.int32), strict=True)
    np.testing.assert_array_equal(coordinates.columns, columns.astype(np.int32), strict=True)


def test_stages_only_take_pairs_away(rng):
    clusters = rng.integers(0, 3, (4, 30))
    before = mining.same_cluster_mask(clusters[:0])
    np.testing.assert_array_equal(before, ~np.eye(30, dtype=bool))
    for stages in range(1, 5):
        now = mining.same_cluster_mask(clusters[:stages])
        assert not (now & ~before).any()
        before = now


def test_forms_of_clusters():
    expected = mining.same_cluster_mask([0, 1, 0, 0])
    np.testing.assert_array_equal(mining.same_cluster_mask(["a", "b", "a", "a"]), expected)
    np.testing.assert_array_equal(mining.same_cluster_mask(np.array([[7, 9, 7, 7]] * 2)[:, ::1]), expected)
    np.testing.assert_array_equal(mining.same_cluster_mask(np.array([0, 5, 1, 5, 0, 5, 0, 5])[::2]), expected)


@pytest.mark.parametrize(
    ("clusters", "options", "error", "message"),
    [
        ([0, 1], {"format": "triplets"}, ValueError, "format must be one of"),
        (3, {}, ValueError, "clusters has shape"),
        ([[[1]]], {}, ValueError, "clusters has shape"),
        ([0.0, np.nan], {}, ValueError, "clusters holds NaN"),
        (np.array([1, "a", None], object), {}, TypeError, "clusters cannot be compared"),
    ],
)
def test_errors_of_the_mask(clusters, options, error, message):
    with pytest.raises(error, match=message):
        mining.same_cluster_mask(clusters, **options)


def sets_of(clusters, neighbors, own, known):
    """What each row may get, by loops."""
    count = len(clusters)
    allowed = []
    for row in range(count):
        near = {clusters[row]} if own else set()
        if neighbors is not None:
            near |= {int(c) for c in neighbors[clusters[row]] if c >= 0 and c != clusters[row]}
        allowed.append({j for j in range(count) if clusters[j] in near and j != row and j not in known[row]})
    return allowed


@given(st.data())
def test_draws_are_admissible(data):
    count, kinds = data.draw(st.integers(1, 12)), data.draw(st.integers(1, 4))
    clusters = data.draw(st.lists(st.integers(0, kinds - 1), min_size=count, max_size=count))
    neighbors = None
    own = True
    if data.draw(st.booleans()):
        entries = st.lists(st.integers(-1, kinds - 1), min_size=3, max_size=3)
        neighbors = np.array(data.draw(st.lists(entries, min_size=kinds, max_size=kinds)))
        own = data.draw(st.booleans())
    known = data.draw(st.lists(st.lists(st.integers(0, count - 1), max_size=4), min_size=count, max_size=count))
    k = data.draw(st.integers(0, 6))
    options = {"neighbors": neighbors, "include_own": own, "positives": known, "seed": data.draw(st.integers(0, 999))}
    result = mining.cluster_negatives(clusters, k, **options)
    samplers.assert_well_formed(result, count, k, count)
    samplers.assert_distinct(result)
    for row, entries in enumerate(sets_of(clusters, neighbors, own, known)):
        assert result.counts[row] == min(k, len(entries))
        assert set(result.indices[row, : result.counts[row]].tolist()) <= entries
    repeated = mining.cluster_negatives(clusters, k, replace=True, **options)
    for row, entries in enumerate(sets_of(clusters, neighbors, own, known)):
        assert set(repeated.indices[row, : repeated.counts[row]].tolist()) <= entries


@pytest.mark.parametrize("replace", [False, True])
def test_uniform_over_all_items_of_the_clusters(replace):
    items = np.array([0, 1, 1, 2, 2, 2, 3, 0])
    neighbors = np.array([[2, 1, 2], [-1, -1, -1], [-1, -1, -1], [0, 0, 0]])
    result = mining.cluster_negatives(
        (np.zeros(8000, int), items), 3, neighbors=neighbors, positives=[[3]] * 8000, replace=replace, seed=0
    )
    expected = np.array([1, 1, 1, 0, 1, 1, 0, 1]) / 6
    for place in range(3):
        samplers.assert_follows(result.indices[:, place], expected)


def test_clusters_by_name_and_of_two_sets():
    result = mining.cluster_negatives((["b", "z"], ["a", "b", "b"]), 3, seed=0)
    assert sorted(result.indices[0].tolist()) == [-1, 1, 2]
    assert result.indices[1].tolist() == [-1, -1, -1]
    assert mining.cluster_negatives([], 2, seed=0).indices.shape == (0, 2)


def test_same_for_memory_and_seed(rng):
    clusters = rng.integers(0, 5, 200)
    neighbors = rng.integers(-1, 5, (5, 2))
    expected = mining.cluster_negatives(clusters, 4, neighbors=neighbors, seed=1)
    again = mining.cluster_negatives(clusters, 4, neighbors=neighbors, seed=1, max_memory=2000)
    samplers.assert_same(again, expected)
    assert (mining.cluster_negatives(clusters, 4, neighbors=neighbors, seed=2).indices != expected.indices).any()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"include_own": False}, ValueError, "include_own=False without neighbors"),
        ({"include_own": 1}, TypeError, "include_own must be"),
        ({"neighbors": [[0]]}, ValueError, "clusters is 1 at index 1, but neighbors has 1 rows"),
        ({"neighbors": [[0], [2]]}, ValueError, "neighbors is 2 at row 1, column 0"),
        ({"neighbors": [0, 1]}, ValueError, "neighbors has shape"),
        ({"neighbors": [[0.5], [0.5]]}, ValueError, "neighbors has shape .* and dtype float64"),
        ({"clusters": ["a", "b"], "neighbors": [[0], [1]]}, TypeError, "with neighbors pass integers"),
        ({"clusters": [[0]]}, ValueError, "clusters has shape"),
        ({"clusters": [0.0, np.nan]}, ValueError, "clusters is NaN at index 1"),
        ({"positives": [[5], []]}, ValueError, "positives names column 5"),
        ({"k": -1}, ValueError, "k must be at least 0"),
        ({"replace": 3}, TypeError, "replace must be"),
        ({"seed": "x"}, TypeError, "seed must be"),
        ({"max_memory": 0}, ValueError, "max_memory must be"),
    ],
)
def test_errors_of_the_sample(options, error, message):
    with pytest.raises(error, match=message):
        mining.cluster_negatives(**{"clusters": [0, 1], **options})
