"""`fastpair.auc` of one series is exactly the oracle's fraction, whatever the dtype, engine or data."""

from math import isnan

import cases
import fastpair
import helpers
import numpy as np
import oracle
import pytest

GOLDENS = [  # scores, labels, the exact answer
    pytest.param([0.9, 0.7, 0.8, 0.7, 0.2], [1, 1, 1, 0, 0], 5.5 / 6, id="specification"),
    pytest.param([0.9, 0.2, 0.4, 0.1, 0.7, 0.3, 0.5, 0.6, 0.8], [1, 0, 0, 0, 1, 0, 0, 0, 1], 1.0, id="S3"),
    pytest.param([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1], 0.75, id="scikit-learn's example"),
    pytest.param([0.1, np.inf, 0.35, np.inf], [0, 0, 1, 1], 0.625, id="infinities"),
    pytest.param([-np.inf, 0.4, 0.35, 0.8], [0, 0, 1, 1], 0.75, id="minus infinity"),
    pytest.param([0.0, -0.0, 0.0, -0.0], [0, 0, 1, 1], 0.5, id="signed zeros tie"),
    pytest.param([0.3, 0.3, 0.3, 0.3], [0, 0, 1, 1], 0.5, id="all tied"),
    pytest.param([0.1, 0.4, 0.4, 0.8], [0, 0, 1, 1], 0.875, id="half tied"),
    pytest.param([2**60, 2**60 + 1], [0, 1], 1.0, id="integers beyond float64"),
    pytest.param([5e-324, 1e-323, 0.0, 1e-323], [0, 0, 1, 1], 0.375, id="subnormals"),
    pytest.param([1.0, np.nextafter(1, 0), np.nextafter(1, 2), 1.0], [0, 0, 1, 1], 0.875, id="one ulp"),
    pytest.param(np.float32([98.1, 98.4, 98.35, 98.8]), [0, 0, 1, 1], 0.75, id="large logits"),
    pytest.param(np.arange(-2, 2, 0.2), np.arange(20) >= 10, 1.0, id="logits around zero"),
    pytest.param(np.float16([0.1, 0.4, 0.35, 0.8]), [0, 0, 1, 1], 0.75, id="float16"),
    pytest.param(np.array([1, 4, 3, 8]), [0, 0, 1, 1], 0.75, id="int64"),
    pytest.param([1.0, 1.0 + 1e-9], [0, 1], 1.0, id="float64 that float32 would tie"),
]


@pytest.mark.parametrize(("scores", "labels", "expected"), GOLDENS)
def test_known_answers(scores, labels, expected, isa):
    helpers.assert_auc(expected, scores, labels)


def test_equals_the_oracle_on_every_pattern(dtype, isa, threads):
    for name in cases.names(dtype):
        for n in cases.SMALL_SIZES:
            scores, positive, expected = cases.solved(name, dtype, n)
            helpers.assert_auc(expected, scores, positive, (name, n), num_threads=threads)


@pytest.mark.parametrize("n", [5_000, 40_000])
def test_equals_exact_counts_on_every_pattern_at_middle_sizes(dtype, n):
    for name in cases.names(dtype):
        assert_counted(name, dtype, n)


HARD = (
    *("normal", "mostly_one_value", "constant", "ascending", "descending", "organ_pipe", "heavy_tail"),
    *("near_one", "one_negative_score", "one_positive_row", "very_rare_positives", "positives_above"),
)


@pytest.mark.parametrize("name", HARD)
@pytest.mark.parametrize("dtype", ["int64", "uint32", "float16", "bfloat16", "float32", "float64"])
def test_equals_exact_counts_on_hard_patterns_at_large_size(dtype, name):
    assert_counted(name, dtype, 300_007)


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        ("normal", "float32"),
        ("one_negative_score", "float32"),
        ("near_one", "float32"),
        ("very_rare_positives", "float32"),
        ("positives_above", "float64"),
        ("heavy_tail", "float64"),
        ("any_bits", "uint64"),
    ],
)
def test_equals_exact_counts_at_two_million_rows(name, dtype):
    assert_counted(name, dtype, 2_000_000)


