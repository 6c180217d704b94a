"""`fastpair.mining.multi_similarity_mask`: pairs near the hardest opposite pair, as the oracle has them."""

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

FORMATS = ("mask", "bits", "csr", "coo")  # and triplets, which are one array


def wanted(batch, epsilon=0.1, duplicate_eps=1e-5):
    positive = oracle.without_duplicates(batch.scores, batch.metric, batch.positive, duplicate_eps)
    return oracle.multi_similarity_mask(batch.close, positive, batch.negative, epsilon)


def compare(found, expected, form="mask", about=""):
    assert type(found) is mining.MinedPairs
    assert found._fields == ("positives", "negatives")
    for own, mask in zip(found, expected, strict=True):
        shared.assert_pairs(own, mask, form, about=about)
    return found


def check(batch, about="", form="mask", **options):
    found = batch.call(mining.multi_similarity_mask, format=form, **options)
    return compare(found, wanted(batch, **options), form, f"{about} {form} {options}")


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_every_role(metric, dtype):
    kept = np.zeros(2)
    for batch in shared.problems(metrics=(metric,), dtypes=(dtype,)):
        for epsilon in (0.0, 0.1, batch.spread(0.3), -0.05):
            found = check(batch, epsilon=epsilon)
            kept += [mask.sum() for mask in found]
        check(batch)
        check(batch, duplicate_eps=0.3)
    assert kept.min() > 1000


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
def test_data_that_break_filters(metric, dtype):
    for pattern in embeddings.patterns(dtype):
        for m, form in itertools.product((None, 40), ("mask", "csr")):
            batch = make(pattern, dtype, metric, "integers", 33, m)
            for epsilon in (0.0, 0.1, batch.spread(0.3)):
                check(batch, pattern, form, epsilon=epsilon)


@pytest.mark.parametrize("metric", shared.OTHER_METRICS)
def test_bits_and_curved_spaces(metric):
    for batch in shared.other_problems(metric):
        for epsilon in (0.0, batch.spread(0.2)):
            check(batch, epsilon=epsilon)


@pytest.mark.parametrize("n", SIZES)
def test_sizes(n):
    for source in WITHIN:
        for m in (None, 0, 1, 33):
            for form in FORMATS:
                check(make("gaussian", "float32", "cosine", source, n, m), form=form)


@pytest.mark.parametrize("metric", METRICS)
def test_every_engine_gives_the_same_bits(metric):
    for dtype, n, m in (("float32", 257, None), ("float64", 70, 300), ("int8", 257, None)):
        batch = make("clustered", dtype, metric, "integers", n, m)
        options = {"epsilon": batch.spread(0.3)}
        found = shared.on_engines(
            lambda batch=batch, options=options, **how: batch.call(mining.multi_similarity_mask, **options, **how)
        )
        compare(found, wanted(batch, **options))


def test_many_panels_of_long_rows():
    batch = make("clustered", "float32", "cosine", "tuple", 200, 700, 400)
    for form in FORMATS:
        check(batch, form=form, epsilon=0.01)


def test_triplets_of_what_is_kept():
    for batch in shared.problems(dtypes=("float32",)):
        positive, negative = wanted(batch, 0.05)
        found = batch.call(mining.multi_similarity_mask, epsilon=0.05, format="triplets")
        shared.assert_pairs(found, negative, "triplets", positive)


@pytest.mark.parametrize("layout", matrix_layouts())
def test_layouts(layout):
    lay = matrix_layouts()[layout]
    for dtype in ("float64", "float32", "int8"):
        batch = make("gaussian", dtype, "cosine", "tuple", 33, 40)
        found = mining.multi_similarity_mask(lay(batch.x), lay(batch.y), **batch.given)
        compare(found, wanted(batch))


def test_the_fixture_of_the_specification():
    positive, _, _ = oracle.roles((4, 4), True, labels=Y4)
    x = shared.from_scores(S4, positive).x
    found = mining.multi_similarity_mask(x, labels=Y4, metric="dot", epsilon=0.25)
    assert np.argwhere(found.positives).tolist() == [[0, 1], [2, 3], [3, 2]]
    assert np.argwhere(found.negatives).tolist() == [[0, 2], [2, 0], [3, 1]]
    found = mining.multi_similarity_mask(x, labels=Y4, metric="dot", epsilon=0.15)
    assert np.argwhere(found.positives).tolist() == [[2, 3]]
    assert np.argwhere(found.negatives).tolist() == [[2, 0]]


