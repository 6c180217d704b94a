"""What tests of the losses composed in numpy share: samples of lists, central differences, and checks of every form.

A `Loss` stands for one public function over lists and its oracle: a plain formula of one list, which returns None where
the list lacks what the loss needs. The checks compare the two value by value, and the gradient with differences of the
oracle.
"""

from collections.abc import Callable, Mapping
from functools import partial
from itertools import pairwise, product
from types import MappingProxyType
from typing import Any, NamedTuple

import cases
import numpy as np
import pytest
from fastpair import losses
from layouts import LAYOUTS

X4, G4 = np.array([0.9, 0.2, 0.5, 0.4]), np.array([5, 1, 3, 3])
"""The fixtures of the specification: predicted and gold scores, with one tie."""

SIZES = (4, 1, 9, 0, 2, 17, 3)


class Loss(NamedTuple):
    """A public loss, the oracle of one list, the kind of its labels, and what else belongs to the items."""

    name: str
    oracle: Callable[..., Any]
    labels: str = "classes"
    options: Mapping[str, Any] = MappingProxyType({})
    companions: tuple[str, ...] = ()
    scores: str = "normal"

    @property
    def call(self):
        return partial(getattr(losses, self.name), **self.options)

    def sample(self, sizes=SIZES, seed=0):
        """Scores, labels, companions by name, and offsets of lists of these sizes."""
        rng = cases.generator(self.name, *sizes, seed)
        n = sum(sizes)
        scores = rng.uniform(0.05, 0.95, n) if self.scores == "probabilities" else rng.normal(size=n)
        labels = rng.integers(0, 2 if self.labels == "classes" else 4, n)
        companions = {name: rng.integers(1, 50, n).astype(float) for name in self.companions}
        return scores, labels, companions, np.concatenate([[0], np.cumsum(sizes)])

    def one(self, scores, labels, **companions):
        """The oracle's value of one list, None if there is none."""
        return self.oracle(np.asarray(scores, float), np.asarray(labels, float), **companions, **self.options)

    def each(self, scores, labels, companions, rows):
        """The oracle's value of each list."""
        return [self.one(scores[r], labels[r], **{k: v[r] for k, v in companions.items()}) for r in rows]


def central(function, at, step=1e-6):
    """The gradient of a function of an array, by differences."""
    at = np.array(at, float)
    gradient = np.zeros(at.shape)
    for place in np.ndindex(at.shape):
        value = at[place]
        at[place] = value + step
        high = function(at)
        at[place] = value - step
        low = function(at)
        at[place] = value
        gradient[place] = (high - low) / (2 * step)
    return gradient


def rows_of(offsets):
    return [slice(a, b) for a, b in pairwise(offsets)]


def reduced(values, reduction="mean", weights=None, on_empty="skip"):
    """What a loss makes of the values of its lists."""
    weights = np.ones(len(values)) if weights is None else weights
    terms = np.array([0.0 if v is None else w * v for v, w in zip(values, weights, strict=True)])
    if reduction == "none":
        return terms
    counts = len(values) if on_empty == "zero" else sum(v is not None for v in values)
    return terms.sum() / (max(counts, 1) if reduction == "mean" else 1)


def check_values(loss, rtol=1e-12):
    """Value and gradient of lists under every reduction, by offsets and by ids."""
    scores, labels, companions, offsets = loss.sample()
    rows = rows_of(offsets)
    values = loss.each(scores, labels, companions, rows)
    assert any(v is None for v in values), "the sample should hold a list that is skipped"
    rng = np.random.default_rng(1)
    weights, upstream = rng.uniform(0, 2, len(rows)), rng.normal(size=len(rows))
    for reduction, own, on_empty in product(("mean", "sum", "none"), (None, weights), ("skip", "zero")):
        how = {"reduction": reduction, "on_empty": on_empty}

        def total(at, reduction=reduction, own=own, on_empty=on_empty):
            found = reduced(loss.each(at, labels, companions, rows), reduction, own, on_empty)
            return found @ upstream if reduction == "none" else found

        lists = {"offsets": offsets, "weights": own}
        needs = {"grad_output": upstream} if reduction == "none" else {}
        value, grads = loss.call(scores, labels, return_grad=True, **lists, **companions, **how, **needs)
        np.testing.assert_allclose(value, reduced(values, reduction, own, on_empty), rtol=rtol, atol=1e-14)
        assert type(value) is (np.ndarray if reduction == "none" else np.float64)
        np.testing.assert_allclose(grads.scores, central(total, scores), atol=2e-8)
        np.testing.assert_array_equal(loss.call(scores, labels, **lists, **companions, **how), value, strict=True)
    check_ids(loss, weights, upstream, rtol)


def check_ids(loss, weights, upstream, rtol):
    """Lists by ids that alternate: in order of first appearance, gradients where their scores are."""
    scores, labels, companions, offsets = loss.sample()
    mixed = np.random.default_rng(2).permutation(np.repeat(np.arange(len(SIZES)), SIZES))
    order = np.argsort(np.argsort(mixed, kind="stable"))  # the items of a list stay in order
    first = np.array(list(dict.fromkeys(mixed.tolist())))  # lists without items do not appear
    shuffled = {name: array[order] for name, array in companions.items()}
    options = {"reduction": "none", "return_grad": True}
    value, grads = loss.call(
        scores, labels, offsets=offsets, weights=weights, grad_output=upstream, **companions, **options
    )
    for ids in (mixed, mixed - 5, np.array([f"list {i}" for i in mixed])):
        lists = {"groups": ids, "weights": weights[first], "grad_output": upstream[first]}
        found, others = loss.call(scores[order], labels[order], **lists, **shuffled, **options)
        np.testing.assert_allclose(found, value[first], rtol=rtol, atol=1e-14)
        np.testing.assert_allclose(others.scores, grads.scores[order], rtol=1e-9, atol=1e-14)


