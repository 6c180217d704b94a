// Rows of many short series, or of groups: keys that hold class, segment and score, so that one sort serves them all. A
// segment is a series, or a group of a series.
//
// Scores of 64 bits do not fit beside the rest. They are replaced by their ranks among the distinct scores of the call,
// which takes another sort.
#include "keys.cuh"

//: segment_keys<u8>, segment_keys<u16>, segment_keys<u32>, segment_bounds, score_keys, mark_runs, place_ranks

constexpr u64 POSITIVE = 1ull << 63;

// Bit 63: the class; bits 32 to 62: the segment; bits 0 to 31: the score. Rows of NaN get the highest key and mark
// their segment in `with_nan`, if it is given.
template <class Word>
__global__ void segment_keys(const Word* scores, int kind, const u8* classes, const u32* codes, i64 count, i64 length,
                             i64 groups, int own_classes, u64* out, u8* with_nan, u64* first_nan) {
    const i64 i = i64(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i >= count) return;
    const i64 series = series_of(i, length), row = i - series * length;
    const u64 segment = series * groups + (codes ? codes[row] : 0);
    const Word score = scores[i];
    u64 key = segment << 32 | key_of(score, kind);
    if (classes[own_classes ? i : row]) key |= POSITIVE;
    if (is_nan(score, kind)) {
        key = ~0ull;
        report(first_nan, i);
        if (with_nan) with_nan[segment] = 1;
    }
    out[i] = key;
}

// Where each segment of the negatives begins among sorted keys, then each of the positives, then the end.
__global__ void segment_bounds(const u64* keys, i64 count, i64 segments, i64* bounds) {
    const i64 i = i64(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i > 2 * segments) return;
    const u64 key = i < segments ? u64(i) << 32 : POSITIVE | u64(i - segments) << 32;
    bounds[i] = first_not_below(keys, 0, count, key);
}

// Keys of 64 bits; NaN gets the highest, which no other float has.
__global__ void score_keys(const u64* scores, int kind, i64 count, u64* out) {
    const i64 i = i64(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i < count) out[i] = is_nan(scores[i], kind) ? ~0ull : key_of(scores[i], kind);
}

// 1 where a key differs from the one before it in sorted order: the sum up to a place is the rank there.
__global__ void mark_runs(const u64* keys, const i64* order, i64 count, u32* marks) {
    const i64 i = i64(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i < count) marks[i] = i > 0 && keys[order[i]] != keys[order[i - 1]];
}

__global__ void place_ranks(const u64* keys, const i64* order, const u32* ranks, i64 count, int kind, u32* out) {
    const i64 i = i64(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i >= count) return;
    const i64 row = order[i];
    out[row] = kind == FLOAT && keys[row] == ~0ull ? NO_RANK : ranks[i];
}
