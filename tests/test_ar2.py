"""ar2_adversarial: a plain formula, gradients, equal scores of the ranker, queries that do not count."""

import re

import numpy as np
import pytest
from differences import S3, T3, check_gradients
from fastpair.losses._ar2 import ar2_adversarial


def plain(s, r, positives, t, weight, ignore=None):
    total, targets, valid = 0.0, 0.0, 0
    for i, p in enumerate(positives):
        kept = [j for j in range(s.shape[1]) if ignore is None or not ignore[i, j]]
        if p < 0 or len(kept) < 2:
            continue
        log_p = s[i, kept] / t - np.log(np.exp(s[i, kept] / t).sum())
        rewards = np.log(np.exp(r[i, p]) / (np.exp(r[i, p]) + np.exp(r[i, kept])))
        q = np.exp(r[i, kept]) / np.exp(r[i, kept]).sum()
        total += rewards @ log_p
        targets -= q @ log_p
        valid += 1
    return weight * total + (1 - weight) * targets / max(valid, 1)


@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("temperature", [1.0, 0.3])
def test_values_and_gradients(weight, temperature, rng):
    s, r = rng.normal(size=(5, 4)), rng.normal(size=(5, 4))
    positives = np.array([0, 3, -1, 1, 2])
    ignore = np.zeros((5, 4), bool)
    ignore[0, 2] = ignore[4] = True
    ignore[4, 2] = False  # only the positive is left
    s[0, 2] = np.nan

    def call(similarities, temperature, **options):
        return ar2_adversarial(
            similarities, r, positives, temperature, adversarial_weight=weight, ignore=ignore, **options
        )

    s[0, 2] = 0.0
    value, _ = check_gradients(call, similarities=s, temperature=temperature)
    assert value == pytest.approx(plain(s, r, positives, temperature, weight, ignore), rel=1e-12)
    s[0, 2] = np.nan
    assert call(s, temperature) == value


def test_equal_scores_of_the_ranker():
    log_p = S3 - np.log(np.exp(S3).sum(axis=1, keepdims=True))
    value = ar2_adversarial(S3, np.ones((3, 3)), adversarial_weight=1.0)
    assert value == pytest.approx(-np.log(2) * log_p.sum(), rel=1e-12)
    assert ar2_adversarial(S3, np.ones((3, 3))) == pytest.approx(-log_p.mean(axis=1).mean(), rel=1e-12)


def test_degenerate_input():
    for scores in (np.zeros((0, 3)), np.zeros((1, 1))):
        value, grads = ar2_adversarial(scores, scores, return_grad=True)
        assert value == 0
        assert (grads.similarities == 0).all()
    for size in (1e3, 1e150, 1e308):
        for weight in (0.0, 1.0):
            value, grads = ar2_adversarial(
                size * (S3 - 0.5), size * T3, temperature=0.01, adversarial_weight=weight, return_grad=True
            )
            assert not np.isnan(value)
            assert not np.isnan(grads.similarities).any()
    assert ar2_adversarial(S3.astype(np.float32), T3, return_grad=True)[1].similarities.dtype == np.float32


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ranker": T3[:2]}, "ranker has shape (2, 3) but similarities has (3, 3)"),
        ({"adversarial_weight": 2}, "adversarial_weight must be at most 1"),
        ({"temperature": 0}, "temperature must be larger than 0"),
        ({"positives": [0, 1, 3]}, "positives is 3 at index 2"),
    ],
)
def test_errors(options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        ar2_adversarial(**{"similarities": S3, "ranker": T3, **options})
