"""Losses over embeddings on the GPU: the public functions, against the same calls on arrays in host memory."""

from functools import partial

import cases
import cupy_on_host
import embeddings
import libraries
import numpy as np
import pytest
from embedding_losses import METRICS, assert_near, pair, rows
from fastpair import losses, mining
from test_oracle_contrastive import GOLDEN, ROWS, S3

N, M, D, K = 5, 8, 3, 2
RTOL = {"float64": 1e-10, "float32": 5e-6, "float16": 2e-3, "bfloat16": 1.6e-2}

rng = cases.generator("contrastive")
X, Y = pair(rng, N, M, D)
Z, FEATURES, SQUARE, S = rows(rng, N, D), rng.normal(size=(N, 2, D)), rng.normal(size=(N, N)), rng.normal(size=(N, M))
MASK, OUT = rng.random((N, M)) < 0.4, rng.random((N, M)) < 0.3
MASK[0], MASK[1] = True, False
APART = OUT & ~np.eye(N, M, dtype=bool)
PAIRS, EACH, ROW = rng.random((N, M)) + 0.2, rng.random(M) + 0.2, rng.random(N)
PAIRS[0, 5], ROW[1] = 0, 0
POSITIVE = ROW + 0.1
LABELS, COLUMNS = np.array([0, 1, 0, 1, 2]), np.array([3, 0, -1, 7, 2])
MANY = np.arange(M) % 3
OWN = rng.normal(size=(N, K, D))
upstream = {"reduction": "none", "grad_output": ROW - 0.3}
info_nce = partial(losses.info_nce, temperature=0.3)
info_nce.__name__ = "info_nce"

INFO_NCE = {
    "plain": {},
    "weights": {"weights": ROW},
    "weights, their sum": {"weights": ROW, "weight_norm": "weights", "positives": MASK, "on_empty": "zero"},
    "zero": {"positives": MASK, "on_empty": "zero"},
    "sum": {"reduction": "sum"},
    "none": upstream,
    "none, weights": {**upstream, "weights": ROW},
    "columns": {"positives": COLUMNS},
    "mask": {"positives": MASK},
    "bits": {"positives": np.packbits(MASK, axis=1)},
    "compressed rows": {"positives": (np.append(0, MASK.sum(axis=1).cumsum()), np.nonzero(MASK)[1])},
    "log_sum": {"positives": MASK, "multi_positive": "log_sum"},
    "each": {"positives": MASK, "multi_positive": "each"},
    "sample": {"positives": MASK, "multi_positive": "sample", "seed": 3},
    "labels": {"labels": (LABELS, MANY)},
    "positives left out": {"include_positive": False},
    "label smoothing": {"label_smoothing": 0.1},
    "margin": {"margin": 0.2},
    "arc margin": {"arc_margin": 0.5},
    "hard_k": {"hard_k": 2},
    "hard_threshold": {"hard_threshold": -0.05, "hard_k": 3},
    "focal": {"focal_gamma": 0.5},
    "focal, detached": {"focal_gamma": 0.5, "detach_weights": True},
    "ids": {"ids": MANY},
    "groups": {"groups": (LABELS, MANY)},
    "neg_mask": {"neg_mask": ~OUT},
    "ignore": {"ignore": APART},
    "weights of columns": {"neg_weights": EACH, "grad_weights": True},
    "weights of pairs": {"neg_weights": PAIRS, "grad_weights": True},
    "weights of positives": {"pos_weights": POSITIVE},
    "temperatures of pairs": {"temperature": PAIRS + 0.1, "neg_weights": PAIRS, "grad_weights": True},
    "temperatures": {"temperature": POSITIVE},
    "extra": {"extra_negatives": Z, "ids": (LABELS, np.arange(M + N) % 4)},
    "extra similarities": {"extra_similarities": PAIRS},
    "paired": {"paired_negatives": OWN},
    "all candidates": {"extra_negatives": Z, "extra_similarities": PAIRS, "paired_negatives": OWN},
    "replaced": {"positives": ROW - 0.5},
    "replaced, temperatures": {"positives": ROW - 0.5, "temperature": PAIRS + 0.1},
    "symmetric": {"symmetric": True},
    "symmetric mask": {"symmetric": True, "positives": MASK},
    "symmetric weights": {"symmetric": True, "neg_weights": PAIRS, "grad_weights": True},
    "a band": {"labels": (LABELS, MANY), "neg_mask": mining.Miner(mining.hard_mask, kind="semihard", margin=0.4)},
    "hard pairs": {"labels": (LABELS, MANY), "neg_mask": mining.Miner(mining.multi_similarity_mask, epsilon=0.3)},
}

