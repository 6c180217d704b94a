"""The packages that contrastive losses are timed beside, and the tasks; each answers with the value and all gradients.

All are means over rows of float32, of cosines divided by one temperature. The tasks are "info_nce" (one direction, the
positives on the diagonal), "clip" (both directions, averaged), "supcon" (rows of one label are positives), "nt_xent"
(two views, each the other's positive, all others negatives) and "siglip" (a sigmoid for each pair). Threads are set by
`timing`.
"""

from collections.abc import Callable
from typing import Any

import fastpair
import numpy as np
from adapters import Answer, adapter
from benchmarks.contrastive import Batch
from benchmarks.data import Array

TEMPERATURE = 0.07
# What `siglip` starts from in its paper.
SCALE, BIAS = 10.0, -10.0

TORCH, MNRL, PML = "torch", "sentence-transformers", "pytorch-metric-learning"
PML_SUPCON = "pytorch-metric-learning, SupConLoss"

# The largest difference of float32 gradients that is no mismatch.
TOLERANCE = 1e-5
# Pairs that the truth holds at a time, in float64.
CELLS = 1 << 22

# fastpair. Each entry says how a loss is called on a batch, and which gradients it answers with.

CALLS: dict[str, tuple[Callable[..., Any], tuple[str, ...]]] = {
    "info_nce": (
        lambda data, **options: fastpair.losses.info_nce(data.x, data.y, temperature=TEMPERATURE, **options),
        ("x", "y"),
    ),
    "clip": (
        lambda data, **options: fastpair.losses.clip(data.x, data.y, temperature=TEMPERATURE, **options),
        ("x", "y"),
    ),
    "supcon": (
        lambda data, **options: fastpair.losses.supcon(data.x, data.labels, temperature=TEMPERATURE, **options),
        ("features",),
    ),
    "nt_xent": (
        lambda data, **options: fastpair.losses.nt_xent(data.x, data.y, temperature=TEMPERATURE, **options),
        ("z1", "z2"),
    ),
    "siglip": (
        lambda data, **options: fastpair.losses.siglip(data.x, data.y, scale=SCALE, bias=BIAS, **options),
        ("x", "y"),
    ),
}


def call_fastpair(task: str, data: Batch, **options: Any) -> Answer:
    """Value and gradients of one loss, in one tuple."""
    function, names = CALLS[task]
    value, gradients = function(data, return_grad=True, **options)
    return value, *(getattr(gradients, name) for name in names)


def register(task: str) -> None:
    def build(data: Batch) -> Callable[[], Answer]:
        return lambda: call_fastpair(task, data)

    adapter(task, "fastpair", tolerance=TOLERANCE)(build)


for _task in CALLS:
    register(_task)

# torch.


def by_autograd(loss: Callable[..., Any], *arrays: Array | None) -> Callable[[], Answer]:
    """Value and gradients of a function of tensors."""
    import torch

    tensors = [torch.from_numpy(array) for array in arrays if array is not None]

    def run() -> Answer:
        leaves = [tensor.detach().requires_grad_() for tensor in tensors]
        value = loss(*leaves)
        value.backward()
        return value.item(), *(leaf.grad.numpy() for leaf in leaves)

    return run


@adapter("info_nce", TORCH, package="torch", tolerance=TOLERANCE)
def torch_info_nce(data: Batch) -> Callable[[], Answer]:
    """Cross-entropy of the matrix of cosines."""
    import torch
    from torch.nn.functional import cross_entropy, normalize

    targets = torch.arange(len(data.x))
    return by_autograd(lambda x, y: cross_entropy(normalize(x) @ normalize(y).T / TEMPERATURE, targets), data.x, data.y)


@adapter("clip", TORCH, package="torch", tolerance=TOLERANCE)
def torch_clip(data: Batch) -> Callable[[], Answer]:
    """Cross-entropy of the matrix of cosines and of its transpose, as `ClipLoss` of open_clip."""
    import torch
    from torch.nn.functional import cross_entropy, normalize

    targets = torch.arange(len(data.x))

    def loss(x: Any, y: Any) -> Any:
        logits = normalize(x) @ normalize(y).T / TEMPERATURE
        return (cross_entropy(logits, targets) + cross_entropy(logits.T, targets)) / 2

    return by_autograd(loss, data.x, data.y)


