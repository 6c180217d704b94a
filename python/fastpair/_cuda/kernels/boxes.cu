// Sums over all pairs of a smooth function of the difference of scores, by way of boxes of nearby scores.
//
// Scores fall into boxes of equal width, at most one temperature. In each box the rows of a side are replaced by P
// nodes, the roots of the Chebyshev polynomial T_P, whose weights come from moments of the rows. Nodes of near boxes
// meet one by one, by a table for each distance of boxes; those of far boxes meet through sums of exponentials, which a
// running sum carries past all boxes. What a row gets is the polynomial through the values at the nodes of its box.
//
// The functions are log(1 + e^x), level 0, and its derivatives. O(n P + b P^2) time for b boxes.
#include "softplus.cuh"
#include "sums.cuh"

//: basis, table, find_begins, weigh_nodes
//: piece_moments<6>, piece_moments<8>, piece_moments<12>, piece_moments<16>, piece_moments<18>
//: own_passed, passed_totals, passed_carry, run_passed, field, evaluate, pull_back

constexpr int TERMS = 6;     // of the series far out: the next is below e^-36 of the value
constexpr i64 PIECE = 2048;  // rows of a box that one warp adds up
constexpr double PI = 3.14159265358979323846;

// Where a score lies: its box, and its place there from -1 to 1. Exact, as the width is a power of two.
__device__ __forceinline__ double box_of(double score, double per_unit) { return floor(score * per_unit); }
__device__ __forceinline__ double place_of(double score, double per_unit) {
    const double scaled = score * per_unit;
    return 2 * (scaled - floor(scaled)) - 1;
}

