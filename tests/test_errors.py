"""Every bad input is refused by the right exception, which names the argument and what was seen in it."""

import re

import fastpair
import numpy as np
import pytest
from fakes import OnDevice, Tensor

SCORES = [0.1, 0.4, 0.35, 0.8]
LABELS = [0, 0, 1, 1]


def bad(name, error, words, **arguments):
    """One row: the call's arguments that differ from a good call, and words the message must hold."""
    return pytest.param(error, words, {"scores": SCORES, "labels": LABELS, **arguments}, id=name)


def refused(function, error, words, arguments):
    with pytest.raises(error) as caught:
        function(**arguments)
    message = str(caught.value)
    for word in words:
        assert re.search(word, message), f"no {word!r} in: {message}"


HOST = r"(?i)host|cpu"
MASKED = np.ma.array(SCORES, mask=[0, 1, 0, 0])
DATES = np.array(["2024-01-01", "2024-01-02", "2024-01-03", "2024-01-04"], "M8[D]")
RECORDS = np.zeros(4, [("a", "f4"), ("b", "f4")])

SCORE_ROWS = [
    bad("complex scores", TypeError, ["scores", "complex128"], scores=np.array(SCORES, complex)),
    bad("object scores", TypeError, ["scores", "object"], scores=np.array(SCORES, object)),
    bad("scores of None", TypeError, ["scores"], scores=[0.1, None, 0.35, 0.8]),
    bad("no scores", TypeError, ["scores"], scores=None),
    bad("string scores", TypeError, ["scores", "str|<U"], scores=np.array(["a", "b", "c", "d"])),
    bad("list of string scores", TypeError, ["scores", "str|<U"], scores=["0.1", "0.4", "0.35", "0.8"]),
    bad("bytes scores", TypeError, ["scores", r"bytes|\|S"], scores=np.array([b"a", b"b", b"c", b"d"])),
    bad("datetime scores", TypeError, ["scores", "datetime64"], scores=DATES),
    bad("timedelta scores", TypeError, ["scores", "timedelta64"], scores=DATES - DATES[0]),
    bad("record scores", TypeError, ["scores", "void|f4|float32"], scores=RECORDS),
    bad("masked scores", TypeError, ["scores", "(?i)mask"], scores=MASKED),
    bad("GPU scores", TypeError, ["scores", HOST], scores=OnDevice()),
    bad("GPU tensor scores", TypeError, ["scores", HOST], scores=Tensor(SCORES, "cuda")),
    bad("GPU tensor with gradient", TypeError, ["scores", HOST], scores=Tensor(SCORES, "cuda", True)),
    bad("0-d scores", ValueError, ["scores", r"(?i)0-d|scalar|dimension|\(\)"], scores=np.float64(0.5)),
    bad("ragged scores", (TypeError, ValueError), ["scores"], scores=[[0.1, 0.4], [0.35]]),
    bad("NaN in a positive", ValueError, ["scores", r"\b2\b", "(?i)nan"], scores=[0.1, 0.4, np.nan, 0.8]),
    bad("NaN in a negative", ValueError, ["scores", r"\b1\b", "(?i)nan"], scores=[0.1, np.nan, 0.3, 0.8]),
    bad("all NaN", ValueError, ["scores", r"\b0\b", "(?i)nan"], scores=[np.nan] * 4),
]
if np.dtype(np.longdouble).itemsize > 8:
    LONG = np.array(SCORES, np.longdouble)
    SCORE_ROWS.append(bad("longdouble scores", TypeError, ["scores", "longdouble|float\\d+"], scores=LONG))

