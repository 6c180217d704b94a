//! Tiles of floats: rows of any float or integer dtype, packed for the micro-kernel.
//!
//! # The bound on errors
//! With `u` the error of one rounding, let X, Y be the rows in exact arithmetic (moved by the centre if there is one) and
//! x, y what is packed: `|x_k - X_k| <= 2u |X_k|`, one rounding for a conversion and one for the centre. The kernel adds
//! at most `K` = slice length + number of slices roundings to each term (a fused operation adds one, an unfused pair two,
//! of which the product's is the first), so by the classic bound for inner products
//! `|sum - X.Y| <= (K + 5) u (1 + small) sum |X_k Y_k| <= (K + 5) u (1 + small) |X| |Y|`, and for Manhattan distances the
//! same with `|X|_1 + |Y|_1`. Norms, biases and scales are rounded too: a float sum of squares in 32 lanes has a relative
//! error of at most `(d / 32 + 6) u`, and a bias or a scale inherits it. Together, with the traits `norm, half, scale` of
//! both rows,
//!
//! `|value - exact value| <= c scale_x scale_y (norm_x norm_y + half_x + half_y)`, `c = (K + d / 32 + 32) u 1.05`.
//!
//! The factor 1.05 covers second-order terms (`K u < 1/100` for all that fits a memory), the float64 evaluation of the
//! score, that of [`Metric::value`] and the rounding of the bound itself. Numbers below the normal range lose at most the
//! smallest one at each operation: `c_small scale_x scale_y (1 + norm_x) (1 + norm_y)` with `c_small = 8 d` times that.
//! A block has one bound for each lane, made with the largest traits of its rows of y.
//!
//! Rows whose norm squared would leave the range are packed as zeros, and the bound of their pairs is infinite: every
//! such pair is then scored in float64. For cosines they are multiplied by a power of two instead.

use super::exact::check_point;
use super::kernel::{
    BLOCK, Difference, FEW, Multiply, ROW, SLICE, STEP, STRIP, Strip, sum_products, sum_products_thin,
};
use super::metric::{Metric, RowTraits};
use super::{Producer, Tile};
use crate::column::Dtype;
use crate::error::{Error, Result};
use crate::key::Element;
use crate::matrix::Matrix;
use crate::simd::{self, Ahead, Floats, Isa, Level, Op, Real};
use std::ops::Range;

/// Rows of x in a panel, if they are not too long.
pub(crate) const PANEL: usize = 448;

/// Bytes that a panel or a block may take; rows that are very long make them smaller.
const MOST_BYTES: usize = 4 << 20;

/// Sums of squares or magnitudes in this range lost nothing that the bound does not cover.
const SMALLEST_SUM: f64 = 1.0 / (1u64 << 60) as f64;
const LARGEST_SUM: f64 = (1u128 << 80) as f64;

/// Bytes between what is read and what is asked for, in thin mode.
const FAR: usize = 1 << 12;

/// Makes tiles of `T` of two matrices.
pub(crate) struct FloatTiles<'a, T> {
    metric: Metric,
    /// -1 if the values are to be negated, so that larger means farther.
    sign: f64,
    x: Matrix<'a>,
    y: Matrix<'a>,
    centre: Option<&'a [T]>,
    slices: usize,
    panel: Panel<T>,
    block: Block<T>,
    /// The next block.
    ahead: Ahead,
    tile: Vec<Strip<T>>,
    error: Strip<T>,
    isa: Isa,
    /// The rows of x if they are few, padded with zeros: then rows of y are not packed.
    thin: Vec<T>,
    /// Rows of x in the panel.
    rows: usize,
    /// Room for a row.
    row: Vec<T>,
    wide: Vec<f64>,
}

/// The packed rows of x: for each strip, its columns.
struct Panel<T> {
    strips: usize,
    columns: Vec<Strip<T>>,
    scale: Vec<Strip<T>>,
    bias: Vec<Strip<T>>,
    /// What each row brings to the bound: the factors of `Block::terms`.
    terms: Vec<[Strip<T>; 4]>,
}

