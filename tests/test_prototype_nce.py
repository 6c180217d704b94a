"""prototype_nce and swapped_prediction: samples against prototypes; gradients by central differences."""

import cases
import numpy as np
import oracle_contrastive as oracle
import pytest
from embedding_losses import FLOATS, METRICS, arrays_of, assert_loss, assert_near, on_engines, rows
from fastpair import losses
from fastpair.similarity import sinkhorn
from test_loss_errors import refused
from test_oracle_contrastive import GOLDEN, S3, plan_of

N, K, D, T = 6, 4, 3, 0.3
ASSIGNED, PHI = np.array([0, 1, -1, 3, 3, 2]), np.array([0.2, 0.5, 0.3, 0.9])


def rng_of(*numbers):
    return cases.generator("prototypes", *numbers)


TARGETS = rng_of(1).random((N, K))


def samples(dtype="float64"):
    return rows(rng_of(2), N, D, dtype), rows(rng_of(3), K, D, dtype)


def number(metric="cosine", how=None, assignments=ASSIGNED, targets=None):
    def total(x, prototypes, temperature=T, concentration=None):
        found = oracle.prototype_nce(
            x, prototypes, assignments, temperature, metric=metric, concentration=concentration, targets=targets
        )
        return oracle.reduce(found, **(how or {}))

    return total


def test_golden_numbers():
    options = {"metric": "dot", "temperature": 0.1}
    found = losses.prototype_nce(S3, np.eye(3), [0, 1, 2], **options)
    assert found == pytest.approx(GOLDEN["info_nce"], abs=1e-15)
    assert losses.prototype_nce(similarities=S3, assignments=[0, 1, 2], temperature=0.1) == found
    scores, plans = [S3, S3], [plan_of(), plan_of()]
    found = losses.swapped_prediction(similarities=scores, assignments=plans)
    assert found == pytest.approx(GOLDEN["swapped"], abs=1e-14)
    assert losses.swapped_prediction(similarities=scores) == pytest.approx(GOLDEN["swapped"], abs=1e-12)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dtype", FLOATS)
def test_prototypes(metric, dtype):
    x, centres = samples(dtype)
    arrays = {"x": x, "prototypes": centres, "temperature": T}

    def call(**more):
        return losses.prototype_nce(**arrays, assignments=ASSIGNED, metric=metric, return_grad=True, **more)

    assert_loss(on_engines(call, 1e-11 if dtype == "float64" else 1e-2), number(metric), arrays, dtype, metric)
    soft = losses.prototype_nce(**arrays, targets=TARGETS, metric=metric, return_grad=True)
    assert_loss(soft, number(metric, targets=TARGETS), arrays, dtype, f"{metric} targets")


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("metric", ["cosine", "dot"])
def test_concentrations(metric, dtype):
    x, centres = samples(dtype)
    arrays = {"x": x, "prototypes": centres, "concentration": PHI}
    found = losses.prototype_nce(**arrays, assignments=ASSIGNED, metric=metric, return_grad=True)
    assert_loss(found, number(metric), arrays, dtype, metric)
    found = losses.prototype_nce(**arrays, targets=TARGETS, metric=metric, return_grad=True)
    assert_loss(found, number(metric, targets=TARGETS), arrays, dtype, metric)
    constant = losses.prototype_nce(x, centres, ASSIGNED, concentration=np.full(K, T), metric=metric)
    assert constant == pytest.approx(losses.prototype_nce(x, centres, ASSIGNED, temperature=T, metric=metric), rel=3e-6)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_reductions(reduction):
    x, centres = samples()
    weights, upstream = np.array([1.0, 0, 2, 0.5, 3, 1]), np.array([1.0, 2, -1, 0, 0.5, 1])
    for arrays in (
        {"x": x, "prototypes": centres, "temperature": T},
        {"x": x, "prototypes": centres, "concentration": PHI},
    ):
        how = {"reduction": reduction, "weights": weights, "weight_norm": "weights"}
        more = {"grad_output": upstream} if reduction == "none" else {}
        value, grads = losses.prototype_nce(**arrays, assignments=ASSIGNED, **how, **more, return_grad=True)
        meant = number(how=how)
        if reduction == "none":
            assert_near(value, meant(**arrays), 1e-12)
            value = np.float64((upstream * value).sum())

        def total(**moved):
            return (upstream * meant(**moved)).sum() if reduction == "none" else meant(**moved)  # noqa: B023

        assert_loss((value, grads), total, arrays)


