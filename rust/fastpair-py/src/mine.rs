//! Mining pairs, for Python.

use crate::door::{Limits, Size, run_long};
use crate::roles::{RoleOptions, demand, reference_by_name};
use crate::search::Pair;
use fastpair_core::pool::Scratch;
use fastpair_core::tile::Search;
use fastpair_core::tile::mine::{Band, BandResults, Best, Found, Reference, bit_counts, fill_rows, role_bits};
use numpy::{IntoPyArray, PyArray1, PyReadonlyArray1, PyReadonlyArray2, PyReadwriteArray1, PyReadwriteArray2};
use numpy::{PyUntypedArray, PyUntypedArrayMethods};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::ops::Range;

/// Columns and scores.
type Columns<'py> = (Bound<'py, PyArray1<i64>>, Bound<'py, PyArray1<f64>>);

const NONE: Found = (-1, f64::NAN);

fn columns<'py>(py: Python<'py>, found: &[Found]) -> Columns<'py> {
    let indices: Vec<i64> = found.iter().map(|&(index, _)| index).collect();
    let scores: Vec<f64> = found.iter().map(|&(_, score)| score).collect();
    (indices.into_pyarray(py), scores.into_pyarray(py))
}

/// Demands rows of x.
fn checked(rows: (usize, usize), search: &Search) -> PyResult<Range<usize>> {
    if rows.0 <= rows.1 && rows.1 <= search.x.rows() {
        return Ok(rows.0..rows.1);
    }
    Err(PyValueError::new_err(format!("rows must be a range of the {} rows of x", search.x.rows())))
}

/// How large it is to mine some rows.
fn size_of(search: &Search, rows: usize) -> Size {
    let steps = rows.saturating_mul(search.y.rows());
    Size { cost: steps.saturating_mul(search.x.width() / 64 + 1), steps }
}

/// Demands packed rows for so many results.
fn packed<'a>(
    out: &'a mut Option<PyReadwriteArray2<'_, u8>>,
    results: usize,
    columns: usize,
) -> PyResult<&'a mut [u8]> {
    let Some(out) = out else { return Ok(&mut []) };
    let expected = [results, columns.div_ceil(8)];
    if out.shape() != expected {
        return Err(PyValueError::new_err(format!("bits must have shape {expected:?}, not {:?}", out.shape())));
    }
    Ok(out.as_slice_mut()?)
}

/// The negatives of some rows in a band: packed bits go to `kept`, or else the nearest or farthest is returned, behind the
/// positives that are the references.
#[pyfunction]
#[pyo3(signature = (
    x, y, metric, roles, rows, reference, limits, closed, best, offsets, kept, progress, num_threads, max_memory, held
))]
#[allow(clippy::too_many_arguments)] // one for each of Python's
pub fn mine_band<'py>(
    py: Python<'py>,
    x: Bound<'py, PyUntypedArray>,
    y: Bound<'py, PyUntypedArray>,
    metric: &str,
    roles: Bound<'py, PyDict>,
    rows: (usize, usize),
    reference: Option<&str>,
    limits: (f64, f64),
    closed: (bool, bool),
    best: Option<&str>,
    offsets: Option<PyReadonlyArray1<'py, i64>>,
    mut kept: Option<PyReadwriteArray2<'py, u8>>,
    progress: Option<Bound<'py, PyAny>>,
    num_threads: Option<usize>,
    max_memory: Option<usize>,
    held: usize,
) -> PyResult<(Columns<'py>, Columns<'py>)> {
    let unknown = |what: &str, seen: &str| Err(PyValueError::new_err(format!("{what} is unknown: {seen:?}")));
    let reference = reference_by_name(reference)?;
    let best = match best {
        None => None,
        Some("nearest") => Some(Best::Nearest),
        Some("farthest") => Some(Best::Farthest),
        Some(seen) => return unknown("best", seen),
    };
    let pair = Pair::new(x, y, metric)?;
    let (x, y) = pair.matrices()?;
    let search = Search::new(x, y, pair.metric);
    let rows = checked(rows, &search)?;
    let options = RoleOptions::of(&roles)?;
    let roles = options.roles([x.rows(), y.rows()])?;
    let offsets: Vec<usize> = match &offsets {
        None => (0..=rows.len()).collect(),
        Some(offsets) => {
            let offsets = demand(offsets.as_slice()?, rows.len() + 1, "offsets")?;
            if !offsets.is_sorted() || offsets[0] != 0 {
                return Err(PyValueError::new_err("offsets must ascend from 0"));
            }
            offsets.iter().map(|&offset| offset as usize).collect()
        }
    };
    let results = offsets[rows.len()];
    let bits = packed(&mut kept, results, y.rows())?;
    if best.is_none() && bits.len() < results * y.rows().div_ceil(8) {
        return Err(PyValueError::new_err("kept is missing"));
    }
    let one = matches!(reference, Reference::Hardest | Reference::Easiest);
    let mut positives = vec![NONE; if one { results } else { 0 }];
    let mut negatives = vec![NONE; if best.is_some() { results } else { 0 }];
    let band = Band { reference, lower: limits.0, upper: limits.1, closed: closed.into(), best };
    let size = size_of(&search, rows.len());
    let limits = Limits { threads: num_threads, scratch: Scratch { most: max_memory, held } };
    run_long(py, size, progress, limits, |context| {
        let results = BandResults { positives: &mut positives, negatives: &mut negatives, kept: bits };
        search.mine_band(&roles, rows, band, &offsets, results, context)
    })?;
    Ok((columns(py, &positives), columns(py, &negatives)))
}

