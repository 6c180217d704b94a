"""InfoNCE for special purposes: `focal_nce` looks away from easy rows, `patch_nce` stays within images."""

from typing import Any, SupportsIndex

from fastpair._array import ArrayLike, on_gpu_too
from fastpair._embeddings import check_flag
from fastpair.losses._embedding import EmbeddingGrads, SimilarityMetric, WeightNorm
from fastpair.losses._info_nce import info_nce
from fastpair.losses._lists import OnEmpty, ReductionName

__all__ = ["focal_nce", "patch_nce"]


@on_gpu_too
def focal_nce(
    x: ArrayLike | None = None,
    y: ArrayLike | None = None,
    positives: ArrayLike | None = None,
    temperature: Any = 0.07,
    gamma: float = 0.5,
    *,
    similarities: ArrayLike | None = None,
    metric: SimilarityMetric = "cosine",
    labels: Any = None,
    ignore: ArrayLike | None = None,
    ids: Any = None,
    groups: Any = None,
    detach_weights: bool = False,
    weights: ArrayLike | None = None,
    weight_norm: WeightNorm = "count",
    on_empty: OnEmpty = "skip",
    reduction: ReductionName = "mean",
    return_grad: bool = False,
    grad_output: ArrayLike | None = None,
    num_threads: SupportsIndex | None = None,
    max_memory: SupportsIndex | None = None,
) -> Any:
    r"""Compute InfoNCE of which rows weigh less the better they are solved.

    Parameters
    ----------
    x : array_like, shape (n, d), optional
        Embeddings of the rows: floats of 16 to 64 bits, or integers.
    y : array_like, shape (m, d), optional
        Embeddings of the columns; by default x itself, each row without itself.
    positives : array_like, shape (n,) or (n, m), optional
        The positive of each row: its column as an integer (-1: the row has none), or a bool mask of one or several. By
        default the diagonal.
    temperature : float or array_like, shape (n,)
        What similarities are divided by, positive: one number, or one for each row.
    gamma : float
        How fast the weight falls, not negative; 0 is InfoNCE.
    similarities : array_like, shape (n, m), optional
        Similarities in place of x and y, larger for closer.
    metric : {"cosine", "dot", "sqeuclidean", "euclidean"}
        What a similarity is. That of a distance is minus the distance.
    labels : array_like, shape (n,), or tuple of two, optional
        In place of `positives`: equal labels are positive. A tuple has those of rows and those of columns.
    ignore : array_like of bool, shape (n, m), optional
        Pairs that are neither positive nor negative.
    ids : array_like, shape (m,), or tuple of two, optional
        Identities of the columns: duplicates of the positive of a row are ignored. A tuple has those of rows and those
        of columns.
    groups : array_like, shape (n,), or tuple of two, optional
        Only columns of the group of the row count.
    detach_weights : bool
        Take no gradient of the weights.
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
    grads : EmbeddingGrads
        With `return_grad`: the named tuple ``(x, y, temperature, similarities)``, in the shapes and dtypes of the
        inputs (float32 or float64 for integers), None for what was not given.

    Raises
    ------
    TypeError
        If a dtype cannot be used, or an option is not a number.
    ValueError
        If shapes do not match, roles of pairs overlap, or an option is out of range.

    See Also
    --------
    fastpair.losses.info_nce : The same with ``focal_gamma=``, and more options.

    Notes
    -----
    With the probability :math:`p_i = e^{-\ell_i}` of the positive under the loss :math:`\ell_i` of InfoNCE it is the
    mean of :math:`(1 - p_i)^\gamma \ell_i`. Weights have a gradient: that of InfoNCE is multiplied by
    :math:`(1 - p)^\gamma (1 - \gamma p \log p / (1 - p))`, with `detach_weights` by :math:`(1 - p)^\gamma` alone.
    Weights from elsewhere, such as a teacher's, are ``weights=``.

    Cost: O(n m d), twice with gradients. Extra memory: O(n + m) and `max_memory`.

    References
    ----------
    .. [1] T.-Y. Lin et al. (2017). Focal loss for dense object detection. ICCV.

    Examples
    --------
    >>> import fastpair
    >>> scores = [[0.9, 0.2, 0.4], [0.1, 0.7, 0.3], [0.5, 0.6, 0.8]]
    >>> fastpair.losses.focal_nce(similarities=scores, temperature=0.1).round(6)
    np.float64(0.023576)
    """
    result = info_nce(
        x,
        y,
        positives,
        temperature,
        similarities=similarities,
        metric=metric,
        labels=labels,
        ignore=ignore,
        ids=ids,
        groups=groups,
        focal_gamma=gamma,
        detach_weights=detach_weights,
        weights=weights,
        weight_norm=weight_norm,
        on_empty=on_empty,
        reduction=reduction,
        return_grad=return_grad,
        grad_output=grad_output,
        num_threads=num_threads,
        max_memory=max_memory,
    )
    if not check_flag(return_grad, "return_grad"):
        return result
    value, grads = result
    return value, EmbeddingGrads(grads.x, grads.y, grads.temperature, grads.similarities)


