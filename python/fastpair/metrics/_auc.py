"""Exact area under the ROC curve: `auc` for series, batches and groups, `gauc` for the mean over groups.

The arguments are checked and named here; the kernels count, where the arrays are. Cost O(n log n), or O(n) for scores
of at most 16 bits and for sorted ones.
"""

import warnings
from typing import Any, Literal, NamedTuple, SupportsIndex, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import ArrayLike, array_of, gpu_call, kernels_of, library_of, on_gpu_too, scalar
from fastpair._groups import Groups, parse_groups
from fastpair._labels import Label, parse_labels, with_swap_hint
from fastpair._validate import along_last_axis, check_num_threads, companion
from fastpair.errors import UndefinedMetricWarning

__all__ = ["GroupedAuc", "auc", "gauc"]

NanPolicy: TypeAlias = Literal["raise", "omit", "propagate"]


class GroupedAuc(NamedTuple):
    """The AUC of each group, and the ids of the groups, in order of first appearance."""

    auc: npt.NDArray[np.float64]
    groups: npt.NDArray[Any]


@on_gpu_too
def auc(
    scores: ArrayLike,
    labels: ArrayLike,
    *,
    weights: ArrayLike | None = None,
    groups: ArrayLike | None = None,
    offsets: ArrayLike | None = None,
    axis: SupportsIndex = -1,
    pos_label: Label | None = None,
    nan_policy: NanPolicy = "raise",
    presorted: Literal["ascending", "descending"] | None = None,
    return_groups: bool = False,
    num_threads: SupportsIndex | None = None,
) -> Any:
    r"""Compute the exact area under the ROC curve.

    It is the share of pairs of a positive and a negative in which the positive scores higher. Pairs are counted in
    integers, ties count one half, and the result has the same bits for every number of threads and every instruction
    set. Note the order of the arguments: scores first. ``auc(labels=y, scores=s)`` is the
    safe form for those used to the reverse.

    Parameters
    ----------
    scores : array_like, shape (..., n)
        Real scores, the higher the more positive: bool, integers, float16, bfloat16 (of ml_dtypes), float32 or float64,
        in any memory layout and byte order. They are compared as they are: no rounding, no sigmoid, 64-bit integers
        exactly, ``-0.0 == 0.0``, infinities allowed.
    labels : array_like, shape (n,) or (..., n)
        Two classes: bool, 0/1, -1/1, or any two numbers or strings together with `pos_label`.
    weights : array_like, shape (n,) or (..., n), optional
        Finite and not negative. Each pair counts as the product of its two weights.
    groups : array_like, shape (n,), optional
        Ids (integers or strings, in any order): one AUC for each group instead of one for all.
    offsets : array_like of int, shape (g + 1,), optional
        The same for groups that are contiguous: group ``i`` is ``scores[offsets[i]:offsets[i + 1]]``.
    axis : int
        The axis of `scores` that counts its n entries. Labels and weights of the shape of scores follow it.
    pos_label : scalar, optional
        The label of the positive class. Needed unless labels are bool, 0/1 or -1/1.
    nan_policy : {"raise", "omit", "propagate"}
        What to do with NaN scores: refuse them, leave out their rows, or return NaN for the series or group.
    presorted : {"ascending", "descending"}, optional
        The scores are sorted this way along the axis. This is checked; it saves the sort and its memory.
    return_groups : bool
        Return the ids of the groups as well.
    num_threads : int, optional
        The most threads to use; by default `fastpair.get_num_threads`.

    Returns
    -------
    numpy.float64, ndarray or GroupedAuc
        Scores of shape (n,): one number. Of shape (..., n): an array of shape (...). With groups: an array of shape
        (..., g), in order of first appearance of the ids or in the order of the offsets; with `return_groups` the named
        tuple ``(auc, groups)``.

    Raises
    ------
    TypeError
        If a dtype cannot be used, or arrays are not in one memory (of the host, or of one GPU).
    ValueError
        If shapes do not match, labels hold more than two values or two of which none is known to be positive, a score
        (see `nan_policy`), a label or a weight is NaN, a weight is negative, or presorted scores are not sorted.
    MemoryError
        If there is no room for the working buffer.

    Warns
    -----
    UndefinedMetricWarning
        If a class is missing: the result is NaN.

    See Also
    --------
    gauc : The mean of the AUCs of groups.

    Notes
    -----
    With positives :math:`p_i` and negatives :math:`q_j`,

    .. math:: \mathrm{AUC} = \frac{1}{P N} \sum_{i,j} [p_i > q_j] + \tfrac12 [p_i = q_j] .

    Twice the sum is an integer, counted exactly (in 128 bits) and divided once. Weighted sums are float64, added in one
    fixed order.

    Cost: O(n log n), O(n) for scores of at most 16 bits and for presorted ones. Extra memory: the bytes of the scores
    (n times 4, or 8 for 64-bit scores) and at most 2 MiB; at most 1 MiB for scores of at most 16 bits; none that grows
    with n for presorted ones. With weights 12 (16) bytes a row; with groups 4 bytes a row more and up to
    250 bytes a group, and for ids that are spread out a table of them.

    References
    ----------
    .. [1] H. B. Mann and D. R. Whitney (1947). On a test of whether one of two random variables is stochastically
       larger than the other. Annals of Mathematical Statistics 18.
    .. [2] J. A. Hanley and B. J. McNeil (1982). The meaning and use of the area under a receiver operating
       characteristic (ROC) curve. Radiology 143.

    Examples
    --------
    >>> import fastpair
    >>> fastpair.auc([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1])
    np.float64(0.75)

    Two models at once, and one number for each user:

    >>> fastpair.auc([[0.1, 0.4, 0.35, 0.8], [3, 1, 4, 1]], [0, 0, 1, 1])
    array([0.75 , 0.625])
    >>> scores, clicks = [0.2, 0.9, 0.5, 0.4, 0.1, 0.6], [0, 1, 0, 1, 0, 1]
    >>> fastpair.auc(scores, clicks, groups=["ann", "ann", "bob", "bob", "bob", "ann"], return_groups=True)
    GroupedAuc(auc=array([1. , 0.5]), groups=array(['ann', 'bob'], dtype='<U3'))
    """
    values = along_last_axis(array_of(scores, "scores"), axis, "scores")
    labels_array, pos_label = parse_labels(array_of(labels, "labels"), values, axis, pos_label)
    weights_array = None if weights is None else companion(array_of(weights, "weights"), values, axis, "weights")
    options = (pos_label, nan_policy)
    threads = check_num_threads(num_threads)
    _choice("nan_policy", nan_policy, ("raise", "omit", "propagate"))
    _choice("presorted", presorted, (None, "ascending", "descending"))
    parsed = parse_groups(groups, offsets, values.shape[-1])
    if parsed is None:
        if return_groups:
            raise ValueError("return_groups=True needs groups= or offsets=")
        try:
            result, undefined = kernels_of(values).auc(
                values, labels_array, weights_array, *options, presorted, threads
            )
        except ValueError as error:
            raise with_swap_hint(error, values) from None
        if undefined:
            where = "" if values.ndim == 1 else f" in {undefined} of {result.size} series"
            _warn_undefined(where, values.shape[-1])
        return result[0] if values.ndim == 1 else result.reshape(values.shape[:-1])
    if presorted is not None:
        raise ValueError(
            f"presorted={presorted!r} cannot be used with groups= or offsets=; drop it, they are sorted anyway"
        )
    by_group, total = _batch_by_group(values, labels_array, parsed, weights_array, pos_label, nan_policy, threads)
    if total:
        _warn_undefined(f" in {total} of {by_group.size} groups", values.shape[-1])
    return GroupedAuc(by_group, parsed.ids) if return_groups else by_group


