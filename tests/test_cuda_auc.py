"""`fastpair.auc` on arrays in GPU memory: the bits that numpy users get, the same errors and warnings, one wait."""

import importlib
import itertools
import warnings
from fractions import Fraction

import cases
import cupy_on_host
import fastpair
import numpy as np
import oracle
import pytest
from cupy_on_host import transfers
from fastpair._cuda import _source, columns
from libraries import on_device, on_host

auc = importlib.import_module("fastpair._cuda.auc")  # the name in the package is that of the function
RELATIVE = 1e-13
"""Weights are added in float64, in another order than on the processor."""


@pytest.fixture(params=["usual", "backwards"])
def turned(request, monkeypatch):
    """Threads of the stand-in in either order."""
    monkeypatch.setattr(cupy_on_host.module.RawKernel, "backwards", request.param == "backwards")


def areas(xp, scores, labels, *, missing=0, **options):
    """Return the areas on the host; so many must be undefined."""
    arguments = on_device(xp, (scores, labels, options))
    with warnings.catch_warnings(record=True) as record:
        warnings.simplefilter("always")
        values = fastpair.auc(*arguments[:2], **arguments[2])
    assert len(record) == (missing > 0), [str(warning.message) for warning in record]
    if xp is not np:
        assert type(values) is xp.ndarray
        assert values.dtype == np.float64
    return on_host(values)


def check(xp, expected, scores, labels, about="", **options):
    """Demand these very areas."""
    expected = np.asarray(expected)
    values = areas(xp, scores, labels, missing=np.isnan(expected).sum(), **options)
    assert values.shape == expected.shape, about
    np.testing.assert_array_equal(values, expected, str(about))


def grouped_by_oracle(scores, positive, codes):
    return oracle.grouped(cases.plain(scores), positive, oracle.members(codes), one=oracle.counted)


@pytest.mark.parametrize("n", [0, 1, 2, 33])
def test_every_dtype(xp, dtype, n):
    for name in ("normal", "ten_values", *cases.names(dtype)[len(cases.GENERAL) :]):
        scores, positive, expected = cases.solved(name, dtype, n)
        check(xp, expected, scores, positive, name)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int8"])
def test_every_pattern(xp, dtype):
    for name in cases.names(dtype):
        scores, positive, expected = cases.solved(name, dtype, 257)
        check(xp, expected, scores, positive, name)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int16"])
@pytest.mark.parametrize("pattern", ["normal", "ten_values", "rare_positives", "rare_negatives", "constant"])
def test_many_tiles(xp, dtype, pattern, turned):
    scores, positive = cases.make(pattern, dtype, 9001)
    check(xp, oracle.counted(scores, positive), scores, positive)


@pytest.mark.parametrize("pattern", ["normal", "any_bits", "constant", "extremes"])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "int16", "uint8", "int8"])
def test_histograms(xp, monkeypatch, dtype, pattern):
    monkeypatch.setattr(auc, "WORTH_COUNTING", {1: 1, 2: 1})
    monkeypatch.setattr(auc, "SERIES_AT_A_TIME", 2)
    scores, positive = cases.make(pattern, dtype, 700)
    check(xp, oracle.counted(cases.plain(scores), positive), scores, positive)
    if pattern == "normal":
        check(xp, oracle.counted(np.zeros(9000), np.arange(9000) < 7), np.zeros(9000, "i1"), np.arange(9000) < 7)
        rows = np.stack([scores, scores[::-1], np.roll(scores, 5)])
        labels = np.stack([positive, positive, ~positive])
        expected = [oracle.counted(cases.plain(s), y) for s, y in zip(rows, labels, strict=True)]
        check(xp, expected, rows, labels)


@pytest.mark.parametrize("few", [1, 2, 60])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_much_smaller_class_is_sorted_alone(xp, monkeypatch, dtype, few):
    scores, _ = cases.make("square_root_values", dtype, 5000)
    positive = np.isin(np.arange(5000), np.linspace(0, 4999, few).astype(int))
    for rows in (positive, ~positive):
        check(xp, oracle.counted(scores, rows), scores, rows)
    monkeypatch.setattr(auc, "MUCH_SMALLER", 1)
    scores, positive = cases.make("ten_values", dtype, 3001)
    check(xp, oracle.counted(scores, positive), scores, positive)


