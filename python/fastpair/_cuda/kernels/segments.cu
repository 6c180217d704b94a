// Reductions and scans of ragged lists, their elements in order, and scales of their gradients: what losses over lists
// are composed of. Everything costs O(n) but the order, which takes O(log) passes over lists longer than a run.
//
// A reduction has two launches: a warp for each unit of up to 2048 items, then one for each list and its units. A scan
// has three: tiles, the states that tiles hand on, tiles again. Sums are in float64 and in an order that depends on the
// offsets alone.
#include "lists.cuh"

//: list_of_items, reduce_units<Sum>, reduce_units<Most>, reduce_units<Least>
//: combine_units<Sum>, combine_units<Most>, combine_units<Least>
//: scan_tiles, scan_carries, scan_items, order_runs, merge_runs, scale_items

struct Sum {
    __device__ static double empty() { return 0.0; }
    __device__ static double of(double a, double b) { return a + b; }
};
struct Most {  // NaN if there is one
    __device__ static double empty() { return -infinity(); }
    __device__ static double of(double a, double b) { return a > b || a != a ? a : b; }
};
struct Least {
    __device__ static double empty() { return infinity(); }
    __device__ static double of(double a, double b) { return a < b || a != a ? a : b; }
};

template <class Operation>
__device__ __forceinline__ double reduce_warp(double value) {
    for (int step = 16; step; step /= 2) value = Operation::of(value, __shfl_xor_sync(ALL_LANES, value, step));
    return value;
}

__device__ __forceinline__ i64 item_of_thread() { return i64(blockIdx.x) * blockDim.x + threadIdx.x; }

__global__ void list_of_items(const i64* offsets, i64 count, i64 items, i64* lists) {
    const i64 item = item_of_thread();
    if (item < items) lists[item] = list_of(offsets, count, item);
}

// Rows of a matrix (blockIdx.y), each by the same lists.
template <class Operation>
__global__ void reduce_units(const void* values, int kind, i64 items, const i64* offsets, i64 count, i64 units,
                             double* partial) {
    const i64 unit = item_of_thread() / 32, row = blockIdx.y;
    if (unit >= units) return;
    const Piece piece = piece_of(offsets, count, unit);
    double value = Operation::empty();
    for (i64 item = piece.begin + lane_of_thread(); item < piece.end; item += 32)
        value = Operation::of(value, number_at(values, kind, row * items + item));
    value = reduce_warp<Operation>(value);
    if (lane_of_thread() == 0) partial[row * units + unit] = value;
}

template <class Operation>
__global__ void combine_units(const double* partial, const i64* offsets, i64 count, i64 units, double* results) {
    const i64 list = item_of_thread() / 32, row = blockIdx.y;
    if (list >= count) return;
    const i64 end = unit_of(offsets, list + 1);
    double value = Operation::empty();
    for (i64 unit = unit_of(offsets, list) + lane_of_thread(); unit < end; unit += 32)
        value = Operation::of(value, partial[row * units + unit]);
    value = reduce_warp<Operation>(value);
    if (lane_of_thread() == 0) results[row * count + list] = value;
}

// A sum of masses mass * e^top, kept relative to the largest top, so that nothing overflows or vanishes.
// `closed` says that nothing from before may be added: a segment begins here.
struct State {
    double top, mass;
    int closed;
};
__device__ __forceinline__ State nothing() { return {-infinity(), 0.0, 0}; }

__device__ __forceinline__ State join(State before, State here) {
    if (here.closed || before.mass == 0.0) return {here.top, here.mass, here.closed | before.closed};
    if (here.mass == 0.0) return before;
    const double top = before.top > here.top || before.top != before.top ? before.top : here.top;
    const double mass = before.mass * exp(difference(before.top, top)) + here.mass * exp(difference(here.top, top));
    return {top, mass, before.closed};
}

constexpr int SCAN_THREADS = 256, SCAN_EACH = 4, SCAN_TILE = SCAN_THREADS * SCAN_EACH;

// The state of all threads before this one, of `carry` too; afterwards `carry` is the state of the whole block as well.
__device__ State scan_block(State own, State& carry) {
    __shared__ State of_warp[SCAN_THREADS / 32];
    const int lane = lane_of_thread(), warp = warp_of_thread();
    State before = nothing();
    for (int step = 1; step < 32; step *= 2) {
        const State other = {__shfl_up_sync(ALL_LANES, own.top, step), __shfl_up_sync(ALL_LANES, own.mass, step),
                             __shfl_up_sync(ALL_LANES, own.closed, step)};
        if (lane >= step) own = join(other, own);
    }
    before = {__shfl_up_sync(ALL_LANES, own.top, 1), __shfl_up_sync(ALL_LANES, own.mass, 1),
              __shfl_up_sync(ALL_LANES, own.closed, 1)};
    if (lane == 0) before = nothing();
    __syncthreads();  // what an earlier call left is read
    if (lane == 31) of_warp[warp] = own;
    __syncthreads();
    State ahead = carry;
    for (int other = 0; other < SCAN_THREADS / 32; ++other) {
        if (other == warp) before = join(ahead, before);
        ahead = join(ahead, of_warp[other]);
    }
    carry = ahead;
    return before;
}

