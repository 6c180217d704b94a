"""Which pairs of a loss over embeddings are positive, which negative, and which are left out: `Roles`.

Positives are the diagonal, a column of each row, a mask, or equal labels. Labels, groups and ids reach the kernel as
int64 codes, a number for each row and each column, so that no mask of n x m exists unless the caller passes one.
"""

from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
import numpy.typing as npt

from fastpair._array import array_of, kernels_of, library_of, library_of_call
from fastpair._pair_sets import bools_or_bits, is_listed, packed_pairs, stride_of, unpacked

__all__ = ["Mined", "Roles", "Rule", "full_mask", "parse_mask", "parse_roles", "same_codes"]

_Array: TypeAlias = npt.NDArray[Any]
_Ints: TypeAlias = npt.NDArray[np.int64]
_Bools: TypeAlias = npt.NDArray[np.bool_]
_Bytes: TypeAlias = npt.NDArray[np.uint8]
_Codes: TypeAlias = tuple[_Ints, _Ints]
Rule: TypeAlias = tuple[float, float] | tuple[str, float, float, bool, bool]

NO_ROW, NO_COLUMN = -2, -1
"""Codes of rows and of columns that equal no other."""


@runtime_checkable
class Mined(Protocol):
    """Something that chooses among the pairs inside of the kernel."""

    def rule(self, metric: str) -> Rule:
        """Return what the kernel goes by, where similarities are of this metric."""


