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
mod sweep;
#[cfg(test)]
mod tests;
mod treecode;

use crate::error::Result;
use crate::pool::Context;
use crate::simd::{self, scan::FindRange};
use kernel::direct::{ButOne, Direct, Ends, OfLowers, padded};
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

/// Where sums of derivatives go, with respect to `x = (lower - upper) / temperature`; what was there before is lost.
#[derive(Debug)]
pub struct Slopes<'a> {
    /// For each upper row the sum over the lower rows, times their weights.
    pub uppers: &'a mut [f64],
    /// For each lower row the sum over the upper rows, times their weights.
    pub lowers: &'a mut [f64],
}

impl Slopes<'_> {
    fn again(&mut self) -> Slopes<'_> {
        Slopes { uppers: self.uppers, lowers: self.lowers }
    }

    /// Adds `factor` times other sums of the same rows.
    fn add(&mut self, other: &Slopes<'_>, factor: f64) {
        let add = |sums: &mut [f64], others: &[f64]| {
            sums.iter_mut().zip(others).for_each(|(sum, other)| *sum += factor * other);
        };
        add(self.uppers, other.uppers);
        add(self.lowers, other.lowers);
    }
}

/// Which pairs count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum With {
    /// All.
    All,
    /// All, of the same scores on both sides, and the sums of lower rows are not wanted: what is left there does not matter.
    Itself,
    /// Both sides are the same scores, the lower ones of weight 1, and none meets itself. For the sigmoid only.
    Others,
}

/// A formula of `(lower - upper + shift) / temperature`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Part {
    pub kind: Kind,
    pub shift: f64,
}

/// Where to take scores from so that a margin costs no digits of scores far from 0: a number whose differences with all
/// finite scores are exact (Sterbenz's lemma), or 0.
fn origin(uppers: Rows<'_>, lowers: Rows<'_>, context: &Context) -> f64 {
    let [upper, lower] = [uppers, lowers].map(|rows| simd::call(context.isa, FindRange(rows.scores)));
    let (low, high) = (upper.low.min(lower.low), upper.high.max(lower.high));
    match () {
        () if low > 0.0 && high / 2.0 <= low => low,
        () if high < 0.0 && low / 2.0 >= high => high,
        () => 0.0,
    }
}

/// Up to this many pairs for each row are looked at one by one.
const FEW_PAIRS: usize = 48;

impl PairLoss {
    /// The sum of `weight * weight * surrogate` over all pairs.
    pub fn sum(&self, uppers: Rows<'_>, lowers: Rows<'_>, out: Slopes<'_>, context: &Context) -> Result<f64> {
        self.sum_with(With::All, uppers, lowers, out, context)
    }

