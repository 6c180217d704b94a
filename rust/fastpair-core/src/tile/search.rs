//! Two matrices, a metric and the pairs that count: what every operation of this engine begins with.

use super::admit::Admit;
use super::bits::BitTiles;
use super::bytes::ByteTiles;
use super::exact::Exact;
use super::kernel::{FEW, STRIP};
use super::metric::Metric;
use super::pack::FloatTiles;
use super::packed::{centre_of, panel_rows};
use super::select::Order;
use super::{Consumer, Producer, Sweep};
use crate::error::Result;
use crate::matrix::Matrix;
use crate::pool::Context;
use crate::simd::Isa;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

/// A search in the rows of y for each row of x.
#[derive(Debug, Clone, Copy)]
pub struct Search<'a> {
    /// Queries.
    pub x: Matrix<'a>,
    /// Candidates, as wide as the queries.
    pub y: Matrix<'a>,
    /// The metric.
    pub metric: Metric,
    /// Whether the largest scores are the best.
    pub largest: bool,
    /// Which pairs count.
    pub admit: Admit<'a>,
}

impl<'a> Search<'a> {
    /// Pairs to look at.
    pub fn pairs(&self) -> usize {
        self.x.rows().saturating_mul(self.y.rows())
    }

    /// How long that takes, in operations of a nanosecond or so.
    pub fn cost(&self) -> usize {
        self.pairs().saturating_mul(self.x.width() / 64 + 1)
    }

    /// Which scores are best.
    pub(crate) fn order(&self) -> Order {
        Order { metric: self.metric, largest: self.largest }
    }

    /// A point to move both matrices by, if that helps.
    pub(crate) fn centre(&self) -> Option<Vec<f32>> {
        self.metric.may_be_centred().then(|| centre_of(&self.y))
    }

    /// The threads, at most `threads`, and rows of a panel, at most `most`, for which there is room. A consumer takes
    /// `own(rows)` bytes for a panel of so many rows, and all threads share `shared(threads, rows)`.
    pub(crate) fn plan(
        &self,
        context: &Context,
        threads: usize,
        most: usize,
        own: impl Fn(usize) -> usize,
        shared: impl Fn(usize, usize) -> usize,
    ) -> Result<(usize, usize)> {
        let (width, y_rows) = (self.x.width(), self.y.rows());
        let (kind, rows) = self.producer(context.isa);
        let make = |rows: usize| match kind {
            Kind::Bits => BitTiles::bytes(width, rows),
            Kind::Bytes => ByteTiles::bytes(width, rows),
            Kind::Floats => FloatTiles::<f32>::bytes(y_rows, width, rows),
        };
        let bytes = |threads: usize, rows: usize| {
            threads * (make(rows) + Exact::bytes(width) + own(rows)) + shared(threads, rows)
        };
        plan_panels(context, self.x.rows(), threads, most.min(rows), bytes)
    }

    /// The fastest producer that can, and the rows of its panel.
    fn producer(&self, isa: Isa) -> (Kind, usize) {
        let width = self.x.width();
        if self.metric.is_of_bits() {
            (Kind::Bits, BitTiles::panel_rows(width))
        } else if ByteTiles::can(self.metric, &self.x, &self.y, isa) {
            (Kind::Bytes, ByteTiles::panel_rows(width))
        } else {
            (Kind::Floats, panel_rows(width, size_of::<f32>()))
        }
    }

    /// A producer with room for panels of `most` rows. With `negated`, larger values mean farther.
    pub(crate) fn tiles(&self, most: usize, negated: bool, centre: Option<&'a [f32]>, isa: Isa) -> Result<Tiles<'a>> {
        let (metric, x, y) = (self.metric, self.x, self.y);
        Ok(match self.producer(isa).0 {
            Kind::Bits => Tiles::Bits(BitTiles::new(metric, negated, x, y, most, isa)?),
            Kind::Bytes => Tiles::Bytes(ByteTiles::new(metric, negated, x, y, most, isa)?),
            Kind::Floats => Tiles::Floats(FloatTiles::new(metric, negated, x, y, centre, most, isa)?),
        })
    }
}

/// The fastest producer that can make the tiles of a search.
pub(crate) enum Tiles<'a> {
    Bits(BitTiles<'a>),
    Bytes(ByteTiles<'a>),
    Floats(FloatTiles<'a, f32>),
}

impl Tiles<'_> {
    /// Shows a consumer the tiles of a panel of x with some rows of y.
    pub(crate) fn sweep<C: Consumer<f32>>(
        &mut self,
        panel: Range<usize>,
        y: Range<usize>,
        scattered: bool,
        consumer: &mut C,
        context: &Context,
    ) -> Result<()> {
        match self {
            Self::Bits(producer) => sweep(producer, panel, y, scattered, consumer, context),
            Self::Bytes(producer) => sweep(producer, panel, y, scattered, consumer, context),
            Self::Floats(producer) => sweep(producer, panel, y, scattered, consumer, context),
        }
    }
}

/// Shows a consumer the tiles of a panel of x with some rows of y.
pub(crate) fn sweep<T, P: Producer<T>, C: Consumer<T>>(
    producer: &mut P,
    panel: Range<usize>,
    y: Range<usize>,
    scattered: bool,
    consumer: &mut C,
    context: &Context,
) -> Result<()> {
    let rows = panel.len();
    // Few rows of x are compared as fast as y is read, which is fastest in order.
    let scattered = scattered && rows > FEW;
    producer.set_panel(panel)?;
    Sweep { producer, consumer, y, scattered, rows, context }.run::<T>()
}

/// What a task leaves to the next one: large buffers are made once for each thread, not for each panel.
pub(crate) struct Spares<P>(Mutex<Vec<P>>);

impl<P> Spares<P> {
    pub fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    /// Works with one that is left, or else with a new one.
    pub fn with<R>(&self, make: impl FnOnce() -> Result<P>, work: impl FnOnce(&mut P) -> Result<R>) -> Result<R> {
        let left = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let spare = left().pop();
        let mut own = match spare {
            Some(own) => own,
            None => make()?,
        };
        let result = work(&mut own);
        left().push(own);
        result
    }
}

/// Which of them.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Bits,
    Bytes,
    Floats,
}

/// The threads and the rows of a panel, at most `most`, for which `bytes(threads, rows)` stay within the memory.
pub(crate) fn plan_panels(
    context: &Context,
    x_rows: usize,
    threads: usize,
    most: usize,
    bytes: impl Fn(usize, usize) -> usize,
) -> Result<(usize, usize)> {
    let most = most.min(x_rows.max(1)).next_multiple_of(STRIP);
    // With smaller panels, packing rows of y for each would take a good part of the time: then fewer threads do more.
    let halves =
        std::iter::successors(Some(most), |&rows| Some((rows / 2).next_multiple_of(STRIP)).filter(|&half| half < rows));
    let sizes: Vec<usize> = halves.take_while(|&rows| rows >= most.min(2 * STRIP)).collect();
    context.plan(threads, &sizes, STRIP, bytes)
}