@dataclass(frozen=True)
class Roles:
    """The roles of the pairs of n rows and m columns; `options` makes them those of the kernel.

    `positives` is "diagonal", a column of each row (-1: none), a mask, or None where `labels` says it. Masks are bools
    or packed bits. Further columns may follow: those of all rows, then those that each row has for itself. They are
    negatives, left out only by ids. With a `miner`, the kernel leaves out what it does not choose.
    """

    shape: tuple[int, int]
    positives: Any = None
    labels: _Codes | None = None
    self_columns: _Ints | None = None
    ignore: _Array | None = None
    groups: _Codes | None = None
    ids: _Codes | None = None
    extra_ids: _Ints | None = None
    miner: Rule | None = None

    @property
    def plain(self) -> bool:
        """Whether positives are the diagonal of a square and all other pairs are negatives."""
        square = self.shape[0] == self.shape[1]
        others = (self.labels, self.self_columns, self.ignore, self.groups, self.ids, self.miner)
        return square and isinstance(self.positives, str) and all(other is None for other in others)

    @property
    def masked(self) -> bool:
        """Whether positives are a mask."""
        return not (self.positives is None or isinstance(self.positives, str)) and self.positives.ndim == 2

    @property
    def listed(self) -> bool:
        """Whether positives are a column of each row."""
        return not (self.positives is None or isinstance(self.positives, str)) and self.positives.ndim == 1

    def swapped(self) -> "Roles":
        """Exchange rows and columns."""
        rows, columns = self.shape
        positives, labels, library = self.positives, self.labels, library_of_call()
        if self.masked:
            positives = _bools(self.positives, columns).T
        elif self.listed:
            labels = library.arange(columns), np.where(self.positives >= 0, self.positives, NO_COLUMN)
            positives = None
        elif self.positives is not None and rows != columns:
            labels = library.arange(columns), library.arange(rows)
            positives = None
        elif labels is not None:
            labels = labels[1], labels[0]
        own = self.self_columns
        if own is not None:
            own = library.arange(columns)  # the diagonal of a square
        return Roles(
            (columns, rows),
            positives,
            labels,
            own,
            None if self.ignore is None else _bools(self.ignore, columns).T,
            None if self.groups is None else (self.groups[1], self.groups[0]),
            None if self.ids is None else (self.ids[1], self.ids[0]),
            miner=self.miner,
        )

    def positive_mask(self) -> _Bools:
        """Return which pairs are positive, shape (n, m)."""
        if self.masked:
            mask = _bools(self.positives, self.shape[1]).copy()
        elif self.labels is not None:
            mask = self.labels[0][:, np.newaxis] == self.labels[1]
        else:
            library = library_of_call()
            rows = library.arange(self.shape[0])
            columns = self.positives if self.listed else rows
            if library is np:
                mask = np.zeros(self.shape, np.bool_)
                within = (columns >= 0) & (columns < self.shape[1])
                mask[rows[within], columns[within]] = True
            else:  # which does not wait for the number of rows that have one
                mask = columns[:, np.newaxis] == library.arange(self.shape[1])
        for out in (self._left_out(), self._own_mask()):
            if out is not None:
                mask &= ~out
        return mask

    def negative_mask(self, positive: _Bools) -> _Bools:
        """Return which pairs are negative, shape (n, m), given which are positive."""
        if self.miner is not None:
            raise ValueError(
                "neg_mask is a Miner, which works inside of the kernel, but these options need the pairs themselves; "
                "pass what it finds: neg_mask=miner(x, y, ...)"
            )
        mask = ~positive
        for out in (self._left_out(), self._own_mask(), self._same(self.ids)):
            if out is not None:
                mask &= ~out
        return mask

    def options(self, extra: int = 0, own: int = 0) -> dict[str, Any]:
        """Return the options of the kernel with `extra` further columns of all rows and `own` ones of each row."""
        width = self.shape[1] + extra + own
        options: dict[str, Any] = {"positives": self.positives, "self_columns": self.self_columns}
        if self.masked:
            options["positives"] = _widened(self.positives, self.shape[1], width)
        if self.labels is not None:
            options["x_labels"], options["y_labels"] = self.labels[0], _lengthened(self.labels[1], width)
        ignore = self.ignore
        if self.groups is not None:
            if extra + own:  # of no group, which codes cannot say
                ignore = self._left_out()
            else:
                options["x_groups"], options["y_groups"] = self.groups
        if ignore is not None:
            options["ignore"] = _widened(ignore, self.shape[1], width)
        if self.ids is not None:
            columns = self.ids[1] if self.extra_ids is None else np.concatenate([self.ids[1], self.extra_ids])
            options["x_ids"], options["y_ids"] = self.ids[0], _lengthened(columns, width)
        if self.miner is not None:
            options["miner"] = self.miner
        return options

    def packed(self) -> tuple[_Bytes, _Bytes]:
        """Return the packed bits of the positives and of the negatives."""
        positives = library_of_call().empty((self.shape[0], stride_of(self.shape[1])), np.uint8)
        negatives = np.empty_like(positives)
        kernels_of(positives).pack_roles(self.shape, self.options(), (0, self.shape[0]), positives, negatives)
        return positives, negatives

    def with_one_positive(self, rng: np.random.Generator) -> "Roles":
        """Keep a random positive of each row, and leave the others out."""
        positive, library = self.positive_mask(), library_of_call()
        draws = np.where(positive, library.asarray(rng.random(positive.shape)), -1.0)
        kept = np.where(positive.any(axis=1), draws.argmax(axis=1) if positive.shape[1] else 0, -1)
        others = positive & (library.arange(positive.shape[1]) != kept[:, np.newaxis])
        out = others if self.ignore is None else others | _bools(self.ignore, self.shape[1])
        return replace(self, positives=kept.astype(np.int64), labels=None, ignore=out)

    def _left_out(self) -> _Bools | None:
        """Return which pairs are left out by a mask or by groups."""
        ignore = None if self.ignore is None else _bools(self.ignore, self.shape[1])
        if self.groups is None:
            return ignore
        apart: _Bools = self.groups[0][:, np.newaxis] != self.groups[1]
        return apart if ignore is None else apart | ignore

    def _own_mask(self) -> _Bools | None:
        """Return which pairs are a row and itself."""
        return (
            None
            if self.self_columns is None
            else self._same((self.self_columns, library_of_call().arange(self.shape[1])))
        )

    def _same(self, codes: _Codes | None) -> _Bools | None:
        if codes is None:
            return None
        same: _Bools = codes[0][:, np.newaxis] == codes[1]
        return same


def full_mask(mask: _Bools, width: int) -> _Bools:
    """Return a mask for the kernel; columns that it lacks are False."""
    if mask.shape[1] == width:
        return library_of(mask).ascontiguousarray(mask)  # type: ignore[no-any-return]
    result = library_of(mask).zeros((len(mask), width), np.bool_)
    result[:, : mask.shape[1]] = mask
    return result  # type: ignore[no-any-return]


