// Which pairs count: masks, lists of excluded columns, labels, limits of the score. Asked only of the pairs that a
// filter lets through.
#pragma once
#include "common.cuh"

// As `_cuda/rules.py` writes it: words of eight bytes, null where there is no such rule.
struct Rules {
    i64 offset;        // the index of the first row of y
    i64 exclude_self;  // whether row i of x must not be paired with the row of y of index i
    const u8* mask;
    i64 mask_stride;   // bytes from a row of the mask to the next, 0 if it has one row for all
    i64 mask_of_bits;  // eight columns a byte, the first one highest; otherwise one a byte
    const i64* exclude_starts;
    const i64* excluded;  // indices, ascending for each row of x
    const i64* x_labels;
    const i64* y_labels;
    i64 same_label;  // whether labels must be the same, or else must differ
    const double* min_score;
    const double* max_score;
};

__device__ __forceinline__ bool is_excluded(const Rules& rules, i64 row, i64 index) {
    i64 begin = rules.exclude_starts[row], end = rules.exclude_starts[row + 1];
    const i64 last = end;
    while (begin < end) {
        const i64 middle = begin + (end - begin) / 2;
        if (rules.excluded[middle] < index) {
            begin = middle + 1;
        } else {
            end = middle;
        }
    }
    return begin < last && rules.excluded[begin] == index;
}

// Whether row `row` of x may be paired with row `column` of y, whatever their score.
__device__ __forceinline__ bool admits(const Rules& rules, i64 row, i64 column) {
    if (rules.exclude_self && row == rules.offset + column) return false;
    if (rules.mask) {
        const u8* const own = rules.mask + row * rules.mask_stride;
        if (!(rules.mask_of_bits ? own[column / 8] >> (7 - column % 8) & 1 : own[column])) return false;
    }
    if (rules.x_labels && (rules.x_labels[row] == rules.y_labels[column]) != (rules.same_label != 0)) return false;
    return !rules.exclude_starts || !is_excluded(rules, row, rules.offset + column);
}

__device__ __forceinline__ double least_score(const Rules& rules, i64 row) {
    return rules.min_score ? rules.min_score[row] : -infinity();
}
__device__ __forceinline__ double most_score(const Rules& rules, i64 row) {
    return rules.max_score ? rules.max_score[row] : infinity();
}
