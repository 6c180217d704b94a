// The metrics: their codes, and how a score and the value of a pair in a tile follow from each other.
//
// A tile holds, for each pair, a sum and what its rows add: a value that grows as the rows come nearer. With the dot
// product p = x.y and the squares |x|^2, |y|^2 the values are p (dot), p / (|x| |y|) (cosine), p - (|x|^2 + |y|^2) / 2
// (Euclidean), minus the distance (Manhattan, bits), that of Euclidean over (1 - |x|^2) (1 - |y|^2) (Poincare), and
// the product with x_0 negated (Lorentz). The maps are monotone and do not depend on the rows.
#pragma once
#include "common.cuh"

enum Metric { DOT, COSINE, SQEUCLIDEAN, EUCLIDEAN, MANHATTAN, POINCARE, LORENTZ, HAMMING, JACCARD };

// Whether small scores mean near.
__device__ __forceinline__ bool is_distance(Metric metric) { return metric > COSINE; }

// Whether rows are packed bits.
__device__ __forceinline__ bool is_of_bits(Metric metric) { return metric >= HAMMING; }

// Written out, so that processors and devices go the same way and differ by the last bits of logarithms only.
__device__ __noinline__ double area_sinh(double value) {
    const double magnitude = fabs(value), inverse = 1.0 / magnitude;
    return copysign(log1p(magnitude + magnitude / (hypot(1.0, inverse) + inverse)), value);
}
__device__ __noinline__ double area_cosh(double value) {
    return value < 1.0 ? not_a_number() : log(value + sqrt(value - 1.0) * sqrt(value + 1.0));
}

// The value in a tile of a pair with this score, in exact arithmetic.
__device__ __noinline__ double value_of_score(Metric metric, double score) {
    switch (metric) {
        case DOT:
        case COSINE: return score;
        case SQEUCLIDEAN: return -0.5 * score;
        case EUCLIDEAN: return -0.5 * score * score;
        case POINCARE: {
            const double half = sinh(0.5 * score);
            return -0.5 * (half * half);
        }
        case LORENTZ: return -cosh(score);
        default: return -score;
    }
}

// The score of a pair with this value, as exact as the value is.
__device__ __noinline__ double score_of_value(Metric metric, double value) {
    switch (metric) {
        case DOT: return value;
        case COSINE: return fmin(fmax(value, -1.0), 1.0);
        case SQEUCLIDEAN: return fmax(-2.0 * value, 0.0);
        case EUCLIDEAN: return sqrt(fmax(-2.0 * value, 0.0));
        case POINCARE: return 2.0 * area_sinh(sqrt(fmax(-2.0 * value, 0.0)));
        case LORENTZ: return area_cosh(fmax(-value, 1.0));
        default: return -value;
    }
}

// A number that is larger for better scores; gives the score when applied again.
__device__ __forceinline__ double key_of_score(bool largest, double score) { return largest ? score : -score; }
