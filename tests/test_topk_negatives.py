"""`mining.topk_negatives` against the naive choice from a matrix of scores."""

from math import inf

import helpers
import numpy as np
import oracle_hard_negatives as oracle
import oracle_similarity
import pytest
from fastpair import mining
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse
from searches import solved

N, M, K = 17, 60, 4
S3 = [[0.9, 0.2, 0.4], [0.1, 0.7, 0.3], [0.5, 0.6, 0.8]]


@pytest.fixture(scope="module", params=["cosine", "euclidean"])
def problem(request):
    """Queries, columns, scores, positives, the metric and whether the largest are the closest."""
    x, y, scores = solved("gaussian", "float32", request.param, n=N, m=M, d=9)
    rng = np.random.default_rng(3)
    positives = [rng.permutation(M)[: i % 4].tolist() for i in range(N)]
    return x, y, scores, positives, request.param, request.param in oracle_similarity.SIMILARITIES


def assert_same(found, expected):
    assert isinstance(found, mining.TopkNegatives)
    for name in ("indices", "scores", "counts"):
        np.testing.assert_array_equal(getattr(found, name), expected[name], strict=True, err_msg=name)


def test_by_hand():
    found = mining.topk_negatives(similarities=S3, k=2)
    assert found.indices.tolist() == [[2, 1], [2, 0], [1, 0]]
    assert found.scores.tolist() == [[0.4, 0.2], [0.3, 0.1], [0.6, 0.5]]
    found = mining.topk_negatives(similarities=S3, k=2, filter={"max_score": 0.35})
    assert found.indices.tolist() == [[1, -1], [2, 0], [-1, -1]]
    assert found.scores.tolist() == [[0.2, -inf], [0.3, 0.1], [-inf, -inf]]
    assert found.counts.tolist() == [1, 2, 0]
    teacher = [[1, 0.2, 0.1], [0.3, 0.9, 0.2], [0.1, 0.4, 0.8]]
    assert mining.topk_negatives(similarities=S3, teacher=teacher, k=1).indices.tolist() == [[1], [0], [1]]
    assert mining.topk_negatives(teacher=teacher, k=1).scores.tolist() == [[0.2], [0.3], [0.4]]
    assert mining.topk_negatives(similarities=S3, k=1, skip_top=1).indices.tolist() == [[1], [0], [0]]
    assert mining.topk_negatives(similarities=S3, k=1, ids=[7, 8, 7]).indices.tolist() == [[1], [2], [1]]


@pytest.mark.parametrize(
    "filters", [{}, {"abs_margin": 0.1}, {"rel_margin": 0.1, "positive": "mean", "min_score": 0.05}]
)
@pytest.mark.parametrize("skip", [0, 3])
def test_embeddings_and_their_scores(problem, filters, skip):
    x, y, scores, positives, metric, largest = problem
    expected = oracle.mine(scores, positives, K, largest=largest, low=skip, **filters)
    found = mining.topk_negatives(x, y, positives=positives, k=K, metric=metric, filter=filters, skip_top=skip)
    assert_same(found, expected)
    if largest:
        found = mining.topk_negatives(similarities=scores, positives=positives, k=K, filter=filters, skip_top=skip)
        assert_same(found, expected)


def test_the_diagonal_is_positive(problem):
    x, y, scores, _, metric, largest = problem
    expected = oracle.mine(scores, [[i] for i in range(N)], K, largest=largest)
    assert_same(mining.topk_negatives(x, y, k=K, metric=metric), expected)
    assert_same(mining.topk_negatives(x, y, k=K, metric=metric, positives=np.eye(N, M, dtype=bool)), expected)


def test_no_rule_is_the_plain_top(problem):
    """With a margin of minus infinity nothing is dropped but positives."""
    x, y, scores, positives, metric, largest = problem
    expected = oracle.mine(scores, positives, K, largest=largest)
    assert_same(
        mining.topk_negatives(
            x, y, positives=positives, k=K, metric=metric, filter={"abs_margin": -inf, "rel_margin": -inf}
        ),
        expected,
    )


def test_one_set(problem):
    """A row is never its own negative."""
    x, _, _, _, metric, largest = problem
    scores = oracle_similarity.pairwise(x, x, metric)
    positives = [[(i + 1) % N] for i in range(N)]
    expected = oracle.mine(scores, [[*own, i] for i, own in enumerate(positives)], K, largest=largest)
    assert_same(mining.topk_negatives(x, positives=positives, k=K, metric=metric), expected)
    labels = np.arange(N) % 3
    alike = [np.flatnonzero(labels == labels[i]).tolist() for i in range(N)]
    expected = oracle.mine(scores, alike, K, largest=largest)
    assert_same(mining.topk_negatives(x, ids=labels.astype(str), k=K, metric=metric), expected)


