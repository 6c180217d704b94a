"""Dense matrices of scores and scores of aligned rows: `pairwise` and `rowwise`."""

from typing import Any, Literal, SupportsIndex, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import ArrayLike, array_of, kernels_of, library_of, on_gpu_too
from fastpair._embeddings import METRICS, check_flag, check_metric, embeddings, is_narrow, is_sparse, same_width
from fastpair._validate import check_num_threads, parse_resources
from fastpair.similarity import _composed, _sparse
from fastpair.similarity._gradient import check_gradient, pairwise_gradient

__all__ = ["pairwise", "rowwise"]

_Array: TypeAlias = npt.NDArray[Any]
_Floats: TypeAlias = npt.NDArray[np.float64]
PairwiseMetric: TypeAlias = Literal[
    "dot",
    "cosine",
    "euclidean",
    "sqeuclidean",
    "manhattan",
    "hamming",
    "jaccard",
    "poincare",
    "lorentz",
    "rbf",
    "angular",
    "half_cosine",
    "mahalanobis",
    "kl",
    "jensenshannon",
]

MOST_CELLS = 1 << 21
"""Exact scores in float64 that exist at a time where the result is float32: 16 MiB."""

ALL_METRICS = (*METRICS, *_composed.BASES, *_composed.DIVERGENCES)


