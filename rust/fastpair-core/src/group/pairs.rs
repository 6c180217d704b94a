//! Pair losses of lists: all pairs of items of which one is more relevant (RankNet, hinge, Mann-Whitney by group).
//!
//! With two levels of relevance a list is one sum over all pairs ([`crate::order::all_pairs`]). With more, items sorted by
//! relevance are halved at a border between levels again and again, and each cut is such a sum: O(n log levels) of them.
//! Short stretches are done pair by pair.

use super::sorted::{ascending, levels, pick};
use super::{Items, List, ListLoss, Lists, Outcome, Term};
use crate::error::Result;
use crate::order::all_pairs::kernel::direct::{Direct, Ends, OfLowers, PAD, padded};
use crate::order::all_pairs::kernel::formula::with_formula;
use crate::order::all_pairs::{PairLoss, Rows};
use crate::pool::Context;

/// Up to this many items of several levels are compared one by one.
const SHORT: usize = 384;

/// All pairs of a list whose relevance differs; extra numbers are weights. `size` is the sum of the products of weights of
/// all pairs, `items` that of the weights of items above the lowest level.
struct Pairs(PairLoss);

/// The sums of all pairs of each list.
pub fn pair_lists(
    loss: PairLoss,
    items: Items<'_>,
    lists: Lists<'_>,
    gradient: bool,
    context: &Context,
) -> Result<Outcome> {
    super::run(&Pairs(loss), items, lists, gradient, context)
}

impl ListLoss for Pairs {
    fn list(&self, list: List<'_>, gradient: Option<&mut [f64]>, context: &Context) -> Result<Term> {
        let (low, high) =
            list.relevance.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), &r| (r.min(l), r.max(h)));
        if low >= high {
            return Ok(Term::default());
        }
        if list.relevance.iter().all(|&relevance| relevance == low || relevance == high) {
            return self.two_levels(list, high, gradient, context);
        }
        self.many_levels(list, gradient, context)
    }
}

impl Pairs {
    fn two_levels(&self, list: List<'_>, high: f64, gradient: Option<&mut [f64]>, context: &Context) -> Result<Term> {
        let mut sides = [Stretch::default(), Stretch::default()];
        let uppers = list.relevance.iter().filter(|&&relevance| relevance == high).count();
        sides[0].reserve(list.scores.len() - uppers, !list.extra.is_empty());
        sides[1].reserve(uppers, !list.extra.is_empty());
        for (i, (&score, &relevance)) in list.scores.iter().zip(list.relevance).enumerate() {
            sides[usize::from(relevance == high)].push(score, list.extra.get(i));
        }
        let [lower, upper] = sides;
        let (upper_mass, lower_mass) = (upper.mass(), lower.mass());
        let size = upper_mass * lower_mass;
        let sum = match gradient {
            None => self.0.sum(upper.rows(), lower.rows(), None, context)?,
            Some(gradient) => {
                let (mut upper_slopes, mut lower_slopes) =
                    (vec![0.0; upper.scores.len()], vec![0.0; lower.scores.len()]);
                let slopes = Some((&mut upper_slopes[..], &mut lower_slopes[..]));
                let sum = self.0.sum(upper.rows(), lower.rows(), slopes, context)?;
                let (mut upper_slopes, mut lower_slopes) = (upper_slopes.into_iter(), lower_slopes.into_iter());
                for (slope, &relevance) in gradient.iter_mut().zip(list.relevance) {
                    let side = if relevance == high { &mut upper_slopes } else { &mut lower_slopes };
                    *slope = side.next().expect("a derivative for each item");
                }
                sum
            }
        };
        Ok(Term { sum, size, items: upper_mass })
    }

    fn many_levels(&self, list: List<'_>, gradient: Option<&mut [f64]>, context: &Context) -> Result<Term> {
        let order = ascending(list.relevance, context)?;
        let borders = levels(&pick(list.relevance, &order));
        let mut sorted = Sorted {
            loss: &self.0,
            scores: pick(list.scores, &order),
            weights: if list.extra.is_empty() { vec![1.0; order.len()] } else { pick(list.extra, &order) },
            slopes: vec![0.0; order.len()],
            borders,
            context,
        };
        let sum = sorted.sum(0, sorted.borders.len() - 1)?;
        if let Some(gradient) = gradient {
            for (&item, slope) in order.iter().zip(&sorted.slopes) {
                gradient[item as usize] = *slope;
            }
        }
        let (mut below, mut term) = (0.0, Term { sum, ..Term::default() });
        for level in sorted.borders.windows(2) {
            let mass: f64 = sorted.weights[level[0]..level[1]].iter().sum();
            term.size += mass * below;
            term.items += if level[0] == 0 { 0.0 } else { mass };
            below += mass;
        }
        Ok(term)
    }
}

