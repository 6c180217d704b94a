"""Geometry of embeddings and of the losses on them.

* `pair_weights`: how strongly any loss pulls and pushes each of its pairs.
"""

from fastpair.embeddings._pair_weights import PairWeights, pair_weights

__all__ = ["PairWeights", "pair_weights"]
