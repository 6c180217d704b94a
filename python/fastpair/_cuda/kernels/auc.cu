// The AUC of long series: rows are split by class into keys, the keys of each class are sorted (by the library), and
// the pairs are counted by going through both.
//
// `split` reads scores and classes once and writes one key a row, O(n). `count_ranks` merges: a block takes the next
// 1024 keys of the smaller class and the stretch of the other among which they lie, O(n). `search_ranks` is for a
// class so small that the other need not be sorted: it looks up each of its keys, O(n log m). All sums are exact.
#include "counts.cuh"

//: split<u8>, split<u16>, split<u32>, split<u64>
//: check_order<u8>, check_order<u16>, check_order<u32>, check_order<u64>
//: count_ranks<u32>, count_ranks<u64>, count_segment_ranks, search_ranks<u32>, search_ranks<u64>
//: areas, segment_areas

constexpr int THREADS = 256, WARPS = THREADS / 32;
constexpr int ROWS_OF_THREAD = 8, ROWS_OF_TILE = THREADS * ROWS_OF_THREAD;

// Inclusive prefix sums of an array in shared memory by one warp, `EACH` places to a lane.
template <int EACH>
__device__ __forceinline__ void add_up_by_warp(u32* counts) {
    const int begin = lane_of_thread() * EACH;
    u32 own = 0;
    for (int i = 0; i < EACH; ++i) own += counts[begin + i];
    u32 before = own;
    for (int step = 1; step < 32; step *= 2) {
        const u32 lower = __shfl_up_sync(ALL_LANES, before, step);
        if (lane_of_thread() >= step) before += lower;
    }
    before -= own;
    for (int i = 0; i < EACH; ++i) before = counts[begin + i] += before;
}

// Splits a tile of a series: positives from the front of `out` on, negatives from its back. Rows of NaN are left out.
// Tiles take the next free place, and `counts` gets the positives and negatives of each series. Where rows must keep
// their order, a first launch without `out` counts those of each tile into `begins`, and a second one finds there
// where they begin.
template <class Word>
__global__ void split(const Word* scores, int kind, const u8* classes, i64 length, i64 tiles, int own_classes,
                      Wide<Word> flip, i64* begins, Wide<Word>* out, u64* counts, u64* first_nan) {
    constexpr int SLOTS = ROWS_OF_THREAD * WARPS;
    __shared__ u32 ends[2][SLOTS];
    __shared__ i64 starts[2];
    const i64 series = blockIdx.x / tiles, tile = blockIdx.x % tiles;
    const i64 base = tile * ROWS_OF_TILE;
    scores += series * length;
    if (own_classes) classes += series * length;
    if (out) out += series * length;
    Wide<Word> keys[ROWS_OF_THREAD];
    u32 positive[ROWS_OF_THREAD], negative[ROWS_OF_THREAD];
    for (int k = 0; k < ROWS_OF_THREAD; ++k) {
        const i64 row = base + k * THREADS + threadIdx.x;
        bool is_positive = false, is_negative = false;
        keys[k] = 0;
        if (row < length) {
            const Word score = scores[row];
            keys[k] = key_of(score, kind) ^ flip;
            is_positive = classes[row] != 0;
            is_negative = !is_positive;
            if (is_nan(score, kind)) {
                report(first_nan, series * length + row);
                is_positive = is_negative = false;
            }
        }
        positive[k] = __ballot_sync(ALL_LANES, is_positive);
        negative[k] = __ballot_sync(ALL_LANES, is_negative);
        if (lane_of_thread() == 0) {
            ends[0][k * WARPS + warp_of_thread()] = __popc(positive[k]);
            ends[1][k * WARPS + warp_of_thread()] = __popc(negative[k]);
        }
    }
    __syncthreads();
    if (warp_of_thread() < 2) add_up_by_warp<SLOTS / 32>(ends[warp_of_thread()]);
    __syncthreads();
    if (threadIdx.x < 2) {
        const u32 total = ends[threadIdx.x][SLOTS - 1];
        const i64 place = 2 * series + threadIdx.x;
        if (begins && out) {
            starts[threadIdx.x] = begins[place * tiles + tile];
        } else {
            const i64 taken = i64(atomicAdd(&counts[place], u64(total)));
            starts[threadIdx.x] = threadIdx.x ? length - taken - total : taken;
        }
        if (!out) begins[place * tiles + tile] = total;
    }
    if (!out) return;
    __syncthreads();
    const u32 lower = (1u << lane_of_thread()) - 1;
    for (int k = 0; k < ROWS_OF_THREAD; ++k) {
        const int slot = k * WARPS + warp_of_thread();
        if (positive[k] >> lane_of_thread() & 1)
            out[starts[0] + (slot ? ends[0][slot - 1] : 0) + __popc(positive[k] & lower)] = keys[k];
        if (negative[k] >> lane_of_thread() & 1)
            out[starts[1] + (slot ? ends[1][slot - 1] : 0) + __popc(negative[k] & lower)] = keys[k];
    }
}

