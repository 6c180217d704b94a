"""Synthetic points of a minority class: `smote`."""

from typing import Any, NamedTuple, SupportsIndex, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import ArrayLike
from fastpair._embeddings import Metric, check_count, check_metric
from fastpair._progress import Report
from fastpair._random import Seed, generator
from fastpair._validate import check_number, in_dtype_of, parse_resources
from fastpair.mining._shares import embeddings_of_floats
from fastpair.similarity._topk import topk

__all__ = ["SmoteSamples", "smote"]

_Array: TypeAlias = npt.NDArray[Any]
_Floats: TypeAlias = npt.NDArray[np.float64]
_Ints: TypeAlias = npt.NDArray[np.int64]

METRICS = ("euclidean", "sqeuclidean", "manhattan", "cosine", "dot")


class SmoteSamples(NamedTuple):
    """Synthetic points (s, d), the row and the neighbour that each is between (s, 2), the neighbour's share (s,)."""

    samples: _Array
    parents: _Ints
    shares: _Floats


def smote(
    x: ArrayLike,
    amount: float = 100.0,
    *,
    k: SupportsIndex = 5,
    metric: Metric = "euclidean",
    seed: Seed = None,
    num_threads: SupportsIndex | None = None,
    max_memory: SupportsIndex | None = None,
    progress: bool | Report = False,
) -> SmoteSamples:
    r"""Make synthetic points of a minority class between its points and their nearest neighbours.

    Parameters
    ----------
    x : array_like, shape (n, d)
        The points of the minority class alone, two at least: floats of 16 to 64 bits, or integers.
    amount : float
        How many points to make, in percent of n: each row gets ``amount // 100``, and the rest goes to random rows, one
        each.
    k : int
        How many nearest neighbours of a row its points are made with; n - 1 if that is less.
    metric : {"euclidean", "sqeuclidean", "manhattan", "cosine", "dot"}
        What is near.
    seed : int, numpy.random.Generator or None
        Where the draws begin; None takes fresh ones.
    num_threads : int, optional
        The most threads of the search; by default `fastpair.get_num_threads`.
    max_memory : int, optional
        The most bytes of scratch of the search; by default 64 MiB, or what one thread needs. It changes no result.
    progress : bool or callable
        True shows a bar of the search; a function is called as ``progress(done, total)``, in pairs.

    Returns
    -------
    SmoteSamples
        The named tuple ``(samples, parents, shares)``, in the order of the rows: points in the dtype of x (float64 for
        integers), int64 and float64.

    Raises
    ------
    TypeError
        If a dtype cannot be used, or an option has the wrong type.
    ValueError
        If there are less than two rows, a number is NaN or infinite, or an option is out of range.

    See Also
    --------
    fastpair.mining.mix_pairs : Mixtures of given pairs.

    Notes
    -----
    A point is :math:`x_i + u (x_j - x_i)` with j uniform among the k nearest neighbours of i, itself excluded, and one
    u uniform in (0, 1) for all dimensions: it is on the segment between both. Equal distances go by the lowest index.
    Below 100 percent a random part of the rows gets a point each.

    Cost: O(n² d) for exact neighbours, then O(s d). Peak extra memory: 16 n k bytes, `max_memory`, and the points in
    float64.

    References
    ----------
    .. [1] N. V. Chawla, K. W. Bowyer, L. O. Hall and W. P. Kegelmeyer (2002). SMOTE: synthetic minority over-sampling
       technique. Journal of Artificial Intelligence Research 16.

    Examples
    --------
    >>> from fastpair import mining
    >>> made = mining.smote([[0.0, 0.0], [1.0, 0.0], [5.0, 5.0]], k=1, seed=0)
    >>> made.parents
    array([[0, 1],
           [1, 0],
           [2, 1]])
    >>> made.samples.round(4)
    array([[0.9128, 0.    ],
           [0.3934, 0.    ],
           [2.082 , 1.3525]])
    """
    percent, near = check_number(amount, "amount", least=0), check_count(k, "k", 1)
    name = check_metric(metric, METRICS)
    parse_resources(num_threads, max_memory)
    given, rows = embeddings_of_floats(x, "x")
    count = len(rows)
    if count < 2:
        raise ValueError(f"x has {count} rows; a point is made between two, so pass at least two of the class")
    rng = generator(seed)
    neighbors = topk(
        given,
        k=min(near, count - 1),
        metric=name,  # type: ignore[arg-type]
        exclude_self=True,
        num_threads=num_threads,
        max_memory=max_memory,
        progress=progress,
    ).indices
    whole = int(percent // 100)
    repeats = np.full(count, whole)
    repeats[rng.permutation(count)[: round((percent - 100 * whole) / 100 * count)]] += 1
    bases = np.repeat(np.arange(count), repeats)
    picked = np.minimum((rng.random(len(bases)) * neighbors.shape[1]).astype(np.int64), neighbors.shape[1] - 1)
    parents = np.stack([bases, neighbors[bases, picked]], axis=1)
    shares = rng.random(len(bases))
    start = rows[bases]
    made = start + shares[:, np.newaxis] * (rows[parents[:, 1]] - start)
    return SmoteSamples(in_dtype_of(made, given), parents, shares)
