//! Rows as a metric needs them: read from any dtype in float64, moved, brought into range, then rounded.

use super::exact::{check_point, square};
use super::metric::{Metric, RowTraits};
use super::packed::room;
use crate::error::Result;
use crate::matrix::Matrix;
use crate::simd::Real;

/// Sums of squares or magnitudes in this range lost nothing that the bounds do not cover.
const SMALLEST_SUM: f64 = 1.0 / (1u64 << 60) as f64;
const LARGEST_SUM: f64 = (1u128 << 80) as f64;

/// Whether a sum of squares or magnitudes in `T` is as good as the bounds say. NaN is not.
#[inline(always)]
pub(crate) fn in_range(sum: f64) -> bool {
    sum > SMALLEST_SUM && sum < LARGEST_SUM
}

/// Room for a row.
pub(crate) struct Reader<T> {
    metric: Metric,
    /// The row that was read last.
    pub row: Vec<T>,
    wide: Vec<f64>,
}

impl<T: Real> Reader<T> {
    /// Room for rows of this width.
    pub fn new(metric: Metric, width: usize) -> Result<Self> {
        Ok(Self { metric, row: room(width, T::default())?, wide: room(width, 0.0)? })
    }

    /// What that takes.
    pub fn bytes(width: usize) -> usize {
        width * (size_of::<T>() + size_of::<f64>())
    }

    /// Largest norm whose products with others stay in range.
    fn largest_norm() -> f64 {
        if size_of::<T>() == 4 { 2f64.powi(50) } else { 2f64.powi(250) }
    }

    /// Reads row `index` of x, or else of y, moved by `-centre`, and says what it brings. A row out of range is read as
    /// zeros and brings infinities; but one of a cosine is multiplied by a power of two.
    pub fn read(&mut self, matrix: &Matrix, of_x: bool, centre: Option<&[T]>, index: usize) -> Result<RowTraits> {
        let argument = if of_x { "x" } else { "y" };
        matrix.read(index, &mut self.wide);
        check_point(self.metric, matrix, argument, index, &self.wide)?;
        if let Some(centre) = centre {
            self.wide.iter_mut().zip(centre).for_each(|(value, centre)| *value -= centre.widened());
        }
        let largest = self.wide.iter().fold(0f64, |largest, value| largest.max(value.abs()));
        let limit = Self::largest_norm() / (self.wide.len().max(1) as f64);
        let mut out_of_range = largest > limit;
        if self.metric == Metric::Cosine && largest > 0.0 && !(1.0 / limit..limit).contains(&largest) {
            let power = 2f64.powi((1023 - (largest.to_bits() >> 52) as i32).clamp(-1022, 1000));
            self.wide.iter_mut().for_each(|value| *value *= power);
            out_of_range = false;
        }
        if out_of_range {
            self.row.fill(T::default());
            let infinite = f64::INFINITY;
            return Ok(RowTraits { norm: infinite, half: infinite, bias: -infinite, scale: 1.0 });
        }
        if of_x && self.metric == Metric::Lorentz {
            self.wide.first_mut().into_iter().for_each(|first| *first = -*first);
        }
        let sum = match self.metric {
            Metric::Manhattan => self.wide.iter().map(|value| value.abs()).sum(),
            // As exact scores have it: near the edge of the Poincare ball the last bit matters.
            _ => square(&self.wide),
        };
        self.row.iter_mut().zip(&self.wide).for_each(|(value, &wide)| *value = T::rounded(wide));
        Ok(self.metric.traits(sum))
    }
}
