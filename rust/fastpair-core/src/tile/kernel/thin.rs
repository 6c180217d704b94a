//! The kernel for few rows of x: each row of y is read once, where it lies, and compared with all of them.
//!
//! Lanes are columns here. Nothing is packed, so a search for a handful of rows costs little more than reading y.

use super::Product;
use crate::simd::{Floats, Level, Real};

/// The most rows of x for which this is the faster kernel.
pub(crate) const FEW: usize = 4;

/// Rows of x that share the loads of y.
const GROUP: usize = 4;

/// Columns in a step: two registers of the widest level, so that all levels may pad alike.
pub(crate) const STEP: usize = 32;

/// `sums[i]` is the sum over columns of `product(x_i, y)` for each row `x_i` of `x`, which are padded to `padded`
/// columns with zeros. The result is that of `product(y, y)` or, unless `SQUARES`, of the magnitudes of y.
#[inline(always)]
pub(crate) fn sum_products_thin<L: Level, T: Real, P: Product, const SQUARES: bool>(
    x: &[T],
    padded: usize,
    y: &[T],
    sums: &mut [T],
) -> f64 {
    assert!(padded.is_multiple_of(STEP) && padded >= y.len() && x.len() >= sums.len() * padded, "rows of one width");
    let (whole, rest) = y.as_chunks::<STEP>();
    let mut last = [T::default(); STEP];
    if !rest.is_empty() {
        last[..rest.len()].copy_from_slice(rest);
    }
    let steps = || whole.iter().chain(if rest.is_empty() { None } else { Some(&last) });
    // The sum over y itself goes with the first group, or alone if there is no row at all.
    let mut of_y = 0.0;
    for (group, sums) in sums.chunks_mut(GROUP).enumerate() {
        let x = &x[group * GROUP * padded..];
        // SAFETY: inside `call`; x has `sums.len()` rows of `padded` columns, enough for all steps.
        unsafe {
            let own = match sums.len() {
                4 => group_of::<L, T, P, SQUARES, 4>(x, padded, steps(), sums),
                3 => group_of::<L, T, P, SQUARES, 3>(x, padded, steps(), sums),
                2 => group_of::<L, T, P, SQUARES, 2>(x, padded, steps(), sums),
                _ => group_of::<L, T, P, SQUARES, 1>(x, padded, steps(), sums),
            };
            of_y = if group == 0 { own } else { of_y };
        }
    }
    of_y
}

/// The same for `N` rows.
///
/// # Safety
/// Runs inside `call`; `x` has `N` rows of `padded` columns, and there are at most `padded / STEP` steps.
#[inline(always)]
unsafe fn group_of<'y, L: Level, T: Real, P: Product, const SQUARES: bool, const N: usize>(
    x: &[T],
    padded: usize,
    steps: impl Iterator<Item = &'y [T; STEP]>,
    sums: &mut [T],
) -> f64 {
    type V<L, T> = <T as Real>::Vector<L>;
    let lanes = <V<L, T> as Floats>::LANES;
    // SAFETY: all loads are of LANES columns of a step, and of the same columns of x.
    unsafe {
        let zero = V::<L, T>::splat(T::default());
        let (mut of_x, mut of_y) = ([[zero; 2]; N], [zero; 2]);
        for (step, y) in steps.enumerate() {
            // Plain ranges: the compiler must unroll these loops to keep the sums in registers.
            for part in 0..STEP / lanes {
                let (h, lane) = (part % 2, part * lanes);
                let value = V::<L, T>::load(y.as_ptr().add(lane));
                of_y[h] = if SQUARES { value.mul_add(value, of_y[h]) } else { of_y[h].add(value.abs()) };
                for (i, sums) in of_x.iter_mut().enumerate() {
                    let own = V::<L, T>::load(x.as_ptr().add(i * padded + step * STEP + lane));
                    sums[h] = P::add_to(sums[h], own, value);
                }
            }
        }
        for (sum, registers) in sums.iter_mut().zip(of_x) {
            *sum = total::<L, T>(registers[0].add(registers[1]));
        }
        total::<L, T>(of_y[0].add(of_y[1])).widened()
    }
}

/// The sum of the lanes.
///
/// # Safety
/// Runs inside `call`.
#[inline(always)]
unsafe fn total<L: Level, T: Real>(register: T::Vector<L>) -> T {
    let mut lanes = [T::default(); STEP];
    // SAFETY: a register has at most STEP lanes.
    unsafe { register.store(lanes.as_mut_ptr()) };
    let mut half = <T::Vector<L> as Floats>::LANES / 2;
    while half > 0 {
        for i in 0..half {
            lanes[i] = T::plus(lanes[i], lanes[i + half]);
        }
        half /= 2;
    }
    lanes[0]
}
