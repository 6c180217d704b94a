"""`mining.semihard_pool`: uniform samples of ranked pools, which end whatever a pool holds."""

import fastpair
import helpers
import numpy as np
import pytest
import samplers
from fastpair import mining
from hypothesis import given
from hypothesis import strategies as st


def ranked(x, y, labels, metric="cosine", own=False):
    """Admissible rows of y for each row of x, nearest first, by sorting all scores."""
    scores = fastpair.pairwise(x, y, metric, exact=True, out=np.empty((len(x), len(y))))
    if metric in ("cosine", "dot"):
        scores = -scores
    lists = []
    for row in range(len(x)):
        order = np.lexsort((np.arange(len(y)), scores[row]))
        keep = [j for j in order if labels[0][row] != labels[1][j] and not (own and j == row)]
        lists.append(keep)
    return lists


@pytest.fixture
def sets(rng):
    x, y = rng.normal(size=(7, 5)), rng.normal(size=(40, 5))
    y[10:20] = y[0]  # ties
    return x, y, (rng.integers(0, 3, 7), rng.integers(0, 3, 40))


@pytest.mark.parametrize("metric", ["cosine", "dot", "euclidean", "manhattan"])
@pytest.mark.parametrize("mode", ["hard", "semihard", "semieasy", "random"])
def test_samples_lie_in_their_pools(sets, mode, metric):
    x, y, labels = sets
    result = mining.semihard_pool(x, y, 6, mode=mode, pool=12, labels=labels, metric=metric, seed=0)
    samplers.assert_well_formed(result, 7, 6, 40)
    samplers.assert_distinct(result)
    for row, order in enumerate(ranked(x, y, labels, metric)):
        chosen = result.indices[row, : result.counts[row]]
        if mode == "hard":
            assert chosen.tolist() == order[:6]
        elif mode == "semihard":
            assert set(chosen) <= set(order[:12])
        elif mode == "random":
            assert set(chosen) <= set(order)
    if mode == "semieasy":
        turned = ranked(x, y, labels, metric)
        scores = fastpair.pairwise(x, y, metric, exact=True, out=np.empty((7, 40)))
        sign = 1 if metric in ("cosine", "dot") else -1
        for row, order in enumerate(turned):
            lowest = sorted(order, key=lambda j, row=row: (sign * scores[row, j], j))[:12]
            assert set(result.indices[row].tolist()) <= set(lowest)


@pytest.mark.parametrize("mode", ["semihard", "semieasy", "random"])
def test_uniform_within_the_pool(mode):
    y = np.array([[1.0, 0.1 * step] for step in range(10)])
    x = np.tile([[1.0, 0.0]], (6000, 1))
    labels = (np.zeros(6000, int), np.array([0, 1, 1, 1, 1, 1, 1, 1, 1, 0]))
    result = mining.semihard_pool(x, y, 2, mode=mode, pool=4, labels=labels, seed=1)
    pool = {"semihard": [1, 2, 3, 4], "semieasy": [5, 6, 7, 8], "random": range(1, 9)}[mode]
    probabilities = np.zeros(10)
    probabilities[list(pool)] = 1 / len(pool)
    for place in range(2):
        samplers.assert_follows(result.indices[:, place], probabilities)


def test_pool_as_large_as_the_sample_is_hard(sets):
    x, y, labels = sets
    hard = mining.semihard_pool(x, y, 5, mode="hard", labels=labels)
    semihard = mining.semihard_pool(x, y, 5, pool=5, labels=labels, seed=3)
    np.testing.assert_array_equal(np.sort(hard.indices, axis=1), np.sort(semihard.indices, axis=1))


def test_pool_of_all_holds_all(sets):
    x, y, labels = sets
    result = mining.semihard_pool(x, y, 50, pool=100, labels=labels, seed=3)
    for row in range(7):
        expected = np.flatnonzero(labels[0][row] != labels[1])
        assert sorted(result.indices[row, : result.counts[row]].tolist()) == expected.tolist()


@pytest.mark.parametrize("mode", ["hard", "semihard", "semieasy", "random"])
def test_one_label_ends_empty(mode):
    """Drawing again until another label comes would never end."""
    result = mining.semihard_pool(np.eye(4), n_neg=2, mode=mode, labels=[1, 1, 1, 1], seed=0)
    assert result.counts.tolist() == [0] * 4
    assert (result.indices == -1).all()


@pytest.mark.parametrize("mode", ["hard", "semihard", "semieasy", "random"])
def test_rows_of_one_set_never_get_themselves(mode):
    x = np.ones((5, 2))
    result = mining.semihard_pool(x, n_neg=10, mode=mode, seed=0, exclude=[4, 4, 4, 4, -1])
    for row, count in enumerate(result.counts):
        assert count == (3 if row < 4 else 4)
        assert set(result.indices[row, :count].tolist()) == set(range(4 if row < 4 else 5)) - {row}


