"""The oracle of the contrastive losses against the numbers of the specification and the limits that it states."""

from itertools import pairwise
from math import log

import numpy as np
import oracle_contrastive as oracle
import oracle_similarity
import pytest

S3 = np.array([[0.9, 0.2, 0.4], [0.1, 0.7, 0.3], [0.5, 0.6, 0.8]])
S4 = np.array([[1, 0.8, 0.6, 0.3], [0.8, 1, 0.4, 0.5], [0.6, 0.4, 1, 0.7], [0.3, 0.5, 0.7, 1]])
Y4 = np.array([0, 0, 1, 1])
U3 = np.array([[1, 0], [0.6, 0.8], [0, 1]])

# Numbers of the specification: as many digits as it prints. The two that are marked were recomputed with forty digits,
# the specification has 384 and 064 in their last places.
GOLDEN = {
    "info_nce at 1": 0.826789027727403,
    "info_nce": 0.066015958632696,
    "symmetric": 0.093241249646504,  # marked
    "label smoothing": 0.366015958632696,
    "margin": 0.079408996803346,
    "negative weights": 0.825433659962649,
    "supcon": 0.172668245688273,
    "cliff": 0.912714652315,
    "soft targets of U3": 2.735299372481327,
    "soft targets of a mixture": 0.966015958632696,
    "dcl": -3.477627430131944,
    "dclw": -3.345175350776,
    "hcl without both": 0.612013794310237,
    "hcl": 0.624255592823375,
    "hcl debiased": 0.552537174619038,  # marked
    "focal": 0.023576463482095,
    "siglip": 2.172496095565,
    "swapped": 0.116941937960705,
}
ROWS = {
    "info_nce": [0.00762072, 0.02058114, 0.16984602],
    "supcon": [0.13284523, 0.06588390, 0.34901222, 0.14293163],
    "gradient": [-0.02530584, 0.00301653, 0.02228931],
}
TEMPERATURE_SLOPE = 1.601763232258
DCLW_WEIGHTS = [0.79472126, 1.1920775, 1.01320123]
PLAN = [0.999555598, 0.000033211, 0.000411191]


def soft_info_nce_weights(scores=S3, alpha=0.5, floor=0.1):
    """mining.soft_info_nce_weights of the specification, with 1 for the positive."""
    n = len(scores)
    found = np.ones((n, n))
    for i in range(n):
        others = np.arange(n) != i
        q = np.exp(scores[i, others] - oracle.lse(scores[i, others]))
        found[i, others] = np.maximum((1 - alpha * q) / (1 - alpha / (n - 1)), floor)
    return found


def plan_of(scores=S3):
    """The assignment of similarity.sinkhorn with its defaults: eps 0.05, three rounds."""
    return oracle_similarity.sinkhorn(scores, 0.05, 3, np.ones(len(scores)), np.ones(len(scores)))


def mean(rows, **options):
    return oracle.reduce(rows, **options)


