"""custom: a loss given as a function on tiles, over embeddings and over a matrix."""

import re

import cases
import numpy as np
import pytest
from differences import S3, central
from fastpair.losses._custom import custom

METRICS = ("cosine", "dot", "sqeuclidean", "euclidean")


def info_nce(similarities, rows, temperature=0.5):
    logits = similarities / temperature
    logits = logits - logits.max(axis=1, keepdims=True)
    log_shares = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    own = np.arange(len(rows)), rows
    weights = np.exp(log_shares) / temperature
    weights[own] -= 1 / temperature
    return -log_shares[own], weights, (-(weights * similarities).sum(axis=1) / temperature,)


def scores_of(x, y, metric):
    if metric == "cosine":
        x, y = (np.array([r / np.linalg.norm(r) if r.any() else r for r in rows]) for rows in (x, y))
    if metric in ("cosine", "dot"):
        return x @ y.T
    squares = ((x[:, None] - y) ** 2).sum(axis=2)
    return -squares if metric == "sqeuclidean" else -np.sqrt(squares)


def test_numbers_of_the_specification():
    value, grads = custom(similarities=S3, tile_fn=lambda s, r: info_nce(s, r, 0.1), return_grad=True)
    assert value == pytest.approx(0.066015958632696, abs=1e-14)
    np.testing.assert_allclose(grads.similarities[0], [-0.02530584, 0.00301653, 0.02228931], atol=6e-9)
    assert grads.parameters[0].sum() == pytest.approx(1.601763232258, abs=1e-12)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("within", [False, True])
@pytest.mark.parametrize("max_memory", [None, 150_000])
def test_values_and_gradients_of_embeddings(metric, within, max_memory, rng):
    x, y = rng.normal(size=(40, 3)), rng.normal(size=(60, 3))
    weights = rng.uniform(size=40)

    def plain(x, y):
        return weights @ info_nce(scores_of(x, y, metric), np.arange(40))[0] / 40

    options = {"tile_fn": info_nce, "metric": metric, "weights": weights, "max_memory": max_memory}
    value, grads = custom(x, None if within else y, return_grad=True, **options)
    assert value == pytest.approx(plain(x, x if within else y), rel=1e-9)
    if within:
        assert grads.y is None
        np.testing.assert_allclose(grads.x, central(lambda a: custom(a, **options), x), atol=1e-7)
    else:
        np.testing.assert_allclose(grads.x, central(lambda a: plain(a, y), x), atol=1e-7)
        np.testing.assert_allclose(grads.y, central(lambda a: plain(x, a), y), atol=1e-7)


def test_tiles_are_as_small_as_the_memory(rng):
    heights = []

    def count(similarities, rows):
        heights.append(len(rows))
        assert similarities.shape == (len(rows), 50)
        return similarities[:, 0], np.zeros_like(similarities)

    scores = rng.normal(size=(40, 50))
    value = custom(similarities=scores, tile_fn=count, max_memory=20_000)
    assert value == pytest.approx(scores[:, 0].mean(), rel=1e-12)
    assert len(heights) > 5
    assert sum(heights) == 40
    with pytest.raises(ValueError, match="max_memory"):
        custom(similarities=scores, tile_fn=count, max_memory=100)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("on_empty", ["skip", "zero"])
