"""Pairs and triplets that the miners of pytorch-metric-learning select: recorded ones, and all where it is installed.

Recorded from pytorch-metric-learning 2.9.0 under torch 2.15, in float64, on rows that anybody can make again. The
package is neither needed nor copied here. What is different on purpose stands at the end, and in
``docs/differences.md``.
"""

import numpy as np
import pytest
from fastpair import mining

LABELS = np.repeat(np.arange(4), 3)
CENTRES = np.sin(2.3 * np.arange(24)).reshape(4, 6)
X = CENTRES[LABELS] + 0.9 * np.sin(1.7 * np.arange(72) + 0.3).reshape(12, 6)

# Columns of each row that `MultiSimilarityMiner` keeps: positives, then negatives.
SIMILAR = {
    ("cosine", 0.1): (
        [[1], [0, 2], [0, 1], [4, 5], [3, 5], [3, 4], [7, 8], [6, 8], [6, 7], [10, 11], [9, 11], [10]],
        [
            *([3, 5, 10], [4, 9], [4, 5, 10], [6, 7, 8, 11], [1, 2, 6, 7], [0, 2, 7], [3, 9, 11], [3, 4, 5]),
            *([3, 5, 9, 11], [1, 3, 4, 6, 7, 8], [0, 2, 5, 7, 8], [3, 6, 8]),
        ],
    ),
    ("cosine", 0.2): (
        [[1], [0, 2], [0, 1], [4, 5], [3, 5], [3, 4], [7, 8], [6, 8], [6, 7], [10, 11], [9, 11], [9, 10]],
        [
            *([3, 5, 10], [4, 9], [4, 5, 10], [0, 6, 7, 8, 11], [1, 2, 6, 7], [0, 2, 7], [3, 4, 9, 11]),
            *([3, 4, 5, 9, 10], [3, 5, 9, 10, 11], [1, 3, 4, 6, 7, 8], [0, 2, 5, 7, 8], [3, 6, 8]),
        ],
    ),
    ("euclidean", 0.1): (
        [[1], [0, 2], [0, 1], [4, 5], [3, 5], [3, 4], [7, 8], [6, 8], [6, 7], [10, 11], [9, 11], [10]],
        [
            *([3, 5, 10], [3, 4, 5, 9, 10], [5, 10], [0, 1, 6, 7, 8, 10], [1, 7], [0, 2, 7, 8, 10], [3, 9, 11]),
            *([1, 3, 4, 5, 10], [3, 5, 9, 10, 11], [1, 6, 8], [0, 1, 2, 3, 5, 7, 8], [3, 6, 8]),
        ],
    ),
}

# Positives and negatives of `BatchHardMiner` and `BatchEasyHardMiner`, which keep all twelve anchors.
HARDEST = {
    ("cosine", "hardest", "hardest"): ([1, 0, 1, 4, 3, 3, 7, 8, 7, 10, 9, 10], [5, 4, 5, 8, 7, 2, 9, 4, 3, 6, 2, 6]),
    ("cosine", "hardest", "semihard"): (
        [1, 0, 1, 4, 3, 3, 7, 8, 7, 10, 9, 10],
        [10, 9, 4, 11, 2, 8, 4, 3, 5, 4, 6, 0],
    ),
    ("cosine", "hardest", "easiest"): ([1, 0, 1, 4, 3, 3, 7, 8, 7, 10, 9, 10], [6, 8, 6, 10, 11, 9, 2, 0, 1, 2, 1, 2]),
    ("cosine", "easiest", "semihard"): (
        [2, 2, 0, 5, 5, 4, 8, 6, 6, 11, 11, 9],
        [5, 9, 4, 11, 1, 7, 11, 3, 11, 8, 0, 6],
    ),
    ("euclidean", "hardest", "hardest"): (
        [1, 2, 1, 4, 3, 4, 7, 6, 7, 10, 11, 10],
        [5, 3, 5, 8, 7, 2, 9, 4, 3, 6, 8, 8],
    ),
    ("euclidean", "hardest", "semihard"): (
        [1, 2, 1, 4, 3, 4, 7, 6, 7, 10, 11, 10],
        [3, 5, 10, 11, 10, 8, 10, 1, 9, 1, 4, 1],
    ),
    ("euclidean", "easiest", "easiest"): (
        [2, 0, 0, 5, 5, 3, 8, 8, 6, 11, 9, 9],
        [6, 11, 6, 2, 11, 11, 2, 11, 2, 2, 6, 2],
    ),
}

