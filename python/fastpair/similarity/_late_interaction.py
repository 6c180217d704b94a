"""Scores of sets of tokens: `late_interaction`."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, SupportsIndex, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair import _core
from fastpair._array import ArrayLike, array_of
from fastpair._embeddings import check_count, check_flag, check_metric, is_narrow, numbers
from fastpair._validate import check_num_threads
from fastpair.similarity._search import empty_topk
from fastpair.similarity._topk import TopK

__all__ = ["late_interaction"]

_Array: TypeAlias = npt.NDArray[Any]
_Floats: TypeAlias = npt.NDArray[np.float64]
_Ints: TypeAlias = npt.NDArray[np.int64]
Mode: TypeAlias = Literal["max", "lse", "bipartite"]

MODES = ("max", "lse", "bipartite")
METRICS = ("cosine", "dot")

MOST_CELLS = 1 << 21
"""Numbers in a temporary, which is of float64 at most: 16 MiB."""

MOST_ROWS = 1024
"""Tokens of one side that meet many of the other at a time."""

FEW_ROWS = 256
"""So few tokens are better the columns of a product than its rows."""


def late_interaction(
    a: ArrayLike,
    b: ArrayLike,
    *,
    a_mask: ArrayLike | None = None,
    b_mask: ArrayLike | None = None,
    a_offsets: ArrayLike | None = None,
    b_offsets: ArrayLike | None = None,
    mode: Mode = "max",
    alpha: float = 0.1,
    symmetric: bool = False,
    metric: Literal["cosine", "dot"] = "cosine",
    k: SupportsIndex | None = None,
    num_threads: SupportsIndex | None = None,
) -> Any:
    r"""Score items that are sets of tokens by how well the tokens of one find a partner in the other.

    This is the MaxSim of ColBERT and its relatives: queries and documents keep one embedding for each token. The scores
    of all pairs of tokens are never stored together.

    Parameters
    ----------
    a : array_like, shape (A, Ta, d) or (Na, d)
        Tokens of A items, padded to the same number, or one after the other with `a_offsets`: float64, float32,
        float16, bfloat16 (of ml_dtypes), integers or bool.
    b : array_like, shape (B, Tb, d) or (Nb, d)
        Tokens of B items in either form.
    a_mask : array_like of bool, shape (A, Ta), optional
        Which tokens of a padded `a` there are. By default all; the others are not read.
    b_mask : array_like of bool, shape (B, Tb), optional
        The same for a padded `b`.
    a_offsets : array_like of int, shape (A + 1,), optional
        The tokens of item i are ``a[a_offsets[i]:a_offsets[i + 1]]``. Needed for tokens one after the other.
    b_offsets : array_like of int, shape (B + 1,), optional
        The same for `b`.
    mode : {"max", "lse", "bipartite"}
        What a token of a scores: its best score with a token of b, a soft maximum of them, or its score with the
        partner that an optimal matching of both sets gives it. "bipartite" needs scipy.
    alpha : float
        The temperature of "lse", positive: close to 0 it is "max".
    symmetric : bool
        Take the mean of both directions, tokens of a in b and tokens of b in a.
    metric : {"cosine", "dot"}
        What tokens score, as for `topk`.
    k : int, optional
        Return the k best items of b for each item of a in place of all scores.
    num_threads : int, optional
        The most threads to use; by default `fastpair.get_num_threads`.

    Returns
    -------
    ndarray of float64, shape (A, B), or TopK
        The scores of all pairs of items. With `k` the named tuple ``(scores, indices)`` of float64 and int64, each of
        shape (A, k): best first, equal scores by index, and -inf and -1 where there are fewer than k items.

    Raises
    ------
    TypeError
        If a dtype cannot be used, or an array is not in host memory.
    ValueError
        If shapes, masks or offsets do not match, a token is NaN or infinite, or alpha is not positive.
    ImportError
        If "bipartite" does not find scipy.
    MemoryError
        If there is no room for the result.

    See Also
    --------
    fastpair.topk : Items of one embedding.
    fastpair.pairwise : Scores of all pairs of tokens.

    Notes
    -----
    With the scores :math:`s_{ij}` of token i of one item and token j of another,

    * max: :math:`\frac{1}{T_a} \sum_i \max_j s_{ij}`;
    * lse: :math:`\frac{1}{T_a} \sum_i \alpha \log \sum_j \exp(s_{ij} / \alpha)`, which is not less than max and at most
      :math:`\alpha \log T_b` more;
    * bipartite: :math:`\frac{1}{T_a} \max_\pi \sum_{(i, j) \in \pi} s_{ij}` over all one-to-one matchings of as many
      tokens as the smaller item has [2]_; tokens without a partner add 0.

    They are means over the tokens of a. The sum of ColBERT is the mean times their number, and ranks the items of b in
    the same order. An item without tokens (all masked) scores 0 with every other.

    Scores of tokens are products in float32 if float32 holds both embeddings exactly, else in float64; they are added
    up in float64.

    Cost: O(Na Nb d), twice that if symmetric; "bipartite" adds O(T^3) for each pair of items of T tokens. Extra memory:
    about 48 MiB, in parts of at most 16 MiB, as long as an item has at most 2 million tokens. "bipartite" holds all
    scores of two items.

    References
    ----------
    .. [1] O. Khattab and M. Zaharia (2020). ColBERT: Efficient and effective passage search via contextualized late
       interaction over BERT. SIGIR.
    .. [2] H. W. Kuhn (1955). The Hungarian method for the assignment problem. Naval Research Logistics Quarterly 2.

    Examples
    --------
    >>> import fastpair
    >>> query = [[[1.0, 0.0], [0.0, 1.0]]]
    >>> documents = [[0.6, 0.8], [1.0, 0.0], [0.0, -1.0], [0.0, 1.0]]
    >>> fastpair.similarity.late_interaction(query, documents, b_offsets=[0, 3, 4])
    array([[0.9, 0.5]])
    >>> fastpair.similarity.late_interaction(query, documents, b_offsets=[0, 3, 4], k=1)
    TopK(scores=array([[0.9]]), indices=array([[0]]))
    """
    if not isinstance(mode, str) or mode not in MODES:
        raise ValueError(f"mode must be one of {', '.join(map(repr, MODES))}, not {mode!r}")
    name, threads = check_metric(metric, METRICS), check_num_threads(num_threads)
    both = check_flag(symmetric, "symmetric")
    if mode == "bipartite":
        _matching()
    count, temperature = None if k is None else check_count(k, "k", 1), _temperature(alpha)
    left, right = Items(a, "a", a_mask, a_offsets), Items(b, "b", b_mask, b_offsets)
    if left.width != right.width:
        raise ValueError(f"a has tokens of length {left.width} but b of {right.width}; pass tokens of the same length")
    dtype = np.float32 if left.narrow and right.narrow else np.float64
    comparison = Comparison(mode, temperature, name, dtype, threads)
    for items in (left, right):
        items.check_finite()
    scores, indices = empty_topk(left.count, right.count if count is None else count, True)
    for begin, end in right.blocks(MOST_CELLS // 4 // max(1, left.count), min(left.tokens, MOST_ROWS)):
        part = comparison.means(left, right, begin, end, both)
        if count is None:
            scores[:, begin:end] = part
        else:
            _enter(scores, indices, part, begin)
    return scores if count is None else TopK(scores, indices)


class Ragged(NamedTuple):
    """Tokens of some items, one item after the other; those of item i are at ``offsets[i]:offsets[i + 1]``."""

    tokens: _Array
    offsets: _Ints

    def lengths(self) -> _Ints:
        """How many tokens each item has."""
        return np.diff(self.offsets)


class Items:
    """Sets of tokens, padded or one after the other."""

    def __init__(self, values: ArrayLike, argument: str, mask: ArrayLike | None, offsets: ArrayLike | None) -> None:
        """Check tokens, and their mask or their offsets."""
        self.argument = argument
        self.array = numbers(values, argument, "cosine")
        self.mask: npt.NDArray[np.bool_] | None = None
        shape = self.array.shape
        if self.array.ndim == 3:
            if offsets is not None:
                raise ValueError(f"{argument}_offsets was given, but {argument} has shape {shape}; pass (tokens, d)")
            lengths = np.full(shape[0], shape[1], np.int64)
            if mask is not None:
                self.mask = _mask(mask, argument, shape[:2])
                lengths = self.mask.sum(axis=1, dtype=np.int64)
            self.offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        elif self.array.ndim == 2:
            if mask is not None:
                raise ValueError(f"{argument}_mask was given, but {argument} has shape {shape}; drop masked tokens")
            if offsets is None:
                raise ValueError(
                    f"{argument} has shape {shape}; pass three dimensions (items, tokens, d), or {argument}_offsets; "
                    f"one item is {argument}[numpy.newaxis]"
                )
            self.offsets = _offsets(offsets, argument, shape[0])
        else:
            raise ValueError(f"{argument} has shape {shape}; pass (items, tokens, d), or (tokens, d) with offsets")
        self.width, self.count, self.tokens = shape[-1], len(self.offsets) - 1, int(self.offsets[-1])
        self.narrow = is_narrow(self.array)

    def part(self, begin: int, end: int) -> Ragged:
        """Return items begin to end."""
        offsets = self.offsets[begin : end + 1]
        if self.array.ndim == 2:
            tokens = self.array[offsets[0] : offsets[-1]]
        else:
            items = self.array[begin:end]
            flat = (items.shape[0] * items.shape[1], self.width)
            tokens = items.reshape(flat) if self.mask is None else items[self.mask[begin:end]]
        return Ragged(tokens, offsets - offsets[0])

    def blocks(self, most_items: int, other: int) -> Iterator[tuple[int, int]]:
        """Ranges of items whose tokens take little room, also beside `other` tokens, but at least one item."""
        room = max(1, MOST_CELLS // max(1, other, self.width))
        begin = 0
        while begin < self.count:
            end = int(np.searchsorted(self.offsets, self.offsets[begin] + room, "right")) - 1
            end = min(max(end, begin + 1), begin + max(1, most_items), self.count)
            yield begin, end
            begin = end

    def check_finite(self) -> None:
        """Demand that no token is NaN or infinite."""
        if self.array.dtype.kind in "iub":
            return
        step = max(1, MOST_CELLS // max(1, self.width))
        for begin, end in self.blocks(self.count, 1):
            tokens = self.part(begin, end).tokens
            for top in range(0, len(tokens), step):
                bad = ~np.isfinite(tokens[top : top + step]).all(axis=1)
                if bad.any():
                    place = int(self.offsets[begin]) + top + int(bad.argmax())
                    item = int(np.searchsorted(self.offsets, place, "right")) - 1
                    raise ValueError(
                        f"{self.argument} is nan or infinite in token {place - int(self.offsets[item])} (not counting "
                        f"masked ones) of item {item}; tokens must be finite: drop or mask such tokens"
                    )


@dataclass(frozen=True)
class Comparison:
    """How tokens of one item look for those of another."""

    mode: str
    alpha: float
    metric: str
    dtype: type[np.floating[Any]]
    num_threads: int | None

    def means(self, a: Items, b: Items, begin: int, end: int, symmetric: bool) -> _Floats:
        """Return the scores of all items of a with items begin to end of b."""
        columns = b.part(begin, end)
        there = np.empty((a.count, end - begin))
        back = np.empty_like(there) if symmetric else None
        for top, bottom in a.blocks(a.count, len(columns.tokens)):
            rows = a.part(top, bottom)
            totals = self.totals(rows, columns)
            if back is not None:
                opposite = totals if self.mode == "bipartite" else self.totals(columns, rows).T
                back[top:bottom] = opposite / np.maximum(columns.lengths(), 1)
            there[top:bottom] = totals / np.maximum(rows.lengths(), 1)[:, np.newaxis]
        return there if back is None else np.asarray((there + back) / 2)

    def totals(self, a: Ragged, b: Ragged) -> _Floats:
        """Return what the tokens of each item of a find in each item of b, added up."""
        totals = np.zeros((len(a.offsets) - 1, len(b.offsets) - 1))
        held, owners = np.flatnonzero(b.lengths()), np.repeat(np.arange(len(totals)), a.lengths())
        if self.mode == "bipartite":
            return self.add_matchings(totals, a, b)
        if not held.size:
            return totals
        starts, lengths = b.offsets[held], b.lengths()[held]
        step = max(1, min(MOST_ROWS, MOST_CELLS // len(b.tokens)))
        for top in range(0, len(a.tokens), step):
            best = self.best(a.tokens[top : top + step], b.tokens, starts, lengths)
            own = owners[top : top + step]
            borders = np.flatnonzero(np.diff(own, prepend=-1))
            totals[np.ix_(own[borders], held)] += np.add.reduceat(best, borders, axis=0, dtype=np.float64)
        return totals

    def best(self, rows: _Array, columns: _Array, starts: _Ints, lengths: _Ints) -> _Array:
        """Return what each row finds in each item of the columns, none of which is empty."""
        if len(rows) < FEW_ROWS:  # a better shape for the kernel
            scores, axis = self.scores(columns, rows), 0
        else:
            scores, axis = self.scores(rows, columns), 1
        best = np.maximum.reduceat(scores, starts, axis=axis)
        if self.mode == "lse":
            scores -= np.repeat(best, lengths, axis=axis)
            scores /= self.alpha
            np.exp(scores, out=scores)
            sums = np.add.reduceat(scores, starts, axis=axis, dtype=np.float64)
            best = best + self.alpha * np.log(sums)
        return best.T if axis == 0 else best

    def scores(self, rows: _Array, columns: _Array) -> _Array:
        """Return the scores of all pairs of tokens."""
        out = np.empty((len(rows), len(columns)), self.dtype)
        _core.pairwise(rows, columns, self.metric, out, False, self.num_threads)
        return out

    def add_matchings(self, totals: _Floats, a: Ragged, b: Ragged) -> _Floats:
        """Add the scores of the best one-to-one matchings."""
        match, scores = _matching(), self.scores(a.tokens, b.tokens)
        for item, other in np.ndindex(totals.shape):
            pair = scores[a.offsets[item] : a.offsets[item + 1], b.offsets[other] : b.offsets[other + 1]]
            totals[item, other] += pair[match(pair, maximize=True)].sum(dtype=np.float64)
        return totals


def _enter(scores: _Floats, indices: _Ints, part: _Floats, begin: int) -> None:
    """Enter the scores of items `begin` and up, all later than those before, into a top-k state."""
    k = scores.shape[1]
    keys = np.concatenate([scores, part], axis=1)
    found = np.concatenate([indices, np.broadcast_to(np.arange(begin, begin + part.shape[1]), part.shape)], axis=1)
    order = np.argsort(-keys, axis=1, kind="stable")[:, :k]
    scores[...], indices[...] = np.take_along_axis(keys, order, 1), np.take_along_axis(found, order, 1)


def _mask(mask: ArrayLike, argument: str, shape: tuple[int, ...]) -> npt.NDArray[np.bool_]:
    array = array_of(mask, f"{argument}_mask")
    if array.dtype != np.bool_:
        raise TypeError(f"{argument}_mask has dtype {array.dtype}; pass bool, True where there is a token")
    if array.shape != shape:
        raise ValueError(f"{argument}_mask has shape {array.shape}; pass shape {shape}, one entry for each token")
    return array


def _offsets(offsets: ArrayLike, argument: str, tokens: int) -> _Ints:
    array = array_of(offsets, f"{argument}_offsets")
    if array.dtype.kind not in "iu":
        raise TypeError(
            f"{argument}_offsets has dtype {array.dtype}; pass integers: where each item begins, and the end"
        )
    if array.ndim != 1 or not array.size:
        raise ValueError(f"{argument}_offsets has shape {array.shape}; pass one dimension of n + 1 offsets for n items")
    borders = array.astype(np.int64)
    if borders[0] != 0 or borders[-1] != tokens or (np.diff(borders) < 0).any():
        raise ValueError(
            f"{argument}_offsets reaches from {borders[0]} to {borders[-1]}; pass offsets that do not decrease, from 0 "
            f"to {tokens}, the number of tokens"
        )
    return borders


def _temperature(alpha: Any) -> float:
    try:
        value = float(alpha)
    except (TypeError, ValueError):
        raise TypeError(f"alpha must be a number, not {alpha!r} ({type(alpha).__name__})") from None
    if not 0 < value < np.inf:
        raise ValueError(f"alpha must be positive and finite, not {alpha!r}")
    return value


def _matching() -> Any:
    """Return the function that solves an assignment."""
    try:
        from scipy.optimize import linear_sum_assignment
    except ImportError as error:
        raise ImportError("mode='bipartite' needs scipy; install it, or pass mode='max'") from error
    return linear_sum_assignment
