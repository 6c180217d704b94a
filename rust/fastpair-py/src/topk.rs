//! Exact top-k, for Python.

use crate::door::run_long;
use crate::search::{Pair, Rules, size};
use numpy::{PyReadonlyArray1, PyReadwriteArray1, PyReadwriteArray2, PyUntypedArray, PyUntypedArrayMethods};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// Improves the best scores and indices of each row of `x`, in place, by what `y` has; `above` gains how many pairs of each
/// row count but for a score that is better than the limits allow.
#[pyfunction]
#[pyo3(signature = (x, y, metric, largest, rules, scores, indices, progress, num_threads, max_memory=None, above=None,
    filter="auto", packed=None))]
#[allow(clippy::too_many_arguments)] // one for each of Python's
pub fn topk<'py>(
    py: Python<'py>,
    x: Bound<'py, PyUntypedArray>,
    y: Bound<'py, PyUntypedArray>,
    metric: &str,
    largest: bool,
    rules: Rules<'py>,
    mut scores: PyReadwriteArray2<'py, f64>,
    mut indices: PyReadwriteArray2<'py, i64>,
    progress: Option<Bound<'py, PyAny>>,
    num_threads: Option<usize>,
    max_memory: Option<usize>,
    above: Option<PyReadwriteArray1<'py, i64>>,
    filter: &str,
    packed: Option<PyReadonlyArray1<'py, u8>>,
) -> PyResult<()> {
    let pair = Pair::new(x, y, metric)?;
    let limits = rules.limits(num_threads, max_memory);
    let search = pair.filtered(largest, &rules, filter, packed.as_ref())?;
    let (rows, k) = (search.x.rows(), scores.shape()[1]);
    if scores.shape() != [rows, k] || indices.shape() != [rows, k] {
        return Err(PyValueError::new_err("scores and indices must have k places for each row of x"));
    }
    let (scores, indices) = (scores.as_slice_mut()?, indices.as_slice_mut()?);
    let (mut above, mut unwanted) = (above, Vec::new());
    let above = match &mut above {
        Some(above) if above.len() == rows => above.as_slice_mut()?,
        Some(_) => return Err(PyValueError::new_err("above must have a place for each row of x")),
        None => {
            unwanted.resize(rows, 0);
            &mut unwanted[..]
        }
    };
    run_long(py, size(&search), progress, limits, |context| search.topk(k, scores, indices, above, context))
}
