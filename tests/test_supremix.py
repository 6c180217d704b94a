"""supremix: a plain formula, gradients of features and mixtures, what it reduces to."""

import re

import numpy as np
import pytest
from differences import central
from fastpair.losses._supcon import supcon
from fastpair.losses._supremix import supremix

WEIGHTS = {
    None: lambda d: 1.0,
    "inverse": lambda d: 1 / (1 + abs(d)),
    "inverse_square": lambda d: 1 / (1 + d * d),
    "linear": lambda d: 1 + abs(d),
    "square": lambda d: 1 + d * d,
}


def unit(rows):
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def plain(features, labels, mixtures, mask, mixed_labels, t, weighting):
    """The loss of each row (None without a positive), first those of the first view."""
    w = WEIGHTS[weighting]
    views, d = features.shape[1:]
    rows, y = unit(features.transpose(1, 0, 2).reshape(-1, d)), np.tile(labels, views)
    values = []
    for i in range(len(rows)):
        terms = [(rows[i] @ rows[j] / t, w(y[i] - y[j]), y[i] == y[j]) for j in range(len(rows)) if j != i]
        if mixtures is not None:
            for q in range(mixtures.shape[1]):
                if mask[i, q] >= 0:
                    likeness = rows[i] @ unit(mixtures[i, q]) / t
                    terms.append((likeness, w(y[i] - mixed_labels[i, q]), mask[i, q] == 1))
        good = [logit for logit, _, positive in terms if positive]
        total = np.log(sum(weight * np.exp(logit) for logit, weight, _ in terms)) if terms else 0.0
        values.append(total - np.mean(good) if good else None)
    return values


@pytest.mark.parametrize("weighting", WEIGHTS)
@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("views", [1, 2])
def test_supremix(weighting, mixed, views, rng):
    features, labels = rng.normal(size=(5, views, 3)), np.array([1.0, 2.5, 1.0, 4.0, 2.5])
    mixtures = rng.normal(size=(5 * views, 2, 3)) if mixed else None
    mask = rng.integers(-1, 2, (5 * views, 2)) if mixed else None
    mixed_labels = rng.uniform(1, 4, (5 * views, 2)) if mixed else None

    def total(features, mixtures=mixtures, t=0.5):
        values = plain(features, labels, mixtures, mask, mixed_labels, t, weighting)
        found = [v for v in values if v is not None]
        return sum(found) / len(found)

    options = {"weighting": weighting, "temperature": 0.5}
    value, grads = supremix(features, labels, mixtures, mask, mixed_labels, return_grad=True, **options)
    assert value == pytest.approx(total(features), rel=1e-12)
    np.testing.assert_allclose(grads.features, central(total, features), atol=1e-8)
    by_t = central(lambda t: total(features, mixtures, t), 0.5)
    assert grads.temperature == pytest.approx(by_t, abs=1e-7)
    if mixed:
        np.testing.assert_allclose(grads.mixtures, central(lambda m: total(features, m), mixtures), atol=1e-8)
    else:
        assert grads.mixtures is None
    each = supremix(features, labels, mixtures, mask, mixed_labels, reduction="none", **options)
    expected = [0.0 if v is None else v for v in plain(features, labels, mixtures, mask, mixed_labels, 0.5, weighting)]
    np.testing.assert_allclose(each, np.reshape(expected, (views, 5)).mean(axis=0), rtol=1e-10)


def test_supremix_without_mixtures_and_weights_is_supcon(rng):
    features, labels = rng.normal(size=(6, 2, 3)), np.array([0, 1, 1, 2, 0, 3])
    expected, other = supcon(features, labels, temperature=0.1, return_grad=True)
    value, grads = supremix(features, labels, temperature=0.1, return_grad=True)
    assert value == pytest.approx(expected, rel=1e-10)
    np.testing.assert_allclose(grads.features, other.features, atol=1e-9)
    assert supremix(features[:, 0], labels, temperature=0.1) == pytest.approx(
        supremix(features[:, :1], labels, temperature=0.1), rel=1e-14
    )


def test_supremix_of_degenerate_rows():
    zeros = np.zeros((3, 1, 2))
    value, grads = supremix(
        zeros, [1.0, 1.0, 2.0], np.zeros((3, 1, 2)), [[0], [1], [-1]], temperature=0.01, return_grad=True
    )
    assert np.isfinite(value)
    assert (grads.features == 0).all()
    assert (grads.mixtures == 0).all()
    for features in (zeros[:0], zeros[:1]):
        assert supremix(features, np.ones(len(features))) == 0
    narrow = supremix(np.ones((2, 1, 2), np.float16), [1, 1], return_grad=True)[1]
    assert narrow.features.dtype == np.float16


F = np.ones((2, 1, 3))


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: supremix(F[0, 0], [1]), ValueError, "features has shape (3,)"),
        (lambda: supremix(F, [1]), ValueError, "labels has shape (1,); pass shape (2,)"),
        (lambda: supremix(F, [1, 1], weighting="cubic"), ValueError, "weighting must be one of"),
        (lambda: supremix(F, [1, 1], F), TypeError, "mixture_mask is None"),
        (lambda: supremix(F, [1, 1], F[:1], [[1]]), ValueError, "mixtures has shape (1, 1, 3); pass (2, Q, 3)"),
        (lambda: supremix(F, [1, 1], F, [[1], [2]]), ValueError, "mixture_mask has shape (2, 1)"),
        (lambda: supremix(F, [1, 1], F, [[1], [0]], weighting="linear"), TypeError, "mixture_labels is None"),
        (lambda: supremix(F, [1, 1], None, [[1], [0]]), ValueError, "mixture_mask and mixture_labels belong to"),
    ],
)
def test_errors(call, kind, message):
    with pytest.raises(kind, match=re.escape(message)):
        call()
