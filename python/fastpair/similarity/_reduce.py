"""All pairs in a few numbers: `reduce`."""

from typing import Any, Literal, NamedTuple, SupportsIndex, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import ArrayLike, array_of, is_on_gpu, library_of, on_gpu_too
from fastpair._embeddings import Metric, are_largest_best, check_count, check_metric, is_narrow, two_sets
from fastpair._progress import Progress, Report
from fastpair._validate import Resources, parse_resources
from fastpair.similarity._admission import Admission, Exclude, parse_admission
from fastpair.similarity._radius import check_threshold
from fastpair.similarity._search import bin_counts, count_hits, empty_topk, improve, reduced

__all__ = ["Histogram", "reduce"]

_Array: TypeAlias = npt.NDArray[Any]
_Floats: TypeAlias = npt.NDArray[np.float64]
_Ints: TypeAlias = npt.NDArray[np.int64]
Op: TypeAlias = Literal["max", "mean", "count", "logsumexp", "histogram"]

OPS = ("max", "mean", "count", "logsumexp", "histogram")
OWNERS = {"largest": ("max", "count"), "threshold": ("count",), "scale": ("logsumexp",), "range": ("histogram",)}
"""Which reductions an argument belongs to."""

CURVED = ("poincare", "lorentz")
"""Metrics for which float32 loses too much near 0."""


class Histogram(NamedTuple):
    """How many pairs score in each bin, and the edges of the bins, one more than there are bins."""

    counts: _Ints
    edges: _Floats


