"""The closest rows of a corpus that may be negatives of each query: `hard_negatives`."""

from dataclasses import replace
from typing import Literal, NamedTuple, SupportsIndex, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import ArrayLike, library_of, on_gpu_too
from fastpair._embeddings import Filter, Metric, check_filter, check_metric
from fastpair._progress import Progress, Report
from fastpair._random import Seed
from fastpair._validate import check_choice, parse_resources
from fastpair.mining._equal_rows import first_equal_rows
from fastpair.mining._positives import parse_lists, parse_positives, renamed, union
from fastpair.mining._report import MiningReport, count_dropped, report_of
from fastpair.mining._rules import Range, TeacherLike, parse_margins, parse_plan, parse_teacher
from fastpair.mining._search import CorpusMiner
from fastpair.mining._sources import Embeddings
from fastpair.similarity._admission import Exclude, parse_admission

__all__ = ["HardNegatives", "hard_negatives"]

_Floats: TypeAlias = npt.NDArray[np.float64]
_Ints: TypeAlias = npt.NDArray[np.int64]

NAMES = {
    "x": "queries",
    "y": "corpus",
    "x_labels": "query_labels",
    "y_labels": "corpus_labels",
}


class HardNegatives(NamedTuple):
    """What was mined: for each row its negatives, best first, their scores, and the score of its positive."""

    indices: _Ints
    """Rows of the corpus, shape (n, k); -1 in unused places, at the end of a row."""
    scores: _Floats
    """Their scores, shape (n, k); in unused places -inf, +inf for a distance."""
    positive_scores: _Floats
    """The score that margins refer to, shape (n,); NaN without a positive."""
    counts: _Ints
    """How many negatives a row has, shape (n,)."""
    report: MiningReport
    """What was dropped by which rule."""


