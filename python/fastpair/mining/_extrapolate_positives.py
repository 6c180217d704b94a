"""Transformed features for contrast: `extrapolate_positives` and `interpolate_negatives`."""

from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import ArrayLike, array_of
from fastpair._embeddings import check_flag
from fastpair._random import Seed, generator
from fastpair._validate import check_number, in_dtype_of
from fastpair.mining._shares import embeddings_of_floats, normalized, parse_shares

__all__ = ["ExtrapolatedPositives", "InterpolatedNegatives", "extrapolate_positives", "interpolate_negatives"]

_Array: TypeAlias = npt.NDArray[Any]
_Floats: TypeAlias = npt.NDArray[np.float64]
_Ints: TypeAlias = npt.NDArray[np.int64]


class ExtrapolatedPositives(NamedTuple):
    """Both sides of the pairs after they were pushed apart, and the factors: (n,), or (n, d) per dimension."""

    query: _Array
    key: _Array
    factors: _Floats


class InterpolatedNegatives(NamedTuple):
    """The mixed queue, which row was mixed into each, and the share of the row itself: (n,), or (n, d)."""

    negatives: _Array
    permutation: _Ints
    shares: _Floats


def extrapolate_positives(
    query: ArrayLike,
    key: ArrayLike,
    factors: ArrayLike | None = None,
    *,
    alpha: float = 2.0,
    per_dimension: bool = False,
    normalize: bool = False,
    seed: Seed = None,
) -> ExtrapolatedPositives:
    r"""Push the two sides of positive pairs apart along the line through both.

    Parameters
    ----------
    query : array_like, shape (n, d)
        One side of the pairs: floats of 16 to 64 bits, or integers.
    key : array_like, shape (n, d)
        The other side.
    factors : float or array_like, shape (n,) or (n, d), optional
        The factor of each pair, or of each dimension, at least 1; by default draws from 1 + Beta(alpha, alpha).
    alpha : float
        Both parameters of that distribution, positive.
    per_dimension : bool
        Draw a factor for each dimension of a pair instead of one.
    normalize : bool
        Divide the results by their norms.
    seed : int, numpy.random.Generator or None
        Where the draws begin; None takes fresh ones.

    Returns
    -------
    ExtrapolatedPositives
        The named tuple ``(query, key, factors)``: both sides in their dtypes (float64 for integers), and float64.

    Raises
    ------
    TypeError
        If a dtype cannot be used, or an option has the wrong type.
    ValueError
        If shapes do not match, a number is NaN or infinite, or a factor is below 1.

    See Also
    --------
    fastpair.mining.interpolate_negatives : The counterpart for negatives.

    Notes
    -----
    With the factor :math:`\lambda \ge 1`, :math:`q' = \lambda q + (1 - \lambda) k` and
    :math:`k' = \lambda k + (1 - \lambda) q`: their sum stays, their difference grows by :math:`2 \lambda - 1`. For unit
    vectors with the score s, and one factor for all dimensions, the new score is
    :math:`2 \lambda (1 - \lambda) + (1 - 2 \lambda (1 - \lambda)) s \le s`, so the positive gets harder. Everything is
    detached: nothing here has a gradient.

    Cost: O(n d). Peak extra memory: some copies of the input in float64.

    References
    ----------
    .. [1] R. Zhu et al. (2021). Improving contrastive learning by visualizing feature transformation. ICCV.

    Examples
    --------
    >>> from fastpair import mining
    >>> mining.extrapolate_positives([[1.0, 0.0]], [[0.0, 1.0]], 1.5)
    ExtrapolatedPositives(query=array([[ 1.5, -0.5]]), key=array([[-0.5,  1.5]]), factors=array([1.5]))
    """
    q_given, q = embeddings_of_floats(query, "query")
    k_given, k = embeddings_of_floats(key, "key")
    if q.shape != k.shape:
        raise ValueError(f"query has shape {q.shape} but key has {k.shape}; pass a key for each query")
    each, unit = check_flag(per_dimension, "per_dimension"), check_flag(normalize, "normalize")
    both = check_number(alpha, "alpha", above=0)
    factor = parse_shares(factors, "factors", _shape(q), each, both, generator(seed), 1.0, np.inf)
    apart_q, apart_k = q + (factor - 1) * (q - k), k + (factor - 1) * (k - q)
    return ExtrapolatedPositives(
        in_dtype_of(normalized(apart_q, unit), q_given),
        in_dtype_of(normalized(apart_k, unit), k_given),
        _as_given(factor, each),
    )


