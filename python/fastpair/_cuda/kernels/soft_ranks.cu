// Soft ranks of lists, pair by pair: 1/2 + sum_j sigmoid((s_j - s_i) / temperature) over the list of item i, itself
// included, and the product of upstream gradients with their Jacobian.
//
// A thread has an item, a block has items of one list, which passes through shared memory. A NaN makes its list NaN.
// Lists of more than `longest` items are left alone. O(sum of squares of lengths) time; no memory.
#include "softplus.cuh"

//: ranks_of_lists, pull_back_lists

constexpr int TILE = 128;

// The list and the first item of this block; list g has room for its blocks from offsets[g] / TILE + g on.
__device__ __forceinline__ i64 list_of_block(const i64* offsets, i64 lists, i64& first) {
    i64 low = 0, high = lists - 1;
    while (low < high) {
        const i64 middle = low + (high - low + 1) / 2;
        if (offsets[middle] / TILE + middle <= i64(blockIdx.x))
            low = middle;
        else
            high = middle - 1;
    }
    first = offsets[low] + (blockIdx.x - (offsets[low] / TILE + low)) * TILE;
    return low;
}

// Passes the items of a list to `meet(score, number)`; says whether one is NaN.
template <bool NUMBERS, class Meet>
__device__ __forceinline__ bool pass_list(const double* scores, const double* numbers, const i64* rows, i64 begin,
                                          i64 end, Meet& meet) {
    __shared__ double own_scores[TILE], own_numbers[TILE];
    bool missing = false;
    for (i64 at = begin; at < end; at += TILE) {
        const int present = int(min(end - at, i64(TILE)));
        if (threadIdx.x < present) {
            const i64 item = rows ? rows[at + threadIdx.x] : at + threadIdx.x;
            own_scores[threadIdx.x] = scores[item];
            if (NUMBERS) own_numbers[threadIdx.x] = numbers[item];
        }
        __syncthreads();
        for (int other = 0; other < present; ++other) {
            missing |= own_scores[other] != own_scores[other];
            meet(own_scores[other], NUMBERS ? own_numbers[other] : 0.0);
        }
        meet.close_tile();
        __syncthreads();
    }
    return missing;
}

// Sums of sums: long lists cost no digits.
struct Rank {
    double score, factor, tile, sum;
    __device__ __forceinline__ void operator()(double other, double) {
        tile += softplus<1>(difference(other, score) * factor);
    }
    __device__ __forceinline__ void close_tile() {
        sum += tile;
        tile = 0;
    }
};
struct Pull {
    double score, upstream, factor, tile, sum;
    __device__ __forceinline__ void operator()(double other, double number) {
        tile += (number - upstream) * softplus<2>(difference(score, other) * factor);
    }
    __device__ __forceinline__ void close_tile() {
        sum += tile;
        tile = 0;
    }
};

__global__ void ranks_of_lists(const double* scores, const i64* offsets, i64 lists, const i64* rows, i64 longest,
                               double factor, double* ranks) {
    i64 first;
    const i64 list = list_of_block(offsets, lists, first), begin = offsets[list], end = offsets[list + 1];
    if (first >= end || end - begin > longest) return;
    const i64 at = first + threadIdx.x;
    const i64 item = at < end ? (rows ? rows[at] : at) : 0;
    Rank rank = {scores[item], factor, 0, 0};
    const bool missing = pass_list<false>(scores, nullptr, rows, begin, end, rank);
    if (at < end) ranks[item] = missing ? not_a_number() : 0.5 + rank.sum;
}

__global__ void pull_back_lists(const double* scores, const double* upstream, const i64* offsets, i64 lists,
                                const i64* rows, i64 longest, double factor, double* slopes) {
    i64 first;
    const i64 list = list_of_block(offsets, lists, first), begin = offsets[list], end = offsets[list + 1];
    if (first >= end || end - begin > longest) return;
    const i64 at = first + threadIdx.x;
    const i64 item = at < end ? (rows ? rows[at] : at) : 0;
    Pull pull = {scores[item], upstream[item], factor, 0, 0};
    const bool missing = pass_list<true>(scores, upstream, rows, begin, end, pull);
    if (at < end) slopes[item] = missing ? not_a_number() : pull.sum * factor;
}
