"""`mining.hard_negatives` beside `mine_hard_negatives` of sentence-transformers, given the same embeddings.

The recipe of the guide is what is tested: its functions are taken from there. The model is a stand-in that returns
stored embeddings and computes in float64, so that both see the same scores.
"""

import doctest
from pathlib import Path

import fastpair
import numpy as np
import pytest

datasets = pytest.importorskip("datasets")
torch = pytest.importorskip("torch")
hard_negatives = pytest.importorskip("sentence_transformers.util.hard_negatives")
util = pytest.importorskip("sentence_transformers.util")

GUIDE = Path(__file__).parents[1] / "docs" / "guide" / "hard_negatives.md"
N, M, D = 40, 150, 8

# Their modules warn about their own dependencies.
pytestmark = pytest.mark.filterwarnings("default")


def recipe():
    """The functions that the guide defines."""
    names = {"fastpair": fastpair, "np": np}
    for example in doctest.DocTestParser().get_examples(GUIDE.read_text()):
        if example.source.startswith(("def mine", "def n_tuples", "def triplets")):
            exec(example.source, names)
    return names["mine"], names["n_tuples"], names["triplets"]


MINE, N_TUPLES, TRIPLETS = recipe()


class Model:
    """Stored embeddings."""

    device = torch.device("cpu")

    def __init__(self, vectors):
        self.vectors = vectors

    def encode_query(self, texts, **_):
        return np.stack([self.vectors[text] for text in texts])

    encode_document = encode_query

    def similarity(self, x, y):
        return util.cos_sim(x, y)

    def similarity_pairwise(self, x, y):
        return util.pairwise_cos_sim(x, y)


class Judge:
    """A cross-encoder that knows the scores of all pairs."""

    def __init__(self, scores):
        self.scores = scores

    def predict(self, pairs, **_):
        return torch.tensor([self.scores[pair] for pair in pairs], dtype=torch.float64)


@pytest.fixture(scope="module")
def problem():
    """Anchors with one to three positives, close to them, and further texts."""
    rng = np.random.default_rng(11)
    vectors, anchors, positives = {}, [], []
    for i in range(N):
        vectors[f"q{i}"] = rng.normal(size=D)
        for j in range(1 + i % 3):
            vectors[f"p{i}.{j}"] = vectors[f"q{i}"] + 0.8 * rng.normal(size=D)
            anchors.append(f"q{i}")
            positives.append(f"p{i}.{j}")
    order = rng.permutation(len(anchors))
    anchors, positives = ([texts[i] for i in order] for texts in (anchors, positives))
    extra = [f"t{i}" for i in range(M)]
    vectors |= {text: rng.normal(size=D) for text in extra}
    vectors = {text: vector / np.linalg.norm(vector) for text, vector in vectors.items()}
    return anchors, positives, extra, Model(vectors)


def theirs(problem, output="n-tuple", extra=True, **options):
    anchors, positives, more, model = problem
    dataset = datasets.Dataset.from_dict({"query": anchors, "answer": positives})
    options = {"corpus": more if extra else None, "num_negatives": 4, "range_max": 2 * M, **options}
    mined = hard_negatives.mine_hard_negatives(dataset, model, output_format=output, verbose=False, **options)
    return [tuple(row.values()) for row in mined]


def ours(problem, output=N_TUPLES, extra=True, **options):
    anchors, positives, more, model = problem
    encode = model.encode_query
    return list(output(*MINE(anchors, positives, encode, encode, extra=more if extra else (), **{"k": 4, **options})))


SAME = {
    "nothing": ({}, {}),
    "another number": ({"num_negatives": 9}, {"k": 9}),
    "skipped ranks": ({"range_min": 5}, {"range": (5, None)}),
    "a range": ({"range_min": 3, "range_max": 7}, {"range": (3, 7)}),
    "absolute margin": ({"absolute_margin": 0.1}, {"abs_margin": 0.1}),
    "no margin": ({"absolute_margin": 0.0}, {"abs_margin": 0.0}),
    "wide margin": ({"absolute_margin": 1.2}, {"abs_margin": 1.2}),
    "relative margin": ({"relative_margin": 0.05}, {"rel_margin": 0.05}),
    "both margins": ({"absolute_margin": 0.2, "relative_margin": 0.5}, {"abs_margin": 0.2, "rel_margin": 0.5}),
    "limits": ({"max_score": 0.6, "min_score": 0.1}, {"max_score": 0.6, "min_score": 0.1}),
    "a low limit": ({"max_score": -0.5}, {"max_score": -0.5}),
    "all": (
        {"range_min": 2, "absolute_margin": 0.1, "relative_margin": 0.1, "max_score": 0.7, "min_score": -0.5},
        {"range": (2, None), "abs_margin": 0.1, "rel_margin": 0.1, "max_score": 0.7, "min_score": -0.5},
    ),
}


