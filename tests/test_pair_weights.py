"""pair_weights: the absolute gradients of losses, their signs and sums."""

import re

import numpy as np
import pytest
from differences import S3
from fastpair import losses
from fastpair.embeddings import pair_weights
from fastpair.losses._custom import custom
from fastpair.losses._info_nce import info_nce


def test_weights_are_absolute_gradients():
    found = pair_weights(info_nce, S3, temperature=0.1)
    slopes = info_nce(similarities=S3, temperature=0.1, return_grad=True)[1].similarities
    np.testing.assert_array_equal(found.weights, np.abs(slopes))
    np.testing.assert_array_equal(found.signs, np.where(np.eye(3), -1, 1))
    assert found.signs.dtype == np.int8
    np.testing.assert_allclose(found.ratio, 1)
    np.testing.assert_allclose(found.pull, -np.diag(slopes))
    shares = np.exp(S3 / 0.1) / np.exp(S3 / 0.1).sum(axis=1, keepdims=True)
    whole = pair_weights(info_nce, S3, temperature=0.1, reduction="sum")
    np.testing.assert_allclose(whole.push, (1 - np.diag(shares)) / 0.1, rtol=1e-10)


def test_weights_of_sigmoid_losses():
    def pointwise(similarities, rows):
        own = np.arange(len(rows))[:, None] == rows
        z = np.where(own, -similarities, similarities)
        weights = np.where(own, -1, 1) / (1 + np.exp(-z))
        return np.log1p(np.exp(z)).sum(axis=1), weights

    found = pair_weights(custom, S3, tile_fn=pointwise, reduction="sum")
    sigmoid = 1 / (1 + np.exp(-S3))
    np.testing.assert_allclose(found.weights, np.where(np.eye(3), 1 - sigmoid, sigmoid))


def test_positional_arguments_and_dtypes():
    found = pair_weights(losses.comp_sum, S3.astype(np.float32), [0, 1, -1])
    assert found.weights.dtype == np.float32
    assert (found.weights[2] == 0).all()
    assert np.isnan(found.ratio[2])
    assert (found.pull.dtype, found.ratio.dtype) == (np.float64, np.float64)
    assert pair_weights(losses.z_loss, np.zeros((0, 3))).weights.shape == (0, 3)


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: pair_weights("info_nce", S3), TypeError, "loss must be a function"),
        (lambda: pair_weights(info_nce, S3[0]), ValueError, "similarities has shape (3,)"),
        (lambda: pair_weights(info_nce, S3, return_grad=True), TypeError, "return_grad is passed by"),
        (lambda: pair_weights(lambda similarities, return_grad: 1.0, S3), TypeError, "returned no gradient of"),
    ],
)
def test_errors(call, kind, message):
    with pytest.raises(kind, match=re.escape(message)):
        call()