@adapter("supcon", TORCH, package="torch", tolerance=TOLERANCE)
def torch_supcon(data: Batch) -> Callable[[], Answer]:
    """Masks of the positives and of the own row, as in the code of the paper's authors."""
    import torch
    from torch.nn.functional import normalize

    labels = torch.from_numpy(data.labels)

    def loss(x: Any) -> Any:
        x = normalize(x)
        logits = x @ x.T / TEMPERATURE
        logits = logits - logits.max(dim=1, keepdim=True).values.detach()
        others = 1 - torch.eye(len(x))
        positives = (labels[:, None] == labels).float() * others
        log_shares = logits - torch.log((torch.exp(logits) * others).sum(1, keepdim=True))
        return -((positives * log_shares).sum(1) / positives.sum(1)).mean()

    return by_autograd(loss, data.x)


@adapter("nt_xent", TORCH, package="torch", tolerance=TOLERANCE)
def torch_nt_xent(data: Batch) -> Callable[[], Answer]:
    """Cross-entropy of the cosines of both views together, without the diagonal."""
    import torch
    from torch.nn.functional import cross_entropy, normalize

    count = len(data.x)
    targets = torch.arange(2 * count).roll(count)
    own = torch.eye(2 * count, dtype=torch.bool)

    def loss(x: Any, y: Any) -> Any:
        rows = normalize(torch.cat([x, y]))
        return cross_entropy((rows @ rows.T / TEMPERATURE).masked_fill(own, -torch.inf), targets)

    return by_autograd(loss, data.x, data.y)


@adapter("siglip", TORCH, package="torch", tolerance=TOLERANCE)
def torch_siglip(data: Batch) -> Callable[[], Answer]:
    """The sigmoid of all pairs, as `SigLipLoss` of open_clip."""
    import torch
    from torch.nn.functional import logsigmoid, normalize

    signs = 2 * torch.eye(len(data.x)) - 1

    def loss(x: Any, y: Any) -> Any:
        return -logsigmoid(signs * (normalize(x) @ normalize(y).T * SCALE + BIAS)).sum() / len(x)

    return by_autograd(loss, data.x, data.y)


# Packages of losses.


@adapter("info_nce", MNRL, package="sentence-transformers", tolerance=TOLERANCE)
def mnrl_info_nce(data: Batch) -> Callable[[], Answer]:
    """`MultipleNegativesRankingLoss` on embeddings, without a model."""
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

    criterion = MultipleNegativesRankingLoss(model=None, scale=1 / TEMPERATURE)
    return by_autograd(lambda x, y: criterion.compute_loss_from_embeddings([x, y], None), data.x, data.y)


def pml_supcon(rows: Callable[..., Any], labels: Array, *arrays: Array | None) -> Callable[[], Answer]:
    """`SupConLoss` of rows made of some arrays."""
    import torch
    from pytorch_metric_learning.losses import SupConLoss

    criterion, classes = SupConLoss(temperature=TEMPERATURE), torch.from_numpy(labels)
    return by_autograd(lambda *leaves: criterion(rows(*leaves), classes), *arrays)


@adapter("supcon", PML, package="pytorch-metric-learning", tolerance=TOLERANCE)
def pml_supcon_of_classes(data: Batch) -> Callable[[], Answer]:
    assert data.labels is not None
    return pml_supcon(lambda x: x, data.labels, data.x)


def both_views(count: int) -> Array:
    """A label for each pair of views."""
    return np.tile(np.arange(count), 2)


@adapter("nt_xent", PML, package="pytorch-metric-learning", tolerance=TOLERANCE)
def pml_nt_xent(data: Batch) -> Callable[[], Answer]:
    """`NTXentLoss`, which is the same where each row has one positive."""
    import torch
    from pytorch_metric_learning.losses import NTXentLoss

    criterion, labels = NTXentLoss(temperature=TEMPERATURE), torch.from_numpy(both_views(len(data.x)))
    return by_autograd(lambda x, y: criterion(torch.cat([x, y]), labels), data.x, data.y)


@adapter("nt_xent", PML_SUPCON, package="pytorch-metric-learning", tolerance=TOLERANCE)
def pml_supcon_of_views(data: Batch) -> Callable[[], Answer]:
    """The loss of the same package that is equal here, and takes less."""
    import torch

    return pml_supcon(lambda x, y: torch.cat([x, y]), both_views(len(data.x)), data.x, data.y)


# The truth: numpy in float64, some rows at a time, by the formulas of softmax and sigmoid.


