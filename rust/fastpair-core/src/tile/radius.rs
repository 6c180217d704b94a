//! Radius search: for each row of x all rows of y whose score reaches a threshold.
//!
//! Tiles filter, float64 decides, as in `topk`. Cost O(n m d); memory: the hits (16 bytes each, twice while they are put
//! together) and a few MiB for each thread. More hits than allowed are an error as soon as they are seen.

use super::exact::Exact;
use super::filter::Survivors;
use super::kernel::{BLOCK, STRIP, Strip, at_least};
use super::search::{Search, Spares};
use super::select::{Order, score_columns};
use super::topk::{TOGETHER, any_reaches, lowered};
use super::{Admit, Consumer, Tile, panels, whole_blocks};
use crate::error::{Error, Result};
use crate::pool::Context;
use crate::simd::Level;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Hits in compressed rows.
#[derive(Debug, Default)]
pub struct Hits {
    /// Where each row begins, and where the last ends.
    pub offsets: Vec<i64>,
    /// Indices of rows of y, ascending within a row, or by score.
    pub indices: Vec<i64>,
    /// Their scores.
    pub scores: Vec<f64>,
}

/// Candidates that wait to be scored.
const PENDING: usize = 1 << 14;

/// The same with a tile that begins just below.
const MOST_PENDING: usize = PENDING + BLOCK * STRIP;

impl Search<'_> {
    /// All pairs whose score is at least `thresholds` of their row, or at most if small scores are best. At most `most`
    /// of them, else an error; each row by index or, if `sorted`, best first.
    pub fn radius(&self, thresholds: &[f64], most: usize, sorted: bool, context: &Context) -> Result<Hits> {
        assert_eq!(thresholds.len(), self.x.rows(), "a threshold for each row");
        let source = self.source(true, context.isa);
        let count = AtomicUsize::new(0);
        // Pairs that wait, room to sort them, and the columns and results of a row, which may be all of them.
        let waiting = MOST_PENDING * (2 * size_of::<(u32, usize)>())
            + MOST_PENDING.next_power_of_two() * (size_of::<usize>() + size_of::<(f64, i64)>());
        let own = |rows: usize| waiting + rows * (size_of::<f32>() + size_of::<Vec<(f64, i64)>>());
        let (threads, most_rows) = source.plan(context, context.threads, usize::MAX, own, |_, _| 0)?;
        let panels = panels(self.x.rows(), most_rows, threads);
        let spares = Spares::new();
        let make = || source.tiles(most_rows, self.order().negated());
        let parts = if panels.len() >= threads { 1 } else { 4 * threads };
        let cut = |i: usize| whole_blocks(self.y.rows(), i, parts);
        let tasks: Vec<_> =
            panels.iter().flat_map(|panel| (0..parts).map(|i| (panel.clone(), cut(i)..cut(i + 1)))).collect();
        let task = |(panel, part): (Range<usize>, Range<usize>)| {
            let (order, exact) = (self.order(), Exact::new(self.metric, self.x, self.y, context.isa));
            let limits = |row: usize| order.value(order.key(thresholds[row])) as f32;
            let rows = panel.len();
            let mut reach = vec![Strip([f32::INFINITY; 32]); rows.div_ceil(32)];
            for i in 0..rows {
                reach[i / 32].0[i % 32] = limits(panel.start + i).next_down();
            }
            let mut consumer = Radius {
                order,
                admit: self.admit,
                begin: panel.start,
                thresholds,
                reach,
                pending: Vec::with_capacity(MOST_PENDING),
                found: vec![Vec::new(); rows],
                exact,
                count: &count,
                most,
                survivors: Survivors::default(),
            };
            spares.with(make, |tiles| tiles.sweep(panel, part, false, &mut consumer, context))?;
            consumer.settle()?;
            Ok(consumer.found)
        };
        let found = context.map(threads, tasks, task)?.into_iter().collect::<Result<Vec<_>>>()?;
        let order = self.order();
        let mut hits = Hits { offsets: vec![0], ..Hits::default() };
        for (panel, parts) in panels.iter().zip(found.chunks(parts.max(1))) {
            for row in 0..panel.len() {
                let mut own: Vec<(f64, i64)> = parts.iter().flat_map(|part| &part[row]).copied().collect();
                if sorted {
                    own.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
                }
                hits.indices.extend(own.iter().map(|&(_, index)| index));
                hits.scores.extend(own.iter().map(|&(key, _)| order.key(key)));
                hits.offsets.push(hits.indices.len() as i64);
            }
        }
        Ok(hits)
    }
}

