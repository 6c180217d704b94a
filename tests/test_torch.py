"""`fastpair.torch`: the same values and gradients as `fastpair.losses`, as autograd functions, without copies."""

import inspect
from typing import NamedTuple

import cases
import helpers
import numpy as np
import pytest
from fastpair import losses

torch = pytest.importorskip("torch")
lifted = pytest.importorskip("fastpair.torch")

RNG = np.random.default_rng(0)
LISTS = np.repeat([7, 3, 5], 4)
SCORES = RNG.normal(size=12)
LABELS = np.array([1, 0, 0, 1] * 3)
GRADES = np.array([2, 0, 1, 0, 3, 1, 0, 2, 0, 1, 2, 3])
PAIRS = {"pos": RNG.normal(size=5), "neg": RNG.normal(size=(5, 3))}
MATRIX = RNG.normal(size=(4, 5))

LABELLED, GRADED = {"labels": LABELS, "groups": LISTS}, {"relevance": GRADES, "groups": LISTS}
TARGETS = {"targets": GRADES, "groups": LISTS}

# Of each function, the scores, and other arguments for which it is smooth around them.
CALLS = {
    "mann_whitney": ({"scores": SCORES}, {"labels": LABELS}),
    "ranknet": ({"scores": SCORES}, GRADED),
    "pairwise_hinge": ({"scores": SCORES}, GRADED),
    "ipw_pairwise": ({"scores": SCORES}, {**GRADED, "propensities": np.linspace(0.2, 1, 12)}),
    "lambda_rank": ({"scores": SCORES}, GRADED),
    "plackett_luce": ({"scores": SCORES}, GRADED),
    "list_mle": ({"scores": SCORES}, GRADED),
    "listnet": ({"scores": SCORES}, GRADED),
    "softmax": ({"scores": SCORES}, GRADED),
    "rank_list": ({"scores": SCORES}, GRADED),
    "lag_margin_ranking": ({"scores": SCORES}, GRADED),
    "soft_rank": ({"scores": SCORES}, {"temperature": 0.5, "groups": LISTS}),
    "smooth_ap": ({"scores": SCORES}, {**LABELLED, "temperature": 0.5}),
    "approx_mrr": ({"scores": SCORES}, {**LABELLED, "temperature": 0.5}),
    "approx_ndcg": ({"scores": SCORES}, {**GRADED, "temperature": 0.5}),
    "fast_ap": ({"scores": SCORES}, {**LABELLED, "range": (-4.0, 4.0)}),
    "cosent": ({"scores": SCORES}, {**TARGETS, "scale": 2.0}),
    "pearson": ({"scores": SCORES}, TARGETS),
    "rank_kl": ({"scores": SCORES}, {**TARGETS, "temperature": 0.5}),
    "pro_rank": ({"scores": SCORES}, {**TARGETS, "temperature": 0.5}),
    "disco": ({"scores": SCORES}, LABELLED),
    "drpo": ({"scores": SCORES}, {**LABELLED, "lengths": np.arange(1, 13)}),
    "soft_confusion": ({"scores": SCORES}, {**LABELLED, "sharpness": 3.0}),
    "dice": ({"scores": SCORES}, {**LABELLED, "alpha": 1.0}),
    "tversky": ({"scores": SCORES}, LABELLED),
    "bpo": ({"scores": SCORES}, {"labels": LABELS}),
    "nbpo": ({"scores": SCORES}, {"labels": LABELS, "flip_rate": 0.2}),
    **{name: (PAIRS, {}) for name in ("bpr", "bpr_max", "margin_ranking", "top1")},
    **{name: ({"similarities": MATRIX}, {"positives": np.array([0, 2, 1, 3])}) for name in ("comp_sum", "z_loss")},
}
LOSSES = [name for name in CALLS if name != "soft_rank"]


def tensors(name, dtype=torch.float64):
    """The scores of a call, as leaves that want a gradient."""
    return {key: torch.tensor(array).to(dtype).requires_grad_() for key, array in CALLS[name][0].items()}


def of_numpy(name, scores, **options):
    """Value and gradients of the numpy function, as a list of arrays."""
    value, gradients = getattr(losses, name)(**scores, **CALLS[name][1], **options, return_grad=True)
    return [value, *(getattr(gradients, key) for key in scores)]


