"""Contrastive losses on embeddings, with their gradients: what is timed, beside which packages, what is required."""

from collections.abc import Callable

import adapters_contrastive as truths
import numpy as np
from adapters import Answer
from adapters_contrastive import MNRL, PML, PML_SUPCON, TEMPERATURE, TORCH, call_fastpair
from answers import GRADIENTS
from benchmarks.contrastive import CLASSES, NOISE, Batch, make_batch, make_classes
from cases import Case, Job, MemoryCase, Suite, Target, faster

THREADS = 2


def loss_case(
    task: str,
    title: str,
    shape: tuple[int, int],
    peers: dict[str, Target | None],
    truth: Callable[[Batch], Answer],
    make: Callable[[int, int], Batch] = make_batch,
) -> Case:
    """One loss on two threads, whose answer is compared with float64."""
    rows, width = shape
    return Case(
        f"{task.replace('_', '-')}-{rows}x{width}",
        f"{title}, d = {width}, float32, {THREADS} threads",
        task,
        lambda rows: make(rows, width),
        rows,
        ("fastpair", *peers),
        {name: target for name, target in peers.items() if target},
        THREADS,
        GRADIENTS,
        truth,
        quick=1_000,
    )


def info_nce_case(shape: tuple[int, int], peers: dict[str, Target | None]) -> Case:
    return loss_case("info_nce", "InfoNCE, {n:,} queries and as many passages", shape, peers, truths.true_info_nce)


CASES: tuple[Case, ...] = (
    info_nce_case((1_000, 256), {TORCH: None, MNRL: None}),
    info_nce_case((8_192, 256), {TORCH: faster(2.1), MNRL: faster(3.2)}),
    info_nce_case((8_192, 768), {TORCH: faster(1.4), MNRL: faster(2.2)}),
    info_nce_case((32_768, 256), {TORCH: faster(3.9)}),
    loss_case("clip", "CLIP, both directions, {n:,} pairs", (8_192, 256), {TORCH: faster(3.5)}, truths.true_clip),
    loss_case(
        "supcon",
        f"SupCon, {{n:,}} rows of {CLASSES} classes",
        (4_096, 128),
        {TORCH: faster(6), PML: faster(12)},
        truths.true_supcon,
        make_classes,
    ),
    loss_case(
        "nt_xent",
        "NT-Xent, two views of {n:,}",
        (256, 128),
        {TORCH: faster(1), PML: faster(600), PML_SUPCON: None},
        truths.true_nt_xent,
    ),
    loss_case("siglip", "SigLIP, {n:,} pairs", (8_192, 256), {TORCH: None}, truths.true_siglip),
)

ROOM, CAP = 64 << 20, 2 << 30


def memory_case(task: str, shape: tuple[int, int], room: int, make: Callable[[int, int], Batch]) -> MemoryCase:
    """One call on two threads, and what it may take beyond its gradients."""
    rows, width = shape

    def prepare(rows: int) -> Job:
        data = make(rows, width)
        counted = sum(np.asarray(array).nbytes for array in (data.x, data.y) if array is not None)
        return Job(lambda: call_fastpair(task, data, num_threads=THREADS), counted, counted + room)

    name = task.replace("_", "-")
    return MemoryCase(f"memory-{name}-{rows}x{width}", f"{task}, {{n:,}} rows, d = {width}", prepare, rows, quick=1_000)


MEMORY_CASES: tuple[MemoryCase, ...] = (
    memory_case("info_nce", (32_768, 256), ROOM, make_batch),
    memory_case("info_nce", (65_536, 512), CAP, make_batch),
    memory_case("clip", (8_192, 256), ROOM, make_batch),
    memory_case("supcon", (4_096, 128), ROOM, make_classes),
    memory_case("siglip", (8_192, 256), ROOM, make_batch),
)

NOTES = f"""\
- Every call computes the value and the gradients of the embeddings, as means over rows. Both are compared with those
  of a float64 computation in numpy, each relative to its largest entry: `same` means within {truths.TOLERANCE:g}, also
  for fastpair.
- Rows are gaussian and of length one; what belongs together is moved by noise of {NOISE:g} lengths, so that its cosine
  is about 0.55. All take cosines and divide them by {TEMPERATURE:g}; SigLIP has scale {truths.SCALE:g} and bias
  {truths.BIAS:g}.
- `torch` is the formula over the whole matrix: `cross_entropy` of `normalize(x) @ normalize(y).T / temperature`, the
  same of the transpose for CLIP, masks of the positives for SupCon, `logsigmoid` for SigLIP; the gradients are those of
  autograd. The masks of NT-Xent and the signs of SigLIP are made before, which is not timed.
- `sentence-transformers` is its `MultipleNegativesRankingLoss`, given embeddings instead of a model.
- `pytorch-metric-learning` is its `SupConLoss` and its `NTXentLoss`. The latter leaves other positives out of the
  denominator; with two views there are none, and all compute the same.
- There is a pause of 50 ms before each turn, in which the threads of the one before fall asleep.
"""

MEMORY_NOTES = f"""\
One call on two threads, value and gradients: `counted` are the bytes of the gradients, and {ROOM >> 20} MiB beyond them
are allowed, {CAP >> 30} GiB for the largest. The matrix of 32,768 x 32,768 pairs has 4 GiB in float32, and a framework
holds three of it or more.
"""

SUITE = Suite("Contrastive", CASES, MEMORY_CASES, NOTES, MEMORY_NOTES)
