"""Rows that are searched again and again, or that come in chunks: `Corpus`."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, SupportsIndex, TypeAlias, Unpack

import numpy as np
import numpy.typing as npt

from fastpair._array import ArrayLike, on_gpu_too
from fastpair._embeddings import (
    Metric,
    are_largest_best,
    check_count,
    check_flag,
    check_metric,
)
from fastpair._progress import Progress, Report
from fastpair._validate import parse_resources
from fastpair.similarity._admission import AdmissionOptions, known_rules, parse_admission
from fastpair.similarity._radius import RadiusHits, check_threshold
from fastpair.similarity._search import (
    Hits,
    count_hits,
    empty_topk,
    find_hits,
    improve,
    join_columns,
    library_for,
    sort_hits,
)
from fastpair.similarity._sparse import RowsOrArray, read_queries, read_rows, same_kind
from fastpair.similarity._topk import Out, TopK, check_out, filled

__all__ = ["Corpus"]

_Ints: TypeAlias = npt.NDArray[np.int64]
Chunks: TypeAlias = Iterable[ArrayLike] | Callable[[], Iterable[ArrayLike]]


class Corpus:
    """Rows to search again and again: an array, a memory map, or chunks of rows.

    Parameters
    ----------
    y : array_like or sparse, list of arrays, callable or iterator
        The rows, shape (m, d), as for `topk`. A `numpy.memmap` may be larger than memory. A list of two-dimensional
        arrays is a corpus in chunks; a function that returns an iterator of chunks is called for each search; an
        iterator can be searched once.
    metric : {"cosine", "dot", "euclidean", "sqeuclidean", "manhattan", "hamming", "jaccard", "poincare", "lorentz"}
        What a score is, as for `topk`.

    Raises
    ------
    TypeError
        If a dtype cannot be used, or arrays are not in one memory (of the host, or of one GPU).
    ValueError
        If the metric is unknown, or there are not two dimensions.

    See Also
    --------
    fastpair.topk : One search.
    fastpair.TopkState : Searches whose parts run anywhere.

    Notes
    -----
    The rows are not copied (but bool is packed into bits where the metric is one of bits, and sparse rows are made
    float64), so they must not change while a
    search runs. The rows of all chunks are numbered consecutively. The answers are those of `topk` and `radius`, bit
    for bit, however the corpus is cut. Memory: one chunk at a time, and the scratch that `max_memory` allows.

    Examples
    --------
    >>> import numpy as np
    >>> import fastpair
    >>> corpus = fastpair.Corpus(np.eye(3), metric="dot")
    >>> len(corpus)
    3
    >>> corpus.topk([[0.2, 0.9, 0.4]], k=2).indices
    array([[1, 2]])
    >>> corpus.count([[0.2, 0.9, 0.4]], 0.3)
    array([2])
    """

    @on_gpu_too
    def __init__(self, y: ArrayLike | Chunks, metric: Metric = "cosine") -> None:
        self._metric = check_metric(metric)
        self._array: RowsOrArray | None = None
        self._packed = False
        self._chunks_again: Callable[[], Iterable[Any]] | None = None
        self._chunks_once: Iterator[Any] | None = None
        self._rows: int | None = None
        self._width: int | None = None
        if callable(y) and not hasattr(y, "__array__"):
            self._chunks_again = y
        elif isinstance(y, Iterator):
            self._chunks_once = y
        elif isinstance(y, (list, tuple)) and y and all(getattr(chunk, "ndim", 0) == 2 for chunk in y):
            parts = [self._matrix(chunk) for chunk in y]
            self._rows = sum(map(len, parts))
            self._chunks_again = lambda: parts
        else:
            array = self._matrix(y)
            # Bits are packed once; rows of other metrics stay as they are.
            self._array, _ = same_kind(array, array, self._metric)
            self._packed = self._array is not array
            self._rows = len(array)

    @property
    def metric(self) -> str:
        """What a score is."""
        return self._metric

    @property
    def shape(self) -> tuple[int, int]:
        """The number of rows and of columns, where they are known without reading the chunks."""
        if self._rows is None or self._width is None:
            raise ValueError(
                "the shape of a corpus of chunks that come one by one is not known before its first search"
            )
        return self._rows, self._width

    def __len__(self) -> int:
        if self._rows is None:
            raise TypeError(
                "the length of a corpus of chunks that come one by one is not known before its first search"
            )
        return self._rows

    def __repr__(self) -> str:
        rows, width = ("?" if size is None else size for size in (self._rows, self._width))
        return f"Corpus(shape=({rows}, {width}), metric={self._metric!r})"

    @on_gpu_too
    def topk(
        self,
        x: ArrayLike,
        k: SupportsIndex = 10,
        *,
        largest: bool | None = None,
        num_threads: SupportsIndex | None = None,
        max_memory: SupportsIndex | None = None,
        progress: bool | Report = False,
        out: Out | None = None,
        **admission: Unpack[AdmissionOptions],
    ) -> TopK:
        """Find the k best rows for each row of x, exactly.

        Parameters
        ----------
        x : array_like or sparse, shape (n, d) or (d,)
            Queries.
        k : int
            Rows to find for each query, at least 1.
        largest : bool, optional
            Whether the largest scores are the best; by default as the metric says.
        num_threads : int, optional
            The most threads to use.
        max_memory : int, optional
            The most bytes of scratch, as for `fastpair.topk`.
        progress : bool or callable
            True shows a bar; a function is called as ``progress(done, total)``; total is 0 while it is unknown.
        out : tuple of ndarray, optional
            Arrays ``(scores, indices)`` to fill.
        **admission
            Which pairs count: `exclude_self`, `mask`, `exclude`, `x_labels`, `y_labels`, `same_label`, `min_score` and
            `max_score` of `fastpair.topk`, for the rows of all chunks.

        Returns
        -------
        TopK
            The named tuple ``(scores, indices)``, as `fastpair.topk` returns it.
        """
        rows, single = read_queries(x, self._metric)
        count, resources = check_count(k, "k", 1), parse_resources(num_threads, max_memory)
        order = are_largest_best(self._metric, largest)
        rules = parse_admission(len(rows), self._rows, single=single, **known_rules(admission))
        shape = (count,) if single else (len(rows), count)
        library = library_for(rows)
        check_out(out, shape, library)
        scores, indices = empty_topk(len(rows), count, order, library)
        begin = 0
        with Progress(progress, len(rows) * (self._rows or 0)) as watcher:
            for begin, chunk, packed in self._chunks(rows):
                rules.check_columns(begin + len(chunk), so_far=True)
                improve(scores, indices, packed, chunk, self._metric, order, rules, watcher, resources, begin=begin)
        rules.check_columns(len(self))
        return filled(out, scores, indices, shape)

    @on_gpu_too
    def radius(
        self,
        x: ArrayLike,
        threshold: ArrayLike,
        *,
        largest: bool | None = None,
        max_hits: SupportsIndex | None = None,
        sort: bool = False,
        num_threads: SupportsIndex | None = None,
        max_memory: SupportsIndex | None = None,
        progress: bool | Report = False,
        **admission: Unpack[AdmissionOptions],
    ) -> RadiusHits:
        """Find all rows whose score with a row of x reaches a threshold, exactly.

        Parameters
        ----------
        x : array_like or sparse, shape (n, d) or (d,)
            Queries.
        threshold : float or array_like, shape (n,)
            A pair is a hit if its score is at least this, at most this for distances.
        largest : bool, optional
            Whether scores above the threshold are hits; by default as the metric says.
        max_hits : int, optional
            The most hits to make room for. More are an error.
        sort : bool
            Sort the hits of a row best first, not by index.
        num_threads : int, optional
            The most threads to use.
        max_memory : int, optional
            The most bytes of scratch, as for `fastpair.topk`.
        progress : bool or callable
            As for `topk`.
        **admission
            Which pairs count, as for `topk`.

        Returns
        -------
        RadiusHits
            The named tuple ``(indptr, indices, scores)``, as `fastpair.radius` returns it.
        """
        rows, single = read_queries(x, self._metric)
        limit, resources = check_threshold(threshold, len(rows)), parse_resources(num_threads, max_memory)
        order = are_largest_best(self._metric, largest)
        room = None if max_hits is None else check_count(max_hits, "max_hits", 0)
        in_order = check_flag(sort, "sort")
        rules = parse_admission(len(rows), self._rows, single=single, **known_rules(admission))
        parts: list[Hits] = []
        with Progress(progress, len(rows) * (self._rows or 0)) as watcher:
            for begin, chunk, packed in self._chunks(rows):
                rules.check_columns(begin + len(chunk), so_far=True)
                left = None if room is None else room - sum(len(part[1]) for part in parts)
                hits = find_hits(
                    *(packed, chunk, self._metric, order, rules, limit, left, False, watcher, resources), begin=begin
                )
                parts.append(hits)
        rules.check_columns(len(self))
        joined = parts[0] if len(parts) == 1 else join_columns(parts, len(rows), library_for(rows))
        return RadiusHits(*(sort_hits(joined, order) if in_order else joined))

    @on_gpu_too
    def count(
        self,
        x: ArrayLike,
        threshold: ArrayLike,
        *,
        largest: bool | None = None,
        num_threads: SupportsIndex | None = None,
        max_memory: SupportsIndex | None = None,
        progress: bool | Report = False,
        **admission: Unpack[AdmissionOptions],
    ) -> _Ints:
        """Count the rows whose score with each row of x reaches a threshold, exactly.

        Parameters
        ----------
        x : array_like or sparse, shape (n, d) or (d,)
            Queries.
        threshold : float or array_like, shape (n,)
            A pair counts if its score is at least this, at most this for distances.
        largest : bool, optional
            Whether scores above the threshold count; by default as the metric says.
        num_threads : int, optional
            The most threads to use.
        max_memory : int, optional
            The most bytes of scratch, as for `fastpair.topk`.
        progress : bool or callable
            As for `topk`.
        **admission
            Which pairs count, as for `topk`.

        Returns
        -------
        ndarray of int64, shape (n,)
            The number of hits of each row, also of a single query. Hits are never held all at once.
        """
        rows, single = read_queries(x, self._metric)
        limit, resources = check_threshold(threshold, len(rows)), parse_resources(num_threads, max_memory)
        order = are_largest_best(self._metric, largest)
        rules = parse_admission(len(rows), self._rows, single=single, **known_rules(admission))
        counts: _Ints = library_for(rows).zeros(len(rows), np.int64)
        with Progress(progress, len(rows) * (self._rows or 0)) as watcher:
            for begin, chunk, packed in self._chunks(rows):
                rules.check_columns(begin + len(chunk), so_far=True)
                counts += count_hits(packed, chunk, self._metric, order, rules, limit, watcher, resources, begin=begin)
        rules.check_columns(len(self))
        return counts

    def _matrix(self, chunk: Any) -> RowsOrArray:
        array = read_rows(chunk, "y", self._metric)
        if self._width is None:
            self._width = array.shape[1]
        elif array.shape[1] != self._width:
            raise ValueError(
                f"y has a chunk with {array.shape[1]} columns after one with {self._width}; pass one width"
            )
        return array

    def _chunks(self, x: RowsOrArray) -> Iterator[tuple[int, RowsOrArray, RowsOrArray]]:
        """Yield the index of the first row of each chunk, the chunk, and x as the metric needs it."""
        if self._array is not None:
            if self._packed and x.dtype == np.bool_ and x.shape[1] != self._width:
                raise ValueError(f"x has {x.shape[1]} columns but y has {self._width}; pass rows of the same length")
            _check_place(x, self._array)
            packed, array = same_kind(x, self._array, self._metric)
            yield 0, array, packed
            return
        if self._chunks_again is not None:
            chunks = iter(self._chunks_again())
        elif self._chunks_once is not None:
            chunks, self._chunks_once = self._chunks_once, None
        else:
            raise ValueError(
                "y was an iterator, which the first search used up; pass a list of arrays, or a function that returns "
                "a new iterator for each search"
            )
        begin = 0
        for chunk in chunks:
            rows = self._matrix(chunk)
            _check_place(x, rows)
            packed, array = same_kind(x, rows, self._metric)
            yield begin, array, packed
            begin += len(array)
        self._rows = begin


def _check_place(x: RowsOrArray, y: RowsOrArray) -> None:
    """Demand that queries and rows are both in host memory, or both on a GPU."""
    if library_for(x) is not library_for(y):
        places = ("host", "GPU") if library_for(x) is np else ("GPU", "host")
        raise TypeError(
            f"x is in {places[0]} memory, but the rows of the corpus are in {places[1]} memory; move one of both, for "
            f"example with cupy.asarray: nothing is copied between devices unasked"
        )
