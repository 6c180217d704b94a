//! Reductions of the matrix of scores that never exists: for each row of x a count, a mean or a log-sum-exp, and for all
//! pairs a histogram.
//!
//! Counts and histograms are exact: a pair whose interval reaches over an edge is scored in float64. Means and
//! log-sum-exps are sums of values as tiles hold them, added in blocks, the blocks in float64. Cost O(n m d); memory: the
//! result and a few MiB for each thread.

use super::bits::BitTiles;
use super::exact::Exact;
use super::kernel::{STRIP, Strip};
use super::pack::FloatTiles;
use super::packed::{centre_of, panel_rows};
use super::search::{Search, Spares, plan_panels, sweep};
use super::select::Order;
use super::{Consumer, Producer, Tile, panels};
use crate::error::Result;
use crate::key::Element;
use crate::pool::Context;
use crate::simd::{Level, Real};
use std::ops::Range;

/// What a row's scores are reduced to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Reduction<'a> {
    /// How many reach the row's threshold.
    Count(&'a [f64]),
    /// The mean; NaN if no pair counts.
    Mean,
    /// `log(sum(exp(scale * score)))`; negative infinity if no pair counts.
    LogSumExp {
        /// What scores are multiplied by.
        scale: f64,
    },
}

/// What a consumer knows of a row of x so far.
#[derive(Debug, Clone, Copy)]
struct State {
    /// Pairs, or those that reach the threshold.
    count: u64,
    sum: f64,
    /// The largest exponent.
    largest: f64,
}

impl<'a> Search<'a> {
    /// Reduces each row, with tiles of `T`.
    pub fn reduce<T: Real + Element>(&self, reduction: Reduction, out: &mut [f64], context: &Context) -> Result<()> {
        assert_eq!(out.len(), self.x.rows(), "a place for each row");
        let centre = if self.metric.may_be_centred() { Some(centre_of::<T>(&self.y)) } else { None };
        let tiles = |rows| FloatTiles::new(self.metric, false, self.x, self.y, centre.as_deref(), rows, context.isa);
        let (width, y_rows) = (self.x.width(), self.y.rows());
        let bytes = |rows| FloatTiles::<T>::bytes(y_rows, width, rows);
        let plan = self.plan_reduction(panel_rows(width, size_of::<T>()), bytes, context)?;
        self.reduce_tiles::<T, _>(tiles, plan, reduction, out, context)
    }

    /// The same for rows of packed bits.
    pub fn reduce_bits(&self, reduction: Reduction, out: &mut [f64], context: &Context) -> Result<()> {
        let tiles = |rows| BitTiles::new(self.metric, false, self.x, self.y, rows, context.isa);
        let width = self.x.width();
        let plan = self.plan_reduction(BitTiles::panel_rows(width), |rows| BitTiles::bytes(width, rows), context)?;
        self.reduce_tiles::<f32, _>(tiles, plan, reduction, out, context)
    }

    /// Threads, and rows of a panel, for tiles that take `bytes(rows)`.
    fn plan_reduction(&self, most: usize, bytes: impl Fn(usize) -> usize, context: &Context) -> Result<(usize, usize)> {
        let each = |rows: usize| bytes(rows) + Exact::bytes(self.x.width()) + rows * size_of::<State>();
        let bytes = |threads: usize, rows: usize| threads * each(rows);
        plan_panels(context, self.x.rows(), context.threads_for(self.cost()), most, bytes)
    }

