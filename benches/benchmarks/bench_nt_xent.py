"""`fastpair.losses.nt_xent`, value and gradient: sizes, modes, threads, and memory."""

import fastpair

from .contrastive import make_batch


def loss(data, **options):
    """One call on two views."""
    fastpair.losses.nt_xent(data.x, data.y, return_grad=True, **options)


class Sizes:
    """So many pairs of views."""

    params = ([32, 256, 2_048], [128, 512])
    param_names = ("pairs", "width")

    def setup(self, pairs, width):
        self.data = make_batch(pairs, width)

    def time_loss(self, pairs, width):
        loss(self.data, num_threads=1)


class Modes:
    """With the rows of the own view as negatives, and without."""

    params = ("two_view", "cross_only")
    param_names = ("mode",)

    def setup(self, mode):
        self.data = make_batch(2_048, 128)

    def time_loss(self, mode):
        loss(self.data, mode=mode, num_threads=1)


class Threads:
    """A large batch, and its peak of memory."""

    params = (1, 2, 4)
    param_names = ("threads",)

    def setup(self, threads):
        self.data = make_batch(8_192, 128)

    def time_loss(self, threads):
        loss(self.data, num_threads=threads)

    def peakmem_loss(self, threads):
        loss(self.data, num_threads=threads)
