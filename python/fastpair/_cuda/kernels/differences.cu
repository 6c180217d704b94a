// Tiles of the metrics that are no products: Manhattan distances in float32, and distances of packed bits, both
// negated.
//
// A block makes 64 x 64 of them: 16 x 16 threads with 4 x 4 each, from 16 elements of each row at a time in shared
// memory. Cost O(rows columns width).
#include "metric.cuh"

//: differences<Half>, differences<Bfloat16>, differences<float>, differences<double>, differences<signed char>
//: differences<u32>

constexpr int SIDE = 64, DEPTH = 16, ACROSS = 16, OWN = SIDE / ACROSS;

// What is summed over the elements of two rows.
template <class T>
struct Sum {
    typedef float element;
    float total = 0.0f;
    static __device__ __forceinline__ float read(T value) { return float(to_double(value)); }
    __device__ __forceinline__ void add(float x, float y) { total += fabsf(x - y); }
    __device__ __forceinline__ float value(Metric) const { return -total; }
};
template <>
struct Sum<u32> {
    typedef u32 element;
    u32 differing = 0, either = 0;
    static __device__ __forceinline__ u32 read(u32 word) { return word; }
    __device__ __forceinline__ void add(u32 x, u32 y) {
        differing += __popc(x ^ y);
        either += __popc(x | y);
    }
    __device__ __forceinline__ float value(Metric metric) const {
        return -(metric == HAMMING ? float(differing) : either ? float(differing) / float(either) : 0.0f);
    }
};

template <class T>
__global__ void differences(const T* x, const T* y, i64 rows, i64 columns, i64 width, int metric, float* out) {
    typedef typename Sum<T>::element Element;
    __shared__ Element x_part[DEPTH][SIDE + 1], y_part[DEPTH][SIDE + 1];
    const i64 first_row = i64(blockIdx.y) * SIDE, first_column = i64(blockIdx.x) * SIDE;
    const int across = threadIdx.x % ACROSS, down = threadIdx.x / ACROSS;
    Sum<T> sums[OWN][OWN];
    for (i64 k = 0; k < width; k += DEPTH) {
        __syncthreads();
        for (int row = down; row < SIDE; row += ACROSS) {
            const bool inside = k + across < width;
            x_part[across][row] =
                inside && first_row + row < rows ? Sum<T>::read(x[(first_row + row) * width + k + across]) : Element(0);
            y_part[across][row] = inside && first_column + row < columns
                                      ? Sum<T>::read(y[(first_column + row) * width + k + across])
                                      : Element(0);
        }
        __syncthreads();
#pragma unroll 4
        for (int depth = 0; depth < DEPTH; ++depth) {
            Element left[OWN], right[OWN];
            for (int i = 0; i < OWN; ++i) {
                left[i] = x_part[depth][down + ACROSS * i];
                right[i] = y_part[depth][across + ACROSS * i];
            }
            for (int i = 0; i < OWN; ++i)
                for (int j = 0; j < OWN; ++j) sums[i][j].add(left[i], right[j]);
        }
    }
    for (int i = 0; i < OWN; ++i) {
        for (int j = 0; j < OWN; ++j) {
            const i64 row = first_row + down + ACROSS * i, column = first_column + across + ACROSS * j;
            if (row < rows && column < columns) out[row * columns + column] = sums[i][j].value(Metric(metric));
        }
    }
}
