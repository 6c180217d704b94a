//! A panel's rows of the matrix of similarities, and the three products of the engine.
//!
//! The sheet lies in blocks of [`COLUMNS`] columns, each with all its rows [`ROW`] elements apart: the micro-kernel writes
//! it, and reads it again along its rows (for x) and across them (for y), without another copy.

use super::embeddings::Side;
use super::{GROUP, sweeps};
use crate::error::Result;
use crate::pool::Context;
use crate::simd::{self, Floats, Isa, Level, Op, Real};
use crate::tile::kernel::{ROW, SLICE, STRIP, Strip, multiply};
use crate::tile::packed::room;
use std::ops::Range;

/// Columns in a block.
pub(super) const COLUMNS: usize = SLICE;

/// The most strips of columns of embeddings that a task makes gradients of.
const TASK_STRIPS: usize = 8;

/// What a task of the products takes for itself.
pub(super) fn task_bytes<T>(rows: usize, width: usize) -> usize {
    (TASK_STRIPS * STRIP * rows + STRIP * COLUMNS + STRIP * (width + 2 * SLICE)) * size_of::<T>()
}

/// The rows of registers of a level.
struct Step<T>(std::marker::PhantomData<T>);

impl<T: Real> Op for Step<T> {
    type Out = usize;
    #[inline(always)]
    fn run<L: Level>(self) -> usize {
        <T::Vector<L> as Floats>::ROWS
    }
}

/// `rows` and what the last step of the micro-kernel reads beyond.
fn padded<T: Real>(rows: usize, isa: Isa) -> usize {
    rows.next_multiple_of(simd::call(isa, Step::<T>(std::marker::PhantomData)))
}

/// Packed rows of x.
pub(super) struct Panel<T> {
    /// For each slice of columns, all rows, [`ROW`] apart.
    slices: Vec<T>,
    /// For each strip of columns, all rows.
    strips: Vec<Strip<T>>,
    most: usize,
    rows: usize,
    width: usize,
}

impl<T: Real> Panel<T> {
    pub fn new(rows: usize, width: usize, isa: Isa) -> Result<Self> {
        let most = padded::<T>(rows, isa);
        let slices = room(width.div_ceil(SLICE) * most * ROW, T::default())?;
        Ok(Self { slices, strips: room(width.div_ceil(STRIP) * most, Strip::default())?, most, rows: 0, width })
    }

    pub fn bytes(rows: usize, width: usize) -> usize {
        let of_row = width.div_ceil(SLICE) * ROW + width.div_ceil(STRIP) * STRIP;
        // And the products of the rows with y.
        rows.next_multiple_of(GROUP) * (of_row + width) * size_of::<T>()
    }

    /// Packs rows of x.
    pub fn pack(&mut self, x: &Side<'_, T>, rows: Range<usize>) {
        self.rows = rows.len();
        for (slice, out) in self.slices.chunks_mut((self.most * ROW).max(1)).enumerate() {
            x.copy(rows.clone(), slice * SLICE..x.width.min((slice + 1) * SLICE), out, ROW);
        }
        for (strip, out) in self.strips.chunks_mut(self.most).enumerate() {
            copy_strip(x, rows.clone(), strip, out);
        }
    }
}

/// Copies a strip of columns of some rows.
#[inline(always)]
fn copy_strip<T: Real>(side: &Side<'_, T>, rows: Range<usize>, strip: usize, out: &mut [Strip<T>]) {
    let columns = strip * STRIP..side.width.min((strip + 1) * STRIP);
    for (index, out) in rows.zip(out) {
        let (row, [power, scale]) = (&side.row(index)[columns.clone()], side.scale(index));
        match <&[T; STRIP]>::try_from(row) {
            Ok(row) => out.0 = row.map(|value| value.times(power).times(scale)),
            Err(_) => {
                *out = Strip::default();
                out.0.iter_mut().zip(row).for_each(|(out, value)| *out = value.times(power).times(scale));
            }
        }
    }
}

/// The rows of a panel, for all columns.
pub(super) struct Sheet<T> {
    blocks: Vec<T>,
    columns: usize,
    /// Elements of a block.
    block: usize,
    rows: usize,
}

impl<T: Real> Sheet<T> {
    pub fn new(rows: usize, columns: usize, isa: Isa) -> Result<Self> {
        let block = padded::<T>(rows, isa) * ROW;
        Ok(Self { blocks: room(columns.div_ceil(COLUMNS) * block, T::default())?, columns, block, rows: 0 })
    }

