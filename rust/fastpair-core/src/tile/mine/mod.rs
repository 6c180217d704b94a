//! Mining pairs: which negatives, or positives, of each row are hard enough to learn from.
//!
//! The rows of x are taken in panels. The tiles of a panel with all of y are kept side by side in a [`Sheet`]: 32 whole rows
//! of the matrix at a time, which no more than a thread's cache should hold. A miner looks at these ([`strip`]), says which
//! columns it keeps, a bit for each of the 32 rows, and `bits` turns the bits into packed rows.
//!
//! Miners compare scores in float64: tiles only tell which pairs are certainly inside or outside of a limit, and the few
//! in between are scored. So what is mined depends neither on threads, nor panels, nor instruction sets.
//!
//! Cost: O(n m d), and a few operations for each pair. Memory: for each thread a panel of rows of the matrix, 32 of them at
//! least.

mod band;
mod bits;
mod columns;
mod fused;
mod multi_similarity;
mod strip;
mod watch;

pub use band::{Band, BandResults, Reference};
pub use bits::{bit_counts, fill_rows, role_bits};
pub use fused::Miner;

use super::exact::Exact;
use super::kernel::{STRIP, Strip};
use super::search::{Search, Spares, Tiles};
use super::select::Order;
use super::{Consumer, Roles, Tile, panels};
use crate::error::{Error, Result};
use crate::pool::Context;
use crate::simd::{self, Level, Op};
use columns::{Columns, Kinds};
use std::ops::Range;
use strip::Rows;
use watch::Watch;

/// Which of several columns is the best.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Best {
    /// The closest.
    Nearest,
    /// The least close.
    Farthest,
}

/// A column, and its score with the row; -1 and NaN if there is none.
pub type Found = (i64, f64);

const NONE: Found = (-1, f64::NAN);

/// Bytes of a sheet that a thread is given if it may have so much.
const SHEET_BYTES: usize = 8 << 20;

impl Search<'_> {
    /// Shows a miner all strips of some rows of x; `carve` makes room for the results of each panel, one after the other.
    fn mine<'o, M: StripMiner>(
        &self,
        roles: &Roles,
        rows: Range<usize>,
        miner: &M,
        mut carve: impl FnMut(&Range<usize>) -> M::Out<'o>,
        context: &Context,
    ) -> Result<()> {
        let columns = self.y.rows();
        let (order, source) = (self.order(), self.source(false, context.isa));
        let row = columns * size_of::<f32>();
        let usual = (SHEET_BYTES / row.max(1) / STRIP * STRIP).max(STRIP);
        let watched = miner.watched();
        let more = watched.map_or(0, |_| Watch::bytes_per_row(columns));
        let own = |rows: usize| rows.next_multiple_of(STRIP) * (row + more) + Columns::bytes(columns) + Rows::bytes();
        let threads = context.threads_for(self.cost());
        let kinds = Kinds::new(roles, columns);
        let (threads, most) = source.plan(context, threads, usual.min(rows.len().max(1)), own, |_, _| 0)?;
        let tasks: Vec<_> = panels(rows.len(), most, threads)
            .into_iter()
            .map(|panel| rows.start + panel.start..rows.start + panel.end)
            .map(|panel| (carve(&panel), panel))
            .collect();
        let spares = Spares::new();
        let make = || {
            let tiles = source.tiles(most, order.negated())?;
            let room = Room {
                sheet: Sheet::new(most.min(rows.len()), columns, watched)?,
                columns: Columns::new(&kinds),
                exact: Exact::new(self.metric, self.x, self.y, context.isa),
                pending: Vec::new(),
            };
            Ok((tiles, room))
        };
        let task = |(mut out, panel): (M::Out<'o>, Range<usize>)| {
            spares.with(make, |(tiles, room): &mut (Tiles, Room)| {
                room.sheet.begin(roles, &panel, &mut room.columns);
                tiles.sweep(panel.clone(), 0..columns, false, &mut room.sheet, context)?;
                for (i, first) in panel.clone().step_by(STRIP).enumerate() {
                    context.check()?;
                    let lanes = STRIP.min(panel.end - first);
                    room.columns.set(roles, first..first + lanes);
                    let Room { sheet, columns, exact, pending } = room;
                    let (rows, watch) = sheet.rows(i, first, lanes, order, exact, pending);
                    let strip = WholeStrip { rows, columns, watch, index: i };
                    simd::call(context.isa, Look { miner, strip, start: panel.start, out: &mut out });
                }
                Ok(())
            })
        };
        context.map(threads, tasks, task)?.into_iter().collect()
    }
}

/// Takes the first `count` elements.
fn carve<'a, T>(rest: &mut &'a mut [T], count: usize) -> &'a mut [T] {
    let (own, others) = std::mem::take(rest).split_at_mut(count);
    *rest = others;
    own
}

