"""The kernel under the losses over embeddings: every option against the oracle, on every engine, of any size."""

import re

import cases
import helpers
import numpy as np
import oracle_contrastive as oracle
import pytest
from embedding_losses import FLOATS, METRICS, RTOL, assert_gradient, assert_near, numerical, pair, slope
from fastpair import _core

N, M, D, H = 5, 7, 3, 2
GRADIENTS = ("x", "y", "similarities", "appended")


def masks(name, n=N, width=M, share=0.3):
    return cases.generator(name, n, width).random((n, width)) < share


def codes(name, n, most=3):
    return cases.generator(name, n).integers(0, most, n)


def numbers(name, *shape):
    return cases.generator(name, *shape).random(shape) + 0.2


def columns(n=N, width=M, shift=2):
    return (np.arange(n) + shift) % width


def softmax_options(n=N, m=M):
    """Options of the kernel, by what they do."""
    mask = masks("positives", n, m)
    mask[0], mask[1] = False, True
    targets = numbers("targets", n, m) * masks("targets", n, m, 0.6)
    targets[2] = 0
    labels = {"positives": None, "x_labels": codes("x labels", n), "y_labels": codes("y labels", m)}
    weights = numbers("pairs", n, m) * masks("pairs", n, m, 0.8)
    return {
        "plain": {},
        "temperature": {"temperature": 0.5},
        "temperatures": {"temperature": numbers("temperatures", n)},
        "columns": {"positives": np.where(np.arange(n) == 1, -1, columns(n, m))},
        "mask": {"positives": mask},
        "labels": labels,
        "labels without oneself": {**labels, "self_columns": columns(n, m, 0)},
        "labels, some ignored": {**labels, "ignore": masks("ignore", n, m)},
        "oneself": {"positives": columns(n, m), "self_columns": np.where(np.arange(n) == 3, -1, columns(n, m, 0))},
        "ignore": {"positives": columns(n, m), "ignore": masks("ignore", n, m) & ~oracle.mask_of(columns(n, m), n, m)},
        "groups": {"positives": None, "x_groups": codes("groups", n), "y_groups": codes("y groups", m), **labels},
        "ids": {"positives": columns(n, m), "x_ids": codes("ids", n), "y_ids": codes("y ids", m)},
        "column weights": {"column_weights": numbers("columns", m) * (np.arange(m) != 4)},
        "pair weights": {"positives": mask, "pair_weights": weights},
        "positives left out": {"include_positive": False},
        "mask left out": {"positives": mask, "include_positive": False},
        "no negatives needed": {"positives": mask, "needs_negatives": False},
        **{
            f"mask, {mode}": {"positives": mask, "multi_positive": mode} for mode in ("log_sum", "log_mean", "separate")
        },
        "weights, log_sum": {"positives": mask, "pair_weights": weights, "multi_positive": "log_sum"},
        "factors": {"positive_factors": numbers("factors", n), "include_positive": False},
        "targets": {"positives": None, "targets": targets},
        "targets as they are": {"positives": None, "targets": targets, "normalize_targets": False},
        "label smoothing": {"label_smoothing": 0.2},
        "label smoothing of a mask": {"label_smoothing": 0.2, "positives": mask, "ignore": masks("ig", n, m) & ~mask},
        "label smoothing, weights": {"label_smoothing": 0.2, "column_weights": numbers("columns", m)},
        "margin": {"margin": 0.25},
        "margins of a mask": {"positives": mask, "margin": -0.5},
        "hard_k": {"hard_k": 2},
        "hard_k of a mask": {"positives": mask, "hard_k": 3, "multi_positive": "log_sum"},
        "hard_k of all": {"hard_k": m + 5},
        "hard_threshold": {"hard_threshold": -0.1},
        "hard_threshold beyond": {"hard_threshold": 0.4},
        "both": {"hard_threshold": -0.3, "hard_k": 3, "positives": mask},
        "focal": {"focal_gamma": 0.5},
        "focal 2 of a mask": {"focal_gamma": 2.0, "positives": mask},
    }


