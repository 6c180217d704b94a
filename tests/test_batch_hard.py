"""`fastpair.mining.batch_hard`: one positive and one negative for each anchor, bit for bit those of the oracle."""

import itertools

import embeddings
import fastpair
import mining_batches as shared
import numpy as np
import oracle_mining as oracle
import pytest
from fastpair import mining
from hypothesis import given
from hypothesis import strategies as st
from mining_batches import DTYPES, METRICS, REFUSED, SIZES, WITHIN, make
from searches import matrix_layouts
from test_oracle_mining import D4, S4, Y4

POSITIVES, NEGATIVES = ("hardest", "easiest"), ("hardest", "semihard", "easiest")
FALLBACKS = ("none", "hardest", "farthest")
CHOICES = tuple(itertools.product(POSITIVES, NEGATIVES))


def wanted(batch, positive="hardest", negative="hardest", margin=np.inf, fallback="none"):
    return oracle.batch_hard(
        batch.scores, batch.metric, batch.positive, batch.negative, positive, negative, margin, fallback
    )


def check(batch, about="", **options):
    return compare(batch.call(mining.batch_hard, **options), wanted(batch, **options), f"{about} {options}")


def compare(found, expected, about=""):
    assert type(found) is mining.BatchHard
    assert found._fields == ("positives", "negatives", "positive_scores", "negative_scores")
    for own, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(own, other, strict=True, err_msg=about)
    return found


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_every_role_and_choice(metric, dtype):
    for batch in shared.problems(metrics=(metric,), dtypes=(dtype,)):
        for positive, negative in CHOICES:
            check(batch, positive=positive, negative=negative)
        for margin, fallback in itertools.product((0.1, batch.spread(0.1), np.inf), FALLBACKS):
            check(batch, positive="easiest", negative="semihard", margin=margin, fallback=fallback)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
def test_data_that_break_filters(metric, dtype):
    for pattern in embeddings.patterns(dtype):
        for m in (None, 40):
            for positive, negative in CHOICES:
                batch = make(pattern, dtype, metric, "integers", 33, m)
                check(batch, pattern, positive=positive, negative=negative, fallback="farthest")


@pytest.mark.parametrize("metric", shared.OTHER_METRICS)
def test_bits_and_curved_spaces(metric):
    for batch in shared.other_problems(metric):
        for positive, negative in CHOICES:
            found = batch.call(mining.batch_hard, positive=positive, negative=negative)
            expected = wanted(batch, positive, negative)
            np.testing.assert_array_equal(found[:2], expected[:2])
            # Those of the Poincare ball are the C library's: a last bit may differ.
            np.testing.assert_allclose(found[2:], expected[2:], rtol=1e-15 if metric == "poincare" else 0)


@pytest.mark.parametrize("n", SIZES)
def test_sizes(n):
    for source in WITHIN:
        for metric in ("cosine", "euclidean"):
            for m in (None, 0, 1, 33):
                batch = make("gaussian", "float32", metric, source, n, m)
                check(batch)
                check(batch, negative="semihard", positive="easiest")


@pytest.mark.parametrize("metric", METRICS)
def test_every_engine_gives_the_same_bits(metric):
    for dtype, n, m in (("float32", 257, None), ("float64", 70, 300), ("int8", 257, None)):
        batch = make("clustered", dtype, metric, "integers", n, m)
        for positive, negative in CHOICES:
            options = {"positive": positive, "negative": negative}
            found = shared.on_engines(
                lambda batch=batch, options=options, **how: batch.call(mining.batch_hard, **options, **how)
            )
            compare(found, wanted(batch, **options))


@pytest.mark.parametrize("layout", matrix_layouts())
def test_layouts(layout):
    lay = matrix_layouts()[layout]
    for dtype in ("float64", "float32", "int8"):
        batch = make("gaussian", dtype, "manhattan", "tuple", 33, 40)
        found = mining.batch_hard(lay(batch.x), lay(batch.y), metric="manhattan", **batch.given)
        compare(found, wanted(batch))


def test_the_fixture_of_the_specification():
    """The arg max and arg min of each row."""
    positive, _, _ = oracle.roles((4, 4), True, labels=Y4)
    batch = shared.from_scores(S4, positive)
    found = mining.batch_hard(batch.x, labels=Y4, metric="dot")
    assert found.positives.tolist() == [1, 0, 3, 2]
    assert found.negatives.tolist() == [2, 3, 0, 1]
    np.testing.assert_allclose(found.positive_scores, [0.8, 0.8, 0.7, 0.7], rtol=1e-15)
    np.testing.assert_allclose(found.negative_scores, 1 - D4[range(4), found.negatives], rtol=1e-15)


