//! The hard-negative contrastive loss (Robinson et al. 2021), debiased (Chuang et al. 2020).
//!
//! With `N` negatives of logits `L_j = s_j / t`: `R = N sum e^((1 + beta) L) / sum e^(beta L)`,
//! `M = max((R - tau N e^(L+)) / (1 - tau), N e^(-1 / t))`, value `log(1 + M e^(-L+))`, all by logarithms.

use super::softmax::PerRow;
use super::sweeps::{exponentials, largest, scale_and_multiply};
use super::{Outcome, RowLoss, Spare};
use crate::simd::{Isa, Real};
use crate::tile::roles::Roles;

/// The loss.
#[derive(Debug, Clone, Copy)]
pub struct HardNegatives<'a> {
    /// One positive for each row.
    pub roles: Roles<'a>,
    /// Above 0.
    pub temperature: PerRow<'a>,
    /// How much harder negatives weigh more.
    pub beta: f64,
    /// The part of negatives that are positives, at least 0 and below 1.
    pub tau_plus: f64,
    /// Whether the weights of negatives have no gradient.
    pub detach_weights: bool,
}

impl<T: Real> RowLoss<T> for HardNegatives<'_> {
    fn row(&self, row: usize, similarities: &mut [T], spare: &mut Spare<T>, factor: f64, isa: Isa) -> Outcome {
        let counted = self.roles.of_row(row, similarities, &mut spare.positives);
        let &[positive] = spare.positives.as_slice() else { return Outcome::INVALID };
        if counted < 2 {
            return Outcome::INVALID;
        }
        let own = similarities[positive].widened();
        similarities[positive] = T::rounded(f64::NEG_INFINITY);
        let (temperature, beta) = (self.temperature.of(row), self.beta);
        let inverse = 1.0 / temperature;
        let logit = own * inverse;
        let log_count = ((counted - 1) as f64).ln();
        let shift = largest(isa, similarities);
        let top = shift.widened() * inverse;
        let Spare { slopes, others, .. } = spare;
        let sum = exponentials(isa, similarities, shift, (1.0 + beta) * inverse, slopes);
        // With beta 0 all weigh the same, also those that are absent: their exponentials are 0.
        let weights = if beta == 0.0 {
            (counted - 1) as f64
        } else {
            exponentials(isa, similarities, shift, beta * inverse, others)
        };
        let ratio = log_count + sum.ln() + top - weights.ln() - logit;
        // log(max(...) e^-L+), and its derivatives by `ratio` and by log N - 1/t - L+.
        let share = self.tau_plus * (log_count - ratio).exp();
        let (debiased, by_ratio) = if share < 1.0 {
            (ratio + (-share).ln_1p() - (-self.tau_plus).ln_1p(), 1.0 / (1.0 - share))
        } else {
            (f64::NEG_INFINITY, 0.0)
        };
        let least = log_count - inverse - logit;
        let clamped = debiased < least;
        let z = if clamped { least } else { debiased };
        let small = (-z.abs()).exp();
        let value = z.max(0.0) + small.ln_1p();
        let slope = if z > 0.0 { 1.0 } else { small } / (1.0 + small);
        let factor = factor * inverse;
        let of_ratio = if clamped { 0.0 } else { slope * by_ratio };
        let of_weights = if self.detach_weights || beta == 0.0 { 0.0 } else { beta };
        let (hard, soft) = (of_ratio * (1.0 + of_weights) / sum, of_ratio * of_weights / weights);
        if of_weights > 0.0 {
            for (slope, &other) in slopes.iter_mut().zip(others.iter()) {
                *slope = T::rounded(factor * (hard * slope.widened() - soft * other.widened()));
            }
        } else {
            slopes.iter_mut().for_each(|slope| *slope = T::rounded(factor * hard * slope.widened()));
        }
        let taken = factor * if clamped { slope } else { of_ratio };
        // Without the clamp the slopes add up to 0, and differences from the largest similarity lose nothing.
        let origin = if clamped { T::default() } else { shift };
        let products = scale_and_multiply(isa, slopes, 1.0, similarities, origin);
        let mut product = products - taken * (own - origin.widened());
        if clamped {
            // e^(-1 / t) itself.
            product -= factor * slope;
        }
        slopes[positive] = T::rounded(-taken);
        similarities.copy_from_slice(slopes);
        Outcome::of(value, -product * inverse, similarities)
    }
}
