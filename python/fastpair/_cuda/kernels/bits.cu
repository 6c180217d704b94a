// Packed bits of pairs: from roles, from bools, from lists of pairs; and back to bools, counts and lists of columns.
//
// Cost: each kernel reads its input and writes its output once. Memory: no more than that.
//
//: pack_roles, pack_bools, unpack_bools, count_bits, unpack_rows<int>, unpack_rows<i64>, nth_bits
//: set_bits<int>, set_bits<i64>
#include "common.cuh"
#include "packing.cuh"
#include "roles.cuh"

constexpr int ROWS = 4;  // of a warp: what a column is said to be is read once for all of them

// A warp takes ROWS rows and 1,024 columns. Rows run from `begin` to `end`; those of the output begin with row `begin`.
__global__ void pack_roles(ROLE_PARAMETERS, i64 columns, i64 begin, i64 end, u8* positives, u8* negatives) {
    const Roles roles = ROLES(columns);
    const i64 stride = (columns + 7) / 8, pieces = (columns + 1023) / 1024;
    const i64 warp = i64(blockIdx.x) * (blockDim.x / 32) + warp_of_thread();
    const i64 first_row = begin + warp / pieces * ROWS, first = warp % pieces * 1024;
    if (first_row >= end) return;
    RoleRow rows[ROWS];
    u32 positive[ROWS] = {}, negative[ROWS] = {};
    for (int i = 0; i < ROWS; ++i) rows[i] = roles.row(min(first_row + i, end - 1));
    const int lane = lane_of_thread();
    for (int step = 0; step < 32; ++step) {
        const i64 index = first + 32 * step + lane;
        const bool inside = index < columns;
        const RoleColumn column = roles.column(inside ? index : 0);
        for (int i = 0; i < ROWS; ++i) {
            const Role role = inside ? roles.of(rows[i], column) : IGNORED;
            const u32 pulled = __ballot_sync(ALL_LANES, role == POSITIVE);
            const u32 pushed = __ballot_sync(ALL_LANES, role == NEGATIVE);
            if (lane == step) positive[i] = packed_word(pulled), negative[i] = packed_word(pushed);
        }
    }
    for (int i = 0; i < ROWS && first_row + i < end; ++i) {
        const i64 place = (first_row + i - begin) * stride;
        write_words(positives + place, first / 8, stride, positive[i], 32);
        write_words(negatives + place, first / 8, stride, negative[i], 32);
    }
}

// Packs rows of bools. A thread makes a byte.
__global__ void pack_bools(const u8* bools, i64 rows, i64 columns, u8* bits) {
    const i64 stride = (columns + 7) / 8, place = i64(blockIdx.x) * blockDim.x + threadIdx.x;
    if (place >= rows * stride) return;
    const i64 row = place / stride, first = place % stride * 8;
    const u8* own = bools + row * columns + first;
    u32 packed = 0;
    if (first + 8 <= columns && reinterpret_cast<u64>(own) % 8 == 0) {
        const u64 eight = *reinterpret_cast<const u64*>(own);
        for (int k = 0; k < 8; ++k) packed |= u32((eight >> 8 * k & 0xff) != 0) << (7 - k);
    } else {
        for (int k = 0; k < 8 && first + k < columns; ++k) packed |= u32(own[k] != 0) << (7 - k);
    }
    bits[place] = u8(packed);
}

struct alignas(16) Sixteen {
    u64 halves[2];
};

// Unpacks rows of bits to bools. A thread writes 16 of them at once, as they lie in memory.
__global__ void unpack_bools(const u8* bits, i64 rows, i64 columns, u8* bools) {
    const i64 stride = (columns + 7) / 8, count = rows * columns;
    const i64 first = (i64(blockIdx.x) * blockDim.x + threadIdx.x) * 16 - i64(reinterpret_cast<u64>(bools) % 16);
    if (first >= count) return;
    const i64 begin = max(first, i64(0)), end = min(first + 16, count);
    i64 row = begin / columns, column = begin % columns;
    Sixteen sixteen = {};
    if (column % 8 == 0 && column + 16 <= columns && begin + 16 == end) {
        const u8* own = bits + row * stride + column / 8;
        for (int half = 0; half < 2; ++half) {
            const u64 byte = own[half];
            for (int k = 0; k < 8; ++k) sixteen.halves[half] |= (byte >> (7 - k) & 1) << 8 * k;
        }
    } else {
        for (int k = 0; begin + k < end; ++k) {
            const u64 bit = bits[row * stride + column / 8] >> (7 - column % 8) & 1;
            sixteen.halves[k / 8] |= bit << 8 * (k % 8);
            if (++column == columns) column = 0, ++row;
        }
    }
    if (begin + 16 == end) {
        *reinterpret_cast<Sixteen*>(bools + begin) = sixteen;
    } else {
        for (int k = 0; begin + k < end; ++k) bools[begin + k] = u8(sixteen.halves[k / 8] >> 8 * (k % 8));
    }
}