def assert_counted(name, dtype, n):
    scores, positive = cases.make(name, dtype, n)
    expected = oracle.counted(scores, positive)
    for engine in helpers.engines():
        helpers.assert_auc(expected, scores, positive, (name, n, engine), num_threads=engine[1])


def test_one_pair_among_many_rows_is_enough(isa, threads):
    scores = np.zeros(100_000, np.float32)
    scores[77_777], scores[50] = 1, -1
    positive = np.zeros(len(scores), bool)
    positive[77_777] = True
    helpers.assert_auc(1.0, scores, positive, num_threads=threads)
    helpers.assert_auc(0.0, -scores, positive, num_threads=threads)
    positive[77_777], positive[50] = False, True
    helpers.assert_auc(0.0, scores, positive, num_threads=threads)


@pytest.mark.parametrize("position", [0, 1, 31_000, 99_998, 99_999])
def test_one_odd_score_is_seen_wherever_it_lies(position, isa, threads):
    """A sample of the scores must not decide how all of them are packed."""
    rng = cases.generator("odd", position)
    for odd in (-1.0, -np.inf, np.inf, -0.0, 1e-40, 3e38):
        scores = rng.random(100_000, dtype=np.float32) + 1
        scores[position] = odd
        positive = cases.coin(rng, len(scores))
        helpers.assert_auc(oracle.counted(scores, positive), scores, positive, odd, num_threads=threads)


@pytest.mark.parametrize("base", [2**53, 2**62, -(2**63), 2**63 - 4])
def test_signed_integers_beyond_float64_are_told_apart(base, isa):
    scores = base + np.array([0, 1, 2, 3, 1, 2], dtype=object)
    helpers.assert_auc(7 / 9, scores.astype(np.int64), [0, 0, 0, 1, 1, 1])


@pytest.mark.parametrize("base", [2**53, 2**63 - 2, 2**64 - 4])
def test_unsigned_integers_beyond_float64_are_told_apart(base, isa):
    scores = base + np.array([0, 1, 2, 3, 1, 2], dtype=object)
    helpers.assert_auc(7 / 9, scores.astype(np.uint64), [0, 0, 0, 1, 1, 1])


@pytest.mark.parametrize("n", [100_000, 400_000])
def test_pair_counts_do_not_overflow(n, dtype):
    """With 2 * 200_000**2 the doubled count passes 2**36; as int32 it was negative in several libraries."""
    positive = np.arange(n) % 2 == 1
    scores = positive.astype(cases.as_dtype(dtype))
    helpers.assert_auc(1.0, scores, positive)
    helpers.assert_auc(0.0, scores, ~positive)
    helpers.assert_auc(0.5, np.zeros_like(scores), positive)


@pytest.mark.parametrize("label", [0, 1])
def test_one_class_is_undefined(label, dtype, isa):
    for n in (0, 1, 2, 1000, 100_000):
        scores = np.ones(n, cases.as_dtype(dtype))
        helpers.assert_auc(np.nan, scores, np.full(n, label), n)


def test_no_rows_is_undefined():
    helpers.assert_auc(np.nan, [], [])


def test_the_warning_points_at_the_caller():
    with pytest.warns(fastpair.UndefinedMetricWarning) as record:
        fastpair.auc([1.0], [1])
    assert record[0].filename == __file__


def test_the_warning_can_be_made_an_error():
    with pytest.raises(fastpair.UndefinedMetricWarning):
        fastpair.auc([1.0], [1])


def test_the_result_is_a_float64_scalar(dtype):
    value = fastpair.auc(np.ones(4, cases.as_dtype(dtype)), [0, 1, 0, 1])
    assert type(value) is np.float64
    assert not isnan(value)


@pytest.mark.parametrize("count", [1, 2, np.int64(2), np.uint8(3), None])
def test_num_threads_is_any_integer_or_none(count):
    helpers.assert_auc(0.75, [0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1], num_threads=count)
