"""Pair losses of positives and their own negatives, row by row."""

from typing import Any

import numpy as np

from fastpair._cuda._source import launch
from fastpair._cuda.list_losses import NARROW, formula, narrowed
from fastpair._cuda.lists import column, threads

__all__ = ["aligned_pairs"]


def aligned_pairs(
    pos: Any,
    neg: Any,
    surrogate: str,
    temperature: float,
    margin: float,
    gradient: bool,
    num_threads: int | None,
) -> tuple[Any, Any, Any]:
    """Return the sum of each row, and derivatives by positives and negatives: float32 where both are narrow floats."""
    import cupy

    rows, width = neg.shape
    both_narrow = pos.dtype.name in NARROW and neg.dtype.name in NARROW
    dtype = np.float32 if both_narrow else np.float64
    name, options = formula(surrogate, temperature, margin, 1.0)
    kind = "float" if both_narrow else "double"
    lanes = min(32, 1 << max(width - 1, 0).bit_length())
    sums = cupy.empty(rows)
    on_pos, on_neg = (cupy.empty(rows, dtype), cupy.empty((rows, width), dtype)) if gradient else (None, None)
    launch(
        *("aligned.cu", f"aligned_terms<{kind},{narrowed(name, both_narrow)}>", *threads(rows, lanes)),
        *(*column(pos), *column(neg), rows, width, np.int32(lanes), *options, sums, on_pos, on_neg),
    )
    return sums, on_pos, on_neg