@on_gpu_too
def patch_nce(
    x: ArrayLike,
    y: ArrayLike,
    groups: Any = None,
    temperature: Any = 0.07,
    *,
    metric: SimilarityMetric = "cosine",
    detach_keys: bool = True,
    weights: ArrayLike | None = None,
    weight_norm: WeightNorm = "count",
    on_empty: OnEmpty = "skip",
    reduction: ReductionName = "mean",
    return_grad: bool = False,
    grad_output: ArrayLike | None = None,
    num_threads: SupportsIndex | None = None,
    max_memory: SupportsIndex | None = None,
) -> Any:
    r"""Compute PatchNCE: InfoNCE of patches against the other patches of their image.

    Parameters
    ----------
    x : array_like, shape (n, d)
        Embeddings of the patches of generated images: floats of 16 to 64 bits, or integers.
    y : array_like, shape (n, d)
        Embeddings of the same patches of the input images: the keys.
    groups : array_like, shape (n,), optional
        The image of each patch: integers or strings. By default all are of one image.
    temperature : float or array_like, shape (n,)
        What similarities are divided by, positive: one number, or one for each row.
    metric : {"cosine", "dot", "sqeuclidean", "euclidean"}
        What a similarity is. That of a distance is minus the distance.
    detach_keys : bool
        Return no gradient of the keys, as in the reference.
    weights : array_like, shape (n,), optional
        A weight for each patch, finite and not negative, such as those of adaptive supervision.
    weight_norm : {"count", "weights"}
        Whether the mean divides by the number of rows that count, or by the sum of their weights.
    on_empty : {"skip", "zero", "error"}
        What a patch that is alone in its image does: it is left out, counts with loss 0, or is refused.
    reduction : {"mean", "sum", "none"}
        Return the mean or the sum over patches, or one value for each.
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
    grads : EmbeddingGrads
        With `return_grad`: the named tuple ``(x, y, temperature, similarities)``; ``y`` is None with `detach_keys`,
        ``similarities`` always.

    Raises
    ------
    TypeError
        If a dtype cannot be used, or an option is not a number.
    ValueError
        If shapes do not match, roles of pairs overlap, or an option is out of range.

    See Also
    --------
    fastpair.losses.info_nce : The same with ``groups=``, and more options.

    Notes
    -----
    .. math:: \ell_i = -L_{ii} + \log \sum_{j : g_j = g_i} e^{L_{ij}}, \qquad L_{ij} = s_{ij} / t

    Cost: O(n^2 d), twice with gradients. Extra memory: O(n) and `max_memory`.

    References
    ----------
    .. [1] T. Park, A. A. Efros, R. Zhang and J.-Y. Zhu (2020). Contrastive learning for unpaired image-to-image
       translation. ECCV.
    .. [2] F. Li, Z. Hu, W. Chen and A. Kak (2023). Adaptive supervised PatchNCE loss for learning H&E-to-IHC stain
       translation. MICCAI.

    Examples
    --------
    >>> import fastpair
    >>> x = [[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [1.0, -1.0]]
    >>> y = [[1.0, 0.5], [0.5, 1.0], [1.0, 1.0], [1.0, 0.0]]
    >>> fastpair.losses.patch_nce(x, y, groups=[0, 0, 1, 1], temperature=0.5).round(6)
    np.float64(0.336426)
    """
    result = info_nce(
        x,
        y,
        temperature=temperature,
        metric=metric,
        groups=groups,
        weights=weights,
        weight_norm=weight_norm,
        on_empty=on_empty,
        reduction=reduction,
        return_grad=return_grad,
        grad_output=grad_output,
        num_threads=num_threads,
        max_memory=max_memory,
    )
    detached = check_flag(detach_keys, "detach_keys")
    if not check_flag(return_grad, "return_grad"):
        return result
    value, grads = result
    return value, EmbeddingGrads(grads.x, None if detached else grads.y, grads.temperature, None)
