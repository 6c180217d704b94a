"""Which pairs to learn from: masks, miners, filters of false negatives, weights, samplers, synthetic negatives."""

from fastpair.mining._anchor_mixtures import AnchorMixtures, anchor_mixtures
from fastpair.mining._asp_weights import asp_weights
from fastpair.mining._bad_positives import BadPositives, bad_positives
from fastpair.mining._batch_hard import BatchHard, batch_hard
from fastpair.mining._beta_mixture_weights import BetaMixture, beta_mixture_weights
from fastpair.mining._box_assignment import atss_mask, iou_assign
from fastpair.mining._category_weights import category_weights
from fastpair.mining._cluster_batches import ClusterBatches, cluster_batches
from fastpair.mining._cluster_negative_weights import cluster_negative_weights
from fastpair.mining._cluster_negatives import cluster_negatives, same_cluster_mask
from fastpair.mining._connected_components import connected_components
from fastpair.mining._contrast_set import select_contrast_set
from fastpair.mining._distance_weighted import distance_weighted
from fastpair.mining._extrapolate_positives import (
    ExtrapolatedPositives,
    InterpolatedNegatives,
    extrapolate_positives,
    interpolate_negatives,
)
from fastpair.mining._false_negative_filter import false_negative_filter
from fastpair.mining._formats import CompressedRows, Coordinates
from fastpair.mining._geodesic_mix import GeodesicGrads, GeodesicMix, geodesic_mix
from fastpair.mining._gradient_perturb import gradient_perturb
from fastpair.mining._hard_mask import hard_mask
from fastpair.mining._hard_negatives import HardNegatives, hard_negatives
from fastpair.mining._ipw_sample import ipw_sample
from fastpair.mining._iqr_filter import IqrFilter, iqr_filter
from fastpair.mining._knn_label_noise import LabelNoise, knn_label_noise
from fastpair.mining._least_used_negatives import LeastUsedNegatives, least_used_negatives
from fastpair.mining._loss_weights import ResampledPositives, loss_weights, resample_by_loss
from fastpair.mining._miner import Miner
from fastpair.mining._mix_hard_negatives import MixedNegatives, mix_hard_negatives
from fastpair.mining._mix_pairs import MixedPairs, mix_pairs
from fastpair.mining._multi_similarity_mask import MinedPairs, multi_similarity_mask
from fastpair.mining._neighbor_batches import neighbor_batches
from fastpair.mining._pair_masks import PairMasks, pair_masks
from fastpair.mining._preference_pairs import BestWorstPairs, PreferencePairs, best_worst_pairs, preference_pairs
from fastpair.mining._random_negatives import random_negatives
from fastpair.mining._relabel_candidates import relabel_candidates
from fastpair.mining._report import MiningReport
from fastpair.mining._samples import SampledNegatives
from fastpair.mining._selections import (
    FarthestTarget,
    SelectedSources,
    farthest_target,
    norm_ratio_filter,
    select_by_distance,
)
from fastpair.mining._semihard_pool import semihard_pool
from fastpair.mining._shrink_classes import ShrunkClasses, shrink_classes
from fastpair.mining._smote import SmoteSamples, smote
from fastpair.mining._soft_info_nce_weights import soft_info_nce_weights
from fastpair.mining._topk_negatives import TopkNegatives, topk_negatives
from fastpair.mining._triplets import Triplets, triplets
from fastpair.mining._unigram_negatives import unigram_negatives

__all__ = [
    "AnchorMixtures",
    "BadPositives",
    "BatchHard",
    "BestWorstPairs",
    "BetaMixture",
    "ClusterBatches",
    "CompressedRows",
    "Coordinates",
    "ExtrapolatedPositives",
    "FarthestTarget",
    "GeodesicGrads",
    "GeodesicMix",
    "HardNegatives",
    "InterpolatedNegatives",
    "IqrFilter",
    "LabelNoise",
    "LeastUsedNegatives",
    "MinedPairs",
    "Miner",
    "MiningReport",
    "MixedNegatives",
    "MixedPairs",
    "PairMasks",
    "PreferencePairs",
    "ResampledPositives",
    "SampledNegatives",
    "SelectedSources",
    "ShrunkClasses",
    "SmoteSamples",
    "TopkNegatives",
    "Triplets",
    "anchor_mixtures",
    "asp_weights",
    "atss_mask",
    "bad_positives",
    "batch_hard",
    "best_worst_pairs",
    "beta_mixture_weights",
    "category_weights",
    "cluster_batches",
    "cluster_negative_weights",
    "cluster_negatives",
    "connected_components",
    "distance_weighted",
    "extrapolate_positives",
    "false_negative_filter",
    "farthest_target",
    "geodesic_mix",
    "gradient_perturb",
    "hard_mask",
    "hard_negatives",
    "interpolate_negatives",
    "iou_assign",
    "ipw_sample",
    "iqr_filter",
    "knn_label_noise",
    "least_used_negatives",
    "loss_weights",
    "mix_hard_negatives",
    "mix_pairs",
    "multi_similarity_mask",
    "neighbor_batches",
    "norm_ratio_filter",
    "pair_masks",
    "preference_pairs",
    "random_negatives",
    "relabel_candidates",
    "resample_by_loss",
    "same_cluster_mask",
    "select_by_distance",
    "select_contrast_set",
    "semihard_pool",
    "shrink_classes",
    "smote",
    "soft_info_nce_weights",
    "topk_negatives",
    "triplets",
    "unigram_negatives",
]
