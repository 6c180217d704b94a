"""info_nce where it is delicate: empty rows, extreme numbers, NaN, laws it obeys, what it refuses."""

import cases
import numpy as np
import oracle_contrastive as oracle
import pytest
from embedding_losses import RTOL, arrays_of, assert_loss, assert_near, pair, rows
from fastpair import losses
from hypothesis import given, settings
from hypothesis import strategies as st
from test_loss_errors import refused
from test_oracle_contrastive import S3


def rng_of(*numbers):
    return cases.generator("edges", *numbers)


def softmax_gradients(x, y, temperature):
    """Value and gradients of a square problem with unit rows, by the formula P - T."""
    s = x @ y.T / temperature
    p = np.exp(s - s.max(axis=1, keepdims=True))
    total = p.sum(axis=1, keepdims=True)
    value = (np.log(total[:, 0]) + s.max(axis=1) - np.diag(s)).mean()
    slope = (p / total - np.eye(len(x))) / temperature / len(x)
    return value, slope @ y, slope.T @ x


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("temperature", [0.07, 1.0])
def test_every_gradient_of_a_large_problem(dtype, temperature):
    """Panels and blocks that are not full, each component against the formula."""
    n, d = 700, 40
    x, y = (oracle.unit(a).astype(dtype) for a in pair(rng_of(1), n, n, d))
    options = {"temperature": temperature, "metric": "dot", "return_grad": True}
    value, dx, dy = softmax_gradients(oracle.double(x), oracle.double(y), temperature)
    back, dy2, dx2 = softmax_gradients(oracle.double(y), oracle.double(x), temperature)
    rtol = {"float64": 1e-12, "float32": 2e-6}[dtype]
    found = losses.info_nce(x, y, **options)
    for one, other in zip(arrays_of(found)[:3], (value, dx, dy), strict=True):
        assert_near(one, other, rtol)
    found = losses.clip(x, y, **options)
    for one, other in zip(arrays_of(found)[:3], ((value + back) / 2, (dx + dx2) / 2, (dy + dy2) / 2), strict=True):
        assert_near(one, other, rtol)
    cosine = losses.clip(x, y, temperature=temperature, num_threads=1, return_grad=True)
    assert_near(cosine[0], (value + back) / 2, rtol)
    for threads, memory in ((2, None), (5, None), (2, 2 << 20)):
        again = losses.clip(x, y, temperature=temperature, num_threads=threads, max_memory=memory, return_grad=True)
        assert [a.tobytes() for a in arrays_of(again)] == [a.tobytes() for a in arrays_of(cosine)]


@pytest.mark.parametrize("symmetric", [False, True])
def test_without_a_valid_row(symmetric):
    for n, m in ((1, 1), (0, 0), (0, 3), (3, 0)):
        if symmetric and n != m:
            continue
        x, y = rows(rng_of(2), n, 4), rows(rng_of(3), m, 4)
        positives = None if n <= m else np.full(n, -1)
        for options in ({}, {"on_empty": "zero"}, {"reduction": "sum"}, {"weights": np.ones(n)}):
            value, grads = losses.info_nce(x, y, positives, symmetric=symmetric, return_grad=True, **options)
            assert type(value) is np.float64
            assert value == 0
            np.testing.assert_array_equal(grads.x, np.zeros((n, 4)))
            np.testing.assert_array_equal(grads.y, np.zeros((m, 4)))
            assert grads.temperature == 0
        np.testing.assert_array_equal(losses.info_nce(x, y, positives, reduction="none"), np.zeros(n))
    with pytest.raises(ValueError, match=r"on_empty.*error|row 0"):
        losses.info_nce([[1.0]], [[2.0]], symmetric=symmetric, on_empty="error")


