"""One minus the overlap of predicted and true positives, for rare ones: `dice` and `tversky`.

What reads their arguments and counts softly serves `soft_confusion` too.
"""

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import ArrayLike, on_gpu_too
from fastpair._embeddings import check_flag
from fastpair._labels import Label
from fastpair._validate import check_number
from fastpair.losses._aligned import sigmoid
from fastpair.losses._items import Items, parse_items, parse_positives
from fastpair.losses._lists import Lists, OnEmpty, ReductionName, parse_reduction, parse_scores

__all__ = ["dice", "four_sums", "parse_overlap", "tversky"]

_Array: TypeAlias = npt.NDArray[Any]
_Floats: TypeAlias = npt.NDArray[np.float64]
_Bools: TypeAlias = npt.NDArray[np.bool_]


@on_gpu_too
def dice(
    scores: ArrayLike,
    labels: ArrayLike,
    *,
    groups: ArrayLike | None = None,
    offsets: ArrayLike | None = None,
    alpha: float = 0.0,
    smooth: float = 1e-4,
    squared: bool = False,
    hard_ratio: float | None = None,
    from_logits: bool = True,
    pos_label: Label | None = None,
    weights: ArrayLike | None = None,
    on_empty: OnEmpty = "skip",
    reduction: ReductionName = "mean",
    return_grad: bool = False,
    grad_output: ArrayLike | None = None,
) -> Any:
    r"""Compute the self-adjusting Dice loss: one minus the soft overlap of predicted and true positives.

    Parameters
    ----------
    scores : array_like, shape (n,)
        Logits, or probabilities with ``from_logits=False``.
    labels : array_like, shape (n,)
        Two classes: bool, 0/1, -1/1, or any two with `pos_label`. NaN leaves the item out.
    groups : array_like, shape (n,), optional
        Ids of lists (integers or strings, in any order). Without these and `offsets` all scores are one list.
    offsets : array_like of int, shape (g + 1,), optional
        The same for lists that are contiguous: list ``i`` is ``scores[offsets[i]:offsets[i + 1]]``.
    alpha : float
        How much easy items lose weight, at least 0: probabilities become :math:`(1 - p)^\alpha p`. The paper's
        examples use 1; 0, the default of its code, is the plain soft Dice loss.
    smooth : float
        What is added to numerator and denominator, not negative.
    squared : bool
        Square the terms of the denominator.
    hard_ratio : float, optional
        Keep all positives but only so many times as many negatives, those of the highest scores (online hard example
        mining). The number is rounded down; among equal scores the first count. By default all count.
    from_logits : bool
        Whether scores are logits, of which the logistic function makes probabilities.
    pos_label : scalar, optional
        The label of the positive class. Needed unless labels are bool, 0/1 or -1/1.
    weights : array_like, shape (g,), optional
        A weight for each list, finite and not negative.
    on_empty : {"skip", "zero", "error"}
        What a list without items does: it is left out, counts with loss 0, or is refused.
    reduction : {"mean", "sum", "none"}
        Return the mean or the sum over lists, or one value for each.
    return_grad : bool
        Return the gradient as well.
    grad_output : array_like, shape (g,), optional
        For ``reduction="none"`` with `return_grad`, which needs it: the gradient with respect to each value.

    Returns
    -------
    value : numpy.float64 or ndarray
        The loss; for ``reduction="none"`` float64, shape (g,), in order of first appearance of the ids or in the order
        of offsets. 0.0 for lists without items.
    grads : ScoreGrads
        With `return_grad`: the named tuple ``(scores,)``, in the order and dtype of the scores (float64 for integers).

    Raises
    ------
    TypeError
        If a dtype cannot be used, or an option is not a number.
    ValueError
        If shapes do not match, labels hold more than two classes, a probability is not between 0 and 1, a weight is
        negative or not finite, or an option is unknown or out of range.

    See Also
    --------
    fastpair.losses.tversky : Weighs false positives and false negatives differently.
    fastpair.losses.soft_confusion : Counts probabilities that are pushed towards 0 and 1.

    Notes
    -----
    With :math:`p = \operatorname{sigmoid}(s)`, :math:`\tilde p = (1 - p)^\alpha p` and the smoothing
    :math:`\gamma` the loss of a list is

    .. math:: 1 - \frac{2 \sum_i \tilde p_i y_i + \gamma}{\sum_i \tilde p_i + \sum_i y_i + \gamma}
       = \frac{\sum_{y=0} \tilde p_i + \sum_{y=1} (1 - \tilde p_i)}{\sum_i \tilde p_i + \sum_i y_i + \gamma},

    of which the second form is evaluated: nothing cancels. With `squared` the :math:`\tilde p_i` of the denominator
    and all terms of the second numerator are squared. Where the denominator is 0 nothing is predicted and nothing is to
    be found, and the loss is 0. Which negatives are hard is not differentiated. With probabilities and
    :math:`0 < \alpha < 1` the gradient at p = 1 is infinite; 0 is returned.

    The sums run over the items of a list, as in the authors' code; their paper writes the loss of one item, of which
    lists of one are the mean. That code keeps one negative less, and none that ties with the last.

    A NaN score makes value and gradients of its list NaN; infinite logits are probabilities of 0 and 1.

    Cost: O(n), with `hard_ratio` O(n log n). Extra memory: O(n).

    References
    ----------
    .. [1] X. Li et al. (2020). Dice loss for data-imbalanced NLP tasks. ACL.
    .. [2] F. Milletari, N. Navab and S.-A. Ahmadi (2016). V-Net: fully convolutional neural networks for volumetric
       medical image segmentation. 3DV.

    Examples
    --------
    >>> import fastpair
    >>> probabilities, labels = [0.9, 0.4, 0.6, 0.2], [1, 1, 0, 0]
    >>> fastpair.losses.dice(probabilities, labels, from_logits=False).round(6)
    np.float64(0.365845)
    >>> fastpair.losses.dice(probabilities, labels, alpha=1, from_logits=False).round(6)
    np.float64(0.758214)
    """
    power, gamma = check_number(alpha, "alpha", least=0), check_number(smooth, "smooth", least=0)
    square = check_flag(squared, "squared")
    share = None if hard_ratio is None else check_number(hard_ratio, "hard_ratio", least=0)
    values, items, positive = parse_overlap(scores, labels, from_logits, pos_label, groups, offsets)
    reduce_lists = parse_reduction(
        items.outer.count,
        reduction=reduction,
        on_empty=on_empty,
        weights=weights,
        return_grad=return_grad,
        grad_output=grad_output,
    )
    raw, lists = items.take(values), items.lists
    likely, unlikely = (sigmoid(raw), sigmoid(-raw)) if from_logits else (raw, 1.0 - raw)
    easy = unlikely**power
    shrunk = likely * easy
    rest = unlikely if power == 0 else 1.0 - shrunk
    counts = np.ones_like(raw, np.bool_) if share is None else _kept(lists, raw, positive, share)
    with np.errstate(divide="ignore", invalid="ignore"):
        # The derivative of (1 - p)^alpha p in the logit has a factor p (1 - p), which takes the pole at p = 1 away.
        slopes = shrunk * (unlikely - power * likely)
        if not from_logits:
            slopes = np.where(
                unlikely > 0, easy - power * likely * easy / unlikely, 1.0 if power == 0 else -(power == 1.0)
            )
        wrong = np.where(positive, rest, shrunk)
        sign = np.where(positive, -1.0, 1.0)
        above = lists.sum(np.where(counts, wrong * wrong if square else wrong, 0.0))
        below = lists.sum(np.where(counts, shrunk * shrunk if square else shrunk, 0.0)) + lists.sum(positive) + gamma
        loss = np.where(below == 0, 0.0, above / below)
        each, ratio = np.where(below == 0, 0.0, 1 / below), lists.spread(loss)
    pull = 2 * (sign * wrong - ratio * shrunk) if square else sign - ratio
    gradient = np.where(counts, pull * lists.spread(each) * slopes, 0.0)
    return items.finish(reduce_lists, values, loss, lists.sizes.astype(np.float64), gradient)


