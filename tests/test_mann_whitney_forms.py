"""mann_whitney by two arrays of scores, and by a matrix: positives, ignored entries, one negative set or one a row."""

import cases
import helpers
import numpy as np
import oracle_losses as oracle
import pytest
from fastpair import losses
from layouts import LAYOUTS
from score_losses import assert_close, assert_gradient

SURROGATES = tuple(oracle.SURROGATES)


def both_classes(dtype="float64", n=30, m=80):
    rng, full = cases.generator("classes", n, m), cases.as_dtype(dtype)
    pos, neg = rng.normal(1, 2, n), rng.normal(0, 2, m)
    if full.kind in "iu":
        pos, neg = np.rint(pos) + 9, np.rint(neg) + 9
    return (pos > 0, neg > 0) if full.kind == "b" else (pos.astype(full), neg.astype(full))


def assert_pair(found, loss, pos, neg, scale=1, about=""):
    """Value and gradients of positives and of negatives; `scale` is what the sum is multiplied by."""
    value, grads = found
    assert type(value) is np.float64
    assert type(grads)._fields == ("pos", "neg")
    assert_close(value, loss.total * scale, loss.total * scale, about=about)
    for own, given, part in ((grads.pos, pos, slice(len(pos))), (grads.neg, neg, slice(len(pos), None))):
        assert_gradient(own, loss.grad[part] * scale, loss.size[part] * scale, given, about=about)


@pytest.mark.parametrize("surrogate", SURROGATES)
def test_positives_and_negatives(surrogate, dtype, isa):
    pos, neg = both_classes(dtype)
    scores, labels = np.concatenate([pos, neg]), np.repeat([1, 0], [len(pos), len(neg)])
    loss = oracle.pair_loss(scores, labels, surrogate=surrogate, temperature=0.5)
    options = {"pos": pos, "neg": neg, "surrogate": surrogate, "temperature": 0.5, "return_grad": True}
    for normalizer, z in (("pairs", loss.norm), ("positives", len(pos)), ("groups", loss.norm), ("sum", 1)):
        for threads in helpers.THREADS:
            found = losses.mann_whitney(**options, normalizer=normalizer, num_threads=threads)
            assert_pair(found, loss, pos, neg, 1 / oracle.LONG(z), normalizer)
    value = losses.mann_whitney(pos=pos, neg=neg, surrogate=surrogate)
    assert value == pytest.approx(losses.mann_whitney(scores, labels, surrogate=surrogate), rel=1e-13)


def test_positives_and_negatives_of_two_dtypes():
    pos, neg = both_classes("float32")[0], both_classes("float64")[1]
    scores = np.concatenate([pos.astype(np.float64), neg])
    loss = oracle.pair_loss(scores, np.repeat([1, 0], [len(pos), len(neg)]))
    found = losses.mann_whitney(pos=pos, neg=neg, normalizer="sum", return_grad=True)
    assert_pair(found, loss, pos, neg)
    large = 2**53 + np.array([1, 3])  # not every int64 is a float64
    value, grads = losses.mann_whitney(pos=large, neg=np.float16([0, 1]), surrogate="logistic", return_grad=True)
    assert value == 0
    assert grads.neg.dtype == np.float16


def test_weights_of_positives_and_negatives():
    pos, neg = both_classes()
    rng = cases.generator("weights")
    heavy, light = rng.integers(0, 3, len(pos)), rng.random(len(neg))
    for given in ((heavy, light), (heavy, None), (None, light)):
        ones = [np.ones(len(s)) if w is None else w for s, w in zip((pos, neg), given, strict=True)]
        scores, labels = np.concatenate([pos, neg]), np.repeat([1, 0], [len(pos), len(neg)])
        loss = oracle.pair_loss(scores, labels, np.concatenate(ones))
        for normalizer, z in (("pairs", loss.norm), ("positives", loss.uppers), ("sum", 1)):
            options = {"weights": given, "normalizer": normalizer, "return_grad": True}
            found = losses.mann_whitney(pos=pos, neg=neg, **options)
            assert_pair(found, loss, pos, neg, 1 / oracle.LONG(z), normalizer)


def test_positives_and_negatives_in_any_layout():
    pos, neg = both_classes("float32")
    value, grads = losses.mann_whitney(pos=pos, neg=neg, return_grad=True)
    for name, layout in LAYOUTS.items():
        found, found_grads = losses.mann_whitney(pos=layout(pos), neg=layout(neg), return_grad=True)
        assert helpers.bits(found) == helpers.bits(value), name
        np.testing.assert_array_equal(found_grads.pos, grads.pos, err_msg=name, strict=True)
        np.testing.assert_array_equal(found_grads.neg, grads.neg, err_msg=name, strict=True)


@pytest.mark.parametrize(("n", "m"), [(0, 0), (0, 4), (4, 0)])
def test_no_positives_or_no_negatives_is_zero(n, m):
    value, grads = losses.mann_whitney(pos=np.ones(n), neg=np.ones(m), return_grad=True)
    assert type(value) is np.float64
    assert value == 0
    np.testing.assert_array_equal(grads.pos, np.zeros(n), strict=True)
    np.testing.assert_array_equal(grads.neg, np.zeros(m), strict=True)


def matrix(n=7, m=19, dtype="float64"):
    rng = cases.generator("matrix", n, m)
    similarities = rng.normal(size=(n, m)).astype(cases.as_dtype(dtype))
    return similarities, rng.random((n, m)) < 0.2, rng.random((n, m)) < 0.2


