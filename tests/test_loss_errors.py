"""Score losses refuse bad input by the right exception, which names the argument and what was seen in it."""

import re

import numpy as np
import pytest
from fakes import OnDevice, Tensor
from fastpair import losses

SCORES, GRADES = [0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1]
OVER_LISTS = (
    *("mann_whitney", "ranknet", "pairwise_hinge", "lambda_rank", "plackett_luce", "listnet", "softmax"),
    *("smooth_ap", "approx_ndcg", "approx_mrr", "fast_ap"),
)
LABELS = {name: "labels" for name in ("mann_whitney", "smooth_ap", "approx_mrr", "fast_ap")}
HOST = r"(?i)host|cpu"


def refused(call, error, words, *arguments, **options):
    with pytest.raises(error) as caught:
        call(*arguments, **options)
    for word in words:
        assert re.search(word, str(caught.value)), f"no {word!r} in: {caught.value}"


@pytest.fixture(params=OVER_LISTS)
def name(request):
    """Every loss over lists that has a kernel."""
    return request.param


BAD_SCORES = {
    "complex": (TypeError, np.ones(4, complex), ["scores", "complex128"]),
    "objects": (TypeError, np.array(SCORES, object), ["scores", "object"]),
    "strings": (TypeError, ["a", "b", "c", "d"], ["scores", "str|<U"]),
    "dates": (TypeError, np.zeros(4, "M8[D]"), ["scores", "datetime64"]),
    "masked": (TypeError, np.ma.array(SCORES, mask=[0, 1, 0, 0]), ["scores", "(?i)mask"]),
    "on a GPU": (TypeError, OnDevice(), ["scores", HOST]),
    "a tensor on a GPU": (TypeError, Tensor(SCORES, "cuda"), ["scores", HOST]),
    "no dimension": (ValueError, 0.5, ["scores", r"dimension|shape|\(\)"]),
    "two dimensions": (ValueError, [SCORES, SCORES], ["scores", r"\(2, 4\)"]),
}


@pytest.mark.parametrize("case", BAD_SCORES)
def test_scores(name, case):
    error, scores, words = BAD_SCORES[case]
    refused(getattr(losses, name), error, words, scores, GRADES)


@pytest.mark.parametrize("labels", [[0, 1, 1], [0, 0, 1, 1, 1], [], [GRADES, GRADES]], ids=str)
def test_labels_of_another_length(name, labels):
    argument = LABELS.get(name, "relevance")
    refused(getattr(losses, name), ValueError, [argument, r"\b4\b"], SCORES, labels)


@pytest.mark.parametrize("labels", [np.ones(4, complex), np.zeros(4, "M8[D]"), OnDevice()], ids=["c16", "dates", "gpu"])
def test_labels_of_another_kind(name, labels):
    refused(getattr(losses, name), TypeError, [LABELS.get(name, "relevance")], SCORES, labels)


GROUPS = {
    "short": ({"groups": [1, 1, 2]}, ValueError, ["groups", r"\b4\b"]),
    "floats": ({"groups": [1.0, 1.0, 2.0, 2.0]}, TypeError, ["groups", "float64"]),
    "both": ({"groups": [1, 1, 2, 2], "offsets": [0, 2, 4]}, ValueError, ["groups", "offsets"]),
    "offsets from 1": ({"offsets": [1, 2, 4]}, ValueError, ["offsets", r"\b1\b"]),
    "offsets too short": ({"offsets": [0, 2, 3]}, ValueError, ["offsets", r"\b3\b", r"\b4\b"]),
    "offsets run over": ({"offsets": [0, 2, 9]}, ValueError, ["offsets", r"\b9\b"]),
    "offsets decrease": ({"offsets": [0, 3, 2, 4]}, ValueError, ["offsets"]),
    "offsets of floats": ({"offsets": [0.0, 2.0, 4.0]}, TypeError, ["offsets", "float64"]),
    "no offsets": ({"offsets": np.array([], int)}, ValueError, ["offsets"]),
    "offsets beyond int64": ({"offsets": np.array([0, 2**64 - 1, 4], np.uint64)}, ValueError, ["offsets"]),
}


@pytest.mark.parametrize("case", GROUPS)
def test_groups(name, case):
    options, error, words = GROUPS[case]
    refused(getattr(losses, name), error, words, SCORES, GRADES, **options)


