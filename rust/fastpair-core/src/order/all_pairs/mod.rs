//! Sums over all pairs of an upper and a lower row, positives and negatives say, of a function of the difference of their
//! scores; and the derivatives of the sum. No pair is ever looked at by itself where there are many.
//!
//! * logistic and sigmoid: [`treecode`], O(n), to a relative error that the caller chooses;
//! * hinges: [`sweep`], O(n log n), exact but for rounding; squares and exponentials: [`closed`], O(n);
//! * few pairs: one by one ([`kernel`]).
//!
//! Infinite scores are taken to their limits; equal ones tie.

mod boxes;
mod closed;
mod field;
pub(crate) mod kernel;
mod search;
mod sweep;
#[cfg(test)]
mod tests;
mod treecode;

use crate::error::Result;
use crate::pool::Context;
use kernel::direct::{Direct, Ends, OfLowers, padded};
use kernel::formula::{Barrier, Kind, with_formula};

/// What a pair costs, as a function of `z = (upper - lower) / temperature`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Surrogate {
    /// `log(1 + e^-z)`.
    Logistic,
    /// `1 / (1 + e^z)`.
    Sigmoid,
    /// `e^-z`.
    Exponential,
    /// `max(margin - z, 0)`.
    Hinge {
        /// The margin.
        margin: f64,
    },
    /// `max(margin - z, 0)^2`.
    SquaredHinge {
        /// The margin.
        margin: f64,
    },
    /// `(margin - z)^2`.
    Square {
        /// The margin.
        margin: f64,
    },
    /// `max(margin - slope (margin + z), slope (z - margin), margin - z)`.
    Barrier {
        /// Where the cost is 0.
        margin: f64,
        /// How steep the outer parts are, at least 1.
        slope: f64,
    },
}

/// A surrogate, the temperature that divides differences, and the relative error allowed where there is a choice.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PairLoss {
    /// What a pair costs.
    pub surrogate: Surrogate,
    /// Positive.
    pub temperature: f64,
    /// From 1e-13 to 1e-2.
    pub tolerance: f64,
}

/// The scores of one side, not NaN, and their weights, which are 1 if there are none.
#[derive(Debug, Clone, Copy)]
pub struct Rows<'a> {
    /// The scores.
    pub scores: &'a [f64],
    /// As many weights; finite.
    pub weights: Option<&'a [f64]>,
}

impl Rows<'_> {
    #[inline(always)]
    fn weight(&self, index: usize) -> f64 {
        self.weights.map_or(1.0, |weights| weights[index])
    }
}

/// Sums over pairs of a function of `x = (lower - upper) / temperature`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Potentials {
    /// The weighted sum of the function.
    pub total: f64,
    /// For each upper row the sum of the derivative over the lower rows, times their weights.
    pub uppers: Vec<f64>,
    /// For each lower row the sum of the derivative over the upper rows, times their weights.
    pub lowers: Vec<f64>,
}

impl Potentials {
    /// Adds `factor` times another sum of the same rows.
    fn add(&mut self, other: &Self, factor: f64) {
        self.total += factor * other.total;
        let add = |sums: &mut [f64], others: &[f64]| {
            sums.iter_mut().zip(others).for_each(|(sum, other)| *sum += factor * other);
        };
        add(&mut self.uppers, &other.uppers);
        add(&mut self.lowers, &other.lowers);
    }
}

/// A formula of `(lower - upper + shift) / temperature`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Part {
    pub kind: Kind,
    pub shift: f64,
}

/// Up to this many pairs for each row are looked at one by one.
const FEW_PAIRS: usize = 48;

