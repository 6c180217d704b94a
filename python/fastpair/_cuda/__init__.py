"""The twin of `fastpair._core` for arrays of CuPy: the same functions, names and arguments, for arrays in GPU memory.

`_array.kernels_of` chooses between the two. Host memory is read for options alone; arrays go in and come out on the
device. `num_threads`, `max_memory` of the host and `progress` are taken and mean what `docs/gpu.md` says.

The map: `door` lets public functions in, `_source` makes kernels of the .cu files in ``kernels/``. Every function here
has a module, and nothing is imported before it is called.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import Any

__all__ = ["HOMES"]

HOMES = {
    "aligned_pairs": "aligned",
    "auc": "auc",
    "auc_by_group": "auc",
    "class_loss": "all_pairs",
    "codes_from_offsets": "groups",
    "count_bits": "bits",
    "cross_entropy": "list_losses",
    "group_codes": "groups",
    "group_lists": "groups",
    "histogram": "reduce",
    "lambda_loss": "list_losses",
    "list_of_items": "lists",
    "logsumexp_from": "lists",
    "merge_topk": "topk",
    "mine_band": "mine",
    "mine_multi_similarity": "mine",
    "nth_bits": "bits",
    "order_lists": "lists",
    "pack": "topk",
    "pack_bools": "bits",
    "pack_roles": "bits",
    "pair_loss": "list_losses",
    "pair_rows": "pair_rows",
    "pairwise": "dense",
    "plackett_luce": "list_losses",
    "radius": "radius",
    "reduce": "reduce",
    "reduce_lists": "lists",
    "rowwise": "dense",
    "scale_lists": "lists",
    "score_of_lists": "mine",
    "set_bits": "bits",
    "soft_rank": "soft_ranks",
    "soft_rank_vjp": "soft_ranks",
    "topk": "topk",
    "unpack_bools": "bits",
    "unpack_rows": "bits",
    "weigh_lists": "lists",
}
"""The module of each kernel."""


class _Twin(ModuleType):
    """A package in which importing a module that is called like its kernel does not hide the kernel."""

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, getattr(value, name) if HOMES.get(name) == name else value)


sys.modules[__name__].__class__ = _Twin


def __getattr__(name: str) -> Any:
    if name not in HOMES:
        raise AttributeError(f"fastpair._cuda has no {name!r}")
    return getattr(import_module(f"fastpair._cuda.{HOMES[name]}"), name)
