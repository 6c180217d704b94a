"""What `mining.hard_negatives` refuses, and how it says so."""

import numpy as np
import pytest
from fastpair import mining

REFUSED = [
    ({"corpus": np.zeros((0, 3))}, "corpus has no rows"),
    ({"corpus": np.ones((4, 2))}, "queries has 3 columns but corpus has 2"),
    ({"corpus": np.ones(3)}, r"corpus has shape \(3,\)"),
    ({"queries": np.ones(3)}, r"queries has shape \(3,\)"),
    ({"positives": [0, 9]}, "positives names column 9 for row 1, but corpus has 5 rows"),
    ({"positives": [0, -2]}, "positives names column -2 for row 1"),
    ({"positives": [0]}, r"positives has shape \(1,\), but there are 2 rows"),
    ({"positives": [[0], [1], [2]]}, "positives is a list of 3 lists for 2 rows of queries"),
    ({"positives": np.ones((2, 4), bool)}, r"pass a mask of shape \(2, 5\)"),
    ({"positives": mining.Coordinates(np.array([1, 0]), np.array([0, 1]))}, "coordinates whose rows are not ascending"),
    ({"positives": np.zeros((3, 2), int)}, "positives is a ndarray of 3 lists for 2 rows of queries"),
    ({"positives": np.array([[0, 5], [1, -1]])}, "positives names column 5 for row 0, but corpus has 5 rows"),
    ({"exclude": [[7], []]}, "exclude names column 7 for row 0, but corpus has 5 rows"),
    ({"k": 0}, "k must be at least 1, not 0"),
    ({"range": (3, 3)}, r"range=\(3, 3\) has no rank"),
    ({"range": (4, 2)}, r"range=\(4, 2\) has no rank"),
    ({"range": (1, 2)}, r"k=2 negatives do not fit into the 1 ranks of range=\(1, 2\)"),
    ({"range": (5, None)}, r"range\[0\]=5 skips all of the 5 rows"),
    ({"range": (-1, None)}, r"range\[0\] must be at least 0"),
    ({"min_score": 0.6, "max_score": 0.5}, "min_score=0.6 is above max_score=0.5"),
    ({"min_score": 1.5}, "min_score=1.5 is above all scores: those of 'cosine' are at most 1"),
    ({"max_score": -2}, "max_score=-2 is below all scores"),
    ({"metric": "euclidean", "max_score": -1}, "those of 'euclidean' are at least 0"),
    ({"min_score": np.nan}, "min_score is nan for row 0"),
    (
        {"min_score": [0.1, 0.2, 0.3]},
        r"min_score has shape \(3,\); pass one number, or one for each of the 2 rows of qu",
    ),
    ({"abs_margin": np.inf}, "abs_margin must be finite"),
    ({"positive": "all"}, "positive must be one of"),
    ({"sample": "best"}, "sample must be one of"),
    ({"fallback": "none"}, "fallback must be one of"),
    ({"duplicates": True}, "duplicates must be one of"),
    ({"temperature": 0}, "temperature must be larger than 0"),
    ({"seed": -1, "sample": "random"}, "seed must not be negative"),
    ({"metric": "cos"}, "metric must be one of"),
    ({"query_labels": [1, 2]}, "query_labels was given without corpus_labels"),
    (
        {"query_labels": [1], "corpus_labels": [0] * 5},
        r"query_labels has shape \(1,\); pass one label for each of the 2",
    ),
    ({"query_labels": [1, 2], "corpus_labels": [0] * 4}, "corpus_labels has 4 elements but corpus has 5 rows"),
    ({"teacher": np.ones((2, 4))}, r"teacher has shape \(2, 4\); pass shape \(2, 5\)"),
    ({"teacher": lambda rows, columns: [1.0]}, r"teacher returned shape \(1,\) for"),
    ({"teacher": lambda rows, columns: np.full(len(rows), np.nan)}, "teacher is nan for query 0"),
    ({"queries": [[1.0, 0, 0], [np.nan, 0, 0]]}, "queries is NaN at row 1, column 0"),
    ({"corpus": [[1.0, 0, 0]] * 4 + [[0, np.inf, 0]]}, "corpus is inf at row 4, column 1"),
    ({"queries": [[1.0, 0, 0], [np.nan, 0, 0]], "positive": "own", "positives": [[], [3]]}, "queries is NaN at row 1"),
    ({"metric": "poincare", "corpus": [[0.1, 0, 0]] * 4 + [[2.0, 0, 0]]}, "row 4 of corpus has norm 2"),
]


@pytest.mark.parametrize(("change", "words"), REFUSED)
def test_what_cannot_be_is_refused(change, words):
    arguments = {"queries": np.eye(3)[:2] / 2, "corpus": np.eye(5, 3) / 3 + 0.1, "positives": [0, 1], "k": 2}
    with pytest.raises(ValueError, match=words):
        mining.hard_negatives(**{**arguments, **change})


WRONG = [
    ({"positives": None}, "positives is None; pass the row of corpus that belongs to each row of queries"),
    ({"positives": [0.5, 1.0]}, "pass integers"),
    ({"range": 5}, r"range must be a tuple \(lo, hi\)"),
    ({"range": (0, 2.5)}, r"range\[1\] must be an integer"),
    ({"k": 2.0}, "k must be an integer"),
    ({"abs_margin": "0.1"}, "abs_margin must be a number"),
    ({"seed": "x", "sample": "random"}, "seed must be an integer"),
    ({"teacher": "model"}, "dtype"),
    ({"progress": 1}, "progress must be True, False or a function"),
]


@pytest.mark.parametrize(("change", "words"), WRONG)
def test_wrong_types_are_refused(change, words):
    arguments = {"queries": np.eye(3)[:2], "corpus": np.eye(5, 3), "positives": [0, 1], "k": 2}
    with pytest.raises(TypeError, match=words):
        mining.hard_negatives(**{**arguments, **change})
