"""Pull of predictions towards targets that stand still, row by row: `negative_cosine` and `byol`."""

from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import ArrayLike, array_of
from fastpair._embeddings import check_flag, numbers
from fastpair._units import away_from_units, unit_rows
from fastpair._validate import check_number, in_dtype_of
from fastpair.losses._embedding import RowsReduction, parse_rows_reduction
from fastpair.losses._lists import OnEmpty, ReductionName
from fastpair.losses._tiles import factors_of

__all__ = ["ByolGrads", "NegativeCosineGrads", "byol", "negative_cosine"]

_Array: TypeAlias = npt.NDArray[Any]
_Floats: TypeAlias = npt.NDArray[np.float64]
_Bools: TypeAlias = npt.NDArray[np.bool_]

MOST_NUMBERS = 1 << 18
"""Numbers of each side that are handled at a time."""


class NegativeCosineGrads(NamedTuple):
    """The gradients of `negative_cosine`; that of the targets is None unless the loss is symmetric."""

    p: _Array
    z: _Array | None


class ByolGrads(NamedTuple):
    """The gradients of `byol` with respect to the predictions."""

    p1: _Array
    p2: _Array


def negative_cosine(
    p: ArrayLike,
    z: ArrayLike,
    *,
    scale: float = 2.0,
    mask: ArrayLike | None = None,
    symmetric: bool = False,
    weights: tuple[float, float] = (1.0, 1.0),
    on_empty: OnEmpty = "skip",
    reduction: ReductionName = "mean",
    return_grad: bool = False,
    grad_output: ArrayLike | None = None,
) -> Any:
    r"""Compute how far the cosines of predictions and their targets are from one.

    Parameters
    ----------
    p : array_like, shape (n, d) or (..., d)
        Predictions.
    z : array_like, of the same shape
        Their targets, which get no gradient unless `symmetric`.
    scale : float
        The factor of one minus the cosine, not negative: 2 makes it the squared distance of unit vectors.
    mask : array_like of bool, shape (n,) or (...), optional
        Which rows count; by default all.
    symmetric : bool
        Add the same with the roles exchanged, so that the targets get a gradient as well.
    weights : tuple of float
        The weights of the two directions, not negative; the second is used if `symmetric`.
    on_empty : {"skip", "zero", "error"}
        What a row outside of the mask does: it is left out, counts with loss 0, or is refused.
    reduction : {"mean", "sum", "none"}
        Return the mean or the sum over rows, or one value for each.
    return_grad : bool
        Return the gradients as well.
    grad_output : array_like, shape (n,), optional
        For ``reduction="none"`` with `return_grad`, which needs it: the gradient with respect to each value, for more
        dimensions one for each row in C order.

    Returns
    -------
    value : numpy.float64 or ndarray
        The loss; for ``reduction="none"`` float64, one for each row. 0.0 without rows.
    grads : NegativeCosineGrads
        With `return_grad`: the named tuple ``(p, z)``, in the shapes and dtypes of the inputs (float64 for integers);
        ``z`` is None unless `symmetric`.

    Raises
    ------
    TypeError
        If a dtype cannot be used, or an option is not a number.
    ValueError
        If shapes do not match, or an option is out of range.

    See Also
    --------
    fastpair.losses.byol : Both directions of two views.

    Notes
    -----
    .. math:: w_1 \, c \, (1 - \cos(p_i, z_i)) \; [\; + \; w_2 \, c \, (1 - \cos(p_i, z_i)) \;]

    The first term is differentiated by p, the second by z. A zero vector has the cosine 0 and the gradient 0.

    Cost: O(n d). Extra memory: a few MiB, and the gradients in float64.

    References
    ----------
    .. [1] J.-B. Grill et al. (2020). Bootstrap your own latent: a new approach to self-supervised learning. NeurIPS.
    .. [2] X. Chen and K. He (2021). Exploring simple Siamese representation learning. CVPR.

    Examples
    --------
    >>> import fastpair
    >>> value, grads = fastpair.losses.negative_cosine([[3.0, 4.0]], [[1.0, 0.0]], return_grad=True)
    >>> value.round(6), grads.p.round(6)
    (np.float64(0.8), array([[-0.256,  0.192]]))
    """
    left, right = _parse_sides(p, z, ("p", "z"))
    factor = check_number(scale, "scale", least=0)
    first, second = _parse_weights(weights)
    both = check_flag(symmetric, "symmetric")
    flat = left.reshape(-1, left.shape[-1]), right.reshape(-1, right.shape[-1])
    valid = _parse_mask(mask, left.shape[:-1])
    how = parse_rows_reduction(
        len(valid), reduction=reduction, on_empty=on_empty, return_grad=return_grad, grad_output=grad_output
    )
    values, by_p, by_z = _cosine_loss(*flat, valid, how, factor * first, factor * second if both else 0.0, both)
    value = how(values, valid)[0]
    if not how.return_grad:
        return value
    return value, NegativeCosineGrads(
        in_dtype_of(by_p.reshape(left.shape), left),
        in_dtype_of(by_z.reshape(right.shape), right) if both else None,
    )


