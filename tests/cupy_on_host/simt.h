// CUDA on a processor: what the kernels of fastpair/_cuda need of the language, so that a C++ compiler takes them.
//
// A block is a set of fibers, one for each thread, which run one at a time and give way where threads of a GPU would
// wait for each other: at __syncthreads and at the instructions of a warp. Blocks run one after the other. A wait that
// can never end (a barrier that some threads do not reach, a lane of a mask that does not come) ends the launch with an
// error. Threads take turns in ascending order in one block and in descending order in the next, so that a value that
// crosses threads without a barrier is stale or too new in one of them. It is slow, has no memory model; it shows that
// the arithmetic and the control flow are right.
#pragma once
#include <setjmp.h>
#include <ucontext.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#define FASTPAIR_HOST 1
#define __global__
#define __device__
#define __host__
#define __constant__ static const
#define __shared__ static
#define __forceinline__ inline
#define __noinline__
#define __restrict__
#define __launch_bounds__(...)
#define DYNAMIC_SHARED(name) unsigned char* const name = simt::dynamic_shared

using std::abs;
using std::isfinite;
using std::isinf;
using std::isnan;
using std::max;
using std::min;

struct dim3 {
    unsigned x, y, z;
};
inline dim3 threadIdx, blockIdx, blockDim, gridDim;
constexpr int warpSize = 32;

