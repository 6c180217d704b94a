"""Pairs of long lists: all pairs of items of different relevance, without looking at each.

Items come by ascending relevance. A long list is halved at a border between levels again and again; each cut is one
sum over all pairs of two sides (`all_pairs`), and what is left are stretches that are short or of one level, which the
kernels for short lists take as lists of their own. Time: such sums over n items for each halving; memory: O(n).

The host reads the borders between levels of long lists, and what levels weigh.
"""

from typing import Any, NamedTuple

import numpy as np

from fastpair._cuda.all_pairs import pair_sums
from fastpair._cuda.direct import Part, Rows, Want, weighted
from fastpair._cuda.lists import reduce_lists

__all__ = ["LONG_LIST", "LongList", "add_long_lists", "long_lists", "stretches"]

LONG_LIST = 8192
"""Lists of more items are cut."""


class LongList(NamedTuple):
    """A long list without NaN among its scores: its number, where its levels begin, and the end of the last."""

    number: int
    borders: Any

    def cuts(self) -> list[tuple[int, int, int]]:
        """Return where stretches begin, are cut and end; whatever no cut parts is short or of one level."""
        found, todo = [], [(0, len(self.borders) - 1)]
        while todo:
            first, end = todo.pop()
            begin, stop = self.borders[first], self.borders[end]
            if end - first < 2 or stop - begin <= LONG_LIST:
                continue
            inner = self.borders[first + 1 : end]
            cut = first + 1 + min(int(np.searchsorted(inner, begin + (stop - begin) // 2)), len(inner) - 1)
            found.append((int(begin), int(self.borders[cut]), int(stop)))
            todo += [(first, cut), (cut, end)]
        return found

    def masses(self, weights: Any) -> tuple[float, float]:
        """Return the weight of all pairs, and that of the items above the lowest level."""
        import cupy

        if weights is None:
            levels = np.diff(self.borders).astype(np.float64)
        else:
            begin, end = int(self.borders[0]), int(self.borders[-1])
            levels = reduce_lists(weights[begin:end], cupy.asarray(self.borders - begin)).get()
        below = np.cumsum(levels) - levels
        return float(levels @ below), float(levels[1:].sum())

    def add_pairs(self, part: Part, scores: Any, weights: Any, slopes: Any) -> Any:
        """Return the sum over the pairs that cuts part, and add their derivatives to those of all items."""
        total: Any = 0.0
        want = Want(True, slopes is not None, slopes is not None)
        for begin, at, stop in self.cuts():
            upper, lower = (
                Rows(scores[own], None if weights is None else weights[own])
                for own in (slice(at, stop), slice(begin, at))
            )
            sums = pair_sums(part, upper, lower, want)
            total = total + sums.total
            if slopes is not None:
                slopes[at:stop] -= weighted(upper.weights, sums.uppers) / part.temperature
                slopes[begin:at] += weighted(lower.weights, sums.lowers) / part.temperature
        return total


def long_lists(relevance: Any, offsets: Any, broken: Any) -> list[LongList]:
    """Return the lists that are to be cut, of items by ascending relevance, NaN last."""
    import cupy

    if len(relevance) <= LONG_LIST:
        return []
    numbers = cupy.flatnonzero((offsets[1:] - offsets[:-1] > LONG_LIST) & (broken == 0))
    found = []
    for number, begin, end in cupy.stack([numbers, offsets[numbers], offsets[numbers + 1]], axis=1).tolist():
        own = relevance[begin:end]
        known = own == own
        rises = cupy.flatnonzero((own[1:] != own[:-1]) & known[1:])
        *inner, count = cupy.concatenate([rises + 1, known.sum().reshape(1)]).tolist()
        if inner:
            found.append(LongList(number, begin + np.array([0, *inner, count])))
    return found


def stretches(lists: list[LongList], offsets: Any) -> tuple[Any, Any]:
    """Return offsets of which long lists have several, one for each stretch that no cut parts, and the list of each."""
    import cupy

    cuts = [at for own in lists for _, at, _ in own.cuts()]
    parted = cupy.sort(cupy.concatenate([offsets, cupy.asarray(cuts, np.int64)]))
    return parted, cupy.searchsorted(offsets, parted[:-1], side="right") - 1


def add_long_lists(lists: list[LongList], part: Part, own: Any, sums: Any, slopes: Any) -> None:
    """Add the pairs that cuts part: to sums, weights of pairs and of upper items of each list, and to derivatives.

    `own` has scores, weights (`extra`) and `places` of items by ascending relevance.
    """
    import cupy

    by_relevance = None if slopes is None else cupy.zeros(len(own.scores))
    totals, pairs, uppers = sums
    for one in lists:
        totals[one.number] += one.add_pairs(part, own.scores, own.extra, by_relevance)
        pairs[one.number], uppers[one.number] = one.masses(own.extra)
    if slopes is not None:
        slopes[own.places] += by_relevance
