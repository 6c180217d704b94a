//! Vectors of 512 bits. A split is two compressions in the register and one expansion of the upper part: no table, and
//! no compressing store, which some processors run in microcode.

use super::Vector;
use super::avx2::{U32x8, U64x4};
use std::arch::x86_64::*;

/// The bits `begin .. end`.
#[inline(always)]
fn lane_mask(begin: usize, end: usize) -> u16 {
    ((1u32 << end) - (1u32 << begin)) as u16
}

#[derive(Clone, Copy)]
pub struct U32x16(__m512i);

// SAFETY of every block below: the caller runs inside `call` and gives memory as `Vector` says.
#[allow(clippy::undocumented_unsafe_blocks)]
impl Vector for U32x16 {
    type Key = u32;
    type Half = U32x8;
    const LANES: usize = 16;

    #[inline(always)]
    unsafe fn splat(key: u32) -> Self {
        unsafe { Self(_mm512_set1_epi32(key as i32)) }
    }

    #[inline(always)]
    unsafe fn load(from: *const u32) -> Self {
        unsafe { Self(_mm512_loadu_si512(from.cast())) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut u32) {
        unsafe { _mm512_storeu_si512(to.cast(), self.0) }
    }

    #[inline(always)]
    unsafe fn load_head(from: *const u32, count: usize) -> Self {
        unsafe { Self(_mm512_mask_loadu_epi32(_mm512_set1_epi32(-1), lane_mask(0, count), from.cast())) }
    }

    #[inline(always)]
    unsafe fn store_lanes(self, to: *mut u32, begin: usize, end: usize) {
        unsafe { _mm512_mask_storeu_epi32(to.wrapping_sub(begin).cast(), lane_mask(begin, end), self.0) }
    }

    #[inline(always)]
    unsafe fn min_max(self, other: Self) -> (Self, Self) {
        unsafe { (Self(_mm512_min_epu32(self.0, other.0)), Self(_mm512_max_epu32(self.0, other.0))) }
    }

    #[inline(always)]
    unsafe fn reverse(self) -> Self {
        unsafe {
            let order = _mm512_setr_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
            Self(_mm512_permutexvar_epi32(order, self.0))
        }
    }

    #[inline(always)]
    unsafe fn zip(self, other: Self) -> (Self, Self) {
        unsafe {
            let low = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
            let high = _mm512_setr_epi32(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
            (
                Self(_mm512_permutex2var_epi32(self.0, low, other.0)),
                Self(_mm512_permutex2var_epi32(self.0, high, other.0)),
            )
        }
    }

    #[inline(always)]
    unsafe fn split(self, pivot: Self) -> (Self, usize) {
        unsafe {
            let at_least = _mm512_cmpge_epu32_mask(self.0, pivot.0);
            let below = 16 - at_least.count_ones() as usize;
            let low = _mm512_maskz_compress_epi32(!at_least, self.0);
            let high = _mm512_maskz_compress_epi32(at_least, self.0);
            (Self(_mm512_mask_expand_epi32(low, !lane_mask(0, below), high)), below)
        }
    }

    #[inline(always)]
    unsafe fn split_store(self, pivot: Self, left: *mut u32, right: *mut u32) -> usize {
        unsafe {
            let at_least = _mm512_cmpge_epu32_mask(self.0, pivot.0);
            let above = at_least.count_ones() as usize;
            _mm512_storeu_si512(left.cast(), _mm512_maskz_compress_epi32(!at_least, self.0));
            let high = _mm512_maskz_compress_epi32(at_least, self.0);
            _mm512_mask_storeu_epi32(right.sub(above).cast(), lane_mask(0, above), high);
            Self::LANES - above
        }
    }

    #[inline(always)]
    unsafe fn count_below(self, bound: Self) -> usize {
        unsafe { _mm512_cmplt_epu32_mask(self.0, bound.0).count_ones() as usize }
    }
}

#[derive(Clone, Copy)]
pub struct U64x8(__m512i);

// SAFETY of every block below: the caller runs inside `call` and gives memory as `Vector` says.
#[allow(clippy::undocumented_unsafe_blocks)]
impl Vector for U64x8 {
    type Key = u64;
    type Half = U64x4;
    const LANES: usize = 8;

    #[inline(always)]
    unsafe fn splat(key: u64) -> Self {
        unsafe { Self(_mm512_set1_epi64(key as i64)) }
    }

    #[inline(always)]
    unsafe fn load(from: *const u64) -> Self {
        unsafe { Self(_mm512_loadu_si512(from.cast())) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut u64) {
        unsafe { _mm512_storeu_si512(to.cast(), self.0) }
    }

    #[inline(always)]
    unsafe fn load_head(from: *const u64, count: usize) -> Self {
        unsafe { Self(_mm512_mask_loadu_epi64(_mm512_set1_epi64(-1), lane_mask(0, count) as u8, from.cast())) }
    }

    #[inline(always)]
    unsafe fn store_lanes(self, to: *mut u64, begin: usize, end: usize) {
        unsafe { _mm512_mask_storeu_epi64(to.wrapping_sub(begin).cast(), lane_mask(begin, end) as u8, self.0) }
    }

    #[inline(always)]
    unsafe fn min_max(self, other: Self) -> (Self, Self) {
        unsafe { (Self(_mm512_min_epu64(self.0, other.0)), Self(_mm512_max_epu64(self.0, other.0))) }
    }

    #[inline(always)]
    unsafe fn reverse(self) -> Self {
        unsafe { Self(_mm512_permutexvar_epi64(_mm512_setr_epi64(7, 6, 5, 4, 3, 2, 1, 0), self.0)) }
    }

    #[inline(always)]
    unsafe fn zip(self, other: Self) -> (Self, Self) {
        unsafe {
            let low = _mm512_setr_epi64(0, 8, 1, 9, 2, 10, 3, 11);
            let high = _mm512_setr_epi64(4, 12, 5, 13, 6, 14, 7, 15);
            (
                Self(_mm512_permutex2var_epi64(self.0, low, other.0)),
                Self(_mm512_permutex2var_epi64(self.0, high, other.0)),
            )
        }
    }

    #[inline(always)]
    unsafe fn split(self, pivot: Self) -> (Self, usize) {
        unsafe {
            let at_least = _mm512_cmpge_epu64_mask(self.0, pivot.0);
            let below = 8 - at_least.count_ones() as usize;
            let low = _mm512_maskz_compress_epi64(!at_least, self.0);
            let high = _mm512_maskz_compress_epi64(at_least, self.0);
            (Self(_mm512_mask_expand_epi64(low, !(lane_mask(0, below) as u8), high)), below)
        }
    }

    #[inline(always)]
    unsafe fn split_store(self, pivot: Self, left: *mut u64, right: *mut u64) -> usize {
        unsafe {
            let at_least = _mm512_cmpge_epu64_mask(self.0, pivot.0);
            let above = at_least.count_ones() as usize;
            _mm512_storeu_si512(left.cast(), _mm512_maskz_compress_epi64(!at_least, self.0));
            let high = _mm512_maskz_compress_epi64(at_least, self.0);
            _mm512_mask_storeu_epi64(right.sub(above).cast(), lane_mask(0, above) as u8, high);
            Self::LANES - above
        }
    }

    #[inline(always)]
    unsafe fn count_below(self, bound: Self) -> usize {
        unsafe { _mm512_cmplt_epu64_mask(self.0, bound.0).count_ones() as usize }
    }
}
