//! Tiles of dot products of bytes, four columns at a time, on processors that can.
//!
//! Sums are exact integers. The instruction takes unsigned bytes from one side and signed ones from the other, so one side
//! is moved by 128 and the difference, 128 times the sum of the other row, is taken away again:
//! `x.y = (x + 128).y - 128 sum(y)` for signed bytes, `x.y = x.(y - 128) + 128 sum(x)` for unsigned ones. A sum of at most
//! 2^15 columns fits 32 bits; its float32 is off by one rounding, and the value by three more, each relative to at most
//! `norm_x norm_y + half_x + half_y` as in `bound`.

use super::kernel::{BLOCK, STRIP, Strip};
use super::metric::Metric;
use super::packed::panel_rows;
use super::{Producer, Tile};
use crate::column::Dtype;
use crate::error::{Error, Result};
use crate::matrix::Matrix;
use crate::simd::special::{BYTE_ROWS, dot_bytes, has_dot_bytes};
use crate::simd::{self, Isa, Level, Op, Real};
use std::ops::Range;

/// The most columns whose sums fit 32 bits.
const MOST_COLUMNS: usize = 1 << 15;

/// Makes tiles of two matrices of bytes of the same kind.
pub(crate) struct ByteTiles<'a> {
    metric: Metric,
    sign: f64,
    x: Matrix<'a>,
    y: Matrix<'a>,
    /// Four columns of each row of a strip.
    panel: Vec<[[u8; 4]; STRIP]>,
    lanes: Vec<Lanes>,
    rows: usize,
    /// Rows of y, each of a whole number of quads.
    block: Vec<u8>,
    others: Vec<Other>,
    y_bias: Vec<f32>,
    /// The largest of what the rows bring to the bound.
    most: [f32; 3],
    y_rows: Range<usize>,
    tile: Vec<Strip<f32>>,
    error: Strip<f32>,
    isa: Isa,
}

/// What the rows of a strip bring to their values.
#[derive(Clone, Copy)]
struct Lanes {
    /// What is taken away from a sum.
    moved: [i32; STRIP],
    scale: Strip<f32>,
    bias: Strip<f32>,
    /// Norm and half of each row, times its scale, and the scale.
    terms: [Strip<f32>; 3],
}

/// What a row of y brings.
#[derive(Debug, Clone, Copy, Default)]
struct Other {
    moved: i32,
    scale: f32,
}

impl<'a> ByteTiles<'a> {
    /// Whether tiles of these can be made here.
    pub fn can(metric: Metric, x: &Matrix, y: &Matrix, isa: Isa) -> bool {
        use Metric::{Cosine, Dot, Euclidean, SqEuclidean};
        x.dtype() == y.dtype()
            && matches!(x.dtype(), Dtype::I8 | Dtype::U8)
            && matches!(metric, Dot | Cosine | Euclidean | SqEuclidean)
            && (1..=MOST_COLUMNS).contains(&x.width())
            && has_dot_bytes(isa)
    }

    /// Tiles of matrices for which [`ByteTiles::can`] holds; with `negated`, larger values mean farther.
    pub fn new(
        metric: Metric,
        negated: bool,
        x: Matrix<'a>,
        y: Matrix<'a>,
        most_rows: usize,
        isa: Isa,
    ) -> Result<Self> {
        let (quads, strips) = (x.width().div_ceil(4), most_rows.div_ceil(STRIP));
        let bytes = strips * quads * 4 * STRIP;
        let mut panel = Vec::new();
        panel.try_reserve_exact(strips * quads).map_err(|_| Error::OutOfMemory { bytes })?;
        panel.resize(strips * quads, [[0; 4]; STRIP]);
        let none = Strip([0.0; STRIP]);
        Ok(Self {
            metric,
            sign: if negated { -1.0 } else { 1.0 },
            x,
            y,
            panel,
            lanes: vec![Lanes { moved: [0; STRIP], scale: none, bias: none, terms: [none; 3] }; strips],
            rows: 0,
            block: vec![0; BLOCK * quads * 4],
            others: vec![Other::default(); BLOCK],
            y_bias: vec![0.0; BLOCK],
            most: [0.0; 3],
            y_rows: 0..0,
            tile: vec![none; BLOCK],
            error: none,
            isa,
        })
    }

    /// As many rows as make a panel.
    pub fn panel_rows(width: usize) -> usize {
        panel_rows(width, size_of::<u8>())
    }

    /// What [`ByteTiles::new`] takes.
    pub fn bytes(width: usize, most_rows: usize) -> usize {
        let (length, strips) = (width.next_multiple_of(4), most_rows.div_ceil(STRIP));
        let other = size_of::<Other>() + size_of::<f32>() + size_of::<Strip<f32>>();
        strips * (length * STRIP + size_of::<Lanes>()) + BLOCK * (length + other) + length
    }

    /// Whether bytes are signed.
    fn signed(&self) -> bool {
        self.x.dtype() == Dtype::I8
    }
}

/// Writes a row of bytes, each moved by 128 if `moved`, and returns its sum and its sum of squares.
#[inline(always)]
fn read(matrix: &Matrix, index: usize, moved: bool, out: &mut [u8]) -> (i32, u64) {
    let (row, out) = (matrix.row(index), &mut out[..matrix.width()]);
    let signed = matrix.dtype() == Dtype::I8;
    if signed {
        row.fill(0, out, |value: i8| value as u8);
    } else {
        row.fill(0, out, |value: u8| value);
    }
    let (mut sum, mut squares) = (0i32, 0u64);
    // 2^15 squares of bytes fit 32 bits.
    for part in out.chunks(1 << 12) {
        let mut square = 0i32;
        for &byte in part {
            let value = if signed { i32::from(byte as i8) } else { i32::from(byte) };
            sum += value;
            square += value * value;
        }
        squares += square as u64;
    }
    if moved {
        // 128 added to or taken from a byte flips its highest bit.
        out.iter_mut().for_each(|byte| *byte ^= 128);
    }
    (sum, squares)
}

