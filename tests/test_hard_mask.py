"""`fastpair.mining.hard_mask`: negatives in a band around the positives of their row, as the oracle has them."""

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

FORMATS = ("mask", "bits", "csr", "coo")
REFERENCES = ("min", "mean", "max")


def wanted(batch, kind="semihard", margin=0.2, positive="min"):
    return oracle.hard_mask(batch.close, batch.positive, batch.negative, kind, margin, positive)


def check(batch, about="", **options):
    found = batch.call(mining.hard_mask, **options)
    np.testing.assert_array_equal(found, wanted(batch, **options), strict=True, err_msg=f"{about} {options}")
    return found


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_every_role_kind_and_reference(metric, dtype):
    kept = 0
    for batch in shared.problems(metrics=(metric,), dtypes=(dtype,)):
        for kind in oracle.KINDS:
            for positive in REFERENCES:
                kept += check(batch, kind=kind, margin=batch.spread(0.5), positive=positive).sum()
        kept += check(batch).sum()
    assert kept > 10_000


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
def test_data_that_break_filters(metric, dtype):
    """Duplicates, whole numbers, rows of zeros, huge and subnormal values: all that makes scores equal or extreme."""
    for pattern in embeddings.patterns(dtype):
        for m in (None, 40):
            batch = make(pattern, dtype, metric, "integers", 33, m)
            for kind in oracle.KINDS:
                for margin in (0.0, batch.spread(0.5), 1.0):
                    check(batch, pattern, kind=kind, margin=margin)


@pytest.mark.parametrize("metric", shared.OTHER_METRICS)
def test_bits_and_curved_spaces(metric):
    for batch in shared.other_problems(metric):
        for kind in oracle.KINDS:
            check(batch, kind=kind, margin=batch.spread(0.3))


@pytest.mark.parametrize("n", SIZES)
def test_sizes(n):
    for source in WITHIN:
        for metric in ("cosine", "euclidean"):
            for m in (None, 0, 1, 33):
                batch = make("gaussian", "float32", metric, source, n, m)
                for form in FORMATS:
                    found = batch.call(mining.hard_mask, format=form)
                    shared.assert_pairs(found, wanted(batch), form, about=f"{source} {metric} {m} {form}")


@pytest.mark.parametrize("metric", METRICS)
def test_every_engine_gives_the_same_bits(metric):
    for dtype, n, m in (("float32", 257, None), ("float64", 70, 300), ("int8", 257, None)):
        batch = make("clustered", dtype, metric, "integers", n, m)
        for kind in oracle.KINDS:
            options = {"kind": kind, "margin": batch.spread(0.5)}
            found = shared.on_engines(
                lambda batch=batch, options=options, **how: batch.call(mining.hard_mask, **options, **how)
            )
            np.testing.assert_array_equal(found, wanted(batch, **options), strict=True)


def test_formats_agree():
    for batch in shared.problems(dtypes=("float32",)):
        mask = wanted(batch, "margin")
        for form in oracle.FORMATS:
            found = batch.call(mining.hard_mask, kind="margin", format=form)
            shared.assert_pairs(found, mask, form, batch.positive)
            if form != "triplets":
                np.testing.assert_array_equal(shared.as_mask(found, form, mask.shape), mask)


@pytest.mark.parametrize("form", FORMATS)
def test_positives_come_in_the_formats_that_go_out(form):
    for m in (None, 40):
        batch = make("clustered", "float32", "cosine", "mask", 33, m)
        pairs = oracle.formatted(batch.given["positives"], form)
        given = {"positives": mining.Coordinates(*pairs) if form == "coo" else pairs}
        check(batch._replace(given=given), kind="margin")


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_many_panels_of_long_rows(metric):
    batch = make("clustered", "float32", metric, "tuple", 200, 700, 400)
    for kind in oracle.KINDS:
        check(batch, kind=kind, margin=batch.spread(0.1))
    check(batch, kind="margin", positive="mean")


@pytest.mark.parametrize("layout", matrix_layouts())
def test_layouts(layout):
    lay = matrix_layouts()[layout]
    for dtype in ("float64", "float32", "int8"):
        batch = make("gaussian", dtype, "euclidean", "tuple", 33, 40)
        moved = batch._replace(x=lay(batch.x), y=lay(batch.y))
        found = mining.hard_mask(moved.x, moved.y, metric="euclidean", kind="margin", **batch.given)
        np.testing.assert_array_equal(found, wanted(batch, "margin"))


def test_the_fixture_of_the_specification():
    """Of the four anchors three have a negative that violates a margin of a quarter."""
    positive, negative, _ = oracle.roles((4, 4), True, labels=Y4)
    batch = shared.from_scores(S4, positive)
    found = mining.hard_mask(batch.x, labels=Y4, metric="dot", kind="margin", margin=0.25)
    assert np.argwhere(found).tolist() == [[0, 2], [2, 0], [3, 1]]
    np.testing.assert_array_equal(mining.hard_mask(batch.x, labels=Y4, metric="dot", margin=0.25), found)
    assert not mining.hard_mask(batch.x, labels=Y4, metric="dot", kind="hard").any()
    easy = mining.hard_mask(batch.x, labels=Y4, metric="dot", kind="easy", margin=0.25)
    np.testing.assert_array_equal(easy, negative & ~found)


