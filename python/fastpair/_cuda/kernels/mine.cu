// Mining pairs in tiles: what the positives of each row are measured by, and which pairs lie in a band.
//
// Ties go to the lowest column; a score that is no number is nowhere. What is found of a row in one tile goes on in the
// tile to its right, so nothing depends on tiles.
//
// * extremes: the nearest or farthest pair of each result, scored where their values tie within their errors. A block
//   for each row, which reads the tile twice, from the cache.
// * sums, references: of the positives of a row, in ascending order, all of which are scored. A warp for each row.
// * band_bits: which pairs lie in the band, as packed bits. A warp for 256 pairs of a row.
//
// Cost: each reads the tile, once for each result of a row. Memory: registers, and what is written.
//
//: extremes<Half>, extremes<Bfloat16>, extremes<float>, extremes<double>, extremes<signed char>, extremes<u32>
//: sums<Half>, sums<Bfloat16>, sums<float>, sums<double>, sums<signed char>, sums<u32>
//: references<Half>, references<Bfloat16>, references<float>, references<double>, references<signed char>
//: references<u32>
//: band_bits<Half>, band_bits<Bfloat16>, band_bits<float>, band_bits<double>, band_bits<signed char>, band_bits<u32>
#include "mine.cuh"
#include "packing.cuh"

struct Found {
    double key;
    i64 column;  // -1: none

    // Whether this comes before another: a column that is nearer, or farther, or the first of equal ones.
    __device__ __forceinline__ bool beats(const Found& other, bool nearest) const {
        if (column < 0 || other.column < 0) return column >= 0;
        if (key == other.key) return column < other.column;
        return nearest ? key > other.key : key < other.key;
    }
};

// The best of a block, in every thread.
__device__ __forceinline__ Found best_of_block(Found best, bool nearest) {
    __shared__ Found bests[32];
    for (int step = 16; step; step /= 2) {
        const Found other{__shfl_xor_sync(ALL_LANES, best.key, step), __shfl_xor_sync(ALL_LANES, best.column, step)};
        if (other.beats(best, nearest)) best = other;
    }
    __syncthreads();
    if (lane_of_thread() == 0) bests[warp_of_thread()] = best;
    __syncthreads();
    for (int warp = 0; warp < int(blockDim.x) / 32; ++warp)
        if (bests[warp].beats(best, nearest)) best = bests[warp];
    return best;
}

__device__ __forceinline__ float largest_of_block(float value) {
    __shared__ float largest[32];
    for (int step = 16; step; step /= 2) value = fmaxf(value, __shfl_xor_sync(ALL_LANES, value, step));
    __syncthreads();
    if (lane_of_thread() == 0) largest[warp_of_thread()] = value;
    __syncthreads();
    for (int warp = 0; warp < int(blockDim.x) / 32; ++warp) value = fmaxf(value, largest[warp]);
    return value;
}

// The first of two pairs in a vote for the lower half of a warp, and the second, if there is one, for the upper half.
__device__ __forceinline__ int pair_of_half(u32 votes) {
    const u32 others = votes & (votes - 1);
    return __ffs(lane_of_thread() < LANES_OF_PAIR || !others ? votes : others) - 1;
}
__device__ __forceinline__ u32 without_two(u32 votes) {
    votes &= votes - 1;
    return votes & (votes - 1);
}

// The nearest or farthest pair of a role in each band, and its score, beside what was found before.
template <class T>
__global__ void extremes(ROLE_PARAMETERS, TILE_PARAMETERS(T), BAND_PARAMETERS, int role, bool nearest, i64* columns,
                         double* found) {
    const i64 i = blockIdx.x, row = first_row + i - begin;
    const Line<T> line = LINE(T, i);
    const Band band = BAND;
    const bool largest = line.largest();
    const i64 end = band.first_result(row + 1);
    for (i64 result = band.first_result(row); result < end; ++result) {
        const Limits limits = band.of(result, line.metric);
        Found best{columns[result] < 0 ? 0.0 : key_of_score(largest, found[result]), columns[result]};
        const i64 before = best.column;
        // What is wanted has the largest value, negated if it is the farthest; one of at least `least` exists for sure.
        float least = -unbounded();
        if (before >= 0) {
            const double value = value_of_key(line.metric, largest, best.key);
            least = nearest ? __double2float_rd(value) : -__double2float_ru(value);
        }
        for (i64 j = threadIdx.x; j < tile_columns; j += blockDim.x) {
            const Interval pair = line.interval(j);
            const float sure = nearest ? pair.low : -pair.high;
            if (sure > least && limits.surely_hold(pair) && line.has(role, j)) least = sure;
        }
        least = largest_of_block(least);
        for (i64 base = 32 * warp_of_thread(); base < tile_columns; base += blockDim.x) {
            const i64 j = base + lane_of_thread();
            bool hopeful = false;
            if (j < tile_columns) {
                const Interval pair = line.interval(j);
                hopeful = (nearest ? pair.high : -pair.low) >= least && limits.may_hold(pair) && line.has(role, j);
            }
            for (u32 left = __ballot_sync(ALL_LANES, hopeful); left; left = without_two(left)) {
                const i64 column = base + pair_of_half(left);
                const Found pair{line.key(column), first_column + column};
                if (limits.hold(pair.key) && pair.beats(best, nearest)) best = pair;
            }
        }
        best = best_of_block(best, nearest);
        if (threadIdx.x == 0 && best.column != before) {
            columns[result] = best.column;
            found[result] = key_of_score(largest, best.key);
        }
    }
}

