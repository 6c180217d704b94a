"""Each item of a list against all lower ones, with logits weighted by gaps of targets: `pro_rank`."""

from collections.abc import Iterator
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import ArrayLike
from fastpair._validate import check_number
from fastpair.losses._aligned import sigmoid
from fastpair.losses._graded import BEYOND, parse_graded, unsorted
from fastpair.losses._lists import Lists, OnEmpty, ReductionName

__all__ = ["pro_rank"]

_Floats: TypeAlias = npt.NDArray[np.float64]
_Ints: TypeAlias = npt.NDArray[np.int64]

MOST_PAIRS = 1 << 18
"""Pairs that `pro_rank` handles at a time."""

LEAST_GAP = 1e-8
"""Targets that differ by no more than this make no pair in `pro_rank`."""


def pro_rank(
    scores: ArrayLike,
    targets: ArrayLike,
    *,
    groups: ArrayLike | None = None,
    offsets: ArrayLike | None = None,
    temperature: float = 0.05,
    weights: ArrayLike | None = None,
    normalizer: Literal["groups", "steps", "sum"] = "groups",
    on_empty: OnEmpty = "skip",
    reduction: ReductionName = "mean",
    return_grad: bool = False,
    grad_output: ArrayLike | None = None,
) -> Any:
    r"""Compute the preference ranking loss: each item against all lower ones, weighted by their gaps.

    Parameters
    ----------
    scores : array_like, shape (n,)
        Predicted similarities.
    targets : array_like, shape (n,)
        Gold similarities, finite. NaN leaves the item out.
    groups : array_like, shape (n,), optional
        Ids of lists (integers or strings, in any order). Without these and `offsets` all scores are one list.
    offsets : array_like of int, shape (g + 1,), optional
        The same for lists that are contiguous: list ``i`` is ``scores[offsets[i]:offsets[i + 1]]``.
    temperature : float
        What divides the scores, positive.
    weights : array_like, shape (g,), optional
        A weight for each list, finite and not negative.
    normalizer : {"groups", "steps", "sum"}
        What the mean is taken over: lists, each with the mean over its steps; all steps of all lists; lists, each with
        the sum over its steps.
    on_empty : {"skip", "zero", "error"}
        What a list without two different targets does: it is left out, counts with loss 0, or is refused.
    reduction : {"mean", "sum", "none"}
        Return the mean, the sum over lists, or one value for each list.
    return_grad : bool
        Return the gradient as well.
    grad_output : array_like, shape (g,), optional
        For ``reduction="none"`` with `return_grad`, which needs it: the gradient with respect to each value.

    Returns
    -------
    value : numpy.float64 or ndarray
        The loss; for ``reduction="none"`` float64, shape (g,), in order of first appearance of the ids or in the order
        of offsets. 0.0 where targets do not differ.
    grads : ScoreGrads
        With `return_grad`: the named tuple ``(scores,)``, in the order and dtype of the scores (float64 for integers).

    Raises
    ------
    TypeError
        If a dtype cannot be used, or the temperature is not a number.
    ValueError
        If shapes do not match, a target is infinite, a weight is negative or not finite, or an option is unknown or out
        of range.

    See Also
    --------
    fastpair.losses.plackett_luce : Logits that are not weighted, in O(n).

    Notes
    -----
    Each item k whose target exceeds others by more than 1e-8 makes a step against all of these, :math:`J_k`. With the
    gaps :math:`w_{kj} = g_k - g_j`, the largest of them :math:`w_k` and the temperature t, a list has the loss

    .. math:: S = \sum_k \log\Big(1 + \sum_{j \in J_k} e^{(w_{kj} s_j - w_k s_k) / t}\Big) .

    Since logits are weighted, the loss changes if a constant is added to all scores. Weights, made of targets,
    carry no gradient. Infinite and NaN scores make their list NaN.

    Cost: O(n^2) for each list, a few exponentials for each pair. Memory: O(n), and some MiB.

    References
    ----------
    .. [1] F. Song et al. (2024). Preference ranking optimization for human alignment. AAAI.
    .. [2] B. Zhang et al. (2025). CoDiEmb: a collaborative yet distinct framework for unified representation learning
       in information retrieval and semantic textual similarity.

    Examples
    --------
    >>> import fastpair
    >>> fastpair.losses.pro_rank([0.9, 0.2, 0.5, 0.4], [5, 1, 3, 3], temperature=1).round(9)
    np.float64(0.376465659)
    """
    heat = check_number(temperature, "temperature", above=0)
    how: dict[str, Any] = {"weights": weights, "on_empty": on_empty, "reduction": reduction}
    how |= {"return_grad": return_grad, "grad_output": grad_output}
    values, gold, items, lists_to_value = parse_graded(
        scores,
        targets,
        groups,
        offsets,
        finite=True,
        **how,
        normalizer=normalizer,
        normalizers=("groups", "steps", "sum"),
    )
    lists, order = items.lists, items.lists.descending(gold)
    raw, gold = items.take(values)[order], gold[order]
    with np.errstate(over="ignore"):
        logits = np.where(np.isfinite(raw), np.clip(raw / heat, -BEYOND, BEYOND), np.nan)
    losses, slopes = np.zeros(len(raw)), np.zeros(len(raw))
    firsts, ends = _first_lower(lists, gold), lists.spread(lists.offsets[1:])
    for steps, others, starts in _blocks(firsts, ends):
        counts = ends[steps] - firsts[steps]
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            gaps = np.minimum(np.repeat(gold[steps], counts) - gold[others], BEYOND)
            widest = gaps[np.append(starts[1:], len(others)) - 1]
            rivals = gaps * logits[others]
            top = np.maximum.reduceat(rivals, starts)
            shares = np.exp(rivals - np.repeat(top, counts))
            total = np.add.reduceat(shares, starts)
            behind = top + np.log(total) - widest * logits[steps]
            losses[steps] = np.logaddexp(0.0, behind)
            pull = sigmoid(behind)
            slopes[steps] -= widest * pull
            shares *= gaps * np.repeat(pull / total, counts)
        low = int(others.min())
        part = np.bincount(others - low, shares)
        slopes[low : low + len(part)] += part
    sums = lists.sum(losses)
    return items.finish(lists_to_value, values, sums, lists.sum(firsts < ends), unsorted(slopes / heat, order))


