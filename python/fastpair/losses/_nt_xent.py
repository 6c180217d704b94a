"""InfoNCE of two views, with negatives from both: `nt_xent`, and `grace`, its name on graphs."""

from dataclasses import replace
from typing import Any, Literal, SupportsIndex, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import ArrayLike, library_of_call, on_gpu_too, scalar
from fastpair._embeddings import check_flag
from fastpair._roles import parse_mask, parse_roles
from fastpair._units import away_from_units, unit_rows
from fastpair._validate import check_choice, check_number, in_dtype_of
from fastpair.losses._embedding import (
    Outcome,
    RowsReduction,
    SimilarityMetric,
    WeightNorm,
    evaluate,
    parse_pairs,
    parse_rows_reduction,
)
from fastpair.losses._lists import OnEmpty, ReductionName
from fastpair.losses._softmax_form import Form, evaluate_symmetric
from fastpair.losses._views import ViewGrads, other_view, parse_views, split_views, stack_views, view_origins

__all__ = ["grace", "nt_xent"]

_Array: TypeAlias = npt.NDArray[Any]
_Bools: TypeAlias = npt.NDArray[np.bool_]


@on_gpu_too
def nt_xent(
    z1: ArrayLike,
    z2: ArrayLike,
    temperature: float = 0.5,
    *,
    metric: SimilarityMetric = "cosine",
    mode: Literal["two_view", "cross_only"] = "two_view",
    inter_weight: float = 1.0,
    intra_weight: float = 1.0,
    mask_intra: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    weight_norm: WeightNorm = "count",
    on_empty: OnEmpty = "skip",
    reduction: ReductionName = "mean",
    return_grad: bool = False,
    grad_output: ArrayLike | None = None,
    num_threads: SupportsIndex | None = None,
    max_memory: SupportsIndex | None = None,
) -> Any:
    r"""Compute NT-Xent (SimCLR): each row against its other view, among all other rows of both views.

    Parameters
    ----------
    z1 : array_like, shape (n, d)
        Embeddings of one view: floats of 16 to 64 bits, or integers.
    z2 : array_like, shape (n, d)
        Embeddings of the other view of the same examples.
    temperature : float
        What similarities are divided by, positive.
    metric : {"cosine", "dot", "sqeuclidean", "euclidean"}
        What a similarity is. That of a distance is minus the distance.
    mode : {"two_view", "cross_only"}
        Whether negatives come from both views, or only from the other one.
    inter_weight, intra_weight : float
        Positive factors of the similarities between the views and within one. Other ones than 1 need "dot" or
        "cosine".
    mask_intra : array_like of bool, shape (n, n), optional
        Pairs that are left out within each view, such as neighbours. Each row itself always is.
    weights : array_like, shape (n,), optional
        A weight for each example, finite and not negative.
    weight_norm : {"count", "weights"}
        Whether the mean divides by the number of rows that count, or by the sum of their weights.
    on_empty : {"skip", "zero", "error"}
        What a row without a negative does: it is left out, counts with loss 0, or is refused.
    reduction : {"mean", "sum", "none"}
        Return the mean or the sum over examples, or one value for each: the mean of its two directions.
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
    grads : ViewGrads
        With `return_grad`: the named tuple ``(z1, z2, temperature)``, in the shapes and dtypes of the inputs (float32
        or float64 for integers).

    Raises
    ------
    TypeError
        If a dtype cannot be used, or an option is not a number.
    ValueError
        If shapes do not match, roles of pairs overlap, or an option is out of range.

    See Also
    --------
    fastpair.losses.info_nce : Other roles of pairs; with ``symmetric=True`` it is the mode "cross_only".
    fastpair.losses.dcl : The positive is not in the denominator.
    fastpair.losses.supcon : Several views or labels.

    Notes
    -----
    One direction is, with the similarities within the first view (aa) and between both (ab),

    .. math:: \ell_i = -\frac{a s^{ab}_{ii}}{t} + \log\Big(\sum_j e^{a s^{ab}_{ij} / t} +
       \sum_{j \ne i} e^{b s^{aa}_{ij} / t}\Big) ,

    and the loss the mean over both directions and all rows: 2 (n - 1) negatives each. The weights a and b are those of
    M3EL. NTXentLoss of pytorch-metric-learning has the same value for two views with one label each, its temperature
    is 0.07.

    Cost: O(n^2 d), four times that of one direction of `info_nce`. Extra memory: O(n d) and `max_memory`; with
    `mask_intra` 4 n^2 bytes.

    References
    ----------
    .. [1] T. Chen, S. Kornblith, M. Norouzi and G. Hinton (2020). A simple framework for contrastive learning of visual
       representations. ICML.
    .. [2] Y. Zhu et al. (2020). Deep graph contrastive representation learning. arXiv:2006.04131.

    Examples
    --------
    >>> import fastpair
    >>> z1, z2 = [[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], [[1.0, 0.5], [0.5, 1.0], [1.0, 1.0]]
    >>> fastpair.losses.nt_xent(z1, z2).round(6)
    np.float64(1.314767)
    >>> fastpair.losses.nt_xent(z1, z2, mode="cross_only", reduction="none").round(6)
    array([0.832921, 0.832921, 0.889821])
    """
    first, second = parse_views(z1, z2, metric)
    check_choice(mode, "mode", ("two_view", "cross_only"))
    scale = check_number(temperature, "temperature", above=0)
    factors = check_number(inter_weight, "inter_weight", above=0), check_number(intra_weight, "intra_weight", above=0)
    mask = None if mask_intra is None else parse_mask(mask_intra, "mask_intra", (len(first), len(first)))
    whole = mode == "two_view"
    if not whole and (mask is not None or factors[1] != 1):
        raise ValueError("mode='cross_only' has no pairs within a view; drop mask_intra and intra_weight")
    weighted = factors != (1.0, 1.0)
    if weighted and metric not in ("dot", "cosine"):
        raise ValueError(f"inter_weight and intra_weight need metric='dot' or 'cosine', not {metric!r}")
    if weighted and not whole:
        scale, weighted = scale / factors[0], False
    how = parse_rows_reduction(
        len(first),
        reduction=reduction,
        on_empty=on_empty,
        weights=weights,
        weight_norm=weight_norm,
        return_grad=return_grad,
        grad_output=grad_output,
        copies=2 if whole and not weighted else 1,
    )
    resources = {"num_threads": num_threads, "max_memory": max_memory}
    if weighted:
        return _weighted(first, second, scale, factors, mask, metric, how, resources)
    if whole:
        stack = stack_views(first, second)
        pairs = parse_pairs(stack, None, None, metric, **resources)
        pairs = replace(pairs, origins=view_origins("x", len(first), "z1", "z2"))
        options = {
            "temperature": scale,
            "positives": other_view(len(first)),
            "self_columns": library_of_call().arange(len(stack)),
            "ignore": None if mask is None else _blocks(mask),
        }
        outcome = evaluate(pairs, "softmax", options, how)
        if outcome.x is None:
            return outcome.value
        gradients = split_views(outcome.x, first, second)
    else:
        pairs = parse_pairs(first, second, None, metric, **resources)
        pairs = replace(pairs, origins=(("x", "z1", len(first)), ("y", "z2", len(first))))
        both = evaluate_symmetric(Form(pairs, parse_roles(pairs.shape, pairs.within), scale), how, how)
        outcome = Outcome(both.value, None, both.x, both.y, temperature=both.temperature)
        if outcome.x is None or outcome.y is None:
            return outcome.value
        gradients = in_dtype_of(outcome.x, first), in_dtype_of(outcome.y, second)
    own = np.sum(outcome.temperature) * scale / check_number(temperature, "temperature")  # type: ignore[arg-type]
    return outcome.value, ViewGrads(*gradients, scalar(own))


