"""The packages that losses are timed beside, and the tasks; each answers with the value and all gradients.

The tasks are "logistic" and "squared_hinge" (the mean over all pairs of a positive and a negative), "soft_rank" (the
ranks, and the gradient from derivatives by them), "ranknet" (the mean over pairs), "lambda_rank" (the sum over
pairs, in bits), "list_mle" (the mean over lists) and "bpr" (the mean over aligned pairs). Threads are set by `timing`.
"""

from collections.abc import Callable, Iterator
from typing import Any

import fastpair
import numpy as np
from adapters import Answer, adapter
from benchmarks.data import Array
from benchmarks.lists import Lists, Pairs

# Pairs of scores that recipes over all pairs hold at a time: 2 MiB of float64, which stay in the cache of a core.
CELLS = 1 << 18
# Lists that recipes on padded lists take at a time.
BATCH = 500
TEMPERATURE = 0.1

TORCH, CHUNKED, ALLRANK = "torch", "torch in chunks", "allRank, padded"

# fastpair.


def flat(answer: tuple[Any, Any]) -> Answer:
    """Value and gradients in one tuple."""
    value, gradients = answer
    return (value, *gradients)


def call_pairs(surrogate: str) -> Callable[[Pairs], Callable[[], Answer]]:
    def build(data: Pairs) -> Callable[[], Answer]:
        return lambda: flat(
            fastpair.losses.mann_whitney(pos=data.pos, neg=data.neg, surrogate=surrogate, return_grad=True)
        )

    return build


adapter("logistic", "fastpair")(call_pairs("logistic"))
adapter("squared_hinge", "fastpair")(call_pairs("squared_hinge"))


def derivatives(scores: Array) -> Array:
    """What a loss on the ranks might send back; equal ones would cancel out."""
    return np.linspace(-1, 1, len(scores))


@adapter("soft_rank", "fastpair")
def fastpair_soft_rank(scores: Array) -> Callable[[], Answer]:
    upstream = derivatives(scores)

    def run() -> Answer:
        ranks = fastpair.losses.soft_rank(scores, temperature=TEMPERATURE)
        return ranks, fastpair.losses.soft_rank_vjp(scores, upstream, temperature=TEMPERATURE)

    return run


def call_lists(name: str, **options: Any) -> None:
    """Register a loss on lists."""

    def build(data: Lists) -> Callable[[], Answer]:
        loss = getattr(fastpair.losses, name)
        return lambda: flat(loss(data.scores, data.relevance, offsets=data.offsets, return_grad=True, **options))

    adapter(name, "fastpair")(build)


call_lists("ranknet")
call_lists("lambda_rank", compat="allrank", reduction="sum")
call_lists("list_mle")


@adapter("bpr", "fastpair")
def fastpair_bpr(data: Pairs) -> Callable[[], Answer]:
    return lambda: flat(fastpair.losses.bpr(data.pos, data.neg, return_grad=True))


# All pairs.


