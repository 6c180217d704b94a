"""The definitions of other libraries, typed anew in float64 numpy, and numbers of their documentation.

Read were LibAUC 2 (losses/surrogate.py and auc.py: `PairwiseAUCLoss`), allRank 1.4.3 (models/losses/*.py) and rax
(_src/losses.py). None of them is installed or copied here. allRank puts a batch of lists into rows; its constants 1e-10
inside logarithms are left out, so agreement is to their size.
"""

from math import log

import cases
import numpy as np
import pytest
from fastpair import losses

RNG = cases.generator("peers")
PREDICTED = RNG.normal(0, 1.2, (5, 9))
TRUE = RNG.integers(0, 4, (5, 9))
OFFSETS = np.arange(0, 46, 9)
SCORES, GRADES = PREDICTED.ravel(), TRUE.ravel()


def lists_of(loss, *arguments, **options):
    return loss(*arguments, offsets=OFFSETS, **options)


LIBAUC = {  # surr_loss -> (loss of the differences t = f_pos - f_neg, what it is called here)
    "squared": (lambda t: (0.7 - t) ** 2, {"surrogate": "square", "margin": 0.7}),
    "squared_hinge": (lambda t: np.maximum(0.7 - t, 0) ** 2, {"surrogate": "squared_hinge", "margin": 0.7}),
    "hinge": (lambda t: np.maximum(0.7 - t, 0), {"surrogate": "hinge", "margin": 0.7}),
    "logistic": (lambda t: np.log(1 + np.exp(-2.0 * t)), {"surrogate": "logistic", "temperature": 0.5}),
    "barrier_hinge": (
        lambda t: np.maximum(-3.0 * (0.7 + t) + 0.7, np.maximum(0.7 - t, 3.0 * (t - 0.7))),
        {"surrogate": "barrier", "margin": 0.7, "slope": 3.0},
    ),
}


@pytest.mark.parametrize("name", LIBAUC)
def test_pairwise_auc_of_libauc(name):
    """The mean over all (n+, n-) differences, as `PairwiseAUCLoss` takes it."""
    formula, options = LIBAUC[name]
    scores, positive = RNG.normal(size=120), cases.coin(RNG, 120)
    differences = scores[positive][:, None] - scores[~positive][None, :]
    assert losses.mann_whitney(scores, positive, **options) == pytest.approx(formula(differences).mean(), rel=1e-12)


def preferred():
    return TRUE[:, :, None] > TRUE[:, None, :]


def test_rank_net_of_allrank():
    """Binary cross entropy of the differences with target 1: the mean over the pairs of all lists."""
    differences = PREDICTED[:, :, None] - PREDICTED[:, None, :]
    expected = np.log1p(np.exp(-differences))[preferred()].mean()
    assert lists_of(losses.ranknet, SCORES, GRADES) == pytest.approx(expected, rel=1e-12)


def in_order_of_predictions():
    """Scores and labels of each list, sorted by score, and the largest DCG of each list."""
    order = np.argsort(-PREDICTED, axis=1)
    predicted, true = np.take_along_axis(PREDICTED, order, 1), np.take_along_axis(TRUE, order, 1)
    return predicted, true, np.log2(np.arange(2.0, 11.0))


def allrank_lambda(scheme, k=None, mu=10.0, sigma=1.0, reduction="sum"):
    """`lambdaLoss` in base 2; with `k`, pairs of which both are among the first k predictions."""
    predicted, true, discount = in_order_of_predictions()
    ideal = ((2.0 ** np.sort(true, axis=1)[:, ::-1] - 1) / discount)[:, :k].sum(axis=1)
    gains = (2.0**true - 1) / ideal[:, None]
    gap = np.abs(gains[:, :, None] - gains[:, None, :])
    rank_gap = np.abs(1 / discount[:, None] - 1 / discount[None, :])[None]
    away = np.abs(np.arange(9)[:, None] - np.arange(9)[None, :])
    step = np.abs(1 / discount[away - 1] - 1 / discount[away])
    np.fill_diagonal(step, 0)
    weights = {
        "none": np.ones_like(gap),
        "ndcg": rank_gap * gap,
        "ndcg2": step[None] * gap,
        "ndcg2++": mu * step[None] * gap + rank_gap * gap,
    }[scheme]
    differences = predicted[:, :, None] - predicted[:, None, :]
    terms = -weights * np.log2(1 / (1 + np.exp(-sigma * differences)))
    inside = np.zeros((9, 9), bool)
    inside[:k, :k] = True
    chosen = terms[(true[:, :, None] > true[:, None, :]) & inside]
    return chosen.sum() if reduction == "sum" else chosen.mean()


@pytest.mark.parametrize("scheme", ["none", "ndcg", "ndcg2", "ndcg2++"])
def test_lambda_loss_of_allrank(scheme):
    expected = allrank_lambda(scheme)
    value = lists_of(losses.lambda_rank, SCORES, GRADES, delta=scheme, compat="allrank", reduction="sum")
    assert value == pytest.approx(expected, rel=1e-9)
    natural = lists_of(losses.lambda_rank, SCORES, GRADES, delta=scheme, normalizer="sum", reduction="sum")
    assert natural == pytest.approx(expected * log(2), rel=1e-9)
    pooled = lists_of(losses.lambda_rank, SCORES, GRADES, delta=scheme, normalizer="pairs")
    assert pooled == pytest.approx(allrank_lambda(scheme, reduction="mean") * log(2), rel=1e-9)


