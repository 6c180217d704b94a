"""Synthetic negatives between the hardest ones of a bank: `mix_hard_negatives`."""

from typing import Any, Literal, NamedTuple, SupportsIndex, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import ArrayLike
from fastpair._embeddings import check_count, check_flag, embeddings, numbers, same_width
from fastpair._progress import Report
from fastpair._random import Seed, generator
from fastpair._units import unit_rows
from fastpair._validate import check_choice, check_number, in_dtype_of, parse_resources
from fastpair.mining._nearest import nearest
from fastpair.mining._samples import parse_known

__all__ = ["MixedNegatives", "mix_hard_negatives"]

_Array: TypeAlias = npt.NDArray[Any]
_Floats: TypeAlias = npt.NDArray[np.float64]
_Ints: TypeAlias = npt.NDArray[np.int64]

MixMode: TypeAlias = Literal["mochi", "pair", "list"]
MODES = ("mochi", "pair", "list")
NO_NORM = 1e-12
"""A mixture of unit vectors that is shorter has lost its direction to rounding."""


class MixedNegatives(NamedTuple):
    """Synthetic negatives of each of n queries, s for each, or their scores in place of them.

    `vectors` has shape (n, s, d), `scores` (n, s); one of both is None. Mixture t of query i is made of the rows
    ``parents[i, t]`` of the bank in the shares ``shares[i, t]``, both of shape (n, s, p), before its norm was made 1.
    The parent -1 with a share is the query itself. `counts` (n,) says how many mixtures a row has: s, or 0.
    """

    vectors: _Array | None
    scores: _Floats | None
    parents: _Ints
    shares: _Floats
    counts: _Ints


