//! Tiles of numbers of 8 or 16 bits: many times the products of float32 at a time, with a bound on what they lost.
//!
//! Rows are moved and perhaps turned ([`Frame`]), written in few bits ([`Form`]), and multiplied four bytes at a time
//! ([`simd::narrow`](crate::simd::narrow)). Let X, Y be the rows in exact arithmetic as the frame has them, `x`, `y` what
//! was written, times its scale, and `lost` the norm of the difference, which is measured when a row is written. By the
//! Cauchy-Schwarz inequality
//!
//! `|X.Y - x.y| <= |X - x| |Y| + |x| |Y - y| <= lost_x norm_y + (norm_x + lost_x) lost_y`.
//!
//! What else can go wrong, with `u` the error of a rounding to float32:
//! * A row loses at most `u` of its norm when it is read as float32, and as much when it is moved, of the norm before and
//!   after; turning it, as much as `frame` says. Elements below the range of float32 lose at most
//!   half the smallest number each. The lost part itself is computed in float32, in units of the step (or of a power of
//!   two near the largest element), whose squares stay in range: an element is off by at most `5 u` of its own, the sum of
//!   squares in 16 lanes by `(d / 16 + 8) u` of itself. All that is added to `lost`.
//! * Sums of integers are exact, and rounded once. Those of bfloat16 are float32, in whatever order, a product rounded by
//!   itself or not: every term meets at most `K` + 2 roundings for K columns, so they are off by at most
//!   `(K + 2) u (1 + small) |x| |y|`. Rows in three parts leave `low_x . low_y` out, at most the product of the norms, and
//!   what they sum is at most `norm + lost + 2 low` long.
//! * Numbers and products below the normal range may count as zero: at most `4 K + 64` times the smallest normal number.
//! * Scales, biases and norms are rounded as in `bound`, `c = (K + d / 16 + 40) u 1.05` in all.
//!
//! Together, with `length = norm + lost + 2 low`,
//!
//! `|value - exact value| <= factor_x factor_y (lost_x norm_y + length_x (lost_y + c length_y) + low_x low_y + c (half_x +
//! half_y) + tiny)`.
//!
//! A tile has one bound for each lane, made with the largest of what its at most 32 rows of y bring. Rows out of range are
//! written as zeros and have an infinite norm, so that all of their pairs stay open.

mod encode;
mod frame;
mod rows;

pub use encode::Form;
use encode::LANES;
pub(crate) use encode::MOST_COLUMNS;
pub(crate) use frame::Frame;
pub use rows::PackedRows;

use super::kernel::{STRIP, Strip};
use super::metric::Metric;
use super::packed::{Lines, room};
use super::{Producer, Tile};
use crate::error::Result;
use crate::matrix::Matrix;
use crate::simd::narrow::{GROUP, STEP, Unit, multiply};
use crate::simd::{self, Isa, Level, Op};
use rows::{Brings, Writer};
use std::ops::Range;

/// Rows of y in a block: the bound of a tile is that of its worst row, so few.
pub(crate) const BLOCK: usize = 32;

/// The most rows of x in a panel, and the bytes that they may take: they stay in the second-level cache.
const MOST_ROWS: usize = 1024;
const MOST_BYTES: usize = 3 << 19;

/// The worth of numbers below the normal range, a term.
const TINY: f32 = f32::MIN_POSITIVE;

/// Where rows of y come from.
#[derive(Clone, Copy)]
enum Source<'a> {
    Matrix(Matrix<'a>),
    Packed(PackedRows<'a>),
}

/// Makes tiles of two matrices.
pub(crate) struct NarrowTiles<'a> {
    metric: Metric,
    sign: f32,
    x: Matrix<'a>,
    y: Source<'a>,
    y_rows: usize,
    frame: &'a Frame,
    unit: Unit,
    steps: usize,
    writer: Writer,
    panel: Lines,
    lanes: Vec<Lanes>,
    rows: usize,
    block: Lines,
    brings: Vec<Brings>,
    moved: Vec<i32>,
    /// The largest of what the rows of the block bring to the bound.
    most: [f32; TERMS],
    y_range: Range<usize>,
    /// The values of the block with all strips.
    values: Vec<Strip<f32>>,
    error: Strip<f32>,
    /// `c` of the module's text, and what is lost below the normal range.
    bound: [f32; 2],
    isa: Isa,
}

