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

mod bits;
mod columns;
mod fused;
mod strip;

pub use bits::{bit_counts, fill_rows, role_bits};
pub use fused::Miner;

use super::exact::Exact;
use super::kernel::{STRIP, Strip};
use super::search::{Search, Spares, Tiles};
use super::select::Order;
use super::{Consumer, Roles, Tile, panels};
use crate::error::Result;
use crate::pool::Context;
use crate::simd::{self, Level, Op};
use bits::write_rows;
use columns::{Columns, Kinds};
use std::ops::Range;
use strip::{Limits, Rows};

/// The positive from which a band is measured, by its closeness: the score, or a negated distance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reference {
    /// None: limits are closenesses themselves.
    None,
    /// The least close positive of the row.
    Hardest,
    /// The mean of them.
    Mean,
    /// The closest.
    Easiest,
    /// Each positive in turn: there is a row of results for each pair of a row and a positive.
    Each,
}

impl Reference {
    /// Whether it is one positive of the row.
    fn is_one(self) -> bool {
        matches!(self, Self::Hardest | Self::Easiest)
    }
}

/// The negatives whose closeness is between `reference + lower` and `reference + upper`.
#[derive(Debug, Clone, Copy)]
pub struct Band {
    /// What the limits are measured from.
    pub reference: Reference,
    /// The lower limit.
    pub lower: f64,
    /// The upper limit.
    pub upper: f64,
    /// Whether the limits themselves are inside.
    pub closed: [bool; 2],
    /// Whether the nearest or the farthest of the negatives in the band is wanted; what is kept is then not written.
    pub best: Option<Best>,
}

impl Band {
    /// Whether all negatives are inside.
    fn is_open(&self) -> bool {
        self.lower == f64::NEG_INFINITY && self.upper == f64::INFINITY
    }
}

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

/// Where results go: those of a row of x, or of each pair of a row and a positive.
#[derive(Debug)]
pub struct BandResults<'a> {
    /// The reference of each row, where it is one positive.
    pub positives: &'a mut [Found],
    /// The best negative for each result, where one is wanted.
    pub negatives: &'a mut [Found],
    /// Packed rows of the negatives that are kept, where these are wanted.
    pub kept: &'a mut [u8],
}

/// Bytes of a sheet that a thread is given if it may have so much.
const SHEET_BYTES: usize = 8 << 20;

