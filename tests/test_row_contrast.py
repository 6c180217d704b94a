"""compactness and contrastive_margin_regularizer: plain formulas, gradients, rows that do not count."""

import re

import numpy as np
import pytest
from differences import central, check_gradients
from fastpair.losses._row_contrast import compactness, contrastive_margin_regularizer


def test_compactness(rng):
    x, y = rng.normal(size=(5, 3)), rng.normal(size=(5, 3))
    value, _ = check_gradients(compactness, x=x, y=y)
    scores = [x[i] @ (y[i] - np.delete(y, i, axis=0).mean(axis=0)) for i in range(5)]
    assert value == pytest.approx(np.log1p(np.exp(-np.array(scores))).mean(), rel=1e-12)
    np.testing.assert_allclose(compactness(x, y, reduction="none"), np.log1p(np.exp(-np.array(scores))), rtol=1e-12)
    weights, upstream = rng.uniform(size=5), rng.normal(size=5)
    options = {"weights": weights, "reduction": "none"}
    grads = compactness(x, y, return_grad=True, grad_output=upstream, **options)[1]
    np.testing.assert_allclose(grads.y, central(lambda a: compactness(x, a, **options) @ upstream, y), atol=1e-8)
    for rows in (0, 1):
        value, grads = compactness(x[:rows], y[:rows], return_grad=True)
        assert value == 0
        assert (grads.x == 0).all()
    with pytest.raises(ValueError, match="x has 5 rows but y has 4"):
        compactness(x, y[:4])


def plain(s, p, t):
    n = np.delete(s, p) / t
    return max(s[p] / t - n.max(), 0) + np.maximum(max(s[p] / t, n.max()) - n, 0).mean()


@pytest.mark.parametrize("temperature", [1.0, 0.3])
def test_margins(temperature, rng):
    s, positives = rng.normal(size=(6, 5)), np.array([0, 4, -1, 2, 1, 3])
    s[0, 0], s[1, 4] = 5.0, -5.0

    def call(similarities, temperature, **options):
        return contrastive_margin_regularizer(
            positives=positives, similarities=similarities, temperature=temperature, **options
        )

    value, _ = check_gradients(call, similarities=s, temperature=temperature)
    expected = [plain(s[i], p, temperature) for i, p in enumerate(positives) if p >= 0]
    assert value == pytest.approx(np.mean(expected), rel=1e-12)


def test_margins_of_embeddings(rng):
    x, y = rng.normal(size=(4, 3)), rng.normal(size=(6, 3))
    value, _ = check_gradients(contrastive_margin_regularizer, x=x, y=y)
    assert value == pytest.approx(np.mean([plain(x[i] @ y.T, i, 1.0) for i in range(4)]), rel=1e-12)
    within, _ = check_gradients(lambda x, **o: contrastive_margin_regularizer(x, positives=[1, 0, 3, 2], **o), x=x)
    s = x @ x.T
    each = [plain(np.delete(s[i], i), p - (p > i), 1.0) for i, p in enumerate([1, 0, 3, 2])]
    assert within == pytest.approx(np.mean(each), rel=1e-12)


def test_margins_of_equal_scores():
    value, grads = contrastive_margin_regularizer(similarities=np.ones((3, 4)), return_grad=True)
    assert value == 0
    assert (grads.similarities == 0).all()
    assert contrastive_margin_regularizer(similarities=[[1.0]]) == 0
    assert contrastive_margin_regularizer(similarities=np.zeros((0, 3))) == 0
    value, grads = contrastive_margin_regularizer(similarities=[[2.0, 2.0, 1.0]], return_grad=True)
    assert value == 0.5
    assert grads.similarities.tolist() == [[0.5, 0.0, -0.5]]  # the positive of a tie gets the gradient


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"similarities": np.ones((3, 2))}, "there are 3 rows but 2 columns"),
        ({"positives": [0, 1]}, "positives has shape (2,)"),
        ({"positives": [0, 1, 3]}, "positives is 3 at index 2"),
        ({"similarities": None, "x": np.ones((3, 2))}, "the positive of a row of x is the row itself"),
    ],
)
def test_errors(options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        contrastive_margin_regularizer(**{"similarities": np.ones((3, 3)), **options})
