"""The result has the same bits for every thread count and every instruction-set level."""

import cases
import fastpair
import helpers
import numpy as np
import pytest

N = 150_000


def weights():
    return cases.generator("bits").random(N)


def codes():
    return cases.generator("codes").zipf(1.5, N).clip(1, 5000)


CALLS = {
    "plain": (fastpair.auc, dict),
    "weighted": (fastpair.auc, lambda: {"weights": weights()}),
    "weighted float32": (fastpair.auc, lambda: {"weights": weights().astype(np.float32)}),
    "grouped": (fastpair.auc, lambda: {"groups": codes()}),
    "grouped and weighted": (fastpair.auc, lambda: {"groups": codes(), "weights": weights()}),
    "cut by offsets": (fastpair.auc, lambda: {"offsets": np.linspace(0, N, 999).astype(int)}),
    "omitting": (fastpair.auc, lambda: {"nan_policy": "omit", "weights": weights()}),
    **{
        f"gauc by {weighting}": (
            fastpair.gauc,
            lambda weighting=weighting: {"groups": codes(), "weighting": weighting, "weights": weights()},
        )
        for weighting in ("uniform", "size", "positives", "pairs")
    },
}


def results(call, scores, positive, options):
    """The bits of the result, for every engine."""
    out = {}
    for engine in helpers.engines():
        out[engine] = helpers.bits(call(scores, positive, num_threads=engine[1], **options))
    return out


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int64"])
@pytest.mark.filterwarnings("ignore::fastpair.UndefinedMetricWarning")
def test_every_engine_gives_the_same_bits(name, dtype):
    call, options = CALLS[name]
    for pattern in ("normal", "square_root_values", "one_negative_score", "descending"):
        scores, positive = cases.make(pattern, dtype, N)
        if name == "omitting" and scores.dtype.kind == "f":
            scores[::7] = np.nan
        found = results(call, scores, positive, options())
        assert len(set(found.values())) == 1, (pattern, found)


@pytest.mark.parametrize("direction", ["ascending", "descending"])
def test_every_engine_gives_the_same_bits_on_sorted_weighted_data(direction):
    scores, positive = cases.make("ascending", "float32", N)
    scores = scores if direction == "ascending" else scores[::-1]
    found = results(fastpair.auc, scores, positive, {"presorted": direction, "weights": weights()})
    assert len(set(found.values())) == 1, found


def test_every_engine_gives_the_same_bits_on_a_weighted_batch():
    scores = np.stack([cases.make(name, "float32", N)[0] for name in ("normal", "near_one", "wide")])
    positive = cases.coin(cases.generator("batch"), N)
    found = results(fastpair.auc, scores, positive, {"weights": weights()})
    assert len(set(found.values())) == 1


def test_a_repeated_call_gives_the_same_bits():
    scores, positive = cases.make("normal", "float32", N)
    found = {helpers.bits(fastpair.auc(scores, positive, weights=weights())) for _ in range(20)}
    assert len(found) == 1
