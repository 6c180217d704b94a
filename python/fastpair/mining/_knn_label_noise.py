"""Labels that nearest neighbours contradict: `knn_label_noise`."""

from typing import Any, Literal, NamedTuple, SupportsIndex, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import ArrayLike, array_of
from fastpair._embeddings import Metric
from fastpair._progress import Report
from fastpair._roles import same_codes
from fastpair._validate import check_choice
from fastpair.mining._values import blocks
from fastpair.similarity import topk

__all__ = ["LabelNoise", "knn_label_noise"]

_Array: TypeAlias = npt.NDArray[Any]
_Floats: TypeAlias = npt.NDArray[np.float64]
_Ints: TypeAlias = npt.NDArray[np.int64]
_Bools: TypeAlias = npt.NDArray[np.bool_]


class LabelNoise(NamedTuple):
    """Which labels are doubtful, the label that neighbours suggest, and the share of neighbours with the own label."""

    flags: _Bools
    suggestions: _Array
    agreement: _Floats


def knn_label_noise(
    x: ArrayLike,
    labels: ArrayLike,
    ref_x: ArrayLike | None = None,
    ref_labels: ArrayLike | None = None,
    k: SupportsIndex = 5,
    *,
    rule: Literal["majority", "plurality", "unanimous"] = "majority",
    metric: Metric = "cosine",
    num_threads: SupportsIndex | None = None,
    max_memory: SupportsIndex | None = None,
    progress: bool | Report = False,
) -> LabelNoise:
    r"""Flag labels that are contradicted by those of the nearest neighbours.

    Parameters
    ----------
    x : array_like, shape (n, d)
        Embeddings, as `fastpair.topk` takes them.
    labels : array_like, shape (n,)
        Their labels, integers or strings.
    ref_x : array_like, shape (m, d), optional
        Embeddings whose labels can be trusted. By default x itself, each row without itself.
    ref_labels : array_like, shape (m,), optional
        Their labels; needed with `ref_x`.
    k : int
        How many neighbours vote, at least 1.
    rule : {"majority", "plurality", "unanimous"}
        A label is flagged if another label has more than half of the votes, more votes than any other and than itself,
        or all votes.
    metric : {"cosine", "dot", "euclidean", ...}
        What is near, as in `fastpair.topk`.
    num_threads : int, optional
        The most threads to use; by default `fastpair.get_num_threads`.
    max_memory : int, optional
        The most bytes of scratch of the search.
    progress : bool or callable
        True shows a bar (of tqdm if it is installed); a function is called as ``progress(done, total)``, in pairs.

    Returns
    -------
    LabelNoise
        The named tuple ``(flags, suggestions, agreement)``, each of shape (n,): bool; the label with most votes, in the
        dtype of the labels; float64, the share of neighbours with the own label, NaN without neighbours.

    Raises
    ------
    TypeError
        If a dtype cannot be used.
    ValueError
        If shapes do not match, an embedding is NaN or infinite, or `ref_x` and `ref_labels` are not given together.

    See Also
    --------
    fastpair.topk : The search.

    Notes
    -----
    Between labels with equally many votes the own label wins, then that of the nearest neighbour; without a neighbour
    the own label is suggested. The paper has two sources of neighbours: a clean subset, which is `ref_x`, and the
    examples that a classifier wrongly calls negative, whose rows can be passed as `ref_x` as well. Predictions of a
    classifier are not made here.

    Cost: that of `fastpair.topk`, and O(n k^2). Extra memory: the neighbours, 16 bytes for each.

    References
    ----------
    .. [1] A. Parekh, A. Anand and A. Awekar (2023). Noise in relation classification dataset TACRED: characterization
       and reduction.

    Examples
    --------
    >>> import fastpair
    >>> x = [[1.0, 0.0], [0.9, 0.1], [0.8, 0.1], [0.0, 1.0], [0.1, 0.9], [0.1, 0.8], [0.95, 0.05]]
    >>> found = fastpair.mining.knn_label_noise(x, ["a", "a", "a", "b", "b", "b", "b"], k=3)
    >>> found.flags
    array([False, False, False, False, False, False,  True])
    >>> found.suggestions[6]
    np.str_('a')
    """
    check_choice(rule, "rule", ("majority", "plurality", "unanimous"))
    if (ref_x is None) != (ref_labels is None):
        given, missing = ("ref_labels", "ref_x") if ref_x is None else ("ref_x", "ref_labels")
        raise ValueError(f"{given} was given without {missing}; pass both, or neither")
    own = array_of(labels, "labels")
    others = own if ref_labels is None else array_of(ref_labels, "ref_labels")
    _check_lengths(x, own, "x", "labels")
    if ref_x is not None:
        _check_lengths(ref_x, others, "ref_x", "ref_labels")
    codes, ref_codes = same_codes(own, others, "labels")
    neighbours = topk(
        x,
        ref_x,
        k,
        metric=metric,
        exclude_self=ref_x is None,
        num_threads=num_threads,
        max_memory=max_memory,
        progress=progress,
    ).indices
    flags, suggested, agreement = _votes(codes, ref_codes, neighbours, rule)
    pool = np.concatenate([own, others])
    names = np.empty(int(max(codes.max(initial=-1), ref_codes.max(initial=-1))) + 1, pool.dtype)
    names[np.concatenate([codes, ref_codes])] = pool
    return LabelNoise(flags, names[suggested], agreement)


def _check_lengths(rows: Any, labels: _Array, argument: str, name: str) -> None:
    shape = rows.shape if hasattr(rows, "shape") else np.shape(rows)
    if len(shape) != 2:
        raise ValueError(f"{argument} has shape {tuple(shape)}; pass two dimensions, a row for each embedding")
    if labels.shape != (shape[0],):
        raise ValueError(
            f"{name} has shape {labels.shape}; pass one label for each of the {shape[0]} rows of {argument}"
        )


def _votes(codes: _Ints, ref_codes: _Ints, neighbours: _Ints, rule: str) -> tuple[_Bools, _Ints, _Floats]:
    """Count the votes of neighbours: flags, codes of the best labels, shares of votes for the own label."""
    count, k = neighbours.shape
    flags, suggested, agreement = np.zeros(count, np.bool_), codes.copy(), np.full(count, np.nan)
    for rows in blocks(count, k * k):
        found = neighbours[rows] >= 0
        # No neighbour votes for -1, and is no vote for any label.
        cast = np.where(found, np.append(ref_codes, -1)[neighbours[rows]], -1)
        votes = (cast[:, :, np.newaxis] == cast[:, np.newaxis]).sum(axis=2)
        votes[~found] = 0
        best = votes.argmax(axis=1)
        line = np.arange(len(best))
        most, mine, total = votes[line, best], (cast == codes[rows, np.newaxis]).sum(axis=1), found.sum(axis=1)
        other = most > mine
        suggested[rows] = np.where(other, cast[line, best], codes[rows])
        if rule == "majority":
            other &= 2 * most > total
        elif rule == "unanimous":
            other &= most == total
        flags[rows] = other
        agreement[rows] = np.divide(mine, total, out=np.full(len(mine), np.nan), where=total > 0)
    return flags, suggested, agreement
