"""`fastpair.gauc`: the weighted mean of the AUC of each group."""

import itertools
import warnings

import cases
import fastpair
import helpers
import numpy as np
import oracle
import pytest

WEIGHTINGS = ("uniform", "size", "positives", "pairs")
RELATIVE = 1e-13

# three groups in turn: AUC 1 with 1 x 1 rows, AUC 1/2 with 1 x 2 rows, one class with 2 rows
SCORES, LABELS, GROUPS = [1, 2, 1, 2, 3, 5, 6], [0, 1, 0, 1, 0, 1, 1], [0, 0, 1, 1, 1, 2, 2]
KNOWN = [
    ("uniform", "skip", 3 / 4),
    ("size", "skip", 3.5 / 5),
    ("positives", "skip", 3 / 4),
    ("pairs", "skip", 2 / 3),
    ("uniform", "half", 2 / 3),
    ("size", "half", 4.5 / 7),
    ("positives", "half", 2.5 / 4),
    ("pairs", "half", 2 / 3),
    *((weighting, "nan", np.nan) for weighting in WEIGHTINGS),
]


def gauc(*arguments, **options):
    """Return `fastpair.gauc`, which must be a float64; asked-for nan may come with or without a warning."""
    with warnings.catch_warnings():
        if options.get("undefined") == "nan":
            warnings.simplefilter("ignore", fastpair.UndefinedMetricWarning)
        value = fastpair.gauc(*arguments, **options)
    assert type(value) is np.float64
    return value


@pytest.mark.parametrize(("weighting", "undefined", "expected"), KNOWN)
def test_known_answers(weighting, undefined, expected, isa):
    value = gauc(SCORES, LABELS, GROUPS, weighting=weighting, undefined=undefined)
    np.testing.assert_allclose(value, expected, rtol=RELATIVE)


def test_the_default_is_the_plain_mean_of_the_defined_groups():
    assert gauc(SCORES, LABELS, GROUPS) == 0.75
    assert gauc(SCORES, LABELS, GROUPS, weighting="uniform", undefined="skip") == 0.75


def test_groups_may_be_given_by_position_or_by_name():
    assert gauc(SCORES, LABELS, groups=GROUPS) == gauc(SCORES, LABELS, GROUPS)
    assert gauc(scores=SCORES, labels=LABELS, groups=GROUPS) == gauc(SCORES, LABELS, GROUPS)


@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_offsets_are_groups_in_a_row(weighting):
    options = {"weighting": weighting}
    expected = gauc(SCORES, LABELS, GROUPS, **options)
    assert gauc(SCORES, LABELS, offsets=[0, 2, 5, 7], **options) == expected
    assert gauc(SCORES, LABELS, offsets=[0, 0, 2, 5, 5, 7, 7], **options) == expected  # empty ones are skipped


@pytest.mark.parametrize("weighting", WEIGHTINGS)
@pytest.mark.parametrize("undefined", ["skip", "nan", "half"])
@pytest.mark.parametrize("weighted", [False, True], ids=["unweighted", "weighted"])
@pytest.mark.parametrize(("n", "count"), [(40, 3), (300, 30), (600, 2)])
def test_equals_the_oracle(weighting, undefined, weighted, n, count):
    rng = cases.generator("gauc", n, count)
    scores, positive = cases.make("ten_values", "float32", n)
    groups = rng.integers(0, count, n)
    options = {"weighting": weighting, "undefined": undefined}
    if weighted:
        options["weights"] = rng.random(n) * (rng.random(n) < 0.9)
    expected = oracle.gauc(scores, positive, oracle.members(groups), **options)
    for _, threads in helpers.engines():
        value = gauc(scores, positive, groups, num_threads=threads, **options)
        np.testing.assert_allclose(value, expected, rtol=RELATIVE)


@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_scores_of_every_dtype(weighting, dtype):
    scores, positive = cases.make("normal", dtype, 2000)
    groups = cases.generator("groups").integers(0, 40, 2000)
    expected = oracle.gauc(scores, positive, oracle.members(groups), weighting=weighting)
    np.testing.assert_allclose(gauc(scores, positive, groups, weighting=weighting), expected, rtol=RELATIVE)


def test_the_mean_of_one_group_is_its_auc(dtype, isa, threads):
    scores, positive = cases.make("normal", dtype, 50_000)
    expected = fastpair.auc(scores, positive)
    for weighting in WEIGHTINGS:
        value = gauc(scores, positive, np.zeros(50_000, int), weighting=weighting, num_threads=threads)
        np.testing.assert_allclose(value, expected, rtol=RELATIVE)


@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_agrees_with_averaging_the_grouped_auc(weighting, threads):
    n, rng = 100_000, cases.generator("average")
    scores, positive = cases.make("normal", "float32", n)
    groups = rng.integers(0, 3000, n)
    with helpers.undefined(count_undefined(positive, groups), named=False):
        values = fastpair.auc(scores, positive, groups=groups)
    sizes, ups = (np.bincount(groups, w)[first_seen(groups)] for w in (None, positive))
    shares = {"uniform": sizes * 0 + 1, "size": sizes, "positives": ups, "pairs": ups * (sizes - ups)}
    good = ~np.isnan(values)
    expected = np.average(values[good], weights=shares[weighting][good])
    value = gauc(scores, positive, groups, weighting=weighting, num_threads=threads)
    np.testing.assert_allclose(value, expected, rtol=1e-12)