def test_equal_scores_are_neither_hard_nor_semihard():
    x = [[1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]]
    labels = [0, 0, 1, 1, 1]
    for kind, columns in {"hard": [], "semihard": [], "margin": [2], "easy": [3, 4]}.items():
        assert mining.hard_mask(x, labels=labels, kind=kind, margin=1.0)[0].nonzero()[0].tolist() == columns
    assert mining.hard_mask(x, labels=labels, kind="semihard", margin=1.5)[0].nonzero()[0].tolist() == [3]


def test_signed_zeros_are_equal():
    """Dot products of 0 and -0."""
    x = np.array([[0.0, -0.0], [1.0, 1.0], [-1.0, -1.0], [2.0, -3.0]])
    for kind in ("hard", "semihard"):
        assert not mining.hard_mask(x, labels=[0, 0, 1, 1], metric="dot", kind=kind, margin=1.0)[0].any()
    assert mining.hard_mask(x, labels=[0, 0, 1, 1], metric="dot", kind="margin", margin=1.0)[0].sum() == 2


def test_a_row_without_a_positive_or_a_negative_is_empty():
    x = np.random.default_rng(0).normal(size=(5, 3))
    for kind in oracle.KINDS:
        assert not mining.hard_mask(x, labels=[0, 1, 2, 3, 4], kind=kind, margin=0.0).any()
        assert not mining.hard_mask(x, labels=[0, 0, 0, 0, 0], kind=kind, margin=0.0).any()
        assert not mining.hard_mask(x, x, positives=[-1] * 5, kind=kind, margin=0.0).any()


@given(shared.batches(), st.sampled_from([0.0, 0.5, 1.0, 2.0, 0.3]), st.sampled_from(REFERENCES))
def test_properties(batch, margin, positive):
    """No mined pair is positive, and the bands partition the negatives of all rows with a positive."""
    masks = {kind: check(batch, kind=kind, margin=margin, positive=positive) for kind in oracle.KINDS}
    for mask in masks.values():
        assert not (mask & ~batch.negative).any()
    ties = wanted(batch, oracle.TIES, margin, positive)
    if margin > 0:
        parts = [masks["hard"], masks["semihard"], ties, masks["easy"]]
        has = batch.positive.any(axis=1)
        np.testing.assert_array_equal(np.sum(parts, axis=0), batch.negative & has[:, np.newaxis])
        np.testing.assert_array_equal(masks["margin"], masks["hard"] | masks["semihard"] | ties)
    labels = batch.given.get("labels")
    if labels is not None:
        left, right = labels if isinstance(labels, tuple) else (labels, labels)
        rows, columns = np.nonzero(masks["margin"])
        assert (np.asarray(left)[rows] != np.asarray(right)[columns]).all()


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(name):
    shared.assert_refused(mining.hard_mask, *REFUSED[name])


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"kind": "simple"}, ValueError, "kind must be one of .*'semihard'.* not 'simple'"),
        ({"kind": None}, ValueError, "kind must be one of"),
        ({"margin": -0.1}, ValueError, "margin must be at least 0, not -0.1"),
        ({"margin": np.nan}, ValueError, "margin must be finite, not nan"),
        ({"margin": "wide"}, TypeError, "margin must be a number, not 'wide'"),
        ({"positive": "own"}, ValueError, "positive must be one of 'min', 'mean', 'max', not 'own'"),
        ({"format": "dense"}, ValueError, "format must be one of .*not 'dense'"),
    ],
)
def test_options_that_are_refused(options, error, words):
    shared.assert_refused(mining.hard_mask, options, error, words)


def test_memory_changes_nothing():
    batch = make("gaussian", "float32", "cosine", "integers", 257, 1000)
    for form in ("mask", "csr"):
        shared.assert_memory_changes_nothing(lambda form=form, **how: batch.call(mining.hard_mask, format=form, **how))


@pytest.mark.parametrize(("form", "flat"), [("mask", "array"), ("bits", "array"), ("csr", "tuple"), ("coo", "tuple")])
@pytest.mark.parametrize("most", [0, 8])
def test_memory_is_bounded(form, flat, most):
    call = f"mining.hard_mask(x, labels=labels, margin=0.3, format='{form}', **limits)"
    bound = most or 64
    assert shared.peak_beyond_output(call, 6000, 64, bound * shared.MIB, flat) <= bound * shared.MIB + shared.SLACK


def test_progress_is_reported():
    seen = []
    batch = make("gaussian", "float32", "cosine", "integers", 257, 300)
    batch.call(mining.hard_mask, progress=lambda done, total: seen.append((done, total)))
    assert seen
    assert {total for _, total in seen} == {257 * 300}
    assert seen == sorted(seen)
    assert seen[-1][0] == 257 * 300
