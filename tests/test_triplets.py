"""`fastpair.mining.triplets`: anchors, positives and negatives of a band, in order, as the oracle has them."""

import itertools

import embeddings
import mining_batches as shared
import numpy as np
import oracle_mining as oracle
import pytest
from fastpair import mining
from hypothesis import given
from hypothesis import strategies as st
from mining_batches import DTYPES, METRICS, REFUSED, SIZES, WITHIN, make
from searches import matrix_layouts
from test_oracle_mining import S4, Y4

KINDS = ("margin", "all", "hard", "semihard", "easy")
FALLBACKS = ("none", "hardest", "farthest")


def wanted(batch, kind="margin", margin=0.2, select="all", fallback="none"):
    return oracle.triplets(batch.close, batch.positive, batch.negative, kind, margin, select, fallback)


def compare(found, expected, about=""):
    assert type(found) is mining.Triplets
    assert found._fields == ("indices", "counts")
    for own, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(own, other, strict=True, err_msg=about)
    return found


def check(batch, about="", **options):
    return compare(batch.call(mining.triplets, **options), wanted(batch, **options), f"{about} {options}")


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_every_role_and_kind(metric, dtype):
    found = 0
    for batch in shared.problems(metrics=(metric,), dtypes=(dtype,)):
        for kind in KINDS:
            found += len(check(batch, kind=kind, margin=batch.spread(0.3)).indices)
        for fallback in FALLBACKS:
            check(batch, kind="semihard", margin=batch.spread(0.04), select="hardest", fallback=fallback)
        for kind in KINDS:
            check(batch, kind=kind, margin=batch.spread(0.3), select="hardest")
        check(batch)
    assert found > 10_000


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
def test_data_that_break_filters(metric, dtype):
    for pattern in embeddings.patterns(dtype):
        batch = make(pattern, dtype, metric, "integers", 33)
        fallback = "none" if np.isnan(batch.scores).any() else "farthest"
        for kind, margin in itertools.product(KINDS, (0.0, batch.spread(0.3))):
            check(batch, pattern, kind=kind, margin=margin, select="hardest", fallback=fallback)
            check(batch, pattern, kind=kind, margin=margin)


@pytest.mark.parametrize("metric", shared.OTHER_METRICS)
def test_bits_and_curved_spaces(metric):
    for batch in shared.other_problems(metric):
        for kind in KINDS:
            check(batch, kind=kind, margin=batch.spread(0.3))
            check(batch, kind=kind, margin=batch.spread(0.03), select="hardest")


@pytest.mark.parametrize("n", SIZES)
def test_sizes(n):
    for source in WITHIN:
        for m in (None, 0, 1, 33):
            batch = make("gaussian", "float32", "cosine", source, n, m)
            check(batch, kind="semihard", margin=0.05)
            check(batch, kind="hard", select="hardest")


@pytest.mark.parametrize("metric", METRICS)
def test_every_engine_gives_the_same_bits(metric):
    for dtype, n, m in (("float32", 257, None), ("float64", 70, 300), ("int8", 257, None)):
        batch = make("clustered", dtype, metric, "integers", n, m)
        margin = batch.spread(0.04)
        for options in (
            {"kind": "semihard", "margin": margin},
            {"kind": "hard", "select": "hardest", "fallback": "farthest"},
            {"kind": "semihard", "margin": margin, "select": "random", "seed": 3},
        ):
            found = shared.on_engines(
                lambda batch=batch, options=options, **how: batch.call(mining.triplets, **options, **how)
            )
            if options.get("select") != "random":
                compare(found, wanted(batch, **options))


@pytest.mark.parametrize("layout", matrix_layouts())
def test_layouts(layout):
    lay = matrix_layouts()[layout]
    for dtype in ("float64", "float32", "int8"):
        batch = make("gaussian", dtype, "sqeuclidean", "tuple", 33, 40)
        found = mining.triplets(lay(batch.x), lay(batch.y), metric="sqeuclidean", **batch.given)
        compare(found, wanted(batch))


