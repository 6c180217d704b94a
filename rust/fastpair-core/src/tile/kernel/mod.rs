//! The micro-kernel: products of some rows of y (broadcast) with a strip of rows of x (lanes), summed over columns.
//!
//! A block of `ROWS x 2` registers (`ROWS x 1` where half a strip is enough) stays in the register file for all columns of a slice, so a step is two loads of x,
//! `ROWS` broadcasts and `2 ROWS` fused operations. Nothing else is in the loop: a prefetch for each step costs 3 %, four
//! steps at a time 5 %.

mod thin;

pub(crate) use thin::{FEW, STEP, sum_products_thin};

pub use crate::simd::{STRIP, Strip};

use crate::simd::{Ahead, Floats, Level, Real};

/// Columns in a slice: a slice of a strip takes 32 KiB (float32).
pub(crate) const SLICE: usize = 256;

/// Elements between rows of y in a block: a constant, so that addresses are immediate, and no power of two, so that rows
/// do not compete for the same cache lines.
pub(crate) const ROW: usize = SLICE + 16;

/// Rows of y in a block: a multiple of every `Floats::ROWS`.
pub const BLOCK: usize = 168;

/// What is summed over the columns.
pub(crate) trait Product {
    /// `sum` with the term of a column added.
    ///
    /// # Safety
    /// As for the methods of [`Floats`].
    unsafe fn add_to<F: Floats>(sum: F, x: F, y: F) -> F;
}

/// `x y`: the sums are dot products.
pub(crate) struct Multiply;

impl Product for Multiply {
    #[inline(always)]
    unsafe fn add_to<F: Floats>(sum: F, x: F, y: F) -> F {
        // SAFETY: the caller's.
        unsafe { y.mul_add(x, sum) }
    }
}

/// `-|x - y|`: the sums are Manhattan distances, negated so that larger is nearer.
pub(crate) struct Difference;

impl Product for Difference {
    #[inline(always)]
    unsafe fn add_to<F: Floats>(sum: F, x: F, y: F) -> F {
        // SAFETY: the caller's.
        unsafe { sum.sub(y.sub(x).abs()) }
    }
}

/// `out[j][i] (+)= sum over columns k of product(x[k][i], y[j * ROW + k])`; adds to `out` unless `first`. Of the lanes, only
/// the first `used` count.
///
/// `out` has a multiple of [`Floats::ROWS`] rows, for which `y` has [`ROW`] elements each. `lines` of what lies `ahead` are
/// asked for meanwhile.
#[inline(always)]
pub(crate) fn sum_products<L: Level, T: Real, P: Product>(
    x: &[Strip<T>],
    y: &[T],
    out: &mut [Strip<T>],
    used: usize,
    first: bool,
    ahead: &mut Ahead,
    lines: usize,
) {
    let rows = <T::Vector<L> as Floats>::ROWS;
    assert!(
        x.len() <= SLICE && out.len().is_multiple_of(rows) && y.len() >= out.len() * ROW,
        "a block of the wrong shape"
    );
    let lines = lines.div_ceil(out.len() / rows);
    for (y, out) in y.chunks(rows * ROW).zip(out.chunks_mut(rows)) {
        ahead.ask(lines);
        // SAFETY: inside `call`; x has `x.len()` columns of STRIP lanes, y has `rows` rows of ROW elements, of which
        // the first `x.len()` are read, and out has `rows` rows of STRIP lanes.
        unsafe {
            let half = used <= <T::Vector<L> as Floats>::LANES;
            let out = out.as_mut_ptr().cast();
            match (rows, half) {
                (14, false) => block::<L, T, P, false, 14, 2>(x, y.as_ptr(), out, STRIP, used, !first),
                (14, true) => block::<L, T, P, false, 14, 1>(x, y.as_ptr(), out, STRIP, used, !first),
                (_, false) => block::<L, T, P, false, 6, 2>(x, y.as_ptr(), out, STRIP, used, !first),
                (_, true) => block::<L, T, P, false, 6, 1>(x, y.as_ptr(), out, STRIP, used, !first),
            }
        }
    }
}

/// Bit i is set where lane i of `values` is at least that of `bounds`.
#[inline(always)]
pub(crate) fn at_least<L: Level>(values: &Strip<f32>, bounds: &Strip<f32>) -> u32 {
    let lanes = L::F32::LANES;
    let mut bits = 0;
    for lane in (0..STRIP).step_by(lanes) {
        // SAFETY: inside `call`, and `lane + lanes <= STRIP`.
        unsafe {
            let value = L::F32::load(values.0.as_ptr().add(lane));
            bits |= value.at_least(L::F32::load(bounds.0.as_ptr().add(lane))) << lane;
        }
    }
    bits
}

