//! Vectors of 256 bits. AVX2 has no compress instruction, so a split is one permutation by a table; and no unsigned
//! comparison of 64-bit lanes, so those keep their sign bit flipped in the register.

use super::Vector;
use std::arch::x86_64::*;

/// For each lane mask: the 32-bit words in the order that moves the set lanes to the bottom, both parts in order.
const fn split_table<const MASKS: usize>(lanes: usize) -> [[u32; 8]; MASKS] {
    let words_per_lane = 8 / lanes;
    let mut table = [[0; 8]; MASKS];
    let mut mask = 0;
    while mask < MASKS {
        let (mut to, mut below) = (0, 2);
        while below > 0 {
            below -= 1;
            let mut lane = 0;
            while lane < lanes {
                if mask >> lane & 1 == below {
                    let mut word = 0;
                    while word < words_per_lane {
                        table[mask][to] = (lane * words_per_lane + word) as u32;
                        (to, word) = (to + 1, word + 1);
                    }
                }
                lane += 1;
            }
        }
        mask += 1;
    }
    table
}
static SPLIT_8: [[u32; 8]; 256] = split_table(8);
static SPLIT_4: [[u32; 8]; 16] = split_table(4);

/// All ones in the words `begin .. end`.
#[inline(always)]
unsafe fn word_mask(begin: usize, end: usize) -> __m256i {
    // SAFETY: register arithmetic; the caller runs inside `call`.
    unsafe {
        let words = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
        let before_end = _mm256_cmpgt_epi32(_mm256_set1_epi32(end as i32), words);
        _mm256_andnot_si256(_mm256_cmpgt_epi32(_mm256_set1_epi32(begin as i32), words), before_end)
    }
}

/// The words of `keys` in the order of one table row.
#[inline(always)]
unsafe fn permute(keys: __m256i, row: &[u32; 8]) -> __m256i {
    // SAFETY: a row is 32 readable bytes.
    unsafe { _mm256_permutevar8x32_epi32(keys, _mm256_loadu_si256(row.as_ptr().cast())) }
}

#[derive(Clone, Copy)]
pub struct U32x8(__m256i);

// SAFETY of every block below: the caller runs inside `call` and gives memory as `Vector` says.
#[allow(clippy::undocumented_unsafe_blocks)]
impl Vector for U32x8 {
    type Key = u32;
    type Half = Self;
    const LANES: usize = 8;

    #[inline(always)]
    unsafe fn splat(key: u32) -> Self {
        unsafe { Self(_mm256_set1_epi32(key as i32)) }
    }

    #[inline(always)]
    unsafe fn load(from: *const u32) -> Self {
        unsafe { Self(_mm256_loadu_si256(from.cast())) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut u32) {
        unsafe { _mm256_storeu_si256(to.cast(), self.0) }
    }

    #[inline(always)]
    unsafe fn load_head(from: *const u32, count: usize) -> Self {
        unsafe {
            let mask = word_mask(0, count);
            Self(_mm256_or_si256(
                _mm256_maskload_epi32(from.cast(), mask),
                _mm256_xor_si256(mask, _mm256_set1_epi32(-1)),
            ))
        }
    }

    #[inline(always)]
    unsafe fn store_lanes(self, to: *mut u32, begin: usize, end: usize) {
        unsafe { _mm256_maskstore_epi32(to.wrapping_sub(begin).cast(), word_mask(begin, end), self.0) }
    }

    #[inline(always)]
    unsafe fn min_max(self, other: Self) -> (Self, Self) {
        unsafe { (Self(_mm256_min_epu32(self.0, other.0)), Self(_mm256_max_epu32(self.0, other.0))) }
    }

    #[inline(always)]
    unsafe fn reverse(self) -> Self {
        unsafe { Self(_mm256_permutevar8x32_epi32(self.0, _mm256_setr_epi32(7, 6, 5, 4, 3, 2, 1, 0))) }
    }

    #[inline(always)]
    unsafe fn zip(self, other: Self) -> (Self, Self) {
        unsafe {
            let (low, high) = (_mm256_unpacklo_epi32(self.0, other.0), _mm256_unpackhi_epi32(self.0, other.0));
            (Self(_mm256_permute2x128_si256::<0x20>(low, high)), Self(_mm256_permute2x128_si256::<0x31>(low, high)))
        }
    }

    #[inline(always)]
    unsafe fn split(self, pivot: Self) -> (Self, usize) {
        unsafe {
            let at_least = _mm256_cmpeq_epi32(_mm256_max_epu32(self.0, pivot.0), self.0);
            let below = !_mm256_movemask_ps(_mm256_castsi256_ps(at_least)) as usize & 0xff;
            (Self(permute(self.0, &SPLIT_8[below])), below.count_ones() as usize)
        }
    }

    #[inline(always)]
    unsafe fn count_below(self, bound: Self) -> usize {
        unsafe {
            let at_least = _mm256_cmpeq_epi32(_mm256_max_epu32(self.0, bound.0), self.0);
            8 - _mm256_movemask_ps(_mm256_castsi256_ps(at_least)).count_ones() as usize
        }
    }
}

#[inline(always)]
unsafe fn flip(keys: __m256i) -> __m256i {
    // SAFETY: register arithmetic; the caller runs inside `call`.
    unsafe { _mm256_xor_si256(keys, _mm256_set1_epi64x(i64::MIN)) }
}

#[derive(Clone, Copy)]
pub struct U64x4(__m256i);

// SAFETY of every block below: the caller runs inside `call` and gives memory as `Vector` says.
#[allow(clippy::undocumented_unsafe_blocks)]
impl Vector for U64x4 {
    type Key = u64;
    type Half = Self;
    const LANES: usize = 4;

