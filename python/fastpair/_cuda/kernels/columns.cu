// Labels become bytes of 0 and 1, weights float64, and what is wrong with either is found on the way: one pass each.
//
// Problems are reported as the first place of each kind (`report`); their texts are the business of the host, which
// looks again where there is one.
#include "keys.cuh"

//: classes<u8>, classes<u16>, classes<u32>, classes<u64>, check_classes
//: first_unlike<u8>, first_unlike<u16>, first_unlike<u32>, first_unlike<u64>
//: check_weights<u8>, check_weights<u16>, check_weights<u32>, check_weights<u64>

// What is known of the labels: bits of `known`.
constexpr u32 HAS_POSITIVE = 1;     // `positive` is the key of a value that labels of this dtype can have
constexpr u32 NEGATIVES_KNOWN = 2;  // the others must be `zero`, or `minus_one` if there is HAS_MINUS_ONE
constexpr u32 HAS_MINUS_ONE = 4;

// Of each series, the spread of the labels that are not positive: the highest key, and the highest complement of one.
template <class Word>
__global__ void classes(const Word* labels, int kind, i64 count, i64 length, u64 positive, u64 zero, u64 minus_one,
                        u32 known, u8* out, u64* spreads, u64* first_bad) {
    const i64 stride = i64(gridDim.x) * blockDim.x;
    for (i64 i = i64(blockIdx.x) * blockDim.x + threadIdx.x; i < count; i += stride) {
        const u64 key = key_of(labels[i], kind);
        const bool is_positive = (known & HAS_POSITIVE) && key == positive && !is_nan(labels[i], kind);
        out[i] = is_positive;
        if (is_positive) continue;
        const i64 series = length == count ? 0 : series_of(i, length);
        const bool is_known = key == zero || ((known & HAS_MINUS_ONE) && key == minus_one);
        if (is_nan(labels[i], kind) || ((known & NEGATIVES_KNOWN) && !is_known)) report(first_bad, series);
        raise_to(&spreads[2 * series], key);
        raise_to(&spreads[2 * series + 1], ~key);
    }
}

// Reports series in which labels that are not positive differ.
__global__ void check_classes(const u64* spreads, i64 series, u64* first_bad) {
    const i64 i = i64(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i >= series) return;
    const u64 highest = spreads[2 * i], complement = spreads[2 * i + 1];
    if ((highest | complement) && highest != ~complement) report(first_bad, i);
}

// The first label whose key is neither of two; a NaN never is.
template <class Word>
__global__ void first_unlike(const Word* labels, int kind, i64 count, u64 one, u64 other, u64* first) {
    const i64 i = i64(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i >= count) return;
    const u64 key = key_of(labels[i], kind);
    if (is_nan(labels[i], kind) || (key != one && key != other)) report(first, i);
}

// Weights must be finite and not negative. Nothing is written without `out`.
template <class Word>
__global__ void check_weights(const Word* weights, int kind, i64 count, double* out, u64* first_bad) {
    const i64 stride = i64(gridDim.x) * blockDim.x;
    for (i64 i = i64(blockIdx.x) * blockDim.x + threadIdx.x; i < count; i += stride) {
        const double weight = number_of(weights[i], kind);
        if (!(weight >= 0.0 && weight < infinity())) report(first_bad, i);
        if (out) out[i] = weight;
    }
}
