"""mann_whitney over scores and labels: numbers of the specification, every surrogate on every engine, its options."""

from math import exp, log, log1p

import cases
import fastpair
import helpers
import numpy as np
import oracle_losses as oracle
import pytest
from fastpair import losses
from layouts import LAYOUTS
from score_losses import assert_close, assert_loss
from test_oracle_losses import GOLDEN, S3

NORMALIZERS = ("pairs", "positives", "groups", "sum")
SIZES = (2, 3, 15, 16, 17, 31, 33, 255, 257, 1000)


def make(dtype, n):
    """Scores of a few hundred values between -8 and 8 (or 0 and 16), and two classes."""
    rng = cases.generator("mann_whitney", n)
    full = cases.as_dtype(dtype)
    scores = rng.normal(0, 2, n)
    if full.kind in "iu":
        scores = np.rint(scores) + 8 * (full.kind == "u")
    return (scores > 0 if full.kind == "b" else scores).astype(full), cases.coin(rng, n)


@pytest.mark.parametrize("surrogate", GOLDEN)
def test_numbers_of_the_specification(surrogate, isa):
    value = losses.mann_whitney(S3.ravel(), np.eye(3).ravel(), surrogate=surrogate)
    assert value == pytest.approx(GOLDEN[surrogate], abs=1e-12)
    assert losses.mann_whitney(similarities=S3, surrogate=surrogate) == pytest.approx(value, rel=1e-14)


def test_other_numbers_of_the_specification(isa):
    value = losses.mann_whitney(similarities=S3, normalizer="positives")
    assert value == pytest.approx(2.984984485719621, rel=1e-13)
    assert losses.mann_whitney(similarities=S3, temperature=0.1) == pytest.approx(0.044281166013323, abs=1e-15)


@pytest.mark.parametrize("difference", [-700, -3, 0, 1e-9, 0.5, 40, 300, 700])
@pytest.mark.parametrize("temperature", [1, 0.5])
def test_one_pair(difference, temperature, isa):
    z = difference / temperature
    value, grads = losses.mann_whitney([difference, 0], [1, 0], temperature=temperature, return_grad=True)
    expected = log1p(exp(-z)) if z > -700 else -z
    assert value == pytest.approx(expected, rel=1e-12, abs=1e-300)
    slope = 1 / (1 + exp(min(z, 700))) / temperature
    np.testing.assert_allclose(grads.scores, [-slope, slope], rtol=1e-12, atol=1e-300)


@pytest.mark.parametrize("surrogate", oracle.SURROGATES)
def test_every_size_dtype_and_engine(surrogate, dtype):
    for n in SIZES:
        scores, positive = make(dtype, n)
        loss = oracle.pair_loss(scores, positive, surrogate=surrogate, margin=1.3)
        wanted = oracle.reduce([loss], [np.arange(n)], n)
        for level, threads in helpers.engines():
            options = {"surrogate": surrogate, "margin": 1.3, "num_threads": threads}
            found = losses.mann_whitney(scores, positive, return_grad=True, **options)
            assert_loss(found, wanted, scores, about=f"{n} {level} {threads}")


@pytest.mark.parametrize("surrogate", oracle.SURROGATES)
def test_scores_and_weights_in_any_layout(surrogate, dtype):
    scores, positive = make(dtype, 257)
    labels, weights = positive.astype(np.int32), cases.generator("weights").random(257)
    value, grads = losses.mann_whitney(scores, labels, weights=weights, surrogate=surrogate, return_grad=True)
    for name, layout in LAYOUTS.items():
        given = layout(scores), layout(labels), layout(weights)
        before = [a.tobytes() for a in given]
        found, found_grads = losses.mann_whitney(
            given[0], given[1], weights=given[2], surrogate=surrogate, return_grad=True
        )
        assert helpers.bits(found) == helpers.bits(value), name
        np.testing.assert_array_equal(found_grads.scores, grads.scores, err_msg=name, strict=True)
        assert [a.tobytes() for a in given] == before, name


