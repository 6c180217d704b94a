// What a pair costs, as a function of how far the negative stands above the positive: x = (s_j - s_i + shift) /
// temperature.
//
// A formula gives its value and its derivative with `at`, and with `slope` the derivative alone, which may cost less.
#pragma once
#include "common.cuh"

struct Terms {
    double value, slope;
};

// log(1 + e^x).
struct Logistic {
    __device__ static Terms at(double x) {
        const double small = exp(-fabs(x)), inverse = 1.0 / (1.0 + small);
        return {(x > 0.0 ? x : 0.0) + log1p(small), x >= 0.0 ? inverse : small * inverse};
    }
    __device__ static double slope(double x) {
        const double small = exp(-fabs(x));
        return (x >= 0.0 ? 1.0 : small) / (1.0 + small);
    }
};

// 1 / (1 + e^-x).
struct Sigmoid {
    __device__ static Terms at(double x) {
        const double small = exp(-fabs(x)), inverse = 1.0 / (1.0 + small), lower = small * inverse;
        return {x >= 0.0 ? inverse : lower, lower * inverse};
    }
    __device__ static double slope(double x) { return at(x).slope; }
};

// e^x.
struct Exponential {
    __device__ static Terms at(double x) {
        const double value = exp(x);
        return {value, value};
    }
    __device__ static double slope(double x) { return exp(x); }
};

// max(x, 0), with derivative 0 at the kink.
struct Hinge {
    __device__ static Terms at(double x) { return {x > 0.0 ? x : 0.0, slope(x)}; }
    __device__ static double slope(double x) { return x > 0.0 ? 1.0 : 0.0; }
};

// max(x, 0)^2.
struct SquaredHinge {
    __device__ static Terms at(double x) {
        const double above = x > 0.0 ? x : 0.0;
        return {above * above, above + above};
    }
    __device__ static double slope(double x) { return at(x).slope; }
};

// x^2.
struct Square {
    __device__ static Terms at(double x) { return {x * x, x + x}; }
    __device__ static double slope(double x) { return x + x; }
};

// max(x, 0) + steep max(-x, 0) + (steep - 1) max(x - kink, 0); the one with parameters.
struct Barrier {
    static __device__ Terms at(double x, double steep, double kink) {
        const Terms above = Hinge::at(x), below = Hinge::at(-x), beyond = Hinge::at(x - kink);
        const double rest = steep - 1.0;
        const double outer = rest > 0.0 ? rest * beyond.value : 0.0;
        return {above.value + steep * below.value + outer, above.slope - steep * below.slope + rest * beyond.slope};
    }
};

// e^x for scores of at most 32 bits: the power of two exactly, the rest in float32, together within 3e-7 of the number,
// however small that is.
struct Narrow {
    double wide;
    float value;
};
__device__ __forceinline__ Narrow narrow_exp(double x) {
    const double bits = fmin(fmax(x * 1.4426950408889634, -1022.0), 1023.0), whole = rint(bits);
    const double power = __longlong_as_double((i64(whole) + 1023) << 52);
    double wide = double(exp2f(float(bits - whole))) * power;
    if (x < -708.0) wide = 0.0;
    if (x > 709.0) wide = infinity();
    return {wide, float(wide)};
}

// The same formulas where scores have at most 32 bits: terms in float32, of an argument and for sums in float64.
struct NarrowLogistic {
    __device__ static Terms at(double x) {
        const Narrow small = narrow_exp(-fabs(x));
        const float inverse = 1.0f / (1.0f + small.value);
        const double tail = small.value < 1e-9f ? small.wide : double(log1pf(small.value));
        return {(x > 0.0 ? x : 0.0) + tail, x >= 0.0 ? double(inverse) : small.wide * double(inverse)};
    }
    __device__ static double slope(double x) {
        const Narrow small = narrow_exp(-fabs(x));
        const float inverse = 1.0f / (1.0f + small.value);
        return x >= 0.0 ? double(inverse) : small.wide * double(inverse);
    }
};
struct NarrowSigmoid {
    __device__ static Terms at(double x) {
        const Narrow small = narrow_exp(-fabs(x));
        const double inverse = 1.0f / (1.0f + small.value), lower = small.wide * inverse;
        return {x >= 0.0 ? inverse : lower, lower * inverse};
    }
    __device__ static double slope(double x) { return at(x).slope; }
};
struct NarrowExponential {
    __device__ static Terms at(double x) {
        const double value = narrow_exp(x).wide;
        return {value, value};
    }
    __device__ static double slope(double x) { return narrow_exp(x).wide; }
};

// The options of a formula as kernels take them: x = (difference + shift) * factor.
struct Options {
    double shift, factor, steep, kink;
};

// The argument for a positive of score a and a negative of score b; equal infinities tie.
__device__ __forceinline__ double argument_of(double a, double b, const Options& options) {
    const double x = b - a;
    return (x == x ? x + options.shift : options.shift) * options.factor;
}

template <class Formula>
__device__ __forceinline__ Terms terms_at(double x, const Options&) {
    return Formula::at(x);
}
template <>
__device__ __forceinline__ Terms terms_at<Barrier>(double x, const Options& options) {
    return Barrier::at(x, options.steep, options.kink);
}
template <class Formula>
__device__ __forceinline__ double slope_at(double x, const Options&) {
    return Formula::slope(x);
}
template <>
__device__ __forceinline__ double slope_at<Barrier>(double x, const Options& options) {
    return Barrier::at(x, options.steep, options.kink).slope;
}
