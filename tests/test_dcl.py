"""dcl and dclw: the denominator without the positive, weights of positives; gradients by central differences."""

import cases
import numpy as np
import oracle_contrastive as oracle
import pytest
from embedding_losses import FLOATS, METRICS, RTOL, arrays_of, assert_loss, assert_near, on_engines
from fastpair import losses
from test_loss_errors import refused
from test_nt_xent import D, N, views
from test_oracle_contrastive import DCLW_WEIGHTS, GOLDEN, S3

T = 0.3


def one_way(z1, z2, temperature, *, metric="cosine", intra=True, sigma=None, factors=None):
    within = oracle.similarities(z1, None, metric) if intra else None
    s = oracle.similarities(z1, z2, metric)
    return oracle.dcl_one_way(s, within, temperature, sigma=sigma, factors=factors)


def number(metric="cosine", symmetric=True, how=None, **options):
    """The oracle's number as a function of the views and the temperature."""
    rows = oracle.dcl if symmetric else one_way

    def total(z1, z2, temperature=T):
        return oracle.reduce(rows(z1, z2, temperature, metric=metric, **options), **(how or {}))

    return total


OPTIONS = {
    "plain": ({}, {}),
    "across": ({"intra": False}, {"intra": False}),
    "one way": ({"symmetric": False}, {"symmetric": False}),
    "one way across": ({"symmetric": False, "intra": False}, {"symmetric": False, "intra": False}),
    "weighted": ({"weighting": "von_mises", "sigma": 0.7}, {"sigma": 0.7}),
    "weighted across": ({"weighting": "von_mises", "intra": False}, {"sigma": 0.5, "intra": False}),
    "weighted one way": ({"weighting": "von_mises", "symmetric": False}, {"sigma": 0.5, "symmetric": False}),
}


def test_golden_numbers():
    options = {"metric": "dot", "intra": False, "symmetric": False}
    assert losses.dcl(S3, np.eye(3), 0.1, **options) == pytest.approx(GOLDEN["dcl"], abs=2e-15)
    assert losses.dclw(S3, np.eye(3), 0.1, **options) == pytest.approx(GOLDEN["dclw"], abs=6e-13)
    plain = losses.dcl(S3, np.eye(3), 0.1, **options, reduction="none")
    weighted = losses.dclw(S3, np.eye(3), 0.1, **options, reduction="none")
    found = 1 + (plain - weighted) * 0.1 / np.diag(S3)
    np.testing.assert_allclose(found, DCLW_WEIGHTS, atol=5.1e-9)
    assert found.mean() == pytest.approx(1)


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("metric", METRICS)
def test_every_option(name, metric):
    options, meant = OPTIONS[name]
    for dtype in ("float64", "float32"):
        z1, z2 = views(dtype)
        arrays = {"z1": z1, "z2": z2, "temperature": T}
        found = losses.dcl(**arrays, metric=metric, **options, return_grad=True)
        assert_loss(found, number(metric, **meant), arrays, dtype, name)
        assert losses.dcl(**arrays, metric=metric, **options) == found[0]
        if "weighting" in options:
            other = {key: value for key, value in options.items() if key != "weighting"}
            again = losses.dclw(**arrays, metric=metric, **other, return_grad=True)
            for one, two in zip(arrays_of(found), arrays_of(again), strict=True):
                np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", ["plain", "weighted", "one way across"])
def test_dtypes_and_engines(dtype, name):
    options, meant = OPTIONS[name]
    z1, z2 = views(dtype)
    arrays = {"z1": z1, "z2": z2, "temperature": T}

    def call(**more):
        return losses.dcl(**arrays, **options, return_grad=True, **more)

    result = on_engines(call, 1e-11 if dtype == "float64" else 1e-2)
    assert_loss(result, number(**meant), arrays, dtype, name)


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_reductions(name, reduction):
    options, meant = OPTIONS[name]
    z1, z2 = views()
    weights, upstream = np.array([1.0, 0, 2, 0.5, 3]), np.array([1.0, 2, -1, 0, 0.5])
    arrays = {"z1": z1, "z2": z2, "temperature": T}
    for weight_norm in ("count", "weights"):
        how = {"reduction": reduction, "weights": weights, "weight_norm": weight_norm}
        more = {"grad_output": upstream} if reduction == "none" else {}
        value, grads = losses.dcl(**arrays, **options, **how, **more, return_grad=True)
        total = number(how=how, **meant)
        if reduction == "none":
            assert_near(value, total(z1, z2), 1e-12)
            value, inner = np.float64((upstream * value).sum()), total

            def total(**moved):
                return (upstream * inner(**moved)).sum()  # noqa: B023

        assert_loss((value, grads), total, arrays, about=f"{name} {weight_norm}")


