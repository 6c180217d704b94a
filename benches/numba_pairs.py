"""Losses over all pairs in numba: a treecode for the logistic loss, and brute force for the squared hinge.

The treecode groups scores into boxes. Those of a box with many scores are replaced by weights at the Chebyshev nodes
of the box, near boxes interact node by node, and far ones through a series of exponentials that is summed once from
the left and once from the right. The kernel of a pair is softplus(x), x = negative - positive. One thread.
"""

from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
from benchmarks.data import Array
from numba import njit

WIDTH = 2.0
"""Of a box; a power of two, so that places within boxes are exact."""
NODES = 18
NEAR = 3
"""Boxes up to this far apart interact directly; beyond, scores differ by 6 or more."""
TERMS = 6

PLACES = np.cos(np.pi * (np.arange(NODES) + 0.5) / NODES)
VALUES = np.cos(np.outer(np.arange(NODES), np.arccos(PLACES)))
"""The polynomial of each degree at each node."""
INTERPOLATION = VALUES * (2.0 / NODES)
INTERPOLATION[0] /= 2


class Points(NamedTuple):
    """What stands for scores, box by box."""

    places: Array
    """Relative to the centre of the box."""
    weights: Array
    starts: Array


class Side(NamedTuple):
    """The scores of one class."""

    box: Array
    place: Array
    """Of each score in its box, from -1 to 1."""
    points: Points
    owner: Array
    """The score that is the point; -1 for nodes."""
    dense: Array
    """The boxes that have nodes."""


def logistic(pos: Array, neg: Array) -> tuple[float, Array, Array]:
    """Return the mean of softplus(negative - positive) over all pairs, and its gradients."""
    box_pos, place_pos = boxes_of(pos)
    box_neg, place_neg = boxes_of(neg)
    numbers, box_pos, box_neg = compact(box_pos, box_neg)
    left = represent(box_pos, place_pos, len(numbers))
    right = represent(box_neg, place_neg, len(numbers))
    value, by_pos, by_neg = interact(numbers, left.points, right.points)
    pairs = len(pos) * len(neg)
    return value / pairs, bring_back(left, by_pos) / -pairs, bring_back(right, by_neg) / pairs


@njit
def boxes_of(scores: Any) -> Any:
    """Find the box of each score, and the place in it."""
    box, place = np.empty(len(scores)), np.empty(len(scores))
    for i in range(len(scores)):
        scaled = scores[i] * (1 / WIDTH)
        box[i] = np.floor(scaled)
        place[i] = 2 * (scaled - box[i]) - 1
    return box, place


def compact(box_pos: Array, box_neg: Array) -> tuple[Array, Array, Array]:
    """List the boxes that are not empty, in order, and number those of the scores accordingly."""
    low, high = min(box_pos.min(), box_neg.min()), max(box_pos.max(), box_neg.max())
    if high - low > 2 * (len(box_pos) + len(box_neg)) + 1024:
        numbers, codes = np.unique(np.concatenate([box_pos, box_neg]), return_inverse=True)
        return numbers, codes[: len(box_pos)], codes[len(box_pos) :]
    first, second = (box_pos - low).astype(np.int64), (box_neg - low).astype(np.int64)
    size = int(high - low) + 1
    used = np.flatnonzero(np.bincount(first, minlength=size) + np.bincount(second, minlength=size))
    code = np.empty(size, np.int64)
    code[used] = np.arange(len(used))
    return used + low, code[first], code[second]


def represent(box: Array, place: Array, boxes: int) -> Side:
    """Choose the points: the scores themselves, or the nodes where scores are more."""
    counts = np.bincount(box, minlength=boxes)
    starts = np.concatenate([[0], np.cumsum(np.minimum(counts, NODES))])
    places, weights, owner = keep_few(box, place, counts, starts)
    dense = np.flatnonzero(counts > NODES)
    if len(dense):
        moments = np.zeros((boxes, NODES))
        add_moments(box, place, moments)
        at = starts[dense][:, np.newaxis] + np.arange(NODES)
        places[at], weights[at] = PLACES * (WIDTH / 2), moments[dense] @ INTERPOLATION
    return Side(box, place, Points(places, weights, starts), owner, dense)


@njit
def keep_few(box: Any, place: Any, counts: Any, starts: Any) -> Any:
    """Take over the scores of boxes that have few."""
    total = starts[-1]
    places, weights, owner = np.zeros(total), np.zeros(total), np.full(total, -1)
    filled = starts[:-1].copy()
    for i in range(len(box)):
        b = box[i]
        if counts[b] <= NODES:
            places[filled[b]], weights[filled[b]], owner[filled[b]] = place[i] * (WIDTH / 2), 1.0, i
            filled[b] += 1
    return places, weights, owner


@njit(fastmath=True)
def add_moments(box: Any, place: Any, moments: Any) -> None:
    """Sum the Chebyshev polynomials of the places of each box."""
    for i in range(len(box)):
        row, u = moments[box[i]], place[i]
        before, now = 1.0, u
        row[0] += 1.0
        row[1] += u
        for k in range(2, NODES):
            before, now = now, 2 * u * now - before
            row[k] += now


