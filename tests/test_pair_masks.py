"""`fastpair.mining.pair_masks`: which pairs are positive, negative and ignored, in every format."""

import itertools

import mining_batches as shared
import numpy as np
import oracle_mining as oracle
import pytest
from cases import generator
from fastpair import mining
from hypothesis import given
from hypothesis import strategies as st

FORMATS = ("mask", "bits", "csr", "coo")
KINDS = {
    "integers": np.array([3, -1, 2, 2**40]),
    "small": np.array([1, 2, 3, 4], np.uint8),
    "strings": np.array(["a", "", "bc", "é"]),
    "floats": np.array([0.5, -1.0, 2.0, 1e300]),
    "bools": np.array([True, False, True, True]),
}


def check(found, roles, form="mask"):
    if form == "triplets":
        shared.assert_pairs(found, roles[1], form, roles[0])
        return found
    assert type(found) is mining.PairMasks
    assert found._fields == ("positives", "negatives", "ignored")
    for own, mask in zip(found, roles, strict=True):
        shared.assert_pairs(own, mask, form)
    return found


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", oracle.FORMATS)
def test_labels_of_one_set(kind, form):
    for n in (0, 1, 2, 31, 32, 33, 70):
        labels = KINDS[kind][generator(kind, n).integers(0, 4, n)]
        roles = oracle.roles((n, n), True, labels=labels.tolist())
        check(mining.pair_masks(labels, format=form), roles, form)
        check(mining.pair_masks(labels.tolist() if n else labels, format=form), roles, form)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", oracle.FORMATS)
def test_labels_of_two_sets(kind, form):
    for n, m in itertools.product((0, 1, 7, 33), (0, 1, 8, 40)):
        rng = generator(kind, n, m)
        left, right = KINDS[kind][rng.integers(0, 4, n)], KINDS[kind][rng.integers(0, 4, m)]
        roles = oracle.roles((n, m), False, labels=(left.tolist(), right.tolist()))
        check(mining.pair_masks(left, right, format=form), roles, form)


def test_a_set_given_twice_is_two_sets():
    labels = [0, 0, 1]
    assert mining.pair_masks(labels).ignored.tolist() == np.eye(3, dtype=bool).tolist()
    assert not mining.pair_masks(labels, labels).ignored.any()


@pytest.mark.parametrize("form", oracle.FORMATS)
def test_masks_of_positives(form):
    rng = generator("mask")
    for n, m in ((5, 9), (9, 5), (0, 3), (3, 0), (33, 32)):
        mask = rng.random((n, m)) < 0.3
        check(mining.pair_masks(positives=mask, format=form), oracle.roles((n, m), False, positives=mask), form)


def test_ids_make_copies_of_the_positive_ignored():
    labels, ids = [0, 0, 1, 1, 2], ["a", "b", "c", "a", "c"]
    found = mining.pair_masks(labels, ids=ids)
    check(found, oracle.roles((5, 5), True, labels=labels, ids=ids))
    assert np.argwhere(found.ignored & ~np.eye(5, dtype=bool)).tolist() == [[0, 3], [2, 4], [3, 0], [4, 2]]
    left, right = [7, 8], [8, 7, 9, 7]
    found = mining.pair_masks([0, 1], [0, 1, 1, 2], ids=(left, right))
    check(found, oracle.roles((2, 4), False, labels=([0, 1], [0, 1, 1, 2]), ids=(left, right)))


def test_pairs_of_one_id_and_one_label_stay_positive():
    found = mining.pair_masks([0, 0, 1], ids=[5, 5, 5])
    assert np.argwhere(found.positives).tolist() == [[0, 1], [1, 0]]
    assert not found.negatives.any()


@pytest.mark.parametrize("form", oracle.FORMATS)
def test_ignored_pairs(form):
    labels = [0, 0, 1, 1, 2]
    ignore = generator("ignore").random((5, 5)) < 0.4
    check(
        mining.pair_masks(labels, ignore=ignore, format=form),
        oracle.roles((5, 5), True, labels=labels, ignore=ignore),
        form,
    )


@pytest.mark.parametrize("form", ["mask", "bits", "csr", "coo"])
def test_pairs_come_in_the_formats_that_go_out(form):
    rng = generator("formats")
    for n in (0, 1, 8, 33):
        ignore = rng.random((n, n)) < 0.3
        pairs = oracle.formatted(ignore, form)
        labels = rng.integers(0, 3, n)
        found = mining.pair_masks(labels, ignore=mining.Coordinates(*pairs) if form == "coo" else pairs)
        check(found, oracle.roles((n, n), True, labels=labels.tolist(), ignore=ignore))


@given(st.lists(st.integers(0, 3), max_size=12), st.lists(st.integers(0, 3), max_size=12), st.data())
def test_masks_are_disjoint_and_cover_everything(left, right, data):
    n, m = len(left), len(right)
    ids = (data.draw(st.lists(st.integers(0, 2), min_size=n, max_size=n)),)
    ids += (data.draw(st.lists(st.integers(0, 2), min_size=m, max_size=m)),)
    as_array = np.array([*left, *right], int)
    found = mining.pair_masks(as_array[:n], as_array[n:], ids=tuple(np.array(i, int) for i in ids))
    roles = oracle.roles((n, m), False, labels=(left, right), ids=ids)
    check(found, roles)
    assert (np.sum(found, axis=0) == 1).all()
    masks = mining.pair_masks(as_array[:n], as_array[n:])
    for form in FORMATS:
        for own, mask in zip(mining.pair_masks(as_array[:n], as_array[n:], format=form), masks, strict=True):
            np.testing.assert_array_equal(shared.as_mask(own, form, (n, m)), mask)


def test_masks_do_not_share_memory_with_the_input():
    mask = np.eye(3, dtype=bool)
    found = mining.pair_masks(positives=mask)
    found.positives[0, 1] = True
    assert (mask == np.eye(3, dtype=bool)).all()


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ({}, ValueError, "labels|positives"),
        ({"labels": [[0, 1]]}, ValueError, r"labels has shape"),
        ({"labels": 3}, ValueError, "labels has shape"),
        ({"labels": [0.0, np.nan]}, ValueError, "labels is NaN at index 1"),
        ({"labels": [0, 1], "positives": np.eye(2, dtype=bool)}, ValueError, "labels and positives were both given"),
        ({"y_labels": [0, 1]}, ValueError, "y_labels .*labels"),
        ({"labels": [0, 1], "ids": [0, 1, 2]}, ValueError, "ids has shape"),
        ({"labels": [0, 1], "y_labels": [0, 1, 2], "ids": [0, 1]}, ValueError, "ids has shape"),
        ({"labels": [0, 1], "ignore": np.zeros((2, 3), bool)}, ValueError, "ignore has shape"),
        ({"labels": [0, 1], "ignore": np.zeros((2, 2))}, ValueError, "ignore has shape .* and dtype float64"),
        ({"labels": [0, 1], "ignore": (np.zeros(2, int),) * 3}, ValueError, "ignore is a tuple of 3"),
        ({"labels": [0, 1], "format": "list"}, ValueError, "format must be one of .*not 'list'"),
    ],
)
def test_what_is_refused(given, error, words):
    with pytest.raises(error, match=words):
        mining.pair_masks(**given)