@pytest.mark.parametrize("packed", [False, True], ids=["bool", "bits"])
def test_a_mask(problem, packed, rng):
    x, y, scores, positives, metric, largest = problem
    mask = rng.random((N, M)) < 0.2
    given = np.packbits(mask, axis=-1) if packed else mask
    forbidden = [np.flatnonzero(~row).tolist() for row in mask]
    expected = oracle.mine(scores, positives, K, largest=largest, exclude=forbidden)
    assert_same(mining.topk_negatives(x, y, positives=positives, k=K, metric=metric, filter=given), expected)
    if largest:
        assert_same(mining.topk_negatives(similarities=scores, positives=positives, k=K, filter=given), expected)


def test_the_mask_of_a_filter(problem):
    """Rules of `false_negative_filter` are those of the mapping."""
    x, y, scores, _, metric, _ = problem
    if metric != "cosine":
        return
    for rules in ({"abs_margin": 0.1}, {"rel_margin": 0.2}, {"abs_margin": -0.1, "max_score": 0.3}):
        mask = mining.false_negative_filter(scores, np.arange(N), **rules)
        found = mining.topk_negatives(x, y, k=K, filter=mask)
        expected = mining.topk_negatives(x, y, k=K, filter=rules)
        np.testing.assert_array_equal(found.indices, expected.indices)


@pytest.mark.parametrize("most", [1, 3], ids=["one positive", "several"])
def test_ids(problem, most, rng):
    x, y, scores, positives, metric, largest = problem
    positives = [own[:most] for own in positives]
    ids = rng.integers(0, 9, M)
    same = [np.flatnonzero(np.isin(ids, ids[own])).tolist() if own else [] for own in positives]
    expected = oracle.mine(scores, positives, K, largest=largest, exclude=same)
    words = np.array(list("abcdefghi"))[ids]
    for codes in (ids, words):
        assert_same(mining.topk_negatives(x, y, positives=positives, k=K, metric=metric, ids=codes), expected)
    own = rng.integers(0, 9, N)
    expected = oracle.mine(scores, positives, K, largest=largest, labels=(own, ids))
    assert_same(mining.topk_negatives(x, y, positives=positives, k=K, metric=metric, ids=(own, ids)), expected)


def test_draws_from_a_range(problem):
    x, y, scores, positives, metric, largest = problem
    ranks = oracle.mine(scores, positives, K, largest=largest)["admissible"]
    options = {"positives": positives, "k": K, "rank_range": (5, 25), "metric": metric}
    found = mining.topk_negatives(x, y, seed=1, **options)
    for row in range(N):
        assert set(found.indices[row].tolist()) <= set(ranks[row][5:25])
    np.testing.assert_array_equal(found.indices, mining.topk_negatives(x, y, seed=1, **options).indices)
    assert (found.indices != mining.topk_negatives(x, y, seed=2, **options).indices).any()
    if largest:
        again = mining.topk_negatives(similarities=scores, seed=1, **options)
        np.testing.assert_array_equal(found.indices, again.indices)


def test_a_teacher_as_a_function(problem, rng):
    x, y, scores, positives, metric, largest = problem
    teacher = rng.normal(size=(N, M))
    options = {"positives": positives, "k": K, "filter": {"abs_margin": 0.3}, "metric": metric}
    expected = oracle.mine(scores, positives, K, largest=largest, teacher=teacher, candidates=M, abs_margin=0.3)
    assert_same(mining.topk_negatives(x, y, teacher=lambda rows, columns: teacher[rows, columns], **options), expected)
    assert_same(mining.topk_negatives(x, y, teacher=teacher, **options), expected)


def relevant(scores, positives, k, largest):
    """The closest k with positives among them, or positives behind the closest k."""
    result = []
    for row, own in enumerate(positives):
        order = sorted(range(scores.shape[1]), key=lambda j, r=row: (-oracle.closeness(scores[r, j], largest), j))
        taken = order[:k]
        if not set(own) & set(taken):
            taken += [j for j in order if j in own]
        result.append(taken)
    return result


def test_relevant_ones_are_appended(problem):
    x, y, scores, positives, metric, largest = problem
    width = max(map(len, positives))
    for k in (1, 4, 20, M + 3):
        found = mining.topk_negatives(x, y, positives=positives, k=k, metric=metric, append_relevant=True)
        lists = relevant(scores, positives, k, largest)
        assert found.indices.shape == found.scores.shape == (N, k + width)
        for row, own in enumerate(lists):
            assert found.indices[row].tolist() == own + [-1] * (k + width - len(own))
            np.testing.assert_array_equal(found.scores[row, : len(own)], scores[row, own])
            assert (found.scores[row, len(own) :] == (-inf if largest else inf)).all()
        assert found.counts.tolist() == [len(own) for own in lists]


