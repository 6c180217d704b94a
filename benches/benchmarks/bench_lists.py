"""Losses on lists, value and gradient: every loss, lengths of lists, schemes, aligned pairs, threads, and memory."""

import fastpair
import numpy as np

from .lists import make_lists, make_pairs

SCORES = 1_000_000
LOSSES = ("ranknet", "pairwise_hinge", "lambda_rank", "list_mle", "listnet", "softmax")


def loss(name, data, **options):
    """One call on lists that lie one after the other."""
    function = getattr(fastpair.losses, name)
    function(data.scores, data.relevance, offsets=data.offsets, return_grad=True, **options)


class Losses:
    """A million scores in lists of one length."""

    params = (list(LOSSES), [10, 100, 1_000])
    param_names = ("loss", "length")

    def setup(self, name, length):
        self.data = make_lists(SCORES // length, length)

    def time_loss(self, name, length):
        loss(name, self.data, num_threads=1)


class Schemes:
    """The weights of pairs."""

    params = ("none", "mrr", "ndcg", "ndcg2", "ndcg2++")
    param_names = ("delta",)

    def setup(self, delta):
        self.data = make_lists(SCORES // 100, 100)

    def time_lambda_rank(self, delta):
        loss("lambda_rank", self.data, delta=delta, num_threads=1)


class Ids:
    """Offsets, ids in order, and ids in any order."""

    params = ("offsets", "in order", "shuffled")
    param_names = ("ids",)

    def setup(self, ids):
        self.data = make_lists(SCORES // 100, 100)
        groups = np.repeat(np.arange(SCORES // 100), 100)
        if ids == "shuffled":
            groups = np.random.default_rng(0).permutation(groups)
        self.how = {"offsets": self.data.offsets} if ids == "offsets" else {"groups": groups}

    def time_ranknet(self, ids):
        fastpair.losses.ranknet(self.data.scores, self.data.relevance, return_grad=True, num_threads=1, **self.how)


class Aligned:
    """A million pairs of a positive and a negative."""

    params = (["bpr", "top1", "margin_ranking"], ["float32", "float64"])
    param_names = ("loss", "dtype")

    def setup(self, name, dtype):
        self.pairs = make_pairs(SCORES, SCORES, dtype)

    def time_loss(self, name, dtype):
        getattr(fastpair.losses, name)(*self.pairs, return_grad=True, num_threads=1)


class Threads:
    """Ten million scores in lists of 100, and their peak of memory."""

    params = (["ranknet", "lambda_rank", "list_mle"], [1, 2, 4])
    param_names = ("loss", "threads")

    def setup(self, name, threads):
        self.data = make_lists(10 * SCORES // 100, 100)

    def time_loss(self, name, threads):
        loss(name, self.data, num_threads=threads)

    def peakmem_loss(self, name, threads):
        loss(name, self.data, num_threads=threads)
