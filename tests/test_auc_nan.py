"""``nan_policy``: raise names the row, omit drops it, propagate gives nan to that series or group alone."""

import itertools
import re

import cases
import fastpair
import helpers
import numpy as np
import oracle
import pytest

FLOATS = ("float16", "bfloat16", "float32", "float64")
SIZES = (1, 2, 17, 257, 1000)


def broken(n, dtype, rows, pattern="normal"):
    """A case in which some scores are NaN: quiet, negative, and with a payload."""
    scores, positive = cases.make(pattern, dtype, n)
    bits = scores.view(f"u{scores.itemsize}")
    quiet, inf = (int(np.array(x, scores.dtype).view(bits.dtype)) for x in (np.nan, np.inf))
    sign = 1 << (8 * scores.itemsize - 1)
    bits[rows] = np.resize(np.array([quiet, quiet | sign, inf + 1, sign | (inf + 1)], bits.dtype), len(rows))
    return scores, positive


def refuses(index, scores, labels, *words, **options):
    """The error names the argument, the first bad row and whatever else is asked."""
    with pytest.raises(ValueError, match="scores") as caught:
        fastpair.auc(scores, labels, **options)
    for word in (r"(?i)\bnan\b", rf"\b{index}\b", *words):
        assert re.search(word, str(caught.value)), (word, str(caught.value))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("n", SIZES)
