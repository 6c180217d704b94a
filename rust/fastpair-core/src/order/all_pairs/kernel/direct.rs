//! Pairs one by one, a register of them at a time: for short lists, for neighbours in the treecode, and for weights that
//! belong to pairs.
//!
//! O(pairs) time; no memory but the caller's.

use super::formula::Formula;
use crate::error::Result;
use crate::pool::Context;
use crate::simd::{self, Doubles, Floats, Level, Op};

/// Lower rows are padded to a multiple of this: the widest register of any level.
pub(crate) const PAD: usize = 8;

/// A copy with room for whole registers; what stands there counts nowhere.
pub(crate) fn padded(values: &[f64]) -> Vec<f64> {
    let mut out = Vec::with_capacity(values.len().next_multiple_of(PAD));
    out.extend_from_slice(values);
    out.resize(values.len().next_multiple_of(PAD), 0.0);
    out
}

/// The weights of the pairs of an upper row.
pub(crate) trait PairWeights {
    /// Whether they belong to pairs, and so to the derivatives of lower rows, or to the lower rows alone.
    const OF_PAIRS: bool;
    /// The weights with which upper row `row` meets the lower rows before `end`, padded.
    fn row(&mut self, row: usize, end: usize) -> &[f64];
}

/// Weights of the lower rows, padded.
pub(crate) struct OfLowers<'a>(pub &'a [f64]);

impl PairWeights for OfLowers<'_> {
    const OF_PAIRS: bool = false;
    #[inline(always)]
    fn row(&mut self, _: usize, _: usize) -> &[f64] {
        self.0
    }
}

/// Weights of pairs of rows with the same rows, of which none meets itself.
pub(crate) struct ButOne<'a> {
    /// Of the lower rows, padded.
    pub weights: &'a mut [f64],
    /// The weight that the row at hand hides.
    pub hidden: f64,
}

impl PairWeights for ButOne<'_> {
    const OF_PAIRS: bool = true;
    #[inline(always)]
    fn row(&mut self, row: usize, _: usize) -> &[f64] {
        if let Some(before) = row.checked_sub(1) {
            self.weights[before] = self.hidden;
        }
        self.hidden = std::mem::replace(&mut self.weights[row], 0.0);
        self.weights
    }
}

/// Upper rows, each against the first lower rows: sums of `weight * formula(x)`, where
/// `x = (lower - upper + shift) / temperature`, and of its derivative with respect to `x`.
pub(crate) struct Direct<'a, F, W> {
    pub formula: F,
    pub uppers: &'a [f64],
    pub upper_weights: &'a [f64],
    /// How many lower rows each upper row meets.
    pub ends: Ends<'a>,
    /// Padded.
    pub lowers: &'a [f64],
    pub weights: W,
    pub shift: f64,
    pub temperature: f64,
    /// Derivatives to add to: for each upper row the sum over lower rows, times their weights but not its own; the same
    /// for each lower row (padded), times weights of pairs.
    pub slopes: Option<(&'a mut [f64], &'a mut [f64])>,
    pub context: &'a Context<'a>,
}

/// How many lower rows each upper row meets.
#[derive(Clone, Copy)]
pub(crate) enum Ends<'a> {
    /// The same number for all.
    All(usize),
    /// A number for each.
    Each(&'a [usize]),
}

impl<F: Formula, W: PairWeights> Direct<'_, F, W> {
    /// The sum over all pairs.
    pub fn sum(self) -> Result<f64> {
        simd::call(self.context.isa, self)
    }

    /// The terms of one upper row: their sum, and that of the derivatives.
    #[inline(always)]
    unsafe fn row<L: Level>(&mut self, row: usize, end: usize) -> (f64, f64) {
        let lanes = L::F64::LANES;
        let weights = self.weights.row(row, end);
        let reach = end.next_multiple_of(PAD);
        assert!(reach <= self.lowers.len() && reach <= weights.len(), "a row beyond the lists");
        // SAFETY: inside `call`; all that is read and written lies below `end`, rounded up to whole registers.
        unsafe {
            // Where equal infinities meet, they tie.
            let tie = L::F64::splat(self.shift);
            let upper = L::F64::splat(self.uppers[row]);
            let factor = L::F64::splat(1.0 / self.temperature);
            let (zero, tiny) = (L::F64::splat(0.0), L::F64::splat(f64::MIN_POSITIVE));
            let (mut values, mut slopes) = (zero, zero);
            let upper_weight = L::F64::splat(self.upper_weights[row]);
            let counts_below = self.upper_weights[row] != 0.0;
            let mut at = 0;
            while at < end {
                let x = L::F64::load(self.lowers.as_ptr().add(at)).sub(upper);
                let x = x.select(L::F64::splat(f64::NEG_INFINITY), x.add(tie), tie).mul(factor);
                let (value, slope) = self.formula.at(x);
                let mut weight = L::F64::load(weights.as_ptr().add(at));
                let mut slope_below = slope;
                if end - at < lanes {
                    let head = L::F64::load(HEAD.as_ptr().add(PAD - (end - at)));
                    weight = weight.mul(head);
                    slope_below = head.select(tiny, slope, zero);
                }
                // Weight 0 takes no part, whatever the value.
                let counts = weight.abs();
                values = values.add(counts.select(tiny, weight.mul(value), zero));
                let weighted = counts.select(tiny, weight.mul(slope), zero);
                slopes = slopes.add(weighted);
                if let Some((_, lowers)) = &mut self.slopes
                    && counts_below
                {
                    let to = lowers.as_mut_ptr().add(at);
                    let slope = if W::OF_PAIRS { weighted } else { slope_below };
                    slope.mul_add(upper_weight, L::F64::load(to)).store(to);
                }
                at += lanes;
            }
            (values.sum(), slopes.sum())
        }
    }
}

/// Ones and zeros: a register loaded from `PAD - n` has `n` ones.
static HEAD: [f64; 2 * PAD] = [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];

impl<F: Formula, W: PairWeights> Op for Direct<'_, F, W> {
    type Out = Result<f64>;
    #[inline(always)]
    fn run<L: Level>(mut self) -> Result<f64> {
        let rows = self.uppers.len();
        assert_eq!(self.upper_weights.len(), rows, "a weight for each row");
        if let Some((uppers, lowers)) = &self.slopes {
            assert!(uppers.len() == rows && lowers.len() >= self.lowers.len(), "a derivative for each row");
        }
        let (mut total, mut pairs) = (0.0, 0);
        for row in 0..rows {
            let end = match self.ends {
                Ends::All(end) => end,
                Ends::Each(ends) => ends[row],
            };
            pairs += end;
            if pairs > 1 << 16 {
                self.context.check()?;
                pairs = 0;
            }
            // SAFETY: inside `call`; the lengths were checked.
            let (value, slope) = unsafe { self.row::<L>(row, end) };
            if self.upper_weights[row] != 0.0 {
                total += self.upper_weights[row] * value;
            }
            if let Some((uppers, _)) = &mut self.slopes {
                uppers[row] += slope;
            }
        }
        Ok(total)
    }
}