def interact(numbers: Array, pos: Points, neg: Points) -> tuple[float, Array, Array]:
    """Sum the kernel over all points, and its derivatives at each point."""
    value, by_pos, by_neg = meet_near(numbers, pos, neg)
    mirrored, mirrored_pos, mirrored_neg = -numbers[::-1], mirror(pos), mirror(neg)
    # Negatives far below a positive; and far above, where softplus(x) is x + softplus(-x).
    logs, ratios, _, _ = meet_far(numbers, pos, neg)
    value += pos.weights @ logs
    by_pos += ratios
    logs, ratios, mass, gaps = meet_far(mirrored, mirrored_pos, mirrored_neg)[:, ::-1]
    value += pos.weights @ (gaps + logs)
    by_pos += mass - ratios
    # Positives far below a negative, and far above.
    _, ratios, mass, _ = meet_far(numbers, neg, pos)
    by_neg += mass - ratios
    _, ratios, _, _ = meet_far(mirrored, mirrored_neg, mirrored_pos)[:, ::-1]
    by_neg += ratios
    return value, by_pos, by_neg


def mirror(points: Points) -> Points:
    """Turn the axis round."""
    return Points(-points.places[::-1], points.weights[::-1].copy(), points.starts[-1] - points.starts[::-1])


@njit
def meet_near(numbers: Any, x: Any, y: Any) -> Any:
    """Pair the points of boxes that are near to each other."""
    total, by_x, by_y = 0.0, np.zeros(len(x.places)), np.zeros(len(y.places))
    for b in range(len(numbers)):
        c = b
        while c > 0 and numbers[b] - numbers[c - 1] <= NEAR:
            c -= 1
        while c < len(numbers) and numbers[c] - numbers[b] <= NEAR:
            shift = (numbers[c] - numbers[b]) * WIDTH
            for i in range(x.starts[b], x.starts[b + 1]):
                logs, ratios = 0.0, 0.0
                for j in range(y.starts[c], y.starts[c + 1]):
                    gap = shift + y.places[j] - x.places[i]
                    small = np.exp(-abs(gap))
                    ratio = (1.0 if gap >= 0 else small) / (1 + small)
                    logs += y.weights[j] * (max(gap, 0.0) + np.log1p(small))
                    ratios += y.weights[j] * ratio
                    by_y[j] += x.weights[i] * ratio
                total += x.weights[i] * logs
                by_x[i] += ratios
            c += 1
    return total, by_x, by_y


@njit
def meet_far(numbers: Any, x: Any, y: Any) -> Any:
    """For each x, over all y in boxes far below, sum softplus(-gap), the logistic function of -gap, 1, and the gap."""
    sums = np.zeros((4, len(x.places)))
    powers = np.zeros(TERMS)
    mass, distance, next_box = 0.0, 0.0, 0
    for b in range(len(numbers)):
        if b:
            step = (numbers[b] - numbers[b - 1]) * WIDTH
            distance += mass * step
            for k in range(TERMS):
                powers[k] *= np.exp(-(k + 1) * step)
        while numbers[b] - numbers[next_box] > NEAR:
            shift = (numbers[next_box] - numbers[b]) * WIDTH
            for j in range(y.starts[next_box], y.starts[next_box + 1]):
                place = shift + y.places[j]
                factor, power = np.exp(place), y.weights[j]
                mass += y.weights[j]
                distance -= y.weights[j] * place
                for k in range(TERMS):
                    power *= factor
                    powers[k] += power
            next_box += 1
        for i in range(x.starts[b], x.starts[b + 1]):
            factor, power, sign = np.exp(-x.places[i]), 1.0, 1.0
            for k in range(TERMS):
                power *= factor
                sums[0, i] += sign * power * powers[k] / (k + 1)
                sums[1, i] += sign * power * powers[k]
                sign = -sign
            sums[2, i], sums[3, i] = mass, distance + mass * x.places[i]
    return sums


def bring_back(side: Side, potential: Array) -> Array:
    """Interpolate from the nodes to the scores."""
    result = np.zeros(len(side.box))
    if len(side.dense):
        coefficients = np.zeros((len(side.points.starts) - 1, NODES))
        at = side.points.starts[side.dense][:, np.newaxis] + np.arange(NODES)
        coefficients[side.dense] = potential[at] @ INTERPOLATION.T
        evaluate(side.box, side.place, coefficients, result)
    few = side.owner >= 0
    result[side.owner[few]] = potential[few]
    return result


@njit(fastmath=True)
def evaluate(box: Any, place: Any, coefficients: Any, result: Any) -> None:
    """Sum a Chebyshev series at each place, by Clenshaw's recurrence."""
    for i in range(len(box)):
        row, u = coefficients[box[i]], place[i]
        now, before = 0.0, 0.0
        for k in range(NODES - 1, 0, -1):
            now, before = row[k] + 2 * u * now - before, now
        result[i] = row[0] + u * now - before


def squared_hinge(pos: Array, neg: Array, threads: int = 2) -> tuple[float, Array, Array]:
    """Return the mean of [1 - (positive - negative)]+ squared over all pairs, pair by pair, and its gradients."""
    parts = np.array_split(pos, threads)
    with ThreadPoolExecutor(threads) as pool:
        sums, by_pos, by_neg = zip(*pool.map(lambda part: hinge_rows(part, neg), parts), strict=True)
    pairs = len(pos) * len(neg)
    return sum(sums) / pairs, np.concatenate(by_pos) / -pairs, np.sum(by_neg, axis=0) / pairs


@njit(fastmath=True, nogil=True)
def hinge_rows(pos: Any, neg: Any) -> Any:
    """Take some positives with all negatives."""
    total, by_pos, by_neg = 0.0, np.empty(len(pos)), np.zeros(len(neg))
    for i in range(len(pos)):
        base, squares, slopes = 1.0 - pos[i], 0.0, 0.0
        for j in range(len(neg)):
            part = max(base + neg[j], 0.0)
            squares += part * part
            slopes += 2 * part
            by_neg[j] += 2 * part
        total += squares
        by_pos[i] = slopes
    return total, by_pos, by_neg