@pytest.mark.parametrize("extra", [True, False], ids=["corpus", "positives only"])
@pytest.mark.parametrize("name", SAME)
def test_the_same_negatives(problem, name, extra):
    """Their candidates are the whole corpus here, so both choose from the same."""
    their_options, options = SAME[name]
    assert theirs(problem, extra=extra, **their_options) == ours(problem, extra=extra, **options)
    triplets = theirs(problem, "triplet", extra=extra, **their_options)
    assert triplets == ours(problem, TRIPLETS, extra=extra, **options)
    assert triplets


def test_the_same_scores(problem):
    rows = theirs(problem, relative_margin=0.1, output_scores=True)
    anchors, positives, more, model = problem
    encode = model.encode_query
    _, _, known, found = MINE(anchors, positives, encode, encode, extra=more, k=4, rel_margin=0.1)
    expected = np.repeat(found.scores, [len(own) for own in known], axis=0)
    np.testing.assert_allclose([row[-1][1:] for row in rows], expected[(expected > -np.inf).all(axis=1)], rtol=1e-12)


def test_negative_scores_of_positives(problem):
    """A relative margin lowers the bound of both where the positive's score is negative."""
    anchors, positives, extra, model = problem
    turned = Model({text: -v if text.startswith("p") else v for text, v in model.vectors.items()})
    turned_problem = anchors, positives, extra, turned
    rows = theirs(turned_problem, relative_margin=0.3)
    assert rows == ours(turned_problem, rel_margin=0.3)
    assert rows


@pytest.mark.parametrize("options", [{"abs_margin": 0.3}, {"max_score": 0.4, "min_score": -1.0}])
def test_a_cross_encoder_is_a_teacher(problem, options):
    anchors, positives, extra, _ = problem
    queries, corpus = list(dict.fromkeys(anchors)), list(dict.fromkeys([*extra, *positives]))
    scores = np.random.default_rng(5).normal(size=(len(queries), len(corpus)))
    judge = Judge({(q, c): scores[i, j] for i, q in enumerate(queries) for j, c in enumerate(corpus)})
    names = {"abs_margin": "absolute_margin"}
    # Not longer than the corpus: they pad with the last text, and ask the judge about it.
    renamed = {names.get(name, name): value for name, value in options.items()}
    rows = theirs(problem, "triplet", cross_encoder=judge, range_max=len(corpus) - 3, **renamed)
    assert rows == ours(problem, TRIPLETS, teacher=scores, range=(0, len(corpus)), **options)


def test_rows_run_out_there_and_not_here(problem):
    """They filter the first of what a search finds, and here the search goes on."""
    short = theirs(problem, range_max=6, relative_margin=0.6)
    full = ours(problem, rel_margin=0.6)
    assert len(short) < len(full)
    assert set(short) <= set(full)


def test_ranks_are_of_those_that_are_admissible(problem):
    """An end of the range cuts their candidates before filters, and here what the filters have left."""
    left = {(row[0], *row[2:]) for row in ours(problem, rel_margin=0.6, range=(2, 6))}
    right = {(row[0], *row[2:]) for row in ours(problem, rel_margin=0.6, range=(2, None))}
    assert left == right
    assert len(theirs(problem, range_min=2, range_max=6, relative_margin=0.6)) < len(left)


def test_draws_have_a_seed_here(problem):
    """Theirs take Python's global random numbers; both stay within the range."""
    options = {"range": (0, 10), "sample": "random"}
    assert ours(problem, seed=1, **options) == ours(problem, seed=1, **options)
    room = {row[:2]: set(row[2:]) for row in ours(problem, k=10, range=(0, 10))}
    for rows in (theirs(problem, sampling_strategy="random", range_max=10), ours(problem, seed=1, **options)):
        assert all(set(row[2:]) <= room[row[:2]] for row in rows)
        assert len(rows) == len(room)


def test_equal_scores(problem):
    """Equal texts are one row in both; equal scores of different texts go by the lowest index here."""
    vectors = {"q": [1.0, 0], "p": [0.6, 0.8], **{f"t{i}": [0.8, 0.6] for i in range(30)}}
    model = Model({text: np.array(vector) for text, vector in vectors.items()})
    tied = ["q"], ["p"], [*(f"t{i}" for i in range(30)), "t3"], model
    assert ours(tied) == [("q", "p", "t0", "t1", "t2", "t3")]
    assert {row[:2] for row in theirs(tied)} == {("q", "p")}
