"""InfoNCE against the negatives of each row alone: `local_contrast`."""

from typing import Any, NamedTuple, SupportsIndex, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import ArrayLike, library_of_call, on_gpu_too
from fastpair._embeddings import check_metric, embeddings, numbers
from fastpair._validate import in_dtype_of
from fastpair.losses._embedding import (
    SIMILARITY_METRICS,
    SimilarityMetric,
    WeightNorm,
    evaluate,
    parse_pairs,
    parse_rows_reduction,
    parse_temperature,
    temperature_gradient,
)
from fastpair.losses._lists import OnEmpty, ReductionName
from fastpair.losses._own_columns import own_gradient, own_similarities

__all__ = ["LocalContrastGrads", "local_contrast"]

_Array: TypeAlias = npt.NDArray[Any]


class LocalContrastGrads(NamedTuple):
    """The gradients of `local_contrast`, in the shapes and dtypes of the inputs."""

    x: _Array
    y: _Array
    negatives: _Array
    temperature: Any


@on_gpu_too
def local_contrast(
    x: ArrayLike,
    y: ArrayLike,
    negatives: ArrayLike,
    temperature: Any = 0.07,
    *,
    metric: SimilarityMetric = "cosine",
    weights: ArrayLike | None = None,
    weight_norm: WeightNorm = "count",
    on_empty: OnEmpty = "skip",
    reduction: ReductionName = "mean",
    return_grad: bool = False,
    grad_output: ArrayLike | None = None,
    num_threads: SupportsIndex | None = None,
    max_memory: SupportsIndex | None = None,
) -> Any:
    r"""Compute InfoNCE of each row against its positive and its own negatives, with none of other rows.

    Parameters
    ----------
    x : array_like, shape (n, d)
        Embeddings of the rows: floats of 16 to 64 bits, or integers.
    y : array_like, shape (n, d)
        Embeddings of their positives.
    negatives : array_like, shape (n, k, d)
        Embeddings of the negatives of each row.
    temperature : float or array_like, shape (n,)
        What similarities are divided by, positive: one number, or one for each row.
    metric : {"cosine", "dot", "sqeuclidean", "euclidean"}
        What a similarity is. That of a distance is minus the distance.
    weights : array_like, shape (n,), optional
        A weight for each row, finite and not negative.
    weight_norm : {"count", "weights"}
        Whether the mean divides by the number of rows that count, or by the sum of their weights.
    on_empty : {"skip", "zero", "error"}
        What a row without a positive or without a negative does: it is left out, counts with loss 0, or is refused.
    reduction : {"mean", "sum", "none"}
        Return the mean or the sum over rows, or one value for each.
    return_grad : bool
        Return the gradients as well.
    grad_output : array_like, shape (n,), optional
        For ``reduction="none"`` with `return_grad`, which needs it: the gradient with respect to each value.
    num_threads : int, optional
        The most threads to use; by default `fastpair.get_num_threads`.
    max_memory : int, optional
        The most bytes of scratch beside input and output; by default 64 MiB, or what one thread needs.

    Returns
    -------
    value : numpy.float64 or ndarray
        The loss; for ``reduction="none"`` float64, shape (n,). 0.0 where no row counts.
    grads : LocalContrastGrads
        With `return_grad`: the named tuple ``(x, y, negatives, temperature)``, in the shapes and dtypes of the inputs
        (float32 or float64 for integers).

    Raises
    ------
    TypeError
        If a dtype cannot be used, or an option is not a number.
    ValueError
        If shapes do not match, roles of pairs overlap, or an option is out of range.

    See Also
    --------
    fastpair.losses.info_nce : Negatives of other rows too; these are its ``paired_negatives=``.

    Notes
    -----
    The loss of a row is the cross-entropy of its 1 + k logits with the positive as target. The negatives of each row
    are explicit: references lay out those of neighbouring rows in different ways.

    Cost: O(n k d). Extra memory: O(n k), a few MiB, and gradients once in float32 or float64.

    References
    ----------
    .. [1] A. van den Oord, Y. Li and O. Vinyals (2018). Representation learning with contrastive predictive coding.
       arXiv:1807.03748.

    Examples
    --------
    >>> import fastpair
    >>> x, y = [[1.0, 0.0], [0.0, 1.0]], [[1.0, 1.0], [0.0, 2.0]]
    >>> negatives = [[[0.0, 1.0], [-1.0, 0.0]], [[1.0, 0.0], [1.0, 1.0]]]
    >>> fastpair.losses.local_contrast(x, y, negatives, temperature=0.5, reduction="none").round(6)
    array([0.243745, 0.525913])
    """
    name = check_metric(metric, SIMILARITY_METRICS)
    rows, positive = embeddings(x, "x", name), embeddings(y, "y", name)
    others = numbers(negatives, "negatives", name)
    if positive.shape != rows.shape:
        raise ValueError(f"y has shape {positive.shape} but x has {rows.shape}; pass one positive for each row")
    if others.ndim != 3 or (others.shape[0], others.shape[2]) != rows.shape:
        raise ValueError(
            f"negatives has shape {others.shape}; pass shape ({rows.shape[0]}, k, {rows.shape[1]}), k for each row"
        )
    own = positive[:, np.newaxis]
    scores = np.concatenate([own_similarities(rows, own, name), own_similarities(rows, others, name)], axis=1)
    pairs = parse_pairs(None, None, scores, name, num_threads, max_memory)
    how = parse_rows_reduction(
        len(rows),
        reduction=reduction,
        on_empty=on_empty,
        weights=weights,
        weight_norm=weight_norm,
        return_grad=return_grad,
        grad_output=grad_output,
    )
    options = {
        "temperature": parse_temperature(temperature, len(rows)),
        "positives": library_of_call().zeros(len(rows), np.int64),
    }
    outcome = evaluate(pairs, "softmax", options, how)
    if outcome.similarities is None:
        return outcome.value
    x_of_own, of_own = own_gradient(rows, own, name, outcome.similarities[:, :1])
    x_of_others, of_others = own_gradient(rows, others, name, outcome.similarities[:, 1:])
    return outcome.value, LocalContrastGrads(
        in_dtype_of(x_of_own + x_of_others, rows),
        in_dtype_of(of_own[:, 0], positive),
        in_dtype_of(of_others, others),
        temperature_gradient(outcome.temperature, temperature),
    )
