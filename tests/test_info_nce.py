"""info_nce and what is made of it (clip, focal_nce, patch_nce): golden numbers, every option, every form of input."""

from functools import partial

import cases
import numpy as np
import oracle_contrastive as oracle
import pytest
from embedding_losses import FLOATS, METRICS, assert_loss, assert_near, on_engines, pair, rows
from fastpair import losses
from searches import matrix_layouts
from test_oracle_contrastive import GOLDEN, ROWS, S3, TEMPERATURE_SLOPE, soft_info_nce_weights

N, M, D, K = 5, 8, 3, 2
T = 0.3


def rng_of(*numbers):
    return cases.generator("info_nce", *numbers)


def table():
    """Options of info_nce, and of the oracle, for N rows and M columns."""
    rng = rng_of(1)
    mask, columns, ids = rng.random((N, M)) < 0.35, np.array([3, 0, -1, 7, 2]), np.array([0, 1, 2, 1, 0, 3, 1, 0])
    mask[0], mask[1] = True, False
    ignore, weights = rng.random((N, M)) < 0.3, rng.random((N, M)) + 0.3
    diagonal, own = oracle.mask_of(None, N, M), oracle.mask_of(columns, N, M)
    temperatures = rng.random(N) + 0.2
    groups = np.array([0, 1, 0, 2, 1]), np.array([0, 1, 0, 2, 1, 1, 0, 0])
    x_ids = np.array([9, 1, 3, 0, 4])
    weights[0, 5] = 0
    same = {
        "plain": {},
        "temperatures": {"temperature": temperatures},
        "columns": {"positives": columns},
        "mask": {"positives": mask},
        "positives left out": {"include_positive": False},
        "mask, left out": {"positives": mask, "include_positive": False},
        "log_mean": {"positives": mask, "multi_positive": "log_mean"},
        "log_sum": {"positives": mask, "multi_positive": "log_sum"},
        "label smoothing": {"label_smoothing": 0.1},
        "margin": {"margin": 0.2},
        "easier": {"margin": -0.5, "positives": mask},
        "arc margin": {"arc_margin": 0.5},
        "hard_k": {"hard_k": 2},
        "hard_threshold": {"hard_threshold": -0.05},
        "hard": {"hard_k": 3, "hard_threshold": -0.3},
        "focal": {"focal_gamma": 0.5},
    }
    return {
        **{name: (options, options) for name, options in same.items()},
        "neg_mask": ({"neg_mask": ~ignore}, {"ignore": ignore & ~diagonal}),
        "neg_mask of columns": (
            {"neg_mask": ~ignore, "positives": columns},
            {"ignore": ignore & ~own, "positives": columns},
        ),
        "ids": ({"ids": ids}, {"ignore": oracle.equal(ids[:N], ids) & ~diagonal}),
        "ids of both": ({"ids": (x_ids, ids)}, {"ignore": oracle.equal(x_ids, ids) & ~diagonal}),
        "ids of words": (
            {"ids": np.array(list("abcdefgh"))[ids]},
            {"ignore": oracle.equal(ids[:N], ids) & ~diagonal},
        ),
        "groups": ({"groups": groups}, {"ignore": ~oracle.equal(*groups)}),
        "weights of columns": ({"neg_weights": weights[1]}, {"weights": oracle.negative_weights(diagonal, weights[1])}),
        "weights of pairs": ({"neg_weights": weights}, {"weights": oracle.negative_weights(diagonal, weights)}),
    }


TABLE = table()


def number(one, metric="cosine", *, symmetric=False, **how):
    """The oracle's number as a function of what is given, arrays in float64."""

    def total(x=None, y=None, similarities=None, temperature=T):
        s = oracle.similarities(x, y, metric) if similarities is None else similarities
        value = oracle.reduce(one(s, temperature), **how)
        return (value + oracle.reduce(one(s.T, temperature), **how)) / 2 if symmetric else value

    return total


def plain(**options):
    return lambda s, temperature: oracle.info_nce(s, **{"temperature": temperature, **options})


