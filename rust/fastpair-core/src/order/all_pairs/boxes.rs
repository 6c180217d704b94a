//! Rows in boxes of equal width, and the nodes that stand for them.
//!
//! The width is a power of two times the unit of scores, and the grid is anchored at 0, so that the box of a score and its
//! place in it are exact: what lies far out costs no digits. A box of many rows is replaced by [`Basis::nodes`]; one of
//! few keeps its rows.

use super::Rows;
use super::kernel::chebyshev::{Basis, Evaluate, Moments};
use super::search::count_below;
use crate::error::{Error, Result};
use crate::order::sort::sort_floats;
use crate::pool::Context;
use crate::simd;

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

    /// Whether the boxes of these scores have numbers.
    pub fn holds(&self, scores: &[f64]) -> bool {
        scores.iter().all(|&score| (score * self.per_unit).abs() < f64::INFINITY)
    }

    /// The number of the box of a score: whole.
    #[inline(always)]
    fn number(&self, score: f64) -> f64 {
        (score * self.per_unit).floor()
    }

    /// The place of a score in its box, from -1 to 1.
    #[inline(always)]
    fn place(&self, score: f64) -> f64 {
        let scaled = score * self.per_unit;
        2.0 * (scaled - scaled.floor()) - 1.0
    }
}

/// The boxes that hold a row of either side.
pub(super) struct Boxes {
    /// Their numbers, ascending.
    pub numbers: Vec<f64>,
    /// The rank of box `first + i`, if that many numbers can be looked up.
    table: Option<(f64, Vec<u32>)>,
}

impl Boxes {
    pub fn new(grid: &Grid, sides: [&[f64]; 2], context: &Context) -> Result<Self> {
        let scores = || sides.into_iter().flatten().copied();
        let (low, high) = scores().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), s| (s.min(l), s.max(h)));
        let (first, last) = (grid.number(low), grid.number(high));
        let rows = sides[0].len() + sides[1].len();
        if last - first <= (2 * rows + 1024) as f64 {
            let mut table = vec![0u32; (last - first) as usize + 1];
            for score in scores() {
                table[(grid.number(score) - first) as usize] = 1;
            }
            let mut numbers = Vec::new();
            for (i, slot) in table.iter_mut().enumerate() {
                let held = *slot == 1;
                *slot = numbers.len() as u32;
                if held {
                    numbers.push(first + i as f64);
                }
            }
            return Ok(Self { numbers, table: Some((first, table)) });
        }
        let mut numbers: Vec<f64> = scores().map(|score| grid.number(score)).collect();
        sort_floats(&mut numbers, context)?;
        numbers.dedup();
        if numbers.len() > u32::MAX as usize {
            return Err(Error::OutOfMemory { bytes: 32 * numbers.len() });
        }
        Ok(Self { numbers, table: None })
    }

    /// The rank of the box of each score.
    fn ranks(&self, grid: &Grid, scores: &[f64]) -> Vec<u32> {
        match &self.table {
            Some((first, table)) => scores.iter().map(|&score| table[(grid.number(score) - first) as usize]).collect(),
            None => {
                let numbers: Vec<f64> = scores.iter().map(|&score| grid.number(score)).collect();
                let mut ranks = vec![0; scores.len()];
                count_below(&self.numbers, &numbers, |i, below| ranks[i] = below as u32);
                ranks
            }
        }
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
}

/// The rows of one side, by box, and the nodes that stand for them.
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
    node_weights: Vec<f64>,
}

impl<const P: usize> Side<P> {
    /// Weights are 1 if there are none.
    pub fn new(grid: &Grid, boxes: &Boxes, basis: &Basis<P>, rows: Rows<'_>, context: &Context) -> Result<Self> {
        let Rows { scores, weights } = rows;
        let ranks = boxes.ranks(grid, scores);
        let mut begins = vec![0usize; boxes.numbers.len() + 1];
        for &rank in &ranks {
            begins[rank as usize + 1] += 1;
        }
        for i in 0..boxes.numbers.len() {
            begins[i + 1] += begins[i];
        }
        context.check()?;
        let mut cursors = begins.clone();
        let mut places = vec![0.0; scores.len()];
        let mut by_box = vec![0.0; weights.map_or(0, <[f64]>::len)];
        for (i, (&rank, &score)) in ranks.iter().zip(scores).enumerate() {
            let cursor = &mut cursors[rank as usize];
            places[*cursor] = grid.place(score);
            if let Some(weights) = weights {
                by_box[*cursor] = weights[i];
            }
            *cursor += 1;
        }
        let mut side =
            Self { ranks, begins, places, node_begins: vec![0], node_places: Vec::new(), node_weights: Vec::new() };
        for rank in 0..boxes.numbers.len() {
            context.check()?;
            let rows = side.begins[rank]..side.begins[rank + 1];
            let weights = weights.map(|_| &by_box[rows.clone()]);
            let places = &side.places[rows];
            if places.len() > P {
                let moments = simd::call(context.isa, Moments::<P> { places, weights });
                side.node_places.extend(basis.nodes.iter().map(|node| node * grid.half));
                side.node_weights.extend(basis.weights(&moments));
            } else {
                side.node_places.extend(places.iter().map(|place| place * grid.half));
                match weights {
                    Some(weights) => side.node_weights.extend(weights),
                    None => side.node_weights.extend(places.iter().map(|_| 1.0)),
                }
            }
            side.node_begins.push(side.node_places.len());
        }
        Ok(side)
    }

    pub fn nodes(&self) -> Nodes<'_> {
        Nodes { begins: &self.node_begins, places: &self.node_places, weights: &self.node_weights }
    }

    /// The values of each row, in the caller's order, of a smooth function whose values at the nodes are given.
    pub fn spread(mut self, basis: &Basis<P>, values: &[f64], context: &Context) -> Result<Vec<f64>> {
        for rank in 0..self.begins.len() - 1 {
            context.check()?;
            let rows = self.begins[rank]..self.begins[rank + 1];
            let values = &values[self.node_begins[rank]..self.node_begins[rank + 1]];
            let places = &mut self.places[rows];
            if places.len() > P {
                simd::call(context.isa, Evaluate::<P> { places, series: &basis.series(values) });
            } else {
                places.copy_from_slice(values);
            }
        }
        // In each box rows stand in the caller's order.
        Ok(self
            .ranks
            .iter()
            .map(|&rank| {
                let cursor = &mut self.begins[rank as usize];
                let value = self.places[*cursor];
                *cursor += 1;
                value
            })
            .collect())
    }
}