@pytest.mark.parametrize("weight_norm", ["count", "weights"])
def test_reductions(reduction, on_empty, weight_norm, rng):
    scores, weights, upstream = rng.normal(size=(4, 5)), rng.uniform(size=4), rng.normal(size=4)
    valid = np.array([True, False, True, True])

    def total(at):
        values = weights * info_nce(at, np.arange(4))[0] * valid
        counted = valid if on_empty == "skip" else np.ones(4)
        divisor = counted.sum() if weight_norm == "count" else (counted * weights).sum()
        return values @ upstream if reduction == "none" else values.sum() / (divisor if reduction == "mean" else 1)

    needs = {"grad_output": upstream} if reduction == "none" else {}
    value, grads = custom(
        similarities=scores,
        tile_fn=info_nce,
        valid=valid,
        weights=weights,
        weight_norm=weight_norm,
        on_empty=on_empty,
        reduction=reduction,
        return_grad=True,
        **needs,
    )
    assert (value @ upstream if reduction == "none" else value) == pytest.approx(total(scores), rel=1e-12)
    np.testing.assert_allclose(grads.similarities, central(total, scores), atol=1e-8)
    assert (grads.similarities[1] == 0).all()


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16", "int8", "bool"])
def test_dtypes(dtype, rng):
    full = cases.as_dtype(dtype)
    x = (4 * rng.normal(size=(6, 8))).astype(np.int8) % 5
    stored = x.astype(full)
    exact, expected = custom(stored.astype(np.float64), tile_fn=info_nce, return_grad=True)
    value, grads = custom(stored, tile_fn=info_nce, return_grad=True)
    assert value == pytest.approx(exact, rel=1e-5)
    kind = np.dtype(np.float64) if full.kind in "ib" else full
    assert grads.x.dtype == kind
    np.testing.assert_allclose(grads.x.astype(float), expected.x, atol=1e-2 if full.itemsize == 2 else 1e-6)
    assert custom(similarities=stored[:, :6], tile_fn=info_nce, return_grad=True)[1].similarities.dtype == kind


def test_rows_of_zeros_and_equal_rows():
    x = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 0.0]])
    for metric in METRICS:
        for y in (None, x):
            value, grads = custom(x, y, tile_fn=info_nce, metric=metric, return_grad=True)
            assert np.isfinite(value)
            assert np.isfinite(grads.x).all()
    assert (custom(x, tile_fn=info_nce, return_grad=True)[1].x[0] == 0).all()


def test_rows_that_do_not_count_may_be_anything():
    scores = np.array([[1.0, 2.0], [np.nan, 1.0]])
    value, grads = custom(similarities=scores, tile_fn=info_nce, valid=[True, False], return_grad=True)
    assert value == info_nce(scores[:1], [0])[0][0]
    assert (grads.similarities[1] == 0).all()
    for shape in ((0, 0), (0, 3)):
        value, grads = custom(similarities=np.zeros(shape), tile_fn=info_nce, return_grad=True)
        assert value == 0
        assert grads.similarities.shape == shape
    assert custom(np.zeros((0, 3)), tile_fn=info_nce) == 0


def test_what_the_function_returns_is_not_changed():
    kept = np.ones((3, 3))
    custom(similarities=S3, tile_fn=lambda s, r: (s[:, 0], kept), return_grad=True)
    assert (kept == 1).all()


ONES = np.ones((3, 3))


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"tile_fn": 3}, TypeError, "tile_fn must be a function"),
        ({"tile_fn": lambda s, r: s}, TypeError, "tile_fn must return a tuple (values, weights), not ndarray"),
        ({"tile_fn": lambda s, r: (s, s)}, ValueError, "tile_fn returned values of shape (3, 3)"),
        ({"tile_fn": lambda s, r: (s[0], s[:, 1:])}, ValueError, "tile_fn returned weights of shape (3, 2)"),
        ({"tile_fn": lambda s, r: (s[0], s, (1.0,))}, ValueError, "derivatives by a parameter of shape ()"),
        ({"valid": [True]}, ValueError, "valid has shape (1,) and dtype bool"),
        ({"x": ONES}, ValueError, "similarities was given together with embeddings"),
        ({"metric": "manhattan"}, ValueError, "metric must be one of"),
        ({"weights": [1.0]}, ValueError, "weights has shape (1,)"),
        ({"similarities": None}, TypeError, "x is None"),
        ({"similarities": None, "x": ONES * np.nan}, ValueError, "x is nan at row 0, column 0"),
        ({"similarities": None, "x": ONES, "y": ONES[:, 1:]}, ValueError, "x has 3 columns but y has 2"),
    ],
)
def test_errors(options, kind, message):
    with pytest.raises(kind, match=re.escape(message)):
        custom(**{"similarities": S3, "tile_fn": info_nce, "return_grad": True, **options})
