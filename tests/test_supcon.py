"""supcon and cliff_contrast: labels, masks, views; gradients by central differences."""

import cases
import numpy as np
import oracle_contrastive as oracle
import pytest
from embedding_losses import FLOATS, METRICS, RTOL, arrays_of, assert_loss, assert_near, on_engines, rows
from fastpair import losses
from searches import matrix_layouts
from test_loss_errors import refused
from test_oracle_contrastive import GOLDEN, ROWS, S4, Y4

N, V, D, T = 6, 2, 3, 0.4
LABELS = np.array([0, 1, 0, 2, 1, 0])
SOFT = cases.generator("soft mask").random((N, N)) * (cases.generator("soft").random((N, N)) < 0.6)
BOOLS = cases.generator("bools").random((N, N)) < 0.4


def features_of(dtype="float64", views=V, n=N):
    found = rows(cases.generator("features", n, views), n * (views or 1), D, dtype)
    return found.reshape(n, views, D) if views else found


def mask_of(options):
    if "labels" in options:
        return oracle.equal(options["labels"], options["labels"])
    return options.get("mask", np.eye(N, dtype=bool))


def number(options, metric="cosine", how=None):
    """The oracle's number as a function of features and temperature."""

    def total(features, temperature=T):
        views = 1 if features.ndim == 2 else features.shape[1]
        stack = features if features.ndim == 2 else features.swapaxes(0, 1).reshape(-1, D)
        anchors = 1 if options.get("contrast_mode") == "one" else views
        s = oracle.similarities(stack[: anchors * len(features)], stack, metric)
        mask = np.tile(mask_of(options), (anchors, views))
        base = options.get("base_temperature")
        found = oracle.supcon(s, mask, temperature, temperature if base is None else base)
        if how is None:
            return oracle.reduce(found)
        weights = np.tile(how.get("weights", np.ones(len(features))), anchors)
        if how.get("reduction") in (None, "mean"):
            return oracle.reduce(found, **{**how, "weights": weights})
        values = (weights * found.values).reshape(anchors, -1).mean(axis=0)
        return values if how["reduction"] == "none" else values.sum()

    return total


OPTIONS = {
    "labels": {"labels": LABELS},
    "no labels": {},
    "bools": {"mask": BOOLS},
    "soft mask": {"mask": SOFT},
    "first view": {"labels": LABELS, "contrast_mode": "one"},
    "first view without labels": {"contrast_mode": "one"},
    "first view, soft mask": {"mask": SOFT, "contrast_mode": "one"},
    "base temperature": {"labels": LABELS, "base_temperature": 0.07},
}


def test_golden_numbers():
    options = {"labels": Y4, "similarities": S4}
    assert losses.supcon(**options, temperature=0.1) == pytest.approx(GOLDEN["supcon"], abs=1e-15)
    values = losses.supcon(**options, temperature=0.1, reduction="none")
    np.testing.assert_allclose(values, ROWS["supcon"], atol=5.1e-9)
    assert losses.cliff_contrast(**options) == pytest.approx(GOLDEN["cliff"], abs=6e-13)
    assert losses.cliff_contrast(**options) == losses.supcon(**options, temperature=1.0)
    words = losses.supcon(labels=["b", "b", "a", "a"], similarities=S4, temperature=0.1)
    assert words == losses.supcon(**options, temperature=0.1)
    soft = losses.supcon(mask=oracle.equal(Y4, Y4) * 3.0, similarities=S4, temperature=0.1)
    assert soft == pytest.approx(GOLDEN["supcon"], abs=1e-15)


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("views", [0, 1, 2, 3])
def test_every_option(name, views):
    options = OPTIONS[name]
    arrays = {"features": features_of(views=views), "temperature": T}
    found = losses.supcon(**arrays, **options, return_grad=True)
    if views < 2 and name in ("no labels", "first view without labels"):
        assert found[0] == 0
        assert (found[1].features == 0).all()
        return
    assert_loss(found, number(options), arrays, about=name)
    assert losses.supcon(**arrays, **options) == found[0]


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dtype", FLOATS)
def test_metrics_and_dtypes(metric, dtype):
    for name in ("labels", "soft mask", "first view"):
        options = OPTIONS[name]
        arrays = {"features": features_of(dtype), "temperature": T}

        def call(**more):
            return losses.supcon(**arrays, metric=metric, **options, return_grad=True, **more)  # noqa: B023

        result = on_engines(call, 1e-11 if dtype == "float64" else 1e-2, name)
        assert_loss(result, number(options, metric), arrays, dtype, f"{metric} {name}")


