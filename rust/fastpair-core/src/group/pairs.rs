//! Pair losses of lists: all pairs of items of which one is more relevant (RankNet, hinge, Mann-Whitney by group).
//!
//! With two levels of relevance a list is one sum over all pairs ([`crate::order::all_pairs`]). With more, items sorted by
//! relevance are halved at a border between levels again and again, and each cut is such a sum: O(n log levels) of them.
//! Short stretches are done pair by pair.

use super::sorted::{ascending, levels, pick};
use super::{Items, List, ListLoss, Lists, Outcome, Term, read};
use crate::column::Column;
use crate::error::Result;
use crate::order::all_pairs::kernel::direct::{Direct, Ends, OfLowers, PAD, padded};
use crate::order::all_pairs::kernel::formula::with_formula;
use crate::order::all_pairs::{PairLoss, Rows, Slopes};
use crate::pool::Context;
use crate::simd::{
    self,
    scan::{CountEqual, FindRange, Range},
};

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

/// The scores of one class, and their weights if they have any.
#[derive(Debug, Clone, Copy)]
pub struct Class<'a> {
    /// Scores.
    pub scores: Column<'a>,
    /// As many weights.
    pub weights: Option<Column<'a>>,
}

/// The sums of all pairs of one list whose items come by class, and derivatives: those of the upper class, then those of
/// the lower one.
pub fn pair_classes(
    loss: PairLoss,
    upper: Class<'_>,
    lower: Class<'_>,
    gradient: bool,
    context: &Context,
) -> Result<Outcome> {
    let mut buffers = [const { Vec::new() }; 4];
    let [scores, weights, lower_scores, lower_weights] = &mut buffers;
    let rows = |class: Class<'_>| 0..class.scores.len();
    let uppers = read(Some(upper.scores), None, rows(upper), scores);
    let lowers = read(Some(lower.scores), None, rows(lower), lower_scores);
    let upper_weights = read(upper.weights, None, rows(upper), weights);
    let lower_weights = read(lower.weights, None, rows(lower), lower_weights);
    let own = |class: Class<'_>, weights| class.weights.map(|_| weights);
    let (uppers, lowers) = (
        Rows { scores: uppers, weights: own(upper, upper_weights) },
        Rows { scores: lowers, weights: own(lower, lower_weights) },
    );
    let mut slopes = super::zeros(uppers.scores.len() + lowers.scores.len())?;
    let (upper_mass, lower_mass) = (mass(uppers), mass(lowers));
    let mut term = Term { sum: 0.0, size: upper_mass * lower_mass, items: upper_mass };
    if [uppers, lowers].iter().any(|rows| simd::call(context.isa, FindRange(rows.scores)).nan) {
        slopes.fill(f64::NAN);
        term = Term { sum: f64::NAN, size: 1.0, items: 1.0 };
    } else if !uppers.scores.is_empty() && !lowers.scores.is_empty() {
        let (upper_slopes, lower_slopes) = slopes.split_at_mut(uppers.scores.len());
        let out = Slopes { uppers: &mut *upper_slopes, lowers: &mut *lower_slopes };
        term.sum = loss.sum(uppers, lowers, out, context)?;
        let inverse = 1.0 / loss.temperature;
        for (slopes, rows, factor) in [(upper_slopes, uppers, -inverse), (lower_slopes, lowers, inverse)] {
            slopes.iter_mut().for_each(|slope| *slope *= factor);
            for (slope, &weight) in slopes.iter_mut().zip(rows.weights.unwrap_or_default()) {
                *slope = weighted(weight, *slope);
            }
        }
    }
    Ok(Outcome { terms: vec![term], gradient: gradient.then_some(slopes) })
}

/// The sum of the weights.
fn mass(rows: Rows<'_>) -> f64 {
    rows.weights.map_or(rows.scores.len() as f64, |weights| weights.iter().sum())
}