/// Products that the bound is the sum of.
const TERMS: usize = 5;

/// What the rows of a strip bring.
#[derive(Clone, Copy)]
struct Lanes {
    scale: Strip<f32>,
    bias: Strip<f32>,
    factor: Strip<f32>,
    terms: [Strip<f32>; TERMS],
}

impl<'a> NarrowTiles<'a> {
    /// Whether a metric's values are made of products.
    pub fn can(metric: Metric, width: usize) -> bool {
        use Metric::{Cosine, Dot, Euclidean, SqEuclidean};
        matches!(metric, Dot | Cosine | Euclidean | SqEuclidean) && (1..=MOST_COLUMNS).contains(&width)
    }

    /// Tiles of two equally wide matrices, as the frame has them; with `packed`, rows of y were written before. With
    /// `negated`, larger values mean farther.
    #[allow(clippy::too_many_arguments)]
    pub fn new(
        metric: Metric,
        negated: bool,
        x: Matrix<'a>,
        y: Matrix<'a>,
        packed: Option<PackedRows<'a>>,
        (form, frame): (Form, &'a Frame),
        most_rows: usize,
        isa: Isa,
    ) -> Result<Self> {
        let (width, strips) = (x.width(), most_rows.div_ceil(STRIP));
        let steps = form.steps(width);
        let none = Strip([0.0; STRIP]);
        let lanes = Lanes { scale: none, bias: none, factor: none, terms: [none; TERMS] };
        Ok(Self {
            metric,
            sign: if negated { -1.0 } else { 1.0 },
            x,
            y: packed.map_or(Source::Matrix(y), Source::Packed),
            y_rows: y.rows(),
            frame,
            unit: Unit::best(isa, form.encoding()),
            steps,
            writer: Writer::new(metric, form, width)?,
            panel: Lines::new(strips * steps * STRIP * STEP)?,
            lanes: room(strips, lanes)?,
            rows: 0,
            block: Lines::new(if packed.is_some() { 0 } else { BLOCK * steps * STEP })?,
            brings: vec![Brings::default(); BLOCK],
            moved: vec![0; BLOCK],
            most: [0.0; TERMS],
            y_range: 0..0,
            values: room(strips * BLOCK, none)?,
            error: none,
            bound: bound(form, width),
            isa,
        })
    }

    /// As many rows as make a panel.
    pub fn panel_rows(form: Form, width: usize) -> usize {
        (MOST_BYTES / (form.steps(width) * STEP) / STRIP * STRIP).clamp(STRIP, MOST_ROWS)
    }

    /// What [`NarrowTiles::new`] takes.
    pub fn bytes(form: Form, width: usize, most_rows: usize) -> usize {
        let (strips, row) = (most_rows.div_ceil(STRIP), form.steps(width) * STEP);
        let strip = STRIP * row + size_of::<Lanes>() + BLOCK * size_of::<Strip<f32>>();
        strips * strip
            + BLOCK * (row + size_of::<Brings>() + size_of::<i32>())
            + Writer::bytes_for(form, width)
            + 2 * STEP
    }

    /// The bytes that are multiplied by what is in the panel: of these rows of y, if they are there.
    fn packed(&self, y: Range<usize>) -> &'a [u8] {
        match self.y {
            Source::Packed(packed) => packed.groups(y),
            Source::Matrix(_) => &[],
        }
    }
}

/// `c` of the module's text, and what is lost below the normal range.
fn bound(form: Form, width: usize) -> [f32; 2] {
    let columns = form.roundings(width);
    let c = (columns + width / LANES + 40) as f64 * f64::from(f32::EPSILON) / 2.0 * 1.05;
    [up(c), (4 * columns + 64) as f32 * TINY]
}

