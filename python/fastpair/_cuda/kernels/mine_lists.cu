// One number for each list of scores: the smallest, the largest, or the mean; of an empty list, not a number.
//
// A thread takes a list and reads it in order, so that sums have the bits of the kernels for processors. Cost: one read
// of the scores.
//
//: score_of_lists
#include "common.cuh"

enum Reduction { SMALLEST, LARGEST, MEAN };

__global__ void score_of_lists(const i64* starts, i64 lists, const double* scores, int reduction, double* out) {
    const i64 list = i64(blockIdx.x) * blockDim.x + threadIdx.x;
    if (list >= lists) return;
    const i64 begin = starts[list], end = starts[list + 1];
    double result = 0.0;
    for (i64 i = begin; i < end; ++i) {
        const double score = scores[i];
        if (reduction == MEAN) {
            result += score;
        } else if (i == begin || isnan(result) || (reduction == SMALLEST ? score < result : score > result)) {
            result = score;
        }
    }
    out[list] = begin == end ? not_a_number() : reduction == MEAN ? result / double(end - begin) : result;
}
