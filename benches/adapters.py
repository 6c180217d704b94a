"""What an adapter is: how to call one package, or one way to call fastpair; `PEERS` has all of them.

An adapter takes the data and returns a function without arguments that gives the answer; that function is
what is timed. Conversions that a user would have to make are inside it, those that a user would not are
outside. Packages are imported by their adapters, so that one that is not installed is only absent.
"""

import os
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

# One thread for everybody, unless a case or whoever starts this says otherwise; read when the packages are imported.
THREAD_VARIABLES = ("POLARS_MAX_THREADS", "RAYON_NUM_THREADS", "NUMBA_NUM_THREADS", "OMP_NUM_THREADS")
for _name in THREAD_VARIABLES:
    os.environ.setdefault(_name, "1")

# A number, an array, the ids and the areas of groups, or nothing that could be compared.
Answer = Any
Build = Callable[[Any], Callable[[], Answer]]


class AbsentError(Exception):
    """A peer cannot run here; the message says why."""


@dataclass(frozen=True)
class Peer:
    """How to call one package, or one way to call fastpair."""

    name: str
    build: Build
    package: str | None = None
    """The distribution whose version is reported; None for recipes in numpy and for fastpair."""
    tolerance: float = 1e-9
    """The largest difference that is no mismatch: 1e-6 for those that round to float32."""
    level: str | None = None
    """The instruction set that fastpair is set to meanwhile."""


# By task and name.
PEERS: dict[str, dict[str, Peer]] = defaultdict(dict)


def adapter(task: str, name: str, **options: Any) -> Callable[[Build], Build]:
    """Register a function as the adapter of a task."""

    def register(build: Build) -> Build:
        PEERS[task][name] = Peer(name, build, **options)
        return build

    return register
