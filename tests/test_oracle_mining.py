"""The oracle itself, on cases worked out by hand, on the fixtures of the specification, and against other formulas."""

import itertools

import numpy as np
import oracle_mining as oracle
import pytest

S4 = np.array([[1, 0.8, 0.6, 0.3], [0.8, 1, 0.4, 0.5], [0.6, 0.4, 1, 0.7], [0.3, 0.5, 0.7, 1]])
D4, Y4 = 1 - S4, [0, 0, 1, 1]
POSITIVE, NEGATIVE, IGNORED = oracle.roles((4, 4), True, labels=Y4)


def listed(mask):
    return [tuple(pair) for pair in np.argwhere(mask).tolist()]


def test_roles_of_labels():
    assert listed(POSITIVE) == [(0, 1), (1, 0), (2, 3), (3, 2)]
    assert listed(IGNORED) == [(i, i) for i in range(4)]
    assert (POSITIVE ^ NEGATIVE ^ IGNORED).all()
    left, right = ["a", "b"], ["b", "c", "a"]
    positive, negative, ignored = oracle.roles((2, 3), False, labels=(left, right))
    assert listed(positive) == [(0, 2), (1, 0)]
    assert not ignored.any()
    assert listed(negative) == [(0, 0), (0, 1), (1, 1), (1, 2)]


def test_roles_of_columns_and_masks():
    assert listed(oracle.roles((2, 3), False)[0]) == [(0, 0), (1, 1)]
    positive, negative, _ = oracle.roles((2, 3), False, positives=[2, -1])
    assert listed(positive) == [(0, 2)]
    assert listed(negative) == [(0, 0), (0, 1), (1, 0), (1, 1), (1, 2)]
    mask = np.array([[True, False, True], [False, False, False]])
    assert (oracle.roles((2, 3), False, positives=mask)[0] == mask).all()


def test_ids_and_ignored_pairs():
    """Copies of the positive are ignored, and the positive stays one."""
    positive, negative, ignored = oracle.roles((2, 3), False, ids=(["a", "b"], ["a", "b", "a"]))
    assert listed(positive) == [(0, 0), (1, 1)]
    assert listed(ignored) == [(0, 2)]
    out = np.zeros((2, 3), bool)
    out[1, 2] = True
    positive, negative, ignored = oracle.roles((2, 3), False, ignore=out)
    assert listed(ignored) == [(1, 2)]
    assert listed(negative) == [(0, 1), (0, 2), (1, 0)]


def test_formats():
    mask = np.zeros((2, 9), bool)
    mask[0, [0, 8]] = mask[1, 3] = True
    positive = np.zeros((2, 9), bool)
    positive[0, [4, 5]] = True
    assert oracle.formatted(mask, "bits").tolist() == [[0b10000000, 0b10000000], [0b00010000, 0]]
    indptr, indices = oracle.formatted(mask, "csr")
    assert (indptr.tolist(), indices.tolist()) == ([0, 2, 3], [0, 8, 3])
    assert (indptr.dtype, indices.dtype) == (np.int64, np.int32)
    rows, columns = oracle.formatted(mask, "coo")
    assert (rows.tolist(), columns.tolist()) == ([0, 0, 1], [0, 8, 3])
    assert oracle.formatted(mask, "triplets", positive).tolist() == [[0, 4, 0], [0, 4, 8], [0, 5, 0], [0, 5, 8]]
    assert oracle.formatted(mask[:0], "coo")[0].shape == (0,)
    assert oracle.formatted(mask[:0], "csr")[0].tolist() == [0]


def test_three_of_eight_triplets_violate_a_margin_of_a_quarter():
    everything, counts = oracle.triplets(-D4, POSITIVE, NEGATIVE, "all")
    assert (len(everything), counts.tolist()) == (8, [2, 2, 2, 2])
    found, counts = oracle.triplets(-D4, POSITIVE, NEGATIVE, "margin", 0.25)
    assert found.tolist() == [[0, 1, 2], [2, 3, 0], [3, 2, 1]]
    assert counts.tolist() == [1, 0, 1, 1]


@pytest.mark.parametrize("margin", [0.25, 0.35, 0.15])
def test_triplets_of_distances_and_of_similarities(margin):
    """The definition in distances, spelled out."""
    for kind in ("margin", "hard", "semihard"):
        spelled = [
            (a, p, n)
            for a, p, n in itertools.product(range(4), repeat=3)
            if a != p
            and Y4[a] == Y4[p]
            and Y4[a] != Y4[n]
            and D4[a, p] - D4[a, n] > -margin
            and (kind != "hard" or D4[a, n] < D4[a, p])
            and (kind != "semihard" or D4[a, n] > D4[a, p])
        ]
        for close in (-D4, S4):
            assert [tuple(t) for t in oracle.triplets(close, POSITIVE, NEGATIVE, kind, margin)[0]] == spelled


def test_the_hardest_positive_and_negative():
    p, n, p_scores, n_scores = oracle.batch_hard(D4, "euclidean", POSITIVE, NEGATIVE)
    assert p.tolist() == [1, 0, 3, 2]
    assert n.tolist() == [2, 3, 0, 1]
    np.testing.assert_array_equal(p_scores, D4[range(4), p])
    np.testing.assert_array_equal(n_scores, D4[range(4), n])
    for metric, scores in (("cosine", S4), ("euclidean", D4)):
        assert oracle.batch_hard(scores, metric, POSITIVE, NEGATIVE)[1].tolist() == [2, 3, 0, 1]
        assert oracle.batch_hard(scores, metric, POSITIVE, NEGATIVE, rival="easiest")[1].tolist() == [3, 2, 1, 0]


