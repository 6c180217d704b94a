"""The oracle itself, on cases worked out by hand and against scipy."""

import embeddings
import numpy as np
import oracle_similarity as oracle
import pytest
from scipy.spatial.distance import cdist

BY_HAND = [
    ("dot", [1.0, 2.0], [3.0, 4.0], 11.0),
    ("cosine", [3.0, 4.0], [1.0, 0.0], 0.6),
    ("cosine", [0.0, 0.0], [1.0, 0.0], 0.0),
    ("cosine", [3e200, 4e200], [1e-200, 0.0], 0.6),
    ("sqeuclidean", [1.0, 2.0], [4.0, 6.0], 25.0),
    ("euclidean", [1.0, 2.0], [4.0, 6.0], 5.0),
    ("manhattan", [1.0, 2.0], [4.0, 6.0], 7.0),
    ("poincare", [0.3, 0.1], [-0.2, 0.4], 1.284271818221107),
    ("poincare", [0.0, 0.0], [0.0, 0.0], 0.0),
    ("lorentz", [1.0, 0.0], [1.0, 0.0], 0.0),
    ("lorentz", [np.cosh(2.0), np.sinh(2.0)], [1.0, 0.0], 2.0),
    ("hamming", [True, False, True], [False, False, True], 1.0),
    ("hamming", np.uint8([0b1010]), np.uint8([0b0110]), 2.0),
    ("jaccard", [True, True, False], [False, True, False], 0.5),
    ("jaccard", [False, False], [False, False], 0.0),
]


@pytest.mark.parametrize(("metric", "x", "y", "expected"), BY_HAND)
def test_cases_worked_out_by_hand(metric, x, y, expected):
    found = oracle.pairwise(np.array([x]), np.array([y]), metric)
    assert found.shape == (1, 1)
    assert found[0, 0] == pytest.approx(expected, rel=1e-15)


@pytest.mark.parametrize("width", [0, 1, 15, 16, 17, 31, 32, 33, 100])
def test_the_order_of_a_sum(width):
    """Written out once more, an element at a time."""
    terms = np.random.default_rng(width).normal(size=width) * 1e8
    lanes = [0.0] * 16
    for k, term in enumerate(terms.tolist()):
        lanes[k % 16] += term
    for half in (8, 4, 2, 1):
        lanes = [lanes[k] + lanes[k + half] for k in range(half)]
    assert oracle.lane_sum(terms) == lanes[0]


@pytest.mark.parametrize("metric", ["cosine", "euclidean", "sqeuclidean", "cityblock"])
@pytest.mark.parametrize("pattern", ["gaussian", "tight", "anisotropic", "integers"])
def test_agrees_with_scipy_and_with_another_order(metric, pattern):
    x, y = embeddings.make(pattern, 9, 13, 37)
    own = {"cityblock": "manhattan"}.get(metric, metric)
    found, plain = oracle.pairwise(x, y, own), oracle.pairwise(x, y, own, oracle.numpy_sum)
    np.testing.assert_allclose(found, plain, rtol=1e-12, atol=1e-13)
    peer = cdist(x, y, metric)
    np.testing.assert_allclose(found, 1 - peer if metric == "cosine" else peer, rtol=1e-12, atol=1e-13)


def test_ties_go_by_index_and_unused_places_are_marked():
    scores = np.array([[1.0, 3.0, 1.0, np.nan, 3.0]])
    best, indices = oracle.topk(scores, 6, True)
    assert indices.tolist() == [[1, 4, 0, 2, -1, -1]]
    assert best.tolist() == [[3.0, 3.0, 1.0, 1.0, -np.inf, -np.inf]]
    assert oracle.topk(scores, 2, False)[1].tolist() == [[0, 2]]
    assert oracle.radius(scores, 3.0, True)[1].tolist() == [1, 4]
    assert oracle.radius(scores, 3.0, False)[1].tolist() == [0, 1, 2, 4]
    assert oracle.radius(scores, 3.0, False, best_first=True)[1].tolist() == [0, 2, 1, 4]


def test_rules_worked_out_by_hand():
    scores = np.array([[1.0, 2.0, 3.0], [4.0, np.nan, 6.0]])
    assert oracle.admitted(scores).tolist() == [[True, True, True], [True, False, True]]
    assert oracle.admitted(scores, exclude_self=True).tolist() == [[False, True, True], [True, False, True]]
    assert oracle.admitted(scores, exclude=[[2], [0]]).tolist() == [[True, True, False], [False, False, True]]
    assert oracle.admitted(scores, min_score=[2.0, 5.0]).tolist() == [[False, True, True], [False, False, True]]
    labels = {"x_labels": "ab", "y_labels": "aba"}
    same = oracle.admitted(scores, **labels, same_label=True)
    assert same.tolist() == [[True, False, True], [False, False, False]]


def test_divergences_worked_out_by_hand():
    p, q = np.array([1.0, 1.0]), np.array([9.0, 1.0])
    assert oracle.jensen_shannon(p, q) ** 2 == pytest.approx(0.101749225079, abs=1e-12)
    assert oracle.kl(p, q) == pytest.approx(0.5 * np.log(0.5 / 0.9) + 0.5 * np.log(0.5 / 0.1))
    assert oracle.kl(np.array([1.0, 0.0]), q) == pytest.approx(-np.log(0.9))
    assert oracle.kl(q, np.array([1.0, 0.0])) == np.inf