impl Search<'_> {
    /// Looks for the negatives in a band, for some rows of x. The results of row `rows.start + i` begin at `offsets[i]`, and
    /// end where those of the next one begin.
    pub fn mine_band(
        &self,
        roles: &Roles,
        rows: Range<usize>,
        band: Band,
        offsets: &[usize],
        results: BandResults,
        context: &Context,
    ) -> Result<()> {
        assert_eq!(offsets.len(), rows.len() + 1, "an offset for each row, and the end");
        let stride = self.y.rows().div_ceil(8);
        let BandResults { mut positives, mut negatives, mut kept } = results;
        let miner = BandMiner { band, begin: rows.start, offsets };
        let carve = |panel: &Range<usize>| {
            let count = miner.offset(panel.end) - miner.offset(panel.start);
            BandResults {
                positives: carve(&mut positives, if band.reference.is_one() { count } else { 0 }),
                negatives: carve(&mut negatives, if band.best.is_some() { count } else { 0 }),
                kept: carve(&mut kept, if band.best.is_some() { 0 } else { count * stride }),
            }
        };
        self.mine(roles, rows, &miner, carve, context)
    }

    /// Mines by the hardest pair of the other kind: negatives closer than the least close positive less `epsilon`, positives
    /// less close than the closest negative plus `epsilon`; rows where either is missing keep nothing. Positives as close
    /// as `duplicates` are none. Packed rows of both go to `positives` and `negatives`.
    #[allow(clippy::too_many_arguments)]
    pub fn mine_multi_similarity(
        &self,
        roles: &Roles,
        rows: Range<usize>,
        epsilon: f64,
        duplicates: f64,
        mut positives: &mut [u8],
        mut negatives: &mut [u8],
        context: &Context,
    ) -> Result<()> {
        let stride = self.y.rows().div_ceil(8);
        let carve = |panel: &Range<usize>| {
            [carve(&mut positives, panel.len() * stride), carve(&mut negatives, panel.len() * stride)]
        };
        self.mine(roles, rows, &MultiSimilarity { epsilon, duplicates }, carve, context)
    }

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
        let (order, centre) = (self.order(), self.centre());
        let row = columns * size_of::<f32>();
        let usual = (SHEET_BYTES / row.max(1) / STRIP * STRIP).max(STRIP);
        let own = |rows: usize| rows.next_multiple_of(STRIP) * row + Columns::bytes(columns) + Rows::bytes();
        let threads = context.threads_for(self.cost());
        let kinds = Kinds::new(roles, columns);
        let (threads, most) = self.plan(context, threads, usual.min(rows.len().max(1)), own, |_, _| 0)?;
        let tasks: Vec<_> = panels(rows.len(), most, threads)
            .into_iter()
            .map(|panel| rows.start + panel.start..rows.start + panel.end)
            .map(|panel| (carve(&panel), panel))
            .collect();
        let spares = Spares::new();
        let make = || {
            let tiles = self.tiles(most, order.negated(), centre.as_deref(), context.isa)?;
            let room = Room {
                sheet: Sheet::new(most.min(rows.len()), columns),
                columns: Columns::new(&kinds),
                exact: Exact::new(self.metric, self.x, self.y, context.isa),
                pending: Vec::new(),
            };
            Ok((tiles, room))
        };
        let task = |(mut out, panel): (M::Out<'o>, Range<usize>)| {
            spares.with(make, |(tiles, room): &mut (Tiles, Room)| {
                room.sheet.ends.clear();
                room.sheet.errors.iter_mut().for_each(Vec::clear);
                tiles.sweep(panel.clone(), 0..columns, false, &mut room.sheet, context)?;
                for (i, first) in panel.clone().step_by(STRIP).enumerate() {
                    context.check()?;
                    let lanes = STRIP.min(panel.end - first);
                    room.columns.set(roles, first..first + lanes);
                    let Room { sheet, columns, exact, pending } = room;
                    let rows = sheet.rows(i, first, lanes, order, exact, pending);
                    simd::call(context.isa, Look { miner, rows, columns, start: panel.start, out: &mut out });
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
}

impl Sheet {
    fn new(rows: usize, columns: usize) -> Self {
        let strips = rows.div_ceil(STRIP);
        let values = vec![Strip([0.0; STRIP]); strips * columns];
        Self { columns, values, ends: Vec::new(), errors: vec![Vec::new(); strips] }
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
    ) -> Rows<'s, 'a> {
        let values = &self.values[index * self.columns..][..self.columns];
        Rows { first, lanes, values, ends: &self.ends, errors: &self.errors[index], order, exact, pending }
    }
}

impl Consumer<f32> for Sheet {
    #[inline(always)]
    fn tile<L: Level>(&mut self, tile: Tile<f32>) -> Result<()> {
        let (strip, end) = (tile.x0 / STRIP, tile.y0 + tile.values.len());
        self.values[strip * self.columns + tile.y0..strip * self.columns + end].copy_from_slice(tile.values);
        self.errors[strip].push(*tile.error);
        if strip == 0 {
            self.ends.push(end);
        }
        Ok(())
    }
}

/// Something that says which columns of 32 rows it wants.
trait StripMiner: Sync {
    /// Where the results of a panel go.
    type Out<'o>: Send;
    /// Looks at a strip of the panel that begins with row `start`.
    fn strip<L: Level>(&self, rows: &mut Rows, columns: &mut Columns, start: usize, out: &mut Self::Out<'_>);
}

/// Shows a strip to a miner.
struct Look<'m, 's, 'a, 'k, 'o, M: StripMiner> {
    miner: &'m M,
    rows: Rows<'s, 'a>,
    columns: &'m mut Columns<'k>,
    start: usize,
    out: &'m mut M::Out<'o>,
}

impl<M: StripMiner> Op for Look<'_, '_, '_, '_, '_, M> {
    type Out = ();
    #[inline(always)]
    fn run<L: Level>(mut self) {
        self.miner.strip::<L>(&mut self.rows, self.columns, self.start, self.out);
    }
}

/// Finds the negatives in a band.
struct BandMiner<'a> {
    band: Band,
    begin: usize,
    offsets: &'a [usize],
}

impl BandMiner<'_> {
    /// Where the results of a row begin.
    fn offset(&self, row: usize) -> usize {
        self.offsets[row - self.begin]
    }

    fn limits(&self, reference: f64) -> Limits {
        let Band { lower, upper, closed, .. } = self.band;
        Limits::around(reference, [lower, upper], closed)
    }

    /// Writes what each row has within its limits to its place among the results.
    #[inline(always)]
    fn emit<L: Level>(&self, rows: &mut Rows, columns: &mut Columns, wanted: &Wanted, out: &mut BandResults) {
        let Columns { negatives, kept, .. } = columns;
        rows.within::<L>(negatives, &wanted.limits, kept);
        let Some(best) = self.band.best else {
            return write_rows(kept, &wanted.places, out.kept);
        };
        let found = rows.extreme::<L>(kept, best);
        for (found, place) in found.into_iter().zip(wanted.places) {
            if let Some(place) = place {
                out.negatives[place] = rows.found(found);
            }
        }
    }
}

