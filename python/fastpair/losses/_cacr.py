"""Contrastive attraction and contrastive repulsion of several views of the same rows: `cacr`."""

from itertools import combinations
from typing import Any, Literal, NamedTuple, SupportsIndex, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import ArrayLike
from fastpair._embeddings import check_flag, numbers
from fastpair._units import away_from_units, unit_rows
from fastpair._validate import check_choice, check_number, in_dtype_of
from fastpair.losses._embedding import parse_pairs, parse_rows_reduction
from fastpair.losses._lists import ReductionName
from fastpair.losses._tiles import TileFunction, factors_of, stream

__all__ = ["CacrGrads", "cacr"]

_Array: TypeAlias = npt.NDArray[Any]
_Floats: TypeAlias = npt.NDArray[np.float64]
_Ints: TypeAlias = npt.NDArray[np.int64]

Cost: TypeAlias = Literal["euclidean", "rbf", "cosine"]
Part: TypeAlias = Literal["both", "attraction", "repulsion"]


MOST_COST = 1e150
"""Larger costs are cut off, so that their products stay finite."""


class CacrGrads(NamedTuple):
    """The gradient of `cacr` with respect to the views, in their shape and dtype."""

    views: _Array


def cacr(
    views: ArrayLike,
    t_pos: float = 1.0,
    t_neg: float = 1.0,
    alpha: float = 1.0,
    beta: float = 1.0,
    *,
    cost: Cost = "euclidean",
    rbf_t: float = 2.0,
    debiased: bool = False,
    tau_plus: float = 0.1,
    part: Part = "both",
    detach_weights: bool = False,
    weights: ArrayLike | None = None,
    reduction: ReductionName = "mean",
    return_grad: bool = False,
    grad_output: ArrayLike | None = None,
    num_threads: SupportsIndex | None = None,
    max_memory: SupportsIndex | None = None,
) -> Any:
    r"""Compute the contrastive attraction and contrastive repulsion of several views.

    Parameters
    ----------
    views : array_like, shape (V, n, d)
        Embeddings of n examples in V views, at least 2; commonly of norm 1, which this does not see to.
    t_pos : float
        How much more the views of an example that are far away attract, not negative.
    t_neg : float
        How much more the other examples that are near repel, not negative.
    alpha : float
        The factor of the attraction, not negative.
    beta : float
        The factor of the repulsion, not negative.
    cost : {"euclidean", "rbf", "cosine"}
        What is moved: squared distances, squared distances with a repulsion that falls off like a Gaussian, or one
        minus the cosine.
    rbf_t : float
        How fast the repulsion of "rbf" falls off, positive.
    debiased : bool
        Correct the repulsion for examples of the same class among the others. Not for "rbf".
    tau_plus : float
        The share of these, at least 0 and below 1.
    part : {"both", "attraction", "repulsion"}
        Which part of the loss to return.
    detach_weights : bool
        Do not differentiate the shares with which examples attract and repel.
    weights : array_like, shape (n,), optional
        A weight for each example, finite and not negative. Not for "rbf".
    reduction : {"mean", "sum", "none"}
        Return the mean or the sum over examples, or one value for each. "rbf" has only the mean.
    return_grad : bool
        Return the gradient as well.
    grad_output : array_like, shape (n,), optional
        For ``reduction="none"`` with `return_grad`, which needs it: the gradient with respect to each value.
    num_threads : int, optional
        The most threads for similarities; by default `fastpair.get_num_threads`.
    max_memory : int, optional
        The most bytes of scratch for the repulsion beside input and output; by default 64 MiB.

    Returns
    -------
    value : numpy.float64 or ndarray
        The loss; for ``reduction="none"`` float64, shape (n,). Negative where the repulsion is stronger.
    grads : CacrGrads
        With `return_grad`: the named tuple ``(views,)``, in the shape and dtype of the input (float64 for integers).

    Raises
    ------
    TypeError
        If a dtype cannot be used, or an option is not a number.
    ValueError
        If there are fewer than two views, or an option is out of range.

    See Also
    --------
    fastpair.losses.hcl : Hard negatives in the denominator of InfoNCE.

    Notes
    -----
    With the cost c(x, y), :math:`|x - y|^2` or :math:`1 - \cos(x, y)`, the view q of an example is attracted by

    .. math:: \alpha \sum_{v \ne q} w_v \, c(z_q, z_v), \qquad w = \operatorname{softmax}_v (t_{pos} \, c(z_q, z_v)),

    averaged over q. Of two views the example i of the first is repelled by

    .. math:: -\beta \sum_{j \ne i} w_j \, c(x_i, y_j), \qquad w = \operatorname{softmax}_j (-t_{neg} \, c(x_i, y_j)),

    averaged over pairs of views. "rbf" repels by
    :math:`\beta \log \frac1n \sum_i \sum_j w_j e^{-t |x_i - y_j|^2}` instead. `debiased` turns the repulsion r of an
    example (with the factor of it) into :math:`(r - \tau^+ c(x_i, y_i)) / (1 - \tau^+)`, as the released code does. A
    single example is not repelled.

    The derivative of a mean :math:`F = \sum_j w_j c_j` with :math:`w = \operatorname{softmax}(k c)` is
    :math:`w_j (1 + k (c_j - F))`, with `detach_weights` :math:`w_j`, as in the authors' code for ImageNet.

    Cost: O(V² n² d). Extra memory: tiles of at most `max_memory`, and the gradient in float64.

    References
    ----------
    .. [1] H. Zheng et al. (2023). Contrastive attraction and contrastive repulsion for representation learning.
       Transactions on Machine Learning Research.

    Examples
    --------
    >>> import fastpair
    >>> views = [[[1.0, 0.0], [0.0, 1.0]], [[0.6, 0.8], [0.0, 1.0]]]
    >>> fastpair.losses.cacr(views, part="attraction").round(6)
    np.float64(0.4)
    >>> fastpair.losses.cacr(views, part="repulsion").round(6)
    np.float64(-1.2)
    """
    check_choice(cost, "cost", ("euclidean", "rbf", "cosine"))
    check_choice(part, "part", ("both", "attraction", "repulsion"))
    check_choice(reduction, "reduction", ("mean", "sum", "none"))
    attract, repel = check_number(t_pos, "t_pos", least=0), check_number(t_neg, "t_neg", least=0)
    pull = check_number(alpha, "alpha", least=0) if part != "repulsion" else 0.0
    push = check_number(beta, "beta", least=0) if part != "attraction" else 0.0
    fall = check_number(rbf_t, "rbf_t", above=0)
    share = check_number(tau_plus, "tau_plus", least=0) if check_flag(debiased, "debiased") else 0.0
    if share >= 1:
        raise ValueError(f"tau_plus must be below 1, not {tau_plus!r}")
    if cost == "rbf" and (reduction != "mean" or weights is not None or debiased):
        raise ValueError("cost='rbf' is a loss of the batch: it has no weights, no debiased=True, and only the mean")
    array = numbers(views, "views", "dot")
    if array.ndim != 3 or len(array) < 2:
        raise ValueError(f"views has shape {array.shape}; pass (V, n, d), at least two views of n rows")
    count = array.shape[1]
    how = parse_rows_reduction(
        count, reduction=reduction, weights=weights, return_grad=return_grad, grad_output=grad_output
    )
    gradient = np.zeros(array.shape) if how.return_grad else None
    valid = np.ones(count, np.bool_)
    scale = factors_of(how, valid) if how.return_grad else None
    values = np.zeros(count)
    if pull:
        values += pull * _attraction(
            array, attract, cost, check_flag(detach_weights, "detach_weights"), gradient, scale
        )
        if gradient is not None:
            gradient *= pull
    pairs = list(combinations(range(len(array)), 2)) if push and count > 1 else []
    share_of_pair, constant = push / max(len(pairs), 1), 0.0
    for first, second in pairs:
        sides = parse_pairs(
            array[first], array[second], None, "cosine" if cost == "cosine" else "sqeuclidean", num_threads, max_memory
        )
        offset = 1.0 if cost == "cosine" else 0.0
        own: _Floats | None = None if scale is None else scale * share_of_pair
        if cost == "rbf":
            tile: TileFunction = _Gaussian(repel, fall, detach_weights)
            logs = stream(sides, tile, None).values
            total = _logsumexp(logs)
            constant += share_of_pair * (total - np.log(count))
            own = None if scale is None else share_of_pair * np.exp(logs - total)
            sums = None if own is None else stream(sides, tile, own)
        else:
            sums = stream(sides, _Repulsion(repel, share, push, offset, detach_weights), own)
            values += share_of_pair * sums.values
        if gradient is not None and sums is not None:
            gradient[first] += sums.x
            gradient[second] += sums.y
    value = how(values, valid)[0] + constant if count else how(values, valid)[0]
    if gradient is None:
        return value
    return value, CacrGrads(in_dtype_of(gradient, array))


