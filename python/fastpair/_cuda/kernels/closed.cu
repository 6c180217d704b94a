// Sums over all pairs that separate: squares and exponentials. O(n) time; no memory but the result's.
#include "softplus.cuh"
#include "sums.cuh"

//: mean_terms, square_terms, square_total, square_slopes, exp_terms, exp_total, exp_slopes

constexpr int TERMS_EACH = 16;  // elements of a thread

// Adds up term(i) over this block's elements.
template <class Term>
__device__ void sum_terms(Term term, i64 count, double* totals) {
    __shared__ double room[SUM_THREADS / 32];
    const i64 begin = i64(blockIdx.x) * SUM_THREADS * TERMS_EACH + threadIdx.x;
    double sum = 0;
    for (int each = 0; each < TERMS_EACH; ++each) {
        const i64 at = begin + each * SUM_THREADS;
        if (at < count) sum += term(at);
    }
    const double total = sum_of_block(sum, room);
    if (threadIdx.x == 0) totals[blockIdx.x] = total;
}

struct MeanTerm {
    const double *scores, *weights;
    double origin, mass;
    __device__ __forceinline__ double operator()(i64 at) const {
        return (weights ? weights[at] : 1.0) * ((scores[at] / 4 - origin) / mass);
    }
};
struct SquareTerm {
    const double *scores, *weights;
    double origin, mean;
    __device__ __forceinline__ double operator()(i64 at) const {
        const double away = scores[at] / 4 - origin - mean;
        return (weights ? weights[at] : 1.0) * (away * away);
    }
};
struct ExpTerm {
    const double *scores, *weights;
    double most, factor;
    __device__ __forceinline__ double operator()(i64 at) const {
        const double weight = weights ? weights[at] : 1.0;
        return weight == 0 ? 0.0 : weight * exp((scores[at] - most) * factor);
    }
};

// The weighted mean of scores / 4 - origin; 0 if nothing weighs.
__global__ void mean_terms(const double* scores, const double* weights, i64 count, double origin, const double* mass,
                           double* totals) {
    sum_terms(MeanTerm{scores, weights, origin, *mass == 0 ? infinity() : *mass}, count, totals);
}
// The weighted squares about that mean.
__global__ void square_terms(const double* scores, const double* weights, i64 count, double origin, const double* mean,
                             double* totals) {
    sum_terms(SquareTerm{scores, weights, origin, *mean}, count, totals);
}
// Each side as mass, mean and squares about it; shift and temperature in quarters, as the scores.
__global__ void square_total(const double* upper_mass, const double* upper_mean, const double* upper_squares,
                             const double* lower_mass, const double* lower_mean, const double* lower_squares,
                             double shift, double temperature, double* total) {
    const double mean = *lower_mean - *upper_mean + shift;
    *total = (*upper_mass * *lower_mass * mean * mean + *upper_mass * *lower_squares + *lower_mass * *upper_squares) /
             (temperature * temperature);
}
// `sign` is 1 for lower rows, -1 for upper ones.
__global__ void square_slopes(const double* scores, i64 count, double origin, double sign, const double* other_mass,
                              const double* other_mean, double shift, double temperature, double* slopes) {
    const i64 at = i64(blockIdx.x) * SUM_THREADS + threadIdx.x;
    if (at >= count) return;
    const double away = sign * (scores[at] / 4 - origin - *other_mean) + shift;
    slopes[at] = 2 * *other_mass * away / temperature;
}

// The mass of a side: sum of w e^(factor s) as `sum * e^(factor most)`.
__global__ void exp_terms(const double* scores, const double* weights, i64 count, const double* most, double factor,
                          double* totals) {
    sum_terms(ExpTerm{scores, weights, *most, factor}, count, totals);
}

constexpr double SAFE = 600;  // exponents whose exponentials, times a sum, stay finite

__device__ __forceinline__ double exp_times(double exponent, double mass) {
    if (mass == 0) return 0.0;
    return fabs(exponent) < SAFE ? exp(exponent) * mass : exp(exponent + log(mass));
}
// One difference of scores each time, so that scores far from 0 cost no digits.
__global__ void exp_total(const double* upper_most, const double* upper_sum, const double* lower_most,
                          const double* lower_sum, double temperature, double* total) {
    *total = exp_times((*lower_most - *upper_most) / temperature, *upper_sum * *lower_sum);
}
__global__ void exp_slopes(const double* scores, i64 count, const double* most, const double* sum, double factor,
                           double* slopes) {
    const i64 at = i64(blockIdx.x) * SUM_THREADS + threadIdx.x;
    if (at < count) slopes[at] = exp_times((scores[at] - *most) * factor, *sum);
}
