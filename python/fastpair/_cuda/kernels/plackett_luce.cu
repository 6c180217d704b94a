// The Plackett-Luce loss of lists, and the cross-entropy of lists.
//
// Plackett-Luce: items come by descending relevance. Scans (segments.cu) give the sum of e^score from each item on,
// relative to the largest score; steps are then independent of each other, and scans of their reciprocals give what
// they take from each item. O(n) time, memory about 150 bytes an item.
//
// Cross-entropy: a warp for each unit of a list finds the largest score and the sum of exponentials, one for each list
// joins these, and a second pass over the units gives the value and the derivatives. O(n); memory: the derivatives.
#include "lists.cuh"

//: mark_levels, luce_terms, luce_slopes, entropy_units, entropy_lists, entropy_terms

enum Ties { INDEX, AVERAGE, EXCLUDE };

// Where scans begin anew: at the first and last items of lists, and of levels of relevance.
__global__ void mark_levels(const double* relevance, const i64* lists, i64 items, u8* list_first, u8* list_last,
                            u8* level_last) {
    const i64 item = i64(blockIdx.x) * blockDim.x + threadIdx.x;
    if (item >= items) return;
    const double grade = relevance[item];
    const bool first = item == 0 || lists[item - 1] != lists[item];
    const bool last = item + 1 == items || lists[item + 1] != lists[item];
    // Items without relevance stand behind all others and are lists of their own here: nothing of theirs is handed on.
    list_first[item] = first || grade != grade;
    list_last[item] = last || relevance[item + 1] != relevance[item + 1];
    level_last[item] = last || relevance[item + 1] != grade;
}

// The first item of those from begin on that is of lower relevance than `grade` (or also of equal), or NaN.
__device__ i64 level_border(const double* relevance, i64 begin, i64 end, double grade, bool also_equal) {
    while (begin < end) {
        const i64 middle = (begin + end) / 2;
        const double other = relevance[middle];
        if (other > grade || (!also_equal && other == grade)) {
            begin = middle + 1;
        } else {
            end = middle;
        }
    }
    return begin;
}

// The level of an item: items first .. end, which take `share` of a step each.
struct Level {
    i64 first, end, list_end;
    double share;
};
__device__ Level level_of(const double* relevance, i64 item, i64 begin, i64 end, i64 steps, int ties) {
    const i64 last = end_of_numbers(relevance, begin, end);
    Level level = {item, item + 1, last, 0.0};
    if (ties != INDEX) {
        level.first = level_border(relevance, begin, item, relevance[item], true);
        level.end = level_border(relevance, item, last, relevance[item], false);
    }
    const i64 counted = steps == 0 ? last - begin : min(steps, last - begin);
    const i64 inside = min(max(begin + counted, level.first), level.end) - level.first;
    level.share = double(inside) / double(level.end - level.first);
    return level;
}

// Columns of `sums`: what the step of an item adds to the loss, and to the number of steps. `tops` and `masses` are
// those of what is left from each item on. `step_tops` and `step_masses` are one over the denominator of the step (0 if
// it does not count), `tie_masses` the same times the item's place in its tie.
__global__ void luce_terms(const double* scores, const double* relevance, const double* tops, const double* masses,
                           const i64* lists, const int* broken, const i64* offsets, i64 items, i64 steps, int ties,
                           double* sums, double* step_tops, double* step_masses, double* tie_masses) {
    const i64 item = i64(blockIdx.x) * blockDim.x + threadIdx.x;
    if (item >= items) return;
    const i64 list = lists[item], begin = offsets[list], end = offsets[list + 1];
    const bool counts = relevance[item] == relevance[item];
    double value = 0.0, step = 0.0, top = 0.0, inverse = 0.0, place = 1.0;
    const Level level = level_of(relevance, item, begin, end, steps, ties);
    if (counts && broken[list]) {
        value = item == begin ? not_a_number() : 0.0;
        step = item == begin ? 1.0 : 0.0;
    } else if (counts && level.list_end - begin > 1) {
        top = tops[level.first];
        const double tied = double(level.end - level.first), behind_it = double(item - level.first) / tied;
        double behind = 0.0;
        if (level.end < level.list_end) behind = masses[level.end] * exp(difference(tops[level.end], top));
        place = (tied - double(item - level.first)) / tied;
        // behind + place * own, where the mass from the level on is own + behind
        double denominator = masses[level.first] * place + behind_it * behind;
        double counted = steps == 0 || item - begin < steps ? 1.0 : 0.0;
        if (ties == EXCLUDE) {
            denominator = behind + exp(difference(scores[item], top));
            counted = level.share;
        }
        if (level.share > 0.0) value = level.share * difference(top, scores[item]);
        if (counted > 0.0) value += counted * log(denominator);
        inverse = counted > 0.0 ? counted / denominator : 0.0;
        const i64 length = level.list_end - begin;
        step = item == begin ? double(steps == 0 ? length : min(steps, length)) : 0.0;
    }
    sums[item] = value, sums[items + item] = step;
    step_tops[item] = -top, step_masses[item] = inverse, tie_masses[item] = inverse * place;
}

