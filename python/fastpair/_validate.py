"""Checks of arguments that several functions share. Messages name the argument, what was seen, and what to do."""

import operator
import sys
from typing import Any, NamedTuple, SupportsIndex

import numpy as np
import numpy.typing as npt

__all__ = [
    "Resources",
    "along_last_axis",
    "check_choice",
    "check_not_negative",
    "check_num_threads",
    "check_number",
    "companion",
    "in_dtype_of",
    "parse_resources",
]

USUAL_SCRATCH = 64 << 20
"""Bytes of scratch where nobody says how many; the kernels have the same number."""


class Resources(NamedTuple):
    """What a call may use, as the kernels take it."""

    num_threads: int | None = None
    max_memory: int | None = None

    @property
    def scratch(self) -> int:
        """Bytes beside input and output."""
        return USUAL_SCRATCH if self.max_memory is None else self.max_memory

    def pieces(self, most: int, size: int) -> int:
        """How many things of `size` bytes may exist at a time, of which `most` are enough; one must."""
        if self.max_memory is not None and self.max_memory < size:
            raise ValueError(
                f"max_memory is {self.max_memory} bytes, but this call needs {size} on one thread; pass at least that"
            )
        return max(1, min(most, self.scratch // size))


def check_num_threads(num_threads: SupportsIndex | None) -> int | None:
    """Return `num_threads` as an int of at least 1, or None."""
    if num_threads is None:
        return None
    try:
        threads = operator.index(num_threads)
    except TypeError:
        raise TypeError(
            f"num_threads must be an integer or None, not {num_threads!r} ({type(num_threads).__name__})"
        ) from None
    if threads < 1:
        raise ValueError(f"num_threads must be at least 1, not {threads}")
    return threads


def parse_resources(num_threads: SupportsIndex | None, max_memory: SupportsIndex | None) -> Resources:
    """Check how many threads and how much scratch a call may use."""
    threads = check_num_threads(num_threads)
    if max_memory is None:
        return Resources(threads)
    try:
        memory = operator.index(max_memory)
    except TypeError:
        raise TypeError(
            f"max_memory must be an integer of bytes or None, not {max_memory!r} ({type(max_memory).__name__})"
        ) from None
    if memory < 1:
        raise ValueError(f"max_memory must be at least 1 byte, not {memory}; None is 64 MiB")
    return Resources(threads, min(memory, sys.maxsize))


def along_last_axis(array: npt.NDArray[Any], axis: SupportsIndex, argument: str) -> npt.NDArray[Any]:
    """View `array` with `axis` moved to the end."""
    if array.ndim == 0:
        raise ValueError(f"{argument} is a single value ({array!r}); pass an array of at least one dimension")
    try:
        index = operator.index(axis)
    except TypeError:
        raise TypeError(f"axis must be an integer, not {axis!r} ({type(axis).__name__})") from None
    if not -array.ndim <= index < array.ndim:
        raise ValueError(f"axis={index} is out of range: {argument} has {array.ndim} dimensions")
    return array if index in (-1, array.ndim - 1) else np.moveaxis(array, index, -1)


def companion(
    array: npt.NDArray[Any], scores: npt.NDArray[Any], axis: SupportsIndex, argument: str
) -> npt.NDArray[Any]:
    """View `array`, which has one entry for each of `scores` or one for each along `axis`, with `axis` at the end.

    `scores` already has its axis at the end.
    """
    if array.ndim == 1 and array.shape[0] == scores.shape[-1]:
        return array
    if array.ndim == scores.ndim > 1:
        moved = along_last_axis(array, axis, argument)
        if moved.shape == scores.shape:
            return moved
    if array.ndim == scores.ndim == 1:
        raise ValueError(
            f"{argument} has {array.shape[0]} elements but scores has {scores.shape[0]}; "
            f"pass one entry of {argument} per score"
        )
    hint = "; did you mean scores.ravel()?" if scores.ndim == 2 and 1 in scores.shape else ""
    raise ValueError(
        f"{argument} has shape {array.shape}, which does not go with scores: pass shape ({scores.shape[-1]},), one "
        f"entry for each score along axis={operator.index(axis)}, or the shape of scores{hint}"
    )


def check_choice(value: object, argument: str, choices: tuple[str, ...]) -> None:
    """Demand that `value` is one of `choices`."""
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"{argument} must be one of {', '.join(map(repr, choices))}, not {value!r}")


def check_number(
    value: Any, argument: str, *, above: float = -np.inf, least: float = -np.inf, most: float = np.inf
) -> float:
    """Return `value` as a finite float, larger than `above`, at least `least` and at most `most`."""
    try:
        number = float(value) if not isinstance(value, (str, bytes)) else None
    except (TypeError, ValueError):
        number = None
    if number is None:
        raise TypeError(f"{argument} must be a number, not {value!r} ({type(value).__name__})")
    if not abs(number) < np.inf:
        raise ValueError(f"{argument} must be finite, not {value!r}")
    if number <= above:
        raise ValueError(f"{argument} must be larger than {above:g}, not {value!r}")
    if number < least:
        raise ValueError(f"{argument} must be at least {least:g}, not {value!r}")
    if number > most:
        raise ValueError(f"{argument} must be at most {most:g}, not {value!r}")
    return number


def check_not_negative(array: npt.NDArray[Any], argument: str, *, nan: bool = False) -> None:
    """Demand finite numbers that are not negative; with `nan` also NaN, which leaves its item out."""
    if not array.size or (isinstance(array, np.ndarray) and array.min() >= 0 and array.max() < np.inf):
        return  # on a GPU one look at the array is cheaper than two answers
    bad = ~((array >= 0) & (array < np.inf))
    if nan:
        bad &= array == array
    if bad.any():
        place = tuple(int(index) for index in np.unravel_index(int(bad.argmax()), bad.shape))
        where = place[0] if len(place) == 1 else place
        raise ValueError(f"{argument} is {array[place]} at index {where}; pass finite numbers that are not negative")


def in_dtype_of(gradient: npt.NDArray[Any], like: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return a gradient in the dtype of its input, in native byte order; as it is for integers and bool."""
    dtype = like.dtype
    if dtype == gradient.dtype or dtype.kind in "biu":
        return gradient
    if dtype.kind == "f":
        dtype = dtype.newbyteorder("=")
    with np.errstate(over="ignore"):  # infinite is what 16 bits have for it
        return gradient.astype(dtype, copy=False)
