"""hcl: hard and debiased negatives, their clamp, their limits; gradients by central differences."""

from functools import partial

import cases
import numpy as np
import oracle_contrastive as oracle
import pytest
from embedding_losses import FLOATS, METRICS, RTOL, arrays_of, assert_loss, assert_near, on_engines, pair, rows
from fastpair import losses
from hypothesis import given, settings
from hypothesis import strategies as st
from test_loss_errors import refused
from test_oracle_contrastive import GOLDEN, S3

N, M, D, T = 5, 8, 3, 0.5


def rng_of(*numbers):
    return cases.generator("hcl", *numbers)


def number(metric="cosine", how=None, **options):
    def total(x=None, y=None, similarities=None, temperature=T):
        s = oracle.similarities(x, y, metric) if similarities is None else similarities
        return oracle.reduce(oracle.hcl(s, **{"temperature": temperature, **options}), **(how or {}))

    return total


COLUMNS, IDS = np.array([3, 0, -1, 7, 2]), np.array([0, 1, 2, 1, 0, 3, 1, 0])
IGNORE = (rng_of(1).random((N, M)) < 0.3) & ~oracle.mask_of(None, N, M)
GROUPS = np.array([0, 1, 0, 2, 1]), np.array([0, 1, 0, 2, 1, 1, 0, 0])
OPTIONS = {
    "plain": ({}, {}),
    "beta 3": ({"beta": 3.0}, {"beta": 3.0}),
    "beta 0": ({"beta": 0.0}, {"beta": 0.0}),
    "no tau": ({"tau_plus": 0.0}, {"tau_plus": 0.0}),
    "neither": ({"beta": 0.0, "tau_plus": 0.0}, {"beta": 0.0, "tau_plus": 0.0}),
    "clamped": ({"beta": 0.1, "tau_plus": 0.8}, {"beta": 0.1, "tau_plus": 0.8}),
    "columns": ({"positives": COLUMNS}, {"positives": COLUMNS}),
    "ignore": ({"ignore": IGNORE}, {"ignore": IGNORE}),
    "ids": ({"ids": IDS}, {"ignore": oracle.equal(IDS[:N], IDS) & ~oracle.mask_of(None, N, M)}),
    "groups": ({"groups": GROUPS}, {"ignore": ~oracle.equal(*GROUPS)}),
}


def test_golden_numbers():
    def value(**options):
        return losses.hcl(similarities=S3, **options)

    assert value(beta=0.0, tau_plus=0.0) == pytest.approx(GOLDEN["hcl without both"], abs=1e-15)
    assert value(tau_plus=0.0) == pytest.approx(GOLDEN["hcl"], abs=1e-15)
    assert value() == pytest.approx(GOLDEN["hcl debiased"], abs=1e-15)


@pytest.mark.parametrize("name", OPTIONS)
def test_every_option(name):
    options, meant = OPTIONS[name]
    x, y = pair(rng_of(2), N, M, D)
    for given_ in ({"x": x, "y": y}, {"similarities": oracle.similarities(x, y)}):
        for temperature in (T, np.linspace(0.3, 0.9, N)):
            if name != "plain" and np.ndim(temperature):
                continue
            arrays = {**given_, "temperature": temperature}
            found = losses.hcl(**arrays, **options, return_grad=True)
            if np.ndim(temperature):
                values = [
                    oracle.hcl(oracle.similarities(x, y)[i : i + 1], [i], t).values[0]
                    for i, t in enumerate(temperature)
                ]
                assert found[0] == pytest.approx(np.mean(values), rel=1e-12)
            else:
                assert_loss(found, number(**meant), arrays, about=name)
                assert losses.hcl(**arrays, **options) == found[0]


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dtype", FLOATS)
def test_metrics_and_dtypes(metric, dtype):
    x, y = pair(rng_of(3), N, M, D, dtype)
    arrays = {"x": x, "y": y, "temperature": T}
    call = partial(losses.hcl, **arrays, metric=metric, return_grad=True)
    assert_loss(on_engines(call, 1e-11 if dtype == "float64" else 1e-2), number(metric), arrays, dtype, metric)
    x = rows(rng_of(4), 6, D, dtype)
    columns, own = np.array([1, 0, 3, 2, 5, 4]), np.eye(6, dtype=bool)
    arrays = {"x": x, "temperature": T}
    found = losses.hcl(**arrays, positives=columns, metric=metric, return_grad=True)
    assert_loss(found, number(metric, positives=columns, ignore=own), arrays, dtype, metric)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_reductions(reduction):
    x, y = pair(rng_of(5), N, M, D)
    weights, upstream = np.array([1.0, 0, 2, 0.5, 3]), np.array([1.0, 2, -1, 0, 0.5])
    how = {"reduction": reduction, "weights": weights, "weight_norm": "weights"}
    more = {"grad_output": upstream} if reduction == "none" else {}
    arrays = {"x": x, "y": y, "temperature": T}
    value, grads = losses.hcl(**arrays, positives=COLUMNS, **how, **more, return_grad=True)
    meant = number(how=how, positives=COLUMNS)
    if reduction == "none":
        assert_near(value, meant(x, y), 1e-12)
        value = np.float64((upstream * value).sum())

    def total(**moved):
        return (upstream * meant(**moved)).sum() if reduction == "none" else meant(**moved)

    assert_loss((value, grads), total, arrays)


