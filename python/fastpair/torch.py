"""The losses of `fastpair.losses` as functions of torch tensors, whose gradients reach the scores.

Names, arguments and results are those of `fastpair.losses`, without ``return_grad`` and ``grad_output``: call
``backward()``, or `torch.autograd.grad`. Tensors are on the CPU and are read in place. The gradient is computed along
with the value, and the backward pass only multiplies it; with ``reduction="none"`` and in `soft_rank`, where it needs
what comes back for each list or rank, it is computed there. Whatever is not a score (labels, weights, groups) may be
anything that the numpy function takes, and has no gradient.

Values are float64, and float32 for scores of at most 32 bits; gradients have the dtype of the scores. A second
derivative is refused.

>>> import torch, fastpair.torch
>>> scores = torch.tensor([0.1, 0.4, 0.35, 0.8], requires_grad=True)
>>> loss = fastpair.torch.mann_whitney(scores, torch.tensor([0, 0, 1, 1]), surrogate="square")
>>> loss.backward()
>>> loss, scores.grad
(tensor(0.5288, grad_fn=<_LossBackward>), tensor([ 0.5250,  0.8250, -0.9000, -0.4500]))

This module needs torch, and is loaded by ``import fastpair.torch`` only: ``import fastpair`` does without.
"""

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple, ParamSpec, TypeAlias

import numpy as np
import numpy.typing as npt
import torch

from fastpair import losses

__all__ = [
    "approx_mrr",
    "approx_ndcg",
    "bpo",
    "bpr",
    "bpr_max",
    "comp_sum",
    "cosent",
    "dice",
    "disco",
    "drpo",
    "fast_ap",
    "ipw_pairwise",
    "lag_margin_ranking",
    "lambda_rank",
    "list_mle",
    "listnet",
    "mann_whitney",
    "margin_ranking",
    "nbpo",
    "pairwise_hinge",
    "pearson",
    "plackett_luce",
    "pro_rank",
    "rank_kl",
    "rank_list",
    "ranknet",
    "smooth_ap",
    "soft_confusion",
    "soft_rank",
    "softmax",
    "top1",
    "tversky",
    "z_loss",
]

_P = ParamSpec("_P")
_Arguments: TypeAlias = dict[str, Any]

_SCORES = ("scores", "pos", "neg", "similarities", "adversarial", "gold", "kl")
"""The arguments that have gradients, where a function has them."""


class _Call(NamedTuple):
    """One call, but for the tensors that gradients are asked for."""

    function: Callable[..., Any]
    rest: _Arguments
    names: list[str]
    """Of the arguments that are missing in `rest`."""
    pull: Callable[[_Arguments, npt.NDArray[Any]], _Arguments] | None
    """Computes gradients from the arguments and the derivatives of what was returned; None if `function` does so."""
    dtype: Any
    """That of the value."""

    def arguments(self, tensors: tuple[Any, ...]) -> _Arguments:
        return self.rest | dict(zip(self.names, tensors, strict=True))


class _Loss(torch.autograd.Function):  # type: ignore[misc, unused-ignore]
    """Any function of `fastpair.losses`; which one it is comes as an argument."""

    @staticmethod
    def forward(ctx: Any, call: _Call, *tensors: Any) -> Any:
        ctx.call = call
        gradients: _Arguments = {}
        if call.pull is None:
            value, found = call.function(**call.arguments(tensors), return_grad=True)
            gradients = found._asdict()
        else:
            value = call.function(**call.arguments(tensors))
        # Saved rather than kept: torch then frees them after use, and notices scores that were changed meanwhile.
        ctx.save_for_backward(*tensors, *(_as_tensor(gradients.get(name)) for name in call.names))
        return torch.as_tensor(value, dtype=call.dtype)

    @staticmethod
    def backward(ctx: Any, upstream: Any) -> Any:
        call: _Call = ctx.call
        tensors, gradients = ctx.saved_tensors[: len(call.names)], ctx.saved_tensors[len(call.names) :]
        if call.pull is None:
            gradients = [None if gradient is None else gradient * upstream for gradient in gradients]
        else:
            found = call.pull(call.arguments(tensors), upstream.detach().numpy())
            gradients = [_as_tensor(found.get(name)) for name in call.names]
        if torch.is_grad_enabled():
            # Somebody wants to differentiate the gradient. Without this, it would pass for a constant.
            gradients = [None if gradient is None else _Once.apply(gradient, *tensors) for gradient in gradients]
        return None, *gradients


