// Weighted AUC: rows in order of segment and score are added up in float64, in one fixed order and without a
// subtraction.
//
// A row adds to its segment what the processor's kernel adds: a positive wins twice the weight of the negatives below
// it and once that of its ties so far, a negative gives the ties before it their half. What stands before a row is a
// scan: tiles of 2048 rows are scanned twice, in between one block joins what they hand on. So are the sums of
// segments, which may reach over many tiles. O(n) beside the sort, 48 bytes a row.
#include "keys.cuh"

//: weigh<u8>, weigh<u16>, weigh<u32>, weigh<u64>
//: put_in_order, scan_tiles, carry_runs, sum_tiles, carry_sums, weighted_areas

constexpr int THREADS = 256, ROWS_OF_THREAD = 8, ROWS_OF_TILE = THREADS * ROWS_OF_THREAD;

// A row as a key that holds segment (if there are several) and score, and as its weight, negative for a positive.
// Rows of NaN weigh nothing and mark their segment in `with_nan`, if it is given. `largest` gets, for the negatives
// and positives of each segment, one more than the exponent of the largest weight; 0 if none has any.
template <class Word>
__global__ void weigh(const Word* scores, int kind, const u8* classes, const u32* codes, const double* weights,
                      i64 count, i64 length, i64 groups, int own_classes, int own_weights, int sorted, int exchanged,
                      int several, u64* keys, double* amounts, u32* largest, u8* with_nan, u64* first_nan) {
    const i64 i = i64(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i >= count) return;
    const i64 series = series_of(i, length), row = i - series * length;
    const u64 segment = series * groups + (codes ? codes[row] : 0);
    double weight = weights[own_weights ? i : row];
    i64 place = i;
    if (is_nan(scores[i], kind)) {
        weight = 0.0;
        report(first_nan, i);
        if (with_nan) with_nan[segment] = 1;
        while (sorted && place > i - row && is_nan(scores[place], kind)) --place;  // stay in the order of the others
    }
    u64 key = key_of(scores[place], kind);
    if (exchanged) key = Wide<Word>(~key);
    const int positive = (classes[own_classes ? i : row] != 0) != (exchanged != 0);
    keys[i] = several ? segment << 32 | key : key;
    amounts[i] = positive ? -weight : weight;
    const u32 exponent = weight > 0.0 ? u32(__double_as_longlong(weight) >> 52) + 1 : 0;
    u32* own = &largest[2 * segment + positive];
    if (*own < exponent) atomicMax(own, exponent);
}

// A power of two that brings weights of a class near 1: no area depends on it, and no product leaves the range of
// float64.
__device__ __forceinline__ double scale_of(u32 largest) {
    const int exponent = 1023 - (largest ? int(largest) - 1 : 0);
    return __longlong_as_double(i64(max(-1000, min(1000, exponent)) + 1023) << 52);
}

__device__ __forceinline__ bool is_positive(double amount) { return __double_as_longlong(amount) < 0; }

// Without `order` the rows are in order.
__global__ void put_in_order(const u64* keys, const double* amounts, const i64* order, i64 count, int several,
                             const u32* largest, u64* sorted_keys, double* sorted_amounts) {
    const i64 i = i64(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i >= count) return;
    const i64 row = order ? order[i] : i;
    const u64 key = keys[row], segment = several ? key >> 32 : 0;
    sorted_keys[i] = key;
    sorted_amounts[i] = amounts[row] * scale_of(largest[2 * segment + is_positive(amounts[row])]);
}

constexpr u64 RUN = 1, SEGMENT = 2;  // what begins at a row or in a stretch of rows

// What a stretch of rows says to the next row: the negatives below the last run of ties, and the ties so far. Of a
// stretch in which a segment begins, only what follows counts.
struct Run {
    double below, negatives, positives;
    u64 begins;

