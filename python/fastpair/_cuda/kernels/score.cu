// What exact scores need of each row by itself, and whether it can be a point of the metric's space.
//
// Sixteen lanes read a row, two or three times, of which all but the first come from the cache. Cost O(n d); memory: 16
// bytes a row.
#include "score.cuh"

//: row_facts<Half>, row_facts<Bfloat16>, row_facts<float>, row_facts<double>, row_facts<signed char>

// Of a matrix: the smallest index of a row that is not finite (or is outside of the unit ball for Poincare distances),
// and the bits of the largest norm of the others.
struct Report {
    u64 bad, largest;
};

// The facts of each row. Rows of the second side of a cosine stay as they are if their squares lose nothing that
// matters.
template <class T>
__global__ void row_facts(const T* rows, i64 count, i64 width, int metric, bool second, Facts* facts, Report* report) {
    const i64 row = (i64(blockIdx.x) * blockDim.x + threadIdx.x) / LANES_OF_PAIR;
    if (row >= count) return;
    const T* const elements = rows + row * width;
    double largest = 0.0;
    bool finite = true;
    for (i64 k = lane_of_pair(); k < width; k += LANES_OF_PAIR) {
        const double magnitude = fabs(to_double(elements[k]));
        finite = finite && magnitude < infinity();
        largest = fmax(largest, magnitude);
    }
    finite = __all_sync(lanes_of_pair(), finite);
    for (int step = LANES_OF_PAIR / 2; step; step /= 2)
        largest = fmax(largest, __shfl_xor_sync(lanes_of_pair(), largest, step));
    const double square = sum_of_terms<Product>(elements, elements, width, 1.0, 1.0);
    const Facts own = facts_of_elements(Metric(metric), elements, width, second, largest, square);
    if (lane_of_pair()) return;
    facts[row] = own;
    if (!report) return;
    if (!finite || (metric == POINCARE && own.square >= 1.0)) {
        atomicMin(&report->bad, u64(row));
        return;
    }
    const u64 bits = u64(__double_as_longlong(norm_of(own)));
    // An old value is never larger than the newest, so few rows have to wait for others.
    if (bits > *static_cast<volatile u64*>(&report->largest)) atomicMax(&report->largest, bits);
}