TWO = ["labels", "pos_label"]
LABEL_ROWS = [
    bad("labels longer", ValueError, ["labels", r"\b4\b", r"\b5\b"], labels=[0, 0, 1, 1, 1]),
    bad("labels shorter", ValueError, ["labels", r"\b4\b", r"\b3\b"], labels=[0, 0, 1]),
    bad("no labels at all", ValueError, ["labels", r"\b4\b", r"\b0\b"], labels=[]),
    bad("labels of more dimensions", ValueError, ["labels", "dimension|shape|-d"], labels=[LABELS, LABELS]),
    bad("0-d labels", ValueError, ["labels"], labels=np.int64(1)),
    bad("labels 1/2", ValueError, [*TWO, r"\b1\b", r"\b2\b"], labels=[1, 1, 2, 2]),
    bad("labels 0/2", ValueError, [*TWO, r"\b0\b", r"\b2\b"], labels=[0, 0, 2, 2]),
    bad("mask of 0/255", ValueError, [*TWO, r"\b0\b", r"\b255\b"], labels=np.array([0, 0, 255, 255], np.uint8)),
    bad("labels -1/0", ValueError, [*TWO, r"-1\b", r"\b0\b"], labels=[-1, -1, 0, 0]),
    bad("labels 0/-1 as bytes", ValueError, [*TWO, r"-1\b", r"\b0\b"], labels=np.int8([-1, -1, 0, 0])),
    bad("soft labels", ValueError, [*TWO, r"0\.3\b", r"0\.7\b"], labels=[0.3, 0.3, 0.7, 0.7]),
    bad("three labels", ValueError, ["labels", r"\b0\b", r"\b1\b", r"\b2\b"], labels=[0, 1, 2, 1]),
    bad("labels -1/0/1", ValueError, ["labels", r"-1\b", r"\b0\b", r"\b1\b"], labels=[-1, 0, 1, 1]),
    bad("three floats", ValueError, ["labels", r"0\.5\b"], labels=[0.0, 0.5, 1.0, 1.0]),
    bad("probabilities as labels", ValueError, ["labels"], labels=[0.2, 0.3, 0.5, 0.9]),
    bad("NaN label", ValueError, ["labels", "(?i)nan", r"\b1\b"], labels=[0.0, np.nan, 1.0, 1.0]),
    bad("infinite third label", ValueError, ["labels", "inf"], labels=[0.0, np.inf, 1.0, 1.0]),
    bad("string labels", ValueError, [*TWO, "spam", "ham"], labels=["ham", "ham", "spam", "spam"]),
    bad(
        "object string labels",
        ValueError,
        [*TWO, "no", "yes"],
        labels=np.array(["no", "no", "yes", "yes"], object),
    ),
    bad("three strings", ValueError, ["labels", "a", "b", "c"], labels=list("abca"), pos_label="a"),
    bad("complex labels", TypeError, ["labels", "complex128"], labels=np.array(LABELS, complex)),
    bad("datetime labels", TypeError, ["labels", "datetime64"], labels=DATES),
    bad("masked labels", TypeError, ["labels", "(?i)mask"], labels=np.ma.array(LABELS, mask=[0, 1, 0, 0])),
    bad("GPU labels", TypeError, ["labels", HOST], labels=OnDevice()),
    bad("GPU tensor labels", TypeError, ["labels", HOST], labels=Tensor(LABELS, "cuda")),
    bad("pos_label not seen", ValueError, ["pos_label", r"\b7\b"], pos_label=7),
    bad(
        "pos_label among three",
        ValueError,
        ["labels", r"\b0\b", r"\b1\b", r"\b2\b"],
        labels=[0, 1, 2, 1],
        pos_label=2,
    ),
    bad("string pos_label not seen", ValueError, ["pos_label", "eggs"], labels=list("aabb"), pos_label="eggs"),
    bad("string pos_label for integers", (TypeError, ValueError), ["pos_label"], pos_label="1"),
    bad(
        "batch: labels of another width",
        ValueError,
        ["labels", r"\b4\b", r"\b3\b"],
        scores=[SCORES] * 2,
        labels=[0, 1, 1],
    ),
    bad("batch: labels of another height", ValueError, ["labels"], scores=[SCORES] * 2, labels=[LABELS] * 3),
    bad(
        "batch: labels per series",
        ValueError,
        ["labels", r"\b2\b", r"\b4\b"],
        scores=[SCORES] * 2,
        labels=[0, 1],
    ),
    bad("batch: labels of a broadcast shape", ValueError, ["labels"], scores=[SCORES] * 2, labels=[LABELS]),
]

ORDER = r"auc\(scores, labels"
SWAP_ROWS = [
    bad("bool scores, float labels", TypeError, [ORDER], scores=[False, False, True, True], labels=SCORES),
    bad(
        "bool scores, 0.0/1.0",
        TypeError,
        [ORDER],
        scores=[False, False, True, True],
        labels=[0.0, 1.0, 1.0, 0.0],
    ),
    bad("swapped integers", ValueError, ["labels", "(?i)swap", "y_true"], scores=LABELS, labels=SCORES),
    bad("swapped floats", ValueError, ["labels", "(?i)swap"], scores=[0.0, 0.0, 1.0, 1.0], labels=SCORES),
    bad("swapped masks", ValueError, ["labels", "(?i)swap"], scores=np.uint8([0, 0, 255, 255]), labels=SCORES),
    bad("swapped integer scores", ValueError, ["labels", "(?i)swap"], scores=LABELS, labels=[10, 40, 35, 80]),
]

