//! Rows in boxes of equal width, and the nodes that stand for them.
//!
//! The width is a power of two times the unit of scores, and the grid is anchored at 0, so that the box of a score and its
//! place in it are exact: what lies far out costs no digits. A box of many rows is replaced by [`Basis::nodes`]; one of
//! few keeps its rows.

use super::kernel::chebyshev::{Basis, Evaluate, Moments};
use super::kernel::search::count_below;
use crate::error::{Error, Result};
use crate::order::sort::sort_floats;
use crate::pool::Context;
use crate::simd::scan::FindRange;
use crate::simd::{self, Level, Op};

/// Boxes this far apart, in temperatures, are far.
pub(super) const FAR: f64 = 6.0;

/// Boxes of a width.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grid {
    /// Boxes in a unit of scores: a power of two.
    per_unit: f64,
    /// Half the width of a box, in temperatures: above 1/4, at most 1/2.
    pub half: f64,
    /// Boxes whose indices differ by more are [`FAR`] apart.
    pub near: f64,
}

impl Grid {
    pub fn new(temperature: f64) -> Self {
        let width = 2f64.powi(temperature.log2().floor() as i32);
        Self { per_unit: 1.0 / width, half: 0.5 * width / temperature, near: (FAR * temperature / width).ceil() }
    }

    /// Calls `each` with the place of every [`BLOCK`]th score and what is known of it and those that follow.
    fn for_blocks(&self, scores: &[f64], context: &Context, mut each: impl FnMut(usize, &Block)) -> Result<()> {
        let mut block = Block { numbers: [0.0; BLOCK], places: [0.0; BLOCK], len: 0 };
        for (i, scores) in scores.chunks(BLOCK).enumerate() {
            if i % 64 == 0 {
                context.check()?;
            }
            simd::call(context.isa, Locate { per_unit: self.per_unit, scores, block: &mut block });
            each(i * BLOCK, &block);
        }
        Ok(())
    }
}

/// Scores located at a time: in the L1 cache.
const BLOCK: usize = 512;

/// Where some scores lie.
struct Block {
    /// The numbers of their boxes: whole.
    numbers: [f64; BLOCK],
    /// Their places there, from -1 to 1.
    places: [f64; BLOCK],
    len: usize,
}

impl Block {
    fn numbers(&self) -> &[f64] {
        &self.numbers[..self.len]
    }
}

struct Locate<'a> {
    per_unit: f64,
    scores: &'a [f64],
    block: &'a mut Block,
}

impl Op for Locate<'_> {
    type Out = ();
    #[inline(always)]
    fn run<L: Level>(self) {
        let Self { per_unit, scores, block } = self;
        block.len = scores.len();
        for ((&score, number), place) in scores.iter().zip(&mut block.numbers).zip(&mut block.places) {
            let scaled = score * per_unit;
            *number = scaled.floor();
            *place = 2.0 * (scaled - *number) - 1.0;
        }
    }
}

/// The boxes that hold a row of either side.
pub(super) struct Boxes {
    /// Their numbers, ascending.
    pub numbers: Vec<f64>,
    /// The rank of box `first + i`, if that many numbers can be looked up.
    table: Option<(f64, Vec<u32>)>,
    /// How many rows of each side are in each.
    counts: [Vec<usize>; 2],
}

