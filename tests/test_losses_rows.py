"""Losses of rows with a target: golden numbers, plain formulas row by row, ignored entries, and scores of any size."""

import re

import cases
import numpy as np
import pytest
from composed_losses import central
from fastpair import losses
from fastpair.losses import _rows
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from layouts import LAYOUTS

S3 = np.array([[0.9, 0.2, 0.4], [0.1, 0.7, 0.3], [0.5, 0.6, 0.8]])
TAUS = [0.0, 0.5, 1.0, 1.5, 2.0, 3.5]
inf = np.inf


def comp_sum(s, t, tau=1.0):
    u = sum(np.exp(s[j] - s[t]) for j in range(len(s)) if j != t)
    return np.log1p(u) if tau == 1 else ((1 + u) ** (1 - tau) - 1) / (1 - tau)


def largest_move(s, perturbed, t):
    margins = [np.delete(row[t] - row, t) for row in (s, *perturbed)]
    return max(np.linalg.norm(m - margins[0]) for m in margins[1:])


def z_loss(s, t, a=1.0, b=1.0):
    z = (s[t] - s.mean()) / s.std() if s.std() > 0 else 0.0
    return np.log1p(np.exp(a * (b - z))) / a


LOSSES = {
    **{f"comp_sum {tau}": (losses.comp_sum, comp_sum, {"tau": tau}) for tau in TAUS},
    "z_loss": (losses.z_loss, z_loss, {}),
    "z_loss 5 0.3": (losses.z_loss, z_loss, {"a": 5.0, "b": 0.3}),
}


@pytest.fixture(params=LOSSES)
def loss(request):
    return LOSSES[request.param]


def each(one, scores, targets, ignore, options):
    """The plain loss of each row of what is not ignored, 0 for rows that do not count."""
    values = []
    for s, t, left_out in zip(scores, targets, ignore, strict=True):
        kept = np.flatnonzero(~left_out)
        values.append(one(s[kept], int(np.flatnonzero(kept == t)[0]), **options) if t >= 0 and len(kept) > 1 else 0.0)
    return np.array(values)


@pytest.fixture
def sample(rng):
    """Scores, targets (one row has none), and ignored entries (in one row all but the target)."""
    scores, targets = rng.normal(size=(8, 5)), np.array([0, 4, 2, -1, 1, 1, 3, 0])
    ignore = rng.random((8, 5)) < 0.3
    ignore[np.arange(8), targets - 1] = False
    ignore[5] = True
    ignore[np.arange(8), targets] &= targets < 0
    return scores, targets, ignore


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("on_empty", ["skip", "zero"])
def test_values_and_gradients(loss, sample, reduction, weighted, on_empty, rng, monkeypatch):
    call, one, options = loss
    scores, targets, ignore = sample
    weights, upstream = rng.random(8) if weighted else None, rng.normal(size=8)

    def total(at):
        values = each(one, at, targets, ignore, options) * (1 if weights is None else weights)
        return (
            values @ upstream
            if reduction == "none"
            else values.sum() / (1 if reduction == "sum" else 8 if on_empty == "zero" else 6)
        )

    how = {"ignore": ignore, "reduction": reduction, "weights": weights, "on_empty": on_empty, **options}
    needs = {"grad_output": upstream} if reduction == "none" else {}
    value, grads = call(scores, targets, return_grad=True, **how, **needs)
    found = value @ upstream if reduction == "none" else value
    assert found == pytest.approx(total(scores), rel=1e-12)
    assert type(value) is (np.ndarray if reduction == "none" else np.float64)
    np.testing.assert_allclose(grads.similarities, central(total, scores), atol=2e-8)
    assert (grads.similarities[ignore] == 0).all()
    np.testing.assert_array_equal(call(scores, targets, **how), value, strict=True)
    monkeypatch.setattr(_rows, "MOST_CELLS", 11)  # blocks of two rows
    again, others = call(scores, targets, return_grad=True, **how, **needs)
    np.testing.assert_array_equal(again, value, strict=True)
    np.testing.assert_array_equal(others.similarities, grads.similarities)


@pytest.mark.parametrize(
    ("tau", "expected"),
    [(0, 0.503214724408), (0.5, 0.452113149436), (1, 0.407605964444), (1.5, 0.368753904802), (2, 0.334759044225)],
)
def test_golden_numbers_of_comp_sum(tau, expected):
    assert losses.comp_sum([[2, 1, 0]], [0], tau=tau) == pytest.approx(expected, abs=1.1e-12)