/// The limits of 32 rows, and where their results go.
struct Wanted {
    limits: [Limits; STRIP],
    places: [Option<usize>; STRIP],
}

impl StripMiner for BandMiner<'_> {
    type Out<'o> = BandResults<'o>;

    #[inline(always)]
    fn strip<L: Level>(&self, rows: &mut Rows, columns: &mut Columns, start: usize, out: &mut BandResults<'_>) {
        let mut wanted = Wanted { limits: [Limits::NOTHING; STRIP], places: [None; STRIP] };
        let first = rows.first;
        let place = |lane: usize| self.offset(first + lane) - self.offset(start);
        let lanes = rows.lanes;
        if self.band.reference == Reference::Each {
            let lists = columns.positive_lists();
            let longest = lists.iter().map(Vec::len).max().unwrap_or(0);
            let begins: Vec<usize> = (0..lanes).map(place).collect();
            for nth in 0..longest {
                for lane in 0..lanes {
                    let positive = lists[lane].get(nth);
                    wanted.places[lane] = positive.map(|_| begins[lane] + nth);
                    let limits = positive.map(|&column| self.limits(rows.key(lane, column)));
                    wanted.limits[lane] = limits.unwrap_or(Limits::NOTHING);
                }
                self.emit::<L>(rows, columns, &wanted, out);
            }
            return;
        }
        for lane in 0..lanes {
            wanted.places[lane] = Some(place(lane));
        }
        // Where nothing is limited, a row needs no positive.
        let without = if self.band.is_open() { self.limits(0.0) } else { Limits::NOTHING };
        match self.band.reference {
            Reference::None | Reference::Each => wanted.limits[..lanes].fill(self.limits(0.0)),
            Reference::Mean => {
                for (lane, list) in columns.positive_lists().iter().enumerate().filter(|(_, list)| !list.is_empty()) {
                    let sum: f64 = list.iter().map(|&column| rows.key(lane, column)).sum();
                    wanted.limits[lane] = self.limits(sum / list.len() as f64);
                }
            }
            Reference::Hardest | Reference::Easiest => {
                let easiest = self.band.reference == Reference::Easiest;
                let best = if easiest { Best::Nearest } else { Best::Farthest };
                let found = rows.extreme::<L>(&columns.positives, best);
                for (lane, &found) in found.iter().enumerate().take(lanes) {
                    out.positives[place(lane)] = rows.found(found);
                    wanted.limits[lane] = found.map_or(without, |(key, _)| self.limits(key));
                }
            }
        }
        self.emit::<L>(rows, columns, &wanted, out);
    }
}

/// Finds pairs by the hardest pair of the other kind.
struct MultiSimilarity {
    epsilon: f64,
    duplicates: f64,
}

impl StripMiner for MultiSimilarity {
    type Out<'o> = [&'o mut [u8]; 2];

    #[inline(always)]
    fn strip<L: Level>(&self, rows: &mut Rows, columns: &mut Columns, start: usize, out: &mut [&mut [u8]; 2]) {
        let Columns { positives, negatives, kept, others, .. } = columns;
        let closed = [true, false];
        if self.duplicates < f64::INFINITY {
            let fresh = Limits { lower: f64::NEG_INFINITY, upper: self.duplicates, closed };
            rows.within::<L>(positives, &[fresh; STRIP], kept);
            positives.copy_from_slice(kept);
        }
        let hardest_positives = rows.extreme::<L>(positives, Best::Farthest);
        let hardest_negatives = rows.extreme::<L>(negatives, Best::Nearest);
        let mut limits = [[Limits::NOTHING; STRIP]; 2];
        for lane in 0..rows.lanes {
            if let (Some((positive, _)), Some((negative, _))) = (hardest_positives[lane], hardest_negatives[lane]) {
                let around = |reference, offsets| Limits::around(reference, offsets, [false; 2]);
                limits[0][lane] = around(positive, [-self.epsilon, f64::INFINITY]);
                limits[1][lane] = around(negative, [f64::NEG_INFINITY, self.epsilon]);
            }
        }
        rows.within::<L>(negatives, &limits[0], kept);
        rows.within::<L>(positives, &limits[1], others);
        let any = |bits: &[u32]| bits.iter().fold(0, |any, bits| any | bits);
        let both = any(kept) & any(others);
        kept.iter_mut().chain(others.iter_mut()).for_each(|bits| *bits &= both);
        let places = std::array::from_fn(|lane| (lane < rows.lanes).then_some(rows.first - start + lane));
        write_rows(others, &places, out[0]);
        write_rows(kept, &places, out[1]);
    }
}
