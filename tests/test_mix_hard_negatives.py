"""`mining.mix_hard_negatives`: mixtures of the hardest entries, by vectors and by scores."""

import numpy as np
import pytest
import samplers
from fastpair import mining
from hypothesis import given
from hypothesis import strategies as st


def unit(x):
    x = np.asarray(x, np.float64)
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def mixtures(query, bank, mixed):
    """What parents and shares say, by loops."""
    vectors = np.zeros((*mixed.parents.shape[:2], len(query[0])))
    for i, t in np.ndindex(vectors.shape[:2]):
        for parent, share in zip(mixed.parents[i, t], mixed.shares[i, t], strict=True):
            if share > 0:
                vectors[i, t] += share * (unit(bank[parent]) if parent >= 0 else unit(query[i]))
        vectors[i, t] /= np.linalg.norm(vectors[i, t])
    return vectors


@pytest.fixture
def sets(rng):
    return rng.normal(size=(6, 5)), rng.normal(size=(30, 5)) * rng.uniform(0.1, 10, (30, 1))


CASES = [("mochi", 5, 4), ("mochi", 0, 3), ("mochi", 3, 0), ("pair", 4, 0), ("list", 1, 0)]


@pytest.mark.parametrize(("mode", "pairs", "with_query"), CASES)
def test_vectors_and_scores(sets, mode, pairs, with_query):
    query, bank = sets
    options = {"mode": mode, "seed": 3}
    mixed = mining.mix_hard_negatives(query, bank, 7, pairs, with_query, **options)
    assert mixed.scores is None
    assert mixed.vectors.shape == (6, pairs + with_query, 5)
    assert mixed.counts.tolist() == [pairs + with_query] * 6
    np.testing.assert_allclose(np.linalg.norm(mixed.vectors, axis=2), 1, rtol=1e-14)
    np.testing.assert_allclose(mixed.vectors, mixtures(query, bank, mixed), rtol=0, atol=1e-14)
    np.testing.assert_allclose(mixed.shares.sum(axis=2), 1, rtol=1e-14)
    cosines = unit(query) @ unit(bank).T
    hardest = np.argsort(-cosines, axis=1)[:, :7]
    for i in range(6):
        assert set(mixed.parents[i].ravel().tolist()) <= {*hardest[i].tolist(), -1}
        assert (mixed.parents[i, :pairs] >= 0).all()
        assert (mixed.parents[i, pairs:, 0] == -1).all()
        assert (mixed.parents[i, pairs:, 1] >= 0).all()
    scored = mining.mix_hard_negatives(query, bank, 7, pairs, with_query, return_scores=True, **options)
    assert scored.vectors is None
    np.testing.assert_array_equal(scored.parents, mixed.parents)
    np.testing.assert_array_equal(scored.shares, mixed.shares)
    expected = np.einsum("ij,itj->it", unit(query), mixed.vectors)
    np.testing.assert_allclose(scored.scores, expected, rtol=0, atol=1e-13)
    source = np.take_along_axis(cosines, mixed.parents[:, pairs:, 1], 1)
    assert (scored.scores[:, pairs:] >= source - 1e-14).all()  # nearer to the query than without it


def test_list_weights_are_the_softmax_of_similarities(sets):
    query, bank = sets
    mixed = mining.mix_hard_negatives(query, bank, 4, 1, 0, mode="list", temperature=0.5)
    cosines = np.take_along_axis(unit(query) @ unit(bank).T, mixed.parents[:, 0], 1)
    weights = np.exp(cosines / 0.5)
    np.testing.assert_allclose(mixed.shares[:, 0], weights / weights.sum(axis=1, keepdims=True), rtol=1e-12)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_shares_0_and_1_reproduce_entries(sets, share):
    query, bank = sets
    mixed = mining.mix_hard_negatives(query, bank, 5, 4, 0, shares=np.full((6, 4), share), seed=0)
    parent = mixed.parents[:, :, 0 if share else 1]
    np.testing.assert_allclose(mixed.vectors, unit(bank)[parent], rtol=0, atol=1e-15)


