"""Exact nearest neighbours: `topk`.

The arguments are checked and named here; `fastpair._core` searches, and `_sparse` where the input is sparse.
"""

from typing import Any, NamedTuple, SupportsIndex, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import ArrayLike, on_gpu_too
from fastpair._embeddings import Filter, Metric, are_largest_best, check_count, check_filter, check_metric
from fastpair._progress import Progress, Report
from fastpair._validate import parse_resources
from fastpair.similarity._admission import Exclude, parse_admission
from fastpair.similarity._search import empty_topk, improve, library_for
from fastpair.similarity._sparse import read_two_sets

__all__ = ["Out", "TopK", "check_out", "filled", "topk"]

_Floats: TypeAlias = npt.NDArray[np.float64]
_Ints: TypeAlias = npt.NDArray[np.int64]
Out: TypeAlias = tuple[_Floats, _Ints]


class TopK(NamedTuple):
    """The scores and indices of the k best rows of y for each row of x, best first.

    Unused places at the end hold the index -1 and the score -inf (+inf where the smallest are the best).
    """

    scores: _Floats
    indices: _Ints


@on_gpu_too
def topk(
    x: ArrayLike,
    y: ArrayLike | None = None,
    k: SupportsIndex = 10,
    *,
    metric: Metric = "cosine",
    largest: bool | None = None,
    exclude_self: bool = False,
    mask: ArrayLike | None = None,
    exclude: Exclude = None,
    x_labels: ArrayLike | None = None,
    y_labels: ArrayLike | None = None,
    same_label: bool | None = None,
    min_score: ArrayLike | None = None,
    max_score: ArrayLike | None = None,
    filter: Filter = "auto",
    num_threads: SupportsIndex | None = None,
    max_memory: SupportsIndex | None = None,
    progress: bool | Report = False,
    out: Out | None = None,
) -> TopK:
    r"""Find the k best rows of y for each row of x, exactly.

    The result is that of sorting all scores, evaluated in float64: it has the same bits for every number of threads,
    every instruction set and every way of cutting y into parts. The matrix of scores is never built.

    Parameters
    ----------
    x : array_like or sparse, shape (n, d) or (d,)
        Queries: float64, float32, float16, bfloat16 (of ml_dtypes), integers or bool, in any memory layout and byte
        order; with "dot" and "cosine" also a sparse matrix or array of scipy. One dimension is a single query.
    y : array_like or sparse, shape (m, d), optional
        Rows to search. By default x itself, and then each row finds itself unless `exclude_self` says otherwise.
    k : int
        Rows to find for each query, at least 1; it may exceed m.
    metric : {"cosine", "dot", "euclidean", "sqeuclidean", "manhattan", "hamming", "jaccard", "poincare", "lorentz"}
        What a score is, see the notes. "hamming" and "jaccard" compare bits: bool, or uint8 made with `numpy.packbits`.
    largest : bool, optional
        Whether the largest scores are the best. By default they are for "cosine" and "dot", the smallest for distances.
    exclude_self : bool
        Never pair row i of x with row i of y.
    mask : array_like, shape (m,) or (n, m), optional
        The rows of y (or the pairs) that count: bool, or uint8 bits made with ``numpy.packbits(mask, axis=-1)``.
    exclude : tuple, list of lists or sparse, optional
        Rows of y that do not count for each row of x: compressed rows as a tuple ``(indptr, indices)``, a list of n
        lists, the stored positions of an (n, m) sparse matrix of scipy, or an integer array of shape (n, c), in which
        -1 is no row. For a single query also one list.
    x_labels : array_like, shape (n,), optional
        Labels of the rows of x, integers or strings.
    y_labels : array_like, shape (m,), optional
        Labels of the rows of y; those of x if y is not given.
    same_label : bool, optional
        Needed with labels: whether only pairs of the same label count, or only pairs of different labels.
    min_score : float or array_like, shape (n,), optional
        Pairs with a lower score do not count.
    max_score : float or array_like, shape (n,), optional
        Pairs with a higher score do not count.
    filter : {"auto", "f32", "bf16", "int16", "int8", "off"}
        Numbers of which kind rule out most pairs before float64 scores the others, see the notes. It changes the time,
        never the result. Sparse rows and arrays on a GPU have a way of their own, whatever is passed.
    num_threads : int, optional
        The most threads to use; by default `fastpair.get_num_threads`.
    max_memory : int, optional
        The most bytes of scratch beside input and output; by default 64 MiB, or what one thread needs. It takes
        smaller blocks and fewer threads, and no other result.
    progress : bool or callable
        True shows a bar (of tqdm if it is installed); a function is called as ``progress(done, total)``, in pairs.
    out : tuple of ndarray, optional
        Arrays ``(scores, indices)`` to fill, float64 and int64, of shape (n, k).

    Returns
    -------
    TopK
        The named tuple ``(scores, indices)``: float64 and int64, each of shape (n, k), or (k,) for a single query. Best
        first, equal scores by index. Where fewer than k rows count, the index is -1 and the score -inf, or +inf if
        the smallest are the best.

    Raises
    ------
    TypeError
        If a dtype cannot be used, or arrays are not in one memory (of the host, or of one GPU).
    ValueError
        If shapes do not match, an embedding is NaN or infinite, a row leaves the Poincare ball, or a rule names columns
        that do not exist.
    MemoryError
        If there is no room for the result.

    See Also
    --------
    fastpair.radius : All rows that are near enough.
    fastpair.Corpus : Search the same rows again and again, or more rows than fit into memory.
    fastpair.TopkState : Take the rows of y in parts, in any order and on several machines.

    Notes
    -----
    The scores of a row :math:`x` and a row :math:`y` are

    * dot: :math:`x \cdot y`; cosine: :math:`x \cdot y / (|x| |y|)`, and 0 if one of both is zero;
    * sqeuclidean: :math:`|x - y|^2`; euclidean: :math:`|x - y|`; manhattan: :math:`\sum_k |x_k - y_k|`;
    * hamming: the number of bits that differ; jaccard: their share of the bits that x or y has, 0 if there are none;
    * poincare: :math:`2 \operatorname{arsinh} \sqrt{|x - y|^2 / ((1 - |x|^2)(1 - |y|^2))}` [2]_;
    * lorentz: :math:`\operatorname{arcosh} \max(1, x_0 y_0 - x_1 y_1 - \dots)` [3]_.

    A filter, a fast kernel, computes approximate scores together with a proven bound on their error. Only columns that
    the bound cannot rule out are scored in float64, with sums in one fixed order over 16 lanes, and ranked by these
    scores; equal scores go by the lowest index. So no approximation reaches the result, and its bytes are the same with
    every `filter`: "f32" multiplies in float32, "bf16" in bfloat16, "int16" and "int8" in integers, on any processor;
    "off" scores every pair in float64. The coarser the numbers, the faster the kernel and the more pairs are left over.
    "auto" looks at the processor and tries some rows; choose by hand where you have measured, for example always the
    same data. "manhattan", "hamming", "jaccard", "poincare" and "lorentz" have one kernel, which all but "off" mean.

    A score that overflows float64 to infinity is ranked as such; one that is not a number (infinity minus infinity)
    does not count.

    Cost: O(n m d). Extra memory: at most `max_memory`, of which half may be packed bits of a bool mask of pairs. Input
    that the kernels cannot read as it is comes on top: lists of excluded columns are copied as int64, sparse rows as
    float64, and bool embeddings are packed to an eighth of their size.

    References
    ----------
    .. [1] J. Johnson, M. Douze and H. Jegou (2021). Billion-scale similarity search with GPUs. IEEE Transactions on
       Big Data 7.
    .. [2] M. Nickel and D. Kiela (2017). Poincare embeddings for learning hierarchical representations. NeurIPS.
    .. [3] M. Nickel and D. Kiela (2018). Learning continuous hierarchies in the Lorentz model of hyperbolic geometry.
       ICML.

    Examples
    --------
    >>> import fastpair
    >>> x = [[1.0, 0.0], [0.0, 1.0]]
    >>> y = [[2.0, 0.0], [3.0, 4.0], [0.0, 1.0]]
    >>> fastpair.topk(x, y, 2)
    TopK(scores=array([[1. , 0.6],
           [1. , 0.8]]), indices=array([[0, 1],
           [2, 1]]))

    The nearest other row, of another label:

    >>> points = [[0.0], [1.0], [3.0], [7.0]]
    >>> fastpair.topk(points, k=1, metric="euclidean", x_labels=["a", "a", "b", "b"], same_label=False).indices.ravel()
    array([2, 2, 1, 1])
    """
    name = check_metric(metric)
    count, resources = check_count(k, "k", 1), parse_resources(num_threads, max_memory)
    kind = check_filter(filter)
    order = are_largest_best(name, largest)
    rows, columns, single = read_two_sets(x, y, name)
    shape = (rows.shape[0], columns.shape[0])
    admission = parse_admission(
        *shape,
        single=single,
        same_sets=y is None,
        exclude_self=exclude_self,
        mask=mask,
        exclude=exclude,
        x_labels=x_labels,
        y_labels=y_labels,
        same_label=same_label,
        min_score=min_score,
        max_score=max_score,
    )
    shown = (count,) if single else (shape[0], count)
    library = library_for(rows)
    check_out(out, shown, library)
    scores, indices = _room(out, (shape[0], count), order, library)
    with Progress(progress, shape[0] * shape[1]) as watcher:
        improve(scores, indices, rows, columns, name, order, admission, watcher, resources, filter=kind)
    return filled(out, scores, indices, shown)


