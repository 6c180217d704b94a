"""Weighted AUC, and the path for data that are sorted already (with and without weights)."""

import itertools

import cases
import fastpair
import helpers
import numpy as np
import oracle
import pytest

RELATIVE = 1e-13  # weights are added in float64

KINDS = {
    "uniform": lambda rng, n: rng.random(n),
    "integers": lambda rng, n: rng.integers(0, 9, n),
    "many zeros": lambda rng, n: rng.random(n) * (rng.random(n) < 0.3),
    "of very different size": lambda rng, n: 10.0 ** rng.uniform(-150, 100, n),
    "one heavy row": lambda rng, n: np.where(np.arange(n) == n // 2, 1e9, 1.0),
    "zeros and ones": lambda rng, n: rng.integers(0, 2, n),
}


def weights_of(kind, n):
    weights = np.asarray(KINDS[kind](cases.generator(kind, n), n), dtype=np.float64)
    weights[:2] += 1  # not all of a small case zero
    return weights


def assert_weighted(expected, scores, positive, weights, **options):
    with helpers.undefined(int(np.isnan(expected)), named=False):
        value = fastpair.auc(scores, positive, weights=weights, **options)
    assert type(value) is np.float64
    np.testing.assert_allclose(value, expected, rtol=RELATIVE)


@pytest.mark.parametrize("kind", KINDS)
def test_equals_the_oracle(kind, dtype, isa):
    patterns = ("normal", "ten_values", "constant", "positives_above")
    for name, n in itertools.product(patterns, (0, 1, 2, 3, 16, 17, 33, 150)):
        weights = weights_of(kind, n)
        scores, positive = cases.make(name, dtype, n)
        assert_weighted(oracle.auc(scores, positive, weights), scores, positive, weights)


@pytest.mark.parametrize("pattern", cases.names("float32"))
def test_equals_the_oracle_on_every_pattern(pattern, isa, threads):
    scores, positive, _ = cases.solved(pattern, "float32", 33)
    weights = weights_of("uniform", 33)
    expected = oracle.auc(scores, positive, weights)
    assert_weighted(expected, scores, positive, weights, num_threads=threads)


@pytest.mark.parametrize("weight_dtype", cases.DTYPES)
@pytest.mark.parametrize("score_dtype", ["float16", "float32", "float64", "int64", "uint8"])
def test_weights_of_any_dtype(score_dtype, weight_dtype, isa):
    scores, positive, _ = cases.solved("ten_values", score_dtype, 33)
    weights = np.resize([0, 1, 1, 3, 0, 2], 33).astype(cases.as_dtype(weight_dtype))
    expected = oracle.auc(scores, positive, weights)
    assert fastpair.auc(scores, positive, weights=weights) == expected  # small integers: exact


def test_integer_weights_equal_repetition_exactly(dtype, isa, threads):
    for n in (2, 17, 1000, 50_000):
        scores, positive = cases.make("normal", dtype, n)
        times = cases.generator("times", n).integers(0, 4, n)
        times[[int(positive.argmax()), int(positive.argmin())]] = 1
        expected = fastpair.auc(np.repeat(scores, times), np.repeat(positive, times))
        helpers.assert_auc(expected, scores, positive, n, weights=times, num_threads=threads)


@pytest.mark.parametrize(
    "weight", [np.float64(1), np.float32(1), np.float64(2.0**-40), np.int64(3), np.True_], ids=repr
)
def test_equal_weights_change_nothing(weight, dtype, isa):
    for n in (2, 17, 1000, 50_000):
        scores, positive = cases.make("ten_values", dtype, n)
        value = fastpair.auc(scores, positive)
        for threads in helpers.THREADS:
            options = {"weights": np.full(n, weight), "num_threads": threads}
            helpers.assert_auc(value, scores, positive, (n, threads), **options)


@pytest.mark.parametrize("n", [17, 1000, 50_000])
def test_the_unit_of_weight_does_not_matter(n, isa, threads):
    scores, positive = cases.make("normal", "float32", n)
    weights = weights_of("uniform", n)
    value = fastpair.auc(scores, positive, weights=weights, num_threads=threads)
    for exponent in (-300, -1, 3, 300):
        assert fastpair.auc(scores, positive, weights=weights * 2.0**exponent, num_threads=threads) == value
    scaled = fastpair.auc(scores, positive, weights=weights * 3.7, num_threads=threads)
    np.testing.assert_allclose(scaled, value, rtol=RELATIVE)


@pytest.mark.parametrize("weight", [2.0**-600, 2.0**600, 5e-324, 1e308])
def test_weights_whose_products_leave_the_range_of_float64(weight):
    helpers.assert_auc(0.75, [0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1], weights=[weight] * 4)


def test_a_row_of_weight_zero_is_not_there(dtype):
    scores, positive = cases.make("normal", dtype, 1000)
    weights = weights_of("many zeros", 1000)
    kept = weights > 0
    expected = fastpair.auc(scores[kept], positive[kept], weights=weights[kept])
    value = fastpair.auc(scores, positive, weights=weights)
    np.testing.assert_allclose(value, expected, rtol=RELATIVE)


@pytest.mark.parametrize("silenced", [[0, 1], [2, 3], [0, 1, 2, 3]])
@pytest.mark.parametrize("weight_dtype", ["float32", "float64", "int64", "bool"])
def test_a_class_of_no_weight_is_undefined(silenced, weight_dtype):
    weights = np.ones(4, weight_dtype)
    weights[silenced] = 0
    helpers.assert_auc(np.nan, [0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1], weights=weights)


def test_large_weighted_input_agrees_with_integer_counting(isa, threads):
    """Weights of 1 to 9 stay exact in float64, so the weighted count is known to the last bit."""
    scores, positive = cases.make("ten_values", "float64", 300_000)
    weights = cases.generator("large").integers(1, 10, 300_000)
    heavy = np.bincount((scores * 10).round().astype(int), weights * positive)
    light = np.bincount((scores * 10).round().astype(int), weights * ~positive)
    won = int((heavy * (2 * (np.cumsum(light) - light) + light)).sum())
    expected = won / (2 * int(heavy.sum()) * int(light.sum()))
    helpers.assert_auc(expected, scores, positive, weights=weights, num_threads=threads)


ORDERED = ("constant", "ten_values", "normal", "two_values", "positives_above", "one_negative_score")


def in_order(direction, scores, *others):
    order = np.argsort(cases.plain(scores), kind="stable")
    order = order if direction == "ascending" else order[::-1]
    return [a[order] for a in (scores, *others)]


@pytest.mark.parametrize("direction", ["ascending", "descending"])
def test_sorted_data_need_no_sort(direction, dtype, isa, threads):
    options = {"presorted": direction, "num_threads": threads}
    for name, n in itertools.product(ORDERED, (2, 3, 17, 1000, 50_000)):
        scores, positive = in_order(direction, *cases.make(name, dtype, n))
        helpers.assert_auc(oracle.counted(scores, positive), scores, positive, (name, n), **options)


@pytest.mark.parametrize("direction", ["ascending", "descending"])
def test_sorted_extremes(direction, dtype, isa):
    for name in cases.names(dtype)[len(cases.GENERAL) :]:
        scores, positive = in_order(direction, *cases.make(name, dtype, 257))
        helpers.assert_auc(oracle.auc(scores, positive), scores, positive, name, presorted=direction)


@pytest.mark.parametrize("direction", ["ascending", "descending"])
@pytest.mark.parametrize("n", [0, 1])
def test_sorted_data_with_one_class_are_undefined(direction, n):
    helpers.assert_auc(np.nan, np.ones(n), np.ones(n, bool), presorted=direction)


@pytest.mark.parametrize("direction", ["ascending", "descending"])
def test_signed_zeros_are_in_order_either_way(direction):
    helpers.assert_auc(0.5, [0.0, -0.0, 0.0, -0.0], [0, 1, 1, 0], presorted=direction)


@pytest.mark.parametrize("direction", ["ascending", "descending"])
def test_sorted_weighted_data(direction, dtype, isa, threads):
    scores, positive = cases.make("normal", dtype, 150)
    weights = weights_of("uniform", 150)
    expected = oracle.auc(scores, positive, weights)
    scores, positive, weights = in_order(direction, scores, positive, weights)
    assert_weighted(expected, scores, positive, weights, presorted=direction, num_threads=threads)


@pytest.mark.parametrize("direction", ["ascending", "descending"])
@pytest.mark.parametrize("axis", [0, 1])
def test_sorted_batches(direction, axis):
    rng = cases.generator("sorted batch")
    scores = np.sort(rng.integers(0, 20, (5, 60)), axis=1)
    scores = scores if direction == "ascending" else scores[:, ::-1]
    labels = rng.random(60) < 0.5
    expected = np.array([oracle.auc(s, labels) for s in scores])
    scores = scores if axis == 1 else scores.T
    helpers.assert_values(expected, 0, scores, labels, axis=axis, presorted=direction)
