"""Negatives that are hard, semi-hard or easy beside the positive of their row: `hard_mask`."""

from typing import Any, Literal, SupportsIndex, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import ArrayLike, on_gpu_too
from fastpair._embeddings import Metric
from fastpair._progress import Progress, Report
from fastpair._validate import check_choice, check_number
from fastpair.mining._batch import Band, parse_batch
from fastpair.mining._formats import Format, PairSet, check_format, pair_sets, sweeps, triplets_of

__all__ = ["KINDS", "Kind", "band_of", "hard_mask"]

_Bytes: TypeAlias = npt.NDArray[np.uint8]

Kind: TypeAlias = Literal["margin", "hard", "semihard", "easy"]
KINDS = ("margin", "hard", "semihard", "easy")
REFERENCES = {"min": "hardest", "mean": "mean", "max": "easiest"}


def band_of(kind: str, margin: float, reference: str | None) -> Band:
    """Return the limits of a kind of negatives, measured from a reference."""
    if kind == "hard":
        return Band(reference, lower=0.0)
    if kind == "semihard":
        return Band(reference, lower=-margin, upper=0.0)
    if kind == "easy":
        return Band(reference, upper=-margin, closed=(False, True))
    return Band(reference, lower=-margin)


@on_gpu_too
def hard_mask(
    x: ArrayLike,
    y: ArrayLike | None = None,
    *,
    labels: Any = None,
    positives: Any = None,
    metric: Metric = "cosine",
    kind: Kind = "semihard",
    margin: float = 0.2,
    positive: Literal["min", "mean", "max"] = "min",
    format: Format = "mask",
    num_threads: SupportsIndex | None = None,
    max_memory: SupportsIndex | None = None,
    progress: bool | Report = False,
) -> PairSet:
    r"""Find the negatives that are hard, semi-hard or easy beside the positive of their row.

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
    kind : {"semihard", "hard", "margin", "easy"}
        Which negatives, see the notes.
    margin : float
        How much closer than a negative the positive should be, in units of the score; not negative.
    positive : {"min", "mean", "max"}
        What a row with several positives is measured by: the least close one (the hardest), their mean, the closest.
    format : {"mask", "bits", "csr", "coo", "triplets"}
        How pairs are returned: bool of shape (n, m); bits as of ``numpy.packbits(mask, axis=1)``; `CompressedRows`;
        `Coordinates`; or triplets of a row, each of its positives and each of these negatives, shape (t, 3).
    num_threads : int, optional
        The most threads to use; by default `fastpair.get_num_threads`.
    max_memory : int, optional
        The most bytes of scratch beside input and output; by default 64 MiB, or what one thread needs.
    progress : bool or callable
        True shows a bar (of tqdm if it is installed); a function is called as ``progress(done, total)``, in pairs.

    Returns
    -------
    ndarray, CompressedRows or Coordinates
        The negatives of that kind. Rows without a positive have none.

    Raises
    ------
    TypeError
        If a dtype cannot be used, or arrays are not in one memory (of the host, or of one GPU).
    ValueError
        If shapes do not match, an embedding is NaN or infinite, the margin is negative, or an option is unknown.

    See Also
    --------
    triplets : The same for each positive of a row by itself.
    fastpair.losses.info_nce : Takes the mask as `neg_mask`, or mines inside of the loss.

    Notes
    -----
    With the closeness :math:`c_{ij}` and the reference :math:`r_i` of the row's positives, a negative is

    * hard: :math:`c_{ij} > r_i`;
    * semi-hard: :math:`r_i - \mu < c_{ij} < r_i` [1]_;
    * inside the margin: :math:`c_{ij} > r_i - \mu`, which is hard, semi-hard or tied with the reference;
    * easy: :math:`c_{ij} \le r_i - \mu`.

    Scores are compared in float64, as `fastpair.topk` defines them: equal ones are equal, on every machine.

    Cost: O(n m d). Extra memory: at most `max_memory`, of which half may be packed bits; "csr" and "coo" count pairs
    first and then fill 4 bytes for each, mining twice where the bits of all rows do not fit.

    References
    ----------
    .. [1] F. Schroff, D. Kalenichenko and J. Philbin (2015). FaceNet: a unified embedding for face recognition and
       clustering. CVPR.

    Examples
    --------
    >>> import fastpair
    >>> x = [[1.0, 0.0], [0.8, 0.6], [0.9, 0.5], [0.0, 1.0]]
    >>> fastpair.mining.hard_mask(x, labels=[0, 0, 1, 1], kind="hard").astype(int)
    array([[0, 0, 1, 0],
           [0, 0, 1, 0],
           [1, 1, 0, 0],
           [0, 1, 0, 0]])
    """
    check_choice(kind, "kind", KINDS)
    check_choice(positive, "positive", tuple(REFERENCES))
    form, width = check_format(format), check_number(margin, "margin", least=0.0)
    batch = parse_batch(x, y, labels, positives, metric, num_threads, max_memory)
    band = band_of(kind, width, REFERENCES[positive])
    sets = 2 if form == "triplets" else 1
    compressed = "csr" if form == "triplets" else form
    total = batch.shape[0] * batch.shape[1] * sweeps(batch.shape, sets, compressed, batch.resources)
    with Progress(progress, total) as watcher:

        def write(begin: int, end: int, bits: tuple[_Bytes, ...]) -> None:
            if sets == 2:
                batch.pack_roles(begin, end, bits)
            held = 0 if form == "bits" else sum(own.nbytes for own in bits)
            batch.keep(band, (begin, end), bits[-1], watcher, held=held)

        found = pair_sets(batch.shape, sets, write, compressed, batch.resources)
    return triplets_of(found[0], found[1], batch.shape[1]) if sets == 2 else found[0]
