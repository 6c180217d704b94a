// Embeddings on their way to similarities and back: norms of rows, distances from products, and gradients through both.
//
//: row_norms<Half>, row_norms<Bfloat16>, row_norms<float>, row_norms<double>
//: distances<float,Half>, distances<float,Bfloat16>, distances<float,float>, distances<double,double>
//: lead_back<float,Half>, lead_back<float,Bfloat16>, lead_back<float,float>, lead_back<double,double>
#include "common.cuh"
#include "metric.cuh"

// What the host has to know of all rows, as numbers that are 0 at first and only grow: how many rows there are from the
// first on that is not finite, the largest square, and the complement of the smallest but 0. Squares order like the
// integers of their bits.
struct Range {
    u64 bad, largest, smallest;
};

// The sum of squares of each row, and one over its root, 0 for rows of zeros. A warp takes a row.
template <class E>
__global__ void row_norms(const E* rows, i64 count, i64 width, double* squares, double* scales, Range* range) {
    const i64 row = i64(blockIdx.x) * (blockDim.x / 32) + warp_of_thread();
    if (row >= count) return;
    double square = 0.0;
    bool finite = true, zero = true;
    for (i64 k = lane_of_thread(); k < width; k += 32) {
        const double value = to_double(rows[row * width + k]);
        finite = finite && fabs(value) < infinity();
        zero = zero && value == 0.0;
        square += value * value;
    }
    finite = __all_sync(ALL_LANES, finite);
    zero = __all_sync(ALL_LANES, zero);
    square = sum_of_warp(square);
    if (lane_of_thread()) return;
    squares[row] = square;
    scales[row] = square > 0.0 ? 1.0 / sqrt(square) : 0.0;
    if (!finite) {
        atomicMax(&range->bad, u64(count - row));
        return;
    }
    const u64 bits = u64(__double_as_longlong(square));
    atomicMax(&range->largest, bits);
    // A row whose squares have all vanished is small, not 0.
    if (!zero) atomicMax(&range->smallest, ~bits);
}

// Squared distances below this part of |x|^2 + |y|^2 are taken from differences: of the products too little is left.
constexpr double CANCELLED = 1.0 / 32.0;

// Turns products into minus the distances. A warp takes 32 columns of a row, and one pair after the other where
// differences are needed. With `within`, y is x, and a row has no distance from itself.
template <class T, class E>
__global__ void distances(T* products, i64 columns, i64 first_row, const E* x, const E* y, i64 width,
                          const double* x_squares, const double* y_squares, bool root, bool within) {
    const i64 begin = i64(blockIdx.x) * blockDim.x + warp_of_thread() * 32, column = begin + lane_of_thread();
    const i64 row = first_row + blockIdx.y;
    T* const place = products + blockIdx.y * columns + column;
    double square = 0.0;
    bool cancelled = false;
    if (column < columns && !(within && column == row)) {
        const double both = x_squares[row] + y_squares[column];
        square = both - 2.0 * double(*place);
        cancelled = square < CANCELLED * both;
    }
    for (u32 left = __ballot_sync(ALL_LANES, cancelled); left; left &= left - 1) {
        const int lane = __ffs(int(left)) - 1;
        double sum = 0.0;
        for (i64 k = lane_of_thread(); k < width; k += 32) {
            const double apart = to_double(x[row * width + k]) - to_double(y[(begin + lane) * width + k]);
            sum += apart * apart;
        }
        sum = sum_of_warp(sum);
        if (lane == lane_of_thread()) square = sum;
    }
    if (column < columns) *place = T(-(root ? sqrt(square) : square));
}

// Leads gradients by the rows in products back to the rows: with scales through their norms; with sums of derivatives,
// of rows and of columns, through distances. A warp takes a row.
template <class T, class E>
__global__ void lead_back(T* gradient, const E* rows, i64 count, i64 width, const double* scales, const double* powers,
                          const double* row_sums, const T* column_sums) {
    const i64 row = i64(blockIdx.x) * (blockDim.x / 32) + warp_of_thread();
    if (row >= count) return;
    T* const out = gradient + row * width;
    const E* const own = rows + row * width;
    double factor = 0.0, power = 1.0;
    if (scales) {
        for (i64 k = lane_of_thread(); k < width; k += 32) factor += double(out[k]) * (to_double(own[k]) * scales[row]);
        factor = sum_of_warp(factor) * scales[row];
        if (powers) power = powers[row];
    }
    if (row_sums) factor += row_sums[row];
    if (column_sums) factor += double(column_sums[row]);
    for (i64 k = lane_of_thread(); k < width; k += 32)
        out[k] = T((double(out[k]) - factor * to_double(own[k])) * power);
}
