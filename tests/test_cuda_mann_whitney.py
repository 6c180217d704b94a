"""mann_whitney on arrays of numpy and CuPy: every surrogate on every path against the oracle, and each other.

Few pairs are looked at one by one; the paths for many are tried on few pairs too, by constants that say what is many.
"""

import cases
import cupy_on_host
import libraries
import numpy as np
import oracle_losses as oracle
import pytest
from cupy_on_host import module
from fastpair import losses
from fastpair._cuda import all_pairs, long_lists, treecode
from libraries import on_device, on_host
from pair_scores import DISTRIBUTIONS, solved
from score_losses import assert_close, assert_gradient, grad_dtype, precision

INF, NAN = np.inf, np.nan
SURROGATES = tuple(oracle.SURROGATES)
PATHS = ("pair by pair", "many pairs", "boxes without empty ones")
EXACT = 2e-13


@pytest.fixture(params=PATHS)
def path(request, monkeypatch):
    """Each way through the kernels; on the last one threads of a block run backwards."""
    if request.param != "pair by pair":
        monkeypatch.setattr(all_pairs, "FEW_PAIRS", 0)
        monkeypatch.setattr(long_lists, "LONG_LIST", 8)
    if request.param == "boxes without empty ones":
        monkeypatch.setattr(treecode, "ALL_BOXES", 0)
        monkeypatch.setattr(module.RawKernel, "backwards", True)
    return request.param


@pytest.fixture
def many(monkeypatch):
    """The way of many pairs."""
    monkeypatch.setattr(all_pairs, "FEW_PAIRS", 0)
    monkeypatch.setattr(long_lists, "LONG_LIST", 8)


def run(xp, *args, **options):
    """A call with its arrays in the library, and what it returns on the host."""
    given = on_device(xp, args), on_device(xp, options)
    result = losses.mann_whitney(*given[0], **given[1])
    value = result[0] if isinstance(result, tuple) else result
    assert isinstance(value, (np.float64, np.ndarray) if xp is np else xp.ndarray)
    assert value.dtype == np.float64
    return on_host(result)


def assert_same(cupy, *args, about="", bound=2e-12, **options):
    """CuPy arrays give what numpy arrays give: shapes, dtypes and, but for rounding, values."""
    found, wanted = run(cupy, *args, return_grad=True, **options), run(np, *args, return_grad=True, **options)
    assert type(found[1]) is type(wanted[1])
    for own, other in [(found[0], wanted[0]), *zip(found[1], wanted[1], strict=True)]:
        own, other = np.asarray(own), np.asarray(other)
        assert (own.dtype, own.shape) == (other.dtype, other.shape), about
        rounding = 0.0 if own.dtype == np.float64 else 2 * precision(own.dtype)[0]
        other = oracle.long(other).ravel()
        scale = np.abs(other[np.isfinite(other)]).max(initial=0)
        assert_close(own.ravel(), other, np.maximum(np.abs(other), scale), bound + rounding, about)


@pytest.mark.parametrize("surrogate", SURROGATES)
def test_positives_and_negatives(cupy, path, surrogate):
    rng = cases.generator("cuda classes")
    pos, neg = rng.normal(1, 2, 37), rng.normal(0, 2, 150)
    heavy, light = rng.integers(0, 3, 37), rng.random(150)
    scores, labels = np.concatenate([pos, neg]), np.repeat([1, 0], [37, 150])
    for weights, temperature, slope in ((None, 0.5, 2), ((heavy, light), 1, 1), ((None, light), 1, 2.5)):
        ones = [np.ones(n) if w is None else w for n, w in zip((37, 150), weights or (None, None), strict=True)]
        options = {"surrogate": surrogate, "margin": 1.3, "temperature": temperature, "slope": slope}
        loss = oracle.pair_loss(scores, labels, np.concatenate(ones), **options)
        for normalizer, size in (("pairs", loss.norm), ("positives", loss.uppers)):
            given = {"pos": pos, "neg": neg, "weights": weights, "normalizer": normalizer, **options}
            value, grads = run(cupy, return_grad=True, **given)
            assert_close(value, loss.total / size, loss.total / size, about=normalizer)
            both = np.concatenate(grads)
            assert_gradient(both, loss.grad / size, loss.size / size, scores, about=normalizer)
        assert run(cupy, **given) == value  # without derivatives
    swapped = {"pos": neg, "neg": pos, "weights": (light, None), "surrogate": surrogate}
    assert_same(cupy, **swapped)


