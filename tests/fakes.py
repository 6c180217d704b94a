"""Stand-ins for arrays of libraries that the tests do not install."""

import numpy as np


class Tensor:
    """The part of a torch tensor that a library without torch can meet."""

    def __init__(self, values, device="cpu", requires_grad=False):
        self.values, self.device, self.requires_grad = np.asarray(values), Device(device), requires_grad

    def detach(self):
        return Tensor(self.values, self.device.type)

    def cpu(self):
        return Tensor(self.values, "cpu", self.requires_grad)

    def numpy(self):
        if self.device.type != "cpu":
            raise TypeError("can't convert a cuda tensor to numpy; use Tensor.cpu() first")
        if self.requires_grad:
            raise RuntimeError("Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy().")
        return self.values

    def __array__(self, dtype=None, copy=None):
        return self.numpy() if dtype is None else self.numpy().astype(dtype)


class Device:
    def __init__(self, name):
        self.type = name

    def __str__(self):
        return self.type


class Arraylike:
    """Anything with `__array__`."""

    def __init__(self, values):
        self.values = np.asarray(values)

    def __array__(self, dtype=None, copy=None):
        return self.values if dtype is None else self.values.astype(dtype)


class OnDevice:
    """An array of a GPU library, known by its interface alone."""

    @property
    def __cuda_array_interface__(self):
        return {"shape": (4,), "typestr": "<f4", "data": (0, False), "version": 3}
