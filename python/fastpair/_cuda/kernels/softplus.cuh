// The logistic functions, and how weights multiply.
#pragma once
#include "common.cuh"

// log(1 + e^x) differentiated LEVEL times, up to twice.
template <int LEVEL>
__device__ __forceinline__ double softplus(double x) {
    const double small = exp(-fabs(x)), inverse = 1.0 / (1.0 + small);
    if (LEVEL == 0) return (x >= 0 ? x : 0.0) + log1p(small);
    if (LEVEL == 1) return x >= 0 ? inverse : small * inverse;
    return small * inverse * inverse;
}

// b - a; equal infinities tie.
__device__ __forceinline__ double difference(double b, double a) {
    const double x = b - a;
    return x == x ? x : 0.0;
}

// weight * value; weight 0 takes no part, whatever the value.
__device__ __forceinline__ double weighted(double weight, double value) { return weight == 0 ? 0.0 : weight * value; }