CALLS = {
    **{f"info_nce, {name}": (info_nce, (X, Y), options) for name, options in INFO_NCE.items()},
    "info_nce of x with itself": (info_nce, (X,), {"labels": LABELS}),
    "info_nce of similarities": (info_nce, (), {"similarities": S}),
    "info_nce, slots": (info_nce, (X, np.stack([Y[:N], Z], axis=1)), {"multi_positive": "each"}),
    "info_nce, a slot": (info_nce, (X, np.stack([Y[:N], Z], axis=1)), {"multi_positive": "sample", "seed": 1}),
    "clip": (losses.clip, (X, Y[:N], None, 0.3), {}),
    "clip, none": (losses.clip, (X, Y[:N], None, 0.3), {**upstream, "weights": ROW}),
    "clip of similarities": (losses.clip, (), {"similarities": SQUARE, "temperature": 0.3}),
    "focal_nce": (losses.focal_nce, (X, Y[:N]), {}),
    "patch_nce": (losses.patch_nce, (X, Y[:N]), {"groups": np.array([0, 0, 1, 1, 1]), "detach_keys": True}),
    "supcon": (losses.supcon, (FEATURES, LABELS), {"temperature": 0.3, "base_temperature": 0.5}),
    "supcon of views": (losses.supcon, (FEATURES,), {"temperature": 0.3, **upstream}),
    "supcon, one": (losses.supcon, (FEATURES, LABELS), {"temperature": 0.3, "contrast_mode": "one"}),
    "supcon, mask": (losses.supcon, (X,), {"temperature": 0.3, "mask": np.abs(SQUARE)}),
    "supcon of similarities": (losses.supcon, (), {"similarities": SQUARE, "labels": LABELS, "weights": ROW}),
    "cliff_contrast": (losses.cliff_contrast, (X, LABELS), {}),
    "siglip": (losses.siglip, (X, Y), {}),
    "siglip, mask": (losses.siglip, (X, Y, MASK), {"ignore": OUT & ~MASK, "weights": ROW}),
    "pairwise_bce": (losses.pairwise_bce, (X, Y), {}),
    "pairwise_bce, sides": (losses.pairwise_bce, (X, Y), {"balance": "sides", "ignore": APART}),
    "pairwise_bce of a list": (losses.pairwise_bce, (), {"similarities": ROW, "positives": ROW > 0.5}),
    "binary_opposite": (losses.binary_opposite, (SQUARE, SQUARE.T.copy()), {}),
    "nt_xent": (losses.nt_xent, (X, Z), {}),
    "nt_xent, none": (losses.nt_xent, (X, Z), {**upstream, "weights": ROW}),
    "nt_xent, cross_only": (losses.nt_xent, (X, Z), {"mode": "cross_only"}),
    "nt_xent, weighted": (losses.nt_xent, (X, Z), {"inter_weight": 2.0, "intra_weight": 0.5}),
    "nt_xent, mask": (losses.nt_xent, (X, Z), {"mask_intra": OUT[:, :N]}),
    "grace": (losses.grace, (X, Z), {"intra": False}),
    "dcl": (losses.dcl, (X, Z), {}),
    "dcl, one direction": (losses.dcl, (X, Z), {"symmetric": False}),
    "dcl, across": (losses.dcl, (X, Z), {"intra": False, "weights": ROW}),
    "dcl, across, one direction": (losses.dcl, (X, Z), {"intra": False, "symmetric": False}),
    "dclw": (losses.dclw, (X, Z), {}),
    "hcl": (losses.hcl, (X, Y), {}),
    "hcl, columns": (losses.hcl, (X, Y, COLUMNS), {"temperature": POSITIVE, "detach_weights": True}),
    "soft_target_nce": (losses.soft_target_nce, (X, Y, PAIRS), {"temperature": 0.3}),
    "soft_target_nce, some": (losses.soft_target_nce, (X, Y, PAIRS), {"ignore": OUT, "normalize_targets": False}),
    "cwcl": (losses.cwcl, (X, Z, SQUARE), {"temperature": 0.3}),
    "prototype_nce": (losses.prototype_nce, (X, Y), {"assignments": COLUMNS}),
    "prototype_nce, soft": (losses.prototype_nce, (X, Y), {"assignments": COLUMNS, "target_temperature": 0.3}),
    "prototype_nce, targets": (losses.prototype_nce, (X, Y), {"targets": PAIRS}),
    "prototype_nce, scaled": (losses.prototype_nce, (X, Y), {"assignments": COLUMNS, "concentration": EACH}),
    "swapped_prediction": (losses.swapped_prediction, (np.stack([X, Z]), Y), {"assignments": np.stack([PAIRS] * 2)}),
    "local_contrast": (losses.local_contrast, (X, Z, OWN), {"metric": "euclidean", "temperature": POSITIVE}),
    "matryoshka": (losses.matryoshka, (losses.info_nce, X, Y), {"dims": [2, 3], "normalize": True}),
}
READS = {"info_nce, plain": 1, "info_nce, labels": 1, "clip": 1, "supcon": 1, "nt_xent": 1, "siglip": 1, "hcl": 1}
"""How often the host waits in calls without weights: to learn that embeddings are finite."""


