"""The positive and the negative of each row to learn from, one of both: `batch_hard`."""

from typing import Any, Literal, NamedTuple, SupportsIndex, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import ArrayLike, on_gpu_too
from fastpair._embeddings import Metric
from fastpair._progress import Progress, Report
from fastpair._validate import check_choice, check_number
from fastpair.mining._batch import Band, Batch, parse_batch

__all__ = ["BatchHard", "Fallback", "batch_hard", "with_fallback"]

_Floats: TypeAlias = npt.NDArray[np.float64]
_Ints: TypeAlias = npt.NDArray[np.int64]

Fallback: TypeAlias = Literal["none", "hardest", "farthest"]
FALLBACKS = {"none": None, "hardest": "nearest", "farthest": "farthest"}


class BatchHard(NamedTuple):
    """The chosen positive and negative of each row, -1 for none, and their scores, NaN for none."""

    positives: _Ints
    negatives: _Ints
    positive_scores: _Floats
    negative_scores: _Floats


@on_gpu_too
def batch_hard(
    x: ArrayLike,
    y: ArrayLike | None = None,
    *,
    labels: Any = None,
    positives: Any = None,
    metric: Metric = "cosine",
    positive: Literal["hardest", "easiest"] = "hardest",
    negative: Literal["hardest", "semihard", "easiest"] = "hardest",
    margin: float = np.inf,
    fallback: Fallback = "none",
    num_threads: SupportsIndex | None = None,
    max_memory: SupportsIndex | None = None,
    progress: bool | Report = False,
) -> BatchHard:
    r"""Find the hardest positive and the hardest negative of each row of a batch.

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
    positive : {"hardest", "easiest"}
        The least close positive, or the closest.
    negative : {"hardest", "semihard", "easiest"}
        The closest negative; the closest of those that are less close than the chosen positive; or the least close.
    margin : float
        Semi-hard negatives are less close than the positive by less than this, in units of the score.
    fallback : {"none", "hardest", "farthest"}
        What a row with a positive but without a semi-hard negative gets: nothing, its closest negative, or the least
        close.
    num_threads : int, optional
        The most threads to use; by default `fastpair.get_num_threads`.
    max_memory : int, optional
        The most bytes of scratch beside input and output; by default 64 MiB, or what one thread needs.
    progress : bool or callable
        True shows a bar (of tqdm if it is installed); a function is called as ``progress(done, total)``, in pairs.

    Returns
    -------
    BatchHard
        The named tuple ``(positives, negatives, positive_scores, negative_scores)``, each of shape (n,): indices of
        rows of y, int64, -1 for none, and scores, float64, NaN for none. Of equally close ones the first.

    Raises
    ------
    TypeError
        If a dtype cannot be used, or arrays are not in one memory (of the host, or of one GPU).
    ValueError
        If shapes do not match, an embedding is NaN or infinite, the margin is not positive, or an option is unknown.

    See Also
    --------
    triplets : All triplets of a kind, not one for each row.

    Notes
    -----
    With the closeness :math:`c_{ij}` the hardest positive of row i is :math:`\arg\min_{p} c_{ip}` and the hardest
    negative :math:`\arg\max_{n} c_{in}` [1]_, both by float64 scores; one pass finds both.

    Cost: O(n m d). Extra memory: at most `max_memory`.

    References
    ----------
    .. [1] A. Hermans, L. Beyer and B. Leibe (2017). In defense of the triplet loss for person re-identification.
       arXiv:1703.07737.

    Examples
    --------
    >>> import fastpair
    >>> x = [[0.0], [2.0], [3.0], [7.0]]
    >>> found = fastpair.mining.batch_hard(x, labels=[0, 0, 1, 1], metric="euclidean")
    >>> found.positives, found.negatives
    (array([1, 0, 3, 2]), array([2, 2, 1, 1]))
    """
    check_choice(positive, "positive", ("hardest", "easiest"))
    check_choice(negative, "negative", ("hardest", "semihard", "easiest"))
    check_choice(fallback, "fallback", tuple(FALLBACKS))
    width = np.inf if margin == np.inf else check_number(margin, "margin", above=0.0)
    batch = parse_batch(x, y, labels, positives, metric, num_threads, max_memory)
    semihard = negative == "semihard"
    band = Band(positive, lower=-width, upper=0.0) if semihard else Band(positive)
    sweeps = 2 if semihard and fallback != "none" else 1
    with Progress(progress, batch.shape[0] * batch.shape[1] * sweeps) as watcher:
        own, found = batch.best(band, "farthest" if negative == "easiest" else "nearest", watcher)
        if semihard:
            found = with_fallback(batch, found, own[0] >= 0, fallback, watcher)
    return BatchHard(own[0], found[0], own[1], found[1])


def with_fallback(
    batch: Batch, found: tuple[_Ints, _Floats], wanted: npt.NDArray[np.bool_], fallback: str, watcher: Progress
) -> tuple[_Ints, _Floats]:
    """Give the wanted rows that found nothing their nearest or farthest negative."""
    which = FALLBACKS[fallback]
    lacking = wanted & (found[0] < 0)
    if which is None or not lacking.any():
        return found
    _, others = batch.best(Band(), which, watcher)
    return np.where(lacking, others[0], found[0]), np.where(lacking, others[1], found[1])
