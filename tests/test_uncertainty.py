"""uncertainty_info_nce: both terms, gradients through the spread, what it reduces to."""

import re

import numpy as np
import pytest
from differences import check_gradients
from fastpair.losses._info_nce import info_nce
from fastpair.losses._uncertainty import uncertainty_info_nce


@pytest.mark.parametrize("gamma", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("metric", ["dot", "cosine"])
def test_values_and_gradients(gamma, metric, rng):
    x, y, noisy = (rng.normal(size=(4, 3)) for _ in range(3))

    def call(x, y, augmented, temperature, **options):
        return uncertainty_info_nce(x, y, augmented, gamma, temperature, metric=metric, **options)

    value, _ = check_gradients(call, x=x, y=y, augmented=noisy, temperature=0.7)
    sigma = noisy.std(ddof=1)
    first, second = (info_nce(x, other, temperature=0.7, metric=metric) for other in (y, noisy))
    assert value == pytest.approx(gamma / 2 * (np.exp(-sigma) * second + sigma) + (1 - gamma) * first, rel=1e-12)


def test_limits(rng):
    x, y = rng.normal(size=(4, 3)), rng.normal(size=(4, 3))
    assert uncertainty_info_nce(x, y, -y, gamma=0.0) == info_nce(x, y, temperature=1.0, metric="dot")
    value, grads = uncertainty_info_nce(x, y, np.ones((4, 3)), gamma=1.0, return_grad=True)
    assert value == pytest.approx(np.log(4) / 2)  # no spread, equal targets
    assert np.isfinite(grads.augmented).all()
    assert uncertainty_info_nce(x[:0], y[:0], y[:0]) == 0
    assert uncertainty_info_nce(x.astype(np.float32), y, y, return_grad=True)[1].x.dtype == np.float32


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"augmented": np.ones((3, 2))}, "x has shape (2, 2), y (2, 2) and augmented (3, 2)"),
        ({"gamma": 1.5}, "gamma must be at most 1"),
        ({"temperature": 0}, "temperature must be larger than 0"),
    ],
)
def test_errors(options, message):
    arrays = dict.fromkeys(("x", "y", "augmented"), np.ones((2, 2)))
    with pytest.raises(ValueError, match=re.escape(message)):
        uncertainty_info_nce(**{**arrays, **options})
