//! Tiles of distances between rows of packed bits: Hamming and Jaccard.
//!
//! Words of 64 bits of 32 rows of x lie side by side; a step compares them with one word of y. Counts are exact, and so
//! are Hamming distances in float32 below 2^24 bits; a Jaccard distance is a quotient of two counts, off by at most four
//! roundings.

use super::exact::bit_distance;
use super::kernel::{STRIP, Strip};
use super::metric::Metric;
use super::{Consumer, Producer, Tile};
use crate::error::{Error, Result};
use crate::matrix::Matrix;
use crate::simd::Level;
use std::ops::Range;

/// Rows of y in a block.
const BLOCK: usize = 168;

/// Makes tiles of two matrices of bytes.
pub(crate) struct BitTiles<'a> {
    metric: Metric,
    sign: f32,
    x: Matrix<'a>,
    y: Matrix<'a>,
    /// Words of a row.
    words: usize,
    /// For each strip, its words.
    panel: Vec<Strip<u64>>,
    strips: usize,
    tile: Vec<Strip<f32>>,
    bytes: Vec<u8>,
    row: Vec<u64>,
}

impl<'a> BitTiles<'a> {
    /// Tiles of two equally wide matrices of bytes; with `negated`, larger values mean farther.
    pub fn new(metric: Metric, negated: bool, x: Matrix<'a>, y: Matrix<'a>, most_rows: usize) -> Result<Self> {
        let words = x.width().div_ceil(8);
        let strips = most_rows.div_ceil(STRIP);
        let mut panel = Vec::new();
        let cells = strips * words;
        panel.try_reserve_exact(cells).map_err(|_| Error::OutOfMemory { bytes: cells * size_of::<Strip<u64>>() })?;
        panel.resize(cells, Strip::default());
        Ok(Self {
            metric,
            sign: if negated { 1.0 } else { -1.0 },
            x,
            y,
            words,
            panel,
            strips: 0,
            tile: vec![Strip::default(); BLOCK],
            bytes: vec![0; words * 8],
            row: vec![0; words],
        })
    }

    /// Reads a row as words.
    #[inline(always)]
    fn read(&mut self, matrix: &Matrix, index: usize) {
        matrix.row(index).fill(0, &mut self.bytes[..matrix.width()], |byte: u8| byte);
        for (word, bytes) in self.row.iter_mut().zip(self.bytes.as_chunks::<8>().0) {
            *word = u64::from_ne_bytes(*bytes);
        }
    }
}

impl Producer<f32> for BitTiles<'_> {
    const COUNTS_BITS: bool = true;

    fn block_rows(&self) -> usize {
        BLOCK
    }

    fn set_panel(&mut self, x: Range<usize>) -> Result<()> {
        self.strips = x.len().div_ceil(STRIP);
        self.panel.fill(Strip::default());
        for (i, index) in x.enumerate() {
            let matrix = self.x;
            self.read(&matrix, index);
            for (w, &word) in self.row.iter().enumerate() {
                self.panel[i / STRIP * self.words + w].0[i % STRIP] = word;
            }
        }
        Ok(())
    }

    #[inline(always)]
    fn block<L: Level, C: Consumer<f32>>(
        &mut self,
        y: Range<usize>,
        _next: Range<usize>,
        consumer: &mut C,
    ) -> Result<()> {
        let bits = 64 * self.words;
        let error = match self.metric {
            Metric::Hamming if bits < 1 << 24 => 0.0,
            Metric::Hamming => bits as f32 * f32::EPSILON,
            _ => 2.0 * f32::EPSILON,
        };
        let error = Strip([error; STRIP]);
        let matrix = self.y;
        for strip in 0..self.strips {
            for (j, index) in y.clone().enumerate() {
                self.read(&matrix, index);
                let words = &self.panel[strip * self.words..(strip + 1) * self.words];
                self.tile[j] = match self.metric {
                    Metric::Hamming => distances::<false>(words, &self.row, self.sign),
                    _ => distances::<true>(words, &self.row, self.sign),
                };
            }
            let values = &mut self.tile[..y.len()];
            consumer.tile::<L>(Tile { values, x0: strip * STRIP, y0: y.start, error: &error })?;
        }
        Ok(())
    }
}

/// Distances of a row of y from the rows of a strip, times `sign`; relative to the bits that one of both has if
/// `RELATIVE`.
#[inline(always)]
fn distances<const RELATIVE: bool>(x: &[Strip<u64>], y: &[u64], sign: f32) -> Strip<f32> {
    let (mut differing, mut either) = ([0u64; STRIP], [0u64; STRIP]);
    for (x, &y) in x.iter().zip(y) {
        for i in 0..STRIP {
            differing[i] += u64::from((x.0[i] ^ y).count_ones());
            if RELATIVE {
                either[i] += u64::from((x.0[i] | y).count_ones());
            }
        }
    }
    let mut values = Strip([0f32; STRIP]);
    for i in 0..STRIP {
        values.0[i] = if RELATIVE {
            sign * (bit_distance(Metric::Jaccard, differing[i], either[i]) as f32)
        } else {
            sign * (differing[i] as f32)
        };
    }
    values
}
