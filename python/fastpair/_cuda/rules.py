"""Which pairs count, as ``admit.cuh`` reads it: the rules of a search become a small array of pointers and numbers."""

from typing import Any, NamedTuple

import numpy as np

__all__ = ["DeviceRules", "device_rules"]


class DeviceRules(NamedTuple):
    """The struct ``Rules`` on the device, and the arrays that it points to, which must live as long as it does."""

    words: Any
    arrays: tuple[Any, ...]


def device_rules(rules: dict[str, Any], rows: int, columns: int) -> DeviceRules:
    """Return the rules that `Admission.rules` made, for so many rows of x and of y.

    A mask is bool, or has eight columns a byte; all arrays are on the device.
    """
    import cupy

    def contiguous(array: Any) -> Any:
        return None if array is None else cupy.ascontiguousarray(array)

    def demand(holds: bool, what: str) -> None:
        if not holds:
            raise ValueError(f"{what} does not go with x and y")

    mask = contiguous(rules["mask"])
    bits = mask is not None and mask.dtype != np.bool_
    stride = 0
    if mask is not None:
        width = -(-columns // 8) if bits else columns
        demand(mask.shape in ((width,), (rows, width)), "mask")
        stride = width if mask.ndim == 2 else 0
    starts, excluded = map(contiguous, rules["exclude"] or (None, None))
    demand(starts is None or starts.shape == (rows + 1,), "exclude")
    x_labels, y_labels, same = rules["labels"] or (None, None, False)
    x_labels, y_labels = contiguous(x_labels), contiguous(y_labels)
    demand(x_labels is None or (x_labels.shape, y_labels.shape) == ((rows,), (columns,)), "labels")
    limits = contiguous(rules["min_score"]), contiguous(rules["max_score"])
    demand(all(limit is None or limit.shape == (rows,) for limit in limits), "min_score or max_score")
    members = (
        *(int(rules["offset"]), int(rules["exclude_self"])),
        *(mask, stride, int(bits)),
        *(starts, excluded),
        *(x_labels, y_labels, int(same)),
        *limits,
    )
    words = [value if isinstance(value, int) else 0 if value is None else value.data.ptr for value in members]
    return DeviceRules(cupy.asarray(np.array(words, np.int64)), tuple(v for v in members if not isinstance(v, int)))