@pytest.mark.parametrize("mode", ["hard", "semihard", "semieasy", "random"])
def test_same_for_threads_memory_and_cuts(sets, mode):
    x, y, labels = sets
    options = {"n_neg": 4, "mode": mode, "pool": 9, "labels": labels, "seed": 7}
    expected = mining.semihard_pool(x, y, **options)
    for threads, memory in ((1, None), (2, 2 << 20), (3, 600_000)):
        again = mining.semihard_pool(x, y, **options, num_threads=threads, max_memory=memory)
        samplers.assert_same(again, expected)


@pytest.mark.parametrize("mode", ["hard", "semihard", "semieasy"])
def test_same_bits_on_every_engine(sets, mode):
    x, y, labels = sets
    options = {"n_neg": 4, "mode": mode, "pool": 9, "labels": labels, "seed": 7}
    expected = mining.semihard_pool(x, y, **options)
    for _, threads in helpers.engines():
        samplers.assert_same(mining.semihard_pool(x, y, num_threads=threads, **options), expected)


def test_metrics_of_bits(rng):
    x, y = rng.random((5, 70)) < 0.5, rng.random((30, 70)) < 0.5
    packed = np.packbits(x, axis=1), np.packbits(y, axis=1)
    expected = mining.semihard_pool(x, y, 3, mode="hard", metric="hamming")
    samplers.assert_same(mining.semihard_pool(*packed, 3, mode="hard", metric="hamming"), expected)
    distances = (x[:, np.newaxis] != y).sum(axis=2)
    np.testing.assert_array_equal(expected.indices, np.argsort(distances, axis=1, kind="stable")[:, :3])


@given(st.integers(0, 5), st.integers(1, 6), st.integers(0, 2**31))
def test_small_sets(count, wanted, seed):
    x = np.arange(2 * count, dtype=np.float32).reshape(count, 2)
    for mode in ("hard", "semihard", "semieasy", "random"):
        result = mining.semihard_pool(x, n_neg=wanted, mode=mode, seed=seed)
        samplers.assert_well_formed(result, count, wanted, count)
        samplers.assert_distinct(result)
        assert (result.counts == min(wanted, max(0, count - 1))).all()


def test_dtypes_and_strides(sets):
    x, y, _ = sets
    wide = np.zeros((80, 10), np.float32)
    wide[::2, ::2] = y
    expected = mining.semihard_pool(x.astype(np.float32), y.astype(np.float32), 3, pool=6, seed=0)
    samplers.assert_same(mining.semihard_pool(x.astype(np.float32), wide[::2, ::2], 3, pool=6, seed=0), expected)
    assert mining.semihard_pool(x.astype(np.float16), y.astype(np.float16), 3, pool=6, seed=0).counts.min() == 3


def test_progress_reaches_the_end(sets):
    x, y, _ = sets
    seen = []
    mining.semihard_pool(x, y, 3, pool=6, seed=0, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (7 * 40, 7 * 40)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"mode": "easy"}, ValueError, "mode must be one of"),
        ({"n_neg": 0}, ValueError, "n_neg must be at least 1"),
        ({"n_neg": 5, "pool": 4}, ValueError, "pool is 4, smaller than n_neg=5"),
        ({"metric": "foo"}, ValueError, "metric must be one of"),
        ({"labels": [1, 2]}, ValueError, "labels has 2 entries for 3 rows"),
        ({"exclude": [[7], [], []]}, ValueError, "exclude names column 7"),
        ({"seed": "a"}, TypeError, "seed must be"),
        ({"max_memory": 10}, ValueError, "max_memory is 10 bytes"),
        ({"max_memory": 3000, "n_neg": 1, "pool": 1}, ValueError, "max_memory is 3000 bytes, but .* on one thread"),
    ],
)
def test_errors(options, error, message):
    with pytest.raises(error, match=message):
        mining.semihard_pool(np.eye(3), **options)
    with pytest.raises(ValueError, match=r"nan|finite"):
        mining.semihard_pool([[np.nan, 1.0], [0.0, 1.0]], n_neg=1)
    with pytest.raises(ValueError, match="y is nan or infinite in row 1"):
        mining.semihard_pool(np.eye(2), [[0.0, 1.0], [np.inf, 1.0]], n_neg=1, mode="random")
    with pytest.raises(ValueError, match="pass y"):
        mining.semihard_pool([1.0, 2.0], n_neg=1)
    with pytest.raises(ValueError, match=r"single|two dimensions"):
        mining.semihard_pool([1.0, 2.0], np.eye(2), n_neg=1)
