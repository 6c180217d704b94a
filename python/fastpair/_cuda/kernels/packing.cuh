// Packed rows of bits, eight to a byte, the first one highest, as a warp makes them of the votes of its lanes.
#pragma once
#include "common.cuh"

// Bit i of a vote, which is that of lane i, as the bytes of packed bits.
__device__ __forceinline__ u32 packed_word(u32 vote) {
    const u32 turned = __brev(vote);
    return turned >> 24 | (turned >> 8 & 0xff00u) | (turned << 8 & 0xff0000u) | turned << 24;
}

// Writes the words of the first `words` lanes, a multiple of 8, to `row` from byte `first` on, as far as the row goes.
// Rows may begin at any byte: then neighbouring lanes write neighbouring bytes of words that they fetch from each
// other.
__device__ __forceinline__ void write_words(u8* row, i64 first, i64 stride, u32 word, int words) {
    const int lane = lane_of_thread();
    if (reinterpret_cast<u64>(row + first) % 4 == 0 && first + 4 * words <= stride) {
        if (lane < words) reinterpret_cast<u32*>(row + first)[lane] = word;
        return;
    }
    for (int part = 0; part < words / 8; ++part) {
        const int byte = 32 * part + lane;
        const u32 found = __shfl_sync(ALL_LANES, word, byte / 4);
        if (first + byte < stride) row[first + byte] = u8(found >> 8 * (byte % 4));
    }
}
