"""Which labels mean what: dtypes, {0, 1}, {-1, 1}, ``pos_label``, strings, one class."""

import cases
import fastpair
import helpers
import numpy as np
import oracle
import pytest

SIGNED = ("int8", "int16", "int32", "int64", "float16", "bfloat16", "float32", "float64")
SCORES = [0.1, 0.4, 0.35, 0.8]


def labelled(positive, negative_value, positive_value, dtype):
    return np.where(positive, positive_value, negative_value).astype(cases.as_dtype(dtype))


@pytest.mark.parametrize("label_dtype", cases.DTYPES)
def test_zeros_and_ones_of_any_dtype(label_dtype, isa, threads):
    for n in (2, 17, 257, 40_000):
        scores, positive = cases.make("normal", "float32", n)
        labels = labelled(positive, 0, 1, label_dtype)
        helpers.assert_auc(oracle.counted(scores, positive), scores, labels, n, num_threads=threads)


@pytest.mark.parametrize("label_dtype", SIGNED)
def test_minus_ones_and_ones_of_any_signed_dtype(label_dtype, isa, threads):
    for n in (2, 17, 257, 40_000):
        scores, positive = cases.make("ten_values", "float64", n)
        labels = labelled(positive, -1, 1, label_dtype)
        helpers.assert_auc(oracle.counted(scores, positive), scores, labels, n, num_threads=threads)


# float labels for bool scores are refused as a swap of the arguments: test_errors.py
BOTH_DTYPES = [(s, y) for s in cases.DTYPES for y in cases.DTYPES if not (s == "bool" and "float" in y)]


@pytest.mark.parametrize(("score_dtype", "label_dtype"), BOTH_DTYPES)
def test_every_pair_of_dtypes(score_dtype, label_dtype, isa):
    scores, positive, expected = cases.solved("square_root_values", score_dtype, 33)
    helpers.assert_auc(expected, scores, labelled(positive, 0, 1, label_dtype))


PAIRS = [  # negative, positive, dtype: everything that needs to be told which one is positive
    (1, 2, "int64"),
    (0, 2, "uint8"),
    (0, 255, "uint8"),
    (-1, 0, "int8"),
    (7, -7, "int16"),
    (2**62, 2**62 + 1, "int64"),
    (2**63, 2**64 - 1, "uint64"),
    (0.25, 0.75, "float32"),
    (-0.5, 0.5, "float64"),
    (0.0, np.inf, "float64"),
    (0, 1, "int64"),
    (1, 0, "int64"),
    (-1, 1, "int8"),
    (1, -1, "float64"),
    (False, True, "bool"),
    (True, False, "bool"),
    ("no", "yes", "U3"),
    ("yes", "no", "O"),
    ("", "ü", "U1"),
]


@pytest.mark.parametrize("n", [4, 257, 40_000])
@pytest.mark.parametrize(("down", "up", "label_dtype"), PAIRS)
def test_pos_label_names_the_positive_class(down, up, label_dtype, n, isa):
    scores, positive = cases.make("normal", "float64", n)
    labels = np.empty(n, label_dtype)
    labels[:] = down
    labels[positive] = up
    helpers.assert_auc(oracle.counted(scores, positive), scores, labels, pos_label=up)


def test_pos_label_may_be_a_numpy_scalar():
    labels = np.array([1, 1, 2, 2], np.uint8)
    helpers.assert_auc(0.75, SCORES, labels, pos_label=labels[2])
    helpers.assert_auc(0.75, SCORES, labels, pos_label=np.float64(2))


def test_labels_may_be_a_list_of_strings():
    helpers.assert_auc(0.75, SCORES, ["ham", "ham", "spam", "spam"], pos_label="spam")
    helpers.assert_auc(0.25, SCORES, ["ham", "ham", "spam", "spam"], pos_label="ham")


def test_minus_zero_is_the_label_zero():
    helpers.assert_auc(0.75, SCORES, [0.0, -0.0, 1.0, 1.0])
    helpers.assert_auc(0.25, SCORES, [0.0, -0.0, 1.0, 1.0], pos_label=0)


def test_the_label_is_compared_whole_not_by_its_low_bit():
    labels = np.array([256, 256, 255, 255])
    helpers.assert_auc(0.75, SCORES, labels, pos_label=255)
    helpers.assert_auc(0.25, SCORES, labels, pos_label=256)


ONE_VALUE = [
    pytest.param([0, 0, 0], {}, id="zeros"),
    pytest.param([1, 1, 1], {}, id="ones"),
    pytest.param([-1, -1, -1], {}, id="minus ones"),
    pytest.param([1.0, 1.0, 1.0], {}, id="float ones"),
    pytest.param([True, True, True], {}, id="true"),
    pytest.param([2, 2, 2], {"pos_label": 2}, id="the positive label alone"),
    pytest.param([1, 1, 1], {"pos_label": 2}, id="the positive label never seen"),
    pytest.param(["a", "a", "a"], {"pos_label": "a"}, id="one string"),
    pytest.param(["a", "a", "a"], {"pos_label": "b"}, id="another string"),
]


@pytest.mark.parametrize(("labels", "options"), ONE_VALUE)
def test_a_single_value_is_one_class(labels, options):
    helpers.assert_auc(np.nan, SCORES[:3], labels, **options)


@pytest.mark.parametrize("late", [np.uint8(1), np.int64(1), np.float32(1), np.float64(-1), np.int8(-1)])
def test_the_second_value_is_found_in_the_last_row(late, threads):
    labels = np.zeros(100_000, type(late))
    labels[-1] = late
    if late == -1:
        labels[:-1] = 1
    scores = np.arange(100_000)
    helpers.assert_auc(1.0 if late == 1 else 0.0, scores, labels, num_threads=threads)


@pytest.mark.parametrize("bad", [2, 0.5, -1, np.nan, np.inf])
def test_a_third_value_is_found_in_the_last_row(bad, threads):
    labels = (np.arange(100_000) % 2).astype(np.float64)
    labels[-1] = bad
    with pytest.raises(ValueError, match="labels"):
        fastpair.auc(np.arange(100_000.0), labels, num_threads=threads)


@pytest.mark.parametrize("bad", [2, 3, 127, 128, 255])
def test_bytes_that_are_neither_zero_nor_one_are_refused_among_both(bad, isa):
    labels = np.arange(1000, dtype=np.uint8) % 2
    for row in (0, 500, 999):
        wrong = labels.copy()
        wrong[row] = bad
        with pytest.raises(ValueError, match=rf"labels.*\b{bad}\b"):
            fastpair.auc(np.arange(1000.0), wrong)