LABELS = [
    *((np.int64([0, 0, 1, 1]), {}), (np.int8([-1, -1, 1, 1]), {}), (np.float32([0, -0.0, 1, 1]), {})),
    *((np.uint16([7, 7, 9, 9]), {"pos_label": 9}), (np.float16([0.5, 0.5, 2, 2]), {"pos_label": 2.0})),
    *((np.uint64([2**63, 2**63, 2**64 - 1, 2**64 - 1]), {"pos_label": 2**64 - 1}),),
    *((np.bool_([1, 1, 0, 0]), {"pos_label": False}), (np.bool_([0, 0, 1, 1]), {"pos_label": True})),
    *((np.float64([0, 0, 1, 1]), {"pos_label": np.int64(1)}), (np.int64([-5, -5, 2**62, 2**62]), {"pos_label": 2**62})),
]


@pytest.mark.parametrize(("labels", "options"), LABELS)
def test_labels(xp, labels, options):
    scores = np.float32([0.1, 0.4, 0.35, 0.8])
    check(xp, 0.75, scores, labels, **options)
    check(xp, 0.75, scores[::-1], labels[::-1], **options)
    check(xp, np.nan, scores[:2], labels[:2], **options)
    check(xp, [0.75, 0.75], np.stack([scores, scores + 1]), labels, **options)


@pytest.mark.parametrize("label_dtype", cases.DTYPES)
def test_labels_of_every_dtype(xp, label_dtype):
    scores, positive = cases.make("normal", "float32", 300)
    check(xp, oracle.counted(scores, positive), scores, positive.astype(cases.as_dtype(label_dtype)))


SHAPES = [(3, 50), (17, 1), (2, 3, 33), (0, 4), (3, 0), (2, 0, 4), (1, 2100)]


@pytest.mark.parametrize("way", ["segments", "sorts"])
@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8", "int64"])
@pytest.mark.parametrize("full", [False, True], ids=["shared labels", "full labels"])
def test_batches(xp, monkeypatch, way, dtype, full):
    monkeypatch.setattr(auc, "LONG", 1 if way == "sorts" else 1 << 20)
    for shape in SHAPES:
        rng = cases.generator("batch", *shape)
        scores = rng.integers(0, 9, shape).astype(dtype)
        labels = rng.random(shape if full else shape[-1]) < 0.4
        rows = np.broadcast_to(labels, shape)
        expected = np.array([oracle.counted(scores[i], rows[i]) for i in np.ndindex(shape[:-1])]).reshape(shape[:-1])
        check(xp, expected, scores, labels, shape)
        if len(shape) == 2:
            check(xp, expected, scores.T, labels.T.astype(int), shape, axis=0)


@pytest.mark.parametrize("dtype", cases.DTYPES)
def test_groups(xp, dtype, turned):
    for n, count in ((1, 1), (257, 5), (3000, 40)):
        scores, positive = cases.make("ten_values", dtype, n)
        codes = cases.generator("codes", n).integers(0, count, n) * 3 - 7
        check(xp, grouped_by_oracle(scores, positive, codes), scores, positive, groups=codes)


def test_long_and_short_groups(xp):
    rng = cases.generator("long")
    scores, positive = cases.make("normal", "float64", 6000)
    codes = np.where(rng.random(6000) < 0.8, 3, rng.integers(0, 400, 6000))
    check(xp, grouped_by_oracle(scores, positive, codes), scores, positive, groups=codes)
    offsets = np.array([0, 0, 1, 4000, 4000, 4001, 6000, 6000])
    expected = oracle.grouped(scores, positive, oracle.segments(offsets), one=oracle.counted)
    check(xp, expected, scores, positive, offsets=offsets)


@pytest.mark.parametrize("dtype", ["float32", "int64"])
def test_groups_of_batches(xp, dtype):
    rng = cases.generator("groups of batches")
    scores, labels = rng.integers(0, 30, (2, 3, 40)).astype(dtype), rng.random((2, 3, 40)) < 0.5
    codes = rng.integers(0, 4, 40)
    expected = [[grouped_by_oracle(scores[i, j], labels[i, j], codes) for j in range(3)] for i in range(2)]
    check(xp, expected, scores, labels, groups=codes)
    check(xp, expected, np.moveaxis(scores, -1, 0), np.moveaxis(labels, -1, 0), groups=codes, axis=0)


