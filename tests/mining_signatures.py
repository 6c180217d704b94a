"""The signatures of the functions of mining and the fields of their named tuples, for `test_api.py`."""

import loss_signatures

RESOURCES = "num_threads=None, max_memory=None"
LONG = f"{RESOURCES}, progress=False"

PARAMETERS = {
    "anchor_mixtures": "z, labels, n_positive=1, n_negative=1, *, window=None, alpha=2.0, normalize=False, seed=None",
    "asp_weights": "similarities, progress, *, schedule='lambda', curve='linear', decay_start=0.5",
    "atss_mask": "anchors, boxes, *, level_sizes=None, k=9, anchors_per_location=1, min_side=0.01",
    "bad_positives": "losses, *, current=None, b_np=2.0, b_fp=3.0, warm=50, normalize='density'",
    "batch_hard": (
        "x, y=None, *, labels=None, positives=None, metric='cosine', positive='hardest', negative='hardest', "
        f"margin=float('inf'), fallback='none', {LONG}"
    ),
    "best_worst_pairs": "rewards, *, groups=None, offsets=None",
    "beta_mixture_weights": "similarities, positives=None, *, ignore=None, n_iter=10, false_share=0.05",
    "category_weights": (
        "similarities, categories, y_categories=None, *, strength=1.0, positives=None, ignore=None, weights=None"
    ),
    "cluster_batches": f"x=None, batch_size=1024, cluster_size=32, *, clusters=None, max_iter=20, seed=None, {LONG}",
    "cluster_negative_weights": "assignments, y_assignments=None",
    "cluster_negatives": (
        "clusters, k=1, *, neighbors=None, include_own=True, positives=None, replace=False, seed=None, max_memory=None"
    ),
    "connected_components": "pairs, n",
    "distance_weighted": (
        f"x, y=None, *, labels=None, positives=None, k=1, cutoff=0.5, nonzero_cutoff=None, seed=None, {LONG}"
    ),
    "extrapolate_positives": "query, key, factors=None, *, alpha=2.0, per_dimension=False, normalize=False, seed=None",
    "false_negative_filter": (
        "similarities, positives=None, *, positive_scores=None, positive='min', ignore=None, max_score=None, "
        "abs_margin=None, rel_margin=None, judge_scores=None, band=None, same_label=None, same_id=None, "
        "same_cluster=None, duplicates=None, quantile=None, iqr=None, keep_at_least=0"
    ),
    "farthest_target": "similarities, *, groups=None, offsets=None",
    "geodesic_mix": (
        "a, b, shares=None, *, alpha=2.0, on_antipodal='perpendicular', seed=None, return_grad=False, grad_output=None"
    ),
    "gradient_perturb": "x, gradient, eps=1.0",
    "hard_mask": (
        "x, y=None, *, labels=None, positives=None, metric='cosine', kind='semihard', margin=0.2, "
        f"positive='min', format='mask', {LONG}"
    ),
    "hard_negatives": (
        "queries, corpus, positives, *, k, metric='cosine', range=(0, None), min_score=None, max_score=None, "
        "abs_margin=None, rel_margin=None, positive='min', exclude=None, query_labels=None, corpus_labels=None, "
        f"teacher=None, sample='top', temperature=0.05, seed=None, fallback='short', duplicates='keep', "
        f"filter='auto', {LONG}"
    ),
    "interpolate_negatives": (
        "queue, shares=None, *, alpha=1.6, per_dimension=False, permutation=None, normalize=False, seed=None"
    ),
    "iou_assign": "overlaps, *, threshold=None, k=None, unique=False",
    "ipw_sample": "scores, propensities=None, k=1, *, min_propensity=0.01, seed=None, max_memory=None",
    "iqr_filter": "values, ratio=1.5, *, mask=None",
    "knn_label_noise": f"x, labels, ref_x=None, ref_labels=None, k=5, *, rule='majority', metric='cosine', {LONG}",
    "least_used_negatives": "uses, k, *, mode='random', power=1.0, seed=None",
    "loss_weights": "losses, kind='linupper', *, delta=1.0, low=0.75, high=1.8, r=1.0, step=None, warmup=1000",
    "mix_hard_negatives": (
        "query, bank, n_hard, n_mix, n_mix_query, *, mode='mochi', beta=2.0, temperature=1.0, shares=None, "
        f"exclude=None, seed=None, return_scores=False, {LONG}"
    ),
    "mix_pairs": "first, second=None, pairs=None, *, shares=None, alpha=2.0, normalize=False, seed=None",
    "multi_similarity_mask": (
        "x, y=None, *, labels=None, positives=None, metric='cosine', epsilon=0.1, duplicate_eps=1e-05, "
        f"format='mask', {LONG}"
    ),
    "neighbor_batches": (
        "x=None, y=None, batch_size=128, *, neighbors=None, n_neighbors=64, pool=128, max_tries=1024, "
        f"metric='cosine', seed=None, {LONG}"
    ),
    "norm_ratio_filter": "queries, references, *, max_ratio=1.0",
    "pair_masks": "labels=None, y_labels=None, *, positives=None, ids=None, ignore=None, format='mask'",
    "preference_pairs": "scores, labels, *, strategy='disagreement', confidences=None",
    "random_negatives": (
        "n_items, k=1, *, positives=None, labels=None, n_rows=None, replace=False, seed=None, max_memory=None"
    ),
    "relabel_candidates": "rank, has_answer, pos_index",
    "resample_by_loss": "losses, *, groups=None, offsets=None, temperature=0.1, seed=None",
    "same_cluster_mask": "clusters, *, format='mask'",
    "select_by_distance": "distances, sources=None, *, n_negatives=2, exclude_self=False",
    "select_contrast_set": "values, k, *, by='margin', largest=True, model_scores=None",
    "semihard_pool": (
        "x, y=None, n_neg=16384, *, mode='semihard', pool=128000, labels=None, exclude=None, metric='cosine', "
        f"seed=None, {LONG}"
    ),
    "shrink_classes": "probabilities, *, threshold=0.95, first=3",
    "smote": f"x, amount=100.0, *, k=5, metric='euclidean', seed=None, {LONG}",
    "soft_info_nce_weights": (
        "similarities, positives=None, *, ignore=None, temperature=1.0, alpha=1.0, beta=1.0, floor=0.1"
    ),
    "topk_negatives": (
        "x=None, y=None, *, k, positives=None, similarities=None, metric='cosine', filter=None, teacher=None, "
        f"rank_range=None, skip_top=0, ids=None, append_relevant=False, seed=None, "
        f"search_filter='auto', {LONG}"
    ),
    "triplets": (
        "x, y=None, *, labels=None, positives=None, metric='cosine', kind='margin', margin=0.2, select='all', "
        f"fallback='none', max_triplets=None, seed=None, {LONG}"
    ),
    "unigram_negatives": (
        "counts, k=1, *, alpha=0.75, positives=None, n_rows=None, replace=True, seed=None, max_memory=None"
    ),
}

