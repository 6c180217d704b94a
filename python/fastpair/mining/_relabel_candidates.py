"""Positives, negatives and doubtful ones among ranked candidates: `relabel_candidates`."""

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import ArrayLike, array_of
from fastpair.mining._values import finite

__all__ = ["relabel_candidates"]

_Array: TypeAlias = npt.NDArray[Any]


def relabel_candidates(rank: ArrayLike, has_answer: ArrayLike, pos_index: ArrayLike) -> npt.NDArray[np.int8]:
    r"""Relabel ranked candidates: positive above the known positive, ignored where the answer is in them.

    Parameters
    ----------
    rank : array_like, shape (m,) or (n, m)
        The rank of each candidate in its list, smaller is better; any finite numbers that sort the candidates.
    has_answer : array_like of bool, of the shape of rank
        Whether a reader found the answer in a candidate.
    pos_index : int or array_like, shape (n,)
        The column of the known positive of each list.

    Returns
    -------
    ndarray of int8, of the shape of rank
        1 for positives, 0 for candidates to ignore, -1 for negatives.

    Raises
    ------
    TypeError
        If a dtype cannot be used.
    ValueError
        If a rank is NaN or infinite, shapes do not match, or a column does not exist.

    See Also
    --------
    fastpair.mining.false_negative_filter : Drop false negatives by their scores.

    Notes
    -----
    A candidate ranked above the known positive is positive, whether or not it has the answer; so is the known positive
    itself, wherever it is. Of the others, those with the answer are ignored and the rest is negative. A rank that is
    equal to that of the positive is not above it. The order that the ranks come from, commonly that of a language
    model, decides how far to trust the result.

    ``result > 0`` and ``result == 0`` are the masks that losses take as ``positives=`` and ``ignore=``.

    Cost: O(n m). Extra memory: masks of the size of the result.

    References
    ----------
    .. [1] Choi et al. (2026). ARHN: answer-centric relabeling of hard negatives with open-source LLMs for dense
       retrieval.

    Examples
    --------
    >>> import fastpair
    >>> fastpair.mining.relabel_candidates([1, 2, 3, 4], [False, False, True, False], 1)
    array([ 1,  1,  0, -1], dtype=int8)
    """
    single = np.ndim(array_of(rank, "rank")) == 1
    ranks = np.atleast_2d(finite(rank, "rank", 1 if single else 2))
    answers = array_of(has_answer, "has_answer")
    if answers.dtype != np.bool_:
        raise TypeError(f"has_answer has dtype {answers.dtype}; pass bool, for example has_answer > 0")
    answers = answers[np.newaxis] if single and answers.ndim == 1 else answers
    if answers.shape != ranks.shape:
        raise ValueError(f"has_answer has shape {np.shape(has_answer)}; pass that of rank, {np.shape(rank)}")
    columns = _columns(array_of(pos_index, "pos_index"), len(ranks), ranks.shape[1], single)
    rows = np.arange(len(ranks))
    above = ranks < ranks[rows, columns][:, np.newaxis]
    above[rows, columns] = True
    codes = np.where(above, np.int8(1), np.where(answers, np.int8(0), np.int8(-1)))
    return codes[0] if single else codes


def _columns(array: _Array, rows: int, columns: int, single: bool) -> _Array:
    """Return the column of the positive of each list."""
    if array.dtype.kind not in "iu" and array.size:
        raise TypeError(f"pos_index has dtype {array.dtype}; pass integers, the columns of the positives")
    if array.shape != (() if single else (rows,)):
        wanted = "an integer" if single else f"shape ({rows},), a column for each list"
        raise ValueError(f"pos_index has shape {array.shape}; pass {wanted}")
    flat = array.reshape(-1).astype(np.int64)
    strange = (flat < 0) | (flat >= columns)
    if strange.any():
        row = int(strange.argmax())
        raise ValueError(f"pos_index is {flat[row]} at index {row}, but there are {columns} candidates; begin at 0")
    return flat
