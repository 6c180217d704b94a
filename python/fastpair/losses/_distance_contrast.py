"""Distances of aligned arrays as losses: `ratio_contrast`, `pair_mse` and `semantic_opposite`."""

from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import ArrayLike
from fastpair._embeddings import check_flag, embeddings, numbers, same_width
from fastpair._units import away_from_units, unit_rows
from fastpair._validate import check_choice, check_number, in_dtype_of
from fastpair.losses._embedding import parse_rows_reduction
from fastpair.losses._lists import ReductionName
from fastpair.losses._tiles import factors_of

__all__ = [
    "PairMseGrads",
    "RatioContrastGrads",
    "SemanticOppositeGrads",
    "pair_mse",
    "ratio_contrast",
    "semantic_opposite",
]

_Array: TypeAlias = npt.NDArray[Any]
_Floats: TypeAlias = npt.NDArray[np.float64]


class RatioContrastGrads(NamedTuple):
    """The gradients of `ratio_contrast` with respect to its three arrays."""

    anchors: _Array
    positives: _Array
    negatives: _Array


class PairMseGrads(NamedTuple):
    """The gradient of `pair_mse`; the teacher is a constant."""

    x: _Array


class SemanticOppositeGrads(NamedTuple):
    """The gradients of `semantic_opposite` with respect to both sets of embeddings."""

    x: _Array
    y: _Array


def ratio_contrast(
    anchors: ArrayLike,
    positives: ArrayLike,
    negatives: ArrayLike,
    *,
    eps: float = 3e-7,
    return_grad: bool = False,
) -> Any:
    r"""Compute the distance of anchors to positives over their mean distance to negatives.

    Parameters
    ----------
    anchors : array_like, shape (n, ...)
        Features of any shape.
    positives : array_like, of the same shape
        What they are to be near to.
    negatives : array_like, shape (n, K, ...)
        What they are to be far from, K of each.
    eps : float
        What is added to the divisor, positive.
    return_grad : bool
        Return the gradients as well.

    Returns
    -------
    value : numpy.float64
        The loss. 0.0 for empty arrays.
    grads : RatioContrastGrads
        With `return_grad`: the named tuple ``(anchors, positives, negatives)``, in the shapes and dtypes of the inputs
        (float64 for integers).

    Raises
    ------
    TypeError
        If a dtype cannot be used, or eps is not a number.
    ValueError
        If shapes do not match, or eps is not positive.

    See Also
    --------
    fastpair.losses.dual_contrastive : The contrast of scores from the same paper.

    Notes
    -----
    :math:`\operatorname{mean}|a - p| \, / \, (\operatorname{mean}|a - n| + \varepsilon)`, means over all elements and
    all negatives: one ratio of the batch. The derivative of \|t\| at 0 is 0.

    Cost and memory: O(n K d).

    References
    ----------
    .. [1] G. Wu, J. Jiang and X. Liu (2023). A practical contrastive learning framework for single-image
       super-resolution. IEEE Transactions on Neural Networks and Learning Systems.

    Examples
    --------
    >>> import fastpair
    >>> fastpair.losses.ratio_contrast([[0.0, 0.0]], [[1.0, 1.0]], [[[2.0, 2.0], [6.0, 6.0]]]).round(6)
    np.float64(0.25)
    """
    given = [
        numbers(a, n, "dot") for a, n in ((anchors, "anchors"), (positives, "positives"), (negatives, "negatives"))
    ]
    floor, wanted = check_number(eps, "eps", above=0), check_flag(return_grad, "return_grad")
    shape = given[0].shape
    if not shape or given[1].shape != shape:
        raise ValueError(f"anchors has shape {shape} but positives has {given[1].shape}; pass the same shape (n, ...)")
    if given[2].ndim != len(shape) + 1 or (given[2].shape[0], *given[2].shape[2:]) != shape:
        raise ValueError(
            f"negatives has shape {given[2].shape}; pass {(shape[0], 'K', *shape[1:])}, K negatives of each anchor"
        )
    a, p, n = (array.astype(np.float64) for array in given)
    size, total = max(a.size, 1), max(n.size, 1)
    near, far = a - p, a[:, np.newaxis] - n
    above, below = float(np.abs(near).sum() / size), float(np.abs(far).sum() / total) + floor
    value = np.float64(above / below)
    if not wanted:
        return value
    pull = np.sign(near) / (size * below)
    push = np.sign(far) * (above / below) / (total * below)
    return value, RatioContrastGrads(
        in_dtype_of(pull - push.sum(axis=1), given[0]), in_dtype_of(-pull, given[1]), in_dtype_of(push, given[2])
    )


