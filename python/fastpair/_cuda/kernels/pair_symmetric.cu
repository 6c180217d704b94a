// The softmax loss of aligned rows in both directions (CLIP): first what each column sums up to, then each row with
// that beside it. Cost: one sweep over all rows for the columns, two over each row.
//
//: column_sums<float>, column_sums<double>, symmetric<float>, symmetric<double>
#include "pair_loss.cuh"

constexpr int LANES = 32, LINES = 8;

// What is known of a column: the largest logit, the sum of e^(logit - largest), one over it, and the sum with the
// differences as factors.
struct ColumnState {
    double most, sum, inverse, moment;
};

template <class T>
struct Moments {
    double most = minus_infinity(), sum = 0.0, moment = 0.0;

    // Adds what another one has seen.
    __device__ __forceinline__ void merge(double other_most, double other_sum, double other_moment) {
        if (other_most == minus_infinity()) return;
        if (most == minus_infinity()) {
            most = other_most, sum = other_sum, moment = other_moment;
            return;
        }
        const double larger = Larger()(most, other_most), moved = most - larger, other_moved = other_most - larger;
        const double decay = exp(moved), other_decay = exp(other_moved);
        moment = decay * (moment + sum * moved) + other_decay * (other_moment + other_sum * other_moved);
        sum = sum * decay + other_sum * other_decay;
        most = larger;
    }

    __device__ __forceinline__ void add(double logit) {
        if (logit > most) {
            merge(logit, 1.0, 0.0);
        } else {
            const double exponent = double(exponential(T(logit - most)));
            sum += exponent;
            moment += exponent * (logit - most);
        }
    }
};

// Adds some rows to the states of all columns. A block takes 32 columns, each thread every eighth row of one.
template <class T>
__global__ void column_sums(const T* similarities, i64 rows, i64 columns, i64 first_row, const double* x_scales,
                            const double* y_scales, double temperature, ColumnState* states) {
    __shared__ ColumnState room[LINES][LANES];
    const int lane = threadIdx.x % LANES, line = threadIdx.x / LANES;
    const i64 column = i64(blockIdx.x) * LANES + lane;
    const double inverse = 1.0 / temperature;
    Moments<T> own;
    if (column < columns) {
        const double scale = y_scales ? y_scales[column] : 1.0;
        for (i64 row = line; row < rows; row += LINES) {
            double s = double(similarities[row * columns + column]);
            if (x_scales) s *= x_scales[first_row + row] * scale;
            own.add(s * inverse);
        }
    }
    room[line][lane] = {own.most, own.sum, 0.0, own.moment};
    __syncthreads();
    if (line || column >= columns) return;
    Moments<T> all;
    all.merge(states[column].most, states[column].sum, states[column].moment);
    for (int other = 0; other < LINES; ++other)
        all.merge(room[other][lane].most, room[other][lane].sum, room[other][lane].moment);
    states[column] = {all.most, all.sum, 1.0 / all.sum, all.moment};
}

template <class T>
__global__ void __launch_bounds__(MOST_THREADS)
    symmetric(ROW_PARAMETERS(T), ROLE_PARAMETERS, double temperature, const ColumnState* states) {
    Row<T> row = ROW(T);
    if (row.all < 2) return row.skip();
    const double inverse = 1.0 / temperature;
    LogSum<T> of_row;
    for (i64 j = threadIdx.x; j < row.all; j += blockDim.x) of_row.add(row.similarity(j) * inverse);
    of_row.combine();
    const double own = row.similarity(row.index) * inverse;
    const ColumnState of_column = states[row.index];
    const double value = 0.5 * ((of_row.most - own + log(of_row.sum)) + (of_column.most - own + log(of_column.sum)));
    if (!row.with_gradient()) return row.finish(value, 0.0, 0.0);

    __syncthreads();  // before the similarity of the positive, which all have read, is overwritten
    const double half = 0.5 * inverse, of_sum = of_row.inverse();
    double moment = 0.0, sum = 0.0;
    for (i64 j = threadIdx.x; j < row.all; j += blockDim.x) {
        const double s = row.similarity(j), logit = s * inverse;
        const double of_one = of_row.exponent(logit) * of_sum;
        moment += of_one == 0.0 ? 0.0 : of_one * (logit - of_row.most);
        const double other = double(exponential(T(logit - states[j].most))) * states[j].inverse;
        double slope = half * (row.factor * of_one + (factors ? factors[j] : 1.0) * other);
        if (j == row.index) slope -= row.factor * inverse;
        row.write(j, slope, s, sum);
    }
    // By the temperature: the mean logits of row and column less the positive's.
    moment = sum_of_block(moment) + of_column.moment / of_column.sum + (of_row.most - own) + (of_column.most - own);
    row.keep_sum(sum);
    row.finish(value, -0.5 * row.factor * moment * inverse, 0.0);
}
