//! Rows of embeddings as the engine reads them, what similarities they have, and how gradients find their way back.
//!
//! The engine knows products of rows `p = x.y` only:
//! * dot: `s = p`.
//! * cosine: rows are divided by their norms when they are packed. With `x^ = x / |x|`, `dx = (dx^ - (dx^ . x^) x^) / |x|`;
//!   a row of zeros has `x^ = 0` and no gradient.
//! * squared Euclidean: `s = -(|x|^2 + |y|^2 - 2 p)`, `ds/dp = 2`, and `dx_i` also gets `-x_i` times the sum of its
//!   derivatives by p. Euclidean: `s = -d`, `ds/dp = 1 / d`, and the same; nothing where `d = 0`.

use crate::error::Result;
use crate::key::Element;
use crate::matrix::Matrix;
use crate::pool::Context;
use crate::simd::{self, Level, Op, Real};
use crate::tile::packed::room;
use std::borrow::Cow;
use std::ops::Range;

/// What is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Similarity {
    /// The product of rows.
    Dot,
    /// The product of rows of norm 1.
    Cosine,
    /// Minus the squared distance.
    SqEuclidean,
    /// Minus the distance.
    Euclidean,
}

/// Squared distances below this part of `|x|^2 + |y|^2` are taken from differences: of the products too little is left.
const CANCELLED: f64 = 1.0 / 32.0;

impl Similarity {
    /// By name.
    pub fn by_name(name: &str) -> Option<Self> {
        let all = [Self::Dot, Self::Cosine, Self::SqEuclidean, Self::Euclidean];
        all.into_iter()
            .zip(["dot", "cosine", "sqeuclidean", "euclidean"])
            .find(|(_, own)| *own == name)
            .map(|(kind, _)| kind)
    }

    /// Whether it is minus a distance.
    pub(super) fn is_distance(self) -> bool {
        matches!(self, Self::SqEuclidean | Self::Euclidean)
    }

    /// Turns products of row `index` of x with rows of y from `first` on into similarities.
    pub(super) fn of_products<T: Real>(
        self,
        x: &Side<'_, T>,
        y: &Side<'_, T>,
        index: usize,
        first: usize,
        products: &mut [T],
    ) {
        if !self.is_distance() {
            return;
        }
        let own = x.squares[index].widened();
        for (j, product) in (first..).zip(products) {
            let both = own + y.squares[j].widened();
            let mut square = both - 2.0 * product.widened();
            if square < CANCELLED * both {
                let differences = x.row(index).iter().zip(y.row(j)).map(|(a, b)| a.widened() - b.widened());
                square = differences.map(|difference| difference * difference).sum();
            }
            let distance = if self == Self::Euclidean { square.sqrt() } else { square };
            *product = T::rounded(-distance);
        }
    }

    /// Turns derivatives by similarities into derivatives by products.
    pub(super) fn to_products<T: Real>(self, slopes: &mut [T], distances: &[T]) {
        for (slope, distance) in slopes.iter_mut().zip(distances) {
            let distance = -distance.widened();
            let factor = match self {
                Self::SqEuclidean => 2.0,
                _ if distance == 0.0 => 0.0,
                _ => 1.0 / distance,
            };
            *slope = T::rounded(slope.widened() * factor);
        }
    }
}

/// Rows of `T`, one after the other: the caller's, or a copy of what is of another type or layout.
#[derive(Debug)]
pub struct Embeddings<'a, T: Clone> {
    values: Cow<'a, [T]>,
    rows: usize,
    width: usize,
}

impl<'a, T: Real + Element> Embeddings<'a, T> {
    /// Of a matrix.
    pub fn new(matrix: Matrix<'a>) -> Result<Self> {
        let (rows, width) = (matrix.rows(), matrix.width());
        if rows > 0
            && let Some(values) = matrix.rows_slice::<T>(0..rows)
        {
            return Ok(Self { values: Cow::Borrowed(values), rows, width });
        }
        let mut values = room(rows * width, T::default())?;
        for (index, row) in values.chunks_mut(width.max(1)).enumerate() {
            matrix.read(index, row);
        }
        Ok(Self { values: Cow::Owned(values), rows, width })
    }
}

/// Embeddings with what the similarity needs.
pub(super) struct Side<'a, T: Clone> {
    values: &'a [T],
    pub rows: usize,
    pub width: usize,
    /// What each row is multiplied by, one after the other.
    scales: Vec<[T; 2]>,
    /// Squares of the norms; none for products.
    squares: Vec<T>,
    pub largest_norm: f64,
}

