//! The softmax loss of aligned rows in both directions (CLIP): a first pass gathers the log-sums of columns, a second one
//! has them beside those of its rows. 8 n m d operations in place of the 12 of two losses.

use super::sweeps::{exponentials, largest, sum};
use super::{Outcome, Pairs, RowLoss, Spare};
use crate::error::Result;
use crate::pool::Context;
use crate::simd::{self, Isa, Level, Op, Real};
use crate::tile::kernel::ROW;
use std::ops::Range;

/// The loss: row i and column i belong together.
#[derive(Debug, Clone)]
pub struct Symmetric<'a, T> {
    temperature: f64,
    /// What the value of each row is multiplied by, if anything.
    factors: Option<&'a [f64]>,
    /// The largest similarity of each column.
    largest: Vec<T>,
    /// The sum of the exponentials of logits less the largest one, of each column.
    sums: Vec<f64>,
    /// The factor over that.
    inverses: Vec<T>,
}

impl<'a, T: Real> Symmetric<'a, T> {
    /// At this temperature, of products: the similarity is no distance. `factors` are those that the engine is given.
    pub fn new(temperature: f64, factors: Option<&'a [f64]>) -> Self {
        Self { temperature, factors, largest: Vec::new(), sums: Vec::new(), inverses: Vec::new() }
    }
}

impl<T: Real> RowLoss<T> for Symmetric<'_, T> {
    fn look(&mut self, pairs: &Pairs<'_, T>, context: &Context) -> Result<()> {
        let (count, inverse) = (pairs.y().rows, 1.0 / self.temperature);
        self.largest = vec![T::rounded(f64::NEG_INFINITY); count];
        self.sums = vec![0.0; count];
        pairs.for_panels(context, |rows, sheet, _, threads| {
            let mut tasks = Vec::new();
            let (mut most, mut sums) = (self.largest.as_mut_slice(), self.sums.as_mut_slice());
            for (columns, values) in sheet.blocks() {
                let (own, rest) = most.split_at_mut(columns.len());
                let (own_sums, rest_sums) = sums.split_at_mut(columns.len());
                (most, sums) = (rest, rest_sums);
                tasks.push(Columns { values, rows: 0..rows.len(), inverse, largest: own, sums: own_sums });
            }
            context.map(threads, tasks, |task| simd::call(context.isa, task))?;
            Ok(())
        })?;
        let factor = |column: usize| self.factors.map_or(1.0, |factors| factors[column]);
        let inverses = self.sums.iter().enumerate().map(|(column, sum)| T::rounded(factor(column) / sum));
        self.inverses = inverses.collect();
        Ok(())
    }

    fn row(&self, row: usize, similarities: &mut [T], spare: &mut Spare<T>, factor: f64, isa: Isa) -> Outcome {
        if similarities.len() < 2 {
            return Outcome::INVALID;
        }
        let inverse = 1.0 / self.temperature;
        let own = similarities[row].widened();
        let shift = largest(isa, similarities);
        let Spare { slopes, others, .. } = spare;
        let sum_of_row = exponentials(isa, similarities, shift, inverse, slopes);
        simd::call(isa, OfColumns { similarities, largest: &self.largest, inverse, out: others });
        let log_row = (shift.widened() - own) * inverse + sum_of_row.ln();
        let log_column = (self.largest[row].widened() - own) * inverse + self.sums[row].ln();
        let value = 0.5 * (log_row + log_column);
        let scale = T::rounded(0.5 * factor * inverse / sum_of_row);
        let half = T::rounded(0.5 * inverse);
        for (((slope, &other), &of_column), s) in
            slopes.iter_mut().zip(others.iter()).zip(&self.inverses).zip(similarities.iter_mut())
        {
            *slope = slope.times(scale).plus(other.times(of_column).times(half));
            *s = slope.times(*s);
        }
        let mut product = sum(isa, similarities);
        similarities.copy_from_slice(slopes);
        let taken = factor * inverse;
        product -= taken * own;
        similarities[row] = T::rounded(similarities[row].widened() - taken);
        Outcome::of(value, -product * inverse, similarities)
    }
}

/// Adds the rows of a block to what is known of its columns.
struct Columns<'a, T> {
    values: &'a [T],
    rows: Range<usize>,
    inverse: f64,
    largest: &'a mut [T],
    sums: &'a mut [f64],
}

impl<T: Real> Op for Columns<'_, T> {
    type Out = ();
    #[inline(always)]
    fn run<L: Level>(self) {
        let Self { values, rows, inverse, largest, sums } = self;
        let (count, factor) = (largest.len(), T::rounded(inverse));
        let mut exponents = [T::default(); ROW];
        // Groups of rows whose borders do not depend on the panel.
        for group in rows.clone().step_by(super::GROUP) {
            let group = group..rows.end.min(group + super::GROUP);
            let before: Vec<T> = largest.to_vec();
            for row in group.clone() {
                let values = &values[row * ROW..][..count];
                largest
                    .iter_mut()
                    .zip(values)
                    .for_each(|(most, &value)| *most = if value > *most { value } else { *most });
            }
            let mut of_group = [T::default(); ROW];
            for row in group {
                let values = &values[row * ROW..][..count];
                let exponents = &mut exponents[..count];
                for ((out, &value), &most) in exponents.iter_mut().zip(values).zip(largest.iter()) {
                    *out = value.minus(most).times(factor);
                }
                T::exp_all::<L>(exponents);
                of_group.iter_mut().zip(exponents.iter()).for_each(|(sum, &value)| *sum = sum.plus(value));
            }
            for (((sum, &new), &before), &most) in sums.iter_mut().zip(&of_group).zip(&before).zip(largest.iter()) {
                let moved =
                    if *sum == 0.0 { 0.0 } else { *sum * ((before.widened() - most.widened()) * inverse).exp() };
                *sum = moved + new.widened();
            }
        }
    }
}

/// The exponentials of a row's logits less the largest of their columns.
struct OfColumns<'a, T> {
    similarities: &'a [T],
    largest: &'a [T],
    inverse: f64,
    out: &'a mut [T],
}

impl<T: Real> Op for OfColumns<'_, T> {
    type Out = ();
    #[inline(always)]
    fn run<L: Level>(self) {
        let factor = T::rounded(self.inverse);
        for ((out, &s), &most) in self.out.iter_mut().zip(self.similarities).zip(self.largest) {
            *out = s.minus(most).times(factor);
        }
        T::exp_all::<L>(self.out);
    }
}
