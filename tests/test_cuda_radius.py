"""Radius search on the GPU: the hits of an exact comparison, in the order and with the bits of the processor."""

import cupy_on_host
import fastpair
import libraries
import numpy as np
import oracle_similarity as oracle
import pytest
from fastpair._cuda import plan, radius
from libraries import on_device, on_host
from searches import FLOAT_METRICS, RULES, rules, solved

N, M, D = 9, 140, 35


@pytest.fixture(params=["one tile", "tiles of 32"])
def tiles(request, monkeypatch):
    """One tile for everything, or many of 4 x 32 with a panel of y for each."""
    if request.param != "one tile":
        monkeypatch.setattr(plan, "MOST_ROWS", 4)
        monkeypatch.setattr(plan, "MOST_COLUMNS", 32)
        monkeypatch.setattr(plan, "USUAL_SCRATCH", 40_000)
    return request.param


def assert_hits(found, expected, about=""):
    assert isinstance(found, fastpair.similarity.RadiusHits)
    for name, seen, meant in zip(found._fields, on_host(found), expected, strict=True):
        np.testing.assert_array_equal(seen, meant, strict=True, err_msg=f"{name} {about}")


def cells():
    yield from ((metric, "gaussian") for metric in FLOAT_METRICS)
    for metric in ("cosine", "euclidean"):
        yield from ((metric, pattern) for pattern in ("duplicated", "tight", "with_zero_rows", "mixed_magnitudes"))


@pytest.mark.parametrize(("metric", "pattern"), list(cells()))
def test_hits_are_those_of_the_processor(metric, pattern, tiles, cupy):
    x, y, scores = solved(pattern, "float32", metric, N, M, D)
    for share in (0.0, 0.4):
        threshold = np.quantile(scores, 1 - share if oracle.is_similarity(metric) else share, axis=1, method="nearest")
        if metric in ("poincare", "lorentz"):  # the last bits of logarithms are those of the library
            threshold = threshold * (1 + 1e-9)
        for largest in (True, False):
            options = {"metric": metric, "largest": largest}
            expected = fastpair.radius(x, y, threshold, **options)
            found = fastpair.radius(*on_device(cupy, (x, y, threshold)), **options)
            if metric in ("poincare", "lorentz"):
                np.testing.assert_array_equal(found.indices.get(), expected.indices)
                np.testing.assert_allclose(found.scores.get(), expected.scores, rtol=1e-14)
            else:
                assert_hits(found, expected, f"{share} {largest}")
                best = fastpair.radius(*on_device(cupy, (x, y, threshold)), sort=True, **options)
                assert_hits(best, fastpair.radius(x, y, threshold, sort=True, **options), "sorted")


@pytest.mark.parametrize("metric", oracle.BITS)
def test_bits(metric, tiles, cupy, rng):
    x, y = rng.random((N, 70)) < 0.3, rng.random((M, 70)) < 0.3
    threshold = np.quantile(oracle.pairwise(x, y, metric), 0.2, method="nearest")
    expected = fastpair.radius(x, y, threshold, metric=metric)
    assert_hits(fastpair.radius(*on_device(cupy, (x, y)), threshold, metric=metric), expected)


def test_rules_act_inside_the_search(cupy, rng):
    x, y, scores = solved("gaussian", "float16", "euclidean", 5, M, D)
    for name in RULES:
        if name == "labels of strings":
            continue
        given, meant = rules(name, rng, 5, M, scores)
        if "exclude" in given:
            lists = given["exclude"]
            given["exclude"] = np.cumsum([0, *map(len, lists)]), np.array([j for row in lists for j in row], np.int64)
        allowed = oracle.admitted(scores, **meant)
        threshold = float(np.quantile(scores, 0.5))
        for largest in (True, False):
            found = fastpair.radius(
                *on_device(cupy, (x, y)), threshold, metric="euclidean", largest=largest, **on_device(cupy, given)
            )
            assert_hits(found, oracle.radius(scores, threshold, largest, allowed), name)


