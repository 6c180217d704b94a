// Which pairs of a loss are left when its rows choose among them by their similarities: by the rule of a miner, by a
// threshold, by the number of the hardest negatives. Writes what each column is to its row, a byte for each pair.
//
// Cost: one sweep over each row, one or two more with a miner, 4 (float) or 8 (double) and one more for a number of
// negatives. Memory: that byte.
//
//: select_pairs<float>, select_pairs<double>
#include "pair_loss.cuh"

enum Rule { NO_RULE = 0, BAND_HARDEST = 1, BAND_MEAN = 2, BAND_EASIEST = 3, BAND_FIXED = 4, MULTI_SIMILARITY = 5 };

// Bits that order like the numbers; -0 and 0 have the same ones.
__device__ __forceinline__ u32 key_of(float value) {
    const u32 bits = __float_as_uint(value + 0.0f);
    return bits >> 31 ? ~bits : bits | 0x80000000u;
}
__device__ __forceinline__ u64 key_of(double value) {
    const u64 bits = u64(__double_as_longlong(value + 0.0));
    return bits >> 63 ? ~bits : bits | 0x8000000000000000ull;
}

__device__ __forceinline__ int count_in_block(int count) { return int(sum_of_block(double(count))); }

// Calls `change` with the column, its role and its similarity, and keeps the role that it returns.
template <class T, class Change>
__device__ __forceinline__ void each_pair(const Row<T>& row, u8* roles, Change change) {
    for (i64 j = threadIdx.x; j < row.all; j += blockDim.x)
        if (roles[j] != IGNORED) roles[j] = u8(change(j, Role(roles[j]), row.similarity(j)));
}

template <class T>
struct Miner {
    int rule;
    double lower, upper;
    bool closed_below, closed_above;

    // Leaves out what the rule does not choose.
    __device__ void choose(const Row<T>& row, u8* roles) const {
        const bool both = rule == MULTI_SIMILARITY;
        double least = infinity(), most = minus_infinity(), nearest = minus_infinity(), sum = 0.0;
        int positives = 0, negatives = 0;
        each_pair(row, roles, [&](i64, Role role, double s) {
            if (role == NEGATIVE) {
                if (s > nearest) nearest = s;
                return NEGATIVE;
            }
            if (both && s >= upper) return IGNORED;  // a duplicate
            ++positives;
            sum += s;
            if (s < least) least = s;
            if (s > most) most = s;
            return POSITIVE;
        });
        least = -largest_of_block(-least);
        most = largest_of_block(most);
        sum = sum_of_block(sum);
        positives = count_in_block(positives);
        nearest = largest_of_block(nearest);
        double reference = least;
        if (rule == BAND_FIXED) reference = 0.0;
        if (rule == BAND_MEAN) reference = sum / positives;
        if (rule == BAND_EASIEST) reference = most;
        // With a rule for both kinds, what is harder than the hardest of the other kind, give or take `lower`. What is
        // not a number stays.
        const double low = both ? reference - lower : reference + lower, high = reference + upper;
        const double limit = nearest + lower;
        positives = 0;
        each_pair(row, roles, [&](i64, Role role, double s) {
            bool out;
            if (role == POSITIVE) {
                out = both && s >= limit;
                positives += !out;
            } else {
                out = s < low || (!closed_below && s == low);
                if (!both) out = out || s > high || (!closed_above && s == high && high < infinity());
                negatives += !out && !(s == minus_infinity());
            }
            return out ? IGNORED : role;
        });
        // A mask without negatives leaves the positives; a rule for both needs both.
        const bool empty = count_in_block(positives) == 0 || (both && count_in_block(negatives) == 0);
        if (empty) each_pair(row, roles, [&](i64, Role, double) { return IGNORED; });
    }
};

// Keeps the `k` most similar negatives; of equal ones the first.
template <class T>
__device__ void keep_hardest(const Row<T>& row, u8* roles, i64 k) {
    using Key = decltype(key_of(T(0)));
    __shared__ u32 counts[256];
    __shared__ u32 of_warps[32];
    Key last = 0, known = 0;
    u64 wanted = u64(k);
    for (int shift = 8 * int(sizeof(Key)) - 8; shift >= 0; shift -= 8) {
        for (int digit = threadIdx.x; digit < 256; digit += blockDim.x) counts[digit] = 0;
        __syncthreads();
        each_pair(row, roles, [&](i64, Role role, double s) {
            const Key key = key_of(T(s));
            if (role == NEGATIVE && (key & known) == last) atomicAdd(&counts[key >> shift & 0xff], 1u);
            return role;
        });
        __syncthreads();
        int digit = 255;  // the highest digit with which there are enough
        for (; digit > 0 && counts[digit] < wanted; --digit) wanted -= counts[digit];
        last |= Key(digit) << shift;
        known |= Key(0xff) << shift;
        __syncthreads();
    }
    // Of those that are equal to the last one, the first `wanted`.
    u64 before = 0;
    const u32 lower_lanes = (1u << lane_of_thread()) - 1;
    for (i64 first = 0; first < row.all; first += blockDim.x) {
        const i64 j = first + threadIdx.x;
        const bool negative = j < row.all && roles[j] == NEGATIVE;
        const Key key = negative ? key_of(T(row.similarity(j))) : Key(0);
        const bool equal = negative && key == last;
        const u32 votes = __ballot_sync(ALL_LANES, equal);
        if (lane_of_thread() == 0) of_warps[warp_of_thread()] = u32(__popc(votes));
        __syncthreads();
        u64 place = before + u64(__popc(votes & lower_lanes));
        for (int warp = 0; warp < int(blockDim.x) / 32; ++warp) {
            if (warp < warp_of_thread()) place += of_warps[warp];
            before += of_warps[warp];
        }
        if (negative && !(key > last || (equal && place < wanted))) roles[j] = IGNORED;
        __syncthreads();
    }
}

// `lower` and `upper` are limits from the reference on, or how far from the hardest, and from where on positives are
// duplicates. `hard` says that negatives below the threshold and beyond the `k` hardest are left out.
template <class T>
__global__ void __launch_bounds__(MOST_THREADS)
    select_pairs(ROW_PARAMETERS(T), ROLE_PARAMETERS, u8* chosen, int rule, double lower, double upper,
                 bool closed_below, bool closed_above, const double* column_weights, const double* pair_weights,
                 bool hard, double threshold, i64 k) {
    const Row<T> row = ROW(T);
    u8* const roles = chosen + blockIdx.x * row.all;
    for (i64 j = threadIdx.x; j < row.all; j += blockDim.x) roles[j] = u8(row.role_of(j));
    if (rule != NO_RULE) Miner<T>{rule, lower, upper, closed_below, closed_above}.choose(row, roles);
    if (!hard) return;
    int count = 0;
    each_pair(row, roles, [&](i64 j, Role role, double s) {
        const bool weightless = (pair_weights && pair_weights[row.index * row.all + j] == 0.0) ||
                                (column_weights && role == NEGATIVE && column_weights[j] == 0.0);
        if (weightless || (role == NEGATIVE && (s < threshold || s == minus_infinity()))) return IGNORED;
        count += role == NEGATIVE;
        return role;
    });
    if (k < count_in_block(count)) keep_hardest(row, roles, k);
}
