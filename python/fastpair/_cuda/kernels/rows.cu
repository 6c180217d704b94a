// Rows as a filter multiplies them, and what each brings to the values of its pairs, to their bounds and to exact
// scores.
//
// Sixteen lanes read a row: once if it is multiplied as it is, twice if it is rounded, the second time from the cache.
// Cost O(n d); memory: the rounded rows, 16 bytes of traits and 16 of facts a row.
#include "bound.cuh"
#include "score.cuh"

//: prepare_rows<Half>, prepare_rows<Bfloat16>, prepare_rows<float>, prepare_rows<double>, prepare_rows<signed char>

// Elements as the filter has them: numbers of 16 bits as they are, floats and doubles in TF32, bytes as float16.
template <class T>
struct Filter {
    typedef T element;
    static constexpr bool rounds = false;
    static __device__ __forceinline__ T of(T value, bool negated) {
        return {u16(value.bits ^ (negated ? 0x8000u : 0u))};
    }
};
template <>
struct Filter<signed char> {
    typedef Half element;
    static constexpr bool rounds = false;
    static __device__ __forceinline__ Half of(signed char value, bool negated) {
        const u32 bits = __float_as_uint(float(negated ? -value : value));
        return {u16(value ? (bits >> 16 & 0x8000u) | ((bits & 0x7fffffffu) - 0x38000000u) >> 13 : 0u)};
    }
};
struct RoundingFilter {
    typedef float element;
    static constexpr bool rounds = true;
};
template <>
struct Filter<float> : RoundingFilter {};
template <>
struct Filter<double> : RoundingFilter {};

// The nearest number of 11 leading bits: rounding here, not in the tensor cores, so that the error can be measured.
__device__ __forceinline__ float to_tf32(double value) {
    const u32 bits = __float_as_uint(float(value));
    return __uint_as_float((bits + 0xfffu + (bits >> 13 & 1u)) & ~0x1fffu);
}

// Rows with a norm beyond this (and, of cosines that cannot be scaled, below the inverse) are left to exact scores.
constexpr double LARGEST_NORM = 0x1p50;

// Row `i` of `count` rows; errors name row `first + i`. With a centre, which only metrics of differences may have, rows
// are moved by it. `filter`, of `padded` columns, may be null where rows are multiplied as they are, or not at all.
template <class T>
__global__ void prepare_rows(const T* rows, i64 count, i64 width, i64 padded, int metric_code, bool second, i64 first,
                             const double* centre, typename Filter<T>::element* filter, Traits* traits, Facts* facts,
                             u64* bad) {
    const i64 row = (i64(blockIdx.x) * blockDim.x + threadIdx.x) / LANES_OF_PAIR;
    if (row >= count) return;
    const Metric metric = Metric(metric_code);
    const T* const elements = rows + row * width;
    double largest = 0.0, sum = 0.0, rest = 0.0;
    bool finite = true;
    Facts own{1.0, 0.0};
    for (i64 k = lane_of_pair(); k < width; k += LANES_OF_PAIR) {
        const double value = to_double(elements[k]), magnitude = fabs(value);
        finite = finite && magnitude < infinity();
        largest = fmax(largest, magnitude);
        own.square += value * value;
        if (metric == MANHATTAN) {
            sum += magnitude;
            rest += fabs(value - double(float(value)));
        }
    }
    finite = __all_sync(lanes_of_pair(), finite);
    largest = largest_of_pair(largest);
    own.square = sum_of_pair(own.square);
    own = facts_of_elements(metric, elements, width, second, largest, own.square);
    if (metric == MANHATTAN) {
        sum = sum_of_pair(sum);
        rest = sum_of_pair(rest);
    }
    bool in_range = finite && (metric != POINCARE || own.square < 1.0);
    if (lane_of_pair() == 0 && !in_range) atomicMin(bad, u64(first + row));

    // What is multiplied: its norm, what rounding took from it, and its sum of squares before that.
    const bool negates = metric == LORENTZ && !second;
    double norm = norm_of(own), moved = own.square;
    if (metric == MANHATTAN) {
        norm = sum;
    } else if constexpr (Filter<T>::rounds) {
        const double power = metric == COSINE ? power_near_one(largest) : 1.0;
        double square = 0.0, whole = 0.0;
        for (i64 k = lane_of_pair(); k < padded; k += LANES_OF_PAIR) {
            double value = k < width ? to_double(elements[k]) * power : 0.0;
            if (centre && k < width) value -= centre[k];
            if (negates && k == 0) value = -value;
            const float near = to_tf32(value);
            if (filter) filter[row * padded + k] = near;
            const double less = value - double(near);
            square += double(near) * double(near);
            rest += less * less;
            whole += value * value;
        }
        norm = sqrt(sum_of_pair(square));
        rest = sqrt(sum_of_pair(rest));
        whole = sum_of_pair(whole);
        if (centre || metric == COSINE) moved = whole;
    } else {
        if (metric == COSINE) moved = norm * norm;
        for (i64 k = lane_of_pair(); filter && k < padded; k += LANES_OF_PAIR)
            filter[row * padded + k] =
                k < width ? Filter<T>::of(elements[k], negates && k == 0) : typename Filter<T>::element{};
    }
    if (lane_of_pair()) return;

    const double smallest = 0x1p-62 * sqrt(double(width));
    Traits result{0.0f, 1.0f, rounded_up(norm + rest + smallest), rounded_up(rest + smallest)};
    if (metric == COSINE) {
        in_range = in_range && (norm == 0.0 || norm >= 1.0 / LARGEST_NORM);
        result.scale = norm > 0.0 ? float(1.0 / sqrt(moved)) : 0.0f;
    } else if (metric == SQEUCLIDEAN || metric == EUCLIDEAN || metric == POINCARE) {
        result.bias = float(-0.5 * moved);
        if (metric == POINCARE) result.scale = float(1.0 / (1.0 - own.square));
    }
    in_range = in_range && result.reach < LARGEST_NORM;
    if (traits) traits[row] = in_range ? result : Traits{0.0f, 1.0f, unbounded(), unbounded()};
    facts[row] = own;
}
