"""nt_xent and grace: two views, negatives of both, weights of the blocks; gradients by central differences."""

import cases
import embeddings
import numpy as np
import oracle_contrastive as oracle
import pytest
from embedding_losses import FLOATS, METRICS, RTOL, arrays_of, assert_loss, assert_near, on_engines, rows
from fastpair import losses
from searches import matrix_layouts
from test_loss_errors import refused

N, D, T = 5, 3, 0.4


def views(dtype="float64", n=N, d=D):
    rng = cases.generator("views", n, d)
    z1 = rows(rng, n, d)
    z2 = 0.7 * z1 + 0.5 * rows(rng, n, d)
    return embeddings.cast(z1, dtype), embeddings.cast(z2, dtype)


def number(metric="cosine", how=None, **options):
    """The oracle's number as a function of the views and the temperature."""

    def total(z1, z2, temperature=T):
        return oracle.reduce(oracle.nt_xent(z1, z2, temperature, metric=metric, **options), **(how or {}))

    return total


MASK = np.array(cases.generator("mask").random((N, N)) < 0.4)
OPTIONS = {
    "two_view": ({}, {}),
    "cross_only": ({"mode": "cross_only"}, {"blocks": "cross"}),
    "mask": ({"mask_intra": MASK}, {"mask_intra": MASK}),
    "mask of all": ({"mask_intra": np.ones((N, N), bool)}, {"blocks": "cross"}),
}
WEIGHTED = {
    "intra": ({"intra_weight": 0.8}, {"intra": 0.8}),
    "inter": ({"inter_weight": 1.5}, {"inter": 1.5}),
    "both, with a mask": (
        {"inter_weight": 0.5, "intra_weight": 2.0, "mask_intra": MASK},
        {"inter": 0.5, "intra": 2.0, "mask_intra": MASK},
    ),
    "inter alone": ({"mode": "cross_only", "inter_weight": 1.5}, {"blocks": "cross", "inter": 1.5}),
}


@pytest.mark.parametrize("name", [*OPTIONS, *WEIGHTED])
@pytest.mark.parametrize("metric", METRICS)
def test_every_option(name, metric):
    if name in WEIGHTED and "euclidean" in metric:
        refused(losses.nt_xent, ValueError, ["weight", "metric", metric], *views(), metric=metric, **WEIGHTED[name][0])
        return
    options, meant = {**OPTIONS, **WEIGHTED}[name]
    for dtype in ("float64", "float32"):
        z1, z2 = views(dtype)
        arrays = {"z1": z1, "z2": z2, "temperature": T}
        found = losses.nt_xent(**arrays, metric=metric, **options, return_grad=True)
        assert_loss(found, number(metric, **meant), arrays, dtype, name)
        assert losses.nt_xent(**arrays, metric=metric, **options) == found[0]


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", ["two_view", "cross_only", "intra"])
def test_dtypes_and_engines(dtype, name):
    options, meant = {**OPTIONS, **WEIGHTED}[name]
    z1, z2 = views(dtype)
    arrays = {"z1": z1, "z2": z2, "temperature": T}

    def call(**more):
        return losses.nt_xent(**arrays, **options, return_grad=True, **more)

    result = on_engines(call, 1e-11 if dtype == "float64" else 1e-2)
    assert_loss(result, number(**meant), arrays, dtype, name)


@pytest.mark.parametrize("name", ["two_view", "cross_only", "intra"])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_reductions(name, reduction):
    options, meant = {**OPTIONS, **WEIGHTED}[name]
    z1, z2 = views()
    weights, upstream = np.array([1.0, 0, 2, 0.5, 3]), np.array([1.0, 2, -1, 0, 0.5])
    arrays = {"z1": z1, "z2": z2, "temperature": T}
    for weight_norm in ("count", "weights"):
        how = {"reduction": reduction, "weights": weights, "weight_norm": weight_norm}
        more = {"grad_output": upstream} if reduction == "none" else {}
        value, grads = losses.nt_xent(**arrays, **options, **how, **more, return_grad=True)
        total = number(how=how, **meant)
        if reduction == "none":
            assert_near(value, total(z1, z2), 1e-12)
            value, inner = np.float64((upstream * value).sum()), total

            def total(**moved):
                return (upstream * inner(**moved)).sum()  # noqa: B023

        assert_loss((value, grads), total, arrays, about=f"{name} {weight_norm}")


@pytest.mark.parametrize(("n", "d"), [(2, 1), (3, 17), (40, 300), (300, 7)])
def test_any_size(n, d):
    for dtype in ("float64", "float32"):
        z1, z2 = views(dtype, n, d)
        wanted = oracle.nt_xent(z1, z2, T)
        found = losses.nt_xent(z1, z2, T, reduction="none")
        assert_near(found, wanted.values, RTOL[dtype], size=1)
        one = losses.nt_xent(z1, z2, T, return_grad=True, num_threads=1)
        for threads in (2, 5):
            again = losses.nt_xent(z1, z2, T, return_grad=True, num_threads=threads)
            assert [a.tobytes() for a in arrays_of(again)] == [a.tobytes() for a in arrays_of(one)]


