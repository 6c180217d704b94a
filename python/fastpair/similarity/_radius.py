"""All pairs that are near enough: `radius`."""

from typing import NamedTuple, SupportsIndex, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import ArrayLike, on_gpu_too
from fastpair._embeddings import Filter, Metric, are_largest_best, check_count, check_filter, check_flag, check_metric
from fastpair._progress import Progress, Report
from fastpair._validate import parse_resources
from fastpair.similarity._admission import Exclude, parse_admission, per_row
from fastpair.similarity._search import find_hits
from fastpair.similarity._sparse import read_two_sets

__all__ = ["RadiusHits", "check_threshold", "radius"]

_Floats: TypeAlias = npt.NDArray[np.float64]
_Ints: TypeAlias = npt.NDArray[np.int64]


class RadiusHits(NamedTuple):
    """The hits of each row of x in compressed rows: those of row i are at ``indptr[i]:indptr[i + 1]``.

    ``scipy.sparse.csr_array((scores, indices, indptr), shape=(n, m))`` is the same as a sparse matrix.
    """

    indptr: _Ints
    indices: _Ints
    scores: _Floats


@on_gpu_too
def radius(
    x: ArrayLike,
    y: ArrayLike | None = None,
    threshold: ArrayLike | None = None,
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
    max_hits: SupportsIndex | None = None,
    sort: bool = False,
    filter: Filter = "auto",
    num_threads: SupportsIndex | None = None,
    max_memory: SupportsIndex | None = None,
    progress: bool | Report = False,
) -> RadiusHits:
    r"""Find all pairs of a row of x and a row of y whose score reaches a threshold, exactly.

    The scores are those of `topk`, evaluated in float64, and the hits have the same bits for every number of threads
    and every instruction set. The matrix of scores is never built.

    Parameters
    ----------
    x : array_like or sparse, shape (n, d) or (d,)
        Queries, as for `topk`. One dimension is a single query.
    y : array_like or sparse, shape (m, d), optional
        Rows to search. By default x itself, and then each row finds itself unless `exclude_self` says otherwise.
    threshold : float or array_like, shape (n,)
        A pair is a hit if its score is at least this, at most this for distances. Needed.
    metric : {"cosine", "dot", "euclidean", "sqeuclidean", "manhattan", "hamming", "jaccard", "poincare", "lorentz"}
        What a score is, as for `topk`.
    largest : bool, optional
        Whether scores above the threshold are hits. By default they are for "cosine" and "dot", those below for
        distances.
    exclude_self : bool
        Never pair row i of x with row i of y.
    mask : array_like, shape (m,) or (n, m), optional
        The rows of y (or the pairs) that count, as for `topk`.
    exclude : tuple, list of lists or sparse, optional
        Rows of y that do not count for each row of x, as for `topk`.
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
    max_hits : int, optional
        The most hits to make room for, 16 bytes each. More are an error.
    sort : bool
        Sort the hits of a row best first, not by index.
    filter : {"auto", "f32", "bf16", "int16", "int8", "off"}
        Numbers of which kind rule out most pairs before float64 scores the others, as for `topk`. It changes the time,
        never the result.
    num_threads : int, optional
        The most threads to use; by default `fastpair.get_num_threads`.
    max_memory : int, optional
        The most bytes of scratch beside input and output; by default 64 MiB, or what one thread needs. It takes
        smaller blocks and fewer threads, and no other result.
    progress : bool or callable
        True shows a bar; a function is called as ``progress(done, total)``, in pairs.

    Returns
    -------
    RadiusHits
        The named tuple ``(indptr, indices, scores)`` of int64, int64 and float64, of shapes (n + 1,), (hits,) and
        (hits,): compressed rows. The hits of a row ascend by index, or come best first (equal ones by index) if sorted.

    Raises
    ------
    TypeError
        If a dtype cannot be used, arrays are not in one memory (of the host, or of one GPU), or there is no threshold.
    ValueError
        If shapes do not match, an embedding is NaN or infinite, or there are more than `max_hits` hits.
    MemoryError
        If there is no room for the hits.

    See Also
    --------
    fastpair.topk : The k best rows, whatever their scores.

    Notes
    -----
    Row i of x and row j of y are a hit if :math:`s_{ij} \ge t_i` (or :math:`s_{ij} \le t_i`), with the scores of `topk`
    and no tolerance: a pair exactly at the threshold is one.

    Cost: O(n m d). Extra memory: at most `max_memory`, and the hits once more while they are put together.

    References
    ----------
    .. [1] J. L. Bentley (1975). A survey of techniques for fixed radius near neighbor searching. SLAC-186.

    Examples
    --------
    >>> import fastpair
    >>> x = [[0.0, 0.0], [10.0, 0.0]]
    >>> y = [[3.0, 4.0], [0.0, 1.0], [10.0, 2.0]]
    >>> fastpair.radius(x, y, 5.0, metric="euclidean")
    RadiusHits(indptr=array([0, 2, 3]), indices=array([0, 1, 2]), scores=array([5., 1., 2.]))
    """
    name = check_metric(metric)
    kind, resources = check_filter(filter), parse_resources(num_threads, max_memory)
    order = are_largest_best(name, largest)
    rows, columns, single = read_two_sets(x, y, name)
    limit = check_threshold(threshold, len(rows))
    room = None if max_hits is None else check_count(max_hits, "max_hits", 0)
    check_flag(sort, "sort")
    admission = parse_admission(
        len(rows),
        len(columns),
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
    with Progress(progress, len(rows) * len(columns)) as watcher:
        hits = find_hits(
            *(rows, columns, name, order, admission, limit, room, sort, watcher, resources),
            filter=kind,
        )
        return RadiusHits(*hits)


def check_threshold(threshold: ArrayLike | None, rows: int) -> _Floats:
    """Return the threshold of each row."""
    if threshold is None:
        raise TypeError("threshold is None; pass a number, or one for each row of x")
    return per_row(threshold, rows, "threshold")