impl Producer<f32> for ByteTiles<'_> {
    fn block_rows(&self) -> usize {
        BLOCK
    }

    fn set_panel(&mut self, x: Range<usize>) -> Result<()> {
        let (quads, signed) = (self.x.width().div_ceil(4), self.signed());
        self.rows = x.len();
        self.panel.fill([[0; 4]; STRIP]);
        let mut bytes = vec![0; quads * 4];
        for (i, index) in x.enumerate() {
            let (strip, lane) = (i / STRIP, i % STRIP);
            let (sum, squares) = read(&self.x, index, signed, &mut bytes);
            for (quad, bytes) in self.panel[strip * quads..].iter_mut().zip(bytes.as_chunks::<4>().0) {
                quad[lane] = *bytes;
            }
            let (traits, lanes) = (self.metric.traits(squares as f64), &mut self.lanes[strip]);
            lanes.moved[lane] = if signed { 0 } else { -128 * sum };
            lanes.scale.0[lane] = (traits.scale * self.sign) as f32;
            lanes.bias.0[lane] = traits.bias as f32;
            let terms = [traits.norm * traits.scale, traits.half * traits.scale, traits.scale];
            lanes.terms.iter_mut().zip(terms).for_each(|(own, term)| own.0[lane] = term as f32);
        }
        Ok(())
    }

    fn strips(&self) -> usize {
        self.rows.div_ceil(STRIP)
    }

    fn set_block(&mut self, y: Range<usize>, _next: Range<usize>) -> Result<()> {
        simd::call(self.isa, Pack { tiles: self, y: y.clone() });
        self.y_rows = y;
        Ok(())
    }

    fn tile(&mut self, strip: usize) -> Tile<'_, f32> {
        simd::call(self.isa, Sum { tiles: self, strip });
        let values = &mut self.tile[..self.y_rows.len()];
        let biases = Some((&self.lanes[strip].bias, &self.y_bias[..values.len()]));
        Tile { values, x0: strip * STRIP, y0: self.y_rows.start, error: &self.error, biases }
    }
}

/// Packs a block of rows of y.
struct Pack<'a, 'm> {
    tiles: &'a mut ByteTiles<'m>,
    y: Range<usize>,
}

impl Op for Pack<'_, '_> {
    type Out = ();
    #[inline(always)]
    fn run<L: Level>(self) {
        let Self { tiles, y } = self;
        let (length, signed) = (tiles.x.width().next_multiple_of(4), tiles.signed());
        tiles.most = [0.0; 3];
        for (j, index) in y.enumerate() {
            let (sum, squares) = read(&tiles.y, index, !signed, &mut tiles.block[j * length..(j + 1) * length]);
            let traits = tiles.metric.traits(squares as f64);
            let terms = [traits.norm * traits.scale, traits.scale, traits.half * traits.scale].map(|term| term as f32);
            let moved = if signed { 128 * sum } else { 0 };
            tiles.others[j] = Other { moved, scale: traits.scale as f32 };
            tiles.y_bias[j] = traits.bias as f32;
            tiles.most.iter_mut().zip(terms).for_each(|(most, term)| *most = most.max(term));
        }
    }
}

/// Makes the tile of a strip with the block.
struct Sum<'a, 'm> {
    tiles: &'a mut ByteTiles<'m>,
    strip: usize,
}

impl Op for Sum<'_, '_> {
    type Out = ();
    #[inline(always)]
    fn run<L: Level>(self) {
        let Self { tiles, strip } = self;
        let (quads, rows) = (tiles.x.width().div_ceil(4), tiles.y_rows.len());
        let (columns, lanes) = (&tiles.panel[strip * quads..(strip + 1) * quads], &tiles.lanes[strip]);
        let plain = tiles.metric == Metric::Dot && tiles.sign > 0.0;
        let mut sums = [[0i32; STRIP]; BYTE_ROWS];
        for begin in (0..rows).step_by(BYTE_ROWS) {
            let place = |j: usize| (begin + j) * quads * 4..(begin + j + 1) * quads * 4;
            dot_bytes(columns, std::array::from_fn(|j| &tiles.block[place(j)]), &mut sums);
            for (j, sums) in sums.iter().enumerate().take(rows - begin) {
                let (other, y_bias) = (&tiles.others[begin + j], tiles.y_bias[begin + j]);
                let values = &mut tiles.tile[begin + j].0;
                for i in 0..STRIP {
                    values[i] = (sums[i] - other.moved - lanes.moved[i]) as f32;
                }
                if !plain {
                    for ((value, &bias), &scale) in values.iter_mut().zip(&lanes.bias.0).zip(&lanes.scale.0) {
                        *value = f32::affine(*value, bias, y_bias, scale, other.scale);
                    }
                }
            }
        }
        tiles.error = Strip([f32::MIN_POSITIVE; STRIP]);
        for (terms, most) in lanes.terms.iter().zip(tiles.most) {
            for (error, term) in tiles.error.0.iter_mut().zip(&terms.0) {
                // A rounding each for the sum, the biases and their sums, the scales and the products; doubled.
                *error += term * most * (8.0 * f32::EPSILON);
            }
        }
    }
}
