"""`fastpair.losses.supcon`, value and gradient: sizes, classes, views, threads, and memory."""

import fastpair
import numpy as np

from .contrastive import make_batch, make_classes


class Sizes:
    """Rows with labels."""

    params = ([256, 1_024, 4_096], [128, 512])
    param_names = ("rows", "width")

    def setup(self, rows, width):
        self.data = make_classes(rows, width)

    def time_loss(self, rows, width):
        fastpair.losses.supcon(self.data.x, self.data.labels, return_grad=True, num_threads=1)


class Classes:
    """From one class to as many as there are pairs."""

    params = (1, 64, 2_048)
    param_names = ("classes",)

    def setup(self, classes):
        self.data = make_classes(4_096, 128)
        self.labels = np.arange(4_096) % classes

    def time_loss(self, classes):
        fastpair.losses.supcon(self.data.x, self.labels, return_grad=True, num_threads=1)


class Views:
    """Several views of each row, without labels."""

    params = (2, 4)
    param_names = ("views",)

    def setup(self, views):
        self.features = make_batch(4_096, 128).x.reshape(-1, views, 128)

    def time_loss(self, views):
        fastpair.losses.supcon(self.features, return_grad=True, num_threads=1)


class Threads:
    """A large batch, and its peak of memory."""

    params = (1, 2, 4)
    param_names = ("threads",)

    def setup(self, threads):
        self.data = make_classes(16_384, 128)

    def time_loss(self, threads):
        fastpair.losses.supcon(self.data.x, self.data.labels, return_grad=True, num_threads=threads)

    def peakmem_loss(self, threads):
        fastpair.losses.supcon(self.data.x, self.data.labels, return_grad=True, num_threads=threads)
