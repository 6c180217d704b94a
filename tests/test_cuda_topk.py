"""Top-k on the GPU: the ranking and the bits of float64 scores, as on the processor, whatever data and tiles."""

import cases
import cupy_on_host
import embeddings
import fastpair
import libraries
import numpy as np
import oracle_similarity as oracle
import pytest
from fastpair._cuda import plan, topk
from fastpair._cuda import rows as cuda_rows
from libraries import on_device, on_host
from searches import FLOAT_METRICS, RULES, assert_found, rules, solved

N, M, D, K = 11, 150, 35, 7


@pytest.fixture(params=["one tile", "tiles of 32"])
def tiles(request, monkeypatch):
    """One tile for everything, or many of 8 x 32 with a panel of y for each."""
    if request.param != "one tile":
        use_small_tiles(monkeypatch)
    return request.param


def use_small_tiles(monkeypatch):
    monkeypatch.setattr(plan, "MOST_ROWS", 8)
    monkeypatch.setattr(plan, "MOST_COLUMNS", 32)
    monkeypatch.setattr(plan, "USUAL_SCRATCH", 40_000)


def found_by(cupy, x, y, k=K, **options):
    """Search on the device; the result on the host."""
    given = on_device(cupy, (x, y)), on_device(cupy, options)
    found = fastpair.topk(*given[0], k, **given[1])
    assert all(isinstance(array, cupy.ndarray) for array in found)
    return on_host(found)


def assert_same(cupy, x, y, k, metric, **options):
    """Demand the bits that the processor finds."""
    found, expected = (
        found_by(cupy, x, y, k, metric=metric, **options),
        fastpair.topk(x, y, k, metric=metric, **options),
    )
    if metric in ("poincare", "lorentz"):  # the last bits of logarithms are those of the library
        np.testing.assert_allclose(found.scores, expected.scores, rtol=1e-14)
        return
    np.testing.assert_array_equal(found.indices, expected.indices, strict=True)
    np.testing.assert_array_equal(found.scores, expected.scores, strict=True)


EXTREME = ("cancelling", "with_zero_rows", "huge", "subnormal", "mixed_magnitudes")


def cells():
    for metric in FLOAT_METRICS:
        full = {"cosine": "float64", "dot": "float64", "sqeuclidean": "float32"}.get(metric)
        names = EXTREME if full is None else embeddings.patterns(full)
        yield from ((metric, full or "float32", pattern) for pattern in names)
        for dtype in ("float16", "bfloat16", "int8", "uint8", "int32", "bool", "float32"):
            if metric == "poincare" and np.dtype(cases.as_dtype(dtype)).kind in "iub":
                continue
            yield metric, dtype, "gaussian"
    yield "manhattan", "float64", "mixed_extremes"
    yield "euclidean", "float64", "mixed_extremes"
    yield from (("cosine", dtype, pattern) for dtype in ("float16", "bfloat16") for pattern in ("tight", "cancelling"))


@pytest.mark.parametrize(("metric", "dtype", "pattern"), list(cells()))
def test_the_ranking_is_that_of_a_sort(metric, dtype, pattern, cupy, monkeypatch):
    x, y, _ = solved(pattern, dtype, metric, N, M, D)
    assert_same(cupy, x, y, K, metric)
    use_small_tiles(monkeypatch)
    assert_same(cupy, x, y, K, metric, largest=not oracle.is_similarity(metric))


@pytest.mark.parametrize("metric", oracle.BITS)
@pytest.mark.parametrize("width", [1, 33])
def test_bits(metric, width, tiles, cupy, rng):
    x, y = rng.random((5, width)) < 0.3, rng.random((M, width)) < 0.4
    x[:1] = False
    y[::5] = False
    for largest in (False, True):
        assert_same(cupy, x, y, K, metric, largest=largest)
        assert_same(cupy, np.packbits(x, axis=-1), np.packbits(y, axis=-1), K, metric, largest=largest)