OPTIONS = {
    "reduction": ({"reduction": "average"}, ValueError, ["reduction", "average", "mean"]),
    "reduction None": ({"reduction": None}, (TypeError, ValueError), ["reduction", "None"]),
    "on_empty": ({"on_empty": "ignore"}, ValueError, ["on_empty", "ignore", "skip"]),
    "return_grad": ({"return_grad": "yes"}, (TypeError, ValueError), ["return_grad"]),
    "no upstream": ({"reduction": "none", "return_grad": True}, ValueError, ["grad_output"]),
    "upstream of a mean": ({"return_grad": True, "grad_output": [1.0]}, ValueError, ["grad_output", "mean"]),
    "upstream without gradient": ({"reduction": "none", "grad_output": [1.0]}, ValueError, ["grad_output"]),
    "upstream too long": (
        {"reduction": "none", "return_grad": True, "grad_output": [1.0, 2.0]},
        ValueError,
        ["grad_output", r"\(2,\)", r"\(1,\)"],
    ),
}


@pytest.mark.parametrize("case", OPTIONS)
def test_options(name, case):
    options, error, words = OPTIONS[case]
    refused(getattr(losses, name), error, words, SCORES, GRADES, **options)


THREADS = {
    "none": ({"num_threads": 0}, ValueError, ["num_threads", r"\b0\b"]),
    "float": ({"num_threads": 2.0}, TypeError, ["num_threads", "float"]),
}


@pytest.mark.parametrize("case", THREADS)
def test_threads(name, case):
    if name == "fast_ap":
        pytest.skip("it runs in numpy")
    options, error, words = THREADS[case]
    refused(getattr(losses, name), error, words, SCORES, GRADES, **options)


LIST_WEIGHTS = {
    "long": ([1.0, 1.0], ValueError, ["weights", r"\(2,\)", r"\(1,\)"]),
    "negative": ([-1.0], ValueError, ["weights", r"-1"]),
    "nan": ([np.nan], ValueError, ["weights", "(?i)nan"]),
    "infinite": ([np.inf], ValueError, ["weights", "inf"]),
    "complex": ([1j], TypeError, ["weights", "complex"]),
}


@pytest.mark.parametrize("case", LIST_WEIGHTS)
def test_weights_of_lists(name, case):
    if name == "mann_whitney":
        pytest.skip("its weights are of scores")
    weights, error, words = LIST_WEIGHTS[case]
    refused(getattr(losses, name), error, words, SCORES, GRADES, weights=weights)


NUMBERS = {  # option: losses that have it, values that are refused
    "temperature": (
        ("mann_whitney", "listnet", "softmax", "smooth_ap", "approx_ndcg", "approx_mrr"),
        (0, -1.0, np.inf, np.nan, "1", None),
    ),
    "sigma": (("ranknet", "lambda_rank"), (0, -2.0, np.inf, np.nan, "1", None)),
    "margin": (("mann_whitney", "pairwise_hinge"), (np.inf, np.nan, "1", None)),
    "slope": (("mann_whitney",), (0.5, -1.0, np.inf, np.nan, None)),
    "rtol": (("mann_whitney", "ranknet", "smooth_ap", "approx_ndcg"), (0.0, 1e-14, 0.02, 1.0, np.nan, "1")),
    "mu": (("lambda_rank",), (-1.0, np.inf, np.nan, None)),
    "cut": (("lambda_rank", "approx_ndcg"), (0, -1, 1.5, "3")),
    "top_k": (("plackett_luce",), (0, -1, 1.5, "3")),
    "bins": (("fast_ap",), (0, -1, 1.5)),
    "range": (("fast_ap",), ((1.0, 1.0), (2.0, 1.0), (0.0, np.inf), 1.0, None)),
}


@pytest.mark.parametrize(("option", "name", "value"), [
    (option, name, value) for option, (names, values) in NUMBERS.items() for name in names for value in values
])  # fmt: skip
def test_numbers(option, name, value):
    more = {"surrogate": "barrier"} if option == "slope" else {}
    refused(getattr(losses, name), (TypeError, ValueError), [option], SCORES, GRADES, **more, **{option: value})


CHOICES = {
    "mann_whitney": {"surrogate": "log", "normalizer": "batch", "scope": "all"},
    "ranknet": {"normalizer": "positives"},
    "lambda_rank": {"delta": "map", "normalizer": "positives", "gain": "square", "compat": "rax"},
    "plackett_luce": {"ties": "first", "normalizer": "batch"},
    "approx_ndcg": {"gain": "square", "compat": "rax"},
}


@pytest.mark.parametrize(("name", "option"), [(name, option) for name in CHOICES for option in CHOICES[name]])
def test_choices(name, option):
    value = CHOICES[name][option]
    refused(getattr(losses, name), ValueError, [option, value], SCORES, GRADES, **{option: value})
    refused(getattr(losses, name), (TypeError, ValueError), [option], SCORES, GRADES, **{option: 3})


