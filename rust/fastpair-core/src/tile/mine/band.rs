//! The negatives in a band of closeness, measured from a positive of their row, or from each.

use super::super::Roles;
use super::super::kernel::STRIP;
use super::super::search::Search;
use super::bits::write_rows;
use super::columns::Columns;
use super::strip::{Limits, Rows};
use super::{Best, Found, StripMiner, WholeStrip, carve};
use crate::error::Result;
use crate::pool::Context;
use crate::simd::Level;
use std::ops::Range;

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
    /// Which positive of the row it is, if it is one.
    fn best(self) -> Option<Best> {
        match self {
            Self::Hardest => Some(Best::Farthest),
            Self::Easiest => Some(Best::Nearest),
            _ => None,
        }
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
                positives: carve(&mut positives, if band.reference.best().is_some() { count } else { 0 }),
                negatives: carve(&mut negatives, if band.best.is_some() { count } else { 0 }),
                kept: carve(&mut kept, if band.best.is_some() { 0 } else { count * stride }),
            }
        };
        self.mine(roles, rows, &miner, carve, context)
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

    fn watched(&self) -> Option<Best> {
        self.band.reference.best()
    }

    #[inline(always)]
    fn strip<L: Level>(&self, strip: &mut WholeStrip, start: usize, out: &mut BandResults<'_>) {
        let found = self.watched().map(|best| strip.extreme_positives::<L>(best));
        let WholeStrip { rows, columns, .. } = strip;
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
                let found = found.unwrap_or([None; STRIP]);
                for (lane, &found) in found.iter().enumerate().take(lanes) {
                    out.positives[place(lane)] = rows.found(found);
                    wanted.limits[lane] = found.map_or(without, |(key, _)| self.limits(key));
                }
            }
        }
        self.emit::<L>(rows, columns, &wanted, out);
    }
}
