// Softmax losses of rows of similarities: the log of a sum of exponentials over columns less the logits of positives.
//
// L_j = s_j / temperature + log w_j, log Z = log(sum of e^(L_j)) over the columns that count; with positives p the
// value is the mean of log Z - L_p, or another way to make one of several, or log Z - sum T_j L_j for targets T. Logits
// are float64, exponentials have the precision of similarities. Cost: one sweep over each row for the value, one for
// the derivatives, and one between them where positives are separate.
//
//: softmax<float>, softmax<double>
#include "pair_loss.cuh"

enum Several { MEAN = 0, LOG_SUM = 1, LOG_MEAN = 2, SEPARATE = 3 };

// What a column is to its row: its similarity after margins, the derivative of that, and the logit.
struct Column {
    Role role;
    double similarity, derivative, logit;
};

struct Softmax {
    double temperature, inverse;
    const double *column_weights, *pair_weights, *targets;
    double margin, arc_margin;

    // The similarity of a positive with its margin, and the derivative.
    __device__ void add_margin(Column& column) const {
        const double s = column.similarity, pi = 3.14159265358979323846;
        if (arc_margin == 0.0) {
            column.similarity = s - margin;
            return;
        }
        const double angle = acos(s < -1.0 ? -1.0 : s > 1.0 ? 1.0 : s);
        if (angle > pi - arc_margin) {
            column.similarity = s - arc_margin * sin(arc_margin) - margin;
            return;
        }
        // At an angle of 0 the derivative is infinite; there it is that of the nearest angle that can be told from it.
        const double sine = sin(angle);
        column.similarity = cos(angle + arc_margin) - margin;
        column.derivative = sin(angle + arc_margin) / (sine > 1e-6 ? sine : 1e-6);
    }

    template <class T>
    __device__ __forceinline__ Column look(const Row<T>& row, i64 index) const {
        Column column{row.role_of(index), 0.0, 1.0, 0.0};
        if (column.role == IGNORED) return column;
        column.similarity = row.similarity(index);
        const bool positive = column.role == POSITIVE && !targets;
        if (positive && (margin != 0.0 || arc_margin != 0.0)) add_margin(column);
        column.logit = column.similarity * inverse;
        if (column_weights || pair_weights) {
            double weight = pair_weights ? pair_weights[row.index * row.all + index] : 1.0;
            if (column_weights && !positive) weight *= column_weights[index];
            if (weight == 0.0) column.role = IGNORED;
            column.logit += log(weight);
        }
        return column;
    }
};

