"""`fastpair.pairwise`: dtypes, metrics, exact scores, threads, and memory."""

import fastpair

from .embeddings import Embeddings, make_bits, make_search

METRICS = ["dot", "cosine", "euclidean", "manhattan", "poincare", "rbf", "hamming", "jaccard"]


def make_pairs(metric, rows):
    """Two sets of as many rows that the metric takes."""
    if metric in ("hamming", "jaccard"):
        return Embeddings(make_bits(rows, 1024, part=1), make_bits(rows, 1024))
    data = make_search(rows, rows, 256)
    return data._replace(x=data.x * 0.9, y=data.y * 0.9)


class Dtypes:
    """Products on one thread."""

    params = (["float16", "float32", "float64", "int8"], [64, 256])
    param_names = ("dtype", "width")

    def setup(self, dtype, width):
        self.data = make_search(2_000, 2_000, width, dtype=dtype)

    def time_pairwise(self, dtype, width):
        fastpair.pairwise(self.data.x, self.data.y, num_threads=1)


class Metrics:
    """By the fast formulas, and each score by itself."""

    params = (METRICS, [False, True])
    param_names = ("metric", "exact")

    def setup(self, metric, exact):
        self.data = make_pairs(metric, 1_000)
        self.options = {"bandwidth": 1.0} if metric == "rbf" else {}

    def time_pairwise(self, metric, exact):
        fastpair.pairwise(self.data.x, self.data.y, metric, exact=exact, num_threads=1, **self.options)


class Threads:
    """A larger matrix, and the peak of memory."""

    params = (["dot", "manhattan"], [1, 2, 4])
    param_names = ("metric", "threads")

    def setup(self, metric, threads):
        self.data = make_pairs(metric, 4_000)

    def time_pairwise(self, metric, threads):
        fastpair.pairwise(self.data.x, self.data.y, metric, num_threads=threads)

    def peakmem_pairwise(self, metric, threads):
        fastpair.pairwise(self.data.x, self.data.y, metric, num_threads=threads)