FOUND = {
    "info_nce at 1": lambda: mean(oracle.info_nce(S3)),
    "info_nce": lambda: mean(oracle.info_nce(S3, temperature=0.1)),
    "symmetric": lambda: mean(oracle.clip(S3, temperature=0.1)),
    "label smoothing": lambda: mean(oracle.info_nce(S3, temperature=0.1, label_smoothing=0.1)),
    "margin": lambda: mean(oracle.info_nce(S3, temperature=0.1, margin=0.02)),
    "negative weights": lambda: mean(oracle.info_nce(S3, weights=soft_info_nce_weights())),
    "supcon": lambda: mean(oracle.supcon(S4, oracle.equal(Y4, Y4), 0.1)),
    "cliff": lambda: mean(oracle.supcon(S4, oracle.equal(Y4, Y4), 1.0)),
    "soft targets of U3": lambda: mean(oracle.soft_targets(S3, (1 + oracle.similarities(U3)) / 2, 0.1)),
    "soft targets of a mixture": lambda: mean(oracle.soft_targets(S3, 0.7 * np.eye(3) + 0.1, 0.1)),
    "dcl": lambda: mean(oracle.dcl_one_way(S3, None, 0.1)),
    "dclw": lambda: mean(oracle.dcl_one_way(S3, None, 0.1, sigma=0.5)),
    "hcl without both": lambda: mean(oracle.hcl(S3, beta=0.0, tau_plus=0.0)),
    "hcl": lambda: mean(oracle.hcl(S3, tau_plus=0.0)),
    "hcl debiased": lambda: mean(oracle.hcl(S3)),
    "focal": lambda: mean(oracle.info_nce(S3, temperature=0.1, focal_gamma=0.5)),
    "siglip": lambda: mean(oracle.siglip(S3)),
    "swapped": lambda: oracle.swapped_prediction([S3, S3], [plan_of(), plan_of()]),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_numbers(name):
    wanted = GOLDEN[name]
    digits = len(repr(wanted).split(".")[1])
    assert FOUND[name]() == pytest.approx(wanted, rel=0, abs=0.51 * 10.0**-digits + 1e-15)


def test_golden_rows():
    np.testing.assert_allclose(oracle.info_nce(S3, temperature=0.1).values, ROWS["info_nce"], atol=5.1e-9)
    np.testing.assert_allclose(oracle.supcon(S4, oracle.equal(Y4, Y4), 0.1).values, ROWS["supcon"], atol=5.1e-9)
    np.testing.assert_allclose(oracle.von_mises_weights(np.diag(S3), 0.5), DCLW_WEIGHTS, atol=5.1e-9)
    np.testing.assert_allclose(plan_of()[0], PLAN, atol=5.1e-10)
    np.testing.assert_allclose(soft_info_nce_weights()[0, 1:], [1.0332226649, 0.9667773351], atol=5.1e-11)


def test_golden_gradients():
    def loss(s, temperature=0.1):
        return mean(oracle.info_nce(s, temperature=temperature))

    gradient = oracle.differences(loss, S3, 1e-4)
    np.testing.assert_allclose(gradient[0], ROWS["gradient"], atol=5.1e-9)
    np.testing.assert_allclose(gradient.sum(axis=1), 0, atol=1e-11)
    slope = oracle.differences(lambda t: loss(S3, float(t)), np.array(0.1), 1e-4)
    assert slope == pytest.approx(TEMPERATURE_SLOPE, abs=5.1e-12)


def test_constant_similarities():
    for m in (2, 5, 9):
        s = np.full((m, m), 0.3)
        assert mean(oracle.info_nce(s, temperature=0.1)) == pytest.approx(log(m))
        assert mean(oracle.siglip(s, None, 0.0, 0.0)) == pytest.approx(m * log(2))
        assert oracle.binary_opposite(s, s) == pytest.approx(2 * log(2))
    assert oracle.binary_opposite([[0.3]], [[0.3]]) == pytest.approx(log(2))


def test_forms_of_several_positives_agree_on_one():
    values = [
        oracle.info_nce(S3, multi_positive=mode, temperature=0.2).values
        for mode in ("mean", "log_sum", "log_mean", "separate")
    ]
    for other in values[1:]:
        np.testing.assert_allclose(other, values[0], rtol=1e-13)


def test_one_positive_at_a_time_is_the_mean_of_single_ones():
    s = S4[:2]
    both = oracle.info_nce(s, oracle.equal(Y4[:2], Y4), temperature=0.3, multi_positive="separate")
    singles = [
        oracle.info_nce(s, [j, j], ignore=np.arange(4) == 1 - j + np.zeros((2, 1)), temperature=0.3) for j in (0, 1)
    ]
    np.testing.assert_allclose(both.values, (singles[0].values + singles[1].values) / 2, rtol=1e-13)


def test_identities_between_losses():
    plain = oracle.info_nce(S3, temperature=0.1)
    np.testing.assert_allclose(oracle.soft_targets(S3, np.eye(3), 0.1).values, plain.values, rtol=1e-13)
    p = np.exp(-plain.values)
    np.testing.assert_allclose(oracle.dcl_one_way(S3).values, plain.values + np.log(1 - p), rtol=1e-12)
    decoupled = oracle.info_nce(S3, temperature=0.1, include_positive=False)
    np.testing.assert_allclose(oracle.dcl_one_way(S3).values, decoupled.values, rtol=1e-13)
    np.testing.assert_allclose(
        oracle.hcl(S3, None, 0.1, 0.0, 0.0).values, plain.values, rtol=1e-12, err_msg="hcl without beta and tau"
    )
    np.testing.assert_allclose(oracle.prototype_nce(S3, np.eye(3), [0, 1, 2]).values, plain.values, rtol=1e-13)
    np.testing.assert_allclose(
        oracle.info_nce(S3, temperature=0.1, label_smoothing=0.3).values,
        oracle.soft_targets(S3, 0.7 * np.eye(3) + 0.1, 0.1).values,
        rtol=1e-13,
    )


def test_two_views_with_labels_of_samples_are_nt_xent(rng):
    z1, z2 = rng.normal(size=(2, 5, 3))
    features = np.concatenate([z1, z2])
    mask = oracle.equal(np.arange(10) % 5, np.arange(10) % 5)
    values = oracle.supcon(oracle.similarities(features), mask, 0.4).values
    np.testing.assert_allclose(oracle.nt_xent(z1, z2, 0.4).values, (values[:5] + values[5:]) / 2, rtol=1e-13)
    cross = oracle.nt_xent(z1, z2, 0.4, blocks="cross")
    np.testing.assert_allclose(cross.values, oracle.clip(oracle.similarities(z1, z2), temperature=0.4).values)
    masked = oracle.nt_xent(z1, z2, 0.4, mask_intra=np.ones((5, 5), bool))
    np.testing.assert_allclose(masked.values, cross.values, rtol=1e-13)
    assert (oracle.nt_xent(z1, z2, 0.4).values >= oracle.dcl(z1, z2, 0.4).values).all()


def test_targets_that_are_the_softmax_have_gradient_0():
    p = np.exp(S3 / 0.3 - np.array([[oracle.lse(row / 0.3)] for row in S3]))
    gradient = oracle.differences(lambda s: mean(oracle.soft_targets(s, p, 0.3)), S3)
    np.testing.assert_allclose(gradient, 0, atol=1e-12)
    assert mean(oracle.soft_targets(S3, p, 0.3)) == pytest.approx(-(p * np.log(p)).sum() / 3)


def test_hard_negatives():
    values = [oracle.hcl(S3, beta=beta, tau_plus=0.0).values for beta in (0, 0.5, 1, 2, 5, 400)]
    assert all((b >= a - 1e-13).all() for a, b in pairwise(values))
    hardest = np.array([0.4, 0.3, 0.6])  # as many copies of the hardest one
    np.testing.assert_allclose(values[-1], np.log1p(2 * np.exp((hardest - np.diag(S3)) / 0.5)), rtol=1e-9)
    kept = oracle.info_nce(S3, temperature=0.1, hard_k=1)
    np.testing.assert_allclose(kept.values, np.log1p(np.exp((hardest - np.diag(S3)) / 0.1)), rtol=1e-12)
    same = oracle.info_nce(S3, temperature=0.1, hard_threshold=0.31)
    plain = oracle.info_nce(S3, temperature=0.1)
    np.testing.assert_allclose(same.values, [kept.values[0], 0, plain.values[2]], rtol=1e-12)
    np.testing.assert_array_equal(same.valid, [True, False, True])


def test_arcs():
    """Cos(theta + m) with a line where theta + m passes pi."""
    m = 0.5
    for s in (0.9, 0.0, -0.5, np.cos(np.pi - m) + 1e-9):
        assert oracle.nearer(s, 0.1, m) == pytest.approx(np.cos(np.arccos(s) + m) - 0.1, abs=1e-8)
    assert oracle.nearer(-0.99, 0.0, m) == pytest.approx(-0.99 - m * np.sin(m))


def test_rows_without_a_side():
    s = np.arange(12.0).reshape(3, 4)
    positive = np.array([[0, 1, 0, 0], [0, 0, 0, 0], [1, 1, 1, 1]], bool)
    found = oracle.info_nce(s, positive)
    np.testing.assert_array_equal(found.valid, [True, False, False])
    np.testing.assert_array_equal(oracle.info_nce(s, positive, needs_negatives=False).valid, [True, False, True])
    assert oracle.reduce(found) == found.values[0]
    assert oracle.reduce(found, on_empty="zero") == pytest.approx(found.values[0] / 3)
    weighted = oracle.reduce(found, weights=[2, 5, 7], weight_norm="weights")
    assert weighted == pytest.approx(found.values[0])
    assert oracle.reduce(oracle.info_nce(np.ones((1, 1)))) == 0


def test_prototypes(rng):
    centres, labels = np.eye(4)[:, [2, 0, 3, 1]], np.array([1, 0, 3, 3])
    x = rng.normal(size=(4, 4))
    hard = oracle.prototype_nce(x, centres, labels)
    soft = oracle.prototype_nce(x, centres, labels, targets=oracle.teacher_targets(centres, labels, 1e-3))
    np.testing.assert_allclose(soft.values, hard.values, rtol=1e-12)


def test_similarities(rng):
    x, y = rng.normal(size=(4, 3)), rng.normal(size=(5, 3))
    x[1] = 0
    for metric in ("dot", "cosine", "sqeuclidean", "euclidean"):
        wanted = oracle_similarity.pairwise(x, y, metric) * (-1 if "euclidean" in metric else 1)
        np.testing.assert_allclose(oracle.similarities(x, y, metric), wanted, rtol=1e-13, atol=1e-15)
