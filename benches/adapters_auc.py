"""The packages that AUC is timed beside, and the tasks.

The tasks are "auc" (one series, perhaps with weights), "groups" (ids and areas), "batch" (many series, one vector of
labels) and "sort".
"""

import ctypes
import os
from collections.abc import Callable
from typing import Any

import fastpair
import numpy as np
from adapters import AbsentError, Answer, Build, adapter
from benchmarks.data import Data
from fastpair import _core
from numpy.ctypeslib import ndpointer


def float32_or_64(data: Data) -> Callable[[], Any]:
    """Scores as float32 or float64, for packages that take no others; the conversion is timed."""
    if data.scores.dtype in (np.float32, np.float64):
        return lambda: data.scores
    return lambda: data.scores.astype(np.float32)


def count_classes(labels: Any) -> tuple[int, int]:
    """Positives and negatives, for the recipes."""
    positives = int(np.count_nonzero(labels))
    return positives, len(labels) - positives


def split_by_group(data: Data) -> Any:
    """Yield the id, the labels and the scores of each group, as a user without a data frame would."""
    order = np.argsort(data.groups, kind="stable")
    ids, scores, labels = data.groups[order], data.scores[order], data.labels[order]
    starts = np.flatnonzero(np.r_[True, ids[1:] != ids[:-1]])
    for start, stop in zip(starts, [*starts[1:], len(ids)], strict=True):
        yield ids[start], labels[start:stop], scores[start:stop]


def loop_over_groups(data: Data, metric: Callable[[Any, Any], float]) -> Answer:
    """Call a metric on each group that has both classes; NaN for the others."""
    areas = {}
    for group, labels, scores in split_by_group(data):
        both = labels.any() and not labels.all()
        areas[group] = metric(labels, scores) if both else np.nan
    return np.array(list(areas)), np.array(list(areas.values()))


# fastpair, in all its ways.


def call_fastpair(num_threads: int) -> Build:
    """Build the adapter of fastpair on so many threads."""

    def build(data: Data) -> Callable[[], Answer]:
        scores, labels, weights, _ = data
        if data.groups is not None:
            return lambda: by_group(data, num_threads)
        return lambda: fastpair.auc(scores, labels, weights=weights, num_threads=num_threads)

    return build


def by_group(data: Data, num_threads: int) -> Answer:
    """Give the ids and the areas of groups."""
    scores, labels, _, groups = data
    areas, ids = fastpair.auc(scores, labels, groups=groups, return_groups=True, num_threads=num_threads)
    return ids, areas


def call_sort(data: Data) -> Callable[[], Answer]:
    """Sort a fresh copy with the engine's vector sort, as `numpy.sort` does."""

    def run() -> Answer:
        keys = data.scores.copy()
        _core.sort(keys)
        return keys

    return run


for _task in ("auc", "groups", "batch"):
    adapter(_task, "fastpair")(call_fastpair(1))
adapter("auc", "fastpair, 2 threads")(call_fastpair(2))
for _level in ("v3", "v4"):
    adapter("auc", f"fastpair, level {_level}", level=_level)(call_fastpair(1))
    adapter("sort", f"fastpair, level {_level}", level=_level)(call_sort)
adapter("sort", "fastpair")(call_sort)


# One AUC.


@adapter("auc", "scikit-learn", package="scikit-learn")
def scikit_learn(data: Data) -> Callable[[], Answer]:
    from sklearn.metrics import roc_auc_score

    scores = float32_or_64(data) if data.scores.dtype.kind == "V" else lambda: data.scores
    return lambda: roc_auc_score(data.labels, scores(), sample_weight=data.weights)


@adapter("auc", "scors", package="scors")
def scors(data: Data) -> Callable[[], Answer]:
    import scors

    # Weights must have the dtype of the scores; so they have in every case.
    scores = float32_or_64(data)
    return lambda: scors.roc_auc(data.labels, scores(), data.weights)


