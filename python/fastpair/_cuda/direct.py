"""Pairs one by one, in tiles: what all sums over pairs share, and the way for few pairs.

O(n m) time; memory for some hundred thousand partial sums.
"""

from typing import Any, NamedTuple

import numpy as np

from fastpair._cuda._source import launch

__all__ = [
    "KINDS",
    "SCAN_CHUNK",
    "SCAN_THREADS",
    "SUM_THREADS",
    "Part",
    "Rows",
    "Sums",
    "Want",
    "blocks_of",
    "direct_sums",
    "floats",
    "mass",
    "weighted",
]

KINDS = ("logistic", "sigmoid", "exponential", "hinge", "squared_hinge", "square", "barrier")
"""Surrogates, in the order of the kernels."""
MEET_THREADS, SUM_THREADS = 128, 256
SCAN_THREADS, SCAN_CHUNK = 128, 1024
"""The constants of the kernels."""
CHUNK = 512
"""Rows of the other side that one block sums up, or a multiple of it."""
PARTIAL_SUMS = 1 << 18
"""How many partial sums are worth keeping to fill the device."""


class Rows(NamedTuple):
    """Scores of a side (float64, contiguous, not NaN) and their weights; None are ones."""

    scores: Any
    weights: Any = None


class Want(NamedTuple):
    """Which sums are wanted."""

    value: bool = True
    uppers: bool = True
    lowers: bool = True


class Sums(NamedTuple):
    """The sum over all pairs, and for each row of a side that of derivatives by x times weights of the other side."""

    total: Any = None
    uppers: Any = None
    lowers: Any = None


class Part(NamedTuple):
    """A surrogate as a function of ``x = (lower - upper + shift) / temperature``."""

    kind: str
    shift: float
    temperature: float
    slope: float = 1.0
    kink: float = np.inf
    rtol: float = 1e-12

    @classmethod
    def parse(cls, surrogate: str, temperature: float, margin: float, slope: float, rtol: float) -> "Part":
        """Take the arguments of the kernels for processors."""
        has_margin = surrogate in ("hinge", "squared_hinge", "square", "barrier")
        kink = margin + slope * margin / (slope - 1) if slope > 1 else np.inf
        return cls(surrogate, margin * temperature if has_margin else 0.0, temperature, slope, kink, rtol)


def floats(values: Any) -> Any:
    """Return an array of any dtype as contiguous float64."""
    import cupy

    return cupy.ascontiguousarray(values.astype(np.float64, copy=False))


def mass(rows: Rows) -> Any:
    """Return the sum of the weights as an array of no dimension."""
    import cupy

    return cupy.full((), len(rows.scores), np.float64) if rows.weights is None else rows.weights.sum()


def weighted(weights: Any, values: Any) -> Any:
    """Multiply; weight 0 takes no part, whatever the value."""
    return values if weights is None else np.where(weights == 0, 0.0, weights * values)


def blocks_of(count: int, each: int = SUM_THREADS) -> int:
    """Return how many blocks of `each` elements there are."""
    return -(-count // each)


def direct_sums(part: Part, uppers: Rows, lowers: Rows, want: Want) -> Sums:
    """Return the sums of all pairs of two sides, of which none is empty."""
    total, upper_slopes = _of_side(part, uppers, lowers, 1.0, want.value, want.uppers)
    _, lower_slopes = _of_side(part, lowers, uppers, -1.0, False, want.lowers)
    return Sums(total, upper_slopes, lower_slopes)


def _of_side(part: Part, rows: Rows, others: Rows, sign: float, value: bool, slope: bool) -> tuple[Any, Any]:
    """Return the total of the values, and for each row the slope; None for what is not wanted."""
    import cupy

    if not (value or slope):
        return None, None
    count, other_count = len(rows.scores), len(others.scores)
    most = max(1, min(PARTIAL_SUMS // count, 65535))
    chunk = CHUNK * blocks_of(blocks_of(other_count, CHUNK), most)
    chunks = blocks_of(other_count, chunk)
    values = cupy.empty((chunks, count)) if value else None
    slopes = cupy.empty((chunks, count)) if slope else None
    launch(
        *("all_pairs.cu", f"meet<{str(value).lower()}>"),
        *((blocks_of(count, MEET_THREADS), chunks), MEET_THREADS),
        *(np.int32(KINDS.index(part.kind)), rows.scores, count, others.scores, others.weights, other_count, chunk),
        *(sign, part.shift, 1.0 / part.temperature, part.slope, part.kink),
        *(values, slopes),
    )
    if chunks == 1 and not value:
        return None, slopes[0]  # type: ignore[index]
    blocks = blocks_of(count)
    totals, out = cupy.empty(blocks) if value else None, cupy.empty(count) if slope else None
    launch(
        *("all_pairs.cu", "join_chunks", blocks, SUM_THREADS),
        *(values, slopes, rows.weights, count, chunks, totals, out),
    )
    return None if totals is None else totals.sum(), out
