//! Soft ranks: `1/2 + sum_j sigmoid((s_j - s_i) / temperature)` over the list of item `i`, itself included, which tends to
//! its rank from the top, counted from 1, ties in the middle. By the treecode, O(n).

use super::{Items, List, ListLoss, Lists, Term};
use crate::column::Column;
use crate::error::Result;
use crate::order::all_pairs::{PairLoss, Rows, Slopes, Surrogate, With};
use crate::pool::Context;

/// How soft, and how exact.
#[derive(Debug, Clone, Copy)]
pub struct SoftRank {
    /// Positive.
    pub temperature: f64,
    /// The relative error allowed.
    pub tolerance: f64,
}

impl SoftRank {
    fn loss(&self, surrogate: Surrogate) -> PairLoss {
        PairLoss { surrogate, temperature: self.temperature, tolerance: self.tolerance }
    }

    /// The ranks of all items.
    pub fn ranks(&self, scores: Column<'_>, lists: Lists<'_>, context: &Context) -> Result<Vec<f64>> {
        let items = Items { scores, relevance: None, extra: None };
        let outcome = super::run(&Ranks(*self), items, lists, true, context)?;
        Ok(outcome.gradient.unwrap_or_default())
    }

    /// The derivatives of `sum_i upstream_i rank_i` with respect to the scores.
    pub fn pull_back(
        &self,
        scores: Column<'_>,
        upstream: Column<'_>,
        lists: Lists<'_>,
        context: &Context,
    ) -> Result<Vec<f64>> {
        let items = Items { scores, relevance: None, extra: Some(upstream) };
        let outcome = super::run(&PullBack(*self), items, lists, true, context)?;
        Ok(outcome.gradient.unwrap_or_default())
    }
}

struct Ranks(SoftRank);

impl ListLoss for Ranks {
    fn list(&self, list: List<'_>, gradient: Option<&mut [f64]>, context: &Context) -> Result<Term> {
        let rows = Rows { scores: list.scores, weights: None };
        let Some(ranks) = gradient else { return Ok(Term::default()) };
        let mut mirrored = vec![0.0; ranks.len()];
        // The derivative of the logistic is the sigmoid.
        let out = Slopes { uppers: ranks, lowers: &mut mirrored };
        self.0.loss(Surrogate::Logistic).sum_with(With::Itself, rows, rows, out, context)?;
        ranks.iter_mut().for_each(|rank| *rank += 0.5);
        Ok(Term::default())
    }
}

struct PullBack(SoftRank);

impl ListLoss for PullBack {
    fn list(&self, list: List<'_>, gradient: Option<&mut [f64]>, context: &Context) -> Result<Term> {
        let uppers = Rows { scores: list.scores, weights: Some(list.extra) };
        let lowers = Rows { scores: list.scores, weights: None };
        let Some(of_others) = gradient else { return Ok(Term::default()) };
        let mut of_own = vec![0.0; of_others.len()];
        let out = Slopes { uppers: &mut of_own, lowers: of_others };
        // A row that met itself would have to be taken back, and with it the digits of what others give.
        self.0.loss(Surrogate::Sigmoid).sum_with(With::Others, uppers, lowers, out, context)?;
        for ((slope, own), upstream) in of_others.iter_mut().zip(of_own).zip(list.extra) {
            *slope = (*slope - upstream * own) / self.0.temperature;
        }
        Ok(Term::default())
    }
}