@pytest.mark.parametrize("surrogate", oracle.SURROGATES)
@pytest.mark.parametrize("margin", [0.0, 0.25, 2.0, -0.5])
def test_margins(surrogate, margin, isa):
    scores, positive = make("float64", 99)
    if surrogate == "barrier" and margin < 0:
        # Its three lines no longer meet where the parts of it change.
        with pytest.raises(ValueError, match=r"margin must be at least 0, not -0\.5"):
            losses.mann_whitney(scores, positive, surrogate=surrogate, margin=margin)
        return
    for temperature, slope in ((1, 2), (0.3, 1), (2.5, 7.5)):
        options = {"surrogate": surrogate, "margin": margin, "temperature": temperature, "slope": slope}
        wanted = oracle.reduce([oracle.pair_loss(scores, positive, **options)], [np.arange(99)], 99)
        assert_loss(losses.mann_whitney(scores, positive, return_grad=True, **options), wanted, scores)


def test_the_hinge_at_its_kink_has_slope_0():
    for surrogate in ("hinge", "squared_hinge"):
        value, grads = losses.mann_whitney([2.0, 1.0], [1, 0], surrogate=surrogate, return_grad=True)
        assert (value, *grads.scores) == (0, 0, 0)
    _, grads = losses.mann_whitney([1.0, 1.0], [1, 0], surrogate="hinge", margin=0.0, return_grad=True)
    np.testing.assert_array_equal(grads.scores, [0, 0])


def test_the_barrier_at_its_kinks_lies_between_its_slopes():
    for z, low, high in ((-2.0, -2, -1), (1.0, -1, 2)):
        value, grads = losses.mann_whitney([z, 0.0], [1, 0], surrogate="barrier", return_grad=True)
        assert value == {-2.0: 3, 1.0: 0}[z]
        assert low <= grads.scores[0] <= high
        assert grads.scores[1] == -grads.scores[0]


LABELS = {
    "bool": lambda y: y,
    "0/1": lambda y: y.astype(np.int8),
    "-1/1": lambda y: np.where(y, 1, -1),
    "0.0/1.0": lambda y: y.astype(np.float32),
}


@pytest.mark.parametrize("name", LABELS)
def test_labels_of_two_classes(name):
    scores, positive = make("float32", 50)
    value = losses.mann_whitney(scores, positive)
    assert losses.mann_whitney(scores, LABELS[name](positive)) == value


def test_labels_named_by_pos_label():
    scores, positive = make("float64", 50)
    value = losses.mann_whitney(scores, positive)
    assert losses.mann_whitney(scores, np.where(positive, "spam", "ham"), pos_label="spam") == value
    assert losses.mann_whitney(scores, np.where(positive, 1, 2), pos_label=1) == value
    assert losses.mann_whitney(scores, ~positive, pos_label=False) == value


@pytest.mark.parametrize("surrogate", oracle.SURROGATES)
@pytest.mark.parametrize("grades", [3, 7, 200])
def test_graded_labels(surrogate, grades):
    rng = cases.generator("graded", grades)
    scores, labels = rng.normal(size=200), rng.integers(0, grades, 200)
    labels[:3] = 0, 1, 2
    for weights in (None, rng.random(200)):
        loss = oracle.pair_loss(scores, labels, weights, surrogate=surrogate)
        for normalizer in NORMALIZERS:
            wanted = oracle.reduce([loss], [np.arange(200)], 200, normalizer)
            for level, threads in helpers.engines():
                found = losses.mann_whitney(
                    scores,
                    labels / 4,
                    surrogate=surrogate,
                    weights=weights,
                    normalizer=normalizer,
                    return_grad=True,
                    num_threads=threads,
                )
                assert_loss(found, wanted, scores, about=f"{normalizer} {level} {threads}")


@pytest.mark.parametrize("surrogate", oracle.SURROGATES)
@pytest.mark.parametrize("weight_dtype", ["float16", "float32", "float64", "int16", "bool"])
def test_weights_of_scores(surrogate, weight_dtype):
    scores, positive = make("float64", 90)
    weights = cases.generator("weights").integers(0, 3, 90).astype(weight_dtype)
    loss = oracle.pair_loss(scores, positive, weights, surrogate=surrogate)
    for normalizer in NORMALIZERS:
        wanted = oracle.reduce([loss], [np.arange(90)], 90, normalizer)
        options = {"surrogate": surrogate, "weights": weights, "normalizer": normalizer}
        found = losses.mann_whitney(scores, positive, return_grad=True, **options)
        assert_loss(found, wanted, scores, about=normalizer)
    assert (found[1].scores[weights == 0] == 0).all()


