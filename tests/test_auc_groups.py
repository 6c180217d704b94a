"""One AUC per group: ids of every kind, CSR offsets, the order and the names of the groups."""

import cases
import fastpair
import helpers
import numpy as np
import oracle
import pytest

INTEGER_TYPES = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
CODES = (4, 0, 3, 1, 2)  # neither sorted nor in order of appearance


def strings(codes, dtype):
    return np.array([f"user-{c}" for c in codes], dtype)


IDS = {  # small codes -> ids of some kind, one id per code
    **{name: lambda c, name=name: c.astype(name) for name in INTEGER_TYPES},
    "negative": lambda c: -c.astype(np.int64),
    "sparse": lambda c: (c.astype(np.int64) - 2) * (2**62 - 1),
    "largest int64": lambda c: np.iinfo(np.int64).max - c.astype(np.int64),
    "largest uint64": lambda c: np.iinfo(np.uint64).max - c.astype(np.uint64),
    "high halves only": lambda c: c.astype(np.int64) << 32,
    "bytes": lambda c: strings(c, bytes),
    "strings": lambda c: strings(c, str),
    "strings of one prefix": lambda c: np.array(["a" * (k % 5) for k in c], str),
    "object strings": lambda c: strings(c, object),
    "list of strings": lambda c: strings(c, str).tolist(),
    "list of integers": lambda c: c.tolist(),
    "non-ASCII strings": lambda c: np.array(["žluťoučký"[: 1 + k % 9] for k in c], str),
}


def coded(n, count):
    """Group codes of n rows, five in turn or any number at random."""
    rng = cases.generator("codes", n, count)
    return np.resize(CODES, n) if count == 5 else rng.integers(0, max(count, 1), n)


def solve(n, count, dtype="float32", pattern="ten_values"):
    """Scores, classes, codes, the AUC of each group and how many are undefined."""
    scores, positive = cases.make(pattern, dtype, n)
    codes = coded(n, count)
    values = oracle.grouped(scores, positive, oracle.members(codes), one=oracle.counted)
    return scores, positive, codes, values, int(np.isnan(values).sum())


@pytest.mark.parametrize("kind", IDS)
@pytest.mark.parametrize("n", [1, 2, 17, 400])
def test_ids_of_every_kind(kind, n, isa):
    scores, positive, codes, expected, missing = solve(n, 5)
    helpers.assert_values(expected, missing, scores, positive, groups=IDS[kind](codes))


@pytest.mark.parametrize("kind", IDS)
def test_the_groups_are_returned_in_order_of_first_appearance(kind):
    scores, positive, codes, expected, _ = solve(400, 5)
    ids = IDS[kind](codes)
    result = fastpair.auc(scores, positive, groups=ids, return_groups=True)
    assert isinstance(result, fastpair.metrics.GroupedAuc)
    values, groups = result
    assert values is result.auc
    assert groups is result.groups
    np.testing.assert_array_equal(values, expected)
    assert np.asarray(groups).tolist() == oracle.first_appearance(ids)


@pytest.mark.parametrize("kind", [*INTEGER_TYPES, "strings", "bytes"])
def test_returned_ids_keep_their_dtype(kind):
    scores, positive, codes, _, _ = solve(400, 5)
    ids = IDS[kind](codes)
    assert fastpair.auc(scores, positive, groups=ids, return_groups=True).groups.dtype == ids.dtype


def test_scores_of_every_dtype(dtype, isa, threads):
    for n, count in ((257, 5), (1000, 40), (40_000, 300)):
        scores, positive, codes, expected, missing = solve(n, count, dtype, "normal")
        options = {"groups": codes, "num_threads": threads}
        helpers.assert_values(expected, missing, scores, positive, **options)


@pytest.mark.parametrize("pattern", cases.names("float64"))
def test_scores_of_every_pattern(pattern, isa):
    scores, positive, codes, expected, missing = solve(1000, 20, "float64", pattern)
    helpers.assert_values(expected, missing, scores, positive, groups=codes)


def test_one_group_is_the_plain_auc(dtype, isa, threads):
    scores, positive = cases.make("normal", dtype, 50_000)
    value = fastpair.auc(scores, positive)
    helpers.assert_values(np.array([value]), 0, scores, positive, groups=np.zeros(50_000, int), num_threads=threads)
    helpers.assert_values(np.array([value]), 0, scores, positive, offsets=[0, 50_000], num_threads=threads)


@pytest.mark.parametrize("n", [1, 5, 1000, 50_000])
def test_a_row_alone_in_its_group_is_undefined(n, isa, threads):
    scores, positive = cases.make("normal", "float32", n)
    ids = np.arange(n)[::-1] * 3
    helpers.assert_values(np.full(n, np.nan), n, scores, positive, groups=ids, num_threads=threads)


def test_two_rows_per_group(isa, threads):
    n = 50_000
    scores = np.arange(2 * n) % 3
    positive = np.resize([False, True, True, False], 2 * n)
    expected = np.array([oracle.auc(scores[i : i + 2], positive[i : i + 2]) for i in range(0, 12, 2)])
    helpers.assert_values(
        np.resize(expected, n), 0, scores, positive, groups=np.arange(2 * n) // 2, num_threads=threads
    )


