"""How work is cut for the GPU: `plan`, and products by `gemm`."""

import numpy as np
import pytest
from fastpair._cuda import gemm, plan


@pytest.mark.parametrize("rows", [0, 1, 7, 4096, 100_000])
@pytest.mark.parametrize("columns", [0, 1, 33, 2048, 10_000_000])
@pytest.mark.parametrize("max_memory", [None, 1 << 20, 1 << 28])
def test_tiles_cover_everything_within_memory(rows, columns, max_memory):
    tiles = plan.tiling(rows, columns, cell=4, row=100, column=3072, max_memory=max_memory)
    memory = plan.USUAL_SCRATCH if max_memory is None else max_memory
    assert tiles.rows * 100 + tiles.columns * 3072 + tiles.rows * tiles.columns * 4 <= memory
    assert tiles.rows * tiles.columns * 4 <= max(plan.CACHED, 4 * 32 * tiles.rows)
    for blocks, count in ((tiles.row_blocks(), rows), (tiles.column_blocks(), columns)):
        ends = [0]
        for block in blocks:
            assert block.start == ends[-1] < block.stop
            ends.append(block.stop)
        assert ends[-1] == count


def test_a_large_search_has_large_tiles():
    tiles = plan.tiling(4096, 10_000_000, cell=4, column=1536)
    assert tiles.rows == 4096
    assert tiles.columns == 2048
    assert plan.tiling(1, 10_000_000, cell=4).columns >= 1 << 17


def test_too_little_memory_is_refused():
    with pytest.raises(ValueError, match=r"max_memory is 1000 bytes, but this call needs \d+"):
        plan.tiling(10, 100, cell=8, row=1024, max_memory=1000)
    assert plan.tiling(10, 100, cell=8, row=1 << 40).rows == 1


@pytest.mark.parametrize("transpose_a", [False, True])
@pytest.mark.parametrize("transpose_b", [False, True])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "bfloat16"])
def test_products(cupy, rng, transpose_a, transpose_b, dtype):
    dtype = pytest.importorskip("ml_dtypes").bfloat16 if dtype == "bfloat16" else dtype
    a, b = rng.integers(-8, 9, (5, 7)).astype(dtype), rng.integers(-8, 9, (7, 3)).astype(dtype)
    expected = a.astype(np.float64) @ b.astype(np.float64)
    left = cupy.asarray(np.ascontiguousarray(a.T) if transpose_a else a)
    right = cupy.asarray(np.ascontiguousarray(b.T) if transpose_b else b)
    out = cupy.ones((5, 3), np.float64 if dtype == "float64" else np.float32)
    for accumulate, wanted in ((False, expected), (True, 2 * expected)):
        gemm.gemm(left, right, out, transpose_a=transpose_a, transpose_b=transpose_b, accumulate=accumulate)
        np.testing.assert_array_equal(out.get(), wanted)
