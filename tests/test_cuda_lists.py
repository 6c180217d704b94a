"""What losses over lists are composed of: reductions, scans and orders of lists on the GPU give what numpy gives."""

import ml_dtypes
import numpy as np
import pytest
from cupy_on_host import module
from fastpair import _cuda
from fastpair._cuda import lists as kernels
from fastpair.losses._gpu_lists import GpuLists
from fastpair.losses._lists import Lists, Reduction

NAN, INF = np.nan, np.inf
SIZES = {
    "short": (3, 1, 0, 17, 2, 40, 0, 33, 1),
    "units": (5, 4500, 2, 0, 2048),  # of several units of work, and of several tiles of a scan
    "one": (2300,),
    "none": (),
    "empty": (0, 0),
}


@pytest.fixture(params=[False, True], ids=["forwards", "backwards"])
def turns(request, monkeypatch):
    monkeypatch.setattr(module.RawKernel, "backwards", request.param)


@pytest.fixture(params=SIZES)
def both(request, cupy, turns):
    """Lists of numpy and of CuPy, and hard values of their elements."""
    offsets = np.concatenate([[0], np.cumsum(SIZES[request.param], dtype=np.int64)])
    rng = np.random.default_rng(len(request.param))
    values = rng.integers(-3, 4, offsets[-1]) + rng.choice([0, 0.25, 1e-9], offsets[-1])
    values[rng.random(len(values)) < 0.05] = -INF
    return Lists(offsets), GpuLists(cupy.asarray(offsets), None, int(offsets[-1])), values


def test_reductions(cupy, both):
    own, other, values = both
    missing = np.where(np.arange(len(values)) % 50 == 7, NAN, values)
    for array in (values, missing):
        for name in ("sum", "max", "min", "logsumexp"):
            found = getattr(other, name)(cupy.asarray(array)).get()
            np.testing.assert_allclose(found, getattr(own, name)(array), rtol=1e-13, atol=1e-12, err_msg=name)
    for dtype in ("bool", "int8", "uint16", "int64", "float16", "float32"):
        narrow = np.where(np.isinf(values), 0, np.abs(values)).astype(dtype)
        np.testing.assert_allclose(other.sum(cupy.asarray(narrow)).get(), own.sum(narrow), rtol=1e-13)
    narrow = np.where(np.isinf(values), 0, values).astype(ml_dtypes.bfloat16)
    np.testing.assert_allclose(other.sum(cupy.asarray(narrow)).get(), own.sum(narrow.astype(float)), rtol=1e-13)


def test_scans(cupy, both):
    own, other, values = both
    wide = np.where(np.arange(len(values)) % 7 == 3, 1e6 * values, values)
    missing = np.where(np.arange(len(values)) % 1000 == 2, NAN, values)
    for array in (values, wide, missing):
        for name in ("suffix_logsumexp", "prefix_logsumexp"):
            found = getattr(other, name)(cupy.asarray(array)).get()
            np.testing.assert_allclose(found, getattr(own, name)(array), rtol=1e-13, atol=1e-12, err_msg=name)


def test_places(cupy, both):
    own, other, values = both
    for name in ("codes", "sizes", "items", "count"):
        found = getattr(other, name)
        np.testing.assert_array_equal(found.get() if name in ("codes", "sizes") else found, getattr(own, name))
    for name in ("positions", "begins"):
        np.testing.assert_array_equal(getattr(other, name)().get(), getattr(own, name)())
    kept = values > 0
    ours, theirs = own.select(kept), other.select(cupy.asarray(kept))
    np.testing.assert_array_equal(theirs.offsets.get(), ours.offsets)
    np.testing.assert_array_equal(theirs.spread(theirs.sizes).get(), ours.spread(ours.sizes))
    np.testing.assert_array_equal(other.of_sizes(other.sizes * 2).offsets.get(), own.of_sizes(own.sizes * 2).offsets)


@pytest.mark.parametrize("run", [1, 3, 8, 512])
def test_orders(cupy, both, run, monkeypatch):
    monkeypatch.setattr(kernels, "RUN", run)
    own, other, values = both
    if len(values) > 2000 and run < 8:
        pytest.skip("as with longer runs")
    values[::9] = NAN
    values[1::9] = -0.0
    values[2::9] = 0.0
    array = cupy.asarray(values)
    np.testing.assert_array_equal(other.descending(array).get(), own.descending(values))
    ascending = _cuda.order_lists(array, other.codes, other.offsets).get()
    np.testing.assert_array_equal(ascending, np.lexsort((values, own.codes)))


def test_scales(cupy, both):
    own, other, values = both
    values = np.where(np.isinf(values), NAN, values)
    scales = np.arange(own.count) % 3 - 0.5 * (np.arange(own.count) % 2)
    rows = np.random.default_rng(0).permutation(len(values))
    for order in (None, rows):
        here = cupy.array(values)
        _cuda.scale_lists(here, cupy.asarray(scales), other.offsets, None if order is None else cupy.asarray(order))
        spread, wanted = own.spread(scales), values.copy()
        place = slice(None) if order is None else order
        wanted[place] = np.where(spread == 0, 0, values[place] * spread)
        np.testing.assert_array_equal(here.get(), wanted)


@pytest.mark.parametrize("normalizer", ["pairs", "groups", "sum"])
@pytest.mark.parametrize("kind", ["mean", "sum", "none"])
def test_values(cupy, kind, normalizer):
    sums = np.array([1.5, INF, 2.0, NAN, -3.0, 4.0])
    for sizes in (np.array([3.0, 0.0, 1.0, 0.0, 2.5, 7.0]), np.array([2, 0, 1, 0, 0, 3]), np.zeros(6, bool)):
        for weights in (None, np.array([1.0, 2, 0, 1, 0.5, 3])):
            for on_empty in ("skip", "zero"):
                for upstream in (None, np.linspace(-1, 1, 6)) if kind == "none" else (None,):
                    own = Reduction(6, kind, normalizer, on_empty, weights, True, upstream)
                    there = (None if array is None else cupy.asarray(array) for array in (weights, upstream))
                    other = Reduction(6, kind, normalizer, on_empty, next(there), True, next(there))
                    found = other(cupy.asarray(sums), cupy.asarray(sizes))
                    for ours, theirs in zip(own(sums, sizes), found, strict=True):
                        np.testing.assert_allclose(theirs.get(), ours, rtol=1e-15)
