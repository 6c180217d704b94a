// Losses over the pairs of lists, value and derivatives: of a surrogate for pairs of different relevance, and
// LambdaLoss.
//
// `prepare` reads scores, relevance and a third number of any dtype, `gather_sorted` brings them into ascending order
// of relevance (segments.cu finds that order). Then the pairs of an item are two stretches of its list: 8 lanes step
// through those below it for the value and its own derivative, and, where derivatives are wanted, through those above
// for the rest. Short lists share blocks, long ones are spread over many: no block knows of lists. Nothing but columns
// of n numbers is written, and sums are in an order that depends on the list alone.
//
// O(pairs) time, one and a half times that with derivatives; memory: about 80 bytes an item.
#include "lists.cuh"
#include "surrogate.cuh"

//: prepare, gather_sorted, pair_terms<Logistic>, pair_terms<Sigmoid>, pair_terms<Exponential>, pair_terms<Hinge>
//: pair_terms<SquaredHinge>, pair_terms<Square>, pair_terms<Barrier>
//: pair_terms<NarrowLogistic>, pair_terms<NarrowSigmoid>, pair_terms<NarrowExponential>
//: rank_items, weigh_ranks, lambda_terms<Logistic>, lambda_terms<NarrowLogistic>, distance_weights

constexpr int LANES = 8;

// An item of the sorted order, and the lanes that work on it.
struct Own {
    i64 item;
    int lane;
    u32 group;
};
__device__ __forceinline__ Own own_item() {
    const i64 thread = i64(blockIdx.x) * blockDim.x + threadIdx.x;
    const int lane = lane_of_thread();
    return {thread / LANES, lane % LANES, 0xffu << (lane & ~(LANES - 1))};
}

// What a warp of 8 lanes an item adds up.
__device__ __forceinline__ double total(double value, const Own& own) { return sum_of_group(value, LANES, own.group); }

// Brings the numbers of all items into the order of lists as float64, and finds the lists with a NaN among the scores
// of items that count. Without a third array the third number is not written.
__global__ void prepare(const void* scores, int scores_kind, const void* relevance, int relevance_kind,
                        const void* extra, int extra_kind, const i64* rows, const i64* offsets, i64 count, i64 items,
                        double* own_scores, double* own_relevance, double* own_extra, i64* lists, int* broken) {
    const i64 item = i64(blockIdx.x) * blockDim.x + threadIdx.x;
    if (item >= items) return;
    const i64 row = rows ? rows[item] : item, list = list_of(offsets, count, item);
    const double score = number_at(scores, scores_kind, row), grade = number_at(relevance, relevance_kind, row);
    own_scores[item] = score;
    own_relevance[item] = grade + 0.0;  // one zero, not two
    if (extra) own_extra[item] = number_at(extra, extra_kind, row);
    lists[item] = list;
    if (score != score && grade == grade) atomicOr(&broken[list], 1);
}

// Brings the numbers into an order, and says where in the caller's arrays each item is.
__global__ void gather_sorted(const double* scores, const double* relevance, const double* extra, const i64* order,
                              const i64* rows, i64 items, double* sorted_scores, double* sorted_relevance,
                              double* sorted_extra, i64* places) {
    const i64 item = i64(blockIdx.x) * blockDim.x + threadIdx.x;
    if (item >= items) return;
    const i64 from = order[item];
    sorted_scores[item] = scores[from];
    sorted_relevance[item] = relevance[from];
    if (extra) sorted_extra[item] = extra[from];
    places[item] = rows ? rows[from] : from;
}

// The stretches of items that an item makes pairs with.
struct Stretches {
    i64 begin, lower, upper, end;  // below it: begin .. lower; above it: upper .. end
};
__device__ __forceinline__ Stretches stretches_of(const double* relevance, double grade, i64 begin, i64 end) {
    const i64 last = end_of_numbers(relevance, begin, end);
    const i64 lower = first_above(relevance, begin, last, grade, false);
    return {begin, lower, first_above(relevance, lower, last, grade, true), last};
}

// Writes what an item adds to its list: an item without relevance nothing, one of a list with NaN that, once.
__device__ bool is_settled(const Own& own, double grade, bool broken, i64 begin, i64 items, int columns, double* sums,
                           i64 place, double* gradient) {
    const bool counts = grade == grade;
    if (counts && !broken) return false;
    if (own.lane) return true;
    const bool first = counts && own.item == begin;
    sums[own.item] = first ? not_a_number() : 0.0;
    for (int column = 1; column < columns; ++column) sums[column * items + own.item] = first ? 1.0 : 0.0;
    if (gradient) gradient[place] = counts ? not_a_number() : 0.0;
    return true;
}

// Columns of `sums`: the loss of the pairs with lower items, their weight, the weight of items above the lowest level.
template <class Formula>
__global__ void pair_terms(const double* scores, const double* relevance, const double* weights, const i64* places,
                           const i64* lists, const int* broken, const i64* offsets, i64 items, double shift,
                           double factor, double steep, double kink, double* sums, double* gradient) {
    const Own own = own_item();
    if (own.item >= items) return;
    const Options options = {shift, factor, steep, kink};
    const i64 list = lists[own.item], begin = offsets[list];
    const double grade = relevance[own.item], score = scores[own.item];
    if (is_settled(own, grade, broken[list], begin, items, 3, sums, places[own.item], gradient)) return;
    const Stretches pairs = stretches_of(relevance, grade, begin, offsets[list + 1]);
    const double weight = weights ? weights[own.item] : 1.0;
    double value = 0.0, slope = 0.0, below = 0.0;
    // Weight 0 takes no part, whatever the value.
    for (i64 other = pairs.begin + own.lane; weight != 0.0 && other < pairs.lower; other += LANES) {
        const double others = weights ? weights[other] : 1.0;
        if (others == 0.0) continue;
        const Terms terms = terms_at<Formula>(argument_of(score, scores[other], options), options);
        value += others * terms.value;
        slope -= others * terms.slope;
        below += others;
    }
    for (i64 other = pairs.upper + own.lane; gradient && weight != 0.0 && other < pairs.end; other += LANES) {
        const double others = weights ? weights[other] : 1.0;
        if (others != 0.0) slope += others * slope_at<Formula>(argument_of(scores[other], score, options), options);
    }
    value = total(value, own), slope = total(slope, own), below = total(below, own);
    if (own.lane) return;
    sums[own.item] = weight == 0.0 ? 0.0 : weight * value;
    sums[items + own.item] = weight * below;
    sums[2 * items + own.item] = pairs.lower > pairs.begin ? weight : 0.0;
    if (gradient) gradient[places[own.item]] = weight == 0.0 ? 0.0 : weight * slope * factor;
}

