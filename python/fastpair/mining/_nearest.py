"""Nearest rows in parts: the search of `fastpair.topk` for a part of the rows at a time, so that much may be found."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._progress import Progress, Report
from fastpair._validate import Resources
from fastpair.mining._positives import Lists, union
from fastpair.mining._samples import chunks
from fastpair.similarity._pairwise import pairwise
from fastpair.similarity._topk import TopK, topk

__all__ = ["exact_rows", "nearest", "with_own"]

_Array: TypeAlias = npt.NDArray[Any]
_Floats: TypeAlias = npt.NDArray[np.float64]
_Ints: TypeAlias = npt.NDArray[np.int64]


def with_own(known: Lists, columns: int) -> Lists:
    """Add to lists of columns that of the row itself."""
    rows = len(known[0]) - 1
    return union(known, (np.arange(rows + 1), np.arange(rows)), columns)


def nearest(
    x: _Array,
    y: _Array,
    k: int,
    metric: str,
    largest: bool,
    *,
    excluded: Lists | None,
    labels: tuple[_Ints, _Ints] | None,
    row_bytes: int,
    resources: Resources,
    progress: bool | Report,
) -> Iterator[tuple[slice, TopK]]:
    """Find the k best rows of y, part of x by part; `row_bytes` is what the caller needs for a row beside that."""
    most, half = _halved(resources, len(x), row_bytes + 16 * k + x.shape[1] * 8)
    with Progress(progress, len(x) * len(y)) as watcher:
        for part in chunks(len(x), most):
            rules: dict[str, Any] = {}
            if excluded is not None and len(excluded[1]):
                starts = excluded[0][part.start : part.stop + 1]
                rules["exclude"] = (starts - starts[0], excluded[1][starts[0] : starts[-1]])
            if labels is not None:
                rules.update(x_labels=labels[0][part], y_labels=labels[1], same_label=False)
            report = watcher.part((part.stop - part.start) * len(y)) or False
            with _whole_memory(resources):
                found = topk(
                    x[part],
                    y,
                    k,
                    metric=metric,  # type: ignore[arg-type]
                    largest=largest,
                    num_threads=resources.num_threads,
                    max_memory=half,
                    progress=report,
                    **rules,
                )
            watcher.end_part()
            yield part, found


def exact_rows(
    x: _Array, y: _Array, metric: Any, *, row_bytes: int, resources: Resources, progress: bool | Report
) -> Iterator[tuple[slice, _Floats]]:
    """Yield all scores of a part of the rows at a time, with the bits of those of `fastpair.topk`."""
    most, half = _halved(resources, len(x), row_bytes + 8 * len(y))
    with Progress(progress, len(x) * len(y)) as watcher:
        for part in chunks(len(x), most):
            watcher.part((part.stop - part.start) * len(y))
            scores = np.empty((part.stop - part.start, len(y)))
            with _whole_memory(resources):
                pairwise(x[part], y, metric, exact=True, num_threads=resources.num_threads, max_memory=half, out=scores)
            watcher.end_part()
            yield part, scores


def _halved(resources: Resources, rows: int, row_bytes: int) -> tuple[int, int | None]:
    """Return how many rows half of the memory is enough for, and the other half, which kernels may use."""
    given = resources.max_memory
    most = min(max(1, rows), resources.scratch // (2 * max(1, row_bytes)))
    if most < 1 and given is not None:
        raise ValueError(
            f"max_memory is {given} bytes, but this call needs {2 * row_bytes} for a row; pass at least that"
        )
    return max(1, most), None if given is None else max(1, given // 2)


@contextmanager
def _whole_memory(resources: Resources) -> Iterator[None]:
    """Let errors of kernels speak of the memory that the caller named, of which they get half."""
    try:
        yield
    except ValueError as error:
        needed = re.match(r"max_memory is \d+ bytes, but this call needs (\d+)", str(error))
        if needed is None:
            raise
        raise ValueError(
            f"max_memory is {resources.max_memory} bytes, but this call needs {2 * int(needed[1])} on one thread; pass "
            f"at least that"
        ) from None
