"""Laws of mann_whitney that hold for every input, on inputs that hypothesis makes up."""

from math import log

import fastpair
import numpy as np
import oracle_losses as oracle
import pytest
import strategies
from fastpair import losses
from hypothesis import given
from hypothesis import strategies as st
from score_losses import assert_close

SURROGATES = tuple(oracle.SURROGATES)
SHIFT_PROOF = 1e-9  # of scores that are whole numbers of 1/8: shifting them rounds nothing


@st.composite
def rows(draw, most=60, bound=400):
    """Whole numbers of 1/8 with many ties, and two classes."""
    pool = draw(st.lists(st.integers(-bound, bound), min_size=1, max_size=most))
    n = draw(st.integers(2, most))
    scores = np.array([pool[draw(st.integers(0, len(pool) - 1))] for _ in range(n)]) / 8
    positive = np.array(draw(st.lists(st.booleans(), min_size=n, max_size=n)))
    positive[0], positive[-1] = True, False
    return scores, positive


@pytest.mark.parametrize("surrogate", SURROGATES)
@given(row=strategies.rows(dtypes=("float32", "float64"), most=40, infinite=False), data=st.data())
def test_equals_the_oracle(surrogate, row, data):
    scores, positive = np.clip(row[0].astype(np.float64), -1e9, 1e9), row[1]
    weights = data.draw(st.none() | strategies.weights(len(scores)))
    loss = oracle.pair_loss(scores, positive, weights, surrogate=surrogate)
    options = {"surrogate": surrogate, "weights": weights, "normalizer": "sum", "return_grad": True}
    value, grads = losses.mann_whitney(scores, positive, **options)
    assert_close(value, loss.total, loss.total)
    if surrogate not in ("hinge", "barrier"):  # a kink may lie between two neighbouring floats
        assert_close(grads.scores, loss.grad, loss.size)


@pytest.mark.parametrize("surrogate", SURROGATES)
@given(row=rows())
def test_gradients_add_up_to_zero(surrogate, row):
    value, grads = losses.mann_whitney(*row, surrogate=surrogate, return_grad=True)
    assert value >= 0
    assert abs(grads.scores.sum()) <= 1e-11 * np.abs(grads.scores).sum()


@pytest.mark.parametrize("surrogate", SURROGATES)
@given(row=rows())
def test_swapped_classes_of_negated_scores_are_the_same_pairs(surrogate, row):
    scores, positive = row
    value, grads = losses.mann_whitney(scores, positive, surrogate=surrogate, return_grad=True)
    found, mirrored = losses.mann_whitney(-scores, ~positive, surrogate=surrogate, return_grad=True)
    assert found == pytest.approx(value, rel=2e-12)
    np.testing.assert_allclose(
        mirrored.scores, -grads.scores, rtol=SHIFT_PROOF, atol=1e-13 * np.abs(grads.scores).max()
    )


@given(row=rows())
def test_logistic_pairs_and_swapped_ones_differ_by_the_difference(row):
    scores, positive = row
    pos, neg = scores[positive], scores[~positive]
    forward, back = losses.mann_whitney(pos=pos, neg=neg), losses.mann_whitney(pos=neg, neg=pos)
    assert forward - back == pytest.approx(neg.mean() - pos.mean(), abs=1e-11 * (forward + back))


@given(row=rows())
def test_sigmoid_pairs_and_swapped_ones_make_one(row):
    scores, positive = row
    value = losses.mann_whitney(scores, positive, surrogate="sigmoid")
    swapped = losses.mann_whitney(scores, ~positive, surrogate="sigmoid")
    assert value + swapped == pytest.approx(1, rel=2e-12)


@pytest.mark.parametrize("surrogate", SURROGATES)
@given(row=rows(), shift=st.integers(-(2**23), 2**23))
def test_a_shift_changes_nothing(surrogate, row, shift):
    scores, positive = row
    value, grads = losses.mann_whitney(scores, positive, surrogate=surrogate, return_grad=True)
    found, shifted = losses.mann_whitney(scores + shift / 8, positive, surrogate=surrogate, return_grad=True)
    assert found == pytest.approx(value, rel=3e-12, abs=1e-300)
    scale = np.abs(grads.scores).max()
    np.testing.assert_allclose(shifted.scores, grads.scores, rtol=SHIFT_PROOF, atol=1e-12 * scale)


@given(row=rows())
def test_auc_is_at_least_one_minus_the_loss_by_log_two(row):
    assert fastpair.auc(*row) >= 1 - losses.mann_whitney(*row) / log(2) * (1 + 1e-12)


@given(row=rows())
def test_large_scores_have_the_area_as_their_limit(row):
    scores, positive = row
    area = fastpair.auc(scores, positive)
    sigmoid = losses.mann_whitney(1e6 * scores, positive, surrogate="sigmoid")
    assert sigmoid == pytest.approx(1 - area, abs=1e-12)
    cold = losses.mann_whitney(scores, positive, surrogate="sigmoid", temperature=1e-6)
    assert cold == pytest.approx(1 - area, abs=1e-12)


@given(row=rows(), times=st.integers(2, 4))
def test_repeated_items_change_nothing(row, times):
    scores, positive = row
    for surrogate in SURROGATES:
        value = losses.mann_whitney(scores, positive, surrogate=surrogate)
        found = losses.mann_whitney(np.tile(scores, times), np.tile(positive, times), surrogate=surrogate)
        assert found == pytest.approx(value, rel=3e-12)


@given(row=rows(), times=st.data())
def test_integer_weights_are_repetition(row, times):
    scores, positive = row
    counts = np.array(times.draw(st.lists(st.integers(0, 3), min_size=len(scores), max_size=len(scores))))
    for surrogate in ("logistic", "squared_hinge", "square"):
        options = {"surrogate": surrogate, "normalizer": "sum"}
        value = losses.mann_whitney(np.repeat(scores, counts), np.repeat(positive, counts), **options)
        found = losses.mann_whitney(scores, positive, weights=counts, **options)
        assert found == pytest.approx(value, rel=3e-12, abs=1e-300)


@given(row=rows(), cuts=st.lists(st.integers(0, 60), max_size=6))
def test_lists_equal_ranknet(row, cuts):
    scores, positive = row
    offsets = np.array([0, *sorted(min(c, len(scores)) for c in cuts), len(scores)])
    for normalizer in ("pairs", "groups", "sum"):
        options = {"offsets": offsets, "normalizer": normalizer, "return_grad": True}
        value, grads = losses.mann_whitney(scores, positive, **options)
        found, by_list = losses.ranknet(scores, positive.astype(int), **options)
        assert found == pytest.approx(value, rel=3e-12)
        np.testing.assert_allclose(by_list.scores, grads.scores, rtol=SHIFT_PROOF, atol=1e-15)
