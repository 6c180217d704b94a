// What kernels that mine pairs share: a row of a tile, the limits of closeness of its results, and exact scores where
// the values of the tile do not tell.
//
// Closeness is the score, or a negated distance: larger is nearer. Comparisons are those of exact scores in float64. A
// tile (`rows.Tiles`) has an interval for each pair, which mostly decides; the few pairs left are scored by half a warp
// each.
#pragma once
#include "bound.cuh"
#include "roles.cuh"
#include "score.cuh"

// A tile: sums, rows of x and y, and its place; `begin` is the row of the first result.
#define TILE_PARAMETERS(T)                                                                                         \
    const float *sums, i64 tile_rows, i64 tile_columns, const T *x, const T *y, const Facts *x_facts,              \
        const Facts *y_facts, const Traits *x_traits, const Traits *y_traits, i64 width, int metric, float factor, \
        i64 first_row, i64 first_column, i64 all_columns, i64 begin
#define LINE(T, i)                                                                                      \
    Line<T> {                                                                                           \
        sums + (i) * tile_columns, tile_columns, x + (i) * width, y, facts_of_row(x_facts, i), y_facts, \
            x_traits ? x_traits[i] : Traits{}, y_traits, width, Metric(metric), factor, first_column,   \
            ROLES(all_columns), ROLES(all_columns).row(first_row + (i))                                 \
    }

// A row of x with the rows of y of a tile.
template <class T>
struct Line {
    const float* sums;
    i64 columns;
    const T *x, *y;
    Facts x_facts;
    const Facts* y_facts;
    Traits x_traits;
    const Traits* y_traits;
    i64 width;
    Metric metric;
    float factor;
    i64 first_column;
    Roles roles;
    RoleRow row;

    __device__ __forceinline__ bool largest() const { return !is_distance(metric); }

    __device__ __forceinline__ bool has(int role, i64 j) const {
        return j < columns && roles.of(row, roles.column(first_column + j)) == role;
    }

    // Between what the closeness is, as values of the tile are.
    __device__ __forceinline__ Interval interval(i64 j) const {
        const Traits other = y_traits ? y_traits[j] : Traits{};
        return interval_of_pair(metric, false, factor, sums[j], x_traits, other);
    }

    // The exact closeness; for all 16 lanes of a pair.
    __device__ __forceinline__ double key(i64 j) const {
        return key_of_score(largest(),
                            score_of_rows(metric, x, y + j * width, width, x_facts, facts_of_row(y_facts, j)));
    }
};

// References of results (null: 0), where the results of each row begin (null: one each), limits around a reference and
// whether they are inside, and the closeness that none reaches.
#define BAND_PARAMETERS                                                                                               \
    const double *reference_of, const i64 *offsets, double lower, double upper, bool closed_below, bool closed_above, \
        double ceiling
#define BAND \
    Band { reference_of, offsets, lower, upper, closed_below, closed_above, ceiling }

struct Limits {
    double lower, upper;
    bool closed_below, closed_above;
    float lower_floor, lower_ceiling, upper_floor, upper_ceiling;  // around the values that these have in tiles

    __device__ __forceinline__ bool hold(double key) const {
        return (key > lower || (closed_below && key == lower)) && (key < upper || (closed_above && key == upper));
    }
    __device__ __forceinline__ bool surely_hold(const Interval& pair) const {
        return pair.low > lower_ceiling && pair.high < upper_floor;
    }
    __device__ __forceinline__ bool may_hold(const Interval& pair) const {
        return pair.high >= lower_floor && pair.low <= upper_ceiling;
    }
};

struct Band;
__device__ Limits limits_of(Metric metric, const Band& band, double reference);

struct Band {
    const double* references;
    const i64* offsets;
    double lower, upper;
    bool closed_below, closed_above;
    double ceiling;

    // Where the results of a row begin, the first row being 0.
    __device__ __forceinline__ i64 first_result(i64 row) const { return offsets ? offsets[row] : row; }

    __device__ __forceinline__ Limits of(i64 result, Metric metric) const {
        return limits_of(metric, *this, references ? references[result] : 0.0);
    }
};

// The limits around a reference. An infinite offset is no limit, so infinite closenesses are inside; nothing is around
// what is no number. A call of its own, since there are hyperbolic functions in it.
__device__ __noinline__ Limits limits_of(Metric metric, const Band& band, double reference) {
    const bool below = band.lower == -infinity(), above = band.upper == infinity(), largest = !is_distance(metric);
    Limits limits{};
    limits.lower = below ? band.lower : reference + band.lower;
    limits.upper = above ? band.upper : reference + band.upper;
    limits.closed_below = band.closed_below || below;
    limits.closed_above = band.closed_above || above;
    if (isnan(reference)) limits.lower = infinity(), limits.upper = -infinity();
    if (band.ceiling < infinity() && band.ceiling <= limits.upper) {
        limits.upper = band.ceiling;
        limits.closed_above = false;
    }
    const double lower = value_of_key(metric, largest, limits.lower);
    const double upper = value_of_key(metric, largest, limits.upper);
    limits.lower_floor = __double2float_rd(lower), limits.lower_ceiling = __double2float_ru(lower);
    limits.upper_floor = __double2float_rd(upper), limits.upper_ceiling = __double2float_ru(upper);
    return limits;
}
