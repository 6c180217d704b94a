"""The oracle of the score losses: numbers of the specification, cases worked out by hand, central differences."""

from math import e, log, log2

import numpy as np
import oracle_losses as oracle
import oracle_ranks as ranks
import pytest
from oracle_losses import LONG

S3 = np.array([[0.9, 0.2, 0.4], [0.1, 0.7, 0.3], [0.5, 0.6, 0.8]])
GOLDEN = {  # spec/losses-ranking.md: all pairs of the diagonal against all other entries
    "logistic": 0.497497414286604,
    "hinge": 0.55,
    "squared_hinge": 0.338333333333,
    "square": 0.338333333333,
    "exponential": 0.649124454637,
    "sigmoid": 0.390292519410,
}


@pytest.mark.parametrize("surrogate", GOLDEN)
def test_pairs_of_the_specification(surrogate):
    loss = oracle.pair_loss(S3.ravel(), np.eye(3).ravel(), surrogate=surrogate)
    assert (loss.norm, loss.uppers) == (18, 3)
    assert float(loss.total / loss.norm) == pytest.approx(GOLDEN[surrogate], abs=1e-12)


def test_the_other_normalizer_and_temperature_of_the_specification():
    loss = oracle.pair_loss(S3.ravel(), np.eye(3).ravel())
    assert float(loss.total / loss.uppers) == pytest.approx(2.984984485719621, rel=1e-14)
    loss = oracle.pair_loss(S3.ravel(), np.eye(3).ravel(), temperature=0.1)
    assert float(loss.total / loss.norm) == pytest.approx(0.044281166013323, abs=1e-15)


@pytest.mark.parametrize(
    ("z", "value", "slope"), [(-5, 9, -2), (-2, 3, -1), (-1, 2, -1), (0, 1, -1), (1, 0, 0), (3, 4, 2)]
)
def test_the_barrier_by_hand(z, value, slope):
    assert [float(x[0]) for x in oracle.barrier(np.array([LONG(z)]), LONG(1), LONG(2))] == [value, slope]


def smooth(name):
    return name in ("logistic", "squared_hinge", "square", "exponential", "sigmoid")


RNG = np.random.default_rng(4)
SCORES = RNG.normal(0, 1.5, 9).astype(LONG)
GRADES = np.array([2, 0, 1, np.nan, 2, 0, 3, 1, 1])
CLASSES = np.array([1, 0, 0, 0, 1, 0, 1, 1, 0])
DIFFERENTIABLE = {
    **{
        f"pairs {name}": lambda s, name=name: oracle.pair_loss(
            s, GRADES, np.arange(9), surrogate=name, temperature=0.7, margin=0.6
        )
        for name in oracle.SURROGATES
    },
    **{
        f"lambda {scheme}": lambda s, scheme=scheme: oracle.lambda_loss(
            s, GRADES, scheme=scheme, ranks=[3, 1, 4, 2, 5, 7, 8, 6, 9], cut=5, sigma_=1.3
        )
        for scheme in ("none", "mrr", "ndcg", "ndcg2", "ndcg2++")
    },
    **{
        f"plackett_luce {ties} {k}": lambda s, ties=ties, k=k: oracle.plackett_luce(s, GRADES, ties=ties, top_k=k)
        for ties in ("index", "average", "exclude")
        for k in (None, 3)
    },
    "listnet": lambda s: oracle.cross_entropy(s, GRADES, temperature=0.6),
    "softmax": lambda s: oracle.cross_entropy(s, GRADES, target="raw"),
    "smooth_ap": lambda s: ranks.smooth_ap(s, CLASSES, temperature=0.3),
    "approx_ndcg": lambda s: ranks.approx_ndcg(s, GRADES, temperature=0.4),
    "approx_ndcg to 4": lambda s: ranks.approx_ndcg(s, GRADES, cut=4, temperature=0.4),
    "approx_mrr": lambda s: ranks.approx_mrr(s, CLASSES, temperature=0.4),
    "approx_mrr of all": lambda s: ranks.approx_mrr(s, CLASSES, temperature=0.4, relevant="mean"),
    "fast_ap": lambda s: ranks.fast_ap(s, CLASSES, bins=7, low=-2.5, high=1.0),
}


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_gradients_are_central_differences(name):
    loss = DIFFERENTIABLE[name]
    found, expected = loss(SCORES).grad, oracle.central(lambda s: loss(s).total, SCORES, LONG(1e-6))
    np.testing.assert_allclose(found.astype(float), expected.astype(float), rtol=1e-8, atol=1e-10)
    assert (np.abs(found) <= loss(SCORES).size * (1 + 1e-15)).all()
    if name != "fast_ap":
        assert abs(found.sum()) < 1e-16 * loss(SCORES).size.sum()  # a common constant changes nothing


