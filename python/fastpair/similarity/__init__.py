"""Scores of rows of embeddings: search, all pairs and their reductions, aligned rows, sets of tokens, transport plans.

* `topk`: the k best rows of y for each row of x; `radius`: all that are near enough. Exact, without the matrix.
* `Corpus`: rows to search again and again, from memory, a file or chunks; `TopkState`: parts found anywhere, merged.
* `pairwise`: the matrix itself, and its gradient; `rowwise`: scores of aligned rows.
* `reduce`: the best score, mean, count or log-sum-exp of each row, or a histogram of all, without the matrix.
* `late_interaction`: scores of items that are sets of tokens.
* `sinkhorn`: entropic transport plans of a matrix of scores.

``_admission`` checks the rules of a search, ``_search`` calls the kernels; ``_sparse`` and ``_composed`` do with
scipy and numpy what has no kernel.
"""

from fastpair.similarity._corpus import Corpus
from fastpair.similarity._gradient import PairwiseGradient
from fastpair.similarity._late_interaction import late_interaction
from fastpair.similarity._pairwise import pairwise, rowwise
from fastpair.similarity._radius import RadiusHits, radius
from fastpair.similarity._reduce import Histogram, reduce
from fastpair.similarity._sinkhorn import SinkhornPlan, sinkhorn
from fastpair.similarity._state import TopkState
from fastpair.similarity._topk import TopK, topk

__all__ = [
    "Corpus",
    "Histogram",
    "PairwiseGradient",
    "RadiusHits",
    "SinkhornPlan",
    "TopK",
    "TopkState",
    "late_interaction",
    "pairwise",
    "radius",
    "reduce",
    "rowwise",
    "sinkhorn",
    "topk",
]