def chunks(rows: int, width: int) -> Iterator[slice]:
    """Ranges of rows whose pairs with so many others fit the cells."""
    step = max(1, CELLS // width)
    return (slice(begin, begin + step) for begin in range(0, rows, step))


@adapter("logistic", CHUNKED, package="torch")
def torch_logistic(data: Pairs) -> Callable[[], Answer]:
    """Autograd over a few positives at a time."""
    import torch
    from torch.nn.functional import softplus

    pos, neg = torch.from_numpy(data.pos), torch.from_numpy(data.neg)

    def run() -> Answer:
        leaves = pos.detach().requires_grad_(), neg.detach().requires_grad_()
        pairs, value = len(pos) * len(neg), 0.0
        for part in chunks(len(pos), len(neg)):
            loss = softplus(leaves[1] - leaves[0][part, None]).sum() / pairs
            loss.backward()
            value += loss.item()
        return value, *(leaf.grad.numpy() for leaf in leaves)

    return run


@adapter("logistic", "numba treecode", package="numba")
def numba_logistic(data: Pairs) -> Callable[[], Answer]:
    """One thread; compiled by the first call, which is not timed."""
    from numba_pairs import logistic

    return lambda: logistic(data.pos, data.neg)


@adapter("logistic", "np.sort of the scores (a floor)")
def sort_of_scores(data: Pairs) -> Callable[[], Answer]:
    """No loss: what sorting alone costs, of an array that holds both classes."""
    scores = np.concatenate([data.pos, data.neg])

    def run() -> None:
        np.sort(scores)

    return run


@adapter("squared_hinge", "numba brute force, 2 threads", package="numba")
def numba_squared_hinge(data: Pairs) -> Callable[[], Answer]:
    """Every pair, in vector instructions."""
    from numba_pairs import squared_hinge

    return lambda: squared_hinge(data.pos, data.neg)


@adapter("soft_rank", CHUNKED, package="torch")
def torch_soft_rank(scores: Array) -> Callable[[], Answer]:
    """Autograd over a few ranks at a time."""
    import torch

    whole, upstream = torch.from_numpy(scores), torch.from_numpy(derivatives(scores))

    def run() -> Answer:
        leaf, ranks = whole.detach().requires_grad_(), torch.empty_like(whole)
        for part in chunks(len(whole), len(whole)):
            some = 0.5 + torch.sigmoid((leaf - leaf[part, None]) / TEMPERATURE).sum(1)
            (some * upstream[part]).sum().backward()
            ranks[part] = some.detach()
        return ranks.numpy(), leaf.grad.numpy()

    return run


# Lists. Those of the benchmarks have one length, so that padding them costs nothing.

Loss = Callable[[Any, Any], Any]


def in_batches(loss: Loss, data: Lists, denominator: float, batch: int = BATCH) -> Callable[[], Answer]:
    """Sum a loss and its gradient over batches of padded lists, and divide by a number that is known."""
    import torch

    shape = (-1, data.length)
    scores, relevance = (torch.from_numpy(array).reshape(shape) for array in (data.scores, data.relevance))

    def run() -> Answer:
        leaf, value = scores.detach().requires_grad_(), 0.0
        for begin in range(0, len(scores), batch):
            part = loss(leaf[begin : begin + batch], relevance[begin : begin + batch]) / denominator
            part.backward()
            value += part.item()
        return value, leaf.grad.numpy().ravel()

    return run


def preferences(data: Lists) -> int:
    """Count the pairs of a list whose grades differ, over all lists."""
    grades = data.relevance.reshape(-1, data.length)
    equal = sum(int(((grades == grade).sum(axis=1) ** 2).sum()) for grade in np.unique(grades))
    return (grades.size * data.length - equal) // 2


@adapter("ranknet", ALLRANK, package="torch", tolerance=1e-5)
def allrank_ranknet(data: Lists) -> Callable[[], Answer]:
    """The formulas of `allrank.models.losses.rankNet`: index pairs from a list, then those that count."""
    from itertools import product

    import torch
    from torch.nn.functional import binary_cross_entropy_with_logits

    def loss(scores: Any, relevance: Any) -> Any:
        scores, relevance = padded(scores, relevance)
        candidates = list(product(range(relevance.shape[1]), repeat=2))
        pairs, chosen = relevance[:, candidates], scores[:, candidates]
        differences = pairs[:, :, 0] - pairs[:, :, 1]
        counts = (differences > 0) & ~torch.isinf(differences)
        logits = (chosen[:, :, 0] - chosen[:, :, 1])[counts]
        targets = (differences > 0).type(torch.float32)[counts]
        return binary_cross_entropy_with_logits(logits, targets, reduction="sum")

    return in_batches(loss, data, preferences(data))


def padded(scores: Any, relevance: Any) -> tuple[Any, Any]:
    """Take out the places without an item, which have the relevance -1."""
    scores, relevance = scores.clone(), relevance.clone()
    empty = relevance == -1
    scores[empty], relevance[empty] = float("-inf"), float("-inf")
    return scores, relevance


@adapter("ranknet", TORCH, package="torch", tolerance=1e-5)
def torch_ranknet(data: Lists) -> Callable[[], Answer]:
    """All pairs of a list in a matrix."""
    from torch.nn.functional import softplus

    def loss(scores: Any, relevance: Any) -> Any:
        counts = relevance[:, :, None] > relevance[:, None, :]
        return (softplus(scores[:, None, :] - scores[:, :, None]) * counts).sum()

    return in_batches(loss, data, preferences(data))


@adapter("lambda_rank", ALLRANK, package="torch", tolerance=1e-5)
def allrank_lambda_rank(data: Lists) -> Callable[[], Answer]:
    """The formulas of `allrank.models.losses.lambdaLoss` with `lambdaRank_scheme`, in float32."""
    import torch

    tiny = 1e-10

    def loss(scores: Any, relevance: Any) -> Any:
        scores, relevance = padded(scores, relevance)
        ordered, order = scores.sort(descending=True, dim=-1)
        ideal, _ = relevance.sort(descending=True, dim=-1)
        grades = torch.gather(relevance, 1, order)
        differences = grades[:, :, None] - grades[:, None, :]
        counts = torch.isfinite(differences) & (differences > 0)
        within_cut = torch.ones(counts.shape[1:], dtype=torch.bool)
        grades.clamp_(min=0.0)
        ideal.clamp_(min=0.0)
        discounts = torch.log2(1.0 + torch.arange(1, scores.shape[1] + 1).float())[None, :]
        best = ((torch.pow(2, ideal) - 1) / discounts).sum(-1).clamp(min=tiny)
        gains = (torch.pow(2, grades) - 1) / best[:, None]
        inverse = torch.pow(discounts[:, :, None], -1.0) - torch.pow(discounts[:, None, :], -1.0)
        weights = inverse.abs() * (gains[:, :, None] - gains[:, None, :]).abs()
        gaps = (ordered[:, :, None] - ordered[:, None, :]).clamp(min=-1e8, max=1e8)
        gaps = gaps.masked_fill(torch.isnan(gaps), 0.0)
        chances = (torch.sigmoid(gaps).clamp(min=tiny) ** weights).clamp(min=tiny)
        return -torch.log2(chances)[counts & within_cut].sum()

    return in_batches(loss, data, 1.0)


@adapter("lambda_rank", TORCH, package="torch", tolerance=1e-5)
def torch_lambda_rank(data: Lists) -> Callable[[], Answer]:
    """All pairs of a list in a matrix, whose weights need no gradient."""
    import torch
    from torch.nn.functional import softplus

    discounts = 1 / torch.log2(torch.arange(2.0, data.length + 2))

    def weigh(scores: Any, relevance: Any) -> Any:
        gains = torch.exp2(relevance) - 1
        best = (gains.sort(dim=-1, descending=True).values * discounts).sum(-1)
        places = discounts[scores.argsort(dim=-1, descending=True).argsort(dim=-1)]
        change = (gains[:, :, None] - gains[:, None, :]) * (places[:, :, None] - places[:, None, :])
        counts = relevance[:, :, None] > relevance[:, None, :]
        return change.abs() * counts / best[:, None, None].clamp(min=1e-10)

    def loss(scores: Any, relevance: Any) -> Any:
        with torch.no_grad():
            weights = weigh(scores, relevance)
        return (softplus(scores[:, None, :] - scores[:, :, None]) * weights).sum() / np.log(2)

    return in_batches(loss, data, 1.0)


@adapter("list_mle", ALLRANK, package="torch", tolerance=1e-5)
def allrank_list_mle(data: Lists) -> Callable[[], Answer]:
    """The formulas of `allrank.models.losses.listMLE`, which orders equal grades at random."""
    import torch

    def loss(scores: Any, relevance: Any) -> Any:
        shuffled = torch.randperm(scores.shape[-1])
        scores, relevance = scores[:, shuffled], relevance[:, shuffled]
        ideal, order = relevance.sort(descending=True, dim=-1)
        empty = ideal == -1
        ordered = torch.gather(scores, 1, order)
        ordered[empty] = float("-inf")
        shifted = ordered - ordered.max(dim=1, keepdim=True).values
        tails = torch.cumsum(shifted.exp().flip(dims=[1]), dim=1).flip(dims=[1])
        steps = torch.log(tails + 1e-10) - shifted
        steps[empty] = 0.0
        return steps.sum()

    return in_batches(loss, data, len(data.offsets) - 1)


@adapter("list_mle", TORCH, package="torch", tolerance=1e-5)
def torch_list_mle(data: Lists) -> Callable[[], Answer]:
    """All lists at once."""
    import torch

    def loss(scores: Any, relevance: Any) -> Any:
        ordered = torch.gather(scores, 1, relevance.argsort(dim=-1, descending=True))
        return (torch.logcumsumexp(ordered.flip(1), 1).flip(1) - ordered).sum()

    lists = len(data.offsets) - 1
    return in_batches(loss, data, lists, batch=lists)


# Aligned pairs.


@adapter("bpr", TORCH, package="torch", tolerance=1e-5)
def torch_bpr(data: Pairs) -> Callable[[], Answer]:
    from torch import from_numpy
    from torch.nn.functional import softplus

    pos, neg = from_numpy(data.pos), from_numpy(data.neg)

    def run() -> Answer:
        leaves = pos.detach().requires_grad_(), neg.detach().requires_grad_()
        loss = softplus(leaves[1] - leaves[0]).mean()
        loss.backward()
        return loss.item(), *(leaf.grad.numpy() for leaf in leaves)

    return run
