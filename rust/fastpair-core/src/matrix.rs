//! Borrowed matrices of any dtype and layout: rows of embeddings, read as floats.

use crate::column::{Column, Dtype, with_element};
use crate::error::{Error, Result};
use crate::key::Element;
use crate::simd::Real;
use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};
use std::any::TypeId;

/// A borrowed strided matrix.
#[derive(Debug, Clone, Copy)]
pub struct Matrix<'a> {
    bytes: &'a [u8],
    first: usize,
    strides: [isize; 2],
    rows: usize,
    width: usize,
    dtype: Dtype,
    swapped: bool,
}

impl<'a> Matrix<'a> {
    /// The elements at byte offsets `first + i * strides[0] + k * strides[1]` of `bytes`, `i < rows`, `k < width`;
    /// `swapped` if they are of the other byte order.
    ///
    /// # Panics
    /// If an element lies outside `bytes`.
    pub fn new(
        bytes: &'a [u8],
        first: usize,
        strides: [isize; 2],
        [rows, width]: [usize; 2],
        dtype: Dtype,
        swapped: bool,
    ) -> Self {
        let matrix = Self { bytes, first, strides, rows, width, dtype, swapped };
        if rows > 0 {
            // Rows lie between the first and the last, and a column checks itself.
            matrix.row(0);
            matrix.row(rows - 1);
        }
        matrix
    }

    /// A contiguous matrix of rows of `width`.
    pub fn from_slice<T: crate::column::HasDtype>(values: &'a [T], width: usize) -> Self {
        let (size, rows) = (size_of::<T>() as isize, values.len().checked_div(width).unwrap_or(0));
        Self::new(bytemuck::cast_slice(values), 0, [size * width as isize, size], [rows, width], T::DTYPE, false)
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of elements of a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// The element type.
    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// Row `index`.
    #[inline(always)]
    pub fn row(&self, index: usize) -> Column<'a> {
        assert!(index < self.rows, "row of a matrix out of range");
        let first = (self.first as isize + self.strides[0] * index as isize) as usize;
        Column::new(self.bytes, first, self.strides[1], self.width, self.dtype, self.swapped)
    }

    /// Where rows lie in memory, if they do so without gaps.
    pub(crate) fn span(&self, rows: std::ops::Range<usize>) -> std::ops::Range<*const u8> {
        let size = self.dtype.size();
        if self.strides != [(self.width * size) as isize, size as isize] || rows.end > self.rows {
            return std::ptr::null()..std::ptr::null();
        }
        let from = self.first + rows.start * self.width * size;
        self.bytes[from..from + rows.len() * self.width * size].as_ptr_range()
    }

    /// Whether both are the same elements of the same memory.
    pub fn is(&self, other: &Self) -> bool {
        let place = |m: &Self| (m.bytes.as_ptr(), m.first, m.strides, m.rows, m.width, m.dtype);
        place(self) == place(other)
    }

    /// Row `index` as it lies in memory, if it does so as `T`.
    #[inline(always)]
    pub(crate) fn row_slice<T: Real + Element>(&self, index: usize) -> Option<&'a [T]> {
        let own = match self.dtype {
            Dtype::F32 => TypeId::of::<T>() == TypeId::of::<f32>(),
            Dtype::F64 => TypeId::of::<T>() == TypeId::of::<f64>(),
            _ => false,
        };
        if own { self.row(index).as_slice(0, self.width) } else { None }
    }

    /// Rows as they lie in memory, one after the other, if they do so as `T`.
    pub(crate) fn rows_slice<T: Real + Element>(&self, rows: std::ops::Range<usize>) -> Option<&'a [T]> {
        let (first, last) = (self.row_slice::<T>(rows.start)?, self.row_slice::<T>(rows.end - 1)?);
        let span = self.span(rows.clone());
        if span.start != first.as_ptr().cast() || span.end != last.as_ptr_range().end.cast() {
            return None;
        }
        let from = self.first + rows.start * self.width * size_of::<T>();
        bytemuck::try_cast_slice(&self.bytes[from..from + rows.len() * self.width * size_of::<T>()]).ok()
    }

    /// Writes row `index` as floats of type `T`, rounded to the nearest.
    pub(crate) fn read<T: Real>(&self, index: usize, out: &mut [T]) {
        let row = self.row(index);
        match self.dtype {
            // The conversions one by one would be slow.
            Dtype::F16 if let Some(values) = row.as_slice::<f16>(0, self.width) => {
                let mut part = [0f32; 64];
                for (out, values) in out.chunks_mut(64).zip(values.chunks(64)) {
                    values.convert_to_f32_slice(&mut part[..values.len()]);
                    out.iter_mut().zip(&part).for_each(|(out, &value)| *out = T::rounded(value.into()));
                }
            }
            Dtype::Bf16 if let Some(values) = row.as_slice::<bf16>(0, self.width) => {
                let widen = |value: &bf16| f32::from_bits(u32::from(value.to_bits()) << 16);
                out.iter_mut().zip(values).for_each(|(out, value)| *out = T::rounded(widen(value).into()));
            }
            _ => with_element!(self.dtype, E => row.fill(0, out, |value: E| T::rounded(value.to_f64()))),
        }
    }

    /// The error that names the first element of row `index` that is not finite.
    #[cold]
    #[inline(never)]
    pub(crate) fn not_finite(&self, argument: &'static str, index: usize) -> Error {
        let mut values = vec![0f64; self.width];
        self.read(index, &mut values);
        let column = values.iter().position(|value| !value.is_finite()).unwrap_or(0);
        Error::NotFinite { argument, value: values[column].to_string(), row: index, column }
    }

    /// Fails if an element of row `index` is not finite.
    pub(crate) fn check_row(&self, argument: &'static str, index: usize, values: &[f64]) -> Result<()> {
        let finite = values.iter().fold(true, |finite, value| finite & value.is_finite());
        if finite { Ok(()) } else { Err(self.not_finite(argument, index)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read_in_any_layout_and_dtype() {
        let values: Vec<f32> = (0..24).map(|i| i as f32 - 11.5).collect();
        let plain = Matrix::from_slice(&values, 6);
        assert_eq!((plain.rows(), plain.width()), (4, 6));
        assert_eq!(plain.row_slice::<f32>(2), Some(&values[12..18]));
        assert_eq!(plain.row_slice::<f64>(2), None);
        let bytes = bytemuck::cast_slice(&values);
        let transposed_backwards = Matrix::new(bytes, 92, [-4, -24], [6, 4], Dtype::F32, false);
        let mut out = [0f64; 4];
        transposed_backwards.read(1, &mut out);
        assert_eq!(out, [22, 16, 10, 4].map(|i| f64::from(values[i])));
        let half: Vec<f16> = values.iter().map(|&v| f16::from_f32(v)).collect();
        let brain: Vec<bf16> = values.iter().map(|&v| bf16::from_f32(v)).collect();
        let mut a = [0f32; 6];
        Matrix::from_slice(&half, 6).read(3, &mut a);
        assert_eq!(a, values[18..]);
        Matrix::from_slice(&brain, 6).read(3, &mut a);
        assert_eq!(a, values[18..]);
        let bad = [1.0, f64::NAN];
        let error = Matrix::from_slice(&bad, 2).not_finite("x", 0);
        assert_eq!(error, Error::NotFinite { argument: "x", value: "NaN".into(), row: 0, column: 1 });
    }
}