def test_detached_weights():
    z1, z2 = views()
    weights = oracle.von_mises_weights(np.diag(oracle.similarities(z1, z2)), 0.5)
    arrays = {"z1": z1, "z2": z2, "temperature": T}
    for options in ({}, {"intra": False}, {"symmetric": False}):
        found = losses.dclw(**arrays, detach_weights=True, **options, return_grad=True)
        assert_loss(found, number(factors=weights, **options), arrays, about=options)


def test_weights_of_the_reference():
    """Its second term has no factor n."""
    z1, z2 = views()
    arrays = {"z1": z1, "z2": z2, "temperature": T}

    def total(z1, z2, temperature):
        diagonal = np.diag(oracle.similarities(z1, z2)) / 0.5
        factors = 2 - np.exp(diagonal - oracle.lse(diagonal))
        return oracle.reduce(oracle.dcl(z1, z2, temperature, factors=factors))

    assert_loss(losses.dclw(**arrays, compat="reference", return_grad=True), total, arrays)


def test_identities():
    z1, z2 = views()
    s = oracle.similarities(z1, z2)
    for temperature in (1.0, 0.1, 0.005):  # a mask of logits by log(1e-45) would leak at the last
        options = {"temperature": temperature, "reduction": "none"}
        one = losses.dcl(z1, z2, intra=False, symmetric=False, **options)
        decoupled = losses.info_nce(z1, z2, include_positive=False, **options)
        np.testing.assert_allclose(one, decoupled, rtol=1e-12)
        np.testing.assert_allclose(one, oracle.dcl_one_way(s, None, temperature).values, rtol=1e-11)
    tied = losses.dclw(z1, z1, temperature=T)
    assert tied == pytest.approx(losses.dcl(z1, z1, T), rel=1e-12)
    assert losses.dcl(z1, z1, 0.05) < 0


@pytest.mark.parametrize(("n", "d"), [(2, 1), (3, 17), (40, 300), (300, 7)])
def test_any_size(n, d):
    for dtype in ("float64", "float32"):
        z1, z2 = views(dtype, n, d)
        wanted = oracle.dcl(z1, z2, T).values
        assert_near(losses.dcl(z1, z2, T, reduction="none"), wanted, RTOL[dtype], size=max(1, abs(wanted).max()))
        one = losses.dclw(z1, z2, T, return_grad=True, num_threads=1)
        for threads in (2, 5):
            again = losses.dclw(z1, z2, T, return_grad=True, num_threads=threads)
            assert [a.tobytes() for a in arrays_of(again)] == [a.tobytes() for a in arrays_of(one)]


def test_one_example_or_none():
    for n in (0, 1):
        z1, z2 = cases.generator("one").normal(size=(2, n, D))
        for name in OPTIONS:
            value, grads = losses.dcl(z1, z2, **OPTIONS[name][0], return_grad=True)
            assert value == 0, name
            assert grads.z1.shape == (n, D)
            assert (grads.z1 == 0).all()
            assert (grads.z2 == 0).all()
    with pytest.raises(ValueError, match="on_empty"):
        losses.dcl([[1.0]], [[1.0]], on_empty="error")


@pytest.mark.parametrize(("options", "error", "words"), [
    ({"z2": np.ones((4, 3))}, ValueError, ["z1", "z2", r"\(4, 3\)"]),
    ({"weighting": "cosine"}, ValueError, ["weighting", "cosine", "von_mises"]),
    ({"weighting": "von_mises", "sigma": 0}, ValueError, ["sigma"]),
    ({"temperature": -1}, ValueError, ["temperature"]),
    ({"intra": 1}, TypeError, ["intra"]),
    ({"symmetric": "no"}, TypeError, ["symmetric"]),
    ({"compat": "paper"}, ValueError, ["compat", "paper"]),
    ({"weights": np.ones(4)}, ValueError, ["weights", r"\b5\b"]),
    ({"reduction": "all"}, ValueError, ["reduction", "all"]),
])  # fmt: skip
def test_what_it_refuses(options, error, words):
    z1, z2 = views(n=N)
    refused(losses.dcl, error, words, **{"z1": z1, "z2": z2, **options})
