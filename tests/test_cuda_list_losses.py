"""Losses over lists and aligned pairs on arrays of numpy and CuPy: against the oracle, and against each other."""

from functools import partial

import cases
import cupy_on_host
import libraries
import ml_dtypes
import numpy as np
import oracle_losses as oracle
import oracle_ranks as ranks
import pytest
from cupy_on_host import module
from fastpair import losses
from fastpair._cuda import lists
from libraries import on_device, on_host
from score_losses import LOSSES, SIZES, assert_close, assert_gradient, expected, sample

INF, NAN = np.inf, np.nan
OWN = [name for name in LOSSES if not name.startswith(("mann_whitney", "fast_ap"))]
KERNELS = ("ranknet", "pairwise_hinge squared", "lambda_rank ndcg2++", "plackett_luce average", "listnet", "softmax")
"""One loss for each way through the kernels."""
FEW = (3, 1, 17, 2, 0, 9)
"""Sizes of lists, of which some are skipped."""
NARROW = 4e-7
"""The error of a term where scores have at most 32 bits; the specification allows 2e-6."""


def is_narrow(dtype):
    return dtype.kind not in "biu" and dtype.itemsize < 8


def run(xp, call, *args, **options):
    """A call with its arrays in the library, and what it returns on the host."""
    given = on_device(xp, args), on_device(xp, options)
    result = call(*given[0], **given[1])
    value = result[0] if isinstance(result, tuple) else result
    assert isinstance(value, (np.float64, np.ndarray) if xp is np else xp.ndarray)
    return on_host(result)


def check(xp, row, scores, labels, wanted, *, about="", **options):
    value, grads = run(xp, row.call, scores, labels, return_grad=True, **options)
    assert np.asarray(value).dtype == np.float64
    rtol = NARROW if xp is not np and is_narrow(scores.dtype) else 1e-12
    assert_close(value, wanted[0], np.maximum(np.abs(wanted[0]), row.unit), rtol, about=about)
    assert_gradient(grads.scores, wanted[1], wanted[2], scores, rtol, about=about)


def check_same(cupy, call, *args, **options):
    """CuPy arrays give what numpy arrays give, in shape, dtype and, but for rounding, value."""
    found, wanted = run(cupy, call, *args, **options), run(np, call, *args, **options)
    pairs, narrow = [(found, wanted)], any(is_narrow(a.dtype) for a in args if isinstance(a, np.ndarray))
    if isinstance(wanted, tuple):
        assert type(found[1]) is type(wanted[1])
        pairs = [(found[0], wanted[0]), *zip(found[1], wanted[1], strict=True)]
    for own, other in pairs:
        assert (own is None) == (other is None)
        if other is None:
            continue
        own, other = np.asarray(own), np.asarray(other)
        assert (own.dtype, own.shape) == (other.dtype, other.shape)
        few = max(1e-12, NARROW if narrow else 0, float(ml_dtypes.finfo(own.dtype).eps))
        own, other = own.astype(np.float64), other.astype(np.float64)
        scale = np.abs(other[np.isfinite(other)]).max(initial=0)
        np.testing.assert_allclose(own, other, rtol=2 * few, atol=2 * few * scale)


@pytest.fixture(params=OWN)
def row(request):
    return LOSSES[request.param]


@pytest.fixture(params=KERNELS)
def few_rows(request):
    return LOSSES[request.param]


@pytest.fixture(params=[False, True], ids=["forwards", "backwards"])
def turns(request, monkeypatch):
    """Threads of a block run in either order, and short runs make orders come from merges."""
    monkeypatch.setattr(module.RawKernel, "backwards", request.param)
    monkeypatch.setattr(lists, "RUN", 4 if request.param else 512)


def test_value_and_gradient(xp, row, turns):
    scores, labels, offsets = sample(row.labels, FEW)
    rows = oracle.rows_of(len(scores), offsets=offsets)
    for normalizer in (None, *row.normalizers):
        choice = {} if normalizer is None else {"normalizer": normalizer}
        wanted = expected(row, scores, labels, rows, normalizer)
        check(xp, row, scores, labels, wanted, about=normalizer, offsets=offsets, **choice)


