//! Score losses of lists and of aligned pairs, for Python.

use crate::array::Array;
use crate::door::{run, to_python};
use fastpair_core::column::Dtype;
use fastpair_core::group::aligned::{AlignedSums, Derivative, aligned_pairs as aligned_sums};
use fastpair_core::group::cross_entropy::{Target, cross_entropy as cross_entropy_lists};
use fastpair_core::group::lambda::{Lambda, Scheme, lambda_loss as lambda_lists};
use fastpair_core::group::pairs::{Class, pair_classes, pair_lists};
use fastpair_core::group::plackett_luce::{PlackettLuce, Ties, plackett_luce as plackett_luce_lists};
use fastpair_core::group::soft_rank::SoftRank;
use fastpair_core::group::{Items, Lists, Outcome, Term};
use fastpair_core::groups;
use fastpair_core::order::all_pairs::{PairLoss, Surrogate};
use numpy::{
    IntoPyArray, PyArray1, PyArray2, PyArrayMethods, PyReadonlyArray1, PyReadwriteArray1, PyUntypedArray,
    PyUntypedArrayMethods,
};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

const REAL: &str = "pass real numbers: bool, integers, float16, bfloat16, float32 or float64";

/// float64 values for Python.
type Floats<'py> = Bound<'py, PyArray1<f64>>;

/// Sums and sizes of lists, and derivatives of items.
type Sums<'py> = (Floats<'py>, Floats<'py>, Option<Floats<'py>>);

/// Where each list begins, and the end; and items in order of their lists, or None if they are in that order.
type Offsets<'py> = (Bound<'py, PyArray1<i64>>, Option<Bound<'py, PyArray1<i64>>>);

/// A pair costs about as much as this many rows of an AUC.
const COST: usize = 16;

/// Rows in order of their groups.
#[pyfunction]
pub fn group_lists<'py>(py: Python<'py>, codes: PyReadonlyArray1<'py, u32>, groups: usize) -> PyResult<Offsets<'py>> {
    let codes = codes.as_slice()?;
    if codes.iter().any(|&code| code as usize >= groups) {
        return Err(PyValueError::new_err("codes must be below groups"));
    }
    let (offsets, rows) = run(py, codes.len(), Some(1), |_| groups::lists(codes, groups))?;
    Ok((offsets.into_pyarray(py), rows.map(|rows| rows.into_pyarray(py))))
}

/// Multiplies what belongs to each item by the scale of its list, in place; by 0 to exactly 0.
#[pyfunction]
pub fn scale_lists<'py>(
    py: Python<'py>,
    mut gradient: PyReadwriteArray1<'py, f64>,
    scale: PyReadonlyArray1<'py, f64>,
    offsets: PyReadonlyArray1<'py, i64>,
    rows: Option<PyReadonlyArray1<'py, i64>>,
) -> PyResult<()> {
    let gradient = gradient.as_slice_mut()?;
    let (scale, offsets) = (scale.as_slice()?, offsets.as_slice()?);
    let rows = rows.as_ref().map(|rows| rows.as_slice()).transpose()?;
    run(py, gradient.len(), Some(1), |_| Lists::new(offsets, rows, gradient.len())?.scale(scale, gradient))
}

/// The arguments that all losses of lists share, looked at and kept alive.
struct Input<'py> {
    scores: Array<'py>,
    relevance: Option<Array<'py>>,
    extra: Option<Array<'py>>,
    offsets: PyReadonlyArray1<'py, i64>,
    rows: Option<PyReadonlyArray1<'py, i64>>,
}

