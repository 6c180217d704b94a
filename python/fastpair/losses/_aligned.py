"""Aligned pairs, each positive with its own negatives: `bpr`, `margin_ranking`, and what all losses of these share."""

from typing import Any, SupportsIndex, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import ArrayLike, kernels_of, on_gpu_too, scalar
from fastpair._embeddings import numbers
from fastpair._validate import check_not_negative, check_num_threads, check_number, in_dtype_of
from fastpair.losses._lists import PairGrads, Reduction, ReductionName, may_hold, parse_reduction, parse_scores

__all__ = [
    "aligned_loss",
    "bpr",
    "difference",
    "finish_rows",
    "margin_ranking",
    "parse_rows",
    "sigmoid",
    "weighted_pairs",
]

_Array: TypeAlias = npt.NDArray[Any]
_Floats: TypeAlias = npt.NDArray[np.float64]


@on_gpu_too
def bpr(
    pos: ArrayLike,
    neg: ArrayLike,
    *,
    sigma: float = 1.0,
    weights: ArrayLike | None = None,
    reduction: ReductionName = "mean",
    return_grad: bool = False,
    grad_output: ArrayLike | None = None,
    num_threads: SupportsIndex | None = None,
) -> Any:
    r"""Compute the Bayesian personalised ranking loss of positives, each with its own negatives.

    Parameters
    ----------
    pos : array_like, shape (n,)
        Scores of the positives.
    neg : array_like, shape (n,) or (n, k)
        Scores of the negatives of each positive.
    sigma : float
        What multiplies the differences, positive.
    weights : array_like, shape (n,), optional
        A weight for each positive, finite and not negative.
    reduction : {"mean", "sum", "none"}
        Return the mean over all pairs, or the sum or one value for each positive of the means over its negatives.
    return_grad : bool
        Return the gradients as well.
    grad_output : array_like, shape (n,), optional
        For ``reduction="none"`` with `return_grad`, which needs it: the gradient with respect to each value.
    num_threads : int, optional
        The most threads to use; by default `fastpair.get_num_threads`.

    Returns
    -------
    value : numpy.float64 or ndarray
        The loss; for ``reduction="none"`` float64, shape (n,). 0.0 without a pair.
    grads : PairGrads
        With `return_grad`: the named tuple ``(pos, neg)``, in the shapes and dtypes of the inputs (float64 for
        integers).

    Raises
    ------
    TypeError
        If a dtype cannot be used.
    ValueError
        If shapes do not match, a weight is negative or not finite, or an option is out of range.

    See Also
    --------
    fastpair.losses.mann_whitney : Every positive with every negative.
    fastpair.losses.bpr_max : Negatives weighted by how high they score.

    Notes
    -----
    With the negatives :math:`q_{ik}` of the positive :math:`p_i`,

    .. math:: L = \frac{1}{n k} \sum_{i,k} w_i \log\left(1 + e^{-\sigma (p_i - q_{ik})}\right) .

    It is evaluated as a softplus, which neither overflows nor saturates: no constant is added inside the logarithm.
    Equal infinite scores differ by 0; a NaN makes the value NaN, and the gradients of its row.

    Cost: O(n k). Memory: the gradients.

    References
    ----------
    .. [1] S. Rendle, C. Freudenthaler, Z. Gantner and L. Schmidt-Thieme (2009). BPR: Bayesian personalized ranking from
       implicit feedback. UAI.

    Examples
    --------
    >>> import fastpair
    >>> value, grads = fastpair.losses.bpr([1.0, 0.0], [0.0, 0.0], return_grad=True)
    >>> value.round(6)
    np.float64(0.503204)
    >>> grads.pos.round(6)
    array([-0.134471, -0.25    ])
    """
    temperature = 1 / check_number(sigma, "sigma", above=0)
    how = {"weights": weights, "reduction": reduction, "return_grad": return_grad, "grad_output": grad_output}
    return aligned_loss(pos, neg, "logistic", temperature, 1.0, num_threads, normalizer="pairs", **how)