def as_tensors(arguments):
    """Labels, groups and the like as tensors; what is no array stays."""
    return {
        key: torch.from_numpy(value) if isinstance(value, np.ndarray) else value for key, value in arguments.items()
    }


def test_every_loss_has_its_twin():
    functions = {
        name for name in losses.__all__ if inspect.isfunction(getattr(losses, name)) and not name.endswith("_vjp")
    }
    assert set(lifted.__all__) == functions
    assert set(CALLS) == functions


def test_all_that_has_a_gradient_in_numpy_has_one_in_torch():
    fields = {
        field for name in losses.__all__ for field in getattr(getattr(losses, name), "_fields", ()) if name[0].isupper()
    }
    assert fields == set(lifted._SCORES)


@pytest.mark.parametrize("name", lifted.__all__)
def test_names_signatures_and_docstrings_are_kept(name):
    twin, original = getattr(lifted, name), getattr(losses, name)
    expected = [
        (entry.name, entry.default, entry.kind)
        for entry in inspect.signature(original).parameters.values()
        if entry.name not in ("return_grad", "grad_output")
    ]
    found = inspect.signature(twin).parameters.values()
    assert [(entry.name, entry.default, entry.kind) for entry in found] == expected
    assert twin.__name__ == original.__name__
    assert twin.__doc__.splitlines()[0] == original.__doc__.splitlines()[0]


@pytest.mark.parametrize("name", CALLS)
def test_gradients_are_those_of_central_differences(name):
    scores, options = tensors(name), CALLS[name][1]

    def call(*values):
        return getattr(lifted, name)(**dict(zip(scores, values, strict=True)), **options)

    assert torch.autograd.gradcheck(call, tuple(scores.values()))


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_of_each_list_are_those_of_central_differences(name):
    scores, options = tensors(name), CALLS[name][1]

    def call(*values):
        return getattr(lifted, name)(**dict(zip(scores, values, strict=True)), **options, reduction="none")

    assert torch.autograd.gradcheck(call, tuple(scores.values()))


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16], ids=str)
def test_values_and_gradients_are_those_of_numpy(name, dtype):
    if dtype == torch.bfloat16:
        cases.as_dtype("bfloat16")  # skips where ml_dtypes is missing
    scores = tensors(name, dtype)
    value = getattr(lifted, name)(**scores, **as_tensors(CALLS[name][1]))
    value.backward()
    expected, *gradients = of_numpy(name, {key: tensor.detach() for key, tensor in scores.items()})
    assert value.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert value.shape == ()
    assert value.item() == value.new_tensor(expected).item()
    for tensor, gradient in zip(scores.values(), gradients, strict=True):
        assert tensor.grad.dtype == dtype
        assert tensor.grad.shape == tensor.shape
        np.testing.assert_array_equal(tensor.grad.double().numpy(), gradient.astype(np.float64))


def test_soft_ranks_are_those_of_numpy():
    scores, options = tensors("soft_rank")["scores"], CALLS["soft_rank"][1]
    upstream = torch.arange(12.0, dtype=torch.float64)
    ranks = lifted.soft_rank(scores, **options)
    ranks.backward(upstream)
    np.testing.assert_array_equal(ranks.detach().numpy(), losses.soft_rank(SCORES, **options))
    np.testing.assert_array_equal(scores.grad.numpy(), losses.soft_rank_vjp(SCORES, upstream.numpy(), **options))
    assert lifted.soft_rank(torch.tensor(SCORES, dtype=torch.float32)).dtype == torch.float32


def test_the_gradient_is_multiplied_by_what_comes_back():
    scores = tensors("mann_whitney")["scores"]
    (3 * lifted.mann_whitney(scores, LABELS)).backward()
    _, gradient = of_numpy("mann_whitney", {"scores": SCORES})
    np.testing.assert_allclose(scores.grad.numpy(), 3 * gradient, rtol=1e-15)


