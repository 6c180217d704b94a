"""The same values laid out differently in memory: strides, offsets, byte order, read-only."""

import numpy as np


def strided(step):
    """Every ``step``-th element of a larger array; a negative step walks backwards."""

    def view(values):
        room = np.zeros(abs(step) * len(values), values.dtype)
        out = room[::step]
        out[:] = values
        return out

    return view


def column(order):
    def view(values):
        table = np.zeros((len(values), 3), values.dtype, order=order)
        table[:, 1] = values
        return table[:, 1]

    return view


def field(values):
    """A field of packed records: neither aligned nor contiguous."""
    records = np.zeros(len(values), np.dtype([("tag", "u1"), ("value", values.dtype)]))
    records["value"] = values
    return records["value"]


def one_byte_off(values):
    """Contiguous, but starting at an odd address."""
    raw = np.zeros(values.nbytes + 1, np.uint8)
    raw[1:] = np.frombuffer(values.tobytes(), np.uint8)
    return raw[1:].view(values.dtype)


def swapped(values):
    """The other byte order (bfloat16 has only one)."""
    if values.dtype.kind == "V":
        return values
    return values.astype(values.dtype.newbyteorder("S"))


def read_only(values):
    values = values.copy()
    values.flags.writeable = False
    return values


LAYOUTS = {
    "plain": np.copy,
    "every second": strided(2),
    "every third": strided(3),
    "backwards": strided(-1),
    "every second backwards": strided(-2),
    "row-major column": column("C"),
    "column-major column": column("F"),
    "packed field": field,
    "one byte off": one_byte_off,
    "swapped bytes": swapped,
    "swapped bytes, every third": lambda values: strided(3)(swapped(values)),
    "swapped bytes in a packed field": lambda values: field(swapped(values)),
    "read-only": read_only,
}