/// The consumer.
struct Radius<'a> {
    order: Order,
    admit: Admit<'a>,
    begin: usize,
    thresholds: &'a [f64],
    /// The values that a hit reaches.
    reach: Vec<Strip<f32>>,
    /// Rows of the panel and columns that may be hits.
    pending: Vec<(u32, usize)>,
    /// Keys and indices of the hits of each row.
    found: Vec<Vec<(f64, i64)>>,
    exact: Exact<'a>,
    count: &'a AtomicUsize,
    most: usize,
    survivors: Survivors,
}

impl Radius<'_> {
    /// Scores what is pending.
    #[cold]
    #[inline(never)]
    fn settle(&mut self) -> Result<()> {
        self.survivors.scored += self.pending.len();
        // Row by row, each in the order of its columns.
        self.pending.sort_by_key(|&(row, _)| row);
        let (mut columns, mut new) = (Vec::new(), Vec::new());
        for pairs in self.pending.chunk_by(|a, b| a.0 == b.0) {
            let row = pairs[0].0 as usize;
            columns.clear();
            columns.extend(pairs.iter().map(|&(_, column)| column));
            let mut limits = self.admit.limits(self.begin + row);
            let threshold = self.thresholds[self.begin + row];
            if self.order.largest {
                limits[0] = limits[0].max(threshold);
            } else {
                limits[1] = limits[1].min(threshold);
            }
            let (exact, order, offset) = (&mut self.exact, self.order, self.admit.offset);
            score_columns(exact, self.begin + row, &columns, order, limits, offset, &mut new);
            if self.count.fetch_add(new.len(), Ordering::Relaxed) + new.len() > self.most {
                return Err(Error::TooManyHits { max_hits: self.most });
            }
            let found = &mut self.found[row];
            found.try_reserve(new.len()).map_err(|_| Error::OutOfMemory { bytes: new.len() * 16 })?;
            found.append(&mut new);
        }
        self.pending.clear();
        Ok(())
    }
}

impl Consumer<f32> for Radius<'_> {
    fn wants(&self, y: Range<usize>) -> bool {
        self.admit.any_of(y)
    }

    fn survivors(&self) -> Survivors {
        // What is pending will be scored.
        let scored = self.survivors.scored + self.pending.len();
        Survivors { remembered: scored, scored }
    }

    #[inline(always)]
    fn tile<L: Level>(&mut self, tile: Tile<f32>) -> Result<()> {
        let Tile { values, x0, y0, error, .. } = tile;
        let reach = lowered(&self.reach[x0 / 32], error);
        for (part, values) in values.chunks(TOGETHER).enumerate() {
            if !any_reaches(values, &reach) {
                continue;
            }
            for (j, values) in values.iter().enumerate() {
                let mut lanes = at_least::<L>(values, &reach);
                while lanes != 0 {
                    let (row, column) = (x0 + lanes.trailing_zeros() as usize, y0 + part * TOGETHER + j);
                    lanes &= lanes - 1;
                    if self.admit.pair(self.begin + row, column) {
                        self.pending.push((row as u32, column));
                    }
                }
            }
            if self.pending.len() >= PENDING {
                self.settle()?;
            }
        }
        Ok(())
    }
}