def test_mixing_an_entry_with_itself_changes_no_score(sets):
    query, bank = sets
    mixed = mining.mix_hard_negatives(query, bank, 1, 8, 0, return_scores=True, seed=0)
    cosines = unit(query) @ unit(bank).T
    np.testing.assert_allclose(mixed.scores, np.tile(cosines.max(axis=1)[:, np.newaxis], 8), rtol=0, atol=1e-14)


def test_distributions_of_shares_and_parents():
    query, bank = np.ones((400, 2)), np.array([[1, 0.1], [1, 0.2], [1, 0.3], [-1, -1]])
    mixed = mining.mix_hard_negatives(query, bank, 3, 20, 20, seed=0)
    samplers.assert_follows(mixed.parents[:, :20, 0].ravel(), [1 / 3] * 3 + [0])
    samplers.assert_follows(mixed.parents[:, :, 1].ravel(), [1 / 3] * 3 + [0])
    samplers.assert_follows((mixed.shares[:, :20, 0].ravel() * 10).astype(int), [0.1] * 10)
    samplers.assert_follows((mixed.shares[:, 20:, 0].ravel() * 20).astype(int), [0.1] * 10)
    drawn = mining.mix_hard_negatives(query, bank, 3, 40, 0, mode="pair", beta=2.0, seed=0).shares[:, :, 0]
    edges = np.linspace(0, 1, 11)
    cumulative = 3 * edges**2 - 2 * edges**3
    samplers.assert_follows((drawn.ravel() * 10).astype(int), np.diff(cumulative))


@pytest.mark.parametrize("only_scores", [False, True])
def test_opposite_vectors_fall_back_to_the_first(only_scores):
    query, bank = [[0.0, 1.0]], [[1.0, 0.0], [-1.0, 0.0]]
    shares = np.full((1, 40), 0.5)
    mixed = mining.mix_hard_negatives(query, bank, 2, 40, 0, shares=shares, seed=0, return_scores=only_scores)
    opposite = mixed.parents[0, :, 0] != mixed.parents[0, :, 1]
    assert opposite.any()
    assert (mixed.shares[0, opposite] == [1, 0]).all()
    if only_scores:
        assert (mixed.scores == 0).all()
    else:
        np.testing.assert_array_equal(mixed.vectors[0], np.array(bank)[mixed.parents[0, :, 0]])
    against = mining.mix_hard_negatives([[1.0, 0.0]], [[-1.0, 0.0]], 1, 0, 1, shares=[[0.5]])
    assert against.vectors.tolist() == [[[-1.0, 0.0]]]
    assert against.shares.tolist() == [[[0.0, 1.0]]]
    of_all = mining.mix_hard_negatives(query, bank, 2, 1, 0, mode="list")
    assert of_all.vectors.tolist() == [[[1.0, 0.0]]]


@pytest.mark.parametrize(("mode", "pairs", "with_query"), CASES)
def test_too_few_negatives(mode, pairs, with_query):
    bank = np.eye(3)
    exclude = [[0, 1, 2], [1, 2], []]
    for only_scores in (False, True):
        mixed = mining.mix_hard_negatives(
            np.eye(3), bank, 9, pairs, with_query, mode=mode, exclude=exclude, seed=0, return_scores=only_scores
        )
        total = pairs + with_query
        assert mixed.counts.tolist() == [0, total, total]
        assert (mixed.parents[0] == -1).all()
        assert (mixed.shares[0] == 0).all()
        assert set(mixed.parents[1].ravel().tolist()) <= {0, -1}
        if only_scores:
            assert (mixed.scores[0] == -np.inf).all()
            assert np.isfinite(mixed.scores[1:]).all()
        else:
            assert (mixed.vectors[0] == 0).all()
            np.testing.assert_allclose(np.linalg.norm(mixed.vectors[1:], axis=2), 1)
    empty = mining.mix_hard_negatives(np.eye(3), np.zeros((0, 3)), 2, pairs, with_query, mode=mode)
    assert empty.counts.tolist() == [0, 0, 0]
    assert mining.mix_hard_negatives(np.zeros((0, 3)), bank, 2, pairs, with_query, mode=mode).counts.shape == (0,)


