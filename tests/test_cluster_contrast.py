"""cluster_contrast and deca: plain formulas, gradients, communities without nodes, every form of graphs."""

import re

import numpy as np
import pytest
import scipy.sparse
from differences import central, check_gradients
from fastpair.losses._cluster_contrast import cluster_contrast, deca


def plain(x, means, codes, t, kernel, gamma):
    values = []
    for row, c in zip(x, codes, strict=True):
        if kernel == "cosine":
            norms = np.linalg.norm(means, axis=1) * np.linalg.norm(row)
            logits = np.divide(means @ row, norms, out=np.zeros(len(means)), where=norms > 0) / t
        else:
            logits = -((means - row) ** 2).sum(axis=1) / t**2 - gamma * ((means - means[c]) ** 2).sum(axis=1)
        values.append(-logits[c] + np.log(np.exp(logits).sum()) if c >= 0 else 0.0)
    return np.array(values)


@pytest.mark.parametrize("kernel", ["cosine", "rbf"])
@pytest.mark.parametrize("gamma", [0.0, 0.3])
@pytest.mark.parametrize("temperature", [0.4, 1.5])
def test_values_and_gradients(kernel, gamma, temperature, rng):
    x, y = rng.normal(size=(7, 3)), rng.normal(size=(7, 3))
    codes = np.array([0, 2, 1, -1, 2, 0, 0])
    means = np.array([y[codes == k].mean(axis=0) for k in range(3)])

    def call(x, temperature, **options):
        return cluster_contrast(x, y, codes, temperature, kernel=kernel, gamma=gamma, **options)

    value, _ = check_gradients(call, x=x, temperature=temperature)
    expected = plain(x, means, codes, temperature, kernel, gamma)
    assert value == pytest.approx(expected.sum() / 6, rel=1e-12)
    np.testing.assert_allclose(call(x, temperature, reduction="none"), expected, rtol=1e-9)


def test_single_nodes_give_info_nce(rng):
    x, y = rng.normal(size=(5, 3)), rng.normal(size=(5, 3))
    value = cluster_contrast(x, y, np.arange(5))
    assert value == pytest.approx(plain(x, y, range(5), 0.4, "cosine", 0).mean(), rel=1e-12)


def test_soft_assignments_and_empty_communities(rng):
    x, y = rng.normal(size=(4, 3)), rng.normal(size=(4, 3))
    soft = np.array([[0.5, 0.1, 0.4], [0.2, 0.2, 0.6], [0.4, 0.3, 0.4], [0.1, 0.0, 0.9]])
    codes = [0, 2, 0, 2]
    dropped = cluster_contrast(x, y, soft)
    assert dropped == cluster_contrast(x, y, codes)
    means = np.array([y[[0, 2]].mean(axis=0), np.zeros(3), y[[1, 3]].mean(axis=0)])
    kept = cluster_contrast(x, y, soft, keep_empty=True)
    assert kept == pytest.approx(plain(x, means, codes, 0.4, "cosine", 0).mean(), rel=1e-12)
    assert kept > dropped


def test_nodes_that_do_not_count(rng):
    x = rng.normal(size=(3, 2))
    for codes in ([-1, -1, -1], [0, 0, 0]):
        value, grads = cluster_contrast(x, x, codes, return_grad=True)
        assert value == 0
        assert (grads.x == 0).all()
        assert grads.temperature == 0
    assert cluster_contrast(x[:0], x[:0], []) == 0
    with pytest.raises(ValueError, match="on_empty='error'"):
        cluster_contrast(x, x, [0, 1, -1], on_empty="error")
    value, grads = cluster_contrast(np.zeros((3, 2)), x, [0, 1, 1], 0.01, return_grad=True)
    assert value == pytest.approx(np.log(2))
    assert (grads.x == 0).all()


def test_narrow_embeddings_keep_their_dtype(rng):
    x = rng.normal(size=(6, 4))
    exact = cluster_contrast(x, x, [0, 0, 1, 1, 2, 2])
    value, grads = cluster_contrast(x.astype(np.float32), x, [0, 0, 1, 1, 2, 2], return_grad=True)
    assert value == pytest.approx(exact, rel=1e-5)
    assert grads.x.dtype == np.float32


class TestDeca:
    def plain(self, r, a, balance):
        n, f = len(r), r.T @ a @ r
        return (balance * f.sum() - (n - 1 + balance) * np.trace(f)) / (n * (n - 1)) + np.trace(r.T @ r) / (2 * n)

    @pytest.mark.parametrize("balance", [0.0, 1.0, 2.5])
    def test_values_and_gradients(self, balance, rng):
        r, a = rng.uniform(size=(6, 3)), rng.uniform(size=(6, 6)) * (rng.random((6, 6)) < 0.5)
        value, grads = deca(r, a, balance=balance, return_grad=True)
        assert value == pytest.approx(self.plain(r, a, balance), rel=1e-12)
        np.testing.assert_allclose(grads.assignments, central(lambda q: self.plain(q, a, balance), r), atol=1e-8)
        sparse = scipy.sparse.csr_array(a)
        for form in (sparse, sparse.tocoo(), (sparse.indptr, sparse.indices, sparse.data)):
            assert deca(r, form, balance=balance) == pytest.approx(value, rel=1e-14)
        whole = (a > 0).astype(int)
        parts = (sparse.indptr, sparse.indices)
        assert deca(r, parts, balance=balance) == pytest.approx(deca(r, whole, balance=balance), rel=1e-14)

    def test_few_nodes(self):
        assert deca(np.zeros((0, 2)), np.zeros((0, 0))) == 0
        value, grads = deca([[1.0, 0.0]], [[1.0]], return_grad=True)
        assert value == 0.5
        assert grads.assignments.tolist() == [[1.0, 0.0]]

    @pytest.mark.parametrize(
        ("adjacency", "kind", "message"),
        [
            (np.ones((2, 3)), ValueError, "adjacency has shape (2, 3); pass (2, 2)"),
            (([0, 1], [1]), ValueError, "the indptr of adjacency has shape (2,); pass 3 borders"),
            (([0, 1, 1], [2]), ValueError, "adjacency names nodes from 2 to 2, but there are 2"),
            (([0, 1, 2], [1]), ValueError, "the indptr of adjacency goes from 0 to 2"),
            (([0],), TypeError, "adjacency is a tuple of 1"),
        ],
    )
    def test_errors(self, adjacency, kind, message):
        with pytest.raises(kind, match=re.escape(message)):
            deca(np.ones((2, 2)), adjacency)


X = np.ones((3, 2))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((X, X[:2], [0, 1, 1]), "x has shape (3, 2) but y has (2, 2)"),
        ((X, X, [0, 1]), "assignments has shape (2,)"),
        ((X, X, [0.0, 1.0, 1.0]), "assignments has shape (3,) and dtype float64"),
        ((X, X, [0, 1, 1], 0), "temperature must be larger than 0"),
    ],
)
def test_errors(arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        cluster_contrast(*arguments)
