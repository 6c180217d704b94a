"""asp_weights: schedules, curves, a mean of one."""

import re

import numpy as np
import pytest
from fastpair.mining._asp_weights import asp_weights

SCORES = np.array([0.9, 0.5, 0.1, -0.4, 1.0])
CURVES = {
    "linear": lambda s: max(s, 0),
    "top": lambda s: np.sqrt(1 - (max(s, 0) - 1) ** 2),
    "bell": lambda s: np.exp(-(((s - 0.5) * 4) ** 2) / 2) / np.sqrt(2 * np.pi),
    "uniform": lambda s: 1.0,
}
SCHEDULES = {
    "sigmoid": lambda t: 1 / (1 + np.exp(10 * (t - 0.5))),
    "linear": lambda t: 1 - t,
    "lambda": lambda t: 1.0 if t < 0.4 else (1 - t) / 0.6,
}


@pytest.mark.parametrize("curve", CURVES)
@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("progress", [0, 0.3, 0.4, 0.7, 1])
def test_the_definition(curve, schedule, progress):
    equal = SCHEDULES[schedule](progress)
    weights = np.array([equal + (1 - equal) * CURVES[curve](s) for s in SCORES])
    found = asp_weights(SCORES, progress, schedule=schedule, curve=curve, decay_start=0.4)
    np.testing.assert_allclose(found, weights / weights.mean(), atol=1e-12)
    assert found.mean() == pytest.approx(1)


def test_equal_weights():
    assert asp_weights(SCORES, 0.49).tolist() == [1] * 5
    assert asp_weights(SCORES, 0, schedule="linear").tolist() == [1] * 5
    assert asp_weights([-0.5, -0.1], 1).tolist() == [1, 1]  # all would be 0
    assert asp_weights([], 1).shape == (0,)
    assert asp_weights(np.float16([1, 0]), 1).tolist() == [2, 0]
    assert np.isfinite(asp_weights([2.5, 1.0], 1, curve="top")).all()


@pytest.mark.parametrize(
    ("arguments", "options", "kind", "message"),
    [
        (([[1.0]], 0), {}, ValueError, "similarities has shape (1, 1)"),
        (([np.inf], 0), {}, ValueError, "similarities is inf at index 0"),
        (([1.0], 1.5), {}, ValueError, "progress must be at most 1"),
        (([1.0], None), {}, TypeError, "progress must be a number"),
        (([1.0], 0), {"schedule": "zero"}, ValueError, "schedule must be one of"),
        (([1.0], 0), {"curve": "steep"}, ValueError, "curve must be one of"),
        (([1.0], 0), {"decay_start": 1}, ValueError, "decay_start is 1"),
    ],
)
def test_errors(arguments, options, kind, message):
    with pytest.raises(kind, match=re.escape(message)):
        asp_weights(*arguments, **options)
