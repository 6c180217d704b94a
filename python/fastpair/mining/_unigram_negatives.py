"""Negatives in proportion to a power of their counts: `unigram_negatives`."""

from typing import Any, NamedTuple, SupportsIndex, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import ArrayLike
from fastpair._embeddings import check_count, check_flag, numbers
from fastpair._random import Seed
from fastpair._validate import check_not_negative, check_number, parse_resources
from fastpair.mining._positives import Lists
from fastpair.mining._samples import SampledNegatives, chunks, parse_known
from fastpair.mining._streams import Streams, heaviest

__all__ = ["unigram_negatives"]

_Floats: TypeAlias = npt.NDArray[np.float64]
_Ints: TypeAlias = npt.NDArray[np.int64]
_Bools: TypeAlias = npt.NDArray[np.bool_]

TRIES = 16
"""Draws from the table for one place before the distribution without the forbidden items is inverted instead."""
INVERSION = 1 << 41
"""Where in its stream a row finds the draws for that."""
SAFE_SHARE = 1e-3
"""Down to this share of the sum of weights, what is allowed is the sum of all less that of what is forbidden."""


class AliasTable(NamedTuple):
    """Items as columns of equal height: a draw below `shares` is the column's own item, one above is its alias."""

    shares: _Floats
    aliases: _Ints


def unigram_negatives(
    counts: ArrayLike,
    k: SupportsIndex = 1,
    *,
    alpha: float = 0.75,
    positives: ArrayLike | Any = None,
    n_rows: SupportsIndex | None = None,
    replace: bool = True,
    seed: Seed = None,
    max_memory: SupportsIndex | None = None,
) -> SampledNegatives:
    r"""Draw negatives with probabilities in proportion to a power of their counts.

    Parameters
    ----------
    counts : array_like, shape (m,)
        How often each item occurs: finite, not negative. Items with count 0 are never drawn.
    k : int
        How many negatives to draw for each row.
    alpha : float
        The power: 1 for the counts themselves, 0 for uniform draws of items that occur, negative to prefer rare ones.
    positives : tuple, list of lists, sparse or array_like of int, optional
        The known positives of each row, which it never gets, as `random_negatives` takes them.
    n_rows : int, optional
        How many rows there are; needed without `positives`.
    replace : bool
        Whether a row may get the same negative several times, as is usual.
    seed : int, numpy.random.Generator or None
        Where the draws begin; None takes fresh ones.
    max_memory : int, optional
        The most bytes of scratch for draws, beside input, output and the table; by default 64 MiB, or what one row
        needs. It changes no result.

    Returns
    -------
    SampledNegatives
        The named tuple ``(indices, counts)``: int64 of shape (n, k), in the order of the draws, and int64 of shape
        (n,). A row that may get no item (or, without replacement, fewer than k) has -1 in unused places at the end.

    Raises
    ------
    TypeError
        If counts are no real numbers, positives are no integers, or an option has the wrong type.
    ValueError
        If a count is negative or not finite, positives name items that do not exist, or nothing says how many rows
        there are.

    See Also
    --------
    fastpair.mining.random_negatives : All items are equally likely.
    fastpair.losses.sgns : The loss of skip-grams that takes such negatives.

    Notes
    -----
    The probability of item j for row i is :math:`c_j^\alpha / \sum_{l \notin P_i} c_l^\alpha`, and 0 for the known
    positives :math:`P_i`. Powers are relative to the largest, so no count is too large. Draws come from an alias table
    [2]_. One that is forbidden is drawn again, sixteen times at most; after that the distribution without the forbidden
    items is inverted by its cumulative sums, so a row terminates whatever its positives are, and the distribution is
    exact either way. Without replacement each draw is from the items that are left: repeats count as forbidden, and
    what is still missing after these tries comes from Gumbel keys of all items.

    Cost: O(m) for the table, then O(n k log p) for p positives of a row; without replacement O(m) for rows that need
    most of the items. Peak extra memory: about 80 m bytes while the table is built, and
    `max_memory`.

    References
    ----------
    .. [1] T. Mikolov et al. (2013). Distributed representations of words and phrases and their compositionality.
       NeurIPS.
    .. [2] M. D. Vose (1991). A linear algorithm for generating random numbers with a given distribution. IEEE
       Transactions on Software Engineering 17.
    .. [3] Two is better than one: dual embeddings for complementary product recommendations.

    Examples
    --------
    >>> from fastpair import mining
    >>> mining.unigram_negatives([100, 10, 0, 1], 6, positives=[[0], [1], []], seed=0).indices
    array([[1, 1, 1, 3, 1, 1],
           [0, 0, 0, 0, 0, 0],
           [0, 0, 0, 1, 0, 0]])
    """
    weights = _parse_weights(counts, check_number(alpha, "alpha"))
    wanted = check_count(k, "k", 0)
    again = check_flag(replace, "replace")
    rows = None if n_rows is None else check_count(n_rows, "n_rows", 0)
    if rows is None and positives is None:
        raise ValueError("n_rows is None, and positives, which would say how many rows there are, too; pass n_rows")
    resources = parse_resources(None, max_memory)
    streams = Streams(seed)
    known = parse_known(positives, rows, len(weights))
    count = len(known[0]) - 1
    indices = np.full((count, wanted), -1, np.int64)
    if not weights.any():
        return SampledNegatives(indices, np.zeros(count, np.int64))
    sampler = _Sampler(streams, weights, known)
    for part in chunks(count, resources.pieces(max(1, count), 8 * (12 * wanted + 16))):
        indices[part] = sampler.with_replacement(part, wanted) if again else sampler.distinct(part, wanted)
    return SampledNegatives(indices, np.count_nonzero(indices >= 0, axis=1).astype(np.int64))


