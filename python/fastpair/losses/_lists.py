"""What all score losses share: lists of scores, checks of arguments, reductions, and gradients in the caller's form.

A loss runs in four steps. `parse_scores` and `parse_companion` view the arrays, `parse_lists` finds the lists from
``groups=`` or ``offsets=``, and `parse_reduction` checks how lists become a value. The formula then gives for each list
the sum of its terms and its size, the number that the normaliser divides by (0 if the list lacks what the formula
needs), and for each score the gradient of the sum of its list. `Reduction.finish` turns these into what the caller
gets.

List order means that elements of a list are neighbours and lists follow each other; the caller's order is that of the
scores. `Lists.gather` goes from the second to the first, `Lists.scatter` back.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import ArrayLike, array_of, gpu_call, kernels_of
from fastpair._embeddings import check_flag, numbers
from fastpair._groups import parse_groups
from fastpair._validate import check_choice, check_not_negative, in_dtype_of

__all__ = [
    "Lists",
    "OnEmpty",
    "PairGrads",
    "Reduction",
    "ReductionName",
    "ScoreGrads",
    "lists_of",
    "may_hold",
    "parse_companion",
    "parse_lists",
    "parse_per_list",
    "parse_reduction",
    "parse_scores",
]

_Array: TypeAlias = npt.NDArray[Any]
_Floats: TypeAlias = npt.NDArray[np.float64]
_Ints: TypeAlias = npt.NDArray[np.int64]
_Bools: TypeAlias = npt.NDArray[np.bool_]

MOST_PLACES = 256
"""Scans step through lists of up to so many elements side by side, through longer ones one by one."""

ReductionName: TypeAlias = Literal["mean", "sum", "none"]
OnEmpty: TypeAlias = Literal["skip", "zero", "error"]


class ScoreGrads(NamedTuple):
    """The gradient of a loss with respect to its scores, in the order, shape and dtype of the scores."""

    scores: _Array


class PairGrads(NamedTuple):
    """The gradients of a loss with respect to the scores of positives and of negatives, in their shapes and dtypes."""

    pos: _Array
    neg: _Array


def parse_scores(scores: ArrayLike, argument: str = "scores") -> _Array:
    """View `scores` as one dimension of real numbers, untouched."""
    array = numbers(scores, argument, "dot")
    if array.ndim != 1:
        hint = f"; rows of equal length are {argument}.ravel() with offsets=" if array.ndim == 2 else ""
        raise ValueError(f"{argument} has shape {array.shape}; pass one dimension, a number for each item{hint}")
    return array


def parse_companion(values: ArrayLike, scores: _Array, argument: str) -> _Array:
    """View `values`, real numbers of which there is one for each score, untouched."""
    array = numbers(values, argument, "dot")
    if scores.dtype == np.bool_ and array.dtype.kind not in "biu" and argument in ("labels", "relevance"):
        raise TypeError(
            f"scores is bool and {argument} is {array.dtype}: the arguments look swapped; the scores come first"
        )
    if array.shape != scores.shape:
        raise ValueError(
            f"{argument} has shape {array.shape} but scores has {scores.shape}; pass one entry of {argument} per score"
        )
    return array


def parse_per_list(values: ArrayLike, count: int, argument: str, *, signed: bool = False) -> _Floats:
    """Return one float64 for each of `count` lists, by default finite and not negative."""
    array = numbers(values, argument, "dot")
    if array.shape != (count,):
        raise ValueError(f"{argument} has shape {array.shape}; pass shape ({count},), one number for each list")
    if not signed:
        check_not_negative(array, argument)
    return array.astype(np.float64)


@dataclass(frozen=True)
class Lists:
    """Where each list begins in list order, and the row of each element there (None: list order is the caller's)."""

    offsets: _Ints
    rows: _Ints | None = None
    known_items: int | None = None
    """The last offset, where somebody knows it."""

    @cached_property
    def items(self) -> int:
        """How many elements all lists have."""
        return int(self.offsets[-1]) if self.known_items is None else self.known_items

    @property
    def count(self) -> int:
        """How many lists there are, with empty ones."""
        return len(self.offsets) - 1

    @cached_property
    def sizes(self) -> _Ints:
        """How many elements each list has."""
        return np.diff(self.offsets)

    @cached_property
    def codes(self) -> _Ints:
        """The list of each element, in list order."""
        return np.repeat(np.arange(self.count), self.sizes)

    def gather(self, values: _Array) -> _Array:
        """Bring values of the caller's order into list order; a view where they are in it already."""
        return values if self.rows is None else values[self.rows]

    def scatter(self, values: _Array) -> _Array:
        """Bring values of list order into the caller's order; the same array where they are in it already."""
        if self.rows is None:
            return values
        result = np.empty_like(values)
        result[self.rows] = values
        return result

    def spread(self, values: _Array) -> _Array:
        """Repeat one value of each list for each of its elements, in list order."""
        return np.repeat(values, self.sizes)

    def positions(self) -> _Ints:
        """Return the place of each element in its own list, from 0, in list order."""
        return np.arange(self.items) - self.spread(self.offsets[:-1])

    def begins(self) -> _Bools:
        """Return which elements are the first of their list, in list order."""
        result = np.zeros(self.items, np.bool_)
        result[self.offsets[:-1][self.sizes > 0]] = True
        return result

    def sum(self, values: _Array) -> _Floats:
        """Add up the values (also bool) of each list, in list order; 0.0 for empty lists."""
        return self._reduced(np.add, values, 0.0)

    def max(self, values: _Array) -> _Floats:
        """Return the largest value of each list, in list order; -inf for empty lists."""
        return self._reduced(np.maximum, values, -np.inf)

    def min(self, values: _Array) -> _Floats:
        """Return the smallest value of each list, in list order; inf for empty lists."""
        return self._reduced(np.minimum, values, np.inf)

    def logsumexp(self, values: _Floats) -> _Floats:
        """Return the logarithm of the sum of the exponentials of each list, in list order; -inf for empty lists."""
        largest = self.max(values)
        shift = np.where(np.abs(largest) < np.inf, largest, 0.0)
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            result: _Floats = np.log(self.sum(np.exp(values - self.spread(shift)))) + shift
        return result

    def suffix_logsumexp(self, values: _Floats) -> _Floats:
        """Return for each element the log-sum-exp of itself and what follows it in its list, in list order.

        Nothing is subtracted, so that small results keep their digits after large elements.
        """
        with np.errstate(invalid="ignore"):  # NaN is passed on
            if self.count == 1:
                result: _Floats = np.logaddexp.accumulate(values[::-1])[::-1]
                return result
            # Long lists one by one, the others side by side from their ends: each element is touched once.
            result, long = values.copy(), self.sizes > MOST_PLACES
            for begin, end in zip(self.offsets[:-1][long].tolist(), self.offsets[1:][long].tolist(), strict=True):
                result[begin:end] = np.logaddexp.accumulate(values[begin:end][::-1])[::-1]
            order = np.argsort(-self.sizes[~long], kind="stable")
            lengths, ends = self.sizes[~long][order], self.offsets[1:][~long][order]
            for place in range(2, int(lengths.max(initial=0)) + 1):
                reached = ends[: np.searchsorted(-lengths, -place, "right")] - place
                result[reached] = np.logaddexp(result[reached], result[reached + 1])
        return result

    def prefix_logsumexp(self, values: _Floats) -> _Floats:
        """Return for each element the log-sum-exp of itself and what stands before it in its list, in list order."""
        return self.reversed().suffix_logsumexp(values[::-1])[::-1]

    def reversed(self) -> "Lists":
        """Return the lists of values that are passed back to front."""
        return type(self)(self.offsets[-1] - self.offsets[::-1], None, self.known_items)

    def descending(self, values: _Array) -> _Ints:
        """Return the order, of list order, that sorts each list from its largest value on; stable, NaN last."""
        falling = -values
        if self.count == 1:
            return np.argsort(falling, kind="stable")
        width = int(self.sizes[0]) if self.count else 0
        if width and (self.sizes == width).all():
            order = np.argsort(falling.reshape(-1, width), axis=1, kind="stable")
            order += self.offsets[:-1, np.newaxis]
            return order.ravel()
        return np.lexsort((falling, self.codes))

    def select(self, kept: _Bools, items: int | None = None) -> "Lists":
        """Return the lists of the elements that are kept (in list order, `items` of them), values ``values[kept]``."""
        before = np.zeros_like(kept, np.int64, shape=len(kept) + 1)
        np.cumsum(kept, out=before[1:])
        return type(self)(before[self.offsets], None, items)

    def of_sizes(self, sizes: _Array) -> "Lists":
        """Return lists of other sizes, as many."""
        offsets = np.zeros_like(self.offsets)
        np.cumsum(sizes, out=offsets[1:])
        return type(self)(offsets)

    def _reduced(self, operation: np.ufunc, values: _Array, empty: float) -> _Floats:
        if self.count == 1:
            return np.array([operation.reduce(values, dtype=np.float64, initial=empty)])
        result = np.full(self.count, empty)
        filled = self.sizes > 0
        # Empty lists have no stretch of their own: without them each begins where the one before it ends.
        if filled.any():
            result[filled] = operation.reduceat(values, self.offsets[:-1][filled], dtype=np.float64)
        return result


def parse_lists(groups: ArrayLike | None, offsets: ArrayLike | None, length: int) -> Lists:
    """Return the lists of `length` scores: from ids, from borders, or without either one list of all."""
    if groups is None and offsets is None:
        if gpu_call.get() is None:
            return Lists(np.array([0, length], np.int64))
        import cupy

        return lists_of(cupy.arange(2) * length, None, length)
    if groups is None:
        borders = array_of(offsets, "offsets")  # type: ignore[arg-type]
        if borders.ndim == 1 and borders.dtype.kind in "iu" and len(borders) and _rise_to(borders, length):
            if isinstance(borders, np.ndarray):
                return Lists(np.require(borders, np.int64, ["C", "A"]), None, length)
            return lists_of(borders.astype(np.int64, order="C"), None, length)
    parsed = parse_groups(groups, offsets, length)  # says what is wrong with offsets
    assert parsed is not None
    borders, rows = kernels_of(parsed.codes).group_lists(parsed.codes, len(parsed.ids))
    return lists_of(borders, rows, length)


def lists_of(offsets: _Ints, rows: _Ints | None = None, items: int | None = None) -> Lists:
    """Return the lists of offsets that are right, where they lie."""
    if isinstance(offsets, np.ndarray):
        return Lists(offsets, rows, items)
    from fastpair.losses._gpu_lists import GpuLists

    return GpuLists(offsets, rows, items)


def _rise_to(borders: _Array, length: int) -> bool:
    """Whether borders begin with 0, never fall, and end with the length."""
    if isinstance(borders, np.ndarray):
        return bool(borders[0] == 0 and borders[-1] == length and (borders[1:] >= borders[:-1]).all())
    return bool((borders[0] == 0) & (borders[-1] == length) & (borders[1:] >= borders[:-1]).all())


def may_hold(flags: _Array) -> bool:
    """Whether a flag is set; on a GPU, which would have to be waited for, whether one may be."""
    return not isinstance(flags, np.ndarray) or bool(flags.any())


@dataclass(frozen=True)
class Reduction:
    r"""How the sums :math:`S_g` and sizes :math:`Z_g` of lists become a value, and what scales their gradients.

    A list counts if :math:`Z_g > 0`; m lists do. With weights :math:`w_g`, the mean is

    * :math:`\sum_g w_g S_g / \sum_g Z_g` if the normaliser pools, that is, unless it is one of
    * "groups": :math:`\sum_g w_g S_g / Z_g / m`,
    * "sum": :math:`\sum_g w_g S_g / m`.

    The sum adds up :math:`w_g S_g / Z_g` (with "sum": :math:`w_g S_g`), and "none" returns these terms.
    """

    count: int
    kind: str
    normalizer: str
    on_empty: str
    weights: _Floats | None
    return_grad: bool
    upstream: _Floats | None

    def __call__(self, sums: _Array, sizes: _Array) -> tuple[Any, _Floats]:
        """Return the value, and by what the gradient of each sum is to be multiplied."""
        if not isinstance(sums, np.ndarray):
            return self._on_gpu(sums, sizes)
        counts = sizes > 0
        valid = int(np.count_nonzero(counts))
        if valid < self.count:
            self._check_empty(counts)
        scale = counts.astype(np.float64)
        divisor = 1.0
        if self.kind == "mean" and self.normalizer not in ("groups", "sum"):
            divisor = float(sizes.sum(where=counts))
        else:
            if self.normalizer != "sum":
                np.divide(scale, sizes, out=scale, where=counts)
            if self.kind == "mean":
                divisor = float(self.count if self.on_empty == "zero" else valid)
        if self.weights is not None:
            scale *= self.weights
        # A list that is left out, or has no weight, is left out even if its sum is infinite or NaN.
        terms = np.multiply(sums, scale, out=np.zeros(self.count), where=scale != 0)
        if self.kind == "none":
            return terms, scale if self.upstream is None else scale * self.upstream
        if valid and divisor != 1:
            scale /= divisor
        return (np.float64(terms.sum() / divisor) if valid else np.float64(0.0)), scale

    def _on_gpu(self, sums: Any, sizes: Any) -> tuple[Any, Any]:
        """Do the same without a look at the numbers, but for ``on_empty="error"``."""
        if self.on_empty == "error" and self.count:
            self._check_empty(sizes > 0)
        divisor = "nothing"
        if self.kind == "mean":
            pools = self.normalizer not in ("groups", "sum")
            divisor = "sizes" if pools else "all" if self.on_empty == "zero" else "valid"
        each = self.normalizer != "sum" and divisor != "sizes"
        terms, value, scale = kernels_of(sums).weigh_lists(sums, sizes, self.weights, self.upstream, each, divisor)
        return terms if self.kind == "none" else value, scale

    def _check_empty(self, counts: _Bools) -> None:
        if self.on_empty == "error" and not counts.all():
            raise ValueError(
                f"list {int(counts.argmin())} lacks what the loss needs, such as a pair of different labels, and "
                f"on_empty='error'; drop it, or pass on_empty='skip'"
            )

    def apply(self, lists: Lists, sums: _Array, sizes: _Array, gradient: _Floats | None) -> Any:
        """Return the value, and scale the gradient of the sum of each list, in the caller's order, in place."""
        value, scale = self(sums, sizes)
        if gradient is not None:
            kernels_of(gradient).scale_lists(gradient, scale, lists.offsets, lists.rows)
        return value

    def finish(self, lists: Lists, scores: _Array, sums: _Array, sizes: _Array, gradient: _Floats | None) -> Any:
        """Return what the caller gets: the value, with ``return_grad=True`` also the `ScoreGrads`.

        `gradient` is that of the sum of each list, in the caller's order. It is scaled in place.
        """
        value = self.apply(lists, sums, sizes, gradient if self.return_grad else None)
        if not self.return_grad:
            return value
        assert gradient is not None
        return value, ScoreGrads(in_dtype_of(gradient, scores))


def parse_reduction(
    count: int,
    *,
    reduction: str,
    on_empty: str = "skip",
    normalizer: str = "sum",
    normalizers: tuple[str, ...] = ("pairs", "groups", "sum"),
    weights: ArrayLike | None = None,
    return_grad: bool = False,
    grad_output: ArrayLike | None = None,
) -> Reduction:
    """Check how `count` lists are reduced. A loss without a choice of normalisers leaves "sum": the mean over lists."""
    check_choice(reduction, "reduction", ("mean", "sum", "none"))
    check_choice(on_empty, "on_empty", ("skip", "zero", "error"))
    check_choice(normalizer, "normalizer", normalizers)
    wanted = check_flag(return_grad, "return_grad")
    own_weights = None if weights is None else parse_per_list(weights, count, "weights")
    upstream = None
    if grad_output is not None:
        if reduction != "none" or not wanted:
            raise ValueError(
                f"grad_output was given with reduction={reduction!r} and return_grad={wanted}; it belongs to "
                f"reduction='none' with return_grad=True"
            )
        upstream = parse_per_list(grad_output, count, "grad_output", signed=True)
    elif reduction == "none" and wanted:
        raise ValueError(
            f"return_grad=True with reduction='none' needs grad_output=, shape ({count},): the gradient of what "
            f"follows with respect to each value; ones give the gradient of the sum"
        )
    return Reduction(count, reduction, normalizer, on_empty, own_weights, wanted, upstream)