@pytest.mark.parametrize("pattern", ["gaussian", "duplicated", "all_equal", "ascending", "tight", "lognormal"])
@pytest.mark.parametrize("k", [1, 2, 10, 100, M + 3])
def test_any_k(pattern, k, tiles, cupy):
    for metric in ("cosine", "euclidean"):
        x, y, scores = solved(pattern, "float32", metric, 5, M, D)
        assert_found(found_by(cupy, x, y, k, metric=metric), scores, k, oracle.is_similarity(metric))


@pytest.fixture(params=[0, 4], ids="few {}".format)
def few(request, monkeypatch):
    """Whether a few rows are compared by exact scores, or like many."""
    monkeypatch.setattr(cuda_rows, "FEW", request.param)


@pytest.mark.parametrize("pattern", ["gaussian", "all_equal", "ascending", "duplicated"])
@pytest.mark.parametrize("k", [3, 600])
def test_more_candidates_than_a_block_has_room_for(pattern, k, few, cupy):
    x, y, scores = solved(pattern, "float32", "cosine", 3, 1500, 4)
    assert_found(found_by(cupy, x, y, k), scores, k, True)


@pytest.mark.parametrize("pattern", ["gaussian", "duplicated"])
def test_few_rows_are_cut_into_parts_of_their_columns(pattern, few, cupy, monkeypatch):
    monkeypatch.setitem(topk.__globals__, "LEAST_COLUMNS", 16)
    for n, k in ((1, 3), (2, 9)):
        x, y, scores = solved(pattern, "float32", "cosine", n, 700, 5)
        assert_found(found_by(cupy, x, y, k), scores, k, True)
        best = scores[:, 3]
        allowed = oracle.admitted(scores, max_score=best)
        assert_found(found_by(cupy, x, y, k, max_score=best), scores, k, True, allowed)


@pytest.mark.parametrize("metric", FLOAT_METRICS)
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "int8"])
def test_a_few_rows(metric, dtype, cupy, monkeypatch):
    if metric == "poincare" and dtype == "int8":
        return
    names = embeddings.patterns(dtype) if metric == "cosine" and dtype == "float64" else EXTREME[:2]
    for pattern in names:
        for n in (1, 4):
            x, y, _ = solved(pattern, dtype, metric, n, M, D)
            assert_same(cupy, x, y, K, metric)
    use_small_tiles(monkeypatch)
    assert_same(cupy, x, y, K, metric, largest=not oracle.is_similarity(metric))


SIZES = [(0, 5, 3), (5, 0, 3), (0, 0, 0), (3, 5, 0), (1, 1, 1), (40, 90, 1), (33, 65, 2), (3, 5, 17)]


@pytest.mark.parametrize(("n", "m", "d"), SIZES)
def test_any_size(n, m, d, tiles, cupy):
    for metric in ("dot", "cosine", "sqeuclidean", "manhattan"):
        x, y, scores = solved("gaussian", "float32", metric, n, m, d)
        found = found_by(cupy, x, y, 4, metric=metric)
        assert_found(found, scores, 4, oracle.is_similarity(metric))


def test_rules_act_inside_the_search(tiles, cupy, rng):
    metric = "cosine" if tiles == "one tile" else "euclidean"
    x, y, scores = solved("gaussian", "float32", metric, N, M, D)
    for name in RULES:
        if name == "labels of strings":
            continue
        given, meant = rules(name, rng, N, M, scores)
        if "exclude" in given:
            given = {**given, "exclude": compressed(given["exclude"])}
        allowed = oracle.admitted(scores, **meant)
        for largest in (True, False):
            found = found_by(cupy, x, y, metric=metric, largest=largest, **given)
            assert_found(found, scores, K, largest, allowed, name)


def compressed(lists):
    return np.cumsum([0, *map(len, lists)]), np.array([j for part in lists for j in part], np.int64)


def test_excluded_columns_as_an_array(cupy, rng):
    x, y, scores = solved("gaussian", "float32", "cosine", N, M, D)
    first = found_by(cupy, x, y, 3)
    padded = np.where(rng.random(first.indices.shape) < 0.3, -1, first.indices)
    allowed = oracle.admitted(scores, exclude=[[j for j in row if j >= 0] for row in padded.tolist()])
    for dtype in (np.int32, np.int64):
        assert_found(found_by(cupy, x, y, exclude=padded.astype(dtype)), scores, K, True, allowed)
    one = found_by(cupy, x[0], y, exclude=padded[0])
    np.testing.assert_array_equal(one.indices, oracle.topk(scores[:1], K, True, allowed[:1])[1][0])


