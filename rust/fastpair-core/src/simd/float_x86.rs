//! Registers of floats of AVX2 (with FMA) and AVX-512.

use super::float::{Doubles, Floats, ONE};
use std::arch::x86_64::*;

macro_rules! floats {
    ($name:ident, $register:ty, $t:ty, $lanes:literal, $rows:literal, $splat:ident, $load:ident, $store:ident, $add:ident,
     $sub:ident, $fma:ident, $abs:expr, $at_least:expr) => {
        /// A register of this level.
        #[derive(Clone, Copy)]
        pub struct $name($register);

        // SAFETY of every block below: the caller runs inside `call` and gives memory as `Floats` says.
        #[allow(clippy::undocumented_unsafe_blocks)]
        impl Floats for $name {
            type Element = $t;
            const LANES: usize = $lanes;
            const ROWS: usize = $rows;
            #[inline(always)]
            unsafe fn splat(value: $t) -> Self {
                unsafe { Self($splat(value)) }
            }
            #[inline(always)]
            unsafe fn load(from: *const $t) -> Self {
                unsafe { Self($load(from)) }
            }
            #[inline(always)]
            unsafe fn store(self, to: *mut $t) {
                unsafe { $store(to, self.0) }
            }
            #[inline(always)]
            unsafe fn add(self, other: Self) -> Self {
                unsafe { Self($add(self.0, other.0)) }
            }
            #[inline(always)]
            unsafe fn sub(self, other: Self) -> Self {
                unsafe { Self($sub(self.0, other.0)) }
            }
            #[inline(always)]
            unsafe fn mul_add(self, factor: Self, addend: Self) -> Self {
                unsafe { Self($fma(self.0, factor.0, addend.0)) }
            }
            #[inline(always)]
            unsafe fn abs(self) -> Self {
                unsafe { Self($abs(self.0)) }
            }
            #[inline(always)]
            unsafe fn at_least(self, bound: Self) -> u32 {
                unsafe { $at_least(self.0, bound.0) }
            }
        }
    };
}

floats!(
    F32x8,
    __m256,
    f32,
    8,
    6,
    _mm256_set1_ps,
    _mm256_loadu_ps,
    _mm256_storeu_ps,
    _mm256_add_ps,
    _mm256_sub_ps,
    _mm256_fmadd_ps,
    abs_f32x8,
    at_least_f32x8
);
floats!(
    F64x4,
    __m256d,
    f64,
    4,
    6,
    _mm256_set1_pd,
    _mm256_loadu_pd,
    _mm256_storeu_pd,
    _mm256_add_pd,
    _mm256_sub_pd,
    _mm256_fmadd_pd,
    abs_f64x4,
    at_least_f64x4
);
floats!(
    F32x16,
    __m512,
    f32,
    16,
    14,
    _mm512_set1_ps,
    _mm512_loadu_ps,
    _mm512_storeu_ps,
    _mm512_add_ps,
    _mm512_sub_ps,
    _mm512_fmadd_ps,
    _mm512_abs_ps,
    at_least_f32x16
);
floats!(
    F64x8,
    __m512d,
    f64,
    8,
    14,
    _mm512_set1_pd,
    _mm512_loadu_pd,
    _mm512_storeu_pd,
    _mm512_add_pd,
    _mm512_sub_pd,
    _mm512_fmadd_pd,
    _mm512_abs_pd,
    at_least_f64x8
);

/// Clears the signs, for which AVX2 has no instruction of its own.
#[inline(always)]
unsafe fn abs_f32x8(value: __m256) -> __m256 {
    // SAFETY: as for the methods above.
    unsafe { _mm256_andnot_ps(_mm256_set1_ps(-0.0), value) }
}

/// The same for float64.
#[inline(always)]
unsafe fn abs_f64x4(value: __m256d) -> __m256d {
    // SAFETY: as for the methods above.
    unsafe { _mm256_andnot_pd(_mm256_set1_pd(-0.0), value) }
}

#[inline(always)]
unsafe fn at_least_f32x8(value: __m256, bound: __m256) -> u32 {
    // SAFETY: as for the methods above.
    unsafe { _mm256_movemask_ps(_mm256_cmp_ps::<_CMP_GE_OQ>(value, bound)) as u32 }
}

#[inline(always)]
unsafe fn at_least_f64x4(value: __m256d, bound: __m256d) -> u32 {
    // SAFETY: as for the methods above.
    unsafe { _mm256_movemask_pd(_mm256_cmp_pd::<_CMP_GE_OQ>(value, bound)) as u32 }
}

#[inline(always)]
unsafe fn at_least_f32x16(value: __m512, bound: __m512) -> u32 {
    // SAFETY: as for the methods above.
    unsafe { _mm512_cmp_ps_mask::<_CMP_GE_OQ>(value, bound).into() }
}

#[inline(always)]
unsafe fn at_least_f64x8(value: __m512d, bound: __m512d) -> u32 {
    // SAFETY: as for the methods above.
    unsafe { _mm512_cmp_pd_mask::<_CMP_GE_OQ>(value, bound).into() }
}

// SAFETY of every block below: the caller runs inside `call`.
#[allow(clippy::undocumented_unsafe_blocks)]
impl Doubles for F64x4 {
    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        unsafe { Self(_mm256_mul_pd(self.0, other.0)) }
    }
    #[inline(always)]
    unsafe fn div(self, other: Self) -> Self {
        unsafe { Self(_mm256_div_pd(self.0, other.0)) }
    }
    #[inline(always)]
    unsafe fn select(self, bound: Self, yes: Self, no: Self) -> Self {
        unsafe { Self(_mm256_blendv_pd(no.0, yes.0, _mm256_cmp_pd::<_CMP_GE_OQ>(self.0, bound.0))) }
    }
    #[inline(always)]
    unsafe fn power_of_two(self) -> Self {
        unsafe {
            let bits = _mm256_slli_epi64::<52>(_mm256_castpd_si256(self.0));
            Self(_mm256_castsi256_pd(_mm256_add_epi64(bits, _mm256_set1_epi64x(ONE as i64))))
        }
    }
}

// SAFETY: as above.
#[allow(clippy::undocumented_unsafe_blocks)]
impl Doubles for F64x8 {
    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        unsafe { Self(_mm512_mul_pd(self.0, other.0)) }
    }
    #[inline(always)]
    unsafe fn div(self, other: Self) -> Self {
        unsafe { Self(_mm512_div_pd(self.0, other.0)) }
    }
    #[inline(always)]
    unsafe fn select(self, bound: Self, yes: Self, no: Self) -> Self {
        unsafe { Self(_mm512_mask_blend_pd(_mm512_cmp_pd_mask::<_CMP_GE_OQ>(self.0, bound.0), no.0, yes.0)) }
    }
    #[inline(always)]
    unsafe fn power_of_two(self) -> Self {
        unsafe {
            let bits = _mm512_slli_epi64::<52>(_mm512_castpd_si512(self.0));
            Self(_mm512_castsi512_pd(_mm512_add_epi64(bits, _mm512_set1_epi64(ONE as i64))))
        }
    }
}
