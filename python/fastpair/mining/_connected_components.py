"""Clusters of what accepted pairs connect: `connected_components`."""

from typing import SupportsIndex, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import ArrayLike, array_of
from fastpair._embeddings import check_count

__all__ = ["connected_components"]

_Ints: TypeAlias = npt.NDArray[np.int64]


def connected_components(pairs: ArrayLike, n: SupportsIndex) -> _Ints:
    r"""Label each of n items with the cluster that pairs connect it to.

    Parameters
    ----------
    pairs : array_like, shape (p, 2)
        Pairs of items that belong together, integers from 0 to n - 1, in any order and direction.
    n : int
        How many items there are.

    Returns
    -------
    ndarray of int64, shape (n,)
        The cluster of each item. Clusters are numbered from 0 in the order of their lowest members; an item without a
        pair is a cluster of its own.

    Raises
    ------
    TypeError
        If pairs or n are not integers.
    ValueError
        If pairs have another shape, or an item does not exist.

    See Also
    --------
    fastpair.radius : All pairs that are near enough.

    Notes
    -----
    Every item points to a lower one of its cluster. Each round lets the roots of paired items point to the lower of
    both, and then shortens all ways to their roots, until no pair has two roots.

    Cost: O(n + p) for each round, of which there are few: commonly less than log n. Extra memory: O(n + p).

    References
    ----------
    .. [1] B. A. Galler and M. J. Fischer (1964). An improved equivalence algorithm. Communications of the ACM 7.
    .. [2] Robust table integration in data lakes, where clusters come from pairs that a model accepts.

    Examples
    --------
    >>> import fastpair
    >>> fastpair.mining.connected_components([[4, 1], [0, 2], [1, 3]], 6)
    array([0, 1, 0, 1, 1, 2])
    """
    array, count = array_of(pairs, "pairs"), check_count(n, "n", 0)
    if array.size == 0 and array.ndim == 1:
        array = np.zeros((0, 2), np.int64)
    if array.ndim != 2 or array.shape[1] != 2:
        raise ValueError(f"pairs has shape {array.shape}; pass shape (p, 2), two items for each pair")
    if array.dtype.kind not in "iu" and array.size:
        raise TypeError(f"pairs has dtype {array.dtype}; pass integers, the indices of items")
    strange = (array < 0) | (array >= count)
    if strange.any():
        row = int(strange.any(axis=1).argmax())
        raise ValueError(f"pairs is {array[row].tolist()} at index {row}; pass items from 0 to n - 1 = {count - 1}")
    left, right = array[:, 0].astype(np.int64), array[:, 1].astype(np.int64)
    roots = np.arange(count)
    while True:
        left, right = roots[left], roots[right]
        apart = left != right
        if not apart.any():
            break
        left, right = left[apart], right[apart]
        np.minimum.at(roots, np.maximum(left, right), np.minimum(left, right))
        while True:
            shorter = roots[roots]
            if (shorter == roots).all():
                break
            roots = shorter
    return np.unique(roots, return_inverse=True)[1].reshape(-1).astype(np.int64)