def first_seen(groups):
    return np.array(list(dict.fromkeys(groups.tolist())))


def count_undefined(positive, groups):
    ups, sizes = np.bincount(groups, positive), np.bincount(groups)
    return int(((sizes > 0) & ((ups == 0) | (ups == sizes))).sum())


@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_unit_weights_change_nothing(weighting):
    value = gauc(SCORES, LABELS, GROUPS, weighting=weighting)
    for weight in (1, 1.0, np.float32(4), 2.0**-20):
        assert gauc(SCORES, LABELS, GROUPS, weighting=weighting, weights=np.full(7, weight)) == value


@pytest.mark.parametrize("weighting", ["uniform", "size", "positives", "pairs"])
def test_integer_weights_equal_repetition(weighting):
    times = [1, 2, 3, 1, 2, 1, 4]
    repeated = (np.repeat(a, times) for a in (SCORES, LABELS, GROUPS))
    expected = gauc(*repeated, weighting=weighting)
    value = gauc(SCORES, LABELS, GROUPS, weighting=weighting, weights=times)
    np.testing.assert_allclose(value, expected, rtol=RELATIVE)


@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_weights_may_leave_a_group_one_class(weighting):
    weights = [1, 1, 0, 1, 0, 1, 1]  # the second group keeps its positive alone
    assert gauc(SCORES, LABELS, GROUPS, weighting=weighting, weights=weights) == 1.0
    assert np.isnan(gauc(SCORES, LABELS, GROUPS, weighting=weighting, weights=weights, undefined="nan"))


@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_nothing_left_to_average_is_undefined(weighting):
    one_class = ([1, 2, 3], [1, 1, 1], [0, 0, 1])
    no_rows = (np.empty(0), np.empty(0), np.empty(0, int))
    for arguments in (one_class, no_rows):
        with helpers.undefined(named=False):
            assert np.isnan(fastpair.gauc(*arguments, weighting=weighting))


def test_groups_that_weigh_nothing_leave_nothing_to_average():
    """A one-class group has no pairs, so counted as one half it still weighs 0."""
    with helpers.undefined(named=False):
        assert np.isnan(fastpair.gauc([1, 2, 3], [1, 1, 1], [0, 0, 1], weighting="pairs", undefined="half"))
    with helpers.undefined(named=False):
        assert np.isnan(fastpair.gauc([1, 2], [0, 0], [0, 1], weighting="positives", undefined="half"))


def test_one_class_groups_count_one_half_where_they_weigh_something():
    assert gauc([1, 2, 3], [1, 1, 1], [0, 0, 1], undefined="half") == 0.5
    assert gauc([1, 2, 3], [1, 1, 1], [0, 0, 1], weighting="size", undefined="half") == 0.5


IDS = ([7, 7, 3, 3, 3, -5, -5], list("bbaaacc"), np.array([b"y", b"y", b"x", b"x", b"x", b"z", b"z"]))


@pytest.mark.parametrize("ids", IDS, ids=["integers", "strings", "bytes"])
def test_ids_are_only_names(ids):
    for weighting in WEIGHTINGS:
        expected = gauc(SCORES, LABELS, GROUPS, weighting=weighting)
        assert gauc(SCORES, LABELS, ids, weighting=weighting) == expected


def test_the_order_of_rows_and_groups_does_not_matter(isa):
    n, rng = 5000, cases.generator("order")
    scores, positive = cases.make("normal", "float32", n)
    groups = rng.integers(0, 100, n)
    for weighting, undefined in itertools.product(WEIGHTINGS, ("skip", "half")):
        options = {"weighting": weighting, "undefined": undefined}
        value = gauc(scores, positive, groups, **options)
        order = rng.permutation(n)
        again = gauc(scores[order], positive[order], groups[order], **options)
        np.testing.assert_allclose(again, value, rtol=RELATIVE)


def test_pos_label_names_the_positive_class():
    labels = np.array(["no", "yes"])[LABELS]
    assert gauc(SCORES, labels, GROUPS, pos_label="yes") == 0.75
    assert gauc(SCORES, labels, GROUPS, pos_label="no") == 0.25


def test_nan_scores_follow_the_policy(isa):
    scores = np.array([1, 2, 1, np.nan, 3, 5, 6.0])
    with pytest.raises(ValueError, match=r"scores(?s:.)*\b3\b"):
        fastpair.gauc(scores, LABELS, GROUPS)
    assert gauc(scores, LABELS, GROUPS, nan_policy="omit") == 1.0  # its group loses its only positive
    assert np.isnan(gauc(scores, LABELS, GROUPS, nan_policy="propagate"))
