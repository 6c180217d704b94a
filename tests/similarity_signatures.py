"""The signatures of metrics and of similarity, and the fields of their named tuples, for `test_api.py`."""

import loss_signatures

RESOURCES = "num_threads=None, max_memory=None"
LONG = f"{RESOURCES}, progress=False"
MASKS = "exclude_self=False, mask=None, exclude=None, x_labels=None, y_labels=None, same_label=None"
RULES = f"{MASKS}, min_score=None, max_score=None"
COVARIANCES = "covariance=None, inverse_covariance=None"
PAIRS = "x, labels, *, metric='cosine', exact=None, bins=1 << 18, num_threads=None, progress=False"

PARAMETERS = {
    "auc": (
        "scores, labels, *, weights=None, groups=None, offsets=None, axis=-1, pos_label=None, nan_policy='raise', "
        "presorted=None, return_groups=False, num_threads=None"
    ),
    "gauc": (
        "scores, labels, groups=None, *, offsets=None, weighting='uniform', weights=None, undefined='skip', "
        "pos_label=None, nan_policy='raise', num_threads=None"
    ),
    "topk": f"x, y=None, k=10, *, metric='cosine', largest=None, {RULES}, filter='auto', {LONG}, out=None",
    "radius": (
        f"x, y=None, threshold=None, *, metric='cosine', largest=None, {RULES}, max_hits=None, sort=False, "
        f"filter='auto', {LONG}"
    ),
    "pairwise": (
        f"x, y=None, metric='dot', *, bandwidth=None, {COVARIANCES}, exact=False, {RESOURCES}, out=None, "
        "return_grad=False, grad_output=None"
    ),
    "similarity.rowwise": f"x, y, metric='dot', *, bandwidth=None, {COVARIANCES}, num_threads=None",
    "similarity.reduce": (
        "x, y=None, *, op='max', metric='cosine', threshold=None, scale=1.0, bins=10, range=None, largest=None, "
        f"{MASKS}, {LONG}"
    ),
    "similarity.late_interaction": (
        "a, b, *, a_mask=None, b_mask=None, a_offsets=None, b_offsets=None, mode='max', alpha=0.1, symmetric=False, "
        "metric='cosine', k=None, num_threads=None"
    ),
    "metrics.pair_auc": PAIRS,
    "metrics.pair_eer": PAIRS,
    "similarity.sinkhorn": (
        "similarities, eps=0.05, n_iter=3, *, marginals=None, dustbin=None, return_potentials=False"
    ),
}

NAMED_TUPLES = {
    "metrics.GroupedAuc": ("auc", "groups"),
    "metrics.PairAuc": ("auc", "low", "high"),
    "metrics.PairEer": ("eer", "threshold", "low", "high"),
    "similarity.Histogram": ("counts", "edges"),
    "similarity.PairwiseGradient": ("x", "y"),
    "similarity.TopK": ("scores", "indices"),
    "similarity.RadiusHits": ("indptr", "indices", "scores"),
    "similarity.SinkhornPlan": ("plan", "u", "v"),
}

SIGNATURES = {name: loss_signatures.listed(text) for name, text in PARAMETERS.items()}
