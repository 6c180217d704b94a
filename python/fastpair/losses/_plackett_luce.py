"""The likelihood of the right order of each list: `plackett_luce`, which is also `list_mle`."""

from typing import Any, Literal, SupportsIndex, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import ArrayLike, array_of, kernels_of, library_of, on_gpu_too
from fastpair._embeddings import check_count
from fastpair._random import generator
from fastpair._validate import check_choice, check_num_threads
from fastpair.losses._lists import OnEmpty, ReductionName, parse_companion, parse_lists, parse_reduction, parse_scores

__all__ = ["list_mle", "plackett_luce"]

_Array: TypeAlias = npt.NDArray[Any]
_Floats: TypeAlias = npt.NDArray[np.float64]
_Ints: TypeAlias = npt.NDArray[np.int64]


@on_gpu_too
def plackett_luce(
    scores: ArrayLike,
    relevance: ArrayLike | None = None,
    *,
    order: ArrayLike | None = None,
    groups: ArrayLike | None = None,
    offsets: ArrayLike | None = None,
    top_k: SupportsIndex | None = None,
    ties: Literal["average", "index", "exclude", "random"] = "average",
    seed: int | np.random.Generator | None = None,
    weights: ArrayLike | None = None,
    normalizer: Literal["sum", "groups", "steps"] = "sum",
    on_empty: OnEmpty = "skip",
    reduction: ReductionName = "mean",
    return_grad: bool = False,
    grad_output: ArrayLike | None = None,
    num_threads: SupportsIndex | None = None,
) -> Any:
    r"""Compute the negative log-likelihood of the right order of each list (Plackett-Luce, ListMLE).

    Parameters
    ----------
    scores : array_like, shape (n,)
        Real scores, the higher the better.
    relevance : array_like, shape (n,), optional
        Real grades of the items: the right order is from the highest on. NaN leaves the item out.
    order : array_like of int, shape (n,), optional
        Instead of relevance: the indices of all scores, best first. With lists only the order of items of the same list
        counts.
    groups : array_like, shape (n,), optional
        Ids of lists (integers or strings, in any order). Without these and `offsets` all scores are one list.
    offsets : array_like of int, shape (g + 1,), optional
        The same for lists that are contiguous: list ``i`` is ``scores[offsets[i]:offsets[i + 1]]``.
    top_k : int, optional
        Only the first places count, at least 1.
    ties : {"average", "index", "exclude", "random"}
        What items of equal relevance do: their orders are averaged (Efron's correction); the lowest index comes first;
        they do not compete with each other; or they come in a random order, which needs a seed.
    seed : int or numpy.random.Generator, optional
        For ``ties="random"``.
    weights : array_like, shape (g,), optional
        A weight for each list, finite and not negative.
    normalizer : {"sum", "groups", "steps"}
        What the mean is taken over: lists, each with the sum over its places; lists, each with the mean over its
        places; all places of all lists.
    on_empty : {"skip", "zero", "error"}
        What a list of fewer than two items does: it is left out, counts with loss 0, or is refused.
    reduction : {"mean", "sum", "none"}
        Return the mean, the sum over lists, or one value for each list.
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
        of offsets. 0.0 where there are fewer than two items.
    grads : ScoreGrads
        With `return_grad`: the named tuple ``(scores,)``, in the order and dtype of the scores (float64 for integers).

    Raises
    ------
    TypeError
        If a dtype cannot be used, or not exactly one of relevance and order is given.
    ValueError
        If shapes do not match, order is no permutation, ties are random without a seed, a weight is negative or not
        finite, or an option is unknown or out of range.

    See Also
    --------
    fastpair.losses.listnet : The whole distribution of the first place.

    Notes
    -----
    With the items :math:`\pi_1, \pi_2, \dots, \pi_n` of a list in the right order,

    .. math:: S = \sum_k \left(\log \sum_{j \ge k} e^{s_{\pi_j}} - s_{\pi_k}\right) .

    Equal scores give :math:`\log n!`, two items `ranknet`. Of m items that are tied, "average" takes the r-th (from 0)
    against a share of 1 - r / m of all m, which is the average over their orders to first order [3]_.

    A NaN score makes its list NaN. Cost: O(n) after a sort of each list by relevance. Memory: O(n).

    ``list_mle`` is another name of this function.

    References
    ----------
    .. [1] R. L. Plackett (1975). The analysis of permutations. Applied Statistics 24.
    .. [2] F. Xia, T.-Y. Liu, J. Wang, W. Zhang and H. Li (2008). Listwise approach to learning to rank: theory and
       algorithm. ICML.
    .. [3] B. Efron (1977). The efficiency of Cox's likelihood function for censored data. Journal of the American
       Statistical Association 72.

    Examples
    --------
    >>> import fastpair
    >>> fastpair.losses.plackett_luce([2.0, 1.0, 0.5], [2, 1, 0]).round(6)
    np.float64(0.938446)
    >>> fastpair.losses.plackett_luce([2.0, 1.0, 0.5], order=[2, 1, 0]).round(6)
    np.float64(3.27763)
    """
    if (relevance is None) == (order is None):
        raise TypeError("pass exactly one of relevance, a grade for each score, and order=, their indices best first")
    check_choice(ties, "ties", ("average", "index", "exclude", "random"))
    places = 0 if top_k is None else check_count(top_k, "top_k", 1)
    threads = check_num_threads(num_threads)
    values = parse_scores(scores)
    grades: _Array
    if order is not None:
        grades = _grades_of(order, len(values))
    else:
        grades = parse_companion(relevance, values, "relevance")  # type: ignore[arg-type]
        if ties == "random":
            grades = _shuffled(grades, seed)
            ties = "index"
    lists = parse_lists(groups, offsets, len(values))
    how = parse_reduction(
        lists.count,
        reduction=reduction,
        on_empty=on_empty,
        normalizer=normalizer,
        normalizers=("sum", "groups", "steps"),
        weights=weights,
        return_grad=return_grad,
        grad_output=grad_output,
    )
    sums, steps, gradient = kernels_of(values).plackett_luce(
        values, grades, lists.offsets, lists.rows, places, ties, how.return_grad, threads
    )
    return how.finish(lists, values, sums, steps, gradient)


