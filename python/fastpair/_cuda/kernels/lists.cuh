// What kernels of ragged lists share: numbers of any dtype, the list of an item, units of work, groups of lanes.
//
// List g holds the items offsets[g] .. offsets[g + 1] of an order in which items of a list are neighbours. No kernel is
// told how long lists are: items find their lists, and long lists are cut into units.
#pragma once
#include "common.cuh"

// The dtypes of `lists.KINDS`, in its order.
enum Kind { DOUBLE, FLOAT, HALF, BFLOAT16, BOOL, INT8, UINT8, INT16, UINT16, INT32, UINT32, INT64, UINT64 };

// An element of a contiguous array of any dtype. The branch is the same for all threads, so that one kernel serves all.
__device__ __forceinline__ double number_at(const void* values, int kind, i64 index) {
    switch (kind) {
        case DOUBLE: return static_cast<const double*>(values)[index];
        case FLOAT: return static_cast<const float*>(values)[index];
        case HALF: return to_double(static_cast<const Half*>(values)[index]);
        case BFLOAT16: return to_double(static_cast<const Bfloat16*>(values)[index]);
        case BOOL: return static_cast<const u8*>(values)[index] != 0;
        case INT8: return static_cast<const signed char*>(values)[index];
        case UINT8: return static_cast<const u8*>(values)[index];
        case INT16: return static_cast<const short*>(values)[index];
        case UINT16: return static_cast<const u16*>(values)[index];
        case INT32: return static_cast<const int*>(values)[index];
        case UINT32: return static_cast<const u32*>(values)[index];
        case INT64: return double(static_cast<const i64*>(values)[index]);
        default: return double(static_cast<const u64*>(values)[index]);
    }
}

// The last list that begins at or before an item: the one that holds it, since empty lists behind it begin later.
__device__ __forceinline__ i64 list_of(const i64* offsets, i64 count, i64 item) {
    i64 low = 0, high = count;  // offsets[low] <= item
    while (high - low > 1) {
        const i64 middle = (low + high) / 2;
        if (offsets[middle] <= item) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return low;
}

// Lists in pieces of up to this many items, each the work of a warp. List g owns the units from unit_of(g) to
// unit_of(g + 1), at least as many as it needs: their number, n / UNIT + count, does not depend on the sizes.
constexpr i64 UNIT = 2048;

__device__ __forceinline__ i64 unit_of(const i64* offsets, i64 list) { return offsets[list] / UNIT + list; }

// The items of a unit, which may be none, and their list.
struct Piece {
    i64 list, begin, end;
};
__device__ __forceinline__ Piece piece_of(const i64* offsets, i64 count, i64 unit) {
    i64 low = 0, high = count;
    while (high - low > 1) {
        const i64 middle = (low + high) / 2;
        if (unit_of(offsets, middle) <= unit) {
            low = middle;
        } else {
            high = middle;
        }
    }
    const i64 begin = offsets[low] + (unit - unit_of(offsets, low)) * UNIT;
    return {low, begin, min(begin + UNIT, offsets[low + 1])};
}

// How many of the sorted numbers of begin .. end are below `bound`, or also those equal to it; NaN are last and above
// all.
__device__ __forceinline__ i64 first_above(const double* sorted, i64 begin, i64 end, double bound, bool also_equal) {
    while (begin < end) {
        const i64 middle = (begin + end) / 2;
        if (sorted[middle] < bound || (also_equal && sorted[middle] == bound)) {
            begin = middle + 1;
        } else {
            end = middle;
        }
    }
    return begin;
}

// Where the NaN of sorted numbers begin.
__device__ __forceinline__ i64 end_of_numbers(const double* sorted, i64 begin, i64 end) {
    while (begin < end) {
        const i64 middle = (begin + end) / 2;
        if (sorted[middle] == sorted[middle]) {
            begin = middle + 1;
        } else {
            end = middle;
        }
    }
    return begin;
}

// a - b, and 0 for equal infinities.
__device__ __forceinline__ double difference(double a, double b) { return a == b ? 0.0 : a - b; }

// The sum over `width` neighbouring lanes, a power of two, in each of them. The whole group must be there.
__device__ __forceinline__ double sum_of_group(double value, int width, u32 group) {
    for (int step = width / 2; step; step /= 2) value += __shfl_xor_sync(group, value, step);
    return value;
}
