"""Every .cu file compiles for the GPUs it is meant for, with NVRTC alone: no GPU, driver or CUDA toolkit is needed.

A file names its kernels, with template arguments, in lines that begin with ``//: ``.
"""

import ctypes
import importlib.util
import itertools
import os
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from fastpair._cuda import _source

FILES = sorted(path.name for path in _source.FOLDER.glob("*.cu"))
ARCHITECTURES = ("sm_80", "sm_90")


def nvrtc():
    """Load NVRTC as pip installs it, or skip."""
    spec = importlib.util.find_spec("nvidia")
    for folder in spec.submodule_search_locations if spec else ():
        for library in sorted(Path(folder).glob("*/lib/libnvrtc.so.*")):
            if "builtins" not in library.name:
                return ctypes.CDLL(str(library))
    pytest.skip("needs the package nvidia-cuda-nvrtc-cu12")


def compiled(library, text, expressions, options):
    """Return the bytes of the binary; fail with the log of the compiler."""
    program = ctypes.c_void_p()
    encoded = [option.encode() for option in options]
    library.nvrtcCreateProgram(ctypes.byref(program), text.encode(), b"kernels.cu", 0, None, None)
    for expression in expressions:
        assert library.nvrtcAddNameExpression(program, expression.encode()) == 0
    status = library.nvrtcCompileProgram(program, len(encoded), (ctypes.c_char_p * len(encoded))(*encoded))
    size = ctypes.c_size_t()
    library.nvrtcGetProgramLogSize(program, ctypes.byref(size))
    log = ctypes.create_string_buffer(size.value)
    library.nvrtcGetProgramLog(program, log)
    assert status == 0, log.value.decode()
    assert "warning" not in log.value.decode(), log.value.decode()
    library.nvrtcGetCUBINSize(program, ctypes.byref(size))
    library.nvrtcDestroyProgram(ctypes.byref(program))
    return size.value


@pytest.fixture(scope="module")
def binaries():
    """Compile everything, as many files at a time as there are processors."""
    library = nvrtc()

    def binary(name, architecture):
        text = _source.source(name)
        options = (*_source.OPTIONS, f"--gpu-architecture={architecture}")
        return compiled(library, text, _source.expressions(text), options)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield {case: pool.submit(binary, *case) for case in itertools.product(FILES, ARCHITECTURES)}
        pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("name", FILES)
def test_all_kernels_compile(binaries, name, architecture):
    assert _source.expressions(_source.source(name)), f"{name} names no kernels; list them in lines like //: one, two"
    assert binaries[name, architecture].result() > 0


@pytest.mark.parametrize("name", FILES)
def test_every_kernel_of_a_file_is_named(name):
    text = _source.source(name)
    own = set(re.findall(r"__global__\s+void\s+(?:__launch_bounds__\([^)]*\)\s*)?(\w+)", text))
    assert own == {re.match(r"\w+", expression)[0] for expression in _source.expressions(text)}
