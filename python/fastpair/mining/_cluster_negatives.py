"""Negatives of the same or of neighbouring clusters: `same_cluster_mask` and `cluster_negatives`."""

from typing import Any, Literal, SupportsIndex, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import ArrayLike, array_of
from fastpair._embeddings import check_count, check_flag
from fastpair._random import Seed
from fastpair._validate import parse_resources
from fastpair.mining._formats import CompressedRows, Coordinates, check_format, index_dtype
from fastpair.mining._nearest import with_own
from fastpair.mining._samples import Candidates, SampledNegatives, chunks, drawn, parse_known, parse_sides
from fastpair.mining._streams import Streams

__all__ = ["cluster_negatives", "same_cluster_mask"]

_Array: TypeAlias = npt.NDArray[Any]
_Ints: TypeAlias = npt.NDArray[np.int64]

MaskFormat: TypeAlias = Literal["mask", "bits", "csr", "coo"]
FORMATS = ("mask", "bits", "csr", "coo")
MOST_CELLS = 1 << 22
"""Pairs that are packed into bits at a time."""


def same_cluster_mask(clusters: ArrayLike, *, format: MaskFormat = "mask") -> Any:
    r"""Mark the pairs whose items are in the same cluster in every stage.

    Parameters
    ----------
    clusters : array_like, shape (stages, n) or (n,)
        The cluster of each item in each earlier stage, integers or strings; one dimension is a single stage. Numbers
        of clusters of different stages have nothing to do with each other. Without stages all pairs are allowed.
    format : {"mask", "bits", "csr", "coo"}
        What to return: all pairs as bool or as packed bits, or the allowed ones as compressed rows or coordinates.

    Returns
    -------
    ndarray, CompressedRows or Coordinates
        The pairs that may be negatives: bool of shape (n, n); uint8 of shape (n, ceil(n / 8)) as of
        ``numpy.packbits(mask, axis=1)``; or the named tuples ``(indptr, indices)`` and ``(rows, columns)``, ascending.
        An item is never paired with itself.

    Raises
    ------
    TypeError
        If clusters cannot be compared.
    ValueError
        If clusters have no or more than two dimensions or are NaN, or the format is unknown.

    See Also
    --------
    fastpair.mining.cluster_negatives : A sample of such pairs.
    fastpair.losses.info_nce : Takes the mask as ``neg_mask=``.

    Notes
    -----
    With the cluster :math:`c_t(i)` of item i in stage t, the pair (i, j) is allowed if :math:`c_t(i) = c_t(j)` for all
    t and :math:`i \ne j`: items that earlier stages could not tell apart are left to tell apart by other features. Each
    number of a cluster counts as one, -1 too. Any stage that is added takes pairs away, never adds one.

    Cost: O(T n log n) for T stages, and the size of the output. Peak extra memory: O(n), for "bits" some MiB.

    References
    ----------
    .. [1] J. Zhang et al. (2024). Learning the unlearned: mitigating feature suppression in contrastive learning. ECCV.

    Examples
    --------
    >>> from fastpair import mining
    >>> mining.same_cluster_mask([[0, 0, 1, 0], [5, 5, 5, 7]])
    array([[False,  True, False, False],
           [ True, False, False, False],
           [False, False, False, False],
           [False, False, False, False]])
    >>> mining.same_cluster_mask([0, 0, 1, 0], format="csr")
    CompressedRows(indptr=array([0, 2, 4, 4, 6]), indices=array([1, 3, 0, 3, 0, 1], dtype=int32))
    """
    check_format(format, FORMATS)
    codes = _stage_codes(clusters)
    count = len(codes)
    if format == "mask":
        mask: _Array = codes[:, np.newaxis] == codes
        np.fill_diagonal(mask, False)
        return mask
    if format == "bits":
        bits = np.zeros((count, -(-count // 8)), np.uint8)
        for part in chunks(count, MOST_CELLS // max(1, count)):
            same = codes[part, np.newaxis] == codes
            own = np.arange(part.start, part.stop)
            same[own - part.start, own] = False
            bits[part] = np.packbits(same, axis=1)
        return bits
    starts, columns = _members_of_own(codes)
    if format == "csr":
        return CompressedRows(starts, columns)
    rows = np.repeat(np.arange(count, dtype=columns.dtype), np.diff(starts))
    return Coordinates(rows, columns)


def cluster_negatives(
    clusters: ArrayLike | tuple[ArrayLike, ArrayLike],
    k: SupportsIndex = 1,
    *,
    neighbors: ArrayLike | None = None,
    include_own: bool = True,
    positives: ArrayLike | Any = None,
    replace: bool = False,
    seed: Seed = None,
    max_memory: SupportsIndex | None = None,
) -> SampledNegatives:
    r"""Sample negatives of each row from its own cluster, or from neighbouring ones.

    Parameters
    ----------
    clusters : array_like of shape (n,), or tuple of two
        The cluster of each item: one array where rows are the items themselves, and then a row is no negative of
        itself; or ``(clusters of rows, clusters of items)``. Integers or strings; with `neighbors` numbers of its rows.
    k : int
        How many negatives to draw for each row.
    neighbors : array_like of int, shape (c, p), optional
        The clusters next to each of c clusters, such as ``fastpair.topk(centroids, k=p, exclude_self=True).indices``;
        -1 is none. Their items are negatives too.
    include_own : bool
        Whether items of the row's own cluster are negatives. False needs `neighbors`.
    positives : tuple, list of lists, sparse or array_like of int, optional
        The known positives of each row, which it never gets, as `random_negatives` takes them.
    replace : bool
        Whether a row may get the same negative several times.
    seed : int, numpy.random.Generator or None
        Where the draws begin; None takes fresh ones.
    max_memory : int, optional
        The most bytes of scratch for draws, beside input, output and the order of items; by default 64 MiB, or what
        one row needs. It changes no result.

    Returns
    -------
    SampledNegatives
        The named tuple ``(indices, counts)``: int64 of shape (n, k), in random order, and int64 of shape (n,). A row
        whose clusters have fewer than k admissible items gets all of them; unused places at the end are -1.

    Raises
    ------
    TypeError
        If clusters cannot be compared, neighbours are no integers, or an option has the wrong type.
    ValueError
        If shapes do not match, or clusters or neighbours name clusters that do not exist.

    See Also
    --------
    fastpair.mining.cluster_batches : Batches of clusters, whose negatives are the rest of the batch.
    fastpair.mining.random_negatives : The same over all items.

    Notes
    -----
    All admissible items of a row's clusters are equally likely, so large clusters give more of them. A cluster that is
    named twice counts once. What is drawn are ranks among the admissible items, as in `random_negatives`, so it ends
    whatever is excluded.

    Cost: O(m log m) to order the items, O(n k²) for the draws for small k, and O(n p log p) for the clusters of a row.
    Peak extra memory: 16 n (p + 1) bytes beside `max_memory`.

    References
    ----------
    .. [1] LEMON: language model for negative sampling of knowledge graph embeddings.
    .. [2] MeVer at CheckThat! 2026: cluster-aware hard-negative mining for multilingual scientific-source retrieval.

    Examples
    --------
    >>> from fastpair import mining
    >>> mining.cluster_negatives([0, 0, 0, 1, 1, 2], 2, seed=0).indices
    array([[ 1,  2],
           [ 2,  0],
           [ 1,  0],
           [ 4, -1],
           [ 3, -1],
           [-1, -1]])
    >>> mining.cluster_negatives([0, 0, 0, 1, 1, 2], neighbors=[[2], [0], [1]], include_own=False, seed=0).indices.T
    array([[5, 5, 5, 1, 1, 4]])
    """
    wanted, own = check_count(k, "k", 0), check_flag(include_own, "include_own")
    again = check_flag(replace, "replace")
    resources = parse_resources(None, max_memory)
    if not own and neighbors is None:
        raise ValueError("include_own=False without neighbors leaves no cluster to draw from; pass neighbors")
    if neighbors is None:
        of_rows, of_items, same = parse_sides(clusters, "clusters", None, None)
        reachable = of_rows[:, np.newaxis]
    else:
        of_rows, of_items, same = _numbered_sides(clusters)
        reachable = _reachable(of_rows, of_items, array_of(neighbors, "neighbors"), own)
    known = parse_known(positives, len(of_rows), len(of_items))
    order = np.argsort(of_items, kind="stable").astype(np.int64)
    in_order = of_items[order]
    begins = np.searchsorted(in_order, reachable, "left").astype(np.int64)
    ends = np.searchsorted(in_order, reachable, "right").astype(np.int64)
    ends = np.where(reachable < 0, begins, ends) if neighbors is not None else ends
    candidates = Candidates.build(order, begins, ends, with_own(known, len(of_items)) if same else known)
    return drawn(Streams(seed), candidates, wanted, again, resources)


def _stage_codes(clusters: ArrayLike) -> _Ints:
    """Return one code for each item: equal where all stages agree."""
    array = array_of(clusters, "clusters")
    if array.ndim not in (1, 2):
        raise ValueError(f"clusters has shape {array.shape}; pass (stages, n), or (n,) for a single stage")
    if array.dtype.kind in "fc" and np.isnan(array).any():
        raise ValueError("clusters holds NaN; pass integers or strings, a cluster for each item")
    stages = array[np.newaxis] if array.ndim == 1 else array
    codes = np.zeros(stages.shape[1], np.int64)
    for stage in stages:
        try:
            own = np.unique(stage, return_inverse=True)[1].reshape(-1)
        except TypeError as error:
            raise TypeError(f"clusters cannot be compared ({error}); pass integers or strings") from error
        # Both are below n, so that their combination cannot overflow.
        codes = np.unique(codes * (len(codes) + 1) + own, return_inverse=True)[1].reshape(-1).astype(np.int64)
    return codes


def _members_of_own(codes: _Ints) -> tuple[_Ints, _Array]:
    """Return for each item the others of the same code, as compressed rows."""
    count = len(codes)
    dtype = index_dtype(count)
    order = np.argsort(codes, kind="stable").astype(dtype)
    sizes = np.bincount(codes, minlength=1)
    firsts = np.cumsum(sizes) - sizes
    starts = np.zeros(count + 1, np.int64)
    np.cumsum(sizes[codes] - 1, out=starts[1:])
    columns = np.empty(int(starts[-1]), dtype)
    for item, (code, begin) in enumerate(zip(codes.tolist(), starts[:-1].tolist(), strict=True)):
        members = order[firsts[code] : firsts[code] + sizes[code]]
        columns[begin : begin + len(members) - 1] = members[members != item]
    return starts, columns


def _numbered_sides(clusters: Any) -> tuple[_Ints, _Ints, bool]:
    """Return numbers of clusters of rows and of items, and whether both are the same set."""
    parts = clusters if isinstance(clusters, tuple) and len(clusters) == 2 else (clusters,)
    arrays = [array_of(part, "clusters" if len(parts) == 1 else f"clusters[{i}]") for i, part in enumerate(parts)]
    for array in arrays:
        if array.ndim != 1:
            raise ValueError(f"clusters has shape {array.shape}; pass one dimension, a cluster for each item")
        if array.dtype.kind not in "iu" and array.size:
            raise TypeError(f"clusters has dtype {array.dtype}; with neighbors pass integers, rows of neighbors")
    return arrays[0].astype(np.int64), arrays[-1].astype(np.int64), len(arrays) == 1


def _reachable(of_rows: _Ints, of_items: _Ints, neighbors: _Array, own: bool) -> _Ints:
    """Return the clusters that each row draws from, each once; -1 is none."""
    if neighbors.ndim != 2 or (neighbors.dtype.kind not in "iu" and neighbors.size):
        raise ValueError(
            f"neighbors has shape {neighbors.shape} and dtype {neighbors.dtype}; pass integers of shape (c, p), the "
            f"clusters next to each cluster"
        )
    count = len(neighbors)
    for numbers, name in ((of_rows, "clusters"), (of_items, "clusters")):
        if len(numbers) and (numbers.min() < 0 or numbers.max() >= count):
            strange = int(np.argmax((numbers < 0) | (numbers >= count)))
            raise ValueError(
                f"{name} is {numbers[strange]} at index {strange}, but neighbors has {count} rows; pass a row for each "
                f"cluster"
            )
    if neighbors.size and (neighbors.min() < -1 or neighbors.max() >= count):
        bad = np.argwhere((neighbors < -1) | (neighbors >= count))[0]
        raise ValueError(
            f"neighbors is {neighbors[tuple(bad)]} at row {bad[0]}, column {bad[1]}, but there are {count} clusters; "
            f"-1 is none"
        )
    near = neighbors.astype(np.int64)
    near = np.where(near == np.arange(count)[:, np.newaxis], -1, near)
    if own:
        near = np.concatenate([np.arange(count)[:, np.newaxis], near], axis=1)
    near = np.sort(near, axis=1)
    near[:, 1:][near[:, 1:] == near[:, :-1]] = -1
    return near[of_rows]