class _Once(torch.autograd.Function):  # type: ignore[misc, unused-ignore]
    """A gradient, which depends on the scores in a way that is not known."""

    @staticmethod
    def forward(ctx: Any, gradient: Any, *tensors: Any) -> Any:
        return gradient.view_as(gradient)

    @staticmethod
    def backward(ctx: Any, upstream: Any) -> Any:
        raise RuntimeError(
            "the losses of fastpair.torch can be differentiated once: the derivative of their gradient (double "
            "backward, as with create_graph=True) is not implemented; write the loss in torch where it is needed"
        )


def _as_tensor(gradient: npt.NDArray[Any] | None) -> Any:
    """View a gradient as a tensor."""
    if gradient is None:
        return None
    if gradient.dtype.name == "bfloat16":
        # torch does not know the bfloat16 of ml_dtypes.
        return torch.from_numpy(gradient.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(gradient)


def _lift(function: Callable[_P, Any], vjp: Callable[..., Any] | None = None) -> Callable[_P, torch.Tensor]:
    """Make a function of `fastpair.losses` one of tensors; `vjp` belongs to one that does not return its gradient."""
    parameters = inspect.signature(function).parameters
    signature = inspect.Signature(
        [entry for name, entry in parameters.items() if name not in ("return_grad", "grad_output")],
        return_annotation=torch.Tensor,
    )
    call_numpy: Callable[..., Any] = function

    def pull_lists(arguments: _Arguments, upstream: npt.NDArray[Any]) -> _Arguments:
        gradients: _Arguments = call_numpy(**arguments, return_grad=True, grad_output=upstream)[1]._asdict()
        return gradients

    def pull_ranks(arguments: _Arguments, upstream: npt.NDArray[Any]) -> _Arguments:
        assert vjp is not None
        return {"scores": vjp(upstream=upstream, **arguments)}

    def lifted(*args: _P.args, **kwargs: _P.kwargs) -> torch.Tensor:
        try:
            given = signature.bind(*args, **kwargs).arguments
        except TypeError as error:
            raise TypeError(f"{function.__name__}() {error}") from None
        tensors = {name: given[name] for name in _SCORES if isinstance(given.get(name), torch.Tensor)}
        narrow = [tensor.is_floating_point() and tensor.dtype != torch.float64 for tensor in tensors.values()]
        dtype = torch.float32 if narrow and all(narrow) else torch.float64
        names = [name for name, tensor in tensors.items() if tensor.requires_grad]
        if not names or not torch.is_grad_enabled():
            return torch.as_tensor(call_numpy(**given), dtype=dtype)
        by_list = pull_lists if given.get("reduction") == "none" else None
        rest = {name: argument for name, argument in given.items() if name not in names}
        call = _Call(call_numpy, rest, names, by_list if vjp is None else pull_ranks, dtype)
        value: torch.Tensor = _Loss.apply(call, *(tensors[name] for name in names))
        return value

    summary = (inspect.getdoc(function) or "").partition("\n")[0]
    lifted.__name__ = lifted.__qualname__ = function.__name__
    lifted.__doc__ = f"{summary}\n\nThis is `fastpair.losses.{function.__name__}` for torch tensors."
    lifted.__dict__["__signature__"] = signature
    return lifted


approx_mrr = _lift(losses.approx_mrr)
approx_ndcg = _lift(losses.approx_ndcg)
bpo = _lift(losses.bpo)
bpr = _lift(losses.bpr)
bpr_max = _lift(losses.bpr_max)
comp_sum = _lift(losses.comp_sum)
cosent = _lift(losses.cosent)
dice = _lift(losses.dice)
disco = _lift(losses.disco)
drpo = _lift(losses.drpo)
fast_ap = _lift(losses.fast_ap)
ipw_pairwise = _lift(losses.ipw_pairwise)
lag_margin_ranking = _lift(losses.lag_margin_ranking)
lambda_rank = _lift(losses.lambda_rank)
list_mle = _lift(losses.list_mle)
listnet = _lift(losses.listnet)
mann_whitney = _lift(losses.mann_whitney)
margin_ranking = _lift(losses.margin_ranking)
nbpo = _lift(losses.nbpo)
pairwise_hinge = _lift(losses.pairwise_hinge)
pearson = _lift(losses.pearson)
plackett_luce = _lift(losses.plackett_luce)
pro_rank = _lift(losses.pro_rank)
rank_kl = _lift(losses.rank_kl)
rank_list = _lift(losses.rank_list)
ranknet = _lift(losses.ranknet)
smooth_ap = _lift(losses.smooth_ap)
soft_confusion = _lift(losses.soft_confusion)
soft_rank = _lift(losses.soft_rank, losses.soft_rank_vjp)
softmax = _lift(losses.softmax)
top1 = _lift(losses.top1)
tversky = _lift(losses.tversky)
z_loss = _lift(losses.z_loss)
