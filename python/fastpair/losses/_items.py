"""The items of lists that count: what the losses composed in numpy work on.

An item whose label or target is NaN takes no part, neither in the value nor in the gradient. `Items` leaves these out,
brings the rest into list order and float64, and takes gradients back. `parse_positives` reads labels of two classes.
"""

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import ArrayLike, array_of
from fastpair._labels import Label, parse_labels
from fastpair.losses._lists import Lists, Reduction, lists_of, may_hold, parse_companion, parse_lists

__all__ = ["Items", "parse_items", "parse_positives"]

_Array: TypeAlias = npt.NDArray[Any]
_Floats: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Items:
    """Which of the caller's items count, and the lists of these."""

    outer: Lists
    """Of all items, as the caller passed them."""
    lists: Lists
    """Of the items that count, which are neighbours."""
    kept: Any
    """Which items of `outer` count, in its list order, as bool or as indices; None if all do."""

    def take(self, values: _Array) -> _Floats:
        """Return what belongs to the items that count as float64, in list order."""
        ordered = self.outer.gather(values).astype(np.float64)
        return ordered if self.kept is None else ordered[self.kept]

    def put(self, values: _Floats) -> _Floats:
        """Bring what belongs to the items that count into the caller's order, 0 for the others."""
        if self.kept is not None:
            ordered = np.zeros_like(values, shape=self.outer.items)
            ordered[self.kept] = values
            values = ordered
        return self.outer.scatter(values)

    def finish(self, reduction: Reduction, scores: _Array, sums: _Floats, sizes: _Array, gradient: _Floats) -> Any:
        """Return what the caller gets, as `Reduction.finish` does; a list whose sum is NaN has NaN gradients.

        `gradient` belongs to the items that count, in list order.
        """
        undefined = np.isnan(sums)
        if may_hold(undefined):
            gradient = np.where(self.lists.spread(undefined), np.nan, gradient)
        return reduction.finish(self.outer, scores, sums, sizes, self.put(gradient))


def parse_items(scores: _Array, labels: _Array, groups: ArrayLike | None, offsets: ArrayLike | None) -> Items:
    """Find the lists of `scores`, and leave out the items whose label is NaN."""
    lists = parse_lists(groups, offsets, len(scores))
    if labels.dtype.kind not in "biu":
        kept = lists.gather(labels == labels)
        count = int(np.count_nonzero(kept))
        if count < len(kept):
            which = kept if isinstance(kept, np.ndarray) else np.flatnonzero(kept)  # to ask how many there are once
            return Items(lists, lists.select(kept, count), which)
    return Items(lists, lists_of(lists.offsets, None, lists.known_items), None)


def parse_positives(labels: ArrayLike, scores: _Array, pos_label: Label | None) -> _Floats:
    """Return labels of two classes as 1.0 (positive), 0.0, and NaN for items that do not count."""
    array = array_of(labels, "labels")
    if array.dtype.kind in "OTUS":
        array, pos_label = parse_labels(array, scores, -1, pos_label)
    array = parse_companion(array, scores, "labels")
    if isinstance(pos_label, (str, bytes)):
        raise TypeError(f"pos_label={pos_label!r} is a string, but labels has dtype {array.dtype}; pass a number")
    values = array.astype(np.float64)
    if array.dtype == np.bool_ and pos_label is None:
        return values
    known = values == values
    if pos_label is None:
        strange = known & (values != 1) & (values != 0) & (values != -1)
        signed = (values == -1).any() & ~strange.any()
        strange = np.where(signed, values == 0, strange)  # -1/1 it is
    else:
        other = known & (values != pos_label)
        first = values.ravel()[other.argmax()] if values.size else 0.0  # of the others, if there is one
        strange = other & (values != first)
    if strange.any():
        place = np.unravel_index(int(strange.argmax()), strange.shape)
        at = int(place[0]) if len(place) == 1 else tuple(map(int, place))
        raise ValueError(
            f"labels is {float(values[place]):g} at index {at}, which is neither class; pass bool, 0/1, -1/1, or any "
            f"two numbers or strings with pos_label="
        )
    return np.where(known, values == (1 if pos_label is None else pos_label), np.nan)