// What all steps take from an item: those of levels before its own (`taken`), and those of its own level.
__global__ void luce_slopes(const double* scores, const double* relevance, const double* tops, const double* taken_tops,
                            const double* taken_masses, const double* step_masses, const double* level_masses,
                            const i64* places, const i64* lists, const int* broken, const i64* offsets, i64 items,
                            i64 steps, int ties, double* gradient) {
    const i64 item = i64(blockIdx.x) * blockDim.x + threadIdx.x;
    if (item >= items) return;
    const i64 list = lists[item], begin = offsets[list];
    const bool counts = relevance[item] == relevance[item];
    double slope = 0.0;
    const Level level = level_of(relevance, item, begin, offsets[list + 1], steps, ties);
    if (counts && broken[list]) {
        slope = not_a_number();
    } else if (counts && level.list_end - begin > 1) {
        const double own = ties == AVERAGE ? level_masses[level.first] : step_masses[item];
        slope = own * exp(difference(scores[item], tops[level.first])) - level.share;
        if (level.first > begin && taken_masses[level.first - 1] > 0.0) {
            const i64 before = level.first - 1;
            slope += taken_masses[before] * exp(difference(scores[item], -taken_tops[before]));
        }
    }
    gradient[places[item]] = slope;
}

enum Target { SOFTMAX, RAW };

// A sum of exponentials relative to the largest number.
struct Softmax {
    double top, mass;
};
__device__ __forceinline__ Softmax joined(Softmax a, Softmax b) {
    if (a.mass == 0.0) return b;
    if (b.mass == 0.0) return a;
    const double top = a.top > b.top ? a.top : b.top;
    return {top, a.mass * exp(difference(a.top, top)) + b.mass * exp(difference(b.top, top))};
}
__device__ __forceinline__ Softmax joined_in_warp(Softmax own) {
    for (int step = 16; step; step /= 2)
        own = joined(own, {__shfl_xor_sync(ALL_LANES, own.top, step), __shfl_xor_sync(ALL_LANES, own.mass, step)});
    return own;
}

// What a list or a unit of it has: its scores, its targets (a plain sum in the mass if they are raw), NaN among scores.
struct Entropy {
    Softmax scores, targets;
    double broken;
};
__device__ __forceinline__ Entropy entropy_of_warp(Entropy own, int target) {
    own.scores = joined_in_warp(own.scores);
    if (target == RAW) {
        own.targets.mass = sum_of_warp(own.targets.mass);
    } else {
        own.targets = joined_in_warp(own.targets);
    }
    own.broken = sum_of_warp(own.broken);
    return own;
}
__device__ __forceinline__ void store(const Entropy& own, double* out, i64 at, i64 length) {
    out[at] = own.scores.top, out[length + at] = own.scores.mass;
    out[2 * length + at] = own.targets.top, out[3 * length + at] = own.targets.mass, out[4 * length + at] = own.broken;
}
__device__ __forceinline__ Entropy load(const double* from, i64 at, i64 length) {
    return {{from[at], from[length + at]}, {from[2 * length + at], from[3 * length + at]}, from[4 * length + at]};
}
__device__ __forceinline__ Entropy no_entropy() { return {{-infinity(), 0.0}, {-infinity(), 0.0}, 0.0}; }
__device__ __forceinline__ void add(Entropy& own, const Entropy& other, int target) {
    own.scores = joined(own.scores, other.scores);
    if (target == RAW) {
        own.targets.mass += other.targets.mass;
    } else {
        own.targets = joined(own.targets, other.targets);
    }
    own.broken += other.broken;
}