def test_similarities():
    s = rng_of(4).normal(size=(N, K))
    arrays = {"similarities": s, "temperature": T}

    def total(similarities, temperature):
        return oracle.reduce(oracle.info_nce(similarities, ASSIGNED, temperature=temperature))

    assert_loss(losses.prototype_nce(**arrays, assignments=ASSIGNED, return_grad=True), total, arrays)


def test_targets_of_prototypes():
    centres, x = np.eye(4)[:, [2, 0, 3, 1]], rng_of(5).normal(size=(N, 4))
    options = {"metric": "dot", "temperature": T}
    hard = losses.prototype_nce(x, centres, ASSIGNED, **options)
    assert losses.prototype_nce(x, centres, ASSIGNED, target_temperature=1e-3, **options) == pytest.approx(hard)
    kept, teacher = ASSIGNED >= 0, oracle.unit(rng_of(6).normal(size=(4, 5)))
    for own in (centres, teacher):
        targets = oracle.teacher_targets(own, ASSIGNED[kept], 0.5)
        wanted = oracle.reduce(oracle.prototype_nce(x[kept], centres, None, T, targets=targets))
        more = {} if own is centres else {"teacher_prototypes": teacher}
        soft = losses.prototype_nce(x, centres, ASSIGNED, target_temperature=0.5, **more, **options)
        assert soft == pytest.approx(wanted, rel=1e-12)


def test_one_prototype_or_no_sample():
    x, centres = samples()
    for options in ({"assignments": np.zeros(N, int)}, {"targets": np.ones((N, 1))}):
        value, grads = losses.prototype_nce(x, centres[:1], **options, return_grad=True)
        assert value == pytest.approx(0, abs=1e-15)
        np.testing.assert_allclose(grads.x, 0, atol=1e-15)
    assert losses.prototype_nce(x, centres, np.full(N, -1)) == 0
    assert losses.prototype_nce(x[:0], centres, np.zeros(0, int)) == 0


@pytest.mark.parametrize("dtype", FLOATS)
def test_predictions_of_several_views(dtype):
    views, centres = rows(rng_of(7), 3 * N, D, dtype).reshape(3, N, D), rows(rng_of(8), K, D, dtype)
    plans = rng_of(9).dirichlet(np.ones(K), (3, N))
    for metric in ("cosine", "dot"):
        arrays = {"views": views, "prototypes": centres, "temperature": T}

        def total(views, prototypes, temperature, metric=metric):
            scores = [oracle.similarities(view, prototypes, metric) for view in views]
            return oracle.swapped_prediction(scores, plans, temperature)

        found = losses.swapped_prediction(**arrays, assignments=plans, metric=metric, return_grad=True)
        assert_loss(found, total, arrays, dtype, metric)
    s = rows(rng_of(10), 3 * N, K, dtype).reshape(3, N, K)
    arrays = {"similarities": s, "temperature": T}

    def of_scores(similarities, temperature):
        return oracle.swapped_prediction(list(similarities), plans, temperature)

    assert_loss(losses.swapped_prediction(**arrays, assignments=plans, return_grad=True), of_scores, arrays, dtype)


