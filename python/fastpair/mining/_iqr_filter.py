"""Outliers by the whiskers of a box plot: `iqr_filter`."""

from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import ArrayLike, array_of
from fastpair._embeddings import numbers
from fastpair._validate import check_number
from fastpair.mining._values import finite

__all__ = ["IqrFilter", "index_quantile", "iqr_filter", "whiskers"]

_Floats: TypeAlias = npt.NDArray[np.float64]
_Ints: TypeAlias = npt.NDArray[np.int64]
_Bools: TypeAlias = npt.NDArray[np.bool_]


class IqrFilter(NamedTuple):
    """Which values are within the whiskers, and where these end."""

    keep: _Bools
    low: Any
    high: Any


def iqr_filter(values: ArrayLike, ratio: float = 1.5, *, mask: ArrayLike | None = None) -> IqrFilter:
    r"""Keep the values that lie within the interquartile whiskers of their row.

    Parameters
    ----------
    values : array_like, shape (l,) or (n, l)
        Finite numbers, such as similarities of negative pairs; with two dimensions each row is filtered by itself.
    ratio : float
        The length of a whisker in interquartile ranges, not negative; commonly 1.0 or 1.5.
    mask : array_like of bool, of the shape of values, optional
        Which values count. The others have no say in the quartiles and are not kept.

    Returns
    -------
    IqrFilter
        The named tuple ``(keep, low, high)``: a bool for each value, and the ends of the whiskers, float64, of shape
        (n,) or, for one dimension, single numbers. They are NaN where nothing counts.

    Raises
    ------
    TypeError
        If a dtype cannot be used, or the ratio is not a number.
    ValueError
        If a value is NaN or infinite, the ratio is negative, or the mask has another shape.

    See Also
    --------
    fastpair.mining.false_negative_filter : This and other rules for a matrix of similarities.

    Notes
    -----
    Quartiles are values, without interpolation: of the l sorted values, :math:`q_1` is the one with index
    :math:`\lfloor l / 4 \rfloor` and :math:`q_3` that with index :math:`\lfloor 3 l / 4 \rfloor`, counted from 0. What
    lies in :math:`[q_1 - r (q_3 - q_1),\ q_3 + r (q_3 - q_1)]`, borders included, is kept. It is applied to the
    similarities of negative pairs before a loss, where outliers at the top are commonly false negatives [1]_.

    Cost: O(n l log l). Extra memory: a sorted copy in float64.

    References
    ----------
    .. [1] J. Jung et al. (2022). Unified negative pair generation toward well-discriminative feature space for face
       recognition. BMVC.

    Examples
    --------
    >>> import fastpair
    >>> found = fastpair.mining.iqr_filter([0.1, 0.12, 0.15, 0.2, 0.22, 0.25, 0.3, 0.95])
    >>> found.keep
    array([ True,  True,  True,  True,  True,  True,  True, False])
    >>> found.low.round(3), found.high.round(3)
    (np.float64(-0.075), np.float64(0.525))
    """
    array = numbers(values, "values", "dot")
    if array.ndim not in (1, 2):
        raise ValueError(f"values has shape {array.shape}; pass one dimension, or two with a row for each list")
    number = check_number(ratio, "ratio", least=0)
    floats = np.atleast_2d(finite(array, "values", array.ndim))
    counts = np.ones(floats.shape, np.bool_)
    if mask is not None:
        given = array_of(mask, "mask")
        if given.dtype != np.bool_ or given.shape != array.shape:
            raise ValueError(
                f"mask has shape {given.shape} and dtype {given.dtype}; pass a bool for each value, shape {array.shape}"
            )
        counts = np.atleast_2d(given)
    ordered = np.sort(np.where(counts, floats, np.inf), axis=1)
    low, high = whiskers(ordered, np.count_nonzero(counts, axis=1), number)
    with np.errstate(invalid="ignore"):
        keep = counts & (floats >= low[:, np.newaxis]) & (floats <= high[:, np.newaxis])
    return IqrFilter(keep, low, high) if array.ndim == 2 else IqrFilter(keep[0], low[0], high[0])


def whiskers(ordered: _Floats, lengths: _Ints, ratio: float) -> tuple[_Floats, _Floats]:
    """Return the ends of the whiskers of rows in ascending order, of which `lengths` values count; else NaN."""
    low, high = index_quantile(ordered, lengths, 0.25), index_quantile(ordered, lengths, 0.75)
    length = ratio * (high - low)
    return low - length, high + length


def index_quantile(ordered: _Floats, lengths: _Ints, share: float) -> _Floats:
    """Return the value with index floor(share * length) of each ascending row, at most the last; else NaN."""
    if not ordered.size:
        return np.full(len(ordered), np.nan)
    places = np.minimum((share * lengths).astype(np.int64), lengths - 1)
    found: _Floats = np.where(lengths > 0, ordered[np.arange(len(ordered)), places], np.nan)
    return found