@on_gpu_too
def pairwise(
    x: ArrayLike,
    y: ArrayLike | None = None,
    metric: PairwiseMetric = "dot",
    *,
    bandwidth: float | None = None,
    covariance: ArrayLike | None = None,
    inverse_covariance: ArrayLike | None = None,
    exact: bool = False,
    num_threads: SupportsIndex | None = None,
    max_memory: SupportsIndex | None = None,
    out: _Array | None = None,
    return_grad: bool = False,
    grad_output: ArrayLike | None = None,
) -> Any:
    r"""Compute the score of every row of x with every row of y.

    Parameters
    ----------
    x : array_like or sparse, shape (n, d)
        Embeddings: float64, float32, float16, bfloat16 (of ml_dtypes), integers or bool, in any memory layout and byte
        order; with "dot" and "cosine" also a sparse matrix or array of scipy.
    y : array_like or sparse, shape (m, d), optional
        The other embeddings; by default x itself.
    metric : str
        "dot", "cosine", "euclidean", "sqeuclidean", "manhattan", "hamming", "jaccard", "poincare" or "lorentz", as for
        `topk`; or "rbf", "angular", "half_cosine", "mahalanobis", "kl" or "jensenshannon", see the notes.
    bandwidth : float, optional
        The bandwidth of "rbf", positive. Needed there.
    covariance : array_like, shape (d, d), optional
        The covariance of "mahalanobis", symmetric and positive definite. Either this or its inverse is needed there.
    inverse_covariance : array_like, shape (d, d), optional
        The inverse of it.
    exact : bool
        Evaluate each score by itself in float64, distances from differences. It is slower, but near duplicates keep
        their digits, and the scores have the bits of those of `topk` (rounded to float32 where the result is).
    num_threads : int, optional
        The most threads to use; by default `fastpair.get_num_threads`.
    max_memory : int, optional
        The most bytes of scratch beside input and output; by default 64 MiB, or what one thread needs. It takes
        smaller blocks and fewer threads, and no other result.
    out : ndarray of float32 or float64, shape (n, m), optional
        The array to fill; its dtype says in which precision to compute.
    return_grad : bool
        Return ``(scores, gradients)``. Not for every metric, see the notes, and not for sparse embeddings.
    grad_output : array_like, shape (n, m), optional
        The gradient of a loss with respect to each score. Needed with `return_grad`.

    Returns
    -------
    ndarray, shape (n, m)
        float32 if float32 holds the embeddings exactly (floats of at most 32 bits, integers of 8), else float64.
    PairwiseGradient
        Only with `return_grad`: the named tuple ``(x, y)`` of the gradients of the loss with respect to the embeddings,
        in their dtypes (float64 for integers). Without y, that of x has both parts, and y is None.

    Raises
    ------
    TypeError
        If a dtype cannot be used, arrays are not in one memory (of the host, or of one GPU), or an argument of the
        metric is missing.
    ValueError
        If shapes do not match, an embedding is NaN or infinite, or cannot be a point of the metric's space.
    MemoryError
        If there is no room for the result.

    See Also
    --------
    fastpair.similarity.rowwise : Scores of aligned rows.
    fastpair.topk : The best of each row, without the matrix.

    Notes
    -----
    Beside the scores of `topk` there are

    * rbf: :math:`\exp(-|x - y|^2 / b)` with the bandwidth b;
    * angular: :math:`\arccos(c) / \pi`, and half_cosine: :math:`(1 - c) / 2`, with the cosine c;
    * mahalanobis: :math:`\sqrt{(x - y)^\top C^{-1} (x - y)}`;
    * kl: :math:`\sum_k p_k \log(p_k / q_k)`, where p and q are x and y divided by their sums; infinite where q has a
      zero that p has not;
    * jensenshannon: :math:`\sqrt{(\mathrm{KL}(p, m) + \mathrm{KL}(q, m)) / 2}` with :math:`m = (p + q) / 2`, natural
      logarithms, as ``scipy.spatial.distance.jensenshannon``.

    Without `exact`, squared distances come from norms and products (clamped at 0) in the precision of the result: they
    are off by some units of the last digit of the squared norms.

    Gradients exist for "dot", "cosine", "angular", "half_cosine", "sqeuclidean", "euclidean", "rbf" and "mahalanobis".
    They are products :math:`W y` of weights :math:`w_{ij} = g_{ij} \, \partial s_{ij} / \partial v_{ij}` with the rows
    of the other side, evaluated in float64 with the matrix products of numpy, tile by tile. Zero rows of a cosine have
    the gradient 0. Coincident rows add 0 to that of a Euclidean distance, parallel rows 0 to that of an angle.

    Cost: O(n m d), three times that with gradients. Extra memory: at most `max_memory`, copies of x and y in float64 if
    they are sparse or the metric is "mahalanobis", and gradients in float64.

    References
    ----------
    .. [1] P. C. Mahalanobis (1936). On the generalised distance in statistics. Proceedings of the National Institute of
       Sciences of India 2.
    .. [2] J. Lin (1991). Divergence measures based on the Shannon entropy. IEEE Transactions on Information Theory 37.

    Examples
    --------
    >>> import fastpair
    >>> fastpair.pairwise([[3.0, 4.0], [0.0, 2.0]], [[1.0, 0.0], [0.0, 1.0]], "cosine")
    array([[0.6, 0.8],
           [0. , 1. ]])
    >>> fastpair.pairwise([[0.0], [3.0]], metric="euclidean")
    array([[0., 3.],
           [3., 0.]])

    The gradient of the sum of all distances:

    >>> scores, gradients = fastpair.pairwise(
    ...     [[0.0, 0.0]], [[3.0, 4.0], [0.0, 2.0]], "euclidean", return_grad=True, grad_output=[[1.0, 1.0]]
    ... )
    >>> gradients.x, gradients.y
    (array([[-0.6, -1.8]]), array([[0.6, 0.8],
           [0. , 1. ]]))
    """
    name = check_metric(metric, ALL_METRICS)
    resources = parse_resources(num_threads, max_memory)
    check_flag(exact, "exact")
    options = _composed.parse_options(name, bandwidth, covariance, inverse_covariance)
    upstream = check_gradient(name, check_flag(return_grad, "return_grad"), grad_output)
    if (is_sparse(x) or is_sparse(y)) and upstream is None:
        sparse_rows, sparse_columns = _sparse_sets(x, y, name)
        narrow = sparse_rows.narrow and sparse_columns.narrow
        out = _room(out, (sparse_rows.shape[0], sparse_columns.shape[0]), narrow, np)
        _sparse.write_pairwise(sparse_rows, sparse_columns, name, out, resources)
        return out
    base = _composed.BASES.get(name, name)
    rows = embeddings(x, "x", base)
    columns = rows if y is None else embeddings(y, "y", base)
    rows, columns = same_width(rows, columns, base)
    if upstream is not None and upstream.shape != (len(rows), len(columns)):
        raise ValueError(f"grad_output has shape {upstream.shape}; pass shape {(len(rows), len(columns))}")
    out = _room(out, (len(rows), len(columns)), is_narrow(rows) and is_narrow(columns), library_of(rows))
    if name in _composed.DIVERGENCES:
        _composed.write_divergences(rows, columns, name, out, resources)
        return out
    given = rows, None if y is None else columns
    rows, columns = _composed.whitened(rows, columns, options)
    plain = out.flags.carray if isinstance(out, np.ndarray) else out.flags.c_contiguous
    target = out if plain else library_of(out).empty(out.shape, out.dtype)
    kernels = kernels_of(rows)
    if exact and target.dtype == np.float32 and isinstance(target, np.ndarray):
        step = max(1, min(MOST_CELLS, resources.scratch // 16) // max(len(columns), 1))
        for begin in range(0, len(rows), step):
            block = np.empty((len(rows[begin : begin + step]), len(columns)))
            kernels.pairwise(rows[begin : begin + step], columns, base, block, True, *resources, block.nbytes)
            with np.errstate(over="ignore"):
                target[begin : begin + step] = block
    else:
        kernels.pairwise(rows, columns, base, target, exact, *resources)
    _composed.finish(target, name, options)
    if target is not out:
        out[...] = target
    if upstream is None:
        return out
    return out, pairwise_gradient(*given, name, options, out, upstream, resources)


@on_gpu_too
def rowwise(
    x: ArrayLike,
    y: ArrayLike,
    metric: PairwiseMetric = "dot",
    *,
    bandwidth: float | None = None,
    covariance: ArrayLike | None = None,
    inverse_covariance: ArrayLike | None = None,
    num_threads: SupportsIndex | None = None,
) -> _Floats:
    """Compute the score of each row of x with the same row of y, exactly.

    Parameters
    ----------
    x : array_like or sparse, shape (n, d)
        Embeddings, as for `pairwise`.
    y : array_like or sparse, shape (n, d)
        As many others.
    metric : str
        What a score is, as for `pairwise`.
    bandwidth : float, optional
        The bandwidth of "rbf", positive. Needed there.
    covariance : array_like, shape (d, d), optional
        The covariance of "mahalanobis". Either this or its inverse is needed there.
    inverse_covariance : array_like, shape (d, d), optional
        The inverse of it.
    num_threads : int, optional
        The most threads to use; by default `fastpair.get_num_threads`.

    Returns
    -------
    ndarray of float64, shape (n,)
        The scores, with the bits of those of `topk` where it has the metric (and the rows are not sparse).

    Raises
    ------
    TypeError
        If a dtype cannot be used, arrays are not in one memory (of the host, or of one GPU), or an argument of the
        metric is missing.
    ValueError
        If shapes do not match, or an embedding is NaN or infinite, or cannot be a point of the metric's space.

    See Also
    --------
    fastpair.pairwise : Scores of all pairs.

    Notes
    -----
    The formulas are those of `topk` and `pairwise`, evaluated in float64 from differences where the metric is a
    distance.

    Cost: O(n d). Extra memory: none that grows; 16 MiB for divergences, whitened copies for "mahalanobis".

    References
    ----------
    .. [1] N. J. Higham (2002). Accuracy and stability of numerical algorithms, chapter 4: summation. SIAM.

    Examples
    --------
    >>> import fastpair
    >>> fastpair.similarity.rowwise([[3.0, 4.0], [1.0, 0.0]], [[0.0, 1.0], [1.0, 1.0]], "sqeuclidean")
    array([18.,  1.])
    """
    name = check_metric(metric, ALL_METRICS)
    threads = check_num_threads(num_threads)
    options = _composed.parse_options(name, bandwidth, covariance, inverse_covariance)
    base = _composed.BASES.get(name, name)
    sparse = is_sparse(x) or is_sparse(y)
    if sparse:
        rows, columns = _sparse_sets(x, y, name)
    else:
        rows, columns = same_width(embeddings(x, "x", base), embeddings(y, "y", base), base)
    if len(rows) != len(columns):
        raise ValueError(f"x has {len(rows)} rows but y has {len(columns)}; pass one row of y for each row of x")
    if sparse:
        return _sparse.aligned(rows, columns, name)
    if name in _composed.DIVERGENCES:
        return _composed.aligned_divergences(rows, columns, name)
    rows, columns = _composed.whitened(rows, columns, options)
    scores: _Floats = kernels_of(rows).rowwise(rows, columns, base, threads)
    _composed.finish(scores, name, options)
    return scores


def _sparse_sets(x: Any, y: Any, metric: str) -> tuple[Any, Any]:
    """Return the rows of two matrices of which one is sparse at least."""
    rows, columns, single = _sparse.read_two_sets(x, y, metric)
    if single:
        raise ValueError(f"x has shape ({rows.shape[1]},); pass two dimensions, a row for each embedding")
    return rows, columns


def _room(out: Any, shape: tuple[int, int], narrow: bool, library: Any) -> Any:
    """Return `out` if it can take the result, or a new array of the library."""
    if out is None:
        return library.empty(shape, np.float32 if narrow else np.float64)
    if library is not np:
        array_of(out, "out")
    if not isinstance(out, library.ndarray) or out.dtype not in (np.float32, np.float64):
        seen = f"dtype {out.dtype}" if isinstance(out, library.ndarray) else f"type {type(out).__name__}"
        raise TypeError(f"out has {seen}; pass a {library.__name__} array of float32 or float64")
    if out.shape != shape:
        raise ValueError(f"out has shape {out.shape}; pass shape {shape}")
    if isinstance(out, np.ndarray) and not out.flags.writeable:
        raise ValueError("out is read-only; pass an array that can be written")
    return out
