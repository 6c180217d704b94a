"""Contrast of neighbours and of centres: `cluster_proxy_contrast` and `queue_center_nce`."""

from typing import Any, NamedTuple, SupportsIndex, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import ArrayLike
from fastpair._embeddings import check_flag, embeddings, same_width
from fastpair._units import away_from_units, unit_rows
from fastpair._validate import check_number, in_dtype_of
from fastpair.losses._adjacency import Edges, parse_adjacency
from fastpair.losses._embedding import SimilarityMetric, parse_pairs
from fastpair.losses._info_nce import info_nce
from fastpair.losses._lists import Lists
from fastpair.losses._similarity_kl import log_shares
from fastpair.losses._tiles import add_rows, stream

__all__ = ["ClusterProxyGrads", "QueueCenterGrads", "cluster_proxy_contrast", "queue_center_nce"]

_Array: TypeAlias = npt.NDArray[Any]
_Floats: TypeAlias = npt.NDArray[np.float64]
_Ints: TypeAlias = npt.NDArray[np.int64]

MOST_NUMBERS = 1 << 18
"""Numbers of rows at the ends of edges that are handled at a time."""


class ClusterProxyGrads(NamedTuple):
    """The gradients of `cluster_proxy_contrast` with respect to nodes, centres and the temperature."""

    x: _Array
    centers: _Array
    temperature: np.float64


class QueueCenterGrads(NamedTuple):
    """The gradients of `queue_center_nce`; that of the queue is None unless asked for."""

    queue: _Array | None
    positives: _Array
    negatives: _Array
    temperature: np.float64


def cluster_proxy_contrast(
    x: ArrayLike,
    centers: ArrayLike,
    adjacency: Any,
    temperature: float = 1.0,
    *,
    return_grad: bool = False,
    num_threads: SupportsIndex | None = None,
    max_memory: SupportsIndex | None = None,
) -> Any:
    r"""Compute the attraction of neighbours and the repulsion of the centres of clusters.

    Parameters
    ----------
    x : array_like, shape (n, d)
        Embeddings of the nodes of a graph.
    centers : array_like, shape (k, d)
        Embeddings of the centres of clusters.
    adjacency : array_like or sparse, shape (n, n), or tuple
        The graph, weights not negative: a dense matrix, a sparse one of scipy, or its parts ``(indptr, indices)`` or
        ``(indptr, indices, data)`` by row.
    temperature : float
        What divides cosines, positive: 1 over the tau of the paper.
    return_grad : bool
        Return the gradients as well.
    num_threads : int, optional
        The most threads for the cosines of centres; by default `fastpair.get_num_threads`.
    max_memory : int, optional
        The most bytes of scratch for them; by default 64 MiB.

    Returns
    -------
    value : numpy.float64
        The loss.
    grads : ClusterProxyGrads
        With `return_grad`: the named tuple ``(x, centers, temperature)``, those of arrays in their shapes and dtypes
        (float64 for integers).

    Raises
    ------
    TypeError
        If a dtype cannot be used, or the temperature is not a number.
    ValueError
        If shapes do not match, an embedding is NaN or infinite, or a weight is negative.

    See Also
    --------
    fastpair.losses.cluster_contrast : Contrast of nodes with the means of communities.

    Notes
    -----
    .. math::
       -\frac1n \sum_i \log \sum_{j \in N(i)} A_{ij} e^{\cos(x_i, x_j) / \tau}
       + \frac1k \sum_c \log \sum_{c'} e^{\cos(\mu_c, \mu_{c'}) / \tau}

    where the similarity of a node or a centre with itself counts as 0, that is, adds 1. Nodes without neighbours are
    left out, and nothing is added inside of logarithms.

    Cost: O(e d + k² d) for e edges. Extra memory: O(e), copies in float64, tiles of at most `max_memory`.

    References
    ----------
    .. [1] G. K. Kulatilleke, M. Portmann and S. S. Chandra (2022). Efficient block contrastive learning via
       parameter-free meta-node approximation. arXiv.

    Examples
    --------
    >>> import fastpair
    >>> x, centers = [[1.0, 0.0], [0.6, 0.8]], [[1.0, 0.0], [0.0, 1.0]]
    >>> fastpair.losses.cluster_proxy_contrast(x, centers, [[0, 1], [1, 0]]).round(6)
    np.float64(0.093147)
    """
    nodes, means = same_width(embeddings(x, "x", "cosine"), embeddings(centers, "centers", "cosine"), "cosine")
    divisor = check_number(temperature, "temperature", above=0)
    wanted = check_flag(return_grad, "return_grad")
    edges = parse_adjacency(adjacency, len(nodes))
    if len(edges.values) and not edges.values.min() >= 0:
        raise ValueError("adjacency has negative weights; pass weights that are not negative")
    value, by_nodes, by_first = _attraction(nodes, edges, divisor, wanted)

    def tile(scores: _Array, places: _Ints) -> tuple[Any, ...]:
        own = np.arange(len(places)), places
        cosines = scores.astype(np.float64)
        cosines[own] = 0.0
        largest = cosines.max(axis=1, keepdims=True)
        log_p = log_shares(cosines, np.array([[divisor]]))
        values = largest[:, 0] / divisor - log_p.max(axis=1)
        slopes = np.exp(log_p) / divisor
        by_temperature = -(slopes * cosines).sum(axis=1) / divisor
        slopes[own] = 0.0
        return values, slopes, (by_temperature,)

    pairs = parse_pairs(means, None, None, "cosine", num_threads, max_memory)
    sums = stream(pairs, tile, np.full(len(means), 1 / max(len(means), 1)) if wanted else None, arrays=7)
    value = np.float64(value + sums.values.sum() / max(len(means), 1))
    if not wanted:
        return value
    by_second = sum((part.sum() for part in sums.parameters), 0.0)
    assert sums.x is not None
    return value, ClusterProxyGrads(in_dtype_of(by_nodes, nodes), sums.x, np.float64(by_first + by_second))


