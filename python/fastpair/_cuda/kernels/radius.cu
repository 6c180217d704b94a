// Radius search: all pairs whose score is within the limits of their row, by an exact comparison.
//
// A block takes one row of x, or a part of its columns where rows are few, keeps the columns whose interval reaches
// the limits, scores these exactly and appends the hits to a list that all blocks share, in any order. It counts hits
// that the list has no room for. Cost: one read of the tile, two where it is full of hits; memory: what a block
// shares.
#include "collect.cuh"

//: find_hits<Half>, find_hits<Bfloat16>, find_hits<float>, find_hits<double>, find_hits<signed char>, find_hits<u32>

// Hits in the order of their arrival: row times the number of columns plus column, and the score.
struct Hits {
    u64* count;
    i64 room;
    i64* places;
    double* scores;
};

// Scores what was collected and appends the hits, for all threads of a block.
template <class T>
__device__ void settle(const Pairs<T>& pairs, int count, double least, double most, i64 all_columns, const Hits& hits,
                       Candidates& room, u64& first) {
    score_candidates(pairs, count, least, most, room);
    __syncthreads();
    if (threadIdx.x == 0 && room.scored) first = atomicAdd(hits.count, u64(room.scored));
    __syncthreads();
    for (int i = threadIdx.x; i < room.scored; i += blockDim.x) {
        const i64 place = i64(first) + i;
        if (place >= hits.room) break;
        hits.places[place] = pairs.row * all_columns + room.indices[i] - pairs.rules.offset;
        hits.scores[place] = key_of_score(pairs.largest, room.keys[i]);
    }
    __syncthreads();
    if (threadIdx.x == 0) room.seen = room.scored = 0;
    __syncthreads();
}

// `limits` are the scores that a hit of each row reaches, beside those of the rules.
template <class T>
__global__ void __launch_bounds__(128)
    find_hits(const float* sums, i64 columns, PAIR_PARAMETERS(T), const double* limits, i64 all_columns, u64* count,
              i64 room, i64* places, double* scores) {
    __shared__ Candidates candidates;
    __shared__ u64 first;
    const i64 i = blockIdx.x, step = (columns + gridDim.y - 1) / gridDim.y;
    const i64 begin = min(columns, blockIdx.y * step), end = min(columns, begin + step);
    const float* const own = sums + i * columns;
    const Pairs<T> pairs = PAIRS(T, i);
    const Hits hits{count, room, places, scores};
    double least = least_score(*rules, pairs.row), most = most_score(*rules, pairs.row);
    if (largest) {
        least = fmax(least, limits[pairs.row]);
    } else {
        most = fmin(most, limits[pairs.row]);
    }
    const float threshold = pairs.floor(pairs.key(largest ? least : most));
    const float ceiling = pairs.ceiling(pairs.key(largest ? most : least));
    if (threadIdx.x == 0) candidates.seen = candidates.scored = 0;
    __syncthreads();
    for (i64 next = begin, part = end - begin; next < end;) {
        collect(pairs, own, next, min(next + part, end), threshold, ceiling, false, candidates);
        __syncthreads();
        const int seen = candidates.seen;
        __syncthreads();
        if (seen > CAPACITY) {
            // Many: once more, by parts.
            if (threadIdx.x == 0) candidates.seen = 0;
            __syncthreads();
            part = CHUNK;
            continue;
        }
        next += part;
        if (seen > (next < end ? CAPACITY - CHUNK : 0))
            settle(pairs, seen, least, most, all_columns, hits, candidates, first);
    }
}
