"""Losses of pairs that do not compete, a sigmoid for each: `siglip`."""

from typing import Any, NamedTuple, SupportsIndex, TypeAlias

import numpy.typing as npt

from fastpair._array import ArrayLike, on_gpu_too
from fastpair._roles import parse_roles
from fastpair._validate import check_number
from fastpair.losses._embedding import (
    Outcome,
    Pairs,
    SimilarityMetric,
    WeightNorm,
    cast,
    evaluate,
    parse_pairs,
    parse_rows_reduction,
    total,
)
from fastpair.losses._lists import OnEmpty, ReductionName

__all__ = ["SigmoidGrads", "siglip", "sigmoid_grads"]

_Array: TypeAlias = npt.NDArray[Any]


class SigmoidGrads(NamedTuple):
    """The gradients of `siglip` and `pairwise_bce`; None for what was not given.

    Those of arrays have the shapes and dtypes of the inputs, those of scale and bias are float64.
    """

    x: _Array | None
    y: _Array | None
    scale: Any
    bias: Any
    similarities: _Array | None


@on_gpu_too
def siglip(
    x: ArrayLike | None = None,
    y: ArrayLike | None = None,
    positives: ArrayLike | None = None,
    scale: float = 10.0,
    bias: float = -10.0,
    *,
    similarities: ArrayLike | None = None,
    metric: SimilarityMetric = "cosine",
    labels: Any = None,
    ignore: Any = None,
    neg_mask: Any = None,
    ids: Any = None,
    groups: Any = None,
    weights: ArrayLike | None = None,
    weight_norm: WeightNorm = "count",
    on_empty: OnEmpty = "skip",
    reduction: ReductionName = "mean",
    return_grad: bool = False,
    grad_output: ArrayLike | None = None,
    num_threads: SupportsIndex | None = None,
    max_memory: SupportsIndex | None = None,
) -> Any:
    r"""Compute the SigLIP loss: a logistic loss for every pair, positive or not.

    Parameters
    ----------
    x : array_like, shape (n, d), optional
        Embeddings of the rows: floats of 16 to 64 bits, or integers.
    y : array_like, shape (m, d), optional
        Embeddings of the columns; by default x itself, each row without itself.
    positives : array_like, shape (n,) or (n, m), optional
        The positive of each row: its column as an integer (-1: the row has none), or a mask of one or several: bool, or
        any format of pairs of `fastpair.mining`. By default the diagonal.
    scale : float
        What similarities are multiplied by, positive: one over a temperature.
    bias : float
        What is added to that.
    similarities : array_like, shape (n, m), optional
        Similarities in place of x and y, larger for closer.
    metric : {"cosine", "dot", "sqeuclidean", "euclidean"}
        What a similarity is. That of a distance is minus the distance.
    labels : array_like, shape (n,), or tuple of two, optional
        In place of `positives`: equal labels are positive. A tuple has those of rows and those of columns.
    ignore : array_like or tuple, optional
        Pairs that are neither positive nor negative: bool of shape (n, m), or any format of pairs of `fastpair.mining`.
    neg_mask : array_like, tuple or Miner, optional
        Which pairs may be negatives, in any format of pairs: others that are not positive are ignored. A
        `fastpair.mining.Miner` finds them inside of the loss.
    ids : array_like, shape (m,), or tuple of two, optional
        Identities of the columns: duplicates of the positive of a row are ignored. A tuple has those of rows and those
        of columns.
    groups : array_like, shape (n,), or tuple of two, optional
        Only columns of the group of the row count.
    weights : array_like, shape (n,), optional
        A weight for each row, finite and not negative.
    weight_norm : {"count", "weights"}
        Whether the mean divides by the number of rows that count, or by the sum of their weights.
    on_empty : {"skip", "zero", "error"}
        What a row without any pair does: it is left out, counts with loss 0, or is refused.
    reduction : {"mean", "sum", "none"}
        Return the mean or the sum over rows, or one value for each: the sum over its pairs.
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
    grads : SigmoidGrads
        With `return_grad`: the named tuple ``(x, y, scale, bias, similarities)``, in the shapes and dtypes of the
        inputs (float32 or float64 for integers), None for what was not given.

    Raises
    ------
    TypeError
        If a dtype cannot be used, or an option is not a number.
    ValueError
        If shapes do not match, roles of pairs overlap, or an option is out of range.

    See Also
    --------
    fastpair.losses.clip : Pairs compete.
    fastpair.losses.pairwise_bce : The mean over pairs.

    Notes
    -----
    With z = 1 for positives and -1 for other pairs,

    .. math:: \frac1n \sum_{ij} \log\big(1 + e^{-z_{ij} (a s_{ij} + b)}\big) .

    The sum is divided by the number of rows, not of pairs, as in the reference, which learns the logarithm of a. For a
    and b of 0 it is n log 2.

    Cost: O(n m d), twice with gradients. Extra memory: O(n + m) and `max_memory`.

    References
    ----------
    .. [1] X. Zhai, B. Mustafa, A. Kolesnikov and L. Beyer (2023). Sigmoid loss for language image pre-training. ICCV.

    Examples
    --------
    >>> import fastpair
    >>> scores = [[0.9, 0.2, 0.4], [0.1, 0.7, 0.3], [0.5, 0.6, 0.8]]
    >>> fastpair.losses.siglip(similarities=scores).round(6)
    np.float64(2.172496)
    """
    pairs = parse_pairs(x, y, similarities, metric, num_threads, max_memory)
    roles = parse_roles(
        pairs.shape,
        pairs.within,
        positives,
        labels=labels,
        ignore=ignore,
        neg_mask=neg_mask,
        groups=groups,
        ids=ids,
        metric=pairs.closeness,
    )
    options = {
        **roles.options(),
        "scale": check_number(scale, "scale", least=0),
        "bias": check_number(bias, "bias"),
    }
    how = parse_rows_reduction(
        pairs.shape[0],
        reduction=reduction,
        on_empty=on_empty,
        weights=weights,
        weight_norm=weight_norm,
        return_grad=return_grad,
        grad_output=grad_output,
    )
    outcome = evaluate(pairs, "sigmoid", options, how)
    return (outcome.value, sigmoid_grads(pairs, outcome)) if how.return_grad else outcome.value


def sigmoid_grads(pairs: Pairs, outcome: Outcome) -> SigmoidGrads:
    """Return the gradients in the form of the inputs."""
    return SigmoidGrads(
        cast(outcome.x, pairs.x),
        cast(outcome.y, pairs.y),
        total(outcome.scale),
        total(outcome.bias),
        cast(outcome.similarities, pairs.similarities),
    )