@on_gpu_too
def tversky(
    scores: ArrayLike,
    labels: ArrayLike,
    *,
    groups: ArrayLike | None = None,
    offsets: ArrayLike | None = None,
    alpha: float = 0.5,
    beta: float = 0.5,
    smooth: float = 1e-4,
    from_logits: bool = True,
    pos_label: Label | None = None,
    weights: ArrayLike | None = None,
    on_empty: OnEmpty = "skip",
    reduction: ReductionName = "mean",
    return_grad: bool = False,
    grad_output: ArrayLike | None = None,
) -> Any:
    r"""Compute the Tversky loss: one minus an overlap that weighs false positives and false negatives.

    Parameters
    ----------
    scores : array_like, shape (n,)
        Logits, or probabilities with ``from_logits=False``.
    labels : array_like, shape (n,)
        Two classes: bool, 0/1, -1/1, or any two with `pos_label`. NaN leaves the item out.
    groups : array_like, shape (n,), optional
        Ids of lists (integers or strings, in any order). Without these and `offsets` all scores are one list.
    offsets : array_like of int, shape (g + 1,), optional
        The same for lists that are contiguous: list ``i`` is ``scores[offsets[i]:offsets[i + 1]]``.
    alpha : float
        The weight of false positives, not negative.
    beta : float
        The weight of false negatives, not negative. With both 1/2 the index is that of Dice, with both 1 that of
        Jaccard.
    smooth : float
        What is added to numerator and denominator of the index, not negative.
    from_logits : bool
        Whether scores are logits, of which the logistic function makes probabilities.
    pos_label : scalar, optional
        The label of the positive class. Needed unless labels are bool, 0/1 or -1/1.
    weights : array_like, shape (g,), optional
        A weight for each list, finite and not negative.
    on_empty : {"skip", "zero", "error"}
        What a list without items does: it is left out, counts with loss 0, or is refused.
    reduction : {"mean", "sum", "none"}
        Return the mean or the sum over lists, or one value for each.
    return_grad : bool
        Return the gradient as well.
    grad_output : array_like, shape (g,), optional
        For ``reduction="none"`` with `return_grad`, which needs it: the gradient with respect to each value.

    Returns
    -------
    value : numpy.float64 or ndarray
        The loss; for ``reduction="none"`` float64, shape (g,), in order of first appearance of the ids or in the order
        of offsets. 0.0 for lists without items.
    grads : ScoreGrads
        With `return_grad`: the named tuple ``(scores,)``, in the order and dtype of the scores (float64 for integers).

    Raises
    ------
    TypeError
        If a dtype cannot be used, or an option is not a number.
    ValueError
        If shapes do not match, labels hold more than two classes, a probability is not between 0 and 1, a weight is
        negative or not finite, or an option is unknown or out of range.

    See Also
    --------
    fastpair.losses.dice : The case of equal weights, with ways to attend to hard items.

    Notes
    -----
    With :math:`p = \operatorname{sigmoid}(s)`, the soft counts :math:`TP = \sum_{y=1} p`,
    :math:`FP = \sum_{y=0} p`, :math:`FN = \sum_{y=1} (1 - p)` and the smoothing :math:`\gamma` the loss of a list is

    .. math:: 1 - \frac{TP + \gamma}{TP + \alpha FP + \beta FN + \gamma}
       = \frac{\alpha FP + \beta FN}{TP + \alpha FP + \beta FN + \gamma} .

    Where the denominator is 0 the loss is 0. With both weights 1/2 it is `dice` with twice the smoothing. A NaN score
    makes value and gradients of its list NaN; infinite logits are probabilities of 0 and 1.

    Cost: O(n). Extra memory: O(n).

    References
    ----------
    .. [1] S. S. M. Salehi, D. Erdogmus and A. Gholipour (2017). Tversky loss function for image segmentation using 3D
       fully convolutional deep networks. MLMI.
    .. [2] X. Li et al. (2020). Dice loss for data-imbalanced NLP tasks. ACL.

    Examples
    --------
    >>> import fastpair
    >>> probabilities, labels = [0.9, 0.4, 0.6, 0.2], [1, 1, 0, 0]
    >>> fastpair.losses.tversky(probabilities, labels, alpha=0.3, beta=0.7, from_logits=False).round(6)
    np.float64(0.359588)
    """
    alarm_weight, miss_weight = check_number(alpha, "alpha", least=0), check_number(beta, "beta", least=0)
    gamma = check_number(smooth, "smooth", least=0)
    values, items, positive = parse_overlap(scores, labels, from_logits, pos_label, groups, offsets)
    reduce_lists = parse_reduction(
        items.outer.count,
        reduction=reduction,
        on_empty=on_empty,
        weights=weights,
        return_grad=return_grad,
        grad_output=grad_output,
    )
    raw, lists = items.take(values), items.lists
    likely, unlikely = (sigmoid(raw), sigmoid(-raw)) if from_logits else (raw, 1.0 - raw)
    hit, miss, alarm, _ = four_sums(lists, positive, likely, unlikely)
    above = alarm_weight * alarm + miss_weight * miss
    below = hit + above + gamma
    with np.errstate(divide="ignore", invalid="ignore"):
        loss, each = np.where(below == 0, 0.0, above / below), np.where(below == 0, 0.0, 1 / below)
    by_positive = -(miss_weight + loss * (1 - miss_weight)) * each
    by_negative = alarm_weight * (1 - loss) * each
    gradient = np.where(positive, lists.spread(by_positive), lists.spread(by_negative))
    if from_logits:
        gradient *= likely * unlikely
    return items.finish(reduce_lists, values, loss, lists.sizes.astype(np.float64), gradient)


