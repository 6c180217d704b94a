"""Sums over all pairs that separate: squares and exponentials.

O(n) time; no memory but the result's.
"""

from typing import Any

import numpy as np

from fastpair._cuda._source import launch
from fastpair._cuda.direct import SUM_THREADS, Part, Rows, Sums, Want, blocks_of, mass

__all__ = ["exponential_sums", "square_sums"]

TERMS = SUM_THREADS * 16
"""Terms that a block adds up."""


def square_sums(part: Part, origin: float, uppers: Rows, lowers: Rows, want: Want) -> Sums:
    """Return the sums of ``x^2``; `origin` is where scores are counted from."""
    import cupy

    # In quarters no difference overflows.
    origin, shift, temperature = origin / 4, part.shift / 4, part.temperature / 4
    above, below = _about_mean(uppers, origin), _about_mean(lowers, origin)
    total = None
    if want.value:
        total = cupy.empty(())
        launch("closed.cu", "square_total", 1, 1, *above, *below, shift, temperature, total)

    def slopes(rows: Rows, sign: float, other: tuple[Any, Any, Any]) -> Any:
        count = len(rows.scores)
        out = cupy.empty(count)
        launch(
            *("closed.cu", "square_slopes", blocks_of(count), SUM_THREADS),
            *(rows.scores, count, origin, sign, other[0], other[1], shift, temperature, out),
        )
        return out

    return Sums(
        total, slopes(uppers, -1.0, below) if want.uppers else None, slopes(lowers, 1.0, above) if want.lowers else None
    )


def _about_mean(rows: Rows, origin: float) -> tuple[Any, Any, Any]:
    """Return the mass of a side, its mean distance from the origin, and the sum of squares about the mean."""
    own = mass(rows)
    mean = _sum(rows, "mean_terms", origin, own)
    return own, mean, _sum(rows, "square_terms", origin, mean)


def _sum(rows: Rows, kernel: str, *args: Any) -> Any:
    """Return the sum of a term over the rows of a side."""
    import cupy

    count = len(rows.scores)
    blocks = blocks_of(count, TERMS)
    totals = cupy.empty(blocks)
    launch("closed.cu", kernel, blocks, SUM_THREADS, rows.scores, rows.weights, count, *args, totals)
    return totals.sum()


def exponential_sums(part: Part, uppers: Rows, lowers: Rows, want: Want) -> Sums:
    """Return the sums of ``e^x``."""
    import cupy

    factor = 1.0 / part.temperature
    above, below = _mass_of_exponentials(uppers, -factor), _mass_of_exponentials(lowers, factor)
    total = None
    if want.value:
        total = cupy.empty(())
        launch("closed.cu", "exp_total", 1, 1, *above, *below, part.temperature, total)

    def slopes(rows: Rows, factor: float, other: tuple[Any, Any]) -> Any:
        count = len(rows.scores)
        out = cupy.empty(count)
        launch("closed.cu", "exp_slopes", blocks_of(count), SUM_THREADS, rows.scores, count, *other, factor, out)
        return out

    return Sums(
        total,
        slopes(uppers, -factor, below) if want.uppers else None,
        slopes(lowers, factor, above) if want.lowers else None,
    )


def _mass_of_exponentials(rows: Rows, factor: float) -> tuple[Any, Any]:
    """Return the score whose term is the largest of those that weigh, and the sum of all terms divided by it."""
    sign = np.copysign(1.0, factor)
    terms = rows.scores * sign
    if rows.weights is not None:
        terms = np.where(rows.weights != 0, terms, -np.inf)
    most = terms.max() * sign
    return most, _sum(rows, "exp_terms", most, factor)
