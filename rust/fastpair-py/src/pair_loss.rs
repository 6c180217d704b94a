//! Losses over all pairs of embeddings, or of a matrix of similarities, for Python.

use crate::array::Array;
use crate::door::{Limits, Size, run_long};
use fastpair_core::Real;
use fastpair_core::column::Dtype;
use fastpair_core::key::Element;
use fastpair_core::matrix::Matrix;
use fastpair_core::pool::{Context, Scratch};
use fastpair_core::tile::pair_loss::{
    Embeddings, HardNegatives, Outcome, Pairs, PerRow, Positives, Roles, RowLoss, Several, Sigmoid, Similarity,
    Softmax, Symmetric, of_matrix,
};
use numpy::{
    Element as NumpyElement, IntoPyArray, PyArray1, PyArrayMethods, PyReadonlyArray1, PyReadonlyArray2, PyUntypedArray,
};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

const REAL: &str = "pass real numbers: float64, float32, float16, bfloat16, integers or bool";

type Floats<'py> = Option<PyReadonlyArray1<'py, f64>>;
type Codes<'py> = Option<PyReadonlyArray1<'py, i64>>;
type Numbers<'py> = Option<PyReadonlyArray2<'py, f64>>;
type Flags<'py> = Option<PyReadonlyArray2<'py, bool>>;

/// Where positives are, as Python says it.
#[derive(FromPyObject)]
enum Where<'py> {
    Name(String),
    Columns(PyReadonlyArray1<'py, i64>),
    Mask(PyReadonlyArray2<'py, bool>),
}

/// One number, or one for each row.
#[derive(FromPyObject)]
enum Temperature<'py> {
    All(f64),
    Each(PyReadonlyArray1<'py, f64>),
}

/// The options of all losses, most of which only one has.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
struct Options<'py> {
    positives: Option<Where<'py>>,
    #[pyo3(default)]
    x_labels: Codes<'py>,
    #[pyo3(default)]
    y_labels: Codes<'py>,
    #[pyo3(default)]
    self_columns: Codes<'py>,
    #[pyo3(default)]
    ignore: Flags<'py>,
    #[pyo3(default)]
    x_groups: Codes<'py>,
    #[pyo3(default)]
    y_groups: Codes<'py>,
    #[pyo3(default)]
    x_ids: Codes<'py>,
    #[pyo3(default)]
    y_ids: Codes<'py>,
    #[pyo3(default)]
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
enum Loss<'a> {
    Softmax(Softmax<'a>),
    Symmetric(f64),
    Sigmoid(Sigmoid<'a>),
    HardNegatives(HardNegatives<'a>),
}

/// Demands a number of entries, so that no index is out of range later.
fn demand<'a, T>(values: &'a [T], len: usize, what: &str) -> PyResult<&'a [T]> {
    if values.len() == len {
        return Ok(values);
    }
    Err(PyValueError::new_err(format!("{what} has {} entries; it must have {len}", values.len())))
}

impl Options<'_> {
    fn roles(&self, [rows, columns]: [usize; 2]) -> PyResult<Roles<'_>> {
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
            Some(Where::Mask(mask)) => Positives::Mask(demand(mask.as_slice()?, rows * columns, "positives")?),
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
            Some(ignore) => Some(demand(ignore.as_slice()?, rows * columns, "ignore")?),
        };
        let pair = |x: &'_ Codes<'_>, y: &'_ Codes<'_>, what: &str| both(x, y, what);
        let groups = match (&self.x_groups, &self.y_groups) {
            (Some(x), Some(y)) if pair(&self.x_groups, &self.y_groups, "groups")? => {
                Some([x.as_slice()?, y.as_slice()?])
            }
            _ => None,
        };
        let ids = match (&self.x_ids, &self.y_ids) {
            (Some(x), Some(y)) if pair(&self.x_ids, &self.y_ids, "ids")? => Some([x.as_slice()?, y.as_slice()?]),
            _ => None,
        };
        Ok(Roles { positives, own, ignore, groups, ids })
    }

    fn temperature(&self, rows: usize) -> PyResult<PerRow<'_>> {
        Ok(match &self.temperature {
            None => PerRow::All(1.0),
            Some(Temperature::All(value)) => PerRow::All(*value),
            Some(Temperature::Each(values)) => PerRow::Each(demand(values.as_slice()?, rows, "temperature")?),
        })
    }

    fn softmax(&self, [rows, columns]: [usize; 2]) -> PyResult<Softmax<'_>> {
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
            roles: self.roles([rows, columns])?,
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

    fn loss(&self, name: &str, shape: [usize; 2]) -> PyResult<Loss<'_>> {
        Ok(match name {
            "softmax" if self.symmetric == Some(true) => match self.temperature(shape[0])? {
                PerRow::All(temperature) if shape[0] == shape[1] => Loss::Symmetric(temperature),
                _ => return Err(PyValueError::new_err("symmetric needs as many columns as rows and one temperature")),
            },
            "softmax" => Loss::Softmax(self.softmax(shape)?),
            "sigmoid" => Loss::Sigmoid(Sigmoid {
                roles: self.roles(shape)?,
                scale: self.scale.unwrap_or(1.0),
                bias: self.bias.unwrap_or(0.0),
                factors: [self.positive_factor.unwrap_or(1.0), self.negative_factor.unwrap_or(1.0)],
                pair_weights: match &self.pair_weights {
                    None => None,
                    Some(weights) => Some(demand(weights.as_slice()?, shape[0] * shape[1], "pair_weights")?),
                },
            }),
            "hard_negatives" => Loss::HardNegatives(HardNegatives {
                roles: self.roles(shape)?,
                temperature: self.temperature(shape[0])?,
                beta: self.beta.unwrap_or(1.0),
                tau_plus: self.tau_plus.unwrap_or(0.0),
                detach_weights: self.detach_weights.unwrap_or(false),
            }),
            _ => return Err(PyValueError::new_err(format!("loss is unknown: {name:?}"))),
        })
    }
}