impl<'py> Input<'py> {
    fn new(
        scores: Bound<'py, PyUntypedArray>,
        relevance: Option<Bound<'py, PyUntypedArray>>,
        extra: Option<(Bound<'py, PyUntypedArray>, &'static str)>,
        offsets: PyReadonlyArray1<'py, i64>,
        rows: Option<PyReadonlyArray1<'py, i64>>,
    ) -> PyResult<Self> {
        let items = scores.len();
        let lengths = [("relevance", relevance.as_ref()), ("extra", extra.as_ref().map(|(array, _)| array))];
        for (argument, array) in lengths {
            if let Some(array) = array
                && (array.ndim() != 1 || array.len() != items)
            {
                return Err(PyValueError::new_err(format!("{argument} must have one entry for each score")));
            }
        }
        Ok(Self {
            scores: Array::new(scores, "scores", REAL)?,
            relevance: relevance.map(|array| Array::new(array, "relevance", REAL)).transpose()?,
            extra: extra.map(|(array, name)| Array::new(array, name, REAL)).transpose()?,
            offsets,
            rows,
        })
    }

    fn items(&self) -> Items<'_> {
        Items {
            scores: self.scores.column(0),
            relevance: self.relevance.as_ref().map(|array| array.column(0)),
            extra: self.extra.as_ref().map(|array| array.column(0)),
        }
    }

    fn lists(&self) -> PyResult<Lists<'_>> {
        let rows = self.rows.as_ref().map(|rows| rows.as_slice()).transpose()?;
        Lists::new(self.offsets.as_slice()?, rows, self.scores.column(0).len()).map_err(to_python)
    }

    /// How many numbers there are, as a measure of how long a loss takes.
    fn cost(&self) -> usize {
        COST * self.scores.column(0).len()
    }
}

/// One number of each list.
fn of_terms<'py>(py: Python<'py>, terms: &[Term], number: impl Fn(&Term) -> f64) -> Floats<'py> {
    terms.iter().map(number).collect::<Vec<_>>().into_pyarray(py)
}

fn sums(py: Python<'_>, outcome: Outcome) -> Sums<'_> {
    let gradient = outcome.gradient.map(|gradient| gradient.into_pyarray(py));
    (of_terms(py, &outcome.terms, |term| term.sum), of_terms(py, &outcome.terms, |term| term.size), gradient)
}

fn unknown(argument: &str, seen: &str) -> PyErr {
    PyValueError::new_err(format!("{argument} is unknown: {seen:?}"))
}

fn pair_loss_of(surrogate: &str, temperature: f64, margin: f64, slope: f64, tolerance: f64) -> PyResult<PairLoss> {
    let surrogate = match surrogate {
        "logistic" => Surrogate::Logistic,
        "sigmoid" => Surrogate::Sigmoid,
        "exponential" => Surrogate::Exponential,
        "hinge" => Surrogate::Hinge { margin },
        "squared_hinge" => Surrogate::SquaredHinge { margin },
        "square" => Surrogate::Square { margin },
        "barrier" => Surrogate::Barrier { margin, slope },
        seen => return Err(unknown("surrogate", seen)),
    };
    Ok(PairLoss { surrogate, temperature, tolerance })
}

/// The loss of all pairs of different relevance of each list: sums, weights of pairs, weights of items above the lowest
/// level, and derivatives.
#[pyfunction]
#[pyo3(signature = (scores, relevance, weights, offsets, rows, surrogate, temperature, margin, slope, rtol, gradient, num_threads))]
#[allow(clippy::too_many_arguments, clippy::type_complexity)] // one for each of Python's
pub fn pair_loss<'py>(
    py: Python<'py>,
    scores: Bound<'py, PyUntypedArray>,
    relevance: Bound<'py, PyUntypedArray>,
    weights: Option<Bound<'py, PyUntypedArray>>,
    offsets: PyReadonlyArray1<'py, i64>,
    rows: Option<PyReadonlyArray1<'py, i64>>,
    surrogate: &str,
    temperature: f64,
    margin: f64,
    slope: f64,
    rtol: f64,
    gradient: bool,
    num_threads: Option<usize>,
) -> PyResult<(Floats<'py>, Floats<'py>, Floats<'py>, Option<Floats<'py>>)> {
    let loss = pair_loss_of(surrogate, temperature, margin, slope, rtol)?;
    let input = Input::new(scores, Some(relevance), weights.map(|weights| (weights, "weights")), offsets, rows)?;
    let (items, lists) = (input.items(), input.lists()?);
    let outcome = run(py, input.cost(), num_threads, |context| pair_lists(loss, items, lists, gradient, context))?;
    let uppers = of_terms(py, &outcome.terms, |term| term.items);
    let (sums, sizes, gradient) = sums(py, outcome);
    Ok((sums, sizes, uppers, gradient))
}

