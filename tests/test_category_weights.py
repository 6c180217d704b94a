"""category_weights: the formula, means of one, other weights, roles."""

import re

import numpy as np
import pytest
from fastpair.mining import _values
from fastpair.mining._category_weights import category_weights

TABLE = np.array([[1.0, 0.6, 0.0], [0.6, 1.0, 0.1], [0.0, 0.1, 1.0]])


@pytest.mark.parametrize("cells", [4, 1 << 17])
@pytest.mark.parametrize("strength", [2.0, 0.0, -1.0])
def test_the_definition(strength, cells, rng, monkeypatch):
    monkeypatch.setattr(_values, "MOST_CELLS", cells)
    rows, columns = rng.integers(0, 3, 8), rng.integers(0, 3, 11)
    positive, others = rng.random((8, 11)) < 0.2, rng.random((8, 11))
    ignore = (rng.random((8, 11)) < 0.2) & ~positive
    ignore[5] = ~positive[5]
    expected = positive.astype(float)
    for i in range(8):
        negative = np.flatnonzero(~(positive | ignore)[i])
        powers = np.exp(strength * TABLE[rows[i], columns[negative]])
        expected[i, negative] = len(negative) * powers / powers.sum()
    options = {"strength": strength, "positives": positive, "ignore": ignore}
    found = category_weights(TABLE, rows, columns, **options)
    np.testing.assert_allclose(found, expected)
    found = category_weights(TABLE, rows, columns, **options, weights=others)
    np.testing.assert_allclose(found, np.where(positive, 1, expected * others))


def test_limits():
    np.testing.assert_allclose(category_weights(TABLE, [0, 1, 2], strength=0), 1)
    far = category_weights(TABLE, [0, 0, 2], strength=1e4)
    assert far[0].tolist() == [1, 2, 0]
    assert category_weights(TABLE, []).shape == (0, 0)
    assert category_weights(np.zeros((0, 0)), []).shape == (0, 0)


@pytest.mark.parametrize(
    ("arguments", "options", "kind", "message"),
    [
        (([[1.0, 2.0]], [0]), {}, ValueError, "similarities has shape (1, 2); pass a square"),
        (([[np.nan]], [0]), {}, ValueError, "similarities is nan at row 0, column 0"),
        ((TABLE, [3]), {}, ValueError, "categories is 3 at index 0, but there are 3 categories"),
        ((TABLE, [0], [-1]), {}, ValueError, "y_categories is -1 at index 0"),
        ((TABLE, [0.5]), {}, TypeError, "categories has dtype float64"),
        ((TABLE, [[0]]), {}, ValueError, "categories has shape (1, 1)"),
        ((TABLE, [0]), {"strength": np.inf}, ValueError, "strength must be finite"),
        ((TABLE, [0]), {"weights": [[1.0, 2.0]]}, ValueError, "weights has shape (1, 2)"),
        ((TABLE, [0]), {"weights": [[-1.0]]}, ValueError, "weights is -1.0 at index (0, 0)"),
        ((TABLE, [0]), {"positives": [1]}, ValueError, "positives is 1 at index 0"),
    ],
)
def test_errors(arguments, options, kind, message):
    with pytest.raises(kind, match=re.escape(message)):
        category_weights(*arguments, **options)
