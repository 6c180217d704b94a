"""Binary cross-entropy of pairs: `pairwise_bce`, and `binary_opposite` of yes and no."""

from typing import Any, Literal, NamedTuple, SupportsIndex, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import ArrayLike, array_of, kernels_of, library_of_call, on_gpu_too
from fastpair._embeddings import check_flag, embeddings
from fastpair._roles import Roles, parse_roles
from fastpair._validate import check_choice, check_number, in_dtype_of
from fastpair.losses._embedding import SimilarityMetric, evaluate, parse_pairs, parse_rows_reduction
from fastpair.losses._lists import ReductionName
from fastpair.losses._siglip import sigmoid_grads

__all__ = ["BinaryOppositeGrads", "binary_opposite", "pairwise_bce"]

_Array: TypeAlias = npt.NDArray[Any]


class BinaryOppositeGrads(NamedTuple):
    """The gradients of `binary_opposite`, in the shapes and dtypes of the inputs."""

    yes: _Array
    no: _Array


@on_gpu_too
def pairwise_bce(
    x: ArrayLike | None = None,
    y: ArrayLike | None = None,
    positives: ArrayLike | None = None,
    scale: float = 1.0,
    bias: float = 0.0,
    *,
    similarities: ArrayLike | None = None,
    metric: SimilarityMetric = "dot",
    balance: Literal["pairs", "sides"] = "pairs",
    labels: Any = None,
    ignore: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    reduction: ReductionName = "mean",
    return_grad: bool = False,
    grad_output: ArrayLike | None = None,
    num_threads: SupportsIndex | None = None,
    max_memory: SupportsIndex | None = None,
) -> Any:
    r"""Compute the binary cross-entropy of the scores of pairs.

    Parameters
    ----------
    x : array_like, shape (n, d), optional
        Embeddings of the rows: floats of 16 to 64 bits, or integers.
    y : array_like, shape (m, d), optional
        Embeddings of the columns; by default x itself, each row without itself.
    positives : array_like, shape (n,) or (n, m), optional
        The positive of each row: its column as an integer (-1: the row has none), or a bool mask. By default the
        diagonal.
    scale, bias : float
        A similarity s has the logit ``scale * s + bias``; `scale` is not negative.
    similarities : array_like, shape (n, m) or (n,), optional
        Scores of pairs in place of x and y. A list of n scores needs a bool for each as `positives`.
    metric : {"cosine", "dot", "sqeuclidean", "euclidean"}
        What a similarity is. That of a distance is minus the distance.
    balance : {"pairs", "sides"}
        Return the mean over all pairs, or the mean over positives plus the mean over negatives.
    labels : array_like, shape (n,), or tuple of two, optional
        In place of `positives`: equal labels are positive. A tuple has those of rows and those of columns.
    ignore : array_like of bool, shape (n, m), optional
        Pairs that are neither positive nor negative.
    weights : array_like, shape (n,), optional
        A weight for each row, finite and not negative. Means divide by the number of pairs.
    reduction : {"mean", "sum", "none"}
        Return the mean, the sum over all pairs, or the sum over the pairs of each row. The latter two need
        ``balance="pairs"``.
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
        The loss; for ``reduction="none"`` float64, shape (n,). 0.0 without a pair.
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
    fastpair.losses.siglip : The sum over pairs divided by the number of rows.
    fastpair.losses.mann_whitney : Positives against negatives.

    Notes
    -----
    With the logit z of a pair its loss is :math:`\log(1 + e^{-z})` if it is positive, else :math:`\log(1 + e^z)`. A
    side without pairs adds 0. For answers of yes or no, the score is the difference of their logits.

    Cost: O(n m d), twice with gradients. Extra memory: O(n + m) and `max_memory`.

    References
    ----------
    .. [1] I. J. Good (1952). Rational decisions. Journal of the Royal Statistical Society B 14.

    Examples
    --------
    >>> import fastpair
    >>> fastpair.losses.pairwise_bce(similarities=[2.0, -1.0, 0.0], positives=[True, False, False]).round(6)
    np.float64(0.377779)
    """
    check_choice(balance, "balance", ("pairs", "sides"))
    flat = similarities is not None and array_of(similarities, "similarities").ndim == 1
    if flat:
        similarities = array_of(similarities, "similarities")[:, np.newaxis]  # type: ignore[arg-type]
        if positives is None:
            raise ValueError("positives is None, but similarities is a list; pass a bool for each of them")
        positives = _column(positives, "positives")
        ignore = None if ignore is None else _column(ignore, "ignore")
    pairs = parse_pairs(x, y, similarities, metric, num_threads, max_memory)
    roles = parse_roles(pairs.shape, pairs.within, positives, labels=labels, ignore=ignore)
    how = parse_rows_reduction(
        pairs.shape[0],
        reduction="sum" if reduction == "mean" else reduction,
        weights=weights,
        return_grad=return_grad,
        grad_output=grad_output,
    )
    factors = 1.0, 1.0
    if reduction == "mean":
        positive, negative = _counts(roles)
        both = max(positive + negative, 1)
        factors = (1 / both, 1 / both) if balance == "pairs" else (1 / max(positive, 1), 1 / max(negative, 1))
    elif balance == "sides":
        raise ValueError(f"balance='sides' is a sum of two means; pass reduction='mean', not {reduction!r}")
    options = {
        **roles.options(),
        "scale": check_number(scale, "scale", least=0),
        "bias": check_number(bias, "bias"),
        "positive_factor": factors[0],
        "negative_factor": factors[1],
    }
    outcome = evaluate(pairs, "sigmoid", options, how)
    if not how.return_grad:
        return outcome.value
    grads = sigmoid_grads(pairs, outcome)
    if flat and grads.similarities is not None:
        grads = grads._replace(similarities=grads.similarities[:, 0])
    return outcome.value, grads


