"""What may be passed as an array: memory layouts and containers, read as they are and never changed."""

import array
from itertools import pairwise

import cases
import fastpair
import helpers
import numpy as np
import oracle
import pytest
from fakes import Arraylike, Tensor
from layouts import LAYOUTS


@pytest.fixture(params=LAYOUTS)
def layout(request):
    """Every way of laying out one array."""
    return LAYOUTS[request.param]


def test_scores_in_any_layout(layout, dtype, isa):
    for n in (0, 1, 2, 17, 257):
        scores, positive, expected = cases.solved("ten_values", dtype, n)
        helpers.assert_auc(expected, layout(scores), positive, n)


@pytest.mark.parametrize("label_dtype", ["bool", "int8", "uint8", "int32", "int64", "float32", "float64"])
def test_labels_in_any_layout(layout, label_dtype, isa):
    for n in (2, 17, 257):
        scores, positive, expected = cases.solved("normal", "float32", n)
        helpers.assert_auc(expected, scores, layout(positive.astype(label_dtype)))


@pytest.mark.parametrize("dtype", ["uint8", "float16", "float32", "int64", "float64"])
def test_long_arrays_in_any_layout(layout, dtype, threads):
    scores, positive = cases.make("normal", dtype, 100_000)
    expected = oracle.counted(scores, positive)
    helpers.assert_auc(expected, layout(scores), layout(positive), num_threads=threads)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int32", "bool"])
def test_weights_in_any_layout(layout, dtype):
    scores, positive, _ = cases.solved("normal", "float64", 33)
    weights = cases.cast(cases.generator("weights").random(33) * 4, np.dtype(dtype))
    expected = fastpair.auc(scores, positive, weights=weights)
    assert fastpair.auc(scores, positive, weights=layout(weights)) == expected


@pytest.mark.parametrize("dtype", ["int8", "uint16", "int32", "int64", "uint64", "U3", "S3", "O"])
def test_groups_in_any_layout(layout, dtype):
    if dtype == "O" and layout is LAYOUTS["one byte off"]:
        layout = np.copy  # references to objects have no bytes of their own
    scores, positive, _ = cases.solved("normal", "float64", 33)
    groups = np.array(["a", "b", "c"] if dtype in ("U3", "S3", "O") else [3, 1, 2], dtype)[np.arange(33) % 3]
    expected = oracle.grouped(scores, positive, oracle.members(groups))
    helpers.assert_values(expected, 0, scores, positive, groups=layout(groups))


@pytest.mark.parametrize("dtype", ["int8", "uint16", "int32", "int64", "uint64"])
def test_offsets_in_any_layout(layout, dtype):
    scores, positive, _ = cases.solved("alternating_classes", "float64", 33)
    offsets = np.array([0, 5, 17, 33], dtype)
    expected = [oracle.auc(scores[i:j], positive[i:j]) for i, j in pairwise(offsets.tolist())]
    helpers.assert_values(np.array(expected), 0, scores, positive, offsets=layout(offsets))


@pytest.mark.parametrize("n", [2, 1000, 100_000])
def test_arrays_without_strides(n):
    """One value broadcast to n rows takes no memory; reading it as n different rows would."""
    positive = np.arange(n) % 2 == 1
    helpers.assert_auc(0.5, np.broadcast_to(np.float32(3), n), positive)
    helpers.assert_auc(np.nan, np.arange(n), np.broadcast_to(np.True_, n))
    weights = np.broadcast_to(np.float64(2), n)
    assert fastpair.auc(positive, positive, weights=weights) == 1.0


def test_inputs_are_left_as_they_were(layout):
    scores, positive, _ = cases.solved("normal", "float32", 257)
    scores, labels, weights = layout(scores), layout(positive.astype(np.int64)), layout(np.ones(257))
    groups = layout(np.arange(257) % 4)
    before = [a.tobytes() for a in (scores, labels, weights, groups)]
    fastpair.auc(scores, labels, weights=weights)
    fastpair.auc(scores, labels, weights=weights, groups=groups)
    assert [a.tobytes() for a in (scores, labels, weights, groups)] == before


def pandas_series(values):
    pandas = pytest.importorskip("pandas")
    return pandas.Series(values, index=np.arange(len(values))[::-1] * 7)  # rows count by position


def polars_series(values):
    return pytest.importorskip("polars").Series(values)


def arrow_array(values):
    return pytest.importorskip("pyarrow").array(values)


def arrow_chunks(values):
    return pytest.importorskip("pyarrow").chunked_array([values[:1], values[1:]])


CONTAINERS = {
    "list": list,
    "tuple": tuple,
    "list of numpy scalars": lambda values: list(np.asarray(values)),
    "array.array": lambda values: array.array("d", values),
    "memoryview": lambda values: memoryview(np.asarray(values)),
    "__array__": Arraylike,
    "pandas": pandas_series,
    "polars": polars_series,
    "pyarrow": arrow_array,
    "pyarrow chunks": arrow_chunks,
    "torch": Tensor,
    "torch with gradient": lambda values: Tensor(values, requires_grad=True),
}


@pytest.fixture(params=CONTAINERS)
def container(request):
    """Every kind of object that holds one-dimensional data."""
    return CONTAINERS[request.param]


def test_scores_and_labels_in_any_container(container):
    scores, labels = [0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1]
    helpers.assert_auc(0.75, container(scores), container(labels))
    helpers.assert_auc(0.75, container(scores), labels)
    helpers.assert_auc(0.75, scores, container(labels))


def test_weights_in_any_container(container):
    weights = [1.0, 3.0, 2.0, 1.0]
    assert fastpair.auc([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1], weights=container(weights)) == 0.5


STRINGS = ("list", "tuple", "list of numpy scalars", "__array__", "pandas", "polars", "pyarrow")


@pytest.mark.parametrize("name", STRINGS)
def test_string_groups_and_labels_in_any_container(name):
    groups, labels = ["u", "v", "u", "v"], ["n", "n", "y", "y"]
    values = fastpair.auc(
        [1.0, 4.0, 2.0, 3.0],
        CONTAINERS[name](labels),
        pos_label="y",
        groups=CONTAINERS[name](groups),
    )
    np.testing.assert_array_equal(values, [1.0, 0.0], strict=True)


@pytest.mark.parametrize("name", ["list", "tuple", "pandas", "polars", "pyarrow", "torch", "torch with gradient"])
def test_integer_groups_and_offsets_in_any_container(name):
    make, scores, labels = CONTAINERS[name], [1.0, 2.0, 4.0, 3.0], [0, 1, 0, 1]
    helpers.assert_values(np.array([1.0, 0.0]), 0, scores, labels, groups=make([9, 9, 5, 5]))
    helpers.assert_values(np.array([1.0, 0.0]), 0, scores, labels, offsets=make([0, 2, 4]))


def test_a_masked_array_with_nothing_masked_is_an_array():
    helpers.assert_auc(0.75, np.ma.array([0.1, 0.4, 0.35, 0.8]), np.ma.array([0, 0, 1, 1]))


def test_bfloat16_from_a_list_of_its_scalars():
    bfloat16 = cases.as_dtype("bfloat16").type
    helpers.assert_auc(0.75, [bfloat16(x) for x in (0.1, 0.4, 0.35, 0.8)], [0, 0, 1, 1])
