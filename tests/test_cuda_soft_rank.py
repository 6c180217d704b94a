"""Soft ranks and their vector-Jacobian product on arrays of numpy and CuPy: against the oracle, and each other."""

import cases
import cupy_on_host
import libraries
import numpy as np
import oracle_losses as oracle
import oracle_ranks as ranks
import pytest
from cupy_on_host import module
from fastpair import losses
from fastpair._cuda import soft_ranks, treecode
from libraries import on_device, on_host
from pair_scores import DISTRIBUTIONS, draw
from score_losses import assert_close, assert_gradient, sample

INF, NAN = np.inf, np.nan


@pytest.fixture(params=["pair by pair", "boxes", "boxes without empty ones"])
def path(request, monkeypatch):
    """Each way through the kernels; on the last one threads of a block run backwards."""
    if request.param != "pair by pair":
        monkeypatch.setattr(soft_ranks, "LONG_LIST", 4)
    if request.param == "boxes without empty ones":
        monkeypatch.setattr(treecode, "ALL_BOXES", 0)
        monkeypatch.setattr(module.RawKernel, "backwards", True)
    return request.param


def run(xp, call, *args, **options):
    """A call with its arrays in the library, and what it returns on the host."""
    given = on_device(xp, args), on_device(xp, options)
    result = call(*given[0], **given[1])
    assert isinstance(result, xp.ndarray)
    return on_host(result)


def assert_ranks(xp, scores, rows, about="", rtol=1e-12, temperature=1.0, **options):
    """Ranks are at least 1/2: their error is relative; that of the product to the size of its terms."""
    upstream = cases.generator("upstream", len(scores)).normal(size=len(scores))
    wanted, product, size = (np.zeros(len(scores), oracle.LONG) for _ in range(3))
    for own in rows:
        wanted[own] = ranks.soft_rank(scores[own], temperature)
        product[own], size[own] = ranks.soft_rank_vjp(scores[own], upstream[own], temperature)
    options |= {"temperature": temperature, "rtol": rtol}
    found = run(xp, losses.soft_rank, scores, **options)
    assert found.dtype == np.float64
    assert_close(found, wanted, np.abs(wanted), rtol, f"{about} ranks")
    back = run(xp, losses.soft_rank_vjp, scores, upstream, **options)
    assert_gradient(back, product, size, scores, rtol, f"{about} product")


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_distributions(cupy, path, name):
    scores, _ = draw(name, 20, 50)
    assert_ranks(cupy, scores, [np.arange(70)], name)


@pytest.mark.parametrize("temperature", [0.01, 30.0])
def test_lists(xp, path, temperature):
    scores, _, offsets = sample("grades")
    rows = [own for own in oracle.rows_of(len(scores), offsets=offsets) if len(own)]
    assert_ranks(xp, scores, rows, temperature=temperature, offsets=offsets)
    codes = cases.generator("ids").integers(0, 5, len(scores))
    rows = oracle.rows_of(len(scores), groups=codes)
    assert_ranks(xp, scores, rows, temperature=temperature, groups=codes)


@pytest.mark.parametrize("rtol", [1e-2, 1e-13])
def test_the_accuracy_that_is_asked_for(cupy, monkeypatch, rtol):
    monkeypatch.setattr(soft_ranks, "LONG_LIST", 4)
    for name in ("normal", "ties", "cauchy"):
        scores, _ = draw(name, 30, 60)
        assert_ranks(cupy, scores, [np.arange(90)], name, rtol)


def test_scores_of_every_dtype(cupy, dtype):
    scores, _, offsets = sample("grades", (9, 0, 21, 1), dtype)
    upstream = cases.generator("cuda upstream").normal(size=len(scores))
    own = cupy.asarray(np.repeat(scores, 2))[::2]  # strided
    found, wanted = (losses.soft_rank(s, offsets=o) for s, o in ((own, cupy.asarray(offsets)), (scores, offsets)))
    np.testing.assert_allclose(found.get(), wanted, rtol=1e-12)
    back = losses.soft_rank_vjp(own, cupy.asarray(upstream), offsets=cupy.asarray(offsets)).get()
    wanted = losses.soft_rank_vjp(scores, upstream, offsets=offsets)
    assert back.dtype == wanted.dtype
    rounding = {"float16": 1e-3, "bfloat16": 1e-2, "float32": 2e-7}.get(back.dtype.name, 1e-12)
    back, wanted = back.astype(np.float64), wanted.astype(np.float64)
    np.testing.assert_allclose(back, wanted, rtol=rounding, atol=rounding * 1e-2)
    assert own.get().tobytes() == scores.tobytes()


