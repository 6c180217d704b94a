"""siglip, pairwise_bce and binary_opposite: a logistic loss for each pair; gradients by central differences."""

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
from test_oracle_contrastive import GOLDEN, S3

N, M, D = 5, 8, 3
SCALE, BIAS = 4.0, -1.5


def rng_of(*numbers):
    return cases.generator("siglip", *numbers)


MASK, COLUMNS = rng_of(1).random((N, M)) < 0.4, np.array([3, 0, -1, 7, 2])
IGNORE = (rng_of(2).random((N, M)) < 0.3) & ~oracle.mask_of(None, N, M)
X_LABELS, Y_LABELS = np.array([0, 1, 0, 2, 1]), np.array([0, 1, 0, 2, 1, 1, 0, 5])
SAME = oracle.equal(X_LABELS, Y_LABELS)
OPTIONS = {
    "plain": ({}, {}),
    "columns": ({"positives": COLUMNS}, {"positives": COLUMNS}),
    "mask": ({"positives": MASK}, {"positives": MASK}),
    "labels": ({"labels": (X_LABELS, Y_LABELS)}, {"positives": SAME}),
    "ignore": ({"ignore": IGNORE}, {"ignore": IGNORE}),
    "groups": ({"groups": (X_LABELS, Y_LABELS)}, {"ignore": ~SAME}),
    "ids": ({"ids": Y_LABELS}, {"ignore": oracle.equal(Y_LABELS[:N], Y_LABELS) & ~oracle.mask_of(None, N, M)}),
}


def number(metric="cosine", how=None, **options):
    def total(x=None, y=None, similarities=None, scale=SCALE, bias=BIAS):
        s = oracle.similarities(x, y, metric) if similarities is None else similarities
        return oracle.reduce(oracle.siglip(s, scale=scale, bias=bias, **options), **(how or {}))

    return total


def test_golden_numbers():
    assert losses.siglip(similarities=S3) == pytest.approx(GOLDEN["siglip"], abs=6e-13)
    assert losses.siglip(S3, np.eye(3), metric="dot") == pytest.approx(GOLDEN["siglip"], abs=6e-13)
    for n in (1, 2, 9):
        x = rows(rng_of(3), n, D)
        assert losses.siglip(x, x, scale=0.0, bias=0.0) == pytest.approx(n * np.log(2))


@pytest.mark.parametrize("name", OPTIONS)
def test_every_option(name):
    options, meant = OPTIONS[name]
    x, y = pair(rng_of(4), N, M, D)
    for given_ in ({"x": x, "y": y}, {"similarities": oracle.similarities(x, y)}):
        arrays = {**given_, "scale": SCALE, "bias": BIAS}
        found = losses.siglip(**arrays, **options, return_grad=True)
        assert_loss(found, number(**meant), arrays, about=name)
        assert losses.siglip(**arrays, **options) == found[0]


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dtype", FLOATS)
def test_metrics_and_dtypes(metric, dtype):
    x, y = pair(rng_of(5), N, M, D, dtype)
    arrays = {"x": x, "y": y, "scale": SCALE, "bias": BIAS}
    call = partial(losses.siglip, **arrays, metric=metric, return_grad=True)
    assert_loss(on_engines(call, 1e-11 if dtype == "float64" else 1e-2), number(metric), arrays, dtype, metric)
    x, labels = rows(rng_of(6), 6, D, dtype), np.array([0, 1, 0, 2, 1, 0])
    arrays = {"x": x, "scale": SCALE, "bias": BIAS}
    found = losses.siglip(**arrays, labels=labels, metric=metric, return_grad=True)
    own = np.eye(6, dtype=bool)
    assert_loss(found, number(metric, positives=oracle.equal(labels, labels), ignore=own), arrays, dtype, metric)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_reductions(reduction):
    x, y = pair(rng_of(7), N, M, D)
    weights, upstream = np.array([1.0, 0, 2, 0.5, 3]), np.array([1.0, 2, -1, 0, 0.5])
    ignore = IGNORE.copy()
    ignore[4] = True
    positives = np.array([0, 1, 2, 3, -1])
    arrays = {"x": x, "y": y, "scale": SCALE, "bias": BIAS}
    for on_empty in ("skip", "zero"):
        how = {"reduction": reduction, "weights": weights, "on_empty": on_empty, "weight_norm": "weights"}
        more = {"grad_output": upstream} if reduction == "none" else {}
        options = {"positives": positives, "ignore": ignore}
        value, grads = losses.siglip(**arrays, **options, **how, **more, return_grad=True)
        meant = number(how=how, **options)
        if reduction == "none":
            assert_near(value, meant(x, y), 1e-12)
            value = np.float64((upstream * value).sum())

        def total(**moved):
            return (upstream * meant(**moved)).sum() if reduction == "none" else meant(**moved)  # noqa: B023

        assert_loss((value, grads), total, arrays, about=on_empty)