def test_rows_that_lack_a_side():
    s = rng_of(4).normal(size=(4, 5))
    mask = np.zeros((4, 5), bool)
    mask[0, 2], mask[1], mask[3, :2] = True, True, True
    ignore = np.zeros((4, 5), bool)
    ignore[3, 2:] = True
    value, grads = losses.info_nce(similarities=s, positives=mask, ignore=ignore, temperature=1.0, return_grad=True)
    assert value == pytest.approx(losses.info_nce(similarities=s[:1], positives=mask[:1], temperature=1.0))
    np.testing.assert_array_equal(grads.similarities[1:], 0)
    zero = losses.info_nce(similarities=s, positives=mask, ignore=ignore, temperature=1.0, on_empty="zero")
    assert zero == pytest.approx(value / 4)
    for options in ({"hard_threshold": 1e9}, {"neg_weights": np.zeros(5)}, {"neg_mask": np.zeros((4, 5), bool)}):
        found = losses.info_nce(similarities=s, return_grad=True, **options)
        assert found[0] == 0
        assert (found[1].similarities == 0).all()


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
def test_zero_vectors(dtype):
    x, y = pair(rng_of(5), 5, 8, 3, dtype)
    x[1], y[1], y[6] = 0, 0, 0
    value, grads = losses.info_nce(x, y, temperature=0.3, return_grad=True)
    s = oracle.similarities(x, y)
    assert value == pytest.approx(oracle.reduce(oracle.info_nce(s, temperature=0.3)), rel=RTOL["float32"])
    for row in (grads.x[1], grads.y[1], grads.y[6]):
        np.testing.assert_array_equal(row, 0)
    assert np.isfinite(oracle.double(grads.x)).all()
    everything = losses.info_nce(np.zeros((4, 3), dtype), np.zeros((4, 3), dtype), return_grad=True)
    assert everything[0] == pytest.approx(np.log(4))
    assert (everything[1].x == 0).all()


@pytest.mark.parametrize("metric", ["sqeuclidean", "euclidean"])
def test_coincident_rows(metric):
    x, y = pair(rng_of(6), 5, 8, 3)
    y[:5] = x
    value, grads = losses.info_nce(x, y, temperature=0.3, metric=metric, return_grad=True)
    s = oracle.similarities(x, y, metric)
    assert value == pytest.approx(oracle.reduce(oracle.info_nce(s, temperature=0.3)), rel=1e-6)
    assert np.isfinite(grads.x).all()
    assert np.isfinite(grads.y).all()


@pytest.mark.parametrize("temperature", [0.01, 1e-3])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_low_temperatures(temperature, dtype):
    """An error of a similarity grows by the inverse of the temperature, nothing else does."""
    x, y = pair(rng_of(7), 9, 13, 5, dtype)
    arrays = {"x": x, "y": y}
    rtol = {"float64": 1e-8, "float32": 3e-7 / temperature}[dtype]

    def total(x, y):
        return oracle.reduce(oracle.info_nce(oracle.similarities(x, y), temperature=temperature))

    found = losses.info_nce(**arrays, temperature=temperature, return_grad=True)
    assert_near(found[0], total(**arrays), {"float64": 1e-12, "float32": 1e-6}[dtype], size=1 / temperature)
    assert_loss(found, total, arrays, dtype, temperature, step=temperature / 200, rtol=rtol, size=1e9)


@pytest.mark.parametrize("size", [1e3, 1e6])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_huge_similarities(size, dtype):
    x, y = rows(rng_of(8), 6, 4, dtype) * np.dtype(dtype).type(size), rows(rng_of(9), 6, 4, dtype)
    value, grads = losses.info_nce(x, y, metric="dot", return_grad=True)
    wanted = oracle.reduce(oracle.info_nce(oracle.similarities(x, y, "dot"), temperature=0.07))
    assert value == pytest.approx(wanted, rel={"float64": 1e-12, "float32": 1e-6}[dtype])
    for grad in grads[:2]:
        assert np.isfinite(grad).all()
    s = np.array([[-1e300, 1e300, 0], [0, 1e-300, -1e300], [1e300, 1e300, 1e300]])
    value = losses.info_nce(similarities=s[:2], temperature=1.0, reduction="none")
    np.testing.assert_allclose(value, [2e300, np.log(2)])


@pytest.mark.parametrize("metric", ["dot", "sqeuclidean", "euclidean"])
@pytest.mark.parametrize("size", [1e18, 1e20, 1e30])
def test_finite_embeddings_make_no_nan(metric, size):
    """Products of the larger ones are beyond float32."""
    x, y = (a.astype(np.float32) for a in pair(rng_of(13), 5, 5, 3))
    far = x * np.float32(size), y * np.float32(size)
    value, grads = losses.info_nce(*far, metric=metric, return_grad=True)
    wanted = oracle.reduce(oracle.info_nce(oracle.similarities(*far, metric), temperature=0.07))
    assert value == pytest.approx(wanted, rel=2e-6)
    assert not np.isnan(grads.x).any()
    assert not np.isnan(grads.y).any()