/// The nearest float32 that is not below.
#[inline(always)]
fn up(value: f64) -> f32 {
    let rounded = value as f32;
    if f64::from(rounded) < value { rounded.next_up() } else { rounded }
}

impl Brings {
    /// How long the written row may be.
    fn length(&self) -> f32 {
        self.norm + self.lost + 2.0 * self.low
    }

    /// A row's part in the bound, for x.
    fn x_terms(&self, [c, _]: [f32; 2]) -> [f32; TERMS] {
        let Self { lost, low, half, .. } = *self;
        [lost, self.length(), low, c * half, 1.0].map(|term| term * self.factor)
    }

    /// A row's part in the bound, for y: the bound is the sum of the products.
    fn y_terms(&self, [c, tiny]: [f32; 2]) -> [f32; TERMS] {
        let Self { norm, lost, low, half, .. } = *self;
        [norm, lost + c * self.length(), low, 1.0, c * half + tiny].map(|term| term * self.factor)
    }
}

impl Producer<f32> for NarrowTiles<'_> {
    fn block_rows(&self) -> usize {
        BLOCK
    }

    fn set_panel(&mut self, x: Range<usize>) -> Result<()> {
        self.rows = x.len();
        let Self { x: matrix, frame, steps, isa, sign, bound, .. } = *self;
        for i in 0..self.rows.next_multiple_of(STRIP) {
            let (strip, lane) = (i / STRIP, i % STRIP);
            let brings = if i < self.rows {
                simd::call(
                    isa,
                    Write { writer: &mut self.writer, matrix: &matrix, of_x: true, index: x.start + i, frame },
                )?
            } else {
                self.writer.clear();
                Brings::default()
            };
            let strip_bytes = &mut self.panel.bytes_mut()[strip * steps * STRIP * STEP..][..steps * STRIP * STEP];
            let (tiles, _) = strip_bytes.as_chunks_mut::<TILE>();
            for (step, row) in self.writer.bytes().chunks_exact(STEP).enumerate() {
                let tile = &mut tiles[2 * step + lane / GROUP];
                for (cell, bytes) in row.as_chunks::<4>().0.iter().enumerate() {
                    tile[cell * STEP + lane % GROUP * 4..][..4].copy_from_slice(bytes);
                }
            }
            let lanes = &mut self.lanes[strip];
            lanes.scale.0[lane] = brings.scale;
            lanes.bias.0[lane] = brings.bias;
            lanes.factor.0[lane] = brings.factor * sign;
            lanes.terms.iter_mut().zip(brings.x_terms(bound)).for_each(|(terms, term)| terms.0[lane] = term);
        }
        Ok(())
    }

    fn strips(&self) -> usize {
        self.rows.div_ceil(STRIP)
    }

    fn set_block(&mut self, y: Range<usize>, next: Range<usize>) -> Result<()> {
        assert!(y.len() <= BLOCK && y.end <= self.y_rows, "a block of so many rows");
        let (steps, groups) = (self.steps, y.len().div_ceil(GROUP));
        match self.y {
            Source::Packed(packed) => {
                self.brings.iter_mut().zip(packed.brings(y.clone())).for_each(|(to, brings)| *to = brings);
            }
            Source::Matrix(matrix) => {
                for (j, index) in y.clone().enumerate() {
                    let Self { writer, frame, .. } = self;
                    let write = Write { writer, matrix: &matrix, of_x: false, index, frame };
                    self.brings[j] = simd::call(self.isa, write)?;
                    put(self.writer.bytes(), self.block.bytes_mut(), steps, j);
                }
                for j in y.len()..groups * GROUP {
                    self.writer.clear();
                    put(self.writer.bytes(), self.block.bytes_mut(), steps, j);
                }
            }
        }
        self.most = [0.0; TERMS];
        for (brings, moved) in self.brings[..y.len()].iter().zip(&mut self.moved) {
            *moved = brings.moved;
            for (most, term) in self.most.iter_mut().zip(brings.y_terms(self.bound)) {
                *most = most.max(term);
            }
        }
        self.moved[y.len()..groups * GROUP].fill(0);
        let bytes = match self.y {
            Source::Packed(_) => self.packed(y.clone()),
            Source::Matrix(_) => &self.block.bytes()[..groups * GROUP * steps * STEP],
        };
        let strips = self.rows.div_ceil(STRIP);
        let x = &self.panel.bytes()[..strips * steps * STRIP * STEP];
        let moved =
            if self.unit.encoding() == simd::narrow::Encoding::Int8 { &self.moved[..groups * GROUP] } else { &[] };
        let next = self.packed(next);
        let values = &mut self.values[..strips * groups * GROUP];
        multiply(self.unit, x, bytes, [steps, self.rows], moved, next, values);
        self.y_range = y;
        Ok(())
    }

    fn tile(&mut self, strip: usize) -> Tile<'_, f32> {
        simd::call(self.isa, Finish { tiles: self, strip });
        let stride = self.y_range.len().next_multiple_of(GROUP);
        let values = &mut self.values[strip * stride..][..self.y_range.len()];
        Tile { values, x0: strip * STRIP, y0: self.y_range.start, error: &self.error, biases: None }
    }
}

