"""What all losses over lists have in common: each one against its oracle, list by list, in every form of input."""

import cases
import helpers
import numpy as np
import oracle_losses as oracle
import pytest
from layouts import LAYOUTS
from score_losses import (
    LOSSES,
    SIZES,
    SMOOTH,
    assert_close,
    assert_engines_agree,
    assert_loss,
    expected,
    labels_of,
    sample,
)


@pytest.fixture(params=LOSSES)
def row(request):
    """Every loss with its oracle."""
    return LOSSES[request.param]


def solve(row, sizes=SIZES, dtype="float64", **how):
    scores, labels, offsets = sample(row.labels, sizes, dtype)
    return scores, labels, offsets, expected(row, scores, labels, oracle.rows_of(len(scores), offsets=offsets), **how)


def is_one_of(row, *names):
    return row.call.func.__name__ in names


def choice(normalizer):
    return {} if normalizer is None else {"normalizer": normalizer}


def test_every_engine_finds_value_and_gradient(row):
    for normalizer in (None, *row.normalizers):
        for reduction in ("mean", "sum"):
            scores, labels, offsets, wanted = solve(row, normalizer=normalizer, reduction=reduction)
            options = {"offsets": offsets, "reduction": reduction, **choice(normalizer)}
            for level, threads in helpers.engines():
                found = row.call(scores, labels, return_grad=True, num_threads=threads, **options)
                assert_loss(found, wanted, scores, about=f"{normalizer} {reduction} {level} {threads}", unit=row.unit)
            alone = row.call(scores, labels, **options)
            assert type(alone) is np.float64
            assert helpers.bits(alone) == helpers.bits(found[0])


def test_one_value_for_each_list(row):
    upstream = np.linspace(-1, 2, len(SIZES))
    for normalizer in (None, *row.normalizers):
        scores, labels, offsets, wanted = solve(row, normalizer=normalizer, reduction="none", upstream=upstream)
        options = {"offsets": offsets, "reduction": "none", **choice(normalizer)}
        found = row.call(scores, labels, return_grad=True, grad_output=upstream, **options)
        assert_loss(found, wanted, scores, about=str(normalizer), unit=row.unit)
        np.testing.assert_array_equal(row.call(scores, labels, **options), found[0], strict=True)
        assert found[0][1] == 0  # a list of one item


def test_scores_of_every_dtype(row, dtype):
    scores, labels, offsets, wanted = solve(row, dtype=dtype, reduction="sum")
    found = row.call(scores, labels, offsets=offsets, reduction="sum", return_grad=True)
    if is_one_of(row, "fast_ap") and scores.dtype.kind in "iub":  # whole numbers are where its histogram has kinks
        wanted = wanted[0], oracle.long(found[1].scores), np.zeros(len(scores))
    assert_loss(found, wanted, scores, unit=row.unit)


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint16", "int64", "uint64", "float16", "float32"])
def test_labels_of_every_dtype(row, dtype):
    if dtype == "bool" and row.labels == "grades":
        row = row._replace(labels="classes")
    scores, labels, offsets, wanted = solve(row)
    found = row.call(scores, labels.astype(dtype), offsets=offsets, return_grad=True)
    assert_loss(found, wanted, scores, unit=row.unit)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int32"])
def test_arrays_in_any_layout(row, dtype):
    scores, labels, _ = sample(row.labels, SIZES, dtype)
    groups = np.repeat(np.arange(len(SIZES)), SIZES)
    value, grads = row.call(scores, labels, groups=groups, return_grad=True)
    for name, layout in LAYOUTS.items():
        given = [layout(a) for a in (scores, labels, groups)]
        before = [a.tobytes() for a in given]
        found, found_grads = row.call(given[0], given[1], groups=given[2], return_grad=True)
        assert helpers.bits(found) == helpers.bits(value), name
        np.testing.assert_array_equal(found_grads.scores, grads.scores, err_msg=name, strict=True)
        assert [a.tobytes() for a in given] == before, name


