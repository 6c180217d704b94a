"""`fastpair.auc`: dtypes and sizes, distributions, threads, weights, batches, sorted input, and memory."""

import fastpair

from .data import DISTRIBUTIONS, make_batch, make_data, make_weights

DTYPES = ["bfloat16", "float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8"]


class Dtypes:
    """Random scores on one thread."""

    params = (DTYPES, [1_000, 100_000, 1_000_000])
    param_names = ("dtype", "rows")

    def setup(self, dtype, rows):
        self.data = make_data(rows, dtype)

    def time_auc(self, dtype, rows):
        fastpair.auc(self.data.scores, self.data.labels, num_threads=1)


class Distributions:
    """Scores that are hard or easy to sort."""

    params = (list(DISTRIBUTIONS), ["float32", "float64"])
    param_names = ("distribution", "dtype")

    def setup(self, distribution, dtype):
        self.data = make_data(1_000_000, dtype, distribution)

    def time_auc(self, distribution, dtype):
        fastpair.auc(self.data.scores, self.data.labels, num_threads=1)


class Positives:
    """From balanced to rare."""

    params = (0.5, 0.1, 0.01, 0.001)
    param_names = ("positives",)

    def setup(self, positives):
        self.data = make_data(1_000_000, positives=positives)

    def time_auc(self, positives):
        fastpair.auc(self.data.scores, self.data.labels, num_threads=1)


class Threads:
    """Ten million rows."""

    params = (["float32", "float64"], [1, 2, 4])
    param_names = ("dtype", "threads")

    def setup(self, dtype, threads):
        self.data = make_data(10_000_000, dtype)

    def time_auc(self, dtype, threads):
        fastpair.auc(self.data.scores, self.data.labels, num_threads=threads)


class Weights:
    """A weight for each row."""

    params = (["float16", "float32", "float64"], [1_000, 100_000, 1_000_000])
    param_names = ("dtype", "rows")

    def setup(self, dtype, rows):
        self.data = make_data(rows, dtype)._replace(weights=make_weights(rows))

    def time_auc(self, dtype, rows):
        fastpair.auc(self.data.scores, self.data.labels, weights=self.data.weights, num_threads=1)


class Batch:
    """Many series against one vector of labels."""

    params = ([(10, 100_000), (1_000, 1_000), (100_000, 10)],)
    param_names = ("shape",)

    def setup(self, shape):
        self.data = make_batch(*shape)

    def time_auc(self, shape):
        fastpair.auc(self.data.scores, self.data.labels, num_threads=1)


class Presorted:
    """Scores that are known to be in order."""

    params = ("float32", "float64")
    param_names = ("dtype",)

    def setup(self, dtype):
        self.data = make_data(1_000_000, dtype, "sorted")

    def time_auc(self, dtype):
        fastpair.auc(self.data.scores, self.data.labels, presorted="ascending", num_threads=1)


class Memory:
    """Peak of the process: the input, and what the call adds."""

    params = (["float16", "float32", "float64"], ["random", "skewed", "constant"], [1, 2])
    param_names = ("dtype", "distribution", "threads")

    def setup(self, dtype, distribution, threads):
        self.data = make_data(10_000_000, dtype, distribution)

    def peakmem_auc(self, dtype, distribution, threads):
        fastpair.auc(self.data.scores, self.data.labels, num_threads=threads)
