//! Scores as they are defined: in float64, in one order of summation that depends on nothing but the row's length.
//!
//! Element k of a row goes to lane `k % 16`; in a lane, terms are added one after the other, each rounded by itself (a
//! product is not fused with its sum); then the lanes are added in a tree, 8 and 8, 4 and 4, 2 and 2, 1 and 1. So a score
//! has the same bits for every instruction set, thread and batch, and no matter which filter found the pair.
//!
//! Rows of a cosine are first multiplied by a power of two that brings their largest element near 1, which changes no
//! bit of the result and keeps huge and tiny rows from leaving the range of float64.

use super::metric::Metric;
use crate::column::Dtype;
use crate::error::{Error, Result};
use crate::key::Element;
use crate::matrix::Matrix;
use crate::simd::{self, Isa, Level, Op};

const LANES: usize = 16;

/// What is summed over the elements of two rows, `N` sums at a time.
trait Terms<const N: usize> {
    fn of(x: f64, y: f64) -> [f64; N];
}

struct Product;
impl Terms<1> for Product {
    #[inline(always)]
    fn of(x: f64, y: f64) -> [f64; 1] {
        [x * y]
    }
}

struct ProductAndSquare;
impl Terms<2> for ProductAndSquare {
    #[inline(always)]
    fn of(x: f64, y: f64) -> [f64; 2] {
        [x * y, y * y]
    }
}

struct SquaredDifference;
impl Terms<1> for SquaredDifference {
    #[inline(always)]
    fn of(x: f64, y: f64) -> [f64; 1] {
        [(x - y) * (x - y)]
    }
}

struct SquaredDifferenceAndSquare;
impl Terms<2> for SquaredDifferenceAndSquare {
    #[inline(always)]
    fn of(x: f64, y: f64) -> [f64; 2] {
        [(x - y) * (x - y), y * y]
    }
}

struct AbsoluteDifference;
impl Terms<1> for AbsoluteDifference {
    #[inline(always)]
    fn of(x: f64, y: f64) -> [f64; 1] {
        [(x - y).abs()]
    }
}

/// The sums over all elements, in the order that the module describes.
#[inline(always)]
fn sums<E: Element, S: Terms<N>, const N: usize>(x: &[f64], y: &[E]) -> [f64; N] {
    let mut lanes = [[0.0; LANES]; N];
    let (x_whole, x_rest) = x.as_chunks::<LANES>();
    let (y_whole, y_rest) = y.as_chunks::<LANES>();
    for (x, y) in x_whole.iter().zip(y_whole) {
        for k in 0..LANES {
            let terms = S::of(x[k], y[k].to_f64());
            for (lanes, term) in lanes.iter_mut().zip(terms) {
                lanes[k] += term;
            }
        }
    }
    for (k, (&x, y)) in x_rest.iter().zip(y_rest).enumerate() {
        for (lanes, term) in lanes.iter_mut().zip(S::of(x, y.to_f64())) {
            lanes[k] += term;
        }
    }
    lanes.map(|mut lanes| {
        for half in [8, 4, 2, 1] {
            for k in 0..half {
                lanes[k] += lanes[k + half];
            }
        }
        lanes[0]
    })
}

/// The sum of squares of a row.
pub(crate) fn square(values: &[f64]) -> f64 {
    let [square] = sums::<f64, Product, 1>(values, values);
    square
}

/// The power of two that brings the largest element near 1; 1 for a row of zeros.
fn power_near_one(values: &[f64]) -> f64 {
    let largest = values.iter().fold(0f64, |largest, value| largest.max(value.abs()));
    if largest == 0.0 { 1.0 } else { 2f64.powi((1023 - (largest.to_bits() >> 52) as i32).clamp(-1022, 1000)) }
}

/// Scores of one row of x with rows of y.
pub(crate) struct Exact<'a> {
    metric: Metric,
    x: Matrix<'a>,
    y: Matrix<'a>,
    /// The row of x, as the metric needs it, and its sum of squares.
    row: Vec<f64>,
    square: f64,
    /// Room for a row of y that cannot be read where it lies.
    other: Vec<f64>,
    /// The row of x if it is made of bits.
    bits: Vec<u8>,
    isa: Isa,
}

impl<'a> Exact<'a> {
    /// Scores of rows of these matrices, which are equally wide.
    pub fn new(metric: Metric, x: Matrix<'a>, y: Matrix<'a>, isa: Isa) -> Self {
        let width = x.width();
        let (row, other) = (vec![0.0; width], vec![0.0; width]);
        Self { metric, x, y, row, square: 0.0, other, bits: vec![0; width], isa }
    }

    /// What that takes.
    pub fn bytes(width: usize) -> usize {
        width * (2 * size_of::<f64>() + size_of::<u8>())
    }

    /// Takes row `index` of x.
    pub fn set_row(&mut self, index: usize) {
        if self.metric.is_of_bits() {
            self.x.row(index).fill(0, &mut self.bits, |byte: u8| byte);
            return;
        }
        self.x.read(index, &mut self.row);
        if self.metric == Metric::Cosine {
            let power = power_near_one(&self.row);
            self.row.iter_mut().for_each(|value| *value *= power);
        }
        self.square = square(&self.row);
        if self.metric == Metric::Lorentz
            && let Some(first) = self.row.first_mut()
        {
            *first = -*first;
        }
    }

    /// Asks for the first lines of a row of y ahead of its use.
    #[inline(always)]
    pub fn prefetch(&self, index: usize) {
        let row = self.y.row(index);
        for k in (0..row.len().min(256)).step_by(64 / row.dtype().size()) {
            row.prefetch(k);
        }
    }

