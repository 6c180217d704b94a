//! Losses over all pairs of two sets of embeddings, with their gradients, in the memory of a few hundred rows of the matrix.
//!
//! A loss is a function of a row of similarities: a value, and its derivative by each similarity ([`RowLoss`]). The engine
//! takes the rows of x in panels. For each it
//! 1. multiplies the panel with all rows of y ([`sheet`]),
//! 2. lets the loss turn each row of similarities into a row of derivatives `G`,
//! 3. multiplies these back: `dx += G y` and `dy += G^T x`,
//!
//! and at the end leads the gradients through the normalisation of the rows ([`embeddings`]). All threads share a panel, and
//! every sum is taken in an order that neither the panels nor the threads change: the same bits for all of them.
//!
//! Cost: 6 n m d operations. Memory: 1.4 kB for each row of y (float32), less where there is little, and the packed panel.

mod embeddings;
mod hard_negatives;
mod sheet;
mod sigmoid;
mod softmax;
mod sweeps;
mod symmetric;
#[cfg(test)]
mod tests;

pub use embeddings::{Embeddings, Similarity};
pub use hard_negatives::HardNegatives;
pub use sigmoid::Sigmoid;
pub use softmax::{PerRow, Several, Softmax};
pub use symmetric::Symmetric;

use super::search::Spares;
use crate::error::Result;
use crate::matrix::Matrix;
use crate::pool::Context;
use crate::simd::{Isa, Real};
use embeddings::Side;
use sheet::{Panel, Sheet};
use std::ops::Range;

/// What a row comes to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Outcome {
    /// The value; 0 if not valid.
    pub value: f64,
    /// Whether the row has what the loss needs.
    pub valid: bool,
    /// Derivatives by parameters of the loss.
    pub slopes: [f64; 2],
}

impl Outcome {
    /// A row that lacks what the loss needs.
    pub const INVALID: Self = Self { value: 0.0, valid: false, slopes: [0.0; 2] };

    /// A row of this value and derivative by its parameter; if it is NaN, so are all.
    fn of<T: Real>(value: f64, slope: f64, slopes: &mut [T]) -> Self {
        if value.is_nan() {
            slopes.fill(T::rounded(f64::NAN));
            return Self { value, valid: true, slopes: [value; 2] };
        }
        Self { value, valid: true, slopes: [slope, 0.0] }
    }
}

/// A loss.
pub trait RowLoss<T: Clone>: Sync {
    /// The value of a row; turns its similarities into the derivatives of `factor` times the value. What it leaves of a row
    /// that is not valid does not matter. Derivatives by parameters are also of `factor` times the value.
    fn row(&self, row: usize, similarities: &mut [T], spare: &mut Spare<T>, factor: f64, isa: Isa) -> Outcome;

    /// Looks at all pairs before rows are asked for, if that is needed.
    fn look(&mut self, _pairs: &Pairs<'_, T>, _context: &Context) -> Result<()> {
        Ok(())
    }
}

/// Room that a thread keeps from row to row.
#[derive(Debug)]
pub struct Spare<T> {
    /// The row itself.
    row: Vec<T>,
    /// For a row of derivatives.
    pub(super) slopes: Vec<T>,
    /// For another row.
    pub(super) others: Vec<T>,
    /// Columns of positives.
    pub(super) positives: Vec<usize>,
}

impl<T: Real> Spare<T> {
    fn new(columns: usize) -> Self {
        let row = || vec![T::default(); columns];
        Self { row: row(), slopes: row(), others: row(), positives: Vec::new() }
    }

    /// About what that takes.
    fn bytes(columns: usize) -> usize {
        columns * (3 * size_of::<T>() + size_of::<usize>())
    }
}

/// What similarities come from.
pub struct Pairs<'a, T: Clone> {
    x: Side<'a, T>,
    /// None if y is x.
    y: Option<Side<'a, T>>,
    similarity: Similarity,
    /// Further similarities of each row.
    appended: Option<Matrix<'a>>,
}

/// Outcomes of all rows, and gradients.
#[derive(Debug)]
pub struct Gradients<T> {
    /// Of each row.
    pub outcomes: Vec<Outcome>,
    /// With respect to x, and y with it if y is x.
    pub x: Vec<T>,
    /// With respect to y.
    pub y: Vec<T>,
    /// With respect to what was appended.
    pub appended: Vec<T>,
}

/// Rows of a panel: a multiple of these, and at most [`MOST_ROWS`]; sums over rows are taken in such groups.
const GROUP: usize = 42;
const MOST_ROWS: usize = 8 * GROUP;

/// Rows that a task turns into derivatives.
const TASK_ROWS: usize = 6;

impl<'a, T: Real> Pairs<'a, T> {
    /// Of two embeddings of one width.
    pub fn new(
        x: &'a Embeddings<'a, T>,
        y: Option<&'a Embeddings<'a, T>>,
        similarity: Similarity,
        appended: Option<Matrix<'a>>,
        context: &Context,
    ) -> Result<Self> {
        let side = |embeddings, argument| Side::new(embeddings, similarity, argument, context);
        Ok(Self { x: side(x, "x")?, y: y.map(|y| side(y, "y")).transpose()?, similarity, appended })
    }

