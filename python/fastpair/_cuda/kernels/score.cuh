// Scores as they are defined: in float64, in one order of summation that depends on nothing but the row's length, with
// the bits of the kernels for processors (but for the last ones of the logarithms of hyperbolic metrics).
//
// Sixteen lanes, half a warp, work on a pair. Element k of a row goes to lane k % 16; in a lane, terms are added one
// after the other, each rounded by itself; then the lanes are added in a tree, 8 and 8, 4 and 4, 2 and 2, 1 and 1.
// Additions commute, so after a butterfly of exchanges every lane has the bits of the tree's root.
//
// Rows are contiguous, of one element type on both sides: Half, Bfloat16, float, double, signed char, or u32 for words
// of packed bits (`_cuda/score.py` makes them of any dtype). What a row brings by itself is computed once, in `Facts`.
#pragma once
#include "metric.cuh"

constexpr int LANES_OF_PAIR = 16;

// The power of two that a row is multiplied by, for cosines: it changes no bit of the result but keeps huge and tiny
// rows within range; 1 for other metrics. And the sum of squares of the row after that.
struct Facts {
    double power, square;
};
__device__ __forceinline__ double norm_of(Facts facts) { return sqrt(facts.square) / facts.power; }

// Which of the 16 lanes of a pair this is, and the mask of them all.
__device__ __forceinline__ int lane_of_pair() { return threadIdx.x % LANES_OF_PAIR; }
__device__ __forceinline__ u32 lanes_of_pair() { return 0xffffu << (threadIdx.x & LANES_OF_PAIR); }

template <class T>
__device__ __forceinline__ T sum_of_pair(T value) {
    for (int step = LANES_OF_PAIR / 2; step; step /= 2) value += __shfl_xor_sync(lanes_of_pair(), value, step);
    return value;
}

template <class T>
__device__ __forceinline__ T largest_of_pair(T value) {
    for (int step = LANES_OF_PAIR / 2; step; step /= 2)
        value = fmax(value, __shfl_xor_sync(lanes_of_pair(), value, step));
    return value;
}

// What is summed over the elements of two rows.
struct Product {
    static __device__ __forceinline__ double of(double x, double y) { return x * y; }
};
struct SquaredDifference {
    static __device__ __forceinline__ double of(double x, double y) { return (x - y) * (x - y); }
};
struct AbsoluteDifference {
    static __device__ __forceinline__ double of(double x, double y) { return fabs(x - y); }
};

// Element k of a row of x as its terms need it: scaled, and for Lorentz products with the first one negated.
template <class T>
__device__ __forceinline__ double left_element(const T* row, i64 k, double power, bool lorentz) {
    const double value = to_double(row[k]) * power;
    return lorentz && k == 0 ? -value : value;
}

// The sum over the elements of two rows, in each of the 16 lanes of a pair.
template <class Terms, class T>
__device__ __forceinline__ double sum_of_terms(const T* x, const T* y, i64 width, double x_power, double y_power,
                                               bool lorentz = false) {
    double sum = 0.0;
    for (i64 k = lane_of_pair(); k < width; k += LANES_OF_PAIR)
        sum += Terms::of(left_element(x, k, x_power, lorentz), to_double(y[k]) * y_power);
    return sum_of_pair(sum);
}

// The power of two that brings the largest magnitude of a row near 1, if it is not 0.
__device__ __forceinline__ double power_near_one(double largest) {
    // 2^(1023 - e) for the biased exponent e, within the range of normal numbers.
    const int exponent = 1023 - int(u64(__double_as_longlong(largest)) >> 52);
    const int bounded = exponent < -1022 ? -1022 : exponent > 1000 ? 1000 : exponent;
    return largest > 0.0 ? __longlong_as_double(i64(bounded + 1023) << 52) : 1.0;
}

// The facts of a row with this largest magnitude and sum of squares. Rows of the second side of a cosine stay as they
// are if their squares lose nothing that matters.
template <class T>
__device__ __forceinline__ Facts facts_of_elements(Metric metric, const T* elements, i64 width, bool second,
                                                   double largest, double square) {
    if (metric != COSINE || (second && square >= 1e-200 && square < 1e200)) return {1.0, square};
    const double power = power_near_one(largest);
    return {power, sum_of_terms<Product>(elements, elements, width, power, power)};
}

// The score that follows from the sum over the elements: of products, of squared or of absolute differences.
__device__ __forceinline__ double score_of_sum(Metric metric, double sum, Facts x, Facts y) {
    switch (metric) {
        case COSINE: {
            const double norms = sqrt(x.square) * sqrt(y.square);
            // Adding 0 makes a negative one positive: both are the same score.
            return norms > 0.0 ? fmin(fmax(sum / norms, -1.0), 1.0) + 0.0 : 0.0;
        }
        case EUCLIDEAN: return sqrt(sum);
        case POINCARE: return 2.0 * area_sinh(sqrt(sum / ((1.0 - x.square) * (1.0 - y.square))));
        case LORENTZ: return area_cosh(fmax(-sum, 1.0));
        default: return sum;
    }
}

// The distance of two rows that differ in `differing` of the `either` bits that one of them has.
__device__ __forceinline__ double distance_of_bits(Metric metric, u64 differing, u64 either) {
    if (metric == HAMMING) return double(differing);
    return either ? double(differing) / double(either) : 0.0;
}

// The score of a row of x and a row of y. All 16 lanes of the pair call it with the same arguments and get it.
template <class T>
__device__ __noinline__ double score_of_rows(Metric metric, const T* x, const T* y, i64 width, Facts x_facts,
                                             Facts y_facts) {
    double sum;
    if (metric == MANHATTAN) {
        sum = sum_of_terms<AbsoluteDifference>(x, y, width, 1.0, 1.0);
    } else if (metric == SQEUCLIDEAN || metric == EUCLIDEAN || metric == POINCARE) {
        sum = sum_of_terms<SquaredDifference>(x, y, width, 1.0, 1.0);
    } else {
        sum = sum_of_terms<Product>(x, y, width, x_facts.power, y_facts.power, metric == LORENTZ);
    }
    return score_of_sum(metric, sum, x_facts, y_facts);
}
template <>
__device__ __noinline__ double score_of_rows(Metric metric, const u32* x, const u32* y, i64 words, Facts, Facts) {
    u64 differing = 0, either = 0;
    for (i64 k = lane_of_pair(); k < words; k += LANES_OF_PAIR) {
        differing += __popc(x[k] ^ y[k]);
        either += __popc(x[k] | y[k]);
    }
    return distance_of_bits(metric, sum_of_pair(differing), sum_of_pair(either));
}

// The facts of a row; those of bits are null.
__device__ __forceinline__ Facts facts_of_row(const Facts* facts, i64 row) {
    return facts ? facts[row] : Facts{1.0, 0.0};
}

// The score of rows i and j of two matrices, for all 16 lanes of a pair.
template <class T>
__device__ __forceinline__ double score_of_pair(Metric metric, const T* x, const T* y, i64 width, const Facts* x_facts,
                                                const Facts* y_facts, i64 i, i64 j) {
    return score_of_rows(metric, x + i * width, y + j * width, width, facts_of_row(x_facts, i),
                         facts_of_row(y_facts, j));
}