impl Boxes {
    /// None if scores lie too far out for numbers.
    pub fn new(grid: &Grid, sides: [&[f64]; 2], context: &Context) -> Result<Option<Self>> {
        let ranges = sides.map(|scores| simd::call(context.isa, FindRange(scores)));
        let (low, high) = (ranges[0].low.min(ranges[1].low), ranges[0].high.max(ranges[1].high));
        let (first, last) = ((low * grid.per_unit).floor(), (high * grid.per_unit).floor());
        let width = last - first;
        if !width.is_finite() {
            return Ok(None);
        }
        let rows = sides[0].len() + sides[1].len();
        if width <= (2 * rows + 1024) as f64 {
            return Self::looked_up(grid, sides, first, width as usize + 1, context).map(Some);
        }
        let mut numbers = Vec::with_capacity(rows);
        for scores in sides {
            grid.for_blocks(scores, context, |_, block| numbers.extend_from_slice(block.numbers()))?;
        }
        sort_floats(&mut numbers, context)?;
        numbers.dedup();
        if numbers.len() > u32::MAX as usize {
            return Err(Error::OutOfMemory { bytes: 32 * numbers.len() });
        }
        let mut counts = [(); 2].map(|()| vec![0; numbers.len()]);
        let boxes = Self { numbers, table: None, counts: [const { Vec::new() }; 2] };
        for (scores, counts) in sides.into_iter().zip(&mut counts) {
            grid.for_blocks(scores, context, |_, block| {
                boxes.ranks(block.numbers(), context, |_, rank| counts[rank as usize] += 1);
            })?;
        }
        Ok(Some(Self { counts, ..boxes }))
    }

    /// With a table of all boxes from `first` on.
    fn looked_up(grid: &Grid, sides: [&[f64]; 2], first: f64, width: usize, context: &Context) -> Result<Self> {
        let mut counts = [(); 2].map(|()| vec![0usize; width]);
        for (scores, counts) in sides.into_iter().zip(&mut counts) {
            grid.for_blocks(scores, context, |_, block| {
                block.numbers().iter().for_each(|number| counts[(number - first) as usize] += 1);
            })?;
        }
        let (mut numbers, mut table) = (Vec::new(), vec![0; width]);
        for i in 0..width {
            let held = [counts[0][i], counts[1][i]];
            table[i] = numbers.len() as u32;
            if held != [0, 0] {
                // Only forward: the ranks of boxes never exceed their places.
                for (counts, held) in counts.iter_mut().zip(held) {
                    counts[numbers.len()] = held;
                }
                numbers.push(first + i as f64);
            }
        }
        counts.iter_mut().for_each(|counts| counts.truncate(numbers.len()));
        Ok(Self { numbers, table: Some((first, table)), counts })
    }

    /// Calls `each` with the box of every number.
    #[inline(always)]
    fn ranks(&self, numbers: &[f64], context: &Context, mut each: impl FnMut(usize, u32)) {
        match &self.table {
            Some((first, table)) => {
                numbers.iter().enumerate().for_each(|(i, number)| each(i, table[(number - first) as usize]));
            }
            None => count_below(&self.numbers, numbers, context, |i, below| each(i, below as u32)),
        }
    }

    /// Where the rows of each box of a side begin, and the end.
    fn begins(&self, side: usize) -> Vec<usize> {
        let mut begins = Vec::with_capacity(self.numbers.len() + 1);
        let mut begin = 0;
        begins.push(0);
        for count in &self.counts[side] {
            begin += count;
            begins.push(begin);
        }
        begins
    }
}

/// What stands for the rows of one side.
#[derive(Clone, Copy)]
pub(super) struct Nodes<'a> {
    /// Where the nodes of each box begin, and the end.
    pub begins: &'a [usize],
    /// Their distance from the middle of the box, in temperatures.
    pub places: &'a [f64],
    /// Their weights.
    pub weights: &'a [f64],
    /// Where the rows of each box begin, and the end.
    pub rows: &'a [usize],
}

impl Nodes<'_> {
    /// The nodes of a box.
    #[inline(always)]
    pub fn of(&self, rank: usize) -> std::ops::Range<usize> {
        self.begins[rank]..self.begins[rank + 1]
    }

    /// How many rows they stand for.
    #[inline(always)]
    pub fn rows_of(&self, rank: usize) -> usize {
        self.rows[rank + 1] - self.rows[rank]
    }
}

/// Rows by box, and where the nodes lie that stand for them.
pub(super) struct Side<const P: usize> {
    /// The box of each row.
    ranks: Vec<u32>,
    /// Where the rows of each box begin, and the end.
    begins: Vec<usize>,
    /// The places of the rows, by box.
    places: Vec<f64>,
    // As in `Nodes`.
    node_begins: Vec<usize>,
    node_places: Vec<f64>,
}

