"""Losses of lists of scores: of pairs of different relevance, LambdaLoss, Plackett-Luce and cross-entropy.

Items are brought into the order of relevance once; from then on each works by itself, on 8 lanes for losses of pairs.
Launches do not depend on the sizes of lists, and nothing is read back, but for the pairs of long lists, which are not
looked at one by one (`long_lists`).
"""

from typing import Any, NamedTuple

import numpy as np

from fastpair._cuda._source import launch
from fastpair._cuda.direct import Part
from fastpair._cuda.lists import column, list_of_items, order_lists, reduce_lists, scan_lists, threads, units
from fastpair._cuda.long_lists import add_long_lists, long_lists, stretches

__all__ = ["NARROW", "cross_entropy", "formula", "lambda_loss", "narrowed", "pair_loss", "plackett_luce"]

LANES = 8
"""Lanes of an item in losses of pairs."""
SCHEMES = ("none", "mrr", "ndcg", "ndcg2", "ndcg2++")
TIES = ("index", "average", "exclude")
TARGETS = ("softmax", "raw")
MOST_DISTANCES = 1 << 16
"""Weights of distances of ranks are looked up below this, and worked out beyond."""

FORMULAS = {
    **{"logistic": "Logistic", "sigmoid": "Sigmoid", "exponential": "Exponential", "hinge": "Hinge"},
    **{"squared_hinge": "SquaredHinge", "square": "Square", "barrier": "Barrier"},
}

NARROW = ("float16", "bfloat16", "float32")


def formula(surrogate: str, temperature: float, margin: float, slope: float) -> tuple[str, tuple[float, ...]]:
    """Return the formula of a surrogate in ``surrogate.cuh``, and its shift, factor, slope and kink."""
    if surrogate in ("logistic", "sigmoid", "exponential"):
        margin = 0.0
    # max(x, 0) + s max(-x, 0) + (s - 1) max(x - m - s m / (s - 1), 0) for x = m - z
    kink = margin + slope * margin / (slope - 1.0) if slope > 1 else float("inf")
    return FORMULAS[surrogate], (float(margin * temperature), 1.0 / temperature, float(slope), float(kink))


def narrowed(name: str, are_narrow: bool) -> str:
    """Return the formula whose terms are in float32, where scores have at most 32 bits and it takes time otherwise."""
    return f"Narrow{name}" if are_narrow and name in ("Logistic", "Sigmoid", "Exponential") else name


class Sorted(NamedTuple):
    """Items of lists by relevance, in float64; the place of each in the caller's arrays, and its list.

    `broken` says which lists have NaN among the scores of items that count.
    """

    scores: Any
    relevance: Any
    extra: Any
    places: Any
    lists: Any
    broken: Any


def _sorted(
    scores: Any, relevance: Any, extra: Any, offsets: Any, rows: Any, *, descending: bool = False, ranks: bool = False
) -> Sorted:
    """Bring items into the order of relevance; with `ranks` and without extra numbers, those are ranks by score."""
    import cupy

    items, count = len(scores), len(offsets) - 1
    own = [cupy.empty(items), cupy.empty(items), None if extra is None else cupy.empty(items)]
    lists, broken = cupy.empty(items, np.int64), cupy.zeros(count, np.int32)
    third = (None, np.int32(0)) if extra is None else column(extra)
    launch(
        *("list_losses.cu", "prepare", *threads(items), *column(scores), *column(relevance), *third),
        *(rows, offsets, count, items, *own, lists, broken),
    )
    if ranks and extra is None:
        own[2] = cupy.empty(items)
        counted = cupy.where(own[1] == own[1], own[0], np.nan)
        by_score = order_lists(counted, lists, offsets, descending=True)
        launch("list_losses.cu", "rank_items", *threads(items), by_score, lists, offsets, items, own[2])
    order = order_lists(own[1], lists, offsets, descending=descending)
    scores, relevance, extra = (None if array is None else cupy.empty(items) for array in own)
    places = cupy.empty(items, np.int64)
    launch(
        *("list_losses.cu", "gather_sorted", *threads(items)),
        *(*own, order, rows, items, scores, relevance, extra, places),
    )
    return Sorted(scores, relevance, extra, places, lists, broken)


def pair_loss(
    scores: Any,
    relevance: Any,
    weights: Any | None,
    offsets: Any,
    rows: Any | None,
    surrogate: str,
    temperature: float,
    margin: float,
    slope: float,
    rtol: float,
    gradient: bool,
    num_threads: int | None,
) -> tuple[Any, Any, Any, Any]:
    """Return sums, weights of pairs, weights of items above the lowest level, and derivatives."""
    import cupy

    items = len(scores)
    own = _sorted(scores, relevance, weights, offsets, rows)
    long = long_lists(own.relevance, offsets, own.broken)
    borders, lists, broken = offsets, own.lists, own.broken
    if long:
        borders, whose = stretches(long, offsets)
        lists, broken = list_of_items(borders, items), broken[whose]
    name, options = formula(surrogate, temperature, margin, slope)
    columns, slopes = cupy.empty((3, items)), cupy.empty(items) if gradient else None
    launch(
        *("list_losses.cu", f"pair_terms<{narrowed(name, scores.dtype.name in NARROW)}>", *threads(items, LANES)),
        *(own.scores, own.relevance, own.extra, own.places, lists, broken, borders, items, *options, columns, slopes),
    )
    sums = reduce_lists(columns, offsets)
    if long:
        part = Part.parse(surrogate, temperature, margin, slope, rtol)
        add_long_lists(long, part, own, sums, slopes)
    return (*sums, slopes)


