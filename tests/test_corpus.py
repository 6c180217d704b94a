"""Rows that are searched again and again, or that come in parts: the same answers, however they are cut."""

import itertools
import pickle
import re

import fastpair
import helpers
import numpy as np
import oracle_similarity as oracle
import pytest
from fastpair import Corpus, TopkState
from searches import RULES, assert_found, rules, solved
from test_radius import assert_hits

N, M, K = 37, 173, 7
CUTS = ((), (1,), (8,), (100,), (3, 3), (7, 50, 51, 172), tuple(range(0, M, 17)))


def chunks(y, cut):
    """The rows of y in parts; a part may be empty."""
    return [y[a:b] for a, b in itertools.pairwise([0, *cut, len(y)])]


KINDS = {
    "array": lambda y, cut: y,
    "list of chunks": chunks,
    "tuple of chunks": lambda y, cut: tuple(chunks(y, cut)),
    "function": lambda y, cut: lambda: iter(chunks(y, cut)),
    "generator function": lambda y, cut: lambda: (part for part in chunks(y, cut)),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize(("metric", "dtype"), [("cosine", "float32"), ("euclidean", "float64"), ("dot", "int8")])
def test_answers_do_not_depend_on_the_cut(kind, cut, metric, dtype):
    x, y, scores = solved("duplicated", dtype, metric)
    largest, threshold = oracle.is_similarity(metric), np.median(scores)
    corpus = Corpus(KINDS[kind](y, cut), metric=metric)
    for _ in range(2):
        assert_found(corpus.topk(x, K), scores, K, largest)
        assert_found(corpus.topk(x, M + 1), scores, M + 1, largest)
        assert_hits(corpus.radius(x, threshold), oracle.radius(scores, threshold, largest))
        best_first = oracle.radius(scores, threshold, largest, best_first=True)
        assert_hits(corpus.radius(x, threshold, sort=True), best_first)
        np.testing.assert_array_equal(corpus.count(x, threshold), np.diff(best_first[0]), strict=True)
    assert len(corpus) == M
    assert corpus.shape == (M, y.shape[1])


@pytest.mark.parametrize("cut", [(), (8,), (13,), (7, 50, 51, 172)])
@pytest.mark.parametrize("name", RULES)
def test_rules_go_by_the_indices_in_the_whole_corpus(cut, name, rng):
    x, y, scores = solved("gaussian", "float32", "cosine")
    given, meant = rules(name, rng, N, M, scores)
    allowed = oracle.admitted(scores, **meant)
    for corpus in (Corpus(chunks(y, cut)), Corpus(iter(chunks(y, cut)))):
        assert_found(corpus.topk(x, K, **given), scores, K, True, allowed, name)
    corpus = Corpus(lambda: chunks(y, cut))
    assert_hits(corpus.radius(x, 0.05, **given), oracle.radius(scores, 0.05, True, allowed), name)
    for largest, threshold in ((True, 0.05), (False, 0.1)):
        counts = np.diff(oracle.radius(scores, threshold, largest, allowed)[0])
        np.testing.assert_array_equal(corpus.count(x, threshold, largest=largest, **given), counts)


def test_counts_with_infinite_limits():
    x, y, scores = solved("gaussian", "float32", "cosine")
    corpus = Corpus(y)
    for options in ({"max_score": np.inf}, {"min_score": -np.inf}, {"min_score": -np.inf, "max_score": np.inf}):
        np.testing.assert_array_equal(corpus.count(x, 0.1, **options), (scores >= 0.1).sum(axis=1))
    assert corpus.count(x, 0.1, max_score=-np.inf).sum() == 0
    assert corpus.count(x, 0.1, min_score=np.inf, largest=False).sum() == 0
    edge = np.sort(scores, axis=1)[:, 100]
    np.testing.assert_array_equal(corpus.count(x, -2, max_score=edge), np.full(N, 101))
    np.testing.assert_array_equal(corpus.count(x, 2, min_score=edge, largest=False), np.full(N, M - 100))


def test_counts_with_a_large_mask(monkeypatch, rng):
    from fastpair.similarity import _search

    x, _, _ = solved("gaussian", "float32", "cosine", 200, 3, 20)
    scores = oracle.pairwise(x, x, "cosine")
    lists = [rng.permutation(200)[:20].tolist() for _ in range(200)]
    mask = rng.random((200, 200)) < 0.6
    allowed = oracle.admitted(scores, exclude_self=True, exclude=lists, mask=mask)
    monkeypatch.setattr(_search, "MOST_MASK_BYTES", 1000)
    found = Corpus(x).count(x, 0.1, exclude_self=True, exclude=lists, mask=mask)
    np.testing.assert_array_equal(found, np.diff(oracle.radius(scores, 0.1, True, allowed)[0]))


def test_a_memory_map(tmp_path, threads):
    x, y, scores = solved("gaussian", "float32", "cosine")
    path = tmp_path / "rows.f32"
    y.tofile(path)
    corpus = Corpus(np.memmap(path, np.float32, "r", shape=y.shape))
    assert_found(corpus.topk(x, K, num_threads=threads), scores, K, True)
    np.testing.assert_array_equal(corpus.count(x, 0.1), (scores >= 0.1).sum(axis=1))


def test_an_iterator_can_be_searched_once():
    x, y, scores = solved("gaussian", "float32", "cosine")
    corpus = Corpus(iter(chunks(y, (50,))))
    with pytest.raises(TypeError, match="not known before"):
        len(corpus)
    with pytest.raises(ValueError, match="not known before"):
        corpus.shape  # noqa: B018
    assert repr(corpus) == "Corpus(shape=(?, ?), metric='cosine')"
    assert_found(corpus.topk(x, K), scores, K, True)
    assert corpus.shape == (M, x.shape[1])
    for again in (lambda: corpus.topk(x, K), lambda: corpus.radius(x, 0.5), lambda: corpus.count(x, 0.5)):
        with pytest.raises(ValueError, match=r"iterator.*used up.*list.*function"):
            again()


def test_no_chunks_at_all():
    for corpus in (Corpus(iter([])), Corpus(list)):
        found = corpus.topk([[1.0, 2.0]], 2)
        np.testing.assert_array_equal(found.indices, [[-1, -1]])
        assert len(corpus) == 0
    assert_hits(Corpus(list).radius([[1.0, 2.0]], 0.5), oracle.radius(np.empty((1, 0)), 0.5, True))
    np.testing.assert_array_equal(Corpus(list).count([[1.0, 2.0]], 0.5), [0])


@pytest.mark.parametrize("metric", oracle.BITS)
def test_bits_are_packed(metric, rng):
    x, y = rng.random((N, 50)) < 0.3, rng.random((M, 50)) < 0.3
    scores = oracle.pairwise(x, y, metric)
    packed = np.packbits(x, axis=-1)
    for corpus in (Corpus(y, metric), Corpus(chunks(y, (9, 60)), metric), Corpus(np.packbits(y, axis=-1), metric)):
        assert_found(corpus.topk(x, K), scores, K, False)
        assert_found(corpus.topk(packed, K), scores, K, False)
    with pytest.raises(ValueError, match=r"x has 49 columns but y has 50"):
        Corpus(y, metric).topk(x[:, :49], K)


def test_a_single_query_and_a_place_for_results():
    x, y, scores = solved("gaussian", "float32", "cosine")
    corpus = Corpus(chunks(y, (60,)))
    found = corpus.topk(x[3], K)
    np.testing.assert_array_equal(found.indices, oracle.topk(scores, K, True)[1][3])
    assert corpus.count(x[3], 0.1).tolist() == [(scores[3] >= 0.1).sum()]
    out = np.empty((N, K)), np.empty((N, K), np.int64)
    assert corpus.topk(x, K, out=out).indices is out[1]
    assert_found(fastpair.similarity.TopK(*out), scores, K, True)


def test_farthest_rows():
    x, y, scores = solved("gaussian", "float32", "euclidean")
    corpus = Corpus(chunks(y, (60,)), "euclidean")
    assert_found(corpus.topk(x, K, largest=True), scores, K, True)
    assert_hits(corpus.radius(x, 9.0, largest=True), oracle.radius(scores, 9.0, True))
    np.testing.assert_array_equal(corpus.count(x, 9.0, largest=True), (scores >= 9.0).sum(axis=1))


def test_progress_counts_all_chunks():
    x, y, _ = solved("gaussian", "float32", "cosine")
    for corpus, total in ((Corpus(chunks(y, (60, 100))), N * M), (Corpus(lambda: chunks(y, (60, 100))), 0)):
        for search in (lambda report, c=corpus: c.topk(x, K, progress=report),):
            seen = []
            search(lambda *pair, seen=seen: seen.append(pair))
            assert seen == sorted(seen)
            assert seen[-1] == (N * M, total)


def test_hits_of_all_chunks_are_capped():
    x, y, scores = solved("gaussian", "float32", "cosine")
    corpus, hits = Corpus(chunks(y, (60, 100))), int((scores >= 0).sum())
    assert len(corpus.radius(x, 0.0, max_hits=hits).indices) == hits
    with pytest.raises(ValueError, match="max_hits"):
        corpus.radius(x, 0.0, max_hits=hits - 1)


REFUSED = [
    (lambda: Corpus(np.ones(3)), ValueError, r"y has shape \(3,\)"),
    (lambda: Corpus([np.ones((2, 3)), np.ones((2, 4))]), ValueError, "4 columns after one with 3"),
    (lambda: Corpus(np.ones((2, 3)), "kl"), ValueError, "metric"),
    (lambda: Corpus(np.ones((2, 3))).topk(np.ones((1, 4)), 2), ValueError, "x has 4 columns but y has 3"),
    (lambda: Corpus(lambda: [np.ones(3)]).topk(np.ones((1, 3)), 2), ValueError, r"y has shape \(3,\)"),
    (lambda: Corpus(np.ones((2, 3))).topk(np.ones((1, 3)), 2, maks=1), TypeError, "'maks'.*mask"),
    (lambda: Corpus(np.ones((2, 3))).topk(np.ones((1, 3)), 2, mask=[True]), ValueError, "mask"),
    (lambda: Corpus(lambda: [np.ones((2, 3))]).topk(np.ones((1, 3)), 2, mask=[True]), ValueError, "mask"),
    (lambda: Corpus(lambda: [np.ones((2, 3))]).topk(np.ones((1, 3)), 2, mask=[True] * 9), ValueError, "mask"),
    (lambda: Corpus(lambda: [np.ones((2, 3))]).topk(np.ones((1, 3)), 2, exclude=[[2]]), ValueError, "column 2"),
    (lambda: Corpus(np.ones((2, 3))).radius(np.ones((1, 3)), None), TypeError, "threshold"),
    (lambda: Corpus([np.ones((2, 3)), np.full((1, 3), np.nan)]).topk(np.ones((1, 3)), 2), ValueError, "(?i)nan"),
    (lambda: TopkState(-1, 2), ValueError, "n must be"),
    (lambda: TopkState(2, 0), ValueError, "k must be"),
    (lambda: TopkState(2, 2, "kl"), ValueError, "metric"),
    (lambda: TopkState(2, 2).update(np.ones((3, 4)), np.ones((5, 4))), ValueError, "x has 3 rows.*n=2"),
    (lambda: TopkState(2, 2).update(np.ones((2, 4)), np.ones((5, 3))), ValueError, "4 columns.*3"),
    (lambda: TopkState(2, 2).update(np.ones((2, 4)), np.ones((5, 4)), -1), ValueError, "offset"),
    (lambda: TopkState(2, 2).update(np.ones((2, 4)), np.ones((5, 4)), mask=np.ones(4, bool)), ValueError, "mask"),
    (lambda: TopkState(2, 2).merge(TopkState(2, 3)), ValueError, "merged"),
    (lambda: TopkState(2, 2).merge(TopkState(2, 2, "dot")), ValueError, "merged"),
    (lambda: TopkState(2, 2).merge((1, 2)), TypeError, "TopkState"),
]


@pytest.mark.parametrize(("call", "error", "words"), REFUSED)
def test_what_cannot_be_is_refused(call, error, words):
    with pytest.raises(error) as caught:
        call()
    assert re.search(words, str(caught.value)), str(caught.value)


@pytest.mark.parametrize("pattern", ["gaussian", "duplicated", "all_equal", "ascending"])
@pytest.mark.parametrize("metric", ["cosine", "sqeuclidean"])
def test_states_merge_in_any_order(pattern, metric, rng):
    x, y, scores = solved(pattern, "float32", metric)
    parts = list(zip([0, *CUTS[-1]], chunks(y, CUTS[-1]), strict=True))
    for level, threads in helpers.engines():
        rng.shuffle(parts)
        states = []
        for offset, part in parts:
            state = TopkState(N, K, metric)
            state.update(x, part, offset, num_threads=threads)
            states.append(state)
        while len(states) > 1:
            left = states.pop(rng.integers(len(states)))
            left.merge(states.pop(rng.integers(len(states))))
            states.append(left)
        assert_found(states[0].result(), scores, K, oracle.is_similarity(metric), about=level)


def test_a_state_continues_where_it_was():
    x, y, scores = solved("duplicated", "float32", "cosine")
    state = TopkState(N, K)
    for part in chunks(y, CUTS[-2]):
        state.update(x, part)
    assert_found(state.result(), scores, K, True)
    backwards = TopkState(N, K)
    for begin in reversed(range(0, M, 10)):
        backwards.update(x, y[begin : begin + 10], begin)
    assert_found(backwards.result(), scores, K, True)


def test_results_of_a_state_are_copies():
    x, y, scores = solved("gaussian", "float32", "cosine")
    state = TopkState(N, K)
    empty = state.result()
    assert (empty.indices == -1).all()
    assert np.isneginf(empty.scores).all()
    state.update(x, y)
    assert (empty.indices == -1).all()
    other = pickle.loads(pickle.dumps(state))
    other.merge(TopkState(N, K))
    assert_found(other.result(), scores, K, True)
    assert repr(state) == "TopkState(n=37, k=7, metric='cosine', largest=True)"


def test_rules_of_a_part(rng):
    """Masks and labels are those of the chunk; excluded columns and own ones go by the whole."""
    x, _, _ = solved("gaussian", "float32", "cosine", M, 1, 12)
    scores = oracle.pairwise(x, x, "cosine")
    mask, codes = rng.random((M, M)) < 0.5, rng.integers(0, 3, M)
    lists = [rng.permutation(M)[:30].tolist() for _ in range(M)]
    labels = {"x_labels": codes, "y_labels": codes, "same_label": False}
    allowed = oracle.admitted(scores, exclude_self=True, mask=mask, exclude=lists, **labels)
    state = TopkState(M, K)
    for begin, end in ((100, M), (0, 41), (41, 100)):
        given = {"x_labels": codes, "y_labels": codes[begin:end], "same_label": False}
        rows = {"mask": mask[:, begin:end], "exclude": lists, "exclude_self": True}
        state.update(x, x[begin:end], begin, **rows, **given)
    assert_found(state.result(), scores, K, True, allowed)
