"""Soft ranks and their vector-Jacobian product against the oracle: accuracy, lists, dtypes, limits."""

import cases
import helpers
import numpy as np
import oracle_losses as oracle
import oracle_ranks as ranks
import pytest
from fastpair import losses
from layouts import LAYOUTS
from pair_scores import DISTRIBUTIONS, draw
from score_losses import SIZES, assert_close, assert_engines_agree, assert_gradient, sample


def assert_ranks(scores, rows, temperature, rtol=1e-12, about="", **options):
    """Ranks are at least 1/2: their error is relative; that of the product to the size of its terms."""
    scores = np.asarray(scores)
    upstream = cases.generator("upstream", len(scores)).normal(size=len(scores))
    wanted, product, size = (np.zeros(len(scores), oracle.LONG) for _ in range(3))
    for own in rows:
        if len(own):
            wanted[own] = ranks.soft_rank(scores[own], temperature)
            product[own], size[own] = ranks.soft_rank_vjp(scores[own], upstream[own], temperature)
    options |= {"temperature": temperature, "rtol": rtol}
    found = losses.soft_rank(scores, **options)
    assert found.dtype == np.float64, about
    assert_close(found, wanted, np.abs(wanted), rtol, f"{about} ranks")
    back = losses.soft_rank_vjp(scores, upstream, **options)
    assert_gradient(back, product, size, scores, rtol, f"{about} product")


@pytest.mark.parametrize("name", DISTRIBUTIONS)
@pytest.mark.parametrize("n", [4, 200, 800])
def test_distributions(name, n):
    scores, _ = draw(name, n // 4, n - n // 4)
    for temperature in (1.0, 0.1) if n < 800 else (1.0,):
        assert_ranks(scores, [np.arange(n)], temperature, about=f"{temperature}")
    assert_ranks(scores, [np.arange(n)], 1.0, 1e-4, about="rtol 1e-4")


@pytest.mark.parametrize("temperature", [0.01, 0.37, 1.0, 30.0])
def test_lists(temperature):
    scores, _, offsets = sample("grades")
    rows = oracle.rows_of(len(scores), offsets=offsets)
    for level, threads in helpers.engines():
        assert_ranks(scores, rows, temperature, offsets=offsets, num_threads=threads, about=level)
    codes = cases.generator("ids").integers(0, 5, len(scores))
    assert_ranks(scores, oracle.rows_of(len(scores), groups=codes), temperature, groups=codes)


def test_scores_of_every_dtype(dtype, isa):
    scores, _, offsets = sample("grades", SIZES, dtype)
    assert_ranks(scores, oracle.rows_of(len(scores), offsets=offsets), 0.5, offsets=offsets)


def test_scores_in_any_layout():
    for dtype in ("float32", "float64", "int32"):
        scores, _, offsets = sample("grades", SIZES, dtype)
        upstream = cases.generator("layout").normal(size=len(scores))
        found = losses.soft_rank(scores, offsets=offsets)
        back = losses.soft_rank_vjp(scores, upstream, offsets=offsets)
        for name, layout in LAYOUTS.items():
            given = layout(scores)
            np.testing.assert_array_equal(losses.soft_rank(given, offsets=offsets), found, err_msg=name)
            again = losses.soft_rank_vjp(given, layout(upstream), offsets=offsets)
            np.testing.assert_array_equal(again, back, err_msg=name)


def test_small_lists_by_hand():
    np.testing.assert_array_equal(losses.soft_rank([]), np.zeros(0), strict=True)
    np.testing.assert_array_equal(losses.soft_rank([7.0]), [1.0])
    np.testing.assert_allclose(losses.soft_rank([3.0, 3.0, 3.0]), [2, 2, 2], rtol=1e-15)
    np.testing.assert_allclose(losses.soft_rank([0.0, 1.0]), [1 + 1 / (1 + np.exp(-1)), 1 + 1 / (1 + np.e)], rtol=1e-14)
    np.testing.assert_array_equal(losses.soft_rank_vjp([7.0], [2.0]), [0.0])


@pytest.mark.parametrize("n", [1, 2, 10, 1000, 30_000])
def test_ranks_add_up(n, isa):
    scores = cases.generator("sum", n).normal(size=n)
    for temperature in (0.001, 1.0, 100.0):
        found = losses.soft_rank(scores, temperature=temperature)
        assert found.sum() == pytest.approx(n * (n + 1) / 2, rel=1e-12)
        back = losses.soft_rank_vjp(scores, np.ones(n), temperature=temperature)
        np.testing.assert_allclose(back, 0, atol=1e-9 * n / temperature)


def test_cold_ranks_are_ranks():
    scores = cases.generator("cold").permutation(500) / 7
    found = losses.soft_rank(scores, temperature=1e-4)
    np.testing.assert_allclose(found, 500 - np.argsort(np.argsort(scores)), rtol=1e-13)


def test_infinite_scores(isa):
    scores = np.array([np.inf, 0.0, -np.inf, 0.5, np.inf, -np.inf])
    wanted = ranks.soft_rank(scores)
    np.testing.assert_allclose(losses.soft_rank(scores), wanted.astype(float), rtol=1e-13)
    back = losses.soft_rank_vjp(scores, np.arange(6.0))
    inner = losses.soft_rank_vjp([0.0, 0.5], [1.0, 3.0])
    np.testing.assert_allclose(back[[1, 3]], inner, rtol=1e-12)
    assert not np.isnan(back).any()


def test_a_nan_stays_in_its_list():
    scores = np.array([1.0, np.nan, 0.0, 2.0, 1.0])
    found = losses.soft_rank(scores, offsets=[0, 3, 5])
    np.testing.assert_array_equal(np.isnan(found), [True, True, True, False, False])
    back = losses.soft_rank_vjp(scores, np.ones(5), offsets=[0, 3, 5])
    np.testing.assert_array_equal(np.isnan(back), [True, True, True, False, False])


def test_the_product_is_a_central_difference(isa):
    rng = cases.generator("central")
    scores, upstream = rng.normal(size=12), rng.normal(size=12)
    for temperature in (0.3, 1.0):
        back = losses.soft_rank_vjp(scores, upstream, temperature=temperature)
        numeric = oracle.central(lambda s, t=temperature: upstream @ losses.soft_rank(s, temperature=t), scores)
        np.testing.assert_allclose(back, numeric, atol=1e-7)


def test_every_engine_agrees():
    scores = cases.generator("bits").standard_cauchy(40_000)
    upstream = cases.generator("more bits").normal(size=40_000)
    offsets = [0, 3, 100, 30_000, 40_000]
    for options in ({}, {"offsets": offsets}, {"rtol": 1e-5}):
        found = {}
        for engine in helpers.engines():
            ranked = losses.soft_rank(scores, num_threads=engine[1], **options)
            back = losses.soft_rank_vjp(scores, upstream, num_threads=engine[1], **options)
            found[engine] = ranked, back
        assert_engines_agree(found)