impl ListLoss for Pairs {
    fn list(&self, list: List<'_>, gradient: Option<&mut [f64]>, context: &Context) -> Result<Term> {
        let Range { low, high, .. } = simd::call(context.isa, FindRange(list.relevance));
        if low >= high {
            return Ok(Term::default());
        }
        let count = |value: f64| simd::call(context.isa, CountEqual { values: list.relevance, value });
        let uppers = count(high);
        if uppers + count(low) == list.relevance.len() {
            return self.two_levels(list, high, uppers, gradient, context);
        }
        self.many_levels(list, gradient, context)
    }
}

impl Pairs {
    /// The list has as many upper items, of relevance `high`, and all others are of one relevance below.
    fn two_levels(
        &self,
        list: List<'_>,
        high: f64,
        uppers: usize,
        gradient: Option<&mut [f64]>,
        context: &Context,
    ) -> Result<Term> {
        let above = |i: usize| list.relevance[i] == high;
        let count = list.scores.len();
        // Upper rows from the front, lower rows from the back. A row is written to both ends and kept at one: no branch to
        // foresee, and what stands between the ends is nobody's.
        let part = |values: &[f64], out: &mut [f64]| {
            let (mut up, mut low) = (0, count);
            for (i, &value) in values.iter().enumerate() {
                (out[up], out[low - 1]) = (value, value);
                up += usize::from(above(i));
                low -= usize::from(!above(i));
            }
        };
        // The scores in parts may lie where derivatives will be.
        let mut room = if gradient.is_some() { Vec::new() } else { vec![0.0; count] };
        let room = gradient.unwrap_or(&mut room);
        part(list.scores, room);
        let mut weights = vec![0.0; list.extra.len()];
        part(list.extra, &mut weights);
        let weights = (!weights.is_empty()).then(|| weights.split_at(uppers));
        let (upper, lower) = room.split_at(uppers);
        let upper = Rows { scores: upper, weights: weights.map(|(upper, _)| upper) };
        let lower = Rows { scores: lower, weights: weights.map(|(_, lower)| lower) };
        let (upper_mass, lower_mass) = (mass(upper), mass(lower));
        let mut slopes = vec![0.0; count];
        let (upper_slopes, lower_slopes) = slopes.split_at_mut(uppers);
        let out = Slopes { uppers: upper_slopes, lowers: lower_slopes };
        let sum = self.0.sum(upper, lower, out, context)?;
        let (mut up, mut low) = (0, count);
        let factors = [1.0 / self.0.temperature, -1.0 / self.0.temperature];
        for (i, out) in room.iter_mut().enumerate() {
            let side = usize::from(above(i));
            *out = factors[side] * slopes[[low.wrapping_sub(1), up][side]];
            up += side;
            low -= 1 - side;
        }
        for (out, &weight) in room.iter_mut().zip(list.extra) {
            *out = weighted(weight, *out);
        }
        Ok(Term { sum, size: upper_mass * lower_mass, items: upper_mass })
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
        let mut slopes = vec![0.0; stop - begin];
        let (lower, upper) = slopes.split_at_mut(at - begin);
        let out = Slopes { uppers: upper, lowers: lower };
        let across = self.loss.sum(rows(at..stop), rows(begin..at), out, self.context)?;
        for (i, (sum, slope)) in self.slopes[begin..stop].iter_mut().zip(slopes).enumerate() {
            let sign = if begin + i < at { 1.0 } else { -1.0 };
            *sum += weighted(self.weights[begin + i], sign * slope / self.loss.temperature);
        }
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
            *slope += weighted(weights[i], (lower_slopes[i] - upper_slopes[i]) / temperature);
        }
        Ok(sum)
    }
}

/// `weight * value`; weight 0 takes no part, whatever the value.
#[inline(always)]
fn weighted(weight: f64, value: f64) -> f64 {
    if weight == 0.0 { 0.0 } else { weight * value }
}
