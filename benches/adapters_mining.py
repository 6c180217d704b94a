"""The packages that mining is timed beside, and the tasks.

The tasks are "hard_negatives" (of a corpus, with margins; answers with the indices), "multi_similarity" (pairs of a
batch), "semihard_mask" (packed bits), "batch_hard" (a positive and a negative for each row) and "triplets". Threads are
set by `timing`.
"""

import contextlib
import io
from collections.abc import Callable
from typing import Any

import fastpair
import numpy as np
from adapters import Answer, adapter
from benchmarks.contrastive import Batch
from benchmarks.data import Array
from benchmarks.mining import Corpus
from fastpair import mining

ABS_MARGIN, REL_MARGIN = 0.02, 0.05
EPSILON, MARGIN, TRIPLET_MARGIN = 0.1, 0.1, 0.05

ST_TORCH, ST_FAISS = "sentence-transformers", "sentence-transformers, faiss"
TOPK, REDUCE = "fastpair.topk, no rules", "fastpair.similarity.reduce, max"
PML, PRODUCT, TORCH = "pytorch-metric-learning", "numpy, x @ x.T alone", "torch and numpy.packbits"

# Pairs that a truth holds at a time, in float64.
CELLS = 1 << 22

# Negatives of a corpus.


@adapter("hard_negatives", "fastpair")
def fastpair_hard_negatives(data: Corpus) -> Callable[[], Answer]:
    """One call, with the margins inside of the search."""
    return lambda: mine(data).indices


def mine(data: Corpus, **options: Any) -> Any:
    return mining.hard_negatives(
        data.queries,
        data.corpus,
        data.positives,
        k=data.k,
        abs_margin=ABS_MARGIN,
        rel_margin=REL_MARGIN,
        **options,
    )


@adapter("hard_negatives", TOPK)
def fastpair_topk(data: Corpus) -> Callable[[], Answer]:
    """The search of the same size, whose answer is another."""

    def run() -> None:
        fastpair.topk(data.queries, data.corpus, data.k)

    return run


class Stored:
    """The part of a model that the miner needs; its embeddings are there."""

    device = "cpu"

    def __init__(self, data: Corpus) -> None:
        from sentence_transformers import util

        self._data = data
        self.similarity, self.similarity_pairwise = util.cos_sim, util.pairwise_cos_sim

    def encode_query(self, texts: list[str], **options: Any) -> Array:
        assert len(texts) == len(self._data.queries)
        return self._data.queries

    def encode_document(self, texts: list[str], **options: Any) -> Array:
        assert len(texts) == len(self._data.corpus)
        return self._data.corpus

    def get_embedding_dimension(self) -> int:
        return self._data.corpus.shape[1]


def call_sentence_transformers(data: Corpus, use_faiss: bool) -> Callable[[], Answer]:
    """Texts are numbers, so that the answer can be compared; rows with fewer negatives are not in it."""
    from datasets import Dataset
    from sentence_transformers.util import mine_hard_negatives

    if use_faiss:
        import faiss  # noqa: F401
    passages = [str(row) for row in range(len(data.corpus))]
    pairs = Dataset.from_dict(
        {
            "query": [f"query {row}" for row in range(len(data.queries))],
            "answer": [passages[row] for row in data.positives],
        }
    )

    def run() -> Answer:
        with contextlib.redirect_stderr(io.StringIO()):
            mined = mine_hard_negatives(
                pairs,
                Stored(data),
                corpus=passages,
                absolute_margin=ABS_MARGIN,
                relative_margin=REL_MARGIN,
                num_negatives=data.k,
                output_format="n-tuple",
                use_faiss=use_faiss,
                verbose=False,
            )
        found = np.full((len(data.queries), data.k), -1, np.int64)
        rows = [int(text.split()[1]) for text in mined["query"]]
        for place in range(data.k):
            found[rows, place] = np.array(mined[f"negative_{place + 1}"], np.int64)
        return found

    return run


@adapter("hard_negatives", ST_TORCH, package="sentence-transformers")
def sentence_transformers(data: Corpus) -> Callable[[], Answer]:
    return call_sentence_transformers(data, use_faiss=False)


@adapter("hard_negatives", ST_FAISS, package="sentence-transformers")
def sentence_transformers_faiss(data: Corpus) -> Callable[[], Answer]:
    return call_sentence_transformers(data, use_faiss=True)


# Pairs of a batch.


@adapter("multi_similarity", "fastpair")
def fastpair_multi_similarity(data: Batch) -> Callable[[], Answer]:
    return lambda: mine_pairs(data)


def mine_pairs(data: Batch, **options: Any) -> Any:
    """Compressed rows of positives and negatives."""
    return mining.multi_similarity_mask(data.x, labels=data.labels, epsilon=EPSILON, format="csr", **options)


def miner(name: str, data: Batch, *arguments: Any) -> Callable[[], Answer]:
    """Build one of the miners of the package with cosines; they answer with coordinates in int64."""
    import torch
    from pytorch_metric_learning import distances, miners

    mine = getattr(miners, name)(*arguments, distance=distances.CosineSimilarity())
    rows, labels = torch.from_numpy(data.x), torch.from_numpy(data.labels)
    return lambda: [part.numpy() for part in mine(rows, labels)]


@adapter("multi_similarity", PML, package="pytorch-metric-learning")
def pml_multi_similarity(data: Batch) -> Callable[[], Answer]:
    return miner("MultiSimilarityMiner", data, EPSILON)