@pytest.mark.parametrize("surrogate", ["logistic", "hinge", "square"])
def test_labels_grades_and_lists(cupy, path, surrogate, monkeypatch):
    if path != "pair by pair":
        monkeypatch.setattr(long_lists, "LONG_LIST", 20)
    rng = cases.generator("cuda labels")
    scores, weights, codes = rng.normal(size=90), rng.random(90), rng.integers(0, 3, 90)
    weights[::9] = 0
    options = {"surrogate": surrogate, "temperature": 0.5}
    for labels in (cases.coin(rng, 90), rng.integers(0, 4, 90).astype(np.float32)):
        assert_same(cupy, scores, labels, weights=weights, normalizer="positives", **options)
        assert_same(cupy, scores, labels, groups=codes, normalizer="groups", **options)
    offsets = np.array([0, 0, 2, 50, 51, 90])
    upstream = np.linspace(-1, 1, 5)
    assert_same(cupy, scores, labels, offsets=offsets, reduction="none", grad_output=upstream, **options)
    labels[::7] = NAN
    broken = scores.copy()
    broken[7], broken[60] = NAN, NAN  # nobody looks at the first
    assert_same(cupy, broken, labels, offsets=offsets, reduction="none", grad_output=upstream, **options)


@pytest.mark.parametrize("surrogate", ["logistic", "sigmoid", "squared_hinge", "exponential", "square"])
@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_accuracy(cupy, many, name, surrogate):
    """As near to the sums in long double as on processors, value and every component of the gradient."""
    interpolated = surrogate in ("logistic", "sigmoid")
    scores, positive, _, loss = solved(name, 15, 40, surrogate)
    size, bound = loss.size, 1e-12 if interpolated else EXACT
    given = {"pos": scores[positive], "neg": scores[~positive], "surrogate": surrogate, "normalizer": "sum"}
    value, grads = run(cupy, return_grad=True, **given)
    for part, own in ((positive, grads.pos), (~positive, grads.neg)):
        assert_close(own, loss.grad[part], size[part], bound, "gradient")
    assert_close(value, loss.total, loss.total, bound, "value")


@pytest.mark.parametrize("rtol", [1e-2, 1e-13])
def test_the_accuracy_that_is_asked_for(cupy, many, rtol):
    for name in ("normal", "ties", "cauchy"):
        scores, positive, _, loss = solved(name, 30, 90, "logistic", 0.37)
        given = {"pos": scores[positive], "neg": scores[~positive], "temperature": 0.37, "normalizer": "sum"}
        value, grads = run(cupy, return_grad=True, rtol=rtol, **given)
        assert_close(value, loss.total, loss.total, rtol, name)
        assert_close(grads.pos, loss.grad[positive], loss.size[positive], rtol, name)
        assert_close(grads.neg, loss.grad[~positive], loss.size[~positive], rtol, name)


def test_orders_of_the_interpolation():
    assert [treecode.order_for(rtol) for rtol in (1e-2, 1e-4, 1e-8, 1e-12, 1e-13)] == [6, 8, 12, 16, 18]


def test_scores_of_every_dtype(cupy, many, dtype):
    rng, full = cases.generator("cuda dtypes"), cases.as_dtype(dtype)
    pos, neg = rng.normal(9, 2, 30), rng.normal(8, 2, 41)
    pos, neg = (pos > 9, neg > 9) if full.kind == "b" else (pos.astype(full), neg.astype(full))
    assert_same(cupy, pos=pos, neg=neg, surrogate="hinge")
    assert_same(cupy, pos=pos, neg=neg.astype(np.float64), surrogate="square", weights=(pos, None))
    assert_same(cupy, np.concatenate([pos, neg]), np.repeat([True, False], [30, 41]), surrogate="hinge")
    assert run(cupy, pos=pos, neg=neg, return_grad=True)[1].pos.dtype == grad_dtype(pos)