@pytest.mark.parametrize("dtype", FLOATS)
def test_similarities(dtype):
    s = rows(cases.generator("matrix"), N, N, dtype, 2.0)
    for options in ({"labels": LABELS}, {"mask": BOOLS}, {"mask": SOFT}):
        arrays = {"similarities": s, "temperature": T}

        def total(similarities, temperature=T):
            return oracle.reduce(oracle.supcon(similarities, mask_of(options), temperature))  # noqa: B023

        found = losses.supcon(**arrays, **options, return_grad=True)
        assert_loss(found, total, arrays, dtype, str(list(options)))
        assert (np.diag(found[1].similarities) == 0).all()


@pytest.mark.parametrize("name", ["labels", "soft mask", "first view"])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_reductions(name, reduction):
    options = OPTIONS[name]
    weights, upstream = np.array([1.0, 0, 2, 0.5, 3, 1]), np.array([1.0, 2, -1, 0, 0.5, 1])
    arrays = {"features": features_of(), "temperature": T}
    for weight_norm in ("count", "weights"):
        how = {"reduction": reduction, "weights": weights, "weight_norm": weight_norm}
        more = {"grad_output": upstream} if reduction == "none" else {}
        value, grads = losses.supcon(**arrays, **options, **how, **more, return_grad=True)
        meant = number(options, how=how)
        if reduction == "none":
            assert_near(value, meant(arrays["features"]), 1e-12)
            value = np.float64((upstream * value).sum())

        def total(**moved):
            return (upstream * meant(**moved)).sum() if reduction == "none" else meant(**moved)  # noqa: B023

        assert_loss((value, grads), total, arrays, about=f"{name} {weight_norm}")


def test_anchors_without_positives_do_not_count():
    features, labels = features_of(views=0), np.array([0, 0, 1, 2, 2, 3])
    value, grads = losses.supcon(features, labels, temperature=T, return_grad=True)
    values = losses.supcon(features, labels, temperature=T, reduction="none")
    np.testing.assert_array_equal(values == 0, [False, False, True, False, False, True])
    assert value == pytest.approx(values.sum() / 4)
    assert np.isfinite(grads.features).all()
    assert losses.supcon(features, labels, temperature=T, on_empty="zero") == pytest.approx(values.mean())
    with pytest.raises(ValueError, match=r"row 2|on_empty"):
        losses.supcon(features, labels, on_empty="error")
    nothing = losses.supcon(features, np.arange(N), return_grad=True)
    assert nothing[0] == 0
    assert (nothing[1].features == 0).all()
    for n in (0, 1):
        value, grads = losses.supcon(features[:n], labels[:n], return_grad=True)
        assert value == 0
        assert grads.features.shape == (n, D)


def test_anchors_without_negatives_count():
    features = features_of(views=0)
    value = losses.supcon(features, np.zeros(N, int), temperature=T)
    everything = np.ones((N, N), bool)
    assert value == pytest.approx(oracle.reduce(oracle.supcon(oracle.similarities(features), everything, T)))
    assert value > 0


def test_scaling_a_soft_mask_changes_nothing():
    features = features_of()
    one = losses.supcon(features, mask=SOFT, temperature=T)
    for scale in (1e-6, 0.3, 1e6):
        assert losses.supcon(features, mask=SOFT * scale, temperature=T) == pytest.approx(one, rel=1e-12)
    by_labels = losses.supcon(features, LABELS, temperature=T)
    mask = oracle.equal(LABELS, LABELS)
    assert losses.supcon(features, mask=mask, temperature=T) == pytest.approx(by_labels, rel=1e-13)
    assert losses.supcon(features, mask=mask.astype(np.float32), temperature=T) == pytest.approx(by_labels, rel=1e-12)


