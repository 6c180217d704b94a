// Values of a few rows of x with all rows of y, from their exact scores: for so few, reading y takes longer than
// float64.
//
// Sixteen lanes read a row of y, once, for all rows of x. Cost: one read of y; memory: 16 bytes a row of y for its
// facts.
#include "score.cuh"

//: exact_values<Half>, exact_values<Bfloat16>, exact_values<float>, exact_values<double>, exact_values<signed char>

constexpr int FEW = 4;  // rows of x

// The sums of a row of y with some rows of x, in each of the 16 lanes.
template <class Terms, class T>
__device__ __forceinline__ void sums_of_few(const T* x, const Facts* x_facts, int rows, const T* y, i64 width,
                                            bool lorentz, double (&sums)[FEW]) {
    double powers[FEW];
    const T* left[FEW];
#pragma unroll
    for (int i = 0; i < FEW; ++i) {
        left[i] = x + min(i, rows - 1) * width;
        powers[i] = x_facts[min(i, rows - 1)].power;
        sums[i] = 0.0;
    }
    for (i64 k = lane_of_pair(); k < width; k += LANES_OF_PAIR) {
        const double right = to_double(y[k]);
#pragma unroll
        for (int i = 0; i < FEW; ++i) {
            if (i < rows) sums[i] += Terms::of(left_element(left[i], k, powers[i], lorentz), right);
        }
    }
#pragma unroll
    for (int i = 0; i < FEW; ++i) sums[i] = sum_of_pair(sums[i]);
}

// Value (i, j) of `out`, for rows of x that are prepared and for rows of y, whose facts are made here. Errors name
// row `first + j`.
template <class T>
__global__ void exact_values(const T* x, const Facts* x_facts, int rows, const T* y, i64 columns, i64 width,
                             int metric_code, i64 first, Facts* y_facts, float* out, u64* bad) {
    const i64 column = (i64(blockIdx.x) * blockDim.x + threadIdx.x) / LANES_OF_PAIR;
    if (column >= columns) return;
    const Metric metric = Metric(metric_code);
    const T* const own = y + column * width;
    double largest = 0.0, square = 0.0, sums[FEW];
    bool finite = true;
    for (i64 k = lane_of_pair(); k < width; k += LANES_OF_PAIR) {
        const double value = to_double(own[k]), magnitude = fabs(value);
        finite = finite && magnitude < infinity();
        largest = fmax(largest, magnitude);
        square += value * value;
    }
    finite = __all_sync(lanes_of_pair(), finite);
    const Facts facts = facts_of_elements(metric, own, width, true, largest_of_pair(largest), sum_of_pair(square));
    if (metric == MANHATTAN) {
        sums_of_few<AbsoluteDifference>(x, x_facts, rows, own, width, false, sums);
    } else if (metric == SQEUCLIDEAN || metric == EUCLIDEAN || metric == POINCARE) {
        sums_of_few<SquaredDifference>(x, x_facts, rows, own, width, false, sums);
    } else {
        sums_of_few<Product>(x, x_facts, rows, own, width, metric == LORENTZ, sums);
    }
    double sum = sums[0];
#pragma unroll
    for (int i = 1; i < FEW; ++i) sum = lane_of_pair() == i ? sums[i] : sum;
    const int row = lane_of_pair();
    if (row == 0) {
        y_facts[column] = facts;
        if (!finite || (metric == POINCARE && facts.square >= 1.0)) atomicMin(bad, u64(first + column));
    }
    if (row >= rows) return;
    const double score = score_of_sum(metric, sum, x_facts[row], facts);
    // A row that has to be scaled is left to exact scores.
    out[row * columns + column] = facts.power == 1.0 ? float(value_of_score(metric, score)) : float(not_a_number());
}