@given(st.sampled_from(CASES), st.integers(0, 2**31))
def test_zero_rows_give_numbers(case, seed):
    mode, pairs, with_query = case
    query, bank = np.array([[0.0, 0.0], [1.0, 0.0]]), np.array([[0.0, 0.0], [-1.0, 0.0]])
    for only_scores in (False, True):
        mixed = mining.mix_hard_negatives(
            query, bank, 2, pairs, with_query, mode=mode, seed=seed, return_scores=only_scores
        )
        assert np.isfinite(mixed.scores if only_scores else mixed.vectors).all()


@pytest.mark.parametrize(("mode", "pairs", "with_query"), CASES)
def test_same_for_threads_and_memory(rng, mode, pairs, with_query):
    query, bank = rng.normal(size=(40, 64)).astype(np.float32), rng.normal(size=(90, 64))
    for only_scores in (False, True):
        options = {"mode": mode, "seed": 3, "return_scores": only_scores}
        expected = mining.mix_hard_negatives(query, bank, 7, pairs, with_query, **options)
        for threads, memory in ((1, 600_000), (2, 1 << 20), (5, None)):
            again = mining.mix_hard_negatives(
                query, bank, 7, pairs, with_query, num_threads=threads, max_memory=memory, **options
            )
            samplers.assert_same(again, expected)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int32", "bfloat16"])
def test_dtypes_and_strides(sets, dtype):
    if dtype == "bfloat16":
        dtype = pytest.importorskip("ml_dtypes").bfloat16
    query, bank = sets[0].astype(np.float32), (3 * sets[1]).astype(dtype)
    wide = np.zeros((60, 10), dtype)
    wide[::2, ::2] = bank
    before = wide.copy()
    mixed = mining.mix_hard_negatives(query, wide[::2, ::2], 4, 3, 2, seed=0)
    samplers.assert_same(mining.mix_hard_negatives(query, bank, 4, 3, 2, seed=0), mixed)
    assert mixed.vectors.dtype == (np.float64 if bank.dtype.kind == "i" else bank.dtype)
    np.testing.assert_array_equal(wide, before)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"mode": "x"}, ValueError, "mode must be one of"),
        ({"n_hard": 0}, ValueError, "n_hard must be at least 1"),
        ({"n_mix": -1}, ValueError, "n_mix must be at least 0"),
        ({"n_mix_query": -1}, ValueError, "n_mix_query must be at least 0"),
        ({"mode": "pair", "n_mix_query": 1}, ValueError, "n_mix_query is 1, but mode='pair'"),
        ({"mode": "list", "n_mix": 2, "n_mix_query": 0}, ValueError, "n_mix is 2, but mode='list'"),
        ({"mode": "list", "n_mix": 1, "n_mix_query": 0, "shares": [[1.0]]}, ValueError, "shares were given with"),
        ({"shares": [[0.5]]}, ValueError, "shares has shape"),
        ({"shares": np.full((2, 3), 1.5)}, ValueError, "shares must be between 0 and 1"),
        ({"beta": 0}, ValueError, "beta must be larger than 0"),
        ({"temperature": -1}, ValueError, "temperature must be larger than 0"),
        ({"return_scores": 1}, TypeError, "return_scores must be"),
        ({"bank": np.eye(3)}, ValueError, "query has 2 columns but bank has 3"),
        ({"bank": [[np.nan, 1.0]]}, ValueError, "(?i)nan"),
        ({"exclude": [[3], []]}, ValueError, "exclude names column 3"),
        ({"seed": "x"}, TypeError, "seed must be"),
        ({"max_memory": 1}, ValueError, "max_memory is 1 bytes"),
    ],
)
def test_errors(options, error, message):
    given_options = {"query": np.eye(2), "bank": np.eye(2), "n_hard": 2, "n_mix": 2, "n_mix_query": 1, **options}
    with pytest.raises(error, match=message):
        mining.mix_hard_negatives(**given_options)