def test_gradients_flow_through_strided_tensors_that_are_no_leaves():
    leaf = torch.tensor(np.repeat(SCORES, 2)[::-1].copy(), requires_grad=True)
    scores = (2 * leaf).flip(0).reshape(12, 2)[:, 1]
    assert not scores.is_contiguous()
    lifted.mann_whitney(scores, LABELS).backward()
    _, gradient = of_numpy("mann_whitney", {"scores": 2 * SCORES})
    found = leaf.grad.flip(0).reshape(12, 2)
    np.testing.assert_allclose(found[:, 1].numpy(), 2 * gradient, rtol=1e-15)
    assert not found[:, 0].any()


def test_a_graph_that_is_kept_can_be_used_again():
    scores = tensors("mann_whitney")["scores"]
    value = lifted.mann_whitney(scores, LABELS)
    value.backward(retain_graph=True)
    first = scores.grad.clone()
    value.backward()
    np.testing.assert_array_equal(scores.grad.numpy(), 2 * first.numpy())


@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_a_second_derivative_is_refused(reduction):
    scores = tensors("mann_whitney")["scores"]
    value = lifted.mann_whitney(scores, LABELS, groups=LISTS, reduction=reduction).sum()
    (gradient,) = torch.autograd.grad(value, scores, create_graph=True)
    assert gradient.requires_grad  # as a constant it would be left out of a penalty without a word
    with pytest.raises(RuntimeError, match="can be differentiated once"):
        gradient.pow(2).sum().backward()


def test_scores_that_were_changed_after_the_call_are_noticed():
    scores = tensors("mann_whitney")["scores"] * 1
    value = lifted.mann_whitney(scores, LABELS)
    scores.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        value.backward()


def test_without_a_need_for_gradients_none_is_computed():
    scores = tensors("mann_whitney")["scores"]
    with torch.no_grad():
        assert not lifted.mann_whitney(scores, LABELS).requires_grad
    weights = torch.ones(12, dtype=torch.float64, requires_grad=True)
    assert not lifted.mann_whitney(scores.detach(), LABELS, weights=weights).requires_grad
    assert lifted.mann_whitney(SCORES, LABELS).dtype == torch.float64


def test_one_of_two_arrays_may_want_a_gradient():
    pos, neg = torch.tensor(PAIRS["pos"], requires_grad=True), torch.tensor(PAIRS["neg"])
    lifted.bpr(pos, neg).backward()
    np.testing.assert_array_equal(pos.grad.numpy(), of_numpy("bpr", PAIRS)[1])
    assert neg.grad is None


def test_tensors_elsewhere_are_refused():
    with pytest.raises(TypeError, match=r"scores is a torch tensor on device 'meta'.*scores\.cpu\(\)"):
        lifted.mann_whitney(torch.empty(12, device="meta", requires_grad=True), LABELS)


def test_the_gradient_is_no_argument():
    with pytest.raises(TypeError, match=r"mann_whitney\(\) got an unexpected keyword argument 'return_grad'"):
        lifted.mann_whitney(torch.tensor(SCORES), LABELS, return_grad=True)


class Gradients(NamedTuple):
    scores: np.ndarray


def test_nothing_is_copied():
    """A loss that shows what reaches it; its gradient is the buffer that the backward pass has to multiply."""
    seen = []
    given = np.ones(12, np.float32)

    def show(scores, labels=None, *, return_grad=False, grad_output=None):
        """Show."""
        array = scores.detach().numpy()
        seen.append(array)
        return (np.float64(0), Gradients(given)) if return_grad else np.float64(0)

    scores = torch.zeros(24, dtype=torch.float32)[::2].requires_grad_()
    value = lifted._lift(show)(scores)
    assert np.shares_memory(seen[0], scores.detach().numpy())
    assert seen[0].strides == (8,)
    saved = value.grad_fn.saved_tensors
    assert saved[0].data_ptr() == scores.data_ptr()
    assert np.shares_memory(saved[1].numpy(), given)
    value.backward()
    assert len(seen) == 1
    assert given.tolist() == [1.0] * 12


def test_torch_is_loaded_on_request_only():
    loaded = helpers.output_of(
        """
        import sys, fastpair
        fastpair.losses.mann_whitney([0.1, 0.2], [0, 1], return_grad=True)
        print("loaded:", "torch" in sys.modules)
        import fastpair.torch
        print("then:", "torch" in sys.modules)
        """
    )
    assert "loaded: False" in loaded
    assert "then: True" in loaded