def test_strides_and_inputs_that_stay(cupy, many):
    rng = cases.generator("cuda strides")
    wide, weights = rng.normal(size=(3, 80)), rng.random(60)
    pos, neg = cupy.asarray(wide)[:, 5], cupy.asarray(wide)[1, ::-2]
    own = cupy.asarray(weights)[::20], None
    before = [array.get().tobytes() for array in (pos, neg, own[0])]
    for surrogate in ("logistic", "squared_hinge", "square"):
        found = on_host(losses.mann_whitney(pos=pos, neg=neg, weights=own, surrogate=surrogate, return_grad=True))
        given = {"pos": wide[:, 5], "neg": wide[1, ::-2], "weights": (weights[::20], None), "surrogate": surrogate}
        wanted = losses.mann_whitney(return_grad=True, **given)
        assert_close(found[0], wanted[0], wanted[0])
        assert_close(np.concatenate(found[1]), np.concatenate(wanted[1]), np.abs(np.concatenate(wanted[1])).max())
    assert [array.get().tobytes() for array in (pos, neg, own[0])] == before


@pytest.mark.parametrize("surrogate", SURROGATES)
def test_infinite_scores(cupy, path, surrogate):
    rng = cases.generator("cuda infinite")
    for kinds in ([INF], [-INF, INF]):
        for which in ("positives", "both"):
            scores, positive = rng.normal(size=50), cases.coin(rng, 50)
            hit = (rng.random(50) < 0.2) & {"positives": positive, "negatives": ~positive, "both": True}[which]
            scores[hit] = rng.choice(kinds, hit.sum())
            with np.errstate(invalid="ignore"):
                loss = oracle.pair_loss(scores, positive, surrogate=surrogate)
            given = {"pos": scores[positive], "neg": scores[~positive], "surrogate": surrogate, "normalizer": "sum"}
            value, grads = run(cupy, return_grad=True, **given)
            assert_close(value, loss.total, loss.total, about=f"{kinds} {which}")
            if not np.isnan(loss.grad).any():
                for part, own in ((positive, grads.pos), (~positive, grads.neg)):
                    assert_close(own, loss.grad[part], loss.size[part], about=f"{kinds} {which}")
    for pos, neg in (([INF], [INF]), ([-INF, INF], [-INF]), ([INF, INF], [0.0, 1.0])):
        value, grads = run(cupy, pos=np.array(pos), neg=np.array(neg), surrogate=surrogate, return_grad=True)
        wanted = losses.mann_whitney(pos=pos, neg=neg, surrogate=surrogate, return_grad=True)
        np.testing.assert_allclose(value, wanted[0], rtol=1e-12)
        np.testing.assert_allclose(np.concatenate(grads), np.concatenate(wanted[1]), rtol=1e-12)


@pytest.mark.parametrize("surrogate", ["logistic", "sigmoid", "hinge", "exponential"])
def test_enormous_differences(cupy, many, surrogate):
    """Numbers of boxes beyond 2^53, and beyond what float64 holds: pair by pair."""
    rng = cases.generator("cuda enormous")
    wide = rng.normal(size=60) * 10.0 ** rng.uniform(-5, 300, 60)
    beside = 1e20 + rng.integers(0, 3, 60) * 16384.0
    for scores, temperature in ((wide, 1.0), (wide, 1e-10), (beside, 1.0), (beside, 1e-300), (beside, 1e250)):
        if surrogate == "hinge" and temperature < 1e-9:
            continue  # the margin is far below the rounding of the scores
        loss = oracle.pair_loss(scores, np.arange(60) < 20, surrogate=surrogate, temperature=temperature)
        given = {"pos": scores[:20], "neg": scores[20:], "surrogate": surrogate, "temperature": temperature}
        value, grads = run(cupy, normalizer="sum", return_grad=True, **given)
        assert_close(value, loss.total, loss.total, about=temperature)
        assert_close(np.concatenate(grads), loss.grad, loss.size, about=temperature, floor=1e-290)
    for scores in ([1e308, -1e308, 1e308, -1e308], [1e300, 5e-324, -5e-324, 0], [700, -700, 710, 0]):
        pos, neg = np.array(scores[:2], float), np.array(scores[2:], float)
        value, grads = run(cupy, pos=pos, neg=neg, surrogate=surrogate, return_grad=True)
        assert not np.isnan([value, *grads.pos, *grads.neg]).any()


