"""The signatures of the losses of embeddings and the fields of their named tuples, for `test_api.py`."""

import loss_signatures

WEIGHTS = "weights=None, weight_norm='count', on_empty='skip'"
REDUCED = "reduction='mean', return_grad=False, grad_output=None"
RESOURCES = "num_threads=None, max_memory=None"
ROWS = f"{WEIGHTS}, {REDUCED}, {RESOURCES}"

PARAMETERS = {
    "adversarial_contrast": "matched, farthest, temperature=0.1, *, distortion=0.0, alpha=0.0, return_grad=False",
    "ar2_adversarial": (
        "similarities, ranker, positives=None, temperature=1.0, *, adversarial_weight=0.0, ignore=None, "
        "return_grad=False"
    ),
    "barlow_twins": "z1, z2, *, redundancy=0.005, scale=0.025, eps=0.0, return_grad=False",
    "base_decorrelation": "x, *, return_grad=False",
    "binary_opposite": f"yes, no, *, return_grad=False, {RESOURCES}",
    "byol": f"p1, p2, z1, z2, *, scale=2.0, mask=None, on_empty='skip', {REDUCED}",
    "cacr": (
        "views, t_pos=1.0, t_neg=1.0, alpha=1.0, beta=1.0, *, cost='euclidean', rbf_t=2.0, debiased=False, "
        f"tau_plus=0.1, part='both', detach_weights=False, weights=None, {REDUCED}, {RESOURCES}"
    ),
    "cliff_contrast": f"features=None, labels=None, *, mask=None, similarities=None, metric='cosine', {ROWS}",
    "clip": (
        "x=None, y=None, positives=None, temperature=0.07, *, similarities=None, metric='cosine', "
        f"label_smoothing=0.0, extra_negatives=None, paired_negatives=None, ids=None, {ROWS}"
    ),
    "cluster_contrast": (
        f"x, y, assignments, temperature=0.4, *, kernel='cosine', gamma=8e-05, keep_empty=False, {ROWS}"
    ),
    "cluster_proxy_contrast": f"x, centers, adjacency, temperature=1.0, *, return_grad=False, {RESOURCES}",
    "compactness": f"x, y, *, {WEIGHTS}, {REDUCED}",
    "contrastive_margin_regularizer": (
        f"x=None, y=None, positives=None, temperature=1.0, *, similarities=None, metric='dot', {ROWS}"
    ),
    "custom": f"x=None, y=None, *, tile_fn, similarities=None, metric='cosine', valid=None, {ROWS}",
    "cwcl": (
        f"x=None, y=None, u=None, temperature=0.07, *, similarities=None, metric='cosine', both_directions=True, {ROWS}"
    ),
    "dcl": (
        "z1, z2, temperature=0.1, *, metric='cosine', weighting=None, sigma=0.5, intra=True, symmetric=True, "
        f"detach_weights=False, compat=None, {ROWS}"
    ),
    "dclw": (
        "z1, z2, temperature=0.1, *, metric='cosine', sigma=0.5, intra=True, symmetric=True, "
        f"detach_weights=False, compat=None, {ROWS}"
    ),
    "deca": "assignments, adjacency, *, balance=1.0, return_grad=False",
    "dual_contrastive": "real, fake, *, return_grad=False",
    "focal_nce": (
        "x=None, y=None, positives=None, temperature=0.07, gamma=0.5, *, similarities=None, metric='cosine', "
        f"labels=None, ignore=None, ids=None, groups=None, detach_weights=False, {ROWS}"
    ),
    "grace": f"z1, z2, temperature=0.5, *, metric='cosine', intra=True, mask_intra=None, {ROWS}",
    "groco": (
        "x=None, y=None, positives=None, *, labels=None, similarities=None, metric='cosine', n_negatives=10, "
        f"steepness=1.0, ignore=None, {ROWS}"
    ),
    "hcl": (
        "x=None, y=None, positives=None, temperature=0.5, beta=1.0, tau_plus=0.1, *, similarities=None, "
        f"metric='cosine', ignore=None, neg_mask=None, ids=None, groups=None, detach_weights=False, {ROWS}"
    ),
    "info_nce": (
        "x=None, y=None, positives=None, temperature=0.07, *, similarities=None, metric='cosine', "
        "symmetric=False, labels=None, extra_negatives=None, extra_similarities=None, paired_negatives=None, "
        "ignore=None, neg_mask=None, ids=None, groups=None, neg_weights=None, pos_weights=None, "
        "grad_weights=False, include_positive=True, multi_positive='mean', seed=None, label_smoothing=0.0, "
        "margin=0.0, arc_margin=0.0, hard_k=None, hard_threshold=None, focal_gamma=0.0, detach_weights=False, "
        f"{ROWS}"
    ),
    "local_contrast": f"x, y, negatives, temperature=0.07, *, metric='cosine', {ROWS}",
    "m2mix": f"x, y, mix=0.5, temperature=0.01, *, {ROWS}",
    "matryoshka": "loss, *args, dims, dim_weights=None, normalize=False, return_grad=False, **options",
    "negative_cosine": (
        f"p, z, *, scale=2.0, mask=None, symmetric=False, weights=(1.0, 1.0), on_empty='skip', {REDUCED}"
    ),
    "nt_xent": (
        "z1, z2, temperature=0.5, *, metric='cosine', mode='two_view', inter_weight=1.0, intra_weight=1.0, "
        f"mask_intra=None, {ROWS}"
    ),
    "pair_mse": "x, teacher, *, weights=None, reduction='sum', return_grad=False, grad_output=None",
    "pairwise_bce": (
        "x=None, y=None, positives=None, scale=1.0, bias=0.0, *, similarities=None, metric='dot', "
        f"balance='pairs', labels=None, ignore=None, weights=None, {REDUCED}, {RESOURCES}"
    ),
    "patch_nce": f"x, y, groups=None, temperature=0.07, *, metric='cosine', detach_keys=True, {ROWS}",
    "prototype_compensated": (
        "x, prototypes, labels, temperature=0.125, *, false_negatives=(), false_positives=(), alpha=0.125, "
        f"detach_weights=True, {WEIGHTS}, {REDUCED}"
    ),
    "prototype_diversity": "prototypes, *, return_grad=False",
    "prototype_nce": (
        "x=None, prototypes=None, assignments=None, targets=None, temperature=0.1, concentration=None, "
        f"target_temperature=0.0, *, similarities=None, metric='cosine', teacher_prototypes=None, {ROWS}"
    ),
    "queue_center_nce": (
        "queue, positives, negatives, temperature=0.07, *, metric='cosine', queue_grad=False, "
        f"return_grad=False, {RESOURCES}"
    ),
    "rank_contrastive": (
        "scores, labels, levels=None, temperature=0.5, *, groups=None, offsets=None, weights=None, "
        f"on_empty='skip', {REDUCED}"
    ),
    "ratio_contrast": "anchors, positives, negatives, *, eps=3e-07, return_grad=False",
    "relation_kl": (
        "similarities=None, teacher=None, temperature=0.1, teacher_temperature=None, mode='forward', *, "
        f"x=None, y=None, teacher_x=None, teacher_y=None, metric='cosine', ignore=None, {WEIGHTS}, "
        f"reduction='mean', return_grad=False, teacher_grad=False, grad_output=None, {RESOURCES}"
    ),
    "semantic_opposite": f"x, y, *, form='distance', eps=0.0001, weights=None, {REDUCED}",
    "sgns": f"x, y, positives=None, negatives=None, *, {ROWS}",
    "siglip": (
        "x=None, y=None, positives=None, scale=10.0, bias=-10.0, *, similarities=None, metric='cosine', "
        f"labels=None, ignore=None, neg_mask=None, ids=None, groups=None, {ROWS}"
    ),
    "similarity_kl": (
        "similarities=None, teacher=None, temperature=0.1, teacher_temperature=None, mode='forward', *, "
        f"x=None, y=None, teacher_x=None, teacher_y=None, metric='cosine', ignore=None, {WEIGHTS}, "
        f"reduction='mean', return_grad=False, teacher_grad=False, grad_output=None, {RESOURCES}"
    ),
    "soft_target_nce": (
        "x=None, y=None, targets=None, temperature=0.07, *, similarities=None, metric='cosine', "
        f"normalize_targets=True, student_scale=None, ignore=None, {ROWS}"
    ),
    "supcon": (
        "features=None, labels=None, *, mask=None, similarities=None, temperature=0.07, "
        f"base_temperature=None, contrast_mode='all', metric='cosine', {ROWS}"
    ),
    "supremix": (
        "features, labels, mixtures=None, mixture_mask=None, mixture_labels=None, temperature=0.07, *, "
        f"weighting=None, {ROWS}"
    ),
    "swapped_prediction": (
        "views=None, prototypes=None, temperature=0.1, *, similarities=None, assignments=None, "
        f"assign_views=None, metric='cosine', eps=0.05, n_iter=3, {ROWS}"
    ),
    "uncertainty_info_nce": (
        f"x, y, augmented, gamma=0.5, temperature=1.0, *, metric='dot', return_grad=False, {RESOURCES}"
    ),
    "variance_hinge": "x, *, gamma=1.0, eps=0.0001, scale=1.0, return_grad=False",
    "voco": f"x, y, overlaps, *, eps=1e-06, return_grad=False, {RESOURCES}",
}