list_mle = plackett_luce


def _grades_of(order: ArrayLike, count: int) -> _Ints:
    """Return grades that fall along the order."""
    indices = array_of(order, "order")
    if indices.shape != (count,) or (indices.dtype.kind not in "iu" and count):
        raise ValueError(
            f"order has dtype {indices.dtype} and shape {indices.shape}; pass the indices of all {count} scores"
        )
    indices = indices.astype(np.int64, copy=False)
    library: Any = library_of(indices)
    falling = library.arange(count - 1, -1, -1)
    grades: _Ints = library.full(count, -1, np.int64)
    # On a GPU one question, and more only if the answer is no.
    if library is not np and bool((np.sort(indices) == falling[::-1]).all()):
        grades[indices] = falling
        return grades
    if count and (indices.min() < 0 or indices.max() >= count):
        raise ValueError(
            f"order has indices from {indices.min()} to {indices.max()}; pass each of 0 to {count - 1} once"
        )
    grades[indices] = falling
    if count and grades.min() < 0:
        raise ValueError(f"order misses index {int(grades.argmin())}; pass each of 0 to {count - 1} once")
    return grades


def _shuffled(relevance: _Array, seed: Any) -> _Floats:
    """Return grades in which ties are broken at random."""
    if seed is None:
        raise ValueError("ties='random' needs seed=, an integer or a numpy.random.Generator")
    grades = relevance.astype(np.float64)
    library, unknown = library_of(grades), grades != grades
    draws = library.asarray(generator(seed).random(len(grades)))
    order = np.lexsort(np.stack((draws, np.where(unknown, -np.inf, grades))))
    shuffled = np.empty_like(grades)
    shuffled[order] = library.arange(len(grades))
    shuffled[unknown] = np.nan
    return shuffled
