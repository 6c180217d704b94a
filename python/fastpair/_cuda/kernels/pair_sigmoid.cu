// Independent logistic losses of all pairs of a row: f+ sum log(1 + e^-z) over positives plus f- sum log(1 + e^z) over
// negatives, z = scale s + bias. Cost: one sweep over each row, which also writes the derivatives.
//
//: sigmoid<float>, sigmoid<double>
#include "pair_loss.cuh"

template <class T>
__global__ void __launch_bounds__(MOST_THREADS)
    sigmoid(ROW_PARAMETERS(T), ROLE_PARAMETERS, double scale, double bias, double positive_factor,
            double negative_factor, const double* pair_weights, bool finite_count) {
    Row<T> row = ROW(T);
    double value = 0.0, of_scale = 0.0, of_bias = 0.0, counted = 0.0, sum = 0.0;
    for (i64 j = threadIdx.x; j < row.all; j += blockDim.x) {
        const Role role = row.role_of(j);
        double slope = 0.0, s = 0.0;
        if (role != IGNORED) {
            s = row.similarity(j);
            const bool absent = s == minus_infinity();
            counted += !(finite_count && absent);
            if (!absent) {
                const double sign = role == POSITIVE ? -1.0 : 1.0;
                double weight = role == POSITIVE ? positive_factor : negative_factor;
                if (pair_weights) weight *= pair_weights[row.index * row.all + j];
                double of_one;
                value += weight * softplus(T((scale * s + bias) * sign), of_one);
                slope = row.factor * of_one * weight * sign;
                of_scale += slope * s;
                of_bias += slope;
            }
        }
        if (row.with_gradient()) row.write(j, slope * scale, s, sum);
    }
    if (sum_of_block(counted) == 0.0) return row.skip();
    value = sum_of_block(value);
    of_scale = sum_of_block(of_scale);
    of_bias = sum_of_block(of_bias);
    row.keep_sum(sum);
    row.finish(value, of_scale, of_bias);
}
