"""Which pairs count: masks, excluded columns, labels and limits of the score, checked and cut into parts.

The kernels ask these rules for the few pairs that their filters let through. They take packed bits, sorted lists and
codes of labels, of one block of columns at a time; here is where these are made.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias, TypedDict

import numpy as np
import numpy.typing as npt

from fastpair._array import ArrayLike, array_of, gpu_call, kernels_of, library_of, library_of_call
from fastpair._embeddings import check_flag, is_sparse
from fastpair._pair_sets import unpacked

__all__ = ["Admission", "AdmissionOptions", "Exclude", "known_rules", "parse_admission", "per_row"]

Exclude: TypeAlias = Any  # a pair of arrays, a list of lists, an array, or a sparse matrix of scipy

_Array: TypeAlias = npt.NDArray[Any]
_Floats: TypeAlias = npt.NDArray[np.float64]
_Ints: TypeAlias = npt.NDArray[np.int64]


class AdmissionOptions(TypedDict, total=False):
    """The arguments that say which pairs count, as `topk` describes them."""

    exclude_self: bool
    mask: ArrayLike | None
    exclude: Exclude
    x_labels: ArrayLike | None
    y_labels: ArrayLike | None
    same_label: bool | None
    min_score: ArrayLike | None
    max_score: ArrayLike | None


@dataclass(frozen=True)
class Admission:
    """Rules for n rows, and for a number of columns that may be unknown as yet."""

    exclude_self: bool = False
    mask: _Array | None = None
    exclude: tuple[_Ints, _Ints] | None = None
    x_labels: _Ints | None = None
    y_labels: _Ints | None = None
    same_label: bool = True
    min_score: _Floats | None = None
    max_score: _Floats | None = None

    def rules(self, begin: int, end: int, offset: int | None = None) -> dict[str, Any]:
        """Return what the kernels take for columns begin to end, the first of which has index `offset` (or `begin`)."""
        labels = None
        if self.x_labels is not None and self.y_labels is not None:
            labels = (self.x_labels, self.y_labels[begin:end], self.same_label)
        return {
            "offset": begin if offset is None else offset,
            "exclude_self": self.exclude_self,
            "mask": None if self.mask is None else _packed(self.mask, begin, end),
            "exclude": self.exclude,
            "labels": labels,
            "min_score": self.min_score,
            "max_score": self.max_score,
            # What is freed of the block of columns before may stay with the allocator.
            "held": 2 * self.pairs_bytes(end - begin),
        }

    def rows(self, begin: int, end: int) -> "Admission":
        """Return the same rules for rows begin to end alone."""
        part = slice(begin, end)
        cut = replace(
            self,
            mask=self.mask if self.mask is None or self.mask.ndim == 1 else self.mask[part],
            exclude=None if self.exclude is None else _lists_of_rows(*self.exclude, begin, end),
            x_labels=None if self.x_labels is None else self.x_labels[part],
            min_score=None if self.min_score is None else self.min_score[part],
            max_score=None if self.max_score is None else self.max_score[part],
        )
        if not self.exclude_self or begin == 0:
            return cut
        # Row numbers now begin at 0, but columns keep theirs: a row's own column is excluded by name.
        own = np.arange(begin, end)
        columns, owners = own, np.arange(end - begin)
        if cut.exclude is not None:
            owners = np.concatenate([np.repeat(owners, np.diff(cut.exclude[0])), owners])
            columns = np.concatenate([cut.exclude[1], own])
        return replace(cut, exclude_self=False, exclude=_sorted_lists(owners, columns, end - begin))

    def allowed(self, rows: int, begin: int, end: int, offset: int | None = None) -> npt.NDArray[np.bool_]:
        """Return which pairs of all rows and of columns begin to end count, as far as their scores do not matter.

        The first of the columns has index `offset` (or `begin`).
        """
        first = begin if offset is None else offset
        last = first + end - begin
        library = library_of_call()
        allowed: npt.NDArray[np.bool_] = library.ones((rows, end - begin), np.bool_)
        if self.mask is not None:
            bits = _packed(self.mask, begin, end)
            allowed &= bits if bits.dtype == np.bool_ else unpacked(bits, end - begin)
        if self.exclude_self:
            own = library.arange(first, max(first, min(last, rows)))
            allowed[own, own - first] = False
        if self.exclude is not None:
            owners = _owners(self.exclude[0], len(self.exclude[1]))
            inside = (self.exclude[1] >= first) & (self.exclude[1] < last)
            allowed[owners[inside], self.exclude[1][inside] - first] = False
        if self.x_labels is not None and self.y_labels is not None:
            allowed &= (self.x_labels[:, np.newaxis] == self.y_labels[begin:end]) == self.same_label
        return allowed

    def check_columns(self, columns: int, *, so_far: bool = False, partial: bool = False) -> None:
        """Demand that the rules are for so many columns, or for at least as many.

        If the columns are a `partial` set, excluded ones may be in other parts.
        """
        if self.mask is not None:
            packed = self.mask.dtype != np.bool_
            needed = -(-columns // 8) if packed else columns
            if self.mask.shape[-1] != needed and not (so_far and self.mask.shape[-1] > needed):
                raise _wrong_mask(self.mask, None if self.mask.ndim == 1 else len(self.mask), columns)
        if self.y_labels is not None and (len(self.y_labels) < columns if so_far else len(self.y_labels) != columns):
            raise ValueError(f"y_labels has {len(self.y_labels)} elements but y has {columns} rows; pass one a row")
        if (
            self.exclude is not None
            and not (so_far or partial)
            and self.exclude[1].size
            and self.exclude[1].max() >= columns
        ):
            place = int(self.exclude[1].argmax())
            row = int(np.searchsorted(self.exclude[0], place, "right")) - 1
            seen = self.exclude[1][place]
            raise ValueError(f"exclude names column {seen} for row {row}, but y has {columns} rows")

    def pairs_bytes(self, columns: int) -> int:
        """How large the bits of a mask of all pairs have to become for so many columns."""
        if self.mask is None or self.mask.ndim == 1:
            return 0
        packs = self.mask.dtype == np.bool_ and isinstance(self.mask, np.ndarray)
        return len(self.mask) * -(-columns // 8) if packs else 0


def parse_admission(
    rows: int,
    columns: int | None,
    *,
    single: bool = False,
    same_sets: bool = False,
    partial: bool = False,
    exclude_self: bool = False,
    mask: ArrayLike | None = None,
    exclude: Exclude = None,
    x_labels: ArrayLike | None = None,
    y_labels: ArrayLike | None = None,
    same_label: bool | None = None,
    min_score: ArrayLike | None = None,
    max_score: ArrayLike | None = None,
) -> Admission:
    """Check the rules for `rows` rows of x; `columns` is None where the rows of y are not counted yet.

    A `single` query may have its label and its list of excluded columns as they are; labels of `same_sets` are those of
    x; excluded columns may lie beyond a `partial` y.
    """
    if check_flag(exclude_self, "exclude_self") and single:
        raise ValueError(
            "exclude_self=True needs x of two dimensions; a single query has no index, use exclude=[index]"
        )
    x_codes, y_codes = _parse_labels(rows, single, same_sets, x_labels, y_labels, same_label)
    admission = Admission(
        exclude_self=bool(exclude_self),
        mask=None if mask is None else _parse_mask(mask, rows, columns, single),
        exclude=None if exclude is None else _parse_exclude(exclude, rows, columns, single),
        x_labels=x_codes,
        y_labels=y_codes,
        same_label=bool(same_label),
        min_score=None if min_score is None else per_row(min_score, rows, "min_score"),
        max_score=None if max_score is None else per_row(max_score, rows, "max_score"),
    )
    if columns is not None:
        admission.check_columns(columns, partial=partial)
    return admission


def known_rules(admission: AdmissionOptions) -> AdmissionOptions:
    """Return the rules if all of them have a name that is known."""
    for name in admission:
        if name not in AdmissionOptions.__annotations__:
            raise TypeError(f"unexpected argument {name!r}; rules are {', '.join(AdmissionOptions.__annotations__)}")
    return admission


def per_row(values: ArrayLike, rows: int, argument: str) -> _Floats:
    """Return one number, or one for each row, as float64 of shape (rows,)."""
    # A number is an option, which a call on a GPU takes from the host.
    one = gpu_call.get() is not None and isinstance(values, (int, float, np.number))
    array = np.asarray(values) if one else array_of(values, argument)
    if array.dtype.name != "bfloat16" and array.dtype.kind not in "fiu":
        raise TypeError(f"{argument} has dtype {array.dtype}; pass a real number, or one for each row of x")
    if array.shape not in ((), (rows,)):
        raise ValueError(
            f"{argument} has shape {array.shape}; pass one number, or one for each of the {rows} rows of x"
        )
    numbers: _Floats = library_of(array).ascontiguousarray(np.broadcast_to(array, (rows,)), np.float64)
    if np.isnan(numbers).any():
        raise ValueError(f"{argument} is nan for row {int(np.isnan(numbers).argmax())}; pass numbers or infinities")
    if one:
        import cupy

        return cupy.asarray(numbers)  # type: ignore[no-any-return]
    return numbers


def _wrong_mask(mask: _Array, rows: int | None, columns: int) -> ValueError:
    packed, pairs = -(-columns // 8), "" if rows is None else f" or ({rows}, {columns})"
    bits = f"uint8 bits of numpy.packbits with {packed} bytes a row"
    return ValueError(
        f"mask has shape {mask.shape} and dtype {mask.dtype}; pass bool of shape ({columns},){pairs}, or {bits}"
    )


def _parse_mask(mask: ArrayLike, rows: int, columns: int | None, single: bool) -> _Array:
    array = array_of(mask, "mask")
    if array.dtype != np.bool_ and array.dtype != np.uint8:
        raise TypeError(f"mask has dtype {array.dtype}; pass bool, or uint8 made with numpy.packbits(mask, axis=-1)")
    if array.ndim not in (1, 2) or (array.ndim == 2 and len(array) != rows):
        if columns is not None:
            raise _wrong_mask(array, rows, columns)
        raise ValueError(f"mask has shape {array.shape}; pass one entry for each row of y, or {rows} rows of them")
    return array


def _packed(mask: _Array, begin: int, end: int) -> _Array:
    """Return the bits of columns begin to end; on a GPU, they may be bool."""
    if mask.dtype == np.bool_:
        cells = mask[..., begin:end]
        return np.packbits(cells, axis=-1) if isinstance(cells, np.ndarray) else cells  # which a GPU reads as they are
    bits = mask[..., begin // 8 : -(-end // 8)]
    if begin % 8:
        host = isinstance(bits, np.ndarray)
        every = bits.shape[-1] * 8
        cells = np.unpackbits(bits, axis=-1) if host else kernels_of(bits).unpack_bools(bits, every)
        cells = cells[..., begin % 8 :][..., : end - begin]
        bits = np.packbits(cells, axis=-1) if host else cells
    packed: _Array = library_of(bits).ascontiguousarray(bits)
    return packed


def _parse_exclude(exclude: Exclude, rows: int, columns: int | None, single: bool) -> tuple[_Ints, _Ints]:
    """Return sorted lists of columns in compressed rows."""
    if is_sparse(exclude):
        return _stored_positions(exclude, rows, columns)
    if gpu_call.get() is not None and not (isinstance(exclude, tuple) and len(exclude) == 2):
        return _padded_rows(array_of(exclude, "exclude"), rows, single)
    if isinstance(exclude, tuple) and len(exclude) == 2:
        return _compressed_rows(array_of(exclude[0], "exclude[0]"), array_of(exclude[1], "exclude[1]"), rows)
    try:
        lists = [exclude] if single and np.ndim(exclude) == 1 else list(exclude)
    except (TypeError, ValueError):
        lists = list(exclude) if isinstance(exclude, Sequence) else [None] * (rows + 1)
    if len(lists) != rows:
        raise ValueError(
            f"exclude is a {type(exclude).__name__} of {len(lists)} lists for {rows} rows of x; pass a list of columns "
            f"for each row, a tuple (indptr, indices), or a scipy sparse matrix"
        )
    parts = [_integers(array_of(part, f"exclude[{row}]"), f"exclude[{row}]") for row, part in enumerate(lists)]
    owners = np.repeat(np.arange(rows), [len(part) for part in parts])
    flat = np.concatenate([np.empty(0, np.int64), *parts])
    if isinstance(exclude, np.ndarray):
        owners, flat = owners[flat != -1], flat[flat != -1]  # how topk pads its indices
    _no_negative(owners, flat)
    return _sorted_lists(owners, flat, rows)


def _integers(array: _Array, argument: str) -> _Ints:
    if array.ndim != 1:
        raise ValueError(f"{argument} has shape {array.shape}; pass one dimension of column indices")
    if array.dtype.kind not in "iu" and array.size:
        raise TypeError(f"{argument} has dtype {array.dtype}; pass integers, the indices of columns")
    return array.astype(np.int64)


def _compressed_rows(indptr: _Array, indices: _Array, rows: int) -> tuple[_Ints, _Ints]:
    starts, flat = _integers(indptr, "exclude[0]"), _integers(indices, "exclude[1]")
    if len(starts) != rows + 1 or (starts[0] != 0) | (starts[-1] != len(flat)) | (np.diff(starts) < 0).any():
        raise ValueError(
            f"exclude=(indptr, indices) has an indptr of {len(starts)} entries; pass {rows + 1} that do not decrease "
            f"from 0 to {len(flat)}, the number of indices (n lists go in a list, not in a tuple)"
        )
    owners = _owners(starts, len(flat))
    _no_negative(owners, flat)
    # Ascending but at the borders of rows?
    if ((np.diff(flat) >= 0) | (np.diff(owners) > 0)).all():
        return starts, flat
    return _sorted_lists(owners, flat, rows)


def _padded_rows(columns: _Array, rows: int, single: bool) -> tuple[_Ints, _Ints]:
    """Return the lists of an array of integers in which -1 is no column, as that of an array of the host."""
    lists = columns[np.newaxis] if single and columns.ndim == 1 else columns
    if lists.ndim != 2 or len(lists) != rows:
        raise ValueError(
            f"exclude has shape {columns.shape} for {rows} rows of x; pass an array with a row of columns for each, "
            f"or a tuple (indptr, indices)"
        )
    if lists.dtype.kind not in "iu" and lists.size:
        raise TypeError(f"exclude has dtype {lists.dtype}; pass integers, the indices of columns")
    ascending = np.sort(lists.astype(np.int64), axis=1)
    places = (ascending != -1).nonzero()
    _no_negative(places[0], ascending[places])
    starts = library_of(lists).zeros(rows + 1, np.int64)
    np.cumsum((ascending != -1).sum(axis=1), out=starts[1:])
    return starts, ascending[places]


def _owners(starts: _Ints, count: int) -> _Ints:
    """Return the row of each of `count` entries of compressed rows."""
    if isinstance(starts, np.ndarray):
        return np.repeat(np.arange(len(starts) - 1), np.diff(starts))
    # CuPy repeats all as often.
    return np.searchsorted(starts, library_of(starts).arange(count), side="right") - 1


def _no_negative(owners: _Ints, columns: _Ints) -> None:
    if columns.size and columns.min() < 0:
        place = int(columns.argmin())
        raise ValueError(f"exclude names column {columns[place]} for row {owners[place]}; indices begin at 0")


def _stored_positions(matrix: Any, rows: int, columns: int | None) -> tuple[_Ints, _Ints]:
    if matrix.ndim != 2 or matrix.shape[0] != rows or columns not in (None, matrix.shape[1]):
        shape = f"({rows}, {'m' if columns is None else columns})"
        raise ValueError(
            f"exclude is a sparse matrix of shape {matrix.shape}; pass shape {shape}, a cell for each pair"
        )
    compressed = matrix.tocsr()
    return _compressed_rows(compressed.indptr, compressed.indices, rows)


def _sorted_lists(owners: _Ints, columns: _Ints, rows: int) -> tuple[_Ints, _Ints]:
    """Compress pairs of a row and a column."""
    if isinstance(columns, np.ndarray):
        order = np.lexsort((columns, owners))
    else:  # CuPy sorts by one key at a time
        order = np.argsort(columns, kind="stable")
        order = order[np.argsort(owners[order], kind="stable")]
    starts = library_of(columns).zeros(rows + 1, np.int64)
    np.cumsum(np.bincount(owners, minlength=rows), out=starts[1:])
    return starts, columns[order]


def _lists_of_rows(starts: _Ints, columns: _Ints, begin: int, end: int) -> tuple[_Ints, _Ints]:
    if begin == 0 and end == len(starts) - 1:
        return starts, columns
    return starts[begin : end + 1] - starts[begin], columns[int(starts[begin]) : int(starts[end])]


def _parse_labels(
    rows: int,
    single: bool,
    same_sets: bool,
    x_labels: ArrayLike | None,
    y_labels: ArrayLike | None,
    same_label: bool | None,
) -> tuple[_Ints | None, _Ints | None]:
    """Return codes of the labels, equal where the labels are."""
    if x_labels is None and y_labels is None:
        if same_label is not None:
            raise ValueError(f"same_label={same_label!r} needs labels; pass x_labels and y_labels")
        return None, None
    if x_labels is None or (y_labels is None and not same_sets):
        given, missing = ("y_labels", "x_labels") if x_labels is None else ("x_labels", "y_labels")
        raise ValueError(f"{given} was given without {missing}; pass both, or neither")
    if same_label is None:
        raise ValueError("same_label is None; with labels pass True (only pairs of one label) or False (of two)")
    check_flag(same_label, "same_label")
    x_array = array_of(x_labels, "x_labels")
    if single and x_array.ndim == 0:
        x_array = x_array[np.newaxis]
    y_array = x_array if y_labels is None else array_of(y_labels, "y_labels")
    if x_array.shape != (rows,):
        raise ValueError(f"x_labels has shape {x_array.shape}; pass one label for each of the {rows} rows of x")
    if y_array.ndim != 1:
        raise ValueError(f"y_labels has shape {y_array.shape}; pass one label for each row of y")
    return _codes(x_array, y_array)


def _codes(x: _Array, y: _Array) -> tuple[_Ints, _Ints]:
    """Return int64 codes of two arrays of labels."""
    kinds = {x.dtype.kind if x.size else y.dtype.kind, y.dtype.kind if y.size else x.dtype.kind}
    if kinds <= set("iub") and x.dtype != np.uint64 and y.dtype != np.uint64:
        return x.astype(np.int64), y.astype(np.int64)
    if kinds <= set("iub") and not isinstance(x, np.ndarray):
        codes = x.astype(np.int64), y.astype(np.int64)
        if x.dtype.kind != y.dtype.kind:  # large numbers become negative ones, and neither has a match
            return np.where(codes[0] < 0, -1, codes[0]), np.where(codes[1] < 0, -2, codes[1])
        return codes
    if kinds <= set("iubf"):
        for labels, argument in ((x, "x_labels"), (y, "y_labels")):
            if labels.dtype.kind == "f" and np.isnan(labels).any():
                raise ValueError(
                    f"{argument} is nan at index {int(np.isnan(labels).argmax())}; drop rows without a label"
                )
        if kinds == {"i", "u"}:  # numpy would compare them as floats
            x, y, kinds = x.astype(object), y.astype(object), {"O"}
    elif len(kinds) > 1 and "O" not in kinds:
        raise TypeError(
            f"x_labels has dtype {x.dtype} and y_labels {y.dtype}, which never match; pass one kind of both"
        )
    elif not kinds <= set("USOmM"):
        raise TypeError(f"x_labels has dtype {x.dtype} and y_labels {y.dtype}; pass integers or strings")
    if "O" in kinds:
        seen: dict[Any, int] = {}
        try:
            codes = [np.array([seen.setdefault(v, len(seen)) for v in a.tolist()], np.int64) for a in (x, y)]
        except TypeError as error:
            raise TypeError(f"x_labels or y_labels holds what cannot be compared ({error}); pass strings") from error
        return codes[0], codes[1]
    both = np.unique(np.concatenate([x, y]), return_inverse=True)[1].astype(np.int64).ravel()
    return both[: len(x)], both[len(x) :]
