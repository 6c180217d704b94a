"""dual_contrastive and adversarial_contrast: plain formulas, gradients, stated limits."""

import numpy as np
import pytest
from differences import check_gradients
from fastpair.losses._score_contrast import adversarial_contrast, dual_contrastive


@pytest.mark.parametrize(("n", "m"), [(1, 1), (4, 4), (3, 6)])
def test_dual_contrastive(n, m, rng):
    real, fake = rng.normal(size=n), rng.normal(size=m)
    value, _ = check_gradients(dual_contrastive, real=real, fake=fake)
    e = np.exp(fake - real[:, None])
    assert value == pytest.approx(np.log1p(e.sum(axis=1)).mean() + np.log1p(e.sum(axis=0)).mean(), rel=1e-12)
    assert dual_contrastive(np.zeros(n), np.zeros(n)) == pytest.approx(2 * np.log(1 + n), rel=1e-14)


def test_dual_contrastive_of_any_scores():
    for real, fake in (([], [1.0]), ([1.0], []), ([], [])):
        value, grads = dual_contrastive(real, fake, return_grad=True)
        assert value == 0
        assert (grads.real.shape, grads.fake.shape) == (np.shape(real), np.shape(fake))
    for size in (1e3, 1e308):
        value, grads = dual_contrastive([size, -size], [size, -size], return_grad=True)
        assert not np.isnan(value)
        assert not np.isnan(grads.real).any()
    assert dual_contrastive(np.float16([1, 2]), np.float32([1]), return_grad=True)[1].real.dtype == np.float16
    with pytest.raises(ValueError, match="real has shape"):
        dual_contrastive([[1.0]], [1.0])


@pytest.mark.parametrize("shapes", [((5,), (5,)), ((4, 2), (4, 3)), ((4,), (4, 2))])
@pytest.mark.parametrize("temperature", [0.1, 0.7])
def test_adversarial_contrast(shapes, temperature, rng):
    matched, farthest = (rng.uniform(-1, 1, shape) for shape in shapes)
    options = {"alpha": 0.5, "distortion": 0.2}
    value, _ = check_gradients(
        lambda matched, farthest, temperature, **o: adversarial_contrast(
            matched, farthest, temperature, **options, **o
        ),
        matched=matched,
        farthest=farthest,
        temperature=temperature,
    )
    u, v = (np.exp(s / temperature).sum() / len(s) for s in (matched, farthest))
    assert value == pytest.approx(np.log(u / (u + v)) - 0.1, rel=1e-12)
    assert adversarial_contrast(matched, matched) == pytest.approx(-np.log(2), rel=1e-14)


def test_adversarial_contrast_of_any_scores():
    assert adversarial_contrast([], []) == 0
    for size in (1e3, 1e308):
        value, grads = adversarial_contrast([size, 0.0], [-size, size], 0.01, return_grad=True)
        assert not np.isnan(value)
        assert not np.isnan(grads.matched).any()
        assert not np.isnan(grads.temperature)
    with pytest.raises(ValueError, match="matched has shape"):
        adversarial_contrast([1.0], [1.0, 2.0])