/// `out[j * stride + i] (+)= sum over k of b[k][i] a(j, k)` for the rows `j < rows` and the lanes `i < used`, where `a(j, k)`
/// is `a[j * ROW + k]` or, `ACROSS`, `a[k * ROW + j]`; adds to `out` if `add`.
///
/// Rows are done in steps of [`Floats::ROWS`]: `a` must have room for the last step, whose surplus is not used.
#[inline(always)]
pub(crate) fn multiply<L: Level, T: Real, const ACROSS: bool>(
    a: &[T],
    b: &[Strip<T>],
    out: &mut [T],
    stride: usize,
    [rows, used]: [usize; 2],
    add: bool,
) {
    if rows == 0 || used == 0 || b.is_empty() {
        return;
    }
    let step = <T::Vector<L> as Floats>::ROWS;
    let padded = rows.next_multiple_of(step);
    let needed = if ACROSS { (b.len() - 1) * ROW + padded } else { (padded - 1) * ROW + b.len() };
    assert!(
        used <= STRIP && a.len() >= needed && out.len() >= (rows - 1) * stride + used,
        "a product of the wrong shape"
    );
    let mut spare = [Strip::<T>::default(); LARGEST_STEP];
    for j in (0..rows).step_by(step) {
        let a = a[if ACROSS { j } else { j * ROW }..].as_ptr();
        let whole = used == STRIP && rows - j >= step;
        // SAFETY: inside `call`; `a` leads to `step` rows of `b.len()` elements, as just checked, and what is written has
        // `step` rows of STRIP elements: `out` where it does, else `spare`.
        unsafe {
            let (to, stride) =
                if whole { (out[j * stride..].as_mut_ptr(), stride) } else { (spare.as_mut_ptr().cast(), STRIP) };
            match step {
                14 => block::<L, T, Multiply, ACROSS, 14, 2>(b, a, to, stride, used, whole && add),
                _ => block::<L, T, Multiply, ACROSS, 6, 2>(b, a, to, stride, used, whole && add),
            }
        }
        if !whole {
            for (row, sums) in spare.iter().enumerate().take(rows - j) {
                let out = &mut out[(j + row) * stride..][..used];
                let keep = |(out, &sum): (&mut T, &T)| *out = if add { out.plus(sum) } else { sum };
                out.iter_mut().zip(&sums.0).for_each(keep);
            }
        }
    }
}

/// The largest [`Floats::ROWS`].
const LARGEST_STEP: usize = 14;

/// The same as [`multiply`] for `ROWS` rows, with any product.
///
/// # Safety
/// Runs inside `call`; `y` leads to `ROWS` rows of `x.len()` elements, [`ROW`] apart (`ACROSS`, to `x.len()` rows of `ROWS`),
/// and `out` to `ROWS` rows of [`STRIP`] elements, `stride` apart.
#[inline(always)]
unsafe fn block<L: Level, T: Real, P: Product, const ACROSS: bool, const ROWS: usize, const REGISTERS: usize>(
    x: &[Strip<T>],
    y: *const T,
    out: *mut T,
    stride: usize,
    used: usize,
    add: bool,
) {
    type V<L, T> = <T as Real>::Vector<L>;
    let lanes = <V<L, T> as Floats>::LANES;
    for lane in (0..used.min(STRIP)).step_by(REGISTERS * lanes) {
        // SAFETY: `lane + REGISTERS lanes <= STRIP`, a multiple of both, and the caller's promises.
        unsafe {
            let mut sums = [[V::<L, T>::splat(T::default()); REGISTERS]; ROWS];
            let mut x_at = x.as_ptr().cast::<T>().add(lane);
            let mut y_at = y;
            for _ in 0..x.len() {
                let mut x = [V::<L, T>::splat(T::default()); REGISTERS];
                for (h, x) in x.iter_mut().enumerate() {
                    *x = V::<L, T>::load(x_at.add(h * lanes));
                }
                x_at = x_at.wrapping_add(STRIP);
                for (j, sums) in sums.iter_mut().enumerate() {
                    let y = V::<L, T>::splat(*y_at.add(if ACROSS { j } else { j * ROW }));
                    for h in 0..REGISTERS {
                        sums[h] = P::add_to(sums[h], x[h], y);
                    }
                }
                y_at = y_at.wrapping_add(if ACROSS { ROW } else { 1 });
            }
            for (j, sums) in sums.into_iter().enumerate() {
                let at = out.add(j * stride + lane);
                for (h, sum) in sums.into_iter().enumerate() {
                    let at = at.add(h * lanes);
                    let sum = if add { sum.add(V::<L, T>::load(at)) } else { sum };
                    sum.store(at);
                }
            }
        }
    }
}
