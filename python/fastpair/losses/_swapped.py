"""Cross-entropy of one view against the cluster assignments of another: `swapped_prediction`."""

from collections.abc import Sequence
from typing import Any, NamedTuple, SupportsIndex, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import ArrayLike, library_of_call, on_gpu_too
from fastpair._embeddings import check_count, check_metric, embeddings, numbers, same_width
from fastpair._validate import check_number, in_dtype_of, parse_resources
from fastpair.losses._embedding import (
    SIMILARITY_METRICS,
    Pairs,
    SimilarityMetric,
    WeightNorm,
    called_as,
    evaluate,
    parse_rows_reduction,
)
from fastpair.losses._lists import OnEmpty, ReductionName
from fastpair.losses._own_columns import dense_similarities
from fastpair.losses._soft_targets import parse_targets
from fastpair.similarity import sinkhorn

__all__ = ["SwappedGrads", "swapped_prediction"]

_Array: TypeAlias = npt.NDArray[Any]
_Floats: TypeAlias = npt.NDArray[np.float64]


class SwappedGrads(NamedTuple):
    """The gradients of `swapped_prediction`, in the shapes and dtypes of the inputs; None for what was not given."""

    views: _Array | None
    prototypes: _Array | None
    temperature: Any
    similarities: _Array | None


@on_gpu_too
def swapped_prediction(
    views: ArrayLike | None = None,
    prototypes: ArrayLike | None = None,
    temperature: float = 0.1,
    *,
    similarities: ArrayLike | None = None,
    assignments: ArrayLike | None = None,
    assign_views: Sequence[int] | None = None,
    metric: SimilarityMetric = "cosine",
    eps: float = 0.05,
    n_iter: SupportsIndex = 3,
    weights: ArrayLike | None = None,
    weight_norm: WeightNorm = "count",
    on_empty: OnEmpty = "skip",
    reduction: ReductionName = "mean",
    return_grad: bool = False,
    grad_output: ArrayLike | None = None,
    num_threads: SupportsIndex | None = None,
    max_memory: SupportsIndex | None = None,
) -> Any:
    r"""Compute the swapped prediction of SwAV: views predict the prototypes of other views.

    Parameters
    ----------
    views : array_like, shape (v, n, d), optional
        Embeddings of at least two views of the same samples.
    prototypes : array_like, shape (k, d), optional
        Embeddings of the prototypes.
    temperature : float
        What similarities are divided by, positive.
    similarities : array_like, shape (v, n, k), optional
        Similarities of each view with the prototypes, in place of both.
    assignments : array_like, shape (v, n, k), optional
        How much of each sample each view assigns to each prototype, not negative. By default those of
        `fastpair.similarity.sinkhorn`. They have no gradient.
    assign_views : sequence of int, optional
        The views whose assignments are predicted, such as the two large crops. By default all.
    metric : {"cosine", "dot", "sqeuclidean", "euclidean"}
        What a similarity is. That of a distance is minus the distance.
    eps : float
        The temperature of the transport plans, positive.
    n_iter : int
        Their rounds.
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
    grads : SwappedGrads
        With `return_grad`: the named tuple ``(views, prototypes, temperature, similarities)``, in the shapes and dtypes
        of the inputs, None for what was not given.

    Raises
    ------
    TypeError
        If a dtype cannot be used, or an option is not a number.
    ValueError
        If shapes do not match, roles of pairs overlap, or an option is out of range.

    See Also
    --------
    fastpair.similarity.sinkhorn : The assignments.
    fastpair.losses.prototype_nce : Assignments from elsewhere.

    Notes
    -----
    The loss is the mean over ordered pairs of views :math:`a \ne b` of

    .. math:: -\frac1n \sum_i \sum_k Q^a_{ik} \log \operatorname{softmax}_k\big(S^b_{ik} / t\big) ,

    where :math:`Q^a` are the assignments of view a. The loss is linear in them, so that each view is visited once.

    Cost: O(v n k d). Extra memory: assignments, 8 v n k bytes.

    References
    ----------
    .. [1] M. Caron et al. (2020). Unsupervised learning of visual features by contrasting cluster assignments. NeurIPS.

    Examples
    --------
    >>> import fastpair
    >>> scores = [[0.9, 0.2, 0.4], [0.1, 0.7, 0.3], [0.5, 0.6, 0.8]]
    >>> fastpair.losses.swapped_prediction(similarities=[scores, scores]).round(6)
    np.float64(0.116942)
    """
    scale = check_number(temperature, "temperature", above=0)
    sides = _parse_views(views, prototypes, similarities, metric, parse_resources(num_threads, max_memory))
    count, shape = len(sides), sides[0].shape
    how = parse_rows_reduction(
        shape[0],
        reduction=reduction,
        on_empty=on_empty,
        weights=weights,
        weight_norm=weight_norm,
        return_grad=return_grad,
        grad_output=grad_output,
    )
    sources = _parse_sources(assign_views, count)
    plans = _plans(sides, assignments, sources, eps, n_iter)
    pairs_of_views = sum(1 for target in range(count) for source in sources if source != target)
    value: Any = 0.0
    slope: Any = 0.0
    of_prototypes: _Array | None = None
    of_views: list[Any] = []
    for target, side in enumerate(sides):
        shares: _Floats = library_of_call().zeros(shape)
        for source in sources:
            if source != target:
                shares += plans[source]
        shares /= pairs_of_views
        options = {"targets": shares, "normalize_targets": False, "temperature": scale}
        outcome = evaluate(side, "softmax", options, how)
        value = value + outcome.value
        if outcome.temperature is not None:
            slope += outcome.temperature.sum()
            of_views.append(outcome.similarities if outcome.x is None else outcome.x)
            if outcome.y is not None:
                of_prototypes = outcome.y if of_prototypes is None else of_prototypes + outcome.y
    if not how.return_grad:
        return value
    stack = np.stack(of_views)
    if similarities is not None:
        given = sides[0].similarities
        assert given is not None
        return value, SwappedGrads(None, None, slope, in_dtype_of(stack, given))
    left, right = sides[0].x, sides[0].y
    assert left is not None
    assert right is not None
    assert of_prototypes is not None
    return value, SwappedGrads(in_dtype_of(stack, left), in_dtype_of(of_prototypes, right), slope, None)


