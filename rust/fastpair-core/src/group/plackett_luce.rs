//! The negative log-likelihood of an order under the Plackett-Luce model (ListMLE): each step picks the next item from
//! those that are left, in proportion to `e^score`.
//!
//! O(n log n) time, two `exp` an item and hardly a `log`; memory O(n). Sums of what is left run from the end, each
//! relative to the largest score left, so that nothing overflows or vanishes.
//! References: Xia et al. (2008), "Listwise approach to learning to rank"; Efron (1977) for ties.

use super::sorted::{descending, levels, pick};
use super::{Items, List, ListLoss, Lists, Outcome, Term};
use crate::error::Result;
use crate::pool::Context;
use crate::simd::{self, math::ExpOfDifferences};

/// What becomes of items of equal relevance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ties {
    /// They come in the order of their indices.
    Index,
    /// Each competes with those behind the tie and a part of the tie, as on average over its orders (Efron): for the
    /// r-th of m, r from 0, `(m - r) / m` of its mass.
    Average,
    /// They do not compete with each other.
    Exclude,
}

/// The options of the loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlackettLuce {
    /// Ties in relevance.
    pub ties: Ties,
    /// Steps that count, from the most relevant item on; 0 for all.
    pub top_k: usize,
}

/// The loss of each list, by descending relevance. `size` is the number of steps.
pub fn plackett_luce(
    options: PlackettLuce,
    items: Items<'_>,
    lists: Lists<'_>,
    gradient: bool,
    context: &Context,
) -> Result<Outcome> {
    super::run(&options, items, lists, gradient, context)
}

/// A product of many factors as a logarithm that is taken rarely.
struct LogProduct {
    product: f64,
    log: f64,
}

impl LogProduct {
    fn times(&mut self, factor: f64) {
        self.product *= factor;
        if !(1e-100..1e100).contains(&self.product) {
            self.log += self.product.ln();
            self.product = 1.0;
        }
    }
}

/// `a - b`, and 0 for equal infinities.
fn difference(a: f64, b: f64) -> f64 {
    if a == b { 0.0 } else { a - b }
}

impl ListLoss for PlackettLuce {
    fn list(&self, list: List<'_>, gradient: Option<&mut [f64]>, context: &Context) -> Result<Term> {
        let count = list.scores.len();
        if count < 2 {
            return Ok(Term::default());
        }
        let order = descending(list.relevance, context)?;
        let scores = pick(list.scores, &order);
        let borders = match self.ties {
            Ties::Index => (0..=count).collect(),
            Ties::Average | Ties::Exclude => levels(&pick(list.relevance, &order)),
        };
        let steps = if self.top_k == 0 { count } else { self.top_k.min(count) };

        // Where the steps end within a tie, each of its items counts for its share of them.
        let share = |range: &std::ops::Range<usize>| {
            steps.clamp(range.start, range.end).abs_diff(range.start) as f64 / range.len() as f64
        };

        // The largest score from each level on, e^score relative to it, and how it changes from level to level.
        let last = borders.len() - 2;
        let mut tops = vec![f64::NEG_INFINITY; last + 2];
        let mut shifts = vec![0.0; count];
        for level in (0..=last).rev() {
            let range = borders[level]..borders[level + 1];
            tops[level] = scores[range.clone()].iter().copied().fold(tops[level + 1], f64::max);
            shifts[range].fill(tops[level]);
        }
        let mut masses = scores.clone();
        simd::call(context.isa, ExpOfDifferences { values: &mut masses, shifts: &shifts });
        let mut decays = tops[1..].to_vec();
        simd::call(context.isa, ExpOfDifferences { values: &mut decays, shifts: &tops[..=last] });

        // From the end: the denominator of each step.
        let mut denominators = vec![1.0; count];
        let (mut behind, mut sum) = (0.0, 0.0);
        let mut log = LogProduct { product: 1.0, log: 0.0 };
        for level in (0..=last).rev() {
            let range = borders[level]..borders[level + 1];
            let tied = range.len() as f64;
            let own: f64 = masses[range.clone()].iter().sum();
            behind *= if level == last { 0.0 } else { decays[level] };
            let share = share(&range);
            for (r, i) in range.clone().enumerate() {
                denominators[i] = behind
                    + match self.ties {
                        Ties::Exclude => masses[i],
                        _ => own * ((tied - r as f64) / tied),
                    };
                if share > 0.0 {
                    sum += share * difference(tops[level], scores[i]);
                }
                match self.ties {
                    Ties::Exclude if share == 1.0 => log.times(denominators[i]),
                    Ties::Exclude if share > 0.0 => sum += share * denominators[i].ln(),
                    Ties::Exclude => {}
                    _ if i < steps => log.times(denominators[i]),
                    _ => {}
                }
            }
            behind += own;
        }
        sum += log.log + log.product.ln();

        if let Some(gradient) = gradient {
            // From the start: what the steps so far take from each item behind.
            let mut taken = 0.0;
            for level in 0..=last {
                let range = borders[level]..borders[level + 1];
                let tied = range.len() as f64;
                let share = share(&range);
                let step = |i: usize| match self.ties {
                    Ties::Exclude => share / denominators[i],
                    _ if i < steps => 1.0 / denominators[i],
                    _ => 0.0,
                };
                let from_tie: f64 = range.clone().enumerate().map(|(r, i)| step(i) * (tied - r as f64) / tied).sum();
                for i in range.clone() {
                    let own = if self.ties == Ties::Exclude { step(i) } else { from_tie };
                    gradient[order[i] as usize] = masses[i] * (taken + own) - share;
                }
                taken += range.map(step).sum::<f64>();
                taken *= decays[level];
            }
        }
        Ok(Term { sum, size: steps as f64, items: count as f64 })
    }
}
