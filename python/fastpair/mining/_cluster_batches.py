"""Batches of whole clusters of equal size: `cluster_batches`."""

from typing import Any, NamedTuple, SupportsIndex, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import ArrayLike, array_of
from fastpair._embeddings import check_count, embeddings, is_narrow
from fastpair._progress import Progress, Report
from fastpair._random import Seed, generator
from fastpair._roles import same_codes
from fastpair._units import finite_units
from fastpair._validate import Resources, parse_resources
from fastpair.similarity._pairwise import pairwise

__all__ = ["ClusterBatches", "cluster_batches"]

_Array: TypeAlias = npt.NDArray[Any]
_Floats: TypeAlias = npt.NDArray[np.float64]
_Ints: TypeAlias = npt.NDArray[np.int64]

MOST_ROWS = 1 << 13
"""Rows that are gathered at a time to add them up."""


class ClusterBatches(NamedTuple):
    """Batches in compressed rows: batch b has items ``indices[indptr[b]:indptr[b + 1]]``; and the cluster of each item.

    Items of a batch are in the order of its clusters, and ascending within one.
    """

    indptr: _Ints
    indices: _Ints
    clusters: _Ints


def cluster_batches(
    x: ArrayLike | None = None,
    batch_size: SupportsIndex = 1024,
    cluster_size: SupportsIndex = 32,
    *,
    clusters: ArrayLike | None = None,
    max_iter: SupportsIndex = 20,
    seed: Seed = None,
    num_threads: SupportsIndex | None = None,
    max_memory: SupportsIndex | None = None,
    progress: bool | Report = False,
) -> ClusterBatches:
    r"""Group items into batches that are unions of random clusters of near items.

    Parameters
    ----------
    x : array_like, shape (n, d), optional
        An embedding of each item: floats of 16 to 64 bits, or integers. Either this or `clusters` is needed.
    batch_size : int
        How many items a batch has at most, at least as many as a cluster.
    cluster_size : int
        How many items a cluster has at most, with `x`; all clusters have the same size, or one less.
    clusters : array_like, shape (n,), optional
        The cluster of each item in place of embeddings, integers or strings: those of an earlier call, to draw the
        batches of another epoch without clustering again.
    max_iter : int
        How often a split is improved at most.
    seed : int, numpy.random.Generator or None
        Where the draws begin; None takes fresh ones.
    num_threads : int, optional
        The most threads for similarities; by default `fastpair.get_num_threads`.
    max_memory : int, optional
        The most bytes of scratch for similarities; by default 64 MiB, or what one thread needs. It changes no result.
    progress : bool or callable
        True shows a bar; a function is called as ``progress(done, total)``, in items times levels of splits.

    Returns
    -------
    ClusterBatches
        The named tuple ``(indptr, indices, clusters)``, int64: every item is in one batch, of shape (n,) with the
        clusters of `x` numbered from 0, or the codes of those that were passed, in sorted order. With batches in
        compressed rows, ``numpy.split(indices, indptr[1:-1])`` is the list of arrays that a batch sampler takes.

    Raises
    ------
    TypeError
        If a dtype cannot be used, or an option has the wrong type.
    ValueError
        If both or neither of x and clusters are given, an embedding is NaN or infinite, or a cluster is larger than a
        batch.

    See Also
    --------
    fastpair.mining.neighbor_batches : Batches of seeds with their nearest neighbours.
    fastpair.mining.cluster_negatives : Negatives of the own cluster, without batches.

    Notes
    -----
    There are :math:`C = \lceil n / s \rceil` clusters for the cluster size s. The items are split in two again and
    again, each half with half of the clusters, by balanced 2-means of unit vectors: two random items are the first
    centres; items are sorted by the difference of their similarities to both, and the first half goes to the one, the
    rest to the other centre (equal differences by index); centres become the directions of the sums of their halves;
    until nothing changes. Sizes of clusters differ by one at most, exactly as halves do.

    Batches take clusters in random order, as many as fit, and all the same number or one less. The negatives of an item
    are the rest of its batch: many hard ones from its cluster, and easy ones from the others. To follow the schedule of
    the reference, cluster anew every few epochs with the embeddings of then, double `cluster_size` on the way from easy
    to hard, and pass `clusters` in the epochs between.

    Similarities are evaluated exactly in float64, and sums in a fixed order, so clusters have the same bits for every
    number of threads and instruction set. Cost: O(n d log C) for each improvement. Peak extra memory: two copies of x
    in float32 (float64 if x needs it), and `max_memory`.

    References
    ----------
    .. [1] K. Dahiya et al. (2023). NGAME: negative mining-aware mini-batching for extreme classification. WSDM.

    Examples
    --------
    >>> import numpy as np
    >>> from fastpair import mining
    >>> x = [[1.0, 0.0], [0.0, 1.0], [0.9, 0.1], [0.1, 0.9], [-1.0, 0.0], [0.0, -1.0], [-0.9, 0.0], [0.0, -0.9]]
    >>> batches = mining.cluster_batches(x, batch_size=4, cluster_size=2, seed=0)
    >>> batches.clusters
    array([1, 0, 1, 0, 3, 2, 3, 2])
    >>> np.split(batches.indices, batches.indptr[1:-1])
    [array([4, 6, 0, 2]), array([5, 7, 1, 3])]
    """
    size, most = check_count(batch_size, "batch_size", 1), check_count(cluster_size, "cluster_size", 1)
    rounds, resources = check_count(max_iter, "max_iter", 1), parse_resources(num_threads, max_memory)
    if (x is None) == (clusters is None):
        state = "neither is" if x is None else "both are"
        raise ValueError(f"x or clusters is needed, but {state} given; pass embeddings, or a cluster for each item")
    rng = generator(seed)
    if clusters is not None:
        return _united(_codes(clusters), size, rng)
    if most > size:
        raise ValueError(f"cluster_size is {most}, larger than batch_size={size}; pass clusters that fit into a batch")
    assert x is not None
    rows = embeddings(x, "x", "cosine")
    units = finite_units(rows, "x", np.float32 if is_narrow(rows) else np.float64)[0]
    return _united(_clustered(units, most, rounds, rng, resources, progress), size, rng)


