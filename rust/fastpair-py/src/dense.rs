//! Matrices of scores, and scores of aligned rows, for Python.

use crate::door::{Limits, run_long};
use crate::search::{Pair, size};
use fastpair_core::pool::Scratch;
use fastpair_core::tile::Search;
use numpy::{IntoPyArray, PyArray1, PyReadwriteArray2, PyUntypedArray, PyUntypedArrayMethods};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// A search that admits all pairs.
fn search<'a>(pair: &'a Pair) -> PyResult<Search<'a>> {
    let (x, y) = pair.matrices()?;
    Ok(Search { largest: true, ..Search::new(x, y, pair.metric) })
}

/// Writes the scores of all pairs to `out`, computed in its dtype; `exact` ones are float64 and as they are defined. `held`
/// bytes of `max_memory` are taken already.
#[pyfunction]
#[pyo3(signature = (x, y, metric, out, exact, num_threads, max_memory=None, held=0))]
#[allow(clippy::too_many_arguments)] // one for each of Python's
pub fn pairwise<'py>(
    py: Python<'py>,
    x: Bound<'py, PyUntypedArray>,
    y: Bound<'py, PyUntypedArray>,
    metric: &str,
    out: Bound<'py, PyUntypedArray>,
    exact: bool,
    num_threads: Option<usize>,
    max_memory: Option<usize>,
    held: usize,
) -> PyResult<()> {
    let pair = Pair::new(x, y, metric)?;
    let search = search(&pair)?;
    if out.shape() != [search.x.rows(), search.y.rows()] {
        return Err(PyValueError::new_err("out must have a row for each row of x and a column for each of y"));
    }
    let size = size(&search);
    let limits = Limits { threads: num_threads, scratch: Scratch { most: max_memory, held } };
    if let Ok(mut out) = out.extract::<PyReadwriteArray2<f64>>() {
        let out = out.as_slice_mut()?;
        return run_long(py, size, None, limits, |context| {
            if exact || search.metric.is_of_bits() {
                search.dense_exact(out, context)
            } else {
                search.dense(out, context)
            }
        });
    }
    if let Ok(mut out) = out.extract::<PyReadwriteArray2<f32>>()
        && !exact
    {
        let out = out.as_slice_mut()?;
        return run_long(py, size, None, limits, |context| {
            if search.is_of_integers(context) {
                search.dense_of_integers(out, context)
            } else {
                search.dense(out, context)
            }
        });
    }
    Err(PyValueError::new_err("out must be a writable C-contiguous matrix of float32 or float64, float64 if exact"))
}

/// The exact scores of aligned rows.
#[pyfunction]
#[pyo3(signature = (x, y, metric, num_threads))]
pub fn rowwise<'py>(
    py: Python<'py>,
    x: Bound<'py, PyUntypedArray>,
    y: Bound<'py, PyUntypedArray>,
    metric: &str,
    num_threads: Option<usize>,
) -> PyResult<Bound<'py, PyArray1<f64>>> {
    let pair = Pair::new(x, y, metric)?;
    let search = search(&pair)?;
    if search.x.rows() != search.y.rows() {
        let text = format!("x has {} rows but y has {}; pass aligned rows", search.x.rows(), search.y.rows());
        return Err(PyValueError::new_err(text));
    }
    let mut size = size(&search);
    size.cost /= search.x.rows().max(1);
    let limits = Limits { threads: num_threads, ..Limits::default() };
    let mut out = vec![0.0; search.x.rows()];
    run_long(py, size, None, limits, |context| search.rowwise(&mut out, context))?;
    Ok(out.into_pyarray(py))
}
