"""How the GPU selects: in numpy, step by step, with bounds of every kind; and the bounds themselves.

`improve` does to a row what ``topk.cu`` does: it collects what reaches the threshold, raises that to the k-th largest
lower end where many do, settles what there is no room for, and merges by score and index. The exact values may be
anywhere between their bounds, so whatever a filter does within them, the ranking is that of a sort.
"""

import embeddings
import fastpair
import numpy as np
import oracle_similarity as oracle
import pytest
from fastpair._cuda import plan, rows
from libraries import on_host
from searches import FLOAT_METRICS, assert_found, solved

CAPACITY, CHUNK = 12, 6


def merge(best, found, k):
    """The k best of two lists of (key, index), by key, equal ones by index: each goes to its rank."""
    places = [
        (rank + sum((-key, index) >= (-other, place) for other, place in best), key, index)
        for rank, (key, index) in enumerate(sorted(found, key=lambda pair: (-pair[0], pair[1])))
    ]
    moved = [
        (place + sum((-other, i) < (-key, index) for _, other, i in places), key, index)
        for place, (key, index) in enumerate(best)
    ]
    merged = sorted(places + moved)[:k]
    assert [place for place, _, _ in merged] == list(range(len(merged)))
    return [(key, index) for _, key, index in merged]


def kth_lower_end(low, k):
    """The k-th largest by digits of a key that sorts like the floats; negative infinity if there are fewer."""
    bits = low.astype(np.float32).view(np.uint32)
    keys = np.where(bits >> 31 == 1, ~bits, bits ^ np.uint32(1 << 31)).astype(np.int64)
    prefix = 0
    for shift in (24, 16, 8, 0):
        digits = (keys[keys >> (shift + 8) == prefix] >> shift) & 255
        counts = np.bincount(digits, minlength=256)
        digit = 255
        while digit >= 0 and k > counts[digit]:
            k, digit = k - counts[digit], digit - 1
        if digit < 0:
            return -np.inf
        prefix = prefix << 8 | digit
    back = np.uint32(prefix ^ (1 << 31) if prefix >> 31 else ~prefix & 0xFFFFFFFF)
    return back.view(np.float32)


def improve(best, threshold, keys, low, high, admitted, ceiling, limit, k, first):
    """Enter a tile of one row.

    Returns the best, the threshold, how many only the limit leaves out, and how many were scored.
    """
    above = scored = 0

    def settle(columns):
        nonlocal best, threshold, above, scored
        scored += len(columns)
        above += sum(keys[j] > limit for j in columns)
        best = merge(best, [(keys[j], first + j) for j in columns if keys[j] <= limit], k)
        if len(best) == k:
            threshold = max(threshold, np.nextafter(np.float32(best[-1][0]), -np.inf, dtype=np.float32))

    reaching = admitted & (high >= threshold)
    above += np.count_nonzero(reaching & (low > ceiling))
    reaching &= ~(low > ceiling)
    if np.count_nonzero(reaching) <= min(CAPACITY, 2 * k + 4):
        settle(np.flatnonzero(reaching))
        return best, threshold, above, scored
    threshold = max(threshold, kth_lower_end(np.where(high > ceiling, -np.inf, low)[reaching], k))
    waiting = []
    for begin in range(0, len(keys), CHUNK):
        part = np.arange(begin, min(begin + CHUNK, len(keys)))
        waiting += part[reaching[part] & (high[part] >= threshold)].tolist()
        assert len(waiting) <= CAPACITY
        if len(waiting) > CAPACITY - CHUNK or begin + CHUNK >= len(keys):
            settle(waiting)
            waiting = []
    return best, threshold, above, scored


BOUNDS = {
    "exact": lambda keys, rng: (keys, keys),
    "wide": lambda keys, rng: (keys - 10, keys + 10),
    "open": lambda keys, rng: (np.full(len(keys), -np.inf), np.full(len(keys), np.inf)),
    "some open": lambda keys, rng: np.where(rng.random(len(keys)) < 0.2, [[-np.inf], [np.inf]], [keys, keys]),
    "at the upper end": lambda keys, rng: (keys - rng.random(len(keys)), keys),
    "at the lower end": lambda keys, rng: (keys, keys + rng.random(len(keys))),
    "random": lambda keys, rng: (keys - rng.exponential(size=len(keys)), keys + rng.exponential(size=len(keys))),
    "against the ranking": lambda keys, rng: (keys - 2.0 ** (keys % 5), keys + 2.0 ** (-keys % 5)),
}


@pytest.mark.parametrize("bounds", BOUNDS)
@pytest.mark.parametrize("k", [1, 3, 10, 100])
def test_any_bounds_give_the_ranking_of_a_sort(bounds, k, rng):
    for trial in range(30):
        m, width = int(rng.integers(1, 90)), int(rng.integers(1, 40))
        keys = rng.integers(-3, 4, m).astype(float) if trial % 2 else rng.normal(size=m)
        admitted = rng.random(m) < rng.choice([0.1, 0.5, 1.0])
        limit = rng.choice([np.inf, 0.0, keys[0], -9.0])
        low, high = (np.asarray(end, float) for end in BOUNDS[bounds](keys, rng))
        low = np.nextafter(low.astype(np.float32), -np.inf, dtype=np.float32)
        high = np.nextafter(high.astype(np.float32), np.inf, dtype=np.float32)
        best, threshold, above = [], -np.inf, 0
        for begin in range(0, m, width):
            part = slice(begin, begin + width)
            best, threshold, more, _ = improve(
                *(best, threshold, keys[part], low[part], high[part], admitted[part]),
                *(np.nextafter(np.float32(limit), np.inf, dtype=np.float32), limit, k, begin),
            )
            above += more
        expected = oracle.topk(keys[np.newaxis], k, True, (admitted & (keys <= limit))[np.newaxis])
        places = expected[1][0] >= 0
        assert [index for _, index in best] == expected[1][0][places].tolist()
        assert [key for key, _ in best] == expected[0][0][places].tolist()
        assert above == np.count_nonzero(admitted & (keys > limit))