def test_soft_ranks_are_differentiated():
    upstream = RNG.normal(size=9)
    found, size = ranks.soft_rank_vjp(SCORES, upstream, 0.3)
    expected = oracle.central(lambda s: (upstream * ranks.soft_rank(s, 0.3)).sum(), SCORES, LONG(1e-6))
    np.testing.assert_allclose(found.astype(float), expected.astype(float), atol=1e-9)
    assert (np.abs(found) <= size).all()


ALIGNED = {
    "logistic": lambda p, n: ranks.aligned(p, n, temperature=0.5),
    "squared_hinge": lambda p, n: ranks.aligned(p, n, "squared_hinge", 1.5, 0.3),
    "top1": ranks.top1,
    "bpr_max": lambda p, n: ranks.bpr_max(p, n, 0.7),
}


@pytest.mark.parametrize("name", ALIGNED)
def test_aligned_pairs_are_differentiated(name):
    pos, neg = RNG.normal(size=4).astype(LONG), RNG.normal(size=(4, 3)).astype(LONG)
    value, by_pos, by_neg = ALIGNED[name](pos, neg)
    by_pos = by_pos if by_pos.ndim == 1 else by_pos.sum(axis=1)
    expected = oracle.central(lambda p: ALIGNED[name](p, neg)[0].sum(), pos, LONG(1e-6))
    np.testing.assert_allclose(by_pos.astype(float), expected.astype(float), atol=1e-10)
    expected = oracle.central(lambda n: ALIGNED[name](pos, n)[0].sum(), neg, LONG(1e-6))
    np.testing.assert_allclose(by_neg.astype(float), expected.astype(float), atol=1e-10)
    assert value.shape in ((4,), (4, 3))


def test_lambda_by_the_specification():
    loss = oracle.lambda_loss([2, 1.5, 1], [0, 1, 0], scheme="mrr", ranks=[1, 2, 3])
    # the specification prints 0.283025661369339, with a slip in the eleventh digit
    assert float(loss.total / loss.norm) == pytest.approx(0.2830256613933689, rel=1e-15)


def test_lambda_weights_by_hand():
    gains, order = oracle.gains_of([0, 2], "exponential"), np.array([LONG(1), LONG(2)])
    assert float(oracle.ideal_dcg(gains)) == 3
    ndcg = 3 * (1 - 1 / log2(3)) / 3
    weight = oracle.swap_weights(gains, order, "ndcg")
    assert float(weight[1, 0]) == pytest.approx(ndcg, rel=1e-15)
    ndcg2 = oracle.swap_weights(gains, order, "ndcg2")
    assert float(ndcg2[1, 0]) == pytest.approx(1 - 1 / log2(3), rel=1e-15)
    both = oracle.swap_weights(gains, order, "ndcg2++", mu=10)
    assert float(both[1, 0]) == pytest.approx(11 * ndcg, rel=1e-15)
    assert oracle.swap_weights(gains, order, "mrr", cut=1)[1, 0] == 1


def test_plackett_luce_by_the_specification():
    value = oracle.plackett_luce([2, 1, 0.5], [3, 2, 1]).total
    assert float(value) == pytest.approx(0.938445768288, abs=1e-12)
    value = oracle.plackett_luce([2, 1, 0.5], [1, 2, 3]).total
    assert float(value) == pytest.approx(3.277630471626, abs=1e-12)


@pytest.mark.parametrize(("ties", "expected"), [("index", log(24)), ("average", log(24)), ("exclude", 0)])
def test_plackett_luce_of_equal_scores(ties, expected):
    assert float(oracle.plackett_luce([3] * 4, [1] * 4, ties=ties).total) == pytest.approx(expected, abs=1e-15)


