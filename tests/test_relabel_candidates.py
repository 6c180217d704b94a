"""relabel_candidates: three classes that cover all candidates."""

import re

import numpy as np
import pytest
from fastpair.mining._relabel_candidates import relabel_candidates


def naive(rank, has_answer, pos_index):
    """The definition, candidate by candidate."""
    codes = np.full(np.shape(rank), -1, np.int8)
    for row, candidates in enumerate(rank):
        for column, place in enumerate(candidates):
            if place < candidates[pos_index[row]] or column == pos_index[row]:
                codes[row, column] = 1
            elif has_answer[row][column]:
                codes[row, column] = 0
    return codes


def test_the_definition(rng):
    rank, answers = rng.integers(0, 9, (40, 6)), rng.random((40, 6)) < 0.4
    columns = rng.integers(0, 6, 40)
    codes = relabel_candidates(rank, answers, columns)
    assert codes.dtype == np.int8
    np.testing.assert_array_equal(codes, naive(rank, answers, columns))
    np.testing.assert_array_equal(relabel_candidates(rank[3], answers[3], columns[3]), codes[3])
    assert ((codes > 0).sum(axis=1) >= 1).all()


def test_nothing_changes_under_the_best_positive():
    assert relabel_candidates([0.0, 1.0, 2.0], [True, False, False], 0).tolist() == [1, -1, -1]
    assert relabel_candidates(np.zeros((0, 3)), np.zeros((0, 3), bool), []).shape == (0, 3)


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        (([1, 2], [True], 0), ValueError, "has_answer has shape (1,); pass that of rank, (2,)"),
        (([1, 2], [1, 0], 0), TypeError, "has_answer has dtype int64"),
        (([1, 2], [True, True], 2), ValueError, "pos_index is 2 at index 0, but there are 2 candidates"),
        (([1, 2], [True, True], -1), ValueError, "pos_index is -1"),
        (([1, 2], [True, True], [0]), ValueError, "pos_index has shape (1,); pass an integer"),
        (([1, 2], [True, True], 0.5), TypeError, "pos_index has dtype float64"),
        (([[1, 2]], [[True, True]], [0, 1]), ValueError, "pos_index has shape (2,); pass shape (1,)"),
        (([1, np.nan], [True, True], 0), ValueError, "rank is nan at index 1"),
        ((3, True, 0), ValueError, "rank has shape ()"),
    ],
)
def test_errors(arguments, kind, message):
    with pytest.raises(kind, match=re.escape(message)):
        relabel_candidates(*arguments)
