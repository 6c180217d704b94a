// Order-preserving unsigned keys of numbers of every dtype, and places among sorted keys.
//
// Elements come as words of 8, 16, 32 or 64 bits and a kind that says what the bits mean, the same for all of an
// array: so four kernels do for thirteen dtypes. A key compares like the number it stands for, and equal numbers (-0
// and 0 among them) have equal keys. Only integer arithmetic is used. The key of a NaN means nothing; `is_nan` tells
// it.
#pragma once
#include "common.cuh"

constexpr int UNSIGNED = 0, SIGNED = 1, FLOAT = 2, BFLOAT = 3, BOOL = 4;  // of bool, what is not zero is true
constexpr int RANK = 5;               // the place of a score among the distinct ones of a call
constexpr u32 NO_RANK = 0xffffffffu;  // of a NaN

template <class Word>
__device__ __forceinline__ Word key_of(Word bits, int kind) {
    constexpr Word top = Word(Word(1) << (8 * sizeof(Word) - 1));
    if (kind == SIGNED) return Word(bits ^ top);
    if (kind == BOOL) return bits != 0;
    if (kind == UNSIGNED || kind == RANK) return bits;
    // Sign and magnitude as a number around the middle of the range, where both zeros meet.
    return Word(bits & top ? top - (bits ^ top) : top + bits);
}

template <class Word>
__device__ __forceinline__ bool is_nan(Word bits, int kind) {
    if (kind == RANK) return bits == Word(NO_RANK);
    if (kind != FLOAT && kind != BFLOAT) return false;
    constexpr u64 infinity = sizeof(Word) == 8 ? 0x7ff0000000000000ull : sizeof(Word) == 4 ? 0x7f800000ull : 0x7c00ull;
    const Word magnitude = Word(Word(bits << 1) >> 1);
    return magnitude > (kind == BFLOAT ? Word(0x7f80) : Word(infinity));
}

// The number in float64, exactly but for 64-bit integers.
__device__ __forceinline__ double float_of(u8) { return 0.0; }  // there are no floats of 8 bits
__device__ __forceinline__ double float_of(u16 bits) { return to_double(Half{bits}); }
__device__ __forceinline__ double float_of(u32 bits) { return __uint_as_float(bits); }
__device__ __forceinline__ double float_of(u64 bits) { return __longlong_as_double(i64(bits)); }
template <class Word>
__device__ __forceinline__ double number_of(Word bits, int kind) {
    constexpr int unused = 64 - 8 * sizeof(Word);
    if (kind == SIGNED) return double(i64(u64(bits) << unused) >> unused);
    if (kind == BOOL) return bits != 0;
    if (kind == BFLOAT) return to_double(Bfloat16{u16(bits)});
    return kind == FLOAT ? float_of(bits) : double(bits);
}

// The keys that are sorted: 32 bits, or 64 for elements of 64.
template <int BYTES>
struct Sortable {
    typedef u32 Key;
};
template <>
struct Sortable<8> {
    typedef u64 Key;
};
template <class T>
using Wide = typename Sortable<sizeof(T)>::Key;

// How many of the sorted keys from `low` to `high` are below `key`, or not above it; counted from 0.
template <class Key>
__device__ __forceinline__ i64 first_not_below(const Key* keys, i64 low, i64 high, Key key) {
    while (low < high) {
        const i64 middle = low + (high - low) / 2;
        if (keys[middle] < key) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}
template <class Key>
__device__ __forceinline__ i64 first_above(const Key* keys, i64 low, i64 high, Key key) {
    while (low < high) {
        const i64 middle = low + (high - low) / 2;
        if (keys[middle] <= key) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

// The same from a place that is near the answer: steps double until they pass it.
template <class Key>
__device__ __forceinline__ i64 next_not_below(const Key* keys, i64 from, i64 count, Key key) {
    i64 step = 1;
    while (from + step <= count && keys[from + step - 1] < key) {
        from += step;
        step *= 2;
    }
    return first_not_below(keys, from, min(from + step - 1, count), key);
}
template <class Key>
__device__ __forceinline__ i64 next_above(const Key* keys, i64 from, i64 count, Key key) {
    i64 step = 1;
    while (from + step <= count && keys[from + step - 1] <= key) {
        from += step;
        step *= 2;
    }
    return first_above(keys, from, min(from + step - 1, count), key);
}

// The same by a whole warp, which looks at 32 places at a time: few waits for memory where nothing is cached.
template <class Key>
__device__ __forceinline__ i64 bound_of_warp(const Key* keys, i64 count, Key key, bool above) {
    i64 low = 0, high = count;
    while (low < high) {
        const i64 step = (high - low + 31) / 32;
        const i64 probe = low + step * (lane_of_thread() + 1) - 1;
        const bool before = probe < high && (keys[probe] < key || (above && keys[probe] == key));
        const int passed = __popc(__ballot_sync(ALL_LANES, before));
        high = min(high, low + step * (passed + 1) - 1);
        low = min(high, low + step * passed);
    }
    return low;
}

// Raises a number in memory, mostly without touching it: an old value that was read costs one more try, nothing else.
__device__ __forceinline__ void raise_to(u64* number, u64 value) {
    if (*number < value) atomicMax(number, value);
}

// Reports the first of several places; memory holds its complement, so that zero is nowhere.
__device__ __forceinline__ void report(u64* first, i64 place) { raise_to(first, ~u64(place)); }

// The series of element `index`, of `length` elements each.
__device__ __forceinline__ i64 series_of(i64 index, i64 length) {
    return u64(index | length) >> 32 ? index / length : i64(u32(index) / u32(length));
}
