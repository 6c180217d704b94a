"""Scores, labels and weights of an AUC on the device, and everything that can be wrong with them.

Labels become bytes of 0 and 1 and weights float64, in one pass each. Kernels report the first place of each problem in
`Columns.state`, which the host reads once; only then are the texts made, in the words of the kernels for processors.
"""

import math
import operator
from typing import Any, NamedTuple

import numpy as np

from fastpair._cuda._source import TYPE_NAMES, launch

__all__ = ["RANK", "THREADS", "Columns", "blocks_of", "kind_of", "place_of", "raw", "read_columns", "word_of"]

THREADS = 256
MOST_BLOCKS = 2048
"""Blocks of kernels whose threads stride through their input: several for each multiprocessor."""

LABELS, WEIGHTS, NAN, ORDER, UNDEFINED, COUNTS = range(6)
"""The words of the state: the complements of the first bad series of labels, weight, score that is NaN and score out of
order; how many results are undefined; and where two counts for each series begin."""

BFLOAT, RANK = 3, 5
"""Kinds of words that `dtype.kind` does not tell."""
HAS_POSITIVE, NEGATIVES_KNOWN, HAS_MINUS_ONE = 1, 2, 4
ADVICE = {
    "scores": "pass real scores: bool, integers, float16, bfloat16, float32 or float64",
    "labels": "pass labels as bool, integers or floats, or as strings together with pos_label=",
    "weights": "pass weights as bool, integers or floats",
    "groups": "pass groups as integers or strings, one id per score",
}


class Columns(NamedTuple):
    """Rows of some series, C-contiguous on the device; labels and weights are shared or of each series."""

    scores: Any
    labels: Any
    classes: Any
    weights: Any
    pos_label: Any
    nan_policy: str
    state: Any

    @property
    def series(self) -> int:
        """How many series there are."""
        return int(self.scores.shape[0])

    @property
    def length(self) -> int:
        """How many rows each series has."""
        return int(self.scores.shape[1])

    @property
    def own_classes(self) -> np.int32:
        """Whether each series has labels of its own, as kernels take it."""
        return np.int32(self.classes.size == self.scores.size)

    @property
    def own_weights(self) -> np.int32:
        """Whether each series has weights of its own."""
        return np.int32(self.weights.size == self.scores.size)

    @property
    def first_nan(self) -> Any:
        """Where kernels report the first score that is NaN."""
        return self.state[NAN:]

    @property
    def undefined(self) -> Any:
        """Where kernels count undefined results."""
        return self.state[UNDEFINED:]

    @property
    def counts(self) -> Any:
        """Where kernels count positives and negatives of each series."""
        return self.state[COUNTS : COUNTS + 2 * self.series]

    def check_order(self, presorted: str | None) -> None:
        """Report scores that are not sorted as they are said to be."""
        if presorted is not None:
            launch(
                *("auc.cu", f"check_order<{word_of(self.scores)}>", blocks_of(self.scores.size), THREADS, self.scores),
                *(
                    kind_of(self.scores.dtype),
                    self.scores.size,
                    self.length,
                    np.int32(presorted == "descending"),
                    self.state[ORDER:],
                ),
            )

    def read_state(self, presorted: str | None = None, *, batch: bool = True) -> list[int]:
        """Bring the state to the host; raise what it reports. With `batch`, errors name the series."""
        words: list[int] = self.state.get().tolist()
        found = []
        for problem, place in enumerate(map(place_of, words[:UNDEFINED])):
            if place is None or (problem == NAN and self.nan_policy != "raise"):
                continue
            if problem == LABELS:  # counted in series; -1 stands for labels that all of them share
                found.append((place if self.labels.ndim > 1 else -1, problem, 0))
            else:
                series, row = divmod(place, self.length)
                found.append((series, problem, row))
        if found:
            series, problem, row = min(found)
            error = self._error(series, problem, row, presorted)
            if batch and self.series > 1 and series >= 0:
                error = ValueError(f"{error} (in series {series} of the batch, counted in C order)")
            raise error
        return words

    def _error(self, series: int, problem: int, row: int, presorted: str | None) -> ValueError:
        if problem == LABELS:
            return _label_error(self.labels if self.labels.ndim == 1 else self.labels[series], self.pos_label)
        if problem == WEIGHTS:
            weights = self.weights.reshape(-1, self.length)
            value = _text(weights[series if len(weights) > 1 else 0, row].get()[()])
            return ValueError(f"weights is {value} at index {row}; weights must be finite and not negative")
        if problem == NAN:
            return ValueError(
                f'scores is NaN at index {row}; pass nan_policy="omit" to leave such rows out or "propagate" to get NaN'
            )
        return ValueError(
            f"scores is not sorted in {presorted} order: element {row} is out of order; sort the scores or drop "
            f"presorted="
        )


