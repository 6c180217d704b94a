"""The one device of `cupy_on_host`: streams that do nothing, and cuBLAS's gemmEx."""

import contextlib
import ctypes
import time
import types

import numpy as np

CUDA_R_32F, CUDA_R_64F, CUDA_R_16F, CUDA_R_8I, CUDA_R_32I, CUDA_R_16BF = 0, 1, 2, 3, 10, 14
COMPUTE_32F_FAST_TF32 = 77
MEMORY = 8 << 30


class Device:
    """Device 0."""

    def __init__(self, device=0):
        if device != 0:
            raise ValueError(f"there is no device {device}")
        self.id = 0

    compute_capability = "90"
    attributes = types.MappingProxyType({"MultiProcessorCount": 4, "MaxSharedMemoryPerBlockOptin": 232448})
    mem_info = (MEMORY, MEMORY)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        return None

    def __eq__(self, other):
        return isinstance(other, Device) and self.id == other.id

    __hash__ = None

    def use(self):
        return self

    def synchronize(self):
        return None


class Stream:
    """A stream; work on it is done at once."""

    def __init__(self, ptr=0):
        self.ptr = ptr

    @classmethod
    def from_external(cls, stream):
        version, ptr = stream.__cuda_stream__()
        assert version == 0
        return cls(ptr)

    def __enter__(self):
        _streams.append(self)
        return self

    def __exit__(self, *exception):
        _streams.pop()

    def synchronize(self):
        return None


class Event:
    """A moment."""

    def record(self, stream=None):
        self.moment = time.perf_counter()

    def synchronize(self):
        return None


_streams = [Stream()]


def _matrix(pointer, dtype, rows, columns, leading):
    """View a column-major matrix."""
    bytes_ = ((columns - 1) * leading + rows) * dtype.itemsize if rows and columns else 0
    buffer = (ctypes.c_char * bytes_).from_address(pointer)
    flat = np.frombuffer(buffer, dtype)
    return np.lib.stride_tricks.as_strided(flat, (rows, columns), (dtype.itemsize, leading * dtype.itemsize))


def _as_float(values, code):
    return (values.astype(np.uint32) << 16).view(np.float32) if code == CUDA_R_16BF else values


def _leading_bits(values):
    """Return float32 without the bits that tensor cores do not read."""
    return (np.ascontiguousarray(values).view(np.uint32) & np.uint32(0xFFFFE000)).view(np.float32)


def _gemm_ex(
    handle, transa, transb, m, n, k, alpha, a, a_type, lda, b, b_type, ldb, beta, c, c_type, ldc, compute, algorithm
):
    dtypes = {
        CUDA_R_32F: "f4",
        CUDA_R_64F: "f8",
        CUDA_R_16F: "f2",
        CUDA_R_16BF: "u2",
        CUDA_R_8I: "i1",
        CUDA_R_32I: "i4",
    }
    result = np.dtype(dtypes[c_type])
    left = _matrix(a, np.dtype(dtypes[a_type]), *((k, m) if transa else (m, k)), lda)
    right = _matrix(b, np.dtype(dtypes[b_type]), *((n, k) if transb else (k, n)), ldb)
    left, right = _as_float(left, a_type), _as_float(right, b_type)
    if compute == COMPUTE_32F_FAST_TF32:
        left, right = _leading_bits(left), _leading_bits(right)
    left, right = (left.T if transa else left), (right.T if transb else right)
    out = _matrix(c, result, m, n, ldc)
    factor = [
        np.dtype(result).type(ctypes.cast(p, ctypes.POINTER(np.ctypeslib.as_ctypes_type(result)))[0])
        for p in (alpha, beta)
    ]
    with np.errstate(all="ignore"):  # a GPU warns of nothing
        product = (left.astype(result) @ right.astype(result)) * factor[0]
        out[...] = product if factor[1] == 0 else product + factor[1] * out


def namespace():
    """Return what ``cupy.cuda.`` names."""
    cuda = types.ModuleType("cupy.cuda")
    cuda.__path__ = []
    cuda.Device, cuda.Stream, cuda.Event = Device, Stream, Event
    cuda.get_current_stream = lambda device_id=None: _streams[-1]
    cuda.get_elapsed_time = lambda begin, end: 1e3 * (end.moment - begin.moment)
    cuda.is_available = lambda: True
    cuda.get_cublas_handle = lambda: 1
    cuda.using_allocator = contextlib.nullcontext
    cuda.get_current_stream().null = True
    runtime = types.ModuleType("cupy.cuda.runtime")
    runtime.getDeviceCount = lambda: 1
    runtime.getDevice = lambda: 0
    runtime.memGetInfo = lambda: (MEMORY, MEMORY)
    runtime.runtimeGetVersion = lambda: 12090
    runtime.driverGetVersion = lambda: 12090
    runtime.getDeviceProperties = lambda device: {
        "name": b"cupy_on_host",
        "major": 9,
        "minor": 0,
        "l2CacheSize": 1 << 20,
        "multiProcessorCount": 4,
        "sharedMemPerBlockOptin": 232448,
        "totalGlobalMem": MEMORY,
    }
    runtime.CUDA_R_32F, runtime.CUDA_R_64F, runtime.CUDA_R_16F = CUDA_R_32F, CUDA_R_64F, CUDA_R_16F
    runtime.CUDA_R_16BF, runtime.CUDA_R_8I, runtime.CUDA_R_32I = CUDA_R_16BF, CUDA_R_8I, CUDA_R_32I
    cuda.runtime = runtime
    cuda.cublas = types.ModuleType("cupy.cuda.cublas")
    cuda.cublas.gemmEx = _gemm_ex
    cuda.cublas.CUBLAS_OP_N, cuda.cublas.CUBLAS_OP_T = 0, 1
    cuda.cublas.CUBLAS_COMPUTE_32F, cuda.cublas.CUBLAS_COMPUTE_32F_FAST_TF32 = 68, 77
    cuda.cublas.CUBLAS_COMPUTE_64F, cuda.cublas.CUBLAS_COMPUTE_32I = 70, 72
    cuda.cublas.CUBLAS_GEMM_DEFAULT = -1
    cuda.cublas.getPointerMode = lambda handle: 0
    cuda.cublas.setPointerMode = lambda handle, mode: None
    return cuda
