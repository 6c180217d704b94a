"""select_contrast_set: the best of all subsets where it is exact, greedy diversity, ranks with ties."""

import re
from itertools import combinations

import numpy as np
import pytest
from fastpair.mining._contrast_set import select_contrast_set
from scipy.stats import rankdata


def total_gap(values, chosen):
    return sum(abs(values[i] - values[j]) for i, j in combinations(chosen, 2))


@pytest.mark.parametrize("largest", [True, False])
@pytest.mark.parametrize("k", [1, 2, 3, 4, 7])
def test_margins_are_the_best_of_all_subsets(k, largest, rng):
    for _ in range(10):
        values = rng.integers(0, 12, 7) / 4
        found = select_contrast_set(values, k, largest=largest)
        gaps = [total_gap(values, chosen) for chosen in combinations(range(7), k)]
        assert total_gap(values, found) == pytest.approx(max(gaps) if largest else min(gaps))
        assert found.tolist() == sorted(set(found.tolist()))
        assert len(found) == k
    assert select_contrast_set(np.ones(5), 3, largest=largest).tolist() == [0, 1, 2]


@pytest.mark.parametrize("largest", [True, False])
def test_diversity_is_greedy(largest, rng):
    values = rng.random((9, 9))
    even = (values + values.T) * (1 if largest else -1)
    chosen = list(min(combinations(range(9), 2), key=lambda pair: even[pair]))
    for k in range(2, 10):
        found = select_contrast_set(values, k, by="diversity", largest=largest)
        assert found.tolist() == sorted(chosen)
        rest = [c for c in range(9) if c not in chosen]
        if rest:
            chosen.append(min(rest, key=lambda c: sum(even[c, other] for other in chosen)))
    single = select_contrast_set(values, 1, by="diversity", largest=largest)
    np.fill_diagonal(even, 0)
    assert single.tolist() == [even.sum(axis=1).argmin()]


@pytest.mark.parametrize("largest", [True, False])
def test_surprise_and_length(largest, rng):
    quality, scores = rng.integers(0, 5, 12), rng.integers(0, 5, 12)
    surprise = np.abs(rankdata(quality) - rankdata(scores))
    order = np.argsort(-surprise if largest else surprise, kind="stable")
    found = select_contrast_set(quality, 4, by="surprise", model_scores=scores, largest=largest)
    assert found.tolist() == sorted(order[:4].tolist())
    lengths = rng.integers(1, 9, 12)
    order = np.argsort(-lengths if largest else lengths, kind="stable")
    assert select_contrast_set(lengths, 5, by="length", largest=largest).tolist() == sorted(order[:5].tolist())


@pytest.mark.parametrize(
    ("arguments", "options", "kind", "message"),
    [
        (([[1.0]], 1), {}, ValueError, "values has shape (1, 1)"),
        (([1.0], 1), {"by": "diversity"}, ValueError, "values has shape (1,)"),
        (([[1.0, 2.0]], 1), {"by": "diversity"}, ValueError, "values has shape (1, 2); pass a square"),
        (([1.0], 2), {}, ValueError, "k is 2, but there are 1 candidates"),
        (([1.0], 0), {}, ValueError, "k must be at least 1"),
        (([1.0], 0.5), {}, TypeError, "k must be an integer"),
        (([np.nan], 1), {}, ValueError, "values is nan at index 0"),
        (([1.0], 1), {"by": "quality"}, ValueError, "by must be one of"),
        (([1.0], 1), {"largest": 1}, TypeError, "largest must be True or False"),
        (([1.0], 1), {"by": "surprise"}, ValueError, "model_scores is None, but by='surprise' needs it"),
        (([1.0], 1), {"model_scores": [1.0]}, ValueError, "model_scores is for by='surprise', not 'margin'"),
        (([1.0], 1), {"by": "surprise", "model_scores": [1.0, 2.0]}, ValueError, "model_scores has shape (2,)"),
    ],
)
def test_errors(arguments, options, kind, message):
    with pytest.raises(kind, match=re.escape(message)):
        select_contrast_set(*arguments, **options)