def _codes(clusters: ArrayLike) -> _Ints:
    array = array_of(clusters, "clusters")
    if array.ndim != 1:
        raise ValueError(f"clusters has shape {array.shape}; pass one dimension, a cluster for each item")
    return same_codes(array, array, "clusters")[0]


def _clustered(
    units: _Array, most: int, rounds: int, rng: np.random.Generator, resources: Resources, progress: bool | Report
) -> _Ints:
    """Return the cluster of each row, by splits in two."""
    count = len(units)
    number = -(-count // most)
    # The first clusters have one more where the number does not divide n.
    borders = np.cumsum([0, *(count // number + (np.arange(number) < count % number))]) if number else np.zeros(1)
    result = np.zeros(count, np.int64)
    waiting = [(np.arange(count), 0, number)] if number else []
    levels = max(1, (number - 1).bit_length())
    with Progress(progress, count * levels) as watcher:
        while waiting:
            items, first, last = waiting.pop()
            if last - first == 1:
                result[items] = first
                continue
            middle = (first + last) // 2
            watcher.part(len(items))
            left = _split(units, items, int(borders[middle] - borders[first]), rounds, rng, resources)
            watcher.end_part()
            # The left side next, so that the order of draws and of clusters is the same.
            waiting += [(items[~left], middle, last), (items[left], first, middle)]
    return result


def _split(
    units: _Array, items: _Ints, size: int, rounds: int, rng: np.random.Generator, resources: Resources
) -> npt.NDArray[np.bool_]:
    """Return which items are on the first side, which gets `size` of them."""
    rows = units if len(items) == len(units) else units[items]
    first, second = rng.choice(len(items), 2, replace=False)
    direction = rows[first].astype(np.float64) - rows[second]
    left = np.zeros(len(items), np.bool_)
    scores = np.empty((len(items), 1))
    for _ in range(rounds):
        pairwise(rows, direction[np.newaxis], "dot", exact=True, out=scores, **resources._asdict())
        now = np.zeros(len(items), np.bool_)
        now[np.argsort(-scores[:, 0], kind="stable")[:size]] = True
        if (now == left).all():
            break
        left = now
        direction = _direction(rows, left) - _direction(rows, ~left)
    return left


def _direction(rows: _Array, members: npt.NDArray[np.bool_]) -> _Floats:
    """Return the sum of the members, of norm 1."""
    total = np.zeros(rows.shape[1])
    places = np.flatnonzero(members)
    for begin in range(0, len(places), MOST_ROWS):
        total += rows[places[begin : begin + MOST_ROWS]].sum(axis=0, dtype=np.float64)
    norm = np.sqrt((total * total).sum())
    return total / norm if norm > 0 else total


def _united(codes: _Ints, size: int, rng: np.random.Generator) -> ClusterBatches:
    """Join clusters to batches."""
    sizes = np.bincount(codes) if len(codes) else np.zeros(0, np.int64)
    largest = int(sizes.max(initial=0))
    if largest > size:
        raise ValueError(
            f"cluster {int(sizes.argmax())} has {largest} items, more than batch_size={size}; pass larger batches or "
            f"smaller clusters"
        )
    number = len(sizes)
    batches = -(-number // max(1, size // max(1, largest)))
    order = rng.permutation(number)
    place = np.empty(number, np.int64)
    place[order] = np.arange(number)
    indices = np.lexsort((np.arange(len(codes)), place[codes])).astype(np.int64)
    # Batch b has clusters number * b // batches and up of the order.
    borders = (number * np.arange(batches + 1)) // max(1, batches)
    upto = np.concatenate([[0], np.cumsum(sizes[order])])
    return ClusterBatches(upto[borders].astype(np.int64), indices, codes)
