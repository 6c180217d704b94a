"""`fastpair.gauc`, and `fastpair.auc` by group: sizes of groups, ids, weightings, threads, and memory."""

import warnings

import fastpair
import numpy as np

from .data import make_data, make_groups

ROWS = 1_000_000


def ids_of_kind(kind, rows, groups):
    """Ids as users have them."""
    if kind == "str":
        return np.char.mod("user%d", make_groups(rows, groups))
    return make_groups(rows, groups, sparse=kind == "sparse int64")


class Groups:
    """Unsorted ids, in groups of few rows and of many."""

    params = (["float16", "float32", "float64"], [10, 100, 10_000])
    param_names = ("dtype", "rows_per_group")

    def setup(self, dtype, rows_per_group):
        # Of small groups some have one class only.
        warnings.simplefilter("ignore", fastpair.UndefinedMetricWarning)
        self.data = make_data(ROWS, dtype)._replace(groups=make_groups(ROWS, ROWS // rows_per_group))

    def time_gauc(self, dtype, rows_per_group):
        fastpair.gauc(self.data.scores, self.data.labels, self.data.groups, num_threads=1)

    def time_auc(self, dtype, rows_per_group):
        fastpair.auc(self.data.scores, self.data.labels, groups=self.data.groups, num_threads=1)


class Ids:
    """What the ids are, or offsets instead of ids."""

    params = ("int64", "sparse int64", "str", "offsets")
    param_names = ("ids",)

    def setup(self, ids):
        self.data = make_data(ROWS)
        if ids == "offsets":
            self.how = {"offsets": np.arange(0, ROWS + 1, 100)}
        else:
            self.how = {"groups": ids_of_kind(ids, ROWS, ROWS // 100)}

    def time_gauc(self, ids):
        fastpair.gauc(self.data.scores, self.data.labels, num_threads=1, **self.how)


class Weightings:
    """What a group counts."""

    params = ("uniform", "size", "positives", "pairs")
    param_names = ("weighting",)

    def setup(self, weighting):
        self.data = make_data(ROWS)._replace(groups=make_groups(ROWS, ROWS // 100))

    def time_gauc(self, weighting):
        scores, labels, _, groups = self.data
        fastpair.gauc(scores, labels, groups, weighting=weighting, num_threads=1)


class Threads:
    """Ten million rows, and their peak of memory."""

    params = (1, 2, 4)
    param_names = ("threads",)

    def setup(self, threads):
        self.data = make_data(10 * ROWS)._replace(groups=make_groups(10 * ROWS, ROWS // 10))

    def time_gauc(self, threads):
        fastpair.gauc(self.data.scores, self.data.labels, self.data.groups, num_threads=threads)

    def peakmem_gauc(self, threads):
        fastpair.gauc(self.data.scores, self.data.labels, self.data.groups, num_threads=threads)