@adapter("auc", "numpy argsort (ignores ties)")
def numpy_argsort(data: Data) -> Callable[[], Answer]:
    def run() -> float:
        positives, negatives = count_classes(data.labels)
        ranks = np.flatnonzero(data.labels[np.argsort(data.scores)])
        return (ranks.sum() - positives * (positives - 1) / 2) / (positives * negatives)

    return run


@adapter("auc", "numpy packed keys (ignores ties)")
def numpy_packed(data: Data) -> Callable[[], Answer]:
    """Float32 only: the label in the lowest bit below an order-preserving key, one vector sort, no gather."""
    if data.scores.dtype != np.float32:
        raise AbsentError("for float32 scores only")

    def run() -> float:
        positives, negatives = count_classes(data.labels)
        bits = data.scores.view(np.uint32)
        keys = np.where(bits >> 31, ~bits, bits | 0x8000_0000).astype(np.uint64)
        keys <<= 1
        keys |= data.labels
        keys.sort()
        ranks = np.flatnonzero(keys & 1)
        return (ranks.sum() - positives * (positives - 1) / 2) / (positives * negatives)

    return run


@adapter("auc", "numpy two sorts and searchsorted")
def numpy_two_sorts(data: Data) -> Callable[[], Answer]:
    def run() -> float:
        above, below = np.sort(data.scores[data.labels]), np.sort(data.scores[~data.labels])
        twice = np.searchsorted(below, above, "left").sum() + np.searchsorted(below, above, "right").sum()
        return twice / 2 / (len(above) * len(below))

    return run


@adapter("auc", "numba argsort and pass", package="numba")
def numba_pass(data: Data) -> Callable[[], Answer]:
    """Compiled by the first call, which is not timed."""
    pass_over = compile_pass()
    scores = float32_or_64(data) if data.scores.dtype == np.float16 else lambda: data.scores

    def run() -> float:
        values = scores()
        return pass_over(values, data.labels, np.argsort(values))

    return run


_COMPILED: list[Any] = []


def compile_pass() -> Any:
    """Compile (once) the pass over sorted scores that counts pairs with ties."""
    if _COMPILED:
        return _COMPILED[0]
    import numba

    @numba.njit(nogil=True)
    def pass_over(scores: Any, labels: Any, order: Any) -> float:
        twice, positives, negatives, start = 0, 0, 0, 0
        while start < len(order):
            score, tied_positives, tied_negatives, stop = scores[order[start]], 0, 0, start
            while stop < len(order) and scores[order[stop]] == score:
                if labels[order[stop]]:
                    tied_positives += 1
                else:
                    tied_negatives += 1
                stop += 1
            twice += tied_positives * (2 * negatives + tied_negatives)
            positives += tied_positives
            negatives += tied_negatives
            start = stop
        return twice / 2 / (positives * negatives)

    _COMPILED.append(pass_over)
    return pass_over


@adapter("auc", "scipy rankdata", package="scipy", tolerance=1e-6)
def scipy_rankdata(data: Data) -> Callable[[], Answer]:
    from scipy.stats import rankdata

    def run() -> float:
        positives, negatives = count_classes(data.labels)
        above = rankdata(data.scores)[data.labels].sum() - positives * (positives + 1) / 2
        return above / (positives * negatives)

    return run


@adapter("auc", "scipy mannwhitneyu", package="scipy", tolerance=1e-6)
def scipy_mannwhitneyu(data: Data) -> Callable[[], Answer]:
    from scipy.stats import mannwhitneyu

    def run() -> float:
        above, below = data.scores[data.labels], data.scores[~data.labels]
        return mannwhitneyu(above, below, method="asymptotic").statistic / (len(above) * len(below))

    return run


@adapter("auc", "catboost eval_metric", package="catboost", tolerance=1e-6)
def catboost_auc(data: Data) -> Callable[[], Answer]:
    from catboost.utils import eval_metric

    return lambda: eval_metric(data.labels, data.scores, "AUC", weight=data.weights, thread_count=1)[0]