@pytest.mark.parametrize("ids", ["integers", "strings"])
def test_lists_by_ids_in_any_order(row, ids):
    scores, labels, _ = sample(row.labels)
    codes = np.repeat([4, 9, 0, 7, 3, 1, 8, 5], SIZES)
    order = cases.generator("order").permutation(len(scores))
    scores, labels, codes = scores[order], labels[order], codes[order]
    rows = oracle.rows_of(len(scores), groups=codes)
    groups = codes if ids == "integers" else np.array([f"query {c}" for c in codes])
    wanted = expected(row, scores, labels, rows)
    for threads in helpers.THREADS:
        found = row.call(scores, labels, groups=groups, return_grad=True, num_threads=threads)
        assert_loss(found, wanted, scores, unit=row.unit)
    wanted = expected(row, scores, labels, rows, reduction="none")
    found = row.call(scores, labels, groups=groups, reduction="none")
    assert_close(found, wanted[0], np.maximum(np.abs(wanted[0]), row.unit))


def test_lists_are_independent(row):
    """Each list gives what it gives alone."""
    scores, labels, offsets = sample(row.labels)
    values = row.call(scores, labels, offsets=offsets, reduction="none")
    for value, own in zip(values, oracle.rows_of(len(scores), offsets=offsets), strict=True):
        alone = row.call(scores[own], labels[own], **choice("groups" if row.normalizers else None))
        plain = row.call(scores[own], labels[own])
        assert_close(plain, value, max(abs(value), row.unit))
        if row.default != "sum":
            assert_close(alone, value, max(abs(value), row.unit))


@pytest.mark.parametrize("n", [2, 15, 16, 17, 31, 33, 100, 257])
def test_one_list_of_any_size(row, n):
    scores, labels, _, wanted = solve(row, (n,))
    labels[:2] = 1, 0
    wanted = expected(row, scores, labels, [np.arange(n)])
    for level, threads in helpers.engines():
        found = row.call(scores, labels, return_grad=True, num_threads=threads)
        assert_loss(found, wanted, scores, about=f"{level} {threads}", unit=row.unit)


def test_tied_scores(row):
    scores, labels, offsets = sample(row.labels)
    scores = np.rint(scores) + 0.25
    wanted = expected(row, scores, labels, oracle.rows_of(len(scores), offsets=offsets))
    for level, threads in helpers.engines():
        found = row.call(scores, labels, offsets=offsets, return_grad=True, num_threads=threads)
        if not is_one_of(row, "fast_ap"):  # its histogram has kinks there
            assert_loss(found, wanted, scores, about=f"{level} {threads}", unit=row.unit)


def test_large_offsets_cost_no_accuracy(row):
    if is_one_of(row, "fast_ap"):
        pytest.skip("its histogram has borders")
    scores, labels, offsets = sample(row.labels)
    scores = scores + 1e6
    wanted = expected(row, scores, labels, oracle.rows_of(len(scores), offsets=offsets))
    assert_loss(row.call(scores, labels, offsets=offsets, return_grad=True), wanted, scores, unit=row.unit)


def test_weights_of_lists(row):
    if not row.weighted:
        pytest.skip("its weights are of scores")
    for weights in (np.arange(len(SIZES)) / 3, np.ones(len(SIZES), int), np.zeros(len(SIZES))):
        for normalizer in (None, *row.normalizers):
            for reduction in ("mean", "sum", "none"):
                upstream, grad_output = {}, {}
                if reduction == "none":
                    upstream["upstream"] = grad_output["grad_output"] = np.arange(1.0, 9.0)
                how = {"normalizer": normalizer, "reduction": reduction, "weights": weights}
                scores, labels, offsets, wanted = solve(row, **how, **upstream)
                options = {"reduction": reduction, "weights": weights, **choice(normalizer), **grad_output}
                found = row.call(scores, labels, offsets=offsets, return_grad=True, **options)
                assert_loss(found, wanted, scores, about=f"{normalizer} {reduction}", unit=row.unit)


def test_lists_that_lack_a_pair(row):
    scores, labels, offsets, wanted = solve(row, on_empty="zero")
    found = row.call(scores, labels, offsets=offsets, return_grad=True, on_empty="zero")
    assert_loss(found, wanted, scores, unit=row.unit)
    with pytest.raises(ValueError, match=r"(?i)on_empty|list"):
        row.call(scores, labels, offsets=offsets, on_empty="error")
    scores, labels, offsets, wanted = solve(row, (3, 17))
    assert_loss(
        row.call(scores, labels, offsets=offsets, return_grad=True, on_empty="error"), wanted, scores, unit=row.unit
    )