NAMED_TUPLES = {
    "mining.AnchorMixtures": ("mixtures", "mask", "labels", "parents", "shares"),
    "mining.BadPositives": ("weights", "noisy", "faulty", "scores"),
    "mining.BatchHard": ("positives", "negatives", "positive_scores", "negative_scores"),
    "mining.BestWorstPairs": ("best", "worst"),
    "mining.BetaMixture": ("weights", "alphas", "betas", "shares"),
    "mining.ClusterBatches": ("indptr", "indices", "clusters"),
    "mining.CompressedRows": ("indptr", "indices"),
    "mining.Coordinates": ("rows", "columns"),
    "mining.ExtrapolatedPositives": ("query", "key", "factors"),
    "mining.FarthestTarget": ("target", "means"),
    "mining.GeodesicGrads": ("a", "b"),
    "mining.GeodesicMix": ("vectors", "shares"),
    "mining.HardNegatives": ("indices", "scores", "positive_scores", "counts", "report"),
    "mining.InterpolatedNegatives": ("negatives", "permutation", "shares"),
    "mining.IqrFilter": ("keep", "low", "high"),
    "mining.LabelNoise": ("flags", "suggestions", "agreement"),
    "mining.LeastUsedNegatives": ("indices", "counts", "uses"),
    "mining.MinedPairs": ("positives", "negatives"),
    "mining.MiningReport": (
        "queries",
        "rows",
        "k",
        "mined",
        "short",
        "relaxed",
        "positives",
        "exclude",
        "labels",
        "duplicates",
        "max_score",
        "abs_margin",
        "rel_margin",
    ),
    "mining.MixedNegatives": ("vectors", "scores", "parents", "shares", "counts"),
    "mining.MixedPairs": ("vectors", "shares", "parents"),
    "mining.PairMasks": ("positives", "negatives", "ignored"),
    "mining.PreferencePairs": ("partners", "values"),
    "mining.ResampledPositives": ("indices", "probabilities"),
    "mining.SampledNegatives": ("indices", "counts"),
    "mining.SelectedSources": ("positives", "negatives", "weights", "counts"),
    "mining.ShrunkClasses": ("mask", "weights", "ranks"),
    "mining.SmoteSamples": ("samples", "parents", "shares"),
    "mining.TopkNegatives": ("indices", "scores", "counts"),
    "mining.Triplets": ("indices", "counts"),
}

SIGNATURES = {f"mining.{name}": loss_signatures.listed(text) for name, text in PARAMETERS.items()}