    __device__ static Run of_nothing() { return {0.0, 0.0, 0.0, 0}; }
    __device__ Run then(const Run& next) const {
        if (next.begins & SEGMENT) return next;
        if (next.begins) return {below + negatives + next.below, next.negatives, next.positives, begins | next.begins};
        return {below, negatives + next.negatives, positives + next.positives, begins};
    }
    __device__ Run from_lane_below(int step) const {
        return {__shfl_up_sync(ALL_LANES, below, step), __shfl_up_sync(ALL_LANES, negatives, step),
                __shfl_up_sync(ALL_LANES, positives, step), __shfl_up_sync(ALL_LANES, begins, step)};
    }
};

// The sums of a stretch of rows since the last segment began in it, if one did.
struct Sums {
    double ranks, positives, negatives;
    u64 begins;

    __device__ static Sums of_nothing() { return {0.0, 0.0, 0.0, 0}; }
    __device__ Sums then(const Sums& next) const {
        if (next.begins) return next;
        return {ranks + next.ranks, positives + next.positives, negatives + next.negatives, begins};
    }
    __device__ Sums from_lane_below(int step) const {
        return {__shfl_up_sync(ALL_LANES, ranks, step), __shfl_up_sync(ALL_LANES, positives, step),
                __shfl_up_sync(ALL_LANES, negatives, step), __shfl_up_sync(ALL_LANES, begins, step)};
    }
};

// What stands before the stretch of this thread in the block, and all of the block.
template <class State>
__device__ __forceinline__ State before_thread(State own, State& all) {
    __shared__ State ends[THREADS / 32];
    State upto = own;
    for (int step = 1; step < 32; step *= 2) {
        const State lower = upto.from_lane_below(step);
        if (lane_of_thread() >= step) upto = lower.then(upto);
    }
    __syncthreads();  // of the last call, ends may still be read
    if (lane_of_thread() == 31) ends[warp_of_thread()] = upto;
    __syncthreads();
    State before = upto.from_lane_below(1), warps = State::of_nothing();
    if (lane_of_thread() == 0) before = State::of_nothing();
    all = State::of_nothing();
    for (int warp = 0; warp < THREADS / 32; ++warp) {
        if (warp == warp_of_thread()) warps = all;
        all = all.then(ends[warp]);
    }
    return warps.then(before);
}

// The rows of a thread, and what begins at each.
struct Rows {
    double amounts[ROWS_OF_THREAD];
    u64 keys[ROWS_OF_THREAD + 1];  // the key before the first, and all but the last
    u64 begins[ROWS_OF_THREAD];
    i64 begin;
    int count;

    __device__ __forceinline__ Rows(const u64* all_keys, const double* all_amounts, i64 rows, int several) {
        begin = i64(blockIdx.x) * ROWS_OF_TILE + threadIdx.x * ROWS_OF_THREAD;
        count = int(max(i64(0), min(i64(ROWS_OF_THREAD), rows - begin)));
        keys[0] = count && begin ? all_keys[begin - 1] : 0;
        for (int k = 0; k < ROWS_OF_THREAD; ++k) {
            keys[k + 1] = k < count ? all_keys[begin + k] : 0;
            amounts[k] = k < count ? all_amounts[begin + k] : 0.0;
            const bool segment = begin + k == 0 || (several && keys[k] >> 32 != keys[k + 1] >> 32);
            begins[k] = segment ? RUN | SEGMENT : keys[k] != keys[k + 1] ? RUN : 0;
        }
    }
    __device__ __forceinline__ Run run(int k) const {
        const bool positive = is_positive(amounts[k]);
        return {0.0, positive ? 0.0 : amounts[k], positive ? -amounts[k] : 0.0, begins[k]};
    }
    __device__ __forceinline__ Run all_runs() const {
        Run all = Run::of_nothing();
        for (int k = 0; k < count; ++k) all = all.then(run(k));
        return all;
    }
};

__global__ void scan_tiles(const u64* keys, const double* amounts, i64 count, int several, Run* tiles) {
    const Rows rows(keys, amounts, count, several);
    Run all;
    before_thread(rows.all_runs(), all);
    if (threadIdx.x == 0) tiles[blockIdx.x] = all;
}

