"""Classes left out until the best one is certain: `shrink_classes`."""

from typing import NamedTuple, SupportsIndex, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import ArrayLike
from fastpair._embeddings import check_count, embeddings
from fastpair._validate import check_not_negative, check_number
from fastpair.mining._values import blocks

__all__ = ["ShrunkClasses", "shrink_classes"]

_Floats: TypeAlias = npt.NDArray[np.float64]
_Ints: TypeAlias = npt.NDArray[np.int64]
_Bools: TypeAlias = npt.NDArray[np.bool_]


class ShrunkClasses(NamedTuple):
    """Which classes remain in each row, the weight of the row, and the rank from which classes remain (0: none)."""

    mask: _Bools
    weights: _Floats
    ranks: _Ints


def shrink_classes(probabilities: ArrayLike, *, threshold: float = 0.95, first: SupportsIndex = 3) -> ShrunkClasses:
    r"""Leave out the runners-up of each row until the best class is certain among what remains.

    Parameters
    ----------
    probabilities : array_like, shape (n, c)
        The probability of each class, not negative.
    threshold : float
        The share that makes the best class certain, above 0 and at most 1.
    first : int
        The rank from which classes may remain at the earliest, at least 2; 3 leaves out the second class at least.

    Returns
    -------
    ShrunkClasses
        The named tuple ``(mask, weights, ranks)``: bool, shape (n, c), the classes that remain; float64, shape (n,),
        the probability of the best class; int64, shape (n,), the rank from which others remain, the best class being
        1. Where the share is never reached, the mask is False, weight and rank are 0.

    Raises
    ------
    TypeError
        If a dtype cannot be used, or an option is not a number.
    ValueError
        If a probability is negative, NaN or infinite, or an option is out of range.

    See Also
    --------
    fastpair.losses.supcon : A loss with labels, for rows that have become certain.

    Notes
    -----
    With probabilities :math:`p_1 \ge p_2 \ge \dots`, classes of rank c and beyond remain beside the best, for the
    smallest :math:`c \ge` `first` with :math:`p_1 / (p_1 + \sum_{r \ge c} p_r) \ge` `threshold`. One class of another
    rank must remain. Sums are taken from the smallest probability on, so one pass finds what a loop over c finds. Equal
    probabilities are ranked by index. Rows that are certain as they are need no shrinking: leave them out yourself.

    Cost: O(n c log c). Extra memory: some MiB beside the result.

    References
    ----------
    .. [1] L. Yang et al. (2023). Shrinking class space for enhanced certainty in semi-supervised learning. ICCV.

    Examples
    --------
    >>> import fastpair
    >>> found = fastpair.mining.shrink_classes([[0.6, 0.35, 0.03, 0.02], [0.3, 0.3, 0.2, 0.2]], threshold=0.9)
    >>> found.mask
    array([[ True, False,  True,  True],
           [False, False, False, False]])
    >>> found.weights, found.ranks
    (array([0.6, 0. ]), array([3, 0]))
    """
    values = embeddings(probabilities, "probabilities", "dot")
    check_not_negative(values, "probabilities")
    share = check_number(threshold, "threshold", above=0, most=1)
    start = check_count(first, "first", 2)
    rows, classes = values.shape
    mask, weights, ranks = np.zeros((rows, classes), np.bool_), np.zeros(rows), np.zeros(rows, np.int64)
    if classes < start:
        return ShrunkClasses(mask, weights, ranks)
    for part in blocks(rows, classes):
        block = np.asarray(values[part], np.float64)
        order = np.argsort(-block, axis=1, kind="stable")
        ranked = np.take_along_axis(block, order, axis=1)
        tails = np.cumsum(ranked[:, : start - 2 : -1], axis=1)[:, ::-1]
        best = ranked[:, :1]
        total = best + tails
        met = np.divide(best, total, out=np.zeros(total.shape), where=total > 0) >= share
        found = np.flatnonzero(met.any(axis=1))
        begin = start + met[found].argmax(axis=1)
        remains = np.arange(1, classes + 1) >= begin[:, np.newaxis]
        remains[:, 0] = True
        kept = np.zeros(remains.shape, np.bool_)
        np.put_along_axis(kept, order[found], remains, axis=1)
        places = found + part.start
        mask[places], weights[places], ranks[places] = kept, best[found, 0], begin
    return ShrunkClasses(mask, weights, ranks)