/// The same for one list whose scores come by class; derivatives of the upper class come first.
#[pyfunction]
#[pyo3(signature = (pos, neg, pos_weights, neg_weights, surrogate, temperature, margin, slope, rtol, gradient, num_threads))]
#[allow(clippy::too_many_arguments, clippy::type_complexity)] // one for each of Python's
pub fn class_loss<'py>(
    py: Python<'py>,
    pos: Bound<'py, PyUntypedArray>,
    neg: Bound<'py, PyUntypedArray>,
    pos_weights: Option<Bound<'py, PyUntypedArray>>,
    neg_weights: Option<Bound<'py, PyUntypedArray>>,
    surrogate: &str,
    temperature: f64,
    margin: f64,
    slope: f64,
    rtol: f64,
    gradient: bool,
    num_threads: Option<usize>,
) -> PyResult<(Floats<'py>, Floats<'py>, Floats<'py>, Option<Floats<'py>>)> {
    let loss = pair_loss_of(surrogate, temperature, margin, slope, rtol)?;
    for (scores, weights) in [(&pos, &pos_weights), (&neg, &neg_weights)] {
        if weights.as_ref().is_some_and(|weights| weights.len() != scores.len()) {
            return Err(PyValueError::new_err("weights must have one entry for each score"));
        }
    }
    let array = |array, name| Array::new(array, name, REAL);
    let weights =
        [pos_weights, neg_weights].map(|weights| weights.map(|weights| array(weights, "weights")).transpose());
    let [pos_weights, neg_weights] = weights;
    let (pos_weights, neg_weights) = (pos_weights?, neg_weights?);
    let (pos, neg) = (array(pos, "pos")?, array(neg, "neg")?);
    let upper = Class { scores: pos.column(0), weights: pos_weights.as_ref().map(|weights| weights.column(0)) };
    let lower = Class { scores: neg.column(0), weights: neg_weights.as_ref().map(|weights| weights.column(0)) };
    let cost = COST * (upper.scores.len() + lower.scores.len());
    let outcome = run(py, cost, num_threads, |context| pair_classes(loss, upper, lower, gradient, context))?;
    let uppers = of_terms(py, &outcome.terms, |term| term.items);
    let (sums, sizes, gradient) = sums(py, outcome);
    Ok((sums, sizes, uppers, gradient))
}

/// The LambdaLoss of each list: sums, numbers of pairs, derivatives.
#[pyfunction]
#[pyo3(signature = (scores, gains, ranks, offsets, rows, scheme, sigma, cut, mu, gradient, num_threads))]
#[allow(clippy::too_many_arguments)] // one for each of Python's
pub fn lambda_loss<'py>(
    py: Python<'py>,
    scores: Bound<'py, PyUntypedArray>,
    gains: Bound<'py, PyUntypedArray>,
    ranks: Option<Bound<'py, PyUntypedArray>>,
    offsets: PyReadonlyArray1<'py, i64>,
    rows: Option<PyReadonlyArray1<'py, i64>>,
    scheme: &str,
    sigma: f64,
    cut: usize,
    mu: f64,
    gradient: bool,
    num_threads: Option<usize>,
) -> PyResult<Sums<'py>> {
    let scheme = match scheme {
        "none" => Scheme::None,
        "mrr" => Scheme::Mrr,
        "ndcg" => Scheme::Ndcg,
        "ndcg2" => Scheme::Ndcg2,
        "ndcg2++" => Scheme::Ndcg2PlusPlus { mu },
        seen => return Err(unknown("scheme", seen)),
    };
    let input = Input::new(scores, Some(gains), ranks.map(|ranks| (ranks, "ranks")), offsets, rows)?;
    let (items, lists, lambda) = (input.items(), input.lists()?, Lambda { scheme, sigma, cut });
    let outcome = run(py, input.cost(), num_threads, |context| lambda_lists(lambda, items, lists, gradient, context))?;
    Ok(sums(py, outcome))
}