FORMS = [  # arguments of mann_whitney that do not go together, and words of the message
    ({}, TypeError, ["scores", "pos", "similarities"]),
    ({"scores": SCORES}, (TypeError, ValueError), ["labels"]),
    ({"pos": SCORES}, (TypeError, ValueError), ["neg"]),
    ({"neg": SCORES}, (TypeError, ValueError), ["pos"]),
    ({"scores": SCORES, "labels": GRADES, "pos": SCORES, "neg": SCORES}, (TypeError, ValueError), ["pos"]),
    ({"similarities": np.eye(2), "labels": GRADES}, (TypeError, ValueError), ["labels"]),
    ({"similarities": np.eye(2), "groups": GRADES}, (TypeError, ValueError), ["groups"]),
    ({"similarities": SCORES}, ValueError, ["similarities", r"\(4,\)"]),
    ({"similarities": np.ones((3, 2))}, ValueError, ["similarities|positives", "positives|diagonal"]),
    ({"similarities": np.eye(2), "positives": [0, 2]}, ValueError, ["positives", r"\b2\b"]),
    ({"similarities": np.eye(2), "positives": [0, -1]}, ValueError, ["positives", r"-1\b"]),
    ({"similarities": np.eye(2), "positives": [0]}, ValueError, ["positives", r"\(1,\)"]),
    ({"similarities": np.eye(2), "positives": np.ones((2, 3), bool)}, ValueError, ["positives", r"\(2, 3\)"]),
    ({"similarities": np.eye(2), "ignore": np.ones((2, 3), bool)}, ValueError, ["ignore", r"\(2, 3\)"]),
    ({"similarities": np.eye(2), "ignore": np.eye(2, dtype=bool)}, ValueError, ["ignore", "positives"]),
    ({"scores": SCORES, "labels": GRADES, "ignore": GRADES}, (TypeError, ValueError), ["ignore"]),
    ({"scores": SCORES, "labels": GRADES, "positives": GRADES}, (TypeError, ValueError), ["positives"]),
    ({"scores": SCORES, "labels": GRADES, "scope": "row"}, (TypeError, ValueError), ["scope"]),
    ({"pos": SCORES, "neg": SCORES, "groups": GRADES}, (TypeError, ValueError), ["groups"]),
    ({"pos": SCORES, "neg": SCORES, "weights": np.ones(8)}, (TypeError, ValueError), ["weights", "pos"]),
    ({"pos": SCORES, "neg": SCORES, "weights": ([1.0], None)}, ValueError, ["weights", r"\(1,\)"]),
    ({"scores": SCORES, "labels": [1, 2, 1, 2]}, ValueError, ["labels", "pos_label"]),
    ({"scores": SCORES, "labels": list("abab")}, ValueError, ["labels", "pos_label"]),
    ({"scores": SCORES, "labels": list("abca"), "pos_label": "a"}, ValueError, ["labels"]),
    ({"scores": SCORES, "labels": [0, 1, 2, 1], "pos_label": 1}, ValueError, ["pos_label"]),
    ({"scores": SCORES, "labels": GRADES, "pos_label": 7}, ValueError, ["pos_label", r"\b7\b"]),
    ({"scores": SCORES, "labels": GRADES, "weights": [1, 1, 1]}, ValueError, ["weights", r"\b4\b"]),
    ({"scores": SCORES, "labels": GRADES, "weights": [1, -1, 1, 1]}, ValueError, ["weights", r"-1\b", r"\b1\b"]),
    ({"scores": SCORES, "labels": GRADES, "weights": [1, 1, np.nan, 1]}, ValueError, ["weights", "(?i)nan", r"\b2\b"]),
    ({"scores": SCORES, "labels": GRADES, "weights": [1, np.inf, 1, 1]}, ValueError, ["weights", "inf", r"\b1\b"]),
    ({"scores": [True, False, True, True], "labels": SCORES}, TypeError, ["labels", "(?i)swap"]),
]


@pytest.mark.parametrize(("arguments", "error", "words"), FORMS)
def test_forms_of_mann_whitney(arguments, error, words):
    refused(losses.mann_whitney, error, words, **arguments)


