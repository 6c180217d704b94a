// What the kernels of losses over pairs share: a row of similarities and what its columns are to it, sums over a block,
// and where derivatives go. A block takes a row, and goes over it as often as its loss needs; all but the first time it
// comes from the cache. Which thread sees which columns depends on nothing but the length of the row, so that results
// do not depend on how rows are cut into panels.
//
// A kernel takes ROW_PARAMETERS(T) and ROLE_PARAMETERS and makes `ROW(T)` of them. Arrays of a panel (`similarities`,
// `appended`, `low` and `kinds`) begin with its first row, all others with row 0. Without `slopes` no derivative is
// wanted.
#pragma once
#include "common.cuh"
#include "metric.cuh"
#include "roles.cuh"

#define ROW_PARAMETERS(T)                                                                                \
    T *similarities, T *appended, i64 columns, i64 further, i64 first_row, const u8 *kinds, int metric,  \
        const double *x_scales, const double *y_scales, const double *factors, float *low, double *sums, \
        double *values, u8 *valid, double *slopes
#define ROW(T)                                                                                                      \
    Row<T>(similarities, appended, columns, further, first_row, kinds, Metric(metric), x_scales, y_scales, factors, \
           low, sums, values, valid, slopes, ROLES(columns + further))

__device__ __forceinline__ double minus_infinity() { return -infinity(); }

constexpr int MOST_THREADS = 512;

// Sums and the largest of a block, in every thread of it, always in the same order.
template <class Combine>
__device__ __forceinline__ double combined_in_block(double value, double neutral, Combine combine) {
    __shared__ double room[32];
    for (int step = 16; step; step /= 2) value = combine(value, __shfl_xor_sync(ALL_LANES, value, step));
    if (lane_of_thread() == 0) room[warp_of_thread()] = value;
    __syncthreads();
    value = neutral;
    for (int warp = 0; warp < int(blockDim.x) / 32; ++warp) value = combine(value, room[warp]);
    __syncthreads();
    return value;
}
struct Plus {
    __device__ __forceinline__ double operator()(double a, double b) const { return a + b; }
};
struct Larger {
    __device__ __forceinline__ double operator()(double a, double b) const { return b > a ? b : a; }
};
__device__ __forceinline__ double sum_of_block(double value) { return combined_in_block(value, 0.0, Plus()); }
__device__ __forceinline__ double largest_of_block(double value) {
    return combined_in_block(value, minus_infinity(), Larger());
}

__device__ __forceinline__ float exponential(float value) { return expf(value); }
__device__ __forceinline__ double exponential(double value) { return exp(value); }

// log(1 + e^z), and its derivative in `slope`.
template <class T>
__device__ __forceinline__ double softplus(T z, double& slope) {
    const T small = exponential(-(z < 0 ? -z : z));
    slope = double(z > 0 ? T(1) / (1 + small) : small / (1 + small));
    return double((z > 0 ? z : T(0)) + (sizeof(T) == 4 ? T(log1pf(float(small))) : T(log1p(double(small)))));
}

// The largest logit so far and the sum of e^(logit - largest), with exponentials in the precision T. NaN, and the
// difference of two infinities, make the sum NaN.
template <class T>
struct LogSum {
    double most = minus_infinity(), sum = 0.0;

    __device__ __forceinline__ void add(double logit) {
        if (logit > most) {
            sum = sum * exp(most - logit) + (1.0 + (logit - logit));
            most = logit;
        } else if (!(logit == minus_infinity())) {
            sum += double(exponential(T(logit - most)));
        }
    }

    // That of all threads.
    __device__ __forceinline__ void combine() {
        const double own = most;
        most = largest_of_block(own);
        sum = sum_of_block(most == minus_infinity() ? sum : sum * exp(own - most));
    }

    __device__ __forceinline__ double value() const { return most + log(sum); }

