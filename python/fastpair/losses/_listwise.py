"""Cross-entropies of whole lists: `listnet` and `softmax`."""

from typing import Any, SupportsIndex, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import ArrayLike, kernels_of, on_gpu_too
from fastpair._validate import check_not_negative, check_num_threads, check_number
from fastpair.losses._lists import (
    Lists,
    OnEmpty,
    ReductionName,
    parse_companion,
    parse_lists,
    parse_reduction,
    parse_scores,
)

__all__ = ["listnet", "softmax"]

_Array: TypeAlias = npt.NDArray[Any]


@on_gpu_too
def listnet(
    scores: ArrayLike,
    relevance: ArrayLike,
    *,
    groups: ArrayLike | None = None,
    offsets: ArrayLike | None = None,
    temperature: float = 1.0,
    weights: ArrayLike | None = None,
    on_empty: OnEmpty = "skip",
    reduction: ReductionName = "mean",
    return_grad: bool = False,
    grad_output: ArrayLike | None = None,
    num_threads: SupportsIndex | None = None,
) -> Any:
    r"""Compute the cross-entropy of the softmax of the scores against that of the relevance (ListNet).

    Parameters
    ----------
    scores : array_like, shape (n,)
        Real scores, the higher the better.
    relevance : array_like, shape (n,)
        Real grades of the items. NaN leaves the item out.
    groups : array_like, shape (n,), optional
        Ids of lists (integers or strings, in any order). Without these and `offsets` all scores are one list.
    offsets : array_like of int, shape (g + 1,), optional
        The same for lists that are contiguous: list ``i`` is ``scores[offsets[i]:offsets[i + 1]]``.
    temperature : float
        What divides scores and relevance, positive.
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
    num_threads : int, optional
        The most threads to use; by default `fastpair.get_num_threads`.

    Returns
    -------
    value : numpy.float64 or ndarray
        The loss; for ``reduction="none"`` float64, shape (g,), in order of first appearance of the ids or in the order
        of offsets. 0.0 where there are no items.
    grads : ScoreGrads
        With `return_grad`: the named tuple ``(scores,)``, in the order and dtype of the scores (float64 for integers).

    Raises
    ------
    TypeError
        If a dtype cannot be used.
    ValueError
        If shapes do not match, a weight is negative or not finite, or an option is unknown or out of range.

    See Also
    --------
    fastpair.losses.softmax : Relevance as it is.
    fastpair.losses.plackett_luce : All places, not only the first.

    Notes
    -----
    With the relevance r and the temperature t, a list has the loss

    .. math:: S = -\sum_i p_i \log \frac{e^{s_i / t}}{\sum_j e^{s_j / t}}, \quad
       p_i = \frac{e^{r_i / t}}{\sum_j e^{r_j / t}},

    and the gradient softmax(s / t) - p over t. A NaN score makes its list NaN.

    Cost: O(n). Memory: the gradient.

    References
    ----------
    .. [1] Z. Cao, T. Qin, T.-Y. Liu, M.-F. Tsai and H. Li (2007). Learning to rank: from pairwise approach to listwise
       approach. ICML.

    Examples
    --------
    >>> import fastpair
    >>> value, grads = fastpair.losses.listnet([2.0, 1.0, 0.5], [3, 1, 2], return_grad=True)
    >>> value.round(6)
    np.float64(0.921492)
    >>> grads.scores.round(6)
    array([-0.036709,  0.141193, -0.104484])
    """
    values = parse_scores(scores)
    grades = parse_companion(relevance, values, "relevance")
    if grades.dtype.kind not in "biu" and np.isinf(grades).any():
        raise ValueError("relevance is infinite; pass finite grades, or NaN for items that are to be left out")
    heat = check_number(temperature, "temperature", above=0)
    if heat != 1:
        grades = grades.astype(np.float64) / heat
    how = {
        **{"on_empty": on_empty, "weights": weights, "reduction": reduction},
        **{"return_grad": return_grad, "grad_output": grad_output},
    }
    return _cross_entropy(values, grades, "softmax", heat, parse_lists(groups, offsets, len(values)), num_threads, how)


