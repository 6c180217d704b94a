"""What the losses over pairs of embeddings share: inputs, reductions over rows, the kernel, gradients in their dtypes.

A loss runs in four steps. `parse_pairs` views the embeddings, or the matrix of similarities in their place, and
`fastpair._roles` says which pairs are positive, negative or left out. `parse_rows_reduction` checks how rows
become a value. `evaluate` calls the kernel `pair_rows`, which never forms the n x m matrix, and scales the
gradients by what only the number of valid rows tells. The loss casts them to the dtypes of its inputs (`cast`).
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, SupportsIndex, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import ArrayLike, kernels_of, library_of, library_of_call, scalar
from fastpair._embeddings import check_flag, check_metric, embeddings, is_narrow, numbers, same_width
from fastpair._validate import Resources, check_choice, check_not_negative, check_number, in_dtype_of, parse_resources

__all__ = [
    "SIMILARITY_METRICS",
    "EmbeddingGrads",
    "Outcome",
    "Pairs",
    "RowsReduction",
    "SimilarityMetric",
    "WeightNorm",
    "called_as",
    "cast",
    "check_positive",
    "evaluate",
    "finish",
    "in_order",
    "parse_pairs",
    "parse_per_row",
    "parse_rows_reduction",
    "parse_temperature",
    "temperature_gradient",
    "total",
]

_Array: TypeAlias = npt.NDArray[Any]
_Floats: TypeAlias = npt.NDArray[np.float64]
_Bools: TypeAlias = npt.NDArray[np.bool_]

Origins: TypeAlias = tuple[tuple[str, str, int], ...]
SimilarityMetric: TypeAlias = Literal["cosine", "dot", "sqeuclidean", "euclidean"]
WeightNorm: TypeAlias = Literal["count", "weights"]
SIMILARITY_METRICS = ("cosine", "dot", "sqeuclidean", "euclidean")


class EmbeddingGrads(NamedTuple):
    """The gradients of a loss of pairs of embeddings; None for what was not given.

    Those of arrays have the shapes and dtypes of the inputs. Without y, that of x is the sum of both roles. That of a
    scalar temperature is a float64.
    """

    x: _Array | None
    y: _Array | None
    temperature: Any
    similarities: _Array | None


@dataclass(frozen=True)
class Pairs:
    """Two sets of embeddings (y is None where it is x), or the similarities in their place.

    `origins` says for errors what rows of x and of y are called where they were not passed as such: for each piece the
    letter, the name, and the number of rows.
    """

    x: _Array | None
    y: _Array | None
    similarities: _Array | None
    metric: str
    resources: Resources
    origins: Origins = ()

    @property
    def matrix(self) -> _Array:
        """One of the matrices."""
        matrix = self.x if self.similarities is None else self.similarities
        assert matrix is not None
        return matrix

    @property
    def shape(self) -> tuple[int, int]:
        """How many rows and columns the matrix of similarities has."""
        if self.similarities is not None:
            return self.similarities.shape[0], self.similarities.shape[1]
        assert self.x is not None
        return len(self.x), len(self.x if self.y is None else self.y)

    @property
    def within(self) -> bool:
        """Whether the pairs are those of one set of embeddings."""
        return self.x is not None and self.y is None

    @property
    def closeness(self) -> str:
        """What similarities are: the metric, or "given", where nothing is known of them."""
        return self.metric if self.similarities is None else "given"

    @property
    def narrow(self) -> bool:
        """Whether float32 holds all inputs exactly."""
        return all(is_narrow(array) for array in (self.x, self.y, self.similarities) if array is not None)

    def swapped(self) -> "Pairs":
        """Exchange rows and columns."""
        turned = None if self.similarities is None else self.similarities.T
        letters = {"x": "y", "y": "x"}
        origins = tuple((letters[letter], name, count) for letter, name, count in self.origins)
        return self if self.within else Pairs(self.y, self.x, turned, self.metric, self.resources, origins)


class Outcome(NamedTuple):
    """A value and its gradients in the precision of the kernel: of arrays, and of numbers that each row has.

    `slopes` is the derivative of the value with respect to that of each row, 0 for rows that are left out.
    """

    value: Any
    slopes: _Floats | None = None
    x: _Array | None = None
    y: _Array | None = None
    similarities: _Array | None = None
    appended: _Array | None = None
    temperature: _Floats | None = None
    scale: _Floats | None = None
    bias: _Floats | None = None


def parse_pairs(
    x: ArrayLike | None,
    y: ArrayLike | None,
    similarities: ArrayLike | None,
    metric: str,
    num_threads: SupportsIndex | None,
    max_memory: SupportsIndex | None,
) -> Pairs:
    """View embeddings or similarities, of which one must be given."""
    resources = parse_resources(num_threads, max_memory)
    name = check_metric(metric, SIMILARITY_METRICS)
    if similarities is not None:
        if x is not None or y is not None:
            raise ValueError(
                "similarities was given together with embeddings; pass x and y, or the matrix of their similarities"
            )
        return Pairs(None, None, _plain(embeddings(similarities, "similarities", "dot")), name, resources)
    if x is None:
        raise TypeError("x is None; pass embeddings x and y, or a matrix as similarities=")
    rows = _plain(embeddings(x, "x", name))
    if y is None:
        return Pairs(rows, None, None, name, resources)
    rows, columns = same_width(rows, _plain(embeddings(y, "y", name)), name)
    return Pairs(rows, columns, None, name, resources)


def _plain(array: _Array) -> _Array:
    """View bool as integers."""
    return array.view(np.uint8) if array.dtype == np.bool_ else array


def parse_temperature(temperature: Any, rows: int, argument: str = "temperature") -> float | _Floats:
    """Return one positive number, or one for each row."""
    if np.ndim(temperature) == 0:
        return check_number(temperature, argument, above=0)
    values = parse_per_row(temperature, rows, argument, signed=True)
    check_positive(values, argument)
    return values


def check_positive(values: _Array, argument: str) -> None:
    """Demand finite positive numbers."""
    good = (values > 0) & (values < np.inf)
    if not good.all():
        place = tuple(int(index) for index in np.unravel_index(int(good.argmin()), good.shape))
        where = place[0] if len(place) == 1 else place
        raise ValueError(f"{argument} is {values[place]} at index {where}; pass finite positive numbers")


def parse_per_row(values: ArrayLike, count: int, argument: str, *, signed: bool = False) -> _Floats:
    """Return one float64 for each of `count` rows, by default finite and not negative."""
    array = numbers(values, argument, "dot")
    if array.shape != (count,):
        raise ValueError(f"{argument} has shape {array.shape}; pass shape ({count},), one number for each row")
    if not signed:
        check_not_negative(array, argument)
    return in_order(array)


def in_order(array: _Array) -> _Floats:
    """Return numbers as the kernels take them: float64, one row after the other."""
    if isinstance(array, np.ndarray):
        return np.require(array, np.float64, ["C", "A"])
    ordered: _Floats = library_of(array).ascontiguousarray(array, np.float64)
    return ordered


@dataclass(frozen=True)
class RowsReduction:
    """How the values of rows become what the caller gets.

    Each of `count` examples has `copies` rows (one for each view, say), first all of the first copy. The mean is over
    valid rows; sum and "none" are of the means over the copies of each example.
    """

    count: int
    copies: int
    kind: str
    on_empty: str
    weights: _Floats | None
    weight_norm: str
    return_grad: bool
    upstream: _Floats | None

    @property
    def value_factors(self) -> _Floats | None:
        """By what the value of each row is multiplied; None for 1."""
        share = 1.0 if self.kind == "mean" else 1.0 / self.copies
        if self.weights is None:
            return None if share == 1 else library_of_call().full(self.copies * self.count, share)
        return np.tile(self.weights * share, self.copies)

    @property
    def row_factors(self) -> _Floats | None:
        """The same with what the gradient comes with from above."""
        factors = self.value_factors
        if self.upstream is None:
            return factors
        above = np.tile(self.upstream, self.copies)
        return above if factors is None else factors * above

    def __call__(self, values: _Floats, valid: _Bools) -> tuple[Any, float]:
        """Return the value, and by what all gradients are to be multiplied."""
        if self.on_empty == "error" and not valid.all():
            row = int(valid.argmin()) % max(self.count, 1)
            raise ValueError(
                f"row {row} lacks what the loss needs, such as a positive or a negative, and on_empty='error'; drop "
                f"it, or pass on_empty='skip'"
            )
        factors, terms = self.value_factors, values
        if factors is not None:  # a row without weight is left out, whatever its value
            with np.errstate(invalid="ignore"):
                terms = np.where(factors != 0, values * factors, 0.0)
        if self.kind == "none":
            return terms.reshape(self.copies, self.count).sum(axis=0), 1.0
        total = scalar(terms.sum())
        if self.kind == "sum":
            return total, 1.0
        own = self.weights if self.weight_norm == "weights" else None
        counted = valid | True if self.on_empty == "zero" else valid
        if not isinstance(values, np.ndarray):  # on the GPU nothing waits for the count
            shares = counted if own is None else counted * np.tile(own, self.copies)
            divisor = shares.sum(dtype=np.float64)
            empty = ~valid.any() | (divisor == 0)
            divisor = np.where(empty, np.inf, divisor)
            return np.where(empty, 0.0, total) / divisor, 1.0 / divisor
        if own is not None:
            divisor = float(np.tile(own, self.copies).sum(where=counted))
        else:
            divisor = float(np.count_nonzero(counted))
        if not valid.any() or divisor == 0:
            return np.float64(0.0), 0.0
        return total / divisor, 1.0 / divisor


def parse_rows_reduction(
    count: int,
    *,
    reduction: str,
    on_empty: str = "skip",
    weights: ArrayLike | None = None,
    weight_norm: str = "count",
    return_grad: bool = False,
    grad_output: ArrayLike | None = None,
    copies: int = 1,
) -> RowsReduction:
    """Check how `count` examples are reduced."""
    check_choice(reduction, "reduction", ("mean", "sum", "none"))
    check_choice(on_empty, "on_empty", ("skip", "zero", "error"))
    check_choice(weight_norm, "weight_norm", ("count", "weights"))
    wanted = check_flag(return_grad, "return_grad")
    own_weights = None if weights is None else parse_per_row(weights, count, "weights")
    upstream = None
    if grad_output is not None:
        if reduction != "none" or not wanted:
            raise ValueError(
                f"grad_output was given with reduction={reduction!r} and return_grad={wanted}; it belongs to "
                f"reduction='none' with return_grad=True"
            )
        upstream = parse_per_row(grad_output, count, "grad_output", signed=True)
    elif reduction == "none" and wanted:
        raise ValueError(
            f"return_grad=True with reduction='none' needs grad_output=, shape ({count},): the gradient of what "
            f"follows with respect to each value; ones give the gradient of the sum"
        )
    return RowsReduction(count, copies, reduction, on_empty, own_weights, weight_norm, wanted, upstream)


def evaluate(
    pairs: Pairs,
    loss: str,
    options: dict[str, Any],
    how: RowsReduction,
    appended: _Array | None = None,
) -> Outcome:
    """Return the reduced value of a loss and, where it is wanted, its gradients."""
    with called_as(pairs.origins):
        result = kernels_of(pairs.matrix).pair_rows(
            pairs.x,
            pairs.y,
            pairs.similarities,
            appended,
            pairs.metric,
            loss,
            {name: option for name, option in options.items() if option is not None},
            how.row_factors,
            how.return_grad,
            *pairs.resources,
        )
    value, scale = how(result["values"], result["valid"])
    if not how.return_grad:
        return Outcome(value)
    gradients: dict[str, Any] = {name: result.get(name) for name in Outcome._fields[2:]}
    if not (isinstance(scale, float) and scale == 1):
        for array in gradients.values():
            if array is not None:
                array *= scale if library_of(array) is not np else array.dtype.type(scale)
    slopes = np.where(result["valid"], scale, 0.0)
    factors = how.row_factors
    if factors is not None:
        slopes *= factors
        out = factors == 0  # a row without weight has no gradient, whatever its value
        for name in ("similarities", "appended", "temperature", "scale", "bias"):
            if gradients[name] is not None:
                _clear(gradients[name], out)
    return Outcome(value, slopes, **gradients)


def _clear(array: Any, rows: _Bools) -> None:
    """Set some rows to 0."""
    if isinstance(array, np.ndarray):
        array[rows] = 0
    else:  # which does not wait for their number
        np.copyto(array, 0, where=rows.reshape(-1, *[1] * (array.ndim - 1)))


@contextmanager
def called_as(origins: Origins) -> Iterator[None]:
    """Let errors about rows of x and y name what the caller passed."""
    try:
        yield
    except ValueError as error:
        found = re.match(r"([xy]) is (\S+) at row (\d+)", str(error))
        row = int(found[3]) if found else 0
        for letter, name, count in origins:
            if found and letter == found[1]:
                if row < count:
                    raise ValueError(f"{name} is {found[2]} at row {row}{str(error)[found.end() :]}") from None
                row -= count
        raise


def cast(gradient: _Array | None, like: _Array | None) -> _Array | None:
    """Return a gradient in the dtype of its input, if there is one."""
    return None if gradient is None or like is None else in_dtype_of(gradient, like)


def temperature_gradient(rows: _Floats | None, temperature: Any) -> Any:
    """Return the gradient of a temperature from what each row has: a float64, or one of the shape and dtype given."""
    if rows is None:
        return None
    if np.ndim(temperature) == 0:
        return scalar(rows.sum())
    return in_dtype_of(rows, numbers(temperature, "temperature", "dot"))


def total(rows: _Floats | None) -> Any:
    """Add up what each row has of the gradient of a number that all rows share."""
    assert rows is not None
    return scalar(rows.sum())


def finish(pairs: Pairs, outcome: Outcome, temperature: Any, how: RowsReduction) -> Any:
    """Return what the caller of a plain loss gets: the value, with ``return_grad=True`` also `EmbeddingGrads`."""
    if not how.return_grad:
        return outcome.value
    return outcome.value, EmbeddingGrads(
        cast(outcome.x, pairs.x),
        cast(outcome.y, pairs.y),
        temperature_gradient(outcome.temperature, temperature),
        cast(outcome.similarities, pairs.similarities),
    )
