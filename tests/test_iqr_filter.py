"""iqr_filter: quartiles without interpolation, whiskers, rows and masks."""

import re

import numpy as np
import pytest
from fastpair.mining._iqr_filter import iqr_filter
from hypothesis import given
from hypothesis import strategies as st

SPEC = [0.1, 0.12, 0.15, 0.2, 0.22, 0.25, 0.3, 0.95]


def naive(values, ratio):
    """The definition, for one list."""
    if not values:
        return [], np.nan, np.nan
    ordered = sorted(values)
    first, third = ordered[int(0.25 * len(values))], ordered[int(0.75 * len(values))]
    low, high = first - ratio * (third - first), third + ratio * (third - first)
    return [low <= value <= high for value in values], low, high


def test_golden_values():
    found = iqr_filter(SPEC)
    assert found.keep.tolist() == [True] * 7 + [False]
    assert (found.low, found.high) == pytest.approx((-0.075, 0.525))
    assert iqr_filter(SPEC[::-1]).keep.tolist() == [False] + [True] * 7


def test_nothing_is_kept_of_nothing():
    empty = iqr_filter([])
    assert empty.keep.shape == (0,)
    assert np.isnan([empty.low, empty.high]).all()
    assert iqr_filter(np.zeros((0, 3))).keep.shape == (0, 3)
    rows = iqr_filter(np.zeros((2, 0)))
    assert rows.keep.shape == (2, 0)
    assert np.isnan(rows.low).all()
    masked = iqr_filter([1.0, 2.0], mask=[False, False])
    assert not masked.keep.any()
    assert np.isnan(masked.low)


@given(st.lists(st.integers(-5, 5).map(lambda v: v / 4), max_size=20), st.sampled_from([0.0, 0.5, 1.0, 1.5]))
def test_the_definition(values, ratio):
    keep, low, high = naive(values, ratio)
    found = iqr_filter(values, ratio)
    assert found.keep.tolist() == keep
    np.testing.assert_array_equal([found.low, found.high], [low, high])


def test_rows_and_masks_are_lists_of_their_own(rng):
    values, mask = rng.normal(size=(30, 11)).astype(np.float32), rng.random((30, 11)) < 0.6
    whole, part = iqr_filter(values, 1.0), iqr_filter(values, 1.0, mask=mask)
    for row in range(30):
        alone = iqr_filter(values[row], 1.0)
        np.testing.assert_array_equal(whole.keep[row], alone.keep)
        assert (whole.low[row], whole.high[row]) == (alone.low, alone.high)
        np.testing.assert_array_equal(part.keep[row][mask[row]], iqr_filter(values[row][mask[row]], 1.0).keep)
    assert not part.keep[~mask].any()
    assert whole.low.dtype == np.float64


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.int8, ">f8"])
def test_dtypes_and_strides(dtype):
    values = np.array([[1, 2, 3, 4, 50]] * 3).astype(dtype)
    assert iqr_filter(values).keep[1].tolist() == [True] * 4 + [False]
    assert iqr_filter(values[::2, ::-1]).keep[1].tolist() == [False] + [True] * 4


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: iqr_filter([[[1.0]]]), ValueError, "values has shape (1, 1, 1)"),
        (lambda: iqr_filter([1.0, np.nan]), ValueError, "values is nan at index 1"),
        (lambda: iqr_filter([[1.0, np.inf]]), ValueError, "values is inf at row 0, column 1"),
        (lambda: iqr_filter(["a"]), TypeError, "values has dtype"),
        (lambda: iqr_filter([1.0], -1), ValueError, "ratio must be at least 0"),
        (lambda: iqr_filter([1.0], "a"), TypeError, "ratio must be a number"),
        (lambda: iqr_filter([1.0], mask=[1]), ValueError, "mask has shape (1,) and dtype int64"),
        (lambda: iqr_filter([1.0], mask=[True, True]), ValueError, "mask has shape (2,)"),
    ],
)
def test_errors(call, kind, message):
    with pytest.raises(kind, match=re.escape(message)):
        call()
