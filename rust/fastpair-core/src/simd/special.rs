//! Two kernels for instructions that only some processors of a level have: counting bits and multiplying bytes. Each says
//! whether it can run.

use super::Isa;

/// Lanes side by side.
const LANES: usize = 32;

/// The number of bits in which each lane of `x` differs from `y`, for less than 2^26 words.
#[inline]
pub(crate) fn differing_bits(isa: Isa, x: &[[u64; LANES]], y: &[u64]) -> [u32; LANES] {
    #[cfg(target_arch = "x86_64")]
    if isa.name() == "v4" && is_x86_feature_detected!("avx512vpopcntdq") {
        // SAFETY: both features were detected.
        return unsafe { x86::differing_bits(x, y) };
    }
    #[cfg(target_arch = "x86_64")]
    if isa.name() != "base" {
        // SAFETY: v3 and v4 have the instruction.
        return unsafe { x86::differing_bits_popcnt(x, y) };
    }
    let _ = isa;
    differing_bits_plain(x, y)
}

#[inline(always)]
fn differing_bits_plain(x: &[[u64; LANES]], y: &[u64]) -> [u32; LANES] {
    let mut counts = [0; LANES];
    for (x, &y) in x.iter().zip(y) {
        for (count, x) in counts.iter_mut().zip(x) {
            *count += (x ^ y).count_ones();
        }
    }
    counts
}

/// Whether [`dot_bytes`] can run.
pub(crate) fn has_dot_bytes(isa: Isa) -> bool {
    #[cfg(target_arch = "x86_64")]
    return isa.name() == "v4" && is_x86_feature_detected!("avx512vnni");
    #[cfg(not(target_arch = "x86_64"))]
    {
        let _ = isa;
        false
    }
}

/// Rows that [`dot_bytes`] takes at a time.
pub(crate) const BYTE_ROWS: usize = 14;

/// `out[j][i] = sum over quads q and b < 4 of x[q][i][b] * y[j][4 q + b]`, where x holds unsigned and y signed bytes.
///
/// # Panics
/// If [`has_dot_bytes`] is false, or a row of y is shorter than four bytes for each quad.
#[inline]
pub(crate) fn dot_bytes(x: &[[[u8; 4]; LANES]], y: [&[u8]; BYTE_ROWS], out: &mut [[i32; LANES]; BYTE_ROWS]) {
    assert!(y.iter().all(|row| row.len() >= 4 * x.len()), "rows of the same length");
    #[cfg(target_arch = "x86_64")]
    {
        assert!(is_x86_feature_detected!("avx512vnni") && is_x86_feature_detected!("avx512f"), "no such instruction");
        // SAFETY: the features were detected, and the rows are long enough.
        unsafe { x86::dot_bytes(x, y, out) }
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        let _ = out;
        unreachable!("no processor of this kind has the instruction");
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{BYTE_ROWS, LANES};
    use std::arch::x86_64::*;

    #[target_feature(enable = "avx512f,avx512vpopcntdq")]
    pub(super) fn differing_bits(x: &[[u64; LANES]], y: &[u64]) -> [u32; LANES] {
        let mut sums = [_mm512_setzero_si512(); 4];
        for (x, &y) in x.iter().zip(y) {
            let y = _mm512_set1_epi64(y as i64);
            for (h, sum) in sums.iter_mut().enumerate() {
                // SAFETY: a strip has four registers of eight words.
                let x = unsafe { _mm512_loadu_si512(x.as_ptr().add(8 * h).cast()) };
                *sum = _mm512_add_epi64(*sum, _mm512_popcnt_epi64(_mm512_xor_si512(x, y)));
            }
        }
        let mut counts = [0; LANES];
        for (h, sum) in sums.into_iter().enumerate() {
            // SAFETY: as above.
            unsafe { _mm256_storeu_si256(counts.as_mut_ptr().add(8 * h).cast(), _mm512_cvtepi64_epi32(sum)) };
        }
        counts
    }

    #[target_feature(enable = "popcnt")]
    pub(super) fn differing_bits_popcnt(x: &[[u64; LANES]], y: &[u64]) -> [u32; LANES] {
        super::differing_bits_plain(x, y)
    }

    /// # Safety
    /// Each row of y has four bytes for each quad of x.
    #[target_feature(enable = "avx512f,avx512vnni")]
    pub(super) unsafe fn dot_bytes(x: &[[[u8; 4]; LANES]], y: [&[u8]; BYTE_ROWS], out: &mut [[i32; LANES]; BYTE_ROWS]) {
        let mut sums = [[_mm512_setzero_si512(); 2]; BYTE_ROWS];
        let rows = y.map(|row| row.as_ptr());
        for (q, x) in x.iter().enumerate() {
            // SAFETY: a quad of a strip is two registers; the rows are long enough by the caller's promise.
            unsafe {
                let x0 = _mm512_loadu_si512(x.as_ptr().cast());
                let x1 = _mm512_loadu_si512(x.as_ptr().add(16).cast());
                for (sums, row) in sums.iter_mut().zip(rows) {
                    let y = _mm512_set1_epi32(row.add(4 * q).cast::<i32>().read_unaligned());
                    sums[0] = _mm512_dpbusd_epi32(sums[0], x0, y);
                    sums[1] = _mm512_dpbusd_epi32(sums[1], x1, y);
                }
            }
        }
        for (sums, out) in sums.into_iter().zip(out) {
            // SAFETY: a row of the result is two registers.
            unsafe {
                _mm512_storeu_si512(out.as_mut_ptr().cast(), sums[0]);
                _mm512_storeu_si512(out.as_mut_ptr().add(16).cast(), sums[1]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_and_bytes_are_counted_on_every_level() {
        let mut state = 7u64;
        let mut random = || {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            state >> 24
        };
        for len in [0, 1, 5, 64] {
            let x: Vec<[u64; LANES]> = (0..len).map(|_| std::array::from_fn(|_| random() * random())).collect();
            let y: Vec<u64> = (0..len).map(|_| random() * random()).collect();
            for isa in Isa::available() {
                assert_eq!(differing_bits(isa, &x, &y), differing_bits_plain(&x, &y));
            }
            if !Isa::available().into_iter().any(has_dot_bytes) {
                continue;
            }
            let x: Vec<[[u8; 4]; LANES]> =
                (0..len).map(|_| std::array::from_fn(|_| std::array::from_fn(|_| random() as u8))).collect();
            let y: Vec<Vec<u8>> = (0..BYTE_ROWS).map(|_| (0..4 * len).map(|_| random() as u8).collect()).collect();
            let mut out = [[0; LANES]; BYTE_ROWS];
            dot_bytes(&x, std::array::from_fn(|j| &y[j][..]), &mut out);
            for (y, out) in y.iter().zip(out) {
                for (i, out) in out.into_iter().enumerate() {
                    let terms = (0..4 * len).map(|k| i32::from(x[k / 4][i][k % 4]) * i32::from(y[k] as i8));
                    assert_eq!(out, terms.sum::<i32>());
                }
            }
        }
    }
}
