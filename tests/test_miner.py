"""Miners inside of losses, and sets of pairs in every format as input of losses."""

import fastpair
import helpers
import numpy as np
import pytest
from fastpair import losses, mining
from scipy import sparse

RULES = [
    (mining.hard_mask, {"kind": "semihard", "margin": 0.3}),
    (mining.hard_mask, {"kind": "hard", "positive": "max"}),
    (mining.hard_mask, {"kind": "margin", "margin": 0.1, "positive": "mean"}),
    (mining.hard_mask, {"kind": "easy", "margin": 0.05}),
    (mining.multi_similarity_mask, {"epsilon": 0.05}),
    (mining.multi_similarity_mask, {"epsilon": -0.1, "duplicate_eps": None}),
]
LOSSES = [losses.info_nce, losses.siglip]


@pytest.fixture
def batch(rng):
    x = rng.normal(size=(45, 8))
    return x, np.repeat(np.arange(9), 5)


def mined(x, labels, function, options, metric="cosine"):
    """The positives and negatives that a miner keeps."""
    miner = mining.Miner(function, **options)
    found = miner(x, labels=labels, metric=metric)
    if function is mining.hard_mask:
        return mining.pair_masks(labels).positives, found
    return found


@pytest.mark.parametrize(("function", "options"), RULES)
@pytest.mark.parametrize("loss", LOSSES)
def test_a_miner_inside_of_a_loss_is_its_mask(batch, loss, function, options):
    x, labels = batch
    positives, negatives = mined(x, labels, function, options)
    miner = mining.Miner(function, **options)
    value, grads = loss(x, labels=labels, neg_mask=miner, return_grad=True)
    expected, meant = loss(x, x.copy(), positives, ignore=~(positives | negatives), return_grad=True)
    assert value == pytest.approx(expected, rel=1e-12)
    np.testing.assert_allclose(grads.x, meant.x + meant.y, atol=1e-13)


@pytest.mark.parametrize("metric", ["dot", "euclidean"])
def test_other_metrics(batch, metric):
    x, labels = batch
    options = {"kind": "semihard", "margin": 0.7}
    positives, negatives = mined(x, labels, mining.hard_mask, options, metric)
    miner = mining.Miner(mining.hard_mask, **options)
    value = losses.info_nce(x, labels=labels, metric=metric, neg_mask=miner, temperature=1.0)
    ignore = ~(positives | negatives)
    meant = losses.info_nce(x, x.copy(), positives, metric=metric, ignore=ignore, temperature=1.0)
    assert value == pytest.approx(meant, rel=1e-9)


def test_hard_negatives_of_hcl_and_both_directions(rng):
    x, y = rng.normal(size=(2, 30, 6))
    miner = mining.Miner(mining.hard_mask, kind="margin", margin=0.5)
    mask = miner(x, y)
    assert losses.hcl(x, y, neg_mask=miner) == pytest.approx(losses.hcl(x, y, neg_mask=mask), rel=1e-12)
    own = losses.info_nce(x, y, neg_mask=miner, symmetric=True)
    both = [losses.info_nce(x, y, neg_mask=mask), losses.info_nce(y, x, neg_mask=miner(y, x))]
    assert own == pytest.approx(np.mean(both), rel=1e-12)


def test_similarities_and_threads(batch):
    x, labels = batch
    miner = mining.Miner(mining.multi_similarity_mask)
    value = losses.info_nce(x, labels=labels, neg_mask=miner)
    for _, threads in helpers.engines():
        again = losses.info_nce(x, labels=labels, neg_mask=miner, num_threads=threads)
        assert again == pytest.approx(value, rel=1e-12)
    scores = fastpair.pairwise(x, metric="cosine", exact=True)
    np.fill_diagonal(positives := labels[:, np.newaxis] == labels, False)
    own = losses.info_nce(similarities=scores, positives=positives, ignore=np.eye(45, dtype=bool), neg_mask=miner)
    assert own == pytest.approx(value, rel=1e-9)


OPTIONS = [
    {"temperature": np.linspace(0.3, 1, 30)},
    {"margin": 0.2},
    {"arc_margin": 0.2},
    {"label_smoothing": 0.1},
    {"hard_k": 3},
    {"hard_threshold": 0.2},
    {"focal_gamma": 0.5},
    {"include_positive": False},
    {"neg_weights": np.linspace(0.5, 2, 30)},
    {"pos_weights": np.linspace(0.5, 2, 30)},
    {"weights": np.linspace(0, 1, 30)},
]


@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: next(iter(options)))
def test_a_miner_goes_with_other_options(rng, options):
    x, y = rng.normal(size=(2, 30, 6))
    miner = mining.Miner(mining.hard_mask, kind="margin", margin=0.5)
    value, grads = losses.info_nce(x, y, neg_mask=miner, return_grad=True, **options)
    expected, meant = losses.info_nce(x, y, neg_mask=miner(x, y), return_grad=True, **options)
    assert value == pytest.approx(expected, rel=1e-12)
    np.testing.assert_allclose(grads.x, meant.x, atol=1e-13)


def test_a_temperature_for_each_pair_hides_similarities_from_a_miner():
    miner = mining.Miner(mining.hard_mask)
    with pytest.raises(ValueError, match="a Miner as neg_mask looks at similarities; pass one temperature"):
        losses.info_nce(np.eye(3), np.eye(3), temperature=np.ones((3, 3)), neg_mask=miner)


