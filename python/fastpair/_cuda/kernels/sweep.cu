// Hinges over all pairs: for each query the moments of the places below it, in a sorted table of places.
//
// The state of a place is the number and the first and second moments, about it, of all places up to it: sums of
// positive terms that move along, so nothing cancels, however large the scores. A query finds its place and moves on to
// itself.
#include "softplus.cuh"
#include "sums.cuh"

//: moment_totals, moment_carry, moments, below<false>, below<true>

// `sum w`, `sum w y` and `sum w y^2` at distances y >= 0 from a place, which is NaN where there is nothing.
struct Moments {
    double count, first, second, place;

    static __device__ __forceinline__ Moments none() { return {0, 0, 0, not_a_number()}; }

    __device__ __forceinline__ Moments moved_to(double other) const {
        const double distance = other - place;
        if (count == 0) return {0, 0, 0, other};
        return {count, first + distance * count, second + distance * (2 * first + distance * count), other};
    }
    __device__ __forceinline__ Moments then(Moments right) const {
        if (place != place) return right;
        if (right.place != right.place) return *this;
        const Moments left = moved_to(right.place);
        return {left.count + right.count, left.first + right.first, left.second + right.second, right.place};
    }
};

struct LoadPlace {
    const double *places, *weights;
    __device__ __forceinline__ Moments operator()(i64 at) const {
        return {weights ? weights[at] : 1.0, 0, 0, places[at]};
    }
};

struct StoreMoments {
    double *counts, *firsts, *seconds;
    __device__ __forceinline__ void operator()(i64 at, Moments moments) const {
        counts[at] = moments.count;
        if (firsts) firsts[at] = moments.first;
        if (seconds) seconds[at] = moments.second;
    }
};

__global__ void moment_totals(const double* places, const double* weights, i64 count, double* totals) {
    total_of_chunk(LoadPlace{places, weights}, count, reinterpret_cast<Moments*>(totals));
}
__global__ void moment_carry(double* totals, i64 chunks) {
    carry_over_chunks(reinterpret_cast<Moments*>(totals), chunks);
}
__global__ void moments(const double* places, const double* weights, i64 count, const double* carried, double* counts,
                        double* firsts, double* seconds) {
    run_through_chunk(LoadPlace{places, weights}, count, reinterpret_cast<const Moments*>(carried),
                      StoreMoments{counts, firsts, seconds});
}

// For each query (times `sign`) the hinge, or its square, over the places strictly below it: weighted values of
// SUM_THREADS queries go to `totals`, derivatives to `slopes`; either may be null. Values need one moment more.
template <bool SQUARED>
__global__ void below(const double* queries, i64 rows, double sign, const double* weights, const double* places,
                      i64 count, const double* counts, const double* firsts, const double* seconds, double temperature,
                      double* totals, double* slopes) {
    __shared__ double room[SUM_THREADS / 32];
    const i64 row = i64(blockIdx.x) * SUM_THREADS + threadIdx.x;
    double value = 0;
    if (row < rows) {
        const double query = sign * queries[row];
        i64 low = 0, high = count;
        while (low < high) {
            const i64 middle = low + (high - low) / 2;
            if (places[middle] < query)
                low = middle + 1;
            else
                high = middle;
        }
        double slope = 0;
        if (low > 0) {
            const i64 at = low - 1;
            const Moments own =
                Moments{counts[at], firsts ? firsts[at] : 0.0, seconds ? seconds[at] : 0.0, places[at]}.moved_to(query);
            slope = SQUARED ? 2 * own.first / temperature : own.count;
            value = SQUARED ? own.second / (temperature * temperature) : own.first / temperature;
        }
        if (slopes) slopes[row] = slope;
        if (weights) value = weighted(weights[row], value);
    }
    if (!totals) return;
    const double total = sum_of_block(value, room);
    if (threadIdx.x == 0) totals[blockIdx.x] = total;
}