WEIGHT_ROWS = [
    bad("negative weight", ValueError, ["weights", r"\b2\b", r"-0\.5\b"], weights=[1, 1, -0.5, 1]),
    bad("negative integer weight", ValueError, ["weights", r"\b3\b", r"-7\b"], weights=[1, 1, 1, -7]),
    bad("NaN weight", ValueError, ["weights", r"\b2\b", "(?i)nan"], weights=[1, 1, np.nan, 1]),
    bad("infinite weight", ValueError, ["weights", r"\b0\b", "inf"], weights=[np.inf, 1, 1, 1]),
    bad("minus infinite weight", ValueError, ["weights", r"\b0\b", "-inf"], weights=[-np.inf, 1, 1, 1]),
    bad(
        "float16 infinite weight",
        ValueError,
        ["weights", r"\b1\b", "inf"],
        weights=np.float16([1, np.inf, 1, 1]),
    ),
    bad("weights too short", ValueError, ["weights", r"\b4\b", r"\b3\b"], weights=[1, 1, 1]),
    bad("weights too long", ValueError, ["weights", r"\b4\b", r"\b5\b"], weights=[1, 1, 1, 1, 1]),
    bad("one weight", ValueError, ["weights"], weights=2.0),
    bad("weights of more dimensions", ValueError, ["weights"], weights=[[1, 1, 1, 1]]),
    bad("complex weights", TypeError, ["weights", "complex128"], weights=np.ones(4, complex)),
    bad("string weights", TypeError, ["weights", "str|<U"], weights=["1", "1", "1", "1"]),
    bad("object weights", TypeError, ["weights", "object"], weights=np.ones(4, object)),
    bad("datetime weights", TypeError, ["weights", "datetime64"], weights=DATES),
    bad("masked weights", TypeError, ["weights", "(?i)mask"], weights=MASKED),
    bad("GPU weights", TypeError, ["weights", HOST], weights=OnDevice()),
    bad("batch: weights of another shape", ValueError, ["weights"], scores=[SCORES] * 2, weights=[[1] * 4] * 3),
]

GROUP_ROWS = [
    bad("float groups", TypeError, ["groups", "float64"], groups=[1.0, 1.0, 2.0, 2.0]),
    bad("complex groups", TypeError, ["groups", "complex128"], groups=np.ones(4, complex)),
    bad("groups too short", ValueError, ["groups", r"\b4\b", r"\b3\b"], groups=[1, 1, 2]),
    bad("groups too long", ValueError, ["groups", r"\b4\b", r"\b5\b"], groups=[1, 1, 2, 2, 2]),
    bad("strings too short", ValueError, ["groups", r"\b4\b", r"\b3\b"], groups=["a", "a", "b"]),
    bad("groups of two dimensions", ValueError, ["groups"], groups=[[1, 1, 2, 2]]),
    bad("one group id", ValueError, ["groups"], groups=7),
    bad(
        "masked groups",
        TypeError,
        ["groups", "(?i)mask"],
        groups=np.ma.array([1, 1, 2, 2], mask=[1, 0, 0, 0]),
    ),
    bad("GPU groups", TypeError, ["groups", HOST], groups=OnDevice()),
    bad("groups and offsets", ValueError, ["groups", "offsets"], groups=[1, 1, 2, 2], offsets=[0, 2, 4]),
    bad("offsets not from 0", ValueError, ["offsets", r"\b1\b"], offsets=[1, 2, 4]),
    bad("offsets stop early", ValueError, ["offsets", r"\b3\b", r"\b4\b"], offsets=[0, 2, 3]),
    bad("offsets run over", ValueError, ["offsets", r"\b9\b", r"\b4\b"], offsets=[0, 2, 9]),
    bad("offsets decrease", ValueError, ["offsets"], offsets=[0, 3, 2, 4]),
    bad("negative offsets", ValueError, ["offsets"], offsets=[0, -1, 4]),
    bad("offsets run over in between", ValueError, ["offsets"], offsets=[0, 9, 4]),
    bad("no offsets", ValueError, ["offsets"], offsets=np.array([], int)),
    bad("a single offset", ValueError, ["offsets"], offsets=[0]),
    bad("float offsets", TypeError, ["offsets", "float64"], offsets=[0.0, 2.0, 4.0]),
    bad("string offsets", TypeError, ["offsets"], offsets=["0", "4"]),
    bad("offsets of two dimensions", ValueError, ["offsets"], offsets=[[0, 4]]),
    bad("offsets beyond int64", ValueError, ["offsets"], offsets=np.array([0, 2**64 - 1, 4], np.uint64)),
]