/// The packed rows of y: for each slice, [`BLOCK`] rows.
struct Block<T> {
    values: Vec<T>,
    scale: Vec<T>,
    bias: Vec<T>,
    /// The largest of what the rows bring to the bound.
    terms: [f64; 4],
    /// The rows.
    y: Range<usize>,
    /// Lines of the next block to ask for with each slice of a strip.
    lines: usize,
}

/// A row's part in the bound, for x: see [`y_terms`].
fn x_terms(traits: &RowTraits) -> [f64; 4] {
    let RowTraits { norm, half, scale, .. } = *traits;
    [norm * scale, half * scale, scale, (1.0 + norm) * scale]
}

/// A row's part in the bound, for y: the bound is the sum of the products.
fn y_terms(traits: &RowTraits) -> [f64; 4] {
    let RowTraits { norm, half, scale, .. } = *traits;
    [norm * scale, scale, half * scale, (1.0 + norm) * scale]
}

/// The roundings that the bound counts for rows of this width.
pub(crate) fn roundings(width: usize) -> usize {
    width.min(SLICE) + width.div_ceil(SLICE).max(1) + width / 32 + 32
}

fn room<T: Clone>(len: usize, value: T) -> Result<Vec<T>> {
    let mut vector = Vec::new();
    vector.try_reserve_exact(len).map_err(|_| Error::OutOfMemory { bytes: len * size_of::<T>() })?;
    vector.resize(len, value);
    Ok(vector)
}

/// As many rows of `width` elements of `size` bytes as may be packed, at most `most`, a multiple of `step`.
fn rows_that_fit(width: usize, size: usize, most: usize, step: usize) -> usize {
    (MOST_BYTES / (width.max(1) * size) / step * step).clamp(step, most)
}

impl<'a, T: Real + Element> FloatTiles<'a, T> {
    /// Tiles of two equally wide matrices. Both are moved by `-centre` if there is one, which only metrics of differences
    /// may have; with `negated`, values are negated.
    pub fn new(
        metric: Metric,
        negated: bool,
        x: Matrix<'a>,
        y: Matrix<'a>,
        centre: Option<&'a [T]>,
        most_rows: usize,
        isa: Isa,
    ) -> Result<Self> {
        let width = x.width();
        let slices = width.div_ceil(SLICE).max(1);
        let most_rows = most_rows.min(rows_that_fit(width, size_of::<T>(), PANEL, STRIP)).next_multiple_of(STRIP);
        let strips = most_rows / STRIP;
        let block_rows = rows_that_fit(width, size_of::<T>(), BLOCK, 42).min(y.rows().next_multiple_of(42).max(42));
        Ok(Self {
            metric,
            sign: if negated { -1.0 } else { 1.0 },
            x,
            y,
            centre,
            slices,
            panel: Panel {
                strips: 0,
                columns: room(strips * width, Strip::default())?,
                scale: room(strips, Strip::default())?,
                bias: room(strips, Strip::default())?,
                terms: room(strips, [Strip::default(); 4])?,
            },
            block: Block {
                values: room(slices * block_rows * ROW, T::default())?,
                scale: room(block_rows, T::default())?,
                bias: room(block_rows, T::default())?,
                terms: [0.0; 4],
                y: 0..0,
                lines: 0,
            },
            ahead: Ahead::none(),
            error: Strip::default(),
            isa,
            tile: room(block_rows, Strip::default())?,
            thin: room(if most_rows == STRIP { FEW * width.next_multiple_of(STEP) } else { 0 }, T::default())?,
            rows: 0,
            row: room(width, T::default())?,
            wide: room(width, 0.0)?,
        })
    }

    /// Largest norm whose products with others stay in range.
    fn largest_norm() -> f64 {
        if size_of::<T>() == 4 { 2f64.powi(50) } else { 2f64.powi(250) }
    }

