"""Rows that are searched again and again, or that come in chunks: `Corpus`."""

import os
from pathlib import Path
from typing import SupportsIndex, TypeAlias, Unpack

import numpy as np
import numpy.typing as npt

from fastpair._array import ArrayLike, on_gpu_too
from fastpair._embeddings import (
    Filter,
    Metric,
    are_largest_best,
    check_count,
    check_filter,
    check_flag,
    check_metric,
)
from fastpair._progress import Progress, Report
from fastpair._validate import parse_resources
from fastpair.similarity._admission import AdmissionOptions, known_rules, parse_admission
from fastpair.similarity._corpus_rows import Chunks, CorpusRows
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
from fastpair.similarity._sparse import read_queries
from fastpair.similarity._topk import Out, TopK, check_out, filled

__all__ = ["Corpus"]

_Ints: TypeAlias = npt.NDArray[np.int64]


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
    filter : {"auto", "f32", "bf16", "int16", "int8", "off"}
        What rules out most pairs of a search early, as for `topk`. It changes time and memory, never a result. For
        "bf16", "int16" and "int8", and for "auto" where it chooses one of them, an array is packed once for all
        searches; a `numpy.memmap` is not with "auto", as it may be larger than memory.

    Raises
    ------
    TypeError
        If a dtype cannot be used, or arrays are not in one memory (of the host, or of one GPU).
    ValueError
        If the metric or the filter is unknown, there are not two dimensions, or an embedding is NaN or infinite (at
        the latest, the first search finds it).

    See Also
    --------
    fastpair.topk : One search.
    fastpair.TopkState : Searches whose parts run anywhere.

    Notes
    -----
    The rows are not copied, and must not change while the corpus is used: what was packed of them would no longer fit.
    (Bool is packed into bits where the metric is one of bits, and sparse rows are made float64.) The rows of all chunks
    are numbered consecutively. The answers are those of `topk` and `radius`, bit for bit, however the corpus is cut and
    whatever the filter.

    Memory: one chunk at a time, the scratch that `max_memory` allows, and what is packed (`packed_nbytes`): two bytes
    for each number with "bf16" and "int16", half of what float32 takes, one byte with "int8", a quarter, and some 32
    bytes for each row.

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
    def __init__(self, y: ArrayLike | Chunks, metric: Metric = "cosine", *, filter: Filter = "auto") -> None:
        self._source = CorpusRows(y, check_metric(metric), check_filter(filter))

    @property
    def metric(self) -> str:
        """What a score is."""
        return self._source.metric

    @property
    def filter(self) -> str:
        """What rules out most pairs of a search early."""
        return self._source.filter

    @property
    def packed_nbytes(self) -> int:
        """Bytes of what was packed of the rows for the filter; 0 if nothing is."""
        return 0 if self._source.packed is None else self._source.packed.nbytes

    @property
    def shape(self) -> tuple[int, int]:
        """The number of rows and of columns, where they are known without reading the chunks."""
        if self._source.count is None or self._source.width is None:
            raise ValueError(
                "the shape of a corpus of chunks that come one by one is not known before its first search"
            )
        return self._source.count, self._source.width

    def __len__(self) -> int:
        if self._source.count is None:
            raise TypeError(
                "the length of a corpus of chunks that come one by one is not known before its first search"
            )
        return self._source.count

    def __repr__(self) -> str:
        rows, width = ("?" if size is None else size for size in (self._source.count, self._source.width))
        chosen = "" if self.filter == "auto" else f", filter={self.filter!r}"
        return f"Corpus(shape=({rows}, {width}), metric={self.metric!r}{chosen})"

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
        rows, single = read_queries(x, self.metric)
        count, resources = check_count(k, "k", 1), parse_resources(num_threads, max_memory)
        order = are_largest_best(self.metric, largest)
        rules = parse_admission(len(rows), self._source.count, single=single, **known_rules(admission))
        shape = (count,) if single else (len(rows), count)
        library = library_for(rows)
        check_out(out, shape, library)
        scores, indices = empty_topk(len(rows), count, order, library)
        with Progress(progress, len(rows) * (self._source.count or 0)) as watcher:
            for begin, chunk, queries, packed in self._source.chunks(rows):
                rules.check_columns(begin + len(chunk), so_far=True)
                improve(
                    *(scores, indices, queries, chunk, self.metric, order, rules, watcher, resources),
                    begin=begin,
                    filter=self.filter,
                    packed=packed,
                )
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
        rows, single = read_queries(x, self.metric)
        limit, resources = check_threshold(threshold, len(rows)), parse_resources(num_threads, max_memory)
        order = are_largest_best(self.metric, largest)
        room = None if max_hits is None else check_count(max_hits, "max_hits", 0)
        in_order = check_flag(sort, "sort")
        rules = parse_admission(len(rows), self._source.count, single=single, **known_rules(admission))
        parts: list[Hits] = []
        with Progress(progress, len(rows) * (self._source.count or 0)) as watcher:
            for begin, chunk, queries, packed in self._source.chunks(rows):
                rules.check_columns(begin + len(chunk), so_far=True)
                left = None if room is None else room - sum(len(part[1]) for part in parts)
                hits = find_hits(
                    *(queries, chunk, self.metric, order, rules, limit, left, False, watcher, resources),
                    begin=begin,
                    filter=self.filter,
                    packed=packed,
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
        rows, single = read_queries(x, self.metric)
        limit, resources = check_threshold(threshold, len(rows)), parse_resources(num_threads, max_memory)
        order = are_largest_best(self.metric, largest)
        rules = parse_admission(len(rows), self._source.count, single=single, **known_rules(admission))
        counts: _Ints = library_for(rows).zeros(len(rows), np.int64)
        with Progress(progress, len(rows) * (self._source.count or 0)) as watcher:
            for begin, chunk, queries, _ in self._source.chunks(rows):
                rules.check_columns(begin + len(chunk), so_far=True)
                counts += count_hits(queries, chunk, self.metric, order, rules, limit, watcher, resources, begin=begin)
        rules.check_columns(len(self))
        return counts

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Write the rows and what was packed of them into a directory.

        Parameters
        ----------
        path : str or path-like
            The directory to make: ``rows.npy``, ``packed.npy`` if the rows are packed, and ``corpus.json``. It has its
            name when it is complete, so no one ever sees half of a corpus.
        overwrite : bool
            Whether an older corpus of this name is replaced.

        Raises
        ------
        TypeError
            If the corpus is not one dense array in host memory.
        FileExistsError
            If the path exists, and is no older corpus that may be overwritten.
        """
        from fastpair.similarity._corpus_files import write_corpus

        write_corpus(Path(path), self._source, check_flag(overwrite, "overwrite"))

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, mmap: bool = True) -> "Corpus":
        """Return a corpus that was saved, with its metric and its filter.

        Parameters
        ----------
        path : str or path-like
            The directory that `save` made.
        mmap : bool
            Map the files into memory: a search then reads what is packed, and of the rows those that it scores in
            float64. False reads all at once.

        Returns
        -------
        Corpus
            The same rows: its answers have the same bits.

        Raises
        ------
        ValueError
            If files are missing or damaged, or of another version.
        ImportError
            If the rows are bfloat16 and `ml_dtypes` is not installed.
        """
        from fastpair.similarity._corpus_files import read_corpus

        mapped = check_flag(mmap, "mmap")
        corpus = cls.__new__(cls)
        corpus._source = read_corpus(Path(path), mapped)
        return corpus
