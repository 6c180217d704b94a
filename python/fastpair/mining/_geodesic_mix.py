"""Mixtures of paired vectors along the great circle through both: `geodesic_mix`."""

from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import ArrayLike
from fastpair._embeddings import check_flag, embeddings, numbers
from fastpair._random import Seed, generator
from fastpair._units import away_from_units, finite_units
from fastpair._validate import check_choice, check_number, in_dtype_of
from fastpair.mining._shares import parse_shares

__all__ = ["GeodesicGrads", "GeodesicMix", "geodesic_mix"]

_Array: TypeAlias = npt.NDArray[Any]
_Floats: TypeAlias = npt.NDArray[np.float64]

OPPOSITE = 1e-7
"""Below this norm of the sum of two unit vectors, their plane is lost to rounding."""


class GeodesicMix(NamedTuple):
    """Mixed vectors, one for each pair, and the share of a in each."""

    vectors: _Array
    shares: _Floats


class GeodesicGrads(NamedTuple):
    """The gradients with respect to both sides of the pairs."""

    a: _Array
    b: _Array


def geodesic_mix(
    a: ArrayLike,
    b: ArrayLike,
    shares: ArrayLike | None = None,
    *,
    alpha: float = 2.0,
    on_antipodal: Literal["perpendicular", "error"] = "perpendicular",
    seed: Seed = None,
    return_grad: bool = False,
    grad_output: ArrayLike | None = None,
) -> Any:
    r"""Mix each row of a with the same row of b on the unit sphere.

    Parameters
    ----------
    a : array_like, shape (n, d)
        One side of the pairs: floats of 16 to 64 bits, or integers. Only directions matter.
    b : array_like, shape (n, d)
        The other side.
    shares : float or array_like, shape (n,), optional
        The share of a, between 0 (the mixture is b) and 1 (it is a); by default draws from Beta(alpha, alpha).
    alpha : float
        Both parameters of that distribution, positive.
    on_antipodal : {"perpendicular", "error"}
        What opposite vectors do, through which there are many great circles: they take that through a fixed
        perpendicular, or are refused.
    seed : int, numpy.random.Generator or None
        Where the draws begin; None takes fresh ones.
    return_grad : bool
        Return the gradients as well.
    grad_output : array_like, shape (n, d), optional
        The gradient of a loss with respect to the mixed vectors. Needed with `return_grad`.

    Returns
    -------
    mix : GeodesicMix
        The named tuple ``(vectors, shares)``: vectors of norm 1 in the wider dtype of a and b (float64 for integers),
        and float64 of shape (n,).
    grads : GeodesicGrads
        With `return_grad`: the named tuple ``(a, b)`` of the gradients of the loss, in the dtypes of the inputs
        (float64 for integers).

    Raises
    ------
    TypeError
        If a dtype cannot be used, or an option has the wrong type.
    ValueError
        If shapes do not match, a vector is NaN or infinite, a share is not between 0 and 1, or vectors are opposite and
        may not be.

    See Also
    --------
    fastpair.losses.m2mix : A contrast with such mixtures as negatives.

    Notes
    -----
    With the angle :math:`\theta` of two unit vectors and the share :math:`\lambda` the mixture is

    .. math:: \frac{\sin(\lambda \theta)}{\sin \theta} a + \frac{\sin((1 - \lambda) \theta)}{\sin \theta} b .

    It is evaluated as :math:`\cos \varphi \, \hat s + \sin \varphi \, \hat t` with :math:`s = a + b`,
    :math:`t = a - b` and :math:`\varphi = (2 \lambda - 1) \theta / 2`, which keeps its digits for equal and for nearly
    opposite vectors. Of opposite ones, up to a sum of norm 1e-7, the perpendicular is that of the axis along which
    :math:`\hat t` is shortest (the first of such); the gradient there is taken as 0. A row of zeros has a right angle
    to everything and the gradient 0.

    Cost: O(n d). Peak extra memory: some copies of the input in float64.

    References
    ----------
    .. [1] C. Oh et al. (2023). Geodesic multi-modal mixup for robust fine-tuning. NeurIPS.

    Examples
    --------
    >>> from fastpair import mining
    >>> mining.geodesic_mix([[1.0, 0.0]], [[0.0, 1.0]], 0.3).vectors.round(7)
    array([[0.4539905, 0.8910065]])
    >>> mining.geodesic_mix([[1.0, 0.0]], [[-1.0, 0.0]], 0.5).vectors.round(7)
    array([[0., 1.]])
    >>> mix, grads = mining.geodesic_mix(
    ...     [[1.0, 0.0]], [[0.0, 1.0]], 0.3, return_grad=True, grad_output=[[1.0, 0.0]]
    ... )
    >>> grads.a.round(6), grads.b.round(6)
    (array([[ 0.      , -0.267302]]), array([[0.623705, 0.      ]]))
    """
    left, right = embeddings(a, "a", "dot"), embeddings(b, "b", "dot")
    if left.shape != right.shape:
        raise ValueError(f"a has shape {left.shape} but b has {right.shape}; pass a row of b for each row of a")
    check_choice(on_antipodal, "on_antipodal", ("perpendicular", "error"))
    both, wanted = check_number(alpha, "alpha", above=0), check_flag(return_grad, "return_grad")
    upstream = _parse_upstream(grad_output, left.shape, wanted)
    part = parse_shares(shares, "shares", left.shape, False, both, generator(seed))
    if part.shape[1] != 1:
        raise ValueError(f"shares has shape {part.shape}; pass a number, or one for each of the {len(left)} rows")
    a_units, a_norms = finite_units(left, "a")
    b_units, b_norms = finite_units(right, "b")
    circle = _Circle.through(a_units, b_units, (a_norms == 0) | (b_norms == 0))
    if circle.opposite.any():
        row = int(circle.opposite.argmax())
        if on_antipodal == "error":
            raise ValueError(
                f"a and b are opposite in row {row}, and on_antipodal='error'; pass other pairs, or 'perpendicular'"
            )
        if left.shape[1] < 2:
            raise ValueError(f"a and b are opposite in row {row}, and one dimension has no perpendicular; pass two")
    turn = 2 * part - 1
    angle = turn * circle.half
    vectors = np.cos(angle) * circle.s + np.sin(angle) * circle.t
    of_a, of_b = np.sin(part * np.pi / 2), np.sin((1 - part) * np.pi / 2)
    empty = circle.empty[:, np.newaxis]
    vectors = np.where(empty, of_a * a_units + of_b * b_units, vectors)
    mix = GeodesicMix(_in_wider(vectors, left, right), part[:, 0])
    if upstream is None:
        return mix
    by_a, by_b = circle.back(upstream, turn, angle)
    by_a, by_b = np.where(empty, of_a * upstream, by_a), np.where(empty, of_b * upstream, by_b)
    return mix, GeodesicGrads(
        in_dtype_of(away_from_units(by_a, a_units, a_norms), left),
        in_dtype_of(away_from_units(by_b, b_units, b_norms), right),
    )


