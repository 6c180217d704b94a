// How the sums of lists become a value: terms and scales of lists, then, once all are added up, the divisor.
#include "lists.cuh"

//: weigh_lists, divide_lists

// A list counts if its size is above 0. Rows of `columns`: its term, its size, and 1.
__global__ void weigh_lists(const double* sums, const void* sizes, int sizes_kind, const double* weights, i64 count,
                            int by_size, double* scales, double* columns) {
    const i64 list = i64(blockIdx.x) * blockDim.x + threadIdx.x;
    if (list >= count) return;
    const double size = number_at(sizes, sizes_kind, list);
    const bool counts = size > 0.0;
    double scale = counts ? by_size ? 1.0 / size : 1.0 : 0.0;
    if (weights) scale *= weights[list];
    scales[list] = scale;
    // A list that is left out, or has no weight, is left out even if its sum is infinite or NaN.
    columns[list] = scale != 0.0 ? sums[list] * scale : 0.0;
    columns[count + list] = counts ? size : 0.0;
    columns[2 * count + list] = counts;
}

enum Divisor { NOTHING, SIZES, VALID, ALL };

// `totals` are the sums of the columns. With `upstream` scales are multiplied instead.
__global__ void divide_lists(const double* totals, const double* upstream, i64 count, int kind, double* scales,
                             double* value) {
    const i64 list = i64(blockIdx.x) * blockDim.x + threadIdx.x;
    double divisor = 1.0;
    if (kind == SIZES) divisor = totals[1];
    if (kind == VALID) divisor = totals[2];
    if (kind == ALL) divisor = double(count);
    if (!(totals[2] > 0.0)) divisor = 1.0;  // all scales are 0
    if (list == 0) *value = totals[0] / divisor;
    if (list < count) scales[list] = upstream ? scales[list] * upstream[list] : scales[list] / divisor;
}