@on_gpu_too
def grace(
    z1: ArrayLike,
    z2: ArrayLike,
    temperature: float = 0.5,
    *,
    metric: SimilarityMetric = "cosine",
    intra: bool = True,
    mask_intra: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    weight_norm: WeightNorm = "count",
    on_empty: OnEmpty = "skip",
    reduction: ReductionName = "mean",
    return_grad: bool = False,
    grad_output: ArrayLike | None = None,
    num_threads: SupportsIndex | None = None,
    max_memory: SupportsIndex | None = None,
) -> Any:
    r"""Compute the loss of GRACE: nodes of a graph against their other view, among the nodes of both views.

    Parameters
    ----------
    z1 : array_like, shape (n, d)
        Embeddings of the nodes in one view: floats of 16 to 64 bits, or integers.
    z2 : array_like, shape (n, d)
        Embeddings of the same nodes in the other view.
    temperature : float
        What similarities are divided by, positive.
    metric : {"cosine", "dot", "sqeuclidean", "euclidean"}
        What a similarity is. That of a distance is minus the distance.
    intra : bool
        Whether nodes of the same view are negatives too.
    mask_intra : array_like of bool, shape (n, n), optional
        Pairs that are left out within each view, such as neighbours in the graph.
    weights : array_like, shape (n,), optional
        A weight for each example, finite and not negative.
    weight_norm : {"count", "weights"}
        Whether the mean divides by the number of rows that count, or by the sum of their weights.
    on_empty : {"skip", "zero", "error"}
        What a row without a negative does: it is left out, counts with loss 0, or is refused.
    reduction : {"mean", "sum", "none"}
        Return the mean or the sum over examples, or one value for each: the mean of its two directions.
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
    grads : ViewGrads
        With `return_grad`: the named tuple ``(z1, z2, temperature)``, in the shapes and dtypes of the inputs (float32
        or float64 for integers).

    Raises
    ------
    TypeError
        If a dtype cannot be used, or an option is not a number.
    ValueError
        If shapes do not match, roles of pairs overlap, or an option is out of range.

    See Also
    --------
    fastpair.losses.nt_xent : The same loss, and its formula.

    Notes
    -----
    This is `nt_xent`, without `intra` in its mode "cross_only": the mean of both directions.

    Cost: O(n^2 d). Extra memory: O(n d) and `max_memory`; with `mask_intra` 4 n^2 bytes.

    References
    ----------
    .. [1] Y. Zhu et al. (2020). Deep graph contrastive representation learning. arXiv:2006.04131.

    Examples
    --------
    >>> import fastpair
    >>> z1, z2 = [[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], [[1.0, 0.5], [0.5, 1.0], [1.0, 1.0]]
    >>> fastpair.losses.grace(z1, z2, temperature=0.5).round(6)
    np.float64(1.314767)
    """
    return nt_xent(
        z1,
        z2,
        temperature,
        metric=metric,
        mode="two_view" if check_flag(intra, "intra") else "cross_only",
        mask_intra=mask_intra,
        weights=weights,
        weight_norm=weight_norm,
        on_empty=on_empty,
        reduction=reduction,
        return_grad=return_grad,
        grad_output=grad_output,
        num_threads=num_threads,
        max_memory=max_memory,
    )


