"""Batches of items that are near each other: `neighbor_batches`."""

from typing import Any, SupportsIndex, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import ArrayLike, array_of
from fastpair._embeddings import Metric, are_largest_best, check_count, check_metric, two_sets
from fastpair._progress import Report
from fastpair._random import Seed, generator
from fastpair._validate import Resources, parse_resources
from fastpair.mining._nearest import nearest, with_own

__all__ = ["neighbor_batches"]

_Array: TypeAlias = npt.NDArray[Any]
_Ints: TypeAlias = npt.NDArray[np.int64]


def neighbor_batches(
    x: ArrayLike | None = None,
    y: ArrayLike | None = None,
    batch_size: SupportsIndex = 128,
    *,
    neighbors: ArrayLike | None = None,
    n_neighbors: SupportsIndex = 64,
    pool: SupportsIndex = 128,
    max_tries: SupportsIndex | None = 1024,
    metric: Metric = "cosine",
    seed: Seed = None,
    num_threads: SupportsIndex | None = None,
    max_memory: SupportsIndex | None = None,
    progress: bool | Report = False,
) -> _Ints:
    r"""Group items into batches of seeds and their near neighbours, each item once per epoch at most.

    Parameters
    ----------
    x : array_like, shape (n, d), optional
        An embedding of each item, or of its query where items are pairs. Either this or `neighbors` is needed.
    y : array_like, shape (n, d), optional
        The other embedding of each item, such as that of its reference: neighbours of item i are the rows of y that are
        nearest to row i of x, without its own. By default x itself.
    batch_size : int
        How many items a batch has.
    neighbors : array_like of int, shape (n, p), optional
        The neighbours of each item, nearest first, -1 for none, in place of embeddings: of an epoch before, or of
        other knowledge such as places on a map.
    n_neighbors : int
        How many neighbours a seed brings at most: half of them its nearest, half random ones of the rest of its pool.
    pool : int
        How many nearest neighbours of an item are its pool.
    max_tries : int or None
        After so many seeds in a row that are already in a batch the epoch ends; None tries every item.
    metric : {"cosine", "dot", "euclidean", "sqeuclidean", "manhattan", "hamming", "jaccard", "poincare", "lorentz"}
        What is near, for embeddings; the scores are those of `fastpair.topk`.
    seed : int, numpy.random.Generator or None
        Where the draws begin; None takes fresh ones.
    num_threads : int, optional
        The most threads of the search; by default `fastpair.get_num_threads`.
    max_memory : int, optional
        The most bytes of scratch of the search; by default 64 MiB, or what one row needs. It changes no result.
    progress : bool or callable
        True shows a bar of the search; a function is called as ``progress(done, total)``, in pairs.

    Returns
    -------
    ndarray, shape (b, batch_size)
        The items of each batch, int64: row i is what a loader takes as batch i. An incomplete last batch is left out,
        and so are its items.

    Raises
    ------
    TypeError
        If a dtype cannot be used, or an option has the wrong type.
    ValueError
        If both or neither of x and neighbors are given, x and y differ in their number of rows, or a neighbour does
        not exist.

    See Also
    --------
    fastpair.mining.cluster_batches : Batches of whole clusters.

    Notes
    -----
    Items are tried as seeds in random order. A seed that is in no batch yet joins the current one, followed by the
    first half of its pool, the ``n_neighbors // 2`` nearest, and by as many random ones of the remaining pool;
    neighbours that are in a batch already are passed over without replacement by others, and whoever finds the batch
    full stays free. Seeds follow until the batch is full.

    An epoch ends after all items have been tried once, so it always ends; and before that after `max_tries` seeds in a
    row that were used already, as in the reference implementation, which bounds the time for large n at the price of
    items that are left out. The reference also takes item 0 for a missing one, and never adds it as a neighbour; here
    it is an item like the others.

    Cost: the search of `fastpair.topk`, O(n² d), then O(n pool). Peak extra memory: 8 n pool bytes for the neighbours,
    and `max_memory`.

    References
    ----------
    .. [1] F. Deuser, K. Habel and N. Oswald (2023). Sample4Geo: hard negative sampling for cross-view geo-localisation.
       ICCV.

    Examples
    --------
    >>> from fastpair import mining
    >>> places = [[0.0], [1.0], [10.0], [11.0], [20.0], [21.0]]
    >>> mining.neighbor_batches(places, batch_size=2, n_neighbors=2, pool=2, metric="euclidean", seed=0)
    array([[3, 2],
           [5, 4],
           [0, 1]])
    """
    size, wanted = check_count(batch_size, "batch_size", 1), check_count(n_neighbors, "n_neighbors", 0)
    depth = check_count(pool, "pool", 0)
    tries = None if max_tries is None else check_count(max_tries, "max_tries", 1)
    name = check_metric(metric)
    resources = parse_resources(num_threads, max_memory)
    if (x is None) == (neighbors is None):
        state = "neither is" if x is None else "both are"
        raise ValueError(
            f"x or neighbors is needed, but {state} given; pass embeddings, or the neighbours of each item"
        )
    rng = generator(seed)
    if neighbors is not None:
        if y is not None:
            raise ValueError("y was given with neighbors, which say who is near; pass x and y, or neighbors")
        pools = _parse_neighbors(neighbors)[:, :depth]
    else:
        assert x is not None
        pools = _search(x, y, depth, name, resources, progress)
    return _grouped(pools, size, wanted // 2, tries, rng)


def _parse_neighbors(neighbors: ArrayLike) -> _Ints:
    array = array_of(neighbors, "neighbors")
    if array.ndim != 2 or (array.dtype.kind not in "iu" and array.size):
        raise ValueError(
            f"neighbors has shape {array.shape} and dtype {array.dtype}; pass integers of shape (n, p), the neighbours "
            f"of each item"
        )
    count = len(array)
    if array.size and (array.min() < -1 or array.max() >= count):
        row, column = (int(place) for place in np.argwhere((array < -1) | (array >= count))[0])
        raise ValueError(
            f"neighbors is {array[row, column]} at row {row}, column {column}, but there are {count} items; -1 is none"
        )
    return array.astype(np.int64)


def _search(
    x: ArrayLike, y: ArrayLike | None, depth: int, metric: str, resources: Resources, progress: bool | Report
) -> _Ints:
    rows, columns, single = two_sets(x, y, metric)
    if single:
        raise ValueError(f"x has shape {rows.shape[1:]}; pass two dimensions, a row for each item")
    if len(rows) != len(columns):
        raise ValueError(f"x has {len(rows)} rows but y has {len(columns)}; pass a row of both for each item")
    count = len(rows)
    depth = min(depth, max(0, count - 1))
    pools = np.full((count, depth), -1, np.int64)
    if depth:
        own = with_own((np.zeros(count + 1, np.int64), np.zeros(0, np.int64)), count)
        for part, best in nearest(
            *(rows, columns, depth, metric, are_largest_best(metric, None)),
            excluded=own,
            labels=None,
            row_bytes=0,
            resources=resources,
            progress=progress,
        ):
            pools[part] = best.indices
    return pools


def _grouped(pools: _Ints, size: int, half: int, tries: int | None, rng: np.random.Generator) -> _Ints:
    """Fill batches from seeds and their pools."""
    count = len(pools)
    used = np.zeros(count, np.bool_)
    batches: list[_Ints] = []
    current = np.empty(size, np.int64)
    filled = failed = 0
    for seed in rng.permutation(count).tolist():
        if used[seed]:
            failed += 1
            if tries is not None and failed >= tries:
                break
            continue
        failed = 0
        near = pools[seed]
        near = near[(near >= 0) & (near != seed)]
        far = near[half:]
        joined = np.concatenate([[seed], near[:half], far[rng.permutation(len(far))[:half]]])
        _, first = np.unique(joined, return_index=True)
        joined = joined[np.sort(first)]
        joined = joined[~used[joined]][: size - filled]
        used[joined] = True
        current[filled : filled + len(joined)] = joined
        filled += len(joined)
        if filled == size:
            batches.append(current.copy())
            filled = 0
    return np.array(batches, np.int64).reshape(-1, size)
