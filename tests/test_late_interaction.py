"""Scores of sets of tokens: golden numbers, the definition pair by pair, and cuts that change nothing."""

import builtins
import re

import embeddings
import fastpair
import numpy as np
import oracle_similarity as oracle
import pytest
from fastpair.similarity import TopK, _late_interaction, late_interaction

MODES = ("max", "lse")
A = np.array([[[1.0, 0.0], [0.0, 1.0]]])
B = np.array([[[0.6, 0.8], [1.0, 0.0], [0.0, -1.0]]])
BORDERS = {"a": np.array([0, 3, 3, 10, 11, 40]), "b": np.array([0, 0, 5, 25, 26, 26, 70])}


def score(scores, mode, alpha=0.1):
    """What the tokens of one item find in another, from the scores of all pairs of tokens."""
    if not scores.size:
        return 0.0
    if mode == "bipartite":
        optimize = pytest.importorskip("scipy.optimize")
        return scores[optimize.linear_sum_assignment(-scores)].sum() / len(scores)
    largest = scores.max(axis=1)
    if mode == "lse":
        largest = largest + alpha * np.log(np.exp((scores - largest[:, np.newaxis]) / alpha).sum(axis=1))
    return largest.mean()


def expected(a, b, mode, alpha=0.1, symmetric=False, metric="cosine"):
    """All pairs of items, which are lists of matrices of tokens."""
    result = np.zeros((len(a), len(b)))
    for i, j in np.ndindex(result.shape):
        scores = oracle.pairwise(a[i], b[j], metric)
        result[i, j] = score(scores, mode, alpha)
        if symmetric:
            result[i, j] = (result[i, j] + score(scores.T, mode, alpha)) / 2
    return result


def cut(tokens, side):
    return np.split(tokens, BORDERS[side][1:-1])


def problem(rng, dtype="float64", d=24):
    """Tokens of items of all sizes, some of them empty."""
    a, b = (embeddings.cast(rng.normal(size=(BORDERS[side][-1], d)), dtype) for side in "ab")
    return a, b, {"a_offsets": BORDERS["a"], "b_offsets": BORDERS["b"]}


def close(dtype):
    return {"rtol": 1e-12, "atol": 1e-13} if dtype == "float64" else {"rtol": 1e-5, "atol": 2e-6}


def test_golden_numbers():
    assert late_interaction(A, B, metric="dot").item() == pytest.approx(0.9, abs=1e-15)
    assert late_interaction(B, A, metric="dot").item() == pytest.approx(0.6, abs=1e-15)
    assert late_interaction(A, B, metric="dot", symmetric=True).item() == pytest.approx(0.75, abs=1e-15)
    assert late_interaction(A, B, metric="dot", mode="lse").item() == pytest.approx(0.900926496594, abs=5e-13)


def test_golden_matching():
    pytest.importorskip("scipy.optimize")
    assert late_interaction(A, B, metric="dot", mode="bipartite").item() == pytest.approx(0.9, abs=1e-15)
    assert late_interaction(B, A, metric="dot", mode="bipartite").item() == pytest.approx(0.6, abs=1e-15)
    both = late_interaction(A, B, metric="dot", mode="bipartite", symmetric=True)
    assert both.item() == pytest.approx(0.75, abs=1e-15)


@pytest.mark.parametrize("mode", [*MODES, "bipartite"])
@pytest.mark.parametrize("metric", ["cosine", "dot"])
@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "int8"])
def test_it_is_the_definition(mode, metric, symmetric, dtype, isa, rng):
    a, b, offsets = problem(rng, dtype)
    alpha = 0.1 if metric == "cosine" else 20.0
    options = {"mode": mode, "metric": metric, "symmetric": symmetric, "alpha": alpha}
    meant = expected(cut(a, "a"), cut(b, "b"), **options)
    for threads in (1, 2):
        found = late_interaction(a, b, **offsets, **options, num_threads=threads)
        assert found.dtype == np.float64
        scale = max(1.0, np.abs(meant).max())
        np.testing.assert_allclose(found / scale, meant / scale, **close(dtype), strict=True)