def byol(
    p1: ArrayLike,
    p2: ArrayLike,
    z1: ArrayLike,
    z2: ArrayLike,
    *,
    scale: float = 2.0,
    mask: ArrayLike | None = None,
    on_empty: OnEmpty = "skip",
    reduction: ReductionName = "mean",
    return_grad: bool = False,
    grad_output: ArrayLike | None = None,
) -> Any:
    r"""Compute the BYOL loss: predictions of each of two views against the targets of the other.

    Parameters
    ----------
    p1 : array_like, shape (n, d) or (..., d)
        Predictions from the first view.
    p2 : array_like, of the same shape
        Predictions from the second view.
    z1 : array_like, of the same shape
        Targets of the first view, which get no gradient.
    z2 : array_like, of the same shape
        Targets of the second view.
    scale : float
        The factor of one minus the cosine, not negative.
    mask : array_like of bool, shape (n,) or (...), optional
        Which rows count; by default all.
    on_empty : {"skip", "zero", "error"}
        What a row outside of the mask does: it is left out, counts with loss 0, or is refused.
    reduction : {"mean", "sum", "none"}
        Return the mean or the sum over rows, or one value for each.
    return_grad : bool
        Return the gradients as well.
    grad_output : array_like, shape (n,), optional
        For ``reduction="none"`` with `return_grad`, which needs it: the gradient with respect to each value.

    Returns
    -------
    value : numpy.float64 or ndarray
        The loss; for ``reduction="none"`` float64, one for each row: the sum of its two directions.
    grads : ByolGrads
        With `return_grad`: the named tuple ``(p1, p2)``, in the shapes and dtypes of the inputs (float64 for integers).

    Raises
    ------
    TypeError
        If a dtype cannot be used, or an option is not a number.
    ValueError
        If shapes do not match, or an option is out of range.

    See Also
    --------
    fastpair.losses.negative_cosine : One direction.

    Notes
    -----
    :math:`c \, (1 - \cos(p^1_i, z^2_i)) + c \, (1 - \cos(p^2_i, z^1_i))`, which is between 0 and 8 for a scale of 2. A
    zero vector has the cosine 0 and the gradient 0.

    Cost: O(n d). Extra memory: a few MiB, and the gradients in float64.

    References
    ----------
    .. [1] J.-B. Grill et al. (2020). Bootstrap your own latent: a new approach to self-supervised learning. NeurIPS.
    .. [2] D. Lee, S. Kang, H. Ju, C. Park and H. Yu (2021). Bootstrapping user and item representations for one-class
       collaborative filtering. SIGIR.

    Examples
    --------
    >>> import fastpair
    >>> fastpair.losses.byol([[1.0, 0.0]], [[0.0, 1.0]], [[0.0, 1.0]], [[0.6, 0.8]]).round(6)
    np.float64(0.8)
    """
    options: dict[str, Any] = {
        "scale": scale,
        "mask": mask,
        "on_empty": on_empty,
        "reduction": reduction,
        "return_grad": return_grad,
        "grad_output": grad_output,
    }
    if array_of(p1, "p1").shape != array_of(p2, "p2").shape:
        raise ValueError(f"p1 has shape {np.shape(p1)} but p2 has {np.shape(p2)}; pass arrays of the same shape")
    _parse_sides(p1, z2, ("p1", "z2"))
    _parse_sides(p2, z1, ("p2", "z1"))
    first, second = negative_cosine(p1, z2, **options), negative_cosine(p2, z1, **options)
    if not return_grad:
        return first + second
    return first[0] + second[0], ByolGrads(first[1].p, second[1].p)


