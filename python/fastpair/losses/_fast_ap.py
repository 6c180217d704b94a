"""Average precision from soft histograms of the scores: `fast_ap`."""

from typing import Any, SupportsIndex, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import ArrayLike
from fastpair._embeddings import check_count
from fastpair._labels import Label
from fastpair._validate import check_num_threads, check_number
from fastpair.losses._items import parse_items, parse_positives
from fastpair.losses._lists import OnEmpty, ReductionName, parse_reduction, parse_scores

__all__ = ["fast_ap"]

_Floats: TypeAlias = npt.NDArray[np.float64]
_Bools: TypeAlias = npt.NDArray[np.bool_]


def fast_ap(
    scores: ArrayLike,
    labels: ArrayLike,
    *,
    groups: ArrayLike | None = None,
    offsets: ArrayLike | None = None,
    bins: SupportsIndex = 10,
    range: tuple[float, float] = (-1.0, 1.0),
    weights: ArrayLike | None = None,
    on_empty: OnEmpty = "skip",
    reduction: ReductionName = "mean",
    return_grad: bool = False,
    grad_output: ArrayLike | None = None,
    pos_label: Label | None = None,
    num_threads: SupportsIndex | None = None,
) -> Any:
    r"""Compute one minus average precision from soft histograms of the scores (FastAP).

    Parameters
    ----------
    scores : array_like, shape (n,)
        Real scores, the higher the better. Those outside of the range count as its ends, and have no gradient.
    labels : array_like, shape (n,)
        Two classes, as for `fastpair.auc`. NaN leaves the item out.
    groups : array_like, shape (n,), optional
        Ids of lists (integers or strings, in any order). Without these and `offsets` all scores are one list.
    offsets : array_like of int, shape (g + 1,), optional
        The same for lists that are contiguous: list ``i`` is ``scores[offsets[i]:offsets[i + 1]]``.
    bins : int
        How many steps the range is divided into, at least 1; there is one bin more, centred at their ends.
    range : tuple of float
        The lowest and the highest score, by default those of cosines.
    weights : array_like, shape (g,), optional
        A weight for each list, finite and not negative.
    on_empty : {"skip", "zero", "error"}
        What a list without a positive does: it is left out, counts with loss 0, or is refused.
    reduction : {"mean", "sum", "none"}
        Return the mean or the sum over lists, or one value for each.
    return_grad : bool
        Return the gradient as well.
    grad_output : array_like, shape (g,), optional
        For ``reduction="none"`` with `return_grad`, which needs it: the gradient with respect to each value.
    pos_label : scalar, optional
        The label of the positive class. Needed unless labels are bool, 0/1 or -1/1.
    num_threads : int, optional
        Checked, but not used: this loss is computed by one thread.

    Returns
    -------
    value : numpy.float64 or ndarray
        The loss; for ``reduction="none"`` float64, shape (g,), in order of first appearance of the ids or in the order
        of offsets. 0.0 where there is no positive.
    grads : ScoreGrads
        With `return_grad`: the named tuple ``(scores,)``, in the order and dtype of the scores (float64 for integers).

    Raises
    ------
    TypeError
        If a dtype cannot be used.
    ValueError
        If shapes do not match, labels are not two classes of which one is known to be positive, the range is empty, a
        weight is negative or not finite, or an option is unknown or out of range.

    See Also
    --------
    fastpair.losses.smooth_ap : Average precision on soft ranks.

    Notes
    -----
    With the distance :math:`\Delta` of neighbouring bins, an item counts in a bin with the centre c as the triangle
    :math:`[1 - |s - c| / \Delta]_+`, that is, in the two bins beside its score. With the counts h of all items and
    :math:`h^+` of the P positives in each bin, the highest bin first, and their cumulative sums H and :math:`H^+`,

    .. math:: S = 1 - \frac{1}{P} \sum_b \frac{h^+_b H^+_b}{H_b} .

    This is the loss of [1]_ for unit vectors, whose squared distances in [0, 4] are their cosines in [-1, 1]. At the
    centre of a bin the gradient is that towards lower scores. A NaN score makes its list NaN.

    Cost: O(n + g bins), and memory as much.

    References
    ----------
    .. [1] F. Cakir, K. He, X. Xia, B. Kulis and S. Sclaroff (2019). Deep metric learning to rank. CVPR.

    Examples
    --------
    >>> import fastpair
    >>> fastpair.losses.fast_ap([0.8, 0.4, 0.0, -0.4], [1, 0, 1, 0]).round(6)
    np.float64(0.166667)
    """
    steps = check_count(bins, "bins", 1)
    low, high = _ends(range)
    check_num_threads(num_threads)
    values = parse_scores(scores)
    positive = parse_positives(labels, values, pos_label)
    items = parse_items(values, positive, groups, offsets)
    how = parse_reduction(
        items.outer.count,
        reduction=reduction,
        on_empty=on_empty,
        weights=weights,
        return_grad=return_grad,
        grad_output=grad_output,
    )
    ordered, chosen, lists = items.take(values), items.take(positive) > 0, items.lists
    # How many steps a score is below the highest bin; what is between two bins is shared by them. NaN counts below.
    per_step = steps / (high - low)
    depth = (high - np.clip(np.where(ordered == ordered, ordered, high), low, high)) * per_step
    bin_above = np.minimum(depth.astype(np.int64), steps - 1)
    fall = depth - bin_above
    cells = lists.codes * (steps + 1) + bin_above
    shape = (lists.count, steps + 1)

    def histogram(which: _Bools | slice) -> _Floats:
        mass = np.zeros(shape[0] * shape[1])
        mass += np.bincount(cells[which], 1 - fall[which], minlength=len(mass))
        mass[1:] += np.bincount(cells[which], fall[which], minlength=len(mass))[:-1]
        return mass.reshape(shape)

    of_all, of_own = histogram(slice(None)), histogram(chosen)
    all_above, own_above = np.cumsum(of_all, axis=1), np.cumsum(of_own, axis=1)
    inverse = np.divide(1.0, all_above, out=np.zeros(shape), where=all_above > 0)
    count = lists.sum(chosen)
    divisor = np.maximum(count, 1.0)
    sums = (count > 0) - (of_own * own_above * inverse).sum(axis=1) / divisor
    sums[lists.sum(ordered != ordered) > 0] = np.nan
    if not how.return_grad:
        return how.finish(items.outer, values, sums, count, None)
    ahead = of_own * inverse
    on_all = _from_here(ahead * own_above * inverse) / divisor[:, np.newaxis]
    on_own = -(own_above * inverse + _from_here(ahead)) / divisor[:, np.newaxis]
    # A score that falls by a step takes its mass from one bin to the next.
    change = np.diff(on_all, axis=1, append=0.0).ravel()[cells]
    change[chosen] += np.diff(on_own, axis=1, append=0.0).ravel()[cells[chosen]]
    change *= -per_step
    change[(ordered < low) | (ordered > high)] = 0.0
    return items.finish(how, values, sums, count, change)


def _from_here(values: _Floats) -> _Floats:
    """Return the sums of each row from each entry to the end."""
    result: _Floats = np.cumsum(values[:, ::-1], axis=1)[:, ::-1]
    return result


def _ends(limits: Any) -> tuple[float, float]:
    try:
        low, high = limits
    except (TypeError, ValueError):
        raise TypeError(f"range must be a tuple (low, high), not {limits!r}") from None
    low, high = check_number(low, "range[0]"), check_number(high, "range[1]")
    if low >= high:
        raise ValueError(f"range=({low}, {high}) is empty; pass the lowest score first")
    return low, high
