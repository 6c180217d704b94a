//! Cross-entropy of the softmax of scores against targets (ListNet, softmax loss). O(n) time.

use super::{Items, List, ListLoss, Lists, Outcome, Term};
use crate::error::Result;
use crate::pool::Context;
use crate::simd::{self, math::ExpOfDifferences};

/// What the targets of a list are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// The softmax of its relevance.
    Softmax,
    /// Its relevance, not negative.
    Raw,
}

/// `-sum_i target_i log(softmax(scores)_i)` of each list; `size` is the sum of its targets.
pub fn cross_entropy(
    target: Target,
    items: Items<'_>,
    lists: Lists<'_>,
    gradient: bool,
    context: &Context,
) -> Result<Outcome> {
    super::run(&target, items, lists, gradient, context)
}

/// The softmax, the largest score, and the logarithm of the sum of exponentials relative to it. Infinite scores share
/// alike.
fn softmax(scores: &[f64], context: &Context) -> (Vec<f64>, f64, f64) {
    let most = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let mut shares = scores.to_vec();
    simd::call(context.isa, ExpOfDifferences { values: &mut shares, shifts: &vec![most; scores.len()] });
    let sum: f64 = shares.iter().sum();
    shares.iter_mut().for_each(|share| *share /= sum);
    (shares, most, sum.ln())
}

impl ListLoss for Target {
    fn list(&self, list: List<'_>, gradient: Option<&mut [f64]>, context: &Context) -> Result<Term> {
        if list.scores.is_empty() {
            return Ok(Term::default());
        }
        let targets = match self {
            Self::Softmax => &softmax(list.relevance, context).0,
            Self::Raw => list.relevance,
        };
        let mass: f64 = targets.iter().sum();
        if mass == 0.0 {
            return Ok(Term::default());
        }
        let (shares, most, log_sum) = softmax(list.scores, context);
        let surprise = |score: f64, share: f64| if most.is_finite() { (most - score) + log_sum } else { -share.ln() };
        let terms = targets.iter().zip(list.scores.iter().zip(&shares));
        // A target of 0 takes no part, whatever the score.
        let sum = terms.map(|(&t, (&score, &share))| if t == 0.0 { 0.0 } else { t * surprise(score, share) }).sum();
        for ((slope, share), target) in gradient.into_iter().flatten().zip(&shares).zip(targets) {
            *slope = mass * share - target;
        }
        Ok(Term { sum, size: mass, items: list.scores.len() as f64 })
    }
}
