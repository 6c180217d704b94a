// Sums over a block and running sums along an array, always in the same order, so that results do not depend on which
// block comes first.
//
// A running sum goes in three kernels: the total of each chunk; one block turns totals into what stands before each
// chunk; each chunk runs through its elements. A state is anything that can be carried on: `left.then(right)` moves
// `left` to the place of `right` and joins both, and `State::none()` joins without effect.
#pragma once
#include "common.cuh"

constexpr int SUM_THREADS = 256;
constexpr int SCAN_THREADS = 128;
constexpr int SCAN_EACH = 8;  // consecutive elements of a thread
constexpr i64 SCAN_CHUNK = SCAN_THREADS * SCAN_EACH;

// The sum over a block of SUM_THREADS, in thread 0; `room` has a double for each warp.
__device__ __forceinline__ double sum_of_block(double value, double* room) {
    value = sum_of_warp(value);
    if (lane_of_thread() == 0) room[warp_of_thread()] = value;
    __syncthreads();
    double sum = 0;
    for (int warp = 0; warp < int(blockDim.x / 32); ++warp) sum += room[warp];
    __syncthreads();
    return sum;
}

// What stands before each thread's own state in a block of SCAN_THREADS, and everything in `whole`.
template <class State>
__device__ State before_thread(State own, State* room, State& whole) {
    const int at = threadIdx.x;
    room[at] = own;
    for (int step = 1; step < SCAN_THREADS; step *= 2) {
        __syncthreads();
        const State left = at >= step ? room[at - step] : State::none();
        __syncthreads();
        if (at >= step) room[at] = left.then(room[at]);
    }
    __syncthreads();
    whole = room[SCAN_THREADS - 1];
    return at ? room[at - 1] : State::none();
}

// The total of this block's chunk.
template <class State, class Load>
__device__ void total_of_chunk(Load load, i64 count, State* totals) {
    __shared__ State room[SCAN_THREADS];
    const i64 begin = blockIdx.x * SCAN_CHUNK + threadIdx.x * SCAN_EACH;
    State own = State::none(), whole;
    for (i64 at = begin; at < begin + SCAN_EACH && at < count; ++at) own = own.then(load(at));
    before_thread(own, room, whole);
    if (threadIdx.x == 0) totals[blockIdx.x] = whole;
}

// What stands before each chunk, in place of its total. For one block.
template <class State>
__device__ void carry_over_chunks(State* totals, i64 chunks) {
    __shared__ State room[SCAN_THREADS];
    const i64 each = (chunks + SCAN_THREADS - 1) / SCAN_THREADS, begin = threadIdx.x * each;
    State own = State::none(), whole;
    for (i64 at = begin; at < begin + each && at < chunks; ++at) own = own.then(totals[at]);
    State before = before_thread(own, room, whole);
    for (i64 at = begin; at < begin + each && at < chunks; ++at) {
        const State total = totals[at];
        totals[at] = before;
        before = before.then(total);
    }
}

// Stores for each element of this block's chunk the state up to it, itself included.
template <class State, class Load, class Store>
__device__ void run_through_chunk(Load load, i64 count, const State* carried, Store store) {
    __shared__ State room[SCAN_THREADS];
    const i64 begin = blockIdx.x * SCAN_CHUNK + threadIdx.x * SCAN_EACH;
    State own = State::none(), whole;
    for (i64 at = begin; at < begin + SCAN_EACH && at < count; ++at) own = own.then(load(at));
    State state = carried[blockIdx.x].then(before_thread(own, room, whole));
    for (i64 at = begin; at < begin + SCAN_EACH && at < count; ++at) {
        state = state.then(load(at));
        store(at, state);
    }
}
