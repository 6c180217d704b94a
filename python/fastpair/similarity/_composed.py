"""Metrics made of those of the kernels and numpy: kernels of distances, whitening, divergences of distributions."""

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import ArrayLike, array_of, library_of
from fastpair._validate import Resources

__all__ = [
    "BASES",
    "DIVERGENCES",
    "Options",
    "aligned_divergences",
    "computable",
    "finish",
    "mean_row",
    "parse_options",
    "whitened",
    "write_divergences",
]

_Array: TypeAlias = npt.NDArray[Any]
_Floats: TypeAlias = npt.NDArray[np.float64]

BASES = {"rbf": "sqeuclidean", "angular": "cosine", "half_cosine": "cosine", "mahalanobis": "euclidean"}
"""Metrics that follow from one of the kernels."""
DIVERGENCES = ("kl", "jensenshannon")

MOST_CELLS = 1 << 19
"""Numbers of float64 in a temporary of a divergence: 4 MiB, of which a few exist at a time."""
BYTES_OF_A_CELL = 64
"""What these few take for each number."""


@dataclass(frozen=True)
class Options:
    """The arguments that some metrics need."""

    bandwidth: float = 1.0
    whitening: _Floats | None = None


def parse_options(
    metric: str, bandwidth: float | None, covariance: ArrayLike | None, inverse_covariance: ArrayLike | None
) -> Options:
    """Check the arguments of a metric, and that there are none of another."""
    given = {"bandwidth": bandwidth, "covariance": covariance, "inverse_covariance": inverse_covariance}
    allowed = {"rbf": {"bandwidth"}, "mahalanobis": {"covariance", "inverse_covariance"}}.get(metric, set())
    for name, value in given.items():
        if value is not None and name not in allowed:
            raise ValueError(f"{name} was given, but metric={metric!r} has none; drop it, or pass another metric")
    if metric == "rbf":
        return Options(bandwidth=_positive(bandwidth))
    if metric == "mahalanobis":
        return Options(whitening=_whitening(covariance, inverse_covariance))
    return Options()


def whitened(x: _Array, y: _Array, options: Options) -> tuple[_Array, _Array]:
    """Return rows whose Euclidean distances are the Mahalanobis distances of these."""
    matrix = options.whitening
    if matrix is None:
        return x, y
    if len(matrix) != x.shape[1]:
        raise ValueError(
            f"the covariance has shape {matrix.shape}, but x has {x.shape[1]} columns; pass a row for each"
        )
    # Moved near 0 first, so that digits are not lost to a common offset.
    wide_columns = computable(y)
    wide_rows = wide_columns if x is y else computable(x)
    centre = mean_row(wide_columns)
    with np.errstate(invalid="ignore", over="ignore"):
        columns = (wide_columns - centre) @ matrix
        rows = columns if x is y else (wide_rows - centre) @ matrix
    for values, argument in ((wide_rows, "x"), (wide_columns, "y")):
        _check_finite(values, argument)
    return rows, columns


def computable(values: _Array) -> _Array:
    """Return values that numpy and CuPy compute with: CuPy can store and convert bfloat16, but no more."""
    return values.astype(np.float64) if values.dtype.name == "bfloat16" else values


def mean_row(rows: _Array) -> _Floats:
    """Return the mean of rows in float64; zeros if there are none."""
    mean: _Floats = rows.mean(axis=0, dtype=np.float64) if len(rows) else library_of(rows).zeros(rows.shape[1])
    return mean


def finish(scores: _Array, metric: str, options: Options) -> None:
    """Turn the scores of a base into those of the metric, in place."""
    if metric == "rbf":
        scores /= -options.bandwidth
        np.exp(scores, out=scores)
    elif metric == "angular":
        np.arccos(np.clip(scores, -1, 1, out=scores), out=scores)
        scores /= np.pi
    elif metric == "half_cosine":
        np.subtract(1, scores, out=scores)
        scores /= 2