def unit(rows: Array) -> tuple[Array, Array]:
    """Rows of length one, and their lengths before."""
    wide = rows.astype(np.float64)
    lengths = np.linalg.norm(wide, axis=1, keepdims=True)
    return wide / lengths, lengths


def along(gradient: Array, rows: Array, lengths: Array) -> Array:
    """Take a gradient in rows of length one back to those before."""
    return (gradient - (gradient * rows).sum(1, keepdims=True) * rows) / lengths


def streamed(x: Array, y: Array, slope: Callable[[Array, Array], tuple[float, Array]]) -> tuple[float, Array, Array]:
    """Add up a loss over blocks of cosines; `slope` takes a block and its rows, returns their loss and its slope."""
    value, of_x, of_y = 0.0, np.zeros_like(x), np.zeros_like(y)
    step = max(1, CELLS // len(y))
    for begin in range(0, len(x), step):
        rows = np.arange(begin, min(begin + step, len(x)))
        loss, slopes = slope(x[rows] @ y.T, rows)
        value += loss
        of_x[rows] = slopes @ y
        of_y += slopes.T @ x[rows]
    return value, of_x, of_y


def softmax_slope(
    positives: Callable[[Array], Array], own: bool = False
) -> Callable[[Array, Array], tuple[float, Array]]:
    """Cross-entropy with equal shares of the positives of each row, which a mask names; `own`: without the diagonal."""

    def slope(cosines: Array, rows: Array) -> tuple[float, Array]:
        places, targets = np.arange(len(rows)), positives(rows)
        logits = cosines / TEMPERATURE
        if own:
            logits[places, rows] = -np.inf
        top = logits.max(1, keepdims=True)
        shares = np.exp(logits - top)
        total = shares.sum(1, keepdims=True)
        targets = targets / targets.sum(1, keepdims=True)
        wanted = np.where(targets > 0, logits, 0.0) * targets
        value = (np.log(total) + top).sum() - wanted.sum()
        return float(value), (shares / total - targets) / TEMPERATURE

    return slope


def diagonal(columns: int) -> Callable[[Array], Array]:
    return lambda rows: rows[:, None] == np.arange(columns)


def true_info_nce(data: Batch) -> Answer:
    assert data.y is not None
    (x, of_x), (y, of_y), count = unit(data.x), unit(data.y), len(data.x)
    value, grad_x, grad_y = streamed(x, y, softmax_slope(diagonal(count)))
    return value / count, along(grad_x, x, of_x) / count, along(grad_y, y, of_y) / count


def true_clip(data: Batch) -> Answer:
    assert data.y is not None
    first, x, y = true_info_nce(data)
    second, y_too, x_too = true_info_nce(Batch(data.y, data.x))
    return (first + second) / 2, (x + x_too) / 2, (y + y_too) / 2


def true_self(rows: Array, positives: Callable[[Array], Array]) -> tuple[float, Array]:
    """Cross-entropy of rows among themselves, without the own row."""
    (x, lengths), count = unit(rows), len(rows)
    value, one, other = streamed(x, x, softmax_slope(positives, own=True))
    return value / count, along(one + other, x, lengths) / count


def true_supcon(data: Batch) -> Answer:
    labels = data.labels
    assert labels is not None
    return true_self(data.x, lambda rows: (labels[rows, None] == labels) & (rows[:, None] != np.arange(len(labels))))


def true_nt_xent(data: Batch) -> Answer:
    assert data.y is not None
    count = len(data.x)
    others = np.roll(np.arange(2 * count), count)
    value, gradient = true_self(
        np.concatenate([data.x, data.y]), lambda rows: others[rows, None] == np.arange(2 * count)
    )
    return value, gradient[:count], gradient[count:]


def true_siglip(data: Batch) -> Answer:
    assert data.y is not None
    (x, of_x), (y, of_y), count = unit(data.x), unit(data.y), len(data.x)

    def slope(cosines: Array, rows: Array) -> tuple[float, Array]:
        signs = np.where(rows[:, None] == np.arange(count), 1.0, -1.0)
        against = -signs * (SCALE * cosines + BIAS)
        return float(np.logaddexp(0, against).sum()), -SCALE * signs * 0.5 * (1 + np.tanh(against / 2))

    value, grad_x, grad_y = streamed(x, y, slope)
    return value / count, along(grad_x, x, of_x) / count, along(grad_y, y, of_y) / count