    fn reduce_tiles<T: Real, P: Producer<T> + Send>(
        &self,
        producer: impl Fn(usize) -> Result<P> + Sync,
        (threads, most): (usize, usize),
        reduction: Reduction,
        out: &mut [f64],
        context: &Context,
    ) -> Result<()> {
        let (mut tasks, mut rest) = (Vec::new(), out);
        for panel in panels(self.x.rows(), most, threads) {
            let (own, others) = rest.split_at_mut(panel.len());
            tasks.push((panel, own));
            rest = others;
        }
        let (order, spares) = (self.order(), Spares::new());
        let task = |(panel, out): (Range<usize>, &mut [f64])| {
            let rows = panel.len();
            let mut consumer = Rows {
                search: self,
                reduction,
                begin: panel.start,
                states: vec![State { count: 0, sum: 0.0, largest: f64::NEG_INFINITY }; rows],
                exact: Exact::new(self.metric, self.x, self.y, context.isa),
                order,
                ruled: self.admit.is_ruled(),
            };
            let y = 0..self.y.rows();
            spares
                .with(|| producer(most), |producer| sweep(producer, panel, y, false, None, &mut consumer, context))?;
            for (out, state) in out.iter_mut().zip(consumer.states) {
                *out = match reduction {
                    Reduction::Count(_) => state.count as f64,
                    Reduction::Mean => state.sum / state.count as f64,
                    Reduction::LogSumExp { .. } => state.largest + state.sum.ln(),
                };
            }
            Ok(())
        };
        context.map(threads, tasks, task)?.into_iter().collect()
    }
}

/// The consumer of reductions by row.
struct Rows<'a> {
    search: &'a Search<'a>,
    reduction: Reduction<'a>,
    begin: usize,
    states: Vec<State>,
    exact: Exact<'a>,
    order: Order,
    /// Whether some pairs do not count.
    ruled: bool,
}

impl Rows<'_> {
    /// Counts the values of a tile that reach the thresholds.
    fn count<T: Real>(&mut self, tile: &Tile<T>, thresholds: &[f64]) {
        let metric = self.search.metric;
        for lane in 0..STRIP.min(self.states.len() - tile.x0) {
            let row = tile.x0 + lane;
            let threshold = thresholds[self.begin + row];
            let key = self.order.key(threshold);
            let limit = metric.value(if metric.is_distance() { threshold.max(0.0) } else { threshold });
            // Distances that must be at least the threshold have values that are at most its value.
            let above = self.order.largest != metric.is_distance();
            let slack = tile.error.0[lane].widened() + limit.abs() * f64::EPSILON * 4.0 + f64::MIN_POSITIVE;
            let (mut count, mut set) = (0, false);
            for (j, values) in tile.values.iter().enumerate() {
                let distance = (values.0[lane].widened() - limit) * if above { 1.0 } else { -1.0 };
                if distance < -slack || (self.ruled && !self.search.admit.pair(self.begin + row, tile.y0 + j)) {
                    continue;
                }
                if distance > slack && (threshold >= 0.0 || !metric.is_distance()) {
                    count += 1;
                    continue;
                }
                if !set {
                    self.exact.set_row(self.begin + row);
                    set = true;
                }
                count += u64::from(self.order.key(self.exact.score(tile.y0 + j)) >= key);
            }
            self.states[row].count += count;
        }
    }

    /// Scores pairs of rows whose values mean nothing in float64.
    #[inline(always)]
    fn score_out_of_range<T: Real>(&mut self, values: &mut [Strip<T>], x0: usize, y0: usize, x: &Strip<T>, y: &[T]) {
        let lowest = T::rounded(f64::NEG_INFINITY);
        let any_x = x.0.contains(&lowest);
        for (j, (values, &y_bias)) in values.iter_mut().zip(y).enumerate() {
            if !any_x && y_bias != lowest {
                continue;
            }
            for lane in (0..STRIP.min(self.states.len() - x0)).filter(|&lane| y_bias == lowest || x.0[lane] == lowest) {
                self.exact.set_row(self.begin + x0 + lane);
                values.0[lane] = T::rounded(self.exact.score(y0 + j));
            }
        }
    }

    /// Adds what each lane has in `sums` of `counts` terms, which are relative to `exp(largest)`.
    #[inline(always)]
    fn add<T: Real>(&mut self, x0: usize, sums: &[T; STRIP], counts: &[u32; STRIP]) {
        for (lane, state) in self.states[x0..].iter_mut().take(STRIP).enumerate() {
            state.sum += sums[lane].widened();
            state.count += u64::from(counts[lane]);
        }
    }
}

