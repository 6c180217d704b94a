"""select_by_distance, farthest_target and norm_ratio_filter."""

import re

import numpy as np
import pytest
from fastpair.mining._selections import farthest_target, norm_ratio_filter, select_by_distance


@pytest.mark.parametrize("itself", [False, True])
@pytest.mark.parametrize("count", [1, 2, 9])
def test_nearest_sources(count, itself, rng):
    distances = rng.integers(1, 9, (6, 6)) / 4
    found = select_by_distance(distances, n_negatives=count, exclude_self=itself)
    for row, line in enumerate(distances):
        order = [j for j in sorted(range(6), key=lambda j, line=line: (line[j], j)) if not (itself and j == row)]
        negatives = order[1 : 1 + count]
        assert found.positives[row] == order[0]
        assert found.counts[row] == len(negatives)
        assert found.negatives[row].tolist() == negatives + [-1] * (count - len(negatives))
        expected = [1 / line[j] for j in negatives] + [0] * (count - len(negatives))
        np.testing.assert_array_equal(found.weights[row], expected)


def test_a_function_of_two_sources(rng):
    sources = [rng.normal(place, 1, (20, 3)) for place in (0, 1, 5, 0.2)]

    def apart(a, b):
        return np.linalg.norm(a.mean(axis=0) - b.mean(axis=0))

    matrix = np.array([[apart(a, b) for b in sources] for a in sources])
    found, expected = select_by_distance(apart, sources), select_by_distance(matrix, exclude_self=True)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)
    assert select_by_distance(apart, []).positives.shape == (0,)
    assert select_by_distance(apart, sources[:1]).positives.tolist() == [-1]


def test_few_sources():
    none = select_by_distance(np.zeros((2, 0)))
    assert none.positives.tolist() == [-1, -1]
    assert none.negatives.tolist() == [[-1, -1]] * 2
    assert select_by_distance([[0.0]]).positives.tolist() == [0]  # a positive may be as near as it likes
    values = np.ones((2, 2))
    select_by_distance(values, exclude_self=True)
    assert (values == 1).all()


@pytest.mark.parametrize(
    ("arguments", "options", "kind", "message"),
    [
        ([[1.0]], {}, ValueError, "distances has shape (1,)"),
        ([[[-1.0]]], {}, ValueError, "distances is -1.0 at index (0, 0)"),
        ([[[np.nan]]], {}, ValueError, "distances is nan"),
        ([[[0.0, 0.0]]], {}, ValueError, "distances is 0 for two sources of row 0"),
        ([[[1.0]], [1]], {}, ValueError, "sources is for a function"),
        ([min], {}, TypeError, "sources must be a sequence for a function of two of them, not NoneType"),
        ([lambda a, b: "far", [1, 2]], {}, TypeError, "the distance of 1 and 0 must be a number"),
        ([lambda a, b: -1.0, [1, 2]], {}, ValueError, "distances is -1.0"),
        ([[[1.0]]], {"n_negatives": 0}, ValueError, "n_negatives must be at least 1"),
        ([[[1.0]]], {"exclude_self": 1}, TypeError, "exclude_self must be True or False"),
    ],
)
def test_errors_of_sources(arguments, options, kind, message):
    with pytest.raises(kind, match=re.escape(message)):
        select_by_distance(*arguments, **options)


def test_farthest_target(rng):
    scores, sets = rng.normal(size=(7, 12)), rng.integers(0, 4, 12)
    found = farthest_target(scores)
    assert found.target == scores.mean(axis=0).argmin()
    grouped = farthest_target(scores, groups=sets)
    means = [scores[:, sets == group].mean() for group in dict.fromkeys(sets.tolist())]
    np.testing.assert_allclose(grouped.means, means)
    assert grouped.target == np.argmin(means)
    bordered = farthest_target(scores, offsets=[0, 5, 5, 12])
    np.testing.assert_allclose(bordered.means, [scores[:, :5].mean(), np.nan, scores[:, 5:].mean()])
    assert bordered.target == np.nanargmin(bordered.means)
    assert type(found.target) is int
    assert farthest_target([[1, 1]]).target == 0


@pytest.mark.parametrize(
    ("arguments", "options", "kind", "message"),
    [
        ([[1.0]], {}, ValueError, "similarities has shape (1,)"),
        ([np.zeros((0, 2))], {}, ValueError, "similarities has shape (0, 2); pass at least one row and one target"),
        ([[[np.inf]]], {}, ValueError, "similarities is inf"),
        ([[[1.0, 2.0]]], {"groups": [1]}, ValueError, "groups has shape (1,)"),
        ([[["a"]]], {}, TypeError, "similarities has dtype"),
    ],
)
def test_errors_of_targets(arguments, options, kind, message):
    with pytest.raises(kind, match=re.escape(message)):
        farthest_target(*arguments, **options)


def test_norm_ratios(rng):
    queries, references = rng.normal(size=(50, 4)), rng.normal(size=(50, 6)).astype(np.float32)
    ratio = np.linalg.norm(queries, axis=1) / np.linalg.norm(references.astype(float), axis=1)
    np.testing.assert_array_equal(norm_ratio_filter(queries, references), ratio <= 1)
    np.testing.assert_array_equal(norm_ratio_filter(queries, references, max_ratio=0.7), ratio <= 0.7)
    assert norm_ratio_filter([[0.0], [1.0], [1.0]], [[0.0], [0.0], [1.0]]).tolist() == [True, False, True]
    assert norm_ratio_filter(np.zeros((0, 3)), np.zeros((0, 3))).shape == (0,)


@pytest.mark.parametrize(
    ("arguments", "options", "kind", "message"),
    [
        (([1.0], [[1.0]]), {}, ValueError, "queries has shape (1,)"),
        (([[1.0]], [[1.0], [2.0]]), {}, ValueError, "queries has 1 rows but references has 2"),
        (([[1.0]], [[np.nan]]), {}, ValueError, "references is nan"),
        (([[1.0]], [[1.0]]), {"max_ratio": -1}, ValueError, "max_ratio must be at least 0"),
        (([[1.0]], [[1.0]]), {"max_ratio": "1"}, TypeError, "max_ratio must be a number"),
    ],
)
def test_errors_of_norm_ratios(arguments, options, kind, message):
    with pytest.raises(kind, match=re.escape(message)):
        norm_ratio_filter(*arguments, **options)
