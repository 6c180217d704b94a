"""Entropic transport plans: golden numbers, marginals, and scores that would overflow."""

import re

import fastpair
import numpy as np
import oracle_similarity as oracle
import pytest
from fastpair.similarity import SinkhornPlan, sinkhorn

S3 = np.array([[0.9, 0.2, 0.4], [0.1, 0.7, 0.3], [0.5, 0.6, 0.8]])


def test_golden_row():
    np.testing.assert_allclose(sinkhorn(S3)[0], [0.999555598, 0.000033211, 0.000411191], atol=5e-10)


@pytest.mark.parametrize(("n", "m"), [(1, 1), (3, 3), (40, 7), (7, 40), (1, 9), (9, 1)])
@pytest.mark.parametrize("rounds", [1, 3, 20])
def test_it_is_the_plan_of_plain_scaling(n, m, rounds, rng):
    scores = rng.random((n, m))
    expected = oracle.sinkhorn(scores, 0.1, rounds, np.ones(n), np.full(m, n / m))
    np.testing.assert_allclose(sinkhorn(scores, 0.1, rounds), expected, rtol=1e-12)
    mu, nu = rng.random(n) + 0.1, rng.random(m) + 0.1
    mu, nu = mu / mu.sum(), nu / nu.sum()
    expected = oracle.sinkhorn(scores, 0.1, rounds, mu, nu)
    np.testing.assert_allclose(sinkhorn(scores, 0.1, rounds, marginals=(mu, nu)), expected, rtol=1e-12)


def test_rows_sum_to_1_and_columns_nearly_to_their_share(rng):
    plan = sinkhorn(rng.random((64, 8)), 0.05, 3)
    np.testing.assert_allclose(plan.sum(axis=1), 1, rtol=1e-12)
    np.testing.assert_allclose(plan.sum(axis=0), 8, rtol=0.2)
    square = sinkhorn(rng.random((20, 20)), 0.5, 500)
    np.testing.assert_allclose(square.sum(axis=0), 1, rtol=1e-10)


def test_it_moves_with_permutations_and_stays_under_shifts(rng):
    scores = rng.random((9, 6))
    plan, rows, columns = sinkhorn(scores), rng.permutation(9), rng.permutation(6)
    np.testing.assert_allclose(sinkhorn(scores[rows][:, columns]), plan[rows][:, columns], rtol=1e-12)
    np.testing.assert_allclose(sinkhorn(scores + 1000), plan, rtol=1e-9)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int64])
def test_scores_over_eps_do_not_overflow(dtype):
    scores = (np.eye(4) * 2000).astype(dtype)
    plan = sinkhorn(scores, 0.05, 3)
    assert plan.dtype == (np.float64 if dtype in (np.float64, np.int64) else np.float32)
    np.testing.assert_allclose(plan, np.eye(4))
    np.testing.assert_allclose(sinkhorn(-scores.astype(np.float64), 0.05, 3).sum(axis=1), 1)


@pytest.mark.parametrize(("n", "m"), [(4, 4), (3, 8), (8, 3)])
def test_with_a_bin_rows_sum_to_1_including_it(n, m, rng):
    scores = rng.random((n, m))
    bordered = np.full((n + 1, m + 1), 0.3)
    bordered[:n, :m] = scores
    mu, nu = np.append(np.ones(n), m), np.append(np.ones(m), n)
    for rounds in (1, 5, 100):
        expected = oracle.sinkhorn(bordered, 0.1, rounds, mu, nu)
        found = sinkhorn(scores, 0.1, rounds, dustbin=0.3, return_potentials=True)
        assert isinstance(found, SinkhornPlan)
        np.testing.assert_allclose(found.plan, expected[:n, :m], rtol=1e-11)
        whole = np.exp(bordered / 0.1 + found.u[:, np.newaxis] + found.v)
        np.testing.assert_allclose(whole, expected, rtol=1e-11)
        np.testing.assert_allclose(whole[:n].sum(axis=1), 1, rtol=1e-11)
    assert found.plan.sum() < min(n, m)
    full = sinkhorn(scores, 0.1, 2000, dustbin=-50.0).sum()
    assert full == pytest.approx(min(n, m), rel=1e-3)


