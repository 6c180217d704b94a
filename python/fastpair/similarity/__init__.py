"""Scores of rows of embeddings: search, all pairs, aligned rows, transport plans.

* `topk`: the k best rows of y for each row of x; `radius`: all that are near enough. Exact, without the matrix.
* `Corpus`: rows to search again and again, from memory, a file or chunks; `TopkState`: parts found anywhere, merged.
* `pairwise`: the matrix itself; `rowwise`: scores of aligned rows.
* `sinkhorn`: entropic transport plans of a matrix of scores.

``_inputs`` and ``_admission`` check arguments, ``_search`` calls the kernels; ``_sparse`` and ``_composed`` do with
scipy and numpy what has no kernel.
"""

from fastpair.similarity._corpus import Corpus
from fastpair.similarity._pairwise import pairwise, rowwise
from fastpair.similarity._radius import RadiusHits, radius
from fastpair.similarity._sinkhorn import SinkhornPlan, sinkhorn
from fastpair.similarity._state import TopkState
from fastpair.similarity._topk import TopK, topk

__all__ = [
    "Corpus",
    "RadiusHits",
    "SinkhornPlan",
    "TopK",
    "TopkState",
    "pairwise",
    "radius",
    "rowwise",
    "sinkhorn",
    "topk",
]
