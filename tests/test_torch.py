"""`fastpair.torch`: the same values and gradients as `fastpair.losses`, as autograd functions, without copies."""

import inspect
from typing import NamedTuple

import cases
import helpers
import numpy as np
import pytest
from fastpair import losses
from torch_calls import CALLS, CLASSES, LABELS, LISTS, LOSSES, OTHER_CALLS, PAIRS, ROW_LOSSES, SCORES, X, Y

torch = pytest.importorskip("torch")
lifted = pytest.importorskip("fastpair.torch")


def tensors(name, dtype=torch.float64):
    """The scores of a call, as leaves that want a gradient."""
    return {key: torch.tensor(array).to(dtype).requires_grad_() for key, array in CALLS[name][0].items()}


def plain(tensor):
    """What the numpy functions take: a number for a tensor without dimensions."""
    return tensor.item() if np.ndim(tensor) == 0 else tensor


def of_numpy(name, scores, others=None):
    """Value and gradients of the numpy function, as a list of arrays."""
    scores = {key: plain(array) for key, array in scores.items()}
    value, gradients = getattr(losses, name)(**scores, **(others or CALLS[name][1]), return_grad=True)
    return [value, *(getattr(gradients, key) for key in scores)]


def as_tensors(arguments, dtype):
    """Labels, groups and the like as tensors, embeddings among them in the dtype; what is no array stays."""
    converted = {key: torch.from_numpy(value) for key, value in arguments.items() if isinstance(value, np.ndarray)}
    for key in converted.keys() & {*lifted._SCORES, *lifted._TARGETS}:
        if converted[key].is_floating_point():
            converted[key] = converted[key].to(dtype)
    return {**arguments, **converted}


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
    arguments = {
        name for function in lifted.__all__ for name in inspect.signature(getattr(losses, function)).parameters
    }
    assert fields & arguments == {*lifted._SCORES, *lifted._TARGETS, *lifted._PARAMETERS}


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


@pytest.mark.parametrize("call", OTHER_CALLS.values(), ids=list(OTHER_CALLS))
@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_gradients_of_other_arguments_are_those_of_central_differences(call, reduction):
    name, arrays, options = call
    if name in ROW_LOSSES:
        options = {**options, "reduction": reduction}
    leaves = {key: torch.tensor(array, requires_grad=True) for key, array in arrays.items()}

    def loss(*values):
        arguments = dict(zip(leaves, values, strict=True))
        return getattr(lifted, name)(**arguments, **options)

    assert torch.autograd.gradcheck(loss, tuple(leaves.values()))


@pytest.mark.parametrize("name", ROW_LOSSES)
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
    others = as_tensors(CALLS[name][1], dtype)
    value = getattr(lifted, name)(**scores, **others)
    value.backward()
    expected, *gradients = of_numpy(name, {key: tensor.detach() for key, tensor in scores.items()}, others)
    assert value.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert value.shape == ()
    assert value.item() == value.new_tensor(expected).item()
    for tensor, gradient in zip(scores.values(), gradients, strict=True):
        assert tensor.grad.dtype == dtype
        assert tensor.grad.shape == tensor.shape
        if tensor.ndim == 0:
            assert tensor.grad == torch.tensor(gradient, dtype=dtype)
        else:
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


def test_a_temperature_is_learned():
    x, y = torch.tensor(X, dtype=torch.float32), torch.tensor(Y, dtype=torch.float32)
    logarithm = torch.nn.Parameter(torch.tensor(-1.0))
    before, after = (lifted.info_nce(x, y, temperature=torch.exp(logarithm + step)) for step in (-1e-3, 1e-3))
    loss = lifted.info_nce(x, y, temperature=torch.exp(logarithm))
    loss.backward()
    assert loss.dtype == torch.float32
    assert logarithm.grad.item() == pytest.approx((after - before).item() / 2e-3, rel=1e-2)


def test_a_tensor_that_is_both_sides_gets_the_gradient_of_both():
    one, two = torch.tensor(X, requires_grad=True), torch.tensor(X, requires_grad=True)
    labels = {"labels": (CLASSES, CLASSES), "temperature": 0.5}
    lifted.info_nce(one, one, **labels).backward()
    other = one.detach().clone().requires_grad_()
    lifted.info_nce(two, other, **labels).backward()
    np.testing.assert_allclose(one.grad.numpy(), (two.grad + other.grad).numpy(), rtol=1e-12)


def test_a_parameter_that_cannot_be_learned_is_refused():
    temperature = torch.tensor(0.5, requires_grad=True)
    with pytest.raises(TypeError, match=r"temperature requires a gradient, and mann_whitney has none for it"):
        lifted.mann_whitney(torch.tensor(SCORES), LABELS, temperature=temperature)
    expected = losses.mann_whitney(SCORES, LABELS, temperature=0.5)
    assert lifted.mann_whitney(torch.tensor(SCORES), LABELS, temperature=temperature.detach()).item() == expected


def test_what_is_detached_gets_no_gradient():
    predictions, targets = torch.tensor(X, requires_grad=True), torch.tensor(Y, requires_grad=True)
    lifted.negative_cosine(predictions, targets).backward()
    assert predictions.grad is not None
    assert targets.grad is None
    lifted.negative_cosine(predictions, targets, symmetric=True).backward()
    _, gradients = losses.negative_cosine(X, Y, symmetric=True, return_grad=True)
    np.testing.assert_array_equal(targets.grad.numpy(), gradients.z)


def test_integers_beside_scores_do_not_widen_the_value():
    x, y = torch.tensor(X, dtype=torch.float32), torch.tensor(Y, dtype=torch.float32)
    assert lifted.info_nce(x, y, torch.arange(5)).dtype == torch.float32
    assert lifted.sgns(x, y, negatives=torch.zeros((5, 2), dtype=torch.int64)).dtype == torch.float32


def test_the_loss_of_prefixes_may_be_one_of_tensors_or_of_arrays():
    x, y = torch.tensor(X, requires_grad=True), torch.tensor(Y)
    value = lifted.matryoshka(lifted.clip, x, y, dims=[2, 3], temperature=0.5)
    value.backward()
    assert value.item() == lifted.matryoshka(losses.clip, x, y, dims=[2, 3], temperature=0.5).item()
    expected, gradients = losses.matryoshka(losses.clip, X, Y, dims=[2, 3], temperature=0.5, return_grad=True)
    assert value.item() == expected
    np.testing.assert_array_equal(x.grad.numpy(), gradients.x)


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
