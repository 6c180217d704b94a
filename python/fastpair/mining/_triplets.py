"""Triplets of a row, one of its positives, and a negative that is hard beside it: `triplets`."""

from collections.abc import Iterator
from typing import Any, Literal, NamedTuple, SupportsIndex, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import ArrayLike, kernels_of, library_of, library_of_call, on_gpu_too
from fastpair._embeddings import Metric, check_count
from fastpair._progress import Progress, Report
from fastpair._random import Seed, generator
from fastpair._validate import check_choice, check_number
from fastpair.mining._batch import Band, Batch, parse_batch
from fastpair.mining._batch_hard import FALLBACKS, Fallback, with_fallback
from fastpair.mining._formats import (
    TRIPLETS_AT_A_TIME,
    CompressedRows,
    index_dtype,
    on_host,
    owners_of,
    pair_sets,
    stride_of,
)
from fastpair.mining._hard_mask import KINDS, band_of

__all__ = ["Triplets", "triplets"]

_Array: TypeAlias = npt.NDArray[Any]
_Ints: TypeAlias = npt.NDArray[np.int64]
_Bytes: TypeAlias = npt.NDArray[np.uint8]


class Triplets(NamedTuple):
    """Indices of rows, positives and negatives, a row of three for each triplet, and how many each row has."""

    indices: _Array
    counts: _Ints


@on_gpu_too
def triplets(
    x: ArrayLike,
    y: ArrayLike | None = None,
    *,
    labels: Any = None,
    positives: Any = None,
    metric: Metric = "cosine",
    kind: Literal["margin", "all", "hard", "semihard", "easy"] = "margin",
    margin: float = 0.2,
    select: Literal["all", "hardest", "random"] = "all",
    fallback: Fallback = "none",
    max_triplets: SupportsIndex | None = None,
    seed: Seed = None,
    num_threads: SupportsIndex | None = None,
    max_memory: SupportsIndex | None = None,
    progress: bool | Report = False,
) -> Triplets:
    r"""List the triplets of a batch that are hard, semi-hard, easy, or inside the margin.

    Parameters
    ----------
    x : array_like, shape (n, d)
        Embeddings of the anchors: float64, float32, float16, bfloat16 (of ml_dtypes), integers or bool.
    y : array_like, shape (m, d), optional
        Embeddings of the candidates. By default x itself, and no row is paired with itself.
    labels : array_like, shape (n,), or tuple of two, optional
        Labels of rows and columns, or a tuple of both: pairs of the same label are positive, others negative.
    positives : array_like, optional
        In place of labels: the column of the positive of each row, shape (n,), -1 for none; or which pairs are
        positive, bool of shape (n, m) or in any format of pairs. By default the diagonal.
    metric : {"cosine", "dot", "euclidean", "sqeuclidean", "manhattan", "hamming", "jaccard", "poincare", "lorentz"}
        What closeness is, see `fastpair.topk`: a score, or a negated distance.
    kind : {"margin", "all", "hard", "semihard", "easy"}
        Which negatives go with a positive, see the notes.
    margin : float
        How much closer than a negative the positive should be, in units of the score; not negative.
    select : {"all", "hardest", "random"}
        All these negatives of each positive, the closest of them, or one of them drawn at random.
    fallback : {"none", "hardest", "farthest"}
        With ``select="hardest"``, what a positive without such a negative gets: nothing, the closest negative of the
        row, or the least close.
    max_triplets : int, optional
        If there are more, keep so many of them, drawn at random.
    seed : int or numpy.random.Generator, optional
        What is drawn at random follows from it.
    num_threads : int, optional
        The most threads to use; by default `fastpair.get_num_threads`.
    max_memory : int, optional
        The most bytes of scratch beside input and output; by default 64 MiB, or what one thread needs.
    progress : bool or callable
        True shows a bar (of tqdm if it is installed); a function is called as ``progress(done, total)``, in pairs.

    Returns
    -------
    Triplets
        The named tuple ``(indices, counts)``: the indices of rows, positives and negatives, shape (t, 3), int32 where
        that suffices, in ascending order; and how many of these each row has, shape (n,), int64.

    Raises
    ------
    TypeError
        If a dtype cannot be used, or arrays are not in one memory (of the host, or of one GPU).
    ValueError
        If shapes do not match, an embedding is NaN or infinite, the margin is negative, or an option is unknown.
    MemoryError
        If there is no room for the triplets.

    See Also
    --------
    batch_hard : One positive and one negative for each row.
    hard_mask : Pairs in place of triplets, measured by one positive of each row.

    Notes
    -----
    With the closeness :math:`c_{ij}` a triplet of a row a, a positive p and a negative n is

    * hard: :math:`c_{an} > c_{ap}`;
    * semi-hard: :math:`c_{ap} - \mu < c_{an} < c_{ap}` [1]_;
    * inside the margin: :math:`c_{an} > c_{ap} - \mu`, which is hard, semi-hard or tied;
    * easy: :math:`c_{an} \le c_{ap} - \mu`.

    Scores are compared in float64. Triplets are counted first and then filled, 12 bytes for each.

    Cost: O(n m d), and O(m) for each positive pair. Extra memory: at most `max_memory`, of which half may be packed
    bits, and 8 bytes for each positive pair; rows are mined twice where the bits of all positive pairs do not fit.

    References
    ----------
    .. [1] F. Schroff, D. Kalenichenko and J. Philbin (2015). FaceNet: a unified embedding for face recognition and
       clustering. CVPR.

    Examples
    --------
    >>> import fastpair
    >>> x = [[0.0], [2.0], [3.0], [7.0]]
    >>> found = fastpair.mining.triplets(x, labels=[0, 0, 1, 1], metric="euclidean", kind="hard")
    >>> found.indices
    array([[1, 0, 2],
           [2, 3, 0],
           [2, 3, 1]], dtype=int32)
    >>> found.counts
    array([0, 1, 2, 0])
    """
    check_choice(kind, "kind", ("all", *KINDS))
    check_choice(select, "select", ("all", "hardest", "random"))
    check_choice(fallback, "fallback", tuple(FALLBACKS))
    if fallback != "none" and select != "hardest":
        raise ValueError(f"fallback={fallback!r} is for select='hardest', not {select!r}")
    width = check_number(margin, "margin", least=0.0)
    most = None if max_triplets is None else check_count(max_triplets, "max_triplets", 1)
    rng = generator(seed)
    batch = parse_batch(x, y, labels, positives, metric, num_threads, max_memory)
    band = Band("each") if kind == "all" else band_of(kind, width, "each")

    def write(begin: int, end: int, bits: tuple[_Bytes, ...]) -> None:
        batch.pack_roles(begin, end, (bits[0], np.empty_like(bits[0])))

    (pairs,) = pair_sets(batch.shape, 1, write, "csr", batch.resources)
    with Progress(progress, 0) as watcher:
        if select == "hardest":
            found = _closest(batch, band, pairs, fallback, watcher)
        else:
            lists = _Lists(batch, band, pairs, watcher)
            fill = lists.filled if isinstance(batch.x, np.ndarray) else lists.filled_on_device
            found = fill(rng, select == "random", most)
    if select == "hardest" and most is not None and len(found) > most:
        found = found[library_of(found).asarray(_some(rng, len(found), most))]
    return Triplets(found, _counts(found, batch.shape[0]))


