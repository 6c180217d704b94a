"""Matrices of scores and scores of aligned rows."""

from typing import Any

import numpy as np

from fastpair._cuda._source import launch
from fastpair._cuda.gemm import gemm
from fastpair._cuda.score import METRICS, Rows, prepare

__all__ = ["pairwise", "rowwise", "write_scores"]

PRODUCTS = ("dot", "cosine", "sqeuclidean", "euclidean")
"""Metrics whose scores follow from products of matrices; others are evaluated as they are defined."""
LARGEST_NORM = {"float32": 1e18, "float64": 1e150}
"""Products of rows with smaller norms stay in the range of the dtype."""
THREADS = 256
SIDE_OF_A_BLOCK = 16
"""Rows and columns of exact scores that a block of threads computes."""


def pairwise(
    x: Any,
    y: Any,
    metric: str,
    out: Any,
    exact: bool,
    num_threads: int | None,
    max_memory: int | None = None,
    held: int = 0,
) -> None:
    """Write the scores of all pairs to `out`, float32 or float64; exact ones are rounded to its dtype."""
    if not out.size:
        return
    left, right = prepare(x, y, metric)
    write_scores(left, right, metric, out, exact)


def rowwise(x: Any, y: Any, metric: str, num_threads: int | None) -> Any:
    """Return the exact scores of rows i of x and i of y, float64."""
    import cupy

    out = cupy.empty(len(x))
    if len(x):
        left, right = prepare(x, y, metric)
        args = (left.values, right.values, left.facts, right.facts, *left.values.shape, METRICS[metric], out)
        launch("dense.cu", f"aligned_scores<{left.kind}>", -(-len(x) * 16 // THREADS), THREADS, *args)
    return out


def write_scores(left: Rows, right: Rows, metric: str, out: Any, exact: bool) -> None:
    """Write the scores of all pairs of some rows to `out`, which is C-contiguous."""
    places = (out, None) if out.dtype == np.float32 else (None, out)
    shape = left.height, right.height, left.width
    args = left.values, right.values, left.facts, right.facts, *shape, METRICS[metric], *places
    if exact or metric not in PRODUCTS:
        blocks = -(-left.height // SIDE_OF_A_BLOCK) * -(-right.height // SIDE_OF_A_BLOCK)
        launch("dense.cu", f"all_scores<{left.kind}>", blocks, THREADS, *args)
        return
    factor = _factor(left.values, out.dtype)
    gemm(factor, factor if right.values is left.values else _factor(right.values, out.dtype), out, transpose_b=True)
    if metric != "dot" or not max(left.largest, right.largest) < LARGEST_NORM[out.dtype.name]:
        warps = left.height * -(-right.height // 32)
        launch("dense.cu", f"finish_products<{left.kind}>", -(-warps * 32 // THREADS), THREADS, *args)


def _factor(values: Any, dtype: np.dtype[Any]) -> Any:
    """Return rows as cuBLAS multiplies them into a matrix of this dtype."""
    if dtype == np.float64 or values.dtype == np.float64:
        return values.astype(dtype, copy=False)
    return values.astype(np.float16) if values.dtype == np.int8 else values