    fn y(&self) -> &Side<'a, T> {
        self.y.as_ref().unwrap_or(&self.x)
    }

    /// Whether no product leaves the range of `T`.
    pub fn in_range(&self) -> bool {
        let limit = if size_of::<T>() == 4 { 1e37 } else { 1e307 };
        self.similarity == Similarity::Cosine || self.x.largest_norm * self.y().largest_norm < limit
    }

    /// Columns of a row of similarities.
    fn columns(&self) -> usize {
        self.y().rows + self.appended.map_or(0, |appended| appended.width())
    }

    /// Threads, and rows of a panel.
    fn plan(&self, context: &Context) -> Result<(usize, usize)> {
        let (rows, columns, width) = (self.x.rows, self.columns(), self.x.width);
        let most = MOST_ROWS.min(rows.next_multiple_of(GROUP)).max(GROUP);
        let sizes: Vec<usize> = (1..=most / GROUP).rev().map(|groups| groups * GROUP).collect();
        let bytes = |threads: usize, rows: usize| {
            Sheet::<T>::bytes(rows, self.y().rows)
                + Panel::<T>::bytes(rows, width)
                + threads * (Spare::<T>::bytes(columns) + sheet::task_bytes::<T>(rows, width))
        };
        let work = rows.saturating_mul(columns).saturating_mul(width / 8 + 8);
        context.plan(context.threads_for(work), &sizes, GROUP, bytes)
    }

    /// Calls `each` with the similarities of every panel, as products of the rows of both sides.
    fn for_panels(
        &self,
        context: &Context,
        mut each: impl FnMut(Range<usize>, &mut Sheet<T>, &Panel<T>, usize) -> Result<()>,
    ) -> Result<()> {
        let (threads, most) = self.plan(context)?;
        let mut sheet = Sheet::new(most, self.y().rows, context.isa)?;
        let mut panel = Panel::new(most, self.x.width, context.isa)?;
        for begin in (0..self.x.rows).step_by(most) {
            context.check()?;
            let rows = begin..self.x.rows.min(begin + most);
            panel.pack(&self.x, rows.clone());
            sheet.multiply(&panel, self.y(), threads, context)?;
            each(rows, &mut sheet, &panel, threads)?;
        }
        Ok(())
    }

    /// Values of all rows, and the gradient of the sum of `factors` times the values, 1 each if there are none.
    pub fn run(
        &self,
        loss: &mut impl RowLoss<T>,
        factors: Option<&[f64]>,
        gradient: bool,
        context: &Context,
    ) -> Result<Gradients<T>> {
        loss.look(self, context)?;
        let loss = &*loss;
        let (rows, width, columns) = (self.x.rows, self.x.width, self.columns());
        let room = |cells: usize| super::packed::room(if gradient { cells } else { 0 }, T::default());
        let mut result = Gradients {
            outcomes: Vec::with_capacity(rows),
            x: room(rows * width)?,
            y: room(self.y.as_ref().map_or(0, |y| y.rows * width))?,
            appended: room(rows * (columns - self.y().rows))?,
        };
        // Sums of derivatives over rows and over columns, which gradients of distances need.
        let mut sums = [room(rows)?, room(self.y().rows)?];
        let spares = Spares::new();
        let further = columns - self.y().rows;
        self.for_panels(context, |panel_rows, sheet, panel, threads| {
            let mut appended = result.appended.get_mut(panel_rows.start * further..).unwrap_or_default();
            let mut tasks = Vec::new();
            for (i, pieces) in sheet.rows(panel_rows.len(), TASK_ROWS).into_iter().enumerate() {
                let count = pieces.len().min(panel_rows.len() - i * TASK_ROWS);
                let (own, rest) = appended.split_at_mut(if gradient { count * further } else { 0 });
                appended = rest;
                tasks.push((panel_rows.start + i * TASK_ROWS, pieces, own));
            }
            let each = |(first, pieces, out): (usize, Vec<Vec<&mut [T]>>, &mut [T])| {
                context.check()?;
                let work = |spare: &mut Spare<T>| {
                    let mut row = std::mem::take(&mut spare.row);
                    let mut outcomes = Vec::with_capacity(pieces.len());
                    for (i, mut pieces) in pieces.into_iter().enumerate() {
                        let index = first + i;
                        let given = out.get_mut(i * further..(i + 1) * further).unwrap_or_default();
                        let factor = factors.map_or(1.0, |factors| factors[index]);
                        let outcome = self.row(loss, index, &mut pieces, given, &mut row, spare, factor, context.isa);
                        outcomes.push(outcome);
                    }
                    spare.row = row;
                    Ok(outcomes)
                };
                spares.with(|| Ok(Spare::new(columns)), work)
            };
            for outcomes in context.map(threads, tasks, each)? {
                for (outcome, sum) in outcomes? {
                    if gradient && self.similarity.is_distance() {
                        sums[0][result.outcomes.len()] = sum;
                    }
                    result.outcomes.push(outcome);
                }
            }
            if gradient {
                let products = sheet.row_products(self.y(), threads, context)?;
                if self.y.is_some() {
                    let x = &mut result.x[panel_rows.start * width..panel_rows.end * width];
                    sweeps::add(context.isa, x, &products);
                    sheet.add_columns(panel, &mut result.y, None, threads, context)?;
                } else {
                    let own = Some((panel_rows.clone(), products.as_slice()));
                    sheet.add_columns(panel, &mut result.x, own, threads, context)?;
                }
                if self.similarity.is_distance() {
                    sheet.add_sums(panel_rows.len(), &mut sums[1], context.isa);
                }
            }
            Ok(())
        })?;
        if gradient {
            let [mut of_x, of_y] = sums;
            match &self.y {
                Some(y) => y.lead_back(&mut result.y, &of_y, self.similarity),
                None => sweeps::add(context.isa, &mut of_x, &of_y),
            }
            self.x.lead_back(&mut result.x, &of_x, self.similarity);
        }
        Ok(result)
    }

    /// One row: from products to derivatives by products, and their sum if similarities are distances.
    #[allow(clippy::too_many_arguments)]
    fn row(
        &self,
        loss: &impl RowLoss<T>,
        index: usize,
        pieces: &mut [&mut [T]],
        given: &mut [T],
        row: &mut [T],
        spare: &mut Spare<T>,
        factor: f64,
        isa: Isa,
    ) -> (Outcome, T) {
        let (own, further) = row.split_at_mut(self.y().rows);
        for (part, piece) in own.chunks_mut(sheet::COLUMNS).zip(pieces.iter()) {
            part.copy_from_slice(&piece[..part.len()]);
        }
        self.similarity.of_products(&self.x, self.y(), index, 0, own);
        let distances = self.similarity.is_distance().then(|| own.to_vec());
        if let Some(appended) = self.appended {
            appended.read(index, further);
        }
        let outcome = loss.row(index, row, spare, factor, isa);
        if !outcome.valid {
            row.fill(T::default());
        }
        let (own, further) = row.split_at_mut(self.y().rows);
        if let Some(distances) = distances {
            self.similarity.to_products(own, &distances);
        }
        for (part, piece) in own.chunks(sheet::COLUMNS).zip(pieces) {
            piece[..part.len()].copy_from_slice(part);
        }
        given.copy_from_slice(&further[..given.len()]);
        let sum = if self.similarity.is_distance() { T::rounded(sweeps::sum(isa, own)) } else { T::default() };
        (outcome, sum)
    }
}