def test_a_nan_makes_everything_nan(cupy, path):
    rng = cases.generator("cuda nan")
    for surrogate in ("logistic", "hinge", "square", "exponential"):
        for place in (0, 11):
            pos, neg = rng.normal(size=12), rng.normal(size=15)
            neg[place] = NAN
            for own in ({"pos": pos, "neg": neg}, {"pos": neg, "neg": pos}, {"pos": np.append(neg, INF), "neg": pos}):
                value, grads = run(cupy, surrogate=surrogate, return_grad=True, **own)
                assert np.isnan(value)
                assert np.isnan(np.concatenate(grads)).all()


@pytest.mark.parametrize(("n", "m"), [(0, 0), (0, 4), (4, 0), (1, 1)])
def test_few_scores(cupy, path, n, m):
    for surrogate in SURROGATES:
        assert_same(cupy, pos=np.ones(n), neg=np.zeros(m), surrogate=surrogate)
    assert_same(cupy, np.ones(n + m), np.arange(n + m) < n)
    assert_same(cupy, pos=np.full(n, NAN), neg=np.ones(m))
    weights = np.zeros(n), np.ones(m)
    assert run(cupy, pos=np.ones(n), neg=np.zeros(m), weights=weights) == 0


@pytest.mark.parametrize("surrogate", SURROGATES)
def test_weight_zero_is_not_there(cupy, path, surrogate):
    rng = cases.generator("cuda zeros")
    pos, neg, weights = rng.normal(size=40), rng.normal(size=50), np.ones(40)
    pos[[3, 9]], weights[[3, 9]] = (1e5, -INF), 0
    kept = weights > 0
    value, grads = run(cupy, pos=pos[kept], neg=neg, surrogate=surrogate, return_grad=True)
    found, found_grads = run(cupy, pos=pos, neg=neg, weights=(weights, None), surrogate=surrogate, return_grad=True)
    assert found == pytest.approx(value, rel=1e-12)
    np.testing.assert_allclose(found_grads.pos[kept], grads.pos, rtol=1e-11, atol=1e-16)
    np.testing.assert_allclose(found_grads.neg, grads.neg, rtol=1e-11, atol=1e-16)
    assert (found_grads.pos[~kept] == 0).all()


@pytest.mark.parametrize("surrogate", SURROGATES)
def test_several_blocks(cupy, many, surrogate):
    """More rows than a block sums up, a piece of a box holds or a running sum takes in one chunk."""
    rng = cases.generator("cuda blocks")
    pos, neg = rng.integers(0, 30, 5000) / 4 - 3, rng.integers(0, 30, 1300) / 4 - 4
    assert_same(cupy, pos=pos, neg=neg, surrogate=surrogate, margin=0.5)


def test_several_chunks_of_the_other_side(cupy):
    rng = cases.generator("cuda chunks")
    assert_same(
        cupy, pos=rng.normal(size=3), neg=rng.normal(size=1300), surrogate="barrier", weights=(None, np.ones(1300))
    )


def test_many_boxes(cupy, many, monkeypatch):
    """More boxes than a running sum takes in one chunk, most of them with one row."""
    rng = cases.generator("cuda boxes")
    pos, neg = np.arange(1100.0) + rng.random(1100), rng.uniform(0, 1100, 30)
    assert_same(cupy, pos=pos, neg=neg, rtol=1e-2, bound=1e-2)
    monkeypatch.setattr(treecode, "ALL_BOXES", 1 << 20)
    assert_same(cupy, pos=pos[::20], neg=neg, rtol=1e-2, bound=1e-2)


def test_a_matrix(cupy, path):
    rng = cases.generator("cuda matrix")
    similarities, mask = rng.normal(size=(7, 12)), rng.random((7, 12)) < 0.2
    for positives in (None, np.arange(7) * 5 % 12, mask):
        ignore = (rng.random((7, 12)) < 0.2) & ~mask if positives is mask else None
        for scope in ("global", "row"):
            options = {"positives": positives, "ignore": ignore, "scope": scope}
            assert_same(cupy, similarities=similarities, normalizer="groups", **options)
    assert_same(cupy, similarities=similarities.T.copy().T, positives=mask, weights=np.abs(similarities))
    # Short lists of float32 have terms in float32.
    assert_same(cupy, similarities=similarities.astype(np.float32), scope="row", bound=2e-6)


