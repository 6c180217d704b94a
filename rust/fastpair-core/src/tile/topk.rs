//! Exact top-k: for each row of x the k best rows of y.
//!
//! Tiles are only a filter. A column stays a candidate while the upper end of its interval reaches the row's threshold
//! (see `select`), survivors are scored in float64, and equal scores go by index. So the answer is the exact ranking,
//! which cannot depend on threads, parts, instruction sets or the filter.
//!
//! Cost O(n m d); memory: inputs, outputs, and for each thread a panel, a block and the candidates of a panel, each a few
//! MiB; where that is too much, panels have fewer rows, or fewer threads work.

use super::exact::Exact;
use super::filter::Survivors;
use super::kernel::{STRIP, Strip, at_least};
use super::search::{Search, Spares, Tiles};
use super::select::{Best, Selection, bytes, bytes_per_row};
use super::{Consumer, Tile, panels, whole_blocks};
use crate::error::Result;
use crate::pool::Context;
use crate::simd::Level;
use std::ops::Range;

/// Rows of y between two looks at the exact scores; thresholds are then shared by all that follows.
const SEGMENT: usize = 1 << 20;

/// Bytes of candidates that a panel may have.
const MOST_BYTES: usize = 8 << 20;

impl Search<'_> {
    /// Improves the `k` best of each row: `scores` and `indices` hold `k` places for each row of x, best first, unused
    /// ones with index -1 at the end. `above` gains the number of pairs of each row that are admitted but for a score that is
    /// better than the limits allow.
    pub fn topk(
        &self,
        k: usize,
        scores: &mut [f64],
        indices: &mut [i64],
        above: &mut [i64],
        context: &Context,
    ) -> Result<()> {
        let (rows, columns) = (self.x.rows(), self.y.rows());
        assert_eq!(above.len(), rows, "a count for each row");
        assert!(scores.len() == rows * k && indices.len() == rows * k, "k places for each row");
        if k == 0 || rows == 0 || columns == 0 {
            return Ok(());
        }
        let source = self.source(true, context.isa);
        let coarse = source.is_coarse();
        let most = (MOST_BYTES / bytes_per_row(k, columns.min(SEGMENT), coarse) / STRIP * STRIP).max(STRIP);
        let parts_of = |threads: usize, panels: usize, columns: usize| {
            let parts = if panels >= threads { 1 } else { 4 * threads };
            parts.min(columns.div_ceil(4 * super::kernel::BLOCK))
        };
        let places = |threads: usize, most: usize| {
            let parts = parts_of(threads, panels(rows, most, threads).len(), columns.min(SEGMENT));
            if parts == 1 { 0 } else { parts * rows * (k * (size_of::<f64>() + size_of::<i64>()) + size_of::<i64>()) }
        };
        let (threads, most) =
            source.plan(context, context.threads, most, |rows| bytes(rows, k, columns.min(SEGMENT), coarse), places)?;
        let panels = panels(rows, most, threads);
        let (spares, negated) = (Spares::new(), self.order().negated());
        let make = || source.tiles(most, negated);
        for begin in (0..columns).step_by(SEGMENT) {
            let segment = begin..columns.min(begin + SEGMENT);
            let parts = parts_of(threads, panels.len(), segment.len());
            if parts == 1 {
                let mut tasks = Vec::new();
                let (mut scores, mut indices, mut above) = (&mut *scores, &mut *indices, &mut *above);
                for panel in &panels {
                    let (own_scores, own_indices, own_above);
                    (own_scores, scores) = scores.split_at_mut(panel.len() * k);
                    (own_indices, indices) = indices.split_at_mut(panel.len() * k);
                    (own_above, above) = above.split_at_mut(panel.len());
                    tasks.push((panel.clone(), own_scores, own_indices, own_above));
                }
                let task = |(panel, scores, indices, above): (Range<usize>, &mut [f64], &mut [i64], &mut [i64])| {
                    spares.with(make, |tiles| {
                        self.search((k, coarse), panel, segment.clone(), tiles, scores, indices, above, context)
                    })
                };
                context.map(threads, tasks, task)?.into_iter().collect::<Result<()>>()?;
                continue;
            }
            // Few rows: threads share y instead, each with places of its own.
            let cut = |i: usize| segment.start + whole_blocks(segment.len(), i, parts);
            let tasks = (0..parts).map(|i| (cut(i)..cut(i + 1), scores.to_vec(), indices.to_vec())).collect();
            let task = |(part, mut scores, mut indices): (Range<usize>, Vec<f64>, Vec<i64>)| {
                let mut above = vec![0; rows];
                spares.with(make, |tiles| {
                    for panel in &panels {
                        let places = panel.start * k..panel.end * k;
                        let (scores, indices) = (&mut scores[places.clone()], &mut indices[places]);
                        let above = &mut above[panel.clone()];
                        self.search((k, coarse), panel.clone(), part.clone(), tiles, scores, indices, above, context)?;
                    }
                    Ok(())
                })?;
                Ok((part, scores, indices, above))
            };
            for found in context.map(threads, tasks, task)? {
                let (part, found_scores, found_indices, found_above) = found?;
                above.iter_mut().zip(found_above).for_each(|(above, found)| *above += found);
                self.merge(k, part, (scores, indices), (&found_scores, &found_indices));
            }
        }
        Ok(())
    }

    /// Enters what was found in a part of y.
    fn merge(&self, k: usize, part: Range<usize>, best: (&mut [f64], &mut [i64]), found: (&[f64], &[i64])) {
        let order = self.order();
        let own = (self.admit.offset + part.start) as i64..(self.admit.offset + part.end) as i64;
        let mut new = Vec::new();
        for row in 0..self.x.rows() {
            let places = row * k..(row + 1) * k;
            let pairs = found.0[places.clone()].iter().zip(&found.1[places.clone()]);
            // What was there before is in every part's list.
            new.extend(
                pairs.filter(|(_, index)| own.contains(index)).map(|(&score, &index)| (order.key(score), index)),
            );
            Best { scores: &mut best.0[places.clone()], indices: &mut best.1[places] }.enter(order, &mut new);
        }
    }

    /// Searches some rows of y for a panel of rows of x.
    #[allow(clippy::too_many_arguments)]
    fn search(
        &self,
        (k, coarse): (usize, bool),
        panel: Range<usize>,
        y: Range<usize>,
        tiles: &mut Tiles,
        scores: &mut [f64],
        indices: &mut [i64],
        above: &mut [i64],
        context: &Context,
    ) -> Result<()> {
        let (order, exact) = (self.order(), Exact::new(self.metric, self.x, self.y, context.isa));
        let (admit, begin) = (self.admit, panel.start);
        let mut consumer =
            TopK(Selection::new(order, admit, begin, (k, coarse), y.len(), exact, scores, indices, above));
        tiles.sweep(panel, y, true, &mut consumer, context)?;
        consumer.0.finish();
        Ok(())
    }
}