def test_ids_of_groups_are_returned(xp):
    scores, positive = cases.make("normal", "float32", 200)
    ids = cases.generator("ids").integers(-3, 3, 200).astype(np.int16)
    result = fastpair.auc(*on_device(xp, (scores, positive)), groups=on_device(xp, ids), return_groups=True)
    assert isinstance(result, fastpair.metrics.GroupedAuc)
    assert isinstance(result.groups, xp.ndarray)
    assert result.groups.dtype == ids.dtype
    assert on_host(result.groups).tolist() == oracle.first_appearance(ids)
    np.testing.assert_array_equal(on_host(result.auc), grouped_by_oracle(scores, positive, ids))
    result = fastpair.auc(
        *on_device(
            xp,
            (
                scores,
                positive,
            ),
        ),
        offsets=on_device(xp, np.int32([0, 90, 200])),
        return_groups=True,
    )
    assert on_host(result.groups).tolist() == [0, 1]


KINDS = {
    "uniform": lambda rng, n: rng.random(n),
    "many zeros": lambda rng, n: rng.random(n) * (rng.random(n) < 0.3),
    "of very different size": lambda rng, n: 10.0 ** rng.uniform(-150, 100, n),
    "huge": lambda rng, n: rng.uniform(1e307, 8e307, n),
    "tiny": lambda rng, n: rng.integers(1, 50, n) * 5e-324,
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", ["float32", "float64", "int8"])
def test_weights(xp, kind, dtype, turned):
    for n, pattern in itertools.product((2, 33, 150), ("normal", "ten_values")):
        scores, positive, _ = cases.solved(pattern, dtype, n)
        weights = KINDS[kind](cases.generator(kind, n), n)
        weights[:2] += weights.max()
        expected = oracle.auc(scores, positive, weights)
        values = areas(xp, scores, positive, weights=weights, missing=np.isnan(expected))
        np.testing.assert_allclose(values, expected, rtol=RELATIVE)


@pytest.mark.parametrize("weight_dtype", cases.DTYPES)
def test_weights_of_every_dtype(xp, weight_dtype):
    scores, positive, _ = cases.solved("ten_values", "float32", 33)
    weights = np.resize([0, 1, 1, 3, 0, 2], 33).astype(cases.as_dtype(weight_dtype))
    check(xp, oracle.auc(scores, positive, weights), scores, positive, weights=weights)  # small integers: exact


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_integer_weights_are_exact_over_many_tiles(xp, dtype):
    scores, positive = cases.make("square_root_values", dtype, 5000)
    times = cases.generator("times").integers(0, 4, 5000)
    expected = oracle.counted(np.repeat(scores, times), np.repeat(positive, times))
    for exponent in (0, -300, 300):
        check(xp, expected, scores, positive, weights=times * 2.0**exponent)
    for constant in (np.zeros(5000), np.arange(5000) >= 4990):  # one run of ties, one run and its end
        expected = oracle.counted(np.repeat(constant, times), np.repeat(positive, times))
        check(xp, expected, constant.astype(dtype), positive, weights=times)


@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8"])
def test_weighted_groups(xp, dtype, turned):
    rng = cases.generator("weighted groups")
    scores, positive = cases.make("ten_values", dtype, 6000)
    codes = np.where(rng.random(6000) < 0.7, 3, rng.integers(0, 50, 6000))
    weights = rng.random(6000) * 10.0 ** (20 * (codes % 30) - 300)
    weights[codes == 7] = 0
    numpy_values = areas(np, scores, positive, weights=weights, groups=codes, missing=1)
    values = areas(xp, scores, positive, weights=weights, groups=codes, missing=1)
    np.testing.assert_allclose(values, numpy_values, rtol=RELATIVE)


def test_weighted_batches(xp):
    rng = cases.generator("weighted batches")
    scores, labels = rng.integers(0, 9, (4, 30)), rng.random((4, 30)) < 0.5
    for weights in (rng.integers(0, 5, (4, 30)), rng.integers(1, 5, 30)):
        rows = np.broadcast_to(weights, scores.shape)
        expected = [oracle.auc(s, y, w) for s, y, w in zip(scores, labels, rows, strict=True)]
        check(xp, expected, scores, labels, weights=weights)


def in_order(direction, scores, *others):
    order = np.argsort(cases.plain(scores), kind="stable")[:: 1 if direction == "ascending" else -1]
    return [array[order] for array in (scores, *others)]


@pytest.mark.parametrize("direction", ["ascending", "descending"])
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "uint8", "int64"])
def test_presorted(xp, direction, dtype):
    for name, n in itertools.product(("ten_values", "normal", "rare_positives"), (1, 2, 17, 5000)):
        scores, positive = in_order(direction, *cases.make(name, dtype, n))
        check(xp, oracle.counted(scores, positive), scores, positive, (name, n), presorted=direction)
    weights = cases.generator("weights").integers(0, 3, 300)
    scores, positive, weights = in_order(direction, *cases.make("ten_values", dtype, 300), weights)
    check(xp, oracle.auc(scores, positive, weights), scores, positive, weights=weights, presorted=direction)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("direction", ["ascending", "descending"])
