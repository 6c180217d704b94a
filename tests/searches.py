"""What tests of searches share: solved problems, rules of admission in every form, layouts of matrices."""

from functools import cache

import embeddings
import fastpair
import numpy as np
import oracle_similarity as oracle
from layouts import LAYOUTS

N, M, D, K = 37, 173, 35, 7
FLOAT_METRICS = tuple(metric for metric in oracle.METRICS if metric not in oracle.BITS)


@cache
def solved(pattern, dtype, metric, n=N, m=M, d=D):
    """Rows, and the scores of all pairs."""
    x, y = (embeddings.for_metric(rows, metric) for rows in embeddings.make(pattern, n, m, d))
    if metric == "poincare" and dtype in ("float16", "bfloat16"):
        x, y = x * 0.9, y * 0.9  # rounding must not leave the ball
    x, y = embeddings.cast(x, dtype), embeddings.cast(y, dtype)
    return x, y, oracle.pairwise(x, y, metric)


def assert_found(found, scores, k, largest, allowed=None, about="", metric=None):
    """Demand the very bits of the oracle. Those of Poincare distances are the C library's: a last one may differ."""
    expected_scores, expected_indices = oracle.topk(scores, k, largest, allowed)
    assert isinstance(found, fastpair.similarity.TopK)
    if metric == "poincare":
        np.testing.assert_allclose(found.scores, expected_scores, rtol=1e-15, strict=True, err_msg=about)
        padded = np.pad(scores, ((0, 0), (0, 1)), constant_values=-np.inf if largest else np.inf)
        own = np.take_along_axis(padded, found.indices, axis=1)
        np.testing.assert_allclose(own, expected_scores, rtol=1e-15, err_msg=about)
        assert all(len(set(row)) == len(row) for row in (row[row >= 0].tolist() for row in found.indices))
        return
    np.testing.assert_array_equal(found.indices, expected_indices, strict=True, err_msg=about)
    np.testing.assert_array_equal(found.scores, expected_scores, strict=True, err_msg=about)


LABELS = {"integers": [3, 1, 2, -5], "strings": ["a", "bb", "", "z"], "floats": [0.5, 1.0, -2.0, 3.0]}


def rules(name, rng, n, m, scores):
    """Arguments of a search, and of the oracle's `admitted`."""
    mask, columns = rng.random((n, m)) < 0.3, rng.random(m) < 0.3
    lists = [rng.permutation(m)[: rng.integers(0, m)].tolist() for _ in range(n)]
    x_codes, y_codes = rng.integers(0, 4, n), rng.integers(0, 4, m)
    low, high = np.quantile(scores, [0.3, 0.7], axis=1)
    labels = {
        f"labels of {kind}": (np.array(values)[x_codes], np.array(values)[y_codes]) for kind, values in LABELS.items()
    }
    if name in labels:
        given = {"x_labels": labels[name][0], "y_labels": labels[name][1], "same_label": True}
        return given, given
    table = {
        "mask of pairs": ({"mask": mask}, {"mask": mask}),
        "mask of columns": ({"mask": columns}, {"mask": columns}),
        "packed mask of pairs": ({"mask": np.packbits(mask, axis=-1)}, {"mask": mask}),
        "packed mask of columns": ({"mask": np.packbits(columns)}, {"mask": columns}),
        "empty mask": ({"mask": np.zeros(m, bool)}, {"mask": np.zeros(m, bool)}),
        "lists": ({"exclude": lists}, {"exclude": lists}),
        "other labels": (
            {"x_labels": x_codes, "y_labels": y_codes, "same_label": False},
            {"x_labels": x_codes, "y_labels": y_codes, "same_label": False},
        ),
        "least scores": ({"min_score": low}, {"min_score": low}),
        "most scores": ({"max_score": high}, {"max_score": high}),
        "one least score": ({"min_score": float(low[0])}, {"min_score": low[0]}),
        "both limits": ({"min_score": low, "max_score": high}, {"min_score": low, "max_score": high}),
        "no room between": ({"min_score": high, "max_score": low}, {"min_score": high, "max_score": low}),
        "an exact limit": ({"max_score": scores[:, 5]}, {"max_score": scores[:, 5]}),
        "all at once": (
            {"mask": mask, "exclude": lists, "exclude_self": True, "min_score": low, "max_score": high},
            {"mask": mask, "exclude": lists, "exclude_self": True, "min_score": low, "max_score": high},
        ),
    }
    return table[name]


RULES = (
    *("mask of pairs", "mask of columns", "packed mask of pairs", "packed mask of columns", "empty mask", "lists"),
    *("labels of integers", "labels of strings", "labels of floats", "other labels", "least scores", "most scores"),
    *("one least score", "both limits", "no room between", "an exact limit", "all at once"),
)


def matrix_layouts():
    """Ways of laying out a matrix."""

    def rows_of(layout):
        return lambda values: np.ascontiguousarray(LAYOUTS[layout](values.ravel())).reshape(values.shape)

    def swapped(values):
        return values if values.dtype.kind == "V" else values.astype(values.dtype.newbyteorder("S"))

    def one_byte_off(values):
        return LAYOUTS["one byte off"](np.ascontiguousarray(values).ravel()).reshape(values.shape)

    def inside(values):
        room = np.zeros((values.shape[0] * 2, values.shape[1] * 3 + 1), values.dtype)
        room[::2, 1::3] = values
        return room[::2, 1::3]

    return {
        "plain": np.copy,
        "columns first": np.asfortranarray,
        "transposed": lambda values: np.ascontiguousarray(values.T).T,
        "every second row, every third column": inside,
        "backwards": lambda values: np.ascontiguousarray(values[::-1, ::-1])[::-1, ::-1],
        "rows backwards": lambda values: np.ascontiguousarray(values[::-1])[::-1],
        "swapped bytes": swapped,
        "swapped bytes, columns first": lambda values: np.asfortranarray(swapped(values)),
        "one byte off": one_byte_off,
        "read-only": LAYOUTS["read-only"],
        "record field": lambda values: (
            LAYOUTS["packed field"](values.ravel()).reshape(values.shape) if values.dtype.kind != "V" else values
        ),
    }