@pytest.mark.parametrize("layout", matrix_layouts())
def test_layouts(layout):
    view = matrix_layouts()[layout]
    for dtype in FLOATS:
        x, y = pair(rng_of(8), N, M, D, dtype)
        wanted = losses.siglip(x, y, return_grad=True)
        found = losses.siglip(view(x), view(y), return_grad=True)
        for one, other in zip(arrays_of(found), arrays_of(wanted), strict=True):
            np.testing.assert_array_equal(one, other, strict=True)


@given(st.floats(-50, 50), st.floats(0.1, 1e4), st.booleans())
@settings(max_examples=40)
def test_one_pair(similarity, scale, positive):
    z = scale * similarity - 1
    value, grads = losses.siglip(similarities=[[similarity]], positives=[[positive]], scale=scale, bias=-1.0,
                                 return_grad=True)  # fmt: skip
    z = -z if positive else z
    assert value == pytest.approx(np.logaddexp(0, z), rel=1e-12, abs=1e-300)
    slope = (-1 if positive else 1) * np.exp(-np.logaddexp(0, -z))
    assert grads.similarities[0, 0] == pytest.approx(scale * slope, rel=1e-9, abs=1e-300)
    assert grads.bias == pytest.approx(slope, rel=1e-9, abs=1e-300)
    assert grads.scale == pytest.approx(similarity * slope, rel=1e-9, abs=1e-300)