def test_list_mle_of_allrank():
    """Lists without ties (it settles them by chance): the mean over lists of the sum over steps."""
    true = np.argsort(np.argsort(RNG.normal(size=(5, 9)), axis=1), axis=1)
    ordered = np.take_along_axis(PREDICTED, np.argsort(-true, axis=1), 1)
    left = np.cumsum(np.exp(ordered)[:, ::-1], axis=1)[:, ::-1]
    expected = (np.log(left) - ordered).sum(axis=1).mean()
    assert lists_of(losses.list_mle, SCORES, true.ravel()) == pytest.approx(expected, rel=1e-9)


def test_list_net_of_allrank():
    """The cross entropy of two softmaxes, labels included: the mean over lists."""

    def softmax(x):
        return np.exp(x) / np.exp(x).sum(axis=1, keepdims=True)

    expected = -(softmax(TRUE * 1.0) * np.log(softmax(PREDICTED))).sum(axis=1).mean()
    assert lists_of(losses.listnet, SCORES, GRADES) == pytest.approx(expected, rel=1e-9)


def test_approx_ndcg_of_allrank():
    """`approxNDCGLoss` with alpha 1 is minus the mean; here it is one minus the mean."""
    predicted, true, discount = in_order_of_predictions()
    above = 1 / (1 + np.exp(predicted[:, :, None] - predicted[:, None, :]))
    above[:, np.arange(9), np.arange(9)] = 0
    ideal = ((2.0 ** np.sort(true, axis=1)[:, ::-1] - 1) / discount).sum(axis=1)
    ndcg = ((2.0**true - 1) / ideal[:, None] / np.log2(2 + above.sum(axis=2))).sum(axis=1)
    value = lists_of(losses.approx_ndcg, SCORES, GRADES, temperature=1.0)
    assert value == pytest.approx(1 - ndcg.mean(), rel=1e-9)


RAX = [  # examples of rax's docstrings; pairs are summed or averaged over all lists
    ("pairwise_hinge", [2.0, 1.0, 3.0], [1.0, 0.0, 0.0], [0, 3], "sum", 2.0),
    ("pairwise_hinge", [2.0, 1.0, 1.0, 0.5, 1.5], [1.0, 0.0, 0.0, 0.0, 1.0], [0, 2, 5], "pairs", 0.16666667),
    ("ranknet", [2.0, 1.0, 3.0], [1.0, 0.0, 0.0], [0, 3], "sum", 1.6265235),
    ("ranknet", [2.0, 1.0, 1.0, 0.5, 1.5], [1.0, 0.0, 0.0, 0.0, 1.0], [0, 2, 5], "pairs", 0.3668668),
    ("ranknet", [1.0, 0.5, 1.5], [0.0, 0.0, 1.0], [0, 3], "sum", 0.7873387),
    ("softmax", [2.0, 1.0, 3.0], [1.0, 0.0, 0.0], [0, 3], None, 1.4076059),
    ("softmax", [2.0, 1.0, 1.0, 0.5, 1.5], [1.0, 0.0, 0.0, 0.0, 1.0], [0, 2, 5], None, 0.49676564),
    ("softmax", [0.0, 1.0, 3.0, 1.0, 2.0, 0.0], [0.0, 0.0, 1.0, 1.0, 0.0, 0.0], [0, 3, 6], None, 0.788726),
]


@pytest.mark.parametrize(("name", "scores", "labels", "offsets", "normalizer", "expected"), RAX)
def test_examples_of_rax(name, scores, labels, offsets, normalizer, expected):
    options = {} if normalizer is None else {"normalizer": normalizer}
    value = getattr(losses, name)(scores, labels, offsets=offsets, **options)
    assert value == pytest.approx(expected, rel=3e-7)


def test_the_gradient_in_the_documentation_of_rax():
    scores, labels = [0.0, 1.0, 3.0, 1.0, 2.0, 0.0], [0.0, 0.0, 1.0, 1.0, 0.0, 0.0]
    _, grads = losses.softmax(scores, labels, offsets=[0, 3, 6], return_grad=True)
    expected = [0.02100503, 0.0570976, -0.07810265, -0.37763578, 0.33262047, 0.04501529]
    np.testing.assert_allclose(grads.scores, expected, atol=2e-8)


def test_bpr_of_recbole_where_it_does_not_saturate():
    """RecBole: -log(1e-10 + sigma(p - n)), the mean."""
    pos, neg = RNG.normal(size=50), RNG.normal(size=50)
    expected = -np.log(1e-10 + 1 / (1 + np.exp(neg - pos))).mean()
    assert losses.bpr(pos, neg) == pytest.approx(expected, rel=1e-8)


def test_bpr_max_and_top1_of_gru4rec():
    pos, neg = RNG.normal(size=8), RNG.normal(size=(8, 5))
    share = np.exp(neg) / np.exp(neg).sum(axis=1, keepdims=True)
    chance = (share / (1 + np.exp(neg - pos[:, None]))).sum(axis=1)
    expected = (-np.log(chance) + 0.5 * (share * neg**2).sum(axis=1)).mean()
    assert losses.bpr_max(pos, neg, regularization=0.5) == pytest.approx(expected, rel=1e-12)
    expected = (1 / (1 + np.exp(pos[:, None] - neg)) + 1 / (1 + np.exp(-(neg**2)))).mean()
    assert losses.top1(pos, neg) == pytest.approx(expected, rel=1e-12)
