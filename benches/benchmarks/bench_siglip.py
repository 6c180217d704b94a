"""`fastpair.losses.siglip`, value and gradient: sizes, threads, and memory."""

import fastpair

from .contrastive import make_batch


class Sizes:
    """So many images and texts."""

    params = ([64, 1_000, 8_192], [256, 768])
    param_names = ("pairs", "width")

    def setup(self, pairs, width):
        self.data = make_batch(pairs, width)

    def time_loss(self, pairs, width):
        fastpair.losses.siglip(self.data.x, self.data.y, scale=10.0, bias=-10.0, return_grad=True, num_threads=1)


class Threads:
    """A large batch, and its peak of memory."""

    params = (1, 2, 4)
    param_names = ("threads",)

    def setup(self, threads):
        self.data = make_batch(16_384, 256)

    def time_loss(self, threads):
        fastpair.losses.siglip(self.data.x, self.data.y, scale=10.0, bias=-10.0, return_grad=True, num_threads=threads)

    def peakmem_loss(self, threads):
        fastpair.losses.siglip(self.data.x, self.data.y, scale=10.0, bias=-10.0, return_grad=True, num_threads=threads)
