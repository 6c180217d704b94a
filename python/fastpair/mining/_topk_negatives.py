"""The k hardest admissible negatives of each row, from embeddings or a matrix of scores: `topk_negatives`."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple, SupportsIndex, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import ArrayLike, array_of, library_of, library_of_call, on_gpu_too
from fastpair._embeddings import Filter, Metric, check_count, check_filter, check_flag, check_metric
from fastpair._progress import Progress, Report
from fastpair._random import Seed
from fastpair._roles import same_codes
from fastpair._validate import Resources, parse_resources
from fastpair.mining._formats import owners_of
from fastpair.mining._positives import Lists, Positives, parse_positives, renamed, union
from fastpair.mining._rules import Range, Teacher, TeacherLike, parse_margins, parse_plan
from fastpair.mining._search import CorpusMiner, Mined, order_by
from fastpair.mining._sources import Embeddings, Matrix, Source
from fastpair.similarity._admission import Admission, Exclude, parse_admission
from fastpair.similarity._search import empty_topk

__all__ = ["TopkNegatives", "topk_negatives"]

_Floats: TypeAlias = npt.NDArray[np.float64]
_Ints: TypeAlias = npt.NDArray[np.int64]

NAMES = {"x": "x", "y": "y", "mask": "filter"}
FILTERS = ("min_score", "max_score", "abs_margin", "rel_margin", "positive")


class TopkNegatives(NamedTuple):
    """The negatives of each row, best first, and their scores; unused places at the end of a row hold the index -1."""

    indices: _Ints
    scores: _Floats
    counts: _Ints


@on_gpu_too
def topk_negatives(
    x: ArrayLike | None = None,
    y: ArrayLike | None = None,
    *,
    k: SupportsIndex,
    positives: Exclude = None,
    similarities: ArrayLike | None = None,
    metric: Metric = "cosine",
    filter: ArrayLike | Mapping[str, Any] | None = None,
    teacher: TeacherLike | None = None,
    rank_range: Range | None = None,
    skip_top: SupportsIndex = 0,
    ids: ArrayLike | tuple[ArrayLike, ArrayLike] | None = None,
    append_relevant: bool = False,
    seed: Seed = None,
    search_filter: Filter = "auto",
    num_threads: SupportsIndex | None = None,
    max_memory: SupportsIndex | None = None,
    progress: bool | Report = False,
) -> TopkNegatives:
    r"""Select the k hardest admissible negatives of each row.

    Parameters
    ----------
    x : array_like or sparse, shape (n, d), optional
        Embeddings of the rows (anchors), as `fastpair.topk` takes them.
    y : array_like or sparse, shape (m, d), optional
        Embeddings of what may be a negative. By default x itself; then a row is never its own negative.
    k : int
        Negatives to select for each row, at least 1.
    positives : array_like of int, mask, tuple, list of lists or sparse, optional
        The columns that are positives of each row: by default the diagonal; one for each row, shape (n,), or several,
        shape (n, c), in both of which -1 is none; a bool mask of shape (n, m); compressed rows as a tuple
        ``(indptr, indices)``; n lists; or the stored positions of a sparse matrix of scipy.
    similarities : array_like, shape (n, m), optional
        Scores instead of embeddings, larger is closer; pass either.
    metric : {"cosine", "dot", "euclidean", "sqeuclidean", "manhattan", "hamming", "jaccard", "poincare", "lorentz"}
        What a score is, as for `fastpair.topk`.
    filter : array_like of bool, shape (n, m), or mapping, optional
        Which pairs may be negatives, such as `fastpair.mining.false_negative_filter` returns (also packed with
        ``numpy.packbits(filter, axis=-1)``); or rules by name: "min_score", "max_score", "abs_margin", "rel_margin" and
        "positive", as `fastpair.mining.hard_negatives` describes them.
    teacher : array_like, shape (n, m), or callable, optional
        Scores that decide instead, larger is closer. A matrix takes the place of all others. A function of indices of
        rows and of columns, which returns a score for each pair, is asked for the ``max(10 * k, 100)`` hardest, or
        those up to the end of `rank_range`.
    rank_range : tuple of int, optional
        Ranks ``(lo, hi)`` among the admissible from which k are drawn, uniformly and without replacement.
    skip_top : int
        How many of the hardest to skip.
    ids : array_like, shape (m,), or tuple of two, optional
        Identities of the columns: those that have the id of a positive of the row are no negatives. A tuple has ids of
        rows and of columns, and equal ones are no negatives; so do labels. With x alone, those of the rows themselves.
    append_relevant : bool
        Let positives compete for the k places, and append all of a row where none gets one.
    seed : int, numpy.random.Generator or None
        Where draws begin; None takes fresh ones.
    search_filter : {"auto", "f32", "bf16", "int16", "int8", "off"}
        What rules out most pairs of embeddings early: the `filter` of `fastpair.topk`, which here has another meaning.
        It changes the time, never the result.
    num_threads : int, optional
        The most threads to use; by default `fastpair.get_num_threads`.
    max_memory : int, optional
        The most bytes of scratch beside input and output; by default 64 MiB, or what one thread needs.
    progress : bool or callable
        True shows a bar (of tqdm if it is installed); a function is called as ``progress(done, total)``, in pairs.

    Returns
    -------
    TopkNegatives
        The named tuple ``(indices, scores, counts)``: int64 and float64 of shape (n, k), int64 of shape (n,). Hardest
        first, equal scores by index; unused places at the end of a row hold -1 and -inf (+inf for a distance). With
        `append_relevant` the arrays have k + c columns, for the most positives c that a row has.

    Raises
    ------
    TypeError
        If a dtype cannot be used, or an option has the wrong type.
    ValueError
        If shapes do not match, embeddings and similarities are both given, a positive is no column, a rule of `filter`
        is unknown, ranks have no room for k, or a score is NaN.

    See Also
    --------
    fastpair.mining.hard_negatives : The same for a large corpus, with more rules and a report.
    fastpair.mining.false_negative_filter : Rules that combine into a mask.

    Notes
    -----
    .. math:: N_i = \operatorname{top}_k \{ S_{ij} : j \notin P_i,\; \mathrm{id}_j \ne \mathrm{id}_i,\; F_{ij} \}

    with the filter :math:`F`; positives are forbidden before anything is selected, so without rules the result is the
    plain top k of what is left. ``rank_range=(50, 100)`` draws among the harder but not the hardest [2]_; dropping
    what is closer than the positive by more than 0.1 is ``filter={"abs_margin": -0.1}`` [3]_. `append_relevant` with
    k = 200 is the list that dynamic hard negatives are trained on [1]_.

    Cost: O(n m d) from embeddings, O(n m) from a matrix, in blocks of rows. Peak extra memory: `max_memory`, and lists
    and ids as int64.

    References
    ----------
    .. [1] J. Zhan et al. (2021). Optimizing dense retrieval model training with hard negatives. SIGIR.
    .. [2] KaLM-Embedding-V2: superior training techniques and data inspire a versatile embedding model (2025).
    .. [3] T. Gu et al. (2025). Breaking the modality barrier: universal embedding learning with multimodal LLMs.

    Examples
    --------
    >>> from fastpair import mining
    >>> similarities = [[0.9, 0.2, 0.4, 0.95], [0.1, 0.7, 0.3, 0.2], [0.5, 0.6, 0.8, 0.1]]
    >>> mining.topk_negatives(similarities=similarities, k=2).indices
    array([[3, 2],
           [2, 3],
           [1, 0]])
    >>> mining.topk_negatives(similarities=similarities, k=2, filter={"abs_margin": 0.25})
    TopkNegatives(indices=array([[2, 1],
           [2, 3],
           [0, 3]]), scores=array([[0.4, 0.2],
           [0.3, 0.2],
           [0.5, 0.1]]), counts=array([2, 2, 2]))
    """
    name, resources = check_metric(metric), parse_resources(num_threads, max_memory)
    kind = check_filter(search_filter, "search_filter")
    source, judge = _parse_source(x, y, similarities, teacher, name, resources, kind)
    rows, columns = source.shape
    within = y is None and x is not None
    given = _parse_positives(positives, rows, columns, within, ids is not None)
    relevant = check_flag(append_relevant, "append_relevant")
    rules = dict(filter) if isinstance(filter, Mapping) else {}
    for rule in rules:
        if rule not in FILTERS:
            raise ValueError(f"filter names the rule {rule!r}; rules are {', '.join(map(repr, FILTERS))}")
    skipped = check_count(skip_top, "skip_top", 0)
    if skipped >= columns > 0:
        raise ValueError(f"skip_top={skipped} skips all of the {columns} columns; skip fewer")
    if skipped and rank_range is not None:
        raise ValueError(f"skip_top={skipped} and rank_range={rank_range} were both given; begin the range later")
    if relevant and (skipped or rank_range is not None):
        raise ValueError("append_relevant=True needs the k hardest, without skip_top and rank_range")
    positive = rules.pop("positive", "min")
    if positive == "own":
        raise ValueError("filter['positive'] is 'own', which only hard_negatives takes; pass 'min', 'mean' or 'max'")
    plan = parse_plan(
        k,
        (skipped, None) if rank_range is None else rank_range,
        columns,
        sample="top" if rank_range is None else "random",
        temperature=1.0,
        fallback="short",
        positive=positive,
        seed=seed,
        with_teacher=judge is not None,
        argument="rank_range",
    )
    bounded = name if isinstance(source, Embeddings) and judge is None else None
    margins = parse_margins(
        *(rows, judge is not None or source.largest, bounded),
        *(rules.get(rule) for rule in ("min_score", "max_score", "abs_margin", "rel_margin")),
    )
    mask = None if isinstance(filter, Mapping) else filter
    admission = _parse_rules(rows, columns, given, within, mask, ids)
    miner = CorpusMiner(source, given, admission, plan, margins, judge, resources)
    with Progress(progress, rows * columns) as watcher:
        mined = miner.run(watcher)
    if relevant:
        return _with_relevant(miner, mined)
    return TopkNegatives(mined.indices, mined.scores, mined.counts)


def _parse_source(
    x: ArrayLike | None,
    y: ArrayLike | None,
    similarities: ArrayLike | None,
    teacher: TeacherLike | None,
    metric: str,
    resources: Resources,
    kind: str,
) -> tuple[Source, Teacher | None]:
    """Return where scores come from, and who gives those that decide."""
    if x is not None and similarities is not None:
        raise ValueError("x and similarities were both given; pass embeddings or their scores")
    if y is not None and x is None:
        raise ValueError("y was given without x; pass both, or similarities")
    source: Source | None = None
    if x is not None:
        source = Embeddings(x, x if y is None else y, metric, NAMES, resources, kind)
    elif similarities is not None:
        source = Matrix(similarities, "similarities", resources)
    if teacher is not None and not (callable(teacher) and not hasattr(teacher, "__array__")):
        judge = Matrix(teacher, "teacher", resources)
        if source is not None and judge.shape != source.shape:
            raise ValueError(f"teacher has shape {judge.shape}; pass shape {source.shape}, a score for each pair")
        return judge, None
    if source is None:
        raise TypeError("x and similarities are both None; pass embeddings or scores of pairs")
    return source, None if teacher is None else Teacher(teacher, source.shape)


def _parse_positives(positives: Exclude, rows: int, columns: int, within: bool, with_ids: bool) -> Positives:
    if positives is not None:
        return parse_positives(positives, rows, columns, NAMES)
    library = library_of_call()
    if within:
        if with_ids:
            return Positives(library.zeros(rows + 1, np.int64), library.zeros(0, np.int64), columns)
        raise ValueError("positives is None, which is the diagonal, but without y that is each row itself; pass it")
    if rows > columns:
        raise ValueError(
            f"there are {rows} rows but {columns} columns, too few for a positive on the diagonal of each row; pass "
            f"positives="
        )
    return Positives(library.arange(rows + 1), library.arange(rows), columns)


def _parse_rules(
    rows: int, columns: int, positives: Positives, within: bool, mask: ArrayLike | None, ids: Any
) -> Admission:
    """Return the rules that do not depend on scores."""
    with renamed(NAMES):
        admission = parse_admission(rows, columns, exclude_self=within, mask=mask)
    admission = replace(admission, exclude=positives.lists, same_label=False)
    if ids is None:
        return admission
    if isinstance(ids, tuple) and len(ids) == 2:
        left, right = array_of(ids[0], "ids[0]"), array_of(ids[1], "ids[1]")
        if left.shape != (rows,) or right.shape != (columns,):
            raise ValueError(
                f"ids has shapes {left.shape} and {right.shape}; pass shapes ({rows},) and ({columns},), ids of rows "
                f"and of columns"
            )
        own, codes = same_codes(left, right, "ids")
        return replace(admission, x_labels=own, y_labels=codes)
    array = array_of(ids, "ids")
    if array.shape != (columns,):
        raise ValueError(f"ids has shape {array.shape}; pass shape ({columns},), one id for each column")
    codes = same_codes(array, array, "ids")[0]
    if within:
        return replace(admission, x_labels=codes, y_labels=codes)
    if (np.diff(positives.starts) <= 1).all():
        own = library_of(codes).full(rows, -1, np.int64)
        own[positives.owners] = codes[positives.columns]
        return replace(admission, x_labels=own, y_labels=codes)
    return replace(admission, exclude=union(_columns_of(codes, positives), positives.lists, columns))


def _columns_of(codes: _Ints, positives: Positives) -> Lists:
    """Return the columns that have the id of a positive of each row."""
    order = np.argsort(codes, kind="stable")
    ascending, wanted = codes[order], codes[positives.columns]
    begins = np.searchsorted(ascending, wanted)
    totals: _Ints = library_of(codes).zeros(len(wanted) + 1, np.int64)
    totals[1:] = np.cumsum(np.searchsorted(ascending, wanted, side="right") - begins)
    total = int(totals[-1])
    places = (begins - totals[:-1])[owners_of(totals, total)] + library_of(codes).arange(total)
    return totals[positives.starts], order[places]


def _with_relevant(miner: CorpusMiner, mined: Mined) -> TopkNegatives:
    """Merge positives into the lists, or append them where none is among the k hardest."""
    starts, columns = miner.positives.lists
    rows, k = mined.indices.shape
    lengths = np.diff(starts)
    width = k + (int(lengths.max()) if rows else 0)
    sign = 1.0 if miner.largest else -1.0
    scores, indices = empty_topk(rows, width, miner.largest, miner.library)
    step = miner.resources.pieces(max(rows, 1), 80 * width)
    for begin in range(0, rows, step):
        end = min(begin + step, rows)
        named = columns[int(starts[begin]) : int(starts[end])]
        own = starts[begin : end + 1] - starts[begin]
        owners = owners_of(own, len(named))
        places = miner.library.arange(len(owners)) - own[owners] + k
        block, values = indices[begin:end], scores[begin:end]
        block[:, :k], values[:, :k] = mined.indices[begin:end], mined.scores[begin:end]
        block[owners, places] = named
        score = miner.source.pair_scores if miner.teacher is None else miner.teacher.scores
        values[owners, places] = score(owners + begin, named)
        order = order_by(block, -sign * values, block < 0)
        hit = (order[:, :k] >= k) & np.take_along_axis(block >= 0, order[:, :k], 1)
        # Where no positive is among the first k, they come after the list, best first.
        later = np.broadcast_to(miner.library.arange(width) >= k, block.shape)
        behind = order_by(block, -sign * values, block < 0, later)
        among = hit.any(axis=1)
        order = np.where(among[:, np.newaxis], order, behind)
        block[:], values[:] = np.take_along_axis(block, order, 1), np.take_along_axis(values, order, 1)
        block[:, k:] = np.where(among[:, np.newaxis], -1, block[:, k:])
        values[:, k:] = np.where(among[:, np.newaxis], -sign * np.inf, values[:, k:])
    return TopkNegatives(indices, scores, np.count_nonzero(indices >= 0, axis=1))