@on_gpu_too
def margin_ranking(
    pos: ArrayLike,
    neg: ArrayLike,
    *,
    margin: float = 1.0,
    weights: ArrayLike | None = None,
    reduction: ReductionName = "mean",
    return_grad: bool = False,
    grad_output: ArrayLike | None = None,
    num_threads: SupportsIndex | None = None,
) -> Any:
    r"""Compute the hinge loss of positives that are to score a margin above their own negatives.

    Parameters
    ----------
    pos : array_like, shape (n,)
        Scores of the positives.
    neg : array_like, shape (n,) or (n, k)
        Scores of the negatives of each positive.
    margin : float
        By how much a positive is to be ahead.
    weights : array_like, shape (n,), optional
        A weight for each positive, finite and not negative.
    reduction : {"mean", "sum", "none"}
        Return the mean over all pairs, or the sum or one value for each positive of the means over its negatives.
    return_grad : bool
        Return the gradients as well.
    grad_output : array_like, shape (n,), optional
        For ``reduction="none"`` with `return_grad`, which needs it: the gradient with respect to each value.
    num_threads : int, optional
        The most threads to use; by default `fastpair.get_num_threads`.

    Returns
    -------
    value : numpy.float64 or ndarray
        The loss; for ``reduction="none"`` float64, shape (n,). 0.0 without a pair.
    grads : PairGrads
        With `return_grad`: the named tuple ``(pos, neg)``, in the shapes and dtypes of the inputs (float64 for
        integers).

    Raises
    ------
    TypeError
        If a dtype cannot be used.
    ValueError
        If shapes do not match, a weight is negative or not finite, or the margin is not finite.

    See Also
    --------
    fastpair.losses.pairwise_hinge : All pairs of a list.

    Notes
    -----
    With the negatives :math:`q_{ik}` of the positive :math:`p_i` and the margin m,

    .. math:: L = \frac{1}{n k} \sum_{i,k} w_i \, [m - p_i + q_{ik}]_+ .

    At the kink the gradient is 0. Equal infinite scores differ by 0; a NaN makes the value NaN, and the gradients of
    its row.

    Cost: O(n k). Memory: the gradients.

    References
    ----------
    .. [1] R. Herbrich, T. Graepel and K. Obermayer (2000). Large margin rank boundaries for ordinal regression.
       Advances in Large Margin Classifiers.

    Examples
    --------
    >>> import fastpair
    >>> value, grads = fastpair.losses.margin_ranking([2.0, 0.5], [0.0, 0.25], return_grad=True)
    >>> value
    np.float64(0.375)
    >>> grads.neg
    array([0. , 0.5])
    """
    own_margin = check_number(margin, "margin")
    how = {"weights": weights, "reduction": reduction, "return_grad": return_grad, "grad_output": grad_output}
    return aligned_loss(pos, neg, "hinge", 1.0, own_margin, num_threads, normalizer="pairs", **how)


def aligned_loss(
    pos: ArrayLike,
    neg: ArrayLike,
    surrogate: str,
    temperature: float,
    margin: float,
    num_threads: SupportsIndex | None,
    **how: Any,
) -> Any:
    """Return the loss of a surrogate of the differences of aligned pairs; `how` is what `parse_reduction` takes."""
    above, below, matrix = parse_rows(pos, neg)
    threads = check_num_threads(num_threads)
    reduction = parse_reduction(len(above), **how)
    sums, on_pos, on_neg = kernels_of(matrix).aligned_pairs(
        above, matrix, surrogate, temperature, margin, reduction.return_grad, threads
    )
    slopes = None if on_pos is None or on_neg is None else (on_pos, on_neg)
    return finish_rows(reduction, above, below, sums, matrix.shape[1], slopes)