// The elements of a scan from the first item on or from the last; segments begin where `heads` says.
struct Elements {
    const double* tops;
    const double* masses;  // null: all 1
    const u8* heads;
    i64 items;
    int backwards;
    __device__ i64 place(i64 step) const { return backwards ? items - 1 - step : step; }
    __device__ State at(i64 step) const {
        if (step >= items) return nothing();
        const i64 item = place(step);
        const double mass = masses ? masses[item] : 1.0;
        return {tops[item], mass, heads[item] != 0};
    }
};

__global__ void scan_tiles(const double* tops, const double* masses, const u8* heads, i64 items, int backwards,
                           double* tile_tops, double* tile_masses, u8* tile_closed) {
    const Elements elements = {tops, masses, heads, items, backwards};
    const i64 first = i64(blockIdx.x) * SCAN_TILE + threadIdx.x * SCAN_EACH;
    State own = nothing(), carry = nothing();
    for (int i = 0; i < SCAN_EACH; ++i) own = join(own, elements.at(first + i));
    scan_block(own, carry);
    if (threadIdx.x) return;
    tile_tops[blockIdx.x] = carry.top, tile_masses[blockIdx.x] = carry.mass, tile_closed[blockIdx.x] = carry.closed;
}

// Replaces the state of each tile by that of all tiles before it. One block.
__global__ void scan_carries(i64 tiles, double* tile_tops, double* tile_masses, const u8* tile_closed) {
    State carry = nothing();
    for (i64 first = 0; first < tiles; first += SCAN_THREADS) {
        const i64 tile = first + threadIdx.x;
        State own = nothing();
        if (tile < tiles) own = {tile_tops[tile], tile_masses[tile], tile_closed[tile]};
        const State before = scan_block(own, carry);
        if (tile < tiles) tile_tops[tile] = before.top, tile_masses[tile] = before.mass;
    }
}

// Each item's state, itself included; or the logarithm of its sum where nobody asks for masses.
__global__ void scan_items(const double* tops, const double* masses, const u8* heads, i64 items, int backwards,
                           const double* tile_tops, const double* tile_masses, double* out_tops, double* out_masses) {
    const Elements elements = {tops, masses, heads, items, backwards};
    const i64 first = i64(blockIdx.x) * SCAN_TILE + threadIdx.x * SCAN_EACH;
    State own = nothing(), carry = {tile_tops[blockIdx.x], tile_masses[blockIdx.x], 0};
    for (int i = 0; i < SCAN_EACH; ++i) own = join(own, elements.at(first + i));
    State state = scan_block(own, carry);
    for (int i = 0; i < SCAN_EACH && first + i < items; ++i) {
        state = join(state, elements.at(first + i));
        const i64 item = elements.place(first + i);
        if (out_masses) {
            out_tops[item] = state.top, out_masses[item] = state.mass;
        } else {
            out_tops[item] = state.top + log(state.mass);
        }
    }
}

// Whether a value comes before another one; NaN come last.
__device__ __forceinline__ bool goes_before(double a, double b, int descending) {
    return (descending ? a > b : a < b) || (a == a && b != b);
}

// Lists in runs of up to `run` items: each item counts those of its run that come before it, of equal ones the earlier.
__global__ void order_runs(const double* values, const i64* lists, const i64* offsets, i64 items, i64 run,
                           int descending, i64* order) {
    const i64 item = item_of_thread();
    if (item >= items) return;
    const i64 begin = offsets[lists[item]], first = begin + (item - begin) / run * run;
    const i64 end = min(first + run, offsets[lists[item] + 1]);
    const double own = values[item];
    i64 place = first;
    for (i64 other = first; other < item; ++other) place += !goes_before(own, values[other], descending);
    for (i64 other = item + 1; other < end; ++other) place += goes_before(values[other], own, descending);
    order[place] = item;
}

// Two neighbouring runs of `run` items become one: each item finds its place among those of the other run.
__global__ void merge_runs(const double* values, const i64* lists, const i64* offsets, i64 items, i64 run,
                           int descending, const i64* order, i64* merged) {
    const i64 at = item_of_thread();
    if (at >= items) return;
    const i64 begin = offsets[lists[at]], length = offsets[lists[at] + 1] - begin;
    const i64 own = (at - begin) / run, first = own * run, item = order[at];
    const bool left = own % 2 == 0;
    const i64 others = left ? first + run : first - run;
    if (others >= length) {
        merged[at] = item;
        return;
    }
    const double value = values[item];
    i64 low = others, high = min(others + run, length);
    while (low < high) {
        const i64 middle = (low + high) / 2;
        const double other = values[order[begin + middle]];
        if (left ? goes_before(other, value, descending) : !goes_before(value, other, descending)) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    merged[begin + min(first, others) + (at - begin - first) + (low - others)] = item;
}

// Multiplies what belongs to each item by the scale of its list; by 0 to exactly 0.
__global__ void scale_items(double* values, const double* scales, const i64* offsets, i64 count, const i64* rows,
                            i64 items) {
    const i64 item = item_of_thread();
    if (item >= items) return;
    const double scale = scales[list_of(offsets, count, item)];
    double& value = values[rows ? rows[item] : item];
    value = scale == 0.0 ? 0.0 : value * scale;
}
