// Exact top-k: the k best of each row of x, improved by the columns of a tile.
//
// A block takes one row, or a part of its columns where rows are few. It keeps the columns whose upper end reaches
// the row's threshold, which is never above the k-th best value; scores these exactly; and merges them into the k
// best so far, by score and then by index. Where many reach it, as in the first tiles, the threshold is first raised
// to the k-th largest lower end in the tile. Nothing can overflow: what there is no room for is settled in between.
//
// Cost: one read of the tile; memory: 16 bytes a place, and what a block shares.
#include "collect.cuh"

//: improve_topk<Half>, improve_topk<Bfloat16>, improve_topk<float>, improve_topk<double>
//: improve_topk<signed char>, improve_topk<u32>, begin_topk, join_topk

constexpr int DIGITS = 256;

struct Room {
    Candidates candidates;
    // The candidates once more, best first.
    double keys[CAPACITY];
    i64 indices[CAPACITY];
    u32 histogram[DIGITS];
};

__device__ __forceinline__ bool is_better(double key, i64 index, double other_key, i64 other_index) {
    return key > other_key || (key == other_key && index < other_index);
}

// The best of a row: k places, best first, equal ones by index; unused ones at the end have index -1.
struct Best {
    double* scores;
    i64* indices;
    i64 k;
    bool largest;

    __device__ __forceinline__ double key(i64 place) const { return key_of_score(largest, scores[place]); }

    // How many places are used.
    __device__ i64 used() const {
        i64 begin = 0, end = k;
        if (indices[k - 1] >= 0) return k;
        while (begin < end) {
            const i64 middle = begin + (end - begin) / 2;
            if (indices[middle] >= 0) {
                begin = middle + 1;
            } else {
                end = middle;
            }
        }
        return begin;
    }

    // How many of the first `count` places are not worse.
    __device__ i64 places_before(i64 count, double key, i64 index) const {
        i64 begin = 0;
        while (begin < count) {
            const i64 middle = begin + (count - begin) / 2;
            if (is_better(key, index, this->key(middle), indices[middle])) {
                count = middle;
            } else {
                begin = middle + 1;
            }
        }
        return begin;
    }

    // Merges `found` scored candidates, for all threads of a block.
    __device__ void enter(Room& room, int found) const {
        Candidates& own = room.candidates;
        const i64 held = used();
        for (int i = threadIdx.x; i < found; i += blockDim.x) {
            const double key = own.keys[i];
            const i64 index = own.indices[i];
            int rank = 0;
            for (int j = 0; j < found; ++j) rank += is_better(own.keys[j], own.indices[j], key, index);
            room.keys[rank] = key;
            room.indices[rank] = index;
            own.columns[rank] = u32(min(rank + places_before(held, key, index), k));
        }
        __syncthreads();
        if (!found || own.columns[0] >= k) return;
        // Those behind the first newcomer move back, from the last on, so that none is overwritten before it was read.
        const i64 first = own.columns[0];
        for (i64 end = held; end > first; end -= blockDim.x) {
            const i64 place = end - 1 - threadIdx.x;
            double score = 0.0;
            i64 index = 0, target = k;
            if (place >= first) {
                score = scores[place];
                index = indices[place];
                const double key = key_of_score(largest, score);
                int begin = 0, count = found;
                while (begin < count) {
                    const int middle = (begin + count) / 2;
                    if (is_better(room.keys[middle], room.indices[middle], key, index)) {
                        begin = middle + 1;
                    } else {
                        count = middle;
                    }
                }
                target = place + begin;
            }
            __syncthreads();
            if (target < k) {
                scores[target] = score;
                indices[target] = index;
            }
        }
        __syncthreads();
        for (int i = threadIdx.x; i < found; i += blockDim.x) {
            const i64 place = own.columns[i];
            if (place >= k) continue;
            scores[place] = key_of_score(largest, room.keys[i]);
            indices[place] = room.indices[i];
        }
        __syncthreads();
    }
};

// Marks the columns that count and reach the threshold: the sums of all others become not a number. Returns how many
// are beyond the ceiling, of those of this thread.
template <class T>
__device__ i64 mark(const Pairs<T>& pairs, float* sums, i64 begin, i64 end, float threshold, float ceiling) {
    i64 beyond = 0;
    for (i64 column = begin + threadIdx.x; column < end; column += blockDim.x) {
        const float sum = sums[column];
        const Interval interval = pairs.interval(sum, column);
        bool kept = interval.high >= threshold && pairs.admitted(column);
        if (kept && interval.low > ceiling) {
            kept = false;
            ++beyond;
        }
        sums[column] = kept ? (isnan(sum) ? unbounded() : sum) : float(not_a_number());
    }
    return beyond;
}

// The k-th largest lower end of the columns that are marked, digit by digit; negative infinity if there are fewer.
template <class T>
__device__ float kth_lower_end(const Pairs<T>& pairs, const float* sums, i64 begin, i64 end, float ceiling, i64 k,
                               u32* histogram) {
    u32 prefix = 0;
    for (int shift = 24; shift >= 0; shift -= 8) {
        for (int digit = threadIdx.x; digit < DIGITS; digit += blockDim.x) histogram[digit] = 0;
        __syncthreads();
        for (i64 column = begin + threadIdx.x; column < end; column += blockDim.x) {
            const float sum = sums[column];
            if (isnan(sum)) continue;
            const Interval interval = pairs.interval(sum, column);
            // What may be beyond the ceiling perhaps does not count: then it must not raise the threshold.
            const u32 bits = __float_as_uint(interval.high > ceiling ? -unbounded() : interval.low);
            const u32 sortable = bits ^ (bits >> 31 ? 0xffffffffu : 0x80000000u);
            if (shift == 24 || sortable >> (shift + 8) == prefix >> (shift + 8))
                atomicAdd(&histogram[sortable >> shift & (DIGITS - 1)], 1u);
        }
        __syncthreads();
        int digit = DIGITS - 1;
        for (; digit >= 0 && k > i64(histogram[digit]); --digit) k -= histogram[digit];
        if (digit < 0) return -unbounded();
        prefix |= u32(digit) << shift;
        __syncthreads();
    }
    return __uint_as_float(prefix ^ (prefix >> 31 ? 0x80000000u : 0xffffffffu));
}