SOFTMAX = {"temperature": 0.2, "positives": "diagonal"}
SIGMOID = {"scale": 3.0, "bias": -1.0, "positives": "diagonal"}
HARD = {"temperature": 0.3, "positives": "diagonal", "beta": 1.0, "tau_plus": 0.1}


def sigmoid_options(n=N, m=M):
    mask = masks("positives", n, m)
    return {
        "plain": {},
        "columns": {"positives": columns(n, m), "bias": -4.0, "scale": 10.0},
        "mask": {"positives": mask, "ignore": (masks("ignore", n, m) & ~mask) | (np.arange(n) == 2)[:, np.newaxis]},
        "factors": {"positives": mask, "positive_factor": 0.3, "negative_factor": 2.0},
        "pair weights": {"pair_weights": numbers("pairs", n, m)},
        "labels": {"positives": None, "x_labels": codes("x labels", n), "y_labels": codes("y labels", m)},
        "oneself": {"positives": columns(n, m), "self_columns": columns(n, m, 0)},
        "groups": {"x_groups": np.zeros(n, int), "y_groups": codes("y groups", m) // 2, "positives": None}
        | {"x_labels": codes("x labels", n), "y_labels": codes("y labels", m)},
    }


def hard_options(n=N, m=M):
    return {
        "plain": {},
        "without tau": {"tau_plus": 0.0, "beta": 2.5},
        "without beta": {"beta": 0.0},
        "without both": {"beta": 0.0, "tau_plus": 0.0},
        "clamped": {"tau_plus": 0.6, "beta": 0.1, "temperature": 1.0},
        "columns": {"positives": columns(n, m), "self_columns": columns(n, m, 0)},
        "ignore": {"positives": columns(n, m), "ignore": masks("ignore", n, m) & ~oracle.mask_of(columns(n, m), n, m)},
        "detached": {"detach_weights": True},
    }


TABLES = {
    "softmax": (SOFTMAX, softmax_options),
    "sigmoid": (SIGMOID, sigmoid_options),
    "hard_negatives": (HARD, hard_options),
}
CELLS = [(loss, name) for loss, (_, table) in TABLES.items() for name in table()]


def options_of(loss, name, n=N, m=M):
    """Options as the kernel takes them: indices and codes are int64."""
    given = {**TABLES[loss][0], **TABLES[loss][1](n, m)[name]}
    return {
        key: value.astype(np.int64) if isinstance(value, np.ndarray) and value.dtype.kind == "i" else value
        for key, value in given.items()
        if value is not None
    }


def expected(s, loss, options, fixed=None):
    """`Rows` by the oracle of the kernel's options; `fixed`: logits that weigh without gradient."""
    o, (n, m) = dict(options), s.shape
    labels = "x_labels" in o and oracle.equal(o.pop("x_labels"), o.pop("y_labels"))
    positives = o.pop("positives", "diagonal")
    positive = (
        labels if labels is not False else oracle.mask_of(None if isinstance(positives, str) else positives, n, m)
    )
    ignore = np.zeros((n, m), bool) | o.pop("ignore", False)
    if "self_columns" in o:
        ignore |= oracle.mask_of(o.pop("self_columns"), n, m)
    if "x_groups" in o:
        ignore |= ~oracle.equal(o.pop("x_groups"), o.pop("y_groups"))
    if "x_ids" in o:
        ignore |= oracle.equal(o.pop("x_ids"), o.pop("y_ids")) & ~positive
    if loss == "sigmoid":
        return oracle.sigmoid_rows(s, positive, ignore=ignore, weights=o.pop("pair_weights", None), **o)
    if loss == "hard_negatives":
        fixed = fixed if o.pop("detach_weights", False) else None
        return oracle.hcl(s, positive & ~ignore, ignore=ignore, fixed=fixed, **o)
    if "targets" in o:
        normalize = o.pop("normalize_targets", True)
        return oracle.soft_targets(s, o["targets"], o["temperature"], normalize=normalize, ignore=ignore)
    weights = o.pop("pair_weights", None)
    if "column_weights" in o:
        weights = oracle.negative_weights(positive, o.pop("column_weights"))
    return oracle.info_nce(s, positive, ignore=ignore, weights=weights, **o)


def similarity(arrays, metric):
    """The matrix of what is given: similarities or embeddings, and appended columns."""
    s = arrays["similarities"]
    s = oracle.similarities(arrays["x"], arrays["y"], metric) if s is None else oracle.double(s)
    return s if arrays["appended"] is None else np.concatenate([s, oracle.double(arrays["appended"])], axis=1)


def run(arrays, metric, loss, options, row_factors=None, gradient=True, num_threads=None, max_memory=None):
    given = [arrays[name] for name in GRADIENTS]
    return _core.pair_rows(*given, metric, loss, options, row_factors, gradient, num_threads, max_memory)


def problem(x=None, y=None, similarities=None, appended=None):
    return {"x": x, "y": y, "similarities": similarities, "appended": appended}


def check(arrays, metric, loss, options, dtype="float64", about="", factors=None, step=5e-4):
    """Values, valid rows and every gradient."""
    n = len(arrays["x"] if arrays["similarities"] is None else arrays["similarities"])
    factors = np.linspace(-1, 2, n) if factors is None else factors
    found, s = run(arrays, metric, loss, options, factors), similarity(arrays, metric)
    wanted = expected(s, loss, options)
    fixed = s / options["temperature"] if loss == "hard_negatives" else None
    np.testing.assert_array_equal(found["valid"], wanted.valid, err_msg=str(about))
    exact = min(RTOL[dtype], RTOL["float32"])
    assert_near(
        found["values"], wanted.values, exact, f"{about} values", max(1.0, np.abs(wanted.values).max(initial=0))
    )

    def total(**moved):
        return (factors * expected(similarity(moved, metric), loss, options, fixed).values).sum()

    for name in GRADIENTS:
        if arrays[name] is None:
            assert found[name] is None, (about, name)
            continue
        wide = arrays[name].astype(np.float64 if arrays[name].dtype == np.float64 else np.float32)
        assert_gradient(found[name], numerical(total, arrays, name, step), wide, exact, f"{about} d{name}")
    for name in ("scale", "bias") if loss == "sigmoid" else ("temperature",):

        def per_row(t):
            return factors * expected(s, loss, {**options, name: options[name] + t}, fixed).values  # noqa: B023

        wanted = oracle.stencil(per_row, step * np.abs(options[name]).min())
        assert_near(found[name], wanted, max(exact, 1e-8), f"{about} d{name}")
    return found


def embedded(dtype="float64", n=N, m=M, d=D):
    return problem(*pair(cases.generator("embedded", n, m, d), n, m, d, dtype))


@pytest.mark.parametrize(("loss", "name"), CELLS)
def test_every_option(loss, name):
    options = options_of(loss, name)
    x_y = embedded()
    check(x_y, "cosine", loss, options, about=name)
    matrix = cases.generator("matrix").normal(size=(N, M)) * 0.4
    check(problem(similarities=matrix), "cosine", loss, options, about=f"{name} of similarities")
    split = problem(similarities=np.ascontiguousarray(matrix[:, : M - H]), appended=matrix[:, M - H :].copy())
    check(split, "cosine", loss, options, about=f"{name} with appended columns")


@pytest.mark.parametrize(("loss", "name"), CELLS)
def test_every_engine(loss, name):
    """The same bits for every number of threads and any scratch, whatever the instruction set."""
    options, arrays = options_of(loss, name), embedded("float32")
    for dtype in ("float32", "float64"):
        arrays = embedded(dtype)
        levels = []
        for level in helpers.ISAS:
            with helpers.using_isa(level):
                results = [run(arrays, "cosine", loss, options, None, True, t) for t in helpers.THREADS]
            texts = [[np.asarray(r[k]).tobytes() for k in sorted(r)] for r in results]
            assert texts[1:] == texts[:-1], level
            levels.append(results[0])
        for other in levels[1:]:
            for name_, values in levels[0].items():
                if values is not None:
                    assert_near(other[name_], values, {"float32": 3e-6, "float64": 1e-11}[dtype], name_)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dtype", FLOATS)
def test_metrics_and_dtypes(metric, dtype):
    for loss, names in {
        "softmax": ("plain", "mask, separate"),
        "sigmoid": ("plain",),
        "hard_negatives": ("plain",),
    }.items():
        for name in names:
            options = options_of(loss, name)
            check(embedded(dtype), metric, loss, options, dtype, about=name)
            x = embedded(dtype, n=M)["x"]
            options = {**options_of(loss, "columns", M, M), "self_columns": np.arange(M)}
            check(problem(x), metric, loss, options, dtype, about=f"{name} of x with itself")


def test_arc_margins():
    for margin in (0.5, 1.0, 3.0):  # with the largest, all lie beyond pi - m
        check(embedded(), "cosine", "softmax", {**SOFTMAX, "arc_margin": margin}, about=str(margin))


def test_detached_focal_weights():
    arrays, options = embedded(), {**SOFTMAX, "focal_gamma": 0.5}
    plain = run(arrays, "cosine", "softmax", SOFTMAX, None)
    found = run(arrays, "cosine", "softmax", {**options, "detach_focal": True}, None)
    weights = (1 - np.exp(-plain["values"])) ** 0.5
    assert_near(found["values"], weights * plain["values"], 1e-12)
    assert_near(found["x"], run(arrays, "cosine", "softmax", SOFTMAX, weights)["x"], 1e-12)
    assert_near(found["temperature"], weights * plain["temperature"], 1e-12)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_symmetric(metric, dtype):
    for n in (1, 2, 7, 300):
        x, y = pair(cases.generator("symmetric", n), n, n, 5, dtype)
        factors = np.linspace(0.5, 1, n)
        found = run(problem(x, y), metric, "softmax", {**SOFTMAX, "symmetric": True}, factors)
        rows = run(problem(x, y), metric, "softmax", SOFTMAX, factors / 2)
        swapped = run(problem(y, x), metric, "softmax", SOFTMAX, factors / 2)
        rtol = {"float64": 1e-10, "float32": 5e-6}[dtype]
        assert_near(found["values"], (rows["values"] + swapped["values"]) / 2, rtol, size=1)
        np.testing.assert_array_equal(found["valid"], np.full(n, n > 1))
        for name, first, second in (("x", "x", "y"), ("y", "y", "x"), ("temperature", "temperature", "temperature")):
            assert_near(oracle.double(found[name]), oracle.double(rows[first]) + swapped[second], rtol, f"{n} {name}")


SIZES = [
    (1, 1, 3),
    (1, 9, 1),
    (9, 1, 2),
    (5, 5, 1),
    (7, 600, 17),
    (300, 9, 17),
    (4, 257, 300),
    (33, 65, 64),
    (17, 16, 33),
]


@pytest.mark.parametrize(("n", "m", "d"), SIZES)
def test_any_size(n, m, d):
    arrays = problem(*pair(cases.generator("sizes", n, m, d), n, m, d))
    for loss, (defaults, _) in TABLES.items():
        options = {**defaults, "positives": np.where(np.arange(n) < m, np.arange(n), -1)}
        whole_and_parts(arrays, "dot", loss, options, loss)


def settled(options, s):
    """The same options with the selection of hard negatives among `s` as pairs to ignore: no kinks nearby."""
    options = dict(options)
    k, threshold = options.pop("hard_k", None), options.pop("hard_threshold", None)
    if k is None and threshold is None:
        return options
    positives = options["positives"]
    positive = oracle.mask_of(None if isinstance(positives, str) else positives, *s.shape)
    kept = [oracle.hardest(row, ~own, k, threshold) for row, own in zip(s, positive, strict=True)]
    return {**options, "ignore": ~np.array(kept) & ~positive}


def whole_and_parts(arrays, metric, loss, options, about):
    """Values, and gradients along random directions of all rows and of the last one alone; all engines, two dtypes."""
    rng = cases.generator(about)
    options = {**options, "tau_plus": 0.01} if loss == "hard_negatives" else options  # the clamp is a kink
    factors, s = rng.random(len(arrays["x"])), similarity(arrays, metric)
    found, wanted, calm = run(arrays, metric, loss, options, factors), expected(s, loss, options), settled(options, s)
    np.testing.assert_array_equal(found["valid"], wanted.valid, err_msg=about)
    size = max(1.0, np.abs(wanted.values).max(initial=0))
    assert_near(found["values"], wanted.values, RTOL["float64"], about, size)

    def total(**moved):
        return (factors * expected(similarity({**arrays, **moved}, metric), loss, calm).values).sum()

    for name in ("x", "y"):
        for part in (slice(None), slice(-1, None)):
            direction = np.zeros(arrays[name].shape)
            direction[part] = rng.normal(size=direction[part].shape)
            terms = oracle.double(found[name]) * direction
            ahead = slope(total, {name: arrays[name]}, {name: direction}, 2e-4)
            assert_near(terms.sum(), ahead, 1e-8, f"{about} d{name} {part}", max(np.abs(terms).sum(), 1e-3))
    narrow = {name: None if a is None else a.astype(np.float32) for name, a in arrays.items()}
    wide = run({name: None if a is None else a.astype(np.float64) for name, a in narrow.items()}, metric, loss, options)
    for level in helpers.ISAS:
        with helpers.using_isa(level):
            single, double = run(narrow, metric, loss, options), run(arrays, metric, loss, options, factors)
        for name in ("values", "x", "y"):
            assert_near(double[name], found[name], 1e-11, f"{about} {level} {name}")
            assert_near(single[name], wide[name], 5e-6, f"{about} {level} {name} float32")


BLOCKS = {
    "softmax": (
        *("plain", "mask, separate", "labels without oneself", "column weights", "hard_k", "hard_threshold", "both"),
        *("targets", "label smoothing of a mask"),
    ),
    "sigmoid": ("plain", "mask"),
    "hard_negatives": ("plain", "columns"),
}


@pytest.mark.parametrize(("loss", "name"), [(loss, name) for loss, names in BLOCKS.items() for name in names])
def test_many_blocks(loss, name):
    """Several panels of rows and blocks of columns; the last ones are not full."""
    n, m, d = 301, 613, 19
    options, arrays = options_of(loss, name, n, m), problem(*pair(cases.generator("blocks"), n, m, d))
    whole_and_parts(arrays, "cosine", loss, options, name)


@pytest.mark.parametrize(("loss", "name"), [(loss, name) for loss, names in BLOCKS.items() for name in names])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_threads_and_scratch_change_no_bit(loss, name, dtype):
    n, m, d = 301, 613, 19
    options, arrays = options_of(loss, name, n, m), problem(*pair(cases.generator("blocks"), n, m, d, dtype))
    first = run(arrays, "cosine", loss, options, None, True, 1)
    with pytest.raises(ValueError, match="max_memory") as caught:
        run(arrays, "cosine", loss, options, None, True, 2, 1)
    least = int(re.search(r"needs (\d+)", str(caught.value)).group(1))
    for threads, memory in ((2, None), (5, None), (1, least), (2, 4 * least), (5, least)):
        found = run(arrays, "cosine", loss, options, None, True, threads, memory)
        for key, values in first.items():
            np.testing.assert_array_equal(found[key], values, err_msg=f"{key} {threads} {memory}")
    alone = run(arrays, "cosine", loss, options, None, False, 2)
    np.testing.assert_array_equal(alone["values"], first["values"])
    assert all(alone[name] is None for name in GRADIENTS)