// Reports the first row whose score is below the one before it (above, if `descending`), rows of NaN aside.
template <class Word>
__global__ void check_order(const Word* scores, int kind, i64 count, i64 length, int descending, u64* first_bad) {
    const i64 i = i64(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i >= count || is_nan(scores[i], kind)) return;
    const i64 begin = series_of(i, length) * length;
    i64 before = i - 1;
    while (before >= begin && is_nan(scores[before], kind)) --before;
    if (before < begin) return;
    const Word lower = key_of(scores[before], kind), higher = key_of(scores[i], kind);
    if (descending ? lower < higher : higher < lower) report(first_bad, i);
}

constexpr int QUERIES_OF_THREAD = 4, QUERIES_OF_BLOCK = THREADS * QUERIES_OF_THREAD;
constexpr int STAGED_BYTES = 24 << 10;

// For up to 1024 sorted queries: calls `add(query, r)`, r the number of keys below the query plus those not above it.
template <class Key, class Add>
__device__ __forceinline__ void merge_block(const Key* queries, int count, Key mask, const Key* keys, i64 key_count,
                                            Add add) {
    constexpr int ROOM = STAGED_BYTES / sizeof(Key);
    __shared__ Key staged[ROOM];
    __shared__ i64 range[2];
    if (warp_of_thread() < 2) {
        const bool last = warp_of_thread() == 1;
        const i64 bound = bound_of_warp(keys, key_count, Key(queries[last ? count - 1 : 0] & mask), last);
        if (lane_of_thread() == 0) range[last] = bound;
    }
    __syncthreads();
    const i64 low = range[0], between = range[1] - low;
    const Key* stretch = keys + low;
    if (between <= ROOM) {
        for (int i = threadIdx.x; i < between; i += THREADS) staged[i] = stretch[i];
        stretch = staged;
        __syncthreads();
    }
    const int begin = threadIdx.x * QUERIES_OF_THREAD, end = min(count, begin + QUERIES_OF_THREAD);
    i64 below = 0, upto = 0;  // of the last query
    for (int i = begin; i < end; ++i) {
        const Key query = queries[i] & mask;
        if (i == begin) {
            below = first_not_below(stretch, 0, between, query);
            upto = next_above(stretch, below, between, query);
        } else if (query != Key(queries[i - 1] & mask)) {
            below = next_not_below(stretch, upto, between, query);
            upto = next_above(stretch, below, between, query);
        }
        add(queries[i], u64(2 * low + below + upto));
    }
}

// Adds up, over sorted queries, the keys below each plus those not above it.
template <class Key>
__global__ void count_ranks(const Key* queries, i64 query_count, const Key* keys, i64 key_count, u64* ranks) {
    const i64 base = i64(blockIdx.x) * QUERIES_OF_BLOCK;
    u64 total = 0;
    merge_block(queries + base, int(min(query_count - base, i64(QUERIES_OF_BLOCK))), Key(~Key(0)), keys, key_count,
                [&](Key, u64 both) { total += both; });
    total = sum_of_block(total);
    if (threadIdx.x == 0) add_to(ranks, total);
}