NAMED_TUPLES = {
    "losses.AdversarialContrastGrads": ("matched", "farthest", "temperature"),
    "losses.Ar2Grads": ("similarities", "temperature"),
    "losses.BarlowTwinsGrads": ("z1", "z2"),
    "losses.BaseDecorrelationGrads": ("x",),
    "losses.BinaryOppositeGrads": ("yes", "no"),
    "losses.ByolGrads": ("p1", "p2"),
    "losses.CacrGrads": ("views",),
    "losses.ClusterContrastGrads": ("x", "temperature"),
    "losses.ClusterProxyGrads": ("x", "centers", "temperature"),
    "losses.CompactnessGrads": ("x", "y"),
    "losses.CustomGrads": ("x", "y", "similarities", "parameters"),
    "losses.DecaGrads": ("assignments",),
    "losses.DualContrastiveGrads": ("real", "fake"),
    "losses.EmbeddingGrads": ("x", "y", "temperature", "similarities"),
    "losses.FeatureGrads": ("features", "temperature", "similarities"),
    "losses.InfoNceGrads": (
        "x",
        "y",
        "positives",
        "temperature",
        "similarities",
        "extra_negatives",
        "extra_similarities",
        "paired_negatives",
        "neg_weights",
    ),
    "losses.LocalContrastGrads": ("x", "y", "negatives", "temperature"),
    "losses.M2MixGrads": ("x", "y", "temperature"),
    "losses.NegativeCosineGrads": ("p", "z"),
    "losses.PairMseGrads": ("x",),
    "losses.PrototypeCompensatedGrads": ("x", "prototypes", "temperature"),
    "losses.PrototypeDiversityGrads": ("prototypes",),
    "losses.PrototypeGrads": ("x", "prototypes", "temperature", "concentration", "similarities"),
    "losses.QueueCenterGrads": ("queue", "positives", "negatives", "temperature"),
    "losses.RankContrastiveGrads": ("scores", "temperature"),
    "losses.RatioContrastGrads": ("anchors", "positives", "negatives"),
    "losses.SemanticOppositeGrads": ("x", "y"),
    "losses.SgnsGrads": ("x", "y"),
    "losses.SigmoidGrads": ("x", "y", "scale", "bias", "similarities"),
    "losses.SimilarityKlGrads": ("x", "y", "similarities", "teacher", "temperature"),
    "losses.SuPreMixGrads": ("features", "mixtures", "temperature"),
    "losses.SwappedGrads": ("views", "prototypes", "temperature", "similarities"),
    "losses.UncertaintyInfoNceGrads": ("x", "y", "augmented", "temperature"),
    "losses.VarianceHingeGrads": ("x",),
    "losses.ViewGrads": ("z1", "z2", "temperature"),
    "losses.VocoGrads": ("x", "y"),
    "embeddings.PairWeights": ("weights", "signs", "pull", "push", "ratio"),
}

SIGNATURES = {f"losses.{name}": loss_signatures.listed(text) for name, text in PARAMETERS.items()}
SIGNATURES["embeddings.pair_weights"] = loss_signatures.listed("loss, similarities, *arguments, **options")
