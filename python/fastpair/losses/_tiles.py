"""Losses of rows of similarities as functions on tiles: the mechanism of all losses of embeddings without a kernel.

`stream` goes through panels of rows that fit the scratch: it computes their similarities, asks a tile function for the
value of each row and the derivatives by its similarities, and multiplies these back into gradients of the embeddings. A
matrix of all rows and columns exists only where the caller passes one. `reduce_tiles` does the same for a reduced
value, where it is known beforehand which rows count. `fastpair.losses.custom` is this with the caller's function.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair import _core
from fastpair._units import away_from_units, unit_rows
from fastpair._validate import in_dtype_of
from fastpair.losses._embedding import Pairs, RowsReduction, cast

__all__ = [
    "TileFunction",
    "TileSums",
    "add_rows",
    "factors_of",
    "panels",
    "reduce_tiles",
    "scores_of",
    "stream",
]

_Array: TypeAlias = npt.NDArray[Any]
_Floats: TypeAlias = npt.NDArray[np.float64]
_Ints: TypeAlias = npt.NDArray[np.int64]
_Bools: TypeAlias = npt.NDArray[np.bool_]

TileFunction: TypeAlias = Callable[[_Array, _Ints], tuple[Any, ...]]
"""Takes similarities of some rows and the indices of these; returns values, derivatives, and those by parameters."""

DISTANCES = ("sqeuclidean", "euclidean")
ARRAYS_OF_A_TILE = 5
"""How many arrays of the size of a panel exist at a time: similarities, derivatives, and what a function needs."""


class TileSums(NamedTuple):
    """What has been gathered from all panels; gradients are those of the sum of values times factors."""

    values: _Floats
    x: _Array | None
    y: _Array | None
    similarities: _Array | None
    parameters: tuple[_Floats, ...]


def reduce_tiles(
    pairs: Pairs, tile: TileFunction, how: RowsReduction, valid: _Bools, arrays: int = ARRAYS_OF_A_TILE
) -> tuple[Any, TileSums]:
    """Return the value of a loss whose valid rows are known, and what was gathered with the gradients of it."""
    sums = stream(pairs, tile, factors_of(how, valid) if how.return_grad else None, arrays)
    sums.values[~valid] = 0.0
    return how(sums.values, valid)[0], sums


def factors_of(how: RowsReduction, valid: _Bools) -> _Floats:
    """Return the derivative of the reduced value, times what comes from above, by the value of each row."""
    factors = np.where(valid, 1.0 if how.row_factors is None else how.row_factors, 0.0)
    factors *= how(np.zeros(len(valid)), valid)[1]
    return factors


def stream(pairs: Pairs, tile: TileFunction, factors: _Floats | None, arrays: int = ARRAYS_OF_A_TILE) -> TileSums:
    """Call `tile` for panels of all rows; with `factors`, one for each row, gather gradients as well."""
    rows, columns = pairs.shape
    for values, argument in ((pairs.x, "x"), (pairs.y, "y")):
        if values is not None:
            _check_finite(values, argument)
    values, parameters = np.zeros(rows), None
    product = None if factors is None or pairs.similarities is not None else _Product(pairs)
    gradient = None
    if factors is not None and pairs.similarities is not None:
        gradient = np.zeros(pairs.similarities.shape, in_dtype_of(np.zeros(0), pairs.similarities).dtype)
    buffer: _Array | None = None
    for part in panels(pairs, arrays):
        if buffer is None:
            buffer = np.empty((part.stop, columns), dtype_of(pairs))
        scores = scores_of(pairs, part, buffer)
        kept = scores.copy() if product is not None and pairs.metric == "euclidean" else scores
        result = tile(scores, np.arange(part.start, part.stop))
        values[part], slopes, others = _parse_result(result, scores.shape, factors is not None)
        if factors is None:
            continue
        scale = factors[part]
        weights = _scale_rows(slopes, scale, scores)
        if product is not None:
            product.add(part, weights, kept)
        elif gradient is not None:
            with np.errstate(over="ignore"):  # infinite is what 16 bits have for it
                gradient[part] = weights
        if parameters is None:
            parameters = [np.zeros((rows, *np.shape(other)[1:])) for other in others]
        for own, other in zip(parameters, others, strict=True):
            _scale_rows(other, scale, own[part])
    by_x, by_y = (None, None) if product is None else product.finish()
    return TileSums(values, by_x, by_y, gradient, tuple(parameters or ()))


def panels(pairs: Pairs, arrays: int = ARRAYS_OF_A_TILE) -> Iterator[slice]:
    """Step through the rows, so many at a time that `arrays` of float64 for them are half of the scratch."""
    rows, columns = pairs.shape
    width = 0 if pairs.x is None else 2 * pairs.x.shape[1]
    step = pairs.resources.pieces(2 * max(rows, 1), 16 * max(arrays * columns + width, 1))
    for begin in range(0, rows if columns else 0, step):
        yield slice(begin, min(begin + step, rows))


def scores_of(pairs: Pairs, part: slice, out: _Array) -> _Array:
    """Return the similarities of some rows, in the first rows of `out`."""
    scores: _Array = out[: part.stop - part.start]
    if pairs.x is None:
        scores[...] = pairs.similarities[part]  # type: ignore[index]
        return scores
    columns = pairs.x if pairs.y is None else pairs.y
    _core.pairwise(pairs.x[part], columns, pairs.metric, scores, False, *pairs.resources, out.nbytes)
    if pairs.metric in DISTANCES:
        np.negative(scores, out=scores)
        if pairs.y is None:  # rounding leaves something of the distance of a row from itself
            scores[np.arange(len(scores)), np.arange(part.start, part.stop)] = 0.0
    with np.errstate(over="ignore", invalid="ignore"):
        total = scores.sum()
    if not np.isfinite(total):  # some products have overflowed: what is infinite becomes the largest number
        np.nan_to_num(scores, copy=False)
    return scores


def dtype_of(pairs: Pairs) -> np.dtype[Any]:
    """Return the precision of similarities and of the gradients of embeddings."""
    return np.dtype(np.float32 if pairs.x is not None and pairs.narrow else np.float64)


class _Product:
    """The gradients of embeddings, while products of weights with the rows of the other side are added to them."""

    def __init__(self, pairs: Pairs) -> None:
        assert pairs.x is not None
        self.x, self.y = pairs.x, pairs.x if pairs.y is None else pairs.y
        self.metric, self.within, self.dtype = pairs.metric, pairs.within, dtype_of(pairs)
        self.by_x = np.zeros(self.x.shape, self.dtype)
        self.by_y = self.by_x if self.within else np.zeros(self.y.shape, self.dtype)
        self.centre: _Array | float = 0.0
        if self.metric in DISTANCES and len(self.y):  # differences keep more digits near 0
            self.centre = self.y.mean(axis=0, dtype=np.float64)
        self.step = max(1, pairs.resources.scratch // (64 * max(self.y.shape[1], 1)))

    def add(self, part: slice, weights: _Array, scores: _Array) -> None:
        """Add the products of some rows, whose weights are derivatives by the similarities; overwrites these."""
        if self.metric in DISTANCES:
            if self.within:
                weights[np.arange(len(weights)), np.arange(part.start, part.stop)] = 0.0
            if self.metric == "sqeuclidean":
                weights *= 2
            else:
                np.divide(weights, -scores, out=weights, where=scores < 0)
                weights[scores == 0] = 0.0
        left = self._read(self.x, part)
        for begin in range(0, len(self.y), self.step):
            columns = slice(begin, begin + self.step)
            right, own = self._read(self.y, columns), weights[:, columns]
            self.by_x[part] += own @ right
            self.by_y[columns] += own.T @ left
            if self.metric in DISTANCES:
                self.by_x[part] -= own.sum(axis=1)[:, np.newaxis] * left
                self.by_y[columns] -= own.sum(axis=0)[:, np.newaxis] * right

    def finish(self) -> tuple[_Array | None, _Array | None]:
        """Return the gradients in the dtypes of the embeddings."""
        sides = [(self.x, self.by_x)] if self.within else [(self.x, self.by_x), (self.y, self.by_y)]
        for rows, total in sides if self.metric == "cosine" else ():
            for begin in range(0, len(rows), self.step):
                part = slice(begin, begin + self.step)
                total[part] = away_from_units(total[part], *unit_rows(rows[part], self.dtype))
        return cast(_wide(self.by_x, self.x), self.x), None if self.within else cast(_wide(self.by_y, self.y), self.y)

    def _read(self, rows: _Array, part: slice) -> _Array:
        """Return some rows as products are taken of them."""
        if self.metric == "cosine":
            return unit_rows(rows[part], self.dtype)[0]
        if self.metric in DISTANCES:
            return np.asarray((rows[part] - self.centre).astype(self.dtype, copy=False))
        return rows[part].astype(self.dtype, copy=False)


def add_rows(total: _Floats, places: _Ints, rows: _Floats) -> None:
    """Add rows to those of `total` at these places, some of which may be the same; -1 is none."""
    order = np.argsort(places, kind="stable")
    order = order[np.searchsorted(places[order], 0) :]
    if not len(order):
        return
    found, starts = np.unique(places[order], return_index=True)
    total[found] += np.add.reduceat(rows[order], starts, axis=0)


def _parse_result(result: Any, shape: tuple[int, ...], gradient: bool) -> tuple[_Array, _Array, tuple[_Array, ...]]:
    """Check what a tile function has returned."""
    if not isinstance(result, tuple) or len(result) not in (2, 3):
        raise TypeError(f"tile_fn must return a tuple (values, weights), not {type(result).__name__}")
    values = np.asarray(result[0])
    if values.shape != shape[:1] or values.dtype.kind not in "fiub":
        raise ValueError(
            f"tile_fn returned values of shape {values.shape} and dtype {values.dtype}; it must return {shape[0]} "
            f"numbers, one for each row of its tile"
        )
    if not gradient:
        return values, values, ()
    weights = np.asarray(result[1])
    if weights.shape != shape or weights.dtype.kind not in "fiub":
        raise ValueError(
            f"tile_fn returned weights of shape {weights.shape} and dtype {weights.dtype}; with return_grad=True it "
            f"must return numbers of shape {shape}, one for each similarity"
        )
    others = tuple(np.asarray(other) for other in result[2]) if len(result) == 3 else ()
    for other in others:
        if other.ndim == 0 or len(other) != shape[0]:
            raise ValueError(
                f"tile_fn returned derivatives by a parameter of shape {other.shape}; their first dimension must be "
                f"{shape[0]}, the rows of its tile"
            )
    return values, weights, others


def _scale_rows(slopes: _Array, scale: _Floats, out: _Array) -> _Array:
    """Write derivatives times the scale of their rows; a scale of 0 leaves nothing, be it infinite or NaN."""
    factors = scale.reshape(-1, *[1] * (out.ndim - 1))
    with np.errstate(over="ignore", invalid="ignore"):
        np.multiply(slopes, factors, out=out, casting="unsafe")
    out[scale == 0] = 0.0
    return out


def _check_finite(rows: _Array, argument: str) -> None:
    if rows.dtype.kind in "iub" or not rows.size:
        return
    step = max(1, (1 << 18) // rows.shape[1])
    for begin in range(0, len(rows), step):
        finite = np.isfinite(rows[begin : begin + step])
        if not finite.all():
            row, column = (int(place) for place in np.unravel_index(finite.argmin(), finite.shape))
            row += begin
            raise ValueError(f"{argument} is {rows[row, column]} at row {row}, column {column}; pass finite embeddings")


def _wide(gradient: _Array, like: _Array) -> _Array:
    """Return a gradient as float64 where the embeddings are no floats."""
    return gradient.astype(np.float64, copy=False) if like.dtype.kind in "biu" else gradient
