"""fastpair on real scores: a report, timings beside scikit-learn and numpy, and a picture.

Run it with ``make demo``, or ``python examples/demo.py`` where fastpair, scikit-learn and matplotlib are
installed. The scores and their source are described in data/README.md. Writes roc.png.
"""

import time
from pathlib import Path

import fastpair
import matplotlib as mpl
import numpy as np
from sklearn.metrics import roc_auc_score, roc_curve

DATA = Path(__file__).resolve().parent.parent / "data" / "digits_scores.npz"
MODELS = {"naive Bayes": "scores_naive_bayes", "logistic regression": "scores_logistic"}
PICTURE = Path("roc.png")
ROWS_TIMED = 1_000_000
ROUNDS = 7


def numpy_auc(scores, labels):
    """Apply the textbook formula: the ranks of the positives, where ties share the mean of their ranks."""
    _, place, count = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(count) - (count - 1) / 2)[place]
    positives = np.count_nonzero(labels)
    negatives = len(labels) - positives
    return (ranks[labels].sum() - positives * (positives + 1) / 2) / (positives * negatives)


def one_vs_rest(file):
    """Make every pair of an image and a digit one decision: it is that digit, or not.

    Returns the scores (model, decision), the labels, the digit asked for, and the image.
    """
    truth = file["labels"]
    images, digits = len(truth), 10
    scores = np.stack([file[name].ravel() for name in MODELS.values()])
    labels = (truth[:, None] == np.arange(digits)).ravel()
    digit = np.tile(np.arange(digits), images)
    image = np.repeat(np.arange(images), digits)
    return scores, labels, digit, image


def report_quality(scores, labels, digit, image):
    """Print pooled, per-digit and grouped AUC of all models; return the pooled ones."""
    pooled = fastpair.auc(scores, labels)
    by_digit = fastpair.auc(scores, labels, groups=digit)

    print(f"AUC of {scores.shape[1]:,} decisions 'is this image a d?', {labels.sum():,} of them yes\n")
    print(f"{'':<22}" + "".join(f"{name:>21}" for name in MODELS))

    def line(title, values):
        print(f"{title:<22}" + "".join(f"{value:>21.4f}" for value in values))

    line("all pooled", pooled)
    line("GAUC over images", [fastpair.gauc(row, labels, image) for row in scores])
    line("GAUC over digits", [fastpair.gauc(row, labels, digit, weighting="positives") for row in scores])
    for d in range(10):
        line(f"  digit {d}", by_digit[:, d])
    return pooled


def report_speed(scores, labels):
    """Time fastpair, numpy and scikit-learn in turns on many rows drawn from the real ones."""
    rng = np.random.default_rng(0)
    rows = rng.integers(0, len(scores), ROWS_TIMED)
    # Each drawn score is moved by up to one part in a hundred: copies alone would be nothing but ties.
    scores = scores[rows] * rng.uniform(0.99, 1.01, ROWS_TIMED).astype(np.float32)
    labels = labels[rows]

    peers = {
        "fastpair": fastpair.auc,
        "numpy ranks": numpy_auc,
        "scikit-learn": lambda s, y: roc_auc_score(y, s),
    }
    values = {name: peer(scores, labels) for name, peer in peers.items()}
    assert all(abs(value - values["fastpair"]) < 1e-12 for value in values.values()), values

    # In turns, so that whatever else the machine does hits all of them alike.
    seconds = {name: [] for name in peers}
    for _ in range(ROUNDS):
        for name, peer in peers.items():
            start = time.perf_counter()
            peer(scores, labels)
            seconds[name].append(time.perf_counter() - start)
    medians = {name: np.median(times) for name, times in seconds.items()}

    print(f"\n{ROWS_TIMED:,} float32 scores drawn from the real ones, median of {ROUNDS} rounds\n")
    print(f"{'':<16}{'AUC':>16}{'ms':>12}{'fastpair is':>20}")
    for name, median in medians.items():
        ratio = median / medians["fastpair"]
        faster = "" if name == "fastpair" else f"{ratio:.1f} times as fast"
        print(f"{name:<16}{values[name]:>16.12f}{median * 1e3:>12.2f}{faster:>20}")


def draw(scores, labels, pooled):
    """Save both ROC curves to roc.png."""
    mpl.use("Agg")  # draws to a file, also where there is no screen
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(5.2, 5), layout="constrained")
    axes.plot([0, 1], [0, 1], color="0.8", linewidth=1)
    for row, name, auc, colour in zip(scores, MODELS, pooled, ("#d1752b", "#24678d"), strict=True):
        false_positive, true_positive, _ = roc_curve(labels, row)
        axes.plot(false_positive, true_positive, color=colour, linewidth=1.8, label=f"{name}, AUC {auc:.4f}")
    axes.set(
        title="Handwritten digits, each against the rest",
        xlabel="false positive rate",
        ylabel="true positive rate",
        xlim=(-0.01, 1.01),
        ylim=(-0.01, 1.01),
        aspect="equal",
    )
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="lower right", frameon=False)
    figure.savefig(PICTURE, dpi=150)
    print(f"\nROC curves: {PICTURE}")


def main():
    """Print the report and write the picture."""
    with np.load(DATA) as file:
        scores, labels, digit, image = one_vs_rest(file)
    print(f"fastpair {fastpair.__version__}\n")
    pooled = report_quality(scores, labels, digit, image)
    report_speed(scores[0], labels)
    draw(scores, labels, pooled)


if __name__ == "__main__":
    main()
