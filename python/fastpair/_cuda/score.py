"""Rows as the kernels of exact scores read them: `prepare`.

Kernels that include ``score.cuh`` take contiguous rows of one of `ELEMENTS` on both sides. Dtypes that are none of
these become the next one that holds them exactly (64-bit integers the nearest float64), packed bits become words.
"""

from typing import Any, NamedTuple

import numpy as np

from fastpair._cuda._source import launch, type_name

__all__ = ["BITS", "ELEMENTS", "METRICS", "Rows", "common_dtype", "exact_dtype", "prepare", "row_error", "words"]

METRICS = {
    name: np.int32(code)
    for code, name in enumerate(
        ("dot", "cosine", "sqeuclidean", "euclidean", "manhattan", "poincare", "lorentz", "hamming", "jaccard")
    )
}
"""The codes of ``metric.cuh``."""
BITS = ("hamming", "jaccard")

ELEMENTS = ("float16", "bfloat16", "float32", "float64", "int8", "uint32")
"""Dtypes of rows; uint32 is for bits."""
EXACT = {"bool": np.int8, "uint8": np.float16, "int16": np.float32, "uint16": np.float32}
"""What holds the values of other dtypes; float64 where there is none."""

THREADS = 128
ROWS_OF_A_BLOCK = THREADS // 16


class Rows(NamedTuple):
    """Contiguous rows; what each brings to its scores by itself (null for bits); a bound of the norms of all."""

    values: Any
    facts: Any
    largest: float

    @property
    def kind(self) -> str:
        """The type of the elements in kernels."""
        return type_name(self.values.dtype)

    @property
    def height(self) -> int:
        """How many rows there are."""
        return int(self.values.shape[0])

    @property
    def width(self) -> int:
        """The elements (or words) of a row."""
        return int(self.values.shape[1])

    def part(self, begin: int, end: int) -> "Rows":
        """Return rows begin to end, without a copy."""
        return Rows(self.values[begin:end], None if self.facts is None else self.facts[begin:end], self.largest)


def prepare(x: Any, y: Any, metric: str) -> tuple[Rows, Rows]:
    """Return the rows of x and y for exact scores, or raise the error of a row that has none.

    That takes one read of the host, but for integers of 8 bits and bits. Rows are copied only where they are not
    contiguous or both sides are not of one dtype of `ELEMENTS`. x may be y.
    """
    import cupy

    if metric in BITS:
        left = Rows(words(x), None, np.inf)
        return left, left if x is y else Rows(words(y), None, np.inf)
    dtype = common_dtype(exact_dtype(x.dtype), exact_dtype(y.dtype))
    values = cupy.ascontiguousarray(x, dtype)
    sides = [values, values if x is y else cupy.ascontiguousarray(y, dtype)]
    once = x is y and metric != "cosine"
    checked = dtype.kind != "i" or metric == "poincare"
    reports: Any = (None, None)
    if checked:
        reports = cupy.zeros((2, 2), np.int64)
        reports[:, 0] = -1
    facts = []
    for second, own in enumerate(sides[:1] if once else sides):
        facts.append(cupy.empty((len(own), 2)))
        args = (own, *own.shape, METRICS[metric], np.bool_(second), facts[-1], reports[second])
        blocks = -(-len(own) // ROWS_OF_A_BLOCK)
        launch("score.cu", f"row_facts<{type_name(dtype)}>", blocks, THREADS, *args)
    largest = [128.0 * float(np.sqrt(values.shape[1]))] * 2
    if checked:
        found = reports.get()
        for second, argument in enumerate(("x", "y")):
            if found[second, 0] >= 0:
                row = int(found[second, 0])
                raise row_error((x, y)[second], argument, row, facts[second][row])
        largest = found[:, 1].view(np.float64).tolist()
    last = 0 if once else 1
    return Rows(sides[0], facts[0], largest[0]), Rows(sides[1], facts[last], largest[last])


def exact_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the dtype of `ELEMENTS` that holds the values of this one."""
    return dtype if dtype.name in ELEMENTS[:-1] else np.dtype(EXACT.get(dtype.name, np.float64))


def common_dtype(x: np.dtype[Any], y: np.dtype[Any]) -> np.dtype[Any]:
    """Return the dtype of `ELEMENTS` that holds the values of both."""
    return np.dtype(np.float32) if {x.name, y.name} == {"float16", "bfloat16"} else np.result_type(x, y)


def words(bits: Any) -> Any:
    """View rows of packed bits as words, with zeros behind the last byte."""
    import cupy

    rows, width = bits.shape
    whole = cupy.ascontiguousarray(bits)
    if width % 4 or whole.data.ptr % 4:
        whole = cupy.zeros((rows, -(-width // 4) * 4), np.uint8)
        whole[:, :width] = bits
    return whole.view(np.uint32)


def row_error(values: Any, argument: str, row: int, facts: Any) -> ValueError:
    """Return the error of the kernels for processors, for a row that has no scores."""
    own = values[row].get().astype(np.float64)
    bad = ~np.isfinite(own)
    if bad.any():
        column = int(bad.argmax())
        seen = {np.inf: "inf", -np.inf: "-inf"}.get(float(own[column]), "NaN")
        return ValueError(
            f"{argument} is {seen} at row {row}, column {column}; embeddings must be finite: drop or repair such rows"
        )
    norm = np.format_float_positional(np.sqrt(facts[1].get()), trim="-")
    return ValueError(f"row {row} of {argument} has norm {norm}; points of the Poincare ball have a norm below 1")