@pytest.mark.parametrize("mode", [*MODES, "bipartite"])
@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("cells", [1, 30, 400, 3000])
def test_work_is_cut_into_parts(mode, symmetric, cells, monkeypatch, rng):
    if mode == "bipartite":
        pytest.importorskip("scipy.optimize")
    a, b, options = problem(rng)
    padded = rng.normal(size=(6, 9, 24))
    masked = {"b_mask": rng.random((6, 9)) < 0.6, "a_offsets": options["a_offsets"]}
    cases = [(a, b, options), (a, padded, masked)]
    whole = [late_interaction(x, y, **given, mode=mode, symmetric=symmetric) for x, y, given in cases]
    monkeypatch.setattr(_late_interaction, "MOST_CELLS", cells)
    for rows in (1, 7, 1024):
        monkeypatch.setattr(_late_interaction, "MOST_ROWS", rows)
        for (x, y, given), meant in zip(cases, whole, strict=True):
            options = {**given, "mode": mode, "symmetric": symmetric}
            np.testing.assert_allclose(late_interaction(x, y, **options), meant, rtol=1e-12, atol=1e-13)
            best = late_interaction(x, y, **options, k=3)
            np.testing.assert_allclose(best.scores, -np.sort(-meant, axis=1)[:, :3], rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("few", [0, 10**9])
def test_products_of_both_shapes_are_the_same(mode, few, monkeypatch, rng):
    a, b, offsets = problem(rng)
    meant = expected(cut(a, "a"), cut(b, "b"), mode)
    monkeypatch.setattr(_late_interaction, "FEW_ROWS", few)
    np.testing.assert_allclose(late_interaction(a, b, **offsets, mode=mode), meant, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("symmetric", [False, True])
def test_padded_masked_and_ragged_are_the_same(mode, symmetric, rng):
    a, b = rng.normal(size=(4, 6, 8)), rng.normal(size=(5, 7, 8))
    options = {"mode": mode, "symmetric": symmetric}
    meant = expected(a, b, **options)
    np.testing.assert_allclose(late_interaction(a, b, **options), meant, rtol=1e-12)
    ragged = late_interaction(
        a.reshape(-1, 8), b.reshape(-1, 8), a_offsets=np.arange(5) * 6, b_offsets=np.arange(6) * 7, **options
    )
    np.testing.assert_allclose(ragged, meant, rtol=1e-12)
    a_mask, b_mask = rng.random((4, 6)) < 0.5, rng.random((5, 7)) < 0.5
    a_mask[1], b_mask[3] = False, False
    a, b = (np.where(mask[..., np.newaxis], values, np.nan) for values, mask in ((a, a_mask), (b, b_mask)))
    found = late_interaction(a, b, a_mask=a_mask, b_mask=b_mask, **options)
    meant = expected(
        [x[m] for x, m in zip(a, a_mask, strict=True)], [y[m] for y, m in zip(b, b_mask, strict=True)], **options
    )
    np.testing.assert_allclose(found, meant, rtol=1e-12, atol=1e-14)
    assert (found[1] == 0).all()
    assert (found[:, 3] == 0).all()


def test_single_tokens_give_the_cosine(rng):
    a, b = rng.normal(size=(5, 1, 8)), rng.normal(size=(6, 1, 8))
    cosines = oracle.pairwise(a[:, 0], b[:, 0], "cosine")
    for mode in MODES:
        np.testing.assert_allclose(late_interaction(a, b, mode=mode), cosines, rtol=1e-12)


def test_a_low_temperature_is_the_maximum(rng):
    a, b, offsets = problem(rng)
    hard = late_interaction(a, b, **offsets)
    for alpha in (1e-3, 1e-9, 1e-300):
        soft = late_interaction(a, b, **offsets, mode="lse", alpha=alpha)
        assert (soft >= hard - 1e-12).all()
        np.testing.assert_allclose(soft, hard, atol=alpha * np.log(70) + 1e-12)


@pytest.mark.parametrize("k", [1, 3, 6, 9])
def test_the_best_items(k, rng):
    a, b, offsets = problem(rng)
    scores = late_interaction(a, b, **offsets)
    found = late_interaction(a, b, **offsets, k=k)
    assert isinstance(found, TopK)
    best_scores, best_indices = oracle.topk(scores, k, True)
    np.testing.assert_array_equal(found.indices, best_indices, strict=True)
    np.testing.assert_allclose(found.scores, best_scores, rtol=1e-12, strict=True)


def test_equal_items_come_by_index(monkeypatch):
    a, b = np.ones((3, 2, 4)), np.tile(np.ones((1, 5, 4)), (40, 1, 1))
    for cells in (1 << 21, 60):
        monkeypatch.setattr(_late_interaction, "MOST_CELLS", cells)
        found = late_interaction(a, b, k=7)
        np.testing.assert_array_equal(found.indices, np.tile(np.arange(7), (3, 1)))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("a", "b"), [((0, 3, 4), (2, 3, 4)), ((2, 3, 4), (0, 3, 4)), ((2, 0, 4), (3, 2, 4)), ((2, 3, 0), (1, 2, 0))]
)
def test_empty_input(mode, a, b):
    for symmetric in (False, True):
        found = late_interaction(np.ones(a), np.ones(b), symmetric=symmetric, mode=mode)
        assert found.shape == (a[0], b[0])
        assert mode == "lse" or (found == 0).all()
    best = late_interaction(np.ones(a), np.ones(b), k=2)
    assert best.scores.shape == best.indices.shape == (a[0], 2)
    assert ((best.indices >= 0).sum(axis=1) == min(2, b[0])).all()


def test_a_large_problem_is_streamed(rng):
    """Many tokens on one side, where the kernel's product has its other shape, and on both."""
    for sizes in ((3, 900), (40, 300)):
        a, b = (rng.normal(size=(n, 40, 16)).astype(np.float32) for n in sizes)
        flat = np.maximum.reduceat(
            fastpair.pairwise(a.reshape(-1, 16), b.reshape(-1, 16), "cosine"), np.arange(0, sizes[1] * 40, 40), axis=1
        )
        meant = flat.reshape(sizes[0], 40, -1).mean(axis=1, dtype=np.float64)
        np.testing.assert_allclose(late_interaction(a, b), meant, rtol=1e-5)


def test_matching_without_scipy_says_so(monkeypatch):
    real = builtins.__import__

    def no_scipy(name, *arguments, **options):
        if name.startswith("scipy"):
            raise ImportError(name)
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", no_scipy)
    with pytest.raises(ImportError, match="needs scipy"):
        late_interaction(A, B, mode="bipartite")


def with_nan(array):
    return np.where(np.arange(array.size).reshape(array.shape) == 2, np.nan, array)


FLAT = np.ones((5, 2))
REFUSED = [
    ({"mode": "sum"}, ValueError, "mode must be one of 'max', 'lse', 'bipartite'"),
    ({"metric": "euclidean"}, ValueError, "metric must be one of 'cosine', 'dot'"),
    ({"alpha": 0}, ValueError, "alpha must be positive"),
    ({"alpha": "a"}, TypeError, "alpha must be a number"),
    ({"symmetric": 1}, TypeError, "symmetric"),
    ({"k": 0}, ValueError, "k must be at least 1"),
    ({"a": FLAT}, ValueError, r"a has shape \(5, 2\); pass three dimensions .* or a_offsets"),
    ({"a": FLAT[0]}, ValueError, r"a has shape \(2,\)"),
    ({"a": np.ones((1, 2, 3))}, ValueError, "length 3 but b of 2"),
    ({"a": np.array([[["a"]]])}, TypeError, "a has dtype"),
    ({"a_offsets": [0, 2]}, ValueError, "a_offsets was given"),
    ({"a": FLAT, "a_offsets": [0, 4]}, ValueError, "a_offsets reaches from 0 to 4; .* 5, the number of tokens"),
    ({"a": FLAT, "a_offsets": [0, 3, 2, 5]}, ValueError, "a_offsets"),
    ({"a": FLAT, "a_offsets": [0.0, 5.0]}, TypeError, "a_offsets has dtype"),
    ({"a": FLAT, "a_offsets": []}, (TypeError, ValueError), "a_offsets has"),
    ({"a": FLAT, "a_offsets": [0, 5], "a_mask": np.ones(5, bool)}, ValueError, "a_mask was given"),
    ({"a_mask": np.ones((1, 3), bool)}, ValueError, r"a_mask has shape \(1, 3\); pass shape \(1, 2\)"),
    ({"b_mask": np.ones((1, 3))}, TypeError, "b_mask has dtype"),
    ({"b": with_nan(B)}, ValueError, r"b is nan or infinite in token 1 .* of item 0"),
    ({"a": np.full((1, 2, 2), np.inf)}, ValueError, "a is nan or infinite in token 0"),
    ({"num_threads": 0}, ValueError, "num_threads"),
]


@pytest.mark.parametrize(("arguments", "error", "words"), REFUSED)
def test_what_cannot_be_is_refused(arguments, error, words):
    with pytest.raises(error) as caught:
        late_interaction(**{"a": A, "b": B, **arguments})
    assert re.search(words, str(caught.value)), str(caught.value)
