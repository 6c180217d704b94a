"""Many series in one call: any axis, one label vector or one per series, groups inside a batch."""

from itertools import pairwise

import cases
import fastpair
import helpers
import numpy as np
import oracle
import pytest

SHAPES = [(3, 50), (1, 17), (17, 1), (2, 3, 33), (2, 1, 3, 16), (5, 257), (0, 4)]


def batch(shape, dtype="float32", pattern="ten_values"):
    """Scores, full labels and full weights of that shape; every series has both classes if it can."""
    n, outer = shape[-1], int(np.prod(shape[:-1]))
    rng = cases.generator("batch", *shape)
    series = [cases.make(pattern, dtype, n)[0] for _ in range(outer)]
    scores = np.array([rng.permutation(s) for s in series], cases.as_dtype(dtype)).reshape(shape)
    labels = np.array([cases.coin(rng, n) for _ in range(outer)], bool).reshape(shape)
    return scores, labels, rng.integers(1, 9, shape).astype(np.float64)


def one_by_one(scores, labels, weights=None):
    """The oracle on every series along the last axis."""
    labels = np.broadcast_to(labels, scores.shape)
    weights = None if weights is None else np.broadcast_to(weights, scores.shape)
    out = np.empty(scores.shape[:-1])
    for i in np.ndindex(out.shape):
        out[i] = oracle.auc(scores[i], labels[i], None if weights is None else weights[i])
    return out


def undefined_in(values):
    return int(np.isnan(values).sum())


@pytest.mark.parametrize("shape", SHAPES)
def test_one_label_vector_serves_every_series(shape, dtype, threads):
    scores, labels, _ = batch(shape, dtype)
    shared = labels.reshape(-1, shape[-1])[0] if len(labels) else np.zeros(shape[-1], bool)
    expected = one_by_one(scores, shared)
    helpers.assert_values(expected, undefined_in(expected), scores, shared, num_threads=threads)


@pytest.mark.parametrize("shape", SHAPES)
def test_every_series_may_have_its_own_labels(shape, isa, threads):
    scores, labels, _ = batch(shape)
    expected = one_by_one(scores, labels)
    helpers.assert_values(expected, undefined_in(expected), scores, labels, num_threads=threads)


@pytest.mark.parametrize("axis", [0, 1, 2, -1, -2, -3])
@pytest.mark.parametrize("full", [False, True], ids=["shared labels", "full labels"])
def test_series_may_run_along_any_axis(axis, full, isa):
    scores, labels, weights = batch((3, 4, 20))
    labels, weights = (labels, weights) if full else (labels[0, 0], weights[0, 0])
    expected = one_by_one(scores, labels, weights)

    def moved(a):
        return np.moveaxis(a, -1, axis) if a.ndim > 1 else a

    values = fastpair.auc(moved(scores), moved(labels), weights=moved(weights), axis=axis)
    np.testing.assert_allclose(values, expected, rtol=1e-14)
    unweighted = fastpair.auc(moved(scores), moved(labels), axis=axis)
    np.testing.assert_array_equal(unweighted, one_by_one(scores, labels), strict=True)


@pytest.mark.parametrize("axis", [0, -1])
def test_the_axis_of_one_series_is_its_only_one(axis):
    helpers.assert_auc(0.75, [0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1], axis=axis)


REARRANGED = {
    "Fortran order": np.asfortranarray,
    "every second series": lambda a: np.repeat(a, 2, axis=0)[::2],
    "series backwards": lambda a: a[::-1].copy()[::-1],
    "rows backwards": lambda a: a[:, ::-1].copy()[:, ::-1],
    "transposed twice": lambda a: a.T.copy().T,
    "swapped bytes": lambda a: a.astype(a.dtype.newbyteorder("S")),
    "read-only": lambda a: np.frombuffer(a.tobytes(), a.dtype).reshape(a.shape),
}