def of_dtype(value, dtype):
    """Arguments with arrays of floats in another dtype."""
    if isinstance(value, dict):
        return {name: of_dtype(item, dtype) for name, item in value.items()}
    if type(value) is tuple:
        return tuple(of_dtype(item, dtype) for item in value)
    is_float = isinstance(value, np.ndarray) and value.dtype == np.float64
    return embeddings.cast(value, dtype) if is_float else value


def check(cupy, name, dtype, **more):
    """Everything that the call returns is on the device, and what it is on the host."""
    loss, args, options = CALLS[name]
    args, options = of_dtype(args, dtype), {**of_dtype(options, dtype), **more}
    value, grads = loss(*args, **options, return_grad=True)
    given = libraries.on_device(cupy, (args, options))
    before = cupy_on_host.transfers.count
    found, found_grads = loss(*given[0], **given[1], return_grad=True)
    reads = cupy_on_host.transfers.count - before
    assert type(found_grads) is type(grads)
    pairs = [("value", found, value), *zip(grads._fields, found_grads, grads, strict=True)]
    for part, own, wanted in pairs:
        if wanted is None:
            assert own is None, (name, part)
            continue
        assert isinstance(own, cupy.ndarray), (name, part, type(own))
        assert own.dtype == wanted.dtype, (name, part, own.dtype)
        size = max(float(np.abs(np.asarray(wanted, np.float64)).max(initial=0)), 0.1)
        assert_near(own.get(), wanted, RTOL[dtype], f"{name} {part} {dtype}", size)
    for own, before in zip(libraries.on_host(given[0]), args, strict=True):
        if isinstance(before, np.ndarray):
            np.testing.assert_array_equal(own, before, err_msg=name)
    return found, reads


@pytest.mark.parametrize("name", CALLS)
def test_every_call(cupy, name):
    found, reads = check(cupy, name, "float64")
    if cupy is cupy_on_host.library and name in READS:
        assert reads == READS[name]
    loss, args, options = CALLS[name]
    alone = {key: value for key, value in options.items() if key not in ("grad_output", "grad_weights")}
    given = libraries.on_device(cupy, (args, alone))
    np.testing.assert_array_equal(loss(*given[0], **given[1]).get(), found.get())


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("name", ["info_nce, plain", "info_nce, paired", "clip", "supcon", "nt_xent", "dclw", "hcl"])
def test_dtypes(cupy, name, dtype):
    check(cupy, name, dtype)


