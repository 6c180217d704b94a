// What a column is to a row: positive, negative, or ignored.
//
// A kernel takes ROLE_PARAMETERS among its own and makes `ROLES(columns)` of them; `bits.role_arguments` in Python
// makes the arguments. Rows and columns are read once, and each pair of them costs a few comparisons.
#pragma once
#include "common.cuh"

enum Role { IGNORED = 0, POSITIVE = 1, NEGATIVE = 2 };

// How positives, or ignored pairs, are told.
enum Told { NOWHERE = 0, DIAGONAL = 1, BY_COLUMN = 2, BY_LABEL = 3, BY_BOOLS = 4, BY_BITS = 5 };

#define ROLE_PARAMETERS                                                                                            \
    int positives_told, const void *positives_x, const i64 *positives_y, const i64 *own_columns, int ignored_told, \
        const u8 *ignored_pairs, const i64 *groups_x, const i64 *groups_y, const i64 *ids_x, const i64 *ids_y
#define ROLES(columns)                                                                                         \
    Roles {                                                                                                    \
        columns, positives_told, positives_x, positives_y, own_columns, ignored_told, ignored_pairs, groups_x, \
            groups_y, ids_x, ids_y                                                                             \
    }

// Whether pair (row, column) of `columns` in a row is in a mask: bools, or bits with the first of eight highest.
__device__ __forceinline__ bool in_mask(const u8* mask, int told, i64 row, i64 column, i64 columns) {
    if (told == BY_BOOLS) return mask[row * columns + column] != 0;
    return mask[row * ((columns + 7) / 8) + column / 8] >> (7 - column % 8) & 1;
}

struct RoleRow {
    i64 index, positive, own, group, id;
};
struct RoleColumn {
    i64 index, positive, group, id;
};

struct Roles {
    i64 columns;
    int positives_told;
    const void* positives_x;
    const i64* positives_y;
    const i64* own_columns;
    int ignored_told;
    const u8* ignored_pairs;
    const i64 *groups_x, *groups_y, *ids_x, *ids_y;

    __device__ __forceinline__ RoleRow row(i64 i) const {
        const bool listed = positives_told == BY_COLUMN || positives_told == BY_LABEL;
        const i64 positive = listed ? static_cast<const i64*>(positives_x)[i] : positives_told == DIAGONAL ? i : -1;
        return {i, positive, own_columns ? own_columns[i] : -1, groups_x ? groups_x[i] : 0, ids_x ? ids_x[i] : 0};
    }

    __device__ __forceinline__ RoleColumn column(i64 j) const {
        const i64 positive = positives_told == BY_LABEL ? positives_y[j] : j;
        return {j, positive, groups_y ? groups_y[j] : 0, ids_y ? ids_y[j] : 1};
    }

    __device__ __forceinline__ Role of(const RoleRow& x, const RoleColumn& y) const {
        if (x.own == y.index || x.group != y.group) return IGNORED;
        if (ignored_told && in_mask(ignored_pairs, ignored_told, x.index, y.index, columns)) return IGNORED;
        const bool masked = positives_told >= BY_BOOLS;
        if (masked ? in_mask(static_cast<const u8*>(positives_x), positives_told, x.index, y.index, columns)
                   : x.positive == y.positive)
            return POSITIVE;
        return x.id == y.id ? IGNORED : NEGATIVE;
    }

    __device__ __forceinline__ Role of(i64 i, i64 j) const { return of(row(i), column(j)); }
};
