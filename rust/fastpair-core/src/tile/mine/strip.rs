//! What a miner asks of 32 whole rows of the matrix of values: which columns are within limits, and which are the nearest.
//!
//! Answers are those of float64 scores. A value whose interval is clear of a limit needs no score; the others are scored.

use super::super::exact::Exact;
use super::super::kernel::{STRIP, Strip, at_least};
use super::super::select::Order;
use super::{Best, Found, NONE};
use crate::simd::Level;
use std::ops::Range;

/// Pairs that wait to be scored.
const MOST_PENDING: usize = 1 << 12;

const NOTHING_FOUND: [Option<(f64, usize)>; STRIP] = [None; STRIP];

/// Limits of closeness: the score, or a negated distance.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub lower: f64,
    pub upper: f64,
    /// Whether the limits themselves are inside.
    pub closed: [bool; 2],
}

impl Limits {
    /// Nothing is within these.
    pub const NOTHING: Self = Self { lower: f64::INFINITY, upper: f64::NEG_INFINITY, closed: [false; 2] };

    /// Limits at offsets from a reference. An infinite offset is no limit, so infinite closenesses are inside.
    pub fn around(reference: f64, offsets: [f64; 2], closed: [bool; 2]) -> Self {
        if reference.is_nan() {
            return Self::NOTHING;
        }
        let [lower, upper] = offsets.map(|offset| if offset.is_infinite() { offset } else { reference + offset });
        let open = offsets.map(f64::is_infinite);
        Self { lower, upper, closed: [closed[0] || open[0], closed[1] || open[1]] }
    }

    /// Whether a closeness is inside; NaN never is.
    fn hold(&self, key: f64) -> bool {
        let above = key > self.lower || self.closed[0] && key == self.lower;
        above && (key < self.upper || self.closed[1] && key == self.upper)
    }

    /// Whether nothing can be inside.
    fn are_empty(&self) -> bool {
        // Not a number limits everything.
        self.lower > self.upper || self.lower.is_nan() || self.upper.is_nan()
    }
}

/// Rows of x with all columns, lanes of strips.
pub(super) struct Rows<'s, 'a> {
    /// The first row of x.
    pub first: usize,
    /// How many lanes are rows.
    pub lanes: usize,
    /// A strip for each column.
    pub values: &'s [Strip<f32>],
    /// Where tiles end, and the bounds on their errors.
    pub ends: &'s [usize],
    pub errors: &'s [Strip<f32>],
    pub order: Order,
    pub exact: &'s mut Exact<'a>,
    /// Lanes and columns that must be scored.
    pub pending: &'s mut Vec<(u32, u32)>,
}

/// A tile of the strip: its columns, and the bounds on errors.
type Part<'s> = (Range<usize>, &'s Strip<f32>);

