"""The signatures of `fastpair.losses` and the fields of its named tuples, for `test_api.py`."""

import inspect

LISTS = "groups=None, offsets=None"
REDUCED = "on_empty='skip', reduction='mean', return_grad=False, grad_output=None"
REDUCED_NEARLY = "on_empty='skip', reduction='mean', rtol=1e-12, return_grad=False, grad_output=None"
ALIGNED = "weights=None, reduction='mean', return_grad=False, grad_output=None, num_threads=None"
PENALTY = "kl=None, beta=1e3, delta=1e-4, pos_label=None"
SURROGATE = "surrogate='logistic', temperature=1.0, margin=1.0, slope=2.0"

PARAMETERS = {
    "mann_whitney": (
        "scores=None, labels=None, *, pos=None, neg=None, similarities=None, positives=None, ignore=None, "
        f"{SURROGATE}, weights=None, {LISTS}, scope='global', normalizer='pairs', {REDUCED_NEARLY}, "
        "pos_label=None, num_threads=None"
    ),
    "ranknet": (
        f"scores=None, relevance=None, *, pos=None, neg=None, {LISTS}, sigma=1.0, pair_weights=None, weights=None, "
        f"normalizer='pairs', {REDUCED_NEARLY}, num_threads=None"
    ),
    "pairwise_hinge": (
        f"scores, relevance, *, {LISTS}, margin=1.0, squared=False, weights=None, normalizer='pairs', {REDUCED}, "
        "num_threads=None"
    ),
    "ipw_pairwise": (
        f"scores, relevance, propensities, *, {LISTS}, {SURROGATE}, min_propensity=0.01, weights=None, "
        f"normalizer='pairs', {REDUCED_NEARLY}, num_threads=None"
    ),
    "bpr": f"pos, neg, *, sigma=1.0, {ALIGNED}",
    "margin_ranking": f"pos, neg, *, margin=1.0, {ALIGNED}",
    "top1": f"pos, neg, *, {ALIGNED}",
    "bpr_max": f"pos, neg, *, regularization=1.0, {ALIGNED}",
    "lambda_rank": (
        f"scores, relevance, *, {LISTS}, delta='ndcg', cut=None, sigma=1.0, mu=10.0, gain='exponential', ranks=None, "
        f"weights=None, normalizer='groups', compat=None, {REDUCED}, num_threads=None"
    ),
    "plackett_luce": (
        f"scores, relevance=None, *, order=None, {LISTS}, top_k=None, ties='average', seed=None, weights=None, "
        f"normalizer='sum', {REDUCED}, num_threads=None"
    ),
    "listnet": f"scores, relevance, *, {LISTS}, temperature=1.0, weights=None, {REDUCED}, num_threads=None",
    "softmax": f"scores, relevance, *, {LISTS}, temperature=1.0, weights=None, {REDUCED}, num_threads=None",
    "rank_list": (
        f"scores, relevance, *, {LISTS}, skips=(1, 2), tail=False, weights=None, normalizer='sum', {REDUCED}, "
        "num_threads=None"
    ),
    "soft_rank": f"scores, *, temperature=1.0, {LISTS}, rtol=1e-12, num_threads=None",
    "soft_rank_vjp": f"scores, upstream, *, temperature=1.0, {LISTS}, rtol=1e-12, num_threads=None",
    "smooth_ap": (
        f"scores, labels, *, {LISTS}, temperature=0.01, weights=None, {REDUCED_NEARLY}, pos_label=None, "
        "num_threads=None"
    ),
    "approx_ndcg": (
        f"scores, relevance, *, {LISTS}, temperature=0.1, cut=None, gain='exponential', compat=None, weights=None, "
        f"{REDUCED_NEARLY}, num_threads=None"
    ),
    "approx_mrr": (
        f"scores, labels, *, {LISTS}, temperature=0.1, relevant='first', weights=None, {REDUCED_NEARLY}, "
        "pos_label=None, num_threads=None"
    ),
    "fast_ap": (
        f"scores, labels, *, {LISTS}, bins=10, range=(-1.0, 1.0), weights=None, {REDUCED}, pos_label=None, "
        "num_threads=None"
    ),
    "cosent": f"scores, targets, *, {LISTS}, scale=20.0, weights=None, {REDUCED}",
    "pearson": f"scores, targets, *, {LISTS}, weights=None, {REDUCED}",
    "rank_kl": f"scores, targets, *, {LISTS}, temperature=0.05, weights=None, normalizer='sum', {REDUCED}",
    "pro_rank": f"scores, targets, *, {LISTS}, temperature=0.05, weights=None, normalizer='groups', {REDUCED}",
    "comp_sum": (
        "similarities, positives=None, *, tau=1.0, ignore=None, adversarial=None, nu=1.0, weights=None, " + REDUCED
    ),
    "z_loss": f"similarities, positives=None, *, a=1.0, b=1.0, ignore=None, weights=None, {REDUCED}",
    "lag_margin_ranking": (
        f"scores, relevance=None, *, {LISTS}, margin=0.001, gold=None, gold_margin=0.0, gold_weight=1.0, "
        f"weights=None, {REDUCED}"
    ),
    "disco": f"scores, labels, *, {LISTS}, temperature=10.0, positive_weights=None, {PENALTY}, weights=None, {REDUCED}",
    "drpo": (
        f"scores, labels, lengths, *, {LISTS}, temperature=10.0, length_temperature=0.1, max_length=None, {PENALTY}, "
        f"weights=None, {REDUCED}"
    ),
    "soft_confusion": (
        f"scores, labels, *, {LISTS}, metric='f_beta', beta=1.0, sharpness=73.0, from_logits=True, zero_division=0.0, "
        f"pos_label=None, weights=None, {REDUCED}"
    ),
    "dice": (
        f"scores, labels, *, {LISTS}, alpha=0.0, smooth=1e-4, squared=False, hard_ratio=None, from_logits=True, "
        f"pos_label=None, weights=None, {REDUCED}"
    ),
    "tversky": (
        f"scores, labels, *, {LISTS}, alpha=0.5, beta=0.5, smooth=1e-4, from_logits=True, pos_label=None, "
        f"weights=None, {REDUCED}"
    ),
    "bpo": f"scores, labels, *, pos_label=None, weights=None, {REDUCED}",
    "nbpo": f"scores, labels, *, flip_rate, pos_label=None, weights=None, {REDUCED}",
}

NAMED_TUPLES = {
    "losses.CompSumGrads": ("similarities", "adversarial"),
    "losses.DiscoGrads": ("scores", "kl"),
    "losses.LagMarginGrads": ("scores", "gold"),
    "losses.PairGrads": ("pos", "neg"),
    "losses.ScoreGrads": ("scores",),
    "losses.SimilarityGrads": ("similarities",),
}


def entries(signature):
    """Names and defaults of parameters, with "*" where those by keyword begin, and names with stars as they are."""
    found, kind = [], inspect.Parameter.POSITIONAL_OR_KEYWORD
    for parameter in signature.parameters.values():
        if parameter.kind in {parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD}:
            found.append(str(parameter).split(":")[0])
            kind = parameter.KEYWORD_ONLY
            continue
        if parameter.kind != kind:
            found.append("*")
            kind = parameter.kind
        found.append((parameter.name, parameter.default))
    return found


def listed(text):
    """The entries of parameters that are written as in a definition."""
    return entries(inspect.signature(eval(f"lambda {text}: None")))


SIGNATURES = {f"losses.{name}": listed(text) for name, text in PARAMETERS.items()}
