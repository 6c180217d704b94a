"""`mining.anchor_mixtures`: mixtures whose labels are what they claim."""

import fastpair
import numpy as np
import pytest
import samplers
from fastpair import mining
from hypothesis import given
from hypothesis import strategies as st


@given(st.integers(0, 12), st.integers(0, 3), st.integers(0, 3), st.sampled_from([None, 1.0, 2.5]), st.integers(0, 999))
def test_labels_parents_and_masks(count, positives, negatives, window, seed):
    rng = np.random.default_rng(seed)
    z, labels = rng.normal(size=(count, 3)), rng.integers(0, 6, count).astype(float)
    mixed = mining.anchor_mixtures(z, labels, positives, negatives, window=window, seed=seed)
    reach = np.inf if window is None else window
    assert mixed.mixtures.shape == (count, positives + negatives, 3)
    for i in range(count):
        below = [j for j in range(count) if labels[i] - reach <= labels[j] < labels[i]]
        above = [j for j in range(count) if labels[i] < labels[j] <= labels[i] + reach]
        others = [j for j in range(count) if labels[j] != labels[i]]
        for slot in range(positives + negatives):
            first, second = mixed.parents[i, slot]
            share = mixed.shares[i, slot]
            positive = slot < positives
            if not (below and above if positive else others):
                assert mixed.mask[i, slot] == -1
                assert (first, second, share) == (-1, -1, 0)
                assert (mixed.mixtures[i, slot] == 0).all()
                assert mixed.labels[i, slot] == labels[i]
                continue
            assert mixed.mask[i, slot] == int(positive)
            assert 0 < share < 1
            np.testing.assert_allclose(mixed.mixtures[i, slot], share * z[first] + (1 - share) * z[second], atol=1e-14)
            label = share * labels[first] + (1 - share) * labels[second]
            assert abs(mixed.labels[i, slot] - label) < 1e-12
            if positive:
                assert first in below
                assert second in above
                assert mixed.labels[i, slot] == labels[i]
            else:
                assert first == i
                assert second in others


def test_parents_are_uniform():
    labels = np.array([0.0, 1.0, 1.0, 2.0, 3.0, 4.0])
    z = np.zeros((6, 1))
    mixed = mining.anchor_mixtures(z, labels, 5000, 5000, window=2.0, seed=0)
    samplers.assert_follows(mixed.parents[3, :5000, 0], [1 / 3, 1 / 3, 1 / 3, 0, 0, 0])
    samplers.assert_follows(mixed.parents[3, :5000, 1], [0, 0, 0, 0, 1 / 2, 1 / 2])
    samplers.assert_follows(mixed.parents[1, 5000:, 1], [1 / 4, 0, 0, 1 / 4, 1 / 4, 1 / 4])
    edges = np.linspace(0, 1, 11)
    samplers.assert_follows((mixed.shares[:, 5000:].ravel() * 10).astype(int), np.diff(3 * edges**2 - 2 * edges**3))


def test_the_loss_takes_them(rng):
    z, labels = rng.normal(size=(6, 4)), np.array([1.0, 2.0, 2.0, 3.0, 4.0, 5.0])
    mixed = mining.anchor_mixtures(z, labels, 2, 3, seed=0)
    value = fastpair.losses.supremix(z, labels, mixed.mixtures, mixed.mask, mixed.labels, weighting="inverse")
    assert np.isfinite(value)
    assert value != fastpair.losses.supremix(z, labels, weighting="inverse")


def test_extreme_labels():
    labels = np.array([-1.7e308, 0.0, 1.7e308])
    mixed = mining.anchor_mixtures(np.eye(3), labels, 1, 1, seed=0)
    assert mixed.shares[1, 0] == 0.5
    assert np.isfinite(mixed.mixtures).all()
    assert np.isfinite(mixed.labels).all()


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int16"])
def test_dtypes_strides_and_norms(dtype, rng):
    z = (4 * rng.normal(size=(12, 8))).astype(dtype)[::2, ::2]
    labels = np.arange(6)
    mixed = mining.anchor_mixtures(z, labels, 2, 2, seed=0)
    assert mixed.mixtures.dtype == (np.float64 if dtype == "int16" else dtype)
    assert mixed.mask.dtype == mixed.parents.dtype == np.int64
    samplers.assert_same(mining.anchor_mixtures(z.copy(), labels, 2, 2, seed=np.random.default_rng(0)), mixed)
    unit = mining.anchor_mixtures(z, labels, 2, 2, seed=0, normalize=True)
    norms = np.linalg.norm(unit.mixtures.astype(float), axis=2)[unit.mask >= 0]
    np.testing.assert_allclose(norms, 1, atol=2e-3)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"labels": [1.0]}, ValueError, "labels has shape"),
        ({"labels": [1.0, np.nan]}, ValueError, "labels is nan at index 1"),
        ({"labels": ["a", "b"]}, TypeError, "labels has dtype"),
        ({"z": [[np.nan], [1.0]]}, ValueError, "z is nan or infinite in row 0"),
        ({"n_positive": -1}, ValueError, "n_positive must be at least 0"),
        ({"n_negative": 0.5}, TypeError, "n_negative must be an integer"),
        ({"window": 0}, ValueError, "window must be larger than 0"),
        ({"alpha": 0}, ValueError, "alpha must be larger than 0"),
        ({"normalize": 1}, TypeError, "normalize must be"),
        ({"seed": "x"}, TypeError, "seed must be"),
    ],
)
def test_errors(options, error, message):
    with pytest.raises(error, match=message):
        mining.anchor_mixtures(**{"z": np.eye(2), "labels": [1.0, 2.0], **options})