def _bools(mask: _Array, columns: int) -> _Bools:
    """Return a mask of bools or bits as bools."""
    return mask if mask.dtype == np.bool_ else unpacked(mask, columns)


def _widened(mask: _Array, columns: int, width: int) -> _Array:
    """Return a mask of bools or bits for the kernel; columns that it lacks are False."""
    if columns == width:
        return library_of(mask).ascontiguousarray(mask)  # type: ignore[no-any-return]
    return full_mask(_bools(mask, columns), width)


def _lengthened(codes: _Ints, width: int) -> _Ints:
    """Return codes for the kernel; columns that are lacking equal no row."""
    if len(codes) >= width:
        return codes
    return np.concatenate([codes, library_of(codes).full(width - len(codes), NO_COLUMN)])


def parse_roles(
    shape: tuple[int, int],
    within: bool,
    positives: Any = None,
    *,
    labels: Any = None,
    ignore: Any = None,
    neg_mask: Any = None,
    groups: Any = None,
    ids: Any = None,
    extra: int = 0,
    metric: str = "cosine",
) -> Roles:
    """Check who is positive, negative and left out among the pairs; `extra` columns may have ids of their own."""
    rows, columns = shape
    if labels is not None and positives is not None:
        raise ValueError("positives and labels were both given; pass the pairs that are positive, or what they share")
    roles = Roles(shape, self_columns=library_of_call().arange(rows) if within else None)
    if labels is not None:
        roles = replace(roles, labels=_two_codes(labels, "labels", rows, columns)[:2])
    elif positives is not None:
        roles = replace(roles, positives=_parse_positives(positives, rows, columns))
    else:
        if within:
            raise ValueError(
                "positives is None, which is the diagonal, but without y that is each row itself; pass y, or "
                "positives= or labels="
            )
        if rows > columns:
            raise ValueError(
                f"there are {rows} rows but {columns} columns, too few for a positive on the diagonal of each row; "
                f"pass positives="
            )
        roles = replace(roles, positives="diagonal")
    if ignore is not None:
        roles = _with_ignored(roles, ignore, labels is None)
    if isinstance(neg_mask, Mined):
        roles = replace(roles, miner=neg_mask.rule(metric))
    elif neg_mask is not None:
        roles = _with_negatives(roles, neg_mask)
    if groups is not None:
        roles = replace(roles, groups=_two_codes(groups, "groups", rows, columns)[:2])
    return roles if ids is None else _with_ids(roles, ids, extra)


def _with_ignored(roles: Roles, ignore: Any, disjoint: bool) -> Roles:
    """Leave out a set of pairs, none of which may be positive where sets must be disjoint."""
    left_out = packed_pairs(ignore, "ignore", roles.shape)
    if disjoint:
        clash = left_out & roles.packed()[0]
        if clash.any():
            row = int(clash.any(axis=1).argmax())
            column = int(unpacked(clash[row], roles.shape[1]).argmax())
            raise ValueError(f"ignore is True at row {row}, column {column}, which is positive; pass disjoint masks")
    return replace(roles, ignore=left_out)


def _with_negatives(roles: Roles, neg_mask: Any) -> Roles:
    """Leave out all pairs that are neither positive nor in a set."""
    chosen = packed_pairs(neg_mask, "neg_mask", roles.shape)
    left_out = ~(chosen | roles.packed()[0])
    return replace(roles, ignore=left_out if roles.ignore is None else left_out | roles.ignore)


def parse_mask(mask: Any, argument: str, shape: tuple[int, int]) -> _Bools:
    """Return a bool for each pair of a set in any format."""
    return _bools(bools_or_bits(mask, argument, shape), shape[1])


