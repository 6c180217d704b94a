//! Reductions of the matrix of scores, for Python.

use crate::door::run_long;
use crate::search::{Pair, Rules, size};
use fastpair_core::tile::reduce::{Bins, Reduction};
use numpy::{IntoPyArray, PyArray1, PyArray2, PyArrayMethods, PyReadonlyArray1, PyUntypedArray};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// One number for each row of `x`: `op` is "count" (of scores that reach `threshold`), "mean" or "logsumexp" (of scores
/// times `scale`); in float64 if `wide`.
#[pyfunction]
#[pyo3(signature = (x, y, metric, largest, rules, op, threshold, scale, wide, progress, num_threads, max_memory=None))]
#[allow(clippy::too_many_arguments)] // one for each of Python's
pub fn reduce<'py>(
    py: Python<'py>,
    x: Bound<'py, PyUntypedArray>,
    y: Bound<'py, PyUntypedArray>,
    metric: &str,
    largest: bool,
    rules: Rules<'py>,
    op: &str,
    threshold: Option<PyReadonlyArray1<'py, f64>>,
    scale: f64,
    wide: bool,
    progress: Option<Bound<'py, PyAny>>,
    num_threads: Option<usize>,
    max_memory: Option<usize>,
) -> PyResult<Bound<'py, PyArray1<f64>>> {
    let pair = Pair::new(x, y, metric)?;
    let limits = rules.limits(num_threads, max_memory);
    let search = pair.search(largest, &rules)?;
    let reduction = match (op, &threshold) {
        ("count", Some(threshold)) if threshold.as_slice()?.len() == search.x.rows() => {
            Reduction::Count(threshold.as_slice()?)
        }
        ("count", _) => return Err(PyValueError::new_err("threshold must have one entry for each row of x")),
        ("mean", _) => Reduction::Mean,
        ("logsumexp", _) => Reduction::LogSumExp { scale },
        _ => return Err(PyValueError::new_err(format!("op must be count, mean or logsumexp, not {op:?}"))),
    };
    let mut out = vec![0.0; search.x.rows()];
    run_long(py, size(&search), progress, limits, |context| {
        if search.metric.is_of_bits() {
            search.reduce_bits(reduction, &mut out, context)
        } else if wide {
            search.reduce::<f64>(reduction, &mut out, context)
        } else {
            search.reduce::<f32>(reduction, &mut out, context)
        }
    })?;
    Ok(out.into_pyarray(py))
}

/// Counts the scores of all admissible pairs in equal bins from `low` to `high`: a row for all, or with `classes` (labels
/// of the rows of both) one for pairs with different labels and one for those with the same.
#[pyfunction]
#[pyo3(signature = (x, y, metric, rules, low, high, bins, classes, upper, progress, num_threads, max_memory=None))]
#[allow(clippy::too_many_arguments)] // one for each of Python's
pub fn histogram<'py>(
    py: Python<'py>,
    x: Bound<'py, PyUntypedArray>,
    y: Bound<'py, PyUntypedArray>,
    metric: &str,
    rules: Rules<'py>,
    low: f64,
    high: f64,
    bins: usize,
    classes: Option<(PyReadonlyArray1<'py, i64>, PyReadonlyArray1<'py, i64>)>,
    upper: bool,
    progress: Option<Bound<'py, PyAny>>,
    num_threads: Option<usize>,
    max_memory: Option<usize>,
) -> PyResult<Bound<'py, PyArray2<u64>>> {
    let pair = Pair::new(x, y, metric)?;
    let limits = rules.limits(num_threads, max_memory);
    let search = pair.search(true, &rules)?;
    let classes = match &classes {
        None => None,
        Some((x, y)) => Some([x.as_slice()?, y.as_slice()?]),
    };
    let fits = classes.is_none_or(|[x, y]| x.len() == search.x.rows() && y.len() == search.y.rows());
    let ordered = low < high && (high - low).is_finite() && bins > 0;
    if !fits || !ordered || (upper && search.x.rows() != search.y.rows()) {
        return Err(PyValueError::new_err("bins, classes and upper must go with x and y"));
    }
    let bins = Bins { low, high, count: bins };
    let counts =
        run_long(py, size(&search), progress, limits, |context| search.histogram(bins, classes, upper, context))?;
    counts.into_pyarray(py).reshape([if classes.is_some() { 2 } else { 1 }, bins.count])
}
