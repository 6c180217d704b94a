"""lambda_rank and the LambdaLoss schemes: what is their own. `test_list_losses.py` compares them with the oracle."""

from math import e, log, log2

import cases
import helpers
import numpy as np
import oracle_losses as oracle
import pytest
from fastpair import losses
from score_losses import assert_close, sample

DELTAS = ("none", "mrr", "ndcg", "ndcg2", "ndcg2++")


def test_the_number_of_the_specification(isa):
    """The specification prints 0.283025661369339, with a slip in the eleventh digit."""
    value = losses.lambda_rank([2, 1.5, 1], [0, 1, 0], delta="mrr", ranks=[1, 2, 3])
    by_hand = (log(1 + e**0.5) / 2 + log(1 + e**-0.5) / 6) / 2
    assert by_hand == pytest.approx(0.2830256613933689, rel=1e-15)
    assert value == pytest.approx(by_hand, rel=1e-14)
    assert losses.lambda_rank([2, 1.5, 1], [0, 1, 0], delta="mrr") == value  # its own ranks are the same


def test_weights_by_hand():
    """Of two items with gains 0 and 3 the better one is second, one below: D = 1, 1/log2(3)."""
    fall, softplus = 1 - 1 / log2(3), log(1 + e**0.5)
    call = {"scores": [1.0, 0.5], "relevance": [0, 2]}
    assert losses.lambda_rank(**call, delta="ndcg") == pytest.approx(fall * softplus, rel=1e-14)
    assert losses.lambda_rank(**call, delta="ndcg2") == pytest.approx(fall * softplus, rel=1e-14)
    assert losses.lambda_rank(**call, delta="ndcg2++", mu=4.0) == pytest.approx(5 * fall * softplus, rel=1e-14)
    assert losses.lambda_rank(**call, delta="mrr") == pytest.approx(softplus / 2, rel=1e-14)
    assert losses.lambda_rank(**call, delta="mrr", cut=1) == pytest.approx(softplus, rel=1e-14)
    assert losses.lambda_rank(**call, delta="ndcg", cut=1) == pytest.approx(softplus, rel=1e-14)
    assert losses.lambda_rank(**call, delta="none") == pytest.approx(softplus, rel=1e-14)


def test_without_weights_it_is_ranknet():
    scores, grades, offsets = sample("grades")
    for normalizer in ("pairs", "groups", "sum"):
        options = {"offsets": offsets, "normalizer": normalizer, "sigma": 1.5, "return_grad": True}
        value, grads = losses.ranknet(scores, grades, **options)
        found, same = losses.lambda_rank(scores, grades, delta="none", **options)
        assert found == pytest.approx(value, rel=1e-12)
        np.testing.assert_allclose(same.scores, grads.scores, rtol=1e-10, atol=1e-17)


@pytest.mark.parametrize("delta", DELTAS)
def test_given_ranks(delta, isa):
    scores, grades, offsets = sample("grades")
    rows = oracle.rows_of(len(scores), offsets=offsets)
    given = np.concatenate([1 + cases.generator("ranks", len(r)).permutation(len(r)) for r in rows])
    for dtype in (np.int32, np.int64, np.float32, np.float64):
        for cut in (None, 1, 3, 1000):
            ones = [oracle.lambda_loss(scores[r], grades[r], scheme=delta, ranks=given[r], cut=cut) for r in rows]
            value, grad, size = oracle.reduce(ones, rows, len(scores), "groups")
            options = {"offsets": offsets, "delta": delta, "cut": cut, "ranks": given.astype(dtype)}
            found, grads = losses.lambda_rank(scores, grades, return_grad=True, **options)
            assert_close(found, value, value)
            assert_close(grads.scores, grad, size)