namespace simt {

inline unsigned char* dynamic_shared;
inline const char* failure;

struct Fiber {
    ucontext_t start;
    jmp_buf place;
    std::vector<char> stack;
    dim3 index;
    bool begun, done;
    const void* waits_for;  // the barrier or the exchange it waits at; null while it can run
    uint64_t inbox[32];     // what the lanes of its last exchange brought
};

// An instruction of a warp in flight: lanes of one mask bring a value each, and all leave with all of them.
struct Exchange {
    unsigned mask, arrived;
    uint64_t slots[32];
};

inline std::vector<Fiber> fibers;
inline std::vector<std::vector<Exchange>> exchanges;  // of each warp
inline unsigned current, at_barrier, alive, barrier_votes, barrier_result;
inline jmp_buf scheduler;
inline void (*body)(void*);
inline void* arguments;
inline char barrier;

inline void give_way() {
    if (!_setjmp(fibers[current].place)) _longjmp(scheduler, 1);
}

inline void trampoline() {
    body(arguments);
    fibers[current].done = true;
    _longjmp(scheduler, 1);
}

inline void release_barrier() {
    barrier_result = barrier_votes;
    at_barrier = barrier_votes = 0;
    for (Fiber& fiber : fibers)
        if (fiber.waits_for == &barrier) fiber.waits_for = nullptr;
}

// Lets all threads of the block arrive that have not returned, and counts how many bring a true predicate.
inline unsigned synchronize(bool vote) {
    barrier_votes += vote;
    if (++at_barrier < alive) {
        fibers[current].waits_for = &barrier;
        give_way();
        return barrier_result;
    }
    release_barrier();
    return barrier_result;
}

// Brings a value to the other lanes of the mask; afterwards the inbox holds theirs.
inline uint64_t* exchange(unsigned mask, uint64_t value) {
    const unsigned lane = current % 32, warp = current / 32;
    const unsigned width = std::min<unsigned>(32, unsigned(fibers.size()) - warp * 32);
    const unsigned present = width == 32 ? ~0u : (1u << width) - 1;
    if (!(mask >> lane & 1)) failure = "a lane calls an instruction of a warp whose mask does not name it";
    if (mask != ~0u && mask & ~present) failure = "a mask names lanes that do not exist";
    mask &= present;
    std::vector<Exchange>& open = exchanges[warp];
    auto found = std::find_if(open.begin(), open.end(), [&](const Exchange& e) { return e.mask == mask; });
    if (found == open.end()) found = open.insert(open.end(), Exchange{mask, 0, {}});
    found->slots[lane] = value;
    found->arrived |= 1u << lane;
    if (found->arrived != mask) {
        fibers[current].waits_for = &exchanges;
        give_way();
        return fibers[current].inbox;
    }
    for (unsigned other = 0; other < 32; ++other) {
        if (!(mask >> other & 1)) continue;
        Fiber& fiber = fibers[warp * 32 + other];
        std::memcpy(fiber.inbox, found->slots, sizeof found->slots);
        fiber.waits_for = nullptr;
    }
    open.erase(found);
    return fibers[current].inbox;
}

inline void run_block(bool backwards) {
    const unsigned threads = blockDim.x * blockDim.y * blockDim.z;
    constexpr size_t stack_bytes = 64 << 10;
    if (fibers.size() != threads) fibers = std::vector<Fiber>(threads);
    exchanges.assign((threads + 31) / 32, {});
    alive = threads;
    at_barrier = barrier_votes = 0;
    for (unsigned i = 0; i < threads; ++i) {
        fibers[i].index = {i % blockDim.x, i / blockDim.x % blockDim.y, i / blockDim.x / blockDim.y};
        fibers[i].begun = fibers[i].done = false;
        fibers[i].waits_for = nullptr;
        if (fibers[i].stack.empty()) fibers[i].stack.resize(stack_bytes);
    }
    while (alive) {
        bool moved = false;
        for (unsigned step = 0; step < threads; ++step) {
            current = backwards ? threads - 1 - step : step;
            Fiber& fiber = fibers[current];
            if (fiber.done || fiber.waits_for) continue;
            moved = true;
            threadIdx = fiber.index;
            if (!_setjmp(scheduler)) {
                if (fiber.begun) _longjmp(fiber.place, 1);
                fiber.begun = true;
                getcontext(&fiber.start);
                fiber.start.uc_stack.ss_sp = fiber.stack.data();
                fiber.start.uc_stack.ss_size = fiber.stack.size();
                fiber.start.uc_link = nullptr;
                makecontext(&fiber.start, trampoline, 0);
                setcontext(&fiber.start);
            }
            if (fiber.done && --alive && at_barrier == alive) release_barrier();
            if (failure) return;
        }
        if (!moved) {
            failure = at_barrier ? "some threads wait at __syncthreads that others never reach"
                                 : "some lanes wait for others of their mask that never come";
            return;
        }
    }
}

template <class... A, size_t... I>
void unpack(void (*kernel)(A...), void** values, std::index_sequence<I...>) {
    kernel(*static_cast<std::remove_reference_t<A>*>(values[I])...);
}

template <class... A>
struct Call {
    void (*kernel)(A...);
    void** values;
    static void run(void* self) {
        Call* call = static_cast<Call*>(self);
        unpack(call->kernel, call->values, std::index_sequence_for<A...>());
    }
};

// Runs all blocks, the first with threads in ascending order if `turn` is even; `sizes` has the bytes of each argument,
// negative for a pointer. Returns what went wrong, or null.
template <class... A>
const char* launch(void (*kernel)(A...), const unsigned* shape, size_t shared, void** values, const long* sizes,
                   long count, unsigned turn) {
    static char text[160];
    const long wanted[] = {(std::is_pointer_v<A> ? -8L : long(sizeof(A)))..., 0};
    if (count != long(sizeof...(A))) {
        std::snprintf(text, sizeof text, "the kernel takes %zu arguments, but %ld were passed", sizeof...(A), count);
        return text;
    }
    for (long i = 0; i < count; ++i) {
        if (wanted[i] == sizes[i]) continue;
        std::snprintf(text, sizeof text, "argument %ld has %ld bytes where the kernel takes %ld (-8: a pointer)", i,
                      sizes[i], wanted[i]);
        return text;
    }
    gridDim = {shape[0], shape[1], shape[2]};
    blockDim = {shape[3], shape[4], shape[5]};
    std::vector<std::max_align_t> room(shared / sizeof(std::max_align_t) + 1);
    dynamic_shared = reinterpret_cast<unsigned char*>(room.data());
    Call<A...> call{kernel, values};
    body = Call<A...>::run;
    arguments = &call;
    failure = nullptr;
    for (unsigned z = 0; z < gridDim.z; ++z)
        for (unsigned y = 0; y < gridDim.y; ++y)
            for (unsigned x = 0; x < gridDim.x; ++x) {
                std::memset(dynamic_shared, 0xa5, shared);  // nobody may rely on zeros
                blockIdx = {x, y, z};
                run_block(turn++ % 2);
                if (failure) {
                    fibers.clear();
                    return failure;
                }
            }
    return nullptr;
}

template <class T>
uint64_t to_slot(T value) {
    static_assert(sizeof(T) <= 8);
    uint64_t slot = 0;
    std::memcpy(&slot, &value, sizeof value);
    return slot;
}

template <class T>
T from_slot(uint64_t slot) {
    T value;
    std::memcpy(&value, &slot, sizeof value);
    return value;
}

template <class To, class From>
To bit_cast(From value) {
    static_assert(sizeof(To) == sizeof(From));
    return from_slot<To>(to_slot(value));
}

template <class T, class F>
T modify(T* address, F change) {
    T old = *address;
    *address = change(old);
    return old;
}

}  // namespace simt

inline void __syncthreads() { simt::synchronize(false); }
inline int __syncthreads_count(int predicate) { return int(simt::synchronize(predicate != 0)); }
inline int __syncthreads_or(int predicate) { return simt::synchronize(predicate != 0) != 0; }
inline int __syncthreads_and(int predicate) { return simt::synchronize(predicate == 0) == 0; }
inline void __syncwarp(unsigned mask = ~0u) { simt::exchange(mask, 0); }
inline void __threadfence() {}
inline void __threadfence_block() {}