__global__ void entropy_units(const void* scores, int scores_kind, const void* targets, int targets_kind,
                              const i64* rows, const i64* offsets, i64 count, i64 units, int target, double* partial) {
    const i64 unit = (i64(blockIdx.x) * blockDim.x + threadIdx.x) / 32;
    if (unit >= units) return;
    const Piece piece = piece_of(offsets, count, unit);
    Entropy own = no_entropy();
    for (i64 item = piece.begin + lane_of_thread(); item < piece.end; item += 32) {
        const i64 row = rows ? rows[item] : item;
        const double score = number_at(scores, scores_kind, row), wanted = number_at(targets, targets_kind, row);
        if (wanted != wanted) continue;
        if (score != score) {
            own.broken += 1.0;
            continue;
        }
        const Softmax goal = target == RAW ? Softmax{0.0, wanted} : Softmax{wanted, 1.0};
        add(own, {{score, 1.0}, goal, 0.0}, target);
    }
    own = entropy_of_warp(own, target);
    if (lane_of_thread() == 0) store(own, partial, unit, units);
}

// Also the mass of the targets of each list: 1 where they are a softmax, and for a list with NaN.
__global__ void entropy_lists(const double* partial, const i64* offsets, i64 count, i64 units, int target,
                              double* of_lists, double* masses) {
    const i64 list = (i64(blockIdx.x) * blockDim.x + threadIdx.x) / 32;
    if (list >= count) return;
    const i64 end = unit_of(offsets, list + 1);
    Entropy own = no_entropy();
    for (i64 unit = unit_of(offsets, list) + lane_of_thread(); unit < end; unit += 32)
        add(own, load(partial, unit, units), target);
    own = entropy_of_warp(own, target);
    if (lane_of_thread()) return;
    store(own, of_lists, list, count);
    masses[list] = own.broken > 0.0 || (target == SOFTMAX && own.targets.mass > 0.0) ? 1.0 : own.targets.mass;
}

__global__ void entropy_terms(const void* scores, int scores_kind, const void* targets, int targets_kind,
                              const i64* rows, const i64* offsets, i64 count, i64 units, int target,
                              const double* of_lists, double* partial, double* gradient) {
    const i64 unit = (i64(blockIdx.x) * blockDim.x + threadIdx.x) / 32;
    if (unit >= units) return;
    const Piece piece = piece_of(offsets, count, unit);
    const Entropy list = load(of_lists, piece.list, count);
    const double top = list.scores.top, log_mass = log(list.scores.mass), mass = list.targets.mass;
    double sum = 0.0;
    for (i64 item = piece.begin + lane_of_thread(); item < piece.end; item += 32) {
        const i64 row = rows ? rows[item] : item;
        const double score = number_at(scores, scores_kind, row), wanted = number_at(targets, targets_kind, row);
        double slope = 0.0;
        if (wanted == wanted && list.broken > 0.0) {
            slope = sum = not_a_number();
        } else if (wanted == wanted && mass != 0.0) {
            const double share = exp(difference(score, top)) / list.scores.mass;
            const double goal = target == RAW ? wanted : exp(wanted - list.targets.top) / mass;
            const double surprise = fabs(top) < infinity() ? (top - score) + log_mass : -log(share);
            // A target of 0 takes no part, whatever the score.
            if (goal != 0.0) sum += goal * surprise;
            slope = (target == RAW ? mass : 1.0) * share - goal;
        }
        if (gradient) gradient[row] = slope;
    }
    sum = sum_of_warp(sum);
    if (lane_of_thread() == 0) partial[unit] = sum;
}
