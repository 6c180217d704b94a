"""Every list loss beside its oracle, lists of scores to try them on, and how their results are compared."""

from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple

import cases
import numpy as np
import oracle_losses as oracle
import oracle_ranks as ranks
from fastpair import losses
from oracle_losses import LONG

RTOL = 1e-12  # the default accuracy of the treecode; sums of lists are better
FLOOR = 1e-300  # below this, products of two of float64's numbers are subnormal


class Entry(NamedTuple):
    """A public loss with options, and the oracle of one list with the same options."""

    call: Any
    one: Any
    labels: str = "grades"
    normalizers: tuple[str, ...] = ("pairs", "groups", "sum")
    default: str = "pairs"
    weighted: bool = True
    unit: float = 0.0  # the value is a difference from this, and as accurate as this


def entry(name, one, labels="grades", normalizers=Entry._field_defaults["normalizers"], default="pairs", **options):
    """The public loss `name`; `options` go to it and to its oracle alike."""
    weighted = name != "mann_whitney"
    renamed = {"sigma_" if key == "sigma" else key: value for key, value in options.items()}
    call, one = partial(getattr(losses, name), **options), partial(one, **renamed)
    return Entry(call, one, labels, normalizers, default, weighted)


def lambda_rank(delta, **options):
    row = entry("lambda_rank", oracle.lambda_loss, default="groups", **options)
    call, one = partial(row.call, delta=delta), partial(row.one, scheme=delta)
    return row._replace(call=call, one=one)


def pair_entry(surrogate, labels="classes", **options):
    every = ("pairs", "positives", "groups", "sum")
    return entry("mann_whitney", oracle.pair_loss, labels, every, surrogate=surrogate, **options)


def hinge(squared, **options):
    name = "squared_hinge" if squared else "hinge"
    row = entry("pairwise_hinge", partial(oracle.pair_loss, surrogate=name), **options)
    return row._replace(call=partial(row.call, squared=squared))


def ranknet(sigma):
    return Entry(partial(losses.ranknet, sigma=sigma), partial(oracle.pair_loss, temperature=1 / LONG(sigma)))


def metric(name, one, labels="classes", **options):
    """One minus a metric, the mean over lists."""
    return entry(name, one, labels, **LISTWISE, **options)._replace(unit=1.0)


LISTWISE = {"normalizers": (), "default": "sum"}  # the mean over lists, and no choice
STEPS = {"normalizers": ("sum", "groups", "steps"), "default": "sum"}

LOSSES = {
    **{f"mann_whitney {name}": pair_entry(name) for name in oracle.SURROGATES},
    "mann_whitney at temperature 0.25": pair_entry("logistic", temperature=0.25),
    "mann_whitney squared, margin 0.3": pair_entry("squared_hinge", temperature=2.5, margin=0.3),
    "mann_whitney of grades": pair_entry("logistic", "grades", temperature=0.5),
    "mann_whitney sigmoid of grades": pair_entry("sigmoid", "grades"),
    "ranknet": ranknet(1.0),
    "ranknet at sigma 2": ranknet(2.0),
    "pairwise_hinge": hinge(False),
    "pairwise_hinge squared": hinge(True, margin=0.5),
    **{f"lambda_rank {delta}": lambda_rank(delta) for delta in ("none", "mrr", "ndcg", "ndcg2", "ndcg2++")},
    "lambda_rank mrr to 3": lambda_rank("mrr", cut=3),
    "lambda_rank ndcg to 5": lambda_rank("ndcg", cut=5, sigma=0.5, gain="linear"),
    "lambda_rank ndcg2++ with mu 3": lambda_rank("ndcg2++", mu=3.0),
    **{
        f"plackett_luce {ties}": entry("plackett_luce", oracle.plackett_luce, **STEPS, ties=ties)
        for ties in ("average", "index", "exclude")
    },
    "plackett_luce to 4": entry("plackett_luce", oracle.plackett_luce, **STEPS, ties="index", top_k=4),
    "listnet": entry("listnet", oracle.cross_entropy, **LISTWISE),
    "listnet at temperature 0.5": entry("listnet", oracle.cross_entropy, **LISTWISE, temperature=0.5),
    "softmax": entry("softmax", partial(oracle.cross_entropy, target="raw"), **LISTWISE),
    "smooth_ap": metric("smooth_ap", ranks.smooth_ap, temperature=0.2),
    "approx_ndcg": metric("approx_ndcg", ranks.approx_ndcg, "grades", temperature=0.2),
    "approx_ndcg to 4": metric("approx_ndcg", ranks.approx_ndcg, "grades", cut=4, gain="linear"),
    "approx_mrr": metric("approx_mrr", ranks.approx_mrr, temperature=0.2),
    "approx_mrr of all": metric("approx_mrr", ranks.approx_mrr, temperature=0.2, relevant="mean"),
    "fast_ap": Entry(
        partial(losses.fast_ap, bins=10, range=(-4.0, 4.0)),
        partial(ranks.fast_ap, bins=10, low=-4.0, high=4.0),
        "classes",
        **LISTWISE,
        unit=1.0,
    ),
}
SMOOTH = [name for name in LOSSES if not any(word in name for word in ("hinge", "barrier", "fast_ap"))]
SIZES = (3, 1, 17, 2, 0, 64, 5, 33)


