// Rows of one side against all rows of the other, pair by pair: sums of weight * surrogate, and of its derivative with
// respect to x.
//
// A thread has a row; the other side passes through shared memory, cut into as many chunks as fill the device. O(n m)
// time; 16 bytes for each row and chunk.
#include "softplus.cuh"
#include "sums.cuh"
#include "surrogate.cuh"

//: meet<true>, meet<false>, join_chunks

constexpr int MEET_THREADS = 128;

// The other side's scores of a tile (times `sign`) and weights against one score: adds the weighted terms.
template <class Formula, bool VALUES>
__device__ __forceinline__ void meet_tile(const double* scores, const double* weights, int count, double score,
                                          const Options& options, Terms& sums) {
    // Sums of sums: many others cost no digits.
    double value = 0, slope = 0;
    for (int other = 0; other < count; ++other) {
        const double x = argument_of(score, scores[other], options);
        if (VALUES) {
            const Terms terms = terms_at<Formula>(x, options);
            value += weighted(weights[other], terms.value);
            slope += weighted(weights[other], terms.slope);
        } else {
            slope += weighted(weights[other], slope_at<Formula>(x, options));
        }
    }
    sums.value += value;
    sums.slope += slope;
}

// `sign` is 1 for upper rows, whose others are the lower ones, and -1 for lower rows. Chunk c of row i goes to
// [c * count + i]. `surrogate` is its place in `direct.KINDS`. No `weights` are ones; values or slopes that nobody
// wants are null.
template <bool VALUES>
__global__ void meet(int surrogate, const double* rows, i64 count, const double* others, const double* weights,
                     i64 other_count, i64 chunk, double sign, double shift, double factor, double steep, double kink,
                     double* values, double* slopes) {
    __shared__ double scores[MEET_THREADS], shares[MEET_THREADS];
    const i64 row = i64(blockIdx.x) * MEET_THREADS + threadIdx.x;
    const double score = row < count ? sign * rows[row] : 0.0;
    const i64 first = blockIdx.y * chunk, end = min(first + chunk, other_count);
    const Options options = {shift, factor, steep, kink};
    Terms sums = {0, 0};
    for (i64 begin = first; begin < end; begin += MEET_THREADS) {
        const int present = int(min(end - begin, i64(MEET_THREADS)));
        if (threadIdx.x < present) {
            scores[threadIdx.x] = sign * others[begin + threadIdx.x];
            shares[threadIdx.x] = weights ? weights[begin + threadIdx.x] : 1.0;
        }
        __syncthreads();
        switch (surrogate) {
            case 0: meet_tile<Logistic, VALUES>(scores, shares, present, score, options, sums); break;
            case 1: meet_tile<Sigmoid, VALUES>(scores, shares, present, score, options, sums); break;
            case 2: meet_tile<Exponential, VALUES>(scores, shares, present, score, options, sums); break;
            case 3: meet_tile<Hinge, VALUES>(scores, shares, present, score, options, sums); break;
            case 4: meet_tile<SquaredHinge, VALUES>(scores, shares, present, score, options, sums); break;
            case 5: meet_tile<Square, VALUES>(scores, shares, present, score, options, sums); break;
            default: meet_tile<Barrier, VALUES>(scores, shares, present, score, options, sums);
        }
        __syncthreads();
    }
    if (row >= count) return;
    if (VALUES) values[blockIdx.y * count + row] = sums.value;
    if (slopes) slopes[blockIdx.y * count + row] = sums.slope;
}

// Adds up the chunks of each row: slopes go to `out`, and weighted values of SUM_THREADS rows to `totals`; either may
// be null.
__global__ void join_chunks(const double* values, const double* slopes, const double* weights, i64 count, i64 chunks,
                            double* totals, double* out) {
    __shared__ double room[SUM_THREADS / 32];
    const i64 row = i64(blockIdx.x) * SUM_THREADS + threadIdx.x;
    double value = 0, slope = 0;
    if (row < count) {
        for (i64 chunk = 0; chunk < chunks; ++chunk) {
            if (totals) value += values[chunk * count + row];
            if (out) slope += slopes[chunk * count + row];
        }
        if (out) out[row] = slope;
        if (weights) value = weighted(weights[row], value);
    }
    if (!totals) return;
    const double total = sum_of_block(value, room);
    if (threadIdx.x == 0) totals[blockIdx.x] = total;
}