/// Scores of one side and their weights, if there are any.
#[derive(Default)]
struct Stretch {
    scores: Vec<f64>,
    weights: Option<Vec<f64>>,
}

impl Stretch {
    fn reserve(&mut self, items: usize, weighted: bool) {
        self.scores.reserve_exact(items);
        self.weights = weighted.then(|| Vec::with_capacity(items));
    }

    #[inline(always)]
    fn push(&mut self, score: f64, weight: Option<&f64>) {
        self.scores.push(score);
        if let (Some(weights), Some(&weight)) = (&mut self.weights, weight) {
            weights.push(weight);
        }
    }

    fn rows(&self) -> Rows<'_> {
        Rows { scores: &self.scores, weights: self.weights.as_deref() }
    }

    fn mass(&self) -> f64 {
        self.weights.as_ref().map_or(self.scores.len() as f64, |weights| weights.iter().sum())
    }
}

/// The items of a list by ascending relevance.
struct Sorted<'a> {
    loss: &'a PairLoss,
    scores: Vec<f64>,
    weights: Vec<f64>,
    slopes: Vec<f64>,
    /// Where the levels begin, and the end.
    borders: Vec<usize>,
    context: &'a Context<'a>,
}

impl Sorted<'_> {
    /// The sum over the pairs within the levels `first .. end`.
    fn sum(&mut self, first: usize, end: usize) -> Result<f64> {
        if end - first < 2 {
            return Ok(0.0);
        }
        let (begin, stop) = (self.borders[first], self.borders[end]);
        if stop - begin <= SHORT {
            return self.short(first, end);
        }
        let middle = begin + (stop - begin) / 2;
        let inner = &self.borders[first + 1..end];
        let cut = first + 1 + inner.partition_point(|&border| border < middle).min(inner.len() - 1);
        let at = self.borders[cut];
        let rows = |range: std::ops::Range<usize>| Rows {
            scores: &self.scores[range.clone()],
            weights: Some(&self.weights[range]),
        };
        let (lower, upper) = self.slopes[begin..stop].split_at_mut(at - begin);
        let across = self.loss.sum(rows(at..stop), rows(begin..at), Some((upper, lower)), self.context)?;
        Ok(across + self.sum(first, cut)? + self.sum(cut, end)?)
    }

    /// The same, pair by pair.
    fn short(&mut self, first: usize, end: usize) -> Result<f64> {
        let (begin, stop) = (self.borders[first], self.borders[end]);
        let (scores, weights) = (padded(&self.scores[begin..stop]), padded(&self.weights[begin..stop]));
        let mut ends = Vec::with_capacity(stop - begin);
        for level in self.borders[first..=end].windows(2) {
            ends.resize(level[1] - begin, level[0] - begin);
        }
        let items = stop - begin;
        let (mut upper_slopes, mut lower_slopes) = (vec![0.0; items], vec![0.0; items.next_multiple_of(PAD)]);
        let part = self.loss.part();
        let temperature = self.loss.temperature;
        let sum = with_formula!(part.kind, formula => Direct {
            formula,
            uppers: &scores[..items],
            upper_weights: &weights[..items],
            ends: Ends::Each(&ends),
            lowers: &scores,
            weights: OfLowers(&weights),
            shift: part.shift,
            temperature,
            slopes: Some((&mut upper_slopes, &mut lower_slopes)),
            context: self.context,
        }
        .sum()?);
        for (i, slope) in self.slopes[begin..stop].iter_mut().enumerate() {
            // Weight 0 takes no part, whatever the sums.
            if weights[i] != 0.0 {
                *slope += weights[i] * (lower_slopes[i] - upper_slopes[i]) / temperature;
            }
        }
        Ok(sum)
    }
}