def test_presorted_with_nan_and_in_batches(xp, direction, weighted):
    rng = cases.generator("presorted")
    scores = np.sort(rng.integers(0, 9, (3, 60)).astype(np.float32))[:, :: 1 if direction == "ascending" else -1].copy()
    labels = rng.random(60) < 0.5
    options = {"weights": rng.integers(1, 4, 60)} if weighted else {}
    scores[1, [0, 7, 8, 30, 59]] = np.nan
    kept = [~np.isnan(s) for s in scores]
    weights = options.get("weights", np.ones(60))
    expected = [oracle.auc(s[k], labels[k], weights[k]) for s, k in zip(scores, kept, strict=True)]
    check(xp, expected, scores, labels, presorted=direction, nan_policy="omit", **options)
    for row in range(3):
        check(xp, expected[row], scores[row], labels, presorted=direction, nan_policy="omit", **options)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
@pytest.mark.parametrize("n", [40, 3000])
def test_nan(xp, monkeypatch, dtype, n):
    monkeypatch.setattr(auc, "WORTH_COUNTING", {2: 1000})
    scores, positive = cases.make("ten_values", dtype, n)
    rows = cases.generator("nan").random(n) < 0.3
    scores[rows] = np.nan
    kept = ~rows
    expected = oracle.counted(cases.plain(scores)[kept], positive[kept])
    check(xp, expected, scores, positive, nan_policy="omit")
    weights = np.ones(n)
    check(xp, expected, scores, positive, weights=weights, nan_policy="omit")
    codes = np.arange(n) % 3
    members = [r[kept[r]] for r in oracle.members(codes)]
    expected = oracle.grouped(cases.plain(scores), positive, members, one=oracle.counted)
    check(xp, expected, scores, positive, groups=codes, nan_policy="omit")
    check(xp, expected, scores, positive, groups=codes, weights=weights, nan_policy="omit")
    for options in ({}, {"weights": weights}):
        assert np.isnan(areas(xp, scores, positive, nan_policy="propagate", **options))
        batch = np.stack([scores, np.where(rows, 1, scores)])
        assert np.isnan(areas(xp, batch, positive, nan_policy="propagate", **options)).tolist() == [True, False]


@pytest.mark.parametrize("weighted", [False, True])
def test_nan_in_groups_is_propagated_to_its_own_and_told_from_undefined(xp, weighted):
    scores, labels = np.array([1.0, np.nan, 2.0, 5.0, 0.0, 3.0]), np.array([0, 0, 1, 1, 1, 1])
    options = {"groups": np.array([0, 1, 0, 1, 2, 2]), "nan_policy": "propagate"}
    options |= {"weights": np.ones(6)} if weighted else {}
    with pytest.warns(fastpair.UndefinedMetricWarning, match=r"\b1 of 3 groups"):
        values = fastpair.auc(*on_device(xp, (scores, labels)), **on_device(xp, options))
    np.testing.assert_array_equal(on_host(values), [1.0, np.nan, np.nan])


