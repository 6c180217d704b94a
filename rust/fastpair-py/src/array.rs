//! What the extension sees of numpy arrays: dtype, shape, strides and bytes, without a copy and without numpy's types.
//!
//! The only unsafe code of this crate: borrowing the memory of an array for the time of a call. Another Python thread
//! may write to it meanwhile, as it may under any numpy function; then numbers are meaningless, but the kernels check
//! every index that they derive from them.

use crate::door::to_python;
use fastpair_core::Error;
use fastpair_core::column::{Column, Dtype};
use fastpair_core::matrix::Matrix;
use numpy::{PyArrayDescrMethods, PyUntypedArray, PyUntypedArrayMethods};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyString, PyType};

/// A numpy array whose dtype a [`Column`] can have.
pub struct Array<'py> {
    /// The array itself: keeps the memory alive.
    array: Bound<'py, PyUntypedArray>,
    dtype: Dtype,
    swapped: bool,
}

impl<'py> Array<'py> {
    /// Looks at an array; `advice` says what to pass instead if its dtype cannot be used.
    pub fn new(array: Bound<'py, PyUntypedArray>, argument: &'static str, advice: &'static str) -> PyResult<Self> {
        let descr = array.dtype();
        let dtype = match (descr.kind(), descr.itemsize()) {
            (b'b', 1) => Some(Dtype::Bool),
            (b'i', 1) => Some(Dtype::I8),
            (b'i', 2) => Some(Dtype::I16),
            (b'i', 4) => Some(Dtype::I32),
            (b'i', 8) => Some(Dtype::I64),
            (b'u', 1) => Some(Dtype::U8),
            (b'u', 2) => Some(Dtype::U16),
            (b'u', 4) => Some(Dtype::U32),
            (b'u', 8) => Some(Dtype::U64),
            (b'f', 2) => Some(Dtype::F16),
            (b'f', 4) => Some(Dtype::F32),
            (b'f', 8) => Some(Dtype::F64),
            (_, 2) if is_bfloat16(&descr.typeobj())? => Some(Dtype::Bf16),
            _ => None,
        };
        let native = if cfg!(target_endian = "little") { b'<' } else { b'>' };
        let swapped = !matches!(descr.byteorder(), b'=' | b'|') && descr.byteorder() != native;
        match dtype {
            Some(dtype) => Ok(Self { array, dtype, swapped }),
            None => Err(to_python(Error::Dtype { argument, dtype: descr.to_string(), advice })),
        }
    }

    /// The lengths of its axes.
    pub fn shape(&self) -> &[usize] {
        self.array.shape()
    }

    /// The element type.
    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// Number of series: products of all axes but the last.
    pub fn series(&self) -> usize {
        self.shape().split_last().map_or(0, |(_, outer)| outer.iter().product())
    }

    /// The array as a matrix; it must have two axes.
    pub fn matrix(&self) -> PyResult<Matrix<'_>> {
        let (&[rows, width], &[row_stride, stride]) = (self.array.shape(), self.array.strides()) else {
            return Err(PyValueError::new_err(format!("an array of shape {:?} is no matrix", self.array.shape())));
        };
        if rows == 0 || width == 0 {
            return Ok(Matrix::new(&[], 0, [0, 0], [rows, width], self.dtype, self.swapped));
        }
        let reach = |stride: isize, len: usize| stride * (len as isize - 1);
        let ends = [reach(row_stride, rows), reach(stride, width)];
        let before: isize = ends.iter().map(|&end| -end.min(0)).sum();
        let after: isize = ends.iter().map(|&end| end.max(0)).sum();
        // SAFETY: as for `column`: the lowest element lies `before` bytes below the first, the highest `after` above.
        let bytes = unsafe {
            let data = (*self.array.as_array_ptr()).fields.data.cast::<u8>().offset(-before);
            std::slice::from_raw_parts(data, (before + after) as usize + self.dtype.size())
        };
        Ok(Matrix::new(bytes, before as usize, [row_stride, stride], [rows, width], self.dtype, self.swapped))
    }

    /// Series `index`, counted in C order, along the last axis; the only one if the array has one axis.
    pub fn column(&self, index: usize) -> Column<'_> {
        let (shape, strides) = (self.array.shape(), self.array.strides());
        let Some((&len, outer)) = shape.split_last() else { return Column::from_slice::<u8>(&[]) };
        let (mut offset, mut rest) = (0isize, index);
        for (axis, &length) in outer.iter().enumerate().rev() {
            offset += strides[axis] * (rest % length) as isize;
            rest /= length;
        }
        if len == 0 {
            return Column::new(&[], 0, 0, 0, self.dtype, self.swapped);
        }
        let stride = strides[outer.len()];
        let span = stride.unsigned_abs() * (len - 1);
        let first = if stride < 0 { span } else { 0 };
        // SAFETY: numpy promises that all elements of the array lie in memory that lives as long as the array, which
        // `self` holds; `first` bytes before the series' first element is its lowest, and `span` leads to its highest.
        let bytes = unsafe {
            let data = (*self.array.as_array_ptr()).fields.data.cast::<u8>().offset(offset).sub(first);
            std::slice::from_raw_parts(data, span + self.dtype.size())
        };
        Column::new(bytes, first, stride, len, self.dtype, self.swapped)
    }
}

/// The element type that the package ml_dtypes adds to numpy.
fn is_bfloat16(scalar: &Bound<'_, PyType>) -> PyResult<bool> {
    Ok(scalar.name()?.as_any().cast::<PyString>()?.to_str()? == "bfloat16")
}