    pub fn bytes(rows: usize, columns: usize) -> usize {
        columns.div_ceil(COLUMNS) * rows.next_multiple_of(GROUP) * ROW * size_of::<T>()
    }

    /// The columns of a block.
    fn range(&self, block: usize) -> Range<usize> {
        block * COLUMNS..self.columns.min((block + 1) * COLUMNS)
    }

    /// Products of the panel's rows with all rows of y.
    pub fn multiply(&mut self, panel: &Panel<T>, y: &Side<'_, T>, threads: usize, context: &Context) -> Result<()> {
        self.rows = panel.rows;
        let ranges: Vec<_> = (0..self.columns.div_ceil(COLUMNS)).map(|block| self.range(block)).collect();
        let tasks: Vec<_> = self.blocks.chunks_mut(self.block).zip(ranges).collect();
        let each = |(out, columns): (&mut [T], Range<usize>)| {
            context.check()?;
            simd::call(context.isa, Multiply { panel, y, columns, out });
            Ok(())
        };
        context.map(threads, tasks, each)?.into_iter().collect()
    }

    /// The pieces of each row, a list of rows for each task of `count` rows.
    pub fn rows(&mut self, rows: usize, count: usize) -> Vec<Vec<Vec<&mut [T]>>> {
        let mut tasks: Vec<Vec<Vec<&mut [T]>>> = Vec::with_capacity(rows.div_ceil(count));
        for first in (0..rows).step_by(count) {
            tasks.push(
                (first..rows.min(first + count)).map(|_| Vec::with_capacity(self.columns.div_ceil(COLUMNS))).collect(),
            );
        }
        for block in self.blocks.chunks_mut(self.block) {
            for (row, piece) in block.chunks_mut(ROW).take(rows).enumerate() {
                tasks[row / count][row % count].push(piece);
            }
        }
        tasks
    }

    /// The blocks with their columns.
    pub fn blocks(&self) -> impl Iterator<Item = (Range<usize>, &[T])> {
        self.blocks.chunks(self.block.max(1)).enumerate().map(|(block, values)| (self.range(block), values))
    }

    /// The rows of the sheet times the rows of y.
    pub fn row_products(&self, y: &Side<'_, T>, threads: usize, context: &Context) -> Result<Vec<T>> {
        let strips = y.width.div_ceil(STRIP);
        let tasks: Vec<_> =
            (0..strips).step_by(TASK_STRIPS).map(|first| first..strips.min(first + TASK_STRIPS)).collect();
        let each = |strips: Range<usize>| {
            let mut sums = vec![T::default(); self.rows * strips.len() * STRIP];
            let mut packed = vec![Strip::default(); COLUMNS];
            for (columns, values) in self.blocks() {
                context.check()?;
                let (strips, packed, sums) = (strips.clone(), packed.as_mut_slice(), sums.as_mut_slice());
                simd::call(context.isa, AddRows { values, rows: self.rows, y, columns, strips, packed, sums });
            }
            Ok((strips, sums))
        };
        let mut out = vec![T::default(); self.rows * y.width];
        for result in context.map(threads, tasks, each)? {
            let (strips, sums) = result?;
            let columns = strips.start * STRIP..y.width.min(strips.end * STRIP);
            for (out, sums) in out.chunks_mut(y.width.max(1)).zip(sums.chunks(strips.len() * STRIP)) {
                out[columns.clone()].copy_from_slice(&sums[..columns.len()]);
            }
        }
        Ok(out)
    }

    /// Adds to `out` the columns of the sheet times the rows of the panel. With `own`, the rows of the panel, which are
    /// also rows of `out`, get these sums first, each before its own group's.
    pub fn add_columns(
        &self,
        panel: &Panel<T>,
        out: &mut [T],
        own: Option<(Range<usize>, &[T])>,
        threads: usize,
        context: &Context,
    ) -> Result<()> {
        let tasks: Vec<_> = out.chunks_mut((COLUMNS * panel.width).max(1)).zip(self.blocks()).collect();
        let each = |(out, (columns, values)): (&mut [T], (Range<usize>, &[T]))| {
            context.check()?;
            simd::call(context.isa, AddColumns { values, panel, columns, out, own: own.clone() });
            Ok(())
        };
        context.map(threads, tasks, each)?.into_iter().collect()
    }

