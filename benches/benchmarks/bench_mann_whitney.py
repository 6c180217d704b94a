"""`fastpair.losses.mann_whitney`, value and gradient: surrogates, dtypes, sizes, distributions, lists, and memory."""

import fastpair
import numpy as np

from .data import make_data, make_groups, make_weights
from .lists import make_pairs

ROWS = 1_000_000
SURROGATES = ("logistic", "sigmoid", "hinge", "squared_hinge", "square", "exponential", "barrier")


def loss(data, **options):
    """One call on scores with labels."""
    fastpair.losses.mann_whitney(data.scores, data.labels, return_grad=True, **options)


class Surrogates:
    """A million scores, a tenth of them positive."""

    params = (list(SURROGATES), ["float32", "float64"])
    param_names = ("surrogate", "dtype")

    def setup(self, surrogate, dtype):
        self.data = make_data(ROWS, dtype)

    def time_loss(self, surrogate, dtype):
        loss(self.data, surrogate=surrogate, num_threads=1)


class Sizes:
    """From a batch to everything; positives and negatives as two arrays."""

    params = (["logistic", "squared_hinge"], [100, 10_000, 1_000_000])
    param_names = ("surrogate", "scores")

    def setup(self, surrogate, scores):
        self.pairs = make_pairs(scores, scores)

    def time_loss(self, surrogate, scores):
        pos, neg = self.pairs
        fastpair.losses.mann_whitney(pos=pos, neg=neg, surrogate=surrogate, return_grad=True, num_threads=1)


class Distributions:
    """Scores in few boxes, in many, and in boxes of their own; a temperature spreads them as a factor does."""

    params = (["random", "skewed", "ties", "constant", "clusters"], [1.0, 0.01])
    param_names = ("distribution", "temperature")

    def setup(self, distribution, temperature):
        self.data = make_data(ROWS, "float64", distribution)

    def time_loss(self, distribution, temperature):
        loss(self.data, temperature=temperature, num_threads=1)


class Accuracy:
    """What digits cost."""

    params = (1e-3, 1e-6, 1e-9, 1e-12)
    param_names = ("rtol",)

    def setup(self, rtol):
        self.data = make_data(ROWS)

    def time_loss(self, rtol):
        loss(self.data, rtol=rtol, num_threads=1)


class Kinds:
    """Weights, and grades instead of classes."""

    params = ("classes", "weights", "five grades")
    param_names = ("kind",)

    def setup(self, kind):
        self.data = make_data(ROWS)
        self.how = {"weights": make_weights(ROWS)} if kind == "weights" else {}
        if kind == "five grades":
            self.data = self.data._replace(labels=np.arange(ROWS) % 5)

    def time_loss(self, kind):
        loss(self.data, num_threads=1, **self.how)


class Groups:
    """Lists of few scores and of many."""

    params = (["logistic", "squared_hinge"], [10, 100, 10_000])
    param_names = ("surrogate", "rows_per_group")

    def setup(self, surrogate, rows_per_group):
        self.data = make_data(ROWS)._replace(groups=make_groups(ROWS, ROWS // rows_per_group))

    def time_loss(self, surrogate, rows_per_group):
        loss(self.data, groups=self.data.groups, surrogate=surrogate, num_threads=1)


class Threads:
    """Ten million scores, and their peak of memory."""

    params = (["logistic", "squared_hinge"], [1, 2, 4])
    param_names = ("surrogate", "threads")

    def setup(self, surrogate, threads):
        self.data = make_data(10 * ROWS)

    def time_loss(self, surrogate, threads):
        loss(self.data, surrogate=surrogate, num_threads=threads)

    def peakmem_loss(self, surrogate, threads):
        loss(self.data, surrogate=surrogate, num_threads=threads)
