//! Two matrices, a metric and the pairs that count: what every operation of this engine begins with.

use super::admit::Admit;
use super::bits::BitTiles;
use super::bytes::ByteTiles;
use super::kernel::FEW;
use super::metric::Metric;
use super::pack::FloatTiles;
use super::packed::centre_of;
use super::select::Order;
use super::{Consumer, Producer, Sweep};
use crate::error::Result;
use crate::matrix::Matrix;
use crate::pool::Context;
use std::ops::Range;

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

impl Search<'_> {
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

    /// Shows a consumer the tiles of a panel of x with some rows of y, made by the fastest producer that can. With
    /// `negated`, larger values mean farther.
    #[allow(clippy::too_many_arguments)]
    pub(crate) fn sweep<C: Consumer<f32>>(
        &self,
        panel: Range<usize>,
        y: Range<usize>,
        negated: bool,
        scattered: bool,
        centre: Option<&[f32]>,
        consumer: &mut C,
        context: &Context,
    ) -> Result<()> {
        let (metric, rows) = (self.metric, panel.len());
        // Few rows of x are compared as fast as y is read, which is fastest in order.
        let scattered = scattered && rows > FEW;
        if metric.is_of_bits() {
            let mut producer = BitTiles::new(metric, negated, self.x, self.y, rows, context.isa)?;
            producer.set_panel(panel)?;
            return Sweep { producer: &mut producer, consumer, y, scattered, rows, context }.run();
        }
        if ByteTiles::can(metric, &self.x, &self.y, context.isa) {
            let mut producer = ByteTiles::new(metric, negated, self.x, self.y, rows, context.isa)?;
            producer.set_panel(panel)?;
            return Sweep { producer: &mut producer, consumer, y, scattered, rows, context }.run();
        }
        let mut producer = FloatTiles::new(metric, negated, self.x, self.y, centre, rows, context.isa)?;
        producer.set_panel(panel)?;
        Sweep { producer: &mut producer, consumer, y, scattered, rows, context }.run()
    }
}
