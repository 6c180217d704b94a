"""What every loss is called with in the tests of `fastpair.torch`: scores that want a gradient, and other arguments."""

import inspect

import numpy as np
from fastpair import losses

RNG = np.random.default_rng(0)
LISTS = np.repeat([7, 3, 5], 4)
SCORES = RNG.normal(size=12)
LABELS = np.array([1, 0, 0, 1] * 3)
GRADES = np.array([2, 0, 1, 0, 3, 1, 0, 2, 0, 1, 2, 3])
PAIRS = {"pos": RNG.normal(size=5), "neg": RNG.normal(size=(5, 3))}
MATRIX = RNG.normal(size=(4, 5))

LABELLED, GRADED = {"labels": LABELS, "groups": LISTS}, {"relevance": GRADES, "groups": LISTS}
TARGETS = {"targets": GRADES, "groups": LISTS}

X, Y = RNG.normal(size=(2, 5, 3))
EXTRA, PAIRED = RNG.normal(size=(2, 3)), RNG.normal(size=(5, 2, 3))
CLASSES = np.array([0, 1, 0, 1, 0])
HALF = np.array(0.5)
ROWS, VIEWS = {"x": X, "y": Y}, {"z1": X, "z2": Y}
TEMPERED_ROWS, TEMPERED_VIEWS = {**ROWS, "temperature": HALF}, {**VIEWS, "temperature": HALF}


def by_squares(similarities, rows):
    """A loss for `custom`."""
    return (similarities**2).sum(axis=1), 2 * similarities


# Of each function, the scores, and other arguments for which it is smooth around them.
CALLS = {
    "mann_whitney": ({"scores": SCORES}, {"labels": LABELS}),
    "ranknet": ({"scores": SCORES}, GRADED),
    "pairwise_hinge": ({"scores": SCORES}, GRADED),
    "ipw_pairwise": ({"scores": SCORES}, {**GRADED, "propensities": np.linspace(0.2, 1, 12)}),
    "lambda_rank": ({"scores": SCORES}, GRADED),
    "plackett_luce": ({"scores": SCORES}, GRADED),
    "list_mle": ({"scores": SCORES}, GRADED),
    "listnet": ({"scores": SCORES}, GRADED),
    "softmax": ({"scores": SCORES}, GRADED),
    "rank_list": ({"scores": SCORES}, GRADED),
    "lag_margin_ranking": ({"scores": SCORES}, GRADED),
    "soft_rank": ({"scores": SCORES}, {"temperature": 0.5, "groups": LISTS}),
    "smooth_ap": ({"scores": SCORES}, {**LABELLED, "temperature": 0.5}),
    "approx_mrr": ({"scores": SCORES}, {**LABELLED, "temperature": 0.5}),
    "approx_ndcg": ({"scores": SCORES}, {**GRADED, "temperature": 0.5}),
    "fast_ap": ({"scores": SCORES}, {**LABELLED, "range": (-4.0, 4.0)}),
    "cosent": ({"scores": SCORES}, {**TARGETS, "scale": 2.0}),
    "pearson": ({"scores": SCORES}, TARGETS),
    "rank_kl": ({"scores": SCORES}, {**TARGETS, "temperature": 0.5}),
    "pro_rank": ({"scores": SCORES}, {**TARGETS, "temperature": 0.5}),
    "disco": ({"scores": SCORES}, LABELLED),
    "drpo": ({"scores": SCORES}, {**LABELLED, "lengths": np.arange(1, 13)}),
    "soft_confusion": ({"scores": SCORES}, {**LABELLED, "sharpness": 3.0}),
    "dice": ({"scores": SCORES}, {**LABELLED, "alpha": 1.0}),
    "tversky": ({"scores": SCORES}, LABELLED),
    "bpo": ({"scores": SCORES}, {"labels": LABELS}),
    "nbpo": ({"scores": SCORES}, {"labels": LABELS, "flip_rate": 0.2}),
    **{name: (PAIRS, {}) for name in ("bpr", "bpr_max", "margin_ranking", "top1")},
    **{name: ({"similarities": MATRIX}, {"positives": np.array([0, 2, 1, 3])}) for name in ("comp_sum", "z_loss")},
    "info_nce": ({**TEMPERED_ROWS, "extra_negatives": EXTRA, "paired_negatives": PAIRED}, {}),
    **{name: (TEMPERED_ROWS, {}) for name in ("clip", "focal_nce", "hcl")},
    **{name: (TEMPERED_VIEWS, {}) for name in ("nt_xent", "grace", "dcl", "dclw")},
    **{name: ({"features": X}, {"labels": CLASSES}) for name in ("supcon", "cliff_contrast")},
    "soft_target_nce": (TEMPERED_ROWS, {"targets": RNG.uniform(size=(5, 5))}),
    "cwcl": (TEMPERED_ROWS, {"u": RNG.normal(size=(5, 4))}),
    **{name: ({**ROWS, "scale": HALF, "bias": -HALF}, {}) for name in ("siglip", "pairwise_bce")},
    "binary_opposite": ({"yes": MATRIX[:, :4], "no": MATRIX[:, 1:]}, {}),
    "matryoshka": (TEMPERED_ROWS, {"loss": losses.info_nce, "dims": [2, 3]}),
    "prototype_nce": ({"x": X, "prototypes": Y[:3], "temperature": HALF}, {"assignments": CLASSES}),
    "swapped_prediction": (
        {"views": np.stack([X, Y]), "prototypes": EXTRA, "temperature": HALF},
        {"assignments": RNG.uniform(size=(2, 5, 2))},
    ),
    "groco": ({"x": X}, {"labels": CLASSES}),
    **{name: (ROWS, {}) for name in ("compactness", "semantic_opposite")},
    "contrastive_margin_regularizer": (ROWS, {"temperature": 0.5}),
    "dual_contrastive": ({"real": SCORES[:5], "fake": SCORES[5:]}, {}),
    "adversarial_contrast": ({"matched": MATRIX, "farthest": MATRIX[::-1].copy(), "temperature": HALF}, {}),
    "pair_mse": ({"x": X}, {"teacher": Y}),
    "ratio_contrast": ({"anchors": X, "positives": Y, "negatives": PAIRED}, {}),
    "base_decorrelation": ({"x": X}, {}),
    "cluster_proxy_contrast": (
        {"x": X, "centers": EXTRA, "temperature": HALF},
        {"adjacency": np.ones((5, 5)) - np.eye(5)},
    ),
    "m2mix": (TEMPERED_ROWS, {"mix": 0.3}),
    "prototype_compensated": (
        {"x": X, "prototypes": EXTRA, "temperature": HALF},
        {"labels": CLASSES, "false_negatives": [PAIRED[0]], "false_positives": [PAIRED[1]], "detach_weights": False},
    ),
    "prototype_diversity": ({"prototypes": X}, {}),
    "queue_center_nce": ({"positives": X, "negatives": Y, "temperature": HALF}, {"queue": EXTRA}),
    "supremix": (
        {"features": X, "mixtures": PAIRED, "temperature": HALF},
        {"labels": CLASSES, "mixture_mask": np.array([[1, 0]] * 5)},
    ),
    "uncertainty_info_nce": ({**TEMPERED_ROWS, "augmented": 1.1 * Y}, {}),
    "voco": (ROWS, {"overlaps": RNG.uniform(size=(5, 5))}),
    "local_contrast": ({**TEMPERED_ROWS, "negatives": PAIRED}, {}),
    "patch_nce": ({"x": X, "temperature": HALF}, {"y": Y, "groups": CLASSES}),
    "cacr": ({"views": np.stack([X, Y])}, {}),
    "barlow_twins": (VIEWS, {}),
    "variance_hinge": ({"x": X}, {"gamma": 5.0}),
    "negative_cosine": ({"p": X}, {"z": Y}),
    "byol": ({"p1": X, "p2": Y}, {"z1": Y, "z2": X}),
    "sgns": (ROWS, {"negatives": np.array([[1, 2], [2, 3], [3, 4], [4, 0], [0, 1]])}),
    **{
        name: (
            {"similarities": MATRIX, "temperature": HALF},
            {"teacher": MATRIX[::-1].copy(), "teacher_temperature": 0.5},
        )
        for name in ("similarity_kl", "relation_kl")
    },
    "rank_contrastive": ({"scores": SCORES, "temperature": HALF}, {"labels": GRADES}),
    "ar2_adversarial": (
        {"similarities": MATRIX, "temperature": HALF},
        {"ranker": MATRIX[::-1].copy(), "adversarial_weight": 0.5},
    ),
    "cluster_contrast": ({"x": X, "temperature": HALF}, {"y": Y, "assignments": CLASSES}),
    "deca": ({"assignments": MATRIX}, {"adjacency": np.ones((4, 4)) - np.eye(4)}),
    "custom": (ROWS, {"tile_fn": by_squares}),
}
LOSSES = [name for name in CALLS if name != "soft_rank"]
ROW_LOSSES = [name for name in LOSSES if "grad_output" in inspect.signature(getattr(losses, name)).parameters]

