//! Where rows are looked at from before they are written in few bits: moved by a centre, and turned.
//!
//! A step in 8 bits is a share of a row's largest element, so rows lose much if one element is far larger than the others,
//! or if all rows have a large part in common. The part in common is taken away: with a centre m,
//! `x.y = (x - m).(y - m) + (x.m - m.m / 2) + (y.m - m.m / 2)`, and what is added are biases of the rows. Large elements
//! are spread over all by a rotation, which changes no product: signs drawn at random and a Hadamard transform of the
//! longest power of two of columns from the left end, then the same from the right end, and both once more.
//!
//! Both are done in float32 on rows of x and y alike. The rounding of the rotation is part of what a row loses: each of
//! its at most 4 log2(d) stages and 4 scalings adds a relative error of at most `u` (2 u for a scaling) to the norm.

use super::Form;
use crate::matrix::Matrix;
use crate::tile::metric::Metric;
use crate::tile::packed::centre_of;

/// The centre of rows, and whether they are turned.
#[derive(Debug, Clone, Default)]
pub(crate) struct Frame {
    /// Empty if rows are not moved.
    pub centre: Vec<f32>,
    /// The sum of its squares.
    pub square: f64,
    /// The signs and scales of each transform of a rotation; empty if rows are not turned.
    turns: Vec<Vec<f32>>,
}

/// Rows that a frame is chosen by.
const SAMPLE: usize = 256;

/// A largest element that is so many times the root of the mean square is worth a rotation: for normal numbers it is 3 to 4.
const UNEVEN: f64 = 5.0;

/// A centre whose square is at least this part of that of the rows is worth to be taken away.
const COMMON: f64 = 0.05;

impl Frame {
    /// The frame that suits rows of y. Scores that are functions of differences always have a centre.
    pub fn of(metric: Metric, y: &Matrix, form: Form) -> Self {
        let width = y.width();
        let step = y.rows().div_ceil(SAMPLE).max(1);
        let mut centre: Vec<f32> = centre_of(y);
        let (mut row, mut count) = (vec![0f64; width], 0);
        let (mut squares, mut unevenness) = (0f64, 0f64);
        for index in (0..y.rows()).step_by(step) {
            y.read(index, &mut row);
            squares += row.iter().map(|value| value * value).sum::<f64>();
        }
        let square = square_of(&centre);
        let rows = y.rows().div_ceil(step).max(1) as f64;
        // Not if anything is out of range.
        let common = square >= COMMON * squares / rows && squares.is_finite() && square < 1e20;
        if !(metric.may_be_centred() || common) {
            centre.clear();
        }
        if form == Form::Int8 && width > 2 {
            for index in (0..y.rows()).step_by(step) {
                y.read(index, &mut row);
                row.iter_mut().zip(&centre).for_each(|(value, &centre)| *value -= f64::from(centre));
                let norm = row.iter().map(|value| value * value).sum::<f64>().sqrt();
                let largest = row.iter().fold(0f64, |largest, value| largest.max(value.abs()));
                if norm > 0.0 && norm.is_finite() {
                    unevenness += largest * (width as f64).sqrt() / norm;
                    count += 1;
                }
            }
        }
        Self::new(centre, unevenness > UNEVEN * f64::from(count), width)
    }

    /// A frame with this centre, turned or not.
    pub fn new(centre: Vec<f32>, turned: bool, width: usize) -> Self {
        let square = square_of(&centre);
        let turns = if turned { turns(width) } else { Vec::new() };
        Self { centre, square, turns }
    }

    /// Whether rows are turned.
    pub fn is_turned(&self) -> bool {
        !self.turns.is_empty()
    }

    /// Roundings that turning a row adds to its norm.
    pub fn roundings(&self) -> f64 {
        if self.is_turned() { 4.0 * 17.0 + 8.0 } else { 0.0 }
    }

    /// Turns a row.
    #[inline(always)]
    pub fn turn(&self, row: &mut [f32]) {
        let width = row.len();
        for (i, signs) in self.turns.iter().enumerate() {
            let begin = if i % 2 == 0 { 0 } else { width - signs.len() };
            let part = &mut row[begin..][..signs.len()];
            part.iter_mut().zip(signs).for_each(|(value, sign)| *value *= sign);
            transform(part);
        }
    }
}

fn square_of(centre: &[f32]) -> f64 {
    centre.iter().map(|&value| f64::from(value) * f64::from(value)).sum()
}

/// Signs from a fixed sequence, times what keeps the norm.
fn turns(width: usize) -> Vec<Vec<f32>> {
    let longest = 1usize << width.ilog2();
    let scale = (1.0 / (longest as f64).sqrt()) as f32;
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut sign = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        if state >> 63 == 0 { scale } else { -scale }
    };
    let transforms = if longest == width { 1 } else { 4 };
    (0..transforms).map(|_| (0..longest).map(|_| sign()).collect()).collect()
}

/// The Hadamard transform of a power of two of numbers, which multiplies the norm by its root.
#[inline(always)]
fn transform(row: &mut [f32]) {
    let mut half = 1;
    while half < row.len() {
        for pair in row.chunks_exact_mut(2 * half) {
            let (left, right) = pair.split_at_mut(half);
            for (left, right) in left.iter_mut().zip(right) {
                (*left, *right) = (*left + *right, *left - *right);
            }
        }
        half *= 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turning_keeps_products_and_spreads_outliers() {
        for width in [2, 3, 5, 8, 64, 65, 100, 768] {
            let frame = Frame::new(Vec::new(), true, width);
            let make = |seed: usize| {
                (0..width).map(|k| ((k * 7 + seed) % 11) as f32 - 5.0 + if k == 1 { 500.0 } else { 0.0 }).collect()
            };
            let dot = |x: &[f32], y: &[f32]| x.iter().zip(y).map(|(&x, &y)| f64::from(x) * f64::from(y)).sum::<f64>();
            let (mut x, mut y): (Vec<f32>, Vec<f32>) = (make(1), make(4));
            let before = [dot(&x, &y), dot(&x, &x), dot(&y, &y)];
            frame.turn(&mut x);
            frame.turn(&mut y);
            for (before, after) in before.into_iter().zip([dot(&x, &y), dot(&x, &x), dot(&y, &y)]) {
                assert!((before - after).abs() <= 1e-5 * before.abs(), "{width}: {before} {after}");
            }
            assert!(width < 64 || x.iter().all(|value| value.abs() < 450.0), "{width}: an element stayed large");
        }
    }
}
