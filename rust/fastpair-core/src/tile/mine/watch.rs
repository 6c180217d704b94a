//! The extreme positive of each row, found tile by tile while these are in the cache.
//!
//! A positive is a candidate while its interval reaches the best lower end of its row so far. Few are: those of a row in no
//! special order are passed some log n times. Where many stay, as many are equal, the strip is looked at once more instead.

use super::super::kernel::{STRIP, Strip, at_least};
use super::Best;
use super::columns::Columns;
use super::strip::{Rows, lanes_where};
use crate::simd::Level;

/// Candidates that a strip may have.
const MOST: usize = 1 << 12;

/// A positive whose closeness, or its negative where the farthest is wanted, may be as high as `high`.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    lane: u32,
    column: u32,
    high: f32,
}

/// What is known of the rows of a strip.
struct State {
    floor: Strip<f32>,
    candidates: Vec<Candidate>,
    /// Whether there were too many.
    full: bool,
}

/// Watches the positives of the strips of a panel.
pub(super) struct Watch {
    best: Best,
    columns: usize,
    /// The positives of all columns, strip by strip.
    positives: Vec<u32>,
    states: Vec<State>,
}

impl Watch {
    pub fn new(best: Best, strips: usize, columns: usize) -> Self {
        let state = || State { floor: Strip([0.0; STRIP]), candidates: Vec::new(), full: false };
        let states = (0..strips).map(|_| state()).collect();
        Self { best, columns, positives: vec![0; strips * columns], states }
    }

    /// What that takes for each row of x.
    pub fn bytes_per_row(columns: usize) -> usize {
        columns * size_of::<u32>() / STRIP + 2 * MOST * size_of::<Candidate>() / STRIP
    }

    /// Begins with a strip, whose positives `columns` has.
    pub fn begin(&mut self, strip: usize, columns: &Columns) {
        self.positives[strip * self.columns..][..self.columns].copy_from_slice(&columns.positives);
        let State { floor, candidates, full } = &mut self.states[strip];
        floor.0.fill(f32::NEG_INFINITY);
        candidates.clear();
        *full = false;
    }

    /// Looks at the values of a strip with the columns from `first` on.
    #[inline(always)]
    pub fn see<L: Level>(&mut self, strip: usize, first: usize, values: &[Strip<f32>], error: &Strip<f32>) {
        let nearest = self.best == Best::Nearest;
        let positives = &self.positives[strip * self.columns + first..][..values.len()];
        let state = &mut self.states[strip];
        let open = lanes_where(|lane| error.0[lane] == f32::INFINITY);
        let mut reach = Strip([0.0; STRIP]);
        for (lane, reach) in reach.0.iter_mut().enumerate() {
            *reach = reached(state.floor.0[lane], error.0[lane], nearest);
        }
        for (column, (values, &bits)) in values.iter().zip(positives).enumerate() {
            if bits == 0 {
                continue;
            }
            let above = at_least::<L>(values, &reach);
            let mut hits = (if nearest { above } else { !above } | open) & bits;
            while hits != 0 {
                let lane = hits.trailing_zeros();
                hits &= hits - 1;
                let (i, error) = (lane as usize, error.0[lane as usize]);
                state.take(lane, first + column, if nearest { values.0[i] } else { -values.0[i] }, error);
                reach.0[i] = reached(state.floor.0[i], error, nearest);
            }
        }
    }

    /// The extreme positives of a strip.
    #[inline(always)]
    pub fn found<L: Level>(&self, strip: usize, rows: &mut Rows, columns: &Columns) -> [Option<(f64, usize)>; STRIP] {
        let State { floor, candidates, full } = &self.states[strip];
        if *full {
            return rows.extreme::<L>(&columns.positives, self.best);
        }
        let hopeful = candidates.iter().filter(|candidate| candidate.high >= floor.0[candidate.lane as usize]);
        rows.pending.extend(hopeful.map(|candidate| (candidate.lane, candidate.column)));
        rows.best_of_pending(self.best)
    }
}

/// The value that a candidate reaches, or does not where the farthest is wanted.
#[inline(always)]
fn reached(floor: f32, error: f32, nearest: bool) -> f32 {
    let least = (floor - error).next_down();
    if nearest { least } else { (-least).next_up() }
}

impl State {
    /// Takes a candidate, with its value negated where the farthest is wanted.
    #[cold]
    #[inline(never)]
    fn take(&mut self, lane: u32, column: usize, value: f32, error: f32) {
        let open = error == f32::INFINITY;
        let high = if open { f32::INFINITY } else { (value + error).next_up() };
        let low = if open { f32::NEG_INFINITY } else { (value - error).next_down() };
        let floor = &mut self.floor.0[lane as usize];
        if high < *floor || self.full {
            return;
        }
        *floor = floor.max(low);
        self.candidates.push(Candidate { lane, column: column as u32, high });
        if self.candidates.len() >= MOST {
            let floor = &self.floor;
            self.candidates.retain(|candidate| candidate.high >= floor.0[candidate.lane as usize]);
            self.full = self.candidates.len() > MOST / 2;
        }
    }
}