    /// Adds to `sums` the sums of the columns.
    pub fn add_sums(&self, rows: usize, sums: &mut [T], isa: Isa) {
        for (columns, values) in self.blocks() {
            let sums = &mut sums[columns];
            for group in (0..rows).step_by(GROUP) {
                let mut of_group = vec![T::default(); sums.len()];
                for row in group..rows.min(group + GROUP) {
                    sweeps::add(isa, &mut of_group, &values[row * ROW..][..sums.len()]);
                }
                sweeps::add(isa, sums, &of_group);
            }
        }
    }
}

/// Products of a panel with some rows of y.
struct Multiply<'a, T: Clone> {
    panel: &'a Panel<T>,
    y: &'a Side<'a, T>,
    columns: Range<usize>,
    out: &'a mut [T],
}

impl<T: Real> Op for Multiply<'_, T> {
    type Out = ();
    #[inline(always)]
    fn run<L: Level>(self) {
        let Self { panel, y, columns, out } = self;
        let mut packed = vec![Strip::default(); SLICE.min(panel.width)];
        let mut row = [T::default(); SLICE];
        for (slice, a) in panel.slices.chunks(panel.most * ROW).enumerate() {
            let of_slice = slice * SLICE..panel.width.min((slice + 1) * SLICE);
            let packed = &mut packed[..of_slice.len()];
            for strip in (0..columns.len()).step_by(STRIP) {
                let lanes = STRIP.min(columns.len() - strip);
                for lane in 0..lanes {
                    let index = columns.start + strip + lane;
                    y.copy(index..index + 1, of_slice.clone(), &mut row, SLICE);
                    packed.iter_mut().zip(&row).for_each(|(column, &value)| column.0[lane] = value);
                }
                multiply::<L, T, false>(a, packed, &mut out[strip..], ROW, [panel.rows, lanes], slice > 0);
            }
        }
        if panel.width == 0 {
            out.fill(T::default());
        }
    }
}

/// Adds the products of a block's rows with its rows of y, for some strips of columns.
struct AddRows<'a, T: Clone> {
    values: &'a [T],
    rows: usize,
    y: &'a Side<'a, T>,
    columns: Range<usize>,
    strips: Range<usize>,
    packed: &'a mut [Strip<T>],
    sums: &'a mut [T],
}

impl<T: Real> Op for AddRows<'_, T> {
    type Out = ();
    #[inline(always)]
    fn run<L: Level>(self) {
        let Self { values, rows, y, columns, strips, packed, sums } = self;
        let stride = strips.len() * STRIP;
        let packed = &mut packed[..columns.len()];
        for (i, strip) in strips.enumerate() {
            copy_strip(y, columns.clone(), strip, packed);
            multiply::<L, T, false>(values, packed, &mut sums[i * STRIP..], stride, [rows, STRIP], true);
        }
    }
}

/// Adds the products of a block's columns with the panel.
struct AddColumns<'a, T> {
    values: &'a [T],
    panel: &'a Panel<T>,
    columns: Range<usize>,
    out: &'a mut [T],
    own: Option<(Range<usize>, &'a [T])>,
}

impl<T: Real> Op for AddColumns<'_, T> {
    type Out = ();
    #[inline(always)]
    fn run<L: Level>(self) {
        let Self { values, panel, columns, out, own } = self;
        let width = panel.width;
        for (strip, rows) in panel.strips.chunks(panel.most).enumerate() {
            let (first, used) = (strip * STRIP, STRIP.min(width - strip * STRIP));
            for group in (0..panel.rows).step_by(GROUP) {
                let end = panel.rows.min(group + GROUP);
                if let Some((place, sums)) = &own {
                    let here = columns.start.max(place.start + group)..columns.end.min(place.start + end);
                    for row in here {
                        let out = &mut out[(row - columns.start) * width + first..][..used];
                        let sums = &sums[(row - place.start) * width + first..][..used];
                        out.iter_mut().zip(sums).for_each(|(out, &sum)| *out = out.plus(sum));
                    }
                }
                let (values, rows) = (&values[group * ROW..], &rows[group..end]);
                multiply::<L, T, true>(values, rows, &mut out[first..], width, [columns.len(), used], true);
            }
        }
    }
}