@on_gpu_too
def gauc(
    scores: ArrayLike,
    labels: ArrayLike,
    groups: ArrayLike | None = None,
    *,
    offsets: ArrayLike | None = None,
    weighting: Literal["uniform", "size", "positives", "pairs"] = "uniform",
    weights: ArrayLike | None = None,
    undefined: Literal["skip", "nan", "half"] = "skip",
    pos_label: Label | None = None,
    nan_policy: NanPolicy = "raise",
    num_threads: SupportsIndex | None = None,
) -> np.float64:
    r"""Compute the mean AUC of users, queries, sessions or other groups (GAUC).

    Parameters
    ----------
    scores : array_like, shape (n,)
        Real scores, as for `auc`.
    labels : array_like, shape (n,)
        Two classes, as for `auc`.
    groups : array_like, shape (n,), optional
        Ids (integers or strings, in any order). Either these or `offsets` are needed.
    offsets : array_like of int, shape (g + 1,), optional
        Borders of contiguous groups.
    weighting : {"uniform", "size", "positives", "pairs"}
        What a group counts: 1, its rows, its positives, or its pairs of a positive and a negative. With `weights`, rows
        and positives count as their weights.
    weights : array_like, shape (n,), optional
        Weights of the rows, finite and not negative.
    undefined : {"skip", "nan", "half"}
        What a group without one of the classes does: it is left out, makes the result NaN, or counts as 0.5.
    pos_label : scalar, optional
        The label of the positive class, as for `auc`.
    nan_policy : {"raise", "omit", "propagate"}
        What to do with NaN scores, as for `auc`; a group with a propagated NaN makes the result NaN.
    num_threads : int, optional
        The most threads to use; by default `fastpair.get_num_threads`.

    Returns
    -------
    numpy.float64
        The mean; NaN if no group is defined.

    Raises
    ------
    TypeError
        As `auc`.
    ValueError
        As `auc`; also if neither or both of groups and offsets are given, or an option is unknown.
    MemoryError
        As `auc`.

    Warns
    -----
    UndefinedMetricWarning
        If no group is left to take the mean of.

    See Also
    --------
    auc : The AUC of each group, with ``groups=``.

    Notes
    -----
    With the area :math:`A_g` and the weight :math:`w_g` of group g,

    .. math:: \mathrm{GAUC} = \sum_g w_g A_g \Big/ \sum_g w_g .

    Cost O(n log m) for groups of m rows. Extra memory: that of `auc` with groups.

    References
    ----------
    .. [1] H. Zhu et al. (2017). Optimized cost per click in Taobao display advertising. KDD.

    Examples
    --------
    >>> import fastpair
    >>> scores, clicks, users = [0.2, 0.9, 0.5, 0.4, 0.1, 0.6], [0, 1, 0, 1, 0, 1], [7, 7, 8, 8, 8, 7]
    >>> fastpair.gauc(scores, clicks, users)
    np.float64(0.75)
    """
    values = along_last_axis(array_of(scores, "scores"), -1, "scores")
    if values.ndim != 1:
        raise ValueError(f"scores has shape {values.shape}; gauc takes one dimension, auc(..., groups=) takes batches")
    labels_array, pos_label = parse_labels(array_of(labels, "labels"), values, -1, pos_label)
    weights_array = None if weights is None else companion(array_of(weights, "weights"), values, -1, "weights")
    _choice("nan_policy", nan_policy, ("raise", "omit", "propagate"))
    _choice("weighting", weighting, ("uniform", "size", "positives", "pairs"))
    _choice("undefined", undefined, ("skip", "nan", "half"))
    parsed = parse_groups(groups, offsets, len(values))
    if parsed is None:
        raise ValueError("gauc needs groups: pass ids with groups= or borders with offsets=; for one AUC call auc")
    threads = check_num_threads(num_threads)
    areas, positives, negatives, missing = _by_group(
        values, labels_array, parsed, weights_array, pos_label, nan_policy, threads
    )
    group_weights = {
        "uniform": np.ones_like(areas),
        "size": positives + negatives,
        "positives": positives,
        "pairs": positives * negatives,
    }[weighting]
    one_class = (positives == 0) | (negatives == 0)
    if nan_policy == "propagate":
        one_class &= ~_holds_nan(values, parsed)
    if undefined == "skip":
        areas, group_weights = _kept(areas, ~one_class), _kept(group_weights, ~one_class)
    elif undefined == "half":
        areas = np.where(one_class, 0.5, areas)
    total = group_weights.sum()
    # A group with both classes counts: there is no need to wait for the sum, unless its share can be too small.
    certain = missing < len(areas) and weights is None and nan_policy != "propagate"
    if not certain and total == 0:
        _warn("GAUC is undefined: no group holds both classes; the result is NaN")
        total = total * np.nan
    return scalar((areas * group_weights).sum() / total)  # type: ignore[no-any-return]


