"""What is measured on a GPU: data, the call, the right answer, and the least that a machine must do for it.

A floor is counted in bytes that must cross the memory bus and operations that must be done; `run.py` divides by what
copies and products reach on the same device in the same run.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import fastpair
import numpy as np

Arrays = dict[str, Any]


@dataclass(frozen=True)
class Floor:
    """Bytes that must be moved, operations of products that must be done, and the dtype that these may have."""

    bytes: float = 0.0
    operations: float = 0.0
    dtype: str = "float32"
    words: str = ""


@dataclass(frozen=True)
class Case:
    """One row of the table: sizes, quick sizes, and functions of them."""

    name: str
    sizes: tuple[int, ...]
    quick: tuple[int, ...]
    draw: Callable[..., Arrays]
    """(cupy, rng, *sizes) -> arrays on the device"""
    call: Callable[[Arrays], Any]
    right: Callable[[Arrays, Any], float]
    """The largest difference of an answer from that of the kernels for processors; 0 where bits must agree."""
    floor: Callable[..., Floor]
    tolerance: float = 0.0
    peers: tuple[str, ...] = field(default=())


def host(value: Any) -> Any:
    """Copy an array, or the arrays of a tuple, to the host."""
    if isinstance(value, tuple):
        return tuple(map(host, value))
    return value.get() if hasattr(value, "get") else value


def largest_difference(answer: Any, right: Any) -> float:
    """Compare numbers or arrays, relative to the largest entry."""
    answer, right = np.asarray(host(answer), np.float64), np.asarray(right, np.float64)
    scale = float(np.abs(right).max(initial=0)) or 1.0
    return float(np.abs(answer - right).max(initial=0)) / scale


def bfloat16() -> Any:
    """Return the dtype, of which numpy does not know."""
    import ml_dtypes

    return np.dtype(ml_dtypes.bfloat16)


def draw_scores(cupy: Any, rng: Any, rows: int, *, narrow: bool = False) -> Arrays:
    """One positive of ten, a little higher."""
    labels = rng.random(rows, dtype=np.float32) < 0.1
    scores = rng.standard_normal(rows, dtype=np.float32) + labels
    return {"scores": cupy.asarray(scores.astype(bfloat16()) if narrow else scores), "labels": cupy.asarray(labels)}


def draw_users(cupy: Any, rng: Any, rows: int, users: int) -> Arrays:
    """The same for users whose rows are scattered."""
    groups = rng.integers(users, size=rows, dtype=np.int32)
    return draw_scores(cupy, rng, rows) | {"groups": cupy.asarray(groups)}


def draw_embeddings(cupy: Any, rng: Any, rows: int, columns: int, width: int, *, narrow: bool = True) -> Arrays:
    """Rows of x that are near some row of y."""
    y = rng.standard_normal((columns, width), dtype=np.float32)
    x = y[rng.integers(columns, size=rows)] + rng.standard_normal((rows, width), dtype=np.float32)
    dtype = bfloat16() if narrow else np.dtype(np.float32)
    return {"x": cupy.asarray(x.astype(dtype)), "y": cupy.asarray(y.astype(dtype))}


def draw_batch(cupy: Any, rng: Any, rows: int, width: int, classes: int = 1000) -> Arrays:
    """Two views of a batch, and its labels."""
    x = rng.standard_normal((rows, width), dtype=np.float32)
    y = x + rng.standard_normal((rows, width), dtype=np.float32)
    return {
        "x": cupy.asarray(x),
        "y": cupy.asarray(y),
        "labels": cupy.asarray(rng.integers(classes, size=rows, dtype=np.int32)),
    }


def draw_lists(cupy: Any, rng: Any, lists: int, length: int) -> Arrays:
    """Lists of graded items, one after the other."""
    scores = rng.standard_normal(lists * length, dtype=np.float32)
    return {
        "scores": cupy.asarray(scores),
        "relevance": cupy.asarray(rng.integers(5, size=lists * length, dtype=np.int32)),
        "offsets": cupy.asarray(np.arange(0, lists * length + 1, length)),
    }


def draw_classes(cupy: Any, rng: Any, positives: int, negatives: int) -> Arrays:
    """Scores of two classes."""
    pos = rng.standard_normal(positives, dtype=np.float32) + 1
    return {"pos": cupy.asarray(pos), "neg": cupy.asarray(rng.standard_normal(negatives, dtype=np.float32))}


def same_as_on_the_host(call: Callable[[Arrays], Any], part: int = 0) -> Callable[[Arrays, Any], float]:
    """Compare the first part of an answer with that of the same call on the host."""

    def right(arrays: Arrays, answer: Any) -> float:
        own = call({name: host(array) for name, array in arrays.items()})
        if isinstance(own, tuple):
            own, answer = own[part], answer[part]
        return largest_difference(answer, own)

    return right


def same_first_neighbours(arrays: Arrays, answer: Any) -> float:
    """Compare the lists of a few rows with a search on the host."""
    rows = 8
    own = fastpair.topk(host(arrays["x"][:rows]), host(arrays["y"]), 100, metric="dot")
    return float(np.count_nonzero(host(answer.indices[:rows]) != own.indices))


def auc(arrays: Arrays) -> Any:
    return fastpair.auc(arrays["scores"], arrays["labels"])


def gauc(arrays: Arrays) -> Any:
    return fastpair.gauc(arrays["scores"], arrays["labels"], arrays["groups"])


def topk(arrays: Arrays) -> Any:
    return fastpair.topk(arrays["x"], arrays["y"], 100, metric="dot")


def info_nce(arrays: Arrays) -> Any:
    return fastpair.losses.info_nce(arrays["x"], arrays["y"], return_grad=True)


def ranknet(arrays: Arrays) -> Any:
    return fastpair.losses.ranknet(arrays["scores"], arrays["relevance"], offsets=arrays["offsets"], return_grad=True)


def mann_whitney(arrays: Arrays) -> Any:
    return fastpair.losses.mann_whitney(pos=arrays["pos"], neg=arrays["neg"], surrogate="logistic", return_grad=True)


def label_mask(arrays: Arrays) -> Any:
    return fastpair.mining.pair_masks(labels=arrays["labels"])[0]


def hard_mask(arrays: Arrays) -> Any:
    return fastpair.mining.hard_mask(arrays["x"], labels=arrays["labels"], kind="semihard", format="bits")


CASES = (
    Case(
        "auc-float32",
        (100_000_000,),
        (1000,),
        draw_scores,
        auc,
        same_as_on_the_host(auc),
        lambda rows: Floor(rows * (5 + 4 * 2 * 4), words="read once; a radix sort of 4 passes"),
        peers=("torch, sort", "torchmetrics", "cupy, argsort"),
    ),
    Case(
        "auc-bfloat16",
        (100_000_000,),
        (1000,),
        lambda *arguments: draw_scores(*arguments, narrow=True),
        auc,
        same_as_on_the_host(auc),
        lambda rows: Floor(rows * 3, words="read once"),
        peers=("torch, sort", "torchmetrics"),
    ),
    Case(
        "gauc-float32",
        (10_000_000, 100_000),
        (1000, 50),
        draw_users,
        gauc,
        same_as_on_the_host(gauc),
        lambda rows, users: Floor(rows * (9 + 8 * 2 * 8), words="read once; a radix sort of 8 passes"),
        tolerance=1e-14,
    ),
    Case(
        "topk-bfloat16",
        (4096, 10_000_000, 768),
        (40, 500, 16),
        draw_embeddings,
        topk,
        same_first_neighbours,
        lambda n, m, d: Floor(m * d * 2, 2.0 * n * m * d, "bfloat16", "the products"),
        peers=("torch, mm + topk", "jax, top_k", "cupy, argpartition"),
    ),
    Case(
        "topk-float32",
        (4096, 1_000_000, 128),
        (40, 500, 16),
        lambda *arguments: draw_embeddings(*arguments, narrow=False),
        topk,
        same_first_neighbours,
        lambda n, m, d: Floor(m * d * 4, 2.0 * n * m * d, "float32", "the products in float32"),
        peers=("torch, mm + topk", "jax, top_k", "cupy, argpartition"),
    ),
    Case(
        "info-nce-float32",
        (32_768, 768),
        (64, 16),
        draw_batch,
        info_nce,
        same_as_on_the_host(info_nce),
        lambda n, d: Floor(0, 8.0 * n * n * d, "float32", "the products, once more for the gradients"),
        tolerance=2e-6,
        peers=("torch, cross_entropy",),
    ),
    Case(
        "ranknet-10k-lists",
        (10_000, 100),
        (20, 10),
        draw_lists,
        ranknet,
        same_as_on_the_host(ranknet),
        lambda lists, length: Floor(lists * length * 12, words="read and write once"),
        tolerance=2e-6,
        peers=("torch, padded lists",),
    ),
    Case(
        "mann-whitney-logistic",
        (10_000, 1_000_000),
        (50, 200),
        draw_classes,
        mann_whitney,
        same_as_on_the_host(mann_whitney),
        lambda p, n: Floor(8.0 * (p + n), words="read and write once"),
        tolerance=2e-6,
        peers=("torch, chunked pairs",),
    ),
    Case(
        "label-mask",
        (16_384, 8),
        (64, 8),
        draw_batch,
        label_mask,
        same_as_on_the_host(label_mask),
        lambda n, d: Floor(3 * n * n, words="write the three masks once"),
        peers=("torch, equality",),
    ),
    Case(
        "semihard-mask-bits",
        (16_384, 512),
        (64, 16),
        draw_batch,
        hard_mask,
        same_as_on_the_host(hard_mask),
        lambda n, d: Floor(n * n / 8, 2.0 * n * n * d, "float32", "the products in float32"),
    ),
)
