"""bpr, top1, bpr_max and margin_ranking: positives, each with its own negatives."""

from functools import partial
from math import exp, log

import cases
import helpers
import numpy as np
import oracle_losses as oracle
import oracle_ranks as ranks
import pytest
from fastpair import losses
from layouts import LAYOUTS
from score_losses import assert_close, assert_engines_agree, assert_gradient

INF = np.inf


def oracle_of_rows(pos, neg, regularization=1.0):
    value, by_pos, by_neg = ranks.bpr_max(pos, neg if neg.ndim == 2 else neg[:, None], regularization)
    return value, by_pos, by_neg.reshape(neg.shape)


LOSSES = {  # public function, its oracle, whether values are pairs (else rows)
    "bpr": (losses.bpr, ranks.aligned, True),
    "bpr at sigma 4": (partial(losses.bpr, sigma=4.0), partial(ranks.aligned, temperature=0.25), True),
    "margin_ranking": (losses.margin_ranking, partial(ranks.aligned, surrogate="hinge"), True),
    "margin 0.3": (
        partial(losses.margin_ranking, margin=0.3),
        partial(ranks.aligned, surrogate="hinge", margin=0.3),
        True,
    ),
    "top1": (losses.top1, ranks.top1, True),
    "bpr_max": (losses.bpr_max, oracle_of_rows, False),
    "bpr_max of 0.3": (
        partial(losses.bpr_max, regularization=0.3),
        partial(oracle_of_rows, regularization=0.3),
        False,
    ),
    "bpr_max of 0": (partial(losses.bpr_max, regularization=0), partial(oracle_of_rows, regularization=0), False),
}
THREADED = ("bpr", "bpr at sigma 4", "margin_ranking", "margin 0.3")
SHAPES = ((1,), (17,), (1, 1), (5, 1), (33, 2), (40, 7), (3, 100), (257, 16))


@pytest.fixture(params=LOSSES)
def row(request):
    """Every loss with its oracle, and whether it takes a number of threads."""
    return *LOSSES[request.param], request.param in THREADED


def draw(shape, dtype="float64", spread=1.5):
    rng, full = cases.generator("aligned", *shape), cases.as_dtype(dtype)
    pos, neg = rng.normal(0.5, spread, shape[0]), rng.normal(0, spread, shape)
    if full.kind in "iu":
        pos, neg = np.rint(pos) + 5, np.rint(neg) + 5
    return (pos > 0, neg > 0) if full.kind == "b" else (pos.astype(full), neg.astype(full))


def solve(row, pos, neg, reduction="mean", weights=None, upstream=None):
    """Value, gradients, and the size of what is added up in them."""
    _, formula, by_pair, _ = row
    value, by_pos, by_neg = formula(pos, neg)
    width = neg.shape[1] if neg.ndim == 2 and by_pair else 1
    by_row = value.sum(axis=1) / width if value.ndim == 2 else value
    scale = np.ones(len(pos), oracle.LONG) if weights is None else oracle.long(weights)
    by_row = oracle.times(scale, by_row)
    total = by_row if reduction == "none" else by_row.sum() / (len(pos) if reduction == "mean" else 1)
    scale = scale / (len(pos) if reduction == "mean" else 1) / width * (1 if upstream is None else upstream)
    wide = scale if neg.ndim == 1 else scale[:, None]
    size = np.abs(by_neg) if neg.ndim == 1 else np.abs(by_neg).sum(axis=1)
    by_pos = by_pos.sum(axis=1) if by_pos.ndim == 2 else by_pos
    return total, scale * by_pos, np.abs(scale) * size, wide * by_neg


def assert_aligned(found, wanted, pos, neg, rtol=1e-12, about=""):
    (value, grads), (total, by_pos, size, by_neg) = found, wanted
    assert_close(value, total, np.maximum(np.abs(total), 1e-3 if np.ndim(total) else 0), rtol, f"{about} value")
    assert type(grads)._fields == ("pos", "neg"), about
    full = max(float(np.abs(by_neg).max(initial=0)), float(size.max(initial=0)), 1e-300)
    for own, given, want in ((grads.pos, pos, by_pos), (grads.neg, neg, by_neg)):
        # bpr_max subtracts shares of a softmax: relative to the largest component
        assert_gradient(own, want, np.maximum(np.abs(want), full * 1e-3), given, rtol, about)


