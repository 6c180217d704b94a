"""ranknet and pairwise_hinge: what is their own. `test_list_losses.py` compares both with the oracle."""

from math import log

import cases
import fastpair
import numpy as np
import oracle_losses as oracle
import oracle_ranks as ranks
import pytest
from fastpair import losses
from score_losses import assert_close, expected, sample


def test_one_pair_by_hand():
    value, grads = losses.ranknet([1.5, 1.5], [1, 0], return_grad=True)
    assert value == pytest.approx(log(2), rel=1e-14)
    np.testing.assert_allclose(grads.scores, [-0.5, 0.5], rtol=1e-14)
    value, grads = losses.pairwise_hinge([0.75, 0.5], [2, 1], return_grad=True)
    assert (value, *grads.scores) == (0.75, -1, 1)
    value, grads = losses.pairwise_hinge([0.75, 0.5], [2, 1], squared=True, return_grad=True)
    assert (value, *grads.scores) == (0.75**2, -1.5, 1.5)
    assert losses.pairwise_hinge([0.75, 0.5], [2, 1], margin=0.25) == 0


def test_sigma_multiplies_differences():
    value = losses.ranknet([0.5, -0.25], [0, 1], sigma=4.0)
    assert value == pytest.approx(float(np.log1p(np.exp(3.0))), rel=1e-14)
    value, grads = losses.ranknet([1.0, 0.0], [1, 0], sigma=4.0, return_grad=True)
    assert grads.scores[1] == pytest.approx(4 / (1 + np.exp(4)), rel=1e-13)


def test_equals_mann_whitney_by_row(isa):
    similarities = cases.generator("rows").normal(size=(40, 25))
    columns = np.arange(40) % 25
    relevance = np.zeros((40, 25), int)
    relevance[np.arange(40), columns] = 1
    for normalizer in ("pairs", "groups", "sum"):
        row_options = {"positives": columns, "scope": "row", "normalizer": normalizer, "return_grad": True}
        value, grads = losses.mann_whitney(similarities=similarities, **row_options)
        list_options = {"offsets": np.arange(0, 1001, 25), "normalizer": normalizer, "return_grad": True}
        found, by_list = losses.ranknet(similarities.ravel(), relevance.ravel(), **list_options)
        assert found == pytest.approx(value, rel=2e-12)
        np.testing.assert_allclose(by_list.scores, grads.similarities.ravel(), rtol=1e-11)


def test_scaled_scores_have_the_area_as_their_limit():
    rng = cases.generator("limit")
    scores, positive = rng.integers(0, 9, 80) / 4, cases.coin(rng, 80)
    factor = 1e7
    value = losses.ranknet(scores * factor, positive)
    wrong = np.maximum(scores[~positive][None, :] - scores[positive][:, None], 0).mean() * factor
    ties = (scores[~positive][None, :] == scores[positive][:, None]).mean()
    assert value - wrong == pytest.approx(ties * log(2), abs=1e-8 * factor * 1e-6 + 1e-6)
    sigmoid = losses.mann_whitney(scores * factor, positive, surrogate="sigmoid")
    assert sigmoid == pytest.approx(1 - fastpair.auc(scores, positive), abs=1e-12)


def test_only_the_order_of_grades_matters():
    scores, grades, offsets = sample("grades")
    for loss in (losses.ranknet, losses.pairwise_hinge):
        value, grads = loss(scores, grades, offsets=offsets, return_grad=True)
        for change in (
            grades / 7 - 3,
            10.0**grades,
            (grades - 2).astype(np.int8),
            np.where(grades > 2, np.inf, grades),
        ):
            found, same = loss(scores, change, offsets=offsets, return_grad=True)
            assert found == value
            np.testing.assert_array_equal(same.scores, grads.scores)