@on_gpu_too
def reduce(
    x: ArrayLike,
    y: ArrayLike | None = None,
    *,
    op: Op = "max",
    metric: Metric = "cosine",
    threshold: ArrayLike | None = None,
    scale: float = 1.0,
    bins: ArrayLike = 10,
    range: tuple[float, float] | None = None,
    largest: bool | None = None,
    exclude_self: bool = False,
    mask: ArrayLike | None = None,
    exclude: Exclude = None,
    x_labels: ArrayLike | None = None,
    y_labels: ArrayLike | None = None,
    same_label: bool | None = None,
    num_threads: SupportsIndex | None = None,
    max_memory: SupportsIndex | None = None,
    progress: bool | Report = False,
) -> Any:
    r"""Reduce the scores of each row of x with all rows of y to one number, or all of them to a histogram.

    The matrix of scores is never built.

    Parameters
    ----------
    x : array_like, shape (n, d) or (d,)
        Queries, as for `topk` but not sparse. One dimension is a single query.
    y : array_like, shape (m, d), optional
        The other rows. By default x itself, and then each row meets itself unless `exclude_self` says otherwise.
    op : {"max", "mean", "count", "logsumexp", "histogram"}
        What to return: the best score of each row of x (the largest, of distances the smallest), the mean of its
        scores, how many of them reach the threshold, the logarithm of the sum of their exponentials, or how many
        scores of all rows are in each bin.
    metric : {"cosine", "dot", "euclidean", "sqeuclidean", "manhattan", "hamming", "jaccard", "poincare", "lorentz"}
        What a score is, as for `topk`.
    threshold : float or array_like, shape (n,), optional
        For "count", which needs it: scores of at least this count, of at most this for distances.
    scale : float
        For "logsumexp": what scores are multiplied by, the reciprocal of a temperature. Negative for distances whose
        smallest are to weigh most.
    bins : int or array_like of float
        For "histogram": how many bins of equal width, or their edges, which do not decrease.
    range : tuple of float, optional
        For "histogram" with equal bins: the lower end of the first and the upper end of the last; other scores are not
        counted. By default the smallest and the largest score.
    largest : bool, optional
        For "max" and "count": whether the largest scores are the best. By default they are for "cosine" and "dot", the
        smallest for distances.
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
    num_threads : int, optional
        The most threads to use; by default `fastpair.get_num_threads`.
    max_memory : int, optional
        The most bytes of scratch beside input and output; by default 64 MiB, or what one thread needs. It takes
        smaller blocks and fewer threads, and no other result.
    progress : bool or callable
        True shows a bar; a function is called as ``progress(done, total)``, in pairs.

    Returns
    -------
    ndarray, shape (n,), scalar or Histogram
        float64, int64 for "count"; a scalar for a single query. Where no pair of a row counts, "max" is -inf (+inf if
        the smallest are the best), "mean" NaN, "count" 0 and "logsumexp" -inf. For "histogram" the named tuple
        ``(counts, edges)`` of int64 and float64, like that of `numpy.histogram`.

    Raises
    ------
    TypeError
        If a dtype cannot be used, arrays are not in one memory (of the host, or of one GPU), or "count" has no
        threshold.
    ValueError
        If shapes do not match, an embedding is NaN or infinite, or an argument belongs to another reduction.

    See Also
    --------
    fastpair.topk : The best rows and not only their scores.
    fastpair.Corpus : Its ``count`` counts with limits of the score, and from files.

    Notes
    -----
    With the scores :math:`s_{ij}` of `topk` and the rows :math:`J_i` of y that count for row i of x,

    * max: :math:`\max_{j \in J_i} s_{ij}`; count: the number of :math:`j \in J_i` with :math:`s_{ij} \ge t_i`;
    * mean: :math:`\sum_{j \in J_i} s_{ij} / |J_i|`;
    * logsumexp: :math:`\log \sum_{j \in J_i} \exp(c s_{ij})` with the scale c; the largest is taken out first, so that
      nothing overflows.

    "max", "count" and "histogram" are exact: they go by the scores evaluated in float64, with no tolerance, and are the
    same for every number of threads and every instruction set. A score s is in equal bin
    :math:`\lfloor (s - a) / (b - a) \cdot \mathrm{bins} \rfloor` of a range from a to b, evaluated in float64, and the
    upper end is in the last bin. `numpy.histogram` then compares with the edges, which may differ by one bin for a
    score that is an edge but for rounding.

    "mean" and "logsumexp" take their scores from products in float32, if float32 holds the embeddings exactly and the
    metric is not hyperbolic, else in float64, and add them up in blocks, the blocks in float64.

    Cost: O(n m d); "histogram" without a range takes three passes, one if there is a range, and one for each edge if
    edges are given. Extra memory: at most `max_memory`, in which each thread has 8 bytes for each bin.

    References
    ----------
    .. [1] M. Milakov and N. Gimelshein (2018). Online normalizer calculation for softmax. arXiv:1805.02867.

    Examples
    --------
    >>> import fastpair
    >>> x = [[0.0], [4.0]]
    >>> y = [[1.0], [2.0], [8.0]]
    >>> fastpair.similarity.reduce(x, y, metric="euclidean")
    array([1., 2.])
    >>> fastpair.similarity.reduce(x, y, op="count", metric="euclidean", threshold=3)
    array([2, 2])
    >>> fastpair.similarity.reduce(x, y, op="histogram", metric="euclidean", bins=4, range=(0, 8))
    Histogram(counts=array([1, 3, 1, 1]), edges=array([0., 2., 4., 6., 8.]))
    """
    if not isinstance(op, str) or op not in OPS:
        raise ValueError(f"op must be one of {', '.join(map(repr, OPS))}, not {op!r}")
    name = check_metric(metric)
    factor = _finite(scale, "scale")
    _refuse_others(op, largest=largest, threshold=threshold, scale=None if factor == 1 else scale, range=range)
    resources = parse_resources(num_threads, max_memory)
    order = are_largest_best(name, largest)
    rows, columns, single = two_sets(x, y, name)
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
    )
    pairs = len(rows) * len(columns)
    if op == "histogram":
        return _histogram(rows, columns, name, bins, range, admission, progress, resources)
    limit = check_threshold(threshold, len(rows)) if op == "count" else None
    with Progress(progress, pairs) as watcher:
        if op == "max":
            result: _Array = _best(rows, columns, name, order, admission, watcher, resources)
        elif limit is not None:
            result = count_hits(rows, columns, name, order, admission, limit, watcher, resources)
        else:
            wide = name in CURVED or not (is_narrow(rows) and is_narrow(columns))
            result = reduced(rows, columns, name, op, factor, wide, admission, watcher, resources)
    return result[0] if single else result


def _refuse_others(op: str, **given: Any) -> None:
    """Demand that arguments which were given belong to the reduction."""
    for argument, value in given.items():
        if value is not None and op not in OWNERS[argument]:
            owners = " and ".join(f"op={owner!r}" for owner in OWNERS[argument])
            raise ValueError(f"{argument} was given, but op={op!r} has none; it belongs to {owners}")


