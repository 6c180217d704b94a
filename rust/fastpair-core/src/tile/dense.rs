//! The whole matrix of scores, where the caller wants it, and the scores of aligned rows.
//!
//! Here rows of y are the lanes, so that a tile's rows are pieces of the result's. Cost O(n m d); memory: the result and
//! a few MiB for each thread. Every score is computed by itself in one order of summation, so it does not depend on
//! threads or on the other rows; instruction sets without fused operations round differently.

use super::bits::BitTiles;
use super::bytes::ByteTiles;
use super::exact::{Exact, check_point};
use super::kernel::{STRIP, Strip};
use super::metric::Metric;
use super::pack::FloatTiles;
use super::packed::panel_rows;
use super::search::{Search, plan_panels};
use super::{Consumer, Producer, Sweep, Tile, panels};
use crate::error::Result;
use crate::key::Element;
use crate::matrix::Matrix;
use crate::pool::Context;
use crate::simd::{Level, Real};
use std::ops::Range;

/// Squared distances below this part of `norm_x^2 + norm_y^2` are computed from differences in float64: the sum of squares
/// less twice the product would have lost too many digits. What is computed how depends on the two rows alone.
const CANCELLED: f64 = 1.0 / 32.0;

impl<'a> Search<'a> {
    /// Writes the scores of all pairs: `out[i * m + j]` is that of row i of x and row j of y.
    pub fn dense<T: Real + Element>(&self, out: &mut [T], context: &Context) -> Result<()> {
        // No centre, which would make each score depend on other rows.
        let (width, rows) = (self.x.width(), self.x.rows());
        let bytes = |most| FloatTiles::<T>::bytes(rows, width, most);
        let (threads, most) = self.plan_dense(panel_rows(width, size_of::<T>()), bytes, context)?;
        let pieces = self.pieces(out, threads);
        let task = |(range, out): (Range<usize>, &mut [T])| {
            let tiles = |x, y, most| FloatTiles::new(self.metric, false, x, y, None, most, context.isa);
            self.fill(tiles, range, most, out, context)
        };
        context.map(threads, pieces, task)?.into_iter().collect()
    }

    /// The same for rows of packed bits, or of bytes on a processor that can.
    pub fn dense_of_integers(&self, out: &mut [f32], context: &Context) -> Result<()> {
        let width = self.x.width();
        let (threads, most) = if self.metric.is_of_bits() {
            self.plan_dense(BitTiles::panel_rows(width), |most| BitTiles::bytes(width, most), context)?
        } else {
            self.plan_dense(ByteTiles::panel_rows(width), |most| ByteTiles::bytes(width, most), context)?
        };
        let pieces = self.pieces(out, threads);
        let task = |(range, out): (Range<usize>, &mut [f32])| {
            if self.metric.is_of_bits() {
                let tiles = |x, y, most| BitTiles::new(self.metric, false, x, y, most, context.isa);
                self.fill(tiles, range, most, out, context)
            } else {
                let tiles = |x, y, most| ByteTiles::new(self.metric, false, x, y, most, context.isa);
                self.fill(tiles, range, most, out, context)
            }
        };
        context.map(threads, pieces, task)?.into_iter().collect()
    }

    /// Whether [`Search::dense_of_integers`] can be used.
    pub fn is_of_integers(&self, context: &Context) -> bool {
        self.metric.is_of_bits() || ByteTiles::can(self.metric, &self.x, &self.y, context.isa)
    }

    /// Threads, and rows of y in a panel, for tiles that take `bytes(rows)`.
    fn plan_dense(&self, most: usize, bytes: impl Fn(usize) -> usize, context: &Context) -> Result<(usize, usize)> {
        let bytes = |threads: usize, rows: usize| threads * (bytes(rows) + Exact::bytes(self.x.width()));
        plan_panels(context, self.y.rows(), context.threads_for(self.cost()), most, bytes)
    }