@pytest.mark.parametrize("name", TABLE)
def test_every_option(name):
    options, meant = (dict(o) for o in TABLE[name])
    temperature = options.pop("temperature", T)
    meant.pop("temperature", None)
    x, y = pair(rng_of(2), N, M, D)
    for given_ in ({"x": x, "y": y}, {"similarities": oracle.similarities(x, y)}):
        arrays = {**given_, "temperature": temperature}
        found = losses.info_nce(**arrays, **options, return_grad=True)
        assert_loss(found, number(plain(**meant)), arrays, about=name)
        assert losses.info_nce(**arrays, **options) == found[0]


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dtype", FLOATS)
def test_metrics_and_dtypes(metric, dtype):
    x, y = pair(rng_of(3), N, M, D, dtype)
    arrays = {"x": x, "y": y, "temperature": T}
    call = partial(losses.info_nce, **arrays, metric=metric, return_grad=True)
    result = on_engines(call, 1e-11 if dtype == "float64" else 1e-2, metric)
    assert_loss(result, number(plain(), metric), arrays, dtype, metric)
    s = rows(rng_of(4), N, M, dtype)
    arrays = {"similarities": s, "temperature": T}
    assert_loss(losses.info_nce(**arrays, return_grad=True), number(plain()), arrays, dtype, "similarities")


def test_golden_numbers():
    def value(**options):
        return losses.info_nce(similarities=S3, **{"temperature": 0.1, **options})

    assert value() == pytest.approx(GOLDEN["info_nce"], abs=1e-15)
    assert value(temperature=1) == pytest.approx(GOLDEN["info_nce at 1"], abs=1e-15)
    assert value(symmetric=True) == pytest.approx(GOLDEN["symmetric"], abs=1e-15)
    assert losses.clip(similarities=S3, temperature=0.1) == pytest.approx(GOLDEN["symmetric"], abs=1e-15)
    assert value(label_smoothing=0.1) == pytest.approx(GOLDEN["label smoothing"], abs=1e-15)
    assert value(margin=0.02) == pytest.approx(GOLDEN["margin"], abs=1e-15)
    weights = soft_info_nce_weights()
    assert value(temperature=1, neg_weights=weights) == pytest.approx(GOLDEN["negative weights"], abs=1e-15)
    assert value(focal_gamma=0.5) == pytest.approx(GOLDEN["focal"], abs=1e-15)
    assert losses.focal_nce(similarities=S3, temperature=0.1, gamma=0.5) == pytest.approx(GOLDEN["focal"], abs=1e-15)
    np.testing.assert_allclose(value(reduction="none"), ROWS["info_nce"], atol=5e-9)
    _, grads = losses.info_nce(similarities=S3, temperature=0.1, return_grad=True)
    np.testing.assert_allclose(grads.similarities[0], ROWS["gradient"], atol=5e-9)
    assert grads.temperature == pytest.approx(TEMPERATURE_SLOPE, abs=5e-13)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
def test_both_directions(metric, dtype):
    x, y = pair(rng_of(5), N, N, D, dtype)
    arrays = {"x": x, "y": y, "temperature": T}
    meant = number(plain(), metric, symmetric=True)
    result = losses.clip(**arrays, metric=metric, return_grad=True)
    assert_loss(result, meant, arrays, dtype)
    again = losses.info_nce(**arrays, metric=metric, symmetric=True, return_grad=True)
    for one, other in zip((result[0], *result[1]), (again[0], *again[1]), strict=True):
        np.testing.assert_array_equal(one, other)
    found = losses.info_nce(**arrays, metric=metric, symmetric=True, include_positive=False, return_grad=True)
    assert_loss(found, number(plain(include_positive=False), metric, symmetric=True), arrays, dtype)
    nothing = losses.info_nce(**arrays, metric=metric, symmetric=True, margin=1e-300, return_grad=True)
    assert_loss(nothing, meant, arrays, dtype)
    values = losses.clip(**arrays, metric=metric, reduction="none")
    assert_near(values, oracle.clip(oracle.similarities(x, y, metric), temperature=T).values, 2e-6, size=1)


