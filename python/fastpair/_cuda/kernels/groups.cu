// Groups of rows: codes of ids in order of first appearance, codes from borders, lists of the rows of each group.
// O(n), no sort, but for lists of rows in disorder.
//
// Ids meet in a hash table whose cells hold row numbers: the first row of each id, which is the same whatever the order
// in which threads come.
#include "keys.cuh"

//: insert_ids<u8, u32>, insert_ids<u16, u32>, insert_ids<u32, u32>, insert_ids<u64, u32>
//: insert_ids<u8, u64>, insert_ids<u16, u64>, insert_ids<u32, u64>, insert_ids<u64, u64>
//: find_first_rows<u8, u32>, find_first_rows<u16, u32>, find_first_rows<u32, u32>, find_first_rows<u64, u32>
//: find_first_rows<u8, u64>, find_first_rows<u16, u64>, find_first_rows<u32, u64>, find_first_rows<u64, u64>
//: write_codes<u32>, write_codes<u64>, check_offsets, codes_of_offsets, check_codes, list_bounds

template <class Row>
__device__ __forceinline__ Row none() {
    return Row(~Row(0));
}

__device__ __forceinline__ u64 hash_of(u64 id) {
    id = (id ^ id >> 32) * 0x9e3779b97f4a7c15ull;
    return id ^ id >> 29;
}

// Cells hold no row or the first row seen of some id, `places` (a power of two) of them.
template <class Id, class Row>
__global__ void insert_ids(const Id* ids, i64 count, Row* cells, u64 places) {
    const i64 i = i64(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i >= count) return;
    const Id id = ids[i];
    for (u64 cell = hash_of(id) & (places - 1);; cell = (cell + 1) & (places - 1)) {
        Row seen = cells[cell];
        if (seen == none<Row>()) seen = atomicCAS(&cells[cell], none<Row>(), Row(i));
        if (seen == none<Row>()) return;
        if (ids[seen] == id) {  // rows of a cell change, but their id does not
            if (Row(i) < seen) atomicMin(&cells[cell], Row(i));
            return;
        }
    }
}

// The first row of the id of each row, and whether it is that row.
template <class Id, class Row>
__global__ void find_first_rows(const Id* ids, i64 count, const Row* cells, u64 places, Row* first_rows, u8* is_first) {
    const i64 i = i64(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i >= count) return;
    const Id id = ids[i];
    u64 cell = hash_of(id) & (places - 1);
    while (ids[cells[cell]] != id) cell = (cell + 1) & (places - 1);
    first_rows[i] = cells[cell];
    is_first[i] = cells[cell] == Row(i);
}

// `numbers` counts first rows up to each row, that row included: the code of an id is that of its first row, less one.
template <class Row>
__global__ void write_codes(const Row* first_rows, const i64* numbers, i64 count, u32* codes, i64* rows_of_codes) {
    const i64 i = i64(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i >= count) return;
    const Row first = first_rows[i];
    const i64 code = numbers[first] - 1;
    codes[i] = u32(code);
    if (first == Row(i)) rows_of_codes[code] = i;
}

// The first offset that is negative, and the first that is below the one before it.
__global__ void check_offsets(const i64* offsets, i64 count, u64* first_bad) {
    const i64 i = i64(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i >= count) return;
    if (offsets[i] < 0) report(&first_bad[0], i);
    if (i && offsets[i] < offsets[i - 1]) report(&first_bad[1], i);
    if (i == 0) first_bad[2] = u64(offsets[0]);
    if (i == count - 1) first_bad[3] = u64(offsets[i]);
}

// The last group that does not begin after the row: empty groups before it begin at the same place.
__global__ void codes_of_offsets(const i64* offsets, i64 groups, i64 rows, u32* codes) {
    const i64 row = i64(blockIdx.x) * blockDim.x + threadIdx.x;
    if (row < rows) codes[row] = u32(first_above(offsets, 0, groups, row) - 1);
}

// Reports the first row whose code is below that of the row before it.
__global__ void check_codes(const u32* codes, i64 count, u64* first_bad) {
    const i64 i = i64(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i && i < count && codes[i] < codes[i - 1]) report(first_bad, i);
}

// Where each code begins among sorted codes, and the end.
__global__ void list_bounds(const u32* codes, i64 count, i64 groups, i64* bounds) {
    const i64 i = i64(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i <= groups) bounds[i] = i < groups ? first_not_below(codes, 0, count, u32(i)) : count;
}