def test_assignments_come_from_transport_plans():
    s = rng_of(11).normal(size=(3, N, K)) * 0.3
    for more in ({}, {"eps": 0.1, "n_iter": 5}):
        plans = np.stack([sinkhorn(view, more.get("eps", 0.05), more.get("n_iter", 3)) for view in s])
        own = losses.swapped_prediction(similarities=s, **more, return_grad=True)
        given_ = losses.swapped_prediction(similarities=s, assignments=plans, return_grad=True)
        for one, other in zip(arrays_of(own), arrays_of(given_), strict=True):
            assert_near(one, other, 1e-12)
        large = losses.swapped_prediction(similarities=s, assign_views=[0], **more)
        meant = [oracle.reduce(oracle.soft_targets(s[b], plans[0], 0.1, normalize=False)) for b in (1, 2)]
        assert large == pytest.approx(np.mean(meant), rel=1e-12)
    sharp = np.eye(4)[np.arange(N) % 4][np.newaxis].repeat(2, axis=0) * 5
    assert losses.swapped_prediction(similarities=sharp) == pytest.approx(0, abs=1e-8)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_reductions_of_predictions(reduction):
    s, plans = rng_of(12).normal(size=(2, N, K)), rng_of(13).dirichlet(np.ones(K), (2, N))
    weights, upstream = np.linspace(0, 2, N), np.linspace(-1, 1, N)
    more = {"grad_output": upstream} if reduction == "none" else {}
    value, grads = losses.swapped_prediction(
        similarities=s, assignments=plans, weights=weights, reduction=reduction, return_grad=True, **more
    )

    def meant(s):
        there, back = (
            oracle.soft_targets(s[b], plans[1 - b], 0.1, normalize=False).values * weights / 2 for b in (0, 1)
        )
        return there + back

    scale = {"mean": np.full(N, 1 / N), "sum": np.ones(N), "none": upstream}[reduction]
    assert_near(value, meant(s) if reduction == "none" else (scale * meant(s)).sum(), 1e-12)
    wanted = oracle.differences(lambda v: (scale * meant(v)).sum(), s, 1e-4)
    assert_near(grads.similarities, wanted, 1e-8)


X, C = samples()
REFUSED = [
    ("prototype_nce", {}, (TypeError, ValueError), ["x", "similarities"]),
    ("prototype_nce", {"x": X, "prototypes": C}, (TypeError, ValueError), ["assignments", "targets"]),
    ("prototype_nce", {"x": X, "assignments": ASSIGNED}, (TypeError, ValueError), ["prototypes"]),
    ("prototype_nce", {"x": X, "prototypes": C, "assignments": ASSIGNED + 1}, ValueError, ["assignments", r"\b4\b"]),
    ("prototype_nce", {"x": X, "prototypes": C, "assignments": ASSIGNED - 1}, ValueError, ["assignments", "-2"]),
    ("prototype_nce", {"x": X, "prototypes": C, "assignments": [0, 1]}, ValueError, ["assignments", r"\b6\b"]),
    ("prototype_nce", {"x": X, "prototypes": C, "targets": np.eye(4)}, ValueError, ["targets", r"\(4, 4\)"]),
    ("prototype_nce", {"x": X, "prototypes": C, "targets": -TARGETS}, ValueError, ["targets", "-"]),
    ("prototype_nce", {"x": X, "prototypes": C, "assignments": ASSIGNED, "concentration": [1, 2]}, ValueError,
     ["concentration", r"\b4\b"]),
    ("prototype_nce", {"x": X, "prototypes": C, "assignments": ASSIGNED, "concentration": 0 * PHI}, ValueError,
     ["concentration", r"\b0"]),
    ("prototype_nce", {"x": X, "prototypes": C, "assignments": ASSIGNED, "temperature": 0}, ValueError,
     ["temperature"]),
    ("prototype_nce", {"x": X, "prototypes": C, "assignments": ASSIGNED, "target_temperature": -1}, ValueError,
     ["target_temperature"]),
    ("swapped_prediction", {}, (TypeError, ValueError), ["views", "similarities"]),
    ("swapped_prediction", {"similarities": S3}, ValueError, ["similarities", r"\(3, 3\)"]),
    ("swapped_prediction", {"similarities": [S3]}, ValueError, ["similarities", r"\(1, 3, 3\)"]),
    ("swapped_prediction", {"similarities": [S3, S3], "assignments": [S3]}, ValueError, ["assignments"]),
    ("swapped_prediction", {"similarities": [S3, S3], "temperature": 0}, ValueError, ["temperature"]),
    ("swapped_prediction", {"similarities": [S3, S3], "assign_views": [2]}, ValueError, ["assign_views", r"\b2\b"]),
    ("swapped_prediction", {"similarities": [S3, S3], "eps": 0}, ValueError, ["eps"]),
    ("swapped_prediction", {"similarities": [S3, S3], "n_iter": 0}, ValueError, ["n_iter"]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "arguments", "error", "words"), REFUSED)
def test_what_they_refuse(name, arguments, error, words):
    refused(getattr(losses, name), error, words, **arguments)