// `finite_count` says that columns of similarity -inf, which no pair of embeddings has, are not counted.
template <class T>
__global__ void __launch_bounds__(MOST_THREADS)
    softmax(ROW_PARAMETERS(T), ROLE_PARAMETERS, const double* temperatures, double temperature,
            const double* column_weights, const double* pair_weights, const double* positive_factors,
            const double* targets, bool normalize_targets, bool include_positive, bool needs_negatives, int several,
            bool finite_count, double smoothing, double margin, double arc_margin, double focal_gamma,
            bool detach_focal) {
    Row<T> row = ROW(T);
    if (temperatures) temperature = temperatures[row.index];
    const double inverse = 1.0 / temperature;
    const Softmax loss{temperature, inverse, column_weights, pair_weights, targets, margin, arc_margin};
    const double* const target = targets ? targets + row.index * row.all : nullptr;
    const bool in_sum = targets || (include_positive && several != SEPARATE);
    const bool by_logs = several == LOG_SUM || several == LOG_MEAN;

    LogSum<T> z, own;
    double positives = 0.0, counted = 0.0, of_positives = 0.0, of_all = 0.0, present = 0.0, weight = 0.0;
    for (i64 j = threadIdx.x; j < row.all; j += blockDim.x) {
        const Column column = loss.look(row, j);
        if (column.role == IGNORED) continue;
        const bool positive = !targets && column.role == POSITIVE, finite = column.similarity > minus_infinity();
        if (in_sum || !positive) z.add(column.logit);
        if (target) {
            if (target[j] != 0.0 && !(column.similarity == minus_infinity())) {
                weight += target[j];
                of_positives += target[j] * column.logit;
            }
            continue;
        }
        counted += !finite_count || !(column.similarity == minus_infinity());
        if (positive) {
            positives += 1.0;
            of_positives += column.logit;
            if (by_logs) own.add(column.logit);
        }
        if (smoothing > 0.0 && (positive || finite)) {
            of_all += column.logit;
            present += 1.0;
        }
    }
    z.combine();
    of_positives = sum_of_block(of_positives);
    if (target) {
        weight = sum_of_block(weight);
        if (weight == 0.0) return row.skip();
    } else {
        positives = sum_of_block(positives);
        counted = sum_of_block(counted);
        const bool alone = positives == counted;
        if (positives == 0.0 || (alone && (needs_negatives || !include_positive))) return row.skip();
        if (by_logs) own.combine();
        if (smoothing > 0.0) of_all = sum_of_block(of_all), present = sum_of_block(present);
    }

    // The value; by what the softmax is multiplied, and what is taken from targets or positives.
    double value, of_softmax = 1.0, taken;
    double surplus = 0.0;
    if (target) {
        taken = normalize_targets ? 1.0 / weight : 1.0;
        of_softmax = weight * taken;
        value = of_softmax * log(z.sum) + (of_softmax * z.most - of_positives * taken);
    } else if (several == SEPARATE) {
        const double log_z = z.value();
        double mean = 0.0, slope = 0.0;
        for (i64 j = threadIdx.x; j < row.all; j += blockDim.x) {
            const Column column = loss.look(row, j);
            if (column.role != POSITIVE) continue;
            double of_one;
            mean += softplus(log_z - column.logit, of_one);
            slope += of_one;
        }
        value = sum_of_block(mean) / positives;
        of_softmax = sum_of_block(slope) / positives;
        taken = 1.0 / positives;
    } else {
        const double part = (positive_factors ? positive_factors[row.index] : 1.0) * (1.0 - smoothing);
        taken = by_logs ? part : part / positives;
        const double logit = by_logs ? own.most : of_positives / positives;
        const double shared = smoothing > 0.0 ? smoothing * ((of_all - present * z.most) / counted + z.most) : 0.0;
        // What the largest logit itself adds: nothing, unless the positive term has a factor.
        surplus = positive_factors ? 1.0 - part - smoothing : 0.0;
        value = log(z.sum) + (z.most - part * logit - shared);
        if (by_logs) value -= part * (log(own.sum) - (several == LOG_MEAN ? log(positives) : 0.0));
        if (by_logs && own.sum == 0.0) value = not_a_number();  // no difference of positives that are all -inf
    }
    double outer = 1.0;
    if (focal_gamma != 0.0) {
        const double v = value > 0.0 ? value : 0.0, rest = -expm1(-v), power = pow(rest, focal_gamma);
        outer = power;
        // As v falls to 0, (1 - p)^(gamma - 1) v falls like v^gamma.
        if (!detach_focal && rest != 0.0) outer += focal_gamma * power / rest * exp(-v) * v;
        value *= power;
    }
    if (!row.with_gradient()) return row.finish(value, 0.0, 0.0);

    const double factor = row.factor * outer * inverse;
    const double of_sum = factor * of_softmax * z.inverse(), of_own = own.inverse();
    const double share = smoothing > 0.0 ? factor * smoothing / counted : 0.0;
    const double shift = z.most > minus_infinity() ? z.most * temperature : 0.0;
    const bool strange = !(value == value);
    double product = 0.0, sum = 0.0;
    for (i64 j = threadIdx.x; j < row.all; j += blockDim.x) {
        const Column column = loss.look(row, j);
        double slope = 0.0;
        if (column.role != IGNORED) {
            const bool positive = !targets && column.role == POSITIVE;
            const bool finite = column.similarity > minus_infinity();
            if (in_sum || !positive) slope = of_sum * z.exponent(column.logit);
            if (target && finite) slope -= factor * taken * target[j];
            if (finite || (positive && !in_sum)) slope -= share;
            if (positive) {
                double part = taken;
                if (by_logs) part *= own.exponent(column.logit) * of_own;
                if (several == SEPARATE) {
                    double of_one;
                    softplus(z.value() - column.logit, of_one);
                    part *= of_one;
                }
                slope -= part * factor;
            }
            if (slope != 0.0) product += slope * (column.similarity - shift);
            slope *= column.derivative;
        }
        row.write(j, strange ? value : slope, column.similarity, sum);
    }
    product = sum_of_block(product) + factor * surplus * shift;
    row.keep_sum(sum);
    row.finish(value, strange ? value : -product * inverse, strange ? value : 0.0);
}
