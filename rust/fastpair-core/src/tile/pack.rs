//! Tiles of floats: rows of any float or integer dtype, packed for the micro-kernel. See `bound` for their errors.

use super::bound::{errors, factors, x_terms, y_terms};
use super::kernel::{Difference, FEW, Multiply, ROW, SLICE, STEP, STRIP, Strip, sum_products, sum_products_thin};
use super::metric::{Metric, RowTraits};
use super::packed::{Block, Panel, copy, room};
use super::reader::{Reader, in_range};
use super::{Producer, Tile};
use crate::column::Dtype;
use crate::error::Result;
use crate::key::Element;
use crate::matrix::Matrix;
use crate::simd::{self, Ahead, Floats, Isa, Level, Op, Real};
use std::ops::Range;

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
    /// See `bound`.
    factors: [f64; 2],
    isa: Isa,
    /// The rows of x if they are few, padded with zeros: then rows of y are not packed.
    thin: Vec<T>,
    /// Rows of x in the panel.
    rows: usize,
    /// Room for a row.
    reader: Reader<T>,
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
        let (panel, block) = (Panel::new(most_rows, width)?, Block::new(y.rows(), width)?);
        let block_rows = block.rows();
        Ok(Self {
            metric,
            sign: if negated { -1.0 } else { 1.0 },
            x,
            y,
            centre,
            slices,
            panel,
            block,
            ahead: Ahead::none(),
            error: Strip::default(),
            factors: factors::<T>(width),
            isa,
            tile: room(block_rows, Strip::default())?,
            thin: room(Self::thin_cells(most_rows, width), T::default())?,
            rows: 0,
            reader: Reader::new(metric, width)?,
        })
    }

    /// What that takes.
    pub fn bytes(y_rows: usize, width: usize, most_rows: usize) -> usize {
        let tile = Block::<T>::most_rows(y_rows, width) * size_of::<Strip<T>>();
        let thin = Self::thin_cells(most_rows, width) * size_of::<T>();
        Panel::<T>::bytes(most_rows, width) + Block::<T>::bytes(y_rows, width) + tile + thin + Reader::<T>::bytes(width)
    }

    /// Elements that the few rows of a thin panel are kept in.
    fn thin_cells(most_rows: usize, width: usize) -> usize {
        if most_rows <= STRIP { FEW * width.next_multiple_of(STEP) } else { 0 }
    }

    /// Whether the values are other than the sums.
    fn has_epilogue(&self) -> bool {
        self.sign < 0.0 || !matches!(self.metric, Metric::Dot | Metric::Manhattan)
    }

    /// Makes row `index` of x or y in the room for one, and says what it brings.
    fn prepare(&mut self, of_x: bool, index: usize) -> Result<RowTraits> {
        let matrix = if of_x { &self.x } else { &self.y };
        self.reader.read(matrix, of_x, self.centre, index)
    }

    /// Whether rows of y are compared where they lie.
    fn is_thin(&self) -> bool {
        self.rows <= FEW && !self.thin.is_empty()
    }

    /// Thin mode for what is asked for most, products of rows that lie one after the other: nothing but loads and products
    /// for each row, so that the memory is what is waited for. False if it cannot be done.
    #[inline(always)]
    fn pack_products<L: Level>(&mut self, y: &Range<usize>) -> bool {
        let width = self.x.width();
        if !self.is_thin() || self.metric != Metric::Dot || self.has_epilogue() || width == 0 {
            return false;
        }
        let Some(values) = self.y.rows_slice::<T>(y.clone()) else { return false };
        let (padded, rows) = (width.next_multiple_of(STEP), self.rows.min(STRIP));
        let (mut ahead, lines) = self.far_ahead(y);
        let mut most = 0f64;
        let mut all_in_range = true;
        for (row, sums) in values.chunks_exact(width).zip(&mut self.tile) {
            ahead.ask(lines);
            let sum = sum_products_thin::<L, T, Multiply, true>(&self.thin, padded, row, &mut sums.0[..rows]);
            all_in_range &= in_range(sum);
            most = most.max(sum);
        }
        if all_in_range {
            self.block.terms = y_terms(&self.metric.traits(most));
            self.block.bias[..y.len()].fill(T::default());
            self.ahead = Ahead::none();
        }
        all_in_range
    }

    /// In thin mode, what is to be asked for while a block is read, and the lines for each row: the rows [`FAR`] behind
    /// those that are read, as all blocks are visited in order.
    fn far_ahead(&self, y: &Range<usize>) -> (Ahead, usize) {
        let far = (FAR / (self.y.width() * self.y.dtype().size()).max(1)).max(1);
        let later = |row: usize| (row + far).min(self.y.rows());
        let ahead = Ahead::new(self.y.span(later(y.start)..later(y.end)));
        let lines = ahead.lines().div_ceil(y.len().max(1));
        (ahead, lines)
    }

    /// Packs row `index` of y as row `j` of the block, or in thin mode sums its products into the tile.
    #[inline(always)]
    fn pack_row<L: Level>(&mut self, j: usize, index: usize) -> Result<()> {
        let thin = self.is_thin();
        let padded = self.reader.row.len().next_multiple_of(STEP);
        let rows = self.block.rows();
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
                    self.y.read(index, &mut self.reader.row);
                    if let (true, Some(centre)) = (thin, self.centre) {
                        self.reader
                            .row
                            .iter_mut()
                            .zip(centre)
                            .for_each(|(value, &centre)| *value = T::minus(*value, centre));
                    }
                    &self.reader.row
                }
            };
            let sums = &mut self.tile[j].0[..self.rows.min(STRIP)];
            let sum = match (self.metric, thin) {
                (Metric::Manhattan, true) => {
                    sum_products_thin::<L, T, Difference, false>(&self.thin, padded, values, sums)
                }
                (_, true) => sum_products_thin::<L, T, Multiply, true>(&self.thin, padded, values, sums),
                (Metric::Manhattan, false) => {
                    copy::<T, false>(values, None, &mut self.block.values[j * ROW..], rows * ROW)
                }
                _ => copy::<T, true>(values, self.centre, &mut self.block.values[j * ROW..], rows * ROW),
            };
            if in_range(sum) {
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
                            sum_products_thin::<L, T, Difference, false>(&self.thin, padded, &self.reader.row, sums)
                        }
                        _ => sum_products_thin::<L, T, Multiply, true>(&self.thin, padded, &self.reader.row, sums),
                    };
                } else {
                    copy::<T, true>(&self.reader.row, None, &mut self.block.values[j * ROW..], rows * ROW);
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

impl<T: Real + Element> Producer<T> for FloatTiles<'_, T> {
    fn block_rows(&self) -> usize {
        self.block.rows()
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
                self.thin[i * padded..][..width].copy_from_slice(&self.reader.row);
            } else {
                for (column, &value) in self.panel.columns[columns].iter_mut().zip(&self.reader.row) {
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
        if tiles.pack_products::<L>(&y) {
            tiles.block.y = y;
            return Ok(());
        }
        let (mut ahead, lines) = if tiles.is_thin() { tiles.far_ahead(&y) } else { (Ahead::none(), 0) };
        for (j, index) in y.clone().enumerate() {
            ahead.ask(lines);
            tiles.pack_row::<L>(j, index)?;
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
        let (width, rows, len) = (tiles.x.width(), tiles.block.rows(), tiles.block.y.len());
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
        tiles.error = errors(&tiles.panel.terms[strip], tiles.block.terms, tiles.factors);
    }
}
