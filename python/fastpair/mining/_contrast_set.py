"""A few of many candidates to learn a ranking from: `select_contrast_set`."""

from typing import Literal, SupportsIndex, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import ArrayLike
from fastpair._embeddings import check_count, check_flag
from fastpair._validate import check_choice
from fastpair.mining._values import finite, finite_per_row

__all__ = ["select_contrast_set"]

_Floats: TypeAlias = npt.NDArray[np.float64]
_Ints: TypeAlias = npt.NDArray[np.int64]


def select_contrast_set(
    values: ArrayLike,
    k: SupportsIndex,
    *,
    by: Literal["margin", "diversity", "surprise", "length"] = "margin",
    largest: bool = True,
    model_scores: ArrayLike | None = None,
) -> _Ints:
    r"""Select k candidates of one example by margin, diversity, surprise or length.

    Parameters
    ----------
    values : array_like, shape (c,) or (c, c)
        What `by` needs: the quality of each candidate for "margin" and "surprise", their lengths for "length", and the
        similarity of each candidate to each for "diversity".
    k : int
        How many candidates to select, from 1 to c.
    by : {"margin", "diversity", "surprise", "length"}
        What is to be large, see the notes.
    largest : bool
        Whether it is to be large, or small.
    model_scores : array_like, shape (c,), optional
        For "surprise", which needs it: the score that the model gives each candidate, such as its log likelihood.

    Returns
    -------
    ndarray of int64, shape (k,)
        The selected candidates, ascending.

    Raises
    ------
    TypeError
        If a dtype cannot be used, or k is not an integer.
    ValueError
        If a value is NaN or infinite, shapes do not match, k is out of range, or a criterion lacks what it needs.

    See Also
    --------
    fastpair.losses.margin_ranking : A loss to learn the ranking with.

    Notes
    -----
    * "margin": the sum of the differences of quality over all pairs of selected candidates. It is largest for the
      extremes, one half from either end (an odd one from the top), and smallest for some k neighbours in sorted order.
    * "diversity": minus the sum of similarities over all pairs, found greedily: first the best pair, then one candidate
      after the other; similarities of both directions are averaged.
    * "surprise": the difference of a candidate's rank by quality and its rank by model score (equal values share the
      mean of their ranks), for each candidate alone.
    * "length": the length, for each candidate alone.

    Equally good candidates go by the lowest index.

    Cost: O(c log c), for small margins O(c k), for diversity O(c^2). Extra memory: O(c), for diversity O(c^2).

    References
    ----------
    .. [1] G. Adams et al. (2023). What are the desired characteristics of calibration sets? Identifying correlates on
       long form scientific summarization. ACL.

    Examples
    --------
    >>> import fastpair
    >>> quality = [0.1, 0.5, 0.9, 0.45, 0.3]
    >>> fastpair.mining.select_contrast_set(quality, 3)
    array([0, 1, 2])
    >>> fastpair.mining.select_contrast_set(quality, 2, largest=False)
    array([1, 3])
    >>> fastpair.mining.select_contrast_set(quality, 1, by="surprise", model_scores=[5, 2, 1, 3, 4])
    array([0])
    """
    check_choice(by, "by", ("margin", "diversity", "surprise", "length"))
    floats = finite(values, "values", 2 if by == "diversity" else 1)
    if by == "diversity" and floats.shape[0] != floats.shape[1]:
        raise ValueError(f"values has shape {floats.shape}; pass a square, the similarity of each candidate to each")
    count = check_count(k, "k", 1)
    if count > len(floats):
        raise ValueError(f"k is {count}, but there are {len(floats)} candidates; pass at most that")
    check_flag(largest, "largest")
    if (model_scores is None) == (by == "surprise"):
        needed = "is None, but by='surprise' needs it" if by == "surprise" else f"is for by='surprise', not {by!r}"
        raise ValueError(f"model_scores {needed}")
    if by == "diversity":
        found = _diverse((floats + floats.T) / 2 * (1 if largest else -1), count)
    elif by == "margin":
        found = _extremes(floats, count) if largest else _neighbours(floats, count)
    else:
        if model_scores is not None:
            floats = np.abs(_ranks(floats) - _ranks(finite_per_row(model_scores, len(floats), "model_scores")))
        found = np.argsort(-floats if largest else floats, kind="stable")[:count]
    return np.sort(found).astype(np.int64)


def _extremes(values: _Floats, count: int) -> _Ints:
    low = np.argsort(values, kind="stable")[: count // 2]
    rest = np.setdiff1d(np.arange(len(values)), low)
    high = rest[np.argsort(-values[rest], kind="stable")[: count - count // 2]]
    return np.concatenate([low, high])


def _neighbours(values: _Floats, count: int) -> _Ints:
    order = np.argsort(values, kind="stable")
    # In ascending order the i-th of k values is added i times and taken off k - 1 - i times.
    factors = 2.0 * np.arange(count) - (count - 1)
    sums = np.correlate(values[order] - values.mean(), factors, "valid")
    begin = int(sums.argmin())
    return order[begin : begin + count]


def _diverse(similarities: _Floats, count: int) -> _Ints:
    """Return candidates with a small sum of similarities, chosen one after the other."""
    open_pairs = similarities.copy()
    np.fill_diagonal(open_pairs, np.inf)
    if count == 1:
        np.fill_diagonal(open_pairs, 0)
        return np.array([open_pairs.sum(axis=1).argmin()])
    chosen = [int(index) for index in np.unravel_index(open_pairs.argmin(), open_pairs.shape)]
    sums = open_pairs[chosen[0]] + open_pairs[chosen[1]]  # inf where chosen
    while len(chosen) < count:
        chosen.append(int(sums.argmin()))
        sums += open_pairs[chosen[-1]]
    return np.array(chosen)


def _ranks(values: _Floats) -> _Floats:
    """Return ranks from 0, the mean of the places of equal values."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return np.asarray((ends - (counts + 1) / 2)[places.reshape(-1)])
