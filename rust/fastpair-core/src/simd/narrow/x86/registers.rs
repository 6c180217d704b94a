//! The registers of each way, and what they do with a cell.

use super::Registers;
use std::arch::asm;
use std::arch::x86_64::*;

/// What the registers of integers of 256 bits have in common.
macro_rules! integers_256 {
    () => {
        type Y = __m256i;
        type Sum = __m256i;
        const LANES: usize = 8;
        #[inline(always)]
        unsafe fn y(from: *const u8) -> __m256i {
            unsafe { _mm256_set1_epi32(from.cast::<i32>().read_unaligned()) }
        }
        #[inline(always)]
        unsafe fn zero() -> __m256i {
            unsafe { _mm256_setzero_si256() }
        }
        #[inline(always)]
        unsafe fn load(from: *const f32) -> __m256i {
            unsafe { _mm256_loadu_si256(from.cast()) }
        }
        #[inline(always)]
        unsafe fn store(sum: __m256i, to: *mut f32) {
            unsafe { _mm256_storeu_si256(to.cast(), sum) }
        }
        #[inline(always)]
        unsafe fn finish(sum: __m256i, moved: i32, to: *mut f32) {
            unsafe {
                let sum = if Self::MOVED { _mm256_sub_epi32(sum, _mm256_set1_epi32(moved)) } else { sum };
                _mm256_storeu_ps(to, _mm256_cvtepi32_ps(sum));
            }
        }
    };
}

/// What the registers of integers of 512 bits have in common.
macro_rules! integers_512 {
    () => {
        type X = __m512i;
        type Y = __m512i;
        type Sum = __m512i;
        const LANES: usize = 16;
        const ROWS: [usize; 2] = [16, 8];
        #[inline(always)]
        unsafe fn x(from: *const u8) -> __m512i {
            unsafe { _mm512_loadu_si512(from.cast()) }
        }
        #[inline(always)]
        unsafe fn y(from: *const u8) -> __m512i {
            unsafe { _mm512_set1_epi32(from.cast::<i32>().read_unaligned()) }
        }
        #[inline(always)]
        unsafe fn zero() -> __m512i {
            unsafe { _mm512_setzero_si512() }
        }
        #[inline(always)]
        unsafe fn load(from: *const f32) -> __m512i {
            unsafe { _mm512_loadu_si512(from.cast()) }
        }
        #[inline(always)]
        unsafe fn store(sum: __m512i, to: *mut f32) {
            unsafe { _mm512_storeu_si512(to.cast(), sum) }
        }
        #[inline(always)]
        unsafe fn finish(sum: __m512i, moved: i32, to: *mut f32) {
            unsafe {
                let sum = if Self::MOVED { _mm512_sub_epi32(sum, _mm512_set1_epi32(moved)) } else { sum };
                _mm512_storeu_ps(to, _mm512_cvtepi32_ps(sum));
            }
        }
    };
}

pub(super) struct Avx2Int8;

// SAFETY of every block below: the promises of `Registers`.
#[allow(clippy::undocumented_unsafe_blocks)]
impl Registers for Avx2Int8 {
    /// The signed values and their magnitudes.
    type X = (__m256i, __m256i);
    const ROWS: [usize; 2] = [8, 4];
    const MOVED: bool = false;
    #[inline(always)]
    unsafe fn x(from: *const u8) -> Self::X {
        unsafe {
            let signed = _mm256_xor_si256(_mm256_loadu_si256(from.cast()), _mm256_set1_epi8(-128));
            (signed, _mm256_abs_epi8(signed))
        }
    }
    /// The sign of x goes to y, so that the other factor is unsigned and a pair of products, at most 2 * 127^2, fits 16
    /// bits.
    #[inline(always)]
    unsafe fn add(sum: __m256i, x: Self::X, y: __m256i) -> __m256i {
        unsafe {
            let pairs = _mm256_maddubs_epi16(x.1, _mm256_sign_epi8(y, x.0));
            hidden_256(_mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1))))
        }
    }
    integers_256!();
}

pub(super) struct Avx2Int16;

// SAFETY of every block below: the promises of `Registers`.
#[allow(clippy::undocumented_unsafe_blocks)]
impl Registers for Avx2Int16 {
    type X = __m256i;
    const ROWS: [usize; 2] = [8, 4];
    const MOVED: bool = false;
    #[inline(always)]
    unsafe fn x(from: *const u8) -> __m256i {
        unsafe { _mm256_loadu_si256(from.cast()) }
    }
    #[inline(always)]
    unsafe fn add(sum: __m256i, x: __m256i, y: __m256i) -> __m256i {
        unsafe { hidden_256(_mm256_add_epi32(sum, _mm256_madd_epi16(x, y))) }
    }
    integers_256!();
}

