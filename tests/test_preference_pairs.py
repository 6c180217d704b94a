"""preference_pairs and best_worst_pairs: the definitions, examples without a partner, groups."""

import re

import numpy as np
import pytest
from fastpair.mining import _values
from fastpair.mining._preference_pairs import best_worst_pairs, preference_pairs


def naive(scores, labels, confidences=None):
    """The definition, pair by pair."""
    partners, values = [], []
    for i, label in enumerate(labels):
        best, most = -1, np.nan
        for j, other in enumerate(labels):
            if i == j or label != other:
                continue
            chances = 1 / (1 + np.exp(scores[:, j] - scores[:, i]))
            if confidences is None:
                value = chances.var()
            else:
                mean = chances.mean() - 0.5
                if mean * (confidences[i] - confidences[j]) >= 0:
                    continue
                value = abs(mean)
            if best < 0 or value > most + 1e-12:
                best, most = j, value
        partners.append(best)
        values.append(most)
    return partners, values


@pytest.mark.parametrize("cells", [3, 1 << 17])
@pytest.mark.parametrize("strategy", ["disagreement", "inconsistency"])
def test_the_definition(strategy, cells, rng, monkeypatch):
    monkeypatch.setattr(_values, "MOST_CELLS", cells)
    scores, labels = rng.normal(size=(3, 30)), rng.integers(0, 6, 30)
    confidences = rng.random(30) if strategy == "inconsistency" else None
    partners, values = naive(scores, labels, confidences)
    found = preference_pairs(scores, labels, strategy=strategy, confidences=confidences)
    assert found.partners.tolist() == partners
    np.testing.assert_allclose(found.values, values)
    assert found.partners.dtype == np.int64


def test_examples_without_a_partner():
    alone = preference_pairs(np.zeros((2, 3)), ["a", "b", "b"])
    assert alone.partners.tolist() == [-1, 2, 1]
    assert np.isnan(alone.values[0])
    agreed = preference_pairs([[3.0, 1.0, 1.0]], [0, 0, 0], strategy="inconsistency", confidences=[0.9, 0.5, 0.4])
    assert agreed.partners.tolist() == [-1, -1, -1]
    contradicted = preference_pairs([[3.0, 1.0, 1.0]], [0, 0, 0], strategy="inconsistency", confidences=[0.1, 0.5, 0.4])
    assert contradicted.partners.tolist() == [1, 0, 0]
    assert preference_pairs(np.zeros((2, 0)), []).partners.shape == (0,)


@pytest.mark.parametrize(
    ("arguments", "options", "kind", "message"),
    [
        (([0.0], [0]), {}, ValueError, "scores has shape (1,)"),
        (([[np.nan], [0.0]], [0]), {}, ValueError, "scores is nan at row 0, column 0"),
        (([[0.0], [0.0]], [0, 1]), {}, ValueError, "labels has shape (2,)"),
        (([[0.0]], [0]), {}, ValueError, "scores has 1 heads"),
        (([[0.0], [0.0]], [0]), {"strategy": "random"}, ValueError, "strategy must be one of"),
        (([[0.0], [0.0]], [0]), {"confidences": [1.0]}, ValueError, "confidences is for strategy='inconsistency'"),
        (([[0.0]], [0]), {"strategy": "inconsistency"}, ValueError, "confidences is None"),
        (
            ([[0.0]], [0]),
            {"strategy": "inconsistency", "confidences": [1.0, 2.0]},
            ValueError,
            "confidences has shape (2,)",
        ),
        (([["a"], ["b"]], [0]), {}, TypeError, "scores has dtype"),
    ],
)
def test_errors(arguments, options, kind, message):
    with pytest.raises(kind, match=re.escape(message)):
        preference_pairs(*arguments, **options)


def test_best_and_worst(rng):
    rewards, groups = rng.integers(0, 5, 200), rng.integers(0, 40, 200)
    found = best_worst_pairs(rewards, groups=groups)
    for place, group in enumerate(dict.fromkeys(groups.tolist())):
        members = np.flatnonzero(groups == group)
        best, worst = members[rewards[members].argmax()], members[rewards[members].argmin()]
        if rewards[best] == rewards[worst]:
            best = worst = -1
        assert (found.best[place], found.worst[place]) == (best, worst)


def test_groups_that_are_skipped():
    found = best_worst_pairs([1.0, 1.0, 2.0, 1.0], offsets=[0, 2, 2, 4])
    assert found.best.tolist() == [-1, -1, 2]
    assert found.worst.tolist() == [-1, -1, 3]
    assert best_worst_pairs([3, 1, 2]) == (0, 1)
    assert best_worst_pairs([]).best.tolist() == [-1]
    assert best_worst_pairs([5.0]).best.tolist() == [-1]


@pytest.mark.parametrize(
    ("arguments", "options", "kind", "message"),
    [
        ([[[1.0]]], {}, ValueError, "rewards has shape (1, 1)"),
        ([[np.inf]], {}, ValueError, "rewards is inf at index 0"),
        ([[1.0]], {"groups": [1, 2]}, ValueError, "groups has shape (2,)"),
        ([["a"]], {}, TypeError, "rewards has dtype"),
    ],
)
def test_errors_of_best_and_worst(arguments, options, kind, message):
    with pytest.raises(kind, match=re.escape(message)):
        best_worst_pairs(*arguments, **options)