def test_it_agrees_with_the_oracle(row):
    for shape in SHAPES:
        pos, neg = draw(shape)
        for reduction in ("mean", "sum"):
            wanted = solve(row, pos, neg, reduction)
            for level, threads in helpers.engines() if row[-1] else [("any", 1)]:
                options = {"num_threads": threads} if row[-1] else {}
                found = row[0](pos, neg, reduction=reduction, return_grad=True, **options)
                assert_aligned(found, wanted, pos, neg, about=f"{shape} {reduction} {level} {threads}")
                assert type(found[0]) is np.float64
            assert row[0](pos, neg, reduction=reduction) == found[0]


def test_one_value_for_each_row(row):
    for shape in ((17,), (40, 7)):
        pos, neg = draw(shape)
        upstream = np.linspace(-1, 2, shape[0])
        wanted = solve(row, pos, neg, "none", upstream=upstream)
        found = row[0](pos, neg, reduction="none", return_grad=True, grad_output=upstream)
        assert_aligned(found, wanted, pos, neg)
        np.testing.assert_array_equal(row[0](pos, neg, reduction="none"), found[0], strict=True)


def test_weights(row):
    for shape in ((17,), (40, 7)):
        pos, neg = draw(shape)
        for weights in (np.arange(shape[0]) / 5, np.zeros(shape[0]), np.ones(shape[0], int)):
            for reduction in ("mean", "sum"):
                wanted = solve(row, pos, neg, reduction, weights)
                found = row[0](pos, neg, reduction=reduction, weights=weights, return_grad=True)
                assert_aligned(found, wanted, pos, neg)


def test_scores_of_every_dtype(row, dtype):
    rounding = {"float16": 2e-3, "bfloat16": 2e-2, "float32": 2e-6}.get(dtype, 1e-12)
    for shape in ((33,), (40, 7)):
        pos, neg = draw(shape, dtype)
        wanted = solve(row, pos, neg, "sum")
        found = row[0](pos, neg, reduction="sum", return_grad=True)
        value, _ = found
        assert_close(value, wanted[0], wanted[0], 2e-6 if rounding > 1e-12 else 1e-12, dtype)
        assert_aligned(found, wanted, pos, neg, max(rounding, 1e-12), dtype)


def test_arrays_in_any_layout(row):
    for dtype in ("float32", "float64", "float16", "int32"):
        pos, neg = draw((40,), dtype)
        value, grads = row[0](pos, neg, return_grad=True)
        for name, layout in LAYOUTS.items():
            given = layout(pos), layout(neg)
            found, found_grads = row[0](*given, return_grad=True)
            assert found == value, (name, dtype)
            np.testing.assert_array_equal(found_grads.pos, grads.pos, err_msg=name, strict=True)
            np.testing.assert_array_equal(found_grads.neg, grads.neg, err_msg=name, strict=True)
        pos, neg = draw((40, 7), dtype)
        value, grads = row[0](pos, neg, return_grad=True)
        views = (np.asfortranarray(neg), np.repeat(neg, 2, axis=1)[:, ::2], neg[:, ::-1].copy()[:, ::-1])
        for view in (*views, neg.astype(neg.dtype.newbyteorder("S"))):
            found, found_grads = row[0](pos, view, return_grad=True)
            assert found == value, dtype
            np.testing.assert_array_equal(found_grads.neg, grads.neg, strict=True)


@pytest.mark.parametrize("shape", [(0,), (0, 3), (4, 0), (0, 0)])
def test_no_pairs_are_zero(row, shape):
    value, grads = row[0](np.ones(shape[0]), np.ones(shape), return_grad=True)
    assert value == 0
    np.testing.assert_array_equal(grads.pos, np.zeros(shape[0]), strict=True)
    np.testing.assert_array_equal(grads.neg, np.zeros(shape), strict=True)


