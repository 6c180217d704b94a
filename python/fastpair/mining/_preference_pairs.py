"""Pairs to learn preferences from: `preference_pairs` and `best_worst_pairs`."""

from typing import Literal, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import ArrayLike, array_of
from fastpair._roles import same_codes
from fastpair._validate import check_choice
from fastpair.mining._pools import parse_pools
from fastpair.mining._values import blocks, finite, finite_per_row

__all__ = ["BestWorstPairs", "PreferencePairs", "best_worst_pairs", "preference_pairs"]

_Floats: TypeAlias = npt.NDArray[np.float64]
_Ints: TypeAlias = npt.NDArray[np.int64]


class PreferencePairs(NamedTuple):
    """The partner of each example, -1 for none, and how contested the preference of the two is, NaN for none."""

    partners: _Ints
    values: _Floats


class BestWorstPairs(NamedTuple):
    """The candidates with the largest and the smallest reward of each group, both -1 where it is skipped."""

    best: _Ints
    worst: _Ints


def preference_pairs(
    scores: ArrayLike,
    labels: ArrayLike,
    *,
    strategy: Literal["disagreement", "inconsistency"] = "disagreement",
    confidences: ArrayLike | None = None,
) -> PreferencePairs:
    r"""Find for each example the partner of its label with the most contested preference.

    Parameters
    ----------
    scores : array_like, shape (h, n)
        The score that each of h preference heads gives each example; the larger one of a pair is preferred.
    labels : array_like, shape (n,)
        Labels, integers or strings. Partners have the same.
    strategy : {"disagreement", "inconsistency"}
        Whether preferences are contested among the heads, or between heads and classifier.
    confidences : array_like, shape (n,), optional
        For "inconsistency", which needs it: the probability that the classifier gives the label of each example.

    Returns
    -------
    PreferencePairs
        The named tuple ``(partners, values)``: int64 and float64, shape (n,). An example without a partner, alone with
        its label or with heads that agree with the classifier on all pairs, has -1 and NaN.

    Raises
    ------
    TypeError
        If a dtype cannot be used.
    ValueError
        If a score is NaN or infinite, shapes do not match, or a strategy lacks what it needs.

    See Also
    --------
    fastpair.mining.best_worst_pairs : Pairs by rewards.

    Notes
    -----
    Head k prefers i to j with the probability :math:`p_k = \sigma(s_{ki} - s_{kj})`. Of the other examples with its
    label, each example takes the one with the largest

    * "disagreement": (population) variance of :math:`p_k` over the heads;
    * "inconsistency": :math:`|\bar p - 1/2|` with the mean over the heads, among those where it and the confidences
      order the two examples differently.

    Equal values go to the lowest index. The paper names both strategies; how it measures the second was not available
    to us, so the formula above is ours.

    Cost: O(h) for each pair of one label. Extra memory: some MiB, or h rows of the pairs of the largest label.

    References
    ----------
    .. [1] J. Kim, J. Shin and D. Kang (2023). Prefer to classify: improving text classifiers via auxiliary preference
       learning. ICML.

    Examples
    --------
    >>> import fastpair
    >>> scores = [[0.0, 3.0, 0.1], [0.0, -3.0, 0.0]]
    >>> fastpair.mining.preference_pairs(scores, ["a", "a", "a"]).partners
    array([1, 0, 1])
    """
    heads = finite(scores, "scores", 2)
    count = heads.shape[1]
    given = array_of(labels, "labels")
    if given.shape != (count,):
        raise ValueError(f"labels has shape {given.shape}; pass shape ({count},), one for each column of scores")
    codes = same_codes(given, given, "labels")[0]
    check_choice(strategy, "strategy", ("disagreement", "inconsistency"))
    sure = None if confidences is None else finite_per_row(confidences, count, "confidences")
    if strategy == "disagreement":
        if len(heads) < 2:
            raise ValueError(f"scores has {len(heads)} heads, which cannot disagree; pass at least 2")
        if sure is not None:
            raise ValueError("confidences is for strategy='inconsistency'; drop it")
    elif sure is None or not len(heads):
        missing = "confidences is None" if sure is None else "scores has no head"
        raise ValueError(f"{missing}, but strategy='inconsistency' compares both; pass them")
    partners, values = np.full(count, -1), np.full(count, np.nan)
    order = np.argsort(codes, kind="stable")
    for members in np.split(order, np.flatnonzero(np.diff(codes[order])) + 1):
        if len(members) < 2:
            continue
        for rows in blocks(len(members), len(members) * len(heads)):
            contested = _contested(heads[:, members], rows, None if sure is None else sure[members])
            contested[np.arange(len(contested)), np.arange(rows.start, rows.stop)] = -1  # not with itself
            best = contested.argmax(axis=1)
            found = contested[np.arange(len(best)), best]
            some = found >= 0
            partners[members[rows][some]], values[members[rows][some]] = members[best[some]], found[some]
    return PreferencePairs(partners, values)


def _contested(heads: _Floats, rows: slice, sure: _Floats | None) -> _Floats:
    """Return how contested pairs of some rows with all members of their label are, negative for no pair."""
    differences = heads[:, rows, np.newaxis] - heads[:, np.newaxis]
    preferences = 0.5 * (1 + np.tanh(0.5 * differences))
    if sure is None:
        return np.asarray(preferences.var(axis=0))
    mean = preferences.mean(axis=0) - 0.5
    return np.where(mean * np.sign(sure[rows, np.newaxis] - sure) < 0, np.abs(mean), -1.0)


def best_worst_pairs(
    rewards: ArrayLike, *, groups: ArrayLike | None = None, offsets: ArrayLike | None = None
) -> BestWorstPairs:
    r"""Find the candidates with the largest and with the smallest reward of each group.

    Parameters
    ----------
    rewards : array_like, shape (l,)
        The reward of each candidate, finite.
    groups : array_like, shape (l,), optional
        The group of each candidate, such as its prompt: integers or strings, in any order.
    offsets : array_like, shape (g + 1,), optional
        Where each group begins, and the end, for candidates in the order of groups. Without either all are one group.

    Returns
    -------
    BestWorstPairs
        The named tuple ``(best, worst)``: int64, shape (g,), in the order in which groups first appear. Groups that are
        empty or have equal rewards are skipped: both are -1.

    Raises
    ------
    TypeError
        If a dtype cannot be used.
    ValueError
        If a reward is NaN or infinite, or shapes do not match.

    See Also
    --------
    fastpair.mining.preference_pairs : Pairs by the disagreement of models.

    Notes
    -----
    The pairs are those of preference optimisation: the best is chosen, the worst rejected. Equal rewards go to the
    lowest index.

    Cost: O(l log l), for the order of groups. Extra memory: O(l).

    References
    ----------
    .. [1] J. Deng et al. (2025). OneRec: unifying retrieve and rank with generative recommender and iterative
       preference alignment.

    Examples
    --------
    >>> import fastpair
    >>> fastpair.mining.best_worst_pairs([0.1, 0.9, 0.5, 0.3, 0.3], groups=["a", "a", "a", "b", "b"])
    BestWorstPairs(best=array([ 1, -1]), worst=array([ 0, -1]))
    """
    values = finite(rewards, "rewards", 1)
    pools = parse_pools(groups, offsets, len(values))
    best, worst = pools.first_best(values), pools.first_best(-values)
    skipped = pools.max(values) == -pools.max(-values)
    best[skipped], worst[skipped] = -1, -1
    return BestWorstPairs(best, worst)
