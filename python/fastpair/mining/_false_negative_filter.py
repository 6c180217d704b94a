"""Negatives that are probably positives, dropped by rules: `false_negative_filter`.

Each rule says for itself which pairs it drops; a negative is kept if none does.
"""

from typing import Any, Literal, SupportsIndex, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import ArrayLike, array_of
from fastpair._embeddings import check_count, embeddings, numbers
from fastpair._roles import same_codes
from fastpair._validate import check_choice, check_number
from fastpair.mining._false_negative_rules import Codes, Rules
from fastpair.mining._pair_roles import PairRoles, parse_pair_roles
from fastpair.mining._values import blocks, first_place

__all__ = ["false_negative_filter"]

_Array: TypeAlias = npt.NDArray[Any]
_Floats: TypeAlias = npt.NDArray[np.float64]
_Bools: TypeAlias = npt.NDArray[np.bool_]

NO_POSITIVE = -1
"""The code of a row that shares its code with no column; codes of ids begin at 0."""


def false_negative_filter(
    similarities: ArrayLike,
    positives: Any = None,
    *,
    positive_scores: ArrayLike | None = None,
    positive: Literal["min", "mean", "max"] = "min",
    ignore: Any = None,
    max_score: ArrayLike | None = None,
    abs_margin: float | None = None,
    rel_margin: float | None = None,
    judge_scores: ArrayLike | None = None,
    band: tuple[ArrayLike | None, ArrayLike | None] | None = None,
    same_label: Any = None,
    same_id: Any = None,
    same_cluster: Any = None,
    duplicates: Any = None,
    quantile: float | None = None,
    iqr: float | None = None,
    keep_at_least: SupportsIndex = 0,
) -> _Bools:
    r"""Return which pairs to keep after negatives that are probably positives were dropped.

    All rules are optional, and a negative is kept if none of them drops it. Positives are always kept, so the opposite
    of the result can be passed to a loss as ``ignore=``.

    Parameters
    ----------
    similarities : array_like, shape (n, m)
        Scores, larger is closer. -inf marks a place without a candidate, as in the results of `fastpair.topk`; it
        comes out False.
    positives : array_like, shape (n,) or (n, m), or pairs, optional
        The column of the positive of each row, -1 for none, or a mask with any number in a row, in any format of
        `fastpair.mining.pair_masks`. By default the diagonal, or with `positive_scores` none: then all columns are
        candidates.
    positive_scores : array_like, shape (n,), optional
        The score of the positive of each row, for the margins: inf for a row without one. By default that in
        `similarities`.
    positive : {"min", "mean", "max"}
        Which score a row with several positives is compared with; "min" drops the most.
    ignore : array_like of bool, shape (n, m), or pairs, optional
        Pairs that are neither positive nor negative, in the same formats. They come out False and have no say in
        quantiles.
    max_score : float or array_like, shape (n,), optional
        Drop negatives with a higher score.
    abs_margin : float, optional
        Drop negatives with a score above :math:`s^+ - \delta`. A negative number allows them to be closer than the
        positive by so much; -inf switches the rule off.
    rel_margin : float, optional
        Drop negatives with a score above :math:`s^+ - |s^+| \rho`; 0.05 keeps what has at most 95 % of a positive
        score. Signs and -inf mean what they do for `abs_margin`.
    judge_scores : array_like, shape (n, m), optional
        How relevant another model finds each pair. Needs `band`.
    band : tuple, optional
        ``(low, high)``, each a number, an array of shape (n,) or None for no limit: drop negatives whose judge score is
        outside. What is above is probably a positive, what is below too easy.
    same_label : array_like or tuple, optional
        Labels: drop negatives that share that of their row. One array holds a label for each column, and a row has that
        of its positive (with a mask of positives, its own: n and m must be equal); a tuple holds those of rows and of
        columns.
    same_id : array_like or tuple, optional
        The same for ids, such as those of documents.
    same_cluster : array_like or tuple, optional
        The same for clusters.
    duplicates : float, array_like or tuple, optional
        A number :math:`\epsilon` drops negatives with a score of at least :math:`1 - \epsilon`, if scores are cosines;
        arrays hold hashes of contents, used like ids.
    quantile : float, optional
        Drop the negatives of a row that score above this quantile of them, between 0 and 1.
    iqr : float, optional
        Drop the negatives of a row outside of whiskers of so many interquartile ranges, as
        `fastpair.mining.iqr_filter` does.
    keep_at_least : int
        Give rows with fewer negatives than this their easiest dropped ones back, up to this number. Pairs of one label,
        id or hash never come back. By default rows may end up without a negative; losses leave these out.

    Returns
    -------
    ndarray of bool, shape (n, m)
        True for positives and for negatives that are kept.

    Raises
    ------
    TypeError
        If a dtype cannot be used, or an option is not a number.
    ValueError
        If a score is NaN or inf, shapes do not match, an option is out of range, or a rule lacks what it needs.

    See Also
    --------
    fastpair.mining.iqr_filter : One of the rules alone.
    fastpair.mining.relabel_candidates : Turn false negatives into positives.

    Notes
    -----
    The usual relative margin :math:`s^- < \gamma s^+` turns around where :math:`s^+` is negative: it then allows only
    what is much worse, or with :math:`\gamma > 1` drops everything. With the absolute value, the limit lies below the
    positive for every sign; :math:`\rho = 1 - \gamma`. All comparisons are strict and made in float64: a score at a
    limit is kept. Each rule sees all negatives of a row, whatever the other rules drop, so their order has no meaning.
    Quantiles are values, without interpolation: of l sorted scores the one with index :math:`\lfloor q l \rfloor`, at
    most l - 1. Among equally easy negatives the one with the lowest index comes back first.

    An absolute margin of -0.1 is the filter of [2]_, "positive plus margin"; a band of judge scores that of [1]_.

    Cost: O(n m), with quantiles O(n m log m). Extra memory: some MiB beside the result, or some rows in float64.

    References
    ----------
    .. [1] T. Gu et al. (2025). UniME-V2: MLLM-as-a-judge for universal multimodal embedding learning.
    .. [2] T. Gu et al. (2025). Breaking the modality barrier: universal embedding learning with multimodal LLMs.
    .. [3] G. Moreira et al. (2024). NV-Retriever: improving text embedding models with effective hard-negative mining.

    Examples
    --------
    >>> import fastpair
    >>> scores = [[0.8, 0.79, 0.3], [0.1, -0.2, -0.21]]
    >>> fastpair.mining.false_negative_filter(scores, abs_margin=0.05)
    array([[ True, False,  True],
           [False,  True, False]])
    >>> fastpair.mining.false_negative_filter(scores, rel_margin=0.05, keep_at_least=1)
    array([[ True, False,  True],
           [False,  True,  True]])
    """
    scores = embeddings(similarities, "similarities", "dot")
    check_choice(positive, "positive", ("min", "mean", "max"))
    rows, columns = scores.shape
    roles = parse_pair_roles((rows, columns), positives, ignore, diagonal=positive_scores is None)
    facts = [
        _parse_codes(values, argument, roles)
        for values, argument in ((same_label, "same_label"), (same_id, "same_id"))
        if values is not None
    ]
    floor = None
    if duplicates is not None:
        if not isinstance(duplicates, tuple) and np.ndim(duplicates) == 0:
            floor = 1 - check_number(duplicates, "duplicates", least=0)
        else:
            facts.append(_parse_codes(duplicates, "duplicates", roles))
    judge, low, high = _parse_band(judge_scores, band, scores.shape)
    rules = Rules(
        roles=roles,
        reference=_parse_references(positive_scores, len(scores)),
        positive=positive,
        max_score=None if max_score is None else _one_per_row(max_score, len(scores), "max_score"),
        abs_margin=_parse_margin(abs_margin, "abs_margin"),
        rel_margin=_parse_margin(rel_margin, "rel_margin"),
        judge=judge,
        low=low,
        high=high,
        floor=floor,
        facts=tuple(facts),
        clusters=None if same_cluster is None else _parse_codes(same_cluster, "same_cluster", roles),
        quantile=None if quantile is None else check_number(quantile, "quantile", least=0, most=1),
        iqr=None if iqr is None else check_number(iqr, "iqr", least=0),
        least=check_count(keep_at_least, "keep_at_least", 0),
    )
    keep = np.empty(scores.shape, np.bool_)
    for part in blocks(rows, columns):
        rules.apply(part, np.asarray(scores[part], np.float64), keep[part])
    return keep


