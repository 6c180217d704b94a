"""scipy's Mann-Whitney statistic, divided by the number of pairs, is `fastpair.auc`."""

import cases
import fastpair
import numpy as np
import pytest
import strategies
from hypothesis import assume, given
from scipy.stats import mannwhitneyu, rankdata, somersd

# scipy ranks in float64, so 64-bit integers beyond 2**53 would tie there
rows = strategies.rows(dtypes=("float32", "float64", "int8", "int32", "uint16", "uint32"))


def statistic(up, down):
    """The share of pairs won, ties half, by scipy."""
    up, down = (np.asarray(a, dtype=np.float64) for a in (up, down))
    with np.errstate(all="ignore"):  # the p-value of tied data divides by zero
        return mannwhitneyu(up, down, method="asymptotic").statistic / (len(up) * len(down))


@given(rows)
def test_mann_whitney(isa, row):
    scores, positive = row
    assert fastpair.auc(scores, positive) == statistic(scores[positive], scores[~positive])


@given(rows)
def test_mid_ranks(isa, row):
    scores, positive = row
    ups, downs = positive.sum(), (~positive).sum()
    won = rankdata(scores.astype(np.float64))[positive].sum() - ups * (ups + 1) / 2
    assert fastpair.auc(scores, positive) == won / (ups * downs)


@given(rows)
def test_somers_d(isa, row):
    """Somers' D of the scores given the class is 2 AUC - 1; scipy has none for constant scores."""
    scores, positive = row
    assume(len(np.unique(scores)) > 1)
    with np.errstate(all="ignore"):
        peer = somersd(positive.astype(int), scores.astype(np.float64)).statistic
    assert 2 * fastpair.auc(scores, positive) - 1 == pytest.approx(peer, abs=1e-14)


@pytest.mark.parametrize("pattern", cases.names("float64"))
@pytest.mark.parametrize("n", [1000, 100_000])
def test_every_pattern(pattern, n, isa):
    scores, positive = cases.make(pattern, "float64", n)
    assert fastpair.auc(scores, positive) == statistic(scores[positive], scores[~positive])


@pytest.mark.parametrize("shape", [(5, 300), (2, 3, 100)])
def test_batches(shape):
    rng = cases.generator("scipy", *shape)
    scores, positive = rng.integers(0, 30, shape) / 7, cases.coin(rng, shape[-1])
    up, down = scores[..., positive], scores[..., ~positive]
    peer = mannwhitneyu(up, down, axis=-1, method="asymptotic").statistic
    expected = peer / (up.shape[-1] * down.shape[-1])
    np.testing.assert_array_equal(fastpair.auc(scores, positive), expected)