# Arguments that have gradients in other calls.
OTHER_CALLS = {
    "weights of negatives": ("info_nce", {**ROWS, "neg_weights": RNG.uniform(0.5, 2, (5, 5))}, {}),
    "given positives": ("info_nce", {**ROWS, "positives": RNG.normal(size=5)}, {"temperature": 0.5}),
    "given scores": ("info_nce", {**ROWS, "extra_similarities": PAIRED[:, :, 0]}, {"temperature": 0.5}),
    "matrix": ("info_nce", {"similarities": MATRIX, "temperature": HALF}, {}),
    "temperatures of rows": ("info_nce", {**ROWS, "temperature": RNG.uniform(0.5, 1, 5)}, {}),
    "both directions": ("info_nce", TEMPERED_ROWS, {"symmetric": True}),
    "concentration": (
        "prototype_nce",
        {"x": X, "prototypes": Y[:3], "concentration": RNG.uniform(0.5, 1, 3)},
        {"assignments": CLASSES},
    ),
    "a learned temperature": ("supcon", {"features": X, "temperature": HALF}, {"labels": CLASSES}),
    "two views": ("supcon", {"features": np.stack([X, Y], axis=1)}, {"temperature": 0.5}),
    "one set": ("info_nce", {"x": X}, {"labels": CLASSES, "temperature": 0.5}),
    "queue": ("queue_center_nce", {"queue": EXTRA}, {"positives": X, "negatives": Y, "queue_grad": True}),
    "teacher": ("similarity_kl", {"similarities": MATRIX, "teacher": MATRIX[::-1].copy()}, {"teacher_grad": True}),
}
