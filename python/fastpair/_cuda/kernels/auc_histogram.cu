// The AUC of scores of at most 16 bits: count each key, then go through the counts in order. No sort, O(n + keys).
//
// Counts of a block lie in shared memory: all 256 keys of 8 bits, in a copy for each warp, or a quarter of the 65,536
// of 16 bits, which takes 128 KiB; four blocks read the same rows then, three times from the cache.
#include "counts.cuh"

//: histogram<u8>, histogram<u16>, join_counts

// `tables` has, for each series, the negatives of each key and then the positives. Before them there are
// `rows_before` rows of other series.
template <class Word>
__global__ void histogram(const Word* scores, int kind, const u8* classes, i64 length, i64 chunks, i64 chunk,
                          i64 rows_before, int own_classes, u64* tables, u64* first_nan) {
    constexpr int KEYS = 1 << 8 * sizeof(Word), SPAN = KEYS == 256 ? KEYS : 16384, PARTS = KEYS / SPAN;
    constexpr int COPIES = KEYS == 256 ? 8 : 1;
    DYNAMIC_SHARED(memory);  // 8 * SPAN * COPIES bytes
    u32* counts = reinterpret_cast<u32*>(memory);
    const int low = int(blockIdx.x % PARTS) * SPAN;
    const i64 part = blockIdx.x / PARTS, series = part / chunks, begin = part % chunks * chunk;
    const i64 end = min(length, begin + chunk);
    for (int i = threadIdx.x; i < 2 * SPAN * COPIES; i += blockDim.x) counts[i] = 0;
    __syncthreads();
    u32* own = counts + warp_of_thread() % COPIES * 2 * SPAN;
    scores += series * length;
    if (own_classes) classes += series * length;
#pragma unroll 4
    for (i64 row = begin + threadIdx.x; row < end; row += blockDim.x) {
        const Word score = scores[row];
        if (is_nan(score, kind)) {
            report(first_nan, rows_before + part / chunks * length + row);
            continue;
        }
        const u32 place = u32(int(key_of(score, kind)) - low);
        if (place < SPAN) atomicAdd(&own[(classes[row] ? SPAN : 0) + place], 1u);
    }
    __syncthreads();
    u64* table = tables + series * 2 * KEYS + low;
    for (int i = threadIdx.x; i < 2 * SPAN; i += blockDim.x) {
        u32 count = 0;
        for (int copy = 0; copy < COPIES; ++copy) count += counts[copy * 2 * SPAN + i];
        if (count) atomicAdd(&table[i < SPAN ? i : KEYS + i - SPAN], u64(count));
    }
}

// For each series, a block: the ranks of the positives among the negatives, and how many there are of either.
__global__ void join_counts(const u64* tables, i64 keys, u64* ranks, u64* counts) {
    const u64* negatives = tables + blockIdx.x * 2 * keys;
    const u64* positives = negatives + keys;
    const i64 each = (keys + blockDim.x - 1) / blockDim.x;
    const i64 begin = min(keys, i64(threadIdx.x) * each), end = min(keys, begin + each);
    u64 own = 0, above = 0, all = 0;
    for (i64 i = begin; i < end; ++i) {
        own += negatives[i];
        above += positives[i];
    }
    u64 below = sum_before_thread(own, all);
    Wide128 twice = {0, 0};
    for (i64 i = begin; i < end; ++i) {
        twice = sum(twice, product(positives[i], 2 * below + negatives[i]));
        below += negatives[i];
    }
    const u64 low = sum_of_block(u64(u32(twice.low))), high = sum_of_block(twice.low >> 32 | twice.high << 32);
    above = sum_of_block(above);
    if (threadIdx.x) return;
    ranks[2 * blockIdx.x] = low;
    ranks[2 * blockIdx.x + 1] = high;
    counts[2 * blockIdx.x] = above;
    counts[2 * blockIdx.x + 1] = all;
}