def _parse_references(values: ArrayLike | None, rows: int) -> _Floats | None:
    if values is None:
        return None
    floats = _one_per_row(values, rows, "positive_scores")
    if (floats == -np.inf).any():
        raise ValueError(
            f"positive_scores is -inf at {first_place(floats == -np.inf)}; pass inf for a row without a positive"
        )
    return floats


def _one_per_row(values: ArrayLike, rows: int, argument: str) -> _Floats:
    """Return a number for each row, from one or from as many; infinities are allowed."""
    array = numbers(values, argument, "dot")
    if array.shape not in ((), (rows,)):
        raise ValueError(f"{argument} has shape {array.shape}; pass one number, or shape ({rows},), one for each row")
    floats = np.array(np.broadcast_to(array, rows), np.float64)
    if np.isnan(floats).any():
        raise ValueError(f"{argument} is nan at {first_place(np.isnan(floats))}; pass numbers")
    return floats


def _parse_margin(margin: Any, argument: str) -> float:
    if margin is None or (np.ndim(margin) == 0 and not isinstance(margin, str) and margin == -np.inf):
        return -np.inf
    return check_number(margin, argument)


def _parse_band(
    judge_scores: Any, band: Any, shape: tuple[int, ...]
) -> tuple[_Array | None, _Floats | None, _Floats | None]:
    if (judge_scores is None) != (band is None):
        given, missing = ("band", "judge_scores") if judge_scores is None else ("judge_scores", "band")
        raise ValueError(f"{given} was given without {missing}; pass both, or neither")
    if judge_scores is None:
        return None, None, None
    judge = numbers(judge_scores, "judge_scores", "dot")
    if judge.shape != shape:
        raise ValueError(f"judge_scores has shape {judge.shape}; pass shape {shape}, that of similarities")
    if not isinstance(band, tuple | list) or len(band) != 2:
        raise TypeError(f"band must be a tuple (low, high), not {band!r}")
    limits = [
        None if limit is None else _one_per_row(limit, shape[0], f"band[{place}]") for place, limit in enumerate(band)
    ]
    low, high = limits
    if low is not None and high is not None and (low > high).any():
        row = int((low > high).argmax())
        raise ValueError(f"band is ({low[row]}, {high[row]}) for row {row}; pass (low, high) with low at most high")
    return judge, low, high


