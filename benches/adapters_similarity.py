"""The packages that searches and matrices of scores are timed beside, and the tasks.

The tasks are "topk" (returns the indices, best first) and "pairwise" (the matrix). Threads are set by `timing`.
"""

from collections.abc import Callable, Iterator
from typing import Any

import fastpair
import numpy as np
from adapters import Answer, Build, adapter
from benchmarks.embeddings import Array, Embeddings

# Scores of recipes that hold them: 64 MiB of float32.
CELLS = 1 << 24
FLOAT32 = np.float32

# faiss uses a matrix product from so many queries times dimensions on; its own setting, and always.
DEFAULT_THRESHOLD, ALWAYS = 128_000, 1


def blocks(rows: int, width: int) -> Iterator[slice]:
    """Ranges of rows whose scores against so many others fit the cells."""
    step = max(1, CELLS // width)
    return (slice(begin, begin + step) for begin in range(0, rows, step))


def without(indices: Array, forbidden: Array, k: int) -> Array:
    """Drop the forbidden columns of each row from a longer list, and keep k."""
    allowed = (indices[:, :, np.newaxis] != forbidden[:, np.newaxis, :]).all(axis=2)
    # A stable sort brings those that are allowed to the front, in their order.
    order = np.argsort(~allowed, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(indices, order, axis=1)


def own_index(data: Embeddings) -> Array:
    """List what each row must not find: itself."""
    return np.arange(len(data.x))[:, np.newaxis]


# fastpair, in all its ways.


def call_topk(data: Embeddings) -> Callable[[], Answer]:
    """Search under the rules of the data."""
    rules: dict[str, Any] = {"exclude_self": data.y is None, "mask": data.mask}
    if data.exclude is not None:
        starts = np.arange(0, data.exclude.size + 1, data.exclude.shape[1])
        rules["exclude"] = (starts, data.exclude.ravel())
    return lambda: fastpair.topk(data.x, data.y, data.k, metric=data.metric, **rules).indices


def call_pairwise(data: Embeddings) -> Callable[[], Answer]:
    """Make the matrix."""
    return lambda: fastpair.pairwise(data.x, data.y, data.metric)


def on_float32(build: Build) -> Build:
    """Convert integers before, which is not timed."""
    return lambda data: build(data._replace(x=data.x.astype(FLOAT32), y=data.corpus.astype(FLOAT32)))


adapter("topk", "fastpair")(call_topk)
adapter("topk", "fastpair on float32")(on_float32(call_topk))
adapter("pairwise", "fastpair")(call_pairwise)
adapter("pairwise", "fastpair on float32")(on_float32(call_pairwise))


@adapter("topk", "fastpair without the rule")
def fastpair_without(data: Embeddings) -> Callable[[], Answer]:
    """The same search with all pairs, whose answer is another."""
    search = call_topk(data._replace(mask=None, exclude=None))

    def run() -> None:
        search()

    return run


# The k best.


def call_faiss(threshold: int) -> Build:
    """Build the adapter of the flat index; the index is made before. Rules are kept by finding more and dropping."""

    def build(data: Embeddings) -> Callable[[], Answer]:
        import faiss

        index = faiss.IndexFlatIP(data.x.shape[1])
        index.add(data.corpus)
        forbidden = own_index(data) if data.y is None else data.exclude

        def run() -> Answer:
            faiss.cvar.distance_compute_blas_threshold = threshold
            if forbidden is None:
                return index.search(data.x, data.k)[1]
            return without(index.search(data.x, data.k + forbidden.shape[1])[1], forbidden, data.k)

        return run

    return build


adapter("topk", "faiss IndexFlatIP", package="faiss-cpu")(call_faiss(DEFAULT_THRESHOLD))
adapter("topk", "faiss IndexFlatIP, BLAS forced", package="faiss-cpu")(call_faiss(ALWAYS))


@adapter("topk", "faiss IDSelector", package="faiss-cpu")
def faiss_selector(data: Embeddings) -> Callable[[], Answer]:
    """A selector is for all queries of a call, so there is one call for each query."""
    import faiss

    index = faiss.IndexFlatIP(data.x.shape[1])
    index.add(data.corpus)

    def selector(row: int) -> Any:
        if data.mask is None:
            return faiss.IDSelectorNot(faiss.IDSelectorBatch(data.exclude[row]))
        return faiss.IDSelectorBitmap(little[row])

    # Its bits ascend from the lowest.
    little = None if data.mask is None else np.packbits(np.unpackbits(data.mask, axis=1), axis=1, bitorder="little")

    def run() -> Answer:
        found = np.empty((len(data.x), data.k), np.int64)
        for row, query in enumerate(data.x):
            chosen = faiss.SearchParameters(sel=selector(row))
            found[row] = index.search(query[np.newaxis], data.k, params=chosen)[1]
        return found

    return run


@adapter("topk", "faiss IndexBinaryFlat", package="faiss-cpu")
def faiss_binary(data: Embeddings) -> Callable[[], Answer]:
    import faiss

    index = faiss.IndexBinaryFlat(8 * data.x.shape[1])
    index.add(data.corpus)
    return lambda: index.search(data.x, data.k)[1]


@adapter("topk", "torch mm and topk", package="torch")
def torch_topk(data: Embeddings) -> Callable[[], Answer]:
    """In blocks of the corpus, of which the best so far are kept; masked pairs are set to -inf."""
    import torch

    queries, corpus = torch.from_numpy(data.x), torch.from_numpy(data.corpus)
    mask = None if data.mask is None else torch.from_numpy(~np.unpackbits(data.mask, axis=1).view(np.bool_))

    def run() -> Answer:
        best = None
        for part in blocks(len(corpus), len(queries)):
            scores = queries @ corpus[part].T
            if data.y is None:
                scores.diagonal(-part.start).fill_(-torch.inf)
            if mask is not None:
                scores.masked_fill_(mask[:, part], -torch.inf)
            values, places = scores.topk(min(data.k, scores.shape[1]))
            places += part.start
            if best is not None:
                values, places = torch.cat([best[0], values], 1), torch.cat([best[1], places], 1)
                values, order = values.topk(data.k)
                places = places.gather(1, order)
            best = values, places
        return best[1].numpy()

    return run


def best_of(scores: Array, k: int) -> Array:
    """Partition each row, then sort its k best."""
    places = np.argpartition(scores, -k, axis=1)[:, -k:]
    order = np.argsort(-np.take_along_axis(scores, places, axis=1), axis=1, kind="stable")
    return np.take_along_axis(places, order, axis=1)


@adapter("topk", "numpy mm and argpartition")
def numpy_topk(data: Embeddings) -> Callable[[], Answer]:
    """In blocks of queries."""
    mask = None if data.mask is None else ~np.unpackbits(data.mask, axis=1).view(np.bool_)

    def run() -> Answer:
        found = np.empty((len(data.x), data.k), np.int64)
        for part in blocks(len(data.x), len(data.corpus)):
            scores = data.x[part] @ data.corpus.T
            if data.y is None:
                rows = np.arange(len(scores))
                scores[rows, part.start + rows] = -np.inf
            if mask is not None:
                scores[mask[part]] = -np.inf
            found[part] = best_of(scores, data.k)
        return found

    return run


@adapter("topk", "scikit-learn brute", package="scikit-learn")
def scikit_learn_topk(data: Embeddings) -> Callable[[], Answer]:
    """Euclidean distances, which rank rows of length one as products do."""
    from sklearn.neighbors import NearestNeighbors

    model = NearestNeighbors(n_neighbors=data.k, algorithm="brute").fit(data.corpus)
    # Without an argument a row does not find itself.
    queries = () if data.y is None else (data.x,)
    return lambda: model.kneighbors(*queries, return_distance=False)


@adapter("topk", "numkong packed and argpartition", package="numkong")
def numkong_topk(data: Embeddings) -> Callable[[], Answer]:
    """One thread; the corpus is packed before."""
    import numkong

    bits = data.metric == "hamming"
    packed = numkong.hammings_pack(data.corpus) if bits else numkong.dots_pack(data.corpus)
    scores_of = numkong.hammings_packed if bits else numkong.dots_packed

    def run() -> Answer:
        found = np.empty((len(data.x), data.k), np.int64)
        for part in blocks(len(data.x), len(data.corpus)):
            scores = np.asarray(scores_of(data.x[part], packed))
            found[part] = best_of(-scores.view(np.int32) if bits else scores, data.k)
        return found

    return run


# The matrix.


@adapter("pairwise", "torch.cdist", package="torch", tolerance=1e-5)
def torch_cdist(data: Embeddings) -> Callable[[], Answer]:
    import torch

    x, y = torch.from_numpy(data.x), torch.from_numpy(data.corpus)
    return lambda: torch.cdist(x, y, p=1).numpy()


@adapter("pairwise", "faiss pairwise_distances", package="faiss-cpu", tolerance=1e-5)
def faiss_pairwise(data: Embeddings) -> Callable[[], Answer]:
    import faiss

    return lambda: faiss.pairwise_distances(data.x, data.corpus, metric=faiss.METRIC_L1)


@adapter("pairwise", "faiss knn (the 10 nearest only)", package="faiss-cpu")
def faiss_knn(data: Embeddings) -> Callable[[], Answer]:
    """No matrix, so there is nothing to compare."""
    import faiss

    def run() -> None:
        faiss.knn(data.x, data.corpus, 10, metric=faiss.METRIC_L1)

    return run


@adapter("pairwise", "scipy cdist", package="scipy", tolerance=1e-5)
def scipy_cdist(data: Embeddings) -> Callable[[], Answer]:
    """In float64; bits as bool, which is not timed."""
    from scipy.spatial.distance import cdist

    if data.metric == "manhattan":
        return lambda: cdist(data.x, data.corpus, "cityblock")
    x, y = (np.unpackbits(rows, axis=1).view(np.bool_) for rows in (data.x, data.corpus))
    return lambda: cdist(x, y, data.metric)


@adapter("pairwise", "numkong packed", package="numkong", tolerance=1e-6)
def numkong_pairwise(data: Embeddings) -> Callable[[], Answer]:
    """One thread; one side is packed before."""
    import numkong

    if data.metric == "jaccard":
        bits = numkong.hammings_pack(data.corpus)
        return lambda: np.asarray(numkong.jaccards_packed(data.x, bits))
    packed = numkong.dots_pack(data.corpus)
    return lambda: np.asarray(numkong.dots_packed(data.x, packed))


@adapter("pairwise", "numpy mm of float32", tolerance=1e-6)
def numpy_product(data: Embeddings) -> Callable[[], Answer]:
    """Converted before."""
    x, y = data.x.astype(FLOAT32), data.corpus.astype(FLOAT32)
    return lambda: x @ y.T
