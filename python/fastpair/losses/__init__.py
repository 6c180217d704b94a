"""Losses with their gradients: of scores over pairs and lists, and of embeddings over all their pairs.

Losses of embeddings, which never form the matrix of similarities:

* `info_nce` with all its options, in both directions `clip`; `focal_nce`, `patch_nce`, `local_contrast`.
* `nt_xent`, `grace`, `dcl`, `dclw`: two views; `supcon`, `cliff_contrast`, `supremix`: labels.
* `hcl`: hard and debiased negatives; `soft_target_nce`, `cwcl`, `similarity_kl`, `relation_kl`: soft targets.
* `prototype_nce`, `swapped_prediction`, `cluster_contrast`, `deca`, `cluster_proxy_contrast`, `prototype_compensated`,
  `prototype_diversity`, `queue_center_nce`: prototypes and communities.
* `siglip`, `pairwise_bce`, `sgns`, `binary_opposite`: each pair by itself.
* `negative_cosine`, `byol`, `barlow_twins`, `variance_hinge`, `pair_mse`, `semantic_opposite`: aligned rows.
* `cacr`, `groco`, `compactness`, `contrastive_margin_regularizer`, `m2mix`, `uncertainty_info_nce`, `voco`,
  `base_decorrelation`, `ratio_contrast`: one paper each.
* `matryoshka`: any of them on prefixes; `custom`: your own, as a function of rows of similarities.

Losses of pairs of scores:

* `mann_whitney`: all pairs of a positive and a negative, under seven surrogates of one minus AUC.
* `ranknet`, `pairwise_hinge`, `ipw_pairwise`: pairs of different relevance in each list; `lambda_rank` weighs them by
  what their exchange changes in a metric.
* `bpr`, `margin_ranking`, `top1`, `bpr_max`: aligned pairs, each positive with its own negatives.
* `cosent`, `pearson`, `rank_kl`, `pro_rank`: scores against graded targets.

Losses of lists of scores:

* `plackett_luce` (also `list_mle`), `listnet`, `softmax`, `rank_list`: likelihoods of the right order.
* `soft_rank`, `soft_rank_vjp`: smooth ranks and their gradients; `smooth_ap`, `approx_ndcg`, `approx_mrr`: metrics on
  them; `fast_ap`: average precision from soft histograms.
* `lag_margin_ranking`, `disco`, `drpo`: candidates and answers of language models.
* `soft_confusion`, `dice`, `tversky`: metrics of soft counts; `bpo`, `nbpo`: observed and unobserved items.
* `comp_sum`, `z_loss`, `ar2_adversarial`, `rank_contrastive`, `dual_contrastive`, `adversarial_contrast`: rows of
  scores with a target.

Embeddings or scores come first, then what they are compared with; ``groups=`` (ids) or ``offsets=`` (borders) make
lists of scores. All return a float64, or one for each row or list with ``reduction="none"``; with ``return_grad=True``
also a named tuple of gradients in the form of the input.

Three mechanisms carry all: ``_lists`` (lists of scores; ``_items`` leaves out what does not count), ``_embedding``
(rows of similarities, on the kernel; ``_roles`` says which pairs are positive) and ``_tiles`` (rows of similarities,
in numpy). The rest is one file for each family of losses.
"""

from fastpair.losses._aligned import bpr, margin_ranking
from fastpair.losses._ar2 import Ar2Grads, ar2_adversarial
from fastpair.losses._barlow_twins import BarlowTwinsGrads, VarianceHingeGrads, barlow_twins, variance_hinge
from fastpair.losses._cacr import CacrGrads, cacr
from fastpair.losses._clip import clip
from fastpair.losses._cluster_contrast import ClusterContrastGrads, DecaGrads, cluster_contrast, deca
from fastpair.losses._cluster_proxies import (
    ClusterProxyGrads,
    QueueCenterGrads,
    cluster_proxy_contrast,
    queue_center_nce,
)
from fastpair.losses._comp_sum import CompSumGrads, comp_sum
from fastpair.losses._cosent import cosent
from fastpair.losses._custom import CustomGrads, custom
from fastpair.losses._dcl import dcl, dclw
from fastpair.losses._disco import DiscoGrads, disco, drpo
from fastpair.losses._distance_contrast import (
    PairMseGrads,
    RatioContrastGrads,
    SemanticOppositeGrads,
    pair_mse,
    ratio_contrast,
    semantic_opposite,
)
from fastpair.losses._embedding import EmbeddingGrads
from fastpair.losses._fast_ap import fast_ap
from fastpair.losses._focal_nce import focal_nce, patch_nce
from fastpair.losses._graded import pearson, rank_kl
from fastpair.losses._groco import groco
from fastpair.losses._hcl import hcl
from fastpair.losses._implicit import bpo, nbpo
from fastpair.losses._info_nce import InfoNceGrads, info_nce
from fastpair.losses._ipw_pairwise import ipw_pairwise
from fastpair.losses._lambda_rank import lambda_rank
from fastpair.losses._lists import PairGrads, ScoreGrads
from fastpair.losses._listwise import listnet, softmax
from fastpair.losses._local_contrast import LocalContrastGrads, local_contrast
from fastpair.losses._m2mix import M2MixGrads, m2mix
from fastpair.losses._mann_whitney import SimilarityGrads, mann_whitney
from fastpair.losses._matryoshka import matryoshka
from fastpair.losses._negative_cosine import ByolGrads, NegativeCosineGrads, byol, negative_cosine
from fastpair.losses._nt_xent import grace, nt_xent
from fastpair.losses._overlap import dice, tversky
from fastpair.losses._pairwise import pairwise_hinge, ranknet
from fastpair.losses._pairwise_bce import BinaryOppositeGrads, binary_opposite, pairwise_bce
from fastpair.losses._plackett_luce import list_mle, plackett_luce
from fastpair.losses._pro_rank import pro_rank
from fastpair.losses._prototype_nce import PrototypeGrads, prototype_nce
from fastpair.losses._prototypes import (
    PrototypeCompensatedGrads,
    PrototypeDiversityGrads,
    prototype_compensated,
    prototype_diversity,
)
from fastpair.losses._rank_contrastive import RankContrastiveGrads, rank_contrastive
from fastpair.losses._rank_list import rank_list
from fastpair.losses._row_contrast import CompactnessGrads, compactness, contrastive_margin_regularizer
from fastpair.losses._rows import z_loss
from fastpair.losses._score_contrast import (
    AdversarialContrastGrads,
    DualContrastiveGrads,
    adversarial_contrast,
    dual_contrastive,
)
from fastpair.losses._sequence import LagMarginGrads, lag_margin_ranking
from fastpair.losses._session import bpr_max, top1
from fastpair.losses._sgns import SgnsGrads, sgns
from fastpair.losses._siglip import SigmoidGrads, siglip
from fastpair.losses._similarity_kl import SimilarityKlGrads, relation_kl, similarity_kl
from fastpair.losses._soft_confusion import soft_confusion
from fastpair.losses._soft_metrics import approx_mrr, approx_ndcg, smooth_ap
from fastpair.losses._soft_rank import soft_rank, soft_rank_vjp
from fastpair.losses._soft_targets import cwcl, soft_target_nce
from fastpair.losses._supcon import FeatureGrads, cliff_contrast, supcon
from fastpair.losses._supremix import SuPreMixGrads, supremix
from fastpair.losses._swapped import SwappedGrads, swapped_prediction
from fastpair.losses._uncertainty import UncertaintyInfoNceGrads, uncertainty_info_nce
from fastpair.losses._views import ViewGrads
from fastpair.losses._voco import BaseDecorrelationGrads, VocoGrads, base_decorrelation, voco