def queue_center_nce(
    queue: ArrayLike,
    positives: ArrayLike,
    negatives: ArrayLike,
    temperature: float = 0.07,
    *,
    metric: SimilarityMetric = "cosine",
    queue_grad: bool = False,
    return_grad: bool = False,
    num_threads: SupportsIndex | None = None,
    max_memory: SupportsIndex | None = None,
) -> Any:
    r"""Compute InfoNCE of objects and background against the centre of a queue of objects.

    Parameters
    ----------
    queue : array_like, shape (q, d)
        Embeddings of objects seen before, of which the mean is taken.
    positives : array_like, shape (p, d)
        Embeddings of queries that are objects.
    negatives : array_like, shape (k, d)
        Embeddings of queries that are not.
    temperature : float
        What divides the similarities, positive.
    metric : {"cosine", "dot", "sqeuclidean", "euclidean"}
        The similarity of embeddings; that of a distance is minus the distance.
    queue_grad : bool
        Return the gradient of the queue as well; otherwise it is a constant.
    return_grad : bool
        Return the gradients.
    num_threads : int, optional
        The most threads to use; by default `fastpair.get_num_threads`.
    max_memory : int, optional
        The most bytes of scratch beside input and output; by default 64 MiB, or what one thread needs.

    Returns
    -------
    value : numpy.float64
        The loss. 0.0 if the queue, the positives or the negatives are empty.
    grads : QueueCenterGrads
        With `return_grad`: the named tuple ``(queue, positives, negatives, temperature)``, those of arrays in their
        shapes and dtypes (float64 for integers).

    Raises
    ------
    TypeError
        If a dtype cannot be used, or the temperature is not a number.
    ValueError
        If shapes do not match, or an embedding is NaN or infinite.

    See Also
    --------
    fastpair.losses.info_nce : With one row and several positives, what this is.

    Notes
    -----
    The mean over the positives of :math:`-\log` of their softmax share among positives and negatives, by their
    similarity to the mean of the queue.

    Cost: O((q + p + k) d). Extra memory: copies of all.

    References
    ----------
    .. [1] J. Wu et al. (2023). Exploring transformers for open-world instance segmentation. ICCV.

    Examples
    --------
    >>> import fastpair
    >>> queue, objects = [[1.0, 0.0], [0.8, 0.6]], [[0.6, 0.8]]
    >>> fastpair.losses.queue_center_nce(queue, objects, [[0.0, 1.0]], temperature=0.5).round(6)
    np.float64(0.310067)
    """
    given = [
        embeddings(a, n, metric) for a, n in ((queue, "queue"), (positives, "positives"), (negatives, "negatives"))
    ]
    for array, name in zip(given[1:], ("positives", "negatives"), strict=True):
        if array.shape[1] != given[0].shape[1]:
            raise ValueError(f"queue has {given[0].shape[1]} columns but {name} has {array.shape[1]}; pass equal ones")
    wanted = check_flag(return_grad, "return_grad")
    if check_flag(queue_grad, "queue_grad") and not wanted:
        raise ValueError("queue_grad=True needs return_grad=True")
    seen, good, bad = (array.astype(np.float64) for array in given)
    if not len(seen) or not len(good) or not len(bad):
        check_number(temperature, "temperature", above=0)
        value, grads = np.float64(0.0), None
    else:
        mask = np.zeros((1, len(good) + len(bad)), np.bool_)
        mask[0, : len(good)] = True
        result = info_nce(
            seen.mean(axis=0, keepdims=True),
            np.concatenate([good, bad]),
            mask,
            temperature,
            metric=metric,
            return_grad=wanted,
            num_threads=num_threads,
            max_memory=max_memory,
        )
        value, grads = result if wanted else (result, None)
    if not wanted:
        return value
    by_columns = np.zeros((len(good) + len(bad), seen.shape[1])) if grads is None else grads.y
    by_queue = None
    if queue_grad:
        share = np.zeros((1, seen.shape[1])) if grads is None else grads.x / len(seen)
        by_queue = in_dtype_of(np.repeat(share, len(seen), axis=0), given[0])
    return value, QueueCenterGrads(
        by_queue,
        in_dtype_of(by_columns[: len(good)], given[1]),
        in_dtype_of(by_columns[len(good) :], given[2]),
        np.float64(0.0 if grads is None else grads.temperature),
    )


