// The hard-negative contrastive loss (Robinson et al. 2021), debiased (Chuang et al. 2020), of rows of similarities.
//
// With N negatives of logits L_j = s_j / t: R = N sum e^((1 + beta) L) / sum e^(beta L), M = max((R - tau N e^(L+)) /
// (1 - tau), N e^(-1 / t)), value log(1 + M e^(-L+)), all by logarithms. Cost: two sweeps over each row.
//
//: hard_negatives<float>, hard_negatives<double>
#include "pair_loss.cuh"

template <class T>
__global__ void __launch_bounds__(MOST_THREADS)
    hard_negatives(ROW_PARAMETERS(T), ROLE_PARAMETERS, const double* temperatures, double temperature, double beta,
                   double tau_plus, bool detach_weights, bool finite_count) {
    Row<T> row = ROW(T);
    const double inverse = 1.0 / (temperatures ? temperatures[row.index] : temperature);
    LogSum<T> hard, soft;
    double positives = 0.0, negatives = 0.0, own = 0.0;
    for (i64 j = threadIdx.x; j < row.all; j += blockDim.x) {
        const Role role = row.role_of(j);
        if (role == IGNORED) continue;
        const double s = row.similarity(j);
        if (role == POSITIVE) {
            positives += 1.0;
            own += s;
        } else {
            negatives += !(finite_count && s == minus_infinity());
            hard.add((1.0 + beta) * inverse * s);
            if (beta != 0.0) soft.add(beta * inverse * s);
        }
    }
    positives = sum_of_block(positives);
    negatives = sum_of_block(negatives);
    if (positives != 1.0 || negatives == 0.0) return row.skip();
    own = sum_of_block(own);
    hard.combine();
    if (beta != 0.0) soft.combine();

    const double logit = own * inverse, log_count = log(negatives);
    // With beta 0 all weigh the same, also those of similarity -inf.
    const double of_weights = beta != 0.0 ? soft.value() : log_count;
    const double ratio = log_count + (hard.value() - of_weights) - logit;
    // log(max(...) e^-L+), and its derivatives by `ratio` and by log N - 1/t - L+.
    const double share = tau_plus * exp(log_count - ratio);
    const bool within = share < 1.0;
    const double debiased = within ? ratio + log1p(-share) - log1p(-tau_plus) : minus_infinity();
    const double least = log_count - inverse - logit;
    const bool clamped = debiased < least;
    double slope;
    double value = softplus(clamped ? least : debiased, slope);
    if (!(own == own && hard.sum == hard.sum)) value = not_a_number();
    if (!row.with_gradient()) return row.finish(value, 0.0, 0.0);

    const double factor = row.factor * inverse, of_ratio = clamped ? 0.0 : within ? slope / (1.0 - share) : 0.0;
    const double weighted = detach_weights ? 0.0 : beta;
    const double of_hard = factor * of_ratio * (1.0 + weighted) * hard.inverse();
    const double of_soft = weighted != 0.0 ? factor * of_ratio * weighted * soft.inverse() : 0.0;
    const double taken = factor * (clamped ? slope : of_ratio);
    // Without the clamp the slopes add up to 0, and differences from the largest similarity lose nothing.
    const double origin = clamped ? 0.0 : hard.most / ((1.0 + beta) * inverse);
    const bool strange = !(value == value);
    double product = 0.0, sum = 0.0;
    for (i64 j = threadIdx.x; j < row.all; j += blockDim.x) {
        const Role role = row.role_of(j);
        double own_slope = 0.0, s = 0.0;
        if (role != IGNORED) {
            s = row.similarity(j);
            if (role == POSITIVE) {
                own_slope = -taken;
            } else {
                own_slope = of_hard * hard.exponent((1.0 + beta) * inverse * s);
                if (weighted != 0.0) own_slope -= of_soft * soft.exponent(beta * inverse * s);
            }
            if (own_slope != 0.0) product += own_slope * (s - origin);
        }
        row.write(j, strange ? value : own_slope, s, sum);
    }
    product = sum_of_block(product);
    if (clamped) product -= factor * slope;  // e^(-1 / t) itself
    row.keep_sum(sum);
    row.finish(value, strange ? value : -product * inverse, strange ? value : 0.0);
}