def test_engines_and_blocks(problem):
    x, y, scores, positives, metric, _ = problem
    cases = [
        {"x": x, "y": y, "metric": metric, "filter": {"rel_margin": 0.1}},
        {"similarities": scores, "filter": {"max_score": 0.2}},
        {"x": x, "y": y, "metric": metric, "rank_range": (2, 30), "seed": 0},
        {"x": x, "y": y, "metric": metric, "append_relevant": True},
    ]
    for case in cases:
        expected = mining.topk_negatives(positives=positives, k=K, **case)
        for level, threads in helpers.engines():
            for most in (None, 400_000):
                found = mining.topk_negatives(positives=positives, k=K, num_threads=threads, max_memory=most, **case)
                np.testing.assert_array_equal(found.indices, expected.indices, err_msg=f"{level} {threads} {most}")
                np.testing.assert_array_equal(found.scores, expected.scores)


@given(st.data())
def test_ties_and_infinities_of_a_matrix(data):
    n, m = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 8))
    numbers = st.sampled_from([-inf, -1.0, -0.0, 0.0, 0.5, 1.0, inf])
    scores = np.array(data.draw(st.lists(st.lists(numbers, min_size=m, max_size=m), min_size=n, max_size=n)))
    positives = data.draw(st.lists(st.lists(st.integers(0, m - 1), max_size=2), min_size=n, max_size=n))
    k, skip = data.draw(st.integers(1, 5)), data.draw(st.integers(0, m - 1))
    expected = oracle.mine(scores, positives, k, low=skip)
    for dtype in (np.float64, np.float16):
        found = mining.topk_negatives(similarities=scores.astype(dtype), positives=positives, k=k, skip_top=skip)
        assert_same(found, expected)


def test_sparse_embeddings(problem):
    x, y, _, positives, metric, _ = problem
    if metric == "cosine":
        expected = mining.topk_negatives(x.astype(float), y, positives=positives, k=K)
        found = mining.topk_negatives(sparse.csr_array(x), y, positives=positives, k=K)
        np.testing.assert_array_equal(found.indices, expected.indices)


def test_nothing():
    found = mining.topk_negatives(similarities=np.zeros((0, 3)), k=2)
    assert found.indices.shape == (0, 2)
    found = mining.topk_negatives(np.zeros((0, 3)), np.ones((4, 3)), k=2, append_relevant=True)
    assert found.indices.shape == (0, 2)


REFUSED = [
    ({"x": np.eye(3)}, "x and similarities were both given"),
    ({"similarities": None, "x": np.eye(3)}, "positives is None, which is the diagonal"),
    ({"similarities": None, "y": np.eye(3)}, "y was given without x"),
    ({"similarities": np.ones((4, 3))}, "there are 4 rows but 3 columns"),
    ({"similarities": np.ones(3)}, r"similarities has shape \(3,\)"),
    ({"similarities": [[0.1, np.nan]]}, "similarities is nan at row 0, column 1"),
    ({"positives": [0, 1, 3]}, "positives names column 3 for row 2, but y has 3 rows"),
    ({"filter": {"margin": 1}}, "filter names the rule 'margin'"),
    ({"filter": {"positive": "own"}}, "'own', which only hard_negatives takes"),
    ({"filter": np.ones((2, 3), bool)}, r"filter has shape \(2, 3\)"),
    ({"filter": {"min_score": 2, "max_score": 1}}, "min_score=2 is above max_score=1"),
    ({"teacher": np.ones((3, 4))}, r"teacher has shape \(3, 4\); pass shape \(3, 3\)"),
    ({"skip_top": 3}, "skip_top=3 skips all of the 3 columns"),
    ({"skip_top": 1, "rank_range": (0, 2)}, "skip_top=1 and rank_range"),
    ({"rank_range": (2, 1)}, r"rank_range=\(2, 1\) has no rank"),
    ({"rank_range": (0, 1), "k": 2}, "k=2 negatives do not fit"),
    ({"append_relevant": True, "skip_top": 1}, "append_relevant=True needs the k hardest"),
    ({"ids": [1, 2]}, r"ids has shape \(2,\); pass shape \(3,\)"),
    ({"ids": ([1, 2], [1, 2, 3])}, r"ids has shapes \(2,\) and \(3,\)"),
    ({"k": 0}, "k must be at least 1"),
]


@pytest.mark.parametrize(("change", "words"), REFUSED)
def test_what_cannot_be_is_refused(change, words):
    with pytest.raises(ValueError, match=words):
        mining.topk_negatives(**{"similarities": S3, "k": 1, **change})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"similarities": None}, "x and similarities are both None"),
        ({"filter": np.ones((3, 3))}, "filter has dtype float64"),
        ({"append_relevant": 1}, "append_relevant must be True or False"),
        ({"positives": [0.5, 1.0, 2.0]}, "pass integers"),
    ],
)
def test_wrong_types_are_refused(change, words):
    with pytest.raises(TypeError, match=words):
        mining.topk_negatives(**{"similarities": S3, "k": 1, **change})
