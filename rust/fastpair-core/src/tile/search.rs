//! Two matrices, a metric and the pairs that count: what every operation of this engine begins with.

use super::admit::Admit;
use super::bits::BitTiles;
use super::bytes::ByteTiles;
use super::exact::Exact;
use super::filter::{Filter, Rung, Size, Watch, ladder};
use super::kernel::{FEW, STRIP};
use super::metric::Metric;
use super::narrow::{Form, Frame, NarrowTiles, PackedRows};
use super::open::OpenTiles;
use super::pack::FloatTiles;
use super::packed::{centre_of, panel_rows};
use super::select::Order;
use super::{Consumer, Producer, Sweep};
use crate::error::Result;
use crate::matrix::Matrix;
use crate::pool::Context;
use crate::simd::Isa;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
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
    /// What top-k and radius searches are filtered by, and rows of y that were packed for it.
    pub filter: Filter,
    /// All rows of y in few bits, if they are there: taken if the filter is of that form, or free.
    pub packed: Option<PackedRows<'a>>,
}

impl<'a> Search<'a> {
    /// A search for what is nearest among all rows of y.
    pub fn new(x: Matrix<'a>, y: Matrix<'a>, metric: Metric) -> Self {
        let largest = !metric.is_distance();
        Self { x, y, metric, largest, admit: Admit::default(), filter: Filter::Auto, packed: None }
    }

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

    /// What its tiles are made from; with one filter, float32 or a better exact one, unless `filtered`.
    pub(crate) fn source(self, filtered: bool, isa: Isa) -> Source<'a> {
        Source::new(self, filtered, isa)
    }
}

/// What the tiles of a search are made from: the filters that are worth trying, and the frames of each.
pub(crate) struct Source<'a> {
    search: Search<'a>,
    centre: Option<Vec<f32>>,
    ladder: Vec<Rung>,
    /// The frame of each rung, if it writes rows in few bits.
    frames: Vec<Frame>,
    /// The rung that tasks have come to.
    reached: AtomicUsize,
    isa: Isa,
}

impl<'a> Source<'a> {
    fn new(search: Search<'a>, filtered: bool, isa: Isa) -> Self {
        let Search { metric, x, y, .. } = search;
        let only = |filter| vec![Rung { filter, cost: 0.0 }];
        let ladder = match search.filter {
            _ if !filtered => only(Filter::F32),
            Filter::Off => only(Filter::Off),
            _ if metric.is_of_bits() => only(Filter::F32),
            Filter::Auto if ByteTiles::can(metric, &x, &y, isa) => only(Filter::F32),
            Filter::Auto => {
                let packed = search.packed.map(|packed| packed.form());
                ladder(metric, Size { x_rows: x.rows(), y_rows: y.rows(), width: x.width(), packed }, isa)
            }
            Filter::Narrow(_) if !NarrowTiles::can(metric, x.width()) => only(Filter::F32),
            filter => only(filter),
        };
        let frames = ladder.iter().map(|rung| match (rung.filter, search.packed) {
            (Filter::Narrow(form), Some(packed)) if packed.form() == form => packed.frame(y.width()),
            (Filter::Narrow(form), _) => Frame::of(metric, &y, form),
            _ => Frame::default(),
        });
        let frames = frames.collect();
        let centre = metric.may_be_centred().then(|| centre_of(&y));
        Self { search, centre, ladder, frames, reached: AtomicUsize::new(0), isa }
    }

    /// Whether intervals of values may be wide.
    pub fn is_coarse(&self) -> bool {
        matches!(self.ladder[0].filter, Filter::Narrow(_))
    }