def write_divergences(x: _Array, y: _Array, metric: str, out: _Array, resources: Resources) -> None:
    """Write the divergences of all pairs of rows into `out`."""
    width = max(x.shape[1], 1)
    cells = resources.pieces(MOST_CELLS // width, width * BYTES_OF_A_CELL) * width
    if metric == "kl":
        height = min(max(1, cells // width), 512)
        reach = max(1, min(cells // width, cells // height))
    else:
        reach = max(1, min(len(y), cells // width))
        height = max(1, cells // (width * reach))
    for left in range(0, len(y), reach):
        q = distributions(y[left : left + reach], "y", left)
        for top in range(0, len(x), height):
            p = distributions(x[top : top + height], "x", top)
            block = _all_kl(p, q) if metric == "kl" else _jensen_shannon(p[:, np.newaxis], q)
            out[top : top + height, left : left + reach] = block
    if not len(y):
        distributions(x, "x", 0)


def aligned_divergences(x: _Array, y: _Array, metric: str) -> _Floats:
    """Return the divergences of aligned rows."""
    result: _Floats = library_of(x).empty(len(x))
    step = max(1, MOST_CELLS // max(x.shape[1], 1))
    for top in range(0, len(x), step):
        part = slice(top, top + step)
        p, q = distributions(x[part], "x", top), distributions(y[part], "y", top)
        result[part] = _aligned_kl(p, q) if metric == "kl" else _jensen_shannon(p, q)
    return result


def distributions(rows: _Array, argument: str, begin: int) -> _Floats:
    """Return rows as float64 that sum to 1; `begin` is the index of the first in errors."""
    values: _Floats = rows.astype(np.float64)
    largest = values.max(axis=1) if values.shape[1] else library_of(values).zeros(len(values))
    # NaN is not at least 0, and the largest of a row that has one is NaN.
    if not ((values >= 0).all(axis=1) & (largest > 0) & (largest < np.inf)).all():
        raise _no_distribution(values, argument, begin)
    values /= largest[:, np.newaxis]  # so that no sum overflows
    values /= values.sum(axis=1, keepdims=True)
    return values


def _no_distribution(values: _Floats, argument: str, begin: int) -> ValueError:
    """Return the error for rows of which one is no distribution."""
    _check_finite(values, argument, begin)
    negative = values < 0
    if negative.any():
        row, column = _first(negative)
        return ValueError(
            f"{argument} is {float(values[row, column])} at row {begin + row}, column {column}; pass probabilities or "
            f"counts, which are not negative"
        )
    row, _ = _first((values == 0).all(axis=1)[:, np.newaxis])
    return ValueError(f"row {begin + row} of {argument} sums to 0; pass probabilities")


def _all_kl(p: _Floats, q: _Floats) -> _Floats:
    """KL(p, q) of all pairs."""
    empty = q == 0
    logs = np.log(np.where(empty, 1.0, q))
    divergences: _Floats = _negative_entropy(p)[:, np.newaxis] - p @ logs.T
    np.maximum(divergences, 0.0, out=divergences)
    if empty.any():
        divergences[(p > 0).astype(np.float32) @ empty.T.astype(np.float32) > 0] = np.inf
    return divergences


def _aligned_kl(p: _Floats, q: _Floats) -> _Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(p > 0, p * np.log(p / q), 0.0)
    divergences: _Floats = np.maximum(terms.sum(axis=-1), 0.0)
    return divergences


def _negative_entropy(p: _Floats) -> _Floats:
    negative: _Floats = np.sum(p * np.log(np.where(p > 0, p, 1.0)), axis=-1)
    return negative


def _jensen_shannon(p: _Floats, q: _Floats) -> _Floats:
    """Jensen-Shannon distances, of relative accuracy also for near duplicates.

    With s = p + q and t = (p - q) / s, p log(p / m) + q log(q / m) = s (2 t artanh(t) + log(1 - t^2)) / 2.
    """
    s = p + q
    t = p - q
    t /= np.where(s > 0, s, 1.0)
    one_sided = np.abs(t) == 1
    t[one_sided] = 0.0
    terms = np.arctanh(t)
    terms *= 2 * t
    t *= -t
    terms += np.log1p(t, out=t)
    terms[one_sided] = 2 * np.log(2)
    terms *= s
    distances: _Floats = np.sqrt(np.maximum(terms.sum(axis=-1) / 4, 0.0))
    return distances


def _positive(bandwidth: Any) -> float:
    if bandwidth is None:
        raise TypeError("bandwidth is None, but metric='rbf' needs it: scores are exp(-|x - y|^2 / bandwidth)")
    try:
        value = float(bandwidth)
    except (TypeError, ValueError):
        raise TypeError(f"bandwidth must be a number, not {bandwidth!r} ({type(bandwidth).__name__})") from None
    if not 0 < value < np.inf:
        raise ValueError(f"bandwidth must be positive and finite, not {bandwidth!r}")
    return value


def _whitening(covariance: ArrayLike | None, inverse_covariance: ArrayLike | None) -> _Floats:
    """Return a matrix W with W W^T the inverse of the covariance."""
    if (covariance is None) == (inverse_covariance is None):
        both = "both" if covariance is not None else "neither"
        raise TypeError(f"metric='mahalanobis' needs covariance or inverse_covariance, one of them; {both} was given")
    argument = "inverse_covariance" if covariance is None else "covariance"
    array = array_of(inverse_covariance if covariance is None else covariance, argument)  # type: ignore[arg-type]
    if array.dtype.kind not in "fiu":
        raise TypeError(f"{argument} has dtype {array.dtype}; pass real numbers")
    if array.ndim != 2 or array.shape[0] != array.shape[1]:
        raise ValueError(f"{argument} has shape {array.shape}; pass a square matrix, a row for each column of x")
    # Small, looked at closely and factored: that is done on the host, wherever it comes from.
    matrix: _Floats = (array if isinstance(array, np.ndarray) else array.get()).astype(np.float64)
    scale = np.abs(matrix).max(initial=0.0)
    if not np.isfinite(scale) or np.abs(matrix - matrix.T).max(initial=0.0) > 1e-8 * scale:
        raise ValueError(f"{argument} is not finite or not symmetric; pass for example numpy.cov(x, rowvar=False)")
    try:
        factor = np.linalg.cholesky((matrix + matrix.T) / 2)
        whitening = factor if covariance is None else np.linalg.solve(factor, np.eye(len(factor))).T
    except np.linalg.LinAlgError:
        raise ValueError(
            f"{argument} is not positive definite; add a little to its diagonal, for example "
            f"{argument} + 1e-6 * numpy.eye({len(matrix)})"
        ) from None
    on_its_device: _Floats = library_of(array).asarray(whitening, np.float64)
    return on_its_device


def _check_finite(values: _Array, argument: str, begin: int = 0) -> None:
    finite = np.isfinite(values)
    if not finite.all():
        row, column = _first(~finite)
        raise ValueError(
            f"{argument} is {float(values[row, column])} at row {begin + row}, column {column}; embeddings must be "
            f"finite: drop or repair such rows"
        )


def _first(flags: _Array) -> tuple[int, int]:
    """Return the row and the column of the first true one."""
    row, column = divmod(int(flags.argmax()), flags.shape[1])
    return row, column
