"""One family of losses from sum-exponential over cross-entropy to mean absolute error: `comp_sum`."""

from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import ArrayLike
from fastpair._embeddings import numbers
from fastpair._validate import check_number, in_dtype_of
from fastpair.losses._lists import OnEmpty, ReductionName, parse_reduction
from fastpair.losses._rows import parse_rows, scaled

__all__ = ["CompSumGrads", "comp_sum"]

_Array: TypeAlias = npt.NDArray[Any]
_Floats: TypeAlias = npt.NDArray[np.float64]
_Ints: TypeAlias = npt.NDArray[np.int64]
_Bools: TypeAlias = npt.NDArray[np.bool_]

MOST_EXPONENT = 700.0
"""Larger exponents are cut off: their exponential, divided by what it may be divided by, stays finite."""


class CompSumGrads(NamedTuple):
    """The gradients of `comp_sum` with respect to the matrix and to the perturbed scores (None without them)."""

    similarities: _Array
    adversarial: _Array | None


def comp_sum(
    similarities: ArrayLike,
    positives: ArrayLike | None = None,
    *,
    tau: float = 1.0,
    ignore: ArrayLike | None = None,
    adversarial: ArrayLike | None = None,
    nu: float = 1.0,
    weights: ArrayLike | None = None,
    on_empty: OnEmpty = "skip",
    reduction: ReductionName = "mean",
    return_grad: bool = False,
    grad_output: ArrayLike | None = None,
) -> Any:
    r"""Compute the comp-sum loss, a family from sum-exponential over cross-entropy to absolute error.

    Parameters
    ----------
    similarities : array_like, shape (n, m)
        Scores: a row for each example, a column for each class or candidate. -inf is a candidate that does not compete.
    positives : array_like, shape (n,) or (n, m), optional
        The target of each row: its column as an integer (-1: the row has none), or a bool mask that is True at most
        once in a row. By default the diagonal.
    tau : float
        Which loss of the family, at least 0. Not a temperature: 0 is the sum-exponential loss, 1 cross-entropy
        (InfoNCE), between 1 and 2 the generalised cross-entropy, 2 the mean absolute error ``1 - p``.
    ignore : array_like of bool, shape (n, m), optional
        Entries that are left out. They are not targets.
    adversarial : array_like, shape (n, m) or (n, r, m), optional
        Scores of the same rows at r perturbed inputs: the smooth adversarial loss.
    nu : float
        The weight of the adversarial term, not negative.
    weights : array_like, shape (n,), optional
        A weight for each row, finite and not negative.
    on_empty : {"skip", "zero", "error"}
        What a row without a target or without another entry does: it is left out, counts with loss 0, or is refused.
    reduction : {"mean", "sum", "none"}
        Return the mean or the sum over rows, or one value for each.
    return_grad : bool
        Return the gradients as well.
    grad_output : array_like, shape (n,), optional
        For ``reduction="none"`` with `return_grad`, which needs it: the gradient with respect to each value.

    Returns
    -------
    value : numpy.float64 or ndarray
        The loss; for ``reduction="none"`` float64, shape (n,). 0.0 for rows without a target or without another entry.
    grads : CompSumGrads
        With `return_grad`: the named tuple ``(similarities, adversarial)``, in the shapes and dtypes of the input
        (float64 for integers); ``adversarial`` is None without perturbed scores.

    Raises
    ------
    TypeError
        If a dtype cannot be used, or an option is not a number.
    ValueError
        If shapes do not match, a row has several targets or one outside of the matrix, or an option is out of range.

    See Also
    --------
    fastpair.losses.z_loss : A loss of rows that is invariant to their scale.

    Notes
    -----
    With the target t of a row and :math:`u = \sum_{j \ne t} e^{s_j - s_t}` the loss of the row is

    .. math:: \Phi_\tau(u) = \frac{(1 + u)^{1 - \tau} - 1}{1 - \tau}, \qquad \Phi_1(u) = \log(1 + u),

    and its gradient :math:`(1 + u)^{-\tau} e^{s_j - s_t}` for :math:`j \ne t`, minus the sum of these at the target.
    It is evaluated as :math:`\operatorname{expm1}((1 - \tau) \ell) / (1 - \tau)` with
    :math:`\ell = \operatorname{logsumexp}(s) - s_t`, which is continuous at 1 and loses no digits if u is small. For
    :math:`\tau < 1` the loss grows exponentially; :math:`(1 - \tau) \ell` is cut off at 700, so that it stays finite.

    With perturbed scores the row also pays
    :math:`\nu \max_k \lVert \Delta(s^{(k)}) - \Delta(s) \rVert_2`, where :math:`\Delta(s)` is the vector of the margins
    :math:`s_t - s_j`. The first perturbation of the largest norm gets the gradient, none where the norm is 0. The
    perturbations are the caller's; 1 for `nu` is this function's choice, not the paper's.

    A NaN makes its row NaN. Equal infinities tie.

    Cost: O(n m r). Extra memory: a few MiB, and the gradient once in float64.

    References
    ----------
    .. [1] A. Mao, M. Mohri and Y. Zhong (2023). Cross-entropy loss functions: theoretical analysis and applications.
       ICML.

    Examples
    --------
    >>> import fastpair
    >>> [float(fastpair.losses.comp_sum([[2, 1, 0]], [0], tau=tau).round(6)) for tau in (0, 0.5, 1, 1.5, 2)]
    [0.503215, 0.452113, 0.407606, 0.368754, 0.334759]
    >>> value, grads = fastpair.losses.comp_sum([[2.0, 1.0, 0.0]], [0], return_grad=True)
    >>> grads.similarities.round(6)
    array([[-0.334759,  0.244728,  0.090031]])
    """
    rows = parse_rows(similarities, positives, ignore)
    family, factor = check_number(tau, "tau", least=0), check_number(nu, "nu", least=0)
    perturbed = None if adversarial is None else _parse_perturbed(adversarial, rows.scores)
    reduce_rows = parse_reduction(
        len(rows.scores),
        reduction=reduction,
        on_empty=on_empty,
        weights=weights,
        return_grad=return_grad,
        grad_output=grad_output,
    )
    values = np.zeros(len(rows.scores))
    gradient = np.zeros(rows.scores.shape) if reduce_rows.return_grad else None
    moved = np.zeros(perturbed.shape) if perturbed is not None and reduce_rows.return_grad else None
    for part in rows.parts(1 if perturbed is None else 1 + perturbed.shape[1]):
        scores, out, target = rows.block(part)
        values[part], slope = _comp_sum(scores, out, target, family)
        if perturbed is not None and factor > 0:
            norms, worst, direction = _largest_move(scores, perturbed[part].astype(np.float64), out, target)
            values[part] += factor * norms
            slope -= factor * direction
            if moved is not None:
                moved[np.arange(len(perturbed))[part], worst] = factor * direction
        if gradient is not None:
            gradient[part] = slope
    value, scale = reduce_rows(values, rows.valid)
    if gradient is None:
        return value
    own = in_dtype_of(scaled(gradient, scale), rows.scores)
    if moved is None or perturbed is None:
        return value, CompSumGrads(own, None)
    theirs = in_dtype_of(scaled(moved, scale), perturbed)
    return value, CompSumGrads(own, theirs if np.ndim(adversarial) == 3 else theirs[:, 0])  # type: ignore[arg-type]


