"""Supervised contrastive losses, whose positives share a label: `supcon` and `cliff_contrast`."""

from dataclasses import replace
from typing import Any, Literal, NamedTuple, SupportsIndex, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import ArrayLike, array_of, library_of, library_of_call, on_gpu_too
from fastpair._embeddings import check_metric, embeddings, numbers
from fastpair._roles import same_codes
from fastpair._validate import check_choice, check_not_negative, check_number
from fastpair.losses._embedding import (
    SIMILARITY_METRICS,
    Outcome,
    SimilarityMetric,
    WeightNorm,
    cast,
    evaluate,
    parse_pairs,
    parse_rows_reduction,
)
from fastpair.losses._lists import OnEmpty, ReductionName
from fastpair.losses._views import view_origins

__all__ = ["FeatureGrads", "cliff_contrast", "supcon"]

_Array: TypeAlias = npt.NDArray[Any]


class FeatureGrads(NamedTuple):
    """The gradients of `supcon`; None for what was not given.

    Those of arrays have the shapes and dtypes of the inputs, that of the temperature is a float64.
    """

    features: _Array | None
    temperature: Any
    similarities: _Array | None


@on_gpu_too
def supcon(
    features: ArrayLike | None = None,
    labels: ArrayLike | None = None,
    *,
    mask: ArrayLike | None = None,
    similarities: ArrayLike | None = None,
    temperature: float = 0.07,
    base_temperature: float | None = None,
    contrast_mode: Literal["all", "one"] = "all",
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
    r"""Compute the supervised contrastive loss: anchors against those of their label, among all others.

    Parameters
    ----------
    features : array_like, shape (n, v, d) or (n, d), optional
        Embeddings of v views, or of one: floats of 16 to 64 bits, or integers.
    labels : array_like, shape (n,), optional
        The label of each example: integers or strings. Without labels and mask, positives are the other views.
    mask : array_like, shape (n, n), optional
        In place of labels: which examples are positive for which, as bool, or how much, as numbers not negative.
    similarities : array_like, shape (n, n), optional
        Similarities in place of features, larger for closer. The diagonal is left out.
    temperature : float
        What similarities are divided by, positive.
    base_temperature : float, optional
        The loss is multiplied by ``temperature / base_temperature``; by default by 1.
    contrast_mode : {"all", "one"}
        Whether all views are anchors, or only the first.
    metric : {"cosine", "dot", "sqeuclidean", "euclidean"}
        What a similarity is. That of a distance is minus the distance.
    weights : array_like, shape (n,), optional
        A weight for each example, finite and not negative.
    weight_norm : {"count", "weights"}
        Whether the mean divides by the number of anchors that count, or by the sum of their weights.
    on_empty : {"skip", "zero", "error"}
        What an anchor without a positive does: it is left out, counts with loss 0, or is refused.
    reduction : {"mean", "sum", "none"}
        Return the mean over anchors, or the sum or one value for each example: the mean of its views.
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
    grads : FeatureGrads
        With `return_grad`: the named tuple ``(features, temperature, similarities)``, in the shapes and dtypes of the
        inputs (float32 or float64 for integers), None for what was not given.

    Raises
    ------
    TypeError
        If a dtype cannot be used, or an option is not a number.
    ValueError
        If shapes do not match, roles of pairs overlap, or an option is out of range.

    See Also
    --------
    fastpair.losses.info_nce : Other ways to take several positives.
    fastpair.losses.nt_xent : Two views without labels.

    Notes
    -----
    With the softmax p over all other rows :math:`j \ne i` and the mask m, the loss of an anchor is

    .. math:: \ell_i = -\frac{t}{t_0} \frac{\sum_{j \ne i} m_{ij} \log p_{ij}}{\sum_{j \ne i} m_{ij}}

    Anchors without a positive, for which references divide by zero, do not count; anchors without a negative do.
    SupConLoss of pytorch-metric-learning has the same value with its temperature, 0.1, where every anchor has a
    negative.

    Cost: O(N^2 d) for N = n v rows, twice with gradients. Extra memory: O(N d) and `max_memory`; a mask takes N^2 bytes
    more, and numbers in it 8 N^2.

    References
    ----------
    .. [1] P. Khosla et al. (2020). Supervised contrastive learning. NeurIPS.

    Examples
    --------
    >>> import fastpair
    >>> scores = [[1.0, 0.8, 0.6, 0.3], [0.8, 1.0, 0.4, 0.5], [0.6, 0.4, 1.0, 0.7], [0.3, 0.5, 0.7, 1.0]]
    >>> fastpair.losses.supcon(labels=[0, 0, 1, 1], similarities=scores, temperature=0.1).round(6)
    np.float64(0.172668)
    """
    scale = check_number(temperature, "temperature", above=0)
    base = scale if base_temperature is None else check_number(base_temperature, "base_temperature", above=0)
    check_choice(contrast_mode, "contrast_mode", ("all", "one"))
    whole = contrast_mode == "all"
    name = check_metric(metric, SIMILARITY_METRICS)
    resources = {"num_threads": num_threads, "max_memory": max_memory}
    stack: _Array | None = None
    shape: tuple[int, ...] = ()
    if similarities is not None:
        pairs = parse_pairs(features, None, similarities, name, **resources)
        count, views = pairs.shape[0], 1
        if pairs.shape != (count, count):
            raise ValueError(f"similarities has shape {pairs.shape}; pass as many columns as rows")
    else:
        stack, shape = _stack(features, name)
        count, views = (shape[0], shape[1] if len(shape) == 3 else 1)
        if whole or views == 1:
            pairs = parse_pairs(stack, None, None, name, **resources)
        else:
            pairs = parse_pairs(stack[:count], stack, None, name, **resources)
    anchors = views if whole else 1
    names = ["features"] if views == 1 else [f"features[:, {view}]" for view in range(views)]
    origins = view_origins("x", count, *names) + view_origins("y", count, *names)
    if stack is not None:
        pairs = replace(pairs, origins=origins)
    how = parse_rows_reduction(
        count,
        reduction=reduction,
        on_empty=on_empty,
        weights=weights,
        weight_norm=weight_norm,
        return_grad=return_grad,
        grad_output=grad_output,
        copies=anchors,
    )
    options = {
        "temperature": scale,
        "self_columns": library_of_call().arange(count * anchors),
        "needs_negatives": False,
        **_roles(labels, mask, count, anchors, views),
    }
    outcome = evaluate(pairs, "softmax", options, how)
    value = outcome.value * (scale / base)
    if outcome.temperature is None:
        return value
    slope = outcome.temperature.sum() * (scale / base)
    if base_temperature is not None:
        slope += (outcome.value if how.upstream is None else (outcome.value * how.upstream).sum()) / base
    gradient = _gradient(outcome, count)
    if base_temperature is not None and gradient is not None:
        gradient *= gradient.dtype.type(scale / base)
    if stack is None:
        return value, FeatureGrads(None, slope, cast(gradient, pairs.similarities))
    assert gradient is not None
    if len(shape) == 3:
        gradient = gradient.reshape(views, count, shape[2]).swapaxes(0, 1)
    return value, FeatureGrads(cast(library_of(gradient).ascontiguousarray(gradient), stack), slope, None)


@on_gpu_too
def cliff_contrast(
    features: ArrayLike | None = None,
    labels: ArrayLike | None = None,
    *,
    mask: ArrayLike | None = None,
    similarities: ArrayLike | None = None,
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
    r"""Compute the contrastive loss of CLIFF: positive against negative summaries, without a temperature.

    Parameters
    ----------
    features : array_like, shape (n, d), optional
        Embeddings: floats of 16 to 64 bits, or integers.
    labels : array_like, shape (n,), optional
        The label of each: those of one label are positive for each other.
    mask : array_like, shape (n, n), optional
        In place of labels: which are positive for which.
    similarities : array_like, shape (n, n), optional
        Similarities in place of features, larger for closer. The diagonal is left out.
    metric : {"cosine", "dot", "sqeuclidean", "euclidean"}
        What a similarity is. That of a distance is minus the distance.
    weights : array_like, shape (n,), optional
        A weight for each example, finite and not negative.
    weight_norm : {"count", "weights"}
        Whether the mean divides by the number of anchors that count, or by the sum of their weights.
    on_empty : {"skip", "zero", "error"}
        What an anchor without a positive does: it is left out, counts with loss 0, or is refused.
    reduction : {"mean", "sum", "none"}
        Return the mean over anchors, or the sum or one value for each example: the mean of its views.
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
    grads : FeatureGrads
        With `return_grad`: the named tuple ``(features, temperature, similarities)``, in the shapes and dtypes of the
        inputs (float32 or float64 for integers), None for what was not given.

    Raises
    ------
    TypeError
        If a dtype cannot be used, or an option is not a number.
    ValueError
        If shapes do not match, roles of pairs overlap, or an option is out of range.

    See Also
    --------
    fastpair.losses.supcon : The same with a temperature, which here is 1.

    Notes
    -----
    .. math:: \ell_a = -\frac{1}{|P(a)|} \sum_{b \in P(a)} \log \frac{e^{s_{ab}}}{\sum_{j \ne a} e^{s_{aj}}}

    Cost: O(n^2 d), twice with gradients. Extra memory: O(n d) and `max_memory`.

    References
    ----------
    .. [1] S. Cao and L. Wang (2021). CLIFF: contrastive learning for improving faithfulness and factuality in
       abstractive summarization. EMNLP.

    Examples
    --------
    >>> import fastpair
    >>> scores = [[1.0, 0.8, 0.6, 0.3], [0.8, 1.0, 0.4, 0.5], [0.6, 0.4, 1.0, 0.7], [0.3, 0.5, 0.7, 1.0]]
    >>> fastpair.losses.cliff_contrast(labels=[0, 0, 1, 1], similarities=scores).round(6)
    np.float64(0.912715)
    """
    return supcon(
        features,
        labels,
        mask=mask,
        similarities=similarities,
        temperature=1.0,
        metric=metric,
        weights=weights,
        weight_norm=weight_norm,
        on_empty=on_empty,
        reduction=reduction,
        return_grad=return_grad,
        grad_output=grad_output,
        num_threads=num_threads,
        max_memory=max_memory,
    )


def _stack(features: ArrayLike | None, metric: str) -> tuple[_Array, tuple[int, ...]]:
    """Return the rows of all views, the first view first, and the shape that was given."""
    if features is None:
        raise TypeError("features is None; pass embeddings, or a matrix as similarities=")
    array = numbers(features, "features", metric)
    if array.ndim == 3:
        rows, views, width = array.shape
        if not views:
            raise ValueError(f"features has shape {array.shape}; pass at least one view")
        return array.swapaxes(0, 1).reshape(rows * views, width), array.shape
    return embeddings(array, "features", metric), array.shape


def _roles(labels: ArrayLike | None, mask: ArrayLike | None, count: int, anchors: int, views: int) -> dict[str, Any]:
    """Return who is positive for whom among the rows of all views, as the kernel takes it."""
    if mask is None:
        codes = library_of_call().arange(count)
        if labels is not None:
            given = array_of(labels, "labels")
            if given.shape != (count,):
                raise ValueError(f"labels has shape {given.shape}; pass shape ({count},), one label for each example")
            codes = same_codes(given, given, "labels")[0]
        return {"x_labels": np.tile(codes, anchors), "y_labels": np.tile(codes, views)}
    if labels is not None:
        raise ValueError("labels and mask were both given; pass one of them")
    shares = numbers(mask, "mask", "dot")
    if shares.shape != (count, count):
        raise ValueError(f"mask has shape {shares.shape}; pass shape ({count}, {count})")
    if shares.dtype == np.bool_:
        return {"positives": np.tile(shares, (anchors, views))}
    check_not_negative(shares, "mask")
    targets = np.tile(shares.astype(np.float64), (anchors, views))
    np.fill_diagonal(targets, 0.0)  # of the rows that are columns: each anchor itself
    return {"targets": targets}


def _gradient(outcome: Outcome, count: int) -> _Array | None:
    """Return the gradient of the stack, or of the matrix."""
    if outcome.x is None or outcome.y is None:
        return outcome.similarities if outcome.x is None else outcome.x
    outcome.y[:count] += outcome.x
    return outcome.y
