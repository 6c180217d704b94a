"""Groups of rows in GPU memory: `fastpair.gauc`, codes in order of first appearance, offsets, lists of rows."""

import warnings

import cases
import cupy_on_host
import fastpair
import numpy as np
import oracle
import pytest
from cupy_on_host import transfers
from fastpair import _core, _cuda
from libraries import on_device, on_host

WEIGHTINGS = ("uniform", "size", "positives", "pairs")
INTEGER_TYPES = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "bool")


@pytest.fixture(params=["usual", "backwards"])
def turned(request, monkeypatch):
    """Threads of the stand-in in either order."""
    monkeypatch.setattr(cupy_on_host.module.RawKernel, "backwards", request.param == "backwards")


def spread_out(n, count):
    """Ids that are far from each other, and many of which meet in the table."""
    return (cases.generator("spread", n).integers(0, count, n) - count // 2) * (1 << 40)


@pytest.mark.parametrize("n", [0, 1, 2, 17, 1500])
def test_codes_follow_the_order_of_first_appearance(cupy, n, turned):
    rng = cases.generator("codes", n)
    for ids in (rng.integers(0, 5, n), rng.integers(0, 10**9, n), spread_out(n, 40), np.arange(n)[::-1].copy()):
        expected = _core.group_codes(ids)
        codes, first_rows = map(on_host, _cuda.group_codes(cupy.asarray(ids)))
        np.testing.assert_array_equal(codes, expected[0], strict=True)
        np.testing.assert_array_equal(first_rows, expected[1])


@pytest.mark.parametrize("dtype", INTEGER_TYPES)
def test_ids_of_every_dtype(cupy, dtype):
    ids = np.resize([4, 0, 3, 1, 2, 1, 0], 300).astype(dtype)
    for array in (ids, ids[::-2]):
        expected = _core.group_codes(array)
        found = _cuda.group_codes(cupy.asarray(ids)[::-2] if array is not ids else cupy.asarray(ids))
        for own, other in zip(map(on_host, found), expected, strict=True):
            np.testing.assert_array_equal(own, other)


@pytest.mark.parametrize("offsets", [[0], [0, 0], [0, 5], [0, 2, 2, 5], [0, 0, 0, 3, 3], [0, 100, 700, 700, 1111]])
def test_codes_from_offsets(cupy, offsets):
    for dtype in (np.int64, np.uint16):
        borders = np.array(offsets, dtype)
        expected = _core.codes_from_offsets(borders.astype(np.int64), offsets[-1])
        codes = _cuda.codes_from_offsets(cupy.asarray(borders), offsets[-1])
        np.testing.assert_array_equal(on_host(codes), expected, strict=True)


@pytest.mark.parametrize("bad", [[], [1, 5], [0, 4], [0, 3, 2, 5], [0, -1, 5], [-1, 5], [5, 0]])
def test_bad_offsets_are_refused_in_the_same_words(cupy, bad):
    borders = np.array(bad, np.int64)
    with pytest.raises(ValueError, match="offsets") as expected:
        _core.codes_from_offsets(borders, 5)
    with pytest.raises(ValueError, match="offsets") as caught:
        _cuda.codes_from_offsets(cupy.asarray(borders), 5)
    assert str(caught.value) == str(expected.value)


@pytest.mark.parametrize("codes", [[], [0], [0, 0, 2], [1, 0, 1, 3], [2, 2, 1, 0, 0], "many", "sorted"])
def test_lists(cupy, codes):
    if isinstance(codes, str):
        drawn = cases.generator("lists").integers(0, 40, 1500)
        codes = np.sort(drawn) if codes == "sorted" else drawn
    codes = np.array(codes, np.uint32)
    groups = int(codes.max(initial=0)) + 2
    offsets, rows = _core.group_lists(codes, groups)
    own_offsets, own_rows = _cuda.group_lists(cupy.asarray(codes), groups)
    np.testing.assert_array_equal(on_host(own_offsets), offsets, strict=True)
    assert (own_rows is None) == (rows is None)
    if rows is not None:
        np.testing.assert_array_equal(on_host(own_rows), rows, strict=True)


def gauc(xp, *arguments, **options):
    """Return `fastpair.gauc` on the host, without its warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", fastpair.UndefinedMetricWarning)
        value = fastpair.gauc(*on_device(xp, arguments), **on_device(xp, options))
    assert type(value) is (np.float64 if xp is np else xp.ndarray)
    assert value.dtype == np.float64
    assert value.shape == ()
    return float(on_host(value))


@pytest.mark.parametrize("weighting", WEIGHTINGS)
@pytest.mark.parametrize("undefined", ["skip", "nan", "half"])
@pytest.mark.parametrize("weighted", [False, True], ids=["unweighted", "weighted"])
def test_gauc_equals_the_oracle(xp, weighting, undefined, weighted):
    for n, count in ((40, 3), (300, 30), (600, 2)):
        rng = cases.generator("gauc", n, count)
        scores, positive = cases.make("ten_values", "float32", n)
        groups = rng.integers(0, count, n)
        options = {"weighting": weighting, "undefined": undefined}
        if weighted:
            options["weights"] = rng.random(n) * (rng.random(n) < 0.9)
        expected = oracle.gauc(scores, positive, oracle.members(groups), **options)
        np.testing.assert_allclose(gauc(xp, scores, positive, groups, **options), expected, rtol=1e-13)


def test_gauc_of_offsets_and_of_nan(xp):
    scores = np.array([1, 2, 1, np.nan, 3, 5, 6.0])
    labels = np.array([0, 1, 0, 1, 0, 1, 1])
    offsets = np.array([0, 0, 2, 5, 5, 7, 7])
    assert gauc(xp, scores, labels, offsets=offsets, nan_policy="omit") == 1.0
    for dtype in ("float64", "float16", "bfloat16"):
        own = scores.astype(cases.as_dtype(dtype))
        assert gauc(xp, own, labels, offsets=offsets, nan_policy="omit") == 1.0
        assert np.isnan(gauc(xp, own, labels, offsets=offsets, nan_policy="propagate"))
    with pytest.raises(ValueError, match=r"scores is NaN at index 3"):
        gauc(xp, scores, labels, offsets=offsets)
    one_class = np.array([np.nan, 1.0]), np.array([1, 1]), np.array([0, 0])
    for undefined in ("skip", "half"):
        assert np.isnan(gauc(xp, *one_class, undefined=undefined, nan_policy="propagate"))


@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_nothing_left_to_average_is_undefined_where_the_caller_is(xp, weighting):
    for arrays in ((np.arange(3.0), np.ones(3), np.array([0, 0, 1])), (np.empty(0), np.empty(0), np.empty(0, int))):
        scores, labels, groups = on_device(xp, arrays)
        with pytest.warns(fastpair.UndefinedMetricWarning) as record:
            value = fastpair.gauc(scores, labels, groups, weighting=weighting)
        assert np.isnan(float(on_host(value)))
        assert record[0].filename == __file__


@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_weights_too_small_for_their_product(xp, weighting):
    scores, labels, groups = np.array([1.0, 2, 1, 2]), np.array([0, 1, 0, 1]), np.array([0, 0, 1, 1])
    options = {"weights": np.full(4, 1e-200), "weighting": weighting}
    np.testing.assert_array_equal(
        gauc(xp, scores, labels, groups, **options), gauc(np, scores, labels, groups, **options)
    )


def test_gauc_waits_for_the_number_of_groups_and_for_problems(cupy):
    scores, labels, groups = cupy.arange(40.0), cupy.arange(40) % 5 == 1, cupy.arange(40) % 3
    for weighting in WEIGHTINGS:
        before = transfers.count
        fastpair.gauc(scores, labels, groups, weighting=weighting)
        assert transfers.count - before == 2


@pytest.mark.parametrize(
    "bad", [{"groups": None}, {"weighting": "rows"}, {"undefined": "drop"}, {"labels": np.arange(4)}]
)
def test_gauc_refuses_in_the_same_words(cupy, bad):
    arguments = {"scores": np.arange(4.0), "labels": np.arange(4) % 2, "groups": np.arange(4) // 2, **bad}
    with pytest.raises(ValueError) as expected:
        fastpair.gauc(**arguments)
    with pytest.raises(ValueError) as caught:
        fastpair.gauc(**on_device(cupy, arguments))
    assert str(caught.value) == str(expected.value)


def test_strings_are_no_ids_on_a_gpu(cupy):
    with pytest.raises(TypeError, match="host memory"):
        fastpair.auc(cupy.arange(2.0), cupy.arange(2), groups=["a", "b"])