    // One over the sum, and the exponential that is a share of it.
    __device__ __forceinline__ double inverse() const { return sum == 0.0 ? 0.0 : 1.0 / sum; }
    __device__ __forceinline__ double exponent(double logit) const {
        return logit == minus_infinity() ? 0.0 : double(exponential(T(logit - most)));
    }
};

// The float that has no more digits than tensor cores read; what it lacks is as exact again.
__device__ __forceinline__ float leading_digits(float value) {
    const u32 bits = __float_as_uint(value);
    return fabsf(value) < 1e38f ? __uint_as_float((bits + 0x1000u) & ~0x1fffu) : value;
}

template <class T>
struct Row {
    i64 columns, all, index;
    T *own, *further;
    const u8* kinds;
    Metric metric;
    const double* scales;
    double scale, factor;
    float* low;
    double *sums, *values;
    u8* valid;
    double* slopes;
    Roles roles;
    RoleRow role;

    __device__ __forceinline__ Row(T* similarities, T* appended, i64 columns, i64 further_columns, i64 first_row,
                                   const u8* kinds, Metric metric, const double* x_scales, const double* y_scales,
                                   const double* factors, float* low, double* sums, double* values, u8* valid,
                                   double* slopes, const Roles& roles)
        : columns(columns),
          all(columns + further_columns),
          index(first_row + blockIdx.x),
          own(similarities + blockIdx.x * columns),
          further(appended + blockIdx.x * further_columns),
          kinds(kinds ? kinds + blockIdx.x * all : nullptr),
          metric(metric),
          scales(y_scales),
          scale(x_scales ? x_scales[index] : 1.0),
          factor(factors ? factors[index] : 1.0),
          low(low ? low + blockIdx.x * columns : nullptr),
          sums(sums),
          values(values),
          valid(valid),
          slopes(slopes),
          roles(roles),
          role(roles.row(index)) {}

    __device__ __forceinline__ bool with_gradient() const { return slopes != nullptr; }

    __device__ __forceinline__ Role role_of(i64 column) const {
        return kinds ? Role(kinds[column]) : roles.of(role, roles.column(column));
    }

    __device__ __forceinline__ double similarity(i64 column) const {
        if (column >= columns) return double(further[column - columns]);
        const double value = double(own[column]);
        return scales ? value * (scale * scales[column]) : value;
    }

    // Puts the derivative by what the similarity was made of in its place, and adds it to `sum`.
    __device__ __forceinline__ void write(i64 column, double slope, double similarity, double& sum) {
        if (column >= columns) {
            further[column - columns] = T(slope);
            return;
        }
        if (scales) slope *= scale * scales[column];
        if (metric == SQEUCLIDEAN) slope *= 2.0;
        if (metric == EUCLIDEAN) slope = similarity == 0.0 ? 0.0 : slope / -similarity;
        sum += slope;
        if (low) {
            const float high = leading_digits(float(slope));
            own[column] = T(high);
            low[column] = float(slope - double(high));
        } else {
            own[column] = T(slope);
        }
    }

    // Writes what the row comes to.
    __device__ __forceinline__ void finish(double value, double first_slope, double second_slope) {
        if (threadIdx.x) return;
        values[index] = value;
        valid[index] = 1;
        if (slopes) slopes[2 * index] = first_slope, slopes[2 * index + 1] = second_slope;
    }

    // Leaves the row out.
    __device__ void skip() {
        double sum = 0.0;
        if (slopes)
            for (i64 column = threadIdx.x; column < all; column += blockDim.x) write(column, 0.0, 0.0, sum);
        finish(0.0, 0.0, 0.0);
        if (threadIdx.x == 0) {
            valid[index] = 0;
            if (sums) sums[index] = 0.0;
        }
    }

    // Keeps the sum of all derivatives of the row.
    __device__ __forceinline__ void keep_sum(double sum) {
        if (!sums) return;
        sum = sum_of_block(sum);
        if (threadIdx.x == 0) sums[index] = sum;
    }
};