def test_only_differences_of_similarities_count():
    s = np.random.default_rng(0).integers(-3, 4, (6, 9)).astype(float)
    for dtype, offset in (("float64", 2.0**30), ("float32", 2.0**20)):
        for temperature in (1.0, 0.25):
            near = losses.info_nce(similarities=s.astype(dtype), temperature=temperature, return_grad=True)
            far = losses.info_nce(similarities=(s + offset).astype(dtype), temperature=temperature, return_grad=True)
            assert far[0] == pytest.approx(near[0], rel=RTOL[dtype])
            assert_near(far[1].similarities, near[1].similarities, RTOL[dtype])
            assert far[1].temperature == pytest.approx(near[1].temperature, rel=RTOL[dtype])


@pytest.mark.parametrize(("dtype", "power"), [("float32", 30), ("float32", -30), ("float32", -41), ("float64", 200),
                                              ("float64", -200), ("bfloat16", 30)])  # fmt: skip
def test_norms_of_any_size(dtype, power):
    """The cosine does not see them."""
    x, y = pair(rng_of(10), 5, 8, 3)
    far = [(a * 10.0**power).astype(cases.as_dtype(dtype)) for a in (x, y)]
    value, grads = losses.info_nce(*far, temperature=0.3, return_grad=True)
    wanted = oracle.reduce(oracle.info_nce(oracle.similarities(*far), temperature=0.3))
    assert value == pytest.approx(wanted, rel=2e-6)
    assert np.isfinite(oracle.double(grads.y)).all() or power == -41
    assert not np.isnan(oracle.double(grads.x)).any()


def test_minus_infinity_is_no_candidate():
    s = rng_of(11).normal(size=(4, 6))
    out = np.zeros((4, 6), bool)
    out[0, 3], out[2, :2], out[3, 5] = True, True, True
    for dtype in ("float64", "float32"):
        given_ = s.astype(dtype)
        wanted = losses.info_nce(similarities=given_, ignore=out, return_grad=True)
        given_[out] = -np.inf
        found = losses.info_nce(similarities=given_, return_grad=True)
        assert found[0] == pytest.approx(wanted[0], rel=1e-12)
        np.testing.assert_allclose(found[1].similarities, wanted[1].similarities, rtol=1e-12)
        assert found[1].temperature == pytest.approx(wanted[1].temperature)


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
def test_nan(dtype):
    """A NaN makes its row NaN, and the mean; one that is ignored does nothing."""
    s = rng_of(12).normal(size=(4, 6)).astype(dtype)
    clean = losses.info_nce(similarities=s, temperature=1.0, reduction="none")
    for j in (0, 2, 5):  # a positive, and negatives
        broken = s.copy()
        broken[0, j] = np.nan
        values = losses.info_nce(similarities=broken, temperature=1.0, reduction="none")
        np.testing.assert_array_equal(np.isnan(values), [True, False, False, False])
        np.testing.assert_array_equal(values[1:], clean[1:])
        value, grads = losses.info_nce(similarities=broken, temperature=1.0, return_grad=True)
        assert np.isnan(value)
        assert np.isnan(oracle.double(grads.similarities[0])).any()
        assert np.isfinite(oracle.double(grads.similarities[1:])).all()
    ignore = np.zeros((4, 6), bool)
    ignore[0, 5] = True
    wanted = losses.info_nce(similarities=s, ignore=ignore, temperature=1.0, return_grad=True)
    found = losses.info_nce(similarities=broken, ignore=ignore, temperature=1.0, return_grad=True)
    assert found[0] == wanted[0]
    np.testing.assert_array_equal(found[1].similarities, wanted[1].similarities)


def test_a_random_positive():
    x, y = pair(rng_of(26), 5, 8, 3)
    mask = rng_of(27).random((5, 8)) < 0.5
    values = [
        losses.info_nce(x, y, mask, 0.3, multi_positive="sample", seed=s, reduction="none")
        for s in (0, 0, *range(1, 9))
    ]
    np.testing.assert_array_equal(values[0], values[1])
    assert len({v.tobytes() for v in values}) > 2
    for i in range(5):
        singles = [oracle.info_nce(oracle.similarities(x, y), np.full(5, j), ignore=mask & (np.arange(8) != j),
                                   temperature=0.3).values[i] for j in np.flatnonzero(mask[i])]  # fmt: skip
        assert all(np.abs(np.array(singles or [0.0]) - found[i]).min() < 1e-12 for found in values)