@pytest.mark.parametrize("threshold", [-np.inf, np.inf, 0, 2])
def test_all_or_nothing(threshold, tiles, cupy):
    for metric in ("cosine", "manhattan"):
        x, y, scores = solved("gaussian", "float32", metric, 2, 900, 3)
        found = fastpair.radius(*on_device(cupy, (x, y)), threshold, metric=metric)
        assert_hits(found, oracle.radius(scores, threshold, oracle.is_similarity(metric)))


@pytest.mark.parametrize("backwards", [False, True])
def test_hits_that_there_was_no_room_for(backwards, cupy, monkeypatch):
    if not libraries.has_gpu():
        monkeypatch.setattr(cupy_on_host.module.RawKernel, "backwards", backwards)
    monkeypatch.setitem(radius.__globals__, "LEAST_ROOM", 5)
    monkeypatch.setattr(plan, "USUAL_SCRATCH", 20_000)
    x, y, scores = solved("duplicated", "float32", "cosine", N, M, D)
    for sort in (False, True):
        found = fastpair.radius(*on_device(cupy, (x, y)), 0.0, sort=sort)
        assert_hits(found, oracle.radius(scores, 0.0, True, best_first=sort))


def test_too_many_hits(xp):
    x, y, scores = solved("gaussian", "float32", "cosine", N, M, D)
    hits = int((scores >= 0.05).sum())
    assert len(fastpair.radius(*on_device(xp, (x, y)), 0.05, max_hits=hits).indices) == hits
    with pytest.raises(ValueError, match=rf"more than max_hits={hits - 1} hits; narrow the threshold"):
        fastpair.radius(*on_device(xp, (x, y)), 0.05, max_hits=hits - 1)
    with pytest.raises(ValueError, match="max_hits=0"):
        fastpair.radius(*on_device(xp, (x, y)), 0.05, max_hits=0)


@pytest.mark.parametrize(("n", "m", "d"), [(0, 5, 3), (5, 0, 3), (0, 0, 0), (3, 5, 0), (1, 1, 1)])
def test_any_size(n, m, d, xp):
    for metric in ("dot", "euclidean"):
        x, y, scores = solved("gaussian", "float32", metric, n, m, d)
        found = fastpair.radius(*on_device(xp, (x, y)), 0.0, metric=metric)
        assert_hits(found, oracle.radius(scores, 0.0, oracle.is_similarity(metric)))


def test_errors(xp):
    x, y, _ = solved("gaussian", "float32", "cosine", N, M, D)
    broken = y.copy()
    broken[7, 2] = np.inf
    with pytest.raises(ValueError, match=r"^y is inf at row 7, column 2; embeddings must be finite"):
        fastpair.radius(*on_device(xp, (x, broken)), 0.5)
    limits = np.zeros(N)
    limits[4] = np.nan
    with pytest.raises(ValueError, match="threshold is nan for row 4"):
        fastpair.radius(*on_device(xp, (x, y, limits)))
    with pytest.raises(ValueError, match="threshold has shape"):
        fastpair.radius(*on_device(xp, (x, y, limits[:3])))


def test_thresholds_on_the_other_side_are_refused(cupy):
    x, y, _ = solved("gaussian", "float32", "cosine", N, M, D)
    with pytest.raises(TypeError, match=r"but threshold is a numpy.ndarray in host memory"):
        fastpair.radius(*on_device(cupy, (x, y)), np.zeros(N))
    with pytest.raises(TypeError, match=r"but x is a numpy.ndarray in host memory"):
        fastpair.radius(x, y, cupy.zeros(N))


@pytest.mark.skipif(libraries.has_gpu(), reason="counts what the stand-in does")
def test_the_host_waits_for_the_threshold_and_for_the_hits(cupy):
    given = on_device(cupy, solved("gaussian", "float32", "cosine", N, M, D)[:2])
    before = cupy_on_host.transfers.count
    fastpair.radius(*given, 0.5)
    assert cupy_on_host.transfers.count == before + 1
    fastpair.radius(*given, cupy.full(N, 0.5))
    assert cupy_on_host.transfers.count == before + 3