def _attraction(nodes: _Array, edges: Edges, divisor: float, gradient: bool) -> tuple[float, _Floats, float]:
    """Return the first term, and its gradients with respect to the nodes and the temperature."""
    units, norms = unit_rows(nodes)
    rows, columns = edges.rows, edges.columns
    cosines = np.zeros(len(rows))
    parts = [
        slice(begin, begin + max(1, MOST_NUMBERS // max(nodes.shape[1], 1)))
        for begin in range(0, len(rows), max(1, MOST_NUMBERS // max(nodes.shape[1], 1)))
    ]
    for part in parts:
        cosines[part] = np.einsum("ij,ij->i", units[rows[part]], units[columns[part]])
    cosines[rows == columns] = 0.0
    lists = Lists(edges.indptr)
    with np.errstate(divide="ignore"):
        logits = cosines / divisor + np.log(edges.values)
    totals = lists.logsumexp(logits)
    counted = totals > -np.inf
    valid = max(int(np.count_nonzero(counted)), 1)
    value = -float(totals.sum(where=counted)) / valid
    by_units = np.zeros(units.shape)
    if not gradient:
        return value, by_units, 0.0
    totals[~counted] = 0.0
    slopes = -np.exp(logits - lists.spread(totals)) / (valid * divisor)
    by_temperature = -float((slopes * cosines).sum()) / divisor
    slopes[rows == columns] = 0.0
    for part in parts:
        pull = slopes[part, np.newaxis]
        add_rows(by_units, rows[part], pull * units[columns[part]])
        add_rows(by_units, columns[part], pull * units[rows[part]])
    return value, away_from_units(by_units, units, norms), by_temperature
