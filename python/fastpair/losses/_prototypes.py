"""Prototypes of classes: their softmax with a correction, and how alike they are."""

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import ArrayLike, array_of
from fastpair._embeddings import check_flag, embeddings, same_width
from fastpair._units import away_from_units, unit_rows
from fastpair._validate import check_number, in_dtype_of
from fastpair.losses._embedding import WeightNorm, parse_rows_reduction
from fastpair.losses._lists import OnEmpty, ReductionName
from fastpair.losses._similarity_kl import log_shares
from fastpair.losses._tiles import factors_of

__all__ = [
    "PrototypeCompensatedGrads",
    "PrototypeDiversityGrads",
    "prototype_compensated",
    "prototype_diversity",
]

_Array: TypeAlias = npt.NDArray[Any]
_Floats: TypeAlias = npt.NDArray[np.float64]
_Ints: TypeAlias = npt.NDArray[np.int64]


MOST_CELLS = 1 << 18
"""Cosines that are handled at a time."""


class PrototypeCompensatedGrads(NamedTuple):
    """The gradients of `prototype_compensated`; the sets of wrong predictions are constants."""

    x: _Array
    prototypes: _Array
    temperature: np.float64


class PrototypeDiversityGrads(NamedTuple):
    """The gradient of `prototype_diversity` with respect to the prototypes."""

    prototypes: _Array