def test_labels_of_64_bits(cupy, rng):
    x, y, scores = solved("gaussian", "float32", "cosine", N, M, D)
    large = np.array([2**64 - 1, 2**63, 3, 4], np.uint64)
    own, others = large[rng.integers(0, 4, N)], large[rng.integers(0, 4, M)]
    for left, right in ((own, others), (own.astype(np.int64), others), (own, others.astype(np.int64))):
        same = np.array([[int(a) == int(b) for b in right] for a in left])
        found = found_by(cupy, x, y, x_labels=left, y_labels=right, same_label=True)
        assert_found(found, scores, K, True, same)


def test_rows_of_x_find_themselves_unless_told_otherwise(tiles, cupy):
    x, _, _ = solved("gaussian", "float32", "euclidean", N, M, D)
    scores = oracle.pairwise(x, x, "euclidean")
    assert_found(found_by(cupy, x, None, 3, metric="euclidean"), scores, 3, False)
    allowed = oracle.admitted(scores, exclude_self=True)
    found = found_by(cupy, x, None, N + 2, metric="euclidean", exclude_self=True)
    assert_found(found, scores, N + 2, False, allowed)


def test_pairs_that_only_a_limit_leaves_out_are_counted(tiles, cupy):
    x, y, scores = solved("duplicated", "float32", "cosine", N, M, D)
    limit = np.sort(scores, axis=1)[:, -20].copy()
    own = {"offset": 0, "exclude_self": False, "mask": None, "exclude": None, "labels": None, "held": 0}
    own |= {"min_score": None, "max_score": cupy.asarray(limit)}
    best = cupy.full((N, K), -np.inf), cupy.full((N, K), -1, np.int64)
    above = cupy.zeros(N, np.int64)
    topk(cupy.asarray(x), cupy.asarray(y), "cosine", True, own, *best, None, None, None, above)
    np.testing.assert_array_equal(above.get(), (scores > limit[:, np.newaxis]).sum(axis=1))
    expected = oracle.topk(scores, K, True, scores <= limit[:, np.newaxis])
    np.testing.assert_array_equal(best[1].get(), expected[1])


@pytest.mark.parametrize("backwards", [False, True])
def test_the_order_of_threads_does_not_matter(backwards, cupy, monkeypatch):
    if not libraries.has_gpu():
        monkeypatch.setattr(cupy_on_host.module.RawKernel, "backwards", backwards)
    for pattern in ("gaussian", "duplicated"):
        x, y, scores = solved(pattern, "float32", "sqeuclidean", 5, 400, 9)
        for k in (3, 200):
            assert_found(found_by(cupy, x, y, k, metric="sqeuclidean"), scores, k, False)


def test_layouts_and_single_queries(xp):
    x, y, scores = solved("gaussian", "float32", "cosine", N, M, D)
    a, b = on_device(xp, (np.repeat(x, 2, axis=0), np.asfortranarray(y)))
    before = on_host(a).copy()
    assert_found(on_host(fastpair.topk(a[::2], b, K)), scores, K, True)
    one = on_host(fastpair.topk(a[4], b[:, :], K))
    np.testing.assert_array_equal(one.indices, oracle.topk(scores[2:3], K, True)[1][0])
    np.testing.assert_array_equal(on_host(a), before)


@pytest.mark.parametrize(
    "pair", [("float32", "float64"), ("float16", "float32"), ("int8", "float32"), ("uint8", "int8")]
)
def test_dtypes_may_differ(pair, cupy):
    x, y = embeddings.make("gaussian", N, M, D)
    x, y = embeddings.cast(x, pair[0]), embeddings.cast(y, pair[1])
    for metric in ("dot", "euclidean"):
        assert_same(cupy, x, y, K, metric)