@on_gpu_too
def binary_opposite(
    yes: ArrayLike,
    no: ArrayLike,
    *,
    return_grad: bool = False,
    num_threads: SupportsIndex | None = None,
    max_memory: SupportsIndex | None = None,
) -> Any:
    r"""Compute the loss of yes and no (CLIPN): the right text says yes to its image, all others say no.

    Parameters
    ----------
    yes : array_like, shape (n, n)
        Logits of yes: of each image with each text, the matching ones on the diagonal.
    no : array_like, shape (n, n)
        Logits of no.
    return_grad : bool
        Return the gradients as well.
    num_threads : int, optional
        The most threads to use; by default `fastpair.get_num_threads`.
    max_memory : int, optional
        The most bytes of scratch beside input and output; by default 64 MiB, or what one thread needs.

    Returns
    -------
    value : numpy.float64
        The loss; 0.0 without a pair.
    grads : BinaryOppositeGrads
        With `return_grad`: the named tuple ``(yes, no)``, in the shapes and dtypes of the inputs.

    Raises
    ------
    TypeError
        If a dtype cannot be used.
    ValueError
        If shapes do not match.

    See Also
    --------
    fastpair.losses.pairwise_bce : The same of differences, with ``balance="sides"``.

    Notes
    -----
    With :math:`p_{ij} = \sigma(a_{ij} - b_{ij})` of the logits a of yes and b of no it is

    .. math:: -\frac1n \sum_i \log p_{ii} - \frac{1}{n (n - 1)} \sum_{i \ne j} \log(1 - p_{ij}) ,

    for one example without the second term. Equal logits give 2 log 2.

    Cost and memory: O(n^2).

    References
    ----------
    .. [1] H. Wang, Y. Li, H. Yao and X. Li (2023). CLIPN for zero-shot OOD detection: teaching CLIP to say no. ICCV.

    Examples
    --------
    >>> import fastpair
    >>> fastpair.losses.binary_opposite([[2.0, 0.0], [0.0, 1.0]], [[0.0, 1.0], [2.0, 0.0]]).round(6)
    np.float64(0.44019)
    """
    first, second = embeddings(yes, "yes", "dot"), embeddings(no, "no", "dot")
    if first.shape != second.shape or first.shape[0] != first.shape[1]:
        raise ValueError(
            f"yes has shape {first.shape} and no has {second.shape}; pass two square matrices of one shape"
        )
    difference = first.astype(np.float64) - second.astype(np.float64)
    result = pairwise_bce(
        similarities=difference,
        balance="sides",
        return_grad=check_flag(return_grad, "return_grad"),
        num_threads=num_threads,
        max_memory=max_memory,
    )
    if not return_grad:
        return result
    value, grads = result
    return value, BinaryOppositeGrads(in_dtype_of(grads.similarities, first), in_dtype_of(-grads.similarities, second))


def _column(mask: ArrayLike, argument: str) -> _Array:
    """View a list of bool as a matrix of one column."""
    array = array_of(mask, argument)
    if array.ndim != 1 or array.dtype != np.bool_:
        raise ValueError(
            f"{argument} has shape {array.shape} and dtype {array.dtype}, but similarities is a list; pass a bool for "
            f"each of them"
        )
    return array[:, np.newaxis]


def _counts(roles: Roles) -> tuple[int, int]:
    """Return how many pairs are positive and how many negative."""
    rows, columns = roles.shape
    if library_of_call() is not np:
        bits = roles.packed()
        counts = np.stack([kernels_of(bits[0]).count_bits(part).sum() for part in bits]).tolist()
        return counts[0], counts[1]
    if roles.ignore is None and roles.self_columns is None:
        if roles.labels is not None:
            left, right = roles.labels
            most = max(int(left.max(initial=-1)), int(right.max(initial=-1))) + 1
            positive = int(np.bincount(left, minlength=most) @ np.bincount(right, minlength=most))
        elif isinstance(roles.positives, np.ndarray):
            if roles.positives.ndim == 2:
                positive = int(np.count_nonzero(roles.positive_mask()))
            else:
                positive = int(np.count_nonzero(roles.positives >= 0))
        else:
            positive = rows
        return positive, rows * columns - positive
    mask = roles.positive_mask()
    return int(np.count_nonzero(mask)), int(np.count_nonzero(roles.negative_mask(mask)))