S = np.array([0.1, 0.4, 0.35, 0.8])
Y = np.array([0, 0, 1, 1])
GOOD = np.array([[0, 1, 0, 1], [1, 0, 1, 0]])
BAD = [
    *({"labels": np.array(labels)} for labels in ([1, 1, 2, 2], [0, 0, 255, 255], [-1, -1, 0, 0], [3, 3, 3, 3])),
    *({"labels": np.array(labels)} for labels in ([0, 1, 2, 1], [-1, 0, 1, 1], [5, 6, 7, 7], [0.3, 0.3, 0.7, 0.7])),
    *({"labels": np.array(labels)} for labels in ([0.0, np.nan, 1, 1], [np.nan, 0, 1, 1], [0, 1, 1, np.nan])),
    *({"labels": np.array(labels, np.float32)} for labels in ([0.0, 0.1, 1, 1], [0.0, np.inf, 1, 1])),
    *({"labels": Y + 4, "pos_label": label} for label in (7, 0.5, True, -(2**70), np.inf)),
    *({"labels": np.array([0, 1, 2, 1]), "pos_label": label} for label in (2, 1, 7)),
    *({"labels": Y, "pos_label": label} for label in ("1", [1], 1j)),
    *({"labels": Y.astype(bool), "pos_label": label} for label in (2, 0.5)),
    *({"labels": Y.astype(np.uint64) + np.uint64(2**63), "pos_label": label} for label in (None, 3.0)),
    *({"scores": np.array([0.1, np.nan, 0.35, np.nan])}, {"scores": np.array([[1, 2, 3, 4], [1, 2, np.nan, 4]])}),
    *(
        {"scores": np.stack([S, S]), "labels": labels}
        for labels in (GOOD * 2, np.add(GOOD, [[0], [1]]), np.array([0, 0, 2, 2]))
    ),
    *({"weights": np.array(w)} for w in ([1, -1, 1, 1], [1, 1, np.nan, 1], [1, 1, 1, np.inf], [0, 0, 0, -1e-300])),
    *(
        {"scores": np.stack([S, S]), "weights": w}
        for w in (np.array([1, -1, 1, 1]), np.array([[1] * 4, [1, 1, -2, 1]]))
    ),
    *({"scores": S, "presorted": "ascending"}, {"scores": -S, "presorted": "descending"}, {"presorted": "up"}),
    *({"scores": np.array([1.0, np.nan, 0.5, 2]), "presorted": "ascending", "nan_policy": "omit"},),
    *({"scores": np.array([0.0, 0, 1, 1]), "labels": S}, {"scores": Y, "labels": S}, {"labels": Y.astype(complex)}),
    *({"scores": S.astype(complex)}, {"weights": S.astype(complex)}, {"scores": Y.astype(bool), "labels": S}),
    *({"labels": Y[:3]}, {"weights": np.ones((4, 4))}, {"axis": 3}, {"nan_policy": "drop"}, {"return_groups": True}),
    *(
        {"groups": S},
        {"groups": Y[:3]},
        {"groups": Y, "offsets": Y},
        {"offsets": S},
        {"offsets": np.zeros((2, 2), int)},
    ),
    *({"offsets": np.array(offsets, int)} for offsets in ([], [0, 3], [1, 4], [0, 3, 2, 4], [0, -1, 4])),
    *({"groups": Y, "presorted": "ascending"}, {"groups": Y, "scores": np.array([1, 2, np.nan, 3.0])}),
]


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: "-".join(bad))
def test_errors_have_the_words_of_the_processor(cupy, bad):
    arguments = {"scores": S, "labels": Y, **bad}
    with pytest.raises((TypeError, ValueError)) as expected:
        fastpair.auc(**arguments)
    with pytest.raises(type(expected.value)) as caught:
        fastpair.auc(**on_device(cupy, arguments))
    assert str(caught.value) == str(expected.value)


def test_a_third_label_in_the_last_row_is_found(cupy):
    for dtype, bad in (("uint8", 255), ("float64", np.nan), ("int64", 2), ("bfloat16", 0.5)):
        labels = (np.arange(9000) % 2).astype(cases.as_dtype(dtype))
        labels[-1] = bad
        with pytest.raises(ValueError, match="labels"):
            fastpair.auc(cupy.arange(9000.0), cupy.asarray(labels))