def test_which_labels_are_positive(cupy):
    rng = cases.generator("cuda pos_label")
    scores = rng.normal(size=40)
    labels = rng.integers(0, 2, 40)
    for given, pos_label in ((labels * 2 - 1, None), (labels + 3, 4), (labels + 3, 3), (labels > 0, True)):
        assert_same(cupy, scores, given, pos_label=pos_label)
    for kind in ("float16", "bfloat16", "float64"):
        given = (labels + 3).astype(cases.as_dtype(kind))
        given[5] = NAN
        assert_same(cupy, scores, given, pos_label=4)
    for bad in (
        {"labels": labels + 3},
        {"labels": rng.integers(0, 3, 40), "pos_label": 1},
        {"labels": labels, "pos_label": 7},
    ):
        with pytest.raises(ValueError, match="labels") as wanted:
            losses.mann_whitney(scores, **bad)
        with pytest.raises(ValueError, match="labels") as found:
            losses.mann_whitney(cupy.asarray(scores), **on_device(cupy, bad))
        assert str(found.value) == str(wanted.value)


def test_errors(cupy):
    host, scores = np.arange(6.0), cupy.arange(6.0)
    labels = cupy.arange(6) % 2
    for mixed in (
        {"pos": scores, "neg": host},
        {"pos": host, "neg": scores},
        {"scores": scores, "labels": labels, "weights": host},
        {"scores": scores, "labels": labels, "groups": host.astype(int)},
        {"similarities": scores.reshape(2, 3), "positives": host[:2].astype(int)},
    ):
        with pytest.raises(TypeError, match="host memory"):
            losses.mann_whitney(**mixed)
    for bad in (
        {"pos": host, "neg": host, "weights": (-host, None)},
        {"pos": host, "neg": host, "weights": (host, host[:2])},
        {"pos": host, "neg": host, "surrogate": "softmax"},
        {"pos": host.reshape(2, 3), "neg": host},
        {"similarities": host.reshape(2, 3), "positives": np.array([0, 3])},
        {"similarities": host.reshape(2, 3), "ignore": np.ones((2, 3), bool)},
        {"scores": host, "labels": np.ones(6), "on_empty": "error"},
    ):
        with pytest.raises(ValueError, match=r".") as wanted:
            losses.mann_whitney(**bad)
        with pytest.raises(ValueError, match=r".") as found:
            losses.mann_whitney(**on_device(cupy, bad))
        assert str(found.value) == str(wanted.value)


@pytest.mark.skipif(libraries.has_gpu(), reason="counts what the stand-in copies to the host")
def test_the_host_waits_once(cupy, monkeypatch):
    rng = cases.generator("cuda reads")
    pos, neg = cupy.asarray(rng.normal(size=30)), cupy.asarray(rng.normal(size=40))

    def reads(**options):
        before = cupy_on_host.transfers.count
        losses.mann_whitney(pos=pos, neg=neg, return_grad=True, **options)
        return cupy_on_host.transfers.count - before

    assert [reads(surrogate=name) for name in ("logistic", "hinge", "exponential")] == [0, 0, 0]
    monkeypatch.setattr(all_pairs, "FEW_PAIRS", 0)
    assert [reads(surrogate=name) for name in SURROGATES] == [1] * len(SURROGATES)


@pytest.mark.parametrize("surrogate", ["logistic", "hinge"])
def test_the_same_bits_each_time(cupy, many, surrogate):
    rng = cases.generator("cuda bits")
    given = {"pos": rng.normal(size=300), "neg": rng.normal(size=200), "surrogate": surrogate, "return_grad": True}
    first, again = run(cupy, **given), run(cupy, **given)
    assert first[0].tobytes() == again[0].tobytes()
    assert [own.tobytes() for own in first[1]] == [own.tobytes() for own in again[1]]
