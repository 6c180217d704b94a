"""Write digits_scores.npz, the labelled scores that the demo and the documentation use.

Needs numpy and scikit-learn; run once, by hand: ``python data/make_digits_scores.py``.
The file is committed, so neither the package nor its tests run this script.
"""

from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

# Few components on purpose: with all 64 pixels both models are nearly perfect, and an AUC of 1.0
# shows nothing.
COMPONENTS = 3
SEED = 0


def out_of_fold_scores(classifier, images, digits):
    """Class probabilities for every image, each from a model that has not seen that image."""
    model = make_pipeline(PCA(COMPONENTS, svd_solver="full"), StandardScaler(), classifier)
    folds = StratifiedKFold(5, shuffle=True, random_state=SEED)
    scores = cross_val_predict(model, images, digits, cv=folds, method="predict_proba")
    return scores.astype(np.float32)


def main():
    """Train both models and write the file beside this script."""
    images, digits = load_digits(return_X_y=True)
    arrays = {
        "labels": digits.astype(np.uint8),
        "scores_naive_bayes": out_of_fold_scores(GaussianNB(), images, digits),
        "scores_logistic": out_of_fold_scores(LogisticRegression(max_iter=1000), images, digits),
    }
    np.savez_compressed(Path(__file__).with_name("digits_scores.npz"), **arrays)


if __name__ == "__main__":
    main()