def parse_overlap(
    scores: ArrayLike,
    labels: ArrayLike,
    from_logits: bool,
    pos_label: Label | None,
    groups: ArrayLike | None,
    offsets: ArrayLike | None,
) -> tuple[_Array, Items, _Bools]:
    """View the scores, and return which items count and which of these are positive, in list order."""
    values = parse_scores(scores)
    classes = parse_positives(labels, values, pos_label)
    if not check_flag(from_logits, "from_logits"):
        outside = (values < 0) | (values > 1)
        if outside.any():
            place = int(outside.argmax())
            raise ValueError(
                f"scores is {values[place]} at index {place}, which is no probability; pass numbers from 0 to 1, or "
                f"logits with from_logits=True"
            )
    items = parse_items(values, classes, groups, offsets)
    return values, items, items.take(classes) == 1


def four_sums(lists: Lists, positive: _Bools, yes: _Floats, no: _Floats) -> tuple[_Floats, _Floats, _Floats, _Floats]:
    """Add up hits, misses, false alarms and rejections of each list."""
    return (
        lists.sum(np.where(positive, yes, 0.0)),
        lists.sum(np.where(positive, no, 0.0)),
        lists.sum(np.where(positive, 0.0, yes)),
        lists.sum(np.where(positive, 0.0, no)),
    )


def _kept(lists: Lists, scores: _Floats, positive: _Bools, ratio: float) -> _Bools:
    """Return which items count: positives, and `ratio` times as many of the highest negatives (and what is NaN)."""
    result = positive | np.isnan(scores)
    negative = np.flatnonzero(~positive)
    negatives = lists.select(~positive, len(negative))
    room = np.floor(ratio * lists.sum(positive))
    first = negatives.positions() < negatives.spread(room)
    result[negative[negatives.descending(scores[negative])[first]]] = True
    return result