def _attraction(
    views: _Array, sharpness: float, cost: str, detach: bool, gradient: _Floats | None, scale: _Floats | None
) -> _Floats:
    """Return the attraction of each example, and add its gradient."""
    rows = views.astype(np.float64)
    norms = np.ones((*views.shape[:2], 1))
    if cost == "cosine":
        rows, norms = unit_rows(rows)
    values, places = np.zeros(views.shape[1]), range(len(views))
    for query in places:
        others = [place for place in places if place != query]
        if cost == "cosine":
            costs = 1 - np.einsum("nd,vnd->vn", rows[query], rows[others])
        else:
            with np.errstate(over="ignore"):
                costs = np.minimum(np.square(rows[query] - rows[others]).sum(axis=2), MOST_COST)
        shares = sharpness * (costs - costs.max(axis=0, initial=-np.inf))
        np.exp(shares, out=shares)
        shares /= shares.sum(axis=0)
        mean = (shares * costs).sum(axis=0)
        values += mean / len(views)
        if gradient is None or scale is None:
            continue
        slopes = shares if detach else shares * (1 + sharpness * (costs - mean))
        slopes = (slopes * scale / len(views))[..., np.newaxis]
        if cost == "cosine":
            gradient[query] -= (slopes * rows[others]).sum(axis=0)
            gradient[others] -= slopes * rows[query]
        else:
            moves = 2 * slopes * (rows[query] - rows[others])
            gradient[query] += moves.sum(axis=0)
            gradient[others] -= moves
    if gradient is not None and cost == "cosine":
        gradient[...] = away_from_units(gradient, rows, norms)
    return values


