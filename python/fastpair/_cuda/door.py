"""The one way onto the GPU: tensors of torch become arrays of CuPy and back, on the stream that their owner uses.

Neither direction copies: both libraries look at the same memory. Work is queued on the current stream of the library
that owns the arguments, on their device.
"""

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from functools import cache
from inspect import signature
from typing import Any, TypeVar

import numpy as np

from fastpair._array import GpuCall, gpu_call, is_on_gpu

__all__ = ["run"]

R = TypeVar("R")


def run(function: Callable[..., R], args: tuple[Any, ...], kwargs: dict[str, Any]) -> R:
    """Call a public function, of which at least one argument is in GPU memory."""
    named = [*zip(_parameters(function), args, strict=False), *kwargs.items()]
    argument, value = next((name, value) for name, value in _flat(named) if is_on_gpu(value))
    cupy = _cupy(argument)
    if not isinstance(value, cupy.ndarray) and not _is_torch(value):
        raise TypeError(
            f"{argument} is an array of {type(value).__module__}.{type(value).__qualname__} in GPU memory; pass "
            f"cupy.asarray({argument}), which looks at the same memory"
        )
    tensors = _is_torch(value)
    device = value.device.index if tensors else value.device.id
    with ExitStack() as stack:
        stack.enter_context(cupy.cuda.Device(device))
        if tensors:
            stack.enter_context(cupy.cuda.Stream.from_external(_StreamOfTorch(device)))
            args, kwargs = _map(args, _from_torch), _map(kwargs, _from_torch)
        token = gpu_call.set(GpuCall(argument, device))
        try:
            result = function(*args, **kwargs)
        finally:
            gpu_call.reset(token)
        return _map(result, _to_torch) if tensors else result


@cache
def _parameters(function: Callable[..., Any]) -> tuple[str, ...]:
    return tuple(signature(function).parameters)


def _flat(named: Iterable[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
    """Step through arguments and what tuples and lists among them begin with."""
    for name, value in named:
        yield from _flat([(f"{name}[0]", value[0])]) if type(value) in (tuple, list) and value else [(name, value)]


def _cupy(argument: str) -> Any:
    try:
        import cupy
    except ImportError:
        raise TypeError(
            f"{argument} is in GPU memory, for which fastpair needs CuPy: pip install fastpair[cuda12] (or [cuda13]); "
            f"or move it to the host with {argument}.cpu()"
        ) from None
    return cupy


class _StreamOfTorch:
    """The current stream of torch, as the protocol for streams has it: not every version of torch does."""

    def __init__(self, device: int) -> None:
        self.stream = sys.modules["torch"].cuda.current_stream(device)

    def __cuda_stream__(self) -> tuple[int, int]:
        return 0, self.stream.cuda_stream


def _is_torch(value: object) -> bool:
    return type(value).__module__.partition(".")[0] == "torch"


def _map(value: Any, change: Callable[[Any], Any]) -> Any:
    """Change the leaves of tuples (also named ones), lists and dictionaries."""
    if isinstance(value, tuple):
        leaves = [_map(item, change) for item in value]
        return type(value)(*leaves) if hasattr(value, "_fields") else tuple(leaves)
    if type(value) is list:
        return [_map(item, change) for item in value]
    if type(value) is dict:
        return {key: _map(item, change) for key, item in value.items()}
    return change(value)


def _from_torch(value: Any) -> Any:
    """View a tensor in GPU memory as an array of CuPy; leave everything else."""
    if not (_is_torch(value) and is_on_gpu(value)):
        return value
    import cupy

    tensor = value.detach()
    if str(tensor.dtype) == "torch.bfloat16":  # which not every version of DLPack knows
        import ml_dtypes

        bits = tensor.view(sys.modules["torch"].int16)
        return cupy.from_dlpack(bits).view(np.dtype(ml_dtypes.bfloat16))
    return cupy.from_dlpack(tensor)


def _to_torch(value: Any) -> Any:
    """View an array of CuPy as a tensor; leave everything else."""
    import cupy

    if not isinstance(value, cupy.ndarray):
        return value
    torch = sys.modules["torch"]
    if value.dtype.name == "bfloat16":
        return torch.from_dlpack(value.view(np.int16)).view(torch.bfloat16)
    return torch.from_dlpack(value)