def test_symmetric_similarities():
    s = oracle.similarities(*pair(rng_of(6), N, N, D))
    arrays = {"similarities": s, "temperature": T}
    found = losses.clip(**arrays, return_grad=True)
    assert_loss(found, number(plain(), symmetric=True), arrays)
    a, b = rows(rng_of(7), N, D), rows(rng_of(8), N, D)
    weights = np.array([0.3, 2, 0, 1, 1])
    arrays = {"x": a, "y": b, "temperature": T}
    found = losses.clip(**arrays, weights=weights, weight_norm="weights", return_grad=True)
    assert_loss(found, number(plain(), symmetric=True, weights=weights, weight_norm="weights"), arrays)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("weight_norm", ["count", "weights"])
@pytest.mark.parametrize("on_empty", ["skip", "zero"])
def test_reductions(reduction, weight_norm, on_empty):
    x, y = pair(rng_of(9), N, M, D)
    upstream, weights = np.array([1.0, -2, 0.5, 0, 3]), np.array([0.5, 2, 1, 0, 4])
    how = {"reduction": reduction, "weights": weights, "weight_norm": weight_norm, "on_empty": on_empty}
    positives = np.array([1, -1, 0, 4, 7])
    extra = {"grad_output": upstream} if reduction == "none" else {}
    value, grads = losses.info_nce(x, y, positives, T, **how, return_grad=True, **extra)

    def total(x, y, temperature=T):
        found = number(plain(positives=positives), **how)(x, y, temperature=temperature)
        return (upstream * found).sum() if reduction == "none" else found

    if reduction == "none":
        assert_near(value, number(plain(positives=positives), **how)(x, y), 1e-12)
        value = np.float64(total(x, y))
    assert_loss((value, grads), total, {"x": x, "y": y, "temperature": T})


@pytest.mark.parametrize("layout", matrix_layouts())
def test_layouts(layout):
    view = matrix_layouts()[layout]
    for dtype in FLOATS:
        x, y = pair(rng_of(10), N, M, D, dtype)
        s = oracle.similarities(x, y).astype(x.dtype)
        for given_ in ({"x": x, "y": y}, {"similarities": s}):
            wanted = losses.info_nce(**given_, return_grad=True)
            found = losses.info_nce(**{name: view(a) for name, a in given_.items()}, return_grad=True)
            assert found[0] == wanted[0]
            for name in given_:
                np.testing.assert_array_equal(getattr(found[1], name), getattr(wanted[1], name), strict=True)


def test_dtypes_may_differ():
    x, y = pair(rng_of(11), N, M, D, "float16")
    x = x.astype(np.float32)
    assert_loss(losses.info_nce(x, y, return_grad=True), number(plain(temperature=0.07)), {"x": x, "y": y}, "float16")
    whole = np.rint(4 * oracle.double(y)).astype(np.int8)
    value, grads = losses.info_nce(whole[:N], whole, temperature=1.0, metric="dot", return_grad=True)
    assert value == pytest.approx(number(plain(), "dot")(oracle.double(whole[:N]), oracle.double(whole), None, 1.0))
    assert grads.x.dtype.kind == grads.y.dtype.kind == "f"
    assert losses.info_nce(x.tolist(), y.tolist()) == pytest.approx(losses.info_nce(x, y), rel=1e-6)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_x_with_itself(metric, dtype):
    """Without y each row is left out of its own columns, and the gradient has both roles."""
    x = rows(rng_of(12), 7, D, dtype)
    labels = np.array([0, 1, 0, 2, 1, 0, 3])
    own, same = np.eye(7, dtype=bool), oracle.equal(labels, labels)
    columns = np.array([1, 0, 3, 2, 5, 4, -1])
    mask = same & ~own
    arrays = {"x": x, "temperature": T}
    for options, meant in (
        ({"positives": columns}, {"positives": columns, "ignore": own}),
        ({"positives": mask}, {"positives": mask, "ignore": own}),
        ({"labels": labels}, {"positives": mask, "ignore": own}),
        ({"labels": list("abacbad"), "multi_positive": "log_sum"},
         {"positives": mask, "ignore": own, "multi_positive": "log_sum"}),
    ):  # fmt: skip
        found = losses.info_nce(**arrays, metric=metric, **options, return_grad=True)
        assert_loss(found, number(plain(**meant), metric), arrays, dtype, options)
        assert found[1].y is None


