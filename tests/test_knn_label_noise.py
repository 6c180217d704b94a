"""knn_label_noise: the vote by its definition, rules, references, determinism."""

import re
from collections import Counter

import numpy as np
import pytest
from fastpair.mining import _values
from fastpair.mining._knn_label_noise import knn_label_noise


def naive(x, labels, ref_x, ref_labels, k, rule):
    """The definition with sorted distances."""
    flags, suggestions, agreement = [], [], []
    itself = ref_x is None
    ref_x, ref_labels = (x, labels) if itself else (ref_x, ref_labels)
    for i, point in enumerate(x):
        distances = ((ref_x - point) ** 2).sum(axis=1)
        order = [j for j in np.argsort(distances, kind="stable") if not (itself and i == j)][:k]
        near = [ref_labels[j] for j in order]
        votes = Counter(near)  # in order of the nearest
        label, most = max(votes.items(), key=lambda item: item[1]) if votes else (labels[i], 0)
        mine = votes[labels[i]]
        other = most > mine
        limit = {"majority": 2 * most > len(near), "plurality": True, "unanimous": most == len(near)}[rule]
        flags.append(bool(other and limit))
        suggestions.append(label if other else labels[i])
        agreement.append(mine / len(near) if near else np.nan)
    return flags, suggestions, agreement


@pytest.mark.parametrize("rule", ["majority", "plurality", "unanimous"])
@pytest.mark.parametrize("reference", [False, True])
@pytest.mark.parametrize("k", [1, 4, 30])
def test_the_definition(rule, reference, k, rng, monkeypatch):
    monkeypatch.setattr(_values, "MOST_CELLS", 40)
    x, labels = rng.integers(0, 4, (25, 2)).astype(float), rng.integers(0, 4, 25)
    ref = (rng.integers(0, 4, (20, 2)).astype(float), rng.integers(1, 6, 20)) if reference else (None, None)
    expected = naive(x, labels, *ref, k, rule)
    found = knn_label_noise(x, labels, *ref, k, rule=rule, metric="sqeuclidean")
    assert found.flags.tolist() == expected[0]
    assert found.suggestions.tolist() == expected[1]
    np.testing.assert_allclose(found.agreement, expected[2])


def test_a_mislabelled_point_inside_another_class(rng):
    x = np.concatenate([rng.normal(0, 0.1, (20, 3)), rng.normal(5, 0.1, (20, 3))])
    labels = np.repeat(["low", "high"], 20)
    labels[3] = "high"
    found = knn_label_noise(x, labels, metric="euclidean")
    assert np.flatnonzero(found.flags).tolist() == [3]
    assert found.suggestions[3] == "low"
    clean = knn_label_noise(x, labels, x[10:30], np.repeat(["low", "very high"], 10), metric="euclidean")
    assert clean.suggestions[30] == "very high"  # not cut to the length of the other labels


def test_same_answer_for_any_threads_and_memory(rng):
    x, labels = rng.normal(size=(200, 5)).astype(np.float32), rng.integers(0, 3, 200)
    expected = knn_label_noise(x, labels)
    for threads, memory in ((1, None), (3, 1 << 20)):
        found = knn_label_noise(x, labels, num_threads=threads, max_memory=memory)
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_array_equal(one, other)


def test_few_rows_and_none():
    alone = knn_label_noise([[1.0]], ["a"])
    assert (alone.flags.tolist(), alone.suggestions.tolist()) == ([False], ["a"])
    assert np.isnan(alone.agreement[0])
    assert knn_label_noise(np.zeros((0, 2)), []).flags.shape == (0,)
    calls = []
    knn_label_noise(np.eye(3), [0, 1, 1], progress=lambda done, total: calls.append((done, total)))
    assert calls[-1] == (9, 9)


@pytest.mark.parametrize(
    ("arguments", "options", "kind", "message"),
    [
        (([1.0], [0]), {}, ValueError, "x has shape (1,); pass two dimensions"),
        (([[1.0]], [0, 1]), {}, ValueError, "labels has shape (2,); pass one label for each of the 1 rows of x"),
        (([[1.0]], [0], [[1.0]]), {}, ValueError, "ref_x was given without ref_labels"),
        (([[1.0]], [0], None, [0]), {}, ValueError, "ref_labels was given without ref_x"),
        (([[1.0]], [0], [[1.0]], [0, 1]), {}, ValueError, "ref_labels has shape (2,)"),
        (([[1.0]], [np.nan]), {}, ValueError, "labels is NaN at index 0"),
        (([[1.0]], [0], None, None, 0), {}, ValueError, "k must be at least 1"),
        (([[1.0]], [0]), {"rule": "all"}, ValueError, "rule must be one of"),
        (([[1.0]], [0]), {"metric": "near"}, ValueError, "metric must be one of"),
        (([["a"]], [0]), {}, TypeError, "x has dtype"),
    ],
)
def test_errors(arguments, options, kind, message):
    with pytest.raises(kind, match=re.escape(message)):
        knn_label_noise(*arguments, **options)
