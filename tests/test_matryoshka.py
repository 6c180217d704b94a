"""matryoshka: weighted sums of a loss over prefixes of embeddings, for every loss that takes some."""

import cases
import numpy as np
import oracle_contrastive as oracle
import pytest
from embedding_losses import FLOATS, arrays_of, assert_loss, assert_near, pair, rows
from fastpair import losses
from test_loss_errors import refused

N, M, D, T = 4, 6, 5, 0.3
DIMS, WEIGHTS = (2, 5, 3), (0.5, 1.0, 2.0)


def rng_of(*numbers):
    return cases.generator("matryoshka", *numbers)


def prefixes(one, dims=DIMS, weights=WEIGHTS):
    """The weighted sum of ``one`` over prefixes of the arrays; what has no dimension is passed on."""

    def total(**arrays):
        return sum(
            weight * one(**{k: a if np.ndim(a) == 0 else a[..., :width] for k, a in arrays.items()})
            for width, weight in zip(dims, weights, strict=True)
        )

    return total


def info_nce(x, y=None, temperature=T, metric="cosine", extra_negatives=None, **options):
    columns = y if extra_negatives is None else np.vstack([y, extra_negatives])
    return oracle.reduce(oracle.info_nce(oracle.similarities(x, columns, metric), temperature=temperature, **options))


@pytest.mark.parametrize("metric", ["cosine", "dot", "sqeuclidean"])
@pytest.mark.parametrize("dtype", FLOATS)
def test_info_nce(metric, dtype):
    x, y = pair(rng_of(1), N, M, D, dtype)
    arrays = {"x": x, "y": y, "temperature": T}

    def one(x, y, temperature):
        return info_nce(x, y, temperature, metric)

    options = {"dims": DIMS, "dim_weights": WEIGHTS, "temperature": T, "metric": metric, "return_grad": True}
    found = losses.matryoshka(losses.info_nce, x, y, **options)
    assert_loss(found, prefixes(one), arrays, dtype, metric)
    named = losses.matryoshka(losses.info_nce, x=x, y=y, **options)
    for first, second in zip(arrays_of(found), arrays_of(named), strict=True):
        np.testing.assert_array_equal(first, second)


def test_further_negatives_are_cut_too():
    x, y = pair(rng_of(2), N, M, D)
    arrays = {"x": x, "y": y, "extra_negatives": rows(rng_of(3), 3, D), "temperature": T}
    found = losses.matryoshka(losses.info_nce, **arrays, dims=DIMS, dim_weights=WEIGHTS, return_grad=True)
    assert_loss(found, prefixes(info_nce), arrays)


def test_normalised_prefixes():
    x, y = pair(rng_of(4), N, M, D)
    arrays = {"x": x, "y": y, "temperature": T}

    def one(x, y, temperature):
        return info_nce(x, y, temperature, "cosine")

    options = {"dims": DIMS, "dim_weights": WEIGHTS, "temperature": T, "normalize": True, "return_grad": True}
    found = losses.matryoshka(losses.info_nce, x, y, metric="dot", **options)
    assert_loss(found, prefixes(one), arrays)
    plain = losses.matryoshka(losses.info_nce, x, y, metric="cosine", **{**options, "normalize": False})
    assert plain[0] == pytest.approx(found[0], rel=1e-12)
    x[1] = 0
    _, grads = losses.matryoshka(losses.info_nce, x, y, metric="dot", **options)
    assert (grads.x[1] == 0).all()
    assert np.isfinite(grads.y).all()


