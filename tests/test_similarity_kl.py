"""similarity_kl: numbers of the specification, every mode against a plain formula, gradients, what is left out."""

import re

import numpy as np
import pytest
from differences import S3, T3, central, check_gradients
from fastpair.losses._similarity_kl import relation_kl, similarity_kl

GOLDEN = {
    "forward": 0.044028374859,
    "reverse": 0.100917067211,
    "symmetric": 0.072472721034933,
    "js": 0.013896423148,
}


def shares(scores, temperature):
    e = np.exp(scores / temperature - (scores / temperature).max())
    return e / e.sum()


def plain(s, t, mode, own, theirs):
    p, q = shares(s, own), shares(t, theirs)
    m = (p + q) / 2
    forward, reverse = (q * np.log(q / p)).sum(), (p * np.log(p / q)).sum()
    js = ((p * np.log(p / m)).sum() + (q * np.log(q / m)).sum()) / 2
    return {"forward": forward, "reverse": reverse, "symmetric": (forward + reverse) / 2, "js": js}[mode]


@pytest.mark.parametrize("mode", GOLDEN)
def test_numbers_of_the_specification(mode):
    assert similarity_kl(S3, T3, 0.1, mode=mode) == pytest.approx(GOLDEN[mode], abs=6e-13)


def test_relation_kl_is_the_forward_mode():
    assert relation_kl is similarity_kl


@pytest.mark.parametrize("mode", GOLDEN)
@pytest.mark.parametrize("temperatures", [(0.3, None), (0.3, 0.7), (np.array([0.2, 0.5, 1.0]), 0.4)])
def test_values_and_gradients(mode, temperatures, rng):
    s, t, (own, theirs) = rng.normal(size=(3, 5)), rng.normal(size=(3, 5)), temperatures
    each = [np.broadcast_to(a, 3) for a in (own, own if theirs is None else theirs)]

    def total(s, t=t, own=each[0]):
        return np.mean([plain(s[i], t[i], mode, own[i], each[1][i]) for i in range(3)])

    value, grads = similarity_kl(s, t, own, theirs, mode, return_grad=True, teacher_grad=True)
    assert value == pytest.approx(total(s), rel=1e-12)
    np.testing.assert_allclose(grads.similarities, central(total, s), atol=1e-8)
    np.testing.assert_allclose(grads.teacher, central(lambda a: total(s, a), t), atol=1e-8)
    by_own = central(lambda a: total(s, t, a), each[0])
    np.testing.assert_allclose(grads.temperature, by_own if np.ndim(own) else by_own.sum(), atol=1e-8)
    assert similarity_kl(s, t, own, theirs, mode, return_grad=True)[1].teacher is None


@pytest.mark.parametrize("mode", GOLDEN)
def test_embeddings_of_both(mode, rng):
    x, y, u, v = (rng.normal(size=shape) for shape in ((4, 3), (5, 3), (4, 2), (5, 2)))

    def call(x, y, **options):
        return similarity_kl(x=x, y=y, teacher_x=u, teacher_y=v, mode=mode, temperature=0.5, **options)

    value, _ = check_gradients(call, x=x, y=y)
    unit = [a / np.linalg.norm(a, axis=1, keepdims=True) for a in (x, y, u, v)]
    assert value == pytest.approx(similarity_kl(unit[0] @ unit[1].T, unit[2] @ unit[3].T, 0.5, mode=mode), rel=1e-9)
    small = call(x.astype(np.float32), y.astype(np.float32))
    assert small == pytest.approx(value, rel=1e-4)


@pytest.mark.parametrize("mode", GOLDEN)
def test_equal_similarities_lose_nothing(mode):
    value, grads = similarity_kl(S3, S3, 0.1, mode=mode, return_grad=True)
    assert value == pytest.approx(0, abs=1e-15)
    np.testing.assert_allclose(grads.similarities, 0, atol=1e-14)


@pytest.mark.parametrize("mode", GOLDEN)
def test_what_is_ignored_may_be_anything(mode, rng):
    s, t = rng.normal(size=(3, 6)), rng.normal(size=(3, 6))
    ignore = np.zeros((3, 6), bool)
    ignore[:, [1, 4]] = True
    ignore[2, 1:] = True
    s[ignore], t[ignore] = np.nan, np.inf
    options = {"reduction": "none", "return_grad": True, "grad_output": np.ones(3)}
    value, grads = similarity_kl(s, t, 0.1, ignore=ignore, mode=mode, **options)
    kept = [0, 2, 3, 5]
    np.testing.assert_allclose(value[:2], similarity_kl(s[:2, kept], t[:2, kept], 0.1, mode=mode, reduction="none"))
    assert value[2] == 0
    assert (grads.similarities[ignore] == 0).all()
    assert np.isfinite(grads.similarities).all()
    assert np.isfinite(grads.temperature)


@pytest.mark.parametrize("mode", GOLDEN)
@pytest.mark.parametrize("size", [1.0, 1e3, 1e150, 1e308])
def test_finite_scores_never_give_nan(mode, size, rng):
    s, t = size * rng.uniform(-1, 1, (4, 5)), size * rng.uniform(-1, 1, (4, 5))
    value, grads = similarity_kl(s, t, 0.01, mode=mode, return_grad=True, teacher_grad=True)
    assert not np.isnan(value)
    for gradient in grads[2:]:
        assert not np.isnan(gradient).any()


def test_rows_without_two_entries():
    for scores in (np.zeros((0, 0)), np.zeros((2, 0)), np.zeros((2, 1))):
        value, grads = similarity_kl(scores, scores, return_grad=True)
        assert value == 0
        assert (grads.similarities == 0).all()
        assert grads.temperature == 0
    with pytest.raises(ValueError, match="on_empty='error'"):
        similarity_kl([[1.0]], [[1.0]], on_empty="error")


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"teacher": None}, TypeError, "teacher is None"),
        ({"teacher": T3[:2]}, ValueError, "the teacher has 2 rows and 3 columns, but the student has 3 and 3"),
        ({"teacher_x": T3}, ValueError, "teacher was given together with embeddings"),
        ({"mode": "kl"}, ValueError, "mode must be one of"),
        ({"temperature": 0}, ValueError, "temperature must be larger than 0"),
        ({"teacher_temperature": [1.0]}, ValueError, "teacher_temperature has shape (1,)"),
        ({"ignore": [True]}, ValueError, "ignore has shape (1,)"),
        ({"teacher_grad": True}, ValueError, "teacher_grad=True needs return_grad=True"),
        ({"similarities": None}, TypeError, "x is None"),
    ],
)
def test_errors(options, kind, message):
    with pytest.raises(kind, match=re.escape(message)):
        similarity_kl(**{"similarities": S3, "teacher": T3, **options})