impl<'a, T: Real> Side<'a, T> {
    pub fn new(
        embeddings: &'a Embeddings<'_, T>,
        similarity: Similarity,
        argument: &'static str,
        context: &Context,
    ) -> Result<Self> {
        let Embeddings { values, rows, width } = embeddings;
        let mut side =
            Self { values, rows: *rows, width: *width, scales: Vec::new(), squares: Vec::new(), largest_norm: 0.0 };
        for index in 0..*rows {
            if index % 1024 == 0 {
                context.check()?;
            }
            let row = side.row(index);
            let mut square = simd::call(context.isa, Square(row));
            if !(1e-25..1e25).contains(&square) {
                if let Some(column) = row.iter().position(|value| !value.widened().is_finite()) {
                    let value = row[column].widened().to_string();
                    return Err(crate::Error::NotFinite { argument, value, row: index, column });
                }
                square = row.iter().map(|value| value.widened() * value.widened()).sum();
            }
            side.largest_norm = side.largest_norm.max(square.sqrt());
            match similarity {
                Similarity::Dot => {}
                Similarity::Cosine => side.scales.push(Self::scale_of(row, square)),
                _ => side.squares.push(T::rounded(square)),
            }
        }
        Ok(side)
    }

    /// What a row is multiplied by to have the norm 1, or to stay 0: first a power of two that brings it into range.
    fn scale_of(row: &[T], square: f64) -> [T; 2] {
        let one = T::rounded(1.0);
        if (1e-25..1e25).contains(&square) {
            return [one, T::rounded(1.0 / square.sqrt())];
        }
        let largest = row.iter().map(|value| value.widened().abs()).fold(0.0, f64::max);
        if largest == 0.0 {
            return [one, T::default()];
        }
        // Half a power of what would be too large for one.
        let limit = if size_of::<T>() == 4 { 120 } else { 1000 };
        let exponent = (-largest.log2().floor() as i32).clamp(-limit, limit);
        let power = 2f64.powi(exponent);
        let square: f64 = row.iter().map(|value| (value.widened() * power).powi(2)).sum();
        [T::rounded(power), T::rounded(1.0 / square.sqrt())]
    }

    /// A row as it is given.
    #[inline(always)]
    pub fn row(&self, index: usize) -> &'a [T] {
        &self.values[index * self.width..][..self.width]
    }

    /// What a row is multiplied by, one after the other.
    #[inline(always)]
    pub fn scale(&self, index: usize) -> [T; 2] {
        self.scales.get(index).copied().unwrap_or([T::rounded(1.0); 2])
    }

    /// Writes `columns` of some rows, multiplied by their scales, `stride` apart.
    #[inline(always)]
    pub fn copy(&self, rows: Range<usize>, columns: Range<usize>, out: &mut [T], stride: usize) {
        for (index, out) in rows.zip(out.chunks_mut(stride)) {
            let (row, [power, scale]) = (&self.row(index)[columns.clone()], self.scale(index));
            out.iter_mut().zip(row).for_each(|(out, value)| *out = value.times(power).times(scale));
        }
    }

    /// Leads gradients with respect to what was multiplied back to the rows; `sums` are those of derivatives by products.
    pub fn lead_back(&self, gradient: &mut [T], sums: &[T], similarity: Similarity) {
        for (index, gradient) in gradient.chunks_mut(self.width.max(1)).enumerate() {
            let row = self.row(index);
            match similarity {
                Similarity::Dot => {}
                Similarity::Cosine => {
                    let [power, scale] = self.scale(index).map(|scale| scale.widened());
                    let unit = |x: &T| x.widened() * power * scale;
                    let along: f64 = gradient.iter().zip(row).map(|(g, x)| g.widened() * unit(x)).sum();
                    for (g, x) in gradient.iter_mut().zip(row) {
                        *g = T::rounded((g.widened() - along * unit(x)) * scale * power);
                    }
                }
                _ => {
                    let sum = sums[index];
                    gradient.iter_mut().zip(row).for_each(|(g, &x)| *g = g.minus(sum.times(x)));
                }
            }
        }
    }
}

/// The sum of squares.
struct Square<'a, T>(&'a [T]);

impl<T: Real> Op for Square<'_, T> {
    type Out = f64;
    #[inline(always)]
    fn run<L: Level>(self) -> f64 {
        let mut lanes = [T::default(); 32];
        let (whole, rest) = self.0.as_chunks::<32>();
        for values in whole {
            lanes.iter_mut().zip(values).for_each(|(lane, &value)| *lane = value.square_plus(*lane));
        }
        lanes.iter_mut().zip(rest).for_each(|(lane, &value)| *lane = value.square_plus(*lane));
        lanes.iter().map(|lane| lane.widened()).sum()
    }
}
