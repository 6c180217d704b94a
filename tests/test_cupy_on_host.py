"""The stand-in for CuPy does what a GPU does, and refuses what CuPy refuses."""

import cupy_on_host
import numpy as np
import pytest
from cupy_on_host import module

SOURCE = """
//: reverse<float>, reverse<double>, votes, wide, stuck, split, prefix
template <class T>
__global__ void reverse(const T* values, T* out, int count) {
    __shared__ T room[64];
    if (threadIdx.x < count) room[threadIdx.x] = values[blockIdx.x * count + threadIdx.x];
    __syncthreads();
    if (threadIdx.x < count) out[blockIdx.x * count + threadIdx.x] = room[count - 1 - threadIdx.x];
}
__global__ void votes(const int* values, unsigned* out) {
    out[threadIdx.x] = __ballot_sync(0xffffffffu, values[threadIdx.x] > 0);
}
__global__ void wide(double* out, long long count, float factor) {
    DYNAMIC_SHARED(room);
    double* sums = reinterpret_cast<double*>(room);
    sums[threadIdx.x] = threadIdx.x * factor;
    for (int half = blockDim.x / 2; half; half /= 2) {
        __syncthreads();
        if (threadIdx.x < half) sums[threadIdx.x] += sums[threadIdx.x + half];
    }
    if (threadIdx.x == 0 && blockIdx.x < count) atomicAdd(&out[0], sums[0]);
}
__global__ void stuck() {
    if (threadIdx.x < 40) __shfl_sync(0xffffffffu, 1, 0);
}
__global__ void split(int* out) {    // half a warp returns before the barrier
    if (threadIdx.x >= 16) return;
    __syncthreads();
    out[threadIdx.x] = __shfl_xor_sync(0xffffu, int(threadIdx.x), 1);
}
__global__ void prefix(int* values) {
    int value = values[threadIdx.x];
    for (int step = 1; step < 32; step *= 2) {
        const int before = __shfl_up_sync(0xffffffffu, value, step);
        if (threadIdx.x % 32 >= step) value += before;
    }
    values[threadIdx.x] = value;
}
"""
NAMES = ("reverse<float>", "reverse<double>", "votes", "wide", "stuck", "split", "prefix")

pytestmark = pytest.mark.skipif(not cupy_on_host.available, reason="needs a C++ compiler")


@pytest.fixture(params=[False, True], ids=["forwards", "backwards"])
def kernel(request, monkeypatch):
    monkeypatch.setattr(module.RawKernel, "backwards", request.param)
    with cupy_on_host.installed() as cupy:
        yield cupy.RawModule(code=SOURCE, name_expressions=NAMES).get_function


@pytest.fixture
def stand_in():
    with cupy_on_host.installed() as cupy:
        yield cupy


@pytest.mark.parametrize(("name", "dtype"), [("reverse<float>", np.float32), ("reverse<double>", np.float64)])
def test_barriers(stand_in, kernel, name, dtype):
    values = np.arange(100, dtype=dtype).reshape(2, 50)
    out = stand_in.zeros((2, 50), dtype)
    kernel(name)((2,), (64,), (stand_in.asarray(values), out, np.int32(50)))
    np.testing.assert_array_equal(out.get(), values[:, ::-1])


def test_instructions_of_a_warp(stand_in, kernel):
    values, out = np.arange(64, dtype=np.int32) % 3 - 1, stand_in.zeros(64, np.uint32)
    kernel("votes")((1,), (64,), (stand_in.asarray(values), out))
    expected = [sum(1 << lane for lane in range(32) if values[32 * warp + lane] > 0) for warp in range(2)]
    np.testing.assert_array_equal(out.get(), np.repeat(expected, 32).astype(np.uint32))
    ones = stand_in.ones(64, np.int32)
    kernel("prefix")((1,), (64,), (ones,))
    np.testing.assert_array_equal(ones.get(), np.tile(np.arange(1, 33), 2))
    out = stand_in.zeros(16, np.int32)
    kernel("split")((1,), (32,), (out,))
    np.testing.assert_array_equal(out.get(), np.arange(16) ^ 1)


def test_shared_memory_and_scalars(stand_in, kernel):
    out = stand_in.zeros(1)
    kernel("wide")((3,), (128,), (out, 2, np.float32(0.5)), shared_mem=1024)
    assert out.get()[0] == 2 * 0.5 * sum(range(128))


def test_what_a_gpu_would_not_survive_is_an_error(stand_in, kernel):
    with pytest.raises(RuntimeError, match="never"):
        kernel("stuck")((1,), (64,), ())
    out = stand_in.zeros(1)
    with pytest.raises(RuntimeError, match="argument 2"):
        kernel("wide")((1,), (32,), (out, 1, np.float64(1)), shared_mem=256)
    with pytest.raises(RuntimeError, match="shared memory"):
        kernel("wide")((1,), (32,), (out, 1, np.float32(1)), shared_mem=1 << 17)
    with pytest.raises(RuntimeError, match="grid"):
        kernel("stuck")((0,), (32,), ())


def test_arrays_are_not_mixed_with_those_of_the_host(stand_in):
    values, host = stand_in.arange(3.0), np.arange(3.0)
    for mixed in (
        lambda: values + host,
        lambda: np.add(values, host),
        lambda: stand_in.concatenate([values, host]),
        lambda: np.asarray(values),
        lambda: values[host.astype(int)],
        lambda: np.divide(values, 2.0, where=values > 1),
        lambda: values.max(initial=0.0),
    ):
        with pytest.raises(TypeError):
            mixed()


def test_functions_of_numpy_reach_it(stand_in):
    values = stand_in.asarray([3.0, 1.0, 2.0])
    for result in (np.sort(values), np.where(values > 1, values, 0.0), np.exp(values), np.cumsum(values), values.max()):
        assert isinstance(result, stand_in.ndarray)
    assert values.max().ndim == 0
    values[values > 2] = 0.0
    values *= 2
    np.testing.assert_array_equal(values.get(), [0.0, 2.0, 4.0])


def test_a_kernel_that_writes_outside_of_its_array_is_an_error(stand_in):
    code = "//: over\n__global__ void over(float* out, long long place) { out[place] = 1.0f; }"
    over = stand_in.RawModule(code=code, name_expressions=("over",)).get_function("over")
    out = stand_in.zeros(7, np.float32)
    over((1,), (1,), (out, 6))
    assert out.get()[6] == 1
    for place in (7, -1, 100):
        with pytest.raises(RuntimeError, match="over writes outside of an array"):
            over((1,), (1,), (out, place))
    with pytest.raises(RuntimeError, match="strides"):
        over((1,), (1,), (stand_in.zeros((4, 4), np.float32)[:, 1], 0))
