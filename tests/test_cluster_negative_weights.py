"""cluster_negative_weights: golden values, the published loss, rows that no clustering separates."""

import re

import numpy as np
import pytest
from differences import S3
from fastpair import losses
from fastpair.mining import _values
from fastpair.mining._cluster_negative_weights import cluster_negative_weights

TWO = [[0, 0, 1], [0, 1, 1]]


def test_golden_values():
    weights = cluster_negative_weights(TWO)
    assert weights.tolist() == [[0, 1, 2], [1, 0, 1], [2, 1, 0]]
    value = losses.info_nce(similarities=S3, neg_weights=weights, include_positive=False, temperature=0.4)
    assert value == pytest.approx(-0.126277665586980, abs=1e-14)


def test_rows_that_are_never_separated_are_left_out_by_the_loss():
    weights = cluster_negative_weights(np.zeros((3, 3), int))
    assert (weights == 0).all()
    assert losses.info_nce(similarities=S3, neg_weights=weights, include_positive=False) == 0


@pytest.mark.parametrize("cells", [4, 1 << 17])
def test_the_definition(cells, rng, monkeypatch):
    monkeypatch.setattr(_values, "MOST_CELLS", cells)
    rows, columns = rng.integers(0, 3, (4, 7)), rng.integers(0, 3, (4, 5))
    expected = [
        [sum(r != c for r, c in zip(rows[:, i], columns[:, j], strict=True)) for j in range(5)] for i in range(7)
    ]
    np.testing.assert_array_equal(cluster_negative_weights(rows, columns), expected)
    names = np.array(["x", "y", "z"])
    np.testing.assert_array_equal(cluster_negative_weights(names[rows], names[columns]), expected)


def test_one_clustering_and_none():
    assert cluster_negative_weights(["a", "b", "a"]).tolist() == [[0, 1, 0], [1, 0, 1], [0, 1, 0]]
    assert cluster_negative_weights(np.zeros((0, 2), int)).tolist() == [[0, 0], [0, 0]]
    assert cluster_negative_weights(np.zeros((2, 0), int)).shape == (0, 0)


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ([3], ValueError, "assignments has shape ()"),
        ([np.zeros((1, 1, 1))], ValueError, "assignments has shape (1, 1, 1)"),
        ([TWO, [0, 1]], ValueError, "assignments has 2 clusterings but y_assignments has 1"),
        ([[0.0, np.nan]], ValueError, "assignments is NaN at index 1"),
        ([np.array([1, "a"], object)], TypeError, "assignments cannot be compared"),
    ],
)
def test_errors(arguments, kind, message):
    with pytest.raises(kind, match=re.escape(message)):
        cluster_negative_weights(*arguments)