/// The same loss of the rows of a matrix of similarities: outcomes, and the gradient with respect to the matrix.
pub fn of_matrix<T: Real>(
    similarities: Matrix<'_>,
    appended: Option<Matrix<'_>>,
    loss: &impl RowLoss<T>,
    factors: Option<&[f64]>,
    gradient: bool,
    context: &Context,
) -> Result<(Vec<Outcome>, Vec<T>, Vec<T>)> {
    let (rows, width) = (similarities.rows(), similarities.width());
    let further = appended.map_or(0, |appended| appended.width());
    let mut out: Vec<T> = super::packed::room(if gradient { rows * width } else { 0 }, T::default())?;
    let mut out_further: Vec<T> = super::packed::room(if gradient { rows * further } else { 0 }, T::default())?;
    let (mut rest, mut rest_further) = (out.as_mut_slice(), out_further.as_mut_slice());
    let mut tasks = Vec::new();
    for first in (0..rows).step_by(TASK_ROWS) {
        let count = if gradient { TASK_ROWS.min(rows - first) } else { 0 };
        let (own, others) = rest.split_at_mut(count * width);
        let (own_further, others_further) = rest_further.split_at_mut(count * further);
        (rest, rest_further) = (others, others_further);
        tasks.push((first, own, own_further));
    }
    let spares = Spares::new();
    let each = |(first, out, out_further): (usize, &mut [T], &mut [T])| {
        context.check()?;
        let work = |spare: &mut Spare<T>| {
            let mut row = std::mem::take(&mut spare.row);
            let mut outcomes = Vec::with_capacity(TASK_ROWS);
            for index in first..rows.min(first + TASK_ROWS) {
                let (own, others) = row.split_at_mut(width);
                similarities.read(index, own);
                if let Some(appended) = appended {
                    appended.read(index, others);
                }
                let outcome =
                    loss.row(index, &mut row, spare, factors.map_or(1.0, |factors| factors[index]), context.isa);
                if gradient && outcome.valid {
                    let (own, others) = row.split_at(width);
                    out[(index - first) * width..][..width].copy_from_slice(own);
                    out_further[(index - first) * further..][..further].copy_from_slice(others);
                }
                outcomes.push(outcome);
            }
            spare.row = row;
            Ok(outcomes)
        };
        spares.with(|| Ok(Spare::new(width + further)), work)
    };
    let threads = context.threads_for(rows.saturating_mul(width + further).saturating_mul(4));
    let outcomes = context.map(threads, tasks, each)?.into_iter().collect::<Result<Vec<_>>>()?;
    Ok((outcomes.into_iter().flatten().collect(), out, out_further))
}