def _parse_codes(values: Any, argument: str, roles: PairRoles) -> Codes:
    """Return codes of rows and of columns; rows without ids of their own have those of their positives."""
    rows, columns = roles.shape
    if isinstance(values, tuple) and len(values) == 2:
        left, right = array_of(values[0], f"{argument}[0]"), array_of(values[1], f"{argument}[1]")
        if left.shape != (rows,) or right.shape != (columns,):
            raise ValueError(
                f"{argument} has shapes {left.shape} and {right.shape} for rows and columns; pass shapes ({rows},) and "
                f"({columns},)"
            )
        return same_codes(left, right, argument)
    array = array_of(values, argument)
    if array.shape != (columns,):
        raise ValueError(
            f"{argument} has shape {array.shape}; pass shape ({columns},), one for each column, or a tuple"
        )
    codes = same_codes(array, array, argument)[0]
    given = roles.positives
    if isinstance(given, str):
        return codes[:rows], codes
    if isinstance(given, np.ndarray) and given.ndim == 1:
        padded = np.append(codes, NO_POSITIVE)
        return padded[given], codes
    if given is None or rows != columns:
        why = "rows have no positives" if given is None else "rows have several positives"
        raise ValueError(f"{argument} has one entry for each column, but {why}; pass a tuple (rows, columns)")
    return codes, codes
