// What a filter cannot rule out: a block looks through the sums of one row of x with some rows of y, notes the
// columns whose interval reaches a threshold and that are admitted, and scores them exactly.
#pragma once
#include "admit.cuh"
#include "bound.cuh"
#include "score.cuh"

// What kernels that do so take among their parameters, for a block of rows of x and the rows of y of a tile.
#define PAIR_PARAMETERS(T)                                                                                            \
    const T *x, const T *y, const Facts *x_facts, const Facts *y_facts, const Traits *x_traits,                       \
        const Traits *y_traits, i64 width, int metric, bool largest, float factor, const Rules *rules, i64 first_row, \
        i64 first_column
#define PAIRS(T, i)                                                                                                \
    Pairs<T> {                                                                                                     \
        x + (i) * width, y, facts_of_row(x_facts, i), y_facts, x_traits ? x_traits[i] : Traits{}, y_traits, width, \
            Metric(metric), largest, factor, *rules, first_row + (i), first_column                                 \
    }

// A row of x, and the rows of y of a tile.
template <class T>
struct Pairs {
    const T *x, *y;
    Facts x_facts;
    const Facts* y_facts;
    Traits x_traits;
    const Traits* y_traits;
    i64 width;
    Metric metric;
    bool largest;
    float factor;
    const Rules& rules;
    i64 row, first_column;

    __device__ __forceinline__ Interval interval(float sum, i64 column) const {
        const Traits other = y_traits ? y_traits[column] : Traits{};
        return interval_of_pair(metric, is_negated(metric, largest), factor, sum, x_traits, other);
    }
    __device__ __forceinline__ bool admitted(i64 column) const { return admits(rules, row, first_column + column); }
    // For all 16 lanes of a pair.
    __device__ __forceinline__ double score(i64 column) const {
        return score_of_rows(metric, x, y + column * width, width, x_facts, facts_of_row(y_facts, column));
    }
    __device__ __forceinline__ double key(double score) const { return key_of_score(largest, score); }
    __device__ __forceinline__ float floor(double key) const { return floor_of_key(metric, largest, key); }
    __device__ __forceinline__ float ceiling(double key) const { return ceiling_of_key(metric, largest, key); }
};

constexpr int CAPACITY = 512;        // candidates that a block has room for
constexpr int CHUNK = CAPACITY / 2;  // columns that are looked at together where more may come

struct Candidates {
    int seen;  // may be more than there is room for
    int scored;
    u32 columns[CAPACITY];
    double keys[CAPACITY];
    i64 indices[CAPACITY];
};

// Notes the columns from `begin` to `end` whose values may be `threshold` or more and are not beyond `ceiling`.
// Returns how many of this thread's are beyond it for sure. With `marked`, sums tell who is admitted: others are not
// a number.
template <class T>
__device__ i64 collect(const Pairs<T>& pairs, const float* sums, i64 begin, i64 end, float threshold, float ceiling,
                       bool marked, Candidates& room) {
    i64 beyond = 0;
    for (i64 base = begin; base < end; base += blockDim.x) {
        const i64 column = base + threadIdx.x;
        bool kept = false;
        if (column < end) {
            const float sum = sums[column];
            const Interval interval = pairs.interval(sum, column);
            kept = interval.high >= threshold && (marked ? !isnan(sum) : pairs.admitted(column));
            if (kept && interval.low > ceiling) {
                kept = false;
                ++beyond;
            }
        }
        const u32 votes = __ballot_sync(ALL_LANES, kept);
        if (!votes) continue;
        int place = 0;
        if (lane_of_thread() == 0) place = atomicAdd(&room.seen, __popc(votes));
        place = __shfl_sync(ALL_LANES, place, 0) + __popc(votes & ((1u << lane_of_thread()) - 1));
        if (kept && place < CAPACITY) room.columns[place] = u32(column);
    }
    return beyond;
}

// Scores the columns noted. Keys and indices of those within the limits come to the front, in any order. Returns how
// many are better than the limits allow, of those that this thread entered.
template <class T>
__device__ i64 score_candidates(const Pairs<T>& pairs, int count, double least, double most, Candidates& room) {
    i64 beyond = 0;
    for (int i = threadIdx.x / LANES_OF_PAIR; i < count; i += blockDim.x / LANES_OF_PAIR) {
        const i64 column = room.columns[i];
        const double score = pairs.score(column);
        if (lane_of_pair()) continue;
        // What is not a number is never within limits.
        if (score >= least && score <= most) {
            const int place = atomicAdd(&room.scored, 1);
            room.keys[place] = pairs.key(score);
            room.indices[place] = pairs.rules.offset + pairs.first_column + column;
        } else if (pairs.largest ? score > most : score < least) {
            ++beyond;
        }
    }
    return beyond;
}