@on_gpu_too
def hard_negatives(
    queries: ArrayLike,
    corpus: ArrayLike,
    positives: Exclude,
    *,
    k: SupportsIndex,
    metric: Metric = "cosine",
    range: Range = (0, None),
    min_score: ArrayLike | None = None,
    max_score: ArrayLike | None = None,
    abs_margin: float | None = None,
    rel_margin: float | None = None,
    positive: Literal["min", "mean", "max", "own"] = "min",
    exclude: Exclude = None,
    query_labels: ArrayLike | None = None,
    corpus_labels: ArrayLike | None = None,
    teacher: TeacherLike | None = None,
    sample: Literal["top", "random", "softmax"] = "top",
    temperature: float = 0.05,
    seed: Seed = None,
    fallback: Literal["short", "relax"] = "short",
    duplicates: Literal["keep", "drop"] = "keep",
    filter: Filter = "auto",
    num_threads: SupportsIndex | None = None,
    max_memory: SupportsIndex | None = None,
    progress: bool | Report = False,
) -> HardNegatives:
    r"""Mine the closest rows of a corpus that are probably no positives of a query, exactly.

    All rules act inside the search, before anything is selected, so a query gets k negatives wherever the corpus has as
    many that are admissible, however many of its closest rows are not.

    Parameters
    ----------
    queries : array_like or sparse, shape (n, d)
        Embeddings of the queries (anchors): all that `fastpair.topk` takes, also a `numpy.memmap`.
    corpus : array_like or sparse, shape (m, d)
        Embeddings of what may be a negative, with the positives among them.
    positives : array_like of int, tuple, list of lists or sparse
        The rows of the corpus that belong to each query: one for each, shape (n,), or several, shape (n, c), in both of
        which -1 is none; compressed rows as a tuple ``(indptr, indices)``; n lists; the stored positions of an (n, m)
        sparse matrix of scipy; or a bool mask of shape (n, m).
    k : int
        Negatives to mine for each row, at least 1.
    metric : {"cosine", "dot", "euclidean", "sqeuclidean", "manhattan", "hamming", "jaccard", "poincare", "lorentz"}
        What a score is, as for `fastpair.topk`. The closest have the largest similarity or the smallest distance.
    range : tuple of int
        Ranks ``(lo, hi)`` among the admissible rows from which negatives are taken: `lo` closest ones are skipped, and
        those from rank `hi` on are too far. With None, "top" needs no end; elsewhere it is
        ``lo + max(10 * k, 100)``.
    min_score : float or array_like, shape (n,), optional
        Pairs with a lower score are no negatives.
    max_score : float or array_like, shape (n,), optional
        Pairs with a higher score are no negatives.
    abs_margin : float, optional
        A negative is at least so much farther than the positive. A negative number lets it be closer by so much; -inf
        switches the rule off.
    rel_margin : float, optional
        A negative is farther than the positive at least by this share of the absolute value of the positive's score;
        signs and -inf as for `abs_margin`.
    positive : {"min", "mean", "max", "own"}
        Which positive margins refer to: the least close of a query, the mean of their scores, the closest; or each by
        itself: then the result has one row for each (query, positive), query by query, in the order given.
    exclude : tuple, list of lists, sparse or array_like of int, optional
        Further rows of the corpus that are no negatives of each query, in the forms of `positives`.
    query_labels : array_like, shape (n,), optional
        Labels of the queries, integers or strings. Pairs of the same label are no negatives.
    corpus_labels : array_like, shape (m,), optional
        Labels of the rows of the corpus.
    teacher : callable or array_like, shape (n, m), optional
        Scores of a better model, larger is closer, as a matrix or a function of indices of queries and of rows of the
        corpus, both of shape (t,), that returns t scores. The `hi` closest admissible rows by embedding are candidates;
        limits, margins, ranks and the scores that are returned are then the teacher's.
    sample : {"top", "random", "softmax"}
        Take the closest of the range, draw uniformly from it, or in proportion to the exponential of closeness divided
        by `temperature`; without replacement.
    temperature : float
        Positive; small values draw mostly the closest.
    seed : int, numpy.random.Generator or None
        Where the draws begin; None takes fresh ones.
    fallback : {"short", "relax"}
        What happens to a row with fewer than k: it stays short, or the closest rows (of the candidates, with a
        teacher) that only a limit or a margin forbids are appended.
    duplicates : {"keep", "drop"}
        "drop" takes no row that is equal to a positive of the query, and of equal rows only the first of the corpus.
    filter : {"auto", "f32", "bf16", "int16", "int8", "off"}
        What rules out most pairs of the search early, as for `fastpair.topk`. It changes the time, never the result.
    num_threads : int, optional
        The most threads to use; by default `fastpair.get_num_threads`.
    max_memory : int, optional
        The most bytes of scratch beside input and output; by default 64 MiB, or what one thread needs.
    progress : bool or callable
        True shows a bar (of tqdm if it is installed); a function is called as ``progress(done, total)``, in pairs.

    Returns
    -------
    HardNegatives
        The named tuple ``(indices, scores, positive_scores, counts, report)``: int64 and float64 of shape (n, k),
        float64 and int64 of shape (n,), and a `MiningReport`. With ``positive="own"`` n is the number of positives.
        Negatives are sorted, closest first and equal scores by index, also if they were drawn; those of "relax" follow.

    Raises
    ------
    TypeError
        If a dtype cannot be used, positives are missing, or an option has the wrong type.
    ValueError
        If shapes do not match, the corpus is empty, a positive is no row of it, no score can pass the limits, the range
        has no room for k, or an embedding or a score of the teacher is not a number.

    See Also
    --------
    fastpair.mining.topk_negatives : The same from a matrix of scores, and for the rows of one batch.
    fastpair.topk : The search itself.

    Notes
    -----
    Let :math:`c` be the closeness of a pair, its similarity or minus its distance, and :math:`c^+` that of the
    positive that stands for those of a query: the minimum, the mean or the maximum. A row of the corpus is admissible
    if it is no positive, not excluded, of another label, its score within `min_score` and `max_score`, and

    .. math:: c \le c^+ - a, \qquad c \le c^+ - |c^+|\, r

    with the margins :math:`a` and :math:`r`. Both bounds are rounded to float64, and a score equal to its bound is
    admissible. The absolute value makes the relative margin right where the positive's score is negative [1]_. A query
    without a positive has no margins. So for a distance a negative is farther than the positive by at least :math:`a`,
    and :math:`r` of the positive's distance; there `min_score` is what protects from false negatives.

    Scores are those of `fastpair.topk`, bit for bit, and so is the result for every number of threads, instruction set
    and `max_memory`; draws depend on the seed and the number of the row.

    In the report, what limits and margins drop is counted among all rows of the corpus that no other rule drops; with a
    teacher, among the candidates.

    Cost: O(n m d), once; with "relax" once more for the rows that are short. Peak extra memory: `max_memory`, and what
    has the size of the input without the embeddings: lists as int64, labels, and 24 bytes for each row of the corpus
    with ``duplicates="drop"``, whose equal rows are found by a hash and then compared.

    References
    ----------
    .. [1] G. de S. P. Moreira, R. Osmulski, M. Xu, R. Ak, B. Schifferer and E. Oldridge (2024). NV-Retriever: improving
       text embedding models with effective hard-negative mining.
    .. [2] Y. Qu et al. (2021). RocketQA: an optimized training approach to dense passage retrieval for open-domain
       question answering. NAACL.

    Examples
    --------
    >>> import fastpair
    >>> queries = [[1.0, 0.0], [0.0, 1.0]]
    >>> corpus = [[4.0, 3.0], [3.0, 4.0], [12.0, 5.0], [-1.0, 0.0]]
    >>> found = fastpair.mining.hard_negatives(queries, corpus, [0, 1], k=2)
    >>> found.indices
    array([[2, 1],
           [0, 2]])

    Row 2 is closer to the first query than its positive, so it may well be a positive that nobody has marked. With a
    margin it is none of its negatives:

    >>> found = fastpair.mining.hard_negatives(queries, corpus, [0, 1], k=2, rel_margin=0.05)
    >>> found.indices
    array([[1, 3],
           [0, 2]])
    >>> found.scores.round(2)
    array([[ 0.6 , -1.  ],
           [ 0.6 ,  0.38]])
    >>> print(found.report)
    4 negatives for 2 queries, 2 each; no row is short
    dropped pairs: 2 positive, 1 within rel_margin
    """
    name, resources = check_metric(metric), parse_resources(num_threads, max_memory)
    source = Embeddings(queries, corpus, name, NAMES, resources, check_filter(filter))
    rows, columns = source.shape
    if not columns:
        raise ValueError("corpus has no rows; pass at least those that the positives name")
    given = parse_positives(positives, rows, columns, NAMES)
    judge = parse_teacher(teacher, source.shape)
    plan = parse_plan(
        k,
        range,
        columns,
        sample=sample,
        temperature=temperature,
        fallback=fallback,
        positive=positive,
        seed=seed,
        with_teacher=judge is not None,
    )
    check_choice(duplicates, "duplicates", ("keep", "drop"))
    with renamed(NAMES):
        margins = parse_margins(
            rows,
            judge is not None or source.largest,
            None if judge is not None else name,
            min_score,
            max_score,
            abs_margin,
            rel_margin,
        )
        labelled = query_labels is not None or corpus_labels is not None
        admission = parse_admission(
            *(rows, columns),
            x_labels=query_labels,
            y_labels=corpus_labels,
            same_label=False if labelled else None,
        )
    excluded = given.lists
    if exclude is not None:
        excluded = union(parse_lists(exclude, "exclude", rows, columns, NAMES), excluded, columns)
    with Progress(progress, (len(given.columns) if positive == "own" else rows) * columns) as watcher:
        first = None
        admission = replace(admission, exclude=excluded)
        if duplicates == "drop":
            first = first_equal_rows(source.y, resources)
            leading = first == library_of(first).arange(columns)
            if not leading.all():
                copies = (given.starts, first[given.columns])
                admission = replace(admission, exclude=union(copies, excluded, columns), mask=leading)
        times = np.diff(given.starts) if positive == "own" else None
        dropped = count_dropped(given, excluded, admission, first, times)
        mined = CorpusMiner(source, given, admission, plan, margins, judge, resources).run(watcher)
    return HardNegatives(
        mined.indices, mined.scores, mined.positive_scores, mined.counts, report_of(mined, rows, dropped)
    )