# Triplets of `TripletMarginMiner` with a margin of 0.1: all semi-hard ones, and how many there are of each kind.
SEMIHARD = {
    "cosine": [
        *([0, 1, 3], [0, 1, 10], [1, 0, 9], [2, 1, 4], [2, 1, 10], [3, 4, 7], [3, 4, 11], [4, 3, 2], [4, 3, 6]),
        *([4, 5, 1], [5, 4, 7], [6, 8, 11], [7, 8, 3], [8, 7, 5], [9, 10, 4], [10, 11, 0]),
    ],
    "euclidean": [
        *([0, 1, 3], [1, 2, 5], [2, 1, 10], [3, 5, 1], [5, 4, 8], [7, 6, 1], [8, 7, 9], [9, 10, 1], [10, 9, 2]),
    ],
}
COUNTS = {
    "cosine": {"margin": 63, "hard": 47, "semihard": 16, "easy": 153},
    "euclidean": {"margin": 72, "hard": 63, "semihard": 9, "easy": 144},
}
KINDS = {"all": "margin", "hard": "hard", "semihard": "semihard", "easy": "easy"}
STRATEGIES = {"hard": "hardest", "semihard": "semihard", "easy": "easiest"}


def columns(mask):
    return [np.flatnonzero(row).tolist() for row in mask]


@pytest.mark.parametrize(("metric", "epsilon"), SIMILAR)
def test_recorded_pairs(metric, epsilon):
    found = mining.multi_similarity_mask(X, labels=LABELS, metric=metric, epsilon=epsilon)
    assert (columns(found.positives), columns(found.negatives)) == SIMILAR[metric, epsilon]


@pytest.mark.parametrize(("metric", "positive", "negative"), HARDEST)
def test_recorded_choices(metric, positive, negative):
    found = mining.batch_hard(X, labels=LABELS, metric=metric, positive=positive, negative=negative)
    assert (found.positives.tolist(), found.negatives.tolist()) == HARDEST[metric, positive, negative]


@pytest.mark.parametrize("metric", SEMIHARD)
def test_recorded_triplets(metric):
    for kind, count in COUNTS[metric].items():
        found = mining.triplets(X, labels=LABELS, metric=metric, kind=kind, margin=0.1).indices
        assert len(found) == count
        if kind == "semihard":
            assert found.tolist() == SEMIHARD[metric]


def batches():
    """Rows in classes of different sizes, some of one row; the second set has labels that the first lacks."""
    for n, m, classes in ((60, 45, 9), (33, 64, 30), (40, 40, 2)):
        rng = np.random.default_rng([n, m])
        centres = rng.normal(size=(classes + 3, 8))
        left, right = rng.integers(0, classes, n), rng.integers(0, classes + 3, m)
        yield (centres[left] + rng.normal(size=(n, 8)), left), (centres[right] + rng.normal(size=(m, 8)), right)


METRICS = ("cosine", "dot", "euclidean", "sqeuclidean", "manhattan")


def distance(metric):
    from pytorch_metric_learning import distances

    return {
        "cosine": lambda: distances.CosineSimilarity(),
        "dot": lambda: distances.DotProductSimilarity(normalize_embeddings=False),
        "euclidean": lambda: distances.LpDistance(normalize_embeddings=False),
        "sqeuclidean": lambda: distances.LpDistance(normalize_embeddings=False, power=2),
        "manhattan": lambda: distances.LpDistance(normalize_embeddings=False, p=1),
    }[metric]()


@pytest.fixture(params=METRICS)
def peer(request):
    """The package's miners with a metric, called on a batch: one array of indices for each part of the result."""
    pytest.importorskip("pytorch_metric_learning")
    import torch
    from pytorch_metric_learning import miners

    def mine(name, rows, labels, others, their_labels, *arguments):
        miner = getattr(miners, name)(*arguments, distance=distance(request.param))
        references = () if others is None else (torch.from_numpy(others), torch.from_numpy(their_labels))
        return [part.numpy() for part in miner(torch.from_numpy(rows), torch.from_numpy(labels), *references)]

    return request.param, mine


def both_forms():
    """Each batch as one set and as two, and how fastpair is given the labels."""
    for (x, left), (y, right) in batches():
        yield (x, left, None, None), {"labels": left}
        yield (x, left, y, right), {"labels": (left, right)}


def pairs(rows, columns_of_rows, shape):
    mask = np.zeros(shape, bool)
    mask[rows, columns_of_rows] = True
    return mask