def _batch_by_group(
    scores: npt.NDArray[Any],
    labels: npt.NDArray[Any],
    groups: Groups,
    weights: npt.NDArray[Any] | None,
    pos_label: float | None,
    nan_policy: str,
    num_threads: int | None,
) -> tuple[npt.NDArray[np.float64], int]:
    """Areas of the groups of every series, and how many are undefined."""
    shape = (*scores.shape[:-1], len(groups.ids))
    if not isinstance(scores, np.ndarray):  # all series at once
        areas, _, _, total = _by_group(scores, labels, groups, weights, pos_label, nan_policy, num_threads)
        return areas.reshape(shape), total
    areas, total = np.empty(shape), 0
    for series in np.ndindex(scores.shape[:-1]):
        own_labels = labels if labels.ndim == 1 else labels[series]
        own_weights = weights if weights is None or weights.ndim == 1 else weights[series]
        areas[series], _, _, undefined = _by_group(
            scores[series], own_labels, groups, own_weights, pos_label, nan_policy, num_threads
        )
        total += undefined
    return areas, total


def _by_group(
    scores: npt.NDArray[Any],
    labels: npt.NDArray[Any],
    groups: Groups,
    weights: npt.NDArray[Any] | None,
    pos_label: float | None,
    nan_policy: str,
    num_threads: int | None,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64], int]:
    """Areas, positives and negatives of the groups of one series, and how many areas are undefined."""
    try:
        return kernels_of(scores).auc_by_group(  # type: ignore[no-any-return]
            scores, labels, groups.codes, len(groups.ids), weights, pos_label, nan_policy, num_threads
        )
    except ValueError as error:
        raise with_swap_hint(error, scores) from None


