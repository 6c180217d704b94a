"""Which anchors or queries belong to which true boxes: `atss_mask` and `iou_assign`."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, SupportsIndex, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import ArrayLike, array_of
from fastpair._embeddings import check_count, check_flag
from fastpair._validate import check_number
from fastpair.mining._formats import CompressedRows, index_dtype
from fastpair.mining._values import blocks, finite

__all__ = ["atss_mask", "iou_assign"]

_Floats: TypeAlias = npt.NDArray[np.float64]
_Ints: TypeAlias = npt.NDArray[np.int64]
_Bools: TypeAlias = npt.NDArray[np.bool_]


def atss_mask(
    anchors: ArrayLike,
    boxes: ArrayLike,
    *,
    level_sizes: Sequence[int] | None = None,
    k: SupportsIndex = 9,
    anchors_per_location: SupportsIndex = 1,
    min_side: float = 0.01,
) -> _Ints:
    r"""Assign anchors to true boxes by thresholds that adapt to each box (ATSS).

    Parameters
    ----------
    anchors : array_like, shape (n, 4)
        Anchors as corners ``(x1, y1, x2, y2)``, level after level.
    boxes : array_like, shape (m, 4)
        True boxes.
    level_sizes : sequence of int, optional
        How many anchors each level of the pyramid has; their sum is n. By default there is one level.
    k : int
        How many locations of a level are candidates for a box, at least 1.
    anchors_per_location : int
        How many anchors share a location, at least 1: so many times k anchors of a level are candidates.
    min_side : float
        How far inside a box, in its units, the centre of an anchor must be from each side; not negative.

    Returns
    -------
    ndarray of int64, shape (n,)
        The box that each anchor is positive for, -1 for negatives.

    Raises
    ------
    TypeError
        If a dtype cannot be used, or an option is not a number.
    ValueError
        If a corner is NaN or infinite, corners are in the wrong order, or an option is out of range.

    See Also
    --------
    fastpair.mining.iou_assign : One threshold for all.

    Notes
    -----
    For each box, the anchors of each level with the nearest centres are candidates. An anchor is positive for it if it
    is a candidate, its overlap (intersection over union) is at least the mean plus the standard deviation (unbiased, 0
    for a single one) of those of all candidates, and its centre is more than `min_side` inside the box. An anchor that
    is positive for several boxes takes the one with the highest overlap. Equal distances and overlaps go to the lowest
    index. Boxes have continuous corners: the width is :math:`x_2 - x_1`, where some detectors add 1.

    Cost: O(n m). Extra memory: some MiB, or some rows of n numbers.

    References
    ----------
    .. [1] S. Zhang, C. Chi, Y. Yao, Z. Lei and S. Z. Li (2020). Bridging the gap between anchor-based and anchor-free
       detection via adaptive training sample selection. CVPR.

    Examples
    --------
    >>> import fastpair
    >>> anchors = [[0, 0, 2, 2], [2, 0, 4, 2], [4, 0, 6, 2]]
    >>> fastpair.mining.atss_mask(anchors, [[2, 0, 4, 2]])
    array([-1,  0, -1])
    """
    spots, truths = _boxes(anchors, "anchors"), _boxes(boxes, "boxes")
    wanted = check_count(k, "k", 1) * check_count(anchors_per_location, "anchors_per_location", 1)
    inside = check_number(min_side, "min_side", least=0)
    borders = _borders(level_sizes, len(spots))
    centres = (spots[:, :2] + spots[:, 2:]) / 2
    middles = (truths[:, :2] + truths[:, 2:]) / 2
    assigned, best = np.full(len(spots), -1), np.full(len(spots), -1.0)
    for rows in blocks(len(truths), len(spots)):
        distances = ((middles[rows, np.newaxis] - centres) ** 2).sum(axis=2)
        levels = [_nearest(distances[:, begin:end], wanted) for begin, end in pairwise(borders)]
        line, anchor = np.nonzero(np.concatenate(levels, axis=1))
        box = line + rows.start
        overlap = _overlap(spots[anchor], truths[box])
        good = overlap >= _thresholds(overlap, line, len(distances))[line]
        sides = np.concatenate([centres[anchor] - truths[box, :2], truths[box, 2:] - centres[anchor]], axis=1)
        good &= sides.min(axis=1, initial=np.inf) > inside
        box, anchor, overlap = box[good], anchor[good], overlap[good]
        order = np.lexsort((box, -overlap, anchor))
        firsts = order[np.flatnonzero(np.diff(anchor[order], prepend=-1))]
        firsts = firsts[overlap[firsts] > best[anchor[firsts]]]
        assigned[anchor[firsts]], best[anchor[firsts]] = box[firsts], overlap[firsts]
    return assigned


def _nearest(distances: _Floats, wanted: int) -> _Bools:
    """Return which columns are the nearest of each row; of equally near ones the first."""
    width = distances.shape[1]
    if width <= wanted:
        return np.ones(distances.shape, np.bool_)
    limit = np.partition(distances, wanted - 1, axis=1)[:, wanted - 1 : wanted]
    near, level = distances < limit, distances == limit
    room = wanted - np.count_nonzero(near, axis=1)[:, np.newaxis]
    chosen: _Bools = near | (level & (np.cumsum(level, axis=1) <= room))
    return chosen


def _thresholds(overlap: _Floats, box: _Ints, count: int) -> _Floats:
    """Return mean plus standard deviation for each box."""
    sizes = np.bincount(box, minlength=count)
    highest = np.zeros(count)
    np.maximum.at(highest, box, overlap)
    # Differences from the highest have an exact mean where all are equal.
    below = np.bincount(box, weights=overlap - highest[box], minlength=count) / np.maximum(sizes, 1)
    mean = highest + below
    squares = np.bincount(box, weights=(overlap - mean[box]) ** 2, minlength=count)
    return np.asarray(mean + np.sqrt(squares / np.maximum(sizes - 1, 1)))


def _overlap(a: _Floats, b: _Floats) -> _Floats:
    """Return intersection over union of the boxes in each row, 0 where both are empty."""
    sides = np.maximum(np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2]), 0)
    common = sides.prod(axis=1)
    union = (a[:, 2:] - a[:, :2]).prod(axis=1) + (b[:, 2:] - b[:, :2]).prod(axis=1) - common
    return np.asarray(np.divide(common, union, out=np.zeros(len(a)), where=union > 0))


def _boxes(values: ArrayLike, argument: str) -> _Floats:
    if np.shape(array_of(values, argument)) == (0,):
        return np.zeros((0, 4))
    corners = finite(values, argument, 2)
    if corners.shape[1] != 4:
        raise ValueError(f"{argument} has shape {corners.shape}; pass four columns: x1, y1, x2, y2")
    turned = (corners[:, :2] > corners[:, 2:]).any(axis=1)
    if turned.any():
        row = int(turned.argmax())
        raise ValueError(f"{argument} is {corners[row].tolist()} at index {row}; pass x1 <= x2 and y1 <= y2")
    return corners


def _borders(level_sizes: Any, count: int) -> list[int]:
    if level_sizes is None:
        return [0, count]
    try:
        sizes = [check_count(size, f"level_sizes[{level}]", 0) for level, size in enumerate(level_sizes)]
    except TypeError as error:
        raise TypeError(f"level_sizes must be a sequence of integers: {error}") from None
    if not sizes or sum(sizes) != count:
        raise ValueError(
            f"level_sizes adds up to {sum(sizes)}, but there are {count} anchors; pass the sizes of levels"
        )
    return [0, *np.cumsum(sizes).tolist()]


def iou_assign(
    overlaps: ArrayLike,
    *,
    threshold: float | None = None,
    k: SupportsIndex | None = None,
    unique: bool = False,
) -> CompressedRows:
    r"""Assign each truth to all queries that overlap it enough, or to the k that do so most.

    Parameters
    ----------
    overlaps : array_like, shape (m, n)
        The overlap (intersection over union) of each truth, a row, with each query. For relations of two boxes, the
        smaller one of their overlaps.
    threshold : float, optional
        The least overlap.
    k : int, optional
        The most queries of a truth, those with the highest overlaps. At least one of both is needed.
    unique : bool
        Whether a query belongs to one truth at most, that of its highest overlap.

    Returns
    -------
    CompressedRows
        The named tuple ``(indptr, indices)``: the queries of truth i are ``indices[indptr[i]:indptr[i + 1]]``,
        ascending.

    Raises
    ------
    TypeError
        If a dtype cannot be used, or an option is not a number.
    ValueError
        If an overlap is NaN or infinite, or neither a threshold nor k is given.

    See Also
    --------
    fastpair.mining.atss_mask : A threshold for each box.

    Notes
    -----
    With both options, a truth gets the k best of the queries that reach the threshold. Equal overlaps go to the lowest
    index. With `unique`, a query is taken from all truths but one after these have chosen; they get no other instead.

    Cost: O(m n). Extra memory: some MiB beside the result, or some rows of n numbers.

    References
    ----------
    .. [1] M. Chen et al. (2025). Hydra-SGG: hybrid relation assignment for one-stage scene graph generation. ICLR.

    Examples
    --------
    >>> import fastpair
    >>> fastpair.mining.iou_assign([[0.9, 0.6, 0.0], [0.1, 0.7, 0.5]], threshold=0.5)
    CompressedRows(indptr=array([0, 2, 4]), indices=array([0, 1, 1, 2], dtype=int32))
    >>> fastpair.mining.iou_assign([[0.9, 0.6, 0.0], [0.1, 0.7, 0.5]], threshold=0.5, unique=True).indices
    array([0, 1, 2], dtype=int32)
    """
    scores = finite(overlaps, "overlaps", 2)
    if threshold is None and k is None:
        raise ValueError("threshold and k are both None; pass the least overlap, the number of queries, or both")
    least = None if threshold is None else check_number(threshold, "threshold")
    most = None if k is None else check_count(k, "k", 1)
    check_flag(unique, "unique")
    truths, queries = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for rows in blocks(scores.shape[0], scores.shape[1]):
        block = scores[rows]
        chosen = np.ones(block.shape, np.bool_) if least is None else block >= least
        if most is not None:
            chosen &= _nearest(-block, most)  # what reaches the threshold is best, so the order of both is free
        truth, query = np.nonzero(chosen)
        truths.append(truth + rows.start)
        queries.append(query)
    truth, query = np.concatenate(truths), np.concatenate(queries)
    if unique:
        order = np.lexsort((truth, -scores[truth, query], query))
        firsts = np.sort(order[np.flatnonzero(np.diff(query[order], prepend=-1))])
        truth, query = truth[firsts], query[firsts]
    indptr = np.zeros(scores.shape[0] + 1, np.int64)
    np.cumsum(np.bincount(truth, minlength=scores.shape[0]), out=indptr[1:])
    return CompressedRows(indptr, query.astype(index_dtype(scores.shape[1])))
