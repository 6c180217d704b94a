"""`fastpair.losses.soft_rank`, its gradient, and the metrics on top of it: sizes, temperatures, threads, and memory."""

import fastpair
import numpy as np

from .lists import make_lists, make_scores

ROWS = 1_000_000


class SoftRanks:
    """One list, from cold to warm."""

    params = ([1_000, 20_000, ROWS], [0.01, 0.1, 1.0])
    param_names = ("scores", "temperature")

    def setup(self, scores, temperature):
        self.scores, self.upstream = make_scores(scores), np.linspace(-1, 1, scores)

    def time_soft_rank(self, scores, temperature):
        fastpair.losses.soft_rank(self.scores, temperature=temperature, num_threads=1)

    def time_soft_rank_vjp(self, scores, temperature):
        fastpair.losses.soft_rank_vjp(self.scores, self.upstream, temperature=temperature, num_threads=1)


class Threads:
    """A million scores, and their peak of memory."""

    params = (1, 2, 4)
    param_names = ("threads",)

    def setup(self, threads):
        self.scores = make_scores(ROWS)

    def time_soft_rank(self, threads):
        fastpair.losses.soft_rank(self.scores, num_threads=threads)

    def peakmem_soft_rank(self, threads):
        fastpair.losses.soft_rank(self.scores, num_threads=threads)


class Metrics:
    """Losses on soft ranks, in lists of one length."""

    params = (["smooth_ap", "approx_ndcg", "approx_mrr", "fast_ap"], [100, 10_000])
    param_names = ("loss", "length")

    def setup(self, loss, length):
        data = make_lists(100_000 // length, length, "float64")
        self.relevance = data.relevance if loss == "approx_ndcg" else data.relevance > 3
        # Between -1 and 1, as cosines, which is what fast_ap expects.
        self.scores, self.offsets = np.tanh(data.scores / 4), data.offsets

    def time_loss(self, loss, length):
        function = getattr(fastpair.losses, loss)
        function(self.scores, self.relevance, offsets=self.offsets, return_grad=True, num_threads=1)