@pytest.mark.parametrize("metric", METRICS)
def test_metrics(cupy, metric):
    for name in ("info_nce, all candidates", "info_nce, temperatures of pairs", "clip", "siglip"):
        check(cupy, name, "float64", metric=metric)


def test_golden_numbers(xp):
    def value(loss, **options):
        return float(loss(similarities=xp.asarray(S3), **options))

    assert value(losses.info_nce, temperature=0.1) == pytest.approx(GOLDEN["info_nce"], abs=1e-14)
    assert value(losses.info_nce, temperature=1) == pytest.approx(GOLDEN["info_nce at 1"], abs=1e-14)
    assert value(losses.clip, temperature=0.1) == pytest.approx(GOLDEN["symmetric"], abs=1e-14)
    each = losses.info_nce(similarities=xp.asarray(S3), temperature=0.1, reduction="none")
    assert_near(libraries.on_host(each), ROWS["info_nce"], 1e-6)


def test_temperatures_on_the_device(cupy):
    x, y = cupy.asarray(X), cupy.asarray(Y)
    value, grads = losses.info_nce(x, y, temperature=cupy.asarray(0.3), return_grad=True)
    wanted, wanted_grads = losses.info_nce(X, Y, temperature=0.3, return_grad=True)
    assert_near(value.get(), wanted, 1e-12)
    assert grads.temperature.shape == ()
    assert_near(grads.temperature.get(), wanted_grads.temperature, 1e-12)


def test_nothing_that_counts(cupy):
    nobody = np.full(N, -1)
    for loss, args in ((info_nce, (X, Y, nobody)), (losses.siglip, (X[:0], Y[:0])), (losses.hcl, (X[:0], Y[:0]))):
        value, grads = loss(*libraries.on_device(cupy, args), return_grad=True)
        assert float(value) == 0
        assert not grads.x.get().any()
    value = info_nce(*libraries.on_device(cupy, (X, Y, nobody)), on_empty="zero")
    assert float(value) == 0


@pytest.mark.parametrize(
    "call",
    [
        lambda to: info_nce(to(X), to(np.where(np.arange(M)[:, np.newaxis] == 4, np.nan, Y))),
        lambda to: losses.nt_xent(to(X), to(np.where(np.arange(N)[:, np.newaxis] == 4, np.inf, Z))),
        lambda to: info_nce(to(X), to(Y), to(COLUMNS), on_empty="error"),
        lambda to: info_nce(to(X), to(Y), to(COLUMNS + 1)),
        lambda to: info_nce(to(X), to(Y), temperature=to(ROW - 1)),
        lambda to: info_nce(to(X), to(Y), weights=to(ROW - 1)),
        lambda to: info_nce(to(X), to(Y[:, :2])),
        lambda to: info_nce(to(X), to(Y), to(MASK), ignore=to(MASK)),
        lambda to: losses.supcon(to(X), to(LABELS[:2])),
        lambda to: losses.soft_target_nce(to(X), to(Y), to(-PAIRS)),
        lambda to: losses.prototype_nce(to(X), to(Y), to(COLUMNS + 1)),
    ],
)
def test_errors_are_those_of_the_host(cupy, call):
    with pytest.raises(ValueError) as wanted:
        call(lambda array: array)
    with pytest.raises(ValueError) as caught:
        call(cupy.asarray)
    assert str(caught.value) == str(wanted.value)


def test_libraries_are_not_mixed(cupy):
    x, y = cupy.asarray(X), cupy.asarray(Y)
    for call in (
        lambda: losses.info_nce(x, Y),
        lambda: losses.info_nce(X, y),
        lambda: losses.info_nce(x, y, COLUMNS),
        lambda: losses.info_nce(x, y, weights=list(ROW)),
        lambda: losses.info_nce(x, y, neg_weights=PAIRS),
        lambda: losses.supcon(x, LABELS),
        lambda: losses.siglip(x, y, ignore=APART),
    ):
        with pytest.raises(TypeError, match="in host memory"):
            call()
    with pytest.raises(TypeError, match="sinkhorn, which makes them, has no GPU kernel"):
        losses.swapped_prediction(cupy.asarray(np.stack([X, Z])), y)
