"""Pairs that are hard beside the hardest pair of the other kind: `multi_similarity_mask`."""

from typing import Any, NamedTuple, SupportsIndex, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import ArrayLike, kernels_of, on_gpu_too
from fastpair._embeddings import Metric
from fastpair._progress import Progress, Report
from fastpair._validate import check_number
from fastpair.mining._batch import beside, parse_batch
from fastpair.mining._formats import Format, PairSet, check_format, pair_sets, sweeps, triplets_of

__all__ = ["MinedPairs", "multi_similarity_mask"]

_Array: TypeAlias = npt.NDArray[Any]
_Bytes: TypeAlias = npt.NDArray[np.uint8]


class MinedPairs(NamedTuple):
    """The positives and the negatives that are hard, in one of the formats of pairs."""

    positives: PairSet
    negatives: PairSet


@on_gpu_too
def multi_similarity_mask(
    x: ArrayLike,
    y: ArrayLike | None = None,
    *,
    labels: Any = None,
    positives: Any = None,
    metric: Metric = "cosine",
    epsilon: float = 0.1,
    duplicate_eps: float | None = 1e-5,
    format: Format = "mask",
    num_threads: SupportsIndex | None = None,
    max_memory: SupportsIndex | None = None,
    progress: bool | Report = False,
) -> MinedPairs | _Array:
    r"""Find the positives and negatives that are hard beside the hardest pair of the other kind.

    Parameters
    ----------
    x : array_like, shape (n, d)
        Embeddings of the anchors: float64, float32, float16, bfloat16 (of ml_dtypes), integers or bool.
    y : array_like, shape (m, d), optional
        Embeddings of the candidates. By default x itself, and no row is paired with itself.
    labels : array_like, shape (n,), or tuple of two, optional
        Labels of rows and columns, or a tuple of both: pairs of the same label are positive, others negative.
    positives : array_like, optional
        In place of labels: the column of the positive of each row, shape (n,), -1 for none; or which pairs are
        positive, bool of shape (n, m) or in any format of pairs. By default the diagonal.
    metric : {"cosine", "dot", "euclidean", "sqeuclidean", "manhattan", "hamming", "jaccard", "poincare", "lorentz"}
        What closeness is, see `fastpair.topk`: a score, or a negated distance.
    epsilon : float
        How far a pair may be from the hardest one of the other kind, in units of the score.
    duplicate_eps : float, optional
        Positives with a cosine of at least one less this are duplicates of their row, and no positives. None keeps
        them; other metrics than "cosine" always do.
    format : {"mask", "bits", "csr", "coo", "triplets"}
        How pairs are returned: bool of shape (n, m); bits as of ``numpy.packbits(mask, axis=1)``; `CompressedRows`;
        `Coordinates`; or all triplets of a row, a kept positive and a kept negative.
    num_threads : int, optional
        The most threads to use; by default `fastpair.get_num_threads`.
    max_memory : int, optional
        The most bytes of scratch beside input and output; by default 64 MiB, or what one thread needs.
    progress : bool or callable
        True shows a bar (of tqdm if it is installed); a function is called as ``progress(done, total)``, in pairs.

    Returns
    -------
    MinedPairs or ndarray
        The named tuple ``(positives, negatives)``, both in the format; with "triplets" indices of rows, positives and
        negatives, shape (t, 3).

    Raises
    ------
    TypeError
        If a dtype cannot be used, or arrays are not in one memory (of the host, or of one GPU).
    ValueError
        If shapes do not match, an embedding is NaN or infinite, or an option is unknown.

    See Also
    --------
    hard_mask : Negatives beside the positive of their row.

    Notes
    -----
    With the closeness :math:`c_{ij}` a row keeps the negatives with :math:`c_{in} > \min_p c_{ip} - \epsilon` and the
    positives with :math:`c_{ip} < \max_n c_{in} + \epsilon` [1]_; if one of both is empty, it keeps nothing. Scores are
    compared in float64. Rows are looked at once, while they are in the cache.

    Cost: O(n m d). Extra memory: at most `max_memory`, of which half may be packed bits; "csr" and "coo" count pairs
    first and then fill 4 bytes for each, mining twice where the bits of all rows do not fit.

    References
    ----------
    .. [1] X. Wang, X. Han, W. Huang, D. Dong and M. R. Scott (2019). Multi-similarity loss with general pair weighting
       for deep metric learning. CVPR.

    Examples
    --------
    >>> import fastpair
    >>> x = [[1.0, 0.0], [0.8, 0.6], [0.9, 0.5], [0.0, 1.0]]
    >>> found = fastpair.mining.multi_similarity_mask(x, labels=[0, 0, 1, 1])
    >>> found.negatives.astype(int)
    array([[0, 0, 1, 0],
           [0, 0, 1, 0],
           [1, 1, 0, 0],
           [0, 1, 0, 0]])
    """
    form, near = check_format(format), check_number(epsilon, "epsilon")
    limit = np.inf
    if duplicate_eps is not None:
        apart = check_number(duplicate_eps, "duplicate_eps", least=0.0)
        limit = 1.0 - apart if metric == "cosine" else np.inf
    batch = parse_batch(x, y, labels, positives, metric, num_threads, max_memory)
    compressed = "csr" if form == "triplets" else form
    options = batch.roles.options()
    total = batch.shape[0] * batch.shape[1] * sweeps(batch.shape, 2, compressed, batch.resources)
    with Progress(progress, total) as watcher:

        def write(begin: int, end: int, bits: tuple[_Bytes, ...]) -> None:
            held = 0 if form == "bits" else sum(own.nbytes for own in bits)
            report = watcher.part((end - begin) * batch.shape[1])
            with beside(held):
                kernels_of(batch.x).mine_multi_similarity(
                    *(batch.x, batch.y, batch.metric, options, (begin, end), near, limit),
                    *(bits[0], bits[1], report, *batch.resources, held),
                )
            watcher.end_part()

        found = pair_sets(batch.shape, 2, write, compressed, batch.resources)
    return triplets_of(found[0], found[1], batch.shape[1]) if form == "triplets" else MinedPairs(*found)
