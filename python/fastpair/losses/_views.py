"""Two views of the same examples: how they are stacked into one set, and what that means for gradients."""

from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import ArrayLike, library_of_call
from fastpair._embeddings import check_metric, embeddings
from fastpair.losses._embedding import SIMILARITY_METRICS, Origins, cast

__all__ = ["ViewGrads", "other_view", "parse_views", "split_views", "stack_views", "view_origins"]

_Array: TypeAlias = npt.NDArray[Any]
_Ints: TypeAlias = npt.NDArray[np.int64]


class ViewGrads(NamedTuple):
    """The gradients of a loss of two views, in their shapes and dtypes; that of a scalar temperature is a float64."""

    z1: _Array
    z2: _Array
    temperature: Any


def parse_views(z1: ArrayLike, z2: ArrayLike, metric: str) -> tuple[_Array, _Array]:
    """View two sets of embeddings, row by row those of the same examples."""
    name = check_metric(metric, SIMILARITY_METRICS)
    first, second = embeddings(z1, "z1", name), embeddings(z2, "z2", name)
    if first.shape != second.shape:
        raise ValueError(f"z1 has shape {first.shape} but z2 has {second.shape}; pass two views of the same examples")
    return first, second


def stack_views(first: _Array, second: _Array) -> _Array:
    """Return all rows of the first view, then those of the second."""
    return np.concatenate([first, second])


def view_origins(letter: str, count: int, *names: str) -> Origins:
    """Return what errors call the rows of a stack."""
    return tuple((letter, name, count) for name in names)


def other_view(count: int) -> _Ints:
    """Return the stacked row of the same example in the other view."""
    library = library_of_call()
    return library.concatenate([library.arange(count, 2 * count), library.arange(count)])  # type: ignore[no-any-return]


def split_views(gradient: _Array, first: _Array, second: _Array) -> tuple[_Array, _Array]:
    """Return the gradients of both views from that of the stack, in their dtypes."""
    count = len(first)
    of_first, of_second = cast(gradient[:count], first), cast(gradient[count:], second)
    assert of_first is not None
    assert of_second is not None
    return of_first, of_second
