"""Uniform negatives that are no known positives: `random_negatives`."""

from typing import Any, SupportsIndex

from fastpair._array import ArrayLike
from fastpair._embeddings import check_count, check_flag
from fastpair._random import Seed
from fastpair._validate import parse_resources
from fastpair.mining._samples import SampledNegatives, drawn, parse_candidates
from fastpair.mining._streams import Streams

__all__ = ["random_negatives"]


def random_negatives(
    n_items: SupportsIndex,
    k: SupportsIndex = 1,
    *,
    positives: ArrayLike | Any = None,
    labels: ArrayLike | tuple[ArrayLike, ArrayLike] | None = None,
    n_rows: SupportsIndex | None = None,
    replace: bool = False,
    seed: Seed = None,
    max_memory: SupportsIndex | None = None,
) -> SampledNegatives:
    r"""Draw uniform random negatives for each row, never one of its known positives.

    Parameters
    ----------
    n_items : int
        How many items there are; negatives are integers from 0 to below it.
    k : int
        How many negatives to draw for each row.
    positives : tuple, list of lists, sparse or array_like of int, optional
        The known positives of each row: compressed rows as a tuple ``(indptr, indices)``, a list of n lists, the stored
        positions of an (n, m) sparse matrix of scipy, an integer array of shape (n, c) in which -1 is none, or one
        integer for each row, shape (n,).
    labels : array_like or tuple of two, optional
        Items of the label of a row are no negatives of it: one array for rows and items that are the same set, then a
        row is no negative of itself either; or a tuple ``(labels of rows, labels of items)``.
    n_rows : int, optional
        How many rows there are, where neither `positives` nor `labels` says so.
    replace : bool
        Whether a row may get the same negative several times.
    seed : int, numpy.random.Generator or None
        Where the draws begin; None takes fresh ones.
    max_memory : int, optional
        The most bytes of scratch for draws, beside input, output and the order of items that labels need; by default
        64 MiB, or what one row needs. It changes no result.

    Returns
    -------
    SampledNegatives
        The named tuple ``(indices, counts)``: int64 of shape (n, k), in random order, and int64 of shape (n,). A row
        with fewer than k negatives gets all of them; with `replace` only one that has none gets less than k. Unused
        places at the end of a row are -1.

    Raises
    ------
    TypeError
        If positives are no integers, or an option has the wrong type.
    ValueError
        If positives or labels do not go with the numbers of rows and items.

    See Also
    --------
    fastpair.mining.unigram_negatives : Negatives in proportion to a power of their counts.
    fastpair.mining.semihard_pool : Negatives from those that are near.

    Notes
    -----
    All negatives of a row are equally likely. What is drawn are ranks among the items that the row may get, and known
    positives are stepped over, so nothing is drawn in vain and there is no loop to wait for: without replacement by
    Floyd's algorithm [1]_, k draws for k ranks, or for large k by random keys of all ranks. Each row has a stream of
    random numbers of its own, so the result for a row depends on the seed, the row's number and its own candidates.

    Cost: O(n k²) for small k, for all that is known O(p log p), and O(m log m) with labels; n m only where k² is
    larger than 64 m. Peak extra memory: `max_memory` beside compressed rows of what is known.

    References
    ----------
    .. [1] J. Bentley and R. W. Floyd (1987). Programming pearls: a sample of brilliance. Communications of the ACM 30.
    .. [2] Deep learning applied to image and text matching, which draws random negatives beside each positive pair.

    Examples
    --------
    >>> from fastpair import mining
    >>> negatives = mining.random_negatives(5, 3, positives=[[0, 1], [4], [0, 1, 2, 3]], seed=1)
    >>> negatives.indices
    array([[ 3,  4,  2],
           [ 2,  0,  3],
           [ 4, -1, -1]])
    >>> negatives.counts
    array([3, 3, 1])

    Rows of one set with labels:

    >>> mining.random_negatives(4, labels=["a", "a", "b", "b"], seed=0).indices.ravel()
    array([2, 3, 1, 0])
    """
    items = check_count(n_items, "n_items", 0)
    wanted = check_count(k, "k", 0)
    again = check_flag(replace, "replace")
    rows = None if n_rows is None else check_count(n_rows, "n_rows", 0)
    resources = parse_resources(None, max_memory)
    streams = Streams(seed)
    candidates = parse_candidates(items, positives, labels, rows, "n_rows")
    return drawn(streams, candidates, wanted, again, resources)
