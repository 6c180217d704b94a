//! The tile engine: everything that compares the rows of one matrix with the rows of another.
//!
//! A [`Tile`] holds the values (see [`metric`]) of some rows of y with a strip of 32 rows of x, and a bound on the error of
//! each. A [`Producer`] makes tiles, in the first-level cache, from whatever it packed; a [`Consumer`] reads each while it
//! is hot and keeps what it wants of it. The matrix of all values never exists.
//!
//! Rows of x are lanes: what a consumer keeps for a row of x is a lane of its state, compared and updated side by side,
//! never summed across lanes. Consumers are plain loops over 32 lanes, written once and compiled for every level.
//!
//! * [`metric`]: what a score is, and how it shows in a tile. [`exact`](self): the same in float64, in one fixed order.
//! * `kernel`: the micro-kernel. `packed`: its input. `bound`: its errors. `pack`, `bytes`, `bits`,
//!   `narrow`, `open`: producers. [`filter`]: which of them. `admit`: which pairs count.
//! * [`topk`], [`radius`], [`dense`], [`reduce`]: consumers. `roles`: which pairs are positive and negative. [`mine`]: miners.
//! * [`pair_loss`]: losses over pairs, on the same micro-kernel.

mod admit;
mod bits;
mod bound;
mod bytes;
pub mod dense;
mod exact;
pub mod filter;
mod kernel;
pub mod metric;
pub mod mine;
mod narrow;
mod open;
mod pack;
mod packed;
pub mod pair_loss;
pub mod radius;
mod reader;
pub mod reduce;
mod roles;
mod search;
mod select;
#[cfg(test)]
mod tests;
pub mod topk;

pub use admit::{Admit, Bits, Exclude, LabelRule};
pub use filter::Filter;
pub use narrow::{Form, PackedRows};
pub use roles::{PairMask, Positives, Roles};
pub use search::Search;

use crate::error::Result;
use crate::pool::Context;
use crate::simd::{self, Level, Op};
use filter::Survivors;
use kernel::{STRIP, Strip};
use std::ops::Range;

/// Values of rows of y with a strip of rows of x.
pub(crate) struct Tile<'a, T> {
    /// `values[j].0[i]` is the value of row `y0 + j` of y with row `x0 + i` of the panel.
    pub values: &'a mut [Strip<T>],
    /// The first row of x, counted from that of the panel. Rows behind the last of the panel have meaningless values.
    pub x0: usize,
    /// The first row of y.
    pub y0: usize,
    /// How far a value of each lane may be from [`Metric::value`](metric::Metric::value) of the pair's score.
    pub error: &'a Strip<T>,
    /// The biases of the rows of x and of y, which a value holds: negative infinity for a row that is out of range and
    /// whose values mean nothing. None if there are no such things.
    pub biases: Option<(&'a Strip<T>, &'a [T])>,
}

/// Something that reads tiles.
pub(crate) trait Consumer<T> {
    /// Whether it wants tiles of these rows of y.
    fn wants(&self, _y: Range<usize>) -> bool {
        true
    }
    /// What became of the pairs so far that tiles did not rule out.
    fn survivors(&self) -> Survivors {
        Survivors::default()
    }
    /// Reads a tile, and may overwrite its values. Implementations are `#[inline(always)]`.
    fn tile<L: Level>(&mut self, tile: Tile<T>) -> Result<()>;
}

/// Something that makes tiles.
pub(crate) trait Producer<T> {
    /// Rows of y in a block.
    fn block_rows(&self) -> usize;
    /// Packs rows of x.
    fn set_panel(&mut self, x: Range<usize>) -> Result<()>;
    /// Strips of the panel.
    fn strips(&self) -> usize;
    /// Packs rows of y; `next` will be asked for next.
    fn set_block(&mut self, y: Range<usize>, next: Range<usize>) -> Result<()>;
    /// The tile of the block with a strip of the panel.
    fn tile(&mut self, strip: usize) -> Tile<'_, T>;
}

