"""soft_info_nce_weights: golden values, means of 1, limits, roles of pairs."""

import re

import numpy as np
import pytest
from differences import S3
from fastpair import losses
from fastpair.mining import _values
from fastpair.mining._soft_info_nce_weights import soft_info_nce_weights


def naive(scores, negative, positive, *, temperature=1.0, alpha=1.0, beta=1.0, floor=0.1):
    """The definition, row by row."""
    weights = positive.astype(float)
    for row, line in enumerate(scores):
        columns = np.flatnonzero(negative[row])
        if len(columns):
            powers = np.exp((line[columns] - line[columns].max()) / temperature)
            shares = powers / powers.sum()
            weights[row, columns] = np.maximum((beta - alpha * shares) / (beta - alpha / len(columns)), floor)
    return weights


def test_golden_values():
    weights = soft_info_nce_weights(S3, alpha=0.5)
    np.testing.assert_allclose(weights[0], [1, 1.0332226649, 0.9667773351], atol=1e-10)
    assert np.diag(weights).tolist() == [1, 1, 1]


def test_rows_have_mean_one_without_the_floor(rng):
    weights = soft_info_nce_weights(rng.normal(size=(6, 9)), floor=0)
    negative = ~np.eye(6, 9, dtype=bool)
    np.testing.assert_allclose((weights * negative).sum(axis=1) / 8, 1)
    np.testing.assert_array_equal(soft_info_nce_weights(np.full((4, 5), 0.3)), np.ones((4, 5)))
    np.testing.assert_array_equal(soft_info_nce_weights(rng.normal(size=(4, 4)), alpha=0), np.ones((4, 4)))
    assert soft_info_nce_weights([[0.0, 900.0, 0.0, 0.0]], floor=0.25)[0] == pytest.approx([1, 0.25, 1.5, 1.5])


@pytest.mark.parametrize("cells", [5, 1 << 17])
def test_the_definition(cells, rng, monkeypatch):
    monkeypatch.setattr(_values, "MOST_CELLS", cells)
    scores, mask = rng.normal(size=(9, 11)) * 5, rng.random((9, 11)) < 0.2
    ignore = (rng.random((9, 11)) < 0.2) & ~mask
    ignore[4] = ~mask[4]  # no negative is left
    options = {"temperature": 0.7, "alpha": 0.3, "beta": 0.9, "floor": 0.2}
    found = soft_info_nce_weights(scores, mask, ignore=ignore, **options)
    np.testing.assert_allclose(found, naive(scores, ~(mask | ignore), mask, **options))
    columns = rng.integers(-1, 11, 9)
    positive = np.zeros((9, 11), bool)
    positive[columns >= 0, columns[columns >= 0]] = True
    np.testing.assert_allclose(soft_info_nce_weights(scores, columns), naive(scores, ~positive, positive))


def test_with_the_loss():
    weights = soft_info_nce_weights(S3, alpha=0.5)
    value = losses.info_nce(similarities=S3, neg_weights=weights, temperature=1.0)
    parts = np.exp(S3) * weights
    assert value == pytest.approx(-np.log(np.diag(parts) / parts.sum(axis=1)).mean())


def test_empty_input_and_dtypes():
    assert soft_info_nce_weights(np.zeros((0, 3))).shape == (0, 3)
    assert soft_info_nce_weights(S3.astype(np.float16)).dtype == np.float64


@pytest.mark.parametrize(
    ("arguments", "options", "kind", "message"),
    [
        ([[1.0]], {}, ValueError, "similarities has shape (1,)"),
        ([[[1.0, np.nan]]], {}, ValueError, "similarities is nan at row 0, column 1"),
        ([np.zeros((2, 2))], {}, ValueError, "row 0 has 1 negatives, but alpha=1 and beta=1 need more than 1"),
        ([S3], {"alpha": 3}, ValueError, "row 0 has 2 negatives"),
        ([S3], {"alpha": -1}, ValueError, "alpha must be at least 0"),
        ([S3], {"beta": 0}, ValueError, "beta must be larger than 0"),
        ([S3], {"floor": -1}, ValueError, "floor must be at least 0"),
        ([S3], {"temperature": 0}, ValueError, "temperature must be larger than 0"),
        ([S3], {"temperature": "a"}, TypeError, "temperature must be a number"),
        ([S3, [0, 1]], {}, ValueError, "positives has shape (2,)"),
        ([S3], {"ignore": np.eye(3, dtype=bool)}, ValueError, "ignore is True at row 0, column 0"),
    ],
)
def test_errors(arguments, options, kind, message):
    with pytest.raises(kind, match=re.escape(message)):
        soft_info_nce_weights(*arguments, **options)
