"""The vector sort of the engine on unsigned keys, at each instruction set; the time includes a fresh copy."""

import numpy as np
from fastpair import _core

from .data import make_keys

ORDERS = {
    "random": lambda keys: keys,
    "sorted": np.sort,
    "reversed": lambda keys: np.sort(keys)[::-1].copy(),
    "ties": lambda keys: keys % 1000,
    "constant": np.zeros_like,
}


def copy_and_sort(keys):
    copy = keys.copy()
    _core.sort(copy)


class Sizes:
    """Uniform keys."""

    params = (["uint32", "uint64"], [1_000, 10_000, 100_000, 1_000_000, 10_000_000], ["base", "v3", "v4"])
    param_names = ("dtype", "rows", "isa")

    def setup(self, dtype, rows, isa):
        if isa not in _core.available_isas():
            raise NotImplementedError(f"this processor has no {isa}")
        _core.set_isa(isa)
        self.keys = make_keys(rows, dtype)

    def time_sort(self, dtype, rows, isa):
        copy_and_sort(self.keys)


class Orders:
    """Keys that are hard or easy to sort."""

    params = (["uint32", "uint64"], list(ORDERS))
    param_names = ("dtype", "order")

    def setup(self, dtype, order):
        self.keys = ORDERS[order](make_keys(1_000_000, dtype))

    def time_sort(self, dtype, order):
        copy_and_sort(self.keys)


class Memory:
    """Peak of the process: the keys and their copy; sorting adds nothing that grows with them."""

    params = ("uint32", "uint64")
    param_names = ("dtype",)

    def setup(self, dtype):
        self.keys = make_keys(10_000_000, dtype)

    def peakmem_sort(self, dtype):
        copy_and_sort(self.keys)
