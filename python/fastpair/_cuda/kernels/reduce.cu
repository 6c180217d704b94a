// Reductions of the scores of all pairs, a tile at a time.
//
// * count_scores, bin_scores: exact counts. The tile tells between which numbers a score is; where a threshold or the
//   edge of a bin is between them, sixteen lanes evaluate it.
// * add_scores, finish_sums: means and log-sum-exps of the scores in a tile, in float64. Lane l of a row adds columns
//   l, l + 256, ... one after the other, and the lanes are added in a tree: how the columns are cut into tiles makes no
//   difference.
//
// Cost: one read of the tile; memory: a count for each row, a histogram for each block, 4 KiB of sums for each row of a
// tile.
#include "collect.cuh"

//: count_scores<Half>, count_scores<Bfloat16>, count_scores<float>, count_scores<double>, count_scores<signed char>
//: count_scores<u32>
//: bin_scores<Half>, bin_scores<Bfloat16>, bin_scores<float>, bin_scores<double>, bin_scores<signed char>
//: bin_scores<u32>
//: add_scores<float>, add_scores<double>, finish_sums

// Calls `settle(column, score)` with the exact score of each column whose lane asks for it, in one of the lanes.
template <class T, class Settle>
__device__ __forceinline__ void score_open_pairs(const Pairs<T>& pairs, bool open, i64 first, Settle settle) {
    for (u32 left = __ballot_sync(ALL_LANES, open); left;) {
        // Each half of the warp takes one of the two lowest.
        const int lowest = __ffs(left) - 1, next = __ffs(left & (left - 1)) - 1;
        const int taken = lane_of_thread() < LANES_OF_PAIR ? lowest : next;
        left &= left - 1;
        left &= left - 1;
        if (taken < 0) continue;
        const double score = pairs.score(first + taken);
        if (lane_of_pair() == 0) settle(first + taken, score);
    }
}

// Adds to the count of each row of the tile how many admitted scores reach its threshold. Block (i, part) takes a part
// of the columns of row i.
template <class T>
__global__ void count_scores(const float* sums, i64 columns, PAIR_PARAMETERS(T), const double* thresholds,
                             u64* counts) {
    const i64 i = blockIdx.x, step = i64(gridDim.y) * blockDim.x;
    const Pairs<T> pairs = PAIRS(T, i);
    const double key = pairs.key(thresholds[pairs.row]);
    const float floor = pairs.floor(key), ceiling = pairs.ceiling(key);
    u32 count = 0;
    for (i64 base = i64(blockIdx.y) * blockDim.x; base < columns; base += step) {
        const i64 column = base + threadIdx.x;
        bool open = false;
        if (column < columns) {
            const Interval interval = pairs.interval(sums[i * columns + column], column);
            if (interval.high >= floor && pairs.admitted(column)) {
                open = interval.low <= ceiling;
                count += !open;
            }
        }
        score_open_pairs(pairs, open, column - lane_of_thread(),
                         [&](i64, double score) { count += pairs.key(score) >= key; });
    }
    count = sum_of_warp(count);
    if (lane_of_thread() == 0 && count) atomicAdd(&counts[pairs.row], u64(count));
}

// Equal bins from `low` to `high`; the last one includes its upper end.
struct Bins {
    double low, high;
    i64 count;

    // The bin of a score; -1 below all, `count` above.
    __device__ __forceinline__ i64 of(double score) const {
        const double at = (score - low) / (high - low) * double(count);
        if (!(at >= 0.0)) return -1;
        if (score > high) return count;
        return at < double(count) ? i64(at) : count - 1;
    }
};