    /// The threads, at most `threads`, and rows of a panel, at most `most`, for which there is room. A consumer takes
    /// `own(rows)` bytes for a panel of so many rows, and all threads share `shared(threads, rows)`.
    pub fn plan(
        &self,
        context: &Context,
        threads: usize,
        most: usize,
        own: impl Fn(usize) -> usize,
        shared: impl Fn(usize, usize) -> usize,
    ) -> Result<(usize, usize)> {
        let Search { x, y, .. } = self.search;
        let width = x.width();
        let kinds = || self.ladder.iter().map(|rung| self.kind(rung.filter));
        let rows = kinds().map(|kind| match kind {
            Kind::Bits => BitTiles::panel_rows(width),
            Kind::Bytes => ByteTiles::panel_rows(width),
            Kind::Narrow(form) => NarrowTiles::panel_rows(form, width),
            Kind::Floats | Kind::Open => panel_rows(width, size_of::<f32>()),
        });
        let make = |rows: usize| {
            let each = kinds().map(|kind| match kind {
                Kind::Bits => BitTiles::bytes(width, rows),
                Kind::Bytes => ByteTiles::bytes(width, rows),
                Kind::Narrow(form) => NarrowTiles::bytes(form, width, rows),
                Kind::Floats => FloatTiles::<f32>::bytes(y.rows(), width, rows),
                Kind::Open => OpenTiles::bytes(width),
            });
            each.max().unwrap_or(0)
        };
        let bytes = |threads: usize, rows: usize| {
            threads * (make(rows) + Exact::bytes(width) + own(rows)) + shared(threads, rows)
        };
        let rows = rows.clone().next().unwrap_or(STRIP);
        plan_panels(context, x.rows(), threads, most.min(rows), bytes)
    }

    /// The tiles of a filter.
    fn kind(&self, filter: Filter) -> Kind {
        let Search { metric, x, y, .. } = self.search;
        match filter {
            Filter::Off => Kind::Open,
            Filter::Narrow(form) => Kind::Narrow(form),
            _ if metric.is_of_bits() => Kind::Bits,
            _ if ByteTiles::can(metric, &x, &y, self.isa) => Kind::Bytes,
            _ => Kind::Floats,
        }
    }

    /// A producer with room for panels of `most` rows. With `negated`, larger values mean farther.
    pub fn tiles(&self, most: usize, negated: bool) -> Result<Tiles<'_>> {
        let rung = self.reached.load(Ordering::Relaxed);
        Ok(Tiles { source: self, most, negated, rung, made: self.make(rung, most, negated)? })
    }

    fn make(&self, rung: usize, most: usize, negated: bool) -> Result<Made<'_>> {
        let Search { metric, x, y, packed, .. } = self.search;
        let (isa, centre) = (self.isa, self.centre.as_deref());
        Ok(match self.kind(self.ladder[rung].filter) {
            Kind::Open => Made::Open(OpenTiles::new(metric, x, y)?),
            Kind::Bits => Made::Bits(BitTiles::new(metric, negated, x, y, most, isa)?),
            Kind::Bytes => Made::Bytes(ByteTiles::new(metric, negated, x, y, most, isa)?),
            Kind::Floats => Made::Floats(FloatTiles::new(metric, negated, x, y, centre, most, isa)?),
            Kind::Narrow(form) => {
                let packed = packed.filter(|packed| packed.form() == form);
                let written = (form, &self.frames[rung]);
                Made::Narrow(NarrowTiles::new(metric, negated, x, y, packed, written, most, isa)?)
            }
        })
    }
}

/// Makes the tiles of a search by one filter after the other.
pub(crate) struct Tiles<'s> {
    source: &'s Source<'s>,
    most: usize,
    negated: bool,
    rung: usize,
    made: Made<'s>,
}

