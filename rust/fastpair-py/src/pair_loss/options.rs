//! The options of losses over pairs.

use crate::roles::demand;
use fastpair_core::tile::Roles;
use fastpair_core::tile::pair_loss::{HardNegatives, PerRow, Several, Sigmoid, Softmax};
use numpy::{PyReadonlyArray1, PyReadonlyArray2};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

type Floats<'py> = Option<PyReadonlyArray1<'py, f64>>;
type Numbers<'py> = Option<PyReadonlyArray2<'py, f64>>;

/// One number, or one for each row.
#[derive(FromPyObject)]
pub enum Temperature<'py> {
    All(f64),
    Each(PyReadonlyArray1<'py, f64>),
}

/// The options of all losses, most of which only one has.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub struct Options<'py> {
    temperature: Option<Temperature<'py>>,
    #[pyo3(default)]
    column_weights: Floats<'py>,
    #[pyo3(default)]
    pair_weights: Numbers<'py>,
    #[pyo3(default)]
    include_positive: Option<bool>,
    #[pyo3(default)]
    needs_negatives: Option<bool>,
    #[pyo3(default)]
    multi_positive: Option<String>,
    #[pyo3(default)]
    positive_factors: Floats<'py>,
    #[pyo3(default)]
    targets: Numbers<'py>,
    #[pyo3(default)]
    normalize_targets: Option<bool>,
    #[pyo3(default)]
    label_smoothing: Option<f64>,
    #[pyo3(default)]
    margin: Option<f64>,
    #[pyo3(default)]
    arc_margin: Option<f64>,
    #[pyo3(default)]
    hard_k: Option<usize>,
    #[pyo3(default)]
    hard_threshold: Option<f64>,
    #[pyo3(default)]
    focal_gamma: Option<f64>,
    #[pyo3(default)]
    detach_focal: Option<bool>,
    #[pyo3(default)]
    symmetric: Option<bool>,
    #[pyo3(default)]
    scale: Option<f64>,
    #[pyo3(default)]
    bias: Option<f64>,
    #[pyo3(default)]
    positive_factor: Option<f64>,
    #[pyo3(default)]
    negative_factor: Option<f64>,
    #[pyo3(default)]
    beta: Option<f64>,
    #[pyo3(default)]
    tau_plus: Option<f64>,
    #[pyo3(default)]
    detach_weights: Option<bool>,
}

/// A loss, and what it borrows.
pub enum Loss<'a> {
    Softmax(Softmax<'a>),
    Symmetric(f64),
    Sigmoid(Sigmoid<'a>),
    HardNegatives(HardNegatives<'a>),
}

impl Options<'_> {
    fn temperature(&self, rows: usize) -> PyResult<PerRow<'_>> {
        Ok(match &self.temperature {
            None => PerRow::All(1.0),
            Some(Temperature::All(value)) => PerRow::All(*value),
            Some(Temperature::Each(values)) => PerRow::Each(demand(values.as_slice()?, rows, "temperature")?),
        })
    }

    fn softmax<'a>(&'a self, roles: Roles<'a>, [rows, columns]: [usize; 2]) -> PyResult<Softmax<'a>> {
        let pairs = |numbers: &'_ Numbers<'_>, what: &str| match numbers {
            None => Ok(()),
            Some(numbers) => demand(numbers.as_slice()?, rows * columns, what).map(drop),
        };
        pairs(&self.pair_weights, "pair_weights")?;
        pairs(&self.targets, "targets")?;
        let several = match self.multi_positive.as_deref() {
            None | Some("mean") => Several::Mean,
            Some("log_sum") => Several::LogSum,
            Some("log_mean") => Several::LogMean,
            Some("separate") => Several::Separate,
            Some(seen) => return Err(PyValueError::new_err(format!("multi_positive is unknown: {seen:?}"))),
        };
        let column_weights = match &self.column_weights {
            None => None,
            Some(weights) => Some(demand(weights.as_slice()?, columns, "column_weights")?),
        };
        let positive_factors = match &self.positive_factors {
            None => None,
            Some(factors) => Some(demand(factors.as_slice()?, rows, "positive_factors")?),
        };
        let targets = self.targets.as_ref().map(|targets| targets.as_slice()).transpose()?;
        Ok(Softmax {
            roles,
            temperature: self.temperature(rows)?,
            column_weights,
            pair_weights: self.pair_weights.as_ref().map(|weights| weights.as_slice()).transpose()?,
            include_positive: self.include_positive.unwrap_or(true),
            needs_negatives: self.needs_negatives.unwrap_or(true),
            several,
            positive_factors,
            targets: targets.map(|targets| (targets, self.normalize_targets.unwrap_or(true))),
            label_smoothing: self.label_smoothing.unwrap_or(0.0),
            margin: self.margin.unwrap_or(0.0),
            arc_margin: self.arc_margin.unwrap_or(0.0),
            hard_k: self.hard_k,
            hard_threshold: self.hard_threshold,
            focal_gamma: self.focal_gamma.unwrap_or(0.0),
            detach_focal: self.detach_focal.unwrap_or(false),
        })
    }

    /// The loss of that name.
    pub fn loss<'a>(&'a self, name: &str, roles: Roles<'a>, shape: [usize; 2]) -> PyResult<Loss<'a>> {
        Ok(match name {
            "softmax" if self.symmetric == Some(true) => match self.temperature(shape[0])? {
                PerRow::All(temperature) if shape[0] == shape[1] => Loss::Symmetric(temperature),
                _ => return Err(PyValueError::new_err("symmetric needs as many columns as rows and one temperature")),
            },
            "softmax" => Loss::Softmax(self.softmax(roles, shape)?),
            "sigmoid" => Loss::Sigmoid(Sigmoid {
                roles,
                scale: self.scale.unwrap_or(1.0),
                bias: self.bias.unwrap_or(0.0),
                factors: [self.positive_factor.unwrap_or(1.0), self.negative_factor.unwrap_or(1.0)],
                pair_weights: match &self.pair_weights {
                    None => None,
                    Some(weights) => Some(demand(weights.as_slice()?, shape[0] * shape[1], "pair_weights")?),
                },
            }),
            "hard_negatives" => Loss::HardNegatives(HardNegatives {
                roles,
                temperature: self.temperature(shape[0])?,
                beta: self.beta.unwrap_or(1.0),
                tau_plus: self.tau_plus.unwrap_or(0.0),
                detach_weights: self.detach_weights.unwrap_or(false),
            }),
            _ => return Err(PyValueError::new_err(format!("loss is unknown: {name:?}"))),
        })
    }
}