    /// `c` of the module's text, and `c_small`.
    fn error_factors(&self) -> [f64; 2] {
        let width = self.x.width();
        let roundings = roundings(width);
        // 8 times the smallest number of the type, itself below the normal range.
        let smallest = if size_of::<T>() == 4 { 2f64.powi(-146) } else { 2f64.powi(-1070) };
        [1.05 * T::ROUNDING * roundings as f64, smallest * width as f64]
    }

    /// Whether the values are other than the sums.
    fn has_epilogue(&self) -> bool {
        self.sign < 0.0 || !matches!(self.metric, Metric::Dot | Metric::Manhattan)
    }

    /// Makes `self.wide` and `self.row` of row `index`, in float64 where that matters, and says what the row brings.
    fn prepare(&mut self, of_x: bool, index: usize) -> Result<RowTraits> {
        let (matrix, argument) = if of_x { (self.x, "x") } else { (self.y, "y") };
        matrix.read(index, &mut self.wide);
        check_point(self.metric, &matrix, argument, index, &self.wide)?;
        if let Some(centre) = self.centre {
            self.wide.iter_mut().zip(centre).for_each(|(value, centre)| *value -= centre.widened());
        }
        let largest = self.wide.iter().fold(0f64, |largest, value| largest.max(value.abs()));
        let limit = Self::largest_norm() / (self.wide.len().max(1) as f64);
        let mut out_of_range = largest > limit;
        if self.metric == Metric::Cosine && largest > 0.0 && !(1.0 / limit..limit).contains(&largest) {
            let power = 2f64.powi((1023 - (largest.to_bits() >> 52) as i32).clamp(-1022, 1000));
            self.wide.iter_mut().for_each(|value| *value *= power);
            out_of_range = false;
        }
        if out_of_range {
            self.row.fill(T::default());
            let infinite = f64::INFINITY;
            return Ok(RowTraits { norm: infinite, half: infinite, bias: -infinite, scale: 1.0 });
        }
        if of_x && self.metric == Metric::Lorentz {
            self.wide.first_mut().into_iter().for_each(|first| *first = -*first);
        }
        let sum = match self.metric {
            Metric::Manhattan => self.wide.iter().map(|value| value.abs()).sum(),
            _ => self.wide.iter().map(|value| value * value).sum(),
        };
        self.row.iter_mut().zip(&self.wide).for_each(|(value, &wide)| *value = T::rounded(wide));
        Ok(self.metric.traits(sum))
    }

    /// Whether rows of y are compared where they lie.
    fn is_thin(&self) -> bool {
        self.rows <= FEW && !self.thin.is_empty()
    }

    /// Thin mode for what is asked for most, products of rows that lie one after the other: nothing but loads and products
    /// for each row, so that the memory is what is waited for. False if it cannot be done.
    #[inline(always)]
    fn pack_products<L: Level>(&mut self, y: &Range<usize>, next: &Range<usize>) -> bool {
        let width = self.x.width();
        if !self.is_thin() || self.metric != Metric::Dot || self.has_epilogue() || width == 0 {
            return false;
        }
        let Some(values) = self.y.rows_slice::<T>(y.clone()) else { return false };
        let (padded, rows) = (width.next_multiple_of(STEP), self.rows.min(STRIP));
        let far = (FAR / (width * size_of::<T>())).max(1);
        let mut most = 0f64;
        let mut in_range = true;
        for (j, row) in values.chunks_exact(width).enumerate() {
            let later = y.start + j + far;
            let later = if later < y.end { later } else { next.start + (later - y.end) };
            let mut ahead = Ahead::new(self.y.span(later..later + 1));
            let sums = &mut self.tile[j].0[..rows];
            let sum = sum_products_thin::<L, T, Multiply, true>(&self.thin, padded, row, sums, &mut ahead);
            in_range &= sum > SMALLEST_SUM && sum < LARGEST_SUM;
            most = most.max(sum);
        }
        let traits = self.metric.traits(most);
        self.block.terms = y_terms(&traits);
        self.block.bias[..y.len()].fill(T::default());
        self.ahead = Ahead::none();
        in_range
    }

