"""`mining.unigram_negatives`: in proportion to powers of counts, exact whatever is forbidden."""

import numpy as np
import pytest
import samplers
from fastpair import mining
from fastpair.mining._unigram_negatives import alias_table
from hypothesis import given
from hypothesis import strategies as st


def powers(counts, alpha):
    counts = np.asarray(counts, float)
    weights = np.where(counts > 0, np.where(counts > 0, counts, 1) ** alpha, 0)
    return weights / weights.sum()


@given(st.lists(st.one_of(st.just(0.0), st.floats(1e-12, 1e12)), min_size=1, max_size=40))
def test_alias_table_has_the_probabilities(weights):
    weights = np.array(weights)
    if not weights.any():
        weights[0] = 1
    shares, aliases = alias_table(weights)
    assert (shares >= 0).all()
    assert (shares <= 1).all()
    count = len(weights)
    found = np.bincount(np.arange(count), shares, count) + np.bincount(aliases, 1 - shares, count)
    np.testing.assert_allclose(found / count, weights / weights.sum(), rtol=0, atol=1e-14)
    assert (found[weights == 0] == 0).all()


@pytest.mark.parametrize("alpha", [0.75, 1.0, 0.0, -0.5])
def test_probabilities(alpha):
    counts = [100, 7, 0, 1, 30, 2]
    result = mining.unigram_negatives(counts, 4, alpha=alpha, n_rows=5000, seed=0)
    for place in range(4):
        samplers.assert_follows(result.indices[:, place], powers(counts, alpha))


@pytest.mark.parametrize("known", [[0], [0, 1], [0, 3, 4], [1, 2, 5]])
def test_probabilities_without_what_is_known(known):
    """Item 0 has nearly everything, so that most draws are in vain, and the distribution has to be inverted."""
    counts = [10**5, 7, 0, 10, 30, 2]
    result = mining.unigram_negatives(counts, 3, alpha=1, positives=[known] * 6000, seed=1)
    allowed = powers(counts, 1)
    allowed[known] = 0
    for place in range(3):
        samplers.assert_follows(result.indices[:, place], allowed / allowed.sum())


def test_inversion_steps_over_what_is_known():
    """What is forbidden has 90 %, few enough digits are lost for the stretches of the sums to be used."""
    counts = np.array([2, 0, 50, 3, 40, 5, 0])
    result = mining.unigram_negatives(counts, 1, alpha=1, positives=[[2, 4]] * 40000, seed=1)
    samplers.assert_follows(result.indices[:, 0], np.array([2, 0, 0, 3, 0, 5, 0]) / 10)


@pytest.mark.parametrize("counts", [[5, 4, 3, 2], [1000, 1, 1, 1]])
def test_without_replacement_is_one_draw_after_the_other(counts):
    counts = np.array(counts)
    result = mining.unigram_negatives(counts, 2, alpha=1, n_rows=20000, replace=False, seed=2)
    samplers.assert_distinct(result)
    share = counts / counts.sum()
    pairs = share[:, np.newaxis] * share / (1 - share[:, np.newaxis])
    np.fill_diagonal(pairs, 0)
    samplers.assert_follows(result.indices @ np.array([4, 1]), pairs.ravel())


def test_without_replacement_ends_with_what_there_is():
    result = mining.unigram_negatives([5, 0, 1e9, 1e-9], 6, positives=[[], [0], [0, 2, 3]], replace=False, seed=0)
    samplers.assert_well_formed(result, 3, 6, 4)
    samplers.assert_distinct(result)
    assert result.counts.tolist() == [3, 2, 0]


def test_nothing_is_left():
    result = mining.unigram_negatives([3, 0, 2], 2, positives=[[0, 2], [0]], seed=0)
    assert result.indices.tolist() == [[-1, -1], [2, 2]]
    assert result.counts.tolist() == [0, 2]
    assert mining.unigram_negatives([0, 0], 2, n_rows=2, seed=0).counts.tolist() == [0, 0]
    assert mining.unigram_negatives([], 2, n_rows=2, seed=0).counts.tolist() == [0, 0]
    assert mining.unigram_negatives([1], 2, n_rows=0, seed=0).indices.shape == (0, 2)
    assert mining.unigram_negatives([1], 0, n_rows=2, seed=0).indices.shape == (2, 0)


def test_huge_counts_and_powers():
    result = mining.unigram_negatives([1e308, 1e308, 1e-308], 50, alpha=3, n_rows=4, seed=0)
    assert set(result.indices.ravel().tolist()) == {0, 1}
    result = mining.unigram_negatives([1e308, 1e308, 1e-308], 50, alpha=-3, n_rows=4, seed=0)
    assert set(result.indices.ravel().tolist()) == {2}


@pytest.mark.parametrize("replace", [True, False])
def test_cutting_rows_changes_nothing(replace):
    counts, known = np.arange(30) ** 2, [[29, i % 30] for i in range(300)]
    options = {"positives": known, "seed": 4, "replace": replace}
    expected = mining.unigram_negatives(counts, 5, **options)
    for memory in (700, 50_000):
        samplers.assert_same(mining.unigram_negatives(counts, 5, max_memory=memory, **options), expected)
    assert not (expected.indices == 29).any()


@pytest.mark.parametrize("kind", ["int32", "uint8", "float32", "float16"])
def test_dtypes_and_strides(kind):
    counts = np.arange(24).astype(kind)
    expected = mining.unigram_negatives(counts[::3].astype(float).copy(), 3, n_rows=4, seed=0)
    samplers.assert_same(mining.unigram_negatives(counts[::3], 3, n_rows=4, seed=0), expected)


@pytest.mark.parametrize(
    ("counts", "options", "error", "message"),
    [
        ([1.0, -1.0], {"n_rows": 1}, ValueError, "counts is -1.0 at index 1"),
        ([1.0, np.nan], {"n_rows": 1}, ValueError, "counts is nan at index 1"),
        ([1.0, np.inf], {"n_rows": 1}, ValueError, "counts is inf at index 1"),
        ([[1.0]], {"n_rows": 1}, ValueError, "counts has shape"),
        (["a"], {"n_rows": 1}, TypeError, "counts has dtype"),
        ([1.0], {}, ValueError, "n_rows is None"),
        ([1.0], {"n_rows": 1, "alpha": np.inf}, ValueError, "alpha must be finite"),
        ([1.0], {"n_rows": 1, "alpha": "x"}, TypeError, "alpha must be a number"),
        ([1.0], {"n_rows": 1, "k": -1}, ValueError, "k must be at least 0"),
        ([1.0], {"n_rows": 1, "replace": None}, TypeError, "replace must be"),
        ([1.0], {"positives": [[1]]}, ValueError, "positives names column 1"),
        ([1.0], {"n_rows": 1, "seed": 1.5}, TypeError, "seed must be"),
    ],
)
def test_errors(counts, options, error, message):
    with pytest.raises(error, match=message):
        mining.unigram_negatives(counts, **options)
