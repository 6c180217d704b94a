"""fastpair on real data: AUC of classifiers, search in a book, losses and a ranker trained for AUC, timings.

Run it with ``make demo``, or ``python examples/demo.py`` where fastpair, scikit-learn and matplotlib are
installed. The data and their sources are described in data/README.md. Writes roc.png.
"""

import textwrap
import time
from pathlib import Path

import fastpair
import matplotlib as mpl
import numpy as np
from sklearn.metrics import roc_auc_score, roc_curve
from sklearn.neighbors import NearestNeighbors

DATA = Path(__file__).resolve().parent.parent / "data"
ROUNDS = 7

MODELS = {"naive Bayes": "scores_naive_bayes", "logistic regression": "scores_logistic"}
PICTURE = Path("roc.png")
ROWS_TIMED = 1_000_000

# Three of the 18 questions, and the one whose hard negatives are shown.
QUESTIONS_SHOWN = (5, 8, 9)
QUESTION_MINED = 9
NEIGHBOURS = 10
SCRATCH = 4 << 20

# What the ranker is to find, and how it learns.
PART_SOUGHT = "Book I, Part II"
STEPS, STEPS_SHOWN = 100, (0, 1, 3, 10, 30, 100)
LEARNING_RATE = 20.0


def heading(text):
    """Print the title of a part of the report."""
    print(f"\n{text}\n{'=' * len(text)}\n")


def time_in_turns(peers):
    """Return the median seconds of each function, called in turns: what else the machine does hits all alike."""
    seconds = {name: [] for name in peers}
    for _ in range(ROUNDS):
        for name, peer in peers.items():
            time.sleep(0.05)  # the threads of the turn before fall asleep
            start = time.perf_counter()
            peer()
            seconds[name].append(time.perf_counter() - start)
    return {name: np.median(times) for name, times in seconds.items()}


def print_times(title, medians, answers):
    """Print a table of times, and of what each package answered."""
    print(f"{'':<16}{title:>16}{'ms':>12}{'fastpair is':>20}")
    for name, median in medians.items():
        ratio = median / medians["fastpair"]
        faster = "" if name == "fastpair" else f"{ratio:.1f} times as fast"
        print(f"{name:<16}{answers[name]:>16}{median * 1e3:>12.2f}{faster:>20}")


# The AUC of two classifiers


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

    medians = time_in_turns({name: lambda peer=peer: peer(scores, labels) for name, peer in peers.items()})
    print(f"\n{ROWS_TIMED:,} float32 scores drawn from the real ones, median of {ROUNDS} rounds\n")
    print_times("AUC", medians, {name: f"{value:.12f}" for name, value in values.items()})


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


# Search in the passages of a book


def answer_questions(book):
    """Print the passages nearest to some questions, and how often the answer is among the first of all 18."""
    passages, queries, answers = book["passages"], book["queries"], book["query_answers"]
    found = fastpair.topk(book["query_embeddings"], book["embeddings"], NEIGHBOURS, metric="cosine")

    print(f"{len(passages):,} passages of Newton's Opticks; * marks the one that was named as the answer beforehand")
    for query in QUESTIONS_SHOWN:
        print(f"\n{queries[query]}")
        for score, index in zip(found.scores[query, :3], found.indices[query, :3], strict=True):
            print_passage(book, score, index, mark="*" if index == answers[query] else " ")

    print(f"\nanswers of all {len(queries)} questions that are")
    for k in (1, 3, NEIGHBOURS):
        hits = (found.indices[:, :k] == answers[:, None]).any(axis=1)
        print(f"   {'the first passage' if k == 1 else f'among the first {k}':<20}{hits.sum():>3}{hits.mean():>7.0%}")


def mine_hard_negatives(book):
    """Print passages that are near to a question and do not answer it: what a model must learn to tell apart."""
    embeddings, sections, answers = book["embeddings"], book["sections"], book["query_answers"]

    # Passages of the answer's own part of the book do not count, nor those that come as near as the answer: they may
    # be answers, too.
    found = fastpair.mining.hard_negatives(
        book["query_embeddings"],
        embeddings,
        answers,
        k=3,
        rel_margin=0.05,
        query_labels=sections[answers],
        corpus_labels=sections,
    )
    own_part = book["section_names"][sections[answers[QUESTION_MINED]]]
    most = 0.95 * found.positive_scores[QUESTION_MINED]
    print(f"\nhard negatives of '{book['queries'][QUESTION_MINED]}'")
    print(f"from other parts than {own_part}, and with scores of at most {most:.3f}, 0.95 times the answer's\n")
    for score, index in zip(found.scores[QUESTION_MINED], found.indices[QUESTION_MINED], strict=True):
        print_passage(book, score, index)
    print(textwrap.indent(f"\nof all questions: {found.report}", "   "))


def print_passage(book, score, index, mark=" "):
    """Print the score of a passage, its place in the book, and how it begins."""
    print(f" {mark} {score:.3f}  {book['places'][index]}")
    print(textwrap.indent(textwrap.fill(textwrap.shorten(book["passages"][index], 220), 100), " " * 10))