def test_few_scores(cupy, path):
    for scores in ([], [7.0], [3.0, 3.0, 3.0], [0.0, 1.0], [-0.0, 0.0], [5e-324, 0.0]):
        given = np.array(scores)
        np.testing.assert_allclose(run(cupy, losses.soft_rank, given), losses.soft_rank(given), rtol=1e-13)
        back = run(cupy, losses.soft_rank_vjp, given, given + 1)
        np.testing.assert_allclose(back, losses.soft_rank_vjp(given, given + 1), rtol=1e-12, atol=1e-300)


def test_infinite_scores_and_nan(cupy, path):
    scores = np.array([INF, 0.0, -INF, 0.5, INF, -INF, 1.0, 2.0, 1.0, NAN, 0.0, 1.0, INF, INF, INF, INF, INF, INF])
    upstream = np.arange(18.0) - 4
    offsets = np.array([0, 6, 12, 18])
    found = run(cupy, losses.soft_rank, scores, offsets=offsets)
    np.testing.assert_allclose(found, losses.soft_rank(scores, offsets=offsets), rtol=1e-13)
    back = run(cupy, losses.soft_rank_vjp, scores, upstream, offsets=offsets)
    np.testing.assert_allclose(back, losses.soft_rank_vjp(scores, upstream, offsets=offsets), rtol=1e-12, atol=1e-15)


def test_scores_too_far_apart_for_boxes(cupy, monkeypatch):
    monkeypatch.setattr(soft_ranks, "LONG_LIST", 4)
    scores = np.array([1e308, -1e308, 1e300, 0.0, 5e-324, 1e-300, 1e308])
    for temperature in (1.0, 1e-300, 1e300):
        assert_ranks(cupy, scores, [np.arange(7)], str(temperature), temperature=temperature)


def test_more_than_a_block(cupy, path):
    rng = cases.generator("cuda ranks")
    scores, offsets = rng.normal(size=420), np.array([0, 130, 130, 420])
    upstream = rng.normal(size=420)
    found = run(cupy, losses.soft_rank, scores, offsets=offsets)
    np.testing.assert_allclose(found, losses.soft_rank(scores, offsets=offsets), rtol=1e-12)
    back = run(cupy, losses.soft_rank_vjp, scores, upstream, offsets=offsets)
    np.testing.assert_allclose(back, losses.soft_rank_vjp(scores, upstream, offsets=offsets), rtol=1e-9, atol=1e-10)


def test_errors(cupy):
    scores, host = cupy.arange(4.0), np.arange(4.0)
    with pytest.raises(TypeError, match="host memory"):
        losses.soft_rank_vjp(scores, host)
    with pytest.raises(TypeError, match="host memory"):
        losses.soft_rank(host, offsets=cupy.asarray([0, 4]))
    for bad in ({"temperature": 0.0}, {"rtol": 1.0}, {"offsets": np.array([0, 3])}):
        with pytest.raises(ValueError, match=r".") as wanted:
            losses.soft_rank(host, **bad)
        with pytest.raises(ValueError, match=r".") as found:
            losses.soft_rank(scores, **on_device(cupy, bad))
        assert str(found.value) == str(wanted.value)


@pytest.mark.skipif(libraries.has_gpu(), reason="counts what the stand-in copies to the host")
def test_the_host_waits_for_long_lists_only(cupy, monkeypatch):
    scores = cupy.asarray(cases.generator("cuda waits").normal(size=20))

    def reads():
        before = cupy_on_host.transfers.count
        losses.soft_rank_vjp(scores, losses.soft_rank(scores))
        return cupy_on_host.transfers.count - before

    assert reads() == 0
    monkeypatch.setattr(soft_ranks, "LONG_LIST", 4)
    assert reads() == 2
