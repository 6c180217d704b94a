"""Cross-entropy of similarity softmaxes against soft targets: `soft_target_nce` and `cwcl`."""

from typing import Any, SupportsIndex, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import ArrayLike, library_of_call, on_gpu_too
from fastpair._embeddings import check_flag, embeddings, numbers
from fastpair._roles import full_mask, parse_mask
from fastpair._validate import check_not_negative, check_number
from fastpair.losses._embedding import (
    EmbeddingGrads,
    SimilarityMetric,
    WeightNorm,
    called_as,
    evaluate,
    finish,
    in_order,
    parse_pairs,
    parse_rows_reduction,
    parse_temperature,
)
from fastpair.losses._info_nce import info_nce
from fastpair.losses._lists import OnEmpty, ReductionName
from fastpair.similarity import pairwise

__all__ = ["cwcl", "parse_targets", "soft_target_nce"]

_Floats: TypeAlias = npt.NDArray[np.float64]


@on_gpu_too
def soft_target_nce(
    x: ArrayLike | None = None,
    y: ArrayLike | None = None,
    targets: ArrayLike | None = None,
    temperature: Any = 0.07,
    *,
    similarities: ArrayLike | None = None,
    metric: SimilarityMetric = "cosine",
    normalize_targets: bool = True,
    student_scale: float | None = None,
    ignore: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    weight_norm: WeightNorm = "count",
    on_empty: OnEmpty = "skip",
    reduction: ReductionName = "mean",
    return_grad: bool = False,
    grad_output: ArrayLike | None = None,
    num_threads: SupportsIndex | None = None,
    max_memory: SupportsIndex | None = None,
) -> Any:
    r"""Compute the cross-entropy of the softmax of each row of similarities against soft targets.

    Parameters
    ----------
    x : array_like, shape (n, d), optional
        Embeddings of the rows: floats of 16 to 64 bits, or integers.
    y : array_like, shape (m, d), optional
        Embeddings of the columns; by default x itself, each row without itself.
    targets : array_like, shape (n, m)
        How positive each pair is, finite and not negative: labels smoothed, a transport plan, a teacher's softmax.
        They have no gradient.
    temperature : float or array_like, shape (n,)
        What similarities are divided by, positive: one number, or one for each row.
    similarities : array_like, shape (n, m), optional
        Similarities in place of x and y, larger for closer.
    metric : {"cosine", "dot", "sqeuclidean", "euclidean"}
        What a similarity is. That of a distance is minus the distance.
    normalize_targets : bool
        Divide the targets of each row by their sum.
    student_scale : float, optional
        Multiplies similarities, such as :math:`1 / \sqrt d`.
    ignore : array_like of bool, shape (n, m), optional
        Pairs that are left out of the softmax; their targets do not count.
    weights : array_like, shape (n,), optional
        A weight for each row, finite and not negative.
    weight_norm : {"count", "weights"}
        Whether the mean divides by the number of rows that count, or by the sum of their weights.
    on_empty : {"skip", "zero", "error"}
        What a row whose targets are all 0 does: it is left out, counts with loss 0, or is refused.
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
        If shapes do not match, a target is negative or not finite, or an option is out of range.

    See Also
    --------
    fastpair.losses.info_nce : Targets that are 0 or 1, or smoothed.
    fastpair.losses.cwcl : Targets from a frozen modality.
    fastpair.similarity.sinkhorn : Transport plans.

    Notes
    -----
    With targets T and the softmax p of a row of :math:`s / t` the loss of the row is

    .. math:: \ell_i = -\frac{1}{\sum_j T_{ij}} \sum_j T_{ij} \log p_{ij} ,

    without `normalize_targets` without the division. Its gradient with respect to a logit is the softmax, times the sum
    of the targets, minus the target. It is smallest where p = T, and there the entropy of T. Without `y` targets of a
    row for itself do not count.

    Cost: O(n m d), twice with gradients. Extra memory: O(n + m) and `max_memory`; targets once in float64, unless they
    are.

    References
    ----------
    .. [1] H. Zhang et al. (2022). Adversarial retriever-ranker for dense text retrieval. ICLR.
    .. [2] Y. Lin et al. (2024). Multi-granularity correspondence learning from long-term noisy videos. ICLR.

    Examples
    --------
    >>> import fastpair
    >>> scores = [[0.9, 0.2, 0.4], [0.1, 0.7, 0.3], [0.5, 0.6, 0.8]]
    >>> targets = [[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8]]
    >>> fastpair.losses.soft_target_nce(targets=targets, similarities=scores, temperature=0.1).round(6)
    np.float64(0.966016)
    """
    pairs = parse_pairs(x, y, similarities, metric, num_threads, max_memory)
    rows, shape = pairs.shape[0], pairs.shape
    if targets is None:
        raise TypeError(f"targets is None; pass shape {shape}, how positive each pair is")
    scale = 1.0 if student_scale is None else check_number(student_scale, "student_scale", above=0)
    options = {
        "temperature": parse_temperature(temperature, rows) / scale,
        "targets": parse_targets(targets, shape),
        "normalize_targets": check_flag(normalize_targets, "normalize_targets"),
        "self_columns": library_of_call().arange(rows) if pairs.within else None,
        "ignore": None if ignore is None else full_mask(parse_mask(ignore, "ignore", shape), shape[1]),
    }
    how = parse_rows_reduction(
        rows,
        reduction=reduction,
        on_empty=on_empty,
        weights=weights,
        weight_norm=weight_norm,
        return_grad=return_grad,
        grad_output=grad_output,
    )
    outcome = evaluate(pairs, "softmax", options, how)
    if outcome.temperature is not None and scale != 1:
        outcome = outcome._replace(temperature=outcome.temperature / scale)
    return finish(pairs, outcome, temperature, how)


