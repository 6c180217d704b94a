"""atss_mask and iou_assign: definitions, levels, ties, degenerate boxes."""

import re

import numpy as np
import pytest
from fastpair.mining import _values
from fastpair.mining._box_assignment import atss_mask, iou_assign


def overlap(a, b):
    """Intersection over union of two boxes."""
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    both = width * height
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both
    return both / union if union > 0 else 0.0


def naive(anchors, boxes, sizes, wanted, min_side=0.01):
    """The definition, box by box."""
    result, best = [-1] * len(anchors), [-1.0] * len(anchors)
    for index, box in enumerate(boxes):
        candidates, begin = [], 0
        for size in sizes:
            level = range(begin, begin + size)
            distance = {
                i: ((anchors[i][0] + anchors[i][2]) / 2 - (box[0] + box[2]) / 2) ** 2
                + ((anchors[i][1] + anchors[i][3]) / 2 - (box[1] + box[3]) / 2) ** 2
                for i in level
            }
            candidates += sorted(level, key=lambda i, distance=distance: (distance[i], i))[:wanted]
            begin += size
        values = [overlap(anchors[i], box) for i in candidates]
        spread = np.std(values, ddof=1) if len(values) > 1 else 0.0
        limit = np.mean(values) + spread if len(set(values)) > 1 else values[0]
        for i, value in zip(candidates, values, strict=True):
            x, y = (anchors[i][0] + anchors[i][2]) / 2, (anchors[i][1] + anchors[i][3]) / 2
            inside = min(x - box[0], y - box[1], box[2] - x, box[3] - y) > min_side
            if inside and value >= limit - 1e-12 and value > best[i]:
                result[i], best[i] = index, value
    return result


def grid(size, step):
    """Anchors on a grid: boxes of two steps around the centres of cells."""
    x, y = np.meshgrid(np.arange(size) * step + step / 2, np.arange(size) * step + step / 2)
    centres = np.stack([x.ravel(), y.ravel()], axis=1)
    return np.concatenate([centres - step, centres + step], axis=1)


@pytest.mark.parametrize("cells", [50, 1 << 17])
@pytest.mark.parametrize(("k", "per"), [(3, 1), (2, 2), (9, 1), (1000, 1)])
def test_the_definition(k, per, cells, rng, monkeypatch):
    monkeypatch.setattr(_values, "MOST_CELLS", cells)
    anchors = np.concatenate([grid(8, 8.0), grid(4, 16.0), grid(2, 32.0)])
    corners = rng.integers(0, 40, (12, 2))
    boxes = np.concatenate([corners, corners + rng.integers(4, 30, (12, 2))], axis=1)
    found = atss_mask(anchors, boxes, level_sizes=[64, 16, 4], k=k, anchors_per_location=per)
    assert found.dtype == np.int64
    assert found.tolist() == naive(anchors.tolist(), boxes.tolist(), [64, 16, 4], k * per)
    assert (found >= 0).any()


def test_an_anchor_that_is_the_box():
    assert atss_mask([[0, 0, 4, 4]], [[0, 0, 4, 4]]).tolist() == [0]
    both = atss_mask([[0, 0, 4, 4]], [[0, 0, 4, 4], [0, 0, 4, 4], [0, 0, 4, 5]])
    assert both.tolist() == [0]
    assert atss_mask([[0, 0, 4, 4]], [[1.995, 0, 4, 4]]).tolist() == [-1]  # its centre is on a side
    assert atss_mask([[0, 0, 4, 4]], [[1.995, 0, 4, 4]], min_side=0.0).tolist() == [0]


def test_equal_overlaps_reach_their_mean():
    anchors = np.array([[0.0, 0.0, 1.0, 0.3]] * 7)
    assert atss_mask(anchors, [[0, 0, 1, 1]], min_side=0).tolist() == [0] * 7


