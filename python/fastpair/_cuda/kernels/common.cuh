// What all kernels share: names of numbers, where a warp and a lane are, sums over a warp, numbers of 16 bits.
#pragma once

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned u32;
typedef unsigned long long u64;
typedef long long i64;

#ifndef DYNAMIC_SHARED
#define DYNAMIC_SHARED(name) extern __shared__ __align__(16) unsigned char name[]
#endif

constexpr u32 ALL_LANES = 0xffffffffu;

__device__ __forceinline__ int lane_of_thread() { return threadIdx.x % 32; }
__device__ __forceinline__ int warp_of_thread() { return threadIdx.x / 32; }

__device__ __forceinline__ double infinity() { return __longlong_as_double(0x7ff0000000000000ll); }
__device__ __forceinline__ double not_a_number() { return __longlong_as_double(0x7ff8000000000000ll); }

// The sum over a warp, in every lane, always in the same order.
template <class T>
__device__ __forceinline__ T sum_of_warp(T value) {
    for (int step = 16; step; step /= 2) value += __shfl_xor_sync(ALL_LANES, value, step);
    return value;
}

// float16 and bfloat16 as they lie in memory; no header of CUDA is needed for them.
struct Half {
    u16 bits;
};
struct Bfloat16 {
    u16 bits;
};

__device__ __forceinline__ float to_float(Half value) {
    const u32 magnitude = value.bits & 0x7fffu, sign = u32(value.bits & 0x8000u) << 16;
    // As the bits of a float the number is 2^112 times too small, also if it is subnormal.
    float scaled = __uint_as_float(magnitude << 13) * 5.192296858534828e33f;
    if (magnitude >= 0x7c00u) scaled = __uint_as_float(0x7f800000u | (magnitude & 0x3ffu) << 13);
    return __uint_as_float(__float_as_uint(scaled) | sign);
}
__device__ __forceinline__ float to_float(Bfloat16 value) { return __uint_as_float(u32(value.bits) << 16); }

// The value of an element of any dtype in float64, exactly but for 64-bit integers.
template <class T>
__device__ __forceinline__ double to_double(T value) {
    return double(value);
}
template <>
__device__ __forceinline__ double to_double(Half value) {
    return double(to_float(value));
}
template <>
__device__ __forceinline__ double to_double(Bfloat16 value) {
    return double(to_float(value));
}
