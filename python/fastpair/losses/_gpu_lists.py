"""Lists of scores in GPU memory: what `Lists` does with functions that CuPy lacks or waits for, by kernels."""

from functools import cached_property
from typing import Any

import numpy as np

from fastpair._array import kernels_of
from fastpair.losses._lists import Lists

__all__ = ["GpuLists"]


class GpuLists(Lists):
    """Lists whose offsets are in GPU memory."""

    @cached_property
    def codes(self) -> Any:
        """The list of each element, in list order."""
        return kernels_of(self.offsets).list_of_items(self.offsets, self.items)

    def spread(self, values: Any) -> Any:
        """Repeat one value of each list for each of its elements, in list order."""
        return values[self.codes]

    def positions(self) -> Any:
        """Return the place of each element in its own list, from 0, in list order."""
        import cupy

        return cupy.arange(self.items) - self.spread(self.offsets[:-1])

    def begins(self) -> Any:
        """Return which elements are the first of their list, in list order."""
        import cupy

        result = cupy.ones(self.items, np.bool_)
        result[1:] = self.codes[1:] != self.codes[:-1]
        return result

    def sum(self, values: Any) -> Any:
        """Add up the values (also bool) of each list, in list order; 0.0 for empty lists."""
        return kernels_of(values).reduce_lists(values, self.offsets, "Sum")

    def max(self, values: Any) -> Any:
        """Return the largest value of each list, in list order; -inf for empty lists."""
        return kernels_of(values).reduce_lists(values, self.offsets, "Most")

    def min(self, values: Any) -> Any:
        """Return the smallest value of each list, in list order; inf for empty lists."""
        return kernels_of(values).reduce_lists(values, self.offsets, "Least")

    def suffix_logsumexp(self, values: Any) -> Any:
        """Return for each element the log-sum-exp of itself and what follows it in its list, in list order."""
        return kernels_of(values).logsumexp_from(values, self.codes, backwards=True)

    def prefix_logsumexp(self, values: Any) -> Any:
        """Return for each element the log-sum-exp of itself and what stands before it in its list, in list order."""
        return kernels_of(values).logsumexp_from(values, self.codes, backwards=False)

    def descending(self, values: Any) -> Any:
        """Return the order, of list order, that sorts each list from its largest value on; stable, NaN last."""
        own = values.astype(np.float64)
        return kernels_of(own).order_lists(own, self.codes, self.offsets, descending=True)