/// The Plackett-Luce loss of each list: sums, numbers of steps, derivatives.
#[pyfunction]
#[pyo3(signature = (scores, relevance, offsets, rows, top_k, ties, gradient, num_threads))]
#[allow(clippy::too_many_arguments)] // one for each of Python's
pub fn plackett_luce<'py>(
    py: Python<'py>,
    scores: Bound<'py, PyUntypedArray>,
    relevance: Bound<'py, PyUntypedArray>,
    offsets: PyReadonlyArray1<'py, i64>,
    rows: Option<PyReadonlyArray1<'py, i64>>,
    top_k: usize,
    ties: &str,
    gradient: bool,
    num_threads: Option<usize>,
) -> PyResult<Sums<'py>> {
    let ties = match ties {
        "index" => Ties::Index,
        "average" => Ties::Average,
        "exclude" => Ties::Exclude,
        seen => return Err(unknown("ties", seen)),
    };
    let input = Input::new(scores, Some(relevance), None, offsets, rows)?;
    let (items, lists, options) = (input.items(), input.lists()?, PlackettLuce { ties, top_k });
    let outcome =
        run(py, input.cost(), num_threads, |context| plackett_luce_lists(options, items, lists, gradient, context))?;
    Ok(sums(py, outcome))
}

/// The cross-entropy of each list: sums, masses of targets, derivatives.
#[pyfunction]
#[pyo3(signature = (scores, targets, offsets, rows, target, gradient, num_threads))]
#[allow(clippy::too_many_arguments)] // one for each of Python's
pub fn cross_entropy<'py>(
    py: Python<'py>,
    scores: Bound<'py, PyUntypedArray>,
    targets: Bound<'py, PyUntypedArray>,
    offsets: PyReadonlyArray1<'py, i64>,
    rows: Option<PyReadonlyArray1<'py, i64>>,
    target: &str,
    gradient: bool,
    num_threads: Option<usize>,
) -> PyResult<Sums<'py>> {
    let target = match target {
        "softmax" => Target::Softmax,
        "raw" => Target::Raw,
        seen => return Err(unknown("target", seen)),
    };
    let input = Input::new(scores, Some(targets), None, offsets, rows)?;
    let (items, lists) = (input.items(), input.lists()?);
    let outcome =
        run(py, input.cost(), num_threads, |context| cross_entropy_lists(target, items, lists, gradient, context))?;
    Ok(sums(py, outcome))
}

/// The soft rank of each item in its list.
#[pyfunction]
#[pyo3(signature = (scores, offsets, rows, temperature, rtol, num_threads))]
pub fn soft_rank<'py>(
    py: Python<'py>,
    scores: Bound<'py, PyUntypedArray>,
    offsets: PyReadonlyArray1<'py, i64>,
    rows: Option<PyReadonlyArray1<'py, i64>>,
    temperature: f64,
    rtol: f64,
    num_threads: Option<usize>,
) -> PyResult<Floats<'py>> {
    let input = Input::new(scores, None, None, offsets, rows)?;
    let (items, lists, soft) = (input.items(), input.lists()?, SoftRank { temperature, tolerance: rtol });
    let ranks = run(py, input.cost(), num_threads, |context| soft.ranks(items.scores, lists, context))?;
    Ok(ranks.into_pyarray(py))
}