impl PairLoss {
    /// The sum of `weight * weight * surrogate` over all pairs, and its derivatives with respect to the scores of both
    /// sides, which are added to `gradients`.
    pub fn sum(
        &self,
        uppers: Rows<'_>,
        lowers: Rows<'_>,
        gradients: Option<(&mut [f64], &mut [f64])>,
        context: &Context,
    ) -> Result<f64> {
        let potentials = self.potentials(uppers, lowers, context)?;
        if let Some((upper, lower)) = gradients {
            let add = |to: &mut [f64], slopes: &[f64], rows: Rows<'_>, factor: f64| {
                for (i, (to, &slope)) in to.iter_mut().zip(slopes).enumerate() {
                    let weight = rows.weight(i);
                    *to += if weight == 0.0 { 0.0 } else { factor * weight * slope };
                }
            };
            add(upper, &potentials.uppers, uppers, -1.0 / self.temperature);
            add(lower, &potentials.lowers, lowers, 1.0 / self.temperature);
        }
        Ok(potentials.total)
    }

    /// The surrogate as a formula.
    pub(crate) fn part(&self) -> Part {
        let of_margin = |kind, margin: f64| Part { kind, shift: margin * self.temperature };
        match self.surrogate {
            Surrogate::Logistic => of_margin(Kind::Logistic, 0.0),
            Surrogate::Sigmoid => of_margin(Kind::Sigmoid, 0.0),
            Surrogate::Exponential => of_margin(Kind::Exponential, 0.0),
            Surrogate::Hinge { margin } => of_margin(Kind::Hinge, margin),
            Surrogate::SquaredHinge { margin } => of_margin(Kind::SquaredHinge, margin),
            Surrogate::Square { margin } => of_margin(Kind::Square, margin),
            Surrogate::Barrier { margin, slope } => {
                // max(x, 0) + s max(-x, 0) + (s - 1) max(x - m - s m / (s - 1), 0) for x = m - z
                let kink = if slope > 1.0 { margin + slope * margin / (slope - 1.0) } else { f64::INFINITY };
                of_margin(Kind::Barrier(Barrier { slope, kink }), margin)
            }
        }
    }

    /// The sums of all pairs.
    pub fn potentials(&self, uppers: Rows<'_>, lowers: Rows<'_>, context: &Context) -> Result<Potentials> {
        self.sums_of(self.part(), uppers, lowers, context)
    }

    fn sums_of(&self, part: Part, uppers: Rows<'_>, lowers: Rows<'_>, context: &Context) -> Result<Potentials> {
        let (rows, columns) = (uppers.scores.len(), lowers.scores.len());
        if (rows as u128) * (columns as u128) <= (FEW_PAIRS * (rows + columns)) as u128 {
            return self.direct(part, uppers, lowers, context);
        }
        let infinite = |rows: Rows<'_>| rows.scores.iter().any(|score| score.is_infinite());
        if infinite(uppers) || infinite(lowers) {
            return self.with_infinities(part, uppers, lowers, context);
        }
        let Self { temperature, tolerance, .. } = *self;
        match part.kind {
            Kind::Hinge => sweep::potentials(false, part.shift, temperature, uppers, lowers, context),
            Kind::SquaredHinge => sweep::potentials(true, part.shift, temperature, uppers, lowers, context),
            Kind::Barrier(barrier) => self.barrier(barrier, part.shift, uppers, lowers, context),
            Kind::Square => Ok(closed::square(part.shift, temperature, uppers, lowers)),
            Kind::Exponential => Ok(closed::exponential(temperature, uppers, lowers)),
            Kind::Logistic | Kind::Sigmoid => {
                match treecode::potentials(part.kind, temperature, tolerance, uppers, lowers, context)? {
                    Some(potentials) => Ok(potentials),
                    None => self.direct(part, uppers, lowers, context),
                }
            }
        }
    }

    /// The three hinges of a barrier.
    fn barrier(
        &self,
        barrier: Barrier,
        shift: f64,
        uppers: Rows<'_>,
        lowers: Rows<'_>,
        context: &Context,
    ) -> Result<Potentials> {
        let hinge =
            |shift: f64, uppers, lowers| sweep::potentials(false, shift, self.temperature, uppers, lowers, context);
        let mut sums = hinge(shift, uppers, lowers)?;
        let swapped = hinge(-shift, lowers, uppers)?;
        let negated = |slopes: Vec<f64>| slopes.into_iter().map(|slope| -slope).collect();
        let below =
            Potentials { total: swapped.total, uppers: negated(swapped.lowers), lowers: negated(swapped.uppers) };
        sums.add(&below, barrier.slope);
        if barrier.slope > 1.0 {
            let beyond = hinge(shift - barrier.kink * self.temperature, uppers, lowers)?;
            sums.add(&beyond, barrier.slope - 1.0);
        }
        Ok(sums)
    }

    /// The pairs one by one, the lower rows along the registers.
    fn direct(&self, part: Part, uppers: Rows<'_>, lowers: Rows<'_>, context: &Context) -> Result<Potentials> {
        let ones;
        let upper_weights = match uppers.weights {
            Some(weights) => weights,
            None => {
                ones = vec![1.0; uppers.scores.len()];
                &ones
            }
        };
        let columns = lowers.scores.len();
        let scores = padded(lowers.scores);
        let weights = lowers.weights.map_or_else(|| vec![1.0; scores.len()], padded);
        let (mut upper_slopes, mut lower_slopes) = (vec![0.0; uppers.scores.len()], vec![0.0; scores.len()]);
        let total = with_formula!(part.kind, formula => Direct {
            formula,
            uppers: uppers.scores,
            upper_weights,
            ends: Ends::All(columns),
            lowers: &scores,
            weights: OfLowers(&weights),
            shift: part.shift,
            temperature: self.temperature,
            slopes: Some((&mut upper_slopes, &mut lower_slopes)),
            context,
        }
        .sum()?);
        lower_slopes.truncate(columns);
        Ok(Potentials { total, uppers: upper_slopes, lowers: lower_slopes })
    }

    /// The finite rows as always; infinite ones, of which there are two kinds on each side, as one row of each kind.
    fn with_infinities(&self, part: Part, uppers: Rows<'_>, lowers: Rows<'_>, context: &Context) -> Result<Potentials> {
        let (upper, lower) = (Split::new(uppers), Split::new(lowers));
        let mut sums = self.sums_of(part, upper.finite(), lower.finite(), context)?;
        let ends = self.direct(part, upper.ends(), lower.finite(), context)?;
        let others = self.direct(part, upper.finite(), lower.ends(), context)?;
        let both = self.direct(part, upper.ends(), lower.ends(), context)?;
        sums.total += ends.total + others.total + both.total;
        let joined = |a: &mut [f64], b: &[f64]| a.iter_mut().zip(b).for_each(|(a, b)| *a += b);
        joined(&mut sums.uppers, &others.uppers);
        joined(&mut sums.lowers, &ends.lowers);
        let (mut upper_ends, mut lower_ends) = (ends.uppers, others.lowers);
        joined(&mut upper_ends, &both.uppers);
        joined(&mut lower_ends, &both.lowers);
        Ok(Potentials {
            total: sums.total,
            uppers: upper.merge(&sums.uppers, &upper_ends),
            lowers: lower.merge(&sums.lowers, &lower_ends),
        })
    }
}