// Ranks from an order by descending score, from 1.
__global__ void rank_items(const i64* order, const i64* lists, const i64* offsets, i64 items, double* ranks) {
    const i64 at = i64(blockIdx.x) * blockDim.x + threadIdx.x;
    if (at < items) ranks[order[at]] = double(at - offsets[lists[at]] + 1);
}

enum Scheme { NONE, MRR, NDCG, NDCG2, NDCG2_PLUS_PLUS };

__device__ __forceinline__ double discount(double rank, double cut) {
    return rank > cut ? 0.0 : 1.0 / log2(1.0 + rank);
}

// What the rank of each item counts, and what it adds to the ideal DCG of its list; items by ascending gain.
__global__ void weigh_ranks(const double* gains, const double* ranks, const i64* lists, const i64* offsets, i64 items,
                            int scheme, double cut, double* discounts, double* ideal) {
    const i64 item = i64(blockIdx.x) * blockDim.x + threadIdx.x;
    if (item >= items) return;
    const i64 begin = offsets[lists[item]], end = end_of_numbers(gains, begin, offsets[lists[item] + 1]);
    const double rank = ranks[item];
    discounts[item] = scheme != MRR ? discount(rank, cut) : rank > cut ? 0.0 : 1.0 / rank;
    ideal[item] = item < end ? gains[item] * discount(double(end - item), cut) : 0.0;
}

// What a distance of ranks weighs in NDCG-Loss2. Equal ranks, which only given ones can be, would weigh without bound.
__device__ __forceinline__ double weight_of_distance(double distance) {
    return distance == 0.0 ? 0.0 : 1.0 / log2(1.0 + distance) - 1.0 / log2(2.0 + distance);
}
__global__ void distance_weights(i64 distances, double* weights) {
    const i64 distance = i64(blockIdx.x) * blockDim.x + threadIdx.x;
    if (distance < distances) weights[distance] = weight_of_distance(double(distance));
}

// An item as the weights of pairs see it.
struct Placed {
    double gain, discount, rank;
};
struct Swap {
    int scheme;
    double mu, scale;  // scale: one over the ideal DCG
    const double* by_distance;
    i64 distances;

    __device__ double weight(const Placed& a, const Placed& b) const {
        if (scheme == NONE) return 1.0;
        const double apart = fabs(a.discount - b.discount);
        if (scheme == MRR) return apart;
        const double gap = fabs(a.gain * scale - b.gain * scale);
        if (scheme == NDCG) return gap * apart;
        const double distance = floor(fabs(a.rank - b.rank));
        const double swap = distance < double(distances) ? by_distance[i64(distance)] : weight_of_distance(distance);
        return gap * (scheme == NDCG2 ? swap : mu * swap + apart);
    }
};

// Columns of `sums`: the loss of the pairs with items of lower gain, and their number.
template <class Formula>
__global__ void lambda_terms(const double* scores, const double* gains, const double* ranks, const double* discounts,
                             const double* ideal, const double* by_distance, i64 distances, const i64* places,
                             const i64* lists, const int* broken, const i64* offsets, i64 items, int scheme,
                             double sigma, double factor, double mu, double* sums, double* gradient) {
    const Own own = own_item();
    if (own.item >= items) return;
    const Options options = {0.0, factor, 1.0, 0.0};
    const i64 list = lists[own.item], begin = offsets[list];
    if (is_settled(own, gains[own.item], broken[list], begin, items, 2, sums, places[own.item], gradient)) return;
    const Stretches pairs = stretches_of(gains, gains[own.item], begin, offsets[list + 1]);
    const Placed here = {gains[own.item], discounts[own.item], ranks[own.item]};
    const Swap swap = {scheme, mu, ideal[list] > 0.0 ? 1.0 / ideal[list] : 0.0, by_distance, distances};
    const double score = scores[own.item];
    double value = 0.0, slope = 0.0;
    for (i64 other = pairs.begin + own.lane; other < pairs.lower; other += LANES) {
        const double weight = swap.weight(here, {gains[other], discounts[other], ranks[other]});
        if (weight == 0.0) continue;
        const Terms terms = Formula::at(argument_of(score, scores[other], options));
        value += weight * terms.value;
        slope -= weight * terms.slope;
    }
    for (i64 other = pairs.upper + own.lane; gradient && other < pairs.end; other += LANES) {
        const double weight = swap.weight({gains[other], discounts[other], ranks[other]}, here);
        if (weight != 0.0) slope += weight * Formula::slope(argument_of(scores[other], score, options));
    }
    value = total(value, own), slope = total(slope, own);
    if (own.lane) return;
    sums[own.item] = value;
    sums[items + own.item] = double(pairs.lower - pairs.begin);
    if (gradient) gradient[places[own.item]] = sigma * slope;
}