/// What similarities come from, looked at and kept alive.
struct Input<'py> {
    x: Option<Array<'py>>,
    y: Option<Array<'py>>,
    similarities: Option<Array<'py>>,
    appended: Option<Array<'py>>,
    similarity: Similarity,
}

/// Gradients of what was given, without shapes.
struct Result<T> {
    outcomes: Vec<Outcome>,
    x: Vec<T>,
    y: Vec<T>,
    similarities: Vec<T>,
    appended: Vec<T>,
}

impl Input<'_> {
    fn matrix(array: &Option<Array<'_>>) -> PyResult<Option<(usize, usize)>> {
        Ok(look(array)?.map(|matrix| (matrix.rows(), matrix.width())))
    }

    /// Rows and columns of the matrix of similarities.
    fn shape(&self) -> PyResult<[usize; 2]> {
        let wrong = |text: &str| Err(PyValueError::new_err(text.to_owned()));
        let further = Self::matrix(&self.appended)?;
        let [rows, columns] = match (Self::matrix(&self.x)?, Self::matrix(&self.y)?, Self::matrix(&self.similarities)?)
        {
            (Some((rows, width)), Some((columns, other)), None) if width == other => [rows, columns],
            (Some((rows, width)), Some((_, other)), None) => {
                let text =
                    format!("x has {width} columns but y has {other}; pass rows of the same length ({rows} rows)");
                return wrong(&text);
            }
            (Some((rows, _)), None, None) => [rows, rows],
            (None, None, Some((rows, columns))) => [rows, columns],
            _ => return wrong("pass x, x and y, or similarities"),
        };
        match further {
            Some((own, width)) if own == rows => Ok([rows, columns + width]),
            Some((own, _)) => wrong(&format!("appended has {own} rows but there are {rows}")),
            None => Ok([rows, columns]),
        }
    }

    /// Whether to compute in float64.
    fn is_double(&self) -> bool {
        let single = |dtype| matches!(dtype, Dtype::F16 | Dtype::Bf16 | Dtype::F32);
        [&self.x, &self.y, &self.similarities, &self.appended].into_iter().flatten().any(|array| !single(array.dtype()))
    }

    /// The matrices themselves.
    fn given(&self) -> PyResult<Given<'_>> {
        Ok(Given {
            x: look(&self.x)?,
            y: look(&self.y)?,
            similarities: look(&self.similarities)?,
            appended: look(&self.appended)?,
            similarity: self.similarity,
        })
    }

    /// What Python gets.
    fn result<'py, T: NumpyElement>(
        &self,
        py: Python<'py>,
        found: Result<T>,
        gradient: bool,
    ) -> PyResult<Bound<'py, PyDict>> {
        let dict = PyDict::new(py);
        let numbers =
            |number: &dyn Fn(&Outcome) -> f64| found.outcomes.iter().map(number).collect::<Vec<f64>>().into_pyarray(py);
        dict.set_item("values", numbers(&|outcome| outcome.value))?;
        let valid: Bound<'_, PyArray1<bool>> =
            found.outcomes.iter().map(|outcome| outcome.valid).collect::<Vec<_>>().into_pyarray(py);
        dict.set_item("valid", valid)?;
        for name in ["temperature", "scale"] {
            dict.set_item(name, numbers(&|outcome| outcome.slopes[0]))?;
        }
        dict.set_item("bias", numbers(&|outcome| outcome.slopes[1]))?;
        let parts = [
            ("x", &self.x, found.x),
            ("y", &self.y, found.y),
            ("similarities", &self.similarities, found.similarities),
            ("appended", &self.appended, found.appended),
        ];
        for (name, array, values) in parts {
            match Self::matrix(array)? {
                Some((rows, width)) if gradient => {
                    dict.set_item(name, values.into_pyarray(py).reshape([rows, width])?)?;
                }
                _ => dict.set_item(name, py.None())?,
            }
        }
        Ok(dict)
    }
}

/// The matrix of an array, if there is one.
fn look<'a>(array: &'a Option<Array<'_>>) -> PyResult<Option<Matrix<'a>>> {
    array.as_ref().map(Array::matrix).transpose()
}