def test_copies_of_the_anchor_are_no_positives():
    """A copy has similarity 1: it is neither kept nor the positive that negatives are measured by."""
    x = np.array([[1.0, 0.0], [2.0, 0.0], [0.6, 0.8], [0.8, 0.6], [0.0, 1.0]])
    labels = [0, 0, 0, 1, 1]
    found = mining.multi_similarity_mask(x, labels=labels, epsilon=0.1)
    assert found.positives[0].tolist() == [False, False, True, False, False]
    assert found.negatives[0].tolist() == [False, False, False, True, False]
    assert not mining.multi_similarity_mask(x[[0, 1, 3, 4]], labels=[0, 0, 1, 1]).positives[:2].any()


def test_inequalities_are_strict():
    """The negative is exactly epsilon farther than the positive."""
    x = [[1.0, 0.0], [2.0, 0.0], [1.5, 0.0], [-9.0, 0.0]]
    labels = [0, 0, 1, 1]
    assert not mining.multi_similarity_mask(x, labels=labels, metric="dot", epsilon=0.5).positives[0].any()
    assert mining.multi_similarity_mask(x, labels=labels, metric="dot", epsilon=0.5625).positives[0].tolist()[1]


@given(shared.batches(), st.sampled_from([0.0, 0.5, 1.0, 0.3]))
def test_properties(batch, epsilon):
    """What is kept has its role, and an anchor keeps both sides or nothing."""
    found = check(batch, epsilon=epsilon)
    assert not (found.positives & ~batch.positive).any()
    assert not (found.negatives & ~batch.negative).any()
    np.testing.assert_array_equal(found.positives.any(axis=1), found.negatives.any(axis=1))
    for form in FORMATS:
        for own, mask in zip(
            batch.call(mining.multi_similarity_mask, epsilon=epsilon, format=form), found, strict=True
        ):
            np.testing.assert_array_equal(shared.as_mask(own, form, mask.shape), mask)


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(name):
    shared.assert_refused(mining.multi_similarity_mask, *REFUSED[name])


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"epsilon": np.inf}, ValueError, "epsilon must be finite, not inf"),
        ({"epsilon": "wide"}, TypeError, "epsilon must be a number, not 'wide'"),
        ({"duplicate_eps": -1e-5}, ValueError, "duplicate_eps must be at least 0, not -1e-05"),
        ({"duplicate_eps": np.nan}, ValueError, "duplicate_eps must be finite, not nan"),
        ({"format": "dense"}, ValueError, "format must be one of .*not 'dense'"),
    ],
)
def test_options_that_are_refused(options, error, words):
    shared.assert_refused(mining.multi_similarity_mask, options, error, words)


def test_memory_changes_nothing():
    batch = make("gaussian", "float32", "cosine", "integers", 257, 1000)
    for form in ("mask", "csr"):
        shared.assert_memory_changes_nothing(
            lambda form=form, **how: batch.call(mining.multi_similarity_mask, format=form, **how)
        )


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("most", [0, 8])
def test_memory_is_bounded(form, most):
    call = f"mining.multi_similarity_mask(x, labels=labels, format='{form}', **limits)"
    flat = "tuple" if form in ("mask", "bits") else "tuple of tuples"
    bound = (most or 64) * shared.MIB
    assert shared.peak_beyond_output(call, 6000, 64, most * shared.MIB, flat) <= bound + shared.SLACK


def test_a_kept_pair_takes_four_bytes():
    batch = make("clustered", "float32", "cosine", "integers", 257)
    found = batch.call(mining.multi_similarity_mask, format="csr")
    for rows, mask in zip(found, wanted(batch), strict=True):
        assert rows.indices.nbytes == 4 * mask.sum()
        assert rows.indptr.nbytes == 8 * 258


def test_progress_is_reported():
    seen = []
    batch = make("gaussian", "float32", "cosine", "integers", 257, 300)
    batch.call(mining.multi_similarity_mask, progress=lambda done, total: seen.append((done, total)))
    assert seen
    assert seen == sorted(seen)
