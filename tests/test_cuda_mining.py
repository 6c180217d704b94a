"""The miners of a batch on the device: the same pairs, scores and errors as those of the kernels for processors."""

import cupy_on_host
import embeddings
import libraries
import mining_batches as shared
import numpy as np
import oracle_mining as oracle
import pytest
from fastpair import mining
from fastpair._cuda import plan
from fastpair._validate import Resources
from mining_batches import REFUSED, make

MINERS = (mining.hard_mask, mining.multi_similarity_mask, mining.batch_hard, mining.triplets)
ROLES = (("integers", None), ("columns", None), ("mask", None), ("tuple", 40), ("diagonal", 40), ("columns", 40))


@pytest.fixture(params=["large", "small"])
def tiles(request, monkeypatch):
    """One tile for all pairs, or several whose threads take turns in the other order."""
    if request.param == "small":
        monkeypatch.setattr(plan, "MOST_ROWS", 16)
        monkeypatch.setattr(plan, "MOST_COLUMNS", 32)
        monkeypatch.setattr(cupy_on_host.module.RawKernel, "backwards", True)


def check(cupy, batch, function, **options):
    """Demand what the function returns for numpy arrays, bit by bit; returns it."""
    wanted = batch.call(function, **options)
    rows = [libraries.on_device(cupy, rows) for rows in (batch.x, batch.y)]
    found = function(*rows, metric=batch.metric, **libraries.on_device(cupy, batch.given), **options)
    shared.same(libraries.on_host(found), wanted, f"{function.__name__} {batch.metric} {options}")
    for own, other in zip(rows, (batch.x, batch.y), strict=True):
        assert other is None or own.get().tobytes() == other.tobytes()
    return wanted


def are_on_device(cupy, found):
    return all(are_on_device(cupy, part) for part in found) if isinstance(found, tuple) else type(found) is cupy.ndarray


@pytest.mark.parametrize(("source", "m"), ROLES)
def test_hard_mask(xp, tiles, source, m):
    batch = make("clustered", "float32", "euclidean" if m else "cosine", source, 33, m)
    rows, given = libraries.on_device(xp, [batch.x, batch.y]), libraries.on_device(xp, batch.given)
    for kind in oracle.KINDS:
        for positive in ("min", "mean", "max"):
            options = (kind, batch.spread(0.4), positive)
            found = mining.hard_mask(
                *rows, metric=batch.metric, **given, kind=kind, margin=options[1], positive=positive
            )
            assert isinstance(found, xp.ndarray)
            wanted = oracle.hard_mask(batch.close, batch.positive, batch.negative, *options)
            np.testing.assert_array_equal(libraries.on_host(found), wanted, strict=True, err_msg=f"{options}")


@pytest.mark.parametrize("form", oracle.FORMATS)
def test_formats(cupy, tiles, form):
    for source, m in (("integers", None), ("tuple", 41)):
        batch = make("clustered", "float32", "cosine", source, 33, m)
        for function in (mining.hard_mask, mining.multi_similarity_mask):
            check(cupy, batch, function, format=form)


@pytest.mark.parametrize(("source", "m"), ROLES)
def test_multi_similarity_mask(cupy, tiles, source, m):
    batch = make("clustered", "float32", "cosine", source, 33, m)
    kept = [
        check(cupy, batch, mining.multi_similarity_mask, epsilon=epsilon, duplicate_eps=apart, format="mask")
        for epsilon in (0.1, -0.3)
        for apart in (1e-5, 0.4, None)
    ]
    assert any(found.positives.any() and found.negatives.any() for found in kept)


@pytest.mark.parametrize(("source", "m"), ROLES)
def test_batch_hard(cupy, tiles, source, m):
    batch = make("clustered", "float32", "cosine" if m else "euclidean", source, 33, m)
    for positive, negative in (("hardest", "hardest"), ("easiest", "semihard"), ("hardest", "easiest")):
        check(cupy, batch, mining.batch_hard, positive=positive, negative=negative)
    for fallback in ("none", "hardest", "farthest"):
        check(cupy, batch, mining.batch_hard, negative="semihard", margin=batch.spread(0.05), fallback=fallback)


