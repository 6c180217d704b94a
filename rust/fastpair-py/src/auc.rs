//! The AUC of series, batches and groups, for Python.

use crate::array::Array;
use crate::door::run;
use fastpair_core::column::Column;
use fastpair_core::groups::Groups;
use fastpair_core::labels::PosLabel;
use fastpair_core::order::auc::Presorted;
use fastpair_core::order::batch::{Batch, NanPolicy, Value};
use numpy::{IntoPyArray, PyArray1, PyReadonlyArray1, PyUntypedArray};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBool;

const SCORES: &str = "pass real scores: bool, integers, float16, bfloat16, float32 or float64";
const LABELS: &str = "pass labels as bool, integers or floats, or as strings together with pos_label=";
const WEIGHTS: &str = "pass weights as bool, integers or floats";
const GROUPS: &str = "pass groups as integers or strings, one id per score";

/// float64 values for Python.
type Floats<'py> = Bound<'py, PyArray1<f64>>;

/// The AUC of every series along the last axis of `scores`, in C order, and how many of them are undefined.
#[pyfunction]
#[pyo3(signature = (scores, labels, weights, pos_label, nan_policy, presorted, num_threads))]
#[allow(clippy::too_many_arguments)] // one for each of Python's
pub fn auc<'py>(
    py: Python<'py>,
    scores: Bound<'py, PyUntypedArray>,
    labels: Bound<'py, PyUntypedArray>,
    weights: Option<Bound<'py, PyUntypedArray>>,
    pos_label: Option<Bound<'py, PyAny>>,
    nan_policy: &str,
    presorted: Option<&str>,
    num_threads: Option<usize>,
) -> PyResult<(Floats<'py>, usize)> {
    let presorted = match presorted {
        None => None,
        Some("ascending") => Some(Presorted::Ascending),
        Some("descending") => Some(Presorted::Descending),
        Some(seen) => return Err(unknown("presorted", seen, "None, \"ascending\" or \"descending\"")),
    };
    let input = Input::new(scores, labels, weights, pos_label, nan_policy)?;
    let batch = input.batch();
    let rows = batch.scores.iter().map(Column::len).sum();
    let values = run(py, rows, num_threads, |context| batch.aucs(presorted, context))?;
    Ok(floats(py, values))
}

/// The AUC of each of `groups` groups, their positives and negatives (or the weights of these), and how many are
/// undefined; row `i` is in group `codes[i]`.
#[pyfunction]
#[pyo3(signature = (scores, labels, codes, groups, weights, pos_label, nan_policy, num_threads))]
#[allow(clippy::too_many_arguments)] // one for each of Python's
pub fn auc_by_group<'py>(
    py: Python<'py>,
    scores: Bound<'py, PyUntypedArray>,
    labels: Bound<'py, PyUntypedArray>,
    codes: PyReadonlyArray1<'py, u32>,
    groups: usize,
    weights: Option<Bound<'py, PyUntypedArray>>,
    pos_label: Option<Bound<'py, PyAny>>,
    nan_policy: &str,
    num_threads: Option<usize>,
) -> PyResult<(Floats<'py>, Floats<'py>, Floats<'py>, usize)> {
    let input = Input::new(scores, labels, weights, pos_label, nan_policy)?;
    let codes = codes.as_slice()?;
    if codes.iter().any(|&code| code as usize >= groups) {
        return Err(PyValueError::new_err("codes must be below groups"));
    }
    let batch = input.batch();
    let (values, sums) = run(py, codes.len(), num_threads, |context| batch.aucs_by_group(codes, groups, context))?;
    let (positives, negatives): (Vec<f64>, Vec<f64>) = sums.iter().map(|sum| (sum.positives, sum.negatives)).unzip();
    let (values, undefined) = floats(py, values);
    Ok((values, positives.into_pyarray(py), negatives.into_pyarray(py), undefined))
}

/// Codes 0, 1, 2, .. of group ids in the order in which they first appear, and the first row of each.
type Codes<'py> = (Bound<'py, PyArray1<u32>>, Bound<'py, PyArray1<usize>>);

/// The codes of integer ids.
#[pyfunction]
pub fn group_codes<'py>(py: Python<'py>, groups: Bound<'py, PyUntypedArray>) -> PyResult<Codes<'py>> {
    let ids = Array::new(groups, "groups", GROUPS)?;
    let column = ids.column(0);
    let groups = run(py, column.len(), Some(1), |context| Groups::from_ids(column, context))?;
    Ok((groups.codes.into_pyarray(py), groups.first_rows.into_pyarray(py)))
}

