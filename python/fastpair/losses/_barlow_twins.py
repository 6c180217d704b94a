"""Redundancy between the dimensions of embeddings of two views: `barlow_twins`, and `variance_hinge`."""

from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import ArrayLike
from fastpair._embeddings import check_flag, embeddings
from fastpair._validate import check_number, in_dtype_of

__all__ = ["BarlowTwinsGrads", "VarianceHingeGrads", "barlow_twins", "variance_hinge"]

_Array: TypeAlias = npt.NDArray[Any]
_Floats: TypeAlias = npt.NDArray[np.float64]


class BarlowTwinsGrads(NamedTuple):
    """The gradients of `barlow_twins` with respect to the embeddings of the two views."""

    z1: _Array
    z2: _Array


class VarianceHingeGrads(NamedTuple):
    """The gradient of `variance_hinge` with respect to the embeddings."""

    x: _Array


def barlow_twins(
    z1: ArrayLike,
    z2: ArrayLike,
    *,
    redundancy: float = 5e-3,
    scale: float = 0.025,
    eps: float = 0.0,
    return_grad: bool = False,
) -> Any:
    r"""Compute the redundancy reduction loss of the cross-correlation matrix of two views.

    Parameters
    ----------
    z1 : array_like, shape (n, d)
        Embeddings of the first view.
    z2 : array_like, shape (n, d)
        Embeddings of the same examples in the second view.
    redundancy : float
        The weight of the entries off the diagonal, not negative.
    scale : float
        The factor of the loss, not negative.
    eps : float
        What is added to the variances, not negative; batch normalisation has 1e-5.
    return_grad : bool
        Return the gradients as well.

    Returns
    -------
    value : numpy.float64
        The loss. 0.0 without rows.
    grads : BarlowTwinsGrads
        With `return_grad`: the named tuple ``(z1, z2)``, in the shapes and dtypes of the inputs (float64 for integers).

    Raises
    ------
    TypeError
        If a dtype cannot be used, or an option is not a number.
    ValueError
        If shapes do not match, or an option is out of range.

    See Also
    --------
    fastpair.losses.variance_hinge : The variance term of VICReg.

    Notes
    -----
    With the cross-correlation :math:`C = \hat z_1^\top \hat z_2 / n` of embeddings whose dimensions have been brought
    to mean 0 and variance 1 over the rows (population variance)

    .. math:: c \left(\sum_k (C_{kk} - 1)^2 + \lambda \sum_{k \ne l} C_{kl}^2\right) .

    A dimension that is constant up to rounding is 0 and has the gradient 0.

    Cost: O(n d²). Extra memory: copies of the views in float64 and matrices of d by d.

    References
    ----------
    .. [1] J. Zbontar, L. Jing, I. Misra, Y. LeCun and S. Deny (2021). Barlow twins: self-supervised learning via
       redundancy reduction. ICML.

    Examples
    --------
    >>> import fastpair
    >>> z = [[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]]
    >>> fastpair.losses.barlow_twins(z, z)
    np.float64(0.0)
    >>> fastpair.losses.barlow_twins(z, [row[::-1] for row in z], scale=1.0).round(6)
    np.float64(2.01)
    """
    left, right = embeddings(z1, "z1", "dot"), embeddings(z2, "z2", "dot")
    if left.shape != right.shape:
        raise ValueError(f"z1 has shape {left.shape} but z2 has {right.shape}; pass a row of z2 for each row of z1")
    weight, factor = check_number(redundancy, "redundancy", least=0), check_number(scale, "scale", least=0)
    floor = check_number(eps, "eps", least=0)
    count, width = left.shape
    if check_flag(return_grad, "return_grad") and not count:
        return np.float64(0.0), BarlowTwinsGrads(*(in_dtype_of(np.zeros(z.shape), z) for z in (left, right)))
    if not count:
        return np.float64(0.0)
    first, first_size = _standardized(left, floor)
    second, second_size = _standardized(right, floor)
    correlation = first.T @ second / count
    off = correlation.copy()
    diagonal = np.arange(width)
    off[diagonal, diagonal] = 0.0
    misses = correlation[diagonal, diagonal] - 1
    value = np.float64(factor * (misses @ misses + weight * np.square(off).sum()))
    if not return_grad:
        return value
    slopes = 2 * factor * weight * off
    slopes[diagonal, diagonal] = 2 * factor * misses
    slopes /= count
    by_first = _through_standard(second @ slopes.T, first, first_size)
    by_second = _through_standard(first @ slopes, second, second_size)
    return value, BarlowTwinsGrads(in_dtype_of(by_first, left), in_dtype_of(by_second, right))


