"""`fastpair.mining`: miners of a batch, formats, classes, threads and memory."""

import fastpair
import numpy as np

from .contrastive import make_classes


class Miners:
    """Rows of 64 classes, in their usual formats."""

    params = (["hard_mask", "batch_hard", "multi_similarity_mask"], [128, 512])
    param_names = ("miner", "width")

    def setup(self, miner, width):
        self.data = make_classes(4_096, width)
        self.mine = getattr(fastpair.mining, miner)

    def time_miner(self, miner, width):
        self.mine(self.data.x, labels=self.data.labels, num_threads=1)


class Formats:
    """The same pairs, written in every way."""

    params = ("mask", "bits", "csr", "coo")
    param_names = ("format",)

    def setup(self, format):
        self.data = make_classes(4_096, 128)

    def time_miner(self, format):
        fastpair.mining.hard_mask(self.data.x, labels=self.data.labels, format=format, num_threads=1)


class Triplets:
    """From few positives of a row to many."""

    params = ([512, 64], ["all", "hardest", "random"])
    param_names = ("classes", "select")

    def setup(self, classes, select):
        self.data = make_classes(1_024, 128)
        self.labels = np.arange(1_024) % classes

    def time_miner(self, classes, select):
        fastpair.mining.triplets(
            self.data.x, labels=self.labels, kind="semihard", margin=0.02, select=select, seed=0, num_threads=1
        )


class Threads:
    """A large batch, and its peak of memory."""

    params = (1, 2, 4)
    param_names = ("threads",)

    def setup(self, threads):
        self.data = make_classes(8_192, 128)

    def time_miner(self, threads):
        fastpair.mining.hard_mask(self.data.x, labels=self.data.labels, format="bits", num_threads=threads)

    def peakmem_miner(self, threads):
        fastpair.mining.hard_mask(self.data.x, labels=self.data.labels, format="bits", num_threads=threads)
