//! How far a value in a tile of floats may be from that of the exact score.
//!
//! With `u` the error of one rounding, let X, Y be the rows in exact arithmetic (moved by the centre if there is one) and
//! x, y what is packed: `|x_k - X_k| <= 2u |X_k|`, one rounding for a conversion and one for the centre. The kernel adds
//! at most `K` = slice length + number of slices roundings to each term (a fused operation adds one, an unfused pair two,
//! of which the product's is the first), so by the classic bound for inner products
//! `|sum - X.Y| <= (K + 5) u (1 + small) sum |X_k Y_k| <= (K + 5) u (1 + small) |X| |Y|`, and for Manhattan distances the
//! same with `|X|_1 + |Y|_1`. Norms, biases and scales are rounded too: a float sum of squares in 32 lanes has a relative
//! error of at most `(d / 32 + 6) u`, and a bias or a scale inherits it. Together, with the traits `norm, half, scale` of
//! both rows,
//!
//! `|value - exact value| <= c scale_x scale_y (norm_x norm_y + half_x + half_y)`, `c = (K + d / 32 + 32) u 1.05`.
//!
//! The factor 1.05 covers second-order terms (`K u < 1/100` for all that fits a memory), the float64 evaluation of the
//! score, that of [`Metric::value`] and the rounding of the bound itself. Numbers below the normal range lose at most the
//! smallest one at each operation: `c_small scale_x scale_y (1 + norm_x) (1 + norm_y)` with `c_small = 8 d` times that.
//! A block has one bound for each lane, made with the largest traits of its rows of y.
//!
//! Rows whose norm squared would leave the range are packed as zeros, and the bound of their pairs is infinite: every
//! such pair is then scored in float64. For cosines they are multiplied by a power of two instead.

use super::kernel::{SLICE, STRIP, Strip};
use super::metric::RowTraits;
use crate::simd::Real;

/// A row's part in the bound, for x: see [`y_terms`].
pub(crate) fn x_terms(traits: &RowTraits) -> [f64; 4] {
    let RowTraits { norm, half, scale, .. } = *traits;
    [norm * scale, half * scale, scale, (1.0 + norm) * scale]
}

/// A row's part in the bound, for y: the bound is the sum of the products.
pub(crate) fn y_terms(traits: &RowTraits) -> [f64; 4] {
    let RowTraits { norm, half, scale, .. } = *traits;
    [norm * scale, scale, half * scale, (1.0 + norm) * scale]
}

/// The roundings that the bound counts for rows of this width.
fn roundings(width: usize) -> usize {
    width.min(SLICE) + width.div_ceil(SLICE).max(1) + width / 32 + 32
}

/// `c` of the module's text, and `c_small`, for rows of this width.
pub(crate) fn factors<T: Real>(width: usize) -> [f64; 2] {
    // 8 times the smallest number of the type, itself below the normal range.
    let smallest = if size_of::<T>() == 4 { 2f64.powi(-146) } else { 2f64.powi(-1070) };
    [1.05 * T::ROUNDING * roundings(width) as f64, smallest * width as f64]
}

/// The bounds of the lanes of a strip with the rows of a block.
#[inline(always)]
pub(crate) fn errors<T: Real>(x: &[Strip<T>; 4], y: [f64; 4], [c, small]: [f64; 2]) -> Strip<T> {
    let mut errors = [0f64; STRIP];
    for (terms, factor) in x.iter().zip([c * y[0], c * y[1], c * y[2], small * y[3]]) {
        for (error, &term) in errors.iter_mut().zip(&terms.0) {
            *error += term.widened() * factor;
        }
    }
    // 0 times infinity: a row of zeros beside one that is out of range.
    let known = |error: f64| if error.is_nan() { f64::INFINITY } else { error };
    Strip(errors.map(|error| T::rounded(known(error) * (1.0 + 8.0 * T::ROUNDING))))
}