def numpy_neighbours(rows):
    """Find the nearest other rows of each row by the whole matrix: the recipe without a package."""
    scores = rows @ rows.T
    np.fill_diagonal(scores, -np.inf)
    nearest = np.argpartition(scores, -NEIGHBOURS, axis=1)[:, -NEIGHBOURS:]
    order = np.argsort(-np.take_along_axis(scores, nearest, axis=1), axis=1, kind="stable")
    return np.take_along_axis(nearest, order, axis=1)


def report_search_speed(book):
    """Time fastpair, numpy and scikit-learn: the nearest other passages of every passage."""
    rows = book["embeddings"].astype(np.float32)
    # Of length one, so that all three rank alike: products are cosines, and the nearest have the largest.
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    index = NearestNeighbors(n_neighbors=NEIGHBOURS, algorithm="brute").fit(rows)
    peers = {
        "fastpair": lambda: fastpair.topk(rows, k=NEIGHBOURS, metric="dot", exclude_self=True).indices,
        "numpy": lambda: numpy_neighbours(rows),
        "scikit-learn": lambda: index.kneighbors(return_distance=False),
    }
    found = {name: peer() for name, peer in peers.items()}
    differing = {name: (lists != found["fastpair"]).any(axis=1).sum() for name, lists in found.items()}
    medians = time_in_turns(peers)

    print(f"\nthe {NEIGHBOURS} nearest other passages of each of {len(rows):,}, median of {ROUNDS} rounds;")
    print("how many lists are not those of fastpair, which ranks in float64\n")
    print_times("lists differ", medians, differing)


def report_contrast(book):
    """Print the contrastive loss of each passage and the next one, among all others, and what its gradients cost."""
    rows = book["embeddings"].astype(np.float32)
    place = np.arange(len(rows))
    x, y = rows[:-1], rows[1:]
    how = {"ids": (place[:-1], place[1:]), "temperature": 0.05, "max_memory": SCRATCH}  # no passage meets itself

    def call():
        return fastpair.losses.info_nce(x, y, return_grad=True, **how)

    loss, _ = call()
    milliseconds, pairs = 1e3 * time_in_turns({"fastpair": call})["fastpair"], 4 * len(x) * len(y) / 2**20
    print(f"\nwhich of {len(y):,} passages comes after each: InfoNCE {loss:.4f}, by guessing {np.log(len(y)):.4f};")
    print(f"with gradients {milliseconds:.1f} ms and {SCRATCH >> 20} MiB at most; all pairs would take {pairs:.0f} MiB")


# A ranker that learns from all pairs


def train_ranker(book):
    """Learn to score passages of one part of the book above all others, by gradient descent on a bound of 1 - AUC."""
    rows = book["embeddings"].astype(np.float32)
    labels = book["sections"] == list(book["section_names"]).index(PART_SOUGHT)
    kept = np.arange(len(rows)) % 4 == 0  # every fourth passage is kept aside, to see what was learned
    seen, truth = rows[~kept], labels[~kept]

    pairs = np.count_nonzero(truth) * np.count_nonzero(~truth)
    print(f"a score of each passage, linear in its embedding: is it from {PART_SOUGHT}?")
    print(f"each step takes the gradient of the logistic loss over all {pairs:,} pairs\n")
    print(f"{'step':>7}{'loss':>12}{'1 - AUC is at most':>22}{'AUC':>12}{'AUC kept aside':>18}")
    weights = np.zeros(rows.shape[1], np.float32)
    spent = 0.0
    for step in range(STEPS + 1):
        start = time.perf_counter()
        loss, grads = fastpair.losses.mann_whitney(seen @ weights, truth, return_grad=True)
        spent += time.perf_counter() - start
        if step in STEPS_SHOWN:
            trained, unseen = (fastpair.auc(rows[part] @ weights, labels[part]) for part in (~kept, kept))
            print(f"{step:>7}{loss:>12.4f}{loss / np.log(2):>22.4f}{trained:>12.4f}{unseen:>18.4f}")
        weights -= LEARNING_RATE * (grads.scores @ seen)
    print(f"\nvalue and gradient took {spent / (STEPS + 1) * 1e6:.0f} microseconds a step")


def main():
    """Print the report and write the picture."""
    print(f"fastpair {fastpair.__version__}")

    heading("Two classifiers of handwritten digits")
    with np.load(DATA / "digits_scores.npz") as file:
        scores, labels, digit, image = one_vs_rest(file)
    pooled = report_quality(scores, labels, digit, image)
    report_speed(scores[0], labels)
    draw(scores, labels, pooled)

    heading("Questions to a book")
    with np.load(DATA / "opticks_passages.npz") as file:
        book = dict(file)
    answer_questions(book)
    mine_hard_negatives(book)
    report_search_speed(book)
    report_contrast(book)

    heading("A ranker that learns from all pairs")
    train_ranker(book)


if __name__ == "__main__":
    main()