    /// The score with row `index` of y.
    pub fn score(&mut self, index: usize) -> f64 {
        let row = self.y.row(index);
        if self.metric.is_of_bits() {
            let mut bytes = Vec::new();
            let y = row.as_slice::<u8>(0, self.bits.len()).unwrap_or_else(|| {
                bytes.resize(self.bits.len(), 0);
                row.fill(0, &mut bytes, |byte: u8| byte);
                &bytes
            });
            return bit_score(self.metric, &self.bits, y);
        }
        // The most frequent dtypes are read where they lie.
        match self.y.dtype() {
            Dtype::F32 if let Some(y) = row.as_slice::<f32>(0, self.row.len()) => self.enter(y),
            Dtype::F64 if let Some(y) = row.as_slice::<f64>(0, self.row.len()) => self.enter(y),
            Dtype::I8 if let Some(y) = row.as_slice::<i8>(0, self.row.len()) => self.enter(y),
            _ => {
                let mut other = std::mem::take(&mut self.other);
                self.y.read(index, &mut other);
                let score = self.enter(&other);
                self.other = other;
                score
            }
        }
    }

    /// The score with a row, in code compiled for the level.
    fn enter<E: Element>(&self, y: &[E]) -> f64 {
        simd::call(self.isa, Score { exact: self, y })
    }

    #[inline(always)]
    fn score_of<E: Element>(&self, y: &[E]) -> f64 {
        let x = &self.row[..];
        match self.metric {
            Metric::Dot => sums::<E, Product, 1>(x, y)[0],
            Metric::Cosine => {
                let [product, square] = sums::<E, ProductAndSquare, 2>(x, y);
                // Squares whose sum is in this range lost nothing that matters.
                if (1e-200..1e200).contains(&square) {
                    cosine(product, self.square, square)
                } else {
                    self.cosine_of_extreme(y)
                }
            }
            Metric::SqEuclidean => sums::<E, SquaredDifference, 1>(x, y)[0],
            Metric::Euclidean => sums::<E, SquaredDifference, 1>(x, y)[0].sqrt(),
            Metric::Manhattan => sums::<E, AbsoluteDifference, 1>(x, y)[0],
            Metric::Poincare => {
                let [distance, square] = sums::<E, SquaredDifferenceAndSquare, 2>(x, y);
                2.0 * (distance / ((1.0 - self.square) * (1.0 - square))).sqrt().asinh()
            }
            Metric::Lorentz => (-sums::<E, Product, 1>(x, y)[0]).max(1.0).acosh(),
            Metric::Hamming | Metric::Jaccard => unreachable!("bits were dealt with"),
        }
    }

    /// The cosine with a row whose squares are out of range.
    #[cold]
    #[inline(never)]
    fn cosine_of_extreme<E: Element>(&self, y: &[E]) -> f64 {
        let mut other: Vec<f64> = y.iter().map(|value| value.to_f64()).collect();
        let power = power_near_one(&other);
        other.iter_mut().for_each(|value| *value *= power);
        let [product, square] = sums::<f64, ProductAndSquare, 2>(&self.row, &other);
        cosine(product, self.square, square)
    }
}

/// A score, see [`Exact::score`].
struct Score<'a, 'm, E> {
    exact: &'a Exact<'m>,
    y: &'a [E],
}

impl<E: Element> Op for Score<'_, '_, E> {
    type Out = f64;
    #[inline(always)]
    fn run<L: Level>(self) -> f64 {
        self.exact.score_of(self.y)
    }
}

/// 0 if one of the rows is zero.
#[inline(always)]
fn cosine(product: f64, x_square: f64, y_square: f64) -> f64 {
    let norms = x_square.sqrt() * y_square.sqrt();
    // Adding 0 makes a negative one positive: both are the same score.
    if norms > 0.0 { (product / norms).clamp(-1.0, 1.0) + 0.0 } else { 0.0 }
}

/// The distance of two rows of bits.
#[inline(always)]
fn bit_score(metric: Metric, x: &[u8], y: &[u8]) -> f64 {
    let (mut differing, mut either) = (0u64, 0u64);
    let (x_words, x_rest) = x.as_chunks::<8>();
    let (y_words, y_rest) = y.as_chunks::<8>();
    for (x, y) in x_words.iter().zip(y_words) {
        let (x, y) = (u64::from_ne_bytes(*x), u64::from_ne_bytes(*y));
        differing += u64::from((x ^ y).count_ones());
        either += u64::from((x | y).count_ones());
    }
    for (x, y) in x_rest.iter().zip(y_rest) {
        differing += u64::from((x ^ y).count_ones());
        either += u64::from((x | y).count_ones());
    }
    bit_distance(metric, differing, either)
}

/// The distance of two rows that differ in `differing` of the `either` bits that one of them has.
#[inline(always)]
pub(crate) fn bit_distance(metric: Metric, differing: u64, either: u64) -> f64 {
    match (metric, either) {
        (Metric::Hamming, _) => differing as f64,
        (_, 0) => 0.0,
        _ => differing as f64 / either as f64,
    }
}

/// Fails if row `index` cannot be a point of the metric's space; `values` are its elements.
pub(crate) fn check_point(
    metric: Metric,
    matrix: &Matrix,
    argument: &'static str,
    index: usize,
    values: &[f64],
) -> Result<()> {
    matrix.check_row(argument, index, values)?;
    if metric == Metric::Poincare {
        let square = square(values);
        if square >= 1.0 {
            return Err(Error::OutsideBall { argument, row: index, norm: square.sqrt() });
        }
    }
    Ok(())
}