def test_libraries_are_not_mixed(cupy):
    scores, labels = cupy.asarray(S), cupy.asarray(Y)
    for arguments, options in (((scores, Y), {}), ((S, labels), {}), ((scores, labels), {"weights": [1, 1, 1, 1]})):
        with pytest.raises(TypeError, match="GPU memory"):
            fastpair.auc(*arguments, **options)


def test_the_warning_points_at_the_caller(xp):
    scores, labels = on_device(xp, (np.ones(2), np.ones(2)))
    groups = on_device(xp, np.zeros(2, int))
    for call in (lambda: fastpair.auc(scores, labels), lambda: fastpair.auc(scores, labels, groups=groups)):
        with pytest.warns(fastpair.UndefinedMetricWarning) as record:
            call()
        assert record[0].filename == __file__


def test_arguments_are_only_read_in_any_layout(xp):
    rng = cases.generator("layouts")
    scores, labels, weights = rng.integers(0, 9, (6, 40)).astype(np.float32), rng.random((6, 40)) < 0.5, rng.random(40)
    expected = fastpair.auc(scores[::2, ::-1], labels[::2, ::-1], weights=weights[::-1])
    arguments = on_device(xp, (scores, labels, weights))
    values = fastpair.auc(arguments[0][::2, ::-1], arguments[1][::2, ::-1], weights=arguments[2][::-1])
    np.testing.assert_allclose(on_host(values), expected, rtol=RELATIVE)
    for before, after in zip((scores, labels, weights), on_host(arguments), strict=True):
        np.testing.assert_array_equal(before, after)


CALLS = [
    *(({}, 1), ({"weights": np.ones(40)}, 1), ({"presorted": "ascending"}, 1), ({"groups": np.arange(40) % 3}, 2)),
    *(({"offsets": np.array([0, 9, 40])}, 2), ({"groups": np.arange(40) % 3, "weights": np.ones(40)}, 2)),
]


@pytest.mark.parametrize(("options", "waits"), CALLS)
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_the_host_waits_once(cupy, monkeypatch, options, waits, dtype):
    monkeypatch.setattr(auc, "WORTH_COUNTING", {2: 1})
    scores, labels = cupy.arange(40).astype(dtype), cupy.arange(40) % 5 == 1
    batch = cupy.stack([scores, scores + 1, scores * 2])
    options = on_device(cupy, options)
    for values in (scores, batch):
        before = transfers.count
        fastpair.auc(values, labels, **options)
        assert transfers.count - before <= waits


def test_pairs_beyond_64_bits_are_exact(cupy):
    rng = cases.generator("large counts")
    counts = rng.integers(1, 2**40, (50, 2), dtype=np.uint64)
    counts[0] = 2**40 - 1
    shares = [Fraction(int(share), 2**40) for share in rng.integers(0, 2**40, 50)]
    whole = [2 * int(p) * int(n) for p, n in counts]
    twice = [int(all_pairs * share) for all_pairs, share in zip(whole, shares, strict=True)]
    words = np.array([[t % 2**32 + (t % 7) * 2**32, (t >> 32) - t % 7] for t in twice], np.uint64)
    out, undefined = cupy.empty(50), cupy.zeros(1, np.uint64)
    flags = (np.int32(0), np.int32(0), np.int32(0))
    _source.launch("auc.cu", "areas", 1, 256, *map(cupy.asarray, (words, counts)), 50, 2**42, *flags, out, undefined)
    assert out.get().tolist() == [float(t) / float(w) for t, w in zip(twice, whole, strict=True)]
    assert undefined.get()[0] == 0


@pytest.mark.parametrize("dtype", cases.DTYPES)
def test_keys_of_numbers_on_the_host(dtype):
    full = cases.as_dtype(dtype)
    assert columns._key(0, full) is not None
    assert (columns._key(0.3, full) is None) == (dtype != "float64")
    assert (columns._key(-1, full) is None) == (full.kind in "ub")
    assert columns._key(2**80, full) is None if full.kind in "iub" else True
    assert columns._key(1, full) > columns._key(0, full)
