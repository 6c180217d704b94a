"""Laws that hold for every input, on inputs that hypothesis makes up."""

import cases
import fastpair
import helpers
import numpy as np
import oracle
import pytest
import strategies
from hypothesis import given
from hypothesis import strategies as st

ULP = 2.3e-16


@given(strategies.rows(both_classes=False))
def test_equals_the_oracle(isa, row):
    scores, positive = row
    helpers.assert_auc(oracle.auc(scores, positive), scores, positive)


@given(strategies.rows(most=40), st.data())
def test_equals_the_weighted_oracle(isa, row, data):
    scores, positive = row
    weights = data.draw(strategies.weights(len(scores)))
    value = fastpair.auc(scores, positive, weights=weights)
    np.testing.assert_allclose(value, oracle.auc(scores, positive, weights), rtol=1e-13)


@given(strategies.rows(), st.data())
def test_equals_the_grouped_oracle(isa, row, data):
    scores, positive = row
    groups = data.draw(st.lists(st.integers(-3, 3), min_size=len(scores), max_size=len(scores)))
    expected = oracle.grouped(scores, positive, oracle.members(groups))
    helpers.assert_values(expected, int(np.isnan(expected).sum()), scores, positive, groups=groups)


@given(strategies.rows(), st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(isa, row, random):
    scores, positive = row
    order = random.sample(range(len(scores)), len(scores))
    assert fastpair.auc(scores[order], positive[order]) == fastpair.auc(scores, positive)


@given(strategies.rows(dtypes=strategies.FLOATS))
def test_negated_scores_give_the_complement(isa, row):
    scores, positive = row
    assert abs(fastpair.auc(scores, positive) + fastpair.auc(-scores, positive) - 1) <= ULP


@given(strategies.rows())
def test_swapped_classes_give_the_complement(isa, row):
    scores, positive = row
    assert abs(fastpair.auc(scores, positive) + fastpair.auc(scores, ~positive) - 1) <= ULP
    assert fastpair.auc(scores, positive, pos_label=False) == fastpair.auc(scores, ~positive)


INCREASING = {
    "wider dtype": lambda s: s.astype(np.float64),
    "powers of two": lambda s: s * np.float32(0.25),
    "steps": lambda s: np.searchsorted(np.unique(s), s).astype(np.uint16),
    "sorted ranks far apart": lambda s: np.searchsorted(np.unique(s), s) * 10**15 - 10**16,
    "cubes in float64": lambda s: s.astype(np.float64) ** 3,
    "larger end of uint64": lambda s: np.uint64(2**64 - 200) + np.searchsorted(np.unique(s), s).astype(np.uint64),
}


@pytest.mark.parametrize("change", INCREASING.values(), ids=INCREASING)
@given(pool=st.lists(st.integers(-2000, 2000), min_size=2, max_size=150), data=st.data())
def test_increasing_maps_change_nothing(change, isa, pool, data):
    scores = np.array(pool, np.float32)
    positive = cases.coin(np.random.default_rng(data.draw(st.integers(0, 99))), len(scores))
    assert fastpair.auc(change(scores), positive) == fastpair.auc(scores, positive)


@given(strategies.rows(), st.integers(2, 5))
def test_repeating_every_row_changes_nothing(isa, row, times):
    scores, positive = row
    value = fastpair.auc(scores, positive)
    assert fastpair.auc(np.tile(scores, times), np.tile(positive, times)) == value


@given(strategies.rows())
def test_a_batch_of_copies_repeats_the_value(isa, row):
    scores, positive = row
    value = fastpair.auc(scores, positive)
    np.testing.assert_array_equal(fastpair.auc(np.stack([scores] * 3), positive), [value] * 3)


@given(strategies.rows())
def test_presorted_data_give_the_same_bits(isa, row):
    scores, positive = row
    order = np.argsort(scores, kind="stable")
    value = helpers.bits(fastpair.auc(scores, positive))
    up, down = order, order[::-1]
    assert helpers.bits(fastpair.auc(scores[up], positive[up], presorted="ascending")) == value
    assert helpers.bits(fastpair.auc(scores[down], positive[down], presorted="descending")) == value


@given(strategies.rows(dtypes=strategies.FLOATS), st.data())
def test_omitted_rows_might_as_well_be_absent(isa, row, data):
    scores, positive = row
    where = data.draw(st.lists(st.integers(0, len(scores)), max_size=9))
    padded = np.insert(scores, where, np.nan)
    labels = np.insert(positive, where, True)
    assert fastpair.auc(padded, labels, nan_policy="omit") == fastpair.auc(scores, positive)
