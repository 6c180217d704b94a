"""Losses of scores, over pairs and over lists, with their gradients; lists of any length need no padding.

Pairs:

* `mann_whitney`: all pairs of a positive and a negative, under seven surrogates of one minus AUC.
* `ranknet`, `pairwise_hinge`, `ipw_pairwise`: pairs of different relevance in each list; `lambda_rank` weighs them by
  what their exchange changes in a metric.
* `bpr`, `margin_ranking`, `top1`, `bpr_max`: aligned pairs, each positive with its own negatives.
* `cosent`, `pearson`, `rank_kl`, `pro_rank`: scores against graded targets.

Lists:

* `plackett_luce` (also `list_mle`), `listnet`, `softmax`, `rank_list`: likelihoods of the right order.
* `soft_rank`, `soft_rank_vjp`: smooth ranks and their gradients; `smooth_ap`, `approx_ndcg`, `approx_mrr`: metrics on
  them; `fast_ap`: average precision from soft histograms.
* `lag_margin_ranking`, `disco`, `drpo`: candidates and answers of language models.
* `soft_confusion`, `dice`, `tversky`: metrics of soft counts; `bpo`, `nbpo`: observed and unobserved items.
* `comp_sum`, `z_loss`: rows of scores with a target.

Scores come first, then what they are compared with; ``groups=`` (ids) or ``offsets=`` (borders) make lists. All return
a float64, or one for each list with ``reduction="none"``; with ``return_grad=True`` also a named tuple of gradients in
the form of the input.

``_lists`` is the mechanism that all share: lists, checks, reductions, gradients; ``_items`` leaves out what does not
count. The rest is one file for each family of losses, on kernels of `fastpair._core` or composed in numpy.
"""

from fastpair.losses._aligned import bpr, margin_ranking
from fastpair.losses._comp_sum import CompSumGrads, comp_sum
from fastpair.losses._cosent import cosent
from fastpair.losses._disco import DiscoGrads, disco, drpo
from fastpair.losses._fast_ap import fast_ap
from fastpair.losses._graded import pearson, rank_kl
from fastpair.losses._implicit import bpo, nbpo
from fastpair.losses._ipw_pairwise import ipw_pairwise
from fastpair.losses._lambda_rank import lambda_rank
from fastpair.losses._lists import PairGrads, ScoreGrads
from fastpair.losses._listwise import listnet, softmax
from fastpair.losses._mann_whitney import SimilarityGrads, mann_whitney
from fastpair.losses._overlap import dice, tversky
from fastpair.losses._pairwise import pairwise_hinge, ranknet
from fastpair.losses._plackett_luce import list_mle, plackett_luce
from fastpair.losses._pro_rank import pro_rank
from fastpair.losses._rank_list import rank_list
from fastpair.losses._rows import z_loss
from fastpair.losses._sequence import LagMarginGrads, lag_margin_ranking
from fastpair.losses._session import bpr_max, top1
from fastpair.losses._soft_confusion import soft_confusion
from fastpair.losses._soft_metrics import approx_mrr, approx_ndcg, smooth_ap
from fastpair.losses._soft_rank import soft_rank, soft_rank_vjp

__all__ = [
    "CompSumGrads",
    "DiscoGrads",
    "LagMarginGrads",
    "PairGrads",
    "ScoreGrads",
    "SimilarityGrads",
    "approx_mrr",
    "approx_ndcg",
    "bpo",
    "bpr",
    "bpr_max",
    "comp_sum",
    "cosent",
    "dice",
    "disco",
    "drpo",
    "fast_ap",
    "ipw_pairwise",
    "lag_margin_ranking",
    "lambda_rank",
    "list_mle",
    "listnet",
    "mann_whitney",
    "margin_ranking",
    "nbpo",
    "pairwise_hinge",
    "pearson",
    "plackett_luce",
    "pro_rank",
    "rank_kl",
    "rank_list",
    "ranknet",
    "smooth_ap",
    "soft_confusion",
    "soft_rank",
    "soft_rank_vjp",
    "softmax",
    "top1",
    "tversky",
    "z_loss",
]