def test_similarities_that_are_given_have_no_duplicates():
    similarities = np.array([[5.0, 4.9, 1.0], [4.8, 5.0, 0.0], [0.0, 1.0, 5.0]])
    miner = mining.Miner(mining.multi_similarity_mask, epsilon=0.3)
    rows = losses.info_nce(similarities=similarities, neg_mask=miner, temperature=1.0, reduction="none")
    np.testing.assert_allclose(rows, [np.log1p(np.exp(-0.1)), np.log1p(np.exp(-0.2)), 0.0], atol=1e-12)


def test_rows_without_a_positive_and_nan():
    similarities = np.array([[0.9, 0.5, 0.8], [0.1, 0.2, 0.3], [0.5, np.nan, 0.5]])
    miner = mining.Miner(mining.hard_mask, kind="margin", margin=0.2)
    positives = np.array([0, -1, 2])
    rows = losses.info_nce(
        similarities=similarities, positives=positives, neg_mask=miner, temperature=1.0, reduction="none"
    )
    assert rows[0] == pytest.approx(np.log1p(np.exp(-0.1)))
    assert rows[1] == 0.0
    assert np.isnan(rows[2])


def formats(mask):
    """A mask in every format of pairs."""
    rows, columns = np.nonzero(mask)
    indptr = np.concatenate([[0], np.cumsum(mask.sum(axis=1))])
    yield mask
    yield np.packbits(mask, axis=1)
    yield mining.CompressedRows(indptr, columns.astype(np.int32))
    yield (indptr, columns)
    yield mining.Coordinates(rows, columns)
    yield sparse.csr_array(mask)


@pytest.mark.parametrize("loss", [*LOSSES, losses.pairwise_bce])
def test_losses_take_pairs_in_every_format(rng, loss):
    x, y = rng.normal(size=(20, 5)), rng.normal(size=(31, 5))
    positives = rng.random((20, 31)) < 0.2
    ignore = (rng.random((20, 31)) < 0.3) & ~positives
    expected, meant = loss(x, y, positives, ignore=ignore, return_grad=True)
    for own, out in zip(formats(positives), formats(ignore), strict=True):
        value, grads = loss(x, y, own, ignore=out, return_grad=True)
        assert value == expected
        np.testing.assert_array_equal(grads.x, meant.x)
        np.testing.assert_array_equal(grads.y, meant.y)


def test_negatives_in_every_format(rng):
    x, y = rng.normal(size=(20, 5)), rng.normal(size=(31, 5))
    chosen = rng.random((20, 31)) < 0.5
    extra = rng.normal(size=(4, 5))
    for further in ({}, {"extra_negatives": extra}, {"symmetric": True} if len(x) == len(y) else {}):
        expected = losses.info_nce(x, y, neg_mask=chosen, **further)
        for mask in formats(chosen):
            assert losses.info_nce(x, y, neg_mask=mask, **further) == expected


def test_tuples_of_numbers_and_of_rows_are_arrays(rng):
    x, y = rng.normal(size=(2, 2, 5))
    assert losses.info_nce(x, y, (1, 0)) == losses.info_nce(x, y, np.array([1, 0]))
    mask = ((True, True), (False, True))
    assert losses.info_nce(x, y, neg_mask=mask) == losses.info_nce(x, y, neg_mask=np.array(mask))


BAD = [
    (np.ones((3, 4)), "neg_mask has shape \\(3, 4\\) and dtype float64; pass bools of shape \\(3, 3\\)"),
    ((np.array([0, 1]), np.array([1])), r"neg_mask\[0\] has 2 entries; pass compressed rows: 4 that ascend from 0"),
    ((np.array([0, 1, 1, 1]), np.array([7])), "neg_mask names column 7, but there are 3"),
    (mining.Coordinates(np.array([9]), np.array([0])), "neg_mask names row 9, but there are 3"),
    (mining.Coordinates(np.array([1]), np.array([0, 2])), "neg_mask has 1 rows and 2 columns"),
    ((np.array([0.0, 1, 1, 1]), np.array([0])), r"neg_mask\[0\] has shape \(4,\) and dtype float64"),
    (sparse.csr_array(np.ones((2, 3))), r"neg_mask is a sparse matrix of shape \(2, 3\); pass shape \(3, 3\)"),
    ((np.array([0]),), "neg_mask is a tuple of 1"),
]


@pytest.mark.parametrize(("mask", "words"), BAD)
def test_strange_pairs_are_refused(mask, words):
    with pytest.raises(ValueError, match=words):
        losses.info_nce(np.eye(3), np.eye(3), neg_mask=mask)


def test_positives_must_not_be_ignored():
    ignore = np.zeros((3, 12), bool)
    ignore[1, 9] = ignore[2, 2] = True
    with pytest.raises(ValueError, match="ignore is True at row 2, column 2, which is positive"):
        losses.info_nce(np.ones((3, 2)), np.ones((12, 2)), ignore=np.packbits(ignore, axis=1))


def test_what_is_no_miner_is_refused():
    with pytest.raises(TypeError, match=r"function must be mining\.hard_mask or mining\.multi_similarity_mask"):
        mining.Miner(mining.triplets)
    with pytest.raises(TypeError, match="hard_mask takes kind, margin, positive here, not epsilon"):
        mining.Miner(mining.hard_mask, epsilon=0.1)
    with pytest.raises(ValueError, match="margin must be at least 0, not -1"):
        mining.Miner(mining.hard_mask, margin=-1)
    assert repr(mining.Miner(mining.hard_mask, kind="hard")) == "Miner(hard_mask, kind='hard')"