@pytest.mark.parametrize("sizes", [(), (0,), (1,), (0, 0), (1, 1, 0)])
def test_nothing_left_is_zero(row, sizes):
    scores, labels, offsets = sample(row.labels, sizes)
    forms = [{"offsets": offsets}, {"groups": np.repeat(np.arange(len(sizes)), sizes)}]
    for options in forms if len(scores) > 1 else [*forms, {}]:
        value, grads = row.call(scores, labels, return_grad=True, **options)
        assert type(value) is np.float64
        assert value == 0
        np.testing.assert_array_equal(grads.scores, np.zeros(len(scores)), strict=True)
    values = row.call(scores, labels, offsets=offsets, reduction="none")
    np.testing.assert_array_equal(values, np.zeros(len(sizes)), strict=True)


def test_nan_stays_in_its_list(row):
    scores, labels, offsets = sample(row.labels, (3, 17, 1, 20))
    scores[[5, 20]] = np.nan  # in the second list, and in a list of one item, which most losses skip
    rows = oracle.rows_of(41, offsets=offsets)
    values = row.call(scores, labels, offsets=offsets, reduction="none")
    wanted = expected(row, scores, labels, rows, reduction="none")[0]
    assert not np.isnan(wanted[[0, 3]]).any()
    np.testing.assert_array_equal(np.isnan(values), np.isnan(wanted))
    wanted = expected(row, scores, labels, rows, reduction="sum")
    assert np.isnan(wanted[1][3:20]).all()
    assert_loss(
        row.call(scores, labels, offsets=offsets, return_grad=True, reduction="sum"), wanted, scores, unit=row.unit
    )
    assert np.isnan(row.call(scores, labels, offsets=offsets))


def test_relevance_of_nan_ignores_the_item(row):
    if row.labels == "classes" or is_one_of(row, "mann_whitney"):
        pytest.skip("it has labels, not relevance")
    scores, labels, offsets = sample(row.labels)
    labels = np.where(cases.generator("nan").random(len(labels)) < 0.3, np.nan, labels)
    wanted = expected(row, scores, labels, oracle.rows_of(len(scores), offsets=offsets))
    for level, threads in helpers.engines():
        found = row.call(scores, labels, offsets=offsets, return_grad=True, num_threads=threads)
        assert_loss(found, wanted, scores, about=f"{level} {threads}", unit=row.unit)
    assert (found[1].scores[np.isnan(labels)] == 0).all()


INFINITE = [[np.inf, 0, -np.inf, 1, np.inf], [-np.inf] * 2 + [0.5] * 3, [np.inf] * 5, [3, 2, 1, -np.inf, -np.inf]]


@pytest.mark.parametrize("scores", INFINITE, ids=str)
@pytest.mark.parametrize("labels", [[1, 0, 0, 1, 0], [0, 1, 1, 0, 0]], ids=str)
def test_infinite_scores_are_limits(row, scores, labels):
    if is_one_of(row, "fast_ap", "plackett_luce", "listnet", "softmax"):
        pytest.skip("has no such limit; test_plackett_luce and test_listnet say what it has")
    scores = np.array(scores)
    with np.errstate(invalid="ignore"):
        wanted = expected(row, scores, labels, [np.arange(5)])
    if np.isnan(wanted[1]).any() or np.isnan(wanted[0]):
        pytest.skip("the oracle has no limit here")
    for level, threads in helpers.engines():
        found = row.call(scores, labels, return_grad=True, num_threads=threads)
        assert_loss(found, wanted, scores, about=f"{level} {threads}", unit=row.unit)


@pytest.mark.parametrize("name", SMOOTH)
def test_gradients_are_central_differences(name):
    row = LOSSES[name]
    if "lambda_rank" in name and "none" not in name:
        pytest.skip("its weights carry no gradient")
    scores, labels, offsets = sample(row.labels, (5, 1, 7))
    _, grads = row.call(scores, labels, offsets=offsets, return_grad=True)
    numeric = oracle.central(lambda s: row.call(s, labels, offsets=offsets), scores)
    np.testing.assert_allclose(grads.scores, numeric, atol=1e-7)


def test_every_engine_agrees(row):
    rng = cases.generator("bits")
    sizes = np.concatenate([rng.zipf(1.5, 300).clip(1, 200), [1500]])
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    n = int(offsets[-1])
    labels = labels_of(row.labels, n, rng)
    for dtype in ("float32", "float64"):
        scores, found = rng.normal(size=n).astype(dtype), {}
        for engine in helpers.engines():
            value, grads = row.call(scores, labels, offsets=offsets, return_grad=True, num_threads=engine[1])
            found[engine] = value, grads.scores
        assert_engines_agree(found, dtype)