def test_two_views_and_features():
    z1, z2 = pair(rng_of(5), N, N, D)
    arrays = {"z1": z1, "z2": z2, "temperature": T}

    def nt_xent(z1, z2, temperature):
        return oracle.reduce(oracle.nt_xent(z1, z2, temperature))

    options = {"dims": DIMS, "dim_weights": WEIGHTS, "temperature": T, "return_grad": True}
    assert_loss(losses.matryoshka(losses.nt_xent, z1, z2, **options), prefixes(nt_xent), arrays)
    arrays = {"features": np.stack([z1, z2], axis=1), "temperature": T}
    labels = np.array([0, 1, 0, 2])

    def supcon(features, temperature):
        stack = features.swapaxes(0, 1).reshape(2 * N, -1)
        mask = np.tile(oracle.equal(labels, labels), (2, 2))
        return oracle.reduce(oracle.supcon(oracle.similarities(stack), mask, temperature))

    found = losses.matryoshka(losses.supcon, arrays["features"], labels=labels, **options)
    assert_loss(found, prefixes(supcon), arrays)


def test_one_prefix_is_the_loss_itself():
    x, y = pair(rng_of(6), N, M, D)
    for loss, options in ((losses.info_nce, {"temperature": T}), (losses.siglip, {}), (losses.hcl, {"beta": 0.5})):
        wanted = loss(x, y, **options, return_grad=True)
        found = losses.matryoshka(loss, x, y, dims=[D], **options, return_grad=True)
        assert type(found[1]) is type(wanted[1])
        assert found[0] == wanted[0]
        for one, other in zip(arrays_of(found), arrays_of(wanted), strict=True):
            assert_near(one, other, 1e-14)
        assert losses.matryoshka(loss, x, y, dims=[D], **options) == wanted[0]
    values = losses.matryoshka(losses.info_nce, x, y, dims=[2, D], reduction="none")
    wanted = sum(losses.info_nce(x[:, :d], y[:, :d], reduction="none") for d in (2, D))
    np.testing.assert_allclose(values, wanted, rtol=1e-13)
    upstream = np.array([1.0, -1, 2, 0])
    _, grads = losses.matryoshka(
        losses.info_nce, x, y, dims=[2], reduction="none", grad_output=upstream, return_grad=True
    )
    assert (grads.x[:, 2:] == 0).all()
    assert (grads.x[3] == 0).all()


def test_any_function_with_gradients():
    def squares(x, return_grad=False):
        grads = losses.ScoreGrads(2 * x)
        return (np.float64((x**2).sum()), grads) if return_grad else np.float64((x**2).sum())

    x = rng_of(7).normal(size=(N, D))
    value, grads = losses.matryoshka(squares, x, dims=[1, 3], return_grad=True)
    assert value == pytest.approx((x[:, :1] ** 2).sum() + (x[:, :3] ** 2).sum())
    np.testing.assert_allclose(grads.scores, 2 * x * np.array([2, 1, 1, 0, 0]))


X = np.ones((3, 4))
REFUSED = [
    ({"dims": [5]}, ValueError, ["dims", r"\b5\b", r"\b4\b"]),
    ({"dims": []}, ValueError, ["dims"]),
    ({"dims": [0]}, ValueError, ["dims"]),
    ({"dims": [1.5]}, TypeError, ["dims"]),
    ({"dims": [1, 2], "dim_weights": [1.0]}, ValueError, ["dim_weights", r"\(1,\)", r"\b2\b"]),
    ({"dims": [1, 2], "dim_weights": [1.0, -1]}, ValueError, ["dim_weights", "-1"]),
    ({"dims": [2], "y": np.ones((3, 5))}, ValueError, [r"\b4\b", r"\b5\b"]),
    ({"dims": [2], "x": X.astype(complex)}, TypeError, ["x", "complex128"]),
    ({"dims": [2], "normalize": 1}, TypeError, ["normalize"]),
    ({"dims": [2], "temperature": 0}, ValueError, ["temperature"]),
]


@pytest.mark.parametrize(("options", "error", "words"), REFUSED)
def test_what_it_refuses(options, error, words):
    refused(losses.matryoshka, error, words, losses.info_nce, **{"x": X, "y": X, **options})


def test_a_loss_is_a_function():
    refused(losses.matryoshka, TypeError, ["loss"], "info_nce", X, X, dims=[2])