def test_lists_by_ids_in_any_order(xp, few_rows):
    scores, labels, _ = sample(few_rows.labels)
    codes = np.repeat([4, 9, 0, 7, 3, 1, 8, 5], SIZES)
    order = cases.generator("order").permutation(len(scores))
    scores, labels, codes = scores[order], labels[order], codes[order]
    rows = oracle.rows_of(len(scores), groups=codes)
    check(xp, few_rows, scores, labels, expected(few_rows, scores, labels, rows), groups=codes)


def test_every_reduction(cupy, few_rows):
    scores, labels, offsets = sample(few_rows.labels, FEW)
    count = len(FEW)
    upstream, weights = np.linspace(-1, 2, count), np.arange(count) / 3
    for normalizer in (None, *few_rows.normalizers):
        for on_empty in ("skip", "zero") if normalizer is None else ("skip",):
            choice = {"offsets": offsets, "on_empty": on_empty, "return_grad": True, "weights": weights}
            choice |= {} if normalizer is None else {"normalizer": normalizer}
            for reduction in ("mean", "sum"):
                check_same(cupy, few_rows.call, scores, labels, reduction=reduction, **choice)
            check_same(cupy, few_rows.call, scores, labels, reduction="none", grad_output=upstream, **choice)
    check_same(cupy, few_rows.call, scores, labels, offsets=offsets, weights=np.zeros(count), return_grad=True)
    check_same(cupy, few_rows.call, scores, labels, offsets=offsets)
    with pytest.raises(ValueError, match=r"list [014] lacks what the loss needs"):
        run(cupy, few_rows.call, scores, labels, offsets=offsets, on_empty="error")


def test_one_list(xp, few_rows, turns):
    for n in (2, 17):
        scores, labels, _ = sample(few_rows.labels, (n,))
        check(xp, few_rows, scores, labels, expected(few_rows, scores, labels, [np.arange(n)]))


def test_scores_of_every_dtype(xp, few_rows, dtype):
    scores, labels, offsets = sample(few_rows.labels, (9, 1, 20), dtype)
    rows = oracle.rows_of(30, offsets=offsets)
    wanted = expected(few_rows, scores, labels, rows)
    check(xp, few_rows, scores, labels.astype("u1"), wanted, offsets=offsets.astype("i4"))


def test_narrow_scores(cupy):
    """Terms in float32 keep the digits of small losses too: of pairs that are far apart in the right order."""
    rng = cases.generator("narrow")
    for apart in (0.1, 1.0, 10.0, 60.0, 300.0):
        labels = rng.integers(0, 2, 40)
        scores = (apart * labels + rng.normal(size=40)).astype(np.float32)
        for surrogate in ("logistic", "sigmoid", "exponential"):
            for sign in (1, -1) if surrogate != "exponential" else (1,):
                ones = np.ones(40)
                call = partial(losses.ipw_pairwise, surrogate=surrogate)
                found = run(cupy, call, sign * scores, labels, ones, return_grad=True)
                wanted = run(np, call, (sign * scores).astype(float), labels, ones, return_grad=True)
                np.testing.assert_allclose(found[0], wanted[0], rtol=NARROW)
                normal = np.abs(wanted[1].scores) > 1e-37
                np.testing.assert_allclose(found[1].scores[normal], wanted[1].scores[normal], rtol=2 * NARROW)


def test_hard_scores(cupy, few_rows):
    """Ties, zeros of both signs, subnormal and large numbers, infinities; NaN as scores and as relevance."""
    _, labels, offsets = sample(few_rows.labels, (40, 5, 24))
    rng = cases.generator("hard")
    lists_of_numbers = {
        "ties": rng.integers(-1, 2, 69) * 0.5,
        "zeros": rng.choice([0.0, -0.0, 5e-324, -1e-310], 69),
        "far": 1e6 + rng.normal(size=69),
        "infinite": rng.choice([INF, -INF, 0.0, 1.0], 69),
        "missing": np.where(rng.random(69) < 0.05, NAN, rng.normal(size=69)),
    }
    for name, scores in lists_of_numbers.items():
        if name == "infinite" and few_rows.call.func.__name__ == "plackett_luce":
            continue  # has no limit there
        check_same(cupy, few_rows.call, scores, labels, offsets=offsets, reduction="none")
        check_same(cupy, few_rows.call, scores, labels, offsets=offsets, return_grad=True, reduction="sum")
    if few_rows.labels == "grades":
        graded = np.where(rng.random(69) < 0.3, NAN, labels)
        graded[40:45] = NAN
        scores = np.where(np.isnan(graded) & (rng.random(69) < 0.5), NAN, rng.normal(size=69))
        check_same(cupy, few_rows.call, scores, graded, offsets=offsets, return_grad=True)


