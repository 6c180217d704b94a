//! Which pairs are positive, negative and left out, as Python says it.

use fastpair_core::tile::mine::{Band, Miner, Reference};
use fastpair_core::tile::{PairMask, Positives, Roles};
use numpy::{PyReadonlyArray1, PyReadonlyArray2, PyUntypedArrayMethods};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

type Codes<'py> = Option<PyReadonlyArray1<'py, i64>>;

/// A flag for each pair, as bools or as packed bits.
#[derive(FromPyObject)]
pub enum Flags<'py> {
    Bools(PyReadonlyArray2<'py, bool>),
    Bits(PyReadonlyArray2<'py, u8>),
}

impl Flags<'_> {
    fn look(&self, [rows, columns]: [usize; 2], what: &str) -> PyResult<PairMask<'_>> {
        let (shape, width) = match self {
            Self::Bools(flags) => (flags.shape(), columns),
            Self::Bits(flags) => (flags.shape(), columns.div_ceil(8)),
        };
        if shape != [rows, width] {
            let text = format!("{what} has shape {shape:?}; it must have {rows} rows of {width}");
            return Err(PyValueError::new_err(text));
        }
        Ok(match self {
            Self::Bools(flags) => PairMask::Bools(flags.as_slice()?),
            Self::Bits(flags) => PairMask::Bits(flags.as_slice()?),
        })
    }
}

/// Where positives are, as Python says it.
#[derive(FromPyObject)]
pub enum Where<'py> {
    Name(String),
    Columns(PyReadonlyArray1<'py, i64>),
    Mask(Flags<'py>),
}

/// How pairs are mined inside of a loss: by a reference, limits, and whether these are inside; or by how far from the
/// hardest pair of the other kind, and the similarity of duplicates.
#[derive(FromPyObject)]
pub enum Mined {
    Band((String, f64, f64, bool, bool)),
    MultiSimilarity((f64, f64)),
}

impl Mined {
    fn miner(&self) -> PyResult<Miner> {
        Ok(match self {
            Self::Band((reference, lower, upper, above, below)) => Miner::Band(Band {
                reference: reference_by_name(Some(reference))?,
                lower: *lower,
                upper: *upper,
                closed: [*above, *below],
                best: None,
            }),
            Self::MultiSimilarity((epsilon, duplicates)) => {
                Miner::MultiSimilarity { epsilon: *epsilon, duplicates: *duplicates }
            }
        })
    }
}

/// The reference of a band.
pub fn reference_by_name(name: Option<&str>) -> PyResult<Reference> {
    Ok(match name {
        None => Reference::None,
        Some("hardest") => Reference::Hardest,
        Some("mean") => Reference::Mean,
        Some("easiest") => Reference::Easiest,
        Some("each") => Reference::Each,
        Some(seen) => return Err(PyValueError::new_err(format!("reference is unknown: {seen:?}"))),
    })
}

/// Roles of pairs. All but `positives` may be missing.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub struct RoleOptions<'py> {
    positives: Option<Where<'py>>,
    #[pyo3(default)]
    x_labels: Codes<'py>,
    #[pyo3(default)]
    y_labels: Codes<'py>,
    #[pyo3(default)]
    self_columns: Codes<'py>,
    #[pyo3(default)]
    ignore: Option<Flags<'py>>,
    #[pyo3(default)]
    x_groups: Codes<'py>,
    #[pyo3(default)]
    y_groups: Codes<'py>,
    #[pyo3(default)]
    x_ids: Codes<'py>,
    #[pyo3(default)]
    y_ids: Codes<'py>,
    #[pyo3(default)]
    miner: Option<Mined>,
}

/// The same options with one that may be missing, as None.
pub fn with_key<'py>(options: &Bound<'py, PyDict>, name: &str) -> PyResult<Bound<'py, PyDict>> {
    let options = options.copy()?;
    if !options.contains(name)? {
        options.set_item(name, options.py().None())?;
    }
    Ok(options)
}

/// Demands a number of entries, so that no index is out of range later.
pub fn demand<'a, T>(values: &'a [T], len: usize, what: &str) -> PyResult<&'a [T]> {
    if values.len() == len {
        return Ok(values);
    }
    Err(PyValueError::new_err(format!("{what} has {} entries; it must have {len}", values.len())))
}

impl<'py> RoleOptions<'py> {
    /// The roles among options that may hold others as well.
    pub fn of(options: &Bound<'py, PyDict>) -> PyResult<Self> {
        with_key(options, "positives")?.extract()
    }
    /// What each of `columns` columns is to each of `rows` rows.
    pub fn roles(&self, [rows, columns]: [usize; 2]) -> PyResult<Roles<'_>> {
        let both = |x: &'_ Codes<'_>, y: &'_ Codes<'_>, what: &str| match (x, y) {
            (None, None) => Ok(false),
            (Some(x), Some(y)) => {
                demand(x.as_slice()?, rows, what)?;
                demand(y.as_slice()?, columns, what)?;
                Ok(true)
            }
            _ => Err(PyValueError::new_err(format!("{what} must be given for rows and columns"))),
        };
        let columns_of = |codes: &[i64], what: &str| {
            let limit = columns as i64;
            match codes.iter().find(|&&code| code >= limit) {
                Some(code) => {
                    Err(PyValueError::new_err(format!("{what} holds column {code}, but there are {columns}")))
                }
                None => Ok(()),
            }
        };
        let positives = match &self.positives {
            _ if both(&self.x_labels, &self.y_labels, "labels")? => {
                let (x, y) = (self.x_labels.as_ref(), self.y_labels.as_ref());
                let (Some(x), Some(y)) = (x, y) else { return Err(PyValueError::new_err("labels are missing")) };
                Positives::Labels([x.as_slice()?, y.as_slice()?])
            }
            None => Positives::None,
            Some(Where::Name(name)) if name == "diagonal" => Positives::Diagonal,
            Some(Where::Name(name)) => return Err(PyValueError::new_err(format!("positives is unknown: {name:?}"))),
            Some(Where::Columns(of_row)) => {
                let of_row = demand(of_row.as_slice()?, rows, "positives")?;
                columns_of(of_row, "positives")?;
                Positives::Columns(of_row)
            }
            Some(Where::Mask(mask)) => Positives::Mask(mask.look([rows, columns], "positives")?),
        };
        let own = match &self.self_columns {
            None => None,
            Some(own) => {
                let own = demand(own.as_slice()?, rows, "self_columns")?;
                columns_of(own, "self_columns")?;
                Some(own)
            }
        };
        let ignore = match &self.ignore {
            None => None,
            Some(ignore) => Some(ignore.look([rows, columns], "ignore")?),
        };
        let groups = match (&self.x_groups, &self.y_groups) {
            (Some(x), Some(y)) if both(&self.x_groups, &self.y_groups, "groups")? => {
                Some([x.as_slice()?, y.as_slice()?])
            }
            _ => None,
        };
        let ids = match (&self.x_ids, &self.y_ids) {
            (Some(x), Some(y)) if both(&self.x_ids, &self.y_ids, "ids")? => Some([x.as_slice()?, y.as_slice()?]),
            _ => None,
        };
        let miner = self.miner.as_ref().map(Mined::miner).transpose()?;
        Ok(Roles { positives, own, ignore, groups, ids, miner })
    }
}