def blocks_of(count: int, each: int = THREADS) -> int:
    """How many blocks `count` things take."""
    return -(-count // each)


def word_of(array: Any) -> str:
    """Return the C++ type of the words that elements are."""
    return f"u{8 * array.itemsize}"


def kind_of(dtype: np.dtype[Any]) -> np.int32:
    """Return what the bits of elements mean, in the numbers of ``keys.cuh``."""
    return np.int32(BFLOAT if dtype.name == "bfloat16" else "uifVb".index(dtype.kind))


def raw(array: Any, argument: str) -> Any:
    """Return the array in C order; its dtype must be one that the kernels know."""
    import cupy

    if array.dtype.name not in TYPE_NAMES:
        raise TypeError(f"{argument} has dtype {array.dtype}, which cannot be used here; {ADVICE[argument]}")
    if array.dtype.name == "bfloat16":  # copied as bits, which every version of CuPy can
        return cupy.ascontiguousarray(array.view(np.uint16)).view(array.dtype)
    return cupy.ascontiguousarray(array)


def read_columns(scores: Any, labels: Any, weights: Any, pos_label: Any, nan_policy: str) -> Columns:
    """Look at the arguments of an AUC; series are the last axis of the scores."""
    import cupy

    series, length = math.prod(scores.shape[:-1]), scores.shape[-1]
    scores, labels = raw(scores, "scores").reshape(series, length), raw(labels, "labels")
    if weights is not None:
        weights = raw(weights, "weights")
    if labels.ndim > 1:
        labels = labels.reshape(series, length)
    label_series = labels.size // length if length else 0
    state = cupy.zeros(COUNTS + 2 * series + 2 * label_series, np.uint64)
    said = _number(pos_label)
    classes = labels.view(np.uint8) if labels.dtype == np.bool_ else None
    if scores.size and (classes is None or said not in (None, 1)):
        classes = _classes(labels, length, said, state[COUNTS + 2 * series :], state[LABELS:])
    if weights is not None and scores.size:
        out = None if weights.dtype == np.float64 else cupy.empty(weights.shape)
        blocks = min(MOST_BLOCKS, blocks_of(weights.size))
        kernel, kind = f"check_weights<{word_of(weights)}>", kind_of(weights.dtype)
        launch("columns.cu", kernel, blocks, THREADS, weights, kind, weights.size, out, state[WEIGHTS:])
        weights = weights if out is None else out
    return Columns(scores, labels, classes, weights, said, nan_policy, state)


def _classes(labels: Any, length: int, said: Any, spreads: Any, first_bad: Any) -> Any:
    """Return labels as bytes of 0 and 1; what else they hold is reported."""
    import cupy

    positive = _key(1 if said is None else said, labels.dtype)
    zero, minus_one = _key(0, labels.dtype), _key(-1, labels.dtype)
    known = HAS_POSITIVE * (positive is not None) + NEGATIVES_KNOWN * (said is None)
    known += HAS_MINUS_ONE * (minus_one is not None)
    classes = cupy.empty(labels.shape, np.uint8)
    launch(
        *("columns.cu", f"classes<{word_of(labels)}>", min(MOST_BLOCKS, blocks_of(labels.size)), THREADS, labels),
        *(
            kind_of(labels.dtype),
            labels.size,
            length,
            np.uint64(positive or 0),
            np.uint64(zero or 0),
            np.uint64(minus_one or 0),
        ),
        *(np.uint32(known), classes, spreads, first_bad),
    )
    series = labels.size // length
    launch("columns.cu", "check_classes", blocks_of(series), THREADS, spreads, series, first_bad)
    return classes


def _number(pos_label: Any) -> int | float | None:
    """Return `pos_label` as a number of Python, exactly; None where nothing is said."""
    if pos_label is None:
        return None
    if isinstance(pos_label, (bool, np.bool_)):
        return int(pos_label)
    try:
        return operator.index(pos_label)
    except TypeError:
        pass
    try:
        return float(pos_label)
    except (TypeError, ValueError):
        kind = type(pos_label)
        raise TypeError(f"pos_label must be a number like the labels, not {kind}") from None


def _key(number: float, dtype: np.dtype[Any]) -> int | None:
    """Return the key, as kernels have it, of the value of a dtype that equals `number`; None if there is none."""
    if dtype == np.bool_:
        return int(number) if number in (0, 1) else None
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        if not (math.isfinite(number) and number == int(number) and limits.min <= number <= limits.max):
            return None
        return int(number) - int(limits.min)
    try:
        value = np.array(float(number))
    except OverflowError:
        return None
    with np.errstate(over="ignore"):
        value = value.astype(dtype)
    if float(value) != number:
        return None
    bits, top = int(value.view(f"u{dtype.itemsize}")), 1 << (8 * dtype.itemsize - 1)
    return top + bits if bits < top else 2 * top - bits


def _label_error(labels: Any, said: int | float | None) -> ValueError:
    """Say what is wrong with the labels of a series, of which something is."""
    first = labels[0].get()[()]
    place = _first_unlike(labels, first, first)
    second = first if place is None else labels[place].get()[()]
    for index, value in ((0, first), (place, second)):
        if value != value:
            return ValueError(f"labels is NaN at index {index}; drop the rows without a label")
    values = {first.item(), second.item()}
    understood = values in ({0, 1}, {-1, 1}) if said is None else said in values
    index = None if said is not None and not understood else _first_unlike(labels, first, second)
    if index is not None:
        third = labels[index].get()[()]
        if third != third:
            return ValueError(f"labels is NaN at index {index}; drop the rows without a label")
        return ValueError(
            f"labels holds more than two distinct values ({_text(first)}, {_text(second)} and {_text(third)} at index "
            f"{index}); pass 0/1, -1/1 or bool labels, one class against the rest"
        )
    if said is None:
        other = "nothing else" if place is None else _text(second)
        return ValueError(
            f"labels holds {_text(first)} and {other}, which are neither 0/1 nor -1/1; say which is positive with "
            f"pos_label="
        )
    return ValueError(f"pos_label={_text(said)} is not in labels, which holds {_text(first)} and {_text(second)}")


def _first_unlike(labels: Any, one: Any, other: Any) -> int | None:
    """Return the index of the first label that is neither of two."""
    import cupy

    found = cupy.zeros(1, np.uint64)
    keys = [np.uint64(_key(value.item(), labels.dtype) or 0) for value in (one, other)]
    kernel, kind = f"first_unlike<{word_of(labels)}>", kind_of(labels.dtype)
    launch("columns.cu", kernel, blocks_of(labels.size), THREADS, labels, kind, labels.size, *keys, found)
    return place_of(int(found.get()[0]))


def place_of(word: int) -> int | None:
    """Return the place that a kernel reported, if it did."""
    return 2**64 - 1 - word if word else None


def _text(value: Any) -> str:
    """Return a number as the kernels for processors write it: digits alone, as many as it takes."""
    if isinstance(value, (bool, np.bool_)):
        return str(bool(value))
    if isinstance(value, (int, np.integer)):
        return str(int(value))
    number = float(value)
    if number != number:
        return "NaN"
    return str(number) if math.isinf(number) else np.format_float_positional(number, trim="-")
