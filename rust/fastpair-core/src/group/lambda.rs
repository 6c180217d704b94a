//! LambdaRank and LambdaLoss: the logistic loss of all pairs of items of different gain, each weighted by what a swap of
//! the two would change in a ranking metric.
//!
//! O(n^2) time for a list of n items, a register of pairs at a time; memory O(n).
//! References: Burges et al. (2006); Wang et al. (2018), "The LambdaLoss framework for ranking metric optimization".

use super::sorted::{ascending, descending, levels, pick};
use super::{Items, List, ListLoss, Lists, Outcome, Term};
use crate::error::Result;
use crate::order::all_pairs::kernel::direct::{Direct, Ends, PAD, PairWeights, padded};
use crate::order::all_pairs::kernel::formula::Logistic;
use crate::pool::Context;

/// What the weight of a pair is, for gains `G`, ranks `r` from 1 and discounts `D = 1 / log2(1 + r)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Scheme {
    /// 1: RankNet.
    None,
    /// `abs(1 / r_i - 1 / r_j)`.
    Mrr,
    /// `abs(G_i - G_j) abs(D_i - D_j) / IDCG`: LambdaRank.
    Ndcg,
    /// `abs(G_i - G_j) (1 / log2(1 + d) - 1 / log2(2 + d)) / IDCG` with `d = abs(r_i - r_j)`: NDCG-Loss2.
    Ndcg2,
    /// `mu` times the one before, plus LambdaRank: NDCG-Loss2++.
    Ndcg2PlusPlus {
        /// The share of NDCG-Loss2.
        mu: f64,
    },
}

/// The options of the loss.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Lambda {
    /// The weights of pairs.
    pub scheme: Scheme,
    /// What multiplies differences of scores.
    pub sigma: f64,
    /// Ranks beyond it have no discount and no reciprocal; 0 for no limit.
    pub cut: usize,
}

/// The loss of each list, where relevance holds gains, and extra numbers ranks, if they do not come from the scores
/// (descending, ties by index). `size` is the number of pairs of different gains.
pub fn lambda_loss(
    lambda: Lambda,
    items: Items<'_>,
    lists: Lists<'_>,
    gradient: bool,
    context: &Context,
) -> Result<Outcome> {
    super::run(&lambda, items, lists, gradient, context)
}

impl ListLoss for Lambda {
    fn list(&self, list: List<'_>, gradient: Option<&mut [f64]>, context: &Context) -> Result<Term> {
        let order = ascending(list.relevance, context)?;
        let gains = pick(list.relevance, &order);
        let borders = levels(&gains);
        if borders.len() < 3 {
            return Ok(Term::default());
        }
        let ranks = if list.extra.is_empty() {
            let mut ranks = vec![0.0; list.scores.len()];
            for (rank, item) in descending(list.scores, context)?.into_iter().enumerate() {
                ranks[item as usize] = (rank + 1) as f64;
            }
            pick(&ranks, &order)
        } else {
            pick(list.extra, &order)
        };
        let count = order.len();
        let mut ends = Vec::with_capacity(count);
        for level in borders.windows(2) {
            ends.resize(level[1], level[0]);
        }
        let weights = Swaps::new(self, &gains, ranks);
        let scores = padded(&pick(list.scores, &order));
        let (mut upper_slopes, mut lower_slopes) = (vec![0.0; count], vec![0.0; count.next_multiple_of(PAD)]);
        let sum = Direct {
            formula: Logistic,
            uppers: &scores[..count],
            upper_weights: &vec![1.0; count],
            ends: Ends::Each(&ends),
            lowers: &scores,
            weights,
            shift: 0.0,
            temperature: 1.0 / self.sigma,
            slopes: Some((&mut upper_slopes, &mut lower_slopes)),
            context,
        }
        .sum()?;
        if let Some(gradient) = gradient {
            for (i, &item) in order.iter().enumerate() {
                gradient[item as usize] = self.sigma * (lower_slopes[i] - upper_slopes[i]);
            }
        }
        let pairs: f64 = ends.iter().map(|&end| end as f64).sum();
        Ok(Term { sum, size: pairs, items: (count - borders[1]) as f64 })
    }
}

/// Weights of the pairs of a list, by ascending gain.
struct Swaps {
    /// For each item: gain over ideal DCG, and discount or reciprocal rank.
    gains: Vec<f64>,
    discounts: Vec<f64>,
    /// The ranks, and what a distance of ranks weighs in NDCG-Loss2.
    ranks: Vec<f64>,
    by_distance: Vec<f64>,
    /// The weights of the row at hand.
    row: Vec<f64>,
    scheme: Scheme,
}

impl Swaps {
    fn new(lambda: &Lambda, gains: &[f64], ranks: Vec<f64>) -> Self {
        let count = gains.len();
        let cut = if lambda.cut == 0 { f64::INFINITY } else { lambda.cut as f64 };
        let discount = |rank: f64| if rank > cut { 0.0 } else { 1.0 / (1.0 + rank).log2() };
        let ideal: f64 = gains.iter().rev().enumerate().map(|(i, gain)| gain * discount((i + 1) as f64)).sum();
        let scale = if ideal > 0.0 { 1.0 / ideal } else { 0.0 };
        let discounts = ranks.iter().map(|&rank| match lambda.scheme {
            Scheme::Mrr if rank > cut => 0.0,
            Scheme::Mrr => 1.0 / rank,
            _ => discount(rank),
        });
        let mut row = vec![0.0; count.next_multiple_of(PAD)];
        if lambda.scheme == Scheme::None {
            row.fill(1.0);
        }
        let two = matches!(lambda.scheme, Scheme::Ndcg2 | Scheme::Ndcg2PlusPlus { .. });
        let spread = ranks.iter().fold(0.0, |most: f64, &rank| most.max(rank)) as usize;
        let by_distance = (0..if two { spread + 1 } else { 0 }).map(|distance| {
            // Equal ranks, which only given ones can be, would weigh without bound.
            let d = distance as f64;
            if distance == 0 { 0.0 } else { 1.0 / (1.0 + d).log2() - 1.0 / (2.0 + d).log2() }
        });
        Self {
            gains: gains.iter().map(|gain| gain * scale).collect(),
            discounts: discounts.collect(),
            by_distance: by_distance.collect(),
            ranks,
            row,
            scheme: lambda.scheme,
        }
    }
}

impl PairWeights for Swaps {
    const OF_PAIRS: bool = true;

    #[inline(always)]
    fn row(&mut self, row: usize, end: usize) -> &[f64] {
        let (gain, discount, rank) = (self.gains[row], self.discounts[row], self.ranks[row]);
        let others = self.gains[..end].iter().zip(&self.discounts[..end]);
        let share = match self.scheme {
            Scheme::None => return &self.row,
            Scheme::Mrr => {
                for (weight, (_, other)) in self.row.iter_mut().zip(others) {
                    *weight = (discount - other).abs();
                }
                return &self.row;
            }
            Scheme::Ndcg => {
                for (weight, (other_gain, other)) in self.row.iter_mut().zip(others) {
                    *weight = (gain - other_gain).abs() * (discount - other).abs();
                }
                return &self.row;
            }
            Scheme::Ndcg2 => (1.0, 0.0),
            Scheme::Ndcg2PlusPlus { mu } => (mu, 1.0),
        };
        for ((weight, (other_gain, other)), other_rank) in self.row.iter_mut().zip(others).zip(&self.ranks[..end]) {
            let swap = self.by_distance[(rank - other_rank).abs() as usize];
            *weight = (gain - other_gain).abs() * (share.0 * swap + share.1 * (discount - other).abs());
        }
        &self.row
    }
}