/// The codes of ids of `width` bytes each.
#[pyfunction]
pub fn group_codes_of_bytes<'py>(
    py: Python<'py>,
    bytes: PyReadonlyArray1<'py, u8>,
    width: usize,
) -> PyResult<Codes<'py>> {
    let bytes = bytes.as_slice()?;
    let groups = run(py, bytes.len() / width.max(1), Some(1), |context| Groups::from_bytes(bytes, width, context))?;
    Ok((groups.codes.into_pyarray(py), groups.first_rows.into_pyarray(py)))
}

/// The code of each of `rows` rows, where group `i` is the rows `offsets[i] .. offsets[i + 1]`.
#[pyfunction]
pub fn codes_from_offsets<'py>(
    py: Python<'py>,
    offsets: PyReadonlyArray1<'py, i64>,
    rows: usize,
) -> PyResult<Bound<'py, PyArray1<u32>>> {
    let offsets = offsets.as_slice()?;
    if let Some(index) = offsets.iter().position(|&offset| offset < 0) {
        return Err(PyValueError::new_err(format!(
            "offsets is {} at index {index}; offsets count rows",
            offsets[index]
        )));
    }
    let offsets: Vec<usize> = offsets.iter().map(|&offset| offset as usize).collect();
    Ok(run(py, rows, Some(1), |_| Groups::codes_from_offsets(&offsets, rows))?.into_pyarray(py))
}

/// The values as an array, and how many are undefined (not counting those that a NaN score made NaN).
fn floats(py: Python<'_>, values: Vec<Value>) -> (Floats<'_>, usize) {
    let undefined = values.iter().filter(|value| value.is_some_and(f64::is_nan)).count();
    let values: Vec<f64> = values.into_iter().map(|value| value.unwrap_or(f64::NAN)).collect();
    (values.into_pyarray(py), undefined)
}

/// The arguments of a call, looked at and kept alive.
struct Input<'py> {
    scores: Array<'py>,
    labels: Array<'py>,
    weights: Option<Array<'py>>,
    pos_label: PosLabel,
    nan_policy: NanPolicy,
}

impl<'py> Input<'py> {
    fn new(
        scores: Bound<'py, PyUntypedArray>,
        labels: Bound<'py, PyUntypedArray>,
        weights: Option<Bound<'py, PyUntypedArray>>,
        pos_label: Option<Bound<'py, PyAny>>,
        nan_policy: &str,
    ) -> PyResult<Self> {
        let nan_policy = match nan_policy {
            "raise" => NanPolicy::Raise,
            "omit" => NanPolicy::Omit,
            "propagate" => NanPolicy::Propagate,
            seen => return Err(unknown("nan_policy", seen, "\"raise\", \"omit\" or \"propagate\"")),
        };
        Ok(Self {
            scores: Array::new(scores, "scores", SCORES)?,
            labels: Array::new(labels, "labels", LABELS)?,
            weights: weights.map(|weights| Array::new(weights, "weights", WEIGHTS)).transpose()?,
            pos_label: parse_pos_label(pos_label)?,
            nan_policy,
        })
    }

    fn batch(&self) -> Batch<'_> {
        fn columns<'a>(array: &'a Array<'_>) -> Vec<Column<'a>> {
            (0..array.series()).map(|series| array.column(series)).collect()
        }
        Batch {
            scores: columns(&self.scores),
            labels: columns(&self.labels),
            weights: self.weights.as_ref().map(columns),
            pos_label: self.pos_label,
            nan_policy: self.nan_policy,
        }
    }
}

fn unknown(argument: &str, seen: &str, choices: &str) -> PyErr {
    PyValueError::new_err(format!("{argument} must be {choices}, not {seen:?}"))
}

fn parse_pos_label(object: Option<Bound<'_, PyAny>>) -> PyResult<PosLabel> {
    let Some(object) = object else { return Ok(PosLabel::Unsaid) };
    if let Ok(value) = object.cast::<PyBool>() {
        return Ok(PosLabel::Int(value.is_true().into()));
    }
    let number = object.extract::<i128>().map(PosLabel::Int);
    number.or_else(|_| object.extract::<f64>().map(PosLabel::Float)).map_err(|_| {
        PyTypeError::new_err(format!("pos_label must be a number like the labels, not {}", object.get_type()))
    })
}