ROW = np.array([[9.0, 5.0, 3.0, 5.0, 6.0, 4.0, 2.0, 4.0]])  # the row itself, two positives, five negatives
ITS_POSITIVES, ITS_NEGATIVES = np.zeros((2, 1, 8), bool)
ITS_POSITIVES[0, 1:3] = ITS_NEGATIVES[0, 3:] = True


def test_bands_are_strict_and_ties_are_neither():
    def kept(kind, margin, which):
        return oracle.hard_mask(ROW, ITS_POSITIVES, ITS_NEGATIVES, kind, margin, which)[0].nonzero()[0].tolist()

    assert kept("hard", 2.0, "max") == [4]
    assert kept("semihard", 2.0, "max") == [5, 7]
    assert kept("semihard", 1.0, "max") == []
    assert kept("margin", 2.0, "max") == [3, 4, 5, 7]
    assert kept("easy", 2.0, "max") == [6]
    assert kept("easy", 1.0, "max") == [5, 6, 7]
    assert kept(oracle.TIES, 1.0, "max") == [3]
    assert kept("hard", 1.0, "min") == [3, 4, 5, 7]
    assert kept("hard", 1.0, "mean") == [3, 4]
    assert kept("semihard", 3.0, "min") == [6]


def test_choices_of_a_row():
    def chosen(**options):
        return [int(part[0]) for part in oracle.batch_hard(ROW, "dot", ITS_POSITIVES, ITS_NEGATIVES, **options)[:2]]

    assert chosen() == [2, 4]
    assert chosen(chosen="easiest") == [1, 4]
    assert chosen(rival="easiest") == [2, 6]
    assert chosen(chosen="easiest", rival="semihard") == [1, 5]
    assert chosen(rival="semihard") == [2, 6]
    assert chosen(rival="semihard", margin=1.0) == [2, -1]
    assert chosen(rival="semihard", margin=1.0, fallback="hardest") == [2, 4]
    assert chosen(rival="semihard", margin=1.0, fallback="farthest") == [2, 6]
    none = np.zeros((1, 8), bool)
    places = oracle.batch_hard(ROW, "dot", none, ITS_NEGATIVES)
    assert [int(part[0]) for part in places[:2]] == [-1, 4]
    assert np.isnan(places[2][0])
    assert places[3][0] == 6.0


def test_the_closest_negative_of_each_triplet():
    found, counts = oracle.triplets(ROW, ITS_POSITIVES, ITS_NEGATIVES, "semihard", 2.0, "hardest")
    assert (found.tolist(), counts.tolist()) == ([[0, 1, 5], [0, 2, 6]], [2])
    found, _ = oracle.triplets(ROW, ITS_POSITIVES, ITS_NEGATIVES, "semihard", 1.0, "hardest", "farthest")
    assert found.tolist() == [[0, 1, 6], [0, 2, 6]]
    found, _ = oracle.triplets(ROW, ITS_POSITIVES, ITS_NEGATIVES, "semihard", 1.0, "hardest")
    assert found.tolist() == []


def test_multi_similarity_by_hand():
    """Positives within epsilon of the closest negative, negatives within epsilon of the farthest positive."""
    own, other = oracle.multi_similarity_mask(ROW, ITS_POSITIVES, ITS_NEGATIVES, 0.5)
    assert own[0].nonzero()[0].tolist() == [1, 2]
    assert other[0].nonzero()[0].tolist() == [3, 4, 5, 7]
    own, other = oracle.multi_similarity_mask(ROW + 4.0 * ITS_POSITIVES, ITS_POSITIVES, ITS_NEGATIVES, 1.0)
    assert not own.any()
    assert not other.any()
    own, other = oracle.multi_similarity_mask(ROW + 4.0 * ITS_POSITIVES, ITS_POSITIVES, ITS_NEGATIVES, 1.5)
    assert own[0].nonzero()[0].tolist() == [2]
    assert other[0].nonzero()[0].tolist() == [4]


def test_multi_similarity_of_the_fixture():
    """Anchor 0 has the positive at .8 and negatives at .6 and .3; and so on."""
    own, other = oracle.multi_similarity_mask(S4, POSITIVE, NEGATIVE, 0.15)
    assert (listed(own), listed(other)) == ([(2, 3)], [(2, 0)])
    own, other = oracle.multi_similarity_mask(S4, POSITIVE, NEGATIVE, 0.25)
    assert listed(own) == [(0, 1), (2, 3), (3, 2)]
    assert listed(other) == [(0, 2), (2, 0), (3, 1)]


def test_duplicates_are_no_positives():
    scores = np.array([[1.0, 1.0, 0.99999, 0.9]])
    positive = np.array([[False, True, True, True]])
    assert oracle.without_duplicates(scores, "cosine", positive)[0].tolist() == [False, False, False, True]
    assert oracle.without_duplicates(scores, "cosine", positive, 1e-9)[0].tolist() == [False, False, True, True]
    assert oracle.without_duplicates(scores, "dot", positive) is positive


def test_bands_partition_the_negatives():
    close = np.random.default_rng(0).integers(-4, 5, (9, 12)) / 4
    positive, negative, _ = oracle.roles((9, 12), False, labels=([0, 1, 2] * 3, [0, 1, 2] * 4))
    parts = [
        oracle.hard_mask(close, positive, negative, kind, 0.5) for kind in ("hard", "semihard", "easy", oracle.TIES)
    ]
    assert (np.sum(parts, axis=0) == negative).all()
    margin = oracle.hard_mask(close, positive, negative, "margin", 0.5)
    assert (margin == parts[0] | parts[1] | parts[3]).all()