constexpr int PIECE = 1024;  // bytes of a row that a warp counts

__device__ __forceinline__ i64 pieces_of(i64 stride) { return (stride + PIECE - 1) / PIECE; }

// Counts the bits of each piece of each row. A warp takes a piece.
__global__ void count_bits(const u8* bits, i64 rows, i64 stride, i64* counts) {
    const i64 pieces = pieces_of(stride), piece = i64(blockIdx.x) * (blockDim.x / 32) + warp_of_thread();
    if (piece >= rows * pieces) return;
    const i64 first = piece % pieces * PIECE, length = min(i64(PIECE), stride - first);
    const u8* own = bits + piece / pieces * stride + first;
    int count = 0, begin = min(i64(-i64(reinterpret_cast<u64>(own)) & 3), length);
    for (int k = lane_of_thread(); k < begin; k += 32) count += __popc(own[k]);
    const int words = (int(length) - begin) / 4;
    for (int k = lane_of_thread(); k < words; k += 32) count += __popc(reinterpret_cast<const u32*>(own + begin)[k]);
    for (int k = begin + 4 * words + lane_of_thread(); k < length; k += 32) count += __popc(own[k]);
    count = sum_of_warp(count);
    if (lane_of_thread() == 0) counts[piece] = count;
}

// Writes the columns of the bits of each piece, ascending, where `ends` says that those of the piece end.
template <class I>
__global__ void unpack_rows(const u8* bits, i64 rows, i64 stride, const i64* ends, I* indices) {
    const i64 pieces = pieces_of(stride), piece = i64(blockIdx.x) * (blockDim.x / 32) + warp_of_thread();
    if (piece >= rows * pieces) return;
    const i64 first = piece % pieces * PIECE, length = min(i64(PIECE), stride - first);
    const u8* own = bits + piece / pieces * stride + first;
    i64 place = piece ? ends[piece - 1] : 0;
    const int lane = lane_of_thread();
    for (i64 k = 0; k < length && place < ends[piece]; k += 32) {
        u32 byte = k + lane < length ? own[k + lane] : 0;
        int before = __popc(byte);
        for (int step = 1; step < 32; step *= 2) {
            const int more = __shfl_up_sync(ALL_LANES, before, step);
            if (lane >= step) before += more;
        }
        const int all = __shfl_sync(ALL_LANES, before, 31);
        I* out = indices + place + before - __popc(byte);
        for (; byte; byte &= ~(0x80000000u >> __clz(byte))) *out++ = I(8 * (first + k + lane) + __clz(byte) - 24);
        place += all;
    }
}

// Finds bit number `nth` of a row of each query, the first being 0. A warp takes a query.
__global__ void nth_bits(const u8* bits, i64 stride, const i64* rows, const i64* nth, i64 queries, i64* columns) {
    const i64 query = i64(blockIdx.x) * (blockDim.x / 32) + warp_of_thread();
    if (query >= queries) return;
    const u8* own = bits + rows[query] * stride;
    const int lane = lane_of_thread();
    i64 left = nth[query];
    for (i64 k = 0; k < stride; k += 32) {
        u32 byte = k + lane < stride ? own[k + lane] : 0;
        int through = __popc(byte);
        for (int step = 1; step < 32; step *= 2) {
            const int more = __shfl_up_sync(ALL_LANES, through, step);
            if (lane >= step) through += more;
        }
        const int all = __shfl_sync(ALL_LANES, through, 31), before = through - __popc(byte);
        if (left < all) {
            if (left < before || left >= through) return;
            for (i64 skipped = before; skipped < left; ++skipped) byte &= ~(0x80000000u >> __clz(byte));
            columns[query] = 8 * (k + lane) + __clz(byte) - 24;
            return;
        }
        left -= all;
    }
}

// Sets the bits of listed pairs: of coordinates, or of compressed rows, whose `rows` are null. `strange`, which comes
// with the number of pairs, gets the first place whose row, and the first whose column, does not exist.
template <class I>
__global__ void set_bits(const I* rows, const i64* starts, const I* columns, i64 count, i64 all_rows, i64 all_columns,
                         u32* bits, i64* strange) {
    const i64 place = i64(blockIdx.x) * blockDim.x + threadIdx.x;
    if (place >= count) return;
    i64 row = 0;
    if (rows) {
        row = i64(rows[place]);
    } else {  // the last row that starts here or before
        for (i64 end = all_rows; row + 1 < end;) {
            const i64 middle = (row + end) / 2;
            if (starts[middle] <= place) {
                row = middle;
            } else {
                end = middle;
            }
        }
    }
    const i64 column = i64(columns[place]);
    if (row < 0 || row >= all_rows) {
        atomicMin(&strange[0], place);
    } else if (column < 0 || column >= all_columns) {
        atomicMin(&strange[1], place);
    } else {
        const i64 byte = row * ((all_columns + 7) / 8) + column / 8;
        atomicOr(&bits[byte / 4], u32(0x80 >> column % 8) << 8 * (byte % 4));
    }
}