def test_potentials_give_the_plan(rng):
    scores = rng.random((5, 7))
    plan, u, v = sinkhorn(scores, 0.2, 4, return_potentials=True)
    np.testing.assert_allclose(np.exp(scores / 0.2 + u[:, np.newaxis] + v), plan, rtol=1e-12)


def test_pairs_that_are_not_admitted(rng):
    scores = rng.random((5, 4))
    scores[0, 1], scores[3], scores[:, 2] = -np.inf, -np.inf, -np.inf
    plan = sinkhorn(scores, 0.1, 50)
    assert plan[0, 1] == 0
    assert (plan[3] == 0).all()
    assert (plan[:, 2] == 0).all()
    np.testing.assert_allclose(plan.sum(axis=1), [1, 1, 1, 0, 1], rtol=1e-12)


def test_masses_of_0():
    plan = sinkhorn(S3, 0.1, 200, marginals=([0.5, 0.0, 0.5], [0.25, 0.75, 0.0]))
    np.testing.assert_allclose(plan.sum(axis=1), [0.5, 0, 0.5], rtol=1e-9)
    np.testing.assert_allclose(plan.sum(axis=0), [0.25, 0.75, 0], rtol=1e-3)


def test_work_is_cut_into_parts(monkeypatch, rng):
    from fastpair.similarity import _sinkhorn

    scores = rng.random((40, 7))
    expected = sinkhorn(scores), sinkhorn(scores, dustbin=0.2)
    for cells in (1, 50, 100):
        monkeypatch.setattr(_sinkhorn, "MOST_CELLS", cells)
        np.testing.assert_allclose(sinkhorn(scores), expected[0], rtol=1e-13)
        np.testing.assert_allclose(sinkhorn(scores, dustbin=0.2), expected[1], rtol=1e-13)


@pytest.mark.parametrize("shape", [(0, 0), (0, 3), (3, 0)])
def test_nothing_to_transport(shape):
    assert sinkhorn(np.empty(shape)).shape == shape
    assert sinkhorn(np.empty(shape), dustbin=0.1).shape == shape


def test_the_scores_stay_as_they_were():
    before = S3.copy()
    sinkhorn(S3)
    np.testing.assert_array_equal(before, S3)


REFUSED = [
    ({"eps": 0}, ValueError, "eps must be positive"),
    ({"eps": -1}, ValueError, "eps"),
    ({"eps": np.nan}, ValueError, "eps"),
    ({"eps": "small"}, TypeError, "eps"),
    ({"n_iter": 0}, ValueError, "n_iter"),
    ({"n_iter": 1.5}, TypeError, "n_iter"),
    ({"similarities": [1.0, 2.0]}, ValueError, r"similarities has shape \(2,\)"),
    ({"similarities": [[1.0, np.nan]]}, ValueError, "similarities is nan at row 0, column 1"),
    ({"similarities": [[1.0], [np.inf]]}, ValueError, "similarities is inf at row 1, column 0"),
    ({"similarities": [["a"]]}, TypeError, "similarities has dtype"),
    ({"dustbin": np.inf}, ValueError, "dustbin"),
    ({"dustbin": 0.1, "marginals": ([1.0] * 3, [1.0] * 3)}, ValueError, "marginals and dustbin"),
    ({"marginals": [1.0] * 3}, TypeError, "marginals must be a tuple"),
    ({"marginals": ([1.0] * 2, [1.0] * 3)}, ValueError, r"marginals\[0\] has shape \(2,\)"),
    ({"marginals": ([1.0] * 3, [1.0, -1.0, 3.0])}, ValueError, r"marginals\[1\] is -1.0 at index 1"),
    ({"marginals": ([1.0] * 3, [2.0] * 3)}, ValueError, "sums 3.0 and 6.0"),
    ({"return_potentials": 1}, TypeError, "return_potentials"),
]


@pytest.mark.parametrize(("arguments", "error", "words"), REFUSED)
def test_what_cannot_be_is_refused(arguments, error, words):
    with pytest.raises(error) as caught:
        fastpair.similarity.sinkhorn(**{"similarities": S3, **arguments})
    assert re.search(words, str(caught.value)), str(caught.value)