    #[inline(always)]
    unsafe fn splat(key: u64) -> Self {
        unsafe { Self(flip(_mm256_set1_epi64x(key as i64))) }
    }

    #[inline(always)]
    unsafe fn load(from: *const u64) -> Self {
        unsafe { Self(flip(_mm256_loadu_si256(from.cast()))) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut u64) {
        unsafe { _mm256_storeu_si256(to.cast(), flip(self.0)) }
    }

    #[inline(always)]
    unsafe fn load_head(from: *const u64, count: usize) -> Self {
        unsafe {
            let mask = word_mask(0, 2 * count);
            let keys = _mm256_maskload_epi64(from.cast(), mask);
            Self(flip(_mm256_or_si256(keys, _mm256_xor_si256(mask, _mm256_set1_epi32(-1)))))
        }
    }

    #[inline(always)]
    unsafe fn store_lanes(self, to: *mut u64, begin: usize, end: usize) {
        unsafe { _mm256_maskstore_epi64(to.wrapping_sub(begin).cast(), word_mask(2 * begin, 2 * end), flip(self.0)) }
    }

    #[inline(always)]
    unsafe fn min_max(self, other: Self) -> (Self, Self) {
        unsafe {
            let greater = _mm256_cmpgt_epi64(self.0, other.0);
            (Self(_mm256_blendv_epi8(self.0, other.0, greater)), Self(_mm256_blendv_epi8(other.0, self.0, greater)))
        }
    }

    #[inline(always)]
    unsafe fn reverse(self) -> Self {
        unsafe { Self(_mm256_permute4x64_epi64::<0x1b>(self.0)) }
    }

    #[inline(always)]
    unsafe fn zip(self, other: Self) -> (Self, Self) {
        unsafe {
            let (low, high) = (_mm256_unpacklo_epi64(self.0, other.0), _mm256_unpackhi_epi64(self.0, other.0));
            (Self(_mm256_permute2x128_si256::<0x20>(low, high)), Self(_mm256_permute2x128_si256::<0x31>(low, high)))
        }
    }

    #[inline(always)]
    unsafe fn split(self, pivot: Self) -> (Self, usize) {
        unsafe {
            let below = _mm256_movemask_pd(_mm256_castsi256_pd(_mm256_cmpgt_epi64(pivot.0, self.0))) as usize;
            (Self(permute(self.0, &SPLIT_4[below & 15])), below.count_ones() as usize)
        }
    }

    #[inline(always)]
    unsafe fn count_below(self, bound: Self) -> usize {
        unsafe { _mm256_movemask_pd(_mm256_castsi256_pd(_mm256_cmpgt_epi64(bound.0, self.0))).count_ones() as usize }
    }
}
