// How far the value of a pair in a tile may be from that of its exact score.
//
// A tile holds sums over the elements of two rows: products, or negated distances. The value of a pair is `(sum +
// bias_x + bias_y) scale_x scale_y` (see `metric.cuh`). Let X and Y be two rows in exact arithmetic, moved by the
// same centre or multiplied by powers of two where that is allowed, and x and y what was multiplied, after rounding.
// `rows.cu` measures, in float64 and rounded up, `rest >= |X - x|` and `reach >= |x| + rest`, so reach >= |X|.
//
// 1. Rounding of the rows: `X.Y - x.y = (X - x).Y + x.(Y - y)`, at most `rest_x reach_y + reach_x rest_y`.
// 2. The product: x_k y_k is exact, since 11 leading bits of each are all there are (TF32, float16) or 8 (bfloat16).
//    A tensor core adds P >= 2 products to its sum at a time: it aligns all P + 1 numbers to the largest, cuts each
//    off behind 24 bits or more, adds, and cuts the result off again: at most P + 2 times 2^-23 of the largest, and
//    that is at most `sum |x_k y_k| <= reach_x reach_y` if the errors before are left aside. These are width / P
//    steps, so `(1 + 2 / P) width 2^-23 <= width u` with u = 2^-22. Sums in any other order that round (kernels
//    without tensor cores, parts that are added) stay below that too; 64 more steps are counted for edges, and the
//    errors before make it `n u / (1 - n u)`, n = width + 64: the `factor` below.
// 3. The value: bias, scale and what is made of them are rounded eight times, each by 2^-24 of at most `reach_x
//    reach_y + |bias_x| + |bias_y|`, times the scales. The exact score, its value in float64 and the ends of the
//    interval are rounded, too: less than as much again. Together 2^-20, which `factor` includes.
// 4. Numbers below the normal range may be lost. `rest` is at least `sqrt(width) 2^-62`, and so is `reach`, which
//    makes the first term at least width 2^-123: more than what all products lose (2^-126 each, and the factors as
//    much).
//
// Where rows are few, a tile holds values of exact scores, rounded: the factor is negative then, and there are no
// traits.
//
// Rows whose norms would leave the range have an infinite reach: whatever the tile says, their pairs stay open.
// Manhattan distances are sums of |x_k - y_k| in float32, with rest and reach in the norm of magnitudes: an error of
// `rest_x + rest_y` from rounding rows, and of factor (reach_x + reach_y). Of bits, counts are exact.
#pragma once
#include "metric.cuh"

// What a row brings to the values of its pairs, and to their bounds.
struct Traits {
    float bias, scale, reach, rest;
};

// The least number that is not below the value, with some room: for what was computed in float64 with errors of its
// own.
__device__ __forceinline__ float rounded_up(double value) { return __double2float_ru(value * (1.0 + 0x1p-30)); }

// Numbers between which the value of a pair is; larger is nearer, or farther if negated.
struct Interval {
    float low, high;
};

constexpr float ROUNDINGS_OF_VALUE = 0x1p-20f;
constexpr float LARGEST_FLOAT = 3.402823466e38f;

__device__ __forceinline__ float unbounded() { return __int_as_float(0x7f800000); }

// The value of a pair, as a tile has it.
__device__ __forceinline__ float value_of_sum(Metric metric, float factor, float sum, const Traits& x,
                                              const Traits& y) {
    if (factor < 0.0f || metric == MANHATTAN || is_of_bits(metric)) return sum;
    const float value = (sum + (x.bias + y.bias)) * x.scale * y.scale;
    return metric == LORENTZ ? fminf(value, -1.0f) : value;  // whose products are -1 at most
}

// The bound on its error; not below LARGEST_FLOAT (or not a number) if nothing is known.
__device__ __forceinline__ float error_of_value(Metric metric, float factor, float value, const Traits& x,
                                                const Traits& y) {
    if (factor < 0.0f) return fabsf(value) * 0x1p-21f + 0x1p-140f;
    if (metric == HAMMING && value > -16777216.0f) return 0.0f;
    if (is_of_bits(metric)) return fabsf(value) * 0x1p-21f;
    float error;
    if (metric == MANHATTAN) {
        error = x.rest + y.rest + factor * (x.reach + y.reach);
    } else {
        const float halves = fabsf(x.bias) + fabsf(y.bias);
        error = y.reach * (x.rest + factor * x.reach) + y.rest * x.reach + ROUNDINGS_OF_VALUE * halves;
        error *= x.scale * y.scale;
    }
    return error * 1.0001f;
}

__device__ __forceinline__ Interval interval_of_pair(Metric metric, bool negated, float factor, float sum,
                                                     const Traits& x, const Traits& y) {
    const float value = value_of_sum(metric, factor, sum, x, y);
    const float error = error_of_value(metric, factor, value, x, y);
    if (!(error < LARGEST_FLOAT) || !(fabsf(value) < LARGEST_FLOAT)) return {-unbounded(), unbounded()};
    return negated ? Interval{-value - error, -value + error} : Interval{value - error, value + error};
}

// Whether values of tiles must be negated for the best to have the largest.
__device__ __forceinline__ bool is_negated(Metric metric, bool largest) { return largest == is_distance(metric); }

// The value of a pair of this key, negated if that is so; the keys of a metric and an order are ranked like their
// values. Asked a few times for a row, it is no longer than it has to be.
static __device__ __noinline__ double value_of_key(Metric metric, bool largest, double key) {
    if (isinf(key)) return key;
    // No distance is negative, but a limit may be.
    double score = key_of_score(largest, key);
    if (is_distance(metric)) score = fmax(score, 0.0);
    const double value = value_of_score(metric, score);
    return is_negated(metric, largest) ? -value : value;
}

// A number that no value of this key or a better one is below, and one that none of this key or a worse one is above.
__device__ __forceinline__ float floor_of_key(Metric metric, bool largest, double key) {
    return __double2float_rd(value_of_key(metric, largest, key));
}
__device__ __forceinline__ float ceiling_of_key(Metric metric, bool largest, double key) {
    return __double2float_ru(value_of_key(metric, largest, key));
}
