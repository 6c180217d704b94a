"""Order of groups of similarities through a sorting network: `groco`."""

from typing import Any, SupportsIndex, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import ArrayLike, array_of
from fastpair._embeddings import check_count
from fastpair._sorting_network import soft_sort, soft_sort_vjp
from fastpair._validate import check_number
from fastpair.losses._embedding import (
    EmbeddingGrads,
    Pairs,
    SimilarityMetric,
    WeightNorm,
    parse_pairs,
    parse_rows_reduction,
)
from fastpair.losses._lists import OnEmpty, ReductionName
from fastpair.losses._tiles import reduce_tiles

__all__ = ["groco"]

_Array: TypeAlias = npt.NDArray[Any]
_Floats: TypeAlias = npt.NDArray[np.float64]
_Ints: TypeAlias = npt.NDArray[np.int64]
_Bools: TypeAlias = npt.NDArray[np.bool_]

LEAST_SHARE = np.exp(-100.0)
"""Smaller shares are cut off inside of logarithms."""
MOST_NUMBERS = 1 << 18
"""Numbers of permutations that exist at a time, for each layer of the network."""


def groco(
    x: ArrayLike | None = None,
    y: ArrayLike | None = None,
    positives: ArrayLike | None = None,
    *,
    labels: ArrayLike | None = None,
    similarities: ArrayLike | None = None,
    metric: SimilarityMetric = "cosine",
    n_negatives: SupportsIndex = 10,
    steepness: float = 1.0,
    ignore: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    weight_norm: WeightNorm = "count",
    on_empty: OnEmpty = "skip",
    reduction: ReductionName = "mean",
    return_grad: bool = False,
    grad_output: ArrayLike | None = None,
    num_threads: SupportsIndex | None = None,
    max_memory: SupportsIndex | None = None,
) -> Any:
    r"""Compute the group ordering loss: all positives are to be sorted behind all negatives.

    Parameters
    ----------
    x : array_like, shape (n, d), optional
        Embeddings of the anchors. Either x or `similarities` is needed.
    y : array_like, shape (m, d), optional
        What they are compared with; by default x itself, without the anchor.
    positives : array_like of bool, shape (n, m), optional
        Which pairs are positive. Either these or `labels` are needed.
    labels : array_like, shape (n,), optional
        Without y: pairs of equal labels are positive.
    similarities : array_like, shape (n, m), optional
        A matrix of similarities in place of embeddings.
    metric : {"cosine", "dot", "sqeuclidean", "euclidean"}
        The similarity of embeddings; that of a distance is minus the distance.
    n_negatives : int
        How many negatives of an anchor take part, the most similar ones, at least 1.
    steepness : float
        How sharply the network sorts, positive.
    ignore : array_like of bool, shape (n, m), optional
        Pairs that are neither positive nor negative.
    weights : array_like, shape (n,), optional
        A weight for each anchor, finite and not negative.
    weight_norm : {"count", "weights"}
        Whether the mean divides by the number of valid anchors or by the sum of their weights.
    on_empty : {"skip", "zero", "error"}
        What an anchor without a positive or a negative does: it is left out, counts with loss 0, or is refused.
    reduction : {"mean", "sum", "none"}
        Return the mean or the sum over anchors, or one value for each.
    return_grad : bool
        Return the gradients as well.
    grad_output : array_like, shape (n,), optional
        For ``reduction="none"`` with `return_grad`, which needs it: the gradient with respect to each value.
    num_threads : int, optional
        The most threads for similarities; by default `fastpair.get_num_threads`.
    max_memory : int, optional
        The most bytes of scratch for similarities beside input and output; by default 64 MiB.

    Returns
    -------
    value : numpy.float64 or ndarray
        The loss; for ``reduction="none"`` float64, shape (n,).
    grads : EmbeddingGrads
        With `return_grad`: the named tuple ``(x, y, temperature, similarities)``, in the shapes and dtypes of the
        inputs (float64 for integers), None for what was not given.

    Raises
    ------
    TypeError
        If a dtype cannot be used, or there is nothing that says which pairs are positive.
    ValueError
        If shapes do not match, a pair is positive and ignored, or an option is out of range.

    See Also
    --------
    fastpair.losses.smooth_ap : Average precision on smooth ranks.

    Notes
    -----
    The similarities of an anchor with its most similar negatives, then those with its positives, each in ascending
    order, pass an odd-even sorting network whose exchanges are softened by
    :math:`\frac12 + \frac1\pi \arctan(\beta \, (b - a))`. With :math:`X_{ij}` the share of the item i at rank j,
    :math:`p_i` is the sum over the ranks where the positives belong, the last ones. The loss of the anchor is the
    binary cross-entropy of :math:`p_i` against whether i is positive, mean over items; that of the other ranks is the
    same. Shares inside of logarithms are at least :math:`e^{-100}`. Which negatives are selected is a constant, and
    lowest columns come first among equal ones.

    Cost: O(n m d + n k³) for k items of an anchor. Extra memory: tiles of at most `max_memory`, and what the network
    has for a block of anchors.

    References
    ----------
    .. [1] N. Shvetsova, F. Petersen, A. Kukleva, B. Schiele and H. Kuehne (2023). Learning by sorting: self-supervised
       learning with group ordering constraints. ICCV.
    .. [2] F. Petersen, C. Borgelt, H. Kuehne and O. Deussen (2022). Monotonic differentiable sorting networks. ICLR.

    Examples
    --------
    >>> import fastpair
    >>> fastpair.losses.groco(similarities=[[0.1, 0.3, 0.8]], positives=[[False, False, True]]).round(6)
    np.float64(0.254756)
    """
    pairs = parse_pairs(x, y, similarities, metric, num_threads, max_memory)
    count = check_count(n_negatives, "n_negatives", 1)
    sharpness = check_number(steepness, "steepness", above=0)
    rows, columns = pairs.shape
    codes = None if labels is None else _parse_labels(labels, pairs)
    positive = None if positives is None else _parse_mask(positives, "positives", pairs.shape)
    if (codes is None) == (positive is None):
        raise TypeError("pass either positives= or labels=, which say what is positive")
    out = None if ignore is None else _parse_mask(ignore, "ignore", pairs.shape)
    within = pairs.within

    def roles(places: _Ints) -> tuple[_Bools, _Bools]:
        """Return which columns are positive and which negative."""
        good = codes[places, np.newaxis] == codes if codes is not None else positive[places]  # type: ignore[index]
        bad = ~good
        if out is not None:
            if positive is not None and (good & out[places]).any():
                raise ValueError("ignore is True for a pair that is positive")
            good, bad = good & ~out[places], bad & ~out[places]
        if within:
            own = np.arange(len(places)), places
            good[own], bad[own] = False, False
        return good, bad

    valid = np.zeros(rows, np.bool_)
    step = max(1, MOST_NUMBERS // max(columns, 1))
    for begin in range(0, rows, step):
        good, bad = roles(np.arange(begin, min(begin + step, rows)))
        valid[begin : begin + step] = good.any(axis=1) & bad.any(axis=1)
    how = parse_rows_reduction(
        rows,
        reduction=reduction,
        on_empty=on_empty,
        weights=weights,
        weight_norm=weight_norm,
        return_grad=return_grad,
        grad_output=grad_output,
    )

    def tile(scores: _Array, places: _Ints) -> tuple[Any, ...]:
        good, bad = roles(places)
        wide = scores.astype(np.float64)
        values, slopes = np.zeros(len(places)), np.zeros(wide.shape)
        chosen = np.minimum(np.count_nonzero(bad, axis=1), count), np.count_nonzero(good, axis=1)
        chosen[0][~valid[places]] = 0
        for few, many in {pair for pair in zip(*(sizes.tolist() for sizes in chosen), strict=True) if pair[0]}:
            own = np.flatnonzero((chosen[0] == few) & (chosen[1] == many))
            items = np.concatenate([_largest(wide[own], bad[own], few), _largest(wide[own], good[own], many)], axis=1)
            size = max(1, MOST_NUMBERS // (few + many) ** 2)
            for begin in range(0, len(own), size):
                at, picked = own[begin : begin + size, np.newaxis], items[begin : begin + size]
                losses, by_items = _group_order(wide[at, picked], few, sharpness, how.return_grad)
                values[at[:, 0]] = losses
                slopes[at, picked] = by_items
        return values, slopes

    value, sums = reduce_tiles(pairs, tile, how, valid, arrays=8)
    return (value, EmbeddingGrads(sums.x, sums.y, None, sums.similarities)) if how.return_grad else value


def _group_order(scores: _Floats, negatives: int, steepness: float, gradient: bool) -> tuple[_Floats, _Floats]:
    """Return the loss of each row of negatives and then positives, and its gradient."""
    sorted_rows = soft_sort(scores, steepness)
    behind = np.clip(sorted_rows.permutation[:, :, negatives:].sum(axis=2), 0, 1)
    before = np.clip(sorted_rows.permutation[:, :, :negatives].sum(axis=2), 0, 1)
    right = np.concatenate([before[:, :negatives], behind[:, negatives:]], axis=1)
    cut = np.maximum(right, LEAST_SHARE)
    values = -np.log(cut).mean(axis=1)
    if not gradient:
        return values, np.zeros_like(scores)
    upstream = np.zeros_like(sorted_rows.permutation)
    pull = np.where(right > LEAST_SHARE, -1 / (cut * scores.shape[1]), 0.0)
    upstream[:, :negatives, :negatives] = pull[:, :negatives, np.newaxis]
    upstream[:, negatives:, negatives:] = pull[:, negatives:, np.newaxis]
    return values, soft_sort_vjp(sorted_rows, upstream, steepness)


def _largest(scores: _Floats, allowed: _Bools, count: int) -> _Ints:
    """Return the columns of the largest allowed scores of each row, in ascending order of the scores."""
    order = np.argsort(np.where(allowed, -scores, np.inf), axis=1, kind="stable")
    return np.asarray(order[:, :count][:, ::-1])


def _parse_mask(mask: ArrayLike, argument: str, shape: tuple[int, int]) -> _Bools:
    array = array_of(mask, argument)
    if array.dtype != np.bool_ or array.shape != shape:
        raise ValueError(
            f"{argument} has shape {array.shape} and dtype {array.dtype}; pass a bool for each of the {shape} pairs"
        )
    return array


def _parse_labels(labels: ArrayLike, pairs: Pairs) -> _Ints:
    rows, columns = pairs.shape
    array = array_of(labels, "labels")
    if not pairs.within or array.shape != (rows,):
        raise ValueError(
            f"labels has shape {array.shape}; pass {rows} labels of the rows of x, without y and similarities, or "
            f"positives= of shape ({rows}, {columns})"
        )
    return np.unique(array, return_inverse=True)[1].astype(np.int64)
