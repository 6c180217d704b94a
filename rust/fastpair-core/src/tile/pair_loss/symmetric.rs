//! The softmax loss of aligned rows in both directions (CLIP): a first pass gathers the log-sums of columns, a second one
//! has them beside those of its rows. 8 n m d operations in place of the 12 of two losses.

use super::sheet::COLUMNS;
use super::sweeps::{exponentials, largest, scale_and_multiply};
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
    /// Of each column the sum of the exponentials of logits less the largest one, and of these times the similarities less
    /// the largest one.
    sums: Vec<[f64; 2]>,
    /// The factor over the first of them.
    inverses: Vec<T>,
}

impl<'a, T: Real> Symmetric<'a, T> {
    /// At this temperature. `factors` are those that the engine is given.
    pub fn new(temperature: f64, factors: Option<&'a [f64]>) -> Self {
        Self { temperature, factors, largest: Vec::new(), sums: Vec::new(), inverses: Vec::new() }
    }
}

impl<T: Real> RowLoss<T> for Symmetric<'_, T> {
    fn look(&mut self, pairs: &Pairs<'_, T>, context: &Context) -> Result<()> {
        let (count, inverse) = (pairs.y().rows, 1.0 / self.temperature);
        self.largest = vec![T::rounded(f64::NEG_INFINITY); count];
        self.sums = vec![[0.0; 2]; count];
        pairs.for_panels(context, |rows, sheet, _, threads| {
            if pairs.similarity.is_distance() {
                let turn = |(pieces, index): (Vec<Vec<&mut [T]>>, usize)| {
                    for (block, piece) in pieces.into_iter().flatten().enumerate() {
                        let first = block * COLUMNS;
                        let piece = &mut piece[..COLUMNS.min(count - first)];
                        pairs.similarity.of_products(&pairs.x, pairs.y(), index, first, piece);
                    }
                };
                context.map(threads, sheet.rows(rows.len(), 1).into_iter().zip(rows.clone()).collect(), turn)?;
            }
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
        let inverses = self.sums.iter().enumerate().map(|(column, [sum, _])| T::rounded(factor(column) / sum));
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
        let [sum_of_column, moment] = self.sums[row];
        let most = self.largest[row].widened();
        let log_column = (most - own) * inverse + sum_of_column.ln();
        let value = 0.5 * (log_row + log_column);
        // By the temperature: the mean similarities of row and column less the positive's.
        let half = 0.5 * factor * inverse;
        let of_row = scale_and_multiply(isa, slopes, half / sum_of_row, similarities, shift);
        let of_column = half * (moment / sum_of_column);
        let product = of_row + of_column + half * ((shift.widened() - own) + (most - own));
        let half = T::rounded(0.5 * inverse);
        let columns = others.iter().zip(&self.inverses);
        for ((s, &slope), (&other, &of_column)) in similarities.iter_mut().zip(slopes.iter()).zip(columns) {
            *s = slope.plus(other.times(of_column).times(half));
        }
        similarities[row] = T::rounded(similarities[row].widened() - factor * inverse);
        Outcome::of(value, -product * inverse, similarities)
    }
}

/// Adds the rows of a block to what is known of its columns.
struct Columns<'a, T> {
    values: &'a [T],
    rows: Range<usize>,
    inverse: f64,
    largest: &'a mut [T],
    sums: &'a mut [[f64; 2]],
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
            let (mut of_group, mut moments) = ([T::default(); ROW], [T::default(); ROW]);
            for row in group {
                let values = &values[row * ROW..][..count];
                let exponents = &mut exponents[..count];
                for ((out, &value), &most) in exponents.iter_mut().zip(values).zip(largest.iter()) {
                    *out = value.minus(most).times(factor);
                }
                T::exp_all::<L>(exponents);
                of_group.iter_mut().zip(exponents.iter()).for_each(|(sum, &value)| *sum = sum.plus(value));
                let differences = values.iter().zip(largest.iter()).map(|(&value, &most)| value.minus(most));
                for ((moment, &exponent), difference) in moments.iter_mut().zip(exponents.iter()).zip(differences) {
                    *moment = moment.plus(exponent.times(difference));
                }
            }
            let new = of_group.iter().zip(&moments);
            for (([sum, moment], (&new, &new_moment)), (before, most)) in
                sums.iter_mut().zip(new).zip(before.iter().zip(largest.iter()))
            {
                if *sum > 0.0 {
                    let moved = before.widened() - most.widened();
                    let decay = (moved * inverse).exp();
                    *moment = decay * (*moment + *sum * moved);
                    *sum *= decay;
                }
                *sum += new.widened();
                *moment += new_moment.widened();
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