def labels_of(kind, n, rng):
    """Two classes, or grades from 0 to 3."""
    return rng.integers(0, 2 if kind == "classes" else 4, n)


def sample(kind, sizes=SIZES, dtype="float64", spread=1.3):
    """Scores, labels and offsets of lists of these sizes; labels of a list of two are the same, unless it is alone."""
    rng, full = cases.generator(kind, *sizes), cases.as_dtype(dtype)
    n = sum(sizes)
    scores, labels = rng.normal(0, spread, n), labels_of(kind, n, rng)
    offsets = np.concatenate([[0], np.cumsum(sizes, dtype=int)])
    for start, stop in pairwise(offsets):
        if stop - start > 1:
            labels[start : start + 2] = 1, 0
        if stop - start == 2 < n:
            labels[start:stop] = 1
    if full.kind in "iub":
        scores = np.rint(2 * scores) + (8 if full.kind == "u" else 0) if full.kind != "b" else scores > 0
    return scores.astype(full), labels, offsets


def expected(row, scores, labels, rows, normalizer=None, **how):
    """Value, gradient and size of the gradient's terms by the oracle; `how` as for `oracle.reduce`."""
    ones = [row.one(np.asarray(scores)[r], np.asarray(labels)[r]) for r in rows]
    return oracle.reduce(ones, rows, len(scores), normalizer or row.default, **how)


def grad_dtype(scores):
    """The dtype of a gradient by these scores, in native byte order."""
    if scores.dtype.kind in "iub":
        return np.dtype(np.float64)
    return scores.dtype.newbyteorder("=") if scores.dtype.kind == "f" else scores.dtype


def precision(dtype):
    """Relative rounding and smallest number of a float dtype."""
    if dtype.kind == "V":
        return 2.0**-8, 2.0**-133
    info = np.finfo(dtype)
    return float(info.eps), float(info.smallest_subnormal)


def assert_close(found, wanted, size, rtol=RTOL, about="", floor=FLOOR):
    """Every component within rtol of the size of its terms; infinities and NaN exactly."""
    found, wanted = np.atleast_1d(oracle.long(found)), np.atleast_1d(oracle.long(wanted))
    size = np.broadcast_to(np.atleast_1d(oracle.long(size)), wanted.shape)
    assert found.shape == wanted.shape, (about, found.shape, wanted.shape)
    huge = np.abs(wanted) > np.finfo(np.float64).max
    wanted = np.where(huge, np.copysign(np.inf, wanted), wanted)
    with np.errstate(invalid="ignore"):
        right = (found == wanted) | (np.isnan(found) & np.isnan(wanted))
        right |= np.isfinite(wanted) & (np.abs(found - wanted) <= rtol * size + floor)
    if not right.all():
        with np.errstate(invalid="ignore", divide="ignore"):
            error = np.where(right, 0, np.nan_to_num(np.abs(found - wanted) / size, nan=np.inf))
        worst = int(error.argmax())
        message = (
            f"{(~right).sum()} of {len(right)} wrong, the worst at {worst}: {found[worst]!r} for {wanted[worst]!r}"
        )
        raise AssertionError(f"{about}: {message}; error {error[worst]:.2e} for {rtol:.0e}")


def assert_gradient(found, wanted, size, given, rtol=RTOL, about=""):
    """A gradient of the shape and dtype of what was given, rounded to that dtype."""
    assert found.shape == given.shape, about
    assert found.dtype == grad_dtype(given), (about, found.dtype)
    rounding, least = precision(found.dtype)
    rounding = 0 if found.dtype == np.float64 else rounding
    if found.dtype == np.float16:  # what it has for larger numbers is infinity
        wanted = np.where(np.abs(wanted) > np.finfo(np.float16).max, np.copysign(np.inf, wanted), wanted)
    assert_close(found.ravel(), wanted.ravel(), size.ravel(), rtol + rounding, about, max(FLOOR, least))


def assert_loss(result, wanted, scores, rtol=RTOL, about="", unit=0.0):
    """Value and gradient of a call with ``return_grad=True`` against `expected`."""
    (value, grads), (total, grad, size) = result, wanted
    if np.ndim(total):
        assert isinstance(value, np.ndarray), about
        assert value.dtype == np.float64, about
    else:
        assert type(value) is np.float64, (about, type(value))
    assert_close(value, total, np.maximum(np.abs(total), unit), rtol, f"{about} value")
    assert type(grads)._fields == ("scores",), about
    assert_gradient(grads.scores, grad, size, scores, rtol, f"{about} gradient")


def assert_engines_agree(found, about=""):
    """The same bits for every number of threads; from one instruction-set level to another, rounding.

    ``found[level, threads]`` are the arrays of a call.
    """
    first = {}
    for (level, threads), arrays in found.items():
        bits = [np.asarray(a).tobytes() for a in arrays]
        assert bits == [np.asarray(a).tobytes() for a in first.setdefault(level, arrays)], (about, level, threads)
    reference = first[min(first)]
    for level, arrays in first.items():
        for own, other in zip(arrays, reference, strict=True):
            own, other = np.asarray(own), np.asarray(other)
            most = max(4e-15, precision(own.dtype)[0]) if own.dtype != np.float64 else 4e-15
            scale = np.abs(other).max(initial=0, where=np.isfinite(other))
            np.testing.assert_allclose(own, other, rtol=0, atol=most * scale, err_msg=f"{about} {level}")
