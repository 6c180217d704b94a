//! Radius search, for Python.

use crate::door::run_long;
use crate::search::{Pair, Rules, size};
use numpy::{IntoPyArray, PyArray1, PyReadonlyArray1, PyUntypedArray};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// Offsets, indices and scores of the hits.
type Hits<'py> = (Bound<'py, PyArray1<i64>>, Bound<'py, PyArray1<i64>>, Bound<'py, PyArray1<f64>>);

/// All pairs whose score reaches the threshold of their row, in compressed rows.
#[pyfunction]
#[pyo3(signature = (x, y, metric, largest, rules, threshold, max_hits, sort, progress, num_threads, max_memory=None,
    filter="auto", packed=None))]
#[allow(clippy::too_many_arguments)] // one for each of Python's
pub fn radius<'py>(
    py: Python<'py>,
    x: Bound<'py, PyUntypedArray>,
    y: Bound<'py, PyUntypedArray>,
    metric: &str,
    largest: bool,
    rules: Rules<'py>,
    threshold: PyReadonlyArray1<'py, f64>,
    max_hits: Option<usize>,
    sort: bool,
    progress: Option<Bound<'py, PyAny>>,
    num_threads: Option<usize>,
    max_memory: Option<usize>,
    filter: &str,
    packed: Option<PyReadonlyArray1<'py, u8>>,
) -> PyResult<Hits<'py>> {
    let pair = Pair::new(x, y, metric)?;
    let limits = rules.limits(num_threads, max_memory);
    let search = pair.filtered(largest, &rules, filter, packed.as_ref())?;
    let threshold = threshold.as_slice()?;
    if threshold.len() != search.x.rows() {
        return Err(PyValueError::new_err("threshold must have one entry for each row of x"));
    }
    let most = max_hits.unwrap_or(usize::MAX);
    let hits = run_long(py, size(&search), progress, limits, |context| search.radius(threshold, most, sort, context))?;
    Ok((hits.offsets.into_pyarray(py), hits.indices.into_pyarray(py), hits.scores.into_pyarray(py)))
}
