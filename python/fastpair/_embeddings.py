"""Checks of embeddings that several namespaces share: shapes, dtypes, names of metrics."""

import operator
import sys
from typing import Any, Literal, SupportsIndex, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import ArrayLike, array_of, gpu_call, kernels_of

__all__ = [
    "FILTERS",
    "METRICS",
    "Filter",
    "Metric",
    "are_largest_best",
    "check_count",
    "check_filter",
    "check_flag",
    "check_metric",
    "embeddings",
    "is_narrow",
    "is_sparse",
    "numbers",
    "queries",
    "same_width",
    "two_sets",
]

Metric: TypeAlias = Literal[
    "dot", "cosine", "euclidean", "sqeuclidean", "manhattan", "hamming", "jaccard", "poincare", "lorentz"
]
METRICS: tuple[str, ...] = (
    *("dot", "cosine", "euclidean", "sqeuclidean", "manhattan"),
    *("hamming", "jaccard", "poincare", "lorentz"),
)
Filter: TypeAlias = Literal["auto", "f32", "bf16", "int16", "int8", "off"]
FILTERS: tuple[str, ...] = ("auto", "f32", "bf16", "int16", "int8", "off")
SIMILARITIES = ("dot", "cosine")
METRICS_OF_BITS = ("hamming", "jaccard")

_Array: TypeAlias = npt.NDArray[Any]


def check_metric(metric: object, choices: tuple[str, ...] = METRICS) -> str:
    """Return `metric` if it is one of `choices`."""
    if isinstance(metric, str) and metric in choices:
        return metric
    raise ValueError(f"metric must be one of {', '.join(map(repr, choices))}, not {metric!r}")


def check_filter(filter: object, argument: str = "filter") -> str:
    """Return `filter` if it is the name of one."""
    if isinstance(filter, str) and filter in FILTERS:
        return filter
    raise ValueError(
        f"{argument} must be one of {', '.join(map(repr, FILTERS))}, not {filter!r}; all of them give the same result, "
        f"and 'auto' chooses the fastest"
    )


def are_largest_best(metric: str, largest: bool | None) -> bool:
    """Whether the largest scores are the best: as said, else if the metric is a similarity."""
    if largest is None:
        return metric in SIMILARITIES
    return check_flag(largest, "largest", "True, False or None, which goes by the metric")


def check_flag(flag: object, argument: str, choices: str = "True or False") -> bool:
    """Return `flag` if it is a bool."""
    if not isinstance(flag, (bool, np.bool_)):
        raise TypeError(f"{argument} must be {choices}, not {flag!r}")
    return bool(flag)


def check_count(count: SupportsIndex, argument: str, least: int) -> int:
    """Return `count` as an int of at least `least`."""
    try:
        value = operator.index(count)
    except TypeError:
        raise TypeError(f"{argument} must be an integer, not {count!r} ({type(count).__name__})") from None
    if value < least:
        raise ValueError(f"{argument} must be at least {least}, not {value}")
    return value


def is_sparse(values: object) -> bool:
    """Whether this is a sparse matrix or array of scipy, which is not imported to find out.

    Beside arrays on a GPU it is like any other object of the host, and `array_of` refuses it.
    """
    module = sys.modules.get("scipy.sparse")
    return module is not None and bool(module.issparse(values)) and gpu_call.get() is None


def is_narrow(array: _Array) -> bool:
    """Whether float32 holds the values exactly: floats of 16 or 32 bits, integers of 8, bool."""
    kind, size = array.dtype.kind, array.dtype.itemsize
    return array.dtype.name == "bfloat16" or (kind == "f" and size <= 4) or (kind in "iub" and size == 1)


def embeddings(values: ArrayLike, argument: str, metric: str) -> _Array:
    """View `values` as a matrix whose dtype the metric can read; bits stay as they are."""
    return _matrix(numbers(values, argument, metric), argument)


def queries(x: ArrayLike, metric: str) -> tuple[_Array, bool]:
    """View `x` as a matrix, and say whether it is a single query of one dimension."""
    array = numbers(x, "x", metric)
    return (array[np.newaxis], True) if array.ndim == 1 else (_matrix(array, "x"), False)


def two_sets(x: ArrayLike, y: ArrayLike | None, metric: str) -> tuple[_Array, _Array, bool]:
    """Return x and y, ready for the kernels, and whether x was a single query; without y, y is x."""
    rows, single = queries(x, metric)
    if y is None:
        if single:
            raise ValueError(f"x has shape {rows.shape[1:]}, a single query; pass y, the rows to compare it with")
        rows = _pack(rows, metric)
        return rows, rows, False
    columns = embeddings(y, "y", metric)
    return *same_width(rows, columns, metric), single


def same_width(x: _Array, y: _Array, metric: str) -> tuple[_Array, _Array]:
    """Return x and y, with bits packed, after a check that their rows are equally long."""
    if x.dtype == y.dtype or not (x.dtype == np.bool_ or y.dtype == np.bool_):
        _check_width(x, y)  # before it is hidden by packing
    x, y = _pack(x, metric), _pack(y, metric)
    _check_width(x, y)
    return x, y


def _check_width(x: _Array, y: _Array) -> None:
    if x.shape[1] != y.shape[1]:
        raise ValueError(f"x has {x.shape[1]} columns but y has {y.shape[1]}; pass rows of the same length")


def _pack(array: _Array, metric: str) -> _Array:
    """Pack bool into bits where the metric is one of bits."""
    if metric not in METRICS_OF_BITS or array.dtype != np.bool_:
        return array
    return np.packbits(array, axis=-1) if isinstance(array, np.ndarray) else kernels_of(array).pack_bools(array)


def _matrix(array: _Array, argument: str) -> _Array:
    if array.ndim != 2:
        hint = f"; one row is {argument}.reshape(1, -1)" if array.ndim == 1 else ""
        raise ValueError(f"{argument} has shape {array.shape}; pass two dimensions, a row for each embedding{hint}")
    return array


def numbers(values: ArrayLike, argument: str, metric: str) -> _Array:
    """View array-like `values` as an array of real numbers."""
    if is_sparse(values):
        raise TypeError(
            f"{argument} is a sparse {type(values).__name__}, which only searches, pairwise and rowwise take, "
            f"with metric='dot' or 'cosine'; pass {argument}.toarray() here"
        )
    array = array_of(values, argument)
    dtype = array.dtype
    if metric in METRICS_OF_BITS:
        if dtype != np.bool_ and dtype != np.uint8:
            raise TypeError(
                f"{argument} has dtype {dtype}, but metric={metric!r} compares bits; pass bool, or uint8 made with "
                f"numpy.packbits({argument} > 0, axis=-1)"
            )
    elif dtype.kind == "c":
        raise TypeError(f"{argument} has dtype {dtype}; pass real numbers, for example real and imaginary parts")
    elif dtype.name != "bfloat16" and (dtype.kind not in "fiub" or dtype.itemsize > 8):
        hint = " (are the rows equally long?)" if dtype.kind == "O" else ""
        raise TypeError(f"{argument} has dtype {dtype}; pass real numbers: floats of at most 64 bits or integers{hint}")
    return array