impl<const P: usize> Side<P> {
    /// The upper rows are side 0.
    pub fn new(
        grid: &Grid,
        boxes: &Boxes,
        basis: &Basis<P>,
        side: usize,
        scores: &[f64],
        context: &Context,
    ) -> Result<Self> {
        let begins = boxes.begins(side);
        let mut cursors = begins.clone();
        let mut ranks = vec![0u32; scores.len()];
        let mut places = vec![0.0; scores.len()];
        grid.for_blocks(scores, context, |at, block| {
            boxes.ranks(block.numbers(), context, |i, rank| {
                let cursor = &mut cursors[rank as usize];
                ranks[at + i] = rank;
                places[*cursor] = block.places[i];
                *cursor += 1;
            });
        })?;
        let mut side = Self { ranks, begins, places, node_begins: vec![0], node_places: Vec::new() };
        for rank in 0..boxes.numbers.len() {
            let places = &side.places[side.begins[rank]..side.begins[rank + 1]];
            if places.len() > P {
                side.node_places.extend(basis.nodes.iter().map(|node| node * grid.half));
            } else {
                side.node_places.extend(places.iter().map(|place| place * grid.half));
            }
            side.node_begins.push(side.node_places.len());
        }
        Ok(side)
    }

    /// The weights of the nodes if rows have these, 1 if there are none.
    pub fn weights(&self, basis: &Basis<P>, weights: Option<&[f64]>, context: &Context) -> Result<Vec<f64>> {
        let mut by_box = vec![0.0; weights.map_or(0, <[f64]>::len)];
        if let Some(weights) = weights {
            let mut cursors = self.begins.clone();
            for (weight, &rank) in weights.iter().zip(&self.ranks) {
                let cursor = &mut cursors[rank as usize];
                by_box[*cursor] = *weight;
                *cursor += 1;
            }
        }
        let mut of_nodes = Vec::with_capacity(self.node_places.len());
        for rank in 0..self.begins.len() - 1 {
            context.check()?;
            let rows = self.begins[rank]..self.begins[rank + 1];
            let places = &self.places[rows.clone()];
            let weights = weights.map(|_| &by_box[rows]);
            if places.len() > P {
                let moments = simd::call(context.isa, Moments::<P> { places, weights });
                of_nodes.extend(basis.weights(&moments));
            } else {
                match weights {
                    Some(weights) => of_nodes.extend(weights),
                    None => of_nodes.extend(places.iter().map(|_| 1.0)),
                }
            }
        }
        Ok(of_nodes)
    }

    /// The nodes of all boxes, with their weights.
    pub fn nodes<'a>(&'a self, weights: &'a [f64]) -> Nodes<'a> {
        Nodes { begins: &self.node_begins, places: &self.node_places, weights, rows: &self.begins }
    }

    /// Writes for each row, in the caller's order, the value of a smooth function whose values at the nodes are given.
    /// Rows of full boxes add `own`.
    pub fn spread(
        &self,
        basis: &Basis<P>,
        values: &[f64],
        out: &mut [f64],
        own: impl Fn(usize) -> f64,
        context: &Context,
    ) -> Result<()> {
        let mut by_box = self.places.clone();
        for rank in 0..self.begins.len() - 1 {
            context.check()?;
            let values = &values[self.node_begins[rank]..self.node_begins[rank + 1]];
            let places = &mut by_box[self.begins[rank]..self.begins[rank + 1]];
            if places.len() > P {
                simd::call(context.isa, Evaluate::<P> { places, series: &basis.series(values) });
            } else {
                places.copy_from_slice(values);
            }
        }
        // In each box rows stand in the caller's order.
        let mut cursors = self.begins.clone();
        let full: Vec<f64> = self.begins.windows(2).map(|rows| if rows[1] - rows[0] > P { 1.0 } else { 0.0 }).collect();
        for (row, (out, &rank)) in out.iter_mut().zip(&self.ranks).enumerate() {
            let cursor = &mut cursors[rank as usize];
            *out = by_box[*cursor] + full[rank as usize] * own(row);
            *cursor += 1;
        }
        Ok(())
    }
}
