"""Values and gradients that other libraries gave, in float64, on embeddings that anybody can make again.

Recorded from pytorch-metric-learning 2.9.0 (`NTXentLoss`, `SupConLoss`) and sentence-transformers 6.2.0
(`MultipleNegativesRankingLoss`) under torch; the forms of open_clip's `ClipLoss` and `SigLipLoss` were typed anew in
torch. None of them is installed or copied here. For each the value, and the gradient of the first embedding.
"""

import numpy as np
import pytest
from fastpair import losses

ROWS = np.arange(72)
X = (np.sin(1.7 * ROWS + 0.3) + 0.3 * np.cos(ROWS**1.5)).reshape(12, 6)
LABELS = np.repeat(np.arange(4), 3)
VIEWS = X[:6], X[6:]

CASES = {
    # Other positives stay out of the denominator: each positive is a slot of its own.
    "NTXentLoss(0.07), labels": (
        lambda: losses.info_nce(X, labels=LABELS, multi_positive="each", temperature=0.07, return_grad=True),
        19.0270759262,
        [0.224843993, -0.02181926142, 0.2082831814, -0.1661077038, -0.001861870361, -0.06972909805],
    ),
    "NTXentLoss(0.5), two views": (
        lambda: losses.nt_xent(*VIEWS, temperature=0.5, return_grad=True),
        3.17469995794,
        [0.1097139903, -0.0663121046, -0.06304190997, 0.05198514629, 0.0617762154, -0.08609467819],
    ),
    "SupConLoss(0.1)": (
        lambda: losses.supcon(X, LABELS, temperature=0.1, return_grad=True),
        13.5240189461,
        [0.1617513646, -0.01896223417, 0.1412418681, -0.1117120109, -0.001688835354, -0.04756885638],
    ),
    # Its scale of 20 is a temperature of 0.05.
    "MultipleNegativesRankingLoss": (
        lambda: losses.info_nce(*VIEWS, temperature=0.05, return_grad=True),
        19.3524911554,
        [1.105688948, -0.6555767377, -0.5468981499, 0.4671921901, 0.6909555908, -0.9056168409],
    ),
    "MultipleNegativesRankingLoss, both directions": (
        lambda: losses.clip(*VIEWS, temperature=0.05, return_grad=True),
        19.5575911254,
        [1.105392012, -0.655355426, -0.5471563787, 0.4675299393, 0.6906916908, -0.9054232104],
    ),
    "MultipleNegativesRankingLoss, hard negatives": (
        lambda: losses.info_nce(X[:4], X[4:8], temperature=0.05, extra_negatives=X[8:], return_grad=True),
        37.7213462138,
        [-0.1281387183, -0.4613234326, 0.04906410326, -0.3889893804, 0.7819589651, -0.2681839235],
    ),
    "ClipLoss, logit scale 1 / 0.07": (
        lambda: losses.clip(*VIEWS, return_grad=True),
        14.0334159551,
        [0.7885519634, -0.4674508645, -0.3912799744, 0.334600191, 0.49260688, -0.6460306338],
    ),
    "SigLipLoss, logit scale 10, bias -10": (
        lambda: losses.siglip(*VIEWS, scale=10.0, bias=-10.0, return_grad=True),
        11.3349653629,
        [0.5250884958, -0.307152418, -0.2973571266, 0.2648632017, 0.3208859223, -0.4347128123],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients_of_other_libraries(name):
    loss, value, first = CASES[name]
    found, grads = loss()
    assert found == pytest.approx(value, rel=1e-10)
    np.testing.assert_allclose(np.asarray(grads[0])[0], first, rtol=1e-8, atol=1e-10)
