"""The best rows so far of a search whose rows come in parts: `TopkState`."""

from typing import Any, SupportsIndex, Unpack

import numpy as np

from fastpair._array import ArrayLike, kernels_of, on_gpu_too
from fastpair._embeddings import Filter, Metric, are_largest_best, check_count, check_filter, check_metric
from fastpair._progress import Progress, Report
from fastpair._validate import parse_resources
from fastpair.similarity._admission import AdmissionOptions, known_rules, parse_admission
from fastpair.similarity._search import empty_topk, improve, library_for
from fastpair.similarity._sparse import read_rows, same_kind
from fastpair.similarity._topk import TopK

__all__ = ["TopkState"]


class TopkState:
    """The best rows so far for each of n queries: takes the rows of y in parts, merges with others.

    Parameters
    ----------
    n : int
        Number of queries.
    k : int
        Rows to keep for each query, at least 1.
    metric : {"cosine", "dot", "euclidean", "sqeuclidean", "manhattan", "hamming", "jaccard", "poincare", "lorentz"}
        What a score is, as for `topk`.
    largest : bool, optional
        Whether the largest scores are the best; by default as the metric says.
    filter : {"auto", "f32", "bf16", "int16", "int8", "off"}
        What rules out most pairs early, as for `topk`. It changes no result: states of different filters can be merged.

    Raises
    ------
    TypeError
        If n or k is no integer.
    ValueError
        If n is negative, k below 1, or the metric or filter unknown.

    See Also
    --------
    fastpair.Corpus : Chunks that one process reads one after the other.

    Notes
    -----
    Parts must not overlap: a row that is entered twice is found twice. Scores are exact and ties go by the lowest
    index, so the result has the same bits for any partition, in any order, merged in any tree. Memory: 16 bytes a
    place. States can be pickled.

    Examples
    --------
    >>> import numpy as np
    >>> import fastpair
    >>> x, y = np.array([[0.2, 0.9, 0.4]]), np.eye(3)
    >>> here, there = fastpair.TopkState(1, 2, metric="dot"), fastpair.TopkState(1, 2, metric="dot")
    >>> here.update(x, y[:1])
    >>> there.update(x, y[1:], offset=1)
    >>> here.merge(there)
    >>> here.result().indices
    array([[1, 2]])
    """

    def __init__(
        self,
        n: SupportsIndex,
        k: SupportsIndex,
        metric: Metric = "cosine",
        largest: bool | None = None,
        *,
        filter: Filter = "auto",
    ) -> None:
        self._metric, self._filter = check_metric(metric), check_filter(filter)
        self._largest = are_largest_best(self._metric, largest)
        self._scores, self._indices = empty_topk(check_count(n, "n", 0), check_count(k, "k", 1), self._largest)
        self._next, self._is_new = 0, True

    def __repr__(self) -> str:
        n, k = self._scores.shape
        return f"TopkState(n={n}, k={k}, metric={self._metric!r}, largest={self._largest})"

    @on_gpu_too
    def update(
        self,
        x: ArrayLike,
        chunk: ArrayLike,
        offset: SupportsIndex | None = None,
        *,
        num_threads: SupportsIndex | None = None,
        max_memory: SupportsIndex | None = None,
        progress: bool | Report = False,
        **admission: Unpack[AdmissionOptions],
    ) -> None:
        """Enter a part of y.

        Parameters
        ----------
        x : array_like or sparse, shape (n, d)
            The queries, the same in every call.
        chunk : array_like or sparse, shape (c, d)
            Some rows of y.
        offset : int, optional
            The index of the first of them; by default that after the last one of the call before.
        num_threads : int, optional
            The most threads to use.
        max_memory : int, optional
            The most bytes of scratch, as for `fastpair.topk`.
        progress : bool or callable
            As for `topk`.
        **admission
            Which pairs count, as for `topk`: `mask` and `y_labels` are those of the rows of the chunk, `exclude` and
            `exclude_self` go by the indices in all of y.
        """
        rows = read_rows(x, "x", self._metric)
        if len(rows) != len(self._scores):
            raise ValueError(f"x has {len(rows)} rows, but the state is for n={len(self._scores)} queries")
        rows, columns = same_kind(rows, read_rows(chunk, "chunk", self._metric), self._metric)
        begin = self._next if offset is None else check_count(offset, "offset", 0)
        rules = parse_admission(len(rows), len(columns), partial=True, **known_rules(admission))
        resources = parse_resources(num_threads, max_memory)
        self._go_to(library_for(rows))
        with Progress(progress, len(rows) * len(columns)) as watcher:
            improve(
                *(self._scores, self._indices, rows, columns, self._metric, self._largest, rules, watcher, resources),
                offset=begin,
                filter=self._filter,
            )
        self._next = begin + len(columns)

    def merge(self, other: "TopkState") -> None:
        """Take over what another state of the same queries has found in other parts of y.

        Parameters
        ----------
        other : TopkState
            A state of the same n, k, metric and order. It stays as it is.
        """
        if not isinstance(other, TopkState):
            raise TypeError(f"other must be a TopkState, not {type(other).__name__}")
        if repr(self) != repr(other):
            raise ValueError(f"{other!r} cannot be merged into {self!r}; make both with the same arguments")
        if other._is_new:
            return
        self._go_to(library_for(other._scores))
        if not isinstance(self._scores, np.ndarray):
            kernels_of(self._scores).merge_topk(
                self._scores, self._indices, other._scores, other._indices, self._largest
            )
            self._next = max(self._next, other._next)
            return
        k = self._scores.shape[1]
        step = max(1, (1 << 18) // k)
        for begin in range(0, len(self._scores), step):
            part = slice(begin, begin + step)
            scores = np.concatenate([self._scores[part], other._scores[part]], axis=1)
            indices = np.concatenate([self._indices[part], other._indices[part]], axis=1)
            # Best first, equal scores by index, unused places last.
            best = np.lexsort((indices, -scores if self._largest else scores, indices < 0), axis=-1)[:, :k]
            self._scores[part] = np.take_along_axis(scores, best, axis=1)
            self._indices[part] = np.take_along_axis(indices, best, axis=1)
        self._next = max(self._next, other._next)

    def _go_to(self, library: Any) -> None:
        """Hold the state where the rows are that are entered first: in arrays of numpy or cupy."""
        if self._is_new and not isinstance(self._scores, library.ndarray):
            n, k = self._scores.shape
            self._scores, self._indices = empty_topk(n, k, self._largest, library)
        elif not isinstance(self._scores, library.ndarray):
            places = ("host", "GPU") if library is np else ("GPU", "host")
            raise TypeError(
                f"these rows are in {places[0]} memory, but those entered before were in {places[1]} memory; move one "
                f"of both, for example with cupy.asarray: nothing is copied between devices unasked"
            )
        self._is_new = False

    def result(self) -> TopK:
        """Return the best rows so far.

        Returns
        -------
        TopK
            The named tuple ``(scores, indices)``, as `fastpair.topk` returns it; a copy.
        """
        return TopK(self._scores.copy(), self._indices.copy())
