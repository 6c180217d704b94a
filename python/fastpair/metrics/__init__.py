"""Metrics of scores against labels.

* `auc`: exact Mann-Whitney area under the ROC curve, of series, batches and groups.
* `gauc`: the weighted mean of the areas of groups.
* `pair_auc`, `pair_eer`: area and equal error rate of all pairs of labelled embeddings, without the matrix.
"""

from fastpair.metrics._auc import GroupedAuc, auc, gauc
from fastpair.metrics._pairs import PairAuc, PairEer, pair_auc, pair_eer

__all__ = ["GroupedAuc", "PairAuc", "PairEer", "auc", "gauc", "pair_auc", "pair_eer"]
