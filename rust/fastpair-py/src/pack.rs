//! Rows packed for filters, for Python.

use crate::array::Array;
use crate::door::{Limits, Size, run_long};
use crate::search::{EMBEDDINGS, filter_by_name};
use fastpair_core::Isa;
use fastpair_core::pool::Scratch;
use fastpair_core::tile::PackedRows;
use fastpair_core::tile::filter::form_to_pack;
use fastpair_core::tile::metric::Metric;
use numpy::{PyArray1, PyArrayMethods, PyUntypedArray};
use pyo3::exceptions::{PyMemoryError, PyValueError};
use pyo3::prelude::*;

/// What the addresses of packed rows are multiples of.
const ALIGNMENT: usize = 64;

/// Rows of `y` in few bits for searches by this filter, as `topk` and `radius` take them; None if it has none, or none that
/// is worth it.
#[pyfunction]
#[pyo3(signature = (y, metric, filter, num_threads, max_memory=None))]
pub fn pack<'py>(
    py: Python<'py>,
    y: Bound<'py, PyUntypedArray>,
    metric: &str,
    filter: &str,
    num_threads: Option<usize>,
    max_memory: Option<usize>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    let metric = Metric::by_name(metric)
        .ok_or_else(|| PyValueError::new_err(format!("metric must be one of fastpair's, not {metric:?}")))?;
    let filter = filter_by_name(filter)?;
    let array = Array::new(y, "y", EMBEDDINGS)?;
    let matrix = array.matrix()?;
    let shape = [matrix.rows(), matrix.width()];
    let Some(form) = form_to_pack(filter, metric, shape, Isa::current()) else { return Ok(None) };
    let room = PackedRows::most_bytes(form, shape);
    let mut bytes = Vec::new();
    let refused = || PyMemoryError::new_err(format!("no room for {room} bytes of packed rows"));
    bytes.try_reserve_exact(room + ALIGNMENT).map_err(|_| refused())?;
    bytes.resize(room + ALIGNMENT, 0u8);
    let packed = PyArray1::from_vec(py, bytes);
    let mut writable = packed.readwrite();
    let bytes = writable.as_slice_mut()?;
    let begin = bytes.as_ptr().align_offset(ALIGNMENT).min(ALIGNMENT);
    let size = Size { cost: shape[0].saturating_mul(shape[1] / 16 + 1), steps: shape[0] };
    let limits = Limits { threads: num_threads, scratch: Scratch { most: max_memory, held: 0 } };
    let used = run_long(py, size, None, limits, |context| {
        PackedRows::pack(metric, form, matrix, &mut bytes[begin..], context)
    })?;
    drop(writable);
    let part = pyo3::types::PySlice::new(py, begin as isize, (begin + used) as isize, 1);
    packed.get_item(part).map(Some)
}
