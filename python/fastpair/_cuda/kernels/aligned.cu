// Pair losses of positives and their own negatives: row i of positives against k negatives.
//
// A row has as many lanes of a warp as it has use for, 1 to 32. One pass reads all scores and writes the derivatives.
#include "lists.cuh"
#include "surrogate.cuh"

//: aligned_terms<float,NarrowLogistic>, aligned_terms<float,NarrowSigmoid>, aligned_terms<float,NarrowExponential>
//: aligned_terms<float,Hinge>, aligned_terms<float,SquaredHinge>, aligned_terms<float,Square>
//: aligned_terms<float,Barrier>, aligned_terms<double,Logistic>, aligned_terms<double,Sigmoid>
//: aligned_terms<double,Exponential>, aligned_terms<double,Hinge>, aligned_terms<double,SquaredHinge>
//: aligned_terms<double,Square>, aligned_terms<double,Barrier>

template <class Slope, class Formula>
__global__ void aligned_terms(const void* pos, int pos_kind, const void* neg, int neg_kind, i64 rows, i64 width,
                              int lanes, double shift, double factor, double steep, double kink, double* sums,
                              Slope* on_pos, Slope* on_neg) {
    const Options options = {shift, factor, steep, kink};
    const i64 row = (i64(blockIdx.x) * blockDim.x + threadIdx.x) / lanes;
    const int lane = threadIdx.x % lanes;
    const u32 group = lanes == 32 ? ALL_LANES : ((1u << lanes) - 1u) << (lane_of_thread() / lanes * lanes);
    if (row >= rows) return;
    const double score = number_at(pos, pos_kind, row);
    double sum = 0.0, pull = 0.0;
    for (i64 column = lane; column < width; column += lanes) {
        const double other = number_at(neg, neg_kind, row * width + column);
        // Equal infinities tie; NaN stays.
        const double x = score == score && other == other ? argument_of(score, other, options) : not_a_number();
        Terms terms = {x, x};
        if (x == x) terms = terms_at<Formula>(x, options);
        sum += terms.value;
        pull += terms.slope;
        if (on_neg) on_neg[row * width + column] = Slope(terms.slope * factor);
    }
    sum = sum_of_group(sum, lanes, group), pull = sum_of_group(pull, lanes, group);
    if (lane) return;
    sums[row] = sum;
    if (on_pos) on_pos[row] = Slope(-(pull * factor));
}