def _parse_views(
    views: ArrayLike | None, prototypes: ArrayLike | None, similarities: ArrayLike | None, metric: str, resources: Any
) -> list[Pairs]:
    """Return the pairs of each view and the prototypes."""
    name = check_metric(metric, SIMILARITY_METRICS)
    if (similarities is None) == (views is None):
        raise ValueError("pass either views and prototypes, or similarities of all views with the prototypes")
    argument, values = ("views", views) if similarities is None else ("similarities", similarities)
    array = numbers(values, argument, name)  # type: ignore[arg-type]
    if array.ndim != 3 or len(array) < 2:
        raise ValueError(f"{argument} has shape {array.shape}; pass three dimensions and at least two views")
    if similarities is not None:
        if prototypes is not None:
            raise ValueError("prototypes and similarities were both given; pass views with prototypes")
        return [Pairs(None, None, part, name, resources) for part in array]
    if prototypes is None:
        raise TypeError("prototypes is None; pass embeddings of the prototypes")
    columns = embeddings(prototypes, "prototypes", name)
    same_width(array[0], columns, name)
    own = ("y", "prototypes", len(columns))
    return [
        Pairs(part, columns, None, name, resources, (("x", f"views[{view}]", len(part)), own))
        for view, part in enumerate(array)
    ]


def _parse_sources(assign_views: Sequence[int] | None, count: int) -> list[int]:
    if assign_views is None:
        return list(range(count))
    sources = [check_count(view, "assign_views", 0) for view in assign_views]
    if not sources or max(sources) >= count or len(set(sources)) < len(sources):
        raise ValueError(f"assign_views is {sources!r}; pass different views, from 0 to {count - 1}")
    return sources


def _plans(
    sides: list[Pairs], assignments: ArrayLike | None, sources: list[int], eps: float, n_iter: SupportsIndex
) -> dict[int, _Floats]:
    """Return the assignments of the views that are predicted."""
    if assignments is None and library_of_call() is not np:
        raise TypeError(
            "assignments is None, and fastpair.similarity.sinkhorn, which makes them, has no GPU kernel; pass "
            "assignments=, such as cupy.asarray of its plans of scores in host memory"
        )
    if assignments is None:
        return {source: sinkhorn(_matrix(sides[source]), eps, n_iter).astype(np.float64) for source in sources}
    array = numbers(assignments, "assignments", "dot")
    shape = len(sides), *sides[0].shape
    if array.shape != shape:
        raise ValueError(f"assignments has shape {array.shape}; pass shape {shape}")
    return {source: parse_targets(array[source], sides[0].shape, "assignments") for source in sources}


def _matrix(side: Pairs) -> _Array:
    """Return the similarities of a view."""
    with called_as(side.origins):
        return dense_similarities(side)
