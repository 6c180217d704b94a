"""scikit-learn's `roc_auc_score` and `fastpair.auc` agree (its arguments come the other way round)."""

import cases
import fastpair
import numpy as np
import pytest
import strategies
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

RELATIVE = 1e-12  # scikit-learn adds trapezoids in float64

# its float16 path rounds, and it has no infinities
finite = strategies.rows(dtypes=("float32", "float64", *strategies.INTEGERS[:-1]), infinite=False)


def moderate(scores):
    """Scores whose differences do not overflow, as scikit-learn subtracts neighbours."""
    return scores if scores.dtype.kind in "iu" else np.clip(scores, -1e30, 1e30)


@given(finite)
def test_plain(isa, row):
    scores, positive = moderate(row[0]), row[1]
    peer = roc_auc_score(positive, scores)
    assert fastpair.auc(scores, positive) == pytest.approx(peer, rel=RELATIVE, abs=1e-15)


@given(finite, st.data())
def test_weighted(isa, row, data):
    scores, positive = moderate(row[0]), row[1]
    weights = data.draw(strategies.weights(len(scores)))
    peer = roc_auc_score(positive, scores, sample_weight=weights)
    value = fastpair.auc(scores, positive, weights=weights)
    assert value == pytest.approx(peer, rel=1e-10, abs=1e-12)


@pytest.mark.parametrize("labels", [(0, 1), (-1, 1), (0.0, 1.0), (False, True)])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int8", "int64", "uint16"])
def test_labels_that_both_understand(labels, dtype):
    scores, positive = cases.make("ten_values", dtype, 500)
    given_labels = np.array(labels)[positive.astype(int)]
    peer = roc_auc_score(given_labels, scores)
    assert fastpair.auc(scores, given_labels) == pytest.approx(peer, rel=RELATIVE)


@pytest.mark.parametrize("pattern", [name for name in cases.GENERAL if name != "wide"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_pattern_at_twenty_thousand_rows(pattern, dtype):
    scores, positive = cases.make(pattern, dtype, 20_000)
    peer = roc_auc_score(positive, scores)
    assert fastpair.auc(scores, positive) == pytest.approx(peer, rel=RELATIVE, abs=1e-15)


def test_a_batch_is_its_multilabel_score():
    rng = cases.generator("multilabel")
    scores, labels = rng.normal(size=(300, 4)), rng.random((300, 4)) < 0.4
    peer = roc_auc_score(labels, scores, average=None)
    np.testing.assert_allclose(fastpair.auc(scores, labels, axis=0), peer, rtol=RELATIVE)


def test_the_scores_of_a_fitted_model():
    x, y = make_classification(3000, 8, flip_y=0.2, random_state=0)
    model = LogisticRegression().fit(x, y)
    for scores in (model.predict_proba(x)[:, 1], model.decision_function(x), model.predict(x)):
        assert fastpair.auc(scores, y) == pytest.approx(roc_auc_score(y, scores), rel=RELATIVE)