def weighted_pairs(pos: ArrayLike, neg: ArrayLike, pair_weights: ArrayLike, temperature: float, **how: Any) -> Any:
    """Return the logistic loss of aligned pairs that have weights."""
    above, below, matrix = parse_rows(pos, neg)
    given = numbers(pair_weights, "pair_weights", "dot")
    if given.shape != below.shape:
        raise ValueError(f"pair_weights has shape {given.shape} but neg has {below.shape}; pass a weight for each pair")
    check_not_negative(given, "pair_weights")
    own_weights = given.reshape(matrix.shape).astype(np.float64)
    reduction = parse_reduction(len(above), **how)
    behind = difference(matrix.astype(np.float64), above.astype(np.float64)[:, np.newaxis])
    behind /= temperature
    # A pair without weight is left out, even if it is infinitely wrong.
    with np.errstate(invalid="ignore"):
        terms = np.where(own_weights != 0, softplus(behind) * own_weights, 0.0)
    slopes = None
    if reduction.return_grad:
        pull = np.where(own_weights != 0, sigmoid(behind) * (own_weights / temperature), 0.0)
        slopes = (-pull.sum(axis=1), pull)
    return finish_rows(reduction, above, below, terms.sum(axis=1), matrix.shape[1], slopes)


def parse_rows(pos: ArrayLike, neg: ArrayLike) -> tuple[_Array, _Array, _Array]:
    """Return the positives, the negatives as they are, and the negatives as a matrix with a row for each positive."""
    above, below = parse_scores(pos, "pos"), numbers(neg, "neg", "dot")
    if below.shape[:1] != above.shape or below.ndim > 2:
        raise ValueError(
            f"neg has shape {below.shape} but pos has {above.shape}; pass ({len(above)},) or ({len(above)}, k), "
            f"negatives for each positive"
        )
    return above, below, below if below.ndim == 2 else below[:, np.newaxis]


def finish_rows(
    how: Reduction, pos: _Array, neg: _Array, sums: _Floats, width: int, slopes: tuple[_Array, _Array] | None
) -> Any:
    """Return the value, and the gradients from those of the sum of each row, which has `width` pairs."""
    if how.kind != "none" and how.weights is None and width and len(sums):
        # All rows are scaled alike: nothing as long as the scores has to be made for it.
        scale: Any = 1.0 if how.normalizer == "sum" else 1 / width
        divisor = len(sums) if how.kind == "mean" else 1
        if how.kind == "mean":
            value: Any = scalar(sums.sum() / (divisor if how.normalizer == "sum" else divisor * width))
        else:
            value = scalar(sums.sum() * scale)
        scale /= divisor
    else:
        value, scale = how(sums, np.full_like(sums, float(width)))
    if not how.return_grad:
        return value
    assert slopes is not None
    on_pos, on_neg = slopes
    on_pos *= scale
    if np.ndim(scale):
        on_neg *= scale[:, np.newaxis]
        unused = scale == 0
        if may_hold(unused):  # also where the scores are NaN
            on_pos[unused], on_neg[unused] = 0, 0
    else:
        on_neg *= scale
    return value, PairGrads(in_dtype_of(on_pos, pos), in_dtype_of(on_neg, neg).reshape(neg.shape))


def sigmoid(z: _Array) -> _Floats:
    """Return the logistic function, with all its digits on both sides: of -z where 1 - sigmoid(z) is needed."""
    small = np.exp(-np.abs(z))
    result: _Floats = np.where(z >= 0, 1.0, small) / (1 + small)
    return result


def softplus(z: _Array) -> _Floats:
    """Return log(1 + e^z), which neither overflows nor loses small values."""
    result: _Floats = np.maximum(z, 0.0) + np.log1p(np.exp(-np.abs(z)))
    return result


def difference(a: _Floats, b: _Floats) -> _Floats:
    """Return a - b, 0 where infinite scores are equal."""
    with np.errstate(invalid="ignore"):
        result = a - b
    result[a == b] = 0
    return result