@pytest.mark.parametrize(("source", "m"), ROLES)
def test_triplets(cupy, tiles, source, m):
    batch = make("clustered", "float32", "euclidean", source, 21, m and 34)
    for kind in ("all", "semihard", "easy"):
        for select in ("all", "hardest", "random"):
            for most in (None, 20) if kind == "semihard" else (None,):
                options = {"kind": kind, "margin": batch.spread(0.2), "select": select, "max_triplets": most, "seed": 7}
                check(cupy, batch, mining.triplets, **options)
    check(cupy, batch, mining.triplets, kind="semihard", margin=1e-3, select="hardest", fallback="hardest")


@pytest.mark.parametrize("dtype", ["float64", "float16", "bfloat16", "int8", "int64", "bool"])
def test_dtypes(cupy, dtype):
    batch = make("clustered", dtype, "euclidean", "integers", 33, None)
    assert check(cupy, batch, mining.hard_mask, kind="margin", margin=batch.spread(0.4)).any()


@pytest.mark.parametrize("metric", ["dot", "sqeuclidean", "manhattan"])
def test_metrics(cupy, metric):
    batch = make("clustered", "float32", metric, "tuple", 33, 40)
    assert check(cupy, batch, mining.hard_mask, kind="margin", margin=batch.spread(0.4)).any()
    check(cupy, batch, mining.batch_hard)
    check(cupy, batch, mining.multi_similarity_mask)


@pytest.mark.parametrize("metric", ["hamming", "jaccard", "lorentz"])
def test_bits_and_curved_spaces(cupy, metric):
    for batch in shared.other_problems(metric):
        assert check(cupy, batch, mining.hard_mask, kind="margin", margin=batch.spread(0.3)).any()


@pytest.mark.parametrize("pattern", embeddings.patterns("float32"))
def test_data_that_break_filters(cupy, pattern):
    """Duplicates, whole numbers, rows of zeros, huge and subnormal values: all that makes scores equal or extreme."""
    for metric in ("cosine", "dot", "euclidean"):
        batch = make(pattern, "float32", metric, "integers", 20, None)
        for kind, margin in (("margin", batch.spread(0.5)), ("hard", 0.0), ("easy", 1.0)):
            check(cupy, batch, mining.hard_mask, kind=kind, margin=margin)
        check(cupy, batch, mining.batch_hard)


def test_equal_scores_and_signed_zeros(cupy, tiles):
    x = np.array([[0.0, -0.0], [1.0, 1.0], [-1.0, -1.0], [2.0, -3.0], [0.0, 0.0]], np.float32)
    labels = [0, 0, 1, 1, 1]
    for metric in ("dot", "cosine", "euclidean"):
        batch = shared.Batch(x, None, {"labels": np.array(labels)}, metric, *[None] * 3)
        for kind in oracle.KINDS:
            for margin in (0.0, 1.0):
                check(cupy, batch, mining.hard_mask, kind=kind, margin=margin)
        check(cupy, batch, mining.batch_hard)


@pytest.mark.parametrize("n", [0, 1, 2, 31, 100])
def test_sizes(cupy, n):
    for m in (None, 0, 1, 33):
        batch = make("gaussian", "float32", "cosine", "columns", n, m)
        for form in ("mask", "csr"):
            check(cupy, batch, mining.hard_mask, kind="margin", format=form)
        if n < 100:
            check(cupy, batch, mining.batch_hard)
            check(cupy, batch, mining.triplets, select="random", seed=1)


def test_many_blocks_of_rows(cupy, monkeypatch):
    monkeypatch.setattr(Resources, "scratch", property(lambda self: 700))
    batch = make("clustered", "float32", "cosine", "integers", 49, None)
    for form in ("mask", "coo", "triplets"):
        check(cupy, batch, mining.hard_mask, kind="margin", margin=0.1, format=form)
    for select in ("all", "hardest", "random"):
        for most in (None, 50):
            check(cupy, batch, mining.triplets, margin=0.05, select=select, max_triplets=most, seed=3)


