"""cacr: every cost and option against a plain formula, gradients, limits of its temperatures."""

import re
from itertools import combinations

import numpy as np
import pytest
from differences import central
from fastpair.losses._cacr import cacr


def softmax(logits):
    e = np.exp(logits - logits.max())
    return e / e.sum()


def plain(views, t_pos=1.0, t_neg=1.0, alpha=1.0, beta=1.0, cost="euclidean", rbf_t=2.0, tau_plus=0.0, fixed=None):
    """The parts of each example; the shares come from `fixed` views where they are detached."""
    fixed = views if fixed is None else fixed
    count, n = views.shape[:2]

    def c(x, y):
        return 1 - x @ y / np.linalg.norm(x) / np.linalg.norm(y) if cost == "cosine" else ((x - y) ** 2).sum()

    pull, push = np.zeros(n), np.zeros(n)
    for i in range(n):
        for q in range(count):
            others = [v for v in range(count) if v != q]
            w = softmax(t_pos * np.array([c(fixed[q, i], fixed[v, i]) for v in others]))
            pull[i] += alpha * w @ [c(views[q, i], views[v, i]) for v in others] / count
    pairs = list(combinations(range(count), 2))
    gaussians = 0.0
    for a, b in pairs:
        of_pair = []
        for i in range(n):
            others = [j for j in range(n) if j != i]
            w = softmax(-t_neg * np.array([c(fixed[a, i], fixed[b, j]) for j in others]))
            costs = np.array([c(views[a, i], views[b, j]) for j in others])
            of_pair.append(w @ np.exp(-rbf_t * costs))
            push[i] += (-beta * w @ costs - tau_plus * c(views[a, i], views[b, i])) / (1 - tau_plus) / len(pairs)
        gaussians += beta * np.log(np.mean(of_pair)) / len(pairs)
    return pull, gaussians if cost == "rbf" else push


OPTIONS = [
    {},
    {"t_pos": 2.0, "t_neg": 0.7, "alpha": 1.5, "beta": 0.5},
    {"cost": "cosine", "t_pos": 3.0, "t_neg": 2.0},
    {"cost": "rbf", "t_neg": 0.9, "rbf_t": 1.3, "beta": 2.0},
    {"tau_plus": 0.2, "beta": 0.5},
    {"cost": "cosine", "tau_plus": 0.1},
]


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("part", ["both", "attraction", "repulsion"])
@pytest.mark.parametrize("detach_weights", [False, True])
@pytest.mark.parametrize("count", [2, 3])
def test_values_and_gradients(options, part, detach_weights, count, rng):
    views = rng.normal(size=(count, 4, 3))

    def total(at):
        pull, push = plain(at, fixed=views if detach_weights else None, **options)
        return (0 if part == "repulsion" else pull.mean()) + (0 if part == "attraction" else np.mean(push))

    debiased = {"debiased": True} if "tau_plus" in options else {}
    how = {**options, **debiased, "part": part, "detach_weights": detach_weights}
    value, grads = cacr(views, return_grad=True, **how)
    assert value == pytest.approx(total(views), rel=1e-11)
    np.testing.assert_allclose(grads.views, central(total, views), atol=1e-8)
    assert cacr(views, **how) == value


def test_values_of_each_example(rng):
    views, weights, upstream = rng.normal(size=(3, 5, 2)), rng.uniform(size=5), rng.normal(size=5)

    def total(at):
        return sum(plain(at)) * weights @ upstream

    value, grads = cacr(views, weights=weights, reduction="none", return_grad=True, grad_output=upstream)
    np.testing.assert_allclose(value, sum(plain(views)) * weights, rtol=1e-11)
    np.testing.assert_allclose(grads.views, central(total, views), atol=1e-8)
    assert cacr(views, weights=weights, reduction="sum") == pytest.approx(value.sum(), rel=1e-12)


def test_limits(rng):
    views = rng.normal(size=(2, 6, 3))
    distances = ((views[0][:, None] - views[1]) ** 2).sum(axis=2)
    off = ~np.eye(6, dtype=bool)
    assert cacr(views, t_neg=0.0, part="repulsion") == pytest.approx(-distances[off].mean(), rel=1e-12)
    nearest = np.where(off, distances, np.inf).min(axis=1)
    assert cacr(views, t_neg=1e6, part="repulsion") == pytest.approx(-nearest.mean(), rel=1e-9)
    assert cacr(views, part="attraction") == pytest.approx(distances[~off].mean(), rel=1e-12)  # one positive
    three = rng.normal(size=(3, 6, 3))
    pulls = [cacr(three, t_pos=t, part="attraction") for t in (0, 0.1, 1, 10, 1000)]
    assert pulls == sorted(pulls)


@pytest.mark.parametrize("cost", ["euclidean", "rbf", "cosine"])
def test_degenerate_views(cost):
    for views in (np.zeros((2, 3, 2)), np.ones((3, 1, 2)), np.zeros((2, 0, 2)), 1e150 * np.ones((2, 2, 2))):
        value, grads = cacr(views, cost=cost, return_grad=True)
        assert not np.isnan(value)
        assert not np.isnan(grads.views).any()
    far = 50 * np.eye(4)[None] + np.zeros((2, 1, 1))
    value, grads = cacr(far, cost=cost, t_neg=100, return_grad=True)
    assert np.isfinite(value)
    assert np.isfinite(grads.views).all()


def test_narrow_views_keep_their_dtype(rng):
    views = rng.normal(size=(2, 5, 3))
    exact, expected = cacr(views, return_grad=True)
    value, grads = cacr(views.astype(np.float32), return_grad=True)
    assert value == pytest.approx(exact, rel=1e-5)
    assert grads.views.dtype == np.float32
    np.testing.assert_allclose(grads.views, expected.views, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"views": np.ones((1, 3, 2))}, "views has shape (1, 3, 2); pass (V, n, d), at least two"),
        ({"views": np.ones((3, 2))}, "views has shape (3, 2)"),
        ({"cost": "dot"}, "cost must be one of"),
        ({"part": "all"}, "part must be one of"),
        ({"debiased": True, "tau_plus": 1.0}, "tau_plus must be below 1"),
        ({"cost": "rbf", "reduction": "none"}, "cost='rbf' is a loss of the batch"),
        ({"t_pos": -1}, "t_pos must be at least 0"),
        ({"rbf_t": 0}, "rbf_t must be larger than 0"),
    ],
)
def test_errors(options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        cacr(**{"views": np.ones((2, 3, 2)), **options})
