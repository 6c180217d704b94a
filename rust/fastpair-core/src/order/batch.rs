//! The AUC of many series: columns of scores that share their labels and weights, or have their own, or groups of rows.

use super::auc::{
    self, Presorted, count_pairs, count_pairs_by_group, count_presorted, sum_pairs, sum_pairs_by_group, sum_presorted,
};
use super::counts::Sums;
use crate::column::Column;
use crate::error::{Error, Result};
use crate::labels::{Labels, PosLabel};
use crate::pool::Context;
use crate::rows::Rows;

/// What to do with NaN scores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NanPolicy {
    /// They are an error.
    Raise,
    /// Their rows are left out.
    Omit,
    /// The result is NaN.
    Propagate,
}

/// Series of equal length.
pub struct Batch<'a> {
    /// The scores of each series.
    pub scores: Vec<Column<'a>>,
    /// The labels of each series, or one column for all.
    pub labels: Vec<Column<'a>>,
    /// The weights of each series, or one column for all.
    pub weights: Option<Vec<Column<'a>>>,
    /// Which label is positive.
    pub pos_label: PosLabel,
    /// What to do with NaN scores.
    pub nan_policy: NanPolicy,
}

/// An AUC. NaN is an undefined one, of which a class is missing; `None` one that a NaN score makes NaN.
pub type Value = Option<f64>;

impl Batch<'_> {
    /// The AUC of each series.
    pub fn aucs(&self, presorted: Option<Presorted>, context: &Context) -> Result<Vec<Value>> {
        let rows = self.scores.first().map_or(0, Column::len);
        // Shared labels are looked at once, and kept as bits if they serve several series.
        let shared = match self.labels[..] {
            [labels] if self.scores.len() > 1 => Labels::open(labels, self.pos_label)?.to_bits()?,
            _ => Vec::new(),
        };
        let one = |series: usize, context: &Context| {
            let labels = match self.labels[..] {
                [_] if self.scores.len() > 1 => Labels::from_bits(&shared),
                [labels] => Labels::open(labels, self.pos_label)?,
                _ => Labels::open(self.labels[series], self.pos_label)?,
            };
            self.auc(series, labels, presorted, context)
        };
        let named = |series: usize, context: &Context| {
            one(series, context).map_err(|error| match self.scores.len() {
                1 => error,
                _ => Error::InSeries { series, error: Box::new(error) },
            })
        };
        let series = self.scores.len();
        let threads = context.threads_for(rows.saturating_mul(series));
        // Series side by side if there are enough of them, else one after the other on all threads.
        if threads > 1 && series >= threads {
            let serial = context.serial();
            context.map(threads, (0..series).collect(), |i| named(i, &serial))?.into_iter().collect()
        } else {
            (0..series).map(|i| named(i, context)).collect()
        }
    }

    fn auc(&self, series: usize, labels: Labels, presorted: Option<Presorted>, context: &Context) -> Result<Value> {
        let rows = self.rows(series, labels, self.nan_policy == NanPolicy::Omit)?;
        let auc = match (presorted, rows.weighted()) {
            (None, false) => count_pairs(&rows, context).map(|counts| counts.auc()),
            (None, true) => sum_pairs(&rows, context).map(|sums| sums.auc()),
            (Some(order), false) => count_presorted(&rows, order, context).map(|counts| counts.auc()),
            (Some(order), true) => sum_presorted(&rows, order, context).map(|sums| sums.auc()),
        };
        match auc {
            Err(Error::NotANumber { argument: "scores", .. }) if self.nan_policy == NanPolicy::Propagate => Ok(None),
            auc => auc.map(Some),
        }
    }

    /// The AUC of each of `groups` groups of the first series, and their positives and negatives (or the weights of
    /// these); row `i` is in group `codes[i]`.
    pub fn aucs_by_group(&self, codes: &[u32], groups: usize, context: &Context) -> Result<(Vec<Value>, Vec<Sums>)> {
        let labels = Labels::open(self.labels[0], self.pos_label)?;
        let rows = self.rows(0, labels, self.nan_policy != NanPolicy::Raise)?;
        let (mut aucs, sums): (Vec<Value>, Vec<Sums>) = if rows.weighted() {
            let sums = sum_pairs_by_group(&rows, codes, groups, context)?;
            sums.into_iter().map(|(auc, sums)| (Some(auc), sums)).unzip()
        } else {
            let counts = count_pairs_by_group(&rows, codes, groups, context)?;
            (counts.iter().map(|c| Some(c.auc())).collect(), counts.iter().map(|c| c.to_sums()).collect())
        };
        if self.nan_policy == NanPolicy::Propagate {
            let with_nan = auc::groups_with_nan(&rows, codes, groups, context)?;
            aucs.iter_mut().zip(with_nan).filter(|(_, nan)| *nan).for_each(|(auc, _)| *auc = None);
        }
        Ok((aucs, sums))
    }

    fn rows<'a>(&'a self, series: usize, labels: Labels<'a>, omit_nan: bool) -> Result<Rows<'a>> {
        let weights =
            self.weights.as_ref().map(|weights| if weights.len() == 1 { weights[0] } else { weights[series] });
        Rows::new(self.scores[series], labels, weights, omit_nan)
    }
}