@pytest.mark.parametrize("levels", [2, 3, 50, 400])
@pytest.mark.parametrize("loss", ["ranknet", "pairwise_hinge"])
def test_long_lists(loss, levels, isa):
    """Beyond a few hundred items a list goes another way than short ones."""
    surrogate = {"ranknet": "logistic", "pairwise_hinge": "hinge"}[loss]
    rng = cases.generator(loss, levels)
    for sizes in ((1500,), (3, 900, 40, 600)):
        n = sum(sizes)
        scores, grades = rng.normal(size=n), rng.integers(0, levels, n)
        offsets = np.concatenate([[0], np.cumsum(sizes)])
        rows = oracle.rows_of(n, offsets=offsets)
        ones = [oracle.pair_loss(scores[r], grades[r], surrogate=surrogate) for r in rows]
        value, grad, size = oracle.reduce(ones, rows, n)
        bits = set()
        for threads in (1, 2, 5):
            options = {"offsets": offsets, "return_grad": True, "num_threads": threads}
            found, grads = getattr(losses, loss)(scores, grades, **options)
            assert_close(found, value, value)
            assert_close(grads.scores, grad, size)
            bits.add((found, grads.scores.tobytes()))
        assert len(bits) == 1


@pytest.mark.parametrize("shape", [(6,), (6, 1), (6, 4), (0,), (0, 3), (5, 0)])
def test_the_aligned_form(shape):
    rng = cases.generator("aligned", *shape)
    pos, neg = rng.normal(size=shape[0]), rng.normal(size=shape)
    value, by_pos, by_neg = ranks.aligned(pos, neg, temperature=0.5)
    count = max(value.size, 1)
    found, grads = losses.ranknet(pos=pos, neg=neg, sigma=2.0, return_grad=True)
    assert type(grads)._fields == ("pos", "neg")
    assert_close(found, value.sum() / count, value.sum() / count)
    by_pos = by_pos if by_pos.ndim == 1 else by_pos.sum(axis=1)
    assert_close(grads.pos, by_pos / count, np.abs(by_pos) / count)
    assert grads.neg.shape == shape
    assert_close(grads.neg.ravel(), by_neg.ravel() / count, np.abs(by_neg.ravel()) / count)


def test_weights_of_aligned_pairs():
    rng = cases.generator("pair weights")
    pos, neg, weights = rng.normal(size=6), rng.normal(size=(6, 4)), rng.integers(0, 3, (6, 4)) / 2
    value, _, by_neg = ranks.aligned(pos, neg)
    found, grads = losses.ranknet(pos=pos, neg=neg, pair_weights=weights, normalizer="sum", return_grad=True)
    ratio = grads.neg / (weights * by_neg).astype(float).clip(1e-300)
    scale = np.median(ratio[weights > 0])
    np.testing.assert_allclose(ratio[weights > 0], scale, rtol=1e-12)
    assert found == pytest.approx(scale * float((weights * value).sum()), rel=1e-12)
    assert (grads.neg[weights == 0] == 0).all()


def test_a_list_without_a_preference_counts_for_nothing():
    scores, grades, _ = sample("grades", (17,))
    value, grads = losses.ranknet(scores, grades, return_grad=True)
    more = np.concatenate([scores, [5.0, -5.0, 0.0]]), np.concatenate([grades, [2, 2, 2]])
    for normalizer in ("pairs", "groups"):
        options = {"offsets": [0, 17, 19, 20], "normalizer": normalizer, "return_grad": True}
        found, padded = losses.ranknet(*more, **options)
        assert found == value
        np.testing.assert_array_equal(padded.scores, [*grads.scores, 0, 0, 0])


def test_all_items_of_one_grade_but_one():
    scores, grades = np.array([3.0, 1.0, 2.0, -1.0]), np.array([0, 0, 1, 0])
    value, grad, size = expected(
        type("Row", (), {"one": staticmethod(oracle.pair_loss), "default": "pairs"}), scores, grades, [np.arange(4)]
    )
    found, grads = losses.ranknet(scores, grades, return_grad=True)
    assert_close(found, value, value)
    assert_close(grads.scores, grad, size)