def mix_hard_negatives(
    query: ArrayLike,
    bank: ArrayLike,
    n_hard: SupportsIndex,
    n_mix: SupportsIndex,
    n_mix_query: SupportsIndex,
    *,
    mode: MixMode = "mochi",
    beta: float = 2.0,
    temperature: float = 1.0,
    shares: ArrayLike | None = None,
    exclude: ArrayLike | Any = None,
    seed: Seed = None,
    return_scores: bool = False,
    num_threads: SupportsIndex | None = None,
    max_memory: SupportsIndex | None = None,
    progress: bool | Report = False,
) -> MixedNegatives:
    r"""Mix the hardest negatives of each query with each other and with the query itself.

    Parameters
    ----------
    query : array_like, shape (n, d)
        Queries: floats of 16 to 64 bits, or integers. Only directions matter.
    bank : array_like, shape (m, d)
        Where negatives come from, such as a queue of keys.
    n_hard : int
        How many entries of the bank, those of the largest cosines, are the hard negatives of a query.
    n_mix : int
        How many mixtures of two hard negatives to make for each query; for "list" 1, the mixture of all.
    n_mix_query : int
        How many mixtures of the query and one hard negative to make for each query; only for "mochi", else 0.
    mode : {"mochi", "pair", "list"}
        How shares are drawn, see the notes.
    beta : float
        Both parameters of the beta distribution of "pair", positive.
    temperature : float
        What divides the cosines in the softmax of "list", positive.
    shares : array_like, shape (n, n_mix + n_mix_query), optional
        The share of the first parent in each mixture, between 0 and 1, in place of draws; not for "list".
    exclude : tuple, list of lists, sparse or array_like of int, optional
        Entries of the bank that are no negatives of each query, as `fastpair.topk` takes them; also one for each.
    seed : int, numpy.random.Generator or None
        Where the draws begin; None takes fresh ones.
    return_scores : bool
        Return the cosines of the mixtures with their query in place of the vectors, which are never stored.
    num_threads : int, optional
        The most threads of the search; by default `fastpair.get_num_threads`.
    max_memory : int, optional
        The most bytes of scratch beside input, output and draws; by default 64 MiB, or what one row needs. It changes
        no result.
    progress : bool or callable
        True shows a bar of the search; a function is called as ``progress(done, total)``, in pairs.

    Returns
    -------
    MixedNegatives
        The named tuple ``(vectors, scores, parents, shares, counts)``. Vectors have the dtype of the bank (float64 for
        integers), the others are float64 and int64. Mixtures of hard negatives come first, then those with the query.
        A query without any negative has vectors of zeros, scores -inf, parents -1 and shares 0.

    Raises
    ------
    TypeError
        If a dtype cannot be used, or an option has the wrong type.
    ValueError
        If shapes do not match, an embedding is NaN or infinite, or an option is out of range.

    See Also
    --------
    fastpair.mining.geodesic_mix : Mixtures along great circles.
    fastpair.losses.info_nce : Takes scores of further negatives.

    Notes
    -----
    With unit vectors, the hard negatives :math:`n_1, \dots, n_h` of the query q, and i and j drawn uniformly with
    replacement:

    * mochi: :math:`(a n_i + (1 - a) n_j) / |\cdot|` with a uniform in (0, 1), and, harder than any real one,
      :math:`(b q + (1 - b) n_i) / |\cdot|` with b uniform in (0, 1/2);
    * pair: the first of both with a from Beta(beta, beta);
    * list: :math:`\sum_j w_j n_j / |\cdot|` with :math:`w = \operatorname{softmax}(q \cdot n_j / \tau)`.

    The score of a mixture is :math:`(a \, q \cdot n_i + (1 - a) \, q \cdot n_j) / |a n_i + (1 - a) n_j|`. A mixture
    without a direction, of opposite vectors in equal shares, is replaced by :math:`n_i`, or for "list" by the hardest
    negative, and its shares say so. Mixtures are to be appended to the bank's negatives, and carry no gradient.

    Cost: the search of `fastpair.topk`, O(n m d), and O(n s d). Peak extra memory: `max_memory` and draws, 24 n s
    bytes.

    References
    ----------
    .. [1] Y. Kalantidis et al. (2020). Hard negative mixing for contrastive learning. NeurIPS.
    .. [2] KaLM-Embedding-V2: superior training techniques and data inspire a versatile embedding model.

    Examples
    --------
    >>> from fastpair import mining
    >>> query, bank = [[1.0, 0.0]], [[0.6, 0.8], [0.8, -0.6], [-1.0, 0.0]]
    >>> mixed = mining.mix_hard_negatives(query, bank, 2, 2, 1, seed=0)
    >>> mixed.parents
    array([[[ 1,  0],
            [ 0,  0],
            [-1,  0]]])
    >>> mixed.vectors.round(4)
    array([[[ 0.9921, -0.1251],
            [ 0.6   ,  0.8   ],
            [ 0.6131,  0.79  ]]])
    >>> mining.mix_hard_negatives(query, bank, 2, 2, 1, seed=0, return_scores=True).scores.round(4)
    array([[0.9921, 0.6   , 0.6131]])
    """
    hard, pairs = check_count(n_hard, "n_hard", 1), check_count(n_mix, "n_mix", 0)
    with_query = check_count(n_mix_query, "n_mix_query", 0)
    check_choice(mode, "mode", MODES)
    both = check_number(beta, "beta", above=0)
    divisor = check_number(temperature, "temperature", above=0)
    only_scores = check_flag(return_scores, "return_scores")
    if mode != "mochi" and with_query:
        raise ValueError(f"n_mix_query is {with_query}, but mode={mode!r} does not mix with the query; pass 0")
    if mode == "list" and pairs != 1:
        raise ValueError(f"n_mix is {pairs}, but mode='list' makes one mixture of all hard negatives; pass 1")
    resources = parse_resources(num_threads, max_memory)
    rows, entries = embeddings(query, "query", "cosine"), embeddings(bank, "bank", "cosine")
    if rows.shape[1] != entries.shape[1]:
        raise ValueError(
            f"query has {rows.shape[1]} columns but bank has {entries.shape[1]}; pass rows of the same length"
        )
    rows, entries = same_width(rows, entries, "cosine")
    known = parse_known(exclude, len(rows), len(entries), "exclude", {"x": "query", "y": "bank"})
    plan = _Plan(mode, pairs, with_query, divisor)
    draws = plan.draw(len(rows), shares, both, generator(seed))
    width, found = plan.total, min(hard, max(1, len(entries)))
    parents = np.full((len(rows), width, found if mode == "list" else 2), -1, np.int64)
    result = MixedNegatives(
        None if only_scores else np.zeros((len(rows), width, rows.shape[1])),
        np.full((len(rows), width), -np.inf) if only_scores else None,
        parents,
        np.zeros(parents.shape),
        np.zeros(len(rows), np.int64),
    )
    if result.vectors is not None and entries.dtype.kind not in "biu":
        result = result._replace(vectors=in_dtype_of(result.vectors, entries))
    for part, best in nearest(
        *(rows, entries, found, "cosine", True),
        excluded=known,
        labels=None,
        row_bytes=8 * found,
        resources=resources,
        progress=progress,
    ):
        there = np.count_nonzero(best.indices >= 0, axis=1)
        result.counts[part] = np.where(there > 0, width, 0)
        size = max(1, resources.scratch // (4 * 8 * max(1, rows.shape[1]) * parents.shape[2]))
        _mix(plan, result, part, best.scores, best.indices, there, draws, rows, entries, size)
    return result


class _Draws(NamedTuple):
    """The random numbers of all mixtures: shares of the first parent, and from (0, 1) which parents they are."""

    shares: _Floats
    first: _Floats
    second: _Floats


class _Plan(NamedTuple):
    """What is to be mixed for each query."""

    mode: str
    pairs: int
    with_query: int
    temperature: float

    @property
    def total(self) -> int:
        """How many mixtures a query gets."""
        return self.pairs + self.with_query

    def draw(self, count: int, shares: ArrayLike | None, beta: float, rng: np.random.Generator) -> _Draws:
        """Draw for all queries at once, so that no cut changes anything."""
        shape = (count, self.total)
        if self.mode == "list":
            if shares is not None:
                raise ValueError("shares were given with mode='list', whose shares follow from similarities; drop them")
            return _Draws(np.zeros(shape), np.zeros(shape), np.zeros(shape))
        drawn = rng.beta(beta, beta, shape) if self.mode == "pair" else rng.random(shape)
        drawn[:, self.pairs :] /= 2
        if shares is not None:
            drawn = _parse_shares(shares, shape)
        return _Draws(drawn, rng.random(shape), rng.random(shape))


def _parse_shares(shares: ArrayLike, shape: tuple[int, int]) -> _Floats:
    array = numbers(shares, "shares", "dot")
    if array.shape != shape:
        raise ValueError(f"shares has shape {array.shape}; pass {shape}, the share of the first parent of each mixture")
    if not ((array >= 0) & (array <= 1)).all():
        raise ValueError("shares must be between 0 and 1")
    return array.astype(np.float64)


def _mix(
    plan: _Plan,
    result: MixedNegatives,
    part: slice,
    scores: _Floats,
    indices: _Ints,
    there: _Ints,
    draws: _Draws,
    rows: _Array,
    entries: _Array,
    size: int,
) -> None:
    """Fill in the mixtures of a part of the queries, `size` at a time."""
    valid = np.flatnonzero(there > 0)
    if plan.mode == "list":
        for begin in range(0, len(valid), size):
            local = valid[begin : begin + size]
            weights = _softmax(scores[local] / plan.temperature)
            _finish(result, part.start + local, 0, indices[local], weights, scores[local], rows, entries)
        return
    owners, slots = np.repeat(valid, plan.total), np.tile(np.arange(plan.total), len(valid))
    for begin in range(0, len(owners), size):
        local, slot = owners[begin : begin + size], slots[begin : begin + size]
        queries = part.start + local
        limit = there[local]
        first = np.minimum((draws.first[queries, slot] * limit).astype(np.int64), limit - 1)
        second = np.minimum((draws.second[queries, slot] * limit).astype(np.int64), limit - 1)
        share = draws.shares[queries, slot]
        # With the query, which is the first parent then, the negative is the second.
        parents = np.stack([np.where(slot < plan.pairs, indices[local, first], -1), indices[local, second]], axis=1)
        of_query = np.where(rows[queries].any(axis=1), 1.0, 0.0)
        alike = np.stack([np.where(slot < plan.pairs, scores[local, first], of_query), scores[local, second]], axis=1)
        _finish(result, queries, slot, parents, np.stack([share, 1 - share], axis=1), alike, rows, entries)


def _softmax(logits: _Floats) -> _Floats:
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def _finish(
    result: MixedNegatives,
    queries: _Ints,
    slots: _Ints | int,
    parents: _Ints,
    shares: _Floats,
    scores: _Floats,
    rows: _Array,
    entries: _Array,
) -> None:
    """Mix parents, of which -1 with a share is the query, and enter the mixtures or their scores."""
    units = unit_rows(entries[np.maximum(parents, 0)])[0]
    own = (parents < 0) & (shares > 0)
    if own.any():
        units[own] = unit_rows(rows[np.broadcast_to(queries[:, np.newaxis], own.shape)[own]])[0]
    mixed = np.einsum("ij,ijk->ik", shares, units)
    norms = np.sqrt(np.einsum("ij,ij->i", mixed, mixed))
    lost = np.flatnonzero(norms < NO_NORM)
    if len(lost):
        # The first parent that is a negative stands for the mixture.
        place = (parents[lost] >= 0).argmax(axis=1)
        shares[lost] = 0.0
        shares[lost, place] = 1.0
        mixed[lost], norms[lost] = units[lost, place], 1.0
    result.parents[queries, slots] = parents
    result.shares[queries, slots] = shares
    if result.vectors is not None:
        result.vectors[queries, slots] = mixed / norms[:, np.newaxis]
    if result.scores is not None:
        known = np.where(shares > 0, scores, 0.0)  # the score of a place without an entry is -inf
        result.scores[queries, slots] = np.clip((shares * known).sum(axis=1) / norms, -1, 1)