/// The finite rows of a side, and the weights of those at both infinities.
struct Split<'a> {
    rows: Rows<'a>,
    scores: Vec<f64>,
    weights: Vec<f64>,
    end_weights: [f64; 2],
}

/// The infinities, in the order in which [`Split`] keeps them.
const ENDS: [f64; 2] = [f64::NEG_INFINITY, f64::INFINITY];

impl<'a> Split<'a> {
    fn new(rows: Rows<'a>) -> Self {
        let (mut scores, mut weights, mut end_weights) = (Vec::new(), Vec::new(), [0.0; 2]);
        for (i, &score) in rows.scores.iter().enumerate() {
            if score.is_finite() {
                scores.push(score);
                weights.push(rows.weight(i));
            } else {
                end_weights[usize::from(score > 0.0)] += rows.weight(i);
            }
        }
        Self { rows, scores, weights, end_weights }
    }

    fn finite(&self) -> Rows<'_> {
        Rows { scores: &self.scores, weights: Some(&self.weights) }
    }

    fn ends(&self) -> Rows<'_> {
        Rows { scores: &ENDS, weights: Some(&self.end_weights) }
    }

    /// What belongs to each row, from that of the finite rows and that of the ends.
    fn merge(&self, finite: &[f64], ends: &[f64]) -> Vec<f64> {
        let mut finite = finite.iter();
        let merged = self.rows.scores.iter().map(|&score| {
            if score.is_finite() {
                *finite.next().expect("a value for each row")
            } else {
                ends[usize::from(score > 0.0)]
            }
        });
        merged.collect()
    }
}
