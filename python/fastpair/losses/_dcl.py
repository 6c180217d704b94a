"""The decoupled contrastive loss, without the positive in the denominator: `dcl` and `dclw`."""

from dataclasses import replace
from typing import Any, Literal, SupportsIndex, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import ArrayLike, library_of_call, on_gpu_too, scalar
from fastpair._embeddings import check_flag
from fastpair._validate import check_choice, check_number, in_dtype_of
from fastpair.losses._embedding import (
    RowsReduction,
    SimilarityMetric,
    WeightNorm,
    called_as,
    evaluate,
    parse_pairs,
    parse_rows_reduction,
)
from fastpair.losses._lists import OnEmpty, ReductionName
from fastpair.losses._own_columns import own_gradient, own_similarities
from fastpair.losses._views import ViewGrads, other_view, parse_views, stack_views, view_origins

__all__ = ["dcl", "dclw"]

_Array: TypeAlias = npt.NDArray[Any]
_Floats: TypeAlias = npt.NDArray[np.float64]


@on_gpu_too
def dcl(
    z1: ArrayLike,
    z2: ArrayLike,
    temperature: float = 0.1,
    *,
    metric: SimilarityMetric = "cosine",
    weighting: Literal["von_mises"] | None = None,
    sigma: float = 0.5,
    intra: bool = True,
    symmetric: bool = True,
    detach_weights: bool = False,
    compat: Literal["reference"] | None = None,
    weights: ArrayLike | None = None,
    weight_norm: WeightNorm = "count",
    on_empty: OnEmpty = "skip",
    reduction: ReductionName = "mean",
    return_grad: bool = False,
    grad_output: ArrayLike | None = None,
    num_threads: SupportsIndex | None = None,
    max_memory: SupportsIndex | None = None,
) -> Any:
    r"""Compute the decoupled contrastive loss of two views: only negatives are in the denominator.

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
    weighting : {None, "von_mises"}
        Whether positives weigh less the more similar they are (DCLW).
    sigma : float
        How sharply, positive.
    intra : bool
        Whether rows of the same view are negatives too.
    symmetric : bool
        Return the mean of both directions; without, only rows of `z1` are anchors.
    detach_weights : bool
        Take no gradient of the weights.
    compat : {None, "reference"}
        "reference" divides the second term of the weights by n, as the released code does.
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
    fastpair.losses.nt_xent : The positive is in the denominator.
    fastpair.losses.dclw : The same with weights.

    Notes
    -----
    One direction is, with the similarities within the first view (aa) and between both (ab),

    .. math:: \ell_i = -\frac{w_i s^{ab}_{ii}}{t} + \log \sum_{j \ne i}
       \Big(e^{s^{ab}_{ij} / t} + e^{s^{aa}_{ij} / t}\Big) ,

    and the loss the mean over both directions. It can be negative. The weights are 1, or
    :math:`w_i = 2 - n \operatorname{softmax}_i(s^{ab}_{ii} / \sigma)`, whose mean is 1; the softmax is over the batch.
    They have a gradient unless they are detached. The reference masks by adding -103 to logits, which leaks at low
    temperatures; here what is masked is absent.

    Cost: O(n^2 d). Extra memory: O(n d) and `max_memory`.

    References
    ----------
    .. [1] C.-H. Yeh et al. (2022). Decoupled contrastive learning. ECCV.

    Examples
    --------
    >>> import fastpair
    >>> z1, z2 = [[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], [[1.0, 0.5], [0.5, 1.0], [1.0, 1.0]]
    >>> fastpair.losses.dcl(z1, z2, temperature=0.5).round(6)
    np.float64(0.994119)
    """
    first, second = parse_views(z1, z2, metric)
    scale, width = check_number(temperature, "temperature", above=0), check_number(sigma, "sigma", above=0)
    detached, both = check_flag(detach_weights, "detach_weights"), check_flag(symmetric, "symmetric")
    if weighting is not None:
        check_choice(weighting, "weighting", ("von_mises",))
    if compat is not None:
        check_choice(compat, "compat", ("reference",))
    how = parse_rows_reduction(
        len(first),
        reduction=reduction,
        on_empty=on_empty,
        weights=weights,
        weight_norm=weight_norm,
        return_grad=return_grad,
        grad_output=grad_output,
        copies=2 if both else 1,
    )
    count = len(first)
    shares, positive = None, None
    options: dict[str, Any] = {"temperature": scale, "include_positive": False}
    if weighting is not None:
        positive = own_similarities(first, second[:, np.newaxis], metric)[:, 0].astype(np.float64)
        shares = _softmax(positive / width)
        if compat is None:
            shares *= count
        options["positive_factors"] = np.tile(2.0 - shares, 2) if both else 2.0 - shares
    resources = {"num_threads": num_threads, "max_memory": max_memory}
    whole = check_flag(intra, "intra")
    evaluate_views = (_stacked if whole else _crossed) if both else (_from_first if whole else _from_first_across)
    with called_as(view_origins("x", count, "z1") + view_origins("y", count, "z2", "z1")):
        value, gradient, of_temperature, slopes = evaluate_views(first, second, metric, options, how, resources)
    if gradient is None:
        return value
    if shares is not None and positive is not None and not detached:
        # The weight of an example multiplies its positive in both directions.
        pull = -slopes.reshape(how.copies, count).sum(axis=0) * positive / scale
        total = float(max(count, 1)) if compat is None else 1.0
        slope = -shares * (pull - (shares * pull).sum() / total) / width
        of_first, of_second = own_gradient(first, second[:, np.newaxis], metric, slope[:, np.newaxis])
        gradient = gradient + np.concatenate([of_first, of_second[:, 0]])
    return value, ViewGrads(
        in_dtype_of(gradient[:count], first), in_dtype_of(gradient[count:], second), scalar(of_temperature)
    )