def _holds_nan(scores: npt.NDArray[Any], groups: Groups) -> npt.NDArray[np.bool_]:
    """Which groups hold a NaN score."""
    count = len(groups.ids)
    if isinstance(scores, np.ndarray):
        return np.bincount(groups.codes[scores != scores], minlength=count) > 0
    # bfloat16 by its bits: not every version of CuPy compares it.
    nan = (scores.view(np.uint16) & 0x7FFF) > 0x7F80 if scores.dtype.kind == "V" else scores != scores
    held = library_of(scores).zeros(count, np.uint32)
    np.maximum.at(held, groups.codes, nan.astype(np.uint32))
    return held > 0


def _kept(values: npt.NDArray[np.float64], kept: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """Return the values that are kept, for a sum; on a GPU the others become 0, as their number is not known."""
    return values[kept] if isinstance(values, np.ndarray) else np.where(kept, values, 0.0)


def _choice(argument: str, seen: object, choices: tuple[str | None, ...]) -> None:
    if not (seen is None or isinstance(seen, str)) or seen not in choices:
        raise ValueError(f"{argument} must be one of {', '.join(map(repr, choices))}, not {seen!r}")


def _warn_undefined(where: str, rows: int) -> None:
    reason = "there are no scores" if rows == 0 else "only one class is present (or has weight)"
    _warn(f"AUC is undefined{where}: {reason}; the result is NaN", frames=1)


def _warn(message: str, frames: int = 0) -> None:
    """Warn from the caller of a public function, which called this through as many more frames."""
    way_in = 1 if gpu_call.get() is None else 2  # `on_gpu_too`, and the door to the GPU
    warnings.warn(message, UndefinedMetricWarning, stacklevel=3 + frames + way_in)