__all__ = [
    "AdversarialContrastGrads",
    "Ar2Grads",
    "BarlowTwinsGrads",
    "BaseDecorrelationGrads",
    "BinaryOppositeGrads",
    "ByolGrads",
    "CacrGrads",
    "ClusterContrastGrads",
    "ClusterProxyGrads",
    "CompSumGrads",
    "CompactnessGrads",
    "CustomGrads",
    "DecaGrads",
    "DiscoGrads",
    "DualContrastiveGrads",
    "EmbeddingGrads",
    "FeatureGrads",
    "InfoNceGrads",
    "LagMarginGrads",
    "LocalContrastGrads",
    "M2MixGrads",
    "NegativeCosineGrads",
    "PairGrads",
    "PairMseGrads",
    "PrototypeCompensatedGrads",
    "PrototypeDiversityGrads",
    "PrototypeGrads",
    "QueueCenterGrads",
    "RankContrastiveGrads",
    "RatioContrastGrads",
    "ScoreGrads",
    "SemanticOppositeGrads",
    "SgnsGrads",
    "SigmoidGrads",
    "SimilarityGrads",
    "SimilarityKlGrads",
    "SuPreMixGrads",
    "SwappedGrads",
    "UncertaintyInfoNceGrads",
    "VarianceHingeGrads",
    "ViewGrads",
    "VocoGrads",
    "adversarial_contrast",
    "approx_mrr",
    "approx_ndcg",
    "ar2_adversarial",
    "barlow_twins",
    "base_decorrelation",
    "binary_opposite",
    "bpo",
    "bpr",
    "bpr_max",
    "byol",
    "cacr",
    "cliff_contrast",
    "clip",
    "cluster_contrast",
    "cluster_proxy_contrast",
    "comp_sum",
    "compactness",
    "contrastive_margin_regularizer",
    "cosent",
    "custom",
    "cwcl",
    "dcl",
    "dclw",
    "deca",
    "dice",
    "disco",
    "drpo",
    "dual_contrastive",
    "fast_ap",
    "focal_nce",
    "grace",
    "groco",
    "hcl",
    "info_nce",
    "ipw_pairwise",
    "lag_margin_ranking",
    "lambda_rank",
    "list_mle",
    "listnet",
    "local_contrast",
    "m2mix",
    "mann_whitney",
    "margin_ranking",
    "matryoshka",
    "nbpo",
    "negative_cosine",
    "nt_xent",
    "pair_mse",
    "pairwise_bce",
    "pairwise_hinge",
    "patch_nce",
    "pearson",
    "plackett_luce",
    "pro_rank",
    "prototype_compensated",
    "prototype_diversity",
    "prototype_nce",
    "queue_center_nce",
    "rank_contrastive",
    "rank_kl",
    "rank_list",
    "ranknet",
    "ratio_contrast",
    "relation_kl",
    "semantic_opposite",
    "sgns",
    "siglip",
    "similarity_kl",
    "smooth_ap",
    "soft_confusion",
    "soft_rank",
    "soft_rank_vjp",
    "soft_target_nce",
    "softmax",
    "supcon",
    "supremix",
    "swapped_prediction",
    "top1",
    "tversky",
    "uncertainty_info_nce",
    "variance_hinge",
    "voco",
    "z_loss",
]