def test_one_giant_among_many_small_groups(isa, threads):
    rng = cases.generator("giant")
    groups = np.where(rng.random(120_000) < 0.7, 0, rng.integers(0, 4000, 120_000))
    scores, positive = cases.make("normal", "float32", 120_000)
    expected = oracle.grouped(scores, positive, oracle.members(groups), one=oracle.counted)
    missing = int(np.isnan(expected).sum())
    helpers.assert_values(expected, missing, scores, positive, groups=groups, num_threads=threads)


def test_every_first_appearance_comes_late(threads):
    """Groups in blocks, so that a parallel search for new ids meets each in one place only."""
    groups = np.repeat(np.arange(50)[::-1] * 10**12, 2000)
    scores, positive = cases.make("normal", "float64", 100_000)
    expected = oracle.grouped(scores, positive, oracle.members(groups), one=oracle.counted)
    options = {"groups": groups, "num_threads": threads}
    helpers.assert_values(expected, 0, scores, positive, **options)
    result = fastpair.auc(scores, positive, **options, return_groups=True)
    np.testing.assert_array_equal(result.groups, groups[::2000])


def test_shuffled_rows_change_nothing_but_the_order_of_groups(isa):
    scores, positive, codes, expected, _ = solve(2000, 7)
    order = cases.generator("shuffle").permutation(2000)
    values, groups = fastpair.auc(scores[order], positive[order], groups=codes[order], return_groups=True)
    first = dict(zip(oracle.first_appearance(codes), expected, strict=True))
    assert {int(g): v for g, v in zip(groups, values, strict=True)} == first


OFFSETS = [
    pytest.param([0, 400], id="one"),
    pytest.param([0, 1, 400], id="a single row"),
    pytest.param([0, 0, 200, 400], id="empty first"),
    pytest.param([0, 200, 200, 200, 400], id="empty between"),
    pytest.param([0, 200, 400, 400], id="empty last"),
    pytest.param([0, 13, 30, 31, 64, 128, 257, 399, 400], id="uneven"),
    pytest.param(list(range(0, 401, 2)), id="pairs"),
]


@pytest.mark.parametrize("offsets", OFFSETS)
def test_offsets_cut_the_rows_into_groups(offsets, dtype, isa):
    scores, positive = cases.make("ten_values", dtype, 400)
    expected = oracle.grouped(scores, positive, oracle.segments(offsets))
    missing = int(np.isnan(expected).sum())
    helpers.assert_values(expected, missing, scores, positive, offsets=offsets)


def test_offsets_at_large_size(isa, threads):
    sizes = cases.generator("sizes").zipf(1.3, 3000).clip(0, 20_000) - 1
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    scores, positive = cases.make("normal", "float32", int(offsets[-1]))
    expected = oracle.grouped(scores, positive, oracle.segments(offsets), one=oracle.counted)
    missing = int(np.isnan(expected).sum())
    helpers.assert_values(expected, missing, scores, positive, offsets=offsets, num_threads=threads)


@pytest.mark.parametrize("offset_dtype", INTEGER_TYPES)
def test_offsets_of_any_integer_dtype(offset_dtype):
    scores, positive, _ = cases.solved("alternating_classes", "float32", 33)
    offsets = np.array([0, 10, 33], offset_dtype)
    expected = oracle.grouped(scores, positive, oracle.segments([0, 10, 33]))
    helpers.assert_values(expected, 0, scores, positive, offsets=offsets)


def test_offsets_are_named_by_their_numbers():
    result = fastpair.auc([1, 2, 3, 4], [0, 1, 1, 0], offsets=[0, 2, 4], return_groups=True)
    np.testing.assert_array_equal(result.groups, np.arange(2))
    np.testing.assert_array_equal(result.auc, [1.0, 0.0])


def test_empty_lists_make_no_groups():
    assert fastpair.auc([], [], groups=[]).shape == (0,)


def test_no_rows_make_no_groups():
    helpers.assert_values(np.empty(0), 0, np.empty(0), np.empty(0), groups=np.empty(0, int))
    helpers.assert_values(np.empty(0), 0, np.empty(0), np.empty(0), offsets=[0])


def test_empty_segments_without_rows_are_undefined():
    helpers.assert_values(np.full(2, np.nan), 2, np.empty(0), np.empty(0), offsets=[0, 0, 0])


def test_weighted_groups(isa, threads):
    rng = cases.generator("weighted groups")
    scores, positive, codes, _, _ = solve(300, 9)
    weights = rng.random(300)
    weights[codes == 3] = 0
    rows = oracle.members(codes)
    expected = oracle.grouped(scores, positive, rows, weights)
    with helpers.undefined(int(np.isnan(expected).sum())):
        values = fastpair.auc(scores, positive, groups=codes, weights=weights, num_threads=threads)
    np.testing.assert_allclose(values, expected, rtol=1e-13)


def test_groups_labelled_by_pos_label():
    values = fastpair.auc([1, 2, 3, 4], ["n", "y", "y", "n"], pos_label="y", groups=["a", "a", "b", "b"])
    np.testing.assert_array_equal(values, [1.0, 0.0])
