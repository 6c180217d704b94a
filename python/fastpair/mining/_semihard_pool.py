"""Negatives sampled from a pool of near (or far) rows of a bank: `semihard_pool`."""

from typing import Any, Literal, SupportsIndex, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import ArrayLike
from fastpair._embeddings import Metric, are_largest_best, check_count, check_metric, two_sets
from fastpair._progress import Report
from fastpair._random import Seed
from fastpair._validate import Resources, check_choice, parse_resources
from fastpair.mining._nearest import nearest, with_own
from fastpair.mining._samples import (
    Candidates,
    SampledNegatives,
    drawn,
    one_stretch,
    other_labels,
    parse_known,
    parse_sides,
)
from fastpair.mining._shares import check_finite
from fastpair.mining._streams import Streams, distinct_ranks

__all__ = ["semihard_pool"]

_Array: TypeAlias = npt.NDArray[Any]
_Ints: TypeAlias = npt.NDArray[np.int64]

PoolMode: TypeAlias = Literal["random", "hard", "semihard", "semieasy"]
MODES = ("random", "hard", "semihard", "semieasy")


def semihard_pool(
    x: ArrayLike,
    y: ArrayLike | None = None,
    n_neg: SupportsIndex = 16_384,
    *,
    mode: PoolMode = "semihard",
    pool: SupportsIndex = 128_000,
    labels: ArrayLike | tuple[ArrayLike, ArrayLike] | None = None,
    exclude: ArrayLike | Any = None,
    metric: Metric = "cosine",
    seed: Seed = None,
    num_threads: SupportsIndex | None = None,
    max_memory: SupportsIndex | None = None,
    progress: bool | Report = False,
) -> SampledNegatives:
    r"""Sample negatives of each row uniformly from the best or the worst ranked rows of a bank.

    Parameters
    ----------
    x : array_like, shape (n, d)
        Anchors: floats of 16 to 64 bits, or integers; bits for the metrics of bits.
    y : array_like, shape (m, d), optional
        The bank. By default x itself, and then a row is no negative of itself.
    n_neg : int
        How many negatives to return for each row.
    mode : {"semihard", "hard", "semieasy", "random"}
        Where negatives come from: a uniform sample of the `pool` nearest; the `n_neg` nearest themselves; a uniform
        sample of the `pool` farthest; a uniform sample of the whole bank.
    pool : int
        How many rows a pool has, at least `n_neg`, for "semihard" and "semieasy"; all that are admissible if the bank
        has fewer.
    labels : array_like or tuple of two, optional
        Pairs of the same label are no negatives: one array for both sets, or ``(labels of x, labels of y)``.
    exclude : tuple, list of lists, sparse or array_like of int, optional
        Rows of y that are no negatives of each row of x, as `fastpair.topk` takes them; also one for each row.
    metric : {"cosine", "dot", "euclidean", "sqeuclidean", "manhattan", "hamming", "jaccard", "poincare", "lorentz"}
        What is near: a large similarity, a small distance; the scores are those of `fastpair.topk`.
    seed : int, numpy.random.Generator or None
        Where the draws begin; None takes fresh ones.
    num_threads : int, optional
        The most threads of the search; by default `fastpair.get_num_threads`.
    max_memory : int, optional
        The most bytes of scratch beside input and output; by default 64 MiB, or what one row needs. It changes no
        result.
    progress : bool or callable
        True shows a bar; a function is called as ``progress(done, total)``, in pairs.

    Returns
    -------
    SampledNegatives
        The named tuple ``(indices, counts)``: int64 of shape (n, n_neg), nearest first for "hard", in random order
        otherwise, and int64 of shape (n,). A row with fewer admissible rows in its pool gets all of them; unused places
        at the end are -1.

    Raises
    ------
    TypeError
        If a dtype cannot be used, or an option has the wrong type.
    ValueError
        If shapes do not match, an embedding is NaN or infinite, a pool is smaller than `n_neg`, or an option is
        unknown.

    See Also
    --------
    fastpair.mining.hard_mask : Semi-hard by a margin in place of a rank.
    fastpair.mining.random_negatives : Uniform negatives without embeddings.

    Notes
    -----
    Pools are ranked among admissible rows alone, ties by the lowest index; samples are without replacement. With a pool
    of the whole bank "semihard" is uniform, with ``pool=n_neg`` it has the negatives of "hard". Nothing is drawn until
    it fits: a pool of nothing but the row's own label ends with an empty row, where drawing again would never end.

    Cost: the search of `fastpair.topk` for `pool` rows, O(n m d), and O(n pool log pool). Peak extra memory:
    `max_memory`, which has room for a pool of a few rows at least.

    References
    ----------
    .. [1] J. Xie et al. (2022). Delving into inter-image invariance for unsupervised visual representations.
       International Journal of Computer Vision.

    Examples
    --------
    >>> from fastpair import mining
    >>> bank = [[1.0, 0.0], [0.9, 0.1], [0.5, 0.5], [0.0, 1.0], [-1.0, 0.0]]
    >>> mining.semihard_pool([[1.0, 0.0]], bank, 2, mode="hard", labels=([0], [0, 1, 1, 1, 1])).indices
    array([[1, 2]])
    >>> mining.semihard_pool([[1.0, 0.0]], bank, 2, pool=3, seed=1, labels=([0], [0, 1, 1, 1, 1])).indices
    array([[2, 3]])
    """
    name = check_metric(metric)
    wanted, size = check_count(n_neg, "n_neg", 1), check_count(pool, "pool", 1)
    check_choice(mode, "mode", MODES)
    if mode in ("semihard", "semieasy") and size < wanted:
        raise ValueError(f"pool is {size}, smaller than n_neg={wanted}; pass a pool of at least that many rows")
    resources = parse_resources(num_threads, max_memory)
    rows, columns, single = two_sets(x, y, name)
    if single:
        raise ValueError(f"x has shape {rows.shape[1:]}; pass two dimensions; one row is x.reshape(1, -1)")
    shape = len(rows), len(columns)
    codes = None if labels is None else parse_sides(labels, "labels", *shape)[:2]
    known = parse_known(exclude, *shape, "exclude", {"x": "x", "y": "y"})
    if y is None:
        known = with_own(known, shape[1])
    streams = Streams(seed)
    if mode == "random":  # without a search that would find such numbers
        check_finite(rows, "x")
        check_finite(columns, "y")
        return _random(streams, shape, codes, known, wanted, resources)
    found = min(wanted if mode == "hard" else size, max(1, shape[1]))
    largest = are_largest_best(name, None) != (mode == "semieasy")
    indices = np.full((shape[0], wanted), -1, np.int64)
    counts = np.zeros(shape[0], np.int64)
    for part, best in nearest(
        *(rows, columns, found, name, largest),
        excluded=known,
        labels=codes,
        row_bytes=8 * (8 * wanted + (0 if mode == "hard" else 4 * found)),
        resources=resources,
        progress=progress,
    ):
        there = np.count_nonzero(best.indices >= 0, axis=1).astype(np.int64)
        counts[part] = np.minimum(there, wanted)
        if mode == "hard":
            indices[part, :found] = best.indices
            continue
        ranks = distinct_ranks(streams, np.arange(part.start, part.stop), there, wanted)
        taken = np.take_along_axis(best.indices, np.maximum(ranks, 0), 1)
        indices[part] = np.where(ranks >= 0, taken, -1)
    return SampledNegatives(indices, counts)


def _random(
    streams: Streams,
    shape: tuple[int, int],
    codes: tuple[_Ints, _Ints] | None,
    known: tuple[_Ints, _Ints],
    wanted: int,
    resources: Resources,
) -> SampledNegatives:
    """Sample the whole bank."""
    order, stretches = None, one_stretch(*shape)
    if codes is not None:
        order, *others = other_labels(*codes)
        stretches = others[0], others[1]
    candidates = Candidates.build(order, *stretches, known)
    return drawn(streams, candidates, wanted, False, resources)
