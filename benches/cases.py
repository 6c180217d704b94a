"""What a case is: its data, its peers, what is required of fastpair, and how answers are compared."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from adapters import Answer
from answers import AREAS, Check


@dataclass(frozen=True)
class Target:
    """A requirement on the ratio of medians peer / fastpair, on the median of fastpair itself, or on its answer."""

    kind: str
    value: float = 0.0

    def holds(self, peer: float, subject: float) -> bool:
        """Check the requirement against the medians of the peer and of fastpair, in seconds."""
        if self.kind == "faster":
            return peer / subject >= self.value
        return subject <= self.value * (peer if self.kind == "within" else 1)

    def describe(self) -> str:
        """Say it in a cell of a table."""
        if self.kind == "exact":
            return "the right answer"
        if self.kind == "faster":
            return f"at least {self.value:g}x"
        if self.kind == "within":
            return f"within {self.value:g}x its time"
        return f"under {self.value * 1e6:g} µs"


def faster(ratio: float) -> Target:
    """Require that fastpair is so many times faster than the peer."""
    return Target("faster", ratio)


def within(ratio: float) -> Target:
    """Require that fastpair takes at most so many times the time of the peer."""
    return Target("within", ratio)


def under(seconds: float) -> Target:
    """Require that fastpair takes no longer than this."""
    return Target("under", seconds)


def exact() -> Target:
    """Require that the answer of fastpair is the truth, without tolerance."""
    return Target("exact")


@dataclass(frozen=True)
class Case:
    """One table: the same data for all, and ratios to the first peer, which is fastpair."""

    name: str
    title: str
    """What the data are; ``{n:,}`` stands for the size."""
    task: str
    make: Callable[[int], Any]
    """The data of so many rows, as the adapters of the task take them."""
    rows: int
    peers: tuple[str, ...]
    targets: dict[str, Target] = field(default_factory=dict)
    threads: int | None = None
    """Threads of everybody; None leaves them as whoever started this set them."""
    check: Check = AREAS
    truth: Callable[[Any], Answer] | None = None
    """Computes the right answer; without it that of fastpair is what others are compared with."""
    quick: int = 4000
    """The most rows of a smoke test."""
    whole: float = 0.0
    """How many times the work is what is timed, if that is a sample of it."""

    def describe(self, rows: int) -> str:
        """Say what the data are at a size."""
        return self.title.format(n=rows)

    def quick_rows(self) -> int:
        """Size of a smoke test."""
        return min(self.rows, self.quick)


@dataclass(frozen=True)
class Job:
    """A call whose peak of memory is measured, on data that are there."""

    call: Callable[[], object]
    counted: int
    """Bytes that the call must take: of a copy, or of the result."""
    allowed: int
    """Bytes that it may take in all."""


@dataclass(frozen=True)
class MemoryCase:
    """One row of the table of peaks, measured in a process of its own."""

    name: str
    title: str
    """What the data are; ``{n:,}`` stands for the size."""
    prepare: Callable[[int], Job]
    rows: int
    quick: int

    def describe(self, rows: int) -> str:
        """Say what the data are at a size."""
        return self.title.format(n=rows)

    def quick_rows(self) -> int:
        """Size of a smoke test."""
        return min(self.rows, self.quick)


@dataclass(frozen=True)
class Suite:
    """The cases of one part of fastpair, and what a document has to say about them."""

    name: str
    cases: tuple[Case, ...]
    memory_cases: tuple[MemoryCase, ...]
    notes: str
    """The method, as far as it is particular to this suite: a list in markdown."""
    memory_notes: str