matrices = st.tuples(st.integers(2, 7), st.integers(0, 2**32 - 1), st.floats(0.05, 3)).map(
    lambda t: (np.random.default_rng(t[1]).normal(size=(t[0], t[0])), t[2])
)


@given(matrices)
@settings(max_examples=40)
def test_laws(problem):
    s, temperature = problem
    n = len(s)
    value, grads = losses.info_nce(similarities=s, temperature=temperature, return_grad=True)
    assert value >= 0
    size = 1 / temperature / n
    np.testing.assert_allclose(grads.similarities.sum(axis=1), 0, atol=1e-13 * size)
    assert (np.diag(grads.similarities) <= 0).all()
    constant = losses.info_nce(similarities=np.full((n, n), s[0, 0]), temperature=temperature)
    assert constant == pytest.approx(np.log(n))
    shifted = losses.info_nce(similarities=s + s[:, :1], temperature=temperature)
    assert shifted == pytest.approx(value, rel=1e-9, abs=1e-12)
    queue = losses.info_nce(similarities=s, extra_similarities=s[:, ::-1] - 1, temperature=temperature)
    assert queue >= value
    swapped = losses.info_nce(similarities=s.T, temperature=temperature)
    assert losses.clip(similarities=s, temperature=temperature) == pytest.approx((value + swapped) / 2)
    assert losses.info_nce(similarities=s, temperature=temperature, neg_weights=np.ones((n, n))) == pytest.approx(value)
    fewer = [losses.info_nce(similarities=s, temperature=temperature, hard_k=k) for k in range(1, n)]
    assert sorted(fewer) == fewer
    assert fewer[-1] == value
    scaled = losses.info_nce(similarities=s * 4, temperature=temperature * 4)
    assert scaled == pytest.approx(value, rel=1e-12, abs=1e-15)
    modes = [losses.info_nce(similarities=s, temperature=temperature, multi_positive=mode, seed=0)
             for mode in ("sum", "log_mean", "log_sum", "each", "sample")]  # fmt: skip
    np.testing.assert_allclose(modes, value, rtol=1e-12, atol=1e-14)