@on_gpu_too
def softmax(
    scores: ArrayLike,
    relevance: ArrayLike,
    *,
    groups: ArrayLike | None = None,
    offsets: ArrayLike | None = None,
    temperature: float = 1.0,
    weights: ArrayLike | None = None,
    on_empty: OnEmpty = "skip",
    reduction: ReductionName = "mean",
    return_grad: bool = False,
    grad_output: ArrayLike | None = None,
    num_threads: SupportsIndex | None = None,
) -> Any:
    r"""Compute the cross-entropy of the softmax of the scores, each item counted as its relevance.

    Parameters
    ----------
    scores : array_like, shape (n,)
        Real scores, the higher the better.
    relevance : array_like, shape (n,)
        What each item counts: labels of 0 and 1, gains or probabilities, not negative. NaN leaves the item out.
    groups : array_like, shape (n,), optional
        Ids of lists (integers or strings, in any order). Without these and `offsets` all scores are one list.
    offsets : array_like of int, shape (g + 1,), optional
        The same for lists that are contiguous: list ``i`` is ``scores[offsets[i]:offsets[i + 1]]``.
    temperature : float
        What divides the scores, positive.
    weights : array_like, shape (g,), optional
        A weight for each list, finite and not negative.
    on_empty : {"skip", "zero", "error"}
        What a list without relevance does: it is left out, counts with loss 0, or is refused.
    reduction : {"mean", "sum", "none"}
        Return the mean or the sum over lists, or one value for each.
    return_grad : bool
        Return the gradient as well.
    grad_output : array_like, shape (g,), optional
        For ``reduction="none"`` with `return_grad`, which needs it: the gradient with respect to each value.
    num_threads : int, optional
        The most threads to use; by default `fastpair.get_num_threads`.

    Returns
    -------
    value : numpy.float64 or ndarray
        The loss; for ``reduction="none"`` float64, shape (g,), in order of first appearance of the ids or in the order
        of offsets. 0.0 where there is no relevance.
    grads : ScoreGrads
        With `return_grad`: the named tuple ``(scores,)``, in the order and dtype of the scores (float64 for integers).

    Raises
    ------
    TypeError
        If a dtype cannot be used.
    ValueError
        If shapes do not match, a relevance or a weight is negative or not finite, or an option is unknown or out of
        range.

    See Also
    --------
    fastpair.losses.listnet : The softmax of the relevance instead.

    Notes
    -----
    With the relevance r and the temperature t, a list has the loss

    .. math:: S = -\sum_i r_i \log \frac{e^{s_i / t}}{\sum_j e^{s_j / t}} .

    This is ``softmax_loss`` of rax: the relevance is not normalised. With one relevant item it is the cross-entropy of
    a classifier. A NaN score makes its list NaN.

    Cost: O(n). Memory: the gradient.

    References
    ----------
    .. [1] S. Bruch, X. Wang, M. Bendersky and M. Najork (2019). An analysis of the softmax cross entropy loss for
       learning-to-rank with binary relevance. ICTIR.
    .. [2] R. Jagerman, X. Wang, H. Zhuang, Z. Qin, M. Bendersky and M. Najork (2022). Rax: composable learning-to-rank
       using JAX. KDD.

    Examples
    --------
    >>> import fastpair
    >>> fastpair.losses.softmax([2.0, 1.0, 0.0], [1, 0, 0]).round(6)
    np.float64(0.407606)
    >>> fastpair.losses.softmax([2.0, 1.0, 0.0, 1.0], [1, 0, 0, 0], groups=[1, 1, 1, 2], reduction="none").round(6)
    array([0.407606, 0.      ])
    """
    values = parse_scores(scores)
    grades = parse_companion(relevance, values, "relevance")
    check_not_negative(grades, "relevance", nan=True)
    heat = check_number(temperature, "temperature", above=0)
    how = {
        **{"on_empty": on_empty, "weights": weights, "reduction": reduction},
        **{"return_grad": return_grad, "grad_output": grad_output},
    }
    return _cross_entropy(values, grades, "raw", heat, parse_lists(groups, offsets, len(values)), num_threads, how)


def _cross_entropy(
    scores: _Array,
    grades: _Array,
    target: str,
    temperature: float,
    lists: Lists,
    num_threads: SupportsIndex | None,
    how: dict[str, Any],
) -> Any:
    """Return the cross-entropy of lists, the mean over lists."""
    reduction = parse_reduction(lists.count, **how)
    divided = scores if temperature == 1 else scores.astype(np.float64) / temperature
    sums, masses, gradient = kernels_of(scores).cross_entropy(
        *(divided, grades, lists.offsets, lists.rows, target, reduction.return_grad, check_num_threads(num_threads)),
    )
    if gradient is not None and temperature != 1:
        gradient /= temperature
    return reduction.finish(lists, scores, sums, masses, gradient)