    /// Packs row `index` of y as row `j` of the block, or in thin mode sums its products into the tile.
    #[inline(always)]
    fn pack_row<L: Level>(&mut self, j: usize, index: usize, ahead: &mut Ahead) -> Result<()> {
        let thin = self.is_thin();
        let padded = self.row.len().next_multiple_of(STEP);
        let rows = self.block.scale.len();
        // Values that are rounded on the way to `T` must be so after they were moved by the centre, not before.
        let exact = self.centre.is_none()
            || match self.y.dtype() {
                Dtype::F64 | Dtype::I32 | Dtype::U32 | Dtype::I64 | Dtype::U64 => size_of::<T>() == 8,
                _ => true,
            };
        let mut traits = None;
        if exact && self.metric != Metric::Poincare {
            let values = match self.y.row_slice::<T>(index) {
                Some(values) if !thin || self.centre.is_none() => values,
                _ => {
                    self.y.read(index, &mut self.row);
                    if let (true, Some(centre)) = (thin, self.centre) {
                        self.row.iter_mut().zip(centre).for_each(|(value, &centre)| *value = T::minus(*value, centre));
                    }
                    &self.row
                }
            };
            let sums = &mut self.tile[j].0[..self.rows.min(STRIP)];
            let sum = match (self.metric, thin) {
                (Metric::Manhattan, true) => {
                    sum_products_thin::<L, T, Difference, false>(&self.thin, padded, values, sums, ahead)
                }
                (_, true) => sum_products_thin::<L, T, Multiply, true>(&self.thin, padded, values, sums, ahead),
                (Metric::Manhattan, false) => {
                    copy::<T, false>(values, None, &mut self.block.values[j * ROW..], rows * ROW)
                }
                _ => copy::<T, true>(values, self.centre, &mut self.block.values[j * ROW..], rows * ROW),
            };
            // Small or large sums may have lost something; NaN is neither.
            if sum > SMALLEST_SUM && sum < LARGEST_SUM {
                traits = Some(self.metric.traits(sum));
            }
        }
        let traits = match traits {
            Some(traits) => traits,
            None => {
                let traits = self.prepare(false, index)?;
                if thin {
                    let sums = &mut self.tile[j].0[..self.rows.min(STRIP)];
                    match self.metric {
                        Metric::Manhattan => {
                            sum_products_thin::<L, T, Difference, false>(&self.thin, padded, &self.row, sums, ahead)
                        }
                        _ => sum_products_thin::<L, T, Multiply, true>(&self.thin, padded, &self.row, sums, ahead),
                    };
                } else {
                    copy::<T, true>(&self.row, None, &mut self.block.values[j * ROW..], rows * ROW);
                }
                traits
            }
        };
        self.block.scale[j] = T::rounded(traits.scale);
        self.block.bias[j] = T::rounded(traits.bias);
        for (largest, term) in self.block.terms.iter_mut().zip(y_terms(&traits)) {
            *largest = largest.max(term);
        }
        Ok(())
    }

    /// The bound of the lanes of a strip with the rows of the block.
    #[inline(always)]
    fn error_of(&self, strip: usize) -> Strip<T> {
        let [c, small] = self.error_factors();
        let [a, b, c_half, d] = self.block.terms;
        let factors = [c * a, c * b, c * c_half, small * d];
        let mut error = [0f64; STRIP];
        for (terms, factor) in self.panel.terms[strip].iter().zip(factors) {
            for (error, &term) in error.iter_mut().zip(&terms.0) {
                *error += term.widened() * factor;
            }
        }
        // 0 times infinity: a row of zeros beside one that is out of range.
        Strip(
            error.map(|error| {
                T::rounded(if error.is_nan() { f64::INFINITY } else { error * (1.0 + 8.0 * T::ROUNDING) })
            }),
        )
    }