/// Bytes of a tile of 16 rows and a step.
const TILE: usize = GROUP * STEP;

/// Puts a written row in its place among others.
fn put(row: &[u8], block: &mut [u8], steps: usize, j: usize) {
    let group = &mut block[j / GROUP * steps * TILE..];
    for (step, bytes) in row.chunks_exact(STEP).enumerate() {
        group[step * TILE + j % GROUP * STEP..][..STEP].copy_from_slice(bytes);
    }
}

/// Writes a row.
struct Write<'s, 'm> {
    writer: &'s mut Writer,
    matrix: &'s Matrix<'m>,
    of_x: bool,
    index: usize,
    frame: &'s Frame,
}

impl Op for Write<'_, '_> {
    type Out = Result<Brings>;
    #[inline(always)]
    fn run<L: Level>(self) -> Result<Brings> {
        self.writer.write(self.matrix, self.of_x, self.index, self.frame)
    }
}

/// Turns the sums of a strip into values, and makes their bound.
struct Finish<'s, 'a> {
    tiles: &'s mut NarrowTiles<'a>,
    strip: usize,
}

impl Op for Finish<'_, '_> {
    type Out = ();
    #[inline(always)]
    fn run<L: Level>(self) {
        let Self { tiles, strip } = self;
        let (rows, lanes) = (tiles.y_range.len(), &tiles.lanes[strip]);
        let stride = rows.next_multiple_of(GROUP);
        let values = &mut tiles.values[strip * stride..][..rows];
        if tiles.metric.may_be_centred() || !tiles.frame.centre.is_empty() {
            let (scale, bias, factor) = (&lanes.scale.0, &lanes.bias.0, &lanes.factor.0);
            for (values, y) in values.iter_mut().zip(&tiles.brings) {
                for i in 0..STRIP {
                    let sum = values.0[i] * scale[i] * y.scale;
                    values.0[i] = (sum + bias[i] + y.bias) * factor[i] * y.factor;
                }
            }
        } else {
            let mut scale = lanes.scale;
            scale.0.iter_mut().zip(&lanes.factor.0).for_each(|(scale, factor)| *scale *= factor);
            for (values, y) in values.iter_mut().zip(&tiles.brings) {
                let own = y.scale * y.factor;
                for (value, &scale) in values.0.iter_mut().zip(&scale.0) {
                    // Not the product of the scales first: it may be below the normal range where the value is not.
                    *value = *value * scale * own;
                }
            }
        }
        let mut error = Strip([0f32; STRIP]);
        for (terms, most) in lanes.terms.iter().zip(tiles.most) {
            for (error, &term) in error.0.iter_mut().zip(&terms.0) {
                *error += term * most;
            }
        }
        for error in &mut error.0 {
            // 0 times infinity: a row of zeros beside one that is out of range.
            let above = *error * (1.0 + 16.0 * f32::EPSILON) + TINY;
            *error = if above < f32::INFINITY { above } else { f32::INFINITY };
        }
        tiles.error = error;
    }
}