X, Y = np.eye(3, 4), np.eye(3, 4)[::-1]
REFUSED = [
    ({}, TypeError, ["x", "similarities"]),
    ({"x": X, "y": Y, "similarities": S3}, (TypeError, ValueError), ["similarities", "x"]),
    ({"y": Y}, (TypeError, ValueError), ["x"]),
    ({"x": X}, ValueError, ["positives|labels", "y"]),
    ({"x": X[0], "y": Y}, ValueError, ["x", r"\(4,\)"]),
    ({"x": X, "y": Y[:, :2]}, ValueError, ["x", "y", r"\b4\b", r"\b2\b"]),
    ({"x": X, "y": Y[:2]}, ValueError, ["positives", r"\b3\b", r"\b2\b"]),
    ({"x": X * np.nan, "y": Y}, ValueError, ["x", "(?i)nan", r"row 0"]),
    ({"x": X, "y": np.where(Y == 1, np.inf, Y)}, ValueError, ["y", "inf"]),
    ({"x": X.astype(complex), "y": Y}, TypeError, ["x", "complex128"]),
    ({"x": X, "y": Y.astype(object)}, TypeError, ["y", "object"]),
    ({"similarities": S3[0]}, ValueError, ["similarities", r"\(3,\)"]),
    ({"x": X, "y": Y, "positives": [0, 1]}, ValueError, ["positives", r"\(2,\)", r"\b3\b"]),
    ({"x": X, "y": Y, "positives": [0, 1, 3]}, ValueError, ["positives", r"\b3\b"]),
    ({"x": X, "y": Y, "positives": [0, 1, -2]}, ValueError, ["positives", r"-2\b"]),
    ({"x": X, "y": Y, "positives": np.ones((3, 2), bool)}, ValueError, ["positives", r"\(3, 2\)"]),
    ({"x": X, "y": Y, "labels": [0, 1, 0], "positives": [0, 1, 2]}, ValueError, ["positives", "labels"]),
    ({"x": X, "y": Y, "labels": [0, 1]}, ValueError, ["labels", r"\(2,\)"]),
    ({"x": X, "y": Y, "ignore": np.eye(3, dtype=bool)}, ValueError, ["ignore", "positive"]),
    ({"x": X, "y": Y, "ignore": np.ones((3, 2), bool)}, ValueError, ["ignore", r"\(3, 2\)"]),
    ({"x": X, "y": Y, "neg_mask": np.ones(3)}, (TypeError, ValueError), ["neg_mask"]),
    ({"x": X, "y": Y, "metric": "hamming"}, ValueError, ["metric", "hamming", "cosine"]),
    ({"x": X, "y": Y, "extra_negatives": np.ones((2, 5))}, ValueError, ["extra_negatives", r"\b5\b", r"\b4\b"]),
    ({"x": X, "y": Y, "extra_similarities": np.ones((2, 5))}, ValueError, ["extra_similarities", r"\(2, 5\)"]),
    ({"x": X, "y": Y, "paired_negatives": np.ones((2, 5))}, ValueError, ["paired_negatives", r"\(2, 5\)"]),
    ({"similarities": S3, "extra_negatives": np.ones((2, 4))}, (TypeError, ValueError), ["extra_negatives"]),
    ({"x": X, "y": Y, "neg_weights": -np.ones(3)}, ValueError, ["neg_weights", "-1"]),
    ({"x": X, "y": Y, "neg_weights": np.ones(2)}, ValueError, ["neg_weights", r"\(2,\)"]),
    ({"x": X, "y": Y, "ids": [1, 2]}, ValueError, ["ids", r"\(2,\)"]),
    ({"x": X, "y": Y, "groups": [1.0, np.nan, 2.0]}, ValueError, ["groups", "(?i)nan"]),
    ({"x": X, "y": Y, "multi_positive": "max"}, ValueError, ["multi_positive", "max", "log_sum"]),
    ({"x": X, "y": Y, "multi_positive": "sample"}, (TypeError, ValueError), ["seed"]),
    ({"x": X, "y": Y, "weights": [1, 2]}, ValueError, ["weights", r"\b3\b"]),
    ({"x": X, "y": Y, "weights": [1, 2, -3]}, ValueError, ["weights", "-3"]),
    ({"x": X, "y": Y, "weight_norm": "sum"}, ValueError, ["weight_norm", "sum"]),
    ({"x": X, "y": Y, "reduction": "average"}, ValueError, ["reduction", "average"]),
    ({"x": X, "y": Y, "on_empty": "ignore"}, ValueError, ["on_empty", "ignore"]),
    ({"x": X, "y": Y, "reduction": "none", "return_grad": True}, ValueError, ["grad_output"]),
    ({"x": X, "y": Y, "grad_output": [1, 1, 1]}, ValueError, ["grad_output"]),
    ({"x": X, "y": Y, "return_grad": 1}, TypeError, ["return_grad"]),
    ({"x": X, "y": Y[:2], "positives": [0, 1, 0], "symmetric": True, "reduction": "none"}, ValueError, ["symmetric"]),
    ({"x": X, "y": Y, "num_threads": 0}, ValueError, ["num_threads"]),
    ({"x": X, "y": Y, "max_memory": 1}, ValueError, ["max_memory"]),
    *(({"x": X, "y": Y, "temperature": t}, (TypeError, ValueError), ["temperature"])
      for t in (0, -1.0, np.nan, np.inf, "1", None, [1, 2], [1, 0, 1], np.ones((2, 3)))),
    *(({"x": X, "y": Y, "label_smoothing": e}, (TypeError, ValueError), ["label_smoothing"]) for e in (-0.1, 1.1, "1")),
    *(({"x": X, "y": Y, "hard_k": k}, (TypeError, ValueError), ["hard_k"]) for k in (0, -1, 1.5)),
    *(({"x": X, "y": Y, "arc_margin": m}, (TypeError, ValueError), ["arc_margin"]) for m in (-0.1, 4.0, np.nan)),
    *(({"x": X, "y": Y, "focal_gamma": g}, (TypeError, ValueError), ["focal_gamma"]) for g in (-1, np.nan, "1")),
    *(({"x": X, "y": Y, "margin": m}, (TypeError, ValueError), ["margin"]) for m in (np.nan, np.inf, "1")),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "error", "words"), REFUSED)
def test_what_it_refuses(arguments, error, words):
    refused(losses.info_nce, error, words, **arguments)