@pytest.mark.parametrize("surrogate", oracle.SURROGATES)
def test_weights_of_scores_in_lists(surrogate):
    """A list in which a class weighs nothing is skipped like one that lacks it."""
    rng = cases.generator("weighted lists")
    scores, labels, codes = rng.normal(size=150), rng.integers(0, 3, 150), rng.integers(0, 12, 150)
    weights = rng.random(150) * (rng.random(150) < 0.8)
    weights[(codes == 3) & (labels > 0)] = 0
    weights[codes == 7] = 0
    rows = oracle.rows_of(150, groups=codes)
    upstream = np.linspace(-1, 1, len(rows))
    ones = [oracle.pair_loss(scores[r], labels[r], weights[r], surrogate=surrogate) for r in rows]
    for normalizer in NORMALIZERS:
        for reduction in ("mean", "sum", "none"):
            more = {"upstream": upstream} if reduction == "none" else {}
            wanted = oracle.reduce(ones, rows, 150, normalizer, reduction, **more)
            options = {"groups": codes, "weights": weights, "normalizer": normalizer, "reduction": reduction}
            options |= {"grad_output": upstream} if reduction == "none" else {}
            for level, threads in helpers.engines():
                found = losses.mann_whitney(
                    scores, labels, surrogate=surrogate, return_grad=True, num_threads=threads, **options
                )
                assert_loss(found, wanted, scores, about=f"{normalizer} {reduction} {level} {threads}")


@pytest.mark.parametrize("surrogate", oracle.SURROGATES)
def test_an_item_of_weight_zero_is_not_there(surrogate):
    scores, positive = make("float64", 200)
    scores[[3, 50]] = 1e9, -1e9
    weights = np.ones(200)
    weights[[3, 50]] = 0
    kept = weights > 0
    value, grads = losses.mann_whitney(scores[kept], positive[kept], surrogate=surrogate, return_grad=True)
    found, found_grads = losses.mann_whitney(scores, positive, weights=weights, surrogate=surrogate, return_grad=True)
    assert found == pytest.approx(value, rel=1e-13)
    np.testing.assert_allclose(found_grads.scores[kept], grads.scores, rtol=1e-11, atol=1e-16)
    assert (found_grads.scores[~kept] == 0).all()


def test_one_class_or_nothing_is_zero():
    for labels in ([], [1], [0], [1, 1, 1], [0, 0]):
        scores = np.linspace(0, 1, len(labels))
        for options in ({}, {"normalizer": "positives"}, {"normalizer": "sum"}, {"reduction": "sum"}):
            value, grads = losses.mann_whitney(scores, labels, return_grad=True, **options)
            assert type(value) is np.float64
            assert value == 0
            np.testing.assert_array_equal(grads.scores, np.zeros(len(labels)))
    value, grads = losses.mann_whitney([1.0, 2.0], [0, 1], weights=[0, 1], return_grad=True)
    assert (value, *grads.scores) == (0, 0, 0)
    with pytest.raises(ValueError, match="on_empty"):
        losses.mann_whitney([1.0, 2.0], [1, 1], on_empty="error")


@pytest.mark.parametrize("surrogate", oracle.SURROGATES)
def test_a_nan_makes_everything_nan(surrogate):
    scores, positive = make("float64", 40)
    for place in (0, 7, 39):
        broken = scores.copy()
        broken[place] = np.nan
        for normalizer in NORMALIZERS:
            options = {"surrogate": surrogate, "normalizer": normalizer}
            value, grads = losses.mann_whitney(broken, positive, return_grad=True, **options)
            assert np.isnan(value)
            assert np.isnan(grads.scores).all()


def test_auc_is_bounded_by_the_loss():
    for n in (10, 100, 3000):
        scores, positive = make("float64", n)
        assert 1 - fastpair.auc(scores, positive) <= losses.mann_whitney(scores, positive) / log(2)


def test_the_accuracy_that_is_asked_for_changes_little():
    scores, positive = make("float64", 20_000)
    exact, exact_grads = losses.mann_whitney(scores, positive, return_grad=True, rtol=1e-13)
    for rtol in (1e-2, 1e-4, 1e-6, 1e-9, 1e-12):
        value, grads = losses.mann_whitney(scores, positive, return_grad=True, rtol=rtol)
        assert_close(value, exact, exact, rtol + 1e-13)
        assert_close(grads.scores, exact_grads.scores, np.abs(exact_grads.scores), rtol + 1e-13)