FURTHER = {
    "extra": ("extra_negatives",),
    "similarities": ("extra_similarities",),
    "paired": ("paired_negatives",),
    "all": ("extra_negatives", "paired_negatives", "extra_similarities"),
    "all with replaced positives": ("extra_negatives", "paired_negatives", "extra_similarities", "positives"),
    "replaced positives": ("positives",),
}


@pytest.mark.parametrize("name", FURTHER)
@pytest.mark.parametrize("metric", METRICS)
def test_further_candidates(name, metric):
    rng = rng_of(13)
    for dtype, m in (("float64", N), ("float32", M)):
        x, y = pair(rng, N, m, D, dtype)
        further = {
            "extra_negatives": rows(rng, 3, D, dtype),
            "paired_negatives": rows(rng, N * K, D, dtype).reshape(N, K, D),
            "extra_similarities": rows(rng, N, 4, dtype),
            "positives": (rng.random(N) * 0.5).astype(dtype),
        }
        arrays = {"x": x, "y": y, "temperature": T, **{key: further[key] for key in FURTHER[name]}}

        def total(
            x, y, temperature, extra_negatives=None, paired_negatives=None, extra_similarities=None, positives=None
        ):
            s = oracle.similarities(x, y, metric)
            if extra_negatives is not None:
                s = np.hstack([s, oracle.similarities(x, extra_negatives, metric)])
            if paired_negatives is not None:
                own = [oracle.similarities(x[i : i + 1], paired_negatives[i], metric)[0] for i in range(N)]
                s = np.hstack([s, np.array(own)])
            if extra_similarities is not None:
                s = np.hstack([s, extra_similarities])
            if positives is not None:
                s[np.arange(N), np.arange(N)] = positives
            return oracle.reduce(oracle.info_nce(s, temperature=temperature))

        found = losses.info_nce(**arrays, metric=metric, return_grad=True)
        assert_loss(found, total, arrays, dtype, f"{name} {metric} {dtype}")


@pytest.mark.parametrize("metric", METRICS)
def test_only_negatives_of_its_own(metric):
    """Logits (n, 1 + k): the positive and the negatives of a row."""
    for dtype in ("float64", "float32"):
        x, y = pair(rng_of(14), N, N, D, dtype)
        own = rows(rng_of(15), N * K, D, dtype).reshape(N, K, D)
        arrays = {"x": x, "y": y, "negatives": own, "temperature": T}

        def total(x, y, negatives, temperature):
            s = [oracle.similarities(x[[i]], np.vstack([y[[i]], negatives[i]]), metric)[0] for i in range(N)]
            return oracle.reduce(oracle.info_nce(np.array(s), np.zeros(N, int), temperature=temperature))

        found = losses.local_contrast(**arrays, metric=metric, return_grad=True)
        assert_loss(found, total, arrays, dtype, metric)
        nobody = np.zeros((N, N), bool)
        again = losses.info_nce(x, y, neg_mask=nobody, paired_negatives=own, temperature=T, metric=metric)
        assert again == pytest.approx(found[0], rel=2e-6)


def test_a_temperature_for_each_pair():
    x, y = pair(rng_of(16), N, M, D)
    temperature = rng_of(17).random((N, M)) + 0.2

    def of_pairs(s, temperature):
        return oracle.info_nce(s / temperature)

    for given_ in ({"x": x, "y": y}, {"similarities": oracle.similarities(x, y)}):
        arrays = {**given_, "temperature": temperature}
        assert_loss(losses.info_nce(**arrays, return_grad=True), number(of_pairs), arrays)
        margin = losses.info_nce(**arrays, margin=0.2, reduction="sum", return_grad=True)
        meant = number(lambda s, t: oracle.info_nce((s - 0.2 * oracle.mask_of(None, N, M)) / t), reduction="sum")
        assert_loss(margin, meant, arrays)
    constant = losses.info_nce(x, y, temperature=np.full((N, M), T))
    assert constant == pytest.approx(losses.info_nce(x, y, temperature=T), rel=1e-12)