def _parse_positives(positives: Any, rows: int, columns: int) -> _Array:
    if is_listed(positives):
        return packed_pairs(positives, "positives", (rows, columns))
    array = array_of(positives, "positives")
    if (array.dtype == np.bool_ and array.shape == (rows, columns)) or (array.dtype == np.uint8 and array.ndim == 2):
        return bools_or_bits(array, "positives", (rows, columns))
    if array.size == 0 and array.shape == (rows,):
        return library_of(array).zeros(0, np.int64)  # type: ignore[no-any-return]
    if array.dtype.kind not in "iu" or array.shape != (rows,):
        raise ValueError(
            f"positives has shape {array.shape} and dtype {array.dtype}; pass {rows} integers, the column of the "
            f"positive of each row, or a bool mask of shape ({rows}, {columns})"
        )
    strange = (array < -1) | (array >= columns)
    if strange.any():
        row = int(strange.argmax())
        raise ValueError(
            f"positives is {int(array[row])} at index {row}, but there are {columns} columns; pass -1 for a row "
            f"without one"
        )
    if isinstance(array, np.ndarray):
        return np.require(array, np.int64, ["C", "A"])
    return library_of(array).ascontiguousarray(array, np.int64)


def _two_codes(values: Any, argument: str, rows: int, columns: int, extra: int = 0) -> tuple[_Ints, _Ints, _Ints]:
    """Return codes of rows, of columns and of extra columns: from one array for both, or from a pair of arrays."""
    if isinstance(values, tuple) and len(values) == 2:
        left, right = array_of(values[0], f"{argument}[0]"), array_of(values[1], f"{argument}[1]")
    else:
        left = array_of(values, argument)
        if rows != columns:
            raise ValueError(
                f"{argument} has shape {left.shape}, but there are {rows} rows and {columns} columns; pass a tuple of "
                f"two arrays, for rows and for columns"
            )
        right = left
    lengths = (columns,) if not extra else (columns, columns + extra)
    if left.shape != (rows,) or right.ndim != 1 or len(right) not in lengths:
        raise ValueError(
            f"{argument} has shapes {left.shape} and {right.shape} for rows and columns; pass shapes ({rows},) and "
            f"({columns},)"
        )
    left, right = same_codes(left, right, argument)
    return left, right[:columns], right[columns:]


def same_codes(left: _Array, right: _Array, argument: str) -> _Codes:
    """Return int64 codes of two arrays of ids, equal where the ids are."""
    for array in (left, right):
        if array.dtype.kind == "f" and np.isnan(array).any():
            raise ValueError(f"{argument} is NaN at index {int(np.isnan(array).argmax())}; pass integers or strings")
    if not isinstance(left, np.ndarray):
        codes = _ranks(left if left is right else np.concatenate([left, right]))
        return (codes, codes) if left is right else (codes[: len(left)], codes[len(left) :])
    try:
        if left is right:
            codes = np.unique(left, return_inverse=True)[1].reshape(-1).astype(np.int64)
            return codes, codes
        both = np.concatenate([left, right])
        codes = np.unique(both, return_inverse=True)[1].reshape(-1).astype(np.int64)
    except TypeError as error:
        raise TypeError(f"{argument} cannot be compared ({error}); pass integers or strings") from error
    return codes[: len(left)], codes[len(left) :]


def _ranks(ids: Any) -> _Ints:
    """Return how many ids on the device are smaller than each: equal ones of equal ids, and nothing waits for it."""
    numbers = ids.view(np.uint8) if ids.dtype == np.bool_ else ids
    return np.searchsorted(np.sort(numbers), numbers).astype(np.int64)  # type: ignore[no-any-return]


def _with_ids(roles: Roles, ids: Any, extra: int) -> Roles:
    """Leave out columns with the id of the row, which without ids of rows is that of its positive."""
    rows, columns = roles.shape
    if isinstance(ids, tuple) and len(ids) == 2:
        left, right, further = _two_codes(ids, "ids", rows, columns, extra)
        return replace(roles, ids=(left, right), extra_ids=further if len(further) else None)
    array = array_of(ids, "ids")
    if array.shape != (columns,):
        raise ValueError(f"ids has shape {array.shape}; pass shape ({columns},), one id for each column")
    codes = same_codes(array, array, "ids")[0]
    if roles.listed:
        own = np.where(roles.positives >= 0, codes[roles.positives] if columns else NO_ROW, NO_ROW)
    elif isinstance(roles.positives, str):
        own = codes[:rows]
    elif rows == columns:
        own = codes
    else:
        raise ValueError(
            "ids has one id for each column, but rows have several positives; pass a tuple (rows, columns)"
        )
    return replace(roles, ids=(own, codes))