// The first of the sorted `numbers` that is not below `number`.
__device__ __forceinline__ i64 rank_of(double number, const double* numbers, i64 boxes) {
    i64 low = 0, high = boxes;
    while (low < high) {
        const i64 middle = low + (high - low) / 2;
        if (numbers[middle] < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

// The nodes, and C[k][a] for which l_a(u) = sum_k C[k][a] T_k(u) is the polynomial that is 1 at node a and 0 at the
// others.
__global__ void basis(int order, double* nodes, double* coefficients) {
    const int at = blockIdx.x * blockDim.x + threadIdx.x, k = at / order, a = at % order;
    if (k >= order) return;
    const double angle = PI * (a + 0.5) / order;
    if (k == 0) nodes[a] = cos(angle);
    coefficients[at] = cos(k * angle) * (k ? 2.0 : 1.0) / order;
}

// The function for lower node b and upper node a of boxes that are d apart, from -near to near: [d + near][b][a].
__global__ void table(int level, int order, int near, double half, const double* nodes, double* values) {
    const int at = blockIdx.x * blockDim.x + threadIdx.x;
    const int a = at % order, b = at / order % order, apart = at / (order * order) - near;
    if (apart > near) return;
    const double x = nodes[b] * half + apart * (2 * half) - nodes[a] * half;
    values[at] = level == 0 ? softplus<0>(x) : level == 1 ? softplus<1>(x) : softplus<2>(x);
}

// Where the sorted rows of each box begin, and the end.
__global__ void find_begins(const double* scores, i64 count, double per_unit, const double* numbers, i64 boxes,
                            i64* begins) {
    const i64 box = i64(blockIdx.x) * blockDim.x + threadIdx.x;
    if (box > boxes) return;
    i64 low = box < boxes ? 0 : count, high = count;
    while (low < high) {
        const i64 middle = low + (high - low) / 2;
        if (box_of(scores[middle], per_unit) < numbers[box])
            low = middle + 1;
        else
            high = middle;
    }
    begins[box] = low;
}

// Box g has room for its pieces from here on: enough, and known before anything is counted.
__device__ __forceinline__ i64 first_piece(const i64* begins, i64 box) { return begins[box] / PIECE + box; }

// M_k = sum of w T_k(u) over the rows of a piece of a box, which a warp adds up.
template <int P>
__global__ void piece_moments(const double* scores, const double* weights, double per_unit, const i64* begins,
                              i64 boxes, i64 pieces, double* moments) {
    const i64 piece = i64(blockIdx.x) * (blockDim.x / 32) + warp_of_thread();
    if (piece >= pieces) return;
    i64 low = 0, high = boxes - 1;
    while (low < high) {
        const i64 middle = low + (high - low + 1) / 2;
        if (first_piece(begins, middle) <= piece)
            low = middle;
        else
            high = middle - 1;
    }
    const i64 begin = begins[low] + (piece - first_piece(begins, low)) * PIECE;
    const i64 end = min(begin + PIECE, begins[low + 1]);
    if (begin >= end) return;
    double sums[P];
#pragma unroll
    for (int k = 0; k < P; ++k) sums[k] = 0;
    for (i64 at = begin + lane_of_thread(); at < end; at += 32) {
        const double place = place_of(scores[at], per_unit), weight = weights ? weights[at] : 1.0;
        double before = weight, last = weight * place;
        sums[0] += before;
        sums[1] += last;
#pragma unroll
        for (int k = 2; k < P; ++k) {
            const double next = 2 * place * last - before;
            sums[k] += next;
            before = last;
            last = next;
        }
    }
#pragma unroll
    for (int k = 0; k < P; ++k) {
        const double sum = sum_of_warp(sums[k]);
        if (lane_of_thread() == 0) moments[piece * P + k] = sum;
    }
}

// The weights of the nodes that stand for the rows of a box: W_a = sum_k C[k][a] M_k. A block has `each` boxes.
__global__ void weigh_nodes(int order, int each, const i64* begins, i64 boxes, const double* moments,
                            const double* coefficients, double* weights) {
    DYNAMIC_SHARED(memory);
    double* sums = reinterpret_cast<double*>(memory);
    const int a = threadIdx.x % order, own = threadIdx.x / order;
    const i64 box = i64(blockIdx.x) * each + own;
    const bool present = own < each && box < boxes;
    if (present) {
        const i64 rows = begins[box + 1] - begins[box], first = first_piece(begins, box);
        const i64 pieces = (rows + PIECE - 1) / PIECE;
        double sum = 0;
        for (i64 piece = 0; piece < pieces; ++piece) sum += moments[(first + piece) * order + a];
        sums[threadIdx.x] = sum;
    }
    __syncthreads();
    if (!present) return;
    double weight = 0;
    for (int k = 0; k < order; ++k) weight += coefficients[k * order + a] * sums[own * order + k];
    weights[box * order + a] = weight;
}

// What nodes passed so far add up to: `sum w`, `sum w y` and `sum w e^(-k y)`, k from 1, for their distances y from the
// middle of box `number`, which is NaN where there is nothing. The width of boxes belongs to it.
struct Passed {
    double count, distance, powers[TERMS], number, width;

    static __device__ __forceinline__ Passed none() {
        Passed passed = {};
        passed.number = not_a_number();
        return passed;
    }
    __device__ __forceinline__ Passed then(const Passed& right) const {
        if (number != number) return right;
        if (right.number != right.number) return *this;
        const double step = (right.number - number) * width, decay = exp(-step);
        Passed both = right;
        both.count += count;
        both.distance += distance + count * step;
        double power = 1;
        for (int k = 0; k < TERMS; ++k) {
            power *= decay;
            both.powers[k] += power * powers[k];
        }
        return both;
    }
};

constexpr int KEPT = 2 + TERMS;  // numbers of a state in memory

// States of boxes, going up (direction 0) or down (1), where order and places are mirrored.
struct LoadPassed {
    const double *states, *numbers;
    i64 boxes;
    double width;
    bool down;
    __device__ __forceinline__ i64 box(i64 at) const { return down ? boxes - 1 - at : at; }
    __device__ __forceinline__ Passed operator()(i64 at) const {
        const double* kept = states + box(at) * KEPT;
        Passed passed;
        passed.count = kept[0];
        passed.distance = kept[1];
        for (int k = 0; k < TERMS; ++k) passed.powers[k] = kept[2 + k];
        passed.number = down ? -numbers[box(at)] : numbers[box(at)];
        passed.width = width;
        return passed;
    }
};

struct StorePassed {
    double* states;
    i64 boxes;
    bool down;
    __device__ __forceinline__ void operator()(i64 at, const Passed& passed) const {
        double* kept = states + (down ? boxes - 1 - at : at) * KEPT;
        kept[0] = passed.count;
        kept[1] = passed.distance;
        for (int k = 0; k < TERMS; ++k) kept[2 + k] = passed.powers[k];
    }
};

// What the nodes of each box add up to about its own middle. blockIdx.y is the direction, here and below.
__global__ void own_passed(int order, double half, const double* nodes, const double* weights, i64 boxes,
                           double* states) {
    const i64 box = i64(blockIdx.x) * blockDim.x + threadIdx.x;
    if (box >= boxes) return;
    const double sign = blockIdx.y ? 1.0 : -1.0;
    double count = 0, distance = 0, powers[TERMS] = {};
    for (int a = 0; a < order; ++a) {
        const double y = sign * nodes[a] * half, decay = exp(-y);
        double power = weights[box * order + a];
        count += power;
        distance += power * y;
        for (int k = 0; k < TERMS; ++k) {
            power *= decay;
            powers[k] += power;
        }
    }
    double* kept = states + (blockIdx.y * boxes + box) * KEPT;
    kept[0] = count;
    kept[1] = distance;
    for (int k = 0; k < TERMS; ++k) kept[2 + k] = powers[k];
}

__global__ void passed_totals(const double* states, const double* numbers, i64 boxes, double width, double* totals) {
    const LoadPassed load = {states + blockIdx.y * boxes * KEPT, numbers, boxes, width, blockIdx.y == 1};
    total_of_chunk(load, boxes, reinterpret_cast<Passed*>(totals) + i64(blockIdx.y) * gridDim.x);
}
__global__ void passed_carry(double* totals, i64 chunks) {
    carry_over_chunks(reinterpret_cast<Passed*>(totals) + blockIdx.y * chunks, chunks);
}
// States of all boxes up to each, in place.
__global__ void run_passed(double* states, const double* numbers, i64 boxes, double width, const double* carried) {
    double* own = states + blockIdx.y * boxes * KEPT;
    const LoadPassed load = {own, numbers, boxes, width, blockIdx.y == 1};
    run_through_chunk(load, boxes, reinterpret_cast<const Passed*>(carried) + i64(blockIdx.y) * gridDim.x,
                      StorePassed{own, boxes, blockIdx.y == 1});
}

// The sum over far nodes, all on one side of a node: x is -(y + away) for those `below` it, y + away above.
// log(1 + e^x) = [x +] sum_k (-1)^(k-1) e^(-k abs(x)) / k, as often differentiated as `level` says.
__device__ __forceinline__ double far_sum(int level, const double* state, double away, bool below) {
    const double base = exp(-away);
    double value = 0;
    for (int k = TERMS; k > 0; --k) {
        const double size = level == 0 ? 1.0 / k : level == 1 ? 1.0 : double(k);
        value = base * (value + (k % 2 ? size : -size) * state[1 + k]);
    }
    if (below) return value;
    if (level == 0) return state[1] + state[0] * away + value;
    return level == 1 ? state[0] - value : value;
}

// What each node of the boxes of a side gets from the nodes of the other: at upper nodes (sign 1) from lower ones, at
// lower nodes (sign -1) from upper ones, whose weights and states are given. Written as it is, or as the Chebyshev
// series of each box. Boxes of the side without rows (`begins`) get nothing; with `but_own`, boxes of at most `order`
// rows get nothing from themselves. A block has `each` boxes.
__global__ void field(int level, int order, int near, int each, double width, double sign, const double* numbers,
                      i64 boxes, const double* nodes, const double* table, const double* weights, const double* states,
                      const i64* begins, bool but_own, const double* coefficients, double* out) {
    DYNAMIC_SHARED(memory);
    double* values = reinterpret_cast<double*>(memory);
    const int a = threadIdx.x % order, own = threadIdx.x / order;
    const i64 box = i64(blockIdx.x) * each + own;
    const bool present = own < each && box < boxes;
    double value = 0;
    const i64 rows = present ? begins[box + 1] - begins[box] : 0;
    if (rows) {
        const double number = numbers[box], place = nodes[a] * (width / 2);
        i64 first = box, last = box;
        while (first > 0 && number - numbers[first - 1] <= near) --first;
        while (last + 1 < boxes && numbers[last + 1] - number <= near) ++last;
        for (i64 other = first; other <= last; ++other) {
            if (but_own && other == box && rows <= order) continue;
            const double* weight = weights + other * order;
            const int apart = int(sign * (numbers[other] - number)) + near;
            // Mirrored nodes change roles: the table of upper nodes serves lower ones too.
            const double* entries = table + i64(apart) * order * order + (sign > 0 ? a : order - 1 - a);
            double sum = 0;
            for (int b = 0; b < order; ++b) sum += weight[b] * entries[(sign > 0 ? b : order - 1 - b) * order];
            value += sum;
        }
        if (first > 0) {
            const double step = (number - numbers[first - 1]) * width;
            value += far_sum(level, states + (first - 1) * KEPT, step + place, sign > 0);
        }
        if (last + 1 < boxes) {
            const double step = (numbers[last + 1] - number) * width;
            value += far_sum(level, states + (boxes + last + 1) * KEPT, step - place, sign < 0);
        }
    }
    if (!coefficients) {
        if (present) out[box * order + a] = value;
        return;
    }
    values[threadIdx.x] = value;
    __syncthreads();
    if (!present) return;
    double series = 0;
    for (int node = 0; node < order; ++node) series += coefficients[a * order + node] * values[own * order + node];
    out[box * order + a] = series;
}

// The value of a Chebyshev series (Clenshaw).
__device__ __forceinline__ double value_at(const double* series, int order, double place) {
    double last = 0, before = 0;
    for (int k = order - 1; k > 0; --k) {
        const double next = 2 * place * last + (series[k] - before);
        before = last;
        last = next;
    }
    return place * last + (series[0] - before);
}

// What each row gets from the series of its box.
__global__ void evaluate(const double* scores, i64 count, double per_unit, const double* numbers, i64 boxes,
                         const double* series, int order, double* out) {
    const i64 row = i64(blockIdx.x) * blockDim.x + threadIdx.x;
    if (row >= count) return;
    const double score = scores[row];
    const i64 box = rank_of(box_of(score, per_unit), numbers, boxes);
    out[row] = value_at(series + box * order, order, place_of(score, per_unit));
}

// sum_i (u_i - u_j) f(s_j - s_i) for each row j, f the second derivative: from two series, of f with weights u and of f
// alone. Boxes of at most `order` rows are not in their own series; they meet one by one, so that a row that meets
// itself costs no digits.
__global__ void pull_back(const double* scores, const double* upstream, i64 count, double per_unit,
                          const double* numbers, i64 boxes, const double* weighted_series, const double* plain_series,
                          int order, const double* sorted, const double* weights, const i64* begins, double factor,
                          double* out) {
    const i64 row = i64(blockIdx.x) * blockDim.x + threadIdx.x;
    if (row >= count) return;
    const double score = scores[row], own = upstream[row], place = place_of(score, per_unit);
    const i64 box = rank_of(box_of(score, per_unit), numbers, boxes);
    double sum = value_at(weighted_series + box * order, order, place);
    sum -= own * value_at(plain_series + box * order, order, place);
    if (begins[box + 1] - begins[box] <= order)
        for (i64 other = begins[box]; other < begins[box + 1]; ++other)
            sum += (weights[other] - own) * softplus<2>((score - sorted[other]) * factor);
    out[row] = sum;
}
