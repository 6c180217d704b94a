"""Contrast of nodes with the means of communities, and the density of these: `cluster_contrast` and `deca`."""

from typing import Any, Literal, NamedTuple, SupportsIndex, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import ArrayLike
from fastpair._embeddings import check_flag, embeddings, numbers
from fastpair._validate import check_choice, check_number, in_dtype_of
from fastpair.losses._adjacency import parse_adjacency
from fastpair.losses._embedding import WeightNorm, parse_pairs, parse_rows_reduction
from fastpair.losses._lists import OnEmpty, ReductionName
from fastpair.losses._similarity_kl import log_shares
from fastpair.losses._tiles import reduce_tiles

__all__ = ["ClusterContrastGrads", "DecaGrads", "cluster_contrast", "deca"]

_Array: TypeAlias = npt.NDArray[Any]
_Floats: TypeAlias = npt.NDArray[np.float64]
_Ints: TypeAlias = npt.NDArray[np.int64]
_Bools: TypeAlias = npt.NDArray[np.bool_]

Kernel: TypeAlias = Literal["cosine", "rbf"]


class ClusterContrastGrads(NamedTuple):
    """The gradients of `cluster_contrast`; the means of communities are constants."""

    x: _Array
    temperature: np.float64


class DecaGrads(NamedTuple):
    """The gradient of `deca` with respect to the assignments."""

    assignments: _Array


