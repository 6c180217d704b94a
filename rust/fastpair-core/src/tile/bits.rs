//! Tiles of distances between rows of packed bits: Hamming and Jaccard.
//!
//! Words of 64 bits of 32 rows of x lie side by side; a step compares them with one word of y; the bits that one of two rows
//! has follow from those of each and those in which they differ. Counts are exact, and so
//! are Hamming distances in float32 below 2^24 bits; a Jaccard distance is a quotient of two counts, off by at most four
//! roundings.

use super::kernel::{STRIP, Strip};
use super::metric::Metric;
use super::packed::panel_rows;
use super::{Producer, Tile};
use crate::error::{Error, Result};
use crate::matrix::Matrix;
use crate::simd::special::differing_bits;
use crate::simd::{self, Isa, Level, Op};
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
    panel: Vec<[u64; STRIP]>,
    /// Bits that are set in each row of the panel, and of the block.
    panel_counts: Vec<[u32; STRIP]>,
    counts: Vec<u32>,
    block: Vec<u64>,
    /// The rows of the block.
    rows: Range<usize>,
    error: Strip<f32>,
    isa: Isa,
    strips: usize,
    tile: Vec<Strip<f32>>,
    bytes: Vec<u8>,
    row: Vec<u64>,
}

impl<'a> BitTiles<'a> {
    /// Tiles of two equally wide matrices of bytes; with `negated`, larger values mean farther.
    pub fn new(
        metric: Metric,
        negated: bool,
        x: Matrix<'a>,
        y: Matrix<'a>,
        most_rows: usize,
        isa: Isa,
    ) -> Result<Self> {
        let words = x.width().div_ceil(8);
        let bits = 64 * words;
        let error = match metric {
            Metric::Hamming if bits < 1 << 24 => 0.0,
            Metric::Hamming => bits as f32 * f32::EPSILON,
            _ => 2.0 * f32::EPSILON,
        };
        let strips = most_rows.div_ceil(STRIP);
        let mut panel = Vec::new();
        let cells = strips * words;
        panel.try_reserve_exact(cells).map_err(|_| Error::OutOfMemory { bytes: cells * size_of::<[u64; STRIP]>() })?;
        panel.resize(cells, [0; STRIP]);
        Ok(Self {
            metric,
            sign: if negated { 1.0 } else { -1.0 },
            x,
            y,
            words,
            panel,
            panel_counts: vec![[0; STRIP]; strips],
            counts: vec![0; BLOCK],
            block: vec![0; BLOCK * words],
            rows: 0..0,
            error: Strip([error; STRIP]),
            isa,
            strips: 0,
            tile: vec![Strip::default(); BLOCK],
            bytes: vec![0; words * 8],
            row: vec![0; words],
        })
    }

    /// As many rows of so many bytes as make a panel.
    pub fn panel_rows(width: usize) -> usize {
        panel_rows(width.div_ceil(8), size_of::<u64>())
    }

    /// What [`BitTiles::new`] takes.
    pub fn bytes(width: usize, most_rows: usize) -> usize {
        let (words, strips) = (width.div_ceil(8), most_rows.div_ceil(STRIP));
        let panel = strips * (words * size_of::<[u64; STRIP]>() + size_of::<[u32; STRIP]>());
        panel + BLOCK * (words * 8 + size_of::<u32>() + size_of::<Strip<f32>>()) + 2 * words * 8
    }

    /// Reads a row as words. The number of bits that are set.
    #[inline(always)]
    fn read(&mut self, matrix: &Matrix, index: usize) -> u32 {
        matrix.row(index).fill(0, &mut self.bytes[..matrix.width()], |byte: u8| byte);
        for (word, bytes) in self.row.iter_mut().zip(self.bytes.as_chunks::<8>().0) {
            *word = u64::from_ne_bytes(*bytes);
        }
        self.row.iter().map(|word| word.count_ones()).sum()
    }
}

impl Producer<f32> for BitTiles<'_> {
    fn block_rows(&self) -> usize {
        BLOCK
    }

    fn set_panel(&mut self, x: Range<usize>) -> Result<()> {
        self.strips = x.len().div_ceil(STRIP);
        self.panel.fill([0; STRIP]);
        for (i, index) in x.enumerate() {
            let matrix = self.x;
            self.panel_counts[i / STRIP][i % STRIP] = self.read(&matrix, index);
            for (w, &word) in self.row.iter().enumerate() {
                self.panel[i / STRIP * self.words + w][i % STRIP] = word;
            }
        }
        Ok(())
    }

    fn strips(&self) -> usize {
        self.strips
    }

    fn set_block(&mut self, y: Range<usize>, _next: Range<usize>) -> Result<()> {
        let matrix = self.y;
        for (j, index) in y.clone().enumerate() {
            self.counts[j] = self.read(&matrix, index);
            self.block[j * self.words..][..self.words].copy_from_slice(&self.row);
        }
        self.rows = y;
        Ok(())
    }

    fn tile(&mut self, strip: usize) -> Tile<'_, f32> {
        simd::call(self.isa, Compare { tiles: self, strip });
        let values = &mut self.tile[..self.rows.len()];
        Tile { values, x0: strip * STRIP, y0: self.rows.start, error: &self.error, biases: None }
    }
}

/// Makes the tile of a strip with the block.
struct Compare<'a, 'm> {
    tiles: &'a mut BitTiles<'m>,
    strip: usize,
}

impl Op for Compare<'_, '_> {
    type Out = ();
    #[inline(always)]
    fn run<L: Level>(self) {
        let Self { tiles, strip } = self;
        let words = tiles.words;
        let (columns, own) = (&tiles.panel[strip * words..(strip + 1) * words], &tiles.panel_counts[strip]);
        for j in 0..tiles.rows.len() {
            let differing = differing_bits(tiles.isa, columns, &tiles.block[j * words..(j + 1) * words]);
            let (values, count) = (&mut tiles.tile[j].0, tiles.counts[j]);
            if tiles.metric == Metric::Hamming {
                for i in 0..STRIP {
                    values[i] = tiles.sign * differing[i] as f32;
                }
                continue;
            }
            for i in 0..STRIP {
                // The bits of one and those of the other hold the common ones twice; without any bit, 0 / 1.
                let either = (own[i] + count + differing[i]) / 2;
                values[i] = tiles.sign * (differing[i] as f32 / either.max(1) as f32);
            }
        }
    }
}