def _best(
    x: _Array,
    y: _Array,
    metric: str,
    largest: bool,
    admission: Admission,
    progress: Progress,
    resources: Resources,
) -> _Floats:
    """Return the best score of each row."""
    scores, indices = empty_topk(len(x), 1, largest, library_of(x))
    improve(scores, indices, x, y, metric, largest, admission, progress, resources)
    return scores[:, 0]


def _histogram(
    x: _Array,
    y: _Array,
    metric: str,
    bins: ArrayLike,
    limits: Any,
    admission: Admission,
    report: bool | Report,
    resources: Resources,
) -> Histogram:
    library, pairs = library_of(x), len(x) * len(y)
    # Bins are an option, which is looked at on the host.
    own: Any = bins
    asked = array_of(own, "bins") if library is np else np.asarray(own.get() if is_on_gpu(own) else own)
    if asked.ndim:
        if limits is not None:
            raise ValueError("range was given with the edges of bins; pass a number of bins, or edges alone")
        edges = _edges(asked)
        with Progress(report, pairs * len(edges)) as progress:
            return Histogram(_between(x, y, metric, edges, admission, progress, resources), library.asarray(edges))
    number = check_count(bins, "bins", 1)  # type: ignore[arg-type]
    low, high = (0.0, 0.0) if limits is None else _limits(limits)
    with Progress(report, pairs * (3 if limits is None else 1)) as progress:
        if limits is None:
            lowest = _best(x, y, metric, False, admission, progress, resources)
            highest = _best(x, y, metric, True, admission, progress, resources)
            low, high = (float(lowest.min()), float(highest.max())) if len(x) else (np.inf, -np.inf)
            if low > high:  # no pair counts
                low, high = 0.0, 1.0
            if not (np.isfinite(low) and np.isfinite(high)):
                raise ValueError(f"scores reach from {low} to {high}; pass a range=, or smaller embeddings")
        if low == high:
            low, high = low - 0.5, high + 0.5
        edges = np.linspace(low, high, number + 1)
        if not (low < high and np.isfinite(high - low)):
            raise ValueError(f"{number} bins from {low} to {high} cannot be told apart; pass another range=")
        counts = bin_counts(x, y, metric, low, high, number, admission, progress, resources)
        return Histogram(counts, library.asarray(edges))


def _between(
    x: _Array,
    y: _Array,
    metric: str,
    edges: _Floats,
    admission: Admission,
    progress: Progress,
    resources: Resources,
) -> _Ints:
    """Count the scores between edges, each with those at its lower edge, the last also with those at its upper."""
    limits, library = np.append(edges[:-1], np.nextafter(edges[-1], np.inf)), library_of(x)
    reach = np.stack(
        [
            count_hits(x, y, metric, True, admission, library.full(len(x), at), progress, resources).sum()
            for at in limits.tolist()
        ]
    )
    counts: _Ints = reach[:-1] - reach[1:]
    return counts


def _edges(bins: _Array) -> _Floats:
    if bins.ndim != 1 or len(bins) < 2 or bins.dtype.kind not in "fiu":
        raise ValueError(f"bins has shape {bins.shape} and dtype {bins.dtype}; pass a number, or at least two edges")
    edges = bins.astype(np.float64)
    if not np.isfinite(edges).all() or (np.diff(edges) < 0).any():
        raise ValueError("bins must be finite edges that do not decrease")
    return edges


def _limits(limits: Any) -> tuple[float, float]:
    try:
        low, high = limits
    except (TypeError, ValueError):
        raise TypeError(f"range must be a tuple (low, high), not {limits!r}") from None
    low, high = _finite(low, "range[0]"), _finite(high, "range[1]")
    if low > high:
        raise ValueError(f"range=({low}, {high}) is empty; pass the lower end first")
    return low, high


def _finite(number: Any, argument: str) -> float:
    try:
        value = float(number)
    except (TypeError, ValueError):
        raise TypeError(f"{argument} must be a number, not {number!r} ({type(number).__name__})") from None
    if not np.isfinite(value):
        raise ValueError(f"{argument} must be finite, not {value}")
    return value
