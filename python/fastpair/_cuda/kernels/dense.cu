// Matrices of scores and scores of aligned rows.
//
// * aligned_scores: rows i of both, sixteen lanes for each pair. Reads each row once.
// * all_scores: exact scores of all pairs. Sixteen lanes hold the sums of four rows with four, so that an element is
//   read once for four terms; neighbours in a block share the rest in the first-level cache.
// * finish_products: what cuBLAS has multiplied becomes scores, in place. One read and one write of each score.
#include "score.cuh"

//: aligned_scores<Half>, aligned_scores<Bfloat16>, aligned_scores<float>, aligned_scores<double>
//: aligned_scores<signed char>, aligned_scores<u32>
//: all_scores<Half>, all_scores<Bfloat16>, all_scores<float>, all_scores<double>, all_scores<signed char>
//: all_scores<u32>
//: finish_products<Half>, finish_products<Bfloat16>, finish_products<float>, finish_products<double>
//: finish_products<signed char>

// A matrix of float32 or of float64: the pointer to the other is null. Twice as many kernels would do nothing better.
struct Scores {
    float* narrow;
    double* wide;

    __device__ __forceinline__ double get(i64 place) const { return narrow ? double(narrow[place]) : wide[place]; }
    __device__ __forceinline__ void set(i64 place, double score) const {
        if (narrow) {
            narrow[place] = float(score);
        } else {
            wide[place] = score;
        }
    }
};

constexpr int SIDE = 4;              // rows of x and of y that sixteen lanes hold
constexpr int TILES_OF_A_BLOCK = 4;  // such groups of lanes, in either direction

template <class T>
__global__ void aligned_scores(const T* x, const T* y, const Facts* x_facts, const Facts* y_facts, i64 count, i64 width,
                               int metric, double* out) {
    const i64 row = (i64(blockIdx.x) * blockDim.x + threadIdx.x) / LANES_OF_PAIR;
    if (row >= count) return;
    const double score = score_of_pair(Metric(metric), x, y, width, x_facts, y_facts, row, row);
    if (lane_of_pair() == 0) out[row] = score;
}

// The sums over the lanes of 16 numbers: that of number l in lane l, in the order of `sum_of_pair`.
template <class N>
__device__ __forceinline__ N transposed_sum(N (&values)[LANES_OF_PAIR]) {
#pragma unroll
    for (int half = LANES_OF_PAIR / 2; half; half /= 2) {
        const bool upper = threadIdx.x & half;
#pragma unroll
        for (int i = 0; i < half; ++i) {
            const N given = upper ? values[i] : values[i + half];
            const N kept = upper ? values[i + half] : values[i];
            values[i] = kept + __shfl_xor_sync(lanes_of_pair(), given, half);
        }
    }
    return values[0];
}

// The sums of four rows with four, those of rows a and b in lane 4 a + b.
template <class Terms, class T>
__device__ __forceinline__ double sums_of_tile(const T* const (&x)[SIDE], const T* const (&y)[SIDE], i64 width,
                                               const Facts (&x_facts)[SIDE], const Facts (&y_facts)[SIDE],
                                               bool lorentz) {
    double sums[SIDE * SIDE] = {};
    for (i64 k = lane_of_pair(); k < width; k += LANES_OF_PAIR) {
        double right[SIDE];
#pragma unroll
        for (int b = 0; b < SIDE; ++b) right[b] = to_double(y[b][k]) * y_facts[b].power;
#pragma unroll
        for (int a = 0; a < SIDE; ++a) {
            const double left = left_element(x[a], k, x_facts[a].power, lorentz);
#pragma unroll
            for (int b = 0; b < SIDE; ++b) sums[a * SIDE + b] += Terms::of(left, right[b]);
        }
    }
    return transposed_sum(sums);
}

template <class T>
__device__ __forceinline__ double scores_of_tile(Metric metric, const T* const (&x)[SIDE], const T* const (&y)[SIDE],
                                                 i64 width, const Facts (&x_facts)[SIDE],
                                                 const Facts (&y_facts)[SIDE]) {
    double sum;
    if (metric == MANHATTAN) {
        sum = sums_of_tile<AbsoluteDifference>(x, y, width, x_facts, y_facts, false);
    } else if (metric == SQEUCLIDEAN || metric == EUCLIDEAN || metric == POINCARE) {
        sum = sums_of_tile<SquaredDifference>(x, y, width, x_facts, y_facts, false);
    } else {
        sum = sums_of_tile<Product>(x, y, width, x_facts, y_facts, metric == LORENTZ);
    }
    Facts left = x_facts[0], right = y_facts[0];
#pragma unroll
    for (int a = 1; a < SIDE; ++a) {  // an index that is known only then would put them into local memory
        if (lane_of_pair() / SIDE == a) left = x_facts[a];
        if (lane_of_pair() % SIDE == a) right = y_facts[a];
    }
    return score_of_sum(metric, sum, left, right);
}
template <>
__device__ __forceinline__ double scores_of_tile(Metric metric, const u32* const (&x)[SIDE],
                                                 const u32* const (&y)[SIDE], i64 words, const Facts (&)[SIDE],
                                                 const Facts (&)[SIDE]) {
    u64 differing[SIDE * SIDE] = {}, either[SIDE * SIDE] = {};
    for (i64 k = lane_of_pair(); k < words; k += LANES_OF_PAIR) {
#pragma unroll
        for (int pair = 0; pair < SIDE * SIDE; ++pair) {
            const u32 left = x[pair / SIDE][k], right = y[pair % SIDE][k];
            differing[pair] += __popc(left ^ right);
            either[pair] += __popc(left | right);
        }
    }
    const u64 own_differing = transposed_sum(differing), own_either = transposed_sum(either);
    return distance_of_bits(metric, own_differing, own_either);
}

