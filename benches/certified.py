"""The truth of an exact search, to the last bit of the scores, and how answers are compared with it."""

from itertools import pairwise
from typing import NamedTuple

import fastpair
import numpy as np
from adapters import Answer
from answers import Check, contenders
from benchmarks.data import Array
from benchmarks.embeddings import Embeddings

# By how much two ways to sum products in float64 may differ, relative to the norms: a hundred times what they do.
ROUNDING = 1e-12


class Found(NamedTuple):
    """The answer of a search that says what its scores are."""

    indices: Array
    scores: Array


def true_found(data: Embeddings) -> Found:
    """Rank all products of numpy in float64; where rounding could decide, as ``filter="off"`` scores the pairs.

    The rows whose products are among the best of a query, or within rounding of them, are scored once more, each pair
    in float64, without any filter. That makes the bits that every search has to return. It is an error if these scores
    are not those of numpy, but for rounding.
    """
    slack = ROUNDING * _largest_norm(data.x) * _largest_norm(data.corpus)
    rows, columns, scores = contenders(data, slack)
    starts = np.searchsorted(rows, np.arange(len(data.x) + 1))
    indices = np.empty((len(data.x), data.k), np.int64)
    values = np.empty((len(data.x), data.k))
    for row, (begin, end) in enumerate(pairwise(starts)):
        own = np.sort(columns[begin:end])
        found = fastpair.topk(
            data.x[row : row + 1], data.corpus[own], data.k, metric=data.metric, filter="off", num_threads=1
        )
        indices[row], values[row] = own[found.indices[0]], found.scores[0]
    expected = scores[starts[:-1, np.newaxis] + np.arange(data.k)]
    if not np.abs(values - expected).max(initial=0) <= slack:
        raise ArithmeticError("the scores of filter='off' are not those of numpy in float64")
    return Found(indices, values)


def _largest_norm(rows: Array) -> float:
    return float(np.sqrt(np.einsum("ij,ij->i", rows, rows).max(initial=0)))


def uncertified_rows(answer: Answer, reference: Answer) -> float:
    """Count the rows whose indices differ or, where an answer has scores, any bit of the scores."""
    own = answer.indices if isinstance(answer, Found) else answer
    if own.shape != reference.indices.shape:
        return float("inf")
    differ = (own != reference.indices).any(axis=1)
    if isinstance(answer, Found):
        if answer.scores.dtype != reference.scores.dtype:
            return float("inf")
        differ |= (answer.scores.view(np.uint64) != reference.scores.view(np.uint64)).any(axis=1)
    return float(np.count_nonzero(differ))


CERTIFIED = Check(uncertified_rows, "rows that differ: {:.0f}")