// From each tile to what stands before it, by one block.
__global__ void carry_runs(Run* tiles, i64 count) {
    Run before = Run::of_nothing();
    for (i64 base = 0; base < count; base += THREADS) {
        const i64 tile = base + threadIdx.x;
        Run all;
        const Run own = before_thread(tile < count ? tiles[tile] : Run::of_nothing(), all);
        if (tile < count) tiles[tile] = before.then(own);
        before = before.then(all);
    }
}

// Sums of the segments that begin and end in one tile go to `sums`. Of the segment that a tile begins with, `heads`
// has the sums if it ends there (and then begins = 1); `tails` has those of the rest.
__global__ void sum_tiles(const u64* keys, const double* amounts, i64 count, int several, const Run* before,
                          Sums* heads, Sums* tails, Sums* sums) {
    const Rows rows(keys, amounts, count, several);
    __shared__ Sums head;
    if (threadIdx.x == 0) head = Sums::of_nothing();
    Run all_runs;
    Run run = before[blockIdx.x].then(before_thread(rows.all_runs(), all_runs));
    Sums terms[ROWS_OF_THREAD], own = Sums::of_nothing(), all;
    for (int k = 0; k < rows.count; ++k) {
        const Run row = rows.run(k);
        if (row.begins) run = run.then({0.0, 0.0, 0.0, row.begins});
        const double ranks = row.positives * (2.0 * run.below + run.negatives) + row.negatives * run.positives;
        run = run.then({0.0, row.negatives, row.positives, 0});
        terms[k] = {ranks, row.positives, row.negatives, row.begins & SEGMENT};
        own = own.then(terms[k]);
    }
    Sums sum = before_thread(own, all);
    for (int k = 0; k < rows.count; ++k) {
        sum = sum.then(terms[k]);
        const i64 next = rows.begin + k + 1;
        const bool ends = next == count || (several && keys[next] >> 32 != rows.keys[k + 1] >> 32);
        if (!ends) continue;
        if (sum.begins) {
            sums[several ? rows.keys[k + 1] >> 32 : 0] = sum;
        } else {
            head = {sum.ranks, sum.positives, sum.negatives, 1};
        }
    }
    __syncthreads();
    if (threadIdx.x == 0) {
        heads[blockIdx.x] = head;
        tails[blockIdx.x] = all;
    }
}

// Adds the ends of segments to what tiles before have of them, by one block.
__global__ void carry_sums(const u64* keys, i64 count, int several, const Sums* heads, const Sums* tails, Sums* sums) {
    Sums before = Sums::of_nothing();
    for (i64 base = 0; base < count; base += THREADS) {
        const i64 tile = base + threadIdx.x;
        Sums all;
        const Sums own = before.then(before_thread(tile < count ? tails[tile] : Sums::of_nothing(), all));
        if (tile < count && heads[tile].begins) {
            const Sums rest = {heads[tile].ranks, heads[tile].positives, heads[tile].negatives, 0};
            sums[several ? keys[tile * ROWS_OF_TILE] >> 32 : 0] = own.then(rest);
        }
        before = before.then(all);
    }
}

// `exchanged` names the classes as they were before the keys were turned round.
__global__ void weighted_areas(const Sums* sums, const u32* largest, i64 segments, const u8* with_nan, int exchanged,
                               double* out, double* positives, double* negatives, u64* undefined) {
    const i64 i = i64(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i >= segments) return;
    const Sums sum = sums[i];
    const bool nan = with_nan && with_nan[i], both = sum.positives > 0.0 && sum.negatives > 0.0;
    out[i] = not_a_number();
    if (!nan && both) out[i] = max(0.0, min(1.0, sum.ranks / (2.0 * sum.positives * sum.negatives)));
    if (!nan && !both) atomicAdd(undefined, 1ull);
    (exchanged ? negatives : positives)[i] = sum.positives / scale_of(largest[2 * i + 1]);
    (exchanged ? positives : negatives)[i] = sum.negatives / scale_of(largest[2 * i]);
}