@on_gpu_too
def dclw(
    z1: ArrayLike,
    z2: ArrayLike,
    temperature: float = 0.1,
    *,
    metric: SimilarityMetric = "cosine",
    sigma: float = 0.5,
    intra: bool = True,
    symmetric: bool = True,
    detach_weights: bool = False,
    compat: Literal["reference"] | None = None,
    weights: ArrayLike | None = None,
    weight_norm: WeightNorm = "count",
    on_empty: OnEmpty = "skip",
    reduction: ReductionName = "mean",
    return_grad: bool = False,
    grad_output: ArrayLike | None = None,
    num_threads: SupportsIndex | None = None,
    max_memory: SupportsIndex | None = None,
) -> Any:
    r"""Compute the decoupled contrastive loss with von Mises-Fisher weights of positives.

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
    sigma : float
        How sharply weights fall with the similarity of the positive, positive.
    intra : bool
        Whether rows of the same view are negatives too.
    symmetric : bool
        Return the mean of both directions; without, only rows of `z1` are anchors.
    detach_weights : bool
        Take no gradient of the weights.
    compat : {None, "reference"}
        "reference" divides the second term of the weights by n, as the released code does.
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
    fastpair.losses.dcl : The same with ``weighting="von_mises"``, and its formula.

    Notes
    -----
    The weights are :math:`w_i = 2 - n \operatorname{softmax}_i(s_{ii} / \sigma)`: easy positives pull less.

    Cost: O(n^2 d). Extra memory: O(n d) and `max_memory`.

    References
    ----------
    .. [1] C.-H. Yeh et al. (2022). Decoupled contrastive learning. ECCV.

    Examples
    --------
    >>> import fastpair
    >>> z1, z2 = [[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], [[1.0, 0.5], [0.5, 1.0], [1.0, 1.0]]
    >>> fastpair.losses.dclw(z1, z2, temperature=0.5).round(6)
    np.float64(1.004348)
    """
    return dcl(
        z1,
        z2,
        temperature,
        metric=metric,
        weighting="von_mises",
        sigma=sigma,
        intra=intra,
        symmetric=symmetric,
        detach_weights=detach_weights,
        compat=compat,
        weights=weights,
        weight_norm=weight_norm,
        on_empty=on_empty,
        reduction=reduction,
        return_grad=return_grad,
        grad_output=grad_output,
        num_threads=num_threads,
        max_memory=max_memory,
    )