template <class T>
T __shfl_sync(unsigned mask, T value, int source, int width = 32) {
    const int lane = int(simt::current % 32);
    const uint64_t* inbox = simt::exchange(mask, simt::to_slot(value));
    return simt::from_slot<T>(inbox[(lane & ~(width - 1)) | (source & (width - 1))]);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int change, int width = 32) {
    const int lane = int(simt::current % 32), source = lane ^ change;
    const uint64_t* inbox = simt::exchange(mask, simt::to_slot(value));
    return (source & ~(width - 1)) > (lane & ~(width - 1)) ? value : simt::from_slot<T>(inbox[source]);
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned step, int width = 32) {
    const int lane = int(simt::current % 32), source = lane + int(step);
    const uint64_t* inbox = simt::exchange(mask, simt::to_slot(value));
    return (source & ~(width - 1)) == (lane & ~(width - 1)) ? simt::from_slot<T>(inbox[source]) : value;
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned step, int width = 32) {
    const int lane = int(simt::current % 32), source = lane - int(step);
    const uint64_t* inbox = simt::exchange(mask, simt::to_slot(value));
    return source >= (lane & ~(width - 1)) ? simt::from_slot<T>(inbox[source]) : value;
}
inline unsigned __ballot_sync(unsigned mask, int predicate) {
    const uint64_t* inbox = simt::exchange(mask, predicate != 0);
    const unsigned width = std::min<unsigned>(32, unsigned(simt::fibers.size()) - simt::current / 32 * 32);
    unsigned votes = 0;
    for (unsigned lane = 0; lane < width; ++lane)
        if (mask >> lane & 1 && inbox[lane]) votes |= 1u << lane;
    return votes;
}
inline int __any_sync(unsigned mask, int predicate) { return __ballot_sync(mask, predicate) != 0; }
inline int __all_sync(unsigned mask, int predicate) { return __ballot_sync(mask, !predicate) == 0; }

template <class T>
T atomicAdd(T* address, std::type_identity_t<T> value) {
    return simt::modify(address, [=](T old) { return T(old + value); });
}
template <class T>
T atomicMax(T* address, std::type_identity_t<T> value) {
    return simt::modify(address, [=](T old) { return std::max(old, value); });
}
template <class T>
T atomicMin(T* address, std::type_identity_t<T> value) {
    return simt::modify(address, [=](T old) { return std::min(old, value); });
}
template <class T>
T atomicOr(T* address, std::type_identity_t<T> value) {
    return simt::modify(address, [=](T old) { return T(old | value); });
}
template <class T>
T atomicAnd(T* address, std::type_identity_t<T> value) {
    return simt::modify(address, [=](T old) { return T(old & value); });
}
template <class T>
T atomicExch(T* address, std::type_identity_t<T> value) {
    return simt::modify(address, [=](T) { return value; });
}
template <class T>
T atomicCAS(T* address, std::type_identity_t<T> expected, std::type_identity_t<T> value) {
    return simt::modify(address, [=](T old) { return old == expected ? value : old; });
}

template <class T>
T __ldg(const T* address) {
    return *address;
}
inline unsigned __float_as_uint(float value) { return simt::bit_cast<unsigned>(value); }
inline int __float_as_int(float value) { return simt::bit_cast<int>(value); }
inline float __uint_as_float(unsigned bits) { return simt::bit_cast<float>(bits); }
inline float __int_as_float(int bits) { return simt::bit_cast<float>(bits); }
inline long long __double_as_longlong(double value) { return simt::bit_cast<long long>(value); }
inline double __longlong_as_double(long long bits) { return simt::bit_cast<double>(bits); }
inline int __popc(unsigned bits) { return __builtin_popcount(bits); }
inline int __popcll(unsigned long long bits) { return __builtin_popcountll(bits); }
inline int __clz(int bits) { return bits ? __builtin_clz(unsigned(bits)) : 32; }
inline int __clzll(long long bits) { return bits ? __builtin_clzll((unsigned long long)bits) : 64; }
inline int __ffs(int bits) { return __builtin_ffs(bits); }
inline int __ffsll(long long bits) { return __builtin_ffsll(bits); }
inline unsigned __brev(unsigned bits) {
    unsigned turned = 0;
    for (int i = 0; i < 32; ++i) turned |= (bits >> i & 1) << (31 - i);
    return turned;
}
inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
    return (unsigned long long)((unsigned __int128)a * b >> 64);
}
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fmaf_rn(float a, float b, float c) { return std::fma(a, b, c); }
inline double __dadd_rn(double a, double b) { return a + b; }
inline double __dmul_rn(double a, double b) { return a * b; }
inline double __fma_rn(double a, double b, double c) { return std::fma(a, b, c); }
inline float __double2float_ru(double value) {
    const float near = float(value);
    return double(near) < value ? std::nextafterf(near, INFINITY) : near;
}
inline float __double2float_rd(double value) {
    const float near = float(value);
    return double(near) > value ? std::nextafterf(near, -INFINITY) : near;
}
inline float __double2float_rn(double value) { return float(value); }
inline float rsqrtf(float value) { return 1 / std::sqrt(value); }
inline double rsqrt(double value) { return 1 / std::sqrt(value); }