impl<T: Real> Consumer<T> for Rows<'_> {
    fn wants(&self, y: Range<usize>) -> bool {
        self.search.admit.any_of(y)
    }

    #[inline(always)]
    fn tile<L: Level>(&mut self, tile: Tile<T>) -> Result<()> {
        if let Reduction::Count(thresholds) = self.reduction {
            self.count(&tile, thresholds);
            return Ok(());
        }
        let Tile { values, x0, y0, biases, .. } = tile;
        self.search.score_values(values);
        if let Some((x, y)) = biases {
            self.score_out_of_range(values, x0, y0, x, y);
        }
        let mut counts = [values.len() as u32; STRIP];
        let (zero, lowest) = (T::default(), T::rounded(f64::NEG_INFINITY));
        let out = if self.reduction == Reduction::Mean { zero } else { lowest };
        if self.ruled {
            for (j, values) in values.iter_mut().enumerate() {
                let rows = self.begin + x0..self.begin + self.states.len();
                for ((value, count), row) in values.0.iter_mut().zip(&mut counts).zip(rows) {
                    if !self.search.admit.pair(row, y0 + j) {
                        (*value, *count) = (out, *count - 1);
                    }
                }
            }
        }
        let mut sums = [zero; STRIP];
        match self.reduction {
            Reduction::LogSumExp { scale } => {
                let scale = T::rounded(scale);
                let mut largest = [lowest; STRIP];
                for values in values.iter_mut() {
                    for (largest, value) in largest.iter_mut().zip(&mut values.0) {
                        // Not a number times a scale of 0: what is left out stays out.
                        *value = if *value > lowest { value.times(scale) } else { lowest };
                        *largest = value.larger(*largest);
                    }
                }
                for (lane, state) in self.states[x0..].iter_mut().take(STRIP).enumerate() {
                    let new = largest[lane].widened().max(state.largest);
                    if new > state.largest {
                        state.sum *= (state.largest - new).exp();
                        state.largest = new;
                    }
                    largest[lane] = T::rounded(state.largest);
                }
                for values in values.iter() {
                    for ((sum, &value), &largest) in sums.iter_mut().zip(&values.0).zip(&largest) {
                        // Nothing counts yet where even the largest is infinitely low.
                        let power = T::exp(value.minus(largest));
                        *sum = sum.plus(if value > lowest { power } else { zero });
                    }
                }
            }
            _ => {
                for values in values.iter() {
                    for (sum, &value) in sums.iter_mut().zip(&values.0) {
                        *sum = sum.plus(value);
                    }
                }
            }
        }
        self.add(x0, &sums, &counts);
        Ok(())
    }
}

impl Search<'_> {
    /// Turns values into scores.
    #[inline(always)]
    fn score_values<T: Real>(&self, values: &mut [Strip<T>]) {
        use super::metric::Metric;
        let factor = match self.metric {
            Metric::Dot | Metric::Cosine => return,
            Metric::SqEuclidean => -2.0,
            Metric::Manhattan | Metric::Hamming | Metric::Jaccard => -1.0,
            _ => {
                for value in values.iter_mut().flat_map(|strip| &mut strip.0) {
                    *value = T::rounded(self.metric.score_of_value(value.widened()));
                }
                return;
            }
        };
        let factor = T::rounded(factor);
        values.iter_mut().flat_map(|strip| &mut strip.0).for_each(|value| *value = value.times(factor));
    }
}

/// Equal bins from `low` to `high`; the last one includes its upper end.
#[derive(Debug, Clone, Copy)]
pub struct Bins {
    /// The lower end of the first.
    pub low: f64,
    /// The upper end of the last.
    pub high: f64,
    /// How many there are.
    pub count: usize,
}

impl Bins {
    /// The bin of a score; `None` outside.
    #[inline(always)]
    pub fn of(&self, score: f64) -> Option<usize> {
        let at = (score - self.low) / (self.high - self.low) * self.count as f64;
        if at >= 0.0 && score <= self.high { Some((at as usize).min(self.count - 1)) } else { None }
    }
}

