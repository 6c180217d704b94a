"""The oracle itself, on cases worked out by hand and against two other libraries."""

from fractions import Fraction
from math import isnan

import cases
import numpy as np
import oracle
import pytest
from scipy.stats import mannwhitneyu
from sklearn.metrics import roc_auc_score

BY_HAND = [
    pytest.param([1, 2], [0, 1], Fraction(1), id="one pair in order"),
    pytest.param([2, 1], [0, 1], Fraction(0), id="one pair out of order"),
    pytest.param([1, 1], [0, 1], Fraction(1, 2), id="one tie"),
    pytest.param([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1], Fraction(3, 4), id="scikit-learn's example"),
    pytest.param([0.9, 0.7, 0.8, 0.7, 0.2], [1, 1, 1, 0, 0], Fraction(11, 12), id="specification"),
    pytest.param([1, 2, 2, 3, 3, 3], [0, 0, 1, 0, 1, 1], Fraction(13, 18), id="ties on two levels"),
    pytest.param([-0.0, 0.0], [0, 1], Fraction(1, 2), id="signed zeros tie"),
    pytest.param([-np.inf, np.inf, np.inf], [0, 0, 1], Fraction(3, 4), id="infinities"),
    pytest.param([2**60, 2**60 + 1], [0, 1], Fraction(1), id="beyond float64"),
    pytest.param(np.array([2**64 - 2, 2**64 - 1], np.uint64), [0, 1], Fraction(1), id="end of uint64"),
    pytest.param([False, True, True], [0, 0, 1], Fraction(3, 4), id="bool scores"),
]


@pytest.mark.parametrize(("scores", "labels", "expected"), BY_HAND)
def test_cases_worked_out_by_hand(scores, labels, expected):
    assert oracle.ratio(scores, labels) == expected
    assert oracle.auc(scores, labels) == float(expected)
    assert oracle.counted(scores, labels) == float(expected)
    assert oracle.ratio(scores, labels, np.ones(len(labels))) == expected


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        pytest.param([1, 1, 1, 1], Fraction(3, 4), id="ones"),
        pytest.param([1, 3, 2, 1], Fraction(1 * 2 + 1 * 1 + 3 * 1, 4 * 3), id="integers"),
        pytest.param([0.5, 1.5, 1.0, 0.5], Fraction(6, 12), id="halves of the same"),
        pytest.param([1, 0, 1, 1], Fraction(1), id="a row switched off"),
        pytest.param([0, 0, 1, 1], None, id="a class switched off"),
    ],
)
def test_weights_worked_out_by_hand(weights, expected):
    assert oracle.ratio([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1], weights) == expected


@pytest.mark.parametrize("labels", [[], [0], [1], [0, 0, 0], [1, 1, 1]])
def test_a_missing_class_is_undefined(labels):
    scores = np.zeros(len(labels))
    assert oracle.ratio(scores, labels) is None
    assert isnan(oracle.auc(scores, labels))
    assert isnan(oracle.counted(scores, labels))


def test_groups_come_in_order_of_first_appearance():
    groups = ["b", "a", "b", "c", "a"]
    assert oracle.first_appearance(groups) == ["b", "a", "c"]
    assert [rows.tolist() for rows in oracle.members(groups)] == [[0, 2], [1, 4], [3]]
    values = oracle.grouped([1, 5, 2, 0, 4], [0, 0, 1, 1, 1], oracle.members(groups))
    np.testing.assert_array_equal(values, [1.0, 0.0, np.nan])


def test_segments_may_be_empty():
    assert [rows.tolist() for rows in oracle.segments([0, 2, 2, 3])] == [[0, 1], [], [2]]


GAUC = [  # per group: AUC 1 with 1 x 1 rows, AUC 1/2 with 1 x 2 rows, one class with 2 rows
    ("uniform", "skip", Fraction(3, 4)),
    ("size", "skip", Fraction(2 + Fraction(3, 2), 5)),
    ("positives", "skip", Fraction(3, 4)),
    ("pairs", "skip", Fraction(2, 3)),
    ("uniform", "half", Fraction(2, 3)),
    ("size", "half", Fraction(2 + Fraction(3, 2) + 1, 7)),
    ("positives", "half", Fraction(1 + Fraction(1, 2) + 1, 4)),
    ("pairs", "half", Fraction(2, 3)),
    ("uniform", "nan", None),
]


@pytest.mark.parametrize(("weighting", "undefined", "expected"), GAUC)
def test_group_means_worked_out_by_hand(weighting, undefined, expected):
    scores, labels = [1, 2, 1, 2, 3, 5, 6], [0, 1, 0, 1, 0, 1, 1]
    rows = oracle.members([0, 0, 1, 1, 1, 2, 2])
    value = oracle.gauc(scores, labels, rows, weighting=weighting, undefined=undefined)
    assert isnan(value) if expected is None else value == float(expected)


@pytest.mark.parametrize("n", [2, 3, 17, 200])
@pytest.mark.parametrize("name", cases.names("float64"))
def test_agrees_with_scipy_and_with_its_own_count(name, n):
    scores, positive = cases.make(name, "float64", n)
    expected = oracle.auc(scores, positive)
    assert oracle.counted(scores, positive) == expected
    with np.errstate(all="ignore"):  # the p-value of tied data divides by zero
        statistic = mannwhitneyu(scores[positive], scores[~positive], method="asymptotic").statistic
    assert statistic / (positive.sum() * (~positive).sum()) == expected


@pytest.mark.parametrize("name", ["normal", "three_values", "saturated", "constant", "near_one"])
def test_weighted_agrees_with_scikit_learn(name):
    scores, positive = cases.make(name, "float64", 150)
    weights = np.random.default_rng(1).random(150)
    peer = roc_auc_score(positive, scores, sample_weight=weights)
    assert oracle.auc(scores, positive, weights) == pytest.approx(peer, rel=1e-12)