    /// The rows of the result, cut into a piece for each thread.
    fn pieces<'o, T>(&self, out: &'o mut [T], threads: usize) -> Vec<(Range<usize>, &'o mut [T])> {
        let (rows, columns) = (self.x.rows(), self.y.rows());
        assert_eq!(out.len(), rows * columns, "a place for each pair");
        let cut = |i: usize| rows * i / threads;
        let (mut pieces, mut rest) = (Vec::new(), out);
        for range in (0..threads).map(|i| cut(i)..cut(i + 1)).filter(|range| !range.is_empty() && columns > 0) {
            let (piece, others) = rest.split_at_mut(range.len() * columns);
            pieces.push((range, piece));
            rest = others;
        }
        pieces
    }

    /// Writes the rows of a range, in panels of at most `most` rows of y.
    fn fill<T: Real, P: Producer<T>>(
        &self,
        producer: impl Fn(Matrix<'a>, Matrix<'a>, usize) -> Result<P>,
        range: Range<usize>,
        most: usize,
        out: &mut [T],
        context: &Context,
    ) -> Result<()> {
        // The roles of x and y are exchanged.
        let (x, y, metric) = (self.y, self.x, self.metric);
        let panels = panels(x.rows(), most, 1);
        let mut producer = producer(x, y, panels.iter().map(Range::len).max().unwrap_or(0))?;
        let exact = Exact::new(metric, x, y, context.isa);
        let mut consumer = Dense { metric, out, columns: x.rows(), begin: range.start, panel: 0..0, exact };
        for panel in panels {
            producer.set_panel(panel.clone()).map_err(exchanged)?;
            let rows = panel.len();
            consumer.panel = panel;
            let (producer, consumer, y) = (&mut producer, &mut consumer, range.clone());
            let (unit, scattered) = (producer.block_rows(), false);
            let visits = 0..y.len().div_ceil(unit);
            Sweep { producer, consumer, y, unit, visits, scattered, rows, context }.run::<T>().map_err(exchanged)?;
        }
        Ok(())
    }

    /// The exact scores of all pairs, as they are defined.
    pub fn dense_exact(&self, out: &mut [f64], context: &Context) -> Result<()> {
        let (rows, columns) = (self.x.rows(), self.y.rows());
        assert_eq!(out.len(), rows * columns, "a place for each pair");
        if out.is_empty() {
            return Ok(());
        }
        check_all(self.metric, &self.x, "x")?;
        check_all(self.metric, &self.y, "y")?;
        let tasks: Vec<_> = out.chunks_mut(columns).enumerate().collect();
        let task = |(row, out): (usize, &mut [f64])| {
            context.check()?;
            let mut exact = Exact::new(self.metric, self.x, self.y, context.isa);
            exact.set_row(row);
            out.iter_mut().enumerate().for_each(|(column, out)| *out = exact.score(column));
            context.advance(columns);
            Ok(())
        };
        let bytes = |threads: usize, _| threads * Exact::bytes(self.x.width());
        let (threads, _) = context.plan(context.threads_for(self.cost()), &[1], 1, bytes)?;
        context.map(threads, tasks, task)?.into_iter().collect()
    }

    /// The exact scores of row i of x and row i of y.
    pub fn rowwise(&self, out: &mut [f64], context: &Context) -> Result<()> {
        assert!(out.len() == self.x.rows() && out.len() == self.y.rows(), "as many rows in x, y and the result");
        check_all(self.metric, &self.x, "x")?;
        check_all(self.metric, &self.y, "y")?;
        let tasks: Vec<_> = out.chunks_mut(1 << 12).enumerate().collect();
        let task = |(chunk, out): (usize, &mut [f64])| {
            context.check()?;
            let mut exact = Exact::new(self.metric, self.x, self.y, context.isa);
            for (row, out) in (chunk << 12..).zip(out) {
                exact.set_row(row);
                *out = exact.score(row);
            }
            Ok(())
        };
        context.map(context.threads_for(self.x.rows() * self.x.width() / 16), tasks, task)?.into_iter().collect()
    }
}

/// Errors that name x mean y and the reverse, since the roles are exchanged.
fn exchanged(error: crate::Error) -> crate::Error {
    use crate::Error::{NotFinite, OutsideBall};
    let other = |argument| if argument == "x" { "y" } else { "x" };
    match error {
        NotFinite { argument, value, row, column } => NotFinite { argument: other(argument), value, row, column },
        OutsideBall { argument, row, norm } => OutsideBall { argument: other(argument), row, norm },
        error => error,
    }
}