@pytest.mark.parametrize("rearrange", REARRANGED.values(), ids=REARRANGED)
@pytest.mark.parametrize("dtype", ["float16", "float32", "int64", "float64", "uint8"])
def test_batches_in_any_layout(rearrange, dtype, isa):
    scores, labels, weights = batch((5, 40), dtype)
    helpers.assert_values(one_by_one(scores, labels), 0, rearrange(scores), rearrange(labels))
    expected = fastpair.auc(scores, labels, weights=weights)
    again = fastpair.auc(rearrange(scores), rearrange(labels), weights=rearrange(weights))
    assert helpers.bits(again) == helpers.bits(expected)


@pytest.mark.parametrize("labels_full", [False, True])
@pytest.mark.parametrize("weights_full", [False, True])
def test_labels_and_weights_are_shared_or_full_independently(labels_full, weights_full, threads):
    scores, labels, weights = batch((4, 60))
    labels = labels if labels_full else labels[0]
    weights = weights if weights_full else weights[0]
    values = fastpair.auc(scores, labels, weights=weights, num_threads=threads)
    np.testing.assert_allclose(values, one_by_one(scores, labels, weights), rtol=1e-14)


@pytest.mark.parametrize("shape", [(2000, 20), (3, 100_000), (1, 200_000), (70_000, 2)])
def test_many_short_and_few_long_series(shape, isa, threads):
    rng = cases.generator("shape", *shape)
    scores = rng.integers(0, 50, shape).astype(np.float32)
    labels = rng.random(shape[-1]) < 0.5
    labels[:2] = False, True
    expected = np.array([oracle.counted(s, labels) for s in scores[:500]])
    values = fastpair.auc(scores, labels, num_threads=threads)
    assert values.shape == shape[:1]
    np.testing.assert_array_equal(values[:500], expected)
    assert values[-1] == oracle.counted(scores[-1], labels)


def test_a_batch_gives_the_bits_of_one_call_per_series(dtype, isa):
    scores, labels, weights = batch((6, 100), dtype)
    together = fastpair.auc(scores, labels, weights=weights)
    alone = [fastpair.auc(s, y, weights=w) for s, y, w in zip(scores, labels, weights, strict=True)]
    assert helpers.bits(together) == helpers.bits(alone)


def test_undefined_series_are_nan_and_counted_in_one_warning(threads):
    scores, labels, _ = batch((6, 40))
    labels[1], labels[4] = True, False
    helpers.assert_values(one_by_one(scores, labels), 2, scores, labels, num_threads=threads)


def test_series_without_rows_are_undefined():
    helpers.assert_values(np.full(3, np.nan), 3, np.empty((3, 0)), np.empty(0))


def test_no_series_give_an_empty_array():
    helpers.assert_values(np.empty((0,)), 0, np.empty((0, 4)), [0, 1, 0, 1])
    helpers.assert_values(np.empty((2, 0)), 0, np.empty((2, 0, 4)), [0, 1, 0, 1])


@pytest.mark.parametrize("shape", [(3, 40), (2, 3, 33), (1, 300)])
@pytest.mark.parametrize("kind", ["groups", "offsets"])
def test_groups_split_every_series_of_a_batch(shape, kind, isa, threads):
    scores, labels, weights = batch(shape)
    offsets = np.array([0, shape[-1] // 3, shape[-1] // 2, shape[-1]])
    groups = np.repeat([7, -2, 5], np.diff(offsets))
    options = {"num_threads": threads, kind: groups if kind == "groups" else offsets}
    parts = [np.s_[..., i:j] for i, j in pairwise(offsets)]

    expected = np.stack([one_by_one(scores[p], labels[p]) for p in parts], axis=-1)
    helpers.assert_values(expected, undefined_in(expected), scores, labels, **options)

    expected = np.stack([one_by_one(scores[p], labels[p], weights[p]) for p in parts], axis=-1)
    with helpers.undefined(undefined_in(expected)):
        values = fastpair.auc(scores, labels, weights=weights, **options)
    np.testing.assert_allclose(values, expected, rtol=1e-13)