def _parse_perturbed(adversarial: ArrayLike, scores: _Array) -> _Array:
    """View the perturbed scores with three dimensions."""
    array = numbers(adversarial, "adversarial", "dot")
    if array.shape == scores.shape:
        return array[:, np.newaxis]
    if array.ndim != 3 or (array.shape[0], array.shape[2]) != scores.shape or array.shape[1] == 0:
        rows, columns = scores.shape
        raise ValueError(
            f"adversarial has shape {array.shape}; pass the shape of similarities, ({rows}, {columns}), or "
            f"({rows}, r, {columns}) for r perturbations"
        )
    return array


def _comp_sum(scores: _Floats, out: _Bools, own: _Ints, tau: float) -> tuple[_Floats, _Floats]:
    """Return the loss of each row and its gradient."""
    target = np.take_along_axis(scores, own, axis=1)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        lead = np.where(scores == target, 0.0, scores - target)
        lead[out] = -np.inf
        top = lead.max(axis=1, keepdims=True, initial=0.0)
        shares = np.where(lead == top, 1.0, np.exp(lead - top))  # infinite leads are equal ones
        shares[out] = 0.0
        np.put_along_axis(shares, own, 0.0, axis=1)
        total = shares.sum(axis=1, keepdims=True)
        behind = np.exp(-top)
        level = np.where(top == 0, np.log1p(total), top + np.log(behind + total))
        if tau == 1:
            values, factor = level, np.ones_like(level)
        else:
            exponent = np.minimum((1 - tau) * level, MOST_EXPONENT)
            values, factor = np.expm1(exponent) / (1 - tau), np.exp(exponent)
        gradient = np.where(shares > 0, shares / (behind + total) * factor, shares)
    np.put_along_axis(gradient, own, -gradient.sum(axis=1, keepdims=True), axis=1)
    return values[:, 0], gradient


def _largest_move(scores: _Floats, perturbed: _Floats, out: _Bools, own: _Ints) -> tuple[_Floats, _Ints, _Floats]:
    """Return how far margins move at most, where they do, and the gradient of that in the perturbed scores."""
    with np.errstate(over="ignore", invalid="ignore"):
        moves = np.where(out[:, np.newaxis], 0.0, perturbed - scores[:, np.newaxis])
        moves = np.take_along_axis(moves, own[:, np.newaxis], axis=2) - moves
        moves[np.broadcast_to(out[:, np.newaxis], moves.shape)] = 0.0
        sizes = np.abs(moves).max(axis=2, keepdims=True)
        sizes[sizes == 0] = 1.0
        moves /= sizes
        lengths = np.sqrt((moves * moves).sum(axis=2, keepdims=True))
        norms = lengths[..., 0] * sizes[..., 0]
        worst = norms.argmax(axis=1)
        at = worst[:, np.newaxis, np.newaxis]
        lengths[lengths == 0] = 1.0
        direction = -(np.take_along_axis(moves, at, axis=1) / np.take_along_axis(lengths, at, axis=1))[:, 0]
    np.put_along_axis(direction, own, -direction.sum(axis=1, keepdims=True), axis=1)
    return np.take_along_axis(norms, worst[:, np.newaxis], axis=1)[:, 0], worst, direction
