"""Random numbers by address: each row has a stream of its own, and any draw of it can be had without those before.

So a sampler gives the same result however rows are cut into parts, and takes no more draws than it needs. A draw is a
hash of two keys of the seed, of the row and of its place in the stream: the finaliser of SplitMix64 [1]_ over a
counter, whose start and mask the row chooses.

.. [1] G. L. Steele, D. Lea and C. H. Flood (2014). Fast splittable pseudorandom number generators. OOPSLA.
"""

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import library_of
from fastpair._random import Seed, generator

__all__ = ["Streams", "distinct_ranks", "heaviest", "shuffled_ranks"]

_Array: TypeAlias = npt.NDArray[Any]
_Floats: TypeAlias = npt.NDArray[np.float64]
_Ints: TypeAlias = npt.NDArray[np.int64]
_Words: TypeAlias = npt.NDArray[np.uint64]

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
ORDERING = 1 << 40
"""Draws from this place of a stream on decide about orders, those before about choices."""
RATIO = 64
"""Random keys for all of a ranks cost as much as k draws that are compared with each other if k² is `RATIO` times a."""
MOST_KEYS = 1 << 19
"""Random keys that exist at a time where all ranks of a row get one."""


def _mix(words: _Words) -> _Words:
    """Return a hash of each word: the finaliser of SplitMix64. The words are overwritten."""
    words ^= words >> np.uint64(30)
    words *= np.uint64(0xBF58476D1CE4E5B9)
    words ^= words >> np.uint64(27)
    words *= np.uint64(0x94D049BB133111EB)
    words ^= words >> np.uint64(31)
    return words


class Streams:
    """The streams of random numbers of all rows."""

    def __init__(self, seed: Seed) -> None:
        keys = generator(seed).integers(0, 1 << 64, 2, np.uint64)
        self._first, self._second = keys

    def uniform(self, rows: _Array, places: _Array) -> _Floats:
        """Return draws from the open interval (0, 1), for rows and places that are broadcast against each other."""
        start = _mix(np.atleast_1d(rows).astype(np.uint64) * GOLDEN + self._first)
        mask = _mix(start ^ self._second)
        words = _mix((start + np.atleast_1d(places).astype(np.uint64) * GOLDEN) ^ mask)
        words >>= np.uint64(12)
        draws = words.astype(np.float64)
        draws += 0.5  # so that neither end is ever drawn
        draws *= 2.0**-52
        return draws

    def below(self, rows: _Array, places: _Array, sizes: _Array) -> _Ints:
        """Return draws of integers from 0 to below `sizes`; 0 where that is 0."""
        drawn = (self.uniform(rows, places) * sizes).astype(np.int64)
        return np.maximum(np.minimum(drawn, sizes - 1), 0)  # type: ignore[no-any-return]


def heaviest(streams: Streams, rows: _Ints, log_weights: _Floats, k: int, place: int = 0) -> tuple[_Ints, _Ints]:
    """Draw k columns of each row without replacement, each next one in proportion to its weight among those left.

    The k largest of log weights plus Gumbel noise are such a draw. Columns of log weight -inf are never drawn; returned
    are the columns, padded with -1, and how many there are. The noise is that from `place` of each stream on.
    """
    count, columns = log_weights.shape
    library = library_of(rows)
    keys = np.log(-np.log(streams.uniform(rows[:, np.newaxis], place + library.arange(columns))))
    keys -= log_weights
    taken = min(k, columns)
    chosen = library.full((count, k), -1, np.int64)
    if taken and count:
        best = _smallest(keys, taken)
        chosen[:, :taken] = np.where(np.take_along_axis(keys, best, 1) < np.inf, best, -1)
    return chosen, np.count_nonzero(chosen >= 0, axis=1).astype(np.int64)


def distinct_ranks(streams: Streams, rows: _Ints, sizes: _Ints, k: int) -> _Ints:
    """Draw k different integers from 0 to below the size of each row, uniformly and in random order; -1 is none.

    Few are drawn by Floyd's algorithm, k draws for k ranks whatever is drawn, and many by random keys of all of them.
    """
    library = library_of(rows)
    result = library.full((len(rows), k), -1, np.int64)
    few = (k * k <= RATIO * sizes) & (sizes > k)
    picked, others = np.flatnonzero(few), np.flatnonzero(~few)
    if len(picked) and k:
        result[picked] = _floyd(streams, rows[picked], sizes[picked], k)
    widest = int(sizes[others].max()) if len(others) else 0
    step = max(1, MOST_KEYS // max(1, widest))
    for begin in range(0, len(others) if widest and k else 0, step):
        part = others[begin : begin + step]
        keys = streams.uniform(rows[part][:, np.newaxis], library.arange(widest))
        keys[library.arange(widest) >= sizes[part][:, np.newaxis]] = np.inf
        taken = min(k, widest)
        best = _smallest(keys, taken)
        result[part, :taken] = np.where(np.take_along_axis(keys, best, 1) < np.inf, best, -1)
    return result  # type: ignore[no-any-return]


def _smallest(keys: _Floats, taken: int) -> _Ints:
    """Return the columns of the smallest keys of each row, smallest first, equal ones by index."""
    if taken == 1:
        return keys.argmin(axis=1)[:, np.newaxis]  # type: ignore[no-any-return]
    if not isinstance(keys, np.ndarray):
        return np.argsort(keys, axis=1, kind="stable")[:, :taken]
    if taken < keys.shape[1]:
        best = np.argpartition(keys, taken - 1, axis=1)[:, :taken]
        best.sort(axis=1)
    else:
        best = np.tile(np.arange(keys.shape[1]), (len(keys), 1))
    order = np.argsort(np.take_along_axis(keys, best, 1), axis=1, kind="stable")
    return np.take_along_axis(best, order, 1)


def _floyd(streams: Streams, rows: _Ints, sizes: _Ints, k: int) -> _Ints:
    places = library_of(rows).arange(k)
    last = sizes[:, np.newaxis] - k + places
    chosen = streams.below(rows[:, np.newaxis], places, last + 1)
    for step in range(1, k):
        seen = (chosen[:, :step] == chosen[:, step, np.newaxis]).any(axis=1)
        chosen[:, step] = np.where(seen, last[:, step], chosen[:, step])
    return np.take_along_axis(chosen, shuffled_ranks(streams, rows, k), 1)


def shuffled_ranks(streams: Streams, rows: _Ints, k: int) -> _Ints:
    """Return a random order of 0 to k - 1 for each row."""
    places = ORDERING + library_of(rows).arange(k)
    return np.argsort(streams.uniform(rows[:, np.newaxis], places), axis=1, kind="stable")
