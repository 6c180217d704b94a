"""The forms in which `mann_whitney` takes its pairs: labelled scores, two classes, or a matrix of similarities."""

from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import ArrayLike, array_of, library_of
from fastpair._embeddings import numbers
from fastpair._labels import Label, parse_labels
from fastpair._validate import check_not_negative
from fastpair.losses._lists import Lists, lists_of, parse_companion, parse_lists, parse_scores

__all__ = ["Pairs", "pairs_of_labels", "pairs_of_matrix", "parse_matrix", "weights_of_classes"]

_Array: TypeAlias = npt.NDArray[Any]


class Pairs(NamedTuple):
    """Scores in one dimension with their relevance: the pairs are those of a higher and a lower one in a list."""

    scores: _Array
    relevance: _Array
    weights: _Array | None
    lists: Lists


def pairs_of_labels(
    scores: Any, labels: Any, pos_label: Label | None, weights: Any, groups: ArrayLike | None, offsets: ArrayLike | None
) -> Pairs:
    """Return labelled scores, in lists if there are any."""
    values = parse_scores(scores)
    relevance = _relevance(labels, values, pos_label, grades=groups is not None or offsets is not None)
    own_weights = None if weights is None else _weights(parse_companion(weights, values, "weights"), "weights")
    return Pairs(values, relevance, own_weights, parse_lists(groups, offsets, len(values)))


def weights_of_classes(above: _Array, below: _Array, weights: Any) -> tuple[_Array | None, _Array | None]:
    """Return the weights of both classes, where there are any."""
    if weights is None:
        return None, None
    if not isinstance(weights, tuple) or len(weights) != 2:
        raise TypeError(f"weights must be a tuple of those of pos and of neg, not {type(weights).__name__}")
    first, second = (
        None if own is None else _weights(parse_companion(own, scores, argument), argument)
        for own, scores, argument in zip(weights, (above, below), ("weights[0]", "weights[1]"), strict=True)
    )
    return first, second


def parse_matrix(similarities: Any) -> _Array:
    """View similarities as a matrix of real numbers."""
    matrix = numbers(similarities, "similarities", "dot")
    if matrix.ndim != 2:
        raise ValueError(f"similarities has shape {matrix.shape}; pass two dimensions, such as queries and passages")
    return matrix


def pairs_of_matrix(matrix: _Array, positives: Any, ignore: Any, weights: Any, scope: str) -> Pairs:
    """Return the entries of a matrix row by row."""
    positive = _positive_entries(positives, matrix)
    relevance = positive
    if ignore is not None:
        left_out = array_of(ignore, "ignore")
        if left_out.dtype != np.bool_ or left_out.shape != matrix.shape:
            raise ValueError(
                f"ignore has dtype {left_out.dtype} and shape {left_out.shape}; pass bool of shape {matrix.shape}"
            )
        both = positive & left_out
        if both.any():
            row, column = (int(place) for place in np.unravel_index(int(both.argmax()), both.shape))
            raise ValueError(f"the entry at row {row}, column {column} is in positives and in ignore; drop it from one")
        relevance = positive.astype(np.float16)
        relevance[left_out] = np.nan
    own_weights = None
    if weights is not None:
        own_weights = numbers(weights, "weights", "dot")
        if own_weights.shape != matrix.shape:
            raise ValueError(f"weights has shape {own_weights.shape}; pass shape {matrix.shape}, one for each score")
        own_weights = _weights(own_weights, "weights").reshape(-1)
    rows, columns = matrix.shape
    lists = parse_lists(None, None, matrix.size)
    if scope == "row":
        lists = lists_of(library_of(matrix).arange(rows + 1, dtype=np.int64) * columns, None, matrix.size)
    return Pairs(matrix.reshape(-1), relevance.reshape(-1), own_weights, lists)


def _positive_entries(positives: Any, matrix: _Array) -> npt.NDArray[np.bool_]:
    """Return which entries of a matrix are positive."""
    library, shape = library_of(matrix), matrix.shape
    rows, columns = shape
    own: _Array
    if positives is None:
        if rows > columns:
            raise ValueError(f"similarities has shape {shape}, whose diagonal misses rows; pass positives=")
        own = library.arange(rows)
    else:
        own = array_of(positives, "positives")
        if own.dtype == np.bool_ and own.shape == shape:
            return own
        if own.shape != (rows,) or own.dtype.kind not in "iu":
            raise ValueError(
                f"positives has dtype {own.dtype} and shape {own.shape}; pass a column for each row, shape ({rows},), "
                f"or a mask of bool, shape {shape}"
            )
        outside = (own < 0) | (own >= columns)
        if outside.any():
            row = int(outside.argmax())
            raise ValueError(f"positives is {int(own[row])} at index {row}; columns are from 0 to {columns - 1}")
    mask: npt.NDArray[np.bool_] = library.zeros(shape, np.bool_)
    mask[library.arange(rows), own.astype(np.int64, copy=False)] = True
    return mask


def _relevance(labels: ArrayLike | None, scores: _Array, pos_label: Label | None, *, grades: bool) -> _Array:
    """Return labels that only have to be compared: of each pair the larger is the positive.

    Two numbers may be `grades` of which no more happened to appear.
    """
    if labels is None:
        raise TypeError("labels is None; pass a label for each score")
    array = array_of(labels, "labels")
    if array.dtype.kind in "OTUS":
        return parse_labels(array, scores, -1, pos_label)[0]
    array = parse_companion(array, scores, "labels")
    if not array.size or (pos_label is None and (grades or array.dtype == np.bool_)):
        return array
    low, high = _ends(array)
    if pos_label is None and (not low < high or (high == 1 and low in (0, -1))):
        return array  # one value or none, 0/1, -1/1, or grades between these
    two = bool(((array == low) | (array == high) | (array != array)).all())
    seen = f"{low} and {high}" if two else f"more than two values from {low} to {high}"
    if pos_label is None:
        if not two:
            return array
        raise ValueError(
            f"labels holds {seen}, of which none is known to be positive; pass pos_label=, or call a loss that takes "
            f"relevance, such as ranknet"
        )
    if not two or (low < high and pos_label not in (low, high)):
        raise ValueError(f"pos_label={pos_label!r} needs labels of two values, one of them this; labels holds {seen}")
    missing, positive = array != array, array == pos_label
    return np.where(missing, np.float32(np.nan), positive.astype(np.float32)) if missing.any() else positive


def _ends(array: _Array) -> tuple[Any, Any]:
    """Return the least and the largest number, on the host; of none, two of which the first is not less."""
    if isinstance(array, np.ndarray):
        return np.fmin.reduce(array), np.fmax.reduce(array)
    import cupy

    values = lows = highs = array.astype(np.float32) if array.dtype.name == "bfloat16" else array
    if values.dtype.kind == "f":
        missing = values != values
        lows, highs = np.where(missing, np.inf, values), np.where(missing, -np.inf, values)
    low, high = cupy.stack([lows.min(), highs.max()]).get()
    return low, high


def _weights(weights: _Array, argument: str) -> _Array:
    check_not_negative(weights, argument)
    return weights