/// Fails at the first row that is no point of the metric's space.
fn check_all(metric: Metric, matrix: &Matrix, argument: &'static str) -> Result<()> {
    if metric.is_of_bits() {
        return Ok(());
    }
    let mut values = vec![0.0; matrix.width()];
    (0..matrix.rows()).try_for_each(|row| {
        matrix.read(row, &mut values);
        check_point(metric, matrix, argument, row, &values)
    })
}

/// The consumer: turns values into scores and writes them.
struct Dense<'a, T> {
    metric: Metric,
    out: &'a mut [T],
    columns: usize,
    /// The first row of the result.
    begin: usize,
    /// The columns that the lanes are.
    panel: Range<usize>,
    exact: Exact<'a>,
}

impl<T: Real> Dense<'_, T> {
    /// Where a row of a strip goes.
    #[inline(always)]
    fn place(&mut self, row: usize, x0: usize) -> &mut [T] {
        let used = STRIP.min(self.panel.len() - x0);
        let at = (row - self.begin) * self.columns + self.panel.start + x0;
        &mut self.out[at..at + used]
    }

    /// Computes anew the scores of a row with the lanes that have lost too many digits or all.
    #[cold]
    #[inline(never)]
    fn mend(&mut self, row: usize, x0: usize, lost: &[bool; STRIP]) {
        for lane in (0..STRIP.min(self.panel.len() - x0)).filter(|&lane| lost[lane]) {
            self.exact.set_row(self.panel.start + x0 + lane);
            let score = T::rounded(self.exact.score(row));
            self.place(row, x0)[lane] = score;
        }
    }

    #[inline(always)]
    fn write<L: Level>(&mut self, tile: Tile<T>) {
        let Tile { values, x0, y0, biases, .. } = tile;
        let (zero, minus_two, lowest) = (T::default(), T::rounded(-2.0), T::rounded(f64::NEG_INFINITY));
        let metric = self.metric;
        let out_of_range = biases.is_some_and(|(x, _)| x.0.contains(&lowest));
        for (j, Strip(values)) in values.iter_mut().enumerate() {
            let mut lost = [false; STRIP];
            if let Some((x, y)) = biases
                && (out_of_range || y[j] == lowest)
            {
                lost = x.0.map(|bias| bias == lowest || y[j] == lowest);
            }
            match metric {
                Metric::Dot => {}
                Metric::Cosine => {
                    let (least, most) = (T::rounded(-1.0), T::rounded(1.0));
                    for value in values.iter_mut() {
                        let larger = value.larger(least);
                        *value = if larger > most { most } else { larger };
                    }
                }
                Metric::SqEuclidean | Metric::Euclidean => {
                    let (x, y) = biases.expect("distances have biases");
                    // A bias is minus half a squared norm.
                    let part = T::rounded(-2.0 * CANCELLED);
                    for ((value, lost), &bias) in values.iter_mut().zip(&mut lost).zip(&x.0) {
                        *value = value.times(minus_two).larger(zero);
                        *lost |= *value < bias.plus(y[j]).times(part);
                    }
                    if metric == Metric::Euclidean {
                        values.iter_mut().for_each(|value| *value = value.root());
                    }
                }
                Metric::Manhattan | Metric::Hamming | Metric::Jaccard => {
                    values.iter_mut().for_each(|value| *value = zero.minus(*value));
                }
                Metric::Poincare | Metric::Lorentz => {
                    values.iter_mut().for_each(|value| *value = T::rounded(metric.score_of_value(value.widened())));
                }
            }
            let place = self.place(y0 + j, x0);
            match <&mut [T; STRIP]>::try_from(&mut *place) {
                // A copy of known length is two registers.
                Ok(place) => *place = *values,
                Err(_) => place.copy_from_slice(&values[..place.len()]),
            }
            if lost.contains(&true) {
                self.mend(y0 + j, x0, &lost);
            }
        }
    }
}

impl<T: Real> Consumer<T> for Dense<'_, T> {
    #[inline(always)]
    fn tile<L: Level>(&mut self, tile: Tile<T>) -> Result<()> {
        self.write::<L>(tile);
        Ok(())
    }
}
