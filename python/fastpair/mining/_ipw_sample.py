"""Weighted samples without replacement, corrected for propensities: `ipw_sample`."""

from typing import Any, SupportsIndex, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import ArrayLike
from fastpair._embeddings import check_count, numbers
from fastpair._random import Seed
from fastpair._validate import check_not_negative, check_number, parse_resources
from fastpair.mining._samples import SampledNegatives, chunks
from fastpair.mining._streams import Streams, heaviest

__all__ = ["ipw_sample"]

_Array: TypeAlias = npt.NDArray[Any]


def ipw_sample(
    scores: ArrayLike,
    propensities: ArrayLike | None = None,
    k: SupportsIndex = 1,
    *,
    min_propensity: float = 0.01,
    seed: Seed = None,
    max_memory: SupportsIndex | None = None,
) -> SampledNegatives:
    r"""Sample candidates of each row by score over propensity, without replacement.

    Parameters
    ----------
    scores : array_like, shape (n, m)
        How much each candidate is wanted: finite, not negative. Candidates with score 0 are never drawn.
    propensities : array_like, shape (n, m) or (m,), optional
        How likely each candidate is to be found wanted for the wrong reasons, such as a surface similarity: finite, not
        negative. By default all are alike.
    k : int
        How many candidates to draw for each row.
    min_propensity : float
        Propensities below this count as this, which bounds the weights: positive.
    seed : int, numpy.random.Generator or None
        Where the draws begin; None takes fresh ones.
    max_memory : int, optional
        The most bytes of scratch beside input and output; by default 64 MiB, or what one row needs. It changes no
        result.

    Returns
    -------
    SampledNegatives
        The named tuple ``(indices, counts)``: int64 of shape (n, k), in the order of the draws, and int64 of shape
        (n,). A row with fewer than k candidates of positive score gets all of them, -1 fills up.

    Raises
    ------
    TypeError
        If a dtype cannot be used, or an option is not a number.
    ValueError
        If shapes do not match, a number is negative, NaN or infinite, or an option is out of range.

    See Also
    --------
    fastpair.losses.ipw_pairwise : The correction as weights in a loss.
    fastpair.mining.unigram_negatives : The same weights for all rows.

    Notes
    -----
    With the weights :math:`w_{ij} = s_{ij} / \max(p_{ij}, p_{\min})`, each next candidate of row i is drawn in
    proportion to its weight among those that are left: the k largest of :math:`\log w_{ij}` plus Gumbel noise [2]_.
    Equal weights give uniform samples.

    Cost: O(n m). Peak extra memory: `max_memory`, of which a row needs 56 m bytes.

    References
    ----------
    .. [1] DebCSE: rethinking unsupervised contrastive sentence embedding learning in the debiasing perspective (2023).
    .. [2] W. Kool, H. van Hoof and M. Welling (2019). Stochastic beams and where to find them: the Gumbel-top-k trick
       for sampling sequences without replacement. ICML.

    Examples
    --------
    >>> from fastpair import mining
    >>> mining.ipw_sample([[0.9, 0.5, 0.0, 0.1]], [0.9, 0.1, 0.1, 0.1], 3, seed=0)
    SampledNegatives(indices=array([[1, 3, 0]]), counts=array([3]))
    """
    wanted = check_count(k, "k", 0)
    least = check_number(min_propensity, "min_propensity", above=0)
    resources = parse_resources(None, max_memory)
    given = _parse(scores, "scores")
    if given.ndim != 2:
        hint = "; one row is scores.reshape(1, -1)" if given.ndim == 1 else ""
        raise ValueError(f"scores has shape {given.shape}; pass two dimensions, a score for each pair{hint}")
    count, columns = given.shape
    divisors = None if propensities is None else _parse(propensities, "propensities")
    if divisors is not None and divisors.shape not in ((count, columns), (columns,)):
        raise ValueError(
            f"propensities has shape {divisors.shape}; pass that of scores, {given.shape}, or ({columns},), one for "
            f"each candidate"
        )
    streams = Streams(seed)
    indices, counts = np.full((count, wanted), -1, np.int64), np.zeros(count, np.int64)
    for part in chunks(count, resources.pieces(max(1, count), 56 * max(1, columns))):
        with np.errstate(divide="ignore"):
            logs = np.log(given[part].astype(np.float64))
        if divisors is not None:
            own = divisors if divisors.ndim == 1 else divisors[part]
            logs -= np.log(np.maximum(own.astype(np.float64), least))
        indices[part], counts[part] = heaviest(streams, np.arange(part.start, part.stop), logs, wanted)
    return SampledNegatives(indices, counts)


def _parse(values: ArrayLike, argument: str) -> _Array:
    array = numbers(values, argument, "dot")
    check_not_negative(array, argument)
    return array