AUC_ROWS = [
    bad(
        "groups and presorted",
        ValueError,
        ["presorted", "groups"],
        groups=[1, 1, 2, 2],
        presorted="ascending",
    ),
    bad("offsets and presorted", ValueError, ["presorted", "offsets"], offsets=[0, 4], presorted="descending"),
    bad("unknown presorted", ValueError, ["presorted", "sideways"], presorted="sideways"),
    bad("presorted=True", (TypeError, ValueError), ["presorted", "True"], presorted=True),
    bad("not ascending", ValueError, ["scores", "ascending", r"\b2\b"], presorted="ascending"),
    bad("not descending", ValueError, ["scores", "descending", r"\b1\b"], presorted="descending"),
    bad(
        "NaN in sorted data",
        ValueError,
        ["scores", r"\b3\b"],
        scores=[1, 2, 3, np.nan],
        presorted="ascending",
    ),
    bad("return_groups without groups", ValueError, ["return_groups", "groups"], return_groups=True),
    bad("axis too large", ValueError, ["axis", r"\b1\b"], axis=1),
    bad("axis too small", ValueError, ["axis", "-2"], axis=-2),
    bad("axis of a batch", ValueError, ["axis", r"\b2\b"], scores=[SCORES] * 2, axis=2),
    bad("float axis", TypeError, ["axis"], axis=0.0),
    bad("axis by name", TypeError, ["axis"], axis="rows"),
    bad("batch: NaN", ValueError, ["scores", r"\b1\b", r"\b3\b"], scores=[SCORES, [0.5, 0.6, 0.7, np.nan]]),
]

SHARED_ROWS = [
    *(SCORE_ROWS + LABEL_ROWS + SWAP_ROWS + WEIGHT_ROWS + GROUP_ROWS),
    bad("unknown nan_policy", ValueError, ["nan_policy", "ignore"], nan_policy="ignore"),
    bad("nan_policy=None", (TypeError, ValueError), ["nan_policy", "None"], nan_policy=None),
    bad("no threads", ValueError, ["num_threads", r"\b0\b"], num_threads=0),
    bad("negative threads", ValueError, ["num_threads", "-1"], num_threads=-1),
    bad("float threads", TypeError, ["num_threads", "float"], num_threads=2.0),
    bad("threads by name", TypeError, ["num_threads", "str"], num_threads="2"),
]

GAUC_ROWS = [
    bad("no groups", ValueError, ["groups", "offsets"]),
    bad("unknown weighting", ValueError, ["weighting", "users"], groups=[1, 1, 2, 2], weighting="users"),
    bad("unknown undefined", ValueError, ["undefined", "zero"], groups=[1, 1, 2, 2], undefined="zero"),
]


@pytest.mark.parametrize(("error", "words", "arguments"), SHARED_ROWS + AUC_ROWS)
def test_auc_refuses(error, words, arguments):
    refused(fastpair.auc, error, words, arguments)


def for_gauc(row):
    """The row with one group over all rows, unless it says something about groups itself."""
    error, words, arguments = row.values
    named = {"groups", "offsets"} & set(arguments)
    return pytest.param(error, words, arguments if named else {**arguments, "groups": [0] * 4}, id=row.id)


ONE_SERIES = [for_gauc(row) for row in SHARED_ROWS if "batch" not in row.id]


@pytest.mark.parametrize(("error", "words", "arguments"), GAUC_ROWS + ONE_SERIES)
def test_gauc_refuses(error, words, arguments):
    refused(fastpair.gauc, error, words, arguments)


def test_options_are_keywords_only():
    with pytest.raises(TypeError):
        fastpair.auc(SCORES, LABELS, [1, 1, 1, 1])
    with pytest.raises(TypeError):
        fastpair.gauc(SCORES, LABELS, [0, 0, 0, 0], [0, 4])


def test_unknown_options_are_refused():
    with pytest.raises(TypeError, match="sample_weight"):
        fastpair.auc(SCORES, LABELS, sample_weight=[1, 1, 1, 1])
