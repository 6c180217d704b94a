"""`RawModule` of `cupy_on_host`: compiles a .cu source for the processor, with `simt.h`, and runs its kernels.

Each array that a kernel gets is moved to a room of its own between two guards for the launch, so that a write outside
of it is an error, and a read outside of it finds nonsense.
"""

import ctypes
import functools
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from fastpair._cuda._source import expressions

from cupy_on_host.array import ndarray

HEADER = Path(__file__).parent / "simt.h"
FLAGS = ("-std=c++20", "-O1", "-fPIC", "-shared", "-ffp-contract=off", "-Wno-attributes", "-Wno-unused")
LAUNCHER = """
extern "C" const char* launch_{index}(const unsigned* shape, size_t shared, void** values, const long* sizes,
                                      long count, unsigned turn) {{
    return simt::launch({name}, shape, shared, values, sizes, count, turn);
}}
"""
LARGEST_SHARED = 232448
"""Bytes of shared memory that a block of sm_90 may have; 163 KiB on sm_80."""


@functools.cache
def compiler():
    """Return the C++ compiler of this machine, or None. Fibers are those of Linux."""
    return shutil.which(os.environ.get("CXX", "g++")) if sys.platform == "linux" else None


@functools.cache
def _built(code, names, options):
    """Compile a source with a launcher for each kernel, once for each session of tests and machine."""
    if any(not option.startswith(("-std=", "--std=", "-D", "--fmad=", "-fmad=")) for option in options):
        raise ValueError(f"options {options} are not known here")
    launchers = "".join(LAUNCHER.format(index=index, name=name) for index, name in enumerate(names))
    text = f'#include "{HEADER}"\n{code}\n{launchers}'
    defines = tuple(option for option in options if option.startswith("-D"))
    digest = hashlib.sha256(f"{text}{HEADER.read_text()}{FLAGS}{defines}".encode()).hexdigest()[:24]
    folder = Path(tempfile.gettempdir()) / f"cupy_on_host-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    library = folder / f"{digest}.so"
    if not library.exists():
        source, partial = folder / f"{digest}-{os.getpid()}.cpp", folder / f"{digest}-{os.getpid()}.so"
        source.write_text(text)
        done = subprocess.run([compiler(), *FLAGS, *defines, source, "-o", partial], capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"the kernels do not compile for the host:\n{done.stderr[:4000]}")
        partial.replace(library)
        source.unlink()
    return ctypes.CDLL(str(library))


class RawModule:
    """Kernels of one source, which must be named."""

    def __init__(self, *, code, options=(), backend="nvrtc", name_expressions):
        self.code, self.options, self.names = code, tuple(options), tuple(name_expressions)
        unlisted = set(self.names) - set(expressions(code))
        if unlisted:
            raise KeyError(f"{unlisted} is not in the lines of the source that begin with //: ")
        self.all_names = expressions(code)  # one library for all kernels of a source: compilers are slow to start

    def compile(self, log_stream=None):
        _built(self.code, self.all_names, self.options)

    def get_function(self, name):
        if name not in self.names:
            raise KeyError(f"{name} is not among the name expressions {self.names}")
        library = _built(self.code, self.all_names, self.options)
        return RawKernel(getattr(library, f"launch_{self.all_names.index(name)}"), name)