def test_weights_of_positives():
    x, y = pair(rng_of(18), N, M, D)
    rng = rng_of(19)
    mask, pos, neg = rng.random((N, M)) < 0.4, rng.random((N, M)) + 0.1, rng.random((N, M)) + 0.1
    arrays = {"x": x, "y": y, "temperature": T}
    weights = np.where(mask, pos, neg)
    options = {"positives": mask, "multi_positive": "log_sum"}
    found = losses.info_nce(**arrays, **options, pos_weights=pos, neg_weights=neg, return_grad=True)
    assert_loss(found, number(plain(weights=weights, **options)), arrays)
    for scale in (0.1, 7.0):  # of all weights
        again = losses.info_nce(**arrays, **options, pos_weights=scale * pos, neg_weights=scale * neg)
        assert again == pytest.approx(found[0], rel=1e-12)


@pytest.mark.parametrize("shape", [(M,), (N, M)])
@pytest.mark.parametrize("include_positive", [True, False])
def test_gradients_of_weights(shape, include_positive):
    x, y = pair(rng_of(20), N, M, D)
    arrays = {"x": x, "y": y, "temperature": T, "neg_weights": rng_of(21).random(shape) + 0.2}
    diagonal = oracle.mask_of(None, N, M)

    def total(x, y, temperature, neg_weights):
        weights = oracle.negative_weights(diagonal, neg_weights)
        return number(plain(weights=weights, include_positive=include_positive))(x, y, temperature=temperature)

    options = {"include_positive": include_positive, "grad_weights": True}
    assert_loss(losses.info_nce(**arrays, **options, return_grad=True), total, arrays)


def test_each_positive_in_turn():
    x, y = pair(rng_of(22), N, M, D)
    mask = rng_of(23).random((N, M)) < 0.4
    arrays = {"x": x, "y": y, "temperature": T}
    found = losses.info_nce(**arrays, positives=mask, multi_positive="each", return_grad=True)
    assert_loss(found, number(plain(positives=mask, multi_positive="separate")), arrays)
    slots = rows(rng_of(24), N * K, D).reshape(N, K, D)
    arrays = {"x": x, "y": slots, "extra_negatives": rows(rng_of(25), 4, D), "temperature": T}

    def total(x, y, extra_negatives, temperature):
        values = []
        for slot in range(K):
            s = oracle.similarities(x, np.vstack([y[:, slot], extra_negatives]))
            values.append(oracle.reduce(oracle.info_nce(s, temperature=temperature)))
        return np.mean(values)

    assert_loss(losses.info_nce(**arrays, multi_positive="each", return_grad=True), total, arrays)


def test_focal_weights():
    x, y = pair(rng_of(28), N, M, D)
    arrays = {"x": x, "y": y, "temperature": T}
    for gamma in (0.5, 2.0):
        found = losses.focal_nce(**arrays, gamma=gamma, return_grad=True)
        assert_loss(found, number(plain(focal_gamma=gamma)), arrays)
        values = losses.info_nce(**arrays, reduction="none")
        detached, grads = losses.focal_nce(**arrays, gamma=gamma, detach_weights=True, return_grad=True)
        assert detached == pytest.approx(found[0], rel=1e-13)
        _, meant = losses.info_nce(**arrays, weights=(1 - np.exp(-values)) ** gamma, return_grad=True)
        for one, other in zip(grads[:2], meant[:2], strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-16)
    assert losses.focal_nce(**arrays, gamma=0.0) == losses.info_nce(**arrays)


def test_patches():
    x, y = pair(rng_of(29), 6, 6, D)
    groups, weights = np.array([0, 0, 0, 1, 1, 2]), np.array([1, 2, 0.5, 1, 3, 1])
    arrays = {"x": x, "temperature": T}
    value, grads = losses.patch_nce(x, y, groups, temperature=T, weights=weights, return_grad=True)

    def total(x, temperature):
        return number(plain(ignore=~oracle.equal(groups, groups)), weights=weights)(x, y, temperature=temperature)

    assert_loss((value, grads), total, arrays)
    for group in (0, 1):
        part = groups == group
        alone = losses.info_nce(x[part], y[part], temperature=T, reduction="none")
        values = losses.patch_nce(x, y, groups, temperature=T, reduction="none")
        np.testing.assert_allclose(values[part], alone, rtol=1e-12)