def lambda_loss(
    scores: Any,
    gains: Any,
    ranks: Any | None,
    offsets: Any,
    rows: Any | None,
    scheme: str,
    sigma: float,
    cut: int,
    mu: float,
    gradient: bool,
    num_threads: int | None,
) -> tuple[Any, Any, Any]:
    """Return sums, numbers of pairs and derivatives of the LambdaLoss of each list."""
    import cupy

    items, number = len(scores), np.int32(SCHEMES.index(scheme))
    own = _sorted(scores, gains, ranks, offsets, rows, ranks=True)
    discounts, terms = cupy.empty(items), cupy.empty(items)
    last = float(cut) if cut else float("inf")
    launch(
        *("list_losses.cu", "weigh_ranks", *threads(items)),
        *(own.relevance, own.extra, own.lists, offsets, items, number, last, discounts, terms),
    )
    ideal = reduce_lists(terms, offsets)
    distances = min(items + 1, MOST_DISTANCES) if scheme in ("ndcg2", "ndcg2++") else 0
    by_distance = cupy.empty(distances)
    launch("list_losses.cu", "distance_weights", *threads(distances), distances, by_distance)
    columns, slopes = cupy.empty((2, items)), cupy.empty(items) if gradient else None
    kind = narrowed("Logistic", scores.dtype.name in NARROW)
    launch(
        *("list_losses.cu", f"lambda_terms<{kind}>", *threads(items, LANES)),
        *(own.scores, own.relevance, own.extra, discounts, ideal, by_distance, distances, own.places, own.lists),
        *(own.broken, offsets, items, number, sigma, 1 / (1 / sigma), mu, columns, slopes),
    )
    return (*reduce_lists(columns, offsets), slopes)


def plackett_luce(
    scores: Any,
    relevance: Any,
    offsets: Any,
    rows: Any | None,
    top_k: int,
    ties: str,
    gradient: bool,
    num_threads: int | None,
) -> tuple[Any, Any, Any]:
    """Return sums, numbers of steps and derivatives of the Plackett-Luce loss of each list."""
    import cupy

    items, number = len(scores), np.int32(TIES.index(ties))
    own = _sorted(scores, relevance, None, offsets, rows, descending=True)
    list_first, list_last, level_last = (cupy.empty(items, np.bool_) for _ in range(3))
    launch(
        *("plackett_luce.cu", "mark_levels", *threads(items)),
        *(own.relevance, own.lists, items, list_first, list_last, level_last),
    )
    left = scan_lists(own.scores, None, list_last, backwards=True, states=True)
    columns, tops, masses, tied = cupy.empty((2, items)), cupy.empty(items), cupy.empty(items), cupy.empty(items)
    launch(
        *("plackett_luce.cu", "luce_terms", *threads(items)),
        *(own.scores, own.relevance, *left, own.lists, own.broken, offsets, items, top_k, number),
        *(columns, tops, masses, tied),
    )
    slopes = None
    if gradient:
        slopes = cupy.empty(items)
        taken = scan_lists(tops, masses, list_first, backwards=False, states=True)
        # Steps of a level are relative to the same top: their sum is the mass.
        level = scan_lists(tops, tied, level_last, backwards=True, states=True)[1] if ties == "average" else masses
        launch(
            *("plackett_luce.cu", "luce_slopes", *threads(items)),
            *(own.scores, own.relevance, left[0], *taken, masses, level, own.places, own.lists, own.broken),
            *(offsets, items, top_k, number, slopes),
        )
    return (*reduce_lists(columns, offsets), slopes)


def cross_entropy(
    scores: Any,
    targets: Any,
    offsets: Any,
    rows: Any | None,
    target: str,
    gradient: bool,
    num_threads: int | None,
) -> tuple[Any, Any, Any]:
    """Return sums, masses of targets and derivatives of the cross-entropy of each list."""
    import cupy

    items, count, number = len(scores), len(offsets) - 1, np.int32(TARGETS.index(target))
    work = units(offsets, items)
    read = *column(scores), *column(targets), rows, offsets, count, work, number
    partial, of_lists, masses = cupy.empty((5, work)), cupy.empty((5, count)), cupy.empty(count)
    launch("plackett_luce.cu", "entropy_units", *threads(work, 32), *read, partial)
    launch(
        *("plackett_luce.cu", "entropy_lists", *threads(count, 32)),
        *(partial, offsets, count, work, number, of_lists, masses),
    )
    slopes, parts, sums = cupy.empty(items) if gradient else None, partial[0], cupy.empty(count)
    launch("plackett_luce.cu", "entropy_terms", *threads(work, 32), *read, of_lists, parts, slopes)
    launch("segments.cu", "combine_units<Sum>", *threads(count, 32), parts, offsets, count, work, sums)
    return sums, masses, slopes