def test_identities():
    z1, z2 = views()
    both = losses.nt_xent(z1, z2, T, return_grad=True)
    swapped = losses.nt_xent(z2, z1, T, return_grad=True)
    assert both[0] == pytest.approx(swapped[0], rel=1e-13)
    np.testing.assert_allclose(both[1].z1, swapped[1].z2, rtol=1e-10, atol=1e-16)
    cross = losses.nt_xent(z1, z2, T, mode="cross_only")
    assert cross == pytest.approx(losses.clip(z1, z2, temperature=T), rel=1e-13)
    assert cross == pytest.approx(losses.nt_xent(z1, z2, T, mask_intra=np.ones((N, N), bool)), rel=1e-13)
    assert both[0] >= cross
    labels = np.tile(np.arange(N), 2)
    assert both[0] == pytest.approx(losses.supcon(np.vstack([z1, z2]), labels, temperature=T), rel=1e-12)
    values = losses.nt_xent(z1, z2, T, reduction="none")
    assert (values >= losses.dcl(z1, z2, T, reduction="none")).all()
    assert losses.grace(z1, z2, T) == both[0]
    assert losses.grace(z1, z2, T, intra=False) == cross
    weighted = losses.nt_xent(z1, z2, T, inter_weight=2.0, intra_weight=2.0)
    assert weighted == pytest.approx(losses.nt_xent(z1, z2, T / 2), rel=1e-12)


@pytest.mark.parametrize("layout", matrix_layouts())
def test_layouts(layout):
    view = matrix_layouts()[layout]
    for dtype in FLOATS:
        z1, z2 = views(dtype)
        for options in ({}, {"mode": "cross_only"}, {"intra_weight": 0.5}):
            wanted = losses.nt_xent(z1, z2, T, return_grad=True, **options)
            found = losses.nt_xent(view(z1), view(z2), T, return_grad=True, **options)
            for one, other in zip(arrays_of(found), arrays_of(wanted), strict=True):
                np.testing.assert_array_equal(one, other, strict=True)


def test_views_of_two_dtypes():
    z1, z2 = views("float32")[0], views("float16")[1]
    arrays = {"z1": z1, "z2": z2, "temperature": T}
    for name in ("two_view", "cross_only", "intra"):
        options, meant = {**OPTIONS, **WEIGHTED}[name]
        assert_loss(losses.nt_xent(**arrays, **options, return_grad=True), number(**meant), arrays, "float16", name)


def test_one_example_or_none():
    for n in (0, 1):
        z1, z2 = views(n=n)
        for options in ({}, {"mode": "cross_only"}, {"intra_weight": 0.5}, {"reduction": "sum"}):
            value, grads = losses.nt_xent(z1, z2, return_grad=True, **options)
            assert value == 0
            assert grads.z1.shape == (n, D)
            assert (grads.z1 == 0).all()
            assert (grads.z2 == 0).all()
    with pytest.raises(ValueError, match="on_empty"):
        losses.nt_xent([[1.0]], [[1.0]], on_empty="error")


def test_zero_rows():
    z1, z2 = views()
    z1[2] = 0
    for name in ("two_view", "cross_only", "intra"):
        options, meant = {**OPTIONS, **WEIGHTED}[name]
        value, grads = losses.nt_xent(z1, z2, T, return_grad=True, **options)
        assert value == pytest.approx(number(**meant)(z1, z2), rel=1e-12)
        assert (grads.z1[2] == 0).all()
        assert np.isfinite(grads.z2).all()


@pytest.mark.parametrize(("options", "error", "words"), [
    ({"z2": np.ones((4, 3))}, ValueError, ["z1", "z2", r"\(4, 3\)"]),
    ({"z2": np.ones((5, 2))}, ValueError, ["z1", "z2", r"\(5, 2\)"]),
    ({"z1": np.ones(3)}, ValueError, ["z1", r"\(3,\)"]),
    ({"z1": np.ones((5, 3), complex)}, TypeError, ["z1", "complex128"]),
    ({"mode": "both"}, ValueError, ["mode", "both", "two_view"]),
    ({"temperature": 0}, ValueError, ["temperature"]),
    ({"temperature": np.ones(5)}, (TypeError, ValueError), ["temperature"]),
    ({"intra_weight": -1}, ValueError, ["intra_weight"]),
    ({"inter_weight": np.nan}, ValueError, ["inter_weight"]),
    ({"mask_intra": np.ones((5, 4), bool)}, ValueError, ["mask_intra", r"\(5, 4\)"]),
    ({"mask_intra": np.ones((5, 5))}, (TypeError, ValueError), ["mask_intra", "bool"]),
    ({"weights": [1, 2]}, ValueError, ["weights", r"\b5\b"]),
    ({"reduction": "none", "return_grad": True}, ValueError, ["grad_output"]),
    ({"metric": "manhattan"}, ValueError, ["metric", "manhattan"]),
])  # fmt: skip
def test_what_it_refuses(options, error, words):
    z1, z2 = views()
    refused(losses.nt_xent, error, words, **{"z1": z1, "z2": z2, **options})