// Adds the closenesses of the positives of each row, one after the other, and counts them.
template <class T>
__global__ void sums(ROLE_PARAMETERS, TILE_PARAMETERS(T), double* totals, i64* counts) {
    const i64 i = (i64(blockIdx.x) * blockDim.x + threadIdx.x) / 32, row = first_row + i - begin;
    if (i >= tile_rows) return;
    const Line<T> line = LINE(T, i);
    double total = totals[row];
    i64 count = counts[row];
    for (i64 base = 0; base < tile_columns; base += 32) {
        const bool positive = line.has(POSITIVE, base + lane_of_thread());
        for (u32 left = __ballot_sync(ALL_LANES, positive); left; left = without_two(left)) {
            const double key = line.key(base + pair_of_half(left));
            const bool two = left & (left - 1);
            const double second = __shfl_sync(ALL_LANES, key, LANES_OF_PAIR);
            total += __shfl_sync(ALL_LANES, key, 0);
            if (two) total += second;
            count += 1 + two;
        }
    }
    if (lane_of_thread() == 0) totals[row] = total, counts[row] = count;
}

// Lists the closenesses of the positives of each row from `offsets` on; `counts` says how many were before this tile.
template <class T>
__global__ void references(ROLE_PARAMETERS, TILE_PARAMETERS(T), const i64* offsets, i64* counts, double* keys) {
    const i64 i = (i64(blockIdx.x) * blockDim.x + threadIdx.x) / 32, row = first_row + i - begin;
    if (i >= tile_rows) return;
    const Line<T> line = LINE(T, i);
    i64 place = offsets[row] + counts[row];
    for (i64 base = 0; base < tile_columns; base += 32) {
        const bool positive = line.has(POSITIVE, base + lane_of_thread());
        for (u32 left = __ballot_sync(ALL_LANES, positive); left; left = without_two(left)) {
            const double key = line.key(base + pair_of_half(left));
            const bool two = left & (left - 1), upper = lane_of_thread() >= LANES_OF_PAIR;
            const i64 own = place + upper;
            if (lane_of_pair() == 0 && (two || !upper) && own < offsets[row + 1]) keys[own] = key;
            place += 1 + two;
        }
    }
    if (lane_of_thread() == 0) counts[row] = place - offsets[row];
}

constexpr int STEPS = 8;  // of 32 pairs, which a warp looks at together

// Writes which pairs of a role lie in each band.
template <class T>
__global__ void band_bits(ROLE_PARAMETERS, TILE_PARAMETERS(T), BAND_PARAMETERS, int role, u8* kept) {
    const i64 pieces = (tile_columns + 32 * STEPS - 1) / (32 * STEPS);
    const i64 warp = (i64(blockIdx.x) * blockDim.x + threadIdx.x) / 32, i = warp / pieces;
    const i64 base = warp % pieces * 32 * STEPS, row = first_row + i - begin, stride = (all_columns + 7) / 8;
    if (i >= tile_rows) return;
    const Line<T> line = LINE(T, i);
    const Band band = BAND;
    const int lane = lane_of_thread();
    Interval pairs[STEPS];
    u32 among = 0;
#pragma unroll 1
    for (int step = 0; step < STEPS; ++step) among |= u32(line.has(role, base + 32 * step + lane)) << step;
#pragma unroll
    for (int step = 0; step < STEPS; ++step) {
        if (among >> step & 1) pairs[step] = line.interval(base + 32 * step + lane);
    }
    const i64 end = band.first_result(row + 1);
    for (i64 result = band.first_result(row); result < end; ++result) {
        const Limits limits = band.of(result, line.metric);
        u32 word = 0, open = 0;  // of lane `step`
#pragma unroll
        for (int step = 0; step < STEPS; ++step) {
            const bool own = among >> step & 1, sure = own && limits.surely_hold(pairs[step]);
            const u32 inside = __ballot_sync(ALL_LANES, sure);
            const u32 unsure = __ballot_sync(ALL_LANES, own && !sure && limits.may_hold(pairs[step]));
            if (lane == step) word = inside, open = unsure;
        }
        for (u32 steps = __ballot_sync(ALL_LANES, open != 0); steps; steps &= steps - 1) {
            const int step = __ffs(steps) - 1;
            for (u32 left = __shfl_sync(ALL_LANES, open, step); left; left = without_two(left)) {
                const int pair = pair_of_half(left);
                const bool inside = limits.hold(line.key(base + 32 * step + pair));
                const u32 found = inside ? 1u << pair : 0;
                const u32 both = __shfl_sync(ALL_LANES, found, 0) | __shfl_sync(ALL_LANES, found, LANES_OF_PAIR);
                if (lane == step) word |= both;
            }
        }
        write_words(kept + result * stride, (first_column + base) / 8, (first_column + tile_columns + 7) / 8,
                    packed_word(word), STEPS);
    }
}
