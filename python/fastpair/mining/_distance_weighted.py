"""Negatives whose distances are spread evenly: `distance_weighted`."""

from dataclasses import replace
from typing import Any, SupportsIndex, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import ArrayLike
from fastpair._embeddings import check_count, two_sets
from fastpair._progress import Report
from fastpair._random import Seed
from fastpair._roles import Roles, parse_roles
from fastpair._validate import check_number, parse_resources
from fastpair.mining._nearest import exact_rows
from fastpair.mining._samples import SampledNegatives
from fastpair.mining._streams import Streams, heaviest

__all__ = ["distance_weighted"]

_Array: TypeAlias = npt.NDArray[Any]
_Floats: TypeAlias = npt.NDArray[np.float64]
_Bools: TypeAlias = npt.NDArray[np.bool_]

LEAST_GAP = 2.0**-53
"""(1 + cosine) / 2 is kept above this, or opposite vectors would have an infinite weight."""


def distance_weighted(
    x: ArrayLike,
    y: ArrayLike | None = None,
    *,
    labels: ArrayLike | tuple[ArrayLike, ArrayLike] | None = None,
    positives: ArrayLike | None = None,
    k: SupportsIndex = 1,
    cutoff: float = 0.5,
    nonzero_cutoff: float | None = None,
    seed: Seed = None,
    num_threads: SupportsIndex | None = None,
    max_memory: SupportsIndex | None = None,
    progress: bool | Report = False,
) -> SampledNegatives:
    r"""Sample negatives in inverse proportion to the density of their distances on the sphere.

    Parameters
    ----------
    x : array_like, shape (n, d)
        Anchors, d at least 2: floats of 16 to 64 bits, or integers. Only directions matter.
    y : array_like, shape (m, d), optional
        The other embeddings; by default x itself, and then a row is no negative of itself.
    labels : array_like or tuple of two, optional
        Pairs of different labels are negatives: one array for both sets, or ``(labels of x, labels of y)``.
    positives : array_like of int, shape (n,), or of bool, shape (n, m), optional
        In place of labels: the column of the positive of each row, -1 for none, or all positive pairs; by default the
        diagonal. All other pairs are negatives.
    k : int
        How many negatives to draw for each row, without replacement.
    cutoff : float
        Distances below this count as this, or near pairs would win every draw: above 0, at most 2.
    nonzero_cutoff : float, optional
        Pairs whose distance is this or larger are never drawn; 1.4 is usual.
    seed : int, numpy.random.Generator or None
        Where the draws begin; None takes fresh ones.
    num_threads : int, optional
        The most threads for distances; by default `fastpair.get_num_threads`.
    max_memory : int, optional
        The most bytes of scratch beside input and output; by default 64 MiB, or what one row needs. It changes no
        result.
    progress : bool or callable
        True shows a bar; a function is called as ``progress(done, total)``, in pairs.

    Returns
    -------
    SampledNegatives
        The named tuple ``(indices, counts)``: int64 of shape (n, k), in the order of the draws, and int64 of shape
        (n,). A row with fewer than k possible negatives gets all of them, -1 fills up.

    Raises
    ------
    TypeError
        If a dtype cannot be used, or an option is not a number.
    ValueError
        If shapes do not match, embeddings have less than two dimensions, are NaN or infinite, or an option is out of
        range.

    See Also
    --------
    fastpair.mining.batch_hard : The nearest negative of each row.
    fastpair.losses.margin_ranking : A loss for pairs of scores.

    Notes
    -----
    The distances D of uniform points on the unit sphere of d dimensions have the density

    .. math:: q(D) \propto D^{d - 2} \left(1 - D^2 / 4\right)^{(d - 3) / 2} ,

    and a negative is drawn with a probability in proportion to :math:`1 / q(\max(D, c))` with the cutoff c: in high
    dimensions nearly all negatives have distances around :math:`\sqrt 2`, here all distances are equally likely. It is
    evaluated in logarithms, and drawn as the largest of log weights plus Gumbel noise, so no weight overflows. With
    :math:`D^2 = 2 - 2 \cos`, the last factor is the cosine's :math:`(1 + \cos) / 2`, which is kept above
    :math:`2^{-53}`: opposite vectors weigh much for d > 3, but finitely. Rows of zeros have the cosine 0. A row all of
    whose negatives are beyond `nonzero_cutoff` gets none.

    Cost: O(n m d) for exact cosines and n m random numbers. Peak extra memory: `max_memory`, which needs room
    for 144 m bytes of a row at least.

    References
    ----------
    .. [1] C.-Y. Wu, R. Manmatha, A. J. Smola and P. Krahenbuhl (2017). Sampling matters in deep embedding learning.
       ICCV.
    .. [2] X. Wang, X. Han, W. Huang, D. Dong and M. R. Scott (2019). Multi-similarity loss with general pair weighting
       for deep metric learning. CVPR.

    Examples
    --------
    >>> from fastpair import mining
    >>> x = [[1.0, 0.0, 0.0], [0.8, 0.6, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    >>> mining.distance_weighted(x, labels=["a", "a", "b", "b"], seed=0).indices.ravel()
    array([3, 2, 1, 0])
    >>> mining.distance_weighted(x, labels=["a", "a", "b", "b"], k=3, nonzero_cutoff=1.4, seed=0)
    SampledNegatives(indices=array([[-1, -1, -1],
           [ 2, -1, -1],
           [ 1, -1, -1],
           [-1, -1, -1]]), counts=array([0, 1, 1, 0]))
    """
    wanted = check_count(k, "k", 0)
    least = check_number(cutoff, "cutoff", above=0, most=2)
    most = np.inf if nonzero_cutoff is None else check_number(nonzero_cutoff, "nonzero_cutoff", above=0)
    resources = parse_resources(num_threads, max_memory)
    rows, columns, single = two_sets(x, y, "cosine")
    if single:
        raise ValueError(f"x has shape {rows.shape[1:]}; pass two dimensions; one row is x.reshape(1, -1)")
    if rows.shape[1] < 2:
        raise ValueError(f"x has {rows.shape[1]} columns; distances on a sphere need two dimensions at least")
    roles = parse_roles((len(rows), len(columns)), y is None, positives, labels=labels)
    streams = Streams(seed)
    indices, counts = np.full((len(rows), wanted), -1, np.int64), np.zeros(len(rows), np.int64)
    for part, cosines in exact_rows(
        rows, columns, "cosine", row_bytes=64 * len(columns), resources=resources, progress=progress
    ):
        weights = _log_weights(cosines, rows.shape[1], least, most)
        weights[~_negatives(roles, part)] = -np.inf
        indices[part], counts[part] = heaviest(streams, np.arange(part.start, part.stop), weights, wanted)
    return SampledNegatives(indices, counts)


def _log_weights(cosines: _Floats, dimensions: int, cutoff: float, beyond: float) -> _Floats:
    """Return log weights but for what all share; -inf for distances of `beyond` and more."""
    squares = np.maximum(2 - 2 * cosines, 0.0)
    near = np.maximum(squares, cutoff * cutoff)
    gaps = np.maximum(1 - near / 4, LEAST_GAP)
    logs = (dimensions - 2) / 2 * np.log(near) + (dimensions - 3) / 2 * np.log(gaps)
    return np.where(squares < beyond * beyond, -logs, -np.inf)


def _negatives(roles: Roles, part: slice) -> _Bools:
    """Return which pairs of a part of the rows are negative."""
    positives = roles.positives
    if isinstance(positives, str):
        positives = np.arange(part.start, part.stop)
    elif positives is not None:
        positives = positives[part]
    of_part = replace(
        roles,
        shape=(part.stop - part.start, roles.shape[1]),
        positives=positives,
        labels=None if roles.labels is None else (roles.labels[0][part], roles.labels[1]),
        self_columns=None if roles.self_columns is None else roles.self_columns[part],
    )
    return of_part.negative_mask(of_part.positive_mask())
