"""CuPy on the processor: enough of it to run the GPU path of fastpair, kernels included, where there is no GPU.

* `array`: an `ndarray` over memory of the host that refuses what CuPy refuses: numpy arrays beside it, arguments that
  the function or method of CuPy does not have (`signatures.json`, recorded from CuPy by `record_signatures.py`), object
  dtypes, results that are not arrays. It counts how often values travel to the host.
* `module`: `RawModule`, which compiles the very .cu files with a C++ compiler and `simt.h`.
* `device`: one device, streams, events, cuBLAS's gemmEx.

``with installed():`` puts it in the place of the module `cupy`. It shows that the arithmetic, the control flow and the
use of CuPy are right. It says nothing about speed, races between threads, or memory order.
"""

import sys
import types
from contextlib import contextmanager

from cupy_on_host import array, device, module

__all__ = ["available", "installed", "library", "transfers"]

transfers = array.transfers
available = module.compiler() is not None


def _build():
    cupy = types.ModuleType("cupy")
    cupy.__version__ = array.SIGNATURES["cupy"]
    cupy.__path__ = []
    vars(cupy).update(array.namespace())
    cupy.RawModule, cupy.RawKernel = module.RawModule, module.RawKernel
    cupy.cuda = device.namespace()
    return cupy


library = _build()


@contextmanager
def installed():
    """Let ``import cupy`` find this one."""
    names = {"cupy": library, "cupy.cuda": library.cuda, "cupy.cuda.runtime": library.cuda.runtime}
    before = {name: sys.modules.get(name) for name in names}
    sys.modules.update(names)
    try:
        yield library
    finally:
        for name, item in before.items():
            if item is None:
                del sys.modules[name]
            else:
                sys.modules[name] = item