@pytest.mark.parametrize("order", ["C", "F"])
def test_out(order, xp):
    x, y, scores = solved("gaussian", "float32", "cosine", N, M, D)
    out = tuple(xp.asarray(np.full((N, K), 5, dtype, order=order)) for dtype in (np.float64, np.int64))
    found = fastpair.topk(*on_device(xp, (x, y)), K, out=out)
    assert found.scores is out[0]
    assert found.indices is out[1]
    assert_found(on_host(found), scores, K, True)
    with pytest.raises(TypeError, match=rf"out\[1\].*{xp.__name__} array of int64"):
        fastpair.topk(*on_device(xp, (x, y)), K, out=(out[0], out[0]))


def test_progress_and_memory(cupy):
    x, y, scores = solved("gaussian", "float32", "cosine", N, M, D)
    done = []
    found = found_by(cupy, x, y, max_memory=30_000, progress=lambda *seen: done.append(seen))
    assert_found(found, scores, K, True)
    assert done == sorted(done)
    assert done[-1] == (N * M, N * M)
    assert len(done) > 2
    with pytest.raises(ValueError, match="max_memory is 100 bytes"):
        found_by(cupy, x, y, max_memory=100)


BROKEN = [("x", 3, 5, np.nan), ("y", 17, 0, np.inf), ("y", M - 1, D - 1, -np.inf)]


@pytest.mark.parametrize(("argument", "row", "column", "value"), BROKEN)
@pytest.mark.parametrize(("dtype", "n"), [("float16", N), ("float32", N), ("float32", 4)])
def test_what_is_not_finite_is_named(argument, row, column, value, dtype, n, tiles, xp):
    x, y, _ = solved("gaussian", dtype, "cosine", n, M, D)
    given = {"x": x.copy(), "y": y.copy()}
    given[argument][row, column] = value
    shown = {"nan": "NaN"}.get(str(value), str(value))
    for metric in ("cosine", "manhattan", "euclidean"):
        with pytest.raises(ValueError, match=rf"^{argument} is {shown} at row {row}, column {column}; embeddings must"):
            fastpair.topk(**on_device(xp, given), k=K, metric=metric)


def test_a_row_outside_of_the_ball_is_named(xp):
    x = np.full((3, 2), 0.25)
    y = x.copy()
    y[1] = 3, 4
    with pytest.raises(ValueError, match=r"^row 1 of y has norm 5; points of the Poincare ball"):
        fastpair.topk(*on_device(xp, (x, y)), 1, metric="poincare")


def test_arrays_of_two_libraries_are_refused(cupy):
    x, y, _ = solved("gaussian", "float32", "cosine", N, M, D)
    on_gpu = cupy.asarray(x), cupy.asarray(y)
    with pytest.raises(TypeError, match=r"x is in GPU memory .*, but y is a numpy.ndarray in host memory"):
        fastpair.topk(on_gpu[0], y)
    with pytest.raises(TypeError, match=r"but mask is a numpy.ndarray"):
        fastpair.topk(*on_gpu, mask=np.ones(M, bool))
    with pytest.raises(TypeError, match=r"but exclude is a list in host memory"):
        fastpair.topk(*on_gpu, exclude=[[1]] * N)
    with pytest.raises(TypeError, match=r"but y_labels is a list in host memory"):
        fastpair.topk(*on_gpu, x_labels=cupy.zeros(N, int), y_labels=["a"] * M, same_label=True)
    scipy_sparse = pytest.importorskip("scipy.sparse")
    with pytest.raises(TypeError, match=r"but y is a scipy.sparse.* in host memory"):
        fastpair.topk(on_gpu[0], scipy_sparse.csr_array(y))
    with pytest.raises(TypeError, match=r"but exclude is a scipy.sparse.* in host memory"):
        fastpair.topk(*on_gpu, exclude=scipy_sparse.csr_array((N, M)))


@pytest.mark.skipif(libraries.has_gpu(), reason="counts what the stand-in does")
def test_the_host_waits_once(cupy):
    x, y, _ = solved("gaussian", "float32", "cosine", N, M, D)
    given = on_device(cupy, (x, y, np.ones((N, M), bool)))
    before = cupy_on_host.transfers.count
    fastpair.topk(*given[:2], K, mask=given[2], min_score=-0.5, exclude_self=True)
    assert cupy_on_host.transfers.count == before + 1
