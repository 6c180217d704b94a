"""Products of matrices by cuBLAS: `gemm`, with the precision that the caller says and sums in float32 or float64.

``cupy.matmul`` would round products of float16 to float16 and follow an environment variable for TF32.
"""

from typing import Any

import numpy as np

__all__ = ["gemm"]


def gemm(
    a: Any,
    b: Any,
    out: Any,
    *,
    transpose_a: bool = False,
    transpose_b: bool = False,
    accumulate: bool = False,
    tf32: bool = False,
) -> None:
    """Write a @ b to `out`, or add it; each factor as it is or transposed. All arrays are C-contiguous.

    Factors of float16, bfloat16 or float32 give float32, those of float64 float64. With `tf32` the tensor cores read
    the 10 leading bits of each float32.
    """
    import cupy
    from cupy.cuda import cublas, runtime

    rows, columns = out.shape
    inner = a.shape[0] if transpose_a else a.shape[1]
    if not (rows and columns):
        return
    if not inner:
        if not accumulate:
            out[...] = 0
        return
    kinds = {
        "float16": runtime.CUDA_R_16F,
        "bfloat16": runtime.CUDA_R_16BF,
        "float32": runtime.CUDA_R_32F,
        "float64": runtime.CUDA_R_64F,
    }
    if out.dtype == np.float64:
        compute = COMPUTE_64F
    else:  # numbers of 16 bits go through tensor cores as they are
        compute = COMPUTE_32F_FAST_TF32 if tf32 and a.dtype == b.dtype == np.float32 else COMPUTE_32F
    one, other = np.ones((), out.dtype), np.full((), int(accumulate), out.dtype)
    # cuBLAS counts by columns: a matrix by rows is its own transpose there, so it is asked for out.T = b.T @ a.T.
    cublas.gemmEx(
        cupy.cuda.get_cublas_handle(),
        *(int(transpose_b), int(transpose_a)),
        *(columns, rows, inner),
        one.ctypes.data,
        *(b.data.ptr, kinds[b.dtype.name], b.shape[1]),
        *(a.data.ptr, kinds[a.dtype.name], a.shape[1]),
        other.ctypes.data,
        *(out.data.ptr, kinds[out.dtype.name], columns),
        *(compute, GEMM_DEFAULT),
    )


# cublasComputeType_t and cublasGemmAlgo_t; CuPy does not name all of them.
COMPUTE_32F, COMPUTE_64F, COMPUTE_32F_FAST_TF32 = 68, 70, 77
GEMM_DEFAULT = -1
