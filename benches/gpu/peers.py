"""How other libraries do the same on a GPU: one recipe each, as their documentation has it. All are optional."""

from collections.abc import Callable
from typing import Any

Recipe = Callable[[dict[str, Any]], Callable[[], Any]]
RECIPES: dict[tuple[str, str], Recipe] = {}

COLUMNS_AT_A_TIME = 1 << 17
"""Columns whose scores a chunked search holds at a time."""


def recipe(peer: str, *cases: str) -> Callable[[Recipe], Recipe]:
    """Enter a recipe: it takes the arrays of CuPy and returns the function that is timed."""

    def enter(function: Recipe) -> Recipe:
        RECIPES.update({(peer, case): function for case in cases})
        return function

    return enter


def as_torch(arrays: dict[str, Any]) -> dict[str, Any]:
    """View arrays as tensors of the same memory."""
    import torch

    def view(array: Any) -> Any:
        if array.dtype.name == "bfloat16":
            return torch.from_dlpack(array.view("int16")).view(torch.bfloat16)
        return torch.from_dlpack(array)

    return {name: view(array) for name, array in arrays.items()}


@recipe("torch, sort", "auc-float32", "auc-bfloat16")
def torch_auc(arrays: dict[str, Any]) -> Callable[[], Any]:
    """Ranks by one sort; ties are ignored, which suits it."""
    import torch

    tensors = as_torch(arrays)

    def call() -> Any:
        order = torch.argsort(tensors["scores"])
        labels = tensors["labels"][order]
        below = torch.cumsum(~labels, 0)
        positives = labels.sum()
        return (below * labels).sum() / (positives * (len(labels) - positives))

    return call


@recipe("torchmetrics", "auc-float32", "auc-bfloat16")
def torchmetrics_auc(arrays: dict[str, Any]) -> Callable[[], Any]:
    """It squashes scores outside of [0, 1] with a sigmoid."""
    from torchmetrics.functional.classification import binary_auroc

    tensors = as_torch(arrays)
    return lambda: binary_auroc(tensors["scores"], tensors["labels"].long())


@recipe("cupy, argsort", "auc-float32")
def cupy_auc(arrays: dict[str, Any]) -> Callable[[], Any]:
    """What one writes without a library."""
    import cupy

    def call() -> Any:
        labels = arrays["labels"][cupy.argsort(arrays["scores"])]
        below = cupy.cumsum(~labels)
        positives = labels.sum()
        return (below * labels).sum() / (positives * (len(labels) - positives))

    return call


@recipe("torch, mm + topk", "topk-bfloat16", "topk-float32")
def torch_topk(arrays: dict[str, Any]) -> Callable[[], Any]:
    """Chunks of columns, whose best are merged."""
    import torch

    tensors = as_torch(arrays)
    x, y = tensors["x"], tensors["y"]

    def call() -> Any:
        best, places = torch.full((len(x), 0), 0.0, device=x.device, dtype=x.dtype), None
        for begin in range(0, len(y), COLUMNS_AT_A_TIME):
            scores, found = torch.topk(x @ y[begin : begin + COLUMNS_AT_A_TIME].T, 100)
            found = found + begin
            best = torch.cat([best, scores], 1)
            places = found if places is None else torch.cat([places, found], 1)
            best, order = torch.topk(best, 100)
            places = torch.gather(places, 1, order)
        return best, places

    return call


@recipe("jax, top_k", "topk-bfloat16", "topk-float32")
def jax_topk(arrays: dict[str, Any]) -> Callable[[], Any]:
    """The same with ``jax.lax.top_k``."""
    import jax
    from jax import numpy as jnp

    x, y = jax.dlpack.from_dlpack(arrays["x"]), jax.dlpack.from_dlpack(arrays["y"])

    @jax.jit
    def chunk(x: Any, part: Any) -> Any:
        return jax.lax.top_k(jnp.matmul(x, part.T), 100)

    def call() -> Any:
        parts = [
            (begin, chunk(x, y[begin : begin + COLUMNS_AT_A_TIME])) for begin in range(0, len(y), COLUMNS_AT_A_TIME)
        ]
        scores = jnp.concatenate([part[0] for _, part in parts], 1)
        places = jnp.concatenate([part[1] + begin for begin, part in parts], 1)
        best, order = jax.lax.top_k(scores, 100)
        return jax.block_until_ready((best, jnp.take_along_axis(places, order, 1)))

    return call


