//! Losses over all pairs of embeddings, or of a matrix of similarities, for Python.

mod options;

use crate::array::Array;
use crate::door::{Limits, Size, run_long};
use crate::roles::{RoleOptions, demand, with_key};
use fastpair_core::Real;
use fastpair_core::column::Dtype;
use fastpair_core::key::Element;
use fastpair_core::matrix::Matrix;
use fastpair_core::pool::{Context, Scratch};
use fastpair_core::tile::pair_loss::{Embeddings, Outcome, Pairs, RowLoss, Similarity, Symmetric, of_matrix};
use numpy::{Element as NumpyElement, IntoPyArray, PyArray1, PyArrayMethods, PyReadonlyArray1, PyUntypedArray};
use options::{Loss, Options};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

const REAL: &str = "pass real numbers: float64, float32, float16, bfloat16, integers or bool";

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
    let roles = RoleOptions::of(&options)?;
    let options: Options = with_key(&options, "temperature")?.extract()?;
    let loss = options.loss(loss, roles.roles(shape)?, shape)?;
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