/// What a thread keeps from panel to panel.
struct Room<'a> {
    sheet: Sheet,
    columns: Columns<'a>,
    exact: Exact<'a>,
    pending: Vec<(u32, u32)>,
}

/// The values of some strips of x with all rows of y.
struct Sheet {
    columns: usize,
    values: Vec<Strip<f32>>,
    /// Where the tiles end, and the bound on the errors of each, strip by strip.
    ends: Vec<usize>,
    errors: Vec<Vec<Strip<f32>>>,
    /// What watches the positives meanwhile.
    watch: Option<Watch>,
}

impl Sheet {
    fn new(rows: usize, columns: usize, watched: Option<Best>) -> Result<Self> {
        let strips = rows.div_ceil(STRIP);
        let bytes = strips.saturating_mul(columns).saturating_mul(size_of::<Strip<f32>>());
        let mut values = Vec::new();
        // Columns are counted in 32 bits; so many would not fit anywhere.
        let fits = u32::try_from(columns).is_ok() && values.try_reserve_exact(strips * columns).is_ok();
        if !fits {
            return Err(Error::OutOfMemory { bytes });
        }
        values.resize(strips * columns, Strip([0.0; STRIP]));
        let watch = watched.map(|best| Watch::new(best, strips, columns));
        Ok(Self { columns, values, ends: Vec::new(), errors: vec![Vec::new(); strips], watch })
    }

    /// Begins with a panel.
    fn begin(&mut self, roles: &Roles, panel: &Range<usize>, columns: &mut Columns) {
        self.ends.clear();
        self.errors.iter_mut().for_each(Vec::clear);
        if let Some(watch) = &mut self.watch {
            for (strip, first) in panel.clone().step_by(STRIP).enumerate() {
                columns.set(roles, first..panel.end.min(first + STRIP));
                watch.begin(strip, columns);
            }
        }
    }

    /// A strip, which begins with row `first` of x and has `lanes` rows.
    fn rows<'s, 'a>(
        &'s self,
        index: usize,
        first: usize,
        lanes: usize,
        order: Order,
        exact: &'s mut Exact<'a>,
        pending: &'s mut Vec<(u32, u32)>,
    ) -> (Rows<'s, 'a>, Option<&'s Watch>) {
        let values = &self.values[index * self.columns..][..self.columns];
        let rows = Rows { first, lanes, values, ends: &self.ends, errors: &self.errors[index], order, exact, pending };
        (rows, self.watch.as_ref())
    }
}

impl Consumer<f32> for Sheet {
    #[inline(always)]
    fn tile<L: Level>(&mut self, tile: Tile<f32>) -> Result<()> {
        let (strip, end) = (tile.x0 / STRIP, tile.y0 + tile.values.len());
        self.values[strip * self.columns + tile.y0..strip * self.columns + end].copy_from_slice(tile.values);
        self.errors[strip].push(*tile.error);
        if let Some(watch) = &mut self.watch {
            watch.see::<L>(strip, tile.y0, tile.values, tile.error);
        }
        if strip == 0 {
            self.ends.push(end);
        }
        Ok(())
    }
}

/// 32 whole rows, what the columns are to them, and what was seen of their positives on the way.
struct WholeStrip<'s, 'a, 'k> {
    rows: Rows<'s, 'a>,
    columns: &'s mut Columns<'k>,
    watch: Option<&'s Watch>,
    /// Which strip of the panel.
    index: usize,
}

impl WholeStrip<'_, '_, '_> {
    /// The nearest, or farthest, positive of each row.
    #[inline(always)]
    fn extreme_positives<L: Level>(&mut self, best: Best) -> [Option<(f64, usize)>; STRIP] {
        match self.watch {
            Some(watch) => watch.found::<L>(self.index, &mut self.rows, self.columns),
            None => self.rows.extreme::<L>(&self.columns.positives, best),
        }
    }
}

/// Something that says which columns of 32 rows it wants.
trait StripMiner: Sync {
    /// Where the results of a panel go.
    type Out<'o>: Send;
    /// Which positives of each row to look for while tiles are made, if any.
    fn watched(&self) -> Option<Best> {
        None
    }
    /// Looks at a strip of the panel that begins with row `start`.
    fn strip<L: Level>(&self, strip: &mut WholeStrip, start: usize, out: &mut Self::Out<'_>);
}

/// Shows a strip to a miner.
struct Look<'m, 's, 'a, 'k, 'o, M: StripMiner> {
    miner: &'m M,
    strip: WholeStrip<'s, 'a, 'k>,
    start: usize,
    out: &'m mut M::Out<'o>,
}

impl<M: StripMiner> Op for Look<'_, '_, '_, '_, '_, M> {
    type Out = ();
    #[inline(always)]
    fn run<L: Level>(mut self) {
        self.miner.strip::<L>(&mut self.strip, self.start, self.out);
    }
}