def _some(rng: np.random.Generator, total: int, most: int) -> _Ints:
    """Draw `most` of `total` places, ascending."""
    return np.sort(rng.choice(total, most, replace=False, shuffle=False))


def _counts(found: _Array, rows: int) -> _Ints:
    """Count the triplets of each row."""
    if not isinstance(found, np.ndarray):
        return np.diff(np.searchsorted(found[:, 0].copy(), library_of(found).arange(rows + 1)))
    counts = np.zeros(rows, np.int64)
    for first in range(0, len(found), TRIPLETS_AT_A_TIME):
        counts += np.bincount(found[first : first + TRIPLETS_AT_A_TIME, 0], minlength=rows)
    return counts


def _closest(batch: Batch, band: Band, pairs: CompressedRows, fallback: str, watcher: Progress) -> _Array:
    """Return the triplet of each positive pair with its closest negative in the band."""
    _, found = batch.best(band, "nearest", watcher, pairs.indptr)
    owners, library = owners_of(pairs.indptr, len(pairs.indices)), library_of(pairs.indptr)
    if fallback != "none" and (found[0] < 0).any():
        nothing = library.full(batch.shape[0], -1), library.full(batch.shape[0], np.nan)
        others = with_fallback(batch, nothing, library.ones(batch.shape[0], np.bool_), fallback, watcher)
        negatives = np.where(found[0] < 0, others[0][owners], found[0])
    else:
        negatives = found[0]
    kept = negatives >= 0
    columns = (owners[kept], pairs.indices[kept], negatives[kept])
    return np.stack(columns, axis=1).astype(index_dtype(max(batch.shape)))


