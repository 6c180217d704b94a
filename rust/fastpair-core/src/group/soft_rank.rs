//! Soft ranks: `1/2 + sum_j sigmoid((s_j - s_i) / temperature)` over the list of item `i`, itself included, which tends to
//! its rank from the top, counted from 1, ties in the middle. By the treecode, O(n).

use super::{Items, List, ListLoss, Lists, Term};
use crate::column::Column;
use crate::error::Result;
use crate::order::all_pairs::{PairLoss, Rows, Surrogate};
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
        // The derivative of the logistic is the sigmoid.
        let sums = self.0.loss(Surrogate::Logistic).potentials(rows, rows, context)?;
        for (rank, sum) in gradient.into_iter().flatten().zip(sums.uppers) {
            *rank = 0.5 + sum;
        }
        Ok(Term::default())
    }
}

struct PullBack(SoftRank);

impl ListLoss for PullBack {
    fn list(&self, list: List<'_>, gradient: Option<&mut [f64]>, context: &Context) -> Result<Term> {
        let uppers = Rows { scores: list.scores, weights: Some(list.extra) };
        let lowers = Rows { scores: list.scores, weights: None };
        let sums = self.0.loss(Surrogate::Sigmoid).potentials(uppers, lowers, context)?;
        let pulled = list.extra.iter().zip(sums.uppers.iter().zip(&sums.lowers));
        for (slope, (&upstream, (of_own, of_others))) in gradient.into_iter().flatten().zip(pulled) {
            *slope = (of_others - upstream * of_own) / self.0.temperature;
        }
        Ok(Term::default())
    }
}