def pair_mse(
    x: ArrayLike,
    teacher: ArrayLike,
    *,
    weights: ArrayLike | None = None,
    reduction: ReductionName = "sum",
    return_grad: bool = False,
    grad_output: ArrayLike | None = None,
) -> Any:
    r"""Compute the squared distances of embeddings to those of a teacher.

    Parameters
    ----------
    x : array_like, shape (n, d)
        Embeddings.
    teacher : array_like, shape (n, d)
        Those of the teacher, which are constants.
    weights : array_like, shape (n,), optional
        A weight for each row, finite and not negative.
    reduction : {"mean", "sum", "none"}
        Return the mean or the sum over rows, or one value for each.
    return_grad : bool
        Return the gradient as well.
    grad_output : array_like, shape (n,), optional
        For ``reduction="none"`` with `return_grad`, which needs it: the gradient with respect to each value.

    Returns
    -------
    value : numpy.float64 or ndarray
        The loss; for ``reduction="none"`` float64, shape (n,). 0.0 without rows.
    grads : PairMseGrads
        With `return_grad`: the named tuple ``(x,)``, in its shape and dtype (float64 for integers).

    Raises
    ------
    TypeError
        If a dtype cannot be used.
    ValueError
        If shapes do not match, or a weight is negative or not finite.

    See Also
    --------
    fastpair.losses.info_nce : With ``paired_negatives=``, the contrast it goes with.

    Notes
    -----
    :math:`\sum_i |x_i - t_i|^2`.

    Cost: O(n d). Extra memory: a copy in float64.

    References
    ----------
    .. [1] X. Hu et al. (2025). Decoupled global-local alignment for improving compositional understanding. arXiv.

    Examples
    --------
    >>> import fastpair
    >>> fastpair.losses.pair_mse([[1.0, 2.0]], [[0.0, 0.0]])
    np.float64(5.0)
    """
    rows, others = _aligned(x, teacher, ("x", "teacher"))
    how = parse_rows_reduction(
        len(rows), reduction=reduction, weights=weights, return_grad=return_grad, grad_output=grad_output
    )
    valid = np.ones(len(rows), np.bool_)
    away = rows.astype(np.float64) - others.astype(np.float64)
    with np.errstate(over="ignore"):
        value = how(np.square(away).sum(axis=1), valid)[0]
    if not how.return_grad:
        return value
    away *= 2 * factors_of(how, valid)[:, np.newaxis]
    return value, PairMseGrads(in_dtype_of(away, rows))


def semantic_opposite(
    x: ArrayLike,
    y: ArrayLike,
    *,
    form: Literal["distance", "cosine"] = "distance",
    eps: float = 1e-4,
    weights: ArrayLike | None = None,
    reduction: ReductionName = "mean",
    return_grad: bool = False,
    grad_output: ArrayLike | None = None,
) -> Any:
    r"""Compute how far the embeddings of a text and of its negation are from being opposite.

    Parameters
    ----------
    x : array_like, shape (n, d)
        Embeddings of texts.
    y : array_like, shape (n, d)
        Those of their negations.
    form : {"distance", "cosine"}
        Two minus the distance of the unit vectors, or one plus their cosine.
    eps : float
        What is added inside of the root of the distance, positive.
    weights : array_like, shape (n,), optional
        A weight for each row, finite and not negative.
    reduction : {"mean", "sum", "none"}
        Return the mean or the sum over rows, or one value for each.
    return_grad : bool
        Return the gradients as well.
    grad_output : array_like, shape (n,), optional
        For ``reduction="none"`` with `return_grad`, which needs it: the gradient with respect to each value.

    Returns
    -------
    value : numpy.float64 or ndarray
        The loss; for ``reduction="none"`` float64, shape (n,). 0.0 without rows.
    grads : SemanticOppositeGrads
        With `return_grad`: the named tuple ``(x, y)``, in the shapes and dtypes of the inputs (float64 for integers).

    Raises
    ------
    TypeError
        If a dtype cannot be used, or eps is not a number.
    ValueError
        If shapes do not match, or an option is out of range.

    See Also
    --------
    fastpair.losses.binary_opposite : The matching of images with both.

    Notes
    -----
    :math:`2 - \sqrt{2 - 2 \cos(x_i, y_i) + \varepsilon}`, or :math:`1 + \cos(x_i, y_i)`. Opposite vectors have the
    value 0, the first up to :math:`\varepsilon / 4`. A zero vector has the cosine 0 and the gradient 0.

    Cost: O(n d). Extra memory: copies in float64.

    References
    ----------
    .. [1] H. Wang, Y. Li, H. Yao and X. Li (2023). CLIPN for zero-shot OOD detection: teaching CLIP to say no. ICCV.

    Examples
    --------
    >>> import fastpair
    >>> fastpair.losses.semantic_opposite([[1.0, 0.0]], [[0.0, 2.0]], form="cosine")
    np.float64(1.0)
    """
    check_choice(form, "form", ("distance", "cosine"))
    floor = check_number(eps, "eps", above=0)
    rows, others = _aligned(x, y, ("x", "y"))
    how = parse_rows_reduction(
        len(rows), reduction=reduction, weights=weights, return_grad=return_grad, grad_output=grad_output
    )
    valid = np.ones(len(rows), np.bool_)
    left, left_norms = unit_rows(rows)
    right, right_norms = unit_rows(others)
    cosines = np.clip(np.einsum("ij,ij->i", left, right), -1, 1)
    distances = np.sqrt(2 - 2 * cosines + floor)
    value = how(2 - distances if form == "distance" else 1 + cosines, valid)[0]
    if not how.return_grad:
        return value
    pull = (factors_of(how, valid) * (1 / distances if form == "distance" else 1.0))[:, np.newaxis]
    return value, SemanticOppositeGrads(
        in_dtype_of(away_from_units(pull * right, left, left_norms), rows),
        in_dtype_of(away_from_units(pull * left, right, right_norms), others),
    )


def _aligned(x: ArrayLike, y: ArrayLike, names: tuple[str, str]) -> tuple[_Array, _Array]:
    rows, others = same_width(embeddings(x, names[0], "dot"), embeddings(y, names[1], "dot"), "dot")
    if len(rows) != len(others):
        raise ValueError(f"{names[0]} has {len(rows)} rows but {names[1]} has {len(others)}; pass aligned rows")
    return rows, others
