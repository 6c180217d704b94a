"""`mining.random_negatives`: uniform, exact about known positives, and sure to end."""

import time
import tracemalloc

import numpy as np
import pytest
import samplers
from fastpair import mining
from hypothesis import given
from hypothesis import strategies as st


def test_shapes_and_padding():
    result = mining.random_negatives(4, 3, positives=[[0, 1, 2, 3], [1], [], [0, 2, 3]], seed=1)
    samplers.assert_well_formed(result, 4, 3, 4)
    assert result.counts.tolist() == [0, 3, 3, 1]
    assert result.indices[0].tolist() == [-1, -1, -1]
    assert sorted(result.indices[1]) == [0, 2, 3]
    assert result.indices[3].tolist() == [1, -1, -1]


@pytest.mark.parametrize("replace", [False, True])
@pytest.mark.parametrize("k", [1, 2, 5])
def test_uniform_in_every_place(k, replace):
    known = [[0, 3, 7]] * 6000
    result = mining.random_negatives(12, k, positives=known, replace=replace, seed=3)
    allowed = np.ones(12)
    allowed[[0, 3, 7]] = 0
    for place in range(k):
        samplers.assert_follows(result.indices[:, place], allowed / 9)


@pytest.mark.parametrize("k", [2, 4, 30])
def test_uniform_over_sets(k):
    """k = 30 takes random keys instead of Floyd's algorithm."""
    items = 5 if k < 30 else 31
    result = mining.random_negatives(items, k, n_rows=12000, seed=0)
    samplers.assert_distinct(result)
    left_out = [frozenset(range(items)) - frozenset(row) for row in result.indices.tolist()]
    codes = {key: code for code, key in enumerate(sorted(set(left_out), key=sorted))}
    sets = {2: 10, 4: 5, 30: 31}[k]
    assert len(codes) == sets
    samplers.assert_follows(np.array([codes[key] for key in left_out]), np.full(sets, 1 / sets))


@given(st.data())
def test_never_known_never_own_label(data):
    items = data.draw(st.integers(1, 12))
    rows = data.draw(st.integers(1, 6))
    known = data.draw(st.lists(st.lists(st.integers(0, items - 1), max_size=8), min_size=rows, max_size=rows))
    with_labels = data.draw(st.booleans())
    labels = None
    allowed = [set(range(items)) - set(entries) for entries in known]
    if with_labels:
        of_rows = data.draw(st.lists(st.integers(0, 3), min_size=rows, max_size=rows))
        of_items = data.draw(st.lists(st.integers(0, 3), min_size=items, max_size=items))
        labels = (of_rows, of_items)
        allowed = [{j for j in s if of_items[j] != label} for s, label in zip(allowed, of_rows, strict=True)]
    k = data.draw(st.integers(0, 14))
    seed = data.draw(st.integers(0, 2**32))
    result = mining.random_negatives(items, k, positives=known, labels=labels, seed=seed)
    samplers.assert_well_formed(result, rows, k, items)
    samplers.assert_distinct(result)
    for row, (entries, count) in enumerate(zip(allowed, result.counts, strict=True)):
        assert count == min(k, len(entries))
        assert set(result.indices[row, :count].tolist()) <= entries
    again = mining.random_negatives(items, k, positives=known, labels=labels, seed=seed, replace=True)
    for row, entries in enumerate(allowed):
        assert again.counts[row] == (k if entries else 0)
        assert set(again.indices[row, : again.counts[row]].tolist()) <= entries


def test_forms_of_positives_are_equal():
    sparse = pytest.importorskip("scipy.sparse")
    known = [[1, 4], [0], [], [2, 3]]
    indptr, indices = np.array([0, 2, 3, 3, 5]), np.array([4, 1, 0, 3, 2])
    padded = np.array([[1, 4], [-1, 0], [-1, -1], [2, 3]], np.int32)
    matrix = sparse.csr_array((np.ones(5), np.sort(indices.copy()), indptr), shape=(4, 6))
    matrix = sparse.csr_array(([1] * 5, ([0, 0, 1, 3, 3], [1, 4, 0, 2, 3])), shape=(4, 6))
    expected = mining.random_negatives(6, 3, positives=known, seed=5)
    for form in ((indptr, indices), padded, matrix, [[4, 4, 1], [0, 0], [], [3, 2]]):
        samplers.assert_same(mining.random_negatives(6, 3, positives=form, seed=5), expected)
    one = mining.random_negatives(6, 5, positives=[3, 0, -1], seed=5)
    assert one.counts.tolist() == [5, 5, 5]
    assert 3 not in one.indices[0]
    assert 0 not in one.indices[1]


