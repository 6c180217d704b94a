"""soft_target_nce and cwcl: soft targets, given or of a frozen modality; gradients by central differences."""

from functools import partial

import cases
import numpy as np
import oracle_contrastive as oracle
import pytest
from embedding_losses import FLOATS, METRICS, RTOL, arrays_of, assert_loss, assert_near, on_engines, pair, rows
from fastpair import losses
from hypothesis import given, settings
from hypothesis import strategies as st
from searches import matrix_layouts
from test_loss_errors import refused
from test_oracle_contrastive import GOLDEN, S3, U3

N, M, D, T = 5, 8, 3, 0.3


def rng_of(*numbers):
    return cases.generator("soft targets", *numbers)


TARGETS = rng_of(1).random((N, M)) * (rng_of(2).random((N, M)) < 0.6)
TARGETS[3] = 0
IGNORE = rng_of(3).random((N, M)) < 0.3


def number(metric="cosine", how=None, targets=TARGETS, **options):
    def total(x=None, y=None, similarities=None, temperature=T):
        s = oracle.similarities(x, y, metric) if similarities is None else similarities
        return oracle.reduce(oracle.soft_targets(s, targets, temperature, **options), **(how or {}))

    return total


OPTIONS = {
    "plain": ({}, {}),
    "as they are": ({"normalize_targets": False}, {"normalize": False}),
    "ignore": ({"ignore": IGNORE}, {"ignore": IGNORE, "targets": np.where(IGNORE, 0, TARGETS)}),
}


def test_golden_numbers():
    call = partial(losses.soft_target_nce, similarities=S3, temperature=0.1)
    assert call(targets=(1 + oracle.similarities(U3)) / 2) == pytest.approx(GOLDEN["soft targets of U3"], abs=2e-15)
    assert call(targets=0.7 * np.eye(3) + 0.1) == pytest.approx(GOLDEN["soft targets of a mixture"], abs=1e-15)
    assert call(targets=np.eye(3)) == pytest.approx(GOLDEN["info_nce"], abs=1e-15)
    one = losses.cwcl(u=U3, similarities=S3, temperature=0.1, both_directions=False)
    assert one == pytest.approx(GOLDEN["soft targets of U3"], abs=2e-15)


@pytest.mark.parametrize("name", OPTIONS)
def test_every_option(name):
    options, meant = OPTIONS[name]
    x, y = pair(rng_of(4), N, M, D)
    for given_ in ({"x": x, "y": y}, {"similarities": oracle.similarities(x, y)}):
        for temperature in (T, np.linspace(0.2, 0.6, N)):
            arrays = {**given_, "temperature": temperature}
            found = losses.soft_target_nce(**arrays, targets=TARGETS, **options, return_grad=True)
            assert_loss(found, number(**meant), arrays, about=name)
            assert losses.soft_target_nce(**arrays, targets=TARGETS, **options) == found[0]


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dtype", FLOATS)
def test_metrics_and_dtypes(metric, dtype):
    x, y = pair(rng_of(5), N, M, D, dtype)
    arrays = {"x": x, "y": y, "temperature": T}
    call = partial(losses.soft_target_nce, **arrays, targets=TARGETS, metric=metric, return_grad=True)
    assert_loss(on_engines(call, 1e-11 if dtype == "float64" else 1e-2), number(metric), arrays, dtype, metric)
    x = rows(rng_of(6), N, D, dtype)
    arrays = {"x": x, "temperature": T}
    found = losses.soft_target_nce(**arrays, targets=TARGETS[:, :N], metric=metric, return_grad=True)
    own = np.eye(N, dtype=bool)
    meant = number(metric, targets=np.where(own, 0, TARGETS[:, :N]), ignore=own)
    assert_loss(found, meant, arrays, dtype, f"{metric} of x with itself")


@pytest.mark.parametrize("layout", matrix_layouts())
def test_layouts(layout):
    view = matrix_layouts()[layout]
    x, y = pair(rng_of(7), N, M, D)
    for dtype in ("float64", "float32"):
        targets = TARGETS.astype(dtype)
        wanted = losses.soft_target_nce(x, y, targets, return_grad=True)
        found = losses.soft_target_nce(view(x), view(y), view(targets), return_grad=True)
        for one, other in zip(arrays_of(found), arrays_of(wanted), strict=True):
            np.testing.assert_array_equal(one, other, strict=True)


