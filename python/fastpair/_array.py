"""Who owns the arrays: array-likes of the host become numpy arrays, arrays in GPU memory stay there as arrays of CuPy.

One rule decides where a call runs. A public function that is marked `on_gpu_too` runs on the GPU if one of its
arguments lies there; then every array must, on the same device. Any other function, and any array elsewhere, raises.
Nothing is moved between devices behind the caller's back, and nothing is converted: dtypes, strides and byte order
reach the kernels as they are.

Inside, functions of numpy serve both, since numpy hands them on to the library of their arguments. Only new arrays and
kernels need to know whose the arrays are: `library_of`, `kernels_of`.
"""

import sys
from collections.abc import Callable
from contextvars import ContextVar
from functools import wraps
from typing import Any, NamedTuple, ParamSpec, Protocol, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from fastpair import _core

__all__ = [
    "ArrayLike",
    "GpuCall",
    "array_of",
    "gpu_call",
    "is_on_gpu",
    "kernels_of",
    "library_of",
    "library_of_call",
    "on_gpu_too",
    "scalar",
]

P = ParamSpec("P")
R = TypeVar("R")


class SupportsToNumpy(Protocol):
    """A column of pandas or polars, an array of pyarrow, a tensor of torch."""

    def __array__(self, *args: Any, **kwargs: Any) -> npt.NDArray[Any]:
        """Become a numpy array."""


ArrayLike: TypeAlias = npt.ArrayLike | SupportsToNumpy


class GpuCall(NamedTuple):
    """The call of a public function that is running on a GPU: the argument that brought it there, and the device."""

    argument: str
    device: int


gpu_call: ContextVar[GpuCall | None] = ContextVar("gpu_call", default=None)
"""What runs on a GPU now, in this thread or task."""


def on_gpu_too(function: Callable[P, R]) -> Callable[P, R]:
    """Let a public function run where its arguments are: its kernels have twins in `fastpair._cuda`."""

    @wraps(function)
    def entry(*args: P.args, **kwargs: P.kwargs) -> R:
        # Without these libraries nothing can be on a GPU, and inside of such a call the way is known.
        if not ("cupy" in sys.modules or "torch" in sys.modules) or gpu_call.get() is not None:
            return function(*args, **kwargs)
        if not any(map(is_on_gpu, (*args, *kwargs.values()))):
            return function(*args, **kwargs)
        from fastpair._cuda import door

        return door.run(function, args, kwargs)

    entry.runs_on_gpu = True  # type: ignore[attr-defined]
    return entry


def is_on_gpu(value: object) -> bool:
    """Whether this is an array of CuPy, a tensor of torch in GPU memory, or a tuple or list that begins with one."""
    kind = type(value)
    if kind is np.ndarray or value is None:
        return False
    if kind in (tuple, list):
        return bool(value) and is_on_gpu(value[0])  # type: ignore[index]
    library = kind.__module__.partition(".")[0]
    if library == "torch":
        return getattr(getattr(value, "device", None), "type", "cpu") == "cuda"
    return library != "numpy" and hasattr(kind, "__cuda_array_interface__")


def library_of(array: Any) -> Any:
    """Return the module that makes arrays like this one: numpy or cupy."""
    if isinstance(array, (np.ndarray, np.generic)):
        return np
    import cupy

    return cupy


def kernels_of(array: Any) -> Any:
    """Return the module of kernels that read this array: `_core`, or its twin `_cuda`."""
    if isinstance(array, np.ndarray):
        return _core
    from fastpair import _cuda

    return _cuda


def library_of_call() -> Any:
    """Return the module that makes arrays where the call runs: numpy or cupy."""
    if gpu_call.get() is None:
        return np
    import cupy

    return cupy


def scalar(value: Any) -> Any:
    """Return one number as a public function does: a numpy.float64, or an array of no dimension on the GPU."""
    return np.float64(value) if isinstance(value, (float, np.ndarray, np.generic)) else value.astype(np.float64)


def array_of(values: ArrayLike, argument: str) -> npt.NDArray[Any]:
    """View array-like `values` as an array of the library that the call runs in; `argument` names it in errors."""
    call = gpu_call.get()
    if call is not None:
        on_device: npt.NDArray[Any] = _gpu_array(values, argument, call)
        return on_device
    if type(values) is np.ndarray:
        return values
    if values is None:
        raise TypeError(f"{argument} is None; pass an array")
    if isinstance(values, np.ma.MaskedArray):
        if np.ma.is_masked(values):
            raise TypeError(
                f"{argument} is a masked array with {np.count_nonzero(np.ma.getmaskarray(values))} masked elements; "
                f"pass {argument}.compressed(), and the same rows of the other arguments"
            )
        return np.asarray(values.data)
    if type(values).__module__.partition(".")[0] == "torch" or hasattr(values, "detach"):
        return _torch_array(values, argument)
    if hasattr(values, "__cuda_array_interface__"):
        raise TypeError(
            f"{argument} is an array of {type(values).__module__}.{type(values).__qualname__} in GPU memory, "
            f"but {_public_function()} has no GPU kernel; move it to the host, for example with {argument}.get(), and "
            f"call the same function"
        )
    try:
        return np.asarray(values)
    except ValueError as error:
        raise ValueError(f"{argument} cannot be made an array: {error}") from error


def _gpu_array(values: Any, argument: str, call: GpuCall) -> Any:
    """Return an array of the device of the call as it is."""
    if values is None:
        raise TypeError(f"{argument} is None; pass an array")
    if type(values).__module__.partition(".")[0] != "cupy" or not hasattr(values, "__cuda_array_interface__"):
        kind = f"{type(values).__module__}.{type(values).__qualname__}".removeprefix("builtins.")
        raise TypeError(
            f"{call.argument} is in GPU memory (device {call.device}), but {argument} is a {kind} in host memory; move "
            f"one of both, for example with cupy.asarray({argument}): nothing is copied between devices unasked"
        )
    if values.device.id != call.device:
        raise TypeError(
            f"{call.argument} is on GPU {call.device}, but {argument} is on GPU {values.device.id}; pass arrays of one "
            f"device"
        )
    return values


def _torch_array(tensor: Any, argument: str) -> npt.NDArray[Any]:
    """View a torch tensor on the CPU."""
    device = getattr(tensor.device, "type", str(tensor.device))
    if device != "cpu":
        raise TypeError(
            f"{argument} is a torch tensor on device {device!r}, but {_public_function()} has no GPU kernel; move it "
            f"to the host with {argument}.cpu() and call the same function"
        )
    tensor = tensor.detach()
    if str(getattr(tensor, "dtype", "")) == "torch.bfloat16":
        # numpy knows bfloat16 only through ml_dtypes, and torch does not know that.
        import ml_dtypes
        import torch

        return np.asarray(tensor.view(torch.int16).numpy()).view(ml_dtypes.bfloat16)
    return np.asarray(tensor.numpy())


def _public_function() -> str:
    """Return the name of the public function that is running, for errors."""
    frame, name = sys._getframe(1), "this function"
    while frame is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "fastpair":
        module, function = frame.f_globals["__name__"], frame.f_code.co_name
        if not function.startswith(("_", "<")) and function != "entry":
            public = [part for part in module.split(".") if not part.startswith("_")]
            name = ".".join((*public, frame.f_code.co_qualname))
        frame = frame.f_back  # type: ignore[assignment]
    return name
