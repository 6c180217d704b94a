"""cluster_proxy_contrast and queue_center_nce: plain formulas, gradients, nodes without neighbours."""

import re

import numpy as np
import pytest
import scipy.sparse
from differences import central, check_gradients
from fastpair.losses._cluster_proxies import cluster_proxy_contrast, queue_center_nce
from fastpair.losses._info_nce import info_nce


def likeness(x):
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    s = unit @ unit.T
    s[np.diag_indices(len(x))] = 0
    return s


@pytest.mark.parametrize("temperature", [1.0, 0.3])
def test_values_and_gradients(temperature, rng):
    x, centers = rng.normal(size=(7, 3)), rng.normal(size=(4, 3))
    graph = rng.uniform(size=(7, 7)) * (rng.random((7, 7)) < 0.5)
    graph[2] = 0
    graph[3, 3] = 0.7
    value, _ = check_gradients(
        lambda x, centers, temperature, **o: cluster_proxy_contrast(x, centers, graph, temperature, **o),
        x=x,
        centers=centers,
        temperature=temperature,
    )
    near = (graph * np.exp(likeness(x) / temperature)).sum(axis=1)
    apart = np.log(np.exp(likeness(centers) / temperature).sum(axis=1)).mean()
    assert value == pytest.approx(apart - np.log(near[near > 0]).mean(), rel=1e-12)
    sparse = scipy.sparse.csr_array(graph)
    assert cluster_proxy_contrast(x, centers, sparse, temperature) == pytest.approx(value, rel=1e-14)


def test_nodes_and_centers_that_do_not_count(rng):
    x = rng.normal(size=(3, 2))
    value, grads = cluster_proxy_contrast(x, x[:1], np.zeros((3, 3)), return_grad=True)
    assert value == 0
    assert (grads.x == 0).all()
    value, grads = cluster_proxy_contrast(0 * x, 0 * x, np.ones((3, 3)), 0.01, return_grad=True)
    assert value == pytest.approx(0, abs=1e-15)  # log 3 on both sides
    assert (grads.x == 0).all()
    assert cluster_proxy_contrast(x[:0], x[:0], np.zeros((0, 0))) == 0
    grads = cluster_proxy_contrast(x.astype(np.float16), x, np.ones((3, 3)), return_grad=True)[1]
    assert (grads.x.dtype, grads.centers.dtype) == (np.float16, np.float64)
    with pytest.raises(ValueError, match="adjacency has negative weights"):
        cluster_proxy_contrast(x, x, -np.ones((3, 3)))


def test_queue_center_nce(rng):
    queue, good, bad = (rng.normal(size=(count, 3)) for count in (4, 2, 5))

    def call(queue, positives, negatives, temperature, **options):
        more = {"queue_grad": True} if options else {}
        return queue_center_nce(queue, positives, negatives, temperature, **options, **more)

    value, _ = check_gradients(call, queue=queue, positives=good, negatives=bad, temperature=0.5)
    mask = np.array([[True, True, False, False, False, False, False]])
    expected = info_nce(queue.mean(axis=0)[None], np.concatenate([good, bad]), mask, 0.5)
    assert value == pytest.approx(expected, rel=1e-14)
    grads = queue_center_nce(queue, good, bad, return_grad=True)[1]
    assert grads.queue is None
    np.testing.assert_allclose(grads.negatives, central(lambda a: queue_center_nce(queue, good, a), bad), atol=1e-6)
    for parts in ((queue[:0], good, bad), (queue, good[:0], bad), (queue, good, bad[:0])):
        value, grads = queue_center_nce(*parts, return_grad=True)
        assert value == 0
        assert (grads.positives == 0).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda a: cluster_proxy_contrast(a, a[:, 1:], np.ones((2, 2))), "x has 3 columns but y has 2"),
        (lambda a: cluster_proxy_contrast(a, a, np.ones((3, 3))), "adjacency has shape (3, 3)"),
        (lambda a: queue_center_nce(a, a, a[:, 1:]), "queue has 3 columns but negatives has 2"),
        (lambda a: queue_center_nce(a, a, a, queue_grad=True), "queue_grad=True needs return_grad=True"),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        call(np.ones((2, 3)))