@pytest.mark.parametrize("balance", ["pairs", "sides"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_pairwise_bce(balance, dtype):
    x, y = pair(rng_of(9), N, M, D, dtype)
    for metric in ("dot", "cosine"):
        for options in ({"positives": MASK}, {"positives": MASK, "ignore": IGNORE & ~MASK}, {"positives": COLUMNS},
                        {"labels": (X_LABELS, Y_LABELS)}, {}):  # fmt: skip
            arrays = {"x": x, "y": y, "scale": SCALE, "bias": BIAS}
            mask = SAME if "labels" in options else oracle.mask_of(options.get("positives"), N, M)

            def total(x, y, scale, bias, metric=metric, options=options, mask=mask):
                z = scale * oracle.similarities(x, y, metric) + bias
                return oracle.pairwise_bce(z, mask, balance, options.get("ignore"))

            found = losses.pairwise_bce(**arrays, metric=metric, balance=balance, **options, return_grad=True)
            assert_loss(found, total, arrays, dtype, f"{metric} {list(options)}")
    x, labels = rows(rng_of(10), 6, D, dtype), np.array([0, 1, 0, 2, 1, 0])

    def itself(x):
        own = np.eye(6, dtype=bool)
        return oracle.pairwise_bce(
            oracle.similarities(x, None, "dot"), oracle.equal(labels, labels) & ~own, balance, own
        )

    assert_loss(losses.pairwise_bce(x, labels=labels, balance=balance, return_grad=True), itself, {"x": x}, dtype)


@pytest.mark.parametrize("dtype", FLOATS)
def test_lists_of_pairs(dtype):
    s, positive = (rng_of(11).normal(size=20) * 2).astype(cases.as_dtype(dtype)), rng_of(12).random(20) < 0.3
    for balance in ("pairs", "sides"):

        def total(similarities, balance=balance):
            return oracle.pairwise_bce(similarities[:, np.newaxis], positive[:, np.newaxis], balance)

        found = losses.pairwise_bce(similarities=s, positives=positive, balance=balance, return_grad=True)
        assert_loss(found, total, {"similarities": s}, dtype, balance)
    values = losses.pairwise_bce(similarities=s, positives=positive, reduction="none")
    z = oracle.double(s)
    np.testing.assert_allclose(values, np.logaddexp(0, np.where(positive, -z, z)), rtol=2e-6)


def test_sides_that_are_empty():
    s = np.array([[0.5, -1.0], [2.0, 0.0]])
    for balance in ("pairs", "sides"):
        only = losses.pairwise_bce(similarities=s, positives=np.ones((2, 2), bool), balance=balance)
        assert only == pytest.approx(np.logaddexp(0, -s).mean())
        only = losses.pairwise_bce(similarities=s, positives=np.zeros((2, 2), bool), balance=balance)
        assert only == pytest.approx(np.logaddexp(0, s).mean())
        nothing = losses.pairwise_bce(similarities=s, positives=[-1, -1], ignore=np.ones((2, 2), bool), balance=balance)
        assert nothing == 0
    assert losses.siglip(similarities=s, positives=[-1, -1], ignore=np.ones((2, 2), bool)) == 0
    assert losses.siglip(np.zeros((0, 3)), np.zeros((0, 3))) == 0


@pytest.mark.parametrize("dtype", FLOATS)
def test_yes_and_no(dtype):
    yes, no = (rng_of(13, i).normal(size=(4, 4)).astype(cases.as_dtype(dtype)) for i in (0, 1))
    found = losses.binary_opposite(yes, no, return_grad=True)
    assert_loss(found, oracle.binary_opposite, {"yes": yes, "no": no}, dtype)
    assert losses.binary_opposite(yes, yes) == pytest.approx(2 * np.log(2))
    assert losses.binary_opposite(yes[:1, :1], yes[:1, :1]) == pytest.approx(np.log(2))
    assert losses.binary_opposite(yes[:0, :0], yes[:0, :0]) == 0


@pytest.mark.parametrize(("n", "m", "d"), [(1, 1, 1), (3, 700, 17), (301, 40, 300)])
def test_any_size(n, m, d):
    for dtype in ("float64", "float32"):
        x, y = pair(rng_of(n, m), n, m, d, dtype)
        positives = np.arange(n) % m
        wanted = oracle.siglip(oracle.similarities(x, y), positives).values
        one = losses.siglip(x, y, positives, reduction="none", num_threads=1)
        assert_near(one, wanted, RTOL[dtype])
        np.testing.assert_array_equal(losses.siglip(x, y, positives, reduction="none", num_threads=5), one)


REFUSED = [
    ("siglip", {"scale": -1}, ValueError, ["scale"]),
    ("siglip", {"scale": "1"}, TypeError, ["scale"]),
    ("siglip", {"bias": np.inf}, ValueError, ["bias"]),
    ("siglip", {"positives": np.eye(2, dtype=bool)}, ValueError, ["positives", r"\(2, 2\)"]),
    ("siglip", {"ignore": np.eye(3, dtype=bool)}, ValueError, ["ignore", "positive"]),
    ("siglip", {"x": S3}, ValueError, ["similarities"]),
    ("siglip", {"reduction": "average"}, ValueError, ["reduction", "average"]),
    ("siglip", {"weights": [1, 2]}, ValueError, ["weights", r"\b3\b"]),
    ("pairwise_bce", {"balance": "rows"}, ValueError, ["balance", "rows", "sides"]),
    ("pairwise_bce", {"balance": "sides", "reduction": "sum"}, ValueError, ["balance", "reduction"]),
    ("pairwise_bce", {"similarities": S3[0]}, ValueError, ["positives"]),
    ("pairwise_bce", {"similarities": S3[0], "positives": [1, 0, 1]}, ValueError, ["positives", "bool"]),
    ("pairwise_bce", {"similarities": S3[0], "positives": np.ones(2, bool)}, ValueError, ["positives", r"\b3\b|\(2"]),
]


@pytest.mark.parametrize(("name", "options", "error", "words"), REFUSED)
def test_what_they_refuse(name, options, error, words):
    refused(getattr(losses, name), error, words, **{"similarities": S3, **options})


def test_what_binary_opposite_refuses():
    refused(losses.binary_opposite, ValueError, ["yes", "no", r"\(2, 3\)"], S3, S3[:2])
    refused(losses.binary_opposite, ValueError, ["yes", r"\(2, 3\)"], S3[:2], S3[:2])
    refused(losses.binary_opposite, TypeError, ["no", "complex128"], S3, S3.astype(complex))
