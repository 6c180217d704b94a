"""The losses of `fastpair.losses` as functions of torch tensors, whose gradients reach scores and embeddings.

Names, arguments and results are those of `fastpair.losses`, without ``return_grad`` and ``grad_output``: call
``backward()``, or `torch.autograd.grad`. Tensors are read in place, on the CPU or (where the loss has GPU kernels, and
CuPy is installed) on a GPU, on torch's current stream; results are on the same device. The gradient is computed along
with the value, and the backward pass only multiplies it; with ``reduction="none"`` and in `soft_rank`, where it needs
what comes back for each list or rank, it is computed there. Scores, embeddings, prototypes and, in losses over
embeddings, temperatures, scales and biases have gradients; whatever else there is (labels, weights, groups) may be
anything that the numpy function takes, and has none.

Values are float64, and float32 for scores of at most 32 bits; gradients have the dtype of their tensor. A second
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
    "adversarial_contrast",
    "approx_mrr",
    "approx_ndcg",
    "ar2_adversarial",
    "barlow_twins",
    "base_decorrelation",
    "binary_opposite",
    "bpo",
    "bpr",
    "bpr_max",
    "byol",
    "cacr",
    "cliff_contrast",
    "clip",
    "cluster_contrast",
    "cluster_proxy_contrast",
    "comp_sum",
    "compactness",
    "contrastive_margin_regularizer",
    "cosent",
    "custom",
    "cwcl",
    "dcl",
    "dclw",
    "deca",
    "dice",
    "disco",
    "drpo",
    "dual_contrastive",
    "fast_ap",
    "focal_nce",
    "grace",
    "groco",
    "hcl",
    "info_nce",
    "ipw_pairwise",
    "lag_margin_ranking",
    "lambda_rank",
    "list_mle",
    "listnet",
    "local_contrast",
    "m2mix",
    "mann_whitney",
    "margin_ranking",
    "matryoshka",
    "nbpo",
    "negative_cosine",
    "nt_xent",
    "pair_mse",
    "pairwise_bce",
    "pairwise_hinge",
    "patch_nce",
    "pearson",
    "plackett_luce",
    "pro_rank",
    "prototype_compensated",
    "prototype_diversity",
    "prototype_nce",
    "queue_center_nce",
    "rank_contrastive",
    "rank_kl",
    "rank_list",
    "ranknet",
    "ratio_contrast",
    "relation_kl",
    "semantic_opposite",
    "sgns",
    "siglip",
    "similarity_kl",
    "smooth_ap",
    "soft_confusion",
    "soft_rank",
    "soft_target_nce",
    "softmax",
    "supcon",
    "supremix",
    "swapped_prediction",
    "top1",
    "tversky",
    "uncertainty_info_nce",
    "variance_hinge",
    "voco",
    "z_loss",
]

_P = ParamSpec("_P")
_Arguments: TypeAlias = dict[str, Any]

_SCORES = (
    *("scores", "pos", "neg", "similarities", "adversarial", "gold", "kl"),
    *("x", "y", "z1", "z2", "p", "z", "p1", "p2", "features", "views", "prototypes", "centers", "anchors"),
    *("extra_negatives", "extra_similarities", "paired_negatives", "augmented", "mixtures"),
    *("yes", "no", "real", "fake", "matched", "farthest"),
)
"""The arguments that have gradients where a function returns them, and whose dtypes are that of the value."""
_TARGETS = ("positives", "negatives", "queue", "assignments", "teacher")
"""Those that have gradients in some functions, and are detached in others."""
_PARAMETERS = ("temperature", "concentration", "scale", "bias", "neg_weights")
"""Those that have gradients in some functions, and cannot be learned in others."""
_REQUESTS = ("grad_weights", "teacher_grad", "queue_grad")
"""Options that ask for further gradients, and mean nothing without one."""


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
        return self.rest | {name: _plain(tensor) for name, tensor in zip(self.names, tensors, strict=True)}

    def gradients_of(self, tensors: tuple[Any, ...], found: _Arguments) -> list[Any]:
        """Return what was found for each tensor, as tensors; refuse a parameter that cannot be learned."""
        for name in _PARAMETERS:
            if name in self.names and name not in found:
                raise TypeError(
                    f"{name} requires a gradient, and {self.function.__name__} has none for it; pass {name}.detach()"
                )
        return [_as_tensor(found.get(name), tensor) for name, tensor in zip(self.names, tensors, strict=True)]


class _Loss(torch.autograd.Function):  # type: ignore[misc, unused-ignore]
    """Any function of `fastpair.losses`; which one it is comes as an argument."""

    @staticmethod
    def forward(ctx: Any, call: _Call, *tensors: Any) -> Any:
        ctx.call = call
        gradients: list[Any] = []
        if call.pull is None:
            value, found = call.function(**call.arguments(tensors), return_grad=True)
            gradients = call.gradients_of(tensors, found._asdict())
        else:
            value = call.function(**_without_requests(call.arguments(tensors)))
        # Saved rather than kept: torch then frees them after use, and notices scores that were changed meanwhile.
        ctx.save_for_backward(*tensors, *gradients)
        return torch.as_tensor(value, dtype=call.dtype)

    @staticmethod
    def backward(ctx: Any, upstream: Any) -> Any:
        call: _Call = ctx.call
        tensors, gradients = ctx.saved_tensors[: len(call.names)], ctx.saved_tensors[len(call.names) :]
        if call.pull is None:
            gradients = [None if gradient is None else gradient * upstream for gradient in gradients]
        else:
            onward = upstream.detach()
            onward = onward.numpy() if onward.device.type == "cpu" else onward
            gradients = call.gradients_of(tensors, call.pull(call.arguments(tensors), onward))
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


def _plain(argument: Any) -> Any:
    """Make a number of a tensor without dimensions, such as a temperature that is learned."""
    scalar = isinstance(argument, torch.Tensor) and argument.ndim == 0 and argument.device.type == "cpu"
    return argument.item() if scalar else argument


def _without_requests(arguments: _Arguments) -> _Arguments:
    """Leave out what only a call with gradients takes."""
    return {name: argument for name, argument in arguments.items() if name not in _REQUESTS}


def _as_tensor(gradient: Any, tensor: Any) -> Any:
    """View the gradient of a tensor as one."""
    if gradient is None or isinstance(gradient, torch.Tensor):  # a tensor on a GPU
        return gradient if gradient is None else gradient.to(tensor.dtype)
    if np.ndim(gradient) == 0:
        return torch.as_tensor(gradient, dtype=tensor.dtype)
    if gradient.dtype.name == "bfloat16":
        # torch does not know the bfloat16 of ml_dtypes.
        return torch.from_numpy(gradient.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(gradient)


def _by_name(given: _Arguments, signature: inspect.Signature) -> _Arguments:
    """Name all arguments of a call; where one is a loss, also one of tensors, those without a name are of that loss."""
    kinds = {entry.kind: name for name, entry in signature.parameters.items()}
    others = given.pop(kinds.get(inspect.Parameter.VAR_POSITIONAL, ""), ())
    given |= given.pop(kinds.get(inspect.Parameter.VAR_KEYWORD, ""), {})
    if callable(given.get("loss")):
        given |= inspect.signature(given["loss"]).bind_partial(*others).arguments
        given["loss"] = inspect.unwrap(given["loss"])
    return given


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
        given = _by_name(given, signature)
        tensors = {name: argument for name, argument in given.items() if isinstance(argument, torch.Tensor)}
        scores = [tensors[name] for name in _SCORES if name in tensors]
        scores = scores or [tensors[name] for name in _TARGETS if name in tensors]
        narrow = [tensor.is_floating_point() and tensor.dtype != torch.float64 for tensor in scores]
        dtype = torch.float32 if narrow and all(narrow) else torch.float64
        wanted = (*_SCORES, *_TARGETS, *_PARAMETERS)
        names = [name for name in wanted if name in tensors and tensors[name].requires_grad]
        rest = {name: _plain(argument) for name, argument in given.items() if name not in names}
        if not names or not torch.is_grad_enabled():
            rest |= {name: _plain(tensors[name]) for name in names}
            return torch.as_tensor(call_numpy(**_without_requests(rest)), dtype=dtype)
        if "neg_weights" in names and "grad_weights" in parameters:
            rest["grad_weights"] = True
        by_list = pull_lists if given.get("reduction") == "none" else None
        call = _Call(call_numpy, rest, names, by_list if vjp is None else pull_ranks, dtype)
        value: torch.Tensor = _Loss.apply(call, *(tensors[name] for name in names))
        return value

    summary = (inspect.getdoc(function) or "").partition("\n")[0]
    lifted.__name__ = lifted.__qualname__ = function.__name__
    lifted.__doc__ = f"{summary}\n\nThis is `fastpair.losses.{function.__name__}` for torch tensors."
    lifted.__dict__ |= {"__signature__": signature, "__wrapped__": function}
    return lifted


adversarial_contrast = _lift(losses.adversarial_contrast)
approx_mrr = _lift(losses.approx_mrr)
approx_ndcg = _lift(losses.approx_ndcg)
ar2_adversarial = _lift(losses.ar2_adversarial)
barlow_twins = _lift(losses.barlow_twins)
base_decorrelation = _lift(losses.base_decorrelation)
binary_opposite = _lift(losses.binary_opposite)
bpo = _lift(losses.bpo)
bpr = _lift(losses.bpr)
bpr_max = _lift(losses.bpr_max)
byol = _lift(losses.byol)
cacr = _lift(losses.cacr)
cliff_contrast = _lift(losses.cliff_contrast)
clip = _lift(losses.clip)
cluster_contrast = _lift(losses.cluster_contrast)
cluster_proxy_contrast = _lift(losses.cluster_proxy_contrast)
comp_sum = _lift(losses.comp_sum)
compactness = _lift(losses.compactness)
contrastive_margin_regularizer = _lift(losses.contrastive_margin_regularizer)
cosent = _lift(losses.cosent)
custom = _lift(losses.custom)
cwcl = _lift(losses.cwcl)
dcl = _lift(losses.dcl)
dclw = _lift(losses.dclw)
deca = _lift(losses.deca)
dice = _lift(losses.dice)
disco = _lift(losses.disco)
drpo = _lift(losses.drpo)
dual_contrastive = _lift(losses.dual_contrastive)
fast_ap = _lift(losses.fast_ap)
focal_nce = _lift(losses.focal_nce)
grace = _lift(losses.grace)
groco = _lift(losses.groco)
hcl = _lift(losses.hcl)
info_nce = _lift(losses.info_nce)
ipw_pairwise = _lift(losses.ipw_pairwise)
lag_margin_ranking = _lift(losses.lag_margin_ranking)
lambda_rank = _lift(losses.lambda_rank)
list_mle = _lift(losses.list_mle)
listnet = _lift(losses.listnet)
local_contrast = _lift(losses.local_contrast)
m2mix = _lift(losses.m2mix)
mann_whitney = _lift(losses.mann_whitney)
margin_ranking = _lift(losses.margin_ranking)
matryoshka = _lift(losses.matryoshka)
nbpo = _lift(losses.nbpo)
negative_cosine = _lift(losses.negative_cosine)
nt_xent = _lift(losses.nt_xent)
pair_mse = _lift(losses.pair_mse)
pairwise_bce = _lift(losses.pairwise_bce)
pairwise_hinge = _lift(losses.pairwise_hinge)
patch_nce = _lift(losses.patch_nce)
pearson = _lift(losses.pearson)
plackett_luce = _lift(losses.plackett_luce)
pro_rank = _lift(losses.pro_rank)
prototype_compensated = _lift(losses.prototype_compensated)
prototype_diversity = _lift(losses.prototype_diversity)
prototype_nce = _lift(losses.prototype_nce)
queue_center_nce = _lift(losses.queue_center_nce)
rank_contrastive = _lift(losses.rank_contrastive)
rank_kl = _lift(losses.rank_kl)
rank_list = _lift(losses.rank_list)
ranknet = _lift(losses.ranknet)
ratio_contrast = _lift(losses.ratio_contrast)
relation_kl = _lift(losses.relation_kl)
semantic_opposite = _lift(losses.semantic_opposite)
sgns = _lift(losses.sgns)
siglip = _lift(losses.siglip)
similarity_kl = _lift(losses.similarity_kl)
smooth_ap = _lift(losses.smooth_ap)
soft_confusion = _lift(losses.soft_confusion)
soft_rank = _lift(losses.soft_rank, losses.soft_rank_vjp)
soft_target_nce = _lift(losses.soft_target_nce)
softmax = _lift(losses.softmax)
supcon = _lift(losses.supcon)
supremix = _lift(losses.supremix)
swapped_prediction = _lift(losses.swapped_prediction)
top1 = _lift(losses.top1)
tversky = _lift(losses.tversky)
uncertainty_info_nce = _lift(losses.uncertainty_info_nce)
variance_hinge = _lift(losses.variance_hinge)
voco = _lift(losses.voco)
z_loss = _lift(losses.z_loss)