@adapter("auc", "fastauc (C++)", tolerance=1e-6)
def fastauc(data: Data) -> Callable[[], Answer]:
    """Not in the registry: the environment variable FASTAUC_LIB names its shared library."""
    path = os.environ.get("FASTAUC_LIB")
    if path is None:
        raise AbsentError("FASTAUC_LIB is not set")
    if data.scores.dtype != np.float32:
        raise AbsentError("for float32 scores only")
    call = ctypes.CDLL(path).cpp_auc_ext
    floats = ndpointer(ctypes.c_float, flags="C_CONTIGUOUS")
    flags = ndpointer(ctypes.c_bool, flags="C_CONTIGUOUS")
    call.argtypes = [floats, flags, ctypes.c_size_t, floats, ctypes.c_size_t]
    call.restype = ctypes.c_float
    weights = np.empty(0, np.float32) if data.weights is None else data.weights
    return lambda: call(data.scores, data.labels, len(data.labels), weights, len(weights))


@adapter("auc", "np.sort of the scores (a floor)")
def sort_of_scores(data: Data) -> Callable[[], Answer]:
    """No AUC: what sorting alone costs."""

    def run() -> None:
        np.sort(data.scores)

    return run


# One AUC for each group.


@adapter("groups", "scikit-learn loop", package="scikit-learn")
def scikit_learn_groups(data: Data) -> Callable[[], Answer]:
    from sklearn.metrics import roc_auc_score

    return lambda: loop_over_groups(data, roc_auc_score)


@adapter("groups", "scors loop", package="scors")
def scors_groups(data: Data) -> Callable[[], Answer]:
    import scors

    return lambda: loop_over_groups(data, scors.roc_auc)


@adapter("groups", "polars rank().over()", package="polars")
def polars_groups(data: Data) -> Callable[[], Answer]:
    import polars as pl

    frame = pl.DataFrame({"group": data.groups, "score": data.scores, "label": data.labels})
    rank = pl.col("score").rank("average").over("group")
    positives = pl.col("label").sum().cast(pl.Float64)
    above = pl.col("rank").filter("label").sum() - positives * (positives + 1) / 2
    query = (
        frame.lazy()
        .with_columns(rank.alias("rank"))
        .group_by("group")
        .agg((above / (positives * (pl.len() - positives))).alias("auc"))
    )

    def run() -> Answer:
        result = query.collect()
        return result["group"].to_numpy(), result["auc"].to_numpy()

    return run


@adapter("groups", "catboost QueryAUC (mean, presorted)", package="catboost", tolerance=1e-6)
def catboost_groups(data: Data) -> Callable[[], Answer]:
    """The mean only, a group of one class as 0; rows must be sorted by group, which is done before."""
    from catboost.utils import eval_metric

    order = np.argsort(data.groups, kind="stable")
    groups, scores, labels = data.groups[order], data.scores[order], data.labels[order].astype(np.float32)
    return lambda: eval_metric(labels, scores, "QueryAUC", group_id=groups, thread_count=1)[0]


# Many series against one vector of labels.


@adapter("batch", "scikit-learn loop", package="scikit-learn")
def scikit_learn_batch(data: Data) -> Callable[[], Answer]:
    from sklearn.metrics import roc_auc_score

    return lambda: np.array([roc_auc_score(data.labels, series) for series in data.scores])


@adapter("batch", "scors loop", package="scors")
def scors_batch(data: Data) -> Callable[[], Answer]:
    import scors

    return lambda: np.array([scors.roc_auc(data.labels, series) for series in data.scores])


@adapter("batch", "scipy rankdata", package="scipy", tolerance=1e-6)
def scipy_batch(data: Data) -> Callable[[], Answer]:
    from scipy.stats import rankdata

    def run() -> Answer:
        positives, negatives = count_classes(data.labels)
        above = rankdata(data.scores, axis=1)[:, data.labels].sum(axis=1) - positives * (positives + 1) / 2
        return above / (positives * negatives)

    return run


# The sort alone.


@adapter("sort", "np.sort")
def numpy_sort(data: Data) -> Callable[[], Answer]:
    return lambda: np.sort(data.scores)