    /// Turns sums into values.
    #[inline(always)]
    fn finish(&mut self, strip: usize, rows: usize) {
        let (x_scale, x_bias) = (&self.panel.scale[strip].0, &self.panel.bias[strip].0);
        let one_less = T::rounded(-self.sign);
        for ((values, &y_scale), &y_bias) in self.tile[..rows].iter_mut().zip(&self.block.scale).zip(&self.block.bias) {
            for i in 0..STRIP {
                values.0[i] = T::affine(values.0[i], x_bias[i], y_bias, x_scale[i], y_scale);
            }
        }
        if self.metric.has_ceiling() {
            let negated = self.sign < 0.0;
            for value in self.tile[..rows].iter_mut().flat_map(|strip| &mut strip.0) {
                let outside = if negated { *value < one_less } else { *value > one_less };
                *value = if outside { one_less } else { *value };
            }
        }
    }
}

/// Copies a row into the slices of a block, `step` elements apart, moved by the centre, and returns the sum of its squares
/// or else magnitudes.
#[inline(always)]
fn copy<T: Real, const SQUARES: bool>(values: &[T], centre: Option<&[T]>, to: &mut [T], step: usize) -> f64 {
    let mut lanes = [T::default(); STRIP];
    for (slice, values) in values.chunks(SLICE).enumerate() {
        let to = &mut to[slice * step..][..values.len()];
        match centre {
            None => to.copy_from_slice(values),
            Some(centre) => {
                let centre = &centre[slice * SLICE..][..values.len()];
                to.iter_mut().zip(values).zip(centre).for_each(|((to, &value), &centre)| *to = T::minus(value, centre));
            }
        }
        let add = |lane: &mut T, value: T| {
            *lane = if SQUARES { T::square_plus(value, *lane) } else { T::magnitude_plus(value, *lane) };
        };
        let (whole, rest) = to.as_chunks::<STRIP>();
        for values in whole {
            for i in 0..STRIP {
                add(&mut lanes[i], values[i]);
            }
        }
        lanes.iter_mut().zip(rest).for_each(|(lane, &value)| add(lane, value));
    }
    lanes.iter().map(|lane| lane.widened()).sum()
}

impl<T: Real + Element> Producer<T> for FloatTiles<'_, T> {
    fn block_rows(&self) -> usize {
        self.block.scale.len()
    }

    fn set_panel(&mut self, x: Range<usize>) -> Result<()> {
        let width = self.x.width();
        self.panel.strips = x.len().div_ceil(STRIP);
        self.rows = x.len();
        let (thin, padded) = (self.is_thin(), width.next_multiple_of(STEP));
        for i in 0..self.panel.strips * STRIP {
            let (strip, lane) = (i / STRIP, i % STRIP);
            let columns = strip * width..(strip + 1) * width;
            if i >= x.len() {
                self.panel.columns[columns].iter_mut().for_each(|column| column.0[lane] = T::default());
                self.panel.scale[strip].0[lane] = T::default();
                self.panel.bias[strip].0[lane] = T::default();
                self.panel.terms[strip].iter_mut().for_each(|terms| terms.0[lane] = T::default());
                continue;
            }
            let traits = self.prepare(true, x.start + i)?;
            if thin {
                self.thin[i * padded..][..width].copy_from_slice(&self.row);
            } else {
                for (column, &value) in self.panel.columns[columns].iter_mut().zip(&self.row) {
                    column.0[lane] = value;
                }
            }
            self.panel.scale[strip].0[lane] = T::rounded(traits.scale * self.sign);
            self.panel.bias[strip].0[lane] = T::rounded(traits.bias);
            for (terms, term) in self.panel.terms[strip].iter_mut().zip(x_terms(&traits)) {
                // The largest error that a rounding of the term makes is part of the bound's slack.
                terms.0[lane] = T::rounded(term);
            }
        }
        Ok(())
    }

    fn strips(&self) -> usize {
        self.panel.strips
    }

    fn set_block(&mut self, y: Range<usize>, next: Range<usize>) -> Result<()> {
        simd::call(self.isa, Pack { tiles: self, y, next })
    }

    fn tile(&mut self, strip: usize) -> Tile<'_, T> {
        simd::call(self.isa, Sum { tiles: self, strip });
        let values = &mut self.tile[..self.block.y.len()];
        let biases = Some((&self.panel.bias[strip], &self.block.bias[..values.len()]));
        Tile { values, x0: strip * STRIP, y0: self.block.y.start, error: &self.error, biases }
    }
}