def test_the_fixture_of_the_specification():
    """Three of the eight triplets have D_ap - D_an > -0.25."""
    positive, _, _ = oracle.roles((4, 4), True, labels=Y4)
    x = shared.from_scores(S4, positive).x
    found = mining.triplets(x, labels=Y4, metric="dot", margin=0.25)
    assert found.indices.tolist() == [[0, 1, 2], [2, 3, 0], [3, 2, 1]]
    assert found.counts.tolist() == [1, 0, 1, 1]
    assert len(mining.triplets(x, labels=Y4, metric="dot", kind="all").indices) == 8
    assert len(mining.triplets(x, labels=Y4, metric="dot", kind="hard").indices) == 0
    assert len(mining.triplets(x, labels=Y4, metric="dot", kind="easy", margin=0.25).indices) == 5


def test_ties_are_neither_hard_nor_semihard():
    x = np.ones((6, 2))
    labels = [0, 1, 0, 1, 0, 1]
    sizes = {kind: len(mining.triplets(x, labels=labels, kind=kind).indices) for kind in KINDS}
    assert sizes == {"margin": 36, "all": 36, "hard": 0, "semihard": 0, "easy": 0}
    assert len(mining.triplets(x, labels=labels, kind="easy", margin=0.0).indices) == 36
    assert mining.triplets(x, labels=labels, select="hardest").indices[:3].tolist() == [[0, 2, 1], [0, 4, 1], [1, 3, 0]]


@given(shared.batches(), st.sampled_from([0.5, 1.0, 2.0, 0.3]))
def test_properties(batch, margin):
    """Hard, semi-hard and tied triplets partition those of the margin; the easy ones are the rest."""
    rows = {kind: check(batch, kind=kind, margin=margin).indices for kind in KINDS}
    sets = {kind: set(map(tuple, found.tolist())) for kind, found in rows.items()}
    ties = set(map(tuple, wanted(batch, oracle.TIES)[0].tolist()))
    parts = [sets["hard"], sets["semihard"], ties, sets["easy"]]
    assert set().union(*parts) == sets["all"]
    assert sum(map(len, parts)) == len(sets["all"])
    assert sets["margin"] == sets["hard"] | sets["semihard"] | ties
    for found in rows.values():
        assert batch.positive[found[:, 0], found[:, 1]].all()
        assert batch.negative[found[:, 0], found[:, 2]].all()
        assert (np.lexsort(found.T[::-1]) == np.arange(len(found))).all()


@given(shared.batches(), st.sampled_from(KINDS), st.integers(0, 2**64))
def test_random_negatives_come_from_the_band(batch, kind, seed):
    """One for each anchor and positive that has any, the same for the same seed."""
    found = batch.call(mining.triplets, select="random", seed=seed, kind=kind, margin=1.0)
    band = wanted(batch, kind, 1.0)[0].tolist()
    best = wanted(batch, kind, 1.0, "hardest")
    np.testing.assert_array_equal(found.indices[:, :2], best[0][:, :2])
    np.testing.assert_array_equal(found.counts, best[1])
    assert all(row in band for row in found.indices.tolist())
    shared.same(batch.call(mining.triplets, select="random", seed=seed, kind=kind, margin=1.0), found)


@given(shared.batches(), st.sampled_from(["all", "hardest", "random"]), st.integers(1, 30), st.integers(0, 2**64))
def test_at_most_so_many(batch, select, most, seed):
    """A random part of the triplets, in order; all of them where there are no more."""
    everything = batch.call(mining.triplets, select=select, margin=1.0, seed=seed)
    found = batch.call(mining.triplets, select=select, margin=1.0, seed=seed, max_triplets=most)
    assert len(found.indices) == min(most, len(everything.indices))
    rows = everything.indices.tolist()
    places = [rows.index(row) for row in found.indices.tolist()]
    assert places == sorted(set(places))
    assert found.counts.tolist() == np.bincount(found.indices[:, 0], minlength=len(batch.x)).tolist()
    shared.same(batch.call(mining.triplets, select=select, margin=1.0, seed=seed, max_triplets=most), found)


