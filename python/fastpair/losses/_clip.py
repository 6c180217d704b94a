"""InfoNCE of both directions: `clip`."""

from typing import Any, SupportsIndex

from fastpair._array import ArrayLike, on_gpu_too
from fastpair.losses._embedding import SimilarityMetric, WeightNorm
from fastpair.losses._info_nce import info_nce
from fastpair.losses._lists import OnEmpty, ReductionName

__all__ = ["clip"]


@on_gpu_too
def clip(
    x: ArrayLike | None = None,
    y: ArrayLike | None = None,
    positives: ArrayLike | None = None,
    temperature: float = 0.07,
    *,
    similarities: ArrayLike | None = None,
    metric: SimilarityMetric = "cosine",
    label_smoothing: float = 0.0,
    extra_negatives: ArrayLike | None = None,
    paired_negatives: ArrayLike | None = None,
    ids: Any = None,
    weights: ArrayLike | None = None,
    weight_norm: WeightNorm = "count",
    on_empty: OnEmpty = "skip",
    reduction: ReductionName = "mean",
    return_grad: bool = False,
    grad_output: ArrayLike | None = None,
    num_threads: SupportsIndex | None = None,
    max_memory: SupportsIndex | None = None,
) -> Any:
    r"""Compute the CLIP loss: the mean of InfoNCE over rows and of InfoNCE over columns.

    Parameters
    ----------
    x : array_like, shape (n, d), optional
        Embeddings of one kind: floats of 16 to 64 bits, or integers.
    y : array_like, shape (n, d), optional
        Embeddings of the other kind.
    positives : array_like, shape (n,) or (n, m), optional
        The positive of each row: its column as an integer (-1: the row has none), or a bool mask of one or several. By
        default the diagonal.
    temperature : float
        What similarities are divided by, positive: the inverse of CLIP's logit scale.
    similarities : array_like, shape (n, m), optional
        Similarities in place of x and y, larger for closer.
    metric : {"cosine", "dot", "sqeuclidean", "euclidean"}
        What a similarity is. That of a distance is minus the distance.
    label_smoothing : float
        Share of the target, from 0 to 1, that is spread over all columns.
    extra_negatives : array_like, shape (k, d), optional
        Embeddings that are negatives of all rows of x, not of y.
    paired_negatives : array_like, shape (n, k, d), optional
        Embeddings that are negatives of one row of x each, such as captions made wrong (NegCLIP).
    ids : array_like, shape (n,), or tuple of two, optional
        Identities: duplicates of the positive of a row or column are ignored.
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
    grads : InfoNceGrads
        With `return_grad`, as for `fastpair.losses.info_nce`.

    Raises
    ------
    TypeError
        If a dtype cannot be used, or an option is not a number.
    ValueError
        If shapes do not match, roles of pairs overlap, or an option is out of range.

    See Also
    --------
    fastpair.losses.info_nce : The same with ``symmetric=True``, and more options.
    fastpair.losses.siglip : Pairs that do not compete.

    Notes
    -----
    .. math:: \frac{1}{2n} \sum_i \Big(-2 L_{ii} + \log \sum_j e^{L_{ij}} + \log \sum_j e^{L_{ji}}\Big),
       \qquad L_{ij} = s_{ij} / t

    The loss of open_clip is this with ``temperature=1 / logit_scale``. Without options, x and y are multiplied once for
    both directions.

    Cost: O(n^2 d). Extra memory: O(n) and `max_memory`.

    References
    ----------
    .. [1] A. Radford et al. (2021). Learning transferable visual models from natural language supervision. ICML.

    Examples
    --------
    >>> import fastpair
    >>> scores = [[0.9, 0.2, 0.4], [0.1, 0.7, 0.3], [0.5, 0.6, 0.8]]
    >>> fastpair.losses.clip(similarities=scores, temperature=0.1).round(6)
    np.float64(0.093241)
    """
    return info_nce(
        x,
        y,
        positives,
        temperature,
        similarities=similarities,
        metric=metric,
        symmetric=True,
        label_smoothing=label_smoothing,
        extra_negatives=extra_negatives,
        paired_negatives=paired_negatives,
        ids=ids,
        weights=weights,
        weight_norm=weight_norm,
        on_empty=on_empty,
        reduction=reduction,
        return_grad=return_grad,
        grad_output=grad_output,
        num_threads=num_threads,
        max_memory=max_memory,
    )