/// Packs a block of rows of y.
struct Pack<'a, 'm, T> {
    tiles: &'a mut FloatTiles<'m, T>,
    y: Range<usize>,
    next: Range<usize>,
}

impl<T: Real + Element> Op for Pack<'_, '_, T> {
    type Out = Result<()>;
    #[inline(always)]
    fn run<L: Level>(self) -> Result<()> {
        let Self { tiles, y, next } = self;
        tiles.block.terms = [0.0; 4];
        if tiles.pack_products::<L>(&y, &next) {
            tiles.block.y = y;
            return Ok(());
        }
        let far = (FAR / (tiles.y.width() * tiles.y.dtype().size()).max(1)).max(1);
        for (j, index) in y.clone().enumerate() {
            let later = index + far;
            let later = if later < y.end { later } else { next.start + (later - y.end) };
            let mut ahead = if tiles.is_thin() { Ahead::new(tiles.y.span(later..later + 1)) } else { Ahead::none() };
            tiles.pack_row::<L>(j, index, &mut ahead)?;
        }
        tiles.ahead = if tiles.is_thin() { Ahead::none() } else { Ahead::new(tiles.y.span(next)) };
        tiles.block.lines = tiles.ahead.lines().div_ceil((tiles.panel.strips * tiles.slices).max(1));
        tiles.block.y = y;
        Ok(())
    }
}

/// Makes the tile of a strip with the block.
struct Sum<'a, 'm, T> {
    tiles: &'a mut FloatTiles<'m, T>,
    strip: usize,
}

impl<T: Real + Element> Op for Sum<'_, '_, T> {
    type Out = ();
    #[inline(always)]
    fn run<L: Level>(self) {
        let Self { tiles, strip } = self;
        let (width, rows, len) = (tiles.x.width(), tiles.block.scale.len(), tiles.block.y.len());
        let padded = len.next_multiple_of(<T::Vector<L> as Floats>::ROWS);
        let tile = &mut tiles.tile[..padded];
        if width == 0 {
            tile.fill(Strip::default());
        }
        // A thin panel's sums are there already.
        let slices = if tiles.rows <= FEW && !tiles.thin.is_empty() { 0 } else { tiles.slices };
        let used = tiles.rows - strip * STRIP;
        let columns = &tiles.panel.columns[strip * width..(strip + 1) * width];
        for (slice, columns) in columns.chunks(SLICE).take(slices).enumerate() {
            let (values, first, lines) = (&tiles.block.values[slice * rows * ROW..], slice == 0, tiles.block.lines);
            match tiles.metric {
                Metric::Manhattan => {
                    sum_products::<L, T, Difference>(columns, values, tile, used, first, &mut tiles.ahead, lines)
                }
                _ => sum_products::<L, T, Multiply>(columns, values, tile, used, first, &mut tiles.ahead, lines),
            }
        }
        if tiles.has_epilogue() {
            tiles.finish(strip, len);
        }
        tiles.error = tiles.error_of(strip);
    }
}

/// A point near the middle of the rows, exact in `T`: distances do not change when both matrices are moved by it, and
/// numbers lose less. The mean of at most 256 rows.
pub(crate) fn centre_of<T: Real>(matrix: &Matrix) -> Vec<T> {
    let step = matrix.rows().div_ceil(256).max(1);
    let mut sum = vec![0f64; matrix.width()];
    let mut row = sum.clone();
    for index in (0..matrix.rows()).step_by(step) {
        matrix.read(index, &mut row);
        sum.iter_mut().zip(&row).for_each(|(sum, value)| *sum += value);
    }
    let count = matrix.rows().div_ceil(step).max(1) as f64;
    let mean = |sum: f64| Some(T::rounded(sum / count)).filter(|mean| mean.widened().is_finite());
    sum.into_iter().map(|sum| mean(sum).unwrap_or_default()).collect()
}