@pytest.mark.parametrize("source", ["integers", "mask"])
def test_layouts(cupy, source):
    batch = make("gaussian", "float32", "euclidean", source, 33, None)
    wide = cupy.asarray(np.repeat(np.asfortranarray(batch.x), 2, axis=1))[:, ::2]
    given = {name: cupy.asarray(np.repeat(values, 2, axis=0))[::2] for name, values in batch.given.items()}
    found = mining.hard_mask(wide, metric="euclidean", kind="margin", **given)
    np.testing.assert_array_equal(found.get(), batch.call(mining.hard_mask, kind="margin"))


@pytest.mark.parametrize("function", MINERS)
def test_everything_stays_on_the_device(cupy, function):
    x, labels = cupy.asarray(make().x), cupy.asarray(np.arange(33) % 5)
    if cupy is cupy_on_host.library:
        before = cupy_on_host.transfers.count
        found = function(x, labels=labels)
        allowed = {mining.triplets: 5}.get(function, 1)  # sizes of what is returned, and rows that are not finite
        assert cupy_on_host.transfers.count - before <= allowed
    else:
        found = function(x, labels=labels)
    assert are_on_device(cupy, found)


def test_a_miner_can_be_called(cupy):
    batch = make()
    miner = mining.Miner(mining.hard_mask, kind="hard")
    found = miner(cupy.asarray(batch.x), labels=cupy.asarray(batch.given["labels"]))
    np.testing.assert_array_equal(found.get(), miner(batch.x, **batch.given))


NAMED = {"words", "complex", "nothing", "no columns", "both", "column out of range", "column below"}


@pytest.mark.parametrize("name", sorted(set(REFUSED) - NAMED))
@pytest.mark.parametrize("function", MINERS[:2])
def test_what_is_refused(cupy, function, name):
    given, error, words = REFUSED[name]
    options = {"x": shared.X, "labels": shared.LABELS, **given}
    with pytest.raises(error, match=words):
        function(**libraries.on_device(cupy, options))


@pytest.mark.parametrize("positives", [[1, 0, 3, 2, 5, 6], [1, 0, 3, 2, -2, 4], [0.5] * 6, [[True]]])
def test_positives_that_are_refused(cupy, positives):
    with pytest.raises(ValueError, match="positives") as host:
        mining.hard_mask(shared.X, positives=np.array(positives))
    with pytest.raises(ValueError, match="positives") as own:
        mining.hard_mask(cupy.asarray(shared.X), positives=cupy.asarray(np.array(positives)))
    assert str(own.value) == str(host.value)


def test_errors_of_later_blocks_name_the_row(cupy, monkeypatch):
    monkeypatch.setattr(Resources, "scratch", property(lambda self: 700))
    x = make("clustered", "float32", "cosine", "integers", 75, None).x.copy()
    x[70, 3] = np.inf
    y = np.ones((9, x.shape[1]), np.float32)
    for metric in ("cosine", "manhattan"):
        with pytest.raises(ValueError, match=r"x is inf at row 70, column 3"):
            mining.hard_mask(
                cupy.asarray(x), cupy.asarray(y), metric=metric, positives=cupy.zeros(75, np.int64), format="csr"
            )


def test_arrays_of_one_library(cupy):
    with pytest.raises(TypeError, match=r"x is in GPU memory .*but labels is a numpy.ndarray in host memory"):
        mining.hard_mask(cupy.asarray(shared.X), labels=shared.LABELS)
    with pytest.raises(TypeError, match=r"labels is in GPU memory .*but x is a numpy.ndarray in host memory"):
        mining.batch_hard(shared.X, labels=cupy.asarray(shared.LABELS))


def test_other_miners_are_for_processors(cupy):
    with pytest.raises(TypeError, match="has no GPU kernel"):
        mining.distance_weighted(cupy.asarray(shared.X), labels=cupy.asarray(shared.LABELS))


def test_progress_is_reported(cupy):
    batch, seen = make("clustered", "float32", "cosine", "integers", 33, None), []
    x, labels = cupy.asarray(batch.x), cupy.asarray(batch.given["labels"])
    mining.hard_mask(x, labels=labels, progress=lambda done, total: seen.append((done, total)))
    assert seen == sorted(seen)
    assert seen[-1] == (33 * 33, 33 * 33)