def variance_hinge(
    x: ArrayLike, *, gamma: float = 1.0, eps: float = 1e-4, scale: float = 1.0, return_grad: bool = False
) -> Any:
    r"""Compute the hinge on the standard deviation of each dimension of embeddings.

    Parameters
    ----------
    x : array_like, shape (n, d)
        Embeddings, at least two rows.
    gamma : float
        The standard deviation from which on nothing is lost, not negative.
    eps : float
        What is added to the variances, positive.
    scale : float
        The factor of the loss, not negative.
    return_grad : bool
        Return the gradient as well.

    Returns
    -------
    value : numpy.float64
        The loss, between 0 and `gamma` times `scale`.
    grads : VarianceHingeGrads
        With `return_grad`: the named tuple ``(x,)``, in the shape and dtype of the input (float64 for integers).

    Raises
    ------
    TypeError
        If a dtype cannot be used, or an option is not a number.
    ValueError
        If there are fewer than two rows, which have no variance, or an option is out of range.

    See Also
    --------
    fastpair.losses.barlow_twins : Dimensions that tell the same.

    Notes
    -----
    :math:`\frac1d \sum_k \max(0, \gamma - \sqrt{v_k + \varepsilon})` with the unbiased variances :math:`v_k` over the
    rows. Constant embeddings have the loss :math:`\gamma - \sqrt{\varepsilon}`.

    Cost: O(n d). Extra memory: a copy of the embeddings in float64.

    References
    ----------
    .. [1] A. Bardes, J. Ponce and Y. LeCun (2022). VICReg: variance-invariance-covariance regularization for
       self-supervised learning. ICLR.

    Examples
    --------
    >>> import fastpair
    >>> fastpair.losses.variance_hinge([[0.0, 3.0], [0.0, 1.0]]).round(6)
    np.float64(0.495)
    """
    rows = embeddings(x, "x", "dot")
    least, floor = check_number(gamma, "gamma", least=0), check_number(eps, "eps", above=0)
    factor = check_number(scale, "scale", least=0)
    count, width = rows.shape
    if count < 2:
        raise ValueError(f"x has {count} rows, which have no variance; pass at least 2")
    away = rows.astype(np.float64)
    away -= away.mean(axis=0)
    deviations = np.sqrt(np.square(away).sum(axis=0) / (count - 1) + floor)
    short = deviations < least
    value = np.float64(factor * np.maximum(least - deviations, 0.0).sum() / max(width, 1))
    if not check_flag(return_grad, "return_grad"):
        return value
    away *= np.where(short, -factor / (max(width, 1) * (count - 1) * deviations), 0.0)
    return value, VarianceHingeGrads(in_dtype_of(away, rows))


def _standardized(rows: _Array, eps: float) -> tuple[_Floats, _Floats]:
    """Return columns of mean 0 and variance 1, and what they were divided by, 0 for constant ones."""
    values = rows.astype(np.float64)
    largest = np.abs(values).max(axis=0)
    values -= values.mean(axis=0)
    deviations = np.sqrt(np.square(values).mean(axis=0))
    constant = deviations <= 8 * np.finfo(np.float64).eps * largest
    sizes = np.where(constant, 0.0, np.sqrt(np.square(deviations) + eps))
    np.divide(values, sizes, out=values, where=sizes > 0)
    values[:, constant] = 0.0
    return values, sizes


def _through_standard(gradient: _Floats, standard: _Floats, sizes: _Floats) -> _Floats:
    """Turn a gradient with respect to standardised columns into that with respect to the columns."""
    moved = gradient - gradient.mean(axis=0) - standard * (gradient * standard).mean(axis=0)
    return np.asarray(np.divide(moved, sizes, out=np.zeros_like(moved), where=sizes > 0))
