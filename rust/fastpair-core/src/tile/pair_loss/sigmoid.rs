//! Independent logistic losses of all pairs of a row: `f+ sum log(1 + e^-z)` over positives plus `f- sum log(1 + e^z)` over
//! negatives, `z = scale s + bias`.

use super::{Outcome, RowLoss, Spare};
use crate::simd::math::{TOGETHER, softplus_all};
use crate::simd::{self, Isa, Level, Op, Real};
use crate::tile::roles::Roles;

/// The loss.
#[derive(Debug, Clone, Copy)]
pub struct Sigmoid<'a> {
    /// Positives and negatives.
    pub roles: Roles<'a>,
    /// What similarities are multiplied by.
    pub scale: f64,
    /// What is added.
    pub bias: f64,
    /// The factors of positives and of negatives.
    pub factors: [f64; 2],
    /// Weights of all pairs, row by row.
    pub pair_weights: Option<&'a [f64]>,
}

impl<T: Real> RowLoss<T> for Sigmoid<'_> {
    fn row(&self, row: usize, similarities: &mut [T], spare: &mut Spare<T>, factor: f64, isa: Isa) -> Outcome {
        let columns = similarities.len();
        if self.roles.of_row(row, similarities, &mut spare.positives) == 0 {
            return Outcome::INVALID;
        }
        // Every column as a negative, then the positives over.
        let mut signs = std::mem::take(&mut spare.others);
        signs.fill(T::rounded(1.0));
        spare.positives.iter().for_each(|&column| signs[column] = T::rounded(-1.0));
        let weights = self.pair_weights.map(|weights| &weights[row * columns..][..columns]);
        let row = SigmoidRow { loss: *self, similarities, signs: &signs, weights, factor };
        let [value, of_scale, of_bias] = simd::call(isa, row);
        spare.others = signs;
        Outcome { value, valid: true, slopes: [of_scale, of_bias] }
    }
}

/// Turns similarities into slopes; the value and the derivatives by scale and bias.
struct SigmoidRow<'a, T> {
    loss: Sigmoid<'a>,
    similarities: &'a mut [T],
    /// -1 for positives.
    signs: &'a [T],
    weights: Option<&'a [f64]>,
    factor: f64,
}

impl<T: Real> Op for SigmoidRow<'_, T> {
    type Out = [f64; 3];
    #[inline(always)]
    fn run<L: Level>(self) -> [f64; 3] {
        let Self { loss, similarities, signs, weights, factor } = self;
        let mut sums = [0.0; 3];
        for (step, (values, signs)) in similarities.chunks_mut(TOGETHER).zip(signs.chunks(TOGETHER)).enumerate() {
            let (mut arguments, mut slopes) = ([f64::NEG_INFINITY; TOGETHER], [0.0; TOGETHER]);
            for ((z, s), sign) in arguments.iter_mut().zip(values.iter()).zip(signs) {
                let s = s.widened();
                let inside = (loss.scale * s + loss.bias) * sign.widened();
                *z = if s == f64::NEG_INFINITY { s } else { inside };
            }
            let strange = arguments.map(f64::is_nan);
            softplus_all::<L>(&mut arguments, &mut slopes);
            for (i, (value, sign)) in values.iter_mut().zip(signs).enumerate() {
                let positive = sign.widened() < 0.0;
                let mut weight = loss.factors[usize::from(!positive)];
                weight *= weights.map_or(1.0, |weights| weights[step * TOGETHER + i]);
                let s = value.widened();
                let absent = s == f64::NEG_INFINITY;
                let slope = if strange[i] { f64::NAN } else { slopes[i] * weight * sign.widened() };
                sums[0] += if absent {
                    0.0
                } else if strange[i] {
                    f64::NAN
                } else {
                    weight * arguments[i]
                };
                sums[1] += if absent { 0.0 } else { factor * slope * s };
                sums[2] += if absent { 0.0 } else { factor * slope };
                *value = T::rounded(if absent { 0.0 } else { factor * slope * loss.scale });
            }
        }
        sums
    }
}