// Adds the admitted scores of a tile to the counts of their bins; with labels of both sides, those of pairs of one
// label to the second half. With `upper`, x is y, and each pair of two rows counts once. A block takes every
// gridDim.x-th row and, of its columns, a part; it counts in shared memory where there is room (`copies` of the bins,
// so that fewer lanes meet), else at once.
template <class T>
__global__ void bin_scores(const float* sums, i64 rows, i64 columns, PAIR_PARAMETERS(T), double low, double high,
                           i64 bins, const i64* x_labels, const i64* y_labels, bool upper, int copies, u64* counts) {
    DYNAMIC_SHARED(room);
    u32* const own = reinterpret_cast<u32*>(room);
    const i64 cells = x_labels ? 2 * bins : bins;
    for (i64 cell = threadIdx.x; cell < cells * copies; cell += blockDim.x) own[cell] = 0;
    __syncthreads();
    const Bins all{low, high, bins};
    for (i64 i = blockIdx.x; i < rows; i += gridDim.x) {
        const Pairs<T> pairs = PAIRS(T, i);
        const auto enter = [&](i64 column, i64 bin) {
            if (bin < 0 || bin >= bins) return;
            if (x_labels && x_labels[pairs.row] == y_labels[first_column + column]) bin += bins;
            if (copies) {
                atomicAdd(&own[bin * copies + threadIdx.x % copies], 1u);
            } else {
                atomicAdd(&counts[bin], u64(1));
            }
        };
        for (i64 base = i64(blockIdx.y) * blockDim.x; base < columns; base += i64(gridDim.y) * blockDim.x) {
            const i64 column = base + threadIdx.x;
            bool open = false;
            if (column < columns && !(upper && first_column + column <= pairs.row) && pairs.admitted(column)) {
                // The score is between those of the ends; what is monotone keeps it there.
                const Interval interval = pairs.interval(sums[i * columns + column], column);
                const i64 one = all.of(score_of_value(pairs.metric, interval.low));
                const i64 other = all.of(score_of_value(pairs.metric, interval.high));
                open = one != other || !(interval.high < unbounded());
                if (!open) enter(column, one);
            }
            score_open_pairs(pairs, open, column - lane_of_thread(),
                             [&](i64 scored, double score) { enter(scored, all.of(score)); });
        }
    }
    __syncthreads();
    for (i64 cell = threadIdx.x; copies && cell < cells; cell += blockDim.x) {
        u64 total = 0;
        for (int copy = 0; copy < copies; ++copy) total += own[cell * copies + copy];
        if (total) atomicAdd(&counts[cell], total);
    }
}

// What a lane has seen of a row: the sum of the exponentials of scores times a scale, with the largest exponent taken
// out; or the sum of scores and how many there are.
struct Sums {
    double sum, other;
};
constexpr int LANES_OF_ROW = 256;

template <class V>
__global__ void add_scores(const V* scores, i64 columns, const Rules* rules, i64 first_row, i64 first_column,
                           bool exponentials, double scale, Sums* states) {
    const i64 i = blockIdx.x, row = first_row + i;
    Sums own = states[i * LANES_OF_ROW + threadIdx.x];
    // Columns keep their lanes, wherever a tile begins.
    for (i64 column = (threadIdx.x + LANES_OF_ROW - first_column % LANES_OF_ROW) % LANES_OF_ROW; column < columns;
         column += LANES_OF_ROW) {
        if (!admits(*rules, row, column + first_column)) continue;
        const double score = scores[i * columns + column];
        if (!exponentials) {
            own.sum += score;
            own.other += 1.0;
            continue;
        }
        const double value = score * scale;
        if (value > own.other) {
            own.sum = own.sum * exp(own.other - value) + 1.0;
            own.other = value;
        } else if (value > -infinity()) {
            own.sum += exp(value - own.other);
        }
    }
    states[i * LANES_OF_ROW + threadIdx.x] = own;
}

// A block for each row.
__global__ void finish_sums(const Sums* states, bool exponentials, double* out) {
    __shared__ Sums lanes[LANES_OF_ROW];
    lanes[threadIdx.x] = states[i64(blockIdx.x) * LANES_OF_ROW + threadIdx.x];
    for (int half = LANES_OF_ROW / 2; half; half /= 2) {
        __syncthreads();
        if (threadIdx.x >= half) continue;
        Sums own = lanes[threadIdx.x];
        const Sums next = lanes[threadIdx.x + half];
        if (exponentials) {
            const double largest = fmax(own.other, next.other);
            // Where nothing counts, the sum is 0 whatever it is multiplied by.
            if (largest > -infinity())
                own.sum = own.sum * exp(own.other - largest) + next.sum * exp(next.other - largest);
            own.other = largest;
        } else {
            own.sum += next.sum;
            own.other += next.other;
        }
        lanes[threadIdx.x] = own;
    }
    if (threadIdx.x) return;
    const Sums all = lanes[0];
    out[blockIdx.x] = exponentials ? all.other + log(all.sum) : all.sum / all.other;
}
