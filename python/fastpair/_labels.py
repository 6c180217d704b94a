"""Two-class labels: what the kernels read as they are, and what only Python can compare.

Numbers go to the kernels untouched, which check that there are two values and which is positive. Strings and objects
are compared here. A swap of scores and labels, easily made by those used to scikit-learn's order, is recognised here.
"""

from typing import Any, SupportsIndex, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._validate import companion

__all__ = ["Label", "parse_labels", "with_swap_hint"]

Label: TypeAlias = bool | int | float | str | bytes

ORDER = (
    "The order is auc(scores, labels), the reverse of scikit-learn's (y_true, y_score); "
    "auc(labels=..., scores=...) is safe"
)


def parse_labels(
    labels: npt.NDArray[Any], scores: npt.NDArray[Any], axis: SupportsIndex, pos_label: Label | None
) -> tuple[npt.NDArray[Any], float | None]:
    """Return labels that the kernels can read, and the positive one where that is still to be found.

    `scores` already has its axis at the end.
    """
    labels = companion(labels, scores, axis, "labels")
    kind = labels.dtype.kind
    if scores.dtype.kind == "b" and kind in "fV":
        raise TypeError(f"scores is bool and labels is {labels.dtype}: the arguments look swapped. {ORDER}")
    if kind in "OTUS":
        return _binarize(labels, pos_label), None
    if isinstance(pos_label, (str, bytes)):
        raise TypeError(f"pos_label={pos_label!r} is a string, but labels has dtype {labels.dtype}; pass a number")
    return labels, pos_label


def with_swap_hint(error: ValueError, scores: npt.NDArray[Any]) -> ValueError:
    """Return the error, with a hint if labels were refused and the scores look like labels."""
    if not str(error).startswith("labels holds"):
        return error
    bits = scores.view(np.uint16) if scores.dtype.kind == "V" else scores  # CuPy does not sort bfloat16
    if len(np.unique(bits)) <= 2:
        return ValueError(f"{error}. The arguments look swapped: scores holds two values at most. {ORDER}")
    return error


def _binarize(labels: npt.NDArray[Any], pos_label: Label | None) -> npt.NDArray[np.bool_]:
    """Return strings or objects as bool."""
    values = labels.ravel().tolist()
    for index, value in enumerate(values):
        if value is None or (isinstance(value, float) and value != value):
            raise ValueError(f"labels is {value} at index {index}; drop the rows without a label")
        if not isinstance(value, (str, bytes, bool, int, float)):
            kind = type(value).__name__
            raise TypeError(f"labels holds a {kind} at index {index} (dtype {labels.dtype}); pass bool, 0/1 or strings")
    classes = list(dict.fromkeys(values))
    seen = " and ".join(map(repr, classes))
    if len(classes) > 2:
        first, second, third, *_ = classes
        raise ValueError(
            f"labels holds more than two distinct values ({first!r}, {second!r} and {third!r} at index "
            f"{values.index(third)}); pass one class against the rest"
        )
    if pos_label is None:
        raise ValueError(f"labels holds {seen} (dtype {labels.dtype}); say which is positive with pos_label=")
    if len(classes) == 2 and pos_label not in classes:
        raise ValueError(f"pos_label={pos_label!r} is not in labels, which holds {seen}")
    return np.array([value == pos_label for value in values], dtype=np.bool_).reshape(labels.shape)