impl<'s> Rows<'s, '_> {
    /// Bytes for what is pending.
    pub fn bytes() -> usize {
        (MOST_PENDING + STRIP).next_power_of_two() * size_of::<(u32, u32)>()
    }

    #[inline(always)]
    fn parts(&self) -> impl Iterator<Item = Part<'s>> + use<'s> {
        let begins = std::iter::once(0).chain(self.ends.iter().copied());
        begins.zip(self.ends).zip(self.errors).map(|((begin, &end), error)| (begin..end, error))
    }

    /// The closeness of a pair in float64.
    pub fn key(&mut self, lane: usize, column: usize) -> f64 {
        self.exact.set_row(self.first + lane);
        self.order.key(self.exact.score(column))
    }

    /// A column that was found, with its score.
    pub fn found(&self, found: Option<(f64, usize)>) -> Found {
        found.map_or(NONE, |(key, column)| (column as i64, self.order.key(key)))
    }

    /// Scores what is pending, row by row, and calls `see` with the lane, the column and the closeness.
    #[cold]
    #[inline(never)]
    fn settle(&mut self, see: &mut impl FnMut(usize, usize, f64)) {
        self.pending.sort_unstable();
        let mut last = None;
        for i in 0..self.pending.len() {
            let (lane, column) = self.pending[i];
            if last != Some(lane) {
                self.exact.set_row(self.first + lane as usize);
                last = Some(lane);
            }
            if let Some(&(_, later)) = self.pending.get(i + 2) {
                self.exact.prefetch(later as usize);
            }
            see(lane as usize, column as usize, self.order.key(self.exact.score(column as usize)));
        }
        self.pending.clear();
    }

    /// Sets in `kept` the bits of `among` whose pairs are within the limits of their rows.
    #[inline(always)]
    pub fn within<L: Level>(&mut self, among: &[u32], limits: &[Limits; STRIP], kept: &mut [u32]) {
        let possible = lanes_where(|lane| !limits[lane].are_empty());
        let order = self.order;
        let value = |key: f64| order.value(key) as f32;
        for (columns, error) in self.parts() {
            let open = lanes_where(|lane| error.0[lane] == f32::INFINITY);
            // From `inside` on a value is certainly above the lower limit, below `outside` certainly not; and so on.
            let (mut inside, mut outside, mut beyond, mut below) = (*error, *error, *error, *error);
            for (lane, (limits, &error)) in limits.iter().zip(&error.0).enumerate() {
                let (low, high) = (value(limits.lower), value(limits.upper));
                inside.0[lane] = (low.next_up() + error).next_up().next_up();
                outside.0[lane] = (low.next_down() - error).next_down();
                below.0[lane] = (high.next_down() - error).next_down();
                beyond.0[lane] = (high.next_up() + error).next_up().next_up();
            }
            for column in columns {
                let candidates = among[column] & possible;
                if candidates == 0 {
                    kept[column] = 0;
                    continue;
                }
                let values = &self.values[column];
                let sure = at_least::<L>(values, &inside) & !at_least::<L>(values, &below) & !open;
                let maybe = at_least::<L>(values, &outside) & !at_least::<L>(values, &beyond) | open;
                kept[column] = sure & candidates;
                let mut unsure = maybe & !sure & candidates;
                while unsure != 0 {
                    self.pending.push((unsure.trailing_zeros(), column as u32));
                    unsure &= unsure - 1;
                }
                if self.pending.len() >= MOST_PENDING {
                    self.settle(&mut |lane, column, key| kept[column] |= u32::from(limits[lane].hold(key)) << lane);
                }
            }
        }
        self.settle(&mut |lane, column, key| kept[column] |= u32::from(limits[lane].hold(key)) << lane);
    }

    /// The nearest, or farthest, column of each row among those with a bit, and its closeness; the first of equal ones.
    #[inline(always)]
    pub fn extreme<L: Level>(&mut self, among: &[u32], best: Best) -> [Option<(f64, usize)>; STRIP] {
        let nearest = best == Best::Nearest;
        let mut floor = [f32::NEG_INFINITY; STRIP];
        for (columns, error) in self.parts() {
            let mut top = [f32::NEG_INFINITY; STRIP];
            for column in columns.filter(|&column| among[column] != 0) {
                let (bits, values) = (among[column], &self.values[column].0);
                for lane in 0..STRIP {
                    let value = if nearest { values[lane] } else { -values[lane] };
                    let value = if bits >> lane & 1 == 1 { value } else { f32::NEG_INFINITY };
                    top[lane] = if value > top[lane] { value } else { top[lane] };
                }
            }
            for lane in 0..STRIP {
                let low = (top[lane] - error.0[lane]).next_down();
                // Not a number, where the bound is infinite, is not larger.
                floor[lane] = if low > floor[lane] { low } else { floor[lane] };
            }
        }
        let mut found = NOTHING_FOUND;
        for (columns, error) in self.parts() {
            let open = lanes_where(|lane| error.0[lane] == f32::INFINITY);
            let mut reach = *error;
            for (lane, reach) in reach.0.iter_mut().enumerate() {
                let least = (floor[lane] - error.0[lane]).next_down();
                *reach = if nearest { least } else { (-least).next_up() };
            }
            for column in columns.filter(|&column| among[column] != 0) {
                let reached = at_least::<L>(&self.values[column], &reach);
                let mut hits = (if nearest { reached } else { !reached } | open) & among[column];
                while hits != 0 {
                    self.pending.push((hits.trailing_zeros(), column as u32));
                    hits &= hits - 1;
                }
                if self.pending.len() >= MOST_PENDING {
                    self.enter_pending(best, &mut found);
                }
            }
        }
        self.enter_pending(best, &mut found);
        found
    }

    /// The nearest, or farthest, of the columns that are pending.
    pub fn best_of_pending(&mut self, best: Best) -> [Option<(f64, usize)>; STRIP] {
        let mut found = NOTHING_FOUND;
        self.enter_pending(best, &mut found);
        found
    }

    /// Scores what is pending, and keeps what is better than what was found before.
    fn enter_pending(&mut self, best: Best, found: &mut [Option<(f64, usize)>; STRIP]) {
        self.settle(&mut |lane, column, key| {
            let better = |other: f64| if best == Best::Nearest { key > other } else { key < other };
            if !key.is_nan() && found[lane].is_none_or(|(other, _)| better(other)) {
                found[lane] = Some((key, column));
            }
        });
    }
}

/// The lanes for which something holds.
#[inline(always)]
pub(super) fn lanes_where(holds: impl Fn(usize) -> bool) -> u32 {
    (0..STRIP).fold(0, |bits, lane| bits | u32::from(holds(lane)) << lane)
}