def test_golden_number_of_z_loss():
    for scores in ([2, 1, 0, -1], [13, 10, 7, 4]):
        assert losses.z_loss([scores], [0]) == pytest.approx(0.536846183829591, abs=1e-15)


def test_forms_of_positives(loss):
    call, _, options = loss
    expected = call(S3, [0, 1, 2], **options)
    assert call(S3, **options) == expected
    assert call(S3, np.eye(3, dtype=bool), **options) == expected
    assert call(S3, np.arange(3, dtype=np.uint8), **options) == expected
    assert call(np.hstack([S3, S3]), ignore=np.arange(6) // 3 * np.ones((3, 1)) > 0, **options) == expected
    mask = np.eye(3, dtype=bool)
    mask[1] = False
    assert call(S3, mask, **options) == call(S3, [0, -1, 2], **options) == call(S3[[0, 2]], [0, 2], **options)


def test_every_dtype_and_layout(loss, dtype, rng):
    call, _, options = loss
    full = cases.as_dtype(dtype)
    scores = rng.normal(size=30)
    if full.kind in "iub":
        scores = scores > 0 if full.kind == "b" else np.rint(2 * scores) + (8 if full.kind == "u" else 0)
    scores = scores.astype(full)
    kind = np.dtype(np.float64) if full.kind in "iub" else full
    value, exact = call(scores.astype(np.float64).reshape(5, 6), return_grad=True, **options)
    for name, layout in LAYOUTS.items():
        stored = layout(scores).reshape(5, 6)
        found, grads = call(stored, return_grad=True, **options)
        assert found == value, name
        assert grads.similarities.dtype == kind, name
        np.testing.assert_array_equal(grads.similarities, exact.similarities.astype(kind), err_msg=name)
    transposed = np.asfortranarray(scores.reshape(5, 6))
    assert call(transposed, **options) == value


def test_rows_that_do_not_count(loss):
    call, _, options = loss
    for scores, targets in [
        (np.zeros((0, 0)), []),
        (np.zeros((0, 4)), None),
        (np.zeros((3, 0)), [-1] * 3),
        ([[5.0]], None),
        ([[1.0, 2.0]], [-1]),
    ]:
        value, grads = call(scores, targets, return_grad=True, **options)
        assert value == 0
        assert type(value) is np.float64
        assert grads.similarities.shape == np.shape(scores)
        assert (grads.similarities == 0).all()
    with pytest.raises(ValueError, match="on_empty='error'"):
        call([[5.0]], on_empty="error", **options)


def test_nan_and_what_is_ignored(loss):
    call, _, options = loss
    scores, ignore = S3.copy(), np.zeros((3, 3), bool)
    scores[1, 2] = np.nan
    how = {"reduction": "none", "return_grad": True, "grad_output": np.ones(3), **options}
    value, grads = call(scores, **how)
    assert np.isnan(value).tolist() == [False, True, False]
    assert np.isnan(grads.similarities).any(axis=1).tolist() == [False, True, False]
    ignore[1, 2] = True
    for anything in (np.nan, inf, -inf, 1e308):
        scores[1, 2] = anything
        value, grads = call(scores, ignore=ignore, **how)
        assert value[1] == call(S3[1:2, :2], [1], **options)
        assert np.isfinite(grads.similarities).all()


@given(
    scores=arrays.arrays(np.float64, (3, 4), elements=st.floats(-1e308, 1e308, width=64)),
    tau=st.sampled_from(TAUS),
)
def test_finite_scores_never_give_nan(scores, tau):
    for value, grads in (losses.comp_sum(scores, tau=tau, return_grad=True), losses.z_loss(scores, return_grad=True)):
        assert not np.isnan(value)
        assert not np.isnan(grads.similarities).any()


class TestCompSum:
    def test_it_is_continuous_at_1(self):
        at = losses.comp_sum(S3)
        for gap in (1e-6, -1e-6, 1e-12, -1e-12):
            assert losses.comp_sum(S3, tau=1 + gap) == pytest.approx(at, rel=1e-6)

    def test_known_members(self):
        p = np.exp(S3[:, 0]) / np.exp(S3).sum(axis=1)
        target = [0, 0, 0]
        np.testing.assert_allclose(losses.comp_sum(S3, target, reduction="none"), -np.log(p))
        np.testing.assert_allclose(losses.comp_sum(S3, target, tau=2, reduction="none"), 1 - p)
        np.testing.assert_allclose(losses.comp_sum(S3, target, tau=0, reduction="none"), 1 / p - 1)

    def test_small_losses_keep_their_digits(self):
        for tau in TAUS:
            assert losses.comp_sum([[0.0, -50.0]], [0], tau=tau) == pytest.approx(np.exp(-50), rel=1e-13)
        assert losses.comp_sum([[800.0, 0.0]], [0]) == 0

    def test_large_losses_are_cut_off(self):
        for tau in (0, 0.5):
            value, grads = losses.comp_sum([[0.0, 1e5]], [0], tau=tau, return_grad=True)
            assert value == pytest.approx(np.exp(700) / (1 - tau), rel=1e-12)
            assert np.isfinite(grads.similarities).all()
        assert losses.comp_sum([[0.0, 1e5]], [0]) == 1e5
        assert losses.comp_sum([[0.0, 1e5]], [0], tau=3) == 0.5

    def test_gradients_of_narrow_input_may_be_infinite(self):
        grads = losses.comp_sum(np.array([[0, 200]], np.float16), [0], tau=0, return_grad=True)[1]
        assert grads.similarities.tolist() == [[-inf, inf]]

    def test_infinite_scores(self):
        for scores, expected in [
            ([0.0, -inf], 0.0),
            ([inf, 0.0], 0.0),
            ([-inf, -inf], np.log(2)),
            ([inf, inf], np.log(2)),
            ([0.0, inf], inf),
            ([-inf, 0.0], inf),
        ]:
            value, grads = losses.comp_sum([scores], [0], return_grad=True)
            assert value == pytest.approx(expected), scores
            pull = {0.0: 0.0, inf: 1.0}.get(expected, 0.5)
            np.testing.assert_allclose(grads.similarities, [[-pull, pull]])
            assert not np.isnan(losses.comp_sum([scores], [0], tau=0.5))
        assert losses.comp_sum([[0.0, inf, inf]], [0], tau=2) == 1

    @pytest.mark.parametrize("tau", TAUS)
    def test_perturbed_scores(self, tau, rng):
        scores, targets = rng.normal(size=(6, 4)), np.array([0, 3, 1, -1, 2, 2])
        ignore = np.zeros((6, 4), bool)
        ignore[0, 2] = ignore[4, 0] = True
        perturbed = scores[:, None] + 0.3 * rng.normal(size=(6, 3, 4))

        def total(scores, perturbed):
            value = 0.0
            for i, t in enumerate(targets):
                kept = np.flatnonzero(~ignore[i])
                if t >= 0:
                    at = int(np.flatnonzero(kept == t)[0])
                    moved = largest_move(scores[i, kept], perturbed[i][:, kept], at)
                    value += comp_sum(scores[i, kept], at, tau) + 0.7 * moved
            return value / 5

        options = {"tau": tau, "nu": 0.7, "ignore": ignore, "return_grad": True}
        value, grads = losses.comp_sum(scores, targets, adversarial=perturbed, **options)
        assert value == pytest.approx(total(scores, perturbed), rel=1e-12)
        np.testing.assert_allclose(grads.similarities, central(lambda s: total(s, perturbed), scores), atol=2e-8)
        np.testing.assert_allclose(grads.adversarial, central(lambda p: total(scores, p), perturbed), atol=2e-8)
        single, grads = losses.comp_sum(scores, targets, adversarial=perturbed[:, 0], **options)
        assert single == pytest.approx(total(scores, perturbed[:, :1]), rel=1e-12)
        assert grads.adversarial.shape == scores.shape

    def test_perturbations_that_move_nothing(self):
        value, grads = losses.comp_sum(S3, adversarial=S3 + 4, return_grad=True)  # margins stay
        assert value == pytest.approx(losses.comp_sum(S3), rel=1e-14)
        np.testing.assert_allclose(grads.adversarial, 0, atol=0.6)
        value, grads = losses.comp_sum(S3, adversarial=S3, return_grad=True)
        assert value == losses.comp_sum(S3)
        assert (grads.adversarial == 0).all()
        plain = losses.comp_sum(S3, adversarial=S3 + 1, nu=0, return_grad=True)
        assert plain[0] == losses.comp_sum(S3)
        assert (plain[1].adversarial == 0).all()
        assert losses.comp_sum(S3, return_grad=True)[1].adversarial is None

    def test_moves_of_any_size(self):
        for size in (1e-200, 1e200):
            value = losses.comp_sum([[0.0, 0.0]], [0], adversarial=[[size, 0.0]], nu=1, tau=2)
            assert value == pytest.approx(0.5 + size, rel=1e-14)

    def test_gradients_have_the_dtypes_of_their_input(self):
        grads = losses.comp_sum(S3.astype(np.float32), adversarial=(2 * S3).astype(np.float16), return_grad=True)[1]
        assert (grads.similarities.dtype, grads.adversarial.dtype) == (np.float32, np.float16)


class TestZLoss:
    def test_it_is_invariant_to_shift_and_scale(self, rng):
        scores = rng.integers(-64, 64, (6, 5)) / 8
        expected, grads = losses.z_loss(scores, [0] * 6, return_grad=True)
        for power in (-1000, -3, 9, 900):
            value, moved = losses.z_loss(np.ldexp(scores, power), [0] * 6, return_grad=True)
            assert value == expected
            np.testing.assert_array_equal(moved.similarities, np.ldexp(grads.similarities, -power))
        assert losses.z_loss(3 * scores + 2.0**20, [0] * 6) == pytest.approx(expected, rel=1e-13)

    @pytest.mark.parametrize("constant", [0.0, 0.1, 1 / 3, -1e308, 5e-324])
    def test_rows_of_equal_scores(self, constant):
        value, grads = losses.z_loss(np.full((1, 7), constant), [2], return_grad=True)
        assert value == pytest.approx(np.log1p(np.e), rel=1e-15)
        assert (grads.similarities == 0).all()

    def test_infinite_scores_have_no_standard_score(self):
        for scores in ([inf, 0, 1], [0, -inf, 1]):
            value, grads = losses.z_loss([scores], [0], return_grad=True)
            assert np.isnan(value)
            assert np.isnan(grads.similarities).any()


@pytest.mark.parametrize("call", [losses.comp_sum, losses.z_loss])
@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((S3[0],), {}, "similarities has shape (3,); pass two dimensions, a row for each example; a single row is"),
        ((S3[:, :2],), {}, "too few columns for a target on the diagonal of each row; pass positives="),
        ((S3, [0, 1]), {}, "positives has shape (2,) and dtype int64; pass 3 integers"),
        ((S3, [0.0, 1.0, 2.0]), {}, "positives has shape (3,) and dtype float64; pass 3 integers"),
        ((S3, [0, 1, 3]), {}, "positives is 3 at index 2, but similarities has 3 columns"),
        ((S3, [0, -2, 1]), {}, "positives is -2 at index 1"),
        ((S3, np.ones((3, 3), bool)), {}, "positives is True 3 times in row 0; pass at most one target for each row"),
        ((S3,), {"ignore": np.eye(3, dtype=bool)}, "ignore is True at row 0, column 0, which is the target"),
        ((S3,), {"ignore": np.eye(3)}, "ignore has shape (3, 3) and dtype float64; pass a bool for each"),
        ((S3,), {"ignore": [True]}, "ignore has shape (1,) and dtype bool"),
        ((S3,), {"reduction": "max"}, "reduction must be one of"),
        ((S3,), {"weights": [1, 2]}, "weights has shape (2,)"),
        ((S3,), {"reduction": "none", "return_grad": True}, "needs grad_output="),
    ],
)
def test_errors(call, arguments, options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        call(*arguments, **options)


@pytest.mark.parametrize(
    ("call", "options", "message"),
    [
        (losses.comp_sum, {"tau": -0.1}, "tau must be at least 0, not -0.1"),
        (losses.comp_sum, {"nu": -1}, "nu must be at least 0, not -1"),
        (losses.comp_sum, {"adversarial": S3[:2]}, "adversarial has shape (2, 3); pass the shape of similarities"),
        (losses.comp_sum, {"adversarial": np.ones((3, 0, 3))}, "adversarial has shape (3, 0, 3)"),
        (losses.z_loss, {"a": 0}, "a must be larger than 0, not 0"),
        (losses.z_loss, {"b": inf}, "b must be finite, not inf"),
    ],
)
def test_options(call, options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        call(S3, **options)
    with pytest.raises(TypeError, match="similarities has dtype"):
        call([["a", "b"]])
