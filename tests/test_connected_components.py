"""connected_components: against union-find one pair at a time, hard shapes, order of labels."""

import re

import numpy as np
import pytest
from fastpair.mining._connected_components import connected_components
from hypothesis import given
from hypothesis import strategies as st


def naive(pairs, n):
    """Union-find, one pair after the other."""
    parent = list(range(n))

    def root(item):
        while parent[item] != item:
            item = parent[item]
        return item

    for a, b in pairs:
        low, high = sorted((root(a), root(b)))
        parent[high] = low
    numbers = {}
    return [numbers.setdefault(root(item), len(numbers)) for item in range(n)]


@given(st.integers(1, 30).flatmap(lambda n: st.tuples(st.just(n), st.lists(st.tuples(*[st.integers(0, n - 1)] * 2)))))
def test_the_definition(case):
    n, pairs = case
    found = connected_components(pairs, n)
    assert found.dtype == np.int64
    assert found.tolist() == naive(pairs, n)


@pytest.mark.parametrize("shape", ["path", "back", "shuffled", "star", "comb"])
def test_long_ways(shape, rng):
    n = 3000
    pairs = {
        "path": np.stack([np.arange(n - 1), np.arange(1, n)], axis=1),
        "back": np.stack([np.arange(1, n), np.arange(n - 1)], axis=1)[::-1],
        "shuffled": rng.permutation(n)[np.stack([np.arange(n - 1), np.arange(1, n)], axis=1)],
        "star": np.stack([np.full(n - 1, n - 1), np.arange(n - 1)], axis=1),
        "comb": np.stack([np.arange(n - 1), rng.permutation(n - 1) + 1], axis=1),
    }[shape]
    found = connected_components(pairs, n)
    if shape != "comb":
        assert (found == 0).all()
    assert found.tolist() == naive(pairs.tolist(), n)


def test_no_pairs_dtypes_and_no_change_of_the_input():
    assert connected_components([], 3).tolist() == [0, 1, 2]
    assert connected_components(np.zeros((0, 2), int), 0).shape == (0,)
    pairs = np.array([[2, 0], [2, 2]], np.uint8)
    assert connected_components(pairs, 3).tolist() == [0, 1, 0]
    assert pairs.tolist() == [[2, 0], [2, 2]]


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        (([0, 1], 2), ValueError, "pairs has shape (2,); pass shape (p, 2)"),
        (([[0, 1, 2]], 3), ValueError, "pairs has shape (1, 3)"),
        (([[0, 3]], 3), ValueError, "pairs is [0, 3] at index 0; pass items from 0 to n - 1 = 2"),
        (([[-1, 0]], 3), ValueError, "pairs is [-1, 0] at index 0"),
        (([[0.0, 1.0]], 3), TypeError, "pairs has dtype float64"),
        (([[0, 1]], 2.5), TypeError, "n must be an integer"),
        (([], -1), ValueError, "n must be at least 0"),
    ],
)
def test_errors(arguments, kind, message):
    with pytest.raises(kind, match=re.escape(message)):
        connected_components(*arguments)
