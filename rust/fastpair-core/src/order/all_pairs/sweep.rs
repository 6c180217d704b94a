//! Hinges over all pairs: `max(x, 0)` and its square for `x = (lower - upper + shift) / temperature`.
//!
//! The rows of the smaller side become a sorted table of thresholds; every row finds its place in it. Between two
//! thresholds only counts and first and second moments of the rows matter; a sweep down the table carries them along as
//! sums of positive terms, so nothing cancels, however large the scores.
//!
//! Time O((n + m) log n) for n rows on the smaller side, m on the other; memory: 40 bytes for each of n, and 12 for each
//! row of both.

use super::kernel::search::count_below;
use super::{PairLoss, Rows, Slopes, origin};
use crate::error::Result;
use crate::order::sort::sort_floats;
use crate::pool::Context;

/// `sum w`, `sum w y` and `sum w y^2` of rows at distances `y >= 0`.
#[derive(Clone, Copy, Default)]
struct Moments {
    count: f64,
    first: f64,
    second: f64,
}

impl Moments {
    #[inline(always)]
    fn add(&mut self, weight: f64, distance: f64) {
        self.count += weight;
        self.first += weight * distance;
        self.second += weight * distance * distance;
    }

    /// Moves away from the rows.
    #[inline(always)]
    fn step(&mut self, distance: f64) {
        self.second += distance * (2.0 * self.first + distance * self.count);
        self.first += distance * self.count;
    }

    #[inline(always)]
    fn join(&mut self, other: &Self) {
        self.count += other.count;
        self.first += other.first;
        self.second += other.second;
    }
}

/// The sum of all pairs.
pub(super) fn potentials(
    loss: &PairLoss,
    squared: bool,
    shift: f64,
    uppers: Rows<'_>,
    lowers: Rows<'_>,
    out: Slopes<'_>,
    context: &Context,
) -> Result<f64> {
    let temperature = loss.temperature;
    // Mirrored, lower rows are the upper ones: the smaller side makes the table.
    let mirrored = uppers.scores.len() > lowers.scores.len();
    let (tabled, others) = if mirrored { (lowers, uppers) } else { (uppers, lowers) };
    let (tabled_out, others_out) = if mirrored { (out.lowers, out.uppers) } else { (out.uppers, out.lowers) };
    let origin = origin(uppers, lowers, context);
    let place = |score: f64| if mirrored { origin - score } else { score - origin };
    let threshold = |score: f64| place(score) - shift;

    let thresholds: Vec<f64> = tabled.scores.iter().map(|&score| threshold(score)).collect();
    let mut table = thresholds.clone();
    sort_floats(&mut table, context)?;
    table.dedup();

    let mut places = vec![0u32; thresholds.len()];
    let mut weights = vec![0.0; table.len()];
    count_below(&table, &thresholds, context, |i, below| {
        places[i] = below as u32;
        weights[below] += tabled.weight(i);
    });
    context.check()?;

    // How many thresholds are below each other row, and the moments of the rows between two of them.
    let mut below = vec![0u32; others.scores.len()];
    let mut between = vec![Moments::default(); table.len()];
    let mut block = Vec::with_capacity(BLOCK);
    for (at, scores) in others.scores.chunks(BLOCK).enumerate() {
        context.check()?;
        block.clear();
        block.extend(scores.iter().map(|&score| place(score)));
        count_below(&table, &block, context, |i, count| {
            let row = at * BLOCK + i;
            below[row] = count as u32;
            if count > 0 {
                between[count - 1].add(others.weight(row), block[i] - table[count - 1]);
            }
        });
    }

    // Down: what lies above each threshold.
    let mut total = 0.0;
    let mut tabled_slopes = vec![0.0; table.len()];
    let mut above = Moments::default();
    for i in (0..table.len()).rev() {
        if i + 1 < table.len() {
            above.step(table[i + 1] - table[i]);
        }
        above.join(&between[i]);
        let (value, slope) = if squared {
            (above.second / (temperature * temperature), 2.0 * above.first / temperature)
        } else {
            (above.first / temperature, above.count)
        };
        total += weights[i] * value;
        tabled_slopes[i] = slope;
    }

    // Up: the thresholds below each row.
    let mut passed = vec![Moments::default(); table.len()];
    let mut under = Moments::default();
    for i in 0..table.len() {
        if i > 0 {
            under.step(table[i] - table[i - 1]);
        }
        under.add(weights[i], 0.0);
        passed[i] = under;
    }
    context.check()?;
    for (out, i) in tabled_out.iter_mut().zip(places) {
        *out = tabled_slopes[i as usize];
    }
    for ((out, count), &score) in others_out.iter_mut().zip(below).zip(others.scores) {
        *out = match (count as usize).checked_sub(1) {
            None => 0.0,
            Some(i) if squared => 2.0 * (passed[i].first + passed[i].count * (place(score) - table[i])) / temperature,
            Some(i) => passed[i].count,
        };
    }
    Ok(total)
}

/// Rows looked up between two questions whether to stop.
const BLOCK: usize = 1 << 14;
