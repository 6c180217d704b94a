"""What tests of samplers do: count draws, and demand that they follow probabilities."""

import numpy as np


def assert_follows(draws, probabilities, sigmas=5.0):
    """Demand that draws of indices have these probabilities: a chi-square test that fails once in millions."""
    expected = np.asarray(probabilities, np.float64) * len(draws)
    seen = np.bincount(draws, minlength=len(expected))
    assert seen[expected == 0].sum() == 0, "an item of probability 0 was drawn"
    possible = expected > 0
    statistic = ((seen - expected)[possible] ** 2 / expected[possible]).sum()
    freedom = possible.sum() - 1
    assert statistic <= freedom + sigmas * np.sqrt(2 * freedom) + 10, (statistic, freedom)


def assert_well_formed(result, rows, k, limit):
    """Demand int64 indices below a limit, padded with -1 at the end of each row, and counts that agree."""
    assert result.indices.dtype == result.counts.dtype == np.int64
    assert result.indices.shape == (rows, k)
    assert result.counts.shape == (rows,)
    np.testing.assert_array_equal(result.indices >= 0, np.arange(k) < result.counts[:, np.newaxis])
    assert result.indices.max(initial=-1) < limit
    assert result.indices.min(initial=0) >= -1


def assert_distinct(result):
    """Demand that no row has an index twice."""
    for row, count in zip(result.indices, result.counts, strict=True):
        assert len(set(row[:count].tolist())) == count


def assert_same(first, second):
    """Demand two results of the same bits."""
    assert type(first) is type(second)
    for left, right in zip(first, second, strict=True):
        if left is None:
            assert right is None
        else:
            np.testing.assert_array_equal(left, right, strict=True)
