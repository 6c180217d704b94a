//! The arguments that every search of one matrix in another shares.

use crate::array::Array;
use crate::door::{Limits, Size, to_python};
use fastpair_core::matrix::Matrix;
use fastpair_core::pool::Scratch;
use fastpair_core::tile::metric::Metric;
use fastpair_core::tile::{Admit, Bits, Exclude, Filter, LabelRule, PackedRows, Search};
use numpy::{PyReadonlyArray1, PyReadonlyArrayDyn, PyUntypedArray, PyUntypedArrayMethods};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// What embeddings may be.
pub const EMBEDDINGS: &str = "pass real numbers: float64, float32, float16, bfloat16, integers or bool";

/// Offsets and columns of the pairs excluded.
type Excluded<'py> = (PyReadonlyArray1<'py, i64>, PyReadonlyArray1<'py, i64>);

/// Labels of x and of y, and whether they must be the same.
type Labels<'py> = (PyReadonlyArray1<'py, i64>, PyReadonlyArray1<'py, i64>, bool);

/// Which pairs count, as Python says it.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub struct Rules<'py> {
    offset: usize,
    exclude_self: bool,
    mask: Option<PyReadonlyArrayDyn<'py, u8>>,
    exclude: Option<Excluded<'py>>,
    labels: Option<Labels<'py>>,
    min_score: Option<PyReadonlyArray1<'py, f64>>,
    max_score: Option<PyReadonlyArray1<'py, f64>>,
    /// Bytes of these that were made for the kernels.
    held: usize,
}

impl Rules<'_> {
    /// What a call with these rules may use.
    pub fn limits(&self, threads: Option<usize>, max_memory: Option<usize>) -> Limits {
        Limits { threads, scratch: Scratch { most: max_memory, held: self.held } }
    }

    /// Checks the rules against the shape of what is searched, so that no index can be out of range later.
    fn admit(&self, rows: usize, columns: usize) -> PyResult<Admit<'_>> {
        let demand = |holds: bool, what: &str| {
            if holds { Ok(()) } else { Err(PyValueError::new_err(format!("{what} does not go with x and y"))) }
        };
        let mask = match &self.mask {
            None => None,
            Some(mask) => {
                let (bytes, stride) = (mask.as_slice()?, columns.div_ceil(8));
                demand(mask.shape().last() == Some(&stride), "mask")?;
                Some(if mask.shape().len() == 1 {
                    Bits::Columns(bytes)
                } else {
                    demand(bytes.len() == rows * stride, "mask")?;
                    Bits::Pairs { bytes, stride }
                })
            }
        };
        let exclude = match &self.exclude {
            None => None,
            Some((offsets, columns)) => {
                let (offsets, columns) = (offsets.as_slice()?, columns.as_slice()?);
                let ends = offsets.len() == rows + 1 && offsets[0] == 0 && offsets[rows] == columns.len() as i64;
                demand(ends && offsets.is_sorted(), "exclude")?;
                Some(Exclude { offsets, columns })
            }
        };
        let labels = match &self.labels {
            None => None,
            Some((x, y, same)) => {
                let (x, y) = (x.as_slice()?, y.as_slice()?);
                demand(x.len() == rows && y.len() == columns, "labels")?;
                Some(LabelRule { x, y, same: *same })
            }
        };
        let limit = |limit: &'_ Option<PyReadonlyArray1<'_, f64>>| -> PyResult<()> {
            demand(
                limit.as_ref().is_none_or(|limit| limit.as_slice().is_ok_and(|l| l.len() == rows)),
                "min_score or max_score",
            )
        };
        limit(&self.min_score)?;
        limit(&self.max_score)?;
        Ok(Admit {
            offset: self.offset,
            exclude_self: self.exclude_self,
            mask,
            exclude,
            labels,
            min_score: self.min_score.as_ref().map(|limit| limit.as_slice()).transpose()?,
            max_score: self.max_score.as_ref().map(|limit| limit.as_slice()).transpose()?,
        })
    }
}

/// Two matrices and a metric.
pub struct Pair<'py> {
    x: Array<'py>,
    y: Array<'py>,
    /// The metric.
    pub metric: Metric,
}

impl<'py> Pair<'py> {
    /// Looks at the arrays.
    pub fn new(x: Bound<'py, PyUntypedArray>, y: Bound<'py, PyUntypedArray>, metric: &str) -> PyResult<Self> {
        let (x, y) = (Array::new(x, "x", EMBEDDINGS)?, Array::new(y, "y", EMBEDDINGS)?);
        let metric = Metric::by_name(metric)
            .ok_or_else(|| PyValueError::new_err(format!("metric must be one of fastpair's, not {metric:?}")))?;
        Ok(Self { x, y, metric })
    }

    /// The matrices; they must be equally wide.
    pub fn matrices(&self) -> PyResult<(Matrix<'_>, Matrix<'_>)> {
        let (x, y) = (self.x.matrix()?, self.y.matrix()?);
        if x.width() != y.width() {
            let text = format!("x has {} columns but y has {}; pass rows of the same length", x.width(), y.width());
            return Err(PyValueError::new_err(text));
        }
        let is_bytes = |matrix: &Matrix| matrix.dtype() == fastpair_core::column::Dtype::U8;
        if self.metric.is_of_bits() && !(is_bytes(&x) && is_bytes(&y)) {
            return Err(PyValueError::new_err("this metric needs packed bits, arrays of uint8"));
        }
        Ok((x, y))
    }

    /// A search of all y for each x.
    pub fn search<'a>(&'a self, largest: bool, rules: &'a Rules<'_>) -> PyResult<Search<'a>> {
        let (x, y) = self.matrices()?;
        Ok(Search { largest, admit: rules.admit(x.rows(), y.rows())?, ..Search::new(x, y, self.metric) })
    }

    /// The same by a filter, perhaps with rows of y that were packed for it.
    pub fn filtered<'a>(
        &'a self,
        largest: bool,
        rules: &'a Rules<'_>,
        filter: &str,
        packed: Option<&'a PyReadonlyArray1<'_, u8>>,
    ) -> PyResult<Search<'a>> {
        let search = Search { filter: filter_by_name(filter)?, ..self.search(largest, rules)? };
        let Some(packed) = packed else { return Ok(search) };
        let shape = [search.y.rows(), search.y.width()];
        let packed = PackedRows::new(packed.as_slice()?, self.metric, shape).map_err(to_python)?;
        Ok(Search { packed: Some(packed), ..search })
    }
}

/// The filter of that name.
pub fn filter_by_name(name: &str) -> PyResult<Filter> {
    Filter::by_name(name)
        .ok_or_else(|| PyValueError::new_err(format!("filter must be one of fastpair's, not {name:?}")))
}

/// How large a search is.
pub fn size(search: &Search) -> Size {
    Size { cost: search.cost(), steps: search.pairs() }
}