def prototype_compensated(
    x: ArrayLike,
    prototypes: ArrayLike,
    labels: ArrayLike,
    temperature: float = 0.125,
    *,
    false_negatives: Sequence[ArrayLike] = (),
    false_positives: Sequence[ArrayLike] = (),
    alpha: float = 0.125,
    detach_weights: bool = True,
    weights: ArrayLike | None = None,
    weight_norm: WeightNorm = "count",
    on_empty: OnEmpty = "skip",
    reduction: ReductionName = "mean",
    return_grad: bool = False,
    grad_output: ArrayLike | None = None,
) -> Any:
    r"""Compute prototype softmax losses, corrected by what has been predicted wrongly.

    Parameters
    ----------
    x : array_like, shape (n, d)
        Embeddings.
    prototypes : array_like, shape (K, d)
        A prototype of each class.
    labels : array_like of int, shape (n,)
        The class of each row (-1: none).
    temperature : float
        What divides cosines and corrections, positive.
    false_negatives : sequence of array_like, shape (K, d)
        For each set of false negatives its mean embedding by class, zeros for a class without any. The paper has three.
    false_positives : sequence of array_like, shape (K, d)
        The same for sets of false positives. The paper has one.
    alpha : float
        The factor of the correction, not negative.
    detach_weights : bool
        Do not differentiate the share of the class in the weight of its correction.
    weights : array_like, shape (n,), optional
        A weight for each row, finite and not negative.
    weight_norm : {"count", "weights"}
        Whether the mean divides by the number of valid rows or by the sum of their weights.
    on_empty : {"skip", "zero", "error"}
        What a row without a class, or without another class, does: it is left out, counts with loss 0, or is refused.
    reduction : {"mean", "sum", "none"}
        Return the mean or the sum over rows, or one value for each.
    return_grad : bool
        Return the gradients as well.
    grad_output : array_like, shape (n,), optional
        For ``reduction="none"`` with `return_grad`, which needs it: the gradient with respect to each value.

    Returns
    -------
    value : numpy.float64 or ndarray
        The loss; for ``reduction="none"`` float64, shape (n,).
    grads : PrototypeCompensatedGrads
        With `return_grad`: the named tuple ``(x, prototypes, temperature)``, those of arrays in their shapes and dtypes
        (float64 for integers).

    Raises
    ------
    TypeError
        If a dtype cannot be used, or an option is not a number.
    ValueError
        If shapes do not match, a label is no class, or an option is out of range.

    See Also
    --------
    fastpair.losses.prototype_nce : The loss without corrections.

    Notes
    -----
    The logits of a row are :math:`\cos(x, \mu_k) / \tau`. For each set S of wrong predictions that of its own class y
    gets :math:`\alpha (1 - p_y) (\pm \cos(x, S_y) - 1) / \tau` added, plus for false negatives and minus for false
    positives, with the share :math:`p_y` of the plain softmax. The loss is the sum of the cross-entropies of all sets;
    without sets the plain one. A class whose set is empty, a row of zeros, has no correction.

    Cost: O(n K d). Extra memory: a few MiB, and the gradients in float64.

    References
    ----------
    .. [1] K. Li, D. Guo et al. (2025). Prototypical calibrating ambiguous samples for micro-action recognition. AAAI.

    Examples
    --------
    >>> import fastpair
    >>> x, prototypes = [[1.0, 0.2], [0.1, 1.0]], [[1.0, 0.0], [0.0, 1.0]]
    >>> fastpair.losses.prototype_compensated(x, prototypes, [0, 1]).round(6)
    np.float64(0.001327)
    >>> wrong = [[0.0, 1.0], [0.0, 0.0]]
    >>> fastpair.losses.prototype_compensated(x, prototypes, [0, 1], false_negatives=[wrong]).round(6)
    np.float64(0.001328)
    """
    rows, centres = same_width(embeddings(x, "x", "cosine"), embeddings(prototypes, "prototypes", "cosine"), "cosine")
    divisor, factor = check_number(temperature, "temperature", above=0), check_number(alpha, "alpha", least=0)
    detach = check_flag(detach_weights, "detach_weights")
    classes = _parse_classes(labels, len(rows), len(centres))
    sets = [_parse_set(s, "false_negatives", centres) for s in false_negatives]
    signs = [1.0] * len(sets)
    sets += [_parse_set(s, "false_positives", centres) for s in false_positives]
    signs += [-1.0] * (len(sets) - len(signs))
    valid = (classes >= 0) & (len(centres) > 1)
    how = parse_rows_reduction(
        len(rows),
        reduction=reduction,
        on_empty=on_empty,
        weights=weights,
        weight_norm=weight_norm,
        return_grad=return_grad,
        grad_output=grad_output,
    )
    right, right_norms = unit_rows(centres)
    scale = factors_of(how, valid) if how.return_grad else None
    values, by_x = np.zeros(len(rows)), np.zeros(rows.shape if how.return_grad else (0,))
    by_right, by_temperature = np.zeros(right.shape), 0.0
    loss = _Compensated(right, sets, signs, divisor, factor, detach)
    step = max(1, MOST_CELLS // max(len(centres), rows.shape[1], 1))
    for begin in range(0, len(rows) if len(centres) else 0, step):
        part = slice(begin, begin + step)
        left, norms = unit_rows(rows[part])
        values[part], by_cosines, by_left, by_own = loss(left, np.maximum(classes[part], 0))
        if scale is None:
            continue
        by_cosines *= scale[part, np.newaxis]
        by_left = by_left * scale[part, np.newaxis] + by_cosines @ right
        by_x[part] = away_from_units(by_left, left, norms)
        by_right += by_cosines.T @ left
        by_temperature += float((by_own * scale[part]).sum())
    values[~valid] = 0.0
    value = how(values, valid)[0]
    if not how.return_grad:
        return value
    return value, PrototypeCompensatedGrads(
        in_dtype_of(by_x, rows),
        in_dtype_of(away_from_units(by_right, right, right_norms), centres),
        np.float64(by_temperature),
    )


def prototype_diversity(prototypes: ArrayLike, *, return_grad: bool = False) -> Any:
    r"""Compute the Frobenius norm of the cosines of all pairs of prototypes.

    Parameters
    ----------
    prototypes : array_like, shape (K, d)
        The prototypes.
    return_grad : bool
        Return the gradient as well.

    Returns
    -------
    value : numpy.float64
        The loss: the root of K for orthogonal prototypes, K for equal ones.
    grads : PrototypeDiversityGrads
        With `return_grad`: the named tuple ``(prototypes,)``, in their shape and dtype (float64 for integers).

    Raises
    ------
    TypeError
        If a dtype cannot be used.
    ValueError
        If the array has not two dimensions.

    See Also
    --------
    fastpair.losses.prototype_compensated : The loss that it regularises.

    Notes
    -----
    :math:`\lVert \hat P \hat P^\top \rVert_F` with unit rows. Zero rows are left out and have the gradient 0.

    Cost: O(K d min(K, d)). Extra memory: a copy in float64.

    References
    ----------
    .. [1] K. Li, D. Guo et al. (2025). Prototypical calibrating ambiguous samples for micro-action recognition. AAAI.

    Examples
    --------
    >>> import fastpair
    >>> fastpair.losses.prototype_diversity([[2.0, 0.0], [0.0, 3.0]]).round(6)
    np.float64(1.414214)
    """
    rows = embeddings(prototypes, "prototypes", "cosine")
    units, norms = unit_rows(rows)
    narrow = units.shape[0] <= units.shape[1]
    gram = units @ units.T if narrow else units.T @ units
    value = np.float64(np.sqrt(np.square(gram).sum()))
    if not check_flag(return_grad, "return_grad"):
        return value
    slopes = 2 / (value if value > 0 else 1.0) * (gram @ units if narrow else units @ gram)
    return value, PrototypeDiversityGrads(in_dtype_of(away_from_units(slopes, units, norms), rows))


class _Compensated:
    """The loss of unit rows and their gradients by cosines, by the rows beside these, and by the temperature."""

    def __init__(
        self, right: _Floats, sets: list[_Array], signs: list[float], divisor: float, factor: float, detach: bool
    ) -> None:
        self.right, self.divisor, self.factor, self.detach = right, divisor, factor, detach
        units = [unit_rows(side)[0] for side in sets] if sets else [np.zeros(right.shape)]
        self.sets = list(zip(units, signs if sets else [1.0], strict=True))

    def __call__(self, left: _Floats, classes: _Ints) -> tuple[_Floats, _Floats, _Floats, _Floats]:
        own = np.arange(len(left)), classes
        cosines = left @ self.right.T
        plain = np.exp(log_shares(cosines, np.array([[self.divisor]])))
        share = plain[own]
        values, by_temperature = np.zeros(len(left)), np.zeros(len(left))
        by_cosines, by_left = np.zeros(cosines.shape), np.zeros(left.shape)
        for units, sign in self.sets:
            side = units[classes]
            factor = np.where(side.any(axis=1), self.factor, 0.0)
            near = sign * np.einsum("ij,ij->i", left, side) - 1
            moved = cosines.copy()
            moved[own] += factor * (1 - share) * near
            log_p = log_shares(moved, np.array([[self.divisor]]))
            values -= log_p[own]
            slopes = np.exp(log_p)
            slopes[own] -= 1
            slopes /= self.divisor
            by_temperature -= (slopes * moved).sum(axis=1) / self.divisor
            by_cosines += slopes
            pull = slopes[own] * factor
            by_left += (pull * (1 - share) * sign)[:, np.newaxis] * side
            if not self.detach:  # through the share of the class
                turn = plain * (pull * near * share / self.divisor)[:, np.newaxis]
                turn[own] -= pull * near * share / self.divisor
                by_cosines += turn
                by_temperature -= (turn * cosines).sum(axis=1) / self.divisor
        return values, by_cosines, by_left, by_temperature


def _parse_classes(labels: ArrayLike, count: int, classes: int) -> _Ints:
    array = array_of(labels, "labels")
    if array.shape != (count,) or (array.dtype.kind not in "iu" and count):
        raise ValueError(
            f"labels has shape {array.shape} and dtype {array.dtype}; pass {count} integers, the class of each row"
        )
    strange = (array < -1) | (array >= classes)
    if strange.any():
        place = int(strange.argmax())
        raise ValueError(f"labels is {array[place]} at index {place}, but there are {classes} prototypes")
    return array.astype(np.int64)


def _parse_set(values: ArrayLike, argument: str, prototypes: _Array) -> _Array:
    array = embeddings(values, argument, "cosine")
    if array.shape != prototypes.shape:
        raise ValueError(
            f"{argument} holds an array of shape {array.shape}; pass sets of shape {prototypes.shape}, a row for "
            f"each class"
        )
    return array