class _Lists:
    """The negatives in the band of each positive pair: packed bits, of blocks of rows that fit the scratch."""

    def __init__(self, batch: Batch, band: Band, pairs: CompressedRows, watcher: Progress) -> None:
        self.batch, self.band, self.pairs, self.watcher = batch, band, pairs, watcher
        self.stride, self.edges = stride_of(batch.shape[1]), on_host(pairs.indptr)
        self.blocks = list(self._blocks())
        most = max((int(self.edges[end] - self.edges[begin]) for begin, end in self.blocks), default=0)
        self._room, self._held = library_of_call().empty((most, self.stride), np.uint8), -1

    def _blocks(self) -> Iterator[tuple[int, int]]:
        """Ranges of rows whose positive pairs have bits that take at most half of the scratch; at least a row."""
        most = max(1, self.batch.resources.scratch // 2 // max(self.stride, 1))
        indptr, begin, rows = self.edges, 0, self.batch.shape[0]
        while begin < rows:
            end = int(np.searchsorted(indptr, indptr[begin] + most, side="right")) - 1
            end = min(max(end, begin + 1), rows)
            yield begin, end
            begin = end

    def bits(self, begin: int, end: int) -> _Bytes:
        """Return the packed bits of the positive pairs of some rows."""
        offsets = self.pairs.indptr[begin : end + 1] - self.pairs.indptr[begin]
        kept = self._room[: int(self.edges[end] - self.edges[begin])]
        if self._held != begin:
            held = self._room.nbytes
            self.batch.keep(self.band, (begin, end), kept, self.watcher, held=held, offsets=offsets)
            self._held = begin
        return kept  # type: ignore[no-any-return]

    def _counts(self) -> _Ints:
        """Count the triplets of each positive pair."""
        counts = library_of_call().zeros(len(self.pairs.indices), np.int64)
        for begin, end in self.blocks:
            bits = self.bits(begin, end)
            counts[self.edges[begin] : self.edges[end]] = kernels_of(bits).count_bits(bits)
        return counts  # type: ignore[no-any-return]

    def filled_on_device(self, rng: np.random.Generator, one: bool, most: int | None) -> _Array:
        """Return the same as `filled`: a kernel finds the nth negative of each pair that is wanted."""
        library, counts = library_of(self.pairs.indptr), self._counts()
        total = int(counts.sum())
        if one:
            pairs = np.flatnonzero(counts)
            nth = (library.asarray(rng.random(len(counts))) * counts).astype(np.int64)[pairs]
            total = len(pairs)
        chosen = library.asarray(_some(rng, total, most)) if most is not None and total > most else None
        if not one:
            places, ends = library.arange(total) if chosen is None else chosen, np.cumsum(counts)
            pairs = np.searchsorted(ends, places, side="right")
            nth = places - ends[pairs] + counts[pairs]
        elif chosen is not None:
            pairs, nth = pairs[chosen], nth[chosen]
        found = library.empty((len(pairs), 3), index_dtype(max(self.batch.shape)))
        found[:, 0] = np.searchsorted(self.pairs.indptr, pairs, side="right") - 1
        found[:, 1] = self.pairs.indices[pairs]
        edges = library.asarray(self.edges[[begin for begin, _ in self.blocks] + [len(self.edges) - 1]])
        bounds = np.searchsorted(pairs, edges).tolist()
        for (begin, end), first, last in zip(self.blocks, bounds, bounds[1:], strict=False):
            bits = self.bits(begin, end)
            own = slice(first, last)
            found[own, 2] = kernels_of(bits).nth_bits(bits, pairs[own] - int(self.edges[begin]), nth[own])
        return found  # type: ignore[no-any-return]

    def filled(self, rng: np.random.Generator, one: bool, most: int | None) -> _Array:
        """Return the triplets, all of them or `one` of each pair at random, at most `most`."""
        counts = self._counts()
        drawn = (rng.random(len(counts)) * counts).astype(np.int64) if one else None
        ends = np.cumsum(counts > 0 if one else counts)
        total = int(ends[-1]) if len(ends) else 0
        chosen = None
        if most is not None and total > most:
            chosen = _some(rng, total, most)
        length = total if chosen is None else len(chosen)
        found = np.empty((length, 3), index_dtype(max(self.batch.shape)))
        place = 0
        for begin, end in self.blocks:
            first, last = (int(self.pairs.indptr[row]) for row in (begin, end))
            bits = self.bits(begin, end)
            for own in _pieces(counts[first:last]):
                pairs, columns = self._columns(bits[own], first + own.start, counts)
                if drawn is not None:
                    some = np.flatnonzero(counts[first + own.start : first + own.stop]) + first + own.start
                    starts = np.searchsorted(pairs, some)
                    pairs, columns = some, columns[starts + drawn[some]]
                if chosen is not None:
                    before = ends[first + own.start - 1] if first + own.start else 0
                    among = np.searchsorted(chosen, [before, ends[first + own.stop - 1]])
                    inside = chosen[among[0] : among[1]] - before
                    pairs, columns = pairs[inside], columns[inside]
                rows = found[place : place + len(pairs)]
                rows[:, 0] = np.searchsorted(self.pairs.indptr, pairs, side="right") - 1
                rows[:, 1] = self.pairs.indices[pairs]
                rows[:, 2] = columns
                place += len(pairs)
        return found

    def _columns(self, bits: _Bytes, first: int, counts: _Ints) -> tuple[_Ints, _Array]:
        """Return the negatives of some positive pairs, and the number of the pair of each."""
        own = counts[first : first + len(bits)]
        columns = np.empty(own.sum(), index_dtype(self.batch.shape[1]))
        kernels_of(bits).unpack_rows(bits, columns)
        return np.repeat(np.arange(first, first + len(bits)), own), columns


def _pieces(counts: _Ints) -> Iterator[slice]:
    """Cut pairs into pieces that have few triplets, at least one pair each."""
    ends, begin = np.cumsum(counts), 0
    while begin < len(counts):
        before = ends[begin - 1] if begin else 0
        end = max(begin + 1, int(np.searchsorted(ends, before + TRIPLETS_AT_A_TIME, side="right")))
        yield slice(begin, end)
        begin = end