def _first_lower(lists: Lists, gold: _Floats) -> _Ints:
    """Return for each element of descending lists the first that is lower by more than the least gap, or the end."""
    low, high = np.arange(len(gold)) + 1, lists.spread(lists.offsets[1:])
    while (open_ := np.flatnonzero(low < high)).size:
        middle = (low[open_] + high[open_]) // 2
        with np.errstate(over="ignore"):
            lower = gold[open_] - gold[middle] > LEAST_GAP
        high[open_[lower]] = middle[lower]
        low[open_[~lower]] = middle[~lower] + 1
    return low


def _blocks(firsts: _Ints, ends: _Ints) -> Iterator[tuple[_Ints, _Ints, _Ints]]:
    """Step through blocks of rows that have columns from `firsts` to `ends`.

    Yields the rows, the columns of all of them one after the other, and where those of each row begin.
    """
    rows = np.flatnonzero(firsts < ends)
    cells = np.zeros(len(rows) + 1, np.int64)
    np.cumsum(ends[rows] - firsts[rows], out=cells[1:])
    begin = 0
    while begin < len(rows):
        end = max(begin + 1, int(np.searchsorted(cells, cells[begin] + MOST_PAIRS, "right")) - 1)
        part, starts = rows[begin:end], cells[begin:end] - cells[begin]
        columns = np.arange(cells[end] - cells[begin]) + np.repeat(
            firsts[part] - starts, np.diff(cells[begin : end + 1])
        )
        yield part, columns, starts
        begin = end