template <class T>
__global__ void __launch_bounds__(256)
    all_scores(const T* x, const T* y, const Facts* x_facts, const Facts* y_facts, i64 rows, i64 columns, i64 width,
               int metric, float* narrow, double* wide) {
    constexpr i64 REACH = SIDE * TILES_OF_A_BLOCK;
    const i64 across = (columns + REACH - 1) / REACH;
    const int group = threadIdx.x / LANES_OF_PAIR;
    const i64 top = (blockIdx.x / across * TILES_OF_A_BLOCK + group / TILES_OF_A_BLOCK) * SIDE;
    const i64 left = (blockIdx.x % across * TILES_OF_A_BLOCK + group % TILES_OF_A_BLOCK) * SIDE;
    if (top >= rows || left >= columns) return;
    const T *own_x[SIDE], *own_y[SIDE];
    Facts own_x_facts[SIDE], own_y_facts[SIDE];
#pragma unroll
    for (int a = 0; a < SIDE; ++a) {  // at the border, the last row stands for those beyond it
        const i64 i = min(top + a, rows - 1), j = min(left + a, columns - 1);
        own_x[a] = x + i * width;
        own_y[a] = y + j * width;
        own_x_facts[a] = facts_of_row(x_facts, i);
        own_y_facts[a] = facts_of_row(y_facts, j);
    }
    const double score = scores_of_tile(Metric(metric), own_x, own_y, width, own_x_facts, own_y_facts);
    const i64 i = top + lane_of_pair() / SIDE, j = left + lane_of_pair() % SIDE;
    if (i < rows && j < columns) Scores{narrow, wide}.set(i * columns + j, score);
}

// Squared distances below this part of |x|^2 + |y|^2 are computed from differences: the squares less twice the product
// would have lost too many digits. What is computed how depends on the two rows alone.
constexpr double CANCELLED = 1.0 / 32.0;

// Turns products into scores, in place. A warp looks at 32 columns of a row, and scores from the rows those pairs that
// lost too many digits, or left the range of the dtype.
template <class T>
__global__ void finish_products(const T* x, const T* y, const Facts* x_facts, const Facts* y_facts, i64 rows,
                                i64 columns, i64 width, int metric, float* narrow, double* wide) {
    const i64 warp = (i64(blockIdx.x) * blockDim.x + threadIdx.x) / 32, across = (columns + 31) / 32;
    const i64 i = warp / across, begin = warp % across * 32, j = begin + lane_of_thread();
    if (i >= rows) return;
    const Scores out{narrow, wide};
    // Products of rows with norms between these, and their sums, stay in the normal range of the dtype.
    const double least = narrow ? 1e-15 : 1e-100, most = narrow ? 1e18 : 1e150;
    bool lost = false;
    if (j < columns) {
        const double value = out.get(i * columns + j);
        if (metric == SQEUCLIDEAN || metric == EUCLIDEAN) {
            const double both = x_facts[i].square + y_facts[j].square, square = fmax(both - 2.0 * value, 0.0);
            lost = both > 0.0 && (square < CANCELLED * both || !(both < most * most) || both < least * least);
            out.set(i * columns + j, metric == SQEUCLIDEAN ? square : narrow ? sqrtf(float(square)) : sqrt(square));
        } else {
            const double x_norm = norm_of(x_facts[i]), y_norm = norm_of(y_facts[j]);
            lost = !(x_norm < most && y_norm < most);
            if (metric == COSINE) {
                const bool zero = x_norm == 0.0 || y_norm == 0.0;
                lost = !zero && (lost || !(x_norm > least && y_norm > least));
                out.set(i * columns + j, zero ? 0.0 : fmin(fmax(value / (x_norm * y_norm), -1.0), 1.0));
            }
        }
    }
    for (u32 left = __ballot_sync(ALL_LANES, lost); left;) {
        // Each half of the warp takes one of the two lowest.
        const int lowest = __ffs(left) - 1, next = __ffs(left & (left - 1)) - 1;
        const int taken = lane_of_thread() < LANES_OF_PAIR ? lowest : next;
        left &= left - 1;
        left &= left - 1;
        if (taken < 0) continue;
        const double score = score_of_pair(Metric(metric), x, y, width, x_facts, y_facts, i, begin + taken);
        if (lane_of_pair() == 0) out.set(i * columns + begin + taken, score);
    }
}
