"""`fastpair.losses.info_nce`, value and gradient: sizes, dtypes, metrics, options, directions, threads, and memory."""

import fastpair
import numpy as np

from .contrastive import make_batch


def loss(data, **options):
    """One call on two sets of aligned rows."""
    fastpair.losses.info_nce(data.x, data.y, return_grad=True, **options)


class Sizes:
    """From a batch to a large one."""

    params = ([64, 1_000, 8_192], [64, 256, 768])
    param_names = ("rows", "width")

    def setup(self, rows, width):
        self.data = make_batch(rows, width)

    def time_loss(self, rows, width):
        loss(self.data, num_threads=1)

    def time_value(self, rows, width):
        fastpair.losses.info_nce(self.data.x, self.data.y, num_threads=1)


class Dtypes:
    """The kernel computes in float32, and in float64 for float64."""

    params = ("float16", "float32", "float64")
    param_names = ("dtype",)

    def setup(self, dtype):
        data = make_batch(4_096, 256)
        self.data = data._replace(x=data.x.astype(dtype), y=data.y.astype(dtype))

    def time_loss(self, dtype):
        loss(self.data, num_threads=1)


class Metrics:
    """What becomes of the product of two rows."""

    params = ("dot", "cosine", "sqeuclidean", "euclidean")
    param_names = ("metric",)

    def setup(self, metric):
        self.data = make_batch(4_096, 256)

    def time_loss(self, metric):
        loss(self.data, metric=metric, num_threads=1)


class Options:
    """What changes which pairs count, and how much."""

    params = ("none", "ids", "neg_mask", "neg_weights", "groups", "label_smoothing", "hard_k", "focal_gamma", "margin")
    param_names = ("option",)

    def setup(self, option):
        rows = 4_096
        self.data = make_batch(rows, 256)
        rng = np.random.default_rng(0)
        self.how = {
            "none": {},
            "ids": {"ids": rng.integers(0, rows // 2, rows)},
            "neg_mask": {"neg_mask": rng.random((rows, rows)) < 0.5},
            "neg_weights": {"neg_weights": rng.uniform(0.5, 1.5, rows)},
            "groups": {"groups": np.arange(rows) % 16},
            "label_smoothing": {"label_smoothing": 0.1},
            "hard_k": {"hard_k": 32},
            "focal_gamma": {"focal_gamma": 0.5},
            "margin": {"margin": 0.1},
        }[option]

    def time_loss(self, option):
        loss(self.data, num_threads=1, **self.how)


class Symmetric:
    """Both directions in one call, which takes four products of the matrix instead of six."""

    params = (["rows", "both"], [1, 2])
    param_names = ("directions", "threads")

    def setup(self, directions, threads):
        self.data = make_batch(4_096, 256)

    def time_loss(self, directions, threads):
        loss(self.data, symmetric=directions == "both", num_threads=threads)


class Threads:
    """A large batch, and its peak of memory."""

    params = (1, 2, 4)
    param_names = ("threads",)

    def setup(self, threads):
        self.data = make_batch(16_384, 256)

    def time_loss(self, threads):
        loss(self.data, num_threads=threads)

    def peakmem_loss(self, threads):
        loss(self.data, num_threads=threads)
