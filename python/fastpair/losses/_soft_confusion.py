"""One minus a metric of soft confusion counts: `soft_confusion`."""

from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import ArrayLike, on_gpu_too
from fastpair._labels import Label
from fastpair._validate import check_choice, check_number
from fastpair.losses._aligned import sigmoid
from fastpair.losses._lists import OnEmpty, ReductionName, parse_reduction
from fastpair.losses._overlap import four_sums, parse_overlap

__all__ = ["soft_confusion"]

_Floats: TypeAlias = npt.NDArray[np.float64]
_Bools: TypeAlias = npt.NDArray[np.bool_]

ConfusionMetric: TypeAlias = Literal["f_beta", "balanced_accuracy", "gmean", "accuracy"]
METRICS = ("f_beta", "balanced_accuracy", "gmean", "accuracy")


@on_gpu_too
def soft_confusion(
    scores: ArrayLike,
    labels: ArrayLike,
    *,
    groups: ArrayLike | None = None,
    offsets: ArrayLike | None = None,
    metric: ConfusionMetric = "f_beta",
    beta: float = 1.0,
    sharpness: float = 73.0,
    from_logits: bool = True,
    zero_division: float = 0.0,
    pos_label: Label | None = None,
    weights: ArrayLike | None = None,
    on_empty: OnEmpty = "skip",
    reduction: ReductionName = "mean",
    return_grad: bool = False,
    grad_output: ArrayLike | None = None,
) -> Any:
    r"""Compute one minus a metric of soft confusion counts (AnyLoss).

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
    metric : {"f_beta", "balanced_accuracy", "gmean", "accuracy"}
        The metric of the soft counts.
    beta : float
        For "f_beta": how much more recall weighs than precision, positive.
    sharpness : float
        How steeply the amplifier makes 0 or 1 of a probability, positive; L in the paper.
    from_logits : bool
        Whether scores are logits, of which the logistic function makes probabilities.
    zero_division : float
        The metric where its formula divides 0 by 0, such as balanced accuracy of one class. The gradient is 0 there.
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
    fastpair.losses.dice : The overlap of the probabilities themselves.

    Notes
    -----
    Probabilities :math:`p = \operatorname{sigmoid}(s)` are pushed towards 0 and 1,
    :math:`\hat y = \operatorname{sigmoid}(L (p - \tfrac12))`, and counted:

    .. math:: TP = \sum_{y=1} \hat y, \quad FN = \sum_{y=1} (1 - \hat y), \quad FP = \sum_{y=0} \hat y, \quad
       TN = \sum_{y=0} (1 - \hat y) .

    One minus the metric is evaluated without that subtraction. With the numbers P and N of positives and negatives:

    * f_beta: :math:`(\beta^2 FN + FP) / ((1 + \beta^2) TP + \beta^2 FN + FP)`;
    * balanced_accuracy: :math:`(FN/P + FP/N) / 2`;
    * gmean: :math:`1 - \sqrt{(TP/P) (TN/N)}`; its gradient is 0 where the root is 0;
    * accuracy: :math:`(FN + FP) / (P + N)`.

    A NaN score makes value and gradients of its list NaN; infinite logits are probabilities of 0 and 1.

    Cost: O(n). Extra memory: O(n).

    References
    ----------
    .. [1] D. Han, N. Moniz and N. V. Chawla (2024). AnyLoss: transforming classification metrics into loss functions.
       KDD.

    Examples
    --------
    >>> import fastpair
    >>> probabilities, labels = [0.9, 0.4, 0.6, 0.2], [1, 1, 0, 0]
    >>> fastpair.losses.soft_confusion(probabilities, labels, from_logits=False).round(6)
    np.float64(0.499662)
    """
    check_choice(metric, "metric", METRICS)
    recall_weight = check_number(beta, "beta", above=0) ** 2
    steepness = check_number(sharpness, "sharpness", above=0)
    undefined = 1.0 - check_number(zero_division, "zero_division")
    values, items, positive = parse_overlap(scores, labels, from_logits, pos_label, groups, offsets)
    reduce_lists = parse_reduction(
        items.outer.count,
        reduction=reduction,
        on_empty=on_empty,
        weights=weights,
        return_grad=return_grad,
        grad_output=grad_output,
    )
    raw = items.take(values)
    likely, unlikely = (sigmoid(raw), sigmoid(-raw)) if from_logits else (raw, 1.0 - raw)
    pushed = steepness * (likely - unlikely) / 2
    hit, miss = sigmoid(pushed), sigmoid(-pushed)
    lists = items.lists
    positives, sizes = lists.sum(positive), lists.sizes.astype(np.float64)
    counts = _Counts(*four_sums(lists, positive, hit, miss), positives, sizes - positives)
    with np.errstate(divide="ignore", invalid="ignore"):
        error = _one_minus(metric, counts, recall_weight)
    # Where the formula divides by 0 there is nothing to learn from; where a score is NaN, NaN is the answer.
    known = error.defined | np.isnan(counts.miss + counts.alarm)
    slopes = np.where(positive, -lists.spread(error.by_miss), lists.spread(error.by_alarm))
    slopes = np.where(lists.spread(known), slopes, 0.0) * (steepness * hit * miss)
    if from_logits:
        slopes *= likely * unlikely
    return items.finish(reduce_lists, values, np.where(known, error.value, undefined), sizes, slopes)


class _Counts(NamedTuple):
    """Soft counts of each list, and its numbers of positives and negatives."""

    hit: _Floats
    miss: _Floats
    alarm: _Floats
    rejection: _Floats
    positives: _Floats
    negatives: _Floats


class _Error(NamedTuple):
    """One minus a metric of each list, its derivatives in two of the counts, and where it divides by more than 0."""

    value: _Floats
    by_miss: _Floats
    by_alarm: _Floats
    defined: _Bools


def _one_minus(metric: str, counts: _Counts, recall_weight: float) -> _Error:
    """Return one minus a metric. With a miss more there is a hit less, with a false alarm more a rejection less."""
    hit, miss, alarm, rejection, positives, negatives = counts
    both = (positives > 0) & (negatives > 0)
    if metric == "f_beta":
        above = recall_weight * miss + alarm
        below = (1 + recall_weight) * hit + above
        value = above / below
        return _Error(value, (recall_weight + value) / below, (1 - value) / below, below != 0)
    if metric == "balanced_accuracy":
        return _Error((miss / positives + alarm / negatives) / 2, 0.5 / positives, 0.5 / negatives, both)
    if metric == "gmean":
        recall, specificity = hit / positives, rejection / negatives
        missed, alarmed = miss / positives, alarm / negatives
        root = np.sqrt(recall * specificity)
        value = (missed + alarmed - missed * alarmed) / (1 + root)
        by_miss = np.where(root > 0, np.sqrt(specificity / recall) / (2 * positives), root)
        by_alarm = np.where(root > 0, np.sqrt(recall / specificity) / (2 * negatives), root)
        return _Error(value, by_miss, by_alarm, both)
    total = positives + negatives
    return _Error((miss + alarm) / total, 1 / total, 1 / total, total > 0)