def _parse_weights(counts: ArrayLike, alpha: float) -> _Floats:
    array = numbers(counts, "counts", "dot")
    if array.ndim != 1:
        raise ValueError(f"counts has shape {array.shape}; pass one dimension, a count for each item")
    check_not_negative(array, "counts")
    values = array.astype(np.float64)
    occur = values > 0
    weights = np.zeros(len(values))
    logs = alpha * np.log(values[occur])
    weights[occur] = np.exp(logs - logs.max(initial=-np.inf)) if len(logs) else 0.0
    return weights


def alias_table(weights: _Floats) -> AliasTable:
    """Build the table in O(m): columns that are too low are filled up by ones that are too high."""
    count = len(weights)
    heights = weights * (count / weights.sum())
    shares, aliases = np.minimum(heights, 1.0), np.arange(count)
    low, high = np.flatnonzero(heights < 1), np.flatnonzero(heights >= 1)
    if not (len(low) and len(high)):
        return AliasTable(np.ones(count), aliases)
    # The low columns are filled one after the other from the current high one. Once that has given more than it had
    # beyond 1 it is filled itself, by the next. Who is current when follows from two cumulative sums.
    lacking, spare = np.cumsum(1 - heights[low]), np.cumsum(heights[high] - 1)
    before = np.concatenate([[0.0], lacking[:-1]])
    last = len(high) - 1
    aliases[low] = high[np.minimum(_smaller(spare, before), last)]
    emptied = _not_larger(lacking, spare)
    given = emptied < len(low)
    given[last] = False  # what rounding leaves
    over = lacking[emptied[given]] - spare[given]
    shares[high[given]] = np.clip(1 - over, 0, 1)
    aliases[high[given]] = high[np.flatnonzero(given) + 1]
    return AliasTable(shares, aliases)


def _smaller(values: _Floats, queries: _Floats) -> _Ints:
    """Count for each query how many of the values are smaller; both ascend, so that sorting them is one merge."""
    order = np.argsort(np.concatenate([queries, values]), kind="stable")
    return np.asarray(np.flatnonzero(order < len(queries)) - np.arange(len(queries)))


def _not_larger(values: _Floats, queries: _Floats) -> _Ints:
    """Count for each query how many of the values are not larger; both ascend."""
    order = np.argsort(np.concatenate([values, queries]), kind="stable")
    return np.asarray(np.flatnonzero(order >= len(values)) - np.arange(len(queries)))


