//! Hinges over all pairs: `max(x, 0)` and its square for `x = (lower - upper + shift) / temperature`.
//!
//! The rows of the smaller side become a sorted table of thresholds; every row finds its place in it. Between two
//! thresholds only counts and first and second moments of the rows matter; a sweep down the table carries them along as
//! sums of positive terms, so nothing cancels, however large the scores.
//!
//! Time O((n + m) log n) for n rows on the smaller side, m on the other; memory: 48 bytes for each of n.

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

    let mut table: Vec<f64> = tabled.scores.iter().map(|&score| threshold(score)).collect();
    sort_floats(&mut table, context)?;
    table.dedup();

    // How many thresholds are below each row: kept where its slope will be.
    let search = |rows: Rows<'_>, out: &mut [f64], place: &(dyn Fn(f64) -> f64 + Sync)| {
        let blocks = rows.scores.chunks(BLOCK).zip(out.chunks_mut(BLOCK)).collect();
        let done = context.map(context.threads_for(rows.scores.len()), blocks, |(scores, out)| {
            context.check()?;
            let places: Vec<f64> = scores.iter().map(|&score| place(score)).collect();
            count_below(&table, &places, context, |i, below| out[i] = below as f64);
            Ok(())
        })?;
        done.into_iter().collect::<Result<()>>()
    };
    search(tabled, tabled_out, &threshold)?;
    search(others, others_out, &place)?;

    let mut weights = vec![0.0; table.len()];
    for (i, below) in tabled_out.iter().enumerate() {
        weights[*below as usize] += tabled.weight(i);
    }
    // The moments of the rows between two thresholds.
    let mut between = vec![Moments::default(); table.len()];
    for (i, (below, &score)) in others_out.iter().zip(others.scores).enumerate() {
        if *below > 0.0 {
            let under = *below as usize - 1;
            between[under].add(others.weight(i), place(score) - table[under]);
        }
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
    let mut under = Moments::default();
    for i in 0..table.len() {
        if i > 0 {
            under.step(table[i] - table[i - 1]);
        }
        under.add(weights[i], 0.0);
        between[i] = under;
    }
    context.check()?;
    for out in tabled_out {
        *out = tabled_slopes[*out as usize];
    }
    for (out, &score) in others_out.iter_mut().zip(others.scores) {
        *out = match (*out as usize).checked_sub(1) {
            None => 0.0,
            Some(i) if squared => 2.0 * (between[i].first + between[i].count * (place(score) - table[i])) / temperature,
            Some(i) => between[i].count,
        };
    }
    Ok(total)
}

/// Rows that a thread looks up at a time.
const BLOCK: usize = 1 << 14;