@pytest.mark.parametrize("delta", DELTAS)
def test_gradients_with_the_weights_held(delta):
    """Given ranks do not move with the scores: the gradient is that of the value."""
    scores, grades, offsets = sample("grades", (5, 9))
    ranks = np.concatenate([np.arange(5, 0, -1), np.arange(1, 10)])
    options = {"offsets": offsets, "delta": delta, "ranks": ranks}
    _, grads = losses.lambda_rank(scores, grades, return_grad=True, **options)
    numeric = oracle.central(lambda s: losses.lambda_rank(s, grades, **options), scores)
    np.testing.assert_allclose(grads.scores, numeric, atol=1e-8)


@pytest.mark.parametrize("delta", DELTAS)
def test_ranks_of_ids_in_any_order(delta):
    rng = cases.generator("ids")
    scores, grades, codes, ranks = rng.normal(size=60), rng.integers(0, 3, 60), rng.integers(0, 4, 60), np.zeros(60)
    rows = oracle.rows_of(60, groups=codes)
    for own in rows:
        ranks[own] = 1 + rng.permutation(len(own))
    for given in (None, ranks):
        ones = [
            oracle.lambda_loss(scores[r], grades[r], scheme=delta, ranks=None if given is None else given[r])
            for r in rows
        ]
        value, grad, size = oracle.reduce(ones, rows, 60, "groups")
        found, grads = losses.lambda_rank(scores, grades, groups=codes, delta=delta, ranks=given, return_grad=True)
        assert_close(found, value, value)
        assert_close(grads.scores, grad, size)


@pytest.mark.parametrize("delta", DELTAS)
def test_tied_scores_rank_by_index(delta, isa):
    scores, grades = np.array([1.0, 0.0, 1.0, 0.0, -0.0, 1.0]), np.array([0, 1, 2, 2, 0, 1])
    value = losses.lambda_rank(scores, grades, delta=delta)
    given = losses.lambda_rank(scores, grades, delta=delta, ranks=[1, 4, 2, 5, 6, 3])
    assert value == pytest.approx(given, rel=1e-14)


@pytest.mark.parametrize("gain", ["exponential", "linear"])
def test_gains(gain):
    scores, grades, _ = sample("grades", (20,))
    wanted = oracle.lambda_loss(scores, grades, scheme="ndcg", gain=gain)
    value = losses.lambda_rank(scores, grades, delta="ndcg", gain=gain)
    assert value == pytest.approx(float(wanted.total / wanted.norm), rel=1e-13)


def test_a_list_of_no_gain_is_skipped():
    value, grads = losses.lambda_rank([1.0, 2.0, 3.0], [0, 0, 0], return_grad=True)
    assert (value, *grads.scores) == (0, 0, 0, 0)


@pytest.mark.parametrize("delta", DELTAS)
def test_lists_of_a_thousand(delta, threads, isa):
    rng = cases.generator(delta)
    scores, grades = rng.normal(size=1100), rng.integers(0, 5, 1100)
    offsets = [0, 700, 700, 1100]
    rows = oracle.rows_of(1100, offsets=offsets)
    ones = [solve(delta, tuple(scores[r]), tuple(grades[r])) for r in rows]
    value, grad, size = oracle.reduce(ones, rows, 1100, "groups")
    found, grads = losses.lambda_rank(
        scores, grades, offsets=offsets, delta=delta, return_grad=True, num_threads=threads
    )
    assert_close(found, value, value)
    assert_close(grads.scores, grad, size)


SOLVED = {}


def solve(delta, scores, grades):
    key = delta, len(scores)
    if key not in SOLVED:
        SOLVED[key] = oracle.lambda_loss(np.array(scores), np.array(grades), scheme=delta)
    return SOLVED[key]


def test_the_same_bits_for_float32_scores_as_for_float64_of_the_same_values():
    scores, grades, offsets = sample("grades", dtype="float32")
    for delta in DELTAS:
        narrow = losses.lambda_rank(scores, grades, offsets=offsets, delta=delta)
        wide = losses.lambda_rank(scores.astype(np.float64), grades, offsets=offsets, delta=delta)
        assert helpers.bits(narrow) == helpers.bits(wide)