def test_raise_names_the_first_nan(dtype, n, isa):
    for first in {0, n // 2, n - 1}:
        rows = sorted({first, n - 1})
        refuses(first, *broken(n, dtype, rows))
        refuses(first, *broken(n, dtype, rows), nan_policy="raise")


@pytest.mark.parametrize("dtype", FLOATS)
def test_raise_names_the_first_nan_whichever_thread_meets_one_first(dtype, isa, threads):
    rows = [123_457, 123_458, 250_001, 299_999]
    refuses(123_457, *broken(300_000, dtype, rows), num_threads=threads)


def test_all_scores_nan(isa):
    refuses(0, np.full(40, np.nan), np.arange(40) % 2)
    helpers.assert_auc(np.nan, np.full(40, np.nan), np.arange(40) % 2, nan_policy="omit")
    assert np.isnan(fastpair.auc(np.full(40, np.nan), np.arange(40) % 2, nan_policy="propagate"))


@pytest.mark.parametrize("label", [0, 1])
def test_a_nan_is_never_ranked(label, isa):
    """Peers put NaN above everything, below everything, or wherever the sort left it."""
    scores = [0.1, 0.4, 0.35, 0.8, np.nan]
    labels = [0, 0, 1, 1, label]
    refuses(4, scores, labels)
    helpers.assert_auc(0.75, scores, labels, nan_policy="omit")
    assert np.isnan(fastpair.auc(scores, labels, nan_policy="propagate"))


@pytest.mark.parametrize("policy", ["raise", "omit", "propagate"])
def test_without_nan_the_policy_does_not_matter(policy, dtype, isa):
    scores, positive, expected = cases.solved("ten_values", dtype, 257)
    helpers.assert_auc(expected, scores, positive, nan_policy=policy)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("share", [0.01, 0.5, 0.99])
def test_omit_is_the_auc_of_the_other_rows(dtype, share, isa, threads):
    patterns = ("normal", "ten_values", "one_negative_score")
    for pattern, n in itertools.product(patterns, (3, 17, 257, 40_000)):
        rows = np.flatnonzero(cases.generator("omit", n).random(n) < share)
        scores, positive = broken(n, dtype, rows, pattern)
        kept = np.isin(np.arange(n), rows, invert=True)
        expected = oracle.counted(cases.plain(scores)[kept], positive[kept])
        options = {"nan_policy": "omit", "num_threads": threads}
        helpers.assert_auc(expected, scores, positive, (pattern, n), **options)


def test_omit_may_leave_one_class_or_nothing():
    helpers.assert_auc(np.nan, [1.0, np.nan, 3.0], [0, 1, 0], nan_policy="omit")
    helpers.assert_auc(np.nan, [np.nan], [1], nan_policy="omit")


def test_omit_drops_the_weight_with_the_row(isa):
    scores, positive = broken(150, "float32", [3, 70, 149])
    kept = ~np.isnan(scores)
    weights = cases.generator("weights").random(150)
    expected = oracle.auc(scores[kept], positive[kept], weights[kept])
    value = fastpair.auc(scores, positive, weights=weights, nan_policy="omit")
    np.testing.assert_allclose(value, expected, rtol=1e-13)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("row", [0, 20_000, 39_999])
def test_propagate_is_nan_without_a_warning(dtype, row, isa, threads):
    scores, positive = broken(40_000, dtype, [row])
    value = fastpair.auc(scores, positive, nan_policy="propagate", num_threads=threads)
    assert type(value) is np.float64
    assert np.isnan(value)


BATCH = (4, 50)


def broken_batch():
    rng = cases.generator("batch")
    scores, labels = rng.normal(size=BATCH), np.array([cases.coin(rng, BATCH[1]) for _ in range(BATCH[0])])
    scores[2, [17, 30]] = np.nan
    return scores, labels


@pytest.mark.parametrize("axis", [-1, 0])
@pytest.mark.parametrize("full", [False, True], ids=["shared labels", "full labels"])
def test_raise_names_the_series_and_the_row(axis, full):
    scores, labels = broken_batch()
    labels = labels if full else labels[0]
    scores, labels = (scores, labels) if axis == -1 else (scores.T, labels.T)
    refuses(17, scores, labels, r"\b2\b", axis=axis)


@pytest.mark.parametrize("full", [False, True], ids=["shared labels", "full labels"])
@pytest.mark.parametrize("policy", ["omit", "propagate"])
def test_other_series_of_a_batch_are_untouched(policy, full, isa, threads):
    scores, labels = broken_batch()
    labels = labels if full else labels[0]
    rows = np.broadcast_to(labels, BATCH)
    kept = [~np.isnan(s) for s in scores]
    expected = np.array([oracle.auc(s[k], y[k]) for s, y, k in zip(scores, rows, kept, strict=True)])
    if policy == "propagate":
        expected[2] = np.nan
    helpers.assert_values(expected, 0, scores, labels, nan_policy=policy, num_threads=threads)


@pytest.mark.parametrize("kind", ["groups", "offsets"])
def test_other_groups_are_untouched(kind, isa, threads):
    scores, positive, _ = cases.solved("normal", "float64", 33)
    scores, positive = np.tile(scores, 3), np.tile(positive, 3)
    scores[[40, 47]] = np.nan
    groups = np.repeat([5, 1, 3], 33)
    options = {"num_threads": threads, kind: groups if kind == "groups" else [0, 33, 66, 99]}
    rows = oracle.segments([0, 33, 66, 99])
    kept = [r[~np.isnan(scores[r])] for r in rows]
    expected = oracle.grouped(scores, positive, kept)
    helpers.assert_values(expected, 0, scores, positive, nan_policy="omit", **options)
    expected[1] = np.nan
    helpers.assert_values(expected, 0, scores, positive, nan_policy="propagate", **options)
    refuses(40, scores, positive, **options)


def test_a_group_of_nothing_but_nan_stays_in_its_place():
    scores, labels = [1.0, np.nan, 2.0, np.nan, 0.0, 3.0], [0, 0, 1, 1, 0, 1]
    groups = ["a", "b", "a", "b", "c", "c"]
    helpers.assert_values(np.array([1.0, np.nan, 1.0]), 1, scores, labels, groups=groups, nan_policy="omit")
    helpers.assert_values(np.array([1.0, np.nan, 1.0]), 0, scores, labels, groups=groups, nan_policy="propagate")


def test_propagated_and_undefined_are_told_apart():
    scores, labels = [1.0, np.nan, 2.0, 5.0, 0.0, 3.0], [0, 0, 1, 1, 1, 1]
    groups = ["a", "b", "a", "b", "c", "c"]
    helpers.assert_values(np.array([1.0, np.nan, np.nan]), 1, scores, labels, groups=groups, nan_policy="propagate")


@pytest.mark.parametrize("policy", ["raise", "omit", "propagate"])
def test_a_nan_label_is_an_error_whatever_the_policy(policy):
    with pytest.raises(ValueError, match=r"labels(?s:.)*\b2\b"):
        fastpair.auc([1.0, 2.0, 3.0, 4.0], [0.0, 1.0, np.nan, 1.0], nan_policy=policy)


@pytest.mark.parametrize("policy", ["raise", "omit", "propagate"])
def test_a_nan_weight_is_an_error_whatever_the_policy(policy):
    with pytest.raises(ValueError, match=r"weights(?s:.)*\b2\b"):
        fastpair.auc([1.0, 2.0, 3.0, 4.0], [0, 1, 0, 1], weights=[1, 1, np.nan, 1], nan_policy=policy)