@pytest.mark.parametrize("sizes", [(), (0,), (1,), (0, 1, 0)])
def test_nothing_left_is_zero(cupy, few_rows, sizes):
    scores, labels, offsets = sample(few_rows.labels, sizes)
    for options in ({"offsets": offsets}, {"groups": np.repeat(np.arange(len(sizes)), sizes)}, {}):
        check_same(cupy, few_rows.call, scores, labels, return_grad=True, **options)
    check_same(cupy, few_rows.call, scores, labels, offsets=offsets, reduction="none")


def test_strides_and_inputs_unchanged(cupy, few_rows):
    scores, labels, offsets = sample(few_rows.labels)
    value, grads = run(cupy, few_rows.call, scores, labels, offsets=offsets, return_grad=True)
    wide, behind = cupy.asarray(np.repeat(scores, 3)), cupy.asarray(labels[::-1].copy())
    before = wide.get(), behind.get()
    found, others = few_rows.call(wide[::3], behind[::-1], offsets=cupy.asarray(offsets), return_grad=True)
    assert found.get() == value
    np.testing.assert_array_equal(others.scores.get(), grads.scores)
    np.testing.assert_array_equal(wide.get(), before[0])
    np.testing.assert_array_equal(behind.get(), before[1])


COMPOSED = {
    "dice": (losses.dice, "classes", {}),
    "dice of the hardest": (partial(losses.dice, hard_ratio=1.0, alpha=0.5, squared=True), "classes", {}),
    "tversky": (partial(losses.tversky, alpha=0.3), "classes", {}),
    "f_beta": (partial(losses.soft_confusion, sharpness=5.0), "classes", {}),
    "gmean": (partial(losses.soft_confusion, metric="gmean", sharpness=5.0), "classes", {}),
    "accuracy": (partial(losses.soft_confusion, metric="accuracy"), "classes", {}),
    "pearson": (losses.pearson, "grades", {}),
    "rank_kl": (partial(losses.rank_kl, temperature=0.5), "grades", {}),
    "cosent": (partial(losses.cosent, scale=3.0), "grades", {}),
    "disco": (losses.disco, "classes", {}),
    "disco with a divergence": (partial(losses.disco, kl=0.1), "classes", {"positive_weights": "positive"}),
    "drpo": (losses.drpo, "classes", {"lengths": "positive"}),
    "ipw_pairwise": (losses.ipw_pairwise, "grades", {"propensities": "positive"}),
    "rank_contrastive": (losses.rank_contrastive, "grades", {}),
    "rank_list": (losses.rank_list, "grades", {}),
    "rank_list with its tail": (partial(losses.rank_list, tail=True, skips=(1, 2, 3)), "grades", {}),
    "lambda_rank of allrank": (partial(losses.lambda_rank, compat="allrank", cut=3), "grades", {}),
    "lambda_rank of given ranks": (partial(losses.lambda_rank, delta="ndcg2++"), "grades", {"ranks": "ranks"}),
    "plackett_luce at random": (partial(losses.plackett_luce, ties="random", seed=3), "grades", {}),
}


