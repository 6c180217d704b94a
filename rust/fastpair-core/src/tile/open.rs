//! Tiles that say nothing, so that every pair stays open and is scored in float64: the search without a filter.

use super::kernel::{BLOCK, STRIP, Strip};
use super::metric::Metric;
use super::packed::room;
use super::reader::Reader;
use super::{Producer, Tile};
use crate::error::Result;
use crate::matrix::Matrix;
use std::ops::Range;

/// Makes tiles of zeros with an infinite bound, of rows that the metric can take.
pub(crate) struct OpenTiles<'a> {
    x: Matrix<'a>,
    y: Matrix<'a>,
    reader: Reader<f32>,
    rows: usize,
    block: Range<usize>,
    values: Vec<Strip<f32>>,
    error: Strip<f32>,
}

impl<'a> OpenTiles<'a> {
    /// Tiles of two equally wide matrices.
    pub fn new(metric: Metric, x: Matrix<'a>, y: Matrix<'a>) -> Result<Self> {
        let values = room(BLOCK.min(y.rows()), Strip([0.0; STRIP]))?;
        let (reader, error) = (Reader::new(metric, x.width())?, Strip([f32::INFINITY; STRIP]));
        Ok(Self { x, y, reader, rows: 0, block: 0..0, values, error })
    }

    /// What that takes at most.
    pub fn bytes(width: usize) -> usize {
        BLOCK * size_of::<Strip<f32>>() + Reader::<f32>::bytes(width)
    }
}

impl Producer<f32> for OpenTiles<'_> {
    fn block_rows(&self) -> usize {
        BLOCK
    }

    fn set_panel(&mut self, x: Range<usize>) -> Result<()> {
        self.rows = x.len();
        x.into_iter().try_for_each(|index| self.reader.read(&self.x, true, None, index).map(drop))
    }

    fn strips(&self) -> usize {
        self.rows.div_ceil(STRIP)
    }

    fn set_block(&mut self, y: Range<usize>, _next: Range<usize>) -> Result<()> {
        self.block = y.clone();
        y.into_iter().try_for_each(|index| self.reader.read(&self.y, false, None, index).map(drop))
    }

    fn tile(&mut self, strip: usize) -> Tile<'_, f32> {
        let values = &mut self.values[..self.block.len()];
        Tile { values, x0: strip * STRIP, y0: self.block.start, error: &self.error, biases: None }
    }
}
