//! Packed rows: panels of x, transposed into strips, and blocks of y, cut into slices.

use super::kernel::{BLOCK, ROW, SLICE, STRIP, Strip};
use crate::error::{Error, Result};
use crate::matrix::Matrix;
use crate::simd::Real;
use std::ops::Range;

/// Rows of x in a panel, if they are not too long.
const PANEL: usize = 448;

/// Bytes that a panel or a block may take; rows that are long make them smaller, down to one strip or step.
const MOST_BYTES: usize = 4 << 20;

/// The packed rows of x: for each strip, its columns.
pub(crate) struct Panel<T> {
    pub strips: usize,
    pub columns: Vec<Strip<T>>,
    pub scale: Vec<Strip<T>>,
    pub bias: Vec<Strip<T>>,
    /// What each row brings to the bound: see `bound`.
    pub terms: Vec<[Strip<T>; 4]>,
}

/// The packed rows of y: for each slice, [`BLOCK`] rows.
pub(crate) struct Block<T> {
    pub values: Vec<T>,
    pub scale: Vec<T>,
    pub bias: Vec<T>,
    /// The largest of what the rows bring to the bound.
    pub terms: [f64; 4],
    /// The rows.
    pub y: Range<usize>,
    /// Lines of the next block to ask for with each slice of a strip.
    pub lines: usize,
}

impl<T: Real> Panel<T> {
    /// Room for `most_rows` rows, of which [`panel_rows`] is a good number.
    pub fn new(most_rows: usize, width: usize) -> Result<Self> {
        let strips = most_rows.div_ceil(STRIP);
        Ok(Self {
            strips: 0,
            columns: room(strips * width, Strip::default())?,
            scale: room(strips, Strip::default())?,
            bias: room(strips, Strip::default())?,
            terms: room(strips, [Strip::default(); 4])?,
        })
    }

    /// What that takes.
    pub fn bytes(most_rows: usize, width: usize) -> usize {
        most_rows.div_ceil(STRIP) * size_of::<Strip<T>>() * (width + 2 + 4)
    }
}

impl<T: Real> Block<T> {
    /// Room for as many rows of a matrix of `rows` as are packed together.
    pub fn new(rows: usize, width: usize) -> Result<Self> {
        let rows = Self::most_rows(rows, width);
        Ok(Self {
            values: room(Self::cells(rows, width), T::default())?,
            scale: room(rows, T::default())?,
            bias: room(rows, T::default())?,
            terms: [0.0; 4],
            y: 0..0,
            lines: 0,
        })
    }

    /// How many these are.
    pub fn most_rows(rows: usize, width: usize) -> usize {
        rows_that_fit(width, size_of::<T>(), BLOCK, STEP).min(rows.next_multiple_of(STEP).max(STEP))
    }

    fn cells(rows: usize, width: usize) -> usize {
        width.div_ceil(SLICE).max(1) * rows * ROW
    }

    /// What [`Block::new`] takes.
    pub fn bytes(rows: usize, width: usize) -> usize {
        let rows = Self::most_rows(rows, width);
        (Self::cells(rows, width) + 2 * rows) * size_of::<T>()
    }

    /// The most rows it has room for.
    pub fn rows(&self) -> usize {
        self.scale.len()
    }
}

/// A multiple of every level's rows of registers.
const STEP: usize = 42;

/// A vector of `len`.
pub(crate) fn room<T: Clone>(len: usize, value: T) -> Result<Vec<T>> {
    let mut vector = Vec::new();
    vector.try_reserve_exact(len).map_err(|_| Error::OutOfMemory { bytes: len * size_of::<T>() })?;
    vector.resize(len, value);
    Ok(vector)
}

/// Bytes in a cache line.
const LINE: usize = 64;

/// Bytes that begin with a cache line.
pub(crate) struct Lines {
    bytes: Vec<u8>,
    begin: usize,
    len: usize,
}

impl Lines {
    /// So many, zeros.
    pub fn new(len: usize) -> Result<Self> {
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(len + LINE).map_err(|_| Error::OutOfMemory { bytes: len + LINE })?;
        bytes.resize(len + LINE, 0);
        let begin = bytes.as_ptr().align_offset(LINE).min(LINE);
        Ok(Self { bytes, begin, len })
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[self.begin..self.begin + self.len]
    }

    /// The bytes, to write.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[self.begin..self.begin + self.len]
    }
}

/// As many rows of `width` elements of `size` bytes as make a panel.
pub(crate) fn panel_rows(width: usize, size: usize) -> usize {
    rows_that_fit(width, size, PANEL, STRIP)
}

/// As many rows of `width` elements of `size` bytes as may be packed, at most `most`, a multiple of `step`.
fn rows_that_fit(width: usize, size: usize, most: usize, step: usize) -> usize {
    (MOST_BYTES / (width.max(1) * size) / step * step).clamp(step, most)
}

/// Copies a row into the slices of a block, `step` elements apart, moved by the centre, and returns the sum of its squares
/// or else magnitudes.
#[inline(always)]
pub(crate) fn copy<T: Real, const SQUARES: bool>(values: &[T], centre: Option<&[T]>, to: &mut [T], step: usize) -> f64 {
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