def _blocks(mask: _Bools) -> _Bools:
    """Return the mask of the stack: that of each view on the diagonal."""
    count = len(mask)
    result: _Bools = library_of_call().zeros((2 * count, 2 * count), np.bool_)
    result[:count, :count] = result[count:, count:] = mask
    return result


def _weighted(
    first: _Array,
    second: _Array,
    temperature: float,
    factors: tuple[float, float],
    mask: _Bools | None,
    metric: str,
    how: RowsReduction,
    resources: dict[str, Any],
) -> Any:
    """Evaluate both directions, the columns of each multiplied by their factors."""
    count, (inter, intra), names = len(first), factors, ("z1", "z2")
    norms: list[Any] = [None, None]
    views = [first, second]
    if metric == "cosine":
        views, norms = (list(parts) for parts in zip(unit_rows(first), unit_rows(second), strict=True))
    dtype = np.float32 if parse_pairs(first, second, None, metric, **resources).narrow else np.float64
    views = [view.astype(dtype) for view in views]
    ignore = None if mask is None else np.concatenate([np.zeros_like(mask), mask], axis=1)
    totals: list[_Array] = [library_of_call().zeros(first.shape) for _ in range(2)]
    value, slope = np.float64(0.0), np.float64(0.0)
    for own, other in ((0, 1), (1, 0)):
        columns = np.concatenate([dtype(inter) * views[other], dtype(intra) * views[own]])
        pairs = parse_pairs(views[own], columns, None, "dot", **resources)
        pairs = replace(pairs, origins=view_origins("x", count, names[own]) + view_origins("y", count, names[other]))
        options = {
            "temperature": temperature,
            "positives": "diagonal",
            "self_columns": library_of_call().arange(count, 2 * count),
            "ignore": ignore,
        }
        outcome = evaluate(pairs, "softmax", options, how)
        value = value + outcome.value / 2
        if outcome.x is not None and outcome.y is not None and outcome.temperature is not None:
            totals[own] += (outcome.x + intra * outcome.y[count:]) / 2
            totals[other] += inter * outcome.y[:count] / 2
            slope += outcome.temperature.sum() / 2
    if not how.return_grad:
        return value
    if metric == "cosine":
        totals = [
            away_from_units(total, view.astype(np.float64), norm)
            for total, view, norm in zip(totals, views, norms, strict=True)
        ]
    return value, ViewGrads(in_dtype_of(totals[0], first), in_dtype_of(totals[1], second), slope)
