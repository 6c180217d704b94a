"""Group ids of every kind become dense codes in order of first appearance."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fastpair import _core
from fastpair._array import ArrayLike, array_of, kernels_of, library_of

__all__ = ["Groups", "parse_groups"]


class Groups(NamedTuple):
    """The group of each row, and the id of each group."""

    codes: npt.NDArray[np.uint32]
    ids: npt.NDArray[Any]


def parse_groups(groups: ArrayLike | None, offsets: ArrayLike | None, rows: int) -> Groups | None:
    """Return the groups of `rows` rows, from ids or CSR offsets; None without either."""
    if groups is not None and offsets is not None:
        raise ValueError("groups and offsets were both given; pass ids with groups= or borders with offsets=, not both")
    if offsets is not None:
        return _from_offsets(array_of(offsets, "offsets"), rows)
    if groups is not None:
        return _from_ids(array_of(groups, "groups"), rows)
    return None


def _from_offsets(offsets: npt.NDArray[Any], rows: int) -> Groups:
    if offsets.dtype.kind not in "iu":
        raise TypeError(f"offsets has dtype {offsets.dtype}; pass integers: where each group begins, and the end")
    if offsets.ndim != 1:
        raise ValueError(f"offsets has shape {offsets.shape}; pass one dimension of g + 1 offsets for g groups")
    if isinstance(offsets, np.ndarray):
        offsets = np.require(offsets, np.int64, ["C", "A"])
    codes = kernels_of(offsets).codes_from_offsets(offsets, rows)
    return Groups(codes, library_of(offsets).arange(len(offsets) - 1))


def _from_ids(ids: npt.NDArray[Any], rows: int) -> Groups:
    if ids.shape != (rows,):
        raise ValueError(f"groups has shape {ids.shape}; pass one id for each of the {rows} scores along the axis")
    if rows == 0 and ids.dtype == np.float64:
        ids = ids.astype(np.intp)  # what numpy makes of an empty list
    kind = ids.dtype.kind
    if kind in "biu":
        codes, first_rows = kernels_of(ids).group_codes(ids)
    elif kind in "mM":
        codes, first_rows = _core.group_codes(ids.view(np.int64))
    elif kind in "US":
        raw = np.ascontiguousarray(ids).view(np.uint8).ravel()
        codes, first_rows = _core.group_codes_of_bytes(raw, ids.dtype.itemsize)
    elif kind in "OT":
        return _from_objects(ids.tolist())
    else:
        raise TypeError(f"groups has dtype {ids.dtype}; pass integers or strings, one id per score")
    return Groups(codes, ids[first_rows])


def _from_objects(values: list[Any]) -> Groups:
    """Ids that only Python can compare, a dictionary look-up each."""
    seen: dict[Any, int] = {}
    try:
        codes = np.fromiter((seen.setdefault(value, len(seen)) for value in values), np.uint32, len(values))
    except TypeError as error:
        raise TypeError(f"groups holds ids that cannot be compared ({error}); pass integers or strings") from error
    ids = np.empty(len(seen), object)
    ids[:] = list(seen)
    return Groups(codes, ids)
