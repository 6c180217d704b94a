"""shrink_classes: the loop of the definition, limits, ties."""

import re

import numpy as np
import pytest
from fastpair.mining import _values
from fastpair.mining._shrink_classes import shrink_classes


def naive(row, threshold, first):
    """The loop over ranks."""
    order = sorted(range(len(row)), key=lambda c: (-row[c], c))
    for rank in range(first, len(row) + 1):
        rest = order[rank - 1 :]
        total = row[order[0]] + sum(row[c] for c in reversed(rest))
        if total > 0 and row[order[0]] / total >= threshold - 1e-14:
            return {order[0], *rest}, row[order[0]], rank
    return set(), 0.0, 0


@pytest.mark.parametrize("cells", [9, 1 << 17])
@pytest.mark.parametrize(("threshold", "first"), [(0.95, 3), (0.6, 2), (0.8, 5), (1.0, 3)])
def test_the_definition(threshold, first, cells, rng, monkeypatch):
    monkeypatch.setattr(_values, "MOST_CELLS", cells)
    values = np.round(rng.dirichlet(np.full(7, 0.4), 60), 2)
    found = shrink_classes(values, threshold=threshold, first=first)
    for row, line in enumerate(values.tolist()):
        classes, weight, rank = naive(line, threshold, first)
        assert set(np.flatnonzero(found.mask[row])) == classes
        assert (found.weights[row], found.ranks[row]) == (weight, rank)
    assert (found.ranks > 0).any()


def test_limits():
    assert shrink_classes([[0.5, 0.5]]).ranks.tolist() == [0]  # no class of rank 3
    assert shrink_classes([[0.5, 0.5, 0.0]]).mask.tolist() == [[True, False, True]]
    assert shrink_classes([[0.0, 0.0, 0.0]]).ranks.tolist() == [0]
    assert shrink_classes([[0.75, 0.0, 0.25]], threshold=0.75, first=2).ranks.tolist() == [2]
    assert shrink_classes(np.zeros((0, 5))).mask.shape == (0, 5)
    assert shrink_classes(np.zeros((2, 0))).mask.shape == (2, 0)
    half = shrink_classes(np.array([[0.5, 0.25, 0.0, 0.25]], np.float16), threshold=1)
    assert half.mask.tolist() == [[True, False, True, False]]
    assert half.weights.dtype == np.float64


@pytest.mark.parametrize(
    ("arguments", "options", "kind", "message"),
    [
        ([[0.5]], {}, ValueError, "probabilities has shape (1,)"),
        ([[[-0.5]]], {}, ValueError, "probabilities is -0.5 at index (0, 0)"),
        ([[[np.nan]]], {}, ValueError, "probabilities is nan at index (0, 0)"),
        ([[["a"]]], {}, TypeError, "probabilities has dtype"),
        ([[[0.5]]], {"threshold": 0}, ValueError, "threshold must be larger than 0"),
        ([[[0.5]]], {"threshold": 1.5}, ValueError, "threshold must be at most 1"),
        ([[[0.5]]], {"first": 1}, ValueError, "first must be at least 2"),
    ],
)
def test_errors(arguments, options, kind, message):
    with pytest.raises(kind, match=re.escape(message)):
        shrink_classes(*arguments, **options)