def test_nothing_to_assign():
    assert atss_mask(np.zeros((3, 4)), []).tolist() == [-1, -1, -1]
    assert atss_mask([], [[0, 0, 1, 1]]).shape == (0,)
    assert atss_mask([[1, 1, 1, 1]], [[1, 1, 1, 1]]).tolist() == [-1]


@pytest.mark.parametrize(
    ("arguments", "options", "kind", "message"),
    [
        (([[0, 0, 1]], []), {}, ValueError, "anchors has shape (1, 3); pass four columns"),
        (([0, 0, 1, 1], []), {}, ValueError, "anchors has shape (4,)"),
        (([[0, 0, 1, 1]], [[1, 0, 0, 1]]), {}, ValueError, "boxes is [1.0, 0.0, 0.0, 1.0] at index 0"),
        (([[0, 0, np.nan, 1]], []), {}, ValueError, "anchors is nan at row 0, column 2"),
        (([[0, 0, 1, 1]], []), {"k": 0}, ValueError, "k must be at least 1"),
        (([[0, 0, 1, 1]], []), {"anchors_per_location": 0.5}, TypeError, "anchors_per_location must be an integer"),
        (([[0, 0, 1, 1]], []), {"level_sizes": [2]}, ValueError, "level_sizes adds up to 2, but there are 1"),
        (([[0, 0, 1, 1]], []), {"level_sizes": 1}, TypeError, "level_sizes must be a sequence"),
        (([[0, 0, 1, 1]], []), {"min_side": -1}, ValueError, "min_side must be at least 0"),
    ],
)
def test_errors(arguments, options, kind, message):
    with pytest.raises(kind, match=re.escape(message)):
        atss_mask(*arguments, **options)


@pytest.mark.parametrize("cells", [7, 1 << 17])
@pytest.mark.parametrize("unique", [False, True])
@pytest.mark.parametrize(("threshold", "k"), [(0.5, None), (None, 2), (0.4, 2), (2.0, None), (None, 100)])
def test_assigned_queries(threshold, k, unique, cells, rng, monkeypatch):
    monkeypatch.setattr(_values, "MOST_CELLS", cells)
    scores = rng.integers(0, 9, (6, 15)) / 8
    chosen = np.zeros(scores.shape, bool)
    for row, line in enumerate(scores):
        order = sorted(range(15), key=lambda j, line=line: (-line[j], j))
        chosen[row, [j for j in order if threshold is None or line[j] >= threshold][:k]] = True
    if unique:
        for query in range(15):
            truths = np.flatnonzero(chosen[:, query])
            if len(truths):
                chosen[:, query] = False
                chosen[truths[scores[truths, query].argmax()], query] = True
    found = iou_assign(scores, threshold=threshold, k=k, unique=unique)
    rows, columns = np.nonzero(chosen)
    assert found.indices.tolist() == columns.tolist()
    assert np.diff(found.indptr).tolist() == np.bincount(rows, minlength=6).tolist()
    assert (found.indptr.dtype, found.indices.dtype) == (np.int64, np.int32)


def test_no_truths_and_no_queries():
    assert iou_assign(np.zeros((0, 3)), k=1).indptr.tolist() == [0]
    assert iou_assign(np.zeros((2, 0)), k=1, unique=True).indptr.tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("arguments", "options", "kind", "message"),
    [
        ([[0.5]], {"k": 1}, ValueError, "overlaps has shape (1,)"),
        ([[[np.nan]]], {"k": 1}, ValueError, "overlaps is nan"),
        ([[[0.5]]], {}, ValueError, "threshold and k are both None"),
        ([[[0.5]]], {"threshold": "a"}, TypeError, "threshold must be a number"),
        ([[[0.5]]], {"k": 0}, ValueError, "k must be at least 1"),
        ([[[0.5]]], {"k": 1, "unique": 1}, TypeError, "unique must be True or False"),
    ],
)
def test_errors_of_iou_assign(arguments, options, kind, message):
    with pytest.raises(kind, match=re.escape(message)):
        iou_assign(*arguments, **options)
