//! Sums over all pairs that separate: squares and exponentials. O(n) time; no memory but the result's.

use super::{Rows, Slopes, origin};
use crate::pool::Context;
use crate::simd::{self, math::ExpOfDifferences};

/// The sum of the weights, their mean distance from `origin` and the weighted sum of squares about the mean.
fn about_mean(rows: Rows<'_>, origin: f64) -> (f64, f64, f64) {
    let weighted = || rows.scores.iter().enumerate().map(|(i, &score)| (rows.weight(i), score / 4.0 - origin));
    let count: f64 = weighted().map(|(weight, _)| weight).sum();
    let mean = if count == 0.0 { 0.0 } else { weighted().map(|(weight, at)| weight * (at / count)).sum() };
    (count, mean, weighted().map(|(weight, at)| weight * (at - mean).powi(2)).sum())
}

/// `x^2`, `x = (lower - upper + shift) / temperature`.
pub(super) fn square(
    shift: f64,
    temperature: f64,
    uppers: Rows<'_>,
    lowers: Rows<'_>,
    out: Slopes<'_>,
    context: &Context,
) -> f64 {
    // In quarters no difference overflows.
    let (shift, temperature) = (shift / 4.0, temperature / 4.0);
    let origin = origin(uppers, lowers, context) / 4.0;
    let (upper_count, upper_mean, upper_squares) = about_mean(uppers, origin);
    let (lower_count, lower_mean, lower_squares) = about_mean(lowers, origin);
    let mean = lower_mean - upper_mean + shift;
    let total = (upper_count * lower_count * mean * mean + upper_count * lower_squares + lower_count * upper_squares)
        / (temperature * temperature);
    let slope = |count: f64, distance: f64| 2.0 * count * distance / temperature;
    for (out, score) in out.uppers.iter_mut().zip(uppers.scores) {
        *out = slope(lower_count, lower_mean - (score / 4.0 - origin) + shift);
    }
    for (out, score) in out.lowers.iter_mut().zip(lowers.scores) {
        *out = slope(upper_count, (score / 4.0 - origin) - upper_mean + shift);
    }
    total
}

/// `e^x`, `x = (lower - upper) / temperature`.
pub(super) fn exponential(
    temperature: f64,
    uppers: Rows<'_>,
    lowers: Rows<'_>,
    out: Slopes<'_>,
    context: &Context,
) -> f64 {
    let (upper, lower) =
        (Mass::new(uppers, -1.0 / temperature, context), Mass::new(lowers, 1.0 / temperature, context));
    lower.times_terms(uppers, out.uppers, context, -1.0 / temperature);
    upper.times_terms(lowers, out.lowers, context, 1.0 / temperature);
    if upper.sum * lower.sum == 0.0 {
        return 0.0;
    }
    // One difference, so that scores far from 0 cost no digits.
    let exponent = (lower.most - upper.most) / temperature;
    let mass = upper.sum * lower.sum;
    if exponent.abs() < SAFE { mass * exponent.exp() } else { (exponent + mass.ln()).exp() }
}

/// `sum_i w_i e^(factor s_i)` as `sum e^(factor most)`, where `most` has the largest term of those of weight above 0.
#[derive(Clone, Copy)]
struct Mass {
    sum: f64,
    most: f64,
}

impl Mass {
    fn new(rows: Rows<'_>, factor: f64, context: &Context) -> Self {
        let weighted = || rows.scores.iter().enumerate().map(|(i, &score)| (rows.weight(i), score));
        let terms = weighted().filter(|(weight, _)| *weight != 0.0).map(|(_, score)| score * factor.signum());
        let most = terms.fold(f64::NEG_INFINITY, f64::max) * factor.signum();
        let (mut sum, mut block, mut at) = (0.0, [0.0; BLOCK], 0);
        for scores in rows.scores.chunks(BLOCK) {
            let values = &mut block[..scores.len()];
            for (value, score) in values.iter_mut().zip(scores) {
                *value = (score - most) * factor;
            }
            exponentials(values, context);
            for value in values {
                let weight = rows.weight(at);
                sum += if weight == 0.0 { 0.0 } else { weight * *value };
                at += 1;
            }
        }
        Self { sum, most }
    }

    /// Writes the mass times `e^(factor s_i)` for each row.
    fn times_terms(&self, rows: Rows<'_>, out: &mut [f64], context: &Context, factor: f64) {
        if self.sum == 0.0 {
            return out.fill(0.0);
        }
        for (out, scores) in out.chunks_mut(BLOCK).zip(rows.scores.chunks(BLOCK)) {
            let mut safe = true;
            for (out, score) in out.iter_mut().zip(scores) {
                // One difference: factors have opposite signs.
                *out = (score - self.most) * factor;
                safe &= out.abs() < SAFE;
            }
            if safe {
                exponentials(out, context);
                out.iter_mut().for_each(|term| *term *= self.sum);
            } else {
                let log = self.sum.ln();
                out.iter_mut().for_each(|term| {
                    *term = if term.abs() < SAFE { term.exp() * self.sum } else { (*term + log).exp() };
                });
            }
        }
    }
}

/// Exponents whose exponentials, times a sum, neither overflow nor vanish.
const SAFE: f64 = 600.0;

/// Terms handled at a time: in the L1 cache.
const BLOCK: usize = 512;

/// Replaces each value by its exponential.
fn exponentials(values: &mut [f64], context: &Context) {
    static ZEROS: [f64; BLOCK] = [0.0; BLOCK];
    let shifts = &ZEROS[..values.len()];
    simd::call(context.isa, ExpOfDifferences { values, shifts });
}