// What a block does to the best of its row.
template <class T>
struct Improvement {
    const Pairs<T>& pairs;
    const Best best;
    Room& room;
    const double least, most;
    float threshold;
    i64 beyond;

    // Scores and merges what was collected, and raises the threshold. All threads know how much that is.
    __device__ void settle(int count) {
        beyond += score_candidates(pairs, count, least, most, room.candidates);
        __syncthreads();
        best.enter(room, room.candidates.scored);
        if (best.indices[best.k - 1] >= 0) threshold = fmaxf(threshold, pairs.floor(best.key(best.k - 1)));
        __syncthreads();
        if (threadIdx.x == 0) room.candidates.seen = room.candidates.scored = 0;
        __syncthreads();
    }

    __device__ void run(float* sums, i64 begin, i64 end) {
        const float ceiling = pairs.ceiling(pairs.key(pairs.largest ? most : least));
        if (threadIdx.x == 0) room.candidates.seen = room.candidates.scored = 0;
        __syncthreads();
        bool marked = false;
        for (i64 first = begin, step = end - begin; first < end;) {
            const i64 certain =
                collect(pairs, sums, first, min(first + step, end), threshold, ceiling, marked, room.candidates);
            __syncthreads();
            const int seen = room.candidates.seen;
            __syncthreads();
            if (!marked && (seen > CAPACITY || seen > 2 * best.k + 64)) {
                // Many: once more, by parts, with a higher threshold.
                beyond += mark(pairs, sums, begin, end, threshold, ceiling);
                threshold = fmaxf(threshold, kth_lower_end(pairs, sums, begin, end, ceiling, best.k, room.histogram));
                if (threadIdx.x == 0) room.candidates.seen = 0;
                __syncthreads();
                marked = true;
                step = CHUNK;
                continue;
            }
            beyond += certain;
            first += step;
            if (seen > (first < end ? CAPACITY - CHUNK : 0)) settle(seen);
        }
    }
};

// Block (i, part) improves state `part` of row i of the block of rows: states of a part follow each other for all
// `rows`.
template <class T>
__global__ void __launch_bounds__(128) improve_topk(float* sums, i64 columns, PAIR_PARAMETERS(T), i64 rows, i64 k,
                                                    double* scores, i64* indices, float* thresholds, u64* above) {
    __shared__ Room room;
    const i64 i = blockIdx.x;
    const Pairs<T> pairs = PAIRS(T, i);
    const i64 state = blockIdx.y * rows + pairs.row, step = (columns + gridDim.y - 1) / gridDim.y;
    const i64 begin = min(columns, blockIdx.y * step), end = min(columns, begin + step);
    Improvement<T> improvement{pairs,
                               {scores + state * k, indices + state * k, k, largest},
                               room,
                               least_score(*rules, pairs.row),
                               most_score(*rules, pairs.row),
                               thresholds[state],
                               0};
    improvement.run(sums + i * columns, begin, end);
    if (above && improvement.beyond) atomicAdd(&above[pairs.row], u64(improvement.beyond));
    if (threadIdx.x == 0) thresholds[state] = improvement.threshold;
}

// The threshold that each row begins with, from its limits and from what was found before, for all parts.
__global__ void begin_topk(i64 rows, i64 parts, int metric_code, bool largest, const Rules* rules, i64 k,
                           const double* scores, const i64* indices, float* thresholds) {
    const i64 state = i64(blockIdx.x) * blockDim.x + threadIdx.x;
    if (state >= rows * parts) return;
    const Metric metric = Metric(metric_code);
    const i64 row = state % rows, last = row * k + k - 1;
    const double limit = largest ? least_score(*rules, row) : most_score(*rules, row);
    float threshold = floor_of_key(metric, largest, key_of_score(largest, limit));
    if (indices[last] >= 0)
        threshold = fmaxf(threshold, floor_of_key(metric, largest, key_of_score(largest, scores[last])));
    thresholds[state] = threshold;
}

// Merges the states of all parts of a row into the best of the row.
__global__ void __launch_bounds__(128) join_topk(i64 rows, i64 parts, bool largest, i64 k, const double* part_scores,
                                                 const i64* part_indices, double* scores, i64* indices) {
    __shared__ Room room;
    const i64 row = blockIdx.x;
    const Best best{scores + row * k, indices + row * k, k, largest};
    for (i64 base = 0; base < parts * k; base += CAPACITY) {
        if (threadIdx.x == 0) room.candidates.scored = 0;
        __syncthreads();
        for (i64 i = base + threadIdx.x; i < min(base + CAPACITY, parts * k); i += blockDim.x) {
            const i64 place = (i / k * rows + row) * k + i % k;
            if (part_indices[place] < 0) continue;
            const int own = atomicAdd(&room.candidates.scored, 1);
            room.candidates.keys[own] = key_of_score(largest, part_scores[place]);
            room.candidates.indices[own] = part_indices[place];
        }
        __syncthreads();
        best.enter(room, room.candidates.scored);
        __syncthreads();
    }
}