def _softmax(logits: _Floats) -> _Floats:
    if not len(logits):
        return logits
    shares: _Floats = np.exp(logits - logits.max())
    shares /= shares.sum()
    return shares


def _stacked(
    first: _Array, second: _Array, metric: str, options: dict[str, Any], how: RowsReduction, resources: dict[str, Any]
) -> tuple[Any, _Array | None, Any, _Floats]:
    """Evaluate both directions at once: value, gradient of the stack, of the temperature, and slopes of rows."""
    stack = stack_views(first, second)
    pairs = parse_pairs(stack, None, None, metric, **resources)
    pairs = replace(pairs, origins=view_origins("x", len(first), "z1", "z2"))
    roles = {"positives": other_view(len(first)), "self_columns": library_of_call().arange(len(stack))}
    outcome = evaluate(pairs, "softmax", {**options, **roles}, how)
    if outcome.x is None or outcome.temperature is None or outcome.slopes is None:
        return outcome.value, None, None, np.zeros(0)
    return outcome.value, outcome.x, outcome.temperature.sum(), outcome.slopes


def _crossed(
    first: _Array, second: _Array, metric: str, options: dict[str, Any], how: RowsReduction, resources: dict[str, Any]
) -> tuple[Any, _Array | None, Any, _Floats]:
    """Evaluate both directions, one after the other, without pairs within a view."""
    count, one = len(first), replace(how, copies=1)
    factors = options.get("positive_factors")
    if factors is not None:
        options = {**options, "positive_factors": factors[:count]}
    value, gradient, of_temperature, slopes = _from_first_across(first, second, metric, options, one, resources)
    back = _from_first_across(second, first, metric, options, one, resources)
    if gradient is None or back[1] is None:
        return (value + back[0]) / 2, None, None, slopes
    gradient = (gradient + np.concatenate([back[1][count:], back[1][:count]])) / 2
    return (value + back[0]) / 2, gradient, (of_temperature + back[2]) / 2, np.concatenate([slopes, back[3]]) / 2


def _from_first_across(
    first: _Array, second: _Array, metric: str, options: dict[str, Any], how: RowsReduction, resources: dict[str, Any]
) -> tuple[Any, _Array | None, Any, _Floats]:
    """Evaluate one direction without pairs within a view."""
    pairs = parse_pairs(first, second, None, metric, **resources)
    outcome = evaluate(pairs, "softmax", {**options, "positives": "diagonal"}, how)
    if outcome.x is None or outcome.y is None or outcome.temperature is None or outcome.slopes is None:
        return outcome.value, None, None, np.zeros(0)
    return outcome.value, np.concatenate([outcome.x, outcome.y]), outcome.temperature.sum(), outcome.slopes


def _from_first(
    first: _Array, second: _Array, metric: str, options: dict[str, Any], how: RowsReduction, resources: dict[str, Any]
) -> tuple[Any, _Array | None, Any, _Floats]:
    """Evaluate one direction with pairs within its view."""
    count = len(first)
    pairs = parse_pairs(first, stack_views(second, first), None, metric, **resources)
    roles = {"positives": "diagonal", "self_columns": library_of_call().arange(count, 2 * count)}
    outcome = evaluate(pairs, "softmax", {**options, **roles}, how)
    if outcome.x is None or outcome.y is None or outcome.temperature is None or outcome.slopes is None:
        return outcome.value, None, None, np.zeros(0)
    gradient = np.concatenate([outcome.x + outcome.y[count:], outcome.y[:count]])
    return outcome.value, gradient, outcome.temperature.sum(), outcome.slopes