def cluster_contrast(
    x: ArrayLike,
    y: ArrayLike,
    assignments: ArrayLike,
    temperature: float = 0.4,
    *,
    kernel: Kernel = "cosine",
    gamma: float = 8e-5,
    keep_empty: bool = False,
    weights: ArrayLike | None = None,
    weight_norm: WeightNorm = "count",
    on_empty: OnEmpty = "skip",
    reduction: ReductionName = "mean",
    return_grad: bool = False,
    grad_output: ArrayLike | None = None,
    num_threads: SupportsIndex | None = None,
    max_memory: SupportsIndex | None = None,
) -> Any:
    r"""Compute the contrast of nodes with the means of communities in the other view.

    Parameters
    ----------
    x : array_like, shape (n, d)
        Embeddings of the nodes.
    y : array_like, shape (n, d)
        Their embeddings in the other view, of which the means of the communities are taken.
    assignments : array_like, shape (n,) or (n, K)
        The community of each node in the other view as an integer (-1: none), or soft assignments of which the largest
        counts, the first of equal ones.
    temperature : float
        What divides the cosines, positive; its square divides squared distances.
    kernel : {"cosine", "rbf"}
        Cosines, or negative squared distances whose other communities weigh less the further their means are away.
    gamma : float
        How fast these weights fall off, not negative; for "rbf".
    keep_empty : bool
        Keep communities of an assignment matrix that have no node, with the mean 0.
    weights : array_like, shape (n,), optional
        A weight for each node, finite and not negative.
    weight_norm : {"count", "weights"}
        Whether the mean divides by the number of valid nodes or by the sum of their weights.
    on_empty : {"skip", "zero", "error"}
        What a node without a community, or without another community, does: it is left out, counts with loss 0, or is
        refused.
    reduction : {"mean", "sum", "none"}
        Return the mean or the sum over nodes, or one value for each.
    return_grad : bool
        Return the gradients as well.
    grad_output : array_like, shape (n,), optional
        For ``reduction="none"`` with `return_grad`, which needs it: the gradient with respect to each value.
    num_threads : int, optional
        The most threads for similarities; by default `fastpair.get_num_threads`.
    max_memory : int, optional
        The most bytes of scratch beside input and output; by default 64 MiB.

    Returns
    -------
    value : numpy.float64 or ndarray
        The loss; for ``reduction="none"`` float64, shape (n,). 0.0 for nodes without two communities.
    grads : ClusterContrastGrads
        With `return_grad`: the named tuple ``(x, temperature)``, that of x in its shape and dtype (float64 for
        integers).

    Raises
    ------
    TypeError
        If a dtype cannot be used, or an option is not a number.
    ValueError
        If shapes do not match, an embedding is NaN or infinite, or an option is out of range.

    See Also
    --------
    fastpair.losses.deca : An objective for the assignments.
    fastpair.losses.prototype_nce : Prototypes that are learnt.

    Notes
    -----
    With the means :math:`\mu_k` of the rows of y by community, the community c of a node and
    :math:`s_k = \exp(\cos(x, \mu_k) / \tau)` or :math:`\exp(-|x - \mu_k|^2 / \tau^2)`

    .. math:: -\log s_c + \log\Big(s_c + \sum_{k \ne c} w_{ck} \, s_k\Big),

    where w is 1, and for "rbf" :math:`\exp(-\gamma |\mu_c - \mu_k|^2)`. If every node is its own community this is
    InfoNCE against the rows of y.

    Cost: O(n K d). Extra memory: the means, and tiles of at most `max_memory`.

    References
    ----------
    .. [1] B. Li, B. Jing and H. Tong (2022). Graph communal contrastive learning. The Web Conference.

    Examples
    --------
    >>> import fastpair
    >>> x = [[1.0, 0.1], [0.9, 0.0], [0.0, 1.0]]
    >>> fastpair.losses.cluster_contrast(x, x, [0, 0, 1]).round(6)
    np.float64(0.089663)
    """
    check_choice(kernel, "kernel", ("cosine", "rbf"))
    scale, fall = check_number(temperature, "temperature", above=0), check_number(gamma, "gamma", least=0)
    rows, others = embeddings(x, "x", "dot"), embeddings(y, "y", "dot")
    if rows.shape != others.shape:
        raise ValueError(f"x has shape {rows.shape} but y has {others.shape}; pass a row of y for each row of x")
    codes, means = _communities(others, assignments, check_flag(keep_empty, "keep_empty"))
    distant = kernel == "rbf"
    narrow = rows.dtype.name == "bfloat16" or (rows.dtype.kind == "f" and rows.dtype.itemsize <= 4)
    centres = means.astype(np.float32) if narrow else means
    pairs = parse_pairs(rows, centres, None, "sqeuclidean" if distant else "cosine", num_threads, max_memory)
    valid = (codes >= 0) & (len(means) > 1)
    how = parse_rows_reduction(
        len(rows),
        reduction=reduction,
        on_empty=on_empty,
        weights=weights,
        weight_norm=weight_norm,
        return_grad=return_grad,
        grad_output=grad_output,
    )
    divisor = scale * scale if distant else scale
    squares = np.square(means).sum(axis=1)

    def tile(scores: _Array, places: _Ints) -> tuple[Any, ...]:
        given = scores.astype(np.float64)
        own = np.arange(len(places)), np.maximum(codes[places], 0)
        logits = given
        if distant and fall:
            apart = squares[own[1], np.newaxis] + squares - 2 * (means[own[1]] @ means.T)
            apart[own] = 0.0
            logits = given - (fall * divisor) * np.maximum(apart, 0.0)
        log_p = log_shares(logits, np.array([[divisor]]))
        values = -log_p[own]
        slopes = np.exp(log_p)
        slopes[own] -= 1
        slopes /= divisor
        return values, slopes, (-(slopes * given).sum(axis=1) * (2 if distant else 1) / scale,)

    value, sums = reduce_tiles(pairs, tile, how, valid, arrays=7)
    if not how.return_grad:
        return value
    by_temperature = sum((part.sum() for part in sums.parameters), 0.0)
    return value, ClusterContrastGrads(sums.x, np.float64(by_temperature))  # type: ignore[arg-type]


