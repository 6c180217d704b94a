"""The libraries whose arrays fastpair takes: numpy, and CuPy on a GPU or its stand-in on the processor."""

from contextlib import contextmanager

import cupy_on_host
import numpy as np
import pytest


def has_gpu():
    """Whether CuPy is installed and finds a device."""
    try:
        import cupy

        return cupy.cuda.runtime.getDeviceCount() > 0
    except Exception:  # CuPy raises errors of its own, and cannot always be imported
        return False


@contextmanager
def cupy_or_stand_in():
    """Give CuPy where there is a GPU, else `cupy_on_host`; skip where there is no C++ compiler either."""
    if has_gpu():
        import cupy

        yield cupy
    elif cupy_on_host.available:
        with cupy_on_host.installed() as library:
            yield library
    else:
        pytest.skip("needs a GPU with CuPy, or a C++ compiler to run the kernels on the processor")


def on_device(xp, value):
    """Copy numpy arrays to the library, also inside of tuples, lists and dictionaries; leave everything else."""
    if isinstance(value, np.ndarray):
        return value if xp is np else xp.asarray(value)
    if isinstance(value, dict):
        return {key: on_device(xp, item) for key, item in value.items()}
    return type(value)(on_device(xp, item) for item in value) if type(value) in (tuple, list) else value


def on_host(value):
    """Copy arrays of any library to numpy, also inside of (named) tuples."""
    if isinstance(value, tuple):
        leaves = [on_host(item) for item in value]
        return type(value)(*leaves) if hasattr(value, "_fields") else tuple(leaves)
    return value.get() if hasattr(value, "get") and hasattr(value, "dtype") else value
