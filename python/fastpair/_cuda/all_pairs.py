"""Sums over all pairs of an upper and a lower row of a function of the difference of their scores, and derivatives.

* few pairs: one by one (`direct`);
* logistic and sigmoid: `treecode`, O(n) after a sort, to a relative error that the caller chooses;
* hinges: `sweep`, O(n log n), exact but for rounding; squares and exponentials: `closed`, O(n).

Infinite scores are taken to their limits; equal ones tie. The host waits once, where there are many pairs, to learn the
range of the scores.
"""

from typing import Any

import numpy as np

from fastpair._cuda.closed import exponential_sums, square_sums
from fastpair._cuda.direct import Part, Rows, Sums, Want, direct_sums, floats, mass, weighted
from fastpair._cuda.sweep import hinge_sums
from fastpair._cuda.treecode import interpolated_sums

__all__ = ["class_loss", "pair_sums"]

FEW_PAIRS = 1 << 26
"""Up to this many pairs are looked at one by one."""


def class_loss(
    pos: Any,
    neg: Any,
    pos_weights: Any,
    neg_weights: Any,
    surrogate: str,
    temperature: float,
    margin: float,
    slope: float,
    rtol: float,
    gradient: bool,
    num_threads: int | None,
) -> tuple[Any, Any, Any, Any]:
    """Return the sum over all pairs, that of the products of weights, that of upper weights, and derivatives."""
    import cupy

    part = Part.parse(surrogate, temperature, margin, slope, rtol)
    uppers, lowers = (
        Rows(floats(scores), None if weights is None else floats(weights))
        for scores, weights in ((pos, pos_weights), (neg, neg_weights))
    )
    for rows in (uppers, lowers):
        if rows.weights is not None and len(rows.weights) != len(rows.scores):
            raise ValueError("weights must have one entry for each score")
    missing = np.isnan(uppers.scores).any() | np.isnan(lowers.scores).any()
    upper_mass = mass(uppers)
    slopes = None
    if len(uppers.scores) and len(lowers.scores):
        sums = pair_sums(part, uppers, lowers, Want(True, gradient, gradient))
        if gradient:
            signed = (-1 / temperature, sums.uppers, uppers.weights), (1 / temperature, sums.lowers, lowers.weights)
            slopes = cupy.concatenate([weighted(weights, factor * own) for factor, own, weights in signed])
        total = sums.total
    else:
        total = cupy.zeros(())
        slopes = cupy.zeros(len(uppers.scores) + len(lowers.scores)) if gradient else None
    # A NaN score makes everything NaN, and is a pair.
    return (
        np.where(missing, np.nan, total).reshape(1),
        np.where(missing, 1.0, upper_mass * mass(lowers)).reshape(1),
        np.where(missing, 1.0, upper_mass).reshape(1),
        None if slopes is None else np.where(missing, np.nan, slopes),
    )


def pair_sums(part: Part, uppers: Rows, lowers: Rows, want: Want) -> Sums:
    """Return the sums over all pairs of two sides, of which none is empty. NaN among the scores gives anything."""
    import cupy

    few = len(uppers.scores) * len(lowers.scores) <= FEW_PAIRS
    # Squares separate for few rows as well as for many, and so never overflow on the way.
    if few and part.kind != "square":
        return direct_sums(part, uppers, lowers, want)
    sides = uppers.scores, lowers.scores
    ranges = cupy.stack([end for scores in sides for end in (scores.min(), scores.max())]).get()
    if np.isnan(ranges).any():
        return _nothing(uppers, lowers)
    if np.isinf(ranges).any():
        return _with_infinities(part, uppers, lowers, want)
    return _finite_sums(part, uppers, lowers, want, float(ranges.min()), float(ranges.max()))


def _finite_sums(part: Part, uppers: Rows, lowers: Rows, want: Want, low: float, high: float) -> Sums:
    """Return the sums where all scores are finite, between `low` and `high`."""
    # A margin costs no digits of scores far from 0 if these are counted from a number whose differences with all of
    # them are exact (Sterbenz's lemma).
    near = (low > 0 and high / 2 <= low) or (high < 0 and low / 2 >= high)
    origin = (low if low > 0 else high) if near else 0.0
    if part.kind in ("hinge", "squared_hinge"):
        return hinge_sums(part, part.kind == "squared_hinge", origin, uppers, lowers, want)
    if part.kind == "barrier":
        return _barrier_sums(part, origin, uppers, lowers, want)
    if part.kind == "square":
        return square_sums(part, origin, uppers, lowers, want)
    if part.kind == "exponential":
        return exponential_sums(part, uppers, lowers, want)
    sums = interpolated_sums(part, uppers, lowers, want, low, high)
    return direct_sums(part, uppers, lowers, want) if sums is None else sums