/// The matrices of an [`Input`]: embeddings, or else similarities.
#[derive(Clone, Copy)]
struct Given<'a> {
    x: Option<Matrix<'a>>,
    y: Option<Matrix<'a>>,
    similarities: Option<Matrix<'a>>,
    appended: Option<Matrix<'a>>,
    similarity: Similarity,
}

impl Given<'_> {
    /// The result, or None if products leave the range of float32.
    fn run<T: Real + Element>(
        &self,
        loss: &Loss<'_>,
        factors: Option<&[f64]>,
        gradient: bool,
        context: &Context,
    ) -> fastpair_core::Result<Option<Result<T>>> {
        match loss {
            Loss::Softmax(loss) => self.run_loss(&mut { *loss }, factors, gradient, context),
            Loss::Symmetric(temperature) => {
                self.run_loss(&mut Symmetric::<T>::new(*temperature, factors), factors, gradient, context)
            }
            Loss::Sigmoid(loss) => self.run_loss(&mut { *loss }, factors, gradient, context),
            Loss::HardNegatives(loss) => self.run_loss(&mut { *loss }, factors, gradient, context),
        }
    }

    fn run_loss<T: Real + Element>(
        &self,
        loss: &mut impl RowLoss<T>,
        factors: Option<&[f64]>,
        gradient: bool,
        context: &Context,
    ) -> fastpair_core::Result<Option<Result<T>>> {
        let appended = self.appended;
        if let Some(x) = self.x {
            let x = Embeddings::<T>::new(x)?;
            let y = self.y.map(Embeddings::<T>::new).transpose()?;
            let pairs = Pairs::new(&x, y.as_ref(), self.similarity, appended, context)?;
            if size_of::<T>() == 4 && !pairs.in_range() {
                return Ok(None);
            }
            let found = pairs.run(loss, factors, gradient, context)?;
            return Ok(Some(Result {
                outcomes: found.outcomes,
                x: found.x,
                y: found.y,
                similarities: Vec::new(),
                appended: found.appended,
            }));
        }
        let similarities = self.similarities.expect("a matrix where there is no x");
        let (outcomes, similarities, appended) = of_matrix(similarities, appended, loss, factors, gradient, context)?;
        Ok(Some(Result { outcomes, x: Vec::new(), y: Vec::new(), similarities, appended }))
    }
}

/// Values of a loss for each row of similarities, and the gradient of their weighted sum.
#[pyfunction]
#[pyo3(signature = (x, y, similarities, appended, metric, loss, options, row_factors, gradient, num_threads, max_memory))]
#[allow(clippy::too_many_arguments)] // one for each of Python's
pub fn pair_rows<'py>(
    py: Python<'py>,
    x: Option<Bound<'py, PyUntypedArray>>,
    y: Option<Bound<'py, PyUntypedArray>>,
    similarities: Option<Bound<'py, PyUntypedArray>>,
    appended: Option<Bound<'py, PyUntypedArray>>,
    metric: &str,
    loss: &str,
    options: Bound<'py, PyDict>,
    row_factors: Option<PyReadonlyArray1<'py, f64>>,
    gradient: bool,
    num_threads: Option<usize>,
    max_memory: Option<usize>,
) -> PyResult<Bound<'py, PyDict>> {
    let array =
        |array: Option<Bound<'py, PyUntypedArray>>, name| array.map(|array| Array::new(array, name, REAL)).transpose();
    let similarity = Similarity::by_name(metric).ok_or_else(|| {
        PyValueError::new_err(format!("metric must be dot, cosine, sqeuclidean or euclidean, not {metric:?}"))
    })?;
    let input = Input {
        x: array(x, "x")?,
        y: array(y, "y")?,
        similarities: array(similarities, "similarities")?,
        appended: array(appended, "appended")?,
        similarity,
    };
    let shape = input.shape()?;
    let options = options.copy()?;
    if !options.contains("positives")? {
        options.set_item("positives", py.None())?;
    }
    let options: Options = options.extract()?;
    let loss = options.loss(loss, shape)?;
    if matches!(loss, Loss::Symmetric(_)) && (input.x.is_none() || input.appended.is_some()) {
        return Err(PyValueError::new_err("symmetric needs embeddings, and nothing appended"));
    }
    let factors = match &row_factors {
        None => None,
        Some(factors) => Some(demand(factors.as_slice()?, shape[0], "row_factors")?),
    };
    let width = Input::matrix(&input.x)?.map_or(1, |(_, width)| width);
    let pairs = shape[0].saturating_mul(shape[1]);
    let size = Size { cost: pairs.saturating_mul(width / 32 + 2), steps: pairs };
    let limits = Limits { threads: num_threads, scratch: Scratch { most: max_memory, held: 0 } };
    let given = input.given()?;
    if !input.is_double() {
        let work = |context: &Context| given.run::<f32>(&loss, factors, gradient, context);
        if let Some(found) = run_long(py, size, None, limits, work)? {
            return input.result(py, found, gradient);
        }
    }
    let found = run_long(py, size, None, limits, |context| given.run::<f64>(&loss, factors, gradient, context))?;
    input.result(py, found.expect("float64 is tried last"), gradient)
}