def test_the_part_is_uniform():
    x = np.random.default_rng(0).normal(size=(6, 4))
    labels, options = [0, 0, 0, 1, 1, 1], {"kind": "all", "max_triplets": 9}
    everything = mining.triplets(x, labels=labels, kind="all").indices.tolist()
    counts = np.zeros(len(everything))
    for seed in range(400):
        for row in mining.triplets(x, labels=labels, seed=seed, **options).indices.tolist():
            counts[everything.index(row)] += 1
    assert counts.sum() == 3600
    assert 50 < counts.min() < counts.max() < 150  # 100 expected, 9 of deviation


def test_random_negatives_are_uniform():
    x = np.random.default_rng(0).normal(size=(10, 4))
    labels = [0, 0, *range(1, 9)]
    drawn = np.array(
        [mining.triplets(x, labels=labels, kind="all", select="random", seed=seed).indices[:, 2] for seed in range(800)]
    )
    assert drawn.shape == (800, 2)
    for column in drawn.T:
        assert set(column) == set(range(2, 10))
        assert np.bincount(column, minlength=10)[2:].min() > 60
    both = [(drawn[:, 0] == i).astype(float) @ (drawn[:, 1] == j) for i in range(2, 10) for j in range(2, 10)]
    assert max(both) < 40  # 12.5 expected: the anchors draw for themselves


def test_seeds():
    batch = make("gaussian", "float32", "cosine", "integers", 33)

    def mined(seed):
        return batch.call(mining.triplets, kind="all", select="random", seed=seed).indices

    np.testing.assert_array_equal(mined(5), mined(5))
    assert (mined(5) != mined(6)).any()
    assert (mined(None) != mined(None)).any()
    np.testing.assert_array_equal(mined(np.random.default_rng(5)), mined(np.random.default_rng(5)))
    rng = np.random.default_rng(5)
    assert (mined(rng) != mined(rng)).any()


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(name):
    shared.assert_refused(mining.triplets, *REFUSED[name])


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"kind": "simple"}, ValueError, "kind must be one of .*'semihard'.* not 'simple'"),
        ({"select": "best"}, ValueError, "select must be one of 'all', 'hardest', 'random', not 'best'"),
        ({"fallback": "easiest"}, ValueError, "fallback must be one of 'none', 'hardest', 'farthest', not 'easiest'"),
        ({"margin": -1.0}, ValueError, "margin must be at least 0, not -1.0"),
        ({"margin": np.nan}, ValueError, "margin must be .*not nan"),
        ({"margin": "wide"}, TypeError, "margin must be a number, not 'wide'"),
        ({"select": "random", "seed": -1}, ValueError, "seed must not be negative, but is -1"),
        ({"select": "random", "seed": 0.5}, TypeError, "seed must be an integer, a numpy Generator or None, not 0.5"),
        ({"select": "all", "fallback": "hardest"}, ValueError, "fallback='hardest' is for select='hardest', not 'all'"),
        ({"select": "random", "fallback": "farthest"}, ValueError, "fallback='farthest' is for select='hardest'"),
        ({"max_triplets": 0}, ValueError, "max_triplets must be at least 1, not 0"),
        ({"max_triplets": 2.5}, TypeError, "max_triplets must be an integer.* not 2.5"),
    ],
)
def test_options_that_are_refused(options, error, words):
    shared.assert_refused(mining.triplets, options, error, words)


def test_memory_changes_nothing():
    batch = make("gaussian", "float32", "cosine", "integers", 257, 1000)
    for options in ({"kind": "semihard", "margin": 0.01}, {"select": "random", "seed": 1}, {"select": "hardest"}):
        shared.assert_memory_changes_nothing(
            lambda options=options, **how: batch.call(mining.triplets, **options, **how)
        )


@pytest.mark.parametrize("select", ["all", "hardest", "random"])
@pytest.mark.parametrize("most", [0, 8])
def test_memory_is_bounded(select, most):
    call = f"mining.triplets(x, labels=labels, kind='semihard', margin=0.02, select='{select}', seed=0, **limits)"
    bound = (most or 64) * shared.MIB
    assert shared.peak_beyond_output(call, 4000, 64, most * shared.MIB, "tuple") <= bound + shared.SLACK


def test_progress_is_reported():
    seen = []
    batch = make("gaussian", "float32", "cosine", "integers", 257, 300)
    batch.call(mining.triplets, progress=lambda done, total: seen.append((done, total)))
    assert seen
    assert seen == sorted(seen)