pub(super) struct Avx2Bf16;

// SAFETY of every block below: the promises of `Registers`.
#[allow(clippy::undocumented_unsafe_blocks)]
impl Registers for Avx2Bf16 {
    /// The first and the second number of each cell.
    type X = [__m256; 2];
    type Y = [__m256; 2];
    type Sum = __m256;
    const LANES: usize = 8;
    const ROWS: [usize; 2] = [8, 4];
    const MOVED: bool = false;
    #[inline(always)]
    unsafe fn x(from: *const u8) -> [__m256; 2] {
        unsafe { split_256(_mm256_loadu_si256(from.cast())) }
    }
    #[inline(always)]
    unsafe fn y(from: *const u8) -> [__m256; 2] {
        unsafe { split_256(_mm256_set1_epi32(from.cast::<i32>().read_unaligned())) }
    }
    #[inline(always)]
    unsafe fn zero() -> __m256 {
        unsafe { _mm256_setzero_ps() }
    }
    #[inline(always)]
    unsafe fn add(sum: __m256, x: [__m256; 2], y: [__m256; 2]) -> __m256 {
        unsafe { _mm256_fmadd_ps(x[1], y[1], _mm256_fmadd_ps(x[0], y[0], sum)) }
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> __m256 {
        unsafe { _mm256_loadu_ps(from) }
    }
    #[inline(always)]
    unsafe fn store(sum: __m256, to: *mut f32) {
        unsafe { _mm256_storeu_ps(to, sum) }
    }
    #[inline(always)]
    unsafe fn finish(sum: __m256, _: i32, to: *mut f32) {
        unsafe { _mm256_storeu_ps(to, sum) }
    }
}

/// The first and the second bf16 of each cell.
#[inline(always)]
unsafe fn split_256(cells: __m256i) -> [__m256; 2] {
    // SAFETY: as for the methods above.
    unsafe {
        let second = _mm256_and_si256(cells, _mm256_set1_epi32(-0x1_0000));
        [_mm256_castsi256_ps(_mm256_slli_epi32::<16>(cells)), _mm256_castsi256_ps(second)]
    }
}

pub(super) struct AvxVnniInt8;

// SAFETY of every block below: the promises of `Registers`.
#[allow(clippy::undocumented_unsafe_blocks)]
impl Registers for AvxVnniInt8 {
    type X = __m256i;
    const ROWS: [usize; 2] = [8, 6];
    const MOVED: bool = true;
    #[inline(always)]
    unsafe fn x(from: *const u8) -> __m256i {
        unsafe { _mm256_loadu_si256(from.cast()) }
    }
    #[inline(always)]
    unsafe fn add(sum: __m256i, x: __m256i, y: __m256i) -> __m256i {
        unsafe { _mm256_dpbusd_avx_epi32(sum, x, y) }
    }
    integers_256!();
}

pub(super) struct AvxVnniInt16;

// SAFETY of every block below: the promises of `Registers`.
#[allow(clippy::undocumented_unsafe_blocks)]
impl Registers for AvxVnniInt16 {
    type X = __m256i;
    const ROWS: [usize; 2] = [8, 6];
    const MOVED: bool = false;
    #[inline(always)]
    unsafe fn x(from: *const u8) -> __m256i {
        unsafe { _mm256_loadu_si256(from.cast()) }
    }
    #[inline(always)]
    unsafe fn add(sum: __m256i, x: __m256i, y: __m256i) -> __m256i {
        unsafe { add_pairs_256(sum, x, y) }
    }
    integers_256!();
}

/// Instructions that are written out because the compiler takes their intrinsics apart into two.
macro_rules! add_pairs {
    ($name:ident $features:literal $register:ident $class:ident $instruction:literal) => {
        /// `sum` with the products of pairs of 16 bits added.
        #[inline]
        #[target_feature(enable = $features)]
        fn $name(mut sum: $register, x: $register, y: $register) -> $register {
            // SAFETY: the function's features include the instruction, which touches nothing but its registers.
            unsafe {
                asm!(
                    concat!($instruction, " {sum}, {x}, {y}"),
                    sum = inout($class) sum,
                    x = in($class) x,
                    y = in($class) y,
                    options(pure, nomem, nostack, preserves_flags)
                );
            }
            sum
        }
    };
}

add_pairs!(add_pairs_256 "avx2,avxvnni" __m256i ymm_reg "{{vex}} vpdpwssd");
add_pairs!(add_pairs_512 "avx512f,avx512vnni" __m512i zmm_reg "vpdpwssd");

/// Functions that do nothing but hide where a sum comes from.
macro_rules! hidden {
    ($name:ident $features:literal $register:ident $class:ident) => {
        /// `sum`: the compiler would else add the products of several cells first, and run out of registers.
        #[inline]
        #[target_feature(enable = $features)]
        fn $name(mut sum: $register) -> $register {
            // SAFETY: no instruction.
            unsafe { asm!("/* {} */", inout($class) sum, options(pure, nomem, nostack, preserves_flags)) };
            sum
        }
    };
}

hidden!(hidden_256 "avx2" __m256i ymm_reg);
hidden!(hidden_512 "avx512f" __m512i zmm_reg);

pub(super) struct Avx512Int16;

// SAFETY of every block below: the promises of `Registers`.
#[allow(clippy::undocumented_unsafe_blocks)]
impl Registers for Avx512Int16 {
    const MOVED: bool = false;
    #[inline(always)]
    unsafe fn add(sum: __m512i, x: __m512i, y: __m512i) -> __m512i {
        unsafe { hidden_512(_mm512_add_epi32(sum, _mm512_madd_epi16(x, y))) }
    }
    integers_512!();
}

pub(super) struct Avx512Bf16;

// SAFETY of every block below: the promises of `Registers`.
#[allow(clippy::undocumented_unsafe_blocks)]
impl Registers for Avx512Bf16 {
    /// The first and the second number of each cell.
    type X = [__m512; 2];
    type Y = [__m512; 2];
    type Sum = __m512;
    const LANES: usize = 16;
    const ROWS: [usize; 2] = [16, 8];
    const MOVED: bool = false;
    #[inline(always)]
    unsafe fn x(from: *const u8) -> [__m512; 2] {
        unsafe { split_512(_mm512_loadu_si512(from.cast())) }
    }
    #[inline(always)]
    unsafe fn y(from: *const u8) -> [__m512; 2] {
        unsafe { split_512(_mm512_set1_epi32(from.cast::<i32>().read_unaligned())) }
    }
    #[inline(always)]
    unsafe fn zero() -> __m512 {
        unsafe { _mm512_setzero_ps() }
    }
    #[inline(always)]
    unsafe fn add(sum: __m512, x: [__m512; 2], y: [__m512; 2]) -> __m512 {
        unsafe { _mm512_fmadd_ps(x[1], y[1], _mm512_fmadd_ps(x[0], y[0], sum)) }
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> __m512 {
        unsafe { _mm512_loadu_ps(from) }
    }
    #[inline(always)]
    unsafe fn store(sum: __m512, to: *mut f32) {
        unsafe { _mm512_storeu_ps(to, sum) }
    }
    #[inline(always)]
    unsafe fn finish(sum: __m512, _: i32, to: *mut f32) {
        unsafe { _mm512_storeu_ps(to, sum) }
    }
}

/// The first and the second bf16 of each cell.
#[inline(always)]
unsafe fn split_512(cells: __m512i) -> [__m512; 2] {
    // SAFETY: as for the methods above.
    unsafe {
        let second = _mm512_and_si512(cells, _mm512_set1_epi32(-0x1_0000));
        [_mm512_castsi512_ps(_mm512_slli_epi32::<16>(cells)), _mm512_castsi512_ps(second)]
    }
}

pub(super) struct Avx512VnniInt8;

// SAFETY of every block below: the promises of `Registers`.
#[allow(clippy::undocumented_unsafe_blocks)]
impl Registers for Avx512VnniInt8 {
    const MOVED: bool = true;
    #[inline(always)]
    unsafe fn add(sum: __m512i, x: __m512i, y: __m512i) -> __m512i {
        unsafe { _mm512_dpbusd_epi32(sum, x, y) }
    }
    integers_512!();
}

pub(super) struct Avx512VnniInt16;

// SAFETY of every block below: the promises of `Registers`.
#[allow(clippy::undocumented_unsafe_blocks)]
impl Registers for Avx512VnniInt16 {
    const MOVED: bool = false;
    #[inline(always)]
    unsafe fn add(sum: __m512i, x: __m512i, y: __m512i) -> __m512i {
        unsafe { add_pairs_512(sum, x, y) }
    }
    integers_512!();
}