def test_good_bounds_leave_few_to_be_scored(rng):
    keys, total = rng.normal(size=4000), 0
    best, threshold = [], -np.inf
    for begin in range(0, 4000, 400):
        part = keys[begin : begin + 400]
        low, high = (part - 1e-3).astype(np.float32), (part + 1e-3).astype(np.float32)
        best, threshold, _, scored = improve(
            best, threshold, part, low, high, np.ones(400, bool), np.inf, np.inf, 5, begin
        )
        total += scored
    assert total < 60
    assert [index for _, index in best] == np.argsort(-keys)[:5].tolist()


def test_the_kth_lower_end_is_that_of_a_sort(rng):
    for _ in range(50):
        low = (rng.normal(size=40) * 10.0 ** rng.integers(-20, 20, 40)).astype(np.float32)
        low[rng.random(40) < 0.3] = -np.inf
        for k in (1, 7, 40):
            assert kth_lower_end(low, k) == np.sort(low)[::-1][k - 1]
        assert kth_lower_end(low, 41) == -np.inf


def value_of_score(metric, score):
    """What ``metric.cuh`` calls the value of a score."""
    with np.errstate(over="ignore"):
        return {
            "sqeuclidean": lambda: -0.5 * score,
            "euclidean": lambda: -0.5 * score * score,
            "manhattan": lambda: -score,
            "poincare": lambda: -0.5 * np.sinh(0.5 * score) ** 2,
            "lorentz": lambda: -np.cosh(score),
        }.get(metric, lambda: score)()


def ends(tile, metric, factor):
    """The lower and upper ends of all values of a tile, as ``bound.cuh`` computes them, but without its roundings."""
    x, y = (side.traits.get().astype(float) for side in (tile.x, tile.y))
    (x_bias, x_scale, x_reach, x_rest), (y_bias, y_scale, y_reach, y_rest) = x.T[:, :, np.newaxis], y.T[:, np.newaxis]
    sums = tile.sums.get().astype(float)
    with np.errstate(invalid="ignore", over="ignore"):
        if metric == "manhattan":
            value, error = sums, x_rest + y_rest + factor * (x_reach + y_reach)
        else:
            value = (sums + x_bias + y_bias) * x_scale * y_scale
            error = y_reach * (x_rest + factor * x_reach) + y_rest * x_reach + 2.0**-20 * (abs(x_bias) + abs(y_bias))
            error = error * x_scale * y_scale
        if metric == "lorentz":
            value = np.minimum(value, -1)
        known = (error < 3.4e38) & (abs(value) < 3.4e38)
        return np.where(known, value - error, -np.inf), np.where(known, value + error, np.inf)


def as_wrong_as_allowed(monkeypatch, rng):
    """Let products have the largest errors that a tensor core may make, in either direction."""
    multiply = rows.gemm

    def worse(a, b, out, **options):
        multiply(a, b, out, **options)
        left, right = (abs(side.get().astype(np.float64)) for side in (a, b))
        steps = (a.shape[1] + 64) * 2.0**-22
        with np.errstate(over="ignore", invalid="ignore"):
            errors = 0.999 * steps * (left @ right.T) * rng.choice([-1, 0, 1], out.shape)
            out.set((out.get() + errors).astype(np.float32))

    monkeypatch.setattr(rows, "gemm", worse)


def bounded_cells():
    for metric in FLOAT_METRICS:
        for dtype in ("float32", "float64") if metric != "poincare" else ("float32",):
            narrow = metric in ("poincare", "lorentz")
            yield from ((metric, dtype, pattern) for pattern in embeddings.patterns("float32" if narrow else dtype))
        yield from (
            (metric, dtype, pattern) for dtype in ("float16", "bfloat16") for pattern in ("gaussian", "cancelling")
        )


@pytest.mark.parametrize(("metric", "dtype", "pattern"), list(bounded_cells()))
def test_bounds_hold_the_value_of_each_exact_score(metric, dtype, pattern, cupy, rng, monkeypatch):
    as_wrong_as_allowed(monkeypatch, rng)
    x, y, scores = solved(pattern, dtype, metric, 12, 60, 37)
    tiles = rows.Tiles(cupy.asarray(x), cupy.asarray(y), metric)
    values = value_of_score(metric, scores)
    for tile in tiles.sweep():
        low, high = ends(tile, metric, float(tiles.factor))
        exact = values[tile.rows, tile.columns]
        assert ((exact >= low) & (exact <= high) | np.isnan(exact)).all()
    if pattern == "gaussian":
        assert (high - low < 0.02 * np.ptp(exact)).mean() > 0.99


@pytest.mark.parametrize("pattern", ["gaussian", "tight", "duplicated", "cancelling", "mixed_magnitudes"])
@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_no_error_of_a_product_reaches_the_result(metric, pattern, cupy, rng, monkeypatch):
    as_wrong_as_allowed(monkeypatch, rng)
    monkeypatch.setattr(plan, "MOST_COLUMNS", 32)
    x, y, scores = solved(pattern, "float32", metric, 12, 200, 37)
    found = fastpair.topk(cupy.asarray(x), cupy.asarray(y), 5, metric=metric)
    assert_found(on_host(found), scores, 5, oracle.is_similarity(metric))
