"""Ranks that are smooth functions of the scores: `soft_rank` and its vector-Jacobian product."""

from typing import Any, NamedTuple, SupportsIndex, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import ArrayLike, kernels_of, on_gpu_too
from fastpair._validate import check_num_threads, check_number, in_dtype_of
from fastpair.losses._lists import Lists, parse_companion, parse_lists, parse_scores

__all__ = ["Ranker", "check_rtol", "soft_rank", "soft_rank_vjp"]

_Array: TypeAlias = npt.NDArray[Any]
_Floats: TypeAlias = npt.NDArray[np.float64]


class Ranker(NamedTuple):
    """How ranks are made soft."""

    temperature: float
    rtol: float
    num_threads: int | None

    @classmethod
    def parse(cls, temperature: float, rtol: float, num_threads: SupportsIndex | None) -> "Ranker":
        """Check the options."""
        return cls(check_number(temperature, "temperature", above=0), check_rtol(rtol), check_num_threads(num_threads))

    def ranks(self, scores: _Array, lists: Lists) -> _Floats:
        """Return the rank of each score in its list."""
        ranks: _Floats = kernels_of(scores).soft_rank(scores, lists.offsets, lists.rows, *self)
        return ranks

    def pull(self, scores: _Array, lists: Lists, upstream: _Floats) -> _Floats:
        """Return the gradient with respect to the scores from that with respect to the ranks."""
        pulled: _Floats = kernels_of(scores).soft_rank_vjp(scores, upstream, lists.offsets, lists.rows, *self)
        return pulled


@on_gpu_too
def soft_rank(
    scores: ArrayLike,
    *,
    temperature: float = 1.0,
    groups: ArrayLike | None = None,
    offsets: ArrayLike | None = None,
    rtol: float = 1e-12,
    num_threads: SupportsIndex | None = None,
) -> _Floats:
    r"""Compute smooth ranks of the scores of each list, the highest score first.

    Parameters
    ----------
    scores : array_like, shape (n,)
        Real scores.
    temperature : float
        What divides the differences of scores, positive. The smaller, the closer to the true ranks.
    groups : array_like, shape (n,), optional
        Ids of lists (integers or strings, in any order). Without these and `offsets` all scores are one list.
    offsets : array_like of int, shape (g + 1,), optional
        The same for lists that are contiguous: list ``i`` is ``scores[offsets[i]:offsets[i + 1]]``.
    rtol : float
        The relative error that ranks may have, from 1e-13 to 1e-2. Larger is faster.
    num_threads : int, optional
        The most threads to use; by default `fastpair.get_num_threads`.

    Returns
    -------
    ndarray, shape (n,)
        The ranks, float64, from 1 to the number of scores in the list.

    Raises
    ------
    TypeError
        If a dtype cannot be used.
    ValueError
        If shapes do not match, or an option is out of range.

    See Also
    --------
    soft_rank_vjp : Gradients of what is computed from the ranks.
    fastpair.losses.smooth_ap : Average precision on soft ranks.
    fastpair.losses.approx_ndcg : NDCG on soft ranks.

    Notes
    -----
    With the temperature t and the logistic function :math:`\sigma`, over the scores of the own list,

    .. math:: r_i = 1 + \sum_{j \ne i} \sigma\left(\frac{s_j - s_i}{t}\right) .

    As t tends to 0, these are the ranks, the mean rank for ties. Their sum is n (n + 1) / 2 at any temperature. Equal
    infinite scores differ by 0; a NaN score makes the ranks of its list NaN.

    Sums go through boxes of nearby scores with Chebyshev expansions, near boxes directly and far ones by exponentials.
    All terms are positive, and each rank has a relative error of at most rtol. Cost and memory: O(n).

    References
    ----------
    .. [1] T. Qin, T.-Y. Liu and H. Li (2010). A general approximation framework for direct optimization of information
       retrieval measures. Information Retrieval 13.
    .. [2] A. Brown, W. Xie, V. Kalogeiton and A. Zisserman (2020). Smooth-AP: smoothing the path towards large-scale
       image retrieval. ECCV.

    Examples
    --------
    >>> import fastpair
    >>> fastpair.losses.soft_rank([3.0, 1.0, 2.0], temperature=0.1).round(3)
    array([1., 3., 2.])
    >>> fastpair.losses.soft_rank([3.0, 1.0, 2.0]).round(3)
    array([1.388, 2.612, 2.   ])
    """
    values = parse_scores(scores)
    ranker = Ranker.parse(temperature, rtol, num_threads)
    return ranker.ranks(values, parse_lists(groups, offsets, len(values)))


@on_gpu_too
def soft_rank_vjp(
    scores: ArrayLike,
    upstream: ArrayLike,
    *,
    temperature: float = 1.0,
    groups: ArrayLike | None = None,
    offsets: ArrayLike | None = None,
    rtol: float = 1e-12,
    num_threads: SupportsIndex | None = None,
) -> _Array:
    r"""Compute the gradient with respect to the scores of what is computed from their soft ranks.

    Parameters
    ----------
    scores : array_like, shape (n,)
        Real scores, as for `soft_rank`.
    upstream : array_like, shape (n,)
        The gradient with respect to each rank.
    temperature : float
        What divides the differences of scores, positive.
    groups : array_like, shape (n,), optional
        Ids of lists (integers or strings, in any order). Without these and `offsets` all scores are one list.
    offsets : array_like of int, shape (g + 1,), optional
        The same for lists that are contiguous: list ``i`` is ``scores[offsets[i]:offsets[i + 1]]``.
    rtol : float
        The relative error that sums may have, from 1e-13 to 1e-2. Larger is faster.
    num_threads : int, optional
        The most threads to use; by default `fastpair.get_num_threads`.

    Returns
    -------
    ndarray, shape (n,)
        The vector-Jacobian product, in the dtype of the scores (float64 for integers).

    Raises
    ------
    TypeError
        If a dtype cannot be used.
    ValueError
        If shapes do not match, or an option is out of range.

    See Also
    --------
    soft_rank : The ranks.

    Notes
    -----
    With the upstream gradient u, the temperature t and :math:`\sigma' = \sigma (1 - \sigma)`,

    .. math:: g_j = \frac{1}{t} \sum_i (u_i - u_j) \, \sigma'\left(\frac{s_j - s_i}{t}\right) .

    The two sums have a relative error of at most rtol each, of the sum of the sizes of their terms. Gradients of a list
    add up to 0. Cost and memory: O(n).

    References
    ----------
    .. [1] T. Qin, T.-Y. Liu and H. Li (2010). A general approximation framework for direct optimization of information
       retrieval measures. Information Retrieval 13.

    Examples
    --------
    The gradient of the rank of the first score:

    >>> import fastpair
    >>> fastpair.losses.soft_rank_vjp([3.0, 1.0, 2.0], [1.0, 0.0, 0.0]).round(3)
    array([-0.302,  0.105,  0.197])
    """
    values = parse_scores(scores)
    onward = parse_companion(upstream, values, "upstream").astype(np.float64, copy=False)
    ranker = Ranker.parse(temperature, rtol, num_threads)
    slopes = ranker.pull(values, parse_lists(groups, offsets, len(values)), onward)
    return in_dtype_of(slopes, values)


def check_rtol(rtol: float) -> float:
    """Return the accuracy of sums over all pairs."""
    return check_number(rtol, "rtol", least=1e-13, most=1e-2)
