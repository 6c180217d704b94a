"""Contrast of graded items, one InfoNCE with several positives for each level: `rank_contrastive`."""

from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import ArrayLike, on_gpu_too, scalar
from fastpair._embeddings import numbers
from fastpair._validate import check_number, in_dtype_of
from fastpair.losses._lists import OnEmpty, ReductionName, parse_companion, parse_lists, parse_reduction, parse_scores

__all__ = ["RankContrastiveGrads", "rank_contrastive"]

_Array: TypeAlias = npt.NDArray[Any]
_Floats: TypeAlias = npt.NDArray[np.float64]


class RankContrastiveGrads(NamedTuple):
    """The gradients of `rank_contrastive` with respect to the scores and the temperature."""

    scores: _Array
    temperature: np.float64


@on_gpu_too
def rank_contrastive(
    scores: ArrayLike,
    labels: ArrayLike,
    levels: ArrayLike | None = None,
    temperature: float = 0.5,
    *,
    groups: ArrayLike | None = None,
    offsets: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    on_empty: OnEmpty = "skip",
    reduction: ReductionName = "mean",
    return_grad: bool = False,
    grad_output: ArrayLike | None = None,
) -> Any:
    r"""Compute the mean over levels of grades of an InfoNCE of the items that reach the level.

    Parameters
    ----------
    scores : array_like, shape (n,)
        Similarities of the items of a list, the larger the better.
    labels : array_like, shape (n,)
        Their grades.
    levels : array_like, shape (l,), optional
        The levels; an item is positive for those that its grade reaches. By default all grades but the lowest.
    temperature : float
        What divides the scores, positive.
    groups : array_like, shape (n,), optional
        The id of the list of each item. By default all are of one list.
    offsets : array_like of int, shape (g + 1,), optional
        Where each list begins, and the end; in place of groups.
    weights : array_like, shape (g,), optional
        A weight for each list, finite and not negative.
    on_empty : {"skip", "zero", "error"}
        What a list without a positive or with a single item does: it is left out, counts with loss 0, or is refused.
    reduction : {"mean", "sum", "none"}
        Return the mean or the sum over lists, or one value for each.
    return_grad : bool
        Return the gradients as well.
    grad_output : array_like, shape (g,), optional
        For ``reduction="none"`` with `return_grad`, which needs it: the gradient with respect to each value.

    Returns
    -------
    value : numpy.float64 or ndarray
        The loss; for ``reduction="none"`` float64, shape (g,). 0.0 for lists without a positive.
    grads : RankContrastiveGrads
        With `return_grad`: the named tuple ``(scores, temperature)``, that of the scores in their shape and dtype
        (float64 for integers).

    Raises
    ------
    TypeError
        If a dtype cannot be used, or the temperature is not a number.
    ValueError
        If shapes do not match, or an option is out of range.

    See Also
    --------
    fastpair.losses.supcon : Several positives of one kind.

    Notes
    -----
    With the logits :math:`L_j = s_j / \tau` of a list and the items :math:`P_l` whose grade is at least l,

    .. math:: \log \sum_j e^{L_j} - \frac{1}{|V|} \sum_{l \in V} \frac{1}{|P_l|} \sum_{j \in P_l} L_j ,

    where V are the levels that have a positive in the list. Others are left out of the mean, and nothing is added
    inside of logarithms.

    Cost: O(n l). Extra memory: O(n).

    References
    ----------
    .. [1] D. Paul et al. (2024). VideoLights: feature refinement and cross-task alignment transformer for joint video
       highlight detection and moment retrieval. arXiv.

    Examples
    --------
    >>> import fastpair
    >>> fastpair.losses.rank_contrastive([0.9, 0.2, 0.5, 0.4], [2, 0, 1, 1], levels=(1, 2)).round(6)
    np.float64(1.024552)
    """
    array = parse_scores(scores)
    grades = parse_companion(labels, array, "labels")
    steps = _parse_levels(levels, grades)
    divisor = check_number(temperature, "temperature", above=0)
    lists = parse_lists(groups, offsets, len(array))
    how = parse_reduction(
        lists.count,
        reduction=reduction,
        on_empty=on_empty,
        weights=weights,
        return_grad=return_grad,
        grad_output=grad_output,
    )
    given = lists.gather(array).astype(np.float64)
    kept = lists.gather(grades)
    # Scores relative to the largest of their list: no logit overflows unless its own distance does.
    largest = lists.max(given)
    with np.errstate(over="ignore", invalid="ignore"):
        logits = (given - lists.spread(np.where(np.abs(largest) < np.inf, largest, 0.0))) / divisor
    normalizer = lists.logsumexp(logits)
    pull, reached = np.zeros_like(logits), np.zeros_like(largest)
    for step in steps:
        positive = kept >= step
        counts = lists.sum(positive)
        reached += counts > 0
        pull += np.where(positive, 1 / np.maximum(lists.spread(counts), 1), 0.0)
    pull /= np.maximum(lists.spread(reached), 1)
    with np.errstate(invalid="ignore"):
        sums = normalizer - lists.sum(np.where(pull > 0, pull * logits, 0.0))
    sizes = ((reached > 0) & (lists.sizes > 1)).astype(np.float64)
    value, scale = how(np.where(sizes > 0, sums, 0.0), sizes)
    if not how.return_grad:
        return value
    slopes = np.exp(logits - lists.spread(normalizer)) - pull
    slopes *= lists.spread(scale)
    slopes[lists.spread(scale) == 0] = 0.0
    with np.errstate(over="ignore", invalid="ignore"):
        by_temperature = -(slopes * np.maximum(logits, -np.finfo(np.float64).max)).sum() / divisor
    slopes /= divisor
    return value, RankContrastiveGrads(in_dtype_of(lists.scatter(slopes), array), scalar(by_temperature))


def _parse_levels(levels: ArrayLike | None, grades: _Array) -> _Array:
    if levels is None:
        return np.unique(grades)[1:]
    array = numbers(levels, "levels", "dot")
    if array.ndim != 1:
        raise ValueError(f"levels has shape {array.shape}; pass one dimension, a number for each level")
    return np.unique(array)