@pytest.mark.parametrize("name", COMPOSED)
def test_composed_losses(cupy, name, turns):
    call, kind, more = COMPOSED[name]
    scores, labels, offsets = sample(kind, FEW)
    rng = cases.generator(name)
    companions = {"positive": rng.uniform(0.1, 1, len(scores)), "ranks": rng.integers(1, 90, len(scores))}
    options = {key: companions[value] for key, value in more.items()}
    check_same(cupy, call, scores.astype(np.float32), labels, offsets=offsets, return_grad=True, **options)
    check_same(cupy, call, scores, labels, **options)
    groups = rng.integers(0, 5, len(scores))
    check_same(cupy, call, scores, labels, groups=groups, return_grad=True, **options)
    labels = np.where(rng.random(len(labels)) < 0.2, NAN, labels)
    scores[-2] = NAN
    check_same(cupy, call, scores, labels, offsets=offsets, return_grad=True, **options)


def test_right_order(cupy):
    scores = cases.generator("order").normal(size=9)
    order = np.array([3, 1, 4, 0, 5, 8, 2, 6, 7])
    check_same(cupy, losses.plackett_luce, scores, order=order, return_grad=True)
    for wrong, message in ((order % 8, "misses index 8"), (order + 1, "has indices from 1 to 9")):
        with pytest.raises(ValueError, match=message):
            run(cupy, losses.plackett_luce, scores, order=wrong)


ALIGNED = {
    "bpr": (losses.bpr, ranks.aligned),
    "bpr at sigma 4": (partial(losses.bpr, sigma=4.0), partial(ranks.aligned, temperature=0.25)),
    "margin_ranking": (losses.margin_ranking, partial(ranks.aligned, surrogate="hinge")),
    "ranknet": (losses.ranknet, ranks.aligned),
    "top1": (losses.top1, None),
    "bpr_max": (losses.bpr_max, None),
}


@pytest.mark.parametrize("name", ALIGNED)
@pytest.mark.parametrize("shape", [(0,), (1,), (33,), (5, 1), (9, 3), (3, 40), (4, 0)], ids=str)
def test_aligned_pairs(cupy, name, shape, turns):
    call, rng = ALIGNED[name][0], cases.generator(name, *shape)
    if name == "ranknet":
        call = lambda pos, neg, **options: losses.ranknet(pos=pos, neg=neg, **options)  # noqa: E731
    pos, neg = rng.normal(size=shape[0]), rng.normal(size=shape)
    for above, below in ((pos, neg), (pos.astype(np.float16), neg.astype(np.float32)), (np.rint(pos).astype(int), neg)):
        check_same(cupy, call, above, below, return_grad=True)
        check_same(cupy, call, above, below, reduction="sum")
        options = {"weights": np.arange(shape[0]) % 3, "grad_output": np.arange(shape[0]) - 1.5}
        check_same(cupy, call, above, below, reduction="none", return_grad=True, **options)


def test_aligned_pairs_of_hard_scores(cupy):
    hard = np.array([INF, -INF, NAN, 0.0, -0.0, 1e6, 5e-324])
    pos, neg = np.repeat(hard, 7), np.tile(hard, 7)
    for call in (losses.bpr, losses.margin_ranking, losses.top1):
        check_same(cupy, call, pos, neg, return_grad=True, reduction="none", grad_output=np.ones(49))
    shares = np.arange(49) % 2
    options = {"pair_weights": shares, "return_grad": True, "reduction": "none", "grad_output": np.ones(49)}
    check_same(cupy, partial(losses.ranknet, None, None), pos=pos, neg=neg, **options)


@pytest.mark.parametrize("call", [losses.bpo, partial(losses.nbpo, flip_rate=0.2)], ids=["bpo", "nbpo"])
def test_implicit_feedback(cupy, call):
    rng = cases.generator("implicit")
    scores, labels = rng.normal(0, 9, (6, 5)), rng.choice([0.0, 1.0, NAN], (6, 5))
    check_same(cupy, call, scores, labels, return_grad=True)
    check_same(cupy, call, scores, labels, reduction="none", return_grad=True, grad_output=scores)
    if call is not losses.bpo:
        rate = rng.uniform(0, 0.9, 5)
        check_same(cupy, losses.nbpo, scores, labels, flip_rate=rate, return_grad=True)
        with pytest.raises(ValueError, match=r"flip_rate holds 1\.5"):
            run(cupy, losses.nbpo, scores, labels, flip_rate=rate + 1.5 - rate[0])