def _barrier_sums(part: Part, origin: float, uppers: Rows, lowers: Rows, want: Want) -> Sums:
    """Return the sums of the three hinges of a barrier."""
    sums = hinge_sums(part, False, origin, uppers, lowers, want)
    swapped = Want(want.value, want.lowers, want.uppers)
    below = hinge_sums(part._replace(shift=-part.shift), False, origin, lowers, uppers, swapped)
    sums = _joined(sums, Sums(below.total, below.lowers, below.uppers), part.slope, -part.slope)
    if part.slope > 1:
        beyond = part._replace(shift=part.shift - part.kink * part.temperature)
        more = hinge_sums(beyond, False, origin, uppers, lowers, want)
        sums = _joined(sums, more, part.slope - 1, part.slope - 1)
    return sums


def _joined(sums: Sums, more: Sums, value_factor: float = 1.0, slope_factor: float = 1.0) -> Sums:
    """Add a multiple of other sums."""
    factors = value_factor, slope_factor, slope_factor
    return Sums(
        *(None if own is None else own + factor * other for own, other, factor in zip(sums, more, factors, strict=True))
    )


def _with_infinities(part: Part, uppers: Rows, lowers: Rows, want: Want) -> Sums:
    """Return the sums of finite rows as always, and those of infinite ones, two kinds on each side, one by one."""
    (upper, upper_finite, upper_ends), (lower, lower_finite, lower_ends) = _split(uppers), _split(lowers)
    inner = _nothing(upper, lower)
    by_lower_ends, by_upper_ends = _nothing(upper, lower_ends), _nothing(upper_ends, lower)
    if len(upper.scores):
        by_lower_ends = direct_sums(part, upper, lower_ends, want)
    if len(lower.scores):
        by_upper_ends = direct_sums(part, upper_ends, lower, want)
    if len(upper.scores) and len(lower.scores):
        inner = pair_sums(part, upper, lower, want)
    outer = direct_sums(part, upper_ends, lower_ends, want)
    upper_slopes = lower_slopes = total = None
    if want.value:
        total = inner.total + by_lower_ends.total + by_upper_ends.total + outer.total
    if want.uppers:
        at_ends = by_upper_ends.uppers + outer.uppers
        upper_slopes = _merged(uppers, upper_finite, inner.uppers + by_lower_ends.uppers, at_ends)
    if want.lowers:
        at_ends = by_lower_ends.lowers + outer.lowers
        lower_slopes = _merged(lowers, lower_finite, inner.lowers + by_upper_ends.lowers, at_ends)
    return Sums(total, upper_slopes, lower_slopes)


def _split(rows: Rows) -> tuple[Rows, Any, Rows]:
    """Return the finite rows of a side, which these are, and two rows that weigh as much as those at infinities."""
    import cupy

    finite, ones = np.isfinite(rows.scores), 1.0 if rows.weights is None else rows.weights
    ends = cupy.stack([np.where(rows.scores == end, ones, 0.0).sum() for end in (-np.inf, np.inf)])
    kept = Rows(rows.scores[finite], None if rows.weights is None else rows.weights[finite])
    return kept, finite, Rows(cupy.asarray([-np.inf, np.inf]), ends)


def _merged(rows: Rows, finite: Any, own: Any, at_ends: Any) -> Any:
    """Return what belongs to all rows, from that of the finite ones and that of both ends."""
    result = np.where(rows.scores > 0, at_ends[1], at_ends[0])
    result[finite] = own
    return result


def _nothing(uppers: Rows, lowers: Rows) -> Sums:
    """Return the sums of no pairs."""
    import cupy

    return Sums(cupy.zeros(()), cupy.zeros(len(uppers.scores)), cupy.zeros(len(lowers.scores)))