def check_out(out: Any, shape: tuple[int, ...], library: Any = np) -> None:
    """Demand two arrays of numpy or cupy that can take a result of this shape."""
    if out is None:
        return
    if not isinstance(out, tuple) or len(out) != 2:
        raise TypeError(f"out must be a tuple (scores, indices) of two arrays, not {type(out).__name__}")
    for array, name, dtype in ((out[0], "out[0] (scores)", np.float64), (out[1], "out[1] (indices)", np.int64)):
        if not isinstance(array, library.ndarray) or array.dtype != dtype:
            seen = f"dtype {array.dtype}" if isinstance(array, library.ndarray) else f"type {type(array).__name__}"
            raise TypeError(f"{name} has {seen}; pass a {library.__name__} array of {np.dtype(dtype)}")
        if array.shape != shape:
            raise ValueError(f"{name} has shape {array.shape}; pass shape {shape}")
        if not getattr(array.flags, "writeable", True):
            raise ValueError(f"{name} is read-only; pass an array that can be written")


def _room(out: Out | None, shape: tuple[int, int], largest: bool, library: Any) -> tuple[_Floats, _Ints]:
    """Return an empty state, in the memory of `out` where that is as the kernels need it."""
    if out is None or not all(getattr(array.flags, "carray", array.flags.c_contiguous) for array in out):
        return empty_topk(*shape, largest, library)
    scores, indices = out[0].reshape(shape), out[1].reshape(shape)
    scores[...], indices[...] = -np.inf if largest else np.inf, -1
    return scores, indices


def filled(out: Out | None, scores: _Floats, indices: _Ints, shape: tuple[int, ...]) -> TopK:
    """Return a state as a result, in `out` if it was given."""
    scores, indices = scores.reshape(shape), indices.reshape(shape)
    if out is None:
        return TopK(scores, indices)
    for target, values in zip(out, (scores, indices), strict=True):
        if not np.may_share_memory(target, values):
            target[...] = values
    return TopK(*out)