def test_equal_scores_go_to_the_lowest_index():
    x = np.ones((6, 3))
    for metric, (positive, negative) in itertools.product(METRICS, CHOICES):
        found = mining.batch_hard(x, labels=[1, 0, 1, 0, 1, 0], metric=metric, positive=positive, negative=negative)
        assert found.positives.tolist() == [2, 3, 0, 1, 0, 1]
        assert found.negatives.tolist() == ([-1] * 6 if negative == "semihard" else [1, 0, 1, 0, 1, 0])


def test_signed_zeros_are_equal():
    x = np.array([[0.0, -0.0], [1.0, -1.0], [-1.0, 2.0], [2.0, 3.0], [-2.0, 1.0]])
    found = mining.batch_hard(x, labels=[0, 0, 0, 1, 1], metric="dot")
    assert (found.positives[0], found.negatives[0]) == (1, 3)
    assert mining.batch_hard(x, labels=[0, 0, 0, 1, 1], metric="dot", negative="semihard").negatives[0] == -1


def test_what_is_missing():
    """Index -1 and score NaN, each side for itself."""
    x = np.arange(8.0).reshape(4, 2)
    alone = mining.batch_hard(x, labels=[0, 1, 2, 3], metric="euclidean")
    assert alone.positives.tolist() == [-1] * 4
    assert np.isnan(alone.positive_scores).all()
    assert alone.negatives.tolist() == [1, 0, 1, 2]
    together = mining.batch_hard(x, labels=[0] * 4, metric="euclidean")
    assert together.positives.tolist() == [3, 3, 0, 0]
    assert together.negatives.tolist() == [-1] * 4
    assert np.isnan(together.negative_scores).all()


@given(shared.batches(), st.sampled_from(CHOICES), st.sampled_from([0.3, 1.0, np.inf]), st.sampled_from(FALLBACKS))
def test_properties(batch, choice, margin, fallback):
    found = check(batch, positive=choice[0], negative=choice[1], margin=margin, fallback=fallback)
    for places, values, mask in (
        (found.positives, found.positive_scores, batch.positive),
        (found.negatives, found.negative_scores, batch.negative),
    ):
        rows = np.flatnonzero(places >= 0)
        assert mask[rows, places[rows]].all()
        np.testing.assert_array_equal(values[rows], batch.scores[rows, places[rows]])
        assert np.isnan(values[places < 0]).all()


def test_it_is_the_search_for_one():
    """The closest negative is what a search among other labels finds."""
    batch = make("gaussian", "float32", "cosine", "integers", 257)
    found = batch.call(mining.batch_hard)
    best = fastpair.topk(batch.x, k=1, x_labels=batch.given["labels"], same_label=False)
    np.testing.assert_array_equal(found.negatives, best.indices[:, 0])
    np.testing.assert_array_equal(found.negative_scores, best.scores[:, 0])


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(name):
    shared.assert_refused(mining.batch_hard, *REFUSED[name])


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"positive": "min"}, ValueError, "positive must be one of 'hardest', 'easiest', not 'min'"),
        ({"negative": "hard"}, ValueError, "negative must be one of 'hardest', 'semihard', 'easiest', not 'hard'"),
        ({"fallback": "easiest"}, ValueError, "fallback must be one of 'none', 'hardest', 'farthest', not 'easiest'"),
        ({"margin": 0.0}, ValueError, "margin must be larger than 0, not 0.0"),
        ({"margin": np.nan}, ValueError, "margin must be .*not nan"),
        ({"margin": None}, TypeError, "margin must be a number, not None"),
    ],
)
def test_options_that_are_refused(options, error, words):
    shared.assert_refused(mining.batch_hard, options, error, words)


def test_memory_changes_nothing():
    batch = make("gaussian", "float32", "cosine", "integers", 257, 1000)
    for negative in NEGATIVES:
        shared.assert_memory_changes_nothing(
            lambda negative=negative, **how: batch.call(mining.batch_hard, negative=negative, **how)
        )


@pytest.mark.parametrize("negative", NEGATIVES)
@pytest.mark.parametrize("most", [0, 8])
def test_memory_is_bounded(negative, most):
    call = f"mining.batch_hard(x, labels=labels, negative='{negative}', **limits)"
    bound = (most or 64) * shared.MIB
    assert shared.peak_beyond_output(call, 8000, 64, most * shared.MIB, "tuple") <= bound + shared.SLACK


def test_progress_is_reported():
    seen = []
    batch = make("gaussian", "float32", "cosine", "integers", 257, 300)
    batch.call(mining.batch_hard, progress=lambda done, total: seen.append((done, total)))
    assert seen
    assert {total for _, total in seen} == {257 * 300}
    assert seen == sorted(seen)