def _cosine_loss(
    p: _Array, z: _Array, valid: _Bools, how: RowsReduction, pull: float, back: float, both: bool
) -> tuple[_Floats, _Floats, _Floats]:
    """Return the value of each row and the gradients of both sides, by blocks of rows."""
    values = np.zeros(len(p))
    by_p, by_z = np.zeros(p.shape if how.return_grad else (0,)), np.zeros(z.shape if how.return_grad and both else (0,))
    factors = factors_of(how, valid)
    step = max(1, MOST_NUMBERS // max(p.shape[1], 1))
    for begin in range(0, len(p), step):
        part = slice(begin, begin + step)
        left, left_norms = unit_rows(_counted(p[part], valid[part]))
        right, right_norms = unit_rows(_counted(z[part], valid[part]))
        cosines = np.einsum("ij,ij->i", left, right)
        # The same from the difference keeps the digits of a small loss.
        halved = np.square(left - right).sum(axis=1) / 2
        apart = np.where((left_norms[:, 0] > 0) & (right_norms[:, 0] > 0), halved, 1 - cosines)
        values[part] = np.where(valid[part], (pull + back) * apart, 0.0)
        if how.return_grad:
            scale = factors[part, np.newaxis]
            by_p[part] = away_from_units(-pull * scale * right, left, left_norms)
            if both:
                by_z[part] = away_from_units(-back * scale * left, right, right_norms)
    return values, by_p, by_z


def _counted(rows: _Array, valid: _Bools) -> _Floats:
    """Return rows in float64, those that do not count as zeros, whatever they are."""
    values = rows.astype(np.float64)
    values[~valid] = 0.0
    return values


def _parse_sides(p: ArrayLike, z: ArrayLike, names: tuple[str, str]) -> tuple[_Array, _Array]:
    left, right = numbers(p, names[0], "cosine"), numbers(z, names[1], "cosine")
    if left.ndim < 2:
        raise ValueError(f"{names[0]} has shape {left.shape}; pass (n, d), a row for each example")
    if left.shape != right.shape:
        raise ValueError(
            f"{names[0]} has shape {left.shape} but {names[1]} has {right.shape}; pass a target for each prediction"
        )
    return left, right


def _parse_mask(mask: ArrayLike | None, shape: tuple[int, ...]) -> _Bools:
    count = int(np.prod(shape))
    if mask is None:
        return np.ones(count, np.bool_)
    array = array_of(mask, "mask")
    if array.dtype != np.bool_ or array.shape != shape:
        raise ValueError(f"mask has shape {array.shape} and dtype {array.dtype}; pass bool of shape {shape}")
    return array.reshape(count)


def _parse_weights(weights: Any) -> tuple[float, float]:
    if not isinstance(weights, (tuple, list)) or len(weights) != 2:
        raise TypeError(f"weights must be a tuple of two numbers, one for each direction, not {weights!r}")
    return check_number(weights[0], "weights[0]", least=0), check_number(weights[1], "weights[1]", least=0)