def test_plackett_luce_of_two_tied_items_over_one_by_hand():
    """Masses 1, 2 (tied) over 4: the denominators are 7, then 4 plus one and a half, then 4."""
    loss = oracle.plackett_luce(np.log([LONG(1), LONG(2), LONG(4)]), [1, 1, 0], ties="average")
    assert float(loss.total) == pytest.approx(log(7 * 5.5 / 2), rel=1e-15)
    loss = oracle.plackett_luce(np.log([LONG(1), LONG(2), LONG(4)]), [1, 1, 0], ties="exclude")
    assert float(loss.total) == pytest.approx(log(5 * 6 / 2), rel=1e-15)


def test_listnet_by_the_specification():
    assert float(oracle.cross_entropy([2, 1, 0.5], [3, 1, 2]).total) == pytest.approx(0.921492063861, abs=1e-12)


def test_soft_ranks_by_hand():
    half = float(ranks.soft_rank([0, 1], 1)[0])
    assert half == pytest.approx(1 + e / (1 + e), rel=1e-15)
    np.testing.assert_array_equal(ranks.soft_rank([5, 5, 5], 0.1), [2, 2, 2])
    np.testing.assert_allclose(ranks.soft_rank([0, 3, 1], 1e-3).astype(float), [3, 1, 2], rtol=1e-15)
    np.testing.assert_array_equal(ranks.soft_rank([-np.inf, np.inf, 0, np.inf], 1), [4, 1.5, 3, 1.5])


def test_soft_metrics_become_the_metrics():
    scores, labels = np.array([0.9, 0.7, 0.5, 0.3]), np.array([1, 0, 1, 0])
    assert float(ranks.smooth_ap(scores, labels, temperature=1e-3).total) == pytest.approx(1 - (1 + 2 / 3) / 2)
    found = ranks.approx_mrr(scores, labels, temperature=1e-3, relevant="mean").total
    assert float(found) == pytest.approx(1 - (1 + 1 / 3) / 2)
    assert float(ranks.approx_mrr(scores, 1 - labels, temperature=1e-3).total) == pytest.approx(1 / 2)
    ideal = 1 + 1 / log2(3)
    found = ranks.approx_ndcg(scores, labels, temperature=1e-3).total
    assert float(found) == pytest.approx(1 - (1 + 1 / 2) / ideal)
    found = ranks.fast_ap(2 * scores - 1, labels, bins=1000).total
    assert float(found) == pytest.approx(1 - (1 + 2 / 3) / 2)


def test_infinite_scores_are_limits():
    loss = oracle.pair_loss([np.inf, 0, -np.inf, np.inf], [1, 0, 0, 0])
    assert float(loss.total) == pytest.approx(log(2))  # won twice, tied once
    np.testing.assert_array_equal(loss.grad, [-0.5, 0, 0, 0.5])
    assert oracle.pair_loss([-np.inf, 0], [1, 0]).total == np.inf
    assert oracle.plackett_luce([1, 0, -np.inf], [2, 1, 0]).total == oracle.plackett_luce([1, 0], [2, 1]).total


def test_lists_are_reduced_by_hand():
    one = oracle.pair_loss([1, 0, 0], [1, 0, 0], surrogate="hinge", margin=2)  # two pairs of 1
    two = oracle.pair_loss([0, 0], [1, 0], surrogate="hinge", margin=2)  # one pair of 2
    lists, rows = [one, oracle.nothing(2), two], oracle.rows_of(7, offsets=[0, 3, 5, 7])

    def reduced(*options, **more):
        return oracle.reduce(lists, rows, 7, *options, **more)[0]

    assert reduced("pairs") == LONG(4) / 3
    assert reduced("groups") == LONG(3) / 2
    assert reduced("sum") == 2
    assert reduced("sum", "sum") == 4
    assert reduced("pairs", "sum") == 3
    assert reduced("positives") == 2
    np.testing.assert_array_equal(reduced("pairs", "none"), [1, 0, 2])
    assert reduced("groups", weights=[1, 1, 3]) == LONG(7) / 2
    assert reduced("pairs", weights=[1, 1, 3]) == LONG(8) / 3
    np.testing.assert_array_equal(oracle.reduce(lists, rows, 7, "groups")[1], [-0.5, 0.25, 0.25, 0, 0, -0.5, 0.5])
    upstream = oracle.reduce(lists, rows, 7, "sum", "none", upstream=[2, 9, -1])[1]
    np.testing.assert_array_equal(upstream, [-4, 2, 2, 0, 0, 1, -1])