def test_a_nan_stays_in_its_row(row):
    pos, neg = draw((5, 3))
    pos[1], neg[3, 2] = np.nan, np.nan
    values = row[0](pos, neg, reduction="none")
    np.testing.assert_array_equal(np.isnan(values), [False, True, False, True, False])
    value, grads = row[0](pos, neg, return_grad=True)
    assert np.isnan(value)
    assert np.isnan(grads.pos[[1, 3]]).all()
    assert not np.isnan(grads.neg[[0, 2, 4]]).any()


def test_gradients_are_central_differences(row):
    pos, neg = draw((6, 3))
    _, grads = row[0](pos, neg, return_grad=True)
    np.testing.assert_allclose(grads.pos, oracle.central(lambda p: row[0](p, neg), pos), atol=1e-8)
    np.testing.assert_allclose(grads.neg, oracle.central(lambda n: row[0](pos, n), neg), atol=1e-8)


def test_numbers_by_hand():
    assert losses.bpr([1.0], [1.0]) == pytest.approx(log(2), rel=1e-14)
    assert losses.bpr([1.0, 0.0], [[0.0], [0.0]]) == pytest.approx((log(1 + exp(-1)) + log(2)) / 2, rel=1e-14)
    assert losses.top1([0.0], [0.0]) == pytest.approx(1, rel=1e-15)
    assert losses.margin_ranking([1.0, 3.0], [[0.5, 2.0], [0.0, 2.5]]) == (0.5 + 2 + 0 + 0.5) / 4
    # two equal negatives have shares of one half: -log sigma(1 - 2) + 4
    assert losses.bpr_max([1.0], [[2.0, 2.0]]) == pytest.approx(log(1 + exp(1)) + 4, rel=1e-14)


def test_the_hinge_at_its_kink_has_slope_0():
    value, grads = losses.margin_ranking([2.0], [1.0], return_grad=True)
    assert (value, grads.pos[0], grads.neg[0]) == (0, 0, 0)


@pytest.mark.parametrize(("pos", "neg", "value", "slope"), [
    (INF, 0.0, 0, 0), (0.0, INF, INF, 1), (INF, INF, log(2), 0.5), (-INF, -INF, log(2), 0.5),
    (0.0, -INF, 0, 0), (-INF, 1.0, INF, 1), (800.0, 0.0, 0, 0), (0.0, 800.0, 800, 1), (0.0, 30.0, 30, 1),
])  # fmt: skip
def test_bpr_at_its_limits(pos, neg, value, slope, isa):
    found, grads = losses.bpr([pos], [neg], return_grad=True)
    assert found == pytest.approx(value, rel=1e-12, abs=1e-300)
    np.testing.assert_allclose([grads.pos[0], grads.neg[0]], [-slope, slope], rtol=1e-12, atol=1e-300)


def test_bpr_keeps_tiny_losses(isa):
    """Where RecBole's log(1e-10 + sigma) saturates, and where log(sigma) rounds to 0."""
    for difference in (-700.0, -25.0, 30.0, 40.0, 300.0, 700.0):
        wanted = ranks.aligned([difference], [0.0])[0][0]
        value = losses.bpr([difference], [0.0])
        assert_close(value, wanted, wanted)


def test_bpr_max_does_not_saturate():
    """All negatives far above: -log(0) in the plain formula."""
    pos, neg = np.array([-900.0, 0.0]), np.array([[10.0, 12.0], [800.0, 801.0]])
    wanted = ranks.bpr_max(pos, neg, 0.0)
    value, grads = losses.bpr_max(pos, neg, regularization=0.0, reduction="sum", return_grad=True)
    assert_close(value, wanted[0].sum(), wanted[0].sum())
    np.testing.assert_allclose(grads.neg, wanted[2].astype(float), atol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_engine_agrees_on_many_rows(dtype):
    pos, neg = draw((30_000, 3), dtype)
    for call in (losses.bpr, losses.margin_ranking):
        found = {}
        for engine in helpers.engines():
            value, grads = call(pos, neg, return_grad=True, num_threads=engine[1])
            found[engine] = value, grads.pos, grads.neg
        assert_engines_agree(found)