@pytest.mark.parametrize("layout", matrix_layouts())
def test_layouts(layout):
    view = matrix_layouts()[layout]
    for dtype in FLOATS:
        features = features_of(dtype, views=0)
        wanted = losses.supcon(features, LABELS, return_grad=True)
        found = losses.supcon(view(features), LABELS, return_grad=True)
        for one, other in zip(arrays_of(found), arrays_of(wanted), strict=True):
            np.testing.assert_array_equal(one, other, strict=True)
    features = features_of()
    turned = np.ascontiguousarray(features.swapaxes(0, 1)).swapaxes(0, 1)
    one, other = (losses.supcon(f, LABELS, return_grad=True) for f in (features, turned[:, :, ::-1][:, :, ::-1]))
    np.testing.assert_array_equal(one[1].features, other[1].features)


@pytest.mark.parametrize(("n", "d"), [(7, 1), (40, 300), (300, 7)])
def test_any_size(n, d):
    features, labels = cases.generator("sizes").normal(size=(n, 2, d)), cases.generator("labels").integers(0, 9, n)
    wanted = oracle.supcon(
        oracle.similarities(features.swapaxes(0, 1).reshape(-1, d)),
        np.tile(oracle.equal(labels, labels), (2, 2)),
        0.1,
    )
    for dtype in ("float64", "float32"):
        given_ = features.astype(dtype)
        found = losses.supcon(given_, labels, temperature=0.1, reduction="none")
        assert_near(found, wanted.values.reshape(2, -1).mean(axis=0), RTOL[dtype] * 2)
        one = losses.supcon(given_, labels, return_grad=True, num_threads=1)
        for threads in (2, 5):
            again = losses.supcon(given_, labels, return_grad=True, num_threads=threads)
            assert [a.tobytes() for a in arrays_of(again)] == [a.tobytes() for a in arrays_of(one)]


F = features_of()
REFUSED = [
    ({}, TypeError, ["features", "similarities"]),
    ({"features": F[0, 0]}, ValueError, ["features", r"\(3,\)"]),
    ({"features": F[:, :0]}, ValueError, ["features", r"\(6, 0, 3\)"]),
    ({"features": F.astype(complex)}, TypeError, ["features", "complex128"]),
    ({"features": F, "labels": [0, 1]}, ValueError, ["labels", r"\(2,\)", r"\b6\b"]),
    ({"features": F, "labels": LABELS, "mask": BOOLS}, ValueError, ["labels", "mask"]),
    ({"features": F, "mask": BOOLS[:2]}, ValueError, ["mask", r"\(2, 6\)"]),
    ({"features": F, "mask": -SOFT}, ValueError, ["mask", "-"]),
    ({"features": F, "mask": SOFT * np.nan}, ValueError, ["mask", "(?i)nan"]),
    ({"features": F, "similarities": S4}, ValueError, ["similarities"]),
    ({"similarities": S4[:2], "labels": [0, 1]}, ValueError, ["similarities", r"\(2, 4\)"]),
    ({"features": F, "contrast_mode": "two"}, ValueError, ["contrast_mode", "two", "one"]),
    ({"features": F, "temperature": 0}, ValueError, ["temperature"]),
    ({"features": F, "base_temperature": -1}, ValueError, ["base_temperature"]),
    ({"features": F, "weights": np.ones(12)}, ValueError, ["weights", r"\b6\b"]),
    ({"features": F, "metric": "jaccard"}, ValueError, ["metric", "jaccard"]),
]


@pytest.mark.parametrize(("arguments", "error", "words"), REFUSED)
def test_what_it_refuses(arguments, error, words):
    refused(losses.supcon, error, words, **arguments)