@pytest.mark.parametrize("epsilon", [0.0, 0.1, 1.0])
def test_multi_similarity_miner(peer, epsilon):
    metric, mine = peer
    for batch, given in both_forms():
        a1, p, a2, n = mine("MultiSimilarityMiner", *batch, epsilon)
        found = mining.multi_similarity_mask(
            batch[0], batch[2], metric=metric, epsilon=epsilon, duplicate_eps=None, **given
        )
        np.testing.assert_array_equal(found.positives, pairs(a1, p, found.positives.shape))
        np.testing.assert_array_equal(found.negatives, pairs(a2, n, found.negatives.shape))


def test_batch_hard_miner(peer):
    metric, mine = peer
    for batch, given in both_forms():
        anchors, p, n = mine("BatchHardMiner", *batch)
        found = mining.batch_hard(batch[0], batch[2], metric=metric, **given)
        kept = np.flatnonzero((found.positives >= 0) & (found.negatives >= 0))
        np.testing.assert_array_equal(kept, anchors)
        np.testing.assert_array_equal(found.positives[kept], p)
        np.testing.assert_array_equal(found.negatives[kept], n)


@pytest.mark.parametrize("positive", ["hard", "easy"])
@pytest.mark.parametrize("negative", ["hard", "semihard", "easy"])
def test_batch_easy_hard_miner(peer, positive, negative):
    metric, mine = peer
    choice = {"positive": STRATEGIES[positive], "negative": STRATEGIES[negative]}
    for batch, given in both_forms():
        anchors, p, _, n = mine("BatchEasyHardMiner", *batch, positive, negative)
        found = mining.batch_hard(batch[0], batch[2], metric=metric, **choice, **given)
        kept = np.flatnonzero((found.positives >= 0) & (found.negatives >= 0))
        np.testing.assert_array_equal(kept, anchors)
        np.testing.assert_array_equal(found.positives[kept], p)
        np.testing.assert_array_equal(found.negatives[kept], n)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("margin", [0.05, 0.2, 2.0])
def test_triplet_margin_miner(peer, kind, margin):
    metric, mine = peer
    for batch, given in both_forms():
        expected = np.stack(mine("TripletMarginMiner", *batch, margin, kind), axis=1)
        found = mining.triplets(batch[0], batch[2], metric=metric, kind=KINDS[kind], margin=margin, **given)
        np.testing.assert_array_equal(found.indices, expected)
        np.testing.assert_array_equal(found.counts, np.bincount(expected[:, 0], minlength=len(batch[0])))


# Rows whose scores are exact: anchor 0 has its positive and a negative at a distance of 1, and a negative at 1.5.
TIED, TIED_LABELS = np.array([[0.0], [1.0], [-1.0], [1.5]]), np.array([0, 0, 1, 2])


def test_equal_distances_are_neither_here_and_hard_there():
    sizes = {}
    for kind in KINDS.values():
        found = mining.triplets(TIED, labels=TIED_LABELS, metric="euclidean", kind=kind, margin=0.5).indices
        sizes[kind] = found[found[:, 0] == 0].tolist()
    assert sizes == {"margin": [[0, 1, 2]], "hard": [], "semihard": [], "easy": [[0, 1, 3]]}
    miners = pytest.importorskip("pytorch_metric_learning").miners
    import torch

    theirs = {}
    for kind in KINDS:
        miner = miners.TripletMarginMiner(0.5, kind, distance=distance("euclidean"))
        found = torch.stack(miner(torch.from_numpy(TIED), torch.from_numpy(TIED_LABELS)), 1)
        theirs[KINDS[kind]] = found[found[:, 0] == 0].tolist()
    # A distance beyond the margin by nothing violates it there.
    assert theirs == {
        "margin": [[0, 1, 2], [0, 1, 3]],
        "hard": [[0, 1, 2]],
        "semihard": [[0, 1, 3]],
        "easy": [],
    }


def test_copies_of_the_anchor_are_positives_there():
    x, labels = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.6, 0.8]]), np.array([0, 0, 1, 1])
    assert not mining.multi_similarity_mask(x, labels=labels, epsilon=0.5).positives[:2].any()
    kept = mining.multi_similarity_mask(x, labels=labels, epsilon=0.5, duplicate_eps=None).positives
    assert kept[:2, :2].sum() == 2
    miners = pytest.importorskip("pytorch_metric_learning").miners
    import torch

    a1, p, _, _ = miners.MultiSimilarityMiner(0.5)(torch.from_numpy(x), torch.from_numpy(labels))
    np.testing.assert_array_equal(pairs(a1.numpy(), p.numpy(), (4, 4)), kept)