class _Sampler:
    """Draws of items by weight for rows that may not have their known positives."""

    def __init__(self, streams: Streams, weights: _Floats, known: Lists) -> None:
        self.streams, self.weights, self.known = streams, weights, known
        self.table = alias_table(weights)
        self.sums = np.concatenate([[0.0], np.cumsum(weights)])
        self.owners = np.repeat(np.arange(len(known[0]) - 1), np.diff(known[0]))
        self.keys = self.owners * len(weights) + known[1]

    def with_replacement(self, part: slice, k: int) -> _Ints:
        """Draw k items for each row of `part`."""
        rows = np.repeat(np.arange(part.start, part.stop), k)
        places = np.tile(np.arange(k), part.stop - part.start)
        result = np.full(len(rows), -1, np.int64)
        open_places = np.arange(len(rows))
        for attempt in range(TRIES):
            if not len(open_places):
                break
            items = self._from_table(rows[open_places], places[open_places] * TRIES + attempt)
            good = ~self._is_known(rows[open_places], items)
            result[open_places[good]] = items[good]
            open_places = open_places[~good]
        if len(open_places):
            result[open_places] = self._inverted(rows[open_places], places[open_places])
        return result.reshape(part.stop - part.start, k)

    def distinct(self, part: slice, k: int) -> _Ints:
        """Draw up to k different items for each row of `part`."""
        rows = np.arange(part.start, part.stop)
        result = np.full((len(rows), k), -1, np.int64)
        stuck = np.zeros(len(rows), np.bool_)
        for place in range(k):
            waiting = np.flatnonzero(~stuck)
            for attempt in range(TRIES):
                if not len(waiting):
                    break
                items = self._from_table(rows[waiting], np.full(len(waiting), place * TRIES + attempt))
                bad = self._is_known(rows[waiting], items)
                bad |= (result[waiting, :place] == items[:, np.newaxis]).any(axis=1)
                result[waiting[~bad], place] = items[~bad]
                waiting = waiting[bad]
            stuck[waiting] = True
        for row in np.flatnonzero(stuck).tolist():
            self._complete(part.start + row, result[row])
        return result

    def _complete(self, row: int, found: _Ints) -> None:
        """Fill the places of a row that are still open, from all items that are left."""
        done = int(np.count_nonzero(found >= 0))
        left = self.weights.copy()
        left[self.known[1][self.known[0][row] : self.known[0][row + 1]]] = 0
        left[found[:done]] = 0
        with np.errstate(divide="ignore"):
            logs = np.log(left)[np.newaxis]
        found[done:] = heaviest(self.streams, np.array([row]), logs, len(found) - done, INVERSION)[0][0]

    def _from_table(self, rows: _Ints, places: _Ints) -> _Ints:
        shares, aliases = self.table
        draws = self.streams.uniform(rows, 2 * places) * len(shares)
        items = np.minimum(draws.astype(np.int64), len(shares) - 1)
        own = self.streams.uniform(rows, 2 * places + 1) < shares[items]
        return np.asarray(np.where(own, items, aliases[items]))

    def _is_known(self, rows: _Ints, items: _Ints) -> _Bools:
        if not len(self.keys):
            return np.zeros(len(rows), np.bool_)
        wanted = rows * len(self.weights) + items
        places = np.minimum(np.searchsorted(self.keys, wanted), len(self.keys) - 1)
        return np.asarray(self.keys[places] == wanted)

    def _inverted(self, rows: _Ints, places: _Ints) -> _Ints:
        """Draw one item for each of these rows (ascending) by inverting the distribution of what the row may get."""
        draws = self.streams.uniform(rows, INVERSION + places)
        found, first = np.unique(rows, return_index=True)
        parts = [
            self._invert_row(row, part) for row, part in zip(found.tolist(), np.split(draws, first[1:]), strict=True)
        ]
        return np.concatenate(parts)

    def _invert_row(self, row: int, draws: _Floats) -> _Ints:
        starts, known = self.known
        forbidden = known[starts[row] : starts[row + 1]]
        taken = np.concatenate([[0.0], np.cumsum(self.weights[forbidden])])
        left = self.sums[-1] - taken[-1]
        if left > SAFE_SHARE * self.sums[-1]:
            # Step over the stretches of the sums that are forbidden.
            targets = draws * left
            targets += taken[np.searchsorted(self.sums[forbidden] - taken[:-1], targets, "right")]
            items = np.minimum(np.searchsorted(self.sums[1:], targets, "right"), len(self.weights) - 1)
            at_border = self._is_known(np.full(len(items), row), items) | (self.weights[items] == 0)
            if not at_border.any():
                return np.asarray(items)
        # Differences of the sums have lost digits: add up again without what is forbidden.
        allowed = self.weights.copy()
        allowed[forbidden] = 0
        if not allowed.any():
            return np.full(len(draws), -1, np.int64)
        sums = np.cumsum(allowed)
        items = np.searchsorted(sums, draws * sums[-1], "right")
        return np.asarray(np.minimum(items, np.flatnonzero(allowed)[-1]))
