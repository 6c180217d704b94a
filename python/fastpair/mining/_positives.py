"""The positives of each query, in every form that they are given in, as lists in compressed rows."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import array_of, library_of
from fastpair._embeddings import is_sparse
from fastpair.mining._formats import Coordinates, owners_of
from fastpair.similarity._admission import parse_admission

__all__ = ["Lists", "Positives", "parse_lists", "parse_positives", "renamed", "union"]

_Array: TypeAlias = npt.NDArray[Any]
_Ints: TypeAlias = npt.NDArray[np.int64]
Lists: TypeAlias = tuple[_Ints, _Ints]
"""Columns in compressed rows, ascending within a row, each once."""


@dataclass(frozen=True)
class Positives:
    """The positives of n rows in the caller's order: those of row i are ``columns[starts[i]:starts[i + 1]]``."""

    starts: _Ints
    columns: _Ints
    width: int

    @cached_property
    def owners(self) -> _Ints:
        """The row of each positive."""
        return owners_of(self.starts, len(self.columns))

    @cached_property
    def lists(self) -> Lists:
        """The same, ascending within a row and each once."""
        return union((self.starts, self.columns), None, self.width)


def parse_positives(positives: Any, rows: int, columns: int, names: dict[str, str]) -> Positives:
    """Check the positives of `rows` rows; `names` has what the caller calls x and y."""
    if positives is None:
        raise TypeError(
            f"positives is None; pass the row of {names['y']} that belongs to each row of {names['x']}, for example "
            f"numpy.arange(len({names['x']})), or lists of them"
        )
    return Positives(*parse_lists(positives, "positives", rows, columns, names), columns)


def parse_lists(lists: Any, argument: str, rows: int, columns: int, names: dict[str, str]) -> tuple[_Ints, _Ints]:
    """Return lists of columns, one for each of `rows` rows, in compressed rows and in the order given."""
    lists = _one_form(lists, argument, rows, columns)
    with renamed({"exclude": argument, **names}):
        parse_admission(rows, columns, exclude=lists)  # which knows all that can be wrong
    if is_sparse(lists):
        lists = lists.tocsr()
        return lists.indptr.astype(np.int64), lists.indices.astype(np.int64)
    if isinstance(lists, tuple):
        return array_of(lists[0], argument).astype(np.int64), array_of(lists[1], argument).astype(np.int64)
    parts = [np.asarray(array_of(part, argument), np.int64) for part in lists]
    if isinstance(lists, np.ndarray):
        parts = [part[part != -1] for part in parts]
    starts = np.zeros(rows + 1, np.int64)
    np.cumsum([len(part) for part in parts], out=starts[1:])
    return starts, np.concatenate([np.zeros(0, np.int64), *parts])


def union(first: tuple[_Ints, _Ints], second: Lists | None, columns: int) -> Lists:
    """Return the columns of each row that are in either of two lists, ascending, each once."""
    keys = _keys(*first, columns)
    if second is not None and len(second[1]):
        keys = np.concatenate([keys, _keys(*second, columns)])
    elif (np.diff(keys) > 0).all():
        return first
    keys = np.unique(keys)
    starts = np.searchsorted(keys, library_of(keys).arange(len(first[0])) * max(columns, 1)).astype(np.int64)
    return starts, keys % max(columns, 1)


def _keys(starts: _Ints, columns: _Ints, width: int) -> _Ints:
    """Numbers of pairs that ascend row by row."""
    if isinstance(starts, np.ndarray):
        return np.repeat(np.arange(len(starts) - 1) * max(width, 1), np.diff(starts)) + columns
    return owners_of(starts, len(columns)) * max(width, 1) + columns


def _one_form(lists: Any, argument: str, rows: int, columns: int) -> Any:
    """Turn a column for each row, a mask and coordinates into forms of lists."""
    if isinstance(lists, Coordinates):
        owners, flat = array_of(lists.rows, argument), array_of(lists.columns, argument)
        if len(owners) and (owners.min() < 0 or owners.max() >= rows or (np.diff(owners) < 0).any()):
            raise ValueError(f"{argument} has coordinates whose rows are not ascending from 0 to {rows - 1}; sort them")
        starts = np.searchsorted(owners, library_of(owners).arange(rows + 1))
        return starts, flat
    if isinstance(lists, tuple) and len(lists) == 2:
        return lists
    if is_sparse(lists):
        return lists
    if isinstance(lists, (list, tuple)) and all(isinstance(part, (int, float, np.number)) for part in lists):
        lists = np.array(lists, None if len(lists) else np.int64)
    if not hasattr(lists, "__array__"):
        return lists
    array = array_of(lists, argument)
    if array.dtype == np.bool_:
        if array.shape != (rows, columns):
            raise ValueError(
                f"{argument} has shape {array.shape} and dtype bool; pass a mask of shape ({rows}, {columns}), or "
                f"integers, the column of each row"
            )
        return _starts(array), np.nonzero(array)[1]
    if array.ndim == 1 and array.dtype != object:
        if len(array) != rows:
            raise ValueError(
                f"{argument} has shape {array.shape}, but there are {rows} rows; pass one column for each row, -1 for "
                f"none, or a list of columns for each row"
            )
        array = array[:, np.newaxis]
    if array.ndim != 2 or array.dtype.kind not in "iu" or len(array) != rows:
        return array
    given = array != -1
    return _starts(given), array[given]


def _starts(mask: Any) -> _Ints:
    """Return where the columns of each row of a mask begin."""
    starts: _Ints = library_of(mask).zeros(len(mask) + 1, np.int64)
    starts[1:] = np.cumsum(np.count_nonzero(mask, axis=1))
    return starts


@contextmanager
def renamed(names: dict[str, str]) -> Iterator[None]:
    """Let errors name the caller's arguments instead of those of a search."""
    try:
        yield
    except (TypeError, ValueError) as error:
        pattern = r"(?<![\w'.])(" + "|".join(map(re.escape, names)) + r")(?![\w'])"
        raise type(error)(re.sub(pattern, lambda found: names[found[0]], str(error))) from None
