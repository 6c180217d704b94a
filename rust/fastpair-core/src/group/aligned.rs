//! Pairs that the caller has made: row `i` of positives against `k` negatives of its own (BPR, margin ranking).
//!
//! O(pairs) time; memory: the result, and 64 KiB for each thread.

use crate::column::Column;
use crate::error::{Error, Result};
use crate::matrix::Matrix;
use crate::order::all_pairs::PairLoss;
use crate::order::all_pairs::kernel::aligned::Aligned;
use crate::order::all_pairs::kernel::formula::with_formula;
use crate::pool::Context;
use crate::simd;

/// A float type that derivatives can have.
pub trait Derivative: Copy + Send + std::ops::Sub<Output = Self> {
    /// The nearest one.
    fn rounded(value: f64) -> Self;
}

impl Derivative for f32 {
    #[inline(always)]
    fn rounded(value: f64) -> Self {
        value as f32
    }
}

impl Derivative for f64 {
    #[inline(always)]
    fn rounded(value: f64) -> Self {
        value
    }
}

/// What [`aligned_pairs`] fills.
pub struct AlignedSums<'a, T> {
    /// For each row the sum of the loss over its negatives; 0 before, as all that follows.
    pub values: &'a mut [f64],
    /// Derivatives of that with respect to the positive, and to each negative in C order.
    pub gradients: Option<(&'a mut [T], &'a mut [T])>,
}

/// Pairs of a block: their arguments and values stay in the L1 cache.
const BLOCK: usize = 1 << 10;

/// Rows of a task hold about this many pairs.
const TASK: usize = 1 << 15;

/// Sums of `loss` over `positives[i] - negatives[i, j]`, j < k.
pub fn aligned_pairs<T: Derivative>(
    loss: &PairLoss,
    positives: Column<'_>,
    negatives: Matrix<'_>,
    out: AlignedSums<'_, T>,
    context: &Context,
) -> Result<()> {
    let (rows, width) = (positives.len(), negatives.width());
    if negatives.rows() != rows {
        return Err(Error::Length { argument: "neg", seen: negatives.rows(), expected: rows });
    }
    let step = (TASK / width.max(1)).max(1);
    let (wanted, mut positive_rest, mut negative_rest) = match out.gradients {
        Some((positive, negative)) => (true, positive, negative),
        None => (false, &mut [][..], &mut [][..]),
    };
    let mut tasks = Vec::with_capacity(rows.div_ceil(step));
    for (at, values) in out.values.chunks_mut(step).enumerate() {
        let count = if wanted { values.len() } else { 0 };
        let (positive, behind) = positive_rest.split_at_mut(count);
        positive_rest = behind;
        let (negative, behind) = negative_rest.split_at_mut(count * width);
        negative_rest = behind;
        tasks.push((at * step, values, positive, negative));
    }
    let threads = context.threads_for(rows * width);
    let done = context.map(threads, tasks, |(first, values, positive, negative)| {
        let mut task =
            Task { loss, positives, negatives, context, arguments: vec![0.0; BLOCK], terms: vec![0.0; BLOCK] };
        task.run(first, values, wanted.then_some((positive, negative)))
    })?;
    done.into_iter().collect()
}

struct Task<'a> {
    loss: &'a PairLoss,
    positives: Column<'a>,
    negatives: Matrix<'a>,
    context: &'a Context<'a>,
    arguments: Vec<f64>,
    terms: Vec<f64>,
}

impl Task<'_> {
    fn run<T: Derivative>(
        &mut self,
        first: usize,
        values: &mut [f64],
        mut gradients: Option<(&mut [T], &mut [T])>,
    ) -> Result<()> {
        let width = self.negatives.width();
        let mut scores = vec![0.0; values.len()];
        self.positives.floats(first, &mut scores);
        // Whole rows at a time where they are short, parts of a row where they are long.
        let rows = (BLOCK / width.max(1)).max(1);
        for (block, values) in values.chunks_mut(rows).enumerate() {
            self.context.check()?;
            let begin = block * rows;
            let scores = &scores[begin..begin + values.len()];
            for from in (0..width).step_by(BLOCK) {
                let columns = from..width.min(from + BLOCK);
                self.terms_of(first + begin, scores, columns.clone());
                let inverse = 1.0 / self.loss.temperature;
                for (row, value) in values.iter_mut().enumerate() {
                    let own = row * columns.len()..(row + 1) * columns.len();
                    *value += self.terms[own.clone()].iter().sum::<f64>();
                    let Some((positive, negative)) = &mut gradients else { continue };
                    let mut total = 0.0;
                    let to = &mut negative[(begin + row) * width + columns.start..][..columns.len()];
                    for (to, &slope) in to.iter_mut().zip(&self.arguments[own]) {
                        total += slope;
                        *to = T::rounded(slope * inverse);
                    }
                    let slope = &mut positive[begin + row];
                    *slope = *slope - T::rounded(total * inverse);
                }
            }
        }
        Ok(())
    }

    /// Fills terms and derivatives of some rows and columns.
    fn terms_of(&mut self, first: usize, scores: &[f64], columns: std::ops::Range<usize>) {
        let count = scores.len() * columns.len();
        let arguments = &mut self.arguments[..count];
        let part = self.loss.part();
        for (row, (&score, out)) in scores.iter().zip(arguments.chunks_exact_mut(columns.len())).enumerate() {
            self.negatives.row(first + row).slice(columns.start, columns.len()).floats(0, out);
            for argument in out {
                let distance = *argument - (score - part.shift);
                // Equal infinities tie.
                let distance = if distance.is_nan() && *argument == score { part.shift } else { distance };
                *argument = distance / self.loss.temperature;
            }
        }
        let values = &mut self.terms[..count];
        with_formula!(part.kind, formula => simd::call(self.context.isa, Aligned { formula, arguments, values }));
    }
}