/// Rows of a tile that are looked at together.
pub(crate) const TOGETHER: usize = 32;

/// The consumer.
struct TopK<'a>(Selection<'a>);

impl Consumer<f32> for TopK<'_> {
    fn wants(&self, y: Range<usize>) -> bool {
        self.0.wants(y)
    }

    fn survivors(&self) -> Survivors {
        self.0.survivors
    }

    #[inline(always)]
    fn tile<L: Level>(&mut self, tile: Tile<f32>) -> Result<()> {
        let Tile { values, x0, y0, error, .. } = tile;
        for (part, values) in values.chunks(TOGETHER).enumerate() {
            let reach = lowered(self.0.thresholds(x0), error);
            if !any_reaches(values, &reach) {
                continue;
            }
            for (j, values) in values.iter().enumerate() {
                let mut lanes = at_least::<L>(values, &reach);
                while lanes != 0 {
                    let lane = lanes.trailing_zeros() as usize;
                    lanes &= lanes - 1;
                    self.0.push(x0 + lane, y0 + part * TOGETHER + j, values.0[lane], error.0[lane]);
                }
            }
        }
        Ok(())
    }
}

/// The least values whose upper ends reach the thresholds.
#[inline(always)]
pub(crate) fn lowered(thresholds: &Strip<f32>, error: &Strip<f32>) -> Strip<f32> {
    let mut lowered = Strip([0f32; STRIP]);
    for ((lowered, &threshold), &error) in lowered.0.iter_mut().zip(&thresholds.0).zip(&error.0) {
        let least = threshold - error;
        // Rounded down, generously.
        *lowered = least - least.abs() * (2.0 * f32::EPSILON) - f32::MIN_POSITIVE;
    }
    lowered
}

/// Whether a value reaches that of its lane.
#[inline(always)]
pub(crate) fn any_reaches(values: &[Strip<f32>], reach: &Strip<f32>) -> bool {
    let mut largest = Strip([f32::NEG_INFINITY; STRIP]);
    for values in values {
        for (largest, &value) in largest.0.iter_mut().zip(&values.0) {
            *largest = if value > *largest { value } else { *largest };
        }
    }
    let mut any = false;
    for (&largest, &reach) in largest.0.iter().zip(&reach.0) {
        any |= largest >= reach;
    }
    any
}