def test_two_sets_of_scores(cupy):
    rng = cases.generator("sets")
    real, fake = rng.normal(size=7).astype(np.float32), rng.normal(size=4)
    for above, below in ((real, fake), (real[:0], fake), (real * 1e30, fake)):
        check_same(cupy, losses.dual_contrastive, above, below)
        check_same(cupy, losses.dual_contrastive, above, below, return_grad=True)
    near, far = rng.normal(size=(6, 2)), rng.normal(size=(6, 3)).astype(np.float32)
    for matched, farthest in ((near, far), (near[:, 0], far[:, 0]), (near[:0], far[:0]), (near * 1e200, far)):
        check_same(cupy, losses.adversarial_contrast, matched, farthest, distortion=0.5, alpha=0.1, return_grad=True)
    check_same(cupy, losses.adversarial_contrast, near, far)


def test_errors(cupy):
    scores, labels, offsets = sample("grades")
    here, there = cupy.asarray(scores), cupy.asarray(labels)
    wrong = [
        (
            TypeError,
            "scores is in GPU memory .* but relevance is a numpy.ndarray",
            lambda: losses.ranknet(here, labels),
        ),
        (TypeError, "but offsets is a list", lambda: losses.ranknet(here, there, offsets=[0, 125])),
        (ValueError, "offsets", lambda: losses.ranknet(here, there, offsets=cupy.asarray(offsets[:-1]))),
        (ValueError, "offsets", lambda: losses.ranknet(here, there, offsets=cupy.asarray(offsets[::-1].copy()))),
        (ValueError, "has shape .* but scores has", lambda: losses.listnet(here, there[1:])),
        (ValueError, "relevance is infinite", lambda: losses.listnet(here, here * INF)),
        (ValueError, "relevance is -1.0 at index 0", lambda: losses.softmax(here, here * 0 - 1)),
        (ValueError, "relevance reaches 1024.0", lambda: losses.lambda_rank(here, here * 0 + 1024)),
        (ValueError, "ranks is 0.0 at index 0", lambda: losses.lambda_rank(here, there, ranks=here * 0)),
        (ValueError, "labels is 2 at index", lambda: losses.dice(here, cupy.asarray(np.arange(125) % 3))),
        (ValueError, "weights is -1.0 at index 0", lambda: losses.ranknet(here, there, weights=here[:1] * 0 - 1)),
        (TypeError, "scores has dtype complex128", lambda: losses.ranknet(here + 0j, there)),
    ]
    for kind, message, action in wrong:
        with pytest.raises(kind, match=message):
            action()


@pytest.mark.skipif(libraries.has_gpu(), reason="transfers are counted by the stand-in")
def test_how_often_the_host_waits(cupy):
    scores, labels, offsets = (cupy.asarray(array) for array in sample("grades"))
    pos, neg, classes = scores[:60], scores[60:120], (labels > 1).astype(np.int8)
    calls = {
        lambda: losses.ranknet(scores, labels, return_grad=True): 0,
        lambda: losses.ranknet(scores, labels, offsets=offsets, return_grad=True): 1,
        lambda: losses.pairwise_hinge(scores, labels, offsets=offsets): 1,
        lambda: losses.plackett_luce(scores, labels, return_grad=True): 0,
        lambda: losses.listnet(scores, labels, return_grad=True): 0,
        lambda: losses.softmax(scores, labels, return_grad=True): 1,
        lambda: losses.lambda_rank(scores, labels, return_grad=True): 2,
        lambda: losses.bpr(pos, neg, return_grad=True): 0,
        lambda: losses.bpr(pos, neg, weights=pos * pos, return_grad=True): 1,
        lambda: losses.top1(pos, neg, return_grad=True): 0,
        lambda: losses.dice(scores, classes): 2,
        lambda: losses.disco(scores, classes, return_grad=True): 2,
        lambda: losses.pearson(scores, labels, return_grad=True): 1,
    }
    found = {}
    for call in calls:
        before = cupy_on_host.transfers.count
        call()
        found[call] = cupy_on_host.transfers.count - before
    assert list(found.values()) == list(calls.values())