def interpolate_negatives(
    queue: ArrayLike,
    shares: ArrayLike | None = None,
    *,
    alpha: float = 1.6,
    per_dimension: bool = False,
    permutation: ArrayLike | None = None,
    normalize: bool = False,
    seed: Seed = None,
) -> InterpolatedNegatives:
    r"""Mix each row of a queue of negatives with another one, by a random permutation.

    Parameters
    ----------
    queue : array_like, shape (n, d)
        Negatives: floats of 16 to 64 bits, or integers.
    shares : float or array_like, shape (n,) or (n, d), optional
        The share of each row in its mixture, or of each dimension, between 0 and 1; by default draws from
        Beta(alpha, alpha).
    alpha : float
        Both parameters of that distribution, positive.
    per_dimension : bool
        Draw a share for each dimension of a row instead of one.
    permutation : array_like of int, shape (n,), optional
        Which row is mixed into each, in place of a random permutation.
    normalize : bool
        Divide the results by their norms.
    seed : int, numpy.random.Generator or None
        Where the draws begin; None takes fresh ones.

    Returns
    -------
    InterpolatedNegatives
        The named tuple ``(negatives, permutation, shares)``: the mixed queue in its dtype (float64 for integers), int64
        and float64.

    Raises
    ------
    TypeError
        If a dtype cannot be used, or an option has the wrong type.
    ValueError
        If a number is NaN or infinite, a share is not between 0 and 1, or the permutation does not have each row once.

    See Also
    --------
    fastpair.mining.mix_hard_negatives : Mixtures of the hardest negatives of each query.

    Notes
    -----
    Row i becomes :math:`\lambda_i n_i + (1 - \lambda_i) n_{\pi(i)}`. Every row is used twice, so the mean of the queue
    stays where it is on average, with negatives in places where no real one was. Everything is detached.

    Cost: O(n d). Peak extra memory: some copies of the input in float64.

    References
    ----------
    .. [1] R. Zhu et al. (2021). Improving contrastive learning by visualizing feature transformation. ICCV.

    Examples
    --------
    >>> from fastpair import mining
    >>> mining.interpolate_negatives([[1.0, 0.0], [0.0, 1.0]], [0.75, 1.0], permutation=[1, 0]).negatives
    array([[0.75, 0.25],
           [0.  , 1.  ]])
    """
    given, rows = embeddings_of_floats(queue, "queue")
    each, unit = check_flag(per_dimension, "per_dimension"), check_flag(normalize, "normalize")
    both, rng = check_number(alpha, "alpha", above=0), generator(seed)
    share = parse_shares(shares, "shares", _shape(rows), each, both, rng)
    order = rng.permutation(len(rows)) if permutation is None else _parse_permutation(permutation, len(rows))
    mixed = share * rows + (1 - share) * rows[order]
    return InterpolatedNegatives(
        in_dtype_of(normalized(mixed, unit), given), order.astype(np.int64), _as_given(share, each)
    )


def _parse_permutation(permutation: ArrayLike, count: int) -> _Array:
    array = array_of(permutation, "permutation")
    if array.shape != (count,) or (array.dtype.kind not in "iu" and count):
        raise ValueError(
            f"permutation has shape {array.shape} and dtype {array.dtype}; pass {count} integers, each row once"
        )
    if not np.array_equal(np.sort(array), np.arange(count)):
        raise ValueError(f"permutation does not have each of 0 to {count - 1} once; pass numpy's permutation({count})")
    return array.astype(np.int64)


def _shape(rows: _Floats) -> tuple[int, int]:
    return rows.shape[0], rows.shape[1]


def _as_given(shares: _Floats, per_dimension: bool) -> _Floats:
    """Return one number for each row without a second dimension."""
    return shares[:, 0] if shares.shape[1] == 1 and not per_dimension else shares
