"""Sources, targets and pairs that are chosen by distances and norms.

`select_by_distance`, `farthest_target` and `norm_ratio_filter`.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, SupportsIndex, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import ArrayLike
from fastpair._embeddings import check_count, check_flag
from fastpair._validate import check_not_negative, check_number
from fastpair.mining._pools import parse_pools
from fastpair.mining._values import finite

__all__ = [
    "FarthestTarget",
    "SelectedSources",
    "farthest_target",
    "norm_ratio_filter",
    "select_by_distance",
]

_Floats: TypeAlias = npt.NDArray[np.float64]
_Ints: TypeAlias = npt.NDArray[np.int64]
_Bools: TypeAlias = npt.NDArray[np.bool_]


class SelectedSources(NamedTuple):
    """The nearest source of each row, the next ones with their weights, and how many these are.

    Unused places hold the index -1 and the weight 0.
    """

    positives: _Ints
    negatives: _Ints
    weights: _Floats
    counts: _Ints


class FarthestTarget(NamedTuple):
    """The target that is least similar on average, and the average of each target."""

    target: int
    means: _Floats


def select_by_distance(
    distances: ArrayLike | Callable[[Any, Any], float],
    sources: Sequence[Any] | None = None,
    *,
    n_negatives: SupportsIndex = 2,
    exclude_self: bool = False,
) -> SelectedSources:
    r"""Select the nearest source as positive and the next ones as negatives.

    Parameters
    ----------
    distances : array_like, shape (n, m), or callable
        The distance of each row from each source, not negative. Or a symmetric function of two sources, such as a
        maximum mean discrepancy, that returns it.
    sources : sequence, optional
        With a function, which needs them: the sources, such as arrays of what several devices measured. Each is a row.
    n_negatives : int
        How many negatives to select, at least 1.
    exclude_self : bool
        Never pair row i with source i. Always so with a function.

    Returns
    -------
    SelectedSources
        The named tuple ``(positives, negatives, weights, counts)``: int64, shape (n,), -1 without a source; int64,
        shape (n, n_negatives), nearest first; float64, the inverses of their distances; int64, shape (n,).

    Raises
    ------
    TypeError
        If a dtype cannot be used, or an option is not of its type.
    ValueError
        If a distance is negative, NaN or infinite, a negative has distance 0, or shapes do not match.

    See Also
    --------
    fastpair.losses.info_nce : A loss that takes weights of negatives.

    Notes
    -----
    The nearest source shares most with a row, so its measurements of the same moment are positives; those of the next
    ones, of other moments, are negatives with the weight :math:`1 / d`. Equal distances go by the lowest index.

    Cost: O(n m log m), and one call of a function for each pair. Extra memory: O(n m).

    References
    ----------
    .. [1] Y. Jain, C. I. Tang, C. Min, F. Kawsar and A. Mathur (2022). ColloSSL: collaborative self-supervised learning
       for human activity recognition. IMWUT.

    Examples
    --------
    >>> import fastpair
    >>> found = fastpair.mining.select_by_distance([[0.0, 0.5, 0.25, 1.0]], exclude_self=True)
    >>> found.positives, found.negatives, found.weights
    (array([2]), array([[1, 3]]), array([[2., 1.]]))
    >>> fastpair.mining.select_by_distance(lambda a, b: abs(a - b), [1.0, 2.0, 4.0], n_negatives=1).positives
    array([1, 0, 1])
    """
    count, itself = check_count(n_negatives, "n_negatives", 1), check_flag(exclude_self, "exclude_self")
    if callable(distances):
        values, itself = _all_distances(distances, sources), True
    else:
        if sources is not None:
            raise ValueError("sources is for a function of two sources; with a matrix of distances, drop it")
        values = finite(distances, "distances", 2)
    check_not_negative(values, "distances")
    rows, columns = values.shape
    ranked = values.copy()
    if itself:
        own = np.arange(min(rows, columns))
        ranked[own, own] = np.inf
    order = np.argsort(ranked, axis=1, kind="stable")[:, : count + 1].astype(np.int64)
    near = np.take_along_axis(ranked, order, axis=1)
    found = np.full((rows, count + 1), -1)
    found[:, : order.shape[1]] = np.where(near < np.inf, order, -1)
    weights = np.zeros((rows, count))
    owners, places = np.nonzero(found[:, 1:] >= 0)
    apart = near[owners, places + 1]
    if not apart.all():
        row = int(owners[apart.argmin()])
        raise ValueError(
            f"distances is 0 for two sources of row {row}, whose weight would be infinite; drop equal ones"
        )
    weights[owners, places] = 1 / apart
    return SelectedSources(
        found[:, 0].copy(), found[:, 1:].copy(), weights, np.count_nonzero(found[:, 1:] >= 0, axis=1).astype(np.int64)
    )


def _all_distances(function: Callable[[Any, Any], float], sources: Any) -> _Floats:
    if sources is None or not hasattr(sources, "__len__"):
        raise TypeError(f"sources must be a sequence for a function of two of them, not {type(sources).__name__}")
    count = len(sources)
    values = np.zeros((count, count))
    for i in range(count):
        for j in range(i):
            values[i, j] = values[j, i] = check_number(function(sources[i], sources[j]), f"the distance of {i} and {j}")
    return values


def farthest_target(
    similarities: ArrayLike, *, groups: ArrayLike | None = None, offsets: ArrayLike | None = None
) -> FarthestTarget:
    r"""Find the target that is least similar to the rows on average.

    Parameters
    ----------
    similarities : array_like, shape (n, m)
        The similarity of each clean row to each target, or to each member of sets of targets.
    groups : array_like, shape (m,), optional
        The set of each column, integers or strings. By default each column is a target of its own.
    offsets : array_like, shape (g + 1,), optional
        Where each set begins, and the end, for columns in the order of sets.

    Returns
    -------
    FarthestTarget
        The named tuple ``(target, means)``: the index of the column or set, sets in the order in which they first
        appear, and the average similarity of each, float64, NaN for an empty set.

    Raises
    ------
    TypeError
        If a dtype cannot be used.
    ValueError
        If a similarity is NaN or infinite, shapes do not match, or there is no row or no target.

    See Also
    --------
    fastpair.losses.clip : The loss of image and text retrieval.

    Notes
    -----
    The average is over all rows and all members of a set; equal averages go to the lowest index.

    Cost: O(n m). Extra memory: O(m), and a copy for similarities that are not float64.

    References
    ----------
    .. [1] H. Fang et al. (2024). One perturbation is enough: on generating universal adversarial perturbations against
       vision-language pre-training models.

    Examples
    --------
    >>> import fastpair
    >>> fastpair.mining.farthest_target([[0.9, 0.1, 0.5], [0.8, 0.3, 0.1]])
    FarthestTarget(target=1, means=array([0.85, 0.2 , 0.3 ]))
    """
    scores = finite(similarities, "similarities", 2)
    if not scores.size:
        raise ValueError(f"similarities has shape {scores.shape}; pass at least one row and one target")
    means: _Floats = scores.mean(axis=0)
    if groups is not None or offsets is not None:
        pools = parse_pools(groups, offsets, scores.shape[1])
        means = np.divide(pools.sum(means), pools.sizes, out=np.full(len(pools.sizes), np.nan), where=pools.sizes > 0)
    return FarthestTarget(int(np.nanargmin(means)), means)


def norm_ratio_filter(queries: ArrayLike, references: ArrayLike, *, max_ratio: float = 1.0) -> _Bools:
    r"""Return which pairs to keep: those whose query is not longer than its reference.

    Parameters
    ----------
    queries : array_like, shape (n, d)
        Embeddings that are not normalised.
    references : array_like, shape (n, e)
        The embedding that each is paired with.
    max_ratio : float
        How long a query may be in lengths of its reference, not negative.

    Returns
    -------
    ndarray of bool, shape (n,)
        False for pairs to drop.

    Raises
    ------
    TypeError
        If a dtype cannot be used, or the ratio is not a number.
    ValueError
        If an embedding is NaN or infinite, shapes do not match, or the ratio is negative.

    See Also
    --------
    fastpair.mining.false_negative_filter : Rules of similarities.

    Notes
    -----
    A pair is dropped if :math:`|q| / |r| > ` `max_ratio`. A model trained for asymmetric similarity makes an edited
    copy shorter than its original, so a longer query is no copy of the reference. A reference of length 0 is kept for a
    query of length 0 alone.

    Cost: O(n d). Extra memory: O(n d).

    References
    ----------
    .. [1] W. Wang, Y. Sun and Y. Yang (2023). A benchmark and asymmetrical-similarity learning for practical image copy
       detection. AAAI.

    Examples
    --------
    >>> import fastpair
    >>> fastpair.mining.norm_ratio_filter([[3.0, 4.0], [0.6, 0.8]], [[0.0, 1.0], [1.0, 0.0]])
    array([False,  True])
    """
    left, right = finite(queries, "queries", 2), finite(references, "references", 2)
    if len(left) != len(right):
        raise ValueError(f"queries has {len(left)} rows but references has {len(right)}; pass pairs of rows")
    ratio = check_number(max_ratio, "max_ratio", least=0)
    kept: _Bools = np.linalg.norm(left, axis=1) <= ratio * np.linalg.norm(right, axis=1)
    return kept