def test_labels_of_one_set_leave_out_the_row_itself():
    labels = np.array(["a", "b", "a", "c", "b"])
    result = mining.random_negatives(5, 5, labels=labels, seed=0)
    for row, count in enumerate(result.counts):
        chosen = sorted(result.indices[row, :count].tolist())
        assert chosen == [j for j in range(5) if labels[j] != labels[row]]


def test_index_0_is_an_item_like_others():
    result = mining.random_negatives(2, 1, positives=[[1]] * 50, seed=0)
    assert (result.indices == 0).all()
    assert (result.counts == 1).all()


def test_cutting_rows_changes_nothing():
    known = [[i % 50, (i * 7) % 50] for i in range(500)]
    expected = mining.random_negatives(50, 6, positives=known, seed=9)
    for memory in (20_000, 200_000, None):
        samplers.assert_same(mining.random_negatives(50, 6, positives=known, seed=9, max_memory=memory), expected)
    first = mining.random_negatives(50, 6, positives=known[:100], seed=9)
    np.testing.assert_array_equal(first.indices, expected.indices[:100])


def test_seeds():
    options = {"n_rows": 20}
    first = mining.random_negatives(1000, 5, seed=1, **options)
    samplers.assert_same(mining.random_negatives(1000, 5, seed=1, **options), first)
    samplers.assert_same(mining.random_negatives(1000, 5, seed=np.random.default_rng(1), **options), first)
    assert (mining.random_negatives(1000, 5, seed=2, **options).indices != first.indices).any()
    assert (mining.random_negatives(1000, 5, **options).indices != first.indices).any()
    going_on = np.random.default_rng(1)
    mining.random_negatives(1000, 5, seed=going_on, **options)
    assert (mining.random_negatives(1000, 5, seed=going_on, **options).indices != first.indices).any()


def test_millions_of_items_need_no_room():
    known = np.random.default_rng(0).integers(0, 10**7, (2000, 3))
    tracemalloc.start()
    begun = time.perf_counter()
    result = mining.random_negatives(10**7, 20, positives=known, seed=0)
    took = time.perf_counter() - begun
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 30 << 20
    assert took < 20
    assert not (result.indices[:, :, np.newaxis] == known[:, np.newaxis, :]).any()
    assert abs(result.indices.mean() / 10**7 - 0.5) < 0.01


def test_nothing_to_draw():
    assert mining.random_negatives(0, 2, n_rows=3, seed=0).indices.tolist() == [[-1, -1]] * 3
    assert mining.random_negatives(5, 0, n_rows=3, seed=0).indices.shape == (3, 0)
    assert mining.random_negatives(5, 2, n_rows=0, seed=0).indices.shape == (0, 2)
    assert mining.random_negatives(5, 2, positives=[], seed=0).indices.shape == (0, 2)


def test_arguments_are_not_changed():
    known = np.array([[3, 1], [-1, 2]])
    before = known.copy()
    mining.random_negatives(5, 2, positives=known[:, ::-1], seed=0)
    np.testing.assert_array_equal(known, before)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({}, ValueError, "n_rows is None"),
        ({"positives": [[5]]}, ValueError, "positives names column 5"),
        ({"positives": np.array([[5]])}, ValueError, "positives is 5 at row 0, column 0, but there are 5 items"),
        ({"positives": [[-2]]}, ValueError, "positives names column -2"),
        ({"positives": [[0.5]]}, TypeError, "positives.* has dtype float64"),
        ({"positives": 3}, TypeError, "positives must be a list of lists"),
        ({"positives": [[0]], "n_rows": 2}, ValueError, "positives"),
        ({"labels": [1, 2]}, ValueError, "labels has 2 entries for 5 items"),
        ({"labels": ([1], [1, 2])}, ValueError, r"labels\[1\] has 2 entries for 5 items"),
        ({"labels": ([1.0, np.nan], [1] * 5)}, ValueError, "labels is NaN at index 1"),
        ({"n_rows": 2, "k": -1}, ValueError, "k must be at least 0"),
        ({"n_rows": 2, "k": 1.5}, TypeError, "k must be an integer"),
        ({"n_rows": -1}, ValueError, "n_rows must be at least 0"),
        ({"n_rows": 2, "replace": 1}, TypeError, "replace must be True or False"),
        ({"n_rows": 2, "seed": -1}, ValueError, "seed must not be negative"),
        ({"n_rows": 2, "seed": "a"}, TypeError, "seed must be"),
        ({"n_rows": 2, "max_memory": 8}, ValueError, "max_memory is 8 bytes"),
    ],
)
def test_errors(options, error, message):
    with pytest.raises(error, match=message):
        mining.random_negatives(5, **options)
