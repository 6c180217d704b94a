"""How fastpair runs here: versions, instruction set, threads and GPUs."""

import platform
from typing import Literal, overload

import numpy as np

from fastpair import _core
from fastpair._validate import check_num_threads

__version__: str = _core.__version__


def set_num_threads(num_threads: int) -> None:
    """Set how many threads are used where a call does not say.

    Parameters
    ----------
    num_threads : int
        At least 1. No result depends on it.

    Raises
    ------
    TypeError
        If it is no integer.
    ValueError
        If it is below 1.

    Examples
    --------
    >>> import fastpair
    >>> before = fastpair.get_num_threads()
    >>> fastpair.set_num_threads(1)
    >>> fastpair.get_num_threads()
    1
    >>> fastpair.set_num_threads(before)
    """
    _core.set_num_threads(check_num_threads(num_threads) or 0)


def get_num_threads() -> int:
    """Return how many threads are used where a call does not say.

    Returns
    -------
    int
        What `set_num_threads` said last, else the environment variable ``FASTPAIR_NUM_THREADS``, else the number of
        processors that this process may use.

    Examples
    --------
    >>> import fastpair
    >>> fastpair.get_num_threads() >= 1
    True
    """
    return _core.num_threads()


@overload
def show_config(mode: Literal["stdout"] = "stdout") -> None: ...
@overload
def show_config(mode: Literal["dicts"]) -> dict[str, str | int | list[str]]: ...
def show_config(mode: Literal["stdout", "dicts"] = "stdout") -> dict[str, str | int | list[str]] | None:
    """Show versions, the instruction set in use, the number of threads, and the GPUs that CuPy finds.

    Parameters
    ----------
    mode : {"stdout", "dicts"}
        Print the configuration, or return it as a dictionary.

    Returns
    -------
    dict or None
        The configuration if `mode` is ``"dicts"``.

    Raises
    ------
    ValueError
        If `mode` is neither.

    Notes
    -----
    To find GPUs, CuPy is imported if it is installed. Nothing else does so before it is handed an array in GPU memory.

    Examples
    --------
    >>> import fastpair
    >>> sorted(fastpair.show_config(mode="dicts"))
    ['cupy', 'fastpair', 'gpus', 'isa', 'isas', 'machine', 'numpy', 'python', 'threads']
    """
    config: dict[str, str | int | list[str]] = {
        "fastpair": __version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "isa": _core.isa(),
        "isas": _core.available_isas(),
        "threads": get_num_threads(),
        **_cupy_and_gpus(),
    }
    if mode == "dicts":
        return config
    if mode != "stdout":
        raise ValueError(f'mode must be "stdout" or "dicts", not {mode!r}')
    notes = {"isa": "instruction set in use", "isas": "instruction sets of this processor", "threads": "default"}
    for name, value in config.items():
        text = ", ".join(value) or "none" if isinstance(value, list) else str(value)
        print(f"{name:9} {text}" + (f"  ({notes[name]})" if name in notes else ""))
    return None


def _cupy_and_gpus() -> dict[str, str | int | list[str]]:
    """Return the version of CuPy and the devices that it finds."""
    try:
        import cupy

        version = str(cupy.__version__)
        runtime = cupy.cuda.runtime
        found = [runtime.getDeviceProperties(device) for device in range(runtime.getDeviceCount())]
    except ImportError:
        return {"cupy": "not installed", "gpus": []}
    except Exception as error:  # an error of CUDA, of a type that only CuPy has: there is no driver, say
        return {"cupy": f"{version} ({error})", "gpus": []}
    gpus = [
        f"{index}: {device['name'].decode()}, sm_{device['major']}{device['minor']}, "
        f"{device['totalGlobalMem'] / 2**30:.0f} GiB"
        for index, device in enumerate(found)
    ]
    return {"cupy": version, "gpus": gpus}