// The same for all segments at once. `keys` are sorted: class, segment and score in bits 63, 32 to 62 and 0 to 31.
// `bounds` has where each segment of the negatives begins, then each of the positives, then the end.
__global__ void count_segment_ranks(const u64* keys, const i64* bounds, i64 segments, u64* ranks) {
    constexpr u64 POSITIVE = 1ull << 63;
    const i64 first = bounds[segments], last = bounds[2 * segments];
    const i64 begin = max(first, i64(blockIdx.x) * QUERIES_OF_BLOCK);
    const i64 end = min(last, (i64(blockIdx.x) + 1) * QUERIES_OF_BLOCK);
    if (begin >= end) return;
    i64 segment = -1;
    u64 total = 0;
    merge_block(keys + begin, int(end - begin), ~POSITIVE, keys, first, [&](u64 query, u64 both) {
        const i64 own = i64((query & ~POSITIVE) >> 32);
        if (own != segment) {
            if (total) add_to(&ranks[2 * segment], total);
            segment = own;
            total = 0;
        }
        total += both - 2 * u64(bounds[own]);
    });
    if (keys[begin] >> 32 == keys[end - 1] >> 32) {  // as for most blocks of long segments: one addition for all
        total = sum_of_block(total);
        if (threadIdx.x == 0) add_to(&ranks[2 * segment], total);
    } else if (total) {
        add_to(&ranks[2 * segment], total);
    }
}

constexpr int PIVOT_BYTES = 32 << 10;

// Adds up the same as `count_ranks` with the roles exchanged: the few keys are sorted, the many queries are not.
template <class Key>
__global__ void search_ranks(const Key* queries, i64 query_count, const Key* keys, i64 key_count, u64* ranks) {
    constexpr int PIVOTS = PIVOT_BYTES / sizeof(Key);
    __shared__ Key pivots[PIVOTS];  // every `step`-th key: the first steps of each search stay on the chip
    const i64 step = (key_count + PIVOTS - 1) / PIVOTS, count = (key_count + step - 1) / step;
    for (i64 i = threadIdx.x; i < count; i += THREADS) pivots[i] = keys[i * step];
    __syncthreads();
    u64 total = 0;
    const i64 stride = i64(gridDim.x) * THREADS;
    for (i64 i = i64(blockIdx.x) * THREADS + threadIdx.x; i < query_count; i += stride) {
        const Key query = queries[i];
        const i64 pivot = first_not_below(pivots, 0, count, query);
        const i64 from = pivot ? (pivot - 1) * step + 1 : 0, to = min(pivot * step, key_count);
        const i64 below = first_not_below(keys, from, to, query);
        total += 2 * u64(key_count) - u64(below) - u64(next_above(keys, below, key_count, query));
    }
    total = sum_of_block(total);
    if (threadIdx.x == 0) add_to(ranks, total);
}

// From ranks to areas. The ranks are of the positives or, `of_smaller`, of the class that has fewer; `exchanged` if
// keys were turned round, so that they tell how often the other class wins.
__global__ void areas(const u64* ranks, const u64* counts, i64 series, i64 length, int of_smaller, int exchanged,
                      int propagate, double* out, u64* undefined) {
    const i64 i = i64(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i >= series) return;
    const u64 positives = counts[2 * i], negatives = counts[2 * i + 1];
    const bool nan = propagate && i64(positives + negatives) < length;
    const bool of_positives = !of_smaller || positives <= negatives;
    const bool wins = of_positives != (exchanged != 0);
    out[i] = nan ? not_a_number() : area_of(joined(&ranks[2 * i]), positives, negatives, wins);
    if (!nan && (!positives || !negatives)) atomicAdd(undefined, 1ull);
}

// `with_nan`, if it is given, marks the segments whose area is NaN for a NaN score.
__global__ void segment_areas(const u64* ranks, const i64* bounds, i64 segments, const u8* with_nan, double* out,
                              double* positives, double* negatives, u64* undefined) {
    const i64 i = i64(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i >= segments) return;
    const i64* upper = bounds + segments;
    const u64 below = u64(bounds[i + 1] - bounds[i]), above = u64(upper[i + 1] - upper[i]);
    const bool nan = with_nan && with_nan[i];
    out[i] = nan ? not_a_number() : area_of(joined(&ranks[2 * i]), above, below, true);
    positives[i] = double(above);
    negatives[i] = double(below);
    if (!nan && (!above || !below)) atomicAdd(undefined, 1ull);
}