@recipe("cupy, argpartition", "topk-float32")
def cupy_topk(arrays: dict[str, Any]) -> Callable[[], Any]:
    """What one writes without a library."""
    import cupy

    x, y = arrays["x"], arrays["y"]

    def call() -> Any:
        best, places = [], []
        for begin in range(0, len(y), COLUMNS_AT_A_TIME):
            scores = x @ y[begin : begin + COLUMNS_AT_A_TIME].T
            found = cupy.argpartition(scores, -100, axis=1)[:, -100:]
            best.append(cupy.take_along_axis(scores, found, 1))
            places.append(found + begin)
        best, places = cupy.concatenate(best, 1), cupy.concatenate(places, 1)
        order = cupy.argsort(-best, axis=1)[:, :100]
        return cupy.take_along_axis(best, order, 1), cupy.take_along_axis(places, order, 1)

    return call


@recipe("torch, cross_entropy", "info-nce-float32")
def torch_info_nce(arrays: dict[str, Any]) -> Callable[[], Any]:
    """The whole matrix of similarities, value and gradients."""
    import torch
    from torch.nn import functional

    tensors = as_torch(arrays)
    x, y = (tensors[name].detach().requires_grad_() for name in "xy")
    target = torch.arange(len(x), device=x.device)

    def call() -> Any:
        logits = functional.normalize(x) @ functional.normalize(y).T / 0.07
        loss = functional.cross_entropy(logits, target)
        return (loss, *torch.autograd.grad(loss, (x, y)))

    return call


@recipe("torch, padded lists", "ranknet-10k-lists")
def torch_ranknet(arrays: dict[str, Any]) -> Callable[[], Any]:
    """All lists as one array, all pairs of each."""
    import torch
    from torch.nn import functional

    tensors = as_torch(arrays)
    length = int(arrays["offsets"][1])
    scores = tensors["scores"].view(-1, length).detach().requires_grad_()
    grades = tensors["relevance"].view(-1, length)

    def call() -> Any:
        better = grades[:, :, None] > grades[:, None, :]
        losses = functional.softplus(scores[:, None, :] - scores[:, :, None])
        loss = torch.where(better, losses, 0.0).sum() / better.sum()
        return loss, torch.autograd.grad(loss, scores)[0]

    return call


@recipe("torch, chunked pairs", "mann-whitney-logistic")
def torch_mann_whitney(arrays: dict[str, Any]) -> Callable[[], Any]:
    """Pairs in chunks, whose gradients are added up."""
    import torch
    from torch.nn import functional

    tensors = as_torch(arrays)
    pos, neg = (tensors[name].detach().requires_grad_() for name in ("pos", "neg"))

    def call() -> Any:
        total, slope = 0.0, torch.zeros_like(neg)
        slopes = []
        for part in pos.split(256):
            loss = functional.softplus(neg[None, :] - part[:, None]).sum() / (len(pos) * len(neg))
            own, other = torch.autograd.grad(loss, (part, neg))
            total, slope = total + loss.detach(), slope + other
            slopes.append(own)
        return total, torch.cat(slopes), slope

    return call


@recipe("torch, equality", "label-mask")
def torch_mask(arrays: dict[str, Any]) -> Callable[[], Any]:
    """Equal labels, without the diagonal."""
    labels = as_torch(arrays)["labels"]
    return lambda: (labels[:, None] == labels[None, :]).fill_diagonal_(False)
