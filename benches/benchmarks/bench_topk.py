"""`fastpair.topk` and `fastpair.radius`: dtypes, metrics, shapes, k, rules, threads, and memory."""

import fastpair

from .embeddings import Embeddings, make_bits, make_exclude, make_mask, make_rows, make_search

RULES = {
    "none": lambda data: {},
    "mask of pairs": lambda data: {"mask": make_mask(len(data.x), len(data.y))},
    "one excluded": lambda data: {"exclude": make_exclude(len(data.x), len(data.y), 1)},
    "fifty excluded": lambda data: {"exclude": make_exclude(len(data.x), len(data.y), 50)},
    "labels": lambda data: {
        "x_labels": [row % 7 for row in range(len(data.x))],
        "y_labels": [row % 7 for row in range(len(data.y))],
        "same_label": False,
    },
    "min_score": lambda data: {"min_score": 0.05},
}


class Dtypes:
    """Products on one thread."""

    params = (["float16", "float32", "float64", "int8"], [64, 768])
    param_names = ("dtype", "width")

    def setup(self, dtype, width):
        self.data = make_search(200, 20_000, width, dtype=dtype)

    def time_topk(self, dtype, width):
        fastpair.topk(self.data.x, self.data.y, metric="dot", num_threads=1)


class Metrics:
    """Everything that is no product."""

    params = ("cosine", "euclidean", "sqeuclidean", "manhattan", "poincare", "hamming", "jaccard")
    param_names = ("metric",)

    def setup(self, metric):
        if metric in ("hamming", "jaccard"):
            self.data = Embeddings(make_bits(200, 1024, part=1), make_bits(20_000, 1024))
        else:
            data = make_search(200, 20_000, 256)
            self.data = data._replace(x=data.x * 0.9, y=data.y * 0.9)

    def time_topk(self, metric):
        fastpair.topk(self.data.x, self.data.y, metric=metric, num_threads=1)


class Queries:
    """From one query to many."""

    params = (1, 16, 160, 1_000)
    param_names = ("queries",)

    def setup(self, queries):
        self.data = make_search(queries, 100_000, 128)

    def time_topk(self, queries):
        fastpair.topk(self.data.x, self.data.y, metric="dot", num_threads=1)


class Best:
    """From one to many."""

    params = (1, 10, 100, 1_000)
    param_names = ("k",)

    def setup(self, k):
        self.data = make_search(200, 20_000, 256)

    def time_topk(self, k):
        fastpair.topk(self.data.x, self.data.y, k, metric="dot", num_threads=1)


class Rules:
    """Which pairs count."""

    params = (list(RULES),)
    param_names = ("rule",)

    def setup(self, rule):
        self.data = make_search(200, 20_000, 256)
        self.rules = RULES[rule](self.data)

    def time_topk(self, rule):
        fastpair.topk(self.data.x, self.data.y, metric="dot", num_threads=1, **self.rules)


class Threads:
    """Rows among themselves, and the peak of memory."""

    params = (1, 2, 4)
    param_names = ("threads",)

    def setup(self, threads):
        self.rows = make_rows(20_000, 256)

    def time_topk(self, threads):
        fastpair.topk(self.rows, k=50, metric="dot", exclude_self=True, num_threads=threads)

    def peakmem_topk(self, threads):
        fastpair.topk(self.rows, k=50, metric="dot", exclude_self=True, num_threads=threads)


class Radius:
    """From hardly any hits to many."""

    params = (0.3, 0.2, 0.1)
    param_names = ("threshold",)

    def setup(self, threshold):
        self.rows = make_rows(10_000, 256)

    def time_radius(self, threshold):
        fastpair.radius(self.rows, threshold=threshold, metric="dot", num_threads=1)

    def peakmem_radius(self, threshold):
        fastpair.radius(self.rows, threshold=threshold, metric="dot", num_threads=1)