OTHERS = [
    ("lambda_rank", {"ranks": [1, 2, 3]}, ["ranks", r"\b4\b"]),
    ("lambda_rank", {"ranks": [0, 1, 2, 3]}, ["ranks", r"\b0"]),
    ("lambda_rank", {"ranks": [1, 2, np.nan, 3]}, ["ranks", "(?i)nan"]),
    ("lambda_rank", {"relevance": [0, -1, 1, 2]}, ["relevance", "-1"]),
    ("lambda_rank", {"relevance": [0, 5000, 1, 2]}, ["relevance", "5000", "linear"]),
    ("approx_ndcg", {"relevance": [0, -1, 1, 2]}, ["relevance", "-1"]),
    ("softmax", {"relevance": [0, -1, 1, 2]}, ["relevance", "-1"]),
    ("softmax", {"relevance": [0, np.inf, 1, 2]}, ["relevance", "inf"]),
    ("listnet", {"relevance": [0, np.inf, 1, 2]}, ["relevance", "inf"]),
    ("plackett_luce", {"ties": "random"}, ["ties|random", "seed"]),
    ("plackett_luce", {"relevance": None, "order": [0, 1, 2]}, ["order"]),
    ("plackett_luce", {"relevance": None, "order": [0, 1, 2, 2]}, ["order", r"\b3\b"]),
    ("plackett_luce", {"relevance": None, "order": [0, 1, 2, 4]}, ["order", r"\b4\b"]),
    ("plackett_luce", {"relevance": None, "order": [0, 1, 2, -1]}, ["order", r"-1\b"]),
    ("plackett_luce", {"relevance": None, "order": [0.0, 1.0, 2.0, 3.0]}, ["order", "float64"]),
    ("plackett_luce", {"relevance": None}, ["relevance", "order"]),
    ("plackett_luce", {"order": [0, 1, 2, 3]}, ["relevance", "order"]),
    ("ranknet", {"pos": SCORES}, ["pos", "scores"]),
    ("ranknet", {"pair_weights": SCORES}, ["pair_weights"]),
]


@pytest.mark.parametrize(("name", "options", "words"), OTHERS)
def test_what_single_losses_refuse(name, options, words):
    arguments = {"scores": SCORES, "relevance": GRADES, **options}
    arguments = {key: value for key, value in arguments.items() if value is not None}
    refused(getattr(losses, name), (TypeError, ValueError), words, **arguments)


@pytest.mark.parametrize("name", ["bpr", "top1", "bpr_max", "margin_ranking"])
def test_aligned_pairs(name):
    call = getattr(losses, name)
    refused(call, ValueError, ["pos", r"\(2, 4\)"], [SCORES, SCORES], SCORES)
    refused(call, ValueError, ["neg", r"\(3,\)", r"\(4,\)"], SCORES, SCORES[:3])
    refused(call, ValueError, ["neg", r"\(3, 4\)"], SCORES, [SCORES] * 3)
    refused(call, ValueError, ["neg"], SCORES, np.ones((4, 2, 2)))
    refused(call, TypeError, ["neg", "complex128"], SCORES, np.ones(4, complex))
    refused(call, TypeError, ["pos", "object"], np.array(SCORES, object), SCORES)
    refused(call, ValueError, ["weights", r"-1"], SCORES, SCORES, weights=[1, -1, 1, 1])
    refused(call, ValueError, ["weights", r"\b4\b"], SCORES, SCORES, weights=[1.0])
    refused(call, ValueError, ["reduction", "all"], SCORES, SCORES, reduction="all")
    refused(call, ValueError, ["grad_output"], SCORES, SCORES, reduction="none", return_grad=True)
    option = {"bpr": "sigma", "bpr_max": "regularization", "margin_ranking": "margin"}.get(name)
    if option is not None:
        refused(call, (TypeError, ValueError), [option], SCORES, SCORES, **{option: np.nan})
        refused(call, (TypeError, ValueError), [option], SCORES, SCORES, **{option: "1"})


def test_soft_ranks():
    refused(losses.soft_rank, ValueError, ["scores", r"\(2, 4\)"], [SCORES, SCORES])
    refused(losses.soft_rank, ValueError, ["temperature", r"\b0\b"], SCORES, temperature=0)
    refused(losses.soft_rank, ValueError, ["rtol"], SCORES, rtol=1e-15)
    refused(losses.soft_rank, ValueError, ["offsets"], SCORES, offsets=[0, 5])
    refused(losses.soft_rank_vjp, ValueError, ["upstream", r"\b4\b"], SCORES, SCORES[:3])
    refused(losses.soft_rank_vjp, TypeError, ["upstream", "complex128"], SCORES, np.ones(4, complex))


def test_options_are_keywords_only(name):
    with pytest.raises(TypeError):
        getattr(losses, name)(SCORES, GRADES, [0, 0, 1, 1])
    with pytest.raises(TypeError, match="margins"):
        getattr(losses, name)(SCORES, GRADES, margins=1)


def test_a_refused_call_leaves_nothing_behind(name):
    call = getattr(losses, name)
    value = call(SCORES, GRADES)
    for _ in range(3):
        with pytest.raises(ValueError):
            call(SCORES, GRADES[:3])
    assert call(SCORES, GRADES) == value