def relevance_of(shape, positives, ignore=None):
    """1 for positive entries, 0 for negative, NaN for those that are neither."""
    mask = np.zeros(shape, bool)
    positives = np.arange(shape[0]) if positives is None else np.asarray(positives)
    if positives.ndim == 1:
        mask[np.arange(shape[0]), positives] = True
    else:
        mask = positives
    relevance = mask.astype(float)
    if ignore is not None:
        relevance[ignore] = np.nan
    return relevance


def solve(similarities, relevance, scope, normalizer="pairs", **how):
    """Value, gradient and size of its terms of a matrix, by the oracle."""
    n = similarities.size
    rows = [np.arange(n)] if scope == "global" else np.split(np.arange(n), len(similarities))
    flat, labels = similarities.ravel(), relevance.ravel()
    return oracle.reduce([oracle.pair_loss(flat[r], labels[r]) for r in rows], rows, n, normalizer, **how)


POSITIVES = {
    "diagonal": lambda mask, m: None,
    "columns": lambda mask, m: np.arange(len(mask)) * 5 % m,
    "mask": lambda mask, m: mask,
}


@pytest.mark.parametrize("scope", ["global", "row"])
@pytest.mark.parametrize("form", POSITIVES)
@pytest.mark.parametrize("ignored", [False, True])
def test_a_matrix(form, scope, ignored):
    for n, m in ((7, 19), (1, 2), (12, 12), (5, 300)):
        similarities, mask, ignore = matrix(n, m)
        positives = POSITIVES[form](mask, m)
        relevance = relevance_of((n, m), positives)
        ignore = ignore & (relevance == 0) if ignored else None
        relevance = relevance_of((n, m), positives, ignore)
        for normalizer in ("pairs", "positives", "groups", "sum"):
            value, grad, size = solve(similarities, relevance, scope, normalizer)
            options = {"positives": positives, "ignore": ignore, "scope": scope, "normalizer": normalizer}
            for level, threads in helpers.engines():
                about = f"{n} x {m} {normalizer} {level} {threads}"
                found, grads = losses.mann_whitney(
                    similarities=similarities, return_grad=True, num_threads=threads, **options
                )
                assert type(grads)._fields == ("similarities",)
                assert grads.similarities.shape == (n, m)
                assert_close(found, value, value, about=about)
                assert_close(grads.similarities.ravel(), grad, size, about=about)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "int32"])
def test_a_matrix_of_any_dtype_and_layout(dtype):
    similarities, mask, _ = matrix(dtype=dtype)
    value, grad, size = solve(similarities, relevance_of((7, 19), mask), "row")
    expected = None
    for view in (np.copy, np.asfortranarray, lambda a: np.repeat(a, 2, axis=1)[:, ::2], lambda a: a[::-1].copy()[::-1]):
        found, grads = losses.mann_whitney(
            similarities=view(similarities), positives=view(mask), scope="row", return_grad=True
        )
        assert_close(found, value, value)
        assert_gradient(grads.similarities, grad, size, similarities)
        expected = helpers.bits(found) if expected is None else expected
        assert helpers.bits(found) == expected


def test_one_value_for_each_row():
    similarities, mask, _ = matrix()
    mask[2], mask[4] = False, True  # rows that lack a class
    upstream = np.linspace(-1, 1, 7)
    value, grad, size = solve(similarities, relevance_of((7, 19), mask), "row", reduction="none", upstream=upstream)
    options = {"positives": mask, "scope": "row", "reduction": "none"}
    found, grads = losses.mann_whitney(similarities=similarities, return_grad=True, grad_output=upstream, **options)
    assert_close(found, value, value)
    assert_close(grads.similarities.ravel(), grad, size)
    assert (found[2], found[4]) == (0, 0)
    np.testing.assert_array_equal(grads.similarities[[2, 4]], 0)
    assert losses.mann_whitney(similarities=similarities, positives=mask, reduction="none").shape == (1,)


def test_a_constant_for_each_row_matters_to_global_pairs_only():
    similarities, mask, _ = matrix()
    shifted = similarities + np.arange(7)[:, None]
    options = {"positives": mask, "scope": "row"}
    value = losses.mann_whitney(similarities=similarities, **options)
    assert losses.mann_whitney(similarities=shifted, **options) == pytest.approx(value, rel=1e-12)
    options["scope"] = "global"
    value = losses.mann_whitney(similarities=similarities, **options)
    assert abs(losses.mann_whitney(similarities=shifted, **options) - value) > 0.01


@pytest.mark.parametrize("surrogate", SURROGATES)
def test_rows_equal_lists(surrogate):
    similarities, mask, _ = matrix(20, 33)
    value, grads = losses.mann_whitney(
        similarities=similarities, positives=mask, scope="row", surrogate=surrogate, return_grad=True
    )
    found, by_list = losses.mann_whitney(
        similarities.ravel(), mask.ravel(), offsets=np.arange(0, 661, 33), surrogate=surrogate, return_grad=True
    )
    assert helpers.bits(value) == helpers.bits(found)
    np.testing.assert_array_equal(grads.similarities.ravel(), by_list.scores)


@pytest.mark.parametrize("shape", [(0, 0), (0, 5), (5, 0)])
def test_an_empty_matrix_is_zero(shape):
    mask = np.zeros(shape, bool)
    for scope in ("global", "row"):
        value, grads = losses.mann_whitney(similarities=np.ones(shape), positives=mask, scope=scope, return_grad=True)
        assert value == 0
        np.testing.assert_array_equal(grads.similarities, np.zeros(shape), strict=True)
