"""rank_contrastive: numbers of the specification, lists against a plain formula, gradients."""

from itertools import pairwise

import numpy as np
import pytest
from composed_losses import X4, central
from fastpair.losses._rank_contrastive import rank_contrastive


def plain(scores, labels, levels, t):
    if len(scores) < 2:
        return None
    logits = scores / t
    log_p = logits - np.log(np.exp(logits).sum())
    terms = [-log_p[labels >= level].mean() for level in levels if (labels >= level).any()]
    return np.mean(terms) if terms else None


def test_numbers_of_the_specification():
    assert rank_contrastive(X4, [2, 0, 1, 1], levels=(1, 2)) == pytest.approx(1.024551545319, abs=6e-13)
    assert rank_contrastive(X4, [2, 0, 1, 1]) == pytest.approx(1.024551545319, abs=6e-13)
    assert rank_contrastive(X4, [2, 0, 1, 1], (1, 2, 9)) == pytest.approx(1.024551545319, abs=6e-13)


@pytest.mark.parametrize("levels", [(1, 2, 3), (3, 2), (1,)])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_lists(levels, reduction, rng):
    scores, labels = rng.normal(size=20), rng.integers(0, 4, 20)
    offsets = np.array([0, 6, 7, 7, 15, 20])
    labels[15:] = 0
    upstream, weights = rng.normal(size=5), rng.uniform(size=5)

    def total(at):
        values = [plain(at[a:b], labels[a:b], levels, 0.5) for a, b in pairwise(offsets)]
        terms = np.array([0.0 if v is None else v for v in values]) * weights
        valid = sum(v is not None for v in values)
        return terms @ upstream if reduction == "none" else terms.sum() / (valid if reduction == "mean" else 1)

    needs = {"grad_output": upstream} if reduction == "none" else {}
    options = {"offsets": offsets, "reduction": reduction, "weights": weights, "return_grad": True, **needs}
    value, grads = rank_contrastive(scores, labels, levels, **options)
    assert (value @ upstream if reduction == "none" else value) == pytest.approx(total(scores), rel=1e-12)
    np.testing.assert_allclose(grads.scores, central(total, scores), atol=1e-8)

    def by_temperature(t):
        found = rank_contrastive(
            scores, labels, levels, float(t), **{**options, "return_grad": False, "grad_output": None}
        )
        return found @ upstream if reduction == "none" else found

    assert grads.temperature == pytest.approx(central(by_temperature, 0.5), abs=1e-7)


def test_lists_without_a_positive_are_skipped():
    for scores, labels in (([], []), ([1.0], [1]), ([1.0, 2.0], [0, 0])):
        value, grads = rank_contrastive(scores, labels, (1,), return_grad=True)
        assert value == 0
        assert type(value) is np.float64
        assert (grads.scores == 0).all()
        assert grads.temperature == 0
    with pytest.raises(ValueError, match="on_empty='error'"):
        rank_contrastive([1.0, 2.0], [0, 0], (1,), on_empty="error")


@pytest.mark.parametrize("size", [1e3, 1e150, 1e308])
def test_finite_scores_never_give_nan(size):
    value, grads = rank_contrastive([size, -size, 0.0], [0, 1, 2], temperature=0.01, return_grad=True)
    assert not np.isnan(value)
    assert not np.isnan(grads.scores).any()
    assert not np.isnan(grads.temperature)


def test_narrow_scores_keep_their_dtype():
    grads = rank_contrastive(X4.astype(np.float16), [2, 0, 1, 1], return_grad=True)[1]
    assert grads.scores.dtype == np.float16


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([[1.0]], [1]), "scores has shape"),
        (([1.0], [1, 2]), "labels has shape"),
        (([1.0], [1], [[1]]), "levels has shape"),
        (([1.0], [1], [1], 0), "temperature must be larger than 0"),
    ],
)
def test_errors(arguments, message):
    with pytest.raises(ValueError, match=message):
        rank_contrastive(*arguments)