class _Repulsion:
    """The tile function of the mean repulsion; similarities are minus the cost, plus the offset."""

    def __init__(self, sharpness: float, share: float, push: float, offset: float, detach: bool) -> None:
        self.sharpness, self.offset, self.detach = sharpness, offset, detach
        self.rest, self.own = 1 - share, share / push

    def __call__(self, scores: _Array, rows: _Ints) -> tuple[Any, ...]:
        costs = np.maximum(scores.astype(np.float64) - self.offset, -MOST_COST)
        own = np.arange(len(rows)), rows
        positive = costs[own]
        shares = _softmax(self.sharpness * costs, own)
        mean = (shares * costs).sum(axis=1, keepdims=True)
        slopes = shares if self.detach else shares * (1 + self.sharpness * (costs - mean))
        values = (mean[:, 0] + self.own * positive) / self.rest
        slopes /= self.rest
        slopes[own] = self.own / self.rest
        return values, slopes


class _Gaussian:
    """The tile function of the logarithm of the mean Gaussian; similarities are minus the cost."""

    def __init__(self, sharpness: float, fall: float, detach: bool) -> None:
        self.sharpness, self.fall, self.detach = sharpness, fall, detach

    def __call__(self, scores: _Array, rows: _Ints) -> tuple[Any, ...]:
        costs, own = np.maximum(scores.astype(np.float64), -MOST_COST), (np.arange(len(rows)), rows)
        both = (self.sharpness + self.fall) * costs
        both[own] = -np.inf
        alone = self.sharpness * costs
        alone[own] = -np.inf
        values = _logsumexp_rows(both) - _logsumexp_rows(alone)
        slopes = (self.fall if self.detach else self.sharpness + self.fall) * _softmax(both, own)
        if not self.detach:
            slopes -= self.sharpness * _softmax(alone, own)
        return values, slopes


def _softmax(logits: _Floats, own: tuple[_Ints, _Ints]) -> _Floats:
    """Return the shares of each row without its own column; overwrites the logits."""
    logits[own] = -np.inf
    logits -= logits.max(axis=1, keepdims=True)
    shares = np.exp(logits, out=logits)
    shares /= shares.sum(axis=1, keepdims=True)
    return shares


def _logsumexp_rows(logits: _Floats) -> _Floats:
    largest = logits.max(axis=1)
    return np.asarray(np.log(np.exp(logits - largest[:, np.newaxis]).sum(axis=1)) + largest)


def _logsumexp(values: _Floats) -> float:
    largest = float(values.max())
    return float(np.log(np.exp(values - largest).sum()) + largest)