/// Shows a consumer the tiles of all blocks of `y` with the producer's panel. Producer and consumer enter the level's
/// code each by itself, for a tile at a time, so that neither is compiled once for each of the other.
pub(crate) struct Sweep<'a, 'c, P, C> {
    pub producer: &'a mut P,
    pub consumer: &'a mut C,
    pub y: Range<usize>,
    /// Rows of y that are visited one after the other, and the visits: all, or some.
    pub unit: usize,
    pub visits: Range<usize>,
    /// Whether to visit the units in a scattered order, so that rows of y in order of their scores do no harm.
    pub scattered: bool,
    /// Rows of x in the panel.
    pub rows: usize,
    pub context: &'a Context<'c>,
}

impl<P, C> Sweep<'_, '_, P, C> {
    /// Runs on the level of the context, for tiles of `T`.
    pub fn run<T>(self) -> Result<()>
    where
        P: Producer<T>,
        C: Consumer<T>,
    {
        let Sweep { producer, consumer, y, unit, visits, scattered, rows: panel_rows, context } = self;
        let rows = producer.block_rows().min(unit);
        let units = y.len().div_ceil(unit);
        let step = if scattered { golden_step(units) } else { 1 };
        let blocks = unit.div_ceil(rows);
        // Some of the blocks of a unit that is cut short have no rows.
        let block_at = |i: usize| {
            let begin = y.start + i / blocks * step % units * unit;
            let end = y.end.min(begin + unit);
            let begin = (begin + i % blocks * rows).min(end);
            begin..end.min(begin + rows)
        };
        for i in visits.start * blocks..visits.end * blocks {
            let block = block_at(i);
            if block.is_empty() {
                continue;
            }
            context.check()?;
            context.advance(block.len() * panel_rows);
            if consumer.wants(block.clone()) {
                producer.set_block(block, if i + 1 < visits.end * blocks { block_at(i + 1) } else { 0..0 })?;
                for strip in 0..producer.strips() {
                    simd::call(context.isa, See { consumer, tile: producer.tile(strip) })?;
                }
            }
        }
        Ok(())
    }
}

/// Shows a tile to a consumer.
struct See<'a, 't, C, T> {
    consumer: &'a mut C,
    tile: Tile<'t, T>,
}

impl<T, C: Consumer<T>> Op for See<'_, '_, C, T> {
    type Out = Result<()>;
    #[inline(always)]
    fn run<L: Level>(self) -> Result<()> {
        self.consumer.tile::<L>(self.tile)
    }
}

/// Where part `i` of `parts` nearly equal parts of `rows` rows of y begins: with a block, of packed rows too.
pub(crate) fn whole_blocks(rows: usize, i: usize, parts: usize) -> usize {
    if i == parts { rows } else { rows * i / parts / narrow::BLOCK * narrow::BLOCK }
}

/// A step that leads through all of `count` places, each far from the last: near the golden section, without a common
/// factor.
fn golden_step(count: usize) -> usize {
    let near = (count as f64 * 0.618) as usize;
    (near.max(1)..).find(|&step| greatest_common_divisor(step, count) == 1).unwrap_or(1)
}

fn greatest_common_divisor(a: usize, b: usize) -> usize {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

/// Cuts `rows` into ranges of at most `most`, nearly equal and a multiple of a strip but for the last; where that gives
/// fewer than some multiple of `threads`, into more, as long as they stay worth a task.
pub(crate) fn panels(rows: usize, most: usize, threads: usize) -> Vec<Range<usize>> {
    let strips = rows.div_ceil(STRIP);
    let mut count = rows.div_ceil(most).max(1);
    if count < 8 * threads {
        count = count.next_multiple_of(threads).min(strips / 2).max(count);
    }
    let cut = |i: usize| (strips * i / count * STRIP).min(rows);
    (0..count).map(|i| cut(i)..cut(i + 1)).filter(|range| !range.is_empty()).collect()
}