@on_gpu_too
def cwcl(
    x: ArrayLike | None = None,
    y: ArrayLike | None = None,
    u: ArrayLike | None = None,
    temperature: Any = 0.07,
    *,
    similarities: ArrayLike | None = None,
    metric: SimilarityMetric = "cosine",
    both_directions: bool = True,
    weights: ArrayLike | None = None,
    weight_norm: WeightNorm = "count",
    on_empty: OnEmpty = "skip",
    reduction: ReductionName = "mean",
    return_grad: bool = False,
    grad_output: ArrayLike | None = None,
    num_threads: SupportsIndex | None = None,
    max_memory: SupportsIndex | None = None,
) -> Any:
    r"""Compute the continuously weighted contrastive loss: a frozen modality says how positive a pair is.

    Parameters
    ----------
    x : array_like, shape (n, d), optional
        Embeddings of the frozen modality, or of a head on it: floats of 16 to 64 bits, or integers.
    y : array_like, shape (n, d), optional
        Embeddings of the modality that is trained.
    u : array_like, shape (n, e)
        Embeddings of the frozen modality, which say how similar examples are. They have no gradient.
    temperature : float or array_like, shape (n,)
        What similarities are divided by, positive: one number, or one for each row of both directions.
    similarities : array_like, shape (n, m), optional
        Similarities in place of x and y, larger for closer.
    metric : {"cosine", "dot", "sqeuclidean", "euclidean"}
        What a similarity is. That of a distance is minus the distance.
    both_directions : bool
        Add InfoNCE of the columns; without, return the weighted part alone.
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
    fastpair.losses.soft_target_nce : The same with any targets.

    Notes
    -----
    With :math:`w_{ij} = (1 + \cos(u_i, u_j)) / 2` and the softmax p of each row the loss is

    .. math:: -\frac1n \sum_i \frac{1}{\sum_j w_{ij}} \sum_j w_{ij} \log p_{ij}

    plus InfoNCE of the columns.

    Cost: O(n^2 d), four times with gradients of both directions. Extra memory: O(n d) and `max_memory`, and 8 n^2 bytes
    for the weights.

    References
    ----------
    .. [1] R. S. Srinivasa et al. (2023). CWCL: cross-modal transfer with continuously weighted contrastive loss.
       NeurIPS.

    Examples
    --------
    >>> import fastpair
    >>> scores = [[0.9, 0.2, 0.4], [0.1, 0.7, 0.3], [0.5, 0.6, 0.8]]
    >>> u = [[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]]
    >>> fastpair.losses.cwcl(u=u, similarities=scores, temperature=0.1, both_directions=False).round(6)
    np.float64(2.735299)
    """
    if u is None:
        raise TypeError("u is None; pass the embeddings of the frozen modality, a row for each example")
    frozen = embeddings(u, "u", "cosine")
    with called_as((("x", "u", len(frozen)), ("y", "u", len(frozen)))):
        shares = pairwise(frozen, None, "cosine", num_threads=num_threads, max_memory=max_memory).astype(np.float64)
    shares += 1.0
    shares /= 2.0
    np.maximum(shares, 0.0, out=shares)
    options: dict[str, Any] = {
        "metric": metric,
        "weights": weights,
        "weight_norm": weight_norm,
        "on_empty": on_empty,
        "reduction": reduction,
        "return_grad": return_grad,
        "grad_output": grad_output,
        "num_threads": num_threads,
        "max_memory": max_memory,
    }
    matrix = None if similarities is None else numbers(similarities, "similarities", "dot")
    there = soft_target_nce(x, y, shares, temperature, similarities=matrix, **options)
    wanted = check_flag(return_grad, "return_grad")
    if not check_flag(both_directions, "both_directions"):
        return there
    turned = None if matrix is None else matrix.T
    back = info_nce(y, x, temperature=temperature, similarities=turned, **options)
    if not wanted:
        return there + back
    first, second = there[1], back[1]
    return there[0] + back[0], EmbeddingGrads(
        None if first.x is None else first.x + second.y,
        None if first.y is None else first.y + second.x,
        first.temperature + second.temperature,
        None if first.similarities is None else first.similarities + second.similarities.T,
    )


def parse_targets(targets: ArrayLike, shape: tuple[int, int], argument: str = "targets") -> _Floats:
    """Return soft targets of all pairs."""
    array = numbers(targets, argument, "dot")
    if array.shape != shape:
        raise ValueError(f"{argument} has shape {array.shape}; pass shape {shape}, how positive each pair is")
    check_not_negative(array, argument)
    return in_order(array)