enum Made<'s> {
    /// Room is being made for the next ones.
    Nothing,
    Open(OpenTiles<'s>),
    Bits(BitTiles<'s>),
    Bytes(ByteTiles<'s>),
    Floats(FloatTiles<'s, f32>),
    Narrow(NarrowTiles<'s>),
}

/// Rows of y between two places where the filter may change: a multiple of what any of them takes at a time, or a little
/// less.
const UNIT: usize = 160;

/// Units before the first look at survivors.
const FIRST_LOOK: usize = 8;

impl Tiles<'_> {
    /// Shows a consumer the tiles of a panel of x with some rows of y.
    pub fn sweep<C: Consumer<f32>>(
        &mut self,
        panel: Range<usize>,
        y: Range<usize>,
        scattered: bool,
        consumer: &mut C,
        context: &Context,
    ) -> Result<()> {
        self.climb_to(self.source.reached.load(Ordering::Relaxed))?;
        let ladder = &self.source.ladder;
        if ladder.len() == 1 {
            return self.visit(panel, y, scattered, None, consumer, context);
        }
        let units = y.len().div_ceil(UNIT);
        let mut watch = Watch::new(self.source.search.x.width(), consumer.survivors());
        let (mut begin, mut is_new) = (0, true);
        while begin < units {
            let is_last = self.rung + 1 == ladder.len();
            let end = if is_last { units } else { (2 * begin).max(FIRST_LOOK).min(units) };
            let visit = Visit { unit: UNIT, visits: begin..end, is_new };
            self.visit(panel.clone(), y.clone(), scattered, Some(visit), consumer, context)?;
            (begin, is_new) = (end, false);
            if !is_last && begin < units {
                let pairs = [end, units - end].map(|units| units as f64 * UNIT as f64 * panel.len() as f64);
                if watch.should_climb(consumer.survivors(), pairs, [ladder[self.rung], ladder[self.rung + 1]]) {
                    self.climb_to(self.rung + 1)?;
                    is_new = true;
                }
            }
        }
        Ok(())
    }

    /// Goes on with another filter.
    fn climb_to(&mut self, rung: usize) -> Result<()> {
        if rung > self.rung {
            // The old buffers go first.
            self.made = Made::Nothing;
            self.made = self.source.make(rung, self.most, self.negated)?;
            self.rung = rung;
            self.source.reached.fetch_max(rung, Ordering::Relaxed);
        }
        Ok(())
    }

    fn visit<C: Consumer<f32>>(
        &mut self,
        panel: Range<usize>,
        y: Range<usize>,
        scattered: bool,
        visit: Option<Visit>,
        consumer: &mut C,
        context: &Context,
    ) -> Result<()> {
        match &mut self.made {
            Made::Nothing => Ok(()),
            Made::Open(producer) => sweep(producer, panel, y, scattered, visit, consumer, context),
            Made::Bits(producer) => sweep(producer, panel, y, scattered, visit, consumer, context),
            Made::Bytes(producer) => sweep(producer, panel, y, scattered, visit, consumer, context),
            Made::Floats(producer) => sweep(producer, panel, y, scattered, visit, consumer, context),
            Made::Narrow(producer) => sweep(producer, panel, y, scattered, visit, consumer, context),
        }
    }
}

/// Shows a consumer the tiles of a panel of x with some rows of y.
pub(crate) fn sweep<T, P: Producer<T>, C: Consumer<T>>(
    producer: &mut P,
    panel: Range<usize>,
    y: Range<usize>,
    scattered: bool,
    visit: Option<Visit>,
    consumer: &mut C,
    context: &Context,
) -> Result<()> {
    let rows = panel.len();
    // Few rows of x are compared as fast as y is read, which is fastest in order.
    let scattered = scattered && rows > FEW;
    if visit.as_ref().is_none_or(|visit| visit.is_new) {
        producer.set_panel(panel)?;
    }
    let unit = visit.as_ref().map_or(producer.block_rows(), |visit| visit.unit);
    let visits = visit.map_or(0..y.len().div_ceil(unit), |visit| visit.visits);
    Sweep { producer, consumer, y, unit, visits, scattered, rows, context }.run::<T>()
}

/// A part of the rows of y.
pub(crate) struct Visit {
    /// Rows in a unit, the visits of units in their order, and whether the panel is not yet set.
    pub unit: usize,
    pub visits: Range<usize>,
    pub is_new: bool,
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

/// Which tiles.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Open,
    Bits,
    Bytes,
    Floats,
    Narrow(Form),
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
