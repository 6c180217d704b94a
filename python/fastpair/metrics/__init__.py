"""Metrics of scores against labels.

* `auc`: exact Mann-Whitney area under the ROC curve, of series, batches and groups.
* `gauc`: the weighted mean of the areas of groups.
"""

from fastpair.metrics._auc import GroupedAuc, auc, gauc

__all__ = ["GroupedAuc", "auc", "gauc"]