/// What `upstream`, one number for each soft rank, is in terms of scores.
#[pyfunction]
#[pyo3(signature = (scores, upstream, offsets, rows, temperature, rtol, num_threads))]
#[allow(clippy::too_many_arguments)] // one for each of Python's
pub fn soft_rank_vjp<'py>(
    py: Python<'py>,
    scores: Bound<'py, PyUntypedArray>,
    upstream: Bound<'py, PyUntypedArray>,
    offsets: PyReadonlyArray1<'py, i64>,
    rows: Option<PyReadonlyArray1<'py, i64>>,
    temperature: f64,
    rtol: f64,
    num_threads: Option<usize>,
) -> PyResult<Floats<'py>> {
    let input = Input::new(scores, None, Some((upstream, "upstream")), offsets, rows)?;
    let (items, lists, soft) = (input.items(), input.lists()?, SoftRank { temperature, tolerance: rtol });
    let upstream = items.extra.expect("given above");
    let pulled = run(py, input.cost(), num_threads, |context| soft.pull_back(items.scores, upstream, lists, context))?;
    Ok(pulled.into_pyarray(py))
}

/// For each row the sum of a pair loss over its own negatives, and the derivatives with respect to both.
#[pyfunction]
#[pyo3(signature = (pos, neg, surrogate, temperature, margin, gradient, num_threads))]
#[allow(clippy::too_many_arguments, clippy::type_complexity)] // one for each of Python's
pub fn aligned_pairs<'py>(
    py: Python<'py>,
    pos: Bound<'py, PyUntypedArray>,
    neg: Bound<'py, PyUntypedArray>,
    surrogate: &str,
    temperature: f64,
    margin: f64,
    gradient: bool,
    num_threads: Option<usize>,
) -> PyResult<(Floats<'py>, Option<Bound<'py, PyAny>>, Option<Bound<'py, PyAny>>)> {
    let loss = pair_loss_of(surrogate, temperature, margin, 1.0, 1e-12)?;
    let (pos, neg) = (Array::new(pos, "pos", REAL)?, Array::new(neg, "neg", REAL)?);
    if [pos.dtype(), neg.dtype()].into_iter().all(|dtype| matches!(dtype, Dtype::F16 | Dtype::Bf16 | Dtype::F32)) {
        aligned::<f32>(py, &loss, &pos, &neg, gradient, num_threads)
    } else {
        aligned::<f64>(py, &loss, &pos, &neg, gradient, num_threads)
    }
}

#[allow(clippy::type_complexity)] // as above
fn aligned<'py, T: Derivative + Default + numpy::Element>(
    py: Python<'py>,
    loss: &PairLoss,
    pos: &Array<'py>,
    neg: &Array<'py>,
    gradient: bool,
    num_threads: Option<usize>,
) -> PyResult<(Floats<'py>, Option<Bound<'py, PyAny>>, Option<Bound<'py, PyAny>>)> {
    let (positives, negatives) = (pos.column(0), neg.matrix()?);
    let (rows, pairs) = (positives.len(), negatives.rows() * negatives.width());
    let mut values = vec![0.0; rows];
    let mut slopes = gradient.then(|| (vec![T::default(); rows], vec![T::default(); pairs]));
    run(py, COST * pairs, num_threads, |context| {
        let gradients = slopes.as_mut().map(|(positive, negative)| (&mut positive[..], &mut negative[..]));
        aligned_sums(loss, positives, negatives, AlignedSums { values: &mut values, gradients }, context)
    })?;
    let (positive, negative) = slopes.unzip();
    let negative = negative.map(|negative| negative.into_pyarray(py).reshape([rows, negatives.width()])).transpose()?;
    let negative: Option<Bound<'py, PyArray2<T>>> = negative;
    Ok((
        values.into_pyarray(py),
        positive.map(|positive| positive.into_pyarray(py).into_any()),
        negative.map(Bound::into_any),
    ))
}
