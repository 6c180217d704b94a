// Exact sums of pairs: 128-bit integers, sums over blocks that meet in two words, and the one division of an AUC.
#pragma once
#include "keys.cuh"

struct Wide128 {
    u64 high, low;
};

__device__ __forceinline__ Wide128 product(u64 a, u64 b) { return {__umul64hi(a, b), a * b}; }
__device__ __forceinline__ Wide128 sum(Wide128 a, Wide128 b) {
    const u64 low = a.low + b.low;
    return {a.high + b.high + (low < a.low), low};
}
__device__ __forceinline__ Wide128 difference(Wide128 a, Wide128 b) {
    return {a.high - b.high - (a.low < b.low), a.low - b.low};
}

// The nearest float64, ties to even.
__device__ __forceinline__ double to_double(Wide128 value) {
    if (!value.high) return double(value.low);
    const int shift = __clzll(i64(value.high));
    u64 top = value.high << shift | (shift ? value.low >> (64 - shift) : 0);
    if (value.low << shift) top |= 1;  // what is cut off only matters where it breaks a tie
    return double(top) * __longlong_as_double(i64(1023 + 64 - shift) << 52);
}

// A sum of u64 as two words that many blocks add to at once: the low halves, and the high halves with their carries.
__device__ __forceinline__ void add_to(u64* words, u64 value) {
    if (u32(value)) atomicAdd(&words[0], u64(u32(value)));
    if (value >> 32) atomicAdd(&words[1], value >> 32);
}
__device__ __forceinline__ Wide128 joined(const u64* words) {
    return sum({0, words[0]}, {words[1] >> 32, words[1] << 32});
}

// The sum over a block, in its first thread.
template <class T>
__device__ __forceinline__ T sum_of_block(T value) {
    __shared__ T sums[32];
    value = sum_of_warp(value);
    __syncthreads();  // of the last call, sums may still be read
    if (lane_of_thread() == 0) sums[warp_of_thread()] = value;
    __syncthreads();
    const int warps = (blockDim.x + 31) / 32;
    if (warp_of_thread() == 0) value = sum_of_warp(lane_of_thread() < warps ? sums[lane_of_thread()] : T(0));
    return value;
}

// The sum of the values of the threads before this one, and of all.
__device__ __forceinline__ u64 sum_before_thread(u64 value, u64& total) {
    __shared__ u64 sums[32];
    u64 upto = value;
    for (int step = 1; step < 32; step *= 2) {
        const u64 lower = __shfl_up_sync(ALL_LANES, upto, step);
        if (lane_of_thread() >= step) upto += lower;
    }
    __syncthreads();  // of the last call, sums may still be read
    if (lane_of_thread() == 31) sums[warp_of_thread()] = upto;
    __syncthreads();
    u64 before = upto - value;
    total = 0;
    for (int warp = 0; warp < int(blockDim.x / 32); ++warp) {
        if (warp < warp_of_thread()) before += sums[warp];
        total += sums[warp];
    }
    return before;
}

// `ranks` is the sum, over the members of one class, of the members of the other that are below and of those that are
// not above: twice the pairs won by the class, ties counted half.
__device__ __forceinline__ double area_of(Wide128 ranks, u64 positives, u64 negatives, bool of_positives) {
    if (!positives || !negatives) return not_a_number();
    const Wide128 pairs = product(positives, negatives), all = sum(pairs, pairs);
    return to_double(of_positives ? ranks : difference(all, ranks)) / to_double(all);
}