impl<'a> Search<'a> {
    /// Counts the scores of all admissible pairs in bins; with `classes`, labels of the rows of x and of y, first those of
    /// pairs with different labels and then those with the same. With `upper`, x is y and each pair of two rows counts
    /// once.
    pub fn histogram(
        &self,
        bins: Bins,
        classes: Option<[&[i64]; 2]>,
        upper: bool,
        context: &Context,
    ) -> Result<Vec<u64>> {
        let source = self.source(false, context.isa);
        let kinds = if classes.is_some() { 2 } else { 1 };
        let (threads, own) = (context.threads_for(self.cost()), kinds * bins.count * size_of::<u64>());
        let (threads, most) = source.plan(context, threads, usize::MAX, |_| own, |_, _| 0)?;
        // One histogram for each thread, not for each panel.
        let all = panels(self.x.rows(), most, threads);
        let groups: Vec<Vec<Range<usize>>> =
            (0..threads).map(|t| all.iter().skip(t).step_by(threads).cloned().collect()).collect();
        let task = |panels: Vec<Range<usize>>| {
            let mut consumer = Histogram {
                search: self,
                bins,
                classes,
                upper,
                panel: 0..0,
                counts: vec![0u64; kinds * bins.count],
                exact: Exact::new(self.metric, self.x, self.y, context.isa),
                ruled: self.admit.is_ruled(),
            };
            let mut tiles = source.tiles(most, false)?;
            for panel in panels {
                consumer.panel = panel.clone();
                let y = if upper { panel.start..self.y.rows() } else { 0..self.y.rows() };
                tiles.sweep(panel, y, false, &mut consumer, context)?;
            }
            Ok(consumer.counts)
        };
        let mut total = vec![0; kinds * bins.count];
        for counts in context.map(threads, groups, task)? {
            total.iter_mut().zip(counts?).for_each(|(total, count)| *total += count);
        }
        Ok(total)
    }
}

/// The consumer of histograms.
struct Histogram<'a> {
    search: &'a Search<'a>,
    bins: Bins,
    classes: Option<[&'a [i64]; 2]>,
    upper: bool,
    panel: Range<usize>,
    counts: Vec<u64>,
    exact: Exact<'a>,
    ruled: bool,
}

impl Consumer<f32> for Histogram<'_> {
    #[inline(always)]
    fn tile<L: Level>(&mut self, tile: Tile<f32>) -> Result<()> {
        let Tile { values, x0, y0, error, .. } = tile;
        let Bins { low, high, count } = self.bins;
        let (factor, metric) = (count as f64 / (high - low), self.search.metric);
        // In units of bins, with the rounding of `at`. Only where scores are values is the bin known without the score.
        let linear = matches!(metric, super::metric::Metric::Dot | super::metric::Metric::Cosine);
        for lane in 0..STRIP.min(self.panel.len() - x0) {
            let (row, mut set) = (self.panel.start + x0 + lane, false);
            let slack = (f64::from(error.0[lane]) * factor * 1.000_001 + count as f64 * 1e-12) as f32;
            for (j, values) in values.iter().enumerate() {
                let column = y0 + j;
                if self.upper && column <= row || self.ruled && !self.search.admit.pair(row, column) {
                    continue;
                }
                let mut bin = None;
                if linear {
                    let at = (f64::from(values.0[lane]) - low) * factor;
                    let whole = at.floor();
                    let part = (at - whole) as f32;
                    if part > slack && part < 1.0 - slack && at > 0.0 && whole < count as f64 {
                        bin = Some(whole as usize);
                    }
                }
                let bin = match bin {
                    Some(bin) => Some(bin),
                    None => {
                        if !set {
                            self.exact.set_row(row);
                            set = true;
                        }
                        self.bins.of(self.exact.score(column))
                    }
                };
                let Some(bin) = bin else { continue };
                let kind = self.classes.is_some_and(|[x, y]| x[row] == y[column]) as usize;
                self.counts[kind * count + bin] += 1;
            }
        }
        Ok(())
    }
}
