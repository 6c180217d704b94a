"""Negatives that were used least so far: `least_used_negatives`."""

from typing import Any, Literal, NamedTuple, SupportsIndex, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import ArrayLike, array_of
from fastpair._embeddings import check_count
from fastpair._random import Seed
from fastpair._validate import check_choice, check_number
from fastpair.mining._streams import Streams, heaviest

__all__ = ["LeastUsedNegatives", "least_used_negatives"]

_Array: TypeAlias = npt.NDArray[Any]
_Ints: TypeAlias = npt.NDArray[np.int64]


class LeastUsedNegatives(NamedTuple):
    """The items of this round, int64 padded with -1, how many there are, and how often each item was used with it."""

    indices: _Ints
    counts: np.int64
    uses: _Ints


def least_used_negatives(
    uses: ArrayLike,
    k: SupportsIndex,
    *,
    mode: Literal["random", "deterministic"] = "random",
    power: float = 1.0,
    seed: Seed = None,
) -> LeastUsedNegatives:
    r"""Choose negatives for a round of training, rather those that were used less before.

    Parameters
    ----------
    uses : array_like of int, shape (m,)
        How often each item was used so far, not negative: zeros at first, then what the last call returned.
    k : int
        How many items to choose, each once.
    mode : {"random", "deterministic"}
        Draw in inverse proportion to uses, or take those with the fewest, equal ones by index.
    power : float
        For "random": the power of the inverse, not negative; 0 is uniform.
    seed : int, numpy.random.Generator or None
        Where the draws of "random" begin; None takes fresh ones.

    Returns
    -------
    LeastUsedNegatives
        The named tuple ``(indices, counts, uses)``: int64 of shape (k,), of which places beyond m are -1; the number of
        valid ones; and the updated uses, a new int64 array.

    Raises
    ------
    TypeError
        If uses are no integers, or an option has the wrong type.
    ValueError
        If uses have the wrong shape or are negative, or an option is out of range.

    See Also
    --------
    fastpair.mining.unigram_negatives : Negatives by a power of how often they occur.

    Notes
    -----
    The state goes in and comes out; nothing is kept. "random" draws without replacement, each next item in proportion
    to :math:`(1 + u_j)^{-p}` among those that are left. "deterministic" goes through all items before it takes one
    again: if the uses begin equal, they differ by one at most after any number of rounds.

    Cost: O(m), and O(m log m) for "deterministic". Peak extra memory: 48 m bytes.

    References
    ----------
    .. [1] J. Bozic, D. Tabernik and D. Skocaj (2020). End-to-end training of a two-stage neural network for defect
       detection. ICPR.

    Examples
    --------
    >>> from fastpair import mining
    >>> first = mining.least_used_negatives([0, 0, 0, 0, 0], 3, mode="deterministic")
    >>> first
    LeastUsedNegatives(indices=array([0, 1, 2]), counts=np.int64(3), uses=array([1, 1, 1, 0, 0]))
    >>> mining.least_used_negatives(first.uses, 3, mode="deterministic").uses
    array([2, 1, 1, 1, 1])
    """
    counts = _parse_uses(uses)
    wanted = check_count(k, "k", 0)
    check_choice(mode, "mode", ("random", "deterministic"))
    exponent = check_number(power, "power", least=0)
    indices = np.full(wanted, -1, np.int64)
    if mode == "deterministic":
        chosen = np.argsort(counts, kind="stable")[:wanted]
    else:
        logs = -exponent * np.log1p(counts.astype(np.float64))
        drawn, found = heaviest(Streams(seed), np.zeros(1, np.int64), logs[np.newaxis], wanted)
        chosen = drawn[0, : found[0]]
    indices[: len(chosen)] = chosen
    counts[chosen] += 1
    return LeastUsedNegatives(indices, np.int64(len(chosen)), counts)


def _parse_uses(uses: ArrayLike) -> _Ints:
    """Return a copy of the uses."""
    array = array_of(uses, "uses")
    if array.ndim != 1:
        raise ValueError(f"uses has shape {array.shape}; pass one dimension, a number for each item")
    if array.dtype.kind not in "iu" and array.size:
        raise TypeError(f"uses has dtype {array.dtype}; pass integers, how often each item was used")
    if array.size and array.min() < 0:
        place = int(array.argmin())
        raise ValueError(f"uses is {array[place]} at index {place}; pass numbers that are not negative")
    return array.astype(np.int64)