@adapter("batch_hard", "fastpair")
def fastpair_batch_hard(data: Batch) -> Callable[[], Answer]:
    def run() -> Answer:
        found = mining.batch_hard(data.x, labels=data.labels)
        return np.stack([found.positives, found.negatives], axis=1)

    return run


@adapter("batch_hard", PML, package="pytorch-metric-learning")
def pml_batch_hard(data: Batch) -> Callable[[], Answer]:
    """Every row has both."""
    mine = miner("BatchHardMiner", data)
    return lambda: np.stack(mine()[1:], axis=1)


@adapter("triplets", "fastpair")
def fastpair_triplets(data: Batch) -> Callable[[], Answer]:
    return lambda: mining.triplets(data.x, labels=data.labels, kind="semihard", margin=TRIPLET_MARGIN).indices


@adapter("triplets", PML, package="pytorch-metric-learning")
def pml_triplets(data: Batch) -> Callable[[], Answer]:
    mine = miner("TripletMarginMiner", data, TRIPLET_MARGIN, "semihard")
    return lambda: np.stack(mine(), axis=1)


# Semi-hard negatives as packed bits, and products of the same size.


@adapter("semihard_mask", "fastpair")
def fastpair_semihard(data: Batch) -> Callable[[], Answer]:
    return lambda: mine_bits(data)


def mine_bits(data: Batch, **options: Any) -> Array:
    return mining.hard_mask(data.x, labels=data.labels, kind="semihard", margin=MARGIN, format="bits", **options)


@adapter("semihard_mask", REDUCE)
def fastpair_reduce(data: Batch) -> Callable[[], Answer]:
    """The same tiles, of which only the maximum of each row is kept."""

    def run() -> None:
        fastpair.similarity.reduce(data.x, op="max")

    return run


@adapter("semihard_mask", PRODUCT)
def numpy_product(data: Batch) -> Callable[[], Answer]:
    """Rows have length one."""

    def run() -> None:
        data.x @ data.x.T

    return run


@adapter("semihard_mask", TORCH, package="torch")
def torch_semihard(data: Batch) -> Callable[[], Answer]:
    """The matrix, masks of it, and their bits."""
    import torch

    rows, labels = torch.from_numpy(data.x), torch.from_numpy(data.labels)

    def run() -> Answer:
        cosines = rows @ rows.T
        same = labels[:, None] == labels
        reference = cosines.masked_fill(~same, torch.inf).min(dim=1, keepdim=True).values
        kept = ~same & (cosines < reference) & (cosines > reference - MARGIN)
        return np.packbits(kept.numpy(), axis=1)

    return run


# The truth: numpy in float64, some rows at a time.


def blocks(data: Batch) -> Any:
    """Ranges of rows, their cosines with all, and which pairs are positive and negative."""
    wide = data.x.astype(np.float64)
    wide /= np.linalg.norm(wide, axis=1, keepdims=True)
    step = max(1, CELLS // len(wide))
    for begin in range(0, len(wide), step):
        rows = np.arange(begin, min(begin + step, len(wide)))
        same = data.labels[rows, np.newaxis] == data.labels
        positive = same.copy()
        positive[np.arange(len(rows)), rows] = False
        yield rows, wide[rows] @ wide.T, positive, ~same


def true_multi_similarity(data: Batch) -> Answer:
    """Coordinates, as the package has them."""
    found: list[list[Array]] = [[], [], [], []]
    for rows, cosines, positive, negative in blocks(data):
        far = np.where(positive, cosines, np.inf).min(axis=1, keepdims=True)
        near = np.where(negative, cosines, -np.inf).max(axis=1, keepdims=True)
        for place, kept in ((0, positive & (cosines < near + EPSILON)), (2, negative & (cosines > far - EPSILON))):
            own, columns = np.nonzero(kept)
            found[place].append(rows[own])
            found[place + 1].append(columns)
    return [np.concatenate(parts) for parts in found]


def true_semihard(data: Batch) -> Answer:
    bits = []
    for _, cosines, positive, negative in blocks(data):
        far = np.where(positive, cosines, np.inf).min(axis=1, keepdims=True)
        bits.append(np.packbits(negative & (cosines < far) & (cosines > far - MARGIN), axis=1))
    return np.concatenate(bits)


def pairs_that_differ(answer: Answer, reference: Answer) -> float:
    """Count pairs or triplets that only one of two answers has; packed bits, compressed rows, or rows of indices."""
    if isinstance(reference, np.ndarray) and reference.dtype == np.uint8:
        return float(np.unpackbits(answer ^ reference).sum())
    left, right = _codes(answer), _codes(reference)
    return float(len(np.setxor1d(left, right)))


def _codes(answer: Answer) -> Array:
    """One number for each pair or triplet."""
    if isinstance(answer, np.ndarray):
        return answer.astype(np.int64) @ np.array([1 << 40, 1 << 20, 1])
    if isinstance(answer[0], mining.CompressedRows):
        answer = [
            part for rows in answer for part in (np.repeat(np.arange(len(rows[0]) - 1), np.diff(rows[0])), rows[1])
        ]
    return np.concatenate(
        [kind << 60 | answer[2 * kind].astype(np.int64) << 20 | answer[2 * kind + 1] for kind in (0, 1)]
    )