    /// The same over the pairs that count.
    pub fn sum_with(
        &self,
        with: With,
        uppers: Rows<'_>,
        lowers: Rows<'_>,
        out: Slopes<'_>,
        context: &Context,
    ) -> Result<f64> {
        assert!(out.uppers.len() == uppers.scores.len() && out.lowers.len() == lowers.scores.len(), "one for each row");
        self.sum_of(self.part(), uppers, lowers, with, out, context)
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

    fn sum_of(
        &self,
        part: Part,
        uppers: Rows<'_>,
        lowers: Rows<'_>,
        with: With,
        out: Slopes<'_>,
        context: &Context,
    ) -> Result<f64> {
        let (rows, columns) = (uppers.scores.len(), lowers.scores.len());
        let few = (rows as u128) * (columns as u128) <= (FEW_PAIRS * (rows + columns)) as u128;
        // Squares separate for few rows as well as for many, and so never overflow on the way.
        if few && part.kind != Kind::Square {
            return self.direct(part, uppers, lowers, with, out, context);
        }
        let infinite = |rows: Rows<'_>| simd::call(context.isa, FindRange(rows.scores)).reaches_infinity();
        if infinite(uppers) || infinite(lowers) {
            return self.with_infinities(part, uppers, lowers, with, out, context);
        }
        match part.kind {
            Kind::Hinge => sweep::potentials(self, false, part.shift, uppers, lowers, out, context),
            Kind::SquaredHinge => sweep::potentials(self, true, part.shift, uppers, lowers, out, context),
            Kind::Barrier(barrier) => self.barrier(barrier, part.shift, uppers, lowers, out, context),
            Kind::Square => Ok(closed::square(part.shift, self.temperature, uppers, lowers, out, context)),
            Kind::Exponential => Ok(closed::exponential(self.temperature, uppers, lowers, out, context)),
            Kind::Logistic | Kind::Sigmoid => {
                let mut out = out;
                match treecode::potentials(self, part.kind, uppers, lowers, with, out.again(), context)? {
                    Some(sum) => Ok(sum),
                    None => self.direct(part, uppers, lowers, with, out, context),
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
        mut out: Slopes<'_>,
        context: &Context,
    ) -> Result<f64> {
        let hinge = |shift: f64, uppers: Rows<'_>, lowers: Rows<'_>, out: Slopes<'_>| {
            sweep::potentials(self, false, shift, uppers, lowers, out, context)
        };
        let mut sum = hinge(shift, uppers, lowers, out.again())?;
        let (mut upper, mut lower) = (vec![0.0; uppers.scores.len()], vec![0.0; lowers.scores.len()]);
        let mut more = Slopes { uppers: &mut upper, lowers: &mut lower };
        let swapped = Slopes { uppers: &mut *more.lowers, lowers: &mut *more.uppers };
        sum += barrier.slope * hinge(-shift, lowers, uppers, swapped)?;
        out.add(&more, -barrier.slope);
        if barrier.slope > 1.0 {
            let beyond = shift - barrier.kink * self.temperature;
            sum += (barrier.slope - 1.0) * hinge(beyond, uppers, lowers, more.again())?;
            out.add(&more, barrier.slope - 1.0);
        }
        Ok(sum)
    }

    /// The pairs one by one, the lower rows along the registers.
    fn direct(
        &self,
        part: Part,
        uppers: Rows<'_>,
        lowers: Rows<'_>,
        with: With,
        out: Slopes<'_>,
        context: &Context,
    ) -> Result<f64> {
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
        let mut weights = lowers.weights.map_or_else(|| vec![1.0; scores.len()], padded);
        let mut slopes = vec![0.0; scores.len()];
        out.uppers.fill(0.0);
        macro_rules! sum {
            ($weights:expr) => {
                with_formula!(part.kind, formula => Direct {
                    formula,
                    uppers: uppers.scores,
                    upper_weights,
                    ends: Ends::All(columns),
                    lowers: &scores,
                    weights: $weights,
                    shift: part.shift,
                    temperature: self.temperature,
                    slopes: Some((out.uppers, &mut slopes)),
                    context,
                }
                .sum()?)
            };
        }
        let total = match with {
            With::All | With::Itself => sum!(OfLowers(&weights)),
            With::Others => sum!(ButOne { weights: &mut weights, hidden: 0.0 }),
        };
        out.lowers.copy_from_slice(&slopes[..columns]);
        Ok(total)
    }

    /// The finite rows as always; infinite ones, of which there are two kinds on each side, as one row of each kind.
    fn with_infinities(
        &self,
        part: Part,
        uppers: Rows<'_>,
        lowers: Rows<'_>,
        with: With,
        out: Slopes<'_>,
        context: &Context,
    ) -> Result<f64> {
        let (upper, lower) = (Split::new(uppers), Split::new(lowers));
        let (mut finite_upper, mut finite_lower) = (vec![0.0; upper.scores.len()], vec![0.0; lower.scores.len()]);
        let (mut more_upper, mut more_lower) = (finite_upper.clone(), finite_lower.clone());
        let (mut upper_ends, mut lower_ends, mut more_ends) = ([0.0; 2], [0.0; 2], [[0.0; 2]; 2]);
        let slopes = Slopes { uppers: &mut finite_upper, lowers: &mut finite_lower };
        let mut sum = self.sum_of(part, upper.finite(), lower.finite(), with, slopes, context)?;
        let slopes = Slopes { uppers: &mut upper_ends, lowers: &mut more_lower };
        sum += self.direct(part, upper.ends(), lower.finite(), With::All, slopes, context)?;
        let slopes = Slopes { uppers: &mut more_upper, lowers: &mut lower_ends };
        sum += self.direct(part, upper.finite(), lower.ends(), With::All, slopes, context)?;
        let [first, second] = &mut more_ends;
        sum += self.direct(
            part,
            upper.ends(),
            lower.ends(),
            With::All,
            Slopes { uppers: first, lowers: second },
            context,
        )?;
        Slopes { uppers: &mut finite_upper, lowers: &mut finite_lower }
            .add(&Slopes { uppers: &mut more_upper, lowers: &mut more_lower }, 1.0);
        let [first, second] = &mut more_ends;
        Slopes { uppers: &mut upper_ends, lowers: &mut lower_ends }.add(&Slopes { uppers: first, lowers: second }, 1.0);
        upper.merge(&finite_upper, &upper_ends, out.uppers);
        lower.merge(&finite_lower, &lower_ends, out.lowers);
        if with == With::Others {
            // Rows at an end met themselves there, in a tie.
            for (i, score) in uppers.scores.iter().enumerate().filter(|(_, score)| score.is_infinite()) {
                debug_assert_eq!(*score, lowers.scores[i]);
                out.uppers[i] -= 0.25 * lowers.weight(i);
                out.lowers[i] -= 0.25 * uppers.weight(i);
            }
        }
        Ok(sum)
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

    /// Writes what belongs to each row, from that of the finite rows and that of the ends.
    fn merge(&self, finite: &[f64], ends: &[f64; 2], out: &mut [f64]) {
        let mut finite = finite.iter();
        for (out, &score) in out.iter_mut().zip(self.rows.scores) {
            *out = if score.is_finite() {
                *finite.next().expect("a value for each row")
            } else {
                ends[usize::from(score > 0.0)]
            };
        }
    }
}