def test_scaled_students():
    x, y = pair(rng_of(8), N, M, D)
    arrays = {"x": x, "y": y, "temperature": T}
    found = losses.soft_target_nce(**arrays, targets=TARGETS, student_scale=0.4, return_grad=True)

    def total(x, y, temperature):
        return number()(similarities=0.4 * oracle.similarities(x, y), temperature=temperature)

    assert_loss(found, total, arrays)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_reductions(reduction):
    x, y = pair(rng_of(9), N, M, D)
    weights, upstream = np.array([1.0, 0, 2, 0.5, 3]), np.array([1.0, 2, -1, 0, 0.5])
    arrays = {"x": x, "y": y, "temperature": T}
    for on_empty in ("skip", "zero"):
        how = {"reduction": reduction, "weights": weights, "on_empty": on_empty}
        more = {"grad_output": upstream} if reduction == "none" else {}
        value, grads = losses.soft_target_nce(**arrays, targets=TARGETS, **how, **more, return_grad=True)
        meant = number(how=how)
        if reduction == "none":
            assert_near(value, meant(x, y), 1e-12)
            value = np.float64((upstream * value).sum())

        def total(**moved):
            return (upstream * meant(**moved)).sum() if reduction == "none" else meant(**moved)  # noqa: B023

        assert_loss((value, grads), total, arrays, about=on_empty)
    with pytest.raises(ValueError, match="row 3"):
        losses.soft_target_nce(x, y, TARGETS, on_empty="error")
    assert losses.soft_target_nce(x, y, np.zeros((N, M))) == 0


@given(st.integers(0, 2**32 - 1), st.floats(0.05, 2))
@settings(max_examples=25)
def test_the_softmax_itself_is_the_best_target(seed, temperature):
    s = np.random.default_rng(seed).normal(size=(4, 6))
    p = np.exp(s / temperature - np.array([[oracle.lse(row / temperature)] for row in s]))
    value, grads = losses.soft_target_nce(similarities=s, targets=p, temperature=temperature, return_grad=True)
    entropy = -(p * np.log(np.where(p > 0, p, 1))).sum() / 4
    assert value == pytest.approx(entropy, rel=1e-9, abs=1e-12)
    np.testing.assert_allclose(grads.similarities, 0, atol=1e-13 / temperature)
    scaled = losses.soft_target_nce(similarities=s, targets=5 * p, temperature=temperature)
    assert scaled == pytest.approx(value, rel=1e-12, abs=1e-13)
    other = np.random.default_rng(seed + 1).random((4, 6))
    other /= other.sum(axis=1, keepdims=True)
    cross = losses.soft_target_nce(similarities=s, targets=other, temperature=temperature)
    assert cross >= -(other * np.log(other)).sum() / 4 - 1e-12


@pytest.mark.parametrize("metric", METRICS)
def test_cwcl(metric):
    u = rng_of(10).normal(size=(N, 4))
    for dtype in ("float64", "float32"):
        x, y = pair(rng_of(11), N, N, D, dtype)
        arrays = {"x": x, "y": y, "temperature": T}

        def total(x, y, temperature=T, both=True):
            first, second = oracle.cwcl(x, y, u, temperature, metric)
            return oracle.reduce(first) + (oracle.reduce(second) if both else 0)

        assert_loss(losses.cwcl(**arrays, u=u, metric=metric, return_grad=True), total, arrays, dtype)
        alone = losses.cwcl(**arrays, u=u, metric=metric, both_directions=False, return_grad=True)
        assert_loss(alone, partial(total, both=False), arrays, dtype)
    s = oracle.similarities(x, y)
    again = losses.cwcl(u=u, similarities=s, temperature=T, return_grad=True)
    assert again[0] == pytest.approx(losses.cwcl(x, y, u, T), rel=1e-6)
    wanted = oracle.differences(
        lambda v: (
            oracle.reduce(oracle.soft_targets(v, (1 + oracle.similarities(u)) / 2, T))
            + oracle.reduce(oracle.info_nce(v.T, temperature=T))
        ),
        s,
        2e-4,
    )
    assert_near(again[1].similarities, wanted, 1e-8)


@pytest.mark.parametrize(("n", "m", "d"), [(1, 1, 1), (3, 700, 17), (301, 40, 3)])
def test_any_size(n, m, d):
    targets = rng_of(18).random((n, m))
    for dtype in ("float64", "float32"):
        x, y = pair(rng_of(n, m), n, m, d, dtype)
        wanted = oracle.soft_targets(oracle.similarities(x, y), targets, T).values
        one = losses.soft_target_nce(x, y, targets, T, reduction="none", num_threads=1)
        assert_near(one, wanted, RTOL[dtype], size=max(1, abs(wanted).max()))
        np.testing.assert_array_equal(losses.soft_target_nce(x, y, targets, T, reduction="none", num_threads=5), one)


REFUSED = [
    ({"targets": None}, TypeError, ["targets"]),
    ({"targets": np.ones((3, 2))}, ValueError, ["targets", r"\(3, 2\)"]),
    ({"targets": -np.eye(3)}, ValueError, ["targets", "-1"]),
    ({"targets": np.full((3, 3), np.nan)}, ValueError, ["targets", "(?i)nan"]),
    ({"targets": np.full((3, 3), np.inf)}, ValueError, ["targets", "inf"]),
    ({"temperature": 0}, ValueError, ["temperature"]),
    ({"student_scale": 0}, ValueError, ["student_scale"]),
    ({"normalize_targets": 1}, TypeError, ["normalize_targets"]),
    ({"ignore": np.ones((2, 2), bool)}, ValueError, ["ignore", r"\(2, 2\)"]),
]


@pytest.mark.parametrize(("options", "error", "words"), REFUSED)
def test_what_it_refuses(options, error, words):
    refused(losses.soft_target_nce, error, words, **{"similarities": S3, "targets": np.eye(3), **options})
