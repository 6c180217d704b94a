"""groco and its sorting network: numbers of the specification, plain loops, gradients, what takes part."""

import re

import numpy as np
import pytest
from differences import central, check_gradients
from fastpair._sorting_network import soft_sort, soft_sort_vjp
from fastpair.losses._groco import groco


def plain_sort(scores, steepness):
    """One row: the permutation, shares of items (rows) at ranks (columns)."""
    a, x = np.array(scores, float), np.eye(len(scores))
    for layer in range(len(a)):
        for i in range(layer % 2, len(a) - 1, 2):
            keep = 0.5 + np.arctan(steepness * (a[i + 1] - a[i])) / np.pi
            mix = np.array([[keep, 1 - keep], [1 - keep, keep]])
            a[i : i + 2], x[:, i : i + 2] = mix @ a[i : i + 2], x[:, i : i + 2] @ mix
    return a, x


def plain(s, positive, negative, count, steepness):
    bad = sorted(np.flatnonzero(negative), key=lambda j: (-s[j], j))[:count][::-1]
    good = sorted(np.flatnonzero(positive), key=lambda j: (-s[j], j))[::-1]
    if not bad or not good:
        return None
    x = plain_sort(s[[*bad, *good]], steepness)[1]
    p = x[:, len(bad) :].sum(axis=1)
    return np.mean([-np.log(1 - p[i] if i < len(bad) else p[i]) for i in range(len(p))])


def test_the_network(rng):
    found = soft_sort(np.array([[0.1, 0.3, 0.8]]), 1.0)
    np.testing.assert_allclose(found.values[0], [0.282100, 0.312303, 0.605597], atol=6e-7)
    scores = rng.normal(size=(4, 7))
    for steepness in (0.3, 2.0):
        found = soft_sort(scores, steepness)
        for i in range(4):
            values, permutation = plain_sort(scores[i], steepness)
            np.testing.assert_allclose(found.values[i], values, rtol=1e-12)
            np.testing.assert_allclose(found.permutation[i], permutation, atol=1e-14)
        np.testing.assert_allclose(found.permutation.sum(axis=1), 1)
        np.testing.assert_allclose(found.permutation.sum(axis=2), 1)
        np.testing.assert_allclose(np.einsum("ni,nij->nj", scores, found.permutation), found.values)
        upstream = rng.normal(size=(4, 7, 7))
        by_scores = soft_sort_vjp(found, upstream.copy(), steepness)

        def total(at, steepness=steepness, upstream=upstream):
            return (soft_sort(at, steepness).permutation * upstream).sum()

        np.testing.assert_allclose(by_scores, central(total, scores), atol=1e-7)
    np.testing.assert_allclose(soft_sort(scores, 1e9).values, np.sort(scores, axis=1), atol=1e-6)


def test_numbers_of_the_specification():
    value = groco(similarities=[[0.1, 0.3, 0.8]], positives=[[False, False, True]])
    assert value == pytest.approx(0.254755592428420, abs=1e-14)


@pytest.mark.parametrize("n_negatives", [1, 3, 10])
@pytest.mark.parametrize("steepness", [1.0, 4.0])
def test_values_and_gradients(n_negatives, steepness, rng):
    s, positives, ignore = rng.normal(size=(6, 8)), rng.random((6, 8)) < 0.4, rng.random((6, 8)) < 0.2
    ignore &= ~positives
    positives[4] = False
    positives[5], ignore[5] = True, False
    weights = rng.uniform(size=6)

    def total(at):
        values = [plain(at[i], positives[i], ~positives[i] & ~ignore[i], n_negatives, steepness) for i in range(6)]
        valid = sum(v is not None for v in values)
        return sum(w * v for w, v in zip(weights, values, strict=True) if v is not None) / valid

    options = {"n_negatives": n_negatives, "steepness": steepness, "weights": weights, "ignore": ignore}
    value, grads = groco(similarities=s, positives=positives, return_grad=True, **options)
    assert value == pytest.approx(total(s), rel=1e-12)
    np.testing.assert_allclose(grads.similarities, central(total, s), atol=1e-8)
    assert groco(similarities=s, positives=positives, reduction="none", **options)[4] == 0


def test_embeddings_by_labels(rng):
    x, labels = rng.normal(size=(9, 3)), np.array([0, 0, 0, 1, 1, 2, 2, 2, 3])
    value, _ = check_gradients(lambda x, **o: groco(x, labels=labels, **o), x=x)
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    same = labels[:, None] == labels
    off = ~np.eye(9, dtype=bool)
    expected = groco(similarities=unit @ unit.T, positives=same & off, ignore=~off)
    assert value == pytest.approx(expected, rel=1e-12)


def test_scores_of_any_size():
    for size in (0.0, 1e3, 1e150, 1e308):
        value, grads = groco(
            similarities=[[size, -size, 0.0], [-size, size, 0.0]],
            positives=[[True, False, False]] * 2,
            return_grad=True,
            steepness=100.0,
        )
        assert np.isfinite(value)
        assert np.isfinite(grads.similarities).all()
    assert groco(similarities=np.zeros((0, 3)), positives=np.zeros((0, 3), bool)) == 0


S = np.ones((2, 3))
MASK = np.array([[True, False, False]] * 2)


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"positives": None}, TypeError, "pass either positives= or labels="),
        ({"positives": MASK[:1]}, ValueError, "positives has shape (1, 3)"),
        ({"ignore": MASK}, ValueError, "ignore is True for a pair that is positive"),
        ({"labels": [0, 1], "positives": None}, ValueError, "labels has shape (2,)"),
        ({"n_negatives": 0}, ValueError, "n_negatives must be at least 1"),
        ({"steepness": 0}, ValueError, "steepness must be larger than 0"),
    ],
)
def test_errors(options, kind, message):
    with pytest.raises(kind, match=re.escape(message)):
        groco(**{"similarities": S, "positives": MASK, **options})
