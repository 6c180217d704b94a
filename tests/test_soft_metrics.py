"""smooth_ap, approx_ndcg, approx_mrr and fast_ap: what is their own. `test_list_losses.py` has the oracle."""

from math import log2

import cases
import numpy as np
import oracle_losses as oracle
import oracle_ranks as ranks
import pytest
from fastpair import losses
from score_losses import assert_close, sample

SCORES, LABELS = np.array([0.9, 0.7, 0.5, 0.3]), np.array([1, 0, 1, 0])


def test_cold_metrics_are_the_metrics():
    assert losses.smooth_ap(SCORES, LABELS, temperature=1e-4) == pytest.approx(1 - (1 + 2 / 3) / 2, rel=1e-12)
    assert losses.approx_mrr(SCORES, [0, 1, 0, 0], temperature=1e-4) == pytest.approx(1 / 2, rel=1e-12)
    ndcg = (3 + 1 / 2 + 7 / log2(5)) / (7 + 3 / log2(3) + 1 / 2)
    assert losses.approx_ndcg(SCORES, [2, 0, 1, 3], temperature=1e-4) == pytest.approx(1 - ndcg, rel=1e-12)


def test_perfect_orders_lose_nothing():
    assert losses.smooth_ap(SCORES, [1, 1, 0, 0], temperature=1e-3) == pytest.approx(0, abs=1e-12)
    assert losses.approx_mrr(SCORES, [1, 0, 0, 0], temperature=1e-3) == pytest.approx(0, abs=1e-12)
    assert losses.approx_ndcg(SCORES, [3, 2, 1, 0], temperature=1e-3) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("temperature", [0.01, 0.1, 1.0])
@pytest.mark.parametrize("name", ["smooth_ap", "approx_ndcg", "approx_mrr"])
def test_long_lists(name, temperature, threads, isa):
    scores, labels, offsets, (value, grad, size) = solved(name, temperature)
    options = {"offsets": offsets, "temperature": temperature, "return_grad": True, "num_threads": threads}
    found, grads = getattr(losses, name)(scores, labels, **options)
    assert_close(found, value, abs(value))
    assert_close(grads.scores, grad, size)


SOLVED = {}


def solved(name, temperature):
    if (name, temperature) not in SOLVED:
        rng = cases.generator("long")
        sizes = (350, 2, 90)
        offsets = np.concatenate([[0], np.cumsum(sizes)])
        scores, labels = rng.normal(size=442), rng.integers(0, 4 if name == "approx_ndcg" else 2, 442)
        rows = oracle.rows_of(442, offsets=offsets)
        ones = [getattr(ranks, name)(scores[r], labels[r], temperature=temperature) for r in rows]
        wanted = oracle.reduce(ones, rows, 442, "sum")
        SOLVED[name, temperature] = scores, labels, offsets, wanted
    return SOLVED[name, temperature]


@pytest.mark.parametrize("gain", ["exponential", "linear"])
def test_gains_of_ndcg(gain):
    scores, grades, _ = sample("grades", (20,))
    wanted = ranks.approx_ndcg(scores, grades, gain=gain)
    value, grads = losses.approx_ndcg(scores, grades, gain=gain, return_grad=True)
    assert_close(value, wanted.total, wanted.total)
    assert_close(grads.scores, wanted.grad, wanted.size)


@pytest.mark.parametrize("bins", [1, 2, 10, 25])
def test_histograms_of_fast_ap(bins):
    rng = cases.generator("fast_ap", bins)
    for low, high in ((-1.0, 1.0), (0.0, 4.0), (-3.0, 5.0)):
        scores, positive = rng.uniform(low, high, 40), cases.coin(rng, 40)
        wanted = ranks.fast_ap(scores, positive, bins=bins, low=low, high=high)
        value, grads = losses.fast_ap(scores, positive, bins=bins, range=(low, high), return_grad=True)
        assert_close(value, wanted.total, 1)
        np.testing.assert_allclose(grads.scores, wanted.grad.astype(float), atol=1e-7)


def test_fast_ap_by_hand():
    """Scores at the centres of three bins: positives 1 and 0, a negative at 0."""
    value = losses.fast_ap([1.0, 0.0, 0.0], [1, 1, 0], bins=2, range=(-1.0, 1.0))
    assert value == pytest.approx(1 - (1 + 2 / 3) / 2, rel=1e-14)


def test_scores_beyond_the_range_of_fast_ap_count_in_the_last_bin():
    inside = losses.fast_ap([1.0, -1.0, 0.3, 0.1], [1, 0, 1, 0], bins=5, range=(-1.0, 1.0))
    value, grads = losses.fast_ap([7.0, -9.0, 0.3, 0.1], [1, 0, 1, 0], bins=5, range=(-1.0, 1.0), return_grad=True)
    assert value == pytest.approx(inside, rel=1e-13)
    np.testing.assert_array_equal(grads.scores[:2], [0, 0])


@pytest.mark.parametrize("name", ["smooth_ap", "approx_mrr", "fast_ap"])
def test_labels_of_two_classes(name):
    call = getattr(losses, name)
    scores, labels, offsets = sample("classes")
    value = call(scores, labels, offsets=offsets)
    for same in (labels.astype(bool), labels.astype(np.float32), np.where(labels, 1, -1)):
        assert call(scores, same, offsets=offsets) == value


@pytest.mark.parametrize("name", ["smooth_ap", "approx_ndcg", "approx_mrr"])
def test_gradients_add_up_to_zero(name):
    scores, labels, offsets = sample("classes")
    value, grads = getattr(losses, name)(scores, labels, offsets=offsets, return_grad=True)
    assert 0 < value < 1
    assert abs(grads.scores.sum()) <= 1e-12 * np.abs(grads.scores).sum()


@pytest.mark.parametrize("name", ["smooth_ap", "approx_ndcg", "approx_mrr", "fast_ap"])
def test_descent_improves_the_metric(name):
    rng = cases.generator("descent")
    labels = rng.integers(0, 2, 30)
    scores = rng.uniform(-0.5, 0.5, 30)
    options = {"range": (-1.0, 1.0)} if name == "fast_ap" else {"temperature": 0.2}
    before = getattr(losses, name)(scores, labels, **options)
    for _ in range(50):
        _, grads = getattr(losses, name)(scores, labels, return_grad=True, **options)
        scores = np.clip(scores - 0.3 * grads.scores, -1, 1)
    assert getattr(losses, name)(scores, labels, **options) < before - 0.1