class RawKernel:
    """One kernel, run block by block."""

    backwards = False
    """Whether the first block has its threads in descending order (else every other launch has)."""
    launches = 0

    def __init__(self, launcher, name):
        self.launcher, self.name = launcher, name
        self.launcher.restype = ctypes.c_char_p
        self.max_dynamic_shared_size_bytes = 48 << 10

    def __call__(self, grid, block, args, *, shared_mem=0):
        grid, block = (*grid, 1, 1)[:3], (*block, 1, 1)[:3]
        if not all(0 < size < 1 << 31 for size in grid) or max(grid[1:]) > 65535:
            raise RuntimeError(f"CUDA_ERROR_INVALID_VALUE: {self.name} has the grid {grid}")
        if not 0 < block[0] * block[1] * block[2] <= 1024:
            raise RuntimeError(f"CUDA_ERROR_INVALID_VALUE: {self.name} has blocks of {block}")
        if shared_mem > min(self.max_dynamic_shared_size_bytes, LARGEST_SHARED):
            raise RuntimeError(f"CUDA_ERROR_INVALID_VALUE: {self.name} asks for {shared_mem} bytes of shared memory")
        rooms = _Rooms([value for value in args if isinstance(value, ndarray)])
        cells = [_cell(value, rooms) for value in args]
        values = (ctypes.c_void_p * len(cells))(*(cell.ctypes.data for cell, _ in cells))
        sizes = (ctypes.c_long * len(cells))(*(size for _, size in cells))
        shape = (ctypes.c_uint * 6)(*map(int, (*grid, *block)))
        RawKernel.launches += 1
        turn = ctypes.c_uint(1 if self.backwards else RawKernel.launches % 2)
        failure = self.launcher(shape, ctypes.c_size_t(int(shared_mem)), values, sizes, ctypes.c_long(len(cells)), turn)
        if failure:
            raise RuntimeError(f"{self.name}: {failure.decode()}")
        rooms.leave(self.name)


class _Rooms:
    """Copies of the memory of a launch's arrays, each between guards. Arrays that overlap share one."""

    GUARD = 1024

    def __init__(self, arrays):
        spans = sorted((array.data.ptr, array.data.ptr + _contiguous(array).nbytes) for array in arrays)
        self.rooms = []
        for begin, end in spans:
            if self.rooms and begin < self.rooms[-1][1]:
                self.rooms[-1][1] = max(end, self.rooms[-1][1])
            else:
                self.rooms.append([begin, end])
        self.copies = [self._copy(begin, end) for begin, end in self.rooms]

    def _copy(self, begin, end):
        room = np.full(end - begin + 2 * self.GUARD, 0xCD, np.uint8)
        room[self.GUARD : self.GUARD + end - begin] = _bytes(begin, end)
        return room

    def address(self, array):
        """Return where the copy of an array begins."""
        for (begin, end), copy in zip(self.rooms, self.copies, strict=True):
            if begin <= array.data.ptr and array.data.ptr + array.nbytes <= end:
                return copy.ctypes.data + self.GUARD + array.data.ptr - begin
        raise AssertionError("an array without a room")

    def leave(self, name):
        """Move the copies back; nothing may have been written around them."""
        for (begin, end), copy in zip(self.rooms, self.copies, strict=True):
            if (copy[: self.GUARD] != 0xCD).any() or (copy[self.GUARD + end - begin :] != 0xCD).any():
                raise RuntimeError(f"{name} writes outside of an array of {end - begin} bytes")
            _bytes(begin, end)[...] = copy[self.GUARD : self.GUARD + end - begin]


def _contiguous(array):
    """Return an array if it is as a kernel, which does not know of strides, would read it."""
    if array.flags.c_contiguous or array.flags.f_contiguous:
        return array
    raise RuntimeError(f"a kernel gets an array of shape {array.shape} and strides {array.strides}")


def _bytes(begin, end):
    """View some memory."""
    return np.frombuffer((ctypes.c_char * (end - begin)).from_address(begin), np.uint8)


def _cell(value, rooms):
    """Return an argument of a kernel as memory, and its size (negative for a pointer)."""
    if isinstance(value, ndarray):
        return np.array([rooms.address(value)], np.uintp), -8
    if type(value) in (bool, int, float):  # as CuPy passes them
        value = {bool: np.bool_, int: np.int64, float: np.float64}[type(value)](value)
    if value is None:
        return np.array([0], np.uintp), -8
    if not isinstance(value, np.generic):
        raise TypeError(f"Unsupported type {type(value)}")
    return np.array([value]), value.itemsize
