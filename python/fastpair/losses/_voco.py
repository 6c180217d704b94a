"""Positions of crops among base volumes: `voco`, and `base_decorrelation` of these."""

from typing import Any, NamedTuple, SupportsIndex, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import ArrayLike
from fastpair._embeddings import check_flag, embeddings, numbers
from fastpair._units import away_from_units, unit_rows
from fastpair._validate import check_not_negative, check_number, in_dtype_of
from fastpair.losses._embedding import parse_pairs
from fastpair.losses._tiles import stream

__all__ = ["BaseDecorrelationGrads", "VocoGrads", "base_decorrelation", "voco"]

_Array: TypeAlias = npt.NDArray[Any]
_Ints: TypeAlias = npt.NDArray[np.int64]


class VocoGrads(NamedTuple):
    """The gradients of `voco` with respect to crops and bases; the overlaps are constants."""

    x: _Array
    y: _Array


class BaseDecorrelationGrads(NamedTuple):
    """The gradient of `base_decorrelation` with respect to the bases."""

    x: _Array


def voco(
    x: ArrayLike,
    y: ArrayLike,
    overlaps: ArrayLike,
    *,
    eps: float = 1e-6,
    return_grad: bool = False,
    num_threads: SupportsIndex | None = None,
    max_memory: SupportsIndex | None = None,
) -> Any:
    r"""Compute how well the similarities of crops and bases say how much these overlap.

    Parameters
    ----------
    x : array_like, shape (n, d)
        Embeddings of crops.
    y : array_like, shape (m, d)
        Embeddings of the base volumes.
    overlaps : array_like, shape (n, m)
        The share of each crop in each base, between 0 and 1. Between volumes these are a teacher's similarities.
    eps : float
        What is added inside of logarithms, positive.
    return_grad : bool
        Return the gradients as well.
    num_threads : int, optional
        The most threads for similarities; by default `fastpair.get_num_threads`.
    max_memory : int, optional
        The most bytes of scratch beside input and output; by default 64 MiB.

    Returns
    -------
    value : numpy.float64
        The loss. About 0 if similarities and overlaps agree.
    grads : VocoGrads
        With `return_grad`: the named tuple ``(x, y)``, in the shapes and dtypes of the inputs (float64 for integers).

    Raises
    ------
    TypeError
        If a dtype cannot be used, or eps is not a number.
    ValueError
        If shapes do not match, an embedding is NaN or infinite, or an overlap is not between 0 and 1.

    See Also
    --------
    fastpair.losses.base_decorrelation : Keeps the bases apart.

    Notes
    -----
    With :math:`g = \max(0, \cos(x, y))` and the overlaps l

    .. math::
       -\frac{\sum l \log(1 - |l - g| + \varepsilon)}{\sum l}
       - \frac{\sum_{l = 0} \log(1 - g + \varepsilon)}{\#\{l = 0\}} .

    Sums are over all pairs; one that is empty counts 0. Where g is l, or a cosine 0, the derivative is 0.

    Cost: O(n m d). Extra memory: tiles of at most `max_memory`.

    References
    ----------
    .. [1] L. Wu, J. Zhuang and H. Chen (2024). Large-scale 3D medical image pre-training with geometric context priors.
       arXiv.

    Examples
    --------
    >>> import fastpair
    >>> fastpair.losses.voco([[0.6, 0.8]], [[1.0, 0.0], [0.0, 1.0]], [[0.6, 0.4]]).round(6)
    np.float64(0.204329)
    """
    shares = embeddings(overlaps, "overlaps", "dot")
    floor, wanted = check_number(eps, "eps", above=0), check_flag(return_grad, "return_grad")
    pairs = parse_pairs(x, embeddings(y, "y", "cosine"), None, "cosine", num_threads, max_memory)
    if shares.shape != pairs.shape:
        raise ValueError(f"overlaps has shape {shares.shape}; pass {pairs.shape}, a share for each pair")
    check_not_negative(shares, "overlaps")
    if shares.size and shares.max() > 1:
        raise ValueError(f"overlaps has entries up to {shares.max()}; pass shares between 0 and 1")
    total = float(shares.sum(dtype=np.float64))
    apart = int(shares.size - np.count_nonzero(shares))

    def tile(scores: _Array, places: _Ints) -> tuple[Any, ...]:
        given, own = scores.astype(np.float64), shares[places].astype(np.float64)
        likeness = np.clip(given, 0.0, 1.0)
        away = likeness - own
        inner = 1 - np.abs(away) + floor
        weights = own / total if total > 0 else np.zeros(own.shape)
        if apart:
            weights[own == 0] = 1 / apart
        slopes = np.where(given > 0, weights * np.sign(away) / inner, 0.0)
        return -(weights * np.log(inner)).sum(axis=1), slopes

    sums = stream(pairs, tile, np.ones(len(shares)) if wanted else None, arrays=9)
    value = np.float64(sums.values.sum())
    return (value, VocoGrads(sums.x, sums.y)) if wanted else value  # type: ignore[arg-type]


def base_decorrelation(x: ArrayLike, *, return_grad: bool = False) -> Any:
    r"""Compute the mean squared positive cosine of all pairs of bases.

    Parameters
    ----------
    x : array_like, shape (m, d) or (B, m, d)
        Embeddings of the bases, of one volume or of each of B.
    return_grad : bool
        Return the gradient as well.

    Returns
    -------
    value : numpy.float64
        The loss. 0.0 for fewer than two bases.
    grads : BaseDecorrelationGrads
        With `return_grad`: the named tuple ``(x,)``, in its shape and dtype (float64 for integers).

    Raises
    ------
    TypeError
        If a dtype cannot be used.
    ValueError
        If the array has another number of dimensions.

    See Also
    --------
    fastpair.losses.voco : The loss that it accompanies.

    Notes
    -----
    The mean over i < j of :math:`\max(0, \cos(x_i, x_j))^2`, and over volumes. Zero rows have cosines 0 and the
    gradient 0.

    Cost: O(B m² d). Extra memory: copies in float64 and the cosines.

    References
    ----------
    .. [1] L. Wu, J. Zhuang and H. Chen (2024). Large-scale 3D medical image pre-training with geometric context priors.
       arXiv.

    Examples
    --------
    >>> import fastpair
    >>> fastpair.losses.base_decorrelation([[1.0, 0.0], [0.6, 0.8], [-1.0, 0.0]]).round(6)
    np.float64(0.12)
    """
    rows = numbers(x, "x", "cosine")
    if rows.ndim not in (2, 3):
        raise ValueError(f"x has shape {rows.shape}; pass (m, d) or (B, m, d)")
    wanted = check_flag(return_grad, "return_grad")
    units, norms = unit_rows(rows)
    count = rows.shape[-2]
    share = 2 / max(rows.shape[0] if rows.ndim == 3 else 1, 1) / max(count * (count - 1), 1)
    cosines = np.maximum(units @ np.swapaxes(units, -1, -2), 0.0)
    cosines[..., np.arange(count), np.arange(count)] = 0.0
    value = np.float64(np.square(cosines).sum() * share / 2)
    if not wanted:
        return value
    slopes = 2 * share * (cosines @ units)
    return value, BaseDecorrelationGrads(in_dtype_of(away_from_units(slopes, units, norms), rows))