/// Packed bits of the positives and negatives of some rows that are hard beside the hardest pair of the other kind.
#[pyfunction]
#[pyo3(signature = (
    x, y, metric, roles, rows, epsilon, duplicates, positives, negatives, progress, num_threads, max_memory, held
))]
#[allow(clippy::too_many_arguments)] // one for each of Python's
pub fn mine_multi_similarity<'py>(
    py: Python<'py>,
    x: Bound<'py, PyUntypedArray>,
    y: Bound<'py, PyUntypedArray>,
    metric: &str,
    roles: Bound<'py, PyDict>,
    rows: (usize, usize),
    epsilon: f64,
    duplicates: f64,
    positives: PyReadwriteArray2<'py, u8>,
    negatives: PyReadwriteArray2<'py, u8>,
    progress: Option<Bound<'py, PyAny>>,
    num_threads: Option<usize>,
    max_memory: Option<usize>,
    held: usize,
) -> PyResult<()> {
    let pair = Pair::new(x, y, metric)?;
    let (x, y) = pair.matrices()?;
    let search = Search::new(x, y, pair.metric);
    let rows = checked(rows, &search)?;
    let options = RoleOptions::of(&roles)?;
    let roles = options.roles([x.rows(), y.rows()])?;
    let (mut positives, mut negatives) = (Some(positives), Some(negatives));
    let positives = packed(&mut positives, rows.len(), y.rows())?;
    let negatives = packed(&mut negatives, rows.len(), y.rows())?;
    let limits = Limits { threads: num_threads, scratch: Scratch { most: max_memory, held } };
    run_long(py, size_of(&search, rows.len()), progress, limits, |context| {
        search.mine_multi_similarity(&roles, rows, epsilon, duplicates, positives, negatives, context)
    })
}

/// Packed bits of the positives and negatives of some rows.
#[pyfunction]
#[pyo3(signature = (shape, roles, rows, positives, negatives))]
pub fn pack_roles<'py>(
    py: Python<'py>,
    shape: (usize, usize),
    roles: Bound<'py, PyDict>,
    rows: (usize, usize),
    positives: PyReadwriteArray2<'py, u8>,
    negatives: PyReadwriteArray2<'py, u8>,
) -> PyResult<()> {
    if rows.0 > rows.1 || rows.1 > shape.0 {
        return Err(PyValueError::new_err(format!("rows must be a range of {} rows", shape.0)));
    }
    let options = RoleOptions::of(&roles)?;
    let roles = options.roles(shape.into())?;
    let (mut positives, mut negatives) = (Some(positives), Some(negatives));
    let positives = packed(&mut positives, rows.1 - rows.0, shape.1)?;
    let negatives = packed(&mut negatives, rows.1 - rows.0, shape.1)?;
    py.detach(|| role_bits(&roles, rows.0..rows.1, shape.1, positives, negatives));
    Ok(())
}

/// How many bits of each packed row are set.
#[pyfunction]
pub fn count_bits<'py>(py: Python<'py>, bits: PyReadonlyArray2<'py, u8>) -> PyResult<Bound<'py, PyArray1<i64>>> {
    let (packed, stride) = (bits.as_slice()?, bits.shape()[1]);
    if stride == 0 {
        return Ok(vec![0; bits.shape()[0]].into_pyarray(py));
    }
    Ok(py.detach(|| bit_counts(packed, stride)).into_pyarray(py))
}

/// Indices of one width.
#[derive(FromPyObject)]
pub enum Indices<'py> {
    Short(PyReadwriteArray1<'py, i32>),
    Long(PyReadwriteArray1<'py, i64>),
}

/// Writes the columns of the bits of all packed rows, of which there are as many as `indices` has places.
#[pyfunction]
pub fn unpack_rows<'py>(py: Python<'py>, bits: PyReadonlyArray2<'py, u8>, indices: Indices<'py>) -> PyResult<()> {
    let (packed, stride) = (bits.as_slice()?, bits.shape()[1]);
    match indices {
        Indices::Short(mut indices) => {
            let indices = indices.as_slice_mut()?;
            py.detach(|| fill_rows(packed, stride, indices, |column| column as i32));
        }
        Indices::Long(mut indices) => {
            let indices = indices.as_slice_mut()?;
            py.detach(|| fill_rows(packed, stride, indices, |column| column as i64));
        }
    }
    Ok(())
}
