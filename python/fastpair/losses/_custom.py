"""A loss of your own: `custom`, given as a function on tiles of similarities."""

from typing import Any, NamedTuple, SupportsIndex, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import ArrayLike, array_of
from fastpair.losses._embedding import SimilarityMetric, WeightNorm, parse_pairs, parse_rows_reduction
from fastpair.losses._lists import OnEmpty, ReductionName
from fastpair.losses._tiles import TileFunction, reduce_tiles

__all__ = ["CustomGrads", "custom"]

_Array: TypeAlias = npt.NDArray[Any]
_Floats: TypeAlias = npt.NDArray[np.float64]
_Bools: TypeAlias = npt.NDArray[np.bool_]


class CustomGrads(NamedTuple):
    """The gradients of `custom`: of embeddings, of a matrix, and of each row by parameters of the tile function."""

    x: _Array | None
    y: _Array | None
    similarities: _Array | None
    parameters: tuple[_Floats, ...]


def custom(
    x: ArrayLike | None = None,
    y: ArrayLike | None = None,
    *,
    tile_fn: TileFunction,
    similarities: ArrayLike | None = None,
    metric: SimilarityMetric = "cosine",
    valid: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    weight_norm: WeightNorm = "count",
    on_empty: OnEmpty = "skip",
    reduction: ReductionName = "mean",
    return_grad: bool = False,
    grad_output: ArrayLike | None = None,
    num_threads: SupportsIndex | None = None,
    max_memory: SupportsIndex | None = None,
) -> Any:
    r"""Compute your own loss of rows of similarities, given as a function on tiles.

    Parameters
    ----------
    x : array_like, shape (n, d), optional
        Embeddings, a row of the loss each. Either x or `similarities` is needed.
    y : array_like, shape (m, d), optional
        What they are compared with; by default x itself, each row also with itself.
    tile_fn : callable
        ``tile_fn(similarities, rows) -> (values, weights)``, see the notes.
    similarities : array_like, shape (n, m), optional
        A matrix of similarities in place of embeddings.
    metric : {"cosine", "dot", "sqeuclidean", "euclidean"}
        The similarity of embeddings; that of a distance is minus the distance.
    valid : array_like of bool, shape (n,), optional
        Which rows count, by default all. What `tile_fn` returns for the others has no effect.
    weights : array_like, shape (n,), optional
        A weight for each row, finite and not negative.
    weight_norm : {"count", "weights"}
        Whether the mean divides by the number of valid rows or by the sum of their weights.
    on_empty : {"skip", "zero", "error"}
        What a row that is not valid does: it is left out, counts with loss 0, or is refused.
    reduction : {"mean", "sum", "none"}
        Return the mean or the sum over rows, or one value for each.
    return_grad : bool
        Return the gradients as well.
    grad_output : array_like, shape (n,), optional
        For ``reduction="none"`` with `return_grad`, which needs it: the gradient with respect to each value.
    num_threads : int, optional
        The most threads for the similarities; by default `fastpair.get_num_threads`. The products of gradients are
        those of numpy.
    max_memory : int, optional
        The most bytes of scratch beside input and output; by default 64 MiB.

    Returns
    -------
    value : numpy.float64 or ndarray
        The loss; for ``reduction="none"`` float64, shape (n,).
    grads : CustomGrads
        With `return_grad`: the named tuple ``(x, y, similarities, parameters)``, in the shapes and dtypes of the inputs
        (float64 for integers), None for what was not given. Without y, that of x has both parts. ``parameters`` is a
        tuple of float64 arrays of shape (n, ...): the derivative of the loss by the parameters of each row.

    Raises
    ------
    TypeError
        If a dtype cannot be used, embeddings and a matrix are mixed, or `tile_fn` returns no tuple.
    ValueError
        If shapes do not match, an embedding is NaN or infinite, an option is out of range, or `max_memory` is too
        little for one row.

    See Also
    --------
    fastpair.pairwise : The similarities themselves.

    Notes
    -----
    `tile_fn` gets the similarities of r rows with all m columns, float32 or float64 as `pairwise` has them (float64 for
    a matrix), and the indices of these rows, int64, shape (r,). It may overwrite the similarities, and returns a tuple:

    * the values of the rows, shape (r,);
    * the derivative of each value by the similarities of its row, shape (r, m); without `return_grad` also None;
    * optionally a tuple of derivatives by parameters, a temperature for example: of each value by the parameters of its
      own row, shape (r, ...). Add them up where all rows share the parameter.

    How many rows are in a tile depends on m and `max_memory`; `tile_fn` must give the same for any. With the weights
    :math:`w_{ij}` the gradients are :math:`\sum_j w_{ij} y_j` and :math:`\sum_i w_{ij} x_i`, followed by the derivative
    of the metric: zero rows of a cosine have the gradient 0, and coincident rows add 0 to that of a distance.

    Cost: O(n m d), three times that with gradients, and that of `tile_fn`. Extra memory: tiles of at most `max_memory`
    together, where `tile_fn` may use three arrays of the size of its tile.

    References
    ----------
    .. [1] X. Wang, X. Han, W. Huang, D. Dong and M. R. Scott (2019). Multi-similarity loss with general pair weighting
       for deep metric learning. CVPR.

    Examples
    --------
    InfoNCE with the positives on the diagonal:

    >>> import numpy as np
    >>> from fastpair import losses
    >>> def info_nce(similarities, rows, temperature=0.1):
    ...     logits = similarities / temperature
    ...     logits -= logits.max(axis=1, keepdims=True)
    ...     log_shares = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    ...     own = np.arange(len(rows)), rows
    ...     weights = np.exp(log_shares) / temperature
    ...     weights[own] -= 1 / temperature
    ...     return -log_shares[own], weights
    >>> scores = [[0.9, 0.2, 0.4], [0.1, 0.7, 0.3], [0.5, 0.6, 0.8]]
    >>> value, grads = losses.custom(similarities=scores, tile_fn=info_nce, return_grad=True)
    >>> value.round(6)
    np.float64(0.066016)
    >>> grads.similarities[0].round(6)
    array([-0.025306,  0.003017,  0.022289])

    The same of embeddings, whose matrix of similarities never exists:

    >>> x, y = np.eye(3) + 0.1, np.eye(3)
    >>> losses.custom(x, y, tile_fn=info_nce).round(6)
    np.float64(0.000243)
    """
    if not callable(tile_fn):
        raise TypeError(f"tile_fn must be a function of similarities and rows, not {tile_fn!r}")
    pairs = parse_pairs(x, y, similarities, metric, num_threads, max_memory)
    counts = _parse_valid(valid, pairs.shape[0])
    how = parse_rows_reduction(
        len(counts),
        reduction=reduction,
        on_empty=on_empty,
        weights=weights,
        weight_norm=weight_norm,
        return_grad=return_grad,
        grad_output=grad_output,
    )
    value, sums = reduce_tiles(pairs, tile_fn, how, counts)
    if not how.return_grad:
        return value
    return value, CustomGrads(sums.x, sums.y, sums.similarities, sums.parameters)


def _parse_valid(valid: ArrayLike | None, count: int) -> _Bools:
    if valid is None:
        return np.ones(count, np.bool_)
    array = array_of(valid, "valid")
    if array.dtype != np.bool_ or array.shape != (count,):
        raise ValueError(
            f"valid has shape {array.shape} and dtype {array.dtype}; pass a bool for each of the {count} rows"
        )
    return array