def check_input(loss, dtype):
    """Scores of a dtype in every layout: the value of the same numbers in float64, the gradient in their dtype."""
    scores, labels, companions, offsets = loss.sample()
    full = cases.as_dtype(dtype)
    if full.kind in "iub":
        scores = scores > 0 if full.kind == "b" else np.rint(2 * scores) + (8 if full.kind == "u" else 0)
    if loss.scores == "probabilities" and full.kind in "iub":
        scores = scores > 1
    scores = scores.astype(full)
    kind = np.dtype(np.float64) if full.kind in "iub" else full
    value, exact = loss.call(scores.astype(np.float64), labels, offsets=offsets, return_grad=True, **companions)
    for name, layout in LAYOUTS.items():
        stored, before = layout(scores), scores.copy()
        others = {key: layout(array) for key, array in companions.items()}
        found, grads = loss.call(stored, layout(labels), offsets=offsets, return_grad=True, **others)
        assert found == value, name
        assert grads.scores.dtype == kind, name
        assert grads.scores.shape == scores.shape, name
        np.testing.assert_array_equal(grads.scores, exact.scores.astype(kind), err_msg=name)
        np.testing.assert_array_equal(stored, before, err_msg=name)


def check_missing(loss):
    """NaN labels leave their items out, NaN scores make their list NaN, and nothing at all is 0."""
    scores, labels, companions, offsets = loss.sample()
    rows = rows_of(offsets)
    graded = labels.astype(float)
    left_out = np.arange(len(labels)) % 4 == 1
    graded[left_out] = np.nan
    scores[left_out] = np.nan  # not even looked at
    kept = np.flatnonzero(~left_out)
    inner = [kept[(kept >= r.start) & (kept < r.stop)] for r in rows]
    value, grads = loss.call(scores, graded, offsets=offsets, return_grad=True, **companions)
    np.testing.assert_allclose(value, reduced(loss.each(scores, graded, companions, inner)), rtol=1e-12)
    assert (grads.scores[left_out] == 0).all()
    assert np.isfinite(grads.scores).all()
    scores, labels, companions, offsets = loss.sample()
    valid = [i for i, v in enumerate(loss.each(scores, labels, companions, rows)) if v is not None and SIZES[i] > 3]
    broken = rows[valid[-1]]
    scores[broken.start + 1] = np.nan
    ones = np.ones(len(rows))
    options = {"offsets": offsets, "reduction": "none", "return_grad": True, "grad_output": ones}
    value, grads = loss.call(scores, labels, **options, **companions)
    assert np.isnan(value).tolist() == [i == valid[-1] for i in range(len(rows))]
    assert np.isnan(grads.scores[broken]).all()
    assert np.isfinite(np.delete(grads.scores, np.r_[broken])).all()
    ones[valid[-1]] = 0  # a list without weight is left out whatever its value
    value, grads = loss.call(scores, labels, offsets=offsets, weights=ones, return_grad=True, **companions)
    assert np.isfinite(value)
    assert (grads.scores[broken] == 0).all()
    nothing = {name: [] for name in companions}
    for options in ({}, {"offsets": [0]}, {"offsets": [0, 0, 0]}, {"groups": []}):
        value, grads = loss.call([], [], return_grad=True, **options, **nothing)
        assert value == 0
        assert type(value) is np.float64
        assert grads.scores.shape == (0,)
    assert loss.call([], [], offsets=[0, 0], reduction="none", **nothing).tolist() == [0.0]


def check_errors(loss):
    """What is wrong with the arrays or with the options that all losses over lists have."""
    scores, labels, companions, offsets = loss.sample()
    call = partial(loss.call, **companions)
    wrong = [
        (ValueError, r"scores has shape \(6, 6\)", lambda: call(scores.reshape(6, 6), labels)),
        (ValueError, "has shape .* but scores has", lambda: call(scores, labels[1:])),
        (TypeError, "scores has dtype complex128", lambda: call(scores + 0j, labels)),
        (
            ValueError,
            "reduction must be one of 'mean', 'sum', 'none', not 'all'",
            lambda: call(scores, labels, reduction="all"),
        ),
        (ValueError, "on_empty must be one of", lambda: call(scores, labels, on_empty="warn")),
        (ValueError, "on_empty='error'", lambda: call(scores, labels, offsets=offsets, on_empty="error")),
        (ValueError, r"weights has shape \(2,\)", lambda: call(scores, labels, weights=[1, 2])),
        (ValueError, "weights is -1", lambda: call(scores, labels, weights=[-1])),
        (ValueError, "groups and offsets", lambda: call(scores, labels, groups=labels, offsets=offsets)),
        (ValueError, "needs grad_output=", lambda: call(scores, labels, reduction="none", return_grad=True)),
        (ValueError, "grad_output was given", lambda: call(scores, labels, grad_output=[1.0])),
        (TypeError, "return_grad must be True or False", lambda: call(scores, labels, return_grad=1)),
    ]
    for kind, message, action in wrong:
        with pytest.raises(kind, match=message):
            action()
