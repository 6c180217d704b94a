"""Filters of few bits: searches with each, of a corpus that is packed and of one that is not, and the packing."""

import fastpair

from .embeddings import make_rows, make_search
from .filters import make_anisotropic, make_tight

FILTERS = ("auto", "f32", "bf16", "int16", "int8")


class Filters:
    """Products on one thread."""

    params = (FILTERS, [64, 768])
    param_names = ("filter", "width")

    def setup(self, name, width):
        self.data = make_search(200, 20_000, width)
        self.corpus = fastpair.Corpus(self.data.y, metric="dot", filter=name)

    def time_prepared(self, name, width):
        self.corpus.topk(self.data.x, num_threads=1)

    def time_plain(self, name, width):
        fastpair.topk(self.data.x, self.data.y, metric="dot", filter=name, num_threads=1)


class Queries:
    """From one query to many."""

    params = (1, 16, 160, 1_000)
    param_names = ("queries",)

    def setup(self, queries):
        data = make_search(queries, 100_000, 128)
        self.queries, self.corpus = data.x, fastpair.Corpus(data.y, metric="dot")

    def time_prepared(self, queries):
        self.corpus.topk(self.queries, num_threads=1)


class Hard:
    """Rows that few bits cannot tell apart."""

    params = (["tight", "anisotropic"], FILTERS)
    param_names = ("rows", "filter")

    def setup(self, rows, name):
        self.data = {"tight": make_tight, "anisotropic": make_anisotropic}[rows](20_000)
        self.corpus = fastpair.Corpus(self.data.y, metric="dot", filter=name)

    def time_prepared(self, rows, name):
        self.corpus.topk(self.data.x[:200], num_threads=1)


class Packing:
    """Making a corpus, and its memory."""

    params = (["bf16", "int16", "int8"],)
    param_names = ("filter",)

    def setup(self, name):
        self.rows = make_rows(50_000, 768)

    def time_corpus(self, name):
        fastpair.Corpus(self.rows, metric="dot", filter=name)

    def peakmem_corpus(self, name):
        fastpair.Corpus(self.rows, metric="dot", filter=name)

    def track_bytes_of_a_number(self, name):
        return fastpair.Corpus(self.rows, metric="dot", filter=name).packed_nbytes / self.rows.size