class _Circle(NamedTuple):
    """The great circle through two unit vectors: the direction of their sum and of their difference.

    `half` is half of their angle, `s_norm` and `t_norm` the norms of sum and difference; all these are columns.
    """

    s: _Floats
    t: _Floats
    s_norm: _Floats
    t_norm: _Floats
    half: _Floats
    opposite: npt.NDArray[np.bool_]
    empty: npt.NDArray[np.bool_]

    @classmethod
    def through(cls, a: _Floats, b: _Floats, empty: npt.NDArray[np.bool_]) -> "_Circle":
        """Find the circle; where a or b is zero it means nothing."""
        s, s_norm = finite_units(a + b, "a + b")
        t, t_norm = finite_units(a - b, "a - b")
        empty = empty[:, 0]
        opposite = (s_norm[:, 0] < OPPOSITE) & ~empty
        half = np.arctan2(t_norm, s_norm)
        rows = np.flatnonzero(opposite)
        if len(rows) and a.shape[1] > 1:
            axes = np.abs(t[rows]).argmin(axis=1)
            normal = -t[rows] * t[rows, axes][:, np.newaxis]
            normal[np.arange(len(rows)), axes] += 1
            s[rows] = finite_units(normal, "a + b")[0]
            half[rows] = np.pi / 2
        return cls(s, t, s_norm, t_norm, half, opposite, empty)

    def back(self, upstream: _Floats, turn: _Floats, angle: _Floats) -> tuple[_Floats, _Floats]:
        """Return the gradients with respect to both unit vectors; 0 where they are opposite."""
        along_s = (upstream * self.s).sum(axis=1, keepdims=True)
        along_t = (upstream * self.t).sum(axis=1, keepdims=True)
        # The sine over the norm of the difference, which are both 0 for equal vectors.
        slope = np.divide(np.sin(angle), self.t_norm, out=turn / 2, where=self.t_norm > 0)
        by_angle = turn * (along_t * np.cos(angle) - along_s * np.sin(angle)) / 4
        s_norm = np.where(self.opposite[:, np.newaxis] | (self.s_norm == 0), 1.0, self.s_norm)
        by_s = np.cos(angle) / s_norm * (upstream - along_s * self.s) - by_angle * self.t_norm * self.s
        by_t = slope * (upstream - along_t * self.t) + by_angle * self.s_norm * self.t
        kept = ~self.opposite[:, np.newaxis]
        return (by_s + by_t) * kept, (by_s - by_t) * kept


def _parse_upstream(grad_output: ArrayLike | None, shape: tuple[int, ...], wanted: bool) -> _Floats | None:
    if grad_output is None:
        if wanted:
            raise ValueError(
                f"return_grad=True needs grad_output=, shape {shape}: the gradient of a loss with respect to the "
                f"mixed vectors"
            )
        return None
    if not wanted:
        raise ValueError("grad_output was given without return_grad=True; pass both, or neither")
    array = numbers(grad_output, "grad_output", "dot")
    if array.shape != shape:
        raise ValueError(f"grad_output has shape {array.shape}; pass shape {shape}, that of the mixed vectors")
    return array.astype(np.float64)


def _in_wider(vectors: _Floats, left: _Array, right: _Array) -> _Array:
    """Return the vectors in the dtype of a or b, whichever is wider; float64 if both are integers."""
    floats = [array for array in (left, right) if array.dtype.kind not in "biu"]
    if len(floats) < 2:
        return vectors
    return in_dtype_of(vectors, max(floats, key=lambda array: array.dtype.itemsize))