def deca(assignments: ArrayLike, adjacency: Any, *, balance: float = 1.0, return_grad: bool = False) -> Any:
    r"""Compute the edge-density objective of communities over soft assignments.

    Parameters
    ----------
    assignments : array_like, shape (n, K)
        How much each node belongs to each community; commonly rows that sum to 1.
    adjacency : array_like or sparse, shape (n, n), or tuple
        The graph: a dense matrix, a sparse one of scipy, or its parts ``(indptr, indices)`` or
        ``(indptr, indices, data)`` by row.
    balance : float
        How much edges between communities cost, not negative: lambda of the paper.
    return_grad : bool
        Return the gradient as well.

    Returns
    -------
    value : numpy.float64
        The objective, the smaller the denser the communities. 0.0 without nodes.
    grads : DecaGrads
        With `return_grad`: the named tuple ``(assignments,)``, in their shape and dtype (float64 for integers).

    Raises
    ------
    TypeError
        If a dtype cannot be used, or an option is not a number.
    ValueError
        If shapes do not match, or an option is out of range.

    See Also
    --------
    fastpair.losses.cluster_contrast : Contrast with the communities.

    Notes
    -----
    With :math:`F = R^\top A R`

    .. math::
       \frac{\lambda \sum_{kl} F_{kl} - (n - 1 + \lambda) \operatorname{tr} F}{n (n - 1)}
       + \frac{\operatorname{tr}(R^\top R)}{2 n} .

    The first term is 0 for a single node.

    Cost: O(e K) for e edges. Extra memory: O(e + n K).

    References
    ----------
    .. [1] B. Li, B. Jing and H. Tong (2022). Graph communal contrastive learning. The Web Conference.

    Examples
    --------
    Two nodes with an edge, in one community and in two:

    >>> import fastpair
    >>> edge = [[0, 1], [1, 0]]
    >>> fastpair.losses.deca([[1.0, 0.0], [1.0, 0.0]], edge), fastpair.losses.deca([[1.0, 0.0], [0.0, 1.0]], edge)
    (np.float64(-0.5), np.float64(1.5))
    """
    given = embeddings(assignments, "assignments", "dot")
    cost = check_number(balance, "balance", least=0)
    count = len(given)
    edges = parse_adjacency(adjacency, count)
    shares = given.astype(np.float64)
    by_edges, through = np.zeros_like(shares), np.zeros_like(shares)
    rows = edges.rows
    for column in range(shares.shape[1]):  # (A + A^T) R and A R, one community at a time
        own = shares[:, column]
        through[:, column] = np.bincount(rows, edges.values * own[edges.columns], minlength=count)
        by_edges[:, column] = through[:, column] + np.bincount(edges.columns, edges.values * own[rows], minlength=count)
    total = shares.sum(axis=1)
    across = float(total @ np.bincount(rows, edges.values * total[edges.columns], minlength=count))
    inside = float((shares * through).sum())
    ordered = count * (count - 1)
    value = float(np.square(shares).sum()) / (2 * max(count, 1))
    if ordered:
        value += (cost * across - (count - 1 + cost) * inside) / ordered
    if not check_flag(return_grad, "return_grad"):
        return np.float64(value)
    gradient = shares / max(count, 1)
    if ordered:
        gradient += (cost * by_edges.sum(axis=1, keepdims=True) - (count - 1 + cost) * by_edges) / ordered
    return np.float64(value), DecaGrads(in_dtype_of(gradient, given))


def _communities(rows: _Array, assignments: ArrayLike, keep_empty: bool) -> tuple[_Ints, _Floats]:
    """Return the community of each node, -1 for none, and the means of the rows of each."""
    array = numbers(assignments, "assignments", "dot")
    count = len(rows)
    if array.ndim == 2 and len(array) == count:
        size = array.shape[1]
        codes = array.argmax(axis=1) if size else np.full(count, -1)
    elif array.shape == (count,) and (array.dtype.kind in "iu" or not count):
        codes = np.maximum(array.astype(np.int64), -1)
        size = int(codes.max(initial=-1)) + 1
    else:
        raise ValueError(
            f"assignments has shape {array.shape} and dtype {array.dtype}; pass {count} integers, the community of "
            f"each node, or shape ({count}, K)"
        )
    kept = codes >= 0
    found, compact = np.unique(codes[kept], return_inverse=True)
    sums = np.zeros((len(found), rows.shape[1]))
    counts = np.bincount(compact, minlength=len(found))
    order = np.argsort(compact, kind="stable")
    if len(found):
        starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
        sums = np.add.reduceat(rows[kept][order].astype(np.float64), starts, axis=0) / counts[:, np.newaxis]
    if keep_empty and array.ndim == 2:
        means = np.zeros((size, rows.shape[1]))
        means[found] = sums
        return codes.astype(np.int64), means
    result = np.full(count, -1)
    result[kept] = compact
    return result, sums