def test_detached_weights():
    s = rng_of(6).normal(size=(N, M)) * 0.4
    for options in ({}, {"beta": 2.0, "tau_plus": 0.0}):
        value, grads = losses.hcl(similarities=s, **options, detach_weights=True, return_grad=True)
        assert value == losses.hcl(similarities=s, **options)

        def total(similarities, temperature=T):
            return oracle.reduce(oracle.hcl(similarities, temperature=temperature, fixed=s / T, **options))  # noqa: B023

        assert_loss((value, grads), total, {"similarities": s, "temperature": T})


def test_it_is_info_nce_without_beta_and_tau():
    x, y = pair(rng_of(7), N, M, D)
    plain = losses.info_nce(x, y, temperature=T, return_grad=True)
    found = losses.hcl(x, y, temperature=T, beta=0.0, tau_plus=0.0, return_grad=True)
    for one, other in zip(arrays_of(found), (plain[0], plain[1].x, plain[1].y, plain[1].temperature), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-15)


@pytest.mark.parametrize("beta", [50.0, 1e3, 1e6])
@pytest.mark.parametrize("temperature", [0.5, 0.01])
def test_large_beta_is_the_hardest_negative(beta, temperature):
    """Direct exponentiation would overflow."""
    s = np.array([[0.9, 0.2, 0.4], [0.1, 0.7, -0.3], [0.5, 0.65, 0.8]])
    hardest = np.array([0.4, 0.1, 0.65])
    value, grads = losses.hcl(similarities=s, temperature=temperature, beta=beta, tau_plus=0.0, return_grad=True,
                              reduction="none", grad_output=np.ones(3))  # fmt: skip
    z = np.log(2) + (hardest - np.diag(s)) / temperature
    np.testing.assert_allclose(value, np.logaddexp(0, z), rtol=1e-5)
    assert np.isfinite(grads.similarities).all()
    found = losses.hcl(similarities=s, temperature=temperature, beta=beta, return_grad=True)
    assert np.isfinite(found[0])
    assert np.isfinite(found[1].similarities).all()


def test_the_clamp_stops_gradients_of_negatives():
    s = np.array([[0.9, -0.8, -0.9]])
    value, grads = losses.hcl(similarities=s, temperature=1.0, tau_plus=0.3, return_grad=True)
    least = 2 * np.exp(-1.0)
    assert value == pytest.approx(np.log1p(least * np.exp(-0.9)))
    np.testing.assert_allclose(grads.similarities, [[-least / (least + np.exp(0.9)), 0, 0]], rtol=1e-12)


@given(st.integers(0, 2**32 - 1), st.floats(0.05, 2), st.floats(0, 0.5))
@settings(max_examples=30)
def test_it_grows_with_beta(seed, temperature, tau_plus):
    s = np.random.default_rng(seed).uniform(-1, 1, (4, 6))
    values = [
        losses.hcl(similarities=s, temperature=temperature, beta=beta, tau_plus=tau_plus, reduction="none")
        for beta in (0, 0.3, 1, 2, 10)
    ]
    assert (np.diff(values, axis=0) >= -1e-12).all()
    for beta, found in zip((0, 1), (values[0], values[2]), strict=True):
        wanted = oracle.hcl(s, temperature=temperature, beta=beta, tau_plus=tau_plus).values
        np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize(("n", "m", "d"), [(1, 2, 1), (2, 2, 17), (7, 600, 30), (300, 40, 5)])
def test_any_size(n, m, d):
    for dtype in ("float64", "float32"):
        x, y = pair(rng_of(n, m), n, m, d, dtype)
        positives = np.arange(n) % m
        wanted = oracle.hcl(oracle.similarities(x, y), positives).values
        found = losses.hcl(x, y, positives, reduction="none", num_threads=1)
        assert_near(found, wanted, RTOL[dtype], size=max(1, abs(wanted).max()))
        np.testing.assert_array_equal(losses.hcl(x, y, positives, reduction="none", num_threads=5), found)


def test_rows_without_negatives():
    value, grads = losses.hcl([[1.0, 2.0]], [[3.0, 1.0]], return_grad=True)
    assert value == 0
    assert (grads.x == 0).all()
    with pytest.raises(ValueError, match="on_empty"):
        losses.hcl([[1.0]], [[1.0]], on_empty="error")


@pytest.mark.parametrize(("options", "error", "words"), [
    ({"beta": -1}, ValueError, ["beta"]),
    ({"beta": np.inf}, ValueError, ["beta"]),
    ({"tau_plus": 1.0}, ValueError, ["tau_plus"]),
    ({"tau_plus": -0.1}, ValueError, ["tau_plus"]),
    ({"temperature": 0}, ValueError, ["temperature"]),
    ({"positives": np.eye(3, dtype=bool)}, ValueError, ["positives", "mask|one"]),
    ({"positives": [0, 1, 5]}, ValueError, ["positives", r"\b5\b"]),
    ({"x": S3}, ValueError, ["similarities"]),
    ({"detach_weights": 1}, TypeError, ["detach_weights"]),
])  # fmt: skip
def test_what_it_refuses(options, error, words):
    refused(losses.hcl, error, words, **{"similarities": S3, **options})
