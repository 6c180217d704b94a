"""Who owns the arrays: everything array-like on the host becomes a numpy array, without a copy where that is possible.

Nothing is moved between devices behind the caller's back, and nothing is converted: dtypes, strides and byte order
reach the kernels as they are.
"""

from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = ["ArrayLike", "host_array"]


class SupportsToNumpy(Protocol):
    """A column of pandas or polars, an array of pyarrow, a tensor of torch."""

    def __array__(self, *args: Any, **kwargs: Any) -> npt.NDArray[Any]:
        """Become a numpy array."""


ArrayLike: TypeAlias = npt.ArrayLike | SupportsToNumpy


def host_array(values: ArrayLike, argument: str) -> npt.NDArray[Any]:
    """View array-like `values` as a numpy array; `argument` names it in errors."""
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
            f"for which there is no kernel yet; move it to the host first, for example with {argument}.get()"
        )
    try:
        return np.asarray(values)
    except ValueError as error:
        raise ValueError(f"{argument} cannot be made an array: {error}") from error


def _torch_array(tensor: Any, argument: str) -> npt.NDArray[Any]:
    """View a torch tensor on the CPU."""
    device = getattr(tensor.device, "type", str(tensor.device))
    if device != "cpu":
        raise TypeError(
            f"{argument} is a torch tensor on device {device!r}, for which there is no kernel yet; "
            f"move it to the host first with {argument}.cpu()"
        )
    tensor = tensor.detach()
    if str(getattr(tensor, "dtype", "")) == "torch.bfloat16":
        # numpy knows bfloat16 only through ml_dtypes, and torch does not know that.
        import ml_dtypes
        import torch

        return np.asarray(tensor.view(torch.int16).numpy()).view(ml_dtypes.bfloat16)
    return np.asarray(tensor.numpy())
